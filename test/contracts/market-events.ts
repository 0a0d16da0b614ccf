import { getAddress } from "ethers";
import { decodeEvent, type SuretyEvent } from "#sdk/events.ts";
import { MarketState } from "#sdk/market-state.ts";
import { ethers, type Deployment } from "./market-fixture.ts";

/** Everything market and registry ever said, as the SDK reads it. */
export async function readEvents(d: Deployment): Promise<SuretyEvent[]> {
  const address = [d.marketAddress, await d.registry.getAddress()];
  const logs = await ethers.provider.getLogs({ address: address as unknown as string, fromBlock: 0 });
  const events: SuretyEvent[] = [];
  for (const { blockNumber, blockHash, transactionHash, index: logIndex, topics, data, address: from } of logs) {
    const { timestamp } = (await ethers.provider.getBlock(blockNumber))!;
    const place = { blockNumber, blockHash, transactionHash, logIndex, address: getAddress(from), timestamp };
    const event = decodeEvent({ ...place, topics: [...topics], data });
    if (event) events.push(event);
  }
  return events;
}

/** The same, folded. */
export async function readState(d: Deployment): Promise<MarketState> {
  const state = new MarketState(d.marketAddress);
  for (const event of await readEvents(d)) state.apply(event);
  return state;
}
