import { access, constants, readFile, stat, statfs } from "node:fs/promises";
import { availableParallelism, totalmem } from "node:os";
import { dirname, resolve } from "node:path";
import { WasmExecutor } from "../executor/wasm-executor.ts";
import { ok, problem, warning, type Finding } from "./finding.ts";

const MIB = 2 ** 20;
const GIB = 2 ** 30;
/** Less free memory than an agent with one worker needs for itself and a small task, bytes. */
const LEAST_MEMORY = 512 * MIB;
/** Less than that on the disk of the home, and an agent may stop in the middle, bytes. */
const LEAST_DISK = 256 * MIB;
const LITTLE_DISK = 5 * GIB;
const LEAST_FILES = 20_000;

/** `(module (memory (export "memory") 1) (func (export "_start")))`: ends at once. */
const EMPTY_PROGRAM = Uint8Array.from(
  Buffer.from(
    "0061736d010000000104016000000302010005030100010713020" + "66d656d6f72790200065f737461727400000a040102000b",
    "hex",
  ),
);

/** What an agent is told that its host must bear. */
export interface HostNeeds {
  /** The agent's folder; default: the current one, to look at its disk. */
  home?: string;
  /** Tasks run at once. */
  workers?: number;
}

/** Looks at the machine: Node, CPUs, memory, disk, and whether it runs WebAssembly programs. */
export async function examineHost({ home, workers = 1 }: HostNeeds): Promise<Finding[]> {
  return [node(), cpus(workers), await memory(workers), await disk(home), await sandbox()];
}

function node(): Finding {
  const { node } = process.versions;
  const [major = 0, minor = 0] = node.split(".").map(Number);
  if (major >= 24 || (major === 22 && minor >= 18)) return ok("Node", `version ${node}`);
  return problem("Node", `version ${node} is too old`, "Install Node 24, or 22.18 and newer.");
}

function cpus(workers: number): Finding {
  const found = availableParallelism();
  if (workers <= found) return ok("CPUs", `${found} for ${workers} ${workers === 1 ? "task" : "tasks"} at once`);
  return warning(
    "CPUs",
    `${found} for ${workers} tasks at once: each takes longer than it says`,
    `Set workers to ${found} or fewer, so that tasks meet their deadlines.`,
  );
}

async function memory(workers: number): Promise<Finding> {
  const free = await freeMemory();
  const total = Math.min(totalmem(), process.constrainedMemory() || Infinity);
  const says = `${roughly(free)} of ${roughly(total)} free`;
  if (free >= LEAST_MEMORY * workers) return ok("memory", says);
  return warning(
    "memory",
    `${says}, for ${workers} ${workers === 1 ? "task" : "tasks"} at once`,
    "Give the machine more memory, stop something else, or lower workers.",
  );
}

/** What programs can still have; Linux counts its file cache in. */
async function freeMemory(): Promise<number> {
  const text = await readFile("/proc/meminfo", "utf8").catch(() => "");
  const kib = /^MemAvailable:\s+(\d+) kB$/m.exec(text)?.[1];
  return Math.min(kib === undefined ? totalmem() : Number(kib) * 1024, process.availableMemory());
}

async function disk(home: string | undefined): Promise<Finding> {
  const folder = await nearestFolder(home ?? ".");
  const { bavail, bsize, ffree, files } = await statfs(folder);
  const free = bavail * bsize;
  const says = `${roughly(free)} free for ${home ?? resolve(folder)}`;
  const fix = "Make room, or give the agent a home on another disk (home in the configuration).";
  if (free < LEAST_DISK) return problem("disk", `only ${says}`, fix, "JOURNAL_UNWRITABLE");
  // Some file systems have no fixed number of files.
  if (files > 0 && ffree < LEAST_FILES) return warning("disk", `${says}, but only ${ffree} more files`, fix);
  return free < LITTLE_DISK
    ? warning("disk", `only ${says}; inputs and outputs are kept there`, fix)
    : ok("disk", says);
}

/** The folder itself, or the one above it that there is. */
export async function nearestFolder(path: string): Promise<string> {
  let folder = resolve(path);
  while (!(await stat(folder).catch(() => undefined))?.isDirectory()) folder = dirname(folder);
  return folder;
}

/** Whether this user may write into a folder that there is. */
export async function mayWrite(folder: string): Promise<boolean> {
  return access(folder, constants.W_OK | constants.X_OK).then(
    () => true,
    () => false,
  );
}

/** A size for people: `3.9 GiB`. */
export function roughly(bytes: number): string {
  const unit = bytes >= GIB ? "GiB" : "MiB";
  const count = bytes / (bytes >= GIB ? GIB : MIB);
  return `${count < 10 ? count.toFixed(1) : Math.round(count)} ${unit}`;
}

async function sandbox(): Promise<Finding> {
  const executor = new WasmExecutor({ workers: 1 });
  const limits = { memoryBytes: MIB, seconds: 20, outputBytes: MIB, files: 1, fuel: 1_000_000n };
  try {
    const { exit } = await executor.run({ program: EMPTY_PROGRAM, args: [], index: 0, input: new Map(), limits });
    if ("code" in exit && exit.code === 0) return ok("WebAssembly", "the sandbox runs programs");
    return problem(
      "WebAssembly",
      `the sandbox does not run an empty program: ${JSON.stringify(exit)}`,
      RETRY,
      "EXECUTOR_FAILED",
    );
  } catch (error) {
    return problem("WebAssembly", `the sandbox does not start: ${(error as Error).message}`, RETRY, "EXECUTOR_FAILED");
  } finally {
    await executor.close();
  }
}

const RETRY = "See that memory and processes are not limited too tightly for this user (ulimit -a), and try again.";
