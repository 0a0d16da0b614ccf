import { minimumSlash } from "#sdk/pricing.ts";
import type { Measured } from "./measure.ts";
import type { Plot, PlotCurve } from "./plot.ts";
import { SWEEPS, type Curve, type Scenario, type SweepName } from "./scenarios.ts";
import { C, DEFAULTS, inC, PARAMETERS } from "./world.ts";

/** A row of the table. */
export interface Row {
  scenario: Scenario;
  measured: Measured;
}

/** A curve as it was measured. */
export interface MeasuredCurve {
  name: string;
  points: { x: number; y: number }[];
  /** Where the gain passes zero upwards or downwards, between two steps in a straight line; undefined if nowhere. */
  breaksEven?: number;
}

/** What somebody gained for each task, compared with being honest, in units of C. */
export function gainOf(about: Curve["about"], measured: Measured): number {
  if (about === "requester") return measured.requesterGain;
  const nodes = measured.nodes[about];
  return nodes === undefined ? NaN : nodes.profit - nodes.honest;
}

export function curveOf(name: string, points: MeasuredCurve["points"]): MeasuredCurve {
  const after = points.findIndex(({ y }, i) => i > 0 && Math.sign(y) !== Math.sign(points[i - 1]!.y));
  if (after === -1) return { name, points };
  const [a, b] = [points[after - 1]!, points[after]!];
  return { name, points, breaksEven: a.x + ((b.x - a.x) * -a.y) / (b.y - a.y) };
}

const HEADINGS = ["market", "caught", "gain", "profit", "honest nodes", "false slashes", "extra work", "extra money"];

/**
 * The table: one line for each market.
 *
 * @returns Lines of text; columns are two spaces apart.
 */
export function tableOf(rows: readonly Row[]): string[] {
  const cells = rows.map(({ scenario, measured }) => {
    const { about } = scenario;
    const nodes = about === "requester" ? undefined : measured.nodes[about];
    const { verifying, judging, planted } = measured.extraWork;
    const { honest } = measured.nodes;
    return [
      scenario.name,
      caughtOf(measured),
      about === "honest" ? "" : signed(gainOf(about, measured)),
      nodes === undefined ? "" : signed(nodes.profit),
      honest === undefined ? "" : signed(honest.profit),
      `${measured.truths.slashed} of ${measured.truths.told}`,
      percent(verifying + judging + planted),
      percent(measured.extraMoney),
    ];
  });
  return columns([HEADINGS, ...cells]);
}

/** What was caught of what was checked. */
function caughtOf({ lies, falseAnswers, exceptions }: Measured): string {
  if (lies.made > 0) return `${lies.slashed} of ${lies.checked} (of ${lies.made})`;
  if (falseAnswers.made > 0) return `${falseAnswers.slashed} of ${falseAnswers.made}`;
  if (exceptions.false > 0) return `${exceptions.paidFor} of ${exceptions.false}`;
  return "";
}

/** Lines for the curves: gain by step, and where it breaks even. */
export function linesOf(sweep: SweepName, curves: readonly MeasuredCurve[]): string[] {
  const { title, parameter } = SWEEPS[sweep];
  const [first] = curves;
  const share = sweep !== "deterrence";
  const label = (x: number): string => (share ? `${Math.round(x * 100)} %` : String(x));
  const head = [parameter, ...(first?.points.map(({ x }) => label(x)) ?? []), "pays from"];
  const rows = curves.map(({ name, points, breaksEven }) => [
    name,
    ...points.map(({ y }) => signed(y)),
    breaksEven === undefined ? "nowhere" : share ? label(breaksEven) : `below ${breaksEven.toFixed(2)}`,
  ]);
  return [title, ...columns([head, ...rows])];
}

/** Curves as a picture. */
export function plotOf(sweep: SweepName, curves: readonly MeasuredCurve[]): Plot {
  const { title, parameter } = SWEEPS[sweep];
  const { pay, rate } = DEFAULTS;
  const share = sweep !== "deterrence";
  const xs = curves.flatMap(({ points }) => points.map(({ x }) => x));
  const ys = curves.flatMap(({ points }) => points.map(({ y }) => y));
  const y = axisOf(Math.min(...ys, 0), Math.max(...ys, 0));
  const x = axisOf(0, Math.max(...xs));
  const plot: Plot = {
    title,
    subtitle: "For each task, in units of C, the cost of computing it; above zero honesty does not pay",
    x: { ...x, label: parameter, format: (value) => (share ? `${Math.round(value * 100)} %` : String(value)) },
    y: {
      ...y,
      label: "gain over being honest, C a task",
      format: (value) => (value > 0 ? `+${value}` : `${value}`).replace("-", "−"),
    },
    curves: curves.map(({ name, points, breaksEven }) => ({
      name:
        breaksEven === undefined
          ? name
          : `${name}: breaks even at ${share ? `${Math.round(breaksEven * 100)} %` : breaksEven.toFixed(2)}`,
      points,
    })),
  };
  if (sweep === "deterrence") {
    const formula = (factor: number): number => 1 - pay * factor - (rate / 1e6) * pay;
    plot.curves.push({
      name: "formula for a lone liar: C − p·(S + R)",
      formula: true,
      points: [x.from, x.to].map((at) => ({ x: at, y: formula(at) })),
    });
    plot.marks = [{ at: 2, axis: "x", label: "enforced" }];
  }
  return plot;
}

/** How much a node must lose, by the rate at which tasks are checked: the formulas, and what the market enforces. */
export function regionPlot(): Plot {
  const { pay, quorum } = DEFAULTS;
  const { challengeBond } = PARAMETERS;
  const price = BigInt(pay * 1e6) * (C / 1_000_000n);
  const rates = Array.from({ length: 31 }, (_, i) => 10 ** (-3 + i / 10));
  const log = (value: number): number => Math.log10(Math.max(value, 1e-3));
  const curve = (name: string, slash: (rate: number) => number, formula = false): PlotCurve => ({
    name,
    formula,
    points: rates.map((rate) => ({ x: log(rate), y: log(slash(rate)) })),
  });
  const enforced = (rate: number): number =>
    inC(minimumSlash({ price, verifierPrice: price, rate: Math.round(rate * 1e6), guess: 0, quorum, challengeBond }));
  const needed =
    (share: number) =>
    (rate: number): number =>
      1 / (rate * (1 - share)) - pay;
  return {
    title: "Where honesty pays",
    subtitle: `Above a curve lying loses; pay ${pay} C, quorum ${quorum}, both scales logarithmic`,
    x: {
      label: "share of the tasks that is checked",
      from: -3,
      to: 0,
      ticks: [-3, -2.5229, -2, -1.5229, -1, -0.5229, 0],
      format: shareOf,
    },
    y: {
      label: "slash, in units of C",
      from: 0,
      to: 4,
      ticks: [0, 1, 2, 3, 4],
      format: (value) => String(10 ** value),
    },
    curves: [
      curve("what the market enforces", enforced),
      curve("needed against a lone liar: C/p − R", needed(0), true),
      curve("needed against a group of 30 %: C/(p·(1 − a)) − R", needed(0.3), true),
    ],
  };
}

/** A power of ten as a share. */
function shareOf(exponent: number): string {
  return `${Number((100 * 10 ** exponent).toPrecision(1))} %`;
}

/** Round ticks around what is to be seen. */
function axisOf(least: number, most: number): { from: number; to: number; ticks: number[] } {
  const wanted = (most - least) / 6;
  const scale = 10 ** Math.floor(Math.log10(wanted));
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * scale).find((each) => each >= wanted)!;
  const from = Math.floor(least / step + 1e-9);
  const to = Math.ceil(most / step - 1e-9);
  const ticks = Array.from({ length: to - from + 1 }, (_, i) => Number(((from + i) * step).toPrecision(6)));
  return { from: ticks[0]!, to: ticks.at(-1)!, ticks };
}

function columns(rows: readonly string[][]): string[] {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows.map((row) =>
    row
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]!)))
      .join("  ")
      .trimEnd(),
  );
}

function signed(value: number): string {
  const rounded = value.toFixed(2);
  return value >= 0.005 ? `+${rounded}` : rounded.replace("-0.00", "0.00").replace("-", "−");
}

function percent(share: number): string {
  return `${(share * 100).toFixed(1)} %`.replace("-", "−");
}
