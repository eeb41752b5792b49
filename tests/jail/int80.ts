// A 32-bit system call from machine code; the process is expected to end by a signal.
import { CFunction } from "bun:ffi";
import { code } from "./kit.ts";

// mov eax,20 (getpid); int 0x80; ret
const ask = new CFunction({ ptr: code([0xb8, 20, 0, 0, 0, 0xcd, 0x80, 0xc3]), args: [], returns: "i32" }) as any;
console.log(ask() > 0 ? "answered" : "refused");
