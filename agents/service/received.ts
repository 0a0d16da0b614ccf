import { mkdir, open, rename, rm, type FileHandle } from "node:fs/promises";
import { dirname, join } from "node:path";
import { checkPath } from "#sdk/content.ts";
import { ExitStatus, SuretyError } from "#sdk/errors.ts";
import type { FetchResultsResponse, ResultFile } from "./messages.ts";

/**
 * Writes fetched outputs into a folder, one sub-folder a task, each whole or not at all.
 *
 * @returns the numbers of the tasks
 * @throws SuretyError `RESULTS_INVALID` (exit 3) for what no service sends, `OUTPUT_UNWRITABLE` (exit 2)
 */
export async function writeResults(parts: AsyncIterable<FetchResultsResponse>, folder: string): Promise<number[]> {
  const tasks: number[] = [];
  let file: { handle: FileHandle; about: ResultFile; size: number } | undefined;
  const endFile = async (): Promise<void> => {
    if (!file) return;
    const { handle, about, size } = file;
    file = undefined;
    await handle.close();
    if (size !== about.size) throw invalid(`${about.path} has ${size} bytes, expected ${about.size}`);
  };
  const part = (task: number): string => join(folder, `.${task}.part`);
  const endTask = async (): Promise<void> => {
    const task = tasks.at(-1);
    if (task === undefined) return;
    const place = join(folder, String(task));
    await rm(place, { recursive: true, force: true });
    await rename(part(task), place);
  };
  try {
    await mkdir(folder, { recursive: true });
    for await (const message of parts) {
      if (message.part === "chunk") {
        if (!file) throw invalid("content came before any file");
        await file.handle.write(message.chunk);
        file.size += message.chunk.length;
        continue;
      }
      await endFile();
      const about = message.file;
      if (about.task !== tasks.at(-1)) {
        await endTask();
        if (!Number.isSafeInteger(about.task) || tasks.includes(about.task))
          throw invalid(`task ${about.task} came twice`);
        tasks.push(about.task);
        await rm(part(about.task), { recursive: true, force: true });
      }
      // A service that was taken over must not be able to write elsewhere.
      if (!isPath(about.path)) throw invalid("a path leads elsewhere");
      const target = join(part(about.task), about.path);
      await mkdir(dirname(target), { recursive: true });
      file = { handle: await open(target, "wx"), about, size: 0 };
    }
    await endFile();
    await endTask();
    return tasks;
  } catch (cause) {
    const task = tasks.at(-1);
    await file?.handle.close();
    if (task !== undefined) await rm(part(task), { recursive: true, force: true });
    const { code } = cause as NodeJS.ErrnoException;
    if (cause instanceof SuretyError || code === undefined) throw cause;
    throw new SuretyError(
      "OUTPUT_UNWRITABLE",
      `the outputs cannot be written to ${folder}: ${(cause as Error).message}`,
      {
        details: { folder },
        fix: "Name another folder.",
        cause,
        exit: ExitStatus.badInput,
      },
    );
  }
}

function isPath(path: string): boolean {
  try {
    checkPath(path);
    return true;
  } catch {
    return false;
  }
}

function invalid(message: string): SuretyError {
  return new SuretyError("RESULTS_INVALID", `the service sent outputs that cannot be: ${message}`, {
    fix: "Fetch them again; if that does not help, tell the requester's operator.",
    exit: ExitStatus.unavailable,
  });
}
