import { Command } from "commander";
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

/** Each with its module, which is loaded for that command alone: an agent keeps for its life what was loaded for it. */
const COMMANDS: Record<string, () => Promise<(program: Command) => void>> = {
  devnet: async () => (await import("./commands/devnet.ts")).addDevnetCommand,
  submit: async () => (await import("./commands/submit.ts")).addSubmitCommand,
  status: async () => (await import("./commands/status.ts")).addStatusCommand,
  results: async () => (await import("./commands/results.ts")).addResultsCommand,
  disputes: async () => (await import("./commands/disputes.ts")).addDisputesCommand,
  "check-determinism": async () => (await import("./commands/check-determinism.ts")).addCheckDeterminismCommand,
  reputation: async () => (await import("./commands/reputation.ts")).addReputationCommand,
  schema: async () => (await import("./commands/schema.ts")).addSchemaCommand,
  console: async () => (await import("./commands/console.ts")).addConsoleCommand,
  compute: async () => (await import("./commands/compute.ts")).addComputeCommand,
  participant: async () => (await import("./commands/participant.ts")).addParticipantCommand,
  requester: async () => (await import("./commands/requester.ts")).addRequesterCommand,
  service: async () => (await import("./commands/service.ts")).addServiceCommand,
  remote: async () => (await import("./commands/remote.ts")).addRemoteCommand,
  stake: async () => (await import("./commands/stake.ts")).addStakeCommand,
  key: async () => (await import("./commands/key.ts")).addKeyCommand,
  deploy: async () => (await import("./commands/deploy.ts")).addDeployCommand,
  doctor: async () => (await import("./commands/doctor.ts")).addDoctorCommand,
};

const wanted = process.argv[2] ?? "";
const named = Object.hasOwn(COMMANDS, wanted) ? [COMMANDS[wanted]!] : Object.values(COMMANDS);
for (const add of await Promise.all(named.map((load) => load()))) add(program);

await runProgram(program, "See surety --help, or --help after a command.");
