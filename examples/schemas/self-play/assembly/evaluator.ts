import { Call } from "surety/call";
import { Random } from "surety/random";
import { Board } from "./board";
import { Evaluation, EvaluationResult, Request, WorkerResult } from "./messages";
import { anyMove, bestMove, isPolicy, WEIGHTS } from "./policy";

/** Characters of the report that records may fill. */
const MOST_RECORDED = 60000;

class Player {
  points: f64 = 0;
  games: i32 = 0;

  constructor(
    public node: string,
    public weights: f32[],
  ) {}

  get score(): f64 {
    return this.points / max<f64>(1.0, this.games);
  }

  /** One without weights moves by lot, unless it can win at once. */
  move(board: Board, random: Random): i32 {
    if (this.weights.length > 0) return bestMove(board, this.weights);
    const column = bestMove(board, NOTHING);
    board.play(column);
    const wins = board.winner != 0;
    board.takeBack();
    return wins ? column : anyMove(board, random);
  }
}

const NOTHING: f32[] = new Array<f32>(WEIGHTS).fill(0);

/** Every two play each other from openings by lot, each side once; everybody plays a beginner, too. */
export function Tournament(evaluation: Evaluation, call: Call): EvaluationResult {
  const request = evaluation.request!;
  const random = call.random;
  const result = new EvaluationResult();
  const players = qualified(evaluation.workers!.workers, request, random);
  const records: string[] = [];
  for (let i = 0; i < players.length; i++) {
    for (let k = i + 1; k < players.length; k++) match(players[i], players[k], request.openings, random, records);
  }
  players.sort((a, b) => (a.score > b.score ? -1 : a.score < b.score ? 1 : 0));
  for (let i = 0; i < players.length; i++) {
    result.node.push(players[i].node);
    result.score.push(players[i].score);
  }
  result.report = players.length.toString() + " of " + evaluation.workers!.workers.length.toString() + " played\n";
  for (let i = 0; i < records.length && result.report.length < MOST_RECORDED; i++) result.report += records[i] + "\n";
  return result;
}

/** Who sent a policy, and got two points of three against a beginner. */
function qualified(workers: WorkerResult[], request: Request, random: Random): Player[] {
  const players: Player[] = [];
  for (let i = 0; i < workers.length; i++) {
    const response = workers[i].response;
    if (response == null || !isPolicy(response.weight)) continue;
    const player = new Player(workers[i].node, response.weight);
    match(player, new Player("", []), 10 * request.openings, random, []);
    if (3.0 * player.score >= 2.0) players.push(player);
  }
  return players;
}

function match(one: Player, other: Player, openings: u32, random: Random, records: string[]): void {
  for (let i: u32 = 0; i < openings; i++) {
    const first = new Board();
    first.play(anyMove(first, random));
    first.play(anyMove(first, random));
    const second = new Board();
    for (let k = 0; k < 2; k++) second.play(first.moves[k]);
    records.push(play(first, one, other, random));
    records.push(play(second, other, one, random));
  }
}

/** Plays to the end: gives the points, and the record of the game. */
function play(board: Board, one: Player, two: Player, random: Random): string {
  while (!board.isOver) board.play((board.player == 1 ? one : two).move(board, random));
  one.points += board.winner == 1 ? 1.0 : board.winner == 2 ? 0.0 : 0.5;
  two.points += board.winner == 2 ? 1.0 : board.winner == 1 ? 0.0 : 0.5;
  one.games++;
  two.games++;
  return board.record;
}
