import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { computeAddress, JsonRpcProvider, parseEther, Wallet } from "ethers";
import * as calls from "#sdk/calls.ts";
import { formatDeployment, type Deployment } from "#sdk/deployment.ts";
import { openEmbeddedStorage, startGateway, type EmbeddedStorage, type Gateway } from "#sdk/node/index.ts";
import { startChain, type Chain, type FundedAccount } from "../../agents/devnet/chain.ts";
import { HttpRpc } from "../../agents/chain/rpc.ts";
import { deploySurety } from "../../deploy/deploy.ts";
import { readDeployParameters, type DeployParameters } from "../../deploy/parameters.ts";

/** What a {@link LocalMarket} stands on. */
export interface LocalMarketOptions {
  /** Accounts with money for gas. Default 10. */
  accounts?: number;
  /** Milliseconds from block to block. Default 100. */
  blockTime?: number;
  /** Default: Hardhat's chain in this process. */
  start?: (options: { accounts: readonly FundedAccount[]; blockTime: number }) => Promise<Chain>;
  /** In place of the local deployment's. */
  parameters?: Partial<DeployParameters>;
}

/**
 * Waits for a transaction; ethers' own wait may still be asking when its provider is destroyed, and fails unheard.
 *
 * @returns whether it took effect
 */
async function mined(provider: JsonRpcProvider, hash: string): Promise<boolean> {
  for (;;) {
    const receipt = await provider.getTransactionReceipt(hash);
    if (receipt) return receipt.status === 1;
    await delay(50);
  }
}

/** A deployed market on a local chain with a storage gateway, and no agents. */
export class LocalMarket {
  readonly folder: string;
  readonly chain: Chain;
  readonly deployment: Deployment;
  /** Path of the address book. */
  readonly deploymentPath: string;
  readonly gateway: Gateway;
  readonly rpc: HttpRpc;
  readonly #storage: EmbeddedStorage;
  readonly #deployer: string;
  readonly #accounts: Wallet[];

  private constructor(parts: {
    folder: string;
    chain: Chain;
    deployment: Deployment;
    gateway: Gateway;
    storage: EmbeddedStorage;
    deployer: string;
    accounts: Wallet[];
  }) {
    this.folder = parts.folder;
    this.chain = parts.chain;
    this.deployment = parts.deployment;
    this.deploymentPath = join(parts.folder, "surety.json");
    this.gateway = parts.gateway;
    this.rpc = new HttpRpc({ urls: [parts.chain.url] });
    this.#storage = parts.storage;
    this.#deployer = parts.deployer;
    this.#accounts = parts.accounts;
  }

  static async start({
    accounts: count = 10,
    blockTime = 100,
    start = (options) => startChain({ port: 0, ...options }),
    parameters: changed = {},
  }: LocalMarketOptions = {}): Promise<LocalMarket> {
    const folder = await mkdtemp(join(tmpdir(), "surety-test-"));
    const random = Array.from({ length: count + 1 }, () => new Wallet(Wallet.createRandom().privateKey));
    const [deployer, ...accounts] = random as [Wallet, ...Wallet[]];
    const chain = await start({
      blockTime,
      accounts: random.map(({ privateKey }) => ({ privateKey, balance: parseEther("1000") })),
    });
    const parameters = { ...(await readDeployParameters("local")), ...changed };
    const deployment = await deploySurety({
      chain: { rpcUrl: chain.url },
      deployerKey: deployer.privateKey,
      parameters,
    });
    await writeFile(join(folder, "surety.json"), formatDeployment(deployment));
    const storage = await openEmbeddedStorage({ folder: join(folder, "gateway") });
    const gateway = await startGateway({ storage, token: "test" });
    return new LocalMarket({ folder, chain, deployment, gateway, storage, deployer: deployer.privateKey, accounts });
  }

  /** An account with money for gas that nobody else uses. */
  account(): Wallet {
    const account = this.#accounts.pop();
    if (!account) throw new Error("no more accounts");
    return account;
  }

  /** Who has all the tokens that nobody was given. */
  get deployer(): string {
    return computeAddress(this.#deployer);
  }

  /** Gives an account tokens, base units. */
  async give(address: string, amount: bigint): Promise<void> {
    const call = calls.transfer(this.deployment.token.address, { to: address, amount });
    await this.sendAs(new Wallet(this.#deployer), [call]);
  }

  /**
   * Makes calls with an account's key, one after the other, each mined before the next.
   *
   * @param gasLimit For calls that may be refused, and are to be mined all the same.
   * @returns whether each took effect
   */
  async sendAs(account: Wallet, wanted: readonly calls.ContractCall[], gasLimit?: bigint): Promise<boolean[]> {
    const options = { staticNetwork: true, pollingInterval: 50, cacheTimeout: -1 } as const;
    const provider = new JsonRpcProvider(this.chain.url, undefined, options);
    const done: boolean[] = [];
    try {
      const wallet = account.connect(provider);
      for (const { to, data } of wanted) {
        const { hash } = await wallet.sendTransaction({ to, data, gasLimit });
        done.push(await mined(provider, hash));
      }
    } finally {
      provider.destroy();
    }
    return done;
  }

  /** Writes an agent's home with its configuration, and returns both paths. */
  async agentHome(name: string, account: Wallet, settings: object = {}): Promise<{ home: string; config: string }> {
    const home = join(this.folder, name);
    await mkdir(home, { recursive: true });
    const config = join(home, "config.json");
    const content = {
      home,
      rpc: [this.chain.url],
      deployment: this.deploymentPath,
      key: { hex: account.privateKey },
      storage: { kind: "embedded", gateways: [this.gateway.url], publishTo: this.gateway.url, token: "test" },
      pollMs: 100,
      ...settings,
    };
    await writeFile(config, JSON.stringify(content, null, 2));
    return { home, config };
  }

  /** How many transactions an account has sent. */
  async transactionsOf(address: string): Promise<number> {
    return Number(await this.rpc.request("eth_getTransactionCount", [address, "latest"]));
  }

  /** Content ids of what was published. */
  async published(): Promise<string[]> {
    return this.#storage.pins();
  }

  async stop(): Promise<void> {
    await this.gateway.close();
    await this.#storage.close();
    await this.chain.close();
    await rm(this.folder, { recursive: true, force: true });
  }
}
