import { pass, postBatch, type Deployment, type Life, type Terms } from "../../test/contracts/market-fixture.ts";
import { sampledCount } from "../../test/contracts/reference.ts";
import { drawsAsExpected } from "./ground.ts";
import { spentBy, type Spent } from "./spent.ts";

/** A batch from post to the last payment, in which everybody agrees. */
export interface LifeShape {
  terms: Terms;
  /** Tasks, and assignments they are cut into. */
  count: number;
  assignments: number;
  /** Whether the job had a batch before. */
  job: "known" | "new";
  /** How many tasks are sampled; as the chain has it if left out. */
  sampled?: number;
  /**
   * Whether to wait for a chain on which draws look at nobody in vain, so that the figure is the same on all; at most
   * as many assignments as nodes.
   */
  draws: "expected" | "any";
}

/** What all transactions of a life cost together. */
export async function spentOnLife(d: Deployment, shape: LifeShape): Promise<Spent> {
  const { terms, count, assignments, job } = shape;
  if (job === "known") {
    const first = await postBatch(d, { terms, count: 1 });
    await pass(first.claimDeadline);
    await first.seal();
  }
  return await spentBy(async () => {
    const life = await postBatch(d, { terms, count });
    const each = count / assignments;
    const nodes = Array.from({ length: assignments }, (_, assignment) => d.nodes[assignment % d.nodes.length]!);
    await life.compute(...nodes.map((node): [typeof node, number] => [node, each]));
    await finishLife(d, life, shape);
    if ((await life.state()).postedAt !== 0n) throw new Error("the batch is not closed");
  });
}

/** From submitted to settled. */
export async function finishLife(
  d: Deployment,
  life: Life,
  { terms, count, assignments, sampled, draws }: Omit<LifeShape, "job">,
): Promise<void> {
  const all = Array.from({ length: assignments }, (_, assignment) => assignment);
  if (terms.rate === 0n) {
    await life.settle(d.requester, ...all);
    return;
  }
  const seats = terms.adaptive ? 1 : Number(terms.quorum) - 1;
  await life.mineEntropy(
    (entropy) =>
      (sampled === undefined || sampledCount(entropy, 0, count, terms.rate) === sampled) &&
      (draws === "any" || drawsAsExpected(entropy, assignments, seats)),
  );
  const entropy = await life.entropy();
  const checked = all.filter((assignment) => {
    const { first, count: size } = life.slice(assignment);
    return sampledCount(entropy, first, size, terms.rate) > 0;
  });
  if (checked.length === 0) {
    const settlements = all.map((assignment) => life.settlement(assignment));
    await life.as(d.requester).revealAndSettle(life.terms, life.batch, life.seed, settlements);
    return;
  }
  await life.reveal();
  for (const assignment of checked) {
    const drawn = await life.drawn(assignment);
    for (const seat of drawn.keys()) await life.answer(assignment, 0, seat);
  }
  await life.settle(d.requester, ...all);
}
