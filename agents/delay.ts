import { setTimeout as delay } from "node:timers/promises";

/** Waits, or returns early once the signal aborts. */
export async function abortableDelay(milliseconds: number, signal: AbortSignal): Promise<void> {
  await delay(milliseconds, undefined, { signal }).catch(() => undefined);
}
