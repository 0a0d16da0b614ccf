import type { Deployment } from "#sdk/deployment.ts";
import { ExitStatus, SuretyError } from "#sdk/errors.ts";
import { MemoryEventStore, type RawEvent } from "#sdk/event-store.ts";
import { Follower, type Head } from "#sdk/follower.ts";
import type { JsonRpc } from "#sdk/json-rpc.ts";

/**
 * Reads everything that some contracts of a deployment ever told, once, and leaves nothing behind.
 *
 * @returns their events in order, and the newest block
 * @throws SuretyError `RPC_BEHIND` (exit 3) if the chain has not reached the deployment; what the transport throws
 */
export async function readEvents(
  rpc: JsonRpc,
  { chainId, startBlock, parameters }: Deployment,
  { addresses, signal }: { addresses: readonly string[]; signal: AbortSignal },
): Promise<{ events: RawEvent[]; head: Head }> {
  const follower = new Follower(
    { chainId, addresses, startBlock, finalDepth: parameters.finalDepth },
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
  return { events, head };
}
