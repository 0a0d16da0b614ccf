import type { Storage } from "#sdk/storage.ts";
import type { Ask } from "./ask.ts";
import { asContent } from "./penguins.ts";

/** Training on data in shards, with the requester as parameter server. */
export interface ParallelTraining {
  /** Of the schema `data-parallelism`. */
  ask: Ask;
  /** Where workers fetch shards from. */
  storage: Pick<Storage, "add">;
  /** In each row, the last number is to be told from those before. */
  shards: readonly (readonly number[][])[];
  rounds: number;
  /** How far a step goes, how often a worker passes over its shard in a round, how far weights may move in one. */
  rate: number;
  passes: number;
  reach: number;
  signal?: AbortSignal;
  onRound?: (round: Round) => void;
}

/** Where training is after a round. */
export interface Round {
  /** From 1; 0 is the beginning. */
  round: number;
  weight: number[];
  /** Mean squared error over all shards. */
  loss: number;
  /** Shards that somebody answered for. */
  answered: number;
}

/**
 * Trains in rounds. In each it asks for every shard at once, with the current weights; then it averages the best replies.
 * A shard that nobody answered for does without in that round.
 *
 * @returns the beginning and every round
 */
export async function trainInParallel({
  ask,
  storage,
  shards,
  rounds,
  signal,
  onRound,
  ...terms
}: ParallelTraining): Promise<Round[]> {
  const cids = await Promise.all(shards.map((rows) => storage.add(asContent(rows), { signal })));
  const rows = shards.flat();
  let weight = new Array<number>(rows[0]?.length ?? 0).fill(0);
  const history: Round[] = [{ round: 0, weight, loss: lossOf(weight, rows), answered: 0 }];
  for (let round = 1; round <= rounds; round += 1) {
    const answers = await Promise.all(cids.map((shardCid) => ask({ shardCid, weight, ...terms }, { signal })));
    const best = answers.flatMap(({ ranked: [first] }) => (first ? [first.reply["weight"] as number[]] : []));
    if (best.length > 0) weight = weight.map((_, index) => average(best.map((each) => each[index]!)));
    history.push({ round, weight, loss: lossOf(weight, rows), answered: best.length });
    onRound?.(history.at(-1)!);
  }
  return history;
}

function lossOf(weight: readonly number[], rows: readonly number[][]): number {
  return average(
    rows.map(
      (row) => row.reduce((sum, value, i) => sum + weight[i]! * (i < row.length - 1 ? value : 1), -row.at(-1)!) ** 2,
    ),
  );
}

function average(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
