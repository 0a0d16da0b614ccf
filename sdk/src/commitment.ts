import { keccak_256 } from "@noble/hashes/sha3.js";
import { concatBytes } from "@noble/hashes/utils.js";
import { SimpleMerkleTree } from "@openzeppelin/merkle-tree";
import { getBytes, hexlify, isHexString, zeroPadValue, type BytesLike } from "ethers";

import {
  addressWord,
  bytes32,
  secretBytes,
  uintWord,
  type BallotContext,
  type BatchContext,
  type MemberContext,
  type SequenceContext,
} from "./context.ts";
import { SuretyError } from "./errors.ts";

/** Most tasks one commitment can hold. */
export const MAX_TASKS = 100_000;

/** What a member shows of one task: what it committed to, and the salt that hid it. */
export interface Opening {
  /** Index in the batch. */
  task: number;
  /** {@link taskDigest}: 32 bytes, hexadecimal. */
  digest: string;
  /** 32 random bytes, hexadecimal; without them a digest of few possible values could be guessed. */
  salt: string;
}

/** A member's commitment to its results of one assignment. */
export interface Commitment {
  /** Merkle root, 32 bytes, hexadecimal: what goes on chain. */
  root: string;
  /**
   * The Merkle proof of one task's opening.
   *
   * @throws `COMMITMENT_TASK_UNKNOWN` if the commitment has no such task.
   */
  proof(task: number): string[];
}

/** One leaf per task; the twin of OpenZeppelin's StandardMerkleTree over these types. */
export const LEAF_TYPES = ["uint256", "address", "bytes32", "uint256", "address", "bytes32", "bytes32"] as const;

/**
 * What makes a digest worthless in any other batch. Twin of `Commitment.batchNonce`.
 *
 * @returns keccak256(abi.encode(chainId, market, batchId)), hexadecimal.
 * @throws `CONTEXT_INVALID`
 */
export function batchNonce(context: BatchContext): string {
  return keccak(
    uintWord(context.chainId, "chainId"),
    addressWord(context.market, "market"),
    bytes32(context.batchId, "batchId"),
  );
}

/**
 * What the members of a panel compare for one task. Twin of `Commitment.digest`.
 *
 * @param nonce {@link batchNonce}
 * @param task Index in the batch.
 * @param outputRoot sha2-256 of the canonical output directory's root block; see `contentIdToBytes32`.
 * @returns keccak256(abi.encode(nonce, task, outputRoot)), hexadecimal.
 * @throws `CONTEXT_INVALID`
 */
export function taskDigest(nonce: BytesLike, task: number, outputRoot: BytesLike): string {
  return keccak(bytes32(nonce, "nonce"), uintWord(task, "task"), bytes32(outputRoot, "outputRoot"));
}

/**
 * The leaf of an opening in the tree of a member. Twin of `Commitment.leaf`: hashed twice, so that no inner node
 * passes for a leaf.
 *
 * @throws `CONTEXT_INVALID`
 */
export function leaf(opening: Opening, context: MemberContext): string {
  return leafHash(leafWords(context), opening);
}

/**
 * Commits to the openings of one assignment.
 *
 * @param openings One per task, in any order; 1 to {@link MAX_TASKS}.
 * @throws `COMMITMENT_EMPTY`, `COMMITMENT_TOO_LARGE`, `COMMITMENT_TASK_DUPLICATE`, `CONTEXT_INVALID`
 *
 * @example
 * ```ts
 * const digest = taskDigest(batchNonce(context), 0, contentIdToBytes32(outputCid));
 * const opening = { task: 0, digest, salt: taskSalt(secret, seat, 0) };
 * const { root, proof } = commit([opening], context);
 * verifyOpening(root, opening, proof(0), context); // true
 * ```
 */
export function commit(openings: readonly Opening[], context: MemberContext): Commitment {
  if (openings.length === 0) throw new SuretyError("COMMITMENT_EMPTY", "there is no opening to commit to");
  if (openings.length > MAX_TASKS) {
    throw new SuretyError("COMMITMENT_TOO_LARGE", `${openings.length} openings are more than ${MAX_TASKS}`, {
      details: { actual: openings.length, expected: MAX_TASKS },
    });
  }
  const words = leafWords(context);
  const leafOf = new Map<number, string>();
  for (const opening of openings) {
    if (leafOf.has(opening.task)) {
      throw new SuretyError("COMMITMENT_TASK_DUPLICATE", `task ${opening.task} has two openings`, {
        details: { task: opening.task },
      });
    }
    leafOf.set(opening.task, leafHash(words, opening));
  }
  // Sorted as the StandardMerkleTree sorts, only faster: hexadecimal of equal length sorts like the numbers.
  const leaves = [...leafOf.values()].sort();
  const tree = SimpleMerkleTree.of(leaves, { sortLeaves: false, nodeHash });
  return {
    root: tree.root,
    proof(task) {
      const hash = leafOf.get(task);
      if (hash === undefined) {
        throw new SuretyError("COMMITMENT_TASK_UNKNOWN", `the commitment has no task ${task}`, { details: { task } });
      }
      return tree.getProof(hash);
    },
  };
}

/**
 * Whether a member committed to an opening under a root. Twin of `Commitment.verify`.
 *
 * @param proof From {@link Commitment.proof}, or a stranger: malformed proofs are merely wrong.
 * @throws `CONTEXT_INVALID` if the opening or the context is malformed.
 */
export function verifyOpening(
  root: string,
  opening: Opening,
  proof: readonly string[],
  context: MemberContext,
): boolean {
  if (!isHexString(root, 32) || !proof.every((node) => isHexString(node, 32))) return false;
  return proof.map((node) => node.toLowerCase()).reduce(nodeHash, leaf(opening, context)) === root.toLowerCase();
}

/**
 * What a requester commits to when it posts a batch. Twin of `Commitment.seed`.
 *
 * @param seed 32 bytes, secret until revealed; see `batchSeed`.
 * @returns keccak256(abi.encode(chainId, market, jobId, sequence, seed)), hexadecimal.
 * @throws `CONTEXT_INVALID`, `SECRET_INVALID`
 */
export function seedCommitment(context: SequenceContext, seed: BytesLike): string {
  return keccak(
    uintWord(context.chainId, "chainId"),
    addressWord(context.market, "market"),
    bytes32(context.jobId, "jobId"),
    uintWord(context.sequence, "sequence", 64),
    secretBytes(seed, "seed"),
  );
}

/** What a juror of a `delivery` votes: what was owed arrived. */
export const DELIVERED = zeroPadValue("0x01", 32);
/** What a juror of a `delivery` votes: it did not. */
export const UNDELIVERED = zeroPadValue("0x02", 32);

/**
 * What a juror casts: its result, sealed until the ballots are opened. It names the juror and what hides it, so that
 * nobody else can cast it; what it seals is the output's root, which no opened digest shows. Twin of
 * `Commitment.ballot`.
 *
 * @param value The task's output root, or {@link DELIVERED} or {@link UNDELIVERED}; 32 bytes.
 * @param salt 32 bytes, secret until it is opened; see `ballotSalt`.
 * @returns keccak256(abi.encode(chainId, market, batchId, assignment, task, tier, juror, value, salt)), hexadecimal.
 * @throws `CONTEXT_INVALID`
 */
export function ballotOf(context: BallotContext, value: BytesLike, salt: BytesLike): string {
  return keccak(
    uintWord(context.chainId, "chainId"),
    addressWord(context.market, "market"),
    bytes32(context.batchId, "batchId"),
    uintWord(context.assignment, "assignment"),
    uintWord(context.task, "task"),
    uintWord(context.tier, "tier"),
    addressWord(context.juror, "juror"),
    bytes32(value, "value"),
    bytes32(salt, "salt"),
  );
}

interface LeafWords {
  batch: Uint8Array;
  member: Uint8Array;
}

/** The words of a leaf that all tasks share. */
function leafWords(context: MemberContext): LeafWords {
  const batch = concatBytes(
    uintWord(context.chainId, "chainId"),
    addressWord(context.market, "market"),
    bytes32(context.batchId, "batchId"),
  );
  return { batch, member: addressWord(context.member, "member") };
}

function leafHash(words: LeafWords, opening: Opening): string {
  const encoded = concatBytes(
    words.batch,
    uintWord(opening.task, "task"),
    words.member,
    bytes32(opening.digest, "digest"),
    bytes32(opening.salt, "salt"),
  );
  return hexlify(keccak_256(keccak_256(encoded)));
}

function nodeHash(left: readonly number[] | BytesLike, right: readonly number[] | BytesLike): `0x${string}` {
  const [a, b] = [hexNode(left), hexNode(right)];
  return a < b ? keccak(getBytes(a), getBytes(b)) : keccak(getBytes(b), getBytes(a));
}

function hexNode(node: readonly number[] | BytesLike): string {
  return typeof node === "string" ? node : hexlify(Uint8Array.from(node));
}

function keccak(...parts: Uint8Array[]): `0x${string}` {
  return hexlify(keccak_256(concatBytes(...parts))) as `0x${string}`;
}
