import pRetry, { AbortError } from "p-retry";
import { systemClock, type Clock } from "#sdk/clock.ts";
import { ExitStatus, SuretyError } from "#sdk/errors.ts";
import type { JsonRpc } from "#sdk/json-rpc.ts";
import { Endpoint, RpcError, saysMissing, type RpcEndpoint } from "./endpoint.ts";

export { RpcError, type RpcEndpoint } from "./endpoint.ts";

/** Where a {@link HttpRpc} asks, and how patiently. */
export interface HttpRpcOptions {
  /** HTTP(S) endpoints in order of preference; at least one. */
  urls: readonly (string | RpcEndpoint)[];
  /** If given, an endpoint on another chain is not used. */
  chainId?: number;
  /** An endpoint that takes longer has failed, in milliseconds, unless it says otherwise itself. Default 10000. */
  timeoutMs?: number;
  /** How often to go through all endpoints again after the first time. Default 3. */
  retries?: number;
  /** The wait before the second try, in milliseconds; it doubles each time. Default 250. */
  backoffMs?: number;
  /** How long a request waits at most for endpoints that asked to be left alone, in milliseconds. Default 10000. */
  patienceMs?: number;
  /** Told once each time an endpoint is put aside, by its host, and why. */
  onTrouble?(error: SuretyError): void;
}

/** What a {@link HttpRpc} works with. */
export interface HttpRpcDependencies {
  /** Default: the platform's. */
  fetch?: typeof fetch;
  /** Default: the machine's. */
  clock?: Clock;
}

/**
 * JSON-RPC over HTTP that survives failing endpoints: each request goes to the endpoint that answered last, then to
 * the others, then, after a growing pause, around again. Endpoints that failed a moment ago come last; those that asked
 * to be left alone (`Retry-After`) are; those that somebody caught with what cannot be are asked only while there is no
 * other. Signed transactions go to all of them, so that none can hold one back.
 *
 * @example
 * ```ts
 * const rpc = new HttpRpc({ urls: ["http://127.0.0.1:8545"], chainId: 31337 });
 * const height = await rpc.request("eth_blockNumber");
 * ```
 */
export class HttpRpc implements JsonRpc {
  /** Each endpoint by itself, in order of preference: for who compares what they say. */
  readonly endpoints: readonly Endpoint[];
  readonly #options: Required<Omit<HttpRpcOptions, "urls" | "chainId" | "onTrouble">>;
  readonly #clock: Clock;
  #answering: Endpoint;

  constructor(options: HttpRpcOptions, dependencies: HttpRpcDependencies = {}) {
    const wanted = options.urls.map((each) => (typeof each === "string" ? { url: each } : each));
    if (wanted.length === 0 || !wanted.every(({ url }) => URL.canParse(url) && /^https?:/.test(url))) {
      throw new SuretyError(
        "RPC_URL_INVALID",
        `not HTTP endpoints: ${wanted.map(({ url }) => url).join(", ") || "none"}`,
        {
          fix: "Give at least one endpoint such as http://127.0.0.1:8545.",
          exit: ExitStatus.badInput,
        },
      );
    }
    const { timeoutMs = 10_000, retries = 3, backoffMs = 250, patienceMs = 10_000, chainId, onTrouble } = options;
    this.#options = { timeoutMs, retries, backoffMs, patienceMs };
    this.#clock = dependencies.clock ?? systemClock;
    const names = namesOf(wanted);
    this.endpoints = wanted.map(
      (each, index) =>
        new Endpoint(each, { name: names[index] as string, chainId, timeoutMs, onTrouble }, dependencies),
    );
    this.#answering = this.endpoints[0] as Endpoint;
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
    const { retries, backoffMs } = this.#options;
    return pRetry(() => this.#askAround(method, params, signal), {
      retries,
      minTimeout: backoffMs,
      factor: 2,
      randomize: true,
      signal,
    });
  }

  /** What it answered last cannot be: the endpoint that it came from is put aside for a while, if there is another. */
  blame(error: SuretyError): void {
    if (this.endpoints.length > 1) this.#answering.blame(error);
  }

  async #askAround(method: string, params: readonly unknown[], signal: AbortSignal | undefined): Promise<unknown> {
    await this.#waitForLimits(signal);
    if (method === "eth_sendRawTransaction") return this.#tellAll(params, signal);
    const failures: unknown[] = [];
    for (const endpoint of this.#inTurn()) {
      try {
        const result = await endpoint.request(method, params, { signal });
        this.#answering = endpoint;
        return result;
      } catch (error) {
        signal?.throwIfAborted();
        if (error instanceof RpcError && !saysMissing(error)) throw new AbortError(error);
        failures.push(error);
      }
    }
    throw summary(method, failures);
  }

  /** Hands a signed transaction to every endpoint. It is out when one has taken it. */
  async #tellAll(params: readonly unknown[], signal: AbortSignal | undefined): Promise<unknown> {
    const method = "eth_sendRawTransaction";
    const answers = await Promise.allSettled(
      this.#inTurn().map((endpoint) => endpoint.request(method, params, { signal })),
    );
    signal?.throwIfAborted();
    const taken = answers.find((answer) => answer.status === "fulfilled");
    if (taken) return taken.value;
    const failures = answers.map((answer) => (answer as PromiseRejectedResult).reason as unknown);
    const refusals = failures.filter((failure) => failure instanceof RpcError);
    // That it has it already, or that its nonce is used, says more than why another does not want it.
    const telling = refusals.find(({ message }) => /known|nonce/i.test(message)) ?? refusals[0];
    if (telling) throw new AbortError(telling);
    throw summary(method, failures);
  }

  /** Whom to ask, first to last. */
  #inTurn(): Endpoint[] {
    const rank = { good: 0, down: 1, limited: 2, doubted: 3 };
    const start = this.endpoints.indexOf(this.#answering);
    const around = [...this.endpoints.slice(start), ...this.endpoints.slice(0, start)];
    const turn = around
      .map((endpoint) => ({ endpoint, standing: endpoint.standing }))
      .toSorted((a, b) => rank[a.standing] - rank[b.standing]);
    const trusted = turn.filter(({ standing }) => standing !== "doubted");
    return (trusted.length > 0 ? trusted : turn).map(({ endpoint }) => endpoint);
  }

  async #waitForLimits(signal: AbortSignal | undefined): Promise<void> {
    const wait = Math.min(...this.#inTurn().map(({ limitedFor }) => limitedFor));
    if (wait > 0 && wait <= this.#options.patienceMs) await this.#clock.sleep(wait, { signal });
  }
}

/** One error for all of them, which asks for another try unless none can help. */
function summary(method: string, failures: readonly unknown[]): Error {
  const refused = failures.find((failure) => failure instanceof RpcError);
  if (refused) return new AbortError(refused);
  const strangers = failures.filter((failure) => failure instanceof SuretyError && failure.code === "CHAIN_MISMATCH");
  if (failures.length > 0 && strangers.length === failures.length) return new AbortError(strangers[0] as SuretyError);
  const reasons = failures.map((failure) => (failure as Error).message.replace(`${method}: `, ""));
  return new SuretyError("RPC_UNREACHABLE", `${method}: no endpoint answered: ${reasons.join("; ")}`, {
    details: { method, endpoints: failures.length },
    fix: "Check that the node runs and that its address is right.",
    cause: failures[0],
    kind: "retryable",
    exit: ExitStatus.unavailable,
  });
}

/** Hosts; of several endpoints on one host the second is `host#2`. Paths and queries may hold keys. */
function namesOf(endpoints: readonly RpcEndpoint[]): string[] {
  const hosts = endpoints.map(({ url }) => new URL(url).host);
  return hosts.map((host, index) => {
    const before = hosts.slice(0, index).filter((each) => each === host).length;
    return before === 0 ? host : `${host}#${before + 1}`;
  });
}
