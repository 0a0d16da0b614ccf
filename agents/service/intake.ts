import { createHash } from "node:crypto";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { formatAmount, parseAmount } from "#sdk/amount.ts";
import { ExitStatus, SuretyError } from "#sdk/errors.ts";
import { parseJobFile } from "#sdk/job-file.ts";
import type { RequesterConfig } from "../config.ts";
import type { ServiceConfig } from "../config/service.ts";
import type { Logger } from "../logger.ts";
import type { MarketAgent } from "../market-agent.ts";
import type { JobBook } from "../requester/job-book.ts";
import type { JobTicket } from "../requester/spool.ts";
import { checkJob, storeJob, type CheckedJob } from "../requester/submission.ts";
import type { Allowance, ClientJob, ClientLedger } from "./client-ledger.ts";
import type { Client } from "./clients.ts";
import type { SubmitJobHeader, SubmitJobRequest } from "./messages.ts";
import { inUpload, receiveFiles, withoutFolder } from "./upload.ts";

/** Uploads of one client at a time. */
const MOST_UPLOADS = 4;

/** What {@link Intake} works with. */
export interface IntakeParts {
  config: RequesterConfig;
  service: ServiceConfig;
  agent: MarketAgent;
  book: JobBook;
  ledger: ClientLedger;
  logger: Logger;
  /** Writes to the journal what else goes with a job that is accepted. */
  onAccepted: (job: ClientJob) => void;
}

/** A job that was handed in, now or before. */
export interface TakenJob {
  job: ClientJob;
  /** Whether it was before. */
  repeated: boolean;
}

/** Takes jobs of clients: checks who pays, receives files, checks the job, stores it, and writes it down. */
export class Intake {
  readonly #parts: IntakeParts;
  readonly #uploads = new Map<string, number>();

  constructor(parts: IntakeParts) {
    this.#parts = parts;
  }

  /** Removes what an earlier life was receiving when it ended. */
  async clean(): Promise<void> {
    await rm(this.#folder, { recursive: true, force: true });
  }

  /** Whether nobody uploads anything. */
  get isIdle(): boolean {
    return this.#uploads.size === 0;
  }

  /** What a client may spend and have, in base units. */
  allowanceOf({ name, budget, maxJobs }: Client): Allowance {
    const { decimals } = this.#parts.agent.deployment.token;
    return { client: name, amount: parseAmount(budget.amount, decimals), per: budget.per, maxJobs };
  }

  /**
   * Takes a job on. When it returns the job is in the journal.
   *
   * @param parts Header and files, as they come.
   * @throws SuretyError `SUBMISSION_INVALID`, `IDEMPOTENCY_KEY_REUSED`, `BUDGET_EXHAUSTED`, `TOO_MANY_JOBS`,
   * `TOO_MANY_UPLOADS`, `SPENDING_LIMIT_TOO_LOW`, and whatever is wrong with the upload or the job
   */
  async submit(
    client: Client,
    parts: AsyncIterator<SubmitJobRequest>,
    { signal }: { signal: AbortSignal },
  ): Promise<TakenJob> {
    const { ledger, agent } = this.#parts;
    const header = await readHeader(parts);
    const digest = createHash("sha256")
      .update(JSON.stringify([header.jobFile, header.spendingLimit]))
      .digest("hex");
    const earlier = this.#earlier(client, header, digest);
    if (earlier) return earlier;

    const allowance = this.allowanceOf(client);
    ledger.require(allowance, BigInt(header.spendingLimit || 0));
    const job = parseJobFile(header.jobFile, { decimals: agent.deployment.token.decimals });
    return this.#uploading(client, async (folder) => {
      const placed = inUpload(job, folder);
      await receiveFiles({ [Symbol.asyncIterator]: () => parts }, folder, { maxBytes: this.#parts.service.maxUpload });
      const { config } = this.#parts;
      const { storage, deployment } = agent;
      const checked = await checkJob(placed, config, { deployment, storage, signal });
      const limit = this.#limitOf(header, checked);
      ledger.require(allowance, limit);
      this.#requireFunds(limit, checked);
      const ticket = await storeJob(placed, checked, { config, storage, signal });
      signal.throwIfAborted();
      return this.#accept(client, header, digest, allowance, { ...ticket, spendingLimit: String(limit) });
    });
  }

  /** Nothing in here waits: of two calls with one key, or for the rest of one budget, one is first. */
  #accept(
    client: Client,
    header: SubmitJobHeader,
    digest: string,
    allowance: Allowance,
    ticket: JobTicket & { spendingLimit: string },
  ): TakenJob {
    const { ledger, book, logger, onAccepted } = this.#parts;
    const earlier = this.#earlier(client, header, digest);
    if (earlier) return earlier;
    const { name } = client;
    const limit = BigInt(ticket.spendingLimit);
    const wanted = { ticket: ticket.ticket, client: name, key: header.idempotencyKey, digest, limit };
    const job = ledger.accept(wanted, allowance, (accepted) => {
      book.save({ ticket, attempts: [], suspicion: {}, done: [] });
      onAccepted(accepted);
    });
    logger.info({ client: name, ticket: job.ticket, tasks: ticket.count, limit: String(limit) }, "accepted a job");
    return { job, repeated: false };
  }

  #earlier({ name }: Client, { idempotencyKey: key }: SubmitJobHeader, digest: string): TakenJob | undefined {
    const job = this.#parts.ledger.findByKey(name, key);
    if (!job) return undefined;
    if (job.digest === digest) return { job, repeated: true };
    throw new SuretyError("IDEMPOTENCY_KEY_REUSED", `another job was submitted with this key: ${job.ticket}`, {
      details: { job: job.ticket, key },
      fix: "Give each job a key of its own; repeat a call with what it was first made with.",
      exit: ExitStatus.badInput,
    });
  }

  /** Runs with a new folder, which is gone afterwards, and of which no message tells. */
  async #uploading<T>({ name }: Client, work: (folder: string) => Promise<T>): Promise<T> {
    const others = this.#uploads.get(name) ?? 0;
    if (others >= MOST_UPLOADS) {
      throw new SuretyError("TOO_MANY_UPLOADS", `${name} has ${others} uploads under way, which is the most`, {
        details: { actual: others, most: MOST_UPLOADS },
        fix: "Wait until one of them has ended.",
        exit: ExitStatus.refused,
        kind: "retryable",
      });
    }
    this.#uploads.set(name, others + 1);
    let folder: string | undefined;
    try {
      await mkdir(this.#folder, { recursive: true, mode: 0o700 });
      folder = await mkdtemp(join(this.#folder, "upload-"));
      return await work(folder);
    } catch (error) {
      throw folder === undefined ? error : asClientKnows(error, folder);
    } finally {
      if (folder !== undefined) await rm(folder, { recursive: true, force: true });
      const rest = (this.#uploads.get(name) ?? 1) - 1;
      if (rest === 0) this.#uploads.delete(name);
      else this.#uploads.set(name, rest);
    }
  }

  /** What a job may cost: what its client says, or else what its first batch can. */
  #limitOf({ spendingLimit }: SubmitJobHeader, { funds: { escrow, bond, margin } }: CheckedJob): bigint {
    const least = escrow + bond + margin;
    if (spendingLimit === "") return least;
    const limit = BigInt(spendingLimit);
    if (limit >= least) return limit;
    throw new SuretyError("SPENDING_LIMIT_TOO_LOW", `the first batch can cost ${least}, the limit is ${limit}`, {
      details: { actual: limit, least },
      fix: "Raise the limit, leave it out, or submit fewer tasks.",
      exit: ExitStatus.badInput,
    });
  }

  /** What the requester has must be enough for this job and for those of clients that are not posted yet. */
  #requireFunds(limit: bigint, { funds: { available } }: CheckedJob): void {
    const { ledger, book, agent } = this.#parts;
    let promised = 0n;
    for (const { ticket, limit: reserved } of ledger.open)
      if (!book.find(ticket)?.attempts.some(({ posted }) => posted)) promised += reserved;
    if (available >= promised + limit) return;
    const { decimals, symbol } = agent.deployment.token;
    const text = (units: bigint): string => `${formatAmount(units, decimals)} ${symbol}`;
    throw new SuretyError(
      "BALANCE_TOO_LOW",
      `the job may cost ${text(limit)}, and the requester has ${text(available)} for it and other jobs that wait, which may cost ${text(promised)}`,
      {
        details: { limit, available, promised },
        fix: "Wait until other jobs have ended, give it a lower spending limit, or tell the requester's operator.",
        exit: ExitStatus.refused,
        kind: "retryable",
      },
    );
  }

  get #folder(): string {
    return join(this.#parts.config.home, "uploads");
  }
}

async function readHeader(parts: AsyncIterator<SubmitJobRequest>): Promise<SubmitJobHeader> {
  const first = await parts.next();
  const part = first.done ? undefined : first.value;
  if (part?.part !== "header") throw invalid("the first message is no header");
  const { header } = part;
  if (!/^[\x20-\x7e]{1,128}$/.test(header.idempotencyKey))
    throw invalid("the idempotency key is not 1 to 128 printable ASCII characters");
  if (!/^\d{0,30}$/.test(header.spendingLimit)) throw invalid("the spending limit is no decimal number of base units");
  return header;
}

function invalid(message: string): SuretyError {
  return new SuretyError("SUBMISSION_INVALID", message, {
    fix: "See proto/surety/requester/v1/requester.proto for what is expected.",
    exit: ExitStatus.badInput,
  });
}

function asClientKnows(error: unknown, folder: string): unknown {
  if (!(error instanceof SuretyError) || !error.message.includes(folder)) return error;
  const { code, message, details, fix, kind, exit } = error;
  const known = Object.entries(details).map(([name, value]) => [
    name,
    typeof value === "string" ? withoutFolder(value, folder) : value,
  ]);
  return new SuretyError(code, withoutFolder(message, folder), {
    ...{ details: Object.fromEntries(known) as typeof details, fix, kind, exit, cause: error },
  });
}
