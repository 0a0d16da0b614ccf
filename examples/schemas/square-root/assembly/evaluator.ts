import { Call } from "surety/call";
import { Evaluation, EvaluationResult, WorkerResult } from "./messages";

/** How far a worker is from the root. */
class Judged {
  constructor(
    public node: string,
    public loss: f64,
  ) {}
}

/** Sorts by the closest answer; leaves out what is no answer, or farther off than not trying. */
export function EvaluateRoot(evaluation: Evaluation, call: Call): EvaluationResult {
  const y = <f64>evaluation.request!.y;
  const workers: WorkerResult[] = evaluation.workers!.workers;
  const judged: Judged[] = [];
  for (let i = 0; i < workers.length; i++) {
    const response = workers[i].response;
    if (response == null) continue;
    const x = <f64>response.x;
    const loss = abs(y - x * x);
    if (isFinite(loss) && x >= 0.0 && loss < max<f64>(1.0, y)) judged.push(new Judged(workers[i].node, loss));
  }
  // Who is as close as another comes in the order of the addresses, as they were given.
  judged.sort((a, b) => (a.loss < b.loss ? -1 : a.loss > b.loss ? 1 : 0));
  const result = new EvaluationResult();
  for (let i = 0; i < judged.length; i++) {
    result.node.push(judged[i].node);
    result.score.push(1.0 / (1.0 + judged[i].loss));
  }
  if (judged.length > 0) result.report = "the best is off by " + judged[0].loss.toString();
  return result;
}
