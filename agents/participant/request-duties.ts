import { requestPhaseOf, standingRuling, workersOf, type RequestRecord } from "#sdk/request-state.ts";
import { inputRecipients } from "./recipients.ts";

/** What a requester makes of the ruling that stands, having looked at the results itself. */
export type Judgement =
  /** It does not know yet. */
  | "pending"
  /** It would say the same. */
  | "agrees"
  /** It would say something else. */
  | "differs"
  /** It cannot tell: results are not to be had, or the evaluator's program fails here. */
  | "unable";

/** What a requester ought to do now about one request of its own. */
export type RequestDuty =
  /** All who can take part do: no need to wait for the end of the window. */
  | { kind: "start" }
  /** Give the input's key to these nodes. */
  | { kind: "grant"; nodes: string[] }
  | { kind: "reveal-test-data" }
  /** Look at the results, and say what the ruling ought to be. Nothing is sent. */
  | { kind: "judge" }
  | { kind: "accept" }
  | { kind: "challenge"; tier: number }
  | { kind: "climb"; tier: number }
  | { kind: "settle" }
  | { kind: "cancel" };

/** What decides, beside what the chain says of the request. */
export interface RequestFacts {
  /** Time of the newest block, seconds. */
  now: number;
  /** Blocks up to this number are final. */
  finalBlock: number;
  /** Number of the block in which the phase that the request is in was first seen; as long as it lasts. */
  phaseSince: number;
  /** Whether the input is sealed, so that who takes part needs its key. */
  isSealed: boolean;
  /** Nodes that were given the key. */
  granted: ReadonlySet<string>;
  judgement: Judgement;
  /** Whether to challenge what it finds wrong. */
  challenge: "own" | "never";
}

/**
 * What a requester ought to do about a request, and nothing of how. Pure: the same facts give the same duties.
 *
 * What gives something away, or gives up a right, waits until what it follows from is final.
 */
export function requestDuties(record: RequestRecord, facts: RequestFacts): RequestDuty[] {
  const phase = requestPhaseOf(record, facts.now);
  const isFinal = facts.phaseSince <= facts.finalBlock;
  switch (phase) {
    case "accepting":
      return isComplete(record) ? [{ kind: "start" }] : [];
    case "unmet":
      return [{ kind: "cancel" }];
    case "computing":
      return isFinal ? grants(record, facts) : [];
    case "revealing":
      return [...grants(record, facts), ...(isFinal ? testData(record) : [])];
    case "ranking":
    case "judging":
      // What it finds is of use once somebody has ruled.
      return [{ kind: "judge" }];
    case "contestable":
      return answers(record, facts);
    case "overdue":
    case "unanswered":
      return [{ kind: "climb", tier: record.tier }];
    case "settleable":
      return [{ kind: "settle" }];
    case "ended":
      return [];
  }
}

function isComplete(record: RequestRecord): boolean {
  const { request, evaluator } = record;
  const isEvaluated = evaluator !== undefined || request.skipEvaluation;
  return isEvaluated && workersOf(record).length >= request.maxWorkers;
}

/** In time only: keys that are granted once nobody can reveal any more do not count. */
function grants(record: RequestRecord, { isSealed, granted }: RequestFacts): RequestDuty[] {
  if (!isSealed) return [];
  const nodes = [...inputRecipients(record).keys()].filter((node) => !granted.has(node));
  return nodes.length > 0 ? [{ kind: "grant", nodes }] : [];
}

function testData({ request, testData }: RequestRecord): RequestDuty[] {
  return BigInt(request.testData) !== 0n && testData === undefined ? [{ kind: "reveal-test-data" }] : [];
}

function answers(record: RequestRecord, { judgement, finalBlock, challenge }: RequestFacts): RequestDuty[] {
  const standing = standingRuling(record);
  if (!standing) return [];
  switch (judgement) {
    case "pending":
      return [{ kind: "judge" }];
    case "unable":
      return [];
    case "agrees": {
      const isOpen = standing.tier === 0 && !record.requesterSatisfied;
      return isOpen && standing.block <= finalBlock ? [{ kind: "accept" }] : [];
    }
    case "differs": {
      const isLast = standing.tier >= (record.evaluator?.path.length ?? 0);
      const gaveUp = standing.tier === 0 && record.requesterSatisfied;
      if (isLast || gaveUp || challenge === "never" || standing.block > finalBlock) return [];
      return [{ kind: "challenge", tier: standing.tier }];
    }
  }
}
