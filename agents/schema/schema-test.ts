import { getAddress } from "ethers";
import { z } from "zod";
import type { Directory } from "#sdk/content.ts";
import { ExitStatus, SuretyError } from "#sdk/errors.ts";
import { MAX_RANKED } from "#sdk/rewards.ts";
import type { Storage } from "#sdk/storage.ts";
import { runEvaluator, runWorkers, type SchemaRun, type SchemaRunner } from "./run-schema.ts";

/** A test of a schema's programs: a request, and what must come of it. */
export interface SchemaTest {
  /** Its file. */
  path: string;
  /** In protobuf's JSON. */
  request: unknown;
  /** How many honest workers run for it. */
  workers: number;
  /** Replies in protobuf's JSON that the evaluator must leave out, or rank behind every honest one. */
  invalid: unknown[];
  /** Whether the best honest worker must be found valid. */
  solvable: boolean;
  /** Directories that the request or the invalid replies name, by content id. */
  content: ReadonlyMap<string, Directory>;
  /** What is revealed to the evaluator. */
  testData: Directory;
}

const files = z
  .record(z.string(), z.string())
  .transform((texts): Directory => new Map(Object.entries(texts).map(([path, text]) => [path, Buffer.from(text)])));

const schema = z.strictObject({
  request: z.record(z.string(), z.unknown()),
  workers: z.int().min(0).max(64).default(3),
  invalid: z.array(z.unknown()).max(64).default([]),
  solvable: z.boolean().default(true),
  content: z
    .record(z.string(), files)
    .default({})
    .transform((directories) => new Map(Object.entries(directories))),
  testData: files.default(new Map()),
});

/**
 * Reads a test of a package.
 *
 * @throws SuretyError `SCHEMA_TEST_INVALID`
 */
export function parseSchemaTest(path: string, bytes: Uint8Array): SchemaTest {
  try {
    return { path, ...schema.parse(JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes))) };
  } catch (cause) {
    const reason = cause instanceof z.ZodError ? z.prettifyError(cause) : (cause as Error).message;
    throw new SuretyError("SCHEMA_TEST_INVALID", `${path} is no test: ${reason}`, {
      details: { path },
      fix: 'Write { "request": { … }, "workers": 3, "invalid": [ … ] }.',
      exit: ExitStatus.badInput,
      cause,
    });
  }
}

/**
 * Stores what a test's messages name, so that programs can be run on them.
 *
 * @throws SuretyError `SCHEMA_TEST_INVALID` if a directory has another content id than the test says; what
 * {@link Storage.add} throws
 */
export async function storeTestContent(
  storage: Pick<Storage, "add">,
  { path, content }: Pick<SchemaTest, "path" | "content">,
  { signal }: { signal?: AbortSignal } = {},
): Promise<void> {
  for (const [expected, directory] of content) {
    const actual = await storage.add(directory, { signal });
    if (actual === expected) continue;
    throw new SuretyError("SCHEMA_TEST_INVALID", `${path}: what it says is ${expected} is ${actual}`, {
      details: { path, expected, actual },
      fix: `Name it ${actual}, in the request too.`,
      exit: ExitStatus.badInput,
    });
  }
}

/** How a test went. */
export interface TestedSchema {
  test: SchemaTest;
  run: SchemaRun;
  /** Addresses of those whose replies were given and not run for. */
  cheats: string[];
}

/**
 * Runs a test: honest workers, then the evaluator, twice, over their replies and those that are invalid.
 *
 * @throws SuretyError `SCHEMA_TEST_FAILED` if a worker fails, the evaluator ranks an invalid reply before an honest one,
 * finds nobody valid where it should, or does not come to the same again; what {@link storeTestContent} and
 * {@link runEvaluator} throw
 */
export async function runSchemaTest(
  runner: SchemaRunner,
  test: SchemaTest,
  { signal }: { signal?: AbortSignal } = {},
): Promise<TestedSchema> {
  const { worker } = runner.schema.proto;
  const nodes = Array.from({ length: test.workers }, (_, index) => nodeOf(index));
  const given = test.invalid.slice(0, MAX_RANKED - nodes.length).map((reply, index) => {
    return { node: nodeOf(nodes.length + index), reply: worker.output.fromJson(reply), checkpoints: [] };
  });
  const order = {
    request: worker.input.fromJson(test.request),
    nodes,
    seed: new Uint8Array(32).fill(1),
    drawSeed: new Uint8Array(32).fill(2),
    testData: test.testData,
  };
  await storeTestContent(runner.storage, test, { signal });
  const fail = (what: string): SuretyError =>
    new SuretyError("SCHEMA_TEST_FAILED", `${test.path}: ${what}`, {
      details: { test: test.path, what },
      fix: "Correct the programs or the test.",
    });
  const { workers, failed } = await runWorkers(runner, order, { signal });
  if (failed[0]) throw fail(`a worker failed: ${failed[0].error.message}`);
  const evaluate = () => runEvaluator(runner, { ...order, workers: [...workers, ...given] }, { signal });
  const evaluation = await evaluate();
  const cheats = given.map(({ node }) => node);
  const places = evaluation.nodes.map((node, place) => ({ cheat: cheats.includes(node), place }));
  const lastHonest = places.findLast(({ cheat }) => !cheat)?.place ?? -1;
  const firstCheat = places.find(({ cheat }) => cheat);
  if (firstCheat && firstCheat.place < lastHonest) {
    const which = cheats.indexOf(evaluation.nodes[firstCheat.place]!);
    throw fail(`the evaluator ranks invalid reply ${which + 1} at place ${firstCheat.place + 1}`);
  }
  if (test.solvable && nodes.length > 0 && lastHonest < 0) throw fail("the evaluator finds no honest worker valid");
  const again = await evaluate();
  if (again.nodes.join() !== evaluation.nodes.join() || again.scores.join() !== evaluation.scores.join()) {
    throw fail("the evaluator ranks otherwise when it is run again: it may depend on nothing but what it is given");
  }
  return { test, run: { workers, failed, evaluation }, cheats };
}

/** Addresses of tests: 0x00…01 and on. */
function nodeOf(index: number): string {
  return getAddress(`0x${(index + 1).toString(16).padStart(40, "0")}`);
}
