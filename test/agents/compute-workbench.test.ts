import { expect } from "chai";
import { Wallet } from "ethers";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import pino from "pino";
import { BATCH_MANIFEST_FILE, buildBatchManifest } from "#sdk/batch-manifest.ts";
import { batchNonce, taskDigest, verifyOpening } from "#sdk/commitment.ts";
import { contentIdFromBytes32, contentIdToBytes32 } from "#sdk/content.ts";
import { PRIMARY } from "#sdk/context.ts";
import { checkEnvelopeProof, proofOfEvidence } from "#sdk/envelope.ts";
import { buildJobSpec, JOB_SPEC_FILE } from "#sdk/job-spec.ts";
import type { BatchRecord } from "#sdk/market-state.ts";
import { openEmbeddedStorage, startGateway, type EmbeddedStorage, type Gateway } from "#sdk/node/index.ts";
import type { ResourceTrace } from "#sdk/resource-trace.ts";
import { readManifest, readTrace } from "#sdk/results.ts";
import { encryptionKeyPair } from "#sdk/seed.ts";
import type { Storage } from "#sdk/storage.ts";
import { inspectDelivery, type Delivery } from "../../agents/compute/delivery.ts";
import { Retention } from "../../agents/compute/retention.ts";
import type { Part } from "../../agents/compute/facts.ts";
import { Programs } from "../../agents/compute/programs.ts";
import { Workbench, type Commitment } from "../../agents/compute/workbench.ts";
import type { Executor, TaskOutcome } from "../../agents/executor/executor.ts";
import { Journal } from "../../agents/journal/journal.ts";
import { codeOf } from "../support/error-code.ts";
import { BATCH_ID, MARKET, MarketHistory, TERMS } from "../support/market-history.ts";

const wallet = new Wallet(`0x${"5a".repeat(32)}`);
const requester = encryptionKeyPair(`0x${"77".repeat(32)}`);
const context = { chainId: 31_337n, market: MARKET };
const part: Part = { batchId: BATCH_ID, assignment: 0, ...PRIMARY, tasks: [0, 1, 2] };
const logger = pino({ level: "silent" });
const { signal } = new AbortController();
const text = (value: string): Uint8Array => new TextEncoder().encode(value);

/** Gives what its arguments say, or what it is told to say instead; counts what it runs. */
class TellingExecutor implements Executor {
  readonly runtime = "wasm" as const;
  instead: string | undefined;
  trace: ResourceTrace | undefined;
  runs = 0;
  running = 0;
  /** Most that ran at once. */
  most = 0;

  async check(): ReturnType<Executor["check"]> {
    return { sha256: "", bytes: 0, functions: 0, imports: [], initialMemoryBytes: 0 };
  }

  async run({ args }: Parameters<Executor["run"]>[0]): ReturnType<Executor["run"]> {
    this.runs += 1;
    this.most = Math.max(this.most, (this.running += 1));
    await sleep(5);
    this.running -= 1;
    const usage = { fuel: 1n, peakMemoryBytes: 0, milliseconds: 0 };
    const stdout = text(this.instead ?? args.join());
    const outcome: TaskOutcome = { exit: { code: 0 }, stdout, stderr: text(""), files: new Map(), usage };
    return this.trace ? { ...outcome, trace: this.trace } : outcome;
  }

  async close(): Promise<void> {
    // Nothing is open.
  }
}

/** A batch of three tasks as a node sees it once it has submitted `commitment`. */
async function batchOf(storage: Storage): Promise<BatchRecord> {
  const program = await storage.add(new Map([["program.wasm", text("program")]]));
  const limits = { fuel: 1_000, memory: 65_536, seconds: 10, output: 1_000, files: 4 };
  const args = ["task-{index}"];
  const job = buildJobSpec({
    version: 1,
    name: "tell",
    executor: "wasm",
    program: { cid: program, path: "program.wasm" },
    args,
    limits,
  });
  const spec = contentIdToBytes32(await storage.add(new Map([[JOB_SPEC_FILE, job]])));
  const input = await storage.add(new Map([["input", text("input")]]));
  const manifest = await storage.add(new Map([[BATCH_MANIFEST_FILE, buildBatchManifest([input, input, input])]]));
  const encryptionKey = `0x${Buffer.from(requester.publicKey).toString("hex")}`;
  const history = new MarketHistory({ count: 3, terms: { ...TERMS, spec, encryptionKey } }).post();
  history.claim(wallet.address, 3);
  const { record } = history;
  record.batch.manifest = contentIdToBytes32(manifest);
  return record;
}

function submit(record: BatchRecord, commitment: Commitment): void {
  const [assignment] = record.assignments;
  const { root, manifest, envelope } = commitment;
  assignment!.submission = {
    node: wallet.address,
    first: 0,
    count: 3,
    root,
    content: root,
    manifest,
    envelope,
    block: 1,
  };
}

function contest(record: BatchRecord, evidence: string): void {
  const never = { openings: new Map(), rulings: [], juries: [], missed: [], falselyAccused: 0n };
  const time = { at: 0, since: { at: 0, block: 0 }, changedAt: 0, deadline: 0 };
  const where = {
    matter: "delivery" as const,
    by: record.terms.requester,
    task: 0,
    member: 0,
    stage: "casting" as const,
  };
  record.assignments[0]!.dispute = { ...where, tier: 1, evidence, ...time, ...never };
}

describe("Workbench", () => {
  let folder: string;
  let storage: EmbeddedStorage;
  let gateway: Gateway;
  let journal: Journal;
  let executor: TellingExecutor;
  let record: BatchRecord;
  let bench: Workbench;

  const benchOn = (on: Journal): Workbench =>
    new Workbench({
      journal: on,
      storage,
      executor,
      rechecker: executor,
      programs: new Programs({ storage, executor }),
      logger,
      node: wallet.address,
      secret: wallet.privateKey,
      context,
      parallel: 2,
    });

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "surety-bench-"));
    storage = await openEmbeddedStorage({ folder: join(folder, "storage") });
    gateway = await startGateway({ storage });
    journal = Journal.open({ home: join(folder, "home") });
    executor = new TellingExecutor();
    record = await batchOf(storage);
    bench = benchOn(journal);
  });

  afterEach(async () => {
    journal.close();
    await gateway.close();
    await storage.close();
    await rm(folder, { recursive: true, force: true });
  });

  it("opens what it committed to, task by task", async () => {
    const { root } = await bench.commit(part, record, signal);
    for (const task of part.tasks) {
      const { opening, proof } = await bench.opening({ ...part, task, root }, record, signal);
      expect(opening.task).to.equal(task);
      const member = { ...context, batchId: BATCH_ID, member: wallet.address };
      expect(verifyOpening(root, opening, proof, member)).to.equal(true);
    }
    expect(executor.runs).to.equal(3);
  });

  it("runs so many tasks at once and no more, whatever is published meanwhile", async () => {
    await bench.commit(part, record, signal);
    expect([executor.runs, executor.most]).to.deep.equal([3, 2]);
  });

  it("opens it with a new journal too, as long as it finds the same again", async () => {
    const { root } = await bench.commit(part, record, signal);
    const known = await bench.opening({ ...part, task: 1, root }, record, signal);
    const lost = Journal.open({ home: join(folder, "new-home") });
    expect(await benchOn(lost).opening({ ...part, task: 1, root }, record, signal)).to.deep.equal(known);
    lost.close();
    executor.instead = "something else";
    const other = Journal.open({ home: join(folder, "other-home") });
    expect(await codeOf(() => benchOn(other).opening({ ...part, task: 1, root }, record, signal))).to.equal(
      "COMMITMENT_LOST",
    );
    other.close();
  });

  it("seals what each task used beside its output, and commits to the same with and without", async () => {
    const without = await bench.commit(part, record, signal);
    const samples = [{ at: 0, cpu: 5, memory: 6, read: 7, written: 8, processes: 1 }];
    executor.trace = { version: 1, source: "cgroup-v1", every: 40, samples };
    const other = Journal.open({ home: join(folder, "other-home") });
    const traced = benchOn(other);
    const { root, manifest } = await traced.commit(part, record, signal);
    expect(root).to.equal(without.root);
    const content = checkEnvelopeProof(proofOfEvidence(traced.evidence(part, record)), {
      sealed: Buffer.from((await traced.commit(part, record, signal)).envelope.slice(2), "hex"),
      recipientPublicKey: requester.publicKey,
      context: { ...context, batchId: BATCH_ID, assignment: 0, ...PRIMARY },
    });
    const claimed = { node: wallet.address, tasks: part.tasks, root, manifest };
    const results = await readManifest(BATCH_ID, claimed, content, { storage, context });
    for (const result of results) {
      expect(await readTrace(result, { storage })).to.deep.equal(executor.trace);
      expect([...(await storage.get(result.sealedOutput, { maxBytes: 1 << 20 })).keys()]).to.deep.equal([
        "output",
        "trace",
      ]);
    }
    other.close();
  });

  it("checks a result by running the task again, once", async () => {
    await bench.commit(part, record, signal);
    expect(bench.checked(part, 1)).to.equal(undefined);
    expect(await bench.check(part, 1, record, signal)).to.equal(true);
    expect(executor.runs).to.equal(4);
    expect(await bench.check(part, 1, record, signal)).to.equal(true);
    expect(executor.runs).to.equal(4);
    expect(benchOn(journal).checked(part, 1)).to.equal(true);
    executor.instead = "something else";
    expect(await bench.check(part, 2, record, signal)).to.equal(false);
    expect(bench.checked(part, 2)).to.equal(false);
    expect(bench.checked(part, 1)).to.equal(true);
  });

  it("finds as a juror what digests are made of, once", async () => {
    const { root } = await bench.commit(part, record, signal);
    const { opening } = await bench.opening({ ...part, task: 2, root }, record, signal);
    const value = await bench.outputRoot(record, 2, signal);
    expect(taskDigest(batchNonce({ ...context, batchId: BATCH_ID }), 2, value)).to.equal(opening.digest);
    executor.instead = "something else";
    expect(await bench.outputRoot(record, 2, signal)).to.equal(value);
    expect(executor.runs).to.equal(4);
  });

  it("shows what its envelope holds", async () => {
    const { envelope } = await bench.commit(part, record, signal);
    const sealing = {
      recipientPublicKey: requester.publicKey,
      context: { ...context, batchId: BATCH_ID, assignment: 0, ...PRIMARY },
    };
    const proof = proofOfEvidence(bench.evidence(part, record));
    const content = checkEnvelopeProof(proof, { sealed: Buffer.from(envelope.slice(2), "hex"), ...sealing });
    expect(content.node).to.equal(wallet.address);
    expect(() => bench.evidence({ ...part, assignment: 1 }, record))
      .to.throw()
      .with.property("code", "COMMITMENT_LOST");
  });

  it("publishes everything again that somebody removed from where it was published", async () => {
    const publisher = await openEmbeddedStorage({ folder: join(folder, "public") });
    const open = await startGateway({ storage: publisher, token: "test" });
    const published = await openEmbeddedStorage({
      folder: join(folder, "storage"),
      publishTo: open.url,
      token: "test",
    });
    const { manifest } = await bench.commit(part, record, signal);
    expect(await publisher.pins()).to.deep.equal([]);
    const executors = { executor, rechecker: executor };
    const key = { node: wallet.address, secret: wallet.privateKey };
    const parts = { journal, ...executors, logger, context, ...key, parallel: 1 };
    const programs = new Programs({ storage: published, executor });
    await new Workbench({ ...parts, storage: published, programs }).republish(part, record, signal);
    expect(await publisher.pins()).to.have.length(4);
    expect(await publisher.pins()).to.include(contentIdFromBytes32(manifest));
    await open.close();
    await publisher.close();
    await published.close();
  });

  describe("as a juror of a delivery", () => {
    let own: EmbeddedStorage;

    /** What a juror finds that can fetch from these gateways. */
    async function found(gateways: string[]): Promise<Delivery> {
      own = await openEmbeddedStorage({ folder: join(folder, "juror"), gateways });
      // That it has the job from before is all it needs of others than the accused.
      const programs = new Programs({ storage, executor });
      const retention = new Retention({ journal, storage: own, logger, keepSeconds: 0 });
      return inspectDelivery(record, part, { storage: own, retention, programs, context }, signal);
    }

    beforeEach(async () => {
      submit(record, await bench.commit(part, record, signal));
      contest(record, bench.evidence(part, record));
    });

    afterEach(() => own.close());

    it("finds what is there, and keeps it", async () => {
      expect(await found([gateway.url])).to.equal("delivered");
      expect(await own.pins()).to.have.length(4);
    });

    it("does not find what nobody has, yet", async () => {
      expect(await found([])).to.equal("unreachable");
    });

    it("finds it wrong where the evidence does not fit the envelope", async () => {
      contest(record, `${bench.evidence(part, record).slice(0, -2)}00`);
      expect(await found([gateway.url])).to.equal("wrong");
      await own.close();
      contest(record, "0x");
      expect(await found([gateway.url])).to.equal("wrong");
    });

    it("finds it wrong where another node's work was copied, or the root is another's", async () => {
      record.assignments[0]!.submission!.root = `0x${"12".repeat(32)}`;
      expect(await found([gateway.url])).to.equal("wrong");
      await own.close();
      submit(record, await bench.commit(part, record, signal));
      record.assignments[0]!.submission!.node = new Wallet(`0x${"33".repeat(32)}`).address;
      expect(await found([gateway.url])).to.equal("wrong");
    });

    it("finds it wrong where the manifest lacks a task", async () => {
      part.tasks.push(3);
      try {
        expect(await found([gateway.url])).to.equal("wrong");
      } finally {
        part.tasks.pop();
      }
    });
  });
});
