import { expect } from "chai";
import { ROLES } from "#sdk/request-terms.ts";
import {
  applicationDuties,
  approvalDuties,
  commonDuties,
  judgementDuties,
  workDuties,
  type JobPolicy,
  type ParticipantFacts,
} from "../../agents/participant/duties.ts";
import {
  accountAt,
  EVALUATOR,
  PARENT,
  rankingOf,
  REQUEST,
  RequestHistory,
  REQUESTER,
  ROOT,
} from "../support/request-history.ts";

const WORKER = accountAt(0);
const ALL: JobPolicy = { schema: REQUEST.schema, roles: ["admin", "evaluator", "worker"], minReward: 0n };

/** Everything is final, and the account takes what there is, unless told otherwise. */
function factsOf(history: RequestHistory, me: string, changes: Partial<ParticipantFacts> = {}): ParticipantFacts {
  const { now, block } = history;
  return { me, now, finalBlock: block, finalTime: now, jobs: [ALL], challenges: true, maxRequests: 8, ...changes };
}

type Find = typeof workDuties | typeof judgementDuties | typeof commonDuties;
const kindsOf = (find: Find, history: RequestHistory, me: string, changes: Partial<ParticipantFacts> = {}): string[] =>
  find(history.state, factsOf(history, me, changes)).map(({ kind }) => kind);

/** A request of a job whose tree is: the root, an admin, an evaluator below that, two workers below the root. */
function posted(changes: Partial<typeof REQUEST> = {}): RequestHistory {
  return new RequestHistory(changes)
    .schema()
    .member(PARENT, ROOT, ROLES.admin)
    .member(EVALUATOR, PARENT, ROLES.evaluator)
    .member(WORKER, ROOT, ROLES.worker)
    .member(accountAt(1), ROOT, ROLES.worker)
    .keys(PARENT, ROOT);
}

describe("a worker's duties", () => {
  it("accept what is asked of its tree, is paid well enough and has a place", () => {
    const policy = (minReward: bigint): Partial<ParticipantFacts> => ({ jobs: [{ ...ALL, minReward }] });
    expect(kindsOf(workDuties, posted(), WORKER)).to.deep.equal(["accept-work"]);
    // The pot is 10, and two may share it.
    expect(kindsOf(workDuties, posted(), WORKER, policy(5n))).to.deep.equal(["accept-work"]);
    expect(kindsOf(workDuties, posted(), WORKER, policy(6n))).to.deep.equal([]);
    expect(kindsOf(workDuties, posted().worker(1, 2), WORKER)).to.deep.equal([]);
    expect(kindsOf(workDuties, posted({ workers: [accountAt(1)] }), WORKER)).to.deep.equal([]);
    expect(kindsOf(workDuties, posted({ root: PARENT }), WORKER)).to.deep.equal([]);
    expect(kindsOf(workDuties, posted(), WORKER, { jobs: [{ ...ALL, roles: ["evaluator"] }] })).to.deep.equal([]);
    expect(kindsOf(workDuties, posted().dropped(WORKER, ROOT), WORKER)).to.deep.equal([]);
    expect(kindsOf(workDuties, posted().wait(200), WORKER)).to.deep.equal([]);
  });

  it("take no work in what it judges or asks for itself", () => {
    const history = posted({ requester: WORKER });
    expect(kindsOf(workDuties, history, WORKER)).to.deep.equal([]);
    expect(kindsOf(workDuties, posted().member(PARENT, ROOT, 7).evaluator(), PARENT)).to.deep.equal([]);
    expect(kindsOf(workDuties, posted(), ROOT)).to.deep.equal([]);
  });

  it("accept no more than they may have under way", () => {
    expect(kindsOf(workDuties, posted(), WORKER, { maxRequests: 0 })).to.deep.equal([]);
    expect(kindsOf(workDuties, posted(), WORKER, { maxRequests: 1 })).to.deep.equal(["accept-work"]);
    const history = posted().worker(0);
    const { record } = history;
    const other = { ...record, id: `${record.id}-2`, workers: new Map() };
    history.state.requests.set(other.id, other);
    expect(kindsOf(workDuties, history, WORKER, { maxRequests: 1 })).to.deep.equal(["prepare"]);
    expect(kindsOf(workDuties, history, WORKER, { maxRequests: 2 })).to.deep.equal(["prepare", "accept-work"]);
  });

  it("compute once it is certain who takes part, and show nothing before nobody can commit any more", () => {
    const history = posted().evaluator().worker(0, 1);
    expect(kindsOf(workDuties, history, WORKER)).to.deep.equal(["prepare"]);
    history.started();
    expect(kindsOf(workDuties, history, WORKER, { finalBlock: history.block - 1 })).to.deep.equal([]);
    expect(kindsOf(workDuties, history, WORKER)).to.deep.equal(["compute"]);
    history.submitted(0, 1).wait(1);
    expect(kindsOf(workDuties, history, WORKER, { finalBlock: history.block - 1 })).to.deep.equal([]);
    expect(kindsOf(workDuties, history, WORKER)).to.deep.equal(["reveal"]);
    history.revealed(0);
    expect(kindsOf(workDuties, history, WORKER)).to.deep.equal([]);
  });

  it("compute by the clock where nobody begins early, and reveal by it where somebody does not commit", () => {
    const history = posted().evaluator().worker(0, 1).wait(100);
    const late = { finalTime: history.record.startAt };
    expect(kindsOf(workDuties, history, WORKER, late)).to.deep.equal([]);
    expect(kindsOf(workDuties, history, WORKER)).to.deep.equal(["compute"]);
    expect(kindsOf(workDuties, history.wait(1_001), WORKER)).to.deep.equal([]);
  });

  it("look again at a result of its own that a ranking leaves out, and at no other", () => {
    const left = posted().ranking().ruled(rankingOf(1));
    expect(kindsOf(workDuties, left, WORKER)).to.deep.equal(["check"]);
    expect(kindsOf(workDuties, left, WORKER, { challenges: false })).to.deep.equal([]);
    expect(kindsOf(workDuties, left, accountAt(1))).to.deep.equal([]);
    expect(kindsOf(workDuties, left.wait(200), WORKER)).to.deep.equal([]);
    const even = posted().ranking().ruled({ verdict: "withheld", order: [], scores: [] });
    expect(kindsOf(workDuties, even, WORKER)).to.deep.equal([]);
    const lost = posted().ranking().ruled({ verdict: "void", order: [], scores: [] });
    expect(kindsOf(workDuties, lost, WORKER)).to.deep.equal(["check"]);
  });
});

describe("an evaluator's and a judge's duties", () => {
  it("accept what every judge above can read and the reward is worth", () => {
    const policy = { jobs: [{ ...ALL, minReward: 11n }] };
    expect(kindsOf(judgementDuties, posted(), EVALUATOR)).to.deep.equal(["accept-evaluation"]);
    expect(kindsOf(judgementDuties, posted(), EVALUATOR, policy)).to.deep.equal([]);
    expect(kindsOf(judgementDuties, posted().evaluator(), EVALUATOR)).to.deep.equal([]);
    expect(kindsOf(judgementDuties, posted({ evaluators: [ROOT] }), EVALUATOR)).to.deep.equal([]);
    expect(kindsOf(judgementDuties, posted({ skipEvaluation: true }), EVALUATOR)).to.deep.equal([]);
    expect(kindsOf(judgementDuties, posted({ requester: EVALUATOR }), EVALUATOR)).to.deep.equal([]);
    expect(kindsOf(judgementDuties, posted().dropped(PARENT, ROOT), EVALUATOR)).to.deep.equal([]);
    const unread = new RequestHistory().schema().member(PARENT, ROOT, 1).member(EVALUATOR, PARENT, 2).keys(ROOT);
    expect(kindsOf(judgementDuties, unread, EVALUATOR)).to.deep.equal([]);
  });

  it("rank what was revealed, and judge when called, each its own tier", () => {
    const history = posted().ranking().wait(1);
    expect(kindsOf(judgementDuties, history, EVALUATOR)).to.deep.equal(["rank"]);
    expect(kindsOf(judgementDuties, history, PARENT)).to.deep.equal([]);
    history.ruled(rankingOf(1)).challenged(WORKER);
    expect(kindsOf(judgementDuties, history, PARENT)).to.deep.equal(["judge"]);
    expect(kindsOf(judgementDuties, history, ROOT)).to.deep.equal([]);
  });

  it("stand by a ruling that was overturned, and not by one that was repeated", () => {
    const overturned = posted().ranking().ruled(rankingOf(0, 1)).challenged(WORKER).ruled(rankingOf(1), 1);
    expect(kindsOf(judgementDuties, overturned, EVALUATOR)).to.deep.equal(["defend"]);
    expect(kindsOf(judgementDuties, overturned, PARENT)).to.deep.equal([]);
    const upheld = posted().ranking().ruled(rankingOf(0, 1)).challenged(WORKER).ruled(rankingOf(0, 1), 1);
    expect(kindsOf(judgementDuties, upheld, EVALUATOR)).to.deep.equal([]);
  });

  it("say nothing in their own matter", () => {
    const history = posted({ delegate: PARENT }).ranking().ruled(rankingOf(1)).challenged(WORKER);
    expect(kindsOf(judgementDuties, history, PARENT)).to.deep.equal([]);
  });
});

describe("what anybody may do for a request", () => {
  it("is left to those whose money or work is in it, each after a while of its own", () => {
    const overdue = posted().ranking().wait(102);
    expect(kindsOf(commonDuties, overdue.wait(12), WORKER)).to.deep.equal(["climb"]);
    expect(kindsOf(commonDuties, overdue, accountAt(5))).to.deep.equal([]);
    const settleable = posted()
      .ranking()
      .ruled(rankingOf(0))
      .wait(101 + 12);
    expect(kindsOf(commonDuties, settleable, EVALUATOR)).to.deep.equal(["settle"]);
    expect(kindsOf(commonDuties, settleable, REQUESTER)).to.deep.equal([]);
    const unmet = posted({ minWorkers: 2 })
      .evaluator()
      .wait(100 + 13);
    expect(kindsOf(commonDuties, unmet, EVALUATOR)).to.deep.equal(["cancel"]);
  });
});

describe("a member's duties", () => {
  const rolesOf = (history: RequestHistory, me: string, changes: Partial<JobPolicy> = {}): number[] =>
    applicationDuties(history.state, factsOf(history, me, { jobs: [{ ...ALL, ...changes }] })).map(
      ({ roles }) => roles,
    );

  it("apply for what it lacks, once, to an admin", () => {
    const history = posted();
    const me = accountAt(7);
    expect(rolesOf(history, me)).to.deep.equal([7]);
    expect(rolesOf(history, me, { roles: ["worker"], parent: PARENT })).to.deep.equal([4]);
    expect(rolesOf(history, me, { parent: WORKER })).to.deep.equal([]);
    expect(rolesOf(history, ROOT)).to.deep.equal([]);
    expect(rolesOf(history, WORKER, { roles: ["worker"] })).to.deep.equal([]);
    expect(rolesOf(history, WORKER)).to.deep.equal([3]);
    expect(rolesOf(history.applied(me, ROOT, 7), me)).to.deep.equal([]);
    expect(rolesOf(history.dropped(WORKER, ROOT), WORKER)).to.deep.equal([]);
    expect(rolesOf(history, me, { schema: undefined, registrant: PARENT })).to.deep.equal([]);
    expect(rolesOf(history, me, { schema: undefined, registrant: ROOT, roles: ["evaluator"] })).to.deep.equal([2]);
  });

  it("decide on those that applied to it, as long as it is an admin", () => {
    const history = posted().applied(accountAt(7), PARENT, 4).applied(accountAt(8), ROOT, 2);
    const nodesOf = (me: string): string[] =>
      approvalDuties(history.state, factsOf(history, me)).map(({ application }) => application.node);
    expect(nodesOf(PARENT)).to.deep.equal([accountAt(7)]);
    expect(nodesOf(ROOT)).to.deep.equal([accountAt(8)]);
    expect(nodesOf(EVALUATOR)).to.deep.equal([]);
    history.dropped(PARENT, ROOT);
    expect(nodesOf(PARENT)).to.deep.equal([]);
  });
});
