import { systemClock, type Clock } from "#sdk/clock.ts";
import { ExitStatus, SuretyError } from "#sdk/errors.ts";
import type { JsonRpc } from "#sdk/json-rpc.ts";
import type { Logger } from "../logger.ts";
import { offer, type FeeCaps } from "./fees.ts";

/** What a {@link GasMoney} holds to. */
export interface GasMoneyOptions {
  /** The account that pays. */
  account: string;
  caps: FeeCaps;
  /** Below this nothing new is begun, wei. Default: what {@link RESERVE_GAS} costs at the moment. */
  reserve?: bigint;
}

/** What a {@link GasMoney} works with. */
export interface GasMoneyDependencies {
  rpc: JsonRpc;
  logger: Logger;
  /** Default: the machine's. */
  clock?: Clock;
}

/** How long an answer stands, milliseconds. */
const KEPT_MS = 2_000;

/** What an agent that takes something on may have to spend before it is paid, units of gas. */
export const RESERVE_GAS = 2_000_000n;

/**
 * The chain's own money that an agent pays its transactions with: how much there is, and whether it is enough to begin
 * anything. What was begun goes on as long as there is any.
 */
export class GasMoney {
  readonly #options: GasMoneyOptions;
  readonly #rpc: JsonRpc;
  readonly #logger: Logger;
  readonly #clock: Clock;
  #balance: bigint | undefined;
  #isLow = false;
  #askedAt = -Infinity;

  constructor(options: GasMoneyOptions, { rpc, logger, clock = systemClock }: GasMoneyDependencies) {
    this.#options = options;
    this.#rpc = rpc;
    this.#logger = logger;
    this.#clock = clock;
  }

  /** What there was when it was last asked for, wei; undefined before. */
  get balance(): bigint | undefined {
    return this.#balance;
  }

  /** Whether it was too little when it was last asked for. */
  get isLow(): boolean {
    return this.#isLow;
  }

  /**
   * Whether something new may be begun, as of the last two seconds: blocks may come faster than money is spent. Says so
   * in the log whenever that changes.
   *
   * @throws what the transport throws
   */
  async suffices({ signal }: { signal?: AbortSignal } = {}): Promise<boolean> {
    const { account, reserve } = this.#options;
    const now = this.#clock.now();
    if (now - this.#askedAt < KEPT_MS) return !this.#isLow;
    const balance = BigInt((await this.#rpc.request("eth_getBalance", [account, "latest"], { signal })) as string);
    const needed = reserve ?? (await this.#cost(signal));
    this.#balance = balance;
    this.#askedAt = now;
    const isLow = balance < needed;
    const facts = { address: account, balance: String(balance), needed: String(needed) };
    if (isLow && !this.#isLow) {
      const error = new SuretyError("GAS_MONEY_LOW", `${account} has ${balance} wei for gas, less than ${needed}`, {
        details: facts,
        fix: "Send it more of the chain's own money.",
        kind: "retryable",
        exit: ExitStatus.refused,
      });
      this.#logger.error({ error }, "too little money for gas: nothing new is begun");
    }
    if (!isLow && this.#isLow) this.#logger.info(facts, "enough money for gas again");
    this.#isLow = isLow;
    return !isLow;
  }

  async #cost(signal: AbortSignal | undefined): Promise<bigint> {
    const { caps } = this.#options;
    const block = await this.#rpc.request("eth_getBlockByNumber", ["latest", false], { signal });
    const { baseFeePerGas = "0x0" } = (block ?? {}) as { baseFeePerGas?: string };
    const fees = offer({ baseFee: BigInt(baseFeePerGas), tip: 1n }, caps);
    return RESERVE_GAS * (fees?.maxFeePerGas ?? caps.feeCap);
  }
}
