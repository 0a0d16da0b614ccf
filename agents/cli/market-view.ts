import type { Deployment } from "#sdk/deployment.ts";
import { ExitStatus, SuretyError } from "#sdk/errors.ts";
import { decodeEvent } from "#sdk/events.ts";
import { MemoryEventStore, type RawEvent } from "#sdk/event-store.ts";
import { Follower } from "#sdk/follower.ts";
import type { JsonRpc } from "#sdk/json-rpc.ts";
import { MarketState } from "#sdk/market-state.ts";

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
  const { chainId, market, registry, startBlock, parameters } = deployment;
  const follower = new Follower(
    { chainId, addresses: [market, registry], startBlock, finalDepth: parameters.finalDepth },
    { rpc, store: new MemoryEventStore() },
  );
  let events: RawEvent[] = [];
  const head = await follower.sync({
    signal,
    onEvents: (more) => void events.push(...more),
    onRewind: (number) => void (events = events.filter(({ blockNumber }) => blockNumber <= number)),
  });
  if (!head) {
    throw new SuretyError("RPC_BEHIND", "the chain has not reached the block that the market was deployed in", {
      details: { startBlock },
      fix: "Wait until the node has caught up.",
      exit: ExitStatus.unavailable,
    });
  }
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
