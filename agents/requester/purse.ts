import { formatAmount } from "#sdk/amount.ts";
import * as calls from "#sdk/calls.ts";
import { ExitStatus, SuretyError } from "#sdk/errors.ts";
import { allowance, available, balanceOf } from "#sdk/reads.ts";
import type { ChainAgent, ChainFold } from "../chain-agent.ts";

/** What an account has to spend, base units. */
export interface Funds {
  /** Available in the ledger. */
  inLedger: bigint;
  inWallet: bigint;
}

/** An account's money: what is in a ledger of the vault, and what can be brought there. */
export class Purse {
  readonly #agent: ChainAgent<ChainFold>;
  readonly #ledger: string;

  /** @param ledger The contract whose ledger it is. */
  constructor(agent: ChainAgent<ChainFold>, ledger: string) {
    this.#agent = agent;
    this.#ledger = ledger;
  }

  /** What there is now. */
  async funds(): Promise<Funds> {
    const { rpc, deployment, address } = this.#agent;
    const { vault, token } = deployment;
    const [inLedger, inWallet] = await Promise.all([
      available(rpc, vault, this.#ledger, address),
      balanceOf(rpc, token.address, address),
    ]);
    return { inLedger, inWallet };
  }

  /**
   * Sees to it that so much is available in the ledger, bringing what is missing from the wallet.
   *
   * @param purpose What it is for: names the deposits in the journal, so that each is made once.
   * @param wanted More that is brought if the wallet has it all, for what may have to be backed later.
   * @returns whether what was wanted is there too
   * @throws SuretyError `BALANCE_TOO_LOW` (exit 4); what {@link ChainAgent.sendAndWait} throws
   */
  async provide(purpose: string, needed: bigint, wanted = 0n): Promise<boolean> {
    let made = 0;
    for (; this.#agent.sender.find(depositKey(purpose, made)); made += 1) {
      await this.#agent.see(depositKey(purpose, made));
    }
    const { inLedger, inWallet } = await this.funds();
    const all = inLedger + inWallet;
    if (all < needed) throw this.#tooLow(needed, inLedger, inWallet);
    const goal = all >= needed + wanted ? needed + wanted : needed;
    if (inLedger < goal) await this.#deposit(purpose, made, goal - inLedger);
    return goal === needed + wanted;
  }

  async #deposit(purpose: string, made: number, amount: bigint): Promise<void> {
    const { deployment, address, rpc } = this.#agent;
    const { vault, token } = deployment;
    if ((await allowance(rpc, token.address, address, vault)) < amount) {
      const call = calls.approve(token.address, { spender: vault, amount });
      await this.#agent.sendAndWait({ key: `approve:${purpose}:${made}:${amount}`, ...call }, purpose);
    }
    const call = calls.deposit(vault, { ledger: this.#ledger, holder: address, amount });
    await this.#agent.sendAndWait({ key: depositKey(purpose, made), ...call }, purpose);
  }

  #tooLow(needed: bigint, inLedger: bigint, inWallet: bigint): SuretyError {
    const { address, deployment } = this.#agent;
    const { symbol, decimals } = deployment.token;
    const text = (units: bigint): string => `${formatAmount(units, decimals)} ${symbol}`;
    const has = `${address} has ${text(inLedger)} in the vault and ${text(inWallet)} in its wallet`;
    return new SuretyError("BALANCE_TOO_LOW", `this locks ${text(needed)}; ${has}`, {
      details: { needed, inLedger, inWallet },
      fix: `Send it ${text(needed - inLedger - inWallet)} more, or ask for less.`,
      exit: ExitStatus.refused,
    });
  }
}

function depositKey(purpose: string, number: number): string {
  return `deposit:${purpose}:${number}`;
}
