import { z } from "zod";
import { decodeJson, encodeJson } from "#sdk/canonical-json.ts";
import { contentIdFromBytes32, type Directory } from "#sdk/content.ts";
import type { Storage } from "#sdk/storage.ts";

/** File of a report, in the directory whose content id a ruling names. */
export const REPORT_FILE = "report.json";

/** Most bytes of a report: what a message may have, written as JSON, and as much again for all who were left out. */
const MAX_REPORT_BYTES = 64 * 1024 * 1024;

const schema = z.strictObject({
  /** The request's id. */
  request: z.string(),
  /** Content id of the release whose evaluator ran, 32 bytes, hexadecimal. */
  release: z.string(),
  /** Number of the block that the evaluator's seed was drawn from. */
  drawBlock: z.number(),
  verdict: z.string(),
  ranking: z.array(z.string()),
  /** Decimal. */
  scores: z.array(z.string()),
  leftOut: z.array(z.strictObject({ node: z.string(), code: z.string(), message: z.string() })),
  /** What the evaluator's program says of it. */
  report: z.string(),
});

/** The reasons of a ruling, as whoever ruled publishes them. Nothing is decided by what is in it. */
export type Report = z.infer<typeof schema>;

/** A report as it is published. */
export function encodeReport({ request, release, drawBlock, verdict, ...report }: Report): Directory {
  const { ranking, scores, leftOut, report: text } = report;
  const content = { request, release, drawBlock, verdict, ranking, scores, leftOut, report: text };
  return new Map([[REPORT_FILE, encodeJson(content)]]);
}

/**
 * Fetches a report that a ruling names.
 *
 * @param report Its content id: 32 bytes, hexadecimal.
 * @throws SuretyError `REPORT_INVALID`; StorageError if it cannot be had
 */
export async function fetchReport(
  storage: Pick<Storage, "getFile">,
  report: string,
  { signal }: { signal?: AbortSignal } = {},
): Promise<Report> {
  const options = { maxBytes: MAX_REPORT_BYTES, signal };
  const bytes = await storage.getFile(contentIdFromBytes32(report), REPORT_FILE, options);
  return decodeJson(bytes, { schema, name: "report", code: "REPORT_INVALID", maxBytes: MAX_REPORT_BYTES });
}
