import { execFile, spawn, spawnSync } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, mkdir, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import { expect } from "chai";
import { computeContentId } from "#sdk/content.ts";
import type { Directory } from "#sdk/content.ts";
import { KuboStorage } from "#sdk/kubo.ts";
import { codeOf } from "../support/error-code.ts";

const text = (value: string): Uint8Array => new TextEncoder().encode(value);
const caps = { maxBytes: 30_000_000 };
const nested: Directory = new Map([
  ["a/b/c.txt", text("deep")],
  ["top.txt", text("top")],
  ["empty", new Uint8Array()],
]);
const big: Directory = new Map([
  [
    "big.bin",
    Uint8Array.from({ length: 5_000_000 }, (_, index) => (index * 7 + (index >> 12) + (index >> 20) * 13) & 0xff),
  ],
  ["names/ü€😀 with spaces", text("x")],
]);
const many: Directory = new Map(
  Array.from({ length: 5000 }, (_, index) => [`file-${index}-${"x".repeat(40)}`, text(String(index))]),
);

const ipfs = process.env["IPFS_BINARY"] ?? "ipfs";
const installed = spawnSync(ipfs, ["version"]).status === 0;
const required = (process.env["SURETY_REQUIRE"] ?? "").split(",").includes("kubo");

describe("Kubo storage", function () {
  this.timeout(60_000);

  describe("at a real node", () => {
    let home: string;
    let daemon: ChildProcess | undefined;
    let url: string;

    const run = (...args: string[]): Promise<{ stdout: string }> =>
      promisify(execFile)(ipfs, args, { env: { ...process.env, IPFS_PATH: join(home, "repo") } });

    before(async function () {
      if (!installed) {
        if (required) throw new Error(`SURETY_REQUIRE asks for Kubo, but there is no ${ipfs}`);
        console.warn("    !! SKIPPED: no `ipfs` binary here, so nothing below was tested against a real Kubo node");
        this.skip();
      }
      home = await mkdtemp(join(tmpdir(), "surety-kubo-"));
      await run("init", "--profile=test");
      // The import profile of content.ts in Kubo's words.
      await run("config", "profile", "apply", "test-cid-v1");
      await run("config", "--json", "Import.UnixFSFileMaxLinks", "1024");
      daemon = spawn(ipfs, ["daemon", "--offline"], {
        env: { ...process.env, IPFS_PATH: join(home, "repo") },
        stdio: ["ignore", "pipe", "inherit"],
      });
      const lines = createInterface({ input: daemon.stdout! });
      for await (const line of lines) {
        const address = /RPC API server listening on \/ip4\/([\d.]+)\/tcp\/(\d+)/.exec(line);
        if (address) url = `http://${address[1]}:${address[2]}`;
        if (line.includes("Daemon is ready")) break;
      }
      daemon.stdout!.resume();
    });

    after(async () => {
      if (daemon && daemon.exitCode === null) {
        daemon.kill();
        await once(daemon, "exit");
      }
      if (home) await rm(home, { recursive: true, force: true });
    });

    it("gives directories back under the ids they have everywhere", async () => {
      const storage = new KuboStorage({ url });
      for (const directory of [nested, new Map<string, Uint8Array>(), big, many]) {
        const cid = await storage.add(directory);
        expect(cid).to.equal(await computeContentId(directory));
        const back = await storage.get(cid, caps);
        expect([...back.keys()].sort()).to.deep.equal([...directory.keys()].sort());
        for (const [path, bytes] of directory) expect(Buffer.compare(back.get(path)!, bytes)).to.equal(0);
        expect(await storage.pins()).to.include(cid);
      }
      await storage.close();
    });

    it("gives the same ids as Kubo itself", async () => {
      for (const directory of [nested, big, many]) {
        const folder = await mkdtemp(join(home, "files-"));
        for (const [path, bytes] of directory) {
          await mkdir(dirname(join(folder, path)), { recursive: true });
          await writeFile(join(folder, path), bytes);
        }
        const { stdout } = await run("add", "--recursive", "--quieter", "--only-hash", folder);
        expect(stdout.trim()).to.equal(await computeContentId(directory));
      }
    });

    it("reads what others added, single files too, and holds it to the caps", async () => {
      const storage = new KuboStorage({ url });
      const cid = await storage.add(many);
      expect(await storage.getFile(cid, [...many.keys()][77]!, { maxBytes: 10 })).to.deep.equal(text("77"));
      expect(await codeOf(() => storage.getFile(cid, "absent", caps))).to.equal("CONTENT_PATH_NOT_FOUND");
      expect(await codeOf(() => storage.get(cid, { ...caps, maxFiles: 4999 }))).to.equal("CONTENT_TOO_LARGE");
      const large = await storage.add(big);
      expect(await codeOf(() => storage.get(large, { maxBytes: 1_000_000, maxFiles: 10 }))).to.equal(
        "CONTENT_TOO_LARGE",
      );
      expect(await codeOf(() => storage.pin(large, { maxBytes: 1_000_000 }))).to.equal("CONTENT_TOO_LARGE");
    });

    it("pins and lets go", async () => {
      const storage = new KuboStorage({ url });
      const cid = await storage.add(nested);
      await storage.unpin(cid);
      await storage.unpin(cid);
      expect(await storage.pins()).not.to.include(cid);
      expect(await storage.has(cid)).to.equal(true);
      await storage.pin(cid);
      expect(await storage.pins()).to.include(cid);
      await storage.unpin(cid);
      await run("repo", "gc", "--quiet");
      expect(await storage.has(cid)).to.equal(false);
      expect(await codeOf(() => storage.get(cid, caps))).to.equal("CONTENT_NOT_FOUND");
      expect(await codeOf(() => storage.pin(cid))).to.equal("CONTENT_NOT_FOUND");
    });
  });

  describe("at something else", () => {
    const servers: (() => void)[] = [];
    afterEach(() => servers.splice(0).forEach((close) => close()));

    async function answering(status: number, body: string | undefined): Promise<KuboStorage> {
      const server = createServer((request, response) => {
        request.resume();
        if (body !== undefined) response.writeHead(status, { "content-type": "application/octet-stream" }).end(body);
      });
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
      servers.push(() => {
        server.closeAllConnections();
        server.close();
      });
      return new KuboStorage({
        url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
        blockTimeout: 200,
        directoryTimeout: 400,
      });
    }

    it("refuses what does not hash to what was asked for", async () => {
      const cid = await computeContentId(nested);
      const liar = await answering(200, "lies");
      expect(await codeOf(() => liar.get(cid, caps))).to.equal("CONTENT_CORRUPT");
      expect(await codeOf(() => liar.getFile(cid, "top.txt", caps))).to.equal("CONTENT_CORRUPT");
    });

    it("says when it is unreachable, stalls, refuses, or is no node", async () => {
      const cid = await computeContentId(nested);
      const cases: [KuboStorage, string][] = [
        [new KuboStorage({ url: "http://127.0.0.1:1" }), "STORAGE_UNREACHABLE"],
        [await answering(200, undefined), "STORAGE_UNREACHABLE"],
        [await answering(403, "no"), "STORAGE_REFUSED"],
        [await answering(404, "404 page not found"), "STORAGE_UNREACHABLE"],
      ];
      for (const [storage, code] of cases) {
        expect(await codeOf(() => storage.get(cid, caps))).to.equal(code);
        expect(await codeOf(() => storage.add(nested))).to.equal(code);
        expect(await codeOf(() => storage.pins())).to.equal(code);
      }
    });

    it("stops when it is told to", async () => {
      const storage = await answering(200, undefined);
      const error: unknown = await storage
        .get(await computeContentId(nested), { ...caps, signal: AbortSignal.timeout(50) })
        .then(
          () => undefined,
          (reason: unknown) => reason,
        );
      expect(error).to.have.property("name", "TimeoutError");
    });
  });
});
