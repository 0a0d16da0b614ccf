import { expect } from "chai";
import * as dagPb from "@ipld/dag-pb";
import fc from "fast-check";
import { UnixFS } from "ipfs-unixfs";
import { CID } from "multiformats/cid";
import * as raw from "multiformats/codecs/raw";
import { sha256 } from "multiformats/hashes/sha2";
import { blockKey } from "#sdk/block.ts";
import type { Block, BlockSource } from "#sdk/block.ts";
import {
  computeContentId,
  contentIdFromBytes32,
  contentIdToBytes32,
  importDirectory,
  parseContentId,
  readDirectory,
  readFile,
} from "#sdk/content.ts";
import type { Directory } from "#sdk/content.ts";
import { StorageError } from "#sdk/storage.ts";
import { codeOf } from "../support/error-code.ts";

const text = (value: string): Uint8Array => new TextEncoder().encode(value);

/** Blocks in memory, counting how often they are read. */
class Blocks {
  readonly byKey = new Map<string, Uint8Array>();
  reads = 0;

  readonly source: BlockSource = async (cid) => {
    this.reads += 1;
    const bytes = this.byKey.get(blockKey(cid));
    if (!bytes) throw new StorageError("CONTENT_NOT_FOUND", "not in memory");
    return bytes;
  };

  readonly put = async ({ cid, bytes }: Block): Promise<void> => void this.byKey.set(blockKey(cid), bytes);

  async raw(bytes: Uint8Array): Promise<CID> {
    const cid = CID.createV1(raw.code, await sha256.digest(bytes));
    await this.put({ cid, bytes });
    return cid;
  }

  async node(unixfs: UnixFS, links: { Name: string; Hash: CID }[] = []): Promise<CID> {
    const bytes = dagPb.encode({ Data: unixfs.marshal(), Links: links.map((link) => ({ ...link, Tsize: 0 })) });
    const cid = CID.createV1(dagPb.code, await sha256.digest(bytes));
    await this.put({ cid, bytes });
    return cid;
  }

  folder(...entries: [string, CID][]): Promise<CID> {
    return this.node(
      new UnixFS({ type: "directory" }),
      entries.map(([Name, Hash]) => ({ Name, Hash })),
    );
  }
}

function many(count: number): Directory {
  return new Map(
    Array.from({ length: count }, (_, index) => [
      `file-${String(index).padStart(6, "0")}-${"x".repeat(30)}`,
      text(String(index)),
    ]),
  );
}

const emptyDirectory = "bafybeiczsscdsbs7ffqz55asqdf3smv6klcw3gofszvwlyarci47bgf354";

/** What Kubo 0.39 makes of the same files under the same profile. */
const pinned = {
  nested: "bafybeibbqt3iaykfr32wc5p3okuy3ivlsa4kv7oiwylbtuj5o362grfb6y",
  sharded: "bafybeigjtbt5cpalomthul6wzpftc6ns6ufd3vr4lzomffh2hyehjjv3bq",
};

describe("content ids", function () {
  this.timeout(60_000);

  it("refuse text that is no CID, and CIDs that name no directory", async () => {
    const rawFile = "bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e";
    for (const bad of ["", "hello", "../etc", `${emptyDirectory}x`, rawFile, "bafkqaaa"]) {
      expect(await codeOf(() => contentIdToBytes32(bad)), bad).to.equal("CONTENT_ID_INVALID");
    }
    for (const bad of ["", "0x", `0x${"0".repeat(63)}`, `0x${"g".repeat(64)}`, "0".repeat(66)]) {
      expect(await codeOf(() => contentIdFromBytes32(bad)), bad).to.equal("CONTENT_ID_INVALID");
    }
  });

  it("survive the way through bytes32", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), (digest) => {
        const hex = `0x${Buffer.from(digest).toString("hex")}`;
        expect(contentIdToBytes32(contentIdFromBytes32(hex))).to.equal(hex);
      }),
    );
    expect(contentIdFromBytes32(contentIdToBytes32(emptyDirectory))).to.equal(emptyDirectory);
  });

  it("take the old spelling of the same block", () => {
    const old = "QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn";
    expect(contentIdToBytes32(old)).to.equal(contentIdToBytes32(emptyDirectory));
    expect(parseContentId(old).toString()).to.equal(emptyDirectory);
  });

  it("are the ones IPFS knows", async () => {
    expect(await computeContentId(new Map())).to.equal(emptyDirectory);
    const blocks = new Blocks();
    const root = await importDirectory(
      new Map([
        ["greeting", text("hello world")],
        ["nothing", new Uint8Array()],
      ]),
      blocks.put,
    );
    const { Links } = dagPb.decode(blocks.byKey.get(blockKey(root))!);
    expect(Links.map((link) => [link.Name, link.Hash.toString()])).to.deep.equal([
      ["greeting", "bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e"],
      ["nothing", "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"],
    ]);
  });

  it("do not change", async () => {
    const big = Uint8Array.from({ length: 3 * 1024 * 1024 + 5 }, (_, index) => (index * 31 + (index >> 8)) & 0xff);
    expect(
      await computeContentId(
        new Map([
          ["big.bin", big],
          ["a/b/c.txt", text("nested\n")],
        ]),
      ),
    ).to.equal(pinned.nested);
    expect(await computeContentId(many(6000))).to.equal(pinned.sharded);
  });

  it("do not depend on the order of the map", async () => {
    const entries: [string, Uint8Array][] = [
      ["b/x", text("1")],
      ["a", text("2")],
      ["b/a", text("3")],
      ["__proto__", text("4")],
    ];
    expect(await computeContentId(new Map(entries))).to.equal(await computeContentId(new Map(entries.toReversed())));
  });
});

describe("directories", function () {
  this.timeout(60_000);

  it("refuse paths that mean different things to different systems", async () => {
    const bad = [
      "",
      "/a",
      "a/",
      "a//b",
      ".",
      "..",
      "a/../b",
      "./a",
      "a\0b",
      "a\\b",
      "\ud800",
      "x".repeat(256),
      "é".repeat(128),
      Array.from({ length: 65 }, () => "d").join("/"),
      Array.from({ length: 6 }, () => "d".repeat(200)).join("/"),
    ];
    for (const path of bad) {
      expect(await codeOf(() => computeContentId(new Map([[path, text("")]]))), JSON.stringify(path)).to.equal(
        "DIRECTORY_INVALID",
      );
    }
    for (const [file, other] of [
      ["a", "a/b"],
      ["a/b", "a/b/c/d"],
    ] as const) {
      expect(
        await codeOf(() =>
          computeContentId(
            new Map([
              [other, text("")],
              [file, text("")],
            ]),
          ),
        ),
        other,
      ).to.equal("DIRECTORY_INVALID");
    }
  });

  it("come back as they went in", async () => {
    const name = fc.stringMatching(/^[a-z_ü€😀]{1,6}$/u);
    const path = fc.array(name, { minLength: 1, maxLength: 3 }).map((names) => names.join("/"));
    await fc.assert(
      fc.asyncProperty(fc.dictionary(path, fc.uint8Array({ maxLength: 40 })), async (files) => {
        const directory = new Map(
          Object.entries(files).filter(([key]) => !Object.keys(files).some((other) => other.startsWith(`${key}/`))),
        );
        const blocks = new Blocks();
        const root = await importDirectory(directory, blocks.put);
        const back = await readDirectory(root, blocks.source, { maxBytes: 1e6 });
        expect([...back.keys()].sort()).to.deep.equal([...directory.keys()].sort());
        for (const [file, bytes] of directory) expect(Buffer.compare(back.get(file)!, bytes)).to.equal(0);
      }),
      { numRuns: 60 },
    );
  });

  it("come back when they are sharded, and single files are found in them", async () => {
    const directory = many(6000);
    const blocks = new Blocks();
    const root = await importDirectory(directory, blocks.put);
    expect((await readDirectory(root, blocks.source, { maxBytes: 1e6 })).size).to.equal(6000);
    const [path, bytes] = [...directory][4321]!;
    expect(await readFile(root, path, blocks.source, { maxBytes: 100 })).to.deep.equal(bytes);
    expect(await codeOf(() => readFile(root, "file-x", blocks.source, { maxBytes: 100 }))).to.equal(
      "CONTENT_PATH_NOT_FOUND",
    );
  });

  it("give one file without reading the others", async () => {
    const blocks = new Blocks();
    const directory = new Map([
      ["x/wanted", text("yes")],
      ...Array.from({ length: 50 }, (_, index) => [`x/${index}`, text("no")] as [string, Uint8Array]),
    ]);
    const root = await importDirectory(directory, blocks.put);
    expect(await readFile(root, "x/wanted", blocks.source, { maxBytes: 3 })).to.deep.equal(text("yes"));
    expect(blocks.reads).to.equal(3);
    expect(await codeOf(() => readFile(root, "x/wanted", blocks.source, { maxBytes: 2 }))).to.equal(
      "CONTENT_TOO_LARGE",
    );
    for (const path of ["x", "y", "x/wanted/more"]) {
      expect(await codeOf(() => readFile(root, path, blocks.source, { maxBytes: 3 })), path).to.equal(
        "CONTENT_PATH_NOT_FOUND",
      );
    }
  });

  it("stop at the caller's caps", async () => {
    const blocks = new Blocks();
    const root = await importDirectory(
      new Map([
        ["a", new Uint8Array(600)],
        ["b", new Uint8Array(600)],
      ]),
      blocks.put,
    );
    expect((await readDirectory(root, blocks.source, { maxBytes: 1200, maxFiles: 2 })).size).to.equal(2);
    expect(await codeOf(() => readDirectory(root, blocks.source, { maxBytes: 1199 }))).to.equal("CONTENT_TOO_LARGE");
    expect(await codeOf(() => readDirectory(root, blocks.source, { maxBytes: 1200, maxFiles: 1 }))).to.equal(
      "CONTENT_TOO_LARGE",
    );
  });

  it("end early on a few blocks that stand for millions of files", async () => {
    const blocks = new Blocks();
    const empty = await blocks.raw(new Uint8Array());
    let folder = await blocks.folder(
      ...Array.from({ length: 100 }, (_, index) => [String(100 + index), empty] as [string, CID]),
    );
    for (let level = 0; level < 3; level += 1) {
      const inner = folder;
      folder = await blocks.folder(
        ...Array.from({ length: 100 }, (_, index) => [String(100 + index), inner] as [string, CID]),
      );
    }
    expect(await codeOf(() => readDirectory(folder, blocks.source, { maxBytes: 1e9, maxFiles: 1000 }))).to.equal(
      "CONTENT_TOO_LARGE",
    );
    expect(blocks.reads).to.be.below(1000);
  });

  it("end early on a few blocks that stand for a file of endless nothing", async () => {
    const blocks = new Blocks();
    let part = await blocks.raw(new Uint8Array());
    for (let level = 0; level < 30; level += 1) {
      part = await blocks.node(new UnixFS({ type: "file", blockSizes: [0n, 0n] }), [
        { Name: "", Hash: part },
        { Name: "", Hash: part },
      ]);
    }
    const root = await blocks.folder(["bomb", part]);
    expect(await codeOf(() => readDirectory(root, blocks.source, { maxBytes: 1000, maxFiles: 10 }))).to.equal(
      "CONTENT_TOO_LARGE",
    );
    expect(blocks.reads).to.be.below(2000);
  });

  it("end early on blocks without content, and on blocks with much around little", async () => {
    const blocks = new Blocks();
    const empty = { Name: "", Hash: await blocks.raw(new Uint8Array()) };
    const sizes = Array.from({ length: 10_000 }, () => 0n);
    const wide = {
      Name: "",
      Hash: await blocks.node(
        new UnixFS({ type: "file", blockSizes: sizes }),
        sizes.map(() => empty),
      ),
    };
    const wider = await blocks.node(
      new UnixFS({ type: "file", blockSizes: sizes.slice(0, 50) }),
      sizes.slice(0, 50).map(() => wide),
    );
    const hollow = await blocks.folder(["hollow", wider]);
    expect(await codeOf(() => readDirectory(hollow, blocks.source, { maxBytes: 4e8, maxFiles: 10 }))).to.equal(
      "CONTENT_TOO_LARGE",
    );
    expect(blocks.reads).to.be.below(200_000);

    const padded = await blocks.folder([
      "padded",
      await blocks.node(new UnixFS({ type: "directory", data: new Uint8Array(500_000) })),
    ]);
    expect(await codeOf(() => readDirectory(padded, blocks.source, { maxBytes: 1000, maxFiles: 10 }))).to.equal(
      "CONTENT_TOO_LARGE",
    );
  });

  it("refuse everything that is not a plain file or folder", async () => {
    const blocks = new Blocks();
    const file = await blocks.raw(text("x"));
    const link = await blocks.node(new UnixFS({ type: "symlink", data: text("/etc/shadow") }));
    const identity = CID.parse("bafkqaaa");
    const overlong = await blocks.node(new UnixFS({ type: "file", blockSizes: [5n] }), [{ Name: "", Hash: file }]);
    const cut = await blocks.node(new UnixFS({ type: "file", blockSizes: [0n] }), [{ Name: "", Hash: file }]);
    const longer = await blocks.raw(text("xxx"));
    const swapped = await blocks.node(new UnixFS({ type: "file", blockSizes: [1n, 3n] }), [
      { Name: "", Hash: longer },
      { Name: "", Hash: file },
    ]);
    const unsized = await blocks.node(new UnixFS({ type: "file", blockSizes: [] }), [{ Name: "", Hash: file }]);
    const inner = await blocks.folder(["f", file]);
    const folderInFile = await blocks.node(new UnixFS({ type: "file", blockSizes: [1n] }), [{ Name: "", Hash: inner }]);
    const fileAsShard = await blocks.node(
      new UnixFS({ type: "hamt-sharded-directory", fanout: 256n, hashType: 0x22n }),
      [{ Name: "00", Hash: file }],
    );
    const folderAsShard = await blocks.node(
      new UnixFS({ type: "hamt-sharded-directory", fanout: 256n, hashType: 0x22n }),
      [{ Name: "00", Hash: inner }],
    );
    const garbage = text("not protobuf");
    const noNode = CID.createV1(dagPb.code, await sha256.digest(garbage));
    await blocks.put({ cid: noNode, bytes: garbage });
    const roots: Record<string, CID> = {
      "a symbolic link": await blocks.folder(["link", link]),
      "inlined bytes": await blocks.folder(["inline", identity]),
      "a file that is shorter than declared": await blocks.folder(["f", overlong]),
      "a file that is longer than declared": await blocks.folder(["f", cut]),
      "parts of other sizes than declared": await blocks.folder(["f", swapped]),
      "a file without sizes": await blocks.folder(["f", unsized]),
      "a folder in a file": await blocks.folder(["f", folderInFile]),
      "a file as a shard": fileAsShard,
      "a plain folder as a shard": folderAsShard,
      "a way up": await blocks.folder(["..", file]),
      "a slash in a name": await blocks.folder(["a/b", file]),
      "an empty name": await blocks.folder(["", file]),
      "one name twice": await blocks.folder(["a", file], ["a", inner]),
      "no protobuf": await blocks.folder(["f", noNode]),
      "a file as the root": unsized,
      "raw bytes as the root": file,
    };
    for (const [what, root] of Object.entries(roots)) {
      expect(await codeOf(() => readDirectory(root, blocks.source, { maxBytes: 1000 })), what).to.equal(
        "CONTENT_INVALID",
      );
    }
    expect(await codeOf(() => readFile(roots["one name twice"]!, "a", blocks.source, { maxBytes: 10 }))).to.equal(
      "CONTENT_INVALID",
    );
  });
});
