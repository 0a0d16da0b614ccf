import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { basename } from "node:path";
import { buffer } from "node:stream/consumers";
import { extract } from "tar-stream";
import type { ContainerImage } from "#sdk/container-spec.ts";
import { ExitStatus, SuretyError } from "#sdk/errors.ts";
import type { ContainerJobFile } from "#sdk/job-file.ts";
import type { ImageSource } from "#sdk/source.ts";
import type { Storage } from "#sdk/storage.ts";
import type { ContainerProgram } from "../executor/executor.ts";
import { imageProgram } from "../executor/image-program.ts";

/** Most bytes of a tar of this computer: it is stored in one piece. Larger ones are named by content id. */
const MAX_TAR_BYTES = 2 ** 31 - 1;
/** Most bytes of an image's configuration, and of the list of what is in a tar. */
const MAX_DESCRIPTION_BYTES = 4 * 1024 * 1024;

/** Content id of an empty directory: stands for an image that is not stored. */
const UNSTORED = "bafybeiczsscdsbs7ffqz55asqdf3smv6klcw3gofszvwlyarci47bgf354";

/** A job's image: named already, or a tar of this computer that is to be stored. */
export type JobImage = { kind: "named"; image: ContainerImage } | { kind: "local"; path: string; id: string };

/**
 * Finds the image a job file names. What is in storage or a registry is checked by those who run it.
 *
 * @throws SuretyError `IMAGE_NOT_FOUND` (exit 2) if there is no such file, on this computer or in storage;
 * `IMAGE_INVALID` (exit 2) for a file that holds no image, or another one
 */
export async function findImage(source: ImageSource, storage: Storage, signal?: AbortSignal): Promise<JobImage> {
  if (source.kind === "reference") return { kind: "named", image: { reference: source.reference } };
  if (source.kind === "content") {
    const image = { cid: source.cid, path: source.path!, id: source.id! };
    await requireStored(image, storage, signal);
    return { kind: "named", image };
  }
  const { path } = source;
  const { size } = await stat(path).catch((cause: unknown) => {
    throw notFound(`the image ${path} cannot be read: ${(cause as Error).message}`, cause);
  });
  if (size > MAX_TAR_BYTES) {
    throw new SuretyError("IMAGE_INVALID", `the image ${path} has ${size} bytes, expected at most ${MAX_TAR_BYTES}`, {
      details: { path, actual: size, most: MAX_TAR_BYTES },
      fix: "Put it into storage, and name it by content id and imageId.",
      exit: ExitStatus.badInput,
    });
  }
  const id = await imageIdOf(path);
  if (source.id === undefined || source.id === id) return { kind: "local", path, id };
  throw new SuretyError("IMAGE_INVALID", `the image in ${path} is ${id}, the job file says ${source.id}`, {
    details: { path, actual: id, expected: source.id },
    fix: "Correct imageId, or leave it out.",
    exit: ExitStatus.badInput,
  });
}

/** The image as a stored job names it; a local one is stored for that. */
export async function storeImage(image: JobImage, storage: Storage, signal?: AbortSignal): Promise<ContainerImage> {
  if (image.kind === "named") return image.image;
  const path = basename(image.path);
  const bytes = new Uint8Array(await readFile(image.path, { signal }));
  return { cid: await storage.add(new Map([[path, bytes]]), { signal }), path, id: image.id };
}

/** The program of a job, for an executor of this computer. */
export function programOfImage(
  { entrypoint, environment, gpu }: Pick<ContainerJobFile, "entrypoint" | "environment" | "gpu">,
  image: JobImage,
  storage: Storage,
): ContainerProgram {
  const more = { entrypoint, environment, gpu };
  if (image.kind === "local") {
    // Nowhere in storage yet: its id is what it is known by.
    const named = { cid: UNSTORED, path: basename(image.path), id: image.id };
    return { ...more, image: named, open: () => createReadStream(image.path) };
  }
  return imageProgram({ ...more, image: image.image }, storage);
}

/** The id of the image in a tar as `docker save` writes it. */
export async function imageIdOf(path: string): Promise<string> {
  const refuse = (reason: string, cause?: unknown): SuretyError =>
    new SuretyError("IMAGE_INVALID", `${path} holds no image: ${reason}`, {
      details: { path, reason },
      fix: "Name a tar that docker save wrote, of one image.",
      exit: ExitStatus.badInput,
      cause,
    });
  const read = async (name: string): Promise<Buffer> => {
    const file = createReadStream(path);
    try {
      for await (const entry of file.pipe(extract())) {
        const { type, size = 0 } = entry.header;
        if (entry.header.name === name && type === "file" && size <= MAX_DESCRIPTION_BYTES) return await buffer(entry);
        entry.resume();
      }
    } finally {
      file.destroy();
    }
    throw refuse(`there is no ${name} in it`);
  };
  try {
    const manifest = JSON.parse((await read("manifest.json")).toString()) as { Config?: unknown }[];
    if (!Array.isArray(manifest) || manifest.length !== 1) throw refuse("it is not one image");
    const config = manifest[0]?.Config;
    if (typeof config !== "string") throw refuse("manifest.json names no configuration");
    return `sha256:${createHash("sha256")
      .update(await read(config))
      .digest("hex")}`;
  } catch (error) {
    throw error instanceof SuretyError ? error : refuse((error as Error).message, error);
  }
}

/** That somebody has it: its beginning is fetched. */
async function requireStored(
  { cid, path }: { cid: string; path: string },
  storage: Storage,
  signal: AbortSignal | undefined,
): Promise<void> {
  try {
    for await (const _ of storage.streamFile(cid, path, { maxBytes: Number.MAX_SAFE_INTEGER, signal })) return;
  } catch (cause) {
    const code = cause instanceof SuretyError ? cause.code : "";
    if (!["CONTENT_NOT_FOUND", "CONTENT_PATH_NOT_FOUND", "CONTENT_INVALID"].includes(code)) throw cause;
    throw notFound(`the image ${cid}/${path} cannot be had: ${(cause as Error).message}`, cause);
  }
}

function notFound(message: string, cause: unknown): SuretyError {
  const fix = "Correct the path or content id in the job file; nothing was posted.";
  return new SuretyError("IMAGE_NOT_FOUND", message, { fix, cause, exit: ExitStatus.badInput });
}
