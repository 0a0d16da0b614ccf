import { setTimeout as sleep } from "node:timers/promises";
import { ExitStatus, SuretyError } from "#sdk/errors.ts";
import type { RequesterConfig } from "../config.ts";
import { createLogger } from "../logger.ts";
import { readStatus, type JobStatus } from "../requester/spool.ts";
import { agentRuns } from "./requester-home.ts";

/** How often the status is read, milliseconds. */
const INTERVAL = 250;
/** Reads between two looks at whether an agent is there. */
const LOOK_EVERY = 20;

/**
 * Waits until a job is settled or has failed. Where no agent works in the home, or it ends meanwhile, one runs in this
 * process until then.
 *
 * @param onStatus Called with each status that differs from the last.
 * @returns the status that it ended with
 * @throws what ends the agent in this process. The signal's reason.
 */
export async function waitForJob(
  config: RequesterConfig,
  ticket: string,
  {
    signal,
    onStatus,
    onOwnAgent,
  }: { signal: AbortSignal; onStatus: (status: JobStatus) => void; onOwnAgent: () => void },
): Promise<JobStatus> {
  let last = "";
  let ownAgent: OwnAgent | undefined;
  try {
    for (let reads = 0; ; reads += 1) {
      const status = await readStatus(config.home, ticket);
      if (status && JSON.stringify(status) !== last) {
        last = JSON.stringify(status);
        onStatus(status);
      }
      if (status?.state === "settled" || status?.state === "failed") return status;
      if (ownAgent?.isDisplaced()) ownAgent = undefined;
      else if (!ownAgent && reads % LOOK_EVERY === 0 && !agentRuns(config.home)) {
        onOwnAgent();
        ownAgent = await startOwnAgent(config);
      }
      await sleep(INTERVAL, undefined, { signal }).catch(() => signal.throwIfAborted());
    }
  } finally {
    await ownAgent?.stop();
  }
}

/** The error of a job that failed. */
export function failure({ ticket, error }: JobStatus): SuretyError {
  return new SuretyError(error?.code ?? "JOB_FAILED", error?.message ?? `job ${ticket} failed`, {
    details: { ticket },
    fix: error?.fix,
    exit: ExitStatus.refused,
  });
}

interface OwnAgent {
  /** Whether it ended because another agent was faster. Throws whatever else ended it. */
  isDisplaced(): boolean;
  stop(): Promise<void>;
}

async function startOwnAgent(config: RequesterConfig): Promise<OwnAgent> {
  const { runRequesterAgent } = await import("../requester/agent.ts");
  const controller = new AbortController();
  let ended: { error: unknown } | undefined;
  // Its log would be in the way of the progress.
  const logger = createLogger({ agent: "requester", level: "silent" });
  const running = runRequesterAgent({ ...config, drainSeconds: 0 }, { signal: controller.signal, logger }).then(
    () => void (ended = { error: new SuretyError("AGENT_ENDED", "the requester's agent ended before the job did") }),
    (error: unknown) => void (ended = { error }),
  );
  return {
    isDisplaced: () => {
      if (ended === undefined) return false;
      if (ended.error instanceof SuretyError && ended.error.code === "JOURNAL_LOCKED") return true;
      throw ended.error;
    },
    stop: async () => {
      controller.abort(new DOMException("done", "AbortError"));
      await running;
    },
  };
}
