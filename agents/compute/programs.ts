import {
  BATCH_MANIFEST_FILE,
  maxBatchManifestBytes,
  parseBatchManifest,
  taskIndex,
  type BatchManifest,
} from "#sdk/batch-manifest.ts";
import { contentIdFromBytes32, type Directory } from "#sdk/content.ts";
import { ExitStatus, SuretyError } from "#sdk/errors.ts";
import {
  JOB_SPEC_FILE,
  MAX_JOB_SPEC_BYTES,
  parseJobSpec,
  taskArgs,
  type ContainerJobSpec,
  type JobSpec,
  type WasmJobSpec,
} from "#sdk/job-spec.ts";
import type { BatchRecord } from "#sdk/market-state.ts";
import type { Storage } from "#sdk/storage.ts";
import type { Executor, TaskInput } from "../executor/executor.ts";
import { imageProgram } from "../executor/image-program.ts";

/** Most bytes of a WebAssembly module; what an image may have the executor says. */
const MAX_PROGRAM_BYTES = 64 * 1024 * 1024;
/** Most bytes of one task's input. */
export const MAX_INPUT_BYTES = 512 * 1024 * 1024;
/** How many jobs' programs are kept at hand. */
const KEPT = 8;

/** What a batch asks to be done, without the program. */
export interface Order {
  spec: JobSpec;
  manifest: BatchManifest;
}

/** What a batch asks to be run. */
export interface Program extends Order {
  program: TaskInput["program"];
}

interface Loaded {
  spec: JobSpec;
  program: TaskInput["program"];
}

/**
 * Fetches and checks what batches ask to be run. Used before a claim, so that nothing is claimed that this host could
 * not run; and again, from memory, for the work itself.
 */
export class Programs {
  readonly #storage: Storage;
  readonly #executor: Executor;
  readonly #programs = new Map<string, Promise<Loaded>>();
  /** Those of large batches take long to check, and are asked for again with each result. */
  readonly #manifests = new Map<string, Promise<BatchManifest>>();

  constructor({ storage, executor }: { storage: Storage; executor: Executor }) {
    this.#storage = storage;
    this.#executor = executor;
  }

  /**
   * @throws StorageError if something cannot be fetched, `JOB_SPEC_INVALID`, `BATCH_MANIFEST_*`, what
   *   {@link Executor.check} throws, `EXECUTOR_UNSUITABLE`
   */
  async of(record: Pick<BatchRecord, "batch" | "terms">, signal: AbortSignal): Promise<Program> {
    const loaded = await this.#loaded(record.terms.spec, signal);
    return { ...loaded, manifest: await this.#manifest(record, signal) };
  }

  /**
   * What a batch asks for, of whatever kind the program is: for who only looks at results.
   *
   * @throws StorageError if something cannot be fetched, `JOB_SPEC_INVALID`, `BATCH_MANIFEST_*`
   */
  async order(record: Pick<BatchRecord, "batch" | "terms">, signal: AbortSignal): Promise<Order> {
    return { spec: await this.#spec(record.terms.spec, signal), manifest: await this.#manifest(record, signal) };
  }

  #manifest({ batch }: Pick<BatchRecord, "batch">, signal: AbortSignal): Promise<BatchManifest> {
    const { manifest, count } = batch;
    return keep(this.#manifests, `${manifest}:${count}`, async () => {
      const limits = { maxBytes: maxBatchManifestBytes(count), signal };
      const file = await this.#storage.getFile(contentIdFromBytes32(manifest), BATCH_MANIFEST_FILE, limits);
      return parseBatchManifest(file, count);
    });
  }

  #loaded(specId: string, signal: AbortSignal): Promise<Loaded> {
    return keep(this.#programs, specId, () => this.#load(specId, signal));
  }

  async #spec(specId: string, signal: AbortSignal): Promise<JobSpec> {
    const cid = contentIdFromBytes32(specId);
    return parseJobSpec(await this.#storage.getFile(cid, JOB_SPEC_FILE, { maxBytes: MAX_JOB_SPEC_BYTES, signal }));
  }

  async #load(specId: string, signal: AbortSignal): Promise<Loaded> {
    const spec = await this.#spec(specId, signal);
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
    const program = await programOf(spec, this.#storage, signal);
    await this.#executor.check(program, { signal, limits: taskLimits(spec) });
    return { spec, program };
  }
}

/**
 * The program of a job: a module's bytes, an image by name and a way to stream it.
 *
 * @throws StorageError if a module cannot be fetched
 */
export async function programOf(spec: JobSpec, storage: Storage, signal?: AbortSignal): Promise<TaskInput["program"]> {
  if (spec.executor === "wasm") {
    const { cid, path } = spec.program;
    return storage.getFile(cid, path, { maxBytes: MAX_PROGRAM_BYTES, signal });
  }
  return imageProgram(spec, storage);
}

/** One task of a batch as the executor wants it, `task` being its place in the manifest. */
export function taskOf({ spec, program, manifest }: Program, task: number, input: Directory): TaskInput {
  const index = taskIndex(manifest, task);
  // The limits are the program's kind's, which no type can tell here.
  return { program, args: taskArgs(spec.args, index), index, input, limits: taskLimits(spec) } as TaskInput;
}

/** Limits as the executor wants them. */
export function taskLimits({
  limits,
}: Pick<WasmJobSpec, "limits"> | Pick<ContainerJobSpec, "limits">): TaskInput["limits"] {
  const { memory, seconds, output, files } = limits;
  const common = { memoryBytes: memory, seconds, outputBytes: output, files };
  if ("fuel" in limits) return { ...common, fuel: BigInt(limits.fuel) };
  const { cpus, processes, disk } = limits;
  return { ...common, cpus, processes, diskBytes: disk };
}

/** What is kept, or else what is loaded and kept from then on, in place of the oldest. */
function keep<T>(kept: Map<string, Promise<T>>, key: string, load: () => Promise<T>): Promise<T> {
  const known = kept.get(key);
  if (known) return known;
  const loading = load();
  kept.set(key, loading);
  // What failed may succeed next time.
  loading.catch(() => kept.delete(key));
  for (const oldest of kept.keys()) {
    if (kept.size <= KEPT) break;
    kept.delete(oldest);
  }
  return loading;
}
