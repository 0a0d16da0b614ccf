import {
  ACTIVATION_DELAY,
  deployMultitude,
  networkHelpers,
  postBatch,
  type Deployment,
  type Terms,
} from "../../test/contracts/market-fixture.ts";
import { deployUsed, rareTerms } from "../gas/ground.ts";
import { spentOnLife } from "../gas/lives.ts";
import { spentBy, type Spent } from "../gas/spent.ts";
import type { MeasureOptions } from "../section.ts";

/** Batches of so many tasks, checked at 3 % adaptively. */
export interface SizePoint {
  tasks: number;
  assignments: number;
  runs: Spent[];
}

/** What a draw costs whoever proves that it was drawn. */
export interface PoolPoint {
  /** Places in the class's pool. */
  places: number;
  nodes: number;
  /** Gas of each answer. */
  answers: number[];
}

/** Places of each node in the largest pool. */
const PLACES_EACH = 10;

/** At a price at which everybody can afford the largest batch. */
const cheapTerms = (d: Deployment): Terms => rareTerms(d, { price: 10n, verifierPrice: 12n });

/** Ten times the tasks, again and again. */
export async function growTasks({ size, repetitions, seed, signal, say }: MeasureOptions): Promise<SizePoint[]> {
  const points: SizePoint[] = [];
  const most = size === "quick" ? 3 : 5;
  for (let power = 3; power <= most; power += 1) {
    for (const assignments of [10, 100]) {
      const tasks = 10 ** power;
      say(`${repetitions} × ${tasks} tasks, assignments: ${assignments}`);
      const runs: Spent[] = [];
      for (let run = 0; run < repetitions; run += 1) {
        signal.throwIfAborted();
        const d = await networkHelpers.loadFixture(deployUsed);
        await networkHelpers.setPrevRandao(seed * 1_000 + run);
        runs.push(
          await spentOnLife(d, { terms: cheapTerms(d), count: tasks, assignments, job: "known", draws: "any" }),
        );
      }
      points.push({ tasks, assignments, runs });
    }
  }
  return points;
}

/** Pools of a hundred nodes with more and more places. */
export async function growPool({ size, seed, signal, say }: MeasureOptions): Promise<PoolPoint[]> {
  const d = await deployMultitude();
  const points: PoolPoint[] = [];
  const steps = size === "quick" ? [1, 3] : [1, 3, PLACES_EACH];
  let each = 1;
  for (const wanted of steps) {
    signal.throwIfAborted();
    for (; each < wanted; each += 1) await joinAgain(d, each);
    say(`a pool of ${d.nodes.length * wanted} places`);
    const terms = rareTerms(d, { rate: 250_000n });
    await networkHelpers.setPrevRandao(seed * 1_000 + wanted);
    const life = await postBatch(d, { terms, count: 80 });
    await life.untilRevealed(...d.nodes.slice(0, 20).map((node): [typeof node, number] => [node, 4]));
    const answers: number[] = [];
    for (let assignment = 0; assignment < 20; assignment += 1) {
      answers.push((await spentBy(() => life.answer(assignment))).gas);
    }
    points.push({ places: d.nodes.length * wanted, nodes: d.nodes.length, answers });
  }
  return points;
}

/** Every node takes one place more. */
async function joinAgain(d: Deployment, round: number): Promise<void> {
  for (const [index, node] of d.nodes.entries()) {
    await d.registry.connect(node).joinPool(d.marketAddress, d.wasmClass, round * d.nodes.length + index);
  }
  await networkHelpers.time.increase(ACTIVATION_DELAY);
}
