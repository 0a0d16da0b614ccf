import { systemClock, type Clock } from "#sdk/clock.ts";
import { SuretyError } from "#sdk/errors.ts";

/** Something without which an agent cannot do its work. Throws if it is not there. */
export type Check = (options: { signal: AbortSignal }) => Promise<void>;

/** What a {@link Health} looks at. */
export interface HealthOptions {
  /** By the names that answers have for them. */
  checks: Readonly<Record<string, Check>>;
  /** When the agent's loop came round last, milliseconds. */
  lastSign(): number;
  isDraining(): boolean;
}

/** What somebody who asks is told. */
export interface HealthReport {
  ok: boolean;
  /** By what was looked at: `ok`, or what is wrong, mostly an error's code. */
  checks: Record<string, string>;
}

/** An agent whose loop has not come round for longer is stuck, milliseconds. It comes round at least every minute. */
const STUCK_MS = 600_000;
/** A check that takes longer has failed, milliseconds. */
const CHECK_MS = 5_000;
/** For how long what was found is told to others who ask, milliseconds. */
const KEPT_MS = 10_000;

/** Whether an agent lives, and whether it can do its work. */
export class Health {
  readonly #options: HealthOptions;
  readonly #clock: Clock;
  #last: { at: number; found: Promise<Record<string, string>> } | undefined;

  constructor(options: HealthOptions, { clock = systemClock }: { clock?: Clock } = {}) {
    this.#options = options;
    this.#clock = clock;
  }

  /** Not `ok`: it will not come back by itself. */
  live(): HealthReport {
    const seconds = Math.round((this.#clock.now() - this.#options.lastSign()) / 1000);
    const ok = seconds * 1000 <= STUCK_MS;
    return { ok, checks: { loop: ok ? "ok" : `stuck for ${seconds} s` } };
  }

  /** Not `ok`: it cannot work now. */
  async ready(): Promise<HealthReport> {
    const found = await this.#lookedAt();
    const checks = { ...found, taking: this.#options.isDraining() ? "draining" : "ok" };
    return { ok: Object.values(checks).every((each) => each === "ok"), checks };
  }

  #lookedAt(): Promise<Record<string, string>> {
    const now = this.#clock.now();
    if (this.#last === undefined || now - this.#last.at >= KEPT_MS) this.#last = { at: now, found: this.#look() };
    return this.#last.found;
  }

  async #look(): Promise<Record<string, string>> {
    const found = Object.entries(this.#options.checks).map(async ([name, check]): Promise<[string, string]> => [
      name,
      await outcomeOf(check),
    ]);
    return Object.fromEntries(await Promise.all(found));
  }
}

async function outcomeOf(check: Check): Promise<string> {
  const signal = AbortSignal.timeout(CHECK_MS);
  const late = new Promise<never>((_, reject) =>
    signal.addEventListener("abort", () => reject(signal.reason as Error), { once: true }),
  );
  try {
    await Promise.race([check({ signal }), late]);
    return "ok";
  } catch (error) {
    if (signal.aborted) return "no answer";
    // Messages may name places that are nobody's business.
    return error instanceof SuretyError ? error.code : "failed";
  }
}
