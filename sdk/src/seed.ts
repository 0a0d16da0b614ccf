import { secp256k1 } from "@noble/curves/secp256k1.js";
import { hkdf } from "@noble/hashes/hkdf.js";
import { hmac } from "@noble/hashes/hmac.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { concatBytes, utf8ToBytes } from "@noble/hashes/utils.js";
import { hexlify, type BytesLike } from "ethers";

import { PARTS_PER_MILLION } from "./amount.ts";
import { MAX_TASKS } from "./commitment.ts";
import {
  addressWord,
  bytes32,
  secretBytes,
  uintWord,
  type BallotContext,
  type SeatContext,
  type SequenceContext,
} from "./context.ts";
import { SuretyError } from "./errors.ts";
import { deriveKeyPair } from "./hpke.ts";

/**
 * The secrets an agent needs again later derive from its one key, so that nothing can be lost but the key:
 * HKDF-SHA256 with a name of the purpose and every value that tells one use from another, all of fixed width.
 */
const Purpose = {
  batchSeed: "surety/batch-seed/v1",
  encryption: "surety/encryption/v1",
  taskSalt: "surety/task-salt/v1",
  envelopeSeed: "surety/envelope-seed/v1",
  planted: "surety/planted/v1",
  ballotSalt: "surety/ballot-salt/v1",
  resultSalt: "surety/result-salt/v1",
  checkpointSalt: "surety/checkpoint-salt/v1",
} as const;

/** The key pair results are encrypted for. */
export interface EncryptionKeyPair {
  /** 32 bytes, secret. */
  secretKey: Uint8Array;
  /** Compressed, 33 bytes: what goes on chain. */
  publicKey: Uint8Array;
}

/**
 * The seed a requester commits to when it posts a batch.
 *
 * @param clientSecret The requester's key, 32 bytes.
 * @returns 32 bytes, hexadecimal; secret until the reveal.
 * @throws `SECRET_INVALID`, `CONTEXT_INVALID`
 */
export function batchSeed(clientSecret: BytesLike, context: SequenceContext): string {
  return hexlify(derive(clientSecret, Purpose.batchSeed, sequenceWords(context)));
}

/**
 * The requester's encryption key pair. It is another key than the one that signs: to give it away shows results,
 * and nothing else.
 *
 * @param clientSecret The requester's key, 32 bytes.
 * @throws `SECRET_INVALID`
 */
export function encryptionKeyPair(clientSecret: BytesLike): EncryptionKeyPair {
  const { secretKey } = deriveKeyPair(derive(clientSecret, Purpose.encryption));
  return { secretKey, publicKey: secp256k1.getPublicKey(secretKey, true) };
}

/**
 * The salt that hides one digest in a node's commitment.
 *
 * @param nodeSecret The compute node's key, 32 bytes.
 * @param task Index in the batch.
 * @returns 32 bytes, hexadecimal. To open one task says nothing of the salts of others.
 * @throws `SECRET_INVALID`, `CONTEXT_INVALID`
 */
export function taskSalt(nodeSecret: BytesLike, context: SeatContext, task: number): string {
  return hexlify(derive(nodeSecret, Purpose.taskSalt, seatWords(context), uintWord(task, "task")));
}

/**
 * The seed of an envelope's ephemeral key. The plaintext is part of it: one seed used for two plaintexts would give
 * both away. To reveal it proves the one envelope and tells nothing of the key.
 *
 * @param nodeSecret The compute node's key, 32 bytes.
 * @param recipientPublicKey As it will be sealed for.
 * @param plaintext What will be sealed.
 * @returns 32 bytes.
 * @throws `SECRET_INVALID`, `CONTEXT_INVALID`
 */
export function envelopeSeed(
  nodeSecret: BytesLike,
  context: SeatContext,
  recipientPublicKey: Uint8Array,
  plaintext: Uint8Array,
): Uint8Array {
  return derive(nodeSecret, Purpose.envelopeSeed, seatWords(context), sha256(recipientPublicKey), sha256(plaintext));
}

/**
 * The salt that hides a juror's ballot until it is opened. It can be made again after a crash, as long as the key is
 * not lost.
 *
 * @param nodeSecret The compute node's key, 32 bytes.
 * @returns 32 bytes, hexadecimal.
 * @throws `SECRET_INVALID`, `CONTEXT_INVALID`
 */
export function ballotSalt(nodeSecret: BytesLike, context: Omit<BallotContext, "juror">): string {
  return hexlify(
    derive(
      nodeSecret,
      Purpose.ballotSalt,
      uintWord(context.chainId, "chainId"),
      addressWord(context.market, "market"),
      bytes32(context.batchId, "batchId"),
      uintWord(context.assignment, "assignment"),
      uintWord(context.task, "task"),
      uintWord(context.tier, "tier"),
    ),
  );
}

/** Which request, of which contract, on which chain. */
export interface RequestSaltContext {
  /** EIP-155 chain id. */
  chainId: bigint;
  /** Address of the contract of requests. */
  requests: string;
  /** 32 bytes, hexadecimal. */
  id: string;
}

/**
 * The salt that hides a worker's result of a request until it is revealed.
 *
 * @param nodeSecret The worker's secret, 32 bytes.
 * @returns 32 bytes, hexadecimal.
 * @throws `SECRET_INVALID`, `CONTEXT_INVALID`
 */
export function resultSalt(nodeSecret: BytesLike, context: RequestSaltContext): string {
  return hexlify(derive(nodeSecret, Purpose.resultSalt, requestWords(context)));
}

/**
 * The salt that hides a worker's intermediate state of a request; as {@link resultSalt}.
 *
 * @param number Which, from 0.
 */
export function checkpointSalt(nodeSecret: BytesLike, context: RequestSaltContext, number: number): string {
  return hexlify(derive(nodeSecret, Purpose.checkpointSalt, requestWords(context), uintWord(number, "number")));
}

/**
 * Which tasks of a batch a requester plants, that is, replaces by work whose digest it knows. Known before the batch
 * is posted, and only to the requester; every task is as likely as any other.
 *
 * @param clientSecret The requester's key, 32 bytes.
 * @param count Tasks in the batch, 1 to {@link MAX_TASKS}.
 * @param sharePpm Share to plant in parts per million, 0 to 1,000,000. If it is no whole number of tasks, it is rounded
 * up or down so that the average over many batches is exactly the share.
 * @returns Indices in ascending order.
 * @throws `SECRET_INVALID`, `CONTEXT_INVALID`, `PLANTED_CHOICE_INVALID`
 */
export function plantedChoice(
  clientSecret: BytesLike,
  context: SequenceContext,
  count: number,
  sharePpm: number,
): number[] {
  const isCount = Number.isInteger(count) && count >= 1 && count <= MAX_TASKS;
  const isShare = Number.isInteger(sharePpm) && sharePpm >= 0 && sharePpm <= PARTS_PER_MILLION;
  if (!isCount || !isShare) {
    throw new SuretyError("PLANTED_CHOICE_INVALID", `cannot plant ${sharePpm} parts per million of ${count} tasks`, {
      details: { count, sharePpm },
      fix: `Give 1 to ${MAX_TASKS} tasks and 0 to ${PARTS_PER_MILLION} parts per million.`,
    });
  }
  const random = draws(derive(clientSecret, Purpose.planted, sequenceWords(context), uintWord(count, "count")));
  const expected = count * sharePpm;
  const extra = random(PARTS_PER_MILLION) < expected % PARTS_PER_MILLION ? 1 : 0;
  const planted = Math.floor(expected / PARTS_PER_MILLION) + extra;
  // Fisher and Yates's shuffle of 0 … count-1, stopped after the first `planted`; a place not in the map holds its own index.
  const moved = new Map<number, number>();
  const chosen: number[] = [];
  for (let place = 0; place < planted; place++) {
    const other = place + random(count - place);
    chosen.push(moved.get(other) ?? other);
    moved.set(other, moved.get(place) ?? place);
  }
  return chosen.sort((a, b) => a - b);
}

function derive(secret: BytesLike, purpose: string, ...words: Uint8Array[]): Uint8Array {
  return hkdf(sha256, secretBytes(secret, "secret key"), undefined, concatBytes(utf8ToBytes(purpose), ...words), 32);
}

function sequenceWords(context: SequenceContext): Uint8Array {
  return concatBytes(
    uintWord(context.chainId, "chainId"),
    addressWord(context.market, "market"),
    bytes32(context.jobId, "jobId"),
    uintWord(context.sequence, "sequence", 64),
  );
}

function requestWords({ chainId, requests, id }: RequestSaltContext): Uint8Array {
  return concatBytes(uintWord(chainId, "chainId"), addressWord(requests, "requests"), bytes32(id, "id"));
}

function seatWords(context: SeatContext): Uint8Array {
  return concatBytes(
    uintWord(context.chainId, "chainId"),
    addressWord(context.market, "market"),
    bytes32(context.batchId, "batchId"),
    uintWord(context.assignment, "assignment"),
    uintWord(context.round, "round"),
    uintWord(context.seat, "seat"),
  );
}

/** Numbers below a bound, drawn from a keyed stream. The bias of 64 bits modulo a million is below 2^-44. */
function draws(key: Uint8Array): (bound: number) => number {
  let counter = 0;
  return (bound) => {
    const block = hmac(sha256, key, uintWord(counter++, "counter"));
    return Number(new DataView(block.buffer, block.byteOffset, 8).getBigUint64(0) % BigInt(bound));
  };
}
