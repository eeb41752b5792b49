import { customAlphabet, nanoid } from "nanoid";

export default () => [nanoid().length, /^[ab]{10}$/.test(customAlphabet("ab", 10)())];
