import { createHash } from "node:crypto";
import { buffer } from "node:stream/consumers";
import { pack, type Header } from "tar-stream";

/** One entry of a layer: a folder, a file with its bytes, a link. */
export interface LayerEntry extends Partial<Header> {
  name: string;
  bytes?: Uint8Array;
}

/** The part of an image's configuration that its makers decide; see the OCI image specification. */
export interface ImageSettings {
  architecture: string;
  config?: Record<string, unknown>;
}

/** An image as a tar, in the form that `docker save` writes. */
export interface PackedImage {
  /** `sha256:` and the digest of its configuration. */
  id: string;
  tar: Uint8Array;
}

/**
 * Packs an image of one layer. Equal input gives equal bytes.
 *
 * @example
 * ```ts
 * const { id, tar } = await packImage([{ name: "hello", mode: 0o755, bytes }], { architecture: "amd64" });
 * ```
 */
export async function packImage(entries: readonly LayerEntry[], settings: ImageSettings): Promise<PackedImage> {
  const layer = await packTar(entries);
  const { architecture, config = {} } = settings;
  const configuration = Buffer.from(
    JSON.stringify({
      architecture,
      os: "linux",
      config,
      rootfs: { type: "layers", diff_ids: [`sha256:${digest(layer)}`] },
      history: [{ created: "1970-01-01T00:00:00Z", created_by: "surety" }],
    }),
  );
  const name = `${digest(configuration)}.json`;
  const manifest = Buffer.from(JSON.stringify([{ Config: name, RepoTags: null, Layers: ["layer.tar"] }]));
  const tar = await packTar([
    { name, bytes: configuration },
    { name: "layer.tar", bytes: layer },
    { name: "manifest.json", bytes: manifest },
  ]);
  return { id: `sha256:${digest(configuration)}`, tar };
}

/** A tar of entries that are all in memory; owned by root and without times unless they say otherwise. */
export async function packTar(entries: readonly LayerEntry[]): Promise<Uint8Array> {
  const tar = pack();
  const whole = buffer(tar);
  for (const { bytes, ...header } of entries) {
    const complete = { uid: 0, gid: 0, mtime: new Date(0), ...header };
    if (bytes === undefined) tar.entry(complete);
    else tar.entry(complete, Buffer.from(bytes));
  }
  tar.finalize();
  return whole;
}

function digest(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
