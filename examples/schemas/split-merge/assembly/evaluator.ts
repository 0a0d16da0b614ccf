import { Call } from "surety/call";
import { merge } from "./merging";
import { Evaluation, EvaluationResult, WorkerResult } from "./messages";

/** Merges again; leaves out who came to something else. */
export function MergeAgain(evaluation: Evaluation, call: Call): EvaluationResult {
  const workers: WorkerResult[] = evaluation.workers!.workers;
  const merged = merge(evaluation.request!.sortedCid, call);
  const result = new EvaluationResult();
  for (let i = 0; i < workers.length; i++) {
    const response = workers[i].response;
    if (response == null || response.mergedCid.length == 0) continue;
    const found = call.tryContent(response.mergedCid, "numbers");
    if (found == null || !isSame(found, merged)) continue;
    result.node.push(workers[i].node);
    result.score.push(1.0);
  }
  result.report = result.node.length.toString() + " of " + workers.length.toString() + " merged them";
  return result;
}

function isSame(one: Uint8Array, other: Uint8Array): bool {
  return one.length == other.length && memory.compare(one.dataStart, other.dataStart, one.length) == 0;
}
