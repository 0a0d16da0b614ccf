import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { hasDebian } from "../../examples/elliptic-curves/debian.ts";
import { errorCode, lastJson, surety, type Ended } from "../support/command-line.ts";
import { engineSocket, needEngine } from "../support/docker-engine.ts";
import { pythonImage, typescriptImage } from "../support/schema-images.ts";

const required = (process.env["SURETY_REQUIRE"] ?? "").split(",").includes("docker");

describe("surety schema, of programs in images", function () {
  this.timeout(600_000);
  let work: string;

  before(async function () {
    await needEngine(this);
    work = await mkdtemp(join(tmpdir(), "surety-schema-test-"));
  });
  after(() => work && rm(work, { recursive: true, force: true }));

  const check = (folder: string): Promise<Ended> =>
    surety(["schema", "check", folder, "--json", "--socket", engineSocket]);

  async function expectToPass(folder: string): Promise<void> {
    const ended = await check(folder);
    expect(ended.exit, ended.stderr).to.equal(0);
    const { runtime, tests } = lastJson(ended) as {
      runtime: string;
      tests: { workers: { reply: { x: number } }[]; ranking: { node: string }[]; invalid: string[] }[];
    };
    expect(runtime).to.equal("container");
    const [{ workers, ranking, invalid }] = tests as [(typeof tests)[number]];
    expect(workers).to.have.length(12);
    expect(new Set(workers.map(({ reply }) => reply.x)).size, "everybody guesses something else").to.equal(12);
    expect(ranking).to.have.length(12);
    expect(ranking.filter(({ node }) => invalid.includes(node))).to.deep.equal([]);
  }

  describe("in TypeScript", () => {
    let folder: string;
    before(async () => {
      folder = join(work, "typescript");
      expect((await surety(["schema", "init", folder, "--template", "typescript"])).exit).to.equal(0);
    });

    it("run as gRPC services of the user's own proto", async () => {
      await writeFile(join(folder, "image.tar"), (await typescriptImage(folder)).tar);
      await expectToPass(folder);
    });

    it("fail with what they say, not with silence", async () => {
      const worker = await readFile(join(folder, "worker.ts"), "utf8");
      await writeFile(
        join(folder, "worker.ts"),
        worker.replace("return { x: best.x };", 'throw new Error("no idea");'),
      );
      await writeFile(join(folder, "image.tar"), (await typescriptImage(folder)).tar);
      const ended = await check(folder);
      expect(ended.exit).to.equal(1);
      expect(errorCode(ended)).to.equal("SCHEMA_TEST_FAILED");
      expect(ended.stderr).to.contain("no idea");
    });
  });

  describe("in Python", () => {
    const folder = (): string => join(work, "python");

    before(async function () {
      if (!(await hasDebian())) {
        if (required) throw new Error("SURETY_REQUIRE asks for docker, whose Python image is of Debian's packages");
        console.warn("    !! SKIPPED: no apt-get here, so Python programs were not run");
        this.skip();
      }
      expect((await surety(["schema", "init", folder(), "--template", "python"])).exit).to.equal(0);
    });

    const pack = async (): Promise<void> =>
      writeFile(join(folder(), "image.tar"), (await pythonImage(folder(), join(work, "debian"))).tar);

    it("run as gRPC services of the user's own proto", async () => {
      await pack();
      await expectToPass(folder());
    });

    it("go on from checkpoints, have seeds and publish data, as modules do", async () => {
      const proto = await readFile(join(folder(), "job_schema.proto"), "utf8");
      await writeFile(
        join(folder(), "job_schema.proto"),
        proto.replace("float x = 1;", "float x = 1; string log_cid = 2;"),
      );
      const file = await readFile(join(folder(), "schema.yaml"), "utf8");
      await writeFile(
        join(folder(), "schema.yaml"),
        file.replace("verification: solution", "verification: checkpoint"),
      );
      await writeFile(
        join(folder(), "worker.py"),
        `from surety_schema import checkpoint, continue_from, messages, publish, seed

class Worker:
    def CalculateRoot(self, request, context):
        steps = (checkpoint() or b"") + seed()[:1]
        if len(steps) < 3:
            continue_from(steps)
        publish("log_cid", "steps", steps)
        return messages.WorkerReply(x=len(steps))
`,
      );
      await writeFile(
        join(folder(), "evaluator.py"),
        `from surety_schema import checkpoint, content, messages, seed

class Evaluator:
    def EvaluateRoot(self, evaluation, context):
        result = messages.EvaluationResult()
        for worker in evaluation.workers.workers:
            own = seed(worker.node)[:1]
            states = [checkpoint(worker.node, number) for number in range(3)]
            if states == [own, own * 2, None] and content(worker.response.log_cid, "steps") == own * 3:
                result.node.append(worker.node)
                result.score.append(1)
        return result
`,
      );
      const test = { request: { y: 9 }, workers: 2, invalid: [{ x: 3 }] };
      await writeFile(join(folder(), "test/four.json"), JSON.stringify(test));
      await pack();
      const ended = await check(folder());
      expect(ended.exit, ended.stderr).to.equal(0);
      const { tests } = lastJson(ended) as { tests: { workers: { checkpoints: number }[]; ranking: unknown[] }[] };
      expect(tests[0]!.workers.map(({ checkpoints }) => checkpoints)).to.deep.equal([2, 2]);
      expect(tests[0]!.ranking).to.have.length(2);
    });
  });
});
