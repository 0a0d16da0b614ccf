import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { MeasureOptions, Size } from "../section.ts";
import type { Followed } from "./follow.ts";

const run = promisify(execFile);
const followScript = fileURLToPath(new URL("./follow.ts", import.meta.url));

/** Nodes, and batches of a thousand tasks. */
const STEPS: Record<Size, [number, number][]> = {
  quick: [
    [100, 1],
    [100, 10],
  ],
  whole: [
    [100, 1],
    [1_000, 1],
    [1_000, 10],
    [1_000, 100],
    [1_000, 1_000],
    [10_000, 1_000],
  ],
};

/** Follows markets of more and more nodes and batches, each in a process of its own. */
export async function growAgents({ size, seed, signal, say }: MeasureOptions): Promise<Followed[]> {
  const { playBatch } = await import("./history.ts");
  const folder = await mkdtemp(join(tmpdir(), "surety-bench-"));
  try {
    const history = await playBatch(seed);
    const file = join(folder, "history.json");
    await writeFile(file, JSON.stringify(history));
    const all: Followed[] = [];
    for (const [nodes, batches] of STEPS[size]) {
      say(`an agent that follows ${nodes} nodes and ${batches} batches of ${history.tasks} tasks`);
      const home = join(folder, `${nodes}-${batches}`);
      const args = ["--disable-warning=ExperimentalWarning", "--expose-gc", followScript, home, file];
      const { stdout } = await run(process.execPath, [...args, String(nodes), String(batches)], { signal });
      all.push(JSON.parse(stdout.trim().split("\n").at(-1)!) as Followed);
    }
    return all;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
