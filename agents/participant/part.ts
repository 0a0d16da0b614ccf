import type { Head } from "#sdk/follower.ts";
import type { EncryptionKeyPair } from "#sdk/seed.ts";
import type { Storage } from "#sdk/storage.ts";
import type { ParticipantConfig } from "../config.ts";
import type { Executor } from "../executor/executor.ts";
import type { Logger } from "../logger.ts";
import type { AgentMetrics } from "../monitoring/metrics.ts";
import type { ParticipantFacts } from "./duties.ts";
import type { Evaluation } from "./evaluation.ts";
import type { Releases } from "./releases.ts";
import type { RequestAgent } from "./request-agent.ts";
import type { RequestReader } from "./request-reader.ts";
import type { Retention } from "./retention.ts";
import type { Treasury } from "./treasury.ts";

/** One of the things that a participant does; all of them share one chain agent. */
export interface Part {
  /**
   * Looks at a new head and takes the steps that are due. What takes time goes on in the background. What it throws and
   * may pass is logged, and the next head is another try.
   */
  act(head: Head): Promise<void>;
  /** Whether nothing that was begun is going on. */
  readonly isIdle: boolean;
  /**
   * Resolves once nothing goes on any more: after the agent's signal has aborted, which ends what goes on.
   */
  settled(): Promise<void>;
}

/** What the parts of a participant share. */
export interface ParticipantContext {
  config: ParticipantConfig;
  agent: RequestAgent;
  /** What is sealed for the account opens with. */
  keys: EncryptionKeyPair;
  executor: Executor;
  /** Content that nobody else may see yet, in the home. */
  privateStorage: Storage;
  releases: Releases;
  reader: RequestReader;
  evaluation: Evaluation;
  treasury: Treasury;
  retention: Retention;
  logger: Logger;
  metrics: AgentMetrics;
  /** Ends what goes on. */
  signal: AbortSignal;
  /** Whether something new may be begun: there is money for gas, and nobody asked the agent to end. */
  readonly mayBegin: boolean;
  /** What decides about what is due, as of a head. */
  facts(head: Head): Promise<ParticipantFacts>;
}
