import { expect } from "chai";
import { id as keccakOf } from "ethers";

import {
  at,
  ACTIVATION_DELAY,
  deployMarket,
  ENVELOPE,
  ethers,
  expectAfter,
  expectClosed,
  expectMoney,
  expectUntil,
  MIN_STAKE,
  mined,
  moneyOf,
  networkHelpers,
  NODE_STAKE,
  now,
  pass,
  PARAMETERS,
  postBatch,
  SLOT_STAKE,
  Status,
  termsOf,
  trustedTermsOf,
} from "./market-fixture.ts";

const load = () => networkHelpers.loadFixture(deployMarket);

async function loadPosted() {
  const d = await load();
  return { d, life: await postBatch(d) };
}

describe("Market: records", () => {
  it("are refused when the terms are not the batch's", async () => {
    const { d, life } = await loadPosted();
    const other = { ...life.terms, price: 1_001n };
    await expect(life.as(d.honest).claim(other, life.batch, 0, 10, 0n))
      .to.be.revertedWithCustomError(d.market, "WrongTerms")
      .withArgs(await d.market.jobId(other), life.batch.job);
  });

  it("are refused when the batch was never posted", async () => {
    const { d, life } = await loadPosted();
    for (const other of [
      { ...life.batch, count: 11n },
      { ...life.batch, slots: 11n },
      { ...life.batch, sequence: 1n },
      { ...life.batch, seedCommitment: keccakOf("mine") },
      { ...life.batch, manifest: keccakOf("mine") },
    ]) {
      await expect(life.as(d.honest).claim(life.terms, other, 0, 10, 0n))
        .to.be.revertedWithCustomError(d.market, "UnknownBatch")
        .withArgs(await d.market.batchId(other));
    }
  });
});

describe("Market: claim", () => {
  it("refuses a slot of another", async () => {
    const { d, life } = await loadPosted();
    await expect(life.claim(d.honest, 10, 1))
      .to.be.revertedWithCustomError(d.registry, "NotSlotHolder")
      .withArgs(1n, d.lying.address, d.honest.address);
    await expect(life.claim(d.stranger, 10, 0))
      .to.be.revertedWithCustomError(d.registry, "NotSlotHolder")
      .withArgs(0n, d.honest.address, d.stranger.address);
  });

  it("refuses who left the class, or is below the minimum stake", async () => {
    const { d, life } = await loadPosted();
    await d.registry.connect(d.honest).leavePool(d.marketAddress, d.wasmClass, 0);
    await expect(life.claim(d.honest))
      .to.be.revertedWithCustomError(d.registry, "SlotLeft")
      .withArgs(0n, await now());
    await d.registry.connect(d.lying).unstake(d.marketAddress, NODE_STAKE - SLOT_STAKE);
    await expect(life.claim(d.lying))
      .to.be.revertedWithCustomError(d.registry, "StakeBelowMinimum")
      .withArgs(d.lying.address, SLOT_STAKE, MIN_STAKE);
  });

  it("refuses stake that stands behind another claim", async () => {
    const { d, life } = await loadPosted();
    const free = NODE_STAKE - SLOT_STAKE;
    await d.registry.connect(d.honest).unstake(d.marketAddress, free - 15_000n);
    await life.claim(d.honest, 1);
    await expect(life.claim(d.honest, 1))
      .to.be.revertedWithCustomError(d.registry, "InsufficientStake")
      .withArgs(d.honest.address, 5_000n, 10_000n);
  });

  it("puts the slash at stake, or the slice's price if that is more", async () => {
    const d = await load();
    const life = await postBatch(d, { count: 26 });
    await life.claim(d.honest, 10);
    expect((await d.registry.nodeState(d.marketAddress, d.honest)).committed).to.equal(10_000n);
    await life.claim(d.lying, 16);
    expect((await d.registry.nodeState(d.marketAddress, d.lying)).committed).to.equal(16_000n);
  });

  it("refuses slices outside least and greatest", async () => {
    const d = await load();
    const life = await postBatch(d, { terms: termsOf(d, { minSlice: 3n, maxShare: 500_000n }) });
    for (const count of [0, 2, 6]) {
      await expect(life.claim(d.honest, count))
        .to.be.revertedWithCustomError(d.market, "SliceOutOfRange")
        .withArgs(BigInt(count), 3n, 5n);
    }
    await life.claim(d.honest, 5);
    await life.claim(d.lying, 3);
    // Only two are left: less than the least slice, so it must be both.
    for (const count of [1, 3]) {
      await expect(life.claim(d.silent, count))
        .to.be.revertedWithCustomError(d.market, "SliceOutOfRange")
        .withArgs(BigInt(count), 2n, 2n);
    }
    await life.claim(d.silent, 2);
    await expect(life.claim(d.late, 1)).to.be.revertedWithCustomError(d.market, "NothingLeft").withArgs(life.id);
  });

  it("lets the least slice win over a share that is smaller", async () => {
    const d = await load();
    const life = await postBatch(d, { terms: termsOf(d, { minSlice: 3n, maxShare: 100_000n }) });
    await expect(life.claim(d.honest, 4))
      .to.be.revertedWithCustomError(d.market, "SliceOutOfRange")
      .withArgs(4n, 3n, 3n);
    await life.claim(d.honest, 3);
  });

  it("is possible until the claim window ends", async () => {
    const { d, life } = await loadPosted();
    await expectUntil(d.market, life.claimDeadline, () => life.claim(d.honest, 10));
  });

  it("refuses a sealed batch even while the claim window lasts", async () => {
    const { d, life } = await loadPosted();
    await life.compute([d.honest, 10]);
    await expect(life.claim(d.lying, 1)).to.be.revertedWithCustomError(d.market, "AlreadySealed").withArgs(life.id);
  });

  it("refuses nodes the requester excluded", async () => {
    const d = await load();
    const life = await postBatch(d, { terms: termsOf(d, { excluded: [d.lying.address] }) });
    await expect(life.claim(d.lying))
      .to.be.revertedWithCustomError(d.market, "NotPermitted")
      .withArgs(d.lying.address, d.requester.address);
    await life.claim(d.honest);
  });

  it("refuses in mode trusted whom the requester does not trust", async () => {
    const d = await load();
    const life = await postBatch(d, { terms: trustedTermsOf(d, [d.honest]) });
    await expect(life.claim(d.lying))
      .to.be.revertedWithCustomError(d.market, "NotPermitted")
      .withArgs(d.lying.address, d.honest.address);
    await life.claim(d.honest);
  });

  it("hands out slices one after the other", async () => {
    const { d, life } = await loadPosted();
    await expect(life.as(d.honest).claim(life.terms, life.batch, 0, 4, 1_000n)).to.emit(d.market, "Claimed");
    expect(await life.claim(d.lying, 6)).to.equal(1);
    const deadline = (await now()) + life.terms.windows.submit;
    expect(life.slice(1)).to.deep.equal({ node: d.lying, first: 4, count: 6, deadline });
    const { next, slices, pending, open, unsubmitted } = await life.state();
    expect([next, slices, pending, open, unsubmitted]).to.deep.equal([10n, 2n, 2n, 2n, 10n]);
  });
});

describe("Market: submit", () => {
  async function loadClaimed() {
    const { d, life } = await loadPosted();
    await life.claim(d.honest, 6);
    return { d, life };
  }

  it("refuses an assignment that was never made, and a batch that was never posted", async () => {
    const { d, life } = await loadClaimed();
    const submit = (id: string, assignment: number) =>
      life.as(d.honest).submit(id, assignment, keccakOf("root"), keccakOf("manifest"), "0x");
    await expect(submit(life.id, 1)).to.be.revertedWithCustomError(d.market, "UnknownAssignment").withArgs(life.id, 1n);
    const unknown = keccakOf("no batch");
    await expect(submit(unknown, 0)).to.be.revertedWithCustomError(d.market, "UnknownAssignment").withArgs(unknown, 0n);
  });

  it("refuses everybody but the node that claimed", async () => {
    const { d, life } = await loadClaimed();
    await expect(life.submit(0, d.lying))
      .to.be.revertedWithCustomError(d.market, "NotPermitted")
      .withArgs(d.lying.address, d.honest.address);
  });

  it("refuses a second time", async () => {
    const { d, life } = await loadClaimed();
    await life.submit();
    await expect(life.submit())
      .to.be.revertedWithCustomError(d.market, "WrongStatus")
      .withArgs(life.id, 0n, Status.Submitted, Status.Claimed);
  });

  it("is possible until the deadline", async () => {
    const { d, life } = await loadClaimed();
    await expectUntil(d.market, life.slice(0).deadline, () => life.submit());
    const { pending, open, unsubmitted, sealedAt } = await life.state();
    expect([pending, open, unsubmitted, sealedAt]).to.deep.equal([0n, 1n, 4n, 0n]);
  });

  it("tells root, manifest and envelope", async () => {
    const { d, life } = await loadClaimed();
    await expect(life.submit())
      .to.emit(d.market, "Submitted")
      .withArgs(life.id, 0n, d.honest.address, keccakOf("root 0"), keccakOf("manifest 0"), ENVELOPE);
  });

  it("seals with the last task, in any order", async () => {
    const { d, life } = await loadClaimed();
    await life.claim(d.lying, 4);
    await expect(life.submit(1)).to.not.emit(d.market, "Sealed");
    const sealing = await life.submit(0);
    const block = BigInt(sealing.blockNumber ?? (await ethers.provider.getBlockNumber()));
    await expect(sealing)
      .to.emit(d.market, "Sealed")
      .withArgs(life.id, block + PARAMETERS.finalDepth);
    const { sealedAt, sealBlock } = await life.state();
    expect([sealedAt, sealBlock]).to.deep.equal([await now(), block]);
  });

  it("is a record that cannot be changed afterwards", async () => {
    const d = await load();
    const life = await postBatch(d, { terms: trustedTermsOf(d, [d.honest]) });
    await life.compute([d.honest, 10]);
    const right = life.submission();
    for (const wrong of [
      { ...right, node: d.lying.address },
      { ...right, first: 1n },
      { ...right, count: 9n },
      { ...right, root: keccakOf("other") },
      { ...right, content: keccakOf("other") },
    ]) {
      await expect(
        life.as(d.stranger).settle(life.terms, life.batch, [{ assignment: 0, submission: wrong, answers: [] }]),
      )
        .to.be.revertedWithCustomError(d.market, "WrongRecord")
        .withArgs(life.id, 0n);
    }
    await life.settle(d.stranger);
  });
});

describe("Market: expire and reclaim", () => {
  async function loadLate() {
    const { d, life } = await loadPosted();
    await life.claim(d.silent, 6);
    return { d, life, deadline: life.slice(0).deadline };
  }

  it("wait for the deadline", async () => {
    const { d, life, deadline } = await loadLate();
    const before = await networkHelpers.takeSnapshot();
    await expectAfter(d.market, deadline, () => life.expire());
    await before.restore();
    await expectAfter(d.market, deadline, () => life.reclaim(d.honest, 0));
  });

  it("refuse what was submitted in time", async () => {
    const { d, life, deadline } = await loadLate();
    await life.submit();
    await pass(deadline);
    for (const step of [() => life.expire(), () => life.reclaim(d.honest, 0)]) {
      await expect(step()).to.be.revertedWithCustomError(d.market, "WrongStatus");
    }
    await expect(life.expire())
      .to.be.revertedWithCustomError(d.market, "WrongStatus")
      .withArgs(life.id, 0n, Status.Submitted, Status.Claimed);
    await expect(life.reclaim(d.honest, 0))
      .to.be.revertedWithCustomError(d.market, "WrongStatus")
      .withArgs(life.id, 0n, Status.Submitted, Status.Void);
  });

  it("refuse what was never claimed", async () => {
    const { d, life } = await loadLate();
    for (const step of [() => life.expire(1), () => life.reclaim(d.honest, 1)]) {
      await expect(step()).to.be.revertedWithCustomError(d.market, "UnknownAssignment").withArgs(life.id, 1n);
    }
  });

  it("fine a tenth of the slice's price and free the stake", async () => {
    const { d, life, deadline } = await loadLate();
    const before = await moneyOf(d, [life]);
    await pass(deadline);
    await expect(life.expire(0, d.stranger)).to.emit(d.market, "Voided").withArgs(life.id, 0n, d.silent.address, 600n);
    await expectMoney(d, before, { [d.silent.address]: -600n, burned: 600n }, [life]);
    expect(await d.registry.nodeState(d.marketAddress, d.silent)).to.deep.equal([NODE_STAKE - 600n, 0n, SLOT_STAKE]);
    const { pending, open, unsubmitted } = await life.state();
    expect([pending, open, unsubmitted]).to.deep.equal([0n, 0n, 10n]);
    await expect(life.expire())
      .to.be.revertedWithCustomError(d.market, "WrongStatus")
      .withArgs(life.id, 0n, Status.Void, Status.Claimed);
    await expect(life.submit(0)).to.be.revertedWithCustomError(d.market, "WrongStatus");
  });

  it("give the slice to another, who voids it on the way", async () => {
    const { d, life, deadline } = await loadLate();
    const before = await moneyOf(d, [life]);
    await pass(deadline);
    await life.reclaim(d.honest, 0);
    expect(life.slice(0)).to.deep.equal({
      node: d.honest,
      first: 0,
      count: 6,
      deadline: (await now()) + life.terms.windows.submit,
    });
    await expectMoney(d, before, { [d.silent.address]: -600n, burned: 600n }, [life]);
    await expect(life.submit(0, d.silent))
      .to.be.revertedWithCustomError(d.market, "NotPermitted")
      .withArgs(d.silent.address, d.honest.address);
    await life.submit(0);
  });

  it("reclaim a void slice, even for who was late", async () => {
    const { d, life, deadline } = await loadLate();
    await pass(deadline);
    await life.expire();
    await life.reclaim(d.silent, 0);
    const { pending, open, slices } = await life.state();
    expect([pending, open, slices]).to.deep.equal([1n, 1n, 1n]);
    await life.submit(0);
  });

  it("reclaim only while the claim window lasts", async () => {
    const { d, life, deadline } = await loadLate();
    await pass(deadline);
    await life.expire();
    await expectUntil(d.market, life.claimDeadline, () => life.reclaim(d.honest, 0));
  });

  it("reclaim at no price lower than the node accepts, and not by an excluded node", async () => {
    const d = await load();
    const life = await postBatch(d, { terms: termsOf(d, { excluded: [d.lying.address] }) });
    await life.claim(d.silent, 6);
    await pass(life.slice(0).deadline);
    await expect(life.as(d.honest).reclaim(life.terms, life.batch, 0, 0, 1_001n))
      .to.be.revertedWithCustomError(d.market, "PriceTooLow")
      .withArgs(1_000n, 1_001n);
    await expect(life.reclaim(d.lying, 0))
      .to.be.revertedWithCustomError(d.market, "NotPermitted")
      .withArgs(d.lying.address, d.requester.address);
  });

  it("fine only what the node has not committed elsewhere", async () => {
    const d = await load();
    const life = await postBatch(d, { terms: termsOf(d, { price: 1_000n }), count: 200 });
    // 100 tasks lock 100,000 and would be fined 10,000; of the stake the slot's 40,000 are left.
    await d.registry.connect(d.silent).unstake(d.marketAddress, NODE_STAKE - SLOT_STAKE - 100_000n);
    await life.claim(d.silent, 100);
    await pass(life.slice(0).deadline);
    await expect(life.expire()).to.emit(d.market, "Voided").withArgs(life.id, 0n, d.silent.address, 10_000n);
    expect((await d.registry.nodeState(d.marketAddress, d.silent)).stake).to.equal(SLOT_STAKE + 90_000n);
  });
});

describe("Market: seal", () => {
  it("waits for the end of the claim window", async () => {
    const { d, life } = await loadPosted();
    await life.compute([d.honest, 6]);
    await expectAfter(d.market, life.claimDeadline, () => life.seal());
    expect((await life.state()).sealedAt).to.equal(await now());
  });

  it("waits for whoever can still submit", async () => {
    const { d, life } = await loadPosted();
    await life.compute([d.honest, 6]);
    await at(life.claimDeadline);
    await life.claim(d.lying, 4);
    await pass(life.claimDeadline);
    await expect(life.seal()).to.be.revertedWithCustomError(d.market, "StillPending").withArgs(life.id, 1n);
    await pass(life.slice(1).deadline);
    await expect(life.seal()).to.be.revertedWithCustomError(d.market, "StillPending").withArgs(life.id, 1n);
    await life.expire(1);
    await life.seal();
  });

  it("refuses a second time", async () => {
    const { d, life } = await loadPosted();
    await life.compute([d.honest, 10]);
    await pass(life.claimDeadline);
    await expect(life.seal()).to.be.revertedWithCustomError(d.market, "AlreadySealed").withArgs(life.id);
  });

  it("closes a batch that nobody claimed and returns everything", async () => {
    const { d, life } = await loadPosted();
    const before = await moneyOf(d, [life]);
    await pass(life.claimDeadline);
    await expect(life.seal(d.stranger)).to.emit(d.market, "BatchClosed").withArgs(life.id);
    await expectClosed(life);
    await expectMoney(d, before, {});
    await expect(life.seal()).to.be.revertedWithCustomError(d.market, "UnknownBatch").withArgs(life.id);
  });

  it("closes a batch of which everything is void", async () => {
    const { d, life } = await loadPosted();
    const before = await moneyOf(d, [life]);
    await life.claim(d.silent, 10);
    await pass(life.claimDeadline);
    await life.expire();
    await life.seal();
    await expectClosed(life);
    await expectMoney(d, before, { [d.silent.address]: -1_000n, burned: 1_000n });
  });

  it("freezes the pool: who joins or leaves later changes no draw", async () => {
    const { d, life } = await loadPosted();
    await life.compute([d.honest, 10]);
    await life.mineEntropy();
    await life.reveal();
    const drawn = await life.drawn();
    const leaving = drawn[0]!;
    await d.registry.connect(leaving).leavePool(d.marketAddress, d.wasmClass, d.nodes.indexOf(leaving));
    await d.registry.connect(d.lying).joinPool(d.marketAddress, d.wasmClass, 12);
    await networkHelpers.time.increase(ACTIVATION_DELAY);
    expect(await life.drawn()).to.deep.equal(drawn);
  });

  it("counts nobody into the pool who joined after the post", async () => {
    const d = await load();
    const life = await postBatch(d);
    const [newcomer] = (await ethers.getSigners()).slice(-1);
    await d.vault.connect(d.admin).deposit(await d.registry.getAddress(), newcomer!.address, NODE_STAKE);
    await d.registry.connect(newcomer!).stake(d.marketAddress, NODE_STAKE);
    await mined(d.registry.connect(newcomer!).joinPool(d.marketAddress, d.wasmClass, 12));
    await networkHelpers.time.increase(ACTIVATION_DELAY);
    expect(life.batch.slots).to.equal(12n);
    const sealedAt = await now();
    const draw = (slots: bigint) =>
      d.registry.draw(d.marketAddress, d.wasmClass, keccakOf("key"), sealedAt, slots, [], [], 20);
    expect(await draw(life.batch.slots)).to.not.include(newcomer!.address);
    expect(await draw(13n)).to.include(newcomer!.address);
  });
});
