import { createReadStream } from "node:fs";
import { readdir, readFile, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { ExitStatus, SuretyError } from "#sdk/errors.ts";
import { evaluationShape } from "#sdk/schema-evaluation.ts";
import {
  parseSchemaFile,
  SCHEMA_FILE,
  type ContainerSchemaFile,
  type SchemaFile,
  type WasmSchemaFile,
} from "#sdk/schema-file.ts";
import { MAX_SCHEMA_PROTO_BYTES, parseSchemaProto, type SchemaProto, type SchemaRole } from "#sdk/schema-proto.ts";
import {
  containerRelease,
  digestOf,
  encodeRelease,
  RELEASE_FILE,
  wasmRelease,
  type SchemaRelease,
} from "#sdk/schema-release.ts";
import { imageIdOf } from "../requester/job-image.ts";
import { buildModules, MESSAGES_FILE } from "./build.ts";
import type { SchemaPrograms } from "./program-call.ts";

/** Folder of a package with test data, one file a test. */
export const TEST_FOLDER = "test";

/** Most bytes of a package's modules, and of one of its other files. */
const MAX_MODULE_BYTES = 64 * 2 ** 20;
const MAX_FILE_BYTES = 2 ** 20;

/** Content id of an empty directory: stands for an image that is not stored. */
const UNSTORED = "bafybeiczsscdsbs7ffqz55asqdf3smv6klcw3gofszvwlyarci47bgf354";

/** A schema package on this computer, its programs built where it has their sources. */
export interface SchemaPackage {
  folder: string;
  file: SchemaFile;
  proto: SchemaProto;
  programs: SchemaPrograms;
  /** Whether the modules were built just now. */
  built: boolean;
  /** Paths of test data, in order. */
  tests: string[];
}

/**
 * Reads a schema package: `schema.yaml`, the proto it names, and the programs, which are built first where it names
 * AssemblyScript.
 *
 * @throws SuretyError `SCHEMA_FILE_MISSING`, `SCHEMA_FILE_INVALID`, `SCHEMA_PROTO_INVALID`, `SCHEMA_SERVICE_MISSING`,
 * `SCHEMA_SERVICE_INVALID`, `SCHEMA_MESSAGES_MISMATCH`, `SCHEMA_BUILD_FAILED`, `SCHEMA_COMPILER_MISSING`,
 * `SCHEMA_TYPE_UNSUPPORTED`, `IMAGE_INVALID`
 */
export async function readPackage(folder: string): Promise<SchemaPackage> {
  const file = parseSchemaFile(await readText(folder, SCHEMA_FILE, MAX_FILE_BYTES));
  const proto = parseSchemaProto(await readText(folder, file.proto, MAX_SCHEMA_PROTO_BYTES));
  evaluationShape(proto);
  const tests = await findTests(folder);
  if (file.runtime === "container") {
    return { folder, file, proto, tests, built: false, programs: await imageOf(folder, file) };
  }
  const { sources, limits } = file;
  const modules = sources
    ? await buildModules(folder, { ...file, sources }, proto)
    : {
        worker: await readBytes(folder, file.worker, MAX_MODULE_BYTES),
        evaluator: await readBytes(folder, file.evaluator, MAX_MODULE_BYTES),
      };
  return { folder, file, proto, tests, built: sources !== undefined, programs: { runtime: "wasm", modules, limits } };
}

/** A package as it is released. */
export interface PackedRelease {
  release: SchemaRelease;
  /** What to store: `release.json`, the proto, the programs, test data, and sources where there are any. */
  directory: Map<string, Uint8Array>;
}

/**
 * Makes a release of a package. The content id of its directory is what goes on chain.
 *
 * @throws SuretyError `SCHEMA_BUILD_MISMATCH` if `schema.yaml` says another build digest; `SCHEMA_FILE_MISSING`
 */
export async function packRelease({ folder, file, proto, programs, tests }: SchemaPackage): Promise<PackedRelease> {
  const directory = new Map<string, Uint8Array>();
  const put = (path: string, bytes: Uint8Array) => {
    directory.set(path, bytes);
    return { path, digest: digestOf(bytes) };
  };
  const parts = { proto: put(file.proto, Buffer.from(proto.text)), tests };
  for (const path of [SCHEMA_FILE, ...tests]) put(path, await readBytes(folder, path, MAX_FILE_BYTES));
  let release: SchemaRelease;
  if (file.runtime === "wasm" && programs.runtime === "wasm") {
    const entry = (role: SchemaRole) => put(file[role], programs.modules[role]);
    release = wasmRelease(file, { ...parts, programs: { worker: entry("worker"), evaluator: entry("evaluator") } });
    for (const path of await findSources(folder, file)) put(path, await readBytes(folder, path, MAX_FILE_BYTES));
  } else if (file.runtime === "container" && programs.runtime === "container") {
    const { image } = programs.program;
    if ("reference" in image) release = containerRelease(file, { ...parts, image });
    else {
      release = containerRelease(file, { ...parts, image: { path: image.path, id: image.id } });
      directory.set(image.path, new Uint8Array(await readFile(join(folder, image.path))));
    }
  } else throw new TypeError("the package's programs are of another kind than its file says");
  directory.set(RELEASE_FILE, encodeRelease(release));
  return { release, directory };
}

/** The image of a package, streamed from the folder. */
async function imageOf(folder: string, { image, limits }: ContainerSchemaFile): Promise<SchemaPrograms> {
  if ("reference" in image) return { runtime: "container", program: { image }, limits };
  const path = join(folder, image.path);
  await stat(path).catch((cause: unknown) => {
    throw missing(image.path, cause);
  });
  const id = await imageIdOf(path);
  if (image.id !== undefined && image.id !== id) {
    throw new SuretyError("IMAGE_INVALID", `the image in ${image.path} is ${id}, ${SCHEMA_FILE} says ${image.id}`, {
      details: { path: image.path, actual: id, expected: image.id },
      fix: "Correct imageId, or leave it out.",
      exit: ExitStatus.badInput,
    });
  }
  const named = { cid: UNSTORED, path: image.path, id };
  return { runtime: "container", program: { image: named, open: () => createReadStream(path) }, limits };
}

/** The sources that modules are built from, and what lies beside them. */
async function findSources(folder: string, { sources }: WasmSchemaFile): Promise<string[]> {
  const found: string[] = [];
  for (const place of new Set(Object.values(sources ?? {}).map(dirname))) {
    for (const name of (await readdir(join(folder, place))).sort()) {
      if (name.endsWith(".ts") && name !== MESSAGES_FILE) found.push(place === "." ? name : `${place}/${name}`);
    }
  }
  return found;
}

async function findTests(folder: string): Promise<string[]> {
  const names = await readdir(join(folder, TEST_FOLDER)).catch(() => []);
  return names
    .filter((name) => name.endsWith(".json") && basename(name) === name)
    .sort()
    .map((name) => `${TEST_FOLDER}/${name}`);
}

async function readText(folder: string, path: string, maxBytes: number): Promise<string> {
  const bytes = await readBytes(folder, path, maxBytes);
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new SuretyError("SCHEMA_FILE_INVALID", `${path} is not text in UTF-8`, {
      details: { path },
      exit: ExitStatus.badInput,
      cause,
    });
  }
}

/** A file of a package. */
export async function readBytes(folder: string, path: string, maxBytes: number): Promise<Uint8Array> {
  const place = join(folder, path);
  try {
    const { size } = await stat(place);
    if (size <= maxBytes) return new Uint8Array(await readFile(place));
    throw new SuretyError("SCHEMA_FILE_INVALID", `${path} has ${size} bytes, expected at most ${maxBytes}`, {
      details: { path, actual: size, most: maxBytes },
      exit: ExitStatus.badInput,
    });
  } catch (error) {
    throw error instanceof SuretyError ? error : missing(path, error);
  }
}

function missing(path: string, cause: unknown): SuretyError {
  return new SuretyError("SCHEMA_FILE_MISSING", `the package has no ${path}: ${(cause as Error).message}`, {
    details: { path },
    fix: `Put it there, or correct ${SCHEMA_FILE}; surety schema init makes a package to begin with.`,
    exit: ExitStatus.badInput,
    cause,
  });
}
