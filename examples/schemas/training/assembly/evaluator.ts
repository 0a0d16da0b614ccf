import { Call } from "surety/call";
import { Evaluation, EvaluationResult, WorkerResult } from "./messages";
import { Network, readRows } from "./network";

/** A coin's score is a half; who is to be paid must know more. */
const LEAST = 0.55;

class Judged {
  constructor(
    public node: string,
    public score: f64,
    public right: i32,
  ) {}
}

/**
 * Scores by the chance that a network gave to what is true, on average (its geometric mean): to be sure and wrong costs
 * most. Leaves out who does hardly better than a coin.
 */
export function Examine(evaluation: Evaluation, call: Call): EvaluationResult {
  const request = evaluation.request!;
  const workers: WorkerResult[] = evaluation.workers!.workers;
  const testData = call.testData("rows.csv");
  if (testData == null) throw new Error("there is no test data to judge by");
  const rows = readRows(testData);
  const judged: Judged[] = [];
  for (let i = 0; i < workers.length; i++) {
    const response = workers[i].response;
    if (response == null || response.weight.length != Network.size(request.inputs, request.hidden)) continue;
    const found = examine(workers[i].node, new Network(request.inputs, request.hidden, response.weight), rows);
    if (found.score > LEAST) judged.push(found);
  }
  judged.sort((a, b) => (a.score > b.score ? -1 : a.score < b.score ? 1 : 0));
  const result = new EvaluationResult();
  for (let i = 0; i < judged.length; i++) {
    result.node.push(judged[i].node);
    result.score.push(judged[i].score);
  }
  if (judged.length > 0) {
    result.report = "the best is right in " + judged[0].right.toString() + " of " + rows.length.toString();
  }
  return result;
}

function examine(node: string, network: Network, rows: f64[][]): Judged {
  let sum = 0.0;
  let right = 0;
  for (let i = 0; i < rows.length; i++) {
    const yes = network.answer(rows[i]);
    const chance = rows[i][network.inputs] > 0.5 ? yes : 1.0 - yes;
    sum += Math.log(max<f64>(1e-12, chance));
    if (chance > 0.5) right++;
  }
  return new Judged(node, Math.exp(sum / max<f64>(1.0, rows.length)), right);
}
