import type { Figures } from "./figures.ts";

const HEAD = "| work | gas a task | iExec PoCo on the same chain |";

/** The README with its table of gas as figures have it; everything else is left alone. */
export function withGasTable(readme: string, { perTask = {}, peer = {} }: Figures): string {
  const own = (...names: string[]): string => names.map((name) => rounded(perTask[name])).join(", ");
  const other = (volume: number): string =>
    `Boost ${rounded(peer[`Boost, volume ${volume}`])}, one worker ${rounded(peer[`classic, 1 worker, volume ${volume}`])}, three ${rounded(peer[`classic, 3 workers, volume ${volume}`])}`;
  const big = (size: string): string => `${size} tasks in ten slices, 3 % checked: adaptive, three members`;
  const thousand = own("1,000 tasks, 10 assignments, adaptive", "1,000 tasks, 10 assignments, q = 3");
  const tens = "10,000 tasks, 10 assignments, job new";
  const rows = [
    ["1 task, unsampled", own("1 task, unsampled, job known"), other(1)],
    [
      "10 tasks in one slice: unsampled, sampled",
      own("10 tasks, 1 assignment, unsampled", "10 tasks, 1 assignment, sampled"),
      other(10),
    ],
    [big("1,000"), thousand, ""],
    [big("10,000"), own(`${tens}, adaptive`, `${tens}, q = 3`), ""],
  ];
  const table = [HEAD, "|---|---|---|", ...rows.map(([work, gas, poco]) => `| ${work} | ${gas} | ${poco} |`)];
  return readme.replace(/^\| work \| gas a task \|.*\n(?:\|.*\n)*/m, `${table.join("\n")}\n`);
}

/** Three digits that say something. */
function rounded(gas: number | undefined): string {
  return gas === undefined ? "unknown" : Number(gas.toPrecision(3)).toLocaleString("en");
}
