import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import { expect } from "chai";
import type { ImageSource } from "#sdk/source.ts";
import { openEmbeddedStorage, type EmbeddedStorage } from "#sdk/node/index.ts";
import { packImage, packTar, type PackedImage } from "../../agents/executor/docker/pack-image.ts";
import { findImage, programOfImage, storeImage } from "../../agents/requester/job-image.ts";
import { codeOf } from "../support/error-code.ts";

const ABSENT = "bafybeiczsscdsbs7ffqz55asqdf3smv6klcw3gofszvwlyarci47bgf354";
const OTHER_ID = `sha256:${"ab".repeat(32)}`;

describe("the image of a job", () => {
  let folder: string;
  let storage: EmbeddedStorage;
  let packed: PackedImage;
  let path: string;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "surety-image-"));
    storage = await openEmbeddedStorage({ folder: join(folder, "storage") });
    packed = await packImage([{ name: "a", bytes: Buffer.from("a") }], { architecture: "amd64" });
    path = join(folder, "tool.tar");
    await writeFile(path, packed.tar);
  });
  after(async () => {
    await storage.close();
    await rm(folder, { recursive: true, force: true });
  });

  const write = async (name: string, entries: Parameters<typeof packTar>[0]): Promise<string> => {
    await writeFile(join(folder, name), await packTar(entries));
    return join(folder, name);
  };
  const codeFor = (source: ImageSource): Promise<string | undefined> => codeOf(() => findImage(source, storage));

  it("is known by what the tar says of itself, and stored under its name", async () => {
    const image = await findImage({ kind: "path", path, id: packed.id }, storage);
    expect(image).to.deep.equal({ kind: "local", path, id: packed.id });
    const stored = await storeImage(image, storage);
    expect(stored).to.include({ path: "tool.tar", id: packed.id });
    const { cid } = stored as { cid: string };
    expect(await storage.getFile(cid, "tool.tar", { maxBytes: 1 << 20 })).to.deep.equal(new Uint8Array(packed.tar));
    const again = await findImage({ kind: "content", cid, path: "tool.tar", id: packed.id }, storage);
    expect(await storeImage(again, storage)).to.deep.equal(stored);
  });

  it("runs here from where it is", async () => {
    const local = await findImage({ kind: "path", path }, storage);
    const program = programOfImage({ entrypoint: ["/a"] }, local, storage);
    expect(program.entrypoint).to.deep.equal(["/a"]);
    expect(await buffer(program.open!({ maxBytes: 1 << 20 }))).to.deep.equal(Buffer.from(packed.tar));
    const named = await findImage({ kind: "content", ...(await storeImage(local, storage)) } as ImageSource, storage);
    expect(await buffer(programOfImage({}, named, storage).open!({ maxBytes: 1 << 20 }))).to.deep.equal(
      Buffer.from(packed.tar),
    );
    const reference = `tool@${OTHER_ID}`;
    const pulled = programOfImage({}, await findImage({ kind: "reference", reference }, storage), storage);
    expect(pulled.image).to.deep.equal({ reference });
    expect(pulled.open).to.equal(undefined);
  });

  it("is refused where it is not, or is another", async () => {
    expect(await codeFor({ kind: "path", path: join(folder, "none.tar") })).to.equal("IMAGE_NOT_FOUND");
    expect(await codeFor({ kind: "content", cid: ABSENT, path: "a.tar", id: OTHER_ID })).to.equal("IMAGE_NOT_FOUND");
    expect(await codeFor({ kind: "path", path, id: OTHER_ID })).to.equal("IMAGE_INVALID");
  });

  it("is refused where the file holds none, or several", async () => {
    const manifest = (value: unknown) => ({ name: "manifest.json", bytes: Buffer.from(JSON.stringify(value)) });
    const flawed = {
      nothing: [],
      "no manifest": [{ name: "a", bytes: Buffer.from("a") }],
      "a manifest that is no list": [manifest({ Config: "a" })],
      "a manifest that is no JSON": [{ name: "manifest.json", bytes: Buffer.from("{") }],
      "no configuration": [manifest([{ Config: "a.json" }])],
      "a configuration without a name": [manifest([{ Config: 3 }])],
      "two images": [manifest([{ Config: "a" }, { Config: "a" }]), { name: "a", bytes: Buffer.from("{}") }],
    };
    for (const [what, entries] of Object.entries(flawed))
      expect(await codeFor({ kind: "path", path: await write("flawed.tar", entries) }), what).to.equal("IMAGE_INVALID");
    await writeFile(join(folder, "text.tar"), "no tar at all ".repeat(100));
    expect(await codeFor({ kind: "path", path: join(folder, "text.tar") })).to.equal("IMAGE_INVALID");
  });
});
