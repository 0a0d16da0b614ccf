import { formatAmount } from "#sdk/amount.ts";
import type { JobStatus, TaskStatus } from "../requester/spool.ts";

/** How far a job is, on one line. */
export function progressLine({ state, counts }: JobStatus): string {
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
