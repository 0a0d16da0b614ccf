import type { PlotCurve } from "../agents/simulation/plot.ts";
import { CHECKS, type Check } from "./gas/checks.ts";
import { differencesOf, type Figures } from "./gas/figures.ts";
import { BLOB_GAS_PRICE, CHAINS, dollarsOf, ETHER_PRICE, L1_GAS_PRICE, ROLLUP_GAS_PRICE } from "./gas/money.ts";
import { peerDoubts, PEER_RANGES } from "./gas/peer-range.ts";
import type { Spent } from "./gas/spent.ts";
import type { DisputePoint, LifePoint, PeerPoint } from "./gas/sweeps.ts";
import { logAxis } from "./log-axis.ts";
import type { Rendered, Section, Target } from "./section.ts";
import { spreadOf, type Spread } from "./spread.ts";
import { number, percent, spread, tableOf } from "./table.ts";

/** What the contracts cost, beside the peer's, on one chain. */
export interface GasFigures {
  committed: Figures;
  /** How that differs from bench/gas.json. */
  differences: string[];
  tasks: LifePoint[];
  assignments: LifePoint[];
  disputes: DisputePoint[];
  peer: PeerPoint[];
  peerVersion: string;
}

export const gas: Section<GasFigures> = {
  title: "Gas",

  async measure(options) {
    // These bring Hardhat along, which rendering does without.
    const { measureCommitted, readCommitted } = await import("./gas/committed.ts");
    const { sweepAssignments, sweepDisputes, sweepPeer, sweepTasks } = await import("./gas/sweeps.ts");
    const { PEER_VERSION } = await import("./peer/poco.ts");
    const committed = await measureCommitted(options.say);
    return {
      committed,
      differences: differencesOf(readCommitted(), committed),
      tasks: await sweepTasks(options),
      assignments: await sweepAssignments(options),
      disputes: await sweepDisputes(options),
      peer: await sweepPeer(options),
      peerVersion: PEER_VERSION,
    };
  },

  render(figures) {
    return {
      text: [
        "Everybody's transactions, after refunds; deposits, stakes and registrations are not counted. All accounts are in",
        "use. Hardhat's chain, rules of Prague.",
        "",
        ...committedText(figures),
        ...tasksText(figures),
        ...partsText(figures),
        ...peerText(figures),
        ...assignmentsText(figures),
        ...disputesText(figures),
        ...requestsText(figures),
        ...moneyText(figures),
      ],
      plots: { "gas-tasks.svg": tasksPlot(figures), "gas-assignments.svg": assignmentsPlot(figures) },
      targets: targetsOf(figures),
    } satisfies Rendered;
  },
};

// --- What is asked of a point ----------------------------------------------------------------------------------------

/** Gas of a batch, or of a task of it. */
function gasOf({ runs }: { runs: readonly Spent[] }, tasks = 1): Spread {
  return spreadOf(runs.map((run) => run.gas / tasks));
}

/** Batches with so many tasks, as often checked as the rate has it: averages by what is spent. */
function expected(
  points: readonly LifePoint[],
  check: Check,
  tasks: number,
): Pick<Spent, "gas" | "posted" | "calldata"> {
  const found = points.filter((point) => point.check === check && point.tasks === tasks);
  const mean = (point: LifePoint, key: "gas" | "posted" | "calldata"): number =>
    spreadOf(point.runs.map((run) => run[key])).median;
  // The rate of those that are checked or not is 3 %.
  const weight = (point: LifePoint): number =>
    point.sampled === undefined ? 1 : point.sampled === 1 ? 0.03 * tasks : 1 - 0.03 * tasks;
  const sum = (key: "gas" | "posted" | "calldata"): number =>
    found.reduce((total, point) => total + weight(point) * mean(point, key), 0);
  return { gas: sum("gas"), posted: sum("posted"), calldata: sum("calldata") };
}

const TASKS = [1, 10, 100, 1_000, 10_000];

// --- Text ------------------------------------------------------------------------------------------------------------

function committedText({ committed, differences }: GasFigures): string[] {
  const rows = Object.entries(committed["perTask"] ?? {}).map(([name, value]) => [name, number(value)]);
  const slopes = Object.entries(committed["slopes"] ?? {}).map(([name, value]) => [name, number(value)]);
  const moved =
    differences.length === 0
      ? ["No figure differs by more than 1 % from the committed ones in [`gas.json`](gas.json)."]
      : [
          "Differing by more than 1 % from the committed figures in [`gas.json`](gas.json):",
          "",
          ...differences.map((each) => `- ${each}`),
        ];
  return [
    "### Committed figures",
    "",
    "On chains where draws look at nobody in vain, so that every run gives the same.",
    "",
    ...tableOf(["batch", "gas a task"], rows),
    "",
    "What a batch of any size consists of:",
    "",
    ...tableOf(["for each", "gas"], slopes),
    "",
    ...moved,
    "",
  ];
}

function tasksText({ tasks: points }: GasFigures): string[] {
  const rows = CHECKS.flatMap((check) => {
    const own = points.filter((point) => point.check === check);
    if (own.length === 0) return [];
    const kinds = [...new Set(own.map(({ sampled }) => sampled))].filter((sampled) => sampled !== undefined);
    const row = (name: string, wanted: number | undefined): string[] => [
      name,
      ...TASKS.map((tasks) => {
        const point = own.find((each) => each.tasks === tasks && each.sampled === wanted);
        return point ? spread(gasOf(point, tasks)) : "";
      }),
    ];
    if (kinds.length === 0) return [row(check, undefined)];
    return [
      row(check, undefined),
      ...kinds.map((kind) => row(`${check}: ${kind === 0 ? "none of them" : "one of them"} checked`, kind)),
    ];
  });
  return [
    "### By tasks",
    "",
    "Gas a task, job known; up to 100 tasks in one assignment, more in ten; on any chain. A trusting job lists sixteen nodes,",
    "which every call has to bring along.",
    "",
    ...tableOf(["checked", ...TASKS.map(tasksOf)], rows),
    "",
    "![Gas a task, by tasks of a batch](plots/gas-tasks.svg)",
    "",
  ];
}

/** Gas of a transaction, of a byte of calldata that is zero, and of one that is not. */
const TRANSACTION = 21_000;
const ZERO_BYTE = 4;
const OTHER_BYTE = 16;

function partsText({ tasks: points, committed }: GasFigures): string[] {
  const rows = points
    .filter(
      ({ check, tasks, sampled }) => check !== "trusted, 0 %" && tasks !== 10_000 && (tasks !== 10 || sampled === 1),
    )
    .map(({ check, tasks, sampled, runs }) => {
      const [{ gas: total, transactions, calldata, zeros }] = runs as [Spent];
      const base = transactions * TRANSACTION;
      const data = zeros * ZERO_BYTE + (calldata - zeros) * OTHER_BYTE;
      const chance = sampled === undefined ? "" : sampled === 0 ? ", none checked" : ", one checked";
      return [
        `${tasksOf(tasks)}, ${check}${chance}`,
        number(total),
        number(transactions),
        percent(base / total, 0),
        percent(data / total, 0),
        percent(1 - (base + data) / total, 0),
      ];
    });
  const { steps = {}, slopes = {} } = committed;
  const answer = steps["answer"] ?? NaN;
  const seat = slopes["further seat"] ?? NaN;
  const batch = slopes["batch"] ?? NaN;
  const assignment = slopes["assignment, one seat included"] ?? NaN;
  return [
    "### What gas goes to",
    "",
    "Of whole batches, what transactions and their calldata cost whatever they do, and what is left for what they do:",
    "",
    ...tableOf(["batch", "gas", "transactions", "21,000 each", "calldata", "execution"], rows),
    "",
    "A batch of one assignment takes four transactions where nothing is checked (post, claim, submit, reveal with settle),",
    "and one more for each seat and for settling where something is. What they do is mostly writing: a new slot costs",
    "22,100 and there is one for each fact (batch, escrow, assignment, seat), a changed one 5,000 (accounts, stakes).",
    "",
    `The prototype that the targets were set after had 190,000 a batch, 257,000 an assignment with a seat, 102,000 a further`,
    `seat; here it is ${number(batch)}, ${number(assignment)} and ${number(seat)}. Of a further seat ${number(answer)} is its answer, which brings its`,
    `envelope and the terms along as calldata, and ${number(seat - answer)} its part in settling.`,
    "",
  ];
}

function peerText(figures: GasFigures): string[] {
  const { peer, peerVersion, tasks, committed } = figures;
  const rows = peer.map(({ way, volume, spent }) => [
    `${way}, volume ${volume}`,
    number(spent.gas / volume),
    number(spent.calldata / volume),
    ...(["trusted, 0 %", "3 %, adaptive", "3 %, q = 3", "100 %, q = 3"] as const).map(
      (check) => `${number(spent.gas / expected(tasks, check, volume).gas)} ×`,
    ),
  ]);
  const doubts = peerDoubts(committed["peer"] ?? {});
  const known = Object.entries(PEER_RANGES).map(([name, [from, to]]) => [
    name,
    number(committed["peer"]?.[name] ?? NaN),
    `${number(from)}–${number(to)}`,
  ]);
  return [
    "### The peer: iExec PoCo",
    "",
    `Deployed from the artifacts of \`@iexec/poco\` ${peerVersion} on the same chain, in the same run, with standing orders that were`,
    "matched before and other deals open, so that it too pays for no account's first use. *Classic* compares the results",
    "of so many workers; *contributeAndFinalize* and *Boost* have one worker and compare nothing. Ratios: the peer's gas",
    "over that of as many tasks here, in one assignment, checked as often as the rate has it on average.",
    "",
    ...tableOf(
      [
        "PoCo",
        "gas a task",
        "calldata, bytes a task",
        "to trusted",
        "to 3 %, adaptive",
        "to 3 %, q = 3",
        "to 100 %, q = 3",
      ],
      rows,
    ),
    "",
    doubts.length === 0
      ? "Within 5 % of what its own life was measured to cost apart from this:"
      : `**Not what it was measured to cost apart from this:** ${doubts.join("; ")}.`,
    "",
    ...tableOf(["PoCo", "here, gas a task", "apart from this"], known),
    "",
  ];
}

function assignmentsText({ assignments: points }: GasFigures): string[] {
  const steps = [...new Set(points.map(({ assignments }) => assignments))];
  const checks = [...new Set(points.map(({ check }) => check))];
  const rows = checks.map((check) => {
    const own = points.filter((point) => point.check === check);
    const [first, last] = [own[0]!, own.at(-1)!];
    const slope = (gasOf(last).median - gasOf(first).median) / (last.assignments - first.assignments);
    return [
      check,
      ...steps.map((step) =>
        spread(
          gasOf(
            own.find(({ assignments }) => assignments === step)!,
            1_000,
          ),
        ),
      ),
      number(slope),
    ];
  });
  return [
    "### By assignments",
    "",
    "Gas a task of a thousand, cut into so many assignments. The slope is what one more assignment costs; where fewer",
    "tasks are checked than there are assignments it has only a share of a check in it.",
    "",
    ...tableOf(["checked", ...steps.map(String), "slope, gas an assignment"], rows),
    "",
    "![Gas of a thousand tasks, by assignments](plots/gas-assignments.svg)",
    "",
  ];
}

function disputesText({ disputes }: GasFigures): string[] {
  const rows = disputes.map((point) => [
    point.path,
    spread(gasOf(point)),
    number(point.runs[0]!.transactions),
    number(point.runs[0]!.calldata),
  ]);
  return [
    "### Disputes",
    "",
    "Of one assignment with two verifiers, from the move that begins it to the conclusion, both included; everybody's",
    "transactions. The steps one by one are in [`gas.json`](gas.json).",
    "",
    ...tableOf(["way", "gas", "transactions", "calldata, bytes"], rows),
    "",
  ];
}

function requestsText({ committed }: GasFigures): string[] {
  const rows = Object.entries(committed["requests"] ?? {}).map(([name, value]) => [name, number(value)]);
  if (rows.length === 0) return [];
  return [
    "### Evaluated requests",
    "",
    "Requests whose results an evaluator ranks: each step, and whole lives in which everybody is content.",
    "",
    ...tableOf(["step", "gas"], rows),
    "",
  ];
}

function moneyText({ tasks, peer }: GasFigures): string[] {
  const rows: string[][] = [];
  const row = (name: string, count: number, spent: Pick<Spent, "gas" | "posted" | "calldata">): void => {
    const costs = CHAINS.map((chain) => dollarsOf(spent, chain) / count);
    rows.push([
      name,
      number(spent.calldata / count),
      ...costs.map(dollars),
      ...costs.map((cost) => dollars(100 * cost)),
    ]);
  };
  for (const check of ["3 %, adaptive", "100 %, q = 3"] as const) {
    for (const count of TASKS) row(`${tasksOf(count)}, ${check}`, count, expected(tasks, check, count));
  }
  for (const { way, volume, spent } of peer) {
    if (way === "classic, 3 workers" || way === "Boost") row(`PoCo ${way}, volume ${volume}`, volume, spent);
  }
  return [
    "### In money",
    "",
    `Assumed, and everything is linear in it: $${number(ETHER_PRICE)} an ether; ${number(L1_GAS_PRICE / 1e9)} gwei for gas on the L1,`,
    `${ROLLUP_GAS_PRICE / 1e9} gwei on a rollup, ${BLOB_GAS_PRICE / 1e9} gwei for blob gas, a sixteenth of the L1's, below which`,
    "EIP-7918 does not let it fall. A rollup's operator posts what FastLZ and the line of OP Stack's Fjord specification",
    "estimate of each signed transaction, in blobs (131,072 gas for 130,044 bytes) or as calldata (40 gas a byte, EIP-7623).",
    "`gas × price + posted bytes × price of a byte`; see [`money.ts`](gas/money.ts).",
    "",
    ...tableOf(
      [
        "",
        "calldata, bytes a task",
        ...CHAINS.map((chain) => `${chain}, $ a task`),
        ...CHAINS.map((chain) => `${chain}: gas is below 1 % from $ a task`),
      ],
      rows,
    ),
    "",
  ];
}

/** Two digits that say something. */
function dollars(value: number): string {
  return value >= 100 ? number(value) : String(Number(value.toPrecision(2)));
}

function tasksOf(count: number): string {
  return count === 1 ? "1 task" : `${number(count)} tasks`;
}

// --- Plots -----------------------------------------------------------------------------------------------------------

function tasksPlot({ tasks: points, peer }: GasFigures) {
  const own = (["trusted, 0 %", "3 %, adaptive", "3 %, q = 3", "100 %, q = 3"] as const).map((check): PlotCurve => ({
    name: check,
    points: TASKS.map((tasks) => ({ x: Math.log10(tasks), y: Math.log10(expected(points, check, tasks).gas / tasks) })),
  }));
  const others = (["Boost", "classic, 3 workers"] as const).map((way): PlotCurve => ({
    name: `PoCo ${way}`,
    points: peer
      .filter((point) => point.way === way)
      .map(({ volume, spent }) => ({ x: Math.log10(volume), y: Math.log10(spent.gas / volume) })),
  }));
  return {
    title: "Gas a task",
    subtitle: "Everybody's transactions; both scales logarithmic",
    x: logAxis("tasks of a batch, volume of a deal", 0, 4),
    y: logAxis("gas a task", 2, 7),
    curves: [...own, ...others],
  };
}

function assignmentsPlot({ assignments: points }: GasFigures) {
  const checks = [...new Set(points.map(({ check }) => check))];
  return {
    title: "Gas of a thousand tasks",
    subtitle: "By the assignments they are cut into; both scales logarithmic",
    x: logAxis("assignments", 0, 2),
    y: logAxis("gas of the batch", 5, 8),
    curves: checks.map((check) => ({
      name: check,
      points: points
        .filter((point) => point.check === check)
        .map((point) => ({ x: Math.log10(point.assignments), y: Math.log10(gasOf(point).median) })),
    })),
  };
}

// --- Targets ---------------------------------------------------------------------------------------------------------

/** Gas a task that the project set itself, and what it would like beyond that. */
const TARGETS: [name: string, target: number, stretch: number | undefined][] = [
  ["1 task, unsampled, job known", 340_000, 300_000],
  ["1 task, unsampled, job new", 380_000, undefined],
  ["10 tasks, 1 assignment, unsampled", 35_000, 30_000],
  ["10 tasks, 1 assignment, sampled", 50_000, undefined],
  ["1,000 tasks, 10 assignments, adaptive", 3_000, 2_600],
  ["1,000 tasks, 10 assignments, q = 3", 4_200, undefined],
  ["10,000 tasks, 10 assignments, job new, adaptive", 310, 265],
  ["10,000 tasks, 10 assignments, job new, q = 3", 430, undefined],
];

function targetsOf({ committed }: GasFigures): Target[] {
  return TARGETS.flatMap(([name, target, stretch]) => {
    const value = committed["perTask"]?.[name];
    if (value === undefined) return [];
    const one = (goal: number, kind: string): Target => ({
      what: `gas a task: ${name}${kind}`,
      target: `≤ ${number(goal)}`,
      measured: number(value),
      outcome: value <= goal ? "met" : "missed",
      ...(value <= goal ? {} : { why: `by ${percent(value / goal - 1)}; see [what gas goes to](#what-gas-goes-to).` }),
    });
    return [one(target, ""), ...(stretch === undefined ? [] : [one(stretch, " (stretch)")])];
  });
}
