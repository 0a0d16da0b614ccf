import { randomBytes } from "node:crypto";
import { PassThrough, type Readable } from "node:stream";
import type Docker from "dockerode";
import { ExitStatus, SuretyError } from "#sdk/errors.ts";
import type { DockerExecutorConfig } from "../config/executor.ts";
import {
  keeperContainer,
  lentGpus,
  outputVolumeOptions,
  partOf,
  taskContainer,
  type TaskNames,
} from "./docker/confinement.ts";
import { awaitEnd, endOf, kill, removeTask, wasSignalled } from "./docker/container.ts";
import { connectEngine, engineError, probeEngine, type EngineFacts } from "./docker/engine.ts";
import { exitOf, isProgramsFault, withoutNumbers, type StopReason } from "./docker/exit.ts";
import { GpuPool } from "./docker/gpus.ts";
import { ImageStore, type LeasedImage } from "./docker/images.ts";
import { keeperImage } from "./docker/keeper.ts";
import { removeLeftovers } from "./docker/leftovers.ts";
import { readOutputs } from "./docker/outputs.ts";
import { readStreams } from "./docker/streams.ts";
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
  TaskResult,
} from "./executor.ts";
import { inputTar } from "./input-tar.ts";
import { checkTask } from "./task.ts";

/** What a {@link DockerExecutor} is told: the configuration, and who it works for. */
export interface DockerExecutorOptions extends Omit<DockerExecutorConfig, "kind"> {
  /**
   * Names the agent in the engine, the same in all its lives and another's in none: what it left behind is found by it.
   * Lower-case letters and digits, 8 to 64.
   */
  owner: string;
}

/** What is needed of an engine before it runs a task. */
interface Ready {
  facts: EngineFacts;
  runtime: string;
  /** Id of the image, and the runtime of its containers. */
  keeper: { image: string; runtime: string };
  images: ImageStore;
}

/** What the engine calls this machine's architecture, as images do. */
const ARCHITECTURES: Readonly<Record<string, string>> = { x86_64: "amd64", aarch64: "arm64" };

/** Requests other than for the end of a container or the pieces of a stream, milliseconds. */
const REQUEST_MS = 120_000;
/** From the end of a container to the last of what it wrote, milliseconds. */
const STREAM_END_MS = 30_000;

/**
 * Runs tasks in containers of a Docker engine: nobody's user, no network, no capabilities, a filter of system calls, a
 * root that cannot be written to, and limits on everything, see `docker/confinement.ts` and docs/executors.md.
 *
 * @example
 * ```ts
 * const executor = new DockerExecutor({ ...dockerExecutorSchema.parse({ kind: "docker" }), owner: "0f3c9a1b77d2e845" });
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
export class DockerExecutor implements Executor {
  readonly runtime = "container";
  readonly #options: DockerExecutorOptions;
  readonly #engine: Docker;
  /** For what may take as long as a task does. */
  readonly #patient: Docker;
  readonly #gpus: GpuPool;
  readonly #closing = new AbortController();
  /** Tasks that run, by name. */
  readonly #running = new Map<string, Promise<unknown>>();
  #ready: Promise<Ready> | undefined;
  /** Something may be left in the engine, of an earlier life or of a removal that failed. */
  #owes = true;

  constructor(options: DockerExecutorOptions) {
    if (!/^[a-z0-9]{8,64}$/.test(options.owner)) {
      throw new SuretyError(
        "CONFIG_INVALID",
        `owner is ${options.owner}, expected 8 to 64 lower-case letters and digits`,
      );
    }
    this.#options = options;
    this.#engine = connectEngine({ socket: options.socket, timeoutMs: REQUEST_MS });
    this.#patient = connectEngine({ socket: options.socket, timeoutMs: 0 });
    this.#gpus = new GpuPool(options.gpus);
  }

  async recover(): Promise<void> {
    try {
      await removeLeftovers(this.#engine, this.#options.owner, this.#running);
      this.#owes = false;
    } catch (error) {
      throw engineError(error, this.#options.socket);
    }
  }

  async check(program: TaskInput["program"], options: CheckOptions = {}): Promise<ContainerProgramInfo> {
    if (program instanceof Uint8Array) throw unsuitable("the program is WebAssembly, this executor runs images");
    const signal = this.#signal(options.signal);
    const ready = await this.#prepare(signal);
    if (options.limits && "cpus" in options.limits) this.#checkLimits(options.limits, ready.facts);
    if (program.gpu) await this.#tryGpus(ready, this.#gpus.check(program.gpu), program.gpu.capabilities);
    const image = await ready.images.lease(program, signal);
    image.giveBack();
    return { imageId: image.id, bytes: image.bytes };
  }

  async run(task: TaskInput, options: RunOptions = {}): Promise<TaskOutcome> {
    if (!isContainerTask(task)) throw unsuitable("the program is WebAssembly, this executor runs images");
    checkTask(task);
    const signal = this.#signal(options.signal);
    const names = { owner: this.#options.owner, task: randomBytes(12).toString("hex") };
    const running = this.#withAll(task, names, { ...options, signal });
    this.#running.set(
      names.task,
      running.catch(() => undefined),
    );
    try {
      return await running;
    } catch (error) {
      // Whatever broke because of it.
      if (signal.aborted) throw signal.reason;
      throw error;
    } finally {
      this.#running.delete(names.task);
    }
  }

  async close(): Promise<void> {
    this.#closing.abort(new SuretyError("EXECUTOR_CLOSED", "the executor is closed"));
    await Promise.all(this.#running.values());
    // What is left the next life removes.
    if (this.#owes && this.#ready !== undefined) await this.recover().catch(() => undefined);
  }

  #signal(signal: AbortSignal | undefined): AbortSignal {
    const closing = this.#closing.signal;
    const both = signal ? AbortSignal.any([closing, signal]) : closing;
    both.throwIfAborted();
    return both;
  }

  /** What all tasks need of the engine. Tried again after a failure, and after the engine was away. */
  async #prepare(signal: AbortSignal): Promise<Ready> {
    this.#ready ??= this.#probe();
    const ready = this.#ready;
    ready.catch(() => {
      if (this.#ready === ready) this.#ready = undefined;
    });
    const result = await ready;
    signal.throwIfAborted();
    if (this.#owes) await this.recover();
    return result;
  }

  async #probe(): Promise<Ready> {
    const { socket, owner, maxImageBytes, imageCacheBytes } = this.#options;
    const facts = await probeEngine({ socket });
    const runtime = this.#options.runtime ?? facts.defaultRuntime;
    if (!facts.runtimes.includes(runtime)) {
      throw new SuretyError("ENGINE_UNSUITABLE", `the engine has no runtime ${runtime}`, {
        details: { runtime, runtimes: facts.runtimes.join(", ") },
        fix: "Name one it has in the configuration: executor.runtime.",
        exit: ExitStatus.unavailable,
      });
    }
    const architecture = ARCHITECTURES[facts.architecture] ?? facts.architecture;
    const keeper = await keeperImage(architecture);
    if (keeper === undefined) throw unsuitable(`there is no support for hosts of the architecture ${architecture}`);
    try {
      const there = await this.#engine
        .getImage(keeper.id)
        .inspect()
        .catch(() => undefined);
      if (there === undefined) {
        const tar = new PassThrough();
        tar.end(keeper.tar);
        (await this.#engine.loadImage(tar, { quiet: true })).resume();
        await this.#engine.getImage(keeper.id).tag({ repo: "surety-keeper", tag: "1" });
      }
    } catch (error) {
      throw engineError(error, socket);
    }
    const cache = { maxImageBytes, cacheBytes: imageCacheBytes, architecture };
    const images = new ImageStore({ engine: this.#patient, socket, owner, ...cache });
    // Nothing of a stranger's runs in it, so what starts fastest.
    const keeperRuntime = facts.runtimes.includes("runc") ? "runc" : facts.defaultRuntime;
    return { facts, runtime, keeper: { image: keeper.id, runtime: keeperRuntime }, images };
  }

  /** @throws SuretyError `EXECUTOR_UNSUITABLE` */
  #checkLimits(limits: ContainerTaskLimits, facts: EngineFacts): void {
    const cpus = Math.min(facts.cpus, this.#options.maxCpus ?? Infinity);
    const bytes = Math.min(facts.memoryBytes, this.#options.maxMemoryBytes ?? Infinity);
    const wanted = limits.memoryBytes + limits.outputBytes + limits.diskBytes;
    if (limits.cpus > cpus) throw unsuitable(`the job wants ${limits.cpus} CPUs, this host offers ${cpus}`);
    if (wanted > bytes) {
      throw unsuitable(`the job wants ${wanted} bytes for memory, output and scratch, this host offers ${bytes}`);
    }
  }

  /** Has the engine lend GPUs to a container that does nothing: whether it can shows only then. */
  async #tryGpus(ready: Ready, ids: string[], capabilities: string[]): Promise<void> {
    const task = randomBytes(12).toString("hex");
    const { name, labels } = partOf({ owner: this.#options.owner, task }, "program");
    const trial = {
      name,
      Labels: labels,
      Image: ready.keeper.image,
      HostConfig: {
        NetworkMode: "none",
        ReadonlyRootfs: true,
        Runtime: ready.runtime,
        ...lentGpus(ids, capabilities),
      },
    };
    this.#running.set(task, Promise.resolve());
    try {
      const container = await this.#engine.createContainer(trial);
      try {
        await container.start();
      } finally {
        await removeTask(this.#engine, [container.id], []);
      }
    } catch (error) {
      throw gpuError(error, this.#options.socket);
    } finally {
      this.#running.delete(task);
    }
  }

  async #withAll(task: ContainerTask, names: TaskNames, options: RunOptions & { signal: AbortSignal }) {
    const { signal } = options;
    const ready = await this.#prepare(signal);
    this.#checkLimits(task.limits, ready.facts);
    const image = await ready.images.lease(task.program, signal);
    try {
      const { gpu } = task.program;
      const lent = gpu ? await this.#gpus.lend(gpu, signal) : { ids: [], giveBack: () => undefined };
      try {
        return await this.#inContainer(task, names, options, { ready, image, gpus: lent.ids });
      } finally {
        lent.giveBack();
      }
    } finally {
      image.giveBack();
    }
  }

  async #inContainer(
    task: ContainerTask,
    names: TaskNames,
    options: RunOptions & { signal: AbortSignal },
    { ready, image, gpus }: { ready: Ready; image: LeasedImage; gpus: string[] },
  ): Promise<TaskOutcome> {
    const engine = this.#engine;
    const [program, keeper, input, output] = (["program", "keeper", "in", "out"] as const).map((part) =>
      partOf(names, part),
    ) as [Part, Part, Part, Part];
    try {
      await all([
        engine.createVolume({ Name: input.name, Labels: input.labels }),
        engine.createVolume({
          Name: output.name,
          Labels: output.labels,
          Driver: "local",
          DriverOpts: outputVolumeOptions(task),
        }),
      ]);
      const [{ id }] = await all([
        engine.createContainer(taskContainer({ task, names, image: image.id, runtime: ready.runtime, gpus })),
        this.#hold(task, names, ready),
      ]);
      options.signal.throwIfAborted();
      return await this.#started(task, id, keeper.name, options, ready.runtime);
    } catch (error) {
      if (error instanceof SuretyError) throw error;
      if (/no command specified/i.test((error as Error).message)) throw commandless(image.id);
      if (gpus.length > 0 && isAboutGpus(error)) throw gpuError(error, this.#options.socket);
      const { message = String(error) } = error as { message?: string };
      throw new SuretyError("EXECUTOR_FAILED", `the engine let a task down: ${message}`, {
        details: { task: names.task, reason: message },
        fix: "See the engine's own log.",
        kind: "retryable",
        exit: ExitStatus.unavailable,
        cause: error,
      });
    } finally {
      await removeTask(engine, [program.name, keeper.name], [input.name, output.name]).catch(() => {
        this.#owes = true;
        this.#ready = undefined;
      });
    }
  }

  /** Starts the container that holds the volumes, and puts the input into one of them. */
  async #hold(task: ContainerTask, names: TaskNames, { keeper }: Ready): Promise<void> {
    const container = await this.#engine.createContainer(keeperContainer(names, keeper.image, keeper.runtime));
    const tar = await inputTar(task.input);
    await all([container.putArchive(Buffer.from(tar), { path: "/in" }), container.start()]);
  }

  async #started(
    task: ContainerTask,
    id: string,
    keeper: string,
    { signal, watch }: RunOptions & { signal: AbortSignal },
    runtime: string,
  ): Promise<TaskOutcome> {
    const { limits } = task;
    const container = this.#patient.getContainer(id);
    let stopped: StopReason | undefined;
    const stop = (reason?: StopReason): void => {
      stopped ??= reason;
      // If this does not reach the engine, neither does the end of the container reach us.
      kill(this.#engine, id).catch(() => undefined);
    };
    const frames = (await container.attach({ stream: true, stdout: true, stderr: true })) as unknown as Readable;
    const streams = readStreams(frames, { maxBytes: limits.outputBytes, over: () => stop("output") });
    streams.catch(() => undefined);
    const abort = (): void => stop();
    let timer: NodeJS.Timeout | undefined;
    let watching: { ended(): void | Promise<void> } | undefined;
    try {
      const { ended } = await awaitEnd(this.#patient, id);
      const started = performance.now();
      try {
        await container.start();
      } catch (error) {
        if (!isProgramsFault(error as Error)) throw error;
        return outcome({ exit: { trap: "not-executable" } }, started);
      }
      signal.addEventListener("abort", abort, { once: true });
      if (signal.aborted) abort();
      timer = setTimeout(() => stop("time"), limits.seconds * 1000);
      if (watch !== undefined) {
        const { State } = await container.inspect();
        if (State.Pid > 0) watching = watch({ id, pid: State.Pid, runtime, limits });
      }
      const code = await ended;
      const end = performance.now();
      clearTimeout(timer);
      await watching?.ended();
      watching = undefined;
      signal.throwIfAborted();
      if (stopped === undefined && (await wasSignalled(this.#engine, id))) {
        throw new Error("the container was sent a signal from outside");
      }
      // Whom the agent killed ends with its signal, too: then there is nothing to wait for.
      const killed = stopped !== undefined;
      const exit = exitOf(killed ? { code, outOfMemory: false } : await endOf(this.#engine, id, code), stopped);
      // How far it came until then depends on the machine, so none of it is kept.
      if (!("code" in exit)) return outcome({ exit }, started, end);
      const read = await within(STREAM_END_MS, streams, "the last of what the task wrote did not come");
      const written = { ...read, stderr: withoutNumbers(read.stderr) };
      // It came over the limit with its last words.
      if (stopped !== undefined) return outcome({ exit: { limit: stopped } }, started, end);
      const result = await this.#outputs(keeper, limits, written, signal);
      return outcome("exit" in result ? result : { exit, ...written, ...result }, started, end);
    } finally {
      clearTimeout(timer);
      signal.removeEventListener("abort", abort);
      frames.destroy();
      await watching?.ended();
    }
  }

  async #outputs(
    keeper: string,
    { outputBytes, files }: ContainerTaskLimits,
    { stdout, stderr }: { stdout: Uint8Array; stderr: Uint8Array },
    signal: AbortSignal,
  ): Promise<{ files: Map<string, Uint8Array> } | { exit: TaskExit }> {
    const tar = (await this.#patient.getContainer(keeper).getArchive({ path: "/out" })) as unknown as Readable;
    const stop = (): void => void tar.destroy(signal.reason as Error);
    signal.addEventListener("abort", stop, { once: true });
    try {
      return await readOutputs(tar, { bytes: outputBytes - stdout.length - stderr.length, files });
    } finally {
      signal.removeEventListener("abort", stop);
    }
  }
}

type Part = ReturnType<typeof partOf>;

function outcome(
  result: Pick<TaskResult, "exit"> & Partial<TaskResult>,
  started: number,
  ended = started,
): TaskOutcome {
  const { exit, stdout = new Uint8Array(0), stderr = new Uint8Array(0), files = new Map() } = result;
  return {
    exit,
    stdout,
    stderr,
    files,
    usage: { fuel: 0n, peakMemoryBytes: 0, milliseconds: ended - started },
  };
}

/** As `Promise.all`, but what fails is told only when nothing goes on any more that would have to be removed. */
async function all<T extends readonly Promise<unknown>[] | []>(
  work: T,
): Promise<{ -readonly [P in keyof T]: Awaited<T[P]> }> {
  await Promise.allSettled(work);
  return Promise.all(work);
}

async function within<T>(milliseconds: number, promise: Promise<T>, problem: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(problem)), milliseconds);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

function isContainerTask(task: TaskInput): task is ContainerTask {
  return !(task.program instanceof Uint8Array);
}

function unsuitable(message: string): SuretyError {
  return new SuretyError("EXECUTOR_UNSUITABLE", message, {
    fix: "Leave it to other hosts.",
    exit: ExitStatus.badInput,
  });
}

function commandless(id: string): SuretyError {
  return new SuretyError("IMAGE_UNSUITABLE", `neither the image ${id} nor the job says what to run in it`, {
    details: { id },
    fix: "Give the job an entrypoint or arguments.",
    exit: ExitStatus.badInput,
  });
}

function isAboutGpus(error: unknown): boolean {
  return /device driver|nvidia|gpu|device request/i.test((error as Error).message);
}

function gpuError(error: unknown, socket: string): SuretyError {
  if (!isAboutGpus(error)) return engineError(error, socket);
  const reason = (error as Error).message.trim();
  return new SuretyError("GPU_UNAVAILABLE", `the engine does not lend its GPUs: ${reason}`, {
    details: { reason },
    fix: "Install the NVIDIA Container Toolkit for this engine, or leave executor.gpus empty.",
    exit: ExitStatus.unavailable,
    cause: error,
  });
}
