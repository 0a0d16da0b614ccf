import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";

import { instrument, type Branch } from "./branches.ts";
import { prepareProject } from "./project.ts";
import { Suite } from "./suite.ts";
import { root } from "./syntax.ts";

/*
 * Tells which ways through the contracts no test takes: both sides of every condition, not only every statement.
 *
 *   npm run coverage                     what is missing, and the shares by file
 *   npm run coverage -- --at-least 98    fails below so many percent of the branches
 *
 * Counts the tests in TypeScript of what the contracts do. Everything stays in cache/coverage: the changed copy of the
 * project, and report.json.
 */

const { values: options } = parseArgs({ options: { "at-least": { type: "string", default: "0" } } });
const { branches, files } = instrument();
console.log(`${branches.length} ways through the contracts; compiling what tells them`);
const project = prepareProject("coverage", files);
console.log("running the tests");
const suite = new Suite(project, true);
const { told, hung } = await suite.run({ coinbase: `0x${"c0".repeat(20)}`, bail: false });
suite.stop();
const failed = told.filter(({ failure }) => failure !== undefined);
for (const { title, failure } of failed) console.error(`${title}: ${failure}`);
if (hung) throw new Error("the tests hang");

const taken = new Set(told.flatMap(({ reached = [] }) => reached.map((tag) => Number(BigInt(`0x${tag}`)))));
const missing = branches.filter(({ id }) => !taken.has(id));
console.log(`\nnot taken by ${told.length} tests, ${failed.length} of which failed`);
for (const { file, line, function: name, kind, text } of missing)
  console.log(`${file}:${line} ${name} ${kind} ${text}`);

const kinds: Branch["kind"][] = ["branch", "operand", "function"];
const share = (some: Branch[], kind: Branch["kind"]): string => {
  const all = some.filter((each) => each.kind === kind);
  const seen = all.filter(({ id }) => taken.has(id)).length;
  return all.length === 0 ? "-" : `${seen}/${all.length} ${((100 * seen) / all.length).toFixed(1)} %`;
};
console.log(`\n${"".padEnd(40)}${kinds.map((kind) => kind.padStart(18)).join("")}`);
for (const [name, some] of [...Map.groupBy(branches, ({ file }) => file), ["total", branches] as const]) {
  console.log(`${name.padEnd(40)}${kinds.map((kind) => share(some, kind).padStart(18)).join("")}`);
}
writeFileSync(
  join(root, "cache/coverage/report.json"),
  JSON.stringify({ branches: branches.length, missing }, undefined, 1),
);

const sides = branches.filter(({ kind }) => kind === "branch");
const percent = (100 * sides.filter(({ id }) => taken.has(id)).length) / sides.length;
if (percent < Number(options["at-least"])) {
  console.error(`${percent.toFixed(2)} % of the branches, where ${options["at-least"]} % are wanted`);
  process.exitCode = 1;
}
