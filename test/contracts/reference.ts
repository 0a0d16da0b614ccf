import { AbiCoder, concat, keccak256, toBeHex, ZeroHash } from "ethers";

/**
 * Sampling as docs/protocol.md words it, written from there and not from the contracts, so that the tests of the
 * contracts do not believe the contracts.
 */

const PPM = 1_000_000n;
const FEISTEL_ROUNDS = 8n;
const abi = AbiCoder.defaultAbiCoder();

function hash(types: string[], values: unknown[]): string {
  return keccak256(abi.encode(types, values));
}

/** The id of what `values` commit to on this chain and market. */
export function entropyOf(seed: string, blockHash: string, batch: string): string {
  return hash(["bytes32", "bytes32", "bytes32"], [seed, blockHash, batch]);
}

/** What a requester commits to when it posts. */
export function seedCommitment(chainId: bigint, market: string, job: string, sequence: bigint, seed: string): string {
  return hash(["uint256", "address", "bytes32", "uint64", "bytes32"], [chainId, market, job, sequence, seed]);
}

/** How many of the `count` tasks from `first` on are sampled. */
export function sampledCount(entropy: string, first: number, count: number, rate: bigint): number {
  const u = BigInt(hash(["string", "bytes32"], ["surety/offset", entropy])) % PPM;
  const grid = (tasks: number): bigint => (BigInt(tasks) * rate + u) / PPM;
  return Number(grid(first + count) - grid(first));
}

/** The sampled tasks of an assignment, as indexes in the batch. */
export function sampledTasks(
  entropy: string,
  assignment: number,
  first: number,
  count: number,
  rate: bigint,
): number[] {
  const key = hash(["string", "bytes32", "uint256"], ["surety/tasks", entropy, assignment]);
  return Array.from(
    { length: sampledCount(entropy, first, count, rate) },
    (_, place) => first + Number(elementAt(key, BigInt(place), BigInt(count))),
  );
}

/** The places of the pool that a draw for round 0 looks at first. */
export function placesDrawn(entropy: string, assignment: number, slots: bigint, count: number): number[] {
  const types = ["string", "bytes32", "bytes32", "uint256", "uint256"];
  const key = hash(types, ["surety/draw", entropy, ZeroHash, assignment, 0]);
  return Array.from({ length: count }, (_, place) => Number(elementAt(key, BigInt(place), slots)));
}

/** The places of the pool in the order in which a jury's draw looks at them; `call` is 2*tier, or one more the second time. */
export function juryPlaces(
  entropy: string,
  blockHash: string,
  assignment: number,
  call: number,
  slots: bigint,
): number[] {
  const types = ["string", "bytes32", "bytes32", "uint256", "uint256"];
  const key = hash(types, ["surety/jury", entropy, blockHash, assignment, call]);
  return Array.from({ length: Number(slots) }, (_, place) => Number(elementAt(key, BigInt(place), slots)));
}

/** The element at `place` of the order that `key` gives 0 … n-1. */
export function elementAt(key: string, place: bigint, n: bigint): bigint {
  let base = 1n;
  while (base * base < n) base += 1n;
  let element = place;
  do {
    let [left, right] = [element / base, element % base];
    for (let round = 0n; round < FEISTEL_ROUNDS; round += 1n) {
      const digit = BigInt(keccak256(concat([key, toBeHex((round << 128n) | right, 32)]))) % base;
      [left, right] = [right, (left + digit) % base];
    }
    element = left * base + right;
  } while (element >= n);
  return element;
}
