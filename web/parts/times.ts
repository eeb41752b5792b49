// `<time>` as people read it: relative and going on, or the local clock.
const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto", style: "long" });
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

const UNITS: [Intl.RelativeTimeFormatUnit, number][] = [["day", 86_400], ["hour", 3600], ["minute", 60]];

function ago(at: number): string {
  const seconds = Math.round((at - Date.now()) / 1000);
  for (const [unit, size] of UNITS) {
    if (Math.abs(seconds) < size) continue;
    // What is to come is rounded: 30 days, one second later, are still 30 days.
    return relative.format(seconds > 0 ? Math.round(seconds / size) : Math.trunc(seconds / size), unit);
  }
  return seconds > 0 ? "in a moment" : "just now";
}

export const clockText = (at: number): string => clock.format(at);

export function showTimes(within: ParentNode) {
  for (const time of within.querySelectorAll<HTMLTimeElement>("time[datetime]")) {
    const at = Date.parse(time.dateTime);
    if (Number.isNaN(at)) continue;
    const text = "clock" in time.dataset ? clock.format(at) : ago(at);
    if (time.textContent !== text) time.textContent = text;
    time.title ||= full.format(at);
  }
}

export function liveTimes() {
  showTimes(document);
  setInterval(() => {
    if (!document.hidden) showTimes(document);
  }, 20_000);
}
