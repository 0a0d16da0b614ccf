/** Gas by group and name; see bench/gas.json. */
export type Figures = Record<string, Record<string, number>>;

/** Share by which a figure may differ from the committed one. */
export const TOLERANCE = 0.01;

/** Notes figures down as they are measured. */
export class Recorder {
  readonly figures: Figures = {};

  /** Keeps the least seen, which is what a step costs when the first place that a draw looks at serves. */
  record(group: string, name: string, value: number): void {
    const figures = (this.figures[group] ??= {});
    figures[name] = Math.min(Math.round(value), figures[name] ?? Infinity);
  }
}

/**
 * Compares figures with the committed ones.
 *
 * @returns a line for each that is missing, new, or differs by more than {@link TOLERANCE}
 */
export function differencesOf(committed: Figures, measured: Figures): string[] {
  const found: string[] = [];
  for (const group of new Set([...Object.keys(committed), ...Object.keys(measured)])) {
    const [before, now] = [committed[group] ?? {}, measured[group] ?? {}];
    for (const name of new Set([...Object.keys(before), ...Object.keys(now)])) {
      const [was, is] = [before[name], now[name]];
      if (was === undefined || is === undefined) found.push(`${group}, ${name}: ${was ?? "none"} -> ${is ?? "none"}`);
      else if (Math.abs(is / was - 1) > TOLERANCE) {
        const percent = (100 * (is / was - 1)).toFixed(1).replace("-", "−");
        found.push(`${group}, ${name}: ${was} -> ${is} (${is > was ? "+" : ""}${percent} %)`);
      }
    }
  }
  return found;
}
