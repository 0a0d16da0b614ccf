import { spawn } from "node:child_process";
import { existsSync, globSync } from "node:fs";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

/*
 * Runs every suite, each in a process of its own, and sums up.
 *
 *   npm test                 all of them
 *   npm test -- sdk cli      some of them
 *
 * SURETY_REQUIRE names what the tests must find here and not skip for want of, such as `kubo,go`.
 */

interface Suite {
  name: string;
  about: string;
  /** Arguments of Node. */
  command: string[];
  /** Its test files; a suite without any is left out. */
  files: string;
  /** How its totals look, one capture for the number. */
  totals: Record<keyof Counts, RegExp>;
}

interface Counts {
  passed: number;
  failed: number;
  skipped: number;
}

interface Outcome {
  counts: Counts;
  /** What the suite told of its failed tests, a line each. */
  failures: string[];
}

const root = fileURLToPath(new URL("..", import.meta.url));
const bin = (path: string): string => fileURLToPath(new URL(`../node_modules/${path}`, import.meta.url));

/** Hardhat sums up its runners at the end, at the start of a line; mocha indents. */
const hardhatTotals = { passed: /^(\d+) passing/, failed: /^(\d+) failing/, skipped: /^(\d+) skipped/ };
const mochaTotals = { passed: /^ {2}(\d+) passing/, failed: /^ {2}(\d+) failing/, skipped: /^ {2}(\d+) pending/ };

/** From here on a runner tells of its failed tests. Hardhat's runners do, each by itself, before it sums them up. */
const failing = /^ *\d+ failing( \(|$)/;

const suites: Suite[] = [
  {
    name: "contracts",
    about: "the contracts: fuzz and invariants in Solidity, behaviour and twins in TypeScript",
    command: [bin("hardhat/dist/src/cli.js"), "test"],
    files: "test/contracts/*.test.ts",
    totals: hardhatTotals,
  },
  mocha("sdk", "the SDK"),
  mocha("executor", "the sandbox"),
  mocha("hostile", "strangers' programs, documents and images that mean harm", 240_000),
  mocha("agents", "the agents' parts and decisions"),
  mocha("examples", "the example programs"),
  mocha("bench", "what the benchmarks reckon with"),
  mocha("cli", "the command line"),
  mocha("flows", "whole markets, in processes of their own", 900_000),
  mocha("soak", "whole markets under random faults: the beginning of `npm run soak`", 900_000),
];

function mocha(name: string, about: string, timeout = 60_000): Suite {
  const files = `test/${name}/*.test.ts`;
  return {
    name,
    about,
    command: [bin("mocha/bin/mocha.js"), "--timeout", String(timeout), files],
    files,
    totals: mochaTotals,
  };
}

const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => !suites.some((suite) => suite.name === name));
if (unknown.length > 0) {
  console.error(
    `error SUITE_UNKNOWN: there is no suite ${unknown.join(", ")}\nfix: Take some of ${suites.map(({ name }) => name).join(", ")}.`,
  );
  process.exit(2);
}

const rows: (Outcome & { name: string; seconds: number })[] = [];
for (const suite of suites) {
  if (wanted.length > 0 && !wanted.includes(suite.name)) continue;
  if (globSync(suite.files, { cwd: root }).length === 0) continue;
  console.log(`\n== ${suite.name}: ${suite.about}\n`);
  const started = performance.now();
  rows.push({ name: suite.name, ...(await run(suite)), seconds: (performance.now() - started) / 1000 });
}

// Told once more where a reader of a long log looks first, and where a log that was cut still has it.
for (const { name, counts, failures } of rows)
  if (counts.failed > 0) console.log(`\n== what failed in ${name}\n\n${failures.join("\n").trimEnd()}`);

console.log("");
for (const { name, counts, seconds } of rows)
  console.log(`${name.padEnd(10)} ${summary(counts)} (${seconds.toFixed(0)} s)`);
const total = rows.reduce<Counts>(
  (sum, { counts }) => ({
    passed: sum.passed + counts.passed,
    failed: sum.failed + counts.failed,
    skipped: sum.skipped + counts.skipped,
  }),
  { passed: 0, failed: 0, skipped: 0 },
);
console.log(summary(total));
process.exitCode = total.failed > 0 ? 1 : 0;

function summary({ passed, failed, skipped }: Counts): string {
  return `${passed} passed, ${failed} failed, ${skipped} skipped`;
}

/** Runs a suite, showing what it prints. One that ends badly without a failed test counts as one. */
async function run({ command, totals }: Suite): Promise<Outcome> {
  const [script = "", ...args] = command;
  if (!existsSync(script)) throw new Error(`${script} is not installed`);
  const child = spawn(process.execPath, ["--disable-warning=ExperimentalWarning", script, ...args], {
    cwd: root,
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...process.env, HARDHAT_DISABLE_TELEMETRY_PROMPT: "true" },
  });
  const counts: Counts = { passed: 0, failed: 0, skipped: 0 };
  const failures: string[] = [];
  let isTelling = false;
  const ended = new Promise<number>((resolve) => child.once("close", (code) => resolve(code ?? 1)));
  for await (const line of createInterface({ input: child.stdout })) {
    console.log(line);
    // Colours are off where output is not a terminal's, but a setting can force them.
    const plain = line.replaceAll(/\u001b\[[0-9;]*m/g, "");
    for (const [name, pattern] of Object.entries(totals) as [keyof Counts, RegExp][]) {
      const found = pattern.exec(plain);
      if (found) counts[name] = Number(found[1]);
    }
    isTelling ||= failing.test(plain);
    if (isTelling) failures.push(plain);
  }
  const status = await ended;
  if (counts.failed === 0 && (status !== 0 || counts.passed + counts.skipped === 0)) {
    counts.failed = 1;
    failures.push(`It ended with status ${status}, and told of no failed test.`);
  }
  return { counts, failures };
}
