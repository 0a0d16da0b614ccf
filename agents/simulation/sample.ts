import { Random } from "./random.ts";
import { REQUESTERS, STRATEGIES, type RequesterName, type StrategyName } from "./strategies.ts";
import type { WorldOptions } from "./world.ts";

/**
 * A small world chosen at random, one batch of which is to be replayed on the contracts: any requester, any mixture of
 * nodes, any terms.
 */
export function sampleWorld(seed: number): Partial<WorldOptions> {
  const random = new Random(seed);
  const names = Object.keys(STRATEGIES) as StrategyName[];
  const strategies: WorldOptions["strategies"] = {};
  for (let i = 0; i < 3; i += 1) strategies[random.pick(names)] = random.pick([0.1, 0.2, 0.3]);
  const requester = random.pick<RequesterName>([
    "honest",
    "honest",
    "honest",
    "honest",
    ...(Object.keys(REQUESTERS) as RequesterName[]),
  ]);
  const quorum = random.pick([3, 3, 5]);
  const rate = random.pick([150_000, 400_000, 1_000_000]);
  return {
    seed,
    nodes: quorum === 3 ? 36 : 56,
    strategies,
    requester,
    quorum,
    adaptive: rate < 1_000_000 && random.chance(0.6),
    fullSlash: random.chance(0.8),
    rate,
    tasks: 12,
    slices: 3,
    asleep: random.pick([0, 0, 0.1, 0.4]),
    planted: random.pick([0, 0, 0.25]),
  };
}
