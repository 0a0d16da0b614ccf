import { runPlain, type Checking, type PlainRun } from "./overhead/job.ts";
import type { MarketRuns, MarketShape } from "./overhead/market.ts";
import { simulate, type SimulatedPoint } from "./overhead/simulation.ts";
import type { Section, Target } from "./section.ts";
import { spreadOf, type Spread } from "./spread.ts";
import { number, percent, tableOf } from "./table.ts";

/** What everybody executes for a job, beside the same job run once in one process. */
export interface OverheadFigures {
  plain: PlainRun;
  markets: MarketRuns[];
  simulated: SimulatedPoint[];
}

const HONEST: MarketShape = { nodes: 6, liars: 0, lazy: 0 };
const MIXED: MarketShape = { nodes: 8, liars: 1, lazy: 1 };
const USUAL: Checking = { mode: "sampled", rate: "3%", checking: "adaptive" };

/** Markets and the jobs on them, one after the other. */
const PLANS: Record<"quick" | "whole", [MarketShape, Checking[]][]> = {
  quick: [[HONEST, [USUAL]]],
  whole: [
    [
      HONEST,
      [
        USUAL,
        { mode: "sampled", rate: "3%", checking: "fixed" },
        { mode: "sampled", rate: "3%", checking: "adaptive", plant: "2%" },
        { mode: "replicated" },
      ],
    ],
    [MIXED, [{ mode: "sampled", rate: "25%", checking: "adaptive" }]],
  ],
};

/** Share of the work that may be done again at 3 % among honest nodes. */
const EXTRA_WORK = 0.035;
/** MB of an agent at rest. */
const IDLE_MEMORY = 120;

export const overhead: Section<OverheadFigures> = {
  title: "Overhead",

  async measure(options) {
    // Brings a chain along, which rendering does without.
    const { runOnMarket } = await import("./overhead/market.ts");
    const simulated = await simulate(options);
    options.say("the job in one process");
    const plain = await runPlain(options);
    const markets: MarketRuns[] = [];
    for (const [market, checkings] of PLANS[options.size]) markets.push(await runOnMarket(market, checkings, options));
    return { plain, markets, simulated };
  },

  render(figures) {
    return {
      text: [...realText(figures), ...simulatedText(figures), ...restText(figures)],
      plots: { "overhead.svg": plot(figures) },
      targets: targetsOf(figures),
    };
  },
};

// --- Real agents -----------------------------------------------------------------------------------------------------

function realText({ plain, markets }: OverheadFigures): string[] {
  const rows = markets.flatMap(({ market, runs, idle }) =>
    runs.map(({ checking, sampled, runs: run, fuel, cpu, seconds, events, outcomes }) => [
      `${peopleOf(market)}; ${checkingOf(checking)}`,
      number(sampled),
      `${number(run.nodes)} + ${number(run.requester)}`,
      percent(fuel.nodes / plain.fuel),
      percent(fuel.requester / plain.fuel),
      cpu ? percent((cpu.nodes + cpu.requester) / plain.cpu, 0) : "",
      cpu && idle ? percent(((idle.cpu.nodes + idle.cpu.requester) * seconds) / plain.cpu, 0) : "",
      number(events["RoundOpened, escalated"] ?? 0),
      number(events["RoundOpened, redrawn"] ?? 0),
      number(events["Excepted"] ?? 0),
      number(events["Disputed"] ?? 0),
      Object.entries(outcomes)
        .map(([name, count]) => `${count} ${name}`)
        .join(", "),
    ]),
  );
  return [
    `### On a market of real agents`,
    "",
    `The demo's map of the world in ${plain.tasks} tasks, by agents in processes of their own on a devnet, with everything they do:`,
    "encrypting, storing, transactions, following the chain. *Work* is WASM fuel of all runs of all nodes, as a share of",
    `what running each task once takes (${number(plain.fuel / 1e9)} billion units, ${number(plain.cpu)} CPU seconds in one process). *CPU* is that of all`,
    "agents from submission to the last payment; what they would have used in that time with nothing to do is its third",
    "column from there.",
    "",
    ...tableOf(
      [
        "market and job",
        "tasks checked",
        "runs by nodes + requester",
        "work of nodes",
        "work of the requester",
        "CPU of agents",
        "of it at rest",
        "escalations",
        "redraws",
        "exceptions",
        "disputes",
        "assignments",
      ],
      rows,
    ),
    "",
  ];
}

function peopleOf({ nodes, liars, lazy }: MarketShape): string {
  const honest = `${nodes - liars - lazy} honest`;
  return liars + lazy === 0 ? honest : `${honest}, ${liars} lying, ${lazy} lazy`;
}

function checkingOf({ mode, rate, checking, plant }: Checking): string {
  if (mode === "replicated") return "100 %, three members";
  const planted = plant === undefined ? "" : `, ${plant.replace("%", " %")} planted`;
  return `${rate!.replace("%", " %")}, ${checking === "adaptive" ? "adaptive" : "three members"}${planted}`;
}

// --- Simulation ------------------------------------------------------------------------------------------------------

/** Work beyond running each task once, as a share of that. */
function extra({ runs }: SimulatedPoint): Spread {
  return spreadOf(runs.map(({ verifying, judging, planted }) => verifying + judging + planted));
}

function simulatedText({ simulated }: OverheadFigures): string[] {
  const share = (spread: Spread): string => {
    const [least, median, most] = [spread.least, spread.median, spread.most].map((each) => percent(each, 2));
    return least === most ? median! : `${median} (${least}–${most})`;
  };
  const swept = simulated.filter(({ planted, silent }) => planted === 0 && silent === 0);
  const shares = [...new Set(swept.map(({ liars }) => liars))];
  const kinds = [...new Set(swept.map(({ check, rate }) => `${check}|${rate}`))];
  const rows = kinds.map((kind) => {
    const own = swept.filter(({ check, rate }) => `${check}|${rate}` === kind);
    const { check, rate } = own[0]!;
    return [
      `${percent(rate, 0)}, ${check}`,
      ...shares.map((liars) => share(extra(own.find((each) => each.liars === liars)!))),
    ];
  });
  const others = simulated
    .filter(({ planted, silent }) => planted > 0 || silent > 0)
    .map((point) => {
      const { planted, silent, rate, check, runs } = point;
      const what = planted > 0 ? `${percent(planted, 0)} planted` : `${percent(silent, 0)} of the verifiers silent`;
      return [
        `${percent(rate, 0)}, ${check}; ${what}`,
        share(spreadOf(runs.map((run) => run.verifying))),
        share(spreadOf(runs.map((run) => run.planted))),
        share(spreadOf(runs.map((run) => run.judging))),
        share(spreadOf(runs.map((run) => run.money))),
      ];
    });
  return [
    "### By simulation",
    "",
    "Markets of hundreds of nodes, played by the contracts' rules ([economics](../docs/economics.md) says how, and how they are",
    "held against the contracts). Work done beyond running each task once: by verifiers, redrawn and escalated ones",
    "included, by jurors and by the requester. Liars lie about everything; an honest requester excepts them.",
    "",
    ...tableOf(["checked", ...shares.map((liars) => `${percent(liars, 0)} liars`)], rows),
    "",
    "![Extra work, by the share of liars](plots/overhead.svg)",
    "",
    ...tableOf(["checked", "verifiers' work", "planted", "jurors' work", "extra money"], others),
    "",
  ];
}

function plot({ simulated }: OverheadFigures) {
  const shown = simulated.filter(({ rate, planted, silent }) => rate === 0.03 && planted === 0 && silent === 0);
  const checks = [...new Set(shown.map(({ check }) => check))];
  return {
    title: "Extra work at 3 %",
    subtitle: "Tasks run again, for each task posted; simulated",
    x: {
      label: "share of the nodes that lie",
      from: 0,
      to: 0.2,
      ticks: [0, 0.05, 0.1, 0.15, 0.2],
      format: (value: number) => percent(value, 0),
    },
    y: {
      label: "extra work",
      from: 0,
      to: 0.14,
      ticks: [0, 0.02, 0.04, 0.06, 0.08, 0.1, 0.12, 0.14],
      format: (value: number) => percent(value, 0),
    },
    curves: checks.map((check) => ({
      name: check,
      points: shown
        .filter((point) => point.check === check)
        .map((point) => ({ x: point.liars, y: extra(point).median })),
    })),
    marks: [{ at: EXTRA_WORK, axis: "y" as const, label: "target" }],
  };
}

// --- Agents at rest --------------------------------------------------------------------------------------------------

function restText({ markets }: OverheadFigures): string[] {
  const rows = markets.flatMap(({ market, idle, peakMemory }) =>
    idle && peakMemory
      ? [
          [
            peopleOf(market),
            memoryText(spreadOf(idle.memory.nodes)),
            memoryText(spreadOf(peakMemory.nodes)),
            number(idle.memory.requester),
            number(peakMemory.requester),
            percent(idle.cpu.nodes / market.nodes),
            percent(idle.cpu.requester),
          ],
        ]
      : [],
  );
  return [
    "### Agents at rest",
    "",
    "Resident memory, MiB, before the first job and at most; and CPU of a core while nothing is to be done, a block a second.",
    "",
    ...tableOf(
      [
        "market",
        "node at rest",
        "node at most",
        "requester at rest",
        "requester at most",
        "CPU of a node",
        "CPU of the requester",
      ],
      rows,
    ),
    "",
  ];
}

function memoryText({ median, least, most }: Spread): string {
  return `${number(median)} (${number(least)}–${number(most)})`;
}

// --- Targets ---------------------------------------------------------------------------------------------------------

function targetsOf({ plain, markets, simulated }: OverheadFigures): Target[] {
  const targets: Target[] = [];
  const usual = markets.find(({ market }) => market.liars + market.lazy === 0);
  const [run] = usual?.runs ?? [];
  if (run) {
    const share = (run.fuel.nodes + run.fuel.requester) / plain.fuel - 1;
    targets.push({
      what: "extra work at 3 %, honest agents on a devnet, by fuel",
      target: `≤ ${percent(EXTRA_WORK)}`,
      measured: percent(share, 2),
      outcome: share <= EXTRA_WORK ? "met" : "missed",
      why: `${run.sampled} of ${plain.tasks} tasks were drawn, and they were not all as dear.`,
    });
  }
  const honest = simulated.find(
    ({ rate, check, liars, planted, silent }) =>
      rate === 0.03 && check === "adaptive" && liars + planted + silent === 0,
  );
  if (honest) {
    const { median } = extra(honest);
    targets.push({
      what: "extra work at 3 %, honest nodes, simulated",
      target: `≤ ${percent(EXTRA_WORK)}`,
      measured: percent(median, 2),
      outcome: median <= EXTRA_WORK ? "met" : "missed",
    });
  }
  const memories = markets.flatMap(({ idle }) => (idle ? [...idle.memory.nodes, idle.memory.requester] : []));
  if (memories.length > 0) {
    // The target counts in MB, and the system in MiB.
    const most = (Math.max(...memories) * 2 ** 20) / 1e6;
    targets.push({
      what: "memory of an idle agent",
      target: `< ${IDLE_MEMORY} MB`,
      measured: `${number(most)} MB`,
      outcome: most < IDLE_MEMORY ? "met" : "missed",
      why: `by ${percent(most / IDLE_MEMORY - 1, 0)}: Node alone and the modules that every agent loads take most of it, see [starting](#starting); the sandbox's thread has a heap of its own.`,
    });
  }
  return targets;
}
