import { expect } from "chai";
import { SuretyError } from "#sdk/errors.ts";
import { ReplayChain } from "../../agents/simulation/chain.ts";
import { BatchPlay } from "../../agents/simulation/batch.ts";
import { chanceOfMajority } from "../../agents/simulation/chance.ts";
import { measure } from "../../agents/simulation/measure.ts";
import { svgOf } from "../../agents/simulation/plot.ts";
import { replay, requireEqual, worldOn } from "../../agents/simulation/replay.ts";
import { curveOf, linesOf, plotOf, regionPlot, tableOf } from "../../agents/simulation/report.ts";
import { sampleWorld } from "../../agents/simulation/sample.ts";
import { SCENARIOS, SWEEPS } from "../../agents/simulation/scenarios.ts";
import { World, type Counts, type WorldOptions } from "../../agents/simulation/world.ts";
import { codeOf } from "../support/error-code.ts";

/** Chai's own takes whole numbers only once another suite of the same process has loaded Hardhat's matchers. */
const isNear = (actual: number, expected: number, within: number): boolean => Math.abs(actual - expected) <= within;

/** Few nodes and tasks, two of five checked. */
const SMALL: Partial<WorldOptions> = { nodes: 36, tasks: 12, slices: 3, rate: 400_000 };

interface Kind {
  name: string;
  options: Partial<WorldOptions>;
  /** Whether a batch shows what it is here for. */
  shows: (counts: Counts, moves: ReadonlySet<string>) => boolean;
}

const KINDS: Kind[] = [
  { name: "in which all agree", options: {}, shows: ({ exceptions }) => exceptions === 0 },
  {
    name: "of a lone liar that is slashed and does not challenge",
    options: { strategies: { liar: 0.2 } },
    shows: ({ liesSlashed }, moves) => liesSlashed > 0 && !moves.has("challenge"),
  },
  {
    name: "of a difference that is no proof of a lie",
    options: { strategies: { liar: 0.2 }, fullSlash: false },
    shows: ({ liesSlashed }) => liesSlashed > 0,
  },
  {
    name: "of a false exception that is challenged, and one against a node that sleeps",
    options: { requester: "accuser", asleep: 0.3 },
    shows: ({ lied, falseSlashes }) => lied > 0 && falseSlashes > 0,
  },
  {
    name: "of two colluders that outvote an honest node, which appeals to a jury",
    options: { adaptive: false, strategies: { colluder: 0.35 } },
    shows: ({ falseExceptions, falseAnswersSlashed, falseSlashes }, moves) =>
      falseExceptions > 0 && falseAnswersSlashed > 0 && falseSlashes === 0 && moves.has("appeal"),
  },
  {
    name: "of a majority that the requester denies",
    options: { requester: "muddler" },
    shows: ({ lied }) => lied > 0,
  },
  {
    name: "of a requester that falls silent, and colluders that a member takes to a jury",
    options: { requester: "silent", adaptive: false, strategies: { colluder: 0.35 } },
    shows: (_, moves) => moves.has("call-panel") && moves.has("appeal"),
  },
  { name: "of a requester that never reveals", options: { requester: "gone" }, shows: () => true },
  {
    name: "of colluders that capture the last jury",
    options: { strategies: { "wary colluder": 0.55 }, nodes: 56, slashFactor: 20 },
    shows: ({ juries, falseSlashes }) => juries[1]! > 0 && falseSlashes > 0,
  },
  {
    name: "of jurors that sleep and are replaced",
    options: { requester: "contester", asleep: 0.3 },
    shows: ({ juries, falseForfeits }) => juries[0]! > 0 && falseForfeits > 0,
  },
  {
    name: "of a node that says it delivered",
    options: { strategies: { "stubborn withholder": 0.3 } },
    shows: (_, moves) => moves.has("answer-contest"),
  },
  {
    name: "of a planted task answered wrong by a whole panel",
    options: { adaptive: false, planted: 0.5, strategies: { colluder: 0.4 } },
    shows: (_, moves) => moves.has("contest") && moves.has("except"),
  },
  {
    name: "of silent verifiers and further draws",
    options: { strategies: { "silent verifier": 0.5 } },
    shows: (_, moves) => moves.has("redraw"),
  },
];

describe("the simulation", () => {
  it("is the same for the same seed, and another for another", () => {
    const options = { ...SMALL, strategies: { liar: 0.3 } };
    expect(measure(options, 5)).to.deep.equal(measure(options, 5));
    expect(measure({ ...options, seed: 2 }, 5)).to.not.deep.equal(measure(options, 5));
  });

  it("neither makes money nor loses any, in every market of the table", () => {
    for (const { name, options } of SCENARIOS) {
      const world = new World({ ...options, nodes: 250 });
      for (let i = 0; i < 2; i += 1) new BatchPlay(world).play();
      const held = world.nodes.reduce((sum, { credit, reward, stake }) => sum + credit + reward + stake, 0n);
      expect(held + world.requester + world.burned, name).to.equal(0n);
    }
  });

  it("slashes nobody where all are honest, and pays them what is left after their costs", () => {
    const { truths, exceptions, nodes, extraMoney } = measure({ nodes: 250 }, 10);
    expect(truths.slashed).to.equal(0);
    expect(exceptions.listed).to.equal(0);
    expect(isNear(nodes.honest!.profit, 0.206, 1e-9)).to.equal(true);
    // One task in 33 again, at the same price.
    expect(isNear(extraMoney, 0.03, 1e-9)).to.equal(true);
  });

  it("knows the chance of ruling a jury", () => {
    expect(chanceOfMajority(7, 0)).to.equal(0);
    expect(isNear(chanceOfMajority(7, 0.5), 0.5, 1e-12)).to.equal(true);
    expect(isNear(chanceOfMajority(7, 0.1), 0.002728, 1e-6)).to.equal(true);
    expect(isNear(chanceOfMajority(14, 1), 1, 1e-12)).to.equal(true);
  });
});

describe("the simulation's report", () => {
  it("has a line for each market and finds where a curve breaks even", () => {
    const rows = SCENARIOS.slice(0, 2).map((scenario) => ({
      scenario,
      measured: measure({ ...scenario.options, nodes: 250 }, 2),
    }));
    expect(tableOf(rows)).to.have.length(3);
    const curve = curveOf("x", [
      { x: 0, y: -1 },
      { x: 1, y: 3 },
    ]);
    expect(curve.breaksEven).to.equal(0.25);
    expect(curveOf("x", [{ x: 0, y: -1 }])).to.not.have.property("breaksEven");
    expect(linesOf("sleep", [curve]).join("\n")).to.include("25 %");
  });

  it("draws a plot that is well-formed for each sweep", () => {
    for (const [name, { curves }] of Object.entries(SWEEPS)) {
      const measured = curves.map((curve) =>
        curveOf(
          curve.name,
          curve.steps.map((x) => ({ x, y: x - 0.4 })),
        ),
      );
      const svg = svgOf(plotOf(name as keyof typeof SWEEPS, measured));
      expect(svg).to.not.match(/NaN|undefined|Infinity/);
      for (const curve of curves) expect(svg).to.include(curve.name);
    }
    expect(svgOf(regionPlot())).to.not.match(/NaN|undefined|Infinity/);
  });
});

describe("a history replayed on the contracts", function () {
  this.timeout(300_000);
  let chain: ReplayChain;

  before(async () => {
    chain = await ReplayChain.start();
  });

  after(async () => {
    await chain.close();
  });

  /** The first seed that shows what is wanted: ids, and so draws, depend on where the market is. */
  function seedOf({ options, shows }: Kind): number {
    for (let seed = 1; seed < 300; seed += 1) {
      const world = worldOn(chain, { ...SMALL, ...options, seed });
      const play = new BatchPlay(world, true);
      play.play();
      if (shows(world.counts, new Set(play.history.moves.map((move) => move.do)))) return seed;
    }
    throw new Error("no seed shows it");
  }

  for (const kind of KINDS) {
    it(`${kind.name} ends in the same balances`, async () => {
      const result = await replay(chain, { ...SMALL, ...kind.options, seed: seedOf(kind) });
      expect(kind.shows(result.counts, new Set(result.history.moves.map((move) => move.do)))).to.equal(true);
      expect(result.differences).to.deep.equal([]);
      expect(result.compared).to.be.above(4 * 36);
    });
  }

  it("ends in the same balances whoever does what", async () => {
    for (let seed = 1; seed <= 6; seed += 1) {
      requireEqual(await replay(chain, sampleWorld(seed)), `sample ${seed}`);
    }
  });

  it("is refused if a balance differs by one unit", async () => {
    const differences = [{ whose: "requester", simulated: 1n, real: 2n }];
    const result = await replay(chain, { ...SMALL, requester: "gone", seed: 77 });
    expect(() => requireEqual({ ...result, differences }, "it"))
      .to.throw(SuretyError)
      .with.property("code", "REPLAY_DIFFERS");
    requireEqual(result, "it");
  });

  it("is refused where the contracts refuse a step", async () => {
    const call = { to: chain.deployment.market, data: "0x12345678" };
    expect(await codeOf(() => chain.send(chain.deployer, call))).to.equal("REPLAY_REFUSED");
  });
});
