import { formatAmount } from "#sdk/amount.ts";
import type { JobStatus, TaskStatus } from "../requester/spool.ts";

/** How far a job is, on one line. */
export function progressLine({ state, counts }: Pick<JobStatus, "state" | "counts">): string {
  const { tasks, claimed, submitted, sampled, answered, accused, contended, settled } = counts;
  const parts = [`${claimed}/${tasks} claimed`, `${submitted} submitted`];
  if (sampled > 0) parts.push(`${sampled} sampled`, `${answered} answered`);
  if (accused > 0) parts.push(`${accused} accused`);
  if (contended > 0) parts.push(`${contended} contended`);
  if (settled > 0) parts.push(`${settled} settled`);
  return `${state.padEnd(9)} ${parts.join(", ")}`;
}

/** What became of a task whose program did not end well, or that nobody settled with a result; undefined otherwise. */
export function taskFailure({ task, exit, outcome }: TaskStatus): string | undefined {
  if (exit === undefined) {
    return outcome === "paid" || outcome === "forced" || outcome === "seat-slashed"
      ? undefined
      : `task ${task} has no result: ${outcome}`;
  }
  if ("limit" in exit) return `task ${task} stopped at its limit ${exit.limit}`;
  if ("trap" in exit) return `task ${task} trapped: ${exit.trap}`;
  return exit.code === 0 ? undefined : `task ${task} exited with code ${exit.code}`;
}

/** What a task used, as its node says: `CPU 12.30 s in 8.10 s, 45.2 MiB of memory, read 0 B, wrote 1.00 MiB`, or fuel. */
export function usageText({ used }: TaskStatus): string {
  if (used === undefined) return "";
  const { fuel, cpu, milliseconds = 0, peakMemory, read = 0, written } = used;
  const seconds = (value: number): string => `${value.toFixed(2)} s`;
  if (cpu === undefined) return `fuel ${fuel}, ${sizeText(peakMemory)} of memory`;
  const io = `read ${sizeText(read)}, wrote ${sizeText(written)}`;
  return `CPU ${seconds(cpu / 1e6)} in ${seconds(milliseconds / 1e3)}, ${sizeText(peakMemory)} of memory, ${io}`;
}

/** Bytes to three digits. */
function sizeText(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  const power = Math.min(units.length - 1, bytes < 1024 ? 0 : Math.floor(Math.log2(bytes) / 10));
  const value = bytes / 1024 ** power;
  return `${power === 0 || value >= 100 ? Math.round(value) : value.toPrecision(3)} ${units[power]}`;
}

/** What a job cost. */
export function moneyLine({ money }: JobStatus): string {
  const amount = (units: string): string => formatAmount(BigInt(units), 18);
  return `paid ${amount(money.paid)}, burned ${amount(money.burned)}, returned ${amount(money.returned)}`;
}

/** Rows with their columns aligned. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths: number[] = [];
  for (const row of rows)
    for (const [column, cell] of row.entries()) widths[column] = Math.max(widths[column] ?? 0, cell.length);
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}
