import * as calls from "#sdk/calls.ts";
import { seedCommitment } from "#sdk/commitment.ts";
import { ExitStatus, SuretyError } from "#sdk/errors.ts";
import { quote } from "#sdk/pricing.ts";
import { batchesOf } from "#sdk/reads.ts";
import { batchSeed, type EncryptionKeyPair } from "#sdk/seed.ts";
import type { Terms } from "#sdk/terms.ts";
import type { Logger } from "../logger.ts";
import type { MarketAgent } from "../market-agent.ts";
import type { JobBook } from "./job-book.ts";
import { attemptOf, CANCELLED, exceptionMargin, mostSuspect, termsOf, type Attempt, type Job } from "./jobs.ts";
import type { Purse } from "./purse.ts";

/** What {@link Posting} works with. */
export interface PostingParts {
  agent: MarketAgent;
  book: JobBook;
  purse: Purse;
  keys: EncryptionKeyPair;
  logger: Logger;
}

/** Posts the batches of jobs, one at a time each. */
export class Posting {
  readonly #parts: PostingParts;

  constructor(parts: PostingParts) {
    this.#parts = parts;
  }

  /** The next batch of a job, in the journal before anything is sent. */
  async plan(job: Job, manifest: string, tasks: number[]): Promise<Attempt> {
    const { agent, book } = this.#parts;
    const { deployment, context } = agent;
    const attempt = attemptOf(context, this.#termsOf(job), 0n, manifest, tasks);
    attempt.sequence = await batchesOf(agent.rpc, deployment.market, attempt.jobId);
    job.attempts.push(attempt);
    book.save(job);
    return attempt;
  }

  /** Whether a job's spending limit lets another batch of so many tasks be posted, with what is to back an exception. */
  affords(job: Job, count: number): boolean {
    const { spendingLimit } = job.ticket;
    if (spendingLimit === undefined) return true;
    const { agent, book } = this.#parts;
    const { parameters } = agent.deployment;
    const terms = this.#termsOf(job);
    const { escrow, bond } = quote(terms, count, parameters);
    return book.costOf(job) + escrow + bond + exceptionMargin(terms, count, parameters) <= BigInt(spendingLimit);
  }

  #termsOf(job: Job): Terms {
    const { agent, keys } = this.#parts;
    const { state, deployment, address } = agent;
    const pool = state.classes.get(job.ticket.terms.class);
    if (!pool) {
      throw new SuretyError("CLASS_UNKNOWN", `the market has no class ${job.ticket.terms.class}`, {
        details: { class: job.ticket.terms.class },
        fix: "Use a class of the deployment's address book.",
        exit: ExitStatus.badInput,
      });
    }
    return termsOf(
      job.ticket,
      address,
      keys.publicKey,
      pool,
      deployment.parameters,
      mostSuspect(job.suspicion),
      job.attempts.length > 0,
    );
  }

  /** Brings the money and posts what was planned, unless it was cancelled meanwhile. */
  async post(job: Job, attempt: Attempt): Promise<void> {
    const { agent, book, logger } = this.#parts;
    const { deployment, context, secret } = agent;
    const { terms, jobId, sequence, manifest, tasks } = attempt;
    const { ticket } = job.ticket;
    const place = `${ticket}:${job.attempts.length - 1}`;
    const count = tasks.length;
    const key = `post:${place}:${sequence}`;
    if (!agent.sender.find(key)) {
      if (this.#isCalledOff(job)) return;
      // The sequence is part of what the seed is committed to: another job of these terms, posted since this was
      // planned, would make it worthless. Posting goes one batch at a time, so what is on chain is all there is.
      const actual = await batchesOf(agent.rpc, deployment.market, jobId);
      if (actual !== sequence) {
        attempt.sequence = actual;
        book.save(job);
        return this.post(job, attempt);
      }
      await this.#fund(place, terms, count);
      // Which takes blocks.
      if (this.#isCalledOff(job)) return;
    }
    const seed = batchSeed(secret, { ...context, jobId, sequence });
    const commitment = seedCommitment({ ...context, jobId, sequence }, seed);
    const call = calls.post(deployment.market, { terms, count, manifest, seedCommitment: commitment });
    await agent.sendAndWait({ key, ...call }, place);
    attempt.posted = true;
    book.save(job);
    logger.info({ ticket, job: jobId, sequence: String(sequence), tasks: count }, "posted a batch");
  }

  /** Ends a job that was cancelled before its batch was sent. */
  #isCalledOff(job: Job): boolean {
    const { book } = this.#parts;
    if (!book.isCancelled(job.ticket.ticket)) return false;
    book.save({ ...job, finished: { error: CANCELLED } });
    return true;
  }

  async #fund(place: string, terms: Attempt["terms"], count: number): Promise<void> {
    const { agent, purse, logger } = this.#parts;
    const { parameters } = agent.deployment;
    const { escrow, bond } = quote(terms, count, parameters);
    const margin = exceptionMargin(terms, count, parameters);
    if (await purse.provide(place, escrow + bond, margin)) return;
    logger.warn({ place, margin: String(margin) }, "too little money to back an exception, should one be needed");
  }
}
