import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { getBytes, id as keccakOf } from "ethers";
import { contentIdToBytes32 } from "#sdk/content.ts";
import { openEmbeddedStorage, type EmbeddedStorage } from "#sdk/node/embedded-storage.ts";
import { checkpointCommitment, encodeInput, encodeResult, inputBytesFile } from "#sdk/request-content.ts";
import type { RequestRecord } from "#sdk/request-state.ts";
import { contentBinding, sealContent, sealKeys } from "#sdk/sealed-content.ts";
import { WasmExecutor } from "../../agents/executor/wasm-executor.ts";
import { Blocks } from "../../agents/participant/blocks.ts";
import { Evaluation } from "../../agents/participant/evaluation.ts";
import { HeldContent } from "../../agents/participant/held-content.ts";
import { resultRecipients } from "../../agents/participant/recipients.ts";
import { Releases } from "../../agents/participant/releases.ts";
import { fetchReport, REPORT_FILE } from "../../agents/participant/report.ts";
import { RequestReader } from "../../agents/participant/request-reader.ts";
import { packRelease } from "../../agents/schema/package-folder.ts";
import { fetchRelease, type VerifiedRelease } from "../../agents/schema/release.ts";
import { runWorker, type WorkerResult } from "../../agents/schema/run-schema.ts";
import { codeOf } from "../support/error-code.ts";
import { accountAt, EVALUATOR, PARENT, RequestHistory, REQUEST_ID, ROOT } from "../support/request-history.ts";
import { readExample } from "../support/schema-example.ts";

const CONTEXT = { chainId: 31337n, requests: accountAt(200), schemas: accountAt(201) };
const DRAWN = { number: 9, hash: keccakOf("block"), timestamp: 9 };
/** What is sealed for the point that all keys of these histories are opens with 1. */
const SECRET = new Uint8Array(32);
SECRET[31] = 1;
const SALT = `0x${"05".repeat(32)}`;
const NOBODY_HAS = keccakOf("nobody has it");
const WORKERS = [0, 1, 2].map(accountAt) as [string, string, string];

/** Of a schema that is verified by checkpoints. */
describe("evaluation of a request", () => {
  let folder: string;
  let storage: EmbeddedStorage;
  let executor: WasmExecutor;
  let schema: VerifiedRelease;
  let digest: string;
  let message: Uint8Array;
  const results = new Map<string, WorkerResult>();

  before(async function () {
    this.timeout(120_000);
    folder = await mkdtemp(join(tmpdir(), "surety-evaluation-"));
    storage = await openEmbeddedStorage({ folder });
    executor = new WasmExecutor({ workers: 1 });
    const { directory } = await packRelease(await readExample("checkpoint"));
    digest = contentIdToBytes32(await storage.add(directory));
    schema = await fetchRelease(storage, digest);
    const [test] = schema.release.tests;
    const { request } = JSON.parse(new TextDecoder().decode(directory.get(test!) as Uint8Array)) as { request: object };
    message = schema.proto.worker.input.fromJson(request);
    for (const node of WORKERS) {
      const order = { request: message, node, seed: getBytes(REQUEST_ID) };
      results.set(node, await runWorker({ schema, executor, storage: new HeldContent() }, order));
    }
  });
  after(async () => {
    await executor.close();
    await storage.close();
    await rm(folder, { recursive: true });
  });

  const evaluationOf = (address: string): Evaluation => {
    const reader = new RequestReader({
      agent: { address, storage, context: CONTEXT },
      keys: { secretKey: SECRET, publicKey: new Uint8Array(33) },
    });
    const rpc = { request: () => Promise.reject(new Error("no block is asked for")) };
    return new Evaluation({ reader, releases: new Releases({ storage, executor }), executor, blocks: new Blocks(rpc) });
  };

  /** A request that all three revealed what they had come to. */
  async function revealed(input = encodeInput({ message, content: new Map() })): Promise<RequestRecord> {
    const stored = contentIdToBytes32(await storage.add(new Map([...input, inputBytesFile(input)])));
    const { record } = new RequestHistory({ input: stored, release: digest, maxWorkers: 3 })
      .keys(PARENT, ROOT)
      .evaluator()
      .worker(0, 1, 2)
      .started()
      .submitted(0, 1, 2)
      .revealed(0, 1, 2);
    for (const node of WORKERS) await reveal(record, node);
    return record;
  }

  async function reveal(record: RequestRecord, node: string, result = results.get(node)!): Promise<void> {
    const checkpoints = result.checkpoints.map((state) => ({ state, salt: SALT }));
    const binding = contentBinding(CONTEXT, { id: record.id, owner: node });
    const opened = encodeResult({ reply: result.reply, content: new Map(), checkpoints });
    const { directory, key } = await sealContent(opened, { binding });
    const shared = sealKeys(key, resultRecipients(record), { binding });
    const worker = record.workers.get(node)!;
    worker.digest = contentIdToBytes32(await storage.add(new Map([...directory, ...shared])));
    worker.checkpoints = results.get(node)!.checkpoints.map((state, number) => {
      return { number, commitment: checkpointCommitment(SALT, state), at: 1, block: 1 };
    });
  }

  it("comes to the same for whoever evaluates, to the last byte of the report", async () => {
    const record = await revealed();
    const found = await Promise.all([EVALUATOR, PARENT, ROOT].map((who) => evaluationOf(who).assess(record, DRAWN)));
    const [first, ...others] = found;
    expect([...first!.ruling.order].sort()).to.deep.equal([...WORKERS].sort());
    expect(first).to.include({ mayPass: false });
    expect(results.get(WORKERS[0])!.checkpoints.length).to.be.above(1);
    for (const other of others) expect(other).to.deep.equal(first);
    const report = await fetchReport(storage, contentIdToBytes32(await storage.add(first!.report)));
    expect(report).to.include({ request: REQUEST_ID, release: digest, drawBlock: 9, verdict: "ranking" });
    expect(report.ranking).to.deep.equal(first!.ruling.order);
    expect(report.report).to.not.be.empty;
  });

  it("reads reports in their one form only", async () => {
    const { report } = await evaluationOf(EVALUATOR).assess(await revealed(), DRAWN);
    const text = new TextDecoder().decode(report.get(REPORT_FILE));
    for (const other of [` ${text}`, text.slice(1), text.replace("{", '{"more":1,'), '{"report":"all is well"}']) {
      const digest = contentIdToBytes32(await storage.add(new Map([[REPORT_FILE, new TextEncoder().encode(other)]])));
      expect(await codeOf(() => fetchReport(storage, digest)), other.slice(0, 20)).to.equal("REPORT_INVALID");
    }
    expect(await codeOf(() => fetchReport(storage, NOBODY_HAS))).to.equal("CONTENT_NOT_FOUND");
  });

  it("leaves out who shows other states than it committed to, and what cannot be had for now", async () => {
    const record = await revealed();
    const { reply, checkpoints, ...rest } = results.get(WORKERS[1])!;
    await reveal(record, WORKERS[1], { ...rest, reply, checkpoints: [...checkpoints].reverse() });
    record.workers.get(WORKERS[2])!.digest = NOBODY_HAS;
    const { ruling, leftOut, mayPass } = await evaluationOf(EVALUATOR).assess(record, DRAWN);
    expect(ruling.order).to.deep.equal([WORKERS[0]]);
    expect(mayPass).to.equal(true);
    expect(leftOut.map(({ node, code, mayPass }) => ({ node, code, mayPass }))).to.have.deep.members([
      { node: WORKERS[1], code: "REQUEST_CHECKPOINTS_WRONG", mayPass: false },
      { node: WORKERS[2], code: "CONTENT_NOT_FOUND", mayPass: true },
    ]);
  });

  it("says that it was withheld what it needs, and whether that may pass", async () => {
    const judged = async (record: RequestRecord): Promise<object> => {
      const { ruling, mayPass } = await evaluationOf(EVALUATOR).assess(record, DRAWN);
      return { verdict: ruling.verdict, mayPass };
    };
    const nonsense = await revealed(encodeInput({ message: Uint8Array.of(255, 1), content: new Map() }));
    expect(await judged(nonsense)).to.deep.equal({ verdict: "withheld", mayPass: false });
    const missing = await revealed();
    missing.request = { ...missing.request, input: NOBODY_HAS };
    expect(await judged(missing)).to.deep.equal({ verdict: "withheld", mayPass: true });
    const unseen = await revealed();
    unseen.testData = NOBODY_HAS;
    expect(await judged(unseen)).to.deep.equal({ verdict: "withheld", mayPass: true });
  });

  it("tells a worker whether its result is valid by itself", async () => {
    const record = await revealed();
    const input = { message, content: new Map() };
    const own = { ...results.get(WORKERS[0])!, input, content: [] };
    expect(await evaluationOf(WORKERS[0]).isValidAlone(record, DRAWN, own)).to.equal(true);
    const invented = { ...own, checkpoints: own.checkpoints.map((state) => new Uint8Array(state.length)) };
    expect(await evaluationOf(WORKERS[0]).isValidAlone(record, DRAWN, invented)).to.equal(false);
  });

  it("waits until the block that it is drawn from is final", async () => {
    const record = new RequestHistory().ranking().record;
    const { revealedBlock } = record;
    const { drawBlock } = Evaluation.prototype;
    const evaluation = evaluationOf(EVALUATOR);
    expect(await drawBlock.call(evaluation, record, { finalNumber: revealedBlock! - 1 })).to.equal(undefined);
  });
});
