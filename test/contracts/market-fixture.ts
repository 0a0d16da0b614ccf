import { expect } from "chai";
import { getAddress, id as keccakOf, type ContractTransactionReceipt, type ContractTransactionResponse } from "ethers";
import { network } from "hardhat";
import type { HardhatEthersSigner } from "@nomicfoundation/hardhat-ethers/types";

import type { IMarket, MarketPanels, Registry, SuretyToken, Vault } from "#sdk/types/index.ts";
import { entropyOf, sampledTasks, seedCommitment } from "./reference.ts";
import { Results } from "./results.ts";

/** One chain for all tests of the contracts; every test begins from a fixture's snapshot of it. */
export const { ethers, networkHelpers } = await network.create({
  network: "default",
  override: { accounts: { count: 4 + 108 } },
});
const { time } = networkHelpers;

export const DAY = 86_400n;
export const PPM = 1_000_000n;
export const PARAMETERS = {
  minWindow: 60n,
  maxWindow: DAY,
  finalDepth: 4n,
  drawDelay: 90n,
  bondFixed: 5_000n,
  bondShare: 50_000n,
  challengeBond: 600n,
} as const;
export const MIN_STAKE = 50_000n;
export const ACTIVATION_DELAY = 600n;
/** The least that `PARAMETERS` allow: 23 windows and 8 draw delays. */
export const UNBONDING = 23n * DAY + 8n * 90n;
export const SLOT_STAKE = 40_000n;
export const PRICE_FLOOR = 10n;
/** What every node deposits into the registry's ledger, and what it stakes of that. */
export const NODE_FUNDS = 1_500_000n;
export const NODE_STAKE = 1_000_000n;
/** Nodes of {@link deployMarket}; {@link deployCrowd} has enough for any two juries of a quorum of five. */
const NODES = 12;
const CROWD = 48;
/** Of {@link deployMultitude}: a panel of fifteen, a jury of 31, and one of 62. */
const MULTITUDE = 108;
export const REQUESTER_FUNDS = 10_000_000n;
/** As long as a real one, and no byte of it cheap. */
export const ENVELOPE = "0x" + "5a".repeat(165);
const DEAD = "0x000000000000000000000000000000000000dEaD";

export const Mode = { None: 0n, Trusted: 1n, Sampled: 2n, Replicated: 3n } as const;
export const Runtime = { None: 0n, Wasm: 1n, Container: 2n, ContainerGpu: 3n } as const;
export const Verdict = { None: 0n, PrimaryDiffers: 1n, SeatDiffers: 2n, NoMajority: 3n } as const;
export const Status = { None: 0n, Claimed: 1n, Submitted: 2n, Void: 3n, Contended: 4n } as const;
export const Outcome = {
  Paid: 1n,
  PrimarySlashed: 2n,
  SeatSlashed: 3n,
  NoMajority: 4n,
  Exhausted: 5n,
  Forced: 6n,
  Forfeited: 7n,
} as const;
export const Matter = { None: 0n, Exception: 1n, Silence: 2n, Work: 3n, Delivery: 4n } as const;
export const Stage = { None: 0n, Answering: 1n, Opening: 2n, Ruled: 3n, Casting: 4n, Showing: 5n } as const;

export type Actor = HardhatEthersSigner;

export interface ClassTerms {
  market: string;
  runtime: bigint;
  fullSlash: boolean;
  slotStake: bigint;
  priceFloor: bigint;
  resources: string;
}

export interface Windows {
  claim: bigint;
  submit: bigint;
  reveal: bigint;
  check: bigint;
  judge: bigint;
  challenge: bigint;
}

export interface Terms {
  requester: string;
  delegate: string;
  mode: bigint;
  adaptive: boolean;
  fullSlash: boolean;
  quorum: bigint;
  rate: bigint;
  guess: bigint;
  maxShare: bigint;
  minSlice: bigint;
  price: bigint;
  verifierPrice: bigint;
  slashAmount: bigint;
  class: string;
  spec: string;
  encryptionKey: string;
  windows: Windows;
  allowed: string[];
  excluded: string[];
}

export interface Batch {
  job: string;
  sequence: bigint;
  count: bigint;
  slots: bigint;
  manifest: string;
  seedCommitment: string;
}

export interface Submission {
  node: string;
  first: bigint;
  count: bigint;
  root: string;
  content: string;
}

export interface Answer {
  node: string;
  root: string;
  content: string;
}

export interface Settlement {
  assignment: number;
  submission: Submission;
  answers: Answer[];
}

export interface Exception {
  assignment: number;
  verdict: bigint;
  witness: number;
  round: number;
  seat: number;
  submission: Submission;
}

export interface Deployment {
  chainId: bigint;
  token: SuretyToken;
  vault: Vault;
  registry: Registry;
  panels: MarketPanels;
  market: IMarket;
  marketAddress: string;
  /** Class of the nodes, which accept full slashes. */
  wasmClass: string;
  classTerms: ClassTerms;
  admin: Actor;
  requester: Actor;
  delegate: Actor;
  stranger: Actor;
  /** Each in the slot of its index; the next six are the first of them by name. */
  nodes: Actor[];
  honest: Actor;
  lying: Actor;
  silent: Actor;
  late: Actor;
  greedy: Actor;
  second: Actor;
}

/** All parts of a market behind its first one. */
export async function deployPanels(vault: Vault, registry: Registry, parameters: object) {
  const verdicts = await ethers.deployContract("MarketVerdicts", [vault, registry, parameters as typeof PARAMETERS]);
  const base = [vault, registry, parameters as typeof PARAMETERS] as const;
  const juries = await ethers.deployContract("MarketJuries", [...base, verdicts]);
  const disputes = await ethers.deployContract("MarketDisputes", [...base, juries]);
  return await ethers.deployContract("MarketPanels", [...base, disputes]);
}

/** Vault, registry, market; nobody has done anything. */
export async function deployBare() {
  const [admin, requester, delegate, stranger, ...others] = (await ethers.getSigners()) as [
    Actor,
    Actor,
    Actor,
    Actor,
    ...Actor[],
  ];
  const { chainId } = await ethers.provider.getNetwork();
  const token = await ethers.deployContract("SuretyToken", [admin.address, 10n ** 30n]);
  const vault = await ethers.deployContract("Vault", [token]);
  const registry = await ethers.deployContract("Registry", [vault, MIN_STAKE, ACTIVATION_DELAY, UNBONDING]);
  const panels = await deployPanels(vault, registry, PARAMETERS);
  const deployed = await ethers.deployContract("Market", [vault, registry, PARAMETERS, panels]);
  const marketAddress = await deployed.getAddress();
  const market = await ethers.getContractAt("IMarket", marketAddress);
  return {
    chainId,
    token,
    vault,
    registry,
    panels,
    market,
    marketAddress,
    admin,
    requester,
    delegate,
    stranger,
    others,
  };
}

/** As {@link deployBare}, with a class of twelve active nodes and a requester that has money. */
export async function deployMarket(): Promise<Deployment> {
  return await deployWithNodes(NODES);
}

/** As {@link deployMarket}, with so many nodes that the largest jury finds its jurors. */
export async function deployCrowd(): Promise<Deployment> {
  return await deployWithNodes(CROWD);
}

/** As {@link deployMarket}, with just as many nodes as the largest dispute takes. */
export async function deployMultitude(): Promise<Deployment> {
  return await deployWithNodes(MULTITUDE);
}

async function deployWithNodes(count: number): Promise<Deployment> {
  const bare = await deployBare();
  const { token, vault, registry, marketAddress, admin, requester } = bare;
  const nodes = bare.others.slice(0, count);
  const [honest, lying, silent, late, greedy, second] = nodes as [Actor, Actor, Actor, Actor, Actor, Actor];
  const classTerms: ClassTerms = {
    market: marketAddress,
    runtime: Runtime.Wasm,
    fullSlash: true,
    slotStake: SLOT_STAKE,
    priceFloor: PRICE_FLOOR,
    resources: keccakOf("one core"),
  };
  const wasmClass = await registry.createClass.staticCall(classTerms);
  await registry.createClass(classTerms);
  const vaultAddress = await vault.getAddress();
  await token.connect(admin).approve(vaultAddress, 10n ** 30n);
  await vault.connect(admin).deposit(marketAddress, requester.address, REQUESTER_FUNDS);
  for (const [slot, node] of nodes.entries()) {
    await vault.connect(admin).deposit(await registry.getAddress(), node.address, NODE_FUNDS);
    await registry.connect(node).stake(marketAddress, NODE_STAKE);
    await registry.connect(node).joinPool(marketAddress, wasmClass, slot);
  }
  await time.increase(ACTIVATION_DELAY);
  return { ...bare, wasmClass, classTerms, nodes, honest, lying, silent, late, greedy, second };
}

/** A job of 20 % whose slash is the least allowed by both bounds; fields of `changes` replace its own. */
export function termsOf(d: Deployment, changes: Partial<Terms> = {}): Terms {
  return {
    requester: d.requester.address,
    delegate: d.delegate.address,
    mode: Mode.Sampled,
    adaptive: true,
    fullSlash: true,
    quorum: 3n,
    rate: 200_000n,
    guess: 0n,
    maxShare: PPM,
    minSlice: 1n,
    price: 1_000n,
    verifierPrice: 1_200n,
    slashAmount: 10_000n,
    class: d.wasmClass,
    spec: keccakOf("spec"),
    encryptionKey: "0x02" + "11".repeat(32),
    windows: { claim: 3_600n, submit: 1_800n, reveal: 1_200n, check: 1_500n, judge: 1_000n, challenge: 2_000n },
    allowed: [],
    excluded: [],
    ...changes,
  };
}

/** Terms under which the node's name is all there is. */
export function trustedTermsOf(d: Deployment, allowed: Actor[], changes: Partial<Terms> = {}): Terms {
  return termsOf(d, {
    mode: Mode.Trusted,
    adaptive: false,
    rate: 0n,
    slashAmount: 0n,
    allowed: allowed.map((node) => node.address),
    ...changes,
  });
}

/** Every sampled task is run by everybody; the slash is what the jury costs. */
export function replicatedTermsOf(d: Deployment, changes: Partial<Terms> = {}): Terms {
  return termsOf(d, { mode: Mode.Replicated, adaptive: false, rate: PPM, ...changes });
}

/** What the contract keeps of a manifest and an envelope. */
export function contentOf(manifest: string, envelope: string): string {
  return ethers.keccak256(
    ethers.AbiCoder.defaultAbiCoder().encode(["bytes32", "bytes32"], [manifest, ethers.keccak256(envelope)]),
  );
}

/** Second of the newest block. */
export async function now(): Promise<bigint> {
  return BigInt(await time.latest());
}

/** The next block's second. */
export async function at(second: bigint): Promise<void> {
  await time.setNextBlockTimestamp(second);
}

/** Mines until `deadline` has passed, so that what follows comes too late for it. */
export async function pass(deadline: bigint): Promise<void> {
  if ((await now()) <= deadline) await time.increaseTo(deadline + 1n);
}

/** A part of a batch: everything a test does to it, and the records that later calls must bring along. */
export class Life {
  readonly d: Deployment;
  readonly terms: Terms;
  readonly batch: Batch;
  readonly id: string;
  readonly seed: string;
  readonly escrow: bigint;
  readonly bond: bigint;
  readonly postedAt: bigint;
  readonly slices: { node: Actor; first: number; count: number; deadline: bigint }[] = [];
  readonly submissions: Submission[] = [];
  /** By assignment, then `round * 256 + seat`. */
  readonly #answers = new Map<number, Map<number, Answer>>();
  /** What nodes commit to; undefined where roots may be anything, since nobody opens them. */
  readonly results: Results | undefined;

  constructor(
    d: Deployment,
    terms: Terms,
    seed: string,
    receipt: ContractTransactionReceipt,
    postedAt: bigint,
    real = false,
  ) {
    const posted = eventsIn(d, receipt, "BatchPosted")[0];
    if (posted === undefined) throw new Error("nothing was posted");
    this.d = d;
    this.terms = terms;
    this.seed = seed;
    this.id = posted.id;
    const { job, sequence, count, slots, manifest, seedCommitment: commitment } = posted.batch;
    this.batch = { job, sequence, count, slots, manifest, seedCommitment: commitment };
    this.escrow = posted.escrow;
    this.bond = posted.bond;
    this.postedAt = postedAt;
    this.results = real ? new Results(d.chainId, d.marketAddress, this.id) : undefined;
  }

  as(actor: Actor): IMarket {
    return this.d.market.connect(actor);
  }

  async state() {
    return await this.d.market.batchState(this.id);
  }

  async panel(assignment = 0) {
    return await this.d.market.panelState(this.id, assignment);
  }

  get claimDeadline(): bigint {
    return this.postedAt + this.terms.windows.claim;
  }

  async revealDeadline(): Promise<bigint> {
    return (await this.state()).sealedAt + this.terms.windows.reveal;
  }

  /** Until when the last round of the assignment's panel may answer. */
  async checkDeadline(assignment = 0): Promise<bigint> {
    const { rounds } = await this.panel(assignment);
    if (rounds === 0n) return (await this.state()).revealedAt + this.terms.windows.check;
    const [round] = await this.d.market.roundOf(this.id, assignment, rounds);
    return round.openedAt + PARAMETERS.drawDelay + this.terms.windows.check;
  }

  async judgeDeadline(assignment = 0): Promise<bigint> {
    return (await this.checkDeadline(assignment)) + this.terms.windows.judge;
  }

  /** Until when anybody may call the panel because the requester was silent; only after it is anybody forced to be paid. */
  async silenceDeadline(assignment = 0): Promise<bigint> {
    return (await this.judgeDeadline(assignment)) + this.terms.windows.challenge;
  }

  async challengeDeadline(assignment = 0): Promise<bigint> {
    return (await this.panel(assignment)).raisedAt + this.terms.windows.challenge;
  }

  slotOf(node: Actor): number {
    return Math.max(this.d.nodes.indexOf(node), 0);
  }

  /** Claims the next `count` tasks, by default all; returns the assignment. */
  async claim(node: Actor, count = Number(this.batch.count), slot = this.slotOf(node)): Promise<number> {
    const receipt = await mined(this.as(node).claim(this.terms, this.batch, slot, count, 0n));
    return this.#claimed(node, receipt);
  }

  async reclaim(node: Actor, assignment: number): Promise<void> {
    this.#claimed(node, await mined(this.as(node).reclaim(this.terms, this.batch, this.slotOf(node), assignment, 0n)));
  }

  #claimed(node: Actor, receipt: ContractTransactionReceipt): number {
    const claimed = eventsIn(this.d, receipt, "Claimed")[0];
    if (claimed === undefined) throw new Error("nothing was claimed");
    const assignment = Number(claimed.assignment);
    this.slices[assignment] = {
      node,
      first: Number(claimed.first),
      count: Number(claimed.count),
      deadline: claimed.deadline,
    };
    return assignment;
  }

  slice(assignment: number) {
    const slice = this.slices[assignment];
    if (slice === undefined) throw new Error(`no slice ${assignment}`);
    return slice;
  }

  /** Sends the submission and keeps its record. */
  async submit(assignment = 0, node = this.slice(assignment).node): Promise<ContractTransactionResponse> {
    const { first, count } = this.slice(assignment);
    const root =
      this.results?.commit(
        assignment,
        node.address,
        Array.from({ length: count }, (_, place) => first + place),
      ) ?? keccakOf(`root ${assignment}`);
    const manifest = keccakOf(`manifest ${assignment}`);
    const sent = await this.as(node).submit(this.id, assignment, root, manifest, ENVELOPE);
    this.submissions[assignment] = {
      node: node.address,
      first: BigInt(first),
      count: BigInt(count),
      root,
      content: contentOf(manifest, ENVELOPE),
    };
    return sent;
  }

  /** Claims and submits in slices of the sizes given, by the nodes in turn. */
  async compute(...work: [Actor, number][]): Promise<void> {
    for (const [node, count] of work) await this.claim(node, count);
    for (const assignment of work.keys()) await this.submit(assignment);
  }

  submission(assignment = 0): Submission {
    const submission = this.submissions[assignment];
    if (submission === undefined) throw new Error(`no submission ${assignment}`);
    return submission;
  }

  async seal(by = this.d.stranger): Promise<ContractTransactionResponse> {
    return await this.as(by).seal(this.terms, this.batch);
  }

  /** Mines until the entropy block is final, on a chain where `wanted` holds of the entropy. */
  async mineEntropy(wanted: (entropy: string) => boolean = () => true): Promise<string> {
    const block = (await this.state()).sealBlock + PARAMETERS.finalDepth;
    for (let tried = 1; tried < 1_000; tried += 1) {
      const before = await networkHelpers.takeSnapshot();
      await networkHelpers.setPrevRandao(tried);
      await networkHelpers.mineUpTo(block + 1n);
      const entropy = await this.entropy();
      if (wanted(entropy)) return entropy;
      await before.restore();
    }
    throw new Error("no chain gives the entropy wanted");
  }

  /** E, computed apart from the contract. */
  async entropy(): Promise<string> {
    const block = (await this.state()).sealBlock + PARAMETERS.finalDepth;
    const mined = await ethers.provider.getBlock(Number(block));
    if (mined?.hash == null) throw new Error(`block ${block} is not mined`);
    return entropyOf(this.seed, mined.hash, this.id);
  }

  /** The sampled tasks of an assignment, computed apart from the contract. */
  async sampled(assignment = 0): Promise<number[]> {
    const { first, count } = this.slice(assignment);
    return sampledTasks(await this.entropy(), assignment, first, count, this.terms.rate);
  }

  /** The first sampled task. */
  async witness(assignment = 0): Promise<number> {
    const task = (await this.sampled(assignment))[0];
    if (task === undefined) throw new Error(`nothing of ${assignment} is sampled`);
    return task;
  }

  async reveal(by = this.d.requester): Promise<ContractTransactionResponse> {
    return await this.as(by).reveal(this.terms, this.batch, this.seed);
  }

  /** Posted to revealed in one go: one slice after the other, by the nodes in turn. */
  async untilRevealed(...work: [Actor, number][]): Promise<this> {
    await this.compute(...work);
    if ((await this.state()).sealedAt === 0n) {
      await pass(this.claimDeadline);
      await this.seal();
    }
    await this.mineEntropy();
    await this.reveal();
    return this;
  }

  /** Who was drawn for a round, in seat order. */
  async drawn(assignment = 0, round = 0): Promise<Actor[]> {
    const primary = this.submission(assignment).node;
    const drawn = await this.d.market.drawnFor(this.terms, this.batch, { assignment, round, seat: 0 }, primary);
    return drawn.map((address) => {
      const node = this.d.nodes.find((each) => each.address === address);
      if (node === undefined) throw new Error(`${address} is no node`);
      return node;
    });
  }

  /** Answers from a seat, by whoever was drawn for it unless said otherwise, and keeps the record. */
  async answer(assignment = 0, round = 0, seat = 0, by?: Actor): Promise<ContractTransactionResponse> {
    const node = by ?? (await this.drawn(assignment, round))[seat];
    if (node === undefined) throw new Error(`nobody was drawn for seat ${seat} of round ${round}`);
    const root =
      this.results?.commit(assignment, node.address, await this.sampled(assignment)) ??
      keccakOf(`answer ${assignment} ${round} ${seat}`);
    const manifest = keccakOf(`answer manifest ${assignment} ${round} ${seat}`);
    const sent = await this.as(node).answer(
      this.terms,
      this.batch,
      { assignment, round, seat },
      this.submission(assignment),
      root,
      manifest,
      ENVELOPE,
    );
    const answers = this.#answers.get(assignment) ?? new Map<number, Answer>();
    answers.set(round * 256 + seat, { node: node.address, root, content: contentOf(manifest, ENVELOPE) });
    this.#answers.set(assignment, answers);
    return sent;
  }

  async escalate(assignment = 0, by = this.d.requester): Promise<ContractTransactionResponse> {
    return await this.as(by).escalate(this.terms, this.batch, assignment, this.submission(assignment));
  }

  async redraw(assignment = 0, by = this.d.stranger): Promise<ContractTransactionResponse> {
    return await this.as(by).redraw(this.terms, this.batch, assignment, this.submission(assignment));
  }

  /** Mines until the last round's draw is decided. */
  async mineRound(): Promise<void> {
    await networkHelpers.mine(PARAMETERS.finalDepth + 1n);
  }

  async exception(verdict: bigint, changes: Partial<Exception> = {}): Promise<Exception> {
    const assignment = changes.assignment ?? 0;
    const witness = changes.witness ?? (await this.witness(assignment));
    return { assignment, verdict, witness, round: 0, seat: 0, submission: this.submission(assignment), ...changes };
  }

  async judge(exceptions: Exception[], last = true, by = this.d.requester): Promise<ContractTransactionResponse> {
    return await this.as(by).judge(this.terms, this.batch, exceptions, last);
  }

  settlement(assignment = 0): Settlement {
    const answers = [...(this.#answers.get(assignment) ?? new Map<number, Answer>()).entries()];
    return {
      assignment,
      submission: this.submission(assignment),
      answers: answers.sort(([a], [b]) => a - b).map(([, answer]) => answer),
    };
  }

  async settle(by = this.d.requester, ...assignments: number[]): Promise<ContractTransactionResponse> {
    const settlements = (assignments.length === 0 ? [0] : assignments).map((each) => this.settlement(each));
    return await this.as(by).settle(this.terms, this.batch, settlements);
  }

  /** Ends what is excepted or disputed. */
  async conclude(assignment = 0, by = this.d.stranger): Promise<ContractTransactionResponse> {
    return await this.as(by).conclude(this.terms, this.batch, this.settlement(assignment));
  }

  async expire(assignment = 0, by = this.d.stranger): Promise<ContractTransactionResponse> {
    return await this.as(by).expire(this.terms, this.batch, assignment);
  }
}

/** Posts a batch; the returned life does the rest. Where it is `real`, roots are commitments that can be opened. */
export async function postBatch(
  d: Deployment,
  { terms = termsOf(d), count = 10, real = false }: { terms?: Terms; count?: number; real?: boolean } = {},
): Promise<Life> {
  const job = await d.market.jobId(terms);
  const sequence = await d.market.batchesOf(job);
  const seed = keccakOf(`seed ${job} ${sequence}`);
  const commitment = seedCommitment(d.chainId, d.marketAddress, job, sequence, seed);
  const receipt = await mined(d.market.connect(d.requester).post(terms, count, keccakOf("inputs"), commitment));
  return new Life(d, terms, seed, receipt, await now(), real);
}

export async function mined(sent: Promise<ContractTransactionResponse>): Promise<ContractTransactionReceipt> {
  const receipt = await (await sent).wait();
  if (receipt === null) throw new Error("the transaction was not mined");
  return receipt;
}

/** Events of the market in a receipt, as their named arguments. */
export function eventsIn(
  d: Pick<Deployment, "market" | "marketAddress">,
  receipt: ContractTransactionReceipt,
  name: string,
) {
  return receipt.logs
    .filter((log) => getAddress(log.address) === d.marketAddress)
    .map((log) => d.market.interface.parseLog(log))
    .filter((event) => event?.name === name)
    .map((event) => event!.args);
}

/** How the assignments ended that a call settled or concluded, as {@link IMarketEvents.Settled} tells it. */
export async function endsOf(d: Deployment, sent: Promise<ContractTransactionResponse>) {
  return eventsIn(d, await mined(sent), "Settled").map(({ outcome, paid, accused, penalty }) => ({
    outcome: outcome as bigint,
    paid: paid as bigint,
    accused: accused as bigint,
    penalty: penalty as bigint,
  }));
}

export type Money = Record<string, bigint>;

/**
 * What each actor owns: available in both ledgers, stake, unbonding, and the locks of the batches given; with what was
 * burned. Fails unless all of it together is what the vault says it owes and what the token says it has.
 */
export async function moneyOf(d: Deployment, lives: Life[] = []): Promise<Money> {
  const registry = await d.registry.getAddress();
  const names: [string, Actor][] = [
    ["requester", d.requester],
    ["delegate", d.delegate],
    ["stranger", d.stranger],
    ...d.nodes.map((node): [string, Actor] => [node.address, node]),
  ];
  const owned = names.map(async ([name, actor]): Promise<[string, bigint]> => {
    const id = ethers.keccak256(
      ethers.AbiCoder.defaultAbiCoder().encode(["address", "address"], [d.marketAddress, actor.address]),
    );
    const [lock, { stake, committed }, { amount: unbonding }, inMarket, inRegistry] = await Promise.all([
      d.vault.lockOf(registry, id),
      d.registry.nodeState(d.marketAddress, actor.address),
      d.registry.unbondingOf(d.marketAddress, actor.address),
      d.vault.available(d.marketAddress, actor.address),
      d.vault.available(registry, actor.address),
    ]);
    expect(lock.amount, `the vault's lock of ${name}`).to.equal(stake + unbonding);
    expect(committed <= stake, `committed of ${name} within its stake`).to.equal(true);
    return [name, inMarket + inRegistry + lock.amount];
  });
  const money: Money = Object.fromEntries(await Promise.all(owned));
  for (const life of lives) {
    money["requester"]! += (await d.vault.lockOf(d.marketAddress, life.id)).amount;
  }
  money["burned"] = (await d.vault.burned()) + (await d.token.balanceOf(DEAD));
  const sum = Object.values(money).reduce((a, b) => a + b, 0n);
  expect(await d.vault.total(), "what the vault owes").to.equal(sum - (await d.token.balanceOf(DEAD)));
  expect(await d.token.balanceOf(await d.vault.getAddress()), "what the vault has").to.equal(await d.vault.total());
  return money;
}

/** Runs `work`, then fails unless exactly these owners gained or lost exactly that much; nodes by address. */
export async function expectMoney(d: Deployment, before: Money, changes: Money, lives: Life[] = []): Promise<void> {
  const after = await moneyOf(d, lives);
  const actual: Money = {};
  for (const [name, amount] of Object.entries(after)) {
    if (amount !== before[name]) actual[name] = amount - before[name]!;
  }
  const wanted = Object.fromEntries(Object.entries(changes).filter(([, change]) => change !== 0n));
  expect(actual).to.deep.equal(wanted);
}

/** Fails unless the batch is gone, its lock empty, and nobody has anything committed. */
export async function expectClosed(life: Life): Promise<void> {
  const { d } = life;
  expect((await life.state()).postedAt, "the batch is erased").to.equal(0n);
  expect(await d.market.entropyOf(life.id), "its entropy is erased").to.equal(ethers.ZeroHash);
  const lock = await d.vault.lockOf(d.marketAddress, life.id);
  expect([lock.holder, lock.amount], "its lock is gone").to.deep.equal([ethers.ZeroAddress, 0n]);
  for (const node of d.nodes) {
    const { committed } = await d.registry.nodeState(d.marketAddress, node.address);
    expect(committed, `committed of ${node.address}`).to.equal(0n);
  }
}

interface Fallible {
  interface: IMarket["interface"] | Registry["interface"] | Vault["interface"];
}

/** The step is refused one second after `deadline` and possible in the deadline's own second; the latter stays done. */
export async function expectUntil(
  contract: Fallible,
  deadline: bigint,
  step: () => Promise<unknown>,
  error = "TooLate",
  args: unknown[] = [deadline + 1n, deadline],
): Promise<void> {
  const before = await networkHelpers.takeSnapshot();
  await at(deadline + 1n);
  await expect(step())
    .to.be.revertedWithCustomError(contract as IMarket, error)
    .withArgs(...args);
  await before.restore();
  await at(deadline);
  await step();
}

/** The step is refused in the deadline's own second and possible one second later. */
export async function expectAfter(
  contract: Fallible,
  deadline: bigint,
  step: () => Promise<unknown>,
  error = "TooEarly",
  args: unknown[] = [deadline, deadline],
): Promise<void> {
  await at(deadline);
  await expect(step())
    .to.be.revertedWithCustomError(contract as IMarket, error)
    .withArgs(...args);
  await at(deadline + 1n);
  await step();
}
