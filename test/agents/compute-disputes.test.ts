import { expect } from "chai";
import { PRIMARY } from "#sdk/context.ts";
import { sampledTask, sampledTasks } from "#sdk/sampling.ts";
import type { Terms, Verdict } from "#sdk/terms.ts";
import type { ComputeDuty } from "../../agents/compute/duties.ts";
import type { ComputeFacts } from "../../agents/compute/facts.ts";
import { DisputeSteps } from "../support/dispute-steps.ts";
import {
  addressOf,
  BATCH_ID,
  CLASS,
  MarketHistory,
  nodeAt,
  PARAMETERS,
  REQUESTER,
  WINDOWS,
  type HistoryOptions,
} from "../support/market-history.ts";
import { computeDutiesOf } from "../support/node-decisions.ts";

const primary = nodeAt(0);
const PLACE = { batchId: BATCH_ID, assignment: 0 };
const WITNESS = 2;
/** Seconds until a block is final. */
const FINAL = 2 * (PARAMETERS.finalDepth + 1);
/** Two blocks more than a jury's entropy is ahead. */
const DRAWN = 2 * (PARAMETERS.finalDepth + 2);
const JURY = 7;

/** What a duty is about, without what the tests of its dates say. */
type Told = Record<string, unknown>;

function duties(steps: DisputeSteps, node: string, changes: Partial<ComputeFacts> = {}): ComputeDuty[] {
  return computeDutiesOf(steps.history, node, changes);
}

function kinds(steps: DisputeSteps, node: string, changes: Partial<ComputeFacts> = {}): string[] {
  return duties(steps, node, changes).map(({ kind }) => kind);
}

/** A revealed batch of one assignment with a full panel of three. */
function panel(options: HistoryOptions = {}): MarketHistory {
  const history = new MarketHistory({ nodes: 40, ...options }).post().claim(primary, options.count ?? 6);
  history.submit(primary, 0).wait(20).reveal();
  for (const seat of history.drawn(0)[0]!.keys()) history.answerFrom(0, 0, seat);
  return history;
}

function excepted(members: readonly (number | "none")[], options: HistoryOptions = {}): DisputeSteps {
  const exceptions = members.map((member) => ({
    assignment: 0,
    verdict: (member === "none" ? "no-majority" : member === 0 ? "primary-differs" : "seat-differs") as Verdict,
    witness: WITNESS,
    round: 0,
    seat: typeof member === "number" && member > 0 ? member - 1 : 0,
  }));
  return new DisputeSteps(panel(options).judge(REQUESTER, exceptions, true));
}

function contested(matter: "work" | "delivery", member = 0, options: HistoryOptions = {}): DisputeSteps {
  const steps = new DisputeSteps(panel(options));
  return matter === "work" ? steps.contestWork(WITNESS) : steps.contestDelivery(member);
}

function partOf(steps: DisputeSteps, member: number): Told {
  const { record } = steps.history;
  if (member === 0) return { ...PLACE, ...PRIMARY, tasks: [0, 1, 2, 3, 4, 5] };
  const tasks = sampledTasks(record.reveal!.entropy, { assignment: 0, first: 0, count: 6 }, 1_000_000);
  const { round, seat } = record.assignments[0]!.answers[member - 1]!;
  return { ...PLACE, round, seat, tasks };
}

/** A node that nobody drew. */
function stranger(steps: DisputeSteps): string {
  const known = new Set([
    ...steps.members,
    ...steps.history.data.assignments[0]!.dispute!.juries.flatMap((jury) => jury.jurors.map(({ node }) => node)),
  ]);
  return Array.from({ length: 40 }, (_, index) => nodeAt(index)).find((node) => !known.has(node))!;
}

const all = (word: string, seats = JURY): string[] => Array.from({ length: seats }, () => word);
const unchecked: Partial<ComputeFacts> = { agrees: () => undefined };
const wrong: Partial<ComputeFacts> = { agrees: () => false };
const poor: Partial<ComputeFacts> = { uncommitted: 0n, freeStake: 0n };

describe("computeDuties in a dispute", () => {
  describe("challenges", () => {
    it("an exception against it, after running the witness task again, for nothing", () => {
      const steps = excepted([0]);
      const deadline = steps.history.now + WINDOWS.challenge;
      expect(duties(steps, primary, unchecked)).to.deep.equal([{ kind: "check", ...partOf(steps, 0), task: WITNESS }]);
      expect(duties(steps, primary, poor)).to.deep.equal([{ kind: "challenge", ...PLACE, bond: 0n, deadline }]);
      expect(duties(steps, primary, wrong)).to.deep.equal([]);
    });

    it("as the verifier that it names, and asks for its own part to be run again", () => {
      const steps = excepted([2]);
      const accused = steps.members[2]!;
      expect(duties(steps, accused, unchecked)).to.deep.equal([{ kind: "check", ...partOf(steps, 2), task: WITNESS }]);
      const asked: unknown[] = [];
      const agrees: ComputeFacts["agrees"] = (part, task) => asked.push([part, task]) > 0;
      expect(kinds(steps, accused, { agrees })).to.deep.equal(["challenge"]);
      expect(asked).to.deep.equal([[partOf(steps, 2), WITNESS]]);
    });

    it("up to the last second of the window, and nothing afterwards", () => {
      const steps = excepted([0]).wait(WINDOWS.challenge);
      expect(kinds(steps, primary)).to.deep.equal(["challenge"]);
      expect(kinds(steps.wait(1), primary)).to.deep.equal([]);
      expect(kinds(steps, steps.members[1]!)).to.deep.equal(["conclude"]);
    });

    it("no exception that is about somebody else", () => {
      const steps = excepted([1]);
      expect(kinds(steps, primary)).to.deep.equal([]);
      expect(kinds(steps, steps.members[2]!)).to.deep.equal([]);
      expect(kinds(steps, nodeAt(39))).to.deep.equal([]);
    });

    it("that there is no majority, with a bond, where that pays and is there", () => {
      const steps = excepted(["none"]);
      const bond = PARAMETERS.challengeBond;
      const deadline = steps.history.now + WINDOWS.challenge;
      const challenge = { kind: "challenge", ...PLACE, bond, deadline };
      expect(kinds(steps, primary)).to.deep.equal([]);
      steps.wait(1);
      for (const member of steps.members) {
        expect(duties(steps, member)).to.deep.equal([challenge]);
        expect(kinds(steps, member, unchecked)).to.deep.equal(["check"]);
        expect(kinds(steps, member, wrong)).to.deep.equal([]);
        expect(kinds(steps, member, { uncommitted: bond })).to.deep.equal(["challenge"]);
        expect(kinds(steps, member, { uncommitted: bond - 1n })).to.deep.equal([]);
      }
      // What nine in ten chances are worth against the tenth.
      const dear = (challengeBond: bigint): string[] =>
        kinds(steps, primary, { parameters: { ...PARAMETERS, challengeBond } });
      // Six tasks at 10, and half of a tenth of the lock of whoever is wrong.
      expect(dear(65n * 9n - 1n)).to.deep.equal(["challenge"]);
      expect(dear(65n * 9n)).to.deep.equal([]);
    });

    it("one at a time where it concerns several, unless time presses", () => {
      const policy = { class: CLASS, minPrice: 1n, patience: 8 };
      const one = excepted([1], { terms: { quorum: 5 } });
      expect(kinds(one, one.members[1]!, { policy })).to.deep.equal(["challenge"]);
      const two = excepted([1, 2], { terms: { quorum: 5 } });
      const turns = [1, 2].map((member) => {
        const steps = two.copy();
        while (kinds(steps, steps.members[member]!, { policy }).length === 0) steps.wait(1);
        return steps.history.now - two.history.now;
      });
      for (const turn of turns) expect(turn).to.be.oneOf([9, 17, 25, 33]);
      two.wait(WINDOWS.challenge / 2 + 1);
      for (const member of [1, 2])
        expect(kinds(two, two.members[member]!, { policy: { ...policy, patience: 60 } })).to.deep.equal(["challenge"]);
    });

    it("nothing that is challenged already", () => {
      const steps = excepted(["none"]).challenge(primary).wait(1);
      for (const member of steps.members) expect(kinds(steps, member)).to.not.include("challenge");
    });
  });

  describe("calls on the panel", () => {
    const overdue = (options: HistoryOptions = {}): DisputeSteps =>
      new DisputeSteps(panel(options)).wait(WINDOWS.check + WINDOWS.judge);

    it("where the requester did not judge, for one challenge window", () => {
      const steps = overdue();
      const [, verifier] = steps.members;
      const deadline = steps.history.now + WINDOWS.challenge;
      expect(kinds(steps, primary)).to.deep.equal([]);
      expect(duties(steps.wait(1), primary)).to.deep.equal([{ kind: "call-panel", ...PLACE, deadline }]);
      expect(kinds(steps, verifier!)).to.deep.equal(["call-panel"]);
      expect(kinds(steps.wait(WINDOWS.challenge - 1), verifier!)).to.deep.equal(["call-panel"]);
      expect(kinds(steps.wait(1), verifier!)).to.deep.equal(["settle"]);
    });

    it("only as a member, and not where the requester judged", () => {
      const steps = overdue().wait(1);
      expect(kinds(steps, nodeAt(39))).to.deep.equal([]);
      const judged = new DisputeSteps(panel().judge(REQUESTER, [], true)).wait(WINDOWS.check + WINDOWS.judge + 1);
      expect(kinds(judged, primary)).to.deep.equal(["settle"]);
    });

    it("one after the other", () => {
      const steps = overdue().wait(1);
      const policy = { class: CLASS, minPrice: 1n, patience: 10 };
      expect(kinds(steps, primary, { policy })).to.deep.equal([]);
      while (kinds(steps, primary, { policy }).length === 0) steps.wait(1);
      expect(kinds(steps, primary, { policy })).to.deep.equal(["call-panel"]);
    });

    it("and then opens the task that the chain chose", () => {
      const steps = overdue().wait(1).callPanel(primary).wait(FINAL);
      const { entropy } = steps.history.record.reveal!;
      const task = sampledTask(entropy, { assignment: 0, first: 0, count: 6 }, 0);
      const { deadline } = steps.history.record.assignments[0]!.dispute!;
      expect(duties(steps, steps.members[1]!)).to.deep.equal([
        { kind: "open", ...partOf(steps, 1), member: 1, task, deadline },
      ]);
    });
  });

  describe("opens", () => {
    it("what it committed to, once the call is final, as every member", () => {
      const steps = excepted([0]).challenge(primary);
      const deadline = steps.history.now + WINDOWS.challenge;
      for (const member of steps.members) expect(kinds(steps, member)).to.deep.equal([]);
      steps.wait(FINAL);
      for (const [member, node] of steps.members.entries()) {
        const open = { kind: "open", ...partOf(steps, member), member, task: WITNESS, deadline };
        expect(duties(steps, node)).to.deep.equal([open]);
        // What it would find now does not change what it committed to.
        expect(duties(steps, node, wrong)).to.deep.equal([open]);
      }
      expect(kinds(steps, stranger(steps))).to.deep.equal([]);
      expect(kinds(steps.open(1, "right"), steps.members[1]!)).to.deep.equal([]);
    });

    it("before that if half of the time has passed, and not after its end", () => {
      const steps = excepted([0])
        .challenge(primary)
        .wait(WINDOWS.challenge / 2);
      expect(kinds(steps, primary, { finalBlock: 0 })).to.deep.equal([]);
      expect(kinds(steps.wait(1), primary, { finalBlock: 0 })).to.deep.equal(["open"]);
      expect(kinds(steps.wait(WINDOWS.challenge / 2 - 1), primary)).to.deep.equal(["open"]);
      expect(kinds(steps.wait(1), primary)).to.deep.equal(["rule"]);
    });

    it("contested work only as the primary, and only while the ballots are opened", () => {
      const steps = contested("work").answerContest().wait(DRAWN).convene();
      expect(kinds(steps.wait(FINAL), primary)).to.deep.equal([]);
      for (const seat of steps.jurors.keys()) steps.castBallot(seat);
      steps.rule();
      expect(kinds(steps, primary)).to.deep.equal([]);
      steps.wait(FINAL);
      const { deadline } = steps.history.record.assignments[0]!.dispute!;
      expect(duties(steps, primary)).to.deep.equal([
        { kind: "open", ...partOf(steps, 0), member: 0, task: WITNESS, deadline },
      ]);
      expect(kinds(steps, steps.members[1]!)).to.deep.equal([]);
    });
  });

  describe("answers a contest", () => {
    it("of its work after running the task again, and leaves it if that was wrong", () => {
      const steps = contested("work").wait(FINAL);
      const { deadline } = steps.history.record.assignments[0]!.dispute!;
      expect(duties(steps, primary, unchecked)).to.deep.equal([{ kind: "check", ...partOf(steps, 0), task: WITNESS }]);
      expect(duties(steps, primary)).to.deep.equal([
        { kind: "answer-contest", ...partOf(steps, 0), matter: "work", deadline },
      ]);
      expect(duties(steps, primary, wrong)).to.deep.equal([]);
      expect(duties(steps, steps.members[1]!)).to.deep.equal([]);
      expect(kinds(steps.wait(WINDOWS.challenge), steps.members[1]!)).to.deep.equal(["conclude"]);
      expect(kinds(steps, primary)).to.deep.equal(["conclude"]);
    });

    it("of its delivery, whatever it would compute, once the contest is final", () => {
      const steps = contested("delivery", 2);
      const accused = steps.members[2]!;
      const { deadline } = steps.history.record.assignments[0]!.dispute!;
      expect(duties(steps, accused)).to.deep.equal([]);
      expect(duties(steps.wait(FINAL), accused, unchecked)).to.deep.equal([
        { kind: "answer-contest", ...partOf(steps, 2), matter: "delivery", deadline },
      ]);
      expect(duties(steps, primary)).to.deep.equal([]);
    });
  });

  describe("appeals", () => {
    /** The primary against two that agree in a lie; everybody has opened. */
    function outvoted(options: HistoryOptions = {}): DisputeSteps {
      const steps = excepted([0], options).challenge(primary);
      return steps.open(0, "right").open(1, "lie").open(2, "lie").rule();
    }

    /** Three that all say something else, and no majority. */
    function divided(terms: Partial<Terms> = {}): DisputeSteps {
      const steps = excepted(["none"], { terms }).challenge(primary);
      return steps.open(0, "right").open(1, "lie").open(2, "other lie").rule();
    }

    it("for nothing against a panel that would take its lock, if it finds the same again", () => {
      const steps = outvoted();
      const deadline = steps.history.now + WINDOWS.challenge;
      const appeal = { kind: "appeal", ...PLACE, tier: 1, bond: 0n, deadline };
      expect(duties(steps, primary, unchecked)).to.deep.equal([{ kind: "check", ...partOf(steps, 0), task: WITNESS }]);
      expect(duties(steps, primary, poor)).to.deep.equal([appeal]);
      expect(duties(steps, primary, wrong)).to.deep.equal([]);
      // Those that are right as things stand wait for the end.
      expect(duties(steps, steps.members[1]!)).to.deep.equal([]);
      expect(kinds(steps.wait(WINDOWS.challenge), primary)).to.deep.equal(["appeal"]);
      expect(kinds(steps.wait(1), primary)).to.deep.equal([]);
      expect(kinds(steps, steps.members[1]!)).to.deep.equal(["conclude"]);
    });

    it("with a bond where it only loses its pay, if that is worth it", () => {
      const bond = BigInt(JURY) * 12n;
      // Six tasks at 12 against seven jurors at 12.
      const steps = divided();
      const verifier = steps.members[1]!;
      const deadline = steps.history.now + WINDOWS.challenge;
      steps.wait(1);
      expect(duties(steps, verifier)).to.deep.equal([{ kind: "appeal", ...PLACE, tier: 1, bond, deadline }]);
      expect(kinds(steps, verifier, { uncommitted: bond })).to.deep.equal(["appeal"]);
      expect(kinds(steps, verifier, { uncommitted: bond - 1n })).to.deep.equal([]);
      expect(kinds(steps, verifier, unchecked)).to.deep.equal(["check"]);
      expect(kinds(steps, verifier, wrong)).to.deep.equal([]);
      // The primary's six tasks at 1 and a share of 5 are less than a ninth of it.
      const cheap = divided({ price: 1n, verifierPrice: 20n }).wait(1);
      expect(kinds(cheap, primary)).to.deep.equal([]);
      expect(kinds(cheap, cheap.members[1]!)).to.deep.equal(["appeal"]);
    });

    it("a second time only for more than twice the chance, since a jury has spoken", () => {
      const lost = outvoted().appeal(primary).vote(all("lie")).wait(1);
      const bond = 2n * BigInt(JURY) * 12n;
      const { deadline } = lost.history.record.assignments[0]!.dispute!;
      // A lock of 100, pay of 60 and a share of 5 against 168.
      expect(duties(lost, primary)).to.deep.equal([]);
      const more = outvoted({ terms: { slashAmount: 150n } })
        .appeal(primary)
        .vote(all("lie"))
        .wait(1);
      expect(duties(more, primary)).to.deep.equal([{ kind: "appeal", ...PLACE, tier: 2, bond, deadline }]);
      expect(kinds(more, primary, unchecked)).to.deep.equal(["check"]);
      expect(kinds(more, primary, { uncommitted: bond - 1n })).to.deep.equal([]);
      // No jury of the first tier that could not agree has said that the node is wrong.
      const split = ["right", "right", "right", "lie", "lie", "lie", "other"];
      const open = outvoted().appeal(primary).vote(split).wait(1);
      expect(kinds(open, primary)).to.deep.equal(["appeal"]);
    });

    it("not a third time", () => {
      const terms = { slashAmount: 500n };
      const steps = outvoted({ terms })
        .appeal(primary)
        .vote(all("lie"))
        .appeal(primary)
        .vote(all("lie", 2 * JURY));
      expect(kinds(steps.wait(1), primary)).to.not.include("appeal");
      expect(kinds(steps, steps.members[1]!)).to.deep.equal(["conclude"]);
    });

    it("nothing where nobody is left to sit on a jury", () => {
      const steps = outvoted({ nodes: 3 });
      expect(steps.members).to.have.length(3);
      expect(kinds(steps, primary)).to.deep.equal([]);
    });

    it("nothing where it did not open when it was called", () => {
      const steps = excepted(["none"]).challenge(primary).open(0, "right").waitOut().rule().wait(1);
      expect(kinds(steps, primary)).to.include("appeal");
      expect(kinds(steps, steps.members[1]!)).to.not.include("appeal");
    });

    it("as the primary of contested work, and as who is said not to have delivered, if it is worth it", () => {
      const work = contested("work", 0, { terms: { slashAmount: 200n } }).answerContest();
      work.vote(all("other"), () => work.open(0, "right"));
      expect(kinds(work.wait(1), primary)).to.deep.equal(["appeal"]);
      expect(kinds(work, primary, wrong)).to.deep.equal([]);
      const delivery = contested("delivery").answerContest().vote(all("undelivered")).wait(1);
      expect(kinds(delivery, primary)).to.deep.equal([]);
      const dear = contested("delivery", 0, { terms: { price: 30n, verifierPrice: 12n } });
      dear.answerContest().vote(all("undelivered")).wait(1);
      expect(kinds(dear, primary, unchecked)).to.deep.equal(["appeal"]);
    });

    it("as a juror that the others ruled against, for the sake of its lock", () => {
      const votes = [...all("lie", JURY - 1), "right"];
      const steps = outvoted({ terms: { slashAmount: 500n } })
        .appeal(primary)
        .vote(votes)
        .wait(1);
      const [other, , , , , , juror] = steps.jurors;
      expect(kinds(steps, juror!)).to.deep.equal(["appeal"]);
      expect(kinds(steps, other!)).to.deep.equal([]);
      const cheap = outvoted({ terms: { slashAmount: 100n } })
        .appeal(primary)
        .vote(votes)
        .wait(1);
      expect(kinds(cheap, cheap.jurors[6]!)).to.deep.equal([]);
      // Not everybody need have been served the same: over a delivery its lock is not what it loses.
      const unserved = [...all("delivered", JURY - 1), "undelivered"];
      const delivery = contested("delivery", 0, { terms: { slashAmount: 500n } });
      delivery.answerContest().vote(unserved).wait(1);
      expect(kinds(delivery, delivery.jurors[6]!)).to.deep.equal([]);
    });
  });

  describe("serves as a juror", () => {
    function called(): DisputeSteps {
      const steps = excepted([0]).challenge(primary).open(0, "right").open(1, "lie").open(2, "lie").rule();
      return steps.appeal(primary);
    }

    /** Who has a ballot to cast, by seat. */
    function voters(steps: DisputeSteps): Map<number, string> {
      const found = new Map<number, string>();
      for (let index = 0; index < 40; ++index) {
        for (const duty of duties(steps, nodeAt(index))) if (duty.kind === "vote") found.set(duty.seat, nodeAt(index));
      }
      return found;
    }

    it("from the block on that decides who, before anybody has convened", () => {
      const steps = called();
      const since = steps.history.now;
      expect(voters(steps)).to.deep.equal(new Map());
      steps.wait(DRAWN);
      const found = voters(steps);
      expect([...found.keys()].sort()).to.deep.equal([0, 1, 2, 3, 4, 5, 6]);
      const deadline = since + PARAMETERS.drawDelay + WINDOWS.check;
      expect(duties(steps, found.get(3)!, unchecked)).to.deep.equal([
        { kind: "vote", ...PLACE, tier: 1, seat: 3, matter: "exception", task: WITNESS, since, deadline },
      ]);
      steps.convene();
      expect(voters(steps)).to.deep.equal(found);
      steps.castBallot(3);
      expect(kinds(steps, found.get(3)!)).to.deep.equal([]);
    });

    it("in time or not at all", () => {
      const steps = called().wait(PARAMETERS.drawDelay + WINDOWS.check);
      expect(voters(steps).size).to.equal(7);
      expect(voters(steps.wait(1)).size).to.equal(0);
    });

    it("in the place of somebody that stayed away, and not as that one", () => {
      const steps = called().wait(DRAWN).convene();
      const [first] = steps.jurors;
      for (let seat = 1; seat < JURY; ++seat) steps.castBallot(seat);
      steps.waitOut().rule();
      expect(voters(steps).size).to.equal(0);
      steps.wait(DRAWN);
      const found = voters(steps);
      expect([...found.keys()]).to.deep.equal([0]);
      expect(found.get(0)).to.not.equal(first);
      steps.convene();
      expect(voters(steps)).to.deep.equal(found);
    });

    it("and opens its ballot once the casting is over for good", () => {
      const steps = called().wait(DRAWN).convene();
      const [, juror, silent] = steps.jurors;
      for (const seat of steps.jurors.keys()) if (seat !== 2) steps.castBallot(seat);
      // Nobody is left to replace the one that stayed away in the second call either.
      steps.waitOut().rule().waitOut().rule();
      const { deadline } = steps.history.record.assignments[0]!.dispute!;
      expect(kinds(steps, juror!)).to.deep.equal([]);
      expect(kinds(steps.copy().wait(WINDOWS.challenge / 2 + 1), juror!, { finalBlock: 0 })).to.deep.equal(["show"]);
      steps.wait(FINAL);
      expect(duties(steps, juror!)).to.deep.equal([
        { kind: "show", ...PLACE, tier: 1, seat: 1, task: WITNESS, deadline },
      ]);
      expect(kinds(steps, silent!)).to.deep.equal([]);
      expect(kinds(steps.copy().openBallot(1, "right"), juror!)).to.deep.equal([]);
      expect(kinds(steps.wait(deadline - steps.history.now), juror!)).to.deep.equal(["show"]);
      expect(kinds(steps.wait(1), juror!)).to.deep.equal(["rule"]);
    });

    it("with stake that is then not there for claims", () => {
      const steps = called().wait(DRAWN);
      const juror = voters(steps).get(0)!;
      const second = BATCH_ID.replace(/.$/, (digit) => (digit === "0" ? "1" : "0"));
      const { batch, escrow, bond } = steps.history.record;
      steps.history.emit("BatchPosted", {
        id: second,
        job: batch.job,
        batch: { ...batch, sequence: 1n },
        escrow,
        bond,
      });
      expect(kinds(steps, juror, { freeStake: 200n, uncommitted: 1_200n })).to.deep.equal(["vote", "claim"]);
      expect(kinds(steps, juror, { freeStake: 199n, uncommitted: 1_199n })).to.deep.equal(["vote"]);
    });
  });

  describe("moves a dispute on", () => {
    it("by ruling when all have opened, and else at the deadline", () => {
      const steps = excepted([0]).challenge(primary).open(0, "right").open(1, "right").wait(FINAL);
      expect(kinds(steps, primary)).to.deep.equal([]);
      const whole = steps.copy().open(2, "right");
      expect(kinds(whole, primary)).to.deep.equal([]);
      expect(duties(whole.wait(1), primary)).to.deep.equal([{ kind: "rule", ...PLACE }]);
      expect(kinds(whole, stranger(whole))).to.deep.equal([]);
      expect(kinds(steps.waitOut(), primary)).to.deep.equal(["rule"]);
    });

    it("to its end, but not as one that would lose its lock by it", () => {
      const steps = excepted([0]).challenge(primary).open(0, "lie").open(1, "right").open(2, "right").wait(1);
      expect(kinds(steps, primary)).to.deep.equal(["rule"]);
      expect(kinds(steps, steps.members[1]!)).to.deep.equal(["rule"]);
      expect(kinds(steps.rule().waitOut().wait(1), primary)).to.deep.equal([]);
      expect(kinds(steps, steps.members[2]!)).to.deep.equal(["conclude"]);
    });

    it("by drawing a jury that nobody cast from before the chain forgets how, as a member", () => {
      const windows = { ...WINDOWS, check: 400 };
      const steps = excepted([0], { terms: { windows } }).challenge(primary);
      steps.open(0, "right").open(1, "lie").open(2, "lie").rule().appeal(primary);
      const { entropyBlock } = steps.history.record.assignments[0]!.dispute!.juries[0]!;
      const [, right] = steps.members;
      steps.history.until((entropyBlock + 64) * 2);
      expect(kinds(steps, right!)).to.deep.equal([]);
      steps.wait(2);
      expect(kinds(steps, right!)).to.deep.equal(["convene"]);
      expect(kinds(steps.convene(), right!)).to.deep.equal([]);
    });

    it("by closing the ballots and counting them, as whoever has cast", () => {
      const steps = excepted([0]).challenge(primary).open(0, "right").open(1, "lie").open(2, "lie").rule();
      steps.appeal(primary).wait(DRAWN).convene();
      for (const seat of steps.jurors.keys()) steps.castBallot(seat);
      const [juror] = steps.jurors;
      expect(kinds(steps.wait(1), juror!)).to.deep.equal(["rule"]);
      steps.rule();
      for (const seat of steps.jurors.keys()) steps.openBallot(seat, "right");
      expect(kinds(steps.wait(1), juror!)).to.deep.equal(["rule"]);
      steps.rule().waitOut();
      expect(kinds(steps, juror!)).to.deep.equal(["conclude"]);
      expect(kinds(steps, primary)).to.deep.equal(["conclude"]);
      // Those that lied lose their locks by it, and nobody else has anything to gain.
      expect(kinds(steps, steps.members[1]!, wrong)).to.deep.equal([]);
      expect(kinds(steps, stranger(steps))).to.deep.equal([]);
      expect(kinds(steps.conclude(), juror!)).to.deep.equal([]);
    });

    it("each node with other patience", () => {
      const policy = { class: CLASS, minPrice: 1n, patience: 10 };
      const steps = excepted([1]).wait(WINDOWS.challenge + 1);
      const waits = [0, 2].map((member) => {
        const own = steps.copy();
        while (!kinds(own, own.members[member]!, { policy }).includes("conclude")) own.wait(1);
        return own.history.now - steps.history.now;
      });
      for (const wait of waits) expect(wait).to.be.oneOf([10, 20, 30, 40]);
    });
  });

  it("does nothing for an account that is no node, nor for another class", () => {
    const steps = excepted([0]).challenge(primary).wait(FINAL);
    expect(duties(steps, addressOf("stranger"))).to.deep.equal([]);
    const policy = { class: `0x${"77".repeat(32)}`, minPrice: 1n, patience: 0 };
    expect(duties(steps, primary, { policy })).to.deep.equal([]);
  });
});
