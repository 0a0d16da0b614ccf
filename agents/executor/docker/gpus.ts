import type { GpuRequest } from "#sdk/container-spec.ts";
import { ExitStatus, SuretyError } from "#sdk/errors.ts";
import type { GpuOffer } from "../../config/executor.ts";

/** Lends the host's GPUs: each to one task at a time, in the order in which tasks ask. */
export class GpuPool {
  readonly #offers: readonly GpuOffer[];
  readonly #lent = new Set<string>();
  readonly #waiting: { request: GpuRequest; take: (ids: string[]) => void }[] = [];

  constructor(offers: readonly GpuOffer[]) {
    this.#offers = offers;
  }

  /** @throws SuretyError `GPU_UNAVAILABLE` if a request could never be met */
  check(request: GpuRequest): string[] {
    const fitting = this.#fitting(request);
    if (fitting.length >= request.count) return fitting.slice(0, request.count);
    const { count, memory } = request;
    throw new SuretyError(
      "GPU_UNAVAILABLE",
      `the job wants ${count} GPUs, this host offers ${fitting.length} that fit`,
      {
        details: { wanted: count, memory, offered: this.#offers.length, fitting: fitting.length },
        fix: "Leave it to other hosts, or name the host's GPUs in the configuration: executor.gpus.",
        exit: ExitStatus.badInput,
      },
    );
  }

  /**
   * Waits until the GPUs are free.
   *
   * @throws SuretyError as {@link GpuPool.check}; the signal's reason
   */
  async lend(request: GpuRequest, signal: AbortSignal): Promise<{ ids: string[]; giveBack: () => void }> {
    this.check(request);
    const ids = await new Promise<string[]>((resolve, reject) => {
      signal.throwIfAborted();
      const asking = { request, take: resolve };
      this.#waiting.push(asking);
      signal.addEventListener(
        "abort",
        () => {
          const place = this.#waiting.indexOf(asking);
          if (place < 0) return;
          this.#waiting.splice(place, 1);
          reject(signal.reason as Error);
          this.#serve();
        },
        { once: true },
      );
      this.#serve();
    });
    const giveBack = (): void => {
      for (const id of ids) this.#lent.delete(id);
      this.#serve();
    };
    return { ids, giveBack };
  }

  #serve(): void {
    for (let first = this.#waiting[0]; first !== undefined; first = this.#waiting[0]) {
      const free = this.#fitting(first.request).filter((id) => !this.#lent.has(id));
      // Nobody is let past: who wants many would wait for ever.
      if (free.length < first.request.count) return;
      const ids = free.slice(0, first.request.count);
      for (const id of ids) this.#lent.add(id);
      this.#waiting.shift();
      first.take(ids);
    }
  }

  #fitting({ memory }: GpuRequest): string[] {
    return this.#offers
      .filter((offer) => memory === undefined || (offer.memory !== undefined && offer.memory >= memory))
      .map(({ id }) => id);
  }
}
