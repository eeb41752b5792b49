// web/ → static/dist: hashed, split, minified, with .br and .gz beside each file, and manifest.json
// (logical name → hashed name) for the server. Run by Bun.
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

const root = join(import.meta.dir, "..");
const out = join(root, "static", "dist");
rmSync(out, { recursive: true, force: true });
mkdirSync(out, { recursive: true });

const naming = { entry: "[name]-[hash].[ext]", chunk: "[name]-[hash].[ext]", asset: "[name]-[hash].[ext]" };
const built = await Bun.build({
  entrypoints: ["app.ts", "editor/editor.ts", "css/app.css", "css/editor.css"].map((f) => join(root, "web", f)),
  outdir: out,
  target: "browser",
  format: "esm",
  splitting: true,
  minify: true,
  sourcemap: "none",
  naming,
  define: { "process.env.NODE_ENV": '"production"' },
});
if (!built.success) {
  for (const log of built.logs) console.error(log);
  process.exit(1);
}

const icons = readFileSync(join(root, "static", "icons.svg"));
const hash = createHash("sha256").update(icons).digest("hex").slice(0, 8);
writeFileSync(join(out, `icons-${hash}.svg`), icons);

const manifest: Record<string, string> = { "icons.svg": `icons-${hash}.svg` };
for (const artifact of built.outputs) {
  const file = artifact.path.slice(out.length + 1);
  if (artifact.kind === "entry-point" || artifact.kind === "asset") {
    manifest[file.replace(/-[a-z0-9]+(?=\.\w+$)/, "")] = file;
  }
}

let total = 0;
for (const file of readdirSync(out).sort()) {
  const bytes = readFileSync(join(out, file));
  const br = brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } });
  writeFileSync(join(out, `${file}.br`), br);
  writeFileSync(join(out, `${file}.gz`), gzipSync(bytes, { level: 9 }));
  total += br.length;
  console.log(`${file.padEnd(36)} ${String(bytes.length).padStart(8)} B  br ${String(br.length).padStart(7)} B`);
}
writeFileSync(join(out, "manifest.json"), JSON.stringify(manifest, null, 1));
console.log(`total br ${(total / 1000).toFixed(1)} kB`);
