import { Transaction } from "ethers";

import { ethers } from "../../test/contracts/market-fixture.ts";
import { fastLzLength } from "./fast-lz.ts";

/** What transactions cost, added up. */
export interface Spent {
  /** After refunds, as receipts have it. */
  gas: number;
  transactions: number;
  /** Calldata, bytes, and how many of them are zero. */
  calldata: number;
  zeros: number;
  /** Signed transactions, bytes. */
  signed: number;
  /** Of that, what OP Stack's rollups charge for since Fjord: an estimate of its share in a compressed batch, bytes. */
  posted: number;
}

/** Fjord: a line through what transactions came to in Base's and OP Mainnet's batches, and the least it gives. */
const FJORD = { intercept: -42.5856, slope: 0.8365, least: 100 };

/** Adds up all transactions mined while `work` ran. */
export async function spentBy(work: () => Promise<unknown>): Promise<Spent> {
  const first = (await ethers.provider.getBlockNumber()) + 1;
  await work();
  const last = await ethers.provider.getBlockNumber();
  const spent: Spent = { gas: 0, transactions: 0, calldata: 0, zeros: 0, signed: 0, posted: 0 };
  for (let number = first; number <= last; number += 1) {
    const block = (await ethers.provider.getBlock(number, true))!;
    spent.gas += Number(block.gasUsed);
    if (block.transactions.length === 0) continue;
    for (const transaction of block.prefetchedTransactions) {
      const signed = Buffer.from(Transaction.from(transaction).serialized.slice(2), "hex");
      const data = Buffer.from(transaction.data.slice(2), "hex");
      spent.transactions += 1;
      spent.calldata += data.length;
      spent.zeros += data.reduce((zeros, byte) => zeros + (byte === 0 ? 1 : 0), 0);
      spent.signed += signed.length;
      spent.posted += Math.max(FJORD.least, FJORD.intercept + FJORD.slope * fastLzLength(signed));
    }
  }
  spent.posted = Math.round(spent.posted);
  return spent;
}
