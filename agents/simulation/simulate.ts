import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setImmediate as breathe } from "node:timers/promises";
import { Command, InvalidArgumentError } from "commander";
import { runCommand, type CommandContext, type CommandResult } from "../cli/run-command.ts";
import { runProgram } from "../cli/run-program.ts";
import { ReplayChain } from "./chain.ts";
import { measure } from "./measure.ts";
import { svgOf, type Plot } from "./plot.ts";
import { replay, requireEqual } from "./replay.ts";
import { curveOf, gainOf, linesOf, plotOf, regionPlot, tableOf, type MeasuredCurve, type Row } from "./report.ts";
import { sampleWorld } from "./sample.ts";
import { SCENARIOS, SWEEPS, type SweepName } from "./scenarios.ts";

/*
 * What honesty earns and what everything else costs: markets of thousands of nodes, played by the contracts' rules, and
 * a sample of them replayed on the contracts. docs/economics.md says what it means.
 */

interface Size {
  batches: number;
  nodes: number;
  replay: number;
}

interface Options extends Partial<Size> {
  seed: number;
  plots?: string;
  quick?: boolean;
  json?: boolean;
}

const FULL: Size = { batches: 100, nodes: 2_000, replay: 24 };
const QUICK: Size = { batches: 20, nodes: 500, replay: 6 };

const program = new Command("npm run simulate --")
  .description("Plays markets of honest and dishonest parties by the contracts' rules and tells what each gains.")
  .option("--seed <n>", "another seed gives another sample", whole, 1)
  .option("--batches <n>", "batches of each market (100, quick 20)", whole)
  .option("--nodes <n>", "compute nodes of each market, at least 250 (2000, quick 500)", whole)
  .option("--replay <n>", "histories to repeat on the real contracts (24, quick 6)", whole)
  .option("--quick", "a rougher picture in a fifth of the time")
  .option("--plots <folder>", "write the curves there as SVG")
  .option("--json", "end with one JSON object and print nothing else")
  .exitOverride()
  .configureOutput({ outputError: () => {} })
  .action(async (options: Options) => {
    const defaults = options.quick === true ? QUICK : FULL;
    await runCommand(options, (context) => simulate({ ...defaults, ...options }, context));
  });

await runProgram(program, "See --help.");

async function simulate(options: Options & Size, { signal, json, say }: CommandContext): Promise<CommandResult> {
  const began = performance.now();
  const step = (line: string): void => say(`${((performance.now() - began) / 1000).toFixed(1).padStart(5)} s  ${line}`);
  const { seed, batches, nodes } = options;
  const play = async (world: Parameters<typeof measure>[0]): Promise<ReturnType<typeof measure>> => {
    await breathe();
    signal.throwIfAborted();
    return measure({ seed, nodes, ...world }, batches);
  };

  const rows: Row[] = [];
  for (const scenario of SCENARIOS) {
    step(`${batches} batches: ${scenario.name}`);
    rows.push({ scenario, measured: await play(scenario.options) });
  }
  const sweeps = new Map<SweepName, MeasuredCurve[]>();
  for (const [name, { title, curves }] of Object.entries(SWEEPS)) {
    const measured: MeasuredCurve[] = [];
    for (const curve of curves) {
      step(`${curve.steps.length} × ${batches} batches: ${title.toLowerCase()}, ${curve.name}`);
      const points = [];
      for (const x of curve.steps) points.push({ x, y: gainOf(curve.about, await play(curve.at(x))) });
      measured.push(curveOf(curve.name, points));
    }
    sweeps.set(name as SweepName, measured);
  }
  const replayed = options.replay === 0 ? undefined : await replaySample(seed, options.replay, signal, step);
  if (options.plots !== undefined) {
    await mkdir(options.plots, { recursive: true });
    const plots = [...sweeps].map(([name, curves]): [string, Plot] => [name, plotOf(name, curves)]);
    for (const [name, plot] of [...plots, ["region", regionPlot()] as const]) {
      const file = join(options.plots, `economics-${name}.svg`);
      await writeFile(file, svgOf(plot));
      step(`wrote ${file}`);
    }
  }
  return {
    json: {
      seed,
      batches,
      nodes,
      markets: rows.map(({ scenario: { name, about }, measured }) => ({ name, about, ...measured })),
      curves: Object.fromEntries(sweeps),
      replayed: replayed ?? null,
    },
    text: json
      ? ""
      : [
          "",
          "Amounts in units of C, the cost of computing a task, for each task claimed or posted. Gain: compared with being",
          "honest. Caught: slashed of those checked (of all lies), false answers, or false exceptions paid for.",
          "",
          ...tableOf(rows),
          ...[...sweeps].flatMap(([name, curves]) => ["", ...linesOf(name, curves)]),
          "",
          replayed
            ? `${replayed.histories} histories of ${replayed.moves} moves replayed on the contracts: all ${replayed.balances} balances equal.`
            : "Nothing was replayed on the contracts.",
        ].join("\n"),
  };
}

/** Replays random small worlds until one differs, which throws. */
async function replaySample(
  seed: number,
  count: number,
  signal: AbortSignal,
  step: (line: string) => void,
): Promise<{ histories: number; moves: number; balances: number }> {
  step(`${count} random histories, replayed on the contracts`);
  const chain = await ReplayChain.start();
  const found = { histories: 0, moves: 0, balances: 0 };
  try {
    for (let i = 0; i < count; i += 1) {
      signal.throwIfAborted();
      const world = sampleWorld(seed * 1_000_003 + i);
      const result = await replay(chain, world);
      requireEqual(result, `history ${i + 1} (${JSON.stringify(world)})`);
      found.histories += 1;
      found.moves += result.history.moves.length;
      found.balances += result.compared;
    }
  } finally {
    await chain.close();
  }
  return found;
}

function whole(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError("Expected a whole number.");
  return Number(text);
}
