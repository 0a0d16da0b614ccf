import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { TaskLimits } from "../../agents/executor/executor.ts";
import { WasmExecutor } from "../../agents/executor/wasm-executor.ts";
import type { MeasureOptions } from "../section.ts";

const run = promisify(execFile);
const folder = fileURLToPath(new URL("kernels/", import.meta.url));

/** A program in C that is compiled for the host and for WebAssembly. */
export interface Kernel {
  name: string;
  about: string;
  numbers: "integer" | "floating";
  /** Its argument, for some tenths of a second natively. */
  size: number;
}

export const KERNELS: readonly Kernel[] = [
  { name: "sha256", about: "SHA-256 of 64 MiB", numbers: "integer", size: 64 },
  { name: "matrix", about: "product of matrices of 800 rows, 32-bit integers", numbers: "integer", size: 800 },
  { name: "png", about: "packing four pictures of a megapixel as PNG", numbers: "integer", size: 4 },
  { name: "matrix-float", about: "product of matrices of 800 rows, 64-bit floats", numbers: "floating", size: 800 },
  { name: "coast", about: "the demo's innermost loop, 100,000 points", numbers: "floating", size: 100 },
];

/** One kernel, run by turns natively and in the sandbox. */
export interface KernelRuns {
  kernel: Kernel;
  /** Which instructions of WebAssembly: SIMD is what compilers use on hosts anyway. */
  target: "plain" | "SIMD";
  /** CPU seconds of the program natively, and of the whole process in the sandbox, by run. */
  native: number[];
  wasm: number[];
  /** Of each run in the sandbox: it does not vary. */
  fuel: number;
}

/** Which compiler compiles for both, or why none does. */
export type Compiler = { version: string } | { missing: string };

const LIMITS: TaskLimits = {
  fuel: 1n << 50n,
  memoryBytes: 256 * 2 ** 20,
  seconds: 600,
  outputBytes: 2 ** 20,
  files: 4,
};

/** Whether clang can compile for the host and for WASI. */
export async function findCompiler(signal: AbortSignal): Promise<Compiler> {
  const scratch = await mkdtemp(join(tmpdir(), "surety-bench-"));
  try {
    await compile("sha256", "plain", scratch, signal);
    const { stdout } = await run("clang", ["--version"], { signal });
    return { version: stdout.split("\n")[0]!.trim() };
  } catch (error) {
    signal.throwIfAborted();
    const missing = (error as Error).message.trim().split("\n").at(-1)!;
    return { missing: `clang, lld, wasi-libc and libclang-rt-14-dev-wasm32 are needed: ${missing}` };
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

/** Runs every kernel natively and in the sandbox, by turns, so that a busy machine slows down both. */
export async function runKernels({ size, repetitions, signal, say }: MeasureOptions): Promise<KernelRuns[]> {
  const scratch = await mkdtemp(join(tmpdir(), "surety-bench-"));
  const executor = new WasmExecutor();
  const all: KernelRuns[] = [];
  try {
    // Quick, only what there are targets for.
    const isQuick = size === "quick";
    for (const kernel of KERNELS.filter(({ numbers }) => !isQuick || numbers === "integer")) {
      for (const target of isQuick ? (["plain"] as const) : (["plain", "SIMD"] as const)) {
        say(`${repetitions} × ${kernel.name}, natively and in the sandbox (${target})`);
        const built = await compile(kernel.name, target, scratch, signal);
        const argument = String(kernel.size);
        // Compiled once, as by any node that has the program's second task.
        await inSandbox(executor, built.wasm, "1", signal);
        const runs: KernelRuns = { kernel, target, native: [], wasm: [], fuel: 0 };
        for (let run = 0; run < repetitions; run += 1) {
          const native = await natively(built.native, argument, signal);
          const wasm = await inSandbox(executor, built.wasm, argument, signal);
          if (native.result !== wasm.result)
            throw new Error(`${kernel.name} differs: ${native.result}, ${wasm.result}`);
          runs.native.push(native.cpu);
          runs.wasm.push(wasm.cpu);
          runs.fuel = wasm.fuel;
        }
        all.push(runs);
      }
    }
    return all;
  } finally {
    await executor.close();
    await rm(scratch, { recursive: true, force: true });
  }
}

async function compile(
  name: string,
  target: KernelRuns["target"],
  scratch: string,
  signal: AbortSignal,
): Promise<{ native: string; wasm: Uint8Array }> {
  const source = join(folder, `${name}.c`);
  const native = join(scratch, name);
  const wasm = join(scratch, `${name}.wasm`);
  const simd = target === "SIMD" ? ["-msimd128"] : [];
  await run("clang", ["-O2", source, "-o", native, "-lm"], { signal });
  await run("clang", ["--target=wasm32-wasi", "-O2", ...simd, source, "-o", wasm, "-lm"], { signal });
  return { native, wasm: new Uint8Array(await readFile(wasm)) };
}

interface Run {
  cpu: number;
  result: string;
}

async function natively(program: string, argument: string, signal: AbortSignal): Promise<Run> {
  const { stdout, stderr } = await run(program, [argument], { signal });
  return { cpu: Number(stderr), result: stdout };
}

async function inSandbox(
  executor: WasmExecutor,
  program: Uint8Array,
  argument: string,
  signal: AbortSignal,
): Promise<Run & { fuel: number }> {
  const before = process.cpuUsage();
  const task = { program, args: [argument], index: 0, input: new Map(), limits: LIMITS };
  const { exit, stdout, usage } = await executor.run(task, { signal });
  const { user, system } = process.cpuUsage(before);
  if (!("code" in exit) || exit.code !== 0) throw new Error(`the program ended with ${JSON.stringify(exit)}`);
  return { cpu: (user + system) / 1e6, result: new TextDecoder().decode(stdout), fuel: Number(usage.fuel) };
}
