import { dlopen } from "bun:ffi";
import { join } from "node:path";

/** Code made while running: wasm, a bundle, and a C library called. */
export default async () => {
  const add = "AGFzbQEAAAABBwFgAn9/AX8DAgEABwcBA2FkZAAACgkBBwAgACABagsACgRuYW1lAgMBAAA=";
  const wasm = await WebAssembly.instantiate(Buffer.from(add, "base64"));
  const built = await Bun.build({ entrypoints: [join(import.meta.dir, "zones.ts")], minify: true });
  const { symbols } = dlopen("libc.so.6", { abs: { args: ["int"], returns: "int" } });
  return [(wasm.instance.exports.add as any)(40, 2), built.success, symbols.abs(-42)];
};
