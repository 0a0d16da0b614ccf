import type { Storage } from "#sdk/storage.ts";
import type { Executor } from "../executor/executor.ts";
import { checkPrograms, fetchRelease, type VerifiedRelease } from "../schema/release.ts";

/** How many releases are kept at hand. */
const KEPT = 16;

/**
 * Fetches releases of schemas, checks them against what the chain says and against what this host can run, and keeps
 * them at hand. A request runs the release that it names, whatever was released since.
 */
export class Releases {
  readonly #storage: Storage;
  readonly #executor: Executor;
  readonly #kept = new Map<string, Promise<VerifiedRelease>>();

  constructor({ storage, executor }: { storage: Storage; executor: Executor }) {
    this.#storage = storage;
    this.#executor = executor;
  }

  /**
   * @param digest What the contract has: 32 bytes, hexadecimal.
   * @throws what {@link fetchRelease} and {@link checkPrograms} throw
   */
  of(digest: string, { signal }: { signal?: AbortSignal } = {}): Promise<VerifiedRelease> {
    const known = this.#kept.get(digest);
    if (known) return known;
    const loading = this.#load(digest, signal);
    this.#kept.set(digest, loading);
    // What failed may succeed next time.
    loading.catch(() => this.#kept.delete(digest));
    for (const key of this.#kept.keys()) {
      if (this.#kept.size <= KEPT) break;
      this.#kept.delete(key);
    }
    return loading;
  }

  async #load(digest: string, signal?: AbortSignal): Promise<VerifiedRelease> {
    const release = await fetchRelease(this.#storage, digest, { signal });
    await checkPrograms(this.#executor, release.programs, { signal });
    return release;
  }
}
