import { systemClock, type Clock } from "#sdk/clock.ts";
import { ExitStatus, SuretyError } from "#sdk/errors.ts";
import type { Journal } from "../journal/journal.ts";

/** Kind of the notes in the journal; their ids are tickets. */
const KIND = "client-job";
const DAY_MS = 86_400_000;

/** A job that a client handed in, as the journal keeps it. Amounts are base units. */
export interface ClientJob {
  ticket: string;
  /** Name of the client. */
  client: string;
  /** The client's own name for it. */
  key: string;
  /** Of what it was submitted with: tells whether the key comes with another job. */
  digest: string;
  /** What it may cost; reserved until it ends. */
  limit: bigint;
  /** Milliseconds since 1970. */
  acceptedAt: number;
  /** What it cost, once it has ended. */
  cost?: bigint;
}

/** What a client may spend and how many jobs it may have, amounts in base units. */
export interface Allowance {
  client: string;
  amount: bigint;
  per: "total" | "day";
  maxJobs: number;
}

/** How much of an {@link Allowance} is used. */
export interface Use {
  /** By jobs that have ended. */
  spent: bigint;
  /** For jobs that have not. */
  reserved: bigint;
  /** The rest; 0 where more was spent than allowed. */
  available: bigint;
  openJobs: number;
}

/**
 * Who handed in which job, and what it costs whom. What it says follows from one note for each job, which is written
 * together with the job itself: there is no balance that a crash could get wrong.
 */
export class ClientLedger {
  readonly #journal: Journal;
  readonly #clock: Clock;
  readonly #jobs = new Map<string, ClientJob>();
  readonly #byKey = new Map<string, ClientJob>();

  constructor({ journal, clock = systemClock }: { journal: Journal; clock?: Clock }) {
    this.#journal = journal;
    this.#clock = clock;
    for (const job of journal.list(KIND).values()) this.#remember(job as ClientJob);
  }

  /** The job of a ticket, whoever's; undefined if no client handed it in. */
  find(ticket: string): ClientJob | undefined {
    return this.#jobs.get(ticket);
  }

  /** The job that a client gave a key. */
  findByKey(client: string, key: string): ClientJob | undefined {
    return this.#byKey.get(keyOf(client, key));
  }

  /** A client's jobs, oldest first. */
  jobsOf(client: string): ClientJob[] {
    return [...this.#jobs.values()]
      .filter((job) => job.client === client)
      .sort((a, b) => (a.ticket < b.ticket ? -1 : 1));
  }

  /** Jobs of all clients that have not ended. */
  get open(): ClientJob[] {
    return [...this.#jobs.values()].filter(({ cost }) => cost === undefined);
  }

  /** How much of an allowance is used. A job counts on the day it was accepted, even if it ends on another. */
  use({ client, amount, per }: Allowance): Use {
    const since = per === "day" ? Math.floor(this.#clock.now() / DAY_MS) * DAY_MS : -Infinity;
    let spent = 0n;
    let reserved = 0n;
    let openJobs = 0;
    for (const job of this.jobsOf(client)) {
      if (job.cost === undefined) openJobs += 1;
      if (job.acceptedAt < since) continue;
      if (job.cost === undefined) reserved += job.limit;
      else spent += job.cost;
    }
    const left = amount - spent - reserved;
    return { spent, reserved, available: left > 0n ? left : 0n, openJobs };
  }

  /**
   * Refuses a job that the client may not have now.
   *
   * @param limit What it may cost, base units; 0 asks whether there is anything left at all.
   * @throws SuretyError `BUDGET_EXHAUSTED`, `TOO_MANY_JOBS`
   */
  require(allowance: Allowance, limit: bigint): void {
    const { client, maxJobs, per } = allowance;
    const { available, openJobs } = this.use(allowance);
    if (openJobs >= maxJobs) {
      throw new SuretyError("TOO_MANY_JOBS", `${client} has ${openJobs} open jobs and may have ${maxJobs}`, {
        details: { openJobs, maxJobs },
        fix: "Wait until one of them has ended.",
        exit: ExitStatus.refused,
        kind: "retryable",
      });
    }
    if (available >= limit && available > 0n) return;
    throw new SuretyError(
      "BUDGET_EXHAUSTED",
      `the job may cost ${limit} base units, and ${client} has ${available} left${per === "day" ? " today" : ""}`,
      {
        details: { needed: limit, available },
        fix:
          per === "day"
            ? "Wait for tomorrow or for open jobs to end, or submit a smaller job."
            : "Wait for open jobs to end, submit a smaller job, or ask the requester's operator for a larger budget.",
        exit: ExitStatus.refused,
      },
    );
  }

  /**
   * Takes a job on, and does what goes with it: all of it or nothing.
   *
   * @param also Writes the job itself to the journal.
   * @returns the job
   * @throws SuretyError as {@link ClientLedger.require}, `JOURNAL_UNWRITABLE`
   */
  accept(
    job: Omit<ClientJob, "acceptedAt" | "cost">,
    allowance: Allowance,
    also: (accepted: ClientJob) => void,
  ): ClientJob {
    this.require(allowance, job.limit);
    const accepted: ClientJob = { ...job, acceptedAt: Math.floor(this.#clock.now()) };
    this.#journal.transaction(() => {
      this.#journal.put(KIND, job.ticket, accepted);
      also(accepted);
    });
    this.#remember(accepted);
    return accepted;
  }

  /** Notes what a job cost that has ended: what was reserved beyond that is free again. */
  close(ticket: string, cost: bigint): void {
    const job = this.#jobs.get(ticket);
    if (!job || job.cost === cost) return;
    const closed = { ...job, cost };
    this.#journal.put(KIND, ticket, closed);
    this.#remember(closed);
  }

  #remember(job: ClientJob): void {
    this.#jobs.set(job.ticket, job);
    this.#byKey.set(keyOf(job.client, job.key), job);
  }
}

/** Names of clients have no slash in them. */
function keyOf(client: string, key: string): string {
  return `${client}/${key}`;
}
