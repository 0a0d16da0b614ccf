import { getBytes, hexlify } from "ethers";
import pLimit from "p-limit";
import { batchNonce, commit, taskDigest, type Opening } from "#sdk/commitment.ts";
import { computeContentId, contentIdFromBytes32, contentIdToBytes32, type Directory } from "#sdk/content.ts";
import { PRIMARY, type MemberContext, type SeatContext } from "#sdk/context.ts";
import { deliveryEvidence, proveEnvelope, sealEnvelope } from "#sdk/envelope.ts";
import { SuretyError } from "#sdk/errors.ts";
import type { BatchRecord } from "#sdk/market-state.ts";
import { maxManifestBytes, sealManifest, type TaskResult } from "#sdk/result-manifest.ts";
import { sealTrace } from "#sdk/resource-trace.ts";
import { RESULT_MANIFEST_FILE, SEALED_OUTPUT_FILE, SEALED_TRACE_FILE } from "#sdk/results.ts";
import { sealDirectory } from "#sdk/sealed-file.ts";
import { taskSalt } from "#sdk/seed.ts";
import type { Storage } from "#sdk/storage.ts";
import type { Executor, TaskOutcome } from "../executor/executor.ts";
import { outputDirectory } from "../executor/outcome.ts";
import { runTraced } from "../executor/trace.ts";
import type { Journal } from "../journal/journal.ts";
import type { Logger } from "../logger.ts";
import { workThrough } from "../work-through.ts";
import type { Part } from "./facts.ts";
import { MAX_INPUT_BYTES, taskOf, type Program, type Programs } from "./programs.ts";

/** What a member puts on chain for its work. */
export interface Commitment {
  /** Merkle root, 32 bytes, hexadecimal. */
  root: string;
  /** Content id of the sealed manifest, 32 bytes, hexadecimal. */
  manifest: string;
  /** Sealed for the requester, hexadecimal. */
  envelope: string;
}

/** A commitment as the journal keeps it: with what else is needed to show one day what its envelope holds. */
interface KeptCommitment extends Commitment {
  /** 32 bytes, hexadecimal: opens the manifest. */
  manifestKey: string;
  /** keccak256 of the sealed manifest, hexadecimal. */
  manifestHash: string;
}

/** Most bytes of a sealed output: nothing that this node could have made is larger. */
const MAX_OUTPUT_BYTES = 1024 * 1024 * 1024;

/** Tasks whose input is fetched or whose output is published while others run. */
const BESIDE = 3;

/** What tasks run in. */
type Runner = Pick<Executor, "run">;

/** What a {@link Workbench} works with. */
export interface WorkbenchDependencies {
  journal: Journal;
  storage: Storage;
  executor: Executor;
  /** Runs a task again before anything is staked on its result. */
  rechecker: Executor;
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
  static key({ batchId, assignment, round, seat, tasks }: Part): string {
    return `${batchId}:${assignment}:${round}:${seat}:${tasks[0]}+${tasks.length}`;
  }

  /**
   * @throws what fetching, running and publishing throw; what was done until then is kept
   * @throws SuretyError `TASK_TIMED_OUT` if a task did not end in time here: another host's result may differ
   */
  async commit(part: Part, record: BatchRecord, signal: AbortSignal): Promise<Commitment> {
    const { journal, storage, node, secret, context } = this.#dependencies;
    const key = Workbench.key(part);
    const known = journal.get("commitment", key) as KeptCommitment | undefined;
    if (known) return known;

    const results = await this.#results(part, record, signal);
    const member = this.#member(part);
    const { root } = commit(results, member);
    const { sealed, manifestKey, manifestHash } = sealManifest(results, member);
    const cid = await storage.add(new Map([[RESULT_MANIFEST_FILE, sealed]]), { signal });
    const envelope = sealEnvelope({
      recipientPublicKey: getBytes(record.terms.encryptionKey),
      context: seatContext(part, context),
      content: { manifestKey, manifestHash, node },
      nodeSecret: secret,
    });
    const commitment: KeptCommitment = {
      root,
      manifest: contentIdToBytes32(cid),
      envelope: hexlify(envelope),
      manifestKey: hexlify(manifestKey),
      manifestHash,
    };
    journal.put("commitment", key, commitment);
    return commitment;
  }

  /**
   * Runs a task of any batch without committing to it, once: to look at one's own result again, or as a juror.
   *
   * @returns the output's root: content id of the canonical output directory, 32 bytes, hexadecimal
   * @throws as {@link Workbench.commit}
   */
  async outputRoot(
    record: BatchRecord,
    task: number,
    signal: AbortSignal,
    executor: Executor = this.#dependencies.executor,
  ): Promise<string> {
    const { journal, programs } = this.#dependencies;
    const key = `${record.id}:${task}`;
    const known = journal.get("rerun", key) as string | undefined;
    if (known) return known;
    const program = await programs.of(record, signal);
    const { directory } = await this.#run(record.id, task, program, signal, executor);
    const root = contentIdToBytes32(await computeContentId(directory, { signal }));
    journal.put("rerun", key, root);
    return root;
  }

  /**
   * Runs a task of one's own part again and compares.
   *
   * @returns whether it came to what was committed to
   * @throws as {@link Workbench.commit}
   */
  async check(part: Part, task: number, record: BatchRecord, signal: AbortSignal): Promise<boolean> {
    const root = await this.outputRoot(record, task, signal, this.#dependencies.rechecker);
    const found = taskDigest(batchNonce({ ...this.#dependencies.context, batchId: record.id }), task, root);
    const committed = (await this.#results(part, record, signal)).find((result) => result.task === task);
    const agrees = committed?.digest === found;
    this.#dependencies.journal.put("check", `${Workbench.key(part)}:${task}`, agrees);
    return agrees;
  }

  /** What {@link Workbench.check} came to; undefined before. */
  checked(part: Part, task: number): boolean | undefined {
    return this.#dependencies.journal.get("check", `${Workbench.key(part)}:${task}`) as boolean | undefined;
  }

  /**
   * What shows which digest was committed to for a task. A lost journal can be made up for: the same results and salts
   * come out again.
   *
   * @param root What is on chain.
   * @throws SuretyError `COMMITMENT_LOST` if what is here does not make that root; what {@link Workbench.commit} throws
   */
  async opening(
    { root, task, ...part }: Part & { task: number; root: string },
    record: BatchRecord,
    signal: AbortSignal,
  ): Promise<{ opening: Opening; proof: string[] }> {
    const results = await this.#results(part, record, signal);
    const commitment = commit(results, this.#member(part));
    const result = results.find((one) => one.task === task);
    if (!result || commitment.root !== root.toLowerCase()) {
      const { batchId, assignment } = part;
      throw new SuretyError("COMMITMENT_LOST", "the results at hand are not those that were committed to", {
        details: { batchId, assignment, task, actual: commitment.root, expected: root },
        fix: "Put back the journal that the node had when it submitted.",
      });
    }
    return { opening: { task, digest: result.digest, salt: result.salt }, proof: commitment.proof(task) };
  }

  /**
   * What shows everybody what was sealed for the requester, so that jurors can fetch it.
   *
   * @returns 116 bytes, hexadecimal
   * @throws SuretyError `COMMITMENT_LOST` if the journal does not have the commitment
   */
  evidence(part: Part, record: BatchRecord): string {
    const { journal, node, secret, context } = this.#dependencies;
    const kept = journal.get("commitment", Workbench.key(part)) as Partial<KeptCommitment> | undefined;
    if (!kept?.manifestKey || !kept.manifestHash) {
      const { batchId, assignment } = part;
      throw new SuretyError("COMMITMENT_LOST", "the key to the results that were committed to is not in the journal", {
        details: { batchId, assignment },
        fix: "Put back the journal that the node had when it submitted.",
      });
    }
    const content = { manifestKey: getBytes(kept.manifestKey), manifestHash: kept.manifestHash, node };
    const recipientPublicKey = getBytes(record.terms.encryptionKey);
    const request = { recipientPublicKey, context: seatContext(part, context), content, nodeSecret: secret };
    return deliveryEvidence(proveEnvelope(request));
  }

  /**
   * Publishes again all that was committed to, in case somebody cannot find it.
   *
   * @throws StorageError if something is neither here nor to be had, or cannot be published
   */
  async republish(part: Part, record: BatchRecord, signal: AbortSignal): Promise<void> {
    const { storage } = this.#dependencies;
    const { manifest } = await this.commit(part, record, signal);
    const again = async (cid: string, maxBytes: number): Promise<void> => {
      await storage.add(await storage.get(cid, { maxBytes, signal }), { signal });
    };
    const { tasks } = part;
    for (const { sealedOutput } of await this.#results(part, record, signal))
      await again(sealedOutput, MAX_OUTPUT_BYTES);
    await again(contentIdFromBytes32(manifest), maxManifestBytes(tasks.length));
  }

  /** All results of a part; those that are not in the journal are made. */
  async #results(part: Part, record: BatchRecord, signal: AbortSignal): Promise<TaskResult[]> {
    const waiting: number[] = [];
    const results: TaskResult[] = [];
    for (const task of part.tasks) {
      const known = this.#dependencies.journal.get("result", resultKey(part, task)) as TaskResult | undefined;
      if (known) results.push(known);
      else waiting.push(task);
    }
    if (waiting.length === 0) return results;
    const { programs, executor, parallel } = this.#dependencies;
    const program = await programs.of(record, signal);
    const running = pLimit(parallel);
    const traced: Runner = {
      run: (input, options) => running(() => runTraced(executor, input, options)),
    };
    await workThrough(waiting, { atOnce: parallel + BESIDE }, async (task) => {
      signal.throwIfAborted();
      results.push(await this.#result(part, task, program, signal, traced));
    });
    return results;
  }

  async #result(
    part: Part,
    task: number,
    program: Program,
    signal: AbortSignal,
    executor: Runner,
  ): Promise<TaskResult> {
    const { journal, storage, secret, context } = this.#dependencies;
    const { directory, outcome } = await this.#run(part.batchId, task, program, signal, executor);
    const output = await computeContentId(directory, { signal });
    const { bytes: sealed, key: contentKey } = await sealDirectory(directory, { signal });
    // Beside the output, not in it: what a task used differs from host to host.
    const trace = outcome.trace && sealTrace(outcome.trace, contentKey);
    const published = new Map([[SEALED_OUTPUT_FILE, sealed], ...(trace ? [[SEALED_TRACE_FILE, trace] as const] : [])]);
    const sealedOutput = await storage.add(published, { signal });
    const digest = taskDigest(batchNonce({ ...context, batchId: part.batchId }), task, contentIdToBytes32(output));
    const salt = taskSalt(secret, seatContext(part, context), task);
    const result: TaskResult = { task, digest, salt, output, sealedOutput, contentKey: hexlify(contentKey) };
    if ("code" in outcome.exit) result.exit = { code: outcome.exit.code, fuel: Number(outcome.usage.fuel) };
    if (trace) result.traceBytes = trace.length;
    // Made again if power is lost; the commitment, which is put, is on the disk only when this is.
    journal.putSoon("result", resultKey(part, task), result);
    return result;
  }

  /** @throws SuretyError `TASK_TIMED_OUT` */
  async #run(
    batchId: string,
    task: number,
    program: Program,
    signal: AbortSignal,
    executor: Runner = this.#dependencies.executor,
  ): Promise<{ directory: Directory; outcome: TaskOutcome }> {
    const { storage, logger } = this.#dependencies;
    const input = await storage.get(program.manifest.tasks[task]!.input, { maxBytes: MAX_INPUT_BYTES, signal });
    const outcome = await executor.run(taskOf(program, task, input), { signal });
    if ("limit" in outcome.exit && outcome.exit.limit === "time") {
      throw new SuretyError(
        "TASK_TIMED_OUT",
        `task ${task} took longer than ${program.spec.limits.seconds} seconds on this host`,
        {
          details: { batchId, task, seconds: program.spec.limits.seconds },
          fix: "It is given up: a faster host may finish it, and would disagree.",
        },
      );
    }
    const { milliseconds, fuel } = outcome.usage;
    logger.debug({ batchId, task, milliseconds, fuel: String(fuel) }, "ran a task");
    return { directory: outputDirectory(outcome), outcome };
  }

  #member({ batchId }: Part): MemberContext {
    const { node, context } = this.#dependencies;
    return { ...context, batchId, member: node };
  }
}

/** Names a result in the journal. */
function resultKey(part: Part, task: number): string {
  return `${Workbench.key(part)}:${task}`;
}

/** Which part in the batch a piece of work is, as envelopes and salts name it. */
function seatContext(
  { batchId, assignment, round, seat }: Part,
  context: { chainId: bigint; market: string },
): SeatContext {
  return { ...context, batchId, assignment, round, seat };
}

/** Whether work is an assignment of one's own, and not a seat. */
export function isPrimary({ round }: Part): boolean {
  return round === PRIMARY.round;
}
