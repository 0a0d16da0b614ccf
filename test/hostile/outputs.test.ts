import { expect } from "chai";
import type { DockerExecutor } from "../../agents/executor/docker-executor.ts";
import type { TaskOutcome } from "../../agents/executor/executor.ts";
import { parseOutputDirectory, outputDirectory } from "../../agents/executor/outcome.ts";
import { needRuntime, testExecutor, type TestImage } from "../support/docker-engine.ts";
import { findingsOf, needHostileJobs, OpenGround, probeTask } from "../support/hostile-job.ts";

/** What a job may leave in /out that is not taken, by how its task ends. */
const refused: Record<string, string[]> = {
  "output-link": ["link", "link-up", "link-folder", "link-itself", "hard-links"],
  "output-special": ["fifo"],
  "output-name": ["bad-utf8", "newline", "escape", "backslash"],
};

/** What is taken, for it does no harm: paths of what is taken of it. */
const taken: Record<string, string[]> = {
  plain: ["plain.txt"],
  socket: [],
  sparse: ["sparse"],
  setuid: ["setuid"],
  unreadable: ["unreadable"],
  long: ["n".repeat(255)],
};

describe("What a hostile job leaves", function () {
  this.timeout(240_000);
  let image: TestImage;
  let ground: OpenGround;

  before(async function () {
    image = await needHostileJobs(this);
    ground = new OpenGround(image);
    await ground.load();
  });

  it("control: is all there where it may leave it", async () => {
    const kinds = [...Object.values(refused).flat(), ...Object.keys(taken), "device"];
    const said = findingsOf(await ground.run(["leave", "/tmp", ...kinds])).get("");
    const failed = [...(said ?? [])].filter(([, result]) => result !== "ok");
    expect(failed).to.deep.equal([]);
    expect(said?.size).to.be.at.least(kinds.length);
  });

  it("control: goes deeper than any path where it may", async () => {
    const said = findingsOf(await ground.run(["deep", "/tmp", "3000"])).get("");
    expect(said?.get("deep")).to.equal("ok");
  });

  for (const runtime of ["runc", "runsc"] as const)
    describe(`in ${runtime}`, () => {
      let executor: DockerExecutor;

      before(async function () {
        if (runtime === "runsc") await needRuntime(this, runtime);
        executor = testExecutor({ runtime });
      });
      after(() => executor?.close());

      const leave = (...kinds: string[]): Promise<TaskOutcome> =>
        executor.run(probeTask(image, ["leave", "/out", ...kinds]));

      for (const [trap, kinds] of Object.entries(refused))
        it(`ends in the fault ${trap} with any of ${kinds.join(", ")}`, async () => {
          for (const kind of kinds) {
            const outcome = await leave("plain", kind);
            // What gVisor keeps within its own kernel was never in the folder.
            const isInside = runtime === "runsc" && kind === "fifo";
            expect(outcome.exit, kind).to.deep.equal(isInside ? { code: 0 } : { trap });
            expect([...outcome.files.keys()], kind).to.deep.equal(isInside ? ["plain.txt"] : []);
          }
        });

      it("is taken where it is harmless, as plain files", async () => {
        const outcome = await leave(...Object.keys(taken));
        expect(outcome.exit).to.deep.equal({ code: 0 });
        expect([...outcome.files.keys()].sort()).to.deep.equal(Object.values(taken).flat().sort());
        expect(parseOutputDirectory(outputDirectory(outcome)).files.size).to.equal(outcome.files.size);
      });

      it("is no device", async () => {
        const outcome = await leave("device");
        const made = findingsOf(outcome.stdout).get("")?.get("device");
        // gVisor makes one that only its own kernel knows of.
        if (made === "ok") expect(outcome.exit).to.deep.equal({ trap: "output-special" });
        else expect(made).to.match(/^E/);
        expect([...outcome.files.keys()]).to.deep.equal([]);
      });

      it("is no file that is longer than the limit by being hollow", async () => {
        const outcome = await leave("sparse");
        const said = findingsOf(outcome.stdout).get("");
        if ("code" in outcome.exit) expect([said?.get("a tebibyte"), said?.get("a gibibyte")]).to.not.include("ok");
        else expect(outcome.exit).to.deep.equal({ limit: "output" });
        expect([...outcome.files.values()].every(({ length }) => length === 0)).to.equal(true);
      });

      it("is not deeper than what can be unpacked", async () => {
        const limits = { files: 100_000, seconds: 60 };
        const outcome = await executor.run(probeTask(image, ["deep", "/out", "3000"], limits));
        expect(outcome.exit).to.be.an("object");
        for (const path of outcome.files.keys()) expect(path.split("/").length).to.be.at.most(65);
        if (outcome.files.size === 0) expect(outcome.exit).to.not.have.property("code");
      });

      it("comes from nothing that goes on after it: daemons end with the job", async () => {
        const outcome = await executor.run(probeTask(image, ["daemon", "/out/late", "1", "mark"]));
        expect(outcome.exit).to.deep.equal({ code: 0 });
        expect(outcome.stdout.toString()).to.equal("gone\n");
        expect(outcome.files.has("late")).to.equal(false);
      });

      it("is read once, when nothing can change it any more", async () => {
        const outcome = await executor.run(probeTask(image, ["churn", "/out/churned"]));
        expect(outcome.exit).to.deep.equal({ code: 0 });
        const bytes = outcome.files.get("churned")!;
        expect(bytes.length).to.equal(1 << 20);
        expect(parseOutputDirectory(outputDirectory(outcome)).files.get("churned")).to.deep.equal(bytes);
      });

      it("says what it likes on its streams, and both are kept as bytes", async () => {
        const outcome = await executor.run(probeTask(image, ["escapes"]));
        expect(outcome.exit).to.deep.equal({ code: 3 });
        expect(outcome.stdout.toString()).to.include("\u001b]0;owned\u0007");
        expect(outcome.stderr.toString()).to.include("forged");
      });
    });
});
