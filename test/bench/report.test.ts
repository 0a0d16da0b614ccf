import { readFileSync } from "node:fs";
import { expect } from "chai";

import { reportOf, type Results } from "../../bench/report.ts";

const read = (path: string): string => readFileSync(new URL(`../../bench/${path}`, import.meta.url), "utf8");

describe("the report of the benchmarks", () => {
  it("is what the committed results give, plots included: npm run bench -- --render", () => {
    const results = JSON.parse(read("results.json")) as Results;
    const files = [...reportOf(results)];
    expect(files.map(([name]) => name)).to.include.members(["report.md", "plots/gas-tasks.svg"]);
    for (const [name, text] of files) expect(read(name), name).to.equal(text);
  });
});
