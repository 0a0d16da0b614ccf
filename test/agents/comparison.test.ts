import { expect } from "chai";
import * as fc from "fast-check";
import { compare, type Comparison, type MemberResults } from "../../agents/requester/comparison.ts";
import { nodeAt } from "../support/market-history.ts";

/** Who says what of which tasks: `x` and `y` are digests, `-` is none. */
function members(...words: string[]): MemberResults[] {
  return words.map((word, index) => ({
    member: index === 0 ? "primary" : { round: 0, seat: index - 1 },
    node: nodeAt(index),
    digests: new Map([...word].flatMap((digest, task) => (digest === "-" ? [] : [[task, digest] as const]))),
  }));
}

function compareWords(quorum: number, ...words: string[]): Comparison {
  return compare(
    members(...words),
    [...words[0]!].map((_, task) => task),
    quorum,
  );
}

/** Whom a comparison accuses, as indices of the members, and by which task. */
function accused(comparison: Comparison): [number, number][] {
  if (comparison.kind !== "differ") return [];
  return comparison.odd.map(({ member, witness }) => [member === "primary" ? 0 : member.seat + 1, witness]);
}

describe("compare", () => {
  it("accuses nobody where all agree on all tasks", () => {
    expect(compareWords(3, "xy", "xy", "xy")).to.deep.equal({ kind: "agree" });
  });

  it("looks only at the tasks it is given", () => {
    expect(compare(members("xa", "xb", "xc"), [0], 3)).to.deep.equal({ kind: "agree" });
  });

  it("accuses the primary that two verifiers contradict, by the task that shows it", () => {
    expect(accused(compareWords(3, "xyx", "xxx", "xxx"))).to.deep.equal([[0, 1]]);
  });

  it("accuses the seat that primary and other seat contradict", () => {
    const comparison = compareWords(3, "xx", "xx", "xy");
    expect(accused(comparison)).to.deep.equal([[2, 1]]);
    expect(comparison).to.have.nested.property("odd[0].node", nodeAt(2));
    expect(comparison).to.deep.nested.include({ "odd[0].member": { round: 0, seat: 1 } });
  });

  it("accuses every odd member of five, each by its own task", () => {
    expect(accused(compareWords(5, "xyx", "xxx", "xxx", "xxx", "yxx"))).to.deep.equal([
      [0, 1],
      [4, 0],
    ]);
  });

  it("sees no majority in three different results, nor in two against two of five", () => {
    expect(compareWords(3, "x", "y", "z").kind).to.equal("no-majority");
    expect(compareWords(5, "x", "x", "y", "y", "z").kind).to.equal("no-majority");
  });

  it("wants a majority of the quorum, not of who answered", () => {
    expect(compareWords(5, "x", "x", "y").kind).to.equal("no-majority");
    expect(compareWords(5, "x", "x", "x", "y").kind).to.equal("differ");
    expect(compareWords(3, "x", "y").kind).to.equal("no-majority");
  });

  it("counts what is missing as different from everything, also from what others lack", () => {
    expect(accused(compareWords(3, "xx", "x-", "xx"))).to.deep.equal([[1, 1]]);
    expect(compareWords(3, "-", "-", "-").kind).to.equal("no-majority");
    expect(accused(compareWords(5, "-", "-", "x", "x", "x"))).to.deep.equal([
      [0, 0],
      [1, 0],
    ]);
  });

  it("names as witness of a missing majority a task that has none, where there is one", () => {
    expect(compareWords(3, "xx", "xy", "xz")).to.deep.equal({ kind: "no-majority", witness: 1 });
    // Two agree on the first task, other two on the second: only all together is no majority to be had.
    expect(compareWords(3, "xx", "xy", "yx")).to.deep.equal({ kind: "no-majority", witness: 0 });
  });

  describe("for all panels", () => {
    const digest = fc.constantFrom("x", "x", "x", "y", "z", "-");
    const panel = fc
      .record({ quorum: fc.constantFrom(3, 5, 7), tasks: fc.integer({ min: 1, max: 4 }) })
      .chain(({ quorum, tasks }) =>
        fc.record({
          quorum: fc.constant(quorum),
          words: fc.array(fc.array(digest, { minLength: tasks, maxLength: tasks }), {
            minLength: 2,
            maxLength: quorum,
          }),
          order: fc.infiniteStream(fc.nat()),
        }),
      );
    const tasksOf = (words: string[][]): number[] => words[0]!.map((_, task) => task);

    it("does not depend on the order of the members", () => {
      fc.assert(
        fc.property(panel, ({ quorum, words, order }) => {
          const all = members(...words.map((word) => word.join("")));
          const ranks = all.map((member) => ({ member, rank: order.next().value! }));
          const shuffled = ranks.sort((a, b) => a.rank - b.rank).map(({ member }) => member);
          const tasks = tasksOf(words);
          const sorted = (comparison: Comparison): Comparison =>
            comparison.kind === "differ"
              ? { ...comparison, odd: comparison.odd.toSorted((a, b) => (a.node < b.node ? -1 : 1)) }
              : comparison;
          expect(sorted(compare(shuffled, tasks, quorum))).to.deep.equal(sorted(compare(all, tasks, quorum)));
        }),
        { seed: 1, numRuns: 500 },
      );
    });

    it("never accuses who agrees with a majority of the quorum, and always whom such a majority contradicts", () => {
      fc.assert(
        fc.property(panel, ({ quorum, words }) => {
          const comparison = compare(members(...words.map((word) => word.join(""))), tasksOf(words), quorum);
          const guilty = new Set(accused(comparison).map(([member]) => member));
          const likeness = words.map((word, index) =>
            word.includes("-")
              ? 1
              : words.filter((other, place) => place === index || other.join() === word.join()).length,
          );
          const majority = (quorum + 1) / 2;
          const decided = Math.max(...likeness) >= majority;
          words.forEach((_, index) => expect(guilty.has(index)).to.equal(decided && likeness[index]! < majority));
        }),
        { seed: 2, numRuns: 500 },
      );
    });

    it("leaves as many unaccused as the contract wants, and shows a task on which they differ", () => {
      fc.assert(
        fc.property(panel, ({ quorum, words }) => {
          const comparison = compare(members(...words.map((word) => word.join(""))), tasksOf(words), quorum);
          const odd = accused(comparison);
          if (comparison.kind === "differ") expect(words.length - odd.length).to.be.at.least((quorum + 1) / 2);
          const right = words.findIndex((_, index) => !odd.some(([member]) => member === index));
          for (const [member, witness] of odd) {
            expect(words[member]![witness] === "-" || words[member]![witness] !== words[right]![witness]).to.equal(
              true,
            );
          }
          if (comparison.kind === "no-majority") {
            const said = words.map((word) => word[comparison.witness]);
            expect(said.includes("-") || new Set(said).size > 1).to.equal(true);
          }
        }),
        { seed: 3, numRuns: 500 },
      );
    });
  });

  it("takes no digest for what stands for a missing one", () => {
    const [first, second] = members("0", "-") as [MemberResults, MemberResults];
    expect(compare([second, first], [0], 3).kind).to.equal("no-majority");
  });
});
