import { setTimeout as delay } from "node:timers/promises";
import { expect } from "chai";
import { getAddress, hexlify, id, JsonRpcProvider, parseUnits, randomBytes, ZeroAddress, type Wallet } from "ethers";
import * as calls from "#sdk/calls.ts";
import { batchNonce, commit, seedCommitment, taskDigest } from "#sdk/commitment.ts";
import { classNamed } from "#sdk/deployment.ts";
import { drawnFor, settlementOf, type BatchRecord } from "#sdk/market-state.ts";
import { contestBond, juryBond, reserve } from "#sdk/pricing.ts";
import { encryptionKeyPair } from "#sdk/seed.ts";
import { jobIdOf, type Terms } from "#sdk/terms.ts";
import { disputeReports, type DisputeReport } from "../../agents/cli/dispute-report.ts";
import { disputeText } from "../../agents/cli/dispute-text.ts";
import { readMarket, type MarketView } from "../../agents/cli/market-view.ts";
import { errorCode, lastJson, surety, type Ended } from "../support/command-line.ts";
import { DisputeSteps } from "../support/dispute-steps.ts";
import { LocalMarket } from "../support/local-market.ts";
import {
  addressOf,
  BATCH_ID,
  MarketHistory,
  nodeAt,
  PARAMETERS,
  REQUESTER,
  TERMS,
  WINDOWS,
} from "../support/market-history.ts";

const TOKEN = { symbol: "TEST", decimals: 0 };
const DRAWN = 2 * (PARAMETERS.finalDepth + 2);

/** A revealed batch of one assignment with a full panel of three. */
function panel(): MarketHistory {
  const history = new MarketHistory({ nodes: 30 }).post().claim(nodeAt(0), 6);
  history.submit(nodeAt(0), 0).wait(20).reveal();
  for (const seat of history.drawn(0)[0]!.keys()) history.answerFrom(0, 0, seat);
  return history;
}

function excepted(): DisputeSteps {
  const exception = { assignment: 0, verdict: "primary-differs" as const, witness: 2, round: 0, seat: 0 };
  return new DisputeSteps(panel().judge(REQUESTER, [exception], true));
}

function reportsOf({ history }: DisputeSteps, me?: string, choice = {}): DisputeReport[] {
  const { now, block, hashes } = history;
  return disputeReports(history.state, { now, block, parameters: PARAMETERS, hashes, me }, choice);
}

function reportOf(steps: DisputeSteps, me?: string): DisputeReport {
  const [report, ...others] = reportsOf(steps, me);
  expect(others).to.deep.equal([]);
  expect(disputeText(report!, TOKEN)).to.include(BATCH_ID);
  return report!;
}

const callsOf = ({ moves }: DisputeReport): string[] => moves.map(({ call }) => call);
const stakeOf = ({ stakes }: DisputeReport, role: string) => stakes.find((stake) => stake.role === role);

describe("what surety disputes explains", () => {
  it("is nothing where nobody accuses or disputes", () => {
    expect(reportsOf(new DisputeSteps(panel()), undefined, { all: true })).to.deep.equal([]);
  });

  it("is an accusation, what backs it, and who may challenge it until when", () => {
    const steps = excepted();
    const report = reportOf(steps);
    expect(report).to.include({ state: "excepted", matter: "none", task: 2, requester: REQUESTER });
    expect(report.until).to.equal(steps.history.now + WINDOWS.challenge);
    expect(report.secondsLeft).to.equal(WINDOWS.challenge);
    expect(report.members.map(({ accused, standing }) => [accused, standing])).to.deep.equal([
      [true, "slashed"],
      [false, "paid"],
      [false, "paid"],
    ]);
    expect(report.moves.map(({ call, who, bond }) => [call, who, bond])).to.deep.equal([
      ["challenge", [steps.members[0]], 0n],
      ["challenge", steps.members.slice(1), PARAMETERS.challengeBond],
    ]);
    expect(report.due).to.equal(undefined);
    expect(report.expected).to.deep.equal({ outcome: "primary-slashed", lied: false, burned: 90n });
    const { amount } = reserve(TERMS, TERMS.price, 6, PARAMETERS);
    expect(stakeOf(report, "requester")).to.include({ locked: amount, loses: 144n });
    expect(stakeOf(report, "primary")).to.include({ locked: 100n, pay: 60n, gets: 0n, loses: 100n });
    // Its pay for six tasks, and half of a tenth of the slash.
    expect(stakeOf(report, "verifier 1")).to.include({ locked: 100n, pay: 72n, gets: 77n, loses: 0n });
    expect(reportOf(steps.wait(WINDOWS.challenge + 1))).to.deep.include({
      due: "conclude",
      moves: [],
      secondsLeft: -1,
    });
  });

  it("is a challenge, and that the requester loses its reserve once a majority contradicts it", () => {
    const steps = excepted().challenge(nodeAt(0));
    const opening = reportOf(steps, nodeAt(0));
    expect(opening).to.include({ state: "disputed", matter: "exception", stage: "opening", by: nodeAt(0) });
    expect(opening.moves).to.have.lengthOf(1);
    expect(opening.moves[0]).to.deep.include({ call: "open", who: steps.members });
    expect(opening.mine).to.deep.include({ roles: ["primary", "challenger"] });
    expect(opening.mine?.next.call).to.equal("open");
    steps.open(0, "right").open(1, "right").open(2, "right");
    expect(reportOf(steps, addressOf("stranger")))
      .to.include({ due: "rule" })
      .and.not.have.property("mine");
    const ruled = reportOf(steps.rule(), REQUESTER);
    const { amount } = reserve(TERMS, TERMS.price, 6, PARAMETERS);
    expect(ruled.expected).to.include({ outcome: "forced", lied: true });
    expect(stakeOf(ruled, "requester")).to.include({ locked: amount, loses: amount + 60n + 2n * 72n });
    expect(ruled.moves).to.have.lengthOf(1);
    expect(ruled.moves[0]).to.deep.include({ call: "appeal", who: "anybody", bond: juryBond(TERMS, 1) });
    expect(ruled.mine).to.deep.include({ roles: ["requester"] });
    expect(ruled.mine?.next.call).to.equal(undefined);
  });

  it("is who lost, that it may appeal without a bond, and its jurors' part then", () => {
    const steps = excepted().challenge(nodeAt(0)).open(0, "other").open(1, "right").open(2, "right").rule();
    const ruled = reportOf(steps, nodeAt(0));
    expect(ruled.moves.map(({ who, bond }) => [who, bond])).to.deep.equal([
      [[nodeAt(0)], 0n],
      ["anybody", juryBond(TERMS, 1)],
    ]);
    expect(ruled.mine?.next.call).to.equal("appeal");
    steps.appeal(nodeAt(0));
    expect(reportOf(steps).juries[0]).to.deep.include({ convened: false, drawn: [] });
    steps.wait(DRAWN);
    const drawn = reportOf(steps);
    expect(drawn.juries[0]!.drawn).to.have.lengthOf(7);
    expect(drawn.due).to.equal("convene");
    expect(callsOf(drawn)).to.deep.equal(["castBallot"]);
    const juror = drawn.juries[0]!.drawn[0]!.node;
    expect(reportOf(steps, juror).mine).to.deep.include({ roles: ["juror of jury 1"] });
    steps.convene().castBallot(0);
    const casting = reportOf(steps, juror);
    expect(callsOf(casting)).to.deep.equal(["castBallot", "exposeBallot"]);
    expect(casting.moves[0]!.who).to.deep.equal(steps.jurors.slice(1));
    expect(casting.mine?.next.call).to.equal(undefined);
    expect(stakeOf(casting, "juror 1")).to.include({ node: juror, locked: TERMS.slashAmount, gets: 0n });
    for (const seat of steps.jurors.keys()) if (seat > 0) steps.castBallot(seat);
    steps.rule();
    expect(reportOf(steps, juror).mine?.next.call).to.equal("openBallot");
    for (const seat of [0, 1, 2, 3]) steps.openBallot(seat, "other");
    // Four of seven are more than half: the two that were believed lose.
    const showing = reportOf(steps);
    expect(showing.members.map(({ standing }) => standing)).to.deep.equal(["paid", "slashed", "slashed"]);
    expect(showing.expected).to.include({ outcome: "seat-slashed" });
    expect(stakeOf(showing, "juror 1")).to.include({ gets: TERMS.verifierPrice });
    steps.openBallot(4, "right").waitOut().rule();
    for (const [seat, call] of [
      [0, undefined],
      [4, "appeal"],
    ] as const) {
      expect(reportOf(steps, steps.jurors[seat]).mine?.next.call).to.equal(call);
    }
  });

  it("is a contest, who has to answer it, and what the requester risks by it", () => {
    const steps = new DisputeSteps(panel()).contestDelivery(1);
    const report = reportOf(steps, steps.members[1]);
    expect(report).to.include({ matter: "delivery", stage: "answering", task: undefined });
    expect(report.moves[0]).to.deep.include({ call: "answerContest", who: [steps.members[1]] });
    expect(report.mine?.next.call).to.equal("answerContest");
    expect(stakeOf(report, "requester")?.locked).to.equal(contestBond(TERMS, 72n, PARAMETERS));
    expect(report.members.map(({ standing }) => standing)).to.deep.equal(["paid", "unpaid", "paid"]);
    steps.answerContest("0x1234").vote(Array.from({ length: 7 }, () => "right"));
    const ruled = reportOf(steps);
    expect(ruled.expected).to.include({ outcome: "paid" });
    // The accused gets the challenge bond for having had to answer.
    expect(stakeOf(ruled, "verifier 1")).to.include({ gets: 72n + PARAMETERS.challengeBond });
  });

  it("is a silence, and that the fixed part of the bond pays who opens", () => {
    const steps = new DisputeSteps(panel().wait(WINDOWS.check + WINDOWS.judge + 1)).callPanel(nodeAt(3));
    expect(stakeOf(reportOf(steps), "requester")?.locked).to.equal(PARAMETERS.bondFixed);
    steps.open(0, "right").open(1, "right").open(2, "other");
    const report = reportOf(steps, nodeAt(3));
    expect(report).to.include({ matter: "silence" });
    expect(report.mine?.roles).to.deep.equal(["challenger"]);
    expect(report.mine?.next.call).to.equal(undefined);
    expect(reportOf(steps, steps.members[1]).mine?.next.call).to.equal("rule");
    expect(report.members.map(({ standing }) => standing)).to.deep.equal(["paid", "paid", "slashed"]);
  });

  it("is how it ended, when asked for", () => {
    const steps = excepted()
      .wait(WINDOWS.challenge + 1)
      .conclude();
    expect(reportsOf(steps)).to.deep.equal([]);
    const [report] = reportsOf(steps, nodeAt(0), { all: true, mine: true });
    expect(report).to.deep.include({ state: "concluded", moves: [], stakes: [], until: undefined });
    expect(report!.outcome).to.deep.include({ outcome: "primary-slashed", slashed: [nodeAt(0)], falselyAccused: 0n });
    expect(disputeText(report!, TOKEN)).to.include("primary-slashed");
    expect(reportsOf(steps, addressOf("stranger"), { all: true, mine: true })).to.deep.equal([]);
    expect(reportsOf(steps, undefined, { all: true, batch: id("another") })).to.deep.equal([]);
  });
});

describe("surety disputes", function () {
  this.timeout(120_000);
  let market: LocalMarket;
  let batch: ExceptedBatch;

  before(async () => {
    market = await LocalMarket.start({ accounts: 12 });
    batch = await ExceptedBatch.post(market);
  });

  after(async () => {
    batch?.close();
    await market?.stop();
  });

  const disputes = (...args: string[]): Promise<Ended> =>
    surety(["disputes", "--rpc", market.chain.url, "--deployment", market.deploymentPath, ...args]);

  async function reports(...args: string[]): Promise<Record<string, unknown>[]> {
    const ended = await disputes(...args, "--json");
    expect(ended.exit, ended.stderr).to.equal(0);
    return lastJson(ended).disputes as Record<string, unknown>[];
  }

  const refusals: [what: string, args: string[], code: string, exit: number][] = [
    ["a batch that is none", ["--batch", "0x12"], "USAGE", 2],
    ["a batch that the market never had", ["--batch", id("none")], "BATCH_UNKNOWN", 2],
    ["an account that is none", ["--mine", "0x12"], "USAGE", 2],
    ["to guess whose disputes are meant", ["--mine"], "USAGE", 2],
  ];
  for (const [what, args, code, exit] of refusals) {
    it(`refuses ${what}`, async () => {
      const ended = await disputes(...args);
      expect(errorCode(ended), ended.stderr).to.equal(code);
      expect(ended.exit).to.equal(exit);
      expect(ended.stderr).to.match(/^fix: ./m);
    });
  }

  it("refuses a chain without its address book, one that does not answer, and no market at all", async () => {
    for (const [args, code, exit] of [
      [["--rpc", market.chain.url], "USAGE", 2],
      [["--rpc", "http://127.0.0.1:1", "--deployment", market.deploymentPath], "RPC_UNREACHABLE", 3],
      [[], "REQUESTER_UNKNOWN", 2],
    ] as const) {
      const ended = await surety(["disputes", ...args], { cwd: market.folder });
      expect(errorCode(ended), ended.stderr).to.equal(code);
      expect(ended.exit).to.equal(exit);
    }
  });

  it("finds what is accused on the chain, tells the accused's agent to challenge, and everybody after that to open", async () => {
    const { accused, requester } = batch;
    const [report] = await reports("--mine", accused.address.toLowerCase());
    expect(report).to.include({ batch: batch.record.id, state: "excepted", task: 0, requester: requester.address });
    expect(report).to.have.nested.property("mine.next.call", "challenge");
    expect(report).to.have.nested.property("members[0].standing", "slashed");
    expect(report!.secondsLeft).to.be.a("number");
    const shown = await disputes("--batch", batch.record.id);
    expect(shown.exit, shown.stderr).to.equal(0);
    expect(shown.stdout).to.include(batch.record.id).and.to.include("challenge: the primary");
    expect(await reports("--mine", getAddress(hexlify(randomBytes(20))))).to.deep.equal([]);

    await batch.challenge();
    const { config } = await market.agentHome("accused", accused, {
      class: classNamed(market.deployment, "wasm"),
      stake: "2000",
    });
    const ended = await surety(["disputes", "--config", config, "--mine", "--json"]);
    expect(ended.exit, ended.stderr).to.equal(0);
    const [disputed] = lastJson(ended).disputes as Record<string, unknown>[];
    expect(disputed).to.include({ state: "disputed", matter: "exception", stage: "opening", by: accused.address });
    expect(disputed).to.have.nested.property("mine.next.call", "open");
    expect(disputed!.moves).to.have.lengthOf(1);
    // Nothing was sent by looking.
    expect(await market.transactionsOf(accused.address)).to.equal(batch.sentBy(accused));
  });
});

const NODES = 9;
const unit = (tokens: string): bigint => parseUnits(tokens, 18);

/** An account that sends by itself. */
class Party {
  readonly account: Wallet;
  /** Transactions. */
  sent = 0;
  readonly #provider: JsonRpcProvider;

  constructor({ chain }: LocalMarket, account: Wallet) {
    this.account = account;
    this.#provider = new JsonRpcProvider(chain.url, undefined, {
      staticNetwork: true,
      pollingInterval: 50,
      cacheTimeout: -1,
    });
  }

  get address(): string {
    return this.account.address;
  }

  async send(call: calls.ContractCall): Promise<void> {
    const response = await this.account.connect(this.#provider).sendTransaction({ ...call });
    await response.wait();
    this.sent += 1;
  }

  close(): void {
    this.#provider.destroy();
  }
}

/** A batch of one task on a real chain, honestly run by three, and falsely accused: without agents. */
class ExceptedBatch {
  readonly requester: Wallet;
  readonly accused: Wallet;
  readonly record: BatchRecord;
  readonly #market: LocalMarket;
  readonly #parties: Party[];

  private constructor(market: LocalMarket, parties: Party[], accused: Party, record: BatchRecord) {
    this.#market = market;
    this.#parties = parties;
    this.requester = parties[0]!.account;
    this.accused = accused.account;
    this.record = record;
  }

  static async post(market: LocalMarket): Promise<ExceptedBatch> {
    const { deployment } = market;
    const { chainId, market: address, vault, registry, token } = deployment;
    const hostClass = classNamed(deployment, "wasm");
    const parties = Array.from({ length: NODES + 1 }, () => new Party(market, market.account()));
    const [requester, ...nodes] = parties as [Party, ...Party[]];
    for (const [place, party] of parties.entries()) {
      const isNode = place > 0;
      const amount = unit(isNode ? "2000" : "500");
      await market.give(party.address, amount);
      await party.send(calls.approve(token.address, { spender: vault, amount }));
      const ledger = isNode ? registry : address;
      await party.send(calls.deposit(vault, { ledger, holder: party.address, amount }));
      if (!isNode) continue;
      await party.send(calls.stake(registry, { market: address, amount }));
      await party.send(calls.joinPool(registry, { market: address, class: hostClass, slot: place - 1 }));
    }
    const seed = id("seed");
    const terms: Terms = {
      requester: requester.address,
      delegate: ZeroAddress,
      mode: "replicated",
      adaptive: false,
      fullSlash: true,
      quorum: 3,
      rate: 1_000_000,
      guess: 0,
      maxShare: 1_000_000,
      minSlice: 1,
      price: unit("1"),
      verifierPrice: unit("1"),
      slashAmount: unit("20"),
      class: hostClass,
      spec: id("spec"),
      encryptionKey: hexlify(encryptionKeyPair(requester.account.privateKey).publicKey),
      windows: { claim: 3600, submit: 3600, reveal: 3600, check: 3600, judge: 3600, challenge: 3600 },
      allowed: [],
      excluded: [],
    };
    const context = { chainId: BigInt(chainId), market: address };
    const sequence = { ...context, jobId: jobIdOf(context, terms), sequence: 0n };
    // Places are active a little after they were taken.
    await delay(3_000);
    const posting = { terms, count: 1, manifest: id("inputs"), seedCommitment: seedCommitment(sequence, seed) };
    await requester.send(calls.post(address, posting));
    const look = async (): Promise<MarketView & { record: BatchRecord }> => {
      const view = await readMarket(market.rpc, deployment, AbortSignal.timeout(10_000));
      return { ...view, record: [...view.state.batches.values()][0]! };
    };
    const { record: posted } = await look();
    const { batch, id: batchId } = posted;
    const digest = taskDigest(batchNonce({ ...context, batchId }), 0, id("output"));
    const published = (party: Party): calls.Publication => {
      const member = { ...context, batchId, member: party.address };
      const { root } = commit([{ task: 0, digest, salt: id("salt") }], member);
      return { root, manifest: id("manifest"), envelope: "0x12" };
    };
    const [accused] = nodes as [Party];
    await accused.send(calls.claim(address, { terms, batch, slot: 0, count: 1, minPrice: 1n }));
    await accused.send(calls.submit(address, { batchId, assignment: 0, ...published(accused) }));
    const { block: sealed } = await look();
    while ((await look()).block < sealed + deployment.parameters.finalDepth + 1) await delay(100);
    await requester.send(calls.reveal(address, { terms, batch, seed }));
    const { state, record, hashes } = await look();
    const [drawn] = drawnFor(state, record, record.assignments[0]!, hashes);
    const { submission } = settlementOf(record.assignments[0]!);
    for (const [seat, node] of drawn!.entries()) {
      const party = nodes.find((each) => each.address === node)!;
      const place = { assignment: 0, round: 0, seat };
      await party.send(calls.answer(address, { terms, batch, seat: place, submission, ...published(party) }));
    }
    const exception = { assignment: 0, verdict: "primary-differs" as const, witness: 0, round: 0, seat: 0, submission };
    await requester.send(calls.judge(address, { terms, batch, exceptions: [exception], last: true }));
    return new ExceptedBatch(market, parties, accused, (await look()).record);
  }

  async challenge(): Promise<void> {
    const { terms, batch, assignments } = this.record;
    const party = this.#parties.find(({ address }) => address === this.accused.address)!;
    await party.send(
      calls.challenge(this.#market.deployment.market, { terms, batch, panel: settlementOf(assignments[0]!) }),
    );
  }

  sentBy(account: Wallet): number {
    return this.#parties.find(({ address }) => address === account.address)!.sent;
  }

  close(): void {
    for (const party of this.#parties) party.close();
  }
}
