import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { BinaryWriter } from "../../agents/executor/wasm/binary.ts";

/**
 * A program in AssemblyScript that does what its first argument says, with nothing between it and WASI.
 * What it finds out it writes to standard output, a line each.
 */
const probeSource = /* AssemblyScript */ `
@external("wasi_snapshot_preview1", "args_sizes_get") declare function args_sizes_get(count: usize, size: usize): i32;
@external("wasi_snapshot_preview1", "args_get") declare function args_get(list: usize, buffer: usize): i32;
@external("wasi_snapshot_preview1", "environ_sizes_get") declare function environ_sizes_get(count: usize, size: usize): i32;
@external("wasi_snapshot_preview1", "fd_write") declare function fd_write(fd: i32, list: usize, count: i32, done: usize): i32;
@external("wasi_snapshot_preview1", "fd_read") declare function fd_read(fd: i32, list: usize, count: i32, done: usize): i32;
@external("wasi_snapshot_preview1", "fd_close") declare function fd_close(fd: i32): i32;
@external("wasi_snapshot_preview1", "fd_seek") declare function fd_seek(fd: i32, offset: i64, whence: i32, result: usize): i32;
@external("wasi_snapshot_preview1", "fd_readdir") declare function fd_readdir(fd: i32, buffer: usize, size: i32, cookie: i64, used: usize): i32;
@external("wasi_snapshot_preview1", "fd_filestat_get") declare function fd_filestat_get(fd: i32, result: usize): i32;
@external("wasi_snapshot_preview1", "path_open") declare function path_open(fd: i32, lookup: i32, path: usize, length: i32, flags: i32, rights: i64, inheriting: i64, fdflags: i32, result: usize): i32;
@external("wasi_snapshot_preview1", "path_create_directory") declare function path_create_directory(fd: i32, path: usize, length: i32): i32;
@external("wasi_snapshot_preview1", "path_unlink_file") declare function path_unlink_file(fd: i32, path: usize, length: i32): i32;
@external("wasi_snapshot_preview1", "path_rename") declare function path_rename(fd: i32, path: usize, length: i32, to: i32, newPath: usize, newLength: i32): i32;
@external("wasi_snapshot_preview1", "path_symlink") declare function path_symlink(old: usize, oldLength: i32, fd: i32, path: usize, length: i32): i32;
@external("wasi_snapshot_preview1", "clock_time_get") declare function clock_time_get(clock: i32, precision: i64, result: usize): i32;
@external("wasi_snapshot_preview1", "random_get") declare function random_get(buffer: usize, length: i32): i32;
@external("wasi_snapshot_preview1", "poll_oneoff") declare function poll_oneoff(asked: usize, events: usize, count: i32, result: usize): i32;
@external("wasi_snapshot_preview1", "proc_exit") declare function proc_exit(code: i32): void;

const scratch = memory.data(1024);
const READ: i64 = 2;
const WRITE: i64 = 64;
const CREATE = 1;

function argument(index: i32): string {
  args_sizes_get(scratch, scratch + 4);
  if (index >= load<i32>(scratch)) return "";
  const list = heap.alloc(load<i32>(scratch) * 4);
  const buffer = heap.alloc(load<i32>(scratch + 4));
  args_get(list, buffer);
  let start = load<u32>(list + index * 4);
  let end = start;
  while (load<u8>(end) != 0) end++;
  return String.UTF8.decodeUnsafe(start, end - start);
}

function writeBytes(fd: i32, pointer: usize, length: i32): i32 {
  store<u32>(scratch, <u32>pointer);
  store<u32>(scratch + 4, length);
  return fd_write(fd, scratch, 1, scratch + 8);
}

function write(fd: i32, text: string): i32 {
  const bytes = String.UTF8.encode(text);
  return writeBytes(fd, changetype<usize>(bytes), bytes.byteLength);
}

function say(text: string): void { write(1, text + "\\n"); }

/** The descriptor, or the error negated. */
function open(folder: i32, path: string, flags: i32, rights: i64): i32 {
  const bytes = String.UTF8.encode(path);
  const error = path_open(folder, 0, changetype<usize>(bytes), bytes.byteLength, flags, rights, 0, 0, scratch + 16);
  return error ? -error : load<i32>(scratch + 16);
}

function recurse(depth: i32): i32 { return depth == 0 ? 0 : recurse(depth - 1) + 1; }

let sink = 0;
const what = argument(1);
if (what == "copy") {
  const input = open(3, argument(2), 0, READ);
  const output = open(4, argument(3), CREATE, WRITE);
  const buffer = heap.alloc(4096);
  while (true) {
    store<u32>(scratch, <u32>buffer);
    store<u32>(scratch + 4, 4096);
    fd_read(input, scratch, 1, scratch + 8);
    const got = load<i32>(scratch + 8);
    if (got == 0) break;
    writeBytes(output, buffer, got);
  }
  say("copied");
  write(2, "to the other stream");
} else if (what == "args") {
  for (let index = 0; argument(index) != ""; index++) say(argument(index));
  environ_sizes_get(scratch, scratch + 4);
  say("environment " + load<i32>(scratch).toString());
} else if (what == "loop") {
  while (true) sink++;
} else if (what == "count") {
  const rounds = i32.parse(argument(2));
  for (let round = 0; round < rounds; round++) sink = sink * 31 + round;
  say(sink.toString());
} else if (what == "memory") {
  while (true) if (memory.grow(16) < 0) { if (argument(2) == "carry-on") { say("refused"); break; } unreachable(); }
} else if (what == "flood") {
  const buffer = heap.alloc(4096);
  const fd = argument(2) == "file" ? open(4, "flood", CREATE, WRITE) : 1;
  while (true) writeBytes(fd, buffer, 4096);
} else if (what == "sparse") {
  const fd = open(4, "sparse", CREATE, WRITE);
  fd_seek(fd, 1 << 50, 0, scratch + 32);
  write(fd, "x");
} else if (what == "files") {
  for (let index = 0; index < 1000000; index++) fd_close(open(4, "file" + index.toString(), CREATE, WRITE));
} else if (what == "churn") {
  for (let index = 0; index < 100; index++) {
    const fd = open(4, "same", CREATE, WRITE);
    write(fd, "0123456789");
    fd_close(fd);
    const name = String.UTF8.encode("same");
    path_unlink_file(4, changetype<usize>(name), name.byteLength);
  }
  say("done");
} else if (what == "recurse") {
  say(recurse(i32.parse(argument(2))).toString());
} else if (what == "open") {
  // folder, path, flags, rights: says the error, 0 for none
  const fd = open(i32.parse(argument(2)), argument(3), i32.parse(argument(4)), i64.parse(argument(5)));
  say((fd < 0 ? -fd : 0).toString());
  if (fd >= 0) say(write(fd, "x").toString());
} else if (what == "folder") {
  const bytes = String.UTF8.encode(argument(3));
  say(path_create_directory(i32.parse(argument(2)), changetype<usize>(bytes), bytes.byteLength).toString());
} else if (what == "rename") {
  const from = String.UTF8.encode(argument(3));
  const to = String.UTF8.encode(argument(5));
  say(path_rename(i32.parse(argument(2)), changetype<usize>(from), from.byteLength, i32.parse(argument(4)), changetype<usize>(to), to.byteLength).toString());
} else if (what == "symlink") {
  const to = String.UTF8.encode("/etc/passwd");
  const at = String.UTF8.encode("link");
  say(path_symlink(changetype<usize>(to), to.byteLength, 4, changetype<usize>(at), at.byteLength).toString());
} else if (what == "list") {
  const buffer = heap.alloc(4096);
  fd_readdir(3, buffer, 4096, 0, scratch);
  const used = load<u32>(scratch);
  let at: u32 = 0;
  while (at + 24 <= used) {
    const length = load<u32>(buffer + at + 16);
    say(load<u64>(buffer + at + 8).toString() + " " + String.UTF8.decodeUnsafe(buffer + at + 24, length));
    at += 24 + length;
  }
} else if (what == "clock") {
  for (let clock = 0; clock < 2; clock++) {
    clock_time_get(clock, 0, scratch);
    say(load<u64>(scratch).toString());
  }
  memory.fill(scratch, 0, 128);
  store<u32>(scratch + 16, 1);
  store<u64>(scratch + 24, 5000000000);
  say(poll_oneoff(scratch, scratch + 64, 1, scratch + 128).toString());
  clock_time_get(1, 0, scratch);
  say(load<u64>(scratch).toString());
} else if (what == "random") {
  random_get(scratch, 100);
  let text = "";
  for (let index = 0; index < 100; index++) text += load<u8>(scratch + index).toString() + " ";
  say(text);
} else if (what == "bad-pointer") {
  say(random_get(-16, 32).toString());
  say(fd_write(1, -8, 1, scratch).toString());
  store<u32>(scratch, 0xfffffff0);
  store<u32>(scratch + 4, 0x100);
  say(fd_write(1, scratch, 1, scratch + 8).toString());
  say(fd_write(1, scratch, 100000000, scratch + 8).toString());
  say(fd_filestat_get(99, scratch).toString());
} else if (what == "exit") {
  say("before");
  proc_exit(i32.parse(argument(2)));
  say("after");
} else if (what == "divide") {
  sink = 1 / (sink + i32.parse(argument(2)));
} else if (what == "outside") {
  sink = load<i32>(0xfffffff0);
} else if (what == "nan") {
  // Every way to a NaN must end in the same bits, also where hardware and optimisers disagree.
  const zero = f64.parse(argument(2));
  const odd = reinterpret<f64>(0xfff4000000000123);
  say(reinterpret<u64>(zero / zero).toString(16));
  say(reinterpret<u64>(odd + zero / zero).toString(16));
  say(reinterpret<u64>(zero / zero + odd).toString(16));
  say(reinterpret<u64>(Math.sqrt(zero - 1)).toString(16));
  say(reinterpret<u32>(<f32>(zero / zero)).toString(16));
  say(reinterpret<u64>(-(zero / zero)).toString(16));
  store<f64>(scratch, odd);
  say(load<u64>(scratch).toString(16));
} else {
  say("unknown " + what);
  proc_exit(64);
}
`;

const compiler = fileURLToPath(new URL("../../node_modules/assemblyscript/bin/asc.js", import.meta.url));

/**
 * Compiles in a folder of its own and takes the folder away again. In a process of its own, too: within one, a library
 * that was named once stays with the compiler.
 */
async function compile(source: string, options: string[]): Promise<Uint8Array> {
  const folder = await mkdtemp(join(tmpdir(), "surety-test-"));
  try {
    const file = join(folder, "main.ts");
    const output = join(folder, "main.wasm");
    await writeFile(file, source);
    await promisify(execFile)(process.execPath, [
      ...[compiler, file, "--outFile", output, "-O1", "--runtime", "stub"],
      ...options,
    ]);
    return new Uint8Array(await readFile(output));
  } finally {
    await rm(folder, { recursive: true });
  }
}

let probe: Promise<Uint8Array> | undefined;

/** The probe described above, compiled once. */
export function probeProgram(): Promise<Uint8Array> {
  probe ??= plainProgram(probeSource);
  return probe;
}

/** A program with nothing between it and WASI. */
export function plainProgram(source: string): Promise<Uint8Array> {
  return compile(source, ["--exportStart", "_start", "--use", "abort="]);
}

/** A program against `@assemblyscript/wasi-shim`, as users build theirs. */
export function shimProgram(source: string): Promise<Uint8Array> {
  const config = new URL("../../node_modules/@assemblyscript/wasi-shim/asconfig.json", import.meta.url);
  // The compiler resolves what a configuration names against a relative path only.
  return compile(source, ["--config", relative(process.cwd(), fileURLToPath(config))]);
}

/** Parts of a module put together by hand. Each section is its content, the count of entries included. */
export interface ModuleParts {
  types?: number[];
  imports?: number[];
  functions?: number[];
  tables?: number[];
  memory?: number[];
  globals?: number[];
  exports?: number[];
  start?: number[];
  elements?: number[];
  /** Bodies without their size, the local declarations included. */
  bodies?: number[][];
  data?: number[];
  extra?: [number: number, content: number[]][];
}

const text = (name: string): number[] => [name.length, ...Buffer.from(name)];

/** `_start` is function `index`, memory 0 is `memory`. */
export const commandExports = (index: number): number[] => [2, ...text("_start"), 0, index, ...text("memory"), 2, 0];

/** One import of a function with type `type`. */
export const functionImport = (module: string, name: string, type = 0): number[] => [
  1,
  ...text(module),
  ...text(name),
  0,
  type,
];

/** One import of something else, with its description. */
export const otherImport = (module: string, name: string, description: number[]): number[] => [
  1,
  ...text(module),
  ...text(name),
  ...description,
];

/** Builds the binary. */
export function assemble(parts: ModuleParts): Uint8Array {
  const out = new BinaryWriter().byte(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0);
  const section = (number: number, content: number[] | undefined): void => {
    if (content !== undefined)
      out
        .byte(number)
        .u32(content.length)
        .byte(...content);
  };
  section(1, parts.types ?? [1, 0x60, 0, 0]);
  section(2, parts.imports);
  section(3, parts.functions ?? [1, 0]);
  section(4, parts.tables);
  section(5, parts.memory);
  for (const [number, content] of parts.extra ?? []) section(number, content);
  section(6, parts.globals);
  section(7, parts.exports ?? [1, ...text("_start"), 0, 0]);
  section(8, parts.start);
  section(9, parts.elements);
  const code = new BinaryWriter();
  const bodies = parts.bodies ?? [[0, 0x0b]];
  code.u32(bodies.length);
  for (const body of bodies) code.u32(body.length).raw(Uint8Array.from(body));
  out.byte(10).sized(code);
  section(11, parts.data);
  return out.view().slice();
}
