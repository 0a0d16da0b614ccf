import { SuretyError } from "#sdk/errors.ts";
import type { Mode } from "#sdk/terms.ts";
import type { JobStatus, TaskStatus } from "../requester/spool.ts";
import type { ClientJob } from "./client-ledger.ts";
import { messageOf } from "./call-error.ts";
import { jobStates, type Job, type JobEventKind, type JobStateName, type Task } from "./messages.ts";

/** What a client sees of a job. */
export function jobView(
  status: JobStatus,
  { client, cancelRequested, lastEvent }: { client: ClientJob; cancelRequested: boolean; lastEvent: number },
): Job {
  const { ticket, name, state, batchId = "", jobId = "", counts, money, error, results = [] } = status;
  return {
    id: ticket,
    name,
    state: `JOB_STATE_${state.toUpperCase()}` as JobStateName,
    batchId,
    termsId: jobId,
    counts: { ...counts },
    money: { ...money },
    error: error ? messageOf(new SuretyError(error.code, error.message, { fix: error.fix })) : null,
    tasks: results.map(taskView),
    acceptedAt: client.acceptedAt,
    idempotencyKey: client.key,
    reserved: client.cost === undefined ? String(client.limit) : "0",
    cost: client.cost === undefined ? "" : String(client.cost),
    cancelRequested,
    lastEvent,
  };
}

function taskView({ task, outcome, output = "", node = "", exit }: TaskStatus): Task {
  const common = { task, outcome, output, node };
  if (!exit) return common;
  if ("limit" in exit) return { ...common, exit: "limit", limit: exit.limit };
  if ("trap" in exit) return { ...common, exit: "trap", trap: exit.trap };
  return { ...common, exit: "code", code: exit.code };
}

/** Whether nothing more happens to it. */
export function hasEnded({ state }: Pick<Job, "state">): boolean {
  return state === "JOB_STATE_SETTLED" || state === "JOB_STATE_FAILED";
}

/** What a job cost that has ended, base units: all that was locked and did not come back. */
export function costOf({ money: { escrow, bond, returned } }: Pick<JobStatus, "money">): bigint {
  return BigInt(escrow) + BigInt(bond) - BigInt(returned);
}

/**
 * What happened to a job between two looks at it, in the order it happens in. Pure: the same looks give the same events, so
 * that nothing is told twice after a restart.
 *
 * @param mode What is `trusted` is never sealed, revealed or judged.
 */
export function eventsBetween(before: Job, after: Job, mode: Mode): JobEventKind[] {
  const kinds: JobEventKind[] = [];
  const rose = (name: keyof Job["counts"]): boolean => after.counts[name] > before.counts[name];
  const fell = (name: keyof Job["counts"]): boolean => after.counts[name] < before.counts[name];
  const isNewBatch = after.batchId !== "" && after.batchId !== before.batchId;
  const from = isNewBatch ? -1 : rankOf(before);
  const reached = (state: JobStateName): boolean => {
    const rank = jobStates.indexOf(state);
    return mode !== "trusted" && !hasEnded(after) && from < rank && rankOf(after) >= rank;
  };

  // Claims can be void. Nothing else that was counted goes away, and no batch goes back, unless its blocks did.
  const wentBack = after.batchId !== "" && rankOf(after) < from;
  if (wentBack || fell("submitted") || fell("sampled") || fell("answered") || fell("settled"))
    kinds.push("JOB_EVENT_KIND_REWOUND");
  if (isNewBatch) kinds.push("JOB_EVENT_KIND_BATCH_POSTED");
  if (rose("claimed")) kinds.push("JOB_EVENT_KIND_TASKS_CLAIMED");
  if (rose("submitted")) kinds.push("JOB_EVENT_KIND_RESULTS_SUBMITTED");
  if (reached("JOB_STATE_SEALED")) kinds.push("JOB_EVENT_KIND_BATCH_SEALED");
  if (reached("JOB_STATE_REVEALED")) kinds.push("JOB_EVENT_KIND_SEED_REVEALED");
  if (rose("answered")) kinds.push("JOB_EVENT_KIND_CHECKS_ANSWERED");
  if (rose("accused")) kinds.push("JOB_EVENT_KIND_NODE_ACCUSED");
  if (reached("JOB_STATE_JUDGED")) kinds.push("JOB_EVENT_KIND_BATCH_JUDGED");
  if (rose("contended")) kinds.push("JOB_EVENT_KIND_DISPUTE_OPENED");
  if (fell("contended")) kinds.push("JOB_EVENT_KIND_DISPUTE_CLOSED");
  if (rose("settled")) kinds.push("JOB_EVENT_KIND_TASKS_SETTLED");
  if (after.state === before.state) return kinds;
  if (after.state === "JOB_STATE_SETTLED") kinds.push("JOB_EVENT_KIND_JOB_SETTLED");
  if (after.state === "JOB_STATE_FAILED") kinds.push("JOB_EVENT_KIND_JOB_FAILED");
  return kinds;
}

function rankOf({ state }: Job): number {
  return jobStates.indexOf(state);
}
