import type { V1ContainerStatus, V1Pod } from "@kubernetes/client-node";
import { z } from "zod";
import type { TaskExit } from "../executor.ts";

/** Names of a pod's containers, in the order in which they begin. */
export const CONTAINER = { intake: "intake", keeper: "keeper", task: "task" } as const;

/** How far a task's pod is. */
export type PodState =
  /** It has not begun; `why` in the cluster's words, where it says. */
  | { at: "waiting"; why?: string; unschedulable?: boolean }
  /** It waits for its input. */
  | { at: "intake" }
  | { at: "running" }
  | { at: "ended"; exit: TaskExit; milliseconds: number }
  /** It will not come to a result, and not for the program's sake. */
  | { at: "lost"; code: "EXECUTOR_FAILED" | "IMAGE_UNAVAILABLE"; why: string };

/** Why a container's image is not there. */
const PULL_FAULTS = new Set(["ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName", "RegistryUnavailable"]);
/** Why a container whose image is there does not begin. */
const START_FAULTS = new Set(["CreateContainerConfigError", "CreateContainerError", "RunContainerError"]);

/** What the carrier says of a task as its last words, see `deploy/kubernetes/carrier/run.go`. */
const report = z.strictObject({
  code: z.int().min(0).max(255).optional(),
  limit: z.enum(["time", "output"]).optional(),
  failed: z.string().optional(),
  milliseconds: z.int().min(0),
});

/** Reads from a pod how its task is. */
export function stateOf(pod: V1Pod): PodState {
  const { status = {}, metadata = {} } = pod;
  if (metadata.deletionTimestamp !== undefined) return lost("the pod was deleted");
  // Evicted, preempted, its machine shut down or lost: whatever it left then is no result.
  if (status.reason) return lost(`${status.reason}: ${status.message ?? ""}`);
  const disruption = status.conditions?.find(({ type, status: is }) => type === "DisruptionTarget" && is === "True");
  if (disruption) return lost(`${disruption.reason ?? "disrupted"}: ${disruption.message ?? ""}`);

  const all = [...(status.initContainerStatuses ?? []), ...(status.containerStatuses ?? [])];
  const of = (name: string): V1ContainerStatus["state"] => all.find((each) => each.name === name)?.state;
  for (const { image, state } of all) {
    const { reason = "", message = "" } = state?.waiting ?? {};
    if (PULL_FAULTS.has(reason)) {
      return { at: "lost", code: "IMAGE_UNAVAILABLE", why: `${image}: ${reason}: ${message}` };
    }
    if (START_FAULTS.has(reason)) return lost(`${image}: ${reason}: ${message}`);
  }
  const ended = of(CONTAINER.task)?.terminated;
  if (ended) return endOf(ended);
  const intake = of(CONTAINER.intake)?.terminated;
  if (intake && intake.exitCode !== 0) return lost(`the input did not get in: ${intake.message ?? intake.reason}`);
  const keeper = of(CONTAINER.keeper)?.terminated;
  if (keeper) return lost(`what holds the output has ended: ${keeper.reason}`);
  if (status.phase === "Failed" || status.phase === "Succeeded") return lost(`the pod has ended: ${status.phase}`);
  if (of(CONTAINER.task)?.running) return { at: "running" };
  if (of(CONTAINER.intake)?.running) return { at: "intake" };

  const place = status.conditions?.find(({ type }) => type === "PodScheduled");
  if (place?.status === "False") {
    return { at: "waiting", unschedulable: place.reason === "Unschedulable", why: place.message ?? place.reason };
  }
  const waiting = all.find(({ state }) => state?.waiting)?.state?.waiting;
  return { at: "waiting", why: [waiting?.reason, waiting?.message].filter(Boolean).join(": ") || undefined };
}

/**
 * How the task's container ended. What stopped it counts for more than the status it left, as with containers of an
 * engine, see `docker/exit.ts`.
 */
function endOf({ reason = "", exitCode, message = "" }: TerminatedState): PodState {
  // The kernel killed one of its processes for want of memory, whatever became of the others.
  const outOfMemory = reason === "OOMKilled";
  const said = reportIn(message);
  if (said?.failed !== undefined) return lost(said.failed);
  const milliseconds = said?.milliseconds ?? 0;
  if (said?.limit !== undefined) return { at: "ended", exit: { limit: said.limit }, milliseconds };
  if (outOfMemory) return { at: "ended", exit: { limit: "memory" }, milliseconds };
  if (said?.code !== undefined) return { at: "ended", exit: { code: said.code }, milliseconds };
  return lost(`the task's container ended by ${reason || "something"}, status ${exitCode}: ${message}`);
}

type TerminatedState = NonNullable<NonNullable<V1ContainerStatus["state"]>["terminated"]>;

function reportIn(message: string): z.infer<typeof report> | undefined {
  try {
    return report.safeParse(JSON.parse(message)).data;
  } catch {
    return undefined;
  }
}

function lost(why: string): PodState {
  return { at: "lost", code: "EXECUTOR_FAILED", why };
}
