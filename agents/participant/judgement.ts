import { hexlify } from "ethers";
import { contentIdToBytes32 } from "#sdk/content.ts";
import { SuretyError } from "#sdk/errors.ts";
import type { Head } from "#sdk/follower.ts";
import * as requestCalls from "#sdk/request-calls.ts";
import { standingRuling, type RequestRecord } from "#sdk/request-state.ts";
import type { Ruling } from "#sdk/request-terms.ts";
import { judgementDuties, type RequestDuty } from "./duties.ts";
import { isEquivalentRuling, type Assessment } from "./evaluation.ts";
import type { ParticipantContext, Part } from "./part.ts";
import { Tasks } from "./tasks.ts";

/** A ruling as the journal keeps it. */
interface KeptRuling {
  ruling: Ruling;
  /** Content id of the report: 32 bytes, hexadecimal. */
  report: string;
}

/** Of a step: so long before its end what may pass is waited for no longer. */
const LAST_SHARE = 4;

/**
 * The part of an evaluator, and of a judge of those below it. A judge that comes to the same as the ruling it judges
 * repeats that, to the last digit.
 */
export class Judgement implements Part {
  readonly #context: ParticipantContext;
  readonly #tasks: Tasks;

  constructor(context: ParticipantContext) {
    this.#context = context;
    this.#tasks = new Tasks({ logger: context.logger, signal: context.signal });
  }

  get isIdle(): boolean {
    return this.#tasks.isIdle;
  }

  settled(): Promise<void> {
    return this.#tasks.settled();
  }

  async act(head: Head): Promise<void> {
    const facts = await this.#context.facts(head);
    for (const duty of judgementDuties(this.#context.agent.state, facts)) {
      if (duty.kind === "accept-evaluation" && !this.#context.mayBegin) continue;
      this.#tasks.run(`${duty.kind}:${duty.id}`, () => this.#do(duty, head));
    }
  }

  async #do({ kind, id }: RequestDuty, head: Head): Promise<void> {
    const record = this.#context.agent.state.requests.get(id);
    if (!record) return;
    switch (kind) {
      case "accept-evaluation":
        return this.#accept(record);
      case "rank":
        return this.#rank(record, head);
      case "judge":
        return this.#judge(record, head);
      case "defend":
        return this.#defend(record, head);
      default:
      // Not who judges.
    }
  }

  async #accept({ id, request, startAt }: RequestRecord): Promise<void> {
    const { agent, releases, treasury, keys, signal } = this.#context;
    await releases.of(request.release, { signal });
    const encryptionKey = hexlify(keys.publicKey);
    const call = requestCalls.acceptJob(agent.context.requests, { request, role: "evaluator", encryptionKey });
    await treasury.spend(`deposit:${id}:0`, request.deposit, () =>
      agent.sendAndSee({ key: `accept-evaluation:${id}`, ...call, deadline: startAt }),
    );
  }

  async #rank(record: RequestRecord, head: Head): Promise<void> {
    const { agent } = this.#context;
    const { id, request, deadline } = record;
    const until = deadline + request.stepWindow;
    const kept = this.#kept(id, 0) ?? (await this.#rule(record, head, { tier: 0, until }));
    if (!kept) return;
    const call = requestCalls.rank(agent.context.requests, { id, ...kept });
    await agent.send({ key: `rank:${id}`, ...call, deadline: until });
  }

  async #judge(record: RequestRecord, head: Head): Promise<void> {
    const { agent, treasury } = this.#context;
    const { id, request, tier, deadline } = record;
    const kept = this.#kept(id, tier) ?? (await this.#rule(record, head, { tier, until: deadline }));
    if (!kept) return;
    const call = requestCalls.reevaluate(agent.context.requests, { request, path: record.evaluator!.path, ...kept });
    await treasury.spend(`deposit:${id}:${tier}`, request.deposit, () =>
      agent.sendAndSee({ key: `judge:${id}:${tier}`, ...call, deadline }),
    );
  }

  /** Stands by its own ruling against one that overturned it, unless another look says otherwise. */
  async #defend(record: RequestRecord, head: Head): Promise<void> {
    const { agent, evaluation, treasury, signal, logger } = this.#context;
    const { id, request, tier, deadline } = record;
    const drawn = await evaluation.drawBlock(record, head, signal);
    if (!drawn) return;
    const standing = standingRuling(record)!.ruling;
    const noteKey = `${id}:${tier}`;
    let isRight = agent.journal.get("overturning", noteKey) as boolean | undefined;
    if (isRight === undefined) {
      const found = await evaluation.assess(record, drawn, { signal });
      isRight = found.mayPass || isEquivalentRuling(found.ruling, standing);
      agent.journal.put("overturning", noteKey, isRight);
      logger.info({ id, tier, isRight }, "looked again at what was overturned");
    }
    if (isRight) return;
    const call = requestCalls.challenge(agent.context.requests, { request, path: record.evaluator!.path });
    await treasury.spend(`challenge:${id}:${tier}`, request.challengeFee, () =>
      agent.sendAndSee({ key: `challenge:${id}:${tier}`, ...call, deadline }),
    );
  }

  /**
   * Evaluates, publishes the reasons, and keeps what came of it.
   *
   * @returns undefined if there is nothing to say yet
   * @throws SuretyError `EVALUATION_INCOMPLETE` (retryable) while there is time for what may pass
   */
  async #rule(
    record: RequestRecord,
    head: Head,
    { tier, until }: { tier: number; until: number },
  ): Promise<KeptRuling | undefined> {
    const { agent, evaluation, retention, signal, logger } = this.#context;
    const { id, request } = record;
    const drawn = await evaluation.drawBlock(record, head, signal);
    if (!drawn) return undefined;
    logger.info({ id, tier }, "evaluates");
    const found = await evaluation.assess(record, drawn, { signal });
    const hasTime = head.timestamp < until - request.stepWindow / LAST_SHARE;
    if (found.mayPass && hasTime) throw incomplete(id, found);
    const ruling = tier === 0 ? found.ruling : this.#judged(record, found);
    if (!ruling) {
      logger.warn({ id, tier }, "says nothing about a ruling, for it cannot see what it was about");
      return undefined;
    }
    const cid = await agent.storage.add(found.report, { signal });
    retention.note(id, cid);
    const kept = { ruling, report: contentIdToBytes32(cid) };
    agent.journal.put("ruling", `${id}:${tier}`, kept);
    const leftOut = found.leftOut.map(({ node, code }) => ({ node, code }));
    logger.info({ id, tier, verdict: ruling.verdict, ranked: ruling.order.length, leftOut }, "evaluated");
    return kept;
  }

  /** What a judge says, having found this. */
  #judged(record: RequestRecord, { ruling, leftOut, mayPass }: Assessment): Ruling | undefined {
    const standing = standingRuling(record)?.ruling;
    if (!standing) return mayPass && ruling.verdict === "withheld" ? undefined : ruling;
    if (isEquivalentRuling(ruling, standing)) return standing;
    if (!mayPass) return ruling;
    if (ruling.verdict === "withheld") return undefined;
    // Of what it cannot fetch it believes the ruling that it judges.
    const unseen = new Set(leftOut.filter((one) => one.mayPass).map(({ node }) => node));
    const places = standing.order.map((node, place) => ({ node, score: standing.scores[place]! }));
    const seen = places.filter(({ node }) => !unseen.has(node));
    const rest = { ...standing, order: seen.map(({ node }) => node), scores: seen.map(({ score }) => score) };
    return isEquivalentRuling(ruling, rest) ? standing : ruling;
  }

  #kept(id: string, tier: number): KeptRuling | undefined {
    return this.#context.agent.journal.get("ruling", `${id}:${tier}`) as KeptRuling | undefined;
  }
}

function incomplete(id: string, { ruling, leftOut }: Assessment): SuretyError {
  const codes = leftOut.map(({ code }) => code);
  return new SuretyError("EVALUATION_INCOMPLETE", `not all of request ${id} can be had yet`, {
    details: { id, verdict: ruling.verdict, leftOut: codes.join() },
    kind: "retryable",
  });
}
