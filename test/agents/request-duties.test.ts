import { expect } from "chai";
import { id as keccakOf } from "ethers";
import { requestDuties, type RequestDuty, type RequestFacts } from "../../agents/participant/request-duties.ts";
import { accountAt, EVALUATOR, PARENT, rankingOf, RequestHistory, ROOT } from "../support/request-history.ts";

const EVERYBODY = [accountAt(0), accountAt(1), EVALUATOR, PARENT, ROOT];

/** Everything is final, everybody has the key and is of one mind, unless told otherwise. */
function dutiesOf(history: RequestHistory, changes: Partial<RequestFacts> = {}): RequestDuty[] {
  return requestDuties(history.record, {
    now: history.now,
    finalBlock: history.block,
    phaseSince: history.block,
    isSealed: true,
    granted: new Set(EVERYBODY),
    judgement: "pending",
    challenge: "own",
    ...changes,
  });
}

const kinds = (duties: readonly RequestDuty[]): string[] => duties.map(({ kind }) => kind);

describe("a requester's duties", () => {
  it("begin a request at once only when nobody more can take part", () => {
    expect(dutiesOf(new RequestHistory().evaluator().worker(0))).to.deep.equal([]);
    expect(dutiesOf(new RequestHistory().worker(0, 1))).to.deep.equal([]);
    expect(dutiesOf(new RequestHistory().evaluator().worker(0, 1))).to.deep.equal([{ kind: "start" }]);
    const trusted = { skipEvaluation: true, workers: [accountAt(0)], maxWorkers: 1 };
    expect(dutiesOf(new RequestHistory(trusted).worker(0))).to.deep.equal([{ kind: "start" }]);
  });

  it("take back what too few accepted", () => {
    expect(dutiesOf(new RequestHistory().worker(0).wait(200))).to.deep.equal([{ kind: "cancel" }]);
    expect(dutiesOf(new RequestHistory().evaluator().wait(200))).to.deep.equal([{ kind: "cancel" }]);
  });

  it("give the key to all who take part and may judge, once who they are is final", () => {
    const history = new RequestHistory().keys(PARENT, ROOT).evaluator().worker(0, 1).started();
    const facts = { granted: new Set<string>() };
    expect(dutiesOf(history, { ...facts, finalBlock: history.block - 1 })).to.deep.equal([]);
    expect(dutiesOf(history, facts)).to.deep.equal([{ kind: "grant", nodes: EVERYBODY }]);
    const unready = new RequestHistory().keys(PARENT).evaluator().worker(0, 1).started();
    expect(dutiesOf(unready, facts)).to.deep.equal([{ kind: "grant", nodes: EVERYBODY.slice(0, -1) }]);
    expect(dutiesOf(history, { granted: new Set(EVERYBODY.slice(1)) })).to.deep.equal([
      { kind: "grant", nodes: [accountAt(0)] },
    ]);
    expect(dutiesOf(history, { ...facts, isSealed: false })).to.deep.equal([]);
    // What comes after the last second of revealing counts for nobody.
    expect(kinds(dutiesOf(history.submitted(0, 1).revealed(0, 1).allRevealed().wait(1), facts))).to.deep.equal([
      "judge",
    ]);
  });

  it("show test data once nobody can commit any more, and that is final", () => {
    const testData = { testData: keccakOf("commitment") };
    const computing = new RequestHistory(testData).evaluator().worker(0, 1).started();
    expect(dutiesOf(computing)).to.deep.equal([]);
    const revealing = computing.submitted(0, 1).wait(1);
    expect(dutiesOf(revealing, { finalBlock: revealing.block - 1 })).to.deep.equal([]);
    expect(dutiesOf(revealing)).to.deep.equal([{ kind: "reveal-test-data" }]);
    expect(dutiesOf(revealing.testData())).to.deep.equal([]);
  });

  it("accept a ranking that is as they would have it, once it is final, and once", () => {
    const history = new RequestHistory().ranking().wait(1);
    expect(kinds(dutiesOf(history))).to.deep.equal(["judge"]);
    history.ruled(rankingOf(1, 0));
    expect(kinds(dutiesOf(history))).to.deep.equal(["judge"]);
    expect(dutiesOf(history, { judgement: "unable" })).to.deep.equal([]);
    expect(dutiesOf(history, { judgement: "agrees", finalBlock: history.block - 1 })).to.deep.equal([]);
    expect(dutiesOf(history, { judgement: "agrees" })).to.deep.equal([{ kind: "accept" }]);
    expect(dutiesOf(history.accepted(), { judgement: "agrees" })).to.deep.equal([]);
  });

  it("challenge a ranking that is not, up to the root", () => {
    const differs = { judgement: "differs" } as const;
    const history = new RequestHistory().ranking().ruled(rankingOf(1));
    expect(dutiesOf(history, { ...differs, finalBlock: history.block - 1 })).to.deep.equal([]);
    expect(dutiesOf(history, { ...differs, challenge: "never" })).to.deep.equal([]);
    expect(dutiesOf(history, differs)).to.deep.equal([{ kind: "challenge", tier: 0 }]);
    history.challenged(accountAt(0)).ruled(rankingOf(0), 1);
    expect(dutiesOf(history, differs)).to.deep.equal([{ kind: "challenge", tier: 1 }]);
    history.challenged(accountAt(1), 1).ruled(rankingOf(1), 2);
    expect(dutiesOf(history, differs)).to.deep.equal([]);
    // Who accepted the evaluator's may still challenge what a judge made of it.
    const overturned = new RequestHistory().ranking().ruled(rankingOf(1)).accepted();
    expect(dutiesOf(overturned, differs)).to.deep.equal([]);
    overturned.challenged(accountAt(0)).ruled(rankingOf(0), 1);
    expect(dutiesOf(overturned, differs)).to.deep.equal([{ kind: "challenge", tier: 1 }]);
  });

  it("call the next judge where one was silent, and settle what is final", () => {
    const silent = new RequestHistory().ranking();
    expect(dutiesOf(silent.wait(101))).to.deep.equal([{ kind: "climb", tier: 0 }]);
    const unheard = new RequestHistory().ranking().ruled(rankingOf(1)).challenged(accountAt(0));
    expect(kinds(dutiesOf(unheard))).to.deep.equal(["judge"]);
    expect(dutiesOf(unheard.wait(101))).to.deep.equal([{ kind: "climb", tier: 1 }]);
    const final = new RequestHistory().ranking().ruled(rankingOf(1)).wait(101);
    expect(dutiesOf(final)).to.deep.equal([{ kind: "settle" }]);
    expect(dutiesOf(final.settled())).to.deep.equal([]);
  });
});
