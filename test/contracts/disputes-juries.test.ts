import { expect } from "chai";
import { ZeroAddress, ZeroHash } from "ethers";

import type { Dispute } from "./dispute-fixture.ts";
import {
  answerAll,
  commitAllBut,
  DELIVERED,
  each,
  EVIDENCE,
  fixedTerms,
  JUROR_FINE,
  loadCrowd,
  LOCK,
  seated,
  stakeFor,
  startPanel,
  sum,
  UNDELIVERED,
  WAGE,
  type Lies,
} from "./dispute-fixture.ts";
import {
  ACTIVATION_DELAY,
  deployMarket,
  ethers,
  expectAfter,
  expectMoney,
  expectUntil,
  Matter,
  moneyOf,
  networkHelpers,
  now,
  PARAMETERS,
  postBatch,
  Stage,
  Verdict,
  type Actor,
  type Deployment,
} from "./market-fixture.ts";
import { juryPlaces } from "./reference.ts";
import { outputOf } from "./results.ts";

/** An exception against the primary, challenged, opened by the members named, and ruled. */
async function ruled(
  lies: Lies = { 0: "x" },
  open = [0, 1, 2],
  verdict: bigint = Verdict.PrimaryDiffers,
): Promise<Dispute> {
  const dispute = await startPanel(await loadCrowd(), lies);
  await dispute.life.judge([await dispute.life.exception(verdict)]);
  await dispute.challenge(dispute.member(open[0] ?? 0));
  await dispute.openAll(...open);
  if (open.length < 3) await dispute.passStep();
  await dispute.rule();
  return dispute;
}

/** Appealed by the primary, the jury not drawn yet. */
async function appealed(): Promise<Dispute> {
  const dispute = await ruled();
  await dispute.appeal(dispute.d.honest);
  return dispute;
}

async function convened(): Promise<{ dispute: Dispute; d: Deployment; jurors: Actor[] }> {
  const dispute = await appealed();
  return { dispute, d: dispute.d, jurors: await dispute.seat() };
}

/** All ballots are cast, as told, and wait to be opened. */
async function showing(...told: string[]): Promise<{ dispute: Dispute; d: Deployment; jurors: Actor[] }> {
  const all = await convened();
  for (const seat of all.jurors.keys()) await all.dispute.vote(seat, told[seat] ?? "");
  await all.dispute.rule();
  return all;
}

/** The dispute of a market of twelve, whose panel of five leaves seven. */
async function smallPool(prepare?: (d: Deployment) => Promise<void>): Promise<Dispute> {
  const d = await networkHelpers.loadFixture(deployMarket);
  const terms = fixedTerms(d, { quorum: 5n, slashAmount: 16_000n, excluded: [d.nodes[11]!.address] });
  const before = await moneyOf(d);
  const life = await postBatch(d, { terms, real: true });
  life.results!.lie(d.honest.address, "x");
  await life.compute([d.honest, 10]);
  await life.mineEntropy();
  await life.reveal();
  await prepare?.(d);
  const dispute = await answerAll(life, 0, {}, before);
  await life.judge([await life.exception(Verdict.PrimaryDiffers)]);
  await dispute.challenge();
  await dispute.openAll();
  await dispute.rule();
  return dispute;
}

async function committed(d: Deployment, { address }: Actor): Promise<bigint> {
  return (await d.registry.nodeState(d.marketAddress, address)).committed;
}

describe("Disputes: appeal", () => {
  it("refuses before the panel has ruled, and while a jury sits", async () => {
    const dispute = await startPanel(await loadCrowd(), { 0: "x" });
    const { d, life } = dispute;
    await life.judge([await life.exception(Verdict.PrimaryDiffers)]);
    await dispute.challenge();
    const refused = async (actual: bigint) =>
      await expect(dispute.appeal(d.honest))
        .to.be.revertedWithCustomError(d.market, "WrongStage")
        .withArgs(0n, actual, Stage.Ruled);
    await refused(Stage.Opening);
    await dispute.openAll();
    await dispute.rule();
    await dispute.appeal(d.honest);
    await refused(Stage.Casting);
    for (const seat of (await dispute.seat()).keys()) await dispute.vote(seat);
    await dispute.rule();
    await refused(Stage.Showing);
  });

  it("is possible until the ruling's deadline", async () => {
    const dispute = await ruled();
    await expectUntil(dispute.d.market, await dispute.deadline(), () => dispute.appeal(dispute.d.honest));
  });

  it("is possible twice, the second time until the first jury's deadline", async () => {
    const dispute = await appealed();
    const { d } = dispute;
    await dispute.decide();
    await expectUntil(d.market, await dispute.deadline(), () => dispute.appeal(d.honest));
    await dispute.decide();
    for (const by of [d.honest, d.requester, dispute.member(1)]) {
      await expect(dispute.appeal(by)).to.be.revertedWithCustomError(d.market, "Final").withArgs(0n);
    }
  });

  it("calls twice the quorum and one, and then twice as many", async () => {
    const dispute = await ruled();
    const { d, life } = dispute;
    for (const [tier, seats, appellant] of [
      [1n, 7n, d.honest],
      [2n, 14n, dispute.member(1)],
    ] as [bigint, bigint, Actor][]) {
      const sent = dispute.appeal(appellant);
      const block = BigInt((await (await sent).wait())!.blockNumber) + PARAMETERS.finalDepth;
      const deadline = (await now()) + PARAMETERS.drawDelay + life.terms.windows.check;
      await expect(sent)
        .to.emit(d.market, "JuryCalled")
        .withArgs(life.id, 0n, tier, 0n, appellant.address, seats, block, deadline);
      const stored = await dispute.stored();
      expect([stored.stage, stored.tier, stored.deadline]).to.deep.equal([Stage.Casting, tier, deadline]);
      expect(await dispute.jurors()).to.deep.equal([]);
      if (tier === 1n) await dispute.decide(["x"]);
    }
  });

  it("is free, once, for whoever differs from the ruling or was accused without one", async () => {
    for (const [lies, open, verdict, free] of [
      [{ 0: "x" }, [0, 1, 2], Verdict.PrimaryDiffers, [0]],
      [{ 2: "x" }, [0, 1, 2], Verdict.NoMajority, [2]],
      [{ 1: "x", 2: "x" }, [0, 1, 2], Verdict.PrimaryDiffers, [0]],
      [{ 0: "x", 1: "x" }, [0, 1, 2], Verdict.PrimaryDiffers, [2]],
      [{ 0: "x" }, [1, 2], Verdict.PrimaryDiffers, [0]],
      [{}, [0], Verdict.PrimaryDiffers, [0]],
      [{}, [1], Verdict.PrimaryDiffers, [0]],
      [{}, [0, 1, 2], Verdict.PrimaryDiffers, []],
      [{ 0: "x", 1: "y" }, [0, 1, 2], Verdict.NoMajority, []],
    ] as [Lies, number[], bigint, number[]][]) {
      const dispute = await ruled(lies, open, verdict);
      const { d } = dispute;
      for (const member of [0, 1, 2]) {
        const before = await networkHelpers.takeSnapshot();
        const had = await committed(d, dispute.member(member));
        await dispute.appeal(dispute.member(member));
        const bond = free.includes(member) ? 0n : 7n * WAGE;
        const about = `member ${member} of ${JSON.stringify([lies, open, Number(verdict)])}`;
        expect((await committed(d, dispute.member(member))) - had, about).to.equal(bond);
        expect((await dispute.jury()).bond, about).to.equal(bond);
        await before.restore();
      }
    }
  });

  it("costs whoever differs the second jury", async () => {
    const dispute = await appealed();
    const { d } = dispute;
    await dispute.decide();
    await dispute.appeal(d.honest);
    expect(await committed(d, d.honest)).to.equal(LOCK + 14n * WAGE);
    expect((await dispute.jury()).bond).to.equal(14n * WAGE);
  });

  it("costs the requester money, and anybody else stake", async () => {
    const dispute = await ruled();
    const { d, life } = dispute;
    const before = await networkHelpers.takeSnapshot();
    const had = await d.vault.available(d.marketAddress, d.requester);
    await dispute.appeal(d.requester);
    expect(await d.vault.available(d.marketAddress, d.requester)).to.equal(had - 7n * WAGE);
    expect((await dispute.jury()).slice(0, 2)).to.deep.equal([d.requester.address, 7n * WAGE]);
    await before.restore();

    const again = await networkHelpers.takeSnapshot();
    await d.vault.connect(d.requester).withdraw(d.marketAddress, had - 7n * WAGE + 1n, d.requester);
    await expect(dispute.appeal(d.requester))
      .to.be.revertedWithCustomError(d.vault, "InsufficientAvailable")
      .withArgs(d.requester.address, 7n * WAGE - 1n, 7n * WAGE);
    await again.restore();

    for (const by of [d.stranger, d.delegate]) {
      await expect(dispute.appeal(by))
        .to.be.revertedWithCustomError(d.registry, "InsufficientStake")
        .withArgs(by.address, 0n, 7n * WAGE);
    }
    await stakeFor(d, d.stranger, 7n * WAGE);
    await dispute.appeal(d.stranger);
    expect(await committed(d, d.stranger)).to.equal(7n * WAGE);
    expect((await d.vault.lockOf(d.marketAddress, life.id)).holder).to.equal(d.requester.address);
  });

  it("refuses where nobody is left to draw", async () => {
    const dispute = await smallPool();
    const { d } = dispute;
    await dispute.appeal(d.honest);
    await dispute.decide();
    await expect(dispute.appeal(dispute.member(1)))
      .to.be.revertedWithCustomError(d.market, "PoolExhausted")
      .withArgs(0n);
  });
});

describe("Disputes: who sits on a jury", () => {
  it("is drawn by the protocol's own order, and nobody twice", async () => {
    const dispute = await appealed();
    const { d, life, members } = dispute;
    const entropy = await life.entropy();
    const seatedSoFar: string[] = members.map(({ address }) => address);
    const expectDrawn = async (call: number, seats: number[]) => {
      const block = (await dispute.jury()).entropyBlock;
      await networkHelpers.mineUpTo(block + 1n);
      const { hash } = (await ethers.provider.getBlock(Number(block)))!;
      const wanted = juryPlaces(entropy, hash!, 0, call, life.batch.slots)
        .map((place) => d.nodes[place]!.address)
        .filter((address) => !seatedSoFar.includes(address))
        .slice(0, seats.length);
      const tier = BigInt(Math.floor(call / 2));
      expect(await seated(d, dispute.convene())).to.deep.equal(
        wanted.map((node, i) => ({ node, tier, seat: BigInt(seats[i]!) })),
      );
      expect(
        (await dispute.jurors()).filter((_, seat) => seats.includes(seat)).map((each) => each.address),
      ).to.deep.equal(wanted);
      seatedSoFar.push(...wanted);
    };
    await expectDrawn(2, [0, 1, 2, 3, 4, 5, 6]);
    // Seats 1 and 4 stay empty and are drawn again, with everybody left out that sat before.
    for (const seat of [0, 2, 3, 5, 6]) await dispute.vote(seat);
    await dispute.passStep();
    await dispute.rule();
    await expectDrawn(3, [1, 4]);
    for (const seat of [1, 4]) await dispute.vote(seat);
    await dispute.rule();
    for (let seat = 0; seat < 7; seat += 1) await dispute.showVote(seat);
    await dispute.rule();
    await dispute.appeal(d.honest);
    // Whoever was replaced does not sit on the first jury any more.
    const sitting = (await dispute.jurors(1)).map(({ address }) => address);
    seatedSoFar.splice(3, seatedSoFar.length, ...sitting);
    await expectDrawn(
      4,
      Array.from({ length: 14 }, (_, seat) => seat),
    );
  });

  it("is smaller where the pool is, and has those too that the requester excluded", async () => {
    const dispute = await smallPool();
    const { d, members } = dispute;
    await dispute.appeal(d.honest);
    expect((await dispute.jury()).seats).to.equal(11n);
    const jurors = await dispute.seat();
    expect((await dispute.jury()).seats).to.equal(7n);
    expect(jurors).to.have.members(d.nodes.filter((node) => !members.includes(node)));
    expect(jurors).to.include(d.nodes[11]);
    // A majority of those is four.
    for (const seat of [0, 1, 2, 3]) await dispute.vote(seat, "");
    for (const seat of [4, 5, 6]) await dispute.vote(seat, "y");
    await dispute.rule();
    for (const seat of [0, 1, 2, 3]) await dispute.showVote(seat, "");
    for (const seat of [4, 5, 6]) await dispute.showVote(seat, "y");
    await dispute.rule();
    expect(await dispute.ruling(1)).to.equal(await dispute.digest());
  });

  it("is of the pool as it was at the seal", async () => {
    const joined = (await ethers.getSigners())[20]!;
    const dispute = await smallPool(async (d) => {
      // After the seal one comes and one goes.
      await d.vault.connect(d.admin).deposit(await d.registry.getAddress(), joined.address, 200_000n);
      await d.registry.connect(joined).stake(d.marketAddress, 200_000n);
      await d.registry.connect(joined).joinPool(d.marketAddress, d.wasmClass, 12);
      await d.registry.connect(d.nodes[10]!).leavePool(d.marketAddress, d.wasmClass, 10);
      await networkHelpers.time.increase(ACTIVATION_DELAY);
    });
    const { d, members } = dispute;
    await dispute.appeal(d.honest);
    await dispute.mineJury();
    const drawn = (await seated(d, dispute.convene())).map(({ node }) => node);
    expect(drawn).to.not.include(joined.address);
    if (!members.includes(d.nodes[10]!)) expect(drawn).to.include(d.nodes[10]!.address);
    expect(drawn).to.have.length(7);
  });
});

describe("Disputes: convene", () => {
  it("waits for the entropy, is possible once, and not when it is lost", async () => {
    const dispute = await appealed();
    const { d } = dispute;
    const block = (await dispute.jury()).entropyBlock;
    await expect(dispute.convene())
      .to.be.revertedWithCustomError(d.market, "TooEarly")
      .withArgs(block - PARAMETERS.finalDepth + 1n, block);
    const before = await networkHelpers.takeSnapshot();
    await networkHelpers.mineUpTo(block + 256n);
    await expect(dispute.convene()).to.be.revertedWithCustomError(d.market, "EntropyLost").withArgs(block);
    await before.restore();
    await dispute.seat();
    await expect(dispute.convene()).to.be.revertedWithCustomError(d.market, "AlreadyConvened").withArgs(0n);
  });

  it("refuses where no jury is called", async () => {
    const dispute = await ruled();
    await expect(dispute.convene())
      .to.be.revertedWithCustomError(dispute.d.market, "WrongStage")
      .withArgs(0n, Stage.Ruled, Stage.Casting);
  });
});

describe("Disputes: castBallot", () => {
  it("is the juror's own", async () => {
    const { dispute, d, jurors } = await convened();
    const [first, second] = jurors as [Actor, Actor];
    for (const by of [second, d.honest, d.requester, d.stranger]) {
      await expect(dispute.cast(0, ZeroHash.replace(/0$/, "1"), by))
        .to.be.revertedWithCustomError(d.market, "SeatOfAnother")
        .withArgs(first.address, by.address);
    }
    for (const seat of [7, 255]) {
      await expect(dispute.cast(seat, ZeroHash.replace(/0$/, "1"), first))
        .to.be.revertedWithCustomError(d.market, "SeatOfAnother")
        .withArgs(ZeroAddress, first.address);
    }
  });

  it("refuses a second ballot, and an empty one", async () => {
    const { dispute, d, jurors } = await convened();
    const wrong = (sent: Promise<unknown>) =>
      expect(sent).to.be.revertedWithCustomError(d.market, "WrongBallot").withArgs(0n, 0n);
    await wrong(dispute.cast(0, ZeroHash, jurors[0]!));
    await dispute.vote(0);
    await wrong(dispute.vote(0));
    await wrong(dispute.vote(0, "x"));
  });

  it("is possible until the deadline", async () => {
    const { dispute, d } = await convened();
    await expectUntil(d.market, await dispute.deadline(), () => dispute.vote(0));
  });

  it("puts the slash at stake", async () => {
    const { dispute, d, jurors } = await convened();
    await expect(dispute.vote(3))
      .to.emit(d.market, "BallotCast")
      .withArgs(dispute.life.id, 0n, jurors[3]!.address, 1n, 3n);
    expect(await committed(d, jurors[3]!)).to.equal(LOCK);
    await commitAllBut(d, jurors[4]!, LOCK - 1n);
    await expect(dispute.vote(4))
      .to.be.revertedWithCustomError(d.registry, "InsufficientStake")
      .withArgs(jurors[4]!.address, LOCK - 1n, LOCK);
  });

  it("draws the jury where nobody has", async () => {
    const dispute = await appealed();
    const { d } = dispute;
    await expect(dispute.cast(0, ZeroHash, d.lying)).to.be.revertedWithCustomError(d.market, "TooEarly");
    await dispute.mineJury();
    const before = await networkHelpers.takeSnapshot();
    await dispute.convene();
    const jurors = await dispute.jurors();
    const ballot = await dispute.ballot(jurors[5]!, await dispute.value(""));
    await before.restore();
    await expect(dispute.cast(5, ballot, jurors[5]!)).to.emit(d.market, "JurorSeated");
    expect(await dispute.jurors()).to.deep.equal(jurors);
  });

  it("is over for whoever was replaced", async () => {
    const { dispute, d, jurors } = await convened();
    await dispute.passStep();
    await dispute.rule();
    const replaced = await dispute.seat();
    await expect(dispute.cast(0, await dispute.ballot(jurors[0]!, outputOf(0)), jurors[0]!))
      .to.be.revertedWithCustomError(d.market, "SeatOfAnother")
      .withArgs(replaced[0]!.address, jurors[0]!.address);
    await dispute.vote(0);
  });

  it("is still possible for an absent juror whose seat nobody is left to take", async () => {
    const dispute = await smallPool();
    const { d } = dispute;
    await dispute.appeal(d.honest);
    const jurors = await dispute.seat();
    for (const seat of [0, 1, 2]) await dispute.vote(seat);
    await dispute.passStep();
    await dispute.rule();
    expect(await dispute.seat()).to.deep.equal(jurors);
    await dispute.vote(3);
    await dispute.passStep();
    await dispute.rule();
    for (const seat of [0, 1, 2, 3]) await dispute.showVote(seat);
    await dispute.rule();
    expect(await dispute.ruling(1)).to.equal(await dispute.digest());
  });
});

describe("Disputes: the end of casting", () => {
  it("waits for the deadline while a seat is empty or the jury not drawn, and not a moment longer", async () => {
    const dispute = await appealed();
    const { d } = dispute;
    const deadline = await dispute.deadline();
    await expect(dispute.rule()).to.be.revertedWithCustomError(d.market, "TooEarly");
    await dispute.seat();
    for (const seat of [0, 1, 2, 3, 4, 5]) await dispute.vote(seat);
    const before = await networkHelpers.takeSnapshot();
    await expectAfter(d.market, deadline, () => dispute.rule());
    expect((await dispute.stored()).stage).to.equal(Stage.Casting);
    await before.restore();
    await dispute.vote(6);
    const sent = dispute.rule();
    await sent;
    await expect(sent)
      .to.emit(d.market, "BallotsClosed")
      .withArgs(dispute.life.id, 0n, 1n, (await now()) + dispute.life.terms.windows.challenge);
    expect((await dispute.stored()).stage).to.equal(Stage.Showing);
  });

  it("fines the absent and calls others in their place, once", async () => {
    const { dispute, d, jurors } = await convened();
    for (const seat of [0, 1, 2, 3, 4]) await dispute.vote(seat);
    const money = await moneyOf(d, [dispute.life]);
    await dispute.passStep();
    const sent = dispute.rule();
    const block = BigInt((await (await sent).wait())!.blockNumber) + PARAMETERS.finalDepth;
    const deadline = (await now()) + PARAMETERS.drawDelay + dispute.life.terms.windows.check;
    await expect(sent).to.emit(d.market, "Missed").withArgs(dispute.life.id, 0n, jurors[5]!.address, JUROR_FINE);
    await expect(sent)
      .to.emit(d.market, "JuryCalled")
      .withArgs(dispute.life.id, 0n, 1n, 1n, d.honest.address, 2n, block, deadline);
    await expectMoney(d, money, sum(each(jurors.slice(5), -JUROR_FINE), { burned: 2n * JUROR_FINE }), [dispute.life]);
    expect((await dispute.stored()).stage).to.equal(Stage.Casting);
    const [, , , , , first, second] = await dispute.seat();
    await dispute.vote(5);
    await expectAfter(d.market, await dispute.deadline(), () => dispute.rule());
    expect((await dispute.stored()).stage).to.equal(Stage.Showing);
    await expectMoney(d, money, sum(each([...jurors.slice(5), second!], -JUROR_FINE), { burned: 3n * JUROR_FINE }), [
      dispute.life,
    ]);
    expect(first).to.not.equal(jurors[5]);
  });

  it("fines a jury that nobody drew though everybody could", async () => {
    const dispute = await appealed();
    const { d, life } = dispute;
    const money = await moneyOf(d, [life]);
    await dispute.passStep();
    await dispute.mineJury();
    const drawn = (await seated(d, dispute.rule())).map(({ node }) => node);
    expect(drawn).to.have.length(7);
    const jurors = d.nodes.filter(({ address }) => drawn.includes(address));
    await expectMoney(d, money, sum(each(jurors, -JUROR_FINE), { burned: 7n * JUROR_FINE }), [life]);
    expect((await dispute.jury()).call).to.equal(1n);
  });

  it("takes a jury whose entropy was lost for one without seats", async () => {
    const dispute = await appealed();
    await networkHelpers.mine(300);
    await dispute.passStep();
    await dispute.rule();
    expect((await dispute.stored()).stage).to.equal(Stage.Showing);
    expect((await dispute.jury()).seats).to.equal(0n);
    await dispute.rule();
    expect((await dispute.stored()).stage).to.equal(Stage.Ruled);
    expect(await dispute.ruling(1)).to.equal(ZeroHash);
  });

  it("goes on with the ballots there are when the entropy of the second call is lost", async () => {
    const { dispute } = await convened();
    for (const seat of [0, 1, 2, 3]) await dispute.vote(seat, "x");
    await dispute.passStep();
    await dispute.rule();
    await networkHelpers.mine(300);
    await dispute.passStep();
    await dispute.rule();
    for (const seat of [0, 1, 2, 3]) await dispute.showVote(seat, "x");
    await dispute.rule();
    expect(await dispute.ruling(1)).to.equal(await dispute.digest("x"));
  });
});

describe("Disputes: openBallot", () => {
  it("refuses before casting is over", async () => {
    const { dispute, d } = await convened();
    await dispute.vote(0);
    await expect(dispute.showVote(0))
      .to.be.revertedWithCustomError(d.market, "WrongStage")
      .withArgs(0n, Stage.Casting, Stage.Showing);
  });

  it("is possible until the deadline, for anybody that knows the ballot", async () => {
    const { dispute, d, jurors } = await showing();
    const value = await dispute.value("");
    await dispute.openBallot(1, value, dispute.saltOf(jurors[1]!), d.stranger);
    await expectUntil(d.market, await dispute.deadline(), () => dispute.showVote(0));
  });

  it("tells the value, and the digest that follows from it", async () => {
    const { dispute, d, jurors } = await showing("x");
    await expect(dispute.showVote(0, "x"))
      .to.emit(d.market, "BallotOpened")
      .withArgs(dispute.life.id, 0n, jurors[0]!.address, 1n, 0n, await dispute.value("x"), await dispute.digest("x"));
    const [, seats] = await d.market.juryOf(dispute.life.id, 0, 1);
    expect(seats[0]).to.deep.equal([jurors[0]!.address, true, true]);
  });

  it("refuses another value, another salt, another seat, and a second time", async () => {
    const { dispute, d, jurors } = await showing();
    const [value, other] = [await dispute.value(""), await dispute.value("x")];
    const salts = jurors.map((juror) => dispute.saltOf(juror));
    const wrong = (seat: number, opened: string, salt: string) =>
      expect(dispute.openBallot(seat, opened, salt))
        .to.be.revertedWithCustomError(d.market, "WrongBallot")
        .withArgs(0n, BigInt(seat));
    await wrong(0, other, salts[0]!);
    await wrong(0, value, salts[1]!);
    await wrong(1, value, salts[0]!);
    await wrong(7, value, salts[0]!);
    await dispute.showVote(0);
    await wrong(0, value, salts[0]!);
  });

  it("refuses the ballot of a seat that cast none, and a value that says nothing", async () => {
    const { dispute, d, jurors } = await convened();
    await dispute.cast(0, await dispute.ballot(jurors[0]!, ZeroHash), jurors[0]!);
    for (const seat of [1, 2, 3, 4]) await dispute.vote(seat);
    await dispute.passStep();
    await dispute.rule();
    await dispute.seat();
    await dispute.passStep();
    await dispute.rule();
    const wrong = (seat: number, value: string, salt: string) =>
      expect(dispute.openBallot(seat, value, salt))
        .to.be.revertedWithCustomError(d.market, "WrongBallot")
        .withArgs(0n, BigInt(seat));
    await wrong(0, ZeroHash, dispute.saltOf(jurors[0]!));
    await wrong(5, await dispute.value(""), ZeroHash);
    await wrong(5, ZeroHash, ZeroHash);
  });

  it("refuses what was copied from another juror, jury, assignment or task", async () => {
    const { dispute, d, jurors } = await convened();
    const value = await dispute.value("");
    const [own, ...others] = jurors as [Actor, ...Actor[]];
    const copies = [
      await dispute.ballot(own, value),
      await dispute.ballot(others[1]!, value, { tier: 2n }),
      await dispute.ballot(others[2]!, value, { assignment: 1 }),
      await dispute.ballot(others[3]!, value, { task: 11n }),
    ];
    await dispute.vote(0);
    for (const [i, copy] of copies.entries()) await dispute.cast(i + 1, copy, others[i]!);
    for (const seat of [5, 6]) await dispute.vote(seat);
    await dispute.rule();
    for (const seat of [1, 2, 3, 4]) {
      for (const juror of [own, jurors[seat]!]) {
        await expect(dispute.openBallot(seat, value, dispute.saltOf(juror)))
          .to.be.revertedWithCustomError(d.market, "WrongBallot")
          .withArgs(0n, BigInt(seat));
      }
    }
  });

  it("takes a delivery's ballot for what it says", async () => {
    const dispute = await startPanel(await loadCrowd());
    const { d, life } = dispute;
    await dispute.contest(Matter.Delivery);
    await dispute.answerContest(d.honest, EVIDENCE);
    const jurors = await dispute.seat();
    for (const seat of jurors.keys()) await dispute.vote(seat, seat < 3 ? "" : "x");
    await dispute.rule();
    await expect(dispute.showVote(0))
      .to.emit(d.market, "BallotOpened")
      .withArgs(life.id, 0n, jurors[0]!.address, 1n, 0n, DELIVERED, DELIVERED);
    for (const seat of [1, 2, 3, 4, 5, 6]) await dispute.showVote(seat, seat < 3 ? "" : "x");
    await dispute.rule();
    expect(await dispute.ruling(1)).to.equal(UNDELIVERED);
  });
});

describe("Disputes: exposeBallot", () => {
  it("refuses the juror itself, wrong ballots, and empty seats", async () => {
    const { dispute, d, jurors } = await convened();
    await dispute.vote(0);
    const [value, salt] = [await dispute.value(""), dispute.saltOf(jurors[0]!)];
    await expect(dispute.expose(0, value, salt, jurors[0]!))
      .to.be.revertedWithCustomError(d.market, "NotPermitted")
      .withArgs(jurors[0]!.address, ZeroAddress);
    for (const [seat, told, with_] of [
      [0, await dispute.value("x"), salt],
      [0, value, ZeroHash],
      [1, value, dispute.saltOf(jurors[1]!)],
      [9, value, salt],
    ] as const) {
      await expect(dispute.expose(seat, told, with_, d.stranger))
        .to.be.revertedWithCustomError(d.market, "WrongBallot")
        .withArgs(0n, BigInt(seat));
    }
  });

  it("refuses once ballots are to be opened", async () => {
    const { dispute, d, jurors } = await showing();
    await expect(dispute.expose(0, await dispute.value(""), dispute.saltOf(jurors[0]!), d.stranger))
      .to.be.revertedWithCustomError(d.market, "WrongStage")
      .withArgs(0n, Stage.Showing, Stage.Casting);
  });

  it("pays a tenth of the juror's lock, voids its ballot, and frees the rest", async () => {
    const { dispute, d, jurors } = await convened();
    await dispute.vote(0);
    const money = await moneyOf(d, [dispute.life]);
    const [value, salt] = [await dispute.value(""), dispute.saltOf(jurors[0]!)];
    await expect(dispute.expose(0, value, salt, d.stranger))
      .to.emit(d.market, "BallotExposed")
      .withArgs(dispute.life.id, 0n, jurors[0]!.address, 1n, 0n, d.stranger.address, LOCK / 10n);
    await expectMoney(d, money, { [jurors[0]!.address]: -LOCK / 10n, stranger: LOCK / 10n }, [dispute.life]);
    expect(await committed(d, jurors[0]!)).to.equal(0n);
    await expect(dispute.expose(0, value, salt, d.stranger))
      .to.be.revertedWithCustomError(d.market, "WrongBallot")
      .withArgs(0n, 0n);
  });

  it("lets the juror cast another ballot that nobody knows", async () => {
    const { dispute, d, jurors } = await convened();
    for (const seat of jurors.keys()) await dispute.vote(seat);
    await dispute.expose(2, await dispute.value(""), dispute.saltOf(jurors[2]!), d.stranger);
    await dispute.vote(2, "x");
    expect(await committed(d, jurors[2]!)).to.equal(LOCK);
    await dispute.rule();
    for (const seat of jurors.keys()) await dispute.showVote(seat, seat === 2 ? "x" : "");
    await dispute.rule();
    await dispute.conclude();
    for (const juror of jurors) expect(await committed(d, juror)).to.equal(0n);
  });

  it("leaves the seat empty, so that its juror is fined and another called", async () => {
    const { dispute, d, jurors } = await convened();
    for (const seat of jurors.keys()) await dispute.vote(seat);
    await dispute.expose(2, await dispute.value(""), dispute.saltOf(jurors[2]!), d.stranger);
    const money = await moneyOf(d, [dispute.life]);
    await dispute.passStep();
    await dispute.rule();
    await expectMoney(d, money, { [jurors[2]!.address]: -JUROR_FINE, burned: JUROR_FINE }, [dispute.life]);
    const replaced = await dispute.seat();
    expect(replaced.filter((juror, seat) => juror === jurors[seat])).to.have.length(6);
    await dispute.vote(2);
    await dispute.rule();
    for (let seat = 0; seat < 7; seat += 1) await dispute.showVote(seat);
    await dispute.rule();
    expect(await dispute.ruling(1)).to.equal(await dispute.digest());
  });
});

describe("Disputes: a jury's ruling", () => {
  it("waits for the deadline while a ballot is not open, and not a moment longer", async () => {
    const { dispute, d } = await showing();
    for (const seat of [0, 1, 2, 3, 4, 5]) await dispute.showVote(seat);
    const before = await networkHelpers.takeSnapshot();
    await expectAfter(d.market, await dispute.deadline(), () => dispute.rule());
    await before.restore();
    await dispute.showVote(6);
    await dispute.rule();
  });

  it("waits for the members too where their work is contested", async () => {
    const dispute = await startPanel(await loadCrowd());
    const { d, life } = dispute;
    await dispute.contest(Matter.Work, { task: await life.witness() });
    await dispute.answerContest(d.honest);
    await dispute.seat();
    for (let seat = 0; seat < 7; seat += 1) await dispute.vote(seat);
    await dispute.rule();
    for (let seat = 0; seat < 7; seat += 1) await dispute.showVote(seat);
    const before = await networkHelpers.takeSnapshot();
    await expectAfter(d.market, await dispute.deadline(), () => dispute.rule());
    await before.restore();
    await dispute.openAll();
    await dispute.rule();
  });

  it("is what more than half of the seats say, and final the second time", async () => {
    for (const [votes, told] of [
      [["x", "x", "x", "x", "", "", ""], "x"],
      [["x", "x", "x", "", "", "", "y"], undefined],
    ] as const) {
      const dispute = await appealed();
      const { d, life } = dispute;
      await dispute.decide([...votes]);
      expect(await dispute.ruling(1)).to.equal(told === undefined ? ZeroHash : await dispute.digest(told));
      expect(await dispute.deadline()).to.equal((await now()) + life.terms.windows.challenge);
      await dispute.appeal(d.honest);
      await dispute.decide([...Array.from({ length: 7 }, () => "x"), ""]);
      expect(await dispute.ruling(2)).to.equal(ZeroHash);
      expect(await dispute.deadline()).to.equal(0n);
      await life.conclude();
    }
  });
});
