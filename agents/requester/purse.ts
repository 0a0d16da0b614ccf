import { formatAmount } from "#sdk/amount.ts";
import * as calls from "#sdk/calls.ts";
import { ExitStatus, SuretyError } from "#sdk/errors.ts";
import { allowance, available, balanceOf } from "#sdk/reads.ts";
import type { MarketAgent } from "../market-agent.ts";

/** What a requester has to spend, base units. */
export interface Funds {
  /** Available in the market's ledger. */
  inMarket: bigint;
  inWallet: bigint;
}

/** A requester's money: what is in the market's ledger, and what can be brought there. */
export class Purse {
  readonly #agent: MarketAgent;

  constructor(agent: MarketAgent) {
    this.#agent = agent;
  }

  /** What there is now. */
  async funds(): Promise<Funds> {
    const { rpc, deployment, address } = this.#agent;
    const { vault, market, token } = deployment;
    const [inMarket, inWallet] = await Promise.all([
      available(rpc, vault, market, address),
      balanceOf(rpc, token.address, address),
    ]);
    return { inMarket, inWallet };
  }

  /**
   * Sees to it that so much is available in the market, bringing what is missing from the wallet.
   *
   * @param purpose What it is for: names the deposits in the journal, so that each is made once.
   * @param wanted More that is brought if the wallet has it all, for what may have to be backed later.
   * @returns whether what was wanted is there too
   * @throws SuretyError `BALANCE_TOO_LOW` (exit 4), `CallReverted`
   */
  async provide(purpose: string, needed: bigint, wanted = 0n): Promise<boolean> {
    let made = 0;
    for (; this.#agent.sender.find(depositKey(purpose, made)); made += 1) {
      await this.#agent.see(depositKey(purpose, made));
    }
    const { inMarket, inWallet } = await this.funds();
    const all = inMarket + inWallet;
    if (all < needed) throw this.#tooLow(needed, inMarket, inWallet);
    const goal = all >= needed + wanted ? needed + wanted : needed;
    if (inMarket < goal) await this.#deposit(purpose, made, goal - inMarket);
    return goal === needed + wanted;
  }

  async #deposit(purpose: string, made: number, amount: bigint): Promise<void> {
    const { deployment, address, rpc } = this.#agent;
    const { vault, market, token } = deployment;
    if ((await allowance(rpc, token.address, address, vault)) < amount) {
      const call = calls.approve(token.address, { spender: vault, amount });
      await this.#agent.sendAndWait({ key: `approve:${purpose}:${made}:${amount}`, ...call });
    }
    const call = calls.deposit(vault, { ledger: market, holder: address, amount });
    await this.#agent.sendAndWait({ key: depositKey(purpose, made), ...call });
  }

  #tooLow(needed: bigint, inMarket: bigint, inWallet: bigint): SuretyError {
    const { address, deployment } = this.#agent;
    const { symbol, decimals } = deployment.token;
    const text = (units: bigint): string => `${formatAmount(units, decimals)} ${symbol}`;
    const has = `${address} has ${text(inMarket)} in the market and ${text(inWallet)} in its wallet`;
    return new SuretyError("BALANCE_TOO_LOW", `this locks ${text(needed)}; ${has}`, {
      details: { needed, inMarket, inWallet },
      fix: `Send it ${text(needed - inMarket - inWallet)} more, or ask for fewer tasks.`,
      exit: ExitStatus.refused,
    });
  }
}

function depositKey(purpose: string, number: number): string {
  return `deposit:${purpose}:${number}`;
}
