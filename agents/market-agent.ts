import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { Wallet } from "ethers";
import { loadDeployment, type Deployment } from "#sdk/deployment.ts";
import { ExitStatus, SuretyError } from "#sdk/errors.ts";
import { decodeEvent } from "#sdk/events.ts";
import type { EventCursor, RawEvent } from "#sdk/event-store.ts";
import { Follower, type Head } from "#sdk/follower.ts";
import { KuboStorage } from "#sdk/kubo.ts";
import { marketInterface, registryInterface, tokenInterface, vaultInterface } from "#sdk/market-abi.ts";
import { MarketState } from "#sdk/market-state.ts";
import { openEmbeddedStorage } from "#sdk/node/embedded-storage.ts";
import type { Storage } from "#sdk/storage.ts";
import { HttpRpc } from "./chain/rpc.ts";
import { Sender, type Call } from "./chain/sender.ts";
import { CallReverted } from "./chain/revert.ts";
import { readKey, type AgentConfig, type StorageConfig } from "./config.ts";
import { Journal } from "./journal/journal.ts";
import type { Logger } from "./logger.ts";

/** What every agent is made of. */
export interface MarketAgentOptions {
  config: AgentConfig;
  logger: Logger;
  signal: AbortSignal;
}

const PAGE = 1_000;

/**
 * What the agents have in common: a key, a journal, storage, and the market's state as of the newest block. The one
 * place where these are put together.
 *
 * @example
 * ```ts
 * const agent = await MarketAgent.open({ config, logger, signal });
 * await agent.run(async (head) => { ... });
 * await agent.close();
 * ```
 */
export class MarketAgent {
  readonly deployment: Deployment;
  readonly journal: Journal;
  readonly sender: Sender;
  readonly storage: Storage;
  /** EIP-55. */
  readonly address: string;
  /** The private key: everything secret derives from it. */
  readonly secret: string;
  readonly rpc: HttpRpc;
  readonly #follower: Follower;
  readonly #logger: Logger;
  readonly #signal: AbortSignal;
  readonly #hashes = new Map<number, string>();
  #state: MarketState;

  private constructor(
    parts: Pick<MarketAgent, "deployment" | "journal" | "sender" | "storage" | "rpc" | "address" | "secret"> & {
      follower: Follower;
      logger: Logger;
      signal: AbortSignal;
    },
  ) {
    this.deployment = parts.deployment;
    this.journal = parts.journal;
    this.sender = parts.sender;
    this.storage = parts.storage;
    this.address = parts.address;
    this.secret = parts.secret;
    this.rpc = parts.rpc;
    this.#follower = parts.follower;
    this.#logger = parts.logger;
    this.#signal = parts.signal;
    this.#state = new MarketState(parts.deployment.market);
  }

  /**
   * @throws SuretyError `KEY_UNREADABLE`, `DEPLOYMENT_INVALID`, `RPC_UNREACHABLE`, `CHAIN_MISMATCH`, `JOURNAL_LOCKED` and
   *   what else keeps an agent from starting; nothing is left open
   */
  static async open({ config, logger, signal }: MarketAgentOptions): Promise<MarketAgent> {
    const deployment = await readDeployment(config.deployment);
    const secret = await readKey(config.key);
    const signer = new Wallet(secret);
    const { chainId } = deployment;
    const rpc = new HttpRpc({ urls: config.rpc, chainId });
    const genesis = (await rpc.request("eth_getBlockByNumber", ["0x0", false], { signal })) as { hash?: string } | null;
    const chain = `${chainId}:${genesis?.hash ?? "none"}`;
    const journal = Journal.open({ home: config.home, key: { address: signer.address, chain } });
    try {
      const storage = await openStorage(config.storage, config.home);
      const { finalDepth } = deployment.parameters;
      const onTrouble = (error: SuretyError): void => logger.warn({ error }, "trouble, trying again");
      const sender = new Sender(
        { chainId, finalDepth, pollMs: config.pollMs, onTrouble },
        { rpc, journal, signer, interfaces: [marketInterface, registryInterface, vaultInterface, tokenInterface] },
      );
      const follower = new Follower(
        {
          chainId,
          addresses: [deployment.market, deployment.registry, deployment.vault],
          startBlock: deployment.startBlock,
          finalDepth,
          pollMs: config.pollMs,
        },
        { rpc, store: journal.events },
      );
      return new MarketAgent({
        deployment,
        journal,
        sender,
        storage,
        address: signer.address,
        secret,
        rpc,
        follower,
        logger,
        signal,
      });
    } catch (error) {
      journal.close();
      throw error;
    }
  }

  /** The market as of the newest block. Replaced after a reorganisation: do not keep it. */
  get state(): MarketState {
    return this.#state;
  }

  /** Blocks up to this number are final; -1 before the first. */
  get finalBlock(): number {
    return this.#follower.head?.finalNumber ?? -1;
  }

  /** Whose results: chain and market, as commitments name them. */
  get context(): { chainId: bigint; market: string } {
    return { chainId: BigInt(this.deployment.chainId), market: this.deployment.market };
  }

  /**
   * Follows the chain and calls `act` whenever there is a new head, until the agent's signal aborts. What `act` throws
   * is logged if it may pass, and ends the agent if not.
   */
  async run(act: (head: Head) => Promise<void>): Promise<void> {
    const signal = this.#signal;
    await this.sender.resume({ signal });
    const sending = this.sender.run({ signal });
    const following = this.#follower.run({
      signal,
      onEvents: (events) => this.#fold(events),
      onRewind: (number) => this.#refold(number),
      onHead: async (head) => {
        try {
          await act(head);
        } catch (error) {
          if (signal.aborted) return;
          if (!(error instanceof SuretyError) || (error.kind === "fatal" && !(error instanceof CallReverted)))
            throw error;
          this.#logger.warn({ error }, "trouble, trying again");
        }
      },
      onTrouble: (error) => this.#logger.warn({ error }, "trouble, trying again"),
    });
    await Promise.all([sending, following]);
  }

  /**
   * Sends a call once; see {@link Sender.submit}. A refusal by the contract, which means that somebody was faster or
   * that the state has moved on, is logged and not thrown.
   *
   * @returns whether it went out, now or before
   */
  async send(call: Call): Promise<boolean> {
    try {
      const before = this.sender.find(call.key)?.status;
      const intent = await this.sender.submit(call, { signal: this.#signal });
      if (before === undefined) this.#logger.info({ call: call.key, hash: intent.attempts?.at(-1)?.hash }, "sent");
      return true;
    } catch (error) {
      if (error instanceof CallReverted || (error instanceof SuretyError && error.code === "DEADLINE_PASSED")) {
        this.#logger.info({ call: call.key, reason: error.message }, "refused");
        return false;
      }
      throw error;
    }
  }

  /**
   * As {@link MarketAgent.send}, and waits until it is mined: for calls whose outcome decides on the next.
   *
   * @returns whether it took effect
   */
  async sendAndSee(call: Call): Promise<boolean> {
    return (await this.send(call)) && this.see(call.key);
  }

  /** Waits until a call that was sent is mined; returns whether it took effect. */
  async see(key: string): Promise<boolean> {
    try {
      await this.sender.wait(key, "mined", { signal: this.#signal });
      return true;
    } catch (error) {
      if (!(error instanceof CallReverted)) throw error;
      this.#logger.info({ call: key, reason: error.message }, "refused");
      return false;
    }
  }

  /** Sends a call that nobody else can be faster with, and waits until it is mined. */
  async sendAndWait(call: Call): Promise<void> {
    await this.sender.submit(call, { signal: this.#signal });
    await this.sender.wait(call.key, "mined", { signal: this.#signal });
    this.#logger.info({ call: call.key }, "mined");
  }

  /**
   * Hashes of the blocks that decide draws, for those of `numbers` that exist. Asked anew until they are final, since a
   * reorganisation changes them.
   */
  async entropyHashes(numbers: Iterable<number>, head: Head): Promise<ReadonlyMap<number, string>> {
    const found = new Map<number, string>();
    for (const number of new Set(numbers)) {
      if (number >= head.number) continue;
      const known = this.#hashes.get(number);
      if (known) {
        found.set(number, known);
        continue;
      }
      const params = [`0x${number.toString(16)}`, false];
      const block = (await this.rpc.request("eth_getBlockByNumber", params, { signal: this.#signal })) as {
        hash?: string;
      } | null;
      if (!block?.hash) continue;
      found.set(number, block.hash);
      if (number <= head.finalNumber) this.#hashes.set(number, block.hash);
    }
    return found;
  }

  /** Releases everything. */
  async close(): Promise<void> {
    await this.storage.close();
    this.journal.close();
  }

  #fold(events: readonly RawEvent[]): void {
    for (const raw of events) {
      const event = decodeEvent(raw);
      if (event) this.#state.apply(event);
    }
  }

  #refold(number: number): void {
    this.#logger.warn({ number }, "the chain was reorganised above this block");
    this.#state = new MarketState(this.deployment.market);
    let after: EventCursor | undefined;
    for (;;) {
      const events = this.journal.events.events({ after, limit: PAGE }) as RawEvent[];
      this.#fold(events.filter((event) => event.blockNumber <= number));
      const last = events.at(-1);
      if (!last || last.blockNumber > number) return;
      after = { blockNumber: last.blockNumber, logIndex: last.logIndex };
    }
  }
}

/** Opens what a configuration names. */
export async function openStorage(config: StorageConfig, home: string): Promise<Storage> {
  if (config.kind === "kubo") return new KuboStorage({ url: config.url });
  const { gateways, publishTo, token } = config;
  return openEmbeddedStorage({ folder: join(home, "storage"), gateways, publishTo, token });
}

/**
 * Reads an address book.
 *
 * @throws SuretyError `DEPLOYMENT_UNREADABLE` (exit 2), `DEPLOYMENT_INVALID`
 */
export async function readDeployment(source: AgentConfig["deployment"]): Promise<Deployment> {
  if (typeof source !== "string") return loadDeployment(source);
  let text: string;
  try {
    text = await readFile(source, "utf8");
  } catch (cause) {
    throw new SuretyError("DEPLOYMENT_UNREADABLE", `the address book ${source} cannot be read`, {
      fix: "Give the path of the file that `surety deploy` or `surety devnet` wrote.",
      cause,
      exit: ExitStatus.badInput,
    });
  }
  return loadDeployment(text);
}
