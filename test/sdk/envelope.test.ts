import { expect } from "chai";
import { getAddress, hexlify } from "ethers";

import type { SeatContext } from "#sdk/context.ts";
import {
  checkEnvelopeProof,
  deliveryEvidence,
  ENVELOPE_LENGTH,
  openEnvelope,
  proofOfEvidence,
  proveEnvelope,
  sealEnvelope,
  type EnvelopeContent,
} from "#sdk/envelope.ts";
import { seal } from "#sdk/hpke.ts";
import { encryptionKeyPair } from "#sdk/seed.ts";
import { code } from "../support/error-code.ts";

const filled = (byte: number): string => hexlify(new Uint8Array(32).fill(byte));
const address = (byte: number): string => getAddress(hexlify(new Uint8Array(20).fill(byte)));

const CONTEXT: SeatContext = {
  chainId: 31337n,
  market: address(0xaa),
  batchId: filled(1),
  assignment: 2,
  round: 1,
  seat: 3,
};
const NODE = address(0x0b);
const CONTENT: EnvelopeContent = { manifestKey: new Uint8Array(32).fill(9), manifestHash: filled(8), node: NODE };
const { publicKey: recipientPublicKey, secretKey: recipientSecretKey } = encryptionKeyPair(filled(0x42));
const REQUEST = { recipientPublicKey, context: CONTEXT, content: CONTENT, nodeSecret: filled(0x77) };

const OTHER_CONTEXTS: SeatContext[] = [
  { ...CONTEXT, chainId: 1n },
  { ...CONTEXT, market: address(0xab) },
  { ...CONTEXT, batchId: filled(2) },
  { ...CONTEXT, assignment: 3 },
  { ...CONTEXT, round: 0 },
  { ...CONTEXT, seat: 0 },
];

describe("envelope", () => {
  const sealed = sealEnvelope(REQUEST);
  const openable = { sealed, recipientSecretKey, context: CONTEXT, member: NODE };

  it("refuses an envelope for another key or seat, changed, or of another length", () => {
    const otherKey = encryptionKeyPair(filled(0x43)).secretKey;
    expect(code(() => openEnvelope({ ...openable, recipientSecretKey: otherKey }))).to.equal("ENVELOPE_UNREADABLE");
    for (const context of OTHER_CONTEXTS) {
      expect(code(() => openEnvelope({ ...openable, context }))).to.equal("ENVELOPE_UNREADABLE");
    }
    for (const garbage of [
      new Uint8Array(0),
      new Uint8Array(ENVELOPE_LENGTH),
      sealed.slice(1),
      sealed.map((byte) => byte ^ 1),
    ]) {
      expect(code(() => openEnvelope({ ...openable, sealed: garbage }))).to.equal("ENVELOPE_UNREADABLE");
    }
    const long = seal({ recipientPublicKey, info: new Uint8Array(0), plaintext: new Uint8Array(100_000) }).sealed;
    expect(code(() => openEnvelope({ ...openable, sealed: long }))).to.equal("ENVELOPE_UNREADABLE");
  });

  it("refuses another node's envelope, submitted as a copy", () => {
    expect(code(() => openEnvelope({ ...openable, member: address(0x0c) }))).to.equal("ENVELOPE_NOT_MINE");
  });

  it("blames the caller, not the envelope, for malformed values of its own", () => {
    expect(code(() => openEnvelope({ ...openable, recipientSecretKey: new Uint8Array(32) }))).to.equal(
      "HPKE_KEY_INVALID",
    );
    expect(code(() => openEnvelope({ ...openable, member: "0x12" }))).to.equal("CONTEXT_INVALID");
    expect(code(() => sealEnvelope({ ...REQUEST, content: { ...CONTENT, manifestHash: "0x12" } }))).to.equal(
      "CONTEXT_INVALID",
    );
    expect(code(() => sealEnvelope({ ...REQUEST, context: { ...CONTEXT, seat: -1 } }))).to.equal("CONTEXT_INVALID");
    expect(code(() => sealEnvelope({ ...REQUEST, recipientPublicKey: new Uint8Array(33) }))).to.equal(
      "HPKE_KEY_INVALID",
    );
  });

  it("opens for the requester, in 165 bytes, whatever the case of the addresses", () => {
    expect(sealed.length).to.equal(165);
    expect(openEnvelope(openable)).to.deep.equal(CONTENT);
    const lower = { ...CONTEXT, market: CONTEXT.market.toLowerCase() };
    expect(openEnvelope({ ...openable, context: lower, member: NODE.toLowerCase() })).to.deep.equal(CONTENT);
  });

  it("is made again the same, and with another ephemeral key for another content or seat", () => {
    const ephemeral = (bytes: Uint8Array): string => hexlify(bytes.slice(0, 65));
    expect(hexlify(sealEnvelope(REQUEST))).to.equal(hexlify(sealed));
    const other = sealEnvelope({ ...REQUEST, content: { ...CONTENT, manifestHash: filled(7) } });
    expect(ephemeral(other)).not.to.equal(ephemeral(sealed));
    for (const context of OTHER_CONTEXTS) {
      expect(ephemeral(sealEnvelope({ ...REQUEST, context }))).not.to.equal(ephemeral(sealed));
    }
  });

  it("is proved by its seed and plaintext, and nothing else is", () => {
    const proof = proveEnvelope(REQUEST);
    const checkable = { sealed, recipientPublicKey, context: CONTEXT };
    expect(checkEnvelopeProof(proof, checkable)).to.deep.equal(CONTENT);
    const lies = [
      { ...proof, ephemeralSeed: filled(1) },
      { ...proof, ephemeralSeed: "0x" },
      { ...proof, plaintext: `${proof.plaintext.slice(0, -2)}0c` },
      { ...proof, plaintext: "nonsense" },
      proveEnvelope({ ...REQUEST, content: { ...CONTENT, node: address(0x0c) } }),
    ];
    for (const lie of lies) expect(code(() => checkEnvelopeProof(lie, checkable))).to.equal("ENVELOPE_PROOF_WRONG");
    for (const context of OTHER_CONTEXTS) {
      expect(code(() => checkEnvelopeProof(proof, { ...checkable, context }))).to.equal("ENVELOPE_PROOF_WRONG");
    }
    const other = sealEnvelope({ ...REQUEST, nodeSecret: filled(0x78) });
    expect(code(() => checkEnvelopeProof(proof, { ...checkable, sealed: other }))).to.equal("ENVELOPE_PROOF_WRONG");
  });

  it("is proved to the market by 116 bytes, and by no others", () => {
    const proof = proveEnvelope(REQUEST);
    const checkable = { sealed, recipientPublicKey, context: CONTEXT };
    const evidence = deliveryEvidence(proof);
    expect(evidence).to.equal(proof.plaintext + proof.ephemeralSeed.slice(2));
    expect(evidence).to.have.length(2 + 2 * 116);
    expect(proofOfEvidence(evidence)).to.deep.equal(proof);
    for (const lie of ["0x", "0x12", evidence.slice(0, -2), `${evidence}00`, evidence.replace("0x", "")]) {
      expect(code(() => checkEnvelopeProof(proofOfEvidence(lie), checkable))).to.equal("ENVELOPE_PROOF_WRONG");
    }
  });
});
