import { expect } from "chai";
import { getAddress } from "ethers";

import * as calls from "#sdk/calls.ts";
import { decodeEvent, type SuretyEvent } from "#sdk/events.ts";
import { canDrawAgain, drawnFor, MarketState, panelStatus, settlementOf } from "#sdk/market-state.ts";
import {
  deployMarket,
  ethers,
  networkHelpers,
  pass,
  postBatch,
  PARAMETERS,
  termsOf,
  type Deployment,
} from "./market-fixture.ts";

/** Everything market and registry ever said, as the SDK reads it. */
async function readEvents(d: Deployment): Promise<SuretyEvent[]> {
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

describe("the SDK's view of panels", function () {
  this.timeout(120_000);

  it("has the contract's members in every round, and settles as they answered", async () => {
    const d = await networkHelpers.loadFixture(deployMarket);
    const drawDelay = Number(PARAMETERS.drawDelay);
    for (let run = 0; run < 4; run += 1) {
      const life = await postBatch(d, { terms: termsOf(d, { excluded: [d.nodes[11 - run]!.address] }) });
      await life.untilRevealed([d.honest, 10]);
      // Round 1 by escalation; then nobody answers and rounds 2 and 3 are drawn in its place.
      await life.answer();
      await life.escalate();
      for (let round = 1; round < 3; round += 1) {
        await life.mineRound();
        await pass(await life.checkDeadline());
        await life.redraw(0, d.requester);
      }
      await life.mineRound();

      const state = new MarketState(d.marketAddress);
      for (const event of await readEvents(d)) state.apply(event);
      const record = state.batches.get(life.id)!;
      const assignment = record.assignments[0]!;
      const hashes = new Map<number, string>();
      for (const { entropyBlock } of assignment.rounds) {
        hashes.set(entropyBlock, (await ethers.provider.getBlock(entropyBlock))!.hash!);
      }
      const drawn = drawnFor(state, record, assignment, hashes);
      expect(drawn.map((round) => round.length)).to.deep.equal([1, 1, 2, 4]);
      for (const [round, nodes] of drawn.entries()) {
        expect(nodes).to.deep.equal((await life.drawn(0, round)).map((node) => node.address));
      }
      expect(canDrawAgain(state, record, assignment, hashes), "12 nodes, 9 members, 1 excluded").to.equal(true);
      const status = panelStatus(record, assignment, { drawDelay })!;
      expect(status).to.include({ round: 3, escalated: true, needed: 2, quorum: 1, answered: 1 });
      expect(BigInt(status.deadline)).to.equal(await life.checkDeadline());
      expect(status.tasks).to.deep.equal((await life.sampled()).map(Number));

      await life.answer(0, 3, 2);
      const after = new MarketState(d.marketAddress);
      for (const event of await readEvents(d)) after.apply(event);
      const settled = after.batches.get(life.id)!;
      const settlements = [settlementOf(settled.assignments[0]!)];
      const { terms, batch } = settled;
      await d.requester.sendTransaction({ ...calls.settle(d.marketAddress, { terms, batch, settlements }) });
      expect((await life.state()).postedAt, "closed").to.equal(0n);
    }
  });
});
