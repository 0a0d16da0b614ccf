import { SuretyError } from "./errors.ts";

/** A block as the journal remembers it. */
export interface BlockRef {
  number: number;
  /** 32 bytes, hex. */
  hash: string;
  parentHash: string;
  /** Unix seconds. */
  timestamp: number;
}

/** A log as the chain gave it; the consumer decodes it, for example with ethers' `Interface.parseLog`. */
export interface RawEvent {
  blockNumber: number;
  blockHash: string;
  transactionHash: string;
  /** Position in the block, from 0. */
  logIndex: number;
  /** The emitting contract, EIP-55. */
  address: string;
  topics: string[];
  data: string;
  /** The block's, Unix seconds. */
  timestamp: number;
}

/** A place in the order of events; an event is after it if its block is higher, or equal with a higher index. */
export interface EventCursor {
  blockNumber: number;
  logIndex: number;
}

/** What a journal of events covers. A journal with another origin cannot be continued. */
export interface EventOrigin {
  chainId: number;
  /** Hash of block 0: tells a chain that was started over from one that goes on. */
  genesisHash: string;
  /** EIP-55, sorted. */
  addresses: string[];
  /** The first block looked at. */
  startBlock: number;
}

/** A value or a promise of it: stores in memory and in SQLite answer at once, IndexedDB does not. */
export type Awaitable<T> = T | Promise<T>;

/**
 * The follower's journal. Every method that writes is atomic and durable when it returns: after a crash at any
 * moment it is wholly done or not at all.
 *
 * INVARIANT: events are those of the chain that ends in `newest()`, each once.
 */
export interface EventStore {
  /** What was given to {@link EventStore.begin}, or undefined while the store is empty. */
  origin(): Awaitable<EventOrigin | undefined>;
  /** Called once, before the first block. */
  begin(origin: EventOrigin): Awaitable<void>;
  /** The highest block recorded. */
  newest(): Awaitable<BlockRef | undefined>;
  /** The highest recorded block below `number`; old history has gaps. */
  previous(number: number): Awaitable<BlockRef | undefined>;
  /** The highest block number that was ever final, -1 before the first. Never goes down. */
  finalNumber(): Awaitable<number>;
  /**
   * Adds a block above `newest()` with the events up to it. An event that is there already (same block hash and
   * log index) is left as it is.
   * @throws SuretyError `JOURNAL_ORDER` if the block is not above the newest
   */
  append(block: BlockRef, events: readonly RawEvent[], finalNumber: number): Awaitable<void>;
  /** Forgets every block above `number` and its events. */
  rewind(number: number): Awaitable<void>;
  /** Events in order, at most `limit` of them, strictly after the cursor or from the first. */
  events(query?: { after?: EventCursor; limit?: number }): Awaitable<RawEvent[]>;
}

/** The error for a block that does not continue the journal. */
export function outOfOrder(block: BlockRef, newest: BlockRef): SuretyError {
  return new SuretyError("JOURNAL_ORDER", `block ${block.number} does not come after block ${newest.number}`, {
    details: { block: block.number, newest: newest.number },
    fix: "Rewind the journal below the block first.",
  });
}

/** An {@link EventStore} that lives as long as the process: for browsers, the command line and short tools. */
export class MemoryEventStore implements EventStore {
  #origin: EventOrigin | undefined;
  #blocks: BlockRef[] = [];
  #events: RawEvent[] = [];
  readonly #keys = new Set<string>();
  #finalNumber = -1;

  origin(): EventOrigin | undefined {
    return this.#origin;
  }

  begin(origin: EventOrigin): void {
    this.#origin = origin;
  }

  newest(): BlockRef | undefined {
    return this.#blocks.at(-1);
  }

  previous(number: number): BlockRef | undefined {
    return this.#blocks.findLast((block) => block.number < number);
  }

  finalNumber(): number {
    return this.#finalNumber;
  }

  append(block: BlockRef, events: readonly RawEvent[], finalNumber: number): void {
    const newest = this.newest();
    if (newest && block.number <= newest.number) throw outOfOrder(block, newest);
    this.#blocks.push(block);
    for (const event of [...events].sort(byPlace)) {
      const key = keyOf(event);
      if (this.#keys.has(key)) continue;
      this.#keys.add(key);
      this.#events.push(event);
    }
    this.#finalNumber = Math.max(this.#finalNumber, finalNumber);
  }

  rewind(number: number): void {
    this.#blocks = this.#blocks.filter((block) => block.number <= number);
    for (const event of this.#events) if (event.blockNumber > number) this.#keys.delete(keyOf(event));
    this.#events = this.#events.filter((event) => event.blockNumber <= number);
  }

  events({ after, limit = Infinity }: { after?: EventCursor; limit?: number } = {}): RawEvent[] {
    const from = after ? this.#events.findIndex((event) => byPlace(event, after) > 0) : 0;
    return from < 0 ? [] : this.#events.slice(from, from + limit);
  }
}

function keyOf(event: RawEvent): string {
  return `${event.blockHash}:${event.logIndex}`;
}

function byPlace(a: EventCursor, b: EventCursor): number {
  return a.blockNumber - b.blockNumber || a.logIndex - b.logIndex;
}
