import { getAddress, id as keccakOf, ZeroAddress, ZeroHash } from "ethers";
import type { RequestEvent } from "#sdk/request-events.ts";
import { RequestState, type RequestRecord } from "#sdk/request-state.ts";
import type { JobRequest, Ruling } from "#sdk/request-terms.ts";

/** An address that is always the same. */
export function accountAt(index: number): string {
  return getAddress(`0x${(index + 1).toString(16).padStart(40, "0")}`);
}

export const REQUESTER = accountAt(100);
export const EVALUATOR = accountAt(101);
export const PARENT = accountAt(102);
export const ROOT = accountAt(103);
/** The point that all others are made of. */
export const KEY = "0x0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";
export const REQUEST_ID = keccakOf("request");
const START = 1_000;

export const REQUEST: JobRequest = {
  requester: REQUESTER,
  delegate: ZeroAddress,
  schema: keccakOf("schema"),
  root: ROOT,
  release: keccakOf("release"),
  nonce: 1n,
  input: keccakOf("input"),
  testData: ZeroHash,
  rewardFunction: "list",
  evaluatorReward: 10n,
  workerReward: 10n,
  list: [10n],
  evaluators: [],
  workers: [],
  minWorkers: 1,
  maxWorkers: 2,
  skipEvaluation: false,
  acceptWindow: 100,
  timeLimit: 1_000,
  stepWindow: 100,
  deposit: 20n,
  challengeFee: 5n,
  encryptionKey: KEY,
};

type Told = { [Name in RequestEvent["name"]]: Omit<Extract<RequestEvent, { name: Name }>, keyof Place> }[RequestEvent["name"]]; // prettier-ignore
type Place = Pick<RequestEvent, "blockNumber" | "blockHash" | "transactionHash" | "logIndex" | "address" | "timestamp">;

/** What the chain tells of one request: an event each block, a block each second. */
export class RequestHistory {
  readonly #state = new RequestState();
  block = 1;
  now = START;

  constructor(changes: Partial<JobRequest> = {}) {
    const request = { ...REQUEST, ...changes };
    const { schema, requester } = request;
    this.#tell({ name: "RequestPosted", id: REQUEST_ID, schema, requester, request, locked: 20n });
  }

  get state(): RequestState {
    return this.#state;
  }

  /** Registers the request's schema, with `ROOT` as its root. */
  schema(): this {
    const terms = { release: ZeroHash, minimumDeposit: 20n, challengeFee: 5n, rewardFunctions: 31, nonce: 0n };
    this.#tell({ name: "JobRegistered", schema: REQUEST.schema, registrant: ROOT, terms });
    return this.#tell({ name: "Released", schema: REQUEST.schema, number: 1, release: REQUEST.release });
  }

  /** `node` asks `parent` for roles, bits. */
  applied(node: string, parent: string, roles: number): this {
    return this.#tell({ name: "Applied", schema: REQUEST.schema, node, parent, roles, qualification: ZeroHash });
  }

  /** `node` is a member below `parent` with these roles, bits. */
  member(node: string, parent: string, roles: number): this {
    return this.#tell({ name: "Approved", schema: REQUEST.schema, node, parent, roles });
  }

  dropped(node: string, parent: string): this {
    return this.#tell({ name: "Dropped", schema: REQUEST.schema, node, parent });
  }

  get record(): RequestRecord {
    return this.#state.requests.get(REQUEST_ID)!;
  }

  wait(seconds: number): this {
    this.now += seconds;
    return this;
  }

  /** Judges publish their keys, which counts from the evaluator's acceptance on. */
  keys(...nodes: string[]): this {
    for (const node of nodes) this.#tell({ name: "KeyPublished", node, encryptionKey: KEY });
    return this;
  }

  evaluator(path = [PARENT, ROOT]): this {
    return this.#tell({ name: "EvaluatorAccepted", id: REQUEST_ID, evaluator: EVALUATOR, path, encryptionKey: KEY });
  }

  worker(...workers: number[]): this {
    for (const each of workers) {
      this.#tell({ name: "WorkerAccepted", id: REQUEST_ID, worker: accountAt(each), encryptionKey: KEY });
    }
    return this;
  }

  started(): this {
    const { timeLimit } = this.record.request;
    return this.#tell({ name: "Started", id: REQUEST_ID, submitUntil: this.now + 1 + timeLimit });
  }

  submitted(...workers: number[]): this {
    for (const each of workers) {
      const commitment = keccakOf(`commitment ${each}`);
      this.#tell({ name: "ResultSubmitted", id: REQUEST_ID, worker: accountAt(each), commitment });
    }
    const { stepWindow } = this.record.request;
    return this.#tell({ name: "AllSubmitted", id: REQUEST_ID, revealUntil: this.now + 1 + stepWindow });
  }

  revealed(...workers: number[]): this {
    for (const each of workers) {
      const [digest, salt] = [keccakOf(`result ${each}`), ZeroHash];
      this.#tell({ name: "ResultRevealed", id: REQUEST_ID, worker: accountAt(each), digest, salt });
    }
    return this;
  }

  testData(): this {
    return this.#tell({ name: "TestDataRevealed", id: REQUEST_ID, digest: keccakOf("test data"), salt: ZeroHash });
  }

  allRevealed(): this {
    const { stepWindow } = this.record.request;
    return this.#tell({ name: "AllRevealed", id: REQUEST_ID, rankUntil: this.now + 1 + stepWindow });
  }

  /** A request that two workers revealed a result of. */
  ranking(): this {
    return this.evaluator().worker(0, 1).started().submitted(0, 1).revealed(0, 1).allRevealed();
  }

  ruled(ruling: Ruling, tier = 0): this {
    const judge = [EVALUATOR, PARENT, ROOT][tier]!;
    const deadline = this.now + 1 + this.record.request.stepWindow;
    return this.#tell({ name: "Ruled", id: REQUEST_ID, judge, tier, ruling, report: ZeroHash, deadline });
  }

  accepted(by = REQUESTER): this {
    return this.#tell({ name: "ResultAccepted", id: REQUEST_ID, by });
  }

  challenged(by: string, tier = 0): this {
    const deadline = this.now + 1 + this.record.request.stepWindow;
    return this.#tell({ name: "Challenged", id: REQUEST_ID, by, tier, deadline });
  }

  settled(): this {
    return this.#tell({ name: "Settled", id: REQUEST_ID, outcome: "ranked" });
  }

  #tell(told: Told): this {
    this.block += 1;
    this.now += 1;
    const place = { blockHash: keccakOf(`block ${this.block}`), transactionHash: ZeroHash, address: ZeroAddress };
    const event = { ...told, ...place, blockNumber: this.block, logIndex: 0, timestamp: this.now };
    this.#state.apply(event as RequestEvent);
    return this;
  }
}

/** A ranking of workers by their numbers, best first, all with the same score. */
export function rankingOf(...workers: number[]): Ruling {
  return { verdict: "ranking", order: workers.map(accountAt), scores: workers.map(() => 1n) };
}
