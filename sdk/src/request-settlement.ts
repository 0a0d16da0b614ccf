import { NO_RULING, type RequestOutcome, type Ruling } from "./request-terms.ts";
import { standingRuling, type RequestRecord } from "./request-state.ts";
import { splitReward } from "./rewards.ts";

/** What settling a request as it stands takes and gives. Amounts are base units. */
export interface RequestSettlement {
  outcome: Exclude<RequestOutcome, "none" | "cancelled">;
  /** What the contract is to be told: see `settle`. */
  path: readonly string[];
  ruling: Ruling;
  revealed: readonly string[];
  /** What the evaluator gets. */
  evaluator: bigint;
  /** What workers get, best first; who gets nothing is left out. */
  workers: { node: string; amount: bigint }[];
  /** What is burned of what the requester locked; the rest goes back to it. */
  burned: bigint;
}

/**
 * What becomes of a request's money if it is settled as it stands, deposits and fees of challenges aside. Twin of the
 * contract's `settle`, for a request that is `settleable`, or has ended by settling.
 *
 * @example
 * ```ts
 * const { path, ruling, revealed } = requestSettlementOf(record);
 * requestCalls.settle(requests, { request: record.request, path, ruling, revealed });
 * ```
 */
export function requestSettlementOf(record: RequestRecord): RequestSettlement {
  const { request, evaluator, rulings } = record;
  const standing = standingRuling(record);
  const ruling = standing?.ruling ?? NO_RULING;
  const first = rulings.find(({ tier }) => tier === 0)?.ruling;
  const upheld = first !== undefined && isSameRuling(first, ruling);
  const awaitsTestData = hasTestData(record) && record.testData === undefined;
  const outcome = outcomeOf(record, { ruling, overturned: first !== undefined && !upheld, awaitsTestData });
  const paysEvaluator = standing ? upheld : record.revealed.length > 0 && awaitsTestData;
  let burned = standing && first !== undefined && !upheld ? request.evaluatorReward : 0n;
  if (outcome === "voided") burned += (request.workerReward + 1n) / 2n;
  if (outcome === "withheld" && hasTestData(record)) burned += request.workerReward;
  const sharesEvenly = outcome === "withheld" || outcome === "unjudged" || outcome === "unevaluated";
  const nodes = outcome === "ranked" ? ruling.order : sharesEvenly ? record.revealed : [];
  const { rewardFunction, workerReward: pot, list } = request;
  const amounts =
    outcome === "ranked"
      ? splitReward({ rewardFunction, pot, list }, ruling.scores)
      : splitReward(
          { rewardFunction: "even", pot },
          nodes.map(() => 0n),
        );
  return {
    outcome,
    path: evaluator?.path ?? [],
    ruling,
    revealed: sharesEvenly ? record.revealed : [],
    evaluator: paysEvaluator ? request.evaluatorReward : 0n,
    workers: nodes.map((node, rank) => ({ node, amount: amounts[rank]! })).filter(({ amount }) => amount > 0n),
    burned,
  };
}

/** Whether two rulings say just the same: what upholding one takes. */
export function isSameRuling(a: Ruling, b: Ruling): boolean {
  return a.verdict === b.verdict && a.order.join() === b.order.join() && a.scores.join() === b.scores.join();
}

function outcomeOf(
  { revealed, request, rulings }: RequestRecord,
  facts: { ruling: Ruling; overturned: boolean; awaitsTestData: boolean },
): RequestSettlement["outcome"] {
  const { ruling, overturned, awaitsTestData } = facts;
  if (rulings.length === 0) {
    if (revealed.length === 0) return "unanswered";
    if (awaitsTestData) return "withheld";
    return request.skipEvaluation ? "unevaluated" : "unjudged";
  }
  if (ruling.verdict === "withheld") return "withheld";
  if (ruling.verdict === "void") return "voided";
  if (ruling.order.length > 0) return "ranked";
  return overturned ? "voided" : "unsolved";
}

function hasTestData({ request }: RequestRecord): boolean {
  return BigInt(request.testData) !== 0n;
}
