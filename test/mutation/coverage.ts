import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";

import { root } from "./syntax.ts";
import { traceTests } from "./trace.ts";
import type { Way } from "./ways.ts";

/*
 * Tells which ways through the contracts no test takes: both sides of every condition, not only every statement.
 *
 *   npm run coverage                     what is missing, and the shares by file
 *   npm run coverage -- --at-least 98    fails below so many percent of the ways
 *
 * Counts the tests in TypeScript of what the contracts do. Everything stays in cache/coverage: the changed copy of the
 * project, and report.json.
 */

const { values: options } = parseArgs({ options: { "at-least": { type: "string", default: "0" } } });
const { ways, tests } = await traceTests();
const failed = tests.filter(({ failure }) => failure !== undefined).length;

const taken = new Set(tests.flatMap(({ reached }) => reached));
const missing = ways.filter(({ id }) => !taken.has(id));
console.log(`\nnot taken by ${tests.length} tests, ${failed} of which failed`);
for (const { file, line, function: name, kind, text } of missing)
  console.log(`${file}:${line} ${name} ${kind} ${text}`);

const kinds: Way["kind"][] = ["branch", "operand", "function"];
const share = (some: Way[], kind: Way["kind"]): string => {
  const all = some.filter((each) => each.kind === kind);
  const seen = all.filter(({ id }) => taken.has(id)).length;
  return all.length === 0 ? "-" : `${seen}/${all.length} ${((100 * seen) / all.length).toFixed(1)} %`;
};
console.log(`\n${"".padEnd(40)}${kinds.map((kind) => kind.padStart(18)).join("")}`);
for (const [name, some] of [...Map.groupBy(ways, ({ file }) => file), ["total", ways] as const]) {
  console.log(`${name.padEnd(40)}${kinds.map((kind) => share(some, kind).padStart(18)).join("")}`);
}
writeFileSync(join(root, "cache/coverage/report.json"), JSON.stringify({ ways: ways.length, missing }, undefined, 1));

const sides = ways.filter(({ kind }) => kind === "branch");
const percent = (100 * sides.filter(({ id }) => taken.has(id)).length) / sides.length;
if (percent < Number(options["at-least"])) {
  console.error(`${percent.toFixed(2)} % of the ways, where ${options["at-least"]} % are wanted`);
  process.exitCode = 1;
}
