import { timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import * as dagPb from "@ipld/dag-pb";
import { CID } from "multiformats/cid";
import { sha256 } from "multiformats/hashes/sha2";
import { blockType, carType } from "../gateway.ts";
import { StorageError } from "../storage.ts";
import type { EmbeddedStorage } from "./embedded-storage.ts";

/** Settings of {@link startGateway}. */
export interface GatewayServerOptions {
  /** Where blocks are read from and uploads go to. Stays open when the gateway closes. */
  storage: EmbeddedStorage;
  /** Address to listen at. Defaults to 127.0.0.1: reachable from this machine only. */
  host?: string;
  /** Port to listen at; 0, the default, takes a free one. */
  port?: number;
  /** Bearer token that uploads need. Without one everybody who reaches the port may upload. */
  token?: string;
  /** Cap on one upload, in bytes of its CAR. 0 refuses uploads. Defaults to 256 MiB. */
  maxUploadBytes?: number;
  /** A connection on which nothing moves for this long is closed, in milliseconds. Defaults to 30,000. */
  idleTimeout?: number;
  /** A request must have come in whole within this, in milliseconds. Defaults to 300,000. */
  requestTimeout?: number;
  /** Told about requests that failed for a reason that is not the client's. */
  onError?: (error: unknown) => void;
}

/** A running gateway. */
export interface Gateway {
  /** Its base address, such as `http://127.0.0.1:41234`. */
  readonly url: string;
  /** Stops taking requests, ends those under way, and frees the port. */
  close(): Promise<void>;
}

/** The CID that clients probe gateways with; its bytes, none, are in the CID itself. */
const probe = "bafkqaaa";

/**
 * Serves a store's own blocks over HTTP as a trustless IPFS gateway, and takes uploads. It fetches nothing from
 * elsewhere and interprets nothing: whoever reads from it verifies.
 *
 * - `GET` or `HEAD /ipfs/<cid>` with `?format=raw` or `?format=car` or the matching `Accept`; of a CAR,
 *   `dag-scope=all` (the default) or `block`. A CAR whose block is missing in the middle is broken off.
 * - `PUT /ipfs/<cid>` with a CAR: 201 once every block is verified, stored and the content pinned; 400 on wrong,
 *   foreign or missing blocks, 401 without the token, 413 if too large.
 *
 * @throws the system's error when the port cannot be taken
 */
export async function startGateway(options: GatewayServerOptions): Promise<Gateway> {
  const { host = "127.0.0.1", port = 0, idleTimeout = 30_000, requestTimeout = 300_000 } = options;
  const server = createServer(
    { requestTimeout, headersTimeout: Math.min(10_000, requestTimeout) },
    (request, response) => {
      respond(request, response, options).catch((error: unknown) => {
        options.onError?.(error);
        if (!response.headersSent) refuse(request, response, 500, "internal error");
        else response.destroy();
      });
    },
  );
  server.setTimeout(idleTimeout);
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, resolve);
  });
  server.removeAllListeners("error");
  server.on("error", (error) => options.onError?.(error));
  return { url: urlOf(server), close: () => stop(server) };
}

function urlOf(server: Server): string {
  const { address, family, port } = server.address() as AddressInfo;
  return `http://${family === "IPv6" ? `[${address}]` : address}:${port}`;
}

async function stop(server: Server): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  server.closeAllConnections();
  await closed;
}

async function respond(
  request: IncomingMessage,
  response: ServerResponse,
  options: GatewayServerOptions,
): Promise<void> {
  const url = new URL(request.url ?? "/", "http://gateway");
  const text = /^\/ipfs\/([A-Za-z0-9]{1,128})\/?$/.exec(url.pathname)?.[1];
  if (text === undefined) return refuse(request, response, 404, "only /ipfs/<cid> is served");
  switch (request.method) {
    case "GET":
    case "HEAD":
      return serve(request, response, text, url.searchParams, options);
    case "PUT":
      return upload(request, response, text, options);
    default:
      response.setHeader("allow", "GET, HEAD, PUT");
      return refuse(request, response, 405, "GET, HEAD or PUT");
  }
}

async function serve(
  request: IncomingMessage,
  response: ServerResponse,
  text: string,
  query: URLSearchParams,
  { storage }: GatewayServerOptions,
): Promise<void> {
  // Content is public and verified by whoever asked, so pages of any origin may read it.
  response.setHeader("access-control-allow-origin", "*");
  response.setHeader("x-content-type-options", "nosniff");
  const format = formatOf(request, query);
  if (format === undefined) return refuse(request, response, 406, "ask for format=raw or format=car");
  const bare = request.method === "HEAD";
  if (text === probe && format === "raw") return send(response, blockType, new Uint8Array(), bare);
  const cid = readableCid(text);
  if (!cid) return refuse(request, response, 400, "not a CID of raw or dag-pb blocks under SHA2-256");
  const bytes = await storage.localBlock(cid);
  if (!bytes) return refuse(request, response, 404, "not here");
  response.setHeader("etag", `"${cid}.${format}"`);
  response.setHeader("cache-control", "public, max-age=29030400, immutable");
  response.setHeader("content-disposition", `attachment; filename="${cid}.${format === "car" ? "car" : "bin"}"`);
  if (format === "raw") return send(response, blockType, bytes, bare);
  const scope = query.get("dag-scope") ?? "all";
  if (scope !== "all" && scope !== "block") return refuse(request, response, 400, "dag-scope is all or block");
  response.setHeader("content-type", `${carType}; version=1; order=dfs; dups=n`);
  if (bare) {
    response.end();
    return;
  }
  const car = scope === "all" ? storage.readCar(cid) : storage.readCarOfBlock(cid);
  try {
    await pipeline(Readable.from(car, { objectMode: false }), response);
  } catch (error) {
    // A block that is missing, or a client that left: the connection is cut, which the client takes for an end too early.
    response.destroy();
    const expected = (error instanceof StorageError && error.code === "CONTENT_NOT_FOUND") || isDisconnect(error);
    if (!expected) throw error;
  }
}

function isDisconnect(error: unknown): boolean {
  return (
    error instanceof Error &&
    "code" in error &&
    ["ERR_STREAM_PREMATURE_CLOSE", "ECONNRESET", "EPIPE"].includes(String(error.code))
  );
}

function send(response: ServerResponse, type: string, bytes: Uint8Array, bare: boolean): void {
  response.setHeader("content-type", type);
  response.setHeader("content-length", bytes.length);
  response.end(bare ? undefined : bytes);
}

function formatOf(request: IncomingMessage, query: URLSearchParams): "raw" | "car" | undefined {
  const format = query.get("format");
  if (format !== null) return format === "raw" || format === "car" ? format : undefined;
  const accept = request.headers.accept ?? "";
  if (accept.includes(carType)) return "car";
  return accept.includes(blockType) ? "raw" : undefined;
}

function readableCid(text: string): CID | undefined {
  try {
    const cid = CID.parse(text).toV1();
    const readable =
      (cid.code === dagPb.code || cid.code === 0x55) && cid.multihash.code === sha256.code && cid.multihash.size === 32;
    return readable ? cid : undefined;
  } catch {
    return undefined;
  }
}

async function upload(
  request: IncomingMessage,
  response: ServerResponse,
  text: string,
  { storage, token, maxUploadBytes = 256 * 1024 * 1024 }: GatewayServerOptions,
): Promise<void> {
  if (maxUploadBytes === 0) return refuse(request, response, 405, "no uploads here");
  if (token !== undefined && !authorized(request, token))
    return refuse(request, response, 401, "the upload token is missing or wrong");
  const cid = readableCid(text);
  if (!cid || cid.code !== dagPb.code) return refuse(request, response, 400, "not the CID of a directory");
  if (Number(request.headers["content-length"] ?? 0) > maxUploadBytes)
    return refuse(request, response, 413, "too large");
  let received = 0;
  const counted = async function* (): AsyncGenerator<Uint8Array> {
    // Not destroyed when we stop early: the answer must still get out on this connection.
    for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      received += chunk.length;
      yield chunk;
    }
  };
  try {
    await storage.addCar(cid, counted(), { maxBytes: maxUploadBytes });
  } catch (error) {
    if (request.destroyed && !request.complete) return;
    if (!(error instanceof StorageError) || error.code === "STORAGE_FAILED") throw error;
    return refuse(request, response, received > maxUploadBytes ? 413 : 400, `${error.code}: ${error.message}`);
  }
  response.writeHead(201, { location: `/ipfs/${cid}` }).end();
}

function authorized(request: IncomingMessage, token: string): boolean {
  const given = Buffer.from(request.headers.authorization ?? "");
  const expected = Buffer.from(`Bearer ${token}`);
  return given.length === expected.length && timingSafeEqual(given, expected);
}

/** How long a client whose upload was refused may go on sending, in milliseconds, so that it reads why. */
const drainTime = 2000;

function refuse(request: IncomingMessage, response: ServerResponse, status: number, reason: string): void {
  response.writeHead(status, { "content-type": "text/plain; charset=utf-8" });
  response.end(`${reason}\n`);
  if (request.complete) return;
  // Not closed: what still comes would be answered with a reset, which may overtake the answer.
  request.resume();
  const timer = setTimeout(() => request.destroy(), drainTime);
  timer.unref();
  request.once("close", () => clearTimeout(timer));
}
