import { sampledCount, entropy } from "#sdk/sampling.ts";
import {
  canDrawAgain,
  panelStatus,
  phaseOf,
  type AssignmentRecord,
  type BatchRecord,
  type MarketState,
} from "#sdk/market-state.ts";
import { MAX_ROUNDS } from "#sdk/pricing.ts";
import type { Parameters } from "#sdk/terms.ts";
import type { Comparison } from "./comparison.ts";

/** An exception to list. */
export interface ExceptionDuty {
  assignment: number;
  verdict: "primary-differs" | "seat-differs" | "no-majority";
  witness: number;
  round: number;
  seat: number;
}

/** What a requester ought to do now about one batch. */
export type RequesterDuty =
  | { kind: "expire"; batchId: string; assignment: number }
  | { kind: "seal"; batchId: string }
  | { kind: "reveal"; batchId: string }
  /** Where nothing is sampled: reveal, and settle everything in the same transaction. */
  | { kind: "reveal-and-settle"; batchId: string; assignments: number[] }
  | { kind: "escalate"; batchId: string; assignment: number }
  | { kind: "redraw"; batchId: string; assignment: number }
  | { kind: "judge"; batchId: string; exceptions: ExceptionDuty[]; last: boolean }
  | { kind: "settle"; batchId: string; assignments: number[] };

/** What decides, beside the market's state. */
export interface RequesterFacts {
  /** Time of the newest block, seconds. */
  now: number;
  /** Number of the newest block. */
  block: number;
  /** Blocks up to this number are final. */
  finalBlock: number;
  parameters: Parameters;
  /** Hashes of entropy blocks by number, as far as known. */
  hashes: ReadonlyMap<number, string>;
  /** The seed of a batch of one's own. */
  seedOf: (record: BatchRecord) => string;
  /** What comparing a panel said, by `batch id:assignment:answers`; absent while its manifests are being fetched. */
  comparisons: ReadonlyMap<string, Comparison>;
}

/** Most assignments in one transaction, so that it fits a block. */
const MOST_AT_ONCE = 50;

/** Under which key a panel's comparison is found: it changes with every answer. */
export function comparisonKey(batchId: string, { index, answers }: AssignmentRecord): string {
  return `${batchId}:${index}:${answers.length}`;
}

/**
 * What a requester ought to do about a batch of its own. Pure: the same facts give the same duties.
 *
 * It judges on final answers only, and lists every exception before it settles anything.
 */
export function requesterDuties(state: MarketState, record: BatchRecord, facts: RequesterFacts): RequesterDuty[] {
  switch (phaseOf(record, facts.now)) {
    case "claiming":
    case "computing":
      return beforeSeal(record, facts);
    case "sealed":
      return record.terms.mode === "trusted" ? settleTrusted(record) : beforeReveal(record, facts);
    case "silent":
      // Too late to reveal: it has cost the bond, but the batch must still be closed.
      return settle(record, record.assignments);
    case "revealed":
      return afterReveal(state, record, facts);
    case "closed":
      return [];
  }
}

function beforeSeal(record: BatchRecord, { now }: RequesterFacts): RequesterDuty[] {
  const { id: batchId, terms } = record;
  const settled = terms.mode === "trusted" ? settleTrusted(record) : [];
  if (now <= record.postedAt + terms.windows.claim) return settled;
  const claimed = record.assignments.filter(({ status }) => status === "claimed");
  const late = claimed.filter(({ deadline }) => now > deadline);
  if (late.length > 0)
    return [...settled, ...late.map(({ index }) => ({ kind: "expire" as const, batchId, assignment: index }))];
  return claimed.length === 0 ? [...settled, { kind: "seal", batchId }] : settled;
}

function settleTrusted(record: BatchRecord): RequesterDuty[] {
  return settle(record, record.assignments);
}

function beforeReveal(record: BatchRecord, facts: RequesterFacts): RequesterDuty[] {
  const { id: batchId, seal, captured, terms } = record;
  if (!seal || facts.block <= seal.entropyBlock) return [];
  // Once the seed is public, whoever could replace the entropy block would choose the draw. Half of the window is enough
  // to wait for that block to be final; to miss the deadline would be worse.
  const final = seal.entropyBlock <= facts.finalBlock;
  if (!final && facts.now <= seal.at + terms.windows.reveal / 2) return [];
  const blockHash = captured ?? facts.hashes.get(seal.entropyBlock);
  if (!blockHash) return [];
  const chosen = entropy(facts.seedOf(record), blockHash, batchId);
  const open = record.assignments.filter(({ status }) => status === "submitted");
  const nothingSampled = open.every((assignment) => sampledCount(chosen, assignment, terms.rate) === 0);
  if (nothingSampled && open.length <= MOST_AT_ONCE) {
    return [{ kind: "reveal-and-settle", batchId, assignments: open.map(({ index }) => index) }];
  }
  return [{ kind: "reveal", batchId }];
}

function afterReveal(state: MarketState, record: BatchRecord, facts: RequesterFacts): RequesterDuty[] {
  const { id: batchId, terms, judged } = record;
  const { now } = facts;
  const duties: RequesterDuty[] = [];
  const exceptions: ExceptionDuty[] = [];
  const accepted: AssignmentRecord[] = [];
  let undecided = 0;
  for (const assignment of record.assignments) {
    if (assignment.status !== "submitted") continue;
    const panel = panelStatus(record, assignment, facts.parameters);
    if (!panel) {
      accepted.push(assignment);
      continue;
    }
    const accused = assignment.exceptions.at(-1);
    if (accused) {
      if (now > accused.at + terms.windows.challenge) accepted.push(assignment);
      continue;
    }
    const complete = panel.answered >= panel.needed;
    if (!complete && now <= panel.deadline) {
      undecided += 1;
      continue;
    }
    const mayDraw =
      panel.round < MAX_ROUNDS && now <= panel.judgeBy && canDrawAgain(state, record, assignment, facts.hashes);
    if (panel.answered < panel.quorum) {
      if (mayDraw) duties.push({ kind: "redraw", batchId, assignment: assignment.index });
      else accepted.push(assignment);
      undecided += mayDraw ? 1 : 0;
      continue;
    }
    const final = assignment.answers.every(({ block }) => block <= facts.finalBlock);
    const comparison = final ? facts.comparisons.get(comparisonKey(batchId, assignment)) : undefined;
    if (!comparison) {
      // Judging on what a reorganisation may still take back would accuse somebody of what is not on chain. But a node
      // whose results are out of reach gains nothing from it: it is paid before it can call the requester silent.
      if (now <= panel.judgeBy - terms.windows.judge / 4 && !judged) undecided += 1;
      else accepted.push(assignment);
      continue;
    }
    if (comparison.kind === "agree" || judged || now > panel.judgeBy) {
      accepted.push(assignment);
      continue;
    }
    const full = panel.answered >= terms.quorum - 1;
    if (terms.adaptive && !panel.escalated && panel.round < MAX_ROUNDS) {
      duties.push({ kind: "escalate", batchId, assignment: assignment.index });
      undecided += 1;
    } else if (comparison.kind === "differ") {
      exceptions.push(...comparison.odd.map((odd) => exceptionOf(assignment.index, odd.member, odd.witness)));
    } else if (full || !mayDraw) {
      exceptions.push({
        assignment: assignment.index,
        verdict: "no-majority",
        witness: comparison.witness,
        round: 0,
        seat: 0,
      });
    } else {
      duties.push({ kind: "redraw", batchId, assignment: assignment.index });
      undecided += 1;
    }
  }
  if (exceptions.length > 0) {
    // All of an assignment's at once: one that has an exception is not looked at again.
    const whole = exceptions.findLastIndex(
      (one, place) => place < MOST_AT_ONCE && one.assignment !== exceptions[place + 1]?.assignment,
    );
    const batchOf = exceptions.slice(0, whole + 1);
    // What is settled in the same breath needs no second look, so `last` only spares others the wait.
    duties.push({
      kind: "judge",
      batchId,
      exceptions: batchOf,
      last: undecided === 0 && batchOf.length === exceptions.length,
    });
  }
  // Settled together where nothing is left to wait for: a transaction for each would cost more than it brings forward.
  // But not later than the check window, or who waits longer than the judge window could call the requester silent.
  const checkedBy = (record.reveal?.at ?? 0) + terms.windows.check;
  const due = undecided === 0 || now > checkedBy || accepted.some((one) => one.exceptions.length > 0);
  if (due) duties.push(...settle(record, accepted));
  return duties;
}

function exceptionOf(
  assignment: number,
  member: "primary" | { round: number; seat: number },
  witness: number,
): ExceptionDuty {
  if (member === "primary") return { assignment, verdict: "primary-differs", witness, round: 0, seat: 0 };
  return { assignment, verdict: "seat-differs", witness, ...member };
}

function settle({ id: batchId }: BatchRecord, assignments: readonly AssignmentRecord[]): RequesterDuty[] {
  const open = assignments.filter(({ status }) => status === "submitted").map(({ index }) => index);
  const duties: RequesterDuty[] = [];
  for (let from = 0; from < open.length; from += MOST_AT_ONCE) {
    duties.push({ kind: "settle", batchId, assignments: open.slice(from, from + MOST_AT_ONCE) });
  }
  return duties;
}
