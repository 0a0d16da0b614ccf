import { expect } from "chai";
import type { ContractTransactionResponse } from "ethers";

import {
  answerAll,
  BOND,
  Dispute,
  each,
  EVIDENCE,
  expectForgotten,
  fixedTerms,
  loadCrowd,
  LOCK,
  PAY,
  RESERVE,
  SEAT,
  startPanel,
  sum,
  WAGE,
} from "./dispute-fixture.ts";
import {
  deployMultitude,
  endsOf,
  expectAfter,
  expectClosed,
  expectMoney,
  Matter,
  mined,
  moneyOf,
  networkHelpers,
  Outcome,
  pass,
  postBatch,
  Stage,
  Verdict,
} from "./market-fixture.ts";
import { placesDrawn } from "./reference.ts";

describe("Disputes: conclude", () => {
  it("waits until nobody can challenge any more", async () => {
    const dispute = await startPanel(await loadCrowd());
    const { d, life } = dispute;
    await life.judge([await life.exception(Verdict.PrimaryDiffers)]);
    await expectAfter(d.market, await life.challengeDeadline(), () => life.conclude());
    await expectClosed(life);
  });

  it("waits through every step of a dispute, and until nobody can appeal any more", async () => {
    const dispute = await startPanel(await loadCrowd(), { 0: "x" });
    const { d, life } = dispute;
    const early = async (stage: bigint) => {
      await expect(life.conclude())
        .to.be.revertedWithCustomError(d.market, "WrongStage")
        .withArgs(0n, stage, Stage.Ruled);
    };
    await life.judge([await life.exception(Verdict.PrimaryDiffers)]);
    await dispute.challenge();
    await early(Stage.Opening);
    await dispute.passStep();
    await early(Stage.Opening);
    await dispute.rule();
    const before = await networkHelpers.takeSnapshot();
    await expectAfter(d.market, await dispute.deadline(), () => life.conclude());
    await before.restore();
    await dispute.appeal(d.honest);
    await early(Stage.Casting);
    for (const seat of (await dispute.seat()).keys()) await dispute.vote(seat);
    await dispute.rule();
    await early(Stage.Showing);
    for (let seat = 0; seat < 7; seat += 1) await dispute.showVote(seat);
    await dispute.rule();
    const again = await networkHelpers.takeSnapshot();
    await expectAfter(d.market, await dispute.deadline(), () => life.conclude());
    await again.restore();
    await dispute.appeal(d.honest);
    await dispute.decide();
    await life.conclude();
    await expectClosed(life);
  });

  it("waits until the accused of a contest can answer no more", async () => {
    for (const matter of [Matter.Work, Matter.Delivery]) {
      const dispute = await startPanel(await loadCrowd());
      await dispute.contest(matter);
      await expectAfter(dispute.d.market, await dispute.deadline(), () => dispute.life.conclude());
      await expectClosed(dispute.life);
    }
  });

  it("waits for a contest's jury once it was answered", async () => {
    const dispute = await startPanel(await loadCrowd());
    await dispute.contest(Matter.Delivery);
    await dispute.answerContest(dispute.d.honest, EVIDENCE);
    await dispute.passStep();
    await expect(dispute.life.conclude())
      .to.be.revertedWithCustomError(dispute.d.market, "WrongStage")
      .withArgs(0n, Stage.Casting, Stage.Ruled);
  });

  it("takes and frees the bonds of a requester that is on the panel itself, out of its money", async () => {
    const d = await loadCrowd();
    await d.vault.connect(d.admin).deposit(d.marketAddress, d.honest, 1_000_000n);
    const before = await moneyOf(d);
    const own = { ...d, requester: d.honest };
    const life = await postBatch(own, { terms: fixedTerms(own), real: true });
    life.results!.lie(d.honest.address, "x");
    await life.untilRevealed([d.honest, 10]);
    const dispute = await answerAll(life, 0, { 1: "y" }, before);
    await life.judge([await life.exception(Verdict.NoMajority)]);
    await dispute.challenge(d.honest);
    expect((await d.registry.nodeState(d.marketAddress, d.honest)).committed).to.equal(LOCK);
    await dispute.openAll();
    await dispute.rule();
    const first = await networkHelpers.takeSnapshot();
    await dispute.conclude();
    await expectClosed(life);
    await expectMoney(d, before, {
      [d.honest.address]: BOND / 3n - BOND,
      [dispute.member(1).address]: BOND / 3n,
      [dispute.member(2).address]: BOND / 3n,
    });
    await first.restore();
    await dispute.appeal(d.honest);
    expect((await d.registry.nodeState(d.marketAddress, d.honest)).committed).to.equal(LOCK);
    const jurors = await dispute.decide();
    await dispute.conclude();
    await expectClosed(life);
    // The jury finds the verifier right that told the truth, and the requester's own node wrong.
    await expectMoney(
      d,
      before,
      sum(each(jurors, WAGE), {
        [d.honest.address]: -LOCK - SEAT,
        [dispute.member(1).address]: -LOCK,
        [dispute.member(2).address]: SEAT + BOND + LOCK / 5n,
        burned: 2n * LOCK - BOND - LOCK / 5n - 7n * WAGE,
      }),
    );
  });

  it("fines whoever was drawn and has not answered, as any settlement does", async () => {
    const d = await loadCrowd();
    const before = await moneyOf(d);
    const life = await postBatch(d, { terms: fixedTerms(d), real: true });
    await life.untilRevealed([d.honest, 10]);
    const drawn = await life.drawn();
    await life.answer(0, 0, 1);
    await pass(await life.checkDeadline());
    const dispute = new Dispute(life, 0, [d.honest, drawn[1]!], before);
    await dispute.contest(Matter.Delivery);
    await dispute.expectConcluded(
      { outcome: Outcome.Forfeited, paid: SEAT },
      { [drawn[0]!.address]: -1_200n, [drawn[1]!.address]: SEAT, requester: -SEAT, burned: 1_200n },
    );
  });
});

describe("Disputes: beside other work", () => {
  it("lets honest assignments be paid while two others are in dispute at once", async () => {
    const d = await loadCrowd();
    const before = await moneyOf(d);
    const life = await postBatch(d, { terms: fixedTerms(d), count: 30, real: true });
    const primaries = [d.honest, d.lying, d.second];
    life.results!.lie(d.lying.address, "x");
    await life.compute(...primaries.map((node): [typeof node, number] => [node, 10]));
    // Verifiers say the truth: on this chain the liar is none of them.
    const slot = d.nodes.indexOf(d.lying);
    await life.mineEntropy((entropy) =>
      [0, 2].every((assignment) => !placesDrawn(entropy, assignment, life.batch.slots, 8).includes(slot)),
    );
    await life.reveal();
    const panels: Dispute[] = [];
    for (const assignment of [0, 1, 2]) panels.push(await answerAll(life, assignment, {}, before));
    for (const { members } of panels) expect(members.slice(1)).to.not.include(d.lying);
    const [accused, lied, honest] = panels as [Dispute, Dispute, Dispute];
    await life.judge([
      await life.exception(Verdict.PrimaryDiffers, { assignment: 0 }),
      await life.exception(Verdict.PrimaryDiffers, { assignment: 1 }),
    ]);
    await accused.challenge(d.honest);
    await lied.challenge(d.lying);
    expect((await endsOf(d, life.settle(d.stranger, 2))).map(({ outcome }) => outcome)).to.deep.equal([Outcome.Paid]);
    await accused.openAll();
    await accused.rule();
    await lied.openAll();
    await lied.rule();
    await lied.appeal(d.lying);
    const jurors = await lied.decide();
    expect(await endsOf(d, accused.conclude())).to.deep.equal([
      { outcome: Outcome.Forced, paid: PAY + 2n * SEAT, accused: 0n, penalty: 0n },
    ]);
    await expectForgotten(accused);
    expect((await life.state()).open).to.equal(1n);
    expect((await lied.stored()).stage).to.equal(Stage.Ruled);
    expect(await endsOf(d, lied.conclude())).to.deep.equal([
      { outcome: Outcome.PrimarySlashed, paid: 2n * SEAT, accused: 0b1n, penalty: LOCK },
    ]);
    await expectForgotten(lied);
    await expectClosed(life);
    await expectMoney(
      d,
      before,
      sum(
        each([d.honest, d.second], PAY),
        each(accused.members, BOND / 3n),
        each(accused.members.slice(1), SEAT),
        each(honest.members.slice(1), SEAT),
        each(lied.members.slice(1), SEAT + BOND / 2n + LOCK / 20n),
        each(jurors, WAGE),
        {
          [d.lying.address]: -LOCK,
          requester: -2n * PAY - 6n * SEAT - RESERVE,
          burned: RESERVE - BOND,
        },
      ),
    );
  });

  it("keeps the batch open for what is not settled, and returns the rest of its lock at the end", async () => {
    const d = await loadCrowd();
    const before = await moneyOf(d);
    const life = await postBatch(d, { terms: fixedTerms(d), count: 20, real: true });
    await life.untilRevealed([d.honest, 10], [d.second, 10]);
    const panels = [await answerAll(life, 0, {}, before), await answerAll(life, 1, {}, before)] as [Dispute, Dispute];
    await life.judge([await life.exception(Verdict.PrimaryDiffers)]);
    await panels[0].challenge();
    await panels[0].openAll();
    await panels[0].rule();
    const locked = (await d.vault.lockOf(d.marketAddress, life.id)).amount;
    await panels[0].conclude();
    expect((await d.vault.lockOf(d.marketAddress, life.id)).amount).to.equal(locked - PAY - 2n * SEAT - RESERVE);
    expect((await d.vault.lockOf(d.marketAddress, life.id)).amount >= PAY + 2n * SEAT).to.equal(true);
    await life.settle(d.stranger, 1);
    await expectClosed(life);
    await expectMoney(
      d,
      before,
      sum(
        each([d.honest, d.second], PAY),
        each(panels[0].members, BOND / 3n),
        ...panels.map(({ members }) => each(members.slice(1), SEAT)),
        { requester: -2n * PAY - 4n * SEAT - RESERVE, burned: RESERVE - BOND },
      ),
    );
  });

  it("reckons at the price that the batch was changed to", async () => {
    const d = await loadCrowd();
    const before = await moneyOf(d);
    const terms = fixedTerms(d, { slashAmount: 12_000n });
    const life = await postBatch(d, { terms, count: 20, real: true });
    await life.as(d.requester).rebid(terms, life.batch, 1_200n);
    await life.untilRevealed([d.honest, 20]);
    const dispute = await answerAll(life, 0, {}, before);
    await life.judge([await life.exception(Verdict.PrimaryDiffers)]);
    await dispute.challenge();
    await dispute.openAll();
    await dispute.rule();
    const reserve = 24_000n + 21n * WAGE + BOND;
    await dispute.expectConcluded(
      { outcome: Outcome.Forced, paid: 24_000n + 4n * SEAT },
      sum(each(dispute.members, BOND / 3n), each(dispute.members.slice(1), 2n * SEAT), {
        [d.honest.address]: 24_000n,
        requester: -24_000n - 4n * SEAT - reserve,
        burned: reserve - BOND,
      }),
    );
  });

  it("takes the whole lock of a slice that is worth more than the slash", async () => {
    const d = await loadCrowd();
    const dispute = await startPanel(d, { 0: "x" }, { count: 30 });
    const { life, members } = dispute;
    await life.judge([await life.exception(Verdict.PrimaryDiffers)]);
    await dispute.challenge();
    await dispute.openAll();
    await dispute.rule();
    await dispute.appeal(d.honest);
    const jurors = await dispute.decide();
    await dispute.expectConcluded(
      { outcome: Outcome.PrimarySlashed, paid: 6n * SEAT, accused: 0b1n, penalty: 30_000n },
      sum(each(jurors, WAGE), each(members.slice(1), 3n * SEAT + BOND / 2n + 1_500n), {
        [d.honest.address]: -30_000n,
        requester: -6n * SEAT,
        burned: 27_000n - BOND - 7n * WAGE,
      }),
    );
  });

  it("compares the members of later rounds too", async () => {
    const d = await loadCrowd();
    const before = await moneyOf(d);
    const life = await postBatch(d, { terms: fixedTerms(d, { adaptive: true }), real: true });
    await life.untilRevealed([d.honest, 10]);
    const [first] = await life.drawn();
    await life.answer();
    await life.escalate();
    await life.mineRound();
    const [second] = await life.drawn(0, 1);
    life.results!.lie(second!.address, "x");
    await life.answer(0, 1, 0);
    const dispute = new Dispute(life, 0, [d.honest, first!, second!], before);
    await life.judge([await life.exception(Verdict.SeatDiffers, { round: 1 })]);
    await dispute.challenge(second);
    await dispute.openAll();
    await dispute.rule();
    await dispute.appeal(second!);
    const jurors = await dispute.decide();
    for (const member of dispute.members) expect(jurors).to.not.include(member);
    await dispute.expectConcluded(
      { outcome: Outcome.SeatSlashed, paid: PAY + SEAT, accused: 0b100n, penalty: LOCK },
      sum(each(jurors, WAGE), {
        [d.honest.address]: PAY + BOND / 2n + LOCK / 20n,
        [first!.address]: SEAT + BOND / 2n + LOCK / 20n,
        [second!.address]: -LOCK,
        requester: -PAY - SEAT,
      }),
    );
  });
});

describe("Disputes: the largest there can be", function () {
  this.timeout(300_000);

  it("takes no call of more than half of what a transaction may use", async () => {
    const most = 8_000_000n;
    const d = await networkHelpers.loadFixture(deployMultitude);
    const terms = fixedTerms(d, { quorum: 15n, verifierPrice: 1_000n, slashAmount: 36_000n });
    const dispute = await startPanel(d, { 0: "x" }, { terms });
    const { life } = dispute;
    const spend = async (name: string, sent: Promise<ContractTransactionResponse>) => {
      const { gasUsed } = await mined(sent);
      expect(gasUsed < most, `${name}: ${gasUsed}`).to.equal(true);
    };
    await life.judge([await life.exception(Verdict.PrimaryDiffers)]);
    await dispute.challenge();
    await dispute.openAll();
    await spend("rule, 15 openings", dispute.rule());
    await dispute.appeal(d.honest);
    const bribed = await dispute.decide(["x"]);
    expect(bribed).to.have.length(31);
    await spend("appeal", dispute.appeal(dispute.member(1)));
    await dispute.mineJury();
    await spend("convene", dispute.convene());
    for (let seat = 0; seat < 62; seat += 1) await dispute.vote(seat);
    await spend("rule, ballots cast", dispute.rule());
    for (let seat = 0; seat < 62; seat += 1) await dispute.showVote(seat);
    await spend("rule, ballots open", dispute.rule());
    // Every juror of the first jury is slashed, and shares with fourteen.
    await spend("conclude", life.conclude());
    await expectClosed(life);
    await expectForgotten(dispute);
  });
});
