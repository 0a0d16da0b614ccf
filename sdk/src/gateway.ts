import * as raw from "multiformats/codecs/raw";
import type { CID } from "multiformats/cid";
import pRetry from "p-retry";
import { blockKey, maxBlockBytes, readCar, verifyBlock } from "./block.ts";
import type { Block } from "./block.ts";
import { Deadline } from "./deadline.ts";
import { StorageError } from "./storage.ts";

/** Where and how patiently to fetch. */
export interface GatewayOptions {
  /** Base addresses of trustless IPFS gateways, such as `http://127.0.0.1:8080`, in the order to try them. */
  gateways: readonly string[];
  /** A gateway that sends nothing for this long is left for the next, in milliseconds. Defaults to 10,000. */
  stallTimeout?: number;
  /** One block must have arrived within this, however it drips, in milliseconds. Defaults to 30,000. */
  blockTimeout?: number;
  /** A whole directory must have arrived within this, in milliseconds. Defaults to 600,000. */
  directoryTimeout?: number;
  /** How often all gateways are tried again after none could be reached. Defaults to 2. */
  retries?: number;
  /** Wait before the first such retry, in milliseconds; doubles each time. Defaults to 500. */
  retryDelay?: number;
  /** Told about each gateway that failed, before the next is tried. */
  onGatewayError?: (gateway: string, error: StorageError) => void;
}

/** Where fetched blocks go; they are verified before. */
export interface BlockSink {
  has(cid: CID): Promise<boolean>;
  /** @returns false if it was there */
  put(block: Block): Promise<boolean>;
}

/** Media type of a CAR. */
export const carType = "application/vnd.ipld.car";
/** Media type of a single block. */
export const blockType = "application/vnd.ipld.raw";

/**
 * Fetches the blocks of one piece of content from gateways, none of which is trusted. Made for one operation: it
 * remembers which gateways failed and asks those last.
 */
export class GatewayFetch {
  readonly #options: Required<Omit<GatewayOptions, "onGatewayError">> & Pick<GatewayOptions, "onGatewayError">;
  readonly #sink: BlockSink;
  readonly #maxBytes: number;
  readonly #failed = new Set<string>();
  readonly #taken = new Set<string>();
  #received = 0;

  /** @param caps - `maxBytes`: cap on the bytes of all new blocks together */
  constructor(options: GatewayOptions, sink: BlockSink, caps: { maxBytes: number }) {
    this.#options = {
      stallTimeout: 10_000,
      blockTimeout: 30_000,
      directoryTimeout: 600_000,
      retries: 2,
      retryDelay: 500,
      ...options,
    };
    this.#sink = sink;
    this.#maxBytes = caps.maxBytes;
  }

  /**
   * Brings one block into the sink; with `scope: "all"`, as much as can be had of everything below it too. What is
   * still missing then is for another call with that block's id.
   *
   * @throws StorageError `CONTENT_NOT_FOUND`, `CONTENT_CORRUPT`, `STORAGE_UNREACHABLE`, `CONTENT_TOO_LARGE`,
   * `CONTENT_INVALID`
   */
  async fetch(cid: CID, { scope, signal }: { scope: "all" | "block"; signal?: AbortSignal }): Promise<void> {
    await pRetry(() => this.#tryAll(cid, scope, signal), {
      retries: this.#options.retries,
      minTimeout: this.#options.retryDelay,
      randomize: true,
      signal,
      shouldRetry: ({ error }) => error instanceof StorageError && error.code === "STORAGE_UNREACHABLE",
    });
  }

  async #tryAll(cid: CID, scope: "all" | "block", signal: AbortSignal | undefined): Promise<void> {
    const failures: StorageError[] = [];
    const rested = this.#options.gateways.filter((gateway) => !this.#failed.has(gateway));
    const failedBefore = this.#options.gateways.filter((gateway) => this.#failed.has(gateway));
    for (const gateway of [...rested, ...failedBefore]) {
      let failure: StorageError | undefined;
      try {
        await this.#tryOne(gateway, cid, scope, signal);
      } catch (error) {
        signal?.throwIfAborted();
        if (!(error instanceof StorageError)) throw error;
        // These are about the content or this machine: the next gateway could not change them.
        if (!gatewayFailures.has(error.code)) throw error;
        failure = error;
      }
      if (failure && failure.code !== "CONTENT_NOT_FOUND") {
        this.#failed.add(gateway);
        this.#options.onGatewayError?.(gateway, failure);
      }
      // Even a download that broke off may have brought what was asked for.
      if (this.#taken.has(blockKey(cid))) return;
      failures.push(failure ?? corrupt(gateway, `${gateway} answered without block ${cid}`));
    }
    for (const code of ["STORAGE_UNREACHABLE", "CONTENT_CORRUPT"] as const) {
      const failure = failures.find((candidate) => candidate.code === code);
      if (failure) throw failure;
    }
    throw new StorageError(
      "CONTENT_NOT_FOUND",
      `block ${cid} is neither here nor at any of ${failures.length} gateways`,
      {
        details: { cid: cid.toString(), gateways: failures.length },
        fix: "Ask whoever published it to keep it available, or name a gateway that has it.",
      },
    );
  }

  async #tryOne(gateway: string, cid: CID, scope: "all" | "block", signal: AbortSignal | undefined): Promise<void> {
    const asCar = scope === "all" && cid.code !== raw.code;
    const { stallTimeout, blockTimeout, directoryTimeout } = this.#options;
    const deadline = new Deadline(stallTimeout, asCar ? directoryTimeout : blockTimeout, signal);
    try {
      const response = await request(gateway, cid, asCar ? "format=car&dag-scope=all" : "format=raw", {
        accept: asCar ? `${carType};version=1` : blockType,
        signal: deadline.signal,
      });
      if (asCar) {
        // Repeated blocks and framing may add to what is new, but not without end.
        const maxStreamBytes = 2 * (this.#maxBytes - this.#received) + 1024 * 1024;
        for await (const block of readCar(chunks(response, deadline), { root: cid, maxStreamBytes }))
          await this.#take(block);
      } else {
        const bytes = await collect(chunks(response, deadline), cid);
        await verifyBlock(cid, bytes);
        await this.#take({ cid, bytes });
      }
    } catch (error) {
      if (error instanceof StorageError) throw error;
      signal?.throwIfAborted();
      throw new StorageError(
        "STORAGE_UNREACHABLE",
        `${gateway} could not be reached, or stalled, while fetching ${cid}`,
        {
          details: { gateway, cid: cid.toString() },
          cause: error,
        },
      );
    } finally {
      deadline.end();
    }
  }

  async #take(block: Block): Promise<void> {
    const { length } = block.bytes;
    if (this.#received + length > this.#maxBytes && !(await this.#sink.has(block.cid))) {
      throw new StorageError("CONTENT_TOO_LARGE", `the content's blocks have more than ${this.#maxBytes} bytes`, {
        details: { maxBytes: this.#maxBytes },
        fix: "Raise the cap if the content is wanted.",
      });
    }
    if (await this.#sink.put(block)) this.#received += length;
    this.#taken.add(blockKey(block.cid));
  }
}

/** After these another gateway may still do better. */
const gatewayFailures = new Set<string>(["CONTENT_NOT_FOUND", "CONTENT_CORRUPT", "STORAGE_UNREACHABLE"]);

function corrupt(gateway: string, message: string): StorageError {
  return new StorageError("CONTENT_CORRUPT", message, { details: { gateway } });
}

/** The address of content at a gateway. */
export function gatewayUrl(gateway: string, cid: CID, query = ""): URL {
  const url = new URL(gateway);
  url.pathname = `${url.pathname.replace(/\/+$/, "")}/ipfs/${cid}`;
  url.search = query;
  return url;
}

async function request(
  gateway: string,
  cid: CID,
  query: string,
  { accept, signal }: { accept: string; signal: AbortSignal },
): Promise<Response> {
  // No redirects: a gateway must not send this machine to addresses that it was not configured for.
  const response = await fetch(gatewayUrl(gateway, cid, query), { headers: { accept }, redirect: "error", signal });
  if (response.ok && response.body) return response;
  await response.body?.cancel();
  const details = { gateway, cid: cid.toString(), status: response.status };
  if (response.status === 404 || response.status === 410) {
    throw new StorageError("CONTENT_NOT_FOUND", `${gateway} does not have ${cid}`, { details });
  }
  throw new StorageError("STORAGE_UNREACHABLE", `${gateway} answered ${response.status} for ${cid}`, { details });
}

async function* chunks(response: Response, deadline: Deadline): AsyncGenerator<Uint8Array> {
  const reader = response.body!.getReader();
  try {
    deadline.progressed();
    for (let next = await reader.read(); !next.done; next = await reader.read()) {
      deadline.progressed();
      yield next.value;
    }
  } finally {
    // Also when the consumer gave up: an endless answer must not go on behind our back.
    await reader.cancel().catch(() => {});
  }
}

async function collect(stream: AsyncIterable<Uint8Array>, cid: CID): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const part of stream) {
    length += part.length;
    if (length > maxBlockBytes) {
      throw new StorageError("CONTENT_CORRUPT", `block ${cid} came with more than ${maxBlockBytes} bytes`, {
        details: { cid: cid.toString(), maxBlockBytes },
      });
    }
    parts.push(part);
  }
  const bytes = new Uint8Array(length);
  let offset = 0;
  for (const part of parts) {
    bytes.set(part, offset);
    offset += part.length;
  }
  return bytes;
}

/** Where added content is published. */
export interface PublishOptions {
  /** Base address of a gateway that takes uploads: `PUT /ipfs/<cid>` with a CAR. */
  publishTo: string;
  /** Sent as a bearer token. */
  token?: string;
  /** One upload must be done within this, in milliseconds. Defaults to 300,000. */
  uploadTimeout?: number;
  /** How often an upload that did not get through is tried again. Defaults to 2. */
  retries?: number;
  /** Wait before the first retry, in milliseconds; doubles each time. Defaults to 500. */
  retryDelay?: number;
}

/**
 * Uploads content to a gateway, which verifies and pins it. Repeating it is harmless.
 *
 * @param car - makes the CAR's bytes, anew for each attempt
 * @throws StorageError `STORAGE_UNREACHABLE`, `STORAGE_REFUSED`, `CONTENT_TOO_LARGE`, and whatever `car` throws
 */
export async function publish(
  root: CID,
  car: () => AsyncIterable<Uint8Array>,
  options: PublishOptions & { signal?: AbortSignal },
): Promise<void> {
  const { publishTo, token, uploadTimeout = 300_000, retries = 2, retryDelay = 500, signal } = options;
  const details = { gateway: publishTo, cid: root.toString() };
  const attempt = async (): Promise<void> => {
    const deadline = AbortSignal.timeout(uploadTimeout);
    let response: Response;
    try {
      response = await fetch(gatewayUrl(publishTo, root), {
        method: "PUT",
        headers: { "content-type": carType, ...(token ? { authorization: `Bearer ${token}` } : {}) },
        body: streamOf(car()),
        // Wanted by the standard for streamed bodies; the DOM's types do not know it yet.
        ...({ duplex: "half" } as object),
        redirect: "error",
        signal: signal ? AbortSignal.any([signal, deadline]) : deadline,
      });
      await response.body?.cancel();
    } catch (error) {
      signal?.throwIfAborted();
      const cause = error instanceof Error && error.cause instanceof StorageError ? error.cause : error;
      if (cause instanceof StorageError) throw cause;
      throw new StorageError("STORAGE_UNREACHABLE", `${publishTo} could not be reached to publish ${root}`, {
        details,
        cause,
      });
    }
    const { status } = response;
    if (response.ok) return;
    if (status === 413) {
      throw new StorageError("CONTENT_TOO_LARGE", `${publishTo} takes no content as large as ${root}`, {
        details: { ...details, status },
      });
    }
    if (status >= 400 && status < 500 && status !== 408 && status !== 429) {
      throw new StorageError("STORAGE_REFUSED", `${publishTo} refused ${root} with status ${status}`, {
        details: { ...details, status },
        fix: status === 401 || status === 403 ? "Give the gateway's upload token." : undefined,
      });
    }
    throw new StorageError("STORAGE_UNREACHABLE", `${publishTo} answered ${status} when publishing ${root}`, {
      details: { ...details, status },
    });
  };
  await pRetry(attempt, {
    retries,
    minTimeout: retryDelay,
    randomize: true,
    signal,
    shouldRetry: ({ error }) => error instanceof StorageError && error.code === "STORAGE_UNREACHABLE",
  });
}

function streamOf(source: AsyncIterable<Uint8Array>): ReadableStream<Uint8Array> {
  const iterator = source[Symbol.asyncIterator]();
  return new ReadableStream({
    async pull(controller) {
      const next = await iterator.next();
      if (next.done) controller.close();
      else controller.enqueue(next.value);
    },
    async cancel() {
      await iterator.return?.();
    },
  });
}
