import { expect } from "chai";
import { hexlify } from "ethers";
import { contentIdFromBytes32 } from "#sdk/content.ts";
import type { ClassRecord } from "#sdk/market-state.ts";
import { contestBond, juryBond, minimumSlash, quote, reserve } from "#sdk/pricing.ts";
import { jobIdOf } from "#sdk/terms.ts";
import {
  attemptOf,
  CAUGHT,
  exceptionMargin,
  isAccepted,
  mostSuspect,
  statusOf,
  suspicionFrom,
  termsOf,
  type Job,
} from "../../agents/requester/jobs.ts";
import type { JobTicket } from "../../agents/requester/spool.ts";
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
  TERMS,
  WINDOWS,
} from "../support/market-history.ts";

const KEY = new Uint8Array(33).fill(2);

function ticketOf(changes: Partial<JobTicket["terms"]> = {}, count = 6): JobTicket {
  return {
    ticket: "0000000000001-00000000",
    name: "job",
    createdAt: "2026-01-01T00:00:00Z",
    terms: {
      spec: contentIdFromBytes32(TERMS.spec),
      mode: "sampled",
      adaptive: true,
      quorum: 3,
      rate: 30_000,
      guess: 0,
      maxShare: 500_000,
      minSlice: 1,
      price: "10",
      verifierPrice: "12",
      slashAmount: null,
      fullSlash: true,
      class: CLASS,
      windows: WINDOWS,
      allowed: [],
      excluded: [],
      ...changes,
    },
    manifest: contentIdFromBytes32(TERMS.spec),
    count,
    plantShare: 0,
  };
}

/** A class with one node a slot, as folded. */
function poolOf(nodes: number, change: (history: MarketHistory) => unknown = () => undefined): ClassRecord {
  const history = new MarketHistory({ nodes });
  change(history);
  return history.state.classes.get(CLASS)!;
}

function terms(
  ticket: JobTicket,
  pool: ClassRecord,
  distrusted: string[] = [],
  again = false,
): ReturnType<typeof termsOf> {
  return termsOf(ticket, REQUESTER, KEY, pool, PARAMETERS, distrusted, again);
}

function jobOf(count = 6): Job {
  const attempt = attemptOf(
    { chainId: 1n, market: MARKET },
    TERMS,
    0n,
    TERMS.spec,
    Array.from({ length: count }, (_, task) => task),
  );
  return { ticket: ticketOf({}, count), attempts: [{ ...attempt, posted: true }], suspicion: {}, done: [] };
}

describe("termsOf", () => {
  it("asks for what the ticket says, at the least slash the market takes", () => {
    const made = terms(ticketOf(), poolOf(12));
    expect(made).to.deep.include({
      requester: REQUESTER,
      mode: "sampled",
      rate: 30_000,
      price: 10n,
      excluded: [],
      allowed: [],
    });
    expect(made).to.include({
      class: CLASS,
      spec: TERMS.spec,
      encryptionKey: hexlify(KEY),
      delegate: `0x${"00".repeat(20)}`,
    });
    const { challengeBond } = PARAMETERS;
    expect(made.slashAmount).to.equal(
      minimumSlash({ price: 10n, verifierPrice: 12n, rate: 30_000, guess: 0, quorum: 3, challengeBond }),
    );
    expect(terms(ticketOf({ slashAmount: "123456" }), poolOf(12)).slashAmount).to.equal(123_456n);
  });

  it("leaves out at most a third of the nodes, those asked for first, then the worst", () => {
    const pool = poolOf(12);
    const wanted = ticketOf({ excluded: [nodeAt(11)] });
    expect(terms(wanted, pool, [5, 4, 3].map(nodeAt)).excluded).to.deep.equal([11, 5, 4, 3].map(nodeAt));
    expect(terms(wanted, pool, [5, 4, 3, 2].map(nodeAt)).excluded).to.deep.equal([11, 5, 4, 3].map(nodeAt));
    expect(terms(wanted, pool, [nodeAt(11)]).excluded).to.deep.equal([nodeAt(11)]);
  });

  it("leaves enough nodes to draw from, as the market wants", () => {
    const distrusted = [3, 2, 1, 0].map(nodeAt);
    const counts = [5, 6, 7, 8, 9, 11, 12].map((nodes) => terms(ticketOf(), poolOf(nodes), distrusted).excluded.length);
    // A panel of three and as many again, and no more than a third.
    expect(counts).to.deep.equal([0, 0, 1, 2, 3, 3, 4]);
    expect(terms(ticketOf({ quorum: 5 }), poolOf(12), distrusted).excluded).to.have.length(2);
  });

  it("counts nodes and not slots, and neither counts nor names those that left", () => {
    const more = poolOf(6, (history) =>
      history.emit("Joined", { class: CLASS, node: nodeAt(0), slot: 6, activeFrom: 0 }),
    );
    expect(terms(ticketOf(), more, [nodeAt(1)]).excluded).to.deep.equal([]);
    const fewer = poolOf(8, (history) => history.leavePool(7));
    expect(terms(ticketOf(), fewer, [7, 6, 5].map(nodeAt)).excluded).to.deep.equal([nodeAt(6)]);
    const holes = poolOf(8, (history) => history.leavePool(7).freeSlot(7));
    expect(terms(ticketOf(), holes, [7, 6, 5].map(nodeAt)).excluded).to.deep.equal([nodeAt(6)]);
  });

  it("checks every task of what it posts again, where it spot-checked before", () => {
    expect(terms(ticketOf(), poolOf(12), [], true)).to.include({ rate: 1_000_000, mode: "sampled" });
    expect(terms(ticketOf({ mode: "replicated", rate: 1_000_000 }), poolOf(12), [], true).rate).to.equal(1_000_000);
  });

  it("in mode trusted names whom it trusts and excludes nobody", () => {
    const trusted = ticketOf({ mode: "trusted", rate: 0, allowed: [nodeAt(0)], excluded: [] });
    const made = terms(trusted, poolOf(12), [nodeAt(0)], true);
    expect(made).to.deep.include({ allowed: [nodeAt(0)], excluded: [], slashAmount: 0n, rate: 0 });
  });

  it("makes another job of other exclusions, and the same of the same", () => {
    const context = { chainId: 1n, market: MARKET };
    const [plain, without, again] = [
      terms(ticketOf(), poolOf(12)),
      terms(ticketOf(), poolOf(12), [nodeAt(1)]),
      terms(ticketOf(), poolOf(12)),
    ];
    expect(jobIdOf(context, plain)).to.equal(jobIdOf(context, again)).and.not.equal(jobIdOf(context, without));
    expect(attemptOf(context, plain, 3n, TERMS.spec, [4, 2])).to.include({
      jobId: jobIdOf(context, plain),
      sequence: 3n,
      posted: false,
    });
  });
});

describe("exceptionMargin", () => {
  it("backs one exception against the largest slice that a claim may take", () => {
    const backing = (count: number): bigint => reserve(TERMS, TERMS.price, count, PARAMETERS).beyondBond;
    expect(exceptionMargin(TERMS, 6, PARAMETERS)).to.equal(backing(6));
    expect(exceptionMargin({ ...TERMS, maxShare: 500_000 }, 6, PARAMETERS)).to.equal(backing(3));
    expect(exceptionMargin({ ...TERMS, maxShare: 10_000, minSlice: 2 }, 150, PARAMETERS)).to.equal(backing(2));
    expect(exceptionMargin({ ...TERMS, maxShare: 10_000, minSlice: 9 }, 6, PARAMETERS)).to.equal(backing(6));
    expect(exceptionMargin({ ...TERMS, mode: "trusted" }, 6, PARAMETERS)).to.equal(0n);
  });
});

describe("suspicionFrom", () => {
  it("weighs being caught above sitting on any number of panels without a majority", () => {
    const history = new MarketHistory({ count: 2 })
      .post()
      .claim(nodeAt(0), 1)
      .submit(nodeAt(0), 0)
      .claim(nodeAt(1), 1)
      .submit(nodeAt(1), 1);
    history.wait(20).reveal();
    for (const index of [0, 1]) for (const seat of [0, 1]) history.answerFrom(index, 0, seat);
    const witness = 0;
    history.judge(REQUESTER, [{ assignment: 0, verdict: "seat-differs", witness, round: 0, seat: 1 }], false);
    history.judge(REQUESTER, [{ assignment: 1, verdict: "no-majority", witness: 1, round: 0, seat: 0 }], true);
    const suspicion = suspicionFrom(history.record);
    const caught = history.drawn(0)[0]![1]!;
    expect(suspicion[caught]).to.be.at.least(CAUGHT);
    expect(mostSuspect(suspicion)[0]).to.equal(caught);
    for (const node of [nodeAt(1), ...history.drawn(1)[0]!]) expect(suspicion[node]).to.be.at.least(1);
    const members = new Set([caught, nodeAt(1), ...history.drawn(1)[0]!]);
    expect(Object.keys(suspicion)).to.have.members([...members]);
  });

  describe("after a dispute", () => {
    /** One slice whose two seats have answered. */
    const panel = (): MarketHistory =>
      new MarketHistory({ nodes: 20 })
        .post()
        .claim(nodeAt(0), 6)
        .submit(nodeAt(0), 0)
        .wait(20)
        .reveal()
        .answerFrom(0, 0, 0)
        .answerFrom(0, 0, 1)
        .wait(12);
    const suspects = (history: MarketHistory, least: number): string[] =>
      Object.entries(suspicionFrom(history.record)).flatMap(([node, weight]) => (weight >= least ? [node] : []));

    it("holds nothing against who was accused and cleared, but much against who was found guilty", () => {
      const history = panel();
      history.judge(REQUESTER, [{ assignment: 0, verdict: "primary-differs", witness: 0, round: 0, seat: 0 }], true);
      const steps = new DisputeSteps(history).challenge(nodeAt(0));
      steps.open(0, "right").open(1, "wrong").open(2, "wrong").rule().appeal(nodeAt(0));
      // One juror, of seven, is an accomplice.
      steps
        .vote([...Array(6).fill("right"), "wrong"])
        .waitOut()
        .conclude();
      const accomplice = history.record.assignments[0]!.dispute!.juries[0]!.jurors[6]!.node;
      expect(suspects(history, CAUGHT)).to.have.members([...history.drawn(0)[0]!, accomplice]);
      expect(suspects(history, 1)).to.not.include(nodeAt(0));
    });

    it("holds it against whom nothing came from, and against who did not stand by it", () => {
      const voted = panel();
      const steps = new DisputeSteps(voted).contestDelivery(0).answerContest();
      steps.vote(Array(7).fill("undelivered")).waitOut().conclude();
      expect(voted.record.assignments[0]!.outcome!.outcome).to.equal("forfeited");
      expect(suspects(voted, 1)).to.deep.equal([nodeAt(0)]);
      const silent = panel();
      new DisputeSteps(silent).contestWork(3).waitOut().conclude();
      expect(suspects(silent, CAUGHT)).to.deep.equal([nodeAt(0)]);
      const delivered = panel();
      const other = new DisputeSteps(delivered).contestDelivery(0).answerContest();
      other.vote(Array(7).fill("delivered")).waitOut().conclude();
      expect(suspects(delivered, 1)).to.deep.equal([]);
    });

    it("holds little against who slept", () => {
      const history = panel();
      history.judge(REQUESTER, [{ assignment: 0, verdict: "primary-differs", witness: 0, round: 0, seat: 0 }], true);
      const steps = new DisputeSteps(history).challenge(nodeAt(0)).open(0, "wrong").open(1, "right").waitOut().rule();
      steps.appeal(nodeAt(0)).vote([undefined, ...Array(6).fill("right")]);
      steps.waitOut().conclude();
      const { missed } = history.record.assignments[0]!.dispute!;
      expect(missed).to.not.have.lengthOf(0);
      const suspicion = suspicionFrom(history.record);
      for (const { node } of missed) expect(suspicion[node]).to.be.within(1, CAUGHT - 1);
      expect(suspects(history, CAUGHT)).to.deep.equal([nodeAt(0)]);
    });
  });

  it("puts equals in an order that does not depend on who was noticed first", () => {
    const [a, b] = [addressOf("a"), addressOf("b")];
    expect(mostSuspect({ [a]: 2, [b]: 2 })).to.deep.equal(mostSuspect({ [b]: 2, [a]: 2 }));
    expect(mostSuspect({ [a]: 1, [b]: 2 })).to.deep.equal([b, a]);
    expect(mostSuspect({})).to.deep.equal([]);
  });
});

describe("statusOf", () => {
  const money = (job: Job, ...records: MarketHistory[]): Record<string, bigint> => {
    const status = statusOf(
      job,
      records.map((history) => history.record),
      PARAMETERS,
    );
    return Object.fromEntries(Object.entries(status.money).map(([name, units]) => [name, BigInt(units)]));
  };

  it("follows a batch through its states", () => {
    const job = jobOf();
    const state = (history?: MarketHistory): string => statusOf(job, [history?.record], PARAMETERS).state;
    expect(statusOf({ ...job, attempts: [] }, [], PARAMETERS).state).to.equal("queued");
    expect(state()).to.equal("posting");
    const history = new MarketHistory().post();
    expect(state(history)).to.equal("posted");
    expect(state(history.claim(nodeAt(0), 6))).to.equal("computing");
    expect(state(history.submit(nodeAt(0), 0))).to.equal("sealed");
    expect(state(history.wait(20).reveal())).to.equal("revealed");
    expect(state(history.answerFrom(0, 0, 0))).to.equal("checking");
    expect(state(history.judge(REQUESTER, [], true))).to.equal("judged");
    expect(state(history.answerFrom(0, 0, 1).settle(REQUESTER, [0]))).to.equal("judged");
    expect(statusOf({ ...job, finished: {} }, [history.record], PARAMETERS).state).to.equal("settled");
    const error = { code: "JOB_INCOMPLETE", message: "m" };
    expect(statusOf({ ...job, finished: { error } }, [history.record], PARAMETERS)).to.deep.include({
      state: "failed",
      error,
    });
  });

  it("counts tasks, and what was run again for each answer", () => {
    const history = new MarketHistory()
      .post()
      .claim(nodeAt(0), 2)
      .submit(nodeAt(0), 0)
      .claim(nodeAt(1), 4)
      .submit(nodeAt(1), 1);
    history.wait(20).reveal().answerFrom(0, 0, 0).answerFrom(0, 0, 1).answerFrom(1, 0, 0).settle(REQUESTER, [0]);
    const status = statusOf(jobOf(), [history.record], PARAMETERS);
    expect(status.counts).to.deep.equal({
      tasks: 6,
      claimed: 6,
      submitted: 6,
      sampled: 6,
      answered: 2 * 2 + 4,
      accused: 0,
      contended: 0,
      settled: 2,
    });
    expect(status).to.include({ batchId: BATCH_ID });
  });

  it("counts a node that is accused twice once", () => {
    const history = new MarketHistory({ count: 2 })
      .post()
      .claim(nodeAt(0), 1)
      .submit(nodeAt(0), 0)
      .claim(nodeAt(0), 1)
      .submit(nodeAt(0), 1);
    history.wait(20).reveal();
    for (const index of [0, 1]) for (const seat of [0, 1]) history.answerFrom(index, 0, seat);
    history.judge(
      REQUESTER,
      [0, 1].map((assignment) => ({ assignment, verdict: "primary-differs", witness: assignment, round: 0, seat: 0 })),
      true,
    );
    const { counts } = statusOf(jobOf(2), [history.record], PARAMETERS);
    expect(counts).to.include({ accused: 1, submitted: 2, contended: 2, settled: 0 });
  });

  it("accounts for every base unit: paid, burned, returned", () => {
    const { escrow, bond } = quote(TERMS, 6, PARAMETERS);
    const open = new MarketHistory()
      .post()
      .claim(nodeAt(0), 6)
      .submit(nodeAt(0), 0)
      .wait(20)
      .reveal()
      .answerFrom(0, 0, 0)
      .answerFrom(0, 0, 1);
    expect(money(jobOf(), open)).to.deep.equal({ escrow, bond, paid: 0n, burned: 0n, returned: 0n });
    const paid = 6n * TERMS.price + 2n * 6n * TERMS.verifierPrice;
    const settled = open.copy().settle(REQUESTER, [0]);
    expect(money(jobOf(), settled)).to.deep.equal({ escrow, bond, paid, burned: 0n, returned: bond });
    const forced = open
      .copy()
      .wait(WINDOWS.check + WINDOWS.judge + WINDOWS.challenge + 1)
      .settle(nodeAt(0), [0]);
    expect(money(jobOf(), forced)).to.deep.equal({
      escrow,
      bond,
      paid,
      burned: PARAMETERS.bondFixed,
      returned: bond - PARAMETERS.bondFixed,
    });
    const slashed = open
      .copy()
      .judge(REQUESTER, [{ assignment: 0, verdict: "primary-differs", witness: 0, round: 0, seat: 0 }], true);
    new DisputeSteps(slashed.wait(WINDOWS.challenge + 1)).conclude();
    const { beyondBond } = reserve(TERMS, TERMS.price, 6, PARAMETERS);
    expect(money(jobOf(), slashed)).to.deep.equal({
      escrow,
      bond: bond + beyondBond,
      paid: paid - 60n,
      burned: 0n,
      returned: bond + beyondBond + 60n,
    });
    const unclaimed = new MarketHistory()
      .post()
      .wait(WINDOWS.claim + 1)
      .seal();
    expect(money(jobOf(), unclaimed)).to.deep.equal({ escrow, bond, paid: 0n, burned: 0n, returned: escrow + bond });
    const contested = new DisputeSteps(open.copy().wait(12)).contestWork(3).answerContest();
    contested
      .vote(Array(7).fill("right"), () => contested.open(0, "right"))
      .waitOut()
      .conclude();
    const locks = contestBond(TERMS, 60n, PARAMETERS);
    const cost = 7n * TERMS.verifierPrice + PARAMETERS.challengeBond;
    expect(money(jobOf(), contested.history)).to.deep.equal({
      escrow,
      bond: bond + locks,
      paid: paid + cost,
      burned: 6n,
      returned: bond + locks - cost - 6n,
    });
    const appealed = new DisputeSteps(open.copy().wait(12)).contestWork(3).answerContest();
    appealed.vote(Array(7).fill("wrong"), () => appealed.open(0, "right")).appeal(REQUESTER);
    expect(money(jobOf(), appealed.history).bond).to.equal(bond + locks + juryBond(TERMS, 2));
    // Two batches for one job: the sums.
    const both = money(jobOf(), forced, settled);
    expect(both.escrow! + both.bond!).to.equal(both.paid! + both.burned! + both.returned!);
    expect(both.paid).to.equal(2n * paid);
  });

  it("says what came of each task, by the latest batch that had it", () => {
    const first = new MarketHistory({ count: 4 })
      .post()
      .claim(nodeAt(0), 2)
      .submit(nodeAt(0), 0)
      .wait(WINDOWS.claim + 1)
      .seal();
    first.wait(20).reveal().answerFrom(0, 0, 0).answerFrom(0, 0, 1);
    first
      .judge(REQUESTER, [{ assignment: 0, verdict: "no-majority", witness: 0, round: 0, seat: 0 }], true)
      .wait(WINDOWS.challenge + 1);
    new DisputeSteps(first).conclude();
    const second = new MarketHistory({ count: 3 })
      .post()
      .claim(nodeAt(1), 1)
      .submit(nodeAt(1), 0)
      .wait(WINDOWS.claim + 1)
      .seal()
      .wait(WINDOWS.reveal + 1);
    second.settle(nodeAt(1), [0]);
    const job = jobOf(4);
    // Task 1 came with the first batch after all; the others are posted again, in another order.
    job.attempts.push({ ...job.attempts[0]!, tasks: [3, 0, 2] });
    job.done = [{ task: 1, outcome: "paid", node: nodeAt(0) }];
    expect(statusOf(job, [first.record, second.record], PARAMETERS)).to.not.have.property("results");
    job.finished = {};
    expect(statusOf(job, [first.record, second.record], PARAMETERS).results).to.deep.equal([
      { task: 0, outcome: "unclaimed" },
      { task: 1, outcome: "paid", node: nodeAt(0) },
      { task: 2, outcome: "unclaimed" },
      { task: 3, outcome: "forced" },
    ]);
    job.attempts.pop();
    expect(statusOf(job, [first.record], PARAMETERS).results!.map(({ outcome }) => outcome)).to.deep.equal([
      "no-majority",
      "paid",
      "unclaimed",
      "unclaimed",
    ]);
  });
});

describe("isAccepted", () => {
  it("takes results that their primary was paid for, and no others", () => {
    const { record } = new MarketHistory().post().claim(nodeAt(0), 6);
    const [assignment] = record.assignments;
    const accepted = [
      "paid",
      "forced",
      "seat-slashed",
      "primary-slashed",
      "no-majority",
      "exhausted",
      "forfeited",
      "none",
    ].filter((outcome) =>
      isAccepted({ ...assignment!, outcome: { outcome, paid: 0n, penalty: 0n, block: 1 } as never }),
    );
    expect(accepted).to.deep.equal(["paid", "forced", "seat-slashed"]);
    expect(isAccepted(assignment!)).to.equal(false);
  });
});
