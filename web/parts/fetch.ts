// Speaking with the server: the forgery token, errors with their hints, streams of progress.
export type Problem = { kind: string; message: string; hint?: string | null };

export class Refused extends Error {
  constructor(readonly status: number, readonly problem: Problem) {
    super(problem.message);
  }
}

export type ProgressEvent =
  | { type: "stage"; name: string }
  | { type: "done"; name: string; ms: number }
  | { type: "line"; text: string };

const csrf = () => document.querySelector<HTMLMetaElement>('meta[name="csrf"]')!.content;

async function refused(answer: Response): Promise<Refused> {
  const body = (await answer.json().catch(() => null)) as { error?: Problem } | null;
  const problem = body?.error ?? { kind: "Internal", message: `The server answered ${answer.status}.` };
  return new Refused(answer.status, problem);
}

/** Throws `Refused` when the server says no, `TypeError` when it cannot be reached. */
export async function getJson<T>(url: string): Promise<T> {
  const answer = await fetch(url, { headers: { accept: "application/json" } });
  if (!answer.ok) throw await refused(answer);
  return (await answer.json()) as T;
}

export async function postJson<T>(url: string, body: unknown, keepalive = false): Promise<T> {
  const headers = { "content-type": "application/json", accept: "application/json", "x-csrf-token": csrf() };
  const answer = await fetch(url, { method: "POST", headers, body: JSON.stringify(body), keepalive });
  if (!answer.ok) throw await refused(answer);
  return (await answer.json()) as T;
}

/** Posts a form and reads its progress until the result. */
export async function postStream<T>(url: string, form: URLSearchParams, heard: (event: ProgressEvent) => void): Promise<T> {
  const headers = { accept: "application/x-ndjson", "x-csrf-token": csrf() };
  const answer = await fetch(url, { method: "POST", headers, body: form });
  if (!answer.ok || !answer.body) throw await refused(answer);
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    rest += value ?? "";
    const lines = rest.split("\n");
    rest = lines.pop()!;
    for (const line of lines) {
      if (!line) continue;
      const event = JSON.parse(line) as ProgressEvent | { type: "result"; result: T } | { type: "error"; error: Problem };
      if (event.type === "result") return event.result;
      if (event.type === "error") throw new Refused(500, event.error);
      heard(event);
    }
    if (done) throw new Refused(0, { kind: "Internal", message: "The connection ended before the result. The act goes on." });
  }
}
