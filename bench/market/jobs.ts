import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { sampledCountOf } from "#sdk/market-state.ts";
import { readDeployment } from "../../agents/chain-agent.ts";
import { HttpRpc } from "../../agents/chain/rpc.ts";
import { Witness } from "../../agents/demo/witness.ts";
import { startDevnet, type Devnet } from "../../agents/devnet/devnet.ts";
import { cpuOf, type ByAgent } from "../devnet-use.ts";
import type { MeasureOptions } from "../section.ts";
import { spinProgram } from "./spin.ts";
import { submit } from "./submit.ts";

/** A job of tasks that only take time. */
export interface SpinJob {
  tasks: number;
  /** Of each task, in the sandbox on this machine with nothing beside it. */
  milliseconds: number;
}

/** When a job was how far: seconds from the command that submitted it, by the machine's clock and the chain's, which is one. */
export interface JobTimes {
  /** Its batch was in a block. */
  posted: number;
  /** The last slice was submitted. */
  submitted: number;
  /** The last slice was paid. */
  settled: number;
  /** The command ended: outputs are fetched, too. */
  ended: number;
  /** Tasks that were run again. */
  sampled: number;
  /** CPU seconds of all nodes, and of the requester, in that time; undefined where the system does not tell. */
  cpu?: ByAgent;
}

/** Runs jobs one after the other on a devnet of so many nodes. With fewer than six too few are left to check: they are trusted. */
export async function runJobs(
  nodes: number,
  jobs: readonly SpinJob[],
  { loops, signal, say }: Pick<MeasureOptions, "signal" | "say"> & { loops: number },
): Promise<JobTimes[]> {
  const home = await mkdtemp(join(tmpdir(), "surety-bench-"));
  let devnet: Devnet | undefined;
  try {
    devnet = await startDevnet({ home: join(home, "devnet"), port: 0, nodes, liars: 0, lazy: 0, signal });
    const times: JobTimes[] = [];
    for (const [place, job] of jobs.entries()) {
      say(`${job.tasks} tasks of ${job.milliseconds} ms on ${nodes} nodes`);
      const program = spinProgram(Math.round(loops * job.milliseconds));
      times.push(await runJob(devnet, await writeJob(join(home, `job-${place}`), { job, program, devnet }), signal));
    }
    return times;
  } finally {
    await devnet?.stop();
    await rm(home, { recursive: true, force: true });
  }
}

/** Three who may have to answer beside each of three who work. */
const MIN_CHECKED = 6;

async function writeJob(
  folder: string,
  { job: { tasks }, program, devnet }: { job: SpinJob; program: Uint8Array; devnet: Devnet },
): Promise<string> {
  const { nodes } = devnet.file.keys;
  await mkdir(join(folder, "inputs"), { recursive: true });
  await writeFile(join(folder, "spin.wasm"), program);
  for (let task = 0; task < tasks; task += 1) {
    await mkdir(join(folder, "inputs", String(task)));
    await writeFile(join(folder, "inputs", String(task), "task"), String(task));
  }
  const checked = { mode: "sampled", rate: "3%", quorum: 3, checking: "adaptive" };
  const trusted = { mode: "trusted", nodes: { allow: nodes.map(({ address }) => address) } };
  const job = {
    name: "spin",
    module: "./spin.wasm",
    inputs: "./inputs",
    ...(nodes.length < MIN_CHECKED ? trusted : checked),
    prices: nodes.length < MIN_CHECKED ? { task: "0.02" } : { task: "0.02", verifier: "0.03" },
    maxShare: `${Math.ceil(10_000 / nodes.length) / 100}%`,
    limits: { fuel: "1000G", memory: "1MiB", seconds: "600s", output: "1KiB", files: 1 },
    windows: { claim: "60s", submit: "1200s", reveal: "600s", check: "1200s", judge: "600s", challenge: "5s" },
  };
  const path = join(folder, "job.json");
  await writeFile(path, JSON.stringify(job, null, 2));
  return path;
}

async function runJob(devnet: Devnet, job: string, signal: AbortSignal): Promise<JobTimes> {
  const { file } = devnet;
  const rpc = new HttpRpc({ urls: [file.rpc], chainId: file.chainId });
  const before = cpuOf(devnet);
  const began = Date.now() / 1000;
  await Promise.race([devnet.failed, submit(job, devnet.path, signal)]);
  const ended = Date.now() / 1000 - began;
  const after = cpuOf(devnet);
  const witness = new Witness(await readDeployment(file.deployment), rpc, new Map(), () => undefined);
  await witness.catchUp();
  const record = [...witness.state.batches.values()].at(-1)!;
  const own = witness.events.filter((event) => "id" in event && event.id === record.id);
  const last = (name: string): number =>
    Math.max(...own.filter((event) => event.name === name).map(({ timestamp }) => timestamp)) - began;
  return {
    posted: record.postedAt - began,
    submitted: last("Submitted"),
    settled: last("Settled"),
    ended,
    sampled: record.assignments.reduce((sum, assignment) => sum + sampledCountOf(record, assignment), 0),
    cpu: before && after && { nodes: after.nodes - before.nodes, requester: after.requester - before.requester },
  };
}
