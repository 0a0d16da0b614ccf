import { networkHelpers, pass, postBatch, type Deployment, type Life } from "../../test/contracts/market-fixture.ts";
import { sampledCount } from "../../test/contracts/reference.ts";
import type { Recorder } from "./figures.ts";
import { drawsAsExpected, RATE, rareTerms } from "./ground.ts";
import { spentBy } from "./spent.ts";

/** Records the steps of a batch, one by one, on the chain of a number. */
export async function recordSteps(recorder: Recorder, d: Deployment, chain: number): Promise<void> {
  const step = async (name: string, work: () => Promise<unknown>): Promise<void> =>
    recorder.record("steps", name, (await spentBy(work)).gas);
  await networkHelpers.setPrevRandao(chain);
  let life!: Life;
  const terms = rareTerms(d, { adaptive: true, rate: 250_000n });
  const post = async () => (life = await postBatch(d, { terms, count: 8 }));
  await step("post, job new", post);
  await step("post, job known", post);
  await step("claim", () => life.claim(d.honest, 4));
  await life.claim(d.lying, 4);
  await step("submit", () => life.submit(0));
  await step("submit and seal", () => life.submit(1));
  await life.mineEntropy((entropy) => drawsAsExpected(entropy, 2, 1));
  await step("capture", () => d.market.capture(life.id));
  await step("reveal, captured", () => life.reveal());
  await step("answer", () => life.answer(0));
  await step("escalate", () => life.escalate(0));
  await life.mineRound();
  await step("answer, later round", () => life.answer(0, 1, 0));
  const exception = await life.exception(1n);
  await step("judge, one exception", () => life.judge([exception], false));
  await step("judge, none", () => life.judge([]));
  await pass(await life.checkDeadline(1));
  await step("redraw", () => life.redraw(1));
  await life.mineRound();
  await life.answer(1, 1, 0);
  await step("settle, paid, more open", () => life.settle(d.requester, 1));
  await pass(await life.challengeDeadline(0));
  await step("conclude, unchallenged, closing", () => life.conclude(0));

  const late = await postBatch(d, { terms, count: 8 });
  await late.claim(d.silent, 8);
  await pass(late.claimDeadline);
  await step("expire", () => late.expire(0));
  await step("seal, closing", () => late.seal());
  const changed = await postBatch(d, { terms });
  await step("rebid", () => changed.as(d.requester).rebid(terms, changed.batch, 90n));
}

/** Records what settling so many assignments at once costs. */
export async function recordSettling(recorder: Recorder, d: Deployment, assignments: number): Promise<void> {
  const step = async (name: string, work: () => Promise<unknown>): Promise<void> =>
    recorder.record("steps", `${name}: ${assignments}`, (await spentBy(work)).gas);
  const terms = rareTerms(d, { adaptive: true });
  const life = await postBatch(d, { terms, count: 100 * assignments });
  const work = d.nodes.slice(0, assignments).map((node): [typeof node, number] => [node, 100]);
  await life.compute(...work);
  await life.mineEntropy((entropy) => drawsAsExpected(entropy, assignments, 1));
  await step("reveal, assignments", () => life.reveal());
  for (const assignment of work.keys()) await life.answer(assignment);
  await step("settle, sampled", () => life.settle(d.requester, ...work.keys()));
  const none = await postBatch(d, { terms, count: 2 * assignments });
  await none.compute(...work.map(([node]): [typeof node, number] => [node, 2]));
  await none.mineEntropy((entropy) => sampledCount(entropy, 0, 2 * assignments, RATE) === 0);
  const settlements = [...work.keys()].map((assignment) => none.settlement(assignment));
  await step("reveal and settle, unsampled", () =>
    none.as(d.requester).revealAndSettle(none.terms, none.batch, none.seed, settlements),
  );
}
