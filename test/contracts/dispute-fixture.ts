import { expect } from "chai";
import { id as keccakOf, zeroPadValue, type ContractTransactionResponse } from "ethers";

import {
  deployCrowd,
  endsOf,
  ethers,
  eventsIn,
  expectClosed,
  expectMoney,
  Matter,
  mined,
  moneyOf,
  networkHelpers,
  pass,
  postBatch,
  Stage,
  termsOf,
  type Actor,
  type Deployment,
  type Life,
  type Money,
  type Settlement,
  type Terms,
} from "./market-fixture.ts";
import { ballotOf, outputOf, type Shown } from "./results.ts";

/*
 * Most disputes here: ten tasks at 1,000 of one primary and two verifiers, two of the tasks sampled. The primary earns
 * PAY, a verifier SEAT, a juror WAGE; everybody's lock is LOCK. The first jury costs 7 wages, the second 14.
 */
export const PAY = 10_000n;
export const SEAT = 2_400n;
export const WAGE = 1_200n;
export const LOCK = 10_000n;
/** The challenge bond, which is also what all openings of a dispute earn. */
export const BOND = 600n;
/** What backs an exception: the pay, both juries and the challenge bond. */
export const RESERVE = PAY + 21n * WAGE + BOND;
/** Half a wage, and half a seat's pay. */
export const JUROR_FINE = 600n;
export const SEAT_FINE = 1_200n;

export const DELIVERED = zeroPadValue("0x01", 32);
export const UNDELIVERED = zeroPadValue("0x02", 32);
/** As long as an envelope's plaintext and an ephemeral seed. */
export const EVIDENCE = "0x" + "7e".repeat(84 + 32);

/** What a juror says: a word as in {@link outputOf}, of which the empty one is the truth; undefined casts no ballot. */
export type Vote = string | undefined;

export const fixedTerms = (d: Deployment, changes: Partial<Terms> = {}): Terms =>
  termsOf(d, { adaptive: false, ...changes });

/** The same amount for each. */
export function each(nodes: Actor[], amount: bigint): Money {
  return Object.fromEntries(nodes.map((node) => [node.address, amount]));
}

/** Adds up what each gains and loses. */
export function sum(...changes: Money[]): Money {
  const all: Money = {};
  for (const change of changes) {
    for (const [name, amount] of Object.entries(change)) all[name] = (all[name] ?? 0n) + amount;
  }
  return all;
}

/** The dispute of one assignment: every step of it, by whoever does it. */
export class Dispute {
  readonly life: Life;
  readonly assignment: number;
  /** By member: 0 the primary, i+1 the i-th answer. */
  readonly members: Actor[];
  /** What everybody owned before anything was posted. */
  readonly before: Money;

  constructor(life: Life, assignment: number, members: Actor[], before: Money) {
    this.life = life;
    this.assignment = assignment;
    this.members = members;
    this.before = before;
  }

  get d(): Deployment {
    return this.life.d;
  }

  get settlement(): Settlement {
    return this.life.settlement(this.assignment);
  }

  member(number: number): Actor {
    const node = this.members[number];
    if (node === undefined) throw new Error(`no member ${number}`);
    return node;
  }

  async stored() {
    return await this.d.market.disputeOf(this.life.id, this.assignment);
  }

  async ruling(tier: number): Promise<string> {
    return await this.d.market.rulingOf(this.life.id, this.assignment, tier);
  }

  async digest(told = ""): Promise<string> {
    return this.life.results!.digestOf(Number((await this.stored()).task), told);
  }

  /** Who sits on the newest jury, by seat. */
  async jurors(tier?: number): Promise<Actor[]> {
    const [, jurors] = await this.d.market.juryOf(
      this.life.id,
      this.assignment,
      tier ?? Number((await this.stored()).tier),
    );
    return jurors.map(({ node }) => this.d.nodes.find(({ address }) => address === node)!);
  }

  async jury(tier?: number) {
    const [jury] = await this.d.market.juryOf(
      this.life.id,
      this.assignment,
      tier ?? Number((await this.stored()).tier),
    );
    return jury;
  }

  async deadline(): Promise<bigint> {
    return (await this.stored()).deadline;
  }

  /** Lets the step that is due run out. */
  async passStep(): Promise<void> {
    await pass(await this.deadline());
  }

  #call(by: Actor) {
    const market = this.life.as(by);
    return { market, args: [this.life.terms, this.life.batch, this.settlement] as const };
  }

  async challenge(by: Actor = this.member(0)): Promise<ContractTransactionResponse> {
    const { market, args } = this.#call(by);
    return await market.challenge(...args);
  }

  async callPanel(by: Actor = this.d.stranger): Promise<ContractTransactionResponse> {
    const { market, args } = this.#call(by);
    return await market.callPanel(...args);
  }

  async contest(
    matter: bigint,
    { task = 0, member = 0, by = this.d.requester }: { task?: number; member?: number; by?: Actor } = {},
  ): Promise<ContractTransactionResponse> {
    const { market, args } = this.#call(by);
    return await market.contest(...args, matter, task, member);
  }

  async answerContest(by: Actor, evidence = "0x"): Promise<ContractTransactionResponse> {
    const { market, args } = this.#call(by);
    return await market.answerContest(...args, evidence);
  }

  async shown(member: number, task?: number): Promise<Shown> {
    const about = task ?? Number((await this.stored()).task);
    return this.life.results!.show(this.assignment, this.member(member).address, about);
  }

  async open(member: number, by?: Actor, shown?: Shown): Promise<ContractTransactionResponse> {
    const { market, args } = this.#call(by ?? this.member(member));
    const { opening, proof } = shown ?? (await this.shown(member));
    return await market.open(...args, member, opening, proof);
  }

  async openAll(...members: number[]): Promise<void> {
    const all = members.length === 0 ? [...this.members.keys()] : members;
    for (const member of all) await this.open(member);
  }

  async rule(by: Actor = this.d.stranger): Promise<ContractTransactionResponse> {
    const { market, args } = this.#call(by);
    return await market.rule(...args);
  }

  async appeal(by: Actor): Promise<ContractTransactionResponse> {
    const { market, args } = this.#call(by);
    return await market.appeal(...args);
  }

  /** Mines until the hash is known that decides the newest jury's draw. */
  async mineJury(): Promise<void> {
    await networkHelpers.mineUpTo((await this.jury()).entropyBlock + 1n);
  }

  async convene(by: Actor = this.d.stranger): Promise<ContractTransactionResponse> {
    const { market, args } = this.#call(by);
    return await market.convene(...args);
  }

  /** Mines, convenes, and says who sits. */
  async seat(): Promise<Actor[]> {
    await this.mineJury();
    await this.convene();
    return await this.jurors();
  }

  /** The value of a juror's ballot. */
  async value(told: string): Promise<string> {
    const { matter, task } = await this.stored();
    if (matter === Matter.Delivery) return told === "" ? DELIVERED : UNDELIVERED;
    return outputOf(Number(task), told);
  }

  saltOf(juror: Actor): string {
    return keccakOf(`ballot ${juror.address}`);
  }

  async ballot(juror: Actor, value: string, changes: { tier?: bigint; assignment?: number; task?: bigint } = {}) {
    const { task, tier } = await this.stored();
    return ballotOf(
      this.d.chainId,
      this.d.marketAddress,
      this.life.id,
      changes.assignment ?? this.assignment,
      changes.task ?? task,
      changes.tier ?? tier,
      juror.address,
      value,
      this.saltOf(juror),
    );
  }

  async cast(seat: number, ballot: string, by: Actor): Promise<ContractTransactionResponse> {
    const { market, args } = this.#call(by);
    return await market.castBallot(...args, seat, ballot);
  }

  /** The juror of a seat says what it was `told`. */
  async vote(seat: number, told = ""): Promise<ContractTransactionResponse> {
    const juror = (await this.jurors())[seat]!;
    return await this.cast(seat, await this.ballot(juror, await this.value(told)), juror);
  }

  async openBallot(
    seat: number,
    value: string,
    salt: string,
    by: Actor = this.d.stranger,
  ): Promise<ContractTransactionResponse> {
    const { market, args } = this.#call(by);
    return await market.openBallot(...args, seat, value, salt);
  }

  /** The juror of a seat opens what it {@link vote}d. */
  async showVote(seat: number, told = ""): Promise<ContractTransactionResponse> {
    const juror = (await this.jurors())[seat]!;
    return await this.openBallot(seat, await this.value(told), this.saltOf(juror), juror);
  }

  async expose(seat: number, value: string, salt: string, by: Actor): Promise<ContractTransactionResponse> {
    const { market, args } = this.#call(by);
    return await market.exposeBallot(...args, seat, value, salt);
  }

  /**
   * A jury from draw to ruling: every juror says what `votes` gives for its seat, the last of them for all that follow.
   * Members open in between where the matter is Work. Returns who sits.
   */
  async decide(votes: Vote[] = [""], { open = [] }: { open?: number[] } = {}): Promise<Actor[]> {
    const jurors = await this.seat();
    const voteOf = (seat: number): Vote => votes[Math.min(seat, votes.length - 1)];
    for (const seat of jurors.keys()) {
      const told = voteOf(seat);
      if (told !== undefined) await this.vote(seat, told);
    }
    await this.rule();
    expect((await this.stored()).stage).to.equal(Stage.Showing);
    for (const seat of jurors.keys()) {
      const told = voteOf(seat);
      if (told !== undefined) await this.showVote(seat, told);
    }
    for (const member of open) await this.open(member, this.d.requester);
    if (
      (await this.stored()).matter === Matter.Work &&
      (await this.stored()).opened !== 2n ** BigInt(this.members.length) - 1n
    )
      await this.passStep();
    await this.rule();
    expect((await this.stored()).stage).to.equal(Stage.Ruled);
    return jurors;
  }

  /** Lets the appeal window pass and concludes. */
  async conclude(by: Actor = this.d.stranger): Promise<ContractTransactionResponse> {
    await this.passStep();
    return await this.life.conclude(this.assignment, by);
  }

  /**
   * Concludes, and fails unless it ends so, everything is closed, nothing of the dispute is left in storage, and exactly
   * these have gained and lost since before the post.
   */
  async expectConcluded(
    end: { outcome: bigint; paid: bigint; accused?: bigint; penalty?: bigint },
    changes: Money,
  ): Promise<void> {
    const { d, life, assignment } = this;
    expect(await endsOf(d, this.conclude())).to.deep.equal([{ accused: 0n, penalty: 0n, ...end }]);
    await expectClosed(life);
    await expectForgotten(this);
    await expectMoney(d, this.before, changes);
    await expect(life.conclude(assignment)).to.be.revertedWithCustomError(d.market, "UnknownBatch");
  }
}

/** Fails if anything of a dispute is still stored. */
export async function expectForgotten({ d, life, assignment, members }: Dispute): Promise<void> {
  const { id } = life;
  const stored = await d.market.disputeOf(id, assignment);
  expect([stored.matter, stored.stage, stored.opened, stored.deadline]).to.deep.equal([0n, 0n, 0n, 0n]);
  expect((await d.market.panelState(id, assignment)).verdict).to.equal(0n);
  for (const member of members.keys()) {
    expect(BigInt(await d.market.openedBy(id, assignment, member))).to.equal(0n);
  }
  for (const tier of [0, 1, 2]) {
    expect(BigInt(await d.market.rulingOf(id, assignment, tier))).to.equal(0n);
    const [jury, jurors] = await d.market.juryOf(id, assignment, tier);
    expect([BigInt(jury.appellant), jury.bond, jury.seats, jury.entropyBlock]).to.deep.equal([0n, 0n, 0n, 0n]);
    expect(jurors).to.have.length(0);
  }
}

/** What members are told to say, by member; who is not named says the truth. */
export type Lies = Record<number, string>;

/** A revealed batch of one assignment, in which everybody drawn has answered as told. */
export async function startPanel(
  d: Deployment,
  lies: Lies = {},
  { terms = fixedTerms(d), count = 10 }: { terms?: Terms; count?: number } = {},
): Promise<Dispute> {
  const before = await moneyOf(d);
  const life = await postBatch(d, { terms, count, real: true });
  if (lies[0] !== undefined) life.results!.lie(d.honest.address, lies[0]);
  await life.untilRevealed([d.honest, count]);
  return await answerAll(life, 0, lies, before);
}

/** Has everybody answer that was drawn for an assignment, as told. */
export async function answerAll(life: Life, assignment: number, lies: Lies, before: Money): Promise<Dispute> {
  const drawn = await life.drawn(assignment);
  for (const [seat, node] of drawn.entries()) {
    const told = lies[seat + 1];
    if (told !== undefined) life.results!.lie(node.address, told);
    await life.answer(assignment, 0, seat);
  }
  return new Dispute(life, assignment, [life.slice(assignment).node, ...drawn], before);
}

/** A market with enough nodes for every jury. */
export const loadCrowd = () => networkHelpers.loadFixture(deployCrowd);

/** Stakes for somebody that holds no slot, and can appeal. */
export async function stakeFor(d: Deployment, actor: Actor, amount: bigint): Promise<void> {
  await d.vault.connect(d.admin).deposit(await d.registry.getAddress(), actor.address, amount);
  await d.registry.connect(actor).stake(d.marketAddress, amount);
}

/** Commits a node's stake to something else of this market, all but `left`. */
export async function commitAllBut(d: Deployment, node: Actor, left: bigint): Promise<void> {
  const { stake, committed } = await d.registry.nodeState(d.marketAddress, node.address);
  const market = await ethers.getImpersonatedSigner(d.marketAddress);
  await networkHelpers.setBalance(d.marketAddress, 10n ** 18n);
  await d.registry.connect(market).commitSeat(node.address, stake - committed - left);
}

/** Who sits where, as the events of a call tell it. */
export async function seated(d: Deployment, sent: Promise<ContractTransactionResponse>) {
  return eventsIn(d, await mined(sent), "JurorSeated").map(({ node, tier, seat }) => ({
    node: node as string,
    tier: tier as bigint,
    seat: seat as bigint,
  }));
}
