import { expect } from "chai";
import fc from "fast-check";

import {
  formatAmount,
  formatDuration,
  formatShare,
  formatSize,
  MAX_AMOUNT,
  parseAmount,
  parseCount,
  parseDuration,
  parseShare,
  parseSize,
  PARTS_PER_MILLION,
} from "#sdk/amount.ts";
import { code } from "../support/error-code.ts";

/** Texts and numbers that no parser takes. */
const NONSENSE = [
  "", " ", "-1", "+1", "1e3", "1e400", "NaN", "Infinity", "0x10", "1,5", "1_000", ".5", "5.", "1.2.3", "one", "\u0663",
  "1\n2", "null", "[object Object]", "9".repeat(10_000), NaN, Infinity, -1, 1e-7, 1e21,
]; // prettier-ignore

describe("amount", () => {
  it("refuses what is no number, in every parser", () => {
    for (const value of NONSENSE) {
      const shown = String(value).slice(0, 20);
      expect(
        code(() => parseAmount(value, 18)),
        shown,
      ).to.equal("AMOUNT_INVALID");
      expect(
        code(() => parseShare(value)),
        shown,
      ).to.equal("SHARE_INVALID");
      expect(
        code(() => parseDuration(value)),
        shown,
      ).to.equal("DURATION_INVALID");
      expect(
        code(() => parseSize(value)),
        shown,
      ).to.equal("SIZE_INVALID");
      expect(
        code(() => parseCount(value)),
        shown,
      ).to.equal("COUNT_INVALID");
    }
  });

  it("refuses what it would have to round, or could not hold", () => {
    expect(code(() => parseAmount("0.1234567", 6))).to.equal("AMOUNT_INVALID");
    expect(code(() => parseAmount("0.1", 0))).to.equal("AMOUNT_INVALID");
    expect(code(() => parseAmount((MAX_AMOUNT + 1n).toString(), 0))).to.equal("AMOUNT_INVALID");
    expect(parseAmount(MAX_AMOUNT.toString(), 0)).to.equal(MAX_AMOUNT);
    expect(code(() => parseAmount("1", 37))).to.equal("AMOUNT_INVALID");
    expect(code(() => formatAmount(-1n, 18))).to.equal("AMOUNT_INVALID");
    expect(code(() => parseShare("0.00001%"))).to.equal("SHARE_INVALID");
    expect(code(() => parseShare("100.0001%"))).to.equal("SHARE_INVALID");
    expect(code(() => parseShare("1.000001"))).to.equal("SHARE_INVALID");
    expect(code(() => parseShare(3))).to.equal("SHARE_INVALID");
    expect(code(() => formatShare(0.5))).to.equal("SHARE_INVALID");
    expect(code(() => parseSize("0.3B"))).to.equal("SIZE_INVALID");
    expect(code(() => parseSize("8192TiB"))).to.equal("SIZE_INVALID");
    expect(code(() => parseSize("1constructor"))).to.equal("SIZE_INVALID");
    expect(code(() => parseCount("1.5"))).to.equal("COUNT_INVALID");
    expect(code(() => parseCount("9007199254740992"))).to.equal("COUNT_INVALID");
    expect(code(() => parseDuration("30m1h"))).to.equal("DURATION_INVALID");
    expect(code(() => parseDuration("1.5h"))).to.equal("DURATION_INVALID");
    expect(code(() => parseDuration(String(2 ** 48)))).to.equal("DURATION_INVALID");
  });

  it("reads what people write", () => {
    expect(parseAmount("0.5", 18)).to.equal(500_000_000_000_000_000n);
    expect(parseAmount(0.5, 6)).to.equal(500_000n);
    expect(parseAmount("007", 0)).to.equal(7n);
    expect(parseShare("3%")).to.equal(30_000);
    expect(parseShare("3 %")).to.equal(30_000);
    expect(parseShare(0.03)).to.equal(30_000);
    expect(parseShare("0.030000000")).to.equal(30_000);
    expect(parseShare("100%")).to.equal(PARTS_PER_MILLION);
    expect(parseShare(1)).to.equal(PARTS_PER_MILLION);
    expect(parseShare("0")).to.equal(0);
    expect(parseDuration("30s")).to.equal(30);
    expect(parseDuration(90)).to.equal(90);
    expect(parseDuration("1h30m")).to.equal(5400);
    expect(parseDuration("2d")).to.equal(172_800);
    expect(parseSize("64MiB")).to.equal(67_108_864);
    expect(parseSize("64 kB")).to.equal(64_000);
    expect(parseSize("1.5GiB")).to.equal(1_610_612_736);
    expect(parseSize(65_536)).to.equal(65_536);
    expect(parseCount("2G")).to.equal(2_000_000_000);
    expect(parseCount("1.1G")).to.equal(1_100_000_000);
  });

  it("reads what it printed", () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: MAX_AMOUNT }), fc.nat(36), (units, decimals) => {
        expect(parseAmount(formatAmount(units, decimals), decimals)).to.equal(units);
      }),
    );
    fc.assert(
      fc.property(fc.nat(PARTS_PER_MILLION), fc.nat(), fc.maxSafeNat(), (ppm, seconds, bytes) => {
        expect(parseShare(formatShare(ppm))).to.equal(ppm);
        expect(parseDuration(formatDuration(seconds))).to.equal(seconds);
        expect(parseSize(formatSize(bytes))).to.equal(bytes);
      }),
    );
    expect(formatAmount(0n, 18)).to.equal("0");
    expect(formatAmount(1_500_000n, 6)).to.equal("1.5");
    expect(formatShare(30_000)).to.equal("3%");
    expect(formatDuration(5400)).to.equal("1h30m");
    expect(formatSize(67_108_864)).to.equal("64MiB");
  });

  it("throws its own error for whatever text it is given", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: "binary" }), fc.double().map(String)), (text) => {
        for (const parse of [parseShare, parseDuration, parseSize, parseCount]) {
          const outcome = code(() => parse(text));
          expect(outcome === "nothing thrown" || outcome.endsWith("_INVALID")).to.equal(true);
        }
      }),
      { numRuns: 300 },
    );
  });
});
