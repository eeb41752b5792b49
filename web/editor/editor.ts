// The text of the open file is in the page itself: it is painted before the editor's code is fetched and run.
let begun = false;
function begin() {
  if (begun) return;
  begun = true;
  void import("./start");
}
requestAnimationFrame(() => setTimeout(begin));
// A tab in the background paints nothing.
setTimeout(begin, 500);
