import type { ChainAgent, ChainAgentOptions, ChainFold } from "./chain-agent.ts";
import type { AgentConfig } from "./config.ts";
import type { ExecutorConfig } from "./config/executor.ts";
import { Drain } from "./drain.ts";
import type { Executor } from "./executor/executor.ts";
import { openExecutor } from "./executor/open-executor.ts";
import type { Logger } from "./logger.ts";
import { AgentMetrics } from "./monitoring/metrics.ts";
import { startMonitoring, type MonitoringServer } from "./monitoring/monitor.ts";
import { version } from "./version.ts";

/** What every agent works with beside its configuration. */
export interface AgentDependencies {
  /**
   * Asks the agent to end: it begins nothing new, finishes what it has begun within the configured `drainSeconds`,
   * leaves the rest for the next start, and returns.
   */
  signal: AbortSignal;
  logger: Logger;
  /** Default: the one that is configured. */
  executor?: Executor;
  /** Default: new ones. */
  metrics?: AgentMetrics;
}

/** What an agent's work is done with, all of it open. */
export interface AgentParts<Agent> {
  agent: Agent;
  /** Measured. */
  executor: Executor;
  drain: Drain;
  metrics: AgentMetrics;
}

/** What one kind of agent does differently from the others. */
export interface AgentKind<Agent> {
  name: "compute" | "participant" | "requester";
  /** How many tasks the sandbox of this process runs at once. */
  workers: number;
  open(options: ChainAgentOptions): Promise<Agent>;
  addGauges(measured: { metrics: AgentMetrics; agent: Agent }): void;
  /** Returns once {@link Drain.ended} of its parts aborts. */
  work(parts: AgentParts<Agent>): Promise<void>;
}

/**
 * Runs an agent until its signal aborts: opens what it works with, has it work, and closes it all. One that is asked to
 * end before it has begun just ends.
 *
 * @throws what opening and working throw, and whatever will not pass by itself
 */
export async function runAgent<Agent extends ChainAgent<ChainFold>>(
  config: AgentConfig & { executor?: ExecutorConfig | undefined },
  { signal: asked, logger, ...given }: AgentDependencies,
  kind: AgentKind<Agent>,
): Promise<void> {
  const { metrics = new AgentMetrics({ agent: kind.name, version }) } = given;
  const drain = new Drain({ seconds: config.drainSeconds, pollMs: config.pollMs }, { asked, logger });
  const signal = drain.ended;
  const bare = given.executor ?? (await openExecutor(config.executor, { home: config.home, workers: kind.workers }));
  const executor = metrics.measured(bare);
  try {
    const agent = await kind.open({ config, logger, signal, metrics });
    let monitoring: MonitoringServer | undefined;
    try {
      // Only now is it certain that no other life of this agent works.
      await bare.recover?.().catch((error: unknown) => logger.warn({ error }, "trouble, trying again"));
      kind.addGauges({ metrics, agent });
      monitoring = await startMonitoring(config, {
        ...{ metrics, agent, logger, executor: config.executor },
        isDraining: () => drain.hasBegun,
      });
      await kind.work({ agent, executor, drain, metrics });
    } finally {
      await monitoring?.close();
      await agent.close();
    }
  } catch (error) {
    if (!signal.aborted || error !== signal.reason) throw error;
  } finally {
    await executor.close();
  }
}
