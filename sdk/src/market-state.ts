import { ZeroHash } from "ethers";

import { applyDisputeEvent, type DisputeRecord } from "./dispute.ts";
import { canDraw, drawJury, drawPanel, FOREVER, seatsInFirstRound, type PanelRequest, type Slot } from "./draw.ts";
import type { SuretyEvent } from "./events.ts";
import { seatPay } from "./pricing.ts";
import { sampledCount, sampledTasks } from "./sampling.ts";
import type { Answer, Batch, Outcome, Parameters, Settlement, Submission, Terms, Verdict } from "./terms.ts";
import { contentHash } from "./terms.ts";

/** What a verifier answered from its seat. */
export interface AnswerRecord extends Answer {
  round: number;
  seat: number;
  /** Content id of the sealed manifest as on chain: 32 bytes, hexadecimal. */
  manifest: string;
  /** Sealed for the requester, hexadecimal. */
  envelope: string;
  /** Number of the block it is in. */
  block: number;
}

/** A draw of verifiers: 0 follows from the reveal; later ones from escalations and redraws. */
export interface RoundRecord {
  round: number;
  seats: number;
  /** When it was called for, seconds. */
  openedAt: number;
  /** Block whose hash decides the draw; of no meaning in round 0. */
  entropyBlock: number;
  /** That hash, once somebody stored it. */
  blockHash?: string;
  escalation: boolean;
}

/** An accusation by the requester. */
export interface ExceptionRecord {
  verdict: Verdict;
  /** Sampled task that shows it. */
  witness: number;
  /** Who differs; undefined where there is no majority. */
  accused?: string;
  /** Seconds. */
  at: number;
}

/** One slice of a batch and what became of it. */
export interface AssignmentRecord {
  index: number;
  /** `contended` from the first exception or the beginning of a dispute until it is settled. */
  status: "claimed" | "submitted" | "void" | "contended" | "settled";
  /** The primary: who claimed it last. */
  node: string;
  first: number;
  count: number;
  /** Until when it must be submitted, seconds. */
  deadline: number;
  /** What was submitted, with where to find it. */
  submission?: Submission & { manifest: string; envelope: string; block: number };
  /** Later rounds of its panel, 1 and up. */
  rounds: RoundRecord[];
  /** By round and seat. */
  answers: AnswerRecord[];
  exceptions: ExceptionRecord[];
  /** The one dispute that there can be, also when it is over. */
  dispute?: DisputeRecord;
  /** Seats that were fined for silence. */
  absent: { node: string; round: number; seat: number; fined: bigint }[];
  /** Fines for claims of this slice that were abandoned. */
  abandoned: { node: string; fined: bigint }[];
  /** `accused` has a bit for each member that was slashed, by its number. */
  outcome?: { outcome: Outcome; paid: bigint; accused: bigint; penalty: bigint; block: number };
}

/** A batch and everything its events say. */
export interface BatchRecord {
  id: string;
  batch: Batch;
  /** Of its job. */
  terms: Terms;
  /** Base units, for one task; differs from the terms' after a rebid. */
  price: bigint;
  escrow: bigint;
  bond: bigint;
  /** Seconds. */
  postedAt: number;
  postedBlock: number;
  seal?: { at: number; block: number; entropyBlock: number };
  /** The entropy block's hash, once somebody stored it. */
  captured?: string;
  reveal?: { at: number; seed: string; entropy: string; block: number };
  judged: boolean;
  /** Base units that silence has cost the requester. */
  bondBurned: bigint;
  closed?: { at: number; block: number };
  /** The assignment whose panel was called first because the requester did not judge: its members are paid of the bond. */
  called?: number;
  /** By index. */
  assignments: AssignmentRecord[];
  rebid: boolean;
}

/** A class and its pool. */
export interface ClassRecord {
  id: string;
  market: string;
  /** Base units that back a slot. */
  slotStake: bigint;
  /** Base units. */
  priceFloor: bigint;
  fullSlash: boolean;
  /** By place. */
  slots: (Slot | undefined)[];
}

/** A panel as the contracts see it: twin of `Panels.fill`. */
export interface PanelStatus {
  /** Indices in the batch of the tasks that every seat runs, in the order they are sampled. */
  tasks: number[];
  /** Verifiers that fill it. */
  needed: number;
  /** How many are enough once the clock has run out. */
  quorum: number;
  answered: number;
  /** The last round: 0 unless it was escalated or drawn again. */
  round: number;
  escalated: boolean;
  /** End of the last round's clock, seconds. */
  deadline: number;
  /** Until when exceptions can be listed, seconds. */
  judgeBy: number;
}

/** Where a batch stands; derived from its events and the clock. */
export type BatchPhase = "claiming" | "computing" | "sealed" | "silent" | "revealed" | "closed";

/**
 * Everything the market's events say, folded. Feed it with a follower; after a rewind, start a new one.
 *
 * @example
 * ```ts
 * const state = new MarketState(deployment.market);
 * for (const event of events) state.apply(event);
 * state.batches.get(batchId)?.assignments.length;
 * ```
 */
export class MarketState {
  /** Terms by job id. */
  readonly jobs = new Map<string, Terms>();
  /** By batch id, closed ones too. */
  readonly batches = new Map<string, BatchRecord>();
  /** By class id. */
  readonly classes = new Map<string, ClassRecord>();
  readonly #market: string;
  readonly #owners = new Map<string, string>();

  /** @param market Address of the market whose classes and batches are wanted. */
  constructor(market: string) {
    this.#market = market;
  }

  /** Batches that are not closed, oldest first. */
  get open(): BatchRecord[] {
    return [...this.batches.values()].filter((batch) => batch.closed === undefined);
  }

  /** Who disposes of `holder`'s account of `ledger` in its place; undefined if it is not entrusted to anybody. */
  ownerOf(ledger: string, holder: string): string | undefined {
    return this.#owners.get(`${ledger}:${holder}`);
  }

  /** Folds one event in. Events of batches it never saw posted are ignored. */
  apply(event: SuretyEvent): void {
    const { blockNumber: block, timestamp: at } = event;
    switch (event.name) {
      case "JobOpened":
        this.jobs.set(event.job, event.terms);
        return;
      case "BatchPosted": {
        const terms = this.jobs.get(event.job);
        if (!terms) return;
        this.batches.set(event.id, {
          id: event.id,
          batch: event.batch,
          terms,
          price: terms.price,
          escrow: event.escrow,
          bond: event.bond,
          postedAt: at,
          postedBlock: block,
          judged: false,
          bondBurned: 0n,
          assignments: [],
          rebid: false,
        });
        return;
      }
      case "ClassCreated": {
        if (event.market !== this.#market) return;
        const { slotStake, priceFloor, fullSlash } = event.terms;
        this.classes.set(event.class, {
          id: event.class,
          market: event.market,
          slotStake,
          priceFloor,
          fullSlash,
          slots: [],
        });
        return;
      }
      case "Joined": {
        const pool = this.classes.get(event.class);
        if (pool) pool.slots[event.slot] = { node: event.node, activeFrom: event.activeFrom, leftAt: FOREVER };
        return;
      }
      case "Left": {
        const slot = this.classes.get(event.class)?.slots[event.slot];
        if (slot) slot.leftAt = event.leftAt;
        return;
      }
      case "SlotFreed": {
        const pool = this.classes.get(event.class);
        if (pool) pool.slots[event.slot] = undefined;
        return;
      }
      case "Entrusted":
        this.#owners.set(`${event.ledger}:${event.holder}`, event.owner);
        return;
      default:
        this.#applyToBatch(event);
    }
  }

  #applyToBatch(event: SuretyEvent): void {
    if (!("id" in event)) return;
    const record = this.batches.get(event.id);
    if (!record) return;
    const { blockNumber: block, timestamp: at } = event;
    switch (event.name) {
      case "BatchRebid":
        record.price = event.price;
        record.rebid = true;
        return;
      case "Claimed": {
        const { assignment: index, node, first, count, deadline } = event;
        const abandoned = record.assignments[index]?.abandoned ?? [];
        const claim = { index, status: "claimed" as const, node, first, count, deadline };
        record.assignments[index] = { ...claim, rounds: [], answers: [], exceptions: [], absent: [], abandoned };
        return;
      }
      case "Sealed":
        record.seal = { at, block, entropyBlock: event.entropyBlock };
        return;
      case "EntropyCaptured":
        record.captured = event.entropyHash;
        return;
      case "Revealed":
        record.reveal = { at, block, seed: event.seed, entropy: event.entropy };
        return;
      case "Judged":
        record.judged = true;
        return;
      case "BondBurned":
        record.bondBurned = event.amount;
        return;
      case "BatchClosed":
        record.closed = { at, block };
        return;
      default:
        this.#applyToAssignment(record, event);
    }
  }

  #applyToAssignment(record: BatchRecord, event: SuretyEvent): void {
    if (!("assignment" in event)) return;
    const assignment = record.assignments[event.assignment];
    if (!assignment) return;
    const { blockNumber: block, timestamp: at } = event;
    switch (event.name) {
      case "Voided":
        assignment.status = "void";
        assignment.abandoned.push({ node: event.node, fined: event.fined });
        return;
      case "Submitted": {
        const { node, root, manifest, envelope } = event;
        const { first, count } = assignment;
        assignment.status = "submitted";
        assignment.submission = {
          node,
          first,
          count,
          root,
          content: contentHash(manifest, envelope),
          manifest,
          envelope,
          block,
        };
        return;
      }
      case "Answered": {
        const { node, round, seat, root, manifest, envelope } = event;
        const content = contentHash(manifest, envelope);
        assignment.answers.push({ node, root, content, round, seat, manifest, envelope, block });
        assignment.answers.sort((a, b) => a.round - b.round || a.seat - b.seat);
        return;
      }
      case "RoundOpened": {
        const { round, seats, entropyBlock, escalation } = event;
        assignment.rounds.push({ round, seats, openedAt: at, entropyBlock, escalation });
        return;
      }
      case "RoundCaptured": {
        const round = assignment.rounds.find((candidate) => candidate.round === event.round);
        if (round) round.blockHash = event.entropyHash;
        return;
      }
      case "Absent": {
        const { node, round, seat, fined } = event;
        assignment.absent.push({ node, round, seat, fined });
        return;
      }
      case "Excepted": {
        const { verdict, witness, accused } = event;
        assignment.status = "contended";
        assignment.exceptions.push({ verdict, witness, ...(verdict === "no-majority" ? {} : { accused }), at });
        return;
      }
      case "Settled": {
        const { outcome, paid, accused, penalty } = event;
        assignment.status = "settled";
        assignment.outcome = { outcome, paid, accused, penalty, block };
        return;
      }
      case "Claimed":
        // What made it.
        return;
      default:
        applyDisputeEvent(assignment, event);
        if (event.name === "Disputed" && event.matter === "silence") record.called ??= assignment.index;
    }
  }
}

/** Where a batch stands at `now` seconds. */
export function phaseOf(record: BatchRecord, now: number): BatchPhase {
  if (record.closed) return "closed";
  if (record.reveal) return "revealed";
  if (record.seal) return now > record.seal.at + record.terms.windows.reveal ? "silent" : "sealed";
  return now <= record.postedAt + record.terms.windows.claim && unclaimedOf(record) > 0 ? "claiming" : "computing";
}

/** Tasks of a batch that were never claimed. */
export function unclaimedOf({ batch, assignments }: BatchRecord): number {
  const last = assignments.at(-1);
  return batch.count - (last ? last.first + last.count : 0);
}

/** How many tasks one claim may take now: least and most; both 0 when none are left. */
export function sliceBounds(record: BatchRecord): { least: number; most: number } {
  const left = unclaimedOf(record);
  const least = Math.min(record.terms.minSlice, left);
  const share = Number((BigInt(record.batch.count) * BigInt(record.terms.maxShare)) / 1_000_000n);
  return { least, most: Math.min(Math.max(share, least), left) };
}

/** How many tasks of an assignment are sampled; 0 before the reveal. */
export function sampledCountOf({ reveal, terms }: BatchRecord, assignment: AssignmentRecord): number {
  return reveal ? sampledCount(reveal.entropy, assignment, terms.rate) : 0;
}

/**
 * What a member of an assignment's panel is paid if it was right, base units.
 *
 * @param member 0 the primary, i+1 whoever gave the i-th answer.
 */
export function payOf(record: BatchRecord, assignment: AssignmentRecord, member: number): bigint {
  if (member === 0) return BigInt(assignment.count) * record.price;
  return seatPay(record.terms, sampledCountOf(record, assignment));
}

/**
 * The panel of an assignment, as the contracts see it.
 *
 * @returns undefined before the reveal, and where nothing is sampled.
 */
export function panelStatus(
  { reveal, terms }: BatchRecord,
  assignment: AssignmentRecord,
  { drawDelay }: Pick<Parameters, "drawDelay">,
): PanelStatus | undefined {
  if (!reveal || terms.mode === "trusted" || sampledCount(reveal.entropy, assignment, terms.rate) === 0)
    return undefined;
  const { first, count, index } = assignment;
  const escalated = assignment.rounds.some((round) => round.escalation);
  const single = terms.adaptive && !escalated;
  const last = assignment.rounds.at(-1);
  const deadline = last ? last.openedAt + drawDelay + terms.windows.check : reveal.at + terms.windows.check;
  return {
    tasks: sampledTasks(reveal.entropy, { assignment: index, first, count }, terms.rate),
    needed: single ? 1 : terms.quorum - 1,
    quorum: single ? 1 : (terms.quorum - 1) / 2,
    answered: assignment.answers.length,
    round: last?.round ?? 0,
    escalated,
    deadline,
    judgeBy: deadline + terms.windows.judge,
  };
}

/**
 * Who was drawn for each round of an assignment's panel, by round and seat.
 *
 * @param hashes Hashes of entropy blocks by number, for rounds whose hash nobody stored yet; such a round is left out
 * while its hash is not among them.
 * @returns Nobody before the reveal.
 */
export function drawnFor(
  state: MarketState,
  record: BatchRecord,
  assignment: AssignmentRecord,
  hashes: ReadonlyMap<number, string>,
): string[][] {
  const pool = state.classes.get(record.terms.class)?.slots;
  const request = panelRequest(record, assignment, hashes);
  return pool && request ? drawPanel(pool, request).drawn : [];
}

/** Whether anybody is left to draw after the rounds an assignment's panel had. */
export function canDrawAgain(
  state: MarketState,
  record: BatchRecord,
  assignment: AssignmentRecord,
  hashes: ReadonlyMap<number, string>,
): boolean {
  const pool = state.classes.get(record.terms.class)?.slots;
  const request = panelRequest(record, assignment, hashes);
  return pool !== undefined && request !== undefined && canDraw(pool, request);
}

/**
 * Who is drawn by the newest call for a jury: for all its seats, or for those that stayed empty, which keep their jurors
 * if nobody is left to draw.
 *
 * @param hashes Hashes of entropy blocks by number; see {@link drawnFor}.
 * @returns Also before anybody convened it; undefined after that, if no jury is casting, or while the hash of its block
 * is not among them.
 */
export function jurorsDrawn(
  state: MarketState,
  record: BatchRecord,
  assignment: AssignmentRecord,
  hashes: ReadonlyMap<number, string>,
): { node: string; seat: number }[] | undefined {
  const { dispute } = assignment;
  const jury = dispute?.stage === "casting" ? dispute.juries.at(-1) : undefined;
  const blockHash = jury && hashes.get(jury.entropyBlock);
  if (!jury || !blockHash || jury.convened) return undefined;
  const empty =
    jury.call === 0
      ? Array.from({ length: jury.seats }, (_, seat) => seat)
      : jury.jurors.filter(({ cast }) => !cast).map(({ seat }) => seat);
  const call = { tier: jury.tier, call: jury.call, blockHash, count: empty.length };
  return drawJurors(state, record, assignment, hashes, call).map((node, place) => ({ node, seat: empty[place]! }));
}

/** Whether anybody is left who could sit on a jury: the market refuses an appeal otherwise. */
export function canDrawJuror(
  state: MarketState,
  record: BatchRecord,
  assignment: AssignmentRecord,
  hashes: ReadonlyMap<number, string>,
): boolean {
  // Who is left does not depend on the order, so any key does.
  const call = { tier: 0, call: 0, blockHash: ZeroHash, count: 1 };
  return drawJurors(state, record, assignment, hashes, call).length !== 0;
}

function drawJurors(
  state: MarketState,
  record: BatchRecord,
  assignment: AssignmentRecord,
  hashes: ReadonlyMap<number, string>,
  call: { tier: number; call: number; blockHash: string; count: number },
): string[] {
  const pool = state.classes.get(record.terms.class)?.slots;
  const { batch, reveal, seal } = record;
  const { index, dispute, node } = assignment;
  if (!pool || !reveal || !seal) return [];
  // Where nothing is sampled there is no panel to leave out.
  const sampled = sampledCountOf(record, assignment) > 0;
  const panel = sampled ? drawnFor(state, record, assignment, hashes).flat() : [];
  const jurors = dispute?.juries.flatMap((jury) => jury.jurors.map((juror) => juror.node)) ?? [];
  return drawJury(pool, {
    ...call,
    entropy: reveal.entropy,
    assignment: index,
    sealedAt: seal.at,
    slots: batch.slots,
    skip: [node, ...panel, ...jurors],
  });
}

/**
 * Whether anybody can call on the panel to open because the requester did not judge.
 *
 * @param panel {@link panelStatus} of the assignment.
 */
export function canCallPanel(
  { reveal, judged, terms }: BatchRecord,
  { status }: AssignmentRecord,
  panel: PanelStatus | undefined,
  now: number,
): boolean {
  if (!reveal || judged || !panel || status !== "submitted" || panel.answered < panel.quorum) return false;
  return now > panel.judgeBy && now <= panel.judgeBy + terms.windows.challenge;
}

/**
 * Whether the requester can contest work or delivery of an assignment.
 *
 * @param panel {@link panelStatus} of the assignment.
 */
export function canContest(
  { reveal, judged, terms }: BatchRecord,
  { status }: AssignmentRecord,
  panel: PanelStatus | undefined,
  now: number,
): boolean {
  if (!reveal || judged || terms.mode === "trusted" || status !== "submitted") return false;
  const deadline = panel?.deadline ?? reveal.at + terms.windows.check;
  const isOver = panel === undefined || panel.answered >= panel.needed || now > deadline;
  return isOver && now <= deadline + terms.windows.judge;
}

function panelRequest(
  { reveal, seal, terms, batch }: BatchRecord,
  { index, node, rounds }: AssignmentRecord,
  hashes: ReadonlyMap<number, string>,
): PanelRequest | undefined {
  if (!reveal || !seal) return undefined;
  const later = rounds.map(({ seats, blockHash, entropyBlock }) => ({
    seats,
    blockHash: blockHash ?? hashes.get(entropyBlock),
  }));
  return {
    entropy: reveal.entropy,
    assignment: index,
    primary: node,
    rounds: [{ seats: seatsInFirstRound(terms) }, ...later],
    sealedAt: seal.at,
    slots: batch.slots,
    excluded: terms.excluded,
  };
}

/**
 * What the contract wants to know to settle an assignment.
 *
 * @throws TypeError if nothing was submitted.
 */
export function settlementOf(assignment: AssignmentRecord): Settlement {
  const { index, answers } = assignment;
  return {
    assignment: index,
    submission: submissionOf(assignment),
    answers: answers.map(({ node, root, content }) => ({ node, root, content })),
  };
}

/**
 * What was submitted, as the contract hashes it.
 *
 * @throws TypeError if nothing was.
 */
export function submissionOf({ index, submission }: AssignmentRecord): Submission {
  if (!submission) throw new TypeError(`assignment ${index} has no submission`);
  const { node, first, count, root, content } = submission;
  return { node, first, count, root, content };
}
