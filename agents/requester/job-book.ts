import type { BatchRecord } from "#sdk/market-state.ts";
import type { RequesterConfig } from "../config.ts";
import type { MarketAgent } from "../market-agent.ts";
import { statusOf, type Attempt, type Job } from "./jobs.ts";
import { writeStatus, type JobStatus } from "./spool.ts";

/** The jobs of a home: in the journal, and as status files. */
export class JobBook {
  readonly #config: RequesterConfig;
  readonly #agent: MarketAgent;
  readonly #onStatus: (status: JobStatus) => void;
  readonly #written = new Map<string, string>();
  /** Of whose end there is nothing left to write. */
  readonly #ended = new Set<string>();
  /** What is being written of each, and what waits for that. */
  readonly #writing = new Map<string, Promise<void>>();

  constructor(config: RequesterConfig, agent: MarketAgent, onStatus: (status: JobStatus) => void) {
    this.#config = config;
    this.#agent = agent;
    this.#onStatus = onStatus;
  }

  /** Ids of all tickets, oldest first. */
  get tickets(): string[] {
    return [...this.#agent.journal.list("job").keys()];
  }

  /** The job of a ticket as it is now; undefined if there is none. */
  find(ticket: string): Job | undefined {
    return this.#agent.journal.get("job", ticket) as Job | undefined;
  }

  save(job: Job): void {
    this.#agent.journal.put("job", job.ticket.ticket, job);
  }

  /** Asks that nothing more be posted for a job. A note of its own, since the job's is written by whoever works on it. */
  cancel(ticket: string): void {
    if (!this.isCancelled(ticket)) this.#agent.journal.put("cancelled", ticket, true);
  }

  /** Whether {@link JobBook.cancel} was called. */
  isCancelled(ticket: string): boolean {
    return this.#agent.journal.get("cancelled", ticket) !== undefined;
  }

  /** What a job has cost so far, base units: all that was locked and has not come back. */
  costOf(job: Job): bigint {
    const { escrow, bond, returned } = this.#statusOf(job).money;
    return BigInt(escrow) + BigInt(bond) - BigInt(returned);
  }

  /** The batch of an attempt, once it is on chain. */
  recordOf({ jobId, sequence }: Attempt): BatchRecord | undefined {
    for (const record of this.#agent.state.batches.values()) {
      if (record.batch.job === jobId && record.batch.sequence === sequence) return record;
    }
    return undefined;
  }

  /** How far a job is that there is. */
  statusOf(ticket: string): JobStatus {
    return this.#statusOf(this.find(ticket) as Job);
  }

  /** Whether this life has written how the job ended. */
  isReported(ticket: string): boolean {
    return this.#ended.has(ticket);
  }

  /**
   * Writes a job's status where it changed. What goes on in the background reports, too: one after the other, each with
   * the status as it is when its turn comes, so that none puts an older one over a newer.
   */
  report(ticket: string): Promise<void> {
    const before = this.#writing.get(ticket) ?? Promise.resolve();
    const writing = before.then(
      () => this.#write(ticket),
      () => this.#write(ticket),
    );
    this.#writing.set(ticket, writing);
    return writing.finally(() => {
      if (this.#writing.get(ticket) === writing) this.#writing.delete(ticket);
    });
  }

  async #write(ticket: string): Promise<void> {
    const job = this.find(ticket) as Job;
    const status = this.#statusOf(job);
    const text = JSON.stringify(status);
    if (this.#written.get(ticket) !== text) {
      await writeStatus(this.#config.home, status);
      this.#onStatus(status);
      this.#written.set(ticket, text);
    }
    if (job.finished) this.#ended.add(ticket);
  }

  #statusOf(job: Job): JobStatus {
    const records = job.attempts.map((attempt) => (attempt.posted ? this.recordOf(attempt) : undefined));
    return statusOf(job, records, this.#agent.deployment.parameters);
  }
}
