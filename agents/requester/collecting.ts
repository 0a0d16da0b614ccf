import { BATCH_MANIFEST_FILE, buildBatchManifest, taskIndex } from "#sdk/batch-manifest.ts";
import { contentIdToBytes32 } from "#sdk/content.ts";
import { SuretyError } from "#sdk/errors.ts";
import type { AssignmentRecord, BatchRecord } from "#sdk/market-state.ts";
import { summariseTrace } from "#sdk/resource-trace.ts";
import type { TaskResult } from "#sdk/result-manifest.ts";
import type { Programs } from "../compute/programs.ts";
import type { Logger } from "../logger.ts";
import type { MarketAgent } from "../market-agent.ts";
import { workThrough } from "../work-through.ts";
import { patiently, type Background } from "./background.ts";
import type { JobBook } from "./job-book.ts";
import { CANCELLED, CAUGHT, isAccepted, suspicionFrom, type Attempt, type Job } from "./jobs.ts";
import type { Outputs } from "./outputs.ts";
import type { OwnRuns } from "./own-runs.ts";
import type { Posting } from "./posting.ts";
import { OUTPUTS_AT_ONCE, type Reader } from "./reader.ts";
import type { TaskStatus } from "./spool.ts";

/** How often what did not come to a result is posted again before the job ends without it. */
const MOST_ATTEMPTS = 4;

/** Which outputs are here is noted again when there is this part more of them: a note takes longer the more there are. */
const NOTED_PART = 1 / 64;

/** What {@link Collecting} works with. */
export interface CollectingParts {
  agent: MarketAgent;
  book: JobBook;
  posting: Posting;
  reader: Reader;
  runs: OwnRuns;
  outputs: Outputs;
  programs: Programs;
  background: Background;
  logger: Logger;
  signal: AbortSignal;
  /** How long to ask for content that cannot be fetched, seconds. */
  patience: number;
}

/** Hands out what closed batches brought, and posts again what they did not. */
export class Collecting {
  readonly #parts: CollectingParts;

  constructor(parts: CollectingParts) {
    this.#parts = parts;
  }

  /** Once a batch is closed for good: puts its outputs into the results, and plans what is posted again. */
  collect(job: Job, attempt: Attempt, record: BatchRecord): void {
    const { ticket } = job.ticket;
    this.#parts.background.run(`collect ${ticket}`, async () => {
      const { book, logger, outputs, reader } = this.#parts;
      const suspicion = { ...job.suspicion };
      const suspect = (node: string, weight: number): void => void (suspicion[node] = (suspicion[node] ?? 0) + weight);
      for (const [node, weight] of Object.entries(suspicionFrom(record))) suspect(node, weight);
      for (const assignment of record.assignments) {
        if (isAccepted(assignment) && !(await this.#take(job, attempt, record, assignment)))
          suspect(assignment.node, CAUGHT);
      }
      job.suspicion = suspicion;
      const have = new Set(job.done.map(({ task }) => task));
      const missing = attempt.tasks.map((task, place) => ({ task, place })).filter(({ task }) => !have.has(task));
      const end = missing.length === 0 ? {} : this.#giveUp(job, missing.length);
      if (end) {
        job.finished = end;
        book.save(job);
        logger.info({ ticket, done: job.done.length, tasks: job.ticket.count }, "finished a job");
      } else {
        logger.info({ ticket, tasks: missing.length }, "posts again what came to no result");
        await this.#planAgain(job, record, missing);
      }
      await book.report(ticket);
      await outputs.drop(record.id);
      reader.release(record);
    });
  }

  /** Why nothing more is posted for a job that misses results; undefined if it is posted again. */
  #giveUp(job: Job, missing: number): Job["finished"] {
    const { book, posting } = this.#parts;
    if (book.isCancelled(job.ticket.ticket)) return { error: CANCELLED };
    if (job.attempts.length >= MOST_ATTEMPTS) return { error: incomplete(missing, job) };
    return posting.affords(job, missing) ? undefined : { error: beyondLimit(missing, job) };
  }

  /** Takes the results of one assignment; false if they are wrong or not to be had. */
  async #take(job: Job, attempt: Attempt, record: BatchRecord, assignment: AssignmentRecord): Promise<boolean> {
    const { book, reader, runs, logger } = this.#parts;
    const results = await reader.resultsOf(record, assignment);
    if (!results) return false;
    const right = runs.digests(record);
    const wrong = results.find(({ task, digest }) => right.has(task) && right.get(task) !== digest);
    if (wrong) {
      const { index, node } = assignment;
      const place = { batchId: record.id, assignment: index, node, task: wrong.task };
      logger.warn(place, "a task that this requester ran itself was answered wrong");
      return false;
    }
    let whole = true;
    const have = new Set(job.done.map(({ task }) => task));
    let noted = job.done.length;
    try {
      await workThrough(results, { atOnce: OUTPUTS_AT_ONCE }, async (result) => {
        const task = attempt.tasks[result.task] as number;
        if (have.has(task)) return;
        const status = await this.#output(job, task, record, assignment, result);
        if (!status) {
          whole = false;
          return;
        }
        job.done.push(status);
        // What was handed out and not noted is fetched and handed out once more by the next life.
        if (job.done.length - noted <= noted * NOTED_PART) return;
        book.save(job);
        noted = job.done.length;
      });
    } finally {
      if (job.done.length > noted) book.save(job);
    }
    return whole;
  }

  async #output(
    { ticket: { ticket } }: Job,
    task: number,
    record: BatchRecord,
    { node, outcome }: AssignmentRecord,
    result: TaskResult,
  ): Promise<TaskStatus | undefined> {
    const { reader, outputs, logger } = this.#parts;
    try {
      let fetched = await reader.fetch(record, result);
      if (!(await outputs.hand(record.id, result.task, ticket, task))) {
        // An earlier life ended after it handed it out and before it could note so.
        reader.forget(record, result.task);
        fetched = await reader.fetch(record, result);
        await outputs.hand(record.id, result.task, ticket, task);
      }
      const trace = await outputs.handTrace(record.id, result.task, ticket, task);
      const used = trace && summariseTrace(trace);
      return { task, outcome: outcome!.outcome, output: result.output, node, exit: fetched.exit, used };
    } catch (error) {
      if (!(error instanceof SuretyError)) throw error;
      logger.warn({ ticket, task, node, error }, "an output is not to be had");
      return undefined;
    }
  }

  async #planAgain(job: Job, record: BatchRecord, missing: readonly { task: number; place: number }[]): Promise<void> {
    const { agent, posting, programs, signal, patience } = this.#parts;
    const { manifest } = await patiently(() => programs.order(record, signal), { seconds: patience, signal });
    const again = missing.map(({ place }) => ({
      input: manifest.tasks[place]!.input,
      index: taskIndex(manifest, place),
    }));
    const content = new Map([[BATCH_MANIFEST_FILE, buildBatchManifest(again)]]);
    const cid = await agent.storage.add(content, { signal });
    await posting.plan(
      job,
      contentIdToBytes32(cid),
      missing.map(({ task }) => task),
    );
  }
}

function beyondLimit(missing: number, { ticket }: Job): { code: string; message: string; fix: string } {
  return {
    code: "SPENDING_LIMIT_REACHED",
    message: `${missing} of ${ticket.count} tasks came to no result, and posting them again could cost more than ${ticket.spendingLimit} base units in all`,
    fix: "Submit them again with a higher limit.",
  };
}

function incomplete(missing: number, job: Job): { code: string; message: string; fix: string } {
  return {
    code: "JOB_INCOMPLETE",
    message: `${missing} of ${job.ticket.count} tasks came to no result in ${job.attempts.length} batches; they were not paid`,
    fix: "Submit them again, with a higher price or longer windows.",
  };
}
