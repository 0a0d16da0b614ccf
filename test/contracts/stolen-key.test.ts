import { expect } from "chai";
import type { ContractTransactionResponse } from "ethers";

import { loadCrowd, startPanel, WAGE, type Dispute } from "./dispute-fixture.ts";
import {
  ACTIVATION_DELAY,
  ethers,
  Matter,
  mined,
  networkHelpers,
  NODE_FUNDS,
  NODE_STAKE,
  postBatch,
  SLOT_STAKE,
  termsOf,
  trustedTermsOf,
  UNBONDING,
  Verdict,
  type Actor,
  type Deployment,
} from "./market-fixture.ts";

/*
 * Somebody steals the key that a node's agent signs with. Its accounts are entrusted to an owner: by nothing that the key
 * can sign does a unit of the stake or of past pay come to the thief. What the key can still do, lying above all, costs
 * stake and is in docs/security.md.
 */

interface Theft {
  d: Deployment;
  registry: string;
  /** The node, in the hands of whoever has its key. */
  thief: Actor;
  owner: Actor;
  /** An account of the thief's own, which has money, stake and a place in the pool. */
  accomplice: Actor;
  /** What the owner has in the vault. */
  property(): Promise<bigint>;
}

/** One node of the pool was entrusted before anything was deposited, has staked, and has earned 10,000. */
async function deployTheft(): Promise<Theft> {
  const d = await loadCrowd();
  const registry = await d.registry.getAddress();
  const [thief, owner, accomplice] = [d.delegate, d.stranger, d.nodes[40]!];
  for (const ledger of [registry, d.marketAddress]) {
    await d.vault.connect(thief).entrust(ledger, thief.address, owner.address);
  }
  await d.vault.connect(d.admin).deposit(registry, thief.address, NODE_FUNDS);
  await d.registry.connect(owner).stakeFor(d.marketAddress, thief.address, NODE_STAKE);
  await d.registry.connect(owner).joinPoolFor(d.marketAddress, d.wasmClass, thief.address, d.nodes.length);
  await d.vault.connect(d.admin).deposit(d.marketAddress, thief.address, 10_000n);
  await d.vault.connect(d.admin).deposit(d.marketAddress, accomplice.address, 10_000_000n);
  await networkHelpers.time.increase(ACTIVATION_DELAY);
  const property = async (): Promise<bigint> => {
    const { stake } = await d.registry.nodeState(d.marketAddress, thief.address);
    const unbonding = await d.registry.unbondingOf(d.marketAddress, thief.address);
    const inRegistry = await d.vault.available(registry, thief.address);
    const inMarket = await d.vault.available(d.marketAddress, thief.address);
    return stake + unbonding.amount + inRegistry + inMarket;
  };
  return { d, registry, thief, owner, accomplice, property };
}

describe("Who steals the key of an entrusted node", () => {
  let theft: Theft;
  let before: bigint;

  beforeEach(async () => {
    theft = await deployTheft();
    before = await theft.property();
    expect(before).to.equal(NODE_FUNDS + 10_000n);
  });

  async function refused(sent: Promise<ContractTransactionResponse>): Promise<void> {
    const { d, thief, owner } = theft;
    await expect(sent)
      .to.be.revertedWithCustomError(d.vault, "NotInHand")
      .withArgs(thief.address, owner.address, thief.address);
  }

  async function expectNothingLost(): Promise<void> {
    const { d, thief } = theft;
    expect(await theft.property()).to.equal(before);
    expect(await d.token.balanceOf(thief)).to.equal(0n);
  }

  it("cannot withdraw or move it", async () => {
    const { d, registry, thief, accomplice } = theft;
    for (const ledger of [registry, d.marketAddress]) {
      await refused(d.vault.connect(thief).withdraw(ledger, 1n, thief));
      await refused(d.vault.connect(thief).withdraw(ledger, 1n, accomplice));
      await refused(d.vault.connect(thief).withdrawFor(ledger, thief, 1n, accomplice));
      await refused(d.vault.connect(thief).move(ledger, accomplice, 1n));
      await refused(d.vault.connect(thief).entrust(ledger, thief, accomplice));
    }
    await expectNothingLost();
  });

  it("cannot unstake it, nor take out what its owner unstakes", async () => {
    const { d, registry, thief, owner } = theft;
    await refused(d.registry.connect(thief).unstake(d.marketAddress, 1n));
    await d.registry.connect(owner).unstakeFor(d.marketAddress, thief, NODE_STAKE - SLOT_STAKE);
    await networkHelpers.time.increase(UNBONDING);
    await d.registry.connect(thief).withdrawStake(d.marketAddress);
    const inRegistry = await d.vault.available(registry, thief);
    expect(inRegistry).to.equal(NODE_FUNDS - SLOT_STAKE);
    await refused(d.vault.connect(thief).withdraw(registry, inRegistry, thief));
    await expectNothingLost();
    await d.vault.connect(thief).withdraw(registry, inRegistry, owner);
    expect(await d.token.balanceOf(owner)).to.equal(inRegistry);
  });

  it("cannot hold it back from its owner", async () => {
    const { d, registry, thief, owner } = theft;
    await d.registry.connect(owner).leavePool(d.marketAddress, d.wasmClass, d.nodes.length);
    await d.registry.connect(owner).unstakeFor(d.marketAddress, thief, NODE_STAKE - SLOT_STAKE);
    await networkHelpers.time.increase(UNBONDING);
    // The clock cannot be begun again, and what a slot gives back cannot be put behind the next.
    await refused(d.registry.connect(thief).unstake(d.marketAddress, 1n));
    await d.registry.freeSlot(d.marketAddress, d.wasmClass, d.nodes.length);
    await refused(d.registry.connect(thief).joinPool(d.marketAddress, d.wasmClass, d.nodes.length));
    await d.registry.connect(owner).withdrawStakeFor(d.marketAddress, thief);
    await d.registry.connect(owner).unstakeFor(d.marketAddress, thief, SLOT_STAKE);
    await networkHelpers.time.increase(UNBONDING);
    await d.registry.connect(owner).withdrawStakeFor(d.marketAddress, thief);
    await d.vault.connect(owner).withdrawFor(registry, thief, NODE_FUNDS, owner);
    await d.vault.connect(owner).withdrawFor(d.marketAddress, thief, 10_000n, owner);
    expect(await d.token.balanceOf(owner)).to.equal(before);
  });

  it("cannot stake it in a market of its own, which could slash it to whom it likes", async () => {
    const { d, thief, owner, accomplice } = theft;
    await refused(d.registry.connect(thief).stake(accomplice, 1n));
    await d.registry.connect(owner).unstakeFor(d.marketAddress, thief, 100n);
    await refused(d.registry.connect(thief).stakeFor(accomplice, thief, 1n));
    await expectNothingLost();
  });

  it("cannot post with it, to a node of its own or to anybody", async () => {
    const { d, thief, accomplice } = theft;
    const terms = trustedTermsOf(d, [accomplice], { requester: thief.address, price: 1_000n });
    const commitment = ethers.id("seed");
    await refused(d.market.connect(thief).post(terms, 1, ethers.id("inputs"), commitment));
    await refused(
      d.market.connect(thief).post(termsOf(d, { requester: thief.address }), 1, ethers.id("inputs"), commitment),
    );
    await expectNothingLost();
  });

  it("cannot put it up as the bond of a contest, or behind an exception, as a requester from before", async () => {
    // Posted with money of the thief's own, while the account in the market was not entrusted yet.
    const d = await loadCrowd();
    const [thief, owner] = [d.requester, d.stranger];
    const dispute = await startPanel(d, {});
    await d.vault.connect(thief).entrust(d.marketAddress, thief.address, owner.address);
    const left = await d.vault.available(d.marketAddress, thief);
    const refusedHere = async (sent: Promise<unknown>): Promise<void> => {
      await expect(sent)
        .to.be.revertedWithCustomError(d.vault, "NotInHand")
        .withArgs(thief.address, owner.address, thief.address);
    };
    await refusedHere(dispute.contest(Matter.Work, { task: 0, member: 0 }));
    await refusedHere(dispute.life.judge([await dispute.life.exception(Verdict.PrimaryDiffers)]));
    expect(await d.vault.available(d.marketAddress, thief)).to.equal(left);
  });

  it("cannot put it up as the bond of an appeal, as a requester from before", async () => {
    const d = await loadCrowd();
    const [thief, owner] = [d.requester, d.stranger];
    const dispute = await startPanel(d, { 0: "x" });
    await dispute.life.judge([await dispute.life.exception(Verdict.PrimaryDiffers)]);
    await dispute.challenge(dispute.member(0));
    await dispute.openAll(0, 1, 2);
    await dispute.rule();
    await d.vault.connect(thief).entrust(d.marketAddress, thief.address, owner.address);
    const left = await d.vault.available(d.marketAddress, thief);
    await expect(dispute.appeal(thief))
      .to.be.revertedWithCustomError(d.vault, "NotInHand")
      .withArgs(thief.address, owner.address, thief.address);
    expect(await d.vault.available(d.marketAddress, thief)).to.equal(left);
  });

  /** A panel in the node's class that the node was not drawn for. */
  async function startPanelOfOthers(): Promise<Dispute> {
    const { d, owner } = theft;
    await d.registry.connect(owner).leavePool(d.marketAddress, d.wasmClass, d.nodes.length);
    const dispute = await startPanel(d, { 0: "x" });
    await dispute.life.judge([await dispute.life.exception(Verdict.PrimaryDiffers)]);
    return dispute;
  }

  it("cannot lose a bond of it to jurors of its own: it appeals only where the node serves", async () => {
    const { d, thief, owner } = theft;
    // A quarrel staged in a pool that the node could serve: an exception, challenged, ruled.
    const dispute = await startPanelOfOthers();
    await dispute.challenge(dispute.member(0));
    await dispute.openAll(0, 1, 2);
    await dispute.rule();
    await refused(dispute.appeal(thief));
    await expectNothingLost();
    await d.registry.connect(owner).joinPoolFor(d.marketAddress, d.wasmClass, thief.address, d.nodes.length + 1);
    await dispute.appeal(thief);
    const { committed } = await d.registry.nodeState(d.marketAddress, thief);
    expect(committed).to.equal(7n * WAGE);
  });

  it("cannot challenge a panel that the node does not sit on", async () => {
    const { d, thief } = theft;
    const dispute = await startPanelOfOthers();
    await expect(dispute.challenge(thief)).to.be.revertedWithCustomError(d.market, "NotPermitted");
    await expectNothingLost();
  });

  it("cannot claim in a class of its own", async () => {
    const { d, thief, accomplice } = theft;
    const den = { ...d.classTerms, resources: ethers.id("a thief's") };
    const denId = await d.registry.createClass.staticCall(den);
    await d.registry.createClass(den);
    await d.registry.connect(accomplice).joinPool(d.marketAddress, denId, 0);
    await refused(d.registry.connect(thief).joinPool(d.marketAddress, denId, 1));
    const terms = trustedTermsOf(d, [thief], {
      requester: accomplice.address,
      delegate: accomplice.address,
      class: denId,
    });
    const posted = await postBatch({ ...d, requester: accomplice }, { terms, count: 1 });
    await expect(
      d.market.connect(thief).claim(posted.terms, posted.batch, d.nodes.length, 1, 0n),
    ).to.be.revertedWithCustomError(d.registry, "NotSlotHolder");
    await expectNothingLost();
  });

  it("can work with it, and the pay is the owner's", async () => {
    const { d, thief, owner, accomplice } = theft;
    const terms = trustedTermsOf(d, [thief], { requester: accomplice.address, delegate: accomplice.address });
    const life = await postBatch({ ...d, requester: accomplice }, { terms, count: 2 });
    await mined(d.market.connect(thief).claim(life.terms, life.batch, d.nodes.length, 2, 0n));
    expect((await d.registry.nodeState(d.marketAddress, thief)).committed).to.equal(2_000n);
    await d.vault.connect(thief).withdraw(d.marketAddress, 10_000n, owner);
    expect(await d.token.balanceOf(owner)).to.equal(10_000n);
  });
});
