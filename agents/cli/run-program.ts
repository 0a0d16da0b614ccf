import { CommanderError, type Command } from "commander";
import { ExitStatus, SuretyError } from "#sdk/errors.ts";
import { printError } from "./run-command.ts";

/**
 * Runs what the command line asks for; what is wrong with the command line itself becomes lines and an exit status, too.
 *
 * @param fix Where its help is.
 */
export async function runProgram(program: Command, fix: string): Promise<void> {
  try {
    await program.parseAsync();
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return;
    const shown = error.code === "commander.help" ? "no command given" : error.message.replace(/^error: /, "");
    const usage = new SuretyError("USAGE", shown, {
      details: { reason: error.code },
      fix,
      exit: ExitStatus.badInput,
    });
    process.exitCode = printError(usage, process.argv.includes("--json"));
  }
}
