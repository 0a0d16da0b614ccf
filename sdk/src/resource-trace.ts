import { utf8ToBytes } from "@noble/hashes/utils.js";
import { z } from "zod";

import { boundedArray, decodeJson, encodeJson } from "./canonical-json.ts";
import { openBytes, sealBytes } from "./sealed-file.ts";

/** Most samples of a trace. */
export const MAX_TRACE_SAMPLES = 512;
/** Most bytes of an encoded trace: of as many samples with the largest numbers, and some. */
export const MAX_TRACE_BYTES = 96 * 1024;

const AAD = utf8ToBytes("surety/resource-trace/v1");

/** What a container had used up at one moment of its run. */
export interface ContainerSample {
  /** Milliseconds since the container was started. */
  at: number;
  /** Microseconds of CPU used until then, by all processes on all cores. */
  cpu: number;
  /** Most bytes of memory held since the sample before, files that could be dropped from it left out. */
  memory: number;
  /** Bytes read from devices until then. */
  read: number;
  /** Bytes written to devices until then. */
  written: number;
  /** Most processes and threads since the sample before; 0 where the kernel does not count them. */
  processes: number;
}

/** What a WASM program had used up at one moment of its run. The same in every run. */
export interface WasmSample {
  /** Units of fuel burned. */
  at: number;
  /** Bytes of memory. */
  memory: number;
  /** Bytes in `/out`, standard output and standard error together. */
  output: number;
}

/** What a task used while it ran, as its host says; nothing checks it, and no digest depends on it. */
export type ResourceTrace =
  | {
      version: 1;
      /** Where it comes from: the container's control group. */
      source: "cgroup-v1" | "cgroup-v2";
      /** Milliseconds from sample to sample; what was seen more often is summed up. */
      every: number;
      /** In ascending order of `at`; the last is the end, or the last that could be seen. */
      samples: ContainerSample[];
    }
  | {
      version: 1;
      /** Where it comes from: the meter. */
      source: "wasm";
      /** Units of fuel from sample to sample. */
      every: number;
      /** In ascending order of `at`; the last is the end. */
      samples: WasmSample[];
    };

const count = z.int().min(0);
const version = z.literal(1);
const every = z.int().min(1);

const containerSample = z.strictObject({
  at: count,
  cpu: count,
  memory: count,
  read: count,
  written: count,
  processes: count,
});
const wasmSample = z.strictObject({ at: count, memory: count, output: count });

const schema: z.ZodType<ResourceTrace> = z
  .discriminatedUnion("source", [
    z.strictObject({
      version,
      source: z.enum(["cgroup-v1", "cgroup-v2"]),
      every,
      samples: boundedArray(containerSample, MAX_TRACE_SAMPLES),
    }),
    z.strictObject({ version, source: z.literal("wasm"), every, samples: boundedArray(wasmSample, MAX_TRACE_SAMPLES) }),
  ])
  .refine(({ samples }) => isAscending(samples), { error: "expected samples in ascending order", path: ["samples"] });

function isAscending(samples: readonly { at: number }[]): boolean {
  return samples.every(({ at }, index) => index === 0 || at > samples[index - 1]!.at);
}

/**
 * Writes a trace in its one form.
 *
 * @throws SuretyError `RESOURCE_TRACE_INVALID` for what {@link decodeTrace} would refuse
 */
export function encodeTrace(trace: ResourceTrace): Uint8Array {
  const samples =
    trace.source === "wasm"
      ? trace.samples.map(({ at, memory, output }) => ({ at, memory, output }))
      : trace.samples.map(({ at, cpu, memory, read, written, processes }) => {
          return { at, cpu, memory, read, written, processes };
        });
  const bytes = encodeJson({ version: 1, source: trace.source, every: trace.every, samples });
  decodeTrace(bytes);
  return bytes;
}

/**
 * Reads a stranger's trace.
 *
 * @throws SuretyError `RESOURCE_TRACE_INVALID` if it is too large, no canonical JSON or malformed
 */
export function decodeTrace(bytes: Uint8Array): ResourceTrace {
  return decodeJson(bytes, {
    schema,
    name: "resource trace",
    code: "RESOURCE_TRACE_INVALID",
    maxBytes: MAX_TRACE_BYTES,
  });
}

/**
 * Encrypts a trace under the key of the output it belongs to. It cannot be taken for the output, nor the output for it.
 *
 * @param key 32 bytes
 * @throws SuretyError `RESOURCE_TRACE_INVALID`
 */
export function sealTrace(trace: ResourceTrace, key: Uint8Array): Uint8Array {
  return sealBytes(encodeTrace(trace), { associatedData: AAD, key }).bytes;
}

/**
 * Decrypts and reads what {@link sealTrace} made.
 *
 * @throws StorageError `SEALED_FILE_CORRUPT`
 * @throws SuretyError `RESOURCE_TRACE_INVALID`
 */
export function openTrace(sealed: Uint8Array, key: Uint8Array): ResourceTrace {
  return decodeTrace(openBytes(sealed, key, { associatedData: AAD }));
}

/** What a trace comes to, to be shown in one line. */
export interface TraceSummary {
  /** Milliseconds; undefined for WASM, whose trace knows no time. */
  milliseconds?: number;
  /** Microseconds of CPU; undefined for WASM. */
  cpu?: number;
  /** Units of fuel; undefined for containers. */
  fuel?: number;
  /** Most bytes of memory in any sample. */
  peakMemory: number;
  /** Bytes read from devices; undefined for WASM, which has none. */
  read?: number;
  /** Bytes written to devices by a container, or held as output at the end by a WASM program. */
  written: number;
  samples: number;
}

/** Sums a trace up. */
export function summariseTrace(trace: ResourceTrace): TraceSummary {
  const peakMemory = Math.max(...trace.samples.map(({ memory }) => memory));
  if (trace.source === "wasm") {
    const last = trace.samples.at(-1)!;
    return { fuel: last.at, peakMemory, written: last.output, samples: trace.samples.length };
  }
  const { at, cpu, read, written } = trace.samples.at(-1)!;
  return { milliseconds: at, cpu, peakMemory, read, written, samples: trace.samples.length };
}
