import { z } from "zod";

import { directoryId } from "./batch-manifest.ts";
import { decodeJson, encodeJson } from "./canonical-json.ts";
import { complaint } from "./complaint.ts";
import { containerFields, type ContainerImage, type ContainerLimits, type GpuRequest } from "./container-spec.ts";
import { storedPath } from "./stored-path.ts";

/** Name of the file in the directory that a job's terms name as `spec`. */
export const JOB_SPEC_FILE = "job.json";
/** Most bytes of that file. */
export const MAX_JOB_SPEC_BYTES = 256 * 1024;

/** Most arguments of a task. */
export const MAX_ARGS = 256;
const MAX_ARG_LENGTH = 4096;

/** What runs a task. */
export type ExecutorName = JobSpec["executor"];

/** What one task may use up. The price pays for all of it. */
export interface Limits {
  /** Units of fuel, roughly instructions. */
  fuel: number;
  /** Bytes of memory, at most 4 GiB. */
  memory: number;
  /** Wall-clock time, seconds. */
  seconds: number;
  /** Bytes of output: files, standard output and standard error together. */
  output: number;
  /** Files in the output. */
  files: number;
}

/** Least and most of each of the {@link Limits}. */
export const LIMIT_BOUNDS: Readonly<Record<keyof Limits, readonly [least: number, most: number]>> = {
  fuel: [1, Number.MAX_SAFE_INTEGER],
  memory: [64 * 1024, 4 * 2 ** 30],
  seconds: [1, 7 * 86_400],
  output: [0, 16 * 2 ** 30],
  files: [0, 100_000],
};

/** A stored job of a metered WebAssembly module. */
export interface WasmJobSpec {
  version: 1;
  /** For people. Up to 100 printable characters. */
  name: string;
  executor: "wasm";
  program: {
    /** Content id of a directory. */
    cid: string;
    /** The program's place in it, such as `tile.wasm`. */
    path: string;
  };
  /** `{index}` in them stands for the task's index in the batch; see {@link taskArgs}. */
  args: string[];
  limits: Limits;
}

/** A stored job of an image. */
export interface ContainerJobSpec {
  version: 1;
  /** For people. Up to 100 printable characters. */
  name: string;
  executor: "container";
  image: ContainerImage;
  /** Replaces the image's own entry point. */
  entrypoint?: string[];
  /** `{index}` in them stands for the task's index in the batch; see {@link taskArgs}. None: the image's command. */
  args: string[];
  /** Variables beside the image's own, in the order of their names. */
  environment?: Record<string, string>;
  gpu?: GpuRequest;
  limits: ContainerLimits;
}

/** What is stored for a job and named by its terms: all that a node needs to run any of its tasks. */
export type JobSpec = WasmJobSpec | ContainerJobSpec;

/** The schema of a job's name. */
export const nameSchema = z.string().regex(/^[^\p{C}]{1,100}$/u, {
  error: (issue) => complaint(issue.input, "1 to 100 printable characters", "map tiles"),
});
/** The schema of one argument. */
export const argSchema = z
  .string()
  .max(MAX_ARG_LENGTH)
  .refine((arg) => !arg.includes("\0"), { error: "has a NUL in it" });
const bounded = (name: keyof Limits) => z.int().min(LIMIT_BOUNDS[name][0]).max(LIMIT_BOUNDS[name][1]);

/** The schema of {@link Limits}. */
export const limitsSchema = z.strictObject({
  fuel: bounded("fuel"),
  memory: bounded("memory"),
  seconds: bounded("seconds"),
  output: bounded("output"),
  files: bounded("files"),
});

const argsSchema = z.array(argSchema).max(MAX_ARGS);

/** The schema of {@link JobSpec}. Strict: unknown keys are refused. */
export const jobSpecSchema = z.discriminatedUnion("executor", [
  z.strictObject({
    version: z.literal(1),
    name: nameSchema,
    executor: z.literal("wasm"),
    program: z.strictObject({ cid: directoryId, path: storedPath }),
    args: argsSchema,
    limits: limitsSchema,
  }),
  z.strictObject({
    version: z.literal(1),
    name: nameSchema,
    executor: z.literal("container"),
    image: containerFields.image,
    entrypoint: containerFields.entrypoint,
    args: argsSchema,
    environment: containerFields.environment,
    gpu: containerFields.gpu,
    limits: containerFields.limits,
  }),
]);

/**
 * Builds the content of `job.json`.
 *
 * @throws `JOB_SPEC_INVALID` if the specification is malformed; unknown keys are left out.
 */
export function buildJobSpec(spec: JobSpec): Uint8Array {
  const bytes = encodeJson(spec.executor === "wasm" ? wasmJson(spec) : containerJson(spec));
  parseJobSpec(bytes);
  return bytes;
}

/** In the order of the schema. */
function wasmJson({ name, executor, program, args, limits }: WasmJobSpec): unknown {
  const { fuel, memory, seconds, output, files } = limits;
  return {
    version: 1,
    name,
    executor,
    program: { cid: program.cid, path: program.path },
    args,
    limits: { fuel, memory, seconds, output, files },
  };
}

/** In the order of the schema; what is left out is left out. */
function containerJson(spec: ContainerJobSpec): unknown {
  const { name, executor, image, entrypoint, args, environment, gpu, limits } = spec;
  const { cpus, memory, processes, seconds, disk, output, files } = limits;
  return {
    version: 1,
    name,
    executor,
    image: "cid" in image ? { cid: image.cid, path: image.path, id: image.id } : { reference: image.reference },
    entrypoint,
    args,
    environment: environment && Object.fromEntries(Object.entries(environment).sort(([a], [b]) => (a < b ? -1 : 1))),
    gpu: gpu && { count: gpu.count, memory: gpu.memory, capabilities: gpu.capabilities },
    limits: { cpus, memory, processes, seconds, disk, output, files },
  };
}

/**
 * Reads a stranger's `job.json`.
 *
 * @throws `JOB_SPEC_INVALID` if it is too large, no canonical JSON or malformed.
 */
export function parseJobSpec(bytes: Uint8Array): JobSpec {
  const options = { schema: jobSpecSchema, name: "job specification", code: "JOB_SPEC_INVALID" };
  return decodeJson<JobSpec>(bytes, { ...options, maxBytes: MAX_JOB_SPEC_BYTES });
}

/**
 * The arguments one task is started with.
 *
 * @param index The task's index in the batch.
 *
 * @example
 * ```ts
 * taskArgs(["--tile", "{index}"], 7); // ["--tile", "7"]
 * ```
 */
export function taskArgs(args: readonly string[], index: number): string[] {
  return args.map((arg) => arg.replaceAll("{index}", String(index)));
}
