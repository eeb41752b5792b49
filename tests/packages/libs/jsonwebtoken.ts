import { generateKeyPairSync } from "node:crypto";
import jwt from "jsonwebtoken";

export default () => {
  const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const token = jwt.sign({ sub: "jo" }, privateKey, { algorithm: "RS256", noTimestamp: true });
  const other = generateKeyPairSync("rsa", { modulusLength: 2048 }).publicKey;
  let refused = "";
  try {
    jwt.verify(token, other);
  } catch (error: any) {
    refused = error.message;
  }
  return [jwt.verify(token, publicKey), jwt.sign({ a: 1 }, "secret", { noTimestamp: true }), refused];
};
