import type { Spread } from "./spread.ts";

/** A table in Markdown; the first column is text, the others are numbers. */
export function tableOf(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
  return [line(head), `|${head.map((_, column) => (column === 0 ? "---" : "--:")).join("|")}|`, ...rows.map(line)];
}

/** A whole number with commas; numbers below a hundred keep three digits. */
export function number(value: number): string {
  if (Math.abs(value) >= 100) return Math.round(value).toLocaleString("en");
  return String(Number(value.toPrecision(3)));
}

/** A median, and beside it how far measurements lay apart, where they did. */
export function spread({ median, least, most }: Spread): string {
  return number(least) === number(most) ? number(median) : `${number(median)} (${number(least)}–${number(most)})`;
}

/** A share of one in per cent. */
export function percent(share: number, digits = 1): string {
  return `${(100 * share).toFixed(digits).replace("-", "−")} %`;
}
