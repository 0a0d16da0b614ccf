import { SuretyError } from "#sdk/errors.ts";
import type { LimitName, TaskExit, TaskResult } from "./executor.ts";
import { isPermittedPath } from "./task.ts";

const limitNames: readonly LimitName[] = ["fuel", "memory", "output", "files", "time"];

/** The one way to write an exit as text; it is hashed. */
function exitText(exit: TaskExit): string {
  if ("code" in exit) return JSON.stringify({ code: exit.code });
  if ("limit" in exit) return JSON.stringify({ limit: exit.limit });
  return JSON.stringify({ trap: exit.trap });
}

function invalid(what: string, path: string): SuretyError {
  return new SuretyError("OUTPUT_INVALID", what, { details: { path } });
}

/**
 * The canonical output directory of a task, which is what is hashed and compared: `exit`, `stdout`, `stderr` and
 * `out/<path>` for each file. Nothing in it depends on the machine.
 */
export function outputDirectory(result: TaskResult): Map<string, Uint8Array> {
  const directory = new Map<string, Uint8Array>([
    ["exit", new TextEncoder().encode(exitText(result.exit))],
    ["stderr", result.stderr],
    ["stdout", result.stdout],
  ]);
  for (const [path, bytes] of [...result.files].sort(([a], [b]) => (a < b ? -1 : 1)))
    directory.set(`out/${path}`, bytes);
  return directory;
}

function parseExit(bytes: Uint8Array): TaskExit {
  const text = new TextDecoder().decode(bytes);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new SuretyError("OUTPUT_INVALID", "the file exit is not JSON", { details: { path: "exit" }, cause });
  }
  const fields = Object.entries((value ?? {}) as Record<string, unknown>);
  const [name, content] = fields[0] ?? [];
  let exit: TaskExit | undefined;
  if (name === "code" && Number.isInteger(content) && (content as number) >= 0 && (content as number) < 2 ** 32) {
    exit = { code: content as number };
  } else if (name === "limit" && limitNames.includes(content as LimitName)) exit = { limit: content as LimitName };
  else if (name === "trap" && typeof content === "string" && /^[a-z][a-z-]{0,63}$/.test(content))
    exit = { trap: content };
  // One spelling only: others would be the same result with another hash.
  if (exit === undefined || exitText(exit) !== text) throw invalid(`the file exit is not canonical`, "exit");
  return exit;
}

/**
 * Reads an output directory back, as untrusted as it is.
 *
 * @throws SuretyError `OUTPUT_INVALID` for anything {@link outputDirectory} would not have written.
 */
export function parseOutputDirectory(directory: ReadonlyMap<string, Uint8Array>): TaskResult {
  const file = (path: string): Uint8Array => {
    const bytes = directory.get(path);
    if (bytes === undefined) throw invalid(`the output directory has no file ${path}`, path);
    return bytes;
  };
  const files = new Map<string, Uint8Array>();
  for (const [path, bytes] of directory) {
    if (path === "exit" || path === "stdout" || path === "stderr") continue;
    const inner = path.startsWith("out/") ? path.slice(4) : "";
    if (!isPermittedPath(inner)) throw invalid(`the output directory has a file ${JSON.stringify(path)}`, path);
    files.set(inner, bytes);
  }
  const sorted = new Map([...files].sort(([a], [b]) => (a < b ? -1 : 1)));
  return { exit: parseExit(file("exit")), stdout: file("stdout"), stderr: file("stderr"), files: sorted };
}
