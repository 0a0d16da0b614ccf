import { mkdir, open, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import * as raw from "multiformats/codecs/raw";
import type { CID } from "multiformats/cid";
import { blockKey, blockLinks, readCar, walkBlocks, writeCar } from "../block.ts";
import type { Block, BlockSource } from "../block.ts";
import { blockBudget, importDirectory, parseContentId, readDirectory, readFile, streamFile } from "../content.ts";
import type { Directory, DirectorySource } from "../content.ts";
import { GatewayFetch, publish } from "../gateway.ts";
import type { GatewayOptions } from "../gateway.ts";
import { StorageError, defaultMaxPinBytes } from "../storage.ts";
import type { GetOptions, Storage } from "../storage.ts";
import { BlockFolder, digestKey } from "./block-folder.ts";

/** Settings of {@link openEmbeddedStorage}. */
export interface EmbeddedStorageOptions extends Omit<GatewayOptions, "gateways"> {
  /** Where blocks and pins are kept; made if missing. One process at a time may {@link EmbeddedStorage.collect}. */
  folder: string;
  /** Gateways that missing blocks are fetched from, in order. None: only what is here can be read. */
  gateways?: readonly string[];
  /** Gateway that everything added is uploaded to, so that others can fetch it. */
  publishTo?: string;
  /** Bearer token for uploads. */
  token?: string;
  /** One upload must be done within this, in milliseconds. Defaults to 300,000. */
  uploadTimeout?: number;
}

/**
 * Opens a store of blocks in a folder of this machine, fed from trustless gateways over HTTP.
 *
 * @throws StorageError `STORAGE_FAILED`
 *
 * @example
 * ```ts
 * const storage = await openEmbeddedStorage({ folder: "/var/lib/surety/blocks", gateways: ["http://127.0.0.1:8080"] });
 * ```
 */
export async function openEmbeddedStorage(options: EmbeddedStorageOptions): Promise<EmbeddedStorage> {
  const storage = new EmbeddedStorage(options);
  await storage.open();
  return storage;
}

/** What {@link FreshBlocks} keep, bytes. */
const FRESH_BYTES = 1024 * 1024;

/** Blocks that were just written, as far as they are small: to be read again at once, and not from the disk. */
class FreshBlocks {
  readonly #blocks = new Map<string, Uint8Array>();
  #bytes = 0;

  note({ cid, bytes }: Block): void {
    if (this.#bytes + bytes.length > FRESH_BYTES) return;
    this.#bytes += bytes.length;
    this.#blocks.set(blockKey(cid), bytes);
  }

  or(source: BlockSource): BlockSource {
    return async (cid, options) => this.#blocks.get(blockKey(cid)) ?? source(cid, options);
  }
}

/** See {@link openEmbeddedStorage}. */
export class EmbeddedStorage implements Storage {
  readonly #options: EmbeddedStorageOptions;
  readonly #blocks: BlockFolder;
  readonly #pinFolder: string;
  /** Operations that may write blocks not pinned yet; a collection waits for them, and they for it. */
  readonly #active = new Set<Promise<unknown>>();
  #collecting: Promise<unknown> | undefined;

  constructor(options: EmbeddedStorageOptions) {
    this.#options = options;
    this.#blocks = new BlockFolder(join(options.folder, "blocks"));
    this.#pinFolder = join(options.folder, "pins");
  }

  /** Called by {@link openEmbeddedStorage}. */
  async open(): Promise<void> {
    await this.#blocks.open();
    await this.#pinning(() => mkdir(this.#pinFolder, { recursive: true }));
  }

  async add(directory: DirectorySource, options: { signal?: AbortSignal } = {}): Promise<string> {
    return this.#use(async () => {
      const fresh = new FreshBlocks();
      const put = async (block: Block): Promise<void> => {
        fresh.note(block);
        await this.#blocks.put(block);
      };
      const root = await importDirectory(directory, put, options);
      await this.#writePin(root);
      const { publishTo } = this.#options;
      if (publishTo !== undefined) {
        const car = (): AsyncGenerator<Uint8Array> => writeCar(root, walkBlocks(root, fresh.or(this.#here), options));
        await publish(root, car, { ...this.#options, ...options, publishTo });
      }
      return root.toString();
    });
  }

  async get(cid: string, options: GetOptions): Promise<Directory> {
    const root = parseContentId(cid);
    return this.#use(() => {
      const fetch = this.#fetch(blockBudget(options).bytes);
      return readDirectory(root, this.#source(fetch, "all"), options);
    });
  }

  async getFile(cid: string, path: string, options: { maxBytes: number; signal?: AbortSignal }): Promise<Uint8Array> {
    const root = parseContentId(cid);
    return this.#use(() => {
      // The walk itself caps what it reads of the file and of the folders on the way.
      const fetch = this.#fetch(Number.MAX_SAFE_INTEGER / 4);
      return readFile(root, path, this.#source(fetch, "block"), options);
    });
  }

  async *streamFile(
    cid: string,
    path: string,
    options: { maxBytes: number; signal?: AbortSignal },
  ): AsyncGenerator<Uint8Array, void, undefined> {
    const root = parseContentId(cid);
    while (this.#collecting) await this.#collecting.catch(() => {});
    // A collection waits until the reader is done, or has gone.
    const { promise: reading, resolve: done } = Promise.withResolvers<void>();
    this.#active.add(reading);
    try {
      yield* streamFile(root, path, this.#source(this.#fetch(Number.MAX_SAFE_INTEGER / 4), "block"), options);
    } finally {
      this.#active.delete(reading);
      done();
    }
  }

  async has(cid: string, options: { signal?: AbortSignal } = {}): Promise<boolean> {
    return this.#complete(parseContentId(cid), options.signal);
  }

  async pin(cid: string, options: { maxBytes?: number; signal?: AbortSignal } = {}): Promise<void> {
    const root = parseContentId(cid);
    await this.#use(async () => {
      const fetch = this.#fetch(options.maxBytes ?? defaultMaxPinBytes);
      for await (const block of walkBlocks(root, this.#source(fetch, "all"), options)) void block;
      await this.#writePin(root);
    });
  }

  async unpin(cid: string): Promise<void> {
    const root = parseContentId(cid);
    await this.#pinning(() => rm(join(this.#pinFolder, root.toString()), { force: true }));
  }

  async pins(): Promise<string[]> {
    return this.#pinning(() => readdir(this.#pinFolder));
  }

  /** Nothing is held open between calls; this waits for those under way. */
  async close(): Promise<void> {
    await Promise.allSettled([...this.#active, this.#collecting]);
  }

  /**
   * Deletes every block that no pin needs. Waits for calls under way, and they wait for it. What `get` fetched is
   * not pinned and goes too.
   *
   * @returns how many blocks were deleted
   * @throws StorageError `STORAGE_FAILED`
   */
  async collect(): Promise<number> {
    while (this.#active.size > 0 || this.#collecting) await Promise.allSettled([...this.#active, this.#collecting]);
    const collecting = this.#collect();
    this.#collecting = collecting;
    try {
      return await collecting;
    } finally {
      this.#collecting = undefined;
    }
  }

  /** One block of this store, never fetched; `undefined` if it is not here. */
  async localBlock(cid: CID): Promise<Uint8Array | undefined> {
    return this.#blocks.get(cid);
  }

  /**
   * All of some content as a CAR, never fetched.
   *
   * @throws StorageError `CONTENT_NOT_FOUND` as soon as a block is missing, which may be in the middle
   */
  readCar(root: CID, options: { signal?: AbortSignal } = {}): AsyncGenerator<Uint8Array> {
    return writeCar(root, walkBlocks(root, this.#here, options));
  }

  /** One block of this store as a CAR, never fetched. */
  readCarOfBlock(cid: CID): AsyncGenerator<Uint8Array> {
    const here = this.#here;
    const block = async function* (): AsyncGenerator<Block> {
      yield { cid, bytes: await here(cid, {}) };
    };
    return writeCar(cid, block());
  }

  /**
   * Takes content from somebody who is not trusted, and pins it once it is complete. Blocks that are here already
   * need not be in the CAR.
   *
   * @param caps - `maxBytes`: cap on the stream, in bytes
   * @throws StorageError `CONTENT_CORRUPT` (an overlong stream too), `CONTENT_INVALID`, `CONTENT_NOT_FOUND` when
   * blocks are missing in the end, `STORAGE_FAILED`
   */
  async addCar(
    root: CID,
    stream: AsyncIterable<Uint8Array>,
    caps: { maxBytes: number; signal?: AbortSignal },
  ): Promise<void> {
    await this.#use(async () => {
      for await (const block of readCar(stream, { root, maxStreamBytes: caps.maxBytes })) {
        caps.signal?.throwIfAborted();
        await this.#blocks.put(block);
      }
      for await (const block of walkBlocks(root, this.#here, caps)) void block;
      await this.#writePin(root);
    });
  }

  async #collect(): Promise<number> {
    const kept = new Set<string>();
    for (const pin of await this.pins()) {
      const due = [parseContentId(pin)];
      for (let cid = due.pop(); cid; cid = due.pop()) {
        if (kept.has(digestKey(cid))) continue;
        kept.add(digestKey(cid));
        if (cid.code === raw.code) continue;
        const bytes = await this.#blocks.get(cid);
        // A damaged pin keeps what is left of it.
        if (bytes) due.push(...blockLinks({ cid, bytes }));
      }
    }
    return this.#blocks.retain(kept);
  }

  async #complete(root: CID, signal: AbortSignal | undefined): Promise<boolean> {
    try {
      for await (const block of walkBlocks(root, this.#here, { signal })) void block;
      return true;
    } catch (error) {
      if (error instanceof StorageError && error.code === "CONTENT_NOT_FOUND") return false;
      throw error;
    }
  }

  #fetch(maxBytes: number): GatewayFetch {
    return new GatewayFetch({ ...this.#options, gateways: this.#options.gateways ?? [] }, this.#blocks, { maxBytes });
  }

  #source(fetch: GatewayFetch, scope: "all" | "block"): BlockSource {
    return async (cid, { signal }) => {
      const local = await this.#blocks.get(cid);
      if (local) return local;
      await fetch.fetch(cid, { scope, signal });
      const fetched = await this.#blocks.get(cid);
      if (fetched) return fetched;
      throw new StorageError("STORAGE_FAILED", `block ${cid} was stored but cannot be read back`, {
        details: { cid: cid.toString() },
      });
    };
  }

  /** The blocks of this store alone. */
  readonly #here: BlockSource = async (cid) => {
    const bytes = await this.#blocks.get(cid);
    if (bytes) return bytes;
    throw new StorageError("CONTENT_NOT_FOUND", `block ${cid} is not in this store`, {
      details: { cid: cid.toString() },
    });
  };

  /** A pin is an empty file with the content id as its name: there or not there, never half. */
  async #writePin(root: CID): Promise<void> {
    await this.#pinning(async () => {
      const file = await open(join(this.#pinFolder, root.toString()), "a");
      await file.sync();
      await file.close();
    });
  }

  async #use<T>(work: () => Promise<T>): Promise<T> {
    while (this.#collecting) await this.#collecting.catch(() => {});
    const working = work();
    this.#active.add(working);
    try {
      return await working;
    } finally {
      this.#active.delete(working);
    }
  }

  async #pinning<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (cause) {
      throw new StorageError("STORAGE_FAILED", `could not read or write the pins in ${this.#options.folder}`, {
        details: { folder: this.#options.folder },
        fix: "Check free space and permissions.",
        cause,
      });
    }
  }
}
