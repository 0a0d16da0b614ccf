import { keccak256, toUtf8Bytes } from "ethers";
import { isSameRuling } from "#sdk/request-settlement.ts";
import {
  pathOf,
  requestPhaseOf,
  rootOf,
  standingRuling,
  workersOf,
  type ApplicationRecord,
  type RequestRecord,
  type RequestState,
  type SchemaRecord,
  type WorkerRecord,
} from "#sdk/request-state.ts";
import { hasRoles, ROLES, type Role } from "#sdk/request-terms.ts";

/** Which evaluated jobs to take part in: as configured, amounts in base units. */
export interface JobPolicy {
  schema?: string | undefined;
  registrant?: string | undefined;
  roles: readonly Role[];
  parent?: string | undefined;
  minReward: bigint;
}

/** What decides, beside the state of requests. */
export interface ParticipantFacts {
  /** EIP-55. */
  me: string;
  /** Time of the newest block, seconds. */
  now: number;
  /** Blocks up to this number are final. */
  finalBlock: number;
  /** Time of the newest final block, seconds. */
  finalTime: number;
  jobs: readonly JobPolicy[];
  /** Whether rulings are challenged that wrong this account. */
  challenges: boolean;
  /** Requests that a worker may have accepted and not committed to. */
  maxRequests: number;
}

/** Something that is due for one request. */
export interface RequestDuty {
  kind:
    | "accept-work"
    | "prepare"
    | "compute"
    | "reveal"
    | "check"
    | "accept-evaluation"
    | "rank"
    | "judge"
    | "defend"
    | "climb"
    | "settle"
    | "cancel";
  id: string;
}

/** Seconds that are left for others, whose turn it is as well; each waits for another multiple. */
const PATIENCE = 4;
/** Seconds of computing that must be left for a request to be worth beginning with. */
const LEAST_SECONDS = 1;

/** What a worker is to do. */
export function workDuties(state: RequestState, facts: ParticipantFacts): RequestDuty[] {
  const due = state.open.flatMap((record): RequestDuty[] => {
    const { id } = record;
    const mine = record.workers.get(facts.me);
    switch (requestPhaseOf(record, facts.now)) {
      case "accepting":
        if (mine?.status === "accepted") return [{ kind: "prepare", id }];
        return mayWork(state, record, facts) ? [{ kind: "accept-work", id }] : [];
      case "computing": {
        const isInTime = facts.now + LEAST_SECONDS <= record.submitUntil;
        return mine?.status === "accepted" && isInTime && hasBegun(record, facts) ? [{ kind: "compute", id }] : [];
      }
      case "revealing":
        return mine?.status === "submitted" && isClosed(record, facts) ? [{ kind: "reveal", id }] : [];
      case "contestable":
        return facts.challenges && mine && isWronged(record, mine) ? [{ kind: "check", id }] : [];
      default:
        return [];
    }
  });
  let free = facts.maxRequests - state.open.filter((record) => isAtWork(record, facts)).length;
  return due.filter(({ kind }) => kind !== "accept-work" || (free -= 1) >= 0);
}

/** What an evaluator or a judge is to do. */
export function judgementDuties(state: RequestState, facts: ParticipantFacts): RequestDuty[] {
  const { me, now } = facts;
  return state.open.flatMap((record): RequestDuty[] => {
    const { id, evaluator, tier } = record;
    switch (requestPhaseOf(record, now)) {
      case "accepting":
        return mayEvaluate(state, record, facts) ? [{ kind: "accept-evaluation", id }] : [];
      case "ranking":
        return evaluator?.node === me ? [{ kind: "rank", id }] : [];
      case "judging":
        return evaluator?.path[tier - 1] === me && !isOwnMatter(record, me) ? [{ kind: "judge", id }] : [];
      case "contestable":
        return facts.challenges && isOverturned(record, me) ? [{ kind: "defend", id }] : [];
      default:
        return [];
    }
  });
}

/**
 * What anybody may do, of requests that the account waits for. Each waits for another while, so that seldom two pay for
 * the same step.
 */
export function commonDuties(state: RequestState, facts: ParticipantFacts): RequestDuty[] {
  const { me, now } = facts;
  return state.open.flatMap((record): RequestDuty[] => {
    const { id } = record;
    if (!hasPart(record, me)) return [];
    switch (requestPhaseOf(record, now)) {
      case "unmet":
        return isMyTurn(record, record.startAt, facts) ? [{ kind: "cancel", id }] : [];
      case "overdue":
        return isMyTurn(record, record.deadline + record.request.stepWindow, facts) ? [{ kind: "climb", id }] : [];
      case "unanswered":
        return isMyTurn(record, record.deadline, facts) ? [{ kind: "climb", id }] : [];
      case "settleable":
        return isMyTurn(record, record.finalAt ?? record.deadline, facts) ? [{ kind: "settle", id }] : [];
      default:
        return [];
    }
  });
}

/** The configured job that a schema belongs to; the first one if several do. */
export function policyOf(schema: SchemaRecord, jobs: readonly JobPolicy[]): JobPolicy | undefined {
  return jobs.find((job) => job.schema === schema.id || job.registrant === schema.registrant);
}

/** What a node is to apply for. */
export interface ApplyDuty {
  schema: string;
  parent: string;
  /** Bits, see `ROLES`. */
  roles: number;
}

/** The roles that the configuration asks for and the account neither has nor has applied for. */
export function applicationDuties(state: RequestState, { me, jobs }: ParticipantFacts): ApplyDuty[] {
  return [...state.schemas.values()].flatMap((schema): ApplyDuty[] => {
    const policy = policyOf(schema, jobs);
    if (!policy) return [];
    const wanted = policy.roles.reduce((bits, role) => bits | ROLES[role], 0);
    const parent = policy.parent ?? schema.registrant;
    const member = schema.members.get(me);
    // A root has all roles; who was dropped waits until its parent or its operator thinks otherwise.
    if (parent === me || member?.isDropped || (member && member.parent !== parent)) return [];
    const missing = wanted & ~(member?.roles ?? 0);
    const admin = schema.members.get(parent);
    if (missing === 0 || !admin || admin.isDropped || !hasRoles(admin.roles, "admin")) return [];
    const pending = schema.applications.get(me);
    if (pending?.parent === parent && pending.roles === missing) return [];
    return [{ schema: schema.id, parent, roles: missing }];
  });
}

/** The applications that an admin has to decide on. */
export function approvalDuties(
  state: RequestState,
  { me }: ParticipantFacts,
): { schema: SchemaRecord; application: ApplicationRecord }[] {
  return [...state.schemas.values()].flatMap((schema) => {
    const admin = schema.members.get(me);
    if (!admin || admin.isDropped || !hasRoles(admin.roles, "admin")) return [];
    return [...schema.applications.values()]
      .filter(({ parent }) => parent === me)
      .map((application) => ({ schema, application }));
  });
}

/** Whether it is certain who takes part: a result that is sealed for others is worth nothing. */
export function hasBegun({ startedBlock, startAt }: RequestRecord, facts: ParticipantFacts): boolean {
  return startedBlock === undefined ? facts.finalTime > startAt : startedBlock <= facts.finalBlock;
}

/** Whether it is certain that nobody can commit to a result any more: what is shown now nobody can copy. */
export function isClosed({ submittedBlock, submitUntil }: RequestRecord, facts: ParticipantFacts): boolean {
  return submittedBlock === undefined ? facts.finalTime > submitUntil : submittedBlock <= facts.finalBlock;
}

function isAtWork(record: RequestRecord, { me, now }: ParticipantFacts): boolean {
  return (
    record.workers.get(me)?.status === "accepted" && ["accepting", "computing"].includes(requestPhaseOf(record, now))
  );
}

function mayWork(state: RequestState, record: RequestRecord, facts: ParticipantFacts): boolean {
  const { me } = facts;
  const { request, evaluator } = record;
  const schema = state.schemas.get(request.schema);
  const policy = schema && policyOf(schema, facts.jobs);
  if (!policy?.roles.includes("worker") || record.workers.has(me) || isParty(record, me)) return false;
  // Judges of a request must not work in it.
  if (me === request.root || evaluator?.node === me || evaluator?.path.includes(me)) return false;
  const isListed = request.workers.length === 0 || request.workers.includes(me);
  return (
    isListed &&
    workersOf(record).length < request.maxWorkers &&
    request.workerReward / BigInt(request.maxWorkers) >= policy.minReward &&
    rootOf(schema!, me, ROLES.worker) === request.root
  );
}

function mayEvaluate(state: RequestState, record: RequestRecord, facts: ParticipantFacts): boolean {
  const { me } = facts;
  const { request, evaluator } = record;
  const schema = state.schemas.get(request.schema);
  const policy = schema && policyOf(schema, facts.jobs);
  if (!policy?.roles.includes("evaluator") || evaluator || request.skipEvaluation || isOwnMatter(record, me)) {
    return false;
  }
  const isListed = request.evaluators.length === 0 || request.evaluators.includes(me);
  const path = pathOf(schema!, me, ROLES.evaluator);
  return (
    isListed &&
    path !== undefined &&
    (path.at(-1) ?? me) === request.root &&
    request.evaluatorReward >= policy.minReward &&
    // A judge that nothing can be sealed for could not judge.
    path.every((judge) => state.keys.has(judge))
  );
}

function isParty({ request }: RequestRecord, me: string): boolean {
  return request.requester === me || request.delegate === me;
}

function isOwnMatter(record: RequestRecord, me: string): boolean {
  return isParty(record, me) || workersOf(record).some(({ node }) => node === me);
}

/** Whether a ruling gives a worker nothing that revealed a result. */
function isWronged(record: RequestRecord, { node, status }: WorkerRecord): boolean {
  const standing = standingRuling(record);
  if (!standing || status !== "revealed") return false;
  const { verdict, order } = standing.ruling;
  return verdict === "void" || (verdict === "ranking" && !order.includes(node));
}

/** Whether a node ruled, and the ruling that stands is another. */
function isOverturned(record: RequestRecord, me: string): boolean {
  const mine = record.rulings.find(({ judge }) => judge === me);
  const standing = standingRuling(record);
  return (
    mine !== undefined && standing !== undefined && standing !== mine && !isSameRuling(mine.ruling, standing.ruling)
  );
}

/** Whether an account's money or work is in a request. */
function hasPart({ workers, evaluator, rulings, challenges }: RequestRecord, me: string): boolean {
  const status = workers.get(me)?.status;
  return (
    status === "revealed" ||
    status === "satisfied" ||
    evaluator?.node === me ||
    rulings.some(({ judge }) => judge === me) ||
    challenges.some(({ by }) => by === me)
  );
}

function isMyTurn({ id }: RequestRecord, from: number, { me, now }: ParticipantFacts): boolean {
  const place = Number(BigInt(keccak256(toUtf8Bytes(`${me} ${id} ${from}`))) % 4n);
  return now > from + PATIENCE * place;
}
