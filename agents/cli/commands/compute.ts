import type { Command } from "commander";
import { readComputeConfig } from "../../config.ts";
import { createLogger } from "../../logger.ts";
import { AgentMetrics } from "../../monitoring/metrics.ts";
import { version } from "../../version.ts";
import { runCommand } from "../run-command.ts";

/** `surety compute`: a compute node, until it is stopped. */
export function addComputeCommand(program: Command): void {
  program
    .command("compute")
    .description("Run a compute node: claim slices of batches, run them, check others when drawn, be paid.")
    .requiredOption("--config <file>", "the node's configuration, YAML or JSON")
    .option("--json", "end with one JSON object")
    .addHelpText(
      "after",
      `
The log goes to standard output, a JSON object a line. Ctrl-C or SIGTERM drains it: it claims nothing more, finishes
what it claimed within drainSeconds, and ends; the rest it finishes after the next start, from the journal in its home.
A second one ends it at once.

Examples:
  $ surety compute --config node.yaml

A configuration:
  home: ./node-home
  rpc: [http://127.0.0.1:8545]
  deployment: ./surety.json
  key: { file: ./node.key }
  storage: { kind: embedded, gateways: [http://127.0.0.1:8080], publishTo: http://127.0.0.1:8080, token: … }
  class: "0x…"
  stake: 1000
  minPrice: 0.01`,
    )
    .action((options: { config: string; json?: boolean }) =>
      runCommand(options, async ({ signal }) => {
        const config = await readComputeConfig(options.config);
        const metrics = new AgentMetrics({ agent: "compute", version });
        const logger = createLogger({
          agent: "compute",
          level: config.logLevel,
          format: config.logFormat,
          onError: (code) => metrics.met(code),
        });
        const { runComputeAgent } = await import("../../compute/agent.ts");
        await runComputeAgent(config, { signal, logger, metrics });
        return { json: { stopped: true } };
      }),
    );
}
