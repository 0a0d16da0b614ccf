import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { WasmExecutor } from "../../agents/executor/wasm-executor.ts";
import { buildModule, MODULE_PATH } from "../../examples/coastline/build.ts";
import type { MeasureOptions } from "../section.ts";

const run = promisify(execFile);
const mainScript = fileURLToPath(new URL("../../agents/cli/main.ts", import.meta.url));
/** Tells at its end what a process used. */
const TELLING =
  "data:text/javascript,process.on('exit',()=>console.error(JSON.stringify({...process.cpuUsage(),rss:process.memoryUsage.rss()})))";

/** What a process used until it had started: CPU seconds, and resident memory in MiB. */
export interface Started {
  cpu: number;
  memory: number;
}

/** Beginnings, by run. */
export interface StartUp {
  /** Node with nothing to do. */
  node: Started[];
  /** `surety --version`: Node, and the modules of the command line. */
  commandLine: Started[];
  /** CPU seconds of a new sandbox, and of checking, metering and compiling the demo's program in it. */
  program: number[];
  /** Bytes of the demo's program. */
  programBytes: number;
}

export async function startUps({ repetitions, signal, say }: MeasureOptions): Promise<StartUp> {
  await buildModule();
  const program = new Uint8Array(await readFile(MODULE_PATH));
  const found: StartUp = { node: [], commandLine: [], program: [], programBytes: program.length };
  say(`${repetitions} × starting the command line, and a sandbox with the demo's program`);
  for (let place = 0; place < repetitions; place += 1) {
    found.node.push(await started(["--eval", ""], signal));
    found.commandLine.push(await started([mainScript, "--version"], signal));
    const before = process.cpuUsage();
    const executor = new WasmExecutor();
    await executor.check(program, { signal });
    found.program.push(seconds(process.cpuUsage(before)));
    await executor.close();
  }
  return found;
}

async function started(args: readonly string[], signal: AbortSignal): Promise<Started> {
  const all = ["--disable-warning=ExperimentalWarning", "--import", TELLING, ...args];
  const { stderr } = await run(process.execPath, all, { signal });
  const told = JSON.parse(stderr.trim().split("\n").at(-1)!) as NodeJS.CpuUsage & { rss: number };
  return { cpu: seconds(told), memory: told.rss / 2 ** 20 };
}

function seconds({ user, system }: NodeJS.CpuUsage): number {
  return (user + system) / 1e6;
}
