import { readFileSync } from "node:fs";
import { expect } from "chai";

import type { Figures } from "../../bench/gas/figures.ts";
import { withGasTable } from "../../bench/gas/readme.ts";

const read = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), "utf8");

describe("the README's table of gas", () => {
  const committed = JSON.parse(read("bench/gas.json")) as Figures;

  it("has the committed figures", () => {
    const readme = read("README.md");
    expect(readme).to.equal(withGasTable(readme, committed));
  });

  it("would not if a figure were another", () => {
    const readme = read("README.md");
    const perTask = { ...committed["perTask"], "1 task, unsampled, job known": 400_000 };
    expect(withGasTable(readme, { ...committed, perTask })).to.not.equal(readme);
  });
});
