import { expect } from "chai";

import { loadCrowd, startPanel } from "./dispute-fixture.ts";
import {
  deployMarket,
  eventsIn,
  expectClosed,
  mined,
  networkHelpers,
  PARAMETERS,
  pass,
  postBatch,
  termsOf,
  trustedTermsOf,
  Verdict,
} from "./market-fixture.ts";

/*
 * What no other test noticed when the contracts were changed on purpose: `npm run mutate`, `npm run coverage`; see
 * docs/testing.md.
 */

/** Four verifiers at once. */
async function fiveRevealed() {
  const d = await deployMarket();
  const terms = termsOf(d, { adaptive: false, quorum: 5n, slashAmount: 16_000n });
  const life = await postBatch(d, { terms });
  await life.untilRevealed([d.honest, 10]);
  return { d, life };
}

describe("Vault: what mutants taught", () => {
  it("burns a single base unit too", async () => {
    const { vault, admin, requester, ...d } = await networkHelpers.loadFixture(deployMarket);
    const id = "0x" + "11".repeat(32);
    await vault.connect(admin).deposit(d.stranger, requester, 10n);
    await vault.connect(d.stranger).lock(id, requester, 10n);
    await vault.connect(d.stranger).release(id, [], 1n);
    expect(await vault.burned()).to.equal(1n);
  });
});

describe("Registry: what mutants taught", () => {
  it("counts a node as there until it leaves its last slot", async () => {
    const d = await networkHelpers.loadFixture(deployMarket);
    const nodesOf = async () => (await d.registry.classState(d.marketAddress, d.wasmClass)).nodes;
    await d.registry.connect(d.honest).joinPool(d.marketAddress, d.wasmClass, 12);
    expect(await nodesOf()).to.equal(12n);
    await d.registry.connect(d.honest).leavePool(d.marketAddress, d.wasmClass, 0);
    expect(await nodesOf(), "after one of two").to.equal(12n);
    await d.registry.connect(d.honest).leavePool(d.marketAddress, d.wasmClass, 12);
    expect(await nodesOf(), "after both").to.equal(11n);
  });
});

describe("Market: what mutants taught", () => {
  it("accuses the verifier that answered, not the number of its seat", async () => {
    const { d, life } = await networkHelpers.loadFixture(fiveRevealed);
    const drawn = await life.drawn();
    for (const seat of [1, 2, 3]) await life.answer(0, 0, seat);
    await pass(await life.checkDeadline());
    const receipt = await mined(life.judge([await life.exception(Verdict.SeatDiffers, { seat: 3 })], false));
    expect(eventsIn(d, receipt, "Excepted").map(({ accused }) => accused as string)).to.deep.equal([drawn[3]!.address]);
    // Member 3: the third that answered.
    expect((await life.panel()).accused).to.equal(1n << 3n);
  });

  it("keeps a trusted batch open while there is something left to claim", async () => {
    const d = await networkHelpers.loadFixture(deployMarket);
    const life = await postBatch(d, { terms: trustedTermsOf(d, [d.honest, d.lying]) });
    for (const [assignment, node] of [d.honest, d.lying].entries()) {
      expect((await life.state()).postedAt, "it is there").to.not.equal(0n);
      await life.claim(node, 5);
      await life.submit(assignment);
      await life.settle(d.stranger, assignment);
    }
    await expectClosed(life);
  });

  for (const [what, code] of [
    ["does not keep them", "0x"],
    ["answers nothing", "0x00"],
    ["answers less than a word", "0x601f5ff3"],
  ] as const) {
    it(`knows no old block hash where the system contract ${what}`, async () => {
      const d = await networkHelpers.loadFixture(deployMarket);
      const life = await postBatch(d);
      await life.compute([d.honest, 10]);
      const entropyBlock = (await life.state()).sealBlock + PARAMETERS.finalDepth;
      await networkHelpers.mineUpTo(entropyBlock + 257n);
      await networkHelpers.setCode("0x0000F90827F1C53a10cb7A02335B175320002935", code);
      await expect(d.market.capture(life.id))
        .to.be.revertedWithCustomError(d.market, "EntropyLost")
        .withArgs(entropyBlock);
    });
  }
});

describe("Disputes: what mutants taught", () => {
  it("tells of a jury that is drawn, how many sit on it", async () => {
    const dispute = await startPanel(await loadCrowd(), { 0: "x" });
    const { d, life } = dispute;
    await life.judge([await life.exception(Verdict.PrimaryDiffers)]);
    await dispute.challenge(d.honest);
    await dispute.openAll(0, 1, 2);
    await dispute.rule();
    await dispute.appeal(d.honest);
    await dispute.mineJury();
    await expect(dispute.convene()).to.emit(d.market, "JuryConvened").withArgs(life.id, 0n, 1n, 0n, 7n);
  });
});
