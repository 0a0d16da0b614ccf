import { z } from "zod";

import { parseCount, PARTS_PER_MILLION } from "./amount.ts";
import { complaint } from "./complaint.ts";
import { CONTAINER_BOUNDS, containerFields, IMAGE_ID } from "./container-spec.ts";
import {
  address,
  amount,
  choice,
  COUNT,
  DURATION,
  field,
  group,
  limit,
  list,
  share,
  SIZE,
  source,
  stored,
  windowField,
  within,
  words,
} from "./job-file-field.ts";
import { argSchema, LIMIT_BOUNDS, MAX_ARGS, nameSchema } from "./job-spec.ts";
import { MAX_LISTED, MAX_QUORUM } from "./pricing.ts";
import { parseImage, parseInputs } from "./source.ts";

const UINT24_MAX = 2 ** 24 - 1;

const WHAT_IT_IS = "A job for the Surety market: what to run, on what, and how sure to be of the results.";

const name = nameSchema
  .meta({ description: "What people call the job. Defaults to the name of the program." })
  .optional();

/** What every job file may say. */
function commonShape(decimals: number) {
  return {
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
        description: "A folder with one file or sub-folder per task, or a list of paths and content ids, one per task.",
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
  };
}

const fullSlash = (usual: boolean) =>
  z
    .union([z.boolean(), z.enum(["true", "false"])], {
      error: (issue) => complaint(issue.input, "true or false", "true"),
    })
    .meta({ description: "Whether a lone difference costs everything locked, or only pay and a fine." })
    .transform((value) => String(value) === "true")
    .prefault(usual);

const hostClass = (usual: string) =>
  field({
    description: "The kind of host: a name the deployment knows, or the id of a class on chain.",
    expected: "a name or 0x and 64 hexadecimal digits",
    examples: [usual],
    numeric: false,
    parse: (text) => {
      if (!/^(?:0x[0-9a-f]{64}|[a-z][a-z0-9-]{0,62})$/.test(text)) throw new Error("neither name nor id");
      return text;
    },
  }).prefault(usual);

/**
 * The schema of a job file of a WebAssembly module, from what a person writes to `WasmJobFile` (apart from what one
 * key implies for another, which `parseJobFile` adds).
 *
 * @param decimals Decimals of the token.
 */
export function jobFileSchema(decimals: number) {
  return group(
    {
      name,
      executor: choice(["wasm"], "What runs a task.").default("wasm"),
      module: source(
        "The program: a file, or a file in storage by the content id of its directory.",
        ["./tile.wasm", "bafybeiczsscdsbs7ffqz55asqdf3smv6klcw3gofszvwlyarci47bgf354/tile.wasm"],
        "a path or a content id",
      ),
      ...commonShape(decimals),
      fullSlash: fullSlash(true),
      limits: group(
        {
          fuel: limit(LIMIT_BOUNDS.fuel, COUNT, "Units of fuel, roughly instructions.", ["2G", 2e9]).prefault("100G"),
          memory: limit(LIMIT_BOUNDS.memory, SIZE, "Memory.", ["64MiB"]).prefault("256MiB"),
          seconds: limit(LIMIT_BOUNDS.seconds, DURATION, "Wall-clock time.", ["30s", 30]).prefault("60s"),
          output: limit(LIMIT_BOUNDS.output, SIZE, "Files, standard output and standard error together.", [
            "1MiB",
          ]).prefault("64MiB"),
          files: limit(LIMIT_BOUNDS.files, COUNT, "Files in the output.", [100]).prefault(1000),
        },
        "What one task may use up.",
      ).prefault({}),
      class: hostClass("wasm"),
    },
    WHAT_IT_IS,
  );
}

/**
 * The schema of a job file of an image, from what a person writes to `ContainerJobFile` (apart from what
 * `parseJobFile` adds).
 *
 * @param decimals Decimals of the token.
 */
export function containerJobFileSchema(decimals: number) {
  const bounds = CONTAINER_BOUNDS;
  return group(
    {
      name,
      executor: choice(["container"], "What runs a task.").default("container"),
      image: field({
        description: "The image: a tar as docker save writes it, one in storage, or one of a registry by its digest.",
        expected: "a path, a content id, or name@sha256:…",
        examples: ["./image.tar", "bafybeiczsscdsbs7ffqz55asqdf3smv6klcw3gofszvwlyarci47bgf354/image.tar"],
        numeric: false,
        parse: parseImage,
      }),
      imageId: field({
        description:
          "Id of the image in the tar, as docker images --no-trunc shows it; a tar in a path tells by itself.",
        expected: "sha256: and 64 hexadecimal digits",
        examples: [`sha256:${"0".repeat(64)}`],
        numeric: false,
        parse: (text) => {
          if (!IMAGE_ID.test(text)) throw new Error("no id");
          return text;
        },
      }).optional(),
      entrypoint: words("What is run instead of the image's own entry point.", `["/usr/bin/env"]`)
        .transform(stored(containerFields.entrypoint, "1 to 64 texts without NUL", `["/usr/bin/env"]`))
        .optional(),
      environment: z
        .record(z.string(), z.string(), { error: (issue) => complaint(issue.input, "variables", "{ LC_ALL: C }") })
        .meta({ description: "Variables beside the image's own." })
        .transform(inOrder)
        .transform(stored(containerFields.environment, "variables that the host does not set itself", "{ LC_ALL: C }"))
        .optional(),
      gpu: group(
        {
          count: field({
            description: "How many.",
            expected: "1 to 64",
            examples: [1],
            parse: (text) => within(parseCount(text), 1, 64),
          }).prefault(1),
          memory: limit([1, 2 ** 50], SIZE, "Memory that each of them has at least.", ["8GiB"]).optional(),
          capabilities: words("What they must be able to do.", `["compute"]`).default(["compute", "utility"]),
        },
        "GPUs of the host.",
      )
        .transform(stored(containerFields.gpu, "GPUs by count, memory and capabilities", "{ count: 1 }"))
        .optional(),
      ...commonShape(decimals),
      fullSlash: fullSlash(false),
      limits: group(
        {
          cpus: limit(bounds.cpus, COUNT, "CPUs' worth of time.", [1]).prefault(1),
          memory: limit(bounds.memory, SIZE, "Memory of all processes together.", ["256MiB"]).prefault("256MiB"),
          processes: limit(bounds.processes, COUNT, "Processes and threads.", [64]).prefault(64),
          seconds: limit(bounds.seconds, DURATION, "Wall-clock time.", ["10m"]).prefault("10m"),
          disk: limit(bounds.disk, SIZE, "What it may have in /tmp.", ["64MiB"]).prefault("64MiB"),
          output: limit(bounds.output, SIZE, "Files, standard output and standard error together.", ["1MiB"]).prefault(
            "64MiB",
          ),
          files: limit(bounds.files, COUNT, "Files in the output.", [100]).prefault(1000),
        },
        "What one task may use up.",
      ).prefault({}),
      class: hostClass("container"),
    },
    WHAT_IT_IS,
  );
}

function inOrder(variables: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(variables).sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** Either schema. */
export type JobFileSchema = ReturnType<typeof jobFileSchema> | ReturnType<typeof containerJobFileSchema>;

/**
 * The JSON Schema of a job file, for editors: published as `job-file.schema.json`.
 */
export function jobFileJsonSchema(): Record<string, unknown> {
  const either = z.union([jobFileSchema(18), containerJobFileSchema(18)]);
  const { $schema, ...schema } = z.toJSONSchema(either, { io: "input" }) as Record<string, unknown>;
  return { $schema, title: "Surety job file", ...schema };
}
