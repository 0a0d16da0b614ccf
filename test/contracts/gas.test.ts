import { readFileSync, writeFileSync } from "node:fs";
import { expect } from "chai";

import { PARTS, readCommitted, writeCommitted } from "../../bench/gas/committed.ts";
import { differencesOf, Recorder } from "../../bench/gas/figures.ts";
import { peerDoubts } from "../../bench/gas/peer-range.ts";
import { withGasTable } from "../../bench/gas/readme.ts";

const README = new URL("../../README.md", import.meta.url);

/*
 * Holds what a market's life costs against bench/gas.json. A figure that moved by more than 1 % fails, so that a change
 * that costs something shows it in its diff. SURETY_UPDATE_GAS=1 writes the file anew, and the README's table.
 */
describe("Gas", function () {
  this.timeout(300_000);

  const recorder = new Recorder();
  const { figures } = recorder;

  for (const { name, measure } of PARTS) it(name, () => measure(recorder));

  it("of the peer is what its own measured life gives, within 5 %", () => {
    expect(peerDoubts(figures["peer"]!)).to.deep.equal([]);
  });

  it("has not moved by more than 1 % from what is committed", () => {
    if (process.env["SURETY_UPDATE_GAS"] === "1") {
      writeCommitted(figures);
      writeFileSync(README, withGasTable(readFileSync(README, "utf8"), figures));
    }
    expect(differencesOf(readCommitted(), figures)).to.deep.equal([]);
  });

  it("names each figure that moved, came or went", () => {
    const committed = { steps: { claim: 100_000, submit: 40_000, gone: 1 } };
    const measured = { steps: { claim: 101_001, submit: 40_399, come: 2 } };
    expect(differencesOf(committed, measured)).to.deep.equal([
      "steps, claim: 100000 -> 101001 (+1.0 %)",
      "steps, gone: 1 -> none",
      "steps, come: none -> 2",
    ]);
  });
});
