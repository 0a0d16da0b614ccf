import { expect } from "chai";
import { keccak256, ZeroAddress } from "ethers";
import { seedCommitment } from "#sdk/commitment.ts";
import { canDraw, draw, drawPanel, FOREVER, type Slot } from "#sdk/draw.ts";
import { elementAt } from "#sdk/permutation.ts";
import { drawKey, entropy, isSampled, maxSampled, offset, sampledCount, sampledTasks, taskKey } from "#sdk/sampling.ts";
import { batchIdOf, jobIdOf } from "#sdk/terms.ts";
import { MARKET, nodeAt, TERMS } from "../support/market-history.ts";
import { Random } from "../support/random.ts";

/*
 * Whether sampling is what it says. All numbers come from generators with fixed seeds, so each run is the same. With
 * fresh seeds, a bound here would be crossed by chance once in 500 million times for each of the few thousand checked:
 * what crosses it is a fault, not bad luck.
 */
const SIGMAS = 6;

/** Of `n` independent events with a chance of `p`, `count` happened. */
function expectBinomial(count: number, n: number, p: number, what: string): void {
  const mean = n * p;
  const most = SIGMAS * Math.sqrt(n * p * (1 - p)) + 1;
  expect(count, `${what}: of ${n} with chance ${p}`).to.be.within(mean - most, mean + most);
}

/** How often each of several outcomes came, and how often it should have. */
function expectDistribution(counts: readonly number[], expected: readonly number[], what: string): void {
  const degrees = counts.length - 1;
  const chiSquare = counts.reduce((sum, count, index) => sum + (count - expected[index]!) ** 2 / expected[index]!, 0);
  // Wilson and Hilferty's approximation of the quantile.
  const most = degrees * (1 - 2 / (9 * degrees) + SIGMAS * Math.sqrt(2 / (9 * degrees))) ** 3;
  expect(chiSquare, `${what}: chi-square of ${degrees} degrees of freedom`).to.be.below(most);
}

function expectUniform(counts: readonly number[], what: string): void {
  const total = counts.reduce((sum, count) => sum + count, 0);
  expectDistribution(
    counts,
    counts.map(() => total / counts.length),
    what,
  );
}

/** A fresh batch's entropy, from its seed, its block's hash and its id. */
function anyEntropy(random: Random): string {
  return entropy(random.bytes32(), random.bytes32(), random.bytes32());
}

/** Cuts `count` tasks into slices. */
function cut(count: number, sizes: (left: number) => number): { assignment: number; first: number; count: number }[] {
  const slices = [];
  for (let first = 0, assignment = 0; first < count; ++assignment) {
    const size = Math.min(sizes(count - first), count - first);
    slices.push({ assignment, first, count: size });
    first += size;
  }
  return slices;
}

describe("the bounds of these tests", () => {
  it("notice a coin that is off by two in a hundred, and dice with one heavy side", () => {
    const random = new Random(1);
    const heads = Array.from({ length: 40_000 }, () => random.chance(0.52)).filter(Boolean).length;
    expect(() => expectBinomial(heads, 40_000, 0.5, "heads")).to.throw();
    const counts = Array.from({ length: 20 }, () => 0);
    for (let draw = 0; draw < 10_000; ++draw) counts[Math.min(random.below(21), 19)]! += 1;
    expect(() => expectUniform(counts, "sides")).to.throw();
  });

  it("pass fair coins and dice", () => {
    const random = new Random(2);
    expectBinomial(
      Array.from({ length: 40_000 }, () => random.chance(0.5)).filter(Boolean).length,
      40_000,
      0.5,
      "heads",
    );
    const counts = Array.from({ length: 20 }, () => 0);
    for (let draw = 0; draw < 10_000; ++draw) counts[random.below(20)]! += 1;
    expectUniform(counts, "sides");
  });
});

describe("sampling", function () {
  this.timeout(60_000);

  describe("at the rate", () => {
    it("begins its grid anywhere in a task with the same chance", () => {
      const random = new Random(10);
      const [coarse, fine] = [new Array<number>(100).fill(0), new Array<number>(100).fill(0)];
      for (let sample = 0; sample < 40_000; ++sample) {
        const u = offset(anyEntropy(random));
        coarse[Math.floor(u / 10_000)]! += 1;
        fine[u % 100]! += 1;
      }
      expectUniform(coarse, "the grid's place");
      expectUniform(fine, "its last digits");
    });

    it("checks single-task batches as often as it says", () => {
      for (const rate of [10_000, 30_000, 123_457, 500_000, 970_000]) {
        const random = new Random(rate);
        let checked = 0;
        for (let batch = 0; batch < 10_000; ++batch)
          checked += sampledCount(anyEntropy(random), { first: 0, count: 1 }, rate);
        expectBinomial(checked, 10_000, rate / 1e6, `single tasks at ${rate}`);
      }
    });

    it("checks single tasks independently of the one before", () => {
      const random = new Random(12);
      const both = [0, 0, 0, 0];
      let before = 0;
      for (let batch = 0; batch < 40_000; ++batch) {
        const now = sampledCount(anyEntropy(random), { first: 0, count: 1 }, 300_000);
        both[2 * before + now]! += 1;
        before = now;
      }
      expectDistribution(
        both,
        [0.49, 0.21, 0.21, 0.09].map((chance) => chance * 40_000),
        "one and the next",
      );
    });

    it("checks every task of a batch as often as it says, however the batch is cut", () => {
      const cuts: [string, number, (left: number) => number][] = [
        ["whole", 40, () => 40],
        ["single tasks", 40, () => 1],
        ["by seven", 40, () => 7],
        ["growing", 45, (left) => 46 - left],
        ["a great and a small one", 33, () => 32],
      ];
      for (const [name, count, sizes] of cuts) {
        for (const rate of [30_000, 250_000]) {
          const random = new Random(13);
          const checked = new Array<number>(count).fill(0);
          const samples = 900;
          for (let sample = 0; sample < samples; ++sample) {
            const chosen = anyEntropy(random);
            for (const slice of cut(count, sizes))
              for (const task of sampledTasks(chosen, slice, rate)) checked[task]! += 1;
          }
          checked.forEach((times, task) =>
            expectBinomial(times, samples, rate / 1e6, `task ${task} of a batch cut ${name}`),
          );
        }
      }
    });

    it("checks of a batch N·rate tasks, rounded down or up, and never more than were paid for", () => {
      const random = new Random(14);
      for (let sample = 0; sample < 5_000; ++sample) {
        const chosen = anyEntropy(random);
        const count = 1 + random.below(5_000);
        const rate = random.chance(0.1) ? 1_000_000 : 1 + random.below(1_000_000);
        const total = cut(count, (left) => 1 + random.below(random.chance(0.5) ? 10 : left)).reduce(
          (sum, slice) => sum + sampledCount(chosen, slice, rate),
          0,
        );
        expect(total).to.be.within(Math.floor((count * rate) / 1e6), Math.ceil((count * rate) / 1e6));
        expect(total).to.be.at.most(maxSampled(count, rate));
        expect(total).to.equal(sampledCount(chosen, { first: 0, count }, rate));
      }
    });

    it("rounds up as often as the fraction says", () => {
      const random = new Random(15);
      // 70 tasks at 3 %: two, and a third one in ten times.
      let up = 0;
      for (let sample = 0; sample < 20_000; ++sample)
        up += sampledCount(anyEntropy(random), { first: 0, count: 70 }, 30_000) - 2;
      expectBinomial(up, 20_000, 0.1, "a third task");
    });

    it("checks all at the rate of one", () => {
      const random = new Random(16);
      for (let count = 1; count <= 60; ++count) {
        const tasks = sampledTasks(anyEntropy(random), { assignment: 3, first: 5, count }, 1_000_000);
        expect(tasks.toSorted((a, b) => a - b)).to.deep.equal(Array.from({ length: count }, (_, place) => 5 + place));
      }
    });
  });

  describe("of positions", () => {
    it("prefers none, in slices of 1 to 200 tasks", () => {
      const random = new Random(20);
      for (let count = 1; count <= 200; ++count) {
        const counts = new Array<number>(count).fill(0);
        const draws = Math.max(60, 4 * count);
        for (let sample = 0; sample < draws; ++sample)
          counts[elementAt(taskKey(random.bytes32(), sample), 0, count)]! += 1;
        if (count > 1) expectUniform(counts, `first of ${count}`);
        else expect(counts).to.deep.equal([draws]);
      }
    });

    it("prefers no pair: the second place depends on the first only by not being it", () => {
      for (const count of [3, 8, 10]) {
        const random = new Random(21);
        const counts = new Array<number>(count * count).fill(0);
        for (let sample = 0; sample < 5_000; ++sample) {
          const key = random.bytes32();
          counts[elementAt(key, 0, count) * count + elementAt(key, 1, count)]! += 1;
        }
        const pairs = counts.filter((_, index) => Math.floor(index / count) !== index % count);
        expect(counts.reduce((sum, times) => sum + times, 0)).to.equal(pairs.reduce((sum, times) => sum + times, 0));
        expectUniform(pairs, `pairs of ${count}`);
      }
    });

    it("is another in another assignment of the same batch, and says so of every task", () => {
      const random = new Random(22);
      const [count, rate] = [12, 250_000];
      const joint = new Array<number>(count * count).fill(0);
      for (let sample = 0; sample < 5_000; ++sample) {
        const chosen = anyEntropy(random);
        const [one] = sampledTasks(chosen, { assignment: 0, first: 0, count }, rate);
        const [two] = sampledTasks(chosen, { assignment: 1, first: count, count }, rate);
        joint[one! * count + two! - count]! += 1;
        if (sample >= 60) continue;
        const tasks = new Set(sampledTasks(chosen, { assignment: 0, first: 0, count }, rate));
        for (let task = 0; task <= count; ++task) {
          expect(isSampled(chosen, { assignment: 0, first: 0, count }, rate, task)).to.equal(tasks.has(task));
        }
      }
      expectUniform(joint, "positions in two assignments");
    });
  });

  describe("of verifiers", () => {
    const [A, B, C, D, E, F, G, left, young] = Array.from({ length: 9 }, (_, index) => nodeAt(index)) as [
      string,
      string,
      string,
      string,
      string,
      string,
      string,
      string,
      string,
    ];
    const slot = (node: string, changes: Partial<Slot> = {}): Slot => ({
      node,
      activeFrom: 0,
      leftAt: FOREVER,
      ...changes,
    });
    /** Holes, several slots a node, one that left before the seal, one that left after, one not active yet. */
    const pool: (Slot | undefined)[] = [
      slot(A),
      slot(B),
      undefined,
      slot(A),
      slot(left, { leftAt: 1_000 }),
      slot(C),
      slot(ZeroAddress),
      slot(young, { activeFrom: 1_001 }),
      slot(D),
      slot(B),
      slot(A),
      slot(E, { leftAt: 1_001 }),
      slot(F),
      slot(G),
    ];
    const eligible = { sealedAt: 1_000, slots: pool.length };
    /** Slots of those that can be drawn, when G is the primary and F excluded. */
    const weights = new Map([
      [A, 3],
      [B, 2],
      [C, 1],
      [D, 1],
      [E, 1],
    ]);
    const all = 8;

    it("draws each slot as often as any other, and nobody that it must not", () => {
      const random = new Random(30);
      const counts = new Map<string, number>();
      const pairs = new Map<string, number>();
      const samples = 6_000;
      for (let sample = 0; sample < samples; ++sample) {
        const key = drawKey({ entropy: random.bytes32(), assignment: 0, round: 0 });
        const [one, two] = draw(pool, { ...eligible, key, skip: [G], excluded: [F], count: 2 }) as [string, string];
        counts.set(one, (counts.get(one) ?? 0) + 1);
        pairs.set(`${one} ${two}`, (pairs.get(`${one} ${two}`) ?? 0) + 1);
      }
      const nodes = [...weights.keys()];
      expect([...counts.keys()]).to.have.members(nodes);
      expectDistribution(
        nodes.map((node) => counts.get(node)!),
        nodes.map((node) => (samples * weights.get(node)!) / all),
        "first seats",
      );
      const wanted = nodes.flatMap((one) =>
        nodes
          .filter((two) => two !== one)
          .map((two) => {
            const chance = (weights.get(one)! / all) * (weights.get(two)! / (all - weights.get(one)!));
            return [`${one} ${two}`, samples * chance] as const;
          }),
      );
      expect([...pairs.keys()]).to.have.members(wanted.map(([pair]) => pair));
      expectDistribution(
        wanted.map(([pair]) => pairs.get(pair)!),
        wanted.map(([, times]) => times),
        "pairs of seats",
      );
    });

    it("draws evenly from pools of any size", () => {
      for (const size of [2, 3, 17, 64, 100]) {
        const random = new Random(size);
        const nodes = Array.from({ length: size }, (_, index) => nodeAt(index));
        const places = nodes.map((node) => slot(node));
        const counts = new Map(nodes.map((node) => [node, 0]));
        for (let sample = 0; sample < 40 * size; ++sample) {
          const [one] = draw(places, {
            key: random.bytes32(),
            sealedAt: 1,
            slots: size,
            skip: [],
            excluded: [],
            count: 1,
          }) as [string];
          counts.set(one, counts.get(one)! + 1);
        }
        expectUniform([...counts.values()], `a pool of ${size}`);
      }
    });

    it("draws for one assignment, one round and one batch independently of the others, and of what is sampled", () => {
      const nodes = Array.from({ length: 6 }, (_, index) => nodeAt(index));
      const places = nodes.map((node) => slot(node));
      const request = { sealedAt: 1, slots: 6, skip: [], excluded: [], count: 1 };
      const first = (key: string): number => nodes.indexOf(draw(places, { ...request, key })[0]!);
      const random = new Random(32);
      const joint = {
        assignments: new Array<number>(36).fill(0),
        rounds: new Array<number>(36).fill(0),
        tasks: new Array<number>(36).fill(0),
      };
      for (let sample = 0; sample < 3_000; ++sample) {
        const chosen = random.bytes32();
        const here = first(drawKey({ entropy: chosen, assignment: 0, round: 0 }));
        joint.assignments[6 * here + first(drawKey({ entropy: chosen, assignment: 1, round: 0 }))]! += 1;
        joint.rounds[
          6 * here + first(drawKey({ entropy: chosen, blockHash: random.bytes32(), assignment: 0, round: 1 }))
        ]! += 1;
        joint.tasks[6 * here + elementAt(taskKey(chosen, 0), 0, 6)]! += 1;
      }
      for (const [what, counts] of Object.entries(joint)) expectUniform(counts, `seats and ${what}`);
    });

    it("fills a panel without the primary and without repetition, until nobody is left", () => {
      const random = new Random(33);
      for (let sample = 0; sample < 120; ++sample) {
        const request = { ...eligible, entropy: random.bytes32(), assignment: sample, primary: G, excluded: [F] };
        const rounds = [{ seats: 2 }, { seats: 2, blockHash: random.bytes32() }];
        const { drawn } = drawPanel(pool, { ...request, rounds });
        expect(drawn.map((round) => round.length)).to.deep.equal([2, 2]);
        expect(new Set(drawn.flat()).size).to.equal(4);
        expect(canDraw(pool, { ...request, rounds })).to.equal(true);
        const over = [...rounds, { seats: 8, blockHash: random.bytes32() }];
        expect(drawPanel(pool, { ...request, rounds: over }).drawn.flat()).to.have.members([...weights.keys()]);
        expect(canDraw(pool, { ...request, rounds: over })).to.equal(false);
      }
    });
  });

  describe("before the reveal", () => {
    const SAMPLES = 8_000;
    const context = { chainId: 1n, market: MARKET };
    const jobId = jobIdOf(context, TERMS);

    /** What a node sees of a batch before it submits or right after, and what only the reveal decides. */
    interface Observation {
      fields: Record<string, string>;
      /** Whether it is checked, and by whom or where: 0 or 1. */
      labels: Record<string, number>;
      /** What would tell, for the control. */
      secret: string;
    }

    let observations: Observation[];

    before(() => {
      const random = new Random(40);
      const nodes = Array.from({ length: 16 }, (_, index) => nodeAt(index));
      const places: Slot[] = nodes.map((node) => ({ node, activeFrom: 0, leftAt: FOREVER }));
      let parentHash = random.bytes32();
      observations = Array.from({ length: SAMPLES }, (_, sequence) => {
        const seed = random.bytes32();
        const commitment = seedCommitment({ ...context, jobId, sequence: BigInt(sequence) }, seed);
        const manifest = random.bytes32();
        const batchId = batchIdOf(context, {
          job: jobId,
          sequence: BigInt(sequence),
          count: 64,
          slots: 16,
          manifest,
          seedCommitment: commitment,
        });
        const submitHash = keccak256(parentHash);
        const sealHash = keccak256(submitHash);
        const entropyHash = random.bytes32();
        parentHash = entropyHash;
        const chosen = entropy(seed, entropyHash, batchId);
        const [seat] = draw(places, {
          key: drawKey({ entropy: chosen, assignment: 0, round: 0 }),
          sealedAt: 1,
          slots: 16,
          skip: [],
          excluded: [],
          count: 1,
        });
        return {
          fields: {
            batchId,
            commitment,
            manifest,
            submitHash,
            sealHash,
            root: random.bytes32(),
            envelope: keccak256(random.bytes32()),
            hashOfCommitment: keccak256(commitment),
            // As if the commitment were the seed, or the last known block the one that decides.
            guessBySeed: entropy(commitment, sealHash, batchId),
            guessByHash: entropy(keccak256(commitment), submitHash, batchId),
          },
          labels: {
            checked: sampledCount(chosen, { first: 0, count: 1 }, 500_000),
            position: elementAt(taskKey(chosen, 0), 0, 64) % 2,
            verifier: nodes.indexOf(seat!) % 2,
          },
          secret: chosen,
        };
      });
    });

    const bitsOf = (hex: string): number[] =>
      [...hex.slice(2)].flatMap((digit) => [8, 4, 2, 1].map((bit) => (parseInt(digit, 16) & bit ? 1 : 0)));

    /** The best of all single bits of a field at telling a label on one half, and how often it is right on the other. */
    function bestBit(field: (observation: Observation) => string, label: (observation: Observation) => number): number {
      const half = SAMPLES / 2;
      const agreeing = new Array<number>(256).fill(0);
      for (const observation of observations.slice(0, half)) {
        const told = label(observation);
        bitsOf(field(observation)).forEach((bit, index) => {
          if (bit === told) agreeing[index]! += 1;
        });
      }
      const advantages = agreeing.map((times) => Math.abs(times - half / 2));
      const best = advantages.indexOf(Math.max(...advantages));
      const inverted = agreeing[best]! < half / 2 ? 1 : 0;
      return observations
        .slice(half)
        .filter((observation) => (bitsOf(field(observation))[best]! ^ inverted) === label(observation)).length;
    }

    it("nothing published tells whether a task is checked, which, or by whom", () => {
      for (const name of Object.keys(observations[0]!.fields)) {
        for (const label of Object.keys(observations[0]!.labels)) {
          const right = bestBit(
            ({ fields }) => fields[name]!,
            ({ labels }) => labels[label]!,
          );
          expectBinomial(right, SAMPLES / 2, 0.5, `${label} by the best bit of ${name}`);
        }
      }
    });

    it("though the same search finds the bit that does tell, once something tells", () => {
      // The grid's place in the entropy, with its first bit in a bit of a word: the reveal tells.
      const told = ({ secret }: Observation): string =>
        `0x${(offset(secret) >= 500_000 ? 4 : 0).toString(16)}${secret.slice(3)}`;
      expect(bestBit(told, ({ labels }) => labels.checked!)).to.equal(SAMPLES / 2);
      // A leak in one of five batches is enough to be noticed.
      const leaking = (observation: Observation): string =>
        parseInt(observation.secret.slice(-4), 16) % 5 === 0 ? told(observation) : observation.fields.root!;
      expect(() =>
        expectBinomial(
          bestBit(leaking, ({ labels }) => labels.checked!),
          SAMPLES / 2,
          0.5,
          "leak",
        ),
      ).to.throw();
    });

    it("a guess of the seed or of the block is right no more often than chance", () => {
      const count = (guess: (observation: Observation) => string): number =>
        observations.filter((one) => sampledCount(guess(one), { first: 0, count: 1 }, 500_000) === one.labels.checked)
          .length;
      for (const name of Object.keys(observations[0]!.fields)) {
        expectBinomial(
          count(({ fields }) => fields[name]!),
          SAMPLES,
          0.5,
          `by ${name} taken for the entropy`,
        );
      }
      expect(count(({ secret }) => secret)).to.equal(SAMPLES);
    });

    it("the seed alone changes everything, and so does the block's hash alone, and the batch", () => {
      const random = new Random(43);
      const nodes = Array.from({ length: 8 }, (_, index) => nodeAt(index));
      const places: Slot[] = nodes.map((node) => ({ node, activeFrom: 0, leftAt: FOREVER }));
      const outcome = (chosen: string): [number, number, string] => [
        sampledCount(chosen, { first: 0, count: 1 }, 500_000),
        elementAt(taskKey(chosen, 0), 0, 16),
        draw(places, {
          key: drawKey({ entropy: chosen, assignment: 0, round: 0 }),
          sealedAt: 1,
          slots: 8,
          skip: [],
          excluded: [],
          count: 1,
        })[0]!,
      ];
      /** Changes one bit. */
      const flipped = (word: string): string => {
        const at = 2 + random.below(64);
        return word.slice(0, at) + (parseInt(word[at]!, 16) ^ (1 << random.below(4))).toString(16) + word.slice(at + 1);
      };
      const samples = 1_500;
      for (const [place, what] of ["seed", "block hash", "batch"].entries()) {
        const same = [0, 0, 0];
        for (let sample = 0; sample < samples; ++sample) {
          const words = [random.bytes32(), random.bytes32(), random.bytes32()] as [string, string, string];
          const before = outcome(entropy(...words));
          words[place as 0 | 1 | 2] = flipped(words[place]!);
          outcome(entropy(...words)).forEach((value, index) => {
            if (value === before[index]) same[index]! += 1;
          });
        }
        expectBinomial(same[0]!, samples, 1 / 2, `whether it is checked, by the ${what}`);
        expectBinomial(same[1]!, samples, 1 / 16, `which is checked, by the ${what}`);
        expectBinomial(same[2]!, samples, 1 / 8, `who checks, by the ${what}`);
      }
    });

    it("the commitment shares no bit with the seed", () => {
      const random = new Random(44);
      const agreeing = new Array<number>(16).fill(0);
      for (let sample = 0; sample < 6_000; ++sample) {
        const seed = random.bytes32();
        const commitment = seedCommitment({ ...context, jobId, sequence: 0n }, seed);
        const [a, b] = [parseInt(seed.slice(2, 6), 16), parseInt(commitment.slice(2, 6), 16)];
        for (let bit = 0; bit < 16; ++bit) if (((a >> bit) & 1) === ((b >> bit) & 1)) agreeing[bit]! += 1;
      }
      agreeing.forEach((times, bit) => expectBinomial(times, 6_000, 0.5, `bit ${bit} of seed and commitment`));
    });
  });
});
