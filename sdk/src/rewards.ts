import { MAX_AMOUNT } from "./amount.ts";
import { SuretyError } from "./errors.ts";
import type { RewardFunction } from "./request-terms.ts";

/** Most workers that can be ranked. */
export const MAX_RANKED = 255;
/** Greatest score: 2^128 - 1. */
export const MAX_SCORE = 2n ** 128n - 1n;

/** What a pot is shared by. */
export interface RewardTerms {
  rewardFunction: RewardFunction;
  /** The pot, base units, up to {@link MAX_AMOUNT}. */
  pot: bigint;
  /** `list` only: what each rank gets, at most `pot` together. Default: nothing. */
  list?: readonly bigint[];
}

/**
 * What the ranked get of a pot. Twin of `Rewards.split`. What rounding leaves over goes to the best; what `list` does not
 * give stays in the pot. Equal scores do not share a rank: the ranking says who comes first.
 *
 * @param scores One for each that was ranked, best first: up to {@link MAX_RANKED}, each 0 to {@link MAX_SCORE}.
 * @returns Base units, best first; never more than the pot together.
 * @throws `REWARD_INVALID` for more scores, scores or amounts than the contracts take.
 *
 * @example
 * ```ts
 * splitReward({ rewardFunction: "by-rank", pot: 1_001n }, [9n, 5n, 2n]); // [502n, 333n, 166n]
 * ```
 */
export function splitReward({ rewardFunction, pot, list = [] }: RewardTerms, scores: readonly bigint[]): bigint[] {
  requireTaken("pot", pot, MAX_AMOUNT);
  requireTaken("ranked", BigInt(scores.length), BigInt(MAX_RANKED));
  for (const score of scores) requireTaken("score", score, MAX_SCORE);
  if (scores.length === 0) return [];
  switch (rewardFunction) {
    case "list":
      for (const amount of list) requireTaken("list", amount, pot);
      requireTaken("list", sumOf(list), pot);
      return scores.map((_, rank) => list[rank] ?? 0n);
    case "winner-takes-all":
      return scores.map((_, rank) => (rank === 0 ? pot : 0n));
    case "by-rank":
      return weighed(
        pot,
        scores.map((_, rank) => BigInt(scores.length - rank)),
      );
    case "by-score":
      return sumOf(scores) === 0n ? evenly(pot, scores.length) : weighed(pot, scores);
    case "even":
    case "none":
      return evenly(pot, scores.length);
  }
}

function evenly(pot: bigint, count: number): bigint[] {
  return weighed(
    pot,
    Array.from({ length: count }, () => 1n),
  );
}

/** In proportion to the weights, rounded down; the first gets the rest, too. */
function weighed(pot: bigint, weights: readonly bigint[]): bigint[] {
  const total = sumOf(weights);
  const amounts = weights.map((weight) => (pot * weight) / total);
  const rest = pot - sumOf(amounts);
  return amounts.map((amount, rank) => (rank === 0 ? amount + rest : amount));
}

function sumOf(amounts: readonly bigint[]): bigint {
  return amounts.reduce((sum, amount) => sum + amount, 0n);
}

function requireTaken(name: string, actual: bigint, most: bigint): void {
  if (actual >= 0n && actual <= most) return;
  throw new SuretyError("REWARD_INVALID", `${name} is ${actual}, expected 0 to ${most}`, {
    details: { name, actual: actual.toString(), most: most.toString() },
  });
}
