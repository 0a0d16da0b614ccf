import { systemClock, type Clock } from "#sdk/clock.ts";
import type { Logger } from "./logger.ts";

/** How an agent winds down. */
export interface DrainOptions {
  /** How long what has begun may go on, seconds. 0: it ends at once. */
  seconds: number;
  /** Between two looks at whether all is done, milliseconds. */
  pollMs: number;
}

/** What a {@link Drain} works with. */
export interface DrainDependencies {
  /** Aborted when the agent is asked to end. */
  asked: AbortSignal;
  logger: Logger;
  /** Default: the machine's. */
  clock?: Clock;
}

/**
 * The way from being asked to end to the end: nothing new is begun, what was begun finishes, and what takes too long
 * is left for the next start.
 *
 * @example
 * ```ts
 * const drain = new Drain({ seconds: 30, pollMs: 500 }, { asked: signal, logger });
 * await drain.during(() => agent.run(act, { signal: drain.ended }), () => agent.isIdle);
 * ```
 */
export class Drain {
  /** Aborted at the end, with the reason that the agent was asked to end for. */
  readonly ended: AbortSignal;
  readonly #options: DrainOptions;
  readonly #asked: AbortSignal;
  readonly #logger: Logger;
  readonly #clock: Clock;
  readonly #controller = new AbortController();
  #isAtWork = false;

  constructor(options: DrainOptions, { asked, logger, clock = systemClock }: DrainDependencies) {
    this.ended = this.#controller.signal;
    this.#options = options;
    this.#asked = asked;
    this.#logger = logger;
    this.#clock = clock;
    // Whoever has begun nothing, or may not take its time, has nothing to wait for.
    const end = (): void => {
      if (!this.#isAtWork || options.seconds === 0) this.#end();
    };
    if (asked.aborted) end();
    else asked.addEventListener("abort", end, { once: true });
  }

  /** Whether nothing new may be begun. */
  get hasBegun(): boolean {
    return this.#asked.aborted;
  }

  /**
   * Sees work through: once asked to end, waits until nothing is left of it, or time is up, and aborts
   * {@link Drain.ended}.
   *
   * @param work Must return once {@link Drain.ended} aborts.
   * @param isIdle Whether nothing that was begun is going on.
   * @throws what the work throws
   */
  async during(work: () => Promise<void>, isIdle: () => boolean): Promise<void> {
    if (this.ended.aborted) return;
    this.#isAtWork = true;
    const watching = this.#watch(isIdle);
    try {
      await work();
    } finally {
      this.#end();
      await watching;
    }
  }

  async #watch(isIdle: () => boolean): Promise<void> {
    const either = AbortSignal.any([this.#asked, this.ended]);
    if (!either.aborted) await new Promise((resolve) => either.addEventListener("abort", resolve, { once: true }));
    if (this.ended.aborted) return;
    const { seconds, pollMs } = this.#options;
    const until = this.#clock.now() + seconds * 1000;
    this.#logger.info({ seconds }, "draining");
    while (!this.ended.aborted) {
      if (isIdle()) {
        this.#logger.info("drained");
        this.#end();
      } else if (this.#clock.now() >= until) {
        this.#logger.warn({ seconds }, "out of time to drain, leaves the rest for the next start");
        this.#end();
      } else {
        // What ends the wait is looked at next.
        await this.#clock.sleep(pollMs, { signal: this.ended }).catch(() => undefined);
      }
    }
  }

  #end(): void {
    this.#controller.abort(this.#asked.reason);
  }
}
