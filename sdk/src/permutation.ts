import { keccak_256 } from "@noble/hashes/sha3.js";
import type { BytesLike } from "ethers";

import { bytes32 } from "./context.ts";
import { requireWithin } from "./range.ts";

/** Rounds of the Feistel network, as in the contracts. */
const FEISTEL_ROUNDS = 8;

/** Most elements an order can have here: every use is of tasks or slots, which the contracts count in 24 bits. */
export const MAX_ELEMENTS = 2 ** 24;

/**
 * The element at one place of the order that a key gives 0 … n-1. Twin of `Permutation.elementAt`: a Feistel network
 * over pairs of digits, restricted to 0 … n-1 by walking along the cycle.
 *
 * @param key 32 bytes.
 * @param place 0 … n-1.
 * @param n 1 … {@link MAX_ELEMENTS}.
 * @throws `NUMBER_OUT_OF_RANGE`, `CONTEXT_INVALID`
 *
 * @example
 * ```ts
 * const order = Array.from({ length: n }, (_, place) => elementAt(key, place, n)); // 0 … n-1, shuffled
 * ```
 */
export function elementAt(key: BytesLike, place: number, n: number): number {
  const network = feistel(key, place, n, "place");
  let element = place;
  do element = forward(network, element);
  while (element >= n);
  return element;
}

/**
 * The place of one element in that order: the inverse of {@link elementAt}. Twin of `Permutation.placeOf`.
 *
 * @throws `NUMBER_OUT_OF_RANGE`, `CONTEXT_INVALID`
 */
export function placeOf(key: BytesLike, element: number, n: number): number {
  const network = feistel(key, element, n, "element");
  let place = element;
  do place = backward(network, place);
  while (place >= n);
  return place;
}

interface Feistel {
  /** What a digit is the hash of: the key, then one word of round and half. */
  preimage: Uint8Array;
  half: DataView;
  /** The base of the digits: the least whole number whose square is at least n. */
  base: number;
}

function feistel(key: BytesLike, index: number, n: number, name: string): Feistel {
  requireWithin("n", n, 1, MAX_ELEMENTS);
  requireWithin(name, index, 0, n - 1);
  const preimage = new Uint8Array(64);
  preimage.set(bytes32(key, "key"));
  // Below 2^24 the square root of a whole number is never rounded across one.
  return { preimage, half: new DataView(preimage.buffer, 60), base: Math.ceil(Math.sqrt(n)) };
}

function forward(network: Feistel, x: number): number {
  const { base } = network;
  let right = x % base;
  let left = (x - right) / base;
  for (let round = 0; round < FEISTEL_ROUNDS; ++round) {
    [left, right] = [right, (left + digit(network, round, right)) % base];
  }
  return left * base + right;
}

function backward(network: Feistel, x: number): number {
  const { base } = network;
  let right = x % base;
  let left = (x - right) / base;
  for (let round = FEISTEL_ROUNDS - 1; round >= 0; --round) {
    [left, right] = [(right + base - digit(network, round, left)) % base, left];
  }
  return left * base + right;
}

/** keccak256(key, round * 2^128 + half) mod base. */
function digit({ preimage, half, base }: Feistel, round: number, value: number): number {
  preimage[47] = round;
  half.setUint32(0, value);
  return remainder(keccak_256(preimage), base);
}

/** A 32-byte big-endian number modulo a divisor below 2^21, in parts that a number holds exactly. */
export function remainder(hash: Uint8Array, divisor: number): number {
  const words = new DataView(hash.buffer, hash.byteOffset, 32);
  let rest = 0;
  for (let at = 0; at < 32; at += 4) rest = (rest * 2 ** 32 + words.getUint32(at)) % divisor;
  return rest;
}
