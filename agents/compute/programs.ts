import {
  BATCH_MANIFEST_FILE,
  maxBatchManifestBytes,
  parseBatchManifest,
  type BatchManifest,
} from "#sdk/batch-manifest.ts";
import { contentIdFromBytes32 } from "#sdk/content.ts";
import { ExitStatus, SuretyError } from "#sdk/errors.ts";
import { JOB_SPEC_FILE, MAX_JOB_SPEC_BYTES, parseJobSpec, type JobSpec } from "#sdk/job-spec.ts";
import type { BatchRecord } from "#sdk/market-state.ts";
import type { Storage } from "#sdk/storage.ts";
import type { Executor, TaskLimits } from "../executor/executor.ts";

/** Most bytes of a program. */
const MAX_PROGRAM_BYTES = 64 * 1024 * 1024;
/** Most bytes of one task's input. */
export const MAX_INPUT_BYTES = 512 * 1024 * 1024;
/** How many jobs' programs are kept at hand. */
const KEPT = 8;

/** What a batch asks to be run. */
export interface Program {
  spec: JobSpec;
  bytes: Uint8Array;
  manifest: BatchManifest;
}

/**
 * Fetches and checks what batches ask to be run. Used before a claim, so that nothing is claimed that this host could
 * not run; and again, from memory, for the work itself.
 */
export class Programs {
  readonly #storage: Storage;
  readonly #executor: Executor;
  readonly #kept = new Map<string, Promise<{ spec: JobSpec; bytes: Uint8Array }>>();

  constructor({ storage, executor }: { storage: Storage; executor: Executor }) {
    this.#storage = storage;
    this.#executor = executor;
  }

  /**
   * @throws StorageError if something cannot be fetched, `JOB_SPEC_INVALID`, `BATCH_MANIFEST_*`, what
   *   {@link Executor.check} throws, `EXECUTOR_UNSUITABLE`
   */
  async of({ batch, terms }: Pick<BatchRecord, "batch" | "terms">, signal: AbortSignal): Promise<Program> {
    const { spec, bytes } = await this.#program(terms.spec, signal);
    const cid = contentIdFromBytes32(batch.manifest);
    const maxBytes = maxBatchManifestBytes(batch.count);
    const manifest = await this.#storage.getFile(cid, BATCH_MANIFEST_FILE, { maxBytes, signal });
    return { spec, bytes, manifest: parseBatchManifest(manifest, batch.count) };
  }

  #program(specId: string, signal: AbortSignal): Promise<{ spec: JobSpec; bytes: Uint8Array }> {
    const known = this.#kept.get(specId);
    if (known) return known;
    const loading = this.#load(specId, signal);
    this.#kept.set(specId, loading);
    // What failed may succeed next time.
    loading.catch(() => this.#kept.delete(specId));
    for (const key of this.#kept.keys()) {
      if (this.#kept.size <= KEPT) break;
      this.#kept.delete(key);
    }
    return loading;
  }

  async #load(specId: string, signal: AbortSignal): Promise<{ spec: JobSpec; bytes: Uint8Array }> {
    const cid = contentIdFromBytes32(specId);
    const spec = parseJobSpec(
      await this.#storage.getFile(cid, JOB_SPEC_FILE, { maxBytes: MAX_JOB_SPEC_BYTES, signal }),
    );
    if (spec.executor !== this.#executor.runtime) {
      throw new SuretyError(
        "EXECUTOR_UNSUITABLE",
        `the job wants the executor ${spec.executor}, this host has ${this.#executor.runtime}`,
        {
          details: { wanted: spec.executor, offered: this.#executor.runtime },
          fix: "Leave it to other hosts.",
          exit: ExitStatus.badInput,
        },
      );
    }
    const { program } = spec;
    const bytes = await this.#storage.getFile(program.cid, program.path, { maxBytes: MAX_PROGRAM_BYTES, signal });
    await this.#executor.check(bytes, { signal });
    return { spec, bytes };
  }
}

/** Limits as the executor wants them. */
export function taskLimits({ limits }: JobSpec): TaskLimits {
  const { fuel, memory, seconds, output, files } = limits;
  return { fuel: BigInt(fuel), memoryBytes: memory, seconds, outputBytes: output, files };
}
