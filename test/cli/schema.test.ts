import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { errorCode, lastJson, surety, type Ended } from "../support/command-line.ts";
import { copyExample, readExample, type SchemaExample } from "../support/schema-example.ts";

describe("surety schema", function () {
  this.timeout(120_000);
  let work: string;
  let built: string;

  before(async () => {
    work = await mkdtemp(join(tmpdir(), "surety-schema-cli-"));
    // Compiling takes longest: once for all that is not about sources.
    const { folder } = await readExample("square-root");
    built = folder;
    await change(built, "schema.yaml", /sources:\n.*\n.*\n/, "");
  });
  after(() => rm(work, { recursive: true, force: true }));

  const check = (folder: string): Promise<Ended> => surety(["schema", "check", folder, "--json"]);

  /** Replaces a text in a file of a package. */
  async function change(folder: string, name: string, from: string | RegExp, to: string): Promise<void> {
    const text = await readFile(join(folder, name), "utf8");
    const changed = text.replace(from, to);
    expect(changed).not.to.equal(text);
    await writeFile(join(folder, name), changed);
  }

  /** An example with something changed in it. */
  async function broken(name: string, from: string | RegExp, to: string): Promise<string> {
    const isSource = name.startsWith("assembly/");
    const folder = isSource ? await copyExample("square-root") : await mkdtemp(join(work, "broken-"));
    if (!isSource) await cp(built, folder, { recursive: true });
    await change(folder, name, from, to);
    return folder;
  }

  it("init makes a package that passes its check", async () => {
    const folder = join(work, "mine");
    const made = await surety(["schema", "init", folder, "--json"]);
    expect(made.exit, made.stderr).to.equal(0);
    expect(lastJson(made)["files"]).to.include.members([
      "README.md",
      "job_schema.proto",
      "schema.yaml",
      "test/four.json",
    ]);
    const ended = await check(folder);
    expect(ended.exit, ended.stderr).to.equal(0);
    expect(lastJson(ended)).to.deep.include({
      ...{ name: "square-root", runtime: "wasm", worker: "Worker.CalculateRoot", evaluator: "Evaluator.EvaluateRoot" },
    });
  });

  it("init touches no folder that has something in it", async () => {
    const folder = await copyExample("square-root");
    expect(errorCode(await surety(["schema", "init", folder]))).to.equal("SCHEMA_FOLDER_NOT_EMPTY");
    expect(errorCode(await surety(["schema", "init", join(folder, "schema.yaml")]))).to.equal("SCHEMA_FOLDER_UNUSABLE");
    await rm(folder, { recursive: true });
  });

  for (const template of ["python", "typescript"]) {
    it(`init --template ${template} makes a package that lacks only its image`, async () => {
      const folder = join(work, template);
      expect((await surety(["schema", "init", folder, "--template", template])).exit).to.equal(0);
      const ended = await check(folder);
      expect(errorCode(ended)).to.equal("SCHEMA_FILE_MISSING");
      expect(ended.stderr).to.contain("image.tar");
    });
  }

  for (const [name, verification] of [
    ["square-root", "solution"],
    ["checkpoint", "checkpoint"],
    ["execution", "execution"],
  ] as [SchemaExample, string][]) {
    it(`check passes the example that is verified by ${verification}, and tells what it did`, async () => {
      const folder = await copyExample(name);
      const ended = await check(folder);
      expect(ended.exit, ended.stderr).to.equal(0);
      const result = lastJson(ended) as {
        verification: string;
        build: string;
        release: { digest: string };
        tests: { workers: { checkpoints: number }[]; ranking: { node: string }[]; invalid: string[] }[];
      };
      expect(result.verification).to.equal(verification);
      expect(result.build).to.match(/^sha256:[0-9a-f]{64}$/);
      expect(result.release.digest).to.match(/^0x[0-9a-f]{64}$/);
      const [{ workers, ranking, invalid }] = result.tests as [(typeof result.tests)[number]];
      expect(ranking).to.have.length(workers.length);
      expect(invalid).not.to.be.empty;
      expect(workers.every(({ checkpoints }) => checkpoints > 0)).to.equal(verification === "checkpoint");
      await rm(folder, { recursive: true });
    });
  }

  const wrong: [what: string, code: string, exit: number, name: string, from: string | RegExp, to: string][] = [
    ["a proto that is none", "SCHEMA_PROTO_INVALID", 2, "job_schema.proto", "message Request {", "message Request"],
    ["a missing service", "SCHEMA_SERVICE_MISSING", 2, "job_schema.proto", "service Evaluator", "service Judge"],
    [
      "messages that do not fit",
      "SCHEMA_MESSAGES_MISMATCH",
      2,
      "job_schema.proto",
      "string node = 1;\n  W",
      "string who = 1;\n  W",
    ],
    ["a fee above the deposit", "SCHEMA_FILE_INVALID", 2, "schema.yaml", "challengeFee: 1", "challengeFee: 11"],
    [
      "another build digest",
      "SCHEMA_BUILD_MISMATCH",
      2,
      "schema.yaml",
      "deposit",
      `build: sha256:${"0".repeat(64)}\ndeposit`,
    ],
    ["test data that is none", "SCHEMA_TEST_INVALID", 2, "test/four.json", '"workers"', '"worker"'],
    ["a request that is no message", "SCHEMA_MESSAGE_INVALID", 2, "test/four.json", '"y": 4', '"y": "four"'],
    [
      "a worker that does not compile",
      "SCHEMA_BUILD_FAILED",
      2,
      "assembly/worker.ts",
      "return reply;",
      "return nothing;",
    ],
    [
      "a worker that breaks down",
      "SCHEMA_TEST_FAILED",
      1,
      "assembly/worker.ts",
      "return reply;",
      'throw new Error("no idea");',
    ],
    [
      "an evaluator that takes anything",
      "SCHEMA_TEST_FAILED",
      1,
      "assembly/evaluator.ts",
      /isFinite\(loss\).*\)\)/,
      "true)",
    ],
    ["an evaluator that finds nobody", "SCHEMA_TEST_FAILED", 1, "assembly/evaluator.ts", "isFinite(loss)", "false"],
    [
      "an evaluator that ranks a stranger",
      "SCHEMA_RANKING_INVALID",
      1,
      "assembly/evaluator.ts",
      "push(judged[i].node)",
      'push("me")',
    ],
    ["too little fuel", "SCHEMA_TEST_FAILED", 1, "schema.yaml", "fuel: 100M", "fuel: 1k"],
  ];
  for (const [what, expected, exit, ...changed] of wrong) {
    it(`check refuses ${what}`, async () => {
      const folder = await broken(...changed);
      const ended = await check(folder);
      expect(errorCode(ended), ended.stderr).to.equal(expected);
      expect(ended.exit).to.equal(exit);
      await rm(folder, { recursive: true });
    });
  }

  it("check refuses a package without test data", async () => {
    const folder = await mkdtemp(join(work, "untested-"));
    await cp(built, folder, { recursive: true });
    await rm(join(folder, "test"), { recursive: true });
    expect(errorCode(await check(folder))).to.equal("SCHEMA_TEST_MISSING");
    await rm(folder, { recursive: true });
  });
});
