import type { Storage } from "#sdk/storage.ts";
import { SuretyError } from "#sdk/errors.ts";
import type { Ask, Message } from "./ask.ts";

/** A list of numbers to be sorted in parts. */
export interface SplitSort {
  /** Of the schemas `split-sort` and `split-merge`. */
  sort: Ask;
  merge: Ask;
  storage: Pick<Storage, "add">;
  numbers: Uint32Array;
  parts: number;
  signal?: AbortSignal;
}

/**
 * Sorts in parts: one request for each, all at once, then one that merges what came of them. Where numbers are is all that
 * goes from the first to the second.
 *
 * @returns content id of the directory with all of them
 * @throws SuretyError `PART_UNANSWERED`
 */
export async function sortInParts({ sort, merge, storage, numbers, parts, signal }: SplitSort): Promise<string> {
  const size = Math.ceil(numbers.length / parts);
  const sorted = await Promise.all(
    Array.from({ length: parts }, async (_, index) => {
      const partCid = await storage.add(asNumbers(numbers.slice(index * size, (index + 1) * size)), { signal });
      return best(sort, { partCid }, "sortedCid", signal);
    }),
  );
  return best(merge, { sortedCid: sorted }, "mergedCid", signal);
}

/** Numbers as programs read them. */
export function asNumbers(numbers: Uint32Array): Map<string, Uint8Array> {
  const bytes = new Uint8Array(4 * numbers.length);
  const view = new DataView(bytes.buffer);
  numbers.forEach((value, index) => view.setUint32(4 * index, value, true));
  return new Map([["numbers", bytes]]);
}

async function best(ask: Ask, request: Message, field: string, signal?: AbortSignal): Promise<string> {
  const { ranked, report } = await ask(request, { signal });
  if (ranked[0]) return ranked[0].reply[field] as string;
  throw new SuretyError("PART_UNANSWERED", `nobody gave a valid ${field}: ${report}`, {
    details: { field, report },
    fix: "Ask again.",
    kind: "retryable",
  });
}
