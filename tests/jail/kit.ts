// Tools of the hostile programs: system calls without any library between, and a table of named checks.
import { CFunction, dlopen, ptr, toArrayBuffer } from "bun:ffi";
import { constants } from "node:os";
import facts from "./facts.json";

export { facts };
export type Argument = number | bigint | string | NodeJS.TypedArray;

const libc = dlopen("libc.so.6", { syscall: { args: Array(7).fill("i64"), returns: "i64" } });

/** Memory that can be written and run. */
export function code(bytes: number[]): number {
  const at = Number(libc.symbols.syscall(facts.calls.mmap, 0, 4096, 7, 0x22, -1, 0));
  new Uint8Array(toArrayBuffer(at, 0, 4096)).set(bytes);
  return at;
}

// The library's own `syscall` hides the answer in errno, which the engine may change before it is read.
// mov rax,rdi; mov rdi,rsi; mov rsi,rdx; mov rdx,rcx; mov r10,r8; mov r8,r9; mov r9,[rsp+8]; syscall; ret
const stub = [0x48, 0x89, 0xf8, 0x48, 0x89, 0xf7, 0x48, 0x89, 0xd6, 0x48, 0x89, 0xca, 0x4d, 0x89, 0xc2, 0x4d, 0x89, 0xc8, 0x4c, 0x8b, 0x4c, 0x24, 0x08, 0x0f, 0x05, 0xc3];
const raw = new CFunction({ ptr: code(stub), args: Array(7).fill("i64"), returns: "i64" }) as any;

const kept: unknown[] = [];

/** Bytes that stay where they are. */
export function bytes(...of: number[]): Uint8Array {
  const made = new Uint8Array(Math.max(of.length, 64));
  made.set(of);
  kept.push(made);
  return made;
}

function word(value: Argument): bigint {
  if (typeof value === "bigint") return BigInt.asIntN(64, value);
  if (typeof value === "number") return BigInt(value);
  const at = typeof value === "string" ? Buffer.from(value + "\0".repeat(64)) : value;
  kept.push(at);
  return BigInt(ptr(at));
}

/** By number: what the kernel answers, `-errno` for an error. */
export function numbered(number: number, ...args: Argument[]): number {
  const all = [...args, 0, 0, 0, 0, 0, 0].slice(0, 6).map(word);
  return Number(raw(BigInt(number), ...all));
}

/** By name: what the kernel answers, `-errno` for an error. */
export function sys(name: string, ...args: Argument[]): number {
  const number = (facts.calls as Record<string, number>)[name];
  if (number === undefined) throw new Error(`no call ${name}`);
  return numbered(number, ...args);
}

// The engine does not live through a fork: what children do is machine code too.
// fork; in the child: spin
const spinner = [0xb8, 57, 0, 0, 0, 0x0f, 0x05, 0x85, 0xc0, 0x75, 0x02, 0xeb, 0xfe, 0xc3];
// fork; in the child: setsid, fork, and end; in its child: block every signal; pause, for ever
const daemon = [0xb8, 57, 0, 0, 0, 0x0f, 0x05, 0x85, 0xc0, 0x75, 0x3a, 0xb8, 112, 0, 0, 0, 0x0f, 0x05, 0xb8, 57, 0, 0, 0, 0x0f, 0x05, 0x85, 0xc0, 0x75, 0x1f,
  0x6a, 0xff, 0x48, 0x89, 0xe6, 0x31, 0xff, 0x31, 0xd2, 0x41, 0xba, 8, 0, 0, 0, 0xb8, 14, 0, 0, 0, 0x0f, 0x05, 0xb8, 34, 0, 0, 0, 0x0f, 0x05, 0xeb, 0xf7,
  0x31, 0xff, 0xb8, 231, 0, 0, 0, 0x0f, 0x05, 0xc3];
const forks = { spinner, daemon };

/** Starts such a process; its id, or `-errno`. */
export function fork(kind: keyof typeof forks): number {
  const start = new CFunction({ ptr: code(forks[kind]), args: [], returns: "i32" }) as any;
  return start();
}

// Until fork fails, or a thousand times: fork; in the child: pause for ever, or end. Then all are killed and
// waited for, before the engine can miss a thread. Answers how many there were, times 2^32, plus the error.
const sleepers = [
  0x53, 0x31, 0xdb, 0xb8, 0x39, 0x00, 0x00, 0x00, 0x0f, 0x05, 0x85, 0xc0, 0x74, 0x0e, 0x78, 0x15, 0xff, 0xc3, 0x81, 0xfb, 0xe8, 0x03, 0x00, 0x00, 0x73, 0x0b, 0xeb, 0xe7,
  0xb8, 0x22, 0x00, 0x00, 0x00, 0x0f, 0x05, 0xeb, 0xf7, 0x50, 0x48, 0xc7, 0xc7, 0xff, 0xff, 0xff, 0xff, 0xbe, 0x09, 0x00, 0x00, 0x00, 0xb8, 0x3e, 0x00, 0x00, 0x00, 0x0f,
  0x05, 0x48, 0xc7, 0xc7, 0xff, 0xff, 0xff, 0xff, 0x31, 0xf6, 0x31, 0xd2, 0x45, 0x31, 0xd2, 0xb8, 0x3d, 0x00, 0x00, 0x00, 0x0f, 0x05, 0x85, 0xc0, 0x79, 0xe7, 0x58, 0xf7,
  0xd8, 0x48, 0xc1, 0xe3, 0x20, 0x48, 0x09, 0xd8, 0x5b, 0xc3,
];
const dead = [
  0x53, 0x31, 0xdb, 0xb8, 0x39, 0x00, 0x00, 0x00, 0x0f, 0x05, 0x85, 0xc0, 0x74, 0x0e, 0x78, 0x15, 0xff, 0xc3, 0x81, 0xfb, 0xe8, 0x03, 0x00, 0x00, 0x73, 0x0b, 0xeb, 0xe7,
  0x31, 0xff, 0xb8, 0xe7, 0x00, 0x00, 0x00, 0x0f, 0x05, 0x50, 0x48, 0xc7, 0xc7, 0xff, 0xff, 0xff, 0xff, 0xbe, 0x09, 0x00, 0x00, 0x00, 0xb8, 0x3e, 0x00, 0x00, 0x00, 0x0f,
  0x05, 0x48, 0xc7, 0xc7, 0xff, 0xff, 0xff, 0xff, 0x31, 0xf6, 0x31, 0xd2, 0x45, 0x31, 0xd2, 0xb8, 0x3d, 0x00, 0x00, 0x00, 0x0f, 0x05, 0x85, 0xc0, 0x79, 0xe7, 0x58, 0xf7,
  0xd8, 0x48, 0xc1, 0xe3, 0x20, 0x48, 0x09, 0xd8, 0x5b, 0xc3,
];
const bombs = { sleepers, dead };

/** Sets it off: why there are no more, and how many there were. */
export function bomb(kind: keyof typeof bombs): [string, number] {
  const go = new CFunction({ ptr: code(bombs[kind]), args: [], returns: "u64" }) as any;
  const answer: bigint = BigInt(go());
  return [said(-Number(answer & 0xffffffffn)), Number(answer >> 32n)];
}

const names = new Map<number, string>();
for (const [name, number] of Object.entries(constants.errno)) if (!names.has(number)) names.set(number, name);

/** `ok`, or the error's name. */
export function said(answer: number): string {
  return answer >= 0 ? "ok" : (names.get(-answer) ?? `errno ${-answer}`);
}

/** Makes the call; `ok` or the error's name. */
export const call = (name: string, ...args: Argument[]): string => said(sys(name, ...args));

/** Opens something; `ok` or the error's name. */
export function open(path: string, flags = 0): string {
  const fd = sys("openat", -100, path, flags, 0o644);
  if (fd >= 0) sys("close", fd);
  return said(fd);
}

/** A socket; `ok` or the error's name. */
export function socket(family: number, type: number, protocol = 0): string {
  const fd = sys("socket", family, type, protocol);
  if (fd >= 0) sys("close", fd);
  return said(fd);
}

/** Runs another program file of this app; its standard output, or how it ended when that was not by itself. */
export function other(file: string, ...args: string[]): string {
  const done = Bun.spawnSync([process.execPath, `/app/${file}`, ...args], { stdio: ["ignore", "pipe", "inherit"] });
  return done.signalCode ?? (done.exitCode === 0 ? done.stdout.toString().trim() : `exit ${done.exitCode}`);
}

export const O = { WRONLY: 1, RDWR: 2, CREAT: 0o100, TRUNC: 0o1000, PATH: 0o10000000, DIRECTORY: 0o200000 };

/** One of several answers, where more than one is right; say why beside it. */
export class Any {
  constructor(readonly of: unknown[]) {}
}
export const any = (...of: unknown[]) => new Any(of);

type Check = { name: string; run: () => unknown; want: unknown };
const stages: Record<string, Check[]> = {};
let here = "/";

/** The checks that follow run when this path is asked for. */
export function stage(path: string) {
  here = path;
}

/** `run` must answer, or throw an error with the code, `want`. */
export function check(name: string, run: () => unknown, want: unknown) {
  (stages[here] ??= []).push({ name, run, want });
}

async function answer(run: () => unknown): Promise<unknown> {
  const late = Bun.sleep(facts.patience).then(() => "no answer");
  try {
    return await Promise.race([Promise.resolve(run()), late]);
  } catch (error: any) {
    return error?.code ?? String(error);
  }
}

/** Runs one stage; each result goes out as it comes, so that a program that dies has told what it did. */
export async function results(path: string) {
  const done = [];
  for (const { name, run, want } of stages[path] ?? []) {
    const got = (await answer(run)) ?? null;
    done.push({ name, got, want: want instanceof Any ? want.of : [want] });
  }
  return done;
}

export default {
  idleTimeout: 0,
  fetch: async (request: Request) => Response.json(await results(new URL(request.url).pathname)),
};
