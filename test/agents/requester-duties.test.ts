import { expect } from "chai";
import { membersOf } from "#sdk/dispute.ts";
import { MAX_ROUNDS, reserve } from "#sdk/pricing.ts";
import { sampledCount } from "#sdk/sampling.ts";
import { readingKey, type RequesterDuty, type RequesterFacts } from "../../agents/requester/duties.ts";
import { performAsRequester, readingOf, readingsOf, requesterDutiesOf, type Saying } from "../support/decisions.ts";
import {
  BATCH_ID,
  MarketHistory,
  nodeAt,
  PARAMETERS,
  REQUESTER,
  TERMS,
  WINDOWS,
  type HistoryOptions,
} from "../support/market-history.ts";

const [primary, other] = [nodeAt(0), nodeAt(1)] as const;
const START = 1_000;
const CLAIM_BY = START + WINDOWS.claim;
const batchId = BATCH_ID;
const SETTLE = { kind: "settle", batchId, assignments: [0] };
const REDRAW = { kind: "redraw", batchId, assignment: 0 };
const CONCLUDE = { kind: "conclude", batchId, assignment: 0 };
const ESCALATE = { kind: "escalate", batchId, assignment: 0 };
const ADAPTIVE = { mode: "sampled", adaptive: true } as const;

function posted(options: HistoryOptions = {}): MarketHistory {
  return new MarketHistory(options).post();
}

function sealed(options: HistoryOptions = {}): MarketHistory {
  return posted(options)
    .claim(primary, options.count ?? 6)
    .submit(primary, 0);
}

function revealed(options: HistoryOptions = {}): MarketHistory {
  return sealed(options).wait(20).reveal();
}

/** Two slices, both checked. */
function twoSlices(options: HistoryOptions = {}): MarketHistory {
  return posted(options).claim(primary, 3).submit(primary, 0).claim(other, 3).submit(other, 1).wait(20).reveal();
}

/** A batch, revealed or about to be, of which nothing is sampled. */
function unsampled(finish: (history: MarketHistory) => MarketHistory = (history) => history): MarketHistory {
  for (let fork = 0; ; ++fork) {
    const history = sealed({ fork, terms: { mode: "sampled", rate: 50_000 } }).wait(20);
    const { entropy } = history.copy().reveal().data;
    if (sampledCount(entropy, { first: 0, count: 6 }, 50_000) === 0) return finish(history);
  }
}

/** Everybody but some says `right`. */
function saying(words: Record<string, Saying>): (node: string) => Saying {
  return (node) => words[node] ?? "right";
}

/** What the holders of seats say, by round and seat; all seats named are answered. */
function answered(history: MarketHistory, ...words: Saying[][]): (node: string) => Saying {
  const said: Record<string, Saying> = {};
  words.forEach((row, round) =>
    row.forEach((word, seat) => {
      said[history.drawn(0)[round]![seat]!] = word;
      history.answerFrom(0, round, seat);
    }),
  );
  return saying(said);
}

/** Blocks until what was said is final. */
function settleDown(history: MarketHistory): MarketHistory {
  return history.wait(12);
}

function exceptions(duties: readonly RequesterDuty[]): (string | number)[][] {
  return duties.flatMap((duty) =>
    duty.kind === "judge"
      ? duty.exceptions.map(({ assignment, verdict, round, seat }) => [assignment, verdict, round, seat])
      : [],
  );
}

describe("requesterDuties", () => {
  describe("before the seal", () => {
    it("leaves nodes their time, and then voids what is late and seals", () => {
      const history = posted().claim(primary, 2).submit(primary, 0).until(CLAIM_BY).claim(other, 2);
      expect(requesterDutiesOf(history)).to.deep.equal([]);
      history.until(CLAIM_BY + WINDOWS.submit);
      expect(requesterDutiesOf(history)).to.deep.equal([]);
      history.wait(1);
      expect(requesterDutiesOf(history)).to.deep.equal([{ kind: "expire", batchId, assignment: 1 }]);
      expect(requesterDutiesOf(history.expire(1))).to.deep.equal([{ kind: "seal", batchId }]);
      expect(requesterDutiesOf(history.seal())).to.deep.equal([]);
    });

    it("leaves late claims to those who may take them over, while they may", () => {
      const history = posted().claim(primary, 2).until(CLAIM_BY);
      expect(requesterDutiesOf(history)).to.deep.equal([]);
      expect(requesterDutiesOf(history.wait(1))).to.deep.equal([{ kind: "expire", batchId, assignment: 0 }]);
    });

    it("closes a batch that nobody claimed from the second after the claim window on", () => {
      const history = posted().until(CLAIM_BY);
      expect(requesterDutiesOf(history)).to.deep.equal([]);
      expect(requesterDutiesOf(history.wait(1))).to.deep.equal([{ kind: "seal", batchId }]);
      expect(requesterDutiesOf(history.seal())).to.deep.equal([]);
      expect(history.data).to.include({ closed: true, paid: 0n });
    });

    it("pays at once in mode trusted, and seals when nothing more can come", () => {
      const terms = { mode: "trusted", rate: 0, allowed: [primary, other] } as const;
      const history = posted({ terms }).claim(primary, 2).submit(primary, 0);
      expect(requesterDutiesOf(history)).to.deep.equal([SETTLE]);
      history.until(CLAIM_BY + 1);
      expect(requesterDutiesOf(history)).to.deep.equal([SETTLE, { kind: "seal", batchId }]);
      for (const duty of requesterDutiesOf(history)) performAsRequester(history, duty);
      expect(history.data).to.include({ closed: true, paid: 20n, bondBurned: false });
      // What was submitted whole is sealed already.
      const whole = posted({ terms }).claim(primary, 6).submit(primary, 0);
      expect(requesterDutiesOf(whole)).to.deep.equal([SETTLE]);
      expect(requesterDutiesOf(whole.wait(WINDOWS.reveal + 1))).to.deep.equal([SETTLE]);
    });
  });

  describe("before the reveal", () => {
    it("waits until the entropy block is mined and its hash is known", () => {
      const history = sealed();
      const { entropyBlock } = history.record.seal!;
      history.until(entropyBlock * 2);
      expect(requesterDutiesOf(history)).to.deep.equal([]);
      // Told by a node that is ahead of the head the agent acts on.
      expect(
        requesterDutiesOf(history, undefined, { hashes: new Map([[entropyBlock, history.hashOf(entropyBlock)]]) }),
      ).to.deep.equal([]);
      const final = { finalBlock: entropyBlock };
      expect(requesterDutiesOf(history, undefined, final)).to.deep.equal([]);
      history.wait(2);
      expect(requesterDutiesOf(history, undefined, final)).to.deep.equal([{ kind: "reveal", batchId }]);
      expect(requesterDutiesOf(history, undefined, { ...final, hashes: new Map() })).to.deep.equal([]);
    });

    it("waits until the entropy block is final, but not past half of its window", () => {
      const history = sealed();
      const { entropyBlock, at } = history.record.seal!;
      history.until(entropyBlock * 2 + 2);
      const justNot = { finalBlock: entropyBlock - 1 };
      expect(requesterDutiesOf(history, undefined, justNot)).to.deep.equal([]);
      history.until(at + WINDOWS.reveal / 2);
      expect(requesterDutiesOf(history, undefined, justNot)).to.deep.equal([]);
      history.wait(1);
      expect(requesterDutiesOf(history, undefined, justNot)).to.deep.equal([{ kind: "reveal", batchId }]);
    });

    it("goes by the stored hash where there is one", () => {
      const history = unsampled().capture();
      const wrong = new Map([[history.record.seal!.entropyBlock, `0x${"99".repeat(32)}`]]);
      for (const hashes of [wrong, new Map<number, string>()]) {
        expect(requesterDutiesOf(history, undefined, { hashes })).to.deep.equal([
          { kind: "reveal-and-settle", batchId, assignments: [0] },
        ]);
      }
    });

    it("reveals up to the last second, and afterwards only settles", () => {
      const history = sealed().wait(WINDOWS.reveal);
      expect(requesterDutiesOf(history)).to.deep.equal([{ kind: "reveal", batchId }]);
      expect(requesterDutiesOf(history.wait(1))).to.deep.equal([SETTLE]);
    });

    it("reveals and settles at once where nothing is sampled", () => {
      const history = unsampled();
      const duties = requesterDutiesOf(history);
      expect(duties).to.deep.equal([{ kind: "reveal-and-settle", batchId, assignments: [0] }]);
      performAsRequester(history, duties[0]!);
      expect(history.data).to.include({ closed: true, paid: 60n, bondBurned: false });
    });

    it("reveals alone where one transaction would hold too much", () => {
      for (const [count, kind] of [
        [50, "reveal-and-settle"],
        [51, "reveal"],
      ] as const) {
        for (let fork = 0; ; ++fork) {
          const history = posted({ count, fork, terms: { mode: "sampled", rate: 1_000, maxShare: 1 } });
          for (let index = 0; index < count; ++index) history.claim(primary, 1).submit(primary, index);
          history.wait(20);
          const { entropy } = history.copy().reveal().data;
          if (sampledCount(entropy, { first: 0, count }, 1_000) > 0) continue;
          expect(requesterDutiesOf(history).map((duty) => duty.kind)).to.deep.equal([kind]);
          break;
        }
      }
    });
  });

  describe("of a panel of three", () => {
    it("settles at once where all agree", () => {
      const history = revealed();
      const says = answered(history, ["right", "right"]);
      expect(requesterDutiesOf(settleDown(history), says)).to.deep.equal([SETTLE]);
    });

    it("waits for who has not answered until the last second of the check window", () => {
      const history = revealed();
      const until = history.now + WINDOWS.check;
      const says = answered(history, ["right"]);
      expect(requesterDutiesOf(history.until(until), says)).to.deep.equal([]);
      expect(requesterDutiesOf(history.wait(1), says)).to.deep.equal([SETTLE]);
    });

    it("judges on no answer that a reorganisation may still take back", () => {
      const history = revealed();
      const says = answered(history, ["right", "wrong"]);
      const { block } = history.record.assignments[0]!.answers[1]!;
      expect(requesterDutiesOf(history, says, { finalBlock: block - 1 })).to.deep.equal([]);
      expect(exceptions(requesterDutiesOf(history, says, { finalBlock: block }))).to.deep.equal([
        [0, "seat-differs", 0, 1],
      ]);
    });

    it("waits while results are being fetched", () => {
      const history = revealed();
      const says = answered(history, ["right", "right"]);
      expect(requesterDutiesOf(settleDown(history), says, { readings: new Map() })).to.deep.equal([]);
    });

    it("accuses a primary that both verifiers contradict, and waits out the challenge window", () => {
      const history = revealed();
      const says = saying({ [primary]: "wrong" });
      answered(history, ["right", "right"]);
      settleDown(history);
      const { witness } = comparisonOf(history, says) as { witness: number };
      const { beyondBond: locks } = reserve(TERMS, TERMS.price, 6, PARAMETERS);
      expect(requesterDutiesOf(history, says)).to.deep.equal([
        {
          kind: "judge",
          batchId,
          exceptions: [{ assignment: 0, verdict: "primary-differs", witness, round: 0, seat: 0 }],
          last: true,
          locks,
        },
      ]);
      performAsRequester(history, requesterDutiesOf(history, says)[0]!);
      expect(requesterDutiesOf(history, says)).to.deep.equal([]);
      expect(requesterDutiesOf(history.wait(WINDOWS.challenge), says)).to.deep.equal([]);
      expect(requesterDutiesOf(history.wait(1), says)).to.deep.equal([CONCLUDE]);
      performAsRequester(history, CONCLUDE as RequesterDuty);
      expect(history.record.assignments[0]!.outcome).to.include({ outcome: "primary-slashed" });
      expect(requesterDutiesOf(history, says)).to.deep.equal([]);
    });

    it("accuses a verifier that the others contradict", () => {
      const history = revealed();
      const says = answered(history, ["right", "wrong"]);
      expect(exceptions(requesterDutiesOf(settleDown(history), says))).to.deep.equal([[0, "seat-differs", 0, 1]]);
    });

    it("accuses by a majority at one task where none agrees on all", () => {
      const history = revealed();
      const says = answered(history, ["x y x x x x", "y x x x x x"]);
      const all = (node: string): Saying => (node === primary ? "x" : says(node));
      const [judge] = requesterDutiesOf(settleDown(history), all);
      expect(exceptions([judge!])).to.deep.equal([[0, "seat-differs", 0, 1]]);
      performAsRequester(history, judge!);
      expect(history.data.assignments[0]!.accused).to.deep.equal([2]);
    });

    it("lists that there is no majority where all three differ", () => {
      const history = revealed();
      const says = answered(history, ["wrong", "false"]);
      const duties = requesterDutiesOf(settleDown(history), says);
      expect(exceptions(duties)).to.deep.equal([[0, "no-majority", 0, 0]]);
      expect(duties).to.have.length(1).and.have.nested.property("[0].last", true);
    });

    it("draws again where one of two has answered and says otherwise", () => {
      const history = revealed();
      const says = answered(history, ["wrong"]);
      history.wait(WINDOWS.check);
      expect(requesterDutiesOf(history, says)).to.deep.equal([]);
      expect(requesterDutiesOf(history.wait(1), says)).to.deep.equal([REDRAW]);
    });

    it("draws again where nobody has answered, up to the end of the judge window, and then gives up", () => {
      const history = revealed().wait(WINDOWS.check);
      expect(requesterDutiesOf(history)).to.deep.equal([]);
      expect(requesterDutiesOf(history.wait(1))).to.deep.equal([REDRAW]);
      expect(requesterDutiesOf(history.wait(WINDOWS.judge - 1))).to.deep.equal([REDRAW]);
      expect(requesterDutiesOf(history.wait(1))).to.deep.equal([SETTLE]);
      performAsRequester(history, SETTLE as RequesterDuty);
      expect(history.record.assignments[0]!.outcome).to.include({ outcome: "exhausted", paid: 0n });
      expect(history.data.bondBurned).to.equal(false);
    });

    it("gives up at once where nobody is left to draw, and after the last round", () => {
      const few = revealed({ nodes: 3 }).wait(WINDOWS.check + 1);
      expect(requesterDutiesOf(few)).to.deep.equal([SETTLE]);
      const many = revealed({ nodes: 80 });
      for (let round = 1; round <= MAX_ROUNDS; ++round) {
        many.wait(PARAMETERS.drawDelay + WINDOWS.check + 1);
        expect(requesterDutiesOf(many)).to.deep.equal([REDRAW]);
        performAsRequester(many, REDRAW as RequesterDuty);
      }
      many.wait(PARAMETERS.drawDelay + WINDOWS.check);
      expect(requesterDutiesOf(many)).to.deep.equal([]);
      expect(requesterDutiesOf(many.wait(1))).to.deep.equal([SETTLE]);
    });

    it("finds no majority for good where one of two differs and nobody is left to draw", () => {
      const history = revealed({ nodes: 3 });
      const says = answered(history, ["wrong"]);
      expect(exceptions(requesterDutiesOf(history.wait(WINDOWS.check + 1), says))).to.deep.equal([
        [0, "no-majority", 0, 0],
      ]);
    });

    it("counts the answers of all rounds, late ones too", () => {
      const history = revealed().wait(WINDOWS.check + 1);
      performAsRequester(history, REDRAW as RequesterDuty);
      history.wait(14);
      const [first, second] = history.drawn(0);
      history.answerFrom(0, 0, 1).answerFrom(0, 1, 2);
      const says = saying({ [first![1]!]: "right", [second![2]!]: "wrong" });
      expect(exceptions(requesterDutiesOf(settleDown(history), says))).to.deep.equal([[0, "seat-differs", 1, 2]]);
    });
  });

  describe("of a panel of five", () => {
    const terms = { quorum: 5 };

    it("accuses each of several odd members, in one transaction", () => {
      const history = revealed({ terms });
      answered(history, ["right", "right", "wrong", "right"]);
      const says = saying({ [primary]: "false", [history.drawn(0)[0]![2]!]: "wrong" });
      const duties = requesterDutiesOf(settleDown(history), says);
      expect(exceptions(duties)).to.deep.equal([
        [0, "primary-differs", 0, 0],
        [0, "seat-differs", 0, 2],
      ]);
      for (const duty of duties) performAsRequester(history, duty);
      expect(history.data.assignments[0]!.accused).to.deep.equal([0, 3]);
    });

    it("accuses two that say the same wrong thing, for they are no majority", () => {
      const history = revealed({ terms });
      const says = answered(history, ["wrong", "right", "wrong", "right"]);
      expect(exceptions(requesterDutiesOf(settleDown(history), says))).to.deep.equal([
        [0, "seat-differs", 0, 0],
        [0, "seat-differs", 0, 2],
      ]);
    });

    it("accuses by a majority of the quorum as soon as the clock has run out, though not all answered", () => {
      const history = revealed({ terms });
      const says = answered(history, ["right", "wrong", "right"]);
      history.wait(WINDOWS.check);
      expect(requesterDutiesOf(history, says)).to.deep.equal([]);
      expect(exceptions(requesterDutiesOf(history.wait(1), says))).to.deep.equal([[0, "seat-differs", 0, 1]]);
    });

    it("takes two against two for undecided, and draws again", () => {
      const history = revealed({ terms });
      const says = answered(history, ["right", "wrong", "wrong"]);
      expect(requesterDutiesOf(history.wait(WINDOWS.check + 1), says)).to.deep.equal([REDRAW]);
    });

    it("pays where two of four agree with the primary and the others are silent", () => {
      const history = revealed({ terms });
      const says = answered(history, ["right", "right"]);
      expect(requesterDutiesOf(history.wait(WINDOWS.check + 1), says)).to.deep.equal([SETTLE]);
    });

    it("draws again where only one of four answered, though it agrees", () => {
      const history = revealed({ terms });
      const says = answered(history, ["right"]);
      expect(requesterDutiesOf(history.wait(WINDOWS.check + 1), says)).to.deep.equal([REDRAW]);
    });
  });

  describe("of an adaptive panel", () => {
    it("settles where the one verifier agrees", () => {
      const history = revealed({ terms: ADAPTIVE });
      const says = answered(history, ["right"]);
      expect(requesterDutiesOf(settleDown(history), says)).to.deep.equal([SETTLE]);
    });

    it("calls for the full panel where it does not, up to the last second", () => {
      for (const word of ["wrong", "garbage"]) {
        const history = revealed({ terms: ADAPTIVE });
        const says = answered(history, [word]);
        const judgeBy = history.now + WINDOWS.check + WINDOWS.judge;
        expect(requesterDutiesOf(settleDown(history), says)).to.deep.equal([ESCALATE]);
        expect(requesterDutiesOf(history.until(judgeBy), says)).to.deep.equal([ESCALATE]);
        expect(requesterDutiesOf(history.wait(1), says)).to.deep.equal([SETTLE]);
      }
    });

    it("accuses who is odd once the others have answered, the first verifier or the primary", () => {
      for (const [third, accused] of [
        ["right", "seat-differs"],
        ["wrong", "primary-differs"],
      ] as const) {
        const history = revealed({ terms: ADAPTIVE });
        const first = answered(history, ["wrong"]);
        performAsRequester(settleDown(history), requesterDutiesOf(history, first)[0]!);
        expect(requesterDutiesOf(history.wait(14), first)).to.deep.equal([]);
        history.answerFrom(0, 1, 0);
        const says = saying({ [history.drawn(0)[0]![0]!]: "wrong", [history.drawn(0)[1]![0]!]: third });
        expect(exceptions(requesterDutiesOf(settleDown(history), says))).to.deep.equal([[0, accused, 0, 0]]);
      }
    });

    it("escalates once", () => {
      const history = revealed({ terms: ADAPTIVE });
      const says = answered(history, ["wrong"]);
      performAsRequester(settleDown(history), ESCALATE as RequesterDuty);
      expect(requesterDutiesOf(history, says)).to.deep.equal([]);
      // Two of quorum three disagree and the third is silent: another is drawn.
      history.wait(PARAMETERS.drawDelay + WINDOWS.check + 1);
      expect(requesterDutiesOf(history, says)).to.deep.equal([REDRAW]);
    });

    it("draws another first verifier where the first is silent", () => {
      const history = revealed({ terms: ADAPTIVE }).wait(WINDOWS.check + 1);
      expect(requesterDutiesOf(history)).to.deep.equal([REDRAW]);
      performAsRequester(history, REDRAW as RequesterDuty);
      history.wait(14);
      expect(history.drawn(0)[1]).to.have.length(2);
      history.answerFrom(0, 1, 0);
      expect(requesterDutiesOf(settleDown(history))).to.deep.equal([SETTLE]);
    });

    it("finds no majority where it differs and no round is left to escalate to", () => {
      const history = revealed({ nodes: 80, terms: ADAPTIVE });
      for (let round = 1; round <= MAX_ROUNDS; ++round) {
        history.wait(PARAMETERS.drawDelay + WINDOWS.check + 1);
        performAsRequester(history, REDRAW as RequesterDuty);
      }
      history.wait(14).answerFrom(0, MAX_ROUNDS, 0);
      const says = saying({ [primary]: "wrong" });
      const duties = requesterDutiesOf(settleDown(history), says);
      expect(exceptions(duties)).to.deep.equal([[0, "no-majority", 0, 0]]);
      performAsRequester(history, duties[0]!);
      expect(history.record.assignments[0]?.exceptions.map(({ verdict }) => verdict)).to.deep.equal(["no-majority"]);
    });
  });

  describe("of several assignments", () => {
    it("settles all together, or what is ready once the check window is over", () => {
      const history = twoSlices();
      for (const seat of [0, 1]) history.answerFrom(0, 0, seat);
      settleDown(history);
      expect(requesterDutiesOf(history)).to.deep.equal([]);
      for (const seat of [0, 1]) history.answerFrom(1, 0, seat);
      expect(requesterDutiesOf(settleDown(history))).to.deep.equal([{ kind: "settle", batchId, assignments: [0, 1] }]);
    });

    it("never holds back so long what is ready that somebody could force it", () => {
      // The second slice is drawn again and again; the first is paid meanwhile.
      const history = twoSlices();
      for (const seat of [0, 1]) history.answerFrom(0, 0, seat);
      history.wait(WINDOWS.check);
      expect(requesterDutiesOf(history)).to.deep.equal([]);
      history.wait(1);
      expect(requesterDutiesOf(history)).to.deep.equal([{ kind: "redraw", batchId, assignment: 1 }, SETTLE]);
    });

    it("lists exceptions without waiting for what is undecided, and says which are the last", () => {
      const history = twoSlices();
      // One that sits only on the first of the two panels.
      const odd = history.drawn(0)[0]!.find((node) => node !== other && !history.drawn(1)[0]!.includes(node))!;
      expect(odd).to.be.a("string");
      const says = saying({ [odd]: "wrong" });
      for (const seat of [0, 1]) history.answerFrom(0, 0, seat);
      const [only, ...rest] = requesterDutiesOf(settleDown(history), says);
      expect(rest).to.deep.equal([]);
      expect(only).to.include({ kind: "judge", last: false });
      for (const seat of [0, 1]) history.answerFrom(1, 0, seat);
      const [judge, settle] = requesterDutiesOf(settleDown(history), says);
      expect(judge).to.include({ kind: "judge", last: true });
      expect(settle).to.deep.equal({ kind: "settle", batchId, assignments: [1] });
    });

    it("settles in parts that fit a block", () => {
      const count = 120;
      const history = posted({ count, terms: { mode: "sampled", rate: 1, maxShare: 1 } });
      for (let index = 0; index < count; ++index) history.claim(primary, 1).submit(primary, index);
      history.wait(20).reveal();
      const sizes = requesterDutiesOf(history).map((duty) => (duty.kind === "settle" ? duty.assignments.length : 0));
      expect(sizes).to.deep.equal([50, 50, 20]);
    });

    it("lists in parts that fit a block, and all of an assignment in one part", () => {
      const count = 26;
      const history = posted({ count, terms: { quorum: 5, maxShare: 1 } });
      for (let index = 0; index < count; ++index) history.claim(primary, 1).submit(primary, index);
      history.wait(20).reveal();
      for (let index = 0; index < count; ++index) for (const seat of [0, 1, 2, 3]) history.answerFrom(index, 0, seat);
      settleDown(history);
      // On each panel but one the primary and the last seat are odd.
      const readings = readingsOf(history, () => "right");
      for (const assignment of history.record.assignments) {
        if (assignment.index === 7) continue;
        for (const member of [membersOf(assignment)[0]!, membersOf(assignment)[4]!])
          readings.set(readingKey(assignment, member), readingOf(member.node, [assignment.first]));
      }
      const listed: (string | number)[][] = [];
      for (let transactions = 0; ; ++transactions) {
        const duties = requesterDutiesOf(history, undefined, { readings });
        const [judge] = duties;
        if (judge?.kind !== "judge") break;
        expect(transactions).to.be.below(2);
        expect(judge.exceptions).to.have.length.at.most(50);
        listed.push(...exceptions([judge]));
        performAsRequester(history, judge);
      }
      expect(listed).to.have.length(50);
      expect(partsWithThree()).to.deep.equal([48, 27]);
    });
  });

  it("gives the same duties for the same facts, and none for a closed batch", () => {
    const history = revealed();
    const says = answered(history, ["wrong", "right"]);
    settleDown(history);
    expect(requesterDutiesOf(history, says)).to.deep.equal(requesterDutiesOf(history, says));
    const closed = sealed()
      .wait(WINDOWS.reveal + 1)
      .settle(primary, [0]);
    expect(requesterDutiesOf(closed)).to.deep.equal([]);
    expect(closed.data.bondBurned).to.equal(true);
  });

  it("goes by what remains after a reorganisation", () => {
    const history = revealed();
    const says = answered(history, ["right", "wrong"]);
    settleDown(history);
    const last = history.events.findLastIndex(({ name }) => name === "Answered");
    const rewound = history.copy();
    rewound.events.splice(last, Infinity);
    expect(exceptions(requesterDutiesOf(history, says))).to.have.length(1);
    expect(requesterDutiesOf(rewound, says)).to.deep.equal([]);
    rewound.events.splice(
      rewound.events.findIndex(({ name }) => name === "Revealed"),
      Infinity,
    );
    const again = rewound.copy();
    const facts: Partial<RequesterFacts> = { now: again.record.seal!.at + 30 };
    expect(requesterDutiesOf(again, says, facts)).to.deep.equal([{ kind: "reveal", batchId }]);
  });

  it("settles what is left after a delegate has judged", () => {
    const history = revealed();
    const says = answered(history, ["right", "wrong"]);
    settleDown(history).judge(REQUESTER, [], true);
    expect(requesterDutiesOf(history, says)).to.deep.equal([SETTLE]);
  });

  function comparisonOf(history: MarketHistory, says: (node: string) => Saying): { witness: number } {
    const duties = requesterDutiesOf(history, says);
    const judge = duties.find((duty) => duty.kind === "judge");
    return { witness: judge?.kind === "judge" ? judge.exceptions[0]!.witness : NaN };
  }

  /** Sizes of the parts in which 25 panels of seven, with three odd members each, are listed. */
  function partsWithThree(): number[] {
    const count = 25;
    const history = posted({ count, nodes: 14, terms: { quorum: 7, maxShare: 1 } });
    for (let index = 0; index < count; ++index) history.claim(primary, 1).submit(primary, index);
    history.wait(20).reveal();
    for (let index = 0; index < count; ++index)
      for (const seat of [0, 1, 2, 3, 4, 5]) history.answerFrom(index, 0, seat);
    settleDown(history);
    const readings = readingsOf(history, () => "right");
    for (const assignment of history.record.assignments) {
      for (const number of [2, 4, 6]) {
        const member = membersOf(assignment)[number]!;
        readings.set(readingKey(assignment, member), readingOf(member.node, [assignment.first]));
      }
    }
    const sizes: number[] = [];
    for (;;) {
      const [judge] = requesterDutiesOf(history, undefined, { readings });
      if (judge?.kind !== "judge") return sizes;
      sizes.push(judge.exceptions.length);
      performAsRequester(history, judge);
    }
  }
});
