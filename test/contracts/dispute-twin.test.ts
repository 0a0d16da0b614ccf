import { expect } from "chai";
import { id as keccakOf, ZeroHash } from "ethers";

import * as calls from "#sdk/calls.ts";
import { ballotOf, batchNonce, commit, DELIVERED, taskDigest, type Opening } from "#sdk/commitment.ts";
import { appealTerms, dueStep, mustOpen, standing, type DueStep } from "#sdk/dispute.ts";
import type { JsonRpc } from "#sdk/json-rpc.ts";
import type { MarketState } from "#sdk/market-state.ts";
import {
  canCallPanel,
  canContest,
  canDrawJuror,
  drawnFor,
  jurorsDrawn,
  panelStatus,
  payOf,
  settlementOf,
  submissionOf,
  type AssignmentRecord,
  type BatchRecord,
} from "#sdk/market-state.ts";
import { contestBond, reserve } from "#sdk/pricing.ts";
import * as reads from "#sdk/reads.ts";
import { sampledTasks } from "#sdk/sampling.ts";
import { ballotSalt } from "#sdk/seed.ts";
import type { Parameters, Verdict } from "#sdk/terms.ts";
import { readState } from "./market-events.ts";
import {
  deployMarket,
  ethers,
  networkHelpers,
  pass,
  postBatch,
  PARAMETERS,
  termsOf,
  type Actor,
  type Deployment,
  type Life,
} from "./market-fixture.ts";

const parameters = Object.fromEntries(
  Object.entries(PARAMETERS).map(([name, value]) => [
    name,
    name === "bondFixed" || name === "challengeBond" ? value : Number(value),
  ]),
) as unknown as Parameters;

const rpc = { request: (method: string, params: unknown[]) => ethers.provider.send(method, params) } as JsonRpc;

/** One batch of one assignment, played with nothing but the SDK. */
class Play {
  readonly d: Deployment;
  readonly life: Life;
  state!: MarketState;

  constructor(d: Deployment, life: Life) {
    this.d = d;
    this.life = life;
  }

  /** A revealed batch in which the primary says `words[0]` of every task and the two verifiers `words[1]` and `words[2]`. */
  static async start(d: Deployment, words: readonly [string, string, string]): Promise<Play> {
    const life = await postBatch(d, { terms: termsOf(d, { adaptive: false }) });
    const play = new Play(d, life);
    await life.claim(d.honest);
    await play.read();
    const tasks = Array.from({ length: 10 }, (_, task) => task);
    const publish = (node: Actor, word: string, some: readonly number[]): calls.Publication => ({
      root: commit(play.openings(word, some), play.#member(node)).root,
      manifest: ZeroHash,
      envelope: "0x12",
    });
    const published = publish(d.honest, words[0], tasks);
    await play.send(d.honest, calls.submit(d.marketAddress, { ...published, batchId: life.id, assignment: 0 }));
    await life.mineEntropy();
    await life.reveal();
    await play.read();
    for (const [seat, address] of drawnFor(play.state, play.record, play.assignment, new Map())[0]!.entries()) {
      const node = play.actor(address);
      const answer = publish(node, words[seat + 1]!, play.sampled);
      const submission = submissionOf(play.assignment);
      const place = { seat: { assignment: 0, round: 0, seat }, submission };
      await play.send(node, calls.answer(d.marketAddress, { ...play.batch, ...answer, ...place }));
    }
    return play;
  }

  get record(): BatchRecord {
    return this.state.batches.get(this.life.id)!;
  }

  get assignment(): AssignmentRecord {
    return this.record.assignments[0]!;
  }

  get batch(): calls.BatchArguments {
    return { terms: this.record.terms, batch: this.record.batch };
  }

  get disputed(): calls.DisputeArguments {
    return { ...this.batch, panel: settlementOf(this.assignment) };
  }

  get sampled(): number[] {
    const { first, count } = this.assignment;
    return sampledTasks(this.record.reveal!.entropy, { assignment: 0, first, count }, this.record.terms.rate);
  }

  get members(): Actor[] {
    return [this.assignment, ...this.assignment.answers].map(({ node }) => this.actor(node));
  }

  actor(address: string): Actor {
    return [...this.d.nodes, this.d.stranger].find((actor) => actor.address === address)!;
  }

  openings(word: string, tasks: readonly number[]): Opening[] {
    const nonce = batchNonce({ chainId: this.d.chainId, market: this.d.marketAddress, batchId: this.life.id });
    return tasks.map((task) => ({ task, digest: taskDigest(nonce, task, keccakOf(word)), salt: keccakOf(`${task}`) }));
  }

  /** Sends, reads what the chain then says, and compares that with what the market stores. */
  async send(actor: Actor, call: calls.ContractCall): Promise<void> {
    await actor.sendTransaction({ ...call });
    await this.read();
    await this.compare();
  }

  async read(): Promise<void> {
    this.state = await readState(this.d);
  }

  async compare(): Promise<void> {
    const { marketAddress: market } = this.d;
    const { dispute } = this.assignment;
    const place = { batchId: this.life.id, assignment: 0 };
    const stored = await reads.disputeOf(rpc, market, this.life.id, 0);
    if (!dispute || this.assignment.status === "settled") {
      expect(stored.matter).to.equal("none");
      return;
    }
    const { matter, stage, tier, member, task, deadline, openings, rulings, juries } = dispute;
    expect(stored).to.deep.include({ matter, stage, tier, member, task, deadline });
    expect(stored.opened).to.equal([...openings.keys()].reduce((mask, each) => mask | (1n << BigInt(each)), 0n));
    for (const [number, { digest }] of openings) {
      expect(await reads.openedBy(rpc, market, { ...place, member: number })).to.equal(digest);
    }
    for (const [each, ruling] of rulings.entries()) {
      expect(await reads.rulingOf(rpc, market, { ...place, tier: each })).to.equal(ruling);
    }
    for (const jury of juries) {
      const { appellant, seats, entropyBlock, call, convened, jurors } = await reads.juryOf(rpc, market, {
        ...place,
        tier: jury.tier,
      });
      expect(jury).to.include({ appellant, seats, entropyBlock, call, convened });
      expect(jury.jurors.map(({ node, cast, digest }) => ({ node, cast, shown: digest !== undefined }))).to.deep.equal(jurors); // prettier-ignore
    }
  }

  async due(): Promise<DueStep | undefined> {
    const { number: block, timestamp: now } = (await ethers.provider.getBlock("latest"))!;
    return dueStep(this.record, this.assignment, { now, block });
  }

  /** Does what anybody may do now, if it is that. */
  async step(expected: DueStep): Promise<void> {
    expect(await this.due()).to.equal(expected);
    await this.send(this.d.stranger, calls[expected](this.d.marketAddress, this.disputed));
  }

  async waitOut(): Promise<void> {
    await pass(BigInt(this.assignment.dispute!.deadline));
  }

  async now(): Promise<number> {
    return networkHelpers.time.latest();
  }

  async hashes(): Promise<Map<number, string>> {
    const { entropyBlock } = this.assignment.dispute!.juries.at(-1)!;
    return new Map([[entropyBlock, (await ethers.provider.getBlock(entropyBlock))!.hash!]]);
  }

  async judge(verdict: Verdict, member = 0): Promise<void> {
    const place = { round: 0, seat: Math.max(0, member - 1) };
    const exception = {
      assignment: 0,
      verdict,
      witness: this.sampled[0]!,
      ...place,
      submission: submissionOf(this.assignment),
    };
    const before = await reads.lockedUnder(rpc, await this.d.vault.getAddress(), this.d.marketAddress, this.life.id);
    await this.send(this.d.requester, calls.judge(this.d.marketAddress, { ...this.batch, exceptions: [exception], last: true })); // prettier-ignore
    const after = await reads.lockedUnder(rpc, await this.d.vault.getAddress(), this.d.marketAddress, this.life.id);
    const { terms, price } = this.record;
    const backing = reserve(terms, price, 10, parameters);
    expect(after.amount - before.amount).to.equal(backing.beyondBond);
    expect(await reads.reserve(rpc, this.d.marketAddress, { terms, price, count: 10 })).to.deep.equal(backing);
  }

  async open(member: number, word: string): Promise<void> {
    const { task, matter } = this.assignment.dispute!;
    const tasks = member === 0 ? Array.from({ length: 10 }, (_, each) => each) : this.sampled;
    const openings = this.openings(word, tasks);
    const opening = openings.find((each) => each.task === task)!;
    const proof = commit(openings, this.#member(this.members[member]!)).proof(task);
    if (matter !== "work") expect(mustOpen(this.assignment, member, await this.now())).to.equal(true);
    await this.send(this.d.stranger, calls.open(this.d.marketAddress, { ...this.disputed, member, opening, proof }));
  }

  /** The newest call's jurors, computed before anybody convened it and then seated. */
  async convene(): Promise<{ node: string; seat: number }[]> {
    await networkHelpers.mine(PARAMETERS.finalDepth + 1n);
    const drawn = jurorsDrawn(this.state, this.record, this.assignment, await this.hashes())!;
    await this.step("convene");
    const { jurors } = this.assignment.dispute!.juries.at(-1)!;
    for (const { node, seat } of drawn) expect(jurors[seat]).to.include({ node, seat });
    return drawn;
  }

  ballot(seat: number, value: string): { seat: number; value: string; salt: string; ballot: string; juror: Actor } {
    const { task, tier, juries } = this.assignment.dispute!;
    const juror = juries.at(-1)!.jurors[seat]!.node;
    const batch = { chainId: this.d.chainId, market: this.d.marketAddress, batchId: this.life.id };
    const context = { ...batch, assignment: 0, task, tier, juror };
    const salt = ballotSalt(keccakOf(`secret of ${juror}`), context);
    return { seat, value, salt, ballot: ballotOf(context, value, salt), juror: this.actor(juror) };
  }

  async cast(seat: number, value: string): Promise<void> {
    const { juror, ballot } = this.ballot(seat, value);
    await this.send(juror, calls.castBallot(this.d.marketAddress, { ...this.disputed, seat, ballot }));
  }

  async show(seat: number, value: string): Promise<void> {
    const opened = this.ballot(seat, value);
    await this.send(this.d.stranger, calls.openBallot(this.d.marketAddress, { ...this.disputed, ...opened }));
  }

  /** Concludes, and members end as the SDK said they stand. */
  async conclude(): Promise<void> {
    const stood = this.members.map((_, member) => standing(this.record, this.assignment, member));
    const pay = this.members.map((_, member) => payOf(this.record, this.assignment, member));
    await this.step("conclude");
    const { accused, paid } = this.assignment.outcome!;
    const slashed = stood.map((each, member) => (each === "slashed" ? 1n << BigInt(member) : 0n));
    expect(accused).to.equal(slashed.reduce((mask, bit) => mask | bit));
    expect(paid).to.equal(stood.reduce((sum, each, member) => (each === "paid" ? sum + pay[member]! : sum), 0n));
    expect(this.record.closed).to.not.equal(undefined);
  }

  #member(node: Actor): { chainId: bigint; market: string; batchId: string; member: string } {
    return { chainId: this.d.chainId, market: this.d.marketAddress, batchId: this.life.id, member: node.address };
  }
}

describe("the SDK's view of disputes", function () {
  this.timeout(120_000);

  const right = keccakOf("right");
  const wrong = keccakOf("wrong");

  it("is the contract's through a false exception, a colluding panel, two juries, absence and exposure", async () => {
    const d = await networkHelpers.loadFixture(deployMarket);
    const play = await Play.start(d, ["right", "wrong", "wrong"]);
    const [primary, , second] = play.members as [Actor, Actor, Actor];
    await play.judge("primary-differs");
    await play.send(primary, calls.challenge(d.marketAddress, play.disputed));
    await play.open(0, "right");
    await play.open(2, "wrong");
    await play.open(1, "wrong");
    await play.step("rule");
    expect(await play.due()).to.equal(undefined);

    const price = appealTerms(play.record, play.assignment, primary.address, await play.now());
    expect(price).to.deep.equal({ tier: 1, bond: 0n, from: "lock" });
    expect(appealTerms(play.record, play.assignment, second.address, await play.now())!.from).to.equal("stake");
    await play.send(primary, calls.appeal(d.marketAddress, play.disputed));
    expect(await play.convene()).to.have.length(7);
    for (const seat of [0, 1, 2, 4, 5]) await play.cast(seat, right);
    const exposed = play.ballot(1, right);
    await play.send(d.stranger, calls.exposeBallot(d.marketAddress, { ...play.disputed, ...exposed }));
    expect(await play.due()).to.equal(undefined);
    await play.waitOut();
    await play.step("rule");
    // Two are left in the pool for three empty seats; whoever is not replaced keeps its own.
    expect((await play.convene()).map(({ seat }) => seat)).to.deep.equal([1, 3]);
    await play.cast(1, wrong);
    await play.cast(3, right);
    await play.waitOut();
    await play.step("rule");
    for (const seat of [0, 2, 3, 4]) await play.show(seat, right);
    await play.show(1, wrong);
    expect(await play.due()).to.equal(undefined);
    await play.waitOut();
    await play.step("rule");
    expect(play.assignment.dispute!.missed).to.have.length(5);

    // Those who were replaced can be drawn again.
    expect(canDrawJuror(play.state, play.record, play.assignment, new Map())).to.equal(true);
    await play.send(d.requester, calls.appeal(d.marketAddress, play.disputed));
    const last = await play.convene();
    for (const { seat } of last) await play.cast(seat, right);
    await play.step("rule");
    for (const { seat } of last) await play.show(seat, right);
    await play.step("rule");
    await play.conclude();
    expect(play.assignment.outcome!.outcome).to.equal("seat-slashed");
  });

  it("is the contract's where the requester is silent", async () => {
    const d = await networkHelpers.loadFixture(deployMarket);
    const play = await Play.start(d, ["wrong", "right", "right"]);
    const status = (): ReturnType<typeof panelStatus> => panelStatus(play.record, play.assignment, parameters);
    await pass(BigInt(status()!.judgeBy));
    expect(canCallPanel(play.record, play.assignment, status(), await play.now())).to.equal(true);
    await play.send(d.stranger, calls.callPanel(d.marketAddress, play.disputed));
    await play.open(0, "wrong");
    await play.open(1, "right");
    await play.open(2, "right");
    await play.step("rule");
    await play.waitOut();
    await play.conclude();
    expect(play.assignment.outcome!.outcome).to.equal("primary-slashed");
  });

  it("is the contract's in contests of work and of delivery", async () => {
    const d = await networkHelpers.loadFixture(deployMarket);
    const vault = await d.vault.getAddress();
    for (const matter of ["work", "delivery"] as const) {
      const play = await Play.start(d, ["right", "right", "right"]);
      const status = panelStatus(play.record, play.assignment, parameters);
      expect(canContest(play.record, play.assignment, status, await play.now())).to.equal(true);
      const [task, member] = matter === "work" ? [7, 0] : [0, 2];
      const before = await reads.lockedUnder(rpc, vault, d.marketAddress, play.life.id);
      await play.send(d.requester, calls.contest(d.marketAddress, { ...play.disputed, matter, task, member }));
      const after = await reads.lockedUnder(rpc, vault, d.marketAddress, play.life.id);
      const bond = contestBond(play.record.terms, payOf(play.record, play.assignment, member), parameters);
      expect(after.amount - before.amount).to.equal(bond);
      const accused = play.members[member]!;
      await play.send(accused, calls.answerContest(d.marketAddress, { ...play.disputed, evidence: "0x1234" }));
      const value = matter === "work" ? right : DELIVERED;
      const jury = await play.convene();
      for (const { seat } of jury) await play.cast(seat, value);
      await play.step("rule");
      for (const { seat } of jury) await play.show(seat, value);
      if (matter === "work") {
        expect(mustOpen(play.assignment, 0, await play.now())).to.equal(true);
        await play.open(0, "right");
        await play.waitOut();
      }
      await play.step("rule");
      await play.waitOut();
      await play.conclude();
      expect(play.assignment.outcome!.outcome).to.equal("paid");
    }
  });

  it("is the contract's where a contest is not answered, and where nobody challenges", async () => {
    const d = await networkHelpers.loadFixture(deployMarket);
    const play = await Play.start(d, ["right", "right", "right"]);
    await play.send(
      d.requester,
      calls.contest(d.marketAddress, { ...play.disputed, matter: "work", task: 3, member: 0 }),
    );
    await play.waitOut();
    await play.conclude();
    expect(play.assignment.outcome!.outcome).to.equal("forfeited");
    const other = await Play.start(d, ["right", "wrong", "wrong"]);
    await other.judge("seat-differs", 2);
    await pass(BigInt(other.assignment.exceptions[0]!.at) + other.life.terms.windows.challenge);
    await other.conclude();
    expect(other.assignment.outcome!.outcome).to.equal("seat-slashed");
  });
});
