import { chacha20poly1305 } from "@noble/ciphers/chacha.js";
import { secp256k1 } from "@noble/curves/secp256k1.js";
import { expand, extract } from "@noble/hashes/hkdf.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { concatBytes, randomBytes, utf8ToBytes } from "@noble/hashes/utils.js";

import { SuretyError } from "./errors.ts";

/** Length of an encapsulated key, an uncompressed curve point, which opens every sealing: 65 bytes. */
export const ENCAPSULATED_KEY_LENGTH = 65;
/** What a sealing adds to the plaintext: the encapsulated key and a 16-byte tag. */
export const SEALING_OVERHEAD = ENCAPSULATED_KEY_LENGTH + 16;
/** Length of the seed an ephemeral key derives from: 32 bytes. */
export const EPHEMERAL_SEED_LENGTH = 32;

const KEY_LENGTH = 32;
const NONCE_LENGTH = 12;
const HASH_LENGTH = 32;
const KDF_HKDF_SHA256 = 0x0001;
const AEAD_CHACHA20_POLY1305 = 0x0003;
const MODE_BASE = new Uint8Array([0x00]);
const EMPTY = new Uint8Array(0);

/** The few operations a suite needs of an elliptic curve with 32-byte scalars; a curve of `@noble/curves` fits. */
export interface KemCurve {
  getPublicKey(secretKey: Uint8Array, isCompressed?: boolean): Uint8Array;
  getSharedSecret(secretKey: Uint8Array, publicKey: Uint8Array, isCompressed?: boolean): Uint8Array;
  utils: { isValidSecretKey(secretKey: Uint8Array): boolean };
  Point: { fromBytes(bytes: Uint8Array): { toBytes(isCompressed?: boolean): Uint8Array } };
}

/** A key pair for sealing. */
export interface HpkeKeyPair {
  /** 32 bytes. */
  secretKey: Uint8Array;
  /** Uncompressed, 65 bytes. */
  publicKey: Uint8Array;
}

/** What {@link HpkeSuite.seal} takes. */
export interface SealRequest {
  /** 33 bytes (compressed) or 65. */
  recipientPublicKey: Uint8Array;
  /** What the sealing is for: chain, contract, batch. The opener must name the same. */
  info: Uint8Array;
  /** Sent in the clear beside the sealing, and authenticated by it. Defaults to none. */
  aad?: Uint8Array;
  plaintext: Uint8Array;
  /**
   * 32 bytes the ephemeral key derives from; random by default. **One seed for one plaintext:** two different
   * plaintexts sealed to one recipient under one `info` with one seed give both away. Derive it from the plaintext
   * too, or leave it out.
   */
  ephemeralSeed?: Uint8Array;
}

/** What {@link HpkeSuite.seal} gives. */
export interface Sealing {
  /** Encapsulated key (65 bytes) followed by the ciphertext (plaintext and 16 bytes). */
  sealed: Uint8Array;
  /** Reveal it to prove what was sealed; until then it is as secret as the plaintext. */
  ephemeralSeed: Uint8Array;
}

/** What {@link HpkeSuite.open} takes. */
export interface OpenRequest {
  sealed: Uint8Array;
  /** 32 bytes. */
  recipientSecretKey: Uint8Array;
  info: Uint8Array;
  aad?: Uint8Array;
}

/** What {@link HpkeSuite.verifySealing} takes: a claim of what was sealed, and how. */
export interface SealingClaim {
  sealed: Uint8Array;
  recipientPublicKey: Uint8Array;
  info: Uint8Array;
  aad?: Uint8Array;
  plaintext: Uint8Array;
  ephemeralSeed: Uint8Array;
}

/** The secrets of one sealing, named as in RFC 9180, section 5.1. */
export interface KeySchedule {
  key: Uint8Array;
  baseNonce: Uint8Array;
}

/** RFC 9180 for one curve, base mode, single shot, with HKDF-SHA256 and ChaCha20-Poly1305. */
export interface HpkeSuite {
  /** `DeriveKeyPair` of RFC 9180, section 7.1.3; `HPKE_SEED_INVALID` if the seed has fewer than 32 bytes. */
  deriveKeyPair(seed: Uint8Array): HpkeKeyPair;
  /** `Encap` with the ephemeral key that derives from the seed. */
  encapsulate(recipientPublicKey: Uint8Array, ephemeralSeed: Uint8Array): { shared: Uint8Array; enc: Uint8Array };
  /** `Decap`. */
  decapsulate(enc: Uint8Array, recipientSecretKey: Uint8Array): Uint8Array;
  /** `KeySchedule` in base mode. */
  keySchedule(shared: Uint8Array, info: Uint8Array): KeySchedule;
  /** See {@link seal}. */
  seal(request: SealRequest): Sealing;
  /** See {@link open}. */
  open(request: OpenRequest): Uint8Array;
  /** See {@link verifySealing}. */
  verifySealing(claim: SealingClaim): boolean;
}

/**
 * Builds an {@link HpkeSuite} over a curve. The package itself uses secp256k1 only; other curves serve to check the
 * construction against the vectors published with the RFC.
 *
 * @param curve A curve with 32-byte scalars and 65-byte uncompressed points.
 * @param kemId IANA's number of the KEM: 0x0016 for DHKEM(secp256k1, HKDF-SHA256).
 */
export function hpkeSuite(curve: KemCurve, kemId: number): HpkeSuite {
  const kemSuiteId = concatBytes(utf8ToBytes("KEM"), uint16(kemId));
  const hpkeSuiteId = concatBytes(
    utf8ToBytes("HPKE"),
    uint16(kemId),
    uint16(KDF_HKDF_SHA256),
    uint16(AEAD_CHACHA20_POLY1305),
  );

  function uncompressed(publicKey: Uint8Array): Uint8Array {
    try {
      // Refuses what is not on the curve, and the point at infinity.
      return curve.Point.fromBytes(publicKey).toBytes(false);
    } catch (cause) {
      throw new SuretyError(
        "HPKE_KEY_INVALID",
        `a public key of ${publicKey.length} bytes is not a point of the curve`,
        {
          details: { length: publicKey.length },
          fix: "Give a compressed (33 bytes) or uncompressed (65 bytes) public key.",
          cause,
        },
      );
    }
  }

  function requireSecretKey(secretKey: Uint8Array): void {
    if (secretKey.length === KEY_LENGTH && curve.utils.isValidSecretKey(secretKey)) return;
    throw new SuretyError(
      "HPKE_KEY_INVALID",
      `a secret key of ${secretKey.length} bytes is not a scalar of the curve`,
      {
        details: { length: secretKey.length },
        fix: "Give a 32-byte secret key between 1 and the curve's order.",
      },
    );
  }

  function diffieHellman(secretKey: Uint8Array, publicKey: Uint8Array): Uint8Array {
    // The RFC's DH for Weierstrass curves is the x-coordinate alone.
    return curve.getSharedSecret(secretKey, publicKey, true).slice(1);
  }

  function sharedSecret(dh: Uint8Array, enc: Uint8Array, recipient: Uint8Array): Uint8Array {
    const prk = labeledExtract(kemSuiteId, EMPTY, "eae_prk", dh);
    return labeledExpand(kemSuiteId, prk, "shared_secret", concatBytes(enc, recipient), HASH_LENGTH);
  }

  function deriveKeyPair(seed: Uint8Array): HpkeKeyPair {
    if (seed.length < EPHEMERAL_SEED_LENGTH) {
      throw new SuretyError("HPKE_SEED_INVALID", `a seed of ${seed.length} bytes is too short, expected 32`, {
        details: { actual: seed.length, expected: EPHEMERAL_SEED_LENGTH },
      });
    }
    const prk = labeledExtract(kemSuiteId, EMPTY, "dkp_prk", seed);
    for (let counter = 0; counter < 256; counter++) {
      const candidate = labeledExpand(kemSuiteId, prk, "candidate", new Uint8Array([counter]), KEY_LENGTH);
      if (curve.utils.isValidSecretKey(candidate)) {
        return { secretKey: candidate, publicKey: curve.getPublicKey(candidate, false) };
      }
    }
    throw new SuretyError(
      "HPKE_SEED_INVALID",
      "256 candidates derived from the seed and none is a scalar of the curve",
    );
  }

  function encapsulate(recipientPublicKey: Uint8Array, ephemeralSeed: Uint8Array) {
    const recipient = uncompressed(recipientPublicKey);
    const ephemeral = deriveKeyPair(ephemeralSeed);
    const shared = sharedSecret(diffieHellman(ephemeral.secretKey, recipient), ephemeral.publicKey, recipient);
    return { shared, enc: ephemeral.publicKey };
  }

  function decapsulate(enc: Uint8Array, recipientSecretKey: Uint8Array): Uint8Array {
    requireSecretKey(recipientSecretKey);
    const recipient = curve.getPublicKey(recipientSecretKey, false);
    return sharedSecret(diffieHellman(recipientSecretKey, uncompressed(enc)), enc, recipient);
  }

  function keySchedule(shared: Uint8Array, info: Uint8Array): KeySchedule {
    const context = concatBytes(
      MODE_BASE,
      labeledExtract(hpkeSuiteId, EMPTY, "psk_id_hash", EMPTY),
      labeledExtract(hpkeSuiteId, EMPTY, "info_hash", info),
    );
    const secret = labeledExtract(hpkeSuiteId, shared, "secret", EMPTY);
    return {
      key: labeledExpand(hpkeSuiteId, secret, "key", context, KEY_LENGTH),
      baseNonce: labeledExpand(hpkeSuiteId, secret, "base_nonce", context, NONCE_LENGTH),
    };
  }

  function seal(request: SealRequest): Sealing {
    const ephemeralSeed = request.ephemeralSeed ?? randomBytes(EPHEMERAL_SEED_LENGTH);
    const { shared, enc } = encapsulate(request.recipientPublicKey, ephemeralSeed);
    // A single shot has sequence number 0, whose nonce is the base nonce itself.
    const { key, baseNonce } = keySchedule(shared, request.info);
    const ciphertext = chacha20poly1305(key, baseNonce, request.aad ?? EMPTY).encrypt(request.plaintext);
    return { sealed: concatBytes(enc, ciphertext), ephemeralSeed };
  }

  function open(request: OpenRequest): Uint8Array {
    requireSecretKey(request.recipientSecretKey);
    if (request.sealed.length < SEALING_OVERHEAD) {
      throw new SuretyError(
        "HPKE_OPEN_FAILED",
        `a sealing of ${request.sealed.length} bytes is shorter than the least possible, ${SEALING_OVERHEAD}`,
        { details: { actual: request.sealed.length, expected: SEALING_OVERHEAD } },
      );
    }
    const enc = request.sealed.slice(0, ENCAPSULATED_KEY_LENGTH);
    const ciphertext = request.sealed.slice(ENCAPSULATED_KEY_LENGTH);
    try {
      const { key, baseNonce } = keySchedule(decapsulate(enc, request.recipientSecretKey), request.info);
      return chacha20poly1305(key, baseNonce, request.aad ?? EMPTY).decrypt(ciphertext);
    } catch (cause) {
      throw new SuretyError(
        "HPKE_OPEN_FAILED",
        `a sealing of ${request.sealed.length} bytes does not open with this key and info`,
        {
          details: { length: request.sealed.length },
          fix: "It was sealed for another key or purpose, or changed on the way.",
          cause,
        },
      );
    }
  }

  function verifySealing(claim: SealingClaim): boolean {
    const { sealed } = seal(claim);
    // Everything compared here is public by now, so comparing early out gives nothing away.
    return sealed.length === claim.sealed.length && sealed.every((byte, index) => byte === claim.sealed[index]);
  }

  return { deriveKeyPair, encapsulate, decapsulate, keySchedule, seal, open, verifySealing };
}

const suite = hpkeSuite(secp256k1, 0x0016);

/**
 * Seals a plaintext for a secp256k1 public key: RFC 9180 base mode, single shot, with IANA's KEM 0x0016
 * DHKEM(secp256k1, HKDF-SHA256), KDF 0x0001 HKDF-SHA256 and AEAD 0x0003 ChaCha20-Poly1305.
 *
 * @returns The sealing, {@link SEALING_OVERHEAD} bytes longer than the plaintext, and the seed that proves it.
 * @throws `HPKE_KEY_INVALID` if the public key is no point of the curve, `HPKE_SEED_INVALID` for a short seed.
 *
 * @example
 * ```ts
 * const { secretKey, publicKey } = deriveKeyPair(randomBytes(32));
 * const { sealed } = seal({ recipientPublicKey: publicKey, info, plaintext });
 * open({ sealed, recipientSecretKey: secretKey, info }); // plaintext
 * ```
 */
export const seal = suite.seal;

/**
 * Opens what {@link seal} sealed.
 *
 * @returns The plaintext.
 * @throws `HPKE_OPEN_FAILED` if it was sealed for another key, `info` or `aad`, or was changed;
 * `HPKE_KEY_INVALID` if the secret key itself is none.
 */
export const open = suite.open;

/**
 * Tells whether a sealing is what its sealer now says: it is made again from the revealed seed and compared.
 * The encapsulated key fixes the ephemeral key and so the cipher's key, hence a sealing has one plaintext only.
 *
 * @throws `HPKE_KEY_INVALID`, `HPKE_SEED_INVALID` as {@link seal}.
 */
export const verifySealing = suite.verifySealing;

/**
 * Derives a key pair from a seed of at least 32 bytes, as RFC 9180's `DeriveKeyPair`.
 *
 * @throws `HPKE_SEED_INVALID` if the seed is shorter.
 */
export const deriveKeyPair = suite.deriveKeyPair;

/** Whether bytes, compressed (33) or not (65), are a point of secp256k1 that something can be sealed for. */
export function isPublicKey(bytes: Uint8Array): boolean {
  try {
    secp256k1.Point.fromBytes(bytes).assertValidity();
    return true;
  } catch {
    return false;
  }
}

function labeledExtract(suiteId: Uint8Array, salt: Uint8Array, label: string, ikm: Uint8Array): Uint8Array {
  return extract(sha256, concatBytes(utf8ToBytes("HPKE-v1"), suiteId, utf8ToBytes(label), ikm), salt);
}

function labeledExpand(
  suiteId: Uint8Array,
  prk: Uint8Array,
  label: string,
  info: Uint8Array,
  length: number,
): Uint8Array {
  const labeled = concatBytes(uint16(length), utf8ToBytes("HPKE-v1"), suiteId, utf8ToBytes(label), info);
  return expand(sha256, prk, labeled, length);
}

function uint16(value: number): Uint8Array {
  return new Uint8Array([value >> 8, value & 0xff]);
}
