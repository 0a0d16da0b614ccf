import { z } from "zod";

import { parseAmount } from "./amount.ts";
import { complaint } from "./complaint.ts";
import { CONTAINER_BOUNDS, IMAGE_ID, isImageReference, type ContainerLimits } from "./container-spec.ts";
import { ExitStatus, SuretyError } from "./errors.ts";
import { JobFileError } from "./job-file-error.ts";
import { choice, COUNT, DURATION, field, group, limit, SIZE } from "./job-file-field.ts";
import { readYaml } from "./job-file-yaml.ts";
import { LIMIT_BOUNDS, nameSchema, type Limits } from "./job-spec.ts";
import type { RewardFunction } from "./request-terms.ts";
import { SCHEMA_PROTO_FILE } from "./schema-proto.ts";
import { storedPath } from "./stored-path.ts";

/** Name of the file that says what a folder with a job schema holds. */
export const SCHEMA_FILE = "schema.yaml";

/** Ways to share a reward that a schema can allow, in the order of the contracts. */
export const schemaRewards = [
  "even",
  "winner-takes-all",
  "by-rank",
  "by-score",
  "list",
] as const satisfies readonly RewardFunction[];
export type SchemaReward = (typeof schemaRewards)[number];

/**
 * How an evaluator knows that a result is right: by looking at the answer, by running parts between checkpoints again,
 * or by running all of it again.
 */
export const verifications = ["solution", "checkpoint", "execution"] as const;
export type Verification = (typeof verifications)[number];

/** What both kinds of schemas say. */
export interface AnySchemaFile {
  name: string;
  /** The file with services and messages. */
  proto: string;
  verification: Verification;
  /** What requests may choose from; at least one. */
  rewards: SchemaReward[];
  /** Whole tokens in decimals: least that an evaluator deposits. */
  deposit: string;
  /** Least that a challenge costs; less than the deposit. */
  challengeFee: string;
  /** Where the programs' sources are, for everybody to build them again. */
  source?: { repository: string; commit: string };
  /** What building them comes to: see `buildDigest`. */
  build?: string;
}

/** A schema whose programs are WebAssembly modules. */
export interface WasmSchemaFile extends AnySchemaFile {
  runtime: "wasm";
  worker: string;
  evaluator: string;
  /** AssemblyScript that the modules are built from. */
  sources?: { worker: string; evaluator: string };
  limits: Limits;
}

/** A schema whose programs are in one image, told apart by their argument: `worker`, `evaluator`. */
export interface ContainerSchemaFile extends AnySchemaFile {
  runtime: "container";
  /** A tar as `docker save` writes it, in the folder; or one of a registry by its digest. */
  image: { path: string; id?: string } | { reference: string };
  limits: ContainerLimits;
}

/** What a person says of a job schema in `schema.yaml`. */
export type SchemaFile = WasmSchemaFile | ContainerSchemaFile;

const path = (example: string) => (issue: { input?: unknown }) =>
  complaint(issue.input, "a relative path without . and ..", example);
const place = (description: string, example: string) =>
  z
    .string({ error: path(example) })
    .pipe(storedPath)
    .meta({ description, examples: [example] });

const decimal = (description: string, example: string) =>
  field({
    description,
    expected: "a positive amount of tokens",
    examples: [example],
    parse: (text) => {
      // As many decimals as any token has; the token itself is known only where the schema is registered.
      if (parseAmount(text, 18) === 0n) throw new Error("zero");
      return text;
    },
  });

const text = (pattern: RegExp, expected: string, example: string, description: string) =>
  z
    .string({ error: (issue) => complaint(issue.input, expected, example) })
    .regex(pattern, { error: (issue) => complaint(issue.input, expected, example) })
    .meta({ description, examples: [example] });

export const REPOSITORY = /^(?:https|ssh|git):\/\/[^\s\p{C}]{1,500}$/u;
export const COMMIT = /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/;
export const DIGEST = /^sha256:[0-9a-f]{64}$/;

const common = {
  name: z
    .string({ error: (issue) => complaint(issue.input, "1 to 100 printable characters", "square-root") })
    .pipe(nameSchema)
    .meta({ description: "What people call the schema." }),
  proto: place("The file with services and messages.", SCHEMA_PROTO_FILE).default(SCHEMA_PROTO_FILE),
  verification: choice(verifications, "How an evaluator knows that a result is right.").default("solution"),
  rewards: z
    .array(choice(schemaRewards, "A way to split a reward."), {
      error: (issue) => complaint(issue.input, "a list of ways to split a reward", "[winner-takes-all, list]"),
    })
    .min(1, { error: "is empty, expected at least one way to split a reward, for example [even]" })
    .refine((list) => new Set(list).size === list.length, { error: "names one twice" })
    .meta({ description: "What requests may choose from." })
    .default([...schemaRewards]),
  deposit: decimal("Least that an evaluator deposits, in tokens.", "10"),
  challengeFee: decimal("Least that a challenge costs, in tokens; less than the deposit.", "1"),
  source: group(
    {
      repository: text(REPOSITORY, "the URL of a repository", "https://example.org/me/square-root", "Where it is."),
      commit: text(COMMIT, "40 or 64 hexadecimal digits", "0".repeat(40), "The commit it was built from."),
    },
    "Where the programs' sources are.",
  ).optional(),
  build: text(
    DIGEST,
    "sha256: and 64 hexadecimal digits",
    `sha256:${"0".repeat(64)}`,
    "What building comes to.",
  ).optional(),
};

const wasmSchema = group(
  {
    runtime: choice(["wasm"], "What runs the programs.").default("wasm"),
    ...common,
    worker: place("The worker's module.", "worker.wasm").default("worker.wasm"),
    evaluator: place("The evaluator's module.", "evaluator.wasm").default("evaluator.wasm"),
    sources: group(
      {
        worker: place("The worker's source.", "assembly/worker.ts"),
        evaluator: place("The evaluator's source.", "assembly/evaluator.ts"),
      },
      "AssemblyScript that the modules are built from.",
    ).optional(),
    limits: group(
      {
        fuel: limit(LIMIT_BOUNDS.fuel, COUNT, "Units of fuel, roughly instructions.", ["2G", 2e9]).prefault("10G"),
        memory: limit(LIMIT_BOUNDS.memory, SIZE, "Memory.", ["64MiB"]).prefault("256MiB"),
        seconds: limit(LIMIT_BOUNDS.seconds, DURATION, "Wall-clock time.", ["30s", 30]).prefault("60s"),
        output: limit(LIMIT_BOUNDS.output, SIZE, "Files and streams together.", ["1MiB"]).prefault("16MiB"),
        files: limit(LIMIT_BOUNDS.files, COUNT, "Files in the output.", [100]).prefault(100),
      },
      "What one call of a program may use up.",
    ).prefault({}),
  },
  "A job schema of WebAssembly modules.",
);

const bounds = CONTAINER_BOUNDS;
const containerSchema = group(
  {
    runtime: choice(["container"], "What runs the programs."),
    ...common,
    image: z
      .string({ error: (issue) => complaint(issue.input, "a path, or name@sha256:…", "image.tar") })
      .meta({ description: "The image with both programs: a tar in the folder, or one of a registry by its digest." })
      .transform((value, context): ContainerSchemaFile["image"] => {
        if (isImageReference(value)) return { reference: value };
        // With a colon it is a tag, which may mean something else tomorrow.
        if (storedPath.safeParse(value).success && !value.includes(":")) return { path: value };
        context.addIssue({ code: "custom", message: complaint(value, "a path, or name@sha256:…", "image.tar") });
        return z.NEVER;
      }),
    imageId: text(
      IMAGE_ID,
      "sha256: and 64 hexadecimal digits",
      `sha256:${"0".repeat(64)}`,
      "The image's id.",
    ).optional(),
    limits: group(
      {
        cpus: limit(bounds.cpus, COUNT, "CPUs' worth of time.", [1]).prefault(1),
        memory: limit(bounds.memory, SIZE, "Memory.", ["256MiB"]).prefault("512MiB"),
        processes: limit(bounds.processes, COUNT, "Processes and threads.", [64]).prefault(64),
        seconds: limit(bounds.seconds, DURATION, "Wall-clock time.", ["60s"]).prefault("60s"),
        disk: limit(bounds.disk, SIZE, "Scratch in /tmp.", ["16MiB"]).prefault("16MiB"),
        output: limit(bounds.output, SIZE, "Files and streams together.", ["16MiB"]).prefault("16MiB"),
        files: limit(bounds.files, COUNT, "Files in the output.", [100]).prefault(100),
      },
      "What one call of a program may use up.",
    ).prefault({}),
  },
  "A job schema of an image.",
);

/**
 * Reads `schema.yaml`. Pure: whether the files it names exist is not looked at.
 *
 * @throws SuretyError `SCHEMA_FILE_INVALID` with every problem there is
 */
export function parseSchemaFile(written: string): SchemaFile {
  let value: Record<string, unknown>;
  try {
    value = readYaml(written) as Record<string, unknown>;
  } catch (error) {
    if (!(error instanceof JobFileError)) throw error;
    throw invalid([error.message], error);
  }
  const isContainer = value["runtime"] === "container" || Object.hasOwn(value, "image");
  const parsed = isContainer ? containerSchema.safeParse(value) : wasmSchema.safeParse(value);
  if (!parsed.success) {
    throw invalid(
      parsed.error.issues.slice(0, 10).map(({ path, message }) => {
        const where = path.map(String).join(".");
        return where === "" ? message : `${where}: ${message}`;
      }),
      parsed.error,
    );
  }
  const file = parsed.data;
  if (parseAmount(file.deposit, 18) <= parseAmount(file.challengeFee, 18)) {
    throw invalid([`deposit: ${file.deposit} is not more than the challengeFee of ${file.challengeFee}`]);
  }
  if (file.runtime === "wasm") return file;
  const { image, imageId, ...rest } = file;
  return { ...rest, image: imageId !== undefined && "path" in image ? { ...image, id: imageId } : image };
}

function invalid(problems: readonly string[], cause?: unknown): SuretyError {
  return new SuretyError("SCHEMA_FILE_INVALID", problems.join("\n"), {
    details: { problems: problems.length, first: problems[0] },
    fix: `Correct ${SCHEMA_FILE}.`,
    exit: ExitStatus.badInput,
    cause,
  });
}
