import { z } from "zod";

import { boundedArray, decodeJson, encodeJson } from "./canonical-json.ts";
import { MAX_TASKS } from "./commitment.ts";
import { parseContentId } from "./content.ts";
import { ExitStatus, SuretyError } from "./errors.ts";

/** Name of the file in the directory that a batch's manifest id names. */
export const BATCH_MANIFEST_FILE = "batch.json";

const BYTES_PER_TASK = 128;
const BYTES_BESIDE_TASKS = 1024;

/** The content id of a directory, in its one canonical spelling: CID version 1 in base32. */
export const directoryId = z.string().max(64).refine(isDirectoryId, {
  error: "expected the content id of a directory, version 1 in base32",
});

const schema = z.strictObject({
  version: z.literal(1),
  tasks: boundedArray(
    z.strictObject({
      input: directoryId,
      index: z
        .int()
        .min(0)
        .max(MAX_TASKS - 1)
        .optional(),
    }),
    MAX_TASKS,
  ),
});

/** What a batch's tasks work on. */
export interface BatchManifest {
  version: 1;
  /** One per task, in the order of their indices; 1 to 100,000. */
  tasks: {
    /** Content id of the directory a task sees at `/in`. */
    input: string;
    /** What `{index}` stands for, where that is not the task's place in the batch: a task posted again keeps its number. */
    index?: number;
  }[];
}

/**
 * Most bytes of a manifest of so many tasks: what to stop fetching at.
 *
 * @param count Tasks in the batch, as posted on chain.
 */
export function maxBatchManifestBytes(count: number): number {
  return BYTES_BESIDE_TASKS + count * BYTES_PER_TASK;
}

/**
 * Builds the content of `batch.json`.
 *
 * @param tasks Content ids of directories, one per task, or the same with another number; 1 to 100,000.
 * @throws `BATCH_MANIFEST_INVALID` if there are none or too many, or one is no canonical id of a directory.
 */
export function buildBatchManifest(tasks: readonly (string | BatchManifest["tasks"][number])[]): Uint8Array {
  const entries = tasks.map((task) => (typeof task === "string" ? { input: task } : inOrder(task)));
  const bytes = encodeJson({ version: 1, tasks: entries });
  parseBatchManifest(bytes, tasks.length);
  return bytes;
}

/** The number that `{index}` stands for in the arguments of the task at `place`. */
export function taskIndex({ tasks }: BatchManifest, place: number): number {
  return tasks[place]?.index ?? place;
}

/** The keys of a task in the order of the schema. */
function inOrder({ input, index }: BatchManifest["tasks"][number]): BatchManifest["tasks"][number] {
  return index === undefined ? { input } : { input, index };
}

/**
 * Reads a stranger's `batch.json`.
 *
 * @param count Tasks in the batch, as posted on chain.
 * @throws `BATCH_MANIFEST_INVALID` if it is too large, no canonical JSON or malformed;
 * `BATCH_MANIFEST_COUNT_WRONG` if it has another number of tasks.
 */
export function parseBatchManifest(bytes: Uint8Array, count: number): BatchManifest {
  const manifest = decodeJson(bytes, {
    schema,
    name: "batch manifest",
    code: "BATCH_MANIFEST_INVALID",
    maxBytes: maxBatchManifestBytes(Math.min(count, MAX_TASKS)),
  });
  if (manifest.tasks.length !== count) {
    throw new SuretyError(
      "BATCH_MANIFEST_COUNT_WRONG",
      `the manifest has ${manifest.tasks.length} tasks, expected ${count}`,
      {
        details: { actual: manifest.tasks.length, expected: count },
        fix: "The requester posted a batch and stored another: leave it alone.",
        exit: ExitStatus.badInput,
      },
    );
  }
  return manifest;
}

function isDirectoryId(text: string): boolean {
  try {
    return parseContentId(text).toString() === text;
  } catch {
    return false;
  }
}
