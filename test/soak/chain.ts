import { setTimeout as delay } from "node:timers/promises";
import { computeAddress, toQuantity, Wallet } from "ethers";
import { LOCAL_CHAIN_ID, type Chain, type FundedAccount } from "../../agents/devnet/chain.ts";
import { Anvil } from "../support/anvil.ts";

/** What becomes of the transactions of blocks that a reorganisation removes. */
export type Fate =
  /** Forgotten: whoever wants them has to send them again. */
  | "lost"
  /** Waiting again, as with most nodes. */
  | "pending"
  /** Mined again, in the first of the new blocks. */
  | "mined";

const GWEI = 10n ** 9n;

interface Block {
  number: string;
  transactions: string[];
}

/** An anvil that mines on a clock, and that is shaken as chains are. */
export class RestlessChain implements Chain {
  readonly chainId = LOCAL_CHAIN_ID;
  readonly #anvil: Anvil;
  readonly #mining: Promise<void>;
  #stopped = false;
  #turn: Promise<unknown> = Promise.resolve();

  private constructor(anvil: Anvil, blockTime: number) {
    this.#anvil = anvil;
    this.#mining = this.#mine(blockTime);
  }

  static async start({
    accounts,
    blockTime,
  }: {
    accounts: readonly FundedAccount[];
    blockTime: number;
  }): Promise<RestlessChain> {
    const anvil = await Anvil.start();
    for (const { privateKey, balance } of accounts) {
      await anvil.send("anvil_setBalance", computeAddress(privateKey), toQuantity(balance));
    }
    return new RestlessChain(anvil, blockTime);
  }

  get url(): string {
    return this.#anvil.url;
  }

  send(method: string, ...params: unknown[]): Promise<unknown> {
    return this.#anvil.send(method, ...params);
  }

  /** Replaces the newest `depth` blocks by as many others. */
  async reorganise(depth: number, fate: Fate): Promise<void> {
    await this.#inTurn(async () => {
      const height = Number(await this.send("eth_blockNumber"));
      const removed: string[] = [];
      for (let number = height - depth + 1; number <= height; number += 1) {
        const block = (await this.send("eth_getBlockByNumber", toQuantity(number), false)) as Block;
        for (const hash of block.transactions) {
          removed.push((await this.send("eth_getRawTransactionByHash", hash)) as string);
        }
      }
      const again = fate === "mined" ? removed.map((raw) => [raw, 0]) : [];
      await this.send("anvil_reorg", depth, again);
      // One that another was mined in place of is refused.
      if (fate === "pending") for (const raw of removed) await this.send("eth_sendRawTransaction", raw).catch(() => 0);
    });
  }

  /** The base fee of the next block; later ones fall again by themselves. */
  async raiseFee(wei: bigint): Promise<void> {
    await this.send("anvil_setNextBlockBaseFeePerGas", toQuantity(wei));
  }

  /** Forgets what is waiting to be mined. */
  async forgetPending(): Promise<void> {
    await this.send("anvil_dropAllTransactions");
  }

  /** Answers nobody and mines nothing for so long, milliseconds; connections stay open. */
  async freeze(milliseconds: number): Promise<void> {
    await this.#inTurn(async () => {
      this.#anvil.signal("SIGSTOP");
      await delay(milliseconds);
      this.#anvil.signal("SIGCONT");
    });
  }

  /** Uses an account's next nonce for something else, in front of whatever the account has waiting. Returns its hash. */
  async useNonce(privateKey: string): Promise<string> {
    const wallet = new Wallet(privateKey);
    const raw = await wallet.signTransaction({
      type: 2,
      chainId: this.chainId,
      nonce: Number(await this.send("eth_getTransactionCount", wallet.address, "latest")),
      to: wallet.address,
      gasLimit: 21_000n,
      maxFeePerGas: 400n * GWEI,
      maxPriorityFeePerGas: 100n * GWEI,
    });
    return (await this.send("eth_sendRawTransaction", raw)) as string;
  }

  /** How many of these transactions are in the chain as it is now. */
  async countMined(hashes: readonly string[]): Promise<number> {
    const receipts = await Promise.all(hashes.map((hash) => this.send("eth_getTransactionReceipt", hash)));
    return receipts.filter((receipt) => receipt !== null).length;
  }

  async close(): Promise<void> {
    this.#stopped = true;
    await this.#mining;
    await this.#anvil.stop("SIGKILL");
  }

  async #mine(blockTime: number): Promise<void> {
    while (!this.#stopped) {
      await delay(blockTime);
      await this.#inTurn(() => this.#anvil.mine());
    }
  }

  /** No block is mined in the middle of something. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(work, work);
    this.#turn = turn.catch(() => undefined);
    return turn;
  }
}
