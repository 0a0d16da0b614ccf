import { expect } from "chai";
import { id as keccakOf } from "ethers";

import { deployBare, ethers, networkHelpers } from "./market-fixture.ts";

const LOCK = keccakOf("lock");
const DEAD = "0x000000000000000000000000000000000000dEaD";
const Malice = { Plain: 0, Fee: 1, False: 2, Reenter: 3 } as const;

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

async function deployHostile() {
  const [holder, ledger] = await ethers.getSigners();
  const token = await ethers.deployContract("HostileToken", [holder!.address, 1_000_000n]);
  const vault = await ethers.deployContract("Vault", [token]);
  await token.approve(vault, 1_000_000n);
  return { holder: holder!, ledger: ledger!, token, vault };
}

describe("Vault", () => {
  const load = () => networkHelpers.loadFixture(deployVault);

  describe("deposit", () => {
    it("refuses an amount of zero", async () => {
      const { vault, ledger, admin } = await load();
      await expect(vault.connect(admin).deposit(ledger, admin, 0n)).to.be.revertedWithCustomError(vault, "ZeroAmount");
    });

    it("refuses a token that takes a fee on the way in", async () => {
      const { vault, token, ledger, holder } = await networkHelpers.loadFixture(deployHostile);
      await token.turn(Malice.Fee);
      await expect(vault.deposit(ledger, holder, 100n))
        .to.be.revertedWithCustomError(vault, "TransferMismatch")
        .withArgs(90n, 100n);
    });

    it("refuses a token that only returns false", async () => {
      const { vault, token, ledger, holder } = await networkHelpers.loadFixture(deployHostile);
      await token.turn(Malice.False);
      await expect(vault.deposit(ledger, holder, 100n))
        .to.be.revertedWithCustomError(vault, "SafeERC20FailedOperation")
        .withArgs(await token.getAddress());
    });

    it("refuses a token that calls back", async () => {
      const { vault, token, ledger, holder } = await networkHelpers.loadFixture(deployHostile);
      await vault.deposit(ledger, holder, 100n);
      await token.turn(Malice.Reenter);
      await expect(vault.deposit(ledger, holder, 100n)).to.be.revertedWithCustomError(
        vault,
        "ReentrancyGuardReentrantCall",
      );
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
      const { vault, token, ledger, holder } = await networkHelpers.loadFixture(deployHostile);
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
