import { expect } from "chai";
import { id as keccakOf } from "ethers";

import { networkHelpers, pass, type Actor } from "./market-fixture.ts";
import {
  DEPOSIT,
  DROP_INTERVAL,
  EVALUATOR_REWARD,
  expectEnd,
  expectPhase,
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
  RewardFunction,
  STEP,
  VOID,
  WITHHELD,
  WORKER,
  EVALUATOR,
  type Money,
  type Request,
} from "./request-fixture.ts";

/*
 * What is tried against evaluated jobs, each to its end, with every unit accounted for; see docs/protocol.md.
 */

/** Two workers that both revealed; the winner takes all. The first is right. */
async function contested(changes: Partial<Request> = {}) {
  const t = await loadTree();
  const before = await moneyOf(t);
  const inquiry = await postRequest(t, { rewardFunction: RewardFunction.WinnerTakesAll, ...changes });
  const [good, bad] = t.workers as [Actor, Actor];
  await inquiry.compute([good, bad]);
  return { t, before, inquiry, good, bad, right: rankingOf(good, bad), wrong: rankingOf(bad, good) };
}

/** What the honest end of {@link contested} is. */
const FAIR: Money = { requester: -EVALUATOR_REWARD - POT, evaluator: EVALUATOR_REWARD, "worker 0": POT };

describe("Attacks on evaluated jobs", () => {
  describe("a wrong ranking", () => {
    it("is overturned by the parent at the evaluator's expense", async () => {
      const { t, before, inquiry, good, right, wrong } = await contested();
      await inquiry.rank(wrong);
      await inquiry.challenge(good);
      await inquiry.reevaluate(t.admin, right);
      await inquiry.passDeadline();
      await expectEnd(inquiry, before, inquiry.settle(right), Outcome.Ranked, {
        requester: -EVALUATOR_REWARD - POT,
        evaluator: -DEPOSIT,
        admin: FEE,
        "worker 0": POT,
        burned: EVALUATOR_REWARD + DEPOSIT - FEE,
      });
    });

    it("that the parent upholds is overturned by the root at the expense of both", async () => {
      const { t, before, inquiry, good, right, wrong } = await contested();
      await inquiry.rank(wrong);
      await inquiry.challenge(good);
      await inquiry.reevaluate(t.admin, wrong);
      await inquiry.challenge(good);
      await inquiry.reevaluate(t.root, right);
      await expectEnd(inquiry, before, inquiry.settle(right), Outcome.Ranked, {
        requester: -EVALUATOR_REWARD - POT,
        evaluator: -DEPOSIT,
        admin: FEE - DEPOSIT,
        root: FEE,
        "worker 0": POT,
        burned: EVALUATOR_REWARD + 2n * (DEPOSIT - FEE),
      });
    });

    it("by the parent is overturned by the root at the call of the evaluator it overturned", async () => {
      const { t, before, inquiry, bad, right, wrong } = await contested();
      await inquiry.rank(right);
      await inquiry.challenge(bad);
      await inquiry.reevaluate(t.admin, wrong);
      await inquiry.challenge(t.evaluator);
      await inquiry.reevaluate(t.root, right);
      await expectEnd(inquiry, before, inquiry.settle(right), Outcome.Ranked, {
        ...FAIR,
        admin: FEE - DEPOSIT,
        root: FEE,
        "worker 1": -FEE,
        burned: DEPOSIT - FEE,
      });
    });

    it("that every tier has another word for leaves the root's", async () => {
      const { t, before, inquiry, good, bad, right, wrong } = await contested();
      await inquiry.rank(wrong);
      await inquiry.challenge(good);
      await inquiry.reevaluate(t.admin, rankingOf(bad));
      await inquiry.challenge(t.requester);
      await inquiry.reevaluate(t.root, right);
      await expectEnd(inquiry, before, inquiry.settle(right), Outcome.Ranked, {
        requester: -EVALUATOR_REWARD - POT,
        evaluator: -DEPOSIT,
        admin: FEE - DEPOSIT,
        root: FEE,
        "worker 0": POT,
        burned: EVALUATOR_REWARD + 2n * (DEPOSIT - FEE),
      });
    });

    it("cannot be hurried through by a requester that accepts it", async () => {
      const { t, before, inquiry, good, right } = await contested();
      await inquiry.rank(rankingOf());
      await inquiry.as(t.requester).acceptResult(inquiry.request);
      await expectPhase(inquiry, () => inquiry.settle(rankingOf()), Phase.Settleable, Phase.Contestable);
      await inquiry.challenge(good);
      await inquiry.reevaluate(t.admin, right);
      await inquiry.passDeadline();
      await expectEnd(inquiry, before, inquiry.settle(right), Outcome.Ranked, {
        requester: -EVALUATOR_REWARD - POT,
        evaluator: -DEPOSIT,
        admin: FEE,
        "worker 0": POT,
        burned: EVALUATOR_REWARD + DEPOSIT - FEE,
      });
    });

    it("that leaves the requester the pot costs it half, and the reward, where judges brought it about", async () => {
      for (const ruling of [VOID, rankingOf()]) {
        const { t, before, inquiry, right } = await contested();
        await inquiry.rank(right);
        await inquiry.challenge(t.requester);
        await inquiry.reevaluate(t.admin, ruling);
        await inquiry.passDeadline();
        await expectEnd(inquiry, before, inquiry.settle(ruling), Outcome.Voided, {
          requester: -EVALUATOR_REWARD - 501n,
          evaluator: -DEPOSIT,
          admin: FEE,
          burned: EVALUATOR_REWARD + 501n + DEPOSIT - FEE,
        });
      }
    });

    it("burns no deposit and pays no fee while somebody may still challenge", async () => {
      const { t, inquiry, good, right, wrong } = await contested();
      await inquiry.rank(wrong);
      await inquiry.challenge(good);
      await inquiry.reevaluate(t.admin, right);
      expect(await t.vault.burned()).to.equal(0n);
      const lock = await t.vault.lockOf(t.ledger, await t.requests.depositLock(inquiry.id, 0));
      expect(lock.amount).to.equal(DEPOSIT);
      await expectPhase(inquiry, () => inquiry.settle(right), Phase.Settleable, Phase.Contestable);
    });
  });

  describe("a challenge without ground", () => {
    it("costs its fee and changes nothing", async () => {
      const { t, before, inquiry, bad, right } = await contested();
      await inquiry.rank(right);
      await inquiry.challenge(bad);
      await inquiry.reevaluate(t.admin, right);
      await inquiry.passDeadline();
      await expectEnd(inquiry, before, inquiry.settle(right), Outcome.Ranked, {
        ...FAIR,
        admin: FEE,
        "worker 1": -FEE,
      });
    });

    it("costs again at each tier, and ends at the root: spam is bounded and paid for", async () => {
      const { t, before, inquiry, bad, right } = await contested();
      await inquiry.rank(right);
      await inquiry.challenge(bad);
      await inquiry.reevaluate(t.admin, right);
      await inquiry.challenge(bad);
      await inquiry.reevaluate(t.root, right);
      await expectPhase(inquiry, () => inquiry.challenge(bad), Phase.Contestable, Phase.Settleable);
      await expectEnd(inquiry, before, inquiry.settle(right), Outcome.Ranked, {
        ...FAIR,
        admin: FEE,
        root: FEE,
        "worker 1": -2n * FEE,
      });
    });
  });

  describe("silence", () => {
    it("of the evaluator: the parent ranks, paid out of its deposit", async () => {
      const { t, before, inquiry, right } = await contested();
      await inquiry.passDeadline(STEP);
      await inquiry.climb();
      await inquiry.reevaluate(t.admin, right);
      await inquiry.passDeadline();
      await expectEnd(inquiry, before, inquiry.settle(right), Outcome.Ranked, {
        requester: -POT,
        evaluator: -DEPOSIT,
        admin: FEE,
        "worker 0": POT,
        burned: DEPOSIT - FEE,
      });
    });

    it("of the evaluator, where the parent ranks wrongly, is judged by the root", async () => {
      const { t, before, inquiry, good, right, wrong } = await contested();
      await inquiry.passDeadline(STEP);
      await inquiry.climb();
      await inquiry.reevaluate(t.admin, wrong);
      await inquiry.challenge(good);
      await inquiry.reevaluate(t.root, right);
      await expectEnd(inquiry, before, inquiry.settle(right), Outcome.Ranked, {
        requester: -POT,
        evaluator: -DEPOSIT,
        admin: FEE - DEPOSIT,
        root: FEE,
        "worker 0": POT,
        burned: 2n * (DEPOSIT - FEE),
      });
    });

    it("of the evaluator about what nobody solved returns pot and reward", async () => {
      const { t, before, inquiry } = await contested();
      await inquiry.passDeadline(STEP);
      await inquiry.climb();
      await inquiry.reevaluate(t.admin, rankingOf());
      await inquiry.passDeadline();
      await expectEnd(inquiry, before, inquiry.settle(rankingOf()), Outcome.Unsolved, {
        evaluator: -DEPOSIT,
        admin: FEE,
        burned: DEPOSIT - FEE,
      });
    });

    it("of the parent: the case climbs, and the fee goes to the judge that rules", async () => {
      const { t, before, inquiry, good, right, wrong } = await contested();
      await inquiry.rank(wrong);
      await inquiry.challenge(good);
      await inquiry.passDeadline();
      await inquiry.climb();
      await inquiry.reevaluate(t.root, right);
      await expectEnd(inquiry, before, inquiry.settle(right), Outcome.Ranked, {
        requester: -EVALUATOR_REWARD - POT,
        evaluator: -DEPOSIT,
        root: FEE,
        "worker 0": POT,
        burned: EVALUATOR_REWARD + DEPOSIT - FEE,
      });
    });

    it("of all judges: the ruling stands, and the fee comes back", async () => {
      const { before, inquiry, bad, right } = await contested();
      await inquiry.rank(right);
      await inquiry.challenge(bad);
      for (let tier = 1; tier <= 2; tier += 1) {
        await inquiry.passDeadline();
        await inquiry.climb();
      }
      await expectEnd(inquiry, before, inquiry.settle(right), Outcome.Ranked, FAIR);
    });

    it("of the root after the parent ruled leaves the parent's word", async () => {
      const { t, before, inquiry, good, bad, right, wrong } = await contested();
      await inquiry.rank(wrong);
      await inquiry.challenge(good);
      await inquiry.reevaluate(t.admin, right);
      await inquiry.challenge(bad);
      await inquiry.passDeadline();
      await inquiry.climb();
      await expectEnd(inquiry, before, inquiry.settle(right), Outcome.Ranked, {
        requester: -EVALUATOR_REWARD - POT,
        evaluator: -DEPOSIT,
        admin: FEE,
        "worker 0": POT,
        burned: EVALUATOR_REWARD + DEPOSIT - FEE,
      });
    });

    it("of evaluator and judges: all that revealed share evenly, and the deposit burns", async () => {
      const { before, inquiry, good, bad } = await contested();
      await inquiry.passDeadline(STEP);
      await inquiry.climb();
      for (let tier = 1; tier <= 2; tier += 1) {
        await inquiry.passDeadline();
        await inquiry.climb();
      }
      await expectEnd(inquiry, before, inquiry.settle(NO_RULING, [good, bad]), Outcome.Unjudged, {
        requester: -POT,
        evaluator: -DEPOSIT,
        "worker 0": 501n,
        "worker 1": 500n,
        burned: DEPOSIT,
      });
    });

    it("of a root that evaluates: the same, with nobody to climb to", async () => {
      const t = await loadTree();
      const before = await moneyOf(t);
      const inquiry = await postRequest(t);
      await inquiry.compute(t.workers.slice(0, 1), t.root);
      await inquiry.passDeadline(STEP);
      await inquiry.climb();
      await expectEnd(inquiry, before, inquiry.settle(NO_RULING, t.workers.slice(0, 1)), Outcome.Unjudged, {
        requester: -POT,
        root: -DEPOSIT,
        "worker 0": POT,
        burned: DEPOSIT,
      });
    });

    it("of a judge too poor for the deposit is silence, too", async () => {
      const { t, before, inquiry, good, right, wrong } = await contested();
      await t.vault.connect(t.admin).withdraw(t.ledger, before["admin"]!, t.admin);
      const rich = await moneyOf(t, [inquiry]);
      await inquiry.rank(wrong);
      await inquiry.challenge(good);
      await expect(inquiry.reevaluate(t.admin, right)).to.be.revertedWithCustomError(t.vault, "InsufficientAvailable");
      await inquiry.passDeadline();
      await inquiry.climb();
      await inquiry.reevaluate(t.root, right);
      await expectEnd(inquiry, rich, inquiry.settle(right), Outcome.Ranked, {
        requester: -EVALUATOR_REWARD - POT,
        evaluator: -DEPOSIT,
        root: FEE,
        "worker 0": POT,
        burned: EVALUATOR_REWARD + DEPOSIT - FEE,
      });
    });
  });

  it("a worker that copies another's commitment, or its result once revealed, gets nothing", async () => {
    const t = await loadTree();
    const before = await moneyOf(t);
    const inquiry = await postRequest(t);
    const [good, copier, idle] = t.workers as [Actor, Actor, Actor];
    await inquiry.begin([good, copier, idle]);
    await inquiry.submit(good);
    await inquiry.as(copier).submitResult(inquiry.id, await inquiry.commitmentOf(good));
    await pass((await inquiry.state()).submitUntil);
    await inquiry.reveal(good);
    const opening = [inquiry.digestOf(good), inquiry.saltOf(good)] as const;
    for (const [thief, error] of [
      [copier, "WrongOpening"],
      [idle, "WrongWorkerStatus"],
    ] as const) {
      const stolen = inquiry.as(thief).revealResult(inquiry.id, ...opening);
      await expect(stolen).to.be.revertedWithCustomError(t.requests, error);
    }
    await expectPhase(inquiry, () => inquiry.submit(idle), Phase.Computing, Phase.Revealing);
    await inquiry.passDeadline();
    await inquiry.rank(rankingOf(good));
    await inquiry.passDeadline();
    await expectEnd(inquiry, before, inquiry.settle(rankingOf(good)), Outcome.Ranked, {
      requester: -EVALUATOR_REWARD - POT,
      evaluator: EVALUATOR_REWARD,
      "worker 0": POT,
    });
  });

  it("a problem that cannot be solved costs its requester the evaluator, and the workers their time", async () => {
    const { before, inquiry } = await contested();
    await inquiry.rank(rankingOf());
    await inquiry.passDeadline();
    await expectEnd(inquiry, before, inquiry.settle(rankingOf()), Outcome.Unsolved, {
      requester: -EVALUATOR_REWARD,
      evaluator: EVALUATOR_REWARD,
    });
  });

  describe("an admin that drops in mid-job", () => {
    it("a worker or the evaluator changes nothing about that job", async () => {
      const { t, before, inquiry, right } = await contested();
      await t.schemas.connect(t.admin).drop(t.schema, t.workers[0]!);
      await networkHelpers.time.increase(10n);
      await t.schemas.connect(t.root).drop(t.schema, t.admin);
      await inquiry.rank(right);
      await inquiry.passDeadline();
      await expectEnd(inquiry, before, inquiry.settle(right), Outcome.Ranked, FAIR);
      const next = await postRequest(t, { nonce: 1n });
      await expect(next.work(t.workers[0]!)).to.be.revertedWithCustomError(t.schemas, "CutOff");
    });

    it("cannot keep the evaluator from its judges, nor a dropped one lead them to a tree of its own", async () => {
      const { t, before, inquiry, good, right, wrong } = await contested();
      await t.schemas.connect(t.admin).drop(t.schema, t.evaluator);
      await t.schemas.connect(t.evaluator).startRoot(t.schema);
      await t.schemas.connect(t.root).drop(t.schema, t.admin);
      await t.schemas.connect(t.admin).startRoot(t.schema);
      expect(await t.schemas.pathOf(t.schema, t.evaluator, EVALUATOR)).to.deep.equal([]);
      await inquiry.rank(wrong);
      expect(await inquiry.phase()).to.equal(Phase.Contestable);
      await inquiry.challenge(good);
      await inquiry.reevaluate(t.admin, wrong);
      await inquiry.challenge(good);
      await inquiry.reevaluate(t.root, right);
      await expectEnd(inquiry, before, inquiry.settle(right), Outcome.Ranked, {
        requester: -EVALUATOR_REWARD - POT,
        evaluator: -DEPOSIT,
        admin: FEE - DEPOSIT,
        root: FEE,
        "worker 0": POT,
        burned: EVALUATOR_REWARD + 2n * (DEPOSIT - FEE),
      });
    });

    it("does so once in the interval", async () => {
      const t = await loadTree();
      await t.schemas.connect(t.admin).drop(t.schema, t.workers[0]!);
      await networkHelpers.time.increase(DROP_INTERVAL - 10n);
      await expect(t.schemas.connect(t.admin).drop(t.schema, t.workers[1]!)).to.be.revertedWithCustomError(
        t.schemas,
        "DroppedTooSoon",
      );
    });
  });

  describe("a requester", () => {
    it("that withholds test data pays every result that was revealed, and the pot once more", async () => {
      const t = await loadTree();
      const testData = await t.requests.testDataCommitment(t.requester, keccakOf("data"), keccakOf("salt"));
      const before = await moneyOf(t);
      const inquiry = await postRequest(t, { testData });
      // One of them is the requester's own: what it brings back is less than what withholding burns.
      await inquiry.compute(t.workers.slice(0, 2));
      await inquiry.passDeadline();
      await expectEnd(inquiry, before, inquiry.settle(NO_RULING, t.workers.slice(0, 2)), Outcome.Withheld, {
        requester: -EVALUATOR_REWARD - 2n * POT,
        evaluator: EVALUATOR_REWARD,
        "worker 0": 501n,
        "worker 1": 500n,
        burned: POT,
      });
    });

    it("that reveals test data which nobody can fetch pays the same, and the evaluator keeps its deposit", async () => {
      const t = await loadTree();
      const [data, salt] = [keccakOf("data"), keccakOf("salt")];
      const before = await moneyOf(t);
      const inquiry = await postRequest(t, { testData: await t.requests.testDataCommitment(t.requester, data, salt) });
      await inquiry.compute(t.workers.slice(0, 2));
      await inquiry.as(t.requester).revealTestData(inquiry.request, data, salt);
      await inquiry.rank(WITHHELD);
      await inquiry.challenge(t.requester);
      await inquiry.reevaluate(t.admin, WITHHELD);
      await inquiry.passDeadline();
      await expectEnd(inquiry, before, inquiry.settle(WITHHELD, t.workers.slice(0, 2)), Outcome.Withheld, {
        requester: -EVALUATOR_REWARD - 2n * POT - FEE,
        evaluator: EVALUATOR_REWARD,
        admin: FEE,
        "worker 0": 501n,
        "worker 1": 500n,
        burned: POT,
      });
    });

    it("accused falsely of withholding has the evaluator overturned", async () => {
      const { t, before, inquiry, right } = await contested();
      await inquiry.rank(WITHHELD);
      await inquiry.challenge(t.requester);
      await inquiry.reevaluate(t.admin, right);
      await inquiry.passDeadline();
      await expectEnd(inquiry, before, inquiry.settle(right), Outcome.Ranked, {
        requester: -EVALUATOR_REWARD - POT,
        evaluator: -DEPOSIT,
        admin: FEE,
        "worker 0": POT,
        burned: EVALUATOR_REWARD + DEPOSIT - FEE,
      });
    });

    it("that is the root has no word in its own request: what the evaluator said stands", async () => {
      const t = await loadTree();
      const before = await moneyOf(t);
      const inquiry = await postRequest(t, { requester: t.root.address }, t.root);
      await inquiry.evaluate(t.high);
      const [good] = t.workers as [Actor];
      await inquiry.work(good);
      await inquiry.as(t.root).start(inquiry.request);
      await inquiry.submit(good);
      await inquiry.reveal(good);
      await inquiry.rank(rankingOf(good), t.high);
      await inquiry.challenge(t.root);
      await expect(inquiry.reevaluate(t.root, rankingOf())).to.be.revertedWithCustomError(t.requests, "OwnMatter");
      await inquiry.passDeadline();
      await inquiry.climb();
      await expectEnd(inquiry, before, inquiry.settle(rankingOf(good)), Outcome.Ranked, {
        root: -EVALUATOR_REWARD - POT,
        high: EVALUATOR_REWARD,
        "worker 0": POT,
      });
    });

    it("cannot be led to judges it did not choose by a tree that anybody started", async () => {
      const t = await loadTree();
      const inquiry = await postRequest(t);
      await t.schemas.connect(t.stranger).startRoot(t.schema);
      await join(t, t.delegate, t.stranger, EVALUATOR | WORKER);
      await expect(inquiry.evaluate(t.stranger)).to.be.revertedWithCustomError(t.requests, "ForeignTree");
    });
  });
});
