import { Call } from "surety/call";
import { Random } from "surety/random";
import { Board, LINES } from "./board";
import { Request, WorkerReply } from "./messages";
import { anyMove, bestMove, isPolicy, patternOf, valueOf, WEIGHTS } from "./policy";

/** Learns from games on record, then from games against itself: after each move, what it means for the one before. */
export function LearnToPlay(request: Request, call: Call): WorkerReply {
  const random = call.random;
  const reply = new WorkerReply();
  for (let i = 0; i < WEIGHTS; i++) reply.weight.push(0);
  if (isPolicy(request.start)) reply.weight = request.start;
  for (let i = 0; i < request.record.length; i++) replay(request.record[i], request.rate, reply.weight);
  for (let game: u32 = 0; game < request.games; game++) playAlone(request, random, reply.weight);
  return reply;
}

function playAlone(request: Request, random: Random, weights: f32[]): void {
  const board = new Board();
  while (!board.isOver) {
    const byLot = random.next() < request.curiosity;
    learnMove(board, byLot ? anyMove(board, random) : bestMove(board, weights), request.rate, weights);
  }
}

/** A game as far as it is one. */
function replay(record: string, rate: f64, weights: f32[]): void {
  const board = new Board();
  for (let i = 0; i < record.length && !board.isOver; i++) {
    const column = record.charCodeAt(i) - 48;
    if (!board.canPlay(column)) return;
    learnMove(board, column, rate, weights);
  }
}

/** Plays a move. What is good for the one who made it is as bad for the one before. */
function learnMove(board: Board, column: i32, rate: f64, weights: f32[]): void {
  const value = valueOf(board, weights);
  const patterns: i32[] = [];
  for (let line = 0; line < LINES.length; line++) patterns.push(patternOf(board, line));
  board.play(column);
  const outcome = board.winner == 0 && board.isOver ? 0.0 : -valueOf(board, weights);
  const step = (rate * (outcome - value) * (1.0 - value * value)) / <f64>LINES.length;
  for (let line = 0; line < patterns.length; line++) weights[patterns[line]] += <f32>step;
}
