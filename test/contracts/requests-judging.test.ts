import { expect } from "chai";
import { ZeroAddress } from "ethers";

import { at, ethers, networkHelpers, now, type Actor } from "./market-fixture.ts";
import {
  ADMIN,
  DEPOSIT,
  EVALUATOR,
  EVALUATOR_REWARD,
  expectAfter,
  expectEnd,
  expectPhase,
  expectUntil,
  FEE,
  join,
  loadTree,
  moneyOf,
  NO_RULING,
  Outcome,
  Phase,
  postRequest,
  POT,
  rankingOf,
  REPORT,
  RewardFunction,
  Stage,
  STEP,
  Verdict,
  VOID,
  WITHHELD,
  WORKER,
  WorkerStatus,
  type Inquiry,
  type Money,
  type Request,
  type Ruling,
} from "./request-fixture.ts";

/** A request of three workers that all revealed. */
async function computed(changes: Partial<Request> = {}) {
  const t = await loadTree();
  const before = await moneyOf(t);
  const inquiry = await postRequest(t, changes);
  const [first, second, third] = t.workers as [Actor, Actor, Actor];
  await inquiry.compute([first, second, third]);
  return { t, before, inquiry, first, second, third, right: rankingOf(first, second, third) };
}

const hashOf = ({ verdict, order, scores }: Ruling): string =>
  ethers.keccak256(
    ethers.AbiCoder.defaultAbiCoder().encode(
      ["(uint8 verdict,address[] order,uint128[] scores)"],
      [{ verdict, order, scores }],
    ),
  );

/** Of a pot of 1,001 by rank among three: a half, a third, a sixth; what rounding leaves is the first's. */
const BY_RANK: Money = { "worker 0": 502n, "worker 1": 333n, "worker 2": 166n };

describe("Requests: judging", () => {
  describe("rank", () => {
    it("is the evaluator's, for a step after the revealing", async () => {
      const { t, inquiry, right } = await computed();
      const revealedAt = await inquiry.deadline();
      await expect(inquiry.rank(right, t.rival))
        .to.be.revertedWithCustomError(t.requests, "NotPermitted")
        .withArgs(t.rival.address, t.evaluator.address);
      await expectUntil(inquiry, revealedAt + STEP, () => inquiry.rank(right), Phase.Ranking, Phase.Overdue);
      const { stage, tier, ruled, deadline } = await inquiry.state();
      expect([stage, tier, ruled, deadline]).to.deep.equal([Stage.Ruled, 0n, 1n, (await now()) + STEP]);
      expect(await t.requests.rulingOf(inquiry.id, 0)).to.equal(hashOf(right));
      await expectPhase(inquiry, () => inquiry.rank(right), Phase.Ranking, Phase.Contestable);
    });

    it("waits for those that committed and have not revealed, up to the last second", async () => {
      const t = await loadTree();
      const inquiry = await postRequest(t);
      const [first, second] = t.workers as [Actor, Actor];
      await inquiry.begin([first, second]);
      for (const worker of [first, second]) await inquiry.submit(worker);
      await inquiry.reveal(first);
      const rank = () => inquiry.rank(rankingOf(first));
      await expectAfter(inquiry, await inquiry.deadline(), rank, Phase.Ranking, Phase.Revealing);
    });

    it("tells the whole ruling and why", async () => {
      const { t, inquiry, right } = await computed();
      const second = (await now()) + 3n;
      await at(second);
      await expect(inquiry.rank(right))
        .to.emit(t.requests, "Ruled")
        .withArgs(inquiry.id, t.evaluator.address, 0n, Object.values(right), REPORT, second + STEP);
    });

    it("refuses rankings that make no sense", async () => {
      const { t, inquiry, first, second, third } = await computed();
      await networkHelpers.mine();
      const cases: [string, unknown[], Ruling][] = [
        ["LengthMismatch", [2n, 1n], { ...rankingOf(first, second), scores: [1n] }],
        ["LengthMismatch", [1n, 2n], { ...rankingOf(first), scores: [2n, 1n] }],
        ["Duplicate", [first.address], rankingOf(first, second, first)],
        ["NotDescending", [1n], { ...rankingOf(first, second), scores: [1n, 2n] }],
        [
          "WrongWorkerStatus",
          [t.workers[3]!.address, WorkerStatus.None, WorkerStatus.Revealed],
          rankingOf(first, t.workers[3]!),
        ],
        ["InvalidVerdict", [Verdict.None], NO_RULING],
        ["InvalidVerdict", [Verdict.None], { ...rankingOf(first), verdict: Verdict.None }],
        ["InvalidVerdict", [Verdict.Withheld], { ...rankingOf(first), verdict: Verdict.Withheld }],
        ["InvalidVerdict", [Verdict.Void], VOID],
      ];
      for (const [error, args, ruling] of cases) {
        await expect(inquiry.as(t.evaluator).rank.staticCall(inquiry.id, ruling, REPORT), error)
          .to.be.revertedWithCustomError(t.requests, error)
          .withArgs(...args);
      }
      await inquiry.rank({ ...rankingOf(first, second, third), scores: [7n, 7n, 0n] });
    });
  });

  describe("acceptResult", () => {
    it("cuts nobody's window short but its own", async () => {
      const { t, inquiry, right, second } = await computed();
      await inquiry.rank(right);
      const accept = (by: Actor) => inquiry.as(by).acceptResult(inquiry.request);
      await expect(accept(t.delegate)).to.emit(t.requests, "ResultAccepted").withArgs(inquiry.id, t.delegate.address);
      await expect(accept(t.requester))
        .to.be.revertedWithCustomError(t.requests, "AlreadyAccepted")
        .withArgs(t.requester.address);
      await expect(inquiry.challenge(t.requester))
        .to.be.revertedWithCustomError(t.requests, "AlreadyAccepted")
        .withArgs(t.requester.address);
      await accept(second);
      await expect(accept(second)).to.be.revertedWithCustomError(t.requests, "AlreadyAccepted");
      await expect(inquiry.challenge(second)).to.be.revertedWithCustomError(t.requests, "AlreadyAccepted");
      await expect(accept(t.workers[3]!))
        .to.be.revertedWithCustomError(t.requests, "WrongWorkerStatus")
        .withArgs(t.workers[3]!.address, WorkerStatus.None, WorkerStatus.Revealed);
      expect(await inquiry.phase()).to.equal(Phase.Contestable);
      await expectPhase(inquiry, () => inquiry.settle(right), Phase.Settleable, Phase.Contestable);
      await inquiry.challenge(t.workers[0]!);
    });

    it("makes the ranking final once requester and all workers are content", async () => {
      const { t, before, inquiry, right, first, second, third } = await computed();
      await inquiry.rank(right);
      for (const by of [t.requester, first, second]) await inquiry.as(by).acceptResult(inquiry.request);
      expect(await inquiry.phase()).to.equal(Phase.Contestable);
      await expect(inquiry.as(third).acceptResult(inquiry.request))
        .to.emit(t.requests, "Finalized")
        .withArgs(inquiry.id, 1n);
      await expectEnd(inquiry, before, inquiry.settle(right), Outcome.Ranked, {
        requester: -EVALUATOR_REWARD - POT,
        evaluator: EVALUATOR_REWARD,
        ...BY_RANK,
      });
    });

    it("is not final without the requester", async () => {
      const { inquiry, right, first, second, third } = await computed();
      await inquiry.rank(right);
      for (const by of [first, second, third]) await inquiry.as(by).acceptResult(inquiry.request);
      expect(await inquiry.phase()).to.equal(Phase.Contestable);
    });

    it("is for the evaluator's ranking, within its window", async () => {
      const { t, inquiry, right, first } = await computed();
      await inquiry.rank(right);
      const before = await networkHelpers.takeSnapshot();
      const accept = () => inquiry.as(first).acceptResult(inquiry.request);
      await expectUntil(inquiry, await inquiry.deadline(), accept, Phase.Contestable, Phase.Settleable);
      await before.restore();
      await inquiry.challenge(t.requester);
      await inquiry.reevaluate(t.admin, rankingOf(first));
      await expect(accept())
        .to.be.revertedWithCustomError(t.requests, "TermOutOfRange")
        .withArgs(ethers.encodeBytes32String("tier"), 1n, 0n, 0n);
    });

    it("does not bind to what judges say later", async () => {
      const { t, inquiry, right, first, second } = await computed();
      await inquiry.rank(right);
      for (const by of [t.requester, first]) await inquiry.as(by).acceptResult(inquiry.request);
      await inquiry.challenge(second);
      await inquiry.reevaluate(t.admin, rankingOf(second, first));
      const ruled = await networkHelpers.takeSnapshot();
      await inquiry.challenge(first);
      await ruled.restore();
      await inquiry.challenge(t.requester);
      // Who accepted can be ranked again.
      await inquiry.reevaluate(t.root, right);
    });
  });

  describe("challenge", () => {
    it("is for requester, delegate, evaluator and workers that revealed", async () => {
      const { t, inquiry, right, first } = await computed();
      await inquiry.rank(right);
      for (const by of [t.requester, t.delegate, t.evaluator, first]) {
        const before = await networkHelpers.takeSnapshot();
        await expect(inquiry.challenge(by)).to.emit(t.requests, "Challenged");
        const lock = await t.vault.lockOf(t.ledger, await t.requests.challengeLock(inquiry.id, 0));
        expect([...lock]).to.deep.equal([by.address, FEE]);
        expect(await t.requests.challengerOf(inquiry.id, 0)).to.equal(by.address);
        await before.restore();
      }
      for (const by of [t.stranger, t.admin, t.root, t.rival, t.workers[3]!]) {
        await expect(inquiry.challenge(by))
          .to.be.revertedWithCustomError(t.requests, "NotPermitted")
          .withArgs(by.address, ZeroAddress);
      }
    });

    it("is possible up to the last second of the window, once for a ruling", async () => {
      const { t, inquiry, right, first } = await computed();
      await inquiry.rank(right);
      const deadline = await inquiry.deadline();
      await expectUntil(inquiry, deadline, () => inquiry.challenge(first), Phase.Contestable, Phase.Settleable);
      const { stage, tier, deadline: next } = await inquiry.state();
      expect([stage, tier, next]).to.deep.equal([Stage.Called, 1n, (await now()) + STEP]);
      await expectPhase(inquiry, () => inquiry.challenge(t.requester), Phase.Contestable, Phase.Judging);
    });

    it("is for judges once they have ruled, with the path that shows them", async () => {
      const { t, inquiry, right, first, second } = await computed();
      await inquiry.rank(right);
      await inquiry.challenge(second);
      await inquiry.reevaluate(t.admin, rankingOf(second, first));
      await expect(inquiry.challenge(t.root)).to.be.revertedWithCustomError(t.requests, "NotPermitted");
      await expect(inquiry.as(t.admin).challenge(inquiry.request, [t.admin.address]))
        .to.be.revertedWithCustomError(t.requests, "WrongPath")
        .withArgs(
          ethers.keccak256(ethers.AbiCoder.defaultAbiCoder().encode(["address[]"], [[t.admin.address]])),
          (await inquiry.state()).path,
        );
      await inquiry.challenge(t.admin);
    });

    it("cannot be paid with what is not there", async () => {
      const { t, inquiry, right, first } = await computed();
      await inquiry.rank(right);
      await t.vault.connect(first).withdraw(t.ledger, await t.vault.available(t.ledger, first), first);
      await expect(inquiry.challenge(first)).to.be.revertedWithCustomError(t.vault, "InsufficientAvailable");
    });
  });

  describe("reevaluate", () => {
    it("is the tier's judge's, up to the last second", async () => {
      const { t, inquiry, right, first } = await computed();
      await inquiry.rank(right);
      await expectPhase(inquiry, () => inquiry.reevaluate(t.admin, right), Phase.Judging, Phase.Contestable);
      await inquiry.challenge(first);
      await expect(inquiry.reevaluate(t.root, right))
        .to.be.revertedWithCustomError(t.requests, "NotPermitted")
        .withArgs(t.root.address, t.admin.address);
      await expect(
        inquiry.as(t.stranger).reevaluate(inquiry.request, [t.stranger.address], right, REPORT),
      ).to.be.revertedWithCustomError(t.requests, "WrongPath");
      const judge = () => inquiry.reevaluate(t.admin, right);
      await expectUntil(inquiry, await inquiry.deadline(), judge, Phase.Judging, Phase.Unanswered);
      const lock = await t.vault.lockOf(t.ledger, await t.requests.depositLock(inquiry.id, 1));
      expect([...lock]).to.deep.equal([t.admin.address, DEPOSIT]);
      const { stage, tier, ruled, deadline } = await inquiry.state();
      expect([stage, tier, ruled, deadline]).to.deep.equal([Stage.Ruled, 1n, 2n, (await now()) + STEP]);
    });

    it("refuses a ruling that makes no sense, and takes every verdict", async () => {
      const { t, inquiry, right, first } = await computed();
      await inquiry.rank(right);
      await inquiry.challenge(first);
      await expect(inquiry.reevaluate(t.admin, NO_RULING)).to.be.revertedWithCustomError(t.requests, "InvalidVerdict");
      for (const ruling of [right, VOID, WITHHELD, rankingOf()]) {
        const before = await networkHelpers.takeSnapshot();
        await inquiry.reevaluate(t.admin, ruling);
        expect(await t.requests.rulingOf(inquiry.id, 1)).to.equal(hashOf(ruling));
        await before.restore();
      }
    });

    it("is not for who works in the request or asked for it", async () => {
      const t = await loadTree();
      await join(t, t.admin, t.root, WORKER);
      const inquiry = await postRequest(t);
      await inquiry.compute([t.admin]);
      await inquiry.rank(rankingOf());
      await inquiry.challenge(t.admin);
      await expect(inquiry.reevaluate(t.admin, rankingOf(t.admin)))
        .to.be.revertedWithCustomError(t.requests, "OwnMatter")
        .withArgs(t.admin.address);

      for (const changes of [{ requester: t.root.address }, { delegate: t.root.address }]) {
        const own = await postRequest(t, { ...changes, nonce: 3n }, "requester" in changes ? t.root : t.requester);
        await own.evaluate(t.high);
        await own.work(t.workers[0]!);
        await own.as(t.root).start(own.request);
        await own.submit(t.workers[0]!);
        await own.reveal(t.workers[0]!);
        await own.rank(rankingOf(t.workers[0]!), t.high);
        await own.challenge(t.root);
        await expect(own.reevaluate(t.root, rankingOf()))
          .to.be.revertedWithCustomError(t.requests, "OwnMatter")
          .withArgs(t.root.address);
      }
    });

    it("by the root is final at once", async () => {
      const { t, inquiry, right, first, second } = await computed();
      await inquiry.rank(right);
      await inquiry.challenge(second);
      await inquiry.reevaluate(t.admin, right);
      await inquiry.challenge(first);
      await expect(inquiry.reevaluate(t.root, right)).to.emit(t.requests, "Finalized").withArgs(inquiry.id, 3n);
      expect(await inquiry.phase()).to.equal(Phase.Settleable);
      await expectPhase(inquiry, () => inquiry.challenge(first), Phase.Contestable, Phase.Settleable);
    });

    it("by a root that evaluates is final, too", async () => {
      const t = await loadTree();
      const before = await moneyOf(t);
      const inquiry = await postRequest(t);
      await inquiry.compute(t.workers.slice(0, 1), t.root);
      const ruling = rankingOf(t.workers[0]!);
      await inquiry.rank(ruling, t.root);
      await expectPhase(inquiry, () => inquiry.challenge(t.workers[0]!), Phase.Contestable, Phase.Settleable);
      await expectEnd(inquiry, before, inquiry.settle(ruling), Outcome.Ranked, {
        requester: -EVALUATOR_REWARD - POT,
        root: EVALUATOR_REWARD,
        "worker 0": POT,
      });
    });
  });

  describe("climb", () => {
    it("calls the parent once the evaluator is overdue, with a whole step from then", async () => {
      const { t, inquiry } = await computed();
      const overdue = (await inquiry.deadline()) + STEP;
      const before = await networkHelpers.takeSnapshot();
      await expect(inquiry.climb())
        .to.be.revertedWithCustomError(t.requests, "WrongPhase")
        .withArgs(inquiry.id, Phase.Ranking, Phase.Unanswered);
      await before.restore();
      await expectAfter(inquiry, overdue, () => inquiry.climb(), Phase.Unanswered, Phase.Ranking);
      const { stage, tier, deadline } = await inquiry.state();
      expect([stage, tier, deadline]).to.deep.equal([Stage.Called, 1n, (await now()) + STEP]);
    });

    it("calls the next judge once one is overdue, and ends above the root", async () => {
      const { t, inquiry, right, first } = await computed();
      await inquiry.rank(right);
      await inquiry.challenge(first);
      const judged = await inquiry.deadline();
      await expectAfter(inquiry, judged, () => inquiry.climb(), Phase.Unanswered, Phase.Judging);
      expect((await inquiry.state()).tier).to.equal(2n);
      await expectPhase(inquiry, () => inquiry.climb(), Phase.Unanswered, Phase.Judging);
      await inquiry.passDeadline();
      await expect(inquiry.climb()).to.emit(t.requests, "Finalized").withArgs(inquiry.id, 1n);
    });

    it("tells who is called", async () => {
      const { t, inquiry } = await computed();
      await inquiry.passDeadline(STEP);
      const second = (await now()) + 2n;
      await at(second);
      await expect(inquiry.climb())
        .to.emit(t.requests, "Climbed")
        .withArgs(inquiry.id, 1n, second + STEP);
    });
  });

  describe("settle", () => {
    it("pays by the reward function after the window, and not in its last second", async () => {
      const { before, inquiry, right } = await computed();
      await inquiry.rank(right);
      const deadline = await inquiry.deadline();
      await at(deadline);
      await expectPhase(inquiry, () => inquiry.settle(right), Phase.Settleable, Phase.Contestable);
      await at(deadline + 1n);
      await expectEnd(inquiry, before, inquiry.settle(right), Outcome.Ranked, {
        requester: -EVALUATOR_REWARD - POT,
        evaluator: EVALUATOR_REWARD,
        ...BY_RANK,
      });
      await expectPhase(inquiry, () => inquiry.settle(right), Phase.Settleable, Phase.Ended);
    });

    for (const [name, changes, shares, back] of [
      ["evenly", { rewardFunction: RewardFunction.Even }, [335n, 333n, 333n], 0n],
      ["to the winner", { rewardFunction: RewardFunction.WinnerTakesAll }, [POT, 0n, 0n], 0n],
      ["by score", { rewardFunction: RewardFunction.ByScore }, [338n, 333n, 330n], 0n],
      ["by list", { rewardFunction: RewardFunction.List, list: [700n, 100n] }, [700n, 100n, 0n], 201n],
      [
        "by a list longer than the ranking",
        { rewardFunction: RewardFunction.List, list: [1n, 1n, 1n, 9n] },
        [1n, 1n, 1n],
        998n,
      ],
    ] as [string, Partial<Request>, [bigint, bigint, bigint], bigint][]) {
      it(`pays ${name}, and returns what that does not give`, async () => {
        const { before, inquiry, right } = await computed(changes);
        await inquiry.rank(right);
        await inquiry.passDeadline();
        await expectEnd(inquiry, before, inquiry.settle(right), Outcome.Ranked, {
          requester: -EVALUATOR_REWARD - POT + back,
          evaluator: EVALUATOR_REWARD,
          "worker 0": shares[0],
          "worker 1": shares[1],
          "worker 2": shares[2],
        });
      });
    }

    it("refuses another ruling than the one that stands, and another path", async () => {
      const { t, inquiry, right, first } = await computed();
      await inquiry.rank(right);
      await inquiry.passDeadline();
      const wrong = rankingOf(first);
      await expect(inquiry.settle(wrong))
        .to.be.revertedWithCustomError(t.requests, "WrongRuling")
        .withArgs(hashOf(wrong), hashOf(right));
      inquiry.path = [t.admin.address];
      await expect(inquiry.settle(right)).to.be.revertedWithCustomError(t.requests, "WrongPath");
    });

    it("pays the evaluator of a problem that nobody solved, and returns the pot, test data or not", async () => {
      const t = await loadTree();
      const salt = ethers.id("salt");
      const testData = await t.requests.testDataCommitment(t.requester, salt, salt);
      const before = await moneyOf(t);
      const inquiry = await postRequest(t, { testData });
      await inquiry.compute(t.workers.slice(0, 2));
      await inquiry.as(t.requester).revealTestData(inquiry.request, salt, salt);
      await inquiry.rank(rankingOf());
      await inquiry.passDeadline();
      await expectEnd(inquiry, before, inquiry.settle(rankingOf()), Outcome.Unsolved, {
        requester: -EVALUATOR_REWARD,
        evaluator: EVALUATOR_REWARD,
      });
    });

    it("shares evenly what the requester withheld the means to judge, in the order of revealing", async () => {
      const { t, before, inquiry, first, second, third } = await computed();
      await inquiry.rank(WITHHELD);
      await inquiry.passDeadline();
      await expect(inquiry.settle(WITHHELD, [second, first, third])).to.be.revertedWithCustomError(
        t.requests,
        "WrongWorkers",
      );
      await expectEnd(inquiry, before, inquiry.settle(WITHHELD, [first, second, third]), Outcome.Withheld, {
        requester: -EVALUATOR_REWARD - POT,
        evaluator: EVALUATOR_REWARD,
        "worker 0": 335n,
        "worker 1": 333n,
        "worker 2": 333n,
      });
    });

    it("burns half of the pot and the evaluator's reward where a judge says void", async () => {
      const { t, before, inquiry, right, first } = await computed();
      await inquiry.rank(right);
      await inquiry.challenge(first);
      await inquiry.reevaluate(t.admin, VOID);
      await inquiry.passDeadline();
      await expectEnd(inquiry, before, inquiry.settle(VOID), Outcome.Voided, {
        requester: -EVALUATOR_REWARD - 501n,
        evaluator: -DEPOSIT,
        admin: FEE,
        burned: EVALUATOR_REWARD + 501n + DEPOSIT - FEE,
      });
    });
  });

  it("lets who holds several roles use them, each in another request", async () => {
    const t = await loadTree();
    await join(t, t.admin, t.root, EVALUATOR | WORKER);
    expect((await t.schemas.memberOf(t.schema, t.admin)).roles).to.equal(ADMIN | EVALUATOR | WORKER);
    const [first] = t.workers as [Actor];
    const evaluated = await postRequest(t, { nonce: 1n });
    await evaluated.compute([first], t.admin);
    await evaluated.rank(rankingOf(first), t.admin);
    const worked = await postRequest(t, { nonce: 2n });
    await worked.compute([t.admin], t.high);
    await worked.rank(rankingOf(t.admin), t.high);
    const judged = await postRequest(t, { nonce: 3n });
    await judged.compute([first]);
    await judged.rank(rankingOf());
    await judged.challenge(first);
    await judged.reevaluate(t.admin, rankingOf(first));
    for (const [inquiry, ruling] of [
      [evaluated, rankingOf(first)],
      [worked, rankingOf(t.admin)],
      [judged, rankingOf(first)],
    ] as [Inquiry, Ruling][]) {
      await inquiry.passDeadline();
      await inquiry.settle(ruling);
      expect(await inquiry.phase()).to.equal(Phase.Ended);
    }
  });
});
