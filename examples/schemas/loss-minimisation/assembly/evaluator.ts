import { Call } from "surety/call";
import { Evaluation, EvaluationResult, Request, WorkerReply, WorkerResult } from "./messages";
import { lossOf } from "./wave";

class Judged {
  constructor(
    public node: string,
    public loss: f64,
  ) {}
}

/** Reckons every loss itself; leaves out who says another, or comes to no less than doing nothing. */
export function CompareLosses(evaluation: Evaluation, call: Call): EvaluationResult {
  const request: Request = evaluation.request!;
  const workers: WorkerResult[] = evaluation.workers!.workers;
  const nothing = lossOf(new WorkerReply(), request);
  const judged: Judged[] = [];
  for (let i = 0; i < workers.length; i++) {
    const wave = workers[i].response;
    if (wave == null) continue;
    const loss = lossOf(wave, request);
    // What is no number is equal to nothing, not even to itself.
    if (loss == wave.loss && loss < nothing) judged.push(new Judged(workers[i].node, loss));
  }
  judged.sort((a, b) => (a.loss < b.loss ? -1 : a.loss > b.loss ? 1 : 0));
  const result = new EvaluationResult();
  for (let i = 0; i < judged.length; i++) {
    result.node.push(judged[i].node);
    result.score.push(1.0 / (1.0 + judged[i].loss));
  }
  result.report = judged.length == 0 ? "nobody came lower" : "lowest loss " + judged[0].loss.toString();
  return result;
}
