import { createHash } from "node:crypto";
import type { Executor, TaskInput, TaskOutcome } from "../executor/executor.ts";

/** How a dishonest node cheats: `lying` runs the program and falsifies what came out, `lazy` never runs it. */
export type Dishonesty = "lying" | "lazy";

/** Settings of {@link dishonestExecutor}. */
export interface DishonestyOptions {
  kind: Dishonesty;
  /** Two nodes with different seeds never agree in a lie by chance. */
  seed: string;
  /** Share of the tasks to cheat at, 0 to 1. Defaults to all. */
  share?: number;
}

/**
 * An executor that cheats, for devnets and tests: the node around it is an honest one in every other respect, which
 * is what a cheat would be that wants to be paid.
 */
export function dishonestExecutor(honest: Executor, options: DishonestyOptions): Executor {
  const { kind, seed, share = 1 } = options;
  return {
    runtime: honest.runtime,
    check: (program, callOptions) => honest.check(program, callOptions),
    close: () => honest.close(),
    run: async (task, callOptions) => {
      const chance = draw(task, seed);
      if (chance.readUInt32BE(0) / 2 ** 32 >= share) return honest.run(task, callOptions);
      return kind === "lazy" ? invented(chance) : falsified(await honest.run(task, callOptions), chance);
    },
  };
}

/** Changes one byte of the first file, or of standard output where there are no files. */
function falsified(outcome: TaskOutcome, chance: Buffer): TaskOutcome {
  const [path] = [...outcome.files.keys()].sort();
  if (path === undefined) return { ...outcome, stdout: withOtherByte(outcome.stdout, chance) };
  const files = new Map(outcome.files);
  files.set(path, withOtherByte(files.get(path) ?? new Uint8Array(0), chance));
  return { ...outcome, files };
}

function withOtherByte(bytes: Uint8Array, chance: Buffer): Uint8Array {
  if (bytes.length === 0) return Uint8Array.of(1 + ((chance[8] ?? 0) % 255));
  const changed = Uint8Array.from(bytes);
  const place = chance.readUInt32BE(4) % bytes.length;
  // Never zero, so that the byte does change.
  changed[place] = (changed[place] ?? 0) ^ (1 + ((chance[8] ?? 0) % 255));
  return changed;
}

function invented(chance: Buffer): TaskOutcome {
  return {
    exit: { code: 0 },
    stdout: new Uint8Array(0),
    stderr: new Uint8Array(0),
    files: new Map([["result", Uint8Array.from(chance)]]),
    usage: { fuel: 1n, peakMemoryBytes: 0, milliseconds: 0 },
  };
}

function programName({ program }: TaskInput): string | Uint8Array {
  if (program instanceof Uint8Array) return program;
  return "cid" in program.image ? program.image.id : program.image.reference;
}

/** The same task draws the same, so that a node does not contradict itself after a restart. */
function draw(task: TaskInput, seed: string): Buffer {
  const hash = createHash("sha256").update(seed).update("\0").update(programName(task)).update(String(task.index));
  for (const path of [...task.input.keys()].sort())
    hash.update(`\0${path}\0`).update(task.input.get(path) ?? new Uint8Array(0));
  return hash.digest();
}
