import { resolve } from "node:path";
import type { Command } from "commander";
import { outputsFolder, tracesFolder } from "../../requester/spool.ts";
import { writeOutputs } from "../job-report.ts";
import { table, taskFailure, usageText } from "../job-text.ts";
import { findRequester, withRequesterOptions, type RequesterChoice } from "../requester-home.ts";
import { runCommand } from "../run-command.ts";
import { requireStatus } from "./status.ts";

/** `surety results`: what a job's tasks came to. */
export function addResultsCommand(program: Command): void {
  withRequesterOptions(
    program
      .command("results")
      .description("List what became of each task of a job and what it used, and write out their outputs.")
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
        const traces = tracesFolder(config.home, ticket);
        const results = status.results ?? [];
        const rows = results.map((task) => [
          `task ${task.task}`,
          task.outcome,
          task.node ?? "",
          taskFailure(task) ?? task.output ?? "",
          usageText(task),
        ]);
        const lines = [table(rows), `outputs in ${outputs}`];
        if (results.some(({ used }) => used)) lines.push(`what nodes say that tasks used, in ${traces}`);
        const text = results.length === 0 ? `no results yet: ${status.state}` : lines.join("\n");
        return { json: { ticket, state: status.state, results, outputs, traces }, text };
      }),
    );
}
