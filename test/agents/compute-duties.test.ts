import { expect } from "chai";
import { PRIMARY } from "#sdk/context.ts";
import { MAX_ROUNDS } from "#sdk/pricing.ts";
import { sampledCount, sampledTasks } from "#sdk/sampling.ts";
import type { Terms } from "#sdk/terms.ts";
import { settleableFrom, type ComputeDuty } from "../../agents/compute/duties.ts";
import type { ComputeFacts } from "../../agents/compute/facts.ts";
import { computeDutiesOf } from "../support/node-decisions.ts";
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

const [me, other, third] = [nodeAt(0), nodeAt(1), nodeAt(2)] as const;
const START = 1_000;
const CLAIM_BY = START + WINDOWS.claim;

function kinds(history: MarketHistory, node: string, changes: Partial<ComputeFacts> = {}): string[] {
  return computeDutiesOf(history, node, changes).map(({ kind }) => kind);
}

function ofKind<Kind extends ComputeDuty["kind"]>(
  duties: ComputeDuty[],
  kind: Kind,
): Extract<ComputeDuty, { kind: Kind }>[] {
  return duties.filter((duty): duty is Extract<ComputeDuty, { kind: Kind }> => duty.kind === kind);
}

function posted(options: HistoryOptions = {}): MarketHistory {
  return new MarketHistory(options).post();
}

/** A batch of six tasks, all of them the primary's, submitted and sealed. */
function sealed(options: HistoryOptions = {}): MarketHistory {
  return posted(options)
    .claim(me, options.count ?? 6)
    .submit(me, 0);
}

function revealed(options: HistoryOptions = {}): MarketHistory {
  return sealed(options).wait(20).reveal();
}

/** A node that has nothing to do with the batch. */
function bystander(history: MarketHistory): string {
  const members = new Set([me, ...history.drawn(0).flat()]);
  return Array.from({ length: 12 }, (_, index) => nodeAt(index)).find((node) => !members.has(node))!;
}

describe("computeDuties", () => {
  describe("claims", () => {
    it("as much of a batch as one claim may take", () => {
      const history = posted({ count: 10, terms: { maxShare: 300_000 } });
      expect(computeDutiesOf(history, me)).to.deep.equal([{ kind: "claim", batchId: BATCH_ID, count: 3 }]);
    });

    it("no more than its stake backs, and nothing if that is too little", () => {
      const terms: Partial<Terms> = { price: 100n, slashAmount: 250n, minSlice: 2, verifierPrice: 100n };
      const history = posted({ count: 10, terms });
      const counts = (freeStake: bigint): number[] =>
        ofKind(computeDutiesOf(history, me, { freeStake }), "claim").map(({ count }) => count);
      expect(counts(1_000n)).to.deep.equal([10]);
      expect(counts(999n)).to.deep.equal([9]);
      expect(counts(250n)).to.deep.equal([2]);
      expect(counts(249n)).to.deep.equal([]);
      // The slash is more than the whole batch is worth, and just what there is.
      const dear = posted({ terms: { slashAmount: 500n } });
      expect(computeDutiesOf(dear, me, { freeStake: 500n })).to.deep.equal([
        { kind: "claim", batchId: BATCH_ID, count: 6 },
      ]);
      expect(counts(-5n)).to.deep.equal([]);
    });

    it("what is left, even if it is less than the least slice", () => {
      const history = posted({ count: 5, terms: { minSlice: 4 } }).claim(other, 4);
      expect(computeDutiesOf(history, me)).to.deep.equal([{ kind: "claim", batchId: BATCH_ID, count: 1 }]);
    });

    it("up to the last second of the claim window, and not after", () => {
      const history = posted().until(CLAIM_BY);
      expect(kinds(history, me)).to.deep.equal(["claim"]);
      expect(kinds(history.wait(1), me)).to.deep.equal([]);
    });

    it("nothing while it has no room, nor a second slice while it has one", () => {
      expect(kinds(posted(), me, { free: 0 })).to.deep.equal([]);
      const history = posted().claim(me, 2);
      expect(kinds(history, me)).to.deep.equal(["work"]);
      expect(kinds(history.submit(me, 0), me)).to.deep.equal(["claim"]);
    });

    it("nothing that pays less than its operator wants, at the price after a rebid", () => {
      const policy = { class: CLASS, minPrice: 10n, patience: 0 };
      const history = posted();
      expect(kinds(history, me, { policy })).to.deep.equal(["claim"]);
      expect(kinds(history, me, { policy: { ...policy, minPrice: 11n } })).to.deep.equal([]);
      history.emit("BatchRebid", { id: BATCH_ID, price: 11n });
      expect(kinds(history, me, { policy: { ...policy, minPrice: 11n } })).to.deep.equal(["claim"]);
    });

    it("nothing of another class", () => {
      expect(
        kinds(posted(), me, { policy: { class: `0x${"77".repeat(32)}`, minPrice: 1n, patience: 0 } }),
      ).to.deep.equal([]);
    });

    it("nothing that excludes it, and in mode trusted only what lists it", () => {
      expect(kinds(posted({ terms: { excluded: [me] } }), me)).to.deep.equal([]);
      expect(kinds(posted({ terms: { excluded: [other] } }), me)).to.deep.equal(["claim"]);
      const trusted = { mode: "trusted" as const, rate: 0 };
      expect(kinds(posted({ terms: { ...trusted, allowed: [other] } }), me)).to.deep.equal([]);
      expect(kinds(posted({ terms: { ...trusted, allowed: [other, me] } }), me)).to.deep.equal(["claim"]);
    });

    it("nothing when all is claimed, nor once the batch is sealed or closed", () => {
      expect(kinds(posted().claim(other, 6), me)).to.deep.equal([]);
      expect(kinds(posted().claim(other, 6).submit(other, 0), me)).to.deep.equal([]);
      expect(
        kinds(
          posted()
            .until(CLAIM_BY + 1)
            .seal(),
          me,
        ),
      ).to.deep.equal([]);
    });

    it("what another left undone, from the second after its deadline on", () => {
      const history = posted({ terms: { windows: { ...WINDOWS, claim: 200 } } })
        .claim(other, 6)
        .wait(WINDOWS.submit);
      expect(kinds(history, me)).to.deep.equal([]);
      expect(computeDutiesOf(history.wait(1), me)).to.deep.equal([
        { kind: "reclaim", batchId: BATCH_ID, assignment: 0 },
      ]);
      expect(computeDutiesOf(history.expire(0), me)).to.deep.equal([
        { kind: "reclaim", batchId: BATCH_ID, assignment: 0 },
      ]);
    });

    it("what another left undone only while the claim window lasts and its stake backs it", () => {
      const history = posted().claim(other, 6).until(CLAIM_BY).expire(0);
      expect(kinds(history, me)).to.deep.equal(["reclaim"]);
      expect(kinds(history, me, { freeStake: 100n })).to.deep.equal(["reclaim"]);
      expect(kinds(history, me, { freeStake: 99n })).to.deep.equal([]);
      expect(kinds(history.wait(1), me)).to.deep.equal([]);
    });

    it("nothing of a batch of which it left something undone itself", () => {
      const history = posted({ terms: { windows: { ...WINDOWS, claim: 200 } } })
        .claim(me, 2)
        .wait(WINDOWS.submit + 1);
      expect(kinds(history, me)).to.deep.equal([]);
      expect(kinds(history, other)).to.deep.equal(["reclaim"]);
      expect(kinds(history.expire(0), me)).to.deep.equal([]);
      expect(kinds(history.reclaim(other, 0), me)).to.deep.equal([]);
      expect(kinds(history.submit(other, 0), third)).to.deep.equal(["claim"]);
    });
  });

  describe("runs", () => {
    it("its own assignment up to the last second of its deadline, and not after", () => {
      const history = posted().claim(me, 2).claim(other, 4).wait(WINDOWS.submit);
      const deadline = START + WINDOWS.submit;
      expect(computeDutiesOf(history, other)).to.deep.equal([
        { kind: "work", batchId: BATCH_ID, assignment: 1, ...PRIMARY, tasks: [2, 3, 4, 5], deadline },
      ]);
      expect(ofKind(computeDutiesOf(history.wait(1), other), "work")).to.deep.equal([]);
    });

    it("nobody else's assignment, nor its own again once submitted", () => {
      const history = posted().claim(other, 3);
      expect(kinds(history, me)).to.deep.equal(["claim"]);
      expect(kinds(history.submit(other, 0), other)).to.deep.equal(["claim"]);
    });

    it("the sampled tasks of a seat it was drawn for, whichever", () => {
      const history = revealed({ count: 40, terms: { mode: "sampled", rate: 200_000 } });
      const { entropy } = history.data;
      const tasks = sampledTasks(entropy, { assignment: 0, first: 0, count: 40 }, 200_000);
      expect(tasks).to.have.length(8);
      for (const [seat, node] of history.drawn(0)[0]!.entries()) {
        const deadline = history.now + WINDOWS.check;
        expect(computeDutiesOf(history, node)).to.deep.equal([
          { kind: "work", batchId: BATCH_ID, assignment: 0, round: 0, seat, tasks, deadline },
        ]);
      }
      expect(history.drawn(0)[0]).to.have.length(2);
    });

    it("nothing of a panel it was not drawn for, nor as the primary", () => {
      const history = revealed();
      expect(kinds(history, me)).to.deep.equal([]);
      expect(kinds(history, bystander(history))).to.deep.equal([]);
    });

    it("nothing before the reveal, nor where nothing is sampled", () => {
      for (let index = 0; index < 12; ++index)
        expect(ofKind(computeDutiesOf(sealed(), nodeAt(index)), "work")).to.deep.equal([]);
      const history = unsampled();
      for (let index = 0; index < 12; ++index)
        expect(ofKind(computeDutiesOf(history, nodeAt(index)), "work")).to.deep.equal([]);
    });

    it("a seat once, and none once the panel is full", () => {
      const history = revealed({ terms: { quorum: 5 } });
      const drawn = history.drawn(0)[0]!;
      expect(drawn).to.have.length(4);
      history.answerFrom(0, 0, 2);
      expect(kinds(history, drawn[2]!)).to.deep.equal([]);
      expect(kinds(history, drawn[3]!)).to.deep.equal(["work"]);
      history.answerFrom(0, 0, 3).answerFrom(0, 0, 1).answerFrom(0, 0, 0);
      for (const node of drawn) expect(ofKind(computeDutiesOf(history, node), "work")).to.deep.equal([]);
    });

    it("the one seat of an adaptive panel first, the others after an escalation", () => {
      const history = revealed({ terms: { mode: "sampled", adaptive: true, quorum: 5 } });
      const [first] = history.drawn(0)[0]!;
      expect(history.drawn(0)[0]).to.have.length(1);
      expect(kinds(history, first!)).to.deep.equal(["work"]);
      history.answerFrom(0, 0, 0).escalate(REQUESTER, 0).wait(20);
      const later = history.drawn(0)[1]!;
      expect(later).to.have.length(3);
      for (const [seat, node] of later.entries()) {
        const [work] = ofKind(computeDutiesOf(history, node), "work");
        expect(work).to.include({ round: 1, seat, deadline: history.now - 20 + PARAMETERS.drawDelay + WINDOWS.check });
      }
    });

    it("the seats of a later round only once the block that decides them is known", () => {
      const history = revealed()
        .wait(WINDOWS.check + 1)
        .redraw(other, 0);
      expect(workers(history)).to.have.members(history.drawn(0)[0]!);
      history.wait(20);
      const drawn = history.drawn(0);
      expect(drawn[1]).to.have.length(4);
      expect(workers(history)).to.have.members(drawn.flat());
      expect(workers(history, { hashes: new Map() })).to.have.members(drawn[0]!);
      // Once somebody has answered, the chain tells the hash to whom knows none.
      history.answerFrom(0, 1, 0);
      const waiting = drawn.flat().filter((node) => node !== drawn[1]![0]);
      expect(workers(history, { hashes: new Map() })).to.have.members(waiting);
    });

    it("no seat of what is settled, though it never answered", () => {
      const history = posted().claim(me, 3).submit(me, 0).claim(me, 3).submit(me, 1).wait(20).reveal();
      history.answerFrom(0, 0, 0).wait(WINDOWS.check + 1);
      const silent = history.drawn(0)[0]![1]!;
      const here = (): ComputeDuty[] =>
        ofKind(computeDutiesOf(history, silent), "work").filter(({ assignment }) => assignment === 0);
      expect(here()).to.have.length(1);
      history.settle(REQUESTER, [0]);
      expect(here()).to.deep.equal([]);
    });

    it("no seat of an earlier round once those of a later one have filled the panel", () => {
      const history = revealed()
        .wait(WINDOWS.check + 1)
        .redraw(other, 0)
        .wait(20)
        .answerFrom(0, 1, 0);
      expect(workers(history)).to.have.length(2 + 3);
      expect(workers(history.answerFrom(0, 1, 3))).to.deep.equal([]);
    });

    it("its seat even when it is late, for what is late still counts", () => {
      const history = revealed().wait(WINDOWS.check);
      const [first, second] = history.drawn(0)[0]!;
      expect(kinds(history, first!)).to.deep.equal(["work"]);
      expect(kinds(history.wait(1), first!)).to.include("work");
      history.redraw(other, 0).wait(20);
      expect(kinds(history, second!)).to.include("work");
    });

    it("no seat late where the requester has listed all its exceptions, nor where it listed one here", () => {
      const history = revealed({ terms: { quorum: 5 } });
      const [, , , late] = history.drawn(0)[0]!;
      history.answerFrom(0, 0, 0).answerFrom(0, 0, 1).answerFrom(0, 0, 2).wait(WINDOWS.check);
      const judged = history.copy().judge(REQUESTER, [], true);
      expect(kinds(judged, late!)).to.deep.equal(["work"]);
      expect(kinds(judged.wait(1), late!)).to.deep.equal([]);
      history.wait(1);
      expect(kinds(history, late!)).to.deep.equal(["work"]);
      history.judge(REQUESTER, [{ assignment: 0, verdict: "primary-differs", witness: 0, round: 0, seat: 0 }], false);
      expect(kinds(history, late!)).to.deep.equal([]);
    });

    it("the most urgent first, and before it does anything else", () => {
      const history = posted({ count: 9, terms: { maxShare: 400_000 } })
        .claim(other, 3)
        .wait(10)
        .claim(me, 3);
      const second = BATCH_ID.replace(/.$/, (digit) => (digit === "0" ? "1" : "0"));
      // Another batch of the same job, in which its claim is older.
      const { terms, batch, escrow, bond } = history.record;
      history.emit("BatchPosted", { id: second, job: batch.job, batch: { ...batch, sequence: 1n }, escrow, bond });
      history.emit("Claimed", { id: second, assignment: 0, node: me, first: 0, count: 3, deadline: START + 30 });
      history.emit("Claimed", { id: second, assignment: 1, node: other, first: 3, count: 3, deadline: START + 30 });
      history.emit("Submitted", {
        id: second,
        assignment: 0,
        node: me,
        root: terms.spec,
        manifest: terms.spec,
        envelope: "0x00",
      });
      history.emit("Claimed", { id: second, assignment: 2, node: me, first: 6, count: 1, deadline: START + 20 });
      const duties = computeDutiesOf(history, me);
      expect(duties.map(({ kind, batchId }) => [kind, batchId === second])).to.deep.equal([
        ["work", true],
        ["work", false],
      ]);
      expect(computeDutiesOf(history, third).map(({ kind }) => kind)).to.deep.equal(["claim", "claim"]);
      expect(computeDutiesOf(history, third, { free: 1 })).to.have.length(1);
      expect(computeDutiesOf(history, third, { freeStake: 199n })).to.have.length(1);
    });
  });

  describe("moves a batch on", () => {
    it("by nothing that it has no interest in", () => {
      const history = posted().claim(other, 6).until(CLAIM_BY);
      expect(kinds(history, other)).to.deep.equal([]);
      history.wait(1);
      expect(kinds(history, me)).to.deep.equal([]);
      expect(kinds(history, other)).to.deep.equal(["expire"]);
    });

    it("by voiding late claims once nobody can take them over, and then sealing", () => {
      const history = posted().claim(me, 2).submit(me, 0).wait(50).claim(other, 2).until(CLAIM_BY);
      expect(kinds(history, me)).to.deep.equal(["claim"]);
      expect(kinds(history.wait(1), me)).to.deep.equal([]);
      history.until(START + 50 + WINDOWS.submit);
      expect(kinds(history, me)).to.deep.equal([]);
      expect(computeDutiesOf(history.wait(1), me)).to.deep.equal([
        { kind: "expire", batchId: BATCH_ID, assignment: 1 },
      ]);
      expect(computeDutiesOf(history.expire(1), me)).to.deep.equal([{ kind: "seal", batchId: BATCH_ID }]);
      expect(kinds(history.seal(), me)).to.deep.equal([]);
    });

    it("by storing the entropy block's hash before the chain forgets it, while it is of use", () => {
      const history = sealed({ terms: { windows: { ...WINDOWS, reveal: 1_000 } } });
      const { entropyBlock } = history.record.seal!;
      history.until((entropyBlock + 64) * 2);
      expect(kinds(history, me)).to.deep.equal([]);
      expect(kinds(history.wait(2), me)).to.deep.equal(["capture"]);
      expect(kinds(history, other)).to.deep.equal([]);
      expect(kinds(history.copy().capture(), me)).to.deep.equal([]);
      expect(kinds(history.until(START + 1_001), me)).to.deep.equal(["settle"]);
      const trusted = sealed({
        terms: { mode: "trusted", rate: 0, allowed: [me], windows: { ...WINDOWS, reveal: 1_000 } },
      });
      expect(kinds(trusted.wait(500), me)).to.deep.equal(["settle"]);
    });

    it("by drawing again where too few have answered, until the judge window is over", () => {
      const history = revealed({ terms: { quorum: 5 } })
        .answerFrom(0, 0, 0)
        .wait(WINDOWS.check);
      const redraw = { kind: "redraw", batchId: BATCH_ID, assignment: 0 };
      expect(computeDutiesOf(history, me)).to.deep.equal([]);
      expect(computeDutiesOf(history.wait(1), me)).to.deep.equal([redraw]);
      expect(computeDutiesOf(history, history.drawn(0)[0]![0]!)).to.deep.equal([redraw]);
      expect(kinds(history, history.drawn(0)[0]![1]!)).to.deep.equal(["work"]);
      expect(computeDutiesOf(history.wait(WINDOWS.judge - 1), me)).to.deep.equal([redraw]);
      expect(kinds(history.wait(1), me)).to.deep.equal(["settle"]);
    });

    it("by no draw where enough have answered, where it is disputed, or where nobody is left", () => {
      const enough = revealed()
        .answerFrom(0, 0, 0)
        .wait(WINDOWS.check + 1);
      expect(kinds(enough, me)).to.deep.equal([]);
      const disputed = revealed({ terms: { mode: "sampled", adaptive: true } })
        .answerFrom(0, 0, 0)
        .escalate(REQUESTER, 0);
      disputed
        .wait(20)
        .answerFrom(0, 1, 0)
        .judge(REQUESTER, [{ assignment: 0, verdict: "no-majority", witness: 0, round: 0, seat: 0 }], false);
      expect(kinds(disputed.wait(WINDOWS.check + 1), me)).to.deep.equal(["conclude"]);
      const few = revealed({ nodes: 3 }).wait(WINDOWS.check + 1);
      expect(few.drawn(0)[0]).to.have.length(2);
      expect(kinds(few, me)).to.deep.equal(["settle"]);
    });

    it("by no draw after the last round", () => {
      const history = revealed();
      for (let round = 1; round <= MAX_ROUNDS; ++round) {
        history.wait(PARAMETERS.drawDelay + WINDOWS.check + 1);
        // The pool of twelve ends sooner than the rounds: two, four, and the rest.
        if (!kinds(history, me).includes("redraw")) break;
        history.redraw(me, 0);
      }
      expect(history.drawn(0).flat()).to.have.length(11);
      expect(kinds(history, me)).to.deep.equal(["settle"]);
      const many = revealed({ nodes: 80 });
      for (let round = 1; round <= MAX_ROUNDS; ++round)
        many.wait(PARAMETERS.drawDelay + WINDOWS.check + 1).redraw(me, 0);
      many.wait(PARAMETERS.drawDelay + WINDOWS.check);
      expect(kinds(many, me)).to.deep.equal([]);
      expect(kinds(many.wait(1), me)).to.deep.equal(["settle"]);
    });

    it("with more patience the later its turn is, and never all at once", () => {
      const turns = new Set<number>();
      for (let index = 0; index < 12; ++index) {
        const node = nodeAt(index);
        const history = posted()
          .claim(node, 1)
          .submit(node, 0)
          .until(CLAIM_BY + 1);
        const policy = { class: CLASS, minPrice: 1n, patience: 10 };
        expect(kinds(history, node, { policy })).to.deep.equal([]);
        while (!kinds(history, node, { policy }).includes("seal")) history.wait(1);
        turns.add(history.now - CLAIM_BY);
      }
      expect([...turns].sort()).to.deep.equal([11, 21, 31, 41]);
    });
  });

  describe("settles", () => {
    it("nothing before the reveal, and everything of its own once the requester is too late for it", () => {
      const history = sealed().wait(WINDOWS.reveal);
      expect(kinds(history, me)).to.not.include("settle");
      expect(computeDutiesOf(history.wait(1), me)).to.deep.equal([
        { kind: "settle", batchId: BATCH_ID, assignments: [0] },
      ]);
      expect(kinds(history, other)).to.deep.equal([]);
    });

    it("what was not sampled once the requester could have, or at once when it has judged", () => {
      const history = unsampled();
      expect(kinds(history.copy().judge(REQUESTER, [], true), me)).to.deep.equal(["settle"]);
      history.wait(WINDOWS.check + WINDOWS.judge);
      expect(kinds(history, me)).to.deep.equal([]);
      expect(kinds(history.wait(1), me)).to.deep.equal(["settle"]);
    });

    it("what a full panel ran, when the requester has judged, or nobody called on the panel instead", () => {
      const history = revealed().answerFrom(0, 0, 0).answerFrom(0, 0, 1);
      const verifier = history.drawn(0)[0]![1]!;
      const judged = history.copy().judge(REQUESTER, [], true);
      expect(kinds(judged, me)).to.deep.equal(["settle"]);
      expect(kinds(judged, verifier)).to.deep.equal(["settle"]);
      history.wait(WINDOWS.check + WINDOWS.judge + WINDOWS.challenge);
      expect(kinds(history, me)).to.deep.equal(["call-panel"]);
      expect(kinds(history.wait(1), verifier)).to.deep.equal(["settle"]);
      expect(kinds(history, bystander(history))).to.deep.equal([]);
    });

    it("what enough of a panel ran, but judged or not only after its clock", () => {
      const history = revealed().answerFrom(0, 0, 0).judge(REQUESTER, [], true).wait(WINDOWS.check);
      expect(kinds(history, me)).to.deep.equal([]);
      expect(kinds(history.wait(1), me)).to.deep.equal(["settle"]);
    });

    it("nothing that is contended: that is concluded", () => {
      const history = revealed().answerFrom(0, 0, 0).answerFrom(0, 0, 1);
      history
        .judge(REQUESTER, [{ assignment: 0, verdict: "seat-differs", witness: 0, round: 0, seat: 1 }], true)
        .wait(WINDOWS.challenge);
      expect(kinds(history, me)).to.deep.equal([]);
      expect(kinds(history.wait(1), me)).to.deep.equal(["conclude"]);
    });

    it("in mode trusted at once, without a reveal", () => {
      const history = sealed({ terms: { mode: "trusted", rate: 0, allowed: [me] } });
      expect(kinds(history, me)).to.deep.equal(["settle"]);
    });

    it("nothing twice", () => {
      const history = posted()
        .claim(me, 3)
        .submit(me, 0)
        .claim(other, 3)
        .submit(other, 1)
        .wait(WINDOWS.reveal + 1);
      history.settle(me, [0]);
      expect(kinds(history, me)).to.deep.equal([]);
      expect(kinds(history, other)).to.deep.equal(["settle"]);
    });

    it("after a second that depends on nothing but what has happened", () => {
      const history = revealed();
      const facts = { parameters: PARAMETERS, hashes: history.hashes };
      const from = (): number | undefined =>
        settleableFrom(history.state, history.record, history.record.assignments[0]!, facts);
      expect(from()).to.equal(history.now + WINDOWS.check + WINDOWS.judge);
      history.answerFrom(0, 0, 0);
      expect(from()).to.equal(history.now + WINDOWS.check + WINDOWS.judge + WINDOWS.challenge);
      history.judge(REQUESTER, [], true);
      expect(from()).to.equal(history.now + WINDOWS.check);
      history.answerFrom(0, 0, 1);
      expect(from()).to.equal(0);
    });
  });

  it("gives the same duties for the same facts, and changes nothing", () => {
    const history = revealed({ terms: { quorum: 5 } })
      .answerFrom(0, 0, 0)
      .wait(WINDOWS.check + 1);
    const before = JSON.stringify(history.record, (_, value: unknown) =>
      typeof value === "bigint" ? `${value}n` : value,
    );
    for (let index = 0; index < 12; ++index) {
      expect(computeDutiesOf(history, nodeAt(index))).to.deep.equal(computeDutiesOf(history, nodeAt(index)));
    }
    const after = JSON.stringify(history.record, (_, value: unknown) =>
      typeof value === "bigint" ? `${value}n` : value,
    );
    expect(after).to.equal(before);
  });

  it("does nothing for an account that is no node", () => {
    expect(kinds(revealed().wait(1_000), addressOf("stranger"))).to.deep.equal([]);
  });

  /** A revealed batch of which nothing is sampled. */
  function unsampled(): MarketHistory {
    for (let fork = 0; ; ++fork) {
      const history = revealed({ fork, terms: { mode: "sampled", rate: 50_000 } });
      if (sampledCount(history.data.entropy, { first: 0, count: 6 }, 50_000) === 0) return history;
    }
  }

  /** Nodes that have a seat to answer from. */
  function workers(history: MarketHistory, changes: Partial<ComputeFacts> = {}): string[] {
    return Array.from({ length: 12 }, (_, index) => nodeAt(index)).filter(
      (node) => ofKind(computeDutiesOf(history, node, changes), "work").length > 0,
    );
  }
});
