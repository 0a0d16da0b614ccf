import { xchacha20poly1305 } from "@noble/ciphers/chacha.js";
import { randomBytes } from "@noble/ciphers/utils.js";
import { CID } from "multiformats/cid";
import { asyncIterableReader, readHeader } from "@ipld/car/decoder";
import { blockKey, maxBlockBytes, readCar, walkBlocks, writeCar } from "./block.ts";
import type { BlockSource } from "./block.ts";
import { importDirectory, readDirectory } from "./content.ts";
import type { Directory } from "./content.ts";
import { StorageError } from "./storage.ts";
import type { GetOptions } from "./storage.ts";

/** Bytes of a key. */
export const sealedFileKeyBytes = 32;

/** Bytes by which sealing makes content longer: a 24-byte nonce in front and a 16-byte tag behind. */
export const sealedFileOverhead = 24 + 16;

const nonceBytes = 24;

/** A sealed file and what opens it. */
export interface SealedFile {
  /** Nonce, ciphertext, tag. */
  bytes: Uint8Array;
  /** 32 random bytes; whoever has them can read and make such a file. */
  key: Uint8Array;
}

/** What a sealed file is bound to. */
export interface SealOptions {
  /**
   * Where the file belongs, for instance chain, contract, batch and task; it opens only with the same. Not stored,
   * not secret.
   */
  associatedData?: Uint8Array;
}

/**
 * Encrypts bytes under a fresh random key, or the given one, with XChaCha20-Poly1305 and a random nonce.
 *
 * The scheme does not commit to its key: one file can be made that opens under two keys to different content.
 * Whatever is decided by the content must be checked against a hash of the content, as digests are.
 *
 * @example
 * ```ts
 * const { bytes, key } = sealBytes(secret);
 * openBytes(bytes, key); // secret
 * ```
 */
export function sealBytes(
  bytes: Uint8Array,
  { associatedData, key = randomBytes(sealedFileKeyBytes) }: SealOptions & { key?: Uint8Array } = {},
): SealedFile {
  const nonce = randomBytes(nonceBytes);
  const ciphertext = xchacha20poly1305(key, nonce, associatedData).encrypt(bytes);
  const sealed = new Uint8Array(nonceBytes + ciphertext.length);
  sealed.set(nonce);
  sealed.set(ciphertext, nonceBytes);
  return { bytes: sealed, key };
}

/**
 * Decrypts what {@link sealBytes} made.
 *
 * @throws StorageError `SEALED_FILE_CORRUPT` on a wrong key, other associated data, or any changed byte
 */
export function openBytes(sealed: Uint8Array, key: Uint8Array, { associatedData }: SealOptions = {}): Uint8Array {
  if (key.length !== sealedFileKeyBytes) {
    throw corrupt(`the key has ${key.length} bytes, expected ${sealedFileKeyBytes}`, { keyBytes: key.length });
  }
  if (sealed.length < sealedFileOverhead) {
    throw corrupt(`the sealed file has ${sealed.length} bytes, at least ${sealedFileOverhead} are needed`, {
      bytes: sealed.length,
    });
  }
  try {
    return xchacha20poly1305(key, sealed.subarray(0, nonceBytes), associatedData).decrypt(sealed.subarray(nonceBytes));
  } catch (cause) {
    throw corrupt(
      "the sealed file does not open: wrong key, wrong associated data, or changed bytes",
      { bytes: sealed.length },
      cause,
    );
  }
}

/**
 * Packs a directory as a CAR, always in the same way, and encrypts it.
 *
 * @throws StorageError `DIRECTORY_INVALID`
 *
 * @example
 * ```ts
 * const { bytes, key } = await sealDirectory(new Map([["result.json", json]]), { associatedData });
 * const directory = await openDirectory(bytes, key, { associatedData, maxBytes: 1024 });
 * ```
 */
export async function sealDirectory(
  directory: Directory,
  options: SealOptions & { signal?: AbortSignal } = {},
): Promise<SealedFile> {
  const blocks = new Map<string, Uint8Array>();
  const root = await importDirectory(
    directory,
    async ({ cid, bytes }) => void blocks.set(blockKey(cid), bytes),
    options,
  );
  return sealBytes(await concatenate(writeCar(root, walkBlocks(root, among(blocks), options))), options);
}

/**
 * Decrypts and unpacks what {@link sealDirectory} made. The directory's content id is not promised by anything yet:
 * compare `computeContentId` of the result with what was committed to.
 *
 * @throws StorageError `SEALED_FILE_CORRUPT` (also when what was sealed is no directory), `CONTENT_TOO_LARGE`
 */
export async function openDirectory(
  sealed: Uint8Array,
  key: Uint8Array,
  options: SealOptions & GetOptions,
): Promise<Directory> {
  const car = openBytes(sealed, key, options);
  try {
    const root = await rootOf(car);
    const blocks = new Map<string, Uint8Array>();
    for await (const block of readCar(once(car), { root, maxStreamBytes: car.length }))
      blocks.set(blockKey(block.cid), block.bytes);
    return await readDirectory(root, among(blocks), options);
  } catch (error) {
    options.signal?.throwIfAborted();
    if (error instanceof StorageError && error.code === "CONTENT_TOO_LARGE") throw error;
    throw corrupt("the sealed file opens, but there is no directory in it", { bytes: sealed.length }, error);
  }
}

async function rootOf(car: Uint8Array): Promise<CID> {
  const { roots } = await readHeader(asyncIterableReader(once(car.subarray(0, maxBlockBytes))), 1);
  const root = CID.asCID(roots[0]);
  if (!root || roots.length !== 1) throw new RangeError(`a CAR with ${roots.length} roots`);
  return root;
}

function among(blocks: ReadonlyMap<string, Uint8Array>): BlockSource {
  return async (cid) => {
    const bytes = blocks.get(blockKey(cid));
    if (bytes) return bytes;
    throw new StorageError("CONTENT_NOT_FOUND", `block ${cid} is not in the file`, {
      details: { cid: cid.toString() },
    });
  };
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

async function concatenate(stream: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const part of stream) parts.push(part);
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    bytes.set(part, offset);
    offset += part.length;
  }
  return bytes;
}

function corrupt(message: string, details: Record<string, number>, cause?: unknown): StorageError {
  return new StorageError("SEALED_FILE_CORRUPT", message, { details, cause });
}
