import type { Directory } from "#sdk/content.ts";
import { differences, type Difference } from "./difference.ts";
import type { Executor, TaskExit, TaskInput } from "./executor.ts";
import { outputDirectory } from "./outcome.ts";

/** What became of running a task several times. */
export interface Repetition {
  /** How often it was run: it ends with the first run that differs. */
  runs: number;
  /** What differs between the first run and the last; empty if nothing does. */
  differences: Difference[];
  /** How the first run ended. */
  exit: TaskExit;
  /** Milliseconds that each run took. */
  milliseconds: number[];
}

/**
 * Runs a task several times, one after the other, until a run's output is not that of the first.
 *
 * @param options `runs`: 2 or more.
 * @throws what {@link Executor.run} throws
 */
export async function repeatTask(
  executor: Pick<Executor, "run">,
  task: TaskInput,
  { runs, signal }: { runs: number; signal?: AbortSignal },
): Promise<Repetition> {
  let first: { directory: Directory; exit: TaskExit } | undefined;
  const milliseconds: number[] = [];
  let found: Difference[] = [];
  while (milliseconds.length < runs && found.length === 0) {
    const outcome = await executor.run(task, { signal });
    milliseconds.push(outcome.usage.milliseconds);
    const directory = outputDirectory(outcome);
    if (first === undefined) first = { directory, exit: outcome.exit };
    else found = differences(first.directory, directory);
  }
  return { runs: milliseconds.length, differences: found, exit: first!.exit, milliseconds };
}
