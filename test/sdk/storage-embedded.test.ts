import { EventEmitter, once } from "node:events";
import { mkdtemp, readFile as readDisk, readdir, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { IncomingMessage, ServerResponse } from "node:http";
import { connect, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "chai";
import { CID } from "multiformats/cid";
import * as raw from "multiformats/codecs/raw";
import { sha256 } from "multiformats/hashes/sha2";
import { writeCar } from "#sdk/block.ts";
import type { Block } from "#sdk/block.ts";
import { computeContentId, importDirectory, parseContentId } from "#sdk/content.ts";
import type { Directory } from "#sdk/content.ts";
import { startGateway } from "#sdk/node/gateway-server.ts";
import type { GatewayServerOptions } from "#sdk/node/gateway-server.ts";
import { openEmbeddedStorage } from "#sdk/node/embedded-storage.ts";
import type { EmbeddedStorage, EmbeddedStorageOptions } from "#sdk/node/embedded-storage.ts";
import { codeOf } from "../support/error-code.ts";

const text = (value: string): Uint8Array => new TextEncoder().encode(value);
const caps = { maxBytes: 30_000_000 };
const nested: Directory = new Map([
  ["a/b/c.txt", text("deep")],
  ["a/d.txt", text("less deep")],
  ["top.txt", text("top")],
  ["empty", new Uint8Array()],
]);
const big: Directory = new Map([
  [
    "big.bin",
    Uint8Array.from({ length: 20_000_000 }, (_, index) => (index * 7 + (index >> 12) + (index >> 20) * 13) & 0xff),
  ],
]);

/** What the test opened; closed after it, last first. */
const closing: (() => Promise<unknown>)[] = [];

async function folder(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), "surety-storage-"));
  closing.push(() => rm(path, { recursive: true, force: true }));
  return path;
}

async function store(options: Partial<EmbeddedStorageOptions> = {}): Promise<EmbeddedStorage> {
  const storage = await openEmbeddedStorage({ folder: await folder(), retries: 0, retryDelay: 1, ...options });
  closing.push(() => storage.close());
  return storage;
}

async function gateway(storage: EmbeddedStorage, options: Partial<GatewayServerOptions> = {}): Promise<string> {
  const running = await startGateway({ storage, ...options });
  closing.push(() => running.close());
  return running.url;
}

/** A gateway that answers as the test says, and counts what it was asked. */
async function badGateway(
  answer: (request: IncomingMessage, response: ServerResponse) => unknown,
): Promise<{ url: string; requests: string[] }> {
  const requests: string[] = [];
  const server = createServer((request, response) => {
    requests.push(request.url ?? "");
    response.on("error", () => {});
    void answer(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  closing.push(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, requests };
}

async function carOf(root: CID, blocks: readonly Block[]): Promise<Buffer<ArrayBuffer>> {
  const parts: Uint8Array[] = [];
  const source = async function* (): AsyncGenerator<Block> {
    yield* blocks;
  };
  for await (const part of writeCar(root, source())) parts.push(part);
  return Buffer.concat(parts);
}

async function blocksOf(directory: Directory): Promise<{ root: CID; blocks: Block[] }> {
  const blocks: Block[] = [];
  const root = await importDirectory(directory, async (block) => void blocks.push(block));
  // Parents are made last and must come first.
  return { root, blocks: blocks.toReversed() };
}

async function rawBlock(bytes: Uint8Array): Promise<Block> {
  return { cid: CID.createV1(raw.code, await sha256.digest(bytes)), bytes };
}

function expectSame(actual: Directory, expected: Directory): void {
  expect([...actual.keys()].sort()).to.deep.equal([...expected.keys()].sort());
  for (const [path, bytes] of expected) expect(Buffer.compare(actual.get(path)!, bytes), path).to.equal(0);
}

afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close();
});

describe("embedded storage", function () {
  // Real servers and 20 MB: slow machines may take a while, and nothing is said about how long.
  this.timeout(60_000);

  describe("alone", () => {
    it("keeps nested, empty and large directories over a restart", async () => {
      const path = await folder();
      const first = await openEmbeddedStorage({ folder: path });
      const cids = [await first.add(nested), await first.add(new Map()), await first.add(big)];
      await first.close();
      const second = await store({ folder: path });
      for (const [index, directory] of [nested, new Map<string, Uint8Array>(), big].entries()) {
        expect(cids[index]).to.equal(await computeContentId(directory));
        expectSame(await second.get(cids[index]!, caps), directory);
      }
      expect(await second.getFile(cids[0]!, "a/d.txt", caps)).to.deep.equal(text("less deep"));
      expect((await second.pins()).sort()).to.deep.equal(cids.toSorted());
    });

    it("says when content is not there, an id is none, or a cap is too low", async () => {
      const storage = await store();
      const cid = await storage.add(nested);
      const absent = await computeContentId(big);
      expect(await codeOf(() => storage.get(absent, caps))).to.equal("CONTENT_NOT_FOUND");
      expect(await codeOf(() => storage.pin(absent))).to.equal("CONTENT_NOT_FOUND");
      expect(await codeOf(() => storage.get("nonsense", caps))).to.equal("CONTENT_ID_INVALID");
      expect(await codeOf(() => storage.add(new Map([["../up", text("")]])))).to.equal("DIRECTORY_INVALID");
      expect(await codeOf(() => storage.get(cid, { maxBytes: 10 }))).to.equal("CONTENT_TOO_LARGE");
      expect(await codeOf(() => storage.get(cid, { ...caps, maxFiles: 3 }))).to.equal("CONTENT_TOO_LARGE");
      expect([await storage.has(cid), await storage.has(absent)]).to.deep.equal([true, false]);
    });

    it("hands out nothing that a bad disk changed, and mends it when it is added again", async () => {
      const path = await folder();
      const storage = await store({ folder: path });
      const cid = await storage.add(nested);
      const files = (await readdir(join(path, "blocks"), { recursive: true })).filter((name) => name.endsWith(".data"));
      for (const name of files) {
        const bytes = await readDisk(join(path, "blocks", name));
        await writeFile(join(path, "blocks", name), bytes.subarray(0, bytes.length - 1));
      }
      expect(await storage.has(cid)).to.equal(false);
      expect(await codeOf(() => storage.get(cid, caps))).to.equal("CONTENT_NOT_FOUND");
      await storage.add(nested);
      expectSame(await storage.get(cid, caps), nested);
    });

    it("collects what no pin needs and nothing else", async () => {
      const storage = await store();
      const kept = await storage.add(nested);
      const dropped = await storage.add(
        new Map([
          ["top.txt", text("top")],
          ["other", text("only here")],
        ]),
      );
      expect(await storage.collect()).to.equal(0);
      await storage.unpin(dropped);
      await storage.unpin(dropped);
      // Its root and "other"; "top.txt" is shared.
      expect(await storage.collect()).to.equal(2);
      expect([await storage.has(kept), await storage.has(dropped)]).to.deep.equal([true, false]);
      expectSame(await storage.get(kept, caps), nested);
    });

    it("loses nothing that is added while it collects", async () => {
      const storage = await store();
      await storage.unpin(
        await storage.add(new Map(Array.from({ length: 500 }, (_, index) => [`old${index}`, text(`old ${index}`)]))),
      );
      const collected = Promise.all([storage.collect(), storage.collect()]);
      const work = Array.from({ length: 50 }, (_, index) => storage.add(new Map([[`f${index}`, text(String(index))]])));
      const cids = await Promise.all(work);
      await collected;
      for (const cid of cids) expect(await storage.has(cid)).to.equal(true);
    });

    it("stops when it is told to", async () => {
      const storage = await store();
      const signal = AbortSignal.abort(new Error("enough"));
      const cid = await storage.add(nested);
      for (const work of [
        () => storage.add(big, { signal }),
        () => storage.get(cid, { ...caps, signal }),
        () => storage.pin(cid, { signal }),
      ]) {
        const error: unknown = await work().then(
          () => undefined,
          (reason: unknown) => reason,
        );
        expect(error).to.have.property("message", "enough");
      }
    });
  });

  describe("with a gateway", () => {
    it("publishes what is added, and others fetch it once", async () => {
      const shared = await store();
      const url = await gateway(shared, { token: "let me in" });
      const alice = await store({ publishTo: url, token: "let me in" });
      const bob = await store({ gateways: [url] });
      for (const directory of [nested, new Map<string, Uint8Array>(), big]) {
        const cid = await alice.add(directory);
        expect(await shared.pins()).to.include(cid);
        const progress: number[] = [];
        expectSame(await bob.get(cid, { ...caps, onProgress: ({ files }) => progress.push(files) }), directory);
        expect(progress).to.have.length(directory.size);
        expect(await bob.has(cid)).to.equal(true);
        expect(await bob.pins()).not.to.include(cid);
        await bob.pin(cid);
        expect(await bob.pins()).to.include(cid);
      }
    });

    it("fetches one file of a large directory and leaves the rest", async () => {
      const shared = await store();
      const url = await gateway(shared);
      const cid = await shared.add(new Map([...big, ["small/wanted", text("yes")]]));
      const reader = await store({ gateways: [url] });
      expect(await reader.getFile(cid, "small/wanted", { maxBytes: 3 })).to.deep.equal(text("yes"));
      expect(await reader.has(cid)).to.equal(false);
      expect(await codeOf(() => reader.getFile(cid, "big.bin", { maxBytes: 19_999_999 }))).to.equal(
        "CONTENT_TOO_LARGE",
      );
      expect(await codeOf(() => reader.getFile(cid, "small/other", caps))).to.equal("CONTENT_PATH_NOT_FOUND");
    });

    it("stops fetching at the cap", async () => {
      const shared = await store();
      const url = await gateway(shared);
      const cid = await shared.add(big);
      const path = await folder();
      const reader = await store({ folder: path, gateways: [url] });
      expect(await codeOf(() => reader.get(cid, { maxBytes: 3_000_000, maxFiles: 10 }))).to.equal("CONTENT_TOO_LARGE");
      expect(await codeOf(() => reader.pin(cid, { maxBytes: 3_000_000 }))).to.equal("CONTENT_TOO_LARGE");
      const stored = (await readdir(join(path, "blocks"), { recursive: true })).filter((name) =>
        name.endsWith(".data"),
      );
      // Two nodes above twenty chunks, and at most three chunks by each of the two calls.
      expect(stored.length).to.be.within(1, 8);
    });

    it("goes on where a gateway that has only a part leaves off", async () => {
      const whole = await store();
      const cid = await whole.add(nested);
      const { root, blocks } = await blocksOf(nested);
      const part = await badGateway(async (request, response) => {
        if (request.url!.includes(root.toString())) response.end(await carOf(root, blocks.slice(0, 2)));
        else response.writeHead(404).end();
      });
      const reader = await store({ gateways: [part.url, await gateway(whole)] });
      expectSame(await reader.get(cid, caps), nested);
    });

    it("refuses wrong bytes, foreign blocks and broken streams, and asks the next", async () => {
      const honest = await store();
      const cid = await honest.add(nested);
      const honestUrl = await gateway(honest);
      const { root, blocks } = await blocksOf(nested);
      const stranger = await rawBlock(text("nobody asked"));
      const answers: Record<string, Buffer> = {
        "other bytes": await carOf(root, [{ cid: root, bytes: text("lies") }]),
        "a foreign block": await carOf(root, [stranger, ...blocks]),
        "another root": await carOf(stranger.cid, [stranger]),
        "no CAR": Buffer.from("<html>welcome</html>"),
        "a huge section": Buffer.concat([
          await carOf(root, []),
          Buffer.from([0xff, 0xff, 0xff, 0xff, 0x7f]),
          root.bytes,
        ]),
        "a huge header": Buffer.from([0xff, 0xff, 0xff, 0xff, 0x7f, 1, 2, 3]),
        nothing: Buffer.alloc(0),
      };
      for (const [what, answer] of Object.entries(answers)) {
        const liar = await badGateway((_, response) => response.end(answer));
        const alone = await store({ gateways: [liar.url] });
        expect(await codeOf(() => alone.get(cid, caps)), what).to.equal("CONTENT_CORRUPT");
        expect(await codeOf(() => alone.getFile(cid, "top.txt", caps)), what).to.equal("CONTENT_CORRUPT");
        expect(await alone.has(cid)).to.equal(false);
        const blamed: string[] = [];
        const reader = await store({ gateways: [liar.url, honestUrl], onGatewayError: (url) => blamed.push(url) });
        expectSame(await reader.get(cid, caps), nested);
        expect(blamed, what).to.deep.equal([liar.url]);
      }
    });

    it("cuts off streams that never end", async () => {
      const { root, blocks } = await blocksOf(nested);
      const cid = root.toString();
      const start = await carOf(root, blocks);
      const header = await carOf(root, []);
      const sections = start.subarray(header.length);
      const endless = (response: ServerResponse, bytes: Uint8Array): void => {
        const more = (): void => {
          while (!response.destroyed && response.write(bytes)) continue;
        };
        response.on("drain", more);
        more();
      };
      const many = Buffer.concat(Array.from({ length: 500 }, () => sections));
      const repeating = await badGateway((_, response) => {
        response.write(header);
        endless(response, many);
      });
      const zeros = await badGateway((_, response) => endless(response, Buffer.alloc(65536)));
      for (const { url } of [repeating, zeros]) {
        const reader = await store({ gateways: [url] });
        const code = await codeOf(() => reader.getFile(cid, "top.txt", { maxBytes: 1000 }));
        expect(code).to.equal("CONTENT_CORRUPT");
      }
      const reader = await store({ gateways: [zeros.url] });
      expect(await codeOf(() => reader.get(cid, { maxBytes: 1000, maxFiles: 10 }))).to.equal("CONTENT_CORRUPT");
      // All of it came before the repeats, so this reader has what it needs.
      const lucky = await store({ gateways: [repeating.url] });
      expectSame(await lucky.get(cid, { maxBytes: 1000, maxFiles: 10 }), nested);
    });

    it("leaves gateways that stall, drip, fail or are gone for the next, and does not ask them first again", async () => {
      const honest = await store();
      const cid = await honest.add(nested);
      const honestUrl = await gateway(honest);
      const silent = await badGateway(() => {});
      const stalling = await badGateway((_, response) => response.write("a"));
      const dripping = await badGateway((_, response) => {
        const timer = setInterval(() => response.write("\x01"), 20);
        response.on("close", () => clearInterval(timer));
      });
      const failing = await badGateway((_, response) => response.writeHead(500).end());
      const busy = await badGateway((_, response) => response.writeHead(429).end());
      const elsewhere = await badGateway((_, response) => response.writeHead(302, { location: honestUrl }).end());
      const gone = "http://127.0.0.1:1";
      const patience = { stallTimeout: 150 };
      for (const url of [silent.url, stalling.url, failing.url, busy.url, elsewhere.url, gone]) {
        const alone = await store({ gateways: [url], ...patience });
        expect(await codeOf(() => alone.get(cid, caps)), url).to.equal("STORAGE_UNREACHABLE");
        const reader = await store({ gateways: [url, honestUrl], ...patience });
        expect(await reader.getFile(cid, "a/b/c.txt", caps)).to.deep.equal(text("deep"));
      }
      const slow = await store({ gateways: [dripping.url], ...patience, blockTimeout: 400 });
      expect(["STORAGE_UNREACHABLE", "CONTENT_CORRUPT"]).to.include(
        await codeOf(() => slow.getFile(cid, "top.txt", caps)),
      );
      // One request each when alone, and one more although four blocks were fetched.
      expect(silent.requests).to.have.length(2);
    });

    it("collects only after what is being fetched is pinned", async () => {
      const honest = await store();
      const cid = await honest.add(nested);
      const { root, blocks } = await blocksOf(nested);
      const car = await carOf(root, blocks);
      const released = new EventEmitter();
      const arrived = new EventEmitter();
      const asked = once(arrived, "asked");
      const slow = await badGateway(async (_, response) => {
        response.write(car.subarray(0, -1));
        arrived.emit("asked");
        await once(released, "go");
        response.end(car.subarray(-1));
      });
      const path = await folder();
      const reader = await store({ folder: path, gateways: [slow.url] });
      const pinning = reader.pin(cid);
      await asked;
      const stored = async (): Promise<number> =>
        (await readdir(join(path, "blocks"), { recursive: true })).filter((name) => name.endsWith(".data")).length;
      while ((await stored()) < blocks.length - 1) await new Promise((resolve) => setTimeout(resolve, 5));
      const collecting = reader.collect();
      // Long enough for a collection that does not wait; one that does is not hurried by it.
      await Promise.race([collecting, new Promise((resolve) => setTimeout(resolve, 200))]);
      released.emit("go");
      await pinning;
      expect(await collecting).to.equal(0);
      expect(await reader.has(cid)).to.equal(true);
    });

    it("tries again after a while when none could be reached", async () => {
      const honest = await store();
      const cid = await honest.add(nested);
      const honestUrl = await gateway(honest);
      let failures = 2;
      const flaky = await badGateway(async (request, response) => {
        if (failures-- > 0) return response.writeHead(503).end();
        const answer = await fetch(`${honestUrl}${request.url}`);
        return response.end(Buffer.from(await answer.arrayBuffer()));
      });
      const reader = await store({ gateways: [flaky.url], retries: 2, retryDelay: 1 });
      expectSame(await reader.get(cid, caps), nested);
    });

    it("says that nobody has it only when everybody said so", async () => {
      const empty = await gateway(await store());
      const absent = await computeContentId(nested);
      const reader = await store({ gateways: [empty, empty] });
      expect(await codeOf(() => reader.get(absent, caps))).to.equal("CONTENT_NOT_FOUND");
      const doubtful = await store({ gateways: [empty, "http://127.0.0.1:1"] });
      expect(await codeOf(() => doubtful.get(absent, caps))).to.equal("STORAGE_UNREACHABLE");
    });

    it("ends a fetch that is given up", async () => {
      const silent = await badGateway(() => {});
      const reader = await store({ gateways: [silent.url], retries: 5 });
      const controller = new AbortController();
      const reading = reader.get(await computeContentId(nested), { ...caps, signal: controller.signal });
      setTimeout(() => controller.abort(new Error("enough")), 50);
      const error: unknown = await reading.then(
        () => undefined,
        (reason: unknown) => reason,
      );
      expect(error).to.have.property("message", "enough");
    });
  });

  describe("publishing", () => {
    it("fails with a code and keeps the content here", async () => {
      const closed = await gateway(await store(), { token: "let me in" });
      const small = await gateway(await store(), { maxUploadBytes: 1_000_000 });
      const readOnly = await gateway(await store(), { maxUploadBytes: 0 });
      const silent = await badGateway(() => {});
      for (const [url, code] of [
        [closed, "STORAGE_REFUSED"],
        [small, "CONTENT_TOO_LARGE"],
        [readOnly, "STORAGE_REFUSED"],
        ["http://127.0.0.1:1", "STORAGE_UNREACHABLE"],
        [silent.url, "STORAGE_UNREACHABLE"],
      ] as const) {
        const storage = await store({
          publishTo: url,
          token: "wrong",
          uploadTimeout: url === silent.url ? 200 : 30_000,
        });
        expect(await codeOf(() => storage.add(big)), url).to.equal(code);
        expect(await storage.has(await computeContentId(big))).to.equal(true);
      }
    });
  });
});

describe("a gateway", function () {
  this.timeout(60_000);

  async function put(
    url: string,
    cid: string,
    body: string | Buffer<ArrayBuffer>,
    headers: Record<string, string> = {},
  ): Promise<number> {
    const response = await fetch(`${url}/ipfs/${cid}`, { method: "PUT", body: new Blob([body]), headers });
    await response.text();
    return response.status;
  }

  it("takes only whole, verified uploads from whoever has the token", async () => {
    const storage = await store();
    const url = await gateway(storage, { token: "let me in" });
    const headers = { authorization: "Bearer let me in" };
    const { root, blocks } = await blocksOf(nested);
    const cid = root.toString();
    const stranger = await rawBlock(text("nobody asked"));
    const good = await carOf(root, blocks);
    expect(await put(url, cid, good)).to.equal(401);
    expect(await put(url, cid, good, { authorization: "Bearer let me im" })).to.equal(401);
    expect(await put(url, cid, await carOf(root, blocks.slice(0, -1)), headers)).to.equal(400);
    expect(
      await put(
        url,
        cid,
        await carOf(root, [...blocks.slice(0, -1), { cid: blocks.at(-1)!.cid, bytes: text("lies") }]),
        headers,
      ),
    ).to.equal(400);
    expect(await put(url, cid, await carOf(root, [...blocks, stranger]), headers)).to.equal(400);
    expect(await put(url, cid, "no CAR", headers)).to.equal(400);
    expect(await put(url, stranger.cid.toString(), await carOf(stranger.cid, [stranger]), headers)).to.equal(400);
    expect(await storage.pins()).to.deep.equal([]);
    expect(await put(url, cid, good, headers)).to.equal(201);
    expect(await put(url, cid, good, headers)).to.equal(201);
    expect(await storage.pins()).to.deep.equal([cid]);
    expect(await storage.localBlock(stranger.cid)).to.equal(undefined);
  });

  it("refuses uploads over its cap, announced or not", async () => {
    const url = await gateway(await store(), { maxUploadBytes: 2000 });
    const large: Directory = new Map([["large", new Uint8Array(3000)]]);
    const { root, blocks } = await blocksOf(large);
    const car = await carOf(root, blocks);
    expect(await put(url, root.toString(), car)).to.equal(413);
    const stream = new Blob([car]).stream();
    const response = await fetch(`${url}/ipfs/${root}`, {
      method: "PUT",
      body: stream,
      ...({ duplex: "half" } as object),
    });
    await response.text();
    expect(response.status).to.equal(413);
  });

  it("lets whom it refuses finish, so that it reads why", async () => {
    const url = new URL(await gateway(await store(), { token: "let me in" }));
    const cid = await computeContentId(nested);
    const socket = connect(Number(url.port), url.hostname);
    const failures: Error[] = [];
    socket.on("error", (error) => failures.push(error));
    const chunk = "400\r\n" + "x".repeat(1024) + "\r\n";
    socket.write(`PUT /ipfs/${cid} HTTP/1.1\r\nhost: ${url.host}\r\ntransfer-encoding: chunked\r\n\r\n${chunk}`);
    const [answer] = (await once(socket, "data")) as [Buffer];
    expect(answer.toString()).to.match(/^HTTP\/1.1 401 /);
    for (let sent = 0; sent < 5; sent += 1) {
      socket.write(chunk);
      await sleep(50);
    }
    socket.write("0\r\n\r\n");
    // The connection is as good as any, then.
    socket.write(`GET /ipfs/bafkqaaa?format=raw HTTP/1.1\r\nhost: ${url.host}\r\nconnection: close\r\n\r\n`);
    const [next] = (await once(socket, "data")) as [Buffer];
    expect(next.toString()).to.match(/^HTTP\/1.1 200 /);
    socket.destroy();
    expect(failures).to.deep.equal([]);
  });

  it("answers like any trustless gateway", async () => {
    const storage = await store();
    const url = await gateway(storage);
    const cid = await storage.add(nested);
    const ask = async (path: string, init: RequestInit = {}): Promise<[number, string | null, number]> => {
      const response = await fetch(`${url}${path}`, init);
      return [response.status, response.headers.get("content-type"), (await response.arrayBuffer()).byteLength];
    };
    const root = (await storage.localBlock(parseContentId(cid)))!;
    expect(await ask(`/ipfs/${cid}?format=raw`)).to.deep.equal([200, "application/vnd.ipld.raw", root.length]);
    expect(await ask(`/ipfs/${cid}`, { headers: { accept: "application/vnd.ipld.raw" } })).to.deep.equal([
      200,
      "application/vnd.ipld.raw",
      root.length,
    ]);
    expect(await ask(`/ipfs/${cid}?format=raw`, { method: "HEAD" })).to.deep.equal([
      200,
      "application/vnd.ipld.raw",
      0,
    ]);
    expect(await ask("/ipfs/bafkqaaa?format=raw")).to.deep.equal([200, "application/vnd.ipld.raw", 0]);
    const [status, type, length] = await ask(`/ipfs/${cid}?format=car&dag-scope=block`);
    expect([status, type]).to.deep.equal([200, "application/vnd.ipld.car; version=1; order=dfs; dups=n"]);
    expect(length).to.be.below((await ask(`/ipfs/${cid}?format=car`))[2]);
    const absent = await computeContentId(big);
    const statuses: [string, RequestInit, number][] = [
      [`/ipfs/${absent}?format=raw`, {}, 404],
      [`/ipfs/${cid}`, {}, 406],
      [`/ipfs/${cid}?format=tar`, {}, 406],
      [`/ipfs/${cid}?format=car&dag-scope=entity`, {}, 400],
      ["/ipfs/nonsense?format=raw", {}, 400],
      ["/", {}, 404],
      ["/ipfs/%2e%2e/pins", {}, 404],
      [`/ipfs/${cid}`, { method: "DELETE" }, 405],
    ];
    for (const [path, init, expected] of statuses) expect((await ask(path, init))[0], path).to.equal(expected);
  });
});
