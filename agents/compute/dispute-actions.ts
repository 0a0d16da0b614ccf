import { keccak256 } from "ethers";
import * as calls from "#sdk/calls.ts";
import type { ContractCall, DisputeArguments } from "#sdk/calls.ts";
import { ballotOf, DELIVERED, UNDELIVERED } from "#sdk/commitment.ts";
import { membersOf } from "#sdk/dispute.ts";
import { ExitStatus, SuretyError } from "#sdk/errors.ts";
import { settlementOf, type AssignmentRecord, type BatchRecord } from "#sdk/market-state.ts";
import { ballotSalt } from "#sdk/seed.ts";
import type { Logger } from "../logger.ts";
import type { MarketAgent } from "../market-agent.ts";
import { inspectDelivery } from "./delivery.ts";
import type { Check, DisputeDuty, Vote } from "./disputes.ts";
import { partOf, type Part } from "./facts.ts";
import type { Programs } from "./programs.ts";
import type { Retention } from "./retention.ts";
import type { Workbench } from "./workbench.ts";

/** What {@link DisputeActions} work with. */
export interface DisputeDependencies {
  agent: MarketAgent;
  workbench: Workbench;
  programs: Programs;
  retention: Retention;
  logger: Logger;
  signal: AbortSignal;
}

/** A juror that could fetch nothing until then says so: seconds before the casting ends, or a quarter of it if less. */
const LAST_SECONDS = 120;

/** Names what a duty of a dispute is about: no two steps have the same name. */
export function disputeKey(duty: DisputeDuty): string {
  const { kind, batchId, assignment } = duty;
  const place = `${kind}:${batchId}:${assignment}`;
  if (kind === "vote" || kind === "show") return `${place}:${duty.tier}:${duty.seat}`;
  if (kind === "appeal") return `${place}:${duty.tier}`;
  return kind === "check" || kind === "open" ? `${place}:${duty.round}:${duty.seat}:${duty.task}` : place;
}

/** Whether a duty may run tasks, fetch or publish, so that other duties should not wait for it. */
export function takesLong({ kind }: DisputeDuty): boolean {
  return kind === "check" || kind === "vote" || kind === "show" || kind === "open" || kind === "answer-contest";
}

/**
 * Does what a compute node ought to do about disputes. What was found by running a task is in the journal before anything
 * is sent, and everything secret derives from the key, so that after a crash the same ballot is cast and the same opened.
 */
export class DisputeActions {
  readonly #dependencies: DisputeDependencies;

  constructor(dependencies: DisputeDependencies) {
    this.#dependencies = dependencies;
  }

  /**
   * @param now Of the newest block, seconds.
   * @throws what running, fetching, publishing and sending throw: worth trying again where it is retryable
   */
  async do(duty: DisputeDuty, record: BatchRecord, now: number): Promise<void> {
    const { agent, workbench, signal } = this.#dependencies;
    const { market } = agent.deployment;
    const { terms, batch } = record;
    const assignment = record.assignments[duty.assignment]!;
    const panel = { terms, batch, panel: settlementOf(assignment) };
    const ids = { batchId: record.id, assignment: assignment.index };
    switch (duty.kind) {
      case "check":
        return this.#check(duty, record);
      case "challenge":
        return this.#send(duty, calls.challenge(market, panel), { deadline: duty.deadline });
      case "call-panel":
        return this.#send(duty, calls.callPanel(market, panel), { deadline: duty.deadline });
      case "answer-contest":
        return this.#answer(duty, record, panel);
      case "open": {
        const { member, task, deadline } = duty;
        const { root } = membersOf(assignment)[member]!;
        const shown = await workbench.opening({ ...partIn(duty), task, root }, record, signal);
        return this.#send(duty, calls.open(market, { ...panel, member, ...shown }), { deadline });
      }
      case "vote":
        return this.#vote(duty, record, panel, now);
      case "show": {
        const { tier, seat, task, deadline } = duty;
        const value = await this.#valueOf({ ...duty, matter: assignment.dispute!.matter }, record, true);
        const salt = ballotSalt(agent.secret, { ...agent.context, ...ids, task, tier });
        return this.#send(duty, calls.openBallot(market, { ...panel, seat, value, salt }), { deadline });
      }
      case "appeal":
        return this.#send(duty, calls.appeal(market, panel), { deadline: duty.deadline });
      case "rule": {
        const { stage, tier, juries } = assignment.dispute!;
        const step = `${stage}.${tier}.${juries.at(-1)?.call ?? 0}`;
        return this.#send(duty, calls.rule(market, panel), { step });
      }
      case "convene": {
        const { tier, juries } = assignment.dispute!;
        const step = `${tier}.${juries.at(-1)?.call ?? 0}`;
        return this.#send(duty, calls.convene(market, panel), { step });
      }
      case "conclude":
        return this.#send(duty, calls.conclude(market, panel));
    }
  }

  async #check(duty: Check, record: BatchRecord): Promise<void> {
    const { workbench, logger, signal } = this.#dependencies;
    const { batchId, assignment, task } = duty;
    const agrees = await workbench.check(partIn(duty), task, record, signal);
    if (agrees) logger.info({ batchId, assignment, task }, "stands by a result after running the task again");
    else
      logger.error(
        { batchId, assignment, task },
        "a task that was run again gave another result than was committed to: this host or its program is not reliable",
      );
  }

  async #answer(
    duty: DisputeDuty & { kind: "answer-contest" },
    record: BatchRecord,
    panel: DisputeArguments,
  ): Promise<void> {
    const { agent, workbench, signal } = this.#dependencies;
    const { matter, deadline } = duty;
    let evidence = "0x";
    if (matter === "delivery") {
      evidence = workbench.evidence(partIn(duty), record);
      // To call jurors who then find nothing would cost more than to say nothing.
      await workbench.republish(partIn(duty), record, signal);
    }
    return this.#send(duty, calls.answerContest(agent.deployment.market, { ...panel, evidence }), { deadline });
  }

  async #vote(duty: Vote, record: BatchRecord, panel: DisputeArguments, now: number): Promise<void> {
    const { agent } = this.#dependencies;
    const { batchId, assignment, tier, seat, task, since, deadline } = duty;
    const isLast = now > deadline - Math.min(LAST_SECONDS, (deadline - since) / 4);
    const value = await this.#valueOf(duty, record, isLast);
    const context = { ...agent.context, batchId, assignment, task, tier };
    const ballot = ballotOf({ ...context, juror: agent.address }, value, ballotSalt(agent.secret, context));
    return this.#send(duty, calls.castBallot(agent.deployment.market, { ...panel, seat, ballot }), { deadline });
  }

  /**
   * What a juror says: found once, and in the journal before it is cast.
   *
   * @param isLast Whether to take what cannot be fetched for what was not delivered.
   */
  async #valueOf(
    { batchId, assignment, tier, task, matter }: Pick<Vote, "batchId" | "assignment" | "tier" | "task" | "matter">,
    record: BatchRecord,
    isLast: boolean,
  ): Promise<string> {
    const { agent, workbench, signal } = this.#dependencies;
    const { journal } = agent;
    const key = `${batchId}:${assignment}:${tier}`;
    const known = journal.get("ballot", key) as string | undefined;
    if (known) return known;
    const value =
      matter === "delivery"
        ? await this.#deliveryOf(record, record.assignments[assignment]!, isLast)
        : await workbench.outputRoot(record, task, signal);
    journal.put("ballot", key, value);
    return value;
  }

  async #deliveryOf(record: BatchRecord, assignment: AssignmentRecord, isLast: boolean): Promise<string> {
    const { agent, programs, retention, logger, signal } = this.#dependencies;
    const { storage, context } = agent;
    const part = partOf(record, assignment, assignment.dispute!.member, agent.deployment)!;
    const delivery = await inspectDelivery(record, part, { storage, retention, programs, context }, signal);
    logger.info({ batchId: record.id, assignment: assignment.index, delivery }, "looked at a delivery");
    if (delivery === "unreachable" && !isLast) {
      throw new SuretyError("DELIVERY_UNREACHABLE", "what a member says it delivered cannot be fetched now", {
        details: { batchId: record.id, assignment: assignment.index },
        kind: "retryable",
        exit: ExitStatus.unavailable,
      });
    }
    return delivery === "delivered" ? DELIVERED : UNDELIVERED;
  }

  /** The call's data are part of its key: after a reorganisation the panel may be another. */
  async #send(
    duty: DisputeDuty,
    call: ContractCall,
    { deadline, step = "" }: { deadline?: number; step?: string } = {},
  ): Promise<void> {
    const { agent, logger } = this.#dependencies;
    const key = `${disputeKey(duty)}:${step}:${keccak256(call.data)}`;
    if (!agent.sender.find(key)) {
      const { kind, batchId, assignment } = duty;
      const bond = "bond" in duty ? { bond: String(duty.bond) } : {};
      logger.info({ kind, batchId, assignment, ...bond }, "takes a step in a dispute");
    }
    await agent.send({ key, ...call, ...(deadline === undefined ? {} : { deadline }) });
  }
}

/** The part that a duty is about, without the rest of it. */
function partIn({ batchId, assignment, round, seat, tasks }: Part): Part {
  return { batchId, assignment, round, seat, tasks };
}
