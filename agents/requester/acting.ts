import { keccak256 } from "ethers";
import * as calls from "#sdk/calls.ts";
import type { ContractCall } from "#sdk/calls.ts";
import { SuretyError } from "#sdk/errors.ts";
import { settlementOf, submissionOf, type AssignmentRecord, type BatchRecord } from "#sdk/market-state.ts";
import { batchSeed } from "#sdk/seed.ts";
import type { Logger } from "../logger.ts";
import type { MarketAgent } from "../market-agent.ts";
import type { RequesterDuty } from "./duties.ts";
import type { Purse } from "./purse.ts";
import type { Reader } from "./reader.ts";

/** What {@link Acting} works with. */
export interface ActingParts {
  agent: MarketAgent;
  purse: Purse;
  reader: Reader;
  logger: Logger;
}

type Of<Kind extends RequesterDuty["kind"]> = Extract<RequesterDuty, { kind: Kind }>;

/** Does what is due, through the journal: each call has a key that names it, so that it takes effect once. */
export class Acting {
  readonly #parts: ActingParts;
  /** What was said of money that is missing, by batch. */
  readonly #said = new Map<string, string>();

  constructor(parts: ActingParts) {
    this.#parts = parts;
  }

  async do(duty: RequesterDuty, record: BatchRecord): Promise<void> {
    const { market } = this.#parts.agent.deployment;
    const { id, terms, batch } = record;
    switch (duty.kind) {
      case "expire": {
        const { assignment } = duty;
        const { deadline } = partOf(record, assignment);
        return this.#sendOn(
          `expire:${id}:${assignment}:${deadline}`,
          calls.expire(market, { terms, batch, assignment }),
        );
      }
      case "seal":
        return this.#send(`seal:${id}`, calls.seal(market, { terms, batch }));
      case "reveal":
        return this.#send(`reveal:${id}`, calls.reveal(market, { terms, batch, seed: this.#seedOf(record) }));
      case "reveal-and-settle": {
        const settlements = duty.assignments.map((index) => settlementOf(partOf(record, index)));
        const call = calls.revealAndSettle(market, { terms, batch, seed: this.#seedOf(record), settlements });
        return this.#send(`reveal-and-settle:${id}`, call);
      }
      case "escalate": {
        const { assignment } = duty;
        this.#parts.logger.info({ batchId: id, assignment }, "results differ: calls for the full panel");
        const submission = submissionOf(partOf(record, assignment));
        return this.#sendOn(
          `escalate:${id}:${assignment}`,
          calls.escalate(market, { terms, batch, assignment, submission }),
        );
      }
      case "redraw": {
        const { assignment } = duty;
        const part = partOf(record, assignment);
        const call = calls.redraw(market, { terms, batch, assignment, submission: submissionOf(part) });
        return this.#sendOn(`redraw:${id}:${assignment}:${part.rounds.length}`, call);
      }
      case "judge":
        return this.#judge(duty, record);
      case "settle": {
        const settlements = duty.assignments.map((index) => settlementOf(partOf(record, index)));
        const call = calls.settle(market, { terms, batch, settlements });
        // After a reorganisation as many answers may be others.
        return this.#send(`settle:${id}:${duty.assignments.join(",")}:${keccak256(call.data)}`, call);
      }
      case "contest":
        return this.#contest(duty, record);
      case "open":
        return this.#open(duty, record);
      case "appeal":
        return this.#appeal(duty, record);
      case "rule":
      case "convene":
      case "conclude":
        return this.#step(duty, record);
      case "short":
        return this.#complain(duty);
    }
  }

  async #judge({ exceptions: listed, last, locks }: Of<"judge">, record: BatchRecord): Promise<void> {
    const { agent, logger } = this.#parts;
    const { id, terms, batch } = record;
    const exceptions = listed.map((exception) => ({
      ...exception,
      submission: submissionOf(partOf(record, exception.assignment)),
    }));
    for (const { assignment, verdict, witness } of exceptions) {
      logger.info({ batchId: id, assignment, verdict, witness }, "lists an exception");
    }
    const call = calls.judge(agent.deployment.market, { terms, batch, exceptions, last });
    const key = `judge:${id}:${last ? "last" : "more"}:${keccak256(call.data)}`;
    if (await this.#provide(key, locks)) await this.#send(key, call);
  }

  async #contest({ assignment, matter, task, member, locks }: Of<"contest">, record: BatchRecord): Promise<void> {
    const { agent, logger } = this.#parts;
    const { id, terms, batch } = record;
    logger.info({ batchId: id, assignment, matter, task, member }, "contests");
    const panel = settlementOf(partOf(record, assignment));
    const call = calls.contest(agent.deployment.market, { terms, batch, panel, matter, task, member });
    const key = `contest:${id}:${assignment}:${keccak256(call.data)}`;
    if (await this.#provide(key, locks)) await this.#send(key, call);
  }

  async #open({ assignment: index, member }: Of<"open">, record: BatchRecord): Promise<void> {
    const { agent, reader, logger } = this.#parts;
    const { id, terms, batch } = record;
    const assignment = partOf(record, index);
    const shown = reader.opening(record, assignment, member, assignment.dispute!.task);
    if (!shown) return;
    logger.info({ batchId: id, assignment: index, member }, "opens what a member committed to");
    const panel = settlementOf(assignment);
    const call = calls.open(agent.deployment.market, { terms, batch, panel, member, ...shown });
    await this.#sendOn(`open:${id}:${index}:${member}:${keccak256(call.data)}`, call);
  }

  async #appeal({ assignment, locks }: Of<"appeal">, record: BatchRecord): Promise<void> {
    const { agent, logger } = this.#parts;
    const { id, terms, batch } = record;
    const part = partOf(record, assignment);
    logger.info({ batchId: id, assignment, tier: part.dispute!.tier }, "appeals: it ran the task, and found otherwise");
    const call = calls.appeal(agent.deployment.market, { terms, batch, panel: settlementOf(part) });
    const key = `appeal:${id}:${assignment}:${part.dispute!.tier}:${keccak256(call.data)}`;
    if (await this.#provide(key, locks)) await this.#send(key, call);
  }

  /** What anybody may do; the step it is for is part of the key, since the call looks the same each time. */
  async #step({ kind, assignment }: Of<"rule" | "convene" | "conclude">, record: BatchRecord): Promise<void> {
    const { market } = this.#parts.agent.deployment;
    const { terms, batch } = record;
    const part = partOf(record, assignment);
    const call = calls[kind](market, { terms, batch, panel: settlementOf(part) });
    const { stage, tier, juries } = part.dispute ?? { stage: "none", tier: 0, juries: [] };
    const place = `${record.id}:${assignment}:${stage}:${tier}:${juries.at(-1)?.call ?? 0}`;
    await this.#sendOn(`${kind}:${place}:${keccak256(call.data)}`, call);
  }

  /** Brings money where some is missing; false if there is none to bring. */
  async #provide(purpose: string, amount: bigint): Promise<boolean> {
    const { agent, purse, logger } = this.#parts;
    // It has locked what it needed.
    if (agent.sender.find(purpose)) return true;
    try {
      await purse.provide(purpose, amount);
      return true;
    } catch (error) {
      // Spent elsewhere since the duties were worked out: the next look tells.
      if (!(error instanceof SuretyError) || error.code !== "BALANCE_TOO_LOW") throw error;
      logger.error({ error }, "too little money");
      return false;
    }
  }

  /** Says loudly, but once, what cannot be backed. */
  #complain({ batchId, assignments, missing }: Of<"short">): void {
    const text = `${assignments.join(",")}:${missing}`;
    if (this.#said.get(batchId) === text) return;
    this.#said.set(batchId, text);
    this.#parts.logger.error(
      { batchId, assignments, missing: String(missing), address: this.#parts.agent.address },
      "too little money to accuse: these assignments are paid as if nothing were wrong unless it comes in time",
    );
  }

  #seedOf({ batch }: BatchRecord): string {
    const { secret, context } = this.#parts.agent;
    return batchSeed(secret, { ...context, jobId: batch.job, sequence: batch.sequence });
  }

  async #send(key: string, call: ContractCall): Promise<void> {
    await this.#parts.agent.sendAndSee({ key, ...call });
  }

  /** What concerns one assignment only need not wait for its neighbour's to be mined. */
  async #sendOn(key: string, call: ContractCall): Promise<void> {
    await this.#parts.agent.send({ key, ...call });
  }
}

function partOf({ assignments }: BatchRecord, index: number): AssignmentRecord {
  return assignments[index] as AssignmentRecord;
}
