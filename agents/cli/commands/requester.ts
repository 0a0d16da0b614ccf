import type { Command } from "commander";
import { readRequesterConfig } from "../../config.ts";
import { createLogger } from "../../logger.ts";
import { AgentMetrics } from "../../monitoring/metrics.ts";
import { version } from "../../version.ts";
import { runCommand } from "../run-command.ts";

/** `surety requester`: a requester's agent, until it is stopped. */
export function addRequesterCommand(program: Command): void {
  program
    .command("requester")
    .description(
      "Run a requester's agent: post what `surety submit` hands it, reveal, compare, judge, contest, settle.",
    )
    .requiredOption("--config <file>", "the requester's configuration, YAML or JSON")
    .option("--json", "end with one JSON object")
    .addHelpText(
      "after",
      `
Keep it running while a batch is open: a requester that does not reveal or judge in time pays for everything and
loses its bond. After a stop it goes on where it was, from the journal in its home.

Examples:
  $ surety requester --config requester.yaml

A configuration:
  home: ./requester-home
  rpc: [http://127.0.0.1:8545]
  deployment: ./surety.json
  key: { env: REQUESTER_KEY }
  storage: { kind: embedded, gateways: [http://127.0.0.1:8080], publishTo: http://127.0.0.1:8080, token: … }
  plantShare: 10000     # parts per million
  fetchPatience: 60     # seconds before what nobody serves is contested
  service: { listen: 127.0.0.1:7443 }     # for surety remote, see surety service token`,
    )
    .action((options: { config: string; json?: boolean }) =>
      runCommand(options, async ({ signal }) => {
        const config = await readRequesterConfig(options.config);
        const metrics = new AgentMetrics({ agent: "requester", version });
        const logger = createLogger({
          agent: "requester",
          level: config.logLevel,
          format: config.logFormat,
          onError: (code) => metrics.met(code),
        });
        const { runRequesterAgent } = await import("../../requester/agent.ts");
        await runRequesterAgent(config, { signal, logger, metrics });
        return { json: { stopped: true } };
      }),
    );
}
