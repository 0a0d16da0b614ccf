import { expect } from "chai";

import { fastLzLength } from "../../bench/gas/fast-lz.ts";
import { dollarsOf } from "../../bench/gas/money.ts";
import { spreadOf } from "../../bench/spread.ts";
import { number, percent, spread, tableOf } from "../../bench/table.ts";

describe("the length of what FastLZ makes", () => {
  it("is as the nodes of rollups have it", () => {
    expect(fastLzLength(new Uint8Array())).to.equal(0);
    expect(fastLzLength(Uint8Array.of(0xfa, 0xca, 0xde))).to.equal(4);
    expect(fastLzLength(new Uint8Array(1_000))).to.equal(21);
    expect(fastLzLength(new Uint8Array(1_000).fill(42))).to.equal(21);
  });

  it("grows with every byte that was not there before", () => {
    const lengths = Array.from({ length: 256 }, (_, count) =>
      fastLzLength(Uint8Array.from({ length: count }, (_, i) => i)),
    );
    for (const [count, length] of lengths.entries()) if (count > 0) expect(length).to.be.above(lengths[count - 1]!);
  });
});

describe("what gas costs in money", () => {
  it("is gas times its price, and on rollups the posted bytes", () => {
    expect(dollarsOf({ gas: 100_000, posted: 0 }, "L1")).to.be.closeTo(1.5, 1e-9);
    expect(dollarsOf({ gas: 100_000, posted: 0 }, "rollup with blobs")).to.be.closeTo(0.003, 1e-9);
    expect(dollarsOf({ gas: 0, posted: 100 }, "rollup without blobs")).to.be.closeTo(0.06, 1e-9);
    expect(dollarsOf({ gas: 0, posted: 130_044 }, "rollup with blobs")).to.be.closeTo(0.1229, 1e-3);
  });
});

describe("what several measurements came to", () => {
  it("is the middle one and the outermost", () => {
    expect(spreadOf([3, 1, 2])).to.deep.equal({ median: 2, least: 1, most: 3, count: 3 });
    expect(spreadOf([4, 1])).to.deep.equal({ median: 2.5, least: 1, most: 4, count: 2 });
    expect(() => spreadOf([])).to.throw(RangeError);
  });

  it("is told with its bounds where they are apart", () => {
    expect(spread(spreadOf([1_000, 1_000]))).to.equal("1,000");
    expect(spread(spreadOf([1_000, 3_000, 2_000]))).to.equal("2,000 (1,000–3,000)");
  });
});

describe("tables of the report", () => {
  it("keep three digits of small numbers and whole large ones", () => {
    expect([number(1234.6), number(99.444), number(0.12345)]).to.deep.equal(["1,235", "99.4", "0.123"]);
    expect([percent(0.0351), percent(-0.5, 0)]).to.deep.equal(["3.5 %", "−50 %"]);
  });

  it("do not break at a line within a cell", () => {
    expect(tableOf(["a", "b"], [["x|y", "1"]])).to.deep.equal(["| a | b |", "|---|--:|", "| x\\|y | 1 |"]);
  });
});
