import { join } from "node:path";
import sharp from "sharp";

/** A native addon with a large C library and threads of its own. */
export default async () => {
  const background = { r: 200, g: 20, b: 20, alpha: 1 };
  const path = join(process.env.DATA_DIR!, "red.png");
  await sharp({ create: { width: 640, height: 480, channels: 4, background } }).png().toFile(path);
  const small = await sharp(path).resize(64, 48).flip().webp().toBuffer();
  const { format, width, height } = await sharp(small).metadata();
  const { dominant } = await sharp(path).stats();
  const svg = Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect width="9" height="9" fill="#00f"/></svg>');
  const [r, g, b] = await sharp(svg).raw().toBuffer();
  return [format, width, height, dominant.r > dominant.g, [r, g, b]];
};
