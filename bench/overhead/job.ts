import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { TaskLimits } from "../../agents/executor/executor.ts";
import { WasmExecutor } from "../../agents/executor/wasm-executor.ts";
import { buildModule, MODULE_PATH } from "../../examples/coastline/build.ts";
import type { Layout } from "../../examples/coastline/layout.ts";
import { prepareTiles, tileInputs } from "../../examples/coastline/prepare.ts";
import type { MeasureOptions, Size } from "../section.ts";

/*
 * The job that nodes are watched at: the demo's map of the world, cut into more and smaller tiles. They take about as
 * long, so that a share of the tasks is a share of the work.
 */

/** The demo's map in 288 tiles, or quick a smaller one in 64. */
const LAYOUTS: Record<Size, Layout> = {
  quick: { width: 720, height: 360, columns: 8, rows: 8 },
  whole: { width: 2160, height: 1080, columns: 24, rows: 12 },
};

const LIMITS: TaskLimits = {
  fuel: 20_000_000_000n,
  memoryBytes: 128 * 2 ** 20,
  seconds: 120,
  outputBytes: 16 * 2 ** 20,
  files: 4,
};

/** How the job is checked. */
export interface Checking {
  mode: "sampled" | "replicated";
  /** Share of the tasks, mode `sampled` only. */
  rate?: string;
  checking?: "adaptive" | "fixed";
  /** Share of the tasks that the requester runs itself. */
  plant?: string;
}

/** Writes program, inputs and job file; the steps' windows are long enough for a busy machine. */
export async function writeJob(
  folder: string,
  { nodes, size, checking }: { nodes: number; size: Size; checking: Checking },
): Promise<string> {
  await mkdir(folder, { recursive: true });
  await buildModule();
  await writeFile(join(folder, "coastline.wasm"), await readFile(MODULE_PATH));
  await prepareTiles({ ...LAYOUTS[size], outFolder: join(folder, "tiles") });
  const job = {
    name: "coastline",
    module: "./coastline.wasm",
    inputs: "./tiles",
    quorum: 3,
    ...checking,
    prices: { task: "0.1", verifier: "0.12" },
    maxShare: `${(100 / nodes).toFixed(2)}%`,
    limits: { fuel: "20G", memory: "128MiB", seconds: "120s", output: "16MiB", files: 4 },
    windows: { claim: "60s", submit: "600s", reveal: "300s", check: "600s", judge: "300s", challenge: "5s" },
  };
  const path = join(folder, "job.json");
  await writeFile(path, JSON.stringify(job, null, 2));
  return path;
}

/** What running all tasks once took. */
export interface PlainRun {
  tasks: number;
  fuel: number;
  /** Of the whole process while it ran them, seconds. */
  cpu: number;
}

/** Runs every task once, one after the other, in this process. */
export async function runPlain({ size, signal }: Pick<MeasureOptions, "size" | "signal">): Promise<PlainRun> {
  const program = await buildModule();
  const inputs = await tileInputs(LAYOUTS[size]);
  const executor = new WasmExecutor();
  try {
    const before = process.cpuUsage();
    let fuel = 0;
    for (const [index, files] of inputs.entries()) {
      const input = new Map(Object.entries(files));
      const outcome = await executor.run({ program, args: [], index, input, limits: LIMITS }, { signal });
      if (!("code" in outcome.exit) || outcome.exit.code !== 0) throw new Error(`tile ${index} failed`);
      fuel += Number(outcome.usage.fuel);
    }
    const { user, system } = process.cpuUsage(before);
    return { tasks: inputs.length, fuel, cpu: (user + system) / 1e6 };
  } finally {
    await executor.close();
  }
}
