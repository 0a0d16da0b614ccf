import { EVIDENCE, startPanel, type Dispute } from "../../test/contracts/dispute-fixture.ts";
import { Matter, networkHelpers, pass, Verdict, type Deployment } from "../../test/contracts/market-fixture.ts";
import type { Recorder } from "./figures.ts";
import { mineFreshJury } from "./ground.ts";
import { spentBy, type Spent } from "./spent.ts";

/** Records every step of a dispute of two verifiers and seven jurors. */
export async function recordDisputes(recorder: Recorder, d: Deployment): Promise<void> {
  const step = async (name: string, work: () => Promise<unknown>): Promise<void> =>
    recorder.record("disputes", name, (await spentBy(work)).gas);
  const excepted = await startPanel(d, { 0: "x" });
  await excepted.life.judge([await excepted.life.exception(Verdict.PrimaryDiffers)]);
  const begun = await networkHelpers.takeSnapshot();
  await step("challenge, with a bond", () => excepted.challenge(excepted.member(1)));
  await begun.restore();
  await step("challenge, by the accused", () => excepted.challenge());
  for (const member of [0, 1, 2]) await step("open", () => excepted.open(member));
  await step("rule, three openings", () => excepted.rule());
  const uncontested = await networkHelpers.takeSnapshot();
  await excepted.passStep();
  await step("conclude, no jury, closing", () => excepted.life.conclude());
  await uncontested.restore();
  await step("appeal, with a bond", () => excepted.appeal(excepted.member(1)));
  await uncontested.restore();
  await step("appeal, with the lock", () => excepted.appeal(d.honest));
  await mineFreshJury(excepted);
  await step("convene, 7 jurors", () => excepted.convene());
  for (let seat = 0; seat < 7; seat += 1) await step("cast a ballot", () => excepted.vote(seat));
  const cast = await networkHelpers.takeSnapshot();
  const [juror] = await excepted.jurors();
  const ballot = [await excepted.value(""), excepted.saltOf(juror!)] as const;
  await step("expose a ballot", () => excepted.expose(0, ...ballot, excepted.member(1)));
  await cast.restore();
  await step("rule, 7 ballots cast", () => excepted.rule());
  for (let seat = 0; seat < 7; seat += 1) await step("open a ballot", () => excepted.showVote(seat));
  await step("rule, 7 ballots open", () => excepted.rule());
  const ruled = await networkHelpers.takeSnapshot();
  await excepted.passStep();
  await step("conclude, one jury, closing", () => excepted.life.conclude());
  await ruled.restore();
  await excepted.appeal(d.honest);
  await mineFreshJury(excepted);
  await step("convene, 14 jurors", () => excepted.convene());
  for (let seat = 0; seat < 14; seat += 1) await excepted.vote(seat);
  await excepted.rule();
  for (let seat = 0; seat < 14; seat += 1) await excepted.showVote(seat);
  await excepted.rule();
  await step("conclude, two juries, closing", () => excepted.life.conclude());
  await begun.restore();

  await pass(await excepted.life.challengeDeadline());
  await excepted.life.conclude();
  const other = await startPanel(d);
  await step("contest", () => other.contest(Matter.Work));
  const contested = await networkHelpers.takeSnapshot();
  await step("answer a contest", () => other.answerContest(d.honest));
  await contested.restore();
  await other.passStep();
  await step("conclude, contest not answered, closing", () => other.life.conclude());
  // A square of tasks, in whose order nothing has to be passed over.
  const silent = await startPanel(d, {}, { count: 16 });
  await pass(await silent.life.judgeDeadline());
  await step("call the panel", () => silent.callPanel());
}

/** A way through a dispute, from what begins it to the last payment. */
export interface DisputePath {
  name: string;
  spent: Spent;
}

/** Takes every way through a dispute to its end, on a chain of its own from here on. */
export async function spentOnDisputes(d: Deployment): Promise<DisputePath[]> {
  const paths: DisputePath[] = [];
  const take = async (
    name: string,
    lies: Record<number, string>,
    way: (dispute: Dispute) => Promise<unknown>,
  ): Promise<void> => {
    const before = await networkHelpers.takeSnapshot();
    const dispute = await startPanel(d, lies);
    paths.push({
      name,
      spent: await spentBy(async () => {
        await way(dispute);
        await dispute.life.conclude();
        if ((await dispute.life.state()).postedAt !== 0n) throw new Error(`${name}: the batch is not closed`);
      }),
    });
    await before.restore();
  };
  const except = async (dispute: Dispute): Promise<void> => {
    await dispute.life.judge([await dispute.life.exception(Verdict.PrimaryDiffers)]);
  };
  const challenge = async (dispute: Dispute): Promise<void> => {
    await except(dispute);
    await dispute.challenge();
    await dispute.openAll();
    await dispute.rule();
  };
  const appeal = async (dispute: Dispute): Promise<void> => {
    await dispute.appeal(dispute.d.honest);
    await dispute.decide();
  };
  await take("exception, nobody objects", { 0: "x" }, async (dispute) => {
    await except(dispute);
    await pass(await dispute.life.challengeDeadline());
  });
  await take("exception, challenged, panel opens", { 0: "x" }, async (dispute) => {
    await challenge(dispute);
    await dispute.passStep();
  });
  await take("false exception, challenged, panel opens", {}, async (dispute) => {
    await challenge(dispute);
    await dispute.passStep();
  });
  await take("exception, appealed to 7 jurors", { 0: "x" }, async (dispute) => {
    await challenge(dispute);
    await appeal(dispute);
    await dispute.passStep();
  });
  await take("exception, appealed to 7, then 14 jurors", { 0: "x" }, async (dispute) => {
    await challenge(dispute);
    await appeal(dispute);
    await appeal(dispute);
  });
  await take("result contested, not answered", {}, async (dispute) => {
    await dispute.contest(Matter.Work);
    await dispute.passStep();
  });
  await take("result contested, answered, 7 jurors", {}, async (dispute) => {
    await dispute.contest(Matter.Work);
    await dispute.answerContest(dispute.member(0));
    const ran = (await dispute.life.sampled()).includes(0) ? [...dispute.members.keys()] : [0];
    await dispute.decide([""], { open: ran });
    await dispute.passStep();
  });
  await take("delivery contested, answered, 7 jurors", {}, async (dispute) => {
    await dispute.contest(Matter.Delivery);
    await dispute.answerContest(dispute.member(0), EVIDENCE);
    await dispute.decide();
    await dispute.passStep();
  });
  await take("silent requester, panel called and opens", {}, async (dispute) => {
    await pass(await dispute.life.judgeDeadline());
    await dispute.callPanel();
    await dispute.openAll();
    await dispute.rule();
    await dispute.passStep();
  });
  return paths;
}
