import { id as keccakOf, ZeroHash } from "ethers";
import { DELIVERED, UNDELIVERED } from "#sdk/commitment.ts";
import { drawJury } from "#sdk/draw.ts";
import { jurySeats, MAX_TIER } from "#sdk/pricing.ts";
import { sampledCount, sampledTask } from "#sdk/sampling.ts";
import type { Matter, Outcome, Stage } from "#sdk/terms.ts";
import {
  BATCH_ID,
  check,
  PARAMETERS,
  REQUESTER,
  type AssignmentData,
  type DisputeData,
  type JuryData,
  type MarketHistory,
} from "./market-history.ts";

/** What somebody says a task's output is: a word stands for its root. */
export function valueOf(word: string): string {
  if (word === "delivered") return DELIVERED;
  return word === "undelivered" ? UNDELIVERED : keccakOf(`root ${word}`);
}

/** The digest of such an output. */
export function digestOf(word: string): string {
  return word === "delivered" || word === "undelivered" ? valueOf(word) : keccakOf(`digest ${word}`);
}

/**
 * The dispute of one assignment of a {@link MarketHistory}, step by step: each checks what MarketDisputes checks, in a
 * model written after the Solidity source, and throws `Reverted` where that would revert. Stake and money are left out,
 * and what a member opens is believed.
 */
export class DisputeSteps {
  readonly history: MarketHistory;
  readonly assignment: number;

  constructor(history: MarketHistory, assignment = 0) {
    this.history = history;
    this.assignment = assignment;
  }

  /** A copy that goes its own way. */
  copy(): DisputeSteps {
    return new DisputeSteps(this.history.copy(), this.assignment);
  }

  /** Lets seconds pass. */
  wait(seconds: number): this {
    this.history.wait(seconds);
    return this;
  }

  /** Lets time pass until the step that is due is over. */
  waitOut(): this {
    this.history.until(this.#dispute.deadline + 1);
    return this;
  }

  /** Members' nodes by number. */
  get members(): string[] {
    return [this.#data.node, ...this.#data.answers.map(({ node }) => node)];
  }

  /** Who sits on the newest jury, by seat. */
  get jurors(): string[] {
    return this.#jury.jurors.map(({ node }) => node);
  }

  // --- How a dispute begins

  challenge(node: string): this {
    const { verdict, raisedAt, dispute, witness } = this.#data;
    check(verdict !== "none", "NotDisputed");
    check(!dispute, "AlreadyDisputed");
    this.#requireBefore(raisedAt + this.history.terms.windows.challenge);
    check(this.members.includes(node), "NotPermitted");
    return this.#begin("exception", "opening", node, witness, 0);
  }

  callPanel(by: string): this {
    const { history } = this;
    const panel = history.panelOf(this.assignment);
    this.#requireFresh();
    const overdue = panel.deadline + history.terms.windows.judge;
    check(history.now > overdue, "TooEarly");
    this.#requireBefore(overdue + history.terms.windows.challenge);
    check(panel.answered >= panel.quorum, "PanelOpen");
    const { first, count } = this.#data;
    const task = sampledTask(history.data.entropy, { assignment: this.assignment, first, count }, 0);
    return this.#begin("silence", "opening", by, task, 0);
  }

  contestWork(task: number): this {
    const { first, count } = this.#data;
    check(task >= first && task < first + count, "NotASampledTask");
    return this.#contest("work", task, 0);
  }

  contestDelivery(member: number): this {
    check(member < this.members.length, "NoSuchMember");
    return this.#contest("delivery", 0, member);
  }

  answerContest(evidence = "0x"): this {
    this.#requireStage("answering");
    this.#requireBefore(this.#dispute.deadline);
    const node = this.members[this.#dispute.member]!;
    this.history.emit("ContestAnswered", { ...this.#place, node, evidence });
    return this.#callJury(this.history.terms.requester);
  }

  // --- Opening and ruling

  /** The member shows that it committed to what the word stands for. */
  open(member: number, word: string): this {
    const dispute = this.#dispute;
    this.#requireStage(dispute.matter === "work" ? "showing" : "opening");
    this.#requireBefore(dispute.deadline);
    check(member < this.members.length, "NoSuchMember");
    check(!dispute.opened.has(member), "AlreadyOpened");
    dispute.opened.set(member, digestOf(word));
    this.history.emit("Opened", { ...this.#place, member, digest: digestOf(word) });
    return this;
  }

  rule(): this {
    const { stage, deadline, opened } = this.#dispute;
    const isLate = this.history.now > deadline;
    if (stage === "opening") {
      check(isLate || opened.size === this.members.length, "TooEarly");
      return this.#rule(agreed([...opened.values()], (this.history.terms.quorum + 1) / 2));
    }
    if (stage === "casting") return this.#closeBallots(isLate);
    this.#requireStage("showing");
    return this.#count(isLate);
  }

  appeal(by: string): this {
    this.#requireStage("ruled");
    check(this.#dispute.tier < MAX_TIER, "Final");
    this.#requireBefore(this.#dispute.deadline);
    check(this.#draw({ tier: 0, call: 0, blockHash: ZeroHash, count: 1 }).length !== 0, "PoolExhausted");
    return this.#callJury(by);
  }

  // --- Juries

  convene(): this {
    this.#requireStage("casting");
    const jury = this.#jury;
    check(!jury.convened, "AlreadyConvened");
    check(jury.entropyBlock <= this.history.block, "TooEarly");
    const { tier } = this.#dispute;
    const empty =
      jury.call === 0
        ? Array.from({ length: jury.seats }, (_, seat) => seat)
        : jury.jurors.flatMap(({ cast }, seat) => (cast ? [] : [seat]));
    const blockHash = this.history.hashOf(jury.entropyBlock);
    const drawn = this.#draw({ tier, call: jury.call, blockHash, count: empty.length });
    jury.convened = true;
    if (jury.call === 0) jury.seats = drawn.length;
    this.history.emit("JuryConvened", { ...this.#place, tier, call: jury.call, seats: jury.seats });
    for (const [place, node] of drawn.entries()) {
      const seat = empty[place]!;
      jury.jurors[seat] = { node, cast: false };
      this.history.emit("JurorSeated", { ...this.#place, node, tier, seat });
    }
    return this;
  }

  castBallot(seat: number): this {
    this.#requireStage("casting");
    this.#requireBefore(this.#dispute.deadline);
    if (!this.#jury.convened) this.convene();
    const juror = this.#jury.jurors[seat];
    check(juror !== undefined, "SeatOfAnother");
    check(!juror.cast, "WrongBallot");
    juror.cast = true;
    this.history.emit("BallotCast", { ...this.#seatOf(seat) });
    return this;
  }

  openBallot(seat: number, word: string): this {
    this.#requireStage("showing");
    this.#requireBefore(this.#dispute.deadline);
    const juror = this.#jury.jurors[seat];
    check(juror !== undefined && juror.cast && juror.digest === undefined, "WrongBallot");
    juror.digest = digestOf(word);
    this.history.emit("BallotOpened", { ...this.#seatOf(seat), value: valueOf(word), digest: digestOf(word) });
    return this;
  }

  exposeBallot(seat: number, by: string): this {
    this.#requireStage("casting");
    const juror = this.#jury.jurors[seat];
    check(juror !== undefined && juror.cast, "WrongBallot");
    check(juror.node !== by, "NotPermitted");
    juror.cast = false;
    this.history.emit("BallotExposed", { ...this.#seatOf(seat), by, reward: this.history.terms.slashAmount / 10n });
    return this;
  }

  /**
   * All that a jury does, from its draw to its ruling.
   *
   * @param words By seat what each juror says; nothing for who stays away, and for who replaces it. More than there are
   * seats do no harm.
   * @param whileShowing What else happens while the ballots are opened.
   */
  vote(words: readonly (string | undefined)[], whileShowing?: () => void): this {
    this.wait(2 * (PARAMETERS.finalDepth + 2)).convene();
    const votes = this.jurors.map((_, seat) => words[seat]);
    for (const [seat, word] of votes.entries()) if (word !== undefined) this.castBallot(seat);
    if (votes.includes(undefined)) this.waitOut().rule().waitOut();
    this.rule();
    for (const [seat, word] of votes.entries()) if (word !== undefined) this.openBallot(seat, word);
    whileShowing?.();
    if (this.#dispute.matter === "work" && this.#dispute.opened.size < this.members.length) this.waitOut();
    return this.rule();
  }

  // --- The end

  conclude(): this {
    const { verdict, raisedAt, dispute } = this.#data;
    const { terms, now } = this.history;
    check(this.#data.status === "contended", "NotDisputed");
    if (dispute) {
      check(dispute.stage === "ruled" || dispute.stage === "answering", "WrongStage");
      check(now > dispute.deadline, "TooEarly");
    } else {
      check(verdict !== "none" && now > raisedAt + terms.windows.challenge, "TooEarly");
    }
    this.history.conclude(this.assignment, this.#reckoning());
    return this;
  }

  /** Who is guilty and who is not paid, after `Reckonings._decide`. */
  #reckoning(): { guilty: number[]; unpaid: number[]; outcome: Outcome } {
    const { accused, verdict, dispute } = this.#data;
    const all = this.members.map((_, member) => member);
    const guilty = new Set<number>();
    const unpaid = new Set<number>();
    let lied = false;
    const ruling = dispute?.rulings.findLast((digest) => digest !== undefined);
    const matter = dispute?.matter ?? "none";
    if (dispute?.stage === "answering" || (matter === "delivery" && ruling === UNDELIVERED)) {
      unpaid.add(dispute!.member);
    } else if (dispute && matter !== "delivery") {
      for (const member of all) {
        const opened = dispute.opened.get(member);
        if (opened !== undefined && ruling !== undefined && opened !== ruling) guilty.add(member);
        if (opened !== undefined) continue;
        if (matter === "work") {
          if (member === 0 && ruling !== undefined) guilty.add(member);
        } else if (!accused.includes(member)) unpaid.add(member);
        else if (matter === "exception" && ruling !== undefined) guilty.add(member);
      }
      const [first] = dispute.rulings;
      const cleared = accused.some((member) => dispute.opened.get(member) === ruling);
      lied =
        matter === "exception" &&
        ruling !== undefined &&
        (verdict === "no-majority" ? first === ruling : cleared && (first === undefined || first === ruling));
    }
    if (ruling === undefined && (matter === "none" || matter === "exception")) {
      for (const member of accused) guilty.add(member);
      if (verdict === "no-majority") for (const member of all) unpaid.add(member);
    }
    for (const member of guilty) unpaid.add(member);
    const outcome = ((): Outcome => {
      if (guilty.has(0)) return "primary-slashed";
      if (verdict === "no-majority" && ruling === undefined) return "no-majority";
      if (unpaid.has(0)) return "forfeited";
      if (guilty.size > 0) return "seat-slashed";
      return lied || matter === "silence" ? "forced" : "paid";
    })();
    return { guilty: [...guilty], unpaid: [...unpaid], outcome };
  }

  #contest(matter: Matter, task: number, member: number): this {
    const { history } = this;
    check(history.terms.mode !== "trusted", "InvalidMatter");
    this.#requireFresh();
    const panel = this.#isSampled ? history.panelOf(this.assignment) : undefined;
    const deadline = panel?.deadline ?? history.data.revealedAt + history.terms.windows.check;
    this.#requireBefore(deadline + history.terms.windows.judge);
    check(!panel || panel.answered >= panel.needed || history.now > deadline, "PanelOpen");
    return this.#begin(matter, "answering", REQUESTER, task, member);
  }

  #requireFresh(): void {
    check(this.history.data.revealedAt !== 0, "NotRevealed");
    check(!this.#data.dispute, "AlreadyDisputed");
    check(this.#data.verdict === "none", "AlreadyExcepted");
    check(!this.history.data.judged, "AlreadyJudged");
  }

  #begin(matter: Matter, stage: Stage, by: string, task: number, member: number): this {
    const deadline = this.history.now + this.history.terms.windows.challenge;
    const data = this.#data;
    data.status = "contended";
    data.dispute = { matter, stage, tier: 0, member, task, deadline, opened: new Map(), rulings: [], juries: [] };
    this.history.emit("Disputed", { ...this.#place, matter, by, task, member, deadline });
    return this;
  }

  #rule(digest: string | undefined): this {
    const dispute = this.#dispute;
    const { tier } = dispute;
    dispute.stage = "ruled";
    dispute.deadline = tier === MAX_TIER ? 0 : this.history.now + this.history.terms.windows.challenge;
    dispute.rulings[tier] = digest;
    this.history.emit("Ruled", { ...this.#place, tier, digest: digest ?? ZeroHash, deadline: dispute.deadline });
    return this;
  }

  #callJury(appellant: string): this {
    const dispute = this.#dispute;
    dispute.tier += 1;
    const seats = jurySeats(this.history.terms.quorum, dispute.tier);
    dispute.juries.push({ appellant, seats, entropyBlock: 0, call: 0, convened: false, jurors: [] });
    return this.#startCasting(0, seats);
  }

  #startCasting(call: number, seats: number): this {
    const dispute = this.#dispute;
    const jury = this.#jury;
    const { terms } = this.history;
    jury.entropyBlock = this.history.block + 1 + PARAMETERS.finalDepth;
    jury.call = call;
    jury.convened = false;
    dispute.stage = "casting";
    dispute.deadline = this.history.now + PARAMETERS.drawDelay + terms.windows.check;
    const { tier, deadline } = dispute;
    const { appellant, entropyBlock } = jury;
    this.history.emit("JuryCalled", { ...this.#place, tier, call, appellant, seats, entropyBlock, deadline });
    return this;
  }

  #closeBallots(isLate: boolean): this {
    const dispute = this.#dispute;
    const jury = this.#jury;
    if (isLate && !jury.convened) this.convene();
    const empty = jury.jurors.filter(({ cast }) => !cast);
    check(isLate || (empty.length === 0 && jury.convened), "TooEarly");
    for (const { node } of empty) this.#miss(node);
    if (empty.length !== 0 && jury.call === 0) return this.#startCasting(1, empty.length);
    dispute.stage = "showing";
    dispute.deadline = this.history.now + this.history.terms.windows.challenge;
    const { tier, deadline } = dispute;
    this.history.emit("BallotsClosed", { ...this.#place, tier, deadline });
    return this;
  }

  #count(isLate: boolean): this {
    const { matter, opened } = this.#dispute;
    const { jurors } = this.#jury;
    check(isLate || matter !== "work" || opened.size === this.members.length, "TooEarly");
    for (const { node, cast, digest } of jurors) {
      if (!cast || digest !== undefined) continue;
      check(isLate, "TooEarly");
      this.#miss(node);
    }
    const shown = jurors.flatMap(({ digest }) => digest ?? []);
    return this.#rule(agreed(shown, Math.floor(jurors.length / 2) + 1));
  }

  #miss(node: string): void {
    this.history.emit("Missed", { ...this.#place, node, fined: this.history.terms.verifierPrice / 2n });
  }

  #draw(call: { tier: number; call: number; blockHash: string; count: number }): string[] {
    const { data } = this.history;
    const jurors = this.#data.dispute?.juries.flatMap((jury) => jury.jurors.map(({ node }) => node)) ?? [];
    return drawJury(data.pool, {
      ...call,
      entropy: data.entropy,
      assignment: this.assignment,
      sealedAt: data.sealedAt,
      slots: data.pool.length,
      skip: [this.#data.node, ...(this.#isSampled ? this.history.drawn(this.assignment).flat() : []), ...jurors],
    });
  }

  #seatOf(seat: number): { id: string; assignment: number; node: string; tier: number; seat: number } {
    return { ...this.#place, node: this.#jury.jurors[seat]!.node, tier: this.#dispute.tier, seat };
  }

  get #isSampled(): boolean {
    return sampledCount(this.history.data.entropy, this.#data, this.history.terms.rate) > 0;
  }

  get #place(): { id: string; assignment: number } {
    return { id: BATCH_ID, assignment: this.assignment };
  }

  get #data(): AssignmentData {
    const data = this.history.data.assignments[this.assignment];
    check(data !== undefined, "UnknownAssignment");
    return data;
  }

  get #dispute(): DisputeData {
    const { dispute } = this.#data;
    check(dispute !== undefined, "WrongStage");
    return dispute;
  }

  get #jury(): JuryData {
    const jury = this.#dispute.juries.at(-1);
    check(jury !== undefined, "WrongStage");
    return jury;
  }

  #requireStage(stage: Stage): void {
    check(this.#dispute.stage === stage, "WrongStage");
  }

  #requireBefore(deadline: number): void {
    check(this.history.now <= deadline, "TooLate");
  }
}

/** The only digest that is there at least so often. */
function agreed(digests: readonly string[], least: number): string | undefined {
  return digests.find((digest) => digests.filter((other) => other === digest).length >= least);
}
