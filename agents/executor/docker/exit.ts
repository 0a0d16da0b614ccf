import type { TaskExit } from "../executor.ts";

/** What the agent stopped a container for. */
export type StopReason = "time" | "output";

/** How a container's first process ended, as the engine tells. */
export interface ContainerEnd {
  /** Exit status; 128 and the signal's number where one killed it. */
  code: number;
  /** Whether the kernel killed any of its processes for want of memory. */
  outOfMemory: boolean;
}

/**
 * How a task ended. What stopped it counts for more than the status it left: a process killed for want of memory ends in
 * the limit `memory` even if the program went on without it, for how far it came depends on the machine.
 *
 * Faults of tasks in containers: `not-executable` (there is no such program in the image, or none this machine could
 * run), `output-link`, `output-special`, `output-name` (see `outputs.ts`).
 */
export function exitOf(end: ContainerEnd, stopped: StopReason | undefined): TaskExit {
  if (stopped !== undefined) return { limit: stopped };
  if (end.outOfMemory) return { limit: "memory" };
  return { code: end.code };
}

/** As the first process in a container says that it cannot run the program, with its number, which differs between runs. */
const NO_PROGRAM = /^\[FATAL tini \(\d+\)\] exec [^\n]* failed: [^\n]*\n$/;
const MOST_WORDS = 8192;

/** What a task wrote to standard error, without what the engine added that would differ if it ran again. */
export function withoutNumbers(stderr: Uint8Array): Uint8Array {
  if (stderr.length > MOST_WORDS) return stderr;
  const words = Buffer.from(stderr).toString("latin1");
  return NO_PROGRAM.test(words) ? Buffer.from(words.replace(/ \(\d+\)/, ""), "latin1") : stderr;
}

/** Whether the engine refused to start a container because of the program, and not for a fault of its own. */
export function isProgramsFault({ statusCode, message = "" }: { statusCode?: number; message?: string }): boolean {
  if (statusCode !== 400 && statusCode !== 500) return false;
  // "exec: "/none": stat /none: no such file or directory", as runc and runsc say it.
  return /executable file not found|no such file or directory|permission denied|exec format error|not a directory|is a directory|error finding executable|failed to load/.test(
    message,
  );
}
