import { join } from "node:path";
import type { Command } from "commander";
import { readParticipantConfig } from "../../config.ts";
import { printError, runCommand } from "../run-command.ts";

interface Options {
  config?: string;
}

/** `surety console`: registers jobs and requests them, line by line. */
export function addConsoleCommand(program: Command): void {
  program
    .command("console")
    .description("Register evaluated jobs, approve who applies for them, and request them, line by line.")
    .argument("[network]", "what to connect to: a devnet's folder, a configuration, an address book, or a name of one")
    .option("--config <file>", "a participant's configuration, whose account address books are used with")
    .addHelpText(
      "after",
      `
While it is open it approves those who apply for the jobs that its account registered. Lines can be piped in; the exit
status says then whether all of them succeeded.

Examples:
  $ surety devnet --home .surety/AIN --participants 15 --nodes 0      in another terminal
  $ surety console
  $ connect AIN
  AIN> registerJob job_schema.proto worker.wasm evaluator.wasm
  AIN> requestJob {job_id: 0x…, job_input: {y: 4}, reward: [10, 10], time_limit: 3000}`,
    )
    .action((network: string | undefined, options: Options) =>
      runCommand({}, async ({ signal }) => {
        const { runConsole } = await import("../../console/console.ts");
        const isTerminal = process.stdin.isTTY && process.stdout.isTTY;
        const failures = await runConsole({
          ...(options.config === undefined ? {} : { config: await readParticipantConfig(options.config) }),
          ...(network === undefined ? {} : { network }),
          ...(isTerminal ? { history: join(".surety", "console-history") } : {}),
          ...{ input: process.stdin, output: process.stdout, isTerminal, signal },
          complain: (error) => void printError(error, false),
        });
        return { json: { failures }, exit: !isTerminal && failures > 0 ? 1 : 0 };
      }),
    );
}
