import { formatAmount } from "#sdk/amount.ts";
import type { JobState } from "../requester/spool.ts";
import type { Budget, Job, JobEvent, Task } from "../service/messages.ts";
import { progressLine, table, taskFailure } from "./job-text.ts";

/** How far a job of a service is, on one line. */
export function remoteProgress({ state, counts }: Job): string {
  return progressLine({ state: state.replace("JOB_STATE_", "").toLowerCase() as JobState, counts });
}

/** What happened to a job, on one line. */
export function eventLine({ sequence, kind, at, job }: JobEvent): string {
  const name = kind.replace("JOB_EVENT_KIND_", "").toLowerCase().replaceAll("_", " ");
  return `${new Date(at).toISOString()}  ${String(sequence).padStart(3)}  ${name.padEnd(17)}  ${remoteProgress(job)}`;
}

/** What became of a task that has no good result; undefined of one that has. */
export function remoteFailure({ task, outcome, exit, code = 0, limit = "", trap = "" }: Task): string | undefined {
  const ended = exit === undefined ? undefined : exit === "code" ? { code } : exit === "limit" ? { limit } : { trap };
  return taskFailure({ task, outcome, ...(ended ? { exit: ended } : {}) });
}

/** All of a job, for people. */
export function jobText(job: Job, decimals: number): string {
  const { id, name, batchId, error, tasks, cost, reserved, cancelRequested } = job;
  const amount = (units: string): string => formatAmount(BigInt(units), decimals);
  const lines = [`${id}  ${name}  ${remoteProgress(job)}`];
  if (batchId !== "") lines.push(`batch ${batchId}`);
  if (cancelRequested && cost === "") lines.push("cancelled: nothing more is posted for it");
  if (error) lines.push(`error ${error.code}: ${error.message}`);
  for (const task of tasks) {
    const failure = remoteFailure(task);
    if (failure !== undefined) lines.push(failure);
  }
  lines.push(cost === "" ? `${amount(reserved)} reserved for it` : `it cost ${amount(cost)}`);
  return lines.join("\n");
}

/** A client's jobs, a line each. */
export function jobsText(jobs: readonly Job[]): string {
  if (jobs.length === 0) return "no jobs yet";
  return table(jobs.map((job) => [job.id, job.name, remoteProgress(job)]));
}

/** What a client may still spend. */
export function budgetText(budget: Budget): string {
  const { client, period, limit, spent, reserved, available, openJobs, maxJobs, tokenSymbol, tokenDecimals } = budget;
  const amount = (units: string): string => `${formatAmount(BigInt(units), tokenDecimals)} ${tokenSymbol}`;
  return table([
    ["client", client],
    ["budget", `${amount(limit)} ${period === "PERIOD_DAY" ? "a day" : "in all"}`],
    ["spent", amount(spent)],
    ["reserved", amount(reserved)],
    ["available", amount(available)],
    ["open jobs", `${openJobs} of ${maxJobs}`],
  ]);
}
