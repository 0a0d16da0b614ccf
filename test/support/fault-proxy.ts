import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as delay } from "node:timers/promises";

/**
 * What a {@link FaultProxy} does to a request. All but the last five work on any HTTP: a chain's JSON-RPC, Kubo's RPC,
 * a gateway.
 */
export type Fault =
  /** Answers with this status and a page instead of an answer. */
  | { kind: "status"; code: number; /** Seconds or a date, as the header has it. */ retryAfter?: string }
  /** Takes the request and never answers; nothing reaches the other side. */
  | { kind: "hang" }
  /** Sends the beginning of the real answer and then nothing, and never closes: as a peer that lost its power. */
  | { kind: "half-open" }
  /** Breaks the connection before anything reaches the other side. */
  | { kind: "refuse" }
  /** Lets the request through, and breaks the connection instead of answering: what was asked for was done. */
  | { kind: "lose-answer" }
  /** Lets the request through and breaks the connection in the middle of the answer. */
  | { kind: "cut-answer" }
  /** Sends the real answer in pieces of a few bytes with a pause after each. */
  | { kind: "drip"; bytes: number; pauseMs: number }
  /** Waits before it passes the request on. */
  | { kind: "delay"; ms: number }
  /** Status 200 and bytes that are no answer. */
  | { kind: "garbage" }
  /** JSON-RPC's own refusal. */
  | { kind: "error"; code: number; message: string; data?: string }
  /** The chain as it was at this block: nothing later exists, and `latest` means it. */
  | { kind: "stale-head"; block: number }
  /** `eth_getLogs` finds nothing; receipts are as they are. */
  | { kind: "drop-logs" }
  /** `eth_chainId` and `net_version` say this. */
  | { kind: "wrong-chain"; chainId: number }
  /** Any other lie: given the request and the true result, returns what is told. */
  | { kind: "rewrite"; result: (request: RpcRequest, result: unknown) => unknown };

/** A JSON-RPC request as it came. */
export interface RpcRequest {
  id: number | string | null;
  method: string;
  params?: unknown[];
}

interface RpcAnswer {
  id?: unknown;
  result?: unknown;
  error?: unknown;
}

interface Injected {
  fault: Fault;
  methods: ReadonlySet<string> | undefined;
  left: number;
}

/** What of a request a {@link Fault} meets. */
export interface FaultScope {
  /** JSON-RPC methods; of other HTTP the method and the path, as in `POST /api/v0/add`. Everything if left out. */
  methods?: readonly string[];
  /** How many requests, then it is over. Without end if left out. */
  times?: number;
}

interface Exchange {
  incoming: IncomingMessage;
  response: ServerResponse;
  body: Buffer;
  /** Empty if it is no JSON-RPC. */
  requests: RpcRequest[];
}

/** Methods whose last parameter but this many is a block. */
const blockParameter: Record<string, number> = {
  eth_call: 1,
  eth_estimateGas: 1,
  eth_getBalance: 1,
  eth_getBlockByNumber: 0,
  eth_getCode: 1,
  eth_getStorageAt: 2,
  eth_getTransactionCount: 1,
};

/**
 * A proxy between an agent and a server that does real harm to what passes through it: held connections, lost answers,
 * lies. Which, is switched while it runs.
 *
 * @example
 * ```ts
 * const proxy = await FaultProxy.start(anvil.url);
 * const lift = proxy.inject({ kind: "drop-logs" });
 * proxy.inject({ kind: "status", code: 429, retryAfter: "1" }, { methods: ["eth_call"], times: 3 });
 * lift();
 * proxy.heal();
 * await proxy.close();
 * ```
 */
export class FaultProxy {
  /** Address to give to the agent. */
  readonly url: string;
  /** What was asked for, in order: JSON-RPC methods, else the HTTP method and the path. */
  readonly asked: string[] = [];
  /** How many requests met a fault. */
  harmed = 0;
  readonly #upstream: string;
  readonly #server: Server;
  readonly #closed = new AbortController();
  #faults: Injected[] = [];
  readonly #unanswered = new Set<ServerResponse>();

  private constructor(upstream: string, server: Server) {
    this.#upstream = upstream;
    this.#server = server;
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  /** @param upstream Address of the real server, with its path if it has one. */
  static async start(upstream: string): Promise<FaultProxy> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const proxy = new FaultProxy(upstream.replace(/\/$/, ""), server);
    server.on("request", (incoming, response) => {
      proxy.#serve(incoming, response).catch(() => response.destroy());
    });
    return proxy;
  }

  /** From now on does harm; a fault injected later goes first. Returns what lifts it again. */
  inject(fault: Fault, { methods, times = Infinity }: FaultScope = {}): () => void {
    const injected: Injected = { fault, methods: methods && new Set(methods), left: times };
    this.#faults.unshift(injected);
    return () => void (this.#faults = this.#faults.filter((each) => each !== injected));
  }

  /** Lifts all faults, and breaks the connections that hang. */
  heal(): void {
    this.#faults = [];
    for (const response of this.#unanswered) response.destroy();
  }

  async close(): Promise<void> {
    this.#closed.abort();
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #serve(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    this.#unanswered.add(response);
    response.once("close", () => this.#unanswered.delete(response));
    const chunks: Buffer[] = [];
    for await (const chunk of incoming) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks);
    const exchange = { incoming, response, body, requests: requestsIn(body) };
    const names = namesOf(exchange);
    this.asked.push(...names);
    const met = this.#faults.find(
      ({ methods, left }) => left > 0 && (!methods || names.some((name) => methods.has(name))),
    );
    if (!met) return this.#pass(exchange);
    met.left -= 1;
    this.harmed += 1;
    return this.#harm(exchange, met);
  }

  async #harm(exchange: Exchange, { fault, methods }: Injected): Promise<void> {
    const { response, requests } = exchange;
    switch (fault.kind) {
      case "status":
        if (fault.retryAfter !== undefined) response.setHeader("retry-after", fault.retryAfter);
        response.writeHead(fault.code, { "content-type": "text/html" }).end("<html>no</html>");
        return;
      case "hang":
        return;
      case "half-open": {
        const { status, headers, bytes } = await this.#forward(exchange);
        // The length is announced, so that the rest is waited for.
        response.writeHead(status, { ...headers, "content-length": bytes.length + 1 });
        response.write(bytes.subarray(0, Math.ceil(bytes.length / 2)));
        return;
      }
      case "refuse":
        response.destroy();
        return;
      case "lose-answer":
        await this.#forward(exchange);
        response.destroy();
        return;
      case "cut-answer": {
        const { status, headers, bytes } = await this.#forward(exchange);
        response.writeHead(status, { ...headers, "content-length": bytes.length });
        response.write(bytes.subarray(0, Math.floor(bytes.length / 2)), () => response.destroy());
        return;
      }
      case "drip": {
        const { status, headers, bytes } = await this.#forward(exchange);
        response.writeHead(status, { ...headers, "content-length": bytes.length });
        for (let at = 0; at < bytes.length && !response.destroyed; at += fault.bytes) {
          response.write(bytes.subarray(at, at + fault.bytes));
          await delay(fault.pauseMs, undefined, { signal: this.#closed.signal });
        }
        response.end();
        return;
      }
      case "delay":
        await delay(fault.ms, undefined, { signal: this.#closed.signal });
        return this.#pass(exchange);
      case "garbage":
        response.writeHead(200, { "content-type": "application/json" }).end('{"jsonrpc":"2.0","id":1,"res\u0000');
        return;
      case "error": {
        const { code, message, data } = fault;
        return this.#answer(exchange, methods, () => ({ error: { code, message, data } }));
      }
      case "drop-logs":
        return this.#answer(exchange, methods, ({ method }, answer) =>
          method === "eth_getLogs" && answer.result ? { result: [] } : answer,
        );
      case "wrong-chain":
        return this.#answer(exchange, methods, ({ method }, answer) => {
          if (method === "eth_chainId") return { result: hex(fault.chainId) };
          return method === "net_version" ? { result: String(fault.chainId) } : answer;
        });
      case "rewrite":
        return this.#answer(exchange, methods, (request, answer) =>
          "result" in answer ? { result: fault.result(request, answer.result) } : answer,
        );
      case "stale-head": {
        const asOf = {
          ...exchange,
          body: encode(
            requests.map((each) => asOfBlock(each, fault.block)),
            exchange.body,
          ),
        };
        return this.#answer(asOf, methods, (request, answer) => staleAnswer(request, answer, fault.block));
      }
    }
  }

  async #pass(exchange: Exchange): Promise<void> {
    const { status, headers, bytes } = await this.#forward(exchange);
    exchange.response.writeHead(status, headers).end(bytes);
  }

  /** Passes on, with the answers of JSON-RPC changed. */
  async #answer(
    exchange: Exchange,
    methods: ReadonlySet<string> | undefined,
    change: (request: RpcRequest, answer: RpcAnswer) => RpcAnswer,
  ): Promise<void> {
    const { bytes } = await this.#forward(exchange);
    const answers = [JSON.parse(bytes.toString())].flat() as RpcAnswer[];
    const changed = exchange.requests.map((request) => {
      const answer = answers.find(({ id }) => id === request.id) ?? {};
      if (methods && !methods.has(request.method)) return answer;
      return { jsonrpc: "2.0", id: request.id, ...withoutId(change(request, answer)) };
    });
    exchange.response.writeHead(200, { "content-type": "application/json" }).end(encode(changed, exchange.body));
  }

  async #forward({ incoming, body }: Exchange): Promise<{ status: number; headers: HeaderFields; bytes: Buffer }> {
    const { method = "GET", url = "/", headers } = incoming;
    const answer = await fetch(this.#upstream + (url === "/" ? "" : url), {
      method,
      headers: Object.entries(headers).flatMap(([name, value]) =>
        kept(name) ? [[name, String(value)] as [string, string]] : [],
      ),
      body: method === "GET" || method === "HEAD" ? undefined : new Uint8Array(body),
      redirect: "manual",
      signal: this.#closed.signal,
    });
    const fields: HeaderFields = {};
    answer.headers.forEach((value, name) => void (kept(name) && (fields[name] = value)));
    return { status: answer.status, headers: fields, bytes: Buffer.from(await answer.arrayBuffer()) };
  }
}

type HeaderFields = Record<string, string>;

/** What belongs to one connection only, or no longer fits bytes that were unpacked. */
function kept(name: string): boolean {
  return !["connection", "content-encoding", "content-length", "host", "keep-alive", "transfer-encoding"].includes(
    name,
  );
}

function requestsIn(body: Buffer): RpcRequest[] {
  try {
    const requests = [JSON.parse(body.toString())].flat() as Partial<RpcRequest>[];
    return requests.every(({ method }) => typeof method === "string") ? (requests as RpcRequest[]) : [];
  } catch {
    return [];
  }
}

function namesOf({ incoming, requests }: Exchange): string[] {
  if (requests.length > 0) return requests.map(({ method }) => method);
  return [`${incoming.method} ${(incoming.url ?? "/").split("?")[0]}`];
}

/** One or a batch, as the request was. */
function encode(each: object[], request: Buffer): Buffer {
  return Buffer.from(JSON.stringify(request.toString().trimStart().startsWith("[") ? each : each[0]));
}

function withoutId({ id: _, ...rest }: RpcAnswer): RpcAnswer {
  return rest;
}

/** Asks for the old head where the newest is asked for. */
function asOfBlock(request: RpcRequest, block: number): RpcRequest {
  const { method, params = [] } = request;
  const place = blockParameter[method];
  if (place === undefined) return request;
  const asked = params[place];
  const isTag = asked === undefined || (typeof asked === "string" && !asked.startsWith("0x") && asked !== "earliest");
  if (!isTag) return request;
  return { ...request, params: params.toSpliced(place, 1, hex(block)) };
}

/** Hides what came after the old head. */
function staleAnswer({ method, params = [] }: RpcRequest, answer: RpcAnswer, block: number): RpcAnswer {
  const { result } = answer;
  if (method === "eth_blockNumber") return { result: hex(block) };
  if (typeof result !== "object" || result === null) return answer;
  if (method === "eth_getLogs") {
    const { blockHash } = (params[0] ?? {}) as { blockHash?: string };
    const logs = result as { blockNumber: string }[];
    if (blockHash !== undefined && logs.some(({ blockNumber }) => Number(blockNumber) > block)) {
      return { error: { code: -32000, message: "unknown block" } };
    }
    return { result: logs.filter(({ blockNumber }) => Number(blockNumber) <= block) };
  }
  const { blockNumber, number } = result as { blockNumber?: string | null; number?: string };
  if (Number(blockNumber ?? number ?? 0) <= block) return answer;
  // A transaction that is mined later is pending now.
  return method === "eth_getTransactionByHash"
    ? { result: { ...result, blockHash: null, blockNumber: null, transactionIndex: null } }
    : { result: null };
}

function hex(value: number): string {
  return `0x${value.toString(16)}`;
}
