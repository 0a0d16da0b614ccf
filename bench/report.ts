import { svgOf } from "../agents/simulation/plot.ts";
import { gas } from "./gas.ts";
import { growth } from "./growth.ts";
import type { Machine } from "./machine.ts";
import { market } from "./market.ts";
import { overhead } from "./overhead.ts";
import { speed } from "./speed.ts";
import { SECTIONS, type Rendered, type Section, type SectionName, type Size, type Target } from "./section.ts";
import { tableOf } from "./table.ts";

/** How each section is measured and told. */
export const SECTION: Record<SectionName, Section<unknown>> = { gas, overhead, market, speed, growth };

/** One section's figures, and what they were measured with. */
export interface SectionResults {
  /** When it was over, in UTC. */
  measuredAt: string;
  size: Size;
  seed: number;
  repetitions: number;
  seconds: number;
  machine: Machine;
  versions: Record<string, string>;
  figures: unknown;
}

/** All there is of bench/results.json. */
export interface Results {
  sections: Partial<Record<SectionName, SectionResults>>;
}

/** The report's files by name: `report.md` and its plots. */
export function reportOf(results: Results): Map<string, string> {
  const files = new Map<string, string>();
  const parts: string[] = [];
  const targets: Target[] = [];
  for (const name of SECTIONS) {
    const section = SECTION[name];
    const measured = results.sections[name];
    if (!measured) continue;
    const rendered: Rendered = section.render(measured.figures);
    for (const [file, plot] of Object.entries(rendered.plots)) files.set(`plots/${file}`, svgOf(plot));
    parts.push("", `## ${section.title}`, "", provenanceOf(measured), "", ...rendered.text);
    targets.push(...rendered.targets);
  }
  const head = [
    "# Benchmark report",
    "",
    "Written by `npm run bench` from [`results.json`](results.json), which has every raw figure;",
    "[docs/benchmarks.md](../docs/benchmarks.md) says what is measured and how. Where several runs differ, the median is",
    "given with the least and the most in parentheses.",
    "",
    "## Targets",
    "",
    ...targetsOf(targets),
  ];
  files.set("report.md", `${[...head, ...parts].join("\n")}\n`);
  return files;
}

function targetsOf(targets: readonly Target[]): string[] {
  const missed = targets.filter(({ outcome }) => outcome === "missed");
  const rows = targets.map(({ what, target, measured, outcome }) => [what, target, measured, outcome]);
  const reasons = missed.map(({ what, why = "" }) => `- **${what}**: ${why}`);
  const told = reasons.length === 0 ? [] : ["", "Missed:", "", ...reasons];
  return [...tableOf(["what", "target", "measured", ""], rows), ...told];
}

function provenanceOf({ measuredAt, size, seed, repetitions, seconds, machine, versions }: SectionResults): string {
  const { processor, processors, memory, system, load } = machine;
  const programs = Object.entries(versions)
    .map(([name, version]) => `${name} ${version}`)
    .join(", ");
  return (
    `*Measured ${measuredAt} (${size}, seed ${seed}, ${repetitions} repetitions, ${Math.round(seconds)} s) on ` +
    `${processors} × ${processor}, ${memory} GiB, ${system}, load ${load} before; ${programs}.*`
  );
}
