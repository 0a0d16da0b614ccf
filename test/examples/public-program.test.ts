import { expect } from "chai";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildProgram, hasGo, prepareInputs, PROGRAM_ARGUMENTS } from "../../examples/public-program/build.ts";
import { WasmExecutor } from "../../agents/executor/wasm-executor.ts";
import { BareWasi } from "../support/bare-wasi.ts";

const LIMITS = { fuel: 1n << 40n, memoryBytes: 256 * 2 ** 20, seconds: 120, outputBytes: 2 ** 20, files: 4 };

describe("public program", () => {
  const executor = new WasmExecutor();
  let program: Uint8Array;

  before(async function () {
    this.timeout(600_000);
    if (!(await hasGo())) {
      const required = process.env.SURETY_REQUIRE?.split(",").includes("go");
      if (required) throw new Error("SURETY_REQUIRE asks for Go, but there is no toolchain here");
      console.warn("      SKIPPED: no Go toolchain here, so the public program is not built and not run");
      this.skip();
    }
    program = await buildProgram();
  });

  after(() => executor.close());

  it("runs unchanged on real files, twice with the same result", async function () {
    // Compiling megabytes of Go to the last optimisation takes most of it.
    this.timeout(240_000);
    const folder = await mkdtemp(join(tmpdir(), "public-program-"));
    try {
      const bare = new BareWasi();
      const packages = await prepareInputs({ outFolder: folder });
      expect(packages).to.include("ethers");
      for (const [index, name] of packages.entries()) {
        const manifest = await readFile(join(folder, String(index).padStart(4, "0"), "package.json"));
        const task = {
          program,
          args: PROGRAM_ARGUMENTS,
          index,
          input: new Map([["package.json", new Uint8Array(manifest)]]),
          limits: LIMITS,
        };
        const first = await executor.run(task);
        expect(first.exit, new TextDecoder().decode(first.stderr)).to.deep.equal({ code: 0 });
        const { version, license, dependencies = {} } = JSON.parse(manifest.toString());
        const line = [name, version, license ?? "?", Object.keys(dependencies).length].join("\t");
        expect(new TextDecoder().decode(first.stdout)).to.equal(`${line}\n`);

        const { usage, ...result } = first;
        const { usage: usageAgain, ...resultAgain } = await executor.run(task);
        expect(resultAgain).to.deep.equal(result);
        expect(usageAgain.fuel).to.equal(usage.fuel);
        expect(Buffer.from((await bare.run(task)).stdout).equals(first.stdout), "as without metering").to.equal(true);
      }
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it("reports what is wrong with its input by its exit code and standard error", async function () {
    this.timeout(240_000);
    const input = new Map([["package.json", new TextEncoder().encode("{")]]);
    const outcome = await executor.run({ program, args: PROGRAM_ARGUMENTS, index: 0, input, limits: LIMITS });
    expect(outcome.exit).to.deep.equal({ code: 5 });
    expect(new TextDecoder().decode(outcome.stderr)).to.include("invalid json");
  });
});
