import { MAX_TASKS } from "#sdk/commitment.ts";
import { PRIMARY } from "#sdk/context.ts";
import {
  canDrawAgain,
  drawnFor,
  panelStatus,
  phaseOf,
  sampledCountOf,
  sliceBounds,
  type AssignmentRecord,
  type BatchRecord,
  type MarketState,
} from "#sdk/market-state.ts";
import { lockOf, MAX_ROUNDS } from "#sdk/pricing.ts";
import { disputeDuties, stakeFor, type DisputeDuty } from "./disputes.ts";
import { isMyTurn, UNUSED_AFTER, type ComputeFacts, type Part } from "./facts.ts";

/** Work to be run and submitted: an assignment of one's own, or a seat one was drawn for. */
export interface Work extends Part {
  kind: "work";
  /** Until when it must be submitted, seconds. */
  deadline: number;
}

/** What a compute node ought to do now. */
export type ComputeDuty =
  | Work
  | DisputeDuty
  | { kind: "claim"; batchId: string; count: number }
  | { kind: "reclaim"; batchId: string; assignment: number }
  | { kind: "capture"; batchId: string }
  | { kind: "expire"; batchId: string; assignment: number }
  | { kind: "seal"; batchId: string }
  | { kind: "redraw"; batchId: string; assignment: number }
  | { kind: "settle"; batchId: string; assignments: number[] };

/**
 * What a compute node ought to do, and nothing of how. Pure: the same facts give the same duties.
 *
 * Work comes first, in the order of its deadlines; then disputes; then what unblocks its pay; then new claims.
 */
export function computeDuties(state: MarketState, facts: ComputeFacts): ComputeDuty[] {
  const work: Work[] = [];
  const disputes: DisputeDuty[] = [];
  const rest: ComputeDuty[] = [];
  const claims: ComputeDuty[] = [];
  const open = state.open.filter(({ terms }) => terms.class === facts.policy.class);
  let { free, freeStake, uncommitted } = facts;
  for (const record of open) {
    for (const assignment of record.assignments) {
      work.push(...workOn(state, record, assignment, facts));
      for (const duty of disputeDuties(state, record, assignment, { ...facts, uncommitted })) {
        disputes.push(duty);
        uncommitted -= stakeFor(record, duty);
      }
    }
    if (hasInterest(record, facts.me)) rest.push(...chores(state, record, facts));
  }
  // What disputes take cannot back a claim.
  freeStake -= facts.uncommitted - uncommitted;
  for (const record of open) {
    const claim = free > 0 ? claimOn(record, facts, freeStake) : undefined;
    if (claim) {
      claims.push(claim.duty);
      free -= 1;
      freeStake -= claim.stake;
    }
  }
  work.sort((a, b) => a.deadline - b.deadline);
  return [...work, ...disputes, ...rest, ...claims];
}

/** What this node is to run for one assignment. */
function workOn(state: MarketState, record: BatchRecord, assignment: AssignmentRecord, facts: ComputeFacts): Work[] {
  const { me, now } = facts;
  const { id: batchId } = record;
  const { index, status, node, first, count, deadline } = assignment;
  if (status === "claimed") {
    if (node !== me || now > deadline) return [];
    const tasks = Array.from({ length: count }, (_, place) => first + place);
    return [{ kind: "work", batchId, assignment: index, ...PRIMARY, tasks, deadline }];
  }
  if (status !== "submitted" || node === me || assignment.exceptions.length > 0) return [];
  const panel = panelStatus(record, assignment, facts.parameters);
  if (!panel || panel.answered >= panel.needed || (now > panel.deadline && record.judged)) return [];
  return drawnFor(state, record, assignment, facts.hashes).flatMap((drawn, round) => {
    const seat = drawn.indexOf(me);
    const answered = assignment.answers.some((answer) => answer.round === round && answer.seat === seat);
    if (seat < 0 || answered) return [];
    // What is late still counts, so the deadline is only a reason to hurry.
    return [
      { kind: "work" as const, batchId, assignment: index, round, seat, tasks: panel.tasks, deadline: panel.deadline },
    ];
  });
}

/** Steps that anybody may take and that this node's pay waits for. */
function chores(state: MarketState, record: BatchRecord, facts: ComputeFacts): ComputeDuty[] {
  const { me, now, block } = facts;
  const { id: batchId, terms, seal, reveal } = record;
  const phase = phaseOf(record, now);
  if (
    phase === "sealed" &&
    terms.mode !== "trusted" &&
    seal &&
    !record.captured &&
    block > seal.entropyBlock + UNUSED_AFTER
  ) {
    return [{ kind: "capture", batchId }];
  }
  if (!seal) {
    const claimBy = record.postedAt + terms.windows.claim;
    const late = record.assignments.filter(
      (one) => one.status === "claimed" && isMyTurn(facts, record, one.deadline, `expire ${one.index}`),
    );
    if (late.length > 0 && now > claimBy)
      return late.map(({ index }) => ({ kind: "expire", batchId, assignment: index }));
    const pending = record.assignments.some((one) => one.status === "claimed");
    return !pending && isMyTurn(facts, record, claimBy, "seal") ? [{ kind: "seal", batchId }] : [];
  }
  const duties: ComputeDuty[] = [];
  const settleable: number[] = [];
  for (const assignment of record.assignments) {
    if (assignment.status !== "submitted") continue;
    const concerned = assignment.node === me || assignment.answers.some((answer) => answer.node === me);
    if (!concerned) continue;
    const from = settleableFrom(state, record, assignment, facts);
    if (from !== undefined && isMyTurn(facts, record, from, `settle ${assignment.index}`))
      settleable.push(assignment.index);
    const panel = reveal && panelStatus(record, assignment, facts.parameters);
    if (
      panel &&
      assignment.exceptions.length === 0 &&
      panel.answered < panel.quorum &&
      now <= panel.judgeBy &&
      panel.round < MAX_ROUNDS &&
      isMyTurn(facts, record, panel.deadline, `redraw ${assignment.index} ${panel.round}`) &&
      canDrawAgain(state, record, assignment, facts.hashes)
    ) {
      duties.push({ kind: "redraw", batchId, assignment: assignment.index });
    }
  }
  if (settleable.length > 0) duties.push({ kind: "settle", batchId, assignments: settleable });
  return duties;
}

/**
 * After which second anybody may settle an assignment; undefined while that is not known, and where it is contended: that
 * ends otherwise.
 */
export function settleableFrom(
  state: MarketState,
  record: BatchRecord,
  assignment: AssignmentRecord,
  facts: Pick<ComputeFacts, "parameters" | "hashes">,
): number | undefined {
  const { terms, seal, reveal, judged } = record;
  const { windows } = terms;
  if (assignment.status === "contended") return undefined;
  if (terms.mode === "trusted") return assignment.submission ? 0 : undefined;
  if (!seal) return undefined;
  if (!reveal) return seal.at + windows.reveal;
  if (sampledCountOf(record, assignment) === 0) return judged ? 0 : reveal.at + windows.check + windows.judge;
  const panel = panelStatus(record, assignment, facts.parameters);
  if (!panel) return undefined;
  if (panel.answered >= panel.quorum) {
    // Until then anybody can call on the panel to open.
    if (!judged) return panel.judgeBy + windows.challenge;
    return panel.answered >= panel.needed ? 0 : panel.deadline;
  }
  const over = panel.round === MAX_ROUNDS || !canDrawAgain(state, record, assignment, facts.hashes);
  return over ? panel.deadline : panel.judgeBy;
}

/** A claim worth making on a batch, and the stake it takes. */
function claimOn(
  record: BatchRecord,
  facts: ComputeFacts,
  freeStake: bigint,
): { duty: ComputeDuty; stake: bigint } | undefined {
  const { me, now, policy } = facts;
  const { id: batchId, terms, price, seal } = record;
  if (seal || now > record.postedAt + terms.windows.claim || price < policy.minPrice) return undefined;
  const permitted = terms.mode === "trusted" ? terms.allowed.includes(me) : !terms.excluded.includes(me);
  // One slice of a batch at a time: the rest is for others, and results are worth more from many.
  const busy = record.assignments.some((one) => one.node === me && one.status === "claimed");
  // What it could not do in time it would not do a second time, and be fined again.
  const failed = record.assignments.some((one) => one.abandoned.some(({ node }) => node === me));
  if (!permitted || busy || failed) return undefined;
  const lock = (count: number): bigint => lockOf(terms, price, count);
  const abandoned = record.assignments.find(
    (one) =>
      (one.status === "void" || (one.status === "claimed" && now > one.deadline)) && lock(one.count) <= freeStake,
  );
  if (abandoned)
    return { duty: { kind: "reclaim", batchId, assignment: abandoned.index }, stake: lock(abandoned.count) };
  const bounds = sliceBounds(record);
  const { least } = bounds;
  // More than a commitment holds could never be submitted.
  const most = Math.min(bounds.most, MAX_TASKS);
  if (most === 0 || least > most || lock(least) > freeStake) return undefined;
  const affordable = lock(most) <= freeStake ? most : Number(freeStake / price);
  return { duty: { kind: "claim", batchId, count: affordable }, stake: lock(affordable) };
}

function hasInterest({ assignments }: BatchRecord, me: string): boolean {
  return assignments.some(({ node, answers }) => node === me || answers.some((answer) => answer.node === me));
}
