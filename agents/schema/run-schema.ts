import { getAddress } from "ethers";
import { ExitStatus, SuretyError } from "#sdk/errors.ts";
import { MAX_RANKED } from "#sdk/rewards.ts";
import { decodeRanking, encodeEvaluation, type Ranking } from "#sdk/schema-evaluation.ts";
import type { Verification } from "#sdk/schema-file.ts";
import type { SchemaProto } from "#sdk/schema-proto.ts";
import { workerSeed } from "#sdk/schema-seed.ts";
import type { Storage } from "#sdk/storage.ts";
import type { Executor } from "../executor/executor.ts";
import { workThrough } from "../work-through.ts";
import { contentIds, contentShare, fetchContent, storeContent } from "./content-fields.ts";
import { CALL_FILES, callProgram, type SchemaPrograms } from "./program-call.ts";

/** Most checkpoints of one worker: each is a commitment on chain. */
export const MAX_CHECKPOINTS = 1000;

/** Most bytes of one worker's checkpoints together: the evaluator's machine holds those of all workers. */
export const MAX_CHECKPOINT_BYTES = 16 * 2 ** 20;

/** Workers that run at once here. */
const AT_ONCE = 4;

/** A job schema that can be run. */
export interface RunnableSchema {
  name: string;
  verification: Verification;
  proto: SchemaProto;
  programs: SchemaPrograms;
}

/** What runs a schema's programs, and where their data is. */
export interface SchemaRunner {
  schema: RunnableSchema;
  executor: Executor;
  storage: Pick<Storage, "add" | "get">;
}

/** What a worker is asked. */
export interface WorkerOrder {
  /** Serialised. */
  request: Uint8Array;
  /** Its address. */
  node: string;
  /** 32 bytes that belong to the request: every worker's seed follows from them. */
  seed: Uint8Array;
}

/** What a worker came to. */
export interface WorkerResult {
  node: string;
  /** Serialised, in the one form. */
  reply: Uint8Array;
  /** Its states on the way, in order; empty unless the schema is verified by them. */
  checkpoints: Uint8Array[];
  /** Units of work; 0 where nothing counts them. */
  fuel: bigint;
  milliseconds: number;
}

/** What a call of a runner takes beside its order. */
export interface RunnerOptions {
  signal?: AbortSignal;
  /** Called with each state before the next step begins, and waited for: there it is committed to. */
  onCheckpoint?: (number: number, state: Uint8Array) => void | Promise<void>;
}

/**
 * Runs a schema's worker for one node. Where the schema is verified by checkpoints, it is called step by step, each with
 * the state that the last one left, until it replies.
 *
 * @throws SuretyError `SCHEMA_MESSAGE_INVALID`, `SCHEMA_PROGRAM_FAILED`, `SCHEMA_CHECKPOINT_UNEXPECTED`,
 * `SCHEMA_CONTENT_INVALID`; what the executor and the storage throw
 */
export async function runWorker(
  { schema, executor, storage }: SchemaRunner,
  { request, node, seed }: WorkerOrder,
  { signal, onCheckpoint }: RunnerOptions = {},
): Promise<WorkerResult> {
  const { worker } = schema.proto;
  const message = worker.input.check(request);
  const files = await fetchContent(storage, contentIds(worker.input, message), { ...contentShare(1), signal });
  const own = workerSeed(seed, node);
  const checkpoints: Uint8Array[] = [];
  let fuel = 0n;
  let milliseconds = 0;
  for (;;) {
    const last = checkpoints.at(-1);
    const given = last ? new Map([...files, [CALL_FILES.checkpoint, last]]) : files;
    const call = { proto: schema.proto, role: "worker", message, seed: own, files: given } as const;
    const answer = await callProgram(executor, schema.programs, call, { signal });
    fuel += answer.usage.fuel;
    milliseconds += answer.usage.milliseconds;
    if (answer.reply !== undefined) {
      const reply = await storeContent(storage, worker.output, answer.reply, answer.content, signal);
      return { node, reply, checkpoints, fuel, milliseconds };
    }
    checkpoints.push(answer.checkpoint!);
    requireFewCheckpoints(checkpoints, schema.verification);
    await onCheckpoint?.(checkpoints.length - 1, answer.checkpoint!);
  }
}

/** What an evaluator is asked. */
export interface EvaluatorOrder {
  /** Serialised. */
  request: Uint8Array;
  /** Who took part, with what each replied and committed to on the way. */
  workers: readonly Pick<WorkerResult, "node" | "reply" | "checkpoints">[];
  /** 32 bytes that belong to the request, as the workers had them. */
  seed: Uint8Array;
  /** 32 bytes that nobody knew before all replies were fixed: what is looked at is drawn from them. */
  drawSeed: Uint8Array;
  /** Revealed test data, by path. */
  testData?: ReadonlyMap<string, Uint8Array>;
}

/** What an evaluator came to. */
export interface EvaluatorResult extends Ranking {
  /**
   * Workers that the program did not see, for their reply is no message of the schema, or names content that cannot be
   * had: an error that is `retryable` may pass.
   */
  leftOut: { node: string; error: SuretyError }[];
  fuel: bigint;
  milliseconds: number;
}

/**
 * Runs a schema's evaluator on what its workers gave.
 *
 * @throws SuretyError `SCHEMA_MESSAGE_INVALID` for the request or the program's answer, `SCHEMA_RANKING_INVALID`,
 * `SCHEMA_PROGRAM_FAILED`, `SCHEMA_WORKERS_INVALID`; what the executor and the storage throw
 */
export async function runEvaluator(
  { schema, executor, storage }: SchemaRunner,
  { request, workers, seed, drawSeed, testData = new Map() }: EvaluatorOrder,
  { signal }: { signal?: AbortSignal } = {},
): Promise<EvaluatorResult> {
  const { worker, evaluator } = schema.proto;
  const nodes = workers.map(({ node }) => getAddress(node));
  if (nodes.length > MAX_RANKED || new Set(nodes).size < nodes.length) {
    throw new SuretyError("SCHEMA_WORKERS_INVALID", `there are ${nodes.length} workers, or one twice`, {
      details: { workers: nodes.length, most: MAX_RANKED },
      exit: ExitStatus.badInput,
    });
  }
  const message = worker.input.check(request);
  const files = new Map<string, Uint8Array>();
  const add = (more: Iterable<[string, Uint8Array]>): void => {
    for (const [path, bytes] of more) files.set(path, bytes);
  };
  // Half for the request, the other in equal parts: nobody's content may leave none for others.
  add(await fetchContent(storage, contentIds(worker.input, message), { ...contentShare(2), signal }));
  const share = { ...contentShare(2 * workers.length), signal };
  const leftOut: EvaluatorResult["leftOut"] = [];
  const valid: { node: string; reply: Uint8Array }[] = [];
  for (const { node: written, reply, checkpoints } of workers) {
    const node = getAddress(written);
    try {
      requireFewCheckpoints(checkpoints, schema.verification);
      add(await fetchContent(storage, contentIds(worker.output, worker.output.check(reply)), share));
    } catch (error) {
      // A stranger's fault costs nobody but itself.
      if (!(error instanceof SuretyError)) throw error;
      leftOut.push({ node, error });
      continue;
    }
    valid.push({ node, reply });
    files.set(`${CALL_FILES.seeds}/${node}`, workerSeed(seed, node));
    add(checkpoints.map((state, number) => [`${CALL_FILES.checkpoints}/${node}/${number}`, state]));
  }
  add([...testData].map(([path, bytes]) => [`${CALL_FILES.testData}/${path}`, bytes]));
  const given = encodeEvaluation(schema.proto, message, valid);
  const call = { proto: schema.proto, role: "evaluator", message: given, seed: drawSeed, files } as const;
  const answer = await callProgram(executor, schema.programs, call, { signal });
  if (answer.reply === undefined) throw unexpectedCheckpoint("a checkpoint as evaluator", schema.verification);
  const result = evaluator.output.check(answer.reply);
  const ranking = decodeRanking(
    schema.proto,
    result,
    valid.map(({ node }) => node),
  );
  const { fuel, milliseconds } = answer.usage;
  return { ...ranking, leftOut, fuel, milliseconds };
}

/** Workers that ran, and those that failed. */
export interface WorkersRun {
  workers: WorkerResult[];
  failed: { node: string; error: SuretyError }[];
}

/**
 * Runs a schema's worker for several nodes. One that fails is out; the others go on.
 *
 * @throws SuretyError `SCHEMA_MESSAGE_INVALID` for the request
 */
export async function runWorkers(
  runner: SchemaRunner,
  { nodes, ...order }: Omit<WorkerOrder, "node"> & { nodes: readonly string[] },
  { signal }: { signal?: AbortSignal } = {},
): Promise<WorkersRun> {
  const request = runner.schema.proto.worker.input.check(order.request);
  const runs = new Map<string, WorkerResult | SuretyError>();
  await workThrough(nodes, { atOnce: AT_ONCE }, async (node) => {
    try {
      runs.set(node, await runWorker(runner, { ...order, request, node }, { signal }));
    } catch (error) {
      if (!(error instanceof SuretyError) || signal?.aborted) throw error;
      runs.set(node, error);
    }
  });
  const done: WorkersRun = { workers: [], failed: [] };
  for (const node of nodes) {
    const run = runs.get(node)!;
    if (run instanceof SuretyError) done.failed.push({ node, error: run });
    else done.workers.push(run);
  }
  return done;
}

/** One request, from the first worker to the ranking, on this machine. */
export interface SchemaRun extends WorkersRun {
  evaluation: EvaluatorResult;
}

/**
 * Runs a request with several workers and then the evaluator.
 *
 * @throws SuretyError what {@link runWorkers} and {@link runEvaluator} throw
 */
export async function runSchema(
  runner: SchemaRunner,
  order: Omit<EvaluatorOrder, "workers"> & {
    nodes: readonly string[];
    /** Replies that nobody ran for, such as of those that cheat. */
    given?: EvaluatorOrder["workers"];
  },
  { signal }: { signal?: AbortSignal } = {},
): Promise<SchemaRun> {
  const { workers, failed } = await runWorkers(runner, order, { signal });
  const all = [...workers, ...(order.given ?? [])];
  return { workers, failed, evaluation: await runEvaluator(runner, { ...order, workers: all }, { signal }) };
}

function requireFewCheckpoints(checkpoints: readonly Uint8Array[], verification: Verification): void {
  const bytes = checkpoints.reduce((sum, state) => sum + state.length, 0);
  if (checkpoints.length === 0) return;
  if (verification === "checkpoint" && checkpoints.length <= MAX_CHECKPOINTS && bytes <= MAX_CHECKPOINT_BYTES) return;
  throw unexpectedCheckpoint(`${checkpoints.length} checkpoints of ${bytes} bytes`, verification);
}

function unexpectedCheckpoint(what: string, verification: Verification): SuretyError {
  return new SuretyError("SCHEMA_CHECKPOINT_UNEXPECTED", `a program left ${what}`, {
    details: { what, mostCheckpoints: MAX_CHECKPOINTS, mostBytes: MAX_CHECKPOINT_BYTES, verification },
    fix: "Only workers of schemas with verification: checkpoint leave any, no more than there is room for.",
    exit: ExitStatus.badInput,
  });
}
