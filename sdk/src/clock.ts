/** Where the time comes from, so that tests need not wait for it. */
export interface Clock {
  /** Milliseconds, to be compared with each other. Not the chain's time: deadlines are judged by block timestamps. */
  now(): number;
  /** Resolves after `milliseconds`; rejects with the signal's reason as soon as it aborts. */
  sleep(milliseconds: number, options?: { signal?: AbortSignal }): Promise<void>;
}

/** The machine's time as it passes: setting the machine's clock, an hour back or forth, does not move it. */
export const systemClock: Clock = {
  now: () => performance.timeOrigin + performance.now(),
  sleep: (milliseconds, { signal } = {}) =>
    new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const onAbort = (): void => {
        clearTimeout(timer);
        reject(signal?.reason);
      };
      const timer = setTimeout(() => {
        signal?.removeEventListener("abort", onAbort);
        resolve();
      }, milliseconds);
      signal?.addEventListener("abort", onAbort, { once: true });
    }),
};
