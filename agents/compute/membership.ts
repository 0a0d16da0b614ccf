import { parseAmount, formatAmount } from "#sdk/amount.ts";
import * as calls from "#sdk/calls.ts";
import { FOREVER } from "#sdk/draw.ts";
import { ExitStatus, SuretyError } from "#sdk/errors.ts";
import type { ContractCall } from "#sdk/calls.ts";
import type { Head } from "#sdk/follower.ts";
import type { ClassRecord } from "#sdk/market-state.ts";
import { allowance, available, balanceOf, nodeState } from "#sdk/reads.ts";
import type { ComputeConfig } from "../config.ts";
import type { Logger } from "../logger.ts";
import type { MarketAgent } from "../market-agent.ts";

/** Steps towards membership that are under way have keys that begin so. */
const PREFIX = "membership";
/** Beyond every place: asks for a new one. */
const NEW_PLACE = 2 ** 24 - 1;

/** One call on the way to membership. */
interface Step {
  name: string;
  call: ContractCall;
  gas: bigint;
}

/** A place of this node's in a class's pool; undefined while it has none. */
export function mySlot({ state, address }: MarketAgent, classId: string): number | undefined {
  const place = state.classes
    .get(classId)
    ?.slots.findIndex((slot) => slot?.node === address && slot.leftAt === FOREVER);
  return place === undefined || place < 0 ? undefined : place;
}

/**
 * What a node must have before it can claim: the stake and the places in the pool that its configuration asks for, and,
 * where that names an owner, accounts that are entrusted to it.
 */
export class Membership {
  readonly #agent: MarketAgent;
  readonly #config: ComputeConfig;
  readonly #logger: Logger;
  /** What the owner was last told to do. */
  #told = "";

  constructor(config: ComputeConfig, { agent, logger }: { agent: MarketAgent; logger: Logger }) {
    this.#agent = agent;
    this.#config = config;
    this.#logger = logger;
  }

  /**
   * Takes the steps that are missing: allowance, deposit, stake, joining; or, with an owner, entrusting, after which
   * the rest is the owner's to do. Returns once they are mined, so that none is taken twice.
   *
   * @returns whether the node holds a place, and so can claim
   * @throws SuretyError `STAKE_UNAFFORDABLE` if the node has no place yet and too few tokens to get one; `CLASS_UNKNOWN`;
   *   `OWNER_MISMATCH` if an account is entrusted to another than the configuration says
   */
  async takePart(head: Head): Promise<boolean> {
    const { address, state, deployment } = this.#agent;
    const { market } = deployment;
    const pool = state.classes.get(this.#config.class);
    if (!pool) {
      throw new SuretyError("CLASS_UNKNOWN", `the market ${market} has no class ${this.#config.class}`, {
        details: { market, class: this.#config.class },
        fix: "Use an id from the deployment's address book.",
        exit: ExitStatus.badInput,
      });
    }
    const held = pool.slots.filter((slot) => slot?.node === address && slot.leftAt === FOREVER).length;
    const underWay = this.#agent.journal.intents
      .open(address)
      .filter(({ key, status }) => key.startsWith(PREFIX) && status !== "mined");
    if (underWay.length > 0) {
      // Of an earlier life: what they will change is not to be seen yet, and would be asked for again.
      for (const { key } of underWay) await this.#agent.see(key);
      return held > 0;
    }
    const orphaned = this.#orphaned();
    const { stake } = await nodeState(this.#agent.rpc, deployment.registry, market, address);
    const missing = parseAmount(this.#config.stake, deployment.token.decimals) - stake;
    if (orphaned.length > 0) await this.#take(this.#entrusting(orphaned), head);
    else if (this.#config.owner !== undefined) this.#tellOwner(missing, held);
    else await this.#take(await this.#joining(missing, held, pool), head);
    return held > 0;
  }

  /** Ledgers whose account is not its owner's yet. */
  #orphaned(): string[] {
    const { address, state, deployment } = this.#agent;
    const { owner } = this.#config;
    const ledgers = [deployment.registry, deployment.market];
    for (const ledger of ledgers) {
      const actual = state.ownerOf(ledger, address);
      if (actual === undefined || actual === owner) continue;
      const expected = owner ?? "nobody";
      throw new SuretyError("OWNER_MISMATCH", `${address} is entrusted to ${actual}, and was to be to ${expected}`, {
        details: { node: address, ledger, expected: owner, actual },
        fix:
          `If ${actual} is yours, put owner: "${actual}" into the configuration. ` +
          "If not, somebody has this node's key: give the node another, and deposit nothing for this one.",
        exit: ExitStatus.refused,
      });
    }
    return owner === undefined ? [] : ledgers.filter((ledger) => state.ownerOf(ledger, address) === undefined);
  }

  #entrusting(ledgers: readonly string[]): Step[] {
    const { address, deployment } = this.#agent;
    const owner = this.#config.owner as string;
    return ledgers.map((ledger) => {
      const call = calls.entrust(deployment.vault, { ledger, holder: address, owner });
      return { name: `entrust:${ledger}`, call, gas: 100_000n };
    });
  }

  /** Says what the node lacks and only its owner can give, once. */
  #tellOwner(missing: bigint, held: number): void {
    const { token } = this.#agent.deployment;
    const stake = missing > 0n ? formatAmount(missing, token.decimals) : "0";
    const slots = Math.max(0, this.#config.slots - held);
    const told = `${stake}:${slots}`;
    if (told === this.#told) return;
    this.#told = told;
    const { owner } = this.#config;
    if (missing > 0n || slots > 0) this.#logger.warn({ owner, stake, slots }, "waits for its owner to stake and join");
    else this.#logger.info({ owner }, "its owner has staked and joined");
  }

  /** What leads to the stake and the places. Gas is given, since no step could be estimated before those in front of it. */
  async #joining(missing: bigint, held: number, { slots, id }: ClassRecord): Promise<Step[]> {
    const { address, rpc, deployment } = this.#agent;
    const { market, registry, vault, token } = deployment;
    const steps: Step[] = [];
    if (missing > 0n) {
      const inVault = await available(rpc, vault, registry, address);
      const owned = await balanceOf(rpc, token.address, address);
      if (inVault + owned >= missing) {
        const amount = missing - inVault;
        if (amount > 0n) {
          const allowed = await allowance(rpc, token.address, address, vault);
          const approval = calls.approve(token.address, { spender: vault, amount });
          if (allowed < amount) steps.push({ name: "approve", call: approval, gas: 100_000n });
          const call = calls.deposit(vault, { ledger: registry, holder: address, amount });
          steps.push({ name: "deposit", call, gas: 200_000n });
        }
        steps.push({ name: "stake", call: calls.stake(registry, { market, amount: missing }), gas: 250_000n });
      } else if (held === 0) {
        const text = (units: bigint): string => `${formatAmount(units, token.decimals)} ${token.symbol}`;
        throw new SuretyError(
          "STAKE_UNAFFORDABLE",
          `${address} has ${text(inVault + owned)} and needs ${text(missing)} more at stake`,
          {
            details: { owned: inVault + owned, missing },
            fix: `Send it ${token.symbol}, or lower \`stake\` in its configuration.`,
            exit: ExitStatus.refused,
          },
        );
      }
    }
    if (held < this.#config.slots) {
      const hole = slots.findIndex((slot) => slot === undefined);
      // Two nodes may reach for the same hole; who comes second tries again at the next block.
      const call = calls.joinPool(registry, { market, class: id, slot: hole < 0 ? NEW_PLACE : hole });
      steps.push({ name: "join", call, gas: 300_000n });
    }
    return steps;
  }

  async #take(steps: readonly Step[], head: Head): Promise<void> {
    const keyed = steps.map(({ name, call, gas }) => ({ key: `${PREFIX}:${name}:${head.number}`, ...call, gas }));
    for (const call of keyed) await this.#agent.send(call);
    for (const { key } of keyed)
      this.#logger.info({ call: key, mined: await this.#agent.see(key) }, "took a step to membership");
  }
}
