import { getBytes } from "ethers";
import { contentIdFromBytes32 } from "#sdk/content.ts";
import { membersOf } from "#sdk/dispute.ts";
import { checkEnvelopeProof, proofOfEvidence } from "#sdk/envelope.ts";
import { SuretyError } from "#sdk/errors.ts";
import type { BatchRecord } from "#sdk/market-state.ts";
import { readManifest, readOutput } from "#sdk/results.ts";
import type { Storage } from "#sdk/storage.ts";
import type { Part } from "./facts.ts";
import type { Programs } from "./programs.ts";
import type { Retention } from "./retention.ts";

/** What a juror looks at deliveries with. */
export interface Inspector {
  storage: Storage;
  retention: Retention;
  programs: Programs;
  context: { chainId: bigint; market: string };
}

/** What a juror found: `wrong` will not change any more, `unreachable` may. */
export type Delivery = "delivered" | "wrong" | "unreachable";

/** What may be had later, or from somebody else. */
const UNREACHABLE: readonly string[] = ["CONTENT_NOT_FOUND", "CONTENT_CORRUPT", "STORAGE_UNREACHABLE"];

/**
 * Looks at what a member delivered as its requester would: opens the envelope with the evidence the member gave, fetches
 * the manifest and every output, and holds them against what is on chain. What was found is kept while the batch lasts.
 *
 * @param part Of the accused.
 * @throws SuretyError if nothing can be said: the job itself is not to be had, or this host's storage fails
 */
export async function inspectDelivery(
  record: BatchRecord,
  part: Part,
  { storage, retention, programs, context }: Inspector,
  signal: AbortSignal,
): Promise<Delivery> {
  const { spec } = await programs.order(record, signal);
  const { batchId, assignment, round, seat, tasks } = part;
  const disputed = record.assignments[assignment]!;
  const accused = membersOf(disputed).find((member) => member.round === round && member.seat === seat)!;
  try {
    const content = checkEnvelopeProof(proofOfEvidence(disputed.dispute?.evidence ?? "0x"), {
      sealed: getBytes(accused.envelope),
      recipientPublicKey: getBytes(record.terms.encryptionKey),
      context: { ...context, batchId, assignment, round, seat },
    });
    // A copy of another node's envelope.
    if (content.node !== accused.node) return "wrong";
    const results = await readManifest(batchId, { ...accused, tasks }, content, { storage, context }, { signal });
    for (const result of results) {
      await readOutput(result, { storage }, { maxBytes: spec.limits.output, signal });
      await retention.pin(batchId, result.sealedOutput, { signal });
    }
    await retention.pin(batchId, contentIdFromBytes32(accused.manifest), { signal });
    return "delivered";
  } catch (error) {
    if (!(error instanceof SuretyError)) throw error;
    if (UNREACHABLE.includes(error.code)) return "unreachable";
    // What is wrong with this host is not wrong with what it looked at.
    if (error.kind === "retryable" || error.code === "STORAGE_REFUSED") throw error;
    return "wrong";
  }
}
