import { mkdir, open, type FileHandle } from "node:fs/promises";
import { dirname, join, posix, sep } from "node:path";
import { checkPath } from "#sdk/content.ts";
import { ExitStatus, SuretyError } from "#sdk/errors.ts";
import type { JobFile } from "#sdk/job-file.ts";
import { MAX_CHUNK_BYTES } from "./definition.ts";
import type { SubmitJobRequest } from "./messages.ts";

/** Most files of one upload. */
export const MAX_UPLOAD_FILES = 50_000;

/**
 * Writes uploaded files into a folder, which must be new: what is in it afterwards are plain files and folders that were
 * uploaded, and nothing else.
 *
 * @param maxBytes Of all files together.
 * @throws SuretyError `UPLOAD_INVALID`, `UPLOAD_TOO_LARGE`, `UPLOAD_UNWRITABLE` (retryable)
 */
export async function receiveFiles(
  parts: AsyncIterable<SubmitJobRequest>,
  folder: string,
  { maxBytes }: { maxBytes: number },
): Promise<void> {
  let file: FileHandle | undefined;
  let files = 0;
  let bytes = 0;
  try {
    for await (const part of parts) {
      switch (part.part) {
        case "header":
          throw invalid("a second header came");
        case "file":
          await file?.close();
          file = undefined;
          files += 1;
          if (files > MAX_UPLOAD_FILES) throw tooLarge("files", MAX_UPLOAD_FILES);
          file = await createFile(folder, part.file.path);
          break;
        case "chunk":
          if (!file) throw invalid("a chunk came before any file");
          if (part.chunk.length > MAX_CHUNK_BYTES) throw invalid(`a chunk has ${part.chunk.length} bytes`);
          bytes += part.chunk.length;
          if (bytes > maxBytes) throw tooLarge("bytes", maxBytes);
          await file.write(part.chunk).catch((cause: unknown) => {
            throw unwritable(cause);
          });
          break;
        default:
          throw invalid("a message without a part came");
      }
    }
  } finally {
    await file?.close();
  }
}

async function createFile(folder: string, path: string): Promise<FileHandle> {
  try {
    checkPath(path);
  } catch (cause) {
    throw invalid((cause as Error).message);
  }
  const target = join(folder, path);
  try {
    await mkdir(dirname(target), { recursive: true, mode: 0o700 });
    return await open(target, "wx", 0o600);
  } catch (cause) {
    const { code = "" } = cause as NodeJS.ErrnoException;
    if (["EEXIST", "ENOTDIR", "EISDIR"].includes(code)) throw invalid(`the path ${JSON.stringify(path)} came twice`);
    if (["ENAMETOOLONG", "EINVAL", "EILSEQ"].includes(code))
      throw invalid(`the path ${JSON.stringify(path)} cannot be a file's`);
    throw unwritable(cause);
  }
}

/**
 * A job file's job with its paths made those of an uploaded folder.
 *
 * @throws SuretyError `JOB_FILE_INVALID` if one leads out of it
 */
export function inUpload(job: JobFile, folder: string): JobFile {
  return withPaths(job, (path) => join(folder, uploadPath(path))) as JobFile;
}

/**
 * The paths of files and folders that a job file names, as they are uploaded.
 *
 * @throws SuretyError `JOB_FILE_INVALID` if one leads out of the job file's folder
 */
export function namedPaths(job: JobFile): Set<string> {
  const paths = new Set<string>();
  withPaths(job, (path) => {
    paths.add(uploadPath(path));
    return path;
  });
  return paths;
}

/** Free text of a job's author, which may look like anything. */
const FREE = "environment";

/** Changes whatever names a file or folder of this computer, wherever in the job file it stands. */
function withPaths(value: unknown, change: (path: string) => string): unknown {
  if (Array.isArray(value)) return value.map((each) => withPaths(each, change));
  if (typeof value !== "object" || value === null) return value;
  const { kind, path } = value as { kind?: unknown; path?: unknown };
  if ((kind === "path" || kind === "folder") && typeof path === "string") return { ...value, path: change(path) };
  return Object.fromEntries(
    Object.entries(value).map(([name, each]) => [name, name === FREE ? (each as unknown) : withPaths(each, change)]),
  );
}

function uploadPath(path: string): string {
  const normal = posix.normalize(path).replace(/\/$/, "");
  const isOutside =
    posix.isAbsolute(normal) || normal === ".." || normal.startsWith("../") || /[\\\0]|^[A-Za-z]:/.test(path);
  if (!isOutside) return normal;
  const shown = path.slice(0, 100);
  throw new SuretyError("JOB_FILE_INVALID", `the path ${JSON.stringify(shown)} leads out of the job file's folder`, {
    details: { path: shown },
    fix: "Name files by relative paths below the job file's folder, or by content ids.",
    exit: ExitStatus.badInput,
  });
}

/** A message about an upload's files as its client knows them. */
export function withoutFolder(text: string, folder: string): string {
  return text.replaceAll(folder + sep, "").replaceAll(folder, ".");
}

function invalid(message: string): SuretyError {
  return new SuretyError("UPLOAD_INVALID", message, {
    fix: "Send the header, then each file once, and its content in chunks of at most 1 MiB.",
    exit: ExitStatus.badInput,
  });
}

function tooLarge(what: string, most: number): SuretyError {
  return new SuretyError("UPLOAD_TOO_LARGE", `the upload has more than ${most} ${what}`, {
    details: { most, what },
    fix: "Put large inputs into storage and name them by their content ids.",
    exit: ExitStatus.refused,
  });
}

function unwritable(cause: unknown): SuretyError {
  return new SuretyError("UPLOAD_UNWRITABLE", "the service has no room for the upload, or cannot write it", {
    details: { reason: (cause as NodeJS.ErrnoException).code },
    fix: "Try again later, or tell the requester's operator.",
    kind: "retryable",
    exit: ExitStatus.unavailable,
    cause,
  });
}
