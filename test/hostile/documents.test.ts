import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { expect } from "chai";
import { getAddress, keccak256 } from "ethers";
import { buildBatchManifest, parseBatchManifest } from "#sdk/batch-manifest.ts";
import { batchNonce, taskDigest } from "#sdk/commitment.ts";
import { contentIdFromBytes32, contentIdToBytes32 } from "#sdk/content.ts";
import { parseJobFile } from "#sdk/job-file.ts";
import { buildJobSpec, parseJobSpec } from "#sdk/job-spec.ts";
import { openEmbeddedStorage } from "#sdk/node/embedded-storage.ts";
import { decodeTrace, encodeTrace } from "#sdk/resource-trace.ts";
import { openManifest } from "#sdk/result-manifest.ts";
import { parseSchemaFile, type WasmSchemaFile } from "#sdk/schema-file.ts";
import { digestOf, encodeRelease, parseRelease, wasmRelease } from "#sdk/schema-release.ts";
import { sealBytes } from "#sdk/sealed-file.ts";
import { Endpoint } from "../../agents/chain/endpoint.ts";
import { outputDirectory, parseOutputDirectory } from "../../agents/executor/outcome.ts";
import { codeOf } from "../support/error-code.ts";

const text = (value: string): Uint8Array => new TextEncoder().encode(value);
const cid = contentIdFromBytes32(`0x${"01".repeat(32)}`);

/** A document as its maker writes it, its reader, and the code it refuses others with. */
interface Kind {
  good: string;
  read: (bytes: Uint8Array) => unknown;
  code: string;
  /** A number in it, as text, that stands there once. */
  number: string;
}

const context = {
  chainId: 1n,
  market: getAddress(`0x${"aa".repeat(20)}`),
  batchId: `0x${"01".repeat(32)}`,
  member: getAddress(`0x${"0b".repeat(20)}`),
};
const word = (value: bigint): string => value.toString(16).padStart(64, "0");
const manifestData = Buffer.concat([
  Buffer.from("surety/result-manifest/v1"),
  Buffer.from(
    word(context.chainId) + [context.market, context.batchId, context.member].map((hex) => hex.slice(2)).join(""),
    "hex",
  ),
]);

/** A manifest as a liar seals it, under the right key and hash, whatever it says. */
function openForged(bytes: Uint8Array): unknown {
  const { bytes: sealed, key: manifestKey } = sealBytes(bytes, { associatedData: manifestData });
  return openManifest({ sealed, manifestKey, manifestHash: keccak256(sealed), context, count: 10_000 });
}

const result = {
  task: 0,
  digest: taskDigest(batchNonce(context), 0, contentIdToBytes32(cid)),
  salt: `0x${"02".repeat(32)}`,
  output: cid,
  sealedOutput: cid,
  contentKey: `0x${"03".repeat(32)}`,
  exit: { code: 0, fuel: 1777 },
};

const spec = {
  version: 1 as const,
  name: "a job",
  executor: "wasm" as const,
  program: { cid, path: "tile.wasm" },
  args: [],
  limits: { fuel: 1777, memory: 65536, seconds: 30, output: 1024, files: 10 },
};

const trace = {
  version: 1 as const,
  source: "wasm" as const,
  every: 1777,
  samples: [{ at: 2000, memory: 65536, output: 0 }],
};

const ended = {
  exit: { code: 177 },
  stdout: new Uint8Array(),
  stderr: new Uint8Array(),
  files: new Map<string, Uint8Array>(),
};

const schemaFile = "name: a schema\ndeposit: 2\nchallengeFee: 1\nlimits: { fuel: 1777 }\n";
const file = (path: string) => ({ path, digest: digestOf(text(path)) });
const release = wasmRelease(parseSchemaFile(schemaFile) as WasmSchemaFile, {
  proto: file("job_schema.proto"),
  tests: [],
  programs: { worker: file("worker.wasm"), evaluator: file("evaluator.wasm") },
});

const decode = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

const kinds: Record<string, Kind> = {
  "a job specification": {
    good: decode(buildJobSpec(spec)),
    read: parseJobSpec,
    code: "JOB_SPEC_INVALID",
    number: "1777",
  },
  "a batch manifest": {
    good: decode(buildBatchManifest([{ input: cid, index: 1777 }])),
    read: (bytes) => parseBatchManifest(bytes, 1),
    code: "BATCH_MANIFEST_INVALID",
    number: "1777",
  },
  "a result manifest": {
    good: JSON.stringify({ version: 1, tasks: [result] }),
    read: openForged,
    code: "RESULT_MANIFEST_INVALID",
    number: "1777",
  },
  "a release of a job schema": {
    good: decode(encodeRelease(release)),
    read: parseRelease,
    code: "SCHEMA_RELEASE_INVALID",
    number: "1777",
  },
  "a resource trace": {
    good: decode(encodeTrace(trace)),
    read: decodeTrace,
    code: "RESOURCE_TRACE_INVALID",
    number: "1777",
  },
  "how a task ended": {
    good: decode(outputDirectory(ended).get("exit")!),
    read: (bytes) => parseOutputDirectory(new Map([...outputDirectory(ended), ["exit", bytes]])),
    code: "OUTPUT_INVALID",
    number: "177",
  },
};

/** What a document can be turned into that parsers disagree about, or that breaks them. */
const turns: Record<string, (document: Kind) => Uint8Array> = {
  "1e400, which is infinite": ({ good, number }) => text(good.replace(number, "1e400")),
  "an integer beyond 2^53": ({ good, number }) => text(good.replace(number, "9007199254740993")),
  "an integer of 400 digits": ({ good, number }) => text(good.replace(number, "1".repeat(400))),
  "a number with a fraction of nothing": ({ good, number }) => text(good.replace(number, `${number}.0`)),
  "minus nothing": ({ good, number }) => text(good.replace(number, "-0")),
  "a key twice": ({ good, number }) => text(good.replace(new RegExp(`"(\\w+)":${number}`), `"$1":1,"$1":${number}`)),
  "a prototype": ({ good }) => text(good.replace("{", '{"__proto__":{"isAdmin":true},')),
  "200,000 levels of arrays": () => text("[".repeat(200_000) + "]".repeat(200_000)),
  "200,000 levels of objects, never closed": () => text('{"a":'.repeat(200_000)),
  "200,000 levels within it": ({ good, number }) =>
    text(good.replace(number, "[".repeat(200_000) + "]".repeat(200_000))),
  "a NUL": ({ good, number }) => text(good.replace(number, `${number}\0`)),
  "bytes that are not UTF-8": ({ good }) => Buffer.concat([text(good), Uint8Array.of(0xff, 0xfe)]),
  gzip: ({ good }) => gzipSync(good),
  nothing: () => new Uint8Array(),
};

describe("Documents of hostile strangers", function () {
  this.timeout(60_000);

  for (const [name, kind] of Object.entries(kinds))
    describe(name, () => {
      it("control: is read as it should be", () => {
        expect(kind.good.split(kind.number)).to.have.lengthOf(2);
        expect(kind.read(text(kind.good))).to.be.an("object");
      });
      for (const [what, turn] of Object.entries(turns))
        it(`is refused with ${what}`, async () =>
          expect(await codeOf(() => kind.read(turn(kind)))).to.equal(kind.code));
    });

  it("are no bombs of YAML: a job file of aliases of aliases is refused", async () => {
    const lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"];
    for (let level = 1; level < 12; level++) {
      lines.push(
        `a${level}: &a${level} [${Array(9)
          .fill(`*a${level - 1}`)
          .join(", ")}]`,
      );
    }
    expect(await codeOf(() => parseJobFile(lines.join("\n")))).to.equal("JOB_FILE_INVALID");
  });
});

/** A thousand bytes of what comes out for each that goes in. */
const bomb = gzipSync(Buffer.alloc(256 << 20), { level: 9 });

describe("Packed answers of hostile servers", function () {
  this.timeout(120_000);
  let server: Server;
  let url: string;
  let sent = 0;
  let answer: Uint8Array = bomb;

  before(async () => {
    server = createServer((_, response) => {
      response.setHeader("content-encoding", "gzip");
      response.setHeader("content-type", "application/json");
      response.end(answer);
      sent++;
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  after(() => server.close());
  beforeEach(() => {
    sent = 0;
    answer = bomb;
  });

  it("control: unpack to a thousand times their size, and are unpacked by whoever asks", async () => {
    expect((256 << 20) / bomb.length).to.be.greaterThan(1000);
    answer = gzipSync(JSON.stringify({ jsonrpc: "2.0", id: 1, result: "0x1" }));
    expect(await endpoint().request("eth_chainId", [])).to.equal("0x1");
  });

  it("are cut off at the cap by whoever asks a gateway", async () => {
    const folder = await mkdtemp(join(tmpdir(), "surety-bomb-"));
    const storage = await openEmbeddedStorage({ folder, gateways: [url], retries: 0, retryDelay: 1 });
    try {
      const unpacked = await peakOf(async () => {
        expect(await codeOf(() => storage.getFile(cid, "top.txt", { maxBytes: 1000 }))).to.equal("CONTENT_CORRUPT");
      });
      expect(sent).to.be.greaterThan(0);
      expect(unpacked).to.be.lessThan(128 << 20);
    } finally {
      await storage.close();
      await rm(folder, { recursive: true });
    }
  });

  it("are cut off at the cap by whoever asks a chain", async () => {
    const unpacked = await peakOf(async () => {
      const refusal = await endpoint()
        .request("eth_chainId", [])
        .then(
          () => undefined,
          (error: Error) => error,
        );
      expect(refusal).to.be.instanceOf(Error);
    });
    expect(sent).to.be.greaterThan(0);
    expect(unpacked).to.be.lessThan(192 << 20);
  });

  function endpoint(): Endpoint {
    return new Endpoint({ url }, { name: "hostile", timeoutMs: 30_000 } as ConstructorParameters<typeof Endpoint>[1]);
  }
});

/** How many bytes of buffers `work` held at its worst, beside what was there. */
async function peakOf(work: () => Promise<void>): Promise<number> {
  const held = (): number => process.memoryUsage().arrayBuffers;
  const before = held();
  let peak = 0;
  const timer = setInterval(() => (peak = Math.max(peak, held() - before)), 5);
  try {
    await work();
  } finally {
    clearInterval(timer);
  }
  return Math.max(peak, held() - before);
}
