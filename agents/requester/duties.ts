import { canAppeal, dueStep, effectiveRuling, membersOf, type DueStep } from "#sdk/dispute.ts";
import {
  canDrawAgain,
  canDrawJuror,
  jurorsDrawn,
  panelStatus,
  payOf,
  phaseOf,
  type AnswerRecord,
  type AssignmentRecord,
  type BatchRecord,
  type MarketState,
  type PanelStatus,
} from "#sdk/market-state.ts";
import { contestBond, juryBond, MAX_ROUNDS, reserve } from "#sdk/pricing.ts";
import { entropy, sampledCount } from "#sdk/sampling.ts";
import type { Parameters } from "#sdk/terms.ts";
import { accusesPrimary, compare, type Comparison, type MemberResults, type OddMember } from "./comparison.ts";

/** An exception to list. */
export interface ExceptionDuty {
  assignment: number;
  verdict: "primary-differs" | "seat-differs" | "no-majority";
  witness: number;
  round: number;
  seat: number;
}

/** What a requester ought to do now about one batch. Amounts are base units of its available money. */
export type RequesterDuty =
  | { kind: "expire"; batchId: string; assignment: number }
  | { kind: "seal"; batchId: string }
  | { kind: "reveal"; batchId: string }
  /** Where nothing is sampled: reveal, and settle everything in the same transaction. */
  | { kind: "reveal-and-settle"; batchId: string; assignments: number[] }
  | { kind: "escalate"; batchId: string; assignment: number }
  | { kind: "redraw"; batchId: string; assignment: number }
  /** `locks` is what backs the exceptions beyond the batch's bond. */
  | { kind: "judge"; batchId: string; exceptions: ExceptionDuty[]; last: boolean; locks: bigint }
  | { kind: "settle"; batchId: string; assignments: number[] }
  | {
      kind: "contest";
      batchId: string;
      assignment: number;
      matter: "work" | "delivery";
      task: number;
      member: number;
      locks: bigint;
    }
  /** Show what a member committed to for the dispute's task. */
  | { kind: "open"; batchId: string; assignment: number; member: number }
  | { kind: "appeal"; batchId: string; assignment: number; locks: bigint }
  | { kind: DueStep; batchId: string; assignment: number }
  /** Nothing to be sent: what there is does not pay for what these deserve; `missing` would. */
  | { kind: "short"; batchId: string; assignments: number[]; missing: bigint };

/** What became of reading what a member submitted. */
export interface Reading {
  /**
   * - `pending`: still being fetched.
   * - `complete`: everything is here and is what it should be; of the primary the outputs too.
   * - `garbage`: it is provably not what it should be.
   * - `withheld`: nobody served it for as long as the requester's patience lasts.
   */
  delivery: "pending" | "complete" | "garbage" | "withheld";
  /** Digests by task, as soon as the manifest is read. */
  digests?: ReadonlyMap<number, string>;
  /** A task of the primary whose output, though it is what it committed to, no program can have written. */
  impossible?: number;
}

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
  /** By {@link readingKey}; one that is not in it is `pending`. */
  readings: ReadonlyMap<string, Reading>;
  /** Digests of tasks of the batch that the requester ran itself. */
  known: ReadonlyMap<number, string>;
  /** It is still running some. */
  isRunning: boolean;
  /** What it has available in the market, and in its wallet, base units. */
  budget: bigint;
}

/** Most assignments in one transaction, so that it fits a block. */
const MOST_AT_ONCE = 50;

/** Under which key a member's reading is found: what it submitted is another thing after a reorganisation. */
export function readingKey(
  { index }: Pick<AssignmentRecord, "index">,
  { node, root, content }: Pick<AnswerRecord, "node" | "root" | "content">,
): string {
  return `${index}:${node}:${root}:${content}`;
}

/**
 * What a requester ought to do about a batch of its own. Pure: the same facts give the same duties.
 *
 * It judges on final answers only, settles nothing before it has everything it pays for, and lists every exception
 * before it settles anything.
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
  const isHalfOver = facts.now > seal.at + terms.windows.reveal / 2;
  if (seal.entropyBlock > facts.finalBlock && !isHalfOver) return [];
  const blockHash = captured ?? facts.hashes.get(seal.entropyBlock);
  if (!blockHash) return [];
  const chosen = entropy(facts.seedOf(record), blockHash, batchId);
  const open = record.assignments.filter(({ status }) => status === "submitted");
  const nothingSampled = open.every((assignment) => sampledCount(chosen, assignment, terms.rate) === 0);
  if (nothingSampled && open.length <= MOST_AT_ONCE) {
    // What is settled can never be contested.
    const isPending = (one: AssignmentRecord): boolean =>
      facts.isRunning || primaryOf(one, facts).delivery === "pending";
    if (open.some(isPending) && !isHalfOver) return [];
    const isFine = (one: AssignmentRecord): boolean =>
      !isPending(one) && primaryOf(one, facts).delivery === "complete" && wrongTask(one, facts) === undefined;
    if (open.every(isFine))
      return [{ kind: "reveal-and-settle", batchId, assignments: open.map(({ index }) => index) }];
  }
  return [{ kind: "reveal", batchId }];
}

/** What is to be done about one submitted assignment. */
type Judgment =
  | { kind: "wait" | "accept" | "escalate" | "redraw" }
  | { kind: "except"; comparison: Exclude<Comparison, { kind: "agree" }> }
  | { kind: "contest"; matter: "work" | "delivery"; task: number; member: number };

function afterReveal(state: MarketState, record: BatchRecord, facts: RequesterFacts): RequesterDuty[] {
  const { id: batchId, terms, reveal } = record;
  const duties: RequesterDuty[] = [];
  const accepted: AssignmentRecord[] = [];
  const claims: Claim[] = [];
  let { budget } = facts;
  let undecided = 0;
  for (const assignment of record.assignments) {
    if (assignment.status === "contended") {
      const steps = inDispute(state, record, assignment, { ...facts, budget });
      for (const step of steps) if (step.kind === "appeal") budget -= step.locks;
      duties.push(...steps);
      continue;
    }
    if (assignment.status !== "submitted") continue;
    const judgment = judge(state, record, assignment, facts);
    if (judgment.kind === "accept") accepted.push(assignment);
    else if (judgment.kind === "except" || judgment.kind === "contest")
      claims.push(claimOf(record, assignment, judgment, facts));
    else {
      undecided += 1;
      if (judgment.kind !== "wait") duties.push({ kind: judgment.kind, batchId, assignment: assignment.index });
    }
  }

  const { backed, unbacked, missing } = fit(claims, budget);
  if (missing > 0n) {
    duties.push({ kind: "short", batchId, assignments: unbacked.map(({ assignment }) => assignment.index), missing });
    // Money may still come; a requester that has none until the end pays as if all were well.
    for (const { assignment } of unbacked) {
      if (isNearlyOver(record, assignment, facts)) accepted.push(assignment);
      else undecided += 1;
    }
  }
  const contests = backed.flatMap(({ assignment: { index }, judgment, locks }) =>
    judgment.kind === "contest" ? [{ ...judgment, batchId, assignment: index, locks }] : [],
  );
  duties.push(...contests);
  const excepted = backed.filter(({ judgment }) => judgment.kind === "except");
  const listed = thatFit(excepted);
  if (listed.length > 0) {
    // What is settled in the same breath needs no second look, so `last` only spares others the wait.
    duties.push({
      kind: "judge",
      batchId,
      exceptions: listed.flatMap(exceptionsOf),
      last: undecided === 0 && contests.length === 0 && listed.length === excepted.length,
      locks: listed.reduce((sum, { locks }) => sum + locks, 0n),
    });
  }
  // Settled together where nothing is left to wait for: a transaction for each would cost more than it brings forward.
  // But not later than the check window, or who waits longer than the judge window could call the requester silent.
  const checkedBy = (reveal?.at ?? 0) + terms.windows.check;
  if (undecided === 0 || facts.now > checkedBy) duties.push(...settle(record, accepted));
  return duties;
}

/** Whether there is hardly time left to judge. What a requester still does not know then, it pays for. */
function isNearlyOver(record: BatchRecord, assignment: AssignmentRecord, { now, parameters }: RequesterFacts): boolean {
  const { judge: window } = record.terms.windows;
  return now > judgeBy(record, panelStatus(record, assignment, parameters)) - window / 4;
}

/** Until when an assignment can be excepted or contested, seconds; also where nothing is sampled. */
function judgeBy({ reveal, terms }: BatchRecord, panel: PanelStatus | undefined): number {
  return panel?.judgeBy ?? (reveal?.at ?? 0) + terms.windows.check + terms.windows.judge;
}

/** Who may be read, compared and contested. */
function judge(state: MarketState, record: BatchRecord, assignment: AssignmentRecord, facts: RequesterFacts): Judgment {
  const { now, finalBlock, parameters, hashes } = facts;
  const { terms } = record;
  const panel = panelStatus(record, assignment, parameters);
  const isFull = !panel || panel.answered >= panel.needed;
  if (panel && !isFull && now <= panel.deadline) return { kind: "wait" };
  const mayDraw =
    panel !== undefined &&
    panel.round < MAX_ROUNDS &&
    now <= panel.judgeBy &&
    canDrawAgain(state, record, assignment, hashes);
  if (panel && panel.answered < panel.quorum) return { kind: mayDraw ? "redraw" : "accept" };
  if (record.judged || now > judgeBy(record, panel)) return { kind: "accept" };
  // Judging on what a reorganisation may still take back would accuse somebody of what is not on chain.
  const members = membersOf(assignment);
  const unknown: Judgment = { kind: isNearlyOver(record, assignment, facts) ? "accept" : "wait" };
  if (!members.every(({ block }) => block <= finalBlock)) return unknown;

  const readings = members.map((member) => facts.readings.get(readingKey(assignment, member)) ?? PENDING);
  const read = members.flatMap((member, number): MemberResults[] => {
    const { digests } = readings[number]!;
    return digests ? [{ member: number === 0 ? "primary" : seatOf(member), node: member.node, digests }] : [];
  });
  const isReading = readings.some(({ delivery, digests }) => !digests && delivery === "pending");
  const comparison = panel && !isReading ? compare(read, panel.tasks, terms.quorum, facts.known) : undefined;
  if (comparison?.kind === "differ" && accusesPrimary(comparison.odd)) return { kind: "except", comparison };

  const contest = (matter: "work" | "delivery", task: number, member: number): Judgment =>
    // Without a jury whoever is contested only has to say that all is well.
    canDrawJuror(state, record, assignment, hashes) ? { kind: "contest", matter, task, member } : { kind: "accept" };
  const wrong = wrongTask(assignment, facts);
  if (wrong !== undefined) return contest("work", wrong, 0);
  const { delivery, digests } = readings[0]!;
  const isDelivered = delivery !== "garbage" && delivery !== "withheld";
  if (!isDelivered && !digests) return contest("delivery", 0, 0);
  if (isReading) return unknown;

  if (panel && comparison) {
    const unread = readings.findIndex((reading) => !reading.digests);
    // Who cannot be read may agree with anybody, so nothing is said of a panel that its answer would decide.
    const isDecided = comparison.kind === "differ" || (comparison.kind === "agree" && read.length > panel.quorum);
    if (comparison.kind !== "agree" || !isDecided) {
      if (terms.adaptive && !panel.escalated && panel.round < MAX_ROUNDS) return { kind: "escalate" };
      if (!isDecided && !isFull && mayDraw) return { kind: "redraw" };
      if (!isDecided && unread >= 0) return contest("delivery", 0, unread);
      // Its whole pay weighs more than a verifier's.
      if (comparison.kind === "differ" && !isDelivered) return contest("delivery", 0, 0);
      if (comparison.kind !== "agree") return { kind: "except", comparison };
    }
  }
  if (!isDelivered) return contest("delivery", 0, 0);
  return delivery === "pending" || facts.isRunning ? unknown : { kind: "accept" };
}

const PENDING: Reading = { delivery: "pending" };

function primaryOf(assignment: AssignmentRecord, { readings }: RequesterFacts): Reading {
  const [primary] = membersOf(assignment);
  return (primary && readings.get(readingKey(assignment, primary))) ?? PENDING;
}

/** A task of which the requester knows that the primary's result is wrong. */
function wrongTask(assignment: AssignmentRecord, facts: RequesterFacts): number | undefined {
  const { digests, impossible } = primaryOf(assignment, facts);
  if (impossible !== undefined) return impossible;
  return [...facts.known].find(([task, right]) => digests?.has(task) && digests.get(task) !== right)?.[0];
}

// --- What it costs to be right

/** Something against an assignment that money must back. */
interface Claim {
  assignment: AssignmentRecord;
  judgment: Extract<Judgment, { kind: "except" | "contest" }>;
  locks: bigint;
  /** What it may bring back. */
  worth: bigint;
}

function claimOf(
  record: BatchRecord,
  assignment: AssignmentRecord,
  judgment: Claim["judgment"],
  { parameters }: RequesterFacts,
): Claim {
  const { terms, price } = record;
  if (judgment.kind === "contest") {
    const worth = payOf(record, assignment, judgment.member);
    return { assignment, judgment, locks: contestBond(terms, worth, parameters), worth };
  }
  const { comparison } = judgment;
  const locks = reserve(terms, price, assignment.count, parameters).beyondBond;
  const isPrimary = comparison.kind === "no-majority" || accusesPrimary(comparison.odd);
  return { assignment, judgment, locks, worth: payOf(record, assignment, isPrimary ? 0 : 1) };
}

/** Backs what brings back most, as far as the money goes. */
function fit(claims: readonly Claim[], budget: bigint): { backed: Claim[]; unbacked: Claim[]; missing: bigint } {
  const order = claims.toSorted((a, b) => (a.worth === b.worth ? 0 : a.worth > b.worth ? -1 : 1));
  const taken = new Set<Claim>();
  let left = budget;
  for (const claim of order) {
    if (claim.locks > left) continue;
    left -= claim.locks;
    taken.add(claim);
  }
  const unbacked = claims.filter((claim) => !taken.has(claim));
  const needed = unbacked.reduce((sum, { locks }) => sum + locks, 0n);
  return {
    backed: claims.filter((claim) => taken.has(claim)),
    unbacked,
    missing: unbacked.length === 0 ? 0n : needed - left,
  };
}

/** As many as one transaction takes: all of an assignment's exceptions at once, for no more come once it is challenged. */
function thatFit(excepted: readonly Claim[]): Claim[] {
  const listed: Claim[] = [];
  let count = 0;
  for (const claim of excepted) {
    count += exceptionsOf(claim).length;
    if (count > MOST_AT_ONCE && listed.length > 0) break;
    listed.push(claim);
  }
  return listed;
}

function exceptionsOf({ assignment: { index }, judgment }: Claim): ExceptionDuty[] {
  if (judgment.kind === "contest") return [];
  const { comparison } = judgment;
  const { witness } = comparison;
  if (comparison.kind === "no-majority") {
    return [{ assignment: index, verdict: "no-majority", witness, round: 0, seat: 0 }];
  }
  return comparison.odd.map(({ member }) => exceptionOf(index, member, witness));
}

function exceptionOf(assignment: number, member: OddMember["member"], witness: number): ExceptionDuty {
  if (member === "primary") return { assignment, verdict: "primary-differs", witness, round: 0, seat: 0 };
  return { assignment, verdict: "seat-differs", witness, ...member };
}

function seatOf({ round, seat }: AnswerRecord): { round: number; seat: number } {
  return { round, seat };
}

// --- Disputes

/** What is due for a contended assignment. */
function inDispute(
  state: MarketState,
  record: BatchRecord,
  assignment: AssignmentRecord,
  facts: RequesterFacts,
): RequesterDuty[] {
  const { id: batchId } = record;
  const { index, dispute } = assignment;
  const place = { batchId, assignment: index };
  const duties: RequesterDuty[] = openable(assignment, facts).map((member) => ({ kind: "open", ...place, member }));
  if (dispute && mustAppeal(state, record, assignment, facts)) {
    const locks = juryBond(record.terms, dispute.tier + 1);
    if (locks <= facts.budget) duties.push({ kind: "appeal", ...place, locks });
    else duties.push({ kind: "short", batchId, assignments: [index], missing: locks - facts.budget });
  }
  const step = dueStep(record, assignment, facts);
  // To convene nobody would be refused, again and again.
  const isEmpty = step === "convene" && !jurorsDrawn(state, record, assignment, facts.hashes)?.length;
  if (step && !isEmpty) duties.push({ kind: step, ...place });
  return duties;
}

/** Members whose commitment can be shown now, by numbers: so that nobody hides behind silence. */
function openable(assignment: AssignmentRecord, { now, readings }: RequesterFacts): number[] {
  const { dispute } = assignment;
  if (!dispute || now > dispute.deadline) return [];
  const stage = dispute.matter === "work" ? "showing" : "opening";
  if (dispute.stage !== stage) return [];
  return membersOf(assignment).flatMap((member, number) => {
    const isKnown = readings.get(readingKey(assignment, member))?.digests?.has(dispute.task);
    return isKnown && !dispute.openings.has(number) ? [number] : [];
  });
}

function mustAppeal(
  state: MarketState,
  record: BatchRecord,
  assignment: AssignmentRecord,
  facts: RequesterFacts,
): boolean {
  const { dispute } = assignment;
  if (!dispute || !canAppeal(assignment, facts.now) || !contradicts(assignment, facts)) return false;
  // A ruling that a reorganisation takes back is none; to miss the window over it would be worse.
  const isFinal = dispute.since.block <= facts.finalBlock;
  const isHalfOver = facts.now > dispute.deadline - record.terms.windows.challenge / 2;
  return (isFinal || isHalfOver) && canDrawJuror(state, record, assignment, facts.hashes);
}

/** Whether what rules now is not what the requester found when it ran the task itself. */
function contradicts(assignment: AssignmentRecord, facts: RequesterFacts): boolean {
  const { dispute } = assignment;
  const right = dispute && facts.known.get(dispute.task);
  if (!dispute || right === undefined || dispute.matter === "delivery") return false;
  const ruling = effectiveRuling(dispute);
  if (ruling !== undefined) return ruling !== right;
  // Where nobody ruled an exception stands, and a contest falls.
  return dispute.matter === "work" && primaryOf(assignment, facts).digests?.get(dispute.task) !== right;
}

function settle({ id: batchId }: BatchRecord, assignments: readonly AssignmentRecord[]): RequesterDuty[] {
  const open = assignments.filter(({ status }) => status === "submitted").map(({ index }) => index);
  const duties: RequesterDuty[] = [];
  for (let from = 0; from < open.length; from += MOST_AT_ONCE) {
    duties.push({ kind: "settle", batchId, assignments: open.slice(from, from + MOST_AT_ONCE) });
  }
  return duties;
}
