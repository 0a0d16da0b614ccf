import type { Command } from "commander";
import { computeAddress, Wallet } from "ethers";
import { formatAmount, parseAmount } from "#sdk/amount.ts";
import * as calls from "#sdk/calls.ts";
import { verifyDeployment, type Deployment } from "#sdk/deployment.ts";
import { FOREVER } from "#sdk/draw.ts";
import { ExitStatus, SuretyError } from "#sdk/errors.ts";
import { marketInterface, registryInterface, tokenInterface, vaultInterface } from "#sdk/market-abi.ts";
import * as reads from "#sdk/reads.ts";
import { HttpRpc } from "../../chain/rpc.ts";
import { Sender } from "../../chain/sender.ts";
import { readComputeConfig, readKey, type ComputeConfig } from "../../config.ts";
import { Journal } from "../../journal/journal.ts";
import { readDeployment } from "../../market-agent.ts";
import { runCommand, type CommandContext, type CommandResult } from "../run-command.ts";

interface Options {
  config: string;
  json?: boolean;
}

/** A node's account in a market. */
interface Account {
  config: ComputeConfig;
  deployment: Deployment;
  rpc: HttpRpc;
  secret: string;
  address: string;
  signal: AbortSignal;
  /** An amount of tokens as base units. */
  parse(amount: string): bigint;
  format(units: bigint): string;
}

type Work = (account: Account, context: CommandContext) => Promise<CommandResult>;

/** `surety stake`: what a compute node has at stake, and its places in the pool. */
export function addStakeCommand(program: Command): void {
  const stake = program
    .command("stake")
    .description("Show and change what a compute node has at stake. All but show need its agent to be stopped.")
    .addHelpText(
      "after",
      `
An agent keeps the stake and the slots of its configuration by itself; these commands are for taking things out.

Examples:
  $ surety stake show --config node.yaml
  $ surety stake leave 3 --config node.yaml
  $ surety stake remove 500 --config node.yaml
  $ surety stake withdraw --config node.yaml`,
    );
  const sub = (usage: string, description: string, example: string): Command =>
    stake
      .command(usage)
      .description(description)
      .requiredOption("--config <file>", "the node's configuration, YAML or JSON")
      .option("--json", "print one JSON object at the end")
      .addHelpText("after", `\nExample:\n  $ surety stake ${example} --config node.yaml`);

  sub("show", "Show stake, slots and money.", "show").action((options: Options) => run(options, show));
  sub("add <amount>", "Put tokens at stake, from the account's own.", "add 500").action(
    (amount: string, options: Options) => run(options, (account) => add(account, amount)),
  );
  sub("remove <amount>", "Start taking stake out; it stays liable for the unbonding period.", "remove 500").action(
    (amount: string, options: Options) => run(options, (account) => remove(account, amount)),
  );
  sub("withdraw", "Take out what is unbonded, and all available money.", "withdraw").action((options: Options) =>
    run(options, withdraw),
  );
  sub("join", "Take a place in the pool of the configuration's class.", "join").action((options: Options) =>
    run(options, join),
  );
  sub("leave <slot>", "Leave a place in the pool.", "leave 3").action((slot: string, options: Options) =>
    run(options, (account) => leave(account, slot)),
  );
}

function run(options: Options, work: Work): Promise<void> {
  return runCommand(options, async (context) => {
    const { signal } = context;
    const config = await readComputeConfig(options.config);
    const deployment = await readDeployment(config.deployment);
    const secret = await readKey(config.key);
    const rpc = new HttpRpc({ urls: config.rpc, chainId: deployment.chainId, retries: 1 });
    await verifyDeployment(rpc, deployment, { signal });
    const { decimals, symbol } = deployment.token;
    const account: Account = {
      config,
      deployment,
      rpc,
      secret,
      address: computeAddress(secret),
      signal,
      parse: (amount) => parseAmount(amount, decimals),
      format: (units) => `${formatAmount(units, decimals)} ${symbol}`,
    };
    return work(account, context);
  });
}

async function show(account: Account): Promise<CommandResult> {
  const { rpc, deployment, address, signal, format } = account;
  const { registry, market, vault, token } = deployment;
  const [node, unbonding, inRegistry, inMarket, inWallet, slots] = await Promise.all([
    reads.nodeState(rpc, registry, market, address, { signal }),
    reads.unbondingOf(rpc, registry, market, address, { signal }),
    reads.available(rpc, vault, registry, address, { signal }),
    reads.available(rpc, vault, market, address, { signal }),
    reads.balanceOf(rpc, token.address, address, { signal }),
    slotsOf(account),
  ]);
  const free = node.stake - node.committed - node.backing;
  const rows: [string, string][] = [
    ["node", address],
    ["stake", format(node.stake)],
    ["  committed", `${format(node.committed)} to open work`],
    [
      "  backing",
      `${format(node.backing)} of ${slots.length} slots: ${slots.map(({ slot }) => slot).join(", ") || "none"}`,
    ],
    ["  free", format(free > 0n ? free : 0n)],
    [
      "unbonding",
      unbonding.amount === 0n
        ? "nothing"
        : `${format(unbonding.amount)} until ${new Date(unbonding.availableAt * 1000).toISOString()}`,
    ],
    ["earned", `${format(inMarket)} can be withdrawn`],
    ["unstaked", `${format(inRegistry)} can be withdrawn`],
    ["wallet", format(inWallet)],
  ];
  return {
    json: {
      node: address,
      ...node,
      unbonding,
      slots,
      available: { market: inMarket, registry: inRegistry },
      wallet: inWallet,
    },
    text: rows.map(([name, value]) => `${name.padEnd(12)} ${value}`).join("\n"),
  };
}

async function add(account: Account, text: string): Promise<CommandResult> {
  const { rpc, deployment, address, signal, parse, format } = account;
  const { registry, market, vault, token } = deployment;
  const amount = parse(text);
  const ready = await reads.available(rpc, vault, registry, address, { signal });
  const missing = amount > ready ? amount - ready : 0n;
  const inWallet = await reads.balanceOf(rpc, token.address, address, { signal });
  if (inWallet < missing) {
    throw new SuretyError("BALANCE_TOO_LOW", `${address} has ${format(ready + inWallet)}, not ${format(amount)}`, {
      details: { available: ready + inWallet, required: amount },
      fix: `Send it ${format(missing - inWallet)} more, or stake less.`,
      exit: ExitStatus.refused,
    });
  }
  const steps: calls.ContractCall[] = [];
  if (missing > 0n) {
    steps.push(calls.approve(token.address, { spender: vault, amount: missing }));
    steps.push(calls.deposit(vault, { ledger: registry, holder: address, amount: missing }));
  }
  steps.push(calls.stake(registry, { market, amount }));
  await send(account, steps);
  return { json: { added: amount }, text: `added ${format(amount)} to the stake` };
}

async function remove(account: Account, text: string): Promise<CommandResult> {
  const { deployment, parse, format } = account;
  const { registry, market, parameters } = deployment;
  const amount = parse(text);
  await send(account, [calls.unstake(registry, { market, amount })]);
  const days = (parameters.unbondingPeriod / 86_400).toFixed(1);
  return {
    json: { removed: amount },
    text: `${format(amount)} can be withdrawn in ${days} days; surety stake show says when`,
  };
}

async function withdraw(account: Account): Promise<CommandResult> {
  const { rpc, deployment, address, signal, format } = account;
  const { registry, market, vault } = deployment;
  const unbonding = await reads.unbondingOf(rpc, registry, market, address, { signal });
  const block = (await rpc.request("eth_getBlockByNumber", ["latest", false], { signal })) as { timestamp: string };
  if (unbonding.amount > 0n && unbonding.availableAt <= Number(block.timestamp)) {
    await send(account, [calls.withdrawStake(registry, { market })]);
  }
  const steps: calls.ContractCall[] = [];
  let total = 0n;
  for (const ledger of [registry, market]) {
    const amount = await reads.available(rpc, vault, ledger, address, { signal });
    if (amount > 0n) steps.push(calls.withdraw(vault, { ledger, amount, to: address }));
    total += amount;
  }
  await send(account, steps);
  return { json: { withdrawn: total }, text: `withdrew ${format(total)} to ${address}` };
}

async function join(account: Account): Promise<CommandResult> {
  const { rpc, deployment, config, signal } = account;
  const { registry, market } = deployment;
  const { slots } = await reads.classState(rpc, registry, market, config.class, { signal });
  let slot = slots;
  for (let place = 0; place < slots; place += 1) {
    const { node } = await reads.slotOf(rpc, registry, { market, class: config.class, slot: place }, { signal });
    if (BigInt(node) === 0n) slot = Math.min(slot, place);
  }
  await send(account, [calls.joinPool(registry, { market, class: config.class, slot })]);
  return { json: { slot }, text: `joined the pool in slot ${slot}` };
}

async function leave(account: Account, text: string): Promise<CommandResult> {
  const { registry, market } = account.deployment;
  if (!/^\d{1,8}$/.test(text)) {
    throw new SuretyError("USAGE", `"${text.slice(0, 20)}" is no slot`, {
      fix: "Take one that surety stake show lists.",
      exit: ExitStatus.badInput,
    });
  }
  const slot = Number(text);
  await send(account, [calls.leavePool(registry, { market, class: account.config.class, slot })]);
  return { json: { slot }, text: `left slot ${slot}; its backing stays liable for the unbonding period` };
}

/** The node's places in the pool of its configuration's class. */
async function slotsOf({
  rpc,
  deployment,
  config,
  address,
  signal,
}: Account): Promise<{ slot: number; serving: boolean }[]> {
  const { registry, market } = deployment;
  const { slots } = await reads.classState(rpc, registry, market, config.class, { signal });
  const places = await Promise.all(
    Array.from({ length: slots }, (_, slot) =>
      reads.slotOf(rpc, registry, { market, class: config.class, slot }, { signal }),
    ),
  );
  return places.flatMap(({ node, leftAt }, slot) => (node === address ? [{ slot, serving: leftAt === FOREVER }] : []));
}

/** Sends calls one after the other, with the agent's journal and its lock: two senders of one key disturb each other. */
async function send(
  { config, deployment, rpc, secret, signal }: Account,
  steps: readonly calls.ContractCall[],
): Promise<void> {
  const signer = new Wallet(secret);
  const { chainId, parameters } = deployment;
  const genesis = (await rpc.request("eth_getBlockByNumber", ["0x0", false], { signal })) as { hash?: string } | null;
  const chain = `${chainId}:${genesis?.hash ?? "none"}`;
  const journal = Journal.open({ home: config.home, key: { address: signer.address, chain } });
  try {
    const sender = new Sender(
      { chainId, finalDepth: parameters.finalDepth, pollMs: config.pollMs },
      { rpc, journal, signer, interfaces: [marketInterface, registryInterface, vaultInterface, tokenInterface] },
    );
    const started = Date.now();
    for (const [index, step] of steps.entries()) {
      const key = `by-hand:${started}:${index}`;
      await sender.submit({ key, ...step }, { signal });
      await sender.wait(key, "mined", { signal });
    }
  } finally {
    journal.close();
  }
}
