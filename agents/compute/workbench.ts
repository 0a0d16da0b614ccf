import { getBytes, hexlify } from "ethers";
import { taskIndex } from "#sdk/batch-manifest.ts";
import { batchNonce, commit, taskDigest } from "#sdk/commitment.ts";
import { computeContentId, contentIdToBytes32 } from "#sdk/content.ts";
import { PRIMARY, type MemberContext, type SeatContext } from "#sdk/context.ts";
import { sealEnvelope } from "#sdk/envelope.ts";
import { SuretyError } from "#sdk/errors.ts";
import { taskArgs } from "#sdk/job-spec.ts";
import type { BatchRecord } from "#sdk/market-state.ts";
import { sealManifest, type TaskResult } from "#sdk/result-manifest.ts";
import { RESULT_MANIFEST_FILE, SEALED_OUTPUT_FILE } from "#sdk/results.ts";
import { sealDirectory } from "#sdk/sealed-file.ts";
import { taskSalt } from "#sdk/seed.ts";
import type { Storage } from "#sdk/storage.ts";
import type { Executor } from "../executor/executor.ts";
import { outputDirectory } from "../executor/outcome.ts";
import type { Journal } from "../journal/journal.ts";
import type { Logger } from "../logger.ts";
import type { Work } from "./duties.ts";
import { MAX_INPUT_BYTES, taskLimits, type Program, type Programs } from "./programs.ts";

/** What a member puts on chain for its work. */
export interface Commitment {
  /** Merkle root, 32 bytes, hexadecimal. */
  root: string;
  /** Content id of the sealed manifest, 32 bytes, hexadecimal. */
  manifest: string;
  /** Sealed for the requester, hexadecimal. */
  envelope: string;
}

/** What a {@link Workbench} works with. */
export interface WorkbenchDependencies {
  journal: Journal;
  storage: Storage;
  executor: Executor;
  programs: Programs;
  logger: Logger;
  /** The node's address and private key. */
  node: string;
  secret: string;
  context: { chainId: bigint; market: string };
  /** Tasks of one piece of work that run at once. */
  parallel: number;
}

/**
 * Turns work into a commitment: runs the tasks, encrypts and publishes their outputs, commits to their digests.
 * Each result is in the journal before the next step builds on it, so that after a crash nothing runs twice and, what
 * matters more, the same work never gets a second, different commitment.
 */
export class Workbench {
  readonly #dependencies: WorkbenchDependencies;

  constructor(dependencies: WorkbenchDependencies) {
    this.#dependencies = dependencies;
  }

  /** Names a piece of work in the journal. A claim made anew after a reorganisation is another. */
  static key({ batchId, assignment, round, seat, tasks }: Work): string {
    return `${batchId}:${assignment}:${round}:${seat}:${tasks[0]}+${tasks.length}`;
  }

  /**
   * @throws what fetching, running and publishing throw; what was done until then is kept
   * @throws SuretyError `TASK_TIMED_OUT` if a task did not end in time here: another host's result may differ
   */
  async commit(work: Work, record: BatchRecord, signal: AbortSignal): Promise<Commitment> {
    const { journal, storage, programs, node, secret, context } = this.#dependencies;
    const key = Workbench.key(work);
    const known = journal.get("commitment", key);
    if (known) return known as Commitment;

    const program = await programs.of(record, signal);
    const results = await this.#results(work, program, signal);
    const member: MemberContext = { ...context, batchId: record.id, member: node };
    const { root } = commit(results, member);
    const { sealed, manifestKey, manifestHash } = sealManifest(results, member);
    const cid = await storage.add(new Map([[RESULT_MANIFEST_FILE, sealed]]), { signal });
    const envelope = sealEnvelope({
      recipientPublicKey: getBytes(record.terms.encryptionKey),
      context: seatContext(work, context),
      content: { manifestKey, manifestHash, node },
      nodeSecret: secret,
    });
    const commitment = { root, manifest: contentIdToBytes32(cid), envelope: hexlify(envelope) };
    journal.put("commitment", key, commitment);
    return commitment;
  }

  async #results(work: Work, program: Program, signal: AbortSignal): Promise<TaskResult[]> {
    const waiting = [...work.tasks];
    const results: TaskResult[] = [];
    const worker = async (): Promise<void> => {
      for (let task = waiting.shift(); task !== undefined; task = waiting.shift()) {
        signal.throwIfAborted();
        results.push(await this.#result(work, task, program, signal));
      }
    };
    try {
      await Promise.all(Array.from({ length: this.#dependencies.parallel }, worker));
    } finally {
      // One worker's failure is the end of the work: the others stop at their next task.
      waiting.length = 0;
    }
    return results;
  }

  async #result(
    work: Work,
    task: number,
    { spec, bytes, manifest }: Program,
    signal: AbortSignal,
  ): Promise<TaskResult> {
    const { journal, storage, executor, secret, context, logger } = this.#dependencies;
    const key = `${Workbench.key(work)}:${task}`;
    const known = journal.get("result", key);
    if (known) return known as TaskResult;

    const index = taskIndex(manifest, task);
    const input = await storage.get(manifest.tasks[task]!.input, { maxBytes: MAX_INPUT_BYTES, signal });
    const outcome = await executor.run(
      { program: bytes, args: taskArgs(spec.args, index), index, input, limits: taskLimits(spec) },
      { signal },
    );
    if ("limit" in outcome.exit && outcome.exit.limit === "time") {
      throw new SuretyError(
        "TASK_TIMED_OUT",
        `task ${task} took longer than ${spec.limits.seconds} seconds on this host`,
        {
          details: { batchId: work.batchId, task, seconds: spec.limits.seconds },
          fix: "The assignment is given up: a faster host may finish it, and would disagree.",
        },
      );
    }
    const directory = outputDirectory(outcome);
    const output = await computeContentId(directory, { signal });
    const { bytes: sealed, key: contentKey } = await sealDirectory(directory, { signal });
    const sealedOutput = await storage.add(new Map([[SEALED_OUTPUT_FILE, sealed]]), { signal });
    const digest = taskDigest(batchNonce({ ...context, batchId: work.batchId }), task, contentIdToBytes32(output));
    const salt = taskSalt(secret, seatContext(work, context), task);
    const result: TaskResult = { task, digest, salt, output, sealedOutput, contentKey: hexlify(contentKey) };
    if ("code" in outcome.exit) result.exit = { code: outcome.exit.code, fuel: Number(outcome.usage.fuel) };
    journal.put("result", key, result);
    const { milliseconds, fuel } = outcome.usage;
    logger.debug({ batchId: work.batchId, task, milliseconds, fuel: String(fuel) }, "ran a task");
    return result;
  }
}

/** Which part in the batch a piece of work is, as envelopes and salts name it. */
function seatContext(
  { batchId, assignment, round, seat }: Work,
  context: { chainId: bigint; market: string },
): SeatContext {
  return { ...context, batchId, assignment, round, seat };
}

/** Whether work is an assignment of one's own, and not a seat. */
export function isPrimary({ round }: Work): boolean {
  return round === PRIMARY.round;
}
