import { keccak_256 } from "@noble/hashes/sha3.js";
import { concatBytes, utf8ToBytes } from "@noble/hashes/utils.js";
import { hexlify } from "ethers";
import { z } from "zod";

import { directoryId } from "./batch-manifest.ts";
import { boundedArray, decodeJson, encodeJson } from "./canonical-json.ts";
import { batchNonce, commit, MAX_TASKS, taskDigest, type Commitment } from "./commitment.ts";
import { contentIdToBytes32 } from "./content.ts";
import { addressBytes, bytes32, uintWord, type MemberContext } from "./context.ts";
import { SuretyError } from "./errors.ts";
import { MAX_TRACE_BYTES } from "./resource-trace.ts";
import { openBytes, sealBytes, sealedFileOverhead } from "./sealed-file.ts";

const AAD = utf8ToBytes("surety/result-manifest/v1");
const BYTES_PER_TASK = 640;
const BYTES_BESIDE_TASKS = 1024;

const hex32 = z.string().regex(/^0x[0-9a-f]{64}$/, { error: "expected 32 bytes in lower-case hexadecimal" });

const taskSchema = z.strictObject({
  task: z
    .int()
    .min(0)
    .max(MAX_TASKS - 1),
  digest: hex32,
  salt: hex32,
  output: directoryId,
  sealedOutput: directoryId,
  contentKey: hex32,
  exit: z
    .strictObject({
      code: z
        .int()
        .min(0)
        .max(2 ** 32 - 1),
      fuel: z.int().min(0).optional(),
    })
    .optional(),
  traceBytes: z
    .int()
    .min(1)
    .max(MAX_TRACE_BYTES + sealedFileOverhead)
    .optional(),
});

const schema = z.strictObject({ version: z.literal(1), tasks: boundedArray(taskSchema, MAX_TASKS) });

/** What a member tells the requester of one task. */
export interface TaskResult {
  /** Index in the batch. */
  task: number;
  /** `taskDigest`: 32 bytes, hexadecimal. */
  digest: string;
  /** What hid the digest in the commitment: 32 bytes, hexadecimal. */
  salt: string;
  /** Content id of the canonical output directory, in the clear. The digest is made of it. */
  output: string;
  /** Content id of the same, encrypted, which is what is published. */
  sealedOutput: string;
  /** What the output is encrypted with: 32 bytes, hexadecimal. */
  contentKey: string;
  /** How the program ended, as the member says; the output directory holds the exit code that counts. */
  exit?: {
    /** 0 to 2^32 - 1, as WASI has it. */
    code: number;
    /** Units of fuel burned. */
    fuel?: number;
  };
  /** Bytes of the sealed resource trace that lies beside the sealed output; left out if there is none. */
  traceBytes?: number;
}

/** What a member publishes, encrypted, for the requester: everything its commitment stands for. */
export interface ResultManifest {
  version: 1;
  /** In ascending order of their indices; 1 to 100,000. */
  tasks: TaskResult[];
}

/** An encrypted manifest, to be published, and what goes into the envelope. */
export interface SealedManifest {
  sealed: Uint8Array;
  /** 32 random bytes: opens the manifest. */
  manifestKey: Uint8Array;
  /** keccak256 of the sealed bytes, hexadecimal. */
  manifestHash: string;
}

/** What {@link openManifest} takes. */
export interface OpenManifestRequest {
  /** As fetched: untrusted. */
  sealed: Uint8Array;
  /** From the envelope. */
  manifestKey: Uint8Array;
  /** From the envelope. */
  manifestHash: string;
  context: MemberContext;
  /** How many tasks the member had to run: bounds the manifest's size. */
  count: number;
}

/** What {@link checkManifest} takes. */
export interface CheckManifestRequest {
  manifest: ResultManifest;
  context: MemberContext;
  /** Indices of the tasks the member had to run, in any order. */
  tasks: readonly number[];
  /** Merkle root the member submitted on chain. */
  root: string;
}

/**
 * Most bytes of an encrypted manifest of so many tasks: what to stop fetching at.
 *
 * @param count Tasks the member had to run.
 */
export function maxManifestBytes(count: number): number {
  return BYTES_BESIDE_TASKS + count * BYTES_PER_TASK;
}

/**
 * Encrypts a manifest with XChaCha20-Poly1305 under a fresh key, bound to chain, market, batch and member. Keep the
 * result: another call gives another key, other bytes and another hash.
 *
 * @param results In any order.
 * @throws `RESULT_MANIFEST_INVALID`, `RESULT_MANIFEST_TASK_DUPLICATE`, `CONTEXT_INVALID`
 */
export function sealManifest(results: readonly TaskResult[], context: MemberContext): SealedManifest {
  const tasks = results.toSorted((a, b) => a.task - b.task).map(inOrder);
  const bytes = encodeJson({ version: 1, tasks });
  // Read back at once: what the requester would refuse must not be submitted.
  requireAscending(decode(bytes, tasks.length), context.member);
  const { bytes: sealed, key: manifestKey } = sealBytes(bytes, { associatedData: manifestAad(context) });
  return { sealed, manifestKey, manifestHash: hexlify(keccak_256(sealed)) };
}

/**
 * Decrypts and reads a manifest. Whether it says the truth is for {@link checkManifest} to tell.
 *
 * @throws `RESULT_MANIFEST_TOO_LARGE`, `RESULT_MANIFEST_HASH_WRONG` if these are not the bytes the envelope names;
 * `RESULT_MANIFEST_UNREADABLE` if they do not decrypt; `RESULT_MANIFEST_INVALID` if what they hold is malformed;
 * `RESULT_MANIFEST_TASK_DUPLICATE`.
 */
export function openManifest(request: OpenManifestRequest): ResultManifest {
  const { sealed, manifestKey, manifestHash, context, count } = request;
  const member = context.member;
  if (sealed.length > maxManifestBytes(count)) {
    throw new SuretyError(
      "RESULT_MANIFEST_TOO_LARGE",
      `the result manifest of ${member} has ${sealed.length} bytes for ${count} tasks, more than ${maxManifestBytes(count)}`,
      { details: { member, actual: sealed.length, expected: maxManifestBytes(count) } },
    );
  }
  const actual = hexlify(keccak_256(sealed));
  if (actual !== manifestHash.toLowerCase()) {
    throw new SuretyError(
      "RESULT_MANIFEST_HASH_WRONG",
      `the fetched manifest of ${member} is not the one it submitted`,
      {
        details: { member, actual, expected: manifestHash },
      },
    );
  }
  let bytes: Uint8Array;
  try {
    bytes = openBytes(sealed, manifestKey, { associatedData: manifestAad(context) });
  } catch (cause) {
    throw new SuretyError("RESULT_MANIFEST_UNREADABLE", `the result manifest of ${member} does not decrypt`, {
      details: { member, batchId: context.batchId },
      fix: "The member sealed it with another key or for another batch: contest the assignment.",
      cause,
    });
  }
  const manifest = decode(bytes, count);
  requireAscending(manifest, member);
  return manifest;
}

/**
 * Checks that a manifest is what its member committed to: every task it had to run and no other, each digest made of
 * its output, and all of them under the root on chain.
 *
 * @returns The commitment, to take Merkle proofs from.
 * @throws `RESULT_MANIFEST_TASK_DUPLICATE`, `RESULT_MANIFEST_TASK_MISSING`, `RESULT_MANIFEST_TASK_UNEXPECTED`,
 * `RESULT_MANIFEST_DIGEST_WRONG`, `RESULT_MANIFEST_ROOT_WRONG`, `CONTEXT_INVALID`
 */
export function checkManifest(request: CheckManifestRequest): Commitment {
  const { manifest, context, root } = request;
  const member = context.member;
  requireAscending(manifest, member);
  const expected = new Set(request.tasks);
  const present = new Set(manifest.tasks.map(({ task }) => task));
  for (const task of expected) {
    if (!present.has(task)) throw wrongTask("RESULT_MANIFEST_TASK_MISSING", member, task, "lacks");
  }
  for (const task of present) {
    if (!expected.has(task)) throw wrongTask("RESULT_MANIFEST_TASK_UNEXPECTED", member, task, "has, unasked,");
  }
  const nonce = batchNonce(context);
  for (const { task, digest, output } of manifest.tasks) {
    const derived = taskDigest(nonce, task, contentIdToBytes32(output));
    if (derived !== digest) {
      throw new SuretyError(
        "RESULT_MANIFEST_DIGEST_WRONG",
        `the digest of task ${task} by ${member} is not that of its output`,
        {
          details: { member, task, actual: digest, expected: derived },
        },
      );
    }
  }
  const commitment = commit(manifest.tasks, context);
  if (commitment.root !== root.toLowerCase()) {
    throw new SuretyError(
      "RESULT_MANIFEST_ROOT_WRONG",
      `the manifest of ${member} does not make the root it committed to`,
      {
        details: { member, actual: commitment.root, expected: root },
        fix: "The envelope does not fit its commitment: contest the assignment.",
      },
    );
  }
  return commitment;
}

function decode(bytes: Uint8Array, count: number): ResultManifest {
  return decodeJson(bytes, {
    schema,
    name: "result manifest",
    code: "RESULT_MANIFEST_INVALID",
    maxBytes: maxManifestBytes(Math.min(count, MAX_TASKS)),
  });
}

function requireAscending(manifest: ResultManifest, member: string): void {
  manifest.tasks.forEach(({ task }, index) => {
    const previous = manifest.tasks[index - 1]?.task ?? -1;
    if (task === previous) throw wrongTask("RESULT_MANIFEST_TASK_DUPLICATE", member, task, "has twice");
    if (task < previous) {
      throw new SuretyError(
        "RESULT_MANIFEST_INVALID",
        `the result manifest of ${member} has task ${task} after ${previous}`,
        {
          details: { member, task, previous },
        },
      );
    }
  });
}

/** The keys of a result in the order of the schema, and none that it does not know. */
function inOrder(result: TaskResult): TaskResult {
  const { task, digest, salt, output, sealedOutput, contentKey, exit, traceBytes } = result;
  const ending = exit && { code: exit.code, ...(exit.fuel === undefined ? {} : { fuel: exit.fuel }) };
  return {
    ...{ task, digest, salt, output, sealedOutput, contentKey },
    ...(ending ? { exit: ending } : {}),
    ...(traceBytes === undefined ? {} : { traceBytes }),
  };
}

function manifestAad(context: MemberContext): Uint8Array {
  return concatBytes(
    AAD,
    uintWord(context.chainId, "chainId"),
    addressBytes(context.market, "market"),
    bytes32(context.batchId, "batchId"),
    addressBytes(context.member, "member"),
  );
}

function wrongTask(code: string, member: string, task: number, verb: string): SuretyError {
  return new SuretyError(code, `the result manifest of ${member} ${verb} task ${task}`, { details: { member, task } });
}
