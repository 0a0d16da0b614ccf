import { resolve } from "node:path";
import type { Command } from "commander";
import { outputsFolder } from "../../requester/spool.ts";
import { writeOutputs } from "../job-report.ts";
import { table, taskFailure } from "../job-text.ts";
import { findRequester, withRequesterOptions, type RequesterChoice } from "../requester-home.ts";
import { runCommand } from "../run-command.ts";
import { requireStatus } from "./status.ts";

/** `surety results`: what a job's tasks came to. */
export function addResultsCommand(program: Command): void {
  withRequesterOptions(
    program
      .command("results")
      .description("List what became of each task of a job, and write out their outputs.")
      .argument("<ticket>", "the ticket that submit printed"),
  )
    .option("--out <folder>", "copy each task's output there")
    .option("--json", "print one JSON object")
    .addHelpText(
      "after",
      `
Examples:
  $ surety results 1795212777524-82798d43
  $ surety results 1795212777524-82798d43 --out results`,
    )
    .action((ticket: string, options: RequesterChoice & { out?: string; json?: boolean }) =>
      runCommand(options, async () => {
        const config = await findRequester(options);
        const status = await requireStatus(config.home, ticket);
        let outputs = outputsFolder(config.home, ticket, config.resultsFolder);
        if (options.out !== undefined) {
          outputs = resolve(options.out);
          await writeOutputs(config, ticket, outputs);
        }
        const results = status.results ?? [];
        const rows = results.map((task) => [
          `task ${task.task}`,
          task.outcome,
          task.node ?? "",
          taskFailure(task) ?? task.output ?? "",
        ]);
        const text = results.length === 0 ? `no results yet: ${status.state}` : `${table(rows)}\noutputs in ${outputs}`;
        return { json: { ticket, state: status.state, results, outputs }, text };
      }),
    );
}
