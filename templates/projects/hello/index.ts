// Every request to this app comes here. Change the text, press Run, and look to the right.
export default {
  fetch(request: Request): Response {
    const { pathname } = new URL(request.url);
    return new Response(`Hello from ${pathname}\n`);
  },
};
