import { getAddress, getBytes, hexlify, isAddress, isHexString, toBeArray, type BytesLike } from "ethers";

import { SuretyError } from "./errors.ts";

/** Which batch, of which market, on which chain. Whatever is hashed or sealed names all three. */
export interface BatchContext {
  /** EIP-155 chain id, above 0. */
  chainId: bigint;
  /** Address of the market contract. */
  market: string;
  /** 32 bytes, hexadecimal. */
  batchId: string;
}

/** Whose part in the batch. */
export interface MemberContext extends BatchContext {
  /** Address of the compute node or verifier. */
  member: string;
}

/** Which seat at which assignment of the batch; for the primary, which has none, see {@link PRIMARY}. */
export interface SeatContext extends BatchContext {
  /** Index of the assignment in the batch. */
  assignment: number;
  /** 0 for the first draw of verifiers; later ones by escalation or redraw. */
  round: number;
  /** Place in the round's draw. */
  seat: number;
}

/**
 * What stands for the primary's part where verifiers have a round and a seat. No draw has a round 255.
 *
 * @example
 * ```ts
 * const context: SeatContext = { chainId, market, batchId, assignment, ...PRIMARY };
 * ```
 */
export const PRIMARY = Object.freeze({ round: 255, seat: 0 });

/** Which ballot of which jury. */
export interface BallotContext extends BatchContext {
  /** Index of the assignment in the batch. */
  assignment: number;
  /** That the dispute is about; index in the batch. */
  task: number;
  /** Which jury: 1 or 2. */
  tier: number;
  /** Address of the juror. */
  juror: string;
}

/** Which batch-to-be of a job: known before the batch is posted and has an id. */
export interface SequenceContext {
  /** EIP-155 chain id, above 0. */
  chainId: bigint;
  /** Address of the market contract. */
  market: string;
  /** 32 bytes, hexadecimal. */
  jobId: string;
  /** How many batches the job had before: 0 for its first. Less than 2^64. */
  sequence: bigint;
}

/**
 * An unsigned integer as one 32-byte word, big-endian, as `abi.encode` writes it.
 *
 * @param name What it is, for the error.
 * @param bits Width of the integer; it must be below 2^bits.
 * @throws `CONTEXT_INVALID` if it is negative, fractional or too large.
 */
export function uintWord(value: bigint | number, name: string, bits = 256): Uint8Array {
  const isWhole = typeof value === "bigint" || Number.isSafeInteger(value);
  if (!isWhole || BigInt(value) < 0n || BigInt(value) >> BigInt(bits) !== 0n) {
    throw invalid(name, value, `a whole number from 0 to 2^${bits} - 1`);
  }
  return leftPadded(toBeArray(BigInt(value)));
}

/**
 * An address as 20 bytes.
 *
 * @throws `CONTEXT_INVALID` if it is none, or its checksum is wrong.
 */
export function addressBytes(value: string, name: string): Uint8Array {
  if (!isAddress(value)) throw invalid(name, value, "an address");
  return getBytes(getAddress(value));
}

/**
 * An address as one 32-byte word, as `abi.encode` writes it.
 *
 * @throws `CONTEXT_INVALID` as {@link addressBytes}.
 */
export function addressWord(value: string, name: string): Uint8Array {
  return leftPadded(addressBytes(value, name));
}

/**
 * 32 bytes, given as bytes or hexadecimal.
 *
 * @throws `CONTEXT_INVALID` if they are not 32.
 */
export function bytes32(value: BytesLike, name: string): Uint8Array {
  if (value instanceof Uint8Array ? value.length === 32 : isHexString(value, 32)) return getBytes(value);
  throw invalid(name, typeof value === "string" ? value : hexlify(value), "32 bytes");
}

/**
 * A secret key as 32 bytes. Unlike {@link bytes32} its error does not show the value.
 *
 * @throws `SECRET_INVALID` if it is not 32 bytes, or all zeros.
 */
export function secretBytes(value: BytesLike, name: string): Uint8Array {
  const isRightLength = value instanceof Uint8Array ? value.length === 32 : isHexString(value, 32);
  const bytes = isRightLength ? getBytes(value) : undefined;
  if (bytes?.some((byte) => byte !== 0)) return bytes;
  throw new SuretyError("SECRET_INVALID", `${name} is not 32 bytes other than zero`, { details: { name } });
}

function leftPadded(bytes: Uint8Array): Uint8Array {
  const word = new Uint8Array(32);
  word.set(bytes, 32 - bytes.length);
  return word;
}

function invalid(name: string, actual: string | number | bigint, expected: string): SuretyError {
  return new SuretyError("CONTEXT_INVALID", `${name} is ${String(actual).slice(0, 100)}, expected ${expected}`, {
    details: { name, actual: String(actual).slice(0, 100), expected },
  });
}
