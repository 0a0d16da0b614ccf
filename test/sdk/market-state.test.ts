import { expect } from "chai";
import { FOREVER } from "#sdk/draw.ts";
import type { SuretyEvent } from "#sdk/events.ts";
import {
  canDrawAgain,
  drawnFor,
  MarketState,
  panelStatus,
  phaseOf,
  sampledCountOf,
  settlementOf,
  sliceBounds,
  submissionOf,
  unclaimedOf,
  type AssignmentRecord,
  type BatchRecord,
} from "#sdk/market-state.ts";
import { entropy, sampledTasks } from "#sdk/sampling.ts";
import { contentHash } from "#sdk/terms.ts";
import { DisputeSteps } from "../support/dispute-steps.ts";
import {
  addressOf,
  BATCH_ID,
  CLASS,
  MARKET,
  MarketHistory,
  nodeAt,
  PARAMETERS,
  REQUESTER,
  SEED,
  TERMS,
  WINDOWS,
  type HistoryOptions,
} from "../support/market-history.ts";

const [first, second] = [nodeAt(0), nodeAt(1)] as const;
const START = 1_000;

function sealed(options: HistoryOptions = {}): MarketHistory {
  return new MarketHistory(options)
    .post()
    .claim(first, options.count ?? 6)
    .submit(first, 0);
}

function revealed(options: HistoryOptions = {}): MarketHistory {
  return sealed(options).wait(20).reveal();
}

function fold(events: readonly SuretyEvent[], market = MARKET): MarketState {
  const state = new MarketState(market);
  for (const event of events) state.apply(event);
  return state;
}

function panelOf(history: MarketHistory, assignment = 0): ReturnType<typeof panelStatus> {
  const { record } = history;
  return panelStatus(record, record.assignments[assignment]!, PARAMETERS);
}

/** The whole life of a batch, with everything that can happen in it. */
function eventful(): MarketHistory {
  const history = new MarketHistory({ terms: { quorum: 5, windows: { ...WINDOWS, claim: 200 } } }).post();
  history
    .claim(first, 2)
    .claim(second, 4)
    .submit(first, 0)
    .wait(WINDOWS.submit + 1)
    .expire(1);
  history.reclaim(nodeAt(2), 1).submit(nodeAt(2), 1).wait(20).capture().reveal();
  for (const seat of [0, 1, 2, 3]) history.answerFrom(0, 0, seat);
  history
    .answerFrom(1, 0, 3)
    .wait(WINDOWS.check + 1)
    .redraw(first, 1)
    .wait(14)
    .answerFrom(1, 1, 0)
    .answerFrom(1, 1, 2);
  history.judge(REQUESTER, [{ assignment: 0, verdict: "seat-differs", witness: 0, round: 0, seat: 1 }], true);
  history.wait(PARAMETERS.drawDelay + WINDOWS.check + 1);
  new DisputeSteps(history, 0).conclude();
  history.settle(first, [1]);
  return history;
}

describe("MarketState", () => {
  describe("folds", () => {
    it("a class and its pool, with holes where slots were freed", () => {
      const history = new MarketHistory({ nodes: 3 }).wait(5).leavePool(1).wait(5).leavePool(2).freeSlot(2);
      const pool = history.state.classes.get(CLASS)!;
      expect(pool).to.include({ market: MARKET, slotStake: 1_000n, priceFloor: 1n, fullSlash: true });
      expect(pool.slots).to.deep.equal([
        { node: nodeAt(0), activeFrom: 0, leftAt: FOREVER },
        { node: nodeAt(1), activeFrom: 0, leftAt: START + 5 },
        undefined,
      ]);
      history.emit("Joined", { class: CLASS, node: second, slot: 2, activeFrom: 77 });
      expect(history.state.classes.get(CLASS)!.slots[2]).to.deep.equal({
        node: second,
        activeFrom: 77,
        leftAt: FOREVER,
      });
    });

    it("nothing of other markets, and nothing of batches and classes it never saw begin", () => {
      expect(fold(new MarketHistory().events, addressOf("another market")).classes.size).to.equal(0);
      const { events } = eventful();
      const late = fold(events.filter(({ name }) => name !== "JobOpened"));
      expect(late.batches.size).to.equal(0);
      const classless = fold(events.filter(({ name }) => name !== "ClassCreated"));
      expect(classless.classes.size).to.equal(0);
      const { record } = eventful();
      expect(drawnFor(classless, record, record.assignments[0]!, new Map())).to.deep.equal([]);
      expect(canDrawAgain(classless, record, record.assignments[0]!, new Map())).to.equal(false);
    });

    it("whose accounts are whose, each ledger's by itself, the last owner that was named", () => {
      const history = new MarketHistory();
      const [ledger, holder, owner, next] = [addressOf("ledger"), nodeAt(0), addressOf("owner"), addressOf("next")];
      expect(history.state.ownerOf(ledger, holder)).to.equal(undefined);
      history.emit("Entrusted", { ledger, holder, owner });
      expect(history.state.ownerOf(ledger, holder)).to.equal(owner);
      expect(history.state.ownerOf(MARKET, holder)).to.equal(undefined);
      expect(history.state.ownerOf(ledger, nodeAt(1))).to.equal(undefined);
      history.emit("Entrusted", { ledger, holder, owner: next });
      expect(history.state.ownerOf(ledger, holder)).to.equal(next);
    });

    it("the life of a batch", () => {
      const history = eventful();
      const { record } = history;
      expect(record).to.deep.include({
        id: BATCH_ID,
        terms: history.terms,
        price: TERMS.price,
        postedAt: START,
        judged: true,
        rebid: false,
      });
      expect(record.closed).to.include({ at: history.now });
      expect(history.state.open).to.deep.equal([]);
      const { entropyBlock } = record.seal!;
      expect(record.captured).to.equal(history.hashOf(entropyBlock));
      expect(record.reveal).to.deep.include({
        seed: SEED,
        entropy: entropy(SEED, history.hashOf(entropyBlock), BATCH_ID),
      });
      const [one, two] = record.assignments as [AssignmentRecord, AssignmentRecord];
      expect(one).to.include({ index: 0, status: "settled", node: first, first: 0, count: 2 });
      expect(one.exceptions).to.have.length(1);
      expect(one.exceptions[0]).to.include({ verdict: "seat-differs", witness: 0, accused: one.answers[1]!.node });
      expect(one.outcome).to.include({ outcome: "seat-slashed" });
      expect(two).to.include({ index: 1, status: "settled", node: nodeAt(2), first: 2, count: 4 });
      expect(two.abandoned).to.deep.equal([{ node: second, fined: 4n }]);
      expect(two.rounds).to.have.length(1);
      expect(two.rounds[0]).to.include({
        round: 1,
        seats: 8,
        escalation: false,
        blockHash: history.hashOf(two.rounds[0]!.entropyBlock),
      });
      expect(two.answers.map(({ round, seat }) => [round, seat])).to.deep.equal([
        [0, 3],
        [1, 0],
        [1, 2],
      ]);
      expect(two.absent.filter(({ round }) => round === 0).map(({ seat }) => seat)).to.deep.equal([0, 1, 2]);
      expect(two.outcome).to.include({ outcome: "paid", paid: 4n * 10n + 3n * 4n * 12n });
    });

    it("a captured hash and not that of the block it was captured in", () => {
      const history = sealed().wait(40).capture();
      const event = history.events.at(-1)!;
      expect(history.record.captured)
        .to.equal(history.hashOf(history.record.seal!.entropyBlock))
        .and.not.equal(event.blockHash);
    });

    it("a claim made anew as a new assignment that remembers who failed", () => {
      const history = new MarketHistory()
        .post()
        .claim(first, 6)
        .wait(WINDOWS.submit + 1)
        .reclaim(second, 0);
      expect(history.record.assignments).to.have.length(1);
      expect(history.record.assignments[0]).to.deep.include({
        status: "claimed",
        node: second,
        abandoned: [{ node: first, fined: 6n }],
      });
      expect(history.record.assignments[0]!.deadline).to.equal(history.now + WINDOWS.submit);
    });

    it("a rebid, silence and a missing majority", () => {
      const history = new MarketHistory().post().emit("BatchRebid", { id: BATCH_ID, price: 11n });
      expect(history.record).to.include({ price: 11n, rebid: true });
      const silent = sealed()
        .wait(WINDOWS.reveal + 1)
        .settle(first, [0]);
      expect(silent.record.bondBurned).to.equal(PARAMETERS.bondFixed);
      const split = revealed().answerFrom(0, 0, 0).answerFrom(0, 0, 1);
      split.judge(REQUESTER, [{ assignment: 0, verdict: "no-majority", witness: 2, round: 0, seat: 0 }], false);
      expect(split.record.assignments[0]!.exceptions).to.deep.equal([
        { verdict: "no-majority", witness: 2, at: split.now },
      ]);
      expect(split.record.judged).to.equal(false);
    });

    it("answers in the order of rounds and seats, however they came", () => {
      const history = revealed({ terms: { quorum: 5 } });
      for (const seat of [3, 0, 2, 1]) history.answerFrom(0, 0, seat);
      const { answers } = history.record.assignments[0]!;
      expect(answers.map(({ seat }) => seat)).to.deep.equal([0, 1, 2, 3]);
      expect(settlementOf(history.record.assignments[0]!).answers.map(({ node }) => node)).to.deep.equal(
        history.drawn(0)[0],
      );
    });

    it("the same from the same events, whole, in parts, and again after a reorganisation", () => {
      const { events } = eventful();
      const whole = fold(events);
      const parts = fold(events.slice(0, 30));
      for (const event of events.slice(30)) parts.apply(event);
      expect(parts.batches).to.deep.equal(whole.batches);
      expect(parts.classes).to.deep.equal(whole.classes);
      // What is folded must not leak into the next fold through what both are made of.
      for (let kept = 0; kept <= events.length; ++kept) {
        const before = fold(events.slice(0, kept));
        fold(events);
        expect(fold(events.slice(0, kept)).batches).to.deep.equal(before.batches);
      }
    });
  });

  describe("phases", () => {
    const phase = (history: MarketHistory): string => phaseOf(history.record, history.now);

    it("go from claiming to computing when all is claimed or the window is over", () => {
      const history = new MarketHistory().post();
      expect(phase(history.until(START + WINDOWS.claim))).to.equal("claiming");
      expect(phase(history.wait(1))).to.equal("computing");
      expect(phase(new MarketHistory().post().claim(first, 6))).to.equal("computing");
      expect(phase(new MarketHistory().post().claim(first, 5))).to.equal("claiming");
    });

    it("go from sealed to revealed, or to silent after the last second", () => {
      const history = sealed().wait(WINDOWS.reveal);
      expect(phase(history)).to.equal("sealed");
      expect(phase(history.copy().reveal())).to.equal("revealed");
      expect(phase(history.wait(1))).to.equal("silent");
      expect(phase(history.settle(first, [0]))).to.equal("closed");
    });
  });

  describe("slices", () => {
    it("are bounded by share, least size and what is left, as the market has it", () => {
      const bounds = (count: number, maxShare: number, minSlice: number, claimed: number): unknown => {
        const history = new MarketHistory({ count, terms: { maxShare: 1_000_000, minSlice: 1 } }).post();
        if (claimed > 0) history.claim(first, claimed);
        const record: BatchRecord = { ...history.record, terms: { ...history.terms, maxShare, minSlice } };
        expect(unclaimedOf(record)).to.equal(count - claimed);
        const { least, most } = sliceBounds(record);
        return [least, most];
      };
      expect(bounds(10, 300_000, 1, 0)).to.deep.equal([1, 3]);
      expect(bounds(10, 399_999, 1, 0)).to.deep.equal([1, 3]);
      expect(bounds(10, 100_000, 4, 0)).to.deep.equal([4, 4]);
      expect(bounds(10, 500_000, 4, 7)).to.deep.equal([3, 3]);
      expect(bounds(10, 500_000, 2, 7)).to.deep.equal([2, 3]);
      expect(bounds(10, 500_000, 2, 10)).to.deep.equal([0, 0]);
      expect(bounds(2 ** 24 - 1, 999_999, 1, 0)).to.deep.equal([
        1,
        Number((BigInt(2 ** 24 - 1) * 999_999n) / 1_000_000n),
      ]);
    });
  });

  describe("panels", () => {
    it("are none before the reveal, in mode trusted, and where nothing is sampled", () => {
      expect(panelOf(sealed())).to.equal(undefined);
      expect(sampledCountOf(sealed().record, sealed().record.assignments[0]!)).to.equal(0);
      expect(panelOf(revealed({ terms: { mode: "trusted", rate: 0, allowed: [first] } }))).to.equal(undefined);
      for (let fork = 0; ; ++fork) {
        const history = revealed({ fork, terms: { mode: "sampled", rate: 50_000 } });
        if (sampledCountOf(history.record, history.record.assignments[0]!) > 0) continue;
        expect(panelOf(history)).to.equal(undefined);
        break;
      }
    });

    it("need all of the quorum but the primary, and half of them are enough", () => {
      for (const quorum of [3, 5, 7]) {
        const history = revealed({ terms: { quorum } });
        const at = history.now;
        expect(panelOf(history)).to.deep.equal({
          tasks: sampledTasks(history.data.entropy, { assignment: 0, first: 0, count: 6 }, 1_000_000),
          needed: quorum - 1,
          quorum: (quorum - 1) / 2,
          answered: 0,
          round: 0,
          escalated: false,
          deadline: at + WINDOWS.check,
          judgeBy: at + WINDOWS.check + WINDOWS.judge,
        });
        expect(panelOf(history.answerFrom(0, 0, 1))).to.include({ answered: 1 });
      }
    });

    it("need one where they are adaptive, until they are escalated", () => {
      const history = revealed({ terms: { mode: "sampled", adaptive: true, quorum: 5 } });
      expect(panelOf(history)).to.include({ needed: 1, quorum: 1, escalated: false });
      history.answerFrom(0, 0, 0).wait(3).escalate(REQUESTER, 0);
      expect(panelOf(history)).to.include({ needed: 4, quorum: 2, answered: 1, escalated: true, round: 1 });
      expect(panelOf(history)).to.include({ deadline: history.now + PARAMETERS.drawDelay + WINDOWS.check });
    });

    it("start their clock anew with every round", () => {
      const history = revealed()
        .wait(WINDOWS.check + 7)
        .redraw(first, 0);
      expect(panelOf(history)).to.include({
        round: 1,
        needed: 2,
        deadline: history.now + PARAMETERS.drawDelay + WINDOWS.check,
      });
      expect(panelOf(history)).to.include({
        judgeBy: history.now + PARAMETERS.drawDelay + WINDOWS.check + WINDOWS.judge,
      });
    });

    it("seat whom the market draws, never the primary, the excluded, nor anybody twice", () => {
      const history = revealed({ terms: { quorum: 5, excluded: [nodeAt(3), nodeAt(4)] } })
        .wait(WINDOWS.check + 1)
        .redraw(first, 0)
        .wait(14);
      const { record, state } = history;
      const drawn = drawnFor(state, record, record.assignments[0]!, history.hashes);
      expect(drawn).to.deep.equal(history.drawn(0));
      const seated = drawn.flat();
      expect(drawn.map((round) => round.length)).to.deep.equal([4, 5]);
      expect(new Set(seated).size).to.equal(seated.length);
      expect(seated).to.not.include.members([first]);
      expect(seated.filter((node) => [first, nodeAt(3), nodeAt(4)].includes(node))).to.deep.equal([]);
      expect(canDrawAgain(state, record, record.assignments[0]!, history.hashes)).to.equal(false);
      // As long as the second round's hash is unknown, nobody of it is.
      expect(drawnFor(state, record, record.assignments[0]!, new Map())).to.deep.equal([drawn[0], []]);
      expect(canDrawAgain(state, record, record.assignments[0]!, new Map())).to.equal(true);
    });

    it("seat who served at the seal, also after leaving, and nobody who came later", () => {
      const history = sealed({ nodes: 5 }).wait(1);
      const before = history.copy().wait(19).reveal();
      for (const slot of [1, 2, 3, 4]) history.leavePool(slot);
      history.emit("Joined", { class: CLASS, node: addressOf("late"), slot: 5, activeFrom: history.now });
      history.wait(19).reveal();
      const seats = (one: MarketHistory): string[][] =>
        drawnFor(one.state, one.record, one.record.assignments[0]!, one.hashes);
      expect(seats(history)).to.deep.equal(seats(before));
      const gone = new MarketHistory({ nodes: 5 })
        .post()
        .claim(first, 6)
        .leavePool(1)
        .leavePool(2)
        .submit(first, 0)
        .wait(20)
        .reveal();
      expect(seats(gone)[0]).to.have.members([nodeAt(3), nodeAt(4)]);
    });
  });

  describe("what is settled", () => {
    it("is what was submitted and answered, as the market hashes it", () => {
      const history = revealed().answerFrom(0, 0, 0);
      const [assignment] = history.record.assignments as [AssignmentRecord];
      const { manifest, envelope, root } = assignment.submission!;
      const submission = { node: first, first: 0, count: 6, root, content: contentHash(manifest, envelope) };
      expect(submissionOf(assignment)).to.deep.equal(submission);
      const [{ node, root: answered, content }] = assignment.answers as [AssignmentRecord["answers"][0]];
      expect(settlementOf(assignment)).to.deep.equal({
        assignment: 0,
        submission,
        answers: [{ node, root: answered, content }],
      });
    });

    it("is nothing before anything was submitted", () => {
      const { record } = new MarketHistory().post().claim(first, 6);
      expect(() => submissionOf(record.assignments[0]!)).to.throw(TypeError);
    });
  });
});
