import { SuretyError, ExitStatus } from "#sdk/errors.ts";
import type { TaskInput } from "./executor.ts";

/** Most bytes of all arguments together. */
const argumentBytes = 64 * 1024;

/** Most folders, one within the other, in an input or a result. */
export const deepestFolder = 64;

const loneSurrogate = /\p{Surrogate}/u;

const namePattern = /^[^\u0000-\u001f\u007f/\\]+$/;

function invalid(what: string, details: Record<string, string | number | bigint>): SuretyError {
  return new SuretyError("TASK_INVALID", what, { details, exit: ExitStatus.badInput });
}

function whole(name: string, value: number, least: number): void {
  if (!Number.isSafeInteger(value) || value < least) {
    throw invalid(`${name} is ${value}, expected a whole number of at least ${least}`, { name, value });
  }
}

/**
 * Checks everything of a task but its program.
 *
 * @throws SuretyError `TASK_INVALID`.
 */
export function checkTask(task: TaskInput): void {
  const { limits } = task;
  whole("index", task.index, 0);
  whole("limits.memoryBytes", limits.memoryBytes, 0);
  whole("limits.outputBytes", limits.outputBytes, 0);
  whole("limits.files", limits.files, 0);
  if ("fuel" in limits) {
    if (limits.fuel < 1n || limits.fuel > 1n << 62n) {
      throw invalid(`limits.fuel is ${limits.fuel}, expected 1 to 2^62`, { fuel: limits.fuel });
    }
  } else {
    whole("limits.cpus", limits.cpus, 1);
    whole("limits.processes", limits.processes, 1);
    whole("limits.diskBytes", limits.diskBytes, 0);
  }
  // The most that a timer holds.
  if (!(limits.seconds > 0 && limits.seconds <= 2_000_000)) {
    throw invalid(`limits.seconds is ${limits.seconds}, expected more than 0 and at most 2000000`, {
      seconds: limits.seconds,
    });
  }
  let bytes = 0;
  for (const arg of task.args) {
    bytes += Buffer.byteLength(arg) + 1;
    if (arg.includes("\0") || loneSurrogate.test(arg))
      throw invalid("an argument has a NUL or a lone surrogate in it", { arg });
  }
  if (bytes > argumentBytes)
    throw invalid(`the arguments have ${bytes} bytes, at most ${argumentBytes} fit`, { bytes });

  const folders = new Set<string>();
  for (const path of task.input.keys()) {
    const names = path.split("/");
    if (!isPermittedPath(path)) {
      throw invalid(`the input path ${JSON.stringify(path)} is not a plain relative path`, { path });
    }
    for (let depth = 1; depth < names.length; depth++) folders.add(names.slice(0, depth).join("/"));
  }
  for (const path of task.input.keys()) {
    if (folders.has(path)) throw invalid(`the input path ${path} is both a file and a folder`, { path });
  }
}

/**
 * True for a path that files of inputs and results may have: relative, `/` between names, no `.`, `..`, empty names,
 * backslashes or control characters; names of at most 255 bytes, at most 64 folders deep.
 */
export function isPermittedPath(path: string): boolean {
  const names = path.split("/");
  return (
    !loneSurrogate.test(path) &&
    names.length <= deepestFolder + 1 &&
    names.every((name) => namePattern.test(name) && name !== "." && name !== ".." && Buffer.byteLength(name) <= 255)
  );
}
