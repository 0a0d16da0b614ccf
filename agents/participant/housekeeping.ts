import { parseAmount } from "#sdk/amount.ts";
import type { Head } from "#sdk/follower.ts";
import * as requestCalls from "#sdk/request-calls.ts";
import { requestSettlementOf } from "#sdk/request-settlement.ts";
import type { RequestRecord } from "#sdk/request-state.ts";
import { commonDuties } from "./duties.ts";
import type { ParticipantContext, Part } from "./part.ts";
import { Tasks } from "./tasks.ts";

/** Between two looks at the money that is kept free, seconds of chain time. */
const FUNDS_EVERY_SECONDS = 60;

/**
 * The part that sees to the end of what the account has a part in: calls the next judge where one is silent, settles,
 * cancels; keeps money ready, and lets go of what is not needed any more.
 */
export class Housekeeping implements Part {
  readonly #context: ParticipantContext;
  readonly #tasks: Tasks;
  readonly #funds: bigint;
  #lastFunds = -Infinity;

  constructor(context: ParticipantContext) {
    this.#context = context;
    this.#tasks = new Tasks({ logger: context.logger, signal: context.signal });
    this.#funds = parseAmount(context.config.funds, context.agent.deployment.token.decimals);
  }

  get isIdle(): boolean {
    return this.#tasks.isIdle;
  }

  settled(): Promise<void> {
    return this.#tasks.settled();
  }

  async act(head: Head): Promise<void> {
    const { agent, retention, treasury } = this.#context;
    const facts = await this.#context.facts(head);
    for (const { kind, id } of commonDuties(agent.state, facts)) {
      const record = agent.state.requests.get(id);
      if (record) await this.#do(kind, record);
    }
    this.#tasks.run("let go", async () => void (await retention.release(agent.state, head)));
    if (this.#context.mayBegin && head.timestamp - this.#lastFunds >= FUNDS_EVERY_SECONDS) {
      this.#lastFunds = head.timestamp;
      this.#tasks.run("keep funds", () => treasury.keep(this.#funds));
    }
  }

  async #do(kind: string, record: RequestRecord): Promise<void> {
    const { agent } = this.#context;
    const { requests } = agent.context;
    const { id, request, tier } = record;
    switch (kind) {
      case "climb":
        await agent.send({ key: `climb:${id}:${tier}`, ...requestCalls.climb(requests, { id }) });
        return;
      case "cancel":
        await agent.send({ key: `cancel:${id}`, ...requestCalls.cancel(requests, { request }) });
        return;
      case "settle": {
        const { path, ruling, revealed } = requestSettlementOf(record);
        const call = requestCalls.settle(requests, { request, path, ruling, revealed });
        await agent.send({ key: `settle:${id}`, ...call });
        return;
      }
      default:
      // Not anybody's.
    }
  }
}
