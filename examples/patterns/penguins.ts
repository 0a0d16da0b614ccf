import { readFile } from "node:fs/promises";
import type { Directory } from "#sdk/content.ts";

/**
 * 333 penguins of three species, measured near Palmer Station, Antarctica: K. B. Gorman, T. D. Williams and W. R. Fraser
 * (2014), Palmer Station LTER; as in the R package `palmerpenguins`, which gives its data to the public domain (CC0), less
 * those that lack a measurement.
 */
const FILE = new URL("./penguins.csv", import.meta.url);

/** A measurement or a trait as a number. */
export type Trait = "billLength" | "billDepth" | "flipperLength" | "bodyMass" | "isMale";

/**
 * Rows of the traits asked for, in the file's order. Measurements are in units of their standard deviation from their
 * mean; `isMale` is 1 or 0.
 */
export async function readPenguins(traits: readonly Trait[]): Promise<number[][]> {
  const lines = (await readFile(FILE, "utf8")).trim().split("\n").slice(1);
  const columns = new Map<Trait, number[]>();
  const cells = lines.map((line) => line.split(","));
  for (const [index, trait] of (["billLength", "billDepth", "flipperLength", "bodyMass"] as const).entries()) {
    columns.set(trait, standardised(cells.map((cell) => Number(cell[index + 1]))));
  }
  columns.set(
    "isMale",
    cells.map((cell) => (cell[5] === "male" ? 1 : 0)),
  );
  return lines.map((_, row) => traits.map((trait) => columns.get(trait)![row]!));
}

/** Deals rows to so many hands, like cards: each gets some of every kind. */
export function deal(rows: readonly number[][], hands: number): number[][][] {
  return Array.from({ length: hands }, (_, hand) => rows.filter((_row, index) => index % hands === hand));
}

/** Rows as programs read them: `rows.csv`. */
export function asContent(rows: readonly number[][]): Directory {
  const text = rows.map((row) => `${row.map((value) => Number(value.toFixed(4))).join(",")}\n`).join("");
  return new Map([["rows.csv", new TextEncoder().encode(text)]]);
}

function standardised(values: number[]): number[] {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const deviation = Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length);
  return values.map((value) => (value - mean) / deviation);
}
