// A compute node like any other, but for an executor that does what a file in its home says, from task to task:
// see acting-executor.ts.
import { runCommand } from "../../agents/cli/run-command.ts";
import { runComputeAgent } from "../../agents/compute/agent.ts";
import { readComputeConfig } from "../../agents/config.ts";
import { createLogger } from "../../agents/logger.ts";
import { actingExecutor } from "./acting-executor.ts";

const [configFile] = process.argv.slice(2) as [string];
await runCommand({}, async ({ signal }) => {
  const config = await readComputeConfig(configFile);
  const logger = createLogger({ agent: "compute", level: config.logLevel });
  await runComputeAgent(config, { signal, logger, executor: actingExecutor(config) });
  return { json: { stopped: true } };
});
