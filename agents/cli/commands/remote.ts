import { randomUUID } from "node:crypto";
import { resolve } from "node:path";
import { InvalidArgumentError, Option, type Command } from "commander";
import { parseAmount } from "#sdk/amount.ts";
import { ExitStatus, SuretyError } from "#sdk/errors.ts";
import type { ServiceConnection } from "../../service/connection.ts";
import type { Job, JobEvent } from "../../service/messages.ts";
import { table } from "../job-text.ts";
import { budgetText, eventLine, jobsText, jobText, remoteFailure } from "../remote-text.ts";
import { runCommand, type CommandContext, type CommandResult } from "../run-command.ts";

interface Options {
  server: string;
  tokenFile: string;
  ca?: string;
  cert?: string;
  key?: string;
  json?: boolean;
}

interface SubmitOptions extends Options {
  limit?: string;
  idempotencyKey?: string;
  wait?: boolean;
  out?: string;
}

type Work = (service: ServiceConnection, context: CommandContext) => Promise<CommandResult>;

/** `surety remote`: jobs of a requester that runs elsewhere. */
export function addRemoteCommand(program: Command): void {
  const remote = program
    .command("remote")
    .description("Have a requester's service run jobs: no key, no tokens and no chain needed here.")
    .addHelpText(
      "after",
      `
The service's operator says where it is and gives a token. SURETY_SERVER and SURETY_TOKEN_FILE can stand for the options.

Examples:
  $ surety remote submit job.yaml --server 127.0.0.1:7443 --token-file lab.token --wait --out results
  $ surety remote status --server 127.0.0.1:7443 --token-file lab.token
  $ surety remote budget --server compute.example.org:7443 --ca ca.pem --token-file lab.token`,
    );
  const sub = (usage: string, description: string): Command =>
    remote
      .command(usage)
      .description(description)
      .addOption(
        new Option("--server <address>", "host and port of the service, or unix: and the path of its socket")
          .env("SURETY_SERVER")
          .makeOptionMandatory(),
      )
      .addOption(
        new Option("--token-file <file>", "file with the token to call it with")
          .env("SURETY_TOKEN_FILE")
          .makeOptionMandatory(),
      )
      .option("--ca <file>", "authority that the service's certificate is of, PEM")
      .option("--cert <file>", "certificate of this client, PEM, if the service wants one")
      .option("--key <file>", "its private key, PEM")
      .option("--json", "print one JSON object at the end");

  sub("submit <job>", "Upload a job, and have it posted.")
    .option("--limit <tokens>", "the most that it may cost; otherwise what its first batch can")
    .option("--idempotency-key <text>", "submits once, however often it is called with this; otherwise a new one")
    .option("--wait", "wait until it has ended, showing what happens")
    .option("--out <folder>", "write each task's output there; implies --wait")
    .action((path: string, options: SubmitOptions) =>
      run(options, (service, context) => submit(service, path, options, context)),
    );
  sub("status [job]", "Show how far jobs are.").action((job: string | undefined, options: Options) =>
    run(options, async (service, { signal }) => {
      if (job === undefined) {
        const jobs = await allJobs(service, signal);
        return { json: { jobs }, text: jobsText(jobs) };
      }
      const found = await service.getJob(job, { signal });
      return { json: { ...found }, text: jobText(found, (await service.getBudget({ signal })).tokenDecimals) };
    }),
  );
  sub("watch <job>", "Show what happens to a job, until it ends.")
    .option("--after <number>", "only what came after this event", wholeNumber, 0)
    .action((job: string, options: Options & { after: number }) =>
      run(options, async (service, context) => {
        const last = await watch(service, job, options.after, context);
        return { json: { ...(last ?? {}) } };
      }),
    );
  sub("results <job>", "List what became of each task, and write out their outputs.")
    .option("--out <folder>", "write each task's output there")
    .action((job: string, options: Options & { out?: string }) =>
      run(options, async (service, { signal }) => {
        const { tasks, state } = await service.getJob(job, { signal });
        const outputs = options.out === undefined ? undefined : resolve(options.out);
        if (outputs !== undefined) await fetchOutputs(service, job, outputs, signal);
        const rows = tasks.map((task) => [
          `task ${task.task}`,
          task.outcome,
          task.node,
          remoteFailure(task) ?? task.output,
        ]);
        const lines = rows.length === 0 ? ["it has not ended yet"] : [table(rows)];
        if (outputs !== undefined) lines.push(`outputs in ${outputs}`);
        return { json: { job, state, tasks, ...(outputs === undefined ? {} : { outputs }) }, text: lines.join("\n") };
      }),
    );
  sub("cancel <job>", "Have nothing more posted for a job; what is posted runs its course.").action(
    (job: string, options: Options) =>
      run(options, async (service, { signal }) => {
        const found = await service.cancelJob(job, { signal });
        return { json: { ...found }, text: jobText(found, (await service.getBudget({ signal })).tokenDecimals) };
      }),
  );
  sub("budget", "Show what may still be spent.").action((options: Options) =>
    run(options, async (service, { signal }) => {
      const budget = await service.getBudget({ signal });
      return { json: { ...budget }, text: budgetText(budget) };
    }),
  );
}

async function run(options: Options, work: Work): Promise<void> {
  await runCommand(options, async (context) => {
    // gRPC takes a while to load, and no other command needs it.
    const { ServiceConnection } = await import("../../service/connection.ts");
    const { readToken } = await import("../../service/token.ts");
    const { server, ca, cert, key } = options;
    const token = await readToken(options.tokenFile);
    const service = await ServiceConnection.open({ server, token, ca, cert, key });
    try {
      return await work(service, context);
    } finally {
      service.close();
    }
  });
  // gRPC does not give up a handshake that nobody answers, and it would keep this process alive.
  process.exit();
}

async function submit(
  service: ServiceConnection,
  path: string,
  options: SubmitOptions,
  context: CommandContext,
): Promise<CommandResult> {
  const { signal, say } = context;
  const { tokenDecimals } = await service.getBudget({ signal });
  const { readLocalJob, uploadOf } = await import("../../service/local-job.ts");
  const { text, files } = await readLocalJob(path, { decimals: tokenDecimals });
  const spendingLimit = options.limit === undefined ? "" : String(parseAmount(options.limit, tokenDecimals));
  const header = { idempotencyKey: options.idempotencyKey ?? randomUUID(), jobFile: text, spendingLimit };
  say(`uploading ${files.size} files`);
  const { job, repeated } = await service.submit(header, () => uploadOf(files), { signal });
  say(`${repeated ? "was submitted before" : "submitted"} as ${job.id}: ${job.counts.tasks} tasks`);
  if (!options.wait && options.out === undefined) return { json: { job: job.id, tasks: job.counts.tasks, repeated } };

  await watch(service, job.id, 0, context);
  const ended = await service.getJob(job.id, { signal });
  const outputs = options.out === undefined ? undefined : resolve(options.out);
  // Of a job that failed, too: some of its tasks may have results, which were paid.
  if (outputs !== undefined) await fetchOutputs(service, job.id, outputs, signal);
  if (ended.error) {
    throw new SuretyError(ended.error.code, ended.error.message, {
      details: { job: job.id },
      ...(ended.error.fix === "" ? {} : { fix: ended.error.fix }),
      exit: ExitStatus.refused,
    });
  }
  const failures = ended.tasks.map(remoteFailure).filter((line) => line !== undefined);
  const lines = [jobText(ended, tokenDecimals)];
  if (outputs !== undefined) lines.push(`outputs in ${outputs}`);
  return {
    json: { ...ended, failures, ...(outputs === undefined ? {} : { outputs }) },
    text: lines.join("\n"),
    exit: failures.length > 0 ? ExitStatus.failure : 0,
  };
}

/** Tells what happens until the job has ended; returns the last of it. */
async function watch(
  service: ServiceConnection,
  job: string,
  after: number,
  { signal, say }: CommandContext,
): Promise<JobEvent | undefined> {
  let last: JobEvent | undefined;
  for await (const event of service.watch(job, { after, signal })) {
    say(eventLine(event));
    last = event;
  }
  return last;
}

async function fetchOutputs(service: ServiceConnection, job: string, to: string, signal: AbortSignal): Promise<void> {
  const { writeResults } = await import("../../service/received.ts");
  await writeResults(service.fetchResults({ job, tasks: [], maxBytes: 0 }, { signal }), to);
}

async function allJobs(service: ServiceConnection, signal: AbortSignal): Promise<Job[]> {
  const jobs: Job[] = [];
  for (let more = true; more;) {
    const page = await service.listJobs({ after: jobs.at(-1)?.id ?? "", limit: 0 }, { signal });
    jobs.push(...page.jobs);
    more = page.more && page.jobs.length > 0;
  }
  return jobs;
}

function wholeNumber(text: string): number {
  if (!/^\d{1,15}$/.test(text)) throw new InvalidArgumentError("expected a whole number");
  return Number(text);
}
