import type { ResourceTrace } from "#sdk/resource-trace.ts";

import type { ContainerImage, GpuRequest } from "#sdk/container-spec.ts";

/** What a task may use, whatever runs it. */
export interface CommonLimits {
  /**
   * Most bytes of memory the program may hold. WebAssembly: rounded down to whole pages of 64 KiB. Container: of all
   * processes together, beside what they write.
   */
  memoryBytes: number;
  /** Wall-clock safety net; whoever sets it low gets outcomes that depend on the machine. */
  seconds: number;
  /** Most bytes in `/out`, standard output and standard error together, at any moment. */
  outputBytes: number;
  /** Most files and folders in `/out`, at any moment. */
  files: number;
}

/** What a metered WebAssembly task may use. Everything but `seconds` is counted the same way on every machine. */
export interface TaskLimits extends CommonLimits {
  /** Units of work, see `wasm/meter.ts`: about one per instruction. 1 to 2^62. */
  fuel: bigint;
}

/** What a task in a container may use. */
export interface ContainerTaskLimits extends CommonLimits {
  /** CPUs' worth of time, 1 or more. */
  cpus: number;
  /** Processes and threads at any moment. */
  processes: number;
  /** Most bytes in `/tmp`. */
  diskBytes: number;
}

/** A program that is an image. */
export interface ContainerProgram {
  image: ContainerImage;
  /**
   * Streams the tar of an image that is named by content id, from its start, each time it is called: each byte verified,
   * no more than `maxBytes`. What it throws goes through.
   */
  open?: (options: { maxBytes: number; signal?: AbortSignal }) => AsyncIterable<Uint8Array>;
  /** Replaces the image's own entry point; the arguments replace its command in any case but none. */
  entrypoint?: readonly string[];
  environment?: Readonly<Record<string, string>>;
  gpu?: GpuRequest;
}

/** What every task has. */
interface AnyTask {
  /** Arguments of the program; `{index}` in them becomes {@link AnyTask.index}. */
  args: readonly string[];
  /** The task's number in its batch, 0 to 2^53 - 1. */
  index: number;
  /** Relative paths with `/` between names, and their bytes: what the program reads under `/in`. */
  input: ReadonlyMap<string, Uint8Array>;
}

/** One piece of work of a WASI command module; its `argv[0]` is always `task`. */
export interface WasmTask extends AnyTask {
  program: Uint8Array;
  limits: TaskLimits;
}

/** One piece of work of an image. */
export interface ContainerTask extends AnyTask {
  program: ContainerProgram;
  limits: ContainerTaskLimits;
}

/** One piece of work for an {@link Executor}. */
export type TaskInput = WasmTask | ContainerTask;

/** Which limit stopped a task. */
export type LimitName = "fuel" | "memory" | "output" | "files" | "time";

/**
 * How a task ended: by itself, at a limit, or by a fault of its own. Kinds of faults are in `wasm/trap.ts` and
 * `docker/exit.ts`.
 */
export type TaskExit = { code: number } | { limit: LimitName } | { trap: string };

/** What a task left behind: equal, byte for byte, wherever it ran, unless it ended at the limit `time`. */
export interface TaskResult {
  exit: TaskExit;
  stdout: Uint8Array;
  stderr: Uint8Array;
  /** Regular files of `/out` by relative path. Empty folders leave no trace. */
  files: Map<string, Uint8Array>;
}

/** A {@link TaskResult} with what it took, which differs between runs but for the fuel. */
export interface TaskOutcome extends TaskResult {
  usage: {
    /** Units of work; 0 where nothing counts them. */
    fuel: bigint;
    /** 0 where nothing counts it; the trace of a container tells. */
    peakMemoryBytes: number;
    milliseconds: number;
  };
  /** What it used while it ran, where the executor can tell. No part of the result: no digest depends on it. */
  trace?: ResourceTrace;
}

/** What {@link Executor.check} found out about an acceptable WebAssembly program. */
export interface WasmProgramInfo {
  /** SHA-256 of the program, lower-case hex. */
  sha256: string;
  bytes: number;
  functions: number;
  /** What it imports, as `module.name`. */
  imports: string[];
  /** Bytes of memory it starts with: a task with a lower cap ends at the limit `memory` at once. */
  initialMemoryBytes: number;
}

/** What {@link Executor.check} found out about an acceptable image. */
export interface ContainerProgramInfo {
  /** The image's id, in a cluster the digest of its manifest: `sha256:` and 64 hexadecimal digits. */
  imageId: string;
  /** Of all its layers together, unpacked; 0 where that is not told. */
  bytes: number;
}

export type ProgramInfo = WasmProgramInfo | ContainerProgramInfo;

/** A container with a task in it, for whoever watches what it uses. */
export interface RunningContainer {
  /** The engine's id of it, 64 hexadecimal digits; its control groups are named after it. */
  id: string;
  /** Of its first process, on the engine's host. */
  pid: number;
  /** The runtime it runs in: `runc`, `runsc`. */
  runtime: string;
  limits: ContainerTaskLimits;
}

/** Watches a container; see {@link RunOptions.watch}. */
export interface ContainerWatch {
  /** The container's processes are gone, the container itself is not yet removed. */
  ended(): void | Promise<void>;
}

/** What {@link Executor.check} takes beside the program. */
export interface CheckOptions {
  signal?: AbortSignal;
  /** What its tasks may use, where this host may have less to offer. */
  limits?: TaskInput["limits"];
}

/** What {@link Executor.run} takes beside the task. */
export interface RunOptions {
  signal?: AbortSignal;
  /** Called once a container's first process runs. What it throws is the caller's mistake and ends the task. */
  watch?: (container: RunningContainer) => ContainerWatch;
}

/** Runs strangers' programs where they can do no harm. */
export interface Executor {
  readonly runtime: "wasm" | "container";

  /**
   * Says whether this executor would run a program, without running it. An image is fetched and loaded for that.
   *
   * @throws SuretyError `PROGRAM_NOT_WASM`, `PROGRAM_INVALID`, `PROGRAM_TOO_LARGE`, `PROGRAM_IMPORT_FORBIDDEN`,
   * `PROGRAM_FEATURE_FORBIDDEN`, `PROGRAM_NO_ENTRY`: with what was found. Of images: `IMAGE_INVALID`, `IMAGE_MISMATCH`,
   * `IMAGE_TOO_LARGE`, `IMAGE_UNSUITABLE`, `IMAGE_UNAVAILABLE`, `GPU_UNAVAILABLE`, `ENGINE_UNREACHABLE`,
   * `CLUSTER_UNREACHABLE`, `CLUSTER_FORBIDDEN`.
   * `EXECUTOR_UNSUITABLE` for a program of another kind, or one that wants more than this host offers.
   */
  check(program: TaskInput["program"], options?: CheckOptions): Promise<ProgramInfo>;

  /**
   * Runs one task. Whatever the program does is an outcome; only what the program cannot be blamed for is an error.
   *
   * @throws SuretyError what {@link Executor.check} throws; `TASK_INVALID` for arguments, input paths or limits that
   * cannot be; `EXECUTOR_FAILED` when this machine let the task down; `EXECUTOR_CLOSED`. The signal's reason when
   * aborted.
   */
  run(task: TaskInput, options?: RunOptions): Promise<TaskOutcome>;

  /**
   * Removes what an earlier life of the agent left running, once it is known that this life is the only one.
   *
   * @throws SuretyError `ENGINE_UNREACHABLE`, `CLUSTER_UNREACHABLE`, `EXECUTOR_FAILED`: it is tried again before the next task
   */
  recover?(): Promise<void>;

  /** Stops what is running; later calls throw `EXECUTOR_CLOSED`. */
  close(): Promise<void>;
}
