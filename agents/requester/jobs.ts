import { hexlify } from "ethers";
import { PARTS_PER_MILLION } from "#sdk/amount.ts";
import { jobIdOf, type Terms } from "#sdk/terms.ts";
import { minimumSlash } from "#sdk/job-spec.ts";
import { contentIdToBytes32 } from "#sdk/content.ts";
import type { AssignmentRecord, BatchRecord, ClassRecord } from "#sdk/market-state.ts";
import { FOREVER } from "#sdk/draw.ts";
import { MAX_LISTED } from "#sdk/pricing.ts";
import { sampledCountOf } from "#sdk/market-state.ts";
import type { Parameters } from "#sdk/terms.ts";
import type { JobCounts, JobState, JobStatus, JobTicket, TaskStatus } from "./spool.ts";
import { newStatus } from "./spool.ts";

const ZERO_ADDRESS = "0x0000000000000000000000000000000000000000";

/** One batch posted, or about to be, for a job. */
export interface Attempt {
  terms: Terms;
  jobId: string;
  /** How many batches of these terms came before. */
  sequence: bigint;
  /** Content id of the list of inputs. */
  manifest: string;
  /** The batch's tasks, as numbers in the ticket. */
  tasks: number[];
  /** It is mined. */
  posted: boolean;
}

/** A job as the journal keeps it. */
export interface Job {
  ticket: JobTicket;
  /** One after the other: each posts again what the last did not bring. */
  attempts: Attempt[];
  /** How much speaks against nodes, by address; see {@link mostSuspect}. */
  suspicion: Record<string, number>;
  /** Tasks, as numbers in the ticket, whose output is on disk. */
  done: TaskStatus[];
  /** Nothing more will be done. */
  finished?: { error?: JobStatus["error"] };
}

/**
 * The terms of a job's next batch. What is posted again is checked task by task: it came to nothing once, and among the
 * nodes left there may be those to blame.
 *
 * @param distrusted Nodes to leave out, the worst first; only as many are as the market lets.
 * @param again Whether this posts again what an earlier batch did not bring.
 */
export function termsOf(
  { terms: wanted }: JobTicket,
  requester: string,
  encryptionKey: Uint8Array,
  pool: ClassRecord,
  parameters: Parameters,
  distrusted: readonly string[],
  again = false,
): Terms {
  const serving = new Set(pool.slots.flatMap((slot) => (slot?.leftAt === FOREVER ? [slot.node] : [])));
  const excluded = [...new Set([...wanted.excluded, ...distrusted])].filter((node) => serving.has(node));
  const { quorum, mode } = wanted;
  const offer: Offer = {
    ...wanted,
    rate: again && mode === "sampled" ? PARTS_PER_MILLION : wanted.rate,
    allowed: mode === "trusted" ? wanted.allowed : [],
    excluded: mode === "trusted" ? [] : excluded.slice(0, mostExcluded(serving.size, quorum)),
  };
  return offeredTerms(offer, { requester, encryptionKey, parameters, spec: contentIdToBytes32(wanted.spec) });
}

/** What a job file asks of the market, before anything is stored. */
export type Offer = Omit<JobTicket["terms"], "spec">;

/**
 * An offer as the market takes it. Where it leaves the slash open, it is the least that the market allows.
 *
 * @param spec Content id of the job specification, 32 bytes, hexadecimal.
 */
export function offeredTerms(
  offer: Offer,
  {
    requester,
    encryptionKey,
    parameters,
    spec,
  }: { requester: string; encryptionKey: Uint8Array; parameters: Parameters; spec: string },
): Terms {
  const { mode, adaptive, fullSlash, quorum, rate, guess, maxShare, minSlice, windows, allowed, excluded } = offer;
  const price = BigInt(offer.price);
  const verifierPrice = BigInt(offer.verifierPrice);
  const { challengeBond } = parameters;
  const least = (): bigint =>
    mode === "trusted" ? 0n : minimumSlash({ price, verifierPrice, rate, guess, quorum, challengeBond });
  return {
    requester,
    delegate: offer.delegate ?? ZERO_ADDRESS,
    mode,
    adaptive,
    fullSlash,
    quorum,
    rate,
    guess,
    maxShare,
    minSlice,
    price,
    verifierPrice,
    slashAmount: offer.slashAmount === null ? least() : BigInt(offer.slashAmount),
    class: offer.class,
    spec,
    encryptionKey: hexlify(encryptionKey),
    windows,
    allowed,
    excluded,
  };
}

/**
 * What a batch says against nodes: caught, it weighs more than everything else; on a panel that agreed on nothing, one of
 * several who may be to blame.
 */
export function suspicionFrom({ assignments }: BatchRecord): Record<string, number> {
  const suspicion: Record<string, number> = {};
  const add = (node: string, weight: number): void => void (suspicion[node] = (suspicion[node] ?? 0) + weight);
  for (const { node, answers, exceptions } of assignments) {
    for (const { verdict, accused } of exceptions) {
      if (accused) add(accused, CAUGHT);
      if (verdict === "no-majority") for (const one of [node, ...answers.map((answer) => answer.node)]) add(one, 1);
    }
  }
  return suspicion;
}

/** What it weighs to have been caught, or to have served garbage. */
export const CAUGHT = 1_000;

/** Nodes that anything speaks against, the worst first. */
export function mostSuspect(suspicion: Readonly<Record<string, number>>): string[] {
  return Object.keys(suspicion).sort((a, b) => suspicion[b]! - suspicion[a]! || (a < b ? -1 : 1));
}

/** How many of `nodes` a job may leave out: a third, and enough must be left for a panel and as many to draw from. */
function mostExcluded(nodes: number, quorum: number): number {
  return Math.max(0, Math.min(MAX_LISTED, Math.floor(nodes / 3), nodes - 2 * quorum));
}

/** An attempt to be posted. */
export function attemptOf(
  context: { chainId: bigint; market: string },
  terms: Terms,
  sequence: bigint,
  manifest: string,
  tasks: number[],
): Attempt {
  return { terms, jobId: jobIdOf(context, terms), sequence, manifest, tasks, posted: false };
}

/** Whether an assignment's primary was paid, so that its results are the job's. */
export function isAccepted({ outcome }: AssignmentRecord): boolean {
  return outcome !== undefined && ["paid", "forced", "seat-slashed"].includes(outcome.outcome);
}

/** How far a job is, for people and programs. */
export function statusOf(job: Job, records: readonly (BatchRecord | undefined)[]): JobStatus {
  const status = newStatus(job.ticket);
  const last = records.at(-1);
  const attempt = job.attempts.at(-1);
  const counts: JobCounts = { ...status.counts };
  let escrow = 0n;
  let bond = 0n;
  let paid = 0n;
  let burned = 0n;
  let returned = 0n;
  const accused = new Set<string>();
  for (const record of records) {
    if (!record) continue;
    escrow += record.escrow;
    bond += record.bond;
    burned += record.bondBurned;
    let paidHere = 0n;
    for (const assignment of record.assignments) {
      const { status: where, count } = assignment;
      paidHere += assignment.outcome?.paid ?? 0n;
      if (where !== "void") counts.claimed += count;
      if (where === "submitted" || where === "contended" || where === "settled") counts.submitted += count;
      if (where === "contended") counts.contended += count;
      if (where === "settled") counts.settled += count;
      const sampled = sampledCountOf(record, assignment);
      counts.sampled += sampled;
      counts.answered += sampled * assignment.answers.length;
      for (const { accused: node } of assignment.exceptions) if (node) accused.add(node);
    }
    paid += paidHere;
    if (record.closed) returned += record.escrow + record.bond - paidHere - record.bondBurned;
  }
  counts.accused = accused.size;
  return {
    ...status,
    state: stateOf(job, last),
    ...(last ? { batchId: last.id } : {}),
    ...(attempt ? { jobId: attempt.jobId } : {}),
    counts,
    ...(job.finished ? { results: resultsOf(job, records) } : {}),
    ...(job.finished?.error ? { error: job.finished.error } : {}),
    money: {
      escrow: String(escrow),
      bond: String(bond),
      paid: String(paid),
      burned: String(burned),
      returned: String(returned),
    },
  };
}

function stateOf(job: Job, record: BatchRecord | undefined): JobState {
  if (job.finished) return job.finished.error ? "failed" : "settled";
  if (job.attempts.length === 0) return "queued";
  if (!record) return "posting";
  if (record.judged || record.closed) return "judged";
  if (record.reveal) return record.assignments.some(({ answers }) => answers.length > 0) ? "checking" : "revealed";
  if (record.seal) return "sealed";
  return record.assignments.length > 0 ? "computing" : "posted";
}

/** What came of every task: its output, or why there is none. */
function resultsOf(job: Job, records: readonly (BatchRecord | undefined)[]): TaskStatus[] {
  const done = new Map(job.done.map((status) => [status.task, status]));
  return Array.from({ length: job.ticket.count }, (_, task): TaskStatus => {
    const known = done.get(task);
    if (known) return known;
    // The latest attempt that had the task says why it came to nothing.
    const tried = job.attempts.findLastIndex(({ tasks }) => tasks.includes(task));
    const place = job.attempts[tried]?.tasks.indexOf(task) ?? -1;
    const assignment = records[tried]?.assignments.find(({ first, count }) => place >= first && place < first + count);
    return { task, outcome: assignment?.outcome?.outcome ?? "unclaimed" };
  });
}
