import { batchNonce, taskDigest } from "#sdk/commitment.ts";
import { computeContentId, contentIdToBytes32 } from "#sdk/content.ts";
import type { BatchRecord } from "#sdk/market-state.ts";
import { plantedChoice } from "#sdk/seed.ts";
import { MAX_INPUT_BYTES, taskOf, type Programs } from "../compute/programs.ts";
import type { Executor } from "../executor/executor.ts";
import { outputDirectory } from "../executor/outcome.ts";
import type { Logger } from "../logger.ts";
import type { MarketAgent } from "../market-agent.ts";
import { patiently, type Background } from "./background.ts";

/** What {@link OwnRuns} works with. */
export interface OwnRunsParts {
  agent: MarketAgent;
  executor: Executor;
  programs: Programs;
  background: Background;
  logger: Logger;
  signal: AbortSignal;
  /** How long to ask for content that cannot be fetched, seconds. */
  patience: number;
}

/** The output of a task that the requester ran itself, as the journal keeps it. */
interface Run {
  task: number;
  /** Content id of the output directory. */
  output: string;
}

/** The tasks that a requester runs itself: planted ones, and those that disputes are about. */
export class OwnRuns {
  readonly #parts: OwnRunsParts;
  /** Tasks of disputes that take this host too long. */
  readonly #hopeless = new Set<string>();

  constructor(parts: OwnRunsParts) {
    this.#parts = parts;
  }

  /** Runs a share of the batch's own tasks, chosen secretly, once. */
  plant(record: BatchRecord, share: number): void {
    const { agent, background, logger } = this.#parts;
    if (share === 0 || agent.journal.get("planted", record.id)) return;
    background.run(plantedKey(record), async () => {
      const { job, sequence, count } = record.batch;
      const chosen = plantedChoice(agent.secret, { ...agent.context, jobId: job, sequence }, count, share);
      const runs: Run[] = [];
      for (const task of chosen) {
        const output = await this.#output(record, task);
        if (output !== undefined) runs.push({ task, output });
      }
      agent.journal.put("planted", record.id, runs);
      logger.info({ batchId: record.id, tasks: runs.length }, "knows the answers of planted tasks");
    });
  }

  /** Runs the tasks that the batch's disputes are about, each once: to know whether to believe a ruling. */
  runDisputed(record: BatchRecord): void {
    const { agent, background, logger } = this.#parts;
    for (const { dispute, status } of record.assignments) {
      // Whether something was delivered no run tells.
      if (!dispute || status !== "contended" || dispute.matter === "delivery") continue;
      const { task } = dispute;
      const key = `${record.id}:${task}`;
      if (this.#outputs(record).has(task) || this.#hopeless.has(key)) continue;
      background.run(`run ${key}`, async () => {
        const output = await this.#output(record, task);
        if (output === undefined) {
          this.#hopeless.add(key);
          return;
        }
        agent.journal.put("run", key, { task, output } satisfies Run);
        logger.info({ batchId: record.id, task }, "ran the task of a dispute");
      });
    }
  }

  /** Whether planted tasks of the batch are still being run. */
  isPlanting(record: BatchRecord): boolean {
    return this.#parts.background.has(plantedKey(record));
  }

  /** Digests of the tasks of a batch that it ran. */
  digests(record: BatchRecord): Map<number, string> {
    const nonce = batchNonce({ ...this.#parts.agent.context, batchId: record.id });
    return new Map(
      [...this.#outputs(record)].map(([task, output]) => [task, taskDigest(nonce, task, contentIdToBytes32(output))]),
    );
  }

  #outputs(record: BatchRecord): Map<number, string> {
    const { journal } = this.#parts.agent;
    const runs = [...((journal.get("planted", record.id) ?? []) as Run[])];
    for (const { dispute } of record.assignments) {
      const run = dispute && journal.get("run", `${record.id}:${dispute.task}`);
      if (run) runs.push(run as Run);
    }
    return new Map(runs.map(({ task, output }) => [task, output]));
  }

  /** Content id of what a task gives; undefined if it takes longer here than it may, for then others may be right. */
  async #output(record: BatchRecord, task: number): Promise<string | undefined> {
    const { agent, executor, programs, signal, patience, logger } = this.#parts;
    const patient = { seconds: patience, signal };
    const program = await patiently(() => programs.of(record, signal), patient);
    const { input: cid } = program.manifest.tasks[task]!;
    const input = await patiently(() => agent.storage.get(cid, { maxBytes: MAX_INPUT_BYTES, signal }), patient);
    const outcome = await executor.run(taskOf(program, task, input), { signal });
    if ("limit" in outcome.exit && outcome.exit.limit === "time") {
      logger.warn({ batchId: record.id, task }, "a task takes too long on this host to know its answer");
      return undefined;
    }
    const { milliseconds, fuel } = outcome.usage;
    logger.debug({ batchId: record.id, task, milliseconds, fuel: String(fuel) }, "ran a task");
    return computeContentId(outputDirectory(outcome), { signal });
  }
}

function plantedKey({ id }: BatchRecord): string {
  return `planted ${id}`;
}
