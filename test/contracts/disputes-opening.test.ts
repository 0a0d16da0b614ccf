import { expect } from "chai";
import { id as keccakOf, ZeroHash } from "ethers";

import {
  BOND,
  commitAllBut,
  Dispute,
  EVIDENCE,
  fixedTerms,
  loadCrowd,
  LOCK,
  PAY,
  RESERVE,
  SEAT,
  startPanel,
  WAGE,
  type Lies,
} from "./dispute-fixture.ts";
import {
  expectAfter,
  expectUntil,
  Matter,
  moneyOf,
  networkHelpers,
  now,
  PARAMETERS,
  pass,
  postBatch,
  REQUESTER_FUNDS,
  Stage,
  Status,
  termsOf,
  trustedTermsOf,
  Verdict,
  type Actor,
  type Deployment,
  type Settlement,
  type Terms,
} from "./market-fixture.ts";
import { NOTHING, Results } from "./results.ts";

async function panel(lies: Lies = {}, terms?: (d: Deployment) => Terms): Promise<Dispute> {
  const d = await loadCrowd();
  return await startPanel(d, lies, { terms: (terms ?? fixedTerms)(d) });
}

async function excepted(lies: Lies = {}, verdict: bigint = Verdict.PrimaryDiffers): Promise<Dispute> {
  const dispute = await panel(lies);
  await dispute.life.judge([await dispute.life.exception(verdict)]);
  return dispute;
}

async function challenged(lies: Lies = {}): Promise<Dispute> {
  const dispute = await excepted(lies);
  await dispute.challenge();
  return dispute;
}

/** What is committed of a node's stake. */
async function committed({ d }: Dispute, address: string): Promise<bigint> {
  return (await d.registry.nodeState(d.marketAddress, address)).committed;
}

describe("Disputes: what every call checks", () => {
  const calls: [string, (dispute: Dispute, settlement: Settlement, terms: Terms, batch: object) => Promise<unknown>][] =
    (
      [
        ["challenge", []],
        ["callPanel", []],
        ["contest", [Matter.Work, 0, 0]],
        ["answerContest", ["0x"]],
        ["open", [0, { task: 0, digest: ZeroHash, salt: ZeroHash }, []]],
        ["rule", []],
        ["appeal", []],
        ["convene", []],
        ["castBallot", [0, ZeroHash]],
        ["openBallot", [0, ZeroHash, ZeroHash]],
        ["exposeBallot", [0, ZeroHash, ZeroHash]],
        ["conclude", []],
      ] as [string, unknown[]][]
    ).map(([name, more]) => [
      name,
      async (dispute, settlement, terms, batch) =>
        await dispute.life.as(dispute.d.requester).getFunction(name)(terms, batch, settlement, ...more),
    ]);

  it("refuses terms, batches, submissions and answers that are not those stored", async () => {
    const dispute = await panel();
    const { d, life, settlement } = dispute;
    const [first, second] = settlement.answers as [Settlement["answers"][0], Settlement["answers"][0]];
    const other = { ...settlement.submission, root: ZeroHash };
    const batch = { ...life.batch, count: 11n };
    for (const [name, call] of calls) {
      const refused = (sent: Promise<unknown>, error: string) =>
        expect(sent, name).to.be.revertedWithCustomError(d.market, error);
      await refused(call(dispute, settlement, { ...life.terms, guess: 1n }, life.batch), "WrongTerms");
      await refused(call(dispute, settlement, life.terms, batch), "UnknownBatch");
      await refused(call(dispute, { ...settlement, assignment: 1 }, life.terms, life.batch), "UnknownAssignment");
      await refused(call(dispute, { ...settlement, submission: other }, life.terms, life.batch), "WrongRecord");
      for (const answers of [
        [],
        [first],
        [second, first],
        [first, first],
        [first, second, second],
        [first, { ...second, root: ZeroHash }],
        [first, { ...second, node: d.stranger.address }],
      ]) {
        await refused(call(dispute, { ...settlement, answers }, life.terms, life.batch), "WrongAnswers");
      }
    }
  });

  it("refuses before the reveal", async () => {
    const d = await loadCrowd();
    const life = await postBatch(d, { terms: fixedTerms(d), real: true });
    await life.compute([d.honest, 10]);
    const dispute = new Dispute(life, 0, [d.honest], await moneyOf(d, [life]));
    for (const [name, call] of calls) {
      await expect(call(dispute, dispute.settlement, life.terms, life.batch), name)
        .to.be.revertedWithCustomError(d.market, "NotRevealed")
        .withArgs(life.id);
    }
  });

  it("knows no dispute where there is none", async () => {
    const dispute = await panel();
    const { d } = dispute;
    const none = (sent: Promise<unknown>, due: bigint) =>
      expect(sent).to.be.revertedWithCustomError(d.market, "WrongStage").withArgs(0n, Stage.None, due);
    await none(dispute.answerContest(d.honest), Stage.Answering);
    await none(dispute.open(0, d.honest, await dispute.shown(0, await dispute.life.witness())), Stage.Opening);
    await none(dispute.rule(), Stage.Showing);
    await none(dispute.appeal(d.honest), Stage.Ruled);
    await none(dispute.convene(), Stage.Casting);
    await none(dispute.cast(0, ZeroHash, d.honest), Stage.Casting);
    await none(dispute.openBallot(0, ZeroHash, ZeroHash), Stage.Showing);
    await none(dispute.expose(0, ZeroHash, ZeroHash, d.stranger), Stage.Casting);
    for (const by of [d.honest, d.requester, d.stranger]) {
      await expect(dispute.challenge(by)).to.be.revertedWithCustomError(d.market, "NotDisputed").withArgs(0n);
      await expect(dispute.life.conclude(0, by)).to.be.revertedWithCustomError(d.market, "NotDisputed").withArgs(0n);
    }
  });

  it("lets nothing else happen to what is contended", async () => {
    const dispute = await panel({}, (d) => fixedTerms(d, { adaptive: true }));
    const { d, life } = dispute;
    await dispute.contest(Matter.Work);
    const exception = await life.exception(Verdict.PrimaryDiffers);
    for (const step of [
      () => life.settle(),
      () => life.answer(0, 0, 0),
      () => life.escalate(),
      () => life.redraw(),
      () => life.judge([exception]),
    ]) {
      await expect(step())
        .to.be.revertedWithCustomError(d.market, "WrongStatus")
        .withArgs(life.id, 0n, Status.Contended, Status.Submitted);
    }
  });
});

describe("Disputes: what backs an exception", () => {
  const locked = async ({ d, life }: Dispute): Promise<bigint> =>
    (await d.vault.lockOf(d.marketAddress, life.id)).amount - life.escrow - life.bond;

  it("is the pay or the fixed bond, whichever is more, both juries and the challenge bond", async () => {
    const d = await loadCrowd();
    const terms = fixedTerms(d);
    const juries = 21n * WAGE;
    for (const [price, count, amount, beyond] of [
      [1_000n, 10n, RESERVE, RESERVE - 500n],
      [1_000n, 5n, 5_000n + juries + BOND, 5_000n + juries + BOND - 250n],
      [1_000n, 1n, 5_000n + juries + BOND, 5_000n + juries + BOND - 50n],
      [1_111n, 7n, 7_777n + juries + BOND, 7_777n + juries + BOND - 388n],
    ] as const) {
      expect(await d.market.reserve(terms, price, count)).to.deep.equal([amount, beyond]);
    }
    const five = fixedTerms(d, { quorum: 5n });
    expect(await d.market.reserve(five, 1_000n, 10n)).to.deep.equal([
      PAY + 33n * WAGE + BOND,
      PAY + 33n * WAGE + BOND - 500n,
    ]);
  });

  it("is locked with the first exception of an assignment, and not with the second", async () => {
    const dispute = await panel({}, (d) => fixedTerms(d, { quorum: 5n, slashAmount: 16_000n }));
    const { life } = dispute;
    const reserve = PAY + 33n * WAGE + BOND - 500n;
    await life.judge([await life.exception(Verdict.PrimaryDiffers)], false);
    expect(await locked(dispute)).to.equal(reserve);
    await life.judge([await life.exception(Verdict.SeatDiffers)], false);
    expect(await locked(dispute)).to.equal(reserve);
  });

  it("is locked for each assignment, at the price that the batch was changed to", async () => {
    const d = await loadCrowd();
    const terms = fixedTerms(d, { slashAmount: 11_000n });
    const life = await postBatch(d, { terms, count: 20, real: true });
    await life.as(d.requester).rebid(life.terms, life.batch, 1_100n);
    await life.untilRevealed([d.honest, 10], [d.lying, 10]);
    for (const assignment of [0, 1]) for (const seat of [0, 1]) await life.answer(assignment, 0, seat);
    const before = (await d.vault.lockOf(d.marketAddress, life.id)).amount;
    await life.judge(
      [
        await life.exception(Verdict.PrimaryDiffers, { assignment: 0 }),
        await life.exception(Verdict.PrimaryDiffers, { assignment: 1 }),
      ],
      true,
      d.delegate,
    );
    const each = 11_000n + 21n * WAGE + BOND - 550n;
    expect((await d.vault.lockOf(d.marketAddress, life.id)).amount - before).to.equal(2n * each);
  });

  it("has to be there, or nothing is excepted", async () => {
    const dispute = await panel();
    const { d, life } = dispute;
    const has = await d.vault.available(d.marketAddress, d.requester);
    await d.vault.connect(d.requester).withdraw(d.marketAddress, has - RESERVE + 501n, d.requester);
    const exception = await life.exception(Verdict.PrimaryDiffers);
    await expect(life.judge([exception]))
      .to.be.revertedWithCustomError(d.vault, "InsufficientAvailable")
      .withArgs(d.requester.address, RESERVE - 501n, RESERVE - 500n);
    await d.vault.connect(d.admin).deposit(d.marketAddress, d.requester, 1n);
    await life.judge([exception]);
    expect(await d.vault.available(d.marketAddress, d.requester)).to.equal(0n);
  });

  it("is for one task of an assignment", async () => {
    const dispute = await panel({}, (d) => fixedTerms(d, { quorum: 5n, slashAmount: 16_000n }));
    const { d, life } = dispute;
    const [first, second] = (await life.sampled()) as [number, number];
    await life.judge([await life.exception(Verdict.PrimaryDiffers, { witness: second })], false);
    await expect(life.judge([await life.exception(Verdict.SeatDiffers, { witness: first })]))
      .to.be.revertedWithCustomError(d.market, "WitnessDiffers")
      .withArgs(0n, BigInt(second));
    await life.judge([await life.exception(Verdict.SeatDiffers, { witness: second })]);
    await dispute.challenge();
    expect((await dispute.stored()).task).to.equal(BigInt(second));
  });

  it("cannot be joined by another exception once a member has challenged", async () => {
    const dispute = await panel({}, (d) => fixedTerms(d, { quorum: 5n, slashAmount: 16_000n }));
    const { d, life } = dispute;
    await life.judge([await life.exception(Verdict.PrimaryDiffers)], false);
    await dispute.challenge();
    await expect(life.judge([await life.exception(Verdict.SeatDiffers)]))
      .to.be.revertedWithCustomError(d.market, "AlreadyDisputed")
      .withArgs(0n);
  });
});

describe("Disputes: challenge", () => {
  it("refuses everybody but the panel", async () => {
    const dispute = await excepted();
    const { d, members } = dispute;
    const outsider = d.nodes.find((node) => !members.includes(node))!;
    for (const caller of [d.requester, d.delegate, d.stranger, outsider]) {
      await expect(dispute.challenge(caller))
        .to.be.revertedWithCustomError(d.market, "NotPermitted")
        .withArgs(caller.address, d.honest.address);
    }
  });

  it("is possible until the challenge window of the latest exception ends", async () => {
    const dispute = await excepted();
    const { d, life } = dispute;
    await expectUntil(d.market, await life.challengeDeadline(), () => dispute.challenge());
  });

  it("is possible once", async () => {
    const dispute = await challenged();
    for (const member of dispute.members) {
      await expect(dispute.challenge(member))
        .to.be.revertedWithCustomError(dispute.d.market, "AlreadyDisputed")
        .withArgs(0n);
    }
  });

  it("costs the accused no bond, and begins the opening", async () => {
    const dispute = await excepted();
    const { d, life } = dispute;
    const witness = BigInt(await life.witness());
    const sent = dispute.challenge();
    await sent;
    const deadline = (await now()) + life.terms.windows.challenge;
    await expect(sent)
      .to.emit(d.market, "Disputed")
      .withArgs(life.id, 0n, Matter.Exception, d.honest.address, witness, 0n, deadline);
    expect(await committed(dispute, d.honest.address)).to.equal(LOCK);
    expect(await dispute.stored()).to.deep.equal([
      Matter.Exception,
      Stage.Opening,
      0n,
      0n,
      witness,
      deadline,
      0n,
      false,
    ]);
  });

  it("commits the bond of anybody else on the panel", async () => {
    const dispute = await excepted();
    const [, verifier] = dispute.members;
    await dispute.challenge(verifier);
    expect(await committed(dispute, verifier!.address)).to.equal(LOCK + BOND);
    expect((await dispute.jury(0)).slice(0, 2)).to.deep.equal([verifier!.address, BOND]);
  });

  it("commits the bond of everybody where the requester denies a majority", async () => {
    const dispute = await excepted({}, Verdict.NoMajority);
    await dispute.challenge();
    expect(await committed(dispute, dispute.d.honest.address)).to.equal(LOCK + BOND);
  });

  it("is possible for an accused that has nothing but its lock, and not for others that lack the bond", async () => {
    const dispute = await excepted();
    const { d, members } = dispute;
    const [primary, verifier] = members as [Actor, Actor];
    await commitAllBut(d, verifier, BOND - 1n);
    await expect(dispute.challenge(verifier))
      .to.be.revertedWithCustomError(d.registry, "InsufficientStake")
      .withArgs(verifier.address, BOND - 1n, BOND);
    await commitAllBut(d, primary, 0n);
    await dispute.challenge(primary);
  });
});

describe("Disputes: open", () => {
  it("refuses what is no opening of the dispute's task under the member's root", async () => {
    const dispute = await challenged({ 2: "x" });
    const { d, life } = dispute;
    const witness = await life.witness();
    const [, other] = (await life.sampled()) as [number, number];
    const right = await dispute.shown(0);
    const wrong = (member: number, changes: Partial<typeof right>) =>
      expect(dispute.open(member, d.stranger, { ...right, ...changes }))
        .to.be.revertedWithCustomError(d.market, "WrongOpening")
        .withArgs(0n, BigInt(member), BigInt(witness));
    await wrong(0, await dispute.shown(0, other));
    await wrong(0, { opening: { ...right.opening, task: other } });
    await wrong(0, { opening: { ...right.opening, digest: await dispute.digest("x") } });
    await wrong(0, { opening: { ...right.opening, salt: ZeroHash } });
    await wrong(0, { proof: [] });
    await wrong(0, { proof: right.proof.slice(1) });
    await wrong(0, { proof: [...right.proof, ZeroHash] });
    await wrong(0, await dispute.shown(1));
    await wrong(1, {});
    await wrong(2, await dispute.shown(1));
    await dispute.open(0, d.stranger, right);
  });

  it("refuses an opening of nothing", async () => {
    const dispute = await challenged({ 0: NOTHING });
    const { d, life } = dispute;
    await expect(dispute.open(0))
      .to.be.revertedWithCustomError(d.market, "WrongOpening")
      .withArgs(0n, 0n, BigInt(await life.witness()));
  });

  it("refuses an opening of another batch in which all said the same", async () => {
    const dispute = await challenged();
    const { d } = dispute;
    const other = new Results(d.chainId, d.marketAddress, keccakOf("another batch"));
    other.commit(
      0,
      d.honest.address,
      Array.from({ length: 10 }, (_, task) => task),
    );
    const shown = other.show(0, d.honest.address, await dispute.life.witness());
    await expect(dispute.open(0, d.honest, shown)).to.be.revertedWithCustomError(d.market, "WrongOpening");
  });

  it("refuses a member that there is not, and one that has opened, by whomever", async () => {
    const dispute = await challenged();
    const { d } = dispute;
    const right = await dispute.shown(0);
    for (const member of [3, 4, 255]) {
      await expect(dispute.open(member, d.honest, right))
        .to.be.revertedWithCustomError(d.market, "NoSuchMember")
        .withArgs(0n, BigInt(member));
    }
    await dispute.open(0, d.requester);
    await expect(dispute.open(0)).to.be.revertedWithCustomError(d.market, "AlreadyOpened").withArgs(0n, 0n);
  });

  it("is possible until the opening's deadline", async () => {
    const dispute = await challenged();
    await expectUntil(dispute.d.market, await dispute.deadline(), () => dispute.open(0));
  });

  it("tells and keeps what each member said", async () => {
    const dispute = await challenged({ 1: "x" });
    const { d, life } = dispute;
    for (const [member, told] of ["", "x", ""].entries()) {
      const digest = await dispute.digest(told);
      await expect(dispute.open(member)).to.emit(d.market, "Opened").withArgs(life.id, 0n, BigInt(member), digest);
      expect(await d.market.openedBy(life.id, 0, member)).to.equal(digest);
    }
    expect((await dispute.stored()).opened).to.equal(0b111n);
  });

  it("refuses before a contest's jury has cast its ballots, and any opening of a delivery", async () => {
    const dispute = await panel();
    const { d, life } = dispute;
    const before = await networkHelpers.takeSnapshot();
    const refused = async (actual: bigint, due: bigint) =>
      await expect(dispute.open(0, d.honest, await dispute.shown(0, await life.witness())))
        .to.be.revertedWithCustomError(d.market, "WrongStage")
        .withArgs(0n, actual, due);
    await dispute.contest(Matter.Work, { task: await life.witness() });
    await refused(Stage.Answering, Stage.Showing);
    await dispute.answerContest(d.honest);
    await refused(Stage.Casting, Stage.Showing);
    await dispute.seat();
    for (let seat = 0; seat < 7; seat += 1) await dispute.vote(seat);
    await dispute.rule();
    await dispute.open(0);
    await before.restore();

    await dispute.contest(Matter.Delivery);
    await refused(Stage.Answering, Stage.Opening);
    await dispute.answerContest(d.honest, EVIDENCE);
    await refused(Stage.Casting, Stage.Opening);
    await dispute.seat();
    for (let seat = 0; seat < 7; seat += 1) await dispute.vote(seat);
    await dispute.rule();
    await refused(Stage.Showing, Stage.Opening);
  });
});

describe("Disputes: the panel's ruling", () => {
  it("waits for the deadline while anybody has not opened, and not a moment longer", async () => {
    const dispute = await challenged();
    const { d } = dispute;
    const before = await networkHelpers.takeSnapshot();
    await dispute.openAll(0, 1);
    await expectAfter(d.market, await dispute.deadline(), () => dispute.rule());
    await before.restore();
    await dispute.openAll();
    await dispute.rule();
    expect((await dispute.stored()).stage).to.equal(Stage.Ruled);
  });

  it("is what a majority of the quorum opened, be the majority of those that opened what it may", async () => {
    for (const [open, told] of [
      [[0, 1, 2], "x"],
      [[1, 2], "x"],
      [[0, 1], undefined],
      [[1], undefined],
      [[], undefined],
    ] as [number[], string | undefined][]) {
      const dispute = await challenged({ 1: "x", 2: "x" });
      const { d, life } = dispute;
      if (open.length !== 0) await dispute.openAll(...open);
      await dispute.passStep();
      const digest = told === undefined ? ZeroHash : await dispute.digest(told);
      const sent = dispute.rule();
      await sent;
      const deadline = (await now()) + life.terms.windows.challenge;
      await expect(sent).to.emit(d.market, "Ruled").withArgs(life.id, 0n, 0n, digest, deadline);
      expect(await dispute.ruling(0)).to.equal(digest);
      expect(await dispute.deadline()).to.equal(deadline);
    }
  });

  it("is made once", async () => {
    const dispute = await challenged();
    await dispute.openAll();
    await dispute.rule();
    await expect(dispute.rule())
      .to.be.revertedWithCustomError(dispute.d.market, "WrongStage")
      .withArgs(0n, Stage.Ruled, Stage.Showing);
    await expect(dispute.open(0))
      .to.be.revertedWithCustomError(dispute.d.market, "WrongStage")
      .withArgs(0n, Stage.Ruled, Stage.Opening);
  });
});

describe("Disputes: callPanel", () => {
  it("comes after the judging and before payment is forced", async () => {
    const dispute = await panel();
    const { d, life } = dispute;
    const before = await networkHelpers.takeSnapshot();
    await expectAfter(d.market, await life.judgeDeadline(), () => dispute.callPanel());
    await before.restore();
    await expectUntil(d.market, await life.silenceDeadline(), () => dispute.callPanel());
  });

  it("is about the first task that was sampled, whoever calls", async () => {
    const dispute = await panel();
    const { d, life } = dispute;
    await pass(await life.judgeDeadline());
    const [first] = await life.sampled();
    const sent = dispute.callPanel(d.lying);
    await sent;
    const deadline = (await now()) + life.terms.windows.challenge;
    await expect(sent)
      .to.emit(d.market, "Disputed")
      .withArgs(life.id, 0n, Matter.Silence, d.lying.address, BigInt(first!), 0n, deadline);
    expect((await dispute.stored()).pot).to.equal(true);
    expect((await life.state()).bondBurned).to.equal(true);
    for (const name of ["challenge", "callPanel"] as const) {
      await expect(dispute[name](d.honest)).to.be.revertedWithCustomError(d.market, "AlreadyDisputed").withArgs(0n);
    }
    await expect(dispute.contest(Matter.Work)).to.be.revertedWithCustomError(d.market, "AlreadyDisputed").withArgs(0n);
  });

  it("refuses where the requester excepted, or said that it had judged", async () => {
    const dispute = await panel();
    const { d, life } = dispute;
    await pass((await life.judgeDeadline()) - 10n);
    const before = await networkHelpers.takeSnapshot();
    await life.judge([await life.exception(Verdict.PrimaryDiffers)], false);
    await pass(await life.judgeDeadline());
    await expect(dispute.callPanel()).to.be.revertedWithCustomError(d.market, "AlreadyExcepted").withArgs(0n);
    await before.restore();
    await life.judge([]);
    await pass(await life.judgeDeadline());
    await expect(dispute.callPanel()).to.be.revertedWithCustomError(d.market, "AlreadyJudged").withArgs(life.id);
  });

  it("refuses where nothing is sampled", async () => {
    const d = await loadCrowd();
    const life = await postBatch(d, { terms: termsOf(d, { rate: 100_000n, slashAmount: 20_000n }), real: true });
    await life.untilRevealed([d.honest, 5], [d.lying, 5]);
    const unsampled = (await life.sampled(0)).length === 1 ? 1 : 0;
    const dispute = new Dispute(life, unsampled, [life.slice(unsampled).node], await moneyOf(d, [life]));
    await pass(await life.judgeDeadline(unsampled));
    await expect(dispute.callPanel())
      .to.be.revertedWithCustomError(d.market, "NotSampled")
      .withArgs(life.id, BigInt(unsampled));
  });

  it("refuses a panel of which too few answered for any payment to be forced", async () => {
    const d = await loadCrowd();
    const life = await postBatch(d, { terms: fixedTerms(d, { quorum: 5n, slashAmount: 16_000n }), real: true });
    await life.untilRevealed([d.honest, 10]);
    await life.answer(0, 0, 0);
    const dispute = new Dispute(life, 0, [d.honest, (await life.drawn())[0]!], await moneyOf(d, [life]));
    await pass(await life.judgeDeadline());
    await expect(dispute.callPanel()).to.be.revertedWithCustomError(d.market, "PanelOpen").withArgs(0n, 1n, 2n);
    await life.answer(0, 0, 1);
    await dispute.callPanel();
  });
});

describe("Disputes: contest", () => {
  it("is the requester's own", async () => {
    const dispute = await panel();
    const { d } = dispute;
    for (const by of [d.delegate, d.honest, d.stranger]) {
      await expect(dispute.contest(Matter.Work, { by }))
        .to.be.revertedWithCustomError(d.market, "NotPermitted")
        .withArgs(by.address, d.requester.address);
    }
  });

  it("refuses matters that nobody contests, and where nobody is ever checked", async () => {
    const dispute = await panel();
    const { d } = dispute;
    for (const matter of [Matter.None, Matter.Exception, Matter.Silence]) {
      await expect(dispute.contest(matter)).to.be.revertedWithCustomError(d.market, "InvalidMatter").withArgs(matter);
    }
    const life = await postBatch(d, { terms: trustedTermsOf(d, [d.honest]), real: true });
    await life.untilRevealed([d.honest, 10]);
    const trusted = new Dispute(life, 0, [d.honest], dispute.before);
    for (const matter of [Matter.Work, Matter.Delivery]) {
      await expect(trusted.contest(matter)).to.be.revertedWithCustomError(d.market, "InvalidMatter").withArgs(matter);
    }
  });

  it("refuses what is excepted, contested or judged", async () => {
    const dispute = await panel();
    const { d, life } = dispute;
    const before = await networkHelpers.takeSnapshot();
    await life.judge([await life.exception(Verdict.PrimaryDiffers)], false);
    await expect(dispute.contest(Matter.Work)).to.be.revertedWithCustomError(d.market, "AlreadyExcepted").withArgs(0n);
    await before.restore();
    const again = await networkHelpers.takeSnapshot();
    await dispute.contest(Matter.Work);
    await expect(dispute.contest(Matter.Delivery))
      .to.be.revertedWithCustomError(d.market, "AlreadyDisputed")
      .withArgs(0n);
    await again.restore();
    await life.judge([]);
    await expect(dispute.contest(Matter.Work))
      .to.be.revertedWithCustomError(d.market, "AlreadyJudged")
      .withArgs(life.id);
  });

  it("is possible until the judging window ends, be anything sampled or not", async () => {
    const dispute = await panel();
    const { d, life } = dispute;
    await expectUntil(d.market, await life.judgeDeadline(), () => dispute.contest(Matter.Work));
    const half = await postBatch(d, { terms: termsOf(d, { rate: 100_000n, slashAmount: 20_000n }), real: true });
    await half.untilRevealed([d.honest, 5], [d.lying, 5]);
    const unsampled = (await half.sampled(0)).length === 1 ? 1 : 0;
    const other = new Dispute(half, unsampled, [half.slice(unsampled).node], dispute.before);
    const deadline = (await half.state()).revealedAt + half.terms.windows.check + half.terms.windows.judge;
    await expectUntil(d.market, deadline, () => other.contest(Matter.Work, { task: 5 * unsampled }));
  });

  it("waits for the panel", async () => {
    const d = await loadCrowd();
    const life = await postBatch(d, { terms: fixedTerms(d), real: true });
    await life.untilRevealed([d.honest, 10]);
    await life.answer(0, 0, 0);
    const dispute = new Dispute(life, 0, [d.honest, (await life.drawn())[0]!], await moneyOf(d, [life]));
    await expectAfter(d.market, await life.checkDeadline(), () => dispute.contest(Matter.Work), "PanelOpen", [
      0n,
      1n,
      2n,
    ]);
  });

  it("takes any task of the slice and none beside, and nobody's work but the primary's", async () => {
    const d = await loadCrowd();
    const life = await postBatch(d, { terms: fixedTerms(d), count: 20, real: true });
    await life.untilRevealed([d.honest, 10], [d.lying, 10]);
    const drawn = await life.drawn(1);
    for (const seat of [0, 1]) await life.answer(1, 0, seat);
    const dispute = new Dispute(life, 1, [d.lying, ...drawn], await moneyOf(d, [life]));
    for (const task of [0, 9, 20, 21, 2 ** 24 - 1]) {
      await expect(dispute.contest(Matter.Work, { task }))
        .to.be.revertedWithCustomError(d.market, "NotASampledTask")
        .withArgs(life.id, 1n, BigInt(task));
    }
    for (const member of [1, 2, 3]) {
      await expect(dispute.contest(Matter.Work, { task: 10, member }))
        .to.be.revertedWithCustomError(d.market, "NoSuchMember")
        .withArgs(1n, BigInt(member));
    }
    for (const task of [10, 19]) {
      const before = await networkHelpers.takeSnapshot();
      await dispute.contest(Matter.Work, { task });
      expect((await dispute.stored()).task).to.equal(BigInt(task));
      await before.restore();
    }
  });

  it("takes the delivery of any member and of nobody else", async () => {
    const dispute = await panel();
    const { d, life } = dispute;
    for (const member of [3, 255]) {
      await expect(dispute.contest(Matter.Delivery, { member }))
        .to.be.revertedWithCustomError(d.market, "NoSuchMember")
        .withArgs(0n, BigInt(member));
    }
    const sent = dispute.contest(Matter.Delivery, { member: 2, task: 7 });
    await sent;
    await expect(sent)
      .to.emit(d.market, "Disputed")
      .withArgs(
        life.id,
        0n,
        Matter.Delivery,
        d.requester.address,
        0n,
        2n,
        (await now()) + life.terms.windows.challenge,
      );
  });

  it("locks the jury, the allowance and a tenth of the accused's pay", async () => {
    const dispute = await panel();
    const { d, life } = dispute;
    for (const [matter, member, fine] of [
      [Matter.Work, 0, PAY / 10n],
      [Matter.Delivery, 0, PAY / 10n],
      [Matter.Delivery, 1, SEAT / 10n],
    ] as const) {
      const before = await networkHelpers.takeSnapshot();
      await dispute.contest(matter, { member });
      const bond = 7n * WAGE + BOND + fine;
      expect(await d.vault.available(d.marketAddress, d.requester)).to.equal(
        REQUESTER_FUNDS - life.escrow - life.bond - bond,
      );
      await dispute.answerContest(dispute.member(member));
      expect((await dispute.jury()).slice(0, 2)).to.deep.equal([d.requester.address, bond]);
      await before.restore();
    }
  });

  it("has to be paid for in advance", async () => {
    const dispute = await panel();
    const { d } = dispute;
    const bond = 7n * WAGE + BOND + PAY / 10n;
    const has = await d.vault.available(d.marketAddress, d.requester);
    await d.vault.connect(d.requester).withdraw(d.marketAddress, has - bond + 1n, d.requester);
    await expect(dispute.contest(Matter.Work))
      .to.be.revertedWithCustomError(d.vault, "InsufficientAvailable")
      .withArgs(d.requester.address, bond - 1n, bond);
  });
});

describe("Disputes: answerContest", () => {
  it("is the accused's own, and possible until its deadline", async () => {
    const dispute = await panel();
    const { d, members } = dispute;
    await dispute.contest(Matter.Delivery, { member: 1 });
    for (const by of [d.requester, d.stranger, members[0]!, members[2]!]) {
      await expect(dispute.answerContest(by))
        .to.be.revertedWithCustomError(d.market, "NotPermitted")
        .withArgs(by.address, members[1]!.address);
    }
    await expectUntil(d.market, await dispute.deadline(), () => dispute.answerContest(members[1]!, EVIDENCE));
    await expect(dispute.answerContest(members[1]!, EVIDENCE))
      .to.be.revertedWithCustomError(d.market, "WrongStage")
      .withArgs(0n, Stage.Casting, Stage.Answering);
  });

  it("publishes the evidence and calls the jury", async () => {
    const dispute = await panel();
    const { d, life } = dispute;
    await dispute.contest(Matter.Delivery);
    const sent = dispute.answerContest(d.honest, EVIDENCE);
    const receipt = (await (await sent).wait())!;
    await expect(sent).to.emit(d.market, "ContestAnswered").withArgs(life.id, 0n, d.honest.address, EVIDENCE);
    await expect(sent)
      .to.emit(d.market, "JuryCalled")
      .withArgs(
        life.id,
        0n,
        1n,
        0n,
        d.requester.address,
        7n,
        BigInt(receipt.blockNumber) + PARAMETERS.finalDepth,
        (await now()) + PARAMETERS.drawDelay + life.terms.windows.check,
      );
  });
});
