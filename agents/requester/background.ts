import { systemClock } from "#sdk/clock.ts";
import { SuretyError } from "#sdk/errors.ts";
import type { Logger } from "../logger.ts";

/** Wait after the first failed try, milliseconds; doubles up to {@link LONGEST_WAIT_MS}. */
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 10_000;

/** What goes on beside the chain: reading results, running tasks, fetching outputs. */
export class Background {
  readonly #running = new Map<string, Promise<void>>();
  readonly #logger: Logger;
  readonly #signal: AbortSignal;

  constructor({ logger, signal }: { logger: Logger; signal: AbortSignal }) {
    this.#logger = logger;
    this.#signal = signal;
  }

  /** Does something, once at a time; what fails is logged, and tried again when next asked for. */
  run(key: string, work: () => Promise<void>): void {
    if (this.#running.has(key)) return;
    const running = work()
      .catch((error: unknown) => {
        if (!this.#signal.aborted) this.#logger.error({ error }, "something in the background failed");
      })
      .finally(() => this.#running.delete(key));
    this.#running.set(key, running);
  }

  /** Whether nothing goes on. */
  get isIdle(): boolean {
    return this.#running.size === 0;
  }

  /** Whether it is going on. */
  has(key: string): boolean {
    return this.#running.has(key);
  }

  /** Resolves once nothing goes on any more. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#running.values());
  }
}

/** How long to try. */
export interface Patience {
  /** Seconds from the first try to the last. */
  seconds: number;
  signal: AbortSignal;
}

/**
 * Tries again what may pass, until patience runs out.
 *
 * @throws what the last try threw, or what will not pass; the signal's reason once it aborts
 */
export async function patiently<T>(work: () => Promise<T>, { seconds, signal }: Patience): Promise<T> {
  const until = systemClock.now() + seconds * 1000;
  for (let wait = FIRST_WAIT_MS; ; wait = Math.min(2 * wait, LONGEST_WAIT_MS)) {
    try {
      return await work();
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof SuretyError) || error.kind === "fatal" || systemClock.now() >= until) throw error;
      // An abort ends the wait; what follows looks at the signal.
      await systemClock.sleep(wait, { signal }).catch(() => undefined);
    }
  }
}
