import { createHash } from "node:crypto";
import { posix } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { extract, pack, type Pack } from "tar-stream";
import { z } from "zod";
import { ExitStatus, SuretyError, type ErrorDetails } from "#sdk/errors.ts";
import { isPermittedPath } from "../task.ts";
import { LayerMeter } from "./layer.ts";

/** Most layers of an image: engines stop somewhat later. */
export const MAX_LAYERS = 120;
/** Most bytes of an image's configuration, and of the list of its parts. */
const MAX_JSON_BYTES = 1024 * 1024;
/** Most entries of the tar: each layer has up to three. */
const MAX_ENTRIES = 1024;

/** Names of tags, and another description of the same image that would bring its own. None of them is passed on. */
const LEFT_OUT = new Set(["repositories", "index.json", "oci-layout"]);

/** What is expected of an image. */
export interface ExpectedImage {
  /** `sha256:` and 64 hexadecimal digits. */
  id: string;
  /** Of the tar, and of all layers unpacked. */
  maxBytes: number;
}

const manifestSchema = z.array(z.object({ Config: z.string(), Layers: z.array(z.string()).max(MAX_LAYERS) })).length(1);

/** The part of an image's configuration that decides whether it is taken; the engine checks the rest. */
export const configurationSchema = z.object({
  os: z.string(),
  architecture: z.string(),
  rootfs: z.object({ type: z.literal("layers"), diff_ids: z.array(z.string()).max(MAX_LAYERS) }),
  config: z
    .object({
      Volumes: z.record(z.string(), z.unknown()).nullish(),
      Entrypoint: z.array(z.string()).nullish(),
      Cmd: z.array(z.string()).nullish(),
    })
    .nullish(),
});

/**
 * Checks an image saved as a tar while it is passed on to an engine, without its tags. The engine loads nothing before
 * it has all, and what follows the last fault never comes: an image is loaded only if it is the one expected.
 *
 * @param source The tar in pieces.
 * @returns The tar to load. It breaks with SuretyError `IMAGE_INVALID`, `IMAGE_MISMATCH`, `IMAGE_TOO_LARGE`,
 * `IMAGE_UNSUITABLE`, or what `source` throws.
 */
export function checkedImage(source: AsyncIterable<Uint8Array>, expected: ExpectedImage): Readable {
  const out = pack();
  let fault: unknown;
  // A stream that was destroyed before somebody reads it looks as if it had ended well.
  out.on("error", (error) => (fault ??= error));
  const pieces = async function* (): AsyncGenerator<Uint8Array> {
    const transferred = transfer(source, out, expected).then(
      () => out.finalize(),
      (error: unknown) => {
        fault = error;
        out.destroy(error as Error);
      },
    );
    try {
      yield* out as AsyncIterable<Uint8Array>;
      await transferred;
    } catch (error) {
      throw fault ?? error;
    }
    if (fault !== undefined) throw fault;
  };
  return Readable.from(pieces(), { objectMode: false });
}

interface Entry {
  json: Buffer | undefined;
  problem: string | undefined;
}

async function transfer(source: AsyncIterable<Uint8Array>, out: Pack, expected: ExpectedImage): Promise<void> {
  const { maxBytes } = expected;
  let [passed, unpacked] = [0, 0];
  const count = (bytes: number): void => {
    unpacked += bytes;
    if (unpacked > maxBytes) throw tooLarge(`the image unpacks to more than ${maxBytes} bytes`, { maxBytes });
  };
  const entries = extract();
  // Whoever iterates hears of it.
  entries.on("error", () => undefined);
  const found = new Map<string, Entry>();
  const links = new Map<string, string>();
  const counted = async function* (): AsyncGenerator<Uint8Array> {
    for await (const piece of source) {
      passed += piece.length;
      if (passed > maxBytes) throw tooLarge(`the image is saved in more than ${maxBytes} bytes`, { maxBytes });
      yield piece;
    }
  };
  let manifest: Buffer | undefined;
  const reading = (async () => {
    for await (const entry of entries) {
      const { type, size = 0, linkname } = entry.header;
      const name = entry.header.name.replace(/^\.\//, "").replace(/\/$/, "");
      if (found.size + links.size >= MAX_ENTRIES) throw invalid(`it has more than ${MAX_ENTRIES} entries`);
      if (type === "directory") {
        entry.resume();
        continue;
      }
      if (!isPermittedPath(name)) throw invalid("it has an entry whose name leads elsewhere", { name });
      if (found.has(name) || links.has(name)) throw invalid(`it has two entries ${name}`, { name });
      if (type === "symlink" && linkname) {
        // Older engines save a layer that comes twice as a link.
        links.set(name, posix.normalize(posix.join(posix.dirname(name), linkname)));
        entry.resume();
        continue;
      }
      if (type !== "file" && type !== "contiguous-file") throw invalid(`the entry ${name} is a ${type}`, { name });
      if (LEFT_OUT.has(name)) {
        found.set(name, { json: undefined, problem: undefined });
        entry.resume();
        continue;
      }
      if (name === "manifest.json") {
        if (size > MAX_JSON_BYTES) throw invalid("its manifest is too long", { bytes: size });
        found.set(name, { json: undefined, problem: undefined });
        manifest = await collect(entry as AsyncIterable<Uint8Array>);
        continue;
      }
      if (size > maxBytes) throw tooLarge(`the entry ${name} has more than ${maxBytes} bytes`, { maxBytes });
      found.set(
        name,
        await passOn(entry as AsyncIterable<Uint8Array>, out.entry({ name, size, mtime: new Date(0) }), size, count),
      );
    }
  })();
  // Its failure is the one that counts; the other is that the stream was closed because of it.
  const failed = reading.then(
    () => undefined,
    (error: unknown) => {
      entries.destroy();
      return error;
    },
  );
  const broken = await pipeline(Readable.from(counted(), { objectMode: false }), entries).then(
    () => undefined,
    (error: unknown) => error,
  );
  const reason = (await failed) ?? broken;
  if (reason !== undefined) throw reason instanceof SuretyError ? reason : sourceError(reason);
  const parts = partsOf(manifest, found, links, expected);
  out.entry({ name: "manifest.json", mtime: new Date(0) }, JSON.stringify([{ ...parts, RepoTags: null }]));
}

async function passOn(
  entry: AsyncIterable<Uint8Array>,
  to: ReturnType<Pack["entry"]>,
  size: number,
  count: (bytes: number) => void,
): Promise<Entry> {
  // The whole tar fails with it.
  to.on("error", () => undefined);
  const json: Uint8Array[] = [];
  let isJson = size <= MAX_JSON_BYTES;
  let first = true;
  let fatal: unknown;
  const meter = new LayerMeter((bytes) => {
    try {
      count(bytes);
    } catch (error) {
      fatal = error;
      throw error;
    }
  });
  for await (const piece of entry) {
    // "{"
    if (first) isJson &&= piece[0] === 0x7b;
    first = false;
    if (isJson) json.push(piece);
    else await meter.write(piece);
    if (fatal !== undefined) throw fatal;
    if (!to.write(piece)) await roomIn(to);
  }
  to.end(undefined);
  await meter.end();
  if (fatal !== undefined) throw fatal;
  return { json: isJson ? Buffer.concat(json) : undefined, problem: meter.problem };
}

/** Waits for room; a stream that is gone has no more of it. */
async function roomIn(stream: ReturnType<Pack["entry"]>): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const forget = (): void => void stream.off("drain", onDrain).off("close", onClose);
    const onDrain = (): void => {
      forget();
      resolve();
    };
    const onClose = (): void => {
      forget();
      reject(new Error("the engine stopped reading"));
    };
    stream.on("drain", onDrain).on("close", onClose);
  });
}

async function collect(entry: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const piece of entry) pieces.push(piece);
  return Buffer.concat(pieces);
}

function partsOf(
  manifest: Buffer | undefined,
  found: ReadonlyMap<string, Entry>,
  links: ReadonlyMap<string, string>,
  { id }: ExpectedImage,
): { Config: string; Layers: string[] } {
  if (manifest === undefined) throw invalid("it has no manifest.json");
  const parsed = manifestSchema.safeParse(parseJson(manifest, "manifest.json"));
  if (!parsed.success) throw invalid(`its manifest.json is none of one image of at most ${MAX_LAYERS} layers`);
  const { Config, Layers } = parsed.data[0]!;
  const bytes = found.get(Config)?.json;
  if (bytes === undefined) throw invalid("its configuration is missing, or longer than a megabyte");
  const actual = `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
  if (actual !== id) {
    throw new SuretyError("IMAGE_MISMATCH", `the image is ${actual}, the job names ${id}`, {
      details: { actual, expected: id },
      fix: "Leave it: what is stored is not what the job says.",
      exit: ExitStatus.badInput,
    });
  }
  const configuration = configurationSchema.safeParse(parseJson(bytes, "configuration"));
  if (!configuration.success) throw invalid("its configuration is none");
  checkConfiguration(configuration.data);
  const layers = Layers.map((name) => links.get(name) ?? name);
  if (layers.length !== configuration.data.rootfs.diff_ids.length) {
    throw invalid(`it has ${layers.length} layers, its configuration says otherwise`);
  }
  for (const name of layers) {
    const layer = found.get(name);
    if (layer === undefined || layer.json !== undefined) throw invalid(`its layer ${name} is missing`, { name });
    if (layer.problem !== undefined) throw invalid(`its layer ${name} is no tar, or not plain or in gzip`, { name });
  }
  return { Config, Layers: layers };
}

/** @throws SuretyError `IMAGE_UNSUITABLE` */
export function checkConfiguration({ os, config }: z.output<typeof configurationSchema>): void {
  if (os !== "linux") throw unsuitable(`the image is for ${os}`, "Build it for linux.");
  const volumes = Object.keys(config?.Volumes ?? {});
  if (volumes.length > 0) {
    // The engine would make each a folder without limits.
    throw unsuitable(
      `the image has volumes of its own: ${volumes.join(", ")}`.slice(0, 300),
      "Build it without VOLUME: tasks write to /out and /tmp.",
    );
  }
}

export function unsuitable(message: string, fix: string, details: ErrorDetails = {}): SuretyError {
  return new SuretyError("IMAGE_UNSUITABLE", message, { details, fix, exit: ExitStatus.badInput });
}

function parseJson(bytes: Uint8Array, what: string): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes)) as unknown;
  } catch {
    throw invalid(`its ${what} is not JSON`);
  }
}

function invalid(what: string, details: ErrorDetails = {}): SuretyError {
  return new SuretyError("IMAGE_INVALID", `the image cannot be loaded: ${what}`, {
    details,
    fix: "Save it with docker save.",
    exit: ExitStatus.badInput,
  });
}

export function tooLarge(message: string, details: ErrorDetails): SuretyError {
  return new SuretyError("IMAGE_TOO_LARGE", message, {
    details,
    fix: "Leave it to other hosts, or raise executor.maxImageBytes.",
    exit: ExitStatus.badInput,
  });
}

/** What storage throws goes through; all else is a tar that is none. */
function sourceError(error: unknown): unknown {
  const { code, message } = error as { code?: string; message?: string };
  const isTars = code === undefined && /tar|header|Unexpected end/i.test(message ?? "");
  return isTars ? invalid(`it is no tar: ${message}`) : error;
}
