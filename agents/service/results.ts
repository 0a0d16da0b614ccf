import { createReadStream } from "node:fs";
import { lstat, readdir } from "node:fs/promises";
import { join, relative, sep } from "node:path";
import { ExitStatus, SuretyError } from "#sdk/errors.ts";
import { CHUNK_BYTES } from "./definition.ts";
import type { FetchResultsResponse, ResultFile } from "./messages.ts";

/** A file of a job's outputs and where it lies. */
interface Output extends ResultFile {
  file: string;
}

/**
 * Finds the output files of tasks, in the order of the tasks and of their names.
 *
 * @param folder The job's outputs, one sub-folder a task.
 * @throws SuretyError `RESULTS_TOO_LARGE` if they have more than `maxBytes` together
 */
async function findOutputs(folder: string, tasks: readonly number[], maxBytes: number): Promise<Output[]> {
  const outputs: Output[] = [];
  let bytes = 0;
  for (const task of tasks) {
    const root = join(folder, String(task));
    const entries = await readdir(root, { recursive: true, withFileTypes: true }).catch(() => []);
    const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
    for (const file of files.sort()) {
      const { size } = await lstat(file);
      bytes += size;
      outputs.push({ task, path: relative(root, file).split(sep).join("/"), size, file });
    }
  }
  if (bytes <= maxBytes) return outputs;
  throw new SuretyError("RESULTS_TOO_LARGE", `the outputs have ${bytes} bytes, expected at most ${maxBytes}`, {
    details: { actual: bytes, expected: maxBytes },
    fix: "Fetch fewer tasks at a time.",
    exit: ExitStatus.refused,
  });
}

/**
 * The outputs of tasks, in the messages they are fetched by.
 *
 * @throws SuretyError `RESULTS_TOO_LARGE`
 */
export async function* sendOutputs(
  folder: string,
  tasks: readonly number[],
  { maxBytes, signal }: { maxBytes: number; signal: AbortSignal },
): AsyncGenerator<FetchResultsResponse> {
  for (const { file, ...about } of await findOutputs(folder, tasks, maxBytes)) {
    yield { part: "file", file: about };
    for await (const chunk of createReadStream(file, { highWaterMark: CHUNK_BYTES, signal }))
      yield { part: "chunk", chunk: chunk as Buffer };
  }
}
