import { seedCommitment } from "#sdk/commitment.ts";
import { contentIdToBytes32 } from "#sdk/content.ts";
import { SuretyError } from "#sdk/errors.ts";
import type { Head } from "#sdk/follower.ts";
import type { BatchRecord } from "#sdk/market-state.ts";
import { batchSeed, encryptionKeyPair } from "#sdk/seed.ts";
import { REFUSED_YET } from "../chain-agent.ts";
import { Programs } from "../compute/programs.ts";
import type { RequesterConfig } from "../config.ts";
import type { Drain } from "../drain.ts";
import type { Executor } from "../executor/executor.ts";
import type { Logger } from "../logger.ts";
import { MarketAgent } from "../market-agent.ts";
import { addRequesterGauges } from "../monitoring/gauges.ts";
import { runAgent, type AgentDependencies } from "../run-agent.ts";
import type { RequesterService } from "../service/service.ts";
import { Acting } from "./acting.ts";
import { Background } from "./background.ts";
import { Collecting } from "./collecting.ts";
import { requesterDuties } from "./duties.ts";
import { JobBook } from "./job-book.ts";
import { CANCELLED, type Job } from "./jobs.ts";
import { Outputs } from "./outputs.ts";
import { OwnRuns } from "./own-runs.ts";
import { Posting } from "./posting.ts";
import { Purse } from "./purse.ts";
import { Reader } from "./reader.ts";
import { readTickets, takeTicket, type JobStatus } from "./spool.ts";

/** What a requester works with beside its configuration; its executor runs planted and disputed tasks. */
export interface RequesterDependencies extends AgentDependencies {
  /** Told whenever a job's status was written. */
  onStatus?: (status: JobStatus) => void;
}

/**
 * Runs a requester until its signal aborts: posts the jobs in its home's inbox, reveals, reads and compares results,
 * escalates, accuses, contests, settles, hands out outputs, and posts again what came to no result.
 *
 * @throws SuretyError what {@link MarketAgent.open} throws, and whatever will not pass by itself
 */
export async function runRequesterAgent(config: RequesterConfig, dependencies: RequesterDependencies): Promise<void> {
  await runAgent<MarketAgent>(config, dependencies, {
    ...{ name: "requester", workers: 1, open: MarketAgent.open, addGauges: addRequesterGauges },
    work: ({ agent, executor, drain }) => new RequesterAgent(config, agent, executor, drain, dependencies).run(),
  });
}

/** See {@link runRequesterAgent}. */
class RequesterAgent {
  readonly #config: RequesterConfig;
  readonly #agent: MarketAgent;
  readonly #logger: Logger;
  readonly #drain: Drain;
  readonly #signal: AbortSignal;
  readonly #background: Background;
  readonly #purse: Purse;
  readonly #book: JobBook;
  readonly #reader: Reader;
  readonly #runs: OwnRuns;
  readonly #posting: Posting;
  readonly #acting: Acting;
  readonly #collecting: Collecting;
  readonly #asked: AbortSignal;
  #service: RequesterService | undefined;

  constructor(
    config: RequesterConfig,
    agent: MarketAgent,
    executor: Executor,
    drain: Drain,
    { logger, onStatus = () => undefined, signal: asked }: RequesterDependencies,
  ) {
    const signal = drain.ended;
    this.#config = config;
    this.#agent = agent;
    this.#logger = logger;
    this.#drain = drain;
    this.#signal = signal;
    this.#asked = asked;
    const keys = encryptionKeyPair(agent.secret);
    const programs = new Programs({ storage: agent.storage, executor });
    const outputs = new Outputs(config);
    const patience = config.fetchPatience;
    const background = new Background({ logger, signal });
    const book = new JobBook(config, agent, (status) => {
      this.#service?.note(status);
      onStatus(status);
    });
    const purse = new Purse(agent, agent.deployment.market);
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
    const { service } = this.#config;
    try {
      if (service) {
        // gRPC takes a while to load, and few need it.
        const { RequesterService } = await import("../service/service.ts");
        const [config, agent, book, logger] = [this.#config, this.#agent, this.#book, this.#logger];
        this.#service = await RequesterService.open({ config, service, agent, book, logger, draining: this.#asked });
      }
      await this.#drain.during(
        () => this.#agent.run((head) => this.#act(head)),
        () => this.#agent.isIdle && this.#background.isIdle && this.#service?.isIdle !== false,
      );
    } finally {
      await this.#service?.close();
      await this.#background.settled();
    }
    this.#logger.info({ address }, "requester stopped");
  }

  async #act(head: Head): Promise<void> {
    this.#service?.ready();
    if (this.#drain.hasBegun) return;
    // Without money for gas nothing new is taken; what was posted goes on.
    if (await this.#agent.gasMoney.suffices({ signal: this.#signal })) await this.#takeTickets();
    for (const ticket of this.#book.tickets) {
      if (this.#drain.hasBegun) return;
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
        if (this.#signal.aborted || !(error instanceof SuretyError)) throw error;
        if (error.code === REFUSED_YET) {
          // Which may last until it is final, and concerns this job only.
          this.#logger.warn({ ticket, error }, "trouble, trying again");
          continue;
        }
        if (error.kind === "retryable") throw error;
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
    if (this.#drain.hasBegun) return;
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
    if (!attempt && this.#book.isCancelled(job.ticket.ticket)) {
      this.#book.save({ ...job, finished: { error: CANCELLED } });
      return;
    }
    if (!attempt?.posted && this.#agent.gasMoney.isLow) return;
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
    const { inLedger, inWallet } = await this.#purse.funds();
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
      budget: inLedger + inWallet,
    });
    for (const duty of duties) {
      if (this.#drain.hasBegun) return;
      await this.#acting.do(duty, record);
    }
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
