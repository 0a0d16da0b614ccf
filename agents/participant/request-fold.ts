import type { RawEvent } from "#sdk/event-store.ts";
import { decodeEvent } from "#sdk/events.ts";
import { decodeRequestEvent } from "#sdk/request-events.ts";
import { RequestState } from "#sdk/request-state.ts";
import type { ChainFold } from "../chain-agent.ts";
import type { Logger } from "../logger.ts";
import { Ledger, type LedgerTotals } from "../monitoring/ledger.ts";

/** Whose requests they are. */
export interface RequestFoldOptions {
  /** Address of the contract of requests. */
  requests: string;
  /** The account whose money is counted. */
  account: string;
}

/**
 * What an agent knows of evaluated jobs: all events, folded. A request or schema with an event that makes no sense is
 * set aside, so that the others go on.
 *
 * @example
 * ```ts
 * const fold = new RequestFold({ requests, account }, { logger });
 * fold.add(events);
 * fold.state.open.length;
 * ```
 */
export class RequestFold implements ChainFold {
  readonly #options: RequestFoldOptions;
  readonly #logger: Logger;
  #state = new RequestState();
  #ledger: Ledger;

  constructor(options: RequestFoldOptions, { logger }: { logger: Logger }) {
    this.#options = options;
    this.#logger = logger;
    this.#ledger = this.#newLedger();
  }

  /** Replaced by {@link RequestFold.restart}: do not keep it. */
  get state(): RequestState {
    return this.#state;
  }

  get totals(): LedgerTotals {
    return this.#ledger.totals;
  }

  restart(): void {
    this.#state = new RequestState();
    this.#ledger = this.#newLedger();
  }

  add(events: readonly RawEvent[]): void {
    for (const raw of events) {
      try {
        const event = decodeRequestEvent(raw);
        if (event) {
          this.#state.apply(event);
          continue;
        }
        const moved = decodeEvent(raw);
        if (moved) this.#ledger.apply(moved);
      } catch (error) {
        this.#setAside(raw, error);
      }
    }
  }

  #newLedger(): Ledger {
    const { requests, account } = this.#options;
    // No stake: nobody is slashed here, and all is locked in one ledger.
    return new Ledger({ account, market: requests, registry: requests });
  }

  #setAside({ blockNumber, logIndex, topics }: RawEvent, error: unknown): void {
    // Events of a request or schema have its id first.
    const id = topics[1]?.toLowerCase() ?? "";
    const known = this.#state.requests.delete(id) || this.#state.schemas.delete(id);
    this.#logger.error(
      { error, blockNumber, logIndex, ...(known ? { id } : {}) },
      "set aside an event that makes no sense",
    );
  }
}
