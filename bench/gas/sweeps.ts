import {
  Mode,
  networkHelpers,
  PPM,
  trustedTermsOf,
  type Deployment,
  type Terms,
} from "../../test/contracts/market-fixture.ts";
import { deployPeer, PEER_WAYS, runPeer, type PeerWay } from "../peer/poco.ts";
import type { MeasureOptions } from "../section.ts";
import { CHECKS, type Check } from "./checks.ts";
import { spentOnDisputes } from "./disputes.ts";
import { deployUsed, deployUsedCrowd, RATE, rareTerms } from "./ground.ts";
import { spentOnLife } from "./lives.ts";
import { spentBy, type Spent } from "./spent.ts";

/** Batches alike, one for each repetition. */
export interface LifePoint {
  check: Check;
  tasks: number;
  assignments: number;
  /** Sampled tasks, where the point is about batches with so many; otherwise as the chain had it. */
  sampled?: number;
  runs: Spent[];
}

/** A way through a dispute, with as many runs. */
export interface DisputePoint {
  path: string;
  runs: Spent[];
}

/** A deal of the peer. Its cost does not vary. */
export interface PeerPoint {
  way: PeerWay;
  volume: number;
  spent: Spent;
}

const load = (): Promise<Deployment> => networkHelpers.loadFixture(deployUsed);

function termsFor(d: Deployment, check: Check): Terms {
  switch (check) {
    case "trusted, 0 %":
      return trustedTermsOf(d, d.nodes, { price: 100n, verifierPrice: 120n });
    case "3 %, adaptive":
      return rareTerms(d);
    case "3 %, q = 3":
      return rareTerms(d, { adaptive: false });
    case "3 %, q = 5":
      return rareTerms(d, { adaptive: false, quorum: 5n });
    case "100 %, q = 3":
      return rareTerms(d, { mode: Mode.Replicated, adaptive: false, rate: PPM });
    case "100 %, q = 5":
      return rareTerms(d, { mode: Mode.Replicated, adaptive: false, rate: PPM, quorum: 5n });
  }
}

/** Batches of one to ten thousand tasks: up to a hundred in one assignment, more in ten. */
export async function sweepTasks(options: MeasureOptions): Promise<LifePoint[]> {
  const points: LifePoint[] = [];
  for (const check of options.size === "quick" ? CHECKS.filter((each) => !each.endsWith("q = 5")) : CHECKS) {
    for (const tasks of [1, 10, 100, 1_000, 10_000]) {
      // Few tasks are either checked or not, and what a batch costs on average follows from both.
      const either = check.startsWith("3 %") && tasks * Number(RATE) < Number(PPM);
      for (const sampled of either ? [0, 1] : [undefined]) {
        const shape = { check, tasks, assignments: tasks < 1_000 ? 1 : 10, sampled };
        points.push({ ...shape, runs: await repeat(options, shape) });
      }
    }
  }
  return points;
}

/** Batches of a thousand tasks in one to a hundred assignments. */
export async function sweepAssignments(options: MeasureOptions): Promise<LifePoint[]> {
  const points: LifePoint[] = [];
  const steps = options.size === "quick" ? [1, 10] : [1, 2, 5, 10, 20, 50, 100];
  for (const check of ["trusted, 0 %", "3 %, adaptive", "3 %, q = 3", "100 %, q = 3"] as const) {
    for (const assignments of steps) {
      const shape = { check, tasks: 1_000, assignments };
      points.push({ ...shape, runs: await repeat(options, shape) });
    }
  }
  return points;
}

async function repeat(
  { repetitions, seed, signal, say }: MeasureOptions,
  { check, tasks, assignments, sampled }: Omit<LifePoint, "runs">,
): Promise<Spent[]> {
  const chance = sampled === undefined ? "" : `, sampled: ${sampled}`;
  say(`${repetitions} × ${tasks} tasks, assignments: ${assignments}; ${check}${chance}`);
  const runs: Spent[] = [];
  for (let run = 0; run < repetitions; run += 1) {
    signal.throwIfAborted();
    const d = await load();
    await networkHelpers.setPrevRandao(seed * 1_000 + run);
    const terms = termsFor(d, check);
    runs.push(await spentOnLife(d, { terms, count: tasks, assignments, job: "known", sampled, draws: "any" }));
  }
  return runs;
}

/** Every way through a dispute. */
export async function sweepDisputes({ size, seed, signal, say, ...options }: MeasureOptions): Promise<DisputePoint[]> {
  const repetitions = size === "quick" ? 1 : options.repetitions;
  const runs = new Map<string, Spent[]>();
  for (let run = 0; run < repetitions; run += 1) {
    signal.throwIfAborted();
    say(`every way through a dispute, ${run + 1} of ${repetitions}`);
    const d = await networkHelpers.loadFixture(deployUsedCrowd);
    await networkHelpers.setPrevRandao(seed * 1_000 + run);
    for (const { name, spent } of await spentOnDisputes(d)) runs.set(name, [...(runs.get(name) ?? []), spent]);
  }
  return [...runs].map(([path, all]) => ({ path, runs: all }));
}

/** The peer's deals of one and ten tasks, and of a hundred. */
export async function sweepPeer({ size, signal, say }: MeasureOptions): Promise<PeerPoint[]> {
  // Enough workers for a hundred tasks: nobody's score may rise so far that two contributions are enough.
  const peer = await deployPeer(await networkHelpers.loadFixture(deployUsedCrowd));
  const points: PeerPoint[] = [];
  for (const way of PEER_WAYS) {
    for (const volume of size === "quick" ? [1, 10] : [1, 10, 100]) {
      signal.throwIfAborted();
      say(`PoCo ${way}, volume ${volume}`);
      points.push({ way, volume, spent: await spentBy(() => runPeer(peer, way, volume)) });
    }
  }
  return points;
}
