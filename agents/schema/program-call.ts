import { SuretyError } from "#sdk/errors.ts";
import type { ContainerLimits } from "#sdk/container-spec.ts";
import type { Limits } from "#sdk/job-spec.ts";
import type { SchemaProto, SchemaRole } from "#sdk/schema-proto.ts";
import { taskLimits } from "../compute/programs.ts";
import type { ContainerProgram, Executor, TaskExit, TaskInput, TaskOutcome } from "../executor/executor.ts";

/** Where a program finds what it is given, below `/in`, and leaves what it gives, below `/out`. */
export const CALL_FILES = {
  /** The message, serialised. */
  request: "request",
  /** The schema's messages and services, as a serialised `FileDescriptorSet`. */
  descriptors: "descriptors",
  /** 32 bytes. */
  seed: "seed",
  /** What the last step left, or leaves, to go on from. */
  checkpoint: "checkpoint",
  /** The answer, serialised. */
  reply: "reply",
  /** Folder of stored directories by content id, and of such to be stored by field. */
  content: "content",
  /** The evaluator's: every worker's seed and checkpoints, and revealed test data. */
  seeds: "seeds",
  checkpoints: "checkpoints",
  testData: "test-data",
} as const;

/** Most of what a program wrote to standard error that an error tells, characters. */
const MAX_TOLD = 2000;

/** A schema's programs, as an executor takes them. */
export type SchemaPrograms =
  | { runtime: "wasm"; modules: Record<SchemaRole, Uint8Array>; limits: Limits }
  | { runtime: "container"; program: ContainerProgram; limits: ContainerLimits };

/** One call. */
export interface ProgramCall {
  proto: SchemaProto;
  role: SchemaRole;
  /** Serialised. */
  message: Uint8Array;
  /** 32 bytes. */
  seed: Uint8Array;
  /** More below `/in`. */
  files?: ReadonlyMap<string, Uint8Array>;
}

/** What a call left. */
export interface ProgramAnswer {
  /** Serialised and not yet checked; undefined where the program left a checkpoint instead. */
  reply: Uint8Array | undefined;
  checkpoint: Uint8Array | undefined;
  /** What it published, by path below `content`. */
  content: Map<string, Uint8Array>;
  stderr: string;
  usage: TaskOutcome["usage"];
}

/**
 * Calls a worker or evaluator program once: the message goes in as a file, the answer comes out as one.
 *
 * @throws SuretyError `SCHEMA_PROGRAM_FAILED` if it ends badly or leaves no answer, with what it said; what
 * {@link Executor.run} throws
 */
export async function callProgram(
  executor: Executor,
  programs: SchemaPrograms,
  { proto, role, message, seed, files = new Map() }: ProgramCall,
  { signal }: { signal?: AbortSignal } = {},
): Promise<ProgramAnswer> {
  const input = new Map([
    ...files,
    [CALL_FILES.request, message],
    [CALL_FILES.descriptors, proto.descriptors],
    [CALL_FILES.seed, seed],
  ]);
  const outcome = await executor.run(taskOf(programs, role, input), { signal });
  const stderr = Buffer.from(outcome.stderr).toString();
  const failed = (reason: string): SuretyError =>
    new SuretyError("SCHEMA_PROGRAM_FAILED", `the ${role} ${reason}${told(stderr)}`, {
      details: { role, reason, exit: exitText(outcome.exit) },
      fix: "It is the program's own fault, or its limits are too low.",
    });
  if (!("code" in outcome.exit) || outcome.exit.code !== 0) throw failed(`ended with ${exitText(outcome.exit)}`);
  const reply = outcome.files.get(CALL_FILES.reply);
  const checkpoint = outcome.files.get(CALL_FILES.checkpoint);
  if ((reply === undefined) === (checkpoint === undefined)) {
    throw failed(reply ? "left both an answer and a checkpoint" : "left no answer in /out/reply");
  }
  const prefix = `${CALL_FILES.content}/`;
  const content = [...outcome.files].filter(([path]) => path.startsWith(prefix));
  return {
    reply,
    checkpoint,
    content: new Map(content.map(([path, bytes]) => [path.slice(prefix.length), bytes])),
    stderr,
    usage: outcome.usage,
  };
}

function taskOf(programs: SchemaPrograms, role: SchemaRole, input: ReadonlyMap<string, Uint8Array>): TaskInput {
  const program = programs.runtime === "wasm" ? programs.modules[role] : programs.program;
  // Program and limits are of one kind, which no type can tell here.
  return { args: [role], index: 0, input, program, limits: taskLimits(programs) } as TaskInput;
}

function exitText(exit: TaskExit): string {
  if ("code" in exit) return `status ${exit.code}`;
  return "limit" in exit ? `the limit ${exit.limit}` : `the fault ${exit.trap}`;
}

function told(stderr: string): string {
  const text = stderr.trim();
  return text === "" ? "" : `:\n${text.slice(-MAX_TOLD)}`;
}
