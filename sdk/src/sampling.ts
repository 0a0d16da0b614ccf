import { keccak_256 } from "@noble/hashes/sha3.js";
import { concatBytes, utf8ToBytes } from "@noble/hashes/utils.js";
import { hexlify, ZeroHash, type BytesLike } from "ethers";

import { PARTS_PER_MILLION } from "./amount.ts";
import { bytes32, uintWord } from "./context.ts";
import { elementAt, placeOf, remainder } from "./permutation.ts";
import { requireWithin } from "./range.ts";

/** Most tasks in a batch: what the contracts count in 24 bits. */
export const MAX_BATCH_TASKS = 2 ** 24 - 1;

/** The contiguous part of a batch that one assignment covers. */
export interface Slice {
  /** Index of the assignment in the batch. */
  assignment: number;
  /** Index of its first task in the batch. */
  first: number;
  /** Tasks. */
  count: number;
}

/**
 * E: what decides which tasks are sampled and who verifies. Twin of `Sampling.entropy`.
 *
 * @param seed The requester's secret, 32 bytes.
 * @param blockHash Of the entropy block, 32 bytes.
 * @param batchId 32 bytes.
 * @returns keccak256(abi.encode(seed, blockHash, batchId)), hexadecimal.
 * @throws `CONTEXT_INVALID`
 */
export function entropy(seed: BytesLike, blockHash: BytesLike, batchId: BytesLike): string {
  return hexlify(keccak(bytes32(seed, "seed"), bytes32(blockHash, "blockHash"), bytes32(batchId, "batchId")));
}

/**
 * Where the sampling grid begins, in parts per million of a task. Twin of `Sampling.offset`.
 *
 * @param entropy {@link entropy}
 * @returns 0 … 999,999
 * @throws `CONTEXT_INVALID`
 */
export function offset(entropy: BytesLike): number {
  // A text goes behind all static words; its place in bytes stands where it would be.
  const hash = keccak(uintWord(64, "place"), bytes32(entropy, "entropy"), text("surety/offset"));
  return remainder(hash, PARTS_PER_MILLION);
}

/**
 * How many tasks of a slice are sampled. Twin of `Sampling.sampledCount`. Over the whole batch these add up to
 * ⌊N·rate⌋ or one more, and each task is sampled with a chance of exactly `rate`.
 *
 * @param entropy {@link entropy}
 * @param rate Parts per million.
 * @throws `NUMBER_OUT_OF_RANGE`, `CONTEXT_INVALID`
 */
export function sampledCount(entropy: BytesLike, slice: Pick<Slice, "first" | "count">, rate: number): number {
  requireSlice(slice);
  requireWithin("rate", rate, 0, PARTS_PER_MILLION);
  const u = offset(entropy);
  const before = (tasks: number): number => wholes(tasks * rate + u);
  return before(slice.first + slice.count) - before(slice.first);
}

/**
 * The most tasks that can be sampled of a batch. Twin of `Sampling.maxSampled`.
 *
 * @param count Tasks of the batch.
 * @param rate Parts per million.
 * @throws `NUMBER_OUT_OF_RANGE`
 */
export function maxSampled(count: number, rate: number): number {
  requireWithin("count", count, 0, MAX_BATCH_TASKS);
  requireWithin("rate", rate, 0, PARTS_PER_MILLION);
  return wholes(count * rate + PARTS_PER_MILLION - 1);
}

/**
 * The `i`-th sampled task of a slice. Twin of `Sampling.sampledTask`.
 *
 * @param i 0 … {@link sampledCount} - 1.
 * @returns Index in the batch.
 * @throws `NUMBER_OUT_OF_RANGE`, `CONTEXT_INVALID`
 */
export function sampledTask(entropy: BytesLike, slice: Slice, i: number): number {
  requireSlice(slice);
  return slice.first + elementAt(taskKey(entropy, slice.assignment), i, slice.count);
}

/**
 * All sampled tasks of a slice, in the order drawn.
 *
 * @returns Indices in the batch.
 * @throws `NUMBER_OUT_OF_RANGE`, `CONTEXT_INVALID`
 *
 * @example
 * ```ts
 * sampledTasks(revealed.entropy, { assignment: 0, first: 0, count: 100 }, 30_000); // [17, 92, 4]
 * ```
 */
export function sampledTasks(entropy: BytesLike, slice: Slice, rate: number): number[] {
  const key = taskKey(entropy, slice.assignment);
  const count = sampledCount(entropy, slice, rate);
  return Array.from({ length: count }, (_, i) => slice.first + elementAt(key, i, slice.count));
}

/**
 * Whether a task is among the sampled tasks of a slice. Twin of `Sampling.isSampled`.
 *
 * @param task Index in the batch.
 * @throws `NUMBER_OUT_OF_RANGE`, `CONTEXT_INVALID`
 */
export function isSampled(entropy: BytesLike, slice: Slice, rate: number, task: number): boolean {
  requireSlice(slice);
  requireWithin("task", task, 0, MAX_BATCH_TASKS);
  if (task < slice.first || task >= slice.first + slice.count) return false;
  const place = placeOf(taskKey(entropy, slice.assignment), task - slice.first, slice.count);
  return place < sampledCount(entropy, slice, rate);
}

/**
 * The key of the order in which an assignment's tasks are sampled. Twin of `Sampling.taskKey`.
 *
 * @returns 32 bytes, hexadecimal.
 * @throws `CONTEXT_INVALID`
 */
export function taskKey(entropy: BytesLike, assignment: number): string {
  return hexlify(
    keccak(
      uintWord(96, "place"),
      bytes32(entropy, "entropy"),
      uintWord(assignment, "assignment"),
      text("surety/tasks"),
    ),
  );
}

/** Which draw of which panel, and what decides it. */
export interface DrawId {
  /** {@link entropy} of the batch. */
  entropy: BytesLike;
  /** Hash of the round's own entropy block; left out in round 0, which has none. */
  blockHash?: BytesLike;
  assignment: number;
  /** 0 for the first draw. */
  round: number;
}

/**
 * The key of the order in which slots are drawn for a round of a panel. Twin of `Sampling.drawKey`.
 *
 * @returns 32 bytes, hexadecimal.
 * @throws `CONTEXT_INVALID`
 */
export function drawKey({ entropy, blockHash = ZeroHash, assignment, round }: DrawId): string {
  return hexlify(
    keccak(
      uintWord(160, "place"),
      bytes32(entropy, "entropy"),
      bytes32(blockHash, "blockHash"),
      uintWord(assignment, "assignment"),
      uintWord(round, "round"),
      text("surety/draw"),
    ),
  );
}

/** Which draw of which jury, and what decides it. */
export interface JuryDrawId {
  /** {@link entropy} of the batch. */
  entropy: BytesLike;
  /** Hash of the jury's entropy block. */
  blockHash: BytesLike;
  assignment: number;
  /** 1 or 2. */
  tier: number;
  /** 0 the first draw, 1 that of the seats that stayed empty. */
  call: number;
}

/**
 * The key of the order in which slots are drawn for a jury. Twin of `Sampling.juryKey`, which takes tier and call as
 * one number.
 *
 * @returns keccak256(abi.encode("surety/jury", entropy, blockHash, assignment, 2·tier + call)), hexadecimal.
 * @throws `CONTEXT_INVALID`
 */
export function juryKey({ entropy, blockHash, assignment, tier, call }: JuryDrawId): string {
  return hexlify(
    keccak(
      uintWord(160, "place"),
      bytes32(entropy, "entropy"),
      bytes32(blockHash, "blockHash"),
      uintWord(assignment, "assignment"),
      uintWord(2 * tier + call, "call"),
      text("surety/jury"),
    ),
  );
}

function requireSlice({ first, count }: Pick<Slice, "first" | "count">): void {
  requireWithin("first", first, 0, MAX_BATCH_TASKS);
  requireWithin("count", count, 1, MAX_BATCH_TASKS - first);
}

/** ⌊x / 1,000,000⌋ of a whole number. */
function wholes(x: number): number {
  return (x - (x % PARTS_PER_MILLION)) / PARTS_PER_MILLION;
}

/** A short text as `abi.encode` writes it: its length, then its bytes, padded to a word. */
function text(value: string): Uint8Array {
  const padded = new Uint8Array(32);
  padded.set(utf8ToBytes(value));
  return concatBytes(uintWord(value.length, "length"), padded);
}

function keccak(...parts: Uint8Array[]): Uint8Array {
  return keccak_256(concatBytes(...parts));
}
