import { createHardhatRuntimeEnvironment } from "hardhat/hre";
import { BrowserProvider, dataLength, isError, toBeHex, Wallet, zeroPadValue } from "ethers";
import { deploySurety } from "../../deploy/deploy.ts";
import type { ContractCall } from "#sdk/calls.ts";
import * as calls from "#sdk/calls.ts";
import type { Deployment } from "#sdk/deployment.ts";
import { SuretyError } from "#sdk/errors.ts";
import type { JsonRpc } from "#sdk/json-rpc.ts";
import { marketInterface, registryInterface, vaultInterface } from "#sdk/market-abi.ts";
import { leastUnbondingPeriod } from "#sdk/pricing.ts";
import { classIdOf, type HostClass } from "#sdk/terms.ts";
import { C, NODE_STAKE, PARAMETERS } from "./world.ts";

/** EIP-2935: the system contract that keeps the last {@link HISTORY_BLOCKS} block hashes. */
const HISTORY = "0x0000F90827F1C53a10cb7A02335B175320002935";
const HISTORY_BLOCKS = 8_191;
/** Its code, which Hardhat's EVM does not have. */
const HISTORY_CODE =
  "0x3373fffffffffffffffffffffffffffffffffffffffe14604657602036036042575f35600143038111604257611fff81430311604257611fff" +
  "9006545f5260205ff35b5f5ffd5b5f35611fff60014303065500";
/** Blocks whose hash the EVM itself tells. */
const RECENT_BLOCKS = 256;
/** Anybody's gas money, wei. */
const ETHER = toBeHex(10n ** 24n);
const DEPLOYER_KEY = `0x${"5e".repeat(32)}`;
const SLOT_STAKE = 10_000n * C;

/** The real contracts on a chain of their own, in this process, on which every account's key is at hand. */
export class ReplayChain {
  readonly deployment: Deployment;
  readonly #rpc: JsonRpc;
  readonly #close: () => Promise<void>;

  private constructor(deployment: Deployment, rpc: JsonRpc, close: () => Promise<void>) {
    this.deployment = deployment;
    this.#rpc = rpc;
    this.#close = close;
  }

  /** Deploys the market with {@link PARAMETERS}. */
  static async start(): Promise<ReplayChain> {
    const deployer = new Wallet(DEPLOYER_KEY);
    const hre = await createHardhatRuntimeEnvironment({
      networks: {
        replay: {
          type: "edr-simulated",
          chainType: "l1",
          hardfork: "prague",
          // A panel's draw may look at all its places.
          blockGasLimit: 60_000_000,
          accounts: [{ privateKey: deployer.privateKey, balance: (10n ** 24n).toString() }],
        },
      },
    });
    const connection = await hre.network.create("replay");
    const rpc: JsonRpc = {
      request: async (method, params = []) => connection.provider.request({ method, params: [...params] }),
    };
    const provider = new BrowserProvider(
      { request: ({ method, params }) => rpc.request(method, params as unknown[]) },
      undefined,
      {
        pollingInterval: 20,
        cacheTimeout: -1,
      },
    );
    const deployment = await deploySurety({
      chain: { provider },
      deployerKey: deployer.privateKey,
      parameters: {
        ...PARAMETERS,
        minStake: C,
        activationDelay: 60,
        unbondingPeriod: leastUnbondingPeriod(PARAMETERS),
        slotStake: SLOT_STAKE,
        priceFloor: 1n,
        fullSlash: true,
        resources: zeroPadValue("0x00", 32),
        containerResources: zeroPadValue("0x00", 32),
        dropInterval: 1,
        token: { supply: 10n ** 12n * C },
      },
    });
    provider.destroy();
    await rpc.request("hardhat_setCode", [HISTORY, HISTORY_CODE]);
    const chain = new ReplayChain(deployment, rpc, async () => connection.close());
    const { token, vault } = deployment;
    await chain.send(deployer.address, calls.approve(token.address, { spender: vault, amount: 10n ** 12n * C }));
    return chain;
  }

  get deployer(): string {
    return new Wallet(DEPLOYER_KEY).address;
  }

  async close(): Promise<void> {
    await this.#close();
  }

  /** The class that a world's nodes join: one for each, so that no pool has a stranger's node in it. */
  classOf(resources: string): HostClass {
    return {
      market: this.deployment.market,
      runtime: "wasm",
      fullSlash: true,
      slotStake: SLOT_STAKE,
      priceFloor: 1n,
      resources,
    };
  }

  /** Makes the class and lets the nodes join it by place, with money for their stake, and lets time pass. */
  async populate(host: HostClass, nodes: readonly string[], requester: string): Promise<void> {
    const { registry, vault, market } = this.deployment;
    const { deployer } = this;
    await this.send(deployer, calls.createClass(registry, host));
    await this.send(deployer, calls.deposit(vault, { ledger: market, holder: requester, amount: NODE_STAKE }));
    await this.#own(requester);
    for (const [slot, node] of nodes.entries()) {
      await this.#own(node);
      await this.send(deployer, calls.deposit(vault, { ledger: registry, holder: node, amount: NODE_STAKE }));
      await this.send(node, calls.stake(registry, { market, amount: NODE_STAKE }));
      await this.send(node, calls.joinPool(registry, { market, class: classIdOf(host), slot }));
    }
    await this.pass((await this.now()) + this.deployment.parameters.activationDelay);
  }

  /**
   * Makes a call and mines it.
   *
   * @returns the number of its block
   * @throws `REPLAY_REFUSED` if it reverts
   */
  async send(from: string, { to, data }: ContractCall): Promise<number> {
    try {
      await this.#rpc.request("eth_sendTransaction", [{ from, to, data, gas: toBeHex(30_000_000) }]);
    } catch (cause) {
      throw new SuretyError("REPLAY_REFUSED", `the contracts refused a step: ${describe(cause, data)}`, { cause });
    }
    return Number(await this.#rpc.request("eth_blockNumber"));
  }

  get rpc(): JsonRpc {
    return this.#rpc;
  }

  /** Second of the newest block. */
  async now(): Promise<number> {
    const block = (await this.#rpc.request("eth_getBlockByNumber", ["latest", false])) as { timestamp: string };
    return Number(block.timestamp);
  }

  /** Mines so that `deadline` has passed. */
  async pass(deadline: number): Promise<void> {
    const now = await this.now();
    if (now > deadline) return;
    await this.#rpc.request("evm_setNextBlockTimestamp", [toBeHex(deadline + 1)]);
    await this.#rpc.request("hardhat_mine", [toBeHex(1)]);
  }

  /**
   * Gives block `number` a hash, as far as contracts can tell: mines until the EVM itself has forgotten the real one, and
   * writes this one where EIP-2935 keeps the older.
   */
  async decide(number: number, hash: string): Promise<void> {
    const newest = Number(await this.#rpc.request("eth_blockNumber"));
    const missing = number + RECENT_BLOCKS + 2 - newest;
    if (missing > 0) await this.#rpc.request("hardhat_mine", [toBeHex(missing)]);
    const slot = toBeHex(number % HISTORY_BLOCKS, 32);
    await this.#rpc.request("hardhat_setStorageAt", [HISTORY, toQuantity(slot), hash]);
  }

  async #own(address: string): Promise<void> {
    await this.#rpc.request("hardhat_impersonateAccount", [address]);
    await this.#rpc.request("hardhat_setBalance", [address, toQuantity(ETHER)]);
  }
}

/** A number as JSON-RPC writes it: without zeros in front. */
function toQuantity(hex: string): string {
  return `0x${BigInt(hex).toString(16)}`;
}

/** The contract's own error, if it is one, and which function refused. */
function describe(cause: unknown, data: string): string {
  const name = marketInterface.parseTransaction({ data })?.name ?? data.slice(0, 10);
  const thrown = cause as { data?: unknown; message?: string };
  const reason = typeof thrown.data === "string" ? thrown.data : (thrown.data as { data?: string } | undefined)?.data;
  for (const each of [marketInterface, registryInterface, vaultInterface]) {
    const error = dataLength(reason ?? "0x") < 4 ? null : each.parseError(reason!);
    if (error) return `${name} with ${error.name}(${error.args.join(", ")})`;
  }
  return `${name}: ${isError(cause, "UNKNOWN_ERROR") ? cause.shortMessage : String(thrown.message)}`;
}
