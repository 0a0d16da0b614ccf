import type { Command } from "commander";
import { readParticipantConfig } from "../../config.ts";
import { createLogger } from "../../logger.ts";
import { AgentMetrics } from "../../monitoring/metrics.ts";
import { version } from "../../version.ts";
import { runCommand } from "../run-command.ts";

/** `surety participant`: a worker, evaluator or admin of evaluated jobs, until it is stopped. */
export function addParticipantCommand(program: Command): void {
  program
    .command("participant")
    .description("Take part in evaluated jobs: work, evaluate, judge, approve others.")
    .requiredOption("--config <file>", "the participant's configuration, YAML or JSON")
    .option("--json", "end with one JSON object")
    .addHelpText(
      "after",
      `
The log goes to standard output, a JSON object a line. Ctrl-C or SIGTERM drains it: it accepts nothing more, finishes
what it has begun within drainSeconds, and ends; the rest it finishes after the next start, from the journal in its home.
A second one ends it at once.

Examples:
  $ surety participant --config participant.yaml

A configuration:
  home: ./participant-home
  rpc: [http://127.0.0.1:8545]
  deployment: ./surety.json
  key: { file: ./participant.key }
  storage: { kind: embedded, gateways: [http://127.0.0.1:8080], publishTo: http://127.0.0.1:8080, token: … }
  jobs:
    - { schema: "0x…", roles: [worker], minReward: 0.5 }
    - { registrant: "0x…", roles: [evaluator, admin], parent: "0x…" }
  funds: 100`,
    )
    .action((options: { config: string; json?: boolean }) =>
      runCommand(options, async ({ signal }) => {
        const config = await readParticipantConfig(options.config);
        const metrics = new AgentMetrics({ agent: "participant", version });
        const logger = createLogger({
          agent: "participant",
          level: config.logLevel,
          format: config.logFormat,
          onError: (code) => metrics.met(code),
        });
        const { runParticipant } = await import("../../participant/agent.ts");
        await runParticipant(config, { signal, logger, metrics });
        return { json: { stopped: true } };
      }),
    );
}
