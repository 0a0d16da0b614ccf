import { expect } from "chai";

import * as calls from "#sdk/calls.ts";
import { canDrawAgain, drawnFor, panelStatus, settlementOf } from "#sdk/market-state.ts";
import { readState } from "./market-events.ts";
import { deployMarket, ethers, networkHelpers, pass, postBatch, PARAMETERS, termsOf } from "./market-fixture.ts";

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

      const state = await readState(d);
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
      const settled = (await readState(d)).batches.get(life.id)!;
      const settlements = [settlementOf(settled.assignments[0]!)];
      const { terms, batch } = settled;
      await d.requester.sendTransaction({ ...calls.settle(d.marketAddress, { terms, batch, settlements }) });
      expect((await life.state()).postedAt, "closed").to.equal(0n);
    }
  });
});
