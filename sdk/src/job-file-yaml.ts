import { parseAllDocuments } from "yaml";

import { shown } from "./complaint.ts";
import { JobFileError } from "./job-file-error.ts";

/**
 * Most bytes of a job file, enough for a thousand inputs by content id; more belong in a folder. Parsing YAML takes
 * time with the square of what is wrong with it: seconds for this much, minutes for a megabyte.
 */
export const MAX_JOB_FILE_BYTES = 64 * 1024;

/** Deepest nesting of a job file, and then some. */
const MAX_DEPTH = 32;

/**
 * The text as plain data in which every scalar is the text it was written as.
 *
 * @throws {@link JobFileError} `JOB_FILE_INVALID`, with the first few problems.
 */
export function readYaml(text: string): unknown {
  const bytes = new TextEncoder().encode(text).length;
  if (bytes > MAX_JOB_FILE_BYTES) {
    throw new JobFileError([
      {
        path: "",
        message: `the file has ${bytes} bytes, expected at most ${MAX_JOB_FILE_BYTES}; put many inputs in a folder`,
      },
    ]);
  }
  // Before parsing, which goes as deep as the text does.
  if (isDeep(text)) {
    throw new JobFileError([
      { path: "", message: `the file is nested deeper than ${MAX_DEPTH} levels, expected at most 3` },
    ]);
  }
  let value: unknown;
  try {
    const documents = parseAllDocuments(text, {
      schema: "failsafe",
      uniqueKeys: true,
      stringKeys: true,
      logLevel: "silent",
    });
    const [document] = documents;
    if (document === undefined) throw new JobFileError([{ path: "", message: "the file is empty, expected a job" }]);
    if (documents.length > 1) {
      throw new JobFileError([{ path: "", message: `the file holds ${documents.length} documents, expected one` }]);
    }
    const flaws = [...document.errors, ...document.warnings];
    if (flaws.length > 0) {
      const problems = flaws
        .slice(0, 5)
        .map((flaw) => ({ path: "", message: `not YAML: ${flaw.message.split("\n")[0] ?? flaw.code}` }));
      throw new JobFileError(problems, flaws[0]);
    }
    // A few anchors are fine; an alias of an alias of an alias is a bomb.
    value = document.toJS({ maxAliasCount: 20 });
  } catch (cause) {
    if (cause instanceof JobFileError) throw cause;
    const reason = cause instanceof Error ? (cause.message.split("\n")[0] ?? "") : String(cause);
    throw new JobFileError([{ path: "", message: `not YAML that can be read: ${reason}` }], cause);
  }
  if (value === null || typeof value !== "object" || Array.isArray(value)) {
    throw new JobFileError([
      {
        path: "",
        message: `${shown(value)} is not a job, expected keys and values, for example "module: ./tile.wasm"`,
      },
    ]);
  }
  return value;
}

/**
 * Whether YAML could nest deeply: open brackets, or many dashes on one line. Counts those in quotes and comments too,
 * of which no honest file has so many. Levels by indentation alone are few, since each takes a longer line.
 */
function isDeep(text: string): boolean {
  let level = 0;
  for (const bracket of text.matchAll(/[[\]{}]/g)) {
    level = bracket[0] === "[" || bracket[0] === "{" ? level + 1 : Math.max(0, level - 1);
    if (level > MAX_DEPTH) return true;
  }
  return new RegExp(`(?:[-?:][ \\t]+){${MAX_DEPTH}}`).test(text);
}
