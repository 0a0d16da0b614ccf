import { Random } from "surety/random";
import { Board, COLUMNS, KINDS, LINES } from "./board";

/** Patterns of four places that are each free, own or the other's: 3 * 3 * 3 * 3. */
const PATTERNS = 81;

/** One for each pattern along, up and aslant. */
export const WEIGHTS = 3 * PATTERNS;

/** Whether a list of weights is a policy: as many as there are patterns, and each a number. */
export function isPolicy(weights: f32[]): bool {
  if (weights.length != WEIGHTS) return false;
  for (let i = 0; i < WEIGHTS; i++) if (!isFinite(weights[i])) return false;
  return true;
}

/** What a board is worth to the one who just moved, from -1 (lost) to 1 (won). */
export function valueOf(board: Board, weights: f32[]): f64 {
  if (board.winner != 0) return 1.0;
  let sum = 0.0;
  for (let i = 0; i < LINES.length; i++) sum += weights[patternOf(board, i)];
  return Math.tanh(sum);
}

/** Which weight a line of the board counts with. */
export function patternOf(board: Board, line: i32): i32 {
  const places = LINES[line];
  let pattern = 0;
  for (let k = 0; k < 4; k++) {
    const stone = board.places[places[k]];
    pattern = 3 * pattern + (stone == 0 ? 0 : stone == board.player ? 2 : 1);
  }
  return KINDS[line] * PATTERNS + pattern;
}

/** The column after which the board is worth most; the leftmost of equals. */
export function bestMove(board: Board, weights: f32[]): i32 {
  let best = -1;
  let most = -Infinity;
  for (let column = 0; column < COLUMNS; column++) {
    if (!board.canPlay(column)) continue;
    board.play(column);
    const value = valueOf(board, weights);
    board.takeBack();
    if (value > most) {
      most = value;
      best = column;
    }
  }
  return best;
}

/** A column by lot. */
export function anyMove(board: Board, random: Random): i32 {
  let column = <i32>random.below(COLUMNS);
  while (!board.canPlay(column)) column = (column + 1) % COLUMNS;
  return column;
}
