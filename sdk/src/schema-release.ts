import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex, utf8ToBytes } from "@noble/hashes/utils.js";
import { z } from "zod";

import { decodeJson, encodeJson } from "./canonical-json.ts";
import { containerFields, IMAGE_ID, isImageReference, type ContainerLimits } from "./container-spec.ts";
import { ExitStatus, SuretyError } from "./errors.ts";
import { limitsSchema, nameSchema, type Limits } from "./job-spec.ts";
import { parseAmount } from "./amount.ts";
import { rewardFunctionBits, type SchemaTerms } from "./request-terms.ts";
import {
  COMMIT,
  DIGEST,
  REPOSITORY,
  schemaRewards,
  verifications,
  type AnySchemaFile,
  type ContainerSchemaFile,
  type WasmSchemaFile,
} from "./schema-file.ts";
import type { SchemaRole } from "./schema-proto.ts";
import { storedPath } from "./stored-path.ts";

/** Name of the file that a release is described by, in the directory that its content id names. */
export const RELEASE_FILE = "release.json";
/** Most bytes of that file. */
export const MAX_RELEASE_BYTES = 256 * 1024;

/** A file of a release. */
export interface ReleaseFile {
  /** Its place in the release's directory. */
  path: string;
  /** `sha256:` and 64 hexadecimal digits. */
  digest: string;
}

type Common = Omit<AnySchemaFile, "proto" | "build">;

interface AnyRelease extends Common {
  version: 1;
  proto: ReleaseFile;
  /** What building the programs comes to, see {@link buildDigest}. */
  build: string;
  /** Test data, in the order of their names. */
  tests: string[];
}

/** A release of modules. */
export interface WasmRelease extends AnyRelease {
  runtime: "wasm";
  programs: Record<SchemaRole, ReleaseFile>;
  limits: Limits;
}

/** A release of an image. */
export interface ContainerRelease extends AnyRelease {
  runtime: "container";
  image: { path: string; id: string } | { reference: string };
  limits: ContainerLimits;
}

/**
 * What a release of a job schema is. The directory it lies in has a content id, whose digest is what the schema's admin
 * records on chain: whoever fetches it by that gets these bytes or none.
 */
export type SchemaRelease = WasmRelease | ContainerRelease;

const file = z.strictObject({ path: storedPath, digest: z.string().regex(DIGEST) });
const amount = z.string().regex(/^\d{1,40}(?:\.\d{1,36})?$/);

const common = {
  version: z.literal(1),
  name: nameSchema,
  proto: file,
  verification: z.enum(verifications),
  rewards: z.array(z.enum(schemaRewards)).min(1).max(schemaRewards.length),
  deposit: amount,
  challengeFee: amount,
  source: z.strictObject({ repository: z.string().regex(REPOSITORY), commit: z.string().regex(COMMIT) }).optional(),
  build: z.string().regex(DIGEST),
  tests: z.array(storedPath).max(256),
};

const schema: z.ZodType<SchemaRelease> = z.discriminatedUnion("runtime", [
  z.strictObject({
    ...common,
    runtime: z.literal("wasm"),
    programs: z.strictObject({ worker: file, evaluator: file }),
    limits: limitsSchema,
  }),
  z.strictObject({
    ...common,
    runtime: z.literal("container"),
    image: z.union([
      z.strictObject({ path: storedPath, id: z.string().regex(IMAGE_ID) }),
      z.strictObject({ reference: z.string().refine(isImageReference) }),
    ]),
    limits: containerFields.limits,
  }),
]);

/** What a release is built from, read and digested. */
export interface ReleaseParts {
  proto: ReleaseFile;
  tests: string[];
}

/** Describes a release of modules. */
export function wasmRelease(
  said: WasmSchemaFile,
  { proto, tests, programs }: ReleaseParts & Pick<WasmRelease, "programs">,
): WasmRelease {
  const build = buildDigest([programs.worker.digest, programs.evaluator.digest]);
  return { ...described(said, { proto, tests, build }), runtime: "wasm", programs, limits: said.limits };
}

/** Describes a release of an image. */
export function containerRelease(
  said: ContainerSchemaFile,
  { proto, tests, image }: ReleaseParts & Pick<ContainerRelease, "image">,
): ContainerRelease {
  const build = "id" in image ? image.id : image.reference.slice(image.reference.indexOf("@") + 1);
  return { ...described(said, { proto, tests, build }), runtime: "container", image, limits: said.limits };
}

function described(
  { name, verification, rewards, deposit, challengeFee, source, build: claimed }: AnySchemaFile,
  { proto, tests, build }: ReleaseParts & { build: string },
): AnyRelease {
  if (claimed !== undefined && claimed !== build) {
    throw new SuretyError("SCHEMA_BUILD_MISMATCH", `the programs come to ${build}, the schema says ${claimed}`, {
      details: { actual: build, expected: claimed },
      fix: "Build them from the commit that the schema names, or correct build.",
      exit: ExitStatus.badInput,
    });
  }
  const ordered = schemaRewards.filter((each) => rewards.includes(each));
  return {
    version: 1,
    name,
    proto,
    verification,
    rewards: ordered,
    deposit,
    challengeFee,
    source,
    build,
    tests: [...tests].sort(),
  };
}

/**
 * What building a schema's modules comes to: SHA-256 over the lines of their digests, worker first. Of an image it is
 * the image's id.
 */
export function buildDigest(digests: readonly string[]): string {
  return digestOf(utf8ToBytes(digests.map((each) => `${each}\n`).join("")));
}

/**
 * What to register of a schema whose first release this is.
 *
 * @param options.digest The release's content id, as the contract has it.
 * @param options.decimals Of the token.
 * @param options.nonce Tells schemas of one registrant apart that are the same otherwise. Defaults to 0.
 * @throws SuretyError `AMOUNT_INVALID` for amounts that the token cannot express
 *
 * @example
 * ```ts
 * schemaTermsOf(release, { digest: contentIdToBytes32(cid), decimals: 18 });
 * ```
 */
export function schemaTermsOf(
  { deposit, challengeFee, rewards }: SchemaRelease,
  { digest, decimals, nonce = 0n }: { digest: string; decimals: number; nonce?: bigint },
): SchemaTerms {
  return {
    release: digest,
    minimumDeposit: parseAmount(deposit, decimals),
    challengeFee: parseAmount(challengeFee, decimals),
    rewardFunctions: rewardFunctionBits(rewards),
    nonce,
  };
}

/** `sha256:` and the digest of a file. */
export function digestOf(bytes: Uint8Array): string {
  return `sha256:${bytesToHex(sha256(bytes))}`;
}

/** The bytes of `release.json`. */
export function encodeRelease(release: SchemaRelease): Uint8Array {
  // In the order of the schema, and nothing that it does not know.
  const bytes = encodeJson(schema.parse(release));
  parseRelease(bytes);
  return bytes;
}

/**
 * Reads a stranger's `release.json`.
 *
 * @throws SuretyError `SCHEMA_RELEASE_INVALID`; `SCHEMA_RELEASE_MISMATCH` if its build digest is not that of its programs
 */
export function parseRelease(bytes: Uint8Array): SchemaRelease {
  const options = { name: "release", code: "SCHEMA_RELEASE_INVALID", maxBytes: MAX_RELEASE_BYTES };
  const release = decodeJson<SchemaRelease>(bytes, { ...options, schema });
  const build =
    release.runtime === "wasm"
      ? buildDigest([release.programs.worker.digest, release.programs.evaluator.digest])
      : "id" in release.image
        ? release.image.id
        : release.image.reference.slice(release.image.reference.indexOf("@") + 1);
  if (build !== release.build) throw releaseMismatch("the build digest", release.build, build);
  return release;
}

/**
 * Checks a file of a release against what the release says of it.
 *
 * @throws SuretyError `SCHEMA_RELEASE_MISMATCH`
 */
export function checkReleaseFile({ path, digest }: ReleaseFile, bytes: Uint8Array): void {
  const actual = digestOf(bytes);
  if (actual !== digest) throw releaseMismatch(path, digest, actual);
}

function releaseMismatch(what: string, expected: string, actual: string): SuretyError {
  return new SuretyError("SCHEMA_RELEASE_MISMATCH", `${what} of the release is ${actual}, it says ${expected}`, {
    details: { what, expected, actual },
    fix: "Do not run it; tell the schema's admin.",
  });
}
