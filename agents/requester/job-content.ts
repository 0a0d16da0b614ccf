import { readdir, readFile, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { checkDirectory, type Directory } from "#sdk/content.ts";
import { ExitStatus, SuretyError } from "#sdk/errors.ts";
import type { JobFile } from "#sdk/job-file.ts";
import type { Source } from "#sdk/source.ts";
import type { Storage } from "#sdk/storage.ts";

/** Most bytes of a module. */
const MAX_MODULE_BYTES = 256 * 1024 * 1024;
/** Most bytes and files of one task's input. */
const MAX_INPUT_BYTES = 1024 * 1024 * 1024;
const MAX_INPUT_FILES = 10_000;
/** Most missing inputs that one message names. */
const MOST_NAMED = 10;

/** A job's program. */
export interface JobModule {
  bytes: Uint8Array;
  /** Its name in the directory it is stored in. */
  name: string;
  /** Where it is in storage already. */
  stored?: { cid: string; path: string };
}

/** What one task works on: files of this computer to be stored, or the content id of a directory that is. */
export type JobInput = { kind: "local"; read: () => Promise<Directory> } | { kind: "stored"; cid: string };

/**
 * Reads the module a job file names.
 *
 * @throws SuretyError `MODULE_NOT_FOUND` (exit 2) if there is no such file, on this computer or in storage
 */
export async function readModule(source: Source, storage: Storage, signal?: AbortSignal): Promise<JobModule> {
  if (source.kind === "path") {
    const bytes = await readFile(source.path).catch((cause: unknown) => {
      throw missing("MODULE_NOT_FOUND", `the module ${source.path} cannot be read: ${(cause as Error).message}`, cause);
    });
    return { bytes: new Uint8Array(bytes), name: basename(source.path) };
  }
  const limits = { maxBytes: MAX_MODULE_BYTES, signal };
  try {
    if (source.path !== undefined) {
      const bytes = await storage.getFile(source.cid, source.path, limits);
      return { bytes, name: basename(source.path), stored: { cid: source.cid, path: source.path } };
    }
    const [only, ...others] = await storage.get(source.cid, limits);
    if (only === undefined || others.length > 0) {
      throw missing(
        "MODULE_NOT_FOUND",
        `${source.cid} holds ${others.length + (only ? 1 : 0)} files: which is the module?`,
      );
    }
    return { bytes: only[1], name: basename(only[0]), stored: { cid: source.cid, path: only[0] } };
  } catch (cause) {
    throw notStored("MODULE_NOT_FOUND", "the module", source, cause);
  }
}

/**
 * Finds a job's inputs, one a task: of a folder its entries in the order of their names, numbers by value and names
 * that begin with a dot left out; of a list its members.
 *
 * @throws SuretyError `INPUT_NOT_FOUND` (exit 2) naming everything that is missing; `INPUT_INVALID` (exit 2) for what
 * cannot be stored
 */
export async function findInputs(
  inputs: JobFile["inputs"],
  storage: Storage,
  signal?: AbortSignal,
): Promise<JobInput[]> {
  const sources = inputs.kind === "list" ? inputs.sources : await folderEntries(inputs.path);
  const found: JobInput[] = [];
  const problems: string[] = [];
  for (const source of sources) {
    signal?.throwIfAborted();
    try {
      found.push(source.kind === "path" ? await localInput(source.path) : await storedInput(source, storage, signal));
    } catch (error) {
      if (!(error instanceof SuretyError) || error.code !== "INPUT_NOT_FOUND") throw error;
      problems.push(error.message);
    }
  }
  if (problems.length === 0) return found;
  const named = problems.slice(0, MOST_NAMED);
  if (problems.length > named.length) named.push(`and ${problems.length - named.length} more`);
  throw missing("INPUT_NOT_FOUND", named.join("\n"));
}

async function folderEntries(folder: string): Promise<Source[]> {
  const names = await readdir(folder).catch((cause: unknown) => {
    throw missing(
      "INPUT_NOT_FOUND",
      `the folder of inputs ${folder} cannot be read: ${(cause as Error).message}`,
      cause,
    );
  });
  const { compare } = new Intl.Collator("en", { numeric: true });
  const visible = names.filter((name) => !name.startsWith(".")).sort((a, b) => compare(a, b) || (a < b ? -1 : 1));
  if (visible.length === 0)
    throw missing("INPUT_NOT_FOUND", `the folder of inputs ${folder} is empty, expected one entry per task`);
  return visible.map((name) => ({ kind: "path", path: join(folder, name) }));
}

async function localInput(path: string): Promise<JobInput> {
  const info = await stat(path).catch((cause: unknown) => {
    throw missing("INPUT_NOT_FOUND", `the input ${path} cannot be read: ${(cause as Error).message}`, cause);
  });
  if (!info.isFile() && !info.isDirectory()) throw invalid(`the input ${path} is neither a file nor a folder`);
  const files = info.isFile() ? new Map([[basename(path), path]]) : await filesOf(path);
  // Before anything is stored.
  checkDirectory(new Map([...files.keys()].map((name) => [name, new Uint8Array(0)])));
  // Read when it is stored: all inputs together need not fit in memory.
  return { kind: "local", read: async () => new Map(await Promise.all([...files].map(readEntry))) };
}

async function readEntry([name, path]: [string, string]): Promise<[string, Uint8Array]> {
  return [name, new Uint8Array(await readFile(path))];
}

/** Every file below a folder, by its path there. */
async function filesOf(folder: string): Promise<Map<string, string>> {
  const files = new Map<string, string>();
  let bytes = 0;
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  for (const entry of entries.sort((a, b) => (join(a.parentPath, a.name) < join(b.parentPath, b.name) ? -1 : 1))) {
    const path = join(entry.parentPath, entry.name);
    if (entry.isDirectory()) continue;
    // A link could lead anywhere, and what it leads to would be published.
    if (!entry.isFile()) throw invalid(`the input has ${path}, which is not a plain file`);
    bytes += (await stat(path)).size;
    files.set(path.slice(folder.length).replaceAll("\\", "/").replace(/^\/+/, ""), path);
    if (files.size > MAX_INPUT_FILES) throw invalid(`the input ${folder} has more than ${MAX_INPUT_FILES} files`);
    if (bytes > MAX_INPUT_BYTES) throw invalid(`the input ${folder} has more than ${MAX_INPUT_BYTES} bytes`);
  }
  return files;
}

async function storedInput(
  source: Source & { kind: "content" },
  storage: Storage,
  signal?: AbortSignal,
): Promise<JobInput> {
  const limits = { maxBytes: MAX_INPUT_BYTES, maxFiles: MAX_INPUT_FILES, signal };
  try {
    if (source.path === undefined) {
      // Nodes will fetch it from where it is; that somebody has it is checked now.
      await storage.pin(source.cid, { maxBytes: MAX_INPUT_BYTES, signal });
      return { kind: "stored", cid: source.cid };
    }
    const bytes = await storage.getFile(source.cid, source.path, limits);
    const name = basename(source.path);
    return { kind: "local", read: async () => new Map([[name, bytes]]) };
  } catch (cause) {
    throw notStored("INPUT_NOT_FOUND", "the input", source, cause);
  }
}

/** What storage does not have becomes a fault of the job; that storage does not answer stays what it is. */
function notStored(code: string, what: string, source: Source & { kind: "content" }, cause: unknown): unknown {
  const known = cause instanceof SuretyError ? cause.code : "";
  const isAbsent = ["CONTENT_NOT_FOUND", "CONTENT_PATH_NOT_FOUND", "CONTENT_INVALID", "CONTENT_TOO_LARGE"].includes(
    known,
  );
  if (!isAbsent) return cause;
  const name = source.path === undefined ? source.cid : `${source.cid}/${source.path}`;
  return missing(code, `${what} ${name} cannot be had: ${(cause as Error).message}`, cause);
}

function missing(code: string, message: string, cause?: unknown): SuretyError {
  const fix = "Correct the path or content id in the job file; nothing was posted.";
  return new SuretyError(code, message, { fix, cause, exit: ExitStatus.badInput });
}

function invalid(message: string): SuretyError {
  const fix = "Inputs are plain files and folders; nothing was posted.";
  return new SuretyError("INPUT_INVALID", message, { fix, exit: ExitStatus.badInput });
}
