import { assemble, commandExports } from "../executor/programs.ts";

const I32 = 0x7f;
const name = (text: string): number[] => [text.length, ...Buffer.from(text)];
const wasi = (function_: string, type: number): number[] => [
  ...name("wasi_snapshot_preview1"),
  ...name(function_),
  0,
  type,
];
const constant = (value: number): number[] => {
  // Signed LEB128, for what fits two bytes.
  return value < 64 ? [0x41, value] : [0x41, (value & 0x7f) | 0x80, value >> 7];
};
const call = (index: number): number[] => [0x10, index];
const store = [0x36, 2, 0];
const drop = 0x1a;

const LIST = 256;
const BUFFER = 512;
/** Bytes of the name `task` with its end, which is not echoed. */
const NAME = 5;

/** A program of a few instructions that writes its arguments, each with a NUL after it, to standard output. */
export const echoProgram = assemble({
  types: [3, 0x60, 2, I32, I32, 1, I32, 0x60, 4, I32, I32, I32, I32, 1, I32, 0x60, 0, 0],
  imports: [3, ...wasi("args_sizes_get", 0), ...wasi("args_get", 0), ...wasi("fd_write", 1)],
  functions: [1, 2],
  memory: [1, 0, 1],
  exports: commandExports(3),
  bodies: [
    [
      0, // no locals
      ...constant(0),
      ...constant(4),
      ...call(0),
      drop,
      ...constant(LIST),
      ...constant(BUFFER),
      ...call(1),
      drop,
      // What to write, at 8: where it begins, and its length.
      ...constant(8),
      ...constant(BUFFER + NAME),
      ...store,
      ...constant(12),
      ...constant(4),
      0x28,
      2,
      0,
      ...constant(NAME),
      0x6b,
      ...store,
      ...constant(1),
      ...constant(8),
      ...constant(1),
      ...constant(16),
      ...call(2),
      drop,
      0x0b,
    ],
  ],
});
