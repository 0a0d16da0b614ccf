import type { Plot } from "../agents/simulation/plot.ts";

/** Parts of the report, in its order. */
export const SECTIONS = ["gas", "overhead", "market", "speed", "growth"] as const;
export type SectionName = (typeof SECTIONS)[number];

/** How much is measured: `quick` in three minutes for all sections, `whole` in forty. */
export type Size = "quick" | "whole";

/** What a section gets to measure with. */
export interface MeasureOptions {
  size: Size;
  /** What is random follows from it. */
  seed: number;
  /** How often what varies is measured. */
  repetitions: number;
  signal: AbortSignal;
  /** Tells a person what is being done. */
  say(line: string): void;
}

/** Something the project set itself, and how far it is. */
export interface Target {
  what: string;
  target: string;
  measured: string;
  outcome: "met" | "missed";
  /** Where it is missed: by how much, why, and what the limit is. */
  why?: string;
}

/** A section's part of the report. */
export interface Rendered {
  /** Markdown, below the section's heading. */
  text: string[];
  /** By file name. */
  plots: Record<string, Plot>;
  targets: Target[];
}

/** One noun that is measured. Figures are plain JSON, and the report is made of nothing else. */
export interface Section<Figures> {
  title: string;
  measure(options: MeasureOptions): Promise<Figures>;
  render(figures: Figures): Rendered;
}
