import { hkdf } from "@noble/hashes/hkdf.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { concatBytes, utf8ToBytes } from "@noble/hashes/utils.js";
import { getBytes } from "ethers";

import type { Directory } from "./content.ts";
import { addressBytes, bytes32, uintWord } from "./context.ts";
import { SuretyError } from "./errors.ts";
import { open, seal, SEALING_OVERHEAD } from "./hpke.ts";
import type { RequestContext } from "./request-terms.ts";
import { openDirectory, sealDirectory, sealedFileKeyBytes } from "./sealed-file.ts";
import type { GetOptions } from "./storage.ts";

/** Name of the sealed file, in the directory that a content id names. */
export const SEALED_CONTENT_FILE = "sealed";
/** Folder of the keys to it, each sealed for one account. */
export const SEALED_KEYS_FOLDER = "keys";
/** Bytes of one of these. */
export const SEALED_KEY_LENGTH = sealedFileKeyBytes + SEALING_OVERHEAD;

/** What a request's content belongs to: bytes that it opens with, and with no others. Not secret. */
export type SealBinding = Uint8Array;

/** Whom a key is sealed for: compressed secp256k1 points, hexadecimal, by address. */
export type Recipients = ReadonlyMap<string, string>;

/**
 * What a request's input is bound to. The request has no id yet: it is made of the input's content id.
 *
 * @param requester Whose request it will be.
 * @throws SuretyError `CONTEXT_INVALID`
 */
export function inputBinding({ chainId, requests }: RequestContext, requester: string): SealBinding {
  return concatBytes(
    utf8ToBytes("surety/request-input/v1"),
    uintWord(chainId, "chainId"),
    addressBytes(requests, "requests"),
    addressBytes(requester, "requester"),
  );
}

/**
 * What a worker's result and the keys to it are bound to, and the keys to a request's input.
 *
 * @param bound `id`: of the request; `owner`: whose content it is, the worker or the requester.
 * @throws SuretyError `CONTEXT_INVALID`
 */
export function contentBinding(
  { chainId, requests }: RequestContext,
  { id, owner }: { id: string; owner: string },
): SealBinding {
  return concatBytes(
    utf8ToBytes("surety/request-content/v1"),
    uintWord(chainId, "chainId"),
    addressBytes(requests, "requests"),
    bytes32(id, "id"),
    addressBytes(owner, "owner"),
  );
}

/**
 * Seals a directory into one file under a random key. What the file's content id is nobody can foretell, so it may be
 * committed to, however few possible contents there are.
 *
 * @returns the directory to be stored, and what opens it: 32 bytes
 * @throws StorageError `DIRECTORY_INVALID`
 *
 * @example
 * ```ts
 * const binding = contentBinding(context, { id, owner: worker });
 * const { directory, key } = await sealContent(result, { binding });
 * const keys = sealKeys(key, new Map([[evaluator, encryptionKey]]), { binding });
 * await storage.add(new Map([...directory, ...keys]));
 * ```
 */
export async function sealContent(
  content: Directory,
  { binding, signal }: { binding: SealBinding; signal?: AbortSignal },
): Promise<{ directory: Directory; key: Uint8Array }> {
  const { bytes, key } = await sealDirectory(content, { associatedData: binding, signal });
  return { directory: new Map([[SEALED_CONTENT_FILE, bytes]]), key };
}

/**
 * Opens what {@link sealContent} made.
 *
 * @param sealed The directory, or its file.
 * @throws SuretyError `SEALED_CONTENT_MISSING` if there is no such file in it; StorageError `SEALED_FILE_CORRUPT`,
 * `CONTENT_TOO_LARGE`
 */
export async function openContent(
  sealed: Directory | Uint8Array,
  key: Uint8Array,
  { binding, ...limits }: { binding: SealBinding } & GetOptions,
): Promise<Directory> {
  const bytes = sealed instanceof Uint8Array ? sealed : sealed.get(SEALED_CONTENT_FILE);
  if (bytes !== undefined) return openDirectory(bytes, key, { ...limits, associatedData: binding });
  throw new SuretyError("SEALED_CONTENT_MISSING", `there is no file ${SEALED_CONTENT_FILE} in the directory`, {
    details: { file: SEALED_CONTENT_FILE },
  });
}

/**
 * Seals a key for accounts. The same key makes the same sealings, so that whoever has the key can tell whether the
 * others got it, too: see {@link checkKeys}.
 *
 * @returns files `keys/<address in lower case>`
 * @throws SuretyError `HPKE_KEY_INVALID` for what is no public key, `CONTEXT_INVALID` for what is no address
 */
export function sealKeys(key: Uint8Array, recipients: Recipients, { binding }: { binding: SealBinding }): Directory {
  const sealed = [...recipients].map(([address, publicKey]): [string, Uint8Array] => {
    return [sealedKeyPath(address), sealedFor(publicKey, key, binding)];
  });
  return new Map(sealed);
}

/**
 * Opens the key that was sealed for an account.
 *
 * @param keys With {@link sealedKeyPath}; other files do not matter.
 * @param account `secretKey`: 32 bytes, see `encryptionKeyPair`.
 * @returns 32 bytes
 * @throws SuretyError `SEALED_KEY_MISSING` if none was; `SEALED_KEY_WRONG` if it does not open, or was not sealed as
 * {@link sealKeys} does
 */
export function openKey(
  keys: Directory,
  { address, secretKey, binding }: { address: string; secretKey: Uint8Array; binding: SealBinding },
): Uint8Array {
  const sealed = keys.get(sealedKeyPath(address));
  if (sealed === undefined) throw missing(address);
  if (sealed.length !== SEALED_KEY_LENGTH) throw wrong(address);
  try {
    return open({ sealed, recipientSecretKey: secretKey, info: binding });
  } catch (cause) {
    if (!(cause instanceof SuretyError) || cause.code !== "HPKE_OPEN_FAILED") throw cause;
    throw wrong(address, cause);
  }
}

/**
 * Checks that a key was sealed for all of the recipients, by sealing it again. Who gives a key to some and another, or
 * none, to others would have them see different things: all of them see that, or cannot open theirs.
 *
 * @throws SuretyError `SEALED_KEY_MISSING`, `SEALED_KEY_WRONG` with the first address that it is so for
 */
export function checkKeys(
  keys: Directory,
  key: Uint8Array,
  recipients: Recipients,
  { binding }: { binding: SealBinding },
): void {
  for (const [address, publicKey] of recipients) {
    const sealed = keys.get(sealedKeyPath(address));
    if (sealed === undefined) throw missing(address);
    const expected = sealedFor(publicKey, key, binding);
    if (sealed.length !== expected.length || sealed.some((byte, index) => byte !== expected[index])) {
      throw wrong(address);
    }
  }
}

/** Where a key that is sealed for an account lies. */
export function sealedKeyPath(address: string): string {
  addressBytes(address, "address");
  return `${SEALED_KEYS_FOLDER}/${address.toLowerCase()}`;
}

function sealedFor(publicKey: string, key: Uint8Array, binding: SealBinding): Uint8Array {
  const recipientPublicKey = getBytes(publicKey);
  // From the plaintext, which is random: one seed for one plaintext.
  const salt = concatBytes(utf8ToBytes("surety/sealed-key/v1"), sha256(binding), recipientPublicKey);
  const ephemeralSeed = hkdf(sha256, key, salt, undefined, 32);
  return seal({ recipientPublicKey, info: binding, plaintext: key, ephemeralSeed }).sealed;
}

function missing(address: string): SuretyError {
  return new SuretyError("SEALED_KEY_MISSING", `no key was sealed for ${address}`, { details: { address } });
}

function wrong(address: string, cause?: unknown): SuretyError {
  return new SuretyError("SEALED_KEY_WRONG", `what was sealed for ${address} is not the key`, {
    details: { address },
    cause,
  });
}
