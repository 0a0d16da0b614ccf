import { expect } from "chai";
import { id as keccakOf } from "ethers";

import {
  ACTIVATION_DELAY,
  at,
  deployBare,
  ethers,
  MIN_STAKE,
  networkHelpers,
  now,
  Runtime,
  SLOT_STAKE,
  UNBONDING,
  type Actor,
} from "./market-fixture.ts";

const FOREVER = 2n ** 48n - 1n;
const FUNDS = 1_000_000n;
const STAKE = 200_000n;

/** A registry whose market is an account, so that the tests can say what a market says. */
async function deployRegistry() {
  const { admin, token, vault, registry, others } = await deployBare();
  const [market, otherMarket, honest, lying, silent, stranger] = others as [Actor, Actor, Actor, Actor, Actor, Actor];
  const address = await registry.getAddress();
  const classTerms = {
    market: market.address,
    runtime: Runtime.Wasm,
    fullSlash: true,
    slotStake: SLOT_STAKE,
    priceFloor: 10n,
    resources: keccakOf("one core"),
  };
  const classId = await registry.createClass.staticCall(classTerms);
  await registry.createClass(classTerms);
  await token.connect(admin).approve(vault, 10n ** 30n);
  for (const node of [honest, lying, silent]) await vault.connect(admin).deposit(address, node, FUNDS);
  const lockOf = async (node: Actor) =>
    await vault.lockOf(
      address,
      ethers.keccak256(
        ethers.AbiCoder.defaultAbiCoder().encode(["address", "address"], [market.address, node.address]),
      ),
    );
  return {
    admin,
    token,
    vault,
    registry,
    address,
    market,
    otherMarket,
    honest,
    lying,
    silent,
    stranger,
    classTerms,
    classId,
    lockOf,
  };
}

/** As {@link deployRegistry}, with `honest` staked and in slot 0. */
async function deployJoined() {
  const deployed = await deployRegistry();
  const { registry, market, honest, classId } = deployed;
  await registry.connect(honest).stake(market, STAKE);
  await registry.connect(honest).joinPool(market, classId, 0);
  return deployed;
}

/** As {@link deployJoined}, with `silent` entrusted to `owner`, staked and in slot 1: `thief` is who has its key. */
async function deployEntrusted() {
  const deployed = await deployJoined();
  const { vault, registry, address, market, silent, stranger, classId } = deployed;
  await vault.connect(silent).entrust(address, silent, stranger);
  await registry.connect(stranger).stakeFor(market, silent, STAKE);
  await registry.connect(stranger).joinPoolFor(market, classId, silent, 1);
  return { ...deployed, thief: silent, owner: stranger };
}

describe("Registry", () => {
  const load = () => networkHelpers.loadFixture(deployRegistry);
  const loadJoined = () => networkHelpers.loadFixture(deployJoined);
  const loadEntrusted = () => networkHelpers.loadFixture(deployEntrusted);

  describe("constructor", () => {
    it("refuses a minimum stake of zero", async () => {
      const { registry, vault } = await load();
      await expect(
        ethers.deployContract("Registry", [vault, 0n, ACTIVATION_DELAY, UNBONDING]),
      ).to.be.revertedWithCustomError(registry, "ZeroStake");
    });

    it("keeps what it was deployed with", async () => {
      const { registry, vault } = await load();
      expect([
        await registry.vault(),
        await registry.minStake(),
        await registry.activationDelay(),
        await registry.unbondingPeriod(),
      ]).to.deep.equal([await vault.getAddress(), MIN_STAKE, ACTIVATION_DELAY, UNBONDING]);
    });
  });

  describe("createClass", () => {
    for (const [field, value] of [
      ["market", ethers.ZeroAddress],
      ["runtime", Runtime.None],
      ["slotStake", 0n],
      ["priceFloor", 0n],
    ] as const) {
      it(`refuses a class without ${field}`, async () => {
        const { registry, classTerms } = await load();
        const wrong = { ...classTerms, [field]: value };
        await expect(registry.createClass(wrong))
          .to.be.revertedWithCustomError(registry, "InvalidClass")
          .withArgs(Object.values(wrong));
      });
    }

    it("refuses a class that exists", async () => {
      const { registry, classTerms, classId } = await load();
      await expect(registry.createClass(classTerms))
        .to.be.revertedWithCustomError(registry, "ClassExists")
        .withArgs(classId);
    });

    it("makes a class whose id commits to its terms", async () => {
      const { registry, market, stranger, classTerms } = await load();
      const terms = { ...classTerms, runtime: Runtime.Container, fullSlash: false };
      const classId = ethers.keccak256(
        ethers.AbiCoder.defaultAbiCoder().encode(
          ["address", "uint8", "bool", "uint80", "uint96", "bytes32"],
          Object.values(terms),
        ),
      );
      await expect(registry.connect(stranger).createClass(terms))
        .to.emit(registry, "ClassCreated")
        .withArgs(classId, market.address, Object.values(terms));
      expect(await registry.classState(market, classId)).to.deep.equal([
        Runtime.Container,
        false,
        SLOT_STAKE,
        10n,
        0n,
        0n,
      ]);
    });
  });

  describe("stake", () => {
    it("refuses an amount of zero", async () => {
      const { registry, market, honest } = await load();
      await expect(registry.connect(honest).stake(market, 0n)).to.be.revertedWithCustomError(registry, "ZeroStake");
    });

    it("refuses more than is available in its ledger", async () => {
      const { registry, vault, market, honest } = await load();
      await expect(registry.connect(honest).stake(market, FUNDS + 1n))
        .to.be.revertedWithCustomError(vault, "InsufficientAvailable")
        .withArgs(honest.address, FUNDS, FUNDS + 1n);
    });

    it("locks the money, for one market only", async () => {
      const { registry, market, otherMarket, honest, lockOf } = await load();
      await registry.connect(honest).stake(market, 100n);
      await expect(registry.connect(honest).stake(market, 50n))
        .to.emit(registry, "Staked")
        .withArgs(market.address, honest.address, 50n, 150n);
      expect(await registry.nodeState(market, honest)).to.deep.equal([150n, 0n, 0n]);
      expect(await registry.nodeState(otherMarket, honest)).to.deep.equal([0n, 0n, 0n]);
      expect(await lockOf(honest)).to.deep.equal([honest.address, 150n]);
    });
  });

  describe("unstake and withdrawStake", () => {
    it("refuse an amount of zero, and when nothing is unbonding", async () => {
      const { registry, market, honest } = await loadJoined();
      await expect(registry.connect(honest).unstake(market, 0n)).to.be.revertedWithCustomError(registry, "ZeroStake");
      await expect(registry.connect(honest).withdrawStake(market))
        .to.be.revertedWithCustomError(registry, "NothingUnbonding")
        .withArgs(honest.address);
    });

    it("refuse stake that backs a slot or an assignment", async () => {
      const { registry, market, honest, classId } = await loadJoined();
      const free = STAKE - SLOT_STAKE;
      await expect(registry.connect(honest).unstake(market, free + 1n))
        .to.be.revertedWithCustomError(registry, "InsufficientStake")
        .withArgs(honest.address, free, free + 1n);
      await registry.connect(market).commitAssignment(classId, 0, honest, 1_000n);
      await expect(registry.connect(honest).unstake(market, free))
        .to.be.revertedWithCustomError(registry, "InsufficientStake")
        .withArgs(honest.address, free - 1_000n, free);
      await registry.connect(honest).unstake(market, free - 1_000n);
    });

    it("pay only after the unbonding period", async () => {
      const { registry, vault, address, market, honest, lockOf } = await loadJoined();
      await registry.connect(honest).unstake(market, 30_000n);
      const from = (await now()) + UNBONDING;
      expect(await registry.unbondingOf(market, honest)).to.deep.equal([30_000n, from]);
      expect(await registry.nodeState(market, honest)).to.deep.equal([STAKE - 30_000n, 0n, SLOT_STAKE]);
      expect((await lockOf(honest)).amount).to.equal(STAKE);
      await at(from - 1n);
      await expect(registry.connect(honest).withdrawStake(market))
        .to.be.revertedWithCustomError(registry, "TooEarly")
        .withArgs(from - 1n, from);
      await at(from);
      await expect(registry.connect(honest).withdrawStake(market))
        .to.emit(registry, "StakeWithdrawn")
        .withArgs(market.address, honest.address, 30_000n);
      expect(await vault.available(address, honest)).to.equal(FUNDS - STAKE + 30_000n);
      expect((await lockOf(honest)).amount).to.equal(STAKE - 30_000n);
      await expect(registry.connect(honest).withdrawStake(market)).to.be.revertedWithCustomError(
        registry,
        "NothingUnbonding",
      );
    });

    it("begin the clock again for all of it when more is unstaked", async () => {
      const { registry, market, honest } = await loadJoined();
      await registry.connect(honest).unstake(market, 10n);
      const first = (await now()) + UNBONDING;
      await networkHelpers.time.increase(1_000n);
      await expect(registry.connect(honest).unstake(market, 5n)).to.emit(registry, "Unstaked");
      const second = (await now()) + UNBONDING;
      expect(await registry.unbondingOf(market, honest)).to.deep.equal([15n, second]);
      await at(first);
      await expect(registry.connect(honest).withdrawStake(market))
        .to.be.revertedWithCustomError(registry, "TooEarly")
        .withArgs(first, second);
    });
  });

  describe("joinPool", () => {
    it("refuses a class that does not exist in this market", async () => {
      const { registry, market, otherMarket, honest, classId } = await loadJoined();
      const other = keccakOf("no class");
      await expect(registry.connect(honest).joinPool(market, other, 0))
        .to.be.revertedWithCustomError(registry, "UnknownClass")
        .withArgs(other);
      await expect(registry.connect(honest).joinPool(otherMarket, classId, 0))
        .to.be.revertedWithCustomError(registry, "UnknownClass")
        .withArgs(classId);
    });

    it("refuses a place that is taken", async () => {
      const { registry, market, lying, classId } = await loadJoined();
      await registry.connect(lying).stake(market, STAKE);
      await expect(registry.connect(lying).joinPool(market, classId, 0))
        .to.be.revertedWithCustomError(registry, "SlotTaken")
        .withArgs(0n, 1n);
    });

    it("gives the next place to who asks for one beyond it, so that nobody loses a race for it", async () => {
      const { registry, market, honest, lying, classId } = await loadJoined();
      await registry.connect(lying).stake(market, STAKE);
      await expect(registry.connect(lying).joinPool(market, classId, 2n ** 24n - 1n)).to.emit(registry, "Joined");
      expect((await registry.slotOf(market, classId, 1)).node).to.equal(lying.address);
      expect(await registry.connect(honest).joinPool.staticCall(market, classId, 7)).to.equal(2n);
      expect((await registry.classState(market, classId)).slots).to.equal(2n);
    });

    it("refuses less than the minimum stake", async () => {
      const { registry, market, lying, classId } = await loadJoined();
      await registry.connect(lying).stake(market, MIN_STAKE - 1n);
      await expect(registry.connect(lying).joinPool(market, classId, 1))
        .to.be.revertedWithCustomError(registry, "StakeBelowMinimum")
        .withArgs(lying.address, MIN_STAKE - 1n, MIN_STAKE);
      await registry.connect(lying).stake(market, 1n);
      await registry.connect(lying).joinPool(market, classId, 1);
    });

    it("refuses a slot that is not backed by stake of its own", async () => {
      const { registry, market, lying, classId } = await loadJoined();
      await registry.connect(lying).stake(market, 2n * SLOT_STAKE - 1n);
      await registry.connect(lying).joinPool(market, classId, 1);
      await expect(registry.connect(lying).joinPool(market, classId, 2))
        .to.be.revertedWithCustomError(registry, "InsufficientStake")
        .withArgs(lying.address, SLOT_STAKE - 1n, SLOT_STAKE);
    });

    it("refuses to back a slot with stake that is committed", async () => {
      const { registry, market, honest, classId } = await loadJoined();
      await registry.connect(market).commitAssignment(classId, 0, honest, STAKE - 2n * SLOT_STAKE + 1n);
      await expect(registry.connect(honest).joinPool(market, classId, 1))
        .to.be.revertedWithCustomError(registry, "InsufficientStake")
        .withArgs(honest.address, SLOT_STAKE - 1n, SLOT_STAKE);
    });

    it("counts slots and nodes apart", async () => {
      const { registry, market, honest, lying, classId } = await loadJoined();
      await expect(registry.connect(honest).joinPool(market, classId, 1)).to.emit(registry, "Joined");
      expect(await registry.slotOf(market, classId, 1)).to.deep.equal([
        honest.address,
        (await now()) + ACTIVATION_DELAY,
        FOREVER,
      ]);
      await registry.connect(lying).stake(market, STAKE);
      await registry.connect(lying).joinPool(market, classId, 2);
      const { slots, nodes } = await registry.classState(market, classId);
      expect([slots, nodes]).to.deep.equal([3n, 2n]);
      expect(await registry.slotsHeld(market, classId, honest)).to.equal(2n);
      expect((await registry.nodeState(market, honest)).backing).to.equal(2n * SLOT_STAKE);
    });
  });

  describe("an entrusted node", () => {
    it("is not managed by its own key, nor by a stranger", async () => {
      const { vault, registry, market, otherMarket, classId, thief, owner, lying } = await loadEntrusted();
      const expectRefusal = async (by: Actor, sent: Promise<unknown>): Promise<void> => {
        await expect(sent)
          .to.be.revertedWithCustomError(vault, "NotInHand")
          .withArgs(thief.address, owner.address, by.address);
      };
      for (const by of [thief, lying]) {
        const bound = registry.connect(by);
        await expectRefusal(by, bound.stakeFor(market, thief, 1n));
        await expectRefusal(by, bound.stakeFor(otherMarket, thief, 1n));
        await expectRefusal(by, bound.unstakeFor(market, thief, 1n));
        await expectRefusal(by, bound.joinPoolFor(market, classId, thief, 9));
      }
      const own = registry.connect(thief);
      await expectRefusal(thief, own.stake(market, 1n));
      await expectRefusal(thief, own.stake(otherMarket, 1n));
      await expectRefusal(thief, own.unstake(market, 1n));
      await expectRefusal(thief, own.joinPool(market, classId, 9));
      await expect(registry.connect(lying).leavePool(market, classId, 1))
        .to.be.revertedWithCustomError(registry, "NotSlotHolder")
        .withArgs(1n, thief.address, lying.address);
    });

    it("is staked, joined, and taken out by its owner, to the last unit", async () => {
      const { vault, token, registry, address, market, classId, thief, owner, lockOf } = await loadEntrusted();
      expect(await lockOf(thief)).to.deep.equal([thief.address, STAKE]);
      expect((await registry.slotOf(market, classId, 1)).node).to.equal(thief.address);
      await expect(registry.connect(owner).leavePool(market, classId, 1)).to.emit(registry, "Left");
      const free = STAKE - SLOT_STAKE;
      await expect(registry.connect(owner).unstakeFor(market, thief, free))
        .to.emit(registry, "Unstaked")
        .withArgs(market.address, thief.address, free, (availableAt: bigint) => availableAt > 0n);
      await networkHelpers.time.increase(UNBONDING);
      await registry.freeSlot(market, classId, 1);
      await expect(registry.connect(market).withdrawStakeFor(market, thief))
        .to.be.revertedWithCustomError(vault, "NotInHand")
        .withArgs(thief.address, owner.address, market.address);
      await expect(registry.connect(owner).withdrawStakeFor(market, thief))
        .to.emit(registry, "StakeWithdrawn")
        .withArgs(market.address, thief.address, free);
      await registry.connect(owner).unstakeFor(market, thief, SLOT_STAKE);
      await networkHelpers.time.increase(UNBONDING);
      await registry.connect(thief).withdrawStake(market);
      expect(await vault.available(address, thief)).to.equal(FUNDS);
      await expect(vault.connect(thief).withdraw(address, 1n, thief)).to.be.revertedWithCustomError(vault, "NotInHand");
      await vault.connect(owner).withdrawFor(address, thief, FUNDS, owner);
      expect(await token.balanceOf(owner)).to.equal(FUNDS);
    });

    it("can stop serving by its own key", async () => {
      const { registry, market, classId, thief } = await loadEntrusted();
      await registry.connect(thief).leavePool(market, classId, 1);
      expect(await registry.slotsHeld(market, classId, thief)).to.equal(0n);
    });

    it("serves a market like any other", async () => {
      const { vault, registry, address, market, classId, thief, owner, honest, lockOf } = await loadEntrusted();
      await networkHelpers.time.increase(ACTIVATION_DELAY);
      await registry.connect(market).commitAssignment(classId, 1, thief, 100n);
      await registry.connect(market).commitSeat(thief, 100n);
      await registry.connect(market).release([{ node: thief, amount: 100n }]);
      await registry.connect(market).slash(thief, 100n, 100n, [{ to: honest, amount: 10n }]);
      await registry.connect(market).fine(thief, 50n);
      expect(await lockOf(thief)).to.deep.equal([thief.address, STAKE - 150n]);
      expect(await registry.nodeState(market, thief)).to.deep.equal([STAKE - 150n, 0n, SLOT_STAKE]);
      expect(await vault.ownerOf(address, thief)).to.equal(owner.address);
    });
  });

  describe("commitBond", () => {
    it("refuses more than is free, and counts what backs slots", async () => {
      const { registry, market, classId, honest } = await loadJoined();
      await expect(registry.connect(market).commitBond(classId, honest, STAKE + 1n))
        .to.be.revertedWithCustomError(registry, "InsufficientStake")
        .withArgs(honest.address, STAKE, STAKE + 1n);
      await registry.connect(market).commitBond(classId, honest, STAKE);
      expect((await registry.nodeState(market, honest)).committed).to.equal(STAKE);
    });

    it("refuses an entrusted node in a class it does not serve, and nobody else", async () => {
      const { vault, registry, market, classId, classTerms, honest, thief, owner } = await loadEntrusted();
      const other = { ...classTerms, resources: keccakOf("a thief's") };
      const otherId = await registry.createClass.staticCall(other);
      await registry.createClass(other);
      const bond = (id: string, node: Actor) => registry.connect(market).commitBond(id, node, 10n);
      await bond(otherId, honest);
      await bond(classId, thief);
      const refused = async (id: string) =>
        await expect(bond(id, thief))
          .to.be.revertedWithCustomError(vault, "NotInHand")
          .withArgs(thief.address, owner.address, thief.address);
      await refused(otherId);
      await registry.connect(owner).leavePool(market, classId, 1);
      await refused(classId);
      expect((await registry.nodeState(market, thief)).committed).to.equal(10n);
    });
  });

  describe("leavePool and freeSlot", () => {
    it("refuse who does not hold the slot", async () => {
      const { registry, market, honest, lying, classId } = await loadJoined();
      await expect(registry.connect(lying).leavePool(market, classId, 0))
        .to.be.revertedWithCustomError(registry, "NotSlotHolder")
        .withArgs(0n, honest.address, lying.address);
      await expect(registry.connect(lying).freeSlot(market, classId, 1))
        .to.be.revertedWithCustomError(registry, "NotSlotHolder")
        .withArgs(1n, ethers.ZeroAddress, lying.address);
    });

    it("refuse to leave twice, and to free a slot that serves", async () => {
      const { registry, market, honest, classId } = await loadJoined();
      await expect(registry.freeSlot(market, classId, 0))
        .to.be.revertedWithCustomError(registry, "SlotServing")
        .withArgs(0n);
      await registry.connect(honest).leavePool(market, classId, 0);
      await expect(registry.connect(honest).leavePool(market, classId, 0))
        .to.be.revertedWithCustomError(registry, "SlotLeft")
        .withArgs(0n, await now());
    });

    it("keep holder and backing until the unbonding period has passed", async () => {
      const { registry, market, honest, lying, stranger, classId } = await loadJoined();
      const { activeFrom } = await registry.slotOf(market, classId, 0);
      await expect(registry.connect(honest).leavePool(market, classId, 0)).to.emit(registry, "Left");
      const leftAt = await now();
      expect((await registry.classState(market, classId)).nodes).to.equal(0n);
      expect((await registry.classState(market, classId)).slots).to.equal(1n);
      expect(await registry.slotOf(market, classId, 0)).to.deep.equal([honest.address, activeFrom, leftAt]);
      expect((await registry.nodeState(market, honest)).backing).to.equal(SLOT_STAKE);
      await registry.connect(lying).stake(market, STAKE);
      await expect(registry.connect(lying).joinPool(market, classId, 0)).to.be.revertedWithCustomError(
        registry,
        "SlotTaken",
      );

      await at(leftAt + UNBONDING - 1n);
      await expect(registry.freeSlot(market, classId, 0))
        .to.be.revertedWithCustomError(registry, "TooEarly")
        .withArgs(leftAt + UNBONDING - 1n, leftAt + UNBONDING);
      await at(leftAt + UNBONDING);
      await expect(registry.connect(stranger).freeSlot(market, classId, 0))
        .to.emit(registry, "SlotFreed")
        .withArgs(classId, honest.address, 0n);
      expect((await registry.nodeState(market, honest)).backing).to.equal(0n);
      await registry.connect(lying).joinPool(market, classId, 0);
      expect((await registry.slotOf(market, classId, 0)).node).to.equal(lying.address);
      expect((await registry.classState(market, classId)).slots).to.equal(1n);
    });
  });

  describe("evict", () => {
    it("refuses a hole, and a node that backs its slots", async () => {
      const { registry, market, honest, stranger, classId } = await loadJoined();
      await expect(registry.connect(stranger).evict(market, classId, 5))
        .to.be.revertedWithCustomError(registry, "NotSlotHolder")
        .withArgs(5n, ethers.ZeroAddress, stranger.address);
      await registry.connect(market).fine(honest, STAKE - SLOT_STAKE);
      await expect(registry.connect(stranger).evict(market, classId, 0))
        .to.be.revertedWithCustomError(registry, "SlotBacked")
        .withArgs(honest.address, SLOT_STAKE, SLOT_STAKE);
    });

    it("makes a node leave whose losses ate its backing", async () => {
      const { registry, market, honest, stranger, classId } = await loadJoined();
      await registry.connect(market).fine(honest, STAKE - SLOT_STAKE + 1n);
      await expect(registry.connect(stranger).evict(market, classId, 0)).to.emit(registry, "Left");
      expect((await registry.slotOf(market, classId, 0)).leftAt).to.equal(await now());
      await expect(registry.connect(stranger).evict(market, classId, 0)).to.be.revertedWithCustomError(
        registry,
        "SlotLeft",
      );
    });
  });

  describe("commitAssignment", () => {
    it("refuses a slot of another, and one that was left", async () => {
      const { registry, market, honest, lying, classId } = await loadJoined();
      await expect(registry.connect(market).commitAssignment(classId, 0, lying, 1n))
        .to.be.revertedWithCustomError(registry, "NotSlotHolder")
        .withArgs(0n, honest.address, lying.address);
      await registry.connect(honest).leavePool(market, classId, 0);
      await expect(registry.connect(market).commitAssignment(classId, 0, honest, 1n))
        .to.be.revertedWithCustomError(registry, "SlotLeft")
        .withArgs(0n, await now());
    });

    it("refuses who calls for another market", async () => {
      const { registry, otherMarket, honest, classId } = await loadJoined();
      await expect(registry.connect(otherMarket).commitAssignment(classId, 0, honest, 1n))
        .to.be.revertedWithCustomError(registry, "NotSlotHolder")
        .withArgs(0n, ethers.ZeroAddress, honest.address);
    });

    it("refuses a node below the minimum stake until it tops up", async () => {
      const { registry, market, honest, classId } = await loadJoined();
      await registry.connect(market).fine(honest, STAKE - MIN_STAKE + 1n);
      await expect(registry.connect(market).commitAssignment(classId, 0, honest, 1n))
        .to.be.revertedWithCustomError(registry, "StakeBelowMinimum")
        .withArgs(honest.address, MIN_STAKE - 1n, MIN_STAKE);
      await registry.connect(honest).stake(market, 1n);
      await registry.connect(market).commitAssignment(classId, 0, honest, 1n);
    });

    it("refuses stake that backs slots or other assignments", async () => {
      const { registry, market, honest, classId } = await loadJoined();
      const free = STAKE - SLOT_STAKE;
      await expect(registry.connect(market).commitAssignment(classId, 0, honest, free + 1n))
        .to.be.revertedWithCustomError(registry, "InsufficientStake")
        .withArgs(honest.address, free, free + 1n);
      await registry.connect(market).commitAssignment(classId, 0, honest, free);
      await expect(registry.connect(market).commitAssignment(classId, 0, honest, 1n))
        .to.be.revertedWithCustomError(registry, "InsufficientStake")
        .withArgs(honest.address, 0n, 1n);
    });
  });

  describe("commitSeat", () => {
    it("may use the backing, and no more than is not committed", async () => {
      const { registry, market, honest, classId } = await loadJoined();
      await registry.connect(market).commitAssignment(classId, 0, honest, STAKE - SLOT_STAKE);
      await expect(registry.connect(market).commitSeat(honest, SLOT_STAKE + 1n))
        .to.be.revertedWithCustomError(registry, "InsufficientStake")
        .withArgs(honest.address, SLOT_STAKE, SLOT_STAKE + 1n);
      await registry.connect(market).commitSeat(honest, SLOT_STAKE);
      expect((await registry.nodeState(market, honest)).committed).to.equal(STAKE);
    });
  });

  describe("release", () => {
    it("frees what was committed and not more", async () => {
      const { registry, market, honest, classId } = await loadJoined();
      await registry.connect(market).commitAssignment(classId, 0, honest, 700n);
      await registry.connect(market).release([{ node: honest, amount: 200n }]);
      expect((await registry.nodeState(market, honest)).committed).to.equal(500n);
      await expect(registry.connect(market).release([{ node: honest, amount: 501n }])).to.be.revertedWithPanic(0x11);
    });

    it("refuses another market's commitments", async () => {
      const { registry, market, otherMarket, honest, classId } = await loadJoined();
      await registry.connect(market).commitAssignment(classId, 0, honest, 700n);
      await expect(registry.connect(otherMarket).release([{ node: honest, amount: 1n }])).to.be.revertedWithPanic(0x11);
    });
  });

  describe("slash", () => {
    it("refuses more than was committed", async () => {
      const { registry, market, honest, classId } = await loadJoined();
      await registry.connect(market).commitAssignment(classId, 0, honest, 700n);
      await expect(registry.connect(market).slash(honest, 701n, 700n, [])).to.be.revertedWithPanic(0x11);
    });

    it("refuses a node that another market holds to account", async () => {
      const { registry, market, otherMarket, honest, classId } = await loadJoined();
      await registry.connect(market).commitAssignment(classId, 0, honest, 700n);
      await expect(registry.connect(otherMarket).slash(honest, 700n, 700n, [])).to.be.revertedWithPanic(0x11);
    });

    it("refuses a penalty above what was committed, and payments above the penalty", async () => {
      const { registry, market, honest, lying, silent, classId } = await loadJoined();
      await registry.connect(market).commitAssignment(classId, 0, honest, 700n);
      await expect(registry.connect(market).slash(honest, 600n, 601n, []))
        .to.be.revertedWithCustomError(registry, "InvalidSlash")
        .withArgs(honest.address, 600n, 601n, 0n);
      const payments = [
        { to: lying, amount: 300n },
        { to: silent, amount: 301n },
      ];
      await expect(registry.connect(market).slash(honest, 700n, 600n, payments))
        .to.be.revertedWithCustomError(registry, "InvalidSlash")
        .withArgs(honest.address, 700n, 600n, 601n);
    });

    it("refuses payments whose sum does not fit", async () => {
      const { registry, market, honest, lying, classId } = await loadJoined();
      await registry.connect(market).commitAssignment(classId, 0, honest, 700n);
      const payments = Array.from({ length: 4 }, () => ({ to: lying, amount: 2n ** 96n - 1n }));
      await expect(registry.connect(market).slash(honest, 700n, 600n, payments))
        .to.be.revertedWithCustomError(registry, "InvalidSlash")
        .withArgs(honest.address, 700n, 600n, 4n * (2n ** 96n - 1n));
    });

    it("pays what it is told and burns the rest", async () => {
      const { registry, vault, address, market, honest, lying, silent, lockOf, classId } = await loadJoined();
      await registry.connect(market).commitAssignment(classId, 0, honest, 1_005n);
      const payments = [
        { to: lying, amount: 50n },
        { to: silent, amount: 40n },
        { to: lying, amount: 10n },
      ];
      await expect(registry.connect(market).slash(honest, 1_005n, 1_005n, payments))
        .to.emit(registry, "Slashed")
        .withArgs(market.address, honest.address, 1_005n, 100n);
      expect(await vault.available(address, lying)).to.equal(FUNDS + 60n);
      expect(await vault.available(address, silent)).to.equal(FUNDS + 40n);
      expect(await vault.burned()).to.equal(905n);
      expect(await registry.nodeState(market, honest)).to.deep.equal([STAKE - 1_005n, 0n, SLOT_STAKE]);
      expect((await lockOf(honest)).amount).to.equal(STAKE - 1_005n);
    });

    it("frees what it does not take, and can burn all of it or pay all of it", async () => {
      const { registry, vault, address, market, honest, lying, classId } = await loadJoined();
      await registry.connect(market).commitAssignment(classId, 0, honest, 3_000n);
      await registry.connect(market).slash(honest, 1_000n, 100n, []);
      expect(await registry.nodeState(market, honest)).to.deep.equal([STAKE - 100n, 2_000n, SLOT_STAKE]);
      await registry.connect(market).slash(honest, 1_000n, 100n, [{ to: lying, amount: 100n }]);
      await registry.connect(market).slash(honest, 1_000n, 0n, []);
      expect(await vault.burned()).to.equal(100n);
      expect(await vault.available(address, lying)).to.equal(FUNDS + 100n);
      expect(await registry.nodeState(market, honest)).to.deep.equal([STAKE - 200n, 0n, SLOT_STAKE]);
    });

    it("reaches stake whose owner began to leave", async () => {
      const { registry, market, honest, classId } = await loadJoined();
      await registry.connect(market).commitAssignment(classId, 0, honest, 1_000n);
      await registry.connect(honest).unstake(market, STAKE - SLOT_STAKE - 1_000n);
      await registry.connect(honest).leavePool(market, classId, 0);
      await networkHelpers.time.increase(UNBONDING);
      await registry.connect(honest).withdrawStake(market);
      await registry.freeSlot(market, classId, 0);
      await registry.connect(honest).unstake(market, SLOT_STAKE);
      await registry.connect(market).slash(honest, 1_000n, 1_000n, []);
      expect(await registry.nodeState(market, honest)).to.deep.equal([0n, 0n, 0n]);
    });
  });

  describe("fine", () => {
    it("never takes what is committed", async () => {
      const { registry, vault, market, honest, classId } = await loadJoined();
      await registry.connect(market).commitAssignment(classId, 0, honest, STAKE - SLOT_STAKE);
      await expect(registry.connect(market).fine(honest, SLOT_STAKE + 5n))
        .to.emit(registry, "Fined")
        .withArgs(market.address, honest.address, SLOT_STAKE + 5n, SLOT_STAKE);
      expect(await vault.burned()).to.equal(SLOT_STAKE);
      expect((await registry.nodeState(market, honest)).stake).to.equal(STAKE - SLOT_STAKE);
    });

    it("takes from what is unbonding when the stake is not enough", async () => {
      const { registry, vault, market, honest, lying, lockOf } = await loadJoined();
      await registry.connect(lying).stake(market, 1_000n);
      await registry.connect(lying).unstake(market, 900n);
      expect(await registry.connect(market).fine.staticCall(lying, 300n)).to.equal(300n);
      await registry.connect(market).fine(lying, 300n);
      expect((await registry.nodeState(market, lying)).stake).to.equal(0n);
      expect((await registry.unbondingOf(market, lying)).amount).to.equal(700n);
      expect((await lockOf(lying)).amount).to.equal(700n);
      expect(await vault.burned()).to.equal(300n);
      expect((await registry.nodeState(market, honest)).stake).to.equal(STAKE);
    });

    it("takes what there is, down to nothing, also from strangers", async () => {
      const { registry, vault, market, lying, stranger } = await loadJoined();
      await registry.connect(lying).stake(market, 1_000n);
      await registry.connect(lying).unstake(market, 900n);
      await expect(registry.connect(market).fine(lying, 2_000n))
        .to.emit(registry, "Fined")
        .withArgs(market.address, lying.address, 2_000n, 1_000n);
      await expect(registry.connect(market).fine(stranger, 2_000n))
        .to.emit(registry, "Fined")
        .withArgs(market.address, stranger.address, 2_000n, 0n);
      expect(await vault.burned()).to.equal(1_000n);
      await expect(registry.connect(lying).withdrawStake(market)).to.be.revertedWithCustomError(
        registry,
        "NothingUnbonding",
      );
    });
  });

  describe("draw", () => {
    const KEY = keccakOf("key");

    /** Three nodes, `honest` with two slots: 0, 3; lying 1, silent 2. */
    async function deployPool() {
      const deployed = await deployJoined();
      const { registry, market, honest, lying, silent, classId } = deployed;
      for (const [slot, node] of [
        [1, lying],
        [2, silent],
      ] as const) {
        await registry.connect(node).stake(market, STAKE);
        await registry.connect(node).joinPool(market, classId, slot);
      }
      await registry.connect(honest).joinPool(market, classId, 3);
      await networkHelpers.time.increase(ACTIVATION_DELAY);
      const nodes = [honest.address, lying.address, silent.address];
      const draw = async ({
        key = KEY,
        sealedAt,
        slots = 4n,
        skip = [],
        excluded = [],
        count = 3n,
      }: {
        key?: string;
        sealedAt?: bigint;
        slots?: bigint;
        skip?: Actor[];
        excluded?: Actor[];
        count?: bigint;
      }) => [...(await registry.draw(market, classId, key, sealedAt ?? (await now()), slots, skip, excluded, count))];
      return { ...deployed, nodes, draw };
    }
    const loadPool = () => networkHelpers.loadFixture(deployPool);

    it("draws every node once, however many slots it has", async () => {
      const { draw, nodes } = await loadPool();
      expect((await draw({ count: 10n })).sort()).to.deep.equal([...nodes].sort());
    });

    it("draws no more than asked for, and the same for the same key", async () => {
      const { draw } = await loadPool();
      const drawn = await draw({ count: 2n });
      expect(drawn).to.have.length(2);
      expect(await draw({ count: 2n })).to.deep.equal(drawn);
      expect(await draw({ count: 3n })).to.deep.equal([...drawn, ...(await draw({ count: 3n })).slice(2)]);
    });

    it("leaves out members and excluded nodes", async () => {
      const { draw, honest, lying, silent } = await loadPool();
      expect(await draw({ skip: [honest], excluded: [lying] })).to.deep.equal([silent.address]);
    });

    it("leaves out places made after the batch", async () => {
      const { draw, honest } = await loadPool();
      expect(await draw({ slots: 1n })).to.deep.equal([honest.address]);
      expect(await draw({ slots: 0n })).to.deep.equal([]);
    });

    it("counts a slot from the second it becomes active", async () => {
      const { draw, registry, market, classId, silent } = await loadPool();
      const { activeFrom } = await registry.slotOf(market, classId, 2);
      expect(await draw({ sealedAt: activeFrom - 1n })).to.not.include(silent.address);
      expect(await draw({ sealedAt: activeFrom })).to.include(silent.address);
    });

    it("counts a slot that left only after the seal", async () => {
      const { draw, registry, market, classId, silent } = await loadPool();
      await registry.connect(silent).leavePool(market, classId, 2);
      const leftAt = await now();
      expect(await draw({ sealedAt: leftAt - 1n })).to.include(silent.address);
      expect(await draw({ sealedAt: leftAt })).to.not.include(silent.address);
    });

    it("skips holes", async () => {
      const { draw, registry, market, classId, silent } = await loadPool();
      await registry.connect(silent).leavePool(market, classId, 2);
      await networkHelpers.time.increase(UNBONDING);
      await registry.freeSlot(market, classId, 2);
      expect(await draw({})).to.have.length(2);
      // Who takes the hole does not serve batches sealed before.
      const sealedAt = await now();
      await registry.connect(silent).joinPool(market, classId, 2);
      expect(await draw({ sealedAt })).to.not.include(silent.address);
    });

    it("gives a node with two slots twice the chance", async () => {
      const { draw, honest } = await loadPool();
      let first = 0;
      for (let i = 0; i < 400; i += 1) {
        const [drawn] = await draw({ key: keccakOf(`key ${i}`), count: 1n });
        if (drawn === honest.address) first += 1;
      }
      // 200 expected, standard deviation 10; the keys are fixed, so this never flickers.
      expect(first).to.be.within(160, 240);
    });
  });
});
