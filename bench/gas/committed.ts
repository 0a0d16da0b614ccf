import { readFileSync, writeFileSync } from "node:fs";

import { networkHelpers, type Deployment, type Terms } from "../../test/contracts/market-fixture.ts";
import { deployPeer, PEER_WAYS, runPeer } from "../peer/poco.ts";
import { recordDisputes } from "./disputes.ts";
import { Recorder, type Figures } from "./figures.ts";
import { deployUsed, deployUsedCrowd, rareTerms } from "./ground.ts";
import { spentOnLife, type LifeShape } from "./lives.ts";
import { spentBy, type Spent } from "./spent.ts";
import { recordRequests } from "./requests.ts";
import { recordSettling, recordSteps } from "./steps.ts";

/*
 * The figures that are committed, in bench/gas.json, and against which every change is held. Everybody's transactions are
 * counted after refunds; deposits and registrations are not.
 */

const FILE = new URL("../gas.json", import.meta.url);

const load = (): Promise<Deployment> => networkHelpers.loadFixture(deployUsed);

/** A part of the measuring. */
export interface Part {
  /** What it measures, after the word "gas". */
  name: string;
  measure(recorder: Recorder): Promise<void>;
}

/** Whole lives, by name. */
const LIVES: [string, Pick<LifeShape, "count" | "assignments" | "job" | "sampled">, Partial<Terms>][] = [
  ["1 task, unsampled, job known", { count: 1, assignments: 1, job: "known", sampled: 0 }, {}],
  ["1 task, unsampled, job new", { count: 1, assignments: 1, job: "new", sampled: 0 }, {}],
  ["10 tasks, 1 assignment, unsampled", { count: 10, assignments: 1, job: "known", sampled: 0 }, {}],
  ["10 tasks, 1 assignment, sampled", { count: 10, assignments: 1, job: "known", sampled: 1 }, {}],
  ["100 tasks, 1 assignment, adaptive", { count: 100, assignments: 1, job: "known" }, {}],
  ["1,000 tasks, 10 assignments, adaptive", { count: 1_000, assignments: 10, job: "known" }, {}],
  ["1,000 tasks, 10 assignments, q = 3", { count: 1_000, assignments: 10, job: "known" }, { adaptive: false }],
  ["10,000 tasks, 10 assignments, job new, adaptive", { count: 10_000, assignments: 10, job: "new" }, {}],
  ["10,000 tasks, 10 assignments, job new, q = 3", { count: 10_000, assignments: 10, job: "new" }, { adaptive: false }],
];

/** Volumes of the peer's deals that are committed. */
const PEER_VOLUMES = [1, 10];

export const PARTS: readonly Part[] = [
  {
    name: "of each step",
    measure: async (recorder) => {
      for (let chain = 1; chain <= 12; chain += 1) await recordSteps(recorder, await load(), chain);
    },
  },
  {
    name: "of each step of a dispute, two verifiers and seven jurors",
    measure: async (recorder) => {
      const d = await networkHelpers.loadFixture(deployUsedCrowd);
      for (let chain = 1; chain <= 3; chain += 1) {
        const before = await networkHelpers.takeSnapshot();
        await networkHelpers.setPrevRandao(chain);
        await recordDisputes(recorder, d);
        await before.restore();
      }
    },
  },
  ...[1, 10].map((assignments): Part => ({
    name: `of settling ${assignments} at once`,
    measure: async (recorder) => recordSettling(recorder, await load(), assignments),
  })),
  { name: "of whole lives, per task", measure: recordLives },
  { name: "of the peer, per task", measure: recordPeer },
  { name: "of requests with 3, 12 and 80 workers", measure: recordRequests },
];

async function recordLives(recorder: Recorder): Promise<void> {
  const total: Record<string, Spent> = {};
  for (const [name, shape, changes] of LIVES) {
    const d = await load();
    const terms = rareTerms(d, changes);
    const spent = await spentOnLife(d, { ...shape, terms, draws: "expected" });
    total[name] = spent;
    recorder.record("perTask", name, spent.gas / shape.count);
    recorder.record("calldata", `${name}, bytes a batch`, spent.calldata);
  }
  const gas = (name: string): number => total[name]!.gas;
  const one = gas("100 tasks, 1 assignment, adaptive");
  const ten = gas("1,000 tasks, 10 assignments, adaptive");
  const assignment = (ten - one) / 9;
  recorder.record("slopes", "assignment, one seat included", assignment);
  recorder.record("slopes", "batch", one - assignment);
  recorder.record("slopes", "further seat", (gas("1,000 tasks, 10 assignments, q = 3") - ten) / 10);
}

async function recordPeer(recorder: Recorder): Promise<void> {
  const peer = await deployPeer(await load());
  for (const way of PEER_WAYS) {
    for (const volume of PEER_VOLUMES) {
      const { gas } = await spentBy(() => runPeer(peer, way, volume));
      recorder.record("peer", `${way}, volume ${volume}`, gas / volume);
    }
  }
}

/** Measures all that is committed. */
export async function measureCommitted(say: (line: string) => void = () => {}): Promise<Figures> {
  const recorder = new Recorder();
  for (const { name, measure } of PARTS) {
    say(`gas ${name}`);
    await measure(recorder);
  }
  return recorder.figures;
}

export function readCommitted(): Figures {
  return JSON.parse(readFileSync(FILE, "utf8")) as Figures;
}

export function writeCommitted(figures: Figures): void {
  writeFileSync(FILE, `${JSON.stringify(figures, null, 2)}\n`);
}
