import { expect } from "chai";
import { panelStatus } from "#sdk/market-state.ts";
import { contestBond, juryBond, quote, reserve } from "#sdk/pricing.ts";
import { sampledCount } from "#sdk/sampling.ts";
import type { RequesterDuty, RequesterFacts } from "../../agents/requester/duties.ts";
import { performAsRequester, readingsOf, requesterDutiesOf, type Saying } from "../support/decisions.ts";
import { digestOf, DisputeSteps } from "../support/dispute-steps.ts";
import {
  BATCH_ID as batchId,
  MarketHistory,
  nodeAt,
  PARAMETERS,
  REQUESTER,
  TERMS,
  WINDOWS,
  type HistoryOptions,
} from "../support/market-history.ts";

const primary = nodeAt(0);
const SETTLE: RequesterDuty = { kind: "settle", batchId, assignments: [0] };
const ADAPTIVE = { mode: "sampled", adaptive: true } as const;
/** What a contest of the primary of six tasks locks. */
const CONTEST = contestBond(TERMS, 60n, PARAMETERS);
const RESERVE = reserve(TERMS, TERMS.price, 6, PARAMETERS).beyondBond;

/** One slice of six tasks, all sampled, whose seats have answered; `words` are the primary's and theirs. */
function panel(words: readonly Saying[], options: HistoryOptions = {}): [MarketHistory, (node: string) => Saying] {
  const history = new MarketHistory(options).post().claim(primary, 6).submit(primary, 0).wait(20).reveal();
  const said = new Map([[primary, words[0]!]]);
  for (const [seat, word] of words.slice(1).entries()) {
    said.set(history.drawn(0)[0]![seat]!, word);
    history.answerFrom(0, 0, seat);
  }
  return [history.wait(12), (node) => said.get(node) ?? "right"];
}

/** The same for a jury: `known` are tasks that the requester ran, with what came out. */
function knowing(known: Record<number, string>): Partial<RequesterFacts> {
  return { known: new Map(Object.entries(known).map(([task, word]) => [Number(task), digestOf(word)])) };
}

/** A slice of which nothing is sampled, revealed. */
function unsampled(): MarketHistory {
  for (let fork = 0; ; ++fork) {
    const history = new MarketHistory({ fork, terms: { mode: "sampled", rate: 50_000 } });
    history.post().claim(primary, 6).submit(primary, 0).wait(20);
    if (sampledCount(history.copy().reveal().data.entropy, { first: 0, count: 6 }, 50_000) === 0) return history;
  }
}

function contestOf(matter: "work" | "delivery", task: number, member: number, locks = CONTEST): RequesterDuty {
  return { kind: "contest", batchId, assignment: 0, matter, task, member, locks };
}

const kinds = (duties: readonly RequesterDuty[]): string[] => duties.map(({ kind }) => kind);

/** Does all of it, and shows that the contract takes it. */
function perform(history: MarketHistory, duties: readonly RequesterDuty[], says?: (node: string) => Saying): void {
  for (const duty of duties) performAsRequester(history, duty, says);
}

describe("a requester's disputes", () => {
  describe("over delivery", () => {
    it("contests a primary that submitted garbage, whatever the panel says, and one that nobody serves", () => {
      for (const word of ["garbage", "unreachable", "withheld right"]) {
        const [history, says] = panel([word, "right", "right"]);
        const duties = requesterDutiesOf(history, says);
        expect(duties).to.deep.equal([contestOf("delivery", 0, 0)]);
        perform(history, duties);
        expect(requesterDutiesOf(history, says)).to.deep.equal([]);
      }
    });

    it("contests it where nothing is sampled too, and reveals for that instead of settling at once", () => {
      const history = unsampled();
      const says = (): Saying => "withheld right";
      const duties = requesterDutiesOf(history, says);
      expect(duties).to.deep.equal([{ kind: "reveal", batchId }]);
      perform(history, duties);
      expect(requesterDutiesOf(history, says)).to.deep.equal([contestOf("delivery", 0, 0)]);
      perform(history, requesterDutiesOf(history, says));
    });

    it("settles nothing before everything is here, until there is hardly time left", () => {
      const [history, says] = panel(["fetching right", "right", "right"]);
      expect(requesterDutiesOf(history, says)).to.deep.equal([]);
      const { judgeBy } = panelStatus(history.record, history.record.assignments[0]!, PARAMETERS)!;
      expect(requesterDutiesOf(history.until(Math.floor(judgeBy - WINDOWS.judge / 4)), says)).to.deep.equal([]);
      expect(requesterDutiesOf(history.wait(1), says)).to.deep.equal([SETTLE]);

      const idle = unsampled();
      const fetching = (): Saying => "fetching right";
      expect(requesterDutiesOf(idle, fetching)).to.deep.equal([]);
      expect(kinds(requesterDutiesOf(idle))).to.deep.equal(["reveal-and-settle"]);
      const { at } = idle.record.seal!;
      idle.until(at + WINDOWS.reveal / 2 + 1);
      expect(kinds(requesterDutiesOf(idle, fetching))).to.deep.equal(["reveal"]);
      idle.reveal();
      expect(requesterDutiesOf(idle, fetching)).to.deep.equal([]);
      expect(requesterDutiesOf(idle)).to.deep.equal([SETTLE]);
    });

    it("waits for its own tasks to be run before it settles", () => {
      const [history, says] = panel(["right", "right", "right"]);
      expect(requesterDutiesOf(history, says, { isRunning: true })).to.deep.equal([]);
      expect(requesterDutiesOf(history, says)).to.deep.equal([SETTLE]);
      expect(requesterDutiesOf(unsampled(), undefined, { isRunning: true })).to.deep.equal([]);
    });

    it("goes by the others where one verifier cannot be read and they agree", () => {
      for (const word of ["garbage", "unreachable"]) {
        const [history, says] = panel(["right", word, "right"]);
        expect(requesterDutiesOf(history, says)).to.deep.equal([SETTLE]);
        const [five, fiveSay] = panel(["right", word, "right", "right", "right"], { terms: { quorum: 5 } });
        expect(requesterDutiesOf(five, fiveSay)).to.deep.equal([SETTLE]);
        const [odd, oddSay] = panel(["wrong", word, "right", "right", "right"], { terms: { quorum: 5 } });
        expect(requesterDutiesOf(odd, oddSay)).to.have.nested.property("[0].exceptions[0].verdict", "primary-differs");
      }
    });

    it("contests the verifier without which nothing can be said, and excepts nobody: it may hold anything", () => {
      for (const word of ["garbage", "unreachable"]) {
        const [history, says] = panel(["right", word, "wrong"]);
        const locks = contestBond(TERMS, 6n * TERMS.verifierPrice, PARAMETERS);
        const duties = requesterDutiesOf(history, says);
        expect(duties).to.deep.equal([contestOf("delivery", 0, 1, locks)]);
        perform(history, duties);
      }
      const [both, bothSay] = panel(["right", "garbage", "garbage"]);
      expect(requesterDutiesOf(both, bothSay)).to.have.nested.property("[0].member", 1);
    });

    it("calls for the full panel first where the only verifier cannot be read", () => {
      const [history, says] = panel(["right", "garbage"], { terms: ADAPTIVE });
      expect(kinds(requesterDutiesOf(history, says))).to.deep.equal(["escalate"]);
    });

    it("rather has a primary slashed that differs than unpaid because it withholds its outputs", () => {
      const [history, says] = panel(["withheld wrong", "right", "right"]);
      expect(requesterDutiesOf(history, says)).to.have.nested.property("[0].exceptions[0].verdict", "primary-differs");
      const [adaptive, adaptiveSay] = panel(["withheld wrong", "right"], { terms: ADAPTIVE });
      expect(kinds(requesterDutiesOf(adaptive, adaptiveSay))).to.deep.equal(["escalate"]);
      // A verifier's difference is worth less than the whole slice.
      const [seat, seatSay] = panel(["withheld right", "right", "wrong"]);
      expect(requesterDutiesOf(seat, seatSay)).to.deep.equal([contestOf("delivery", 0, 0)]);
    });

    it("accepts what it could only contest before nobody", () => {
      const [history, says] = panel(["garbage", "right", "right"], { nodes: 3 });
      expect(requesterDutiesOf(history, says)).to.deep.equal([SETTLE]);
    });

    it("contests on nothing that a reorganisation may still take back", () => {
      const [history, says] = panel(["garbage", "right", "right"]);
      const { block } = history.record.assignments[0]!.answers[1]!;
      expect(requesterDutiesOf(history, says, { finalBlock: block - 1 })).to.deep.equal([]);
      expect(kinds(requesterDutiesOf(history, says, { finalBlock: block }))).to.deep.equal(["contest"]);
    });

    it("concludes once the accused was silent, and never appeals: it ran nothing", () => {
      const [history, says] = panel(["garbage", "right", "right"]);
      perform(history, requesterDutiesOf(history, says));
      expect(requesterDutiesOf(history.wait(WINDOWS.challenge), says)).to.deep.equal([]);
      const duties = requesterDutiesOf(history.wait(1), says);
      expect(kinds(duties)).to.deep.equal(["conclude"]);
      perform(history, duties);
      expect(history.record.assignments[0]!.outcome).to.include({ outcome: "forfeited", accused: 0n });

      const [answered, answeredSay] = panel(["garbage", "right", "right"]);
      perform(answered, requesterDutiesOf(answered, answeredSay));
      new DisputeSteps(answered).answerContest().vote(Array(7).fill("delivered"));
      expect(requesterDutiesOf(answered, answeredSay, knowing({ 0: "wrong" }))).to.deep.equal([]);
    });
  });

  describe("over work", () => {
    it("contests a task of its own that the primary answered wrong, though the whole panel agrees", () => {
      const [history, says] = panel(["wrong", "wrong", "wrong"]);
      expect(requesterDutiesOf(history, says, knowing({ 3: "wrong" }))).to.deep.equal([SETTLE]);
      const duties = requesterDutiesOf(history, says, knowing({ 3: "right" }));
      expect(duties).to.deep.equal([contestOf("work", 3, 0)]);
      perform(history, duties);
    });

    it("contests it where nothing is sampled, and before it calls for the full panel", () => {
      const history = unsampled();
      const facts = knowing({ 2: "other" });
      expect(kinds(requesterDutiesOf(history, undefined, facts))).to.deep.equal(["reveal"]);
      history.reveal();
      expect(requesterDutiesOf(history, undefined, facts)).to.deep.equal([contestOf("work", 2, 0)]);
      const [adaptive, says] = panel(["wrong", "right"], { terms: ADAPTIVE });
      expect(requesterDutiesOf(adaptive, says, knowing({ 5: "right" }))).to.deep.equal([contestOf("work", 5, 0)]);
    });

    it("rather excepts a primary that differs, and never accuses who agrees with what it ran", () => {
      const [history, says] = panel(["wrong", "right", "right"]);
      expect(kinds(requesterDutiesOf(history, says, knowing({ 3: "right" })))).to.deep.equal(["judge"]);
      const all = Object.fromEntries([0, 1, 2, 3, 4, 5].map((task) => [task, "right"]));
      const [framed, framedSay] = panel(["right", "wrong", "wrong"]);
      expect(requesterDutiesOf(framed, framedSay, knowing(all))).to.deep.equal([SETTLE]);
      // Two accomplices, one of them the primary, against one who is right.
      const [pair, pairSay] = panel(["wrong", "wrong", "right"]);
      expect(requesterDutiesOf(pair, pairSay, knowing({ 3: "right" }))).to.deep.equal([contestOf("work", 3, 0)]);
    });

    it("contests an output that no program leaves behind", () => {
      const [history, says] = panel(["right", "right", "right"]);
      const readings = readingsOf(history, says);
      const [[key, reading]] = [...readings] as [[string, NonNullable<ReturnType<typeof readings.get>>]];
      readings.set(key, { ...reading, impossible: 4 });
      expect(requesterDutiesOf(history, says, { readings })).to.deep.equal([contestOf("work", 4, 0)]);
    });

    it("opens all it has read while the ballots are opened, and not before", () => {
      const [history, says] = panel(["wrong", "wrong", "unreachable"], { terms: { quorum: 3 } });
      const facts = knowing({ 3: "right" });
      perform(history, requesterDutiesOf(history, says, facts));
      const steps = new DisputeSteps(history).answerContest();
      expect(kinds(requesterDutiesOf(history, says, facts))).to.deep.equal([]);
      steps.wait(12);
      expect(kinds(requesterDutiesOf(history, says, facts))).to.deep.equal(["convene"]);
      perform(history, requesterDutiesOf(history, says, facts));
      for (const seat of steps.jurors.keys()) steps.castBallot(seat);
      expect(kinds(requesterDutiesOf(history, says, facts))).to.deep.equal(["rule"]);
      perform(history, requesterDutiesOf(history, says, facts));
      for (const seat of steps.jurors.keys()) steps.openBallot(seat, "right");
      const duties = requesterDutiesOf(history, says, facts);
      expect(duties).to.deep.equal([0, 1].map((member) => ({ kind: "open", batchId, assignment: 0, member })));
      perform(history, duties, says);
      // The third, which it could not read, opens by itself or not at all.
      expect(requesterDutiesOf(history, says, facts)).to.deep.equal([]);
      steps.waitOut();
      expect(kinds(requesterDutiesOf(history, says, facts))).to.deep.equal(["rule"]);
      perform(history, requesterDutiesOf(history, says, facts));
      expect(requesterDutiesOf(history, says, facts)).to.deep.equal([]);
      steps.waitOut();
      expect(kinds(requesterDutiesOf(history, says, facts))).to.deep.equal(["conclude"]);
      perform(history, requesterDutiesOf(history, says, facts));
      expect(history.record.assignments[0]!.outcome).to.include({ outcome: "primary-slashed", accused: 3n });
    });

    it("appeals where the jury found no majority, or says otherwise than it found", () => {
      for (const words of [Array(7).fill("wrong"), ["wrong", "right", "a", "b", "c", "d", "e"]]) {
        const [history, says] = panel(["wrong", "wrong", "wrong"], { nodes: 30 });
        const facts = knowing({ 3: "right" });
        perform(history, requesterDutiesOf(history, says, facts));
        const steps = new DisputeSteps(history).answerContest();
        steps.vote(words, () => perform(history, requesterDutiesOf(history, says, facts), says));
        // Not before the ruling is final, or half of the window is over.
        const { block } = history.record.assignments[0]!.dispute!.since;
        expect(requesterDutiesOf(history, says, { ...facts, finalBlock: block - 1 })).to.deep.equal([]);
        const duties = requesterDutiesOf(history, says, { ...facts, finalBlock: block });
        expect(duties).to.deep.equal([{ kind: "appeal", batchId, assignment: 0, locks: juryBond(TERMS, 2) }]);
        const late = history.copy().wait(WINDOWS.challenge / 2 + 1);
        expect(kinds(requesterDutiesOf(late, says, { ...facts, finalBlock: block - 1 }))).to.deep.equal(["appeal"]);
        perform(history, duties);
        // The second jury is the last.
        steps.vote(Array(14).fill("wrong"));
        expect(kinds(requesterDutiesOf(history, says, facts))).to.deep.equal(["conclude"]);
      }
    });

    it("accepts what rules as it found, and what it did not run", () => {
      const [history, says] = panel(["wrong", "wrong", "wrong"], { nodes: 30 });
      perform(history, requesterDutiesOf(history, says, knowing({ 3: "right" })));
      const steps = new DisputeSteps(history).answerContest();
      steps.vote(Array(7).fill("right"), () => steps.open(0, "wrong"));
      history.wait(12);
      expect(requesterDutiesOf(history, says, knowing({ 3: "right" }))).to.deep.equal([]);
      expect(requesterDutiesOf(history, says)).to.deep.equal([]);
    });
  });

  describe("over its exceptions", () => {
    /** The primary differs and was accused. */
    function accused(options: HistoryOptions = {}): [MarketHistory, (node: string) => Saying] {
      const [history, says] = panel(["wrong", "right", "right"], options);
      perform(history, requesterDutiesOf(history, says));
      return [history, says];
    }

    it("opens every member it has read as soon as somebody challenges, and rules when all have", () => {
      const [history, says] = accused();
      expect(requesterDutiesOf(history, says)).to.deep.equal([]);
      const steps = new DisputeSteps(history).challenge(primary);
      steps.open(1, "right");
      const duties = requesterDutiesOf(history, says);
      expect(duties).to.deep.equal([0, 2].map((member) => ({ kind: "open", batchId, assignment: 0, member })));
      perform(history, duties, says);
      expect(kinds(requesterDutiesOf(history, says))).to.deep.equal(["rule"]);
      perform(history, requesterDutiesOf(history, says));
      expect(history.record.assignments[0]!.dispute!.rulings).to.deep.equal([digestOf("right")]);
      expect(requesterDutiesOf(history, says)).to.deep.equal([]);
      steps.waitOut();
      expect(kinds(requesterDutiesOf(history, says))).to.deep.equal(["conclude"]);
      perform(history, requesterDutiesOf(history, says));
      expect(history.record.assignments[0]!.outcome).to.include({ outcome: "primary-slashed", accused: 1n });
    });

    it("opens while it may, and rules when the others' time is over", () => {
      const [history, says] = accused();
      const steps = new DisputeSteps(history).challenge(primary);
      const readings = new Map();
      expect(requesterDutiesOf(history, says, { readings })).to.deep.equal([]);
      steps.waitOut();
      expect(kinds(requesterDutiesOf(history, says, { readings }))).to.deep.equal(["rule"]);
      expect(kinds(requesterDutiesOf(history, says))).to.deep.equal(["rule"]);
    });

    it("appeals where a jury clears who was wrong by its own run of the task, if it can pay", () => {
      const [history, says] = accused({ nodes: 30 });
      const { witness } = history.record.assignments[0]!.exceptions[0]!;
      const facts = knowing({ [witness]: "right" });
      const steps = new DisputeSteps(history).challenge(primary);
      perform(history, requesterDutiesOf(history, says, facts), says);
      steps.rule();
      expect(requesterDutiesOf(history.wait(12), says, facts)).to.deep.equal([]);
      steps.appeal(primary).vote(Array(7).fill("wrong"));
      history.wait(12);
      const locks = juryBond(TERMS, 2);
      expect(requesterDutiesOf(history, says)).to.deep.equal([]);
      expect(requesterDutiesOf(history, says, facts)).to.deep.equal([
        { kind: "appeal", batchId, assignment: 0, locks },
      ]);
      expect(requesterDutiesOf(history, says, { ...facts, budget: locks - 1n })).to.deep.equal([
        { kind: "short", batchId, assignments: [0], missing: 1n },
      ]);
    });

    it("appeals against the panel itself where its own run says otherwise", () => {
      // It could not know that when it accused.
      const [history, says] = panel(["right", "wrong", "wrong"]);
      perform(history, requesterDutiesOf(history, says));
      const { witness } = history.record.assignments[0]!.exceptions[0]!;
      new DisputeSteps(history).challenge(primary);
      perform(history, requesterDutiesOf(history, says), says);
      new DisputeSteps(history).rule();
      history.wait(12);
      const duties = requesterDutiesOf(history, says, knowing({ [witness]: "right" }));
      expect(kinds(duties)).to.deep.equal(["appeal"]);
      perform(history, duties);
    });

    it("appeals to nobody where no juror is left", () => {
      const [history, says] = panel(["right", "wrong", "wrong"], { nodes: 3 });
      perform(history, requesterDutiesOf(history, says));
      const { witness } = history.record.assignments[0]!.exceptions[0]!;
      new DisputeSteps(history).challenge(primary);
      perform(history, requesterDutiesOf(history, says), says);
      new DisputeSteps(history).rule();
      history.wait(12);
      expect(requesterDutiesOf(history, says, knowing({ [witness]: "right" }))).to.deep.equal([]);
    });

    it("opens where it was silent and a panel was called, and concludes that too", () => {
      const [history, says] = panel(["right", "right", "wrong"]);
      const { judgeBy } = panelStatus(history.record, history.record.assignments[0]!, PARAMETERS)!;
      new DisputeSteps(history.until(judgeBy + 1)).callPanel(primary);
      const duties = requesterDutiesOf(history, says);
      expect(kinds(duties)).to.deep.equal(["open", "open", "open"]);
      perform(history, duties, says);
      expect(kinds(requesterDutiesOf(history, says))).to.deep.equal(["rule"]);
    });
  });

  describe("within its means", () => {
    /** Two slices of different size whose primaries both differ. */
    function twoLiars(): [MarketHistory, (node: string) => Saying] {
      const [small, large] = [primary, nodeAt(1)];
      const history = new MarketHistory({ nodes: 20 })
        .post()
        .claim(small, 2)
        .submit(small, 0)
        .claim(large, 4)
        .submit(large, 1)
        .wait(20)
        .reveal();
      for (const index of [0, 1]) for (const seat of [0, 1]) history.answerFrom(index, 0, seat);
      // One that is the primary here may be a verifier there.
      const says = (node: string): Saying => (node === small ? "wrong" : node === large ? "false" : "right");
      return [history.wait(12), says];
    }
    const locksOf = (count: number): bigint => reserve(TERMS, TERMS.price, count, PARAMETERS).beyondBond;

    it("tells what an exception and what a contest lock, as the market does", () => {
      const [history, says] = panel(["wrong", "right", "right"]);
      expect(requesterDutiesOf(history, says)).to.have.nested.property("[0].locks", RESERVE);
      expect(requesterDutiesOf(history, says, { budget: RESERVE })).to.have.nested.property("[0].kind", "judge");
      expect(requesterDutiesOf(history, says, { budget: RESERVE - 1n })).to.deep.equal([
        { kind: "short", batchId, assignments: [0], missing: 1n },
      ]);
      const [garbage, garbageSay] = panel(["garbage", "right", "right"]);
      expect(kinds(requesterDutiesOf(garbage, garbageSay, { budget: CONTEST }))).to.deep.equal(["contest"]);
      expect(kinds(requesterDutiesOf(garbage, garbageSay, { budget: CONTEST - 1n }))).to.deep.equal(["short"]);
    });

    it("waits for money until there is hardly time left, and then pays", () => {
      const [history, says] = panel(["wrong", "right", "right"]);
      const { judgeBy } = panelStatus(history.record, history.record.assignments[0]!, PARAMETERS)!;
      history.until(Math.floor(judgeBy - WINDOWS.judge / 4));
      expect(kinds(requesterDutiesOf(history, says, { budget: 0n }))).to.deep.equal(["short"]);
      expect(kinds(requesterDutiesOf(history.wait(1), says, { budget: 0n }))).to.deep.equal(["short", "settle"]);
      expect(kinds(requesterDutiesOf(history, says))).to.deep.equal(["judge"]);
    });

    it("lists what fits, what brings back most first, and does not end the judging with it", () => {
      const [history, says] = twoLiars();
      const facts = { budget: locksOf(4) + locksOf(2) - 1n };
      const judged = requesterDutiesOf(history, says).find((duty) => duty.kind === "judge");
      expect(judged).to.include({ last: true, locks: locksOf(4) + locksOf(2) });
      const duties = requesterDutiesOf(history, says, facts);
      expect(duties[0]).to.deep.equal({ kind: "short", batchId, assignments: [0], missing: 1n });
      expect(duties[1]).to.include({ kind: "judge", last: false, locks: locksOf(4) });
      expect(duties).to.have.nested.property("[1].exceptions[0].assignment", 1);
      perform(history, duties);
      const { escrow } = quote(TERMS, 6, PARAMETERS);
      expect(escrow > 0n).to.equal(true);
      // Money came.
      const rest = requesterDutiesOf(history, says);
      expect(rest).to.have.nested.property("[0].exceptions[0].assignment", 0);
      perform(history, rest);
    });

    it("contests before it says that it has listed everything", () => {
      const [history] = twoLiars();
      const says = (node: string): Saying => (node === primary ? "garbage" : node === nodeAt(1) ? "false" : "right");
      const duties = requesterDutiesOf(history, says);
      expect(kinds(duties)).to.include.members(["contest", "judge"]);
      expect(kinds(duties).indexOf("contest")).to.be.below(kinds(duties).indexOf("judge"));
      expect(duties.find((duty) => duty.kind === "judge")).to.include({ last: false });
      perform(history, duties);
    });
  });

  it("contests nothing of a batch that a delegate has judged", () => {
    const [history, says] = panel(["garbage", "right", "right"]);
    history.judge(REQUESTER, [], true);
    expect(requesterDutiesOf(history, says)).to.deep.equal([SETTLE]);
  });
});
