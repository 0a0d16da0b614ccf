import { parentPort } from "node:worker_threads";
import { SuretyError, type ErrorKind } from "#sdk/errors.ts";
import type { TaskOutcome, WasmProgramInfo, WasmTask } from "../executor.ts";
import { prepareProgram, runProgram, type PreparedProgram } from "./sandbox.ts";

/** What the executor asks of a worker; the program comes along only when the worker asked for it. */
export interface WorkerRequest {
  sha256: string;
  program: Uint8Array | undefined;
  /** Left out to check the program only. */
  task: Omit<WasmTask, "program"> | undefined;
}

/** An error on its way between threads. */
export interface WorkerError {
  code: string;
  message: string;
  details: SuretyError["details"];
  fix: string | undefined;
  kind: ErrorKind;
  exit: number;
}

/** What a worker answers; `started` comes before the answer to a task. */
export type WorkerReply =
  | { kind: "program-wanted" }
  | { kind: "started" }
  | { kind: "checked"; info: WasmProgramInfo }
  | { kind: "done"; outcome: TaskOutcome }
  | { kind: "failed"; error: WorkerError };

/** Compiled programs kept for the next task. */
const mostPrepared = 4;
const prepared = new Map<string, PreparedProgram>();

function obtain(request: WorkerRequest): PreparedProgram | undefined {
  const known = prepared.get(request.sha256);
  const program = known ?? (request.program && prepareProgram(request.program));
  if (program === undefined) return undefined;
  prepared.delete(request.sha256);
  prepared.set(request.sha256, program);
  const [oldest] = prepared.keys();
  if (prepared.size > mostPrepared) prepared.delete(oldest!);
  return program;
}

function asError(error: unknown): WorkerError {
  const known =
    error instanceof SuretyError
      ? error
      : new SuretyError("EXECUTOR_FAILED", `the sandbox broke: ${String(error)}`, { kind: "retryable" });
  const { code, message, details, fix, kind, exit } = known;
  return { code, message, details, fix, kind, exit };
}

function answer(request: WorkerRequest): WorkerReply {
  try {
    const program = obtain(request);
    if (program === undefined) return { kind: "program-wanted" };
    if (request.task === undefined) return { kind: "checked", info: program.info };
    parentPort!.postMessage({ kind: "started" } satisfies WorkerReply);
    return { kind: "done", outcome: runProgram(program, request.task) };
  } catch (error) {
    return { kind: "failed", error: asError(error) };
  }
}

parentPort!.on("message", (request: WorkerRequest) => parentPort!.postMessage(answer(request)));
