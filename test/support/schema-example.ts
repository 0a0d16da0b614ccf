import { cp, mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Storage } from "#sdk/storage.ts";
import type { Executor } from "../../agents/executor/executor.ts";
import { readPackage, type SchemaPackage } from "../../agents/schema/package-folder.ts";
import type { SchemaRunner } from "../../agents/schema/run-schema.ts";

/** The examples of the three ways to verify, and of patterns of machine learning. */
export type SchemaExample =
  | ("square-root" | "checkpoint" | "execution")
  | ("self-play" | "loss-minimisation" | "data-parallelism" | "split-sort" | "split-merge" | "training");

/** A copy of an example's sources in a folder of its own, which tests may change. */
export async function copyExample(name: SchemaExample): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), `surety-${name}-`));
  const source = fileURLToPath(new URL(`../../examples/schemas/${name}`, import.meta.url));
  const isSource = (path: string): boolean => !/\.wasm$|\/messages\.ts$/.test(path);
  await cp(source, folder, { recursive: true, filter: isSource });
  return folder;
}

/** Runs a package's programs. */
export function runnerOf(schema: SchemaPackage, executor: Executor, storage: Storage): SchemaRunner {
  const { file, proto, programs } = schema;
  return { schema: { name: file.name, verification: file.verification, proto, programs }, executor, storage };
}

/** An example, built. */
export async function readExample(name: SchemaExample): Promise<SchemaPackage> {
  return readPackage(await copyExample(name));
}
