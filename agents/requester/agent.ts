import { seedCommitment } from "#sdk/commitment.ts";
import { contentIdToBytes32 } from "#sdk/content.ts";
import { SuretyError } from "#sdk/errors.ts";
import type { Head } from "#sdk/follower.ts";
import type { BatchRecord } from "#sdk/market-state.ts";
import { batchSeed, encryptionKeyPair } from "#sdk/seed.ts";
import { Programs } from "../compute/programs.ts";
import type { RequesterConfig } from "../config.ts";
import type { Executor } from "../executor/executor.ts";
import { WasmExecutor } from "../executor/wasm-executor.ts";
import type { Logger } from "../logger.ts";
import { MarketAgent } from "../market-agent.ts";
import { Acting } from "./acting.ts";
import { Background } from "./background.ts";
import { Collecting } from "./collecting.ts";
import { requesterDuties } from "./duties.ts";
import { JobBook } from "./job-book.ts";
import type { Job } from "./jobs.ts";
import { Outputs } from "./outputs.ts";
import { OwnRuns } from "./own-runs.ts";
import { Posting } from "./posting.ts";
import { Purse } from "./purse.ts";
import { Reader } from "./reader.ts";
import { readTickets, takeTicket, type JobStatus } from "./spool.ts";

/** What a requester works with beside its configuration. */
export interface RequesterDependencies {
  /** Ends the agent; what is open goes on at the next start. */
  signal: AbortSignal;
  logger: Logger;
  /** Told whenever a job's status was written. */
  onStatus?: (status: JobStatus) => void;
  /** What planted and disputed tasks are run with. Default: the metered WASM sandbox. */
  executor?: Executor;
}

/**
 * Runs a requester until its signal aborts: posts the jobs in its home's inbox, reveals, reads and compares results,
 * escalates, accuses, contests, settles, hands out outputs, and posts again what came to no result.
 *
 * @throws SuretyError what {@link MarketAgent.open} throws, and whatever will not pass by itself
 */
export async function runRequesterAgent(config: RequesterConfig, dependencies: RequesterDependencies): Promise<void> {
  const { signal, logger } = dependencies;
  const executor = dependencies.executor ?? new WasmExecutor({ workers: 1 });
  try {
    const agent = await MarketAgent.open({ config, logger, signal });
    try {
      await new RequesterAgent(config, agent, executor, dependencies).run();
    } finally {
      await agent.close();
    }
  } finally {
    await executor.close();
  }
}

/** See {@link runRequesterAgent}. */
class RequesterAgent {
  readonly #config: RequesterConfig;
  readonly #agent: MarketAgent;
  readonly #logger: Logger;
  readonly #signal: AbortSignal;
  readonly #background: Background;
  readonly #purse: Purse;
  readonly #book: JobBook;
  readonly #reader: Reader;
  readonly #runs: OwnRuns;
  readonly #posting: Posting;
  readonly #acting: Acting;
  readonly #collecting: Collecting;

  constructor(
    config: RequesterConfig,
    agent: MarketAgent,
    executor: Executor,
    { logger, signal, onStatus = () => undefined }: RequesterDependencies,
  ) {
    this.#config = config;
    this.#agent = agent;
    this.#logger = logger;
    this.#signal = signal;
    const keys = encryptionKeyPair(agent.secret);
    const programs = new Programs({ storage: agent.storage, executor });
    const outputs = new Outputs(config);
    const patience = config.fetchPatience;
    const background = new Background({ logger, signal });
    const book = new JobBook(config, agent, onStatus);
    const purse = new Purse(agent);
    const reader = new Reader({ agent, keys, programs, outputs, background, logger, signal, patience });
    const runs = new OwnRuns({ agent, executor, programs, background, logger, signal, patience });
    const posting = new Posting({ agent, book, purse, keys, logger });
    this.#background = background;
    this.#book = book;
    this.#purse = purse;
    this.#reader = reader;
    this.#runs = runs;
    this.#posting = posting;
    this.#acting = new Acting({ agent, purse, reader, logger });
    this.#collecting = new Collecting({
      ...{ agent, book, posting, reader, runs, outputs, programs },
      ...{ background, logger, signal, patience },
    });
  }

  async run(): Promise<void> {
    const { address, deployment } = this.#agent;
    this.#logger.info({ address, market: deployment.market }, "requester starts");
    try {
      await this.#agent.run((head) => this.#act(head));
    } finally {
      await this.#background.settled();
    }
    this.#logger.info({ address }, "requester stopped");
  }

  async #act(head: Head): Promise<void> {
    await this.#takeTickets();
    for (const ticket of this.#book.tickets) {
      if (this.#signal.aborted) return;
      // Read again for each, since what goes on in the background writes it too.
      const job = this.#book.find(ticket) as Job;
      if (job.finished) {
        // An earlier life may have ended before it could say so.
        if (!this.#book.isReported(ticket)) await this.#book.report(ticket);
        continue;
      }
      try {
        await this.#advance(job, head);
      } catch (error) {
        if (this.#signal.aborted || !(error instanceof SuretyError) || error.kind === "retryable") throw error;
        this.#logger.error({ ticket, error }, "a job failed");
        const { code, message, fix } = error;
        this.#book.save({ ...job, finished: { error: { code, message, ...(fix ? { fix } : {}) } } });
      }
      await this.#book.report(ticket);
    }
    await this.#tendOrphans(head);
  }

  /**
   * Batches of this account that no job of this home knows: posted by an application with the same key, or by an agent
   * that lost its home. Their seeds derive from the key, so they can still be revealed, judged and settled; their outputs
   * are left to whoever posted them.
   */
  async #tendOrphans(head: Head): Promise<void> {
    const mine = this.#agent.state.open.filter(({ terms }) => terms.requester === this.#agent.address);
    if (mine.length === 0) return;
    const known = new Set<string>();
    for (const ticket of this.#book.tickets) {
      for (const { jobId, sequence } of this.#book.find(ticket)!.attempts) known.add(`${jobId}:${sequence}`);
    }
    for (const record of mine) {
      const { job, sequence, seedCommitment: committed } = record.batch;
      if (known.has(`${job}:${sequence}`)) continue;
      const derived = seedCommitment({ ...this.#agent.context, jobId: job, sequence }, this.#seedOf(record));
      // A seed of somebody else's making cannot be revealed; the rest still can be done.
      if (derived !== committed && !record.reveal) continue;
      await this.#tend(record, head, false);
    }
  }

  async #takeTickets(): Promise<void> {
    const { tickets, flawed } = await readTickets(this.#config.home);
    for (const { file, reason } of flawed) this.#logger.warn({ file, reason }, "a file in the inbox is no ticket");
    for (const ticket of tickets) {
      if (!this.#book.find(ticket.ticket)) {
        this.#book.save({ ticket, attempts: [], suspicion: {}, done: [] });
        this.#logger.info({ ticket: ticket.ticket, name: ticket.name, tasks: ticket.count }, "took a job");
      }
      await takeTicket(this.#config.home, ticket.ticket);
    }
  }

  /** Does what is due for one job. */
  async #advance(job: Job, head: Head): Promise<void> {
    const attempt = job.attempts.at(-1);
    if (!attempt) {
      const tasks = Array.from({ length: job.ticket.count }, (_, task) => task);
      await this.#posting.post(job, await this.#posting.plan(job, contentIdToBytes32(job.ticket.manifest), tasks));
      return;
    }
    if (!attempt.posted) {
      await this.#posting.post(job, attempt);
      return;
    }
    const record = this.#book.recordOf(attempt);
    if (!record) return;
    this.#runs.plant(record, Math.max(job.ticket.plantShare, this.#config.plantShare));
    if (!record.closed) await this.#tend(record, head, true);
    else if (record.closed.block <= head.finalNumber) this.#collecting.collect(job, attempt, record);
  }

  /**
   * Reads what was submitted for a batch, and does what is due on chain.
   *
   * @param withOutputs Whether outputs are fetched before anything is settled.
   */
  async #tend(record: BatchRecord, head: Head, withOutputs: boolean): Promise<void> {
    // Named nodes are paid on submission, whatever they submit.
    if (record.terms.mode !== "trusted") {
      this.#reader.read(record, withOutputs);
      this.#runs.runDisputed(record);
    }
    const { state, deployment } = this.#agent;
    const { inMarket, inWallet } = await this.#purse.funds();
    const duties = requesterDuties(state, record, {
      now: head.timestamp,
      block: head.number,
      finalBlock: head.finalNumber,
      parameters: deployment.parameters,
      hashes: await this.#agent.entropyHashes(entropyBlocks(record), head),
      seedOf: (one) => this.#seedOf(one),
      readings: this.#reader.readings(record),
      known: this.#runs.digests(record),
      isRunning: this.#runs.isPlanting(record),
      budget: inMarket + inWallet,
    });
    for (const duty of duties) await this.#acting.do(duty, record);
  }

  #seedOf({ batch: { job, sequence } }: BatchRecord): string {
    return batchSeed(this.#agent.secret, { ...this.#agent.context, jobId: job, sequence });
  }
}

/** Numbers of the blocks whose hashes decide draws. */
function entropyBlocks({ seal, assignments }: BatchRecord): number[] {
  const rounds = assignments.flatMap((assignment) => assignment.rounds.map(({ entropyBlock }) => entropyBlock));
  const juries = assignments.flatMap(({ dispute }) => (dispute?.juries ?? []).map(({ entropyBlock }) => entropyBlock));
  return [...(seal ? [seal.entropyBlock] : []), ...rounds, ...juries];
}
