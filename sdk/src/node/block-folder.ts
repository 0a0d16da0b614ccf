import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { FsBlockstore } from "blockstore-fs";
import { base32upper } from "multiformats/bases/base32";
import type { CID } from "multiformats/cid";
import { verifyBlock } from "../block.ts";
import type { Block } from "../block.ts";
import { StorageError } from "../storage.ts";

/**
 * Blocks as files of a folder. Each is written to a temporary name and renamed, so a killed process leaves no half
 * block; and each is verified when read, so what a power failure or a bad disk left is dropped, not handed out.
 */
export class BlockFolder {
  readonly #folder: string;
  readonly #store: FsBlockstore;
  /** Writes under way: two writers of one block would share its temporary name. */
  readonly #writing = new Map<string, Promise<boolean>>();

  constructor(folder: string) {
    this.#folder = folder;
    this.#store = new FsBlockstore(folder);
  }

  /** @throws StorageError `STORAGE_FAILED` when the folder cannot be made or written */
  async open(): Promise<void> {
    await this.#local("open", () => this.#store.open());
  }

  /**
   * A block's bytes, verified, or `undefined`. A damaged copy is deleted and counts as absent.
   *
   * @throws StorageError `CONTENT_INVALID` on an id that no directory has
   */
  async get(cid: CID): Promise<Uint8Array | undefined> {
    const parts: Uint8Array[] = [];
    try {
      for await (const part of this.#store.get(cid)) parts.push(part);
    } catch {
      return undefined;
    }
    const bytes = parts.length === 1 ? parts[0]! : new Uint8Array(Buffer.concat(parts));
    try {
      await verifyBlock(cid, bytes);
    } catch (error) {
      if (!(error instanceof StorageError) || error.code !== "CONTENT_CORRUPT") throw error;
      await this.delete(cid);
      return undefined;
    }
    return bytes;
  }

  /** Whether there is an undamaged copy. */
  async has(cid: CID): Promise<boolean> {
    return (await this.get(cid)) !== undefined;
  }

  /**
   * Writes a block whose bytes are verified.
   *
   * @returns false if an undamaged copy was there
   * @throws StorageError `STORAGE_FAILED`, for one on a full disk
   */
  async put({ cid, bytes }: Block): Promise<boolean> {
    const key = digestKey(cid);
    const underWay = this.#writing.get(key);
    if (underWay) {
      await underWay;
      return false;
    }
    const writing = (async () => {
      if (await this.has(cid)) return false;
      await this.#local("write to", () => this.#store.put(cid, bytes));
      return true;
    })();
    this.#writing.set(key, writing);
    try {
      return await writing;
    } finally {
      this.#writing.delete(key);
    }
  }

  async delete(cid: CID): Promise<void> {
    await this.#local("delete from", () => this.#store.delete(cid));
  }

  /**
   * Deletes every block that is not among `kept`, and what killed writers left. Nothing may be written meanwhile.
   *
   * @param kept - keys by {@link digestKey}
   * @returns how many blocks were deleted
   */
  async retain(kept: ReadonlySet<string>): Promise<number> {
    let deleted = 0;
    await this.#local("clean up", async () => {
      for (const shard of await readdir(this.#folder, { withFileTypes: true })) {
        if (!shard.isDirectory()) continue;
        for (const name of await readdir(join(this.#folder, shard.name))) {
          const block = /^([A-Z2-7]+)\.data$/.exec(name);
          if (block && kept.has(block[1]!)) continue;
          await rm(join(this.#folder, shard.name, name), { force: true });
          if (block) deleted += 1;
        }
      }
    });
    return deleted;
  }

  async #local<T>(verb: string, work: () => T | Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (cause) {
      throw new StorageError("STORAGE_FAILED", `could not ${verb} the block folder ${this.#folder}`, {
        details: { folder: this.#folder },
        fix: "Check free space and permissions.",
        cause,
      });
    }
  }
}

/** What a block's file is named by: its multihash, whatever its codec. */
export function digestKey(cid: CID): string {
  return base32upper.encode(cid.multihash.bytes);
}
