import { expect } from "chai";
import { dataSlice, getAddress, id as keccakOf, ZeroAddress, ZeroHash } from "ethers";
import { FIRST_RATING, reputationOf } from "#sdk/reputation.ts";
import type { RequestEvent, RequestEventArguments, RequestEventName } from "#sdk/request-events.ts";
import { RequestState } from "#sdk/request-state.ts";
import { ROLES, type JobRequest, type Ruling } from "#sdk/request-terms.ts";

const SCHEMA = keccakOf("schema");
const [root, admin, evaluator, requester, stranger, helper] = [
  "root",
  "admin",
  "evaluator",
  "requester",
  "stranger",
  "helper",
].map(addressOf) as [string, string, string, string, string, string];
const workers = ["ann", "ben", "cat"].map(addressOf) as [string, string, string];

function addressOf(name: string): string {
  return getAddress(dataSlice(keccakOf(name), 12));
}

const request: JobRequest = {
  requester,
  delegate: ZeroAddress,
  schema: SCHEMA,
  root,
  release: keccakOf("release"),
  nonce: 0n,
  input: keccakOf("input"),
  testData: ZeroHash,
  rewardFunction: "winner-takes-all",
  evaluatorReward: 10n,
  workerReward: 90n,
  list: [],
  evaluators: [],
  workers: [],
  minWorkers: 1,
  maxWorkers: 3,
  skipEvaluation: false,
  acceptWindow: 100,
  timeLimit: 100,
  stepWindow: 100,
  deposit: 50n,
  challengeFee: 20n,
  encryptionKey: `0x02${"11".repeat(32)}`,
};

/** A chain on which a tree grew: root, an admin below it, an evaluator below that; the root approved the workers. */
class Story {
  readonly state = new RequestState();
  #time = 1_000;
  #requests = 0;

  constructor() {
    const terms = { release: request.release, minimumDeposit: 50n, challengeFee: 20n, rewardFunctions: 31, nonce: 0n };
    this.tell("JobRegistered", { schema: SCHEMA, registrant: root, terms });
    this.approve(admin, root, ROLES.admin);
    this.approve(evaluator, admin, ROLES.evaluator);
    for (const worker of workers) this.approve(worker, root, ROLES.worker);
  }

  tell<Name extends RequestEventName>(name: Name, values: RequestEventArguments[Name], seconds = 1): void {
    this.#time += seconds;
    const place = { blockNumber: this.#time, logIndex: 0, blockHash: ZeroHash, transactionHash: ZeroHash };
    this.state.apply({ name, ...values, ...place, timestamp: this.#time } as unknown as RequestEvent);
  }

  approve(node: string, parent: string, roles: number): void {
    this.tell("Approved", { schema: SCHEMA, node, parent, roles });
  }

  /** A request from post to the last reveal: workers take 10, 20, 30 … seconds. */
  revealed(changes: Partial<JobRequest> = {}): string {
    const own = { ...request, ...changes };
    const id = keccakOf(`request ${(this.#requests += 1)}`);
    this.tell("RequestPosted", { id, schema: SCHEMA, requester: own.requester, request: own, locked: 100n });
    const encryptionKey = request.encryptionKey;
    this.tell("EvaluatorAccepted", { id, evaluator, path: [admin, root], encryptionKey });
    for (const worker of workers) this.tell("WorkerAccepted", { id, worker, encryptionKey });
    this.tell("Started", { id, submitUntil: this.#time + 101 });
    for (const worker of workers) this.tell("ResultSubmitted", { id, worker, commitment: keccakOf("c") }, 10);
    this.tell("AllSubmitted", { id, revealUntil: this.#time + 101 });
    for (const worker of workers) {
      this.tell("ResultRevealed", { id, worker, digest: keccakOf("digest"), salt: ZeroHash });
    }
    return id;
  }

  rule(id: string, judge: string, tier: number, ruling: Ruling): void {
    this.tell("Ruled", { id, judge, tier, ruling, report: ZeroHash, deadline: this.#time + 101 });
  }

  settle(id: string, outcome: RequestEventArguments["Settled"]["outcome"] = "ranked"): void {
    this.tell("Settled", { id, outcome });
  }

  node(name: string, options = {}) {
    return reputationOf(this.state, options).nodes.get(name)!;
  }

  requester(name: string, options = {}) {
    return reputationOf(this.state, options).requesters.get(name)!;
  }
}

function ranking(...order: string[]): Ruling {
  return { verdict: "ranking", order, scores: order.map(() => 0n) };
}

describe("reputation", () => {
  const [ann, ben, cat] = workers;
  let story: Story;

  beforeEach(() => {
    story = new Story();
  });

  it("counts what workers did, what they got for it, and how long they took", () => {
    const id = story.revealed();
    story.rule(id, evaluator, 0, ranking(ben, ann));
    story.settle(id);
    expect(story.node(ben).worker).to.deep.equal({
      ...{ accepted: 1, revealed: 1, ranked: 1, best: 1, resigned: 0, rejected: 0, seconds: 20 },
    });
    expect(story.node(cat).worker).to.deep.include({ revealed: 1, ranked: 0, best: 0, seconds: 30 });
    expect(story.node(ben).earned).to.deep.equal({ strangers: 90n, related: 0n });
    expect(story.node(ann).earned).to.deep.equal({ strangers: 0n, related: 0n });
    expect(story.node(evaluator).earned.strangers).to.equal(10n);
    expect(story.requester(requester)).to.deep.include({ posted: 1, ended: 1, answered: 1, paid: 100n });
  });

  it("knows who did not come back with a result, left or was not wanted", () => {
    const id = keccakOf("another");
    const encryptionKey = request.encryptionKey;
    story.tell("RequestPosted", { id, schema: SCHEMA, requester, request, locked: 100n });
    for (const worker of workers) story.tell("WorkerAccepted", { id, worker, encryptionKey });
    story.tell("WorkerResigned", { id, worker: ben });
    story.tell("WorkerRejected", { id, worker: cat });
    story.settle(id, "unanswered");
    expect(story.node(ann).worker).to.deep.include({ accepted: 1, revealed: 0 });
    expect(story.node(ben).worker).to.deep.include({ accepted: 0, resigned: 1 });
    expect(story.node(cat).worker).to.deep.include({ accepted: 0, rejected: 1 });
    expect(story.requester(requester)).to.deep.include({ answered: 0, rejected: 1 });
  });

  it("tells who was overturned, who was silent, and whose challenge was right", () => {
    const id = story.revealed();
    story.rule(id, evaluator, 0, ranking(ann));
    story.tell("Challenged", { id, by: ben, tier: 0, deadline: 10_000 });
    story.tell("Climbed", { id, tier: 2, deadline: 10_000 });
    story.rule(id, root, 2, ranking(ben, ann));
    story.settle(id);
    expect(story.node(evaluator).evaluator).to.deep.equal({ called: 1, ruled: 1, overturned: 1 });
    expect(story.node(admin).judge).to.deep.equal({ called: 1, ruled: 0, overturned: 0 });
    expect(story.node(root).judge).to.deep.equal({ called: 1, ruled: 1, overturned: 0 });
    expect(story.node(ben).challenges).to.deep.equal({ made: 1, won: 1 });
  });

  it("shows challenges without ground as such: however many, they won nothing", () => {
    for (let nonce = 0; nonce < 5; nonce += 1) {
      const id = story.revealed();
      story.rule(id, evaluator, 0, ranking(ann));
      story.tell("Challenged", { id, by: requester, tier: 0, deadline: 10_000 });
      story.rule(id, admin, 1, ranking(ann));
      story.settle(id);
    }
    expect(story.requester(requester).challenges).to.deep.equal({ made: 5, won: 0 });
    expect(story.node(evaluator).evaluator).to.deep.equal({ called: 5, ruled: 5, overturned: 0 });
  });

  it("counts for nothing what an admin's own requests pay to its own tree", () => {
    for (let nonce = 0; nonce < 20; nonce += 1) {
      const id = story.revealed({ requester: admin });
      story.rule(id, evaluator, 0, ranking(ann, ben));
      story.settle(id);
    }
    const id = story.revealed();
    story.rule(id, evaluator, 0, ranking(ben, ann));
    story.settle(id);
    const farmed = story.node(ann);
    expect(farmed.worker.best).to.equal(20);
    expect(farmed.earned).to.deep.equal({ strangers: 0n, related: 1_800n });
    expect(farmed.clients).to.equal(0);
    expect(farmed.rating).to.be.lessThan(FIRST_RATING);
    expect(story.node(ben).rating).to.be.greaterThan(FIRST_RATING);
    expect(story.node(evaluator).earned).to.deep.equal({ strangers: 10n, related: 200n });
    expect(story.requester(admin)).to.deep.include({ paid: 2_000n, paidToRelated: 2_000n });
  });

  it("counts for nothing what comes from accounts that somebody knows to belong together", () => {
    const id = story.revealed({ requester: stranger });
    story.rule(id, evaluator, 0, ranking(ann, ben));
    story.settle(id);
    const links: [string, string][] = [
      [stranger, helper],
      [helper, ann],
    ];
    expect(story.node(ann).earned.strangers).to.equal(90n);
    expect(story.node(ann, { links }).earned).to.deep.equal({ strangers: 0n, related: 90n });
    expect(story.node(ann, { links: [[stranger, helper]] }).earned.strangers).to.equal(90n);
    expect(story.node(evaluator, { links }).earned.strangers).to.equal(10n);
  });

  it("counts for nothing what accounts that belong to an admin pay to those below it", () => {
    const id = story.revealed({ requester: stranger });
    story.rule(id, evaluator, 0, ranking(ann, ben));
    story.settle(id);
    const belongsTo = (head: string) => ({ links: [[stranger, head]] as [string, string][] });
    expect(story.node(ann, belongsTo(root)).earned).to.deep.equal({ strangers: 0n, related: 90n });
    expect(story.node(ann, belongsTo(root)).rating).to.equal(FIRST_RATING);
    expect(story.node(ann).rating).to.be.greaterThan(FIRST_RATING);
    expect(story.requester(stranger, belongsTo(root)).paidToRelated).to.equal(100n);
    expect(story.node(evaluator, belongsTo(admin)).earned).to.deep.equal({ strangers: 0n, related: 10n });
    expect(story.node(ann, belongsTo(admin)).earned).to.deep.equal({ strangers: 90n, related: 0n });
  });

  it("takes a request's delegate for its requester", () => {
    const id = story.revealed({ requester: stranger, delegate: ann });
    story.rule(id, evaluator, 0, ranking(ann));
    story.settle(id);
    expect(story.node(ann).earned).to.deep.equal({ strangers: 0n, related: 90n });
  });

  it("says how many strangers pay, and how much of it one of them does", () => {
    for (const [who, workerReward] of [
      [requester, 90n],
      [stranger, 270n],
    ] as const) {
      const id = story.revealed({ requester: who, workerReward });
      story.rule(id, evaluator, 0, ranking(ann));
      story.settle(id);
    }
    expect(story.node(ann)).to.deep.include({ clients: 2, largestClient: 0.75 });
  });

  it("rates who was ranked together against each other, and keeps the sum", () => {
    for (let nonce = 0; nonce < 10; nonce += 1) {
      const id = story.revealed();
      story.rule(id, evaluator, 0, ranking(cat, ann, ben));
      story.settle(id);
    }
    const [a, b, c] = workers.map((worker) => story.node(worker).rating) as [number, number, number];
    expect(c).to.be.greaterThan(a);
    expect(a).to.be.greaterThan(b);
    expect(a + b + c).to.be.closeTo(3 * FIRST_RATING, 1e-6);
  });

  it("looks at one schema only where it is asked to, and at no request that has not ended", () => {
    const id = story.revealed();
    story.rule(id, evaluator, 0, ranking(ann));
    expect(story.node(ann).worker.accepted).to.equal(0);
    expect(story.requester(requester)).to.deep.include({ posted: 1, ended: 0 });
    story.settle(id);
    expect(story.node(ann, { schema: SCHEMA }).worker.best).to.equal(1);
    expect(reputationOf(story.state, { schema: keccakOf("other") }).nodes.size).to.equal(0);
  });

  it("counts whom an admin approved and dropped", () => {
    story.tell("Dropped", { schema: SCHEMA, node: ann, parent: root });
    expect(story.node(root)).to.deep.include({ managed: 4, dropped: 1 });
    expect(story.node(admin)).to.deep.include({ managed: 1, dropped: 0 });
  });
});
