/** What several measurements of one thing came to. */
export interface Spread {
  median: number;
  least: number;
  most: number;
  count: number;
}

/**
 * @throws RangeError if there are none
 */
export function spreadOf(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  const [least, most] = [sorted[0], sorted.at(-1)];
  if (least === undefined || most === undefined) throw new RangeError("nothing was measured");
  const middle = (sorted.length - 1) / 2;
  const median = (sorted[Math.floor(middle)]! + sorted[Math.ceil(middle)]!) / 2;
  return { median, least, most, count: sorted.length };
}
