import { z } from "zod";
import { kubernetesExecutorSchema, type KubernetesExecutorConfig } from "./kubernetes-executor.ts";
import { size, text, whole } from "./value.ts";

/** A GPU that a node lends to tasks. */
export interface GpuOffer {
  /** As the engine's GPU runtime names it: an index (`0`) or a UUID (`GPU-…`, `MIG-…`). */
  id: string;
  /** Bytes of its memory. Left out: tasks that ask for an amount are not taken. */
  memory?: number;
}

/** Tasks run in containers of a Docker engine. */
export interface DockerExecutorConfig {
  kind: "docker";
  /** Path of the engine's socket. Defaults to `/var/run/docker.sock`. */
  socket: string;
  /** Which of the engine's runtimes confines tasks: `runc`, `runsc` (gVisor). Default: the engine's own default. */
  runtime?: string;
  /** GPUs that tasks may ask for. Defaults to none. */
  gpus: GpuOffer[];
  /** Most bytes of one image, saved and unpacked. Defaults to 16 GiB. */
  maxImageBytes: number;
  /** Bytes of images that tasks brought to keep for the next task; more are removed, oldest first. Defaults to 64 GiB. */
  imageCacheBytes: number;
  /** Most memory one task may have, its output and scratch counted in, bytes. Default: what the host has. */
  maxMemoryBytes?: number;
  /** Most CPUs one task may have. Default: what the host has. */
  maxCpus?: number;
}

/** What runs a node's tasks. */
export type ExecutorConfig =
  | {
      /** The metered WebAssembly sandbox. */
      kind: "wasm";
    }
  | DockerExecutorConfig
  | KubernetesExecutorConfig;

const GIB = 2 ** 30;

/** The schema of a {@link DockerExecutorConfig}. */
export const dockerExecutorSchema = z.strictObject({
  kind: z.literal("docker"),
  socket: text.default("/var/run/docker.sock"),
  runtime: z
    .string()
    .regex(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$/)
    .optional(),
  gpus: z
    .array(
      z.strictObject({
        id: z
          .union([z.number(), z.string()])
          .transform(String)
          .pipe(z.string().regex(/^(?:\d{1,3}|(?:GPU|MIG)-[0-9a-fA-F/-]{1,128})$/)),
        memory: size.optional(),
      }),
    )
    .max(64)
    .default([]),
  maxImageBytes: size.default(16 * GIB),
  imageCacheBytes: size.default(64 * GIB),
  maxMemoryBytes: size.optional(),
  maxCpus: whole(1, 1024).optional(),
});

/** The schema of an {@link ExecutorConfig}. */
export const executorSchema = z.discriminatedUnion(
  "kind",
  [z.strictObject({ kind: z.literal("wasm") }), dockerExecutorSchema, kubernetesExecutorSchema],
  { error: "expected kind: wasm, kind: docker, or kind: kubernetes" },
);
