import { execFile } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdtemp, mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { gunzipSync, gzipSync } from "node:zlib";
import { expect } from "chai";
import { isImageReference } from "#sdk/container-spec.ts";
import { packTar, type LayerEntry } from "../../agents/executor/docker/pack-image.ts";
import type { DockerExecutor } from "../../agents/executor/docker-executor.ts";
import { busyboxImage, testExecutor, testImage, type TestImage } from "../support/docker-engine.ts";
import { codeOf } from "../support/error-code.ts";
import { findingsOf, needHostileJobs, OpenGround, probeBinary, probeTask } from "../support/hostile-job.ts";

const MIB = 1 << 20;
const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

/** An image of one layer, put together as only a stranger would. */
async function handMade(layer: Uint8Array, plain = layer, tags: string[] = []): Promise<TestImage> {
  const architecture = process.arch === "arm64" ? "arm64" : "amd64";
  const rootfs = { type: "layers", diff_ids: [`sha256:${sha256(plain)}`] };
  const configuration = Buffer.from(JSON.stringify({ architecture, os: "linux", config: {}, rootfs }));
  const name = `${sha256(configuration)}.json`;
  const manifest = Buffer.from(JSON.stringify([{ Config: name, RepoTags: tags, Layers: ["layer.tar"] }]));
  const tar = await packTar([
    { name, bytes: configuration },
    { name: "layer.tar", bytes: layer },
    { name: "manifest.json", bytes: manifest },
  ]);
  return testImage({ id: `sha256:${sha256(configuration)}`, tar });
}

describe("Hostile images", function () {
  this.timeout(120_000);
  const name = `surety-escaped-${randomBytes(6).toString("hex")}`;
  let ground: OpenGround;
  let probe: TestImage;
  let executor: DockerExecutor;
  const loaded: string[] = [];

  /** Layers that lead out of where they are unpacked, by how. */
  const escapes: Record<string, LayerEntry[]> = {
    "names with ..": [{ name: `../../../../../../../../tmp/${name}`, bytes: Buffer.from("out") }],
    "absolute names": [{ name: `/tmp/${name}`, bytes: Buffer.from("out") }],
    "a link, and a name through it": [
      { name: "way", type: "symlink", linkname: "/tmp" },
      { name: `way/${name}`, bytes: Buffer.from("out") },
    ],
  };

  before(async function () {
    probe = await needHostileJobs(this);
    ground = new OpenGround(probe);
    await ground.load();
    executor = testExecutor({ maxImageBytes: 64 * MIB });
  });
  after(async () => {
    await executor?.close();
    for (const id of loaded)
      await ground.engine
        .getImage(id)
        .remove({ force: true })
        .catch(() => undefined);
  });

  for (const [how, entries] of Object.entries(escapes)) {
    it(`control: lead out of where they are unpacked, where nobody looks at ${how}`, async () => {
      const folder = await mkdtemp("/tmp/surety-unpack-");
      try {
        await mkdir(join(folder, "in"));
        await writeFile(join(folder, "layer.tar"), await packTar(entries));
        await promisify(execFile)("tar", ["-P", "-x", "-f", "../layer.tar"], { cwd: join(folder, "in") });
        expect(existsSync(`/tmp/${name}`)).to.equal(true);
      } finally {
        await rm(`/tmp/${name}`, { force: true });
        await rm(folder, { recursive: true });
      }
    });

    it(`do not lead out by ${how}`, async () => {
      const image = await handMade(await packTar(entries));
      loaded.push(image.id);
      expect(await codeOf(() => executor.check(image.program()))).to.be.oneOf([undefined, "IMAGE_INVALID"]);
      expect(existsSync(`/tmp/${name}`)).to.equal(false);
    });
  }

  it("cannot link to files of the host: a hard link is within the image, or the image is refused", async () => {
    const own: LayerEntry = { name: "linked", type: "link", linkname: "../../../../../../../../etc/shadow" };
    const image = await busyboxImage({ entries: [own] });
    loaded.push(image.id);
    expect(await codeOf(() => executor.check(image.program()))).to.equal("IMAGE_INVALID");
  });

  it("are measured before they are unpacked", async () => {
    const zeros = await packTar([{ name: "zeros", bytes: new Uint8Array(256 * MIB) }]);
    const packed = gzipSync(zeros);
    // Control: it is small as it comes, and is what it says.
    expect(packed.length).to.be.lessThan(MIB);
    expect(gunzipSync(packed).length).to.be.greaterThan(256 * MIB);
    const image = await handMade(packed, zeros);
    expect(await codeOf(() => executor.check(image.program()))).to.equal("IMAGE_TOO_LARGE");
  });

  it("cannot move tags: not those they bring, and none is a name of one", async () => {
    const tag = `${name}:latest`;
    const layer = await packTar([{ name: "hello", bytes: Buffer.from("hello") }]);
    const image = await handMade(layer, layer, [tag]);
    loaded.push(image.id);
    expect(await codeOf(() => executor.check(image.program()))).to.equal(undefined);
    expect(await isTagged(tag)).to.equal(false);
    // Control: an engine that is given it as it is takes the tag.
    await new OpenGround(image).load();
    expect(await isTagged(tag)).to.equal(true);
    for (const reference of [tag, "busybox", "busybox:latest", `busybox:1@sha256:${"0".repeat(64)}`])
      expect(isImageReference(reference), reference).to.equal(false);
  });

  it("begin in no folder of the host's", async () => {
    const up = `${"../".repeat(12)}etc/shadow`;
    const control = await ground.run(["read", `/host/${up}`, "/host/etc/shadow"], { Binds: ["/:/host:ro"] });
    expect(findingsOf(control).get("")?.get("/host/etc/shadow")).to.match(/bytes/);
    const bytes = await probeBinary();
    for (const descriptor of [3, 7, 8, 9]) {
      const entries = [{ name: "bin/probe", mode: 0o755, bytes }];
      const image = await busyboxImage({ entries, config: { WorkingDir: `/proc/self/fd/${descriptor}` } });
      loaded.push(image.id);
      // Refused, or not begun, or begun where there is nothing.
      const said = await executor.run(probeTask(image, ["read", up])).then(
        ({ stdout }) => findingsOf(stdout).get("")?.get(up) ?? "",
        (error: { code: string }) => error.code,
      );
      expect(said, String(descriptor)).to.not.match(/bytes/);
    }
  });

  it("do not decide who they run as, nor what else runs", async () => {
    const entries = [{ name: "bin/probe", mode: 0o755, bytes: await probeBinary() }];
    const Healthcheck = { Test: ["CMD", "/bin/touch", "/out/checked"], Interval: 1e9 };
    const image = await busyboxImage({ entries, config: { User: "0:0", Healthcheck } });
    loaded.push(image.id);
    const outcome = await executor.run(probeTask(image, ["who"]));
    expect(findingsOf(outcome.stdout).get("")?.get("effective user")).to.equal("65534");
    expect([...outcome.files.keys()]).to.deep.equal([]);
  });

  async function isTagged(tag: string): Promise<boolean> {
    const found = await ground.engine.listImages({ filters: { reference: [tag] } });
    return found.length > 0;
  }
});
