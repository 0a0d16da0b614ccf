import { concatBytes, utf8ToBytes } from "@noble/hashes/utils.js";
import { concat, getAddress, getBytes, hexlify, isHexString, type BytesLike } from "ethers";

import { addressBytes, bytes32, secretBytes, uintWord, type SeatContext } from "./context.ts";
import { SuretyError } from "./errors.ts";
import { open, seal, SEALING_OVERHEAD, verifySealing } from "./hpke.ts";
import { envelopeSeed } from "./seed.ts";

/** Length of what is sealed: manifest key (32), manifest hash (32), node address (20). */
export const ENVELOPE_PLAINTEXT_LENGTH = 84;
/** Length of an envelope on chain: 165 bytes. */
export const ENVELOPE_LENGTH = ENVELOPE_PLAINTEXT_LENGTH + SEALING_OVERHEAD;

const INFO = utf8ToBytes("surety/envelope/v1");

/** What an envelope tells the requester. */
export interface EnvelopeContent {
  /** 32 bytes: opens the result manifest. */
  manifestKey: Uint8Array;
  /** keccak256 of the encrypted manifest's bytes, hexadecimal. */
  manifestHash: string;
  /** Address of the node that sealed it, so that nobody else can submit a copy as its own. */
  node: string;
}

/** What {@link sealEnvelope} takes. */
export interface SealEnvelopeRequest {
  /** The requester's encryption key, 33 bytes (compressed) or 65. */
  recipientPublicKey: Uint8Array;
  context: SeatContext;
  content: EnvelopeContent;
  /** The compute node's key, 32 bytes: the ephemeral key derives from it, so that the node can prove it later. */
  nodeSecret: BytesLike;
}

/** What {@link openEnvelope} takes. */
export interface OpenEnvelopeRequest {
  /** From the chain: untrusted. */
  sealed: Uint8Array;
  /** 32 bytes; see `encryptionKeyPair`. */
  recipientSecretKey: Uint8Array;
  context: SeatContext;
  /** Address that submitted the envelope. */
  member: string;
}

/** What shows everybody what an envelope holds. Plain data, ready for JSON. */
export interface EnvelopeProof {
  /** 32 bytes, hexadecimal: the ephemeral key's seed. */
  ephemeralSeed: string;
  /** 84 bytes, hexadecimal. */
  plaintext: string;
}

/** What {@link checkEnvelopeProof} takes beside the proof. */
export interface CheckEnvelopeProofRequest {
  sealed: Uint8Array;
  recipientPublicKey: Uint8Array;
  context: SeatContext;
}

/**
 * Seals what the requester needs to fetch and open a node's results: goes on chain with the commitment's root.
 * The same request gives the same envelope, so that a node that lost track can make it again.
 *
 * @returns {@link ENVELOPE_LENGTH} bytes.
 * @throws `CONTEXT_INVALID`, `SECRET_INVALID`, `HPKE_KEY_INVALID`
 *
 * @example
 * ```ts
 * const { sealed: manifest, manifestKey, manifestHash } = sealManifest(results, { ...batch, member: node });
 * const content = { manifestKey, manifestHash, node };
 * const sealed = sealEnvelope({ recipientPublicKey, context, content, nodeSecret });
 * openEnvelope({ sealed, recipientSecretKey, context, member: node }); // content
 * ```
 */
export function sealEnvelope(request: SealEnvelopeRequest): Uint8Array {
  const { recipientPublicKey, context, content, nodeSecret } = request;
  const plaintext = encode(content);
  const ephemeralSeed = envelopeSeed(nodeSecret, context, recipientPublicKey, plaintext);
  return seal({ recipientPublicKey, info: envelopeInfo(context), plaintext, ephemeralSeed }).sealed;
}

/**
 * Opens an envelope.
 *
 * @throws `ENVELOPE_UNREADABLE` if it has the wrong length or was not sealed for this key and seat;
 * `ENVELOPE_NOT_MINE` if it names another node than the one that submitted it; `HPKE_KEY_INVALID`, `CONTEXT_INVALID`
 * if the caller's own values are malformed.
 */
export function openEnvelope(request: OpenEnvelopeRequest): EnvelopeContent {
  const { sealed, recipientSecretKey, context, member } = request;
  const info = envelopeInfo(context);
  const submitter = getAddress(hexlify(addressBytes(member, "member")));
  if (sealed.length !== ENVELOPE_LENGTH) {
    throw new SuretyError(
      "ENVELOPE_UNREADABLE",
      `an envelope has ${sealed.length} bytes, expected ${ENVELOPE_LENGTH}`,
      {
        details: { actual: sealed.length, expected: ENVELOPE_LENGTH, member: submitter },
      },
    );
  }
  let plaintext: Uint8Array;
  try {
    plaintext = open({ sealed, recipientSecretKey, info });
  } catch (cause) {
    if (!(cause instanceof SuretyError) || cause.code !== "HPKE_OPEN_FAILED") throw cause;
    throw new SuretyError("ENVELOPE_UNREADABLE", `the envelope of ${submitter} does not open`, {
      details: { member: submitter, batchId: context.batchId, assignment: context.assignment, seat: context.seat },
      fix: "It was sealed for another key, batch or seat, or is garbage: contest the assignment.",
      cause,
    });
  }
  const content = decode(plaintext);
  if (content.node !== submitter) {
    throw new SuretyError("ENVELOPE_NOT_MINE", `the envelope of ${submitter} was sealed by ${content.node}`, {
      details: { actual: content.node, expected: submitter, batchId: context.batchId, assignment: context.assignment },
      fix: "It is a copy of another node's: contest the assignment.",
    });
  }
  return content;
}

/**
 * Makes the proof of what an envelope holds. It shows the manifest's key to whoever sees the proof.
 *
 * @param request As it was given to {@link sealEnvelope}.
 * @throws `CONTEXT_INVALID`, `SECRET_INVALID`
 */
export function proveEnvelope(request: SealEnvelopeRequest): EnvelopeProof {
  const plaintext = encode(request.content);
  const seed = envelopeSeed(request.nodeSecret, request.context, request.recipientPublicKey, plaintext);
  return { ephemeralSeed: hexlify(seed), plaintext: hexlify(plaintext) };
}

/**
 * Checks a proof by sealing again.
 *
 * @param proof From a stranger: malformed proofs are merely wrong.
 * @returns What the envelope holds. It may name another node than the one that submitted it.
 * @throws `ENVELOPE_PROOF_WRONG` if the envelope does not come out the same; `CONTEXT_INVALID`, `HPKE_KEY_INVALID` if
 * the caller's own values are malformed.
 */
export function checkEnvelopeProof(proof: EnvelopeProof, request: CheckEnvelopeProofRequest): EnvelopeContent {
  const { sealed, recipientPublicKey, context } = request;
  const info = envelopeInfo(context);
  const isWellFormed = isHexString(proof.ephemeralSeed, 32) && isHexString(proof.plaintext, ENVELOPE_PLAINTEXT_LENGTH);
  const plaintext = isWellFormed ? getBytes(proof.plaintext) : undefined;
  const ephemeralSeed = isWellFormed ? getBytes(proof.ephemeralSeed) : undefined;
  if (
    plaintext === undefined ||
    ephemeralSeed === undefined ||
    !verifySealing({ sealed, recipientPublicKey, info, plaintext, ephemeralSeed })
  ) {
    throw new SuretyError("ENVELOPE_PROOF_WRONG", "the revealed seed and plaintext do not make this envelope", {
      details: { batchId: context.batchId, assignment: context.assignment, seat: context.seat },
    });
  }
  return decode(plaintext);
}

/**
 * A proof as the accused of a `delivery` contest gives it to the market: the plaintext, then the seed.
 *
 * @returns 116 bytes, hexadecimal.
 */
export function deliveryEvidence({ plaintext, ephemeralSeed }: EnvelopeProof): string {
  return concat([plaintext, ephemeralSeed]);
}

/**
 * The inverse of {@link deliveryEvidence}.
 *
 * @param evidence From the chain: a proof out of malformed evidence is merely wrong, see {@link checkEnvelopeProof}.
 */
export function proofOfEvidence(evidence: string): EnvelopeProof {
  const split = 2 + 2 * ENVELOPE_PLAINTEXT_LENGTH;
  return { plaintext: evidence.slice(0, split), ephemeralSeed: `0x${evidence.slice(split)}` };
}

/** HPKE's `info`: what the envelope is for, every value of fixed width. */
function envelopeInfo(context: SeatContext): Uint8Array {
  return concatBytes(
    INFO,
    uintWord(context.chainId, "chainId"),
    addressBytes(context.market, "market"),
    bytes32(context.batchId, "batchId"),
    uintWord(context.assignment, "assignment"),
    uintWord(context.round, "round"),
    uintWord(context.seat, "seat"),
  );
}

function encode(content: EnvelopeContent): Uint8Array {
  return concatBytes(
    secretBytes(content.manifestKey, "manifestKey"),
    bytes32(content.manifestHash, "manifestHash"),
    addressBytes(content.node, "node"),
  );
}

function decode(plaintext: Uint8Array): EnvelopeContent {
  return {
    manifestKey: plaintext.slice(0, 32),
    manifestHash: hexlify(plaintext.slice(32, 64)),
    node: getAddress(hexlify(plaintext.slice(64))),
  };
}
