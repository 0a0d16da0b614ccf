import { SuretyError, ExitStatus } from "./errors.ts";

/** Shares and rates are counted in parts per million: 3 % is 30,000. */
export const PARTS_PER_MILLION = 1_000_000;

/** Most decimals a token may have here; ERC-20 itself sets no bound. */
export const MAX_DECIMALS = 36;

/** Largest amount the contracts can hold, in base units: 2^96 - 1. */
export const MAX_AMOUNT = 2n ** 96n - 1n;

/** Longest text any of these parsers looks at, in characters. */
const MAX_TEXT = 100;

const SECONDS_PER = { s: 1, m: 60, h: 3600, d: 86_400 } as const;

const BYTES_PER: Readonly<Record<string, number>> = {
  "": 1,
  B: 1,
  kB: 1e3,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  TiB: 2 ** 40,
};

const COUNT_PER: Readonly<Record<string, number>> = { "": 1, k: 1e3, K: 1e3, M: 1e6, G: 1e9, T: 1e12 };

/**
 * Parses a decimal amount of tokens.
 *
 * @param text Digits with at most one point: `"0.5"`, `"12"`. A number is taken as JavaScript prints it.
 * @param decimals Decimals of the token, 0 to {@link MAX_DECIMALS}.
 * @returns Base units, 0 to {@link MAX_AMOUNT}. Never rounded.
 * @throws `AMOUNT_INVALID` for signs, exponents, separators, more decimals than the token has, or too much.
 *
 * @example
 * ```ts
 * parseAmount("0.5", 18); // 500000000000000000n
 * ```
 */
export function parseAmount(text: string | number, decimals: number): bigint {
  requireDecimals(decimals);
  const match = /^(\d+)(?:\.(\d+))?$/.exec(input(text));
  if (!match) throw invalid("AMOUNT_INVALID", text, "an amount of tokens in decimals", "0.5");
  const fraction = match[2] ?? "";
  if (fraction.length > decimals) {
    throw invalid("AMOUNT_INVALID", text, `an amount with at most ${decimals} decimals`, "0.5");
  }
  const units = BigInt(match[1] + fraction.padEnd(decimals, "0"));
  if (units > MAX_AMOUNT) {
    throw invalid("AMOUNT_INVALID", text, `an amount of at most ${formatAmount(MAX_AMOUNT, decimals)}`, "0.5");
  }
  return units;
}

/**
 * Prints an amount of tokens; {@link parseAmount} is the inverse.
 *
 * @param units Base units, not negative.
 * @param decimals Decimals of the token, 0 to {@link MAX_DECIMALS}.
 * @throws `AMOUNT_INVALID` if either is out of range.
 */
export function formatAmount(units: bigint, decimals: number): string {
  requireDecimals(decimals);
  if (units < 0n) throw invalid("AMOUNT_INVALID", units, "an amount not below zero", "0");
  const digits = units.toString().padStart(decimals + 1, "0");
  const fraction = digits.slice(digits.length - decimals).replace(/0+$/, "");
  const whole = digits.slice(0, digits.length - decimals);
  return decimals > 0 && fraction !== "" ? `${whole}.${fraction}` : whole;
}

/**
 * Parses a share of a whole.
 *
 * @param text With a per cent sign, `"3%"`, or as a fraction of one, `"0.03"`.
 * @returns Parts per million, 0 to {@link PARTS_PER_MILLION}. Never rounded.
 * @throws `SHARE_INVALID` if it is more than the whole, or finer than one part per million.
 */
export function parseShare(text: string | number): number {
  const match = /^(\d+)(?:\.(\d+))?\s?(%?)$/.exec(input(text));
  if (!match) throw invalid("SHARE_INVALID", text, "a share in per cent or as a fraction of one", "3%");
  const places = match[3] === "%" ? 4 : 6;
  const fraction = (match[2] ?? "").replace(/0+$/, "");
  if (fraction.length > places) throw invalid("SHARE_INVALID", text, "a share in whole parts per million", "0.0001%");
  const ppm = Number(match[1] + fraction.padEnd(places, "0"));
  if (ppm > PARTS_PER_MILLION) {
    throw invalid("SHARE_INVALID", text, "a share between 0% and 100% (a number without % is a fraction of 1)", "3%");
  }
  return ppm;
}

/**
 * Prints a share in per cent; {@link parseShare} is the inverse.
 *
 * @param ppm Parts per million, a whole number from 0 to {@link PARTS_PER_MILLION}.
 * @throws `SHARE_INVALID` if it is not.
 */
export function formatShare(ppm: number): string {
  if (!Number.isInteger(ppm) || ppm < 0 || ppm > PARTS_PER_MILLION) {
    throw invalid("SHARE_INVALID", ppm, "a whole number of parts per million", "30000");
  }
  return `${formatAmount(BigInt(ppm), 4)}%`;
}

/**
 * Parses a duration.
 *
 * @param text `"90"` (seconds), `"30s"`, `"5m"`, `"1h30m"`, `"2d"`: whole numbers, the larger units first.
 * @returns Seconds, up to 2^48 - 1, as the contracts count them.
 * @throws `DURATION_INVALID`
 */
export function parseDuration(text: string | number): number {
  const match = /^(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?$/.exec(input(text));
  const parts = /^\d+$/.test(input(text)) ? [undefined, undefined, undefined, input(text)] : match?.slice(1);
  if (!parts || input(text) === "") throw invalid("DURATION_INVALID", text, "a duration in d, h, m and s", "30s");
  const [d, h, m, s] = parts.map((part) => Number(part ?? 0)) as [number, number, number, number];
  const seconds = d * SECONDS_PER.d + h * SECONDS_PER.h + m * SECONDS_PER.m + s * SECONDS_PER.s;
  if (seconds >= 2 ** 48) throw invalid("DURATION_INVALID", text, "a duration below 2^48 seconds", "30s");
  return seconds;
}

/** Prints a duration, in whole seconds, as {@link parseDuration} reads it: `5400` is `1h30m`. */
export function formatDuration(seconds: number): string {
  if (!Number.isSafeInteger(seconds) || seconds < 0) {
    throw invalid("DURATION_INVALID", seconds, "whole seconds, not below zero", "30");
  }
  let rest = seconds;
  let text = "";
  for (const unit of ["d", "h", "m", "s"] as const) {
    const amount = Math.floor(rest / SECONDS_PER[unit]);
    rest -= amount * SECONDS_PER[unit];
    if (amount > 0) text += `${amount}${unit}`;
  }
  return text === "" ? "0s" : text;
}

/**
 * Parses a size.
 *
 * @param text `"65536"` (bytes), `"64KiB"`, `"64 MiB"`, `"1.5GB"`; the units of 1000 and of 1024 are told apart.
 * @returns Whole bytes, at most 2^53 - 1.
 * @throws `SIZE_INVALID`
 */
export function parseSize(text: string | number): number {
  return scaled("SIZE_INVALID", text, BYTES_PER, "a size in B, kB, MB, GB, KiB, MiB or GiB", "64MiB");
}

/** Prints a size in bytes as {@link parseSize} reads it, in the largest binary unit that needs no rounding. */
export function formatSize(bytes: number): string {
  if (!Number.isSafeInteger(bytes) || bytes < 0) {
    throw invalid("SIZE_INVALID", bytes, "whole bytes, not below zero", "65536");
  }
  const unit = ["TiB", "GiB", "MiB", "KiB"].find((name) => bytes > 0 && bytes % (BYTES_PER[name] as number) === 0);
  return unit === undefined ? `${bytes}B` : `${bytes / (BYTES_PER[unit] as number)}${unit}`;
}

/**
 * Parses a count.
 *
 * @param text `"1000"`, `"2G"`, `"1.5M"`: k, M, G and T are powers of 1000.
 * @returns A whole number, at most 2^53 - 1.
 * @throws `COUNT_INVALID`
 */
export function parseCount(text: string | number): number {
  return scaled("COUNT_INVALID", text, COUNT_PER, "a whole number, with k, M, G or T if large", "2G");
}

function scaled(
  code: string,
  text: string | number,
  units: Readonly<Record<string, number>>,
  expected: string,
  example: string,
): number {
  const match = /^(\d+)(?:\.(\d{1,12}))?\s?([A-Za-z]{0,3})$/.exec(input(text));
  const factor = match && Object.hasOwn(units, match[3] ?? "") ? units[match[3] ?? ""] : undefined;
  if (!match || factor === undefined) throw invalid(code, text, expected, example);
  const fraction = match[2] ?? "";
  // In whole numbers, since 1.1 * 1e9 is not a whole number to a computer.
  const scaledUp = BigInt(match[1] + fraction) * BigInt(factor);
  const divisor = 10n ** BigInt(fraction.length);
  if (scaledUp % divisor !== 0n) throw invalid(code, text, `${expected}, of which nothing is left over`, example);
  const value = scaledUp / divisor;
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw invalid(code, text, `${expected}, below 2^53`, example);
  return Number(value);
}

/** The text to parse; what is too long is cut to something no parser takes. */
function input(value: string | number): string {
  const text = String(value).trim();
  return text.length > MAX_TEXT ? "too long" : text;
}

function requireDecimals(decimals: number): void {
  if (!Number.isInteger(decimals) || decimals < 0 || decimals > MAX_DECIMALS) {
    throw invalid("AMOUNT_INVALID", decimals, `decimals from 0 to ${MAX_DECIMALS}`, "18");
  }
}

function invalid(code: string, actual: string | number | bigint, expected: string, example: string): SuretyError {
  const shown = String(actual).slice(0, MAX_TEXT);
  return new SuretyError(code, `"${shown}" is not ${expected}`, {
    details: { actual: shown, expected, example },
    fix: `Write it like ${example}.`,
    exit: ExitStatus.badInput,
  });
}
