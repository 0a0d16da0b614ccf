import { createRequire } from "node:module";

import { expect } from "chai";
import fc from "fast-check";

import { SuretyError } from "#sdk/errors.ts";
import { deriveKeyPair, hpkeSuite, open, seal, SEALING_OVERHEAD, verifySealing, type KemCurve } from "#sdk/hpke.ts";

const bytes = (hex: string): Uint8Array => Uint8Array.from(Buffer.from(hex, "hex"));
const hex = (value: Uint8Array): string => Buffer.from(value).toString("hex");
const text = (value: string): Uint8Array => new TextEncoder().encode(value);

/** Resolves as the SDK does: the root of the repository holds an older major of these packages. */
const fromSdk = createRequire(new URL("../../sdk/package.json", import.meta.url));
const { p256 } = fromSdk("@noble/curves/nist.js") as { p256: KemCurve };
const { secp256k1 } = fromSdk("@noble/curves/secp256k1.js") as { secp256k1: KemCurve };

/** RFC 9180, appendix A.5.1: DHKEM(P-256, HKDF-SHA256), HKDF-SHA256, ChaCha20Poly1305, base mode, sequence number 0. */
const RFC_A_5_1 = {
  info: "4f6465206f6e2061204772656369616e2055726e",
  ikmE: "f1f1a3bc95416871539ecb51c3a8f0cf608afb40fbbe305c0a72819d35c33f1f",
  pkEm:
    "04c07836a0206e04e31d8ae99bfd549380b072a1b1b82e563c935c095827824fc1" +
    "559eac6fb9e3c70cd3193968994e7fe9781aa103f5b50e934b5b2f387e381291",
  skEm: "7550253e1147aae48839c1f8af80d2770fb7a4c763afe7d0afa7e0f42a5b3689",
  ikmR: "61092f3f56994dd424405899154a9918353e3e008171517ad576b900ddb275e7",
  pkRm:
    "04a697bffde9405c992883c5c439d6cc358170b51af72812333b015621dc0f40ba" +
    "d9bb726f68a5c013806a790ec716ab8669f84f6b694596c2987cf35baba2a006",
  skRm: "a4d1c55836aa30f9b3fbb6ac98d338c877c2867dd3a77396d13f68d3ab150d3b",
  shared: "806520f82ef0b03c823b7fc524b6b55a088f566b9751b89551c170f4113bd850",
  plaintext: "4265617574792069732074727574682c20747275746820626561757479",
  aad: "436f756e742d30",
  ciphertext: "6469c41c5c81d3aa85432531ecf6460ec945bde1eb428cb2fedf7a29f5a685b4ccb0d057f03ea2952a27bb458b",
};

/** draft-wahby-cfrg-hpke-kem-secp256k1-01, appendix B.3.1: this package's own suite, base mode. */
const SECP256K1_B_3_1 = {
  info: "609dcb9844f8412343191f93add1177186c03a36",
  ikmE: "77caf1617fb3723972a56cd2085081c9f66baae825ce5f363c0a86ec87013fa0",
  skEm: "1300156862599d00ecbb066644bf4d4505b56a9b235eae7a8632defc4335d5c0",
  pkEm:
    "0471788be0ccf916302c4f2225bba89a0ff3832df1fe50b48d8ccb910be74e3024" +
    "1428ba6de731ccf538ded2913febdfe14b2648fafb8fdd35b8aa91804c706076",
  ikmR: "71b530bed75fc3fa2f8e8bb163203e6ee676565cc61cd59d66352676341c0688",
  skRm: "4a99cf59fb6af25c324299a39fef2db3931667ee89528e3aacc8b61d591ad643",
  pkRm:
    "04e660b55a28899c472ca023dce35f23da3cf16677dbdce9ed25353bd8b70cbb8b" +
    "ee0abd2cc8936aee263a08d5b2a15d29a16d12b75fda63b9c614c477af165e2d",
  shared: "a81a3ccf56f48c699eb9f393e0701692836f9ac2e06b493ccbf99ac68a792bbe",
  key: "4c260fe82e8c3737e7a70c3223cb16fc205682255389ad4bc3e7fae42c46b062",
  baseNonce: "e035bbf3c39ff5a7196cfe84",
};

const code = (act: () => unknown): string => {
  try {
    act();
  } catch (error) {
    expect(error).to.be.instanceOf(SuretyError);
    return (error as SuretyError).code;
  }
  return "nothing thrown";
};

describe("hpke", () => {
  const recipient = deriveKeyPair(new Uint8Array(32).fill(7));
  const info = text("batch 1");
  const aad = text("in the clear");
  const plaintext = text("the digest");
  const sealing = seal({ recipientPublicKey: recipient.publicKey, info, aad, plaintext });
  const openable = { sealed: sealing.sealed, recipientSecretKey: recipient.secretKey, info, aad };

  it("refuses another key, info or aad", () => {
    const other = deriveKeyPair(new Uint8Array(32).fill(8)).secretKey;
    expect(code(() => open({ ...openable, recipientSecretKey: other }))).to.equal("HPKE_OPEN_FAILED");
    expect(code(() => open({ ...openable, info: text("batch 2") }))).to.equal("HPKE_OPEN_FAILED");
    expect(code(() => open({ ...openable, aad: undefined }))).to.equal("HPKE_OPEN_FAILED");
  });

  it("refuses a sealing changed in any one byte", () => {
    for (let index = 0; index < sealing.sealed.length; index++) {
      const sealed = sealing.sealed.slice();
      sealed[index] = sealed[index]! ^ 0x01;
      expect(
        code(() => open({ ...openable, sealed })),
        `byte ${index}`,
      ).to.equal("HPKE_OPEN_FAILED");
    }
  });

  it("refuses a sealing cut short or lengthened", () => {
    for (const length of [0, 64, SEALING_OVERHEAD - 1, sealing.sealed.length - 1]) {
      expect(code(() => open({ ...openable, sealed: sealing.sealed.slice(0, length) }))).to.equal("HPKE_OPEN_FAILED");
    }
    const longer = new Uint8Array([...sealing.sealed, 0]);
    expect(code(() => open({ ...openable, sealed: longer }))).to.equal("HPKE_OPEN_FAILED");
  });

  it("refuses keys that are none, and short seeds", () => {
    const offCurve = recipient.publicKey.slice();
    offCurve[64] = offCurve[64]! ^ 1;
    for (const recipientPublicKey of [offCurve, new Uint8Array(65), new Uint8Array(33), new Uint8Array(0)]) {
      expect(code(() => seal({ recipientPublicKey, info, plaintext }))).to.equal("HPKE_KEY_INVALID");
    }
    for (const recipientSecretKey of [new Uint8Array(32), new Uint8Array(32).fill(0xff), new Uint8Array(31).fill(1)]) {
      expect(code(() => open({ ...openable, recipientSecretKey }))).to.equal("HPKE_KEY_INVALID");
    }
    expect(code(() => deriveKeyPair(new Uint8Array(31)))).to.equal("HPKE_SEED_INVALID");
  });

  it("agrees with RFC 9180's vector for the same KDF and AEAD", () => {
    const suite = hpkeSuite(p256, 0x0010);
    const vector = RFC_A_5_1;
    expect(hex(suite.deriveKeyPair(bytes(vector.ikmE)).secretKey)).to.equal(vector.skEm);
    expect(hex(suite.deriveKeyPair(bytes(vector.ikmR)).publicKey)).to.equal(vector.pkRm);
    const { shared, enc } = suite.encapsulate(bytes(vector.pkRm), bytes(vector.ikmE));
    expect(hex(enc)).to.equal(vector.pkEm);
    expect(hex(shared)).to.equal(vector.shared);
    expect(hex(suite.decapsulate(bytes(vector.pkEm), bytes(vector.skRm)))).to.equal(vector.shared);
    const { sealed } = suite.seal({
      recipientPublicKey: bytes(vector.pkRm),
      info: bytes(vector.info),
      aad: bytes(vector.aad),
      plaintext: bytes(vector.plaintext),
      ephemeralSeed: bytes(vector.ikmE),
    });
    expect(hex(sealed)).to.equal(vector.pkEm + vector.ciphertext);
  });

  it("agrees with the KEM's own published vector", () => {
    const suite = hpkeSuite(secp256k1, 0x0016);
    const vector = SECP256K1_B_3_1;
    expect(hex(deriveKeyPair(bytes(vector.ikmE)).secretKey)).to.equal(vector.skEm);
    expect(hex(deriveKeyPair(bytes(vector.ikmR)).secretKey)).to.equal(vector.skRm);
    expect(hex(deriveKeyPair(bytes(vector.ikmR)).publicKey)).to.equal(vector.pkRm);
    const { shared, enc } = suite.encapsulate(bytes(vector.pkRm), bytes(vector.ikmE));
    expect(hex(enc)).to.equal(vector.pkEm);
    expect(hex(shared)).to.equal(vector.shared);
    expect(hex(suite.decapsulate(enc, bytes(vector.skRm)))).to.equal(vector.shared);
    const schedule = suite.keySchedule(shared, bytes(vector.info));
    expect(hex(schedule.key)).to.equal(vector.key);
    expect(hex(schedule.baseNonce)).to.equal(vector.baseNonce);
  });

  it("seals alike for a compressed and an uncompressed public key", () => {
    const ephemeralSeed = new Uint8Array(32).fill(3);
    const compressed = secp256k1.getPublicKey(recipient.secretKey, true);
    const one = seal({ recipientPublicKey: compressed, info, plaintext, ephemeralSeed });
    const other = seal({ recipientPublicKey: recipient.publicKey, info, plaintext, ephemeralSeed });
    expect(hex(one.sealed)).to.equal(hex(other.sealed));
  });

  it("takes a fresh seed where none is given", () => {
    const again = seal({ recipientPublicKey: recipient.publicKey, info, aad, plaintext });
    expect(hex(again.sealed)).not.to.equal(hex(sealing.sealed));
  });

  it("opens whatever was sealed", () => {
    const array = fc.uint8Array({ maxLength: 300 });
    fc.assert(
      fc.property(
        array,
        array,
        array,
        fc.uint8Array({ minLength: 32, maxLength: 32 }),
        (someInfo, someAad, some, ephemeralSeed) => {
          const request = {
            recipientPublicKey: recipient.publicKey,
            info: someInfo,
            aad: someAad,
            plaintext: some,
            ephemeralSeed,
          };
          const { sealed } = seal(request);
          expect(sealed.length).to.equal(some.length + SEALING_OVERHEAD);
          const opened = open({ sealed, recipientSecretKey: recipient.secretKey, info: someInfo, aad: someAad });
          expect(hex(opened)).to.equal(hex(some));
          expect(verifySealing({ ...request, sealed })).to.equal(true);
        },
      ),
      { numRuns: 25 },
    );
  });

  it("proves a sealing by its seed, and nothing else by it", () => {
    const claim = { ...sealing, recipientPublicKey: recipient.publicKey, info, aad, plaintext };
    expect(verifySealing(claim)).to.equal(true);
    expect(verifySealing({ ...claim, plaintext: text("The digest") })).to.equal(false);
    expect(verifySealing({ ...claim, plaintext: text("the digest ") })).to.equal(false);
    expect(verifySealing({ ...claim, info: text("batch 2") })).to.equal(false);
    expect(verifySealing({ ...claim, aad: text("") })).to.equal(false);
    expect(verifySealing({ ...claim, ephemeralSeed: new Uint8Array(32) })).to.equal(false);
    expect(verifySealing({ ...claim, recipientPublicKey: deriveKeyPair(new Uint8Array(32)).publicKey })).to.equal(
      false,
    );
  });
});
