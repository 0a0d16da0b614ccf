import { getAddress, Transaction, type Interface } from "ethers";
import { z } from "zod";
import { systemClock, type Clock } from "#sdk/clock.ts";
import { ExitStatus, SuretyError } from "#sdk/errors.ts";
import type { JsonRpc } from "#sdk/json-rpc.ts";
import type { Attempt, Inclusion, Intent, IntentFailure } from "../journal/intent-table.ts";
import type { Journal } from "../journal/journal.ts";
import { offer, type Fees } from "./fees.ts";
import { deadlinePassed, nextStep, type ChainView, type SendingPolicy, type Step } from "./next-step.ts";
import { CallReverted, decodeRevert, describeRevert, refusalOf, revertData } from "./revert.ts";

/** A transaction before it is signed: ethers' fields for type 2. */
export interface UnsignedTransaction {
  type: 2;
  chainId: number;
  nonce: number;
  to: string;
  data: string;
  /** Wei. */
  value: bigint;
  gasLimit: bigint;
  /** Wei per gas. */
  maxFeePerGas: bigint;
  maxPriorityFeePerGas: bigint;
}

/** Who signs: an ethers `Wallet`, a keystore, an external signer. */
export interface SignerLike {
  readonly address: string;
  /** @returns the signed transaction, hex */
  signTransaction(transaction: UnsignedTransaction, options?: { signal?: AbortSignal }): Promise<string>;
}

/** A call that is to take effect once. */
export interface Call {
  /** What it is for, unique for the account for ever: `claim:12:3`. The same key is the same call. */
  key: string;
  to: string;
  /** Encoded call, hex. */
  data: string;
  /** Wei. Default 0. */
  value?: bigint;
  /** Units of gas. Default: what the node estimates, and a quarter more. */
  gas?: bigint;
  /** Unix seconds of chain time from which on it is of no use. */
  deadline?: number;
}

/** How a {@link Sender} sends. */
export interface SenderOptions {
  chainId: number;
  /** A block is final when this many blocks stand on it; at least 1. */
  finalDepth: number;
  /** Which of its blocks to ask the node for instead of counting: that one and all below it are final. */
  finalTag?: "finalized" | "safe";
  /** The most to offer, wei per gas. Default 500 gwei. */
  feeCap?: bigint;
  /** The most of it for the tip, wei per gas; see {@link offer}. Default: no cap of its own. */
  tipCap?: bigint;
  /** Blocks to wait for an attempt before a dearer one. Default 3. */
  bumpAfterBlocks?: number;
  /** See {@link SendingPolicy.urgentSeconds}. Default 60. */
  urgentSeconds?: number;
  /** Between two looks at the chain, in milliseconds. Default 1000. */
  pollMs?: number;
  /** The longest wait after errors, in milliseconds. Default 30000. */
  maxBackoffMs?: number;
  /** Told after each write to the journal, before anything follows from it. */
  onStep?(intent: Intent): void | Promise<void>;
  /** Told of errors that will be tried again. */
  onTrouble?(error: SuretyError): void;
}

/** What a {@link Sender} works with. */
export interface SenderDependencies {
  rpc: JsonRpc;
  /** Must hold the lock of the signer's key. */
  journal: Journal;
  signer: SignerLike;
  /** Those of the contracts that are called, for their errors. */
  interfaces?: readonly Interface[];
  /** Who else can be asked whether a transaction was mined. Default: nobody but `rpc`. */
  witnesses?: readonly JsonRpc[];
  /** Default: the machine's. */
  clock?: Clock;
}

/** The chain as all intents see it in one look. */
type Look = Pick<ChainView, "head" | "finalNumber" | "latestNonce" | "market"> & { finalNonce?: number };

const quantity = z
  .string()
  .regex(/^0x[0-9a-fA-F]+$/)
  .transform((hex) => BigInt(hex));
const headAnswer = z.object({
  number: quantity.transform(Number),
  timestamp: quantity.transform(Number),
  baseFeePerGas: quantity.optional(),
});
const receiptAnswer = z.object({
  blockNumber: quantity.transform(Number),
  blockHash: z.string(),
  status: quantity.transform((status) => status === 1n),
  gasUsed: quantity,
  effectiveGasPrice: quantity.default(0n),
});

const minedAnswer = z.object({ blockNumber: quantity });

const DEFAULT_TIP = 1_000_000_000n;
const TRANSFER_GAS = 21_000n;

/**
 * Sends the calls of one account so that each takes effect once: through crashes, reorganisations, lost and dropped
 * transactions, rising fees, and nonces used by others.
 *
 * What is to be sent is in the journal before it is signed, and what is signed before anybody gets it. After a crash
 * the same signed transaction goes out again, which no chain executes twice.
 *
 * @example
 * ```ts
 * const sender = new Sender({ chainId: 31337, finalDepth: 12 }, { rpc, journal, signer: wallet, interfaces });
 * const running = sender.run({ signal });
 * await sender.submit({ key: "claim:12:0", to: market, data });
 * const { inclusion } = await sender.wait("claim:12:0", "mined", { signal });
 * ```
 */
export class Sender {
  readonly #options: Required<Omit<SenderOptions, "onStep" | "onTrouble" | "finalTag" | "tipCap">> & SenderOptions;
  readonly #policy: SendingPolicy;
  readonly #rpc: JsonRpc;
  readonly #journal: Journal;
  readonly #signer: SignerLike;
  readonly #interfaces: readonly Interface[];
  readonly #witnesses: readonly JsonRpc[];
  readonly #clock: Clock;
  readonly #account: string;
  /** What was said of calls that wait for lower fees. */
  readonly #waiting = new Map<string, string>();
  #chainChecked = false;
  #lastRound = -Infinity;
  #queue: Promise<unknown> = Promise.resolve();

  constructor(options: SenderOptions, dependencies: SenderDependencies) {
    this.#options = {
      feeCap: 500_000_000_000n,
      bumpAfterBlocks: 3,
      urgentSeconds: 60,
      pollMs: 1_000,
      maxBackoffMs: 30_000,
      ...options,
    };
    const { feeCap, tipCap, bumpAfterBlocks, urgentSeconds } = this.#options;
    this.#policy = { feeCap, tipCap, bumpAfterBlocks, urgentSeconds };
    this.#rpc = dependencies.rpc;
    this.#journal = dependencies.journal;
    this.#signer = dependencies.signer;
    this.#interfaces = dependencies.interfaces ?? [];
    this.#witnesses = dependencies.witnesses ?? [this.#rpc];
    this.#clock = dependencies.clock ?? systemClock;
    this.#account = getAddress(dependencies.signer.address);
  }

  /** The account that pays, EIP-55. */
  get account(): string {
    return this.#account;
  }

  /** What became of a call; undefined if it was never submitted. */
  find(key: string): Intent | undefined {
    return this.#journal.intents.get(this.#account, key);
  }

  /**
   * Sends a call, unless it was submitted before: then this only looks after it. If it fails with an error that is
   * retryable, the call stays in the journal and {@link Sender.run} goes on with it. A call that failed before
   * anything was signed starts over when submitted again; so does one that the contract refused in a block that is
   * final, for it had no effect: a reorganisation may have put it before what it needs.
   *
   * @returns the intent: usually `sent`, `planned` while the chain's base fee is above the cap, `signed` while the
   *   node does not take it
   * @throws CallReverted if the contract refuses, now or when it was mined; in the first case nothing was sent
   * @throws SuretyError `DEADLINE_PASSED` if it is too late
   * @throws SuretyError `SENDER_UNFUNDED` if the account cannot pay; nothing was sent
   * @throws SuretyError `INTENT_CONFLICT` if the key was used for another call
   * @throws SuretyError `RPC_UNREACHABLE`, `RPC_ERROR`, `RPC_MALFORMED`, `SIGNER_MISMATCH`, `CHAIN_MISMATCH`
   */
  async submit(call: Call, { signal }: { signal?: AbortSignal } = {}): Promise<Intent> {
    return this.#inTurn(async () => {
      const wanted = this.#plan(call);
      let intent = this.find(call.key);
      if (intent && !startsOver(intent)) {
        if (intent.to !== wanted.to || intent.data !== wanted.data || intent.value !== wanted.value) {
          throw new SuretyError("INTENT_CONFLICT", `${call.key} was submitted before, with another call`, {
            details: { key: call.key },
            fix: "Use a key that names this call only.",
          });
        }
      } else {
        intent = await this.#write(intent ? again(wanted, intent) : wanted);
      }
      intent = await this.#pursue(intent, await this.#look(signal), signal);
      return succeeded(intent);
    });
  }

  /**
   * Waits until a call is mined, or in a final block. Works with or without {@link Sender.run} beside it. What is
   * mined, failures too, can be undone by a reorganisation; what is final cannot.
   *
   * @throws CallReverted, SuretyError `DEADLINE_PASSED` or `SENDER_UNFUNDED` if it failed
   * @throws SuretyError `INTENT_UNKNOWN` if it was never submitted
   * @throws the signal's reason once it aborts
   */
  async wait(key: string, until: "mined" | "final", { signal }: { signal?: AbortSignal } = {}): Promise<Intent> {
    let failures = 0;
    for (;;) {
      signal?.throwIfAborted();
      const intent = this.find(key);
      if (!intent) throw new SuretyError("INTENT_UNKNOWN", `${key} was never submitted`, { details: { key } });
      if (until === "mined" || intent.status === "failed") succeeded(intent);
      if (intent.status === "final" || (intent.status === "mined" && until === "mined")) return intent;
      if (this.#clock.now() - this.#lastRound >= this.#options.pollMs) {
        failures = (await this.#attemptRound(signal)) ? 0 : failures + 1;
        if (failures === 0) continue;
      }
      await this.#clock.sleep(this.#pause(failures), { signal });
    }
  }

  /**
   * Takes up after a restart what the journal says is not finished, once: signed transactions go out again as they
   * are.
   *
   * @returns what is still open
   * @throws the first error met, after all others were looked after
   */
  async resume({ signal }: { signal?: AbortSignal } = {}): Promise<Intent[]> {
    await this.#round(signal);
    return this.#journal.intents.open(this.#account);
  }

  /**
   * Looks after all open calls until the signal aborts, and then resolves.
   *
   * @throws SuretyError those that do not pass: `CHAIN_MISMATCH`, `SIGNER_MISMATCH`, of the journal
   */
  async run({ signal }: { signal: AbortSignal }): Promise<void> {
    let failures = 0;
    while (!signal.aborted) {
      try {
        failures = (await this.#attemptRound(signal)) ? 0 : failures + 1;
      } catch (error) {
        if (signal.aborted && error === signal.reason) return;
        throw error;
      }
      await this.#clock.sleep(this.#pause(failures), { signal }).catch(() => undefined);
    }
  }

  #pause(failures: number): number {
    return Math.min(this.#options.pollMs * 2 ** Math.min(failures, 20), this.#options.maxBackoffMs);
  }

  /** False if something failed that can be tried again. */
  async #attemptRound(signal: AbortSignal | undefined): Promise<boolean> {
    try {
      await this.#round(signal);
      return true;
    } catch (error) {
      if (!(error instanceof SuretyError) || (error.kind === "fatal" && error.code !== "RPC_ERROR")) throw error;
      this.#options.onTrouble?.(error);
      return false;
    }
  }

  /** One look at the chain, and what is due for each open intent. */
  async #round(signal: AbortSignal | undefined): Promise<void> {
    await this.#inTurn(async () => {
      const open = this.#journal.intents.open(this.#account);
      if (open.length > 0 || !this.#chainChecked) {
        const look = await this.#look(signal);
        const failures: unknown[] = [];
        await this.#fillGap(open, look, signal).catch((error: unknown) => failures.push(error));
        for (const intent of this.#journal.intents.open(this.#account)) {
          // One call that cannot be sent must not hold up the others.
          await this.#pursue(intent, look, signal).catch((error: unknown) => failures.push(error));
          signal?.throwIfAborted();
        }
        if (failures.length > 0) throw failures[0];
      }
      this.#lastRound = this.#clock.now();
    });
  }

  /**
   * Uses up a nonce that nobody uses any more, as when a transaction from elsewhere came before ours and a
   * reorganisation removed it for good: ours would wait for it for ever.
   */
  async #fillGap(open: readonly Intent[], look: Look, signal: AbortSignal | undefined): Promise<void> {
    const lowest = open[0];
    const waitingSince = lowest?.attempts[0]?.signedAt;
    if (lowest?.nonce === undefined || waitingSince === undefined || lowest.nonce <= look.latestNonce) return;
    const fees = offer(look.market, this.#policy);
    if (!fees || look.head.number - waitingSince < this.#policy.bumpAfterBlocks) return;
    const nonce = look.latestNonce;
    // Too late from the start, so that all it ever sends is an empty transfer.
    const filler = this.#plan({ key: `gap:${nonce}:${lowest.key}`, to: this.#account, data: "0x", deadline: 0 });
    const attempt = await this.#sign(filler, nonce, "cancel", fees, look, signal);
    await this.#write({ ...filler, nonce, status: "signed", attempts: [attempt] });
  }

  /** Whatever reads and writes nonces goes one after the other. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#queue.then(work, work);
    this.#queue = turn.catch(() => undefined);
    return turn;
  }

  #plan(call: Call): Intent {
    const { key, to, data, value = 0n, gas, deadline } = call;
    const account = this.#account;
    return { key, account, to: getAddress(to), data, value, gas, deadline, status: "planned", attempts: [], dead: [] };
  }

  async #look(signal: AbortSignal | undefined): Promise<Look> {
    if (!this.#chainChecked) {
      const actual = Number(await this.#ask(quantity, "eth_chainId", [], signal));
      const expected = this.#options.chainId;
      if (actual !== expected) {
        throw new SuretyError("CHAIN_MISMATCH", `the node is on chain ${actual}, expected ${expected}`, {
          details: { actual, expected },
          fix: "Give the endpoint of the chain that the contracts are on.",
          exit: ExitStatus.badInput,
        });
      }
      this.#chainChecked = true;
    }
    const head = await this.#ask(headAnswer, "eth_getBlockByNumber", ["latest", false], signal);
    const latestNonce = await this.#nonceAt(head.number, signal);
    let tip = DEFAULT_TIP;
    try {
      tip = await this.#ask(quantity, "eth_maxPriorityFeePerGas", [], signal);
    } catch {
      // Not every node gives advice.
      signal?.throwIfAborted();
    }
    return {
      head,
      latestNonce,
      finalNumber: await this.#finalBelow(head.number, signal),
      market: { baseFee: head.baseFeePerGas ?? 0n, tip: tip > 0n ? tip : 1n },
    };
  }

  async #finalBelow(head: number, signal: AbortSignal | undefined): Promise<number> {
    const { finalDepth, finalTag } = this.#options;
    if (!finalTag) return head - finalDepth;
    // A young chain has none yet.
    const block = await this.#ask(headAnswer.nullable(), "eth_getBlockByNumber", [finalTag, false], signal);
    return block?.number ?? -1;
  }

  async #nonceAt(block: number, signal: AbortSignal | undefined): Promise<number> {
    return Number(await this.#ask(quantity, "eth_getTransactionCount", [this.#account, hex(block)], signal));
  }

  /** Adds to the look what only this intent needs. */
  async #view(intent: Intent, look: Look, signal: AbortSignal | undefined): Promise<ChainView> {
    const view: ChainView = { ...look, finalNonce: 0, known: false };
    const newest = intent.attempts.at(-1);
    if (!newest || intent.nonce === undefined) return view;
    if (look.latestNonce <= intent.nonce) {
      view.known = (await this.#request("eth_getTransactionByHash", [newest.hash], signal)) !== null;
      return view;
    }
    for (const attempt of intent.attempts.toReversed()) {
      const receipt = await this.#ask(receiptAnswer.nullable(), "eth_getTransactionReceipt", [attempt.hash], signal);
      if (receipt && receipt.blockNumber <= look.head.number) {
        view.inclusion = inclusionOf(attempt, receipt);
        return view;
      }
    }
    look.finalNonce ??= look.finalNumber < 0 ? 0 : await this.#nonceAt(look.finalNumber, signal);
    view.finalNonce = look.finalNonce;
    return view;
  }

  /** Does what is due until the chain must move first. */
  async #pursue(intent: Intent, look: Look, signal: AbortSignal | undefined): Promise<Intent> {
    for (;;) {
      const step = nextStep(intent, await this.#view(intent, look, signal), this.#policy);
      if (intent.nonce === undefined) this.#tellOfFees(intent, step, look);
      if (step.do === "wait") return intent;
      if (step.do === "broadcast") return this.#broadcast(intent, signal);
      if (step.do === "replan") await this.#requireReplaced(intent, signal);
      intent = await this.#take(step, intent, look, signal);
      if (intent.status === "failed" || intent.status === "final") return intent;
    }
  }

  /**
   * Makes sure, as far as anybody can tell, that it was another transaction that used the nonce. A node that only
   * lacks the receipt, or withholds it, would have the call executed twice.
   *
   * @throws SuretyError `RPC_CONTRADICTION` (retryable) if somebody says that the intent's own was mined
   */
  async #requireReplaced({ key, attempts }: Intent, signal: AbortSignal | undefined): Promise<void> {
    for (const { hash } of attempts) {
      const asked = this.#witnesses.map((each) => each.request("eth_getTransactionByHash", [hash], { signal }));
      const answers = await Promise.allSettled(asked);
      signal?.throwIfAborted();
      const isMined = (answer: (typeof answers)[number]): boolean =>
        answer.status === "fulfilled" && minedAnswer.safeParse(answer.value).success;
      if (!answers.some(isMined)) continue;
      const error = new SuretyError("RPC_CONTRADICTION", `the node has no receipt of ${hash}, which was mined`, {
        details: { key, hash },
        fix: "Its provider is broken or lies; others are asked meanwhile, if there are any.",
        kind: "retryable",
        exit: ExitStatus.unavailable,
      });
      this.#rpc.blame?.(error);
      throw error;
    }
  }

  /** Says once that a call waits for lower fees, or that it goes out although they are too high. */
  #tellOfFees({ key, deadline }: Intent, step: Step, { market }: Look): void {
    const { feeCap } = this.#policy;
    if (market.baseFee <= feeCap) {
      this.#waiting.delete(key);
      return;
    }
    const said = step.do === "sign" ? "is offered at the cap, as its deadline is near" : "waits";
    if (step.do === "fail" || this.#waiting.get(key) === said) return;
    this.#waiting.set(key, said);
    this.#options.onTrouble?.(
      new SuretyError("FEES_ABOVE_CAP", `the base fee is ${market.baseFee} wei, the cap ${feeCap}: ${key} ${said}`, {
        details: { key, baseFee: String(market.baseFee), feeCap: String(feeCap), deadline },
        fix: "Raise maxFeePerGas in its configuration if the call is worth it.",
        kind: "retryable",
        exit: ExitStatus.unavailable,
      }),
    );
  }

  async #take(
    step: Exclude<Step, { do: "wait" | "broadcast" }>,
    intent: Intent,
    look: Look,
    signal: AbortSignal | undefined,
  ): Promise<Intent> {
    switch (step.do) {
      case "sign":
        return this.#signFirst(intent, step.fees, look, signal);
      case "bump": {
        const attempt = await this.#sign(intent, intent.nonce as number, step.purpose, step.fees, look, signal);
        return this.#write({
          ...intent,
          status: "signed",
          attempts: [...intent.attempts, attempt],
          trouble: undefined,
        });
      }
      case "confirm": {
        const { inclusion } = step;
        const failure = inclusion.succeeded ? undefined : await this.#reasonOf(intent, inclusion, signal);
        return this.#write({ ...intent, status: "mined", inclusion, failure, trouble: undefined });
      }
      case "retract":
        return this.#write({ ...intent, status: "sent", inclusion: undefined, failure: undefined });
      case "replan": {
        const dead = [...intent.dead, ...intent.attempts];
        return this.#write({ ...intent, status: "planned", nonce: undefined, attempts: [], dead, trouble: undefined });
      }
      case "finish": {
        if (intent.inclusion?.purpose === "cancel") {
          return this.#write({ ...intent, status: "failed", failure: deadlinePassed(intent) });
        }
        return this.#write({ ...intent, status: intent.failure ? "failed" : "final" });
      }
      case "fail":
        return this.#write({ ...intent, status: "failed", failure: step.failure });
    }
  }

  async #signFirst(intent: Intent, fees: Fees, look: Look, signal: AbortSignal | undefined): Promise<Intent> {
    const { to, data, value } = intent;
    const call = { from: this.#account, to, data, value: hex(value) };
    let { gas } = intent;
    if (gas === undefined) {
      try {
        gas = ((await this.#ask(quantity, "eth_estimateGas", [call], signal)) * 5n) / 4n;
      } catch (error) {
        const failure = this.#failureOf(intent, error);
        if (failure) return this.#write({ ...intent, status: "failed", failure });
        throw error;
      }
    }
    const balance = await this.#ask(quantity, "eth_getBalance", [this.#account, hex(look.head.number)], signal);
    const open = this.#journal.intents.open(this.#account).filter((each) => each.status !== "mined");
    const promised = open.reduce((sum, each) => sum + costOf(each, each.attempts.at(-1)), 0n);
    const needed = promised + costOf({ ...intent, gas }, fees);
    if (balance < needed) {
      const message = `${this.#account} has ${balance} wei, ${needed} may be needed`;
      const args = { balance: String(balance), needed: String(needed) };
      return this.#write({ ...intent, status: "failed", failure: { code: "SENDER_UNFUNDED", message, args } });
    }
    // Others may have used the key: the chain's count can be ahead of the journal's, and the other way round.
    const nonce = Math.max(this.#journal.intents.nextNonce(this.#account), look.latestNonce);
    const planned = { ...intent, gas };
    const attempt = await this.#sign(planned, nonce, "call", fees, look, signal);
    return this.#write({ ...planned, nonce, status: "signed", attempts: [attempt] });
  }

  async #sign(
    intent: Intent,
    nonce: number,
    purpose: Attempt["purpose"],
    fees: Fees,
    look: Look,
    signal: AbortSignal | undefined,
  ): Promise<Attempt> {
    const payload =
      purpose === "call"
        ? { to: intent.to, data: intent.data, value: intent.value, gasLimit: intent.gas as bigint }
        : { to: this.#account, data: "0x", value: 0n, gasLimit: TRANSFER_GAS };
    const { chainId } = this.#options;
    const { maxFeePerGas, maxPriorityFeePerGas } = fees;
    const unsigned = { type: 2 as const, chainId, nonce, ...payload, maxFeePerGas, maxPriorityFeePerGas };
    const raw = await this.#signer.signTransaction(unsigned, { signal });
    const signed = Transaction.from(raw);
    // A signer of another make may have put in values of its own, and the journal must know what was signed.
    if (signed.from !== this.#account || signed.unsignedHash !== Transaction.from(unsigned).unsignedHash) {
      throw new SuretyError("SIGNER_MISMATCH", "the signer signed something else than it was given", {
        details: { key: intent.key, expected: this.#account, actual: signed.from },
        fix: "Check that the signer's address and key belong together, and that it changes no transaction.",
      });
    }
    return {
      hash: signed.hash as string,
      raw,
      purpose,
      nonce,
      maxFeePerGas,
      maxPriorityFeePerGas,
      signedAt: look.head.number,
    };
  }

  async #broadcast(intent: Intent, signal: AbortSignal | undefined): Promise<Intent> {
    const attempt = intent.attempts.at(-1) as Attempt;
    try {
      await this.#request("eth_sendRawTransaction", [attempt.raw], signal);
    } catch (error) {
      const refusal = refusalOf(error);
      if (error instanceof SuretyError && error.kind === "retryable") throw error;
      // With an old nonce it is mined, or another is: the next look tells.
      if (refusal !== "known" && refusal !== "stale-nonce") {
        const kind = refusal === "underpriced" || refusal === "unfunded" ? refusal : "other";
        const message = error instanceof Error ? error.message : String(error);
        this.#options.onTrouble?.(
          new SuretyError("BROADCAST_REFUSED", `the node did not take ${intent.key}: ${message}`, {
            details: { key: intent.key, hash: attempt.hash, kind },
            cause: error,
            kind: "retryable",
            exit: ExitStatus.unavailable,
          }),
        );
        return this.#write({ ...intent, trouble: { kind, message } });
      }
    }
    return intent.status === "sent" ? intent : this.#write({ ...intent, status: "sent", trouble: undefined });
  }

  async #write(intent: Intent): Promise<Intent> {
    this.#journal.intents.put(intent);
    await this.#options.onStep?.(intent);
    return intent;
  }

  /** Why a mined call reverted, by calling again on the state before its block. */
  async #reasonOf(intent: Intent, inclusion: Inclusion, signal: AbortSignal | undefined): Promise<IntentFailure> {
    const { to, data, value, gas } = intent;
    const call = { from: this.#account, to, data, value: hex(value), gas: gas === undefined ? undefined : hex(gas) };
    const fallback = { code: "CALL_REVERTED", message: `${intent.key} reverted in block ${inclusion.blockNumber}` };
    try {
      await this.#request("eth_call", [call, hex(inclusion.blockNumber - 1)], signal);
      return fallback;
    } catch (error) {
      signal?.throwIfAborted();
      return this.#failureOf(intent, error) ?? fallback;
    }
  }

  /** What a refused estimate or call means for the intent; undefined if nothing. */
  #failureOf(intent: Intent, error: unknown): IntentFailure | undefined {
    const refusal = refusalOf(error);
    if (refusal === "unfunded") {
      return { code: "SENDER_UNFUNDED", message: `${this.#account} cannot pay for ${intent.key}` };
    }
    if (refusal !== "reverted") return undefined;
    const revert = decodeRevert(revertData(error), this.#interfaces);
    return { code: "CALL_REVERTED", message: `${intent.key} reverted: ${describeRevert(revert)}`, ...revert };
  }

  async #ask<T>(schema: z.ZodType<T>, method: string, params: unknown[], signal: AbortSignal | undefined): Promise<T> {
    const result = schema.safeParse(await this.#request(method, params, signal));
    if (result.success) return result.data;
    throw new SuretyError("RPC_MALFORMED", `${method} answered nonsense: ${z.prettifyError(result.error)}`, {
      details: { method },
      kind: "retryable",
      exit: ExitStatus.unavailable,
    });
  }

  async #request(method: string, params: unknown[], signal: AbortSignal | undefined): Promise<unknown> {
    signal?.throwIfAborted();
    return this.#rpc.request(method, params, { signal });
  }
}

/** Whether a call that is submitted again may have its effect yet. */
function startsOver({ status, nonce, failure }: Intent): boolean {
  return status === "failed" && (nonce === undefined || failure?.code === "CALL_REVERTED");
}

/** A call that starts over, with what became of it before. */
function again(wanted: Intent, { inclusion, attempts, dead, reverted = [] }: Intent): Intent {
  return {
    ...wanted,
    dead: [...dead, ...attempts],
    ...(inclusion || reverted.length > 0 ? { reverted: inclusion ? [...reverted, inclusion] : reverted } : {}),
  };
}

/** The intent, unless it failed or will if its block stays. */
function succeeded(intent: Intent): Intent {
  const { failure, key } = intent;
  if (!failure) return intent;
  const { code, message, errorName, args = {} } = failure;
  if (code === "CALL_REVERTED") throw new CallReverted(message, { errorName, args }, { key });
  // Somebody may send money; what was due before a deadline stays too late.
  const unfunded = code === "SENDER_UNFUNDED";
  throw new SuretyError(code, message, {
    details: { key, ...args },
    exit: ExitStatus.refused,
    ...(unfunded ? { kind: "retryable", fix: "Send the account more of the chain's own money." } : {}),
  });
}

function costOf(intent: Intent, fees: Fees | undefined): bigint {
  return fees ? (intent.gas ?? 0n) * fees.maxFeePerGas + intent.value : 0n;
}

function inclusionOf(attempt: Attempt, receipt: z.infer<typeof receiptAnswer>): Inclusion {
  const { blockNumber, blockHash, status, gasUsed, effectiveGasPrice } = receipt;
  const { hash, purpose } = attempt;
  return { hash, purpose, blockNumber, blockHash, succeeded: status, gasUsed, gasPrice: effectiveGasPrice };
}

function hex(value: number | bigint): string {
  return `0x${value.toString(16)}`;
}
