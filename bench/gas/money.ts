import type { Spent } from "./spent.ts";

/*
 * What gas is in money. Prices are assumptions to compare with, not measurements; everything here is linear in them.
 */

/** Dollars. */
export const ETHER_PRICE = 3_000;
/** Wei for a unit of gas on the L1 and on the rollup; 5 gwei and 0.01 gwei. */
export const L1_GAS_PRICE = 5e9;
export const ROLLUP_GAS_PRICE = 1e7;
/**
 * Wei for a unit of blob gas: a sixteenth of the L1's base fee, the least that EIP-7918 lets it fall to
 * (`BLOB_BASE_COST / GAS_PER_BLOB`).
 */
export const BLOB_GAS_PRICE = L1_GAS_PRICE / 16;
/** EIP-4844: gas of a blob, and of its 131,072 bytes those that OP Stack's encoding uses. */
const BLOB_GAS = 131_072;
const BLOB_BYTES = 130_044;
/** EIP-7623: gas of a byte other than zero in a transaction that brings little but data. */
const CALLDATA_GAS = 40;

/** Where a market is deployed, and how that chain posts its data. */
export type Chain = "L1" | "rollup with blobs" | "rollup without blobs";

export const CHAINS: readonly Chain[] = ["L1", "rollup with blobs", "rollup without blobs"];

/**
 * Dollars that transactions cost.
 *
 * - L1: gas times its price.
 * - Rollup: gas times the rollup's price, and the bytes posted to the L1 (see {@link Spent.posted}) times what a byte
 *   costs there, in a blob or as calldata. What an operator adds or forgoes is left out, and so are its own transactions.
 */
export function dollarsOf({ gas, posted }: Pick<Spent, "gas" | "posted">, chain: Chain): number {
  const wei = ((): number => {
    switch (chain) {
      case "L1":
        return gas * L1_GAS_PRICE;
      case "rollup with blobs":
        return gas * ROLLUP_GAS_PRICE + ((posted * BLOB_GAS) / BLOB_BYTES) * BLOB_GAS_PRICE;
      case "rollup without blobs":
        return gas * ROLLUP_GAS_PRICE + posted * CALLDATA_GAS * L1_GAS_PRICE;
    }
  })();
  return (wei / 1e18) * ETHER_PRICE;
}
