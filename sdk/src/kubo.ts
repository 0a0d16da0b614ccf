import { create } from "kubo-rpc-client";
import type { KuboRPCClient } from "kubo-rpc-client";
import type { CID } from "multiformats/cid";
import * as raw from "multiformats/codecs/raw";
import { blockKey, readCar, verifyBlock, walkBlocks, writeCar } from "./block.ts";
import type { Block, BlockSource } from "./block.ts";
import { blockBudget, importDirectory, parseContentId, readDirectory, readFile, streamFile } from "./content.ts";
import type { Directory, DirectorySource } from "./content.ts";
import { Deadline } from "./deadline.ts";
import { StorageError, defaultMaxPinBytes } from "./storage.ts";
import type { GetOptions, Storage } from "./storage.ts";

/** Settings of {@link KuboStorage}. */
export interface KuboStorageOptions {
  /** Address of the node's RPC, such as `http://127.0.0.1:5001`. */
  url: string;
  /** Sent with each request, for instance `authorization`. */
  headers?: Record<string, string>;
  /** How long the node may look for a block, or be silent during a longer transfer, in milliseconds. Defaults to 30,000. */
  blockTimeout?: number;
  /** A whole directory must have been moved within this, in milliseconds. Defaults to 600,000. */
  directoryTimeout?: number;
}

/**
 * Storage in a Kubo (IPFS) node, through its RPC.
 *
 * Blocks are made here, so content ids do not hang on how the node is configured, and everything the node hands out
 * is verified here. It is trusted with availability only: with keeping what is pinned and with answering in
 * reasonable amounts.
 *
 * @example
 * ```ts
 * const storage = new KuboStorage({ url: "http://127.0.0.1:5001" });
 * const cid = await storage.add(new Map([["a.txt", bytes]]));
 * ```
 */
export class KuboStorage implements Storage {
  readonly #client: KuboRPCClient;
  readonly #url: string;
  readonly #blockTimeout: number;
  readonly #directoryTimeout: number;
  readonly #active = new Set<Promise<unknown>>();

  constructor({ url, headers, blockTimeout = 30_000, directoryTimeout = 600_000 }: KuboStorageOptions) {
    this.#client = create({ url, headers });
    this.#url = url;
    this.#blockTimeout = blockTimeout;
    this.#directoryTimeout = directoryTimeout;
  }

  async add(directory: DirectorySource, options: { signal?: AbortSignal } = {}): Promise<string> {
    const blocks = new Map<string, Uint8Array>();
    const root = await importDirectory(
      directory,
      async ({ cid, bytes }) => void blocks.set(blockKey(cid), bytes),
      options,
    );
    const source: BlockSource = async (cid) => blocks.get(blockKey(cid))!;
    await this.#ask(root, "transfer", options.signal, async (deadline) => {
      const progressing = async function* (): AsyncGenerator<Block> {
        for await (const block of walkBlocks(root, source)) {
          deadline.progressed();
          yield block;
        }
      };
      const results = this.#client.dag.import([writeCar(root, progressing())], {
        pinRoots: true,
        signal: deadline.signal,
      });
      for await (const result of results) {
        if (result.root.pinErrorMsg) throw new Error(`the node did not pin ${root}: ${result.root.pinErrorMsg}`);
      }
    });
    return root.toString();
  }

  async get(cid: string, options: GetOptions): Promise<Directory> {
    const root = parseContentId(cid);
    const budget = blockBudget(options);
    const blocks = await this.#export(root, budget.bytes, options.signal);
    return readDirectory(root, this.#either(blocks), options);
  }

  async getFile(cid: string, path: string, options: { maxBytes: number; signal?: AbortSignal }): Promise<Uint8Array> {
    return readFile(parseContentId(cid), path, this.#block, options);
  }

  async *streamFile(
    cid: string,
    path: string,
    options: { maxBytes: number; signal?: AbortSignal },
  ): AsyncGenerator<Uint8Array, void, undefined> {
    yield* streamFile(parseContentId(cid), path, this.#block, options);
  }

  async has(cid: string, options: { signal?: AbortSignal } = {}): Promise<boolean> {
    const here: BlockSource = async (block, { signal }) => {
      if (block.code !== raw.code) return this.#getBlock(block, { offline: true, signal });
      // Only whether it is there matters, and raw blocks lead nowhere.
      await this.#ask(block, "block", signal, (deadline) =>
        this.#client.block.stat(block, { ...local, signal: deadline.signal }),
      );
      return new Uint8Array();
    };
    try {
      for await (const block of walkBlocks(parseContentId(cid), here, options)) void block;
      return true;
    } catch (error) {
      if (error instanceof StorageError && error.code === "CONTENT_NOT_FOUND") return false;
      throw error;
    }
  }

  async pin(
    cid: string,
    { maxBytes = defaultMaxPinBytes, signal }: { maxBytes?: number; signal?: AbortSignal } = {},
  ): Promise<void> {
    const root = parseContentId(cid);
    // The node knows no cap, so it is led through the content block by block before it may pin.
    let bytes = 0;
    for await (const block of walkBlocks(root, this.#block, { signal })) {
      bytes += block.bytes.length;
      if (bytes > maxBytes) {
        throw new StorageError("CONTENT_TOO_LARGE", `the content's blocks have more than ${maxBytes} bytes`, {
          details: { maxBytes, cid },
        });
      }
    }
    await this.#ask(root, "transfer", signal, (deadline) =>
      this.#client.pin.add(root, { recursive: true, signal: deadline.signal }),
    );
  }

  async unpin(cid: string): Promise<void> {
    const root = parseContentId(cid);
    await this.#ask(root, "block", undefined, async (deadline) => {
      try {
        await this.#client.pin.rm(root, { recursive: true, signal: deadline.signal });
      } catch (error) {
        if (!messageOf(error).includes("not pinned")) throw error;
      }
    });
  }

  /** Content ids of the node's recursive pins that could be directories, whoever pinned them. */
  async pins(): Promise<string[]> {
    return this.#ask(undefined, "transfer", undefined, async (deadline) => {
      const pins: string[] = [];
      for await (const { cid } of this.#client.pin.ls({ type: "recursive", signal: deadline.signal })) {
        deadline.progressed();
        try {
          pins.push(parseContentId(cid.toString()).toString());
        } catch {
          // A node is not ours alone; other things are pinned in it.
        }
      }
      return pins;
    });
  }

  async close(): Promise<void> {
    await Promise.allSettled([...this.#active]);
  }

  /** As much as can be had of a graph in one request; the rest is for {@link #block}. */
  async #export(root: CID, maxBytes: number, signal: AbortSignal | undefined): Promise<Map<string, Uint8Array>> {
    // Asked for alone first: the node says clearly when it cannot find a block, but just breaks off an export.
    const blocks = new Map([[blockKey(root), await this.#block(root, { signal })]]);
    try {
      await this.#ask(root, "transfer", signal, async (deadline) => {
        const progressing = async function* (stream: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
          for await (const chunk of stream) {
            deadline.progressed();
            yield chunk;
          }
        };
        const stream = progressing(this.#client.dag.export(root, { signal: deadline.signal }));
        let bytes = 0;
        for await (const block of readCar(stream, { root, maxStreamBytes: 2 * maxBytes + 1024 * 1024 })) {
          bytes += block.bytes.length;
          if (bytes > maxBytes) {
            throw new StorageError("CONTENT_TOO_LARGE", `the content's blocks have more than ${maxBytes} bytes`, {
              details: { maxBytes, cid: root.toString() },
            });
          }
          blocks.set(blockKey(block.cid), block.bytes);
        }
      });
    } catch (error) {
      const partial =
        error instanceof StorageError && (error.code === "STORAGE_UNREACHABLE" || error.code === "CONTENT_NOT_FOUND");
      if (!partial) throw error;
    }
    return blocks;
  }

  #either(blocks: ReadonlyMap<string, Uint8Array>): BlockSource {
    return async (cid, options) => blocks.get(blockKey(cid)) ?? this.#block(cid, options);
  }

  readonly #block: BlockSource = (cid, { signal }) => this.#getBlock(cid, { offline: false, signal });

  async #getBlock(cid: CID, { offline, signal }: { offline: boolean; signal?: AbortSignal }): Promise<Uint8Array> {
    // The node's own time-out is a little shorter than ours: if that ends it, the node lives and the block is missing.
    const options = { ...(offline ? local : {}), timeout: Math.ceil(this.#blockTimeout * 0.8) };
    const bytes = await this.#ask(cid, "block", signal, (deadline) =>
      this.#client.block.get(cid, { ...options, signal: deadline.signal }),
    );
    await verifyBlock(cid, bytes);
    return bytes;
  }

  /** Runs one request under a deadline (the client's own does nothing) and gives its failure a code. */
  async #ask<T>(
    cid: CID | undefined,
    kind: "block" | "transfer",
    signal: AbortSignal | undefined,
    request: (deadline: Deadline) => Promise<T>,
  ): Promise<T> {
    signal?.throwIfAborted();
    const deadline = new Deadline(
      this.#blockTimeout,
      kind === "block" ? this.#blockTimeout : this.#directoryTimeout,
      signal,
    );
    const asking = request(deadline);
    this.#active.add(asking);
    try {
      return await asking;
    } catch (error) {
      signal?.throwIfAborted();
      throw this.#failure(error, cid);
    } finally {
      this.#active.delete(asking);
      deadline.end();
    }
  }

  #failure(error: unknown, cid: CID | undefined): StorageError {
    if (error instanceof StorageError) return error;
    const details = { url: this.#url, cid: cid?.toString() };
    const message = messageOf(error);
    const name = error instanceof Error ? error.name : "";
    const status = error instanceof Error && "response" in error ? (error.response as Response).status : undefined;
    // Kubo tells these apart by their text alone.
    const timedOutThere = status !== undefined && /context deadline exceeded|request timed out/.test(message);
    if (
      timedOutThere ||
      (name === "TimeoutError" && /Request timed out/i.test(message)) ||
      /not found locally|could not find/.test(message)
    ) {
      return new StorageError("CONTENT_NOT_FOUND", `the IPFS node did not find ${cid}`, { details, cause: error });
    }
    if (status === 401 || status === 403) {
      return new StorageError("STORAGE_REFUSED", `the IPFS node refused the request with status ${status}`, {
        details: { ...details, status },
        fix: "Check the address and the authorization header.",
        cause: error,
      });
    }
    return new StorageError(
      "STORAGE_UNREACHABLE",
      `the IPFS node at ${this.#url} did not answer as it should: ${message}`,
      {
        details,
        fix: "Check that the node runs and that this is its RPC address.",
        cause: error,
      },
    );
  }
}

/** A switch of every RPC call that the client's types leave out: look in the node's own store only. */
const local: object = { offline: true };

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
