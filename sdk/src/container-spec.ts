import { z } from "zod";

import { directoryId } from "./batch-manifest.ts";
import { storedPath } from "./stored-path.ts";

/** Most variables of a container's environment, and characters of a name or a value. */
const MAX_VARIABLES = 128;
const MAX_NAME_LENGTH = 128;
const MAX_TEXT_LENGTH = 4096;
const MAX_WORDS = 64;

/**
 * The image a container runs, named so that everybody who runs it runs the same: by what is in it, never by a tag, which
 * may mean something else tomorrow.
 */
export type ContainerImage =
  | {
      /** Content id of the directory that holds the image, saved as a tar. */
      cid: string;
      /** The tar's place in it, such as `image.tar`. */
      path: string;
      /** Id of the image: `sha256:` and the digest of its configuration. Checked before and after it is loaded. */
      id: string;
    }
  | {
      /** An image of a registry by the digest of its manifest: `name@sha256:…`. */
      reference: string;
    };

/** What a task wants of the host's GPUs. */
export interface GpuRequest {
  /** How many, 1 to 64. */
  count: number;
  /** Bytes of memory that each of them has at least. */
  memory?: number;
  /** What they must be able to do, as the driver names it: `compute`, `utility`, `video`. Defaults to the first two. */
  capabilities: string[];
}

/** What one task in a container may use up. The price pays for all of it. */
export interface ContainerLimits {
  /** CPUs' worth of time, 1 to 256. */
  cpus: number;
  /** Bytes of memory of all its processes together. What it writes is counted beside it. */
  memory: number;
  /** Processes and threads at any moment. */
  processes: number;
  /** Wall-clock time, seconds. */
  seconds: number;
  /** Bytes it may have in `/tmp`. */
  disk: number;
  /** Bytes of output: files, standard output and standard error together. */
  output: number;
  /** Files and folders in the output, and as many in `/tmp`. */
  files: number;
}

/** Least and most of each of the {@link ContainerLimits}. */
export const CONTAINER_BOUNDS: Readonly<Record<keyof ContainerLimits, readonly [least: number, most: number]>> = {
  cpus: [1, 256],
  // The engine takes no less.
  memory: [8 * 2 ** 20, 16 * 2 ** 40],
  processes: [1, 65_536],
  seconds: [1, 7 * 86_400],
  disk: [0, 2 ** 40],
  output: [0, 16 * 2 ** 30],
  files: [0, 100_000],
};

/** An id of an image: `sha256:` and 64 hexadecimal digits. */
export const IMAGE_ID = /^sha256:[0-9a-f]{64}$/;

/** `host:port/name/name@sha256:…`; without a tag. */
const REFERENCE =
  /^(?:[a-z0-9](?:[a-z0-9.-]{0,253}[a-z0-9])?(?::\d{1,5})?\/)?[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*){0,7}@sha256:[0-9a-f]{64}$/;

/** Whether a text names an image by digest: `name@sha256:…`, without a tag. */
export function isImageReference(text: string): boolean {
  return text.length <= 512 && REFERENCE.test(text);
}

const bounded = (name: keyof ContainerLimits) => z.int().min(CONTAINER_BOUNDS[name][0]).max(CONTAINER_BOUNDS[name][1]);
const word = z
  .string()
  .max(MAX_TEXT_LENGTH)
  .refine((text) => !text.includes("\0"), { error: "has a NUL in it" });

/** The schema of a {@link ContainerImage}. */
export const containerImageSchema = z.union(
  [
    z.strictObject({ cid: directoryId, path: storedPath, id: z.string().regex(IMAGE_ID) }),
    z.strictObject({ reference: z.string().refine(isImageReference) }),
  ],
  { error: "expected cid, path and id of a saved image, or a reference by digest: name@sha256:…" },
);

/** Names of variables that the host sets itself, for they decide how it confines and what it grants. */
const RESERVED = /^(?:NVIDIA_(?!TF32_OVERRIDE$)|CUDA_VISIBLE_DEVICES$|SURETY_)/;

/** The schema of a container's environment: ordered by name, so that there is one way to write it. */
export const environmentSchema = z
  .record(
    z
      .string()
      .regex(/^[A-Za-z_][A-Za-z0-9_]*$/)
      .max(MAX_NAME_LENGTH)
      .refine((name) => !RESERVED.test(name), { error: "is set by the host" }),
    word,
  )
  .refine((variables) => Object.keys(variables).length <= MAX_VARIABLES, {
    error: `expected at most ${MAX_VARIABLES} variables`,
  })
  .refine((variables) => isSorted(Object.keys(variables)), {
    error: "expected the variables in the order of their names",
  });

/** The schema of a {@link GpuRequest}. */
export const gpuSchema = z.strictObject({
  count: z.int().min(1).max(64),
  memory: z
    .int()
    .min(1)
    .max(2 ** 50)
    .optional(),
  capabilities: z
    .array(z.string().regex(/^[a-z][a-z0-9-]{0,31}$/))
    .min(1)
    .max(16),
});

/** The part of a stored job that is a container's alone. */
export const containerFields = {
  image: containerImageSchema,
  /** What is run instead of the image's own entry point. */
  entrypoint: z.array(word).min(1).max(MAX_WORDS).optional(),
  environment: environmentSchema.optional(),
  gpu: gpuSchema.optional(),
  limits: z.strictObject({
    cpus: bounded("cpus"),
    memory: bounded("memory"),
    processes: bounded("processes"),
    seconds: bounded("seconds"),
    disk: bounded("disk"),
    output: bounded("output"),
    files: bounded("files"),
  }),
};

function isSorted(names: readonly string[]): boolean {
  return names.every((name, place) => place === 0 || names[place - 1]! < name);
}
