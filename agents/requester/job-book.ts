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

  /** The batch of an attempt, once it is on chain. */
  recordOf({ jobId, sequence }: Attempt): BatchRecord | undefined {
    for (const record of this.#agent.state.batches.values()) {
      if (record.batch.job === jobId && record.batch.sequence === sequence) return record;
    }
    return undefined;
  }

  /** Whether this life has written the job's status. */
  isReported(ticket: string): boolean {
    return this.#written.has(ticket);
  }

  /** Writes a job's status where it changed. */
  async report(ticket: string): Promise<void> {
    const job = this.find(ticket) as Job;
    const status = statusOf(
      job,
      job.attempts.map((attempt) => (attempt.posted ? this.recordOf(attempt) : undefined)),
      this.#agent.deployment.parameters,
    );
    const text = JSON.stringify(status);
    if (this.#written.get(ticket) === text) return;
    await writeStatus(this.#config.home, status);
    this.#written.set(ticket, text);
    this.#onStatus(status);
  }
}
