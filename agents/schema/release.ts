import { contentIdFromBytes32 } from "#sdk/content.ts";
import { evaluationShape } from "#sdk/schema-evaluation.ts";
import { MAX_SCHEMA_PROTO_BYTES, parseSchemaProto } from "#sdk/schema-proto.ts";
import {
  checkReleaseFile,
  MAX_RELEASE_BYTES,
  parseRelease,
  RELEASE_FILE,
  type ReleaseFile,
  type SchemaRelease,
} from "#sdk/schema-release.ts";
import type { Storage } from "#sdk/storage.ts";
import { imageProgram } from "../executor/image-program.ts";
import type { Executor } from "../executor/executor.ts";
import { parseSchemaTest, type SchemaTest } from "./schema-test.ts";
import type { SchemaPrograms } from "./program-call.ts";
import type { RunnableSchema } from "./run-schema.ts";

const MAX_MODULE_BYTES = 64 * 2 ** 20;
const MAX_TEST_BYTES = 2 ** 20;

/** A release that was fetched, and found to be what it says. */
export interface VerifiedRelease extends RunnableSchema {
  /** Content id of its directory. */
  cid: string;
  release: SchemaRelease;
}

/**
 * Fetches the release that a schema's admin recorded on chain, and nothing else: every block is checked against the
 * content id, every file against `release.json`, and the proto and messages are read. Nothing is run.
 *
 * @param digest What the contract has: 32 bytes, hexadecimal.
 * @throws StorageError for what cannot be had; SuretyError `SCHEMA_RELEASE_INVALID`, `SCHEMA_RELEASE_MISMATCH`,
 * `SCHEMA_PROTO_INVALID`, `SCHEMA_SERVICE_MISSING`, `SCHEMA_SERVICE_INVALID`, `SCHEMA_MESSAGES_MISMATCH`
 *
 * @example
 * ```ts
 * const schema = await fetchRelease(storage, await schemas.releaseOf(job));
 * await checkPrograms(executor, schema.programs);
 * ```
 */
export async function fetchRelease(
  storage: Storage,
  digest: string,
  { signal }: { signal?: AbortSignal } = {},
): Promise<VerifiedRelease> {
  const cid = contentIdFromBytes32(digest);
  const release = parseRelease(await storage.getFile(cid, RELEASE_FILE, { maxBytes: MAX_RELEASE_BYTES, signal }));
  const read = async (file: ReleaseFile, maxBytes: number): Promise<Uint8Array> => {
    const bytes = await storage.getFile(cid, file.path, { maxBytes, signal });
    checkReleaseFile(file, bytes);
    return bytes;
  };
  const text = new TextDecoder().decode(await read(release.proto, MAX_SCHEMA_PROTO_BYTES));
  const proto = parseSchemaProto(text);
  evaluationShape(proto);
  let programs: SchemaPrograms;
  if (release.runtime === "wasm") {
    const modules = {
      worker: await read(release.programs.worker, MAX_MODULE_BYTES),
      evaluator: await read(release.programs.evaluator, MAX_MODULE_BYTES),
    };
    programs = { runtime: "wasm", modules, limits: release.limits };
  } else {
    const { image } = release;
    const named = "path" in image ? { cid, path: image.path, id: image.id } : image;
    programs = { runtime: "container", program: imageProgram({ image: named }, storage), limits: release.limits };
  }
  return { cid, release, name: release.name, verification: release.verification, proto, programs };
}

/**
 * Fetches a release's test data, on which an admin has applicants show what they can.
 *
 * @throws StorageError; SuretyError `SCHEMA_TEST_INVALID`
 */
export async function fetchTests(
  storage: Storage,
  { cid, release }: Pick<VerifiedRelease, "cid" | "release">,
  { signal }: { signal?: AbortSignal } = {},
): Promise<SchemaTest[]> {
  const tests: SchemaTest[] = [];
  for (const path of release.tests) {
    tests.push(parseSchemaTest(path, await storage.getFile(cid, path, { maxBytes: MAX_TEST_BYTES, signal })));
  }
  return tests;
}

/**
 * Says whether an executor would run a schema's programs, without running them.
 *
 * @throws SuretyError what {@link Executor.check} throws
 */
export async function checkPrograms(
  executor: Executor,
  programs: SchemaPrograms,
  { signal }: { signal?: AbortSignal } = {},
): Promise<void> {
  if (programs.runtime === "container") {
    await executor.check(programs.program, { signal });
    return;
  }
  for (const module of Object.values(programs.modules)) await executor.check(module, { signal });
}
