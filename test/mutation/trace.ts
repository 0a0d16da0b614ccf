import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { prepareProject, USUAL } from "./project.ts";
import { BASE, Suite } from "./suite.ts";
import { root } from "./syntax.ts";
import { instrument, type Way } from "./ways.ts";

/** Which ways the tests take. */
export interface Trace {
  ways: Way[];
  tests: Traced[];
  /** The same of what {@link BASE} does before most of them. */
  base: number[];
}

export interface Traced {
  title: string;
  milliseconds: number;
  failure?: string;
  reached: number[];
}

/** Runs all tests once on contracts that tell which way they take, or remembers what they told the last time. */
export async function traceTests(): Promise<Trace> {
  const { ways, files } = instrument();
  console.log(`compiling contracts that tell which of ${ways.length} ways they take`);
  const project = prepareProject("coverage", files, USUAL);
  const { contractsHash, testsHash } = project;
  const path = join(root, "cache/coverage/trace.json");
  if (existsSync(path)) {
    const known = JSON.parse(readFileSync(path, "utf8")) as Trace & { contractsHash: string; testsHash: string };
    if (known.contractsHash === contractsHash && known.testsHash === testsHash)
      return { ways, tests: known.tests, base: known.base };
  }
  console.log("finding out which tests take which");
  const suite = new Suite(project, true);
  let count = 0;
  const { told, hung } = await suite.run({ coinbase: `0x${"c0".repeat(20)}`, bail: false }, () => {
    count += 1;
    if (count % 50 === 0) console.log(`${count} tests`);
  });
  suite.stop();
  if (hung) throw new Error("the tests hang");
  const all = told.map(({ reached = [], ...test }): Traced => {
    return { ...test, reached: reached.map((tag) => Number(BigInt(`0x${tag}`))) };
  });
  const base = all.find(({ title }) => title === BASE)?.reached ?? ways.map(({ id }) => id);
  const tests = all.filter(({ title }) => title !== BASE);
  for (const { title, failure } of tests) if (failure !== undefined) console.error(`${title}: ${failure}`);
  writeFileSync(path, JSON.stringify({ contractsHash, testsHash, tests, base }));
  return { ways, tests, base };
}
