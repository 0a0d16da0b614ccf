import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { buildProgram, hasGo, prepareInputs, PROGRAM_ARGUMENTS } from "../../examples/public-program/build.ts";
import type { TaskStatus } from "../../agents/requester/spool.ts";
import { probeProgram } from "../executor/programs.ts";
import { Books } from "../support/books.ts";
import { errorCode, lastJson, surety } from "../support/command-line.ts";
import { PRICE_OF_ALL, sharedWorld, type ActingRequester, type MarketWorld } from "../support/market-world.ts";

/** Everything is checked, so that a result that differed between two nodes would show; by few, who compile it once each. */
const SURE = { mode: "sampled", rate: "100%", maxShare: "100%", prices: { task: PRICE_OF_ALL } };
const WINDOWS = { claim: "300s", submit: "600s", reveal: "300s", check: "600s", judge: "300s", challenge: "60s" };

describe("programs of strangers", () => {
  let world: MarketWorld;
  let folder: string;

  before(async () => {
    world = await sharedWorld();
    folder = await mkdtemp(join(tmpdir(), "surety-programs-"));
  });

  afterEach(() => world.reset());
  after(() => rm(folder, { recursive: true, force: true }));

  /** `surety submit --wait` of a job whose program is `wasm`. */
  async function submit(
    requester: ActingRequester,
    wasm: Uint8Array,
    job: { args: readonly string[]; inputs: string; limits: Record<string, unknown> },
  ): Promise<{ exit: number | null; results: TaskStatus[]; failures: string[] }> {
    const home = await mkdtemp(join(folder, "job-"));
    await writeFile(join(home, "program.wasm"), wasm);
    const file = { name: "stranger", module: "./program.wasm", ...SURE, windows: WINDOWS, ...job };
    await writeFile(join(home, "job.json"), JSON.stringify(file));
    const ended = await surety(["submit", join(home, "job.json"), "--config", requester.config, "--wait", "--json"]);
    expect(errorCode(ended), ended.stderr).to.equal(undefined);
    const answer = lastJson(ended) as { results: TaskStatus[]; failures: string[] };
    return { exit: ended.exit, ...answer };
  }

  it("run unchanged, and come to the same results whenever and wherever they run", async function () {
    if (!(await hasGo())) {
      if (process.env.SURETY_REQUIRE?.split(",").includes("go"))
        throw new Error("SURETY_REQUIRE asks for go, and there is none");
      console.warn("      SKIPPED: there is no Go toolchain to compile the public program with");
      this.skip();
    }
    const requester = await world.newRequester("requester of a public program");
    const books = await Books.open(world);
    const inputs = join(folder, "packages");
    await mkdir(inputs, { recursive: true });
    await prepareInputs({ outFolder: inputs });
    const job = {
      args: PROGRAM_ARGUMENTS,
      inputs,
      limits: { fuel: "20G", memory: "256MiB", seconds: "300s", output: "1MiB", files: 4 },
    };
    const wasm = await buildProgram();
    await requester.start();
    const first = await submit(requester, wasm, job);
    const second = await submit(requester, wasm, job);
    for (const { exit, results } of [first, second]) {
      expect(exit).to.equal(0);
      for (const result of results) expect(result.exit).to.deep.equal({ code: 0 });
    }
    expect(second.results.map(({ output }) => output)).to.deep.equal(first.results.map(({ output }) => output));
    await books.close(() => ({ dishonest: [] }));
  });

  it("are stopped at their limits, and the limit is named", async () => {
    const requester = await world.newRequester("requester of hostile programs");
    const books = await Books.open(world);
    const inputs = join(folder, "one");
    await mkdir(inputs, { recursive: true });
    await writeFile(join(inputs, "only.txt"), "one task\n");
    const limits = { fuel: "200M", memory: "16MiB", seconds: "120s", output: "64KiB", files: 4 };
    const wasm = await probeProgram();
    await requester.start();
    for (const [args, limit] of [
      [["loop"], "fuel"],
      [["memory"], "memory"],
      [["flood"], "output"],
    ] as const) {
      const { exit, results, failures } = await submit(requester, wasm, { args, inputs, limits });
      expect(exit, `exit status for ${limit}`).to.equal(1);
      expect(results.map((result) => result.exit)).to.deep.equal([{ limit }]);
      expect(failures).to.have.lengthOf(1);
      expect(failures[0]).to.contain(limit);
    }
    await books.close(() => ({ dishonest: [] }));
  });
});
