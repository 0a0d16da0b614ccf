import { existsSync } from "node:fs";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { Command, InvalidArgumentError, Option } from "commander";
import { runCommand, type CommandContext, type CommandResult } from "../agents/cli/run-command.ts";
import { runProgram } from "../agents/cli/run-program.ts";
import { SECTIONS, type SectionName, type Size } from "./section.ts";

/*
 * Measures what the project claims about itself, beside what people would use instead. docs/benchmarks.md says what.
 */

interface Options {
  quick?: boolean;
  only?: SectionName[];
  render?: boolean;
  seed: number;
  repetitions?: number;
  out: string;
  json?: boolean;
}

const root = fileURLToPath(new URL("..", import.meta.url));
const REPETITIONS: Record<Size, number> = { quick: 2, whole: 7 };

const program = new Command("npm run bench --")
  .description("Measures gas, overhead, speed and growth, and writes bench/results.json and bench/report.md.")
  .option("--quick", "a rougher picture in under three minutes")
  .addOption(new Option("--only <section...>", "measure these and keep what is known of the others").choices(SECTIONS))
  .option("--render", "measure nothing and write the report of what is known")
  .option("--seed <n>", "another seed draws other panels and liars", whole, 1)
  .option("--repetitions <n>", "how often what varies is measured (7, quick 2)", whole)
  .option("--out <folder>", "where results and report are written", join(root, "bench"))
  .option("--json", "end with one JSON object and print nothing else")
  .exitOverride()
  .configureOutput({ outputError: () => {} })
  .action(async (options: Options) => runCommand(options, (context) => bench(options, context)));

// Hardhat looks for its configuration where it is started.
process.chdir(root);
await runProgram(program, "See --help.");

async function bench(options: Options, { signal, say }: CommandContext): Promise<CommandResult> {
  // Loads Hardhat, which takes longer than to print help.
  const { machine, versions } = await import("./machine.ts");
  const { SECTION } = await import("./report.ts");
  const { seed, out } = options;
  const size = options.quick === true ? "quick" : "whole";
  const repetitions = options.repetitions ?? REPETITIONS[size];
  const results = await readResults(join(out, "results.json"));
  const wanted = options.render === true ? [] : (options.only ?? SECTIONS);
  for (const name of wanted) {
    const section = SECTION[name];
    const began = performance.now();
    const before = machine();
    const elapsed = (): number => (performance.now() - began) / 1000;
    const figures = await section.measure({
      size,
      seed,
      repetitions,
      signal,
      say: (line) => say(`${elapsed().toFixed(1).padStart(6)} s  ${line}`),
    });
    signal.throwIfAborted();
    results.sections[name] = {
      measuredAt: new Date().toISOString().replace(/\.\d+Z$/, "Z"),
      size,
      seed,
      repetitions,
      seconds: Math.round(elapsed()),
      machine: before,
      versions: versions(),
      figures,
    };
    // A later one may fail, or be stopped.
    await write(results, out);
  }
  if (wanted.length === 0) await write(results, out);
  return { json: { results }, text: `Wrote ${join(out, "report.md")} and results.json beside it.` };
}

async function write(results: import("./report.ts").Results, out: string): Promise<void> {
  const { reportOf } = await import("./report.ts");
  const report = reportOf(results);
  await rm(join(out, "plots"), { recursive: true, force: true });
  for (const [name, text] of [...report, ["results.json", `${JSON.stringify(results, null, 1)}\n`] as const]) {
    await mkdir(dirname(join(out, name)), { recursive: true });
    await writeFile(join(out, name), text);
  }
}

async function readResults(path: string): Promise<import("./report.ts").Results> {
  if (!existsSync(path)) return { sections: {} };
  return JSON.parse(await readFile(path, "utf8")) as import("./report.ts").Results;
}

function whole(text: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new InvalidArgumentError("Expected a whole number of at least 1.");
  return Number(text);
}
