import { systemClock, type Clock } from "#sdk/clock.ts";
import { ExitStatus, SuretyError } from "#sdk/errors.ts";
import type { Endpoint } from "./endpoint.ts";

/** What a {@link CrossCheck} takes for a fault. */
export interface CrossCheckOptions {
  /** Blocks that many below every endpoint's newest must be the same everywhere. */
  finalDepth: number;
  /** An endpoint is stale that lacks what another had so long ago, milliseconds. Default 30000. */
  maxLagMs?: number;
  /** Between two looks, milliseconds. Default 15000. */
  everyMs?: number;
}

/** What a {@link CrossCheck} works with. */
export interface CrossCheckDependencies {
  /** In order of preference. */
  endpoints: readonly Endpoint[];
  /** Default: the machine's. */
  clock?: Clock;
}

/** A block as a node names it. */
interface Sight {
  endpoint: Endpoint;
  number: number;
  hash: string;
}

/**
 * Asks all endpoints the same and puts those aside that are behind the others, or that have another block where the
 * chain should not change its mind any more. Which is wrong there: the smaller side; of two sides of one size the one
 * without the endpoint that stands first in the configuration.
 *
 * @example
 * ```ts
 * const check = new CrossCheck({ finalDepth: 64 }, { endpoints: rpc.endpoints });
 * await check.run({ signal });
 * ```
 */
export class CrossCheck {
  readonly #options: Required<CrossCheckOptions>;
  readonly #endpoints: readonly Endpoint[];
  readonly #clock: Clock;
  /** Heights that were seen, and when. */
  #seen: { at: number; endpoint: Endpoint; number: number }[] = [];

  constructor(options: CrossCheckOptions, { endpoints, clock = systemClock }: CrossCheckDependencies) {
    this.#options = { maxLagMs: 30_000, everyMs: 15_000, ...options };
    this.#endpoints = endpoints;
    this.#clock = clock;
  }

  /** Looks again and again until the signal aborts, and then resolves. With one endpoint there is nothing to compare. */
  async run({ signal }: { signal: AbortSignal }): Promise<void> {
    while (!signal.aborted && this.#endpoints.length > 1) {
      await this.look({ signal }).catch((error: unknown) => {
        if (!signal.aborted) throw error;
      });
      await this.#clock.sleep(this.#options.everyMs, { signal }).catch(() => undefined);
    }
  }

  /**
   * Looks once. Endpoints that are put aside already, or do not answer, have no say.
   *
   * @throws the signal's reason once it aborts
   */
  async look({ signal }: { signal?: AbortSignal } = {}): Promise<void> {
    const asked = this.#endpoints.filter(({ isDoubted }) => !isDoubted);
    if (asked.length < 2) return;
    const heads = await this.#sights(asked, "latest", signal);
    const present = heads.filter((head) => !this.#isStale(head));
    this.#remember(heads);
    const lowest = Math.min(...present.map(({ number }) => number));
    const number = lowest - this.#options.finalDepth;
    if (present.length < 2 || number < 0) return;
    const endpoints = present.map(({ endpoint }) => endpoint);
    this.#compare(await this.#sights(endpoints, number, signal));
  }

  async #sights(endpoints: Endpoint[], which: "latest" | number, signal: AbortSignal | undefined): Promise<Sight[]> {
    const params = [typeof which === "number" ? `0x${which.toString(16)}` : which, false];
    const answers = await Promise.allSettled(
      endpoints.map((endpoint) => endpoint.request("eth_getBlockByNumber", params, { signal })),
    );
    signal?.throwIfAborted();
    return endpoints.flatMap((endpoint, index) => {
      const answer = answers[index];
      if (answer?.status !== "fulfilled") return [];
      const { number, hash } = (answer.value ?? {}) as { number?: unknown; hash?: unknown };
      const height = typeof number === "string" ? Number(number) : NaN;
      return Number.isSafeInteger(height) && typeof hash === "string" ? [{ endpoint, number: height, hash }] : [];
    });
  }

  /** Blames an endpoint that lacks what another has had for too long. */
  #isStale({ endpoint, number }: Sight): boolean {
    const limit = this.#clock.now() - this.#options.maxLagMs;
    const before = this.#seen.find((each) => each.endpoint !== endpoint && each.at <= limit && each.number > number);
    if (!before || before.endpoint.isDoubted) return false;
    const name = endpoint.name;
    endpoint.blame(
      new SuretyError("RPC_BEHIND", `${name} is at block ${number}, ${before.endpoint.name} was at ${before.number}`, {
        details: {
          endpoint: name,
          node: number,
          other: before.number,
          limitMs: this.#options.maxLagMs,
        },
        fix: "Its provider lags or hangs; the others are used meanwhile.",
        exit: ExitStatus.unavailable,
      }),
    );
    return true;
  }

  /** Keeps the heights of the last while, and of what is older the newest of each endpoint: that is what is held against others. */
  #remember(heads: readonly Sight[]): void {
    const at = this.#clock.now();
    const limit = at - this.#options.maxLagMs;
    const newestOld = this.#endpoints.flatMap((endpoint) => {
      const old = this.#seen.findLast((each) => each.endpoint === endpoint && each.at <= limit);
      return old ? [old] : [];
    });
    const recent = this.#seen.filter((each) => each.at > limit);
    this.#seen = [...newestOld, ...recent, ...heads.map(({ endpoint, number }) => ({ at, endpoint, number }))];
  }

  /** Blames those that have another block than most. */
  #compare(sights: readonly Sight[]): void {
    const sides = new Map<string, Sight[]>();
    for (const sight of sights) sides.set(sight.hash, [...(sides.get(sight.hash) ?? []), sight]);
    if (sides.size < 2) return;
    // Sorting is stable: of sides of one size the first was begun by the endpoint that is preferred.
    const [right = [], ...wrong] = [...sides.values()].toSorted((a, b) => b.length - a.length);
    const others = right.map(({ endpoint }) => endpoint.name).join(", ");
    for (const { endpoint, number, hash } of wrong.flat()) {
      const expected = right[0]?.hash;
      endpoint.blame(
        new SuretyError("RPC_CONTRADICTED", `${endpoint.name} has another block ${number} than ${others}`, {
          details: { endpoint: endpoint.name, number, actual: hash, expected, others },
          fix: "One of them is on a fork, or lies. Ask their providers; three endpoints or more make a majority.",
          exit: ExitStatus.unavailable,
        }),
      );
    }
  }
}
