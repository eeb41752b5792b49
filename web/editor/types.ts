// What the server answers with (src/apps/view.rs).
export type FileEntry = { path: string; size: number; executable: boolean; link: boolean; blob: string };
export type Moved = { to: string; summary: string; author: string; paths: string[]; both: string[] };
export type Workspace = {
  commit: string;
  base: string | null;
  is_draft: boolean;
  moved: Moved | null;
  files: FileEntry[];
  conflicts: string[];
};
export type FileView = { path: string; size: number; binary: boolean; text: string | null };
export type Change =
  | { op: "write"; path: string; text: string; executable?: boolean }
  | { op: "write"; path: string; base64: string; executable?: boolean }
  | { op: "remove"; path: string }
  | { op: "move"; from: string; to: string };
export type Boot = {
  project: string;
  workspace: Workspace;
  open: FileView | null;
  mayEdit: boolean;
  live: boolean;
  url: string;
};
