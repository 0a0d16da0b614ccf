import type { ChainAgent, ChainFold } from "../chain-agent.ts";
import type { AgentConfig } from "../config.ts";
import type { ExecutorConfig } from "../config/executor.ts";
import type { Logger } from "../logger.ts";
import { addAgentGauges } from "./gauges.ts";
import { Health } from "./health.ts";
import type { AgentMetrics } from "./metrics.ts";
import { startMonitoringServer, type MonitoringServer } from "./server.ts";

export type { MonitoringServer } from "./server.ts";

/** What {@link startMonitoring} needs of an agent. */
export interface Monitored {
  metrics: AgentMetrics;
  agent: ChainAgent<ChainFold>;
  logger: Logger;
  isDraining(): boolean;
  /** What runs tasks, as configured. Default: the sandbox of this process. */
  executor?: ExecutorConfig | undefined;
}

/** What is stored to see whether anything can be: always the same, so that it takes no more room. */
const PROBE = new Map([["probe", new TextEncoder().encode("surety\n")]]);
const PROBE_BYTES = 1_024;
/** Less than a check may take in all, milliseconds. */
const ENGINE_MS = 4_000;

/**
 * Begins to tell how an agent is, if its configuration says where.
 *
 * @returns undefined if it does not
 * @throws SuretyError `MONITORING_PORT` (exit 2)
 */
export async function startMonitoring(
  { monitoring, home }: AgentConfig,
  { metrics, agent, logger, isDraining, executor }: Monitored,
): Promise<MonitoringServer | undefined> {
  if (!monitoring) return undefined;
  metrics.addProcess();
  addAgentGauges({ metrics, agent, home, isDraining });
  const health = new Health({
    checks: {
      chain: async ({ signal }) => void (await agent.rpc.request("eth_chainId", [], { signal })),
      storage: async ({ signal }) => {
        const cid = await agent.storage.add(PROBE, { signal });
        await agent.storage.get(cid, { maxBytes: PROBE_BYTES, signal });
      },
      executor: () => executorAnswers(executor),
    },
    lastSign: () => metrics.askedAt,
    isDraining,
  });
  const server = await startMonitoringServer(monitoring, { metrics, health });
  logger.info({ url: server.url }, "tells how it is");
  return server;
}

/** Whether what tasks are run by is there; the sandbox of this process always is. */
async function executorAnswers(config: ExecutorConfig | undefined): Promise<void> {
  switch (config?.kind) {
    case undefined:
    case "wasm":
      return;
    case "docker": {
      const { probeEngine } = await import("../executor/docker/engine.ts");
      await probeEngine({ socket: config.socket, timeoutMs: ENGINE_MS });
      return;
    }
    case "kubernetes": {
      const { connectCluster } = await import("../executor/kubernetes/cluster.ts");
      await connectCluster(config).api(AbortSignal.timeout(ENGINE_MS)).version.getCode();
    }
  }
}
