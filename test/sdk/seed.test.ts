import { expect } from "chai";
import { hexlify } from "ethers";
import { hkdfSync } from "node:crypto";

import type { SeatContext, SequenceContext } from "#sdk/context.ts";
import { open, seal } from "#sdk/hpke.ts";
import { ballotSalt, batchSeed, encryptionKeyPair, envelopeSeed, plantedChoice, taskSalt } from "#sdk/seed.ts";
import { code } from "../support/error-code.ts";

const filled = (byte: number): string => hexlify(new Uint8Array(32).fill(byte));
const SECRET = filled(0x42);
const MARKET = "0x00000000000000000000000000000000000000aa";
const SEQUENCE: SequenceContext = { chainId: 31337n, market: MARKET, jobId: filled(3), sequence: 5n };
const SEAT: SeatContext = { chainId: 31337n, market: MARKET, batchId: filled(1), assignment: 2, round: 1, seat: 3 };

const BALLOT = { chainId: 31337n, market: MARKET, batchId: filled(1), assignment: 2, task: 3, tier: 1 };

describe("seed", () => {
  it("refuses a secret that is none, without showing it", () => {
    for (const secret of ["0x5ec2e7", filled(0), new Uint8Array(31).fill(1)]) {
      expect(code(() => batchSeed(secret, SEQUENCE))).to.equal("SECRET_INVALID");
      expect(code(() => encryptionKeyPair(secret))).to.equal("SECRET_INVALID");
    }
    try {
      batchSeed("0x5ec2e7", SEQUENCE);
    } catch (error) {
      expect(JSON.stringify(error)).not.to.contain("5ec2e7");
    }
  });

  it("refuses a sequence beyond 64 bits", () => {
    expect(code(() => batchSeed(SECRET, { ...SEQUENCE, sequence: 2n ** 64n }))).to.equal("CONTEXT_INVALID");
  });

  it("derives a batch's seed by HKDF-SHA256 as documented", () => {
    const word = (value: bigint): Buffer => Buffer.from(value.toString(16).padStart(64, "0"), "hex");
    const info = Buffer.concat([
      Buffer.from("surety/batch-seed/v1"),
      word(SEQUENCE.chainId),
      word(BigInt(MARKET)),
      word(BigInt(SEQUENCE.jobId)),
      word(SEQUENCE.sequence),
    ]);
    const expected = hkdfSync("sha256", Buffer.from(SECRET.slice(2), "hex"), Buffer.alloc(0), info, 32);
    expect(batchSeed(SECRET, SEQUENCE)).to.equal(hexlify(new Uint8Array(expected)));
  });

  it("derives a ballot's salt by HKDF-SHA256 as documented", () => {
    const word = (value: bigint): Buffer => Buffer.from(value.toString(16).padStart(64, "0"), "hex");
    const words = [BALLOT.chainId, BigInt(MARKET), BigInt(BALLOT.batchId), 2n, 3n, 1n];
    const info = Buffer.concat([Buffer.from("surety/ballot-salt/v1"), ...words.map(word)]);
    const expected = hkdfSync("sha256", Buffer.from(SECRET.slice(2), "hex"), Buffer.alloc(0), info, 32);
    expect(ballotSalt(SECRET, BALLOT)).to.equal(hexlify(new Uint8Array(expected)));
  });

  it("gives every purpose and every context another secret, and the same again", () => {
    const all = (): string[] => [
      batchSeed(SECRET, SEQUENCE),
      batchSeed(filled(0x43), SEQUENCE),
      batchSeed(SECRET, { ...SEQUENCE, sequence: 6n }),
      batchSeed(SECRET, { ...SEQUENCE, chainId: 1n }),
      batchSeed(SECRET, { ...SEQUENCE, jobId: filled(4) }),
      batchSeed(SECRET, { ...SEQUENCE, market: "0x00000000000000000000000000000000000000ab" }),
      hexlify(encryptionKeyPair(SECRET).secretKey),
      taskSalt(SECRET, SEAT, 0),
      taskSalt(SECRET, SEAT, 1),
      taskSalt(SECRET, { ...SEAT, seat: 4 }, 0),
      taskSalt(SECRET, { ...SEAT, round: 2 }, 0),
      taskSalt(SECRET, { ...SEAT, assignment: 3 }, 0),
      taskSalt(SECRET, { ...SEAT, batchId: filled(2) }, 0),
      ballotSalt(SECRET, BALLOT),
      ballotSalt(SECRET, { ...BALLOT, tier: 2 }),
      ballotSalt(SECRET, { ...BALLOT, task: 4 }),
      ballotSalt(SECRET, { ...BALLOT, assignment: 3 }),
      ballotSalt(SECRET, { ...BALLOT, batchId: filled(2) }),
      hexlify(envelopeSeed(SECRET, SEAT, new Uint8Array(33), new Uint8Array(84))),
      hexlify(envelopeSeed(SECRET, SEAT, new Uint8Array(33), new Uint8Array(84).fill(1))),
      hexlify(envelopeSeed(SECRET, SEAT, new Uint8Array(33).fill(1), new Uint8Array(84))),
    ];
    expect(new Set(all()).size).to.equal(all().length);
    expect(all()).to.deep.equal(all());
  });

  it("makes an encryption key pair that opens what is sealed for it", () => {
    const { publicKey, secretKey } = encryptionKeyPair(SECRET);
    expect(publicKey.length).to.equal(33);
    const info = new Uint8Array(0);
    const { sealed } = seal({ recipientPublicKey: publicKey, info, plaintext: new Uint8Array([1, 2, 3]) });
    expect([...open({ sealed, recipientSecretKey: secretKey, info })]).to.deep.equal([1, 2, 3]);
  });

  describe("plantedChoice", () => {
    it("refuses counts and shares out of range", () => {
      for (const [count, share] of [
        [0, 1],
        [100_001, 1],
        [1.5, 1],
        [10, -1],
        [10, 1_000_001],
        [10, 0.5],
        [NaN, 1],
      ] as const) {
        expect(
          code(() => plantedChoice(SECRET, SEQUENCE, count, share)),
          `${count} ${share}`,
        ).to.equal("PLANTED_CHOICE_INVALID");
      }
    });

    it("chooses different tasks in range, in order, as many as the share says", () => {
      for (const [count, share, least] of [
        [1000, 10_000, 10],
        [60, 50_000, 3],
        [7, 0, 0],
        [7, 1_000_000, 7],
        [10, 250_000, 2],
      ] as const) {
        const chosen = plantedChoice(SECRET, SEQUENCE, count, share);
        const exact = (count * share) % 1_000_000 === 0;
        expect(chosen.length).to.be.within(least, exact ? least : least + 1);
        expect(new Set(chosen).size).to.equal(chosen.length);
        expect(chosen).to.deep.equal(chosen.toSorted((a, b) => a - b));
        expect(chosen.every((task) => task >= 0 && task < count)).to.equal(true);
        expect(plantedChoice(SECRET, SEQUENCE, count, share)).to.deep.equal(chosen);
      }
    });

    it("plants every position equally often, and single tasks at the share", () => {
      const times = new Array<number>(10).fill(0);
      let single = 0;
      for (let sequence = 0n; sequence < 2000n; sequence++) {
        for (const task of plantedChoice(SECRET, { ...SEQUENCE, sequence }, 10, 250_000)) times[task]!++;
        single += plantedChoice(SECRET, { ...SEQUENCE, sequence }, 1, 250_000).length;
      }
      // Fixed inputs, so this cannot fail by chance: 500 expected, standard deviation 19; six of them allowed.
      for (const count of [...times, single]) expect(count).to.be.within(384, 616);
    });
  });
});
