import { networkHelpers, type Actor } from "../../test/contracts/market-fixture.ts";
import {
  deployTreeOf,
  postRequest,
  rankingOf,
  RewardFunction,
  STEP,
  type Inquiry,
  type Tree,
} from "../../test/contracts/request-fixture.ts";
import type { Recorder } from "./figures.ts";
import { spentBy } from "./spent.ts";

/** How many workers the committed lives of requests have. */
export const REQUEST_WORKERS = [3, 12, 80];

const deployMany = (): Promise<Tree> => deployTreeOf(Math.max(...REQUEST_WORKERS));

/** Records what requests cost: each step, whole lives with so many workers, and challenges. */
export async function recordRequests(recorder: Recorder): Promise<void> {
  for (const count of REQUEST_WORKERS) {
    const t = await networkHelpers.loadFixture(deployMany);
    await recordLife(recorder, t, t.workers.slice(0, count));
  }
  await recordChallenges(recorder, await networkHelpers.loadFixture(deployMany));
}

/** From posting to settling, everybody content, shared by rank. */
async function recordLife(recorder: Recorder, t: Tree, workers: Actor[]): Promise<void> {
  const count = workers.length;
  let total = 0;
  const step = async (name: string, work: () => Promise<unknown>): Promise<void> => {
    const { gas } = await spentBy(work);
    recorder.record("requests", name, gas);
    total += gas;
  };
  let inquiry!: Inquiry;
  await step("post", async () => (inquiry = await postRequest(t, { rewardFunction: RewardFunction.ByRank })));
  await step("accept as evaluator", () => inquiry.evaluate());
  for (const worker of workers) await step("accept as worker", () => inquiry.work(worker));
  await step("start", () => inquiry.as(t.requester).start(inquiry.request));
  for (const worker of workers) await step("submit a result", () => inquiry.submit(worker));
  for (const worker of workers) await step("reveal a result", () => inquiry.reveal(worker));
  const ruling = rankingOf(...workers);
  await step(`rank, workers: ${count}`, () => inquiry.rank(ruling));
  await step("accept the ranking", () => inquiry.as(t.requester).acceptResult(inquiry.request));
  await inquiry.passDeadline();
  await step(`settle, workers: ${count}`, () => inquiry.settle(ruling));
  recorder.record("requests", `whole life, workers: ${count}`, total);
}

/** What it costs more where the evaluator is overturned by its parent, and that by the root; and silence. */
async function recordChallenges(recorder: Recorder, t: Tree): Promise<void> {
  const workers = t.workers.slice(0, 3) as [Actor, Actor, Actor];
  const step = async (name: string, work: () => Promise<unknown>): Promise<void> =>
    recorder.record("requests", name, (await spentBy(work)).gas);
  const inquiry = await postRequest(t);
  await inquiry.compute(workers);
  const revealed = await networkHelpers.takeSnapshot();
  await inquiry.rank(rankingOf(workers[0]));
  await step("challenge", () => inquiry.challenge(workers[1]));
  await step("reevaluate, workers: 3", () => inquiry.reevaluate(t.admin, rankingOf(...workers)));
  await inquiry.challenge(workers[0]);
  await inquiry.reevaluate(t.root, rankingOf(workers[1]));
  await step("settle, two tiers overturned", () => inquiry.settle(rankingOf(workers[1])));
  await revealed.restore();
  await inquiry.passDeadline(STEP);
  await step("climb", () => inquiry.climb());
}
