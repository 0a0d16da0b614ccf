import { systemClock, type Clock } from "#sdk/clock.ts";
import { SuretyError } from "#sdk/errors.ts";
import type { Logger } from "../logger.ts";

/** Wait after the first failed try, milliseconds; doubles up to {@link LONGEST_WAIT_MS}. */
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 10_000;

/** What {@link Tasks} work with. */
export interface TasksDependencies {
  logger: Logger;
  /** Ends what goes on. */
  signal: AbortSignal;
  /** Told how much goes on. */
  onCount?: (count: number) => void;
  /** Default: the machine's. */
  clock?: Clock;
}

/**
 * What goes on beside the chain, each once at a time. What fails and may pass is tried again when it is asked for again,
 * after a while; what fails otherwise is not tried again in this life.
 */
export class Tasks {
  readonly #logger: Logger;
  readonly #signal: AbortSignal;
  readonly #onCount: (count: number) => void;
  readonly #clock: Clock;
  readonly #running = new Map<string, Promise<void>>();
  readonly #failures = new Map<string, { count: number; notBefore: number }>();
  readonly #hopeless = new Set<string>();

  constructor({ logger, signal, onCount = () => undefined, clock = systemClock }: TasksDependencies) {
    this.#logger = logger;
    this.#signal = signal;
    this.#onCount = onCount;
    this.#clock = clock;
  }

  /** Whether nothing goes on. */
  get isIdle(): boolean {
    return this.#running.size === 0;
  }

  /** Begins something, unless it goes on, waits for another try, or was given up. */
  run(key: string, work: () => Promise<void>): void {
    const waits = this.#clock.now() < (this.#failures.get(key)?.notBefore ?? 0);
    if (this.#signal.aborted || this.#running.has(key) || this.#hopeless.has(key) || waits) return;
    const running = work()
      .then(() => void this.#failures.delete(key))
      .catch((error: unknown) => this.#failed(key, error))
      .finally(() => {
        this.#running.delete(key);
        this.#onCount(this.#running.size);
      });
    this.#running.set(key, running);
    this.#onCount(this.#running.size);
  }

  /** Resolves once nothing goes on any more. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#running.values());
  }

  #failed(key: string, error: unknown): void {
    if (this.#signal.aborted) return;
    if (!(error instanceof SuretyError) || error.kind !== "retryable") {
      this.#logger.error({ work: key, error }, "work failed, and is given up");
      this.#hopeless.add(key);
      return;
    }
    const count = (this.#failures.get(key)?.count ?? 0) + 1;
    const wait = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** (count - 1));
    this.#failures.set(key, { count, notBefore: this.#clock.now() + wait });
    this.#logger.warn({ work: key, error }, "work failed, trying again");
  }
}
