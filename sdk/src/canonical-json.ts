import { z } from "zod";

import { ExitStatus, SuretyError } from "./errors.ts";

/** Deepest nesting of objects and arrays in any document of this protocol, and some. */
const MAX_DEPTH = 16;

/** How a stranger's document is read. */
export interface DecodeOptions<T> {
  schema: z.ZodType<T>;
  /** What it is, for the errors: "result manifest". */
  name: string;
  /** Code of the error if anything is wrong with it. */
  code: string;
  /** More bytes are refused unread. */
  maxBytes: number;
}

/**
 * Writes a document in its one form: UTF-8 JSON without spaces, keys in the order of the schema.
 *
 * @param value Output of the schema that will read it.
 */
export function encodeJson(value: unknown): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(value));
}

/**
 * Reads a stranger's document, and only in the one form {@link encodeJson} gives it: duplicate or unknown keys,
 * unusual numbers, padding and a second spelling of anything are all refused by comparing with what would be written.
 *
 * @param options The schema must give back what it takes: no defaults, no transformations.
 * @throws the given code
 */
export function decodeJson<T>(bytes: Uint8Array, options: DecodeOptions<T>): T {
  const { name, code, schema, maxBytes } = options;
  const refuse = (reason: string, cause?: unknown): SuretyError =>
    new SuretyError(code, `the ${name} ${reason}`, {
      details: { name, bytes: bytes.length, maxBytes },
      exit: ExitStatus.badInput,
      cause,
    });
  if (bytes.length > maxBytes) throw refuse(`has ${bytes.length} bytes, more than ${maxBytes}`);
  // Before parsing: the parser would build millions of levels.
  if (depth(bytes) > MAX_DEPTH) throw refuse(`is nested deeper than ${MAX_DEPTH} levels`);
  let text: string;
  let value: unknown;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    value = JSON.parse(text);
  } catch (cause) {
    throw refuse("is not JSON in UTF-8", cause);
  }
  const parsed = schema.safeParse(value);
  if (!parsed.success) throw refuse(`is malformed: ${describe(parsed.error)}`, parsed.error);
  if (JSON.stringify(parsed.data) !== text) {
    throw refuse("is not in canonical form: no spaces, keys in order and once, numbers as JavaScript prints them");
  }
  return parsed.data;
}

/**
 * An array of a bounded number of elements, read up to the first that is wrong: a million wrong ones must not make a
 * million complaints.
 */
export function boundedArray<T>(element: z.ZodType<T>, max: number): z.ZodType<T[]> {
  const bounded = z.custom<unknown[]>((value) => Array.isArray(value) && value.length >= 1 && value.length <= max, {
    error: `expected an array of 1 to ${max} elements`,
  });
  return bounded.transform((items, context) => {
    const read: T[] = [];
    for (const [index, item] of items.entries()) {
      const parsed = element.safeParse(item);
      if (parsed.success) {
        read.push(parsed.data);
        continue;
      }
      const issue = parsed.error.issues[0];
      context.addIssue({
        code: "custom",
        message: issue?.message ?? "malformed",
        path: [index, ...(issue?.path ?? [])],
      });
      return z.NEVER;
    }
    return read;
  });
}

/** Deepest nesting outside of strings. Text that is not JSON gives some number, and fails later. */
function depth(bytes: Uint8Array): number {
  let level = 0;
  let deepest = 0;
  let quoted = false;
  for (let index = 0; index < bytes.length; index++) {
    const byte = bytes[index];
    if (quoted) {
      if (byte === 0x5c) index++;
      else if (byte === 0x22) quoted = false;
    } else if (byte === 0x22) quoted = true;
    else if (byte === 0x5b || byte === 0x7b) deepest = Math.max(deepest, ++level);
    else if (byte === 0x5d || byte === 0x7d) level--;
  }
  return deepest;
}

function describe(error: z.ZodError): string {
  const shown = error.issues.slice(0, 3).map((issue) => {
    const path = issue.path.map(String).join(".");
    return path === "" ? issue.message : `${path}: ${issue.message}`;
  });
  const more = error.issues.length - shown.length;
  // Quoted from a stranger's document: no line breaks or terminal escapes, and not the whole of it.
  const text = shown
    .join("; ")
    .replace(/[^\x20-\x7e]/g, "?")
    .slice(0, 500);
  return more > 0 ? `${text}; and ${more} more` : text;
}
