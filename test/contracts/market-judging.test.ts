import { expect } from "chai";
import { id as keccakOf } from "ethers";

import type { Life } from "./market-fixture.ts";
import {
  at,
  deployMarket,
  ENVELOPE,
  eventsIn,
  expectAfter,
  expectMoney,
  expectUntil,
  moneyOf,
  networkHelpers,
  NODE_STAKE,
  now,
  PARAMETERS,
  pass,
  postBatch,
  Status,
  termsOf,
  Verdict,
  type Deployment,
  type Terms,
} from "./market-fixture.ts";

/** Two verifiers at once, quorum three. */
const fixed = (d: Deployment, changes: Partial<Terms> = {}) => termsOf(d, { adaptive: false, ...changes });
/** Four verifiers at once, quorum five. */
const five = (d: Deployment) => fixed(d, { quorum: 5n, slashAmount: 16_000n });

async function deployWith(terms: (d: Deployment) => Terms): Promise<{ d: Deployment; life: Life }> {
  const d = await deployMarket();
  const life = await postBatch(d, { terms: terms(d) });
  await life.untilRevealed([d.honest, 10]);
  return { d, life };
}
async function adaptiveRevealed() {
  return await deployWith(termsOf);
}
async function fixedRevealed() {
  return await deployWith(fixed);
}
async function fiveRevealed() {
  return await deployWith(five);
}
const loadAdaptive = () => networkHelpers.loadFixture(adaptiveRevealed);
const loadFixed = () => networkHelpers.loadFixture(fixedRevealed);
const loadFive = () => networkHelpers.loadFixture(fiveRevealed);

/** Two assignments of five tasks at 10 %: exactly one task is sampled. */
async function halfSampled() {
  const d = await deployMarket();
  const life = await postBatch(d, { terms: termsOf(d, { rate: 100_000n, slashAmount: 20_000n }) });
  await life.untilRevealed([d.honest, 5], [d.lying, 5]);
  const sampled = (await life.sampled(0)).length === 1 ? 0 : 1;
  return { d, life, sampled, unsampled: 1 - sampled };
}
const loadHalf = () => networkHelpers.loadFixture(halfSampled);

/** Lets the last round pass without its entropy ever being stored: it drew nobody. */
async function loseRound(life: Life): Promise<void> {
  await networkHelpers.mine(PARAMETERS.finalDepth + 300n);
  await pass(await life.checkDeadline());
}

describe("Market: answer", () => {
  it("refuses before the reveal", async () => {
    const d = await networkHelpers.loadFixture(deployMarket);
    const life = await postBatch(d);
    await life.compute([d.honest, 10]);
    await expect(life.answer(0, 0, 0, d.lying))
      .to.be.revertedWithCustomError(d.market, "NotRevealed")
      .withArgs(life.id);
  });

  it("refuses an assignment that is not there, is another, or has ended", async () => {
    const { d, life } = await loadAdaptive();
    const [verifier] = await life.drawn();
    const answer = (assignment: number, submission = life.submission()) =>
      life
        .as(verifier!)
        .answer(
          life.terms,
          life.batch,
          { assignment, round: 0, seat: 0 },
          submission,
          keccakOf("r"),
          keccakOf("m"),
          "0x",
        );
    await expect(answer(1)).to.be.revertedWithCustomError(d.market, "UnknownAssignment").withArgs(life.id, 1n);
    await expect(answer(0, { ...life.submission(), root: keccakOf("other") }))
      .to.be.revertedWithCustomError(d.market, "WrongRecord")
      .withArgs(life.id, 0n);
  });

  it("refuses a void assignment", async () => {
    const d = await networkHelpers.loadFixture(deployMarket);
    const life = await postBatch(d);
    await life.claim(d.honest, 8);
    await life.claim(d.silent, 2);
    await life.submit(0);
    await pass(life.claimDeadline);
    await life.expire(1);
    await life.seal();
    await life.mineEntropy();
    await life.reveal();
    const submission = { ...life.submission(0), node: d.silent.address, first: 8n, count: 2n };
    const seat = { assignment: 1, round: 0, seat: 0 };
    await expect(life.as(d.lying).answer(life.terms, life.batch, seat, submission, keccakOf("r"), keccakOf("m"), "0x"))
      .to.be.revertedWithCustomError(d.market, "WrongStatus")
      .withArgs(life.id, 1n, Status.Void, Status.Submitted);
  });

  it("refuses an assignment of which nothing is sampled", async () => {
    const { d, life, unsampled } = await loadHalf();
    await expect(life.answer(unsampled, 0, 0, d.late))
      .to.be.revertedWithCustomError(d.market, "NotSampled")
      .withArgs(life.id, BigInt(unsampled));
  });

  it("refuses seats and rounds that were not drawn", async () => {
    const { d, life } = await loadAdaptive();
    for (const [round, seat] of [
      [0, 1],
      [1, 0],
    ] as const) {
      await expect(life.answer(0, round, seat, d.lying))
        .to.be.revertedWithCustomError(d.market, "NoSuchSeat")
        .withArgs(0n, BigInt(round), BigInt(seat));
    }
  });

  it("refuses everybody but who was drawn for the seat", async () => {
    const { d, life } = await loadFixed();
    const [first, second] = await life.drawn();
    for (const caller of [second!, d.honest, d.stranger]) {
      await expect(life.answer(0, 0, 0, caller))
        .to.be.revertedWithCustomError(d.market, "SeatOfAnother")
        .withArgs(first!.address, caller.address);
    }
  });

  it("refuses a second answer from one seat", async () => {
    const { d, life } = await loadFixed();
    await life.answer(0, 0, 1);
    await expect(life.answer(0, 0, 1))
      .to.be.revertedWithCustomError(d.market, "AlreadyAnswered")
      .withArgs(0n, 0n, 1n);
  });

  it("refuses once the panel is full", async () => {
    const { d, life } = await loadAdaptive();
    await pass(await life.checkDeadline());
    await life.redraw();
    await life.mineRound();
    await life.answer(0, 1, 1);
    for (const [round, seat] of [
      [1, 0],
      [0, 0],
    ] as const) {
      await expect(life.answer(0, round, seat))
        .to.be.revertedWithCustomError(d.market, "PanelClosed")
        .withArgs(0n);
    }
  });

  it("refuses once an exception was listed", async () => {
    const { d, life } = await loadFive();
    for (const seat of [0, 1, 2]) await life.answer(0, 0, seat);
    await pass(await life.checkDeadline());
    await life.judge([await life.exception(Verdict.PrimaryDiffers)], false);
    await expect(life.answer(0, 0, 3))
      .to.be.revertedWithCustomError(d.market, "WrongStatus")
      .withArgs(life.id, 0n, Status.Contended, Status.Submitted);
  });

  it("refuses the late once the requester has judged", async () => {
    const { d, life } = await loadFixed();
    await life.judge([]);
    await life.answer(0, 0, 0);
    await expectUntil(d.market, await life.checkDeadline(), () => life.answer(0, 0, 1), "PanelClosed", [0n]);
  });

  it("puts the slash at stake and tells what was committed", async () => {
    const { d, life } = await loadAdaptive();
    const [verifier] = await life.drawn();
    await expect(life.answer())
      .to.emit(d.market, "Answered")
      .withArgs(
        life.id,
        0n,
        verifier!.address,
        0n,
        0n,
        keccakOf("answer 0 0 0"),
        keccakOf("answer manifest 0 0 0"),
        ENVELOPE,
      );
    expect((await d.registry.nodeState(d.marketAddress, verifier!)).committed).to.equal(10_000n);
  });

  it("can use the slot's own backing, so that whoever is drawn can answer", async () => {
    const { d, life } = await loadAdaptive();
    const [verifier] = await life.drawn();
    await d.registry.connect(verifier!).unstake(d.marketAddress, NODE_STAKE - 40_000n);
    await life.answer();
  });

  it("is in time until the deadline and pays the fine for absence one second later", async () => {
    const { d, life } = await loadAdaptive();
    const [verifier] = await life.drawn();
    const deadline = await life.checkDeadline();
    const before = await networkHelpers.takeSnapshot();
    await at(deadline);
    await expect(life.answer()).to.not.emit(d.market, "Absent");
    await before.restore();
    await at(deadline + 1n);
    const money = await moneyOf(d, [life]);
    await expect(life.answer()).to.emit(d.market, "Absent").withArgs(life.id, 0n, verifier!.address, 0n, 0n, 1_200n);
    await expectMoney(d, money, { [verifier!.address]: -1_200n, burned: 1_200n }, [life]);
  });

  it("waits for the entropy of a later round, stores it, and refuses once it is lost", async () => {
    const { d, life } = await loadAdaptive();
    await pass(await life.checkDeadline());
    await life.redraw();
    const [round] = await d.market.roundOf(life.id, 0, 1);
    expect([round.seats, round.openedAt]).to.deep.equal([2n, await now()]);
    const before = await networkHelpers.takeSnapshot();
    await expect(life.answer(0, 1, 0, d.lying))
      .to.be.revertedWithCustomError(d.market, "TooEarly")
      .withArgs(round.entropyBlock - PARAMETERS.finalDepth + 1n, round.entropyBlock);
    await life.mineRound();
    const drawn = await life.drawn(0, 1);
    await expect(life.answer(0, 1, 0)).to.emit(d.market, "RoundCaptured");
    await networkHelpers.mine(400);
    expect(await life.drawn(0, 1)).to.deep.equal(drawn);
    await before.restore();
    await networkHelpers.mineUpTo(round.entropyBlock + 256n);
    await expect(life.answer(0, 1, 0, d.lying))
      .to.be.revertedWithCustomError(d.market, "EntropyLost")
      .withArgs(round.entropyBlock);
  });
});

describe("Market: escalate", () => {
  it("refuses anybody but requester and delegate", async () => {
    const { d, life } = await loadAdaptive();
    await life.answer();
    await expect(life.escalate(0, d.stranger))
      .to.be.revertedWithCustomError(d.market, "NotPermitted")
      .withArgs(d.stranger.address, d.requester.address);
    await life.escalate(0, d.delegate);
  });

  it("gives nobody the delegate's rights where there is none", async () => {
    const d = await networkHelpers.loadFixture(deployMarket);
    const life = await postBatch(d, { terms: termsOf(d, { delegate: "0x" + "0".repeat(40) }) });
    await life.untilRevealed([d.honest, 10]);
    await life.answer();
    await expect(life.escalate(0, d.delegate)).to.be.revertedWithCustomError(d.market, "NotPermitted");
  });

  it("refuses a panel of fixed quorum, and a second time", async () => {
    const { d, life } = await loadAdaptive();
    await life.answer();
    await life.escalate();
    await expect(life.escalate()).to.be.revertedWithCustomError(d.market, "CannotEscalate").withArgs(0n);
    const other = await loadFixed();
    await other.life.answer(0, 0, 0);
    await other.life.answer(0, 0, 1);
    await expect(other.life.escalate()).to.be.revertedWithCustomError(d.market, "CannotEscalate").withArgs(0n);
  });

  it("refuses before the first verifier has answered", async () => {
    const { d, life } = await loadAdaptive();
    await expect(life.escalate()).to.be.revertedWithCustomError(d.market, "PanelOpen").withArgs(0n, 0n, 1n);
  });

  it("refuses once the requester has judged", async () => {
    const { d, life } = await loadAdaptive();
    await life.answer();
    await life.judge([]);
    await expect(life.escalate()).to.be.revertedWithCustomError(d.market, "AlreadyJudged").withArgs(life.id);
  });

  it("is possible until the judging window ends", async () => {
    const { d, life } = await loadAdaptive();
    await life.answer();
    await expectUntil(d.market, await life.judgeDeadline(), () => life.escalate());
  });

  it("refuses after the last round", async () => {
    const { d, life } = await loadAdaptive();
    await pass(await life.checkDeadline());
    for (let round = 1; round <= 4; round += 1) {
      await life.redraw();
      if (round < 4) await loseRound(life);
    }
    await life.mineRound();
    await life.answer(0, 4, 0);
    await expect(life.escalate()).to.be.revertedWithCustomError(d.market, "NoMoreRounds").withArgs(0n, 4n);
  });

  it("opens a round of the seats that a full panel lacks, drawn by new entropy", async () => {
    const { d, life } = await loadAdaptive();
    await life.answer();
    const receipt = await (await life.escalate()).wait();
    const [opened] = eventsIn(d, receipt!, "RoundOpened");
    expect([opened!.round, opened!.seats, opened!.escalation]).to.deep.equal([1n, 1n, true]);
    expect(opened!.entropyBlock).to.equal(BigInt(receipt!.blockNumber) + PARAMETERS.finalDepth);
    await life.mineRound();
    const [first] = await life.drawn();
    const [second] = await life.drawn(0, 1);
    expect(second!.address).to.not.be.oneOf([first!.address, d.honest.address]);
    // The judging clock runs from the new round's own deadline.
    expect(await life.checkDeadline()).to.equal(
      (await d.market.roundOf(life.id, 0, 1))[0].openedAt + PARAMETERS.drawDelay + life.terms.windows.check,
    );
  });
});

describe("Market: redraw", () => {
  it("waits for the deadline of the last round", async () => {
    const { d, life } = await loadAdaptive();
    await expectAfter(d.market, await life.checkDeadline(), () => life.redraw());
    await life.mineRound();
    await expectAfter(d.market, await life.checkDeadline(), () => life.redraw());
  });

  it("is possible until the judging window ends", async () => {
    const { d, life } = await loadAdaptive();
    await expectUntil(d.market, await life.judgeDeadline(), () => life.redraw());
  });

  it("refuses a full panel", async () => {
    const { d, life } = await loadAdaptive();
    await life.answer();
    await pass(await life.checkDeadline());
    await expect(life.redraw()).to.be.revertedWithCustomError(d.market, "PanelClosed").withArgs(0n);
  });

  it("refuses a panel that was excepted", async () => {
    const { d, life } = await loadFive();
    for (const seat of [0, 1, 2]) await life.answer(0, 0, seat);
    await pass(await life.checkDeadline());
    await life.judge([await life.exception(Verdict.PrimaryDiffers)], false);
    await expect(life.redraw())
      .to.be.revertedWithCustomError(d.market, "WrongStatus")
      .withArgs(life.id, 0n, Status.Contended, Status.Submitted);
  });

  it("refuses strangers where a majority has answered, but not the delegate", async () => {
    const { d, life } = await loadFixed();
    await life.answer(0, 0, 0);
    await pass(await life.checkDeadline());
    await expect(life.redraw())
      .to.be.revertedWithCustomError(d.market, "NotPermitted")
      .withArgs(d.stranger.address, d.requester.address);
    await life.redraw(0, d.delegate);
  });

  it("refuses the requester where a majority has answered and it has judged", async () => {
    const { d, life } = await loadFixed();
    await life.answer(0, 0, 0);
    await life.judge([]);
    await pass(await life.checkDeadline());
    await expect(life.redraw(0, d.requester))
      .to.be.revertedWithCustomError(d.market, "AlreadyJudged")
      .withArgs(life.id);
  });

  it("refuses after the last round", async () => {
    const { d, life } = await loadAdaptive();
    await pass(await life.checkDeadline());
    for (let round = 1; round <= 4; round += 1) {
      await life.redraw();
      await loseRound(life);
    }
    await expect(life.redraw()).to.be.revertedWithCustomError(d.market, "NoMoreRounds").withArgs(0n, 4n);
  });

  it("refuses when nobody is left to draw", async () => {
    const { d, life } = await loadAdaptive();
    // 1, 2, 4 and the last 4 of the eleven that are not the primary.
    for (const seats of [2, 4, 8]) {
      await pass(await life.checkDeadline());
      const receipt = await (await life.redraw()).wait();
      expect(eventsIn(d, receipt!, "RoundOpened")[0]!.seats).to.equal(BigInt(seats));
      await life.mineRound();
    }
    expect(await life.drawn(0, 3)).to.have.length(4);
    await pass(await life.checkDeadline());
    await expect(life.redraw()).to.be.revertedWithCustomError(d.market, "PoolExhausted").withArgs(0n);
  });

  it("refuses a seat that the pool was too small to fill", async () => {
    const { d, life } = await loadAdaptive();
    for (let round = 1; round <= 3; round += 1) {
      await pass(await life.checkDeadline());
      await life.redraw();
      await life.mineRound();
    }
    await expect(life.answer(0, 3, 4, d.honest))
      .to.be.revertedWithCustomError(d.market, "SeatOfAnother")
      .withArgs("0x" + "0".repeat(40), d.honest.address);
  });

  it("fines who was silent, once, and draws twice as many that nobody saw before", async () => {
    const { d, life } = await loadFixed();
    const drawn = await life.drawn();
    await life.answer(0, 0, 1);
    const money = await moneyOf(d, [life]);
    await pass(await life.checkDeadline());
    await expect(life.redraw(0, d.requester))
      .to.emit(d.market, "Absent")
      .withArgs(life.id, 0n, drawn[0]!.address, 0n, 0n, 1_200n);
    await expectMoney(d, money, { [drawn[0]!.address]: -1_200n, burned: 1_200n }, [life]);
    await life.mineRound();
    const next = await life.drawn(0, 1);
    expect(next).to.have.length(4);
    for (const node of [d.honest, ...drawn]) expect(next).to.not.include(node);
    // The late of round 0 still counts; it has paid already.
    await expect(life.answer(0, 0, 0)).to.not.emit(d.market, "Absent");
    await life.settle();
    await expectMoney(
      d,
      money,
      {
        requester: -14_800n,
        [d.honest.address]: 10_000n,
        [drawn[0]!.address]: 2_400n - 1_200n,
        [drawn[1]!.address]: 2_400n,
        burned: 1_200n,
      },
      [life],
    );
  });

  it("keeps a round's draw for ever, though nobody answered in it", async () => {
    const { life } = await loadAdaptive();
    await pass(await life.checkDeadline());
    await life.redraw();
    await life.mineRound();
    const first = await life.drawn(0, 1);
    await pass(await life.checkDeadline());
    await life.redraw();
    const before = await networkHelpers.takeSnapshot();
    await networkHelpers.mine(300);
    expect(await life.drawn(0, 1)).to.deep.equal(first);
    await before.restore();
    await life.mineRound();
    const second = await life.drawn(0, 2);
    await life.answer(0, 2, 0);
    // The chain forgets the hashes that decided the rounds.
    await networkHelpers.mine(300);
    expect(await life.drawn(0, 1)).to.deep.equal(first);
    expect(await life.drawn(0, 2)).to.deep.equal(second);
  });
});

describe("Market: judge", () => {
  it("refuses anybody but requester and delegate, and before the reveal", async () => {
    const { d, life } = await loadFixed();
    await expect(life.judge([], true, d.stranger))
      .to.be.revertedWithCustomError(d.market, "NotPermitted")
      .withArgs(d.stranger.address, d.requester.address);
    await expect(life.judge([], true, d.delegate))
      .to.emit(d.market, "Judged")
      .withArgs(life.id);
    const fresh = await postBatch(d, { terms: fixed(d) });
    await expect(fresh.judge([])).to.be.revertedWithCustomError(d.market, "NotRevealed").withArgs(fresh.id);
  });

  it("refuses after the requester said it was done", async () => {
    const { d, life } = await loadFixed();
    await life.judge([], true);
    await expect(life.judge([])).to.be.revertedWithCustomError(d.market, "AlreadyJudged").withArgs(life.id);
  });

  it("refuses an exception where nothing is sampled", async () => {
    const { d, life, unsampled } = await loadHalf();
    await expect(
      life.judge([await life.exception(Verdict.PrimaryDiffers, { assignment: unsampled, witness: 5 * unsampled })]),
    )
      .to.be.revertedWithCustomError(d.market, "NotSampled")
      .withArgs(life.id, BigInt(unsampled));
  });

  it("refuses an exception before the panel is full or its time is up", async () => {
    const { d, life } = await loadFive();
    for (const seat of [0, 1, 2]) await life.answer(0, 0, seat);
    const exception = await life.exception(Verdict.PrimaryDiffers);
    await expectAfter(d.market, await life.checkDeadline(), () => life.judge([exception]), "PanelOpen", [0n, 3n, 4n]);
  });

  it("is possible until the judging window ends", async () => {
    const { d, life } = await loadFixed();
    await life.answer(0, 0, 0);
    await life.answer(0, 0, 1);
    const exception = await life.exception(Verdict.PrimaryDiffers);
    await expectUntil(d.market, await life.judgeDeadline(), () => life.judge([exception]));
  });

  it("refuses a witness that is not among the sampled tasks", async () => {
    const { d, life } = await loadFixed();
    await life.answer(0, 0, 0);
    await life.answer(0, 0, 1);
    const sampled = await life.sampled();
    expect(sampled).to.have.length(2);
    for (let task = 0; task <= 10; task += 1) {
      if (sampled.includes(task)) continue;
      await expect(life.judge([await life.exception(Verdict.PrimaryDiffers, { witness: task })]))
        .to.be.revertedWithCustomError(d.market, "NotASampledTask")
        .withArgs(life.id, 0n, BigInt(task));
    }
    await life.judge([await life.exception(Verdict.PrimaryDiffers, { witness: sampled[1]! })]);
  });

  it("refuses a verdict that is none", async () => {
    const { d, life } = await loadFixed();
    await life.answer(0, 0, 0);
    await life.answer(0, 0, 1);
    await expect(life.judge([await life.exception(Verdict.None)]))
      .to.be.revertedWithCustomError(d.market, "InvalidVerdict")
      .withArgs(0n);
  });

  it("refuses to accuse a seat that did not answer", async () => {
    const { d, life } = await loadFive();
    for (const seat of [0, 1, 3]) await life.answer(0, 0, seat);
    await pass(await life.checkDeadline());
    for (const [round, seat] of [
      [0, 2],
      [0, 4],
      [1, 0],
    ] as const) {
      await expect(life.judge([await life.exception(Verdict.SeatDiffers, { round, seat })]))
        .to.be.revertedWithCustomError(d.market, "NotAnswered")
        .withArgs(0n, BigInt(round), BigInt(seat));
    }
  });

  it("believes one verifier against the primary only as far as escalating", async () => {
    const { d, life } = await loadAdaptive();
    await life.answer();
    for (const verdict of [Verdict.PrimaryDiffers, Verdict.SeatDiffers]) {
      await expect(life.judge([await life.exception(verdict)]))
        .to.be.revertedWithCustomError(d.market, "PanelOpen")
        .withArgs(0n, 1n, 2n);
    }
    await expect(life.judge([await life.exception(Verdict.NoMajority)]))
      .to.be.revertedWithCustomError(d.market, "PanelOpen")
      .withArgs(0n, 1n, 2n);
  });

  it("refuses to accuse so many that no majority is left", async () => {
    const { d, life } = await loadFive();
    for (const seat of [0, 1, 2, 3]) await life.answer(0, 0, seat);
    await life.judge([await life.exception(Verdict.PrimaryDiffers)], false);
    await life.judge([await life.exception(Verdict.SeatDiffers, { seat: 1 })], false);
    await expect(life.judge([await life.exception(Verdict.SeatDiffers, { seat: 2 })]))
      .to.be.revertedWithCustomError(d.market, "PanelOpen")
      .withArgs(0n, 2n, 3n);
  });

  it("refuses to accuse a member twice", async () => {
    const { d, life } = await loadFive();
    for (const seat of [0, 1, 2, 3]) await life.answer(0, 0, seat);
    for (const exception of [
      await life.exception(Verdict.PrimaryDiffers),
      await life.exception(Verdict.SeatDiffers, { seat: 3 }),
    ]) {
      await life.judge([exception], false);
      await expect(life.judge([exception]))
        .to.be.revertedWithCustomError(d.market, "AlreadyExcepted")
        .withArgs(0n);
    }
    await expect(life.judge([await life.exception(Verdict.NoMajority)]))
      .to.be.revertedWithCustomError(d.market, "AlreadyExcepted")
      .withArgs(0n);
  });

  it("refuses to accuse anybody after saying that there is no majority", async () => {
    const { d, life } = await loadFixed();
    await life.answer(0, 0, 0);
    await life.answer(0, 0, 1);
    await life.judge([await life.exception(Verdict.NoMajority)], false);
    for (const verdict of [Verdict.NoMajority, Verdict.PrimaryDiffers, Verdict.SeatDiffers]) {
      await expect(life.judge([await life.exception(verdict)]))
        .to.be.revertedWithCustomError(d.market, "AlreadyExcepted")
        .withArgs(0n);
    }
  });

  it("does not read a missing majority into a panel that can still be filled", async () => {
    const { d, life } = await loadFixed();
    await life.answer(0, 0, 0);
    await pass(await life.checkDeadline());
    await expect(life.judge([await life.exception(Verdict.NoMajority)]))
      .to.be.revertedWithCustomError(d.market, "PanelOpen")
      .withArgs(0n, 1n, 2n);
  });

  it("takes a missing majority where the only verifier answered in the last round, and not before", async () => {
    const { d, life } = await loadAdaptive();
    await pass(await life.checkDeadline());
    for (let round = 1; round <= 4; round += 1) {
      await life.redraw();
      if (round < 4) await loseRound(life);
    }
    await life.mineRound();
    await expect(life.judge([await life.exception(Verdict.NoMajority)])).to.be.revertedWithCustomError(
      d.market,
      "PanelOpen",
    );
    await life.answer(0, 4, 0);
    await life.judge([await life.exception(Verdict.NoMajority)]);
    expect((await life.panel()).verdict).to.equal(Verdict.NoMajority);
  });

  it("names the accused, the witness and begins the challenge window", async () => {
    const { d, life } = await loadFixed();
    await life.answer(0, 0, 0);
    await life.answer(0, 0, 1);
    const [, second] = await life.drawn();
    const witness = await life.witness();
    await expect(life.judge([await life.exception(Verdict.SeatDiffers, { seat: 1 })], false))
      .to.emit(d.market, "Excepted")
      .withArgs(life.id, 0n, Verdict.SeatDiffers, BigInt(witness), second!.address);
    const { verdict, accused, raisedAt } = await life.panel();
    expect([verdict, accused, raisedAt]).to.deep.equal([Verdict.SeatDiffers, 0b100n, await now()]);
    expect((await life.state()).judged).to.equal(false);
  });
});

describe("Market: settle", () => {
  it("refuses a batch that is not sealed", async () => {
    const d = await networkHelpers.loadFixture(deployMarket);
    const life = await postBatch(d);
    await life.claim(d.honest, 5);
    await life.submit(0);
    await expect(life.settle()).to.be.revertedWithCustomError(d.market, "NotSealed").withArgs(life.id);
  });

  it("refuses what is claimed and not submitted", async () => {
    const d = await networkHelpers.loadFixture(deployMarket);
    const life = await postBatch(d);
    await life.claim(d.honest, 5);
    await life.claim(d.lying, 5);
    await life.submit(0);
    const submission = { ...life.submission(0), node: d.lying.address, first: 5n };
    await expect(life.as(d.requester).settle(life.terms, life.batch, [{ assignment: 1, submission, answers: [] }]))
      .to.be.revertedWithCustomError(d.market, "WrongStatus")
      .withArgs(life.id, 1n, Status.Claimed, Status.Submitted);
  });

  it("waits for the reveal, or for its window to pass", async () => {
    const d = await networkHelpers.loadFixture(deployMarket);
    const life = await postBatch(d);
    await life.compute([d.honest, 10]);
    await expectAfter(d.market, await life.revealDeadline(), () => life.settle(d.stranger));
  });

  it("waits for the panel, even for the requester", async () => {
    const { d, life } = await loadFixed();
    await life.answer(0, 0, 0);
    await expectAfter(d.market, await life.checkDeadline(), () => life.settle(), "PanelOpen", [0n, 1n, 2n]);
  });

  it("waits for a majority of the quorum while one can still be drawn", async () => {
    const { d, life } = await loadFive();
    await life.answer(0, 0, 0);
    await pass(await life.checkDeadline());
    await expect(life.settle()).to.be.revertedWithCustomError(d.market, "PanelOpen").withArgs(0n, 1n, 2n);
    await life.answer(0, 0, 1);
    await life.settle();
  });

  it("lets strangers settle once the judging is overdue and nobody called the panel", async () => {
    const { d, life } = await loadFixed();
    await life.answer(0, 0, 0);
    await life.answer(0, 0, 1);
    await expectAfter(d.market, await life.silenceDeadline(), () => life.settle(d.stranger));
  });

  it("lets strangers settle what is not sampled once the judging is overdue", async () => {
    const { d, life, unsampled } = await loadHalf();
    const deadline = (await life.state()).revealedAt + life.terms.windows.check + life.terms.windows.judge;
    await expectAfter(d.market, deadline, () => life.settle(d.stranger, unsampled));
  });

  it("lets strangers settle once the batch is judged", async () => {
    const { d, life, sampled, unsampled } = await loadHalf();
    await life.answer(sampled);
    await life.judge([]);
    await life.settle(d.stranger, sampled, unsampled);
    expect((await life.state()).postedAt).to.equal(0n);
  });

  it("lets the requester pay at once what is not sampled", async () => {
    const { d, life, unsampled } = await loadHalf();
    const node = life.slice(unsampled).node;
    const money = await moneyOf(d, [life]);
    await life.settle(d.delegate, unsampled);
    await expectMoney(d, money, { requester: -5_000n, [node.address]: 5_000n }, [life]);
  });

  it("slashes nobody before the challenge window has passed", async () => {
    const { d, life } = await loadFixed();
    await life.answer(0, 0, 0);
    await life.answer(0, 0, 1);
    await life.judge([await life.exception(Verdict.PrimaryDiffers)]);
    await expect(life.settle())
      .to.be.revertedWithCustomError(d.market, "WrongStatus")
      .withArgs(life.id, 0n, Status.Contended, Status.Submitted);
    await expectAfter(d.market, await life.challengeDeadline(), () => life.conclude());
  });

  it("gives the accused listed last the whole challenge window", async () => {
    const { d, life } = await loadFive();
    for (const seat of [0, 1, 2, 3]) await life.answer(0, 0, seat);
    await life.judge([await life.exception(Verdict.PrimaryDiffers)], false);
    await networkHelpers.time.increase(500n);
    await life.judge([await life.exception(Verdict.SeatDiffers, { seat: 1 })]);
    expect((await life.panel()).raisedAt).to.equal(await now());
    await expect(life.settle())
      .to.be.revertedWithCustomError(d.market, "WrongStatus")
      .withArgs(life.id, 0n, Status.Contended, Status.Submitted);
    await expectAfter(d.market, await life.challengeDeadline(), () => life.conclude());
  });

  it("refuses answers that are missing, added, exchanged or altered", async () => {
    const { d, life } = await loadFixed();
    await life.answer(0, 0, 0);
    await life.answer(0, 0, 1);
    const right = life.settlement();
    const [first, second] = right.answers as [(typeof right.answers)[0], (typeof right.answers)[0]];
    for (const answers of [
      [],
      [first],
      [first, second, second],
      [second, first],
      [first, first],
      [first, { ...second, node: d.stranger.address }],
      [first, { ...second, root: keccakOf("other") }],
      [first, { ...second, content: keccakOf("other") }],
    ]) {
      await expect(life.as(d.requester).settle(life.terms, life.batch, [{ ...right, answers }]))
        .to.be.revertedWithCustomError(d.market, "WrongAnswers")
        .withArgs(0n);
    }
  });

  it("refuses answers where nothing is sampled", async () => {
    const { d, life, unsampled } = await loadHalf();
    const settlement = life.settlement(unsampled);
    settlement.answers = [{ node: d.stranger.address, root: keccakOf("r"), content: keccakOf("c") }];
    await expect(life.as(d.requester).settle(life.terms, life.batch, [settlement]))
      .to.be.revertedWithCustomError(d.market, "WrongAnswers")
      .withArgs(BigInt(unsampled));
  });

  it("pays nothing twice, in one call or in two", async () => {
    const { d, life, unsampled } = await loadHalf();
    const settlement = life.settlement(unsampled);
    const settle = (settlements: (typeof settlement)[]) =>
      life.as(d.requester).settle(life.terms, life.batch, settlements);
    await expect(settle([settlement, settlement]))
      .to.be.revertedWithCustomError(d.market, "UnknownAssignment")
      .withArgs(life.id, BigInt(unsampled));
    await settle([settlement]);
    await expect(settle([settlement]))
      .to.be.revertedWithCustomError(d.market, "UnknownAssignment")
      .withArgs(life.id, BigInt(unsampled));
  });

  it("changes nothing when nothing is settled", async () => {
    const { d, life } = await loadHalf();
    const money = await moneyOf(d, [life]);
    const state = await life.state();
    await life.as(d.stranger).settle(life.terms, life.batch, []);
    expect(await life.state()).to.deep.equal(state);
    await expectMoney(d, money, {}, [life]);
  });
});

describe("Market: revealAndSettle", () => {
  async function sealedHalf() {
    const d = await deployMarket();
    const life = await postBatch(d, { terms: termsOf(d, { rate: 100_000n, slashAmount: 20_000n }) });
    await life.compute([d.honest, 5], [d.lying, 5]);
    await life.mineEntropy();
    const sampled = (await life.sampled(0)).length === 1 ? 0 : 1;
    return { d, life, sampled, unsampled: 1 - sampled };
  }
  const load = () => networkHelpers.loadFixture(sealedHalf);

  it("is the requester's alone, since it gives up its exceptions", async () => {
    const { d, life, unsampled } = await load();
    for (const caller of [d.delegate, d.stranger]) {
      await expect(life.as(caller).revealAndSettle(life.terms, life.batch, life.seed, [life.settlement(unsampled)]))
        .to.be.revertedWithCustomError(d.market, "NotPermitted")
        .withArgs(caller.address, d.requester.address);
    }
  });

  it("pays at once what is not sampled, and refuses what is", async () => {
    const { d, life, sampled, unsampled } = await load();
    const money = await moneyOf(d, [life]);
    const all = [life.settlement(0), life.settlement(1)];
    await expect(life.as(d.requester).revealAndSettle(life.terms, life.batch, life.seed, all))
      .to.be.revertedWithCustomError(d.market, "PanelOpen")
      .withArgs(BigInt(sampled), 0n, 1n);
    await life.as(d.requester).revealAndSettle(life.terms, life.batch, life.seed, [life.settlement(unsampled)]);
    const node = life.slice(unsampled).node;
    await expectMoney(d, money, { requester: -5_000n, [node.address]: 5_000n }, [life]);
    await life.answer(sampled);
    await life.settle(d.requester, sampled);
    expect((await life.state()).postedAt).to.equal(0n);
  });

  it("keeps the reveal's own deadline", async () => {
    const { d, life, unsampled } = await load();
    await expectUntil(d.market, await life.revealDeadline(), () =>
      life.as(d.requester).revealAndSettle(life.terms, life.batch, life.seed, [life.settlement(unsampled)]),
    );
  });
});
