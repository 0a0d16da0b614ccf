import { expect } from "chai";
import { id as keccakOf, ZeroHash } from "ethers";

import { at, ethers, networkHelpers, now, type Actor } from "./market-fixture.ts";
import {
  DEPOSIT,
  EVALUATOR_REWARD,
  expectAfter,
  expectEnd,
  expectPhase,
  expectUntil,
  loadTree,
  moneyOf,
  Outcome,
  Phase,
  postRequest,
  POT,
  rankingOf,
  STEP,
  trustingRequestOf,
  WorkerStatus,
  type Tree,
} from "./request-fixture.ts";

const DATA = keccakOf("test data");
const SALT = keccakOf("salt of the test data");

const commitmentTo = async (t: Tree): Promise<string> => await t.requests.testDataCommitment(t.requester, DATA, SALT);

describe("Requests: computing", () => {
  describe("submitCheckpoint", () => {
    it("is told of a worker that computes, and of nobody else", async () => {
      const t = await loadTree();
      const inquiry = await postRequest(t);
      const [first, second] = t.workers as [Actor, Actor];
      const state = keccakOf("intermediate state");
      await inquiry.work(first);
      const checkpoint = (by = first) => inquiry.as(by).submitCheckpoint(inquiry.id, 3, state);
      await expectPhase(inquiry, checkpoint, Phase.Computing, Phase.Accepting);
      await inquiry.evaluate();
      await inquiry.as(t.requester).start(inquiry.request);
      await expect(checkpoint())
        .to.emit(t.requests, "CheckpointSubmitted")
        .withArgs(inquiry.id, first.address, 3n, state);
      await expect(checkpoint(second)).to.be.revertedWithCustomError(t.requests, "WrongWorkerStatus");
      await expect(inquiry.as(first).submitCheckpoint(inquiry.id, 3, ZeroHash)).to.be.revertedWithCustomError(
        t.requests,
        "EmptyCommitment",
      );
      const { submitUntil } = await inquiry.state();
      await expectUntil(inquiry, submitUntil, checkpoint, Phase.Computing, Phase.Revealing);
    });
  });

  describe("submitResult", () => {
    it("is possible once, up to the last second of the time limit", async () => {
      const t = await loadTree();
      const inquiry = await postRequest(t);
      await inquiry.begin();
      const [first, second] = t.workers as [Actor, Actor];
      await expect(inquiry.as(first).submitResult(inquiry.id, ZeroHash)).to.be.revertedWithCustomError(
        t.requests,
        "EmptyCommitment",
      );
      await expect(inquiry.as(t.stranger).submitResult(inquiry.id, keccakOf("result")))
        .to.be.revertedWithCustomError(t.requests, "WrongWorkerStatus")
        .withArgs(t.stranger.address, WorkerStatus.None, WorkerStatus.Accepted);
      const commitment = await inquiry.commitmentOf(first);
      await expect(inquiry.submit(first))
        .to.emit(t.requests, "ResultSubmitted")
        .withArgs(inquiry.id, first.address, commitment);
      const { status, commitment: kept } = await t.requests.workerOf(inquiry.id, first);
      expect([status, kept]).to.deep.equal([WorkerStatus.Submitted, commitment.slice(0, 62)]);
      await expect(inquiry.submit(first)).to.be.revertedWithCustomError(t.requests, "WrongWorkerStatus");
      const { submitUntil } = await inquiry.state();
      await expectUntil(inquiry, submitUntil, () => inquiry.submit(second), Phase.Computing, Phase.Revealing);
    });

    it("ends computing at once when the last has committed", async () => {
      const t = await loadTree();
      const inquiry = await postRequest(t);
      const workers = t.workers.slice(0, 2);
      await inquiry.begin(workers);
      await inquiry.submit(workers[0]!);
      const second = (await now()) + 7n;
      await at(second);
      await expect(inquiry.submit(workers[1]!))
        .to.emit(t.requests, "AllSubmitted")
        .withArgs(inquiry.id, second + STEP);
      expect([(await inquiry.state()).submitUntil, await inquiry.deadline()]).to.deep.equal([second, second + STEP]);
      await inquiry.reveal(workers[0]!);
    });
  });

  describe("revealResult", () => {
    it("waits until nobody can commit any more, and is possible for a step", async () => {
      const t = await loadTree();
      const inquiry = await postRequest(t);
      await inquiry.begin();
      const [first, second] = t.workers as [Actor, Actor];
      await inquiry.submit(first);
      await inquiry.submit(second);
      const { submitUntil, deadline } = await inquiry.state();
      await expectAfter(inquiry, submitUntil, () => inquiry.reveal(first), Phase.Revealing, Phase.Computing);
      await expectUntil(inquiry, deadline, () => inquiry.reveal(second), Phase.Revealing, Phase.Ranking);
    });

    it("is refused a second after the step, and then whoever did not reveal is out", async () => {
      const t = await loadTree();
      const inquiry = await postRequest(t);
      const workers = t.workers.slice(0, 2) as [Actor, Actor];
      await inquiry.begin(workers);
      for (const worker of workers) await inquiry.submit(worker);
      await inquiry.reveal(workers[0]);
      await at((await inquiry.deadline()) + 1n);
      await expectPhase(inquiry, () => inquiry.reveal(workers[1]), Phase.Revealing, Phase.Ranking);
      await expect(inquiry.rank(rankingOf(...workers)))
        .to.be.revertedWithCustomError(t.requests, "WrongWorkerStatus")
        .withArgs(workers[1].address, WorkerStatus.Submitted, WorkerStatus.Revealed);
    });

    it("opens nothing but the worker's own commitment, once", async () => {
      const t = await loadTree();
      const inquiry = await postRequest(t);
      const [first, copier] = t.workers.slice(0, 2) as [Actor, Actor];
      await inquiry.begin([first, copier]);
      const commitment = await inquiry.commitmentOf(first);
      await inquiry.submit(first);
      await inquiry.as(copier).submitResult(inquiry.id, commitment);
      await expect(inquiry.reveal(first))
        .to.emit(t.requests, "ResultRevealed")
        .withArgs(inquiry.id, first.address, inquiry.digestOf(first), inquiry.saltOf(first));
      const opened = [inquiry.digestOf(first), inquiry.saltOf(first)] as const;
      const actual = (await t.requests.resultCommitment(inquiry.id, copier, ...opened)).slice(0, 62);
      await expect(inquiry.as(copier).revealResult(inquiry.id, ...opened))
        .to.be.revertedWithCustomError(t.requests, "WrongOpening")
        .withArgs(`${actual}0000`, `${commitment.slice(0, 62)}0000`);
      await expect(inquiry.reveal(first)).to.be.revertedWithCustomError(t.requests, "WrongWorkerStatus");
      const stored = await t.requests.workerOf(inquiry.id, first);
      expect([stored.status, stored.index]).to.deep.equal([WorkerStatus.Revealed, 0n]);
    });

    it("binds to chain, contract, request, worker, result and salt", async () => {
      const t = await loadTree();
      const inquiry = await postRequest(t);
      const [worker] = t.workers as [Actor];
      const { chainId } = await ethers.provider.getNetwork();
      const types = ["uint256", "address", "bytes32", "address", "bytes32", "bytes32"];
      const values = [chainId, t.ledger, inquiry.id, worker.address, inquiry.digestOf(worker), inquiry.saltOf(worker)];
      const coder = ethers.AbiCoder.defaultAbiCoder();
      expect(await inquiry.commitmentOf(worker)).to.equal(ethers.keccak256(coder.encode(types, values)));
      const data = ["uint256", "address", "address", "bytes32", "bytes32"];
      expect(await commitmentTo(t)).to.equal(
        ethers.keccak256(coder.encode(data, [chainId, t.ledger, t.requester.address, DATA, SALT])),
      );
    });

    it("ends the revealing at once when nothing is left to reveal", async () => {
      const t = await loadTree();
      const inquiry = await postRequest(t);
      const workers = t.workers.slice(0, 2) as [Actor, Actor];
      await inquiry.begin(workers);
      for (const worker of workers) await inquiry.submit(worker);
      await inquiry.reveal(workers[0]);
      const second = (await now()) + 5n;
      await at(second);
      await expect(inquiry.reveal(workers[1]))
        .to.emit(t.requests, "AllRevealed")
        .withArgs(inquiry.id, second + STEP);
      expect(await inquiry.deadline()).to.equal(second);
      await inquiry.rank(rankingOf(...workers));
    });
  });

  describe("revealTestData", () => {
    it("is refused while a worker could still commit, and late", async () => {
      const t = await loadTree();
      const inquiry = await postRequest(t, { testData: await commitmentTo(t) });
      await inquiry.begin();
      await inquiry.submit(t.workers[0]!);
      const reveal = () => inquiry.as(t.requester).revealTestData(inquiry.request, DATA, SALT);
      const { submitUntil, deadline } = await inquiry.state();
      const before = await networkHelpers.takeSnapshot();
      await expectAfter(inquiry, submitUntil, reveal, Phase.Revealing, Phase.Computing);
      await before.restore();
      await at(submitUntil + 1n);
      await inquiry.reveal(t.workers[0]!);
      await expectUntil(inquiry, deadline, reveal, Phase.Revealing, Phase.Settleable);
    });

    it("shows what was committed to, by requester or delegate, once", async () => {
      const t = await loadTree();
      const plain = await postRequest(t, { nonce: 1n });
      await plain.begin(t.workers.slice(0, 1));
      await plain.submit(t.workers[0]!);
      await expect(plain.as(t.requester).revealTestData(plain.request, DATA, SALT))
        .to.be.revertedWithCustomError(t.requests, "NoTestData")
        .withArgs(plain.id);

      const inquiry = await postRequest(t, { testData: await commitmentTo(t) });
      await inquiry.begin(t.workers.slice(0, 1));
      await inquiry.submit(t.workers[0]!);
      await expect(inquiry.as(t.stranger).revealTestData(inquiry.request, DATA, SALT)).to.be.revertedWithCustomError(
        t.requests,
        "NotPermitted",
      );
      await expect(inquiry.as(t.requester).revealTestData(inquiry.request, SALT, DATA))
        .to.be.revertedWithCustomError(t.requests, "WrongOpening")
        .withArgs(await t.requests.testDataCommitment(t.requester, SALT, DATA), inquiry.request.testData);
      await inquiry.reveal(t.workers[0]!);
      expect(await inquiry.phase()).to.equal(Phase.Revealing);
      const sent = inquiry.as(t.delegate).revealTestData(inquiry.request, DATA, SALT);
      await expect(sent).to.emit(t.requests, "TestDataRevealed").withArgs(inquiry.id, DATA, SALT);
      await expect(sent).to.emit(t.requests, "AllRevealed");
      await inquiry.rank(rankingOf(t.workers[0]!));
    });

    it("is refused twice while others still reveal", async () => {
      const t = await loadTree();
      const inquiry = await postRequest(t, { testData: await commitmentTo(t) });
      await inquiry.begin(t.workers.slice(0, 2));
      for (const worker of t.workers.slice(0, 2)) await inquiry.submit(worker);
      const reveal = () => inquiry.as(t.requester).revealTestData(inquiry.request, DATA, SALT);
      await reveal();
      await expect(reveal()).to.be.revertedWithCustomError(t.requests, "NoTestData").withArgs(inquiry.id);
    });
  });

  describe("what the clock settles", () => {
    it("returns everything where nobody revealed, test data or not", async () => {
      const t = await loadTree();
      for (const testData of [ZeroHash, await commitmentTo(t)]) {
        const before = await moneyOf(t);
        const inquiry = await postRequest(t, { testData });
        await inquiry.begin();
        await inquiry.submit(t.workers[0]!);
        const settle = () => inquiry.settle();
        const { deadline } = await inquiry.state();
        await at(deadline);
        await expectPhase(inquiry, settle, Phase.Settleable, Phase.Revealing);
        await at(deadline + 1n);
        await expectEnd(inquiry, before, settle(), Outcome.Unanswered, {});
      }
    });

    it("pays the listed workers that revealed where evaluation is skipped, the first what rounding left", async () => {
      const t = await loadTree();
      const before = await moneyOf(t);
      const inquiry = await postRequest(t, trustingRequestOf(t, { workerReward: 1_001n }));
      const [first, second, third] = t.workers as [Actor, Actor, Actor];
      await inquiry.begin();
      for (const worker of [first, second, third]) await inquiry.submit(worker);
      await at((await inquiry.state()).submitUntil + 1n);
      await inquiry.reveal(second);
      await inquiry.reveal(first);
      await inquiry.reveal(third);
      for (const [revealed, args] of [
        [
          [second, first],
          [2n, 3n],
        ],
        [
          [first, second, third],
          [0n, 1n],
        ],
        [
          [second, second, third],
          [1n, 0n],
        ],
        [
          [second, first, t.workers[3]!],
          [2n, 0n],
        ],
      ] as [Actor[], bigint[]][]) {
        await networkHelpers.mine(2);
        await expect(inquiry.settle(undefined, revealed))
          .to.be.revertedWithCustomError(t.requests, "WrongWorkers")
          .withArgs(...args);
      }
      const sent = inquiry.settle(undefined, [second, first, third]);
      await expectEnd(inquiry, before, sent, Outcome.Unevaluated, {
        requester: -1_001n,
        "worker 0": 333n,
        "worker 1": 335n,
        "worker 2": 333n,
      });
    });

    it("pays all that revealed and the evaluator where the test data were withheld, and burns the pot once more", async () => {
      const t = await loadTree();
      const before = await moneyOf(t);
      const inquiry = await postRequest(t, { testData: await commitmentTo(t) });
      const [first, second] = t.workers as [Actor, Actor];
      await inquiry.begin();
      await inquiry.submit(first);
      await inquiry.submit(second);
      await at((await inquiry.state()).submitUntil + 1n);
      await inquiry.reveal(first);
      await inquiry.reveal(second);
      const deadline = await inquiry.deadline();
      await at(deadline);
      await expectPhase(inquiry, () => inquiry.rank(rankingOf(first)), Phase.Ranking, Phase.Revealing);
      await at(deadline + 1n);
      await expectPhase(inquiry, () => inquiry.rank(rankingOf(first)), Phase.Ranking, Phase.Settleable);
      expect((await t.vault.lockOf(t.ledger, await t.requests.depositLock(inquiry.id, 0))).amount).to.equal(DEPOSIT);
      await expectEnd(inquiry, before, inquiry.settle(undefined, [first, second]), Outcome.Withheld, {
        requester: -EVALUATOR_REWARD - 2n * POT,
        evaluator: EVALUATOR_REWARD,
        "worker 0": 501n,
        "worker 1": 500n,
        burned: POT,
      });
    });
  });
});
