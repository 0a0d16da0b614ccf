/** Ends a request that stalls or takes too long altogether, or that its caller gave up. */
export class Deadline {
  /** Aborted with a `TimeoutError`, or with the caller's own reason. */
  readonly signal: AbortSignal;
  readonly #controller = new AbortController();
  readonly #stallTimeout: number;
  readonly #total: ReturnType<typeof setTimeout>;
  #stall: ReturnType<typeof setTimeout>;

  /** Both timeouts in milliseconds. Runs until {@link Deadline.end}. */
  constructor(stallTimeout: number, totalTimeout: number, signal: AbortSignal | undefined) {
    this.#stallTimeout = stallTimeout;
    this.signal = signal ? AbortSignal.any([signal, this.#controller.signal]) : this.#controller.signal;
    this.#total = setTimeout(() => this.#abort(`not done after ${totalTimeout} ms`), totalTimeout);
    this.#stall = this.#startStall();
  }

  /** Something came: the time for a stall starts anew. */
  progressed(): void {
    clearTimeout(this.#stall);
    this.#stall = this.#startStall();
  }

  /** Stops the clocks. */
  end(): void {
    clearTimeout(this.#total);
    clearTimeout(this.#stall);
  }

  #startStall(): ReturnType<typeof setTimeout> {
    return setTimeout(() => this.#abort(`nothing came for ${this.#stallTimeout} ms`), this.#stallTimeout);
  }

  #abort(reason: string): void {
    this.#controller.abort(new DOMException(reason, "TimeoutError"));
  }
}
