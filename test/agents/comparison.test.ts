import { expect } from "chai";
import * as fc from "fast-check";
import { compare, type Comparison, type MemberResults } from "../../agents/requester/comparison.ts";
import { nodeAt } from "../support/market-history.ts";

/** Who says what of which tasks: each letter is a digest. */
function members(...words: string[]): MemberResults[] {
  return words.map((word, index) => ({
    member: index === 0 ? "primary" : { round: 0, seat: index - 1 },
    node: nodeAt(index),
    digests: new Map([...word].map((digest, task) => [task, digest])),
  }));
}

function compareWords(quorum: number, words: string[], known: Record<number, string> = {}): Comparison {
  const tasks = [...words[0]!].map((_, task) => task);
  return compare(
    members(...words),
    tasks,
    quorum,
    new Map(Object.entries(known).map(([at, said]) => [Number(at), said])),
  );
}

/** Whom a comparison accuses, as indices of the members, and by which task. */
function accused(comparison: Comparison): { by: number; odd: number[] } | undefined {
  if (comparison.kind !== "differ") return undefined;
  const odd = comparison.odd.map(({ member }) => (member === "primary" ? 0 : member.seat + 1));
  return { by: comparison.witness, odd };
}

describe("compare", () => {
  it("accuses nobody where all agree on all tasks", () => {
    expect(compareWords(3, ["xy", "xy", "xy"])).to.deep.equal({ kind: "agree" });
    expect(compareWords(3, ["xy"])).to.deep.equal({ kind: "agree" });
  });

  it("looks only at the tasks it is given", () => {
    expect(compare(members("xa", "xb", "xc"), [0], 3)).to.deep.equal({ kind: "agree" });
  });

  it("accuses the primary that two verifiers contradict, by the task that shows it", () => {
    expect(accused(compareWords(3, ["xyx", "xxx", "xxx"]))).to.deep.equal({ by: 1, odd: [0] });
  });

  it("accuses the seat that primary and other seat contradict", () => {
    const comparison = compareWords(3, ["xx", "xx", "xy"]);
    expect(accused(comparison)).to.deep.equal({ by: 1, odd: [2] });
    expect(comparison).to.have.nested.property("odd[0].node", nodeAt(2));
    expect(comparison).to.deep.nested.include({ "odd[0].member": { round: 0, seat: 1 } });
  });

  it("accuses at one task only, rather where the primary differs, then where most do, then the first", () => {
    expect(accused(compareWords(5, ["xyx", "xxx", "xxx", "xxx", "yxx"]))).to.deep.equal({ by: 1, odd: [0] });
    expect(accused(compareWords(5, ["xyx", "xyx", "yxx", "yxy", "xxx"]))).to.deep.equal({ by: 1, odd: [0, 1] });
    expect(accused(compareWords(5, ["xxx", "xxx", "yxx", "xyx", "xyx"]))).to.deep.equal({ by: 1, odd: [3, 4] });
    expect(accused(compareWords(3, ["xx", "xx", "yy"]))).to.deep.equal({ by: 0, odd: [2] });
  });

  it("accuses by a majority at one task, though none agrees on all", () => {
    expect(accused(compareWords(3, ["xx", "xy", "yx"]))).to.deep.equal({ by: 0, odd: [2] });
    // The task without a majority says nothing where another has one.
    expect(accused(compareWords(3, ["xx", "yx", "zy"]))).to.deep.equal({ by: 1, odd: [2] });
  });

  it("sees no majority in three different results, nor in two against two of five", () => {
    expect(compareWords(3, ["x", "y", "z"])).to.deep.equal({ kind: "no-majority", witness: 0 });
    expect(compareWords(5, ["x", "x", "y", "y", "z"]).kind).to.equal("no-majority");
  });

  it("wants a majority of the quorum, not of who answered", () => {
    expect(compareWords(5, ["x", "x", "y"]).kind).to.equal("no-majority");
    expect(accused(compareWords(5, ["x", "x", "x", "y"]))).to.deep.equal({ by: 0, odd: [3] });
    expect(compareWords(3, ["x", "y"]).kind).to.equal("no-majority");
  });

  it("names as witness of a missing majority the first task that has none", () => {
    expect(compareWords(3, ["xxx", "xyy", "xzz"])).to.deep.equal({ kind: "no-majority", witness: 1 });
  });

  it("accuses nobody who said what it found itself, whatever the others say, and needs no majority there", () => {
    expect(compareWords(3, ["x", "y", "y"], { 0: "x" })).to.deep.equal({ kind: "agree" });
    expect(compareWords(3, ["x", "y", "z"], { 0: "x" })).to.deep.equal({ kind: "agree" });
    expect(accused(compareWords(3, ["x", "x", "y"], { 0: "x" }))).to.deep.equal({ by: 0, odd: [2] });
    expect(accused(compareWords(3, ["xx", "yx", "yy"], { 0: "x" }))).to.deep.equal({ by: 1, odd: [2] });
  });

  describe("for all panels", () => {
    const digest = fc.constantFrom("x", "x", "x", "y", "z");
    const panel = fc
      .record({ quorum: fc.constantFrom(3, 5, 7), tasks: fc.integer({ min: 1, max: 4 }) })
      .chain(({ quorum, tasks }) =>
        fc.record({
          quorum: fc.constant(quorum),
          words: fc.array(
            fc.array(digest, { minLength: tasks, maxLength: tasks }).map((digests) => digests.join("")),
            { minLength: 2, maxLength: quorum },
          ),
          known: fc.dictionary(fc.constantFrom("0", "1"), digest),
          order: fc.infiniteStream(fc.nat()),
        }),
      );
    /** What a panel rules when it opens a task. */
    const rulingAt = (words: string[], quorum: number, task: number): string | undefined =>
      words
        .map((word) => word[task]!)
        .find((one) => words.filter((word) => word[task] === one).length >= (quorum + 1) / 2);

    it("does not depend on the order of the members", () => {
      fc.assert(
        fc.property(panel, ({ quorum, words, known, order }) => {
          const all = members(...words);
          const ranks = all.map((member) => ({ member, rank: order.next().value! }));
          const shuffled = ranks.sort((a, b) => a.rank - b.rank).map(({ member }) => member);
          const tasks = [...words[0]!].map((_, task) => task);
          const facts = new Map(Object.entries(known).map(([at, said]) => [Number(at), said]));
          const sorted = (comparison: Comparison): Comparison =>
            comparison.kind === "differ"
              ? { ...comparison, odd: comparison.odd.toSorted((a, b) => (a.node < b.node ? -1 : 1)) }
              : comparison;
          expect(sorted(compare(shuffled, tasks, quorum, facts))).to.deep.equal(
            sorted(compare(all, tasks, quorum, facts)),
          );
        }),
        { seed: 1, numRuns: 500 },
      );
    });

    it("accuses exactly those that the panel itself will convict when it opens the witness", () => {
      fc.assert(
        fc.property(panel, ({ quorum, words, known }) => {
          const comparison = compareWords(quorum, words, known);
          if (comparison.kind === "agree") return;
          const { witness } = comparison;
          const ruling = rulingAt(words, quorum, witness);
          if (comparison.kind === "no-majority") expect(ruling).to.equal(undefined);
          else {
            const convicted = words.flatMap((word, member) => (word[witness] === ruling ? [] : [member]));
            expect(convicted).to.not.have.lengthOf(0);
            expect(accused(comparison)!.odd).to.deep.equal(convicted);
            // The contract wants as many left.
            expect(words.length - convicted.length).to.be.at.least((quorum + 1) / 2);
          }
          if (known[witness] !== undefined) expect(ruling).to.equal(known[witness]);
        }),
        { seed: 2, numRuns: 1_000 },
      );
    });

    it("accuses wherever somebody can be convicted, and lets nobody off over a missing majority alone", () => {
      fc.assert(
        fc.property(panel, ({ quorum, words }) => {
          const { kind } = compareWords(quorum, words);
          const tasks = [...words[0]!].map((_, task) => task);
          const split = tasks.filter((task) => new Set(words.map((word) => word[task])).size > 1);
          const decided = split.filter((task) => rulingAt(words, quorum, task) !== undefined);
          const expected = split.length === 0 ? "agree" : decided.length > 0 ? "differ" : "no-majority";
          expect(kind).to.equal(expected);
        }),
        { seed: 3, numRuns: 1_000 },
      );
    });
  });
});
