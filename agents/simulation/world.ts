import { concat, dataSlice, getAddress, keccak256, toBeHex, ZeroAddress } from "ethers";
import { FOREVER, type Slot } from "#sdk/draw.ts";
import { minimumSlash } from "#sdk/pricing.ts";
import { BURNED, ESCROW, type Transfer } from "#sdk/settlement.ts";
import { jobIdOf, type MarketContext, type Parameters, type Terms } from "#sdk/terms.ts";
import { Random } from "./random.ts";
import { strategyOf, type RequesterName, type Strategy, type StrategyName } from "./strategies.ts";

/** Base units that computing the dearest task costs a node: C, what the tables count in. */
export const C = 10n ** 18n;

/** What every node has at stake in the beginning: enough that a lock never fails. */
export const NODE_STAKE = 1_000_000n * C;

/** Those of deploy/parameters/local.json that decide about money; windows as the replay needs them. */
export const PARAMETERS: Parameters = {
  minWindow: 60,
  maxWindow: 86_400,
  finalDepth: 4,
  drawDelay: 3_600,
  bondFixed: C,
  bondShare: 50_000,
  challengeBond: C,
};

export interface WorldOptions {
  seed: number;
  /** Compute nodes, each with one slot. */
  nodes: number;
  /** Shares of the nodes, from 0 to 1; the rest are honest. */
  strategies: Partial<Record<StrategyName, number>>;
  requester: RequesterName;
  /** Share of the tasks that is checked, parts per million. */
  rate: number;
  quorum: number;
  adaptive: boolean;
  /** Whether a difference costs all of a lock. */
  fullSlash: boolean;
  /** What a task pays, in units of C. */
  pay: number;
  /** The market enforces 2: how many times a lie's gain the expected slash is. */
  slashFactor: number;
  /** Tasks in a batch, and assignments they are cut into. */
  tasks: number;
  slices: number;
  /** Share of the nodes that do not follow disputes. */
  asleep: number;
  /** Share of the tasks that the requester computes itself. */
  planted: number;
  /** One task in ten costs C and the others a quarter; else all cost C. */
  uneven: boolean;
  /** What a step in a dispute costs whoever makes it, in units of C. */
  gas: number;
  /** Whose ids are hashed into the draws; a market that does not exist if left out. */
  context?: MarketContext;
  /** Class of the nodes, 32 bytes; of no meaning without a market. */
  classId?: string;
}

export const DEFAULTS: WorldOptions = {
  seed: 1,
  nodes: 1_000,
  strategies: {},
  requester: "honest",
  rate: 30_000,
  quorum: 3,
  adaptive: true,
  fullSlash: true,
  pay: 1.2,
  slashFactor: 2,
  tasks: 200,
  slices: 20,
  asleep: 0,
  planted: 0,
  uneven: false,
  gas: 0.02,
};

/** A compute node and what it has. Amounts are changes since the beginning. */
export interface Node {
  index: number;
  address: string;
  strategy: Strategy;
  /** Does not follow disputes: never challenges, opens, appeals or sits on a jury. */
  asleep: boolean;
  /** Available in the market's ledger, and in the registry's. */
  credit: bigint;
  reward: bigint;
  stake: bigint;
  /** In units of C. */
  computing: number;
  gas: number;
  /** Tasks it claimed, and tasks it was to run in seats. */
  claimed: number;
  checked: number;
}

/** What is counted over all batches. */
export class Counts {
  batches = 0;
  tasks = 0;
  assignments = 0;
  /** Assignments in which the primary invented something; of those, how many had such a task sampled, … */
  lies = 0;
  liesChecked = 0;
  /** … how many were slashed for it, … */
  liesSlashed = 0;
  /** … and how many were merely not paid. */
  liesUnpaid = 0;
  /** Seats of panels whose node gave a false answer; of those, how many were slashed. */
  falseAnswers = 0;
  falseAnswersSlashed = 0;
  /** Tasks run by verifiers, by jurors, and by the requester itself. */
  verifying = 0;
  judging = 0;
  planted = 0;
  exceptions = 0;
  disputes = 0;
  juries = [0, 0];
  /** Members and jurors that told the truth: how often they did, and how often they were slashed. */
  truths = 0;
  falseSlashes = 0;
  /** Honest primaries that were not paid for what they computed and delivered. */
  falseForfeits = 0;
  /** Exceptions that were false, and how many of them the requester had to pay for. */
  falseExceptions = 0;
  lied = 0;
}

/** Nodes, their pool, one requester, and everybody's money. */
export class World {
  readonly options: WorldOptions;
  readonly random: Random;
  readonly nodes: Node[];
  readonly byAddress: ReadonlyMap<string, Node>;
  readonly pool: Slot[];
  readonly context: MarketContext;
  readonly terms: Terms;
  readonly job: string;
  readonly counts = new Counts();
  sequence = 0n;
  /** Share of the nodes that belong to the group. */
  readonly groupShare: number;
  requester = 0n;
  requesterGas = 0;
  burned = 0n;

  constructor(options: Partial<WorldOptions>) {
    this.options = { ...DEFAULTS, ...options };
    const { seed, nodes, strategies, asleep } = this.options;
    this.random = new Random(seed);
    const classId = this.options.classId ?? this.random.bytes32();
    const plan = Object.entries(strategies).flatMap(([name, share]) =>
      Array<StrategyName>(Math.round(share * nodes)).fill(name as StrategyName),
    );
    // Places are drawn at random, so that it does not matter which of them a strategy holds.
    this.nodes = Array.from({ length: nodes }, (_, index) => ({
      index,
      address: addressOf(classId, index),
      strategy: strategyOf(plan[index] ?? "honest"),
      asleep: false,
      credit: 0n,
      reward: 0n,
      stake: 0n,
      computing: 0,
      gas: 0,
      claimed: 0,
      checked: 0,
    }));
    for (const index of this.random.different(Math.round(asleep * nodes), nodes)) this.nodes[index]!.asleep = true;
    this.byAddress = new Map(this.nodes.map((node) => [node.address, node]));
    this.groupShare = this.nodes.filter(({ strategy }) => strategy.group !== undefined).length / nodes;
    this.pool = this.nodes.map(({ address }) => ({ node: address, activeFrom: 0, leftAt: FOREVER }));
    this.context = this.options.context ?? { chainId: 1n, market: addressOf(classId, nodes + 1) };
    this.terms = termsOf(this.options, addressOf(classId, nodes), classId);
    this.job = jobIdOf(this.context, this.terms);
  }

  node(address: string): Node {
    const node = this.byAddress.get(address);
    if (!node) throw new RangeError(`${address} is no node of this world`);
    return node;
  }

  /** What computing a task costs, in units of C. */
  costOf(task: number): number {
    return this.options.uneven && task % 10 !== 0 ? 0.25 : 1;
  }

  /** Moves money as contracts do: out of the batch's lock into the market's ledger, out of a stake into the registry's. */
  transfer(transfers: readonly Transfer[]): void {
    for (const { from, to, amount } of transfers) {
      if (from === ESCROW) this.requester -= amount;
      else this.node(from).stake -= amount;
      if (to === BURNED) this.burned += amount;
      else if (from === ESCROW) this.node(to).credit += amount;
      else this.node(to).reward += amount;
    }
  }
}

/** What a node gained so far, in units of C: money less what computing and gas cost it. */
export function profitOf({ credit, reward, stake, computing, gas }: Node): number {
  return inC(credit + reward + stake) - computing - gas;
}

/** An amount in units of C. */
export function inC(amount: bigint): number {
  return Number(amount) / Number(C);
}

/** Everybody in a world has an address that nobody has in another. */
function addressOf(classId: string, index: number): string {
  return getAddress(dataSlice(keccak256(concat([classId, toBeHex(index, 32)])), 12));
}

function termsOf(options: WorldOptions, requester: string, classId: string): Terms {
  const { rate, quorum, adaptive, fullSlash, pay, slashFactor } = options;
  const price = amount(pay);
  const { challengeBond } = PARAMETERS;
  // The factor scales the first bound of the two, as it would if the contract had another.
  const deterred = amount((pay * slashFactor) / 2);
  return {
    requester,
    delegate: ZeroAddress,
    mode: rate === 1_000_000 ? "replicated" : "sampled",
    adaptive,
    fullSlash,
    quorum,
    rate,
    guess: 0,
    maxShare: 1_000_000,
    minSlice: 1,
    price,
    verifierPrice: price,
    slashAmount: minimumSlash({ price: deterred, verifierPrice: price, rate, guess: 0, quorum, challengeBond }),
    class: classId,
    spec: `0x${"11".repeat(32)}`,
    encryptionKey: `0x02${"11".repeat(32)}`,
    // Checking is quick and everything else slow, so that the steps of many disputes keep pace with each other.
    windows: { claim: 86_400, submit: 86_400, reveal: 86_400, check: 1_800, judge: 86_400, challenge: 86_400 },
    allowed: [],
    excluded: [],
  };
}

function amount(inUnitsOfC: number): bigint {
  return (BigInt(Math.round(inUnitsOfC * 1e6)) * C) / 1_000_000n;
}
