// What was dropped from the desktop: files, and the files of folders.
/** More than this is a mistake rather than a project. */
const MOST = 2000;

type Found = [path: string, file: File];

/** Paths are below the folder they were dropped on. */
export async function dropped(data: DataTransfer): Promise<Found[]> {
  // Asked for before anything is awaited: the browser forgets a drop when its event is over.
  const entries = [...data.items].map((item) => item.webkitGetAsEntry()).filter((e) => e !== null);
  if (entries.length === 0) return [...data.files].map((file) => [file.name, file]);
  const found: Found[] = [];
  for (const entry of entries) await walk(entry, "", found);
  return found;
}

async function walk(entry: FileSystemEntry, folder: string, found: Found[]): Promise<void> {
  if (found.length >= MOST || /^(\.git|node_modules|\.DS_Store)$/.test(entry.name)) return;
  const path = folder + entry.name;
  if (entry.isFile) {
    const file = await new Promise<File>((done, failed) => (entry as FileSystemFileEntry).file(done, failed));
    found.push([path, file]);
    return;
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  for (;;) {
    const some = await new Promise<FileSystemEntry[]>((done, failed) => reader.readEntries(done, failed));
    if (some.length === 0) return;
    for (const inside of some) await walk(inside, `${path}/`, found);
  }
}
