import { Call } from "surety/call";
import { Evaluation, EvaluationResult, WorkerResult } from "./messages";
import { distance, lossOf, readRows } from "./model";

class Judged {
  constructor(
    public node: string,
    public loss: f64,
  ) {}
}

/** Ranks by the loss on the shard; leaves out whose weights are no better than before, or moved too far. */
export function CompareOnShard(evaluation: Evaluation, call: Call): EvaluationResult {
  const request = evaluation.request!;
  const workers: WorkerResult[] = evaluation.workers!.workers;
  const rows = readRows(call.content(request.shardCid, "rows.csv"));
  const before = lossOf(request.weight, rows);
  const judged: Judged[] = [];
  for (let i = 0; i < workers.length; i++) {
    const response = workers[i].response;
    if (response == null || response.weight.length != request.weight.length) continue;
    const loss = lossOf(response.weight, rows);
    if (loss < before && distance(response.weight, request.weight) <= request.reach) {
      judged.push(new Judged(workers[i].node, loss));
    }
  }
  judged.sort((a, b) => (a.loss < b.loss ? -1 : a.loss > b.loss ? 1 : 0));
  const result = new EvaluationResult();
  for (let i = 0; i < judged.length; i++) {
    result.node.push(judged[i].node);
    result.score.push(1.0 - judged[i].loss / before);
  }
  result.report = "loss on the shard before: " + before.toString();
  return result;
}
