import { ZeroHash } from "ethers";
import {
  accusedOf,
  appealTerms,
  canChallenge,
  challengeBy,
  dueStep,
  effectiveRuling,
  memberNumber,
  mustOpen,
  standing,
  type DisputeRecord,
  type DueStep,
} from "#sdk/dispute.ts";
import {
  canCallPanel,
  canDrawJuror,
  jurorsDrawn,
  panelStatus,
  payOf,
  type AssignmentRecord,
  type BatchRecord,
  type MarketState,
} from "#sdk/market-state.ts";
import { memberLock, slashOf } from "#sdk/pricing.ts";
import { isContest, type Matter } from "#sdk/terms.ts";
import { isMyTurn, partOf, UNUSED_AFTER, type ComputeFacts, type Part } from "./facts.ts";

/** A task of one's own part, to be run again before anything is staked on it. */
export interface Check extends Part {
  kind: "check";
  task: number;
}

/** A seat of a jury: the task is to be run, or the delivery looked at, and a ballot cast. */
export interface Vote {
  kind: "vote";
  batchId: string;
  assignment: number;
  tier: number;
  seat: number;
  matter: Matter;
  task: number;
  /** When the casting began and ends, seconds. */
  since: number;
  deadline: number;
}

/** What a compute node ought to do about a disputed assignment. Amounts are base units of its stake. */
export type DisputeDuty =
  | Check
  | Vote
  | { kind: "challenge"; batchId: string; assignment: number; bond: bigint; deadline: number }
  | { kind: "call-panel"; batchId: string; assignment: number; deadline: number }
  | (Part & { kind: "answer-contest"; matter: Matter; deadline: number })
  | (Part & { kind: "open"; member: number; task: number; deadline: number })
  | { kind: "show"; batchId: string; assignment: number; tier: number; seat: number; task: number; deadline: number }
  | { kind: "appeal"; batchId: string; assignment: number; tier: number; bond: bigint; deadline: number }
  | { kind: DueStep; batchId: string; assignment: number };

/**
 * How sure a node is, in percent, that a jury will say what it has found twice: of the first jury very, since a panel can
 * be bought or broken; of the second no more than not, once a first one has said something else.
 */
const CERTAINTY = { first: 90n, second: 50n };

/** What of the node's stake a duty takes, base units. */
export function stakeFor({ terms }: Pick<BatchRecord, "terms">, duty: DisputeDuty): bigint {
  if (duty.kind === "vote") return terms.slashAmount;
  return duty.kind === "challenge" || duty.kind === "appeal" ? duty.bond : 0n;
}

/**
 * What a compute node ought to do about one assignment that is disputed, or could be. Pure.
 *
 * It stands by a result only after it has run the task again and found the same. Nothing that cannot be taken back, an
 * opening, a ballot's value, the key to its results, leaves before the step that asks for it is final, unless half of the
 * time for it has passed.
 */
export function disputeDuties(
  state: MarketState,
  record: BatchRecord,
  assignment: AssignmentRecord,
  facts: ComputeFacts,
): DisputeDuty[] {
  const member = memberNumber(assignment, facts.me);
  if (assignment.status === "submitted") return member === undefined ? [] : callPanel(record, assignment, facts);
  if (assignment.status !== "contended") return [];
  const { dispute } = assignment;
  return [
    ...(member === undefined ? [] : asMember(state, record, assignment, member, facts)),
    ...(dispute ? asJuror(state, record, assignment, dispute, facts) : []),
    ...moveOn(state, record, assignment, member, facts),
  ];
}

/** Where the requester is silent, the members compare their results themselves. */
function callPanel(record: BatchRecord, assignment: AssignmentRecord, facts: ComputeFacts): DisputeDuty[] {
  const panel = panelStatus(record, assignment, facts.parameters);
  if (!panel || !canCallPanel(record, assignment, panel, facts.now)) return [];
  if (!isMyTurn(facts, record, panel.judgeBy, `call ${assignment.index}`)) return [];
  const deadline = panel.judgeBy + record.terms.windows.challenge;
  return [{ kind: "call-panel", ...placeOf(record, assignment), deadline }];
}

function asMember(
  state: MarketState,
  record: BatchRecord,
  assignment: AssignmentRecord,
  member: number,
  facts: ComputeFacts,
): DisputeDuty[] {
  const part = partOf(record, assignment, member, facts);
  const { dispute } = assignment;
  if (!part) return [];
  if (!dispute) return challenge(record, assignment, member, part, facts);
  const { stage, deadline, task, matter } = dispute;
  if (mustOpen(assignment, member, facts.now))
    return isSafe(dispute, facts) ? [{ kind: "open", ...part, member, task, deadline }] : [];
  if (stage === "answering" && member === dispute.member && facts.now <= deadline) {
    // Whoever answers for a wrong result loses its lock; who does not, only its pay.
    return standBy(part, dispute, facts, () =>
      isSafe(dispute, facts) ? [{ kind: "answer-contest", ...part, matter, deadline }] : [],
    );
  }
  if (stage !== "ruled" || standing(record, assignment, member) === "paid") return [];
  // Who did not open when called loses its pay, whatever a jury says.
  const mayStillOpen = isContest(matter);
  if (!mayStillOpen && !dispute.openings.has(member)) return [];
  const appeal = appealOf(state, record, assignment, dispute, worthOf(record, assignment, member), facts);
  return appeal ? standBy(part, dispute, facts, () => (isTimeFor(appeal, record, dispute, facts) ? [appeal] : [])) : [];
}

/** Whether to object to an exception, and at what price. */
function challenge(
  record: BatchRecord,
  assignment: AssignmentRecord,
  member: number,
  part: Part,
  facts: ComputeFacts,
): DisputeDuty[] {
  const { terms } = record;
  const last = assignment.exceptions.at(-1);
  if (!last || !canChallenge(record, assignment, facts.now)) return [];
  if (standing(record, assignment, member) === "paid") return [];
  const accused = accusedOf(assignment);
  const bond = accused.includes(member) ? 0n : facts.parameters.challengeBond;
  if (bond > facts.uncommitted) return [];
  if (!pays(worthOf(record, assignment, member), bond, CERTAINTY.first)) return [];
  const deadline = last.at + terms.windows.challenge;
  // Whoever comes first does it for all that are concerned.
  const alone = accused.length === 1;
  const isDue =
    alone || presses(last.at, deadline, facts) || isMyTurn(facts, record, last.at, `challenge ${assignment.index}`);
  return standBy(part, { task: last.witness }, facts, () =>
    isDue ? [{ kind: "challenge", ...placeOf(record, assignment), bond, deadline }] : [],
  );
}

type Appeal = DisputeDuty & { kind: "appeal" };

/** An appeal that is worth its price, if there is one. */
function appealOf(
  state: MarketState,
  record: BatchRecord,
  assignment: AssignmentRecord,
  dispute: DisputeRecord,
  worth: bigint,
  facts: ComputeFacts,
): Appeal | undefined {
  const price = appealTerms(record, assignment, facts.me, facts.now);
  if (!price) return undefined;
  const { tier } = price;
  const bond = price.from === "lock" ? 0n : price.bond;
  if (bond > facts.uncommitted) return undefined;
  const wasHeard = dispute.rulings.slice(1).some((ruling) => ruling !== ZeroHash);
  if (!pays(worth, bond, wasHeard ? CERTAINTY.second : CERTAINTY.first)) return undefined;
  // The market refuses where nobody is left to sit on a jury.
  if (!canDrawJuror(state, record, assignment, facts.hashes)) return undefined;
  return { kind: "appeal", ...placeOf(record, assignment), tier, bond, deadline: dispute.deadline };
}

/** Who must put up a bond leaves others a little time to do so. */
function isTimeFor(
  { bond, assignment, tier }: Appeal,
  record: BatchRecord,
  dispute: DisputeRecord,
  facts: ComputeFacts,
): boolean {
  const { since, deadline } = dispute;
  if (bond === 0n || presses(since.at, deadline, facts)) return true;
  return isMyTurn(facts, record, since.at, `appeal ${assignment} ${tier}`);
}

function asJuror(
  state: MarketState,
  record: BatchRecord,
  assignment: AssignmentRecord,
  dispute: DisputeRecord,
  facts: ComputeFacts,
): DisputeDuty[] {
  const { me, now } = facts;
  const { stage, tier, deadline, matter, task, since } = dispute;
  const jury = dispute.juries.at(-1);
  if (!jury) return [];
  const place = placeOf(record, assignment);
  if (stage === "casting" && now <= deadline) {
    return seatsToCast(state, record, assignment, dispute, facts).map((seat) => ({
      kind: "vote",
      ...place,
      tier,
      seat,
      matter,
      task,
      since: since.at,
      deadline,
    }));
  }
  const own = jury.jurors.filter(({ node, cast }) => node === me && cast);
  if (stage === "showing" && now <= deadline && isSafe(dispute, facts)) {
    return own
      .filter(({ value }) => value === undefined)
      .map(({ seat }) => ({ kind: "show", ...place, tier, seat, task, deadline }));
  }
  if (stage === "ruled") {
    // A jury that ruled against one of its members takes its lock; over a delivery it costs its pay, and a few wages.
    const ruling = dispute.rulings[tier] === ZeroHash ? undefined : effectiveRuling(dispute);
    const differs = own.some(({ digest }) => digest !== undefined && ruling !== undefined && digest !== ruling);
    const { terms } = record;
    const lost = matter === "delivery" ? 0n : slashOf(terms, terms.slashAmount, 0).penalty;
    const worth = lost + terms.verifierPrice;
    const appeal = differs ? appealOf(state, record, assignment, dispute, worth, facts) : undefined;
    return appeal && isTimeFor(appeal, record, dispute, facts) ? [appeal] : [];
  }
  return [];
}

/** Seats of the casting jury that the node holds and has not cast from; one at most. */
function seatsToCast(
  state: MarketState,
  record: BatchRecord,
  assignment: AssignmentRecord,
  dispute: DisputeRecord,
  { me, hashes }: ComputeFacts,
): number[] {
  const jury = dispute.juries.at(-1)!;
  const drawn = jury.convened ? [] : jurorsDrawn(state, record, assignment, hashes);
  if (!drawn) return [];
  const replaced = new Set(drawn.map(({ seat }) => seat));
  const held = jury.jurors.filter(({ seat, cast, exposed }) => !cast && !exposed && !replaced.has(seat));
  return [...held, ...drawn].filter(({ node }) => node === me).map(({ seat }) => seat);
}

/** What anybody may do, where this node's pay or lock waits for it. */
function moveOn(
  state: MarketState,
  record: BatchRecord,
  assignment: AssignmentRecord,
  member: number | undefined,
  facts: ComputeFacts,
): DisputeDuty[] {
  const { dispute, index } = assignment;
  const served = dispute?.juries.some(({ jurors }) => jurors.some(({ node, cast }) => node === facts.me && cast));
  if (member === undefined && !served) return [];
  const kind = dueStep(record, assignment, facts);
  // Whoever is to lose its lock may have to move on before it can appeal, but has nothing to gain by the end.
  const loses = member !== undefined && standing(record, assignment, member) === "slashed";
  if (!kind || (loses && kind === "conclude")) return [];
  const step: DisputeDuty = { kind, ...placeOf(record, assignment) };
  if (!dispute) return isMyTurn(facts, record, challengeBy(record, assignment)!, `conclude ${index}`) ? [step] : [];
  const { stage, tier, deadline, since, changedAt } = dispute;
  if (kind === "convene") {
    // Who casts first draws the jury too. But if nobody does, somebody must before the chain forgets the block's hash.
    const isForgotten = facts.block > dispute.juries.at(-1)!.entropyBlock + UNUSED_AFTER;
    return isForgotten && (jurorsDrawn(state, record, assignment, facts.hashes)?.length ?? 0) > 0 ? [step] : [];
  }
  // A final ruling has no deadline.
  const from = deadline === 0 ? since.at : facts.now > deadline ? deadline : changedAt;
  return isMyTurn(facts, record, from, `${kind} ${index} ${stage} ${tier}`) ? [step] : [];
}

/** Does something only if running the task again gave what was committed to; first it must be run again. */
function standBy(
  part: Part,
  { task, matter }: { task: number; matter?: Matter },
  facts: ComputeFacts,
  duties: () => DisputeDuty[],
): DisputeDuty[] {
  // That something was delivered is nothing that can be computed.
  const agrees = matter === "delivery" || facts.agrees(part, task);
  if (agrees === undefined) return [{ kind: "check", ...part, task }];
  return agrees ? duties() : [];
}

/** What a member gains, base units, if it turns out to be right and not as things stand. */
function worthOf(record: BatchRecord, assignment: AssignmentRecord, member: number): bigint {
  const { terms, price } = record;
  const lock = memberLock(terms, price, assignment.count, member);
  const risked = standing(record, assignment, member) === "slashed" ? slashOf(terms, lock, 0).penalty : 0n;
  // Somebody else is wrong then, most likely: of its lock a share goes to the others.
  const share = slashOf(terms, terms.slashAmount, assignment.answers.length).each;
  return payOf(record, assignment, member) + risked + share;
}

function pays(worth: bigint, bond: bigint, certainty: bigint): boolean {
  return worth * certainty > bond * (100n - certainty);
}

/** Whether what a step asks for can be given away: not before no reorganisation can undo the step. */
function isSafe({ since, deadline }: DisputeRecord, facts: ComputeFacts): boolean {
  return since.block <= facts.finalBlock || presses(since.at, deadline, facts);
}

/** Whether half of the time for something has passed. */
function presses(from: number, deadline: number, { now }: ComputeFacts): boolean {
  return now > (from + deadline) / 2;
}

function placeOf({ id }: BatchRecord, { index }: AssignmentRecord): { batchId: string; assignment: number } {
  return { batchId: id, assignment: index };
}
