/** What a task may use. Everything but `seconds` is counted the same way on every machine. */
export interface TaskLimits {
  /** Units of work, see `wasm/meter.ts`: about one per instruction. 1 to 2^62. */
  fuel: bigint;
  /** Most bytes of memory the program may hold, rounded down to whole pages of 64 KiB. */
  memoryBytes: number;
  /** Wall-clock safety net; whoever sets it low gets outcomes that depend on the machine. */
  seconds: number;
  /** Most bytes in `/out`, standard output and standard error together, at any moment. */
  outputBytes: number;
  /** Most files and folders in `/out`, at any moment. */
  files: number;
}

/** One piece of work for an {@link Executor}. */
export interface TaskInput {
  /** The program: a WASI command module here. */
  program: Uint8Array;
  /** Arguments after `argv[0]`, which is always `task`; `{index}` in them becomes {@link TaskInput.index}. */
  args: readonly string[];
  /** The task's number in its batch, 0 to 2^53 - 1. */
  index: number;
  /** Relative paths with `/` between names, and their bytes: what the program reads under `/in`. */
  input: ReadonlyMap<string, Uint8Array>;
  limits: TaskLimits;
}

/** Which of the {@link TaskLimits} stopped a task. */
export type LimitName = "fuel" | "memory" | "output" | "files" | "time";

/** How a task ended: by itself, at a limit, or by a fault of its own (kinds in `wasm/trap.ts`). */
export type TaskExit = { code: number } | { limit: LimitName } | { trap: string };

/** What a task left behind: equal, byte for byte, wherever it ran, unless it ended at the limit `time`. */
export interface TaskResult {
  exit: TaskExit;
  stdout: Uint8Array;
  stderr: Uint8Array;
  /** Regular files of `/out` by relative path. Empty folders leave no trace. */
  files: Map<string, Uint8Array>;
}

/** A {@link TaskResult} with what it took. Only `milliseconds` differs between runs. */
export interface TaskOutcome extends TaskResult {
  usage: { fuel: bigint; peakMemoryBytes: number; milliseconds: number };
}

/** What {@link Executor.check} found out about an acceptable program. */
export interface ProgramInfo {
  /** SHA-256 of the program, lower-case hex. */
  sha256: string;
  bytes: number;
  functions: number;
  /** What it imports, as `module.name`. */
  imports: string[];
  /** Bytes of memory it starts with: a task with a lower cap ends at the limit `memory` at once. */
  initialMemoryBytes: number;
}

/** Runs strangers' programs where they can do no harm. */
export interface Executor {
  readonly runtime: "wasm" | "container";

  /**
   * Says whether this executor would run `program`, without running it.
   *
   * @throws SuretyError `PROGRAM_NOT_WASM`, `PROGRAM_INVALID`, `PROGRAM_TOO_LARGE`, `PROGRAM_IMPORT_FORBIDDEN`,
   * `PROGRAM_FEATURE_FORBIDDEN`, `PROGRAM_NO_ENTRY`: with what was found.
   */
  check(program: Uint8Array, options?: { signal?: AbortSignal }): Promise<ProgramInfo>;

  /**
   * Runs one task. Whatever the program does is an outcome; only what the program cannot be blamed for is an error.
   *
   * @throws SuretyError what {@link Executor.check} throws; `TASK_INVALID` for arguments, input paths or limits that
   * cannot be; `EXECUTOR_FAILED` when this machine let the task down; `EXECUTOR_CLOSED`. The signal's reason when
   * aborted.
   */
  run(task: TaskInput, options?: { signal?: AbortSignal }): Promise<TaskOutcome>;

  /** Stops what is running; later calls throw `EXECUTOR_CLOSED`. */
  close(): Promise<void>;
}
