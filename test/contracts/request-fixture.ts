import { expect } from "chai";
import { id as keccakOf, ZeroAddress, ZeroHash, type ContractTransactionResponse } from "ethers";

import type { Requests, Schemas, SuretyToken, Vault } from "#sdk/types/index.ts";
import { at, ethers, mined, networkHelpers, now, type Actor } from "./market-fixture.ts";

export const ADMIN = 1n;
export const EVALUATOR = 2n;
export const WORKER = 4n;
export const ALL_ROLES = 7n;
export const MAX_DEPTH = 8;

export const RewardFunction = { None: 0n, Even: 1n, WinnerTakesAll: 2n, ByRank: 3n, ByScore: 4n, List: 5n } as const;
export const Stage = { None: 0n, Open: 1n, Ruled: 2n, Called: 3n, Final: 4n, Ended: 5n } as const;
export const Phase = {
  Unknown: 0n,
  Accepting: 1n,
  Unmet: 2n,
  Computing: 3n,
  Revealing: 4n,
  Ranking: 5n,
  Overdue: 6n,
  Contestable: 7n,
  Judging: 8n,
  Unanswered: 9n,
  Settleable: 10n,
  Ended: 11n,
} as const;
export const Verdict = { None: 0n, Ranking: 1n, Withheld: 2n, Void: 3n } as const;
export const WorkerStatus = {
  None: 0n,
  Accepted: 1n,
  Resigned: 2n,
  Rejected: 3n,
  Submitted: 4n,
  Revealed: 5n,
  Satisfied: 6n,
} as const;
export const Outcome = {
  Ranked: 1n,
  Unsolved: 2n,
  Voided: 3n,
  Withheld: 4n,
  Unjudged: 5n,
  Unevaluated: 6n,
  Unanswered: 7n,
  Cancelled: 8n,
} as const;

export const DROP_INTERVAL = 3_600n;
export const MIN_WINDOW = 60n;
export const MAX_WINDOW = 86_400n;
export const MAX_TIME_LIMIT = 30n * 86_400n;
export const ACCEPT_WINDOW = 600n;
export const TIME_LIMIT = 3_000n;
export const STEP = 300n;
export const DEPOSIT = 1_000n;
export const FEE = 100n;
export const EVALUATOR_REWARD = 50n;
/** Odd, so that halves do not come out even. */
export const POT = 1_001n;
export const FUNDS = 100_000n;
export const KEY = `0x02${"11".repeat(32)}`;
export const REPORT = keccakOf("report");

export interface SchemaTerms {
  release: string;
  minimumDeposit: bigint;
  challengeFee: bigint;
  rewardFunctions: bigint;
  nonce: bigint;
}

export interface Request {
  requester: string;
  delegate: string;
  schema: string;
  root: string;
  release: string;
  nonce: bigint;
  input: string;
  testData: string;
  rewardFunction: bigint;
  evaluatorReward: bigint;
  workerReward: bigint;
  list: bigint[];
  evaluators: string[];
  workers: string[];
  minWorkers: bigint;
  maxWorkers: bigint;
  skipEvaluation: boolean;
  acceptWindow: bigint;
  timeLimit: bigint;
  stepWindow: bigint;
  deposit: bigint;
  challengeFee: bigint;
  encryptionKey: string;
}

export interface Ruling {
  verdict: bigint;
  order: string[];
  scores: bigint[];
}

export const NO_RULING: Ruling = { verdict: Verdict.None, order: [], scores: [] };

/** The least that is allowed, every reward function. */
export function schemaTerms(changes: Partial<SchemaTerms> = {}): SchemaTerms {
  return {
    release: keccakOf("release 1"),
    minimumDeposit: DEPOSIT,
    challengeFee: FEE,
    rewardFunctions: 31n,
    nonce: 0n,
    ...changes,
  };
}

export interface Tree {
  token: SuretyToken;
  vault: Vault;
  schemas: Schemas;
  requests: Requests;
  ledger: string;
  schema: string;
  /** Registered the schema. */
  root: Actor;
  /** Below the root, above the evaluators. */
  admin: Actor;
  evaluator: Actor;
  /** Below the same admin. */
  rival: Actor;
  /** Evaluates directly below the root. */
  high: Actor;
  requester: Actor;
  delegate: Actor;
  stranger: Actor;
  /** Below the admin. */
  workers: Actor[];
  everybody: [name: string, actor: Actor][];
}

/** Asks `parent` for `roles`, and is approved. */
export async function join(t: Pick<Tree, "schemas" | "schema">, node: Actor, parent: Actor, roles: bigint) {
  await t.schemas.connect(node).applyJob(t.schema, roles, parent, ZeroHash);
  await t.schemas.connect(parent).approveNode(t.schema, node, roles);
}

/** A schema, a root, an admin, three evaluators, and four workers below the admin. */
export const deployTree = (): Promise<Tree> => deployTreeOf(4);

/** As {@link deployTree}, with so many workers. */
export async function deployTreeOf(count: number): Promise<Tree> {
  const signers = (await ethers.getSigners()) as Actor[];
  const [root, admin, evaluator, rival, high, requester, delegate, stranger] = signers as [
    ...[Actor, Actor, Actor, Actor],
    ...[Actor, Actor, Actor, Actor],
  ];
  const workers = signers.slice(8, 8 + count);
  const token = await ethers.deployContract("SuretyToken", [root.address, 10n ** 30n]);
  const vault = await ethers.deployContract("Vault", [token]);
  const schemas = await ethers.deployContract("Schemas", [DROP_INTERVAL]);
  const requests = await ethers.deployContract("Requests", [vault, schemas, MIN_WINDOW, MAX_WINDOW]);
  const ledger = await requests.getAddress();
  const schema = await schemas.schemaId(root, schemaTerms());
  await schemas.connect(root).registerJob(schemaTerms());
  await join({ schemas, schema }, admin, root, ADMIN);
  await join({ schemas, schema }, evaluator, admin, EVALUATOR);
  await join({ schemas, schema }, rival, admin, EVALUATOR);
  await join({ schemas, schema }, high, root, EVALUATOR);
  for (const worker of workers) await join({ schemas, schema }, worker, admin, WORKER);
  const named = { root, admin, evaluator, rival, high, requester, delegate, stranger };
  const everybody: [string, Actor][] = [
    ...Object.entries(named),
    ...workers.map((worker, i): [string, Actor] => [`worker ${i}`, worker]),
  ];
  await token.connect(root).approve(vault, 10n ** 30n);
  for (const [, actor] of everybody) await vault.connect(root).deposit(ledger, actor.address, FUNDS);
  return { token, vault, schemas, requests, ledger, schema, ...named, workers, everybody };
}

export const loadTree = (): Promise<Tree> => networkHelpers.loadFixture(deployTree);

/** What can be asked of the tree, least deposit and fee; fields of `changes` replace its own. */
export function requestOf(t: Tree, changes: Partial<Request> = {}): Request {
  return {
    requester: t.requester.address,
    delegate: t.delegate.address,
    schema: t.schema,
    root: t.root.address,
    release: keccakOf("release 1"),
    nonce: 0n,
    input: keccakOf("input"),
    testData: ZeroHash,
    rewardFunction: RewardFunction.ByRank,
    evaluatorReward: EVALUATOR_REWARD,
    workerReward: POT,
    list: [],
    evaluators: [],
    workers: [],
    minWorkers: 1n,
    maxWorkers: 255n,
    skipEvaluation: false,
    acceptWindow: ACCEPT_WINDOW,
    timeLimit: TIME_LIMIT,
    stepWindow: STEP,
    deposit: DEPOSIT,
    challengeFee: FEE,
    encryptionKey: KEY,
    ...changes,
  };
}

/** A request without evaluation, by listed workers. */
export function trustingRequestOf(t: Tree, changes: Partial<Request> = {}): Request {
  return requestOf(t, {
    skipEvaluation: true,
    rewardFunction: RewardFunction.Even,
    workers: t.workers.map(({ address }) => address),
    maxWorkers: BigInt(t.workers.length),
    evaluatorReward: 0n,
    deposit: 0n,
    challengeFee: 0n,
    ...changes,
  });
}

/** Best first, with scores that fall from 100. */
export function rankingOf(...workers: Actor[]): Ruling {
  return {
    verdict: Verdict.Ranking,
    order: workers.map(({ address }) => address),
    scores: workers.map((_, i) => BigInt(100 - i)),
  };
}

export const WITHHELD: Ruling = { verdict: Verdict.Withheld, order: [], scores: [] };
export const VOID: Ruling = { verdict: Verdict.Void, order: [], scores: [] };

/** The seconds after which a request's steps come too late. */
export class Inquiry {
  readonly t: Tree;
  readonly request: Request;
  readonly id: string;
  readonly postedAt: bigint;
  /** Admins above the evaluator, once there is one. */
  path: string[] = [];

  constructor(t: Tree, request: Request, id: string, postedAt: bigint) {
    this.t = t;
    this.request = request;
    this.id = id;
    this.postedAt = postedAt;
  }

  as(actor: Actor): Requests {
    return this.t.requests.connect(actor);
  }

  async state() {
    return await this.t.requests.requestState(this.id);
  }

  async phase(): Promise<bigint> {
    return await this.t.requests.phaseOf(this.id);
  }

  /** Last second of accepting, if it does not begin early. */
  get acceptUntil(): bigint {
    return this.postedAt + this.request.acceptWindow;
  }

  async deadline(): Promise<bigint> {
    return (await this.state()).deadline;
  }

  work(worker: Actor): Promise<ContractTransactionResponse> {
    return this.as(worker).acceptJob(this.request, WORKER, KEY);
  }

  async evaluate(evaluator = this.t.evaluator): Promise<ContractTransactionResponse> {
    this.path = [...(await this.t.schemas.pathOf(this.request.schema, evaluator, EVALUATOR))];
    return await this.as(evaluator).acceptJob(this.request, EVALUATOR, KEY);
  }

  /** Accepted by all these, and begun. */
  async begin(workers = this.t.workers, evaluator = this.t.evaluator): Promise<this> {
    if (!this.request.skipEvaluation) await this.evaluate(evaluator);
    for (const worker of workers) await this.work(worker);
    await this.as(this.t.requester).start(this.request);
    return this;
  }

  digestOf(worker: Actor): string {
    return keccakOf(`result of ${worker.address}`);
  }

  saltOf(worker: Actor): string {
    return keccakOf(`salt of ${worker.address}`);
  }

  async commitmentOf(worker: Actor): Promise<string> {
    return await this.t.requests.resultCommitment(this.id, worker, this.digestOf(worker), this.saltOf(worker));
  }

  async submit(worker: Actor): Promise<ContractTransactionResponse> {
    return await this.as(worker).submitResult(this.id, await this.commitmentOf(worker));
  }

  reveal(worker: Actor): Promise<ContractTransactionResponse> {
    return this.as(worker).revealResult(this.id, this.digestOf(worker), this.saltOf(worker));
  }

  /** Begun, committed and revealed by all these. */
  async compute(workers = this.t.workers, evaluator = this.t.evaluator): Promise<this> {
    await this.begin(workers, evaluator);
    for (const worker of workers) await this.submit(worker);
    for (const worker of workers) await this.reveal(worker);
    return this;
  }

  /** Ends the revealing where nobody is left to reveal. */
  rank(ruling: Ruling, by = this.t.evaluator): Promise<ContractTransactionResponse> {
    return this.as(by).rank(this.id, ruling, REPORT);
  }

  challenge(by: Actor): Promise<ContractTransactionResponse> {
    return this.as(by).challenge(this.request, this.path);
  }

  reevaluate(by: Actor, ruling: Ruling): Promise<ContractTransactionResponse> {
    return this.as(by).reevaluate(this.request, this.path, ruling, REPORT);
  }

  climb(): Promise<ContractTransactionResponse> {
    return this.as(this.t.stranger).climb(this.id);
  }

  settle(ruling: Ruling = NO_RULING, revealed: Actor[] = []): Promise<ContractTransactionResponse> {
    const workers = revealed.map(({ address }) => address);
    return this.as(this.t.stranger).settle(this.request, this.path, ruling, workers);
  }

  /** Mines until the deadline that is stored has passed. */
  async passDeadline(more = 0n): Promise<void> {
    const deadline = (await this.deadline()) + more;
    if ((await now()) <= deadline) await networkHelpers.time.increaseTo(deadline + 1n);
  }
}

export async function postRequest(t: Tree, changes: Partial<Request> = {}, by = t.requester): Promise<Inquiry> {
  const request = requestOf(t, changes);
  const id = await t.requests.requestId(request);
  await mined(t.requests.connect(by).requestJob(request));
  return new Inquiry(t, request, id, await now());
}

export type Money = Record<string, bigint>;

/**
 * What everybody owns, with what was locked for these requests and what was burned. Fails unless that is all there is.
 */
export async function moneyOf(t: Tree, inquiries: Inquiry[] = []): Promise<Money> {
  const money: Money = {};
  for (const [name, actor] of t.everybody) money[name] = await t.vault.available(t.ledger, actor.address);
  const nameOf = (holder: string): string => t.everybody.find(([, { address }]) => address === holder)![0];
  for (const { id } of inquiries) {
    const tiers = Array.from({ length: MAX_DEPTH + 1 }, (_, tier) => tier);
    const ids = [
      id,
      ...(await Promise.all(tiers.map((tier) => t.requests.depositLock(id, tier)))),
      ...(await Promise.all(tiers.map((tier) => t.requests.challengeLock(id, tier)))),
    ];
    for (const lock of await Promise.all(ids.map((each) => t.vault.lockOf(t.ledger, each)))) {
      if (lock.holder !== ZeroAddress) money[nameOf(lock.holder)]! += lock.amount;
    }
  }
  money["burned"] = await t.vault.burned();
  const sum = Object.values(money).reduce((a, b) => a + b, 0n);
  expect(await t.vault.total(), "what the vault owes").to.equal(sum);
  return money;
}

/** Fails unless the request ended so, nothing of it is locked, and exactly these gained or lost exactly that much. */
export async function expectEnd(
  inquiry: Inquiry,
  before: Money,
  sent: Promise<ContractTransactionResponse>,
  outcome: bigint,
  changes: Money,
): Promise<void> {
  const { t, id } = inquiry;
  await expect(sent).to.emit(t.requests, "Settled").withArgs(id, outcome);
  const after = await moneyOf(t);
  const actual: Money = {};
  for (const [name, amount] of Object.entries(after)) {
    if (amount !== before[name]) actual[name] = amount - before[name]!;
  }
  const wanted = Object.fromEntries(Object.entries(changes).filter(([, change]) => change !== 0n));
  expect(actual).to.deep.equal(wanted);
  const { stage, evaluator, deadline, path } = await inquiry.state();
  expect([stage, evaluator, deadline, path], "only that it ended is kept").to.deep.equal([
    ...[Stage.Ended, ZeroAddress],
    ...[0n, ZeroHash],
  ]);
  for (let tier = 0; tier <= MAX_DEPTH; tier += 1) {
    expect(await t.requests.rulingOf(id, tier)).to.equal(ZeroHash);
    expect(await t.requests.challengerOf(id, tier)).to.equal(ZeroAddress);
  }
}

/** The step is refused for its phase one second after `deadline` and possible in the deadline's own second. */
export async function expectUntil(
  inquiry: Inquiry,
  deadline: bigint,
  step: () => Promise<unknown>,
  expected: bigint,
  next: bigint,
): Promise<void> {
  const before = await networkHelpers.takeSnapshot();
  await at(deadline + 1n);
  await expectPhase(inquiry, step, expected, next);
  await before.restore();
  await at(deadline);
  await step();
}

/** The step is refused for its phase in the deadline's own second and possible one second later. */
export async function expectAfter(
  inquiry: Inquiry,
  deadline: bigint,
  step: () => Promise<unknown>,
  expected: bigint,
  actual: bigint,
): Promise<void> {
  await at(deadline);
  await expectPhase(inquiry, step, expected, actual);
  await at(deadline + 1n);
  await step();
}

/** The step is refused because it belongs to another phase. */
export async function expectPhase(
  inquiry: Inquiry,
  step: () => Promise<unknown>,
  expected: bigint,
  actual: bigint,
): Promise<void> {
  await expect(step())
    .to.be.revertedWithCustomError(inquiry.t.requests, "WrongPhase")
    .withArgs(inquiry.id, actual, expected);
}
