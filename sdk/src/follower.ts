import { getAddress, getBytes, keccak256 } from "ethers";
import { z } from "zod";
import { systemClock, type Clock } from "./clock.ts";
import { ExitStatus, SuretyError, type ErrorDetails } from "./errors.ts";
import type { Awaitable, BlockRef, EventCursor, EventStore, RawEvent } from "./event-store.ts";
import type { JsonRpc } from "./json-rpc.ts";

/** What a {@link Follower} follows, and how patiently. */
export interface FollowerOptions {
  /** The chain that every endpoint must be on. */
  chainId: number;
  /** Contracts whose logs are wanted. */
  addresses: readonly string[];
  /** The first block that can hold one of their logs: the deployment's. */
  startBlock: number;
  /** A block is final when this many blocks stand on it; at least 1. */
  finalDepth: number;
  /** `depth` counts blocks (default); the others ask the node for its block of that name. */
  finality?: "depth" | "finalized" | "safe";
  /** Between two looks at the head, in milliseconds. Default 1000. */
  pollMs?: number;
  /** The longest wait after errors, in milliseconds. Default 30000. */
  maxBackoffMs?: number;
  /** A request that takes longer counts as failed, in milliseconds. Default 15000. */
  requestTimeoutMs?: number;
  /** A head that stands still for longer makes the follower try the next endpoint, in milliseconds. Default 300000. */
  staleMs?: number;
  /** Blocks per request in history that is final already. Default 2000; halved when a node refuses. */
  chunkSize?: number;
  /**
   * How much of the history that is final is read block by block all the same, in blocks: of a range nothing shows that
   * logs were left out. Default 256.
   */
  singlyBlocks?: number;
}

/** What a {@link Follower} works with. */
export interface FollowerDependencies {
  /** One endpoint, or several in order of preference, which are then held against each other. */
  rpc: JsonRpc | readonly JsonRpc[];
  store: EventStore;
  /** Default: the machine's. */
  clock?: Clock;
}

/** The newest block in the journal. */
export interface Head extends BlockRef {
  /** The highest final block number, -1 if there is none. */
  finalNumber: number;
}

/**
 * What a consumer is told, one call at a time and awaited. A consumer that folds `onEvents` into its state, and
 * folds again without the events above the block given to `onRewind`, always has the state of the chain that ends
 * in the last head it was told. Whatever these throw ends the follower.
 */
export interface FollowerHooks {
  /** Every event, in order and once: first those in the journal from earlier runs, then new ones. */
  onEvents?(events: readonly RawEvent[]): Awaitable<void>;
  /** The events above block `number` never happened; comes before those that replace them. */
  onRewind?(number: number): Awaitable<void>;
  /** A block was added, maybe far below the chain's head while catching up. */
  onBlock?(head: Head): Awaitable<void>;
  /** The journal has reached the chain's head, and the head is another than last time: the moment to act. */
  onHead?(head: Head): Awaitable<void>;
  /** Something failed that the follower will try again. */
  onTrouble?(error: SuretyError): void;
}

const quantity = z
  .string()
  .regex(/^0x[0-9a-fA-F]{1,13}$/)
  .transform(Number);
const hash = z.string().regex(/^0x[0-9a-fA-F]{64}$/);
const bytes = z.string().regex(/^0x([0-9a-fA-F]{2})*$/);
const blockAnswer = z.object({
  number: quantity,
  hash,
  parentHash: hash,
  timestamp: quantity,
  logsBloom: bytes.optional(),
});
const logAnswer = z.object({
  blockNumber: quantity,
  blockHash: hash,
  transactionHash: hash,
  logIndex: quantity,
  address: z.string().transform((address) => getAddress(address)),
  topics: z.array(hash).max(4),
  data: bytes,
});
const receiptAnswer = z.object({ logs: z.array(logAnswer) });
const receiptsAnswer = z.array(receiptAnswer);
const transactionsAnswer = z.object({ transactions: z.array(hash) });

type Block = z.infer<typeof blockAnswer>;
type Log = z.infer<typeof logAnswer>;

interface Endpoint {
  rpc: JsonRpc;
  /** It showed the right chain since its last error. */
  checked: boolean;
  /** It is on another chain; never asked again. */
  refused?: SuretyError;
}

/** Set around errors of hooks, so that they are never taken for the chain's. */
class HookFailure extends Error {}

const PAGE = 1000;
/** Errors that show an endpoint to be wrong, where others may just be slow. */
const CANNOT_BE = new Set(["RPC_INCONSISTENT", "RPC_MALFORMED", "CHAIN_RESET"]);
/** How often the chain may change under one pass before the endpoint is thought to contradict itself. */
const MAX_RESTARTS = 5;

/**
 * Follows the logs of a few contracts through restarts and reorganisations of the chain, without losing or
 * repeating one. It polls and asks for logs by block hash, as subscriptions lose events silently, and keeps a
 * journal of block hashes, by which it notices what a reorganisation removed.
 *
 * @example
 * ```ts
 * const follower = new Follower(
 *   { chainId: 31337, addresses: [market], startBlock: 0, finalDepth: 12 },
 *   { rpc: fromEthers(provider), store: new MemoryEventStore() },
 * );
 * await follower.run({ signal, onEvents: (events) => fold(events), onRewind: (number) => unfold(number) });
 * ```
 */
export class Follower {
  readonly #options: Required<FollowerOptions>;
  readonly #endpoints: Endpoint[];
  readonly #store: EventStore;
  readonly #clock: Clock;
  readonly #addresses: string[];
  #current = 0;
  #chunkSize: number;
  #head: Head | undefined;
  #finalNumber = -1;
  #delivered: EventCursor = { blockNumber: -1, logIndex: -1 };
  #announced: string | undefined;
  #seen = { hash: "", at: 0 };

  constructor(options: FollowerOptions, dependencies: FollowerDependencies) {
    this.#options = {
      finality: "depth",
      pollMs: 1_000,
      maxBackoffMs: 30_000,
      requestTimeoutMs: 15_000,
      staleMs: 300_000,
      chunkSize: 2_000,
      singlyBlocks: 256,
      ...options,
    };
    const rpcs = "request" in dependencies.rpc ? [dependencies.rpc] : dependencies.rpc;
    if (rpcs.length === 0 || options.finalDepth < 1 || options.startBlock < 0 || options.addresses.length === 0) {
      throw new SuretyError("FOLLOWER_OPTIONS", "the follower needs an endpoint, an address and a final depth of 1", {
        details: {
          endpoints: rpcs.length,
          addresses: options.addresses.length,
          finalDepth: options.finalDepth,
          startBlock: options.startBlock,
        },
        exit: ExitStatus.badInput,
      });
    }
    this.#endpoints = rpcs.map((rpc) => ({ rpc, checked: false }));
    this.#store = dependencies.store;
    this.#clock = dependencies.clock ?? systemClock;
    this.#addresses = [...new Set(options.addresses.map((address) => getAddress(address)))].sort();
    this.#chunkSize = this.#options.chunkSize;
  }

  /** The newest block in the journal; undefined before the first. Its timestamp is the time that contracts go by. */
  get head(): Head | undefined {
    return this.#head;
  }

  /** Whether a block, given by number, can be taken for permanent. */
  isFinal(blockNumber: number): boolean {
    return blockNumber <= this.#finalNumber;
  }

  /**
   * Follows until the signal aborts, and then resolves. Errors of endpoints are told to `onTrouble` and tried
   * again, with the next endpoint if there is one, for ever.
   *
   * @throws SuretyError `CHAIN_MISMATCH` if every endpoint is on another chain
   * @throws SuretyError `CHAIN_RESET` if on every endpoint a block that was final, or the first, is another
   * @throws SuretyError `JOURNAL_MISMATCH` if the store was filled for other contracts or another start
   * @throws whatever a hook throws
   */
  async run(options: FollowerHooks & { signal: AbortSignal }): Promise<void> {
    const { signal } = options;
    let failures = 0;
    while (!signal.aborted) {
      let wait = this.#options.pollMs;
      try {
        await this.sync(options);
        failures = 0;
      } catch (error) {
        if (signal.aborted && error === signal.reason) return;
        if (!(error instanceof SuretyError) || error.kind === "fatal") throw error;
        options.onTrouble?.(error);
        wait = Math.min(this.#options.pollMs * 2 ** Math.min(failures, 20), this.#options.maxBackoffMs);
        failures += 1;
      }
      await this.#clock.sleep(wait, { signal }).catch(() => undefined);
    }
  }

  /**
   * Brings the journal to the chain's head once. After an error that is retryable it can be called again and goes
   * on where it was.
   *
   * @returns the head; undefined if the chain has not reached the first block yet
   * @throws as {@link Follower.run}, and `RPC_UNREACHABLE`, `RPC_MALFORMED`, `RPC_BEHIND`, `RPC_STALE` or
   *   `RPC_INCONSISTENT` (all retryable) if the endpoint fails
   */
  async sync(options: FollowerHooks & { signal?: AbortSignal } = {}): Promise<Head | undefined> {
    try {
      return await this.#pass(options, options.signal);
    } catch (error) {
      if (error instanceof HookFailure) {
        const { cause } = error;
        // A hook that failed on something temporary must not be mistaken for an endpoint that did.
        throw cause instanceof SuretyError && cause.kind === "retryable"
          ? new SuretyError("FOLLOWER_HOOK", `a hook failed: ${cause.message}`, { cause, exit: cause.exit })
          : cause;
      }
      const ofEndpoint = error instanceof SuretyError && /^(RPC|CHAIN)_/.test(error.code);
      if (ofEndpoint && error !== options.signal?.reason) return this.#leaveEndpoint(error);
      throw error;
    }
  }

  /** Moves on to the next endpoint; throws the error, as retryable while there is an endpoint left to ask. */
  #leaveEndpoint(error: SuretyError): never {
    const endpoint = this.#endpoints[this.#current] as Endpoint;
    endpoint.checked = false;
    if (error.kind === "fatal") endpoint.refused = error;
    if (this.#endpoints.length > 1 && CANNOT_BE.has(error.code)) endpoint.rpc.blame?.(error);
    if (!this.#moveOn()) throw error;
    const { code, message, fix, exit } = error;
    const details = { ...error.details, ...(endpoint.rpc.name === undefined ? {} : { endpoint: endpoint.rpc.name }) };
    throw new SuretyError(code, message, { details, fix, exit, cause: error, kind: "retryable" });
  }

  /** Takes the next endpoint that is not refused, and not doubted if there is one; the same one if it is the only one. */
  #moveOn(): boolean {
    const size = this.#endpoints.length;
    const order = Array.from({ length: size }, (_, step) => (this.#current + step + 1) % size);
    const usable = order.filter((index) => !this.#endpoints[index]?.refused);
    const next = usable.find((index) => !this.#endpoints[index]?.rpc.isDoubted) ?? usable[0];
    if (next !== undefined) this.#current = next;
    return next !== undefined;
  }

  async #pass(hooks: FollowerHooks, signal: AbortSignal | undefined): Promise<Head | undefined> {
    // Others hold the endpoint against the rest too.
    if (this.#endpoints[this.#current]?.rpc.isDoubted) this.#moveOn();
    await this.#check(signal);
    this.#finalNumber = await this.#store.finalNumber();
    const recorded = await this.#store.newest();
    if (recorded) this.#head = { ...recorded, finalNumber: this.#finalNumber };
    await this.#deliver(hooks);
    for (let restarts = 0; restarts < MAX_RESTARTS; restarts += 1) {
      const latest = await this.#block("latest", signal);
      if (!latest) throw malformed("eth_getBlockByNumber", "no latest block");
      const finalNumber = await this.#finalBelow(latest, signal);
      await this.#reconcile(latest, hooks, signal);
      if (!(await this.#advance(latest, finalNumber, hooks, signal))) continue;
      this.#watchForStaleness(latest);
      const head = this.#head;
      if (head && head.hash !== this.#announced) {
        await this.#tell(() => hooks.onHead?.(head));
        this.#announced = head.hash;
      }
      return head;
    }
    throw inconsistent("the node keeps contradicting its own blocks");
  }

  /** Looks whether the endpoint is on the chain that the journal was begun on. */
  async #check(signal: AbortSignal | undefined): Promise<void> {
    const endpoint = this.#endpoints[this.#current] as Endpoint;
    if (endpoint.refused) throw endpoint.refused;
    if (endpoint.checked) return;
    const chainId = parse(quantity, "eth_chainId", await this.#request("eth_chainId", [], signal));
    if (chainId !== this.#options.chainId) throw chainMismatch(chainId, this.#options.chainId);
    const genesis = await this.#block(0, signal);
    if (!genesis) throw malformed("eth_getBlockByNumber", "no block 0");
    const origin = {
      chainId,
      genesisHash: genesis.hash,
      addresses: this.#addresses,
      startBlock: this.#options.startBlock,
    };
    const known = await this.#store.origin();
    if (!known) {
      await this.#store.begin(origin);
    } else if (known.chainId !== chainId) {
      throw chainMismatch(chainId, known.chainId);
    } else if (known.genesisHash !== genesis.hash) {
      throw chainReset(0, genesis.hash, known.genesisHash);
    } else if (known.startBlock !== origin.startBlock || known.addresses.join() !== origin.addresses.join()) {
      throw new SuretyError("JOURNAL_MISMATCH", "the journal was filled for other contracts or another first block", {
        details: {
          addresses: origin.addresses.join(),
          journalAddresses: known.addresses.join(),
          startBlock: origin.startBlock,
          journalStartBlock: known.startBlock,
        },
        fix: "Use the home that belongs to this deployment, or a new one.",
        exit: ExitStatus.badInput,
      });
    }
    endpoint.checked = true;
  }

  async #finalBelow(latest: Block, signal: AbortSignal | undefined): Promise<number> {
    const { finality, finalDepth } = this.#options;
    if (finality === "depth") return latest.number - finalDepth;
    return (await this.#block(finality, signal))?.number ?? -1;
  }

  /** Takes out of the journal what the chain no longer has. */
  async #reconcile(latest: Block, hooks: FollowerHooks, signal: AbortSignal | undefined): Promise<void> {
    const newest = await this.#store.newest();
    if (!newest || newest.hash === latest.hash || newest.hash === latest.parentHash) return;
    let ancestor: BlockRef | undefined = newest;
    let replaced = false;
    while (ancestor) {
      const { number, hash }: BlockRef = ancestor;
      if (number <= latest.number) {
        const there = number === latest.number ? latest : await this.#block(number, signal);
        if (there?.hash === hash) break;
        if (!there) throw malformed("eth_getBlockByNumber", `block ${number} is missing below the head`);
        if (number <= this.#finalNumber) throw chainReset(number, there.hash, hash);
        replaced = true;
      }
      ancestor = await this.#store.previous(number);
    }
    if (ancestor?.number === newest.number) return;
    if (!replaced) {
      // A node that lags looks like a chain that was cut: what was cut is known only once it grows differently.
      throw new SuretyError(
        "RPC_BEHIND",
        `the node's newest block is ${latest.number}, the journal has ${newest.number}`,
        {
          details: { node: latest.number, journal: newest.number },
          kind: "retryable",
          exit: ExitStatus.unavailable,
        },
      );
    }
    const number = ancestor?.number ?? this.#options.startBlock - 1;
    await this.#store.rewind(number);
    this.#head = ancestor && { ...ancestor, finalNumber: this.#finalNumber };
    if (this.#delivered.blockNumber > number) this.#delivered = { blockNumber: number, logIndex: Infinity };
    await this.#tell(() => hooks.onRewind?.(number));
  }

  /** Adds what is missing up to `latest`; false if the chain changed meanwhile and must be looked at anew. */
  async #advance(
    latest: Block,
    finalNumber: number,
    hooks: FollowerHooks,
    signal: AbortSignal | undefined,
  ): Promise<boolean> {
    let newest = await this.#store.newest();
    for (;;) {
      const next: number = newest ? newest.number + 1 : this.#options.startBlock;
      if (next > latest.number) return true;
      const oldUntil = finalNumber - this.#options.singlyBlocks;
      if (next < oldUntil) {
        newest = await this.#appendRange(next, oldUntil, finalNumber, signal);
      } else {
        const block = next === latest.number ? latest : await this.#block(next, signal);
        if (!block || (newest && block.parentHash !== newest.hash)) return false;
        const logs = await this.#logsOf(block, signal);
        newest = await this.#append(block, eventsOf(logs, [block]), finalNumber);
      }
      const head = this.#head as Head;
      await this.#deliver(hooks);
      await this.#tell(() => hooks.onBlock?.(head));
    }
  }

  /** Old history comes in ranges: only the last block of each is recorded. */
  async #appendRange(
    from: number,
    until: number,
    finalNumber: number,
    signal: AbortSignal | undefined,
  ): Promise<BlockRef> {
    const to = Math.min(from + this.#chunkSize - 1, until);
    const last = await this.#block(to, signal);
    if (!last) throw malformed("eth_getBlockByNumber", `block ${to} is missing below the head`);
    let logs: Log[];
    try {
      logs = await this.#logs({ fromBlock: hex(from), toBlock: hex(to) }, signal);
    } catch (error) {
      // Nodes bound the range or the number of results, each with words of its own.
      this.#chunkSize = Math.max(1, Math.floor(this.#chunkSize / 2));
      throw error;
    }
    this.#chunkSize = Math.min(this.#options.chunkSize, this.#chunkSize + Math.ceil(this.#chunkSize / 8));
    await this.#compareRange(from, to, logs, signal);
    const blocks: Block[] = [];
    for (const number of new Set(logs.map((log) => log.blockNumber))) {
      if (number < from || number > to) throw malformed("eth_getLogs", `block ${number} outside ${from} to ${to}`);
      const block = number === to ? last : await this.#block(number, signal);
      if (!block) throw malformed("eth_getBlockByNumber", `block ${number} has logs but is missing`);
      blocks.push(block);
    }
    return this.#append(last, eventsOf(logs, blocks), finalNumber);
  }

  /** Holds the logs of a range, which no bloom filter vouches for, against those of another endpoint. */
  async #compareRange(from: number, to: number, logs: Log[], signal: AbortSignal | undefined): Promise<void> {
    const current = this.#endpoints[this.#current];
    const other = this.#endpoints.find((each) => each !== current && !each.refused && !each.rpc.isDoubted);
    if (!other) return;
    let others: Log[];
    try {
      others = await this.#logs({ fromBlock: hex(from), toBlock: hex(to) }, signal, other.rpc);
    } catch {
      // One that cannot be asked is no witness.
      signal?.throwIfAborted();
      return;
    }
    const nameOf = (log: Log): string => `${log.blockHash}:${log.logIndex}`;
    const [mine, theirs] = [new Set(logs.map(nameOf)), new Set(others.map(nameOf))];
    const leftOut = (side: Log[], there: Set<string>): SuretyError | undefined => {
      const missing = side.filter((log) => !there.has(nameOf(log)));
      if (missing.length === 0) return undefined;
      const block = missing[0]?.blockNumber;
      return inconsistent(`the node left out ${missing.length} logs that another has, the first of block ${block}`, {
        block,
        logs: missing.length,
      });
    };
    const error = leftOut(others, mine);
    if (error) throw error;
    const theirError = leftOut(logs, theirs);
    if (theirError) other.rpc.blame?.(theirError);
  }

  async #append(block: Block, events: RawEvent[], finalNumber: number): Promise<BlockRef> {
    const { number, hash, parentHash, timestamp } = block;
    const ref = { number, hash, parentHash, timestamp };
    // Only what the journal itself has reached counts as final: a consumer must have seen what stands on it.
    const reached =
      this.#options.finality === "depth" ? number - this.#options.finalDepth : Math.min(number, finalNumber);
    this.#finalNumber = Math.max(this.#finalNumber, reached, -1);
    await this.#store.append(ref, events, this.#finalNumber);
    this.#head = { ...ref, finalNumber: this.#finalNumber };
    return ref;
  }

  async #logsOf(block: Block, signal: AbortSignal | undefined): Promise<Log[]> {
    const logs = await this.#logs({ blockHash: block.hash }, signal);
    const { logsBloom } = block;
    const emitters = new Set(logs.map((log) => log.address));
    const missing = this.#addresses.filter(
      (address) => logsBloom && !emitters.has(address) && bloomHolds(logsBloom, address),
    );
    if (missing.length === 0) return logs;
    // The block's own filter says that there may be more: some providers answer before they have indexed the block.
    const receipts = await this.#receiptsOf(block, signal);
    if (receipts.some((receipt) => receipt.logs.some((log) => missing.includes(log.address)))) {
      throw inconsistent(`the node left out logs of block ${block.number}`, { block: block.number, hash: block.hash });
    }
    return logs;
  }

  /** Receipts of all of a block's transactions, one by one where the node has no method for all of them. */
  async #receiptsOf(block: Block, signal: AbortSignal | undefined): Promise<z.infer<typeof receiptsAnswer>> {
    try {
      const answer = await this.#request("eth_getBlockReceipts", [block.hash], signal);
      return parse(receiptsAnswer, "eth_getBlockReceipts", answer);
    } catch {
      signal?.throwIfAborted();
    }
    const method = "eth_getBlockByHash";
    const { transactions } = parse(
      transactionsAnswer,
      method,
      await this.#request(method, [block.hash, false], signal),
    );
    return Promise.all(
      transactions.map(async (transaction) => {
        const answer = await this.#request("eth_getTransactionReceipt", [transaction], signal);
        return parse(receiptAnswer, "eth_getTransactionReceipt", answer);
      }),
    );
  }

  async #logs(filter: Record<string, string>, signal: AbortSignal | undefined, rpc?: JsonRpc): Promise<Log[]> {
    const answer = await this.#request("eth_getLogs", [{ address: this.#addresses, ...filter }], signal, rpc);
    const logs = parse(z.array(logAnswer), "eth_getLogs", answer);
    const stranger = logs.find((log) => !this.#addresses.includes(log.address));
    if (stranger) throw malformed("eth_getLogs", `a log of ${stranger.address}, which was not asked for`);
    return inOrder(logs);
  }

  async #block(
    which: number | "latest" | "finalized" | "safe",
    signal: AbortSignal | undefined,
  ): Promise<Block | undefined> {
    const answer = await this.#request(
      "eth_getBlockByNumber",
      [typeof which === "number" ? hex(which) : which, false],
      signal,
    );
    if (answer === null) return undefined;
    const block = parse(blockAnswer, "eth_getBlockByNumber", answer);
    if (typeof which === "number" && block.number !== which) {
      throw malformed("eth_getBlockByNumber", `block ${block.number} instead of ${which}`);
    }
    return block;
  }

  async #request(
    method: string,
    params: unknown[],
    signal: AbortSignal | undefined,
    rpc = (this.#endpoints[this.#current] as Endpoint).rpc,
  ): Promise<unknown> {
    signal?.throwIfAborted();
    const over = new AbortController();
    const limit = this.#options.requestTimeoutMs;
    const timer = AbortSignal.any(signal ? [over.signal, signal] : [over.signal]);
    try {
      return await Promise.race([
        rpc.request(method, params, { signal: timer }),
        this.#clock.sleep(limit, { signal: timer }).then(() => {
          throw new Error(`no answer in ${limit} ms`);
        }),
      ]);
    } catch (cause) {
      signal?.throwIfAborted();
      if (cause instanceof SuretyError && (cause.kind === "retryable" || cause.code === "CHAIN_MISMATCH")) throw cause;
      throw new SuretyError("RPC_UNREACHABLE", `${method} failed: ${cause instanceof Error ? cause.message : cause}`, {
        details: { method },
        cause,
        kind: "retryable",
        exit: ExitStatus.unavailable,
      });
    } finally {
      over.abort();
    }
  }

  /** Hands over what the journal holds beyond what was handed over already. */
  async #deliver(hooks: FollowerHooks): Promise<void> {
    for (;;) {
      const events = await this.#store.events({ after: this.#delivered, limit: PAGE });
      const last = events.at(-1);
      if (!last) return;
      await this.#tell(() => hooks.onEvents?.(events));
      this.#delivered = { blockNumber: last.blockNumber, logIndex: last.logIndex };
    }
  }

  async #tell(hook: () => unknown): Promise<void> {
    try {
      await hook();
    } catch (cause) {
      throw new HookFailure("hook", { cause });
    }
  }

  #watchForStaleness(latest: Block): void {
    const now = this.#clock.now();
    if (latest.hash !== this.#seen.hash) {
      this.#seen = { hash: latest.hash, at: now };
    } else if (now - this.#seen.at > this.#options.staleMs) {
      this.#seen.at = now;
      throw new SuretyError("RPC_STALE", `block ${latest.number} has been the newest for too long`, {
        details: { block: latest.number, limitMs: this.#options.staleMs },
        kind: "retryable",
        exit: ExitStatus.unavailable,
      });
    }
  }
}

/** As the chain has them, each once: nodes made of several databases answer in another order, or twice. */
function inOrder(logs: Log[]): Log[] {
  const byPlace = new Map(logs.map((log) => [`${log.blockHash}:${log.logIndex}`, log]));
  return [...byPlace.values()].sort((a, b) => a.blockNumber - b.blockNumber || a.logIndex - b.logIndex);
}

function eventsOf(logs: Log[], blocks: Block[]): RawEvent[] {
  const byNumber = new Map(blocks.map((block) => [block.number, block]));
  return logs.map((log) => {
    const block = byNumber.get(log.blockNumber);
    if (block?.hash !== log.blockHash) {
      throw malformed("eth_getLogs", `a log of block ${log.blockNumber} names block hash ${log.blockHash}`);
    }
    return { ...log, timestamp: block.timestamp };
  });
}

/** Whether a block's bloom filter (Yellow Paper, 4.3.1) says that the address may have emitted a log in it. */
function bloomHolds(logsBloom: string, address: string): boolean {
  const bloom = getBytes(logsBloom);
  const digest = getBytes(keccak256(address));
  return [0, 2, 4].every((at) => {
    const bit = (((digest[at] as number) << 8) | (digest[at + 1] as number)) & 2047;
    return (((bloom[255 - (bit >> 3)] ?? 0) >> (bit & 7)) & 1) === 1;
  });
}

function hex(number: number): string {
  return `0x${number.toString(16)}`;
}

function parse<T>(schema: z.ZodType<T>, method: string, answer: unknown): T {
  let result: z.ZodSafeParseResult<T>;
  try {
    result = schema.safeParse(answer);
  } catch (cause) {
    throw malformed(method, cause instanceof Error ? cause.message : String(cause));
  }
  if (!result.success) throw malformed(method, z.prettifyError(result.error));
  return result.data;
}

function malformed(method: string, why: string): SuretyError {
  return new SuretyError("RPC_MALFORMED", `${method} answered nonsense: ${why}`, {
    details: { method },
    kind: "retryable",
    exit: ExitStatus.unavailable,
  });
}

function inconsistent(message: string, details: ErrorDetails = {}): SuretyError {
  return new SuretyError("RPC_INCONSISTENT", message, { details, kind: "retryable", exit: ExitStatus.unavailable });
}

function chainMismatch(actual: number, expected: number): SuretyError {
  return new SuretyError("CHAIN_MISMATCH", `the node is on chain ${actual}, expected ${expected}`, {
    details: { actual, expected },
    fix: "Give the endpoint of the chain that the contracts are on.",
    exit: ExitStatus.badInput,
  });
}

function chainReset(number: number, actual: string, expected: string): SuretyError {
  return new SuretyError("CHAIN_RESET", `block ${number} was final and is another now: the chain was started over`, {
    details: { number, actual, expected },
    fix: "Start with a new home: nothing in this one belongs to the chain as it is now.",
    exit: ExitStatus.unavailable,
  });
}
