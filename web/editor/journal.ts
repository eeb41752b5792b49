// Text typed and not yet saved, kept in this browser across reloads and crashes.
export type Entry = {
  text: string;
  /** The blob the text was typed onto; `null` for a new file. */
  blob: string | null;
  at: number;
};

/** Characters of a file that is still journaled; localStorage holds about five million in all. */
const LARGEST = 400_000;

export class Journal {
  private readonly prefix: string;

  constructor(project: string) {
    this.prefix = `steady:text:${project}:`;
  }

  put(path: string, text: string, blob: string | null) {
    try {
      if (text.length > LARGEST) this.drop(path);
      else localStorage.setItem(this.prefix + path, JSON.stringify({ text, blob, at: Date.now() } satisfies Entry));
    } catch {
      // Full, or refused by the browser: autosave is still there.
    }
  }

  drop(path: string) {
    localStorage.removeItem(this.prefix + path);
  }

  entries(): [string, Entry][] {
    const found: [string, Entry][] = [];
    for (let i = 0; i < localStorage.length; i++) {
      const key = localStorage.key(i)!;
      if (!key.startsWith(this.prefix)) continue;
      try {
        found.push([key.slice(this.prefix.length), JSON.parse(localStorage.getItem(key)!) as Entry]);
      } catch {
        localStorage.removeItem(key);
      }
    }
    return found;
  }
}
