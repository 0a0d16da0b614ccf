import { join } from "node:path";
import { parseAmount } from "#sdk/amount.ts";
import type { Head } from "#sdk/follower.ts";
import { openEmbeddedStorage } from "#sdk/node/embedded-storage.ts";
import { encryptionKeyPair } from "#sdk/seed.ts";
import type { Storage } from "#sdk/storage.ts";
import type { ParticipantConfig } from "../config.ts";
import type { Drain } from "../drain.ts";
import type { Logger } from "../logger.ts";
import { addParticipantGauges } from "../monitoring/gauges.ts";
import type { AgentMetrics } from "../monitoring/metrics.ts";
import { runAgent, type AgentDependencies, type AgentParts } from "../run-agent.ts";
import { Blocks } from "./blocks.ts";
import { commonDuties, judgementDuties, workDuties, type JobPolicy, type ParticipantFacts } from "./duties.ts";
import { Evaluation } from "./evaluation.ts";
import { Housekeeping } from "./housekeeping.ts";
import { Judgement } from "./judgement.ts";
import { Membership } from "./membership.ts";
import type { ParticipantContext, Part } from "./part.ts";
import { Releases } from "./releases.ts";
import { RequestAgent } from "./request-agent.ts";
import { RequestReader } from "./request-reader.ts";
import { Retention } from "./retention.ts";
import { Treasury } from "./treasury.ts";
import { Work } from "./work.ts";

/** What a participant works with beside its configuration. */
export interface ParticipantDependencies extends AgentDependencies {
  /** More to do with the same account, such as to request. */
  parts?: (context: ParticipantContext) => readonly Part[];
}

const DAY_SECONDS = 86_400;

/**
 * Runs a participant in evaluated jobs until its signal aborts: belongs to the trees of schemas, works, evaluates and
 * judges, as the configuration says.
 *
 * @throws SuretyError what {@link RequestAgent.open} throws, and whatever will not pass by itself
 */
export async function runParticipant(config: ParticipantConfig, dependencies: ParticipantDependencies): Promise<void> {
  await runAgent<RequestAgent>(config, dependencies, {
    ...{ name: "participant", workers: config.workers, open: RequestAgent.open, addGauges: addParticipantGauges },
    work: async (parts) => {
      const privateStorage = await openEmbeddedStorage({ folder: join(config.home, "private") });
      try {
        await new Participant(config, { ...parts, privateStorage }, dependencies).run();
      } finally {
        await privateStorage.close();
      }
    },
  });
}

/** See {@link runParticipant}. */
class Participant {
  readonly #agent: RequestAgent;
  readonly #logger: Logger;
  readonly #drain: Drain;
  readonly #metrics: AgentMetrics;
  readonly #parts: readonly Part[];
  readonly #blocks: Blocks;
  readonly #jobs: readonly JobPolicy[];
  readonly #policy: Pick<ParticipantFacts, "challenges" | "maxRequests">;
  #canPay = false;
  /** As of the newest head. */
  #facts: { head: Head; facts: ParticipantFacts } | undefined;

  constructor(
    config: ParticipantConfig,
    { agent, executor, privateStorage, drain, metrics }: AgentParts<RequestAgent> & { privateStorage: Storage },
    { logger, parts = () => [] }: ParticipantDependencies,
  ) {
    this.#agent = agent;
    this.#logger = logger;
    this.#drain = drain;
    this.#metrics = metrics;
    this.#blocks = new Blocks(agent.rpc);
    this.#policy = { challenges: config.challenge === "own", maxRequests: config.maxRequests };
    const { decimals } = agent.deployment.token;
    this.#jobs = config.jobs.map((job) => ({ ...job, minReward: parseAmount(job.minReward, decimals) }));
    const { journal, storage } = agent;
    const keys = encryptionKeyPair(agent.secret);
    const reader = new RequestReader({ agent, keys });
    const releases = new Releases({ storage, executor });
    const mayBegin = (): boolean => this.#canPay && !drain.hasBegun;
    const context: ParticipantContext = {
      ...{ config, agent, keys, executor, privateStorage, releases, reader, logger, metrics },
      evaluation: new Evaluation({ reader, releases, executor, blocks: this.#blocks }),
      treasury: new Treasury(agent, { logger }),
      retention: new Retention({
        ...{ journal, storage, privateStorage, logger },
        keepSeconds: config.keepDays * DAY_SECONDS,
      }),
      signal: drain.ended,
      get mayBegin() {
        return mayBegin();
      },
      facts: (head) => this.#factsAt(head),
    };
    this.#parts = [
      new Membership(context),
      new Work(context),
      new Judgement(context),
      new Housekeeping(context),
      ...parts(context),
    ];
  }

  async run(): Promise<void> {
    const { address, context } = this.#agent;
    this.#logger.info({ address, requests: context.requests }, "participant starts");
    try {
      await this.#drain.during(
        () => this.#agent.run((head) => this.#act(head)),
        () => this.#agent.isIdle && this.#parts.every((part) => part.isIdle),
      );
    } finally {
      await Promise.allSettled(this.#parts.map((part) => part.settled()));
    }
    this.#logger.info({ address }, "participant stopped");
  }

  async #act(head: Head): Promise<void> {
    this.#canPay = await this.#agent.gasMoney.suffices({ signal: this.#drain.ended });
    const facts = await this.#factsAt(head);
    const { state } = this.#agent;
    const duties = [workDuties, judgementDuties, commonDuties].flatMap((find) => find(state, facts));
    this.#metrics.due(duties.map(({ kind }) => kind));
    for (const part of this.#parts) {
      if (this.#drain.ended.aborted) return;
      await part.act(head);
    }
  }

  async #factsAt(head: Head): Promise<ParticipantFacts> {
    if (this.#facts?.head === head) return this.#facts.facts;
    const final = await this.#blocks.at(Math.max(0, head.finalNumber), { signal: this.#drain.ended });
    const facts: ParticipantFacts = {
      me: this.#agent.address,
      now: head.timestamp,
      finalBlock: head.finalNumber,
      finalTime: final.timestamp,
      jobs: this.#jobs,
      ...this.#policy,
    };
    this.#facts = { head, facts };
    return facts;
  }
}
