import { Hono } from "hono";
import { logger } from "hono/logger";

type Note = { id: number; text: string };

const notes: Note[] = [{ id: 1, text: "Read the Hono guide" }];

const app = new Hono();

app.use(logger());

app.get("/", (c) => c.text("GET /notes lists notes, POST /notes adds one.\n"));

app.get("/notes", (c) => c.json(notes));

app.get("/notes/:id", (c) => {
  const note = notes.find((note) => note.id === Number(c.req.param("id")));
  return note ? c.json(note) : c.json({ error: "there is no such note" }, 404);
});

app.post("/notes", async (c) => {
  const body = await c.req.json<{ text?: unknown }>().catch(() => null);
  if (typeof body?.text !== "string" || body.text.trim() === "") {
    return c.json({ error: "send JSON with a text" }, 400);
  }
  const note = { id: notes.length + 1, text: body.text };
  notes.push(note);
  return c.json(note, 201);
});

export default app;
