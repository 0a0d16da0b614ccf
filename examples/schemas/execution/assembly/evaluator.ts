import { Call } from "surety/call";
import { hits } from "./darts";
import { Evaluation, EvaluationResult, WorkerResult } from "./messages";

/** Throws every worker's darts again, from the worker's own seed; who says something else is left out. */
export function ThrowAgain(evaluation: Evaluation, call: Call): EvaluationResult {
  const darts = evaluation.request!.darts;
  const workers: WorkerResult[] = evaluation.workers!.workers;
  const result = new EvaluationResult();
  let all: u64 = 0;
  for (let i = 0; i < workers.length; i++) {
    const response = workers[i].response;
    if (response == null) continue;
    const found = hits(darts, call.seedOf(workers[i].node));
    if (response.hits != found || response.estimate != (4.0 * <f64>found) / max<f64>(1.0, <f64>darts)) continue;
    result.node.push(workers[i].node);
    result.score.push(1.0);
    all += found;
  }
  const thrown = max<f64>(1.0, <f64>darts * <f64>result.node.length);
  result.report = "all together: " + ((4.0 * <f64>all) / thrown).toString();
  return result;
}
