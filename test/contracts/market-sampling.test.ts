import { expect } from "chai";
import { AbiCoder, id as keccakOf, toBeHex } from "ethers";

import {
  deployMarket,
  ethers,
  expectUntil,
  networkHelpers,
  now,
  PARAMETERS,
  postBatch,
  termsOf,
} from "./market-fixture.ts";
import { entropyOf, sampledTasks } from "./reference.ts";

/** EIP-2935's contract, which Hardhat's chain has only as a stub: byte for byte what mainnet has. */
const HISTORY = "0x0000F90827F1C53a10cb7A02335B175320002935";
const HISTORY_CODE =
  "0x3373fffffffffffffffffffffffffffffffffffffffe14604657602036036042575f35600143038111604257611fff81430311604257611fff9006545f5260205ff35b5f5ffd5b5f35611fff60014303065500";

async function deploySealed() {
  const d = await deployMarket();
  const life = await postBatch(d);
  await life.compute([d.honest, 10]);
  const entropyBlock = (await life.state()).sealBlock + PARAMETERS.finalDepth;
  return { d, life, entropyBlock };
}
const load = () => networkHelpers.loadFixture(deploySealed);

describe("Market: capture", () => {
  it("refuses a batch that is not sealed, or not known", async () => {
    const { d } = await load();
    const life = await postBatch(d);
    for (const id of [life.id, keccakOf("no batch")]) {
      await expect(d.market.capture(id)).to.be.revertedWithCustomError(d.market, "NotSealed").withArgs(id);
    }
  });

  it("refuses a block that is not mined", async () => {
    const { d, life, entropyBlock } = await load();
    // The call runs in the next block: in the entropy block itself it is too early.
    await networkHelpers.mineUpTo(entropyBlock - 1n);
    await expect(d.market.capture(life.id))
      .to.be.revertedWithCustomError(d.market, "TooEarly")
      .withArgs(entropyBlock, entropyBlock);
    await networkHelpers.mine();
    await d.market.capture(life.id);
  });

  it("stores the hash once, whoever asks", async () => {
    const { d, life, entropyBlock } = await load();
    await networkHelpers.mineUpTo(entropyBlock);
    const block = await ethers.provider.getBlock(Number(entropyBlock));
    await expect(d.market.connect(d.stranger).capture(life.id))
      .to.emit(d.market, "EntropyCaptured")
      .withArgs(life.id, block!.hash);
    expect(await d.market.entropyOf(life.id)).to.equal(block!.hash);
    await expect(d.market.capture(life.id))
      .to.be.revertedWithCustomError(d.market, "AlreadyCaptured")
      .withArgs(life.id);
  });

  it("refuses after the reveal", async () => {
    const { d, life } = await load();
    await life.mineEntropy();
    await life.reveal();
    await expect(d.market.capture(life.id))
      .to.be.revertedWithCustomError(d.market, "AlreadyRevealed")
      .withArgs(life.id);
  });

  it("refuses once the chain has forgotten the hash", async () => {
    const { d, life, entropyBlock } = await load();
    await networkHelpers.mineUpTo(entropyBlock + 256n);
    await expect(d.market.capture(life.id))
      .to.be.revertedWithCustomError(d.market, "EntropyLost")
      .withArgs(entropyBlock);
  });

  it("is in time at the last block that still tells", async () => {
    const { d, life, entropyBlock } = await load();
    await networkHelpers.mineUpTo(entropyBlock + 255n);
    await d.market.capture(life.id);
  });

  it("asks the history contract where the chain has one", async () => {
    const { d, life, entropyBlock } = await load();
    const { hash } = (await ethers.provider.getBlock("latest"))!;
    await networkHelpers.setCode(HISTORY, HISTORY_CODE);
    await networkHelpers.setStorageAt(HISTORY, entropyBlock % 8_191n, hash!);
    await networkHelpers.mineUpTo(entropyBlock + 8_190n);
    const before = await networkHelpers.takeSnapshot();
    await expect(d.market.capture(life.id)).to.emit(d.market, "EntropyCaptured").withArgs(life.id, hash);
    await before.restore();
    await networkHelpers.mine();
    await expect(d.market.capture(life.id))
      .to.be.revertedWithCustomError(d.market, "EntropyLost")
      .withArgs(entropyBlock);
  });
});

describe("Market: reveal", () => {
  it("refuses a batch that is not sealed", async () => {
    const { d } = await load();
    const life = await postBatch(d);
    await expect(life.reveal()).to.be.revertedWithCustomError(d.market, "NotSealed").withArgs(life.id);
  });

  it("refuses before the entropy block is mined, so that nobody submits knowing it", async () => {
    const { d, life, entropyBlock } = await load();
    await networkHelpers.mineUpTo(entropyBlock - 1n);
    await expect(life.reveal())
      .to.be.revertedWithCustomError(d.market, "TooEarly")
      .withArgs(entropyBlock, entropyBlock);
    await networkHelpers.mine();
    await life.reveal();
  });

  it("refuses another seed", async () => {
    const { d, life } = await load();
    await life.mineEntropy();
    const seed = keccakOf("another");
    const hash = ethers.keccak256(
      AbiCoder.defaultAbiCoder().encode(
        ["uint256", "address", "bytes32", "uint64", "bytes32"],
        [d.chainId, d.marketAddress, life.batch.job, 0n, seed],
      ),
    );
    await expect(life.as(d.requester).reveal(life.terms, life.batch, seed))
      .to.be.revertedWithCustomError(d.market, "WrongSeed")
      .withArgs(hash, life.batch.seedCommitment);
  });

  it("refuses the seed of another batch of the job", async () => {
    const { d, life } = await load();
    const second = await postBatch(d);
    await second.compute([d.lying, 10]);
    await second.mineEntropy();
    await expect(life.as(d.requester).reveal(life.terms, second.batch, life.seed)).to.be.revertedWithCustomError(
      d.market,
      "WrongSeed",
    );
  });

  it("refuses a second time", async () => {
    const { d, life } = await load();
    await life.mineEntropy();
    await life.reveal();
    await expect(life.reveal()).to.be.revertedWithCustomError(d.market, "AlreadyRevealed").withArgs(life.id);
  });

  it("is possible until the reveal window ends", async () => {
    const { d, life } = await load();
    await life.mineEntropy();
    await expectUntil(d.market, await life.revealDeadline(), () => life.reveal());
    expect((await life.state()).revealedAt).to.equal(await now());
  });

  it("may be relayed by anybody who has the seed", async () => {
    const { d, life } = await load();
    const entropy = await life.mineEntropy();
    await expect(life.reveal(d.stranger)).to.emit(d.market, "Revealed").withArgs(life.id, life.seed, entropy);
    expect(await d.market.entropyOf(life.id)).to.equal(entropy);
  });

  it("uses the captured hash long after the chain has forgotten it", async () => {
    const { d, life, entropyBlock } = await load();
    const entropy = await life.mineEntropy();
    await d.market.capture(life.id);
    await networkHelpers.mineUpTo(entropyBlock + 600n);
    await expect(life.reveal()).to.emit(d.market, "Revealed").withArgs(life.id, life.seed, entropy);
  });

  it("is impossible once the entropy is lost", async () => {
    const { d, life, entropyBlock } = await load();
    await networkHelpers.mineUpTo(entropyBlock + 256n);
    await expect(life.reveal()).to.be.revertedWithCustomError(d.market, "EntropyLost").withArgs(entropyBlock);
  });

  it("depends on the batch, the seed and the block", async () => {
    const { life, entropyBlock } = await load();
    const entropy = await life.mineEntropy();
    const { hash } = (await ethers.provider.getBlock(Number(entropyBlock)))!;
    expect(entropy).to.equal(entropyOf(life.seed, hash!, life.id));
    expect(entropy).to.not.equal(entropyOf(life.seed, hash!, keccakOf("another")));
  });
});

describe("Market: drawnFor", () => {
  it("refuses before the reveal", async () => {
    const { d, life } = await load();
    await expect(life.drawn()).to.be.revertedWithCustomError(d.market, "NotRevealed").withArgs(life.id);
  });

  it("never draws the primary or an excluded node, nor one node twice", async () => {
    const { d } = await load();
    const terms = termsOf(d, {
      adaptive: false,
      quorum: 5n,
      slashAmount: 16_000n,
      excluded: [d.lying.address, d.silent.address],
    });
    for (let i = 0; i < 5; i += 1) {
      const life = await postBatch(d, { terms });
      await life.untilRevealed([d.honest, 10]);
      const drawn = (await life.drawn()).map((node) => node.address);
      expect(new Set(drawn).size).to.equal(4);
      for (const never of [d.honest, d.lying, d.silent]) expect(drawn).to.not.include(never.address);
    }
  });

  it("has nobody for a round whose entropy is not there yet", async () => {
    const { d, life } = await load();
    await life.mineEntropy();
    await life.reveal();
    await life.answer();
    await life.escalate();
    expect(await life.drawn(0, 1)).to.deep.equal([]);
    await life.mineRound();
    expect(await life.drawn(0, 1)).to.have.length(1);
    expect(d.nodes).to.have.length(12);
  });
});

describe("Sampling over many batches", () => {
  it("samples a single task as often as the rate says, and nobody can tell before", async () => {
    const batch = keccakOf("batch");
    let sampled = 0;
    const entropies = Array.from({ length: 20_000 }, (_, i) => toBeHex(BigInt(keccakOf(`entropy ${i}`)), 32));
    for (const entropy of entropies)
      sampled += sampledTasks(entropyOf(keccakOf("s"), entropy, batch), 0, 0, 1, 30_000n).length;
    // 600 expected, standard deviation 24; the entropies are fixed.
    expect(sampled).to.be.within(500, 700);
  });
});
