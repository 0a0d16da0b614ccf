import { Command, Option } from "commander";
import { runCommand } from "../cli/run-command.ts";
import { runComputeAgent } from "../compute/agent.ts";
import { readComputeConfig } from "../config.ts";
import { WasmExecutor } from "../executor/wasm-executor.ts";
import { createLogger } from "../logger.ts";
import { dishonestExecutor, type Dishonesty } from "./dishonest-executor.ts";

/* A compute node with a dishonest executor, for devnets and tests. */
const program = new Command("dishonest-node")
  .requiredOption("--config <file>", "as of surety compute")
  .addOption(new Option("--kind <kind>", "how it cheats").choices(["lying", "lazy"]).makeOptionMandatory())
  .option("--share <share>", "share of the tasks it cheats at, 0 to 1", Number, 1)
  .action((options: { config: string; kind: Dishonesty; share: number }) =>
    runCommand({}, async ({ signal }) => {
      const config = await readComputeConfig(options.config);
      const honest = new WasmExecutor({ workers: config.workers });
      const executor = dishonestExecutor(honest, { kind: options.kind, seed: config.home, share: options.share });
      try {
        await runComputeAgent(config, {
          signal,
          logger: createLogger({ agent: options.kind, level: config.logLevel }),
          executor,
          // A cheat knows that it cheated, and spends nothing on insisting.
          rechecker: honest,
        });
      } finally {
        await executor.close();
      }
      return { json: { stopped: true } };
    }),
  );

await program.parseAsync();
