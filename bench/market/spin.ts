import { WasmExecutor } from "../../agents/executor/wasm-executor.ts";
import type { TaskLimits } from "../../agents/executor/executor.ts";

/*
 * A program that only takes time: tasks of a known length, with next to nothing to read and to write. What a job of them
 * takes beyond its length is the market's.
 */

/** Loops that lengths are found out with. */
const PROBE = 50_000_000;

export const SPIN_LIMITS: TaskLimits = {
  fuel: 1_000_000_000_000n,
  memoryBytes: 2 ** 20,
  seconds: 600,
  outputBytes: 1024,
  files: 1,
};

/** A WASI command that counts down from `loops` and ends. */
export function spinProgram(loops: number): Uint8Array {
  const body = [
    // One local, an i64; i = loops.
    ...[0x01, 0x01, 0x7e, 0x42, ...signedLeb(BigInt(loops)), 0x21, 0x00],
    // loop: i = i - 1; again unless i is 0; end.
    ...[0x03, 0x40, 0x20, 0x00, 0x42, 0x01, 0x7d, 0x22, 0x00, 0x42, 0x00, 0x52, 0x0d, 0x00, 0x0b],
    0x0b,
  ];
  return Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00],
    ...[0x01, 0x04, 0x01, 0x60, 0x00, 0x00, 0x03, 0x02, 0x01, 0x00, 0x05, 0x03, 0x01, 0x00, 0x01],
    ...[0x07, 0x13, 0x02, 0x06, ...Buffer.from("memory"), 0x02, 0x00, 0x06, ...Buffer.from("_start"), 0x00, 0x00],
    ...[0x0a, body.length + 2, 0x01, body.length, ...body],
  ]);
}

function signedLeb(value: bigint): number[] {
  const bytes: number[] = [];
  for (;;) {
    const low = Number(value & 0x7fn);
    value >>= 7n;
    const isLast = value === 0n && (low & 0x40) === 0;
    bytes.push(isLast ? low : low | 0x80);
    if (isLast) return bytes;
  }
}

/** How many loops a millisecond has, in the sandbox on this machine. */
export async function loopsPerMillisecond(signal: AbortSignal): Promise<number> {
  const executor = new WasmExecutor();
  try {
    const task = { program: spinProgram(PROBE), args: [], index: 0, input: new Map(), limits: SPIN_LIMITS };
    // Compiles.
    await executor.run({ ...task, limits: { ...SPIN_LIMITS, fuel: 1n } }, { signal });
    const began = performance.now();
    await executor.run(task, { signal });
    return PROBE / (performance.now() - began);
  } finally {
    await executor.close();
  }
}

/** What running all tasks in sandboxes of one process took. */
export interface PlainSpin {
  /** Sandboxes at once. */
  workers: number;
  seconds: number;
}

/** Runs so many tasks of a program, as many at once as there are workers. */
export async function spinPlain(
  program: Uint8Array,
  { tasks, workers }: { tasks: number; workers: number },
  signal: AbortSignal,
): Promise<PlainSpin> {
  const executor = new WasmExecutor({ workers });
  try {
    const run = async (index: number): Promise<void> => {
      const outcome = await executor.run(
        { program, args: [], index, input: new Map(), limits: SPIN_LIMITS },
        { signal },
      );
      if (!("code" in outcome.exit) || outcome.exit.code !== 0) throw new Error(`task ${index} failed`);
    };
    await executor.check(program, { signal });
    const began = performance.now();
    let next = 0;
    const work = async (): Promise<void> => {
      while (next < tasks) await run(next++);
    };
    await Promise.all(Array.from({ length: workers }, work));
    return { workers, seconds: (performance.now() - began) / 1000 };
  } finally {
    await executor.close();
  }
}
