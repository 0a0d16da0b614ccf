import pRetry, { AbortError } from "p-retry";
import { ExitStatus, SuretyError } from "#sdk/errors.ts";
import type { JsonRpc } from "#sdk/json-rpc.ts";

/** Where a {@link HttpRpc} asks, and how patiently. */
export interface HttpRpcOptions {
  /** HTTP(S) endpoints in order of preference; at least one. */
  urls: readonly string[];
  /** If given, an endpoint on another chain is never used. */
  chainId?: number;
  /** An endpoint that takes longer has failed, in milliseconds. Default 10000. */
  timeoutMs?: number;
  /** How often to go through all endpoints again after the first time. Default 3. */
  retries?: number;
  /** The wait before the second try, in milliseconds; it doubles each time. Default 250. */
  backoffMs?: number;
}

/** What a {@link HttpRpc} works with. */
export interface HttpRpcDependencies {
  /** Default: the platform's. */
  fetch?: typeof fetch;
}

/** The node understood the request and refused it: `RPC_ERROR`. */
export class RpcError extends SuretyError {
  override readonly name = "RpcError";
  /** JSON-RPC's or the node's own, e.g. 3 for a revert. */
  readonly rpcCode: number;
  /** As the node sent it: for a revert usually the returned bytes. */
  readonly data: unknown;

  constructor(method: string, error: { code: number; message: string; data?: unknown }) {
    super("RPC_ERROR", `${method}: ${error.message}`, {
      details: { method, rpcCode: error.code, data: typeof error.data === "string" ? error.data : undefined },
      exit: ExitStatus.unavailable,
    });
    this.rpcCode = error.code;
    this.data = error.data;
  }
}

/** A rate limit or an overloaded back end, said in JSON-RPC: another endpoint, or the same one later, may answer. */
const BUSY_CODES = new Set([-32005, -32029, 429]);

interface Endpoint {
  url: string;
  checked: boolean;
  refused?: SuretyError;
}

/**
 * JSON-RPC over HTTP that survives failing endpoints: each request goes to the endpoint that answered last, then to
 * the others, then, after a growing pause, around again.
 *
 * @example
 * ```ts
 * const rpc = new HttpRpc({ urls: ["http://127.0.0.1:8545"], chainId: 31337 });
 * const height = await rpc.request("eth_blockNumber");
 * ```
 */
export class HttpRpc implements JsonRpc {
  readonly #endpoints: Endpoint[];
  readonly #options: Required<Omit<HttpRpcOptions, "urls" | "chainId">> & { chainId?: number };
  readonly #fetch: typeof fetch;
  #preferred = 0;
  #nextId = 1;

  constructor(options: HttpRpcOptions, dependencies: HttpRpcDependencies = {}) {
    if (options.urls.length === 0 || !options.urls.every((url) => URL.canParse(url) && /^https?:/.test(url))) {
      throw new SuretyError("RPC_URL_INVALID", `not HTTP endpoints: ${options.urls.join(", ") || "none"}`, {
        fix: "Give at least one endpoint such as http://127.0.0.1:8545.",
        exit: ExitStatus.badInput,
      });
    }
    this.#options = { timeoutMs: 10_000, retries: 3, backoffMs: 250, ...options };
    this.#endpoints = options.urls.map((url) => ({ url, checked: options.chainId === undefined }));
    this.#fetch = dependencies.fetch ?? fetch;
  }

  /**
   * @throws RpcError `RPC_ERROR` if the node refused
   * @throws SuretyError `RPC_UNREACHABLE` (retryable, exit 3) if no endpoint answered
   * @throws SuretyError `CHAIN_MISMATCH` if every endpoint is on another chain
   * @throws the signal's reason once it aborts
   */
  async request(
    method: string,
    params: readonly unknown[] = [],
    { signal }: { signal?: AbortSignal } = {},
  ): Promise<unknown> {
    return pRetry(() => this.#askAround(method, params, signal), {
      retries: this.#options.retries,
      minTimeout: this.#options.backoffMs,
      factor: 2,
      randomize: true,
      signal,
    });
  }

  async #askAround(method: string, params: readonly unknown[], signal: AbortSignal | undefined): Promise<unknown> {
    const failures: unknown[] = [];
    const size = this.#endpoints.length;
    for (let step = 0; step < size; step += 1) {
      const index = (this.#preferred + step) % size;
      const endpoint = this.#endpoints[index] as Endpoint;
      if (endpoint.refused) continue;
      try {
        if (!endpoint.checked) await this.#check(endpoint, signal);
        const result = await this.#ask(endpoint.url, method, params, signal);
        this.#preferred = index;
        return result;
      } catch (error) {
        signal?.throwIfAborted();
        if (error instanceof RpcError) throw new AbortError(error);
        failures.push(error);
      }
    }
    const refusal = this.#endpoints.every((endpoint) => endpoint.refused) && this.#endpoints[0]?.refused;
    if (refusal) throw new AbortError(refusal);
    const reasons = failures.map((failure) => (failure instanceof Error ? reasonOf(failure) : String(failure)));
    throw new SuretyError("RPC_UNREACHABLE", `${method}: no endpoint answered: ${reasons.join("; ")}`, {
      details: { method, endpoints: size },
      fix: "Check that the node runs and that its address is right.",
      cause: failures[0],
      kind: "retryable",
      exit: ExitStatus.unavailable,
    });
  }

  async #check(endpoint: Endpoint, signal: AbortSignal | undefined): Promise<void> {
    const actual = Number(await this.#ask(endpoint.url, "eth_chainId", [], signal));
    const expected = this.#options.chainId;
    if (actual !== expected) {
      endpoint.refused = new SuretyError("CHAIN_MISMATCH", `the node is on chain ${actual}, expected ${expected}`, {
        details: { actual, expected },
        fix: "Give the endpoint of the chain that the contracts are on.",
        exit: ExitStatus.badInput,
      });
      throw endpoint.refused;
    }
    endpoint.checked = true;
  }

  async #ask(
    url: string,
    method: string,
    params: readonly unknown[],
    signal: AbortSignal | undefined,
  ): Promise<unknown> {
    const id = this.#nextId++;
    const timeout = AbortSignal.timeout(this.#options.timeoutMs);
    const response = await this.#fetch(url, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ jsonrpc: "2.0", id, method, params }),
      signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
    });
    const text = await response.text();
    let answer: unknown;
    try {
      answer = JSON.parse(text);
    } catch {
      throw new Error(`HTTP ${response.status} without JSON`);
    }
    // Nodes send errors of their own with status 400 or 500; a proxy's error page has no such body.
    if (typeof answer !== "object" || answer === null) throw new Error(`HTTP ${response.status} without an answer`);
    const { error, result } = answer as {
      error?: { code?: number; message?: string; data?: unknown };
      result?: unknown;
    };
    if (error) {
      const code = Number(error.code);
      if (response.status === 429 || BUSY_CODES.has(code)) throw new Error(`busy: ${error.message}`);
      throw new RpcError(method, { code, message: String(error.message), data: error.data });
    }
    if (!response.ok || result === undefined) throw new Error(`HTTP ${response.status} without a result`);
    return result;
  }
}

/** `fetch` hides what went wrong in the cause. */
function reasonOf(error: Error): string {
  const { cause } = error;
  if (cause instanceof Error) return cause.message || String((cause as NodeJS.ErrnoException).code);
  return error.message;
}
