import { setImmediate as breathe } from "node:timers/promises";
import { measure } from "../../agents/simulation/measure.ts";
import type { MeasureOptions } from "../section.ts";

/** A market as the simulation plays it, and what was run again for each task posted, in one run per repetition. */
export interface SimulatedPoint {
  /** Share of the tasks that is checked. */
  rate: number;
  check: "adaptive" | "q = 3" | "q = 5";
  /** Shares of the nodes. */
  liars: number;
  silent: number;
  /** Share of the tasks that the requester runs itself. */
  planted: number;
  runs: { verifying: number; judging: number; planted: number; disputes: number; juries: number; money: number }[];
}

const RATES = [0.01, 0.03, 0.1, 0.25, 1];
const LIARS = [0, 0.01, 0.05, 0.2];

/** Shapes of markets: rates and quorums, each with more and more liars; planted tasks; verifiers that stay away. */
function shapes(): Omit<SimulatedPoint, "runs">[] {
  const honest = { liars: 0, silent: 0, planted: 0 };
  const all: Omit<SimulatedPoint, "runs">[] = [];
  for (const check of ["adaptive", "q = 3", "q = 5"] as const) {
    for (const rate of RATES) {
      // Replicating adaptively is no mode.
      if (check === "adaptive" && rate === 1) continue;
      for (const liars of LIARS) all.push({ ...honest, rate, check, liars });
    }
  }
  for (const planted of [0.01, 0.02]) all.push({ ...honest, rate: 0.03, check: "adaptive", planted });
  for (const silent of [0.05, 0.2]) all.push({ ...honest, rate: 0.03, check: "adaptive", silent });
  return all;
}

/** Plays markets of hundreds of nodes by the contracts' rules. Work is counted in tasks, each as dear as the others. */
export async function simulate({ size, seed, repetitions, signal, say }: MeasureOptions): Promise<SimulatedPoint[]> {
  const [batches, nodes] = size === "quick" ? [3, 200] : [40, 1_000];
  const points: SimulatedPoint[] = [];
  const wanted = shapes();
  say(`${repetitions} × ${wanted.length} markets of ${nodes} nodes and ${batches} batches, simulated`);
  for (const shape of wanted) {
    const runs: SimulatedPoint["runs"] = [];
    for (let run = 0; run < repetitions; run += 1) {
      await breathe();
      signal.throwIfAborted();
      const { rate, check, liars, silent, planted } = shape;
      const measured = measure(
        {
          seed: seed * 1_000 + run,
          nodes,
          rate: Math.round(rate * 1e6),
          adaptive: check === "adaptive",
          quorum: check === "q = 5" ? 5 : 3,
          strategies: { liar: liars, "silent verifier": silent },
          planted,
        },
        batches,
      );
      const { extraWork, extraMoney, disputes, juries } = measured;
      runs.push({ ...extraWork, disputes, juries: juries.reduce((a, b) => a + b, 0), money: extraMoney });
    }
    points.push({ ...shape, runs });
  }
  return points;
}
