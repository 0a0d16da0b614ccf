import { expect } from "chai";
import fc from "fast-check";
import { DELIVERED, UNDELIVERED } from "#sdk/commitment.ts";
import { lockOf, reserve } from "#sdk/pricing.ts";
import {
  BURNED,
  conclude,
  effectiveRuling,
  ESCROW,
  juryRuling,
  panelRuling,
  settle,
  type EndedDispute,
  type EndedPanel,
  type JurySeat,
  type Settled,
} from "#sdk/settlement.ts";
import type { Verdict } from "#sdk/terms.ts";

const REQUESTER = "requester";
const TERMS = { requester: REQUESTER, quorum: 3, fullSlash: true, verifierPrice: 12n, slashAmount: 1_000n };
const PARAMETERS = { bondFixed: 50n, bondShare: 50_000, challengeBond: 6n };
/** Pay 50 for the primary, 24 for each verifier; a missing verifier pays 12, a missing juror 6. */
const PANEL: EndedPanel = {
  terms: TERMS,
  parameters: PARAMETERS,
  price: 10n,
  count: 5,
  sampled: 2,
  members: [{ node: "p" }, { node: "v" }, { node: "w" }],
  verdict: "none",
  accused: [],
};
/** max(50, 5·10) + (7 + 14)·12 + 6 */
const RESERVE = 308n;

const opened = (...digests: (string | undefined)[]): EndedPanel["members"] =>
  ["p", "v", "w"].map((node, i) => ({ node, ...(digests[i] === undefined ? {} : { opened: digests[i] }) }));

const excepted = (verdict: Verdict, accused: number[], changes: Partial<EndedPanel> = {}): EndedPanel => ({
  ...PANEL,
  verdict,
  accused,
  ...changes,
});

const disputed = (changes: Partial<EndedDispute>): EndedDispute => ({
  matter: "exception",
  challenge: { by: "p", bond: 0n },
  member: 0,
  answered: true,
  rulings: [],
  juries: [],
  pot: false,
  ...changes,
});

const jurors = (...shown: (string | undefined)[]): JurySeat[] =>
  shown.map((digest, i) => ({ node: `j${i}`, ...(digest === undefined ? {} : { shown: digest }) }));

/** What everybody gained or lost, all transfers together. */
function changes({ transfers }: Settled): Record<string, bigint> {
  const sums: Record<string, bigint> = {};
  for (const { from, to, amount } of transfers) {
    sums[from] = (sums[from] ?? 0n) - amount;
    sums[to] = (sums[to] ?? 0n) + amount;
  }
  return Object.fromEntries(Object.entries(sums).filter(([, amount]) => amount !== 0n));
}

describe("an assignment that nobody disputes", () => {
  it("pays the primary for its tasks and each verifier for the sampled", () => {
    const settled = settle(PANEL, "paid");
    expect(changes(settled)).to.deep.equal({ [ESCROW]: -98n, p: 50n, v: 24n, w: 24n });
    expect(settled.outcome).to.equal("paid");
  });

  it("pays no primary whose panel is exhausted", () => {
    expect(changes(settle(PANEL, "exhausted"))).to.deep.equal({ [ESCROW]: -48n, v: 24n, w: 24n });
  });
});

describe("an exception that nobody challenges", () => {
  it("takes the accused's lock: a tenth to the others, odd units and the rest to the fire", () => {
    const settled = conclude(excepted("primary-differs", [0], { terms: { ...TERMS, slashAmount: 1_015n } }));
    expect(settled.outcome).to.equal("primary-slashed");
    expect(settled.guilty).to.deep.equal([0]);
    expect(changes(settled)).to.deep.equal({ [ESCROW]: -48n, p: -1_015n, v: 24n + 50n, w: 24n + 50n, [BURNED]: 915n });
  });

  it("takes the assignment's worth if that is more", () => {
    const settled = conclude(excepted("primary-differs", [0], { count: 200 }));
    expect(changes(settled)["p"]).to.equal(-2_000n);
  });

  it("burns a tenth of the lock where a difference is no proof", () => {
    const settled = conclude(excepted("seat-differs", [2], { terms: { ...TERMS, fullSlash: false } }));
    expect(settled.outcome).to.equal("seat-slashed");
    expect(changes(settled)).to.deep.equal({ [ESCROW]: -74n, p: 50n, v: 24n, w: -100n, [BURNED]: 100n });
  });

  it("pays nobody where there is no majority", () => {
    const settled = conclude(excepted("no-majority", []));
    expect(settled.outcome).to.equal("no-majority");
    expect(settled.transfers).to.deep.equal([]);
  });
});

describe("a challenged exception", () => {
  it("costs a requester that lied all of the reserve, openings paid out of it", () => {
    const dispute = disputed({ rulings: ["a"] });
    const settled = conclude(excepted("primary-differs", [0], { members: opened("a", "a", "a"), dispute }));
    expect(settled.lied).to.equal(true);
    expect(settled.outcome).to.equal("forced");
    expect(changes(settled)).to.deep.equal({
      [ESCROW]: -98n - RESERVE,
      p: 52n,
      v: 26n,
      w: 26n,
      [BURNED]: RESERVE - 6n,
    });
  });

  it("is no lie of a requester that a majority of the panel misled", () => {
    const juries = [{ appellant: "p", bond: 0n, seats: jurors("a", "a", "a", "a", "a", "a", "a") }];
    const dispute = disputed({ rulings: ["b", "a"], juries });
    const settled = conclude(excepted("primary-differs", [0], { members: opened("a", "b", "b"), dispute }));
    expect(settled.lied).to.equal(false);
    expect(settled.guilty).to.deep.equal([1, 2]);
    // The first liar pays openings and jury; each gives a tenth to the one that was right.
    expect(changes(settled)).to.deep.equal({
      [ESCROW]: -50n,
      p: 50n + 6n + 200n,
      v: -1_000n,
      w: -1_000n,
      ...Object.fromEntries(juries[0]!.seats.map(({ node }) => [node, 12n])),
      [BURNED]: 2_000n - 6n - 84n - 200n,
    });
  });

  it("slashes an accused that does not open, and pays the openings out of its lock", () => {
    const dispute = disputed({ rulings: ["a"] });
    const settled = conclude(excepted("primary-differs", [0], { members: opened(undefined, "a", "a"), dispute }));
    expect(settled.outcome).to.equal("primary-slashed");
    expect(changes(settled)).to.deep.equal({
      [ESCROW]: -48n,
      p: -1_000n,
      v: 24n + 3n + 50n,
      w: 24n + 3n + 50n,
      [BURNED]: 894n,
    });
  });

  it("fines a member that was not accused and does not open, and burns its pay", () => {
    const dispute = disputed({ rulings: ["a"] });
    const settled = conclude(excepted("primary-differs", [0], { members: opened("a", "a", undefined), dispute }));
    expect(settled.outcome).to.equal("forced");
    expect(changes(settled)).to.deep.equal({
      [ESCROW]: -98n - RESERVE,
      p: 53n,
      v: 27n,
      w: -12n,
      [BURNED]: 24n + 12n + RESERVE - 6n,
    });
  });

  it("costs a challenger of a missing majority its bond if there was none", () => {
    const dispute = disputed({ challenge: { by: "v", bond: 6n }, rulings: [undefined] });
    const settled = conclude(excepted("no-majority", [], { members: opened("a", "b", "c"), dispute }));
    expect(settled.outcome).to.equal("no-majority");
    expect(changes(settled)).to.deep.equal({ p: 2n, v: -4n, w: 2n });
  });

  it("lets a jury find the majority that the panel had not, at the expense of who differs from it", () => {
    const seats = jurors("a", "a", "a", "a", "x", undefined, "a");
    const juries = [{ appellant: "v", bond: 84n, seats }];
    const dispute = disputed({ challenge: { by: "v", bond: 6n }, rulings: [undefined, "a"], juries });
    const settled = conclude(excepted("no-majority", [], { members: opened("b", "a", "c"), dispute }));
    expect(settled.lied).to.equal(false);
    expect(settled.guilty).to.deep.equal([0, 2]);
    expect(settled.guiltyJurors).to.deep.equal(["j4"]);
    const { v, j4, j5 } = changes(settled) as Record<string, bigint | undefined>;
    // Pay, opening, and a tenth of three locks.
    expect([v, j4, j5]).to.deep.equal([24n + 6n + 300n, -1_000n, undefined]);
  });

  it("makes an appellant pay the jury that changed nothing", () => {
    const seats = jurors("a", "a", "a", "a", "a", "a", "a");
    const dispute = disputed({ rulings: ["a", "a"], juries: [{ appellant: "v", bond: 84n, seats }] });
    const settled = conclude(excepted("primary-differs", [0], { members: opened("b", "a", "a"), dispute }));
    expect(changes(settled)["v"]).to.equal(24n + 3n + 50n - 84n);
    expect(changes(settled)["j0"]).to.equal(12n);
  });

  it("slashes jurors of the first jury that the second contradicts", () => {
    const juries = [
      { appellant: "p", bond: 0n, seats: jurors("b", "b", "b", "b", "a", "a", "a") },
      { appellant: "p", bond: 168n, seats: Array.from({ length: 14 }, (_, i) => ({ node: `k${i}`, shown: "a" })) },
    ];
    const dispute = disputed({ rulings: ["b", "b", "a"], juries });
    const settled = conclude(excepted("primary-differs", [0], { members: opened("a", "b", "b"), dispute }));
    expect(settled.guiltyJurors).to.deep.equal(["j0", "j1", "j2", "j3"]);
    const money = changes(settled);
    expect(money["p"]).to.equal(50n + 6n + 600n);
    expect([money["j4"], money["k13"], money["j0"]]).to.deep.equal([12n, 12n, -1_000n]);
  });
});

describe("a requester's silence", () => {
  it("pays who opened out of its bond, and burns the pay of who did not", () => {
    const dispute: EndedDispute = { ...disputed({ matter: "silence", rulings: ["a"], pot: true }) };
    delete dispute.challenge;
    const settled = conclude({ ...PANEL, members: opened(undefined, "a", "a"), dispute });
    expect(settled.outcome).to.equal("forfeited");
    expect(changes(settled)).to.deep.equal({
      [ESCROW]: -50n - 50n - 48n,
      p: -12n,
      v: 27n,
      w: 27n,
      [BURNED]: 50n + 12n + 44n,
    });
  });

  it("slashes who opened what the panel contradicts, and gives its pay to nobody", () => {
    const dispute = disputed({ matter: "silence", rulings: ["a"] });
    const settled = conclude({ ...PANEL, members: opened("b", "a", "a"), dispute });
    expect(settled.outcome).to.equal("primary-slashed");
    expect(changes(settled)).to.deep.equal({
      [ESCROW]: -50n - 48n,
      p: -1_000n,
      v: 24n + 50n,
      w: 24n + 50n,
      [BURNED]: 50n + 900n,
    });
  });
});

describe("a contest", () => {
  const contest = (changes: Partial<EndedDispute>): EndedDispute => {
    const dispute = disputed({ matter: "work", ...changes });
    delete dispute.challenge;
    return dispute;
  };
  const jury = (...shown: string[]): EndedDispute["juries"] => [
    { appellant: REQUESTER, bond: 95n, seats: jurors(...shown) },
  ];

  it("leaves an accused that does not answer unpaid and no poorer", () => {
    const settled = conclude({ ...PANEL, dispute: contest({ answered: false, rulings: [] }) });
    expect(settled.outcome).to.equal("forfeited");
    expect(changes(settled)).to.deep.equal({ [ESCROW]: -48n, v: 24n, w: 24n });
  });

  it("costs a requester that loses the jury, the accused's trouble and a tenth of its pay", () => {
    const dispute = contest({ rulings: [undefined, "a"], juries: jury("a", "a", "a", "a", "a", "a", "a") });
    const settled = conclude({ ...PANEL, members: opened("a"), dispute });
    expect(settled.outcome).to.equal("paid");
    const { p, j6, [BURNED]: burned, [ESCROW]: escrow } = changes(settled);
    expect([p, j6, burned, escrow]).to.deep.equal([56n, 12n, 5n, -98n - 84n - 6n - 5n]);
  });

  it("slashes a primary that the jury contradicts, and one that then does not show its work", () => {
    for (const shown of ["b", undefined]) {
      const dispute = contest({ rulings: [undefined, "a"], juries: jury("a", "a", "a", "a", "a", "a", "a") });
      const settled = conclude({ ...PANEL, members: opened(shown), dispute });
      expect(settled.outcome).to.equal("primary-slashed");
      expect(changes(settled)["p"]).to.equal(-1_000n);
      expect(changes(settled)[ESCROW]).to.equal(-48n);
    }
  });

  it("over a delivery makes who delivered nothing pay the jury and no more", () => {
    const votes = Array.from({ length: 7 }, () => UNDELIVERED);
    const dispute = contest({ matter: "delivery", rulings: [undefined, UNDELIVERED], juries: jury(...votes) });
    const settled = conclude({ ...PANEL, dispute });
    expect(settled.outcome).to.equal("forfeited");
    expect(settled.guilty).to.deep.equal([]);
    expect(changes(settled)["p"]).to.equal(-84n);
    expect(changes(settled)[ESCROW]).to.equal(-48n);
  });

  it("over a delivery takes no more than four wages from each juror that was outvoted", () => {
    const outvoted = jury(UNDELIVERED, UNDELIVERED, UNDELIVERED, UNDELIVERED, UNDELIVERED, DELIVERED, DELIVERED);
    const second = Array.from({ length: 14 }, (_, i) => ({ node: `k${i}`, shown: DELIVERED }));
    const juries = [...outvoted, { appellant: "p", bond: 168n, seats: second }];
    const dispute = contest({ matter: "delivery", rulings: [undefined, UNDELIVERED, DELIVERED], juries });
    const settled = conclude({ ...PANEL, dispute });
    expect(settled.outcome).to.equal("paid");
    expect(settled.guiltyJurors).to.deep.equal([]);
    const money = changes(settled);
    expect(["j0", "j1", "j2", "j3", "j4"].map((node) => money[node] ?? 0n)).to.deep.equal([-48n, -48n, -48n, -24n, 0n]);
    // The requester lost: it pays the first jury, its bond's worth, and a tenth of the primary's pay.
    expect([money["p"], money["j5"], money["k0"], money[ESCROW]]).to.deep.equal([56n, 12n, 12n, -98n - 24n - 6n - 5n]);
  });
});

describe("rulings", () => {
  it("of a panel need a majority of the quorum, of a jury more than half of the seats", () => {
    expect(panelRuling(["a", "a", undefined], 3)).to.equal("a");
    expect(panelRuling(["a", undefined, undefined], 3)).to.equal(undefined);
    expect(juryRuling(["a", "a", "a", "a", undefined, undefined, "b"])).to.equal("a");
    expect(juryRuling(["a", "a", "a", "b", undefined, undefined, undefined])).to.equal(undefined);
    expect(juryRuling(["a", "b"])).to.equal(undefined);
    expect(juryRuling([])).to.equal(undefined);
  });

  it("hold until another is found", () => {
    expect(effectiveRuling(["a", undefined, "b"], 1)).to.equal("a");
    expect(effectiveRuling(["a", undefined, "b"], 2)).to.equal("b");
    expect(effectiveRuling([undefined], 0)).to.equal(undefined);
  });
});

describe("whatever a dispute ends with", () => {
  const digest = fc.constantFrom("a", "b", "c", undefined);
  const seat = (name: string) =>
    fc
      .array(digest, { minLength: 7, maxLength: 7 })
      .map((shown) =>
        shown.map((each, i): JurySeat => ({ node: `${name}${i}`, ...(each === undefined ? {} : { shown: each }) })),
      );
  const panel = fc
    .record({
      said: fc.tuple(digest, digest, digest),
      accused: fc.constantFrom<number[]>([0], [1], [2], []),
      first: fc.option(seat("j"), { nil: undefined }),
      second: fc.option(seat("k"), { nil: undefined }),
      fullSlash: fc.boolean(),
      free: fc.boolean(),
    })
    .map(({ said, accused, first, second, fullSlash, free }): EndedPanel => {
      const calls = [first, first && second].filter((seats) => seats !== undefined);
      const juries = calls.map((seats, i) => ({ appellant: "v", bond: free && i === 0 ? 0n : 168n, seats }));
      const rulings = [panelRuling(said, 3), ...juries.map(({ seats }) => juryRuling(seats.map(({ shown }) => shown)))];
      const verdict = accused.length === 0 ? "no-majority" : accused[0] === 0 ? "primary-differs" : "seat-differs";
      const dispute = disputed({ challenge: { by: "v", bond: accused.includes(1) ? 0n : 6n }, rulings, juries });
      return { ...PANEL, terms: { ...TERMS, fullSlash }, verdict, accused, members: opened(...said), dispute };
    });

  it("takes no more from anybody than it has at stake in the matter", () => {
    fc.assert(
      fc.property(panel, (ended) => {
        const { transfers } = conclude(ended);
        const taken = (from: string): bigint =>
          transfers.reduce((sum, transfer) => (transfer.from === from ? sum + transfer.amount : sum), 0n);
        const { amount } = reserve(TERMS, 10n, 5, PARAMETERS);
        expect(taken(ESCROW) <= 98n + amount).to.equal(true);
        expect(taken("p") <= lockOf(TERMS, 10n, 5) + 12n).to.equal(true);
        // Two bonds for juries, that of its challenge, and a fine.
        expect(taken("v") <= TERMS.slashAmount + 2n * 168n + 6n + 12n).to.equal(true);
        for (const node of ["j0", "k6"]) expect(taken(node) <= TERMS.slashAmount).to.equal(true);
        expect(transfers.every((transfer) => transfer.amount > 0n)).to.equal(true);
      }),
      { numRuns: 2_000 },
    );
  });

  it("gives nothing of it to the requester", () => {
    fc.assert(
      fc.property(panel, (ended) => conclude(ended).transfers.every(({ to }) => to !== REQUESTER)),
      { numRuns: 500 },
    );
  });

  it("pays no member that told something else than what was ruled", () => {
    fc.assert(
      fc.property(panel, (ended) => {
        const { guilty, transfers } = conclude(ended);
        const ruling = effectiveRuling(ended.dispute!.rulings, 2);
        for (const [member, { node, opened: said }] of ended.members.entries()) {
          if (ruling === undefined || said === undefined || said === ruling) continue;
          expect(guilty).to.include(member);
          expect(transfers.some(({ from, to }) => from === ESCROW && to === node)).to.equal(false);
        }
      }),
      { numRuns: 500 },
    );
  });
});
