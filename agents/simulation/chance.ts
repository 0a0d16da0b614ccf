/**
 * The chance that more than half of `seats` go to a group.
 *
 * @param share Of the slots that are the group's, 0 … 1. The pool is thought large, so that drawing changes nothing.
 */
export function chanceOfMajority(seats: number, share: number): number {
  let sum = 0;
  for (let k = Math.floor(seats / 2) + 1; k <= seats; k += 1)
    sum += binomial(seats, k) * share ** k * (1 - share) ** (seats - k);
  return sum;
}

function binomial(n: number, k: number): number {
  let ways = 1;
  for (let i = 1; i <= k; i += 1) ways = (ways * (n - k + i)) / i;
  return ways;
}
