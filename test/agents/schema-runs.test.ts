import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { getAddress } from "ethers";
import { openEmbeddedStorage } from "#sdk/node/index.ts";
import type { EmbeddedStorage } from "#sdk/node/index.ts";
import { workerSeed } from "#sdk/schema-seed.ts";
import { WasmExecutor } from "../../agents/executor/wasm-executor.ts";
import type { SchemaPackage } from "../../agents/schema/package-folder.ts";
import { runEvaluator, runSchema, runWorker, type SchemaRunner } from "../../agents/schema/run-schema.ts";
import { parseSchemaTest, storeTestContent } from "../../agents/schema/schema-test.ts";
import { codeOf } from "../support/error-code.ts";
import { readExample, runnerOf, type SchemaExample } from "../support/schema-example.ts";

const node = (index: number): string => getAddress(`0x${index.toString(16).padStart(40, "0")}`);
const seed = new Uint8Array(32).fill(3);
const drawSeed = new Uint8Array(32).fill(4);

describe("a job schema's programs", function () {
  this.timeout(120_000);
  let home: string;
  let storage: EmbeddedStorage;
  const executor = new WasmExecutor({ workers: 1 });
  const packages: string[] = [];

  before(async () => {
    home = await mkdtemp(join(tmpdir(), "surety-schema-runs-"));
    storage = await openEmbeddedStorage({ folder: home });
  });
  after(async () => {
    await executor.close();
    await storage.close();
    for (const folder of [home, ...packages]) await rm(folder, { recursive: true, force: true });
  });

  /** The example, built once for the tests of one kind. */
  function example(name: SchemaExample): { get: () => SchemaRunner; bytes: (json: unknown) => Uint8Array } {
    let runner: SchemaRunner;
    let schema: SchemaPackage;
    before(async () => {
      schema = await readExample(name);
      packages.push(schema.folder);
      runner = runnerOf(schema, executor, storage);
    });
    return { get: () => runner, bytes: (json) => runner.schema.proto.worker.input.fromJson(json) };
  }

  describe("verified by the solution", () => {
    const { get, bytes } = example("square-root");

    it("rank the closest answer first, and leave out what is none", async () => {
      const { output } = get().schema.proto.worker;
      const given = [
        { node: node(100), reply: output.fromJson({ x: 2 }), checkpoints: [] },
        { node: node(101), reply: output.fromJson({ x: -2 }), checkpoints: [] },
        { node: node(102), reply: output.fromJson({ x: "Infinity" }), checkpoints: [] },
      ];
      const order = { request: bytes({ y: 4 }), nodes: [1, 2, 3, 4].map(node), given, seed, drawSeed };
      const { evaluation, workers, failed } = await runSchema(get(), order);
      expect(failed).to.deep.equal([]);
      const loss = ({ reply }: { reply: Uint8Array }): number =>
        Math.abs(4 - (output.toJson(reply) as { x: number }).x ** 2);
      const expected = workers.toSorted((a, b) => loss(a) - loss(b)).map((each) => each.node);
      expect(evaluation.nodes).to.deep.equal([node(100), ...expected]);
      expect(evaluation.scores[0]).to.equal(1_000_000n);
    });

    it("guess the same again for the same node, and something else for another", async () => {
      const run = (index: number, base = seed) =>
        runWorker(get(), { request: bytes({ y: 9 }), node: node(index), seed: base });
      const first = await run(1);
      expect((await run(1)).reply).to.deep.equal(first.reply);
      expect((await run(2)).reply).not.to.deep.equal(first.reply);
      expect((await run(1, drawSeed)).reply).not.to.deep.equal(first.reply);
    });

    it("leave out a worker whose reply is no message of the schema, and go on", async () => {
      const good = await runWorker(get(), { request: bytes({ y: 4 }), node: node(1), seed });
      const bad = { node: node(2), reply: Uint8Array.of(0xff), checkpoints: [] };
      const more = { node: node(3), reply: Uint8Array.from([...good.reply, 0x78, 1]), checkpoints: [] };
      const order = { request: bytes({ y: 4 }), workers: [bad, good, more], seed, drawSeed };
      const { nodes, leftOut } = await runEvaluator(get(), order);
      expect(nodes).to.deep.equal([node(1)]);
      expect(leftOut.map(({ node, error }) => [node, error.code])).to.deep.equal([
        [node(2), "SCHEMA_MESSAGE_INVALID"],
        [node(3), "SCHEMA_MESSAGE_INVALID"],
      ]);
    });

    it("leave out a worker that brings checkpoints where nothing is verified by them", async () => {
      const good = await runWorker(get(), { request: bytes({ y: 4 }), node: node(1), seed });
      const more = { ...good, node: node(2), checkpoints: [new Uint8Array(1)] };
      const order = { request: bytes({ y: 4 }), workers: [good, more], seed, drawSeed };
      const { nodes, leftOut } = await runEvaluator(get(), order);
      expect(nodes).to.deep.equal([node(1)]);
      expect(leftOut.map(({ error }) => error.code)).to.deep.equal(["SCHEMA_CHECKPOINT_UNEXPECTED"]);
    });

    it("are not run for a request that is no message of the schema", async () => {
      const order = { request: Uint8Array.of(0x78, 1), node: node(1), seed };
      expect(await codeOf(() => runWorker(get(), order))).to.equal("SCHEMA_MESSAGE_INVALID");
    });

    it("are not run for one worker twice", async () => {
      const good = await runWorker(get(), { request: bytes({ y: 4 }), node: node(10), seed });
      const workers = [good, { ...good, node: good.node.toLowerCase() }];
      const order = { request: bytes({ y: 4 }), workers, seed, drawSeed };
      expect(await codeOf(() => runEvaluator(get(), order))).to.equal("SCHEMA_WORKERS_INVALID");
    });

    it("that reach a limit fail by themselves", async () => {
      const { schema } = get();
      if (schema.programs.runtime !== "wasm") throw new Error("of another kind");
      const limits = { ...schema.programs.limits, fuel: 1000 };
      const runner = { ...get(), schema: { ...schema, programs: { ...schema.programs, limits } } };
      const order = { request: bytes({ y: 4 }), nodes: [node(1)], seed, drawSeed };
      expect(await codeOf(() => runWorker(runner, { ...order, node: node(1) }))).to.equal("SCHEMA_PROGRAM_FAILED");
    });
  });

  it("are tested on content that is what the test says it is", async () => {
    const directory = { "rows.csv": "1,2\n" };
    const write = (content: unknown): Uint8Array => Buffer.from(JSON.stringify({ request: {}, content }));
    const right = await storage.add(new Map([["rows.csv", Buffer.from("1,2\n")]]));
    await storeTestContent(storage, parseSchemaTest("test/one.json", write({ [right]: directory })));
    const wrong = parseSchemaTest("test/one.json", write({ [right]: { "rows.csv": "1,3\n" } }));
    expect(await codeOf(() => storeTestContent(storage, wrong))).to.equal("SCHEMA_TEST_INVALID");
    expect(await codeOf(() => parseSchemaTest("test/one.json", write({ [right]: "1,2" })))).to.equal(
      "SCHEMA_TEST_INVALID",
    );
  });

  describe("verified by checkpoints", () => {
    const { get, bytes } = example("checkpoint");
    const points = [0, 1, 2, 3].map((x) => ({ x, y: 2 * x + 1 }));
    const request = (spots: number) => bytes({ points, rate: 0.02, rounds: 6, steps: 50, spots });

    it("commit to every state before the next step begins", async () => {
      const seen: [number, Uint8Array][] = [];
      const onCheckpoint = (number: number, state: Uint8Array): void => void seen.push([number, state]);
      const result = await runWorker(get(), { request: request(1), node: node(1), seed }, { onCheckpoint });
      expect(seen.map(([number]) => number)).to.deep.equal([0, 1, 2, 3, 4]);
      expect(result.checkpoints).to.deep.equal(seen.map(([, state]) => state));
      const states = result.checkpoints.map((state) => Buffer.from(state).toString("hex"));
      expect(new Set(states).size, "it moves").to.equal(5);
    });

    it("find a worker that changed one state, where the spots fall on it", async () => {
      const order = { request: request(64), seed };
      const honest = await runWorker(get(), { ...order, node: node(1) });
      const trained = await runWorker(get(), { ...order, node: node(2) });
      const changed = trained.checkpoints.map((state, number) =>
        number === 2 ? Uint8Array.from(state, (b, at) => (at === 5 ? b ^ 1 : b)) : state,
      );
      const workers = [honest, { ...trained, checkpoints: changed }];
      const { nodes } = await runEvaluator(get(), { ...order, workers, drawSeed });
      expect(nodes).to.deep.equal([node(1)]);
    });

    it("find a worker whose reply is not where its training ended, wherever the spots fall", async () => {
      const order = { request: request(0), seed };
      const honest = await runWorker(get(), { ...order, node: node(1) });
      const lying = await runWorker(get(), { ...order, node: node(2) });
      const reply = get().schema.proto.worker.output.fromJson({ slope: 2, offset: 1 });
      const copied = { ...honest, node: node(3) };
      const bare = { node: node(4), reply, checkpoints: [] };
      const workers = [honest, { ...lying, reply }, copied, bare];
      const { nodes, report } = await runEvaluator(get(), { ...order, workers, drawSeed });
      // Of the copy too: its steps are those of another node's seed.
      expect(nodes).to.deep.equal([node(1)]);
      expect(report).to.match(/^3 of 4 did not train/);
    });

    it("look at other spots for another draw", async () => {
      const order = { request: request(1), seed };
      const trained = await runWorker(get(), { ...order, node: node(2) });
      const changed = trained.checkpoints.map((state, number) =>
        number === 1 ? Uint8Array.from(state, (b, at) => (at === 5 ? b ^ 1 : b)) : state,
      );
      const found: boolean[] = [];
      for (let draw = 0; draw < 24; draw += 1) {
        const workers = [{ ...trained, checkpoints: changed }];
        const { nodes } = await runEvaluator(get(), { ...order, workers, drawSeed: workerSeed(drawSeed, node(draw)) });
        found.push(nodes.length === 0);
      }
      expect(new Set(found).size, "one spot of five finds it at times").to.equal(2);
    });
  });

  describe("verified by execution", () => {
    const { get, bytes } = example("execution");

    it("find every worker that says something else than it comes to", async () => {
      const { output } = get().schema.proto.worker;
      const order = { request: bytes({ darts: "5000" }), seed };
      const honest = await Promise.all([1, 2, 3].map((index) => runWorker(get(), { ...order, node: node(index) })));
      const invented = { node: node(4), reply: output.fromJson({ hits: "3927", estimate: 3.1416 }), checkpoints: [] };
      const copied = { ...honest[0]!, node: node(5) };
      const { nodes } = await runEvaluator(get(), { ...order, workers: [invented, copied, ...honest], drawSeed });
      expect(nodes).to.deep.equal([1, 2, 3].map(node));
    });

    it("may not go on for ever where nothing is verified by checkpoints", async () => {
      const checkpoint = await readExample("checkpoint");
      packages.push(checkpoint.folder);
      const runner = runnerOf(checkpoint, executor, storage);
      const request = checkpoint.proto.worker.input.fromJson({ rounds: 4 });
      const solution = { ...runner, schema: { ...runner.schema, verification: "solution" as const } };
      const order = { request, node: node(1), seed };
      expect(await codeOf(() => runWorker(solution, order))).to.equal("SCHEMA_CHECKPOINT_UNEXPECTED");
      const endless = { ...order, request: checkpoint.proto.worker.input.fromJson({ rounds: 2_000 }) };
      expect(await codeOf(() => runWorker(runner, endless))).to.equal("SCHEMA_CHECKPOINT_UNEXPECTED");
    });
  });
});
