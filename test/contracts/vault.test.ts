import { expect } from "chai";
import { id as keccakOf } from "ethers";

import { deployBare, ethers, networkHelpers } from "./market-fixture.ts";

const LOCK = keccakOf("lock");
const DEAD = "0x000000000000000000000000000000000000dEaD";
const Malice = { Plain: 0, Fee: 1, False: 2, Reenter: 3 } as const;

const ROOM = 2n ** 96n - 1n;

/** A ledger is whoever calls: here accounts that play a market and a registry. */
async function deployVault() {
  const { admin, token, vault, requester, delegate, stranger, others } = await deployBare();
  const [ledger, otherLedger, honest] = others;
  if (ledger === undefined || otherLedger === undefined || honest === undefined) throw new Error("too few accounts");
  await token.connect(admin).approve(vault, 10n ** 30n);
  await vault.connect(admin).deposit(ledger, requester, 1_000n);
  await vault.connect(admin).deposit(ledger, honest, 50n);
  return { admin, token, vault, requester, delegate, stranger, ledger, otherLedger, honest };
}

/** As {@link deployVault}: the requester has entrusted its account of `ledger` to `owner`; `thief` is who has its key. */
async function deployEntrusted() {
  const deployed = await deployVault();
  const { vault, ledger, requester, stranger } = deployed;
  await vault.connect(requester).entrust(ledger, requester, stranger);
  return { ...deployed, thief: requester, owner: stranger };
}

async function deployHostile(supply = 1_000_000n) {
  const [holder, ledger] = await ethers.getSigners();
  const token = await ethers.deployContract("HostileToken", [holder!.address, supply]);
  const vault = await ethers.deployContract("Vault", [token]);
  await token.approve(vault, supply);
  return { holder: holder!, ledger: ledger!, token, vault };
}

const deployHostileToken = () => deployHostile();

describe("Vault", () => {
  const load = () => networkHelpers.loadFixture(deployVault);
  const loadEntrusted = () => networkHelpers.loadFixture(deployEntrusted);

  describe("deposit", () => {
    it("refuses an amount of zero", async () => {
      const { vault, ledger, admin } = await load();
      await expect(vault.connect(admin).deposit(ledger, admin, 0n)).to.be.revertedWithCustomError(vault, "ZeroAmount");
    });

    it("refuses a token that takes a fee on the way in", async () => {
      const { vault, token, ledger, holder } = await networkHelpers.loadFixture(deployHostileToken);
      await token.turn(Malice.Fee);
      await expect(vault.deposit(ledger, holder, 100n))
        .to.be.revertedWithCustomError(vault, "TransferMismatch")
        .withArgs(90n, 100n);
    });

    it("refuses a token that only returns false", async () => {
      const { vault, token, ledger, holder } = await networkHelpers.loadFixture(deployHostileToken);
      await token.turn(Malice.False);
      await expect(vault.deposit(ledger, holder, 100n))
        .to.be.revertedWithCustomError(vault, "SafeERC20FailedOperation")
        .withArgs(await token.getAddress());
    });

    it("refuses a token that calls back", async () => {
      const { vault, token, ledger, holder } = await networkHelpers.loadFixture(deployHostileToken);
      await vault.deposit(ledger, holder, 100n);
      await token.turn(Malice.Reenter);
      await expect(vault.deposit(ledger, holder, 100n)).to.be.revertedWithCustomError(
        vault,
        "ReentrancyGuardReentrantCall",
      );
    });

    it("refuses what an account could not hold, and takes all up to that", async () => {
      const { vault, ledger, holder } = await deployHostile(ROOM + 1n);
      await vault.deposit(ledger, holder, 10n);
      await expect(vault.deposit(holder, holder, ROOM - 9n))
        .to.be.revertedWithCustomError(vault, "BeyondCapacity")
        .withArgs(ROOM - 9n, ROOM - 10n);
      await vault.deposit(ledger, holder, ROOM - 10n);
      expect(await vault.available(ledger, holder)).to.equal(ROOM);
      expect(await vault.total()).to.equal(ROOM);
      await expect(vault.deposit(ledger, ledger, 1n)).to.be.revertedWithCustomError(vault, "BeyondCapacity");
      await vault.withdraw(ledger, ROOM, holder);
      expect(await vault.total()).to.equal(0n);
    });

    it("credits the holder named, whoever pays", async () => {
      const { vault, token, ledger, otherLedger, admin, stranger } = await load();
      await expect(vault.connect(admin).deposit(ledger, stranger, 7n))
        .to.emit(vault, "Deposited")
        .withArgs(ledger.address, stranger.address, 7n);
      expect(await vault.available(ledger, stranger)).to.equal(7n);
      expect(await vault.available(otherLedger, stranger)).to.equal(0n);
      expect(await vault.total()).to.equal(1_057n);
      expect(await token.balanceOf(vault)).to.equal(1_057n);
    });

    it("counts a plain transfer as nobody's", async () => {
      const { vault, token, admin } = await load();
      await token.connect(admin).transfer(vault, 5n);
      expect(await vault.total()).to.equal(1_050n);
      expect(await token.balanceOf(vault)).to.equal(1_055n);
    });
  });

  describe("withdraw", () => {
    it("refuses an amount of zero", async () => {
      const { vault, ledger, requester } = await load();
      await expect(vault.connect(requester).withdraw(ledger, 0n, requester)).to.be.revertedWithCustomError(
        vault,
        "ZeroAmount",
      );
    });

    it("refuses more than is available, and what is available elsewhere", async () => {
      const { vault, ledger, otherLedger, requester } = await load();
      await expect(vault.connect(requester).withdraw(ledger, 1_001n, requester))
        .to.be.revertedWithCustomError(vault, "InsufficientAvailable")
        .withArgs(requester.address, 1_000n, 1_001n);
      await expect(vault.connect(requester).withdraw(otherLedger, 1n, requester))
        .to.be.revertedWithCustomError(vault, "InsufficientAvailable")
        .withArgs(requester.address, 0n, 1n);
    });

    it("refuses to send what does not leave", async () => {
      const { vault, ledger, requester } = await load();
      await expect(vault.connect(requester).withdraw(ledger, 10n, vault))
        .to.be.revertedWithCustomError(vault, "TransferMismatch")
        .withArgs(0n, 10n);
    });

    it("refuses a token that calls back on the way out", async () => {
      const { vault, token, ledger, holder } = await networkHelpers.loadFixture(deployHostileToken);
      await vault.deposit(ledger, holder, 100n);
      await token.turn(Malice.Reenter);
      await expect(vault.withdraw(ledger, 100n, holder)).to.be.revertedWithCustomError(
        vault,
        "ReentrancyGuardReentrantCall",
      );
    });

    it("sends the caller's money where it says", async () => {
      const { vault, token, ledger, requester, stranger } = await load();
      await expect(vault.connect(requester).withdraw(ledger, 1_000n, stranger))
        .to.emit(vault, "Withdrawn")
        .withArgs(ledger.address, requester.address, stranger.address, 1_000n);
      expect(await token.balanceOf(stranger)).to.equal(1_000n);
      expect(await vault.available(ledger, requester)).to.equal(0n);
      expect(await vault.total()).to.equal(50n);
    });
  });

  describe("move", () => {
    it("refuses zero and more than is available", async () => {
      const { vault, ledger, otherLedger, requester } = await load();
      await expect(vault.connect(requester).move(ledger, otherLedger, 0n)).to.be.revertedWithCustomError(
        vault,
        "ZeroAmount",
      );
      await expect(vault.connect(requester).move(ledger, otherLedger, 1_001n))
        .to.be.revertedWithCustomError(vault, "InsufficientAvailable")
        .withArgs(requester.address, 1_000n, 1_001n);
    });

    it("moves between ledgers and leaves the total", async () => {
      const { vault, ledger, otherLedger, requester } = await load();
      await expect(vault.connect(requester).move(ledger, otherLedger, 400n))
        .to.emit(vault, "Moved")
        .withArgs(ledger.address, otherLedger.address, requester.address, 400n);
      expect(await vault.available(ledger, requester)).to.equal(600n);
      expect(await vault.available(otherLedger, requester)).to.equal(400n);
      expect(await vault.total()).to.equal(1_050n);
    });
  });

  describe("entrust", () => {
    it("refuses anybody but the holder, and then anybody but the owner", async () => {
      const { vault, ledger, requester, stranger, honest } = await load();
      await expect(vault.connect(stranger).entrust(ledger, requester, stranger))
        .to.be.revertedWithCustomError(vault, "NotInHand")
        .withArgs(requester.address, ethers.ZeroAddress, stranger.address);
      await vault.connect(requester).entrust(ledger, requester, stranger);
      for (const by of [requester, honest, ledger]) {
        await expect(vault.connect(by).entrust(ledger, requester, honest))
          .to.be.revertedWithCustomError(vault, "NotInHand")
          .withArgs(requester.address, stranger.address, by.address);
      }
    });

    it("refuses an owner that is nobody, or the holder", async () => {
      const { vault, ledger, thief, owner } = await loadEntrusted();
      for (const [by, holder, wrong] of [
        [owner, thief, ethers.ZeroAddress],
        [owner, thief, thief.address],
        [owner, owner, owner.address],
        [owner, owner, ethers.ZeroAddress],
      ] as const) {
        await expect(vault.connect(by).entrust(ledger, holder, wrong))
          .to.be.revertedWithCustomError(vault, "InvalidOwner")
          .withArgs(holder.address, wrong);
      }
    });

    it("names an owner of one ledger's account, who can name the next", async () => {
      const { vault, ledger, otherLedger, requester, stranger, honest } = await load();
      expect(await vault.ownerOf(ledger, requester)).to.equal(ethers.ZeroAddress);
      await expect(vault.connect(requester).entrust(ledger, requester, stranger))
        .to.emit(vault, "Entrusted")
        .withArgs(ledger.address, requester.address, stranger.address);
      expect(await vault.ownerOf(ledger, requester)).to.equal(stranger.address);
      expect(await vault.ownerOf(otherLedger, requester)).to.equal(ethers.ZeroAddress);
      expect(await vault.available(ledger, requester)).to.equal(1_000n);
      await vault.connect(stranger).entrust(ledger, requester, honest);
      expect(await vault.ownerOf(ledger, requester)).to.equal(honest.address);
      await expect(vault.connect(stranger).withdrawFor(ledger, requester, 1n, stranger)).to.be.revertedWithCustomError(
        vault,
        "NotInHand",
      );
      await vault.connect(honest).withdrawFor(ledger, requester, 1n, honest);
    });

    it("keeps the owner through deposits, payments and returns, none of which need it", async () => {
      const { vault, admin, ledger, honest, thief, owner } = await loadEntrusted();
      await vault.connect(admin).deposit(ledger, thief, 10n);
      await vault.connect(ledger).lock(LOCK, honest, 50n);
      await vault.connect(ledger).release(LOCK, [{ to: thief, amount: 20n }], 0n);
      await vault.connect(ledger).close(LOCK, [{ to: thief, amount: 5n }], 0n);
      await vault.connect(ledger).pledge(LOCK, thief, owner, 100n);
      await vault.connect(ledger).close(LOCK, [], 1n);
      expect(await vault.available(ledger, thief)).to.equal(1_034n);
      expect(await vault.ownerOf(ledger, thief)).to.equal(owner.address);
    });
  });

  describe("an entrusted account, by whoever has the holder's key", () => {
    it("pays its owner and nobody else", async () => {
      const { vault, token, ledger, honest, thief, owner } = await loadEntrusted();
      for (const to of [thief, honest, ledger]) {
        await expect(vault.connect(thief).withdraw(ledger, 1n, to))
          .to.be.revertedWithCustomError(vault, "NotInHand")
          .withArgs(thief.address, owner.address, thief.address);
        await expect(vault.connect(thief).withdrawFor(ledger, thief, 1n, to)).to.be.revertedWithCustomError(
          vault,
          "NotInHand",
        );
      }
      await expect(vault.connect(thief).withdrawFor(ledger, thief, 1n, owner)).to.be.revertedWithCustomError(
        vault,
        "NotInHand",
      );
      await expect(vault.connect(thief).withdraw(ledger, 400n, owner))
        .to.emit(vault, "Withdrawn")
        .withArgs(ledger.address, thief.address, owner.address, 400n);
      expect(await token.balanceOf(owner)).to.equal(400n);
      expect(await vault.available(ledger, thief)).to.equal(600n);
    });

    it("moves nowhere, not even to where it has the same owner", async () => {
      const { vault, ledger, otherLedger, thief, owner } = await loadEntrusted();
      await vault.connect(thief).entrust(otherLedger, thief, owner);
      for (const to of [otherLedger, ledger]) {
        await expect(vault.connect(thief).move(ledger, to, 1n))
          .to.be.revertedWithCustomError(vault, "NotInHand")
          .withArgs(thief.address, owner.address, thief.address);
      }
    });

    it("is locked for nothing but what its owner called for", async () => {
      const { vault, ledger, thief, owner, honest } = await loadEntrusted();
      await expect(vault.connect(ledger).lock(LOCK, thief, 1n))
        .to.be.revertedWithCustomError(vault, "NotInHand")
        .withArgs(thief.address, owner.address, thief.address);
      for (const hand of [thief, honest]) {
        await expect(vault.connect(ledger).pledge(LOCK, thief, hand, 1n))
          .to.be.revertedWithCustomError(vault, "NotInHand")
          .withArgs(thief.address, owner.address, hand.address);
      }
      await expect(vault.connect(ledger).pledge(LOCK, thief, owner, 10n))
        .to.emit(vault, "Locked")
        .withArgs(ledger.address, LOCK, thief.address, 10n);
      expect(await vault.lockOf(ledger, LOCK)).to.deep.equal([thief.address, 10n]);
    });
  });

  describe("withdrawFor", () => {
    it("sends what the owner disposes of where the owner says", async () => {
      const { vault, token, ledger, honest, thief, owner } = await loadEntrusted();
      await expect(vault.connect(owner).withdrawFor(ledger, thief, 1_000n, honest))
        .to.emit(vault, "Withdrawn")
        .withArgs(ledger.address, thief.address, honest.address, 1_000n);
      expect(await token.balanceOf(honest)).to.equal(1_000n);
      expect(await vault.available(ledger, thief)).to.equal(0n);
      expect(await vault.total()).to.equal(50n);
    });

    it("refuses more than there is, zero, and the owner of another ledger's account", async () => {
      const { vault, admin, ledger, otherLedger, thief, owner } = await loadEntrusted();
      await vault.connect(admin).deposit(otherLedger, thief, 5n);
      await expect(vault.connect(owner).withdrawFor(ledger, thief, 1_001n, owner))
        .to.be.revertedWithCustomError(vault, "InsufficientAvailable")
        .withArgs(thief.address, 1_000n, 1_001n);
      await expect(vault.connect(owner).withdrawFor(ledger, thief, 0n, owner)).to.be.revertedWithCustomError(
        vault,
        "ZeroAmount",
      );
      await expect(vault.connect(owner).withdrawFor(otherLedger, thief, 1n, owner))
        .to.be.revertedWithCustomError(vault, "NotInHand")
        .withArgs(thief.address, ethers.ZeroAddress, owner.address);
    });

    it("is the holder's own where nothing is entrusted", async () => {
      const { vault, token, ledger, requester, honest } = await load();
      await vault.connect(requester).withdrawFor(ledger, requester, 3n, honest);
      expect(await token.balanceOf(honest)).to.equal(3n);
    });

    it("refuses a token that calls back on the way out", async () => {
      const { vault, token, ledger, holder } = await networkHelpers.loadFixture(deployHostileToken);
      await vault.deposit(ledger, holder, 100n);
      await token.turn(Malice.Reenter);
      await expect(vault.withdrawFor(ledger, holder, 100n, holder)).to.be.revertedWithCustomError(
        vault,
        "ReentrancyGuardReentrantCall",
      );
    });
  });

  describe("pledge", () => {
    it("is a lock where nothing is entrusted, called for by the holder", async () => {
      const { vault, ledger, requester, honest } = await load();
      await expect(vault.connect(ledger).pledge(LOCK, requester, honest, 1n))
        .to.be.revertedWithCustomError(vault, "NotInHand")
        .withArgs(requester.address, ethers.ZeroAddress, honest.address);
      await vault.connect(ledger).pledge(LOCK, requester, requester, 30n);
      await vault.connect(ledger).lock(LOCK, requester, 12n);
      expect(await vault.lockOf(ledger, LOCK)).to.deep.equal([requester.address, 42n]);
      expect(await vault.available(ledger, requester)).to.equal(958n);
    });
  });

  describe("lock", () => {
    it("refuses zero, and more than the holder has in the caller's ledger", async () => {
      const { vault, ledger, otherLedger, requester } = await load();
      await expect(vault.connect(ledger).lock(LOCK, requester, 0n)).to.be.revertedWithCustomError(vault, "ZeroAmount");
      await expect(vault.connect(ledger).lock(LOCK, requester, 1_001n))
        .to.be.revertedWithCustomError(vault, "InsufficientAvailable")
        .withArgs(requester.address, 1_000n, 1_001n);
      await expect(vault.connect(otherLedger).lock(LOCK, requester, 1n))
        .to.be.revertedWithCustomError(vault, "InsufficientAvailable")
        .withArgs(requester.address, 0n, 1n);
    });

    it("refuses a second holder under one id", async () => {
      const { vault, ledger, requester, honest } = await load();
      await vault.connect(ledger).lock(LOCK, requester, 10n);
      await expect(vault.connect(ledger).lock(LOCK, honest, 10n))
        .to.be.revertedWithCustomError(vault, "LockHeldByAnother")
        .withArgs(LOCK, requester.address, honest.address);
    });

    it("sets aside, and adds to what is there", async () => {
      const { vault, ledger, requester } = await load();
      await expect(vault.connect(ledger).lock(LOCK, requester, 300n))
        .to.emit(vault, "Locked")
        .withArgs(ledger.address, LOCK, requester.address, 300n);
      await vault.connect(ledger).lock(LOCK, requester, 100n);
      expect(await vault.lockOf(ledger, LOCK)).to.deep.equal([requester.address, 400n]);
      expect(await vault.available(ledger, requester)).to.equal(600n);
      expect(await vault.total()).to.equal(1_050n);
    });
  });

  describe("release", () => {
    async function loadLocked() {
      const loaded = await load();
      await loaded.vault.connect(loaded.ledger).lock(LOCK, loaded.requester, 100n);
      return loaded;
    }

    it("refuses to pay or burn more than is locked", async () => {
      const { vault, ledger, honest } = await loadLocked();
      await expect(vault.connect(ledger).release(LOCK, [{ to: honest, amount: 60n }], 41n))
        .to.be.revertedWithCustomError(vault, "InsufficientLocked")
        .withArgs(LOCK, 100n, 101n);
    });

    it("refuses the sum of payments that only fit one by one", async () => {
      const { vault, ledger, honest, stranger } = await loadLocked();
      const payments = [
        { to: honest, amount: 60n },
        { to: stranger, amount: 60n },
      ];
      await expect(vault.connect(ledger).release(LOCK, payments, 0n))
        .to.be.revertedWithCustomError(vault, "InsufficientLocked")
        .withArgs(LOCK, 100n, 120n);
    });

    it("refuses another ledger's lock", async () => {
      const { vault, ledger, otherLedger, honest, requester } = await loadLocked();
      await expect(vault.connect(otherLedger).release(LOCK, [{ to: honest, amount: 1n }], 0n))
        .to.be.revertedWithCustomError(vault, "InsufficientLocked")
        .withArgs(LOCK, 0n, 1n);
      expect(await vault.lockOf(ledger, LOCK)).to.deep.equal([requester.address, 100n]);
    });

    it("pays, burns and keeps the rest", async () => {
      const { vault, ledger, honest, requester } = await loadLocked();
      await expect(vault.connect(ledger).release(LOCK, [{ to: honest, amount: 60n }], 30n))
        .to.emit(vault, "Released")
        .withArgs(ledger.address, LOCK, [[honest.address, 60n]], 30n, 0n);
      expect(await vault.available(ledger, honest)).to.equal(110n);
      expect(await vault.burned()).to.equal(30n);
      expect(await vault.lockOf(ledger, LOCK)).to.deep.equal([requester.address, 10n]);
      expect(await vault.total()).to.equal(1_050n);
    });

    it("forgets the holder once nothing is left", async () => {
      const { vault, ledger, honest } = await loadLocked();
      await vault.connect(ledger).release(LOCK, [{ to: honest, amount: 100n }], 0n);
      expect(await vault.lockOf(ledger, LOCK)).to.deep.equal([ethers.ZeroAddress, 0n]);
    });
  });

  describe("close", () => {
    it("refuses to pay more than is locked", async () => {
      const { vault, ledger, requester, honest } = await load();
      await vault.connect(ledger).lock(LOCK, requester, 100n);
      await expect(vault.connect(ledger).close(LOCK, [{ to: honest, amount: 100n }], 1n))
        .to.be.revertedWithCustomError(vault, "InsufficientLocked")
        .withArgs(LOCK, 100n, 101n);
    });

    it("returns the rest to the holder, once", async () => {
      const { vault, ledger, requester, honest } = await load();
      await vault.connect(ledger).lock(LOCK, requester, 100n);
      await expect(vault.connect(ledger).close(LOCK, [{ to: honest, amount: 25n }], 5n))
        .to.emit(vault, "Released")
        .withArgs(ledger.address, LOCK, [[honest.address, 25n]], 5n, 70n);
      expect(await vault.available(ledger, requester)).to.equal(970n);
      expect(await vault.lockOf(ledger, LOCK)).to.deep.equal([ethers.ZeroAddress, 0n]);
      await vault.connect(ledger).close(LOCK, [], 0n);
      expect(await vault.available(ledger, requester)).to.equal(970n);
      expect(await vault.available(ledger, ethers.ZeroAddress)).to.equal(0n);
    });
  });

  describe("sweepBurned", () => {
    it("refuses when nothing was burned", async () => {
      const { vault } = await load();
      await expect(vault.sweepBurned()).to.be.revertedWithCustomError(vault, "ZeroAmount");
    });

    it("sends what was burned out of circulation, once", async () => {
      const { vault, token, ledger, requester, stranger } = await load();
      await vault.connect(ledger).lock(LOCK, requester, 100n);
      await vault.connect(ledger).close(LOCK, [], 40n);
      await expect(vault.connect(stranger).sweepBurned()).to.emit(vault, "Swept").withArgs(40n);
      expect(await token.balanceOf(DEAD)).to.equal(40n);
      expect([await vault.burned(), await vault.total()]).to.deep.equal([0n, 1_010n]);
      await expect(vault.sweepBurned()).to.be.revertedWithCustomError(vault, "ZeroAmount");
    });
  });
});
