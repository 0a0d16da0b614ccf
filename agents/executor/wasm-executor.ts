import { setFlagsFromString } from "node:v8";
import { Worker } from "node:worker_threads";
import { ExitStatus, SuretyError } from "#sdk/errors.ts";
import type { CheckOptions, Executor, TaskInput, TaskOutcome, WasmProgramInfo, WasmTask } from "./executor.ts";
import { checkTask } from "./task.ts";
import { sha256 } from "./wasm/sandbox.ts";
import type { WorkerReply, WorkerRequest } from "./wasm/worker.ts";

/** Stack of a worker's thread: eight times what the meter lets a program use. */
const workerStackMb = 128;

/** Added to a task's seconds while its program is checked and compiled, which is not the task's fault. */
const preparationSeconds = 60;

/** How many tasks a {@link WasmExecutor} runs at once. */
export interface WasmExecutorOptions {
  /** Threads, 1 or more; each keeps the programs it compiled. Defaults to 1. */
  workers?: number;
}

interface Order {
  request: WorkerRequest;
  program: Uint8Array;
  seconds: number;
  signal: AbortSignal | undefined;
  resolve: (reply: WorkerReply) => void;
  reject: (reason: unknown) => void;
}

/** What a worker's silence ends in when the time is over. */
class TimeOver extends Error {}

/**
 * Runs WASI command modules, metered, each in a world of its own: `/in`, `/out`, arguments, streams, a clock that only
 * moves when waited for, and predictable randomness. The same program, arguments, index, input and limits give the same
 * outcome everywhere, `usage.milliseconds` and the limit `time` excepted.
 *
 * @example
 * ```ts
 * const executor = new WasmExecutor({ workers: 2 });
 * const outcome = await executor.run({
 *   program: await readFile("program.wasm"),
 *   args: ["--part", "{index}"],
 *   index: 7,
 *   input: new Map([["data.csv", bytes]]),
 *   limits: { fuel: 10_000_000_000n, memoryBytes: 256 << 20, seconds: 60, outputBytes: 1 << 20, files: 16 },
 * });
 * await executor.close();
 * ```
 */
export class WasmExecutor implements Executor {
  readonly runtime = "wasm";
  private readonly queue: Order[] = [];
  private readonly idle: Worker[] = [];
  private readonly busy = new Map<Worker, Order>();
  private readonly most: number;
  private closed = false;

  constructor(options: WasmExecutorOptions = {}) {
    this.most = options.workers ?? 1;
    if (!Number.isSafeInteger(this.most) || this.most < 1) {
      throw new SuretyError("CONFIG_INVALID", `workers is ${this.most}, expected a whole number of at least 1`, {
        details: { workers: this.most },
      });
    }
    // V8 would run a program's first call to its end on the baseline compiler, several times slower. The flag is the
    // process's; it concerns WebAssembly only.
    setFlagsFromString("--no-liftoff");
  }

  async check(program: TaskInput["program"], options: CheckOptions = {}): Promise<WasmProgramInfo> {
    if (!(program instanceof Uint8Array)) throw unsuitable();
    const request = { sha256: sha256(program), program: undefined, task: undefined };
    const reply = await this.ask({ request, program, seconds: preparationSeconds, signal: options.signal });
    if (reply.kind !== "checked") throw unexpected(reply);
    return reply.info;
  }

  async run(task: TaskInput, options: { signal?: AbortSignal } = {}): Promise<TaskOutcome> {
    if (!isWasmTask(task)) throw unsuitable();
    checkTask(task);
    const { program, ...rest } = task;
    const request = { sha256: sha256(program), program: undefined, task: rest };
    const started = performance.now();
    try {
      const reply = await this.ask({ request, program, seconds: task.limits.seconds, signal: options.signal });
      if (reply.kind !== "done") throw unexpected(reply);
      return reply.outcome;
    } catch (error) {
      if (!(error instanceof TimeOver)) throw error;
      // Whatever had been written by then depends on the machine, so none of it is kept.
      return {
        exit: { limit: "time" },
        stdout: new Uint8Array(0),
        stderr: new Uint8Array(0),
        files: new Map(),
        usage: { fuel: 0n, peakMemoryBytes: 0, milliseconds: performance.now() - started },
      };
    }
  }

  async close(): Promise<void> {
    this.closed = true;
    const reason = closedError();
    for (const order of this.queue.splice(0)) order.reject(reason);
    const workers = [...this.idle.splice(0), ...this.busy.keys()];
    for (const order of this.busy.values()) order.reject(reason);
    this.busy.clear();
    await Promise.all(workers.map((worker) => worker.terminate()));
  }

  private ask(order: Omit<Order, "resolve" | "reject">): Promise<WorkerReply> {
    const { signal } = order;
    return new Promise((resolve, reject) => {
      if (this.closed) return reject(closedError());
      if (signal?.aborted) return reject(signal.reason);
      const full: Order = { ...order, resolve, reject };
      const abandon = (): void => {
        const place = this.queue.indexOf(full);
        if (place < 0) return; // It runs; `start` listens too.
        this.queue.splice(place, 1);
        reject(signal!.reason);
      };
      signal?.addEventListener("abort", abandon, { once: true });
      const forget =
        <T>(then: (value: T) => void) =>
        (value: T): void => {
          signal?.removeEventListener("abort", abandon);
          then(value);
        };
      full.resolve = forget(resolve);
      full.reject = forget(reject);
      this.queue.push(full);
      this.dispatch();
    });
  }

  private dispatch(): void {
    while (this.queue.length > 0 && !this.closed) {
      if (this.idle.length === 0 && this.busy.size >= this.most) return;
      const worker = this.idle.pop() ?? this.hire();
      this.start(worker, this.queue.shift()!);
    }
  }

  private hire(): Worker {
    const worker = startWorker();
    // Without a listener an error would bring the process down; whoever waits for the worker has its own.
    worker.on("error", () => undefined);
    worker.on("exit", () => {
      const place = this.idle.indexOf(worker);
      if (place >= 0) this.idle.splice(place, 1);
    });
    return worker;
  }

  private start(worker: Worker, order: Order): void {
    this.busy.set(worker, order);
    worker.ref();
    let timer: NodeJS.Timeout | undefined;
    const arm = (seconds: number): void => {
      clearTimeout(timer);
      timer = setTimeout(() => stop(new TimeOver()), seconds * 1000);
    };
    const leave = (): void => {
      clearTimeout(timer);
      order.signal?.removeEventListener("abort", onAbort);
      worker.off("message", onMessage).off("error", died).off("exit", died);
      this.busy.delete(worker);
    };
    /** Ends the order and the worker with it: nothing else stops a running program. */
    const stop = (reason: unknown): void => {
      leave();
      // Not waited for: a thread that compiles ends only when the compiler is done.
      void worker.terminate();
      order.reject(reason);
      this.dispatch();
    };
    const onAbort = (): void => stop(order.signal!.reason);
    order.signal?.addEventListener("abort", onAbort, { once: true });
    const onMessage = (reply: WorkerReply): void => {
      if (reply.kind === "program-wanted") worker.postMessage({ ...order.request, program: order.program });
      else if (reply.kind === "started") arm(order.seconds);
      else {
        leave();
        worker.unref();
        this.idle.push(worker);
        if (reply.kind === "failed") {
          const { code, message, ...options } = reply.error;
          order.reject(new SuretyError(code, message, options));
        } else order.resolve(reply);
        this.dispatch();
      }
    };
    const died = (cause: unknown): void =>
      stop(new SuretyError("EXECUTOR_FAILED", "the sandbox's thread died", { cause, kind: "retryable" }));
    worker.on("message", onMessage).on("error", died).on("exit", died);
    arm(order.seconds + preparationSeconds);
    worker.postMessage(order.request);
  }
}

function startWorker(): Worker {
  // Sources run as TypeScript, the published package as JavaScript.
  const extension = import.meta.url.endsWith(".ts") ? "ts" : "js";
  const worker = new Worker(new URL(`./wasm/worker.${extension}`, import.meta.url), {
    argv: [],
    env: {},
    execArgv: ["--no-warnings"],
    stdin: false,
    resourceLimits: { stackSizeMb: workerStackMb },
  });
  // Once idle, a worker must not keep the process alive.
  worker.unref();
  return worker;
}

function isWasmTask(task: TaskInput): task is WasmTask {
  return task.program instanceof Uint8Array;
}

function unsuitable(): SuretyError {
  return new SuretyError("EXECUTOR_UNSUITABLE", "the program is an image, this executor runs WebAssembly", {
    fix: "Leave it to hosts with a container engine.",
    exit: ExitStatus.badInput,
  });
}

function closedError(): SuretyError {
  return new SuretyError("EXECUTOR_CLOSED", "the executor is closed");
}

function unexpected(reply: WorkerReply): SuretyError {
  return new SuretyError("EXECUTOR_FAILED", `the sandbox answered ${reply.kind}`);
}
