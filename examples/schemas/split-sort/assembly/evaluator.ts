import { Call } from "surety/call";
import { Evaluation, EvaluationResult, WorkerResult } from "./messages";

/** Leaves out whose numbers do not rise, or are not those of the part. */
export function CheckSorted(evaluation: Evaluation, call: Call): EvaluationResult {
  const part = numbersOf(call, evaluation.request!.partCid);
  const workers: WorkerResult[] = evaluation.workers!.workers;
  // Drawn when all replies are fixed: nobody can look for other numbers with the same sum before.
  const key = call.random.bits();
  const expected = sumOf(part, key);
  const result = new EvaluationResult();
  for (let i = 0; i < workers.length; i++) {
    const response = workers[i].response;
    if (response == null || response.sortedCid.length == 0) continue;
    const sorted = numbersOf(call, response.sortedCid);
    if (!rises(sorted) || sumOf(sorted, key) != expected) continue;
    result.node.push(workers[i].node);
    result.score.push(1.0);
  }
  result.report = result.node.length.toString() + " of " + workers.length.toString() + " sorted it";
  return result;
}

/** What is no list of numbers is an empty one. */
function numbersOf(call: Call, cid: string): Uint32Array {
  const file = call.tryContent(cid, "numbers");
  if (file == null || file.length % 4 != 0) return new Uint32Array(0);
  return Uint32Array.wrap(file.buffer);
}

function rises(numbers: Uint32Array): bool {
  for (let i = 1; i < numbers.length; i++) if (numbers[i - 1] > numbers[i]) return false;
  return true;
}

/** The same for the same numbers in any order: each is mixed with the key, as splitmix64 does it, and added. */
function sumOf(numbers: Uint32Array, key: u64): u64 {
  let sum: u64 = 0;
  for (let i = 0; i < numbers.length; i++) {
    let mixed = key + (<u64>numbers[i] + 1) * 0x9e3779b97f4a7c15;
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111eb;
    sum += mixed ^ (mixed >> 31);
  }
  return sum;
}
