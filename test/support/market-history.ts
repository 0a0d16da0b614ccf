import { dataSlice, getAddress, id as keccakOf, ZeroAddress, ZeroHash } from "ethers";
import { canDraw, drawPanel, FOREVER, seatsInFirstRound, type PanelRequest, type Slot } from "#sdk/draw.ts";
import type { EventArguments, EventName, SuretyEvent } from "#sdk/events.ts";
import { MarketState, type BatchRecord } from "#sdk/market-state.ts";
import { abandonFine, MAX_ROUNDS, MAX_SEATS, quote, seatPay } from "#sdk/pricing.ts";
import { entropy, isSampled, sampledCount } from "#sdk/sampling.ts";
import type { Matter, Outcome, Parameters, Stage, Terms, Verdict } from "#sdk/terms.ts";

export const MARKET = addressOf("market");
export const REQUESTER = addressOf("requester");
export const DELEGATE = addressOf("delegate");
export const CLASS = keccakOf("class");
export const JOB = keccakOf("job");
export const BATCH_ID = keccakOf("batch");
export const SEED = keccakOf("seed");
export const PARAMETERS: Parameters = {
  minWindow: 1,
  maxWindow: 100_000,
  finalDepth: 4,
  // Four blocks of two seconds, and a little.
  drawDelay: 10,
  bondFixed: 500n,
  bondShare: 100_000,
  challengeBond: 7n,
};
export const WINDOWS = { claim: 100, submit: 60, reveal: 200, check: 80, judge: 50, challenge: 70 };

/** Everything is sampled, so that every assignment has a panel of the quorum. */
export const TERMS: Terms = {
  requester: REQUESTER,
  delegate: ZeroAddress,
  mode: "replicated",
  adaptive: false,
  fullSlash: true,
  quorum: 3,
  rate: 1_000_000,
  guess: 0,
  maxShare: 1_000_000,
  minSlice: 1,
  price: 10n,
  verifierPrice: 12n,
  slashAmount: 100n,
  class: CLASS,
  spec: keccakOf("spec"),
  encryptionKey: `0x02${"11".repeat(32)}`,
  windows: WINDOWS,
  allowed: [],
  excluded: [],
};

/** A made-up address that a name always gives. */
export function addressOf(name: string): string {
  return getAddress(dataSlice(keccakOf(name), 12));
}

/** The i-th node of a class. */
export function nodeAt(index: number): string {
  return addressOf(`node ${index}`);
}

/** What the contract says instead of doing it; `message` is the name of its error. */
export class Reverted extends Error {}

interface RoundData {
  seats: number;
  openedAt: number;
  entropyBlock: number;
  blockHash?: string;
}

/** What the contract stores of a jury; by seat its jurors and what they showed. */
export interface JuryData {
  appellant: string;
  seats: number;
  entropyBlock: number;
  call: number;
  convened: boolean;
  jurors: { node: string; cast: boolean; digest?: string }[];
}

/** What the contract stores of a dispute. */
export interface DisputeData {
  matter: Matter;
  stage: Stage;
  tier: number;
  member: number;
  task: number;
  deadline: number;
  /** By member. */
  opened: Map<number, string>;
  /** By tier; undefined for no majority. */
  rulings: (string | undefined)[];
  /** Tier 1 first. */
  juries: JuryData[];
}

export interface AssignmentData {
  status: "claimed" | "submitted" | "void" | "contended" | "settled";
  node: string;
  first: number;
  count: number;
  deadline: number;
  rounds: RoundData[];
  escalated: boolean;
  verdict: Verdict;
  /** Members by place: 0 the primary, i+1 the i-th answer. */
  accused: number[];
  raisedAt: number;
  /** Of the exceptions. */
  witness: number;
  dispute?: DisputeData;
  answers: { round: number; seat: number; node: string }[];
}

interface Data {
  /** Of the newest block, seconds. */
  time: number;
  pool: (Slot | undefined)[];
  postedAt: number;
  sealedAt: number;
  sealBlock: number;
  captured?: string;
  revealedAt: number;
  entropy: string;
  judged: boolean;
  bondBurned: boolean;
  closed: boolean;
  assignments: AssignmentData[];
  paid: bigint;
  burned: bigint;
  returned: bigint;
}

/** Where the panel of an assignment stands, as `Panels.fill` has it. */
interface PanelData {
  sampled: number;
  needed: number;
  quorum: number;
  answered: number;
  deadline: number;
}

/** What {@link MarketHistory} begins with. */
export interface HistoryOptions {
  terms?: Partial<Terms>;
  /** Tasks. */
  count?: number;
  /** Nodes of the class, a slot each. */
  nodes?: number;
  /** Changes all block hashes, and with them what is sampled and drawn. */
  fork?: number;
}

/** An exception as a requester lists it. */
export interface Accusation {
  assignment: number;
  verdict: Verdict;
  witness: number;
  round: number;
  seat: number;
}

/**
 * The history of one batch on a market of actors, as events. Each step checks what Market, Judging and Panels check,
 * in a model written after the Solidity source, and throws {@link Reverted} where they would revert. What it leaves out
 * is stake. A block takes two seconds; a step is mined in the block after the newest, in the same second.
 */
export class MarketHistory {
  readonly terms: Terms;
  readonly count: number;
  readonly events: SuretyEvent[] = [];
  readonly #fork: number;
  readonly #state = new MarketState(MARKET);
  #folded = 0;
  #data: Data;

  constructor({ terms = {}, count = 6, nodes = 12, fork = 0 }: HistoryOptions = {}) {
    this.terms = { ...TERMS, ...terms };
    this.count = count;
    this.#fork = fork;
    const pool = Array.from({ length: nodes }, (_, index) => ({ node: nodeAt(index), activeFrom: 0, leftAt: FOREVER }));
    this.#data = {
      time: 1_000,
      pool,
      postedAt: 0,
      sealedAt: 0,
      sealBlock: 0,
      revealedAt: 0,
      entropy: ZeroHash,
      judged: false,
      bondBurned: false,
      closed: false,
      assignments: [],
      paid: 0n,
      burned: 0n,
      returned: 0n,
    };
    const { slotStake, priceFloor } = { slotStake: 1_000n, priceFloor: 1n };
    const host = {
      market: MARKET,
      runtime: "wasm" as const,
      fullSlash: true,
      slotStake,
      priceFloor,
      resources: ZeroHash,
    };
    this.emit("ClassCreated", { class: CLASS, market: MARKET, terms: host });
    pool.forEach(({ node, activeFrom }, slot) => this.emit("Joined", { class: CLASS, node, slot, activeFrom }));
  }

  // --- Time and what can be seen

  /** Of the newest block, seconds. */
  get now(): number {
    return this.#data.time;
  }

  /** Number of the newest block. */
  get block(): number {
    return Math.floor(this.now / 2);
  }

  /** Blocks up to this number are final. */
  get finalBlock(): number {
    return this.block - PARAMETERS.finalDepth;
  }

  get data(): Readonly<Data> {
    return this.#data;
  }

  /** Hashes of the blocks that an agent can know: all before the newest. */
  get hashes(): Map<number, string> {
    const { sealBlock, assignments } = this.#data;
    const numbers = [
      sealBlock + PARAMETERS.finalDepth,
      ...assignments.flatMap(({ rounds, dispute }) =>
        [...rounds, ...(dispute?.juries ?? [])].map(({ entropyBlock }) => entropyBlock),
      ),
    ];
    return new Map(numbers.filter((number) => number < this.block).map((number) => [number, this.hashOf(number)]));
  }

  hashOf(block: number): string {
    return keccakOf(`block ${block} of fork ${this.#fork}`);
  }

  /** Everything folded. */
  get state(): MarketState {
    for (const event of this.events.slice(this.#folded)) this.#state.apply(event);
    this.#folded = this.events.length;
    return this.#state;
  }

  /** The batch, as folded. */
  get record(): BatchRecord {
    return this.state.batches.get(BATCH_ID)!;
  }

  /** Lets seconds pass. */
  wait(seconds: number): this {
    this.#data.time += seconds;
    return this;
  }

  /** Lets time pass until a given second. */
  until(time: number): this {
    if (time < this.now) throw new RangeError(`it is ${this.now} already, ${time} is past`);
    this.#data.time = time;
    return this;
  }

  /** A copy that goes its own way. */
  copy(): MarketHistory {
    const copy = new MarketHistory({ terms: this.terms, count: this.count, fork: this.#fork });
    copy.#data = structuredClone(this.#data);
    copy.events.splice(0, Infinity, ...this.events);
    return copy;
  }

  /** Who was drawn for each round of a panel. */
  drawn(assignment: number): string[][] {
    return drawPanel(this.#data.pool, this.#request(this.#at(assignment), assignment)).drawn;
  }

  /** Adds an event as it stands, unchecked. */
  emit<Name extends EventName>(name: Name, values: EventArguments[Name]): this {
    const place = {
      blockNumber: this.block + 1,
      blockHash: this.hashOf(this.block + 1),
      timestamp: this.now,
      logIndex: this.events.length,
    };
    const event = {
      name,
      ...values,
      ...place,
      address: MARKET,
      transactionHash: keccakOf(`transaction ${this.events.length}`),
    };
    this.events.push(event as unknown as SuretyEvent);
    return this;
  }

  // --- The pool

  leavePool(slot: number): this {
    const held = this.#data.pool[slot]!;
    held.leftAt = this.now;
    return this.emit("Left", { class: CLASS, node: held.node, slot, leftAt: this.now });
  }

  freeSlot(slot: number): this {
    const { node } = this.#data.pool[slot]!;
    this.#data.pool[slot] = undefined;
    return this.emit("SlotFreed", { class: CLASS, node, slot });
  }

  // --- Market

  post(): this {
    this.#data.postedAt = this.now;
    const { escrow, bond } = quote(this.terms, this.count, PARAMETERS);
    this.emit("JobOpened", { job: JOB, requester: REQUESTER, terms: this.terms });
    const batch = {
      job: JOB,
      sequence: 0n,
      count: this.count,
      slots: this.#data.pool.length,
      manifest: keccakOf("manifest"),
      seedCommitment: keccakOf("c"),
    };
    return this.emit("BatchPosted", { id: BATCH_ID, job: JOB, batch, escrow, bond });
  }

  claim(node: string, count: number): this {
    this.#requireClaimable(node);
    const first = this.#next;
    const left = this.count - first;
    check(left !== 0, "NothingLeft");
    const least = Math.min(this.terms.minSlice, left);
    const most = Math.min(Math.max(Math.floor((this.count * this.terms.maxShare) / 1_000_000), least), left);
    check(count >= least && count <= most, "SliceOutOfRange");
    this.#assign(this.#data.assignments.length, node, first, count);
    return this;
  }

  reclaim(node: string, index: number): this {
    this.#requireClaimable(node);
    if (this.#at(index).status === "claimed") this.#void(index);
    const { status, first, count } = this.#at(index);
    check(status === "void", "WrongStatus");
    this.#assign(index, node, first, count);
    return this;
  }

  submit(node: string, index: number): this {
    const assignment = this.#at(index);
    check(assignment.status === "claimed", "WrongStatus");
    check(assignment.node === node, "NotPermitted");
    this.#requireBefore(assignment.deadline);
    assignment.status = "submitted";
    this.emit("Submitted", { id: BATCH_ID, assignment: index, node, ...this.#published(`${node} ${index}`) });
    const submitted = this.#data.assignments.filter(
      ({ status }) => status === "submitted" || status === "contended" || status === "settled",
    );
    if (submitted.reduce((sum, { count }) => sum + count, 0) === this.count) this.#seal();
    return this;
  }

  expire(index: number): this {
    this.#requireOpen();
    this.#void(index);
    return this;
  }

  seal(): this {
    this.#requireOpen();
    check(this.#data.sealedAt === 0, "AlreadySealed");
    this.#requireAfter(this.#data.postedAt + this.terms.windows.claim);
    check(this.#pending === 0, "StillPending");
    if (this.#open > 0) this.#seal();
    else this.#close();
    return this;
  }

  capture(): this {
    this.#requireOpen();
    const { sealedAt, revealedAt, captured, sealBlock } = this.#data;
    check(sealedAt !== 0, "NotSealed");
    check(revealedAt === 0, "AlreadyRevealed");
    check(!captured, "AlreadyCaptured");
    this.#data.captured = this.#mustRead(sealBlock + PARAMETERS.finalDepth);
    return this.emit("EntropyCaptured", { id: BATCH_ID, entropyHash: this.#data.captured });
  }

  reveal(): this {
    this.#requireOpen();
    const { sealedAt, revealedAt, captured, sealBlock } = this.#data;
    check(sealedAt !== 0, "NotSealed");
    check(revealedAt === 0, "AlreadyRevealed");
    this.#requireBefore(sealedAt + this.terms.windows.reveal);
    const blockHash = captured ?? this.#mustRead(sealBlock + PARAMETERS.finalDepth);
    this.#data.revealedAt = this.now;
    this.#data.entropy = entropy(SEED, blockHash, BATCH_ID);
    return this.emit("Revealed", { id: BATCH_ID, seed: SEED, entropy: this.#data.entropy });
  }

  revealAndSettle(indices: readonly number[]): this {
    return this.reveal().settle(REQUESTER, indices);
  }

  settle(sender: string, indices: readonly number[]): this {
    this.#requireOpen();
    for (const index of indices) this.#settleOne(sender, index);
    if (this.#open === 0 && this.#data.sealedAt !== 0) this.#close();
    return this;
  }

  // --- Panels

  answer(node: string, index: number, round: number, seat: number): this {
    this.#requireOpen();
    const panel = this.#panel(index);
    const assignment = this.#at(index);
    check(round <= assignment.rounds.length && seat < this.#seatsIn(assignment, round), "NoSuchSeat");
    check(!assignment.answers.some((answer) => answer.round === round && answer.seat === seat), "AlreadyAnswered");
    const late = this.now > panel.deadline;
    check(
      panel.answered < panel.needed && assignment.verdict === "none" && !(late && this.#data.judged),
      "PanelClosed",
    );
    this.#captureRounds(index, round);
    if (round > 0) this.#mustRead(assignment.rounds[round - 1]!.entropyBlock);
    check(this.drawn(index)[round]?.[seat] === node, "SeatOfAnother");
    assignment.answers.push({ round, seat, node });
    assignment.answers.sort((a, b) => a.round - b.round || a.seat - b.seat);
    const published = this.#published(`${node} ${index} ${round} ${seat}`);
    if (late && round === assignment.rounds.length) this.#absent(index, node, round, seat);
    return this.emit("Answered", { id: BATCH_ID, assignment: index, node, round, seat, ...published });
  }

  /** Lets whoever holds the seat answer from it. */
  answerFrom(index: number, round: number, seat: number): this {
    return this.answer(this.drawn(index)[round]![seat]!, index, round, seat);
  }

  escalate(sender: string, index: number): this {
    this.#requireOpen();
    this.#requireByRequester(sender);
    check(!this.#data.judged, "AlreadyJudged");
    const panel = this.#panel(index);
    const assignment = this.#at(index);
    check(this.terms.adaptive && !assignment.escalated, "CannotEscalate");
    check(panel.answered >= panel.needed, "PanelOpen");
    check(assignment.rounds.length < MAX_ROUNDS, "NoMoreRounds");
    this.#requireBefore(panel.deadline + this.terms.windows.judge);
    assignment.escalated = true;
    this.#openRound(index, this.terms.quorum - 1 - panel.answered, true);
    return this;
  }

  redraw(sender: string, index: number): this {
    this.#requireOpen();
    const panel = this.#panel(index);
    const assignment = this.#at(index);
    const round = assignment.rounds.length;
    check(assignment.verdict === "none", "AlreadyExcepted");
    this.#requireAfter(panel.deadline);
    this.#requireBefore(panel.deadline + this.terms.windows.judge);
    check(panel.answered < panel.needed, "PanelClosed");
    if (panel.answered >= panel.quorum) {
      this.#requireByRequester(sender);
      check(!this.#data.judged, "AlreadyJudged");
    }
    check(round < MAX_ROUNDS, "NoMoreRounds");
    check(this.#canDraw(index), "PoolExhausted");
    const seats = Math.min(MAX_SEATS, 2 * this.#seatsIn(assignment, round));
    this.#fineAbsent(index);
    this.#openRound(index, seats, false);
    return this;
  }

  judge(sender: string, exceptions: readonly Accusation[], last: boolean): this {
    this.#requireOpen();
    this.#requireByRequester(sender);
    check(this.#data.revealedAt !== 0, "NotRevealed");
    check(!this.#data.judged, "AlreadyJudged");
    for (const exception of exceptions) this.#except(exception);
    if (!last) return this;
    this.#data.judged = true;
    return this.emit("Judged", { id: BATCH_ID });
  }

  /** Ends a contended assignment as `MarketDisputes.conclude` does. `guilty` and `unpaid` are numbers of members. */
  conclude(index: number, { guilty, unpaid, outcome }: { guilty: number[]; unpaid: number[]; outcome: Outcome }): this {
    this.#requireOpen();
    const assignment = this.#at(index);
    check(assignment.status === "contended", "WrongStatus");
    const { first, count } = assignment;
    const sampled = sampledCount(this.#data.entropy, { first, count }, this.terms.rate);
    if (sampled !== 0 && assignment.answers.length < this.panelOf(index).needed) this.#fineAbsent(index);
    let paid = 0n;
    for (let member = 0; member <= assignment.answers.length; ++member) {
      if (guilty.includes(member) || unpaid.includes(member)) continue;
      paid += member === 0 ? BigInt(count) * this.terms.price : seatPay(this.terms, sampled);
    }
    this.#data.paid += paid;
    assignment.status = "settled";
    const accused = guilty.reduce((mask, member) => mask | (1n << BigInt(member)), 0n);
    this.emit("Settled", { id: BATCH_ID, assignment: index, outcome, paid, accused, penalty: 0n });
    if (this.#open === 0) this.#close();
    return this;
  }

  // --- What the libraries do

  #except({ assignment: index, verdict, witness, round, seat }: Accusation): void {
    const assignment = this.#at(index);
    const isFirst = assignment.verdict === "none";
    check(assignment.status === (isFirst ? "submitted" : "contended"), "WrongStatus");
    const panel = this.panelOf(index);
    const { first, count } = assignment;
    check(!assignment.dispute, "AlreadyDisputed");
    this.#requireBefore(panel.deadline + this.terms.windows.judge);
    check(panel.answered >= panel.needed || this.now > panel.deadline, "PanelOpen");
    check(
      isSampled(this.#data.entropy, { assignment: index, first, count }, this.terms.rate, witness),
      "NotASampledTask",
    );
    check(isFirst || witness === assignment.witness, "WitnessDiffers");
    let accused = ZeroAddress;
    if (verdict === "no-majority") {
      check(assignment.verdict === "none", "AlreadyExcepted");
      const full = this.terms.quorum - 1;
      check(
        panel.answered >= full ||
          (panel.needed !== full && assignment.rounds.length === MAX_ROUNDS) ||
          (panel.needed === full && panel.answered >= panel.quorum && this.#isExhausted(index, panel)),
        "PanelOpen",
      );
    } else {
      const place = assignment.answers.findIndex((answer) => answer.round === round && answer.seat === seat);
      check(verdict === "primary-differs" || verdict === "seat-differs", "InvalidVerdict");
      check(verdict === "primary-differs" || place >= 0, "NotAnswered");
      const member = verdict === "primary-differs" ? 0 : place + 1;
      accused = member === 0 ? assignment.node : assignment.answers[place]!.node;
      check(assignment.verdict !== "no-majority" && !assignment.accused.includes(member), "AlreadyExcepted");
      assignment.accused.push(member);
      check(panel.answered + 1 - assignment.accused.length >= (this.terms.quorum + 1) / 2, "PanelOpen");
    }
    assignment.status = "contended";
    assignment.verdict = verdict;
    assignment.witness = witness;
    assignment.raisedAt = this.now;
    this.emit("Excepted", { id: BATCH_ID, assignment: index, verdict, witness, accused });
  }

  #settleOne(sender: string, index: number): void {
    const assignment = this.#at(index);
    check(assignment.status === "submitted", "WrongStatus");
    const { first, count } = assignment;
    const sampled =
      this.#data.revealedAt === 0 ? 0 : sampledCount(this.#data.entropy, { first, count }, this.terms.rate);
    const panel = sampled === 0 ? undefined : this.#panel(index);
    const outcome = this.#outcomeOf(sender, index, panel);
    if (outcome === "forced" && !this.#data.bondBurned) {
      this.#data.bondBurned = true;
      this.#data.burned += PARAMETERS.bondFixed;
      this.emit("BondBurned", { id: BATCH_ID, amount: PARAMETERS.bondFixed });
    }
    if (panel && panel.answered < panel.needed) this.#fineAbsent(index);
    let paid = 0n;
    for (let member = 0; member <= assignment.answers.length; ++member) {
      if (member === 0 && outcome === "exhausted") continue;
      paid += member === 0 ? BigInt(count) * this.terms.price : seatPay(this.terms, sampled);
    }
    this.#data.paid += paid;
    assignment.status = "settled";
    this.emit("Settled", { id: BATCH_ID, assignment: index, outcome, paid, accused: 0n, penalty: 0n });
  }

  #outcomeOf(sender: string, index: number, panel: PanelData | undefined): Outcome {
    const { sealedAt, revealedAt, judged } = this.#data;
    const { windows } = this.terms;
    if (this.terms.mode === "trusted") return "paid";
    check(sealedAt !== 0, "NotSealed");
    if (revealedAt === 0) {
      this.#requireAfter(sealedAt + windows.reveal);
      return "forced";
    }
    const deadline = panel ? panel.deadline : revealedAt + windows.check;
    if (panel && panel.answered < panel.needed) {
      check(this.now > deadline, "PanelOpen");
      if (panel.answered < panel.quorum) {
        check(this.#isExhausted(index, panel), "PanelOpen");
        return "exhausted";
      }
    }
    if (this.#isByRequester(sender) || judged) return "paid";
    // Until then anybody can call on the panel to open.
    this.#requireAfter(deadline + windows.judge + (panel ? windows.challenge : 0));
    return "forced";
  }

  #panel(index: number): PanelData {
    check(this.#data.revealedAt !== 0, "NotRevealed");
    check(this.#at(index).status === "submitted", "WrongStatus");
    return this.panelOf(index);
  }

  /** Where a panel stands, be its assignment contended or not. */
  panelOf(index: number): PanelData {
    const { revealedAt } = this.#data;
    check(revealedAt !== 0, "NotRevealed");
    const assignment = this.#at(index);
    const { first, count, rounds, escalated, answers } = assignment;
    const { adaptive, quorum, rate, windows } = this.terms;
    const sampled = sampledCount(this.#data.entropy, { first, count }, rate);
    check(sampled !== 0, "NotSampled");
    const single = adaptive && !escalated;
    const last = rounds.at(-1);
    return {
      sampled,
      needed: single ? 1 : quorum - 1,
      quorum: single ? 1 : (quorum - 1) / 2,
      answered: answers.length,
      deadline: (last ? last.openedAt + PARAMETERS.drawDelay : revealedAt) + windows.check,
    };
  }

  #isExhausted(index: number, { deadline }: PanelData): boolean {
    if (this.now <= deadline) return false;
    if (this.#at(index).rounds.length === MAX_ROUNDS || this.now > deadline + this.terms.windows.judge) return true;
    return !this.#canDraw(index);
  }

  #canDraw(index: number): boolean {
    return canDraw(this.#data.pool, this.#request(this.#at(index), index));
  }

  #seatsIn({ rounds }: AssignmentData, round: number): number {
    return round === 0 ? seatsInFirstRound(this.terms) : rounds[round - 1]!.seats;
  }

  #request({ node, rounds }: AssignmentData, assignment: number): PanelRequest {
    const later = rounds.map(({ seats, blockHash, entropyBlock }) => {
      // As `BlockHash.read`: of blocks before the one the step is in.
      const known = blockHash ?? (entropyBlock < this.block + 1 ? this.hashOf(entropyBlock) : undefined);
      return { seats, ...(known ? { blockHash: known } : {}) };
    });
    return {
      entropy: this.#data.entropy,
      assignment,
      primary: node,
      rounds: [{ seats: seatsInFirstRound(this.terms) }, ...later],
      sealedAt: this.#data.sealedAt,
      slots: this.#data.pool.length,
      excluded: this.terms.excluded,
    };
  }

  #openRound(index: number, seats: number, escalation: boolean): void {
    const { rounds } = this.#at(index);
    this.#captureRounds(index, rounds.length);
    const entropyBlock = this.block + 1 + PARAMETERS.finalDepth;
    rounds.push({ seats, openedAt: this.now, entropyBlock });
    this.emit("RoundOpened", {
      id: BATCH_ID,
      assignment: index,
      round: rounds.length,
      seats,
      entropyBlock,
      escalation,
    });
  }

  #captureRounds(index: number, last: number): void {
    for (const [place, round] of this.#at(index).rounds.slice(0, last).entries()) {
      if (round.blockHash || round.entropyBlock > this.block) continue;
      round.blockHash = this.hashOf(round.entropyBlock);
      this.emit("RoundCaptured", { id: BATCH_ID, assignment: index, round: place + 1, entropyHash: round.blockHash });
    }
  }

  #fineAbsent(index: number): void {
    const { rounds, answers } = this.#at(index);
    const round = rounds.length;
    for (const [seat, node] of this.drawn(index)[round]!.entries()) {
      if (!answers.some((answer) => answer.round === round && answer.seat === seat))
        this.#absent(index, node, round, seat);
    }
  }

  #absent(assignment: number, node: string, round: number, seat: number): void {
    this.emit("Absent", { id: BATCH_ID, assignment, node, round, seat, fined: 1n });
  }

  #seal(): void {
    this.#data.sealedAt = this.now;
    this.#data.sealBlock = this.block + 1;
    this.emit("Sealed", { id: BATCH_ID, entropyBlock: this.#data.sealBlock + PARAMETERS.finalDepth });
  }

  #close(): void {
    const { escrow, bond } = quote(this.terms, this.count, PARAMETERS);
    this.#data.closed = true;
    this.#data.returned = escrow + bond - this.#data.paid - this.#data.burned;
    this.emit("BatchClosed", { id: BATCH_ID });
  }

  #assign(index: number, node: string, first: number, count: number): void {
    const deadline = this.now + this.terms.windows.submit;
    const panel = {
      rounds: [],
      escalated: false,
      verdict: "none" as const,
      accused: [],
      raisedAt: 0,
      witness: 0,
      answers: [],
    };
    this.#data.assignments[index] = { status: "claimed", node, first, count, deadline, ...panel };
    this.emit("Claimed", { id: BATCH_ID, assignment: index, node, first, count, deadline });
  }

  #void(index: number): void {
    const assignment = this.#at(index);
    check(assignment.status === "claimed", "WrongStatus");
    this.#requireAfter(assignment.deadline);
    assignment.status = "void";
    const fined = abandonFine(this.terms.price, assignment.count);
    this.emit("Voided", { id: BATCH_ID, assignment: index, node: assignment.node, fined });
  }

  #published(what: string): { root: string; manifest: string; envelope: string } {
    return {
      root: keccakOf(`root ${what}`),
      manifest: keccakOf(`manifest ${what}`),
      envelope: keccakOf(`envelope ${what}`),
    };
  }

  #at(index: number): AssignmentData {
    const assignment = this.#data.assignments[index];
    check(assignment !== undefined, "UnknownAssignment");
    return assignment as AssignmentData;
  }

  get #next(): number {
    const last = this.#data.assignments.at(-1);
    return last ? last.first + last.count : 0;
  }

  get #pending(): number {
    return this.#data.assignments.filter(({ status }) => status === "claimed").length;
  }

  get #open(): number {
    return this.#data.assignments.filter(({ status }) => ["claimed", "submitted", "contended"].includes(status)).length;
  }

  #isByRequester(sender: string): boolean {
    return sender === this.terms.requester || (sender === this.terms.delegate && sender !== ZeroAddress);
  }

  #requireByRequester(sender: string): void {
    check(this.#isByRequester(sender), "NotPermitted");
  }

  #requireOpen(): void {
    check(this.#data.postedAt !== 0 && !this.#data.closed, "UnknownBatch");
  }

  #requireClaimable(node: string): void {
    this.#requireOpen();
    check(this.#data.sealedAt === 0, "AlreadySealed");
    this.#requireBefore(this.#data.postedAt + this.terms.windows.claim);
    const { mode, allowed, excluded } = this.terms;
    check(mode === "trusted" ? allowed.includes(node) : !excluded.includes(node), "NotPermitted");
  }

  #requireBefore(deadline: number): void {
    check(this.now <= deadline, "TooLate");
  }

  #requireAfter(deadline: number): void {
    check(this.now > deadline, "TooEarly");
  }

  #mustRead(number: number): string {
    check(this.block + 1 > number, "TooEarly");
    return this.hashOf(number);
  }
}

/** Throws as the contract would. */
export function check(condition: boolean, error: string): asserts condition {
  if (!condition) throw new Reverted(error);
}
