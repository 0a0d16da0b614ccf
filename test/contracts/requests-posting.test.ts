import { expect } from "chai";
import { id as keccakOf, ZeroAddress, ZeroHash } from "ethers";

import { at, ethers, networkHelpers, now, pass, type Actor } from "./market-fixture.ts";
import {
  ACCEPT_WINDOW,
  ADMIN,
  DEPOSIT,
  DROP_INTERVAL,
  EVALUATOR,
  EVALUATOR_REWARD,
  expectAfter,
  expectEnd,
  expectPhase,
  expectUntil,
  FEE,
  FUNDS,
  join,
  KEY,
  loadTree,
  MAX_TIME_LIMIT,
  MAX_WINDOW,
  MIN_WINDOW,
  moneyOf,
  Outcome,
  Phase,
  postRequest,
  POT,
  requestOf,
  RewardFunction,
  schemaTerms,
  Stage,
  STEP,
  TIME_LIMIT,
  trustingRequestOf,
  WORKER,
  WorkerStatus,
  type Request,
  type Tree,
} from "./request-fixture.ts";

const field = (name: string): string => ethers.encodeBytes32String(name);

describe("Requests", () => {
  it("refuses windows that no length fits between", async () => {
    const { requests, vault, schemas } = await loadTree();
    for (const [least, most] of [
      [0n, 10n],
      [11n, 10n],
    ]) {
      await expect(ethers.deployContract("Requests", [vault, schemas, least!, most!]))
        .to.be.revertedWithCustomError(requests, "TermOutOfRange")
        .withArgs(field("minWindow"), least, 1n, most);
    }
  });

  it("fits into the limit on code size, as every contract here", async () => {
    const { requests, schemas } = await loadTree();
    for (const contract of [requests, schemas]) {
      const code = await ethers.provider.getCode(await contract.getAddress());
      expect(ethers.dataLength(code)).to.be.at.most(24_576);
    }
  });

  describe("requestJob", () => {
    const refused = async (t: Tree, changes: Partial<Request>, error: string, args?: unknown[]) => {
      const sent = t.requests.connect(t.requester).requestJob.staticCall(requestOf(t, changes));
      const matcher = expect(sent, JSON.stringify(Object.keys(changes))).to.be.revertedWithCustomError(
        t.requests,
        error,
      );
      await (args ? matcher.withArgs(...args) : matcher);
    };

    it("is the requester's own", async () => {
      const t = await loadTree();
      await expect(t.requests.connect(t.delegate).requestJob(requestOf(t)))
        .to.be.revertedWithCustomError(t.requests, "NotPermitted")
        .withArgs(t.delegate.address, t.requester.address);
    });

    it("refuses another release than the newest, and a schema that is none", async () => {
      const t = await loadTree();
      const old = keccakOf("release 1");
      await refused(t, { schema: keccakOf("nothing") }, "WrongRelease", [old, ZeroHash]);
      await refused(t, { schema: keccakOf("nothing"), release: ZeroHash }, "WrongRelease", [ZeroHash, ZeroHash]);
      await t.schemas.connect(t.root).release(t.schema, keccakOf("release 2"));
      await refused(t, {}, "WrongRelease", [old, keccakOf("release 2")]);
    });

    it("refuses who is no root, and takes one that started a tree", async () => {
      const t = await loadTree();
      await refused(t, { root: t.admin.address }, "NotRoot", [t.admin.address]);
      await refused(t, { root: t.stranger.address }, "NotRoot", [t.stranger.address]);
      await t.schemas.connect(t.stranger).startRoot(t.schema);
      await postRequest(t, { root: t.stranger.address });
    });

    it("refuses every field out of range, at either end", async () => {
      const t = await loadTree();
      const many = (count: number) => Array.from({ length: count }, (_, i) => ethers.toBeHex(i + 1, 20));
      const cases: [name: string, changes: Partial<Request>, least: bigint, most: bigint, actual: bigint][] = [
        ["workerReward", { workerReward: 0n }, 1n, 2n ** 96n - 1n, 0n],
        ["evaluatorReward", { evaluatorReward: 0n }, 1n, 2n ** 96n - 1n, 0n],
        ["workers", { workers: many(256) }, 0n, 255n, 256n],
        ["evaluators", { evaluators: many(65) }, 0n, 64n, 65n],
        ["maxWorkers", { maxWorkers: 0n }, 1n, 255n, 0n],
        ["maxWorkers", { workers: many(3), maxWorkers: 4n }, 1n, 3n, 4n],
        ["minWorkers", { minWorkers: 0n }, 1n, 255n, 0n],
        ["minWorkers", { minWorkers: 4n, maxWorkers: 3n }, 1n, 3n, 4n],
        ["acceptWindow", { acceptWindow: MIN_WINDOW - 1n }, MIN_WINDOW, MAX_WINDOW, MIN_WINDOW - 1n],
        ["acceptWindow", { acceptWindow: MAX_WINDOW + 1n }, MIN_WINDOW, MAX_WINDOW, MAX_WINDOW + 1n],
        ["stepWindow", { stepWindow: MIN_WINDOW - 1n }, MIN_WINDOW, MAX_WINDOW, MIN_WINDOW - 1n],
        ["stepWindow", { stepWindow: MAX_WINDOW + 1n }, MIN_WINDOW, MAX_WINDOW, MAX_WINDOW + 1n],
        ["timeLimit", { timeLimit: 0n }, 1n, MAX_TIME_LIMIT, 0n],
        ["timeLimit", { timeLimit: MAX_TIME_LIMIT + 1n }, 1n, MAX_TIME_LIMIT, MAX_TIME_LIMIT + 1n],
        ["challengeFee", { challengeFee: FEE - 1n }, FEE, 10n * FEE, FEE - 1n],
        ["challengeFee", { challengeFee: 10n * FEE + 1n }, FEE, 10n * FEE, 10n * FEE + 1n],
        ["deposit", { deposit: DEPOSIT - 1n }, DEPOSIT, 10n * DEPOSIT, DEPOSIT - 1n],
        ["deposit", { deposit: 10n * DEPOSIT + 1n }, DEPOSIT, 10n * DEPOSIT, 10n * DEPOSIT + 1n],
        ["deposit", { challengeFee: 10n * FEE }, 10n * FEE + 1n, 10n * DEPOSIT, DEPOSIT],
        ["list", { list: [1n] }, 0n, 0n, 1n],
        ["list", { rewardFunction: RewardFunction.List }, 1n, 255n, 0n],
        ["list", { rewardFunction: RewardFunction.List, list: Array(256).fill(1n) as bigint[] }, 1n, 255n, 256n],
        ["list sum", { rewardFunction: RewardFunction.List, list: [POT, 1n] }, 0n, POT, POT + 1n],
      ];
      for (const [name, changes, least, most, actual] of cases) {
        await refused(t, changes, "TermOutOfRange", [field(name), actual, least, most]);
      }
      const good: Partial<Request>[] = [
        { acceptWindow: MIN_WINDOW, stepWindow: MAX_WINDOW, timeLimit: MAX_TIME_LIMIT },
        { acceptWindow: MAX_WINDOW, stepWindow: MIN_WINDOW, timeLimit: 1n },
        { challengeFee: 10n * FEE, deposit: 10n * DEPOSIT },
        { rewardFunction: RewardFunction.List, list: [POT - 1n, 1n] },
        { workers: many(255), evaluators: many(64), minWorkers: 255n },
      ];
      for (const [nonce, changes] of good.entries()) await postRequest(t, { ...changes, nonce: BigInt(nonce) });
    });

    it("refuses a key that is no point", async () => {
      const t = await loadTree();
      for (const encryptionKey of ["0x", `0x04${KEY.slice(4)}`, `${KEY}00`]) {
        await refused(t, { encryptionKey }, "InvalidKey", [encryptionKey]);
      }
    });

    it("refuses reward functions that the schema does not allow", async () => {
      const t = await loadTree();
      await refused(t, { rewardFunction: RewardFunction.None }, "FunctionNotAllowed", [0n, 31n]);
      const terms = schemaTerms({ rewardFunctions: 0b01010n });
      const schema = await t.schemas.schemaId(t.root, terms);
      await t.schemas.connect(t.root).registerJob(terms);
      for (const rewardFunction of [RewardFunction.Even, RewardFunction.ByRank, RewardFunction.List]) {
        await refused(t, { schema, rewardFunction }, "FunctionNotAllowed", [rewardFunction, 0b01010n]);
      }
      await postRequest(t, { schema, rewardFunction: RewardFunction.WinnerTakesAll });
      await postRequest(t, { schema, rewardFunction: RewardFunction.ByScore });
    });

    it("skips evaluation only evenly, among workers it lists, and pays nobody for it", async () => {
      const t = await loadTree();
      const trusting = (changes: Partial<Request>) => trustingRequestOf(t, changes);
      const cases: [string, unknown[] | undefined, Partial<Request>][] = [
        ["TermOutOfRange", [field("workers"), 0n, 1n, 255n], { workers: [] }],
        ["TermOutOfRange", [field("evaluators"), 1n, 0n, 0n], { evaluators: [t.evaluator.address] }],
        ["FunctionNotAllowed", [RewardFunction.ByRank, 31n], { rewardFunction: RewardFunction.ByRank }],
        ["TermOutOfRange", [field("evaluatorReward"), 1n, 0n, 0n], { evaluatorReward: 1n }],
        ["TermOutOfRange", [field("testData"), 1n, 0n, 0n], { testData: ethers.toBeHex(1, 32) }],
        ["TermOutOfRange", [field("challengeFee"), 1n, 0n, 0n], { challengeFee: 1n }],
        ["TermOutOfRange", [field("deposit"), 1n, 0n, 0n], { deposit: 1n }],
      ];
      for (const [error, args, changes] of cases) await refused(t, trusting(changes), error, args);
      await postRequest(t, trusting({}));
    });

    it("locks both rewards, and the pot twice where there are test data", async () => {
      const t = await loadTree();
      const before = await moneyOf(t);
      const plain = await postRequest(t);
      const tested = await postRequest(t, { testData: keccakOf("test data") });
      expect((await t.vault.lockOf(t.ledger, plain.id)).amount).to.equal(EVALUATOR_REWARD + POT);
      expect((await t.vault.lockOf(t.ledger, tested.id)).amount).to.equal(EVALUATOR_REWARD + 2n * POT);
      expect(await moneyOf(t, [plain, tested])).to.deep.equal(before);
      const tooMuch = requestOf(t, { nonce: 9n, workerReward: FUNDS });
      await expect(t.requests.connect(t.requester).requestJob(tooMuch)).to.be.revertedWithCustomError(
        t.vault,
        "InsufficientAvailable",
      );
      await refused(
        t,
        { nonce: 9n, workerReward: 2n ** 96n - 1n, evaluatorReward: 1n },
        "SafeCastOverflowedUintDowncast",
      );
    });

    it("is told in full and stored as a hash, and never posted twice", async () => {
      const t = await loadTree();
      const request = requestOf(t, { nonce: 5n });
      const id = await t.requests.requestId(request);
      expect(await t.requests.phaseOf(id)).to.equal(Phase.Unknown);
      const sent = t.requests.connect(t.requester).requestJob(request);
      await expect(sent)
        .to.emit(t.requests, "RequestPosted")
        .withArgs(id, t.schema, t.requester.address, Object.values(request), EVALUATOR_REWARD + POT);
      await expect(t.requests.connect(t.requester).requestJob(request))
        .to.be.revertedWithCustomError(t.requests, "RequestExists")
        .withArgs(id);
      const state = await t.requests.requestState(id);
      const posted = await now();
      expect([state.startAt, state.submitUntil, state.deadline]).to.deep.equal([
        posted + ACCEPT_WINDOW,
        posted + ACCEPT_WINDOW + TIME_LIMIT,
        posted + ACCEPT_WINDOW + TIME_LIMIT + STEP,
      ]);
      expect([state.stage, state.stepWindow, state.minWorkers]).to.deep.equal([Stage.Open, STEP, 1n]);
      await pass(posted + ACCEPT_WINDOW);
      await t.requests.cancel(request);
      await expect(t.requests.connect(t.requester).requestJob(request)).to.be.revertedWithCustomError(
        t.requests,
        "RequestExists",
      );
      expect(await t.requests.phaseOf(id)).to.equal(Phase.Ended);
    });
  });

  describe("acceptJob", () => {
    it("is possible up to the last second of the window", async () => {
      const t = await loadTree();
      const inquiry = await postRequest(t);
      await inquiry.evaluate();
      const accept = () => inquiry.work(t.workers[0]!);
      await expectUntil(inquiry, inquiry.acceptUntil, accept, Phase.Accepting, Phase.Unmet);
    });

    it("refuses who is no member, has another role, or is cut off", async () => {
      const t = await loadTree();
      const inquiry = await postRequest(t);
      await expect(inquiry.work(t.stranger))
        .to.be.revertedWithCustomError(t.schemas, "RoleMissing")
        .withArgs(t.stranger.address, 0n, WORKER);
      await expect(inquiry.work(t.evaluator)).to.be.revertedWithCustomError(t.schemas, "RoleMissing");
      await expect(inquiry.as(t.workers[0]!).acceptJob(inquiry.request, EVALUATOR, KEY)).to.be.revertedWithCustomError(
        t.schemas,
        "RoleMissing",
      );
      await expect(inquiry.as(t.admin).acceptJob(inquiry.request, ADMIN, KEY))
        .to.be.revertedWithCustomError(t.requests, "TermOutOfRange")
        .withArgs(field("role"), ADMIN, EVALUATOR, EVALUATOR);
      await expect(inquiry.as(t.root).acceptJob(inquiry.request, WORKER | EVALUATOR, KEY))
        .to.be.revertedWithCustomError(t.requests, "TermOutOfRange")
        .withArgs(field("role"), WORKER | EVALUATOR, EVALUATOR, EVALUATOR);
      await t.schemas.connect(t.root).drop(t.schema, t.admin);
      await expect(inquiry.work(t.workers[0]!)).to.be.revertedWithCustomError(t.schemas, "CutOff");
      await expect(inquiry.as(t.evaluator).acceptJob(inquiry.request, EVALUATOR, KEY)).to.be.revertedWithCustomError(
        t.schemas,
        "CutOff",
      );
      await inquiry.evaluate(t.high);
    });

    it("refuses other trees of the same schema", async () => {
      const t = await loadTree();
      const inquiry = await postRequest(t);
      await t.schemas.connect(t.stranger).startRoot(t.schema);
      for (const role of [WORKER, EVALUATOR]) {
        await expect(inquiry.as(t.stranger).acceptJob(inquiry.request, role, KEY))
          .to.be.revertedWithCustomError(t.requests, "ForeignTree")
          .withArgs(t.stranger.address, t.stranger.address, t.root.address);
      }
      await t.schemas.connect(t.root).drop(t.schema, t.admin);
      await t.schemas.connect(t.admin).startRoot(t.schema);
      await expect(inquiry.evaluate())
        .to.be.revertedWithCustomError(t.requests, "ForeignTree")
        .withArgs(t.evaluator.address, t.admin.address, t.root.address);
    });

    it("refuses whom the request does not list", async () => {
      const t = await loadTree();
      const inquiry = await postRequest(t, {
        evaluators: [t.rival.address],
        workers: [t.workers[0]!.address, t.workers[1]!.address],
        maxWorkers: 2n,
      });
      await expect(inquiry.evaluate())
        .to.be.revertedWithCustomError(t.requests, "NotListed")
        .withArgs(t.evaluator.address);
      await expect(inquiry.work(t.workers[2]!))
        .to.be.revertedWithCustomError(t.requests, "NotListed")
        .withArgs(t.workers[2]!.address);
      await inquiry.evaluate(t.rival);
      await inquiry.work(t.workers[1]!);
    });

    it("refuses an evaluator where evaluation is skipped", async () => {
      const t = await loadTree();
      const inquiry = await postRequest(t, trustingRequestOf(t));
      await expect(inquiry.evaluate()).to.be.revertedWithCustomError(t.requests, "NotListed");
    });

    it("refuses who would act in its own matter", async () => {
      const t = await loadTree();
      await join(t, t.requester, t.admin, WORKER | EVALUATOR);
      await join(t, t.delegate, t.admin, WORKER | EVALUATOR);
      await join(t, t.evaluator, t.admin, WORKER);
      await join(t, t.workers[0]!, t.admin, EVALUATOR);
      const inquiry = await postRequest(t);
      const ownMatter = async (sent: Promise<unknown>, node: Actor) =>
        await expect(sent).to.be.revertedWithCustomError(t.requests, "OwnMatter").withArgs(node.address);
      for (const node of [t.requester, t.delegate]) {
        await ownMatter(inquiry.work(node), node);
        await ownMatter(inquiry.evaluate(node), node);
      }
      await inquiry.work(t.workers[0]!);
      await ownMatter(inquiry.evaluate(t.workers[0]!), t.workers[0]!);
      await inquiry.evaluate();
      await ownMatter(inquiry.work(t.evaluator), t.evaluator);
    });

    it("lets a worker that resigned evaluate", async () => {
      const t = await loadTree();
      await join(t, t.workers[0]!, t.admin, EVALUATOR);
      const inquiry = await postRequest(t);
      await inquiry.work(t.workers[0]!);
      await inquiry.as(t.workers[0]!).resign(inquiry.id);
      await inquiry.evaluate(t.workers[0]!);
    });

    it("takes one evaluator, locks its deposit and fixes its judges", async () => {
      const t = await loadTree();
      const inquiry = await postRequest(t);
      await expect(inquiry.evaluate())
        .to.emit(t.requests, "EvaluatorAccepted")
        .withArgs(inquiry.id, t.evaluator.address, [t.admin.address, t.root.address], KEY);
      const lock = await t.vault.lockOf(t.ledger, await t.requests.depositLock(inquiry.id, 0));
      expect([...lock]).to.deep.equal([t.evaluator.address, DEPOSIT]);
      const { evaluator, top, path } = await inquiry.state();
      expect([evaluator, top]).to.deep.equal([t.evaluator.address, 2n]);
      const coder = ethers.AbiCoder.defaultAbiCoder();
      expect(path).to.equal(ethers.keccak256(coder.encode(["address[]"], [[t.admin.address, t.root.address]])));
      await expect(inquiry.evaluate(t.rival))
        .to.be.revertedWithCustomError(t.requests, "EvaluatorTaken")
        .withArgs(t.evaluator.address);
    });

    it("takes as many workers as there are places, each once", async () => {
      const t = await loadTree();
      const inquiry = await postRequest(t, { maxWorkers: 2n });
      const [first, second, third] = t.workers as [Actor, Actor, Actor];
      await expect(inquiry.work(first)).to.emit(t.requests, "WorkerAccepted").withArgs(inquiry.id, first.address, KEY);
      await expect(inquiry.work(first))
        .to.be.revertedWithCustomError(t.requests, "WrongWorkerStatus")
        .withArgs(first.address, WorkerStatus.Accepted, WorkerStatus.None);
      await inquiry.work(second);
      await expect(inquiry.work(third)).to.be.revertedWithCustomError(t.requests, "NoPlaceLeft").withArgs(2n);
      await inquiry.as(first).resign(inquiry.id);
      await inquiry.work(third);
      expect((await inquiry.state()).workers).to.equal(2n);
    });

    it("refuses a key that is no point, and a request that was never posted", async () => {
      const t = await loadTree();
      const inquiry = await postRequest(t);
      await expect(inquiry.as(t.workers[0]!).acceptJob(inquiry.request, WORKER, "0x05")).to.be.revertedWithCustomError(
        t.requests,
        "InvalidKey",
      );
      const altered = { ...inquiry.request, workerReward: POT + 1n };
      await expect(t.requests.connect(t.workers[0]!).acceptJob(altered, WORKER, KEY))
        .to.be.revertedWithCustomError(t.requests, "WrongPhase")
        .withArgs(await t.requests.requestId(altered), Phase.Unknown, Phase.Accepting);
    });
  });

  describe("resign and rejectWorker", () => {
    it("are for workers that accepted, before the start, for good", async () => {
      const t = await loadTree();
      const inquiry = await postRequest(t);
      const [first, second, third] = t.workers as [Actor, Actor, Actor];
      await expect(inquiry.as(first).resign(inquiry.id))
        .to.be.revertedWithCustomError(t.requests, "WrongWorkerStatus")
        .withArgs(first.address, WorkerStatus.None, WorkerStatus.Accepted);
      for (const worker of [first, second, third]) await inquiry.work(worker);
      await expect(inquiry.as(first).resign(inquiry.id))
        .to.emit(t.requests, "WorkerResigned")
        .withArgs(inquiry.id, first.address);
      await expect(inquiry.as(t.stranger).rejectWorker(inquiry.request, second))
        .to.be.revertedWithCustomError(t.requests, "NotPermitted")
        .withArgs(t.stranger.address, t.requester.address);
      await expect(inquiry.as(t.delegate).rejectWorker(inquiry.request, second))
        .to.emit(t.requests, "WorkerRejected")
        .withArgs(inquiry.id, second.address);
      for (const [worker, status] of [
        [first, WorkerStatus.Resigned],
        [second, WorkerStatus.Rejected],
      ] as const) {
        expect((await t.requests.workerOf(inquiry.id, worker)).status).to.equal(status);
        await expect(inquiry.work(worker))
          .to.be.revertedWithCustomError(t.requests, "WrongWorkerStatus")
          .withArgs(worker.address, status, WorkerStatus.None);
      }
      await inquiry.evaluate();
      await inquiry.as(t.requester).start(inquiry.request);
      await expectPhase(inquiry, () => inquiry.as(third).resign(inquiry.id), Phase.Accepting, Phase.Computing);
      const reject = () => inquiry.as(t.requester).rejectWorker(inquiry.request, third);
      await expectPhase(inquiry, reject, Phase.Accepting, Phase.Computing);
    });

    it("end with the window", async () => {
      const t = await loadTree();
      const inquiry = await postRequest(t);
      await inquiry.evaluate();
      await inquiry.work(t.workers[0]!);
      await inquiry.work(t.workers[1]!);
      const before = await networkHelpers.takeSnapshot();
      const resign = () => inquiry.as(t.workers[0]!).resign(inquiry.id);
      await expectUntil(inquiry, inquiry.acceptUntil, resign, Phase.Accepting, Phase.Computing);
      await before.restore();
      const reject = () => inquiry.as(t.requester).rejectWorker(inquiry.request, t.workers[0]!);
      await expectUntil(inquiry, inquiry.acceptUntil, reject, Phase.Accepting, Phase.Computing);
    });
  });

  describe("start", () => {
    it("is the requester's or its delegate's, once somebody evaluates and enough work", async () => {
      const t = await loadTree();
      const inquiry = await postRequest(t, { minWorkers: 2n });
      const start = () => inquiry.as(t.delegate).start(inquiry.request);
      await inquiry.work(t.workers[0]!);
      await inquiry.work(t.workers[1]!);
      await expectPhase(inquiry, start, Phase.Accepting, Phase.Unmet);
      await inquiry.evaluate();
      await inquiry.as(t.workers[0]!).resign(inquiry.id);
      await expectPhase(inquiry, start, Phase.Accepting, Phase.Unmet);
      await inquiry.work(t.workers[2]!);
      await expect(inquiry.as(t.stranger).start(inquiry.request)).to.be.revertedWithCustomError(
        t.requests,
        "NotPermitted",
      );
      const second = (await now()) + 10n;
      await at(second);
      await expect(start())
        .to.emit(t.requests, "Started")
        .withArgs(inquiry.id, second + TIME_LIMIT);
      const { submitUntil, deadline } = await inquiry.state();
      expect([submitUntil, deadline]).to.deep.equal([second + TIME_LIMIT, second + TIME_LIMIT + STEP]);
      expect(await inquiry.phase()).to.equal(Phase.Computing);
      await expectPhase(inquiry, () => inquiry.work(t.workers[3]!), Phase.Accepting, Phase.Computing);
      await expectPhase(inquiry, start, Phase.Accepting, Phase.Computing);
    });

    it("happens by itself when the window ends, and not before", async () => {
      const t = await loadTree();
      const inquiry = await postRequest(t);
      await inquiry.evaluate();
      await inquiry.work(t.workers[0]!);
      const submit = () => inquiry.submit(t.workers[0]!);
      await expectAfter(inquiry, inquiry.acceptUntil, submit, Phase.Computing, Phase.Accepting);
    });
  });

  describe("cancel", () => {
    it("returns everything once the window has passed without an evaluator", async () => {
      const t = await loadTree();
      const before = await moneyOf(t);
      const inquiry = await postRequest(t, { testData: keccakOf("test data") });
      await inquiry.work(t.workers[0]!);
      let sent!: Promise<never>;
      const cancel = () => (sent = inquiry.as(t.stranger).cancel(inquiry.request) as Promise<never>);
      await expectAfter(inquiry, inquiry.acceptUntil, cancel, Phase.Unmet, Phase.Accepting);
      await expectEnd(inquiry, before, sent, Outcome.Cancelled, {});
      await expectPhase(inquiry, cancel, Phase.Unmet, Phase.Ended);
    });

    it("returns the deposit of an evaluator that too few workers joined", async () => {
      const t = await loadTree();
      const before = await moneyOf(t);
      const inquiry = await postRequest(t, { minWorkers: 2n });
      await inquiry.evaluate();
      await inquiry.work(t.workers[0]!);
      await inquiry.work(t.workers[1]!);
      await inquiry.as(t.workers[1]!).resign(inquiry.id);
      await pass(inquiry.acceptUntil);
      await expectPhase(inquiry, () => inquiry.submit(t.workers[0]!), Phase.Computing, Phase.Unmet);
      await expectEnd(inquiry, before, inquiry.as(t.stranger).cancel(inquiry.request), Outcome.Cancelled, {});
    });

    it("refuses what has begun", async () => {
      const t = await loadTree();
      const inquiry = await postRequest(t);
      await inquiry.begin();
      const cancel = () => inquiry.as(t.requester).cancel(inquiry.request);
      await expectPhase(inquiry, cancel, Phase.Unmet, Phase.Computing);
    });
  });

  describe("grant", () => {
    it("is for those that take part", async () => {
      const t = await loadTree();
      const inquiry = await postRequest(t);
      const [first, second, third] = t.workers as [Actor, Actor, Actor];
      await inquiry.evaluate();
      for (const worker of [first, second, third]) await inquiry.work(worker);
      await inquiry.as(second).resign(inquiry.id);
      await inquiry.as(t.requester).rejectWorker(inquiry.request, third);
      const content = keccakOf("keys");
      for (const by of [t.requester, t.delegate, t.evaluator, first]) {
        await expect(inquiry.as(by).grant(inquiry.request, content))
          .to.emit(t.requests, "Granted")
          .withArgs(inquiry.id, by.address, content);
      }
      for (const by of [t.stranger, second, third]) {
        await expect(inquiry.as(by).grant(inquiry.request, content))
          .to.be.revertedWithCustomError(t.requests, "NotPermitted")
          .withArgs(by.address, t.requester.address);
      }
      const other = requestOf(t, { nonce: 77n });
      await expect(inquiry.as(t.requester).grant(other, content)).to.be.revertedWithCustomError(
        t.requests,
        "NotPermitted",
      );
      const nobody = requestOf(t, { nonce: 78n, delegate: ZeroAddress });
      await expect(inquiry.as(t.delegate).start(nobody)).to.be.revertedWithCustomError(t.requests, "WrongPhase");
    });
  });

  it("leaves a drop in the middle without effect on what was accepted", async () => {
    const t = await loadTree();
    const inquiry = await postRequest(t);
    await inquiry.begin();
    await t.schemas.connect(t.admin).drop(t.schema, t.workers[0]!);
    await networkHelpers.time.increase(DROP_INTERVAL - 2_000n);
    await inquiry.submit(t.workers[0]!);
  });
});
