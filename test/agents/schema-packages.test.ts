import { mkdtemp, readFile, rm, writeFile, mkdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import fc from "fast-check";
import { getAddress } from "ethers";
import { contentIdToBytes32 } from "#sdk/content.ts";
import { openEmbeddedStorage } from "#sdk/node/index.ts";
import type { EmbeddedStorage } from "#sdk/node/index.ts";
import { RELEASE_FILE } from "#sdk/schema-release.ts";
import { WasmExecutor } from "../../agents/executor/wasm-executor.ts";
import { packRelease, readPackage, type SchemaPackage } from "../../agents/schema/package-folder.ts";
import { callProgram } from "../../agents/schema/program-call.ts";
import { checkPrograms, fetchRelease, fetchTests } from "../../agents/schema/release.ts";
import { runEvaluator, runWorker } from "../../agents/schema/run-schema.ts";
import { codeOf } from "../support/error-code.ts";
import { copyExample, readExample, runnerOf } from "../support/schema-example.ts";
import { everyProto, rootProto } from "../support/schema-proto.ts";

const node = (index: number): string => getAddress(`0x${index.toString(16).padStart(40, "0")}`);
const seed = new Uint8Array(32).fill(3);

describe("schema packages", function () {
  this.timeout(120_000);
  let home: string;
  let storage: EmbeddedStorage;
  const executor = new WasmExecutor({ workers: 1 });
  const folders: string[] = [];

  before(async () => {
    home = await mkdtemp(join(tmpdir(), "surety-schema-packages-"));
    folders.push(home);
    storage = await openEmbeddedStorage({ folder: join(home, "storage") });
  });
  after(async () => {
    await executor.close();
    await storage.close();
    for (const folder of folders) await rm(folder, { recursive: true, force: true });
  });

  /** A package of AssemblyScript programs in a folder of its own. */
  async function write(proto: string, worker: string, evaluator: string): Promise<string> {
    const folder = await mkdtemp(join(tmpdir(), "surety-schema-own-"));
    folders.push(folder);
    await mkdir(join(folder, "assembly"));
    await writeFile(join(folder, "job_schema.proto"), proto);
    await writeFile(join(folder, "assembly/worker.ts"), worker);
    await writeFile(join(folder, "assembly/evaluator.ts"), evaluator);
    const sources = "sources: { worker: assembly/worker.ts, evaluator: assembly/evaluator.ts }";
    await writeFile(join(folder, "schema.yaml"), `name: own\ndeposit: 2\nchallengeFee: 1\n${sources}\n`);
    return folder;
  }

  describe("released", () => {
    let schema: SchemaPackage;
    let digest: string;

    before(async () => {
      schema = await readExample("square-root");
      folders.push(schema.folder);
      digest = contentIdToBytes32(await storage.add((await packRelease(schema)).directory));
    });

    it("are fetched by what the contract has, and run", async () => {
      const fetched = await fetchRelease(storage, digest);
      expect(fetched.release).to.include({ name: "square-root", runtime: "wasm", verification: "solution" });
      expect(fetched.programs).to.deep.equal(schema.programs);
      await checkPrograms(executor, fetched.programs);
      const request = fetched.proto.worker.input.fromJson({ y: 4 });
      const { reply } = await runWorker({ schema: fetched, executor, storage }, { request, node: node(1), seed });
      expect((fetched.proto.worker.output.toJson(reply) as { x: number }).x).to.be.within(1.8, 2.2);
    });

    it("bring their test data", async () => {
      const [test, ...more] = await fetchTests(storage, await fetchRelease(storage, digest));
      expect(more).to.deep.equal([]);
      expect(test).to.deep.include({ path: "test/four.json", request: { y: 4 }, workers: 12 });
    });

    it("come to the same at every build", async () => {
      const again = await readExample("square-root");
      folders.push(again.folder);
      expect(contentIdToBytes32(await storage.add((await packRelease(again)).directory))).to.equal(digest);
    });

    it("are refused where a program is not the one that was described", async () => {
      const { directory } = await packRelease(schema);
      const module = Uint8Array.from(directory.get("worker.wasm")!);
      module[module.length - 1]! ^= 1;
      directory.set("worker.wasm", module);
      const changed = contentIdToBytes32(await storage.add(directory));
      expect(changed).not.to.equal(digest);
      expect(await codeOf(() => fetchRelease(storage, changed))).to.equal("SCHEMA_RELEASE_MISMATCH");
    });

    it("are refused where the description is not in its one form, or missing", async () => {
      const { directory } = await packRelease(schema);
      const padded = new Map(directory).set(
        RELEASE_FILE,
        Buffer.concat([directory.get(RELEASE_FILE)!, Buffer.from(" ")]),
      );
      const id = contentIdToBytes32(await storage.add(padded));
      expect(await codeOf(() => fetchRelease(storage, id))).to.equal("SCHEMA_RELEASE_INVALID");
      directory.delete(RELEASE_FILE);
      const bare = contentIdToBytes32(await storage.add(directory));
      expect(await codeOf(() => fetchRelease(storage, bare))).to.equal("CONTENT_PATH_NOT_FOUND");
    });
  });

  describe("of AssemblyScript", () => {
    const echo = 'import { Call } from "surety/call";\nimport { All } from "./messages";\n';
    const judge = 'import { Call } from "surety/call";\nimport { Judging, Judged } from "./messages";\n';

    it("read and write every kind of field as protobuf does", async () => {
      const folder = await write(
        everyProto,
        `${echo}export function Work(request: All, call: Call): All { return request; }`,
        `${judge}export function Judge(judging: Judging, call: Call): Judged { return new Judged(); }`,
      );
      const schema = await readPackage(folder);
      const { worker } = schema.proto;
      const runner = runnerOf(schema, executor, storage);
      const integers = fc.record(
        {
          ...{
            a: fc.double({ noNaN: true, noDefaultInfinity: true }),
            b: fc.constantFrom(-0, 0.5, 3e38),
            c: fc.integer(),
          },
          ...{ d: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map(String), e: fc.nat(), g: fc.integer() },
          ...{ f: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map(String), i: fc.nat(), k: fc.integer() },
          ...{ h: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map(String), m: fc.boolean(), n: fc.string() },
          ...{ j: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map(String), l: fc.integer().map(String) },
          o: fc.uint8Array().map((bytes) => Buffer.from(bytes).toString("base64")),
          ...{ p: fc.array(fc.integer()), q: fc.array(fc.string()), t: fc.constantFrom("SOME", "FEWER") },
          r: fc.array(fc.record({ number: fc.nat().map(String), parts: fc.array(fc.constant("AAEC")) })),
          ...{ s: fc.record({ number: fc.nat().map(String) }), u: fc.integer(), left: fc.string() },
          ...{
            v: fc.array(fc.double({ noNaN: true, noDefaultInfinity: true })),
            w: fc.array(fc.constantFrom("NONE", "FEWER")),
          },
        },
        { requiredKeys: [] },
      );
      await fc.assert(
        fc.asyncProperty(integers, async (json) => {
          const message = worker.input.fromJson(json);
          const call = { proto: schema.proto, role: "worker", message, seed } as const;
          const { reply } = await callProgram(executor, runner.schema.programs, call);
          // To the byte: what is left out, and the order of fields, are the same too.
          expect(Buffer.from(reply!).toString("hex")).to.equal(Buffer.from(message).toString("hex"));
        }),
        { numRuns: 60 },
      );
    });

    it("are refused with the compiler's own words", async () => {
      const folder = await copyExample("square-root");
      folders.push(folder);
      await writeFile(join(folder, "assembly/worker.ts"), "export function CalculateRoot(): void { nothing(); }\n");
      expect(await codeOf(() => readPackage(folder))).to.equal("SCHEMA_BUILD_FAILED");
    });

    it("are refused for maps", async () => {
      const folder = await copyExample("square-root");
      folders.push(folder);
      const proto = await readFile(join(folder, "job_schema.proto"), "utf8");
      await writeFile(
        join(folder, "job_schema.proto"),
        proto.replace("float y = 1;", "float y = 1; map<string, int32> m = 2;"),
      );
      expect(await codeOf(() => readPackage(folder))).to.equal("SCHEMA_TYPE_UNSUPPORTED");
    });

    it("pass on large data by content id, and leave out who names what nobody has", async () => {
      const proto = rootProto
        .replace("message Request { float y = 1; }", "message Request { string words_cid = 1; }")
        .replace("message WorkerReply { float x = 1; }", "message WorkerReply { bytes sorted_cid = 1; }");
      const folder = await write(
        proto,
        `import { Call } from "surety/call";
import { Request, WorkerReply } from "./messages";
export function CalculateRoot(request: Request, call: Call): WorkerReply {
  const words = String.UTF8.decode(call.content(request.wordsCid, "words").buffer).split(" ");
  words.sort();
  call.publish("sorted_cid", "words", Uint8Array.wrap(String.UTF8.encode(words.join(" "))));
  return new WorkerReply();
}`,
        `import { Call } from "surety/call";
import { Evaluation, EvaluationResult } from "./messages";
export function EvaluateRoot(evaluation: Evaluation, call: Call): EvaluationResult {
  const result = new EvaluationResult();
  const workers = evaluation.workers!.workers;
  for (let i = 0; i < workers.length; i++) {
    result.node.push(workers[i].node);
    result.score.push(1);
    result.report += workers[i].response!.sortedCid.length.toString() + " ";
  }
  return result;
}`,
      );
      const schema = await readPackage(folder);
      const runner = runnerOf(schema, executor, storage);
      const cid = await storage.add(new Map([["words", Buffer.from("pear apple fig")]]));
      const request = schema.proto.worker.input.fromJson({ wordsCid: cid });
      const result = await runWorker(runner, { request, node: node(1), seed });
      const { sortedCid } = schema.proto.worker.output.toJson(result.reply) as { sortedCid: string };
      expect(Buffer.from(sortedCid, "base64")).to.have.length(36);
      const sorted = await storage.add(new Map([["words", Buffer.from("apple fig pear")]]));
      const absent = {
        node: node(2),
        reply: schema.proto.worker.output.fromJson({ sortedCid: "AAAA" }),
        checkpoints: [],
      };
      const order = { request, workers: [result, absent], seed, drawSeed: seed };
      const evaluation = await runEvaluator(runner, order);
      expect(evaluation.nodes).to.deep.equal([node(1)]);
      expect(evaluation.leftOut.map(({ error }) => error.code)).to.deep.equal(["CONTENT_ID_INVALID"]);
      expect(contentIdToBytes32(sorted).slice(2)).to.equal(
        Buffer.from(sortedCid, "base64").subarray(4).toString("hex"),
      );
    });
  });

  describe("that are not whole", () => {
    it("are refused for a missing file, by its name", async () => {
      for (const name of ["schema.yaml", "job_schema.proto"]) {
        const folder = await copyExample("square-root");
        folders.push(folder);
        await rm(join(folder, name));
        expect(await codeOf(() => readPackage(folder)), name).to.equal("SCHEMA_FILE_MISSING");
      }
    });

    it("are refused for modules that are none", async () => {
      const folder = await copyExample("square-root");
      folders.push(folder);
      await writeFile(join(folder, "schema.yaml"), "name: own\ndeposit: 2\nchallengeFee: 1\n");
      for (const name of ["worker.wasm", "evaluator.wasm"]) await writeFile(join(folder, name), "no module");
      const { programs } = await readPackage(folder);
      expect(await codeOf(() => checkPrograms(executor, programs))).to.equal("PROGRAM_NOT_WASM");
    });

    it("are refused for an image that is missing", async () => {
      const folder = await copyExample("square-root");
      folders.push(folder);
      await writeFile(
        join(folder, "schema.yaml"),
        "name: own\nruntime: container\nimage: image.tar\ndeposit: 2\nchallengeFee: 1\n",
      );
      expect(await codeOf(() => readPackage(folder))).to.equal("SCHEMA_FILE_MISSING");
    });
  });
});
