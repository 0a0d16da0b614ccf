import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Interface } from "ethers";
import { loadDeployment, type Deployment } from "#sdk/deployment.ts";
import { ExitStatus, SuretyError } from "#sdk/errors.ts";
import type { EventCursor, RawEvent } from "#sdk/event-store.ts";
import { Follower, type Head } from "#sdk/follower.ts";
import { tokenInterface, vaultInterface } from "#sdk/market-abi.ts";
import { openEmbeddedStorage } from "#sdk/node/embedded-storage.ts";
import type { Storage } from "#sdk/storage.ts";
import { CrossCheck } from "./chain/cross-check.ts";
import { GasMoney } from "./chain/gas-money.ts";
import { HttpRpc } from "./chain/rpc.ts";
import { Sender, type Call } from "./chain/sender.ts";
import { CallReverted } from "./chain/revert.ts";
import type { AgentConfig, StorageConfig } from "./config.ts";
import { defaultChain, feeCaps, finalityFor, gasReserve } from "./config/chain.ts";
import { Journal } from "./journal/journal.ts";
import { openKey } from "./key/agent-key.ts";
import type { Logger } from "./logger.ts";
import type { LedgerTotals } from "./monitoring/ledger.ts";
import type { AgentMetrics } from "./monitoring/metrics.ts";

/** What every agent is made of. */
export interface ChainAgentOptions {
  config: AgentConfig;
  logger: Logger;
  signal: AbortSignal;
  /** Counts what happens. */
  metrics: AgentMetrics;
}

/** What an agent makes of the events of the contracts it follows. */
export interface ChainFold {
  /** What became of the account's money. */
  readonly totals: LedgerTotals;
  /** Folds events in, in their order. */
  add(events: readonly RawEvent[]): void;
  /** Forgets everything. */
  restart(): void;
}

/** The contracts that an agent follows beside the vault, and calls beside vault and token. */
export interface FollowedContracts {
  addresses: readonly string[];
  /** Of these, for what they revert with. */
  interfaces: readonly Interface[];
}

/** What {@link openChainParts} puts together. */
export interface ChainAgentParts {
  deployment: Deployment;
  journal: Journal;
  sender: Sender;
  storage: Storage;
  rpc: HttpRpc;
  gasMoney: GasMoney;
  /** EIP-55. */
  address: string;
  /** What everything secret derives from, 32 bytes hexadecimal. */
  secret: string;
  crossCheck: CrossCheck;
  follower: Follower;
  logger: Logger;
  signal: AbortSignal;
  metrics: AgentMetrics;
}

const PAGE = 1_000;

/**
 * Opens what every agent has: a key, a journal, storage, and a view of the chain. The one place where these are put
 * together.
 *
 * @param follows Which contracts of a deployment; may throw where they are not in it.
 * @throws SuretyError what {@link openKey} throws, `DEPLOYMENT_INVALID`, `FINALITY_TOO_SHALLOW`, `RPC_UNREACHABLE`, `CHAIN_MISMATCH`,
 *   `JOURNAL_LOCKED` and what else keeps an agent from starting; nothing is left open
 */
export async function openChainParts(
  { config, logger, signal, metrics }: ChainAgentOptions,
  follows: (deployment: Deployment) => FollowedContracts,
): Promise<ChainAgentParts> {
  const deployment = await readDeployment(config.deployment);
  const followed = follows(deployment);
  const { signer, secret } = await openKey(config.key, { home: config.home, signal });
  const { chainId } = deployment;
  const { chain: chainConfig = defaultChain } = config;
  const { finalDepth } = deployment.parameters;
  const finality = finalityFor(finalDepth, chainConfig);
  const rpc = new HttpRpc(
    {
      urls: config.rpc,
      chainId,
      onTrouble: (error) => logger.warn({ error }, "an endpoint of the chain is put aside"),
    },
    { fetch: metrics.measuredFetch(fetch) },
  );
  const genesis = (await rpc.request("eth_getBlockByNumber", ["0x0", false], { signal })) as { hash?: string } | null;
  const chain = `${chainId}:${genesis?.hash ?? "none"}`;
  const journal = Journal.open({ home: config.home, key: { address: signer.address, chain } });
  try {
    const storage = await openStorage(config.storage, config.home);
    const caps = feeCaps(chainConfig);
    const depth = "depth" in finality ? finality.depth : finalDepth;
    const finalTag = "tag" in finality ? finality.tag : undefined;
    const onTrouble = (error: SuretyError): void => logger.warn({ error }, "trouble, trying again");
    const sender = new Sender(
      {
        ...{ chainId, finalDepth: depth, finalTag, ...caps },
        ...{ pollMs: config.pollMs, onTrouble, onStep: (intent) => metrics.stepped(intent) },
      },
      {
        ...{ rpc, journal, signer, witnesses: rpc.endpoints },
        interfaces: [...followed.interfaces, vaultInterface, tokenInterface],
      },
    );
    const follower = new Follower(
      {
        chainId,
        addresses: [...followed.addresses, deployment.vault],
        startBlock: deployment.startBlock,
        finalDepth: depth,
        finality: finalTag ?? "depth",
        pollMs: config.pollMs,
      },
      { rpc: rpc.endpoints, store: journal.events },
    );
    const crossCheck = new CrossCheck(
      { finalDepth: depth, maxLagMs: chainConfig.maxLagSeconds * 1000 },
      { endpoints: rpc.endpoints },
    );
    const gasMoney = new GasMoney({ account: signer.address, caps, reserve: gasReserve(chainConfig) }, { rpc, logger });
    return {
      deployment,
      journal,
      sender,
      storage,
      address: signer.address,
      secret,
      rpc,
      gasMoney,
      crossCheck,
      follower,
      logger,
      signal,
      metrics,
    };
  } catch (error) {
    journal.close();
    throw error;
  }
}

/**
 * What agents have in common: a key, a journal, storage, and what they make of the chain as of the newest block.
 *
 * @example
 * ```ts
 * await agent.run(async (head) => { ... });
 * await agent.close();
 * ```
 */
export abstract class ChainAgent<F extends ChainFold> {
  readonly deployment: Deployment;
  readonly journal: Journal;
  readonly sender: Sender;
  readonly storage: Storage;
  /** EIP-55. */
  readonly address: string;
  /** What everything secret derives from, 32 bytes hexadecimal; see `readSecret`. */
  readonly secret: string;
  readonly rpc: HttpRpc;
  /** What the account pays its transactions with. */
  readonly gasMoney: GasMoney;
  /** Whose accounts in the vault it uses: addresses, by what people call them. */
  abstract readonly ledgers: ReadonlyMap<string, string>;
  protected readonly fold: F;
  readonly #crossCheck: CrossCheck;
  readonly #follower: Follower;
  readonly #logger: Logger;
  readonly #signal: AbortSignal;
  readonly #metrics: AgentMetrics;
  readonly #hashes = new Map<number, string>();
  #isActing = false;
  /** Number of the newest block that was acted on. */
  #actedOn: number | undefined;

  protected constructor(parts: ChainAgentParts, fold: F) {
    this.deployment = parts.deployment;
    this.journal = parts.journal;
    this.sender = parts.sender;
    this.storage = parts.storage;
    this.address = parts.address;
    this.secret = parts.secret;
    this.rpc = parts.rpc;
    this.gasMoney = parts.gasMoney;
    this.fold = fold;
    this.#crossCheck = parts.crossCheck;
    this.#follower = parts.follower;
    this.#logger = parts.logger;
    this.#signal = parts.signal;
    this.#metrics = parts.metrics;
  }

  /** What became of the account's money, as of the newest block. */
  get totals(): LedgerTotals {
    return this.fold.totals;
  }

  /** Blocks up to this number are final; -1 before the first. */
  get finalBlock(): number {
    return this.#follower.head?.finalNumber ?? -1;
  }

  /** Whether nothing is on its way: no step is being taken, all that was sent is mined, and what came of it was seen. */
  get isIdle(): boolean {
    const actedOn = this.#actedOn ?? Infinity;
    const open = this.journal.intents.open(this.address);
    return (
      !this.#isActing &&
      open.every(({ status, inclusion }) => status === "mined" && (inclusion?.blockNumber ?? 0) <= actedOn)
    );
  }

  /**
   * Follows the chain and calls `act` whenever there is a new head, until the agent's signal aborts. What `act` throws
   * is logged if it may pass, and ends the agent if not.
   */
  async run(act: (head: Head) => Promise<void>): Promise<void> {
    const ended = new AbortController();
    const signal = AbortSignal.any([this.#signal, ended.signal]);
    await this.sender.resume({ signal });
    const sending = this.sender.run({ signal });
    const following = this.#follower.run({
      signal,
      onEvents: (events) => this.#takeIn(events),
      onRewind: (number) => this.#refold(number),
      onBlock: () => this.#metrics.readBlock(),
      onHead: async (head) => {
        try {
          this.#isActing = true;
          await act(head);
          this.#actedOn = head.number;
          this.#metrics.actedOn(head);
        } catch (error) {
          if (signal.aborted) return;
          if (!mayPass(error)) throw error;
          this.#logger.warn({ error }, "trouble, trying again");
        } finally {
          this.#isActing = false;
        }
      },
      onTrouble: (error) => this.#logger.warn({ error }, "trouble, trying again"),
    });
    try {
      await Promise.all([sending, following, this.#crossCheck.run({ signal })]);
    } finally {
      // One of them that failed ends the others.
      ended.abort();
    }
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
   * As {@link ChainAgent.send}, and waits until it is mined: for calls whose outcome decides on the next.
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

  /**
   * Sends a call that nobody else can be faster with, and waits until it is mined.
   *
   * @param purpose What the calls that it follows from have in their keys, as it has.
   * @throws CallReverted if the contract refuses it
   * @throws SuretyError `CALL_REFUSED_YET` (retryable) if it does while one of those is not final: a reorganisation takes
   *   a mined approval back and brings it again, and until then there is nothing to deposit
   */
  async sendAndWait(call: Call, purpose: string): Promise<void> {
    try {
      await this.sender.submit(call, { signal: this.#signal });
      await this.sender.wait(call.key, "mined", { signal: this.#signal });
    } catch (error) {
      if (!(error instanceof CallReverted)) throw error;
      const unsettled = this.journal.intents.open(this.address).filter(({ key }) => key.includes(purpose));
      if (unsettled.length === 0) throw error;
      const keys = unsettled.map(({ key }) => key).join(", ");
      throw new SuretyError(REFUSED_YET, `${error.message}; what it follows from is not final: ${keys}`, {
        details: { key: call.key, unsettled: keys },
        kind: "retryable",
        exit: ExitStatus.refused,
        cause: error,
      });
    }
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

  #takeIn(events: readonly RawEvent[]): void {
    this.#metrics.readEvents(events.length);
    this.fold.add(events);
  }

  #refold(number: number): void {
    this.#logger.warn({ number }, "the chain was reorganised above this block");
    this.#metrics.rewound();
    this.fold.restart();
    let after: EventCursor | undefined;
    for (;;) {
      const events = this.journal.events.events({ after, limit: PAGE }) as RawEvent[];
      this.#takeIn(events.filter((event) => event.blockNumber <= number));
      const last = events.at(-1);
      if (!last || last.blockNumber > number) return;
      after = { blockNumber: last.blockNumber, logIndex: last.logIndex };
    }
  }
}

/** Code of a refusal that may yet change. */
export const REFUSED_YET = "CALL_REFUSED_YET";

/** What a machine says whose disk is full or fails, or that has too many files open. */
const OF_THE_MACHINE = new Set(["ENOSPC", "EDQUOT", "EIO", "EMFILE", "ENFILE"]);

/** Whether an agent goes on after an error: one that asks for another try, a contract's refusal, a full disk. */
function mayPass(error: unknown): boolean {
  if (error instanceof SuretyError && (error.kind === "retryable" || error instanceof CallReverted)) return true;
  // Libraries wrap what their files said.
  for (let inner = error; inner instanceof Error; inner = inner.cause) {
    if (OF_THE_MACHINE.has((inner as NodeJS.ErrnoException).code ?? "")) return true;
  }
  return false;
}

/** Opens what a configuration names. */
export async function openStorage(config: StorageConfig, home: string): Promise<Storage> {
  if (config.kind === "kubo") {
    // Its client takes 50 MiB, which an agent with storage of its own need not load.
    const { KuboStorage } = await import("#sdk/kubo.ts");
    return new KuboStorage({ url: config.url });
  }
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
