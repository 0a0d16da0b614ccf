import { createHash, randomBytes } from "node:crypto";
import type { V1Pod } from "@kubernetes/client-node";
import { systemClock, type Clock } from "#sdk/clock.ts";
import { ExitStatus, SuretyError } from "#sdk/errors.ts";
import { decodeTrace, MAX_TRACE_BYTES, summariseTrace, type ResourceTrace } from "#sdk/resource-trace.ts";
import type { KubernetesExecutorConfig } from "../config/kubernetes-executor.ts";
import { LABEL, type TaskNames } from "./docker/confinement.ts";
import { readOutputs, type Outputs } from "./docker/outputs.ts";
import type {
  CheckOptions,
  ContainerProgramInfo,
  ContainerTask,
  ContainerTaskLimits,
  Executor,
  RunOptions,
  TaskExit,
  TaskInput,
  TaskOutcome,
} from "./executor.ts";
import { inputTar } from "./input-tar.ts";
import { clusterError, connectCluster, refusal, type Cluster } from "./kubernetes/cluster.ts";
import { ask, tell, type PodCommand } from "./kubernetes/command.ts";
import { jobName, taskJob, writtenBytes, type TaskJob } from "./kubernetes/manifest.ts";
import { CONTAINER, stateOf, type PodState } from "./kubernetes/pod-state.ts";
import { Sightings } from "./kubernetes/sightings.ts";
import { checkTask } from "./task.ts";

/** What a {@link KubernetesExecutor} is told: the configuration, and who it works for. */
export interface KubernetesExecutorOptions extends Omit<KubernetesExecutorConfig, "kind"> {
  /**
   * Names the agent in the cluster, the same in all its lives and another's in none: what it left behind is found by it.
   * Lower-case letters and digits, 8 to 63.
   */
  owner: string;
}

/** A task that a cluster can be given. */
type ClusterTask = TaskJob["task"];

/** A pod may take so much longer than its program, milliseconds: its end must be seen, and told. */
const END_MS = 120_000;
/** The pods of an earlier life may take so long to end, milliseconds. */
const GONE_MS = 60_000;
/**
 * Tries to bring the input, or to fetch the output, before a task is given up; between two of them the pod is looked at,
 * which waits for an API server that is away.
 */
const TRIES = 6;
/** What a rehearsal showed counts for so long, milliseconds. */
const REHEARSED_MS = 600_000;

/**
 * Runs tasks as Jobs of a Kubernetes cluster: one node of the market that is many machines. Each task has a pod of its
 * own, see `kubernetes/manifest.ts` and docs/kubernetes.md.
 *
 * @example
 * ```ts
 * const config = kubernetesExecutorSchema.parse({ kind: "kubernetes", namespace: "surety", carrier: "…@sha256:…" });
 * const executor = new KubernetesExecutor({ ...config, owner: "0f3c9a1b77d2e845" });
 * const outcome = await executor.run({
 *   program: { image: { reference: "debian@sha256:…" }, entrypoint: ["/usr/bin/sha256sum"] },
 *   args: ["/in/data"],
 *   index: 7,
 *   input: new Map([["data", bytes]]),
 *   limits: { cpus: 1, memoryBytes: 1 << 28, processes: 16, seconds: 60, diskBytes: 0, outputBytes: 1 << 20, files: 16 },
 * });
 * await executor.close();
 * ```
 */
export class KubernetesExecutor implements Executor {
  readonly runtime = "container";
  readonly #options: KubernetesExecutorOptions;
  readonly #cluster: Cluster;
  readonly #sightings: Sightings;
  readonly #clock: Pick<Clock, "now">;
  readonly #closing = new AbortController();
  /** Tasks that run, by name. */
  readonly #running = new Map<string, Promise<unknown>>();
  /** What was rehearsed, and when, by what it was. */
  readonly #rehearsed = new Map<string, { at: number; info: ContainerProgramInfo }>();
  #recovery: Promise<void> | undefined;
  /** Something may be left in the cluster, of an earlier life or of a removal that failed. */
  #owes = true;

  /** @throws SuretyError `CLUSTER_UNKNOWN`, `CONFIG_INVALID` */
  constructor(options: KubernetesExecutorOptions, { clock = systemClock }: { clock?: Pick<Clock, "now"> } = {}) {
    const { owner, namespace } = options;
    if (!/^[a-z0-9]{8,63}$/.test(owner)) {
      throw new SuretyError("CONFIG_INVALID", `owner is ${owner}, expected 8 to 63 lower-case letters and digits`);
    }
    this.#options = options;
    this.#clock = clock;
    this.#cluster = connectCluster(options);
    this.#sightings = new Sightings(this.#cluster, { namespace, owner });
  }

  async recover(): Promise<void> {
    this.#recovery ??= this.#removeLeftovers().finally(() => (this.#recovery = undefined));
    return this.#recovery;
  }

  async #removeLeftovers(): Promise<void> {
    const { namespace, owner } = this.#options;
    const labelSelector = `${LABEL.owner}=${owner}`;
    const never = new AbortController().signal;
    try {
      const { items } = await this.#cluster.api().batch.listNamespacedJob({ namespace, labelSelector });
      for (const { metadata } of items) {
        if (!this.#running.has(metadata?.labels?.[LABEL.task] ?? "")) await this.#remove(metadata!.name!);
      }
      let left: string[] | undefined;
      const since = performance.now();
      do {
        const tasks = await this.#sightings.next(never);
        left = (left ?? [...tasks.keys()].filter((task) => !this.#running.has(task))).filter((task) => tasks.has(task));
        if (performance.now() - since > GONE_MS) {
          throw failed(`${left.length} pods of an earlier life do not end`, { tasks: left.join(", ") });
        }
      } while (left.length > 0);
      this.#owes = false;
    } catch (error) {
      throw clusterError(error, this.#cluster.server);
    }
  }

  async check(program: TaskInput["program"], options: CheckOptions = {}): Promise<ContainerProgramInfo> {
    if (program instanceof Uint8Array) throw unsuitable("the program is WebAssembly, this executor runs images");
    const signal = this.#signal(options.signal);
    const limits = options.limits && "cpus" in options.limits ? options.limits : LEAST_LIMITS;
    const task = this.#accepted({ program, args: [], index: 0, input: new Map(), limits });
    const { image, gpu } = task.program;
    const key = JSON.stringify([image, gpu, limits]);
    const known = this.#rehearsed.get(key);
    if (known !== undefined && this.#clock.now() - known.at < REHEARSED_MS) return known.info;
    // Only what is finished is kept: nobody waits for what another's signal may end.
    const info = await this.#rehearse(task, signal);
    for (const [other, { at }] of this.#rehearsed) {
      if (this.#clock.now() - at >= REHEARSED_MS) this.#rehearsed.delete(other);
    }
    this.#rehearsed.set(key, { at: this.#clock.now(), info });
    return info;
  }

  async run(task: TaskInput, options: RunOptions = {}): Promise<TaskOutcome> {
    if (task.program instanceof Uint8Array) throw unsuitable("the program is WebAssembly, this executor runs images");
    checkTask(task);
    const accepted = this.#accepted(task as ContainerTask);
    const signal = this.#signal(options.signal);
    return this.#inJob(accepted, "task", signal, async (pod, { exit, milliseconds }) => {
      // How far it came until a limit depends on the machine, so none of it is kept.
      if (!("code" in exit)) return outcome({ exit }, milliseconds);
      const result = await this.#outputs(pod, accepted.limits, signal);
      return outcome("exit" in result ? result : { exit, ...result }, milliseconds);
    });
  }

  async close(): Promise<void> {
    this.#closing.abort(new SuretyError("EXECUTOR_CLOSED", "the executor is closed"));
    await Promise.all(this.#running.values());
  }

  #signal(signal: AbortSignal | undefined): AbortSignal {
    const closing = this.#closing.signal;
    const both = signal ? AbortSignal.any([closing, signal]) : closing;
    both.throwIfAborted();
    return both;
  }

  /** @throws SuretyError `EXECUTOR_UNSUITABLE`, `GPU_UNAVAILABLE`: what is known without asking the cluster */
  #accepted(task: ContainerTask): ClusterTask {
    const { program, limits } = task;
    const { image, entrypoint, gpu } = program;
    const { maxCpus = Infinity, maxMemoryBytes = Infinity, maxProcesses, gpus } = this.#options;
    if (!("reference" in image)) {
      throw unsuitable("the job's image is a tar in storage: clusters take images from registries only");
    }
    if (entrypoint === undefined) {
      throw unsuitable("the job leaves it to its image what to run: in a cluster it must say so itself (entrypoint)");
    }
    if (limits.cpus > maxCpus) throw unsuitable(`the job wants ${limits.cpus} CPUs, this node offers ${maxCpus}`);
    const wanted = limits.memoryBytes + writtenBytes(task);
    if (wanted > maxMemoryBytes) {
      throw unsuitable(
        `the job wants ${wanted} bytes for memory, output and scratch, this node offers ${maxMemoryBytes}`,
      );
    }
    if (limits.processes > maxProcesses) {
      throw unsuitable(`the job wants ${limits.processes} processes, this node offers ${maxProcesses}`);
    }
    if (gpu && (gpus === undefined || gpu.count > gpus.count || (gpu.memory ?? 0) > (gpus.memory ?? 0))) {
      const offered = gpus ? `${gpus.count} of ${gpus.memory ?? "unknown"} bytes` : "none";
      throw new SuretyError("GPU_UNAVAILABLE", `the job wants ${gpu.count} GPUs, this node offers ${offered}`, {
        details: { wanted: gpu.count, memory: gpu.memory, offered: gpus?.count ?? 0 },
        fix: "Leave it to other hosts, or name the cluster's GPUs in the configuration: executor.gpus.",
        exit: ExitStatus.badInput,
      });
    }
    return { ...task, program: { ...program, image, entrypoint } };
  }

  /** Has the cluster find a place for such a task, pull its image and begin its container, but not its program. */
  async #rehearse(task: ClusterTask, signal: AbortSignal): Promise<ContainerProgramInfo> {
    const { image, gpu } = task.program;
    try {
      return await this.#inJob(task, "rehearsal", signal, () =>
        Promise.resolve({ imageId: image.reference.slice(image.reference.indexOf("@") + 1), bytes: 0 }),
      );
    } catch (error) {
      if (!(error instanceof Unplaced)) throw error;
      const code = gpu ? "GPU_UNAVAILABLE" : "EXECUTOR_UNSUITABLE";
      throw new SuretyError(code, `the cluster finds no place for the job: ${error.message}`, {
        details: error.details,
        fix: "Leave it to other hosts, or add machines to the cluster.",
        exit: ExitStatus.badInput,
        cause: error,
      });
    }
  }

  /** Runs a task's Job from its making to its removal. */
  async #inJob<T>(
    task: ClusterTask,
    purpose: TaskJob["purpose"],
    signal: AbortSignal,
    read: (pod: V1Pod, end: PodState & { at: "ended" }) => Promise<T>,
  ): Promise<T> {
    const names = { owner: this.#options.owner, task: randomBytes(12).toString("hex") };
    const running = (async () => {
      if (this.#owes) await this.recover();
      try {
        const input = await inputTar(task.input);
        await this.#make({ task, names, config: this.#options, purpose, inputBytes: input.length }, signal);
        const { pod, end } = await this.#ended(names, input, task.limits, signal);
        return await read(pod, end);
      } catch (error) {
        // Whatever broke because of it.
        if (signal.aborted) throw signal.reason;
        throw clusterError(error, this.#cluster.server);
      } finally {
        await this.#remove(jobName(names)).catch(() => {
          this.#owes = true;
        });
      }
    })();
    this.#running.set(
      names.task,
      running.catch(() => undefined),
    );
    try {
      return await running;
    } finally {
      this.#running.delete(names.task);
    }
  }

  async #make(job: TaskJob, signal: AbortSignal): Promise<void> {
    const { namespace } = this.#options;
    await this.#cluster.api(signal).batch.createNamespacedJob({ namespace, body: taskJob(job) });
  }

  /** Brings a task its input once it waits for it, and waits until it has ended. */
  async #ended(
    names: TaskNames,
    input: Uint8Array,
    limits: ContainerTaskLimits,
    signal: AbortSignal,
  ): Promise<{ pod: V1Pod; end: PodState & { at: "ended" } }> {
    const { startSeconds } = this.#options;
    let since = performance.now();
    let [isFed, hasBegun, wasSeen, tries] = [false, false, false, 0];
    for (;;) {
      const pod = (await this.#sightings.next(signal)).get(names.task);
      if (pod === undefined && wasSeen) throw failed("the pod is gone", { task: names.task });
      wasSeen = pod !== undefined;
      const state: PodState = pod === undefined ? { at: "waiting", why: "there is no pod yet" } : stateOf(pod);
      switch (state.at) {
        case "ended":
          return { pod: pod!, end: state };
        case "lost":
          throw lost(state, names);
        case "intake":
          if (isFed) break;
          try {
            await this.#feed(pod!, input, signal);
            isFed = true;
          } catch (error) {
            signal.throwIfAborted();
            tries += 1;
            const reason = (error as Error).message;
            // It may have got in before the connection broke: then the pod goes on.
            if (tries === TRIES) throw failed(`the input did not get into the pod: ${reason}`, { reason }, error);
          }
          break;
        case "running":
          if (!hasBegun) since = performance.now();
          hasBegun = true;
          break;
        case "waiting":
          break;
      }
      const waited = performance.now() - since;
      if (hasBegun && waited > limits.seconds * 1000 + END_MS) {
        throw failed("the task's container does not end: its machine may be lost", { task: names.task });
      }
      if (!hasBegun && waited > startSeconds * 1000) {
        const unplaced = state.at === "waiting" && (state.unschedulable ?? pod === undefined);
        const why = (state.at === "waiting" && pod && state.why) || (await this.#complaint(names, signal));
        const problem = `the task has not begun in ${startSeconds} seconds: ${why}`;
        throw unplaced ? new Unplaced(problem, names) : failed(problem, { task: names.task });
      }
    }
  }

  /** What the cluster says of a Job that has no pod: of a quota, of an admission that was refused. */
  async #complaint({ task }: TaskNames, signal: AbortSignal): Promise<string> {
    const { namespace } = this.#options;
    const fieldSelector = `involvedObject.name=${jobName({ task })},type=Warning`;
    const events = await this.#cluster
      .api(signal)
      .core.listNamespacedEvent({ namespace, fieldSelector })
      .catch(() => ({ items: [] }));
    return events.items.at(-1)?.message ?? "the cluster does not say why";
  }

  async #feed(pod: V1Pod, input: Uint8Array, signal: AbortSignal): Promise<void> {
    const sha256 = createHash("sha256").update(input).digest("hex");
    const command = this.#in(pod, CONTAINER.intake, ["take", String(input.length), sha256]);
    await tell(this.#cluster, command, input, signal);
  }

  async #outputs(
    pod: V1Pod,
    { outputBytes, files }: ContainerTaskLimits,
    signal: AbortSignal,
  ): Promise<Omit<TaskOutcome, "exit" | "usage"> | { exit: TaskExit }> {
    const read = (what: "streams" | "out", limits: { bytes: number; files: number }): Promise<Outputs> =>
      this.#again(pod, signal, async () =>
        readOutputs(await ask(this.#cluster, this.#in(pod, CONTAINER.keeper, ["give", what]), signal), limits),
      );
    const streams = await read("streams", { bytes: outputBytes + MAX_TRACE_BYTES, files: 3 });
    if ("exit" in streams) return streams;
    const [stdout, stderr] = ["stdout", "stderr"].map((name) => streams.files.get(name) ?? new Uint8Array(0));
    const bytes = outputBytes - stdout!.length - stderr!.length;
    if (bytes < 0) return { exit: { limit: "output" } };
    const written = await read("out", { bytes, files });
    if ("exit" in written) return written;
    return { stdout: stdout!, stderr: stderr!, files: written.files, trace: traceIn(streams.files.get("trace")) };
  }

  /** Fetches what may fail to come with the connection, as long as the pod that has it is there. */
  async #again<T>(pod: V1Pod, signal: AbortSignal, fetch: () => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await fetch();
      } catch (error) {
        signal.throwIfAborted();
        const seen = (await this.#sightings.next(signal)).get(pod.metadata!.labels![LABEL.task]!);
        if (seen !== undefined && stateOf(seen).at !== "lost" && attempt < TRIES) continue;
        const reason = (error as Error).message;
        throw failed(`the output did not get out of the pod: ${reason}`, { reason }, error);
      }
    }
  }

  #in(pod: V1Pod, container: string, words: string[]): PodCommand {
    const { name, namespace } = pod.metadata!;
    return { namespace: namespace!, pod: name!, container, command: ["/carrier", ...words] };
  }

  /** Removes a Job and what runs of it. */
  async #remove(name: string): Promise<void> {
    const { namespace } = this.#options;
    try {
      await this.#cluster.api().batch.deleteNamespacedJob({ namespace, name, propagationPolicy: "Background" });
    } catch (error) {
      if (refusal(error)?.status !== 404) throw error;
    }
  }
}

/** What a job is rehearsed with that nobody gave limits for. */
const LEAST_LIMITS: ContainerTaskLimits = {
  cpus: 1,
  memoryBytes: 2 ** 26,
  processes: 1,
  seconds: 60,
  diskBytes: 0,
  outputBytes: 0,
  files: 0,
};

/** The cluster found no place for a task in time. */
class Unplaced extends SuretyError {
  constructor(message: string, { task }: TaskNames) {
    super("EXECUTOR_FAILED", message, {
      details: { task },
      fix: "Have fewer workers, or add machines to the cluster.",
      kind: "retryable",
      exit: ExitStatus.unavailable,
    });
  }
}

function outcome(
  result: Pick<TaskOutcome, "exit"> & Partial<Omit<TaskOutcome, "usage">>,
  milliseconds: number,
): TaskOutcome {
  const { exit, stdout = new Uint8Array(0), stderr = new Uint8Array(0), files = new Map(), trace } = result;
  const peakMemoryBytes = trace === undefined ? 0 : summariseTrace(trace).peakMemory;
  const usage = { fuel: 0n, peakMemoryBytes, milliseconds };
  return { exit, stdout, stderr, files, usage, ...(trace === undefined ? {} : { trace }) };
}

/** What the carrier saw; nothing if the program meddled with it, or there was nothing to see. */
function traceIn(bytes: Uint8Array | undefined): ResourceTrace | undefined {
  try {
    return bytes === undefined ? undefined : decodeTrace(bytes);
  } catch {
    return undefined;
  }
}

function lost({ code, why }: PodState & { at: "lost" }, { task }: TaskNames): SuretyError {
  if (code === "EXECUTOR_FAILED") return failed(why, { task });
  return new SuretyError(code, `the cluster cannot pull an image: ${why}`, {
    details: { task, reason: why },
    fix: "See whether the cluster's machines can reach the image's registry.",
    kind: "retryable",
    exit: ExitStatus.unavailable,
  });
}

function failed(reason: string, details: Record<string, string>, cause?: unknown): SuretyError {
  return new SuretyError("EXECUTOR_FAILED", `the cluster let a task down: ${reason}`, {
    details,
    fix: "See the cluster's events: kubectl get events.",
    kind: "retryable",
    exit: ExitStatus.unavailable,
    cause,
  });
}

function unsuitable(message: string): SuretyError {
  return new SuretyError("EXECUTOR_UNSUITABLE", message, {
    fix: "Leave it to other hosts.",
    exit: ExitStatus.badInput,
  });
}
