import type { Command } from "commander";
import { ExitStatus, SuretyError } from "#sdk/errors.ts";
import { listStatuses, readStatus, type JobStatus } from "../../requester/spool.ts";
import { moneyLine, progressLine, table, taskFailure } from "../job-text.ts";
import { agentRuns, findRequester, withRequesterOptions, type RequesterChoice } from "../requester-home.ts";
import { runCommand } from "../run-command.ts";

/** `surety status`: how far the jobs of a requester are. */
export function addStatusCommand(program: Command): void {
  withRequesterOptions(
    program
      .command("status")
      .description("Show how far a requester's jobs are.")
      .argument("[ticket]", "one job, by the ticket that submit printed"),
  )
    .option("--json", "print one JSON object")
    .addHelpText(
      "after",
      `
Examples:
  $ surety status
  $ surety status 1795212777524-82798d43 --json`,
    )
    .action((ticket: string | undefined, options: RequesterChoice & { json?: boolean }) =>
      runCommand(options, async () => {
        const { home } = await findRequester(options);
        if (ticket !== undefined) {
          const status = await requireStatus(home, ticket);
          return { json: { ...status }, text: jobText(status) };
        }
        const jobs = await listStatuses(home);
        const agent = agentRuns(home);
        return { json: { agent, jobs }, text: listText(jobs, agent) };
      }),
    );
}

/**
 * A job's status.
 *
 * @throws SuretyError `TICKET_UNKNOWN` (exit 2)
 */
export async function requireStatus(home: string, ticket: string): Promise<JobStatus> {
  const status = await readStatus(home, ticket);
  if (status) return status;
  throw new SuretyError("TICKET_UNKNOWN", `no job of this requester has the ticket ${ticket}`, {
    details: { ticket, home },
    fix: "See surety status for those it has.",
    exit: ExitStatus.badInput,
  });
}

function listText(jobs: readonly JobStatus[], agent: boolean): string {
  const note = agent ? [] : ["No requester's agent runs in this home."];
  if (jobs.length === 0) return ["no jobs yet", ...note].join("\n");
  return [table(jobs.map((job) => [job.ticket, job.name, progressLine(job)])), ...note].join("\n");
}

function jobText(status: JobStatus): string {
  const lines = [`${status.name}  ${progressLine(status)}`];
  if (status.batchId !== undefined) lines.push(`batch ${status.batchId}`);
  if (status.error) lines.push(`error ${status.error.code}: ${status.error.message}`);
  if (status.batchId !== undefined && status.counts.contended > 0) {
    lines.push(`accused or disputed: see surety disputes --batch ${status.batchId}`);
  }
  for (const task of status.results ?? []) {
    const failure = taskFailure(task);
    if (failure !== undefined) lines.push(failure);
  }
  if (status.state === "settled") lines.push(moneyLine(status));
  return lines.join("\n");
}
