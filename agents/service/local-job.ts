import { createReadStream } from "node:fs";
import { lstat, readdir } from "node:fs/promises";
import { dirname, join, posix, resolve } from "node:path";
import { ExitStatus, SuretyError } from "#sdk/errors.ts";
import { parseJobFile, type JobFile } from "#sdk/job-file.ts";
import { readJobText } from "../requester/job-file.ts";
import { CHUNK_BYTES } from "./definition.ts";
import type { SubmitJobRequest } from "./messages.ts";
import { namedPaths } from "./upload.ts";

/** A job file of this computer and the files that it names. */
export interface LocalJob {
  text: string;
  job: JobFile;
  /** What to upload, by the paths that the job file has for it, and where it lies. */
  files: Map<string, string>;
}

/**
 * Reads a job file, and finds what goes with it.
 *
 * @param decimals Of the token that prices are in.
 * @throws SuretyError `JOB_FILE_UNREADABLE`, `JOB_FILE_INVALID`, `INPUT_NOT_FOUND`, `INPUT_INVALID` (exit 2)
 */
export async function readLocalJob(path: string, { decimals }: { decimals: number }): Promise<LocalJob> {
  const text = await readJobText(path);
  const job = parseJobFile(text, { decimals });
  const folder = dirname(resolve(path));
  const files = new Map<string, string>();
  const { inputs } = job;
  for (const named of namedPaths(job)) {
    const isListed = inputs.kind === "folder" && posix.normalize(`${inputs.path}/`) === posix.normalize(`${named}/`);
    // What is hidden in the folder of inputs is no task; deeper down it is part of one.
    await addFiles(files, folder, named, isListed ? (name) => !name.startsWith(".") : () => true);
  }
  return { text, job, files };
}

/** A file, or all of a folder. Links could lead anywhere, and what they lead to would be handed to others. */
async function addFiles(
  files: Map<string, string>,
  folder: string,
  path: string,
  isWanted: (name: string) => boolean = () => true,
): Promise<void> {
  const local = join(folder, path);
  const info = await lstat(local).catch((cause: unknown) => {
    throw new SuretyError("INPUT_NOT_FOUND", `${local} cannot be read: ${(cause as Error).message}`, {
      details: { path: local },
      fix: "Correct the path in the job file; nothing was sent.",
      cause,
      exit: ExitStatus.badInput,
    });
  });
  if (info.isFile()) {
    files.set(path, local);
    return;
  }
  if (!info.isDirectory()) throw invalid(`${local} is neither a file nor a folder`, local);
  const names = (await readdir(local)).filter(isWanted).sort();
  // It would not arrive.
  if (names.length === 0) throw invalid(`the folder ${local} is empty`, local);
  for (const name of names) await addFiles(files, folder, posix.join(path, name));
}

function invalid(message: string, path: string): SuretyError {
  return new SuretyError("INPUT_INVALID", message, {
    details: { path },
    fix: "Inputs are plain files, and folders with files in them; nothing was sent.",
    exit: ExitStatus.badInput,
  });
}

/** Files as the messages that they are uploaded in. */
export async function* uploadOf(files: ReadonlyMap<string, string>): AsyncGenerator<SubmitJobRequest> {
  for (const [path, local] of files) {
    yield { part: "file", file: { path } };
    for await (const chunk of createReadStream(local, { highWaterMark: CHUNK_BYTES }))
      yield { part: "chunk", chunk: chunk as Buffer };
  }
}
