import { getBytes } from "ethers";

import { computeContentId, contentIdFromBytes32, type Directory } from "./content.ts";
import { PRIMARY } from "./context.ts";
import { openEnvelope, type EnvelopeContent } from "./envelope.ts";
import { SuretyError } from "./errors.ts";
import { openTrace, type ResourceTrace } from "./resource-trace.ts";
import { checkManifest, maxManifestBytes, openManifest, type TaskResult } from "./result-manifest.ts";
import { openDirectory } from "./sealed-file.ts";
import { StorageError, type Storage } from "./storage.ts";

/** Name of the one file in the directory that a published manifest is wrapped in. */
export const RESULT_MANIFEST_FILE = "manifest";
/** Name of the file that a sealed output is, in the directory it is published as. */
export const SEALED_OUTPUT_FILE = "output";
/** Name of the file beside it that holds the sealed resource trace, if there is one. */
export const SEALED_TRACE_FILE = "trace";

/** Files that an output is published as: itself, and the trace. */
const MAX_PUBLISHED_FILES = 2;
/** Files of one output: what a program may write, and then some. */
const MAX_FILES = 100_000;

/** One member's part of a panel, as the chain has it. */
export interface MemberPart {
  node: string;
  /** `primary`, or the seat. */
  member: "primary" | { round: number; seat: number };
  assignment: number;
  /** Merkle root, 32 bytes, hexadecimal. */
  root: string;
  /** Content id of the sealed manifest, 32 bytes, hexadecimal. */
  manifest: string;
  /** Hexadecimal. */
  envelope: string;
  /** Indices in the batch of the tasks it had to run. */
  tasks: readonly number[];
}

/** What a requester opens results with. */
export interface Opener {
  storage: Storage;
  context: { chainId: bigint; market: string };
  /** See `encryptionKeyPair`. */
  secretKey: Uint8Array;
}

/**
 * Reads what a member says of its tasks, checked against its commitment.
 *
 * @throws StorageError if the manifest cannot be fetched now: nobody's fault yet
 * @throws SuretyError `ENVELOPE_*`, `RESULT_MANIFEST_*` if what was submitted is not what it should be
 */
export async function readResults(
  batchId: string,
  part: MemberPart,
  opener: Opener,
  { signal }: { signal?: AbortSignal } = {},
): Promise<TaskResult[]> {
  const { context, secretKey } = opener;
  const { node, assignment } = part;
  const seat = part.member === "primary" ? PRIMARY : part.member;
  const content = openEnvelope({
    sealed: getBytes(part.envelope),
    recipientSecretKey: secretKey,
    context: { ...context, batchId, assignment, ...seat },
    member: node,
  });
  return readManifest(batchId, part, content, opener, { signal });
}

/**
 * Reads what a member says of its tasks with what its envelope holds: from `openEnvelope`, or, for a juror, from
 * `checkEnvelopeProof`.
 *
 * @throws StorageError if the manifest cannot be fetched now
 * @throws SuretyError `RESULT_MANIFEST_*` if it is not what was committed to
 */
export async function readManifest(
  batchId: string,
  part: Pick<MemberPart, "node" | "tasks" | "root" | "manifest">,
  { manifestKey, manifestHash }: Pick<EnvelopeContent, "manifestKey" | "manifestHash">,
  { storage, context }: Pick<Opener, "storage" | "context">,
  { signal }: { signal?: AbortSignal } = {},
): Promise<TaskResult[]> {
  const { node, tasks, root } = part;
  const cid = contentIdFromBytes32(part.manifest);
  const maxBytes = maxManifestBytes(tasks.length);
  const sealed = await storage.getFile(cid, RESULT_MANIFEST_FILE, { maxBytes, signal });
  const member = { ...context, batchId, member: node };
  const manifest = openManifest({ sealed, manifestKey, manifestHash, context: member, count: tasks.length });
  checkManifest({ manifest, context: member, tasks, root });
  return manifest.tasks;
}

/**
 * Fetches and decrypts one output, and checks that it is the one the digest was made of.
 *
 * @param options `maxBytes` is the job's limit on output.
 * @throws StorageError if it cannot be fetched now
 * @throws SuretyError `OUTPUT_MISMATCH`, `SEALED_FILE_CORRUPT`, `CONTENT_PATH_NOT_FOUND`, `CONTENT_TOO_LARGE` if it is
 *   not what was committed to
 */
export async function readOutput(
  result: TaskResult,
  opener: Pick<Opener, "storage">,
  { maxBytes, signal }: { maxBytes: number; signal?: AbortSignal },
): Promise<Directory> {
  // All at once, for small outputs take as long as it takes to ask for them. A container costs a little more than what
  // is in it; the check that counts is on the files themselves.
  const published = await opener.storage.get(result.sealedOutput, {
    maxBytes: 2 * maxBytes + 16_777_216,
    maxFiles: MAX_PUBLISHED_FILES,
    signal,
  });
  const sealed = published.get(SEALED_OUTPUT_FILE);
  if (!sealed) {
    throw new StorageError("CONTENT_PATH_NOT_FOUND", `${result.sealedOutput} has no file ${SEALED_OUTPUT_FILE}`, {
      details: { cid: result.sealedOutput, path: SEALED_OUTPUT_FILE },
    });
  }
  const directory = await openDirectory(sealed, getBytes(result.contentKey), {
    maxBytes: maxBytes + 1_048_576,
    maxFiles: MAX_FILES,
    signal,
  });
  const actual = await computeContentId(directory, { signal });
  if (actual !== result.output) {
    throw new SuretyError(
      "OUTPUT_MISMATCH",
      `the output of task ${result.task} is ${actual}, its digest was made of ${result.output}`,
      {
        details: { task: result.task, actual, expected: result.output },
        fix: "The node serves something else than it committed to: contest the assignment.",
      },
    );
  }
  return directory;
}

/**
 * Fetches and decrypts what a member says a task used. Nothing depends on it: who does without it misses nothing it
 * paid for.
 *
 * @returns undefined if the member says there is none
 * @throws StorageError if it cannot be fetched, `SEALED_FILE_CORRUPT`
 * @throws SuretyError `RESOURCE_TRACE_INVALID`
 */
export async function readTrace(
  result: Pick<TaskResult, "sealedOutput" | "contentKey" | "traceBytes">,
  { storage }: Pick<Opener, "storage">,
  { signal }: { signal?: AbortSignal } = {},
): Promise<ResourceTrace | undefined> {
  const { sealedOutput, contentKey, traceBytes } = result;
  if (traceBytes === undefined) return undefined;
  const sealed = await storage.getFile(sealedOutput, SEALED_TRACE_FILE, { maxBytes: traceBytes, signal });
  return openTrace(sealed, getBytes(contentKey));
}
