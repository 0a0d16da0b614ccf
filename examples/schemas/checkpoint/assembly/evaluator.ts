import { Call } from "surety/call";
import { Random } from "surety/random";
import { Evaluation, EvaluationResult, Request, WorkerReply, WorkerResult } from "./messages";
import { loss, round, State } from "./training";

class Judged {
  constructor(
    public node: string,
    public loss: f64,
  ) {}
}

/** Runs a few rounds of every worker again, drawn after all had committed to theirs; ranks by the loss. */
export function CheckTraining(evaluation: Evaluation, call: Call): EvaluationResult {
  const request = evaluation.request!;
  const workers: WorkerResult[] = evaluation.workers!.workers;
  const random = call.random;
  const judged: Judged[] = [];
  let wrong = 0;
  for (let i = 0; i < workers.length; i++) {
    const response = workers[i].response;
    if (response == null || !isHonest(workers[i].node, request, response, call, random)) wrong++;
    else {
      const found = loss(response.slope, response.offset, request);
      if (isFinite(found)) judged.push(new Judged(workers[i].node, found));
    }
  }
  judged.sort((a, b) => (a.loss < b.loss ? -1 : a.loss > b.loss ? 1 : 0));
  const result = new EvaluationResult();
  for (let i = 0; i < judged.length; i++) {
    result.node.push(judged[i].node);
    result.score.push(1.0 / (1.0 + judged[i].loss));
  }
  result.report = wrong.toString() + " of " + workers.length.toString() + " did not train as they say";
  return result;
}

/** The last round is looked at always, since the reply is its end; others by lot. */
function isHonest(node: string, request: Request, response: WorkerReply, call: Call, random: Random): bool {
  const rounds = <i32>request.rounds;
  const end = new State();
  end.round = request.rounds;
  end.slope = response.slope;
  end.offset = response.offset;
  if (call.checkpointOf(node, rounds - 1) != null) return false;
  if (!isRound(node, rounds, end, request, call)) return false;
  for (let spot: u32 = 0; spot < request.spots && rounds > 1; spot++) {
    const number = 1 + <i32>random.below(rounds - 1);
    const after = State.decode(call.checkpointOf(node, number - 1));
    if (after == null || !isRound(node, number, after, request, call)) return false;
  }
  return true;
}

/** Whether a round, counted from 1, leads from the checkpoint before it to its end. */
function isRound(node: string, number: i32, after: State, request: Request, call: Call): bool {
  const seed = call.seedOf(node);
  let before: State | null = State.start(seed);
  if (number > 1) before = State.decode(call.checkpointOf(node, number - 2));
  if (before == null || <i32>before.round != number - 1) return false;
  return round(before, request, seed).equals(after);
}
