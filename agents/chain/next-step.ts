import type { Attempt, Inclusion, Intent, IntentFailure } from "../journal/intent-table.ts";
import { offer, raise, standingOffer, type FeeCaps, type FeeMarket, type Fees } from "./fees.ts";

/** What the chain shows of an intent. */
export interface ChainView {
  head: { number: number; /** Unix seconds. */ timestamp: number };
  /** The highest block that counts as permanent. */
  finalNumber: number;
  /** Transactions of the account up to the head. */
  latestNonce: number;
  /** The same up to the final block; only asked for where it matters. */
  finalNonce: number;
  /** Where one of the intent's attempts is mined, if it is. */
  inclusion?: Inclusion;
  /** Whether the node has the newest attempt. */
  known: boolean;
  market: FeeMarket;
}

/** How the sender is to behave. */
export interface SendingPolicy extends FeeCaps {
  /** Blocks to wait for an attempt before a dearer one. */
  bumpAfterBlocks: number;
  /** With less than this many seconds to the deadline every block without the transaction is answered by a bump, and what waits for lower fees is signed at the cap. */
  urgentSeconds: number;
}

/** One move of the sender; all but `broadcast` and `wait` are a write to the journal. */
export type Step =
  | { do: "wait" }
  /** Take a nonce and sign. */
  | { do: "sign"; fees: Fees }
  /** Hand the newest attempt to the node, again if need be. */
  | { do: "broadcast" }
  /** Sign a dearer attempt with the same nonce. */
  | { do: "bump"; purpose: Attempt["purpose"]; fees: Fees }
  /** Note that it is mined. */
  | { do: "confirm"; inclusion: Inclusion }
  /** Note that it is no longer mined. */
  | { do: "retract" }
  /** The nonce went to another transaction for good: start over with a new one. */
  | { do: "replan" }
  /** Close it: the block is final. */
  | { do: "finish" }
  /** Close it: it is too late to begin. */
  | { do: "fail"; failure: IntentFailure };

/** An underpriced attempt is raised at once, as an idle chain may mine no block without it, but not to the cap. */
const MAX_BUMPS_PER_BLOCK = 8;

/**
 * Decides what is due for an intent. Pure: the same intent and view give the same step.
 *
 * INVARIANT: a second nonce is taken for an intent only once no attempt with the first can ever be mined, hence only
 * on what a final block shows. So its call takes effect at most once.
 */
export function nextStep(intent: Intent, view: ChainView, policy: SendingPolicy): Step {
  const late = intent.deadline !== undefined && view.head.timestamp >= intent.deadline;
  const newest = intent.attempts.at(-1);
  if (intent.status === "final" || intent.status === "failed") return { do: "wait" };
  if (!newest || intent.nonce === undefined) {
    if (late) return { do: "fail", failure: deadlinePassed(intent) };
    const fees = offer(view.market, policy);
    if (fees) return { do: "sign", fees };
    // Nothing is left to wait for: should the base fee fall in time, the transaction is there.
    return isUrgent(intent, view, policy) ? { do: "sign", fees: standingOffer(view.market, policy) } : { do: "wait" };
  }
  if (view.inclusion) return followInclusion(intent, view.inclusion, view.finalNumber);
  if (intent.status === "mined") return { do: "retract" };
  if (view.finalNonce > intent.nonce) return { do: "replan" };
  // Somebody else's transaction has the nonce, or the node lags behind itself: only the final block can tell.
  if (view.latestNonce > intent.nonce) return { do: "wait" };

  const purpose = late ? "cancel" : newest.purpose;
  const impatient =
    newest.purpose !== purpose ||
    (intent.trouble?.kind === "underpriced" && attemptsAt(intent, view.head.number) < MAX_BUMPS_PER_BLOCK) ||
    view.head.number - newest.signedAt >= patience(intent, view, policy);
  const fees = impatient ? raise(newest, view.market, policy) : undefined;
  if (fees) return { do: "bump", purpose, fees };
  return intent.status === "signed" || !view.known ? { do: "broadcast" } : { do: "wait" };
}

function attemptsAt(intent: Intent, block: number): number {
  return intent.attempts.filter((attempt) => attempt.signedAt === block).length;
}

function followInclusion(intent: Intent, inclusion: Inclusion, finalNumber: number): Step {
  const noted = intent.status === "mined" && intent.inclusion;
  const same = noted && noted.blockHash === inclusion.blockHash && noted.hash === inclusion.hash;
  if (!same) return { do: "confirm", inclusion };
  return inclusion.blockNumber <= finalNumber ? { do: "finish" } : { do: "wait" };
}

function patience(intent: Intent, view: ChainView, policy: SendingPolicy): number {
  return isUrgent(intent, view, policy) ? 1 : policy.bumpAfterBlocks;
}

function isUrgent(intent: Intent, view: ChainView, policy: SendingPolicy): boolean {
  return (intent.deadline ?? Infinity) - view.head.timestamp < policy.urgentSeconds;
}

/** Why a call that came too late failed. */
export function deadlinePassed(intent: Intent): IntentFailure {
  return { code: "DEADLINE_PASSED", message: `${intent.key} was due before ${intent.deadline}` };
}
