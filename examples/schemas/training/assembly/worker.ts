import { Call } from "surety/call";
import { Request, WorkerReply } from "./messages";
import { Network, readRows } from "./network";

/** Goes over the rows from a start and in an order of its own. */
export function Train(request: Request, call: Call): WorkerReply {
  const random = call.random;
  const rows = readRows(call.content(request.trainingCid, "rows.csv"));
  const network = Network.begin(request.inputs, request.hidden, random);
  const steps = <u32>rows.length * request.passes;
  for (let step: u32 = 0; step < steps; step++) network.learn(rows[random.below(rows.length)], request.rate);
  const reply = new WorkerReply();
  reply.weight = network.weights;
  return reply;
}
