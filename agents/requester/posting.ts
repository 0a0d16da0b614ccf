import * as calls from "#sdk/calls.ts";
import { seedCommitment } from "#sdk/commitment.ts";
import { ExitStatus, SuretyError } from "#sdk/errors.ts";
import { quote } from "#sdk/pricing.ts";
import { batchesOf } from "#sdk/reads.ts";
import { batchSeed, type EncryptionKeyPair } from "#sdk/seed.ts";
import type { Logger } from "../logger.ts";
import type { MarketAgent } from "../market-agent.ts";
import type { JobBook } from "./job-book.ts";
import { attemptOf, exceptionMargin, mostSuspect, termsOf, type Attempt, type Job } from "./jobs.ts";
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
    const { agent, book, keys } = this.#parts;
    const { state, deployment, address, context } = agent;
    const pool = state.classes.get(job.ticket.terms.class);
    if (!pool) {
      throw new SuretyError("CLASS_UNKNOWN", `the market has no class ${job.ticket.terms.class}`, {
        details: { class: job.ticket.terms.class },
        fix: "Use a class of the deployment's address book.",
        exit: ExitStatus.badInput,
      });
    }
    const terms = termsOf(
      job.ticket,
      address,
      keys.publicKey,
      pool,
      deployment.parameters,
      mostSuspect(job.suspicion),
      job.attempts.length > 0,
    );
    const attempt = attemptOf(context, terms, 0n, manifest, tasks);
    attempt.sequence = await batchesOf(agent.rpc, deployment.market, attempt.jobId);
    job.attempts.push(attempt);
    book.save(job);
    return attempt;
  }

  /** Brings the money and posts what was planned. */
  async post(job: Job, attempt: Attempt): Promise<void> {
    const { agent, book, logger } = this.#parts;
    const { deployment, context, secret } = agent;
    const { terms, jobId, sequence, manifest, tasks } = attempt;
    const { ticket } = job.ticket;
    const place = `${ticket}:${job.attempts.length - 1}`;
    const count = tasks.length;
    const key = `post:${place}:${sequence}`;
    if (!agent.sender.find(key)) {
      // The sequence is part of what the seed is committed to: another job of these terms, posted since this was
      // planned, would make it worthless. Posting goes one batch at a time, so what is on chain is all there is.
      const actual = await batchesOf(agent.rpc, deployment.market, jobId);
      if (actual !== sequence) {
        attempt.sequence = actual;
        book.save(job);
        return this.post(job, attempt);
      }
      await this.#fund(place, terms, count);
    }
    const seed = batchSeed(secret, { ...context, jobId, sequence });
    const commitment = seedCommitment({ ...context, jobId, sequence }, seed);
    await agent.sendAndWait({
      key,
      ...calls.post(deployment.market, { terms, count, manifest, seedCommitment: commitment }),
    });
    attempt.posted = true;
    book.save(job);
    logger.info({ ticket, job: jobId, sequence: String(sequence), tasks: count }, "posted a batch");
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
