import { Call } from "surety/call";
import { Request, WorkerReply } from "./messages";
import { round, State } from "./training";

/** Goes on for one round: called again with what it left, until all rounds are over. */
export function Train(request: Request, call: Call): WorkerReply {
  const seed = call.seed;
  const checkpoint = call.checkpoint;
  const before = checkpoint == null ? State.start(seed) : State.decode(checkpoint);
  if (before == null) throw new Error("the checkpoint is not mine");
  const after = round(before, request, seed);
  const reply = new WorkerReply();
  if (after.round < request.rounds) call.continueFrom(after.encode());
  else {
    reply.slope = after.slope;
    reply.offset = after.offset;
  }
  return reply;
}
