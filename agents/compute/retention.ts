import { contentIdFromBytes32 } from "#sdk/content.ts";
import type { MarketState } from "#sdk/market-state.ts";
import type { TaskResult } from "#sdk/result-manifest.ts";
import type { Storage } from "#sdk/storage.ts";
import type { Journal } from "../journal/journal.ts";
import type { Logger } from "../logger.ts";

/** What a {@link Retention} works with. */
export interface RetentionDependencies {
  journal: Journal;
  storage: Storage;
  logger: Logger;
  /** How long what was delivered stays once its batch has ended, seconds of chain time. */
  keepSeconds: number;
}

/** A block as far as retention looks at it. */
interface Moment {
  /** Seconds. */
  timestamp: number;
  finalNumber: number;
}

/** Between two looks, seconds of chain time. */
const EVERY_SECONDS = 600;

/**
 * Keeps what this node delivered, or fetched as a juror, until nobody can ask for it any more, and lets go of it then:
 * while a batch is open a panel may be drawn that has to find everything, and after that its requester gets some time
 * to bring its results home.
 */
export class Retention {
  readonly #dependencies: RetentionDependencies;
  /** Batches of which nothing is kept any more. */
  readonly #done = new Set<string>();
  #lastLook = -Infinity;

  constructor(dependencies: RetentionDependencies) {
    this.#dependencies = dependencies;
  }

  /**
   * Keeps somebody else's content until its batch has ended.
   *
   * @throws StorageError as {@link Storage.pin}
   */
  async pin(batchId: string, cid: string, { signal }: { signal?: AbortSignal } = {}): Promise<void> {
    const { journal, storage } = this.#dependencies;
    journal.put("pin", `${batchId}:${cid}`, cid);
    await storage.pin(cid, { signal });
  }

  /**
   * Lets go of what belongs to batches that ended long enough ago in a final block. Looks every ten minutes only.
   *
   * @returns how many directories were let go
   * @throws StorageError if the storage fails
   */
  async release(state: MarketState, { timestamp, finalNumber }: Moment): Promise<number> {
    if (timestamp - this.#lastLook < EVERY_SECONDS) return 0;
    this.#lastLook = timestamp;
    const { storage, logger, keepSeconds } = this.#dependencies;
    let released = 0;
    for (const { id, closed } of state.batches.values()) {
      if (!closed || closed.block > finalNumber || closed.at + keepSeconds > timestamp || this.#done.has(id)) continue;
      for (const cid of this.#keptFor(id)) {
        await storage.unpin(cid);
        released += 1;
      }
      this.#done.add(id);
    }
    if (released > 0) {
      const blocks = await storage.collect?.();
      logger.info({ directories: released, blocks }, "let go of what was delivered long ago");
    }
    return released;
  }

  /** Content ids of what is or was kept for a batch. */
  #keptFor(batchId: string): string[] {
    const { journal } = this.#dependencies;
    const prefix = `${batchId}:`;
    const results = [...journal.list("result", { prefix }).values()] as TaskResult[];
    const commitments = [...journal.list("commitment", { prefix }).values()] as { manifest: string }[];
    return [
      ...results.map(({ sealedOutput }) => sealedOutput),
      ...commitments.map(({ manifest }) => contentIdFromBytes32(manifest)),
      ...([...journal.list("pin", { prefix }).values()] as string[]),
    ];
  }
}
