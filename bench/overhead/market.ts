import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { sampledCountOf } from "#sdk/market-state.ts";
import { HttpRpc } from "../../agents/chain/rpc.ts";
import { Witness } from "../../agents/demo/witness.ts";
import { startDevnet, type Devnet } from "../../agents/devnet/devnet.ts";
import { readDeployment } from "../../agents/chain-agent.ts";
import { cpuOf, type ByAgent } from "../devnet-use.ts";
import { submit } from "../market/submit.ts";
import { useOf } from "../process.ts";
import type { MeasureOptions, Size } from "../section.ts";
import { writeJob, type Checking } from "./job.ts";

/** A market to put a job to. */
export interface MarketShape {
  nodes: number;
  liars: number;
  lazy: number;
}

/** What a job came to on a market of real agents. */
export interface MarketRun {
  checking: Checking;
  /** Tasks drawn to be checked. */
  sampled: number;
  /** Runs of a task: by compute nodes in any role, and by the requester itself. */
  runs: ByAgent;
  fuel: ByAgent;
  /** CPU seconds of agents from the submission to the last payment; undefined where the system does not tell. */
  cpu?: ByAgent;
  /** Seconds from the submission to the last payment. */
  seconds: number;
  /** How often what happened on chain. */
  events: Record<string, number>;
  /** Assignments by how they ended. */
  outcomes: Record<string, number>;
}

/** What agents use that have nothing to do but follow the chain, a block a second. */
export interface IdleUse {
  /** CPU seconds a second. */
  cpu: ByAgent;
  /** Resident memory of each, MiB. */
  memory: { nodes: number[]; requester: number };
}

/** Jobs on one market, and its agents at rest before and at most. */
export interface MarketRuns {
  market: MarketShape;
  /** Undefined where the system does not tell. */
  idle?: IdleUse;
  /** Most resident memory of each agent in its life, MiB. */
  peakMemory?: IdleUse["memory"];
  runs: MarketRun[];
}

/** Seconds that agents are watched at rest. */
const REST: Record<Size, number> = { quick: 5, whole: 10 };

/** Starts a market of processes, puts one job after the other to it, and counts what everybody executes. */
export async function runOnMarket(
  market: MarketShape,
  checkings: readonly Checking[],
  { size, signal, say }: Pick<MeasureOptions, "size" | "signal" | "say">,
): Promise<MarketRuns> {
  const home = await mkdtemp(join(tmpdir(), "surety-bench-"));
  let devnet: Devnet | undefined;
  try {
    say(`a market of ${market.nodes} nodes, ${market.liars} lying, ${market.lazy} lazy`);
    devnet = await startDevnet({ home: join(home, "devnet"), port: 0, ...market, logLevel: "debug", signal });
    const idle = await rest(devnet, REST[size], signal);
    const runs: MarketRun[] = [];
    for (const [place, checking] of checkings.entries()) {
      say(`a job on it: ${JSON.stringify(checking)}`);
      const job = await writeJob(join(home, `job-${place}`), { nodes: market.nodes, size, checking });
      runs.push(await runJob(devnet, checking, job, signal));
    }
    return { market, idle, peakMemory: memoryOf(devnet, "peakMemory"), runs };
  } finally {
    await devnet?.stop();
    await rm(home, { recursive: true, force: true });
  }
}

async function runJob(devnet: Devnet, checking: Checking, job: string, signal: AbortSignal): Promise<MarketRun> {
  const { file } = devnet;
  const deployment = await readDeployment(file.deployment);
  const rpc = new HttpRpc({ urls: [file.rpc], chainId: file.chainId });
  const before = await executedBy(devnet);
  const cpuBefore = cpuOf(devnet);
  const began = performance.now();
  await Promise.race([devnet.failed, submit(job, devnet.path, signal)]);
  const seconds = (performance.now() - began) / 1000;
  const cpuAfter = cpuOf(devnet);
  const after = await executedBy(devnet);
  const witness = new Witness(deployment, rpc, new Map(), () => undefined);
  await witness.catchUp();
  const record = [...witness.state.batches.values()].at(-1)!;
  const own = witness.events.filter((event) => "id" in event && event.id === record.id);
  return {
    checking,
    sampled: record.assignments.reduce((sum, assignment) => sum + sampledCountOf(record, assignment), 0),
    runs: { nodes: after.nodes.runs - before.nodes.runs, requester: after.requester.runs - before.requester.runs },
    fuel: { nodes: after.nodes.fuel - before.nodes.fuel, requester: after.requester.fuel - before.requester.fuel },
    cpu: cpuBefore &&
      cpuAfter && {
        nodes: cpuAfter.nodes - cpuBefore.nodes,
        requester: cpuAfter.requester - cpuBefore.requester,
      },
    seconds,
    events: countOf(
      own.map((event) =>
        event.name === "RoundOpened"
          ? event.escalation
            ? "RoundOpened, escalated"
            : "RoundOpened, redrawn"
          : event.name,
      ),
    ),
    outcomes: countOf(record.assignments.map(({ outcome, status }) => outcome?.outcome ?? status)),
  };
}

function countOf(names: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const name of names) counts[name] = (counts[name] ?? 0) + 1;
  return counts;
}

interface Executed {
  runs: number;
  fuel: number;
}

/** What every agent has executed so far, as its log has it. */
async function executedBy({ agents }: Devnet): Promise<{ nodes: Executed; requester: Executed }> {
  const total = { nodes: { runs: 0, fuel: 0 }, requester: { runs: 0, fuel: 0 } };
  for (const [name, { log }] of agents) {
    const sum = name === "requester" ? total.requester : total.nodes;
    for (const line of (await readFile(log, "utf8")).split("\n")) {
      if (!line.includes('"ran a task"')) continue;
      sum.runs += 1;
      sum.fuel += Number((JSON.parse(line) as { fuel: string }).fuel);
    }
  }
  return total;
}

async function rest(devnet: Devnet, lasting: number, signal: AbortSignal): Promise<IdleUse | undefined> {
  const before = cpuOf(devnet);
  await sleep(lasting * 1_000, undefined, { signal });
  const after = cpuOf(devnet);
  const memory = memoryOf(devnet, "memory");
  if (!before || !after || !memory) return undefined;
  const each = (name: keyof ByAgent): number => (after[name] - before[name]) / lasting;
  return { cpu: { nodes: each("nodes"), requester: each("requester") }, memory };
}

function memoryOf({ agents }: Devnet, key: "memory" | "peakMemory"): IdleUse["memory"] | undefined {
  const memory: IdleUse["memory"] = { nodes: [], requester: 0 };
  for (const [name, { pid }] of agents) {
    const use = useOf(pid);
    if (!use) return undefined;
    if (name === "requester") memory.requester = use[key];
    else memory.nodes.push(use[key]);
  }
  return memory;
}
