import type { Directory } from "#sdk/content.ts";

/** Bytes shown before the first that differs, and from it on. */
const BEFORE = 24;
const FROM = 40;

/** Most differences that are looked at: a program whose runs differ in more files differs for the same few causes. */
const MOST_DIFFERENCES = 16;

/** What a run has where two runs differ. */
export interface Surroundings {
  /** Bytes of the file. */
  size: number;
  /** The bytes around the place. */
  bytes: Uint8Array;
  /** Where they begin in the file. */
  from: number;
}

/** The first place at which a file of two runs differs. */
export interface Difference {
  /** Path in the output directory: `exit`, `stdout`, `stderr`, `out/…`. */
  file: string;
  /** The first byte that differs, from 0. Where one file is the beginning of the other, its end; where one is missing, 0. */
  offset: number;
  /** What the first run has there; undefined if it has no such file. */
  first: Surroundings | undefined;
  other: Surroundings | undefined;
  /** What such differences usually come from, most likely first; empty where nothing is known. */
  causes: Cause[];
}

/** What makes runs of a program differ. */
export type Cause =
  | "file-missing"
  | "gzip-time"
  | "zip-time"
  | "image-time"
  | "time"
  | "address"
  | "random"
  | "order"
  | "rounding"
  | "locale"
  | "limit";

/**
 * Finds what differs between the output directories of two runs.
 *
 * @returns the first difference of each file, in the order of their paths, at most 16; empty if they are equal
 */
export function differences(first: Directory, other: Directory): Difference[] {
  const found: Difference[] = [];
  for (const file of [...new Set([...first.keys(), ...other.keys()])].sort()) {
    const [a, b] = [first.get(file), other.get(file)];
    const offset = firstDifference(a ?? new Uint8Array(0), b ?? new Uint8Array(0));
    if (a && b && offset === undefined) continue;
    const at = a && b ? (offset as number) : 0;
    const around = [surroundings(a, at), surroundings(b, at)] as const;
    found.push({ file, offset: at, first: around[0], other: around[1], causes: causesOf(file, at, a, b) });
    if (found.length === MOST_DIFFERENCES) break;
  }
  return found;
}

function firstDifference(a: Uint8Array, b: Uint8Array): number | undefined {
  const shorter = Math.min(a.length, b.length);
  // In steps that the platform compares, then byte by byte in the one that differs.
  const step = 4096;
  for (let from = 0; from < shorter; from += step) {
    const to = Math.min(shorter, from + step);
    if (Buffer.compare(a.subarray(from, to), b.subarray(from, to)) === 0) continue;
    for (let at = from; at < to; at += 1) if (a[at] !== b[at]) return at;
  }
  return a.length === b.length ? undefined : shorter;
}

function surroundings(bytes: Uint8Array | undefined, offset: number): Surroundings | undefined {
  if (bytes === undefined) return undefined;
  const from = Math.max(0, offset - BEFORE);
  return { size: bytes.length, from, bytes: bytes.slice(from, offset + FROM) };
}

/** Bytes of a file that are looked at to tell whether only their order differs. */
const MOST_SORTED = 4 * 1024 * 1024;

function causesOf(file: string, offset: number, a: Uint8Array | undefined, b: Uint8Array | undefined): Cause[] {
  if (a === undefined || b === undefined) return ["file-missing"];
  if (file === "exit") return textOf(a).includes("limit") || textOf(b).includes("limit") ? ["limit"] : [];
  const causes: Cause[] = [];
  if (startsWith(a, [0x1f, 0x8b]) && offset >= 4 && offset < 8) return ["gzip-time"];
  if (startsWith(a, [0x50, 0x4b, 0x03, 0x04]) && offset >= 10 && offset < 14) return ["zip-time"];
  const [one, other] = [lineAround(a, offset), lineAround(b, offset)];
  if (startsWith(a, [0x89, 0x50, 0x4e, 0x47]) && /tIME|date:(create|modify)|tEXtdate/.test(one.before))
    return ["image-time"];
  if (isPrintable(one.whole) && isPrintable(other.whole)) {
    const [word, otherWord] = [wordAround(a, offset), wordAround(b, offset)];
    if (isTime(word) && isTime(otherWord)) causes.push("time");
    else if (isTime(one.whole) && isTime(other.whole) && sameButDigits(one.whole, other.whole)) causes.push("time");
    if (/0x(?:7f|5[56])[0-9a-f]{10}\b/.test(word) && /0x(?:7f|5[56])[0-9a-f]{10}\b/.test(otherWord))
      causes.push("address");
    else if (/[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-/i.test(word) || /\/tmp[./A-Za-z0-9_-]{6,}/.test(one.whole))
      causes.push("random");
    if (causes.length === 0 && isNumber(word) && isNumber(otherWord)) {
      if (word.replace(",", ".") === otherWord.replace(",", ".")) causes.push("locale");
      else if (nearlyEqual(Number(word), Number(otherWord))) causes.push("rounding");
    }
  }
  if (causes.length === 0 && a.length === b.length && a.length <= MOST_SORTED && hasSameParts(a, b))
    causes.push("order");
  if (causes.length === 0 && a.length === b.length && looksRandom(a, b, offset)) causes.push("random");
  return causes;
}

function startsWith(bytes: Uint8Array, start: readonly number[]): boolean {
  return start.every((byte, at) => bytes[at] === byte);
}

/** The line of a file in which a byte lies, at most 200 bytes to both sides. */
function lineAround(bytes: Uint8Array, offset: number): { before: string; whole: string } {
  const before = textOf(bytes.subarray(Math.max(0, offset - 200), offset));
  const after = textOf(bytes.subarray(offset, offset + 200));
  return { before, whole: `${before.split("\n").at(-1)}${after.split("\n")[0]}` };
}

/** What stands between blanks, brackets and quotes around a byte. */
function wordAround(bytes: Uint8Array, offset: number): string {
  const { before } = lineAround(bytes, offset);
  const after = textOf(bytes.subarray(offset, offset + 200));
  return `${/[^\s"'()[\]{}<>=;]*$/.exec(before)![0]}${/^[^\s"'()[\]{}<>=;]*/.exec(after)![0]}`;
}

/** One character a byte, so that places stay what they are. */
function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
}

function isPrintable(text: string): boolean {
  return !/[\u0000-\u0008\u000e-\u001f]/.test(text);
}

/** A time of day, a date, or seconds (or finer) since 1970 of these decades. */
function isTime(text: string): boolean {
  return (
    /\b\d{1,2}:\d{2}(:\d{2})?\b/.test(text) ||
    /(?<![\d.])(19|20)\d\d[-/]?[01]\d[-/]?[0-3]\d\b/.test(text) ||
    /(?<![\d.])[12]\d{9}(?:\d{3}){0,3}(?:\.\d+)?\b/.test(text)
  );
}

function sameButDigits(one: string, other: string): boolean {
  return one.replaceAll(/\d+/g, "0") === other.replaceAll(/\d+/g, "0");
}

function isNumber(word: string): boolean {
  return /^[-+]?\d+(?:[.,]\d+)?(?:e[-+]?\d+)?$/i.test(word);
}

/** Equal to six digits or so, and no whole numbers. */
function nearlyEqual(one: number, other: number): boolean {
  const isWhole = Number.isInteger(one) && Number.isInteger(other);
  return !isWhole && Math.abs(one - other) <= 1e-6 * Math.max(Math.abs(one), Math.abs(other));
}

/** Whether two texts have the same lines, or the same words, in another order. */
function hasSameParts(a: Uint8Array, b: Uint8Array): boolean {
  const [one, other] = [textOf(a), textOf(b)];
  return [/\n/, /[\s,;:{}[\]()]+/].some((separator) => {
    const [parts, others] = [one.split(separator).sort(), other.split(separator).sort()];
    return parts.length > 2 && parts.length === others.length && parts.every((part, at) => part === others[at]);
  });
}

/** Whether from some place on the bytes have nothing to do with each other, as of two draws of a good generator. */
function looksRandom(a: Uint8Array, b: Uint8Array, offset: number): boolean {
  const length = Math.min(a.length - offset, 4096);
  if (length < 8) return false;
  let equal = 0;
  for (let at = offset; at < offset + length; at += 1) if (a[at] === b[at]) equal += 1;
  return equal * 4 < length;
}
