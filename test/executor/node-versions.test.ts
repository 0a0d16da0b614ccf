import { expect } from "chai";
import { createHash } from "node:crypto";
import { computeContentId } from "#sdk/content.ts";
import { buildModule } from "../../examples/coastline/build.ts";
import { encodeCoast } from "../../examples/coastline/prepare.ts";
import type { WasmTask, TaskLimits } from "../../agents/executor/executor.ts";
import { outputDirectory } from "../../agents/executor/outcome.ts";
import { WasmExecutor } from "../../agents/executor/wasm-executor.ts";
import { probeProgram, shimProgram } from "./programs.ts";

/*
 * The same programs must come to the same results in every Node that agents run in, or honest nodes would accuse each
 * other. What is written here was computed on Node 24; a run in any other proves that it agrees. The programs' own
 * digests are here so that another compiler is not taken for another Node.
 */

const LIMITS: TaskLimits = { fuel: 1n << 34n, memoryBytes: 64 << 20, seconds: 120, outputBytes: 1 << 20, files: 16 };

const FLOATS = `
  let sum: f64 = 0;
  for (let step = 1; step <= 2000; ++step) {
    const x: f64 = <f64>step / 7.0;
    sum += Math.sin(x) * Math.exp(-x / 100.0) + Math.pow(x, 0.3) - Math.atan2(x, 3.0) + Math.log(x) * Math.cbrt(x);
    sum = <f64>(<f32>sum) + Math.sqrt(Math.abs(sum)) / 3.0;
  }
  console.log(sum.toString() + " " + reinterpret<u64>(sum).toString(16) + " " + <string>process.argv[1]);
`;

const INPUT = new Map([
  ["b.txt", new TextEncoder().encode("hello from the input")],
  ["a/c.txt", new TextEncoder().encode("deeper")],
]);

/** A small square island at zero, and the part of a map that has it in the middle. */
const COAST = new Map([
  [
    "coast.bin",
    encodeCoast({
      stepsAround: 360e6,
      latitudeOrigin: -90,
      latitudeStep: 1e-6,
      lines: [
        [
          [178e6, 88e6],
          [182e6, 88e6],
          [182e6, 92e6],
          [178e6, 92e6],
          [178e6, 88e6],
        ],
      ],
    }),
  ],
  ["tile.txt", new TextEncoder().encode("x 74\ny 35\nwidth 12\nheight 10\nmapWidth 160\nmapHeight 80\n")],
]);

const PROGRAMS = { probe: probeProgram, floats: () => shimProgram(FLOATS), coastline: buildModule };

interface Golden {
  program: keyof typeof PROGRAMS;
  args: string[];
  input?: ReadonlyMap<string, Uint8Array>;
  limits?: Partial<TaskLimits>;
  /** How it ends. */
  exit: unknown;
  /** Content id of what it leaves behind: exit, both streams, files. */
  output: string;
  fuel: bigint;
  peakMemoryBytes: number;
}

const MODULES = {
  probe: "a6911e487ddcf8d2a72ad31c6c0bb800374964d5b0cf206c16630d2c3e29b4ec",
  floats: "3bb8bf751add7637f70d9bd520cb7769800a8a82f36a87ea84491e1dc2f0081d",
  coastline: "f9c118d2d479b704a4e12c439917368ca1d727e40ece198e1304ed3b7d1b825a",
};

const GOLDEN: Record<string, Golden> = {
  "a copy of a file": {
    program: "probe",
    args: ["copy", "b.txt", "result.txt"],
    exit: { code: 0 },
    output: "bafybeibvtworkrd7m6lq6aowoa7nk2bbwvj4es6ihwojkjet3g55vsgapm",
    fuel: 9_595n,
    peakMemoryBytes: 65_536,
  },
  "its arguments": {
    program: "probe",
    args: ["args", "{index}", "x"],
    exit: { code: 0 },
    output: "bafybeigo5osp4ifaykbpixm25lcosgcgc2mpssfspbvk4hlvk4tqtfogae",
    fuel: 14_014n,
    peakMemoryBytes: 65_536,
  },
  "a million rounds of integers": {
    program: "probe",
    args: ["count", "1000000"],
    exit: { code: 0 },
    output: "bafybeibn3rdhboh4ok3riau5mfshgjmlcmvd7sphfk4piwlzokpb3oslnu",
    fuel: 16_004_329n,
    peakMemoryBytes: 65_536,
  },
  "a list of its input": {
    program: "probe",
    args: ["list"],
    exit: { code: 0 },
    output: "bafybeigfgxlqlnlsydj6o3gl5d2x6av3u6z5a7yrynari5og2tb4rhhw4u",
    fuel: 9_657n,
    peakMemoryBytes: 65_536,
  },
  "deep calls": {
    program: "probe",
    args: ["recurse", "1000"],
    exit: { code: 0 },
    output: "bafybeif2jpqnem34l5e4j7t7i7yk4xrpbs2gd5i43pu7k2ryqpcjqopw5q",
    fuel: 15_038n,
    peakMemoryBytes: 65_536,
  },
  "the clock": {
    program: "probe",
    args: ["clock"],
    exit: { code: 0 },
    output: "bafybeietiixe5e3adgrngoqshe2hfxobwgiwgfgjzvx7gtyfebpz4tejim",
    fuel: 9_370n,
    peakMemoryBytes: 65_536,
  },
  chance: {
    program: "probe",
    args: ["random"],
    exit: { code: 0 },
    output: "bafybeihsn4cmabmadkzrz6ge6o6x4uxcyo6ng4oyl6lwaxsod775dkfe7e",
    fuel: 79_390n,
    peakMemoryBytes: 65_536,
  },
  "every way to a NaN": {
    program: "probe",
    args: ["nan", "0"],
    exit: { code: 0 },
    output: "bafybeicqgz4gpuqcexpkqwlbba7keesyfb26civwyp36oj67r2oxlxuc3i",
    fuel: 16_459n,
    peakMemoryBytes: 65_536,
  },
  "many files": {
    program: "probe",
    args: ["churn"],
    exit: { code: 0 },
    output: "bafybeieampfpop56sgbhmqm4j4gszwjxd32tbb6tlhatjisejq7rvrki44",
    fuel: 268_600n,
    peakMemoryBytes: 65_536,
  },
  "an exit code": {
    program: "probe",
    args: ["exit", "3"],
    exit: { code: 3 },
    output: "bafybeihaw43yx6gb6atmp7wf66ixzvyc6dsuhx6iuwwfmwei7ulqj3ctim",
    fuel: 4_502n,
    peakMemoryBytes: 65_536,
  },
  "a division by zero": {
    program: "probe",
    args: ["divide", "0"],
    exit: { trap: "divide-by-zero" },
    output: "bafybeidvbb3tf53z3txvyjyai4fpdmxlwbrq672ecaf3fbbbh5elkfbkxa",
    fuel: 3_421n,
    peakMemoryBytes: 65_536,
  },
  "an address out of bounds": {
    program: "probe",
    args: ["outside"],
    exit: { trap: "out-of-bounds" },
    output: "bafybeif4ww43t6edkujjcllvrs4aovvqdmv7pxz2qnvzlfkaw6fmfdbh54",
    fuel: 2_324n,
    peakMemoryBytes: 65_536,
  },
  "calls without end": {
    program: "probe",
    args: ["recurse", "100000000"],
    exit: { trap: "stack-overflow" },
    output: "bafybeicivsmayh2ai6wuvsxa4xl6qxjiq72lni6ecujf53b5ty52b6r5qi",
    fuel: 1_284_875n,
    peakMemoryBytes: 65_536,
  },
  "an endless loop": {
    program: "probe",
    args: ["loop"],
    limits: { fuel: 50_000_000n },
    exit: { limit: "fuel" },
    output: "bafybeielj4o5fclhi7e3rfp6yc73e6pwdh4kixt7zwgwg27cfur5pt3ht4",
    fuel: 50_000_000n,
    peakMemoryBytes: 65_536,
  },
  "a flood of output": {
    program: "probe",
    args: ["flood"],
    limits: { outputBytes: 10_000 },
    exit: { limit: "output" },
    output: "bafybeiha7luliha3li6r3uwszm7gl7wet6372366offahkzxa33i3zeyc4",
    fuel: 4_207n,
    peakMemoryBytes: 65_536,
  },
  "too much memory": {
    program: "probe",
    args: ["memory"],
    limits: { memoryBytes: 8 << 20 },
    exit: { limit: "memory" },
    output: "bafybeih4hkt2ppt2wnl5ovlf3mnxbwf3lrboumsb5rdhxs3ydgwp7v5zle",
    fuel: 461_104n,
    peakMemoryBytes: 7_405_568,
  },
  "too many files": {
    program: "probe",
    args: ["files"],
    exit: { limit: "files" },
    output: "bafybeicepbgjmx3gi75hrpggyr6tfhwfvex2f5lnarqaavoyyfrkyw5wzq",
    fuel: 24_246n,
    peakMemoryBytes: 65_536,
  },
  "floating-point numbers": {
    program: "floats",
    args: ["{index}"],
    exit: { code: 0 },
    output: "bafybeiclporqmfzkx67k6vvct3qb4rt4inewirugxro2wdbnl6oitxkaw4",
    fuel: 2_153_975n,
    peakMemoryBytes: 65_536,
  },
  "distances to a coast": {
    program: "coastline",
    args: [],
    input: COAST,
    exit: { code: 0 },
    output: "bafybeihtq77ascoo3h7tbhls2dblatbimfzadyzogxopwxif5zjzn26vxi",
    fuel: 258_311n,
    peakMemoryBytes: 65_536,
  },
};

describe(`results on Node ${process.versions.node}`, function () {
  this.timeout(240_000);
  const executor = new WasmExecutor();

  after(() => executor.close());

  for (const [name, sha256] of Object.entries(MODULES)) {
    it(`come of the same ${name} module`, async () => {
      const program = await PROGRAMS[name as keyof typeof PROGRAMS]();
      expect(createHash("sha256").update(program).digest("hex")).to.equal(sha256);
    });
  }

  for (const [what, golden] of Object.entries(GOLDEN)) {
    it(`are as on every other, of ${what}`, async () => {
      const { args, input = INPUT, limits } = golden;
      const task: WasmTask = {
        program: await PROGRAMS[golden.program](),
        args,
        index: 7,
        input,
        limits: { ...LIMITS, ...limits },
      };
      const outcome = await executor.run(task);
      const { fuel, peakMemoryBytes } = outcome.usage;
      const { exit, output, fuel: wanted, peakMemoryBytes: peak } = golden;
      const actual = {
        exit: outcome.exit,
        output: await computeContentId(outputDirectory(outcome)),
        fuel,
        peakMemoryBytes,
      };
      expect(actual).to.deep.equal({ exit, output, fuel: wanted, peakMemoryBytes: peak });
    });
  }
});
