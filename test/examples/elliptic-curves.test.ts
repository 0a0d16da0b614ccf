import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { runBatch } from "../../examples/elliptic-curves/batch.ts";
import { buildImage } from "../../examples/elliptic-curves/build-image.ts";
import { hasDebian } from "../../examples/elliptic-curves/debian.ts";
import { checkPlainly } from "../../examples/elliptic-curves/plain.ts";
import { prepareCurves } from "../../examples/elliptic-curves/prepare.ts";
import { dockerExecutorSchema } from "../../agents/config/executor.ts";
import { DockerExecutor } from "../../agents/executor/docker-executor.ts";
import { engineSocket, needEngine, testImage, type TestImage } from "../support/docker-engine.ts";

const MIB = 2 ** 20;

describe("elliptic curves", function () {
  this.timeout(600_000);
  let folder: string;
  let image: TestImage;

  before(async function () {
    await needEngine(this);
    if (!(await hasDebian())) {
      if (process.env["SURETY_REQUIRE"]?.split(",").includes("docker"))
        throw new Error("SURETY_REQUIRE asks for docker, whose example is built of Debian's packages: no apt-get here");
      console.warn("    !! SKIPPED: no apt-get here, so the image of Debian's packages is not built and not run");
      this.skip();
    }
    folder = await mkdtemp(join(tmpdir(), "surety-curves-"));
    image = testImage(await buildImage());
  });
  after(() => folder && rm(folder, { recursive: true, force: true }));

  it("are in an image that is the same at every build", async () => {
    expect((await buildImage()).id).to.equal(image.id);
  });

  it("are found, in a container and plainly, to be what the literature says", async () => {
    const inputs = join(folder, "few");
    const classes = await prepareCurves({ below: 700, tasks: 2, outFolder: inputs });
    const { results } = await checkPlainly(inputs);
    const config = dockerExecutorSchema.parse({ kind: "docker", socket: engineSocket });
    const executor = new DockerExecutor({ ...config, owner: "testcurves" });
    try {
      for (const [index, expected] of results.entries()) {
        const curves = new Uint8Array(await readFile(join(inputs, String(index), "curves")));
        const outcome = await executor.run({
          ...{ program: image.program(), args: [], index, input: new Map([["curves", curves]]) },
          limits: {
            ...{ cpus: 1, memoryBytes: 256 * MIB, processes: 8, seconds: 120 },
            ...{ diskBytes: MIB, outputBytes: MIB, files: 4 },
          },
        });
        expect(outcome.exit, Buffer.from(outcome.stderr).toString()).to.deep.equal({ code: 0 });
        expect(Buffer.from(outcome.files.get("results")!).toString()).to.equal(expected);
      }
    } finally {
      await executor.close();
    }
    const lines = results.join("").trim().split("\n");
    expect(lines.length).to.equal(classes.reduce((sum, count) => sum + count));
    // Cremona's "Algorithms for Modular Elliptic Curves", table 1 and 4: the first curves of rank 1 and 2, and the first
    // with a group that is not trivial, of order 4; the first of order 9.
    expect(lines.find((line) => line.split(" ")[1] === "1")).to.equal("37a1 1 1");
    expect(lines.find((line) => line.split(" ")[1] === "2")).to.equal("389a1 2 1");
    expect(lines.find((line) => Number(line.split(" ")[2]) > 1)).to.equal("571a1 0 4");
    expect(lines.find((line) => line.endsWith(" 9"))).to.equal("681b1 0 9");
  });

  it("are checked by a market of nodes that run containers, and paid for", async () => {
    const report = await runBatch({
      ...{ tasks: 6, below: 300, rate: 20, nodes: 6, socket: engineSocket, home: join(folder, "market") },
      say: () => undefined,
      signal: new AbortController().signal,
    });
    expect(report).to.include({ tasks: 6, settled: 6, equal: true, conserved: true });
    expect(report.sampled).to.be.above(0);
    expect(report.cpu.containers).to.be.above(0);
  });
});
