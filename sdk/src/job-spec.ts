import { getAddress } from "ethers";
import { closestMatch } from "leven";
import { parseAllDocuments } from "yaml";
import { z } from "zod";

import {
  formatDuration,
  formatSize,
  MAX_AMOUNT,
  parseAmount,
  parseCount,
  parseDuration,
  parseShare,
  parseSize,
  PARTS_PER_MILLION,
} from "./amount.ts";
import { directoryId } from "./batch-manifest.ts";
import { decodeJson, encodeJson } from "./canonical-json.ts";
import { parseContentId } from "./content.ts";
import { ExitStatus, SuretyError } from "./errors.ts";
import { HONEST_SHARE, MAX_LISTED, MAX_QUORUM } from "./pricing.ts";

/** Name of the file in the directory that a job's terms name as `spec`. */
export const JOB_SPEC_FILE = "job.json";
/** Most bytes of that file. */
export const MAX_JOB_SPEC_BYTES = 256 * 1024;
/**
 * Most bytes of a job file, enough for a thousand inputs by content id; more belong in a folder. Parsing YAML takes
 * time with the square of what is wrong with it: seconds for this much, minutes for a megabyte.
 */
export const MAX_JOB_FILE_BYTES = 64 * 1024;

/** Deepest nesting of a job file, and then some. */
const MAX_DEPTH = 32;
const MAX_ARGS = 256;
const MAX_ARG_LENGTH = 4096;
const MAX_PATH_LENGTH = 1024;
const UINT24_MAX = 2 ** 24 - 1;
const UINT32_MAX = 2 ** 32 - 1;

/** The contracts' `SLASH_FACTOR`: times the gain of one cheat that the expected slash must reach. */
const SLASH_FACTOR = 2n;
const PPM = BigInt(PARTS_PER_MILLION);

/** What runs a task. Others follow. */
export type ExecutorName = "wasm";

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

const BOUNDS: Readonly<Record<keyof Limits, readonly [least: number, most: number]>> = {
  fuel: [1, Number.MAX_SAFE_INTEGER],
  memory: [64 * 1024, 4 * 2 ** 30],
  seconds: [1, 7 * 86_400],
  output: [0, 16 * 2 ** 30],
  files: [0, 100_000],
};

/** What is stored for a job and named by its terms: all that a node needs to run any of its tasks. */
export interface JobSpec {
  version: 1;
  /** For people. Up to 100 printable characters. */
  name: string;
  executor: ExecutorName;
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

const nameSchema = z.string().regex(/^[^\p{C}]{1,100}$/u, {
  error: (issue) => complaint(issue.input, "1 to 100 printable characters", "map tiles"),
});
const argSchema = z
  .string()
  .max(MAX_ARG_LENGTH)
  .refine((arg) => !arg.includes("\0"), { error: "has a NUL in it" });
const bounded = (name: keyof Limits) => z.int().min(BOUNDS[name][0]).max(BOUNDS[name][1]);

/** The schema of {@link JobSpec}. Strict: unknown keys are refused. */
export const jobSpecSchema = z.strictObject({
  version: z.literal(1),
  name: nameSchema,
  executor: z.literal("wasm"),
  program: z.strictObject({
    cid: directoryId,
    path: z.string().refine(isRelativePath, { error: "expected a relative path without . and .." }),
  }),
  args: z.array(argSchema).max(MAX_ARGS),
  limits: z.strictObject({
    fuel: bounded("fuel"),
    memory: bounded("memory"),
    seconds: bounded("seconds"),
    output: bounded("output"),
    files: bounded("files"),
  }),
});

/**
 * Builds the content of `job.json`.
 *
 * @throws `JOB_SPEC_INVALID` if the specification is malformed; unknown keys are left out.
 */
export function buildJobSpec(spec: JobSpec): Uint8Array {
  const { name, executor, program, args, limits } = spec;
  const { fuel, memory, seconds, output, files } = limits;
  const bytes = encodeJson({
    version: 1,
    name,
    executor,
    program: { cid: program.cid, path: program.path },
    args,
    limits: { fuel, memory, seconds, output, files },
  });
  parseJobSpec(bytes);
  return bytes;
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

/** What backs a job's results. */
export type Mode = "trusted" | "sampled" | "replicated";

/** How many verifiers run a sampled task at first: one (`adaptive`), or all of the quorum (`fixed`). */
export type Checking = "adaptive" | "fixed";

/** Where something is: on this computer, or in storage under its content id. */
export type Source =
  | {
      kind: "path";
      /** Relative to the base folder, if one was given. */
      path: string;
    }
  | {
      kind: "content";
      /** Content id of a directory, canonical. */
      cid: string;
      /** A file in it; where it is left out and a file is needed, the directory holds only that file. */
      path?: string;
    };

/** How long each step may take, seconds. */
export interface JobWindows {
  /** From posting: slices can be claimed. */
  claim: number;
  /** From a claim: its node must submit. */
  submit: number;
  /** From the seal: the seed must be shown. */
  reveal: number;
  /** From the reveal, and from each later round: verifiers must answer. */
  check: number;
  /** After that: exceptions must be listed. */
  judge: number;
  /** From an exception: it can be challenged. */
  challenge: number;
}

/** What a person asks for in a job file, in the units of the contracts. */
export interface JobFile {
  name: string;
  executor: ExecutorName;
  module: Source;
  /** `{index}` in them stands for the task's index in the batch. */
  args: string[];
  /** A folder with one file or sub-folder per task, or one source per task. */
  inputs: { kind: "folder"; path: string } | { kind: "list"; sources: Source[] };
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
  /** What a member that differs loses, base units; {@link minimumSlash} if left out. */
  slash?: bigint;
  /** Chance of guessing a task's result, parts per million: 500,000 for yes or no. */
  guess: number;
  /** A lone difference costs the whole lock, not only pay and a fine. */
  fullSlash: boolean;
  limits: Limits;
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

/** One thing wrong with a job file. */
export interface JobFileProblem {
  /** Which key: `windows.claim`, `inputs.3`; empty for the file as a whole. */
  path: string;
  /** What was wrong and what was expected, with an example. */
  message: string;
}

/** Thrown for a job file, with every problem found in it. */
export class JobFileError extends SuretyError {
  override readonly name = "JobFileError";
  readonly problems: readonly JobFileProblem[];

  constructor(problems: readonly JobFileProblem[], cause?: unknown) {
    const lines = problems.map(({ path, message }) => (path === "" ? message : `${path}: ${message}`));
    super("JOB_FILE_INVALID", lines.join("\n"), {
      details: { problems: problems.length, first: lines[0] },
      fix: "Correct the job file; nothing was posted.",
      exit: ExitStatus.badInput,
      cause,
    });
    this.problems = problems;
  }

  override toJSON(): Record<string, unknown> {
    return { ...super.toJSON(), problems: this.problems };
  }
}

/** What {@link parseJobFile} takes beside the text. */
export interface JobFileOptions {
  /** Put in front of the relative paths in the file: the folder the file lies in. */
  baseFolder?: string;
  /** Decimals of the token the prices are in. Defaults to 18. */
  decimals?: number;
}

/** How one value is written in a job file. */
interface Field<T> {
  description: string;
  /** What is expected, to finish "…, expected". */
  expected: string;
  examples: (string | number)[];
  /** Whether a number is a fitting way to write it, too. */
  numeric?: false;
  parse: (text: string) => T;
}

/**
 * A value written as text or number. Numbers are read from the text they were written as, never through floating
 * point, so that `0.1` is a tenth and a long amount keeps its last digit.
 */
function field<T>({ description, expected, examples, numeric, parse }: Field<T>) {
  const example = String(examples[0]);
  const error = (issue: { input?: unknown }): string => complaint(issue.input, expected, example);
  const written: z.ZodType<string | number, string | number> =
    numeric === false ? z.string({ error }) : z.union([z.string(), z.number()], { error });
  return written.meta({ description, examples }).transform((value, context): T => {
    try {
      return parse(String(value));
    } catch (error) {
      const known = error instanceof SuretyError ? error.details.expected : undefined;
      context.addIssue({ code: "custom", message: complaint(value, known ? String(known) : expected, example) });
      return z.NEVER;
    }
  });
}

function choice<const T extends readonly string[]>(values: T, description: string) {
  const expected = values.length === 1 ? "the only one there is" : `one of ${values.join(", ")}`;
  return z
    .enum(values, { error: (issue) => complaint(issue.input, expected, values[0] ?? "") })
    .meta({ description, examples: [...values] });
}

function group<T extends z.ZodRawShape>(shape: T, description: string) {
  const keys = Object.keys(shape).join(", ");
  return z
    .strictObject(shape, {
      error: (issue) =>
        issue.code === "invalid_type"
          ? `${shown(issue.input)} is not a group of settings, expected ${keys}`
          : undefined,
    })
    .meta({ description });
}

function list<T extends z.ZodType>(element: T, max: number, description: string, example: string) {
  const expected = `a list of at most ${max}`;
  return z
    .array(element, { error: (issue) => complaint(issue.input, expected, example) })
    .max(max, { error: (issue) => `has ${(issue.input as unknown[]).length} entries, expected ${expected}` })
    .meta({ description });
}

const share = (description: string, least: number, most: number, examples: (string | number)[]) => {
  const expected = `a share from ${least / 10_000}% to ${most / 10_000}%`;
  return field({ description, expected, examples, parse: (text) => within(parseShare(text), least, most) });
};

const amount = (decimals: number, description: string, example: string) =>
  field({
    description,
    expected: "a positive amount of tokens",
    examples: [example],
    parse: (text) => within(parseAmount(text, decimals), 1n, MAX_AMOUNT),
  });

const windowField = (description: string) =>
  field({
    description,
    expected: "a duration of at least one second",
    examples: ["10m", "30s", 600],
    parse: (text) => within(parseDuration(text), 1, UINT32_MAX),
  });

const limit = (
  name: keyof Limits,
  { parse, format }: { parse: (text: string) => number; format: (value: number) => string },
  description: string,
  examples: (string | number)[],
) => {
  const [least, most] = BOUNDS[name];
  const expected = `${format(least)} to ${format(most)}`;
  return field({ description, expected, examples, parse: (text) => within(parse(text), least, most) });
};

const COUNT = { parse: parseCount, format: String };
const SIZE = { parse: parseSize, format: formatSize };
const DURATION = { parse: parseDuration, format: formatDuration };

const source = (description: string, examples: string[], expected: string) =>
  field({ description, expected, examples, numeric: false, parse: parseSource });

const address = field({
  description: "Address of a node.",
  expected: "an address",
  examples: ["0x00000000000000000000000000000000000000a1"],
  numeric: false,
  // Throws where the capitals of a checksum are wrong, which is how most mistyped addresses are found.
  parse: (text) => getAddress(/^0x/.test(text) ? text : ""),
});

/**
 * The schema of a job file, from what a person writes to {@link JobFile} (apart from what one key implies for
 * another, which {@link parseJobFile} adds).
 *
 * @param decimals Decimals of the token.
 */
export function jobFileSchema(decimals: number) {
  return group(
    {
      name: nameSchema.meta({ description: "What people call the job. Defaults to the module's name." }).optional(),
      executor: choice(["wasm"], "What runs a task.").default("wasm"),
      module: source(
        "The program: a file, or a file in storage by the content id of its directory.",
        ["./tile.wasm", "bafybeiczsscdsbs7ffqz55asqdf3smv6klcw3gofszvwlyarci47bgf354/tile.wasm"],
        "a path or a content id",
      ),
      args: list(
        z
          .union([z.string(), z.number(), z.boolean()], { error: (issue) => complaint(issue.input, "text", "{index}") })
          .transform(String)
          .pipe(argSchema),
        MAX_ARGS,
        "Arguments of the program; {index} stands for the task's index.",
        `["--tile", "{index}"]`,
      ).default([]),
      inputs: z
        .union([z.string(), z.array(z.string())], {
          error: (issue) => complaint(issue.input, "a folder, or a list of paths and content ids", "./inputs"),
        })
        .meta({
          description:
            "A folder with one file or sub-folder per task, or a list of paths and content ids, one per task.",
          examples: ["./inputs", ["./a.json", "bafybeiczsscdsbs7ffqz55asqdf3smv6klcw3gofszvwlyarci47bgf354"]],
        })
        .transform(parseInputs),
      mode: choice(["sampled", "trusted", "replicated"], "What backs the results.").default("sampled"),
      rate: share(
        "Share of the tasks that is run again: 3% unless said otherwise; only for mode sampled.",
        1,
        PARTS_PER_MILLION,
        ["3%", 0.03],
      ).optional(),
      quorum: field({
        description: "Members of a full panel, the first included.",
        expected: `an odd number from 3 to ${MAX_QUORUM}`,
        examples: [3, 5],
        parse: (text) => {
          const quorum = within(parseCount(text), 3, MAX_QUORUM);
          if (quorum % 2 === 0) throw new Error("even");
          return quorum;
        },
      }).prefault(3),
      checking: choice(
        ["adaptive", "fixed"],
        "One verifier first and the others only where it differs, or all at once. Mode replicated is always fixed.",
      ).optional(),
      prices: group(
        {
          task: amount(decimals, "For one task, in tokens.", "0.5").prefault("0.01"),
          verifier: amount(
            decimals,
            "For one task run again, in tokens: at least that of a task, which it defaults to.",
            "0.5",
          ).optional(),
        },
        "What is paid.",
      ).prefault({}),
      slash: amount(
        decimals,
        "What a member that differs loses, in tokens. Defaults to the least the market allows.",
        "50",
      ).optional(),
      guess: share("Chance of guessing a task's result: 50% for yes or no.", 0, PARTS_PER_MILLION - 1, [
        "0%",
        "50%",
      ]).prefault("0%"),
      fullSlash: z
        .union([z.boolean(), z.enum(["true", "false"])], {
          error: (issue) => complaint(issue.input, "true or false", "true"),
        })
        .meta({ description: "Whether a lone difference costs everything locked, or only pay and a fine." })
        .transform((value) => String(value) === "true")
        .prefault(true),
      limits: group(
        {
          fuel: limit("fuel", COUNT, "Units of fuel, roughly instructions.", ["2G", 2e9]).prefault("100G"),
          memory: limit("memory", SIZE, "Memory.", ["64MiB"]).prefault("256MiB"),
          seconds: limit("seconds", DURATION, "Wall-clock time.", ["30s", 30]).prefault("60s"),
          output: limit("output", SIZE, "Files, standard output and standard error together.", ["1MiB"]).prefault(
            "64MiB",
          ),
          files: limit("files", COUNT, "Files in the output.", [100]).prefault(1000),
        },
        "What one task may use up.",
      ).prefault({}),
      windows: group(
        {
          claim: windowField("From posting: slices can be claimed.").prefault("10m"),
          submit: windowField("From a claim: its node must submit.").prefault("30m"),
          reveal: windowField("From the seal: the seed must be shown.").prefault("10m"),
          check: windowField("From the reveal: verifiers must answer.").prefault("30m"),
          judge: windowField("After that: exceptions must be listed.").prefault("10m"),
          challenge: windowField("From an exception: it can be challenged.").prefault("30m"),
        },
        "How long each step may take.",
      ).prefault({}),
      minSlice: field({
        description: "Fewest tasks that one claim may take.",
        expected: `a number from 1 to ${UINT24_MAX}`,
        examples: [1],
        parse: (text) => within(parseCount(text), 1, UINT24_MAX),
      }).prefault(1),
      maxShare: share("Most of a batch that one claim may take.", 1, PARTS_PER_MILLION, ["20%"]).prefault("20%"),
      nodes: group(
        {
          allow: list(address, MAX_LISTED, "Mode trusted: who may claim.", `["0x…"]`).default([]),
          exclude: list(address, MAX_LISTED, "Who neither claims nor verifies.", `["0x…"]`).default([]),
        },
        "Which nodes.",
      ).prefault({}),
      plant: share("Share of the tasks to replace by work whose result is known.", 0, 500_000, ["1%"]).prefault("0%"),
      class: field({
        description: "The kind of host: a name the deployment knows, or the id of a class on chain.",
        expected: "a name or 0x and 64 hexadecimal digits",
        examples: ["wasm"],
        numeric: false,
        parse: (text) => {
          if (!/^(?:0x[0-9a-f]{64}|[a-z][a-z0-9-]{0,62})$/.test(text)) throw new Error("neither name nor id");
          return text;
        },
      }).prefault("wasm"),
    },
    "A job for the Surety market: what to run, on what, and how sure to be of the results.",
  );
}

/**
 * Reads a job file, YAML or JSON. Pure: whether files and contents exist is not looked at.
 *
 * @param text At most {@link MAX_JOB_FILE_BYTES}.
 * @throws {@link JobFileError} `JOB_FILE_INVALID`, with every problem there is.
 *
 * @example
 * ```ts
 * parseJobFile("module: ./tile.wasm\ninputs: ./inputs\nrate: 10%\n", { baseFolder: "/home/ada/map" });
 * ```
 */
export function parseJobFile(text: string, options: JobFileOptions = {}): JobFile {
  const schema = jobFileSchema(options.decimals ?? 18);
  const parsed = schema.safeParse(readYaml(text));
  if (!parsed.success) throw new JobFileError(problemsOf(parsed.error, schema), parsed.error);
  const { rate, checking, name, prices, ...rest } = parsed.data;
  const problems = contradictions(parsed.data);
  if (problems.length > 0) throw new JobFileError(problems);

  const module = inFolder(rest.module, options.baseFolder);
  const rateOf: Record<Mode, number> = { trusted: 0, sampled: rate ?? 30_000, replicated: PARTS_PER_MILLION };
  return {
    ...rest,
    name: name ?? moduleName(module),
    module,
    inputs:
      rest.inputs.kind === "list"
        ? { kind: "list", sources: rest.inputs.sources.map((each) => inFolder(each, options.baseFolder)) }
        : { kind: "folder", path: joined(options.baseFolder, rest.inputs.path) },
    rate: rateOf[rest.mode],
    checking: checking ?? (rest.mode === "sampled" ? "adaptive" : "fixed"),
    prices: { task: prices.task, verifier: prices.verifier ?? prices.task },
  };
}

/**
 * The JSON Schema of a job file, for editors: published as `job-file.schema.json`.
 */
export function jobFileJsonSchema(): Record<string, unknown> {
  const { $schema, ...schema } = z.toJSONSchema(jobFileSchema(18), { io: "input" }) as Record<string, unknown>;
  return { $schema, title: "Surety job file", ...schema };
}

/** What {@link minimumSlash} depends on. */
export interface SlashFactors {
  /** For one task, base units. */
  price: bigint;
  /** For one task run again, base units; a juror's price too. */
  verifierPrice: bigint;
  /** Share of the tasks that is run again, parts per million, above 0. */
  rate: number;
  /** Chance of guessing a task's result, parts per million, below 1,000,000. */
  guess: number;
  /** Members of a full panel. */
  quorum: number;
  /** What a challenge puts at stake, base units; the market says. */
  challengeBond: bigint;
}

/**
 * The least a member that differs must lose for honesty to pay, and for the slash to cover a jury. Twin of
 * `TermsRules.checkPrice`, rounded up.
 *
 * @returns max(2·price / (rate·(1−guess)), ((2·quorum+1)·verifierPrice + challengeBond) / (1−honestShare)), base units.
 * @throws `SLASH_UNDEFINED` if nothing is run again or every result is guessed: no slash deters then.
 */
export function minimumSlash(factors: SlashFactors): bigint {
  const { price, verifierPrice, rate, guess, quorum, challengeBond } = factors;
  const chance = BigInt(rate) * (PPM - BigInt(guess));
  if (chance <= 0n) {
    throw new SuretyError(
      "SLASH_UNDEFINED",
      `no slash deters at a rate of ${rate} and a guess of ${guess} parts per million`,
      {
        details: { rate, guess },
      },
    );
  }
  const deterrent = ceilDivide(SLASH_FACTOR * price * PPM * PPM, chance);
  const juryCost = ceilDivide(
    ((2n * BigInt(quorum) + 1n) * verifierPrice + challengeBond) * PPM,
    PPM - BigInt(HONEST_SHARE),
  );
  return deterrent > juryCost ? deterrent : juryCost;
}

/** The text as plain data in which every scalar is the text it was written as. */
function readYaml(text: string): unknown {
  const bytes = new TextEncoder().encode(text).length;
  if (bytes > MAX_JOB_FILE_BYTES) {
    throw new JobFileError([
      {
        path: "",
        message: `the file has ${bytes} bytes, expected at most ${MAX_JOB_FILE_BYTES}; put many inputs in a folder`,
      },
    ]);
  }
  // Before parsing, which goes as deep as the text does.
  if (isDeep(text)) {
    throw new JobFileError([
      { path: "", message: `the file is nested deeper than ${MAX_DEPTH} levels, expected at most 3` },
    ]);
  }
  let value: unknown;
  try {
    const documents = parseAllDocuments(text, {
      schema: "failsafe",
      uniqueKeys: true,
      stringKeys: true,
      logLevel: "silent",
    });
    const [document] = documents;
    if (document === undefined) throw new JobFileError([{ path: "", message: "the file is empty, expected a job" }]);
    if (documents.length > 1) {
      throw new JobFileError([{ path: "", message: `the file holds ${documents.length} documents, expected one` }]);
    }
    const flaws = [...document.errors, ...document.warnings];
    if (flaws.length > 0) {
      const problems = flaws
        .slice(0, 5)
        .map((flaw) => ({ path: "", message: `not YAML: ${flaw.message.split("\n")[0] ?? flaw.code}` }));
      throw new JobFileError(problems, flaws[0]);
    }
    // A few anchors are fine; an alias of an alias of an alias is a bomb.
    value = document.toJS({ maxAliasCount: 20 });
  } catch (cause) {
    if (cause instanceof JobFileError) throw cause;
    const reason = cause instanceof Error ? (cause.message.split("\n")[0] ?? "") : String(cause);
    throw new JobFileError([{ path: "", message: `not YAML that can be read: ${reason}` }], cause);
  }
  if (value === null || typeof value !== "object" || Array.isArray(value)) {
    throw new JobFileError([
      {
        path: "",
        message: `${shown(value)} is not a job, expected keys and values, for example "module: ./tile.wasm"`,
      },
    ]);
  }
  return value;
}

/**
 * Whether YAML could nest deeply: open brackets, or many dashes on one line. Counts those in quotes and comments too,
 * of which no honest file has so many. Levels by indentation alone are few, since each takes a longer line.
 */
function isDeep(text: string): boolean {
  let level = 0;
  for (const bracket of text.matchAll(/[[\]{}]/g)) {
    level = bracket[0] === "[" || bracket[0] === "{" ? level + 1 : Math.max(0, level - 1);
    if (level > MAX_DEPTH) return true;
  }
  return new RegExp(`(?:[-?:][ \\t]+){${MAX_DEPTH}}`).test(text);
}

function problemsOf(error: z.ZodError, schema: ReturnType<typeof jobFileSchema>): JobFileProblem[] {
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
function contradictions(file: z.output<ReturnType<typeof jobFileSchema>>): JobFileProblem[] {
  const { mode, rate, checking, nodes, prices } = file;
  const problems: JobFileProblem[] = [];
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

function parseInputs(value: string | string[], context: z.RefinementCtx): JobFile["inputs"] {
  const sources: Source[] = [];
  const example = "./inputs";
  const refuse = (path: number[], message: string): never => {
    context.addIssue({ code: "custom", message, path });
    return z.NEVER;
  };
  if (typeof value === "string") {
    const folder = sourceOrNothing(value);
    if (folder?.kind === "path") return { kind: "folder", path: folder.path };
    return refuse([], complaint(value, "a folder, or a list of paths and content ids", example));
  }
  if (value.length === 0) return refuse([], "is an empty list, expected one input per task");
  for (const [index, item] of value.entries()) {
    const parsed = sourceOrNothing(item);
    if (parsed === undefined) return refuse([index], complaint(item, "a path or a content id", "./a.json"));
    sources.push(parsed);
  }
  return { kind: "list", sources };
}

function sourceOrNothing(text: string): Source | undefined {
  try {
    return parseSource(text);
  } catch {
    return undefined;
  }
}

/** `bafy…`, `bafy…/file`, `ipfs://bafy…/file`, or else a path. `./bafy…` is a path. */
function parseSource(text: string): Source {
  if (text === "" || text.length > MAX_PATH_LENGTH || /\p{C}/u.test(text)) throw new Error("no path");
  const bare = text.startsWith("ipfs://") ? text.slice("ipfs://".length) : text;
  const slash = bare.indexOf("/");
  const id = slash === -1 ? bare : bare.slice(0, slash);
  const rest = slash === -1 ? "" : bare.slice(slash + 1).replace(/\/$/, "");
  const looksLikeId = bare !== text || /^(?:b[a-z2-7]{58,}|Qm[1-9A-HJ-NP-Za-km-z]{44})$/.test(id);
  if (!looksLikeId) return { kind: "path", path: text };
  if (id.length > 100 || (rest !== "" && !isRelativePath(rest))) throw new Error("no content id");
  const cid = parseContentId(id).toString();
  return rest === "" ? { kind: "content", cid } : { kind: "content", cid, path: rest };
}

function isRelativePath(path: string): boolean {
  const isClean = path !== "" && path.length <= MAX_PATH_LENGTH && !/[\p{C}\\]/u.test(path);
  return isClean && path.split("/").every((part) => part !== "" && part !== "." && part !== "..");
}

function inFolder(each: Source, baseFolder: string | undefined): Source {
  return each.kind === "path" ? { kind: "path", path: joined(baseFolder, each.path) } : each;
}

function joined(baseFolder: string | undefined, path: string): string {
  const isAbsolute = path.startsWith("/") || /^[A-Za-z]:[\\/]/.test(path);
  if (baseFolder === undefined || isAbsolute) return path;
  return `${baseFolder.replace(/\/+$/, "")}/${path.replace(/^(?:\.\/+)+/, "")}`;
}

function moduleName(module: Source): string {
  const file = module.path
    ?.split(/[\\/]/)
    .at(-1)
    ?.replace(/\.wasm$/, "");
  return file === undefined || file === "" ? "job" : file.slice(0, 100);
}

function within<T extends number | bigint>(value: T, least: T, most: T): T {
  if (value < least || value > most) throw new Error("out of range");
  return value;
}

function ceilDivide(dividend: bigint, divisor: bigint): bigint {
  return (dividend + divisor - 1n) / divisor;
}

function complaint(actual: unknown, expected: string, example: string): string {
  const verb = actual === undefined ? "is missing" : `${shown(actual)} is wrong`;
  return `${verb}, expected ${expected}, for example ${example}`;
}

/** A stranger's value, short and without line breaks or terminal escapes. */
function shown(value: unknown): string {
  if (Array.isArray(value)) return "a list";
  if (value !== null && typeof value === "object") return "a group of settings";
  return typeof value === "string" ? `"${printable(value.slice(0, 60))}"` : printable(String(value));
}

function printable(text: PropertyKey): string {
  return String(text).replace(/\p{C}/gu, "?");
}
