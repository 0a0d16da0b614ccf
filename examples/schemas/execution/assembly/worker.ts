import { Call } from "surety/call";
import { hits } from "./darts";
import { Request, WorkerReply } from "./messages";

export function Throw(request: Request, call: Call): WorkerReply {
  const reply = new WorkerReply();
  reply.hits = hits(request.darts, call.seed);
  reply.estimate = (4.0 * <f64>reply.hits) / max<f64>(1.0, <f64>request.darts);
  return reply;
}
