import { isSameRuling, requestSettlementOf } from "./request-settlement.ts";
import {
  standingRuling,
  workersOf,
  type RequestRecord,
  type RequestState,
  type SchemaRecord,
} from "./request-state.ts";

/** What a node did as a worker, in requests that have ended. */
export interface WorkerHistory {
  /** Requests it accepted and neither left nor was refused in. */
  accepted: number;
  /** Of them, those that it revealed a result in. */
  revealed: number;
  /** Of those that were ranked in the end, those that its result was ranked in, and ranked best in. */
  ranked: number;
  best: number;
  /** Requests it left before their start, and those whose requester did not want it. */
  resigned: number;
  rejected: number;
  /** Median seconds from the start to its commitment; undefined if it never committed. */
  seconds?: number;
}

/** What a node did as an evaluator, or as a judge above one, in requests that have ended. */
export interface JudgeHistory {
  /** Requests that it was to rule in. */
  called: number;
  /** Of them, those that it did rule in, and those in which another ruling stood in the end. */
  ruled: number;
  overturned: number;
}

/** Rulings that a node challenged, and how often another stood in the end. */
export interface ChallengeHistory {
  made: number;
  won: number;
}

/**
 * What can be said of a node from what the contracts told, and nobody can take back. Nothing of it is used by the
 * contracts.
 */
export interface NodeReputation {
  /** EIP-55. */
  node: string;
  worker: WorkerHistory;
  evaluator: JudgeHistory;
  /** Above an evaluator. */
  judge: JudgeHistory;
  challenges: ChallengeHistory;
  /** Nodes that it approved, and those of them that it dropped. */
  managed: number;
  dropped: number;
  /** Base units it was paid as worker and evaluator, by who paid: see {@link ReputationOptions.links}. */
  earned: { strangers: bigint; related: bigint };
  /** Strangers that paid it, and the largest part that one of them has in what they paid: 0 to 1. */
  clients: number;
  largestClient: number;
  /**
   * How it does against others in the same requests, by Elo's rating: {@link FIRST_RATING} where nothing is known. Requests
   * of related accounts do not count.
   */
  rating: number;
}

/** What can be said of who posts requests. */
export interface RequesterReputation {
  /** EIP-55. */
  requester: string;
  posted: number;
  ended: number;
  /** Requests that had an answer, for which too few came, and in which what an evaluation needs was held back. */
  answered: number;
  cancelled: number;
  withheld: number;
  /** Workers it refused. */
  rejected: number;
  challenges: ChallengeHistory;
  /** Base units that workers and evaluators got. */
  paid: bigint;
  /** Of it, what went to related accounts. */
  paidToRelated: bigint;
}

/** Settings of {@link reputationOf}. */
export interface ReputationOptions {
  /** Only requests of this schema. */
  schema?: string;
  /**
   * Pairs of accounts that belong together, as far as somebody knows: who sent whom money, who entrusted whom. Beside
   * them, a request's delegate belongs to its requester, whoever is a member of a tree to all other members of it, and
   * whoever belongs to an admin to all below that: what they pay each other may come back to who paid.
   */
  links?: Iterable<readonly [string, string]>;
}

/** Who is known for what. */
export interface Reputation {
  /** By node: members of schemas, and who took part in requests. */
  nodes: Map<string, NodeReputation>;
  /** By requester. */
  requesters: Map<string, RequesterReputation>;
}

/** Elo's rating of who has not been compared with anybody. */
export const FIRST_RATING = 1500;
/** Most that a request moves a rating by. */
const STEP = 32;
/** Difference of ratings at which ten of eleven comparisons are won. */
const SPREAD = 400;

/**
 * Reputation, from events alone: the same events give the same for everybody.
 *
 * Numbers of jobs, of challenges and the like can be had for next to nothing by who pays itself. What strangers paid
 * cannot: look at that, at how many they were and how much one of them weighs. Accounts that nothing on chain links
 * still look like strangers.
 *
 * @example
 * ```ts
 * const { nodes } = reputationOf(state, { schema });
 * const best = [...nodes.values()].sort((a, b) => b.rating - a.rating)[0];
 * ```
 */
export function reputationOf(state: RequestState, { schema, links = [] }: ReputationOptions = {}): Reputation {
  const book = new Book();
  const schemas = [...state.schemas.values()].filter(({ id }) => schema === undefined || id === schema);
  for (const { members } of schemas) {
    for (const { node, parent, isDropped } of members.values()) {
      book.node(node);
      if (parent === undefined) continue;
      book.node(parent).managed += 1;
      if (isDropped) book.node(parent).dropped += 1;
    }
  }
  const requests = [...state.requests.values()].filter(({ request }) => !schema || request.schema === schema);
  const families = familiesOf(requests, links);
  for (const record of requests) {
    const requester = book.requester(record.request.requester);
    requester.posted += 1;
    if (record.outcome) count(book, state, record, families);
  }
  return book.close();
}

/** Folds one request in that has ended. */
function count(book: Book, state: RequestState, record: RequestRecord, families: Families): void {
  const { request, outcome } = record;
  const requester = book.requester(request.requester);
  requester.ended += 1;
  for (const { node, status } of record.workers.values()) {
    const { worker } = book.node(node);
    if (status === "resigned") worker.resigned += 1;
    if (status !== "rejected") continue;
    worker.rejected += 1;
    requester.rejected += 1;
  }
  if (outcome!.outcome === "cancelled") {
    requester.cancelled += 1;
    return;
  }
  const settled = requestSettlementOf(record);
  if (settled.outcome === "withheld") requester.withheld += 1;
  else if (record.revealed.length > 0) requester.answered += 1;
  const isRanked = settled.outcome === "ranked";
  const { order } = settled.ruling;
  for (const { node, status, submittedAt } of workersOf(record)) {
    const { worker } = book.node(node);
    worker.accepted += 1;
    if (submittedAt !== undefined) book.took(node, submittedAt - record.startAt);
    if (status !== "revealed" && status !== "satisfied") continue;
    worker.revealed += 1;
    if (isRanked && order.includes(node)) worker.ranked += 1;
    if (isRanked && order[0] === node) worker.best += 1;
  }
  countRulings(book, record, settled.outcome);
  countChallenges(book, record);

  const tree = state.schemas.get(request.schema);
  const isRelated = (node: string): boolean => {
    const line = tree ? lineOf(tree, node) : [node];
    // What is paid to those below an admin makes that admin look good, whoever of its people pays.
    if (line.some((admin) => families.areRelated(request.requester, admin))) return true;
    return tree !== undefined && sharesTree(tree, request.requester, node);
  };
  const pay = (node: string, amount: bigint): void => {
    if (amount === 0n) return;
    const related = isRelated(node);
    requester.paid += amount;
    if (related) requester.paidToRelated += amount;
    book.paid(node, amount, related ? undefined : request.requester);
  };
  for (const { node, amount } of settled.workers) pay(node, amount);
  if (record.evaluator) pay(record.evaluator.node, settled.evaluator);
  if (isRanked) book.compare(order.filter((node) => !isRelated(node)));
}

/** Whether two nodes have the same root. */
function sharesTree(schema: SchemaRecord, one: string, other: string): boolean {
  return schema.members.has(one) && lineOf(schema, one).at(-1) === lineOf(schema, other).at(-1);
}

/** A node and the admins above it, its root last; dropped ones keep theirs here. */
function lineOf({ members }: SchemaRecord, node: string): string[] {
  const line = [node];
  for (let member = members.get(node); member?.parent !== undefined; member = members.get(member.parent)) {
    line.push(member.parent);
  }
  return line;
}

function countRulings(book: Book, record: RequestRecord, outcome: string): void {
  const { evaluator, rulings, tier } = record;
  // Where only the clock has spoken nobody was asked.
  if (!evaluator || record.revealed.length === 0) return;
  if (rulings.length === 0 && outcome === "withheld") return;
  const standing = standingRuling(record)?.ruling;
  for (let called = 0; called <= tier; called += 1) {
    const node = called === 0 ? evaluator.node : evaluator.path[called - 1];
    if (node === undefined) return;
    const history = called === 0 ? book.node(node).evaluator : book.node(node).judge;
    history.called += 1;
    const own = rulings.find((each) => each.tier === called)?.ruling;
    if (!own) continue;
    history.ruled += 1;
    if (standing && !isSameRuling(own, standing)) history.overturned += 1;
  }
}

function countChallenges(book: Book, record: RequestRecord): void {
  const standing = standingRuling(record)?.ruling;
  for (const { by, tier } of record.challenges) {
    const challenged = record.rulings.find((each) => each.tier === tier)?.ruling;
    const isWon = standing !== undefined && challenged !== undefined && !isSameRuling(challenged, standing);
    const { challenges } = by === record.request.requester ? book.requester(by) : book.node(by);
    challenges.made += 1;
    if (isWon) challenges.won += 1;
  }
}

/** Accounts that belong together. */
interface Families {
  areRelated(one: string, other: string): boolean;
}

function familiesOf(requests: readonly RequestRecord[], links: Iterable<readonly [string, string]>): Families {
  const parents = new Map<string, string>();
  const find = (node: string): string => {
    let head = node;
    for (let next = parents.get(head); next !== undefined; next = parents.get(head)) head = next;
    return head;
  };
  const join = (one: string, other: string): void => {
    const [a, b] = [find(one), find(other)];
    if (a !== b) parents.set(a, b);
  };
  for (const [one, other] of links) join(one, other);
  for (const { request } of requests) {
    if (BigInt(request.delegate) !== 0n) join(request.requester, request.delegate);
  }
  return { areRelated: (one, other) => find(one) === find(other) };
}

/** What is being counted. */
class Book {
  readonly #nodes = new Map<string, NodeReputation>();
  readonly #requesters = new Map<string, RequesterReputation>();
  readonly #seconds = new Map<string, number[]>();
  /** By node, what each stranger paid it. */
  readonly #clients = new Map<string, Map<string, bigint>>();

  node(node: string): NodeReputation {
    const known = this.#nodes.get(node) ?? {
      node,
      worker: { accepted: 0, revealed: 0, ranked: 0, best: 0, resigned: 0, rejected: 0 },
      evaluator: { called: 0, ruled: 0, overturned: 0 },
      judge: { called: 0, ruled: 0, overturned: 0 },
      challenges: { made: 0, won: 0 },
      ...{ managed: 0, dropped: 0, clients: 0, largestClient: 0, rating: FIRST_RATING },
      earned: { strangers: 0n, related: 0n },
    };
    this.#nodes.set(node, known);
    return known;
  }

  requester(requester: string): RequesterReputation {
    const known = this.#requesters.get(requester) ?? {
      requester,
      ...{ posted: 0, ended: 0, answered: 0, cancelled: 0, withheld: 0, rejected: 0 },
      challenges: { made: 0, won: 0 },
      ...{ paid: 0n, paidToRelated: 0n },
    };
    this.#requesters.set(requester, known);
    return known;
  }

  took(node: string, seconds: number): void {
    const known = this.#seconds.get(node);
    if (known) known.push(seconds);
    else this.#seconds.set(node, [seconds]);
  }

  /** @param client Who paid, if that is a stranger. */
  paid(node: string, amount: bigint, client: string | undefined): void {
    const { earned } = this.node(node);
    if (client === undefined) {
      earned.related += amount;
      return;
    }
    earned.strangers += amount;
    const clients = this.#clients.get(node) ?? new Map<string, bigint>();
    clients.set(client, (clients.get(client) ?? 0n) + amount);
    this.#clients.set(node, clients);
  }

  /** Rates workers that were ranked together, the best first: each against each, as if all were at once. */
  compare(order: readonly string[]): void {
    if (order.length < 2) return;
    const before = order.map((node) => this.node(node).rating);
    for (const [place, node] of order.entries()) {
      let change = 0;
      for (const other of order.keys()) {
        if (other === place) continue;
        const expected = 1 / (1 + 10 ** ((before[other]! - before[place]!) / SPREAD));
        change += (place < other ? 1 : 0) - expected;
      }
      this.node(node).rating += (STEP * change) / (order.length - 1);
    }
  }

  close(): Reputation {
    for (const [node, seconds] of this.#seconds) this.node(node).worker.seconds = medianOf(seconds);
    for (const [node, clients] of this.#clients) {
      const known = this.node(node);
      const amounts = [...clients.values()];
      const largest = amounts.reduce((most, amount) => (amount > most ? amount : most), 0n);
      known.clients = clients.size;
      // Six digits are enough.
      known.largestClient = Number((largest * 1_000_000n) / known.earned.strangers) / 1_000_000;
    }
    return { nodes: this.#nodes, requesters: this.#requesters };
  }
}

function medianOf(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = (sorted.length - 1) / 2;
  return (sorted[Math.floor(middle)]! + sorted[Math.ceil(middle)]!) / 2;
}
