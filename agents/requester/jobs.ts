import { hexlify, ZeroHash } from "ethers";
import { PARTS_PER_MILLION } from "#sdk/amount.ts";
import { UNDELIVERED } from "#sdk/commitment.ts";
import { isContest, jobIdOf, type Parameters, type Terms } from "#sdk/terms.ts";
import { contentIdToBytes32 } from "#sdk/content.ts";
import { effectiveRuling, membersOf, standing, type DisputeRecord } from "#sdk/dispute.ts";
import { FOREVER } from "#sdk/draw.ts";
import { endedPanelOf } from "#sdk/ended-panel.ts";
import { payOf, sampledCountOf, type AssignmentRecord, type BatchRecord, type ClassRecord } from "#sdk/market-state.ts";
import { contestBond, MAX_LISTED, minimumSlash, reserve } from "#sdk/pricing.ts";
import { BURNED, conclude, ESCROW } from "#sdk/settlement.ts";
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
 * What a requester should have beside what a batch locks, base units: enough to back one exception against the largest
 * slice. It stays available, and is locked only if there is somebody to accuse.
 *
 * @param count Tasks of the batch.
 */
export function exceptionMargin(terms: Terms, count: number, parameters: Parameters): bigint {
  if (terms.mode === "trusted") return 0n;
  const { maxShare, minSlice, price } = terms;
  const share = Math.floor((count * maxShare) / PARTS_PER_MILLION);
  const largest = Math.min(Math.max(share, minSlice), count);
  return reserve(terms, price, largest, parameters).beyondBond;
}

/**
 * What a batch says against nodes: found guilty, or paid for nothing that arrived, it weighs more than everything else;
 * on a panel that agreed on nothing, one of several who may be to blame; asleep when it was called, little.
 */
export function suspicionFrom(record: BatchRecord): Record<string, number> {
  const suspicion: Record<string, number> = {};
  const add = (node: string, weight: number): void => void (suspicion[node] = (suspicion[node] ?? 0) + weight);
  for (const assignment of record.assignments) {
    const { outcome, exceptions, dispute } = assignment;
    for (const [number, { node }] of membersOf(assignment).entries()) {
      const isGuilty = outcome
        ? ((outcome.accused >> BigInt(number)) & 1n) === 1n
        : standing(record, assignment, number) === "slashed";
      if (isGuilty || (dispute && deliveredNothing(dispute, number))) add(node, CAUGHT);
    }
    const isUndecided = !outcome || outcome.outcome === "no-majority";
    if (isUndecided && exceptions.some(({ verdict }) => verdict === "no-majority")) {
      for (const { node } of membersOf(assignment)) add(node, 1);
    }
    if (!dispute) continue;
    for (const { node } of dispute.missed) add(node, 1);
    const isByJury = dispute.rulings.slice(1).some((digest) => digest !== ZeroHash);
    for (const { node, digest } of dispute.juries.flatMap(({ jurors }) => jurors)) {
      if (isByJury && digest !== undefined && digest !== effectiveRuling(dispute)) add(node, CAUGHT);
    }
  }
  return suspicion;
}

/** Whether a member was contested and said nothing, or a jury found that what it owed did not arrive. */
function deliveredNothing(dispute: DisputeRecord, number: number): boolean {
  if (dispute.member !== number) return false;
  if (dispute.stage === "answering") return true;
  return dispute.matter === "delivery" && effectiveRuling(dispute) === UNDELIVERED;
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

/** How a job ends that was cancelled. */
export const CANCELLED = { code: "JOB_CANCELLED", message: "the job was cancelled: nothing more is posted for it" };

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
export function statusOf(job: Job, records: readonly (BatchRecord | undefined)[], parameters: Parameters): JobStatus {
  const status = newStatus(job.ticket);
  const last = records.at(-1);
  const attempt = job.attempts.at(-1);
  const counts: JobCounts = { ...status.counts };
  const sum = { escrow: 0n, bond: 0n, paid: 0n, burned: 0n, returned: 0n };
  const accused = new Set<string>();
  for (const record of records) {
    if (!record) continue;
    for (const assignment of record.assignments) {
      const { status: where, count } = assignment;
      if (where !== "void") counts.claimed += count;
      if (where === "submitted" || where === "contended" || where === "settled") counts.submitted += count;
      if (where === "contended") counts.contended += count;
      if (where === "settled") counts.settled += count;
      const sampled = sampledCountOf(record, assignment);
      counts.sampled += sampled;
      counts.answered += sampled * assignment.answers.length;
      for (const { accused: node } of assignment.exceptions) if (node) accused.add(node);
    }
    for (const [name, amount] of Object.entries(moneyOf(record, parameters))) sum[name as keyof typeof sum] += amount;
  }
  counts.accused = accused.size;
  const money = Object.fromEntries(Object.entries(sum).map(([name, amount]) => [name, String(amount)]));
  return {
    ...status,
    state: stateOf(job, last),
    ...(last ? { batchId: last.id } : {}),
    ...(attempt ? { jobId: attempt.jobId } : {}),
    counts,
    ...(job.finished ? { results: resultsOf(job, records) } : {}),
    ...(job.finished?.error ? { error: job.finished.error } : {}),
    money: money as JobStatus["money"],
  };
}

/** Where a batch's money went, base units. What is not settled has not gone anywhere yet. */
function moneyOf(
  record: BatchRecord,
  parameters: Parameters,
): { escrow: bigint; bond: bigint; paid: bigint; burned: bigint; returned: bigint } {
  const { escrow, terms, price } = record;
  let { bond, bondBurned: burned } = record;
  let paid = 0n;
  for (const assignment of record.assignments) {
    const { exceptions, dispute, count, outcome } = assignment;
    const panel = endedPanelOf(record, assignment, parameters);
    if (exceptions.length > 0) bond += reserve(terms, price, count, parameters).beyondBond;
    if (dispute && isContest(dispute.matter)) {
      bond += contestBond(terms, payOf(record, assignment, dispute.member), parameters);
    }
    for (const [place, { appellant, bond: put }] of (panel.dispute?.juries ?? []).entries()) {
      // The first jury of a contest came with it.
      const isAppeal = place > 0 || dispute?.matter === "exception" || dispute?.matter === "silence";
      if (isAppeal && appellant === terms.requester) bond += put;
    }
    if (!outcome) continue;
    if (exceptions.length === 0 && !dispute) {
      paid += outcome.paid;
      continue;
    }
    for (const { from, to, amount } of conclude(panel).transfers) {
      if (from !== ESCROW || to === terms.requester) continue;
      if (to === BURNED) burned += amount;
      else paid += amount;
    }
    // What is left of the pot was counted where it burned.
    if (panel.dispute?.pot) burned -= record.bondBurned;
  }
  return { escrow, bond, paid, burned, returned: record.closed ? escrow + bond - paid - burned : 0n };
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
