import { resolve } from "node:path";
import type { Command } from "commander";
import { openStorage, readDeployment } from "../../chain-agent.ts";
import { fundsText } from "../../requester/offer.ts";
import { putTicket, type JobTicket } from "../../requester/spool.ts";
import { checkJob, storeJob } from "../../requester/submission.ts";
import { readJobFile } from "../../requester/job-file.ts";
import { jobReport, writeOutputs } from "../job-report.ts";
import { progressLine } from "../job-text.ts";
import { agentRuns, findRequester, withRequesterOptions, type RequesterChoice } from "../requester-home.ts";
import { runCommand, type CommandContext, type CommandResult } from "../run-command.ts";
import { failure, waitForJob } from "../wait.ts";

interface Options extends RequesterChoice {
  wait?: boolean;
  out?: string;
  json?: boolean;
}

/** `surety submit`: checks a job, stores what it needs and hands it to the requester's agent. */
export function addSubmitCommand(program: Command): void {
  withRequesterOptions(
    program
      .command("submit")
      .description("Check a job, store its program and inputs, and have the requester's agent post it.")
      .argument("<job>", "the job file, YAML or JSON"),
  )
    .option("--wait", "wait until it is settled, showing how far it is")
    .option("--out <folder>", "write each task's output there; implies --wait")
    .option("--json", "print one JSON object at the end")
    .addHelpText(
      "after",
      `
Everything is checked before anything is stored or posted: the file, the program, the inputs, the terms, the money.

Examples:
  $ surety submit job.yaml --wait --out results
  $ surety submit job.yaml --home ./requester-home --json

A job file:
  module: ./tile.wasm              # or bafy…/tile.wasm; or image: ./tool.tar, name@sha256:…
  args: ["--tile", "{index}"]
  inputs: ./inputs                 # one file or folder a task; or a list
  mode: sampled                    # or trusted, replicated
  rate: 3%
  prices: { task: 0.01 }
  limits: { fuel: 2G, memory: 64MiB, seconds: 30s, output: 1MiB }`,
    )
    .action((jobFile: string, options: Options) => runCommand(options, (context) => submit(jobFile, options, context)));
}

async function submit(jobFile: string, options: Options, context: CommandContext): Promise<CommandResult> {
  const { signal, say } = context;
  const config = await findRequester(options);
  const deployment = await readDeployment(config.deployment);
  const job = await readJobFile(jobFile, deployment.token.decimals);
  const storage = await openStorage(config.storage, config.home);
  let ticket: JobTicket;
  try {
    say("checking");
    const checked = await checkJob(job, config, { deployment, storage, signal });
    say(fundsText(checked.funds, deployment));
    say(`storing the program and ${checked.inputs.length} inputs`);
    ticket = await storeJob(job, checked, { config, storage, signal });
  } finally {
    await storage.close();
  }
  await putTicket(config.home, ticket);
  say(`submitted as ${ticket.ticket}: ${ticket.count} tasks`);

  if (!options.wait && options.out === undefined) {
    const posting = agentRuns(config.home);
    const text = posting
      ? `See surety status ${ticket.ticket}.`
      : "No requester's agent runs in this home: it is posted once one does. Start surety requester, or submit with --wait.";
    return { json: { ticket: ticket.ticket, tasks: ticket.count, agent: posting }, text };
  }
  const status = await waitForJob(config, ticket.ticket, {
    signal,
    onStatus: (each) => say(progressLine(each)),
    onOwnAgent: () => say("no requester's agent runs in this home: running one here"),
  });
  const folder = options.out === undefined ? undefined : resolve(options.out);
  // Of a job that failed, too: some of its tasks may have results, which were paid.
  if (folder !== undefined) await writeOutputs(config, ticket.ticket, folder);
  if (status.state === "failed") throw failure(status);
  return jobReport(status, folder);
}
