import { Call } from "surety/call";
import { Request, WorkerReply } from "./messages";
import { distance, errorOf, readRows } from "./model";

/** Goes over the shard row by row, in an order of its own, no farther than it may. */
export function TrainOnShard(request: Request, call: Call): WorkerReply {
  const random = call.random;
  const rows = readRows(call.content(request.shardCid, "rows.csv"));
  const weights = request.weight.slice(0);
  const steps = <u32>rows.length * request.passes;
  for (let step: u32 = 0; step < steps; step++) {
    const row = rows[random.below(rows.length)];
    const error = errorOf(weights, row);
    const last = row.length - 1;
    for (let i = 0; i < last; i++) weights[i] -= request.rate * error * row[i];
    weights[last] -= request.rate * error;
  }
  const far = distance(weights, request.weight) / (0.999 * request.reach);
  const reply = new WorkerReply();
  for (let i = 0; i < weights.length; i++) {
    const from = request.weight[i];
    reply.weight.push(far > 1.0 ? from + (weights[i] - from) / far : weights[i]);
  }
  return reply;
}
