import { getAddress, isAddress, toQuantity, Transaction } from "ethers";
import { z } from "zod";
import { ExitStatus, SuretyError } from "#sdk/errors.ts";
import type { SignerLike, UnsignedTransaction } from "../chain/sender.ts";

/** Most bytes of an answer: a signed transaction has at most 128 KiB where nodes take it, twice that in hexadecimal. */
const MAX_ANSWER_BYTES = 1024 * 1024;

/** Where a signer is and whom it signs for. */
export interface ExternalSignerOptions {
  /** Address of its JSON-RPC, HTTP(S). */
  url: string;
  /** The account it is to sign for, EIP-55. */
  address: string;
  /** Sent as bearer token. Default: none. */
  token?: string;
  /** Milliseconds it may take to answer. */
  timeoutMs: number;
}

const answerSchema = z.object({
  result: z.unknown().optional(),
  error: z.object({ code: z.number().optional(), message: z.string().optional() }).nullish(),
});
/** What geth's and Clef's kind answer; others answer the raw transaction itself. */
const signedSchema = z.union([z.string(), z.object({ raw: z.string() }).transform(({ raw }) => raw)]);

/** What tells one transaction from another, as ethers names it. */
const FIELDS = [
  "type",
  "chainId",
  "nonce",
  "to",
  "value",
  "data",
  "gasLimit",
  "maxFeePerGas",
  "maxPriorityFeePerGas",
] as const;

/**
 * Another program that keeps the key: asked over JSON-RPC (`eth_accounts`, `eth_signTransaction`), and not believed.
 * What it signed is taken only if it is, field for field, what it was asked to sign, by the account it is to sign for.
 *
 * @example
 * ```ts
 * const signer = await ExternalSigner.open({ url, address, timeoutMs: 10_000 }, { signal });
 * const raw = await signer.signTransaction(unsigned, { signal });
 * ```
 */
export class ExternalSigner implements SignerLike {
  readonly address: string;
  readonly #options: ExternalSignerOptions;
  #nextId = 1;

  private constructor(options: ExternalSignerOptions) {
    this.#options = options;
    this.address = getAddress(options.address);
  }

  /**
   * Sees that the signer answers and has the account.
   *
   * @throws SuretyError `SIGNER_UNREACHABLE` (retryable, exit 3), `SIGNER_REFUSED` (retryable, exit 3),
   *   `SIGNER_ANSWER_INVALID` (exit 3), `SIGNER_ACCOUNT_MISSING` (exit 2)
   */
  static async open(
    options: ExternalSignerOptions,
    { signal }: { signal?: AbortSignal } = {},
  ): Promise<ExternalSigner> {
    const signer = new ExternalSigner(options);
    const accounts = z.array(z.string()).safeParse(await signer.#ask("eth_accounts", [], signal));
    if (!accounts.success) throw signer.#invalid("eth_accounts", "no list of addresses");
    if (!accounts.data.some((each) => isAddress(each) && getAddress(each) === signer.address)) {
      throw new SuretyError("SIGNER_ACCOUNT_MISSING", `${signer.#name} does not sign for ${signer.address}`, {
        details: { address: signer.address, accounts: accounts.data.length },
        fix: "Give it that account's key, or configure the address of an account that it has.",
        exit: ExitStatus.badInput,
      });
    }
    return signer;
  }

  /**
   * @returns the signed transaction, hexadecimal
   * @throws SuretyError `SIGNER_UNREACHABLE`, `SIGNER_REFUSED` (both retryable), `SIGNER_ANSWER_INVALID`,
   *   `SIGNER_MISMATCH` if it signed something else or with another key
   */
  async signTransaction(unsigned: UnsignedTransaction, { signal }: { signal?: AbortSignal } = {}): Promise<string> {
    const { chainId, nonce, to, data, value, gasLimit, maxFeePerGas, maxPriorityFeePerGas } = unsigned;
    const asked = {
      type: "0x2",
      from: this.address,
      chainId: toQuantity(chainId),
      nonce: toQuantity(nonce),
      to,
      value: toQuantity(value),
      // Old and new name of the same; programs differ in which they know.
      data,
      input: data,
      gas: toQuantity(gasLimit),
      maxFeePerGas: toQuantity(maxFeePerGas),
      maxPriorityFeePerGas: toQuantity(maxPriorityFeePerGas),
    };
    const answer = signedSchema.safeParse(await this.#ask("eth_signTransaction", [asked], signal));
    if (!answer.success) throw this.#invalid("eth_signTransaction", "no signed transaction");
    const signed = this.#parse(answer.data);
    const expected = Transaction.from(unsigned);
    const changed: string[] = FIELDS.filter((field) => signed[field] !== expected[field]);
    if (signed.from !== this.address) changed.push("from");
    // Whatever else there is to a transaction is in its hash.
    if (changed.length === 0 && signed.unsignedHash !== expected.unsignedHash) changed.push("contents");
    if (changed.length > 0) {
      throw new SuretyError("SIGNER_MISMATCH", `${this.#name} signed something else: ${changed.join(", ")}`, {
        details: { changed: changed.join(","), expected: this.address, actual: signed.from },
        fix: "It was not sent. See why the signer changes what it is given, or whether it is yours.",
      });
    }
    return signed.serialized;
  }

  /** Without path and query, which may hold keys. */
  get #name(): string {
    return `the signer at ${new URL(this.#options.url).host}`;
  }

  #parse(raw: string): Transaction {
    try {
      const signed = Transaction.from(raw);
      if (signed.isSigned()) return signed;
    } catch {
      // Told below.
    }
    throw this.#invalid("eth_signTransaction", "no signed transaction");
  }

  async #ask(method: string, params: readonly unknown[], signal: AbortSignal | undefined): Promise<unknown> {
    const { url, token, timeoutMs } = this.#options;
    signal?.throwIfAborted();
    const limit = AbortSignal.timeout(timeoutMs);
    let text: string;
    try {
      const response = await fetch(url, {
        method: "POST",
        headers: { "content-type": "application/json", ...(token ? { authorization: `Bearer ${token}` } : {}) },
        body: JSON.stringify({ jsonrpc: "2.0", id: this.#nextId++, method, params }),
        // What it is sent is for this one place.
        redirect: "error",
        signal: signal ? AbortSignal.any([signal, limit]) : limit,
      });
      text = await readLimited(response);
      if (!response.ok && !text.includes('"error"')) throw new Error(`HTTP status ${response.status}`);
    } catch (cause) {
      if (signal?.aborted) throw signal.reason;
      const reason = limit.aborted ? `no answer within ${timeoutMs} ms` : reasonOf(cause);
      throw new SuretyError("SIGNER_UNREACHABLE", `${this.#name} did not answer ${method}: ${reason}`, {
        details: { method },
        fix: "Start it, or correct its address or token in the configuration.",
        cause,
        kind: "retryable",
        exit: ExitStatus.unavailable,
      });
    }
    const answer = answerSchema.safeParse(parseJson(text));
    if (!answer.success) throw this.#invalid(method, "no JSON-RPC");
    const { result, error } = answer.data;
    if (!error) return result;
    throw new SuretyError("SIGNER_REFUSED", `${this.#name} refused ${method}: ${error.message ?? "no reason given"}`, {
      details: { method, rpcCode: error.code },
      fix: "See its log and its rules.",
      kind: "retryable",
      exit: ExitStatus.unavailable,
    });
  }

  #invalid(method: string, what: string): SuretyError {
    return new SuretyError("SIGNER_ANSWER_INVALID", `${this.#name} answered ${method} with ${what}`, {
      details: { method },
      fix: "See whether the address is that of a signer; docs/keys.md says what is asked of one.",
      exit: ExitStatus.unavailable,
    });
  }
}

async function readLimited(response: Response): Promise<string> {
  const reader = response.body?.getReader();
  const decoder = new TextDecoder();
  let text = "";
  let bytes = 0;
  for (;;) {
    const chunk = await reader?.read();
    if (chunk?.value === undefined) return text + decoder.decode();
    bytes += chunk.value.length;
    if (bytes > MAX_ANSWER_BYTES) {
      await reader?.cancel();
      throw new Error(`more than ${MAX_ANSWER_BYTES} bytes`);
    }
    text += decoder.decode(chunk.value, { stream: true });
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

/** fetch hides why it failed in the cause. */
function reasonOf(error: unknown): string {
  const { message, cause } = error as Error;
  return cause instanceof Error ? cause.message : message;
}
