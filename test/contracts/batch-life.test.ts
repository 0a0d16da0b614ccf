import { expect } from "chai";

import {
  deployMarket,
  endsOf,
  eventsIn,
  expectClosed,
  expectMoney,
  mined,
  moneyOf,
  networkHelpers,
  NODE_STAKE,
  Outcome,
  PARAMETERS,
  pass,
  postBatch,
  PPM,
  replicatedTermsOf,
  Runtime,
  Status,
  termsOf,
  trustedTermsOf,
  Verdict,
  type Actor,
  type Deployment,
  type Exception,
  type Life,
  type Money,
  type Terms,
} from "./market-fixture.ts";
import { sampledCount } from "./reference.ts";

/*
 * Most batches here: ten tasks at 1,000, 20 % of them sampled, which is always two. A verifier earns 2 x 1,200.
 * A claim of all ten locks 10,000, and so does a seat. The escrow is 10,000 + 2 x 2 x 1,200, the bond 5,000 + 740.
 */

const load = () => networkHelpers.loadFixture(deployMarket);
const fixed = (d: Deployment, changes: Partial<Terms> = {}) => termsOf(d, { adaptive: false, ...changes });
const SEAT = 2_400n;

async function revealed(terms?: (d: Deployment) => Terms): Promise<{ d: Deployment; life: Life; before: Money }> {
  const d = await load();
  const before = await moneyOf(d);
  const life = await postBatch(d, { terms: (terms ?? termsOf)(d) });
  await life.untilRevealed([d.honest, 10]);
  return { d, life, before };
}

/** What the settlements of a call ended with. */
async function settled(life: Life, by: Actor, ...assignments: number[]) {
  return await endsOf(life.d, life.settle(by, ...assignments));
}

async function judgeAndConclude(life: Life, ...exceptions: Exception[]) {
  await life.judge(exceptions);
  await pass(await life.challengeDeadline());
  return await endsOf(life.d, life.conclude());
}

describe("A batch's life: nothing differs", () => {
  it("pays everybody when the one verifier agrees, and returns what was not needed", async () => {
    const { d, life, before } = await revealed();
    expect([life.escrow, life.bond]).to.deep.equal([14_800n, 5_740n]);
    const [verifier] = await life.drawn();
    await life.answer();
    expect(await settled(life, d.requester)).to.deep.equal([
      { outcome: Outcome.Paid, paid: 12_400n, accused: 0n, penalty: 0n },
    ]);
    await expectClosed(life);
    await expectMoney(d, before, { requester: -12_400n, [d.honest.address]: 10_000n, [verifier!.address]: SEAT });
  });

  for (const quorum of [3n, 5n]) {
    it(`pays a fixed quorum of ${quorum} in full`, async () => {
      const d = await load();
      const before = await moneyOf(d);
      const life = await postBatch(d, { terms: fixed(d, { quorum, slashAmount: 16_000n }) });
      await life.untilRevealed([d.honest, 10]);
      const drawn = await life.drawn();
      expect(drawn).to.have.length(Number(quorum) - 1);
      for (const seat of drawn.keys()) await life.answer(0, 0, seat);
      await life.settle();
      await expectClosed(life);
      await expectMoney(d, before, {
        requester: -10_000n - (quorum - 1n) * SEAT,
        [d.honest.address]: 10_000n,
        ...Object.fromEntries(drawn.map((node) => [node.address, SEAT])),
      });
    });
  }

  it("pays at once what is not sampled, with nobody else at work", async () => {
    const d = await load();
    const before = await moneyOf(d);
    const life = await postBatch(d, { terms: termsOf(d, { rate: 100_000n, slashAmount: 20_000n }), count: 1 });
    await life.compute([d.honest, 1]);
    await life.mineEntropy((entropy) => sampledCount(entropy, 0, 1, 100_000n) === 0);
    await life.as(d.requester).revealAndSettle(life.terms, life.batch, life.seed, [life.settlement()]);
    await expectClosed(life);
    await expectMoney(d, before, { requester: -1_000n, [d.honest.address]: 1_000n });
  });

  it("settles many assignments of several nodes in one call", async () => {
    const d = await load();
    const before = await moneyOf(d);
    const life = await postBatch(d, { terms: termsOf(d, { rate: 100_000n, slashAmount: 20_000n }), count: 100 });
    const work = d.nodes.slice(0, 10).map((node): [Actor, number] => [node, 10]);
    await life.untilRevealed(...work);
    const changes: Money = { requester: -100_000n - 10n * 1_200n };
    for (const [assignment, [node]] of work.entries()) {
      expect(await life.sampled(assignment)).to.have.length(1);
      const [verifier] = await life.drawn(assignment);
      await life.answer(assignment);
      changes[node.address] = (changes[node.address] ?? 0n) + 10_000n;
      changes[verifier!.address] = (changes[verifier!.address] ?? 0n) + 1_200n;
    }
    await life.judge([]);
    await settled(life, d.stranger, ...work.keys());
    await expectClosed(life);
    await expectMoney(d, before, changes);
  });

  it("runs every task again when replicated", async () => {
    const { d, life, before } = await revealed((each) => replicatedTermsOf(each));
    expect(await life.sampled()).to.have.members([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    const [first, second] = await life.drawn();
    await life.answer(0, 0, 0);
    await life.answer(0, 0, 1);
    await life.settle();
    await expectClosed(life);
    await expectMoney(d, before, {
      requester: -34_000n,
      [d.honest.address]: 10_000n,
      [first!.address]: 12_000n,
      [second!.address]: 12_000n,
    });
  });

  it("pays on submission, one by one, when trusted", async () => {
    const d = await load();
    const before = await moneyOf(d);
    const life = await postBatch(d, { terms: trustedTermsOf(d, [d.honest, d.lying]) });
    await life.claim(d.honest, 4);
    await life.claim(d.lying, 6);
    await life.submit(0);
    expect(await settled(life, d.stranger)).to.deep.equal([
      { outcome: Outcome.Paid, paid: 4_000n, accused: 0n, penalty: 0n },
    ]);
    await expectMoney(d, before, { requester: -4_000n, [d.honest.address]: 4_000n }, [life]);
    await life.submit(1);
    await settled(life, d.stranger, 1);
    await expectClosed(life);
    await expectMoney(d, before, { requester: -10_000n, [d.honest.address]: 4_000n, [d.lying.address]: 6_000n });
  });

  it("closes a trusted batch of which the rest was never submitted", async () => {
    const d = await load();
    const before = await moneyOf(d);
    const life = await postBatch(d, { terms: trustedTermsOf(d, [d.honest, d.silent]) });
    await life.claim(d.honest, 4);
    await life.claim(d.silent, 3);
    await life.submit(0);
    await life.settle(d.stranger);
    await pass(life.claimDeadline);
    await life.expire(1);
    await life.seal();
    await expectClosed(life);
    await expectMoney(d, before, {
      requester: -4_000n,
      [d.honest.address]: 4_000n,
      [d.silent.address]: -300n,
      burned: 300n,
    });
  });

  it("pays batches of one job side by side, each from its own lock", async () => {
    const d = await load();
    const before = await moneyOf(d);
    const lives = [await postBatch(d), await postBatch(d)];
    expect(lives.map((life) => life.batch.sequence)).to.deep.equal([0n, 1n]);
    const changes: Money = { requester: -24_800n };
    for (const [i, life] of lives.entries()) {
      const node = d.nodes[i]!;
      await life.compute([node, 10]);
      await life.mineEntropy();
      await life.reveal();
      const [verifier] = await life.drawn();
      await life.answer();
      changes[node.address] = (changes[node.address] ?? 0n) + 10_000n;
      changes[verifier!.address] = (changes[verifier!.address] ?? 0n) + SEAT;
    }
    await lives[1]!.settle();
    expect((await d.vault.lockOf(d.marketAddress, lives[0]!.id)).amount).to.equal(20_540n);
    await lives[0]!.settle();
    for (const life of lives) await expectClosed(life);
    await expectMoney(d, before, changes);
  });

  it("takes single tasks one after the other, some of them checked", async () => {
    const d = await load();
    const before = await moneyOf(d);
    const changes: Money = { requester: 0n };
    const add = (node: Actor, amount: bigint) => {
      changes[node.address] = (changes[node.address] ?? 0n) + amount;
      changes["requester"]! -= amount;
    };
    for (const sampled of [0, 1, 0, 0, 1, 0]) {
      const life = await postBatch(d, { count: 1 });
      await life.compute([d.honest, 1]);
      await life.mineEntropy((entropy) => sampledCount(entropy, 0, 1, life.terms.rate) === sampled);
      await life.reveal();
      if (sampled === 1) {
        const [verifier] = await life.drawn();
        await expect(life.settle()).to.be.revertedWithCustomError(d.market, "PanelOpen").withArgs(0n, 0n, 1n);
        await life.answer();
        add(verifier!, 1_200n);
      }
      add(d.honest, 1_000n);
      await life.settle();
      await expectClosed(life);
    }
    await expectMoney(d, before, changes);
  });
});

describe("A batch's life: somebody differs", () => {
  it("escalates, accuses the primary, waits, and only then slashes", async () => {
    const { d, life, before } = await revealed();
    const [first] = await life.drawn();
    await life.answer();
    await life.escalate(0, d.delegate);
    await life.mineRound();
    const [second] = await life.drawn(0, 1);
    await life.answer(0, 1, 0);
    await life.judge([await life.exception(Verdict.PrimaryDiffers)], true, d.delegate);
    await expectMoney(d, before, {}, [life]);
    expect((await d.registry.nodeState(d.marketAddress, d.honest)).stake).to.equal(NODE_STAKE);

    await pass(await life.challengeDeadline());
    expect(await endsOf(d, life.conclude())).to.deep.equal([
      { outcome: Outcome.PrimarySlashed, paid: 2n * SEAT, accused: 0b1n, penalty: 10_000n },
    ]);
    await expectClosed(life);
    await expectMoney(d, before, {
      requester: -2n * SEAT,
      [d.honest.address]: -10_000n,
      [first!.address]: SEAT + 500n,
      [second!.address]: SEAT + 500n,
      burned: 9_000n,
    });
  });

  it("slashes a verifier that differs and pays the rest", async () => {
    const { d, life, before } = await revealed();
    const [first] = await life.drawn();
    await life.answer();
    await life.escalate();
    await life.mineRound();
    const [second] = await life.drawn(0, 1);
    await life.answer(0, 1, 0);
    expect(await judgeAndConclude(life, await life.exception(Verdict.SeatDiffers))).to.deep.equal([
      { outcome: Outcome.SeatSlashed, paid: 12_400n, accused: 0b10n, penalty: 10_000n },
    ]);
    await expectClosed(life);
    await expectMoney(d, before, {
      requester: -12_400n,
      [d.honest.address]: 10_000n + 500n,
      [first!.address]: -10_000n,
      [second!.address]: SEAT + 500n,
      burned: 9_000n,
    });
  });

  it("slashes the primary and an accomplice of a quorum of five, and splits both among the three that agree", async () => {
    const { d, life, before } = await revealed((each) => fixed(each, { quorum: 5n, slashAmount: 16_000n }));
    const drawn = await life.drawn();
    for (const seat of drawn.keys()) await life.answer(0, 0, seat);
    await life.judge([await life.exception(Verdict.PrimaryDiffers)], false);
    expect(await judgeAndConclude(life, await life.exception(Verdict.SeatDiffers, { seat: 2 }))).to.deep.equal([
      { outcome: Outcome.PrimarySlashed, paid: 3n * SEAT, accused: 0b1001n, penalty: 32_000n },
    ]);
    await expectClosed(life);
    const share = 2n * (1_600n / 3n);
    await expectMoney(d, before, {
      requester: -3n * SEAT,
      [d.honest.address]: -16_000n,
      [drawn[2]!.address]: -16_000n,
      ...Object.fromEntries([0, 1, 3].map((seat) => [drawn[seat]!.address, SEAT + share])),
      burned: 32_000n - 3n * share,
    });
  });

  it("slashes two verifiers and pays the primary", async () => {
    const { d, life, before } = await revealed((each) => fixed(each, { quorum: 5n, slashAmount: 16_000n }));
    const drawn = await life.drawn();
    for (const seat of drawn.keys()) await life.answer(0, 0, seat);
    const [outcome] = await judgeAndConclude(
      life,
      await life.exception(Verdict.SeatDiffers, { seat: 3 }),
      await life.exception(Verdict.SeatDiffers, { seat: 0 }),
    );
    expect(outcome).to.deep.equal({
      outcome: Outcome.SeatSlashed,
      paid: 10_000n + 2n * SEAT,
      accused: 0b10010n,
      penalty: 32_000n,
    });
    const share = 2n * (1_600n / 3n);
    await expectMoney(d, before, {
      requester: -10_000n - 2n * SEAT,
      [d.honest.address]: 10_000n + share,
      [drawn[0]!.address]: -16_000n,
      [drawn[3]!.address]: -16_000n,
      [drawn[1]!.address]: SEAT + share,
      [drawn[2]!.address]: SEAT + share,
      burned: 32_000n - 3n * share,
    });
  });

  it("refunds three different answers and slashes nobody", async () => {
    const { d, life, before } = await revealed();
    await life.answer();
    await life.escalate();
    await life.mineRound();
    await life.answer(0, 1, 0);
    expect(await judgeAndConclude(life, await life.exception(Verdict.NoMajority))).to.deep.equal([
      { outcome: Outcome.NoMajority, paid: 0n, accused: 0n, penalty: 0n },
    ]);
    await expectClosed(life);
    await expectMoney(d, before, {});
  });

  it("costs a tenth where a difference is no proof of a lie", async () => {
    const { d, life, before } = await revealed((each) => fixed(each, { fullSlash: false }));
    const drawn = await life.drawn();
    await life.answer(0, 0, 0);
    await life.answer(0, 0, 1);
    expect(await judgeAndConclude(life, await life.exception(Verdict.PrimaryDiffers))).to.deep.equal([
      { outcome: Outcome.PrimarySlashed, paid: 2n * SEAT, accused: 0b1n, penalty: 1_000n },
    ]);
    await expectClosed(life);
    await expectMoney(d, before, {
      requester: -2n * SEAT,
      [d.honest.address]: -1_000n,
      [drawn[0]!.address]: SEAT,
      [drawn[1]!.address]: SEAT,
      burned: 1_000n,
    });
  });

  it("slashes the whole lock where a slice is worth more than the slash", async () => {
    const d = await load();
    const before = await moneyOf(d);
    const life = await postBatch(d, { terms: fixed(d), count: 30 });
    await life.untilRevealed([d.lying, 30]);
    const drawn = await life.drawn();
    await life.answer(0, 0, 0);
    await life.answer(0, 0, 1);
    const [outcome] = await judgeAndConclude(life, await life.exception(Verdict.PrimaryDiffers));
    expect(outcome!.penalty).to.equal(30_000n);
    await expectMoney(d, before, {
      requester: -2n * 6n * 1_200n,
      [d.lying.address]: -30_000n,
      [drawn[0]!.address]: 7_200n + 1_500n,
      [drawn[1]!.address]: 7_200n + 1_500n,
      burned: 27_000n,
    });
  });

  it("settles honest assignments while another's exception waits", async () => {
    const d = await load();
    const before = await moneyOf(d);
    const life = await postBatch(d, { terms: fixed(d), count: 20 });
    await life.untilRevealed([d.honest, 10], [d.lying, 10]);
    const changes: Money = { requester: 0n, burned: 9_000n };
    const add = (node: Actor, amount: bigint) => {
      changes[node.address] = (changes[node.address] ?? 0n) + amount;
    };
    for (const assignment of [0, 1]) {
      const drawn = await life.drawn(assignment);
      for (const [seat, verifier] of drawn.entries()) {
        await life.answer(assignment, 0, seat);
        add(verifier, SEAT + (assignment === 1 ? 500n : 0n));
      }
    }
    add(d.honest, 10_000n);
    add(d.lying, -10_000n);
    changes["requester"] = -10_000n - 4n * SEAT;
    await life.judge([await life.exception(Verdict.PrimaryDiffers, { assignment: 1 })]);
    await settled(life, d.stranger, 0);
    await expect(life.settle(d.stranger, 1))
      .to.be.revertedWithCustomError(d.market, "WrongStatus")
      .withArgs(life.id, 1n, Status.Contended, Status.Submitted);
    await expect(life.conclude(1)).to.be.revertedWithCustomError(d.market, "TooEarly");
    await pass(await life.challengeDeadline(1));
    await life.conclude(1);
    await expectClosed(life);
    await expectMoney(d, before, changes);
  });
});

describe("A batch's life: somebody is silent", () => {
  it("draws again for a silent verifier, whose late answer still counts and pays the fine", async () => {
    const { d, life, before } = await revealed();
    const [silent] = await life.drawn();
    await pass(await life.checkDeadline());
    await life.redraw();
    await life.mineRound();
    const drawn = await life.drawn(0, 1);
    expect(drawn).to.have.length(2);
    await life.answer(0, 0, 0);
    expect(await settled(life, d.requester)).to.deep.equal([
      { outcome: Outcome.Paid, paid: 12_400n, accused: 0n, penalty: 0n },
    ]);
    await expectClosed(life);
    await expectMoney(d, before, {
      requester: -12_400n,
      [d.honest.address]: 10_000n,
      [silent!.address]: SEAT - 1_200n,
      burned: 1_200n,
    });
  });

  it("pays whoever answered when one of two verifiers stays silent, and fines the other", async () => {
    const { d, life, before } = await revealed((each) => fixed(each));
    const drawn = await life.drawn();
    await life.answer(0, 0, 1);
    await pass(await life.checkDeadline());
    expect(await settled(life, d.requester)).to.deep.equal([
      { outcome: Outcome.Paid, paid: 12_400n, accused: 0n, penalty: 0n },
    ]);
    await expectClosed(life);
    await expectMoney(d, before, {
      requester: -12_400n,
      [d.honest.address]: 10_000n,
      [drawn[0]!.address]: -1_200n,
      [drawn[1]!.address]: SEAT,
      burned: 1_200n,
    });
  });

  it("refunds when the pool is exhausted, and slashes nobody", async () => {
    const { d, life, before } = await revealed();
    const absent: Actor[] = await life.drawn();
    for (let round = 1; round <= 3; round += 1) {
      await pass(await life.checkDeadline());
      await life.redraw();
      await life.mineRound();
      absent.push(...(await life.drawn(0, round)));
    }
    expect(absent).to.have.length(11);
    await pass(await life.checkDeadline());
    expect(await settled(life, d.stranger)).to.deep.equal([
      { outcome: Outcome.Exhausted, paid: 0n, accused: 0n, penalty: 0n },
    ]);
    await expectClosed(life);
    await expectMoney(d, before, {
      ...Object.fromEntries(absent.map((node) => [node.address, -1_200n])),
      burned: 11n * 1_200n,
    });
  });

  it("pays who answered though too few did, when the pool is exhausted", async () => {
    const { d, life, before } = await revealed((each) => fixed(each, { quorum: 5n, slashAmount: 16_000n }));
    const first = await life.drawn();
    await life.answer(0, 0, 0);
    await pass(await life.checkDeadline());
    await life.redraw();
    await life.mineRound();
    const second = await life.drawn(0, 1);
    expect(second).to.have.length(7);
    await pass(await life.checkDeadline());
    expect((await settled(life, d.stranger))[0]).to.deep.equal({
      outcome: Outcome.Exhausted,
      paid: SEAT,
      accused: 0n,
      penalty: 0n,
    });
    await expectClosed(life);
    const absent = [...first.slice(1), ...second];
    await expectMoney(d, before, {
      requester: -SEAT,
      [first[0]!.address]: SEAT,
      ...Object.fromEntries(absent.map((node) => [node.address, -1_200n])),
      burned: 10n * 1_200n,
    });
  });

  it("refunds when nobody called for the next draw in time", async () => {
    const { d, life, before } = await revealed();
    const [silent] = await life.drawn();
    await pass(await life.judgeDeadline());
    expect((await settled(life, d.stranger))[0]!.outcome).to.equal(Outcome.Exhausted);
    await expectClosed(life);
    await expectMoney(d, before, { [silent!.address]: -1_200n, burned: 1_200n });
  });

  it("reads a missing majority into a panel that cannot be filled, and refunds", async () => {
    const { d, life, before } = await revealed();
    const [first] = await life.drawn();
    await life.answer();
    await life.escalate();
    await life.mineRound();
    const absent: Actor[] = await life.drawn(0, 1);
    for (let round = 2; round <= 4; round += 1) {
      await pass(await life.checkDeadline());
      await life.redraw(0, d.requester);
      await life.mineRound();
      absent.push(...(await life.drawn(0, round)));
    }
    expect([first!, ...absent]).to.have.length(1 + 1 + 2 + 4 + 3);
    await pass(await life.checkDeadline());
    expect((await judgeAndConclude(life, await life.exception(Verdict.NoMajority)))[0]!.outcome).to.equal(
      Outcome.NoMajority,
    );
    await expectClosed(life);
    await expectMoney(d, before, {
      ...Object.fromEntries(absent.map((node) => [node.address, -1_200n])),
      burned: 1_200n * BigInt(absent.length),
    });
  });

  it("forces payment and burns the bond when the requester does not reveal", async () => {
    const d = await load();
    const before = await moneyOf(d);
    const life = await postBatch(d);
    await life.compute([d.honest, 4], [d.lying, 6]);
    await pass(await life.revealDeadline());
    await expect(life.reveal()).to.be.revertedWithCustomError(d.market, "TooLate");
    const receipt = await (await life.settle(d.stranger, 0)).wait();
    expect(eventsIn(d, receipt!, "BondBurned").map(({ amount }) => amount)).to.deep.equal([5_000n]);
    // Once for the batch, not once for each assignment.
    expect((await settled(life, d.stranger, 1))[0]).to.deep.equal({
      outcome: Outcome.Forced,
      paid: 6_000n,
      accused: 0n,
      penalty: 0n,
    });
    await expectClosed(life);
    await expectMoney(d, before, {
      requester: -15_000n,
      [d.honest.address]: 4_000n,
      [d.lying.address]: 6_000n,
      burned: 5_000n,
    });
  });

  it("forces payment when the entropy was lost because nobody stored it", async () => {
    const d = await load();
    const before = await moneyOf(d);
    const life = await postBatch(d);
    await life.compute([d.honest, 10]);
    await networkHelpers.mine(PARAMETERS.finalDepth + 257n);
    await expect(life.reveal()).to.be.revertedWithCustomError(d.market, "EntropyLost");
    await pass(await life.revealDeadline());
    expect((await settled(life, d.honest))[0]!.outcome).to.equal(Outcome.Forced);
    await expectClosed(life);
    await expectMoney(d, before, { requester: -15_000n, [d.honest.address]: 10_000n, burned: 5_000n });
  });

  it("forces payment and burns the bond when the requester does not judge", async () => {
    const { d, life, before } = await revealed((each) => fixed(each));
    const drawn = await life.drawn();
    await life.answer(0, 0, 0);
    await life.answer(0, 0, 1);
    await pass(await life.silenceDeadline());
    expect(await settled(life, d.honest)).to.deep.equal([
      { outcome: Outcome.Forced, paid: 14_800n, accused: 0n, penalty: 0n },
    ]);
    await expectClosed(life);
    await expectMoney(d, before, {
      requester: -19_800n,
      [d.honest.address]: 10_000n,
      [drawn[0]!.address]: SEAT,
      [drawn[1]!.address]: SEAT,
      burned: 5_000n,
    });
  });

  it("burns the bond once though settling takes several calls", async () => {
    const d = await load();
    const before = await moneyOf(d);
    const life = await postBatch(d, { terms: fixed(d), count: 20 });
    await life.untilRevealed([d.honest, 10], [d.lying, 10]);
    const changes: Money = { [d.honest.address]: 10_000n, [d.lying.address]: 10_000n, burned: 5_000n };
    for (const assignment of [0, 1]) {
      for (const [seat, verifier] of (await life.drawn(assignment)).entries()) {
        await life.answer(assignment, 0, seat);
        changes[verifier.address] = (changes[verifier.address] ?? 0n) + SEAT;
      }
    }
    await pass(await life.silenceDeadline());
    await settled(life, d.stranger, 1);
    expect((await life.state()).bondBurned).to.equal(true);
    await settled(life, d.stranger, 0);
    await expectClosed(life);
    await expectMoney(d, before, { ...changes, requester: -20_000n - 4n * SEAT - 5_000n });
  });

  it("lets exceptions listed so far stand when the requester then falls silent", async () => {
    const d = await load();
    const before = await moneyOf(d);
    const life = await postBatch(d, { terms: fixed(d), count: 20 });
    await life.untilRevealed([d.honest, 10], [d.lying, 10]);
    const changes: Money = { [d.honest.address]: 10_000n, [d.lying.address]: -10_000n, burned: 5_000n + 9_000n };
    for (const assignment of [0, 1]) {
      for (const [seat, verifier] of (await life.drawn(assignment)).entries()) {
        await life.answer(assignment, 0, seat);
        changes[verifier.address] = (changes[verifier.address] ?? 0n) + SEAT + (assignment === 1 ? 500n : 0n);
      }
    }
    await life.judge([await life.exception(Verdict.PrimaryDiffers, { assignment: 1 })], false);
    await pass(await life.silenceDeadline());
    await pass(await life.challengeDeadline(1));
    const outcomes = [...(await settled(life, d.stranger, 0)), ...(await endsOf(d, life.conclude(1)))];
    expect(outcomes.map(({ outcome }) => outcome)).to.deep.equal([Outcome.Forced, Outcome.PrimarySlashed]);
    await expectClosed(life);
    await expectMoney(d, before, { ...changes, requester: -10_000n - 4n * SEAT - 5_000n });
  });

  it("voids a silent node's slice, which another claims again", async () => {
    const d = await load();
    const before = await moneyOf(d);
    const life = await postBatch(d);
    await life.claim(d.honest, 5);
    await life.claim(d.silent, 5);
    await life.submit(0);
    await pass(life.slice(1).deadline);
    await life.reclaim(d.late, 1);
    await life.submit(1);
    await life.mineEntropy();
    await life.reveal();
    const changes: Money = {
      requester: -10_000n,
      [d.honest.address]: 5_000n,
      [d.late.address]: 5_000n,
      [d.silent.address]: -500n,
      burned: 500n,
    };
    for (const assignment of [0, 1]) {
      const sampled = BigInt((await life.sampled(assignment)).length);
      if (sampled === 0n) continue;
      const [verifier] = await life.drawn(assignment);
      await life.answer(assignment);
      changes[verifier!.address] = (changes[verifier!.address] ?? 0n) + sampled * 1_200n;
      changes["requester"]! -= sampled * 1_200n;
    }
    await life.settle(d.requester, 0, 1);
    await expectClosed(life);
    await expectMoney(d, before, changes);
  });

  it("refunds what nobody claimed and what stayed void", async () => {
    const d = await load();
    const before = await moneyOf(d);
    const life = await postBatch(d, { terms: fixed(d), count: 20 });
    await life.claim(d.honest, 5);
    await life.claim(d.silent, 5);
    await life.submit(0);
    await pass(life.claimDeadline);
    await life.expire(1);
    await life.seal();
    await life.mineEntropy();
    await life.reveal();
    expect(await life.sampled()).to.have.length(1);
    const drawn = await life.drawn();
    await life.answer(0, 0, 0);
    await life.answer(0, 0, 1);
    await life.settle();
    await expectClosed(life);
    await expectMoney(d, before, {
      requester: -5_000n - 2n * 1_200n,
      [d.honest.address]: 5_000n + (drawn.includes(d.honest) ? 1_200n : 0n),
      ...Object.fromEntries(
        drawn.map((node) => [node.address, 1_200n - (node.address === d.silent.address ? 500n : 0n)]),
      ),
      ...(drawn.some((node) => node.address === d.silent.address) ? {} : { [d.silent.address]: -500n }),
      burned: 500n,
    });
  });

  it("returns everything when nobody claimed", async () => {
    const d = await load();
    const before = await moneyOf(d);
    const life = await postBatch(d);
    await pass(life.claimDeadline);
    await life.seal();
    await expectClosed(life);
    await expectMoney(d, before, {});
  });
});

describe("A batch's life: the limits", () => {
  it("keeps the full lock of an assignment over a change of price", async () => {
    const d = await load();
    const before = await moneyOf(d);
    const life = await postBatch(d, { terms: fixed(d, { slashAmount: 12_000n }), count: 20 });
    await life.as(d.requester).rebid(life.terms, life.batch, 1_200n);
    await life.untilRevealed([d.lying, 20]);
    expect((await d.registry.nodeState(d.marketAddress, d.lying)).committed).to.equal(24_000n);
    const drawn = await life.drawn();
    await life.answer(0, 0, 0);
    await life.answer(0, 0, 1);
    const [outcome] = await judgeAndConclude(life, await life.exception(Verdict.PrimaryDiffers));
    expect(outcome!.penalty).to.equal(24_000n);
    await expectClosed(life);
    await expectMoney(d, before, {
      requester: -2n * 4_800n,
      [d.lying.address]: -24_000n,
      [drawn[0]!.address]: 4_800n + 1_200n,
      [drawn[1]!.address]: 4_800n + 1_200n,
      burned: 21_600n,
    });
  });

  it("lets a node verify while it computes, and owe for both", async () => {
    const d = await load();
    const life = await postBatch(d, { terms: fixed(d), count: 20 });
    await life.untilRevealed([d.honest, 10], [d.lying, 10]);
    const committed: Record<string, bigint> = { [d.honest.address]: 10_000n, [d.lying.address]: 10_000n };
    for (const assignment of [0, 1]) {
      for (const [seat, verifier] of (await life.drawn(assignment)).entries()) {
        await life.answer(assignment, 0, seat);
        committed[verifier.address] = (committed[verifier.address] ?? 0n) + 10_000n;
      }
    }
    for (const node of d.nodes) {
      expect((await d.registry.nodeState(d.marketAddress, node)).committed).to.equal(committed[node.address] ?? 0n);
    }
  });

  it("runs in another class on the same stake, which stands behind one thing at a time", async () => {
    const d = await load();
    const classTerms = { ...d.classTerms, runtime: Runtime.Container, fullSlash: false };
    const classId = await d.registry.createClass.staticCall(classTerms);
    await d.registry.createClass(classTerms);
    for (const [slot, node] of d.nodes.slice(0, 6).entries()) {
      await d.registry.connect(node).joinPool(d.marketAddress, classId, slot);
    }
    const life = await postBatch(d, { terms: termsOf(d, { class: classId, fullSlash: false }) });
    const free = NODE_STAKE - 2n * 40_000n;
    await mined(d.registry.connect(d.honest).unstake(d.marketAddress, free));
    await expect(life.claim(d.honest, 10))
      .to.be.revertedWithCustomError(d.registry, "InsufficientStake")
      .withArgs(d.honest.address, 0n, 10_000n);
  });

  it("survives a panel of the most rounds with every seat silent", async () => {
    const { d, life, before } = await revealed((each) => fixed(each, { rate: PPM, slashAmount: 10_000n }));
    let absent: Actor[] = await life.drawn();
    for (let round = 1; round <= 2; round += 1) {
      await pass(await life.checkDeadline());
      await life.redraw();
      await life.mineRound();
      absent = [...absent, ...(await life.drawn(0, round))];
    }
    // 2 + 4 + the last 5 of the pool.
    expect(absent).to.have.length(11);
    await pass(await life.checkDeadline());
    await expect(life.redraw()).to.be.revertedWithCustomError(d.market, "PoolExhausted");
    await life.settle(d.stranger);
    await expectClosed(life);
    await expectMoney(d, before, {
      ...Object.fromEntries(absent.map((node) => [node.address, -6_000n])),
      burned: 66_000n,
    });
  });
});
