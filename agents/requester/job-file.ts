import { readFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { ExitStatus, SuretyError } from "#sdk/errors.ts";
import { parseJobFile, type JobFile } from "#sdk/job-file.ts";

/**
 * Reads the text of a job file.
 *
 * @throws SuretyError `JOB_FILE_UNREADABLE` (exit 2)
 */
export function readJobText(path: string): Promise<string> {
  return readFile(path, "utf8").catch((cause: unknown) => {
    throw new SuretyError("JOB_FILE_UNREADABLE", `the job file ${path} cannot be read: ${(cause as Error).message}`, {
      details: { path },
      fix: "Name a job file; see surety submit --help for one.",
      cause,
      exit: ExitStatus.badInput,
    });
  });
}

/**
 * Reads a job file. Relative paths in it count from its folder.
 *
 * @param decimals Of the token that its prices are in.
 * @throws SuretyError `JOB_FILE_UNREADABLE` (exit 2), `JOB_FILE_INVALID` (exit 2)
 */
export async function readJobFile(path: string, decimals?: number): Promise<JobFile> {
  return parseJobFile(await readJobText(path), { baseFolder: dirname(resolve(path)), decimals });
}
