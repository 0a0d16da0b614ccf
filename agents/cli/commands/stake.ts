import type { Command } from "commander";
import { getAddress, isAddress } from "ethers";
import { formatAmount, parseAmount } from "#sdk/amount.ts";
import * as calls from "#sdk/calls.ts";
import { verifyDeployment, type Deployment } from "#sdk/deployment.ts";
import { FOREVER } from "#sdk/draw.ts";
import { ExitStatus, SuretyError } from "#sdk/errors.ts";
import { marketInterface, registryInterface, tokenInterface, vaultInterface } from "#sdk/market-abi.ts";
import * as reads from "#sdk/reads.ts";
import { HttpRpc } from "../../chain/rpc.ts";
import { Sender, type SignerLike } from "../../chain/sender.ts";
import { feeCaps } from "../../config/chain.ts";
import { readComputeConfig, readOwnerConfig, type OwnerConfig } from "../../config.ts";
import { Journal } from "../../journal/journal.ts";
import { openSigner } from "../../key/agent-key.ts";
import { readDeployment } from "../../chain-agent.ts";
import { runCommand, type CommandContext, type CommandResult } from "../run-command.ts";

interface Options {
  config: string;
  for?: string;
  json?: boolean;
}

/** A node's account in a market, and who signs for it: the node, or whom it is entrusted to. */
interface Account {
  config: OwnerConfig;
  deployment: Deployment;
  rpc: HttpRpc;
  signer: SignerLike;
  /** The node, EIP-55. */
  node: string;
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
An agent keeps the stake and the slots of its configuration by itself; these commands are for taking things out. A node
with an owner leaves both to it: then the owner says --for and the node's address, and --config names a file of the
owner's own, with home, rpc, deployment, key and class; docs/keys.md has one.

Examples:
  $ surety stake show --config node.yaml
  $ surety stake leave 3 --config node.yaml
  $ surety stake remove 500 --config node.yaml
  $ surety stake withdraw --config node.yaml
  $ surety stake add 1000 --config owner.yaml --for 0x…`,
    );
  const sub = (usage: string, description: string, example: string): Command =>
    stake
      .command(usage)
      .description(description)
      .requiredOption("--config <file>", "the node's configuration, YAML or JSON; with --for its owner's")
      .option("--for <node>", "address of a node that has entrusted its accounts to this one")
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
    const forNode = options.for === undefined ? undefined : addressFrom(options.for);
    const config = await (forNode === undefined ? readComputeConfig : readOwnerConfig)(options.config);
    const deployment = await readDeployment(config.deployment);
    const { signer } = await openSigner(config.key, { signal });
    const rpc = new HttpRpc({ urls: config.rpc, chainId: deployment.chainId, retries: 1 });
    await verifyDeployment(rpc, deployment, { signal });
    const { decimals, symbol } = deployment.token;
    const account: Account = {
      config,
      deployment,
      rpc,
      signer,
      node: forNode ?? signer.address,
      signal,
      parse: (amount) => parseAmount(amount, decimals),
      format: (units) => `${formatAmount(units, decimals)} ${symbol}`,
    };
    if (forNode !== undefined) await requireOwner(account);
    return work(account, context);
  });
}

function addressFrom(text: string): string {
  const shown = text.slice(0, 80);
  if (isAddress(text)) return getAddress(text);
  throw new SuretyError("USAGE", `"${shown}" is no address`, {
    fix: "Give --for the node's address: 0x and 40 hexadecimal digits.",
    exit: ExitStatus.badInput,
  });
}

/** What is deposited for a node that somebody else owns is theirs, and what is deposited for one that nobody owns its own. */
async function requireOwner({ rpc, deployment, node, signer, signal }: Account): Promise<void> {
  const { vault, registry, market } = deployment;
  for (const ledger of [registry, market]) {
    const owner = await reads.ownerOf(rpc, vault, ledger, node, { signal });
    if (owner === signer.address) continue;
    throw new SuretyError("OWNER_MISMATCH", `${node} has entrusted its accounts to ${owner ?? "nobody"}`, {
      details: { node, ledger, expected: signer.address, actual: owner },
      fix:
        owner === undefined
          ? `Put owner: "${signer.address}" into the node's configuration and start it; nothing was sent.`
          : "Use that owner's key; if it is a stranger's, give the node a new key. Nothing was sent.",
      exit: ExitStatus.refused,
    });
  }
}

async function show(account: Account): Promise<CommandResult> {
  const { rpc, deployment, node, signer, signal, format } = account;
  const { registry, market, vault, token } = deployment;
  const [state, unbonding, owner, inRegistry, inMarket, inWallet, slots] = await Promise.all([
    reads.nodeState(rpc, registry, market, node, { signal }),
    reads.unbondingOf(rpc, registry, market, node, { signal }),
    reads.ownerOf(rpc, vault, registry, node, { signal }),
    reads.available(rpc, vault, registry, node, { signal }),
    reads.available(rpc, vault, market, node, { signal }),
    reads.balanceOf(rpc, token.address, signer.address, { signal }),
    slotsOf(account),
  ]);
  const free = state.stake - state.committed - state.backing;
  const rows: [string, string][] = [
    ["node", node],
    ["owner", owner ?? "itself"],
    ["stake", format(state.stake)],
    ["  committed", `${format(state.committed)} to open work`],
    [
      "  backing",
      `${format(state.backing)} of ${slots.length} slots: ${slots.map(({ slot }) => slot).join(", ") || "none"}`,
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
      node,
      owner: owner ?? null,
      ...state,
      unbonding,
      slots,
      available: { market: inMarket, registry: inRegistry },
      wallet: inWallet,
    },
    text: rows.map(([name, value]) => `${name.padEnd(12)} ${value}`).join("\n"),
  };
}

async function add(account: Account, text: string): Promise<CommandResult> {
  const { rpc, deployment, node, signer, signal, parse, format } = account;
  const { address } = signer;
  const { registry, market, vault, token } = deployment;
  const amount = parse(text);
  const ready = await reads.available(rpc, vault, registry, node, { signal });
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
    steps.push(calls.deposit(vault, { ledger: registry, holder: node, amount: missing }));
  }
  steps.push(calls.stakeFor(registry, { market, node, amount }));
  await send(account, steps);
  return { json: { added: amount }, text: `added ${format(amount)} to the stake` };
}

async function remove(account: Account, text: string): Promise<CommandResult> {
  const { deployment, node, parse, format } = account;
  const { registry, market, parameters } = deployment;
  const amount = parse(text);
  await send(account, [calls.unstakeFor(registry, { market, node, amount })]);
  const days = (parameters.unbondingPeriod / 86_400).toFixed(1);
  return {
    json: { removed: amount },
    text: `${format(amount)} can be withdrawn in ${days} days; surety stake show says when`,
  };
}

async function withdraw(account: Account): Promise<CommandResult> {
  const { rpc, deployment, node, signer, signal, format } = account;
  const { registry, market, vault } = deployment;
  const unbonding = await reads.unbondingOf(rpc, registry, market, node, { signal });
  const block = (await rpc.request("eth_getBlockByNumber", ["latest", false], { signal })) as { timestamp: string };
  if (unbonding.amount > 0n && unbonding.availableAt <= Number(block.timestamp)) {
    // By either: it goes to the node's account, which is its owner's.
    const isOwn = node === signer.address;
    const call = isOwn ? calls.withdrawStake(registry, { market }) : calls.withdrawStakeFor(registry, { market, node });
    await send(account, [call]);
  }
  const steps: calls.ContractCall[] = [];
  const to = new Set<string>();
  let total = 0n;
  for (const ledger of [registry, market]) {
    const [amount, owner] = await Promise.all([
      reads.available(rpc, vault, ledger, node, { signal }),
      reads.ownerOf(rpc, vault, ledger, node, { signal }),
    ]);
    if (amount === 0n) continue;
    const receiver = owner ?? node;
    if (node === signer.address) steps.push(calls.withdraw(vault, { ledger, amount, to: receiver }));
    else steps.push(calls.withdrawFor(vault, { ledger, holder: node, amount, to: receiver }));
    to.add(receiver);
    total += amount;
  }
  await send(account, steps);
  const where = [...to].join(" and ");
  return {
    json: { withdrawn: total, to: [...to] },
    text: total === 0n ? "there is nothing to withdraw" : `withdrew ${format(total)} to ${where}`,
  };
}

async function join(account: Account): Promise<CommandResult> {
  const { rpc, deployment, config, node: member, signal } = account;
  const { registry, market } = deployment;
  const { slots } = await reads.classState(rpc, registry, market, config.class, { signal });
  let slot = slots;
  for (let place = 0; place < slots; place += 1) {
    const { node } = await reads.slotOf(rpc, registry, { market, class: config.class, slot: place }, { signal });
    if (BigInt(node) === 0n) slot = Math.min(slot, place);
  }
  await send(account, [calls.joinPoolFor(registry, { market, class: config.class, node: member, slot })]);
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
  node: member,
  signal,
}: Account): Promise<{ slot: number; serving: boolean }[]> {
  const { registry, market } = deployment;
  const { slots } = await reads.classState(rpc, registry, market, config.class, { signal });
  const places = await Promise.all(
    Array.from({ length: slots }, (_, slot) =>
      reads.slotOf(rpc, registry, { market, class: config.class, slot }, { signal }),
    ),
  );
  return places.flatMap(({ node, leftAt }, slot) => (node === member ? [{ slot, serving: leftAt === FOREVER }] : []));
}

/** Sends calls one after the other, with the agent's journal and its lock: two senders of one key disturb each other. */
async function send(
  { config, deployment, rpc, signer, signal }: Account,
  steps: readonly calls.ContractCall[],
): Promise<void> {
  const { chainId, parameters } = deployment;
  const genesis = (await rpc.request("eth_getBlockByNumber", ["0x0", false], { signal })) as { hash?: string } | null;
  const chain = `${chainId}:${genesis?.hash ?? "none"}`;
  const journal = Journal.open({ home: config.home, key: { address: signer.address, chain } });
  try {
    const sender = new Sender(
      { chainId, finalDepth: parameters.finalDepth, pollMs: config.pollMs, ...feeCaps(config.chain) },
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
