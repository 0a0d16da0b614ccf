import type { Axis } from "../agents/simulation/plot.ts";

/** An axis of powers of ten; values on it are exponents. */
export function logAxis(label: string, from: number, to: number): Axis {
  return {
    label,
    from,
    to,
    ticks: Array.from({ length: to - from + 1 }, (_, step) => from + step),
    // Short, for there is little room beside an axis: 100K, 10M.
    format: (exponent) => (10 ** exponent).toLocaleString("en", { notation: "compact" }),
  };
}
