import { createHash } from "node:crypto";
import { gzipSync } from "node:zlib";
import { expect } from "chai";
import { extract } from "tar-stream";
import { SuretyError } from "#sdk/errors.ts";
import { connectEngine } from "../../agents/executor/docker/engine.ts";
import { checkedImage } from "../../agents/executor/docker/image-tar.ts";
import { packImage, packTar, type LayerEntry } from "../../agents/executor/docker/pack-image.ts";
import type { ContainerProgram } from "../../agents/executor/executor.ts";
import type { DockerExecutor } from "../../agents/executor/docker-executor.ts";
import {
  busyboxImage,
  engineSocket,
  needEngine,
  ownedBy,
  testExecutor,
  testImage,
  testTask,
  type TestImage,
} from "../support/docker-engine.ts";
import { codeOf } from "../support/error-code.ts";
import { TestRegistry, type PublishedImage } from "../support/registry.ts";

const architecture = process.arch === "arm64" ? "arm64" : "amd64";
const maxBytes = 64 * 2 ** 20;
const sha256 = (bytes: Uint8Array | string): string => createHash("sha256").update(bytes).digest("hex");

/** The entries of a tar with their bytes. */
async function entriesOf(tar: AsyncIterable<Uint8Array>): Promise<Map<string, Buffer>> {
  const entries = extract();
  const found = new Map<string, Buffer>();
  const reading = (async () => {
    for await (const entry of entries) {
      const pieces: Uint8Array[] = [];
      for await (const piece of entry as AsyncIterable<Uint8Array>) pieces.push(piece);
      found.set(entry.header.name, Buffer.concat(pieces));
    }
  })();
  for await (const piece of tar) entries.write(piece);
  entries.end(undefined);
  await reading;
  return found;
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let from = 0; from < bytes.length; from += 1000) yield bytes.subarray(from, from + 1000);
}

/** An image put together by hand: what `packImage` would not. */
async function handMade({
  layers = [],
  configuration = {},
  extra = [],
}: {
  layers?: Uint8Array[];
  configuration?: Record<string, unknown>;
  extra?: LayerEntry[];
}): Promise<{ id: string; tar: Uint8Array }> {
  const config = Buffer.from(
    JSON.stringify({
      architecture,
      os: "linux",
      config: {},
      rootfs: { type: "layers", diff_ids: layers.map((layer) => `sha256:${sha256(layer)}`) },
      ...configuration,
    }),
  );
  const names = layers.map((_, place) => `${place}.tar`);
  const manifest = [{ Config: "config.json", RepoTags: ["debian:latest"], Layers: names }];
  const tar = await packTar([
    { name: "config.json", bytes: config },
    ...layers.map((bytes, place) => ({ name: names[place]!, bytes })),
    { name: "manifest.json", bytes: Buffer.from(JSON.stringify(manifest)) },
    ...extra,
  ]);
  return { id: `sha256:${sha256(config)}`, tar };
}

describe("images while they are passed on to the engine", () => {
  const refusal = async ({ id, tar }: { id: string; tar: Uint8Array }, cap = maxBytes): Promise<string | undefined> =>
    codeOf(() => entriesOf(checkedImage(once(tar), { id, maxBytes: cap })));
  let layer: Uint8Array;

  before(async () => {
    layer = await packTar([{ name: "file", bytes: new Uint8Array(100) }]);
  });

  it("lose their tags, and all descriptions but one", async () => {
    const extra = ["repositories", "index.json", "oci-layout"].map((name) => ({ name, bytes: Buffer.from("{}") }));
    const { id, tar } = await handMade({ layers: [layer], extra });
    const passed = await entriesOf(checkedImage(once(tar), { id, maxBytes }));
    expect([...passed.keys()]).to.deep.equal(["config.json", "0.tar", "manifest.json"]);
    expect(JSON.parse(passed.get("manifest.json")!.toString())).to.deep.equal([
      { Config: "config.json", RepoTags: null, Layers: ["0.tar"] },
    ]);
    expect(passed.get("0.tar")!.equals(layer)).to.equal(true);
  });

  it("may have layers in gzip, and links from a layer to the same one", async () => {
    const gzipped = await handMade({ layers: [gzipSync(layer)] });
    expect(await refusal(gzipped)).to.equal(undefined);
    const configuration = { rootfs: { type: "layers", diff_ids: [sha256(layer), sha256(layer)] } };
    const config = Buffer.from(JSON.stringify({ architecture, os: "linux", config: {}, ...configuration }));
    const tar = await packTar([
      { name: "a/layer.tar", bytes: layer },
      { name: "b/layer.tar", type: "symlink", linkname: "../a/layer.tar" },
      { name: "c.json", bytes: config },
      {
        name: "manifest.json",
        bytes: Buffer.from(JSON.stringify([{ Config: "c.json", Layers: ["a/layer.tar", "b/layer.tar"] }])),
      },
    ]);
    const passed = await entriesOf(checkedImage(once(tar), { id: `sha256:${sha256(config)}`, maxBytes }));
    expect(passed.get("manifest.json")!.toString()).to.include('"Layers":["a/layer.tar","a/layer.tar"]');
  });

  it("are those the job names, or are none", async () => {
    const { tar } = await handMade({ layers: [layer] });
    expect(await refusal({ id: `sha256:${"0".repeat(64)}`, tar })).to.equal("IMAGE_MISMATCH");
  });

  it("are refused if they are no image", async () => {
    const { id, tar } = await handMade({ layers: [layer] });
    const without = async (name: string): Promise<Uint8Array> =>
      packTar(
        [...(await entriesOf(once(tar)))].filter(([each]) => each !== name).map(([n, bytes]) => ({ name: n, bytes })),
      );
    expect(await refusal({ id, tar: await without("manifest.json") })).to.equal("IMAGE_INVALID");
    expect(await refusal({ id, tar: await without("config.json") })).to.equal("IMAGE_INVALID");
    expect(await refusal({ id, tar: await without("0.tar") })).to.equal("IMAGE_INVALID");
    expect(await refusal({ id, tar: tar.subarray(0, 1500) })).to.equal("IMAGE_INVALID");
    expect(await refusal({ id, tar: new Uint8Array(4096).fill(65) })).to.equal("IMAGE_INVALID");
    expect(await refusal(await handMade({ layers: [Buffer.from("no tar".repeat(200))] }))).to.equal("IMAGE_INVALID");
    const twice = await handMade({ layers: [layer], extra: [{ name: "config.json", bytes: Buffer.from("{}") }] });
    expect(await refusal(twice)).to.equal("IMAGE_INVALID");
    for (const name of ["../x.tar", "/x.tar", "a/../../x.tar"]) {
      const outside = await handMade({ layers: [layer], extra: [{ name, bytes: Buffer.from("x") }] });
      expect(await refusal(outside), name).to.equal("IMAGE_INVALID");
    }
    const hardLink = await handMade({ layers: [layer], extra: [{ name: "l", type: "link", linkname: "/etc/passwd" }] });
    expect(await refusal(hardLink)).to.equal("IMAGE_INVALID");
  });

  it("are refused with too many layers, or a configuration as long as a book", async () => {
    expect(await refusal(await handMade({ layers: Array<Uint8Array>(121).fill(layer) }))).to.equal("IMAGE_INVALID");
    const long = await handMade({ layers: [layer], configuration: { comment: "x".repeat(2 ** 20) } });
    expect(await refusal(long)).to.equal("IMAGE_INVALID");
  });

  it("are refused if they are larger than they may be, saved or unpacked", async () => {
    const large = await packTar([{ name: "zeros", bytes: new Uint8Array(1_000_000) }]);
    const plain = await handMade({ layers: [large] });
    expect(await refusal(plain, 2_000_000)).to.equal(undefined);
    expect(await refusal(plain, 900_000)).to.equal("IMAGE_TOO_LARGE");
    const bomb = await handMade({ layers: [gzipSync(large)] });
    expect(bomb.tar.length).to.be.below(20_000);
    expect(await refusal(bomb, 900_000)).to.equal("IMAGE_TOO_LARGE");
    const many = await packTar(Array.from({ length: 2000 }, (_, n) => ({ name: `f${n}`, bytes: new Uint8Array(0) })));
    expect(await refusal(await handMade({ layers: [gzipSync(many)] }), 900_000)).to.equal("IMAGE_TOO_LARGE");
  });

  it("are refused with a layer of holes, which an engine would fill", async () => {
    const pax = { "GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": String(2 ** 40) };
    const sparse = await packTar([{ name: "hole", bytes: new Uint8Array(512), pax }]);
    expect(await refusal(await handMade({ layers: [sparse] }))).to.equal("IMAGE_INVALID");
  });

  it("are refused with volumes, or for another system", async () => {
    const volumes = await handMade({ layers: [layer], configuration: { config: { Volumes: { "/data": {} } } } });
    expect(await refusal(volumes)).to.equal("IMAGE_UNSUITABLE");
    expect(await refusal(await handMade({ layers: [layer], configuration: { os: "windows" } }))).to.equal(
      "IMAGE_UNSUITABLE",
    );
  });

  it("end with what storage threw", async () => {
    const { id, tar } = await handMade({ layers: [layer] });
    const breaking = async function* (): AsyncGenerator<Uint8Array> {
      yield tar.subarray(0, 600);
      throw new SuretyError("CONTENT_NOT_FOUND", "gone");
    };
    expect(await codeOf(() => entriesOf(checkedImage(breaking(), { id, maxBytes })))).to.equal("CONTENT_NOT_FOUND");
  });
});

describe("images in the engine", function () {
  this.timeout(180_000);
  let image: TestImage;
  let executor: DockerExecutor;
  const engine = connectEngine({ socket: engineSocket });
  const isThere = async (id: string): Promise<boolean> =>
    engine
      .getImage(id)
      .inspect()
      .then(
        () => true,
        () => false,
      );
  const tagsOf = async (id: string): Promise<string[]> => (await engine.getImage(id).inspect()).RepoTags;
  /** An image of its own: nobody else has it. */
  const unique = async (bytes = 1000): Promise<TestImage> =>
    testImage(
      await packImage([{ name: "file", bytes: Buffer.alloc(bytes, `${Math.random()} `) }], {
        architecture,
        config: { Cmd: ["/file"] },
      }),
    );

  before(async function () {
    await needEngine(this);
    image = await busyboxImage();
    executor = testExecutor();
  });

  after(() => executor?.close());

  it("are loaded once, under their own id and no name but the agent's", async () => {
    const owner = "aaaabbbbccccdddd";
    const own = testExecutor({ owner });
    const fresh = await unique();
    let opened = 0;
    const program: ContainerProgram = fresh.program();
    const open = program.open!;
    program.open = (options) => {
      opened += 1;
      return open(options);
    };
    const [first, second] = await Promise.all([own.check(program), own.check(program)]);
    expect(first).to.deep.equal(second).and.to.include({ imageId: fresh.id });
    expect(opened).to.equal(1);
    expect(await tagsOf(fresh.id)).to.deep.equal([`surety-${owner}:${fresh.id.slice(7)}`]);
    await own.close();
    await engine.getImage(fresh.id).remove({ force: true });
  });

  it("are not loaded if they are not what the job names", async () => {
    const [wanted, given] = [await unique(), await unique()];
    const program = { ...given.program(), image: wanted.program().image };
    expect(await codeOf(() => executor.check(program))).to.equal("IMAGE_MISMATCH");
    expect(await isThere(wanted.id)).to.equal(false);
    expect(await isThere(given.id)).to.equal(false);
  });

  it("are refused by what the engine finds in them", async () => {
    const layer = await packTar([{ name: "file", bytes: new Uint8Array(10) }]);
    const forged = await handMade({
      layers: [layer],
      configuration: { rootfs: { type: "layers", diff_ids: [`sha256:${"1".repeat(64)}`] } },
    });
    expect(await codeOf(() => executor.check(testImage(forged).program()))).to.equal("IMAGE_INVALID");
    const foreign = await packImage([], { architecture: architecture === "amd64" ? "arm64" : "amd64" });
    expect(await codeOf(() => executor.check(testImage(foreign).program()))).to.equal("IMAGE_UNSUITABLE");
  });

  it("are let go, the least recently used first, when they take more room than they may", async () => {
    const own = testExecutor({ imageCacheBytes: 25_000 });
    const [a, b, c] = [await unique(10_000), await unique(10_000), await unique(10_000)];
    await own.check(a.program());
    await own.check(b.program());
    await own.check(a.program());
    await own.check(c.program());
    expect([await isThere(a.id), await isThere(b.id), await isThere(c.id)]).to.deep.equal([true, false, true]);
    // What has another name is somebody else's too.
    await engine.getImage(a.id).tag({ repo: "surety-test-kept", tag: "1" });
    const large = await unique(24_000);
    await own.check(large.program());
    expect(await tagsOf(a.id)).to.deep.equal(["surety-test-kept:1"]);
    expect(await isThere(c.id)).to.equal(false);
    await own.close();
    for (const { id } of [a, large]) await engine.getImage(id).remove({ force: true });
  });

  it("give up when the agent does", async () => {
    const stop = new AbortController();
    const fresh = await unique();
    const program: ContainerProgram = {
      ...fresh.program(),
      open: async function* ({ signal }) {
        yield fresh.tar.subarray(0, 512);
        stop.abort(new Error("enough"));
        await new Promise((_, reject) => signal!.addEventListener("abort", () => reject(signal!.reason as Error)));
      },
    };
    expect(await executor.check(program, { signal: stop.signal }).catch((error: Error) => error.message)).to.equal(
      "enough",
    );
  });

  describe("from a registry", () => {
    let registry: TestRegistry;

    before(async () => {
      registry = await TestRegistry.start();
    });

    after(() => registry?.close());

    const publish = (entries: LayerEntry[]): Promise<PublishedImage> =>
      registry.publish("jobs/image", { entries, config: { Cmd: ["/file"] } });

    it("are pulled by digest", async () => {
      const { reference, id } = await publish([{ name: "file", bytes: Buffer.from(`${Math.random()}`) }]);
      expect(await executor.check({ image: { reference } })).to.include({ imageId: id });
      await engine.getImage(id).remove({ force: true });
    });

    it("are not kept if they are larger than they may be, and not had if they are not there", async () => {
      const small = testExecutor({ maxImageBytes: 50_000 });
      const { reference, id } = await publish([{ name: "file", bytes: Buffer.alloc(100_000, `${Math.random()}`) }]);
      expect(await codeOf(() => small.check({ image: { reference } }))).to.equal("IMAGE_TOO_LARGE");
      expect(await isThere(id)).to.equal(false);
      const nowhere = { reference: `${registry.host}/jobs/image@sha256:${"0".repeat(64)}` };
      expect(await codeOf(() => small.check({ image: nowhere }))).to.equal("IMAGE_UNAVAILABLE");
      expect(await codeOf(() => small.check({ image: { reference: `${registry.host}/jobs/image:latest` } }))).to.equal(
        "IMAGE_UNAVAILABLE",
      );
      await small.close();
    });
  });

  it("are of no use if nothing says what to run in them", async () => {
    const owner = "0000111122223333";
    const own = testExecutor({ owner });
    expect(await codeOf(() => own.run(testTask(image.program())))).to.equal("IMAGE_UNSUITABLE");
    expect(await ownedBy(owner)).to.deep.equal([]);
    await own.close();
  });

  it("get no GPU where there is none, in the engine's own words", async () => {
    const gpu = { count: 1, capabilities: ["compute"] };
    const none = await executor.check(image.program(undefined, { gpu })).catch((error: unknown) => error);
    expect(none).to.include({ code: "GPU_UNAVAILABLE" });
    const claims = testExecutor({ gpus: [{ id: "0", memory: 2 ** 33 }] });
    const error = (await claims.check(image.program(undefined, { gpu })).catch((reason: unknown) => reason)) as {
      code: string;
      details: { reason: string };
    };
    expect(error.code).to.equal("GPU_UNAVAILABLE");
    expect(error.details.reason).to.match(/could not select device driver|nvidia/i);
    const run = await codeOf(() => claims.run(testTask(image.program(["/bin/true"], { gpu }))));
    expect(run).to.equal("GPU_UNAVAILABLE");
    const more = { ...gpu, memory: 2 ** 34 };
    expect(await codeOf(() => claims.check(image.program(undefined, { gpu: more })))).to.equal("GPU_UNAVAILABLE");
    await claims.close();
  });
});
