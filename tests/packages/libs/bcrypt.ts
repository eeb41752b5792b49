import bcrypt from "bcrypt";

/** A native addon, with work in libuv's threads. */
export default async () => {
  const hash = await bcrypt.hash("secret", 6);
  return [hash.slice(0, 7), await bcrypt.compare("secret", hash), bcrypt.compareSync("other", hash)];
};
