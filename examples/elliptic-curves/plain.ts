import { execFile } from "node:child_process";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { plainCommand } from "./build-image.ts";

const run = promisify(execFile);

/** What {@link checkPlainly} found. */
export interface PlainRun {
  /** What the program wrote, by task. */
  results: string[];
  seconds: number;
  /** Seconds of CPU. */
  cpuSeconds: number;
}

/**
 * Checks all tables one after the other in one process of the same program, without container or market.
 *
 * @param inputs Folder that `prepareCurves` filled.
 * @throws Error with the program's messages
 */
export async function checkPlainly(inputs: string, { signal }: { signal?: AbortSignal } = {}): Promise<PlainRun> {
  const folder = await mkdtemp(join(tmpdir(), "surety-curves-"));
  try {
    const script = await readFile(fileURLToPath(new URL("verify.gp", import.meta.url)), "utf8");
    const [definitions = ""] = script.split(/^verify\("/m);
    const tasks = (await readdir(inputs)).sort();
    const calls = tasks.map((task) => `verify("${join(inputs, task, "curves")}", "${join(folder, task)}");`);
    await writeFile(join(folder, "all.gp"), [definitions, ...calls, "print(getabstime());", "quit", ""].join("\n"));
    const began = performance.now();
    const [start = "", ...args] = await plainCommand();
    const { stdout } = await run(start, [...args, "-q", "-f", "-s", "128M", join(folder, "all.gp")], { signal });
    const seconds = (performance.now() - began) / 1000;
    const results = await Promise.all(tasks.map((task) => readFile(join(folder, task), "utf8")));
    return { results, seconds, cpuSeconds: Number(stdout) / 1000 };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
