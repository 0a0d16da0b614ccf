import { expect } from "chai";
import { AbiCoder, hexlify, keccak256 } from "ethers";
import fc from "fast-check";
import { contestBond, juryBond, jurySeats, leastUnbondingPeriod, minimumSlash, reserve } from "#sdk/pricing.ts";
import { payOf } from "#sdk/market-state.ts";
import { drawKey, juryKey } from "#sdk/sampling.ts";
import { MarketHistory, nodeAt, PARAMETERS, TERMS } from "../support/market-history.ts";
import { code } from "../support/error-code.ts";

const some32 = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => hexlify(bytes));

describe("what disputes cost", () => {
  const terms = { ...TERMS, quorum: 3, verifierPrice: 12n };

  it("is a juror's pay for each of 2q+1 seats, and twice that", () => {
    expect([1, 2].map((tier) => jurySeats(3, tier))).to.deep.equal([7, 14]);
    expect([1, 2].map((tier) => jurySeats(15, tier))).to.deep.equal([31, 62]);
    expect([1, 2].map((tier) => juryBond(terms, tier))).to.deep.equal([84n, 168n]);
  });

  it("is locked for a contest, with a tenth of what the accused earns", () => {
    expect(contestBond(terms, 109n, PARAMETERS)).to.equal(84n + 7n + 10n);
    const history = new MarketHistory().post().claim(nodeAt(0), 6).submit(nodeAt(0), 0).wait(20).reveal();
    const { record } = history;
    expect([0, 1, 2].map((member) => payOf(record, record.assignments[0]!, member))).to.deep.equal([60n, 72n, 72n]);
  });

  it("is in the reserve with what a false accusation costs, less what the batch's bond has of it", () => {
    const costs = 84n + 168n + 7n;
    // 500 fixed, and a tenth of the price in the bond already.
    expect(reserve(terms, 10n, 6, PARAMETERS)).to.deep.equal({ amount: 500n + costs, beyondBond: 494n + costs });
    expect(reserve(terms, 10n, 50, PARAMETERS)).to.deep.equal({ amount: 500n + costs, beyondBond: 450n + costs });
    expect(reserve(terms, 11n, 59, PARAMETERS)).to.deep.equal({ amount: 649n + costs, beyondBond: 585n + costs });
    const whole = { ...PARAMETERS, bondShare: 1_000_000, challengeBond: 0n };
    const free = { ...terms, verifierPrice: 0n };
    expect(reserve(free, 100n, 50, whole)).to.deep.equal({ amount: 5000n, beyondBond: 0n });
  });

  it("leaves stake liable until the second jury is over", () => {
    expect(leastUnbondingPeriod({ maxWindow: 100, drawDelay: 3 })).to.equal(100 * (2 + 10 + 3 + 8) + 3 * (4 + 4));
  });
});

describe("the key of a jury's draw", () => {
  it("is what abi.encode writes, and that of no panel", () => {
    fc.assert(
      fc.property(
        some32,
        some32,
        fc.nat(65_535),
        fc.nat(1),
        fc.integer({ min: 1, max: 2 }),
        (entropy, blockHash, assignment, call, tier) => {
          const words = ["surety/jury", entropy, blockHash, assignment, 2 * tier + call];
          const encoded = AbiCoder.defaultAbiCoder().encode(
            ["string", "bytes32", "bytes32", "uint256", "uint256"],
            words,
          );
          const key = juryKey({ entropy, blockHash, assignment, tier, call });
          expect(key).to.equal(keccak256(encoded));
          expect(key).to.not.equal(drawKey({ entropy, blockHash, assignment, round: 2 * tier + call }));
        },
      ),
    );
  });
});

describe("minimumSlash", () => {
  const factors = { price: 10n, verifierPrice: 10n, rate: 30_000, guess: 0, quorum: 3, challengeBond: 0n };

  it("refuses a rate of nothing and a certain guess", () => {
    expect(code(() => minimumSlash({ ...factors, rate: 0 }))).to.equal("SLASH_UNDEFINED");
    expect(code(() => minimumSlash({ ...factors, guess: 1_000_000 }))).to.equal("SLASH_UNDEFINED");
  });

  it("is the greater of what deters and what a jury costs, rounded up", () => {
    // 2 * 10 / 0.03 = 666.7; twice that where every second guess is right.
    expect(minimumSlash(factors)).to.equal(667n);
    expect(minimumSlash({ ...factors, guess: 500_000 })).to.equal(1334n);
    // (7 * 10 + 20) / 0.9 = 100, against 2 * 10 / 1 = 20.
    expect(minimumSlash({ ...factors, rate: 1_000_000, challengeBond: 20n })).to.equal(100n);
    expect(minimumSlash({ ...factors, rate: 1_000_000, challengeBond: 21n })).to.equal(102n);
  });
});
