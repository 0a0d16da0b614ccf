import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import pino from "pino";
import { SuretyError } from "#sdk/errors.ts";
import type { JsonRpc } from "#sdk/json-rpc.ts";
import { openEmbeddedStorage, type EmbeddedStorage } from "#sdk/node/embedded-storage.ts";
import { encodeResult } from "#sdk/request-content.ts";
import { ROLES } from "#sdk/request-terms.ts";
import { contentIdToBytes32 } from "#sdk/content.ts";
import { checkParticipantConfig } from "../../agents/config.ts";
import { WasmExecutor } from "../../agents/executor/wasm-executor.ts";
import { Blocks } from "../../agents/participant/blocks.ts";
import { isEquivalentRuling } from "../../agents/participant/evaluation.ts";
import { HeldContent } from "../../agents/participant/held-content.ts";
import { examine, showQualification, type QualificationParts } from "../../agents/participant/qualification.ts";
import { Tasks } from "../../agents/participant/tasks.ts";
import { packRelease } from "../../agents/schema/package-folder.ts";
import { fetchRelease } from "../../agents/schema/release.ts";
import { code, codeOf } from "../support/error-code.ts";
import { accountAt, rankingOf } from "../support/request-history.ts";
import { readExample } from "../support/schema-example.ts";

describe("what a participant is told", () => {
  const least = {
    home: "home",
    rpc: ["http://127.0.0.1:8545"],
    deployment: "surety.json",
    key: { env: "KEY" },
    storage: { kind: "embedded" },
  };
  const schema = `0x${"AB".repeat(32)}`;

  it("has defaults for all but what every agent is told", () => {
    const { jobs, approve, challenge, funds, reserve, keepDays, workers } = checkParticipantConfig(least);
    expect({ jobs, approve, challenge, funds, reserve, keepDays, workers }).to.deep.equal({
      ...{ jobs: [], approve: "qualified", challenge: "own", funds: "0" },
      ...{ reserve: 1024, keepDays: 7, workers: 1 },
    });
    const named = checkParticipantConfig({ ...least, jobs: [{ schema, roles: ["worker"] }] });
    expect(named.jobs).to.deep.equal([{ schema: schema.toLowerCase(), roles: ["worker"], minReward: "0" }]);
  });

  it("names each job in one way, and each role once", () => {
    const registrant = accountAt(1);
    const refused = [
      { roles: ["worker"] },
      { schema, registrant, roles: ["worker"] },
      { schema, roles: [] },
      { schema, roles: ["worker", "worker"] },
      { schema, roles: ["judge"] },
      { schema: "0x12", roles: ["worker"] },
    ];
    for (const job of refused) {
      expect(code(() => checkParticipantConfig({ ...least, jobs: [job] }))).to.equal("CONFIG_INVALID");
    }
  });
});

describe("tasks of a participant", () => {
  it("are tried again after a while if what failed may pass, and given up if not", async () => {
    const clock = { time: 0, now: () => clock.time, sleep: () => Promise.resolve() };
    const tasks = new Tasks({ logger: pino({ level: "silent" }), signal: new AbortController().signal, clock });
    const tries: string[] = [];
    const fail = async (name: string, kind: "retryable" | "fatal"): Promise<void> => {
      tasks.run(name, () => {
        tries.push(name);
        return Promise.reject(new SuretyError("TRIED", "it failed", { kind }));
      });
      await tasks.settled();
    };
    await fail("passing", "retryable");
    await fail("passing", "retryable");
    expect(tries).to.deep.equal(["passing"]);
    clock.time = 500;
    await fail("passing", "retryable");
    clock.time = 1_000;
    await fail("passing", "retryable");
    expect(tries).to.deep.equal(["passing", "passing"]);
    await fail("lasting", "fatal");
    clock.time = 1_000_000;
    await fail("lasting", "fatal");
    expect(tries).to.deep.equal(["passing", "passing", "lasting"]);
    expect(tasks.isIdle).to.equal(true);
  });
});

describe("the block that an evaluation is drawn from", () => {
  it("is the first after a moment, found without reading all", async () => {
    const asked: number[] = [];
    const rpc: JsonRpc = {
      request: (_method, params) => {
        const number = Number((params as [string])[0]);
        asked.push(number);
        // Two blocks have the same second.
        return Promise.resolve({
          hash: `0x${number}`,
          timestamp: `0x${(1_000 + Math.floor(number / 2)).toString(16)}`,
        });
      },
    };
    for (const [timestamp, expected] of [
      [1_000, 2],
      [1_009, 20],
      [1_499, 1_000],
    ] as const) {
      const found = await new Blocks(rpc).firstAfter(timestamp, { low: 0, high: 1_000 });
      expect(found?.number).to.equal(expected);
    }
    expect(await new Blocks(rpc).firstAfter(1_500, { low: 0, high: 1_000 })).to.equal(undefined);
    expect(asked.length).to.be.below(50);
  });
});

describe("rulings that say the same", () => {
  it("have the same order, and scores that differ by no more than floating point does", () => {
    const scored = (...scores: bigint[]) => ({ ...rankingOf(0, 1), scores });
    expect(isEquivalentRuling(scored(10_000_000n, 5n), scored(10_000_009n, 5n))).to.equal(true);
    expect(isEquivalentRuling(scored(10_000_000n, 5n), scored(10_000_011n, 5n))).to.equal(false);
    expect(isEquivalentRuling(scored(0n, 0n), scored(0n, 0n))).to.equal(true);
    expect(isEquivalentRuling(scored(1n, 0n), scored(0n, 0n))).to.equal(false);
    expect(isEquivalentRuling(rankingOf(0, 1), rankingOf(1, 0))).to.equal(false);
    expect(isEquivalentRuling(rankingOf(0), rankingOf(0, 1))).to.equal(false);
    expect(isEquivalentRuling({ ...rankingOf(), verdict: "void" }, rankingOf())).to.equal(false);
  });
});

describe("content in memory", () => {
  it("is given by content id, within limits", async () => {
    const held = new HeldContent();
    const cid = await held.add(new Map([["a", new Uint8Array(10)]]));
    expect((await held.get(cid, { maxBytes: 10 })).size).to.equal(1);
    expect(await codeOf(() => held.get(cid, { maxBytes: 9 }))).to.equal("CONTENT_TOO_LARGE");
    expect(await codeOf(() => held.get(cid, { maxBytes: 10, maxFiles: 0 }))).to.equal("CONTENT_TOO_LARGE");
    const other = await new HeldContent().add(new Map());
    expect(await codeOf(() => held.get(other, { maxBytes: 10 }))).to.equal("CONTENT_NOT_FOUND");
    expect([...held.pick([cid, other]).keys()]).to.deep.equal([cid]);
  });
});

describe("qualification for a job", () => {
  let folder: string;
  let storage: EmbeddedStorage;
  let executor: WasmExecutor;
  let parts: QualificationParts;

  before(async function () {
    this.timeout(120_000);
    folder = await mkdtemp(join(tmpdir(), "surety-qualification-"));
    storage = await openEmbeddedStorage({ folder });
    executor = new WasmExecutor({ workers: 1 });
    const { directory } = await packRelease(await readExample("square-root"));
    const release = await fetchRelease(storage, contentIdToBytes32(await storage.add(directory)));
    parts = { storage, executor, release };
  });
  after(async () => {
    await executor.close();
    await storage.close();
    await rm(folder, { recursive: true });
  });

  const applicant = { schema: `0x${"12".repeat(32)}`, node: accountAt(7), roles: ROLES.worker as number };
  const ranker = { ...applicant, roles: ROLES.evaluator as number };

  it("is what an admin's own programs say of it", async () => {
    for (const who of [applicant, ranker, { ...applicant, roles: 7 }]) {
      const cid = await storage.add(await showQualification(parts, who));
      expect(await codeOf(() => examine(parts, { ...who, cid }))).to.equal(undefined);
    }
  });

  it("is refused to who shows something else than a valid reply, or nothing", async () => {
    const shown = await showQualification(parts, applicant);
    const { output } = parts.release.proto.worker;
    const reply = (json: object): Uint8Array =>
      encodeResult({ reply: output.fromJson(json), content: new Map(), checkpoints: [] }).get("reply")!;
    const tried = [
      new Map([...shown, ["0/reply", reply({ x: -2 })]]),
      new Map([...shown, ["0/reply", Uint8Array.of(255)]]),
      new Map([...shown, ["0/other", Uint8Array.of(1)]]),
      new Map([...shown, ["0/checkpoints/1", Uint8Array.of(1)]]),
      new Map(),
    ];
    for (const files of tried) {
      const cid = await storage.add(files);
      expect(await codeOf(() => examine(parts, { ...applicant, cid }))).to.equal("QUALIFICATION_FAILED");
    }
  });

  it("is refused to an evaluator that ranks otherwise, copies another's ranking, or shows none", async () => {
    const shown = await showQualification(parts, ranker);
    const another = await showQualification(parts, { ...ranker, node: accountAt(8) });
    const ranking = new TextEncoder().encode(JSON.stringify({ nodes: [accountAt(1)], scores: ["1"] }));
    const tried = [
      new Map([...shown, ["0/ranking.json", ranking]]),
      new Map([...shown, ["0/ranking.json", another.get("0/ranking.json")!]]),
      new Map([...shown, ["0/ranking.json", Uint8Array.of(1)]]),
      new Map([...shown].filter(([path]) => path !== "0/ranking.json")),
    ];
    for (const files of tried) {
      const cid = await storage.add(files);
      expect(await codeOf(() => examine(parts, { ...ranker, cid }))).to.equal("QUALIFICATION_FAILED");
    }
  });
});
