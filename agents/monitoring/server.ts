import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { ExitStatus, SuretyError } from "#sdk/errors.ts";
import { listenPlace, type MonitoringConfig } from "../config/monitoring.ts";
import type { Health, HealthReport } from "./health.ts";
import type { AgentMetrics } from "./metrics.ts";

/** A server that tells how an agent is. */
export interface MonitoringServer {
  /** `http://127.0.0.1:9464`. */
  readonly url: string;
  close(): Promise<void>;
}

/**
 * Serves `/metrics`, `/healthz` and `/readyz`; the last two answer 200 or 503, with a JSON object that says why.
 *
 * @throws SuretyError `MONITORING_PORT` (exit 2) if it cannot listen there
 */
export async function startMonitoringServer(
  { listen }: MonitoringConfig,
  { metrics, health }: { metrics: AgentMetrics; health: Health },
): Promise<MonitoringServer> {
  const server = createServer((request, response) => {
    answer(request, response, { metrics, health }).catch(() => response.writeHead(500).end());
  });
  // Whoever asks is a program on the same machine or network; nobody needs more.
  server.requestTimeout = 10_000;
  server.maxConnections = 32;
  const { host, port } = listenPlace(listen) as { host: string | undefined; port: number };
  await new Promise<void>((resolve, reject) => {
    server.once("error", (cause: NodeJS.ErrnoException) =>
      reject(
        new SuretyError("MONITORING_PORT", `cannot listen on ${listen}: ${cause.code ?? cause.message}`, {
          details: { listen, reason: cause.code },
          fix: "Name an address of this machine and a port that nobody else has, in monitoring.listen.",
          exit: ExitStatus.badInput,
          cause,
        }),
      ),
    );
    server.listen(port, host, resolve);
  });
  const address = server.address() as AddressInfo;
  const shown = address.family === "IPv6" ? `[${address.address}]` : address.address;
  return {
    url: `http://${shown}:${address.port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function answer(
  { method, url }: IncomingMessage,
  response: ServerResponse,
  { metrics, health }: { metrics: AgentMetrics; health: Health },
): Promise<void> {
  if (method !== "GET" && method !== "HEAD") {
    response.writeHead(405, { allow: "GET, HEAD" }).end();
    return;
  }
  switch (url?.split("?")[0]) {
    case "/metrics":
      response.writeHead(200, { "content-type": metrics.registry.contentType }).end(await metrics.text());
      return;
    case "/healthz":
      report(response, health.live());
      return;
    case "/readyz":
      report(response, await health.ready());
      return;
    default:
      response.writeHead(404).end();
  }
}

function report(response: ServerResponse, found: HealthReport): void {
  response
    .writeHead(found.ok ? 200 : 503, { "content-type": "application/json", "cache-control": "no-store" })
    .end(`${JSON.stringify(found)}\n`);
}
