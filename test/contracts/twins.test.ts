import { expect } from "chai";
import { hexlify, keccak256, toBeHex, toUtf8Bytes, ZeroAddress, ZeroHash } from "ethers";
import { network } from "hardhat";

import { MAX_AMOUNT } from "#sdk/amount.ts";
import { batchNonce, commit, leaf, seedCommitment, taskDigest, verifyOpening } from "#sdk/commitment.ts";
import { canDraw, draw, drawPanel, FOREVER, type Slot } from "#sdk/draw.ts";
import { elementAt, placeOf } from "#sdk/permutation.ts";
import { minimumSlash, quote } from "#sdk/pricing.ts";
import { REWARD_FUNCTIONS } from "#sdk/request-terms.ts";
import { MAX_SCORE, splitReward, type RewardTerms } from "#sdk/rewards.ts";
import {
  drawKey,
  entropy,
  isSampled,
  maxSampled,
  offset,
  sampledCount,
  sampledTask,
  sampledTasks,
  taskKey,
} from "#sdk/sampling.ts";
import {
  batchIdOf,
  classIdOf,
  encodeTerms,
  jobIdOf,
  type Batch,
  type HostClass,
  type Parameters,
  type Terms,
} from "#sdk/terms.ts";
import { code } from "../support/error-code.ts";

/** Random vectors that are the same in every run. */
function stream(name: string) {
  let counter = 0;
  const bytes32 = (): string => keccak256(toUtf8Bytes(`${name}:${counter++}`));
  const below = (n: number): number => Number(BigInt(bytes32()) % BigInt(n));
  /** Small numbers as often as large ones, where the corners are. */
  const upTo = (n: number): number => 1 + below(Math.min(n, 2 ** below(1 + Math.ceil(Math.log2(n)))));
  const address = (): string => `0x${bytes32().slice(26)}`;
  return { bytes32, below, upTo, address };
}

const MAX = 2 ** 24 - 1;
const MILLION = 1_000_000;

const parameters: Parameters = {
  minWindow: 1,
  maxWindow: 100,
  finalDepth: 2,
  drawDelay: 10,
  bondFixed: 10n ** 18n,
  bondShare: 50_000,
  challengeBond: 5n * 10n ** 18n,
};

const terms: Terms = {
  requester: "0x00000000000000000000000000000000000000a1",
  delegate: ZeroAddress,
  mode: "sampled",
  adaptive: true,
  fullSlash: true,
  quorum: 3,
  rate: 30_000,
  guess: 0,
  maxShare: MILLION,
  minSlice: 1,
  price: 10n ** 15n,
  verifierPrice: 2n * 10n ** 15n,
  slashAmount: 10n ** 20n,
  class: keccak256("0x01"),
  spec: keccak256("0x02"),
  encryptionKey: `0x02${"11".repeat(32)}`,
  windows: { claim: 10, submit: 11, reveal: 12, check: 13, judge: 14, challenge: 15 },
  allowed: [],
  excluded: [],
};

describe("the SDK's twins of the contracts", function () {
  this.timeout(300_000);

  async function deployHarness() {
    const { ethers } = await network.create();
    const harness = await ethers.deployContract("TwinHarness");
    const { chainId } = await ethers.provider.getNetwork();
    return { ethers, harness, chainId };
  }

  describe("permutation", () => {
    it("agrees on 4,000 random places, both ways", async () => {
      const { harness } = await deployHarness();
      const random = stream("permutation");
      for (let round = 0; round < 20; ++round) {
        const vectors = Array.from({ length: 200 }, () => {
          const n = random.upTo(MAX + 1);
          return { key: random.bytes32(), index: random.below(n), n };
        });
        const [elements, places] = await harness.permute.staticCall(vectors, { gasLimit: 2n ** 40n });
        for (const [i, { key, index, n }] of vectors.entries()) {
          expect(elementAt(key, index, n), `${key} ${index} ${n}`).to.equal(Number(elements[i]));
          expect(placeOf(key, index, n), `${key} ${index} ${n}`).to.equal(Number(places[i]));
        }
      }
    });

    it("gives every element once", () => {
      const random = stream("bijection");
      for (const n of [1, 2, 3, 4, 5, 9, 10, 99, 100, 101, 1000]) {
        const key = random.bytes32();
        const order = Array.from({ length: n }, (_, place) => elementAt(key, place, n));
        expect(new Set(order).size).to.equal(n);
        expect(order.map((element) => placeOf(key, element, n))).to.deep.equal([...order.keys()]);
      }
    });
  });

  describe("sampling", () => {
    it("agrees on 2,000 random slices", async () => {
      const { harness } = await deployHarness();
      const random = stream("sampling");
      for (let round = 0; round < 20; ++round) {
        const vectors = Array.from({ length: 100 }, () => {
          const count = random.upTo(MAX);
          const first = random.below(MAX - count + 1);
          return {
            seed: random.bytes32(),
            blockHash: random.bytes32(),
            batch: random.bytes32(),
            assignment: random.below(2 ** 16),
            first,
            count,
            rate: [0, 1, 30_000, random.below(MILLION), MILLION][random.below(5)]!,
            task: Math.max(0, first - 1) + random.below(count + 2),
            round: random.below(5),
          };
        });
        const answers = await harness.sample.staticCall(vectors, { gasLimit: 2n ** 40n });
        for (const [i, v] of vectors.entries()) {
          const answer = answers[i]!;
          const e = entropy(v.seed, v.blockHash, v.batch);
          const slice = { assignment: v.assignment, first: v.first, count: v.count };
          expect(e).to.equal(answer.entropy);
          expect(offset(e)).to.equal(Number(answer.offset));
          expect(sampledCount(e, slice, v.rate)).to.equal(Number(answer.sampledCount));
          expect(maxSampled(v.count, v.rate)).to.equal(Number(answer.maxSampled));
          expect(answer.tasks.map((_, place) => sampledTask(e, slice, place))).to.deep.equal(answer.tasks.map(Number));
          if (v.task <= MAX) expect(isSampled(e, slice, v.rate, v.task)).to.equal(answer.isSampled);
          expect(taskKey(e, v.assignment)).to.equal(answer.taskKey);
          const blockHash = v.round === 0 ? undefined : v.blockHash;
          expect(drawKey({ entropy: e, blockHash, assignment: v.assignment, round: v.round })).to.equal(answer.drawKey);
        }
      }
    });

    it("lists exactly the tasks that count as sampled", () => {
      const random = stream("list");
      for (let i = 0; i < 50; ++i) {
        const slice = { assignment: random.below(100), first: random.below(1000), count: random.upTo(60) };
        const [e, rate] = [random.bytes32(), random.below(MILLION + 1)];
        const all = Array.from({ length: slice.count }, (_, task) => slice.first + task);
        const listed = sampledTasks(e, slice, rate).sort((a, b) => a - b);
        expect(listed).to.deep.equal(all.filter((task) => isSampled(e, slice, rate, task)));
      }
    });
  });

  describe("commitment", () => {
    it("agrees on 300 random leaves, digests, nonces and seeds", async () => {
      const { harness, chainId } = await deployHarness();
      const random = stream("commitment");
      for (let i = 0; i < 300; ++i) {
        const [market, batchId, member] = [random.address(), random.bytes32(), random.address()];
        const sequence = BigInt(random.bytes32()) >> 192n;
        const opening = { task: random.below(MAX), digest: random.bytes32(), salt: random.bytes32() };
        const answer = await harness.commitment(market, batchId, member, sequence, opening);
        const context = { chainId, market, batchId, member };
        expect(batchNonce(context)).to.equal(answer.nonce);
        expect(taskDigest(answer.nonce, opening.task, opening.digest)).to.equal(answer.digest);
        expect(leaf(opening, context)).to.equal(answer.leaf);
        expect(seedCommitment({ chainId, market, jobId: batchId, sequence }, opening.salt)).to.equal(answer.seed);
      }
    });

    it("makes proofs that the contract takes, and neither takes another's", async () => {
      const { harness, chainId } = await deployHarness();
      const random = stream("proofs");
      for (const count of [1, 2, 3, 7, 20]) {
        const context = { chainId, market: random.address(), batchId: random.bytes32(), member: random.address() };
        const openings = Array.from({ length: count }, (_, i) => ({
          task: i * 3,
          digest: random.bytes32(),
          salt: random.bytes32(),
        }));
        const { root, proof } = commit(openings, context);
        for (const opening of openings) {
          const path = proof(opening.task);
          const verifies = (member: string) =>
            harness.verifies(root, context.market, context.batchId, member, opening, path);
          expect(await verifies(context.member)).to.equal(true);
          const other = random.address();
          expect(await verifies(other)).to.equal(false);
          expect(verifyOpening(root, opening, path, { ...context, member: other })).to.equal(false);
        }
      }
    });
  });

  describe("pricing", () => {
    it("agrees on 300 random quotes", async () => {
      const { harness } = await deployHarness();
      const random = stream("quotes");
      const amount = (): bigint => BigInt(random.bytes32()) >> BigInt(256 - random.upTo(55));
      for (let i = 0; i < 300; ++i) {
        const price = amount() + 1n;
        const offer: Terms = {
          ...terms,
          mode: (["trusted", "sampled", "replicated"] as const)[random.below(3)]!,
          price,
          verifierPrice: price + amount(),
          rate: random.below(MILLION + 1),
          quorum: 3 + 2 * random.below(7),
        };
        const fixed = { ...parameters, bondFixed: amount(), bondShare: random.below(MILLION + 1) };
        const count = random.upTo(MAX);
        const [escrow, bond] = await harness.quote(encodeTerms(offer), price, count, fixed);
        expect(quote(offer, count, fixed)).to.deep.equal({ escrow, bond });
      }
    });

    it("finds the least slash the contract takes", async () => {
      const { harness } = await deployHarness();
      const random = stream("slash");
      const host = { runtime: 1, fullSlash: true, slotStake: 2n ** 80n - 1n, priceFloor: 1n, slots: 100, nodes: 100 };
      for (let i = 0; i < 100; ++i) {
        const price = 1n + (BigInt(random.bytes32()) >> 206n);
        const offer: Terms = {
          ...terms,
          price,
          verifierPrice: price + BigInt(random.below(MILLION)),
          rate: 10_000 + random.below(MILLION - 10_000),
          guess: random.below(900_000),
          quorum: 3 + 2 * random.below(7),
        };
        const slashAmount = minimumSlash({ ...offer, challengeBond: parameters.challengeBond });
        await harness.checkTerms(encodeTerms({ ...offer, slashAmount }), host, parameters);
        let refused = false;
        await harness
          .checkTerms(encodeTerms({ ...offer, slashAmount: slashAmount - 1n }), host, parameters)
          .catch(() => (refused = true));
        expect(refused, "one base unit less").to.equal(true);
      }
    });
  });

  async function deployMarket() {
    const { ethers, networkHelpers } = await network.create();
    const [deployer] = await ethers.getSigners();
    const token = await ethers.deployContract("SuretyToken", [deployer!.address, 10n ** 30n]);
    const vault = await ethers.deployContract("Vault", [token]);
    const registry = await ethers.deployContract("Registry", [vault, 1n, 5, 2_400]);
    const verdicts = await ethers.deployContract("MarketVerdicts", [vault, registry, parameters]);
    const juries = await ethers.deployContract("MarketJuries", [vault, registry, parameters, verdicts]);
    const disputes = await ethers.deployContract("MarketDisputes", [vault, registry, parameters, juries]);
    const panels = await ethers.deployContract("MarketPanels", [vault, registry, parameters, disputes]);
    const market = await ethers.deployContract("Market", [vault, registry, parameters, panels]);
    const { chainId } = await ethers.provider.getNetwork();
    return { ethers, networkHelpers, deployer: deployer!, token, vault, registry, market, chainId };
  }

  describe("rewards", () => {
    it("agree on 300 random rankings, corners included, and give every unit once", async () => {
      const { harness } = await deployHarness();
      const random = stream("rewards");
      const upTo = (most: bigint): bigint =>
        BigInt(random.bytes32()) % (2n ** BigInt(1 + random.below(128)) % most || most);
      const vectors = Array.from({ length: 300 }, (_, i) => {
        const count = i % 30 === 0 ? [0, 1, 255][random.below(3)]! : random.below(12);
        const pot = i % 7 === 0 ? MAX_AMOUNT : upTo(MAX_AMOUNT) + 1n;
        const scores = Array.from({ length: count }, () =>
          i % 11 === 0 ? 0n : i % 13 === 0 ? MAX_SCORE : upTo(MAX_SCORE),
        );
        scores.sort((a, b) => (a > b ? -1 : a < b ? 1 : 0));
        const list: bigint[] = [];
        for (let left = pot; list.length < random.below(12) && left > 0n; left -= list.at(-1)!) list.push(left / 3n);
        return { rewardFunction: 1 + (i % 5), pot, list, scores };
      });
      const answers = await harness.reward(vectors);
      for (const [i, { rewardFunction, ...vector }] of vectors.entries()) {
        const name = REWARD_FUNCTIONS[rewardFunction]!;
        const amounts = splitReward({ rewardFunction: name, ...vector }, vector.scores);
        expect(amounts, `${name} ${i}`).to.deep.equal([...answers[i]!]);
        const sum = amounts.reduce((total, amount) => total + amount, 0n);
        if (name === "list") expect(sum <= vector.pot).to.equal(true);
        else expect(sum, `${name} ${i}`).to.equal(amounts.length === 0 ? 0n : vector.pot);
      }
    });

    it("refuses what the contracts would", () => {
      const cases: [RewardTerms, bigint[]][] = [
        [{ rewardFunction: "even", pot: -1n }, [1n]],
        [{ rewardFunction: "even", pot: MAX_AMOUNT + 1n }, [1n]],
        [{ rewardFunction: "even", pot: 1n }, Array<bigint>(256).fill(1n)],
        [{ rewardFunction: "by-score", pot: 1n }, [MAX_SCORE + 1n]],
        [{ rewardFunction: "list", pot: 5n, list: [3n, 3n] }, [1n]],
        [{ rewardFunction: "list", pot: 5n, list: [-1n] }, [1n]],
      ];
      for (const [terms, scores] of cases) expect(code(() => splitReward(terms, scores))).to.equal("REWARD_INVALID");
    });
  });

  describe("ids", () => {
    it("agree with the market's and the registry's", async () => {
      const { market, registry, chainId } = await deployMarket();
      const context = { chainId, market: await market.getAddress() };
      const random = stream("ids");
      for (let i = 0; i < 50; ++i) {
        const offer: Terms = {
          ...terms,
          mode: (["trusted", "sampled", "replicated"] as const)[random.below(3)]!,
          price: BigInt(random.bytes32()) >> 160n,
          spec: random.bytes32(),
          encryptionKey: hexlify(`0x03${random.bytes32().slice(2)}`),
          allowed: Array.from({ length: random.below(4) }, random.address),
          excluded: Array.from({ length: random.below(4) }, random.address),
        };
        const job = await market.jobId(encodeTerms(offer));
        expect(jobIdOf(context, offer)).to.equal(job);
        const batch: Batch = {
          job,
          sequence: BigInt(random.below(100)),
          count: random.upTo(MAX),
          slots: random.below(MAX),
          manifest: random.bytes32(),
          seedCommitment: random.bytes32(),
        };
        expect(batchIdOf(context, batch)).to.equal(await market.batchId(batch));
      }
      const host: HostClass = {
        market: context.market,
        runtime: "wasm",
        fullSlash: true,
        slotStake: 10n,
        priceFloor: 1n,
        resources: ZeroHash,
      };
      expect(classIdOf(host)).to.equal(await registry.createClass.staticCall({ ...host, runtime: 1 }));
    });
  });

  describe("draw", () => {
    it("agrees with the registry on pools with joins, leaves and holes", async () => {
      const { ethers, networkHelpers, deployer, token, vault, registry, market } = await deployMarket();
      const random = stream("draw");
      const [marketAddress, registryAddress] = [await market.getAddress(), await registry.getAddress()];
      const host = {
        market: marketAddress,
        runtime: 1,
        fullSlash: true,
        slotStake: 10n,
        priceFloor: 1n,
        resources: ZeroHash,
      };
      const classId = await registry.createClass.staticCall(host);
      await registry.createClass(host);
      await token.approve(vault, 2n ** 200n);

      const nodes = (await ethers.getSigners()).slice(1, 15);
      for (const node of nodes) {
        await vault.connect(deployer).deposit(registryAddress, node.address, 10_000n);
        await registry.connect(node).stake(marketAddress, 10_000n);
      }

      const readPool = async (): Promise<Slot[]> => {
        const { slots } = await registry.classState(marketAddress, classId);
        const pool: Slot[] = [];
        for (let place = 0; place < Number(slots); ++place) {
          const slot = await registry.slotOf(marketAddress, classId, place);
          pool.push({ node: slot.node, activeFrom: Number(slot.activeFrom), leftAt: Number(slot.leftAt) });
        }
        return pool;
      };

      let holesSeen = 0;
      for (let step = 0; step < 80; ++step) {
        const pool = await readPool();
        const place = pool.length === 0 ? 0 : random.below(pool.length);
        const slot = pool[place];
        const holder = nodes.find((node) => node.address === slot?.node);
        const hole = pool.findIndex((each) => each.node === ZeroAddress);
        holesSeen += hole >= 0 ? 1 : 0;
        const move = random.below(5);
        if (slot && holder && slot.leftAt === FOREVER && move < 2) {
          await registry.connect(holder).leavePool(marketAddress, classId, place);
        } else if (slot && slot.node !== ZeroAddress && slot.leftAt !== FOREVER) {
          // The clock goes on only now and then, so that slots that left stay in the pool for a while.
          if (move === 2) await networkHelpers.time.increase(2_400);
          const now = await networkHelpers.time.latest();
          if (now >= slot.leftAt + 2_400) await registry.freeSlot(marketAddress, classId, place);
        } else {
          const free = hole >= 0 && move === 3 ? hole : pool.length;
          await registry.connect(nodes[random.below(nodes.length)]!).joinPool(marketAddress, classId, free);
        }

        const current = await readPool();
        const now = await networkHelpers.time.latest();
        for (let i = 0; i < 4; ++i) {
          const slots = random.below(current.length + 1);
          const pick = (most: number): string[] =>
            Array.from({ length: random.below(most) }, () => nodes[random.below(nodes.length)]!.address);
          const request = {
            key: random.bytes32(),
            sealedAt: now - random.below(i === 0 ? 2_500 : 12),
            slots,
            skip: pick(4),
            excluded: pick(4),
            count: random.below(8),
          };
          const { key, sealedAt, skip, excluded, count } = request;
          const drawn = await registry.draw(marketAddress, classId, key, sealedAt, slots, skip, excluded, count);
          expect(draw(current, request)).to.deep.equal([...drawn]);
        }
      }
      expect(holesSeen, "pools with holes").to.be.greaterThan(5);
    });

    it("looks at no more places than the registry", async () => {
      const { registry, market, networkHelpers } = await deployMarket();
      const random = stream("places");
      const marketAddress = await market.getAddress();
      // Only the places count for the bound, not what is in them: with an empty pool nobody is drawn either way.
      const node = random.address();
      const pool = new Map([[4_999, { node, activeFrom: 0, leftAt: FOREVER }]]);
      const now = await networkHelpers.time.latest();
      let found = 0;
      for (let i = 0; i < 80; ++i) {
        const key = random.bytes32();
        const request = { key, sealedAt: now, slots: 5_000, skip: [], excluded: [], count: 1 };
        const drawn = draw(pool, request).length;
        found += drawn;
        expect(drawn === 1).to.equal(placeOf(key, 4_999, 5_000) < 256);
      }
      expect(found).to.be.within(1, 40);
      expect(await registry.draw(marketAddress, ZeroHash, ZeroHash, now, 5_000, [], [], 1)).to.deep.equal([]);
    });

    it("fills a panel round by round without repeating anybody, and knows when nobody is left", () => {
      const random = stream("panel");
      const nodes = Array.from({ length: 9 }, (_, i) => `0x${toBeHex(i + 1, 20).slice(2)}`);
      const pool = nodes.map((node) => ({ node, activeFrom: 0, leftAt: FOREVER }));
      const request = {
        entropy: random.bytes32(),
        assignment: 3,
        primary: nodes[0]!,
        sealedAt: 10,
        slots: pool.length,
        excluded: [nodes[1]!],
        rounds: [{ seats: 2 }, { seats: 4, blockHash: random.bytes32() }],
      };
      const panel = drawPanel(pool, request);
      expect(panel.drawn.map((round) => round.length)).to.deep.equal([2, 4]);
      expect(new Set(panel.members).size).to.equal(7);
      expect(panel.members).not.to.include(nodes[1]);
      expect(canDraw(pool, request)).to.equal(true);
      const lost = drawPanel(pool, { ...request, rounds: [...request.rounds, { seats: 8 }] });
      expect(lost.drawn[2]).to.deep.equal([]);
      const last = [...request.rounds, { seats: 8, blockHash: random.bytes32() }];
      expect(drawPanel(pool, { ...request, rounds: last }).drawn[2]).to.have.length(1);
      expect(canDraw(pool, { ...request, rounds: last })).to.equal(false);
    });
  });
});
