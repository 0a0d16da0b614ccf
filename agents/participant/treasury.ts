import { formatAmount } from "#sdk/amount.ts";
import { SuretyError } from "#sdk/errors.ts";
import type { Logger } from "../logger.ts";
import { Purse } from "../requester/purse.ts";
import type { RequestAgent } from "./request-agent.ts";

/**
 * The account's money for requests, deposits and fees: one payment is prepared at a time, so that none counts on what
 * another is about to lock.
 */
export class Treasury {
  readonly #purse: Purse;
  readonly #logger: Logger;
  readonly #token: { symbol: string; decimals: number };
  #last: Promise<unknown> = Promise.resolve();
  /** What there was too little for, as far as that was told. */
  readonly #told = new Set<string>();

  constructor(agent: RequestAgent, { logger }: { logger: Logger }) {
    this.#purse = new Purse(agent, agent.context.requests);
    this.#logger = logger;
    this.#token = agent.deployment.token;
  }

  /**
   * Sees to it that so much is free in the ledger of requests, and then does what locks it.
   *
   * @param purpose Names it in the journal and the log.
   * @returns what the work gives; undefined if there is too little, which is told once
   */
  async spend<T>(purpose: string, amount: bigint, work: () => Promise<T>): Promise<T | undefined> {
    const turn = this.#last.catch(() => undefined).then(() => this.#spend(purpose, amount, work));
    this.#last = turn;
    return turn;
  }

  /** Brings so much from the wallet to the ledger, if it is missing there and is to be had. */
  async keep(amount: bigint): Promise<void> {
    if (amount === 0n) return;
    const { inLedger, inWallet } = await this.#purse.funds();
    if (inLedger < amount && inLedger + inWallet >= amount) await this.spend("funds", amount, () => Promise.resolve());
  }

  async #spend<T>(purpose: string, amount: bigint, work: () => Promise<T>): Promise<T | undefined> {
    try {
      await this.#purse.provide(purpose, amount);
    } catch (error) {
      if (!(error instanceof SuretyError) || error.code !== "BALANCE_TOO_LOW") throw error;
      const needed = `${formatAmount(amount, this.#token.decimals)} ${this.#token.symbol}`;
      if (!this.#told.has(purpose)) this.#logger.warn({ purpose, needed, error }, "too little money");
      this.#told.add(purpose);
      return undefined;
    }
    this.#told.delete(purpose);
    return work();
  }
}
