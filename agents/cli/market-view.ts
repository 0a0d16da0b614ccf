import type { Deployment } from "#sdk/deployment.ts";
import { decodeEvent } from "#sdk/events.ts";
import type { JsonRpc } from "#sdk/json-rpc.ts";
import { MarketState } from "#sdk/market-state.ts";
import { readEvents } from "./read-events.ts";

/** A market as of its newest block. */
export interface MarketView {
  state: MarketState;
  /** Of the newest block, seconds. */
  now: number;
  /** Number of the newest block. */
  block: number;
  /** Hashes of the blocks that decide draws which nobody stored yet. */
  hashes: ReadonlyMap<number, string>;
}

/**
 * Reads everything a market ever told, once, and leaves nothing behind.
 *
 * @throws SuretyError `RPC_BEHIND` (exit 3) if the chain has not reached the deployment; what the transport throws
 */
export async function readMarket(rpc: JsonRpc, deployment: Deployment, signal: AbortSignal): Promise<MarketView> {
  const { market, registry } = deployment;
  const { events, head } = await readEvents(rpc, deployment, { addresses: [market, registry], signal });
  const state = new MarketState(market);
  for (const raw of events) {
    const event = decodeEvent(raw);
    if (event) state.apply(event);
  }
  return { state, now: head.timestamp, block: head.number, hashes: await readHashes(rpc, state, head.number, signal) };
}

async function readHashes(
  rpc: JsonRpc,
  state: MarketState,
  head: number,
  signal: AbortSignal,
): Promise<Map<number, string>> {
  const contended = state.open.flatMap(({ assignments }) => assignments.filter(({ status }) => status === "contended"));
  const wanted = contended.flatMap(({ rounds, dispute }) => [
    ...rounds.filter(({ blockHash }) => blockHash === undefined),
    ...(dispute?.juries.filter(({ convened }) => !convened) ?? []),
  ]);
  const hashes = new Map<number, string>();
  for (const number of new Set(wanted.map(({ entropyBlock }) => entropyBlock))) {
    // A block's hash is known to contracts in the block after it.
    if (number > head) continue;
    const params = [`0x${number.toString(16)}`, false];
    const block = (await rpc.request("eth_getBlockByNumber", params, { signal })) as { hash?: string } | null;
    if (block?.hash) hashes.set(number, block.hash);
  }
  return hashes;
}
