import { createHash } from "node:crypto";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { gzipSync } from "node:zlib";
import { packTar, type LayerEntry } from "../../agents/executor/docker/pack-image.ts";

/** What to put in an image of a {@link TestRegistry}. */
export interface RegistryImage {
  entries: LayerEntry[];
  /** The image's own `Env`, `User`, `Entrypoint` and so on. */
  config?: Record<string, unknown>;
}

/** What it is published as. */
export interface PublishedImage {
  /** Reference by digest. */
  reference: string;
  /** Digest of its configuration, by which engines know it. */
  id: string;
}

type Blobs = Map<string, { type: string; bytes: Buffer }>;

/** The part of a registry that a pull by digest asks for. */
export class TestRegistry {
  readonly host: string;
  /** Answers everybody that there is nothing. */
  isClosed = false;
  readonly #server: Server;
  readonly #blobs: Blobs;

  private constructor(server: Server, blobs: Blobs) {
    this.#server = server;
    this.#blobs = blobs;
    this.host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  static async start(): Promise<TestRegistry> {
    const blobs: Blobs = new Map();
    const server = createServer((request, response) => {
      if (registry.isClosed) return void response.writeHead(404).end("{}");
      const digest = /(sha256:[0-9a-f]{64})$/.exec(request.url ?? "")?.[1];
      const found = blobs.get(digest ?? "");
      if (request.url === "/v2/") response.end("{}");
      else if (found === undefined) response.writeHead(404).end("{}");
      else {
        response.writeHead(200, {
          "content-type": found.type,
          "content-length": found.bytes.length,
          "docker-content-digest": digest,
        });
        response.end(request.method === "HEAD" ? undefined : found.bytes);
      }
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const registry = new TestRegistry(server, blobs);
    return registry;
  }

  /** Publishes an image of one layer. */
  async publish(name: string, { entries, config = {} }: RegistryImage): Promise<PublishedImage> {
    const layer = Buffer.from(await packTar(entries));
    const configuration = this.#put(
      "application/vnd.docker.container.image.v1+json",
      Buffer.from(
        JSON.stringify({
          architecture: process.arch === "arm64" ? "arm64" : "amd64",
          os: "linux",
          config,
          rootfs: { type: "layers", diff_ids: [`sha256:${sha256(layer)}`] },
        }),
      ),
    );
    const mediaType = "application/vnd.docker.distribution.manifest.v2+json";
    const manifest = this.#put(
      mediaType,
      Buffer.from(
        JSON.stringify({
          schemaVersion: 2,
          mediaType,
          config: configuration,
          layers: [this.#put("application/vnd.docker.image.rootfs.diff.tar.gzip", gzipSync(layer))],
        }),
      ),
    );
    return { reference: `${this.host}/${name}@${manifest.digest}`, id: configuration.digest };
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  #put(mediaType: string, bytes: Buffer): { mediaType: string; digest: string; size: number } {
    const digest = `sha256:${sha256(bytes)}`;
    this.#blobs.set(digest, { type: mediaType, bytes });
    return { mediaType, digest, size: bytes.length };
  }
}

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
