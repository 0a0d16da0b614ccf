import { expect } from "chai";
import { ZeroHash } from "ethers";
import { rewardFunctionBits, type RewardFunction } from "#sdk/request-terms.ts";
import { readTyped, type TypedValue } from "../../agents/console/flow-text.ts";
import { leastTimes, readRequest, type TypedRequest } from "../../agents/console/request-text.ts";
import { code } from "../support/error-code.ts";
import { accountAt, ROOT } from "../support/request-history.ts";

const TOKEN = 10n ** 18n;
const JOB = `0x${"ab".repeat(32)}`;
const TIMES = leastTimes({ minWindow: 2, maxWindow: 86_400, finalDepth: 2 }, 1);
const ALL: RewardFunction[] = ["even", "winner-takes-all", "by-rank", "by-score", "list"];

function requestOf(typed: TypedValue, allowed = ALL): TypedRequest {
  const terms = { release: ZeroHash, minimumDeposit: 20n * TOKEN, challengeFee: TOKEN, nonce: 0n };
  const rewardFunctions = rewardFunctionBits(allowed);
  const jobOf = () => ({ id: JOB, registrant: ROOT, terms: { ...terms, rewardFunctions } });
  return readRequest(typed, { decimals: 18, times: TIMES, jobOf });
}

const paper: Record<string, TypedValue> = { job_id: JOB, job_input: { y: 4 }, reward: [10, 10], time_limit: 3000 };

describe("what is typed at the console", () => {
  it("needs no quotes, and keeps what is exact", () => {
    expect(readTyped(`{job_id: 0xabcde, job_input: {y: 4}, reward: [10, 10], time_limit: 3000}`)).to.deep.equal({
      job_id: "0xabcde",
      job_input: { y: 4 },
      reward: [10, 10],
      time_limit: 3000,
    });
    expect(readTyped(`{"a": "4", b: -1.5e3, c: [true, null, 'x y'], d: two words, e: 12345678901234567890}`))
      .to.deep //
      .equal({ a: "4", b: -1500, c: [true, null, "x y"], d: "two words", e: "12345678901234567890" });
    expect(readTyped(`{a: 007, b: 0x10, c: {}, d: [], e: ""}`))
      .to.deep //
      .equal({ a: "007", b: "0x10", c: {}, d: [], e: "" });
  });

  for (const [what, text] of [
    ["a bracket that is not closed", "{a: [1, 2}"],
    ["a colon without a space", "{y:4}"],
    ["a key twice", "{a: 1, a: 2}"],
    ["nothing", "  "],
    ["more than one value", "{a: 1} {b: 2}"],
  ] as const) {
    it(`is refused with ${what}`, () => {
      expect(code(() => readTyped(text))).to.equal("CONSOLE_SYNTAX");
    });
  }
});

describe("requestJob", () => {
  it("reads the paper's request: the evaluator's reward and then each rank's, milliseconds", () => {
    const { terms, input, visibility, words } = requestOf({ ...paper, time_limit: 60_000 });
    expect(terms).to.deep.equal({
      ...{ schema: JOB, root: ROOT, rewardFunction: "list", list: [10n * TOKEN] },
      ...{ evaluatorReward: 10n * TOKEN, workerReward: 10n * TOKEN, evaluators: [], workers: [] },
      ...{ minWorkers: 1, maxWorkers: 12, skipEvaluation: false },
      ...{ acceptWindow: TIMES.window, timeLimit: 60, stepWindow: TIMES.window },
      ...{ deposit: 20n * TOKEN, challengeFee: TOKEN },
    });
    expect([input, visibility, words]).to.deep.equal([{ y: 4 }, "sealed", []]);
  });

  it("raises a time that the chain cannot keep, and says so", () => {
    const { terms, words } = requestOf(paper);
    expect(terms.timeLimit).to.equal(TIMES.timeLimit);
    expect(words).to.have.length(1);
    expect(words[0]).to.include("time_limit").and.include("3000");
  });

  it("takes what the job allows for the list, where it means the same", () => {
    const { terms } = requestOf(paper, ["winner-takes-all"]);
    expect([terms.rewardFunction, terms.list]).to.deep.equal(["winner-takes-all", []]);
    const ranks = { ...paper, reward: [10, 6, 4] };
    expect(requestOf(ranks).terms.list).to.deep.equal([6n * TOKEN, 4n * TOKEN]);
    expect(code(() => requestOf(ranks, ["winner-takes-all"]))).to.equal("CONSOLE_REQUEST_INVALID");
  });

  it("takes functions by name", () => {
    const reward = { function: "by_rank", evaluator: "1.5", workers: 30 };
    expect(requestOf({ ...paper, reward }).terms).to.include({
      ...{ rewardFunction: "by-rank", evaluatorReward: (3n * TOKEN) / 2n, workerReward: 30n * TOKEN },
    });
    const list = { function: "list", evaluator: 1, list: [3, 2] };
    expect(requestOf({ ...paper, reward: list }).terms).to.deep.include({
      ...{ workerReward: 5n * TOKEN, list: [3n * TOKEN, 2n * TOKEN] },
    });
  });

  it("trusts the workers it names, without evaluation", () => {
    const trusting = { ...paper, skip_evaluation: true, worker_node: [accountAt(0), accountAt(1).toLowerCase()] };
    const { terms } = requestOf({ ...trusting, reward: [0, 10] });
    expect(terms).to.deep.include({
      ...{ rewardFunction: "even", evaluatorReward: 0n, deposit: 0n, challengeFee: 0n, maxWorkers: 2 },
      ...{ workers: [accountAt(0), accountAt(1)], skipEvaluation: true },
    });
    expect(code(() => requestOf(trusting))).to.equal("CONSOLE_REQUEST_INVALID");
    expect(code(() => requestOf({ ...paper, reward: [0, 10], skip_evaluation: true }))).to.equal(
      "CONSOLE_REQUEST_INVALID",
    );
  });

  for (const [what, changes] of [
    ["a key that is none", { job: 1 }],
    ["a reward that is no amount", { reward: [10, "much"] }],
    ["a reward of the evaluator alone", { reward: [10] }],
    ["a function that is none", { reward: { function: "all", evaluator: 1, workers: 1 } }],
    ["a node that is no address", { evaluator_node: ["0x12"] }],
    ["a node twice", { worker_node: [accountAt(0), accountAt(0)] }],
    ["more workers than are named", { worker_node: [accountAt(0)], max_workers: 2 }],
    ["half a millisecond", { time_limit: 0.5 }],
    ["a time limit of years", { time_limit: 1e12 }],
    ["a visibility that is none", { visibility: "secret" }],
    ["skip_evaluation in words", { skip_evaluation: "yes" }],
  ] as [string, Record<string, TypedValue>][]) {
    it(`refuses ${what}`, () => {
      expect(code(() => requestOf({ ...paper, ...changes }))).to.equal("CONSOLE_REQUEST_INVALID");
    });
  }

  it("refuses a request without input, job or reward", () => {
    for (const missing of ["job_id", "job_input", "reward"]) {
      const { [missing]: _, ...rest } = paper;
      expect(
        code(() => requestOf(rest)),
        missing,
      ).to.equal("CONSOLE_REQUEST_INVALID");
    }
  });
});
