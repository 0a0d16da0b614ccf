import type { JsonValue } from "@bufbuild/protobuf";
import { requestSettlementOf } from "#sdk/request-settlement.ts";
import { workersOf, type RequestRecord } from "#sdk/request-state.ts";
import type { RequestOutcome } from "#sdk/request-terms.ts";

/** A reply that a request brought. */
export interface AnsweredReply {
  node: string;
  /** In protobuf's JSON. */
  reply: JsonValue;
  /** Content ids of the directories that the reply names; they are in the folder {@link RequestAnswer.folder}. */
  content: string[];
}

/** How a request of one's own ended. Amounts are base units. */
export interface RequestAnswer {
  id: string;
  outcome: RequestOutcome;
  /** Workers that took part. */
  participated: number;
  /** The best reply; where nobody ranked, all that were revealed. Those that could not be had or read are missing. */
  replies: AnsweredReply[];
  /** What the evaluator's program said of the ranking that stands: a stranger's text. Missing if it cannot be had. */
  report?: string;
  /** Where what the replies name was put: `<content id>/…`; missing if they name nothing. */
  folder?: string;
  /** Who ranked, and what it got. */
  evaluator?: { node: string; amount: bigint };
  /** Who was paid, best first. */
  workers: { node: string; amount: bigint }[];
  burned: bigint;
  /** What came back of what was locked. */
  returned: bigint;
}

/** What an ended request came to, replies aside. */
export function endOf(record: RequestRecord): Omit<RequestAnswer, "replies" | "report"> {
  const { id, locked, evaluator, outcome } = record;
  const { outcome: how } = outcome!;
  const participated = workersOf(record).length;
  if (how === "cancelled") return { id, outcome: how, participated, workers: [], burned: 0n, returned: locked };
  const { evaluator: reward, workers, burned } = requestSettlementOf(record);
  const paid = workers.reduce((sum, { amount }) => sum + amount, reward);
  return {
    ...{ id, outcome: how, participated, workers, burned, returned: locked - paid - burned },
    ...(evaluator ? { evaluator: { node: evaluator.node, amount: reward } } : {}),
  };
}

/** Whose replies a request's end leaves to its requester: the best of those that were ranked, or all. */
export function answering(record: RequestRecord): string[] {
  const { outcome, ruling } = requestSettlementOf(record);
  return outcome === "ranked" ? ruling.order.slice(0, 1) : record.revealed;
}
