import { expect } from "chai";
import { ZeroHash } from "ethers";
import fc from "fast-check";
import { PRIMARY } from "#sdk/context.ts";
import {
  accusedOf,
  appealTerms,
  canAppeal,
  canBeConcluded,
  canChallenge,
  challengeBy,
  contendedUntil,
  dueStep,
  effectiveRuling,
  expectedRuling,
  memberNumber,
  membersOf,
  mustOpen,
  standing,
  type DisputeRecord,
  type Standing,
} from "#sdk/dispute.ts";
import {
  canCallPanel,
  canContest,
  canDrawJuror,
  jurorsDrawn,
  MarketState,
  panelStatus,
  type AssignmentRecord,
} from "#sdk/market-state.ts";
import { juryBond } from "#sdk/pricing.ts";
import { sampledTasks } from "#sdk/sampling.ts";
import { conclude, type EndedDispute } from "#sdk/settlement.ts";
import { DisputeSteps, digestOf, valueOf } from "../support/dispute-steps.ts";
import {
  addressOf,
  BATCH_ID,
  MARKET,
  MarketHistory,
  nodeAt,
  PARAMETERS,
  REQUESTER,
  Reverted,
  WINDOWS,
  type HistoryOptions,
} from "../support/market-history.ts";

const [primary] = [nodeAt(0)] as const;
const STRANGER = addressOf("stranger");
/** Two blocks more than a jury's entropy is ahead. */
const DRAWN = 2 * (PARAMETERS.finalDepth + 2);

/** A revealed batch of one assignment with a full panel of three. */
function panel(options: HistoryOptions = {}): MarketHistory {
  const history = new MarketHistory({ nodes: 30, ...options }).post().claim(primary, options.count ?? 6);
  history.submit(primary, 0).wait(20).reveal();
  for (const seat of history.drawn(0)[0]!.keys()) history.answerFrom(0, 0, seat);
  return history;
}

/** The same, and the requester says that these members differ. */
function excepted(members: readonly number[] = [0], options: HistoryOptions = {}): DisputeSteps {
  const history = panel(options);
  const exceptions = members.map((member) => ({
    assignment: 0,
    verdict: member === 0 ? ("primary-differs" as const) : ("seat-differs" as const),
    witness: 2,
    round: 0,
    seat: Math.max(0, member - 1),
  }));
  return new DisputeSteps(history.judge(REQUESTER, exceptions, true));
}

function undecided(): DisputeSteps {
  const exception = { assignment: 0, verdict: "no-majority" as const, witness: 2, round: 0, seat: 0 };
  return new DisputeSteps(panel().judge(REQUESTER, [exception], true));
}

function silent(): DisputeSteps {
  return new DisputeSteps(panel().wait(WINDOWS.check + WINDOWS.judge + 1));
}

function of(steps: DisputeSteps): AssignmentRecord {
  return steps.history.record.assignments[0]!;
}

function disputeOf(steps: DisputeSteps): DisputeRecord {
  return of(steps).dispute!;
}

function standings(steps: DisputeSteps): Standing[] {
  const { record } = steps.history;
  return steps.members.map((_, member) => standing(record, record.assignments[0]!, member));
}

function due(steps: DisputeSteps): ReturnType<typeof dueStep> {
  const { record, now, block } = steps.history;
  return dueStep(record, record.assignments[0]!, { now, block });
}

/** All of a jury says the same. */
const all = (word: string, seats = 7): string[] => Array.from({ length: seats }, () => word);

describe("disputes", () => {
  describe("are folded", () => {
    it("from the exception that is not challenged to the slash", () => {
      const steps = excepted();
      expect(of(steps).status).to.equal("contended");
      expect(of(steps).dispute).to.equal(undefined);
      expect(standings(steps)).to.deep.equal(["slashed", "paid", "paid"]);
      expect(accusedOf(of(steps))).to.deep.equal([0]);
      const { record, now } = steps.history;
      expect(challengeBy(record, of(steps))).to.equal(now + WINDOWS.challenge);
      expect(contendedUntil(record, of(steps))).to.equal(now + WINDOWS.challenge);
      steps.wait(WINDOWS.challenge);
      expect(due(steps)).to.equal(undefined);
      expect(due(steps.wait(1))).to.equal("conclude");
      steps.conclude();
      expect(of(steps).status).to.equal("settled");
      expect(of(steps).outcome).to.include({ outcome: "primary-slashed", accused: 1n });
      expect(contendedUntil(steps.history.record, of(steps))).to.equal(undefined);
      expect(steps.history.record.closed).to.not.equal(undefined);
    });

    it("from a challenge and what everybody opened to a false accusation", () => {
      const steps = excepted().challenge(primary);
      const { now } = steps.history;
      expect(disputeOf(steps)).to.deep.equal({
        matter: "exception",
        by: primary,
        task: 2,
        member: 0,
        stage: "opening",
        tier: 0,
        deadline: now + WINDOWS.challenge,
        at: now,
        since: { at: now, block: steps.history.block + 1 },
        changedAt: now,
        openings: new Map(),
        rulings: [],
        juries: [],
        missed: [],
        falselyAccused: 0n,
      });
      expect(standings(steps)).to.deep.equal(["slashed", "unpaid", "unpaid"]);
      steps.open(2, "right").open(0, "right");
      expect(disputeOf(steps).openings).to.deep.equal(
        new Map([
          [2, { digest: digestOf("right"), block: steps.history.block + 1 }],
          [0, { digest: digestOf("right"), block: steps.history.block + 1 }],
        ]),
      );
      expect(expectedRuling(steps.history.record, disputeOf(steps))).to.equal(digestOf("right"));
      expect(standings(steps)).to.deep.equal(["paid", "unpaid", "paid"]);
      expect(due(steps)).to.equal(undefined);
      expect(due(steps.open(1, "right"))).to.equal("rule");
      steps.rule();
      expect(disputeOf(steps)).to.deep.include({ stage: "ruled", rulings: [digestOf("right")], tier: 0 });
      expect(effectiveRuling(disputeOf(steps))).to.equal(digestOf("right"));
      expect(due(steps)).to.equal(undefined);
      expect(due(steps.waitOut())).to.equal("conclude");
      steps.history.emit("FalselyAccused", { id: BATCH_ID, assignment: 0, amount: 7n });
      steps.conclude();
      expect(of(steps)).to.deep.include({ status: "settled" });
      expect(of(steps).outcome).to.include({ outcome: "forced", accused: 0n });
      expect(disputeOf(steps).falselyAccused).to.equal(7n);
    });

    it("from the silence of the requester to who differs on the first sampled task", () => {
      const steps = silent().callPanel(STRANGER);
      const { record } = steps.history;
      const [task] = sampledTasks(record.reveal!.entropy, { assignment: 0, first: 0, count: 6 }, 1_000_000);
      expect(disputeOf(steps)).to.include({ matter: "silence", by: STRANGER, task, stage: "opening" });
      expect(of(steps).status).to.equal("contended");
      expect(standings(steps)).to.deep.equal(["unpaid", "unpaid", "unpaid"]);
      steps.open(0, "wrong").open(1, "right");
      // Two are a majority of three, and these disagree.
      expect(standings(steps)).to.deep.equal(["paid", "paid", "unpaid"]);
      steps.open(2, "right");
      expect(standings(steps)).to.deep.equal(["slashed", "paid", "paid"]);
      steps.rule().waitOut().conclude();
      expect(of(steps).outcome).to.include({ outcome: "primary-slashed", accused: 1n });
    });

    it("from a contest of work to a jury that finds it wrong", () => {
      const steps = new DisputeSteps(panel()).contestWork(4);
      expect(disputeOf(steps)).to.include({ matter: "work", by: REQUESTER, task: 4, stage: "answering", member: 0 });
      expect(accusedOf(of(steps))).to.deep.equal([0]);
      expect(standings(steps)).to.deep.equal(["unpaid", "paid", "paid"]);
      steps.answerContest().wait(DRAWN).convene();
      expect(disputeOf(steps)).to.include({ evidence: "0x", stage: "casting", tier: 1 });
      expect(disputeOf(steps).juries[0]).to.include({ tier: 1, appellant: REQUESTER, seats: 7, call: 0 });
      for (const seat of steps.jurors.keys()) steps.castBallot(seat);
      expect(disputeOf(steps).juries[0]!.jurors.every(({ cast }) => cast)).to.equal(true);
      expect(due(steps)).to.equal("rule");
      steps.rule();
      expect(disputeOf(steps)).to.include({ stage: "showing" });
      for (const seat of steps.jurors.keys()) steps.openBallot(seat, "right");
      expect(disputeOf(steps).juries[0]!.jurors[3]).to.deep.equal({
        node: steps.jurors[3],
        seat: 3,
        cast: true,
        value: valueOf("right"),
        digest: digestOf("right"),
      });
      expect(standings(steps)).to.deep.equal(["slashed", "paid", "paid"]);
      // It could still show that it is right.
      expect(standings(steps.copy().open(0, "right"))).to.deep.equal(["paid", "paid", "paid"]);
      expect(due(steps)).to.equal(undefined);
      steps.open(0, "wrong").waitOut().rule();
      expect(disputeOf(steps).rulings).to.deep.equal([ZeroHash, digestOf("right")]);
      steps.waitOut().conclude();
      expect(of(steps).outcome).to.include({ outcome: "primary-slashed", accused: 1n });
    });

    it("from a contest of delivery to a jury that got nothing, which slashes nobody", () => {
      const steps = new DisputeSteps(panel()).contestDelivery(1);
      expect(accusedOf(of(steps))).to.deep.equal([1]);
      expect(standings(steps)).to.deep.equal(["paid", "unpaid", "paid"]);
      steps.answerContest("0x1234").vote(all("undelivered"));
      expect(disputeOf(steps)).to.include({ matter: "delivery", member: 1, task: 0, evidence: "0x1234" });
      expect(standings(steps)).to.deep.equal(["paid", "unpaid", "paid"]);
      steps.waitOut().conclude();
      expect(of(steps).outcome).to.include({ outcome: "paid", accused: 0n, paid: 6n * 10n + 6n * 12n });
      const delivered = new DisputeSteps(panel()).contestDelivery(0).answerContest("0x12").vote(all("delivered"));
      expect(standings(delivered)).to.deep.equal(["paid", "paid", "paid"]);
    });

    it("from a contest that nobody answers to a forfeit", () => {
      const steps = new DisputeSteps(panel()).contestWork(0);
      expect(due(steps)).to.equal(undefined);
      expect(due(steps.waitOut())).to.equal("conclude");
      expect(of(steps.conclude()).outcome).to.include({ outcome: "forfeited", accused: 0n });
    });

    it("through two juries, the second of which is final", () => {
      const steps = excepted().challenge(primary).waitOut().rule();
      expect(disputeOf(steps).rulings).to.deep.equal([ZeroHash]);
      steps.appeal(primary).vote(all("right"));
      expect(disputeOf(steps).rulings).to.deep.equal([ZeroHash, digestOf("right")]);
      steps.appeal(REQUESTER).vote(all("other", 14));
      expect(disputeOf(steps)).to.include({ tier: 2, deadline: 0 });
      expect(disputeOf(steps).juries.map(({ tier, appellant, seats }) => [tier, appellant, seats])).to.deep.equal([
        [1, primary, 7],
        [2, REQUESTER, 14],
      ]);
      expect(effectiveRuling(disputeOf(steps))).to.equal(digestOf("other"));
      expect(canAppeal(of(steps), steps.history.now)).to.equal(false);
      expect(due(steps)).to.equal("conclude");
      const seated = disputeOf(steps).juries.flatMap(({ jurors }) => jurors.map(({ node }) => node));
      expect(new Set([...seated, ...steps.members]).size).to.equal(7 + 14 + 3);
    });

    it("with absent jurors replaced once, and exposed ones out", () => {
      const steps = excepted().challenge(primary).waitOut().rule().appeal(primary);
      steps.wait(DRAWN).convene();
      const before = [...steps.jurors];
      for (const seat of [0, 1, 2, 3, 4]) steps.castBallot(seat);
      steps.exposeBallot(4, STRANGER);
      expect(disputeOf(steps).juries[0]!.jurors[4]).to.deep.include({ cast: false, exposed: true });
      expect(due(steps)).to.equal(undefined);
      expect(due(steps.waitOut())).to.equal("rule");
      steps.rule();
      expect(disputeOf(steps)).to.include({ stage: "casting", tier: 1 });
      expect(disputeOf(steps).juries[0]).to.include({ call: 1, seats: 7, convened: false, appellant: primary });
      expect(disputeOf(steps).missed.map(({ node }) => node)).to.deep.equal(before.slice(4));
      steps.wait(DRAWN).convene();
      const [jury] = disputeOf(steps).juries;
      expect(jury!.replaced).to.deep.equal(before.slice(4));
      expect(jury!.jurors.map(({ node }) => node)).to.deep.equal(steps.jurors);
      expect(jury!.jurors.map(({ seat, cast }) => [seat, cast])).to.deep.equal([
        [0, true], [1, true], [2, true], [3, true], [4, false], [5, false], [6, false],
      ]); // prettier-ignore
      expect(jury!.jurors[4]).to.not.have.property("exposed");
      // Whoever is absent now is not replaced any more; four of seven are a majority.
      steps.waitOut().rule();
      for (const seat of [0, 1, 2, 3]) steps.openBallot(seat, "right");
      expect(due(steps)).to.equal("rule");
      expect(effectiveRuling(disputeOf(steps.rule()))).to.equal(digestOf("right"));
    });

    it("the same from the same events, whole, in parts, and again after a reorganisation", () => {
      const steps = excepted([0, 1], { terms: { quorum: 5 } }).challenge(primary);
      steps.open(0, "right").open(2, "right").open(3, "wrong").waitOut().rule();
      steps.appeal(REQUESTER).vote([...all("right", 9), undefined, undefined]);
      steps.waitOut().conclude();
      const { events } = steps.history;
      const fold = (some: typeof events): MarketState => {
        const state = new MarketState(MARKET);
        for (const event of some) state.apply(event);
        return state;
      };
      const whole = fold(events).batches;
      for (let kept = 0; kept <= events.length; ++kept) {
        const part = fold(events.slice(0, kept));
        for (const event of events.slice(kept)) part.apply(event);
        expect(part.batches).to.deep.equal(whole);
      }
    });

    it("not without their beginning", () => {
      const late = new MarketState(MARKET);
      const { events } = excepted().challenge(primary).open(0, "right").waitOut().rule().appeal(primary).history;
      for (const event of events) if (event.name !== "Disputed") late.apply(event);
      expect(late.batches.get(BATCH_ID)!.assignments[0]!.dispute).to.equal(undefined);
    });
  });

  describe("tell members apart", () => {
    it("by number: the primary, then the answers by round and seat", () => {
      const steps = new DisputeSteps(panel());
      const members = membersOf(of(steps));
      expect(members.map(({ node }) => node)).to.deep.equal(steps.members);
      expect(members[0]).to.include(PRIMARY);
      expect(members[2]).to.include({ round: 0, seat: 1, root: of(steps).answers[1]!.root });
      expect(steps.members.map((node) => memberNumber(of(steps), node))).to.deep.equal([0, 1, 2]);
      expect(memberNumber(of(steps), STRANGER)).to.equal(undefined);
      const claimed = new MarketHistory().post().claim(primary, 6).record.assignments[0]!;
      expect(membersOf(claimed)).to.deep.equal([]);
      expect(memberNumber(claimed, primary)).to.equal(undefined);
    });

    it("and say who must open: all members of a panel, but only the primary of contested work", () => {
      const called = silent().callPanel(STRANGER).open(1, "right");
      const must = (steps: DisputeSteps): boolean[] =>
        [0, 1, 2, 3].map((member) => mustOpen(of(steps), member, steps.history.now));
      expect(must(called)).to.deep.equal([true, false, true, false]);
      expect(must(called.waitOut())).to.deep.equal([false, false, false, false]);
      const contested = new DisputeSteps(panel()).contestWork(0).answerContest();
      expect(must(contested)).to.deep.equal([false, false, false, false]);
      contested.wait(DRAWN).convene();
      for (const seat of contested.jurors.keys()) contested.castBallot(seat);
      expect(must(contested.rule())).to.deep.equal([true, false, false, false]);
      expect(must(contested.open(0, "right"))).to.deep.equal([false, false, false, false]);
    });

    it("all lose where there is no majority and nobody opens one", () => {
      const steps = undecided();
      expect(accusedOf(of(steps))).to.deep.equal([]);
      expect(standings(steps)).to.deep.equal(["unpaid", "unpaid", "unpaid"]);
      steps.challenge(primary).open(0, "a").open(1, "b").open(2, "c").rule();
      expect(standings(steps)).to.deep.equal(["unpaid", "unpaid", "unpaid"]);
      expect(of(steps.copy().waitOut().conclude()).outcome).to.include({ outcome: "no-majority" });
      steps.appeal(STRANGER).vote(all("b"));
      expect(standings(steps)).to.deep.equal(["slashed", "paid", "slashed"]);
    });
  });

  describe("say what can be done, to the second", () => {
    it("challenge, while the window of the last exception lasts", () => {
      const steps = excepted();
      const can = (): boolean => canChallenge(steps.history.record, of(steps), steps.history.now);
      expect(can()).to.equal(true);
      expect(canChallenge(steps.history.record, of(new DisputeSteps(panel())), 0)).to.equal(false);
      steps.wait(WINDOWS.challenge);
      expect(can()).to.equal(true);
      steps.wait(1);
      expect(can()).to.equal(false);
      expect(() => steps.challenge(primary)).to.throw(Reverted, "TooLate");
      const challenged = excepted().challenge(primary);
      expect(canChallenge(challenged.history.record, of(challenged), challenged.history.now)).to.equal(false);
    });

    it("call the panel, for one challenge window after the judging is overdue", () => {
      const can = (history: MarketHistory): boolean => {
        const [assignment] = history.record.assignments as [AssignmentRecord];
        const status = panelStatus(history.record, assignment, PARAMETERS);
        return canCallPanel(history.record, assignment, status, history.now);
      };
      const agrees = (history: MarketHistory): boolean => {
        let possible = true;
        try {
          new DisputeSteps(history.copy()).callPanel(STRANGER);
        } catch (error) {
          if (!(error instanceof Reverted)) throw error;
          possible = false;
        }
        expect(can(history)).to.equal(possible);
        return possible;
      };
      const overdue = (history: MarketHistory): MarketHistory => history.wait(WINDOWS.check + WINDOWS.judge);
      expect(agrees(overdue(panel()))).to.equal(false);
      expect(agrees(overdue(panel()).wait(1))).to.equal(true);
      expect(agrees(overdue(panel()).wait(WINDOWS.challenge))).to.equal(true);
      expect(agrees(overdue(panel()).wait(WINDOWS.challenge + 1))).to.equal(false);
      expect(agrees(overdue(panel().judge(REQUESTER, [], true)).wait(1))).to.equal(false);
      const half = new MarketHistory({ nodes: 30 }).post().claim(primary, 6).submit(primary, 0).wait(20).reveal();
      expect(agrees(overdue(half.copy()).wait(1))).to.equal(false);
      expect(agrees(overdue(half.answerFrom(0, 0, 1)).wait(1))).to.equal(true);
    });

    it("contest, once the panel is full or late and until the judging is over", () => {
      const agrees = (history: MarketHistory): boolean => {
        let possible = true;
        try {
          new DisputeSteps(history.copy()).contestWork(0);
        } catch (error) {
          if (!(error instanceof Reverted)) throw error;
          possible = false;
        }
        const [assignment] = history.record.assignments as [AssignmentRecord];
        const status = panelStatus(history.record, assignment, PARAMETERS);
        expect(canContest(history.record, assignment, status, history.now)).to.equal(possible);
        return possible;
      };
      const bare = (): MarketHistory =>
        new MarketHistory({ nodes: 30 }).post().claim(primary, 6).submit(primary, 0).wait(20).reveal();
      expect(agrees(panel())).to.equal(true);
      expect(agrees(panel().wait(WINDOWS.check + WINDOWS.judge))).to.equal(true);
      expect(agrees(panel().wait(WINDOWS.check + WINDOWS.judge + 1))).to.equal(false);
      expect(agrees(bare().wait(WINDOWS.check))).to.equal(false);
      expect(agrees(bare().wait(WINDOWS.check + 1))).to.equal(true);
      expect(agrees(panel().judge(REQUESTER, [], true))).to.equal(false);
      expect(agrees(excepted().history)).to.equal(false);
      // Where nothing is sampled there is no panel to wait for.
      for (let fork = 0; ; ++fork) {
        const history = new MarketHistory({ fork, terms: { mode: "sampled", rate: 50_000 } }).post().claim(primary, 6);
        history.submit(primary, 0).wait(20).reveal();
        if (panelStatus(history.record, history.record.assignments[0]!, PARAMETERS)) continue;
        expect(agrees(history)).to.equal(true);
        break;
      }
    });

    it("appeal, at a price that depends on who", () => {
      const steps = silent().callPanel(STRANGER).open(0, "wrong").open(1, "right").open(2, "right").rule();
      const { terms } = steps.history;
      const price = (who: string): unknown => appealTerms(steps.history.record, of(steps), who, steps.history.now);
      expect(canAppeal(of(steps), steps.history.now)).to.equal(true);
      const bond = juryBond(terms, 1);
      expect(bond).to.equal(7n * 12n);
      expect(price(REQUESTER)).to.deep.equal({ tier: 1, bond, from: "available" });
      expect(price(STRANGER)).to.deep.equal({ tier: 1, bond, from: "stake" });
      expect(price(steps.members[0]!)).to.deep.equal({ tier: 1, bond: 0n, from: "lock" });
      expect(price(steps.members[1]!)).to.deep.equal({ tier: 1, bond, from: "stake" });
      steps.appeal(primary).vote(all("right"));
      expect(price(primary)).to.deep.equal({ tier: 2, bond: 14n * 12n, from: "stake" });
      steps.waitOut();
      expect(price(primary)).to.equal(undefined);
      expect(canAppeal(of(steps), steps.history.now)).to.equal(false);
    });

    it("appeal for nothing as the accused, unless one has shown to be right", () => {
      const steps = excepted([0, 1], { terms: { quorum: 5 } }).challenge(primary);
      steps.open(0, "right").open(2, "right").open(3, "right").waitOut().rule();
      const from = (member: number): unknown =>
        appealTerms(steps.history.record, of(steps), steps.members[member]!, steps.history.now)?.from;
      expect([0, 1, 2, 4].map(from)).to.deep.equal(["stake", "lock", "stake", "stake"]);
    });

    it("convene, once the entropy is mined, until somebody is seated", () => {
      const steps = excepted().challenge(primary).waitOut().rule().appeal(primary);
      const { state, record, hashes } = steps.history;
      expect(due(steps)).to.equal(undefined);
      expect(jurorsDrawn(state, record, of(steps), hashes)).to.equal(undefined);
      const { entropyBlock } = disputeOf(steps).juries[0]!;
      while (steps.history.block < entropyBlock) {
        expect(due(steps)).to.equal(undefined);
        steps.wait(1);
      }
      expect(due(steps)).to.equal("convene");
      const known = new Map([[entropyBlock, steps.history.hashOf(entropyBlock)]]);
      const drawn = jurorsDrawn(state, record, of(steps), known);
      steps.convene();
      expect(drawn).to.deep.equal(steps.jurors.map((node, seat) => ({ node, seat })));
      expect(steps.jurors).to.have.length(7);
      expect(due(steps)).to.equal(undefined);
      expect(jurorsDrawn(state, record, of(steps), known)).to.equal(undefined);
    });

    it("who replaces whom", () => {
      const steps = excepted().challenge(primary).waitOut().rule().appeal(primary).wait(DRAWN).convene();
      for (const seat of [0, 2, 3, 5]) steps.castBallot(seat);
      steps.waitOut().rule().wait(DRAWN);
      const { entropyBlock } = disputeOf(steps).juries[0]!;
      const known = new Map([[entropyBlock, steps.history.hashOf(entropyBlock)]]);
      const { state, record } = steps.history;
      const drawn = jurorsDrawn(state, record, of(steps), known)!;
      expect(drawn.map(({ seat }) => seat)).to.deep.equal([1, 4, 6]);
      steps.convene();
      expect(drawn.map(({ node }) => node)).to.deep.equal([1, 4, 6].map((seat) => steps.jurors[seat]));
    });

    it("draw on small pools, until nobody is left", () => {
      const steps = excepted([0], { nodes: 5 }).challenge(primary).waitOut().rule();
      const left = (): boolean => canDrawJuror(steps.history.state, steps.history.record, of(steps), new Map());
      expect(left()).to.equal(true);
      steps.appeal(primary).wait(DRAWN).convene();
      expect(disputeOf(steps).juries[0]).to.include({ seats: 2 });
      expect(left()).to.equal(false);
      steps.castBallot(0).castBallot(1).rule().openBallot(0, "right");
      // One of two is no majority.
      expect(expectedRuling(steps.history.record, disputeOf(steps))).to.equal(undefined);
      steps.openBallot(1, "right").rule();
      expect(effectiveRuling(disputeOf(steps))).to.equal(digestOf("right"));
      expect(() => steps.appeal(REQUESTER)).to.throw(Reverted, "PoolExhausted");
    });
  });

  it("leave members as they stand, whatever was opened and whoever voted", () => {
    const word = fc.constantFrom("a", "b", undefined);
    const story = fc.record({
      matter: fc.constantFrom("exception", "undecided", "silence", "work" as const),
      opened: fc.array(word, { minLength: 3, maxLength: 3 }),
      juries: fc.array(fc.array(word, { minLength: 14, maxLength: 14 }), { maxLength: 2 }),
    });
    fc.assert(
      fc.property(story, ({ matter, opened, juries }) => {
        const steps = {
          exception: () => excepted().challenge(primary),
          undecided: () => undecided().challenge(primary),
          silence: () => silent().callPanel(STRANGER),
          work: () => new DisputeSteps(panel()).contestWork(1).answerContest(),
        }[matter]();
        const openAll = (): void => {
          for (const [member, said] of opened.entries()) if (said !== undefined) steps.open(member, said);
        };
        if (matter === "work") {
          steps.vote(juries[0] ?? [], openAll);
        } else {
          openAll();
          steps.waitOut().rule();
          for (const votes of juries) steps.appeal(REQUESTER).vote(votes);
        }
        const stood = standings(steps);
        const { rulings } = disputeOf(steps);
        const ended: EndedDispute = {
          matter: matter === "undecided" ? "exception" : matter,
          member: 0,
          rulings: rulings.map((ruling) => (ruling === ZeroHash ? undefined : ruling)),
          juries: disputeOf(steps).juries.map(() => ({ appellant: primary, bond: 0n, seats: [], replaced: [] })),
          pot: false,
          answered: true,
        };
        const { guilty } = conclude({
          terms: steps.history.terms,
          parameters: PARAMETERS,
          price: 10n,
          count: 6,
          sampled: 6,
          members: steps.members.map((node, member) => ({
            node,
            opened: disputeOf(steps).openings.get(member)?.digest,
          })),
          verdict: matter === "exception" ? "primary-differs" : matter === "undecided" ? "no-majority" : "none",
          accused: matter === "exception" ? [0] : [],
          dispute: ended,
        });
        expect(stood.flatMap((each, member) => (each === "slashed" ? [member] : []))).to.have.members(guilty);
        if (disputeOf(steps).deadline !== 0) steps.waitOut();
        expect(canBeConcluded(steps.history.record, of(steps), steps.history.now)).to.equal(true);
        steps.conclude();
        const { outcome, paid, accused } = of(steps).outcome!;
        const sum = (which: Standing, worth: readonly bigint[]): bigint =>
          stood.reduce((total, each, member) => (each === which ? total + worth[member]! : total), 0n);
        expect(accused).to.equal(sum("slashed", [1n, 2n, 4n]));
        expect(paid).to.equal(sum("paid", [60n, 72n, 72n]));
        expect(outcome === "primary-slashed").to.equal(stood[0] === "slashed");
      }),
      { numRuns: 60 },
    );
  });
});
