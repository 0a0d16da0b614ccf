import type { Ask, Message } from "./ask.ts";

/** Seasons of self-play, each learning from the last one's games. */
export interface League {
  /** Of the schema `self-play`. */
  ask: Ask;
  seasons: number;
  /** Of every season: what the schema's request takes beside `start` and `record`. */
  terms: { games: number; rate: number; curiosity: number; openings: number };
  signal?: AbortSignal;
}

/** How a season ended. */
export interface Season {
  /** The winner's policy. */
  weight: number[];
  score: number | undefined;
  /** How many policies are known to have played, and the games they played. */
  players: number;
  record: string[];
}

/**
 * Plays season after season: whoever takes part in the next begins with the last one's best policy and learns from its
 * games. Ends early when nobody plays.
 */
export async function playLeague({ ask, seasons, terms, signal }: League): Promise<Season[]> {
  const history: Season[] = [];
  while (history.length < seasons) {
    const last = history.at(-1);
    const learnt: Message = last ? { start: last.weight, record: last.record } : {};
    const { ranked, report } = await ask({ ...terms, ...learnt }, { signal });
    const [best] = ranked;
    if (best === undefined) break;
    const { score } = best;
    history.push({
      weight: best.reply["weight"] as number[],
      score,
      players: ranked.length,
      record: recordsOf(report),
    });
  }
  return history;
}

/** Games in the evaluator's report: a line of columns each. */
export function recordsOf(report: string): string[] {
  return report.split("\n").filter((line) => /^[0-4]+$/.test(line));
}
