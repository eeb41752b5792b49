import { Database } from "bun:sqlite";

// A relative name: the file is kept beside the app, and survives deploys and restarts.
const db = new Database("counter.sqlite");
db.run("PRAGMA journal_mode = WAL");
db.run("CREATE TABLE IF NOT EXISTS counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL)");

const add = db.query<{ value: number }, [string]>(
  "INSERT INTO counters VALUES (?, 1) ON CONFLICT (name) DO UPDATE SET value = value + 1 RETURNING value",
);
const read = db.query<{ value: number }, [string]>("SELECT value FROM counters WHERE name = ?");

const page = (value: number) => `<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <title>Counter</title>
  <style>
    :root { color-scheme: light dark; }
    body { margin: 0; min-height: 100vh; display: grid; place-content: center; text-align: center;
           font: 1rem/1.5 system-ui, sans-serif; color: light-dark(#18181b, #f4f4f5); background: light-dark(#fcfcfd, #131316); }
    h1 { margin: 0 0 1rem; font-size: 1rem; font-weight: 600; }
    output { display: block; font-size: clamp(5rem, 22vw, 11rem); font-weight: 650; line-height: 1;
             letter-spacing: -0.04em; font-variant-numeric: tabular-nums; }
    p { margin: .75rem 0 2rem; color: light-dark(#5f5f68, #a5a5af); }
    button { font: inherit; font-weight: 600; padding: .7rem 1.6rem; border: 0; border-radius: .6rem; cursor: pointer;
             color: light-dark(#fff, #131316); background: light-dark(#18181b, #f4f4f5); }
    button:focus-visible { outline: 3px solid #3b82f6; outline-offset: 3px; }
  </style>
</head>
<body>
  <main>
    <h1>Counter</h1>
    <output>${value}</output>
    <p>counted in counter.sqlite</p>
    <form method="post"><button autofocus>Add one</button></form>
  </main>
</body>
</html>`;

export default {
  fetch(request: Request): Response {
    const { pathname } = new URL(request.url);
    if (pathname === "/count") return Response.json({ count: read.get("page")?.value ?? 0 });
    if (pathname !== "/") return new Response("There is nothing here.\n", { status: 404 });
    if (request.method === "POST") {
      add.get("page");
      return new Response(null, { status: 303, headers: { location: "/" } });
    }
    return new Response(page(read.get("page")?.value ?? 0), {
      headers: { "content-type": "text/html; charset=utf-8" },
    });
  },
};
