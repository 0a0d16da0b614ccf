import { readFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import type { Command } from "commander";
import { BATCH_MANIFEST_FILE, buildBatchManifest } from "#sdk/batch-manifest.ts";
import { classNamed, verifyDeployment, type Deployment } from "#sdk/deployment.ts";
import { ExitStatus, SuretyError } from "#sdk/errors.ts";
import { buildJobSpec, JOB_SPEC_FILE, parseJobFile, type JobFile } from "#sdk/job-spec.ts";
import type { Storage } from "#sdk/storage.ts";
import { HttpRpc } from "../../chain/rpc.ts";
import { readKey, type RequesterConfig } from "../../config.ts";
import { WasmExecutor } from "../../executor/wasm-executor.ts";
import { openStorage, readDeployment } from "../../market-agent.ts";
import { newTicketId, putTicket, type JobTicket } from "../../requester/spool.ts";
import { findInputs, readModule, type JobInput, type JobModule } from "../job-content.ts";
import { jobReport, writeOutputs } from "../job-report.ts";
import { progressLine } from "../job-text.ts";
import type { Offer } from "../../requester/jobs.ts";
import { checkOffer, fundsText, offerOf, type Funds } from "../offer.ts";
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
  module: ./tile.wasm              # or bafy…/tile.wasm
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

async function readJobFile(path: string, decimals: number): Promise<JobFile> {
  const text = await readFile(path, "utf8").catch((cause: unknown) => {
    throw new SuretyError("JOB_FILE_UNREADABLE", `the job file ${path} cannot be read: ${(cause as Error).message}`, {
      details: { path },
      fix: "Name a job file; see surety submit --help for one.",
      cause,
      exit: ExitStatus.badInput,
    });
  });
  return parseJobFile(text, { baseFolder: dirname(resolve(path)), decimals });
}

interface CheckedJob {
  module: JobModule;
  inputs: JobInput[];
  offer: Offer;
  funds: Funds;
}

/** Everything that can be wrong, the nearest first: this computer's files, then the chain's view. */
async function checkJob(
  job: JobFile,
  config: RequesterConfig,
  { deployment, storage, signal }: { deployment: Deployment; storage: Storage; signal: AbortSignal },
): Promise<CheckedJob> {
  const secret = await readKey(config.key);
  const module = await readModule(job.module, storage, signal);
  await checkProgram(module.bytes, signal);
  const inputs = await findInputs(job.inputs, storage, signal);
  const offer = offerOf(job, classNamed(deployment, job.class));

  const rpc = new HttpRpc({ urls: config.rpc, chainId: deployment.chainId, retries: 1 });
  await verifyDeployment(rpc, deployment, { signal });
  const funds = await checkOffer(offer, inputs.length, { rpc, deployment, secret, signal });
  return { module, inputs, offer, funds };
}

async function checkProgram(bytes: Uint8Array, signal: AbortSignal): Promise<void> {
  const executor = new WasmExecutor();
  try {
    await executor.check(bytes, { signal });
  } finally {
    await executor.close();
  }
}

async function storeJob(
  job: JobFile,
  { module, inputs, offer }: CheckedJob,
  { config, storage, signal }: { config: RequesterConfig; storage: Storage; signal: AbortSignal },
): Promise<JobTicket> {
  const program = module.stored ?? {
    cid: await storage.add(new Map([[module.name, module.bytes]]), { signal }),
    path: module.name,
  };
  const { name, executor, args, limits } = job;
  const jobSpec = buildJobSpec({ version: 1, name, executor, program, args, limits });
  const spec = await storage.add(new Map([[JOB_SPEC_FILE, jobSpec]]), { signal });
  const cids: string[] = [];
  for (const input of inputs) {
    cids.push(input.kind === "stored" ? input.cid : await storage.add(await input.read(), { signal }));
  }
  const manifest = await storage.add(new Map([[BATCH_MANIFEST_FILE, buildBatchManifest(cids)]]), { signal });
  return {
    ticket: newTicketId(),
    name,
    createdAt: new Date().toISOString(),
    terms: { ...offer, spec },
    manifest,
    count: inputs.length,
    plantShare: job.plant > 0 ? job.plant : config.plantShare,
  };
}
