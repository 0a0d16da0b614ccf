import { expect } from "chai";

import { deployMarket, expectClosed, expectMoney, moneyOf, networkHelpers, postBatch } from "./market-fixture.ts";

describe("A batch's life", () => {
  it("pays everybody when the one verifier agrees", async () => {
    const d = await networkHelpers.loadFixture(deployMarket);
    const before = await moneyOf(d);
    const life = await postBatch(d);
    expect([life.escrow, life.bond]).to.deep.equal([14_800n, 5_740n]);
    await life.untilRevealed([d.honest, 10]);
    const [verifier] = await life.drawn();
    await life.answer();
    await life.settle();
    await expectClosed(life);
    await expectMoney(d, before, { requester: -12_400n, [d.honest.address]: 10_000n, [verifier!.address]: 2_400n });
  });
});
