import { createHash } from "node:crypto";
import { WASIProcExit } from "@bjorn3/browser_wasi_shim";
import { SuretyError } from "#sdk/errors.ts";
import type { TaskExit, TaskOutcome, WasmProgramInfo, WasmTask } from "../executor.ts";
import { invalidProgram } from "./binary.ts";
import { LimitReached } from "./files.ts";
import { GrowthRefused, meterExports, meterProgram, stackBytes } from "./meter.ts";
import { readProgram } from "./program.ts";
import { trapKind } from "./trap.ts";
import { TaskWorld } from "./wasi.ts";

const pageBytes = 65536;

/** A program that was checked, metered and compiled. */
export interface PreparedProgram {
  info: WasmProgramInfo;
  module: WebAssembly.Module;
  prefix: string;
  hasStart: boolean;
  hasEntry: boolean;
}

/** SHA-256 in lower-case hex. */
export function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/**
 * Checks, meters and compiles a program.
 *
 * @throws SuretyError the `PROGRAM_` codes of {@link ../executor.ts#Executor.check}.
 */
export function prepareProgram(bytes: Uint8Array): PreparedProgram {
  const program = readProgram(bytes);
  const metered = meterProgram(program);
  if (!WebAssembly.validate(bytes as BufferSource)) throw invalidProgram("the program breaks WebAssembly's rules");
  const module = new WebAssembly.Module(metered.bytes as BufferSource);
  const { prefix, hasStart, hasEntry } = metered;
  return {
    info: {
      sha256: sha256(bytes),
      bytes: bytes.length,
      functions: program.bodies.length,
      imports: program.imports,
      initialMemoryBytes: (program.memory?.initialPages ?? 0) * pageBytes,
    },
    module,
    prefix,
    hasStart,
    hasEntry,
  };
}

function failed(what: string, cause: unknown): SuretyError {
  return new SuretyError("EXECUTOR_FAILED", what, {
    cause,
    kind: "retryable",
    fix: "Run the task again, with fewer workers if this machine is short of memory.",
  });
}

/** A module that exports the function it imports: a table takes only functions that come out of a module. */
const passage = new WebAssembly.Module(
  Uint8Array.of(
    ...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00],
    ...[0x01, 0x04, 0x01, 0x60, 0x00, 0x00],
    ...[0x02, 0x07, 0x01, 0x01, 0x68, 0x01, 0x66, 0x00, 0x00],
    ...[0x07, 0x05, 0x01, 0x01, 0x66, 0x00, 0x00],
  ),
);

/** A function of the host as tables take it. */
function tableFunction(f: () => void): unknown {
  return new WebAssembly.Instance(passage, { h: { f } }).exports["f"];
}

/** What the host reads from and writes to in a running program. */
interface Meter {
  fuel: WebAssembly.Global;
  stack: WebAssembly.Global;
  refused: WebAssembly.Global;
  memory: WebAssembly.Memory | undefined;
}

/**
 * Runs one task in this thread, to its end: only its fuel stops it.
 *
 * @throws SuretyError `EXECUTOR_FAILED` when this machine let the task down.
 */
export function runProgram(program: PreparedProgram, task: Omit<WasmTask, "program">): TaskOutcome {
  const started = performance.now();
  const { limits } = task;
  const world = new TaskWorld(task, program.info.sha256);
  let meter: Meter | undefined;
  const conclude = (exit: TaskExit): TaskOutcome => {
    const burned = meter === undefined ? 0n : limits.fuel - (meter.fuel.value as bigint);
    const fuel = burned < limits.fuel ? burned : limits.fuel;
    const trace = world.endTrace(fuel);
    return {
      exit,
      stdout: world.stdout.bytes.slice(),
      stderr: world.stderr.bytes.slice(),
      files: world.out.collect(),
      usage: {
        fuel,
        peakMemoryBytes: meter?.memory?.buffer.byteLength ?? 0,
        milliseconds: performance.now() - started,
      },
      ...(trace === undefined ? {} : { trace }),
    };
  };
  if (program.info.initialMemoryBytes > limits.memoryBytes) return conclude({ limit: "memory" });

  let ended: unknown;
  try {
    const instance = new WebAssembly.Instance(program.module, {
      wasi_snapshot_preview1: world.imports as unknown as WebAssembly.ModuleImports,
    });
    const exported = (name: string): never => instance.exports[program.prefix + name] as never;
    meter = {
      fuel: exported(meterExports.fuel),
      stack: exported(meterExports.stack),
      refused: exported(meterExports.refused),
      memory: exported(meterExports.memory),
    };
    meter.fuel.value = limits.fuel;
    meter.stack.value = BigInt(stackBytes);
    (exported(meterExports.pages) as WebAssembly.Global).value = BigInt(Math.floor(limits.memoryBytes / pageBytes));
    world.connect(meter);
    (exported(meterExports.grown) as WebAssembly.Table).set(
      0,
      tableFunction(() => world.grown()),
    );
    if (program.hasStart) (exported(meterExports.start) as () => void)();
    if (program.hasEntry) (exported(meterExports.entry) as () => void)();
  } catch (error) {
    ended = error;
  }

  // Fuel first: a program may stumble over something else between running out and the next place that checks.
  if (meter !== undefined && (meter.fuel.value as bigint) < 0n) return conclude({ limit: "fuel" });
  if (ended instanceof LimitReached) return conclude({ limit: ended.limit });
  if (meter?.refused.value === GrowthRefused.byHost)
    throw failed("this machine has no memory left for the task", ended);
  const stackGone = meter !== undefined && (meter.stack.value as bigint) < 0n;
  const trap = stackGone ? "stack-overflow" : trapKind(ended);
  let exit: TaskExit;
  if (trap !== undefined) exit = { trap };
  else if (ended instanceof WASIProcExit) exit = { code: ended.code >>> 0 };
  else if (ended === undefined) exit = { code: 0 };
  else throw failed(`the sandbox broke: ${String(ended)}`, ended);
  const succeeded = "code" in exit && exit.code === 0;
  return conclude(meter?.refused.value === GrowthRefused.byCap && !succeeded ? { limit: "memory" } : exit);
}
