import { readFileSync } from "node:fs";
import { Command, CommanderError } from "commander";
import { ExitStatus, SuretyError } from "#sdk/errors.ts";
import { addComputeCommand } from "./commands/compute.ts";
import { addDeployCommand } from "./commands/deploy.ts";
import { addDevnetCommand } from "./commands/devnet.ts";
import { addDisputesCommand } from "./commands/disputes.ts";
import { addRequesterCommand } from "./commands/requester.ts";
import { addResultsCommand } from "./commands/results.ts";
import { addStakeCommand } from "./commands/stake.ts";
import { addStatusCommand } from "./commands/status.ts";
import { addSubmitCommand } from "./commands/submit.ts";
import { printError } from "./run-command.ts";

const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as {
  version: string;
};

const program = new Command("surety")
  .description("A market for computation between strangers: post work, run it, spot-check it, settle it.")
  .version(version)
  .showSuggestionAfterError()
  .addHelpText(
    "after",
    `
Start here:
  $ surety devnet                                  a chain, contracts, storage and six nodes on this machine
  $ surety submit job.yaml --wait --out results    in a second terminal

Exit status: 0 done, 1 failed, 2 bad input, 3 something could not be reached, 4 refused, 5 busy.`,
  );

// Before the commands, which inherit it.
program.exitOverride().configureOutput({ outputError: () => {} });

for (const add of [
  addDevnetCommand,
  addSubmitCommand,
  addStatusCommand,
  addResultsCommand,
  addDisputesCommand,
  addComputeCommand,
  addRequesterCommand,
  addStakeCommand,
  addDeployCommand,
]) {
  add(program);
}

try {
  await program.parseAsync();
} catch (error) {
  if (!(error instanceof CommanderError)) throw error;
  if (error.exitCode !== 0) {
    const shown = error.code === "commander.help" ? "no command given" : error.message.replace(/^error: /, "");
    const usage = new SuretyError("USAGE", shown, {
      details: { reason: error.code },
      fix: "See surety --help, or --help after a command.",
      exit: ExitStatus.badInput,
    });
    process.exitCode = printError(usage, process.argv.includes("--json"));
  }
}
