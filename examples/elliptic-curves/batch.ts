import { execFile } from "node:child_process";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join, relative, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs, promisify } from "node:util";
import { SuretyError } from "#sdk/errors.ts";
import { sampledCountOf } from "#sdk/market-state.ts";
import { HttpRpc } from "../../agents/chain/rpc.ts";
import { printError } from "../../agents/cli/run-command.ts";
import { dockerExecutorSchema } from "../../agents/config/executor.ts";
import { Witness } from "../../agents/demo/witness.ts";
import { startDevnet, type Devnet } from "../../agents/devnet/devnet.ts";
import { accountNames } from "../../agents/devnet/devnet-file.ts";
import { readDeployment } from "../../agents/chain-agent.ts";
import { outputsFolder, readStatus, type JobStatus, type TaskStatus } from "../../agents/requester/spool.ts";
import { buildImage, IMAGE_PATH } from "./build-image.ts";
import { checkPlainly, type PlainRun } from "./plain.ts";
import { prepareCurves } from "./prepare.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const mainScript = fileURLToPath(new URL("../../agents/cli/main.ts", import.meta.url));

const HELP = `npm run curves -- [options]

Checks a table of elliptic curves in containers on a market of its own, and plainly, and compares.

  --tasks N    tasks of the batch (default 100)
  --below N    conductors of the curves, at most 500000 (default 10000)
  --rate N     per cent of the tasks that are run again (default 10)
  --nodes N    compute nodes, at least 6 (default 6); three of them get the work
  --socket F   the Docker engine's socket (default: DOCKER_HOST, or /var/run/docker.sock)
  --runtime R  the engine's runtime: runc, runsc (default: the engine's own)
  --home DIR   where everything is kept (default .surety/curves)
  --json       end with one JSON object
  --help       this`;

/** What {@link runBatch} takes. */
export interface BatchOptions {
  tasks: number;
  /** Conductors of the curves. */
  below: number;
  /** Share of the tasks to be run again, per cent. */
  rate: number;
  /** Of compute nodes. The market wants twice a panel of three, so that who works can be checked by others. */
  nodes: number;
  /** The Docker engine's socket. */
  socket: string;
  runtime?: string;
  home: string;
  say: (line: string) => void;
  signal: AbortSignal;
}

/** What a batch came to. */
export interface BatchReport {
  tasks: number;
  /** Isogeny classes of curves. */
  classes: number;
  settled: number;
  sampled: number;
  /** Whether what the market brought is, byte for byte, what the program says when it is run plainly. */
  equal: boolean;
  /** Whether every token is accounted for, and nothing is locked any more. */
  conserved: boolean;
  gasPerTask: number;
  seconds: {
    /** In one process, without container or market. */
    plain: number;
    /** From handing the job in to the last submission: what the work took. */
    computing: number;
    /** From handing the job in to the end, with all windows waited for. */
    settled: number;
  };
  /** Seconds of CPU. */
  cpu: {
    plain: number;
    /** Of all tasks in their containers, by the nodes' traces; checks are not in it. */
    containers: number;
  };
  /** Most bytes of memory of a task. */
  peakMemory: number;
}

/**
 * Runs the whole example: image, inputs, a market with nodes that run containers, a batch until it is settled, and the
 * same plainly.
 *
 * @throws SuretyError what starting the market throws; `EXAMPLE_FAILED` if the job does
 */
export async function runBatch(options: BatchOptions): Promise<BatchReport> {
  const { tasks, below, nodes, home, say, signal, socket, runtime } = options;
  await mkdir(home, { recursive: true });
  say("building the image from Debian's packages");
  const image = await buildImage({ signal });
  say(`  ${(image.tar.length / 2 ** 20).toFixed(1)} MiB, ${image.id}`);
  const inputs = join(home, "inputs");
  const classes = (await prepareCurves({ below, tasks, outFolder: inputs, signal })).reduce((sum, one) => sum + one);
  say(`cut the table: ${classes} isogeny classes of conductor below ${below}, in ${tasks} tasks`);
  say("checking them plainly, in one process");
  const plain = await checkPlainly(inputs, { signal });
  say(`  ${plain.seconds.toFixed(1)} s`);

  let devnet: Devnet | undefined;
  try {
    const executor = dockerExecutorSchema.parse({ kind: "docker", socket, runtime });
    const started = { home: join(home, "devnet"), port: 0, nodes, liars: 0, lazy: 0, executor };
    devnet = await startDevnet({ ...started, onProgress: say, signal });
    return await Promise.race([devnet.failed, throughMarket(devnet, { ...options, classes, plain })]);
  } finally {
    await devnet?.stop();
  }
}

async function throughMarket(
  { file, path }: Devnet,
  options: BatchOptions & { classes: number; plain: PlainRun },
): Promise<BatchReport> {
  const { tasks, home, say, signal, plain, classes } = options;
  const deployment = await readDeployment(file.deployment);
  const witness = new Witness(
    deployment,
    new HttpRpc({ urls: [file.rpc], chainId: file.chainId }),
    accountNames(file),
    say,
  );

  const { home: agentHome } = file.keys.requester;
  const jobFile = await writeJobFile(options);
  say(`submitting ${relative(process.cwd(), jobFile)}`);
  const ticket = await submit(jobFile, path, signal);
  const began = performance.now();
  const since = (): number => (performance.now() - began) / 1000;
  let computing = 0;
  let status: JobStatus | undefined;
  do {
    await sleep(250, undefined, { signal });
    await witness.catchUp();
    status = await readStatus(agentHome, ticket);
    if (computing === 0 && status?.counts.submitted === tasks) computing = since();
  } while (status?.state !== "settled" && status?.state !== "failed");
  const settledAt = since();
  await witness.catchUp();
  if (status.state === "failed") {
    throw new SuretyError("EXAMPLE_FAILED", `the job failed: ${status.error?.code}: ${status.error?.message}`, {
      fix: `Read the agents' logs in ${relative(process.cwd(), home)}.`,
    });
  }
  const results = status.results ?? [];
  const outputs = outputsFolder(agentHome, ticket);
  const found = await Promise.all(
    plain.results.map((_, task) => readFile(join(outputs, String(task), "out/results"), "utf8").catch(() => undefined)),
  );
  const money = await witness.money();
  let sampled = 0;
  for (const record of witness.state.batches.values())
    for (const assignment of record.assignments) sampled += sampledCountOf(record, assignment);
  return {
    ...{ tasks, classes, sampled },
    settled: results.filter(isSettled).length,
    equal: found.every((text, task) => text === plain.results[task]),
    conserved: money.conserved && money.escrow === 0n,
    gasPerTask: Math.round(Number(await witness.gas()) / tasks),
    seconds: { plain: plain.seconds, computing, settled: settledAt },
    cpu: {
      plain: plain.cpuSeconds,
      containers: results.reduce((sum, { used }) => sum + (used?.cpu ?? 0) / 1e6, 0),
    },
    peakMemory: Math.max(0, ...results.map(({ used }) => used?.peakMemory ?? 0)),
  };
}

function isSettled({ outcome, exit }: TaskStatus): boolean {
  return outcome === "paid" && exit !== undefined && "code" in exit && exit.code === 0;
}

/** Writes the job file, beside the inputs. */
async function writeJobFile({ home, rate }: Pick<BatchOptions, "home" | "rate">): Promise<string> {
  const path = join(home, "job.yaml");
  await writeFile(
    path,
    `# Birch and Swinnerton-Dyer for a table of elliptic curves. The curves of some conductors are one task.
name: elliptic curves
image: ${relative(home, IMAGE_PATH)}
inputs: ./inputs
mode: sampled
rate: ${rate}%
quorum: 3
prices: { task: 1, verifier: 1.2 }
maxShare: 34%     # a third, and what is over: three nodes work, the others check
limits: { cpus: 1, memory: 256MiB, processes: 8, seconds: 10m, disk: 1MiB, output: 4MiB, files: 4 }
windows: { claim: 60s, submit: 1h, reveal: 60s, check: 15m, judge: 60s, challenge: 5s }
`,
  );
  return path;
}

/** Submits the job as a person would; what it ends with is the ticket. */
async function submit(jobFile: string, devnetFile: string, signal: AbortSignal): Promise<string> {
  const args = [mainScript, "submit", jobFile, "--devnet", devnetFile, "--json"];
  const { stdout } = await promisify(execFile)(process.execPath, ["--disable-warning=ExperimentalWarning", ...args], {
    signal,
  });
  return (JSON.parse(stdout) as { ticket: string }).ticket;
}

function tell(report: BatchReport, say: (line: string) => void): void {
  const { tasks, classes, settled, sampled, seconds, gasPerTask, cpu, peakMemory } = report;
  const row = (name: string, value: string): void => say(`${name.padEnd(22)} ${value}`);
  say("");
  row("Curves", `${classes} isogeny classes, ${report.equal ? "each as plainly" : "NOT AS PLAINLY"}`);
  row("Tasks", `${settled} of ${tasks} settled, ${sampled} of them run again`);
  const ratio = (value: number, of: number): string => `${(value / of).toFixed(2)} times as much`;
  row("Plainly", `${seconds.plain.toFixed(1)} s, ${cpu.plain.toFixed(1)} s of CPU, in one process`);
  row("In containers", `${cpu.containers.toFixed(1)} s of CPU, ${ratio(cpu.containers, cpu.plain)}`);
  row("Memory", `${(peakMemory / 2 ** 20).toFixed(1)} MiB at most`);
  row("Until all submitted", `${seconds.computing.toFixed(1)} s, ${ratio(seconds.computing, seconds.plain)}`);
  row("Until settled", `${seconds.settled.toFixed(1)} s`);
  row("Gas", `${gasPerTask.toLocaleString("en")} a task, everybody's transactions counted`);
  row("Balances", report.conserved ? "every token is accounted for" : "TOKENS ARE MISSING");
}

async function main(): Promise<void> {
  const socket = (process.env["DOCKER_HOST"] ?? "unix:///var/run/docker.sock").replace(/^unix:\/\//, "");
  const { values } = parseArgs({
    options: {
      tasks: { type: "string", default: "100" },
      below: { type: "string", default: "10000" },
      rate: { type: "string", default: "10" },
      nodes: { type: "string", default: "6" },
      socket: { type: "string", default: socket },
      runtime: { type: "string" },
      home: { type: "string", default: join(root, ".surety", "curves") },
      json: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  const say = (line: string): void => void (values.json || process.stdout.write(`${line}\n`));
  if (values.help) return void process.stdout.write(`${HELP}\n`);
  const stop = new AbortController();
  for (const name of ["SIGINT", "SIGTERM"] as const) process.once(name, () => stop.abort());
  try {
    const [tasks, below, rate, nodes] = [values.tasks, values.below, values.rate, values.nodes].map(Number) as [
      number,
      number,
      number,
      number,
    ];
    const { runtime, home } = values;
    const report = await runBatch({
      tasks,
      below,
      rate,
      nodes,
      socket: values.socket,
      runtime,
      home: resolve(home),
      say,
      signal: stop.signal,
    });
    if (values.json) process.stdout.write(`${JSON.stringify(report)}\n`);
    else tell(report, say);
    process.exitCode = report.equal && report.conserved && report.settled === report.tasks ? 0 : 1;
  } catch (error) {
    process.exitCode = stop.signal.aborted ? 130 : printError(error, values.json);
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main();
