import { parseAmount, formatAmount } from "#sdk/amount.ts";
import * as calls from "#sdk/calls.ts";
import { FOREVER } from "#sdk/draw.ts";
import { ExitStatus, SuretyError } from "#sdk/errors.ts";
import type { ContractCall } from "#sdk/calls.ts";
import type { Head } from "#sdk/follower.ts";
import { allowance, available, balanceOf, nodeState } from "#sdk/reads.ts";
import type { Call } from "../chain/sender.ts";
import type { ComputeConfig } from "../config.ts";
import type { Logger } from "../logger.ts";
import type { MarketAgent } from "../market-agent.ts";

/** Steps towards membership that are under way have keys that begin so. */
const PREFIX = "membership";
/** Beyond every place: asks for a new one. */
const NEW_PLACE = 2 ** 24 - 1;

/** A place of this node's in a class's pool; undefined while it has none. */
export function mySlot({ state, address }: MarketAgent, classId: string): number | undefined {
  const place = state.classes
    .get(classId)
    ?.slots.findIndex((slot) => slot?.node === address && slot.leftAt === FOREVER);
  return place === undefined || place < 0 ? undefined : place;
}

/**
 * Takes the steps, if any are missing, towards the stake and the places in the pool that the configuration asks for:
 * allowance, deposit, stake, joining. Returns once they are mined, so that none is taken twice.
 *
 * @returns whether the node holds a place, and so can claim
 * @throws SuretyError `STAKE_UNAFFORDABLE` if the node has no place yet and too few tokens to get one; `CLASS_UNKNOWN`
 */
export async function takePart(
  agent: MarketAgent,
  config: ComputeConfig,
  logger: Logger,
  head: Head,
): Promise<boolean> {
  const { address, state, rpc } = agent;
  const { market, registry, vault, token } = agent.deployment;
  const pool = state.classes.get(config.class);
  if (!pool) {
    throw new SuretyError("CLASS_UNKNOWN", `the market ${market} has no class ${config.class}`, {
      details: { market, class: config.class },
      fix: "Use an id from the deployment's address book.",
      exit: ExitStatus.badInput,
    });
  }
  const held = pool.slots.filter((slot) => slot?.node === address && slot.leftAt === FOREVER).length;
  const underWay = agent.journal.intents
    .open(address)
    .filter(({ key, status }) => key.startsWith(PREFIX) && status !== "mined");
  if (underWay.length > 0) {
    // Of an earlier life: what they will change is not to be seen yet, and would be asked for again.
    for (const { key } of underWay) await agent.see(key);
    return held > 0;
  }
  const wanted = parseAmount(config.stake, token.decimals);
  const { stake } = await nodeState(rpc, registry, market, address);
  const steps: Call[] = [];
  // Gas is given, since none of these could be estimated before those in front of it are mined.
  const add = (name: string, call: ContractCall, gas: bigint): void => {
    steps.push({ key: `${PREFIX}:${name}:${head.number}`, ...call, gas });
  };
  if (stake < wanted) {
    const missing = wanted - stake;
    const inVault = await available(rpc, vault, registry, address);
    const owned = await balanceOf(rpc, token.address, address);
    if (inVault + owned >= missing) {
      const amount = missing - inVault;
      if (amount > 0n) {
        const allowed = await allowance(rpc, token.address, address, vault);
        if (allowed < amount) add("approve", calls.approve(token.address, { spender: vault, amount }), 100_000n);
        add("deposit", calls.deposit(vault, { ledger: registry, holder: address, amount }), 200_000n);
      }
      add("stake", calls.stake(registry, { market, amount: missing }), 250_000n);
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
  if (held < config.slots) {
    const hole = pool.slots.findIndex((slot) => slot === undefined);
    // Two nodes may reach for the same hole; who comes second tries again at the next block.
    add("join", calls.joinPool(registry, { market, class: config.class, slot: hole < 0 ? NEW_PLACE : hole }), 300_000n);
  }
  for (const call of steps) await agent.send(call);
  for (const { key } of steps) logger.info({ call: key, mined: await agent.see(key) }, "took a step to membership");
  return held > 0;
}
