import { cp, mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import { ExitStatus, SuretyError } from "#sdk/errors.ts";
import type { RequesterConfig } from "../config.ts";
import { outputsFolder, type JobStatus } from "../requester/spool.ts";
import { moneyLine, taskFailure } from "./job-text.ts";
import type { CommandResult } from "./run-command.ts";

/**
 * Copies a job's outputs, one folder a task with `exit`, `stdout`, `stderr` and `out/…`.
 *
 * @returns how many tasks have some
 * @throws SuretyError `OUTPUT_UNWRITABLE` (exit 2)
 */
export async function writeOutputs(config: RequesterConfig, ticket: string, to: string): Promise<number> {
  const from = outputsFolder(config.home, ticket, config.resultsFolder);
  const tasks = await readdir(from).catch(() => []);
  try {
    await mkdir(to, { recursive: true });
    for (const task of tasks) await cp(join(from, task), join(to, task), { recursive: true });
  } catch (cause) {
    throw new SuretyError("OUTPUT_UNWRITABLE", `the outputs cannot be written to ${to}: ${(cause as Error).message}`, {
      details: { to },
      fix: `Name another folder; the outputs are in ${from}.`,
      cause,
      exit: ExitStatus.badInput,
    });
  }
  return tasks.length;
}

/** What to say at the end of a settled job; exit status 1 if some task has no good result. */
export function jobReport(status: JobStatus, outputs?: string): CommandResult {
  const failures = (status.results ?? []).map(taskFailure).filter((line) => line !== undefined);
  const lines = [...failures, `${status.counts.settled} of ${status.counts.tasks} tasks settled; ${moneyLine(status)}`];
  if (outputs !== undefined) lines.push(`outputs in ${outputs}`);
  return {
    json: { ...status, failures, ...(outputs === undefined ? {} : { outputs }) },
    text: lines.join("\n"),
    exit: failures.length > 0 ? ExitStatus.failure : 0,
  };
}
