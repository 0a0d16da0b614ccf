import { Call } from "surety/call";
import { merge } from "./merging";
import { Request, WorkerReply } from "./messages";

export function Merge(request: Request, call: Call): WorkerReply {
  call.publish("merged_cid", "numbers", merge(request.sortedCid, call));
  return new WorkerReply();
}
