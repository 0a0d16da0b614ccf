import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { InvalidArgumentError, type Command } from "commander";
import type { Directory } from "#sdk/content.ts";
import { ExitStatus, SuretyError } from "#sdk/errors.ts";
import type { JobFile } from "#sdk/job-file.ts";
import { taskArgs } from "#sdk/job-spec.ts";
import type { Storage } from "#sdk/storage.ts";
import { MAX_INPUT_BYTES, taskLimits } from "../../compute/programs.ts";
import { readAgentConfig, type AgentConfig, type StorageConfig } from "../../config.ts";
import { dockerExecutorSchema, type ExecutorConfig } from "../../config/executor.ts";
import { repeatTask, type Repetition } from "../../executor/determinism.ts";
import type { TaskInput } from "../../executor/executor.ts";
import { openExecutor } from "../../executor/open-executor.ts";
import { openStorage } from "../../chain-agent.ts";
import { findImage, programOfImage } from "../../requester/job-image.ts";
import { findInputs, readModule, type JobInput } from "../../requester/job-content.ts";
import { readJobFile } from "../../requester/job-file.ts";
import { repetitionJson, repetitionText } from "../determinism-text.ts";
import { runCommand, type CommandContext, type CommandResult } from "../run-command.ts";

interface Options {
  runs: number;
  task?: number[];
  config?: string;
  socket?: string;
  runtime?: string;
  json?: boolean;
}

/** Most runs of a task. */
const MOST_RUNS = 1000;

/** `surety check-determinism`: whether a job's tasks come to the same in every run, which nodes are held to. */
export function addCheckDeterminismCommand(program: Command): void {
  program
    .command("check-determinism")
    .description("Run a job's tasks several times on this machine, and say what differed. Posts nothing.")
    .argument("<job>", "the job file, YAML or JSON")
    .option("--runs <n>", "how often to run each task", whole(2, MOST_RUNS), 3)
    .option("--task <k...>", "only these tasks, by their places in the inputs from 0 (default: all)", addTask)
    .option("--config <file>", "an agent's configuration: its storage is what the job's content ids are fetched from")
    .option(
      "--socket <path>",
      "the Docker engine's socket, for images (default: the agent's, DOCKER_HOST, or the usual)",
    )
    .option("--runtime <name>", "the engine's runtime, such as runsc (default: the agent's, or the engine's own)")
    .option("--json", "print one JSON object")
    .addHelpText(
      "after",
      `
Exit status: 0 all runs of each task are the same, 1 some differ. The same here is no proof that it is the same on
another machine; different here is different everywhere.

Examples:
  $ surety check-determinism job.yaml
  $ surety check-determinism job.yaml --runs 10 --task 0 7
  $ surety check-determinism job.yaml --runtime runsc`,
    )
    .action((jobFile: string, options: Options) =>
      runCommand(options, (context) => checkDeterminism(jobFile, options, context)),
    );
}

async function checkDeterminism(path: string, options: Options, context: CommandContext): Promise<CommandResult> {
  const { signal, say } = context;
  const job = await readJobFile(path);
  const home = await mkdtemp(join(tmpdir(), "surety-check-"));
  const agent = options.config === undefined ? undefined : await readAgentConfig(options.config);
  const executor = await openExecutor(executorOf(job, agent, options), { home, workers: 1 });
  let storage: Storage | undefined;
  try {
    // The agent's, or one with nothing in it.
    storage = await (agent ? openStorage(agent.storage, agent.home) : openStorage(NO_STORAGE, home));
    const inputs = await findInputs(job.inputs, storage, signal);
    const chosen = chooseTasks(options.task, inputs.length);
    const program = await programOf(job, storage, signal);
    const limits = taskLimits(job);
    await executor.check(program, { signal, limits });
    const found: [number, Repetition][] = [];
    for (const index of chosen) {
      const input = await readInput(inputs[index]!, storage, signal);
      // Program and limits are of the job's kind, which no type can tell here.
      const task = { program, index, input, args: taskArgs(job.args, index), limits } as TaskInput;
      const repetition = await repeatTask(executor, task, { runs: options.runs, signal });
      say(repetitionText(index, repetition));
      found.push([index, repetition]);
    }
    const differing = found.filter(([, { differences }]) => differences.length > 0).length;
    return {
      json: { same: differing === 0, tasks: found.map(([index, repetition]) => repetitionJson(index, repetition)) },
      text: differing === 0 ? `${found.length} tasks: the same` : `${differing} of ${found.length} tasks differ`,
      exit: differing === 0 ? 0 : ExitStatus.failure,
    };
  } finally {
    await executor.close();
    await storage?.close();
    await rm(home, { recursive: true, force: true });
  }
}

const NO_STORAGE: StorageConfig = { kind: "embedded", gateways: [] };

/** What runs a job here: for images the agent's engine or cluster, or another engine that was named. */
function executorOf(job: JobFile, agent: AgentConfig | undefined, { socket, runtime }: Options): ExecutorConfig {
  if (job.executor === "wasm") return { kind: "wasm" };
  const configured = agent && "executor" in agent ? (agent.executor as ExecutorConfig | undefined) : undefined;
  if (configured?.kind === "kubernetes" && socket === undefined && runtime === undefined) return configured;
  const host = process.env["DOCKER_HOST"];
  const usual = host?.startsWith("unix://") ? { socket: host.slice("unix://".length) } : {};
  const base = configured?.kind === "docker" ? configured : dockerExecutorSchema.parse({ kind: "docker", ...usual });
  return { ...base, ...(socket === undefined ? {} : { socket }), ...(runtime === undefined ? {} : { runtime }) };
}

async function programOf(job: JobFile, storage: Storage, signal: AbortSignal): Promise<TaskInput["program"]> {
  if (job.executor === "wasm") return (await readModule(job.module, storage, signal)).bytes;
  return programOfImage(job, await findImage(job.image, storage, signal), storage);
}

async function readInput(input: JobInput, storage: Storage, signal: AbortSignal): Promise<Directory> {
  return input.kind === "local" ? input.read() : storage.get(input.cid, { maxBytes: MAX_INPUT_BYTES, signal });
}

/** The places of the tasks to run, each once and in order. */
function chooseTasks(wanted: readonly number[] | undefined, count: number): number[] {
  if (wanted === undefined) return Array.from({ length: count }, (_, index) => index);
  const beyond = wanted.find((index) => index >= count);
  if (beyond === undefined) return [...new Set(wanted)].sort((a, b) => a - b);
  throw new SuretyError("TASK_UNKNOWN", `the job has no task ${beyond}`, {
    details: { task: beyond, tasks: count },
    fix: count === 1 ? "It has one, task 0." : `They are numbered from 0 to ${count - 1}.`,
    exit: ExitStatus.badInput,
  });
}

function whole(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = /^\d{1,9}$/.test(text) ? Number(text) : NaN;
    if (value >= least && value <= most) return value;
    throw new InvalidArgumentError(`expected a whole number from ${least} to ${most}`);
  };
}

function addTask(text: string, earlier: number[] = []): number[] {
  return [...earlier, whole(0, 999_999_999)(text)];
}
