import type { Head } from "#sdk/follower.ts";
import type { RequestState } from "#sdk/request-state.ts";
import type { Storage } from "#sdk/storage.ts";
import type { Journal } from "../journal/journal.ts";
import type { Logger } from "../logger.ts";

/** What a {@link Retention} works with. */
export interface RetentionDependencies {
  journal: Journal;
  storage: Storage;
  privateStorage: Storage;
  logger: Logger;
  /** How long content stays once its request has ended, seconds of chain time. */
  keepSeconds: number;
}

/** Between two looks, seconds of chain time. */
const EVERY_SECONDS = 600;

/** Keeps content of requests, own and others', and lets go of it some time after they have ended. */
export class Retention {
  readonly #dependencies: RetentionDependencies;
  readonly #done = new Set<string>();
  #lastLook = -Infinity;

  constructor(dependencies: RetentionDependencies) {
    this.#dependencies = dependencies;
  }

  /** Notes that content was stored for a request, before it is: so that none is forgotten. */
  note(id: string, cid: string): void {
    this.#dependencies.journal.put("kept", `${id}:${cid}`, cid);
  }

  /**
   * Lets go of what belongs to requests that ended long enough ago in a final block, and of what was only fetched. Looks
   * every ten minutes only.
   *
   * @returns how many directories were let go
   * @throws StorageError if a storage fails
   */
  async release(state: RequestState, { timestamp, finalNumber }: Pick<Head, "timestamp" | "finalNumber">) {
    if (timestamp - this.#lastLook < EVERY_SECONDS) return 0;
    this.#lastLook = timestamp;
    const { journal, storage, privateStorage, logger, keepSeconds } = this.#dependencies;
    let released = 0;
    let ended = 0;
    for (const { id, outcome } of state.requests.values()) {
      const isOver = outcome && outcome.block <= finalNumber && outcome.at + keepSeconds <= timestamp;
      if (!isOver || this.#done.has(id)) continue;
      for (const cid of journal.list("kept", { prefix: `${id}:` }).values()) {
        await storage.unpin(cid as string);
        await privateStorage.unpin(cid as string);
        released += 1;
      }
      this.#done.add(id);
      ended += 1;
    }
    if (ended > 0) {
      const blocks = ((await storage.collect?.()) ?? 0) + ((await privateStorage.collect?.()) ?? 0);
      if (blocks > 0) logger.info({ directories: released, blocks }, "let go of what requests needed that ended");
    }
    return released;
  }
}
