import { Call } from "surety/call";
import { Request, WorkerReply } from "./messages";

export function Sort(request: Request, call: Call): WorkerReply {
  const numbers = Uint32Array.wrap(call.content(request.partCid, "numbers").buffer);
  numbers.sort();
  call.publish("sorted_cid", "numbers", Uint8Array.wrap(numbers.buffer));
  return new WorkerReply();
}
