import type { RequestEvent } from "./request-events.ts";
import type { JobRequest, RequestOutcome, Ruling, SchemaTerms, WorkerStatus } from "./request-terms.ts";
import { ROLES } from "./request-terms.ts";

/** A node's place in a schema. */
export interface MemberRecord {
  node: string;
  /** Who approved it; undefined for a root. */
  parent?: string;
  /** Bits, see `ROLES`. */
  roles: number;
  /** Its parent takes no responsibility for it any more. */
  isDropped: boolean;
}

/** What a node applied for and was not approved for yet. */
export interface ApplicationRecord {
  node: string;
  parent: string;
  /** Bits, see `ROLES`. */
  roles: number;
  /** Content id of what shows that it can: 32 bytes, hexadecimal; zero for none. */
  qualification: string;
  /** Number of the block it is in. */
  block: number;
}

/** A schema and who may work on it. */
export interface SchemaRecord {
  id: string;
  registrant: string;
  terms: SchemaTerms;
  /** Oldest first; the number of the first is 1. */
  releases: { number: number; release: string; block: number }[];
  /** By node. */
  members: Map<string, MemberRecord>;
  /** By node. */
  applications: Map<string, ApplicationRecord>;
}

/** A worker's part in a request. */
export interface WorkerRecord {
  node: string;
  /** What input and results are sealed for: compressed secp256k1 point, hexadecimal. */
  encryptionKey: string;
  status: WorkerStatus;
  /** What it committed to, and when, seconds. */
  commitment?: string;
  submittedAt?: number;
  /** Content id of its result, once revealed. */
  digest?: string;
  /** Intermediate states it committed to, in order. */
  checkpoints: { number: number; commitment: string; at: number; block: number }[];
}

/** A ruling of the evaluator or of a judge. */
export interface RulingRecord {
  judge: string;
  /** 0: the evaluator. */
  tier: number;
  ruling: Ruling;
  /** Content id of its reasons. */
  report: string;
  /** Number of the block it is in. */
  block: number;
}

/** A request and what became of it. */
export interface RequestRecord {
  id: string;
  request: JobRequest;
  /** What its requester locked, base units. */
  locked: bigint;
  postedAt: number;
  postedBlock: number;
  /** Last second of accepting. */
  startAt: number;
  /** Last second of committing to results. */
  submitUntil: number;
  /** Last second of revealing. */
  revealUntil: number;
  /** The same; later the last second of what is due. */
  deadline: number;
  /** The requester began early. */
  started: boolean;
  /** `keys`: what its judges had published when it accepted, by judge; everything for them is sealed for these. */
  evaluator?: { node: string; encryptionKey: string; path: readonly string[]; keys: ReadonlyMap<string, string> };
  /** By node, in the order in which they accepted; those that left, too. */
  workers: Map<string, WorkerRecord>;
  /** Nodes that revealed, in the order in which they did: what settling takes. */
  revealed: string[];
  /** Keys for participants that somebody made available; in seconds. */
  grants: { by: string; content: string; at: number; block: number }[];
  /** Number of the block in which the requester began early. */
  startedBlock?: number;
  /** Number of the block in which the last worker committed; undefined where somebody did not. */
  submittedBlock?: number;
  /** Number of the block in which the last was revealed; undefined where somebody did not. */
  revealedBlock?: number;
  /** Content id of the test data, once revealed. */
  testData?: string;
  /** Oldest first. */
  rulings: RulingRecord[];
  /** Oldest first; `tier` is of the ruling that is disputed. */
  challenges: { by: string; tier: number }[];
  /** Whose ruling stands or is awaited: 0 the evaluator, t the t-th admin above it. */
  tier: number;
  stage: "open" | "ruled" | "called" | "final" | "ended";
  /** When it became so that nobody can challenge any more; undefined where only the clock says so. */
  finalAt?: number;
  /** The requester accepted the evaluator's ranking. */
  requesterSatisfied: boolean;
  outcome?: { outcome: RequestOutcome; at: number; block: number };
}

/**
 * What can be done with a request; the contract's `Phase`:
 * - `accepting`: evaluator and workers accept;
 * - `unmet`: too few accepted: anybody may cancel;
 * - `computing`: workers commit to results;
 * - `revealing`: workers reveal what they committed to, the requester its test data;
 * - `ranking`: the evaluator ranks;
 * - `overdue`: the evaluator did not rank: anybody may call its parent;
 * - `contestable`: a ruling can be challenged or accepted;
 * - `judging`: a judge rules on a challenge;
 * - `unanswered`: that judge was silent: anybody may call the next;
 * - `settleable`: anybody may settle;
 * - `ended`: settled or cancelled.
 */
export type RequestPhase =
  | "accepting"
  | "unmet"
  | "computing"
  | "revealing"
  | "ranking"
  | "overdue"
  | "contestable"
  | "judging"
  | "unanswered"
  | "settleable"
  | "ended";

/**
 * Schemas and requests as the events tell of them. Events go in in the order of the chain.
 *
 * @example
 * ```ts
 * const state = new RequestState();
 * for (const event of events) state.apply(event);
 * state.requests.get(id)?.workers.size;
 * ```
 */
export class RequestState {
  /** By schema id. */
  readonly schemas = new Map<string, SchemaRecord>();
  /** By request id, ended ones too. */
  readonly requests = new Map<string, RequestRecord>();
  /** What to seal for a node whose key no request names, by node. */
  readonly keys = new Map<string, string>();

  /** Requests that have not ended, oldest first. */
  get open(): RequestRecord[] {
    return [...this.requests.values()].filter(({ outcome }) => outcome === undefined);
  }

  /** Folds one event in. Events of what was never registered or posted are ignored. */
  apply(event: RequestEvent): void {
    const { blockNumber: block, timestamp: at } = event;
    switch (event.name) {
      case "JobRegistered": {
        const { schema: id, registrant, terms } = event;
        const root = { node: registrant, roles: ALL_ROLES, isDropped: false };
        const members = new Map([[registrant, root]]);
        this.schemas.set(id, { id, registrant, terms, releases: [], members, applications: new Map() });
        return;
      }
      case "KeyPublished":
        this.keys.set(event.node, event.encryptionKey);
        return;
      case "RequestPosted": {
        const { id, request, locked } = event;
        const startAt = at + request.acceptWindow;
        const submitUntil = startAt + request.timeLimit;
        this.requests.set(id, {
          ...{ id, request, locked, postedAt: at, postedBlock: block },
          ...{ startAt, submitUntil, started: false },
          ...{ deadline: submitUntil + request.stepWindow, revealUntil: submitUntil + request.stepWindow },
          ...{ workers: new Map(), revealed: [], grants: [], rulings: [], challenges: [] },
          ...{ tier: 0, stage: "open", requesterSatisfied: false },
        });
        return;
      }
      default:
        if ("schema" in event) this.#applyToSchema(event);
        else this.#applyToRequest(event);
    }
  }

  #applyToSchema(event: Extract<RequestEvent, { schema: string }>): void {
    const schema = this.schemas.get(event.schema);
    if (!schema) return;
    switch (event.name) {
      case "Released":
        schema.releases.push({ number: event.number, release: event.release, block: event.blockNumber });
        return;
      case "Applied": {
        const { node, parent, roles, qualification, blockNumber: block } = event;
        schema.applications.set(node, { node, parent, roles, qualification, block });
        return;
      }
      case "Approved": {
        const { node, parent, roles } = event;
        schema.members.set(node, { node, parent, roles, isDropped: false });
        schema.applications.delete(node);
        return;
      }
      case "Dropped": {
        const member = schema.members.get(event.node);
        if (member) member.isDropped = true;
        return;
      }
      case "RootStarted":
        schema.members.set(event.node, { node: event.node, roles: ALL_ROLES, isDropped: false });
        schema.applications.delete(event.node);
        return;
      case "JobRegistered":
      case "RequestPosted":
        // What made it.
        return;
    }
  }

  #applyToRequest(event: RequestEvent): void {
    if (!("id" in event)) return;
    const record = this.requests.get(event.id);
    if (!record) return;
    const { blockNumber: block, timestamp: at } = event;
    const { stepWindow } = record.request;
    switch (event.name) {
      case "EvaluatorAccepted": {
        const { evaluator: node, encryptionKey, path } = event;
        const keys = path.flatMap((judge): [string, string][] => {
          const key = this.keys.get(judge);
          return key === undefined ? [] : [[judge, key]];
        });
        record.evaluator = { node, encryptionKey, path, keys: new Map(keys) };
        return;
      }
      case "WorkerAccepted": {
        const { worker: node, encryptionKey } = event;
        record.workers.set(node, { node, encryptionKey, status: "accepted", checkpoints: [] });
        return;
      }
      case "Started":
        record.started = true;
        record.startedBlock = block;
        record.startAt = at;
        record.submitUntil = event.submitUntil;
        record.revealUntil = event.submitUntil + stepWindow;
        record.deadline = record.revealUntil;
        return;
      case "Granted":
        record.grants.push({ by: event.by, content: event.content, at, block });
        return;
      case "AllSubmitted":
        record.submitUntil = at;
        record.submittedBlock = block;
        record.revealUntil = event.revealUntil;
        record.deadline = event.revealUntil;
        return;
      case "TestDataRevealed":
        record.testData = event.digest;
        return;
      case "AllRevealed":
        record.revealUntil = at;
        record.deadline = at;
        record.revealedBlock = block;
        return;
      case "Ruled": {
        const { judge, tier, ruling, report, deadline } = event;
        record.rulings.push({ judge, tier, ruling, report, block });
        record.stage = "ruled";
        record.deadline = deadline;
        return;
      }
      case "Challenged":
        record.challenges.push({ by: event.by, tier: event.tier });
        call(record, event.tier + 1, event.deadline);
        return;
      case "Climbed":
        call(record, event.tier, event.deadline);
        return;
      case "ResultAccepted": {
        const worker = record.workers.get(event.by);
        if (worker?.status === "revealed") worker.status = "satisfied";
        else record.requesterSatisfied = true;
        return;
      }
      case "Finalized":
        record.stage = "final";
        record.finalAt = at;
        return;
      case "Settled":
        record.stage = "ended";
        record.outcome = { outcome: event.outcome, at, block };
        return;
      default:
        applyToWorker(record, event);
    }
  }
}

function applyToWorker(record: RequestRecord, event: RequestEvent): void {
  if (!("worker" in event)) return;
  const worker = record.workers.get(event.worker);
  if (!worker) return;
  const { blockNumber: block, timestamp: at } = event;
  switch (event.name) {
    case "WorkerResigned":
      worker.status = "resigned";
      return;
    case "WorkerRejected":
      worker.status = "rejected";
      return;
    case "CheckpointSubmitted": {
      const { number, commitment } = event;
      worker.checkpoints.push({ number, commitment, at, block });
      return;
    }
    case "ResultSubmitted":
      worker.status = "submitted";
      worker.commitment = event.commitment;
      worker.submittedAt = at;
      return;
    case "ResultRevealed":
      worker.status = "revealed";
      worker.digest = event.digest;
      record.revealed.push(worker.node);
      return;
    case "WorkerAccepted":
      // What made it.
      return;
  }
}

function call(record: RequestRecord, tier: number, deadline: number): void {
  record.stage = "called";
  record.tier = tier;
  record.deadline = deadline;
}

/** The workers that accepted and did not leave. */
export function workersOf(record: RequestRecord): WorkerRecord[] {
  return [...record.workers.values()].filter(({ status }) => status !== "resigned" && status !== "rejected");
}

/** Where a request stands at `now` seconds: the contract's `phaseOf`. */
export function requestPhaseOf(record: RequestRecord, now: number): RequestPhase {
  const { request, stage, deadline, startAt, submitUntil } = record;
  const passed = now > deadline;
  switch (stage) {
    case "ended":
      return "ended";
    case "final":
      return "settleable";
    case "ruled":
      return passed ? "settleable" : "contestable";
    case "called":
      return passed ? "unanswered" : "judging";
    case "open": {
      if (!record.started) {
        if (now <= startAt) return "accepting";
        const isMet = workersOf(record).length >= request.minWorkers && (record.evaluator || request.skipEvaluation);
        if (!isMet) return "unmet";
      }
      if (now <= submitUntil) return "computing";
      if (!passed) return "revealing";
      const awaitsTestData = BigInt(request.testData) !== 0n && record.testData === undefined;
      if (record.revealed.length === 0 || awaitsTestData || request.skipEvaluation) return "settleable";
      return now <= deadline + request.stepWindow ? "ranking" : "overdue";
    }
  }
}

/** The ruling that stands, if there is one. */
export function standingRuling({ rulings }: RequestRecord): RulingRecord | undefined {
  return rulings.at(-1);
}

/**
 * The admins above a node, its parent first and its root last; empty for a root. Undefined unless the node has all of
 * `roles` and neither it nor anybody above it was dropped: the contract's `pathOf`.
 */
export function pathOf({ members }: SchemaRecord, node: string, roles: number): string[] | undefined {
  const path: string[] = [];
  let member = members.get(node);
  if (!member || (member.roles & roles) !== roles) return undefined;
  for (;;) {
    if (!member || member.isDropped) return undefined;
    if (member.parent === undefined) return path;
    path.push(member.parent);
    member = members.get(member.parent);
  }
}

/** The root of a node's tree; undefined for who has no work there, as {@link pathOf}. */
export function rootOf(schema: SchemaRecord, node: string, roles: number): string | undefined {
  const path = pathOf(schema, node, roles);
  return path && (path.at(-1) ?? node);
}

const ALL_ROLES = ROLES.admin | ROLES.evaluator | ROLES.worker;
