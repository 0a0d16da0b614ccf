import { ExitStatus, SuretyError } from "#sdk/errors.ts";
import { decodeEvent, type SuretyEvent } from "#sdk/events.ts";
import type { RawEvent } from "#sdk/event-store.ts";
import { MarketState } from "#sdk/market-state.ts";
import type { Logger } from "./logger.ts";
import { Ledger, type LedgerTotals } from "./monitoring/ledger.ts";

/** Whose market it is. */
export interface MarketFoldOptions {
  /** Address of the market. */
  market: string;
  /** Address of the registry. */
  registry: string;
  /** The account whose money is counted. */
  account: string;
}

/**
 * What an agent knows of the market: all events, folded. A batch with an event that makes no sense is set aside, so that
 * the others go on.
 *
 * @example
 * ```ts
 * const fold = new MarketFold({ market, registry, account }, { logger });
 * fold.add(events);
 * fold.state.open.length;
 * ```
 */
export class MarketFold {
  readonly #options: MarketFoldOptions;
  readonly #logger: Logger;
  #state: MarketState;
  #ledger: Ledger;

  constructor(options: MarketFoldOptions, { logger }: { logger: Logger }) {
    this.#options = options;
    this.#logger = logger;
    this.#state = new MarketState(options.market);
    this.#ledger = new Ledger(options);
  }

  /** Replaced by {@link MarketFold.restart}: do not keep it. */
  get state(): MarketState {
    return this.#state;
  }

  /** What became of the account's money. */
  get totals(): LedgerTotals {
    return this.#ledger.totals;
  }

  /** Forgets everything. */
  restart(): void {
    this.#state = new MarketState(this.#options.market);
    this.#ledger = new Ledger(this.#options);
  }

  /** Folds events in, in their order. */
  add(events: readonly RawEvent[]): void {
    for (const raw of events) {
      try {
        const event = decodeEvent(raw);
        if (!event) continue;
        this.#checkOrder(event);
        this.#state.apply(event);
        this.#ledger.apply(event);
      } catch (error) {
        this.#setAside(raw, error);
      }
    }
  }

  /** Slices are numbered without gaps: a gap is what a node leaves that leaves out logs. */
  #checkOrder(event: SuretyEvent): void {
    if (event.name !== "Claimed") return;
    const known = this.#state.batches.get(event.id)?.assignments.length ?? event.assignment;
    if (event.assignment <= known) return;
    throw new SuretyError("EVENT_MISSING", `slice ${event.assignment} was claimed, but nobody saw slice ${known}`, {
      details: { batch: event.id, blockNumber: event.blockNumber },
      fix: "Use other nodes of the chain, move the journal away and let the agent read the chain anew.",
      exit: ExitStatus.unavailable,
    });
  }

  #setAside({ blockNumber, logIndex, topics }: RawEvent, error: unknown): void {
    // Every event of a batch has its id first.
    const batchId = topics[1]?.toLowerCase();
    const known = batchId !== undefined && this.#state.batches.delete(batchId);
    this.#logger.error(
      { error, blockNumber, logIndex, ...(known ? { batchId } : {}) },
      "set aside an event that makes no sense",
    );
  }
}
