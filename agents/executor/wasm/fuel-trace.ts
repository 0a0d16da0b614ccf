import { MAX_TRACE_SAMPLES, type ResourceTrace, type WasmSample } from "#sdk/resource-trace.ts";

/** Units of fuel from sample to sample at first; doubles whenever the trace is full. */
export const FIRST_FUEL_INTERVAL = 65_536;

/**
 * Samples a program at an interval of fuel. Its memory and output change only where the host is asked, so the host
 * need not interrupt it: what held at the samples that a program passed on its own is known the next time it calls.
 */
export class FuelTrace {
  #samples: WasmSample[] = [];
  #every = FIRST_FUEL_INTERVAL;
  #next = FIRST_FUEL_INTERVAL;

  /** Units of fuel at which the next sample is due. */
  get next(): number {
    return this.#next;
  }

  /** Takes the samples that became due while nothing changed, the one at `fuel` included. */
  advance(fuel: number, state: Omit<WasmSample, "at">): void {
    while (this.#next <= fuel) {
      this.#samples.push({ at: this.#next, ...state });
      // One is for the end.
      if (this.#samples.length === MAX_TRACE_SAMPLES - 1) {
        this.#every *= 2;
        this.#samples = this.#samples.filter(({ at }) => at % this.#every === 0);
      }
      this.#next = (Math.floor(this.#next / this.#every) + 1) * this.#every;
    }
  }

  /**
   * @param fuel Units burned in all, at least as many as before.
   * @returns undefined where there is more fuel than a number can count
   */
  end(fuel: number, state: Omit<WasmSample, "at">): ResourceTrace | undefined {
    if (!Number.isSafeInteger(fuel)) return undefined;
    this.advance(fuel, state);
    const samples = this.#samples.filter(({ at }) => at < fuel);
    return { version: 1, source: "wasm", every: this.#every, samples: [...samples, { at: fuel, ...state }] };
  }
}
