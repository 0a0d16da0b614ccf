import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { computeContentId, contentIdToBytes32 } from "#sdk/content.ts";
import { ExitStatus, SuretyError } from "#sdk/errors.ts";
import { openEmbeddedStorage } from "#sdk/node/embedded-storage.ts";
import type { ExecutorConfig } from "../config/executor.ts";
import { openExecutor } from "../executor/open-executor.ts";
import { packRelease, readBytes, readPackage, type PackedRelease, type SchemaPackage } from "./package-folder.ts";
import { checkPrograms } from "./release.ts";
import { parseSchemaTest, runSchemaTest, type TestedSchema } from "./schema-test.ts";

const MAX_TEST_BYTES = 2 ** 20;

/** A package whose programs passed its tests. */
export interface CheckedPackage extends PackedRelease {
  schema: SchemaPackage;
  /** Content id of the release. */
  cid: string;
  /** The same as contracts have it: 32 bytes, hexadecimal. */
  digest: string;
  tested: TestedSchema[];
}

/** How {@link checkPackage} runs programs, and whom it tells. */
export interface CheckPackageOptions {
  /** What runs them, by what the package is made of. */
  executorFor(runtime: SchemaPackage["file"]["runtime"]): ExecutorConfig;
  /** Whether there must be test data. Without any, applicants have nothing to show. Default: `required`. */
  tests?: "required" | "optional";
  /** Told once the package was read, before anything is run. */
  onRead?: (schema: SchemaPackage) => void;
  /** Told after each test. */
  onTested?: (result: TestedSchema, schema: SchemaPackage) => void;
  signal?: AbortSignal;
}

/**
 * Reads a schema package, builds it, and runs its programs on its test data. Nothing is published or registered.
 *
 * @throws SuretyError what {@link readPackage}, {@link packRelease} and {@link runSchemaTest} throw;
 * `SCHEMA_TEST_MISSING` if there is no test data
 */
export async function checkPackage(
  folder: string,
  { executorFor, tests = "required", onRead, onTested, signal }: CheckPackageOptions,
): Promise<CheckedPackage> {
  const home = await mkdtemp(join(tmpdir(), "surety-schema-"));
  try {
    const schema = await readPackage(folder);
    onRead?.(schema);
    const { file, proto, programs } = schema;
    const packed = await packRelease(schema);
    const cid = await computeContentId(packed.directory, { signal });
    if (schema.tests.length === 0 && tests === "required") {
      throw new SuretyError("SCHEMA_TEST_MISSING", "the package has no test data", {
        fix: 'Write test/first.json: { "request": { … }, "workers": 3, "invalid": [ … ] }.',
        exit: ExitStatus.badInput,
      });
    }
    const executor = await openExecutor(executorFor(file.runtime), { home, workers: 1 });
    const storage = await openEmbeddedStorage({ folder: join(home, "storage") });
    const tested: TestedSchema[] = [];
    try {
      await checkPrograms(executor, programs, { signal });
      const runner = { schema: { ...file, proto, programs }, executor, storage };
      for (const path of schema.tests) {
        const test = parseSchemaTest(path, await readBytes(folder, path, MAX_TEST_BYTES));
        const result = await runSchemaTest(runner, test, { signal });
        onTested?.(result, schema);
        tested.push(result);
      }
    } finally {
      await executor.close();
      await storage.close();
    }
    return { ...packed, schema, cid, digest: contentIdToBytes32(cid), tested };
  } finally {
    await rm(home, { recursive: true, force: true });
  }
}
