import { Command } from "commander";
import { addCheckDeterminismCommand } from "./commands/check-determinism.ts";
import { addComputeCommand } from "./commands/compute.ts";
import { addConsoleCommand } from "./commands/console.ts";
import { addDeployCommand } from "./commands/deploy.ts";
import { addDevnetCommand } from "./commands/devnet.ts";
import { addDisputesCommand } from "./commands/disputes.ts";
import { addDoctorCommand } from "./commands/doctor.ts";
import { addKeyCommand } from "./commands/key.ts";
import { addParticipantCommand } from "./commands/participant.ts";
import { addRemoteCommand } from "./commands/remote.ts";
import { addRequesterCommand } from "./commands/requester.ts";
import { addResultsCommand } from "./commands/results.ts";
import { addReputationCommand } from "./commands/reputation.ts";
import { addSchemaCommand } from "./commands/schema.ts";
import { addServiceCommand } from "./commands/service.ts";
import { addStakeCommand } from "./commands/stake.ts";
import { addStatusCommand } from "./commands/status.ts";
import { addSubmitCommand } from "./commands/submit.ts";
import { version } from "../version.ts";
import { runProgram } from "./run-program.ts";

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
  addCheckDeterminismCommand,
  addReputationCommand,
  addSchemaCommand,
  addConsoleCommand,
  addComputeCommand,
  addParticipantCommand,
  addRequesterCommand,
  addServiceCommand,
  addRemoteCommand,
  addStakeCommand,
  addKeyCommand,
  addDeployCommand,
  addDoctorCommand,
]) {
  add(program);
}

await runProgram(program, "See surety --help, or --help after a command.");
