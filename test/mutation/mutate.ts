import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";

import { Random } from "../support/random.ts";
import { COINBASE, generate, type Mutant } from "./mutants.ts";
import { HASTY, prepareProject } from "./project.ts";
import { Suite } from "./suite.ts";
import { root } from "./syntax.ts";
import { traceTests, type Trace } from "./trace.ts";

/*
 * Changes the contracts in thousands of small ways, one at a time, and tells which changes no test notices.
 *
 *   npm run mutate                                     every mutant: hours
 *   npm run mutate -- --sample 300 --seed 7            300 of them, drawn at random
 *   npm run mutate -- --only Vault.sol --only Clock    those of some files, by a part of their path
 *   npm run mutate -- --resume                         goes on: keeps what is known of mutants that are still there, but
 *                                                      runs survivors again where contracts or tests have changed
 *   npm run mutate -- --seconds 600                    gives each mutant up to so long, not 60 seconds, by what the tests
 *                                                      that reach it took without it
 *   npm run mutate -- --list                           only names them
 *
 * All mutants are compiled into one copy of the contracts, each behind a switch: a test chain's coinbase says which one
 * is on. So there is one compilation, of some minutes, and each mutant costs only those tests that take a way on which it
 * makes a difference, until one fails. Everything stays in cache/mutation: the copy, results.json, report.json.
 */

type Status = "killed" | "hung" | "survived" | "unreached";

interface Result {
  status: Status;
  /** The test that noticed. */
  by?: string;
  failure?: string;
  milliseconds: number;
}

interface Results {
  contractsHash: string;
  testsHash: string;
  /** By key of the mutant. */
  results: Record<string, Result>;
}

const folder = join(root, "cache/mutation");

const { values: options } = parseArgs({
  options: {
    seed: { type: "string", default: "1" },
    sample: { type: "string" },
    seconds: { type: "string", default: "60" },
    only: { type: "string", multiple: true, default: [] },
    resume: { type: "boolean", default: false },
    list: { type: "boolean", default: false },
  },
});

const reasons = readEquivalent();
const { mutants, files, refused } = generate();
const wanted = mutants.filter(
  ({ file }) => options.only.length === 0 || options.only.some((part) => file.includes(part)),
);
const drawn = shuffled(wanted, Number(options.seed)).slice(0, Number(options.sample ?? wanted.length));
console.log(`${mutants.length} mutants, ${refused} more do not compile; ${drawn.length} wanted`);

if (options.list) {
  for (const { line, key } of wanted) console.log(`${String(line).padStart(4)} ${key}`);
} else {
  mkdirSync(folder, { recursive: true });
  const results = await runAll(drawn);
  report(drawn, results);
}

async function runAll(chosen: Mutant[]): Promise<Record<string, Result>> {
  const trace = await traceTests();
  const failing = trace.tests.filter(({ failure }) => failure !== undefined).length;
  if (failing > 0) console.error(`${failing} tests fail although no mutant is on, and are left out`);
  console.log("compiling the contracts with all mutants in them");
  const project = prepareProject("mutation", files, HASTY);
  const { contractsHash, testsHash } = project;
  const path = join(folder, "results.json");
  const known = options.resume && existsSync(path) ? (JSON.parse(readFileSync(path, "utf8")) as Results) : undefined;
  const results = known?.results ?? {};
  if (known && (known.contractsHash !== contractsHash || known.testsHash !== testsHash)) {
    for (const [key, { status }] of Object.entries(results)) {
      if (status === "survived" || status === "unreached") delete results[key];
    }
  }

  const suite = new Suite(project, false);
  const open = chosen.filter(({ key }) => results[key] === undefined);
  for (const [done, mutant] of open.entries()) {
    const only = testsOf(mutant, trace);
    const began = performance.now();
    let result: Result = { status: "unreached", milliseconds: 0 };
    if (only.length > 0) {
      const coinbase = address(COINBASE + BigInt(mutant.id));
      const base = !trace.ways.some(({ id, name }) => mutant.after.includes(name) && trace.base.includes(id));
      const { told, hung } = await suite.run({ coinbase, base, only, bail: true });
      const failed = told.find(({ failure }) => failure !== undefined);
      const status = failed ? "killed" : hung ? "hung" : "survived";
      const milliseconds = Math.round(performance.now() - began);
      result = { status, milliseconds, ...(failed && { by: failed.title, failure: failed.failure }) };
    }
    results[mutant.key] = result;
    writeFileSync(path, JSON.stringify({ contractsHash, testsHash, results }, undefined, 1));
    const { file, line, operator, original, mutated } = mutant;
    console.log(
      `${done + 1}/${open.length} ${result.status} ${file}:${line} ${operator}: ${original} -> ${mutated} (${result.milliseconds} ms)`,
    );
  }
  suite.stop();
  return results;
}

/**
 * Titles of the tests that take one of the ways on which a mutant makes a difference: as many as fit the time, the quick
 * ones first.
 */
function testsOf({ after }: Mutant, { ways, tests }: Trace): string[] {
  const ids = ways.filter(({ name }) => after.includes(name)).map(({ id }) => id);
  let left = Number(options.seconds) * 1_000;
  return tests
    .filter(({ failure, reached }) => failure === undefined && ids.some((id) => reached.includes(id)))
    .sort((a, b) => a.milliseconds - b.milliseconds)
    .filter(({ milliseconds }, place) => place === 0 || (left -= milliseconds) > 0)
    .map(({ title }) => title);
}

function report(chosen: Mutant[], results: Record<string, Result>): void {
  const entries = chosen.flatMap((mutant) => {
    const result = results[mutant.key];
    if (result === undefined) return [];
    const reason = reasons.get(mutant.key);
    const noticed = result.status === "killed" || result.status === "hung";
    return [{ ...mutant, ...result, noticed, ...(noticed || reason === undefined ? {} : { equivalent: reason }) }];
  });
  type Entry = (typeof entries)[number];
  const row = (name: string, some: Entry[]) => ({
    name,
    mutants: some.length,
    killed: some.filter(({ noticed }) => noticed).length,
    equivalent: some.filter(({ equivalent }) => equivalent !== undefined).length,
  });
  type Row = ReturnType<typeof row>;
  const score = ({ mutants: all, killed, equivalent }: Row): string =>
    all === equivalent ? "-" : `${((100 * killed) / (all - equivalent)).toFixed(1)} %`;
  const rowsBy = (nameOf: (entry: Entry) => string): Row[] =>
    [...Map.groupBy(entries, nameOf)].map(([name, some]) => row(name, some)).sort((a, b) => (a.name < b.name ? -1 : 1));
  const table = (title: string, rows: Row[]): void => {
    console.log(`\n${title.padEnd(40)} mutants  killed  equivalent    score`);
    for (const each of rows) {
      const { name, mutants: all, killed, equivalent } = each;
      console.log(
        `${name.padEnd(40)} ${String(all).padStart(7)} ${String(killed).padStart(7)} ${String(equivalent).padStart(11)} ${score(each).padStart(8)}`,
      );
    }
  };
  const survivors = entries.filter(({ noticed, equivalent }) => !noticed && equivalent === undefined);
  console.log("\nsurvivors");
  for (const { file, line, operator, original, mutated, status } of survivors) {
    console.log(
      `${file}:${line} ${operator}: ${original} -> ${mutated}${status === "unreached" ? " (unreached)" : ""}`,
    );
  }
  const byFile = rowsBy(({ file }) => file);
  const byOperator = rowsBy(({ operator }) => operator);
  const total = row(`total, seed ${options.seed}`, entries);
  table("by operator", byOperator);
  table("by file", [...byFile, total]);
  writeFileSync(
    join(folder, "report.json"),
    JSON.stringify({ seed: Number(options.seed), total, byFile, byOperator, survivors }, undefined, 1),
  );
}

/** Why some mutants change nothing that anybody could see, by key. */
function readEquivalent(): Map<string, string> {
  const groups = JSON.parse(readFileSync(new URL("equivalent.json", import.meta.url), "utf8")) as {
    reason: string;
    mutants: string[];
  }[];
  return new Map(groups.flatMap(({ reason, mutants: keys }) => keys.map((key) => [key, reason] as const)));
}

/** In an order that only the seed decides, so that the first of them are a fair sample. */
function shuffled(all: Mutant[], seed: number): Mutant[] {
  const random = new Random(seed);
  const order = [...all];
  for (let i = order.length - 1; i > 0; i -= 1) {
    const j = random.below(i + 1);
    [order[i], order[j]] = [order[j]!, order[i]!];
  }
  return order;
}

function address(value: bigint): string {
  return `0x${value.toString(16).padStart(40, "0")}`;
}
