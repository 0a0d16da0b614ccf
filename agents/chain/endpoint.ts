import { systemClock, type Clock } from "#sdk/clock.ts";
import { ExitStatus, SuretyError } from "#sdk/errors.ts";
import type { JsonRpc } from "#sdk/json-rpc.ts";

/** One provider of a chain. */
export interface RpcEndpoint {
  /** HTTP(S). May hold a key, and is therefore never shown: logs have the host only. */
  url: string;
  /** Sent with each request, for example `authorization`. */
  headers?: Readonly<Record<string, string>>;
  /** It has failed if it takes longer, in milliseconds. */
  timeoutMs?: number;
}

/** What an {@link Endpoint} is told beside where it is. */
export interface EndpointOptions {
  /** What logs call it. */
  name: string;
  /** If given, no answer of another chain is used. */
  chainId?: number;
  timeoutMs: number;
  /** Told once each time it is put aside, and why. */
  onTrouble?(error: SuretyError): void;
}

/** What an {@link Endpoint} works with. */
export interface EndpointDependencies {
  /** Default: the platform's. */
  fetch?: typeof fetch;
  /** Default: the machine's. */
  clock?: Clock;
}

/**
 * How an endpoint stands: `good`; `down`, it failed a moment ago; `limited`, it asked not to be asked; `doubted`, what
 * it said cannot be or is old, or it is on another chain.
 */
export type Standing = "good" | "down" | "limited" | "doubted";

/** Words of nodes that do not have a block: not yet, or not any more since a reorganisation. */
const NO_BLOCK =
  /header not found|unknown block|block not found|block .*not (found|available)|after last accepted|ahead of.* head|BlockOutOfRange|block height is \d+ but requested/i;
/** Words of nodes that keep no old state. */
const NO_STATE = /missing trie node|state.* (not|un)available|historical state|pruned/i;

/** Whether a node refused because it lacks a block, where another may have it. */
export function saysMissing({ message }: RpcError): boolean {
  return NO_BLOCK.test(message) || NO_STATE.test(message);
}

/**
 * The node understood the request and refused it: `RPC_ERROR`. Worth another try where it only lacks a block that it may
 * have in a moment, or that the caller knows of from before a reorganisation.
 */
export class RpcError extends SuretyError {
  override readonly name = "RpcError";
  /** JSON-RPC's or the node's own, e.g. 3 for a revert. */
  readonly rpcCode: number;
  /** As the node sent it: for a revert usually the returned bytes. */
  readonly data: unknown;

  constructor(method: string, error: { code: number; message: string; data?: unknown }, endpoint?: string) {
    super("RPC_ERROR", `${method}: ${error.message}`, {
      details: {
        method,
        rpcCode: error.code,
        data: typeof error.data === "string" ? error.data : undefined,
        ...(endpoint === undefined ? {} : { endpoint }),
      },
      kind: NO_BLOCK.test(error.message) ? "retryable" : "fatal",
      exit: ExitStatus.unavailable,
    });
    this.rpcCode = error.code;
    this.data = error.data;
  }
}

/** First and longest time that an endpoint is left after it failed, milliseconds. */
const DOWN_MS = 1_000;
const MAX_DOWN_MS = 60_000;
/** The same after it said what cannot be. */
const DOUBTED_MS = 60_000;
const MAX_DOUBTED_MS = 900_000;
/** Nobody is believed who wants to be left alone for longer, milliseconds. */
const MAX_LIMITED_MS = 300_000;
/** Most bytes of an answer: a block of receipts of a big chain has a few million. */
const MAX_ANSWER_BYTES = 64 * 1024 * 1024;

/** A rate limit or an overloaded back end, said in JSON-RPC: another endpoint, or the same one later, may answer. */
const BUSY_CODES = new Set([-32005, -32029, 429]);
/** The same codes tell that a query has too many results: asking again, or somebody else, changes nothing. */
const TOO_MANY_RESULTS = /results|range|response size|too large|more than \d+ (logs|events)/i;

/** It does not answer, or what it answers is no JSON-RPC. */
class Failure extends Error {
  /** For how long it asks to be left alone, milliseconds. */
  readonly limitedMs: number | undefined;

  constructor(message: string, { limitedMs, cause }: { limitedMs?: number; cause?: unknown } = {}) {
    super(message, { cause });
    this.limitedMs = limitedMs;
  }
}

/**
 * One endpoint by itself: JSON-RPC over HTTP, each request tried once. It keeps in mind how it fared, so that all who
 * choose among several know.
 */
export class Endpoint implements JsonRpc {
  readonly name: string;
  readonly #url: string;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #options: EndpointOptions;
  readonly #fetch: typeof fetch;
  readonly #clock: Clock;
  #onChain: boolean;
  #nextId = 1;
  #failures = 0;
  #doubts = 0;
  #until: Record<Exclude<Standing, "good">, number> = { down: 0, limited: 0, doubted: 0 };

  constructor(
    { url, headers = {}, timeoutMs }: RpcEndpoint,
    options: EndpointOptions,
    dependencies: EndpointDependencies = {},
  ) {
    this.name = options.name;
    this.#url = url;
    this.#headers = headers;
    this.#options = { ...options, timeoutMs: timeoutMs ?? options.timeoutMs };
    this.#onChain = options.chainId === undefined;
    this.#fetch = dependencies.fetch ?? fetch;
    this.#clock = dependencies.clock ?? systemClock;
  }

  get standing(): Standing {
    const now = this.#clock.now();
    if (this.#until.doubted > now) return "doubted";
    if (this.#until.limited > now) return "limited";
    return this.#until.down > now ? "down" : "good";
  }

  /** Whether it is put aside for what it said. */
  get isDoubted(): boolean {
    return this.standing === "doubted";
  }

  /** Milliseconds until it may be asked again although it asked not to be; 0 if it did not. */
  get limitedFor(): number {
    return Math.max(0, this.#until.limited - this.#clock.now());
  }

  /**
   * @throws RpcError if the node refused
   * @throws SuretyError `RPC_UNREACHABLE` (retryable) if it did not answer in time, or with something else
   * @throws SuretyError `CHAIN_MISMATCH` if it is on another chain
   * @throws the signal's reason once it aborts
   */
  async request(
    method: string,
    params: readonly unknown[] = [],
    { signal }: { signal?: AbortSignal } = {},
  ): Promise<unknown> {
    signal?.throwIfAborted();
    if (this.limitedFor > 0) throw this.#unreachable(method, `it asked to be left alone for ${this.limitedFor} ms`);
    try {
      if (!this.#onChain) await this.#checkChain(signal);
      const result = await this.#ask(method, params, signal);
      // Who was on the right chain a moment ago may be somebody else by now.
      if (method === "eth_chainId") this.#requireChain(result);
      this.#failures = 0;
      this.#until.down = 0;
      return result;
    } catch (error) {
      signal?.throwIfAborted();
      if (error instanceof SuretyError) throw error;
      throw this.#failed(method, error);
    }
  }

  /** Puts it aside for a while, longer each time: what it said cannot be, is old, or is not what others say. */
  blame(error: SuretyError): void {
    const already = this.standing === "doubted";
    this.#doubts += 1;
    this.#onChain = this.#options.chainId === undefined;
    const rest = Math.min(DOUBTED_MS * 2 ** (this.#doubts - 1), MAX_DOUBTED_MS);
    this.#until.doubted = this.#clock.now() + rest;
    if (!already) this.#tell(error, rest);
  }

  #failed(method: string, cause: unknown): SuretyError {
    const { limitedMs } = cause as { limitedMs?: number };
    const wasGood = this.standing === "good";
    // Who answers behind this address may be somebody else by now.
    this.#onChain = this.#options.chainId === undefined;
    this.#failures += 1;
    const pause = Math.min(DOWN_MS * 2 ** Math.min(this.#failures - 1, 10), MAX_DOWN_MS);
    this.#until.down = this.#clock.now() + pause;
    if (limitedMs !== undefined) this.#until.limited = this.#clock.now() + Math.min(limitedMs, MAX_LIMITED_MS);
    const error = this.#unreachable(method, reasonOf(cause), cause);
    if (wasGood) this.#tell(error, Math.max(pause, this.limitedFor));
    return error;
  }

  #unreachable(method: string, reason: string, cause?: unknown): SuretyError {
    return new SuretyError("RPC_UNREACHABLE", `${method}: ${this.name}: ${reason}`, {
      details: { method, endpoint: this.name, reason },
      fix: "Check that the node runs and that its address is right.",
      cause,
      kind: "retryable",
      exit: ExitStatus.unavailable,
    });
  }

  #tell({ code, message, details, fix, exit, cause }: SuretyError, restMs: number): void {
    const told = { ...details, endpoint: this.name, restMs: Math.round(restMs) };
    this.#options.onTrouble?.(new SuretyError(code, message, { details: told, fix, exit, cause, kind: "retryable" }));
  }

  async #checkChain(signal: AbortSignal | undefined): Promise<void> {
    this.#requireChain(await this.#ask("eth_chainId", [], signal));
    this.#onChain = true;
  }

  #requireChain(answer: unknown): void {
    const { chainId: expected } = this.#options;
    const actual = Number(answer);
    if (expected === undefined || actual === expected) return;
    const error = new SuretyError("CHAIN_MISMATCH", `${this.name} is on chain ${actual}, expected ${expected}`, {
      details: { actual, expected, endpoint: this.name },
      fix: "Give the endpoint of the chain that the contracts are on.",
      exit: ExitStatus.badInput,
    });
    this.blame(error);
    throw error;
  }

  async #ask(method: string, params: readonly unknown[], signal: AbortSignal | undefined): Promise<unknown> {
    const id = this.#nextId++;
    const timeout = AbortSignal.timeout(this.#options.timeoutMs);
    const response = await this.#fetch(this.#url, {
      method: "POST",
      headers: { ...this.#headers, "content-type": "application/json" },
      body: JSON.stringify({ jsonrpc: "2.0", id, method, params }),
      signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
    });
    const limitedMs = limitOf(response, this.#clock);
    const answer = parsed(await textOf(response));
    // Nodes send errors of their own with status 400 or 500; a proxy's error page has no such body.
    if (typeof answer !== "object" || answer === null) {
      throw new Failure(`HTTP ${response.status} without an answer in JSON`, { limitedMs });
    }
    const { error, result, id: answered } = answer as { error?: RpcFailure; result?: unknown; id?: unknown };
    if (answered !== undefined && answered !== null && answered !== id)
      throw new Failure("an answer to something else");
    if (error) {
      const code = Number(error.code);
      const message = String(error.message);
      const busy = response.status === 429 || (BUSY_CODES.has(code) && !TOO_MANY_RESULTS.test(message));
      if (busy) throw new Failure(`busy: ${message}`, { limitedMs });
      throw new RpcError(method, { code, message, data: error.data }, this.name);
    }
    if (!response.ok || result === undefined)
      throw new Failure(`HTTP ${response.status} without a result`, { limitedMs });
    return result;
  }
}

interface RpcFailure {
  code?: number;
  message?: string;
  data?: unknown;
}

/** What `Retry-After` says, seconds or a date, in milliseconds from now. */
function limitOf(response: Response, clock: Clock): number | undefined {
  const value = response.headers.get("retry-after");
  if (value === null || response.ok) return undefined;
  if (/^\d{1,9}$/.test(value)) return Number(value) * 1000;
  const date = Date.parse(value);
  // A date can only be held against the other side's own clock.
  const now = Date.parse(response.headers.get("date") ?? "");
  return Number.isNaN(date) ? undefined : Math.max(0, date - (Number.isNaN(now) ? clock.now() : now));
}

/** The body, unless it has no end. */
async function textOf(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of (response.body ?? []) as unknown as AsyncIterable<Uint8Array>) {
    size += chunk.length;
    if (size > MAX_ANSWER_BYTES) throw new Failure(`an answer of more than ${MAX_ANSWER_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** `fetch` hides what went wrong in the cause. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { cause } = error;
  if (cause instanceof Error) return cause.message || String((cause as NodeJS.ErrnoException).code);
  return error.message;
}
