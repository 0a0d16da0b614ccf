import { closestMatch } from "leven";
import { z } from "zod";

import { PARTS_PER_MILLION } from "./amount.ts";
import { printable } from "./complaint.ts";
import type { ContainerLimits, GpuRequest } from "./container-spec.ts";
import { JobFileError, type JobFileProblem } from "./job-file-error.ts";
import { containerJobFileSchema, jobFileSchema, type JobFileSchema } from "./job-file-schema.ts";
import { readYaml } from "./job-file-yaml.ts";
import type { Limits } from "./job-spec.ts";
import { inFolder, joined, programName, type ImageSource, type Inputs, type Source } from "./source.ts";
import type { JobWindows, Mode } from "./terms.ts";

/** How many verifiers run a sampled task at first: one (`adaptive`), or all of the quorum (`fixed`). */
export type Checking = "adaptive" | "fixed";

/** What a person asks for in a job file, in the units of the contracts. */
export type JobFile = WasmJobFile | ContainerJobFile;

/** A job file of a WebAssembly module. */
export interface WasmJobFile extends AnyJobFile {
  executor: "wasm";
  module: Source;
  limits: Limits;
}

/** A job file of an image. */
export interface ContainerJobFile extends AnyJobFile {
  executor: "container";
  image: ImageSource;
  /** Replaces the image's own entry point. */
  entrypoint?: string[];
  /** Variables beside the image's own. */
  environment?: Record<string, string>;
  gpu?: GpuRequest;
  limits: ContainerLimits;
}

/** What any job file says. */
interface AnyJobFile {
  name: string;
  /** `{index}` in them stands for the task's index in the batch. */
  args: string[];
  /** A folder with one file or sub-folder per task, or one source per task. */
  inputs: Inputs;
  mode: Mode;
  /** Share of the tasks that is run again, parts per million; 0 for `trusted`, all for `replicated`. */
  rate: number;
  /** Members of a full panel, the primary included: odd, 3 to 15. */
  quorum: number;
  checking: Checking;
  /** Base units. */
  prices: {
    /** For one task. */
    task: bigint;
    /** For one task run again; at least `task`. */
    verifier: bigint;
  };
  /** What a member that differs loses, base units; `minimumSlash` if left out. */
  slash?: bigint;
  /** Chance of guessing a task's result, parts per million: 500,000 for yes or no. */
  guess: number;
  /** A lone difference costs the whole lock, not only pay and a fine. */
  fullSlash: boolean;
  windows: JobWindows;
  /** Fewest tasks that one claim may take. */
  minSlice: number;
  /** Most of a batch that one claim may take, parts per million. */
  maxShare: number;
  nodes: {
    /** Mode `trusted`: who may claim. Empty otherwise. Addresses with their checksum. */
    allow: string[];
    /** Who neither claims nor verifies. */
    exclude: string[];
  };
  /** Share of the tasks to replace by work whose digest is known, parts per million. */
  plant: number;
  /** The kind of host: the id of a class on chain (32 bytes, hexadecimal), or a name the deployment knows. */
  class: string;
}

/** What {@link parseJobFile} takes beside the text. */
export interface JobFileOptions {
  /** Put in front of the relative paths in the file: the folder the file lies in. */
  baseFolder?: string;
  /** Decimals of the token the prices are in. Defaults to 18. */
  decimals?: number;
}

/**
 * Reads a job file, YAML or JSON. Pure: whether files and contents exist is not looked at.
 *
 * @param text At most `MAX_JOB_FILE_BYTES`.
 * @throws {@link JobFileError} `JOB_FILE_INVALID`, with every problem there is.
 *
 * @example
 * ```ts
 * parseJobFile("module: ./tile.wasm\ninputs: ./inputs\nrate: 10%\n", { baseFolder: "/home/ada/map" });
 * ```
 */
export function parseJobFile(text: string, options: JobFileOptions = {}): JobFile {
  const { decimals = 18, baseFolder } = options;
  const written = readYaml(text) as Record<string, unknown>;
  if (Object.hasOwn(written, "image") || written["executor"] === "container") {
    const { image, imageId, ...rest } = checked(containerJobFileSchema(decimals), written);
    const placed = image.kind === "reference" ? image : inFolder(image, baseFolder);
    const named = imageId === undefined ? placed : { ...placed, id: imageId };
    return { image: named, ...completed(rest, programName(placed), baseFolder) };
  }
  const { module, ...rest } = checked(jobFileSchema(decimals), written);
  const placed = inFolder(module, baseFolder);
  return { module: placed, ...completed(rest, programName(placed), baseFolder) };
}

function checked<T extends JobFileSchema>(schema: T, written: unknown): z.output<T> {
  const parsed = schema.safeParse(written);
  if (!parsed.success) throw new JobFileError(problemsOf(parsed.error, schema), parsed.error);
  const problems = contradictions(parsed.data as z.output<JobFileSchema>);
  if (problems.length > 0) throw new JobFileError(problems);
  return parsed.data as z.output<T>;
}

/** What a person left out, and paths as they are from here. */
function completed<
  T extends Pick<z.output<JobFileSchema>, "name" | "mode" | "rate" | "checking" | "prices" | "inputs">,
>({ name, rate, checking, prices, inputs, ...rest }: T, programName: string, baseFolder: string | undefined) {
  const rateOf: Record<Mode, number> = { trusted: 0, sampled: rate ?? 30_000, replicated: PARTS_PER_MILLION };
  const placed: Inputs =
    inputs.kind === "list"
      ? { kind: "list", sources: inputs.sources.map((each) => inFolder(each, baseFolder)) }
      : { kind: "folder", path: joined(baseFolder, inputs.path) };
  const way: Checking = checking ?? (rest.mode === "sampled" ? "adaptive" : "fixed");
  return {
    ...rest,
    name: name ?? programName,
    inputs: placed,
    rate: rateOf[rest.mode],
    checking: way,
    prices: { task: prices.task, verifier: prices.verifier ?? prices.task },
  };
}

function problemsOf(error: z.ZodError, schema: JobFileSchema): JobFileProblem[] {
  return error.issues.flatMap((issue) => {
    const path = issue.path.map(String).join(".");
    if (issue.code !== "unrecognized_keys") return [{ path, message: issue.message }];
    return issue.keys.map((key) => {
      const known = keysAt(schema, issue.path);
      const close = closestMatch(key.slice(0, 40), known, { maxDistance: 3 });
      const hint = close === undefined ? `expected one of ${known.join(", ")}` : `did you mean ${close}?`;
      return {
        path: [...issue.path, key.slice(0, 40)].map(printable).join("."),
        message: `there is no such key; ${hint}`,
      };
    });
  });
}

/** Keys the schema has at a path, so that a mistyped one can be put right. */
function keysAt(schema: z.ZodType, path: readonly PropertyKey[]): string[] {
  let inner: unknown = schema;
  const unwrapped = (type: unknown): unknown =>
    type instanceof z.ZodPrefault || type instanceof z.ZodDefault ? unwrapped(type.unwrap()) : type;
  for (const key of path) {
    const object = unwrapped(inner);
    inner = object instanceof z.ZodObject ? object.shape[String(key)] : undefined;
  }
  const object = unwrapped(inner);
  return object instanceof z.ZodObject ? Object.keys(object.shape) : [];
}

/** What is wrong with values that are right one by one. */
function contradictions(file: z.output<JobFileSchema>): JobFileProblem[] {
  const { mode, rate, checking, nodes, prices } = file;
  const problems: JobFileProblem[] = [];
  if ("image" in file) {
    const { image, imageId } = file;
    if (image.kind === "content" && image.path === undefined)
      problems.push({
        path: "image",
        message: `names a directory, expected the tar in it, for example ${image.cid}/image.tar`,
      });
    if (image.kind === "content" && imageId === undefined)
      problems.push({ path: "imageId", message: "is missing, expected the id of the image that is in storage" });
    if (image.kind === "reference" && imageId !== undefined)
      problems.push({ path: "imageId", message: "is only for a tar, expected none: the reference says which image" });
  }
  if (mode === "trusted" && rate !== undefined) {
    problems.push({ path: "rate", message: "nothing is run again in mode trusted, expected no rate" });
  }
  if (mode === "replicated" && rate !== undefined && rate !== PARTS_PER_MILLION) {
    problems.push({ path: "rate", message: "everything is run again in mode replicated, expected no rate, or 100%" });
  }
  if (mode === "replicated" && checking === "adaptive") {
    problems.push({ path: "checking", message: "adaptive is not for mode replicated, expected fixed" });
  }
  if (mode === "trusted" && nodes.allow.length === 0) {
    problems.push({ path: "nodes.allow", message: `is empty, expected the nodes you trust, for example ["0x…"]` });
  }
  if (mode !== "trusted" && nodes.allow.length > 0) {
    problems.push({
      path: "nodes.allow",
      message: `is only for mode trusted, expected it to be empty; verifiers are drawn`,
    });
  }
  if (prices.verifier !== undefined && prices.verifier < prices.task) {
    problems.push({ path: "prices.verifier", message: "is less than prices.task, expected at least as much" });
  }
  return problems;
}
