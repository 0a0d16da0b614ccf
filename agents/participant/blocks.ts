import { SuretyError } from "#sdk/errors.ts";
import type { JsonRpc } from "#sdk/json-rpc.ts";

/** A block, as far as deadlines and draws need it. */
export interface BlockFacts {
  number: number;
  hash: string;
  /** Seconds. */
  timestamp: number;
}

/** How many blocks are kept at hand. */
const KEPT = 256;

/** Reads final blocks off the chain, each once. */
export class Blocks {
  readonly #rpc: JsonRpc;
  readonly #known = new Map<number, BlockFacts>();

  constructor(rpc: JsonRpc) {
    this.#rpc = rpc;
  }

  /**
   * A block that is final.
   *
   * @throws SuretyError `BLOCK_UNKNOWN` (retryable) if the node does not have it
   */
  async at(number: number, { signal }: { signal?: AbortSignal } = {}): Promise<BlockFacts> {
    const known = this.#known.get(number);
    if (known) return known;
    const block = (await this.#rpc.request("eth_getBlockByNumber", [`0x${number.toString(16)}`, false], {
      signal,
    })) as {
      hash?: string;
      timestamp?: string;
    } | null;
    if (!block?.hash || block.timestamp === undefined) {
      throw new SuretyError("BLOCK_UNKNOWN", `the node does not have block ${number}`, {
        details: { number },
        kind: "retryable",
      });
    }
    const facts = { number, hash: block.hash, timestamp: Number(block.timestamp) };
    this.#known.set(number, facts);
    for (const oldest of this.#known.keys()) {
      if (this.#known.size <= KEPT) break;
      this.#known.delete(oldest);
    }
    return facts;
  }

  /**
   * The first block whose time is after `timestamp` seconds, among those after `low` and up to `high`, which are final.
   *
   * @param low A block whose time is not after it.
   * @returns undefined if the time of `high` is not after it either
   */
  async firstAfter(
    timestamp: number,
    { low, high }: { low: number; high: number },
    options: { signal?: AbortSignal } = {},
  ): Promise<BlockFacts | undefined> {
    if (high <= low || (await this.at(high, options)).timestamp <= timestamp) return undefined;
    let [before, after] = [low, high];
    while (after - before > 1) {
      const middle = Math.floor((before + after) / 2);
      if ((await this.at(middle, options)).timestamp > timestamp) after = middle;
      else before = middle;
    }
    return this.at(after, options);
  }
}
