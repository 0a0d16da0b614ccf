import { parseUnits } from "ethers";

/** Units that an amount of the chain's own money may be written in, and their decimals. */
const UNITS: Record<string, number> = { wei: 0, gwei: 9, ether: 18, eth: 18 };
const FORM = /^(\d{1,30}(?:\.\d{1,18})?) ?(wei|gwei|ether|eth)$/;

/**
 * Reads an amount of the chain's own money: a number and its unit, `wei`, `gwei` or `ether`.
 *
 * @returns wei; undefined if it is none
 *
 * @example
 * ```ts
 * parseWei("1.5 gwei"); // 1500000000n
 * ```
 */
export function parseWei(text: string): bigint | undefined {
  const [, digits, unit] = FORM.exec(text) ?? [];
  if (digits === undefined || unit === undefined) return undefined;
  try {
    return parseUnits(digits, UNITS[unit]);
  } catch {
    // More decimals than the unit has.
    return undefined;
  }
}
