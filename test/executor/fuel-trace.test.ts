import { expect } from "chai";
import { encodeTrace, MAX_TRACE_SAMPLES, type WasmSample } from "#sdk/resource-trace.ts";
import type { TaskInput, TaskLimits, TaskOutcome } from "../../agents/executor/executor.ts";
import { FIRST_FUEL_INTERVAL, FuelTrace } from "../../agents/executor/wasm/fuel-trace.ts";
import { WasmExecutor } from "../../agents/executor/wasm-executor.ts";
import { plainProgram } from "./programs.ts";

const limits: TaskLimits = { fuel: 1n << 34n, memoryBytes: 64 << 20, seconds: 60, outputBytes: 1 << 20, files: 16 };
const page = 65_536;

/** Counts, takes a megabyte, counts, writes, and counts on, as often as its argument has characters. */
const steps = `
@external("wasi_snapshot_preview1", "args_sizes_get") declare function args_sizes_get(count: usize, size: usize): i32;
@external("wasi_snapshot_preview1", "fd_write") declare function fd_write(fd: i32, list: usize, count: i32, done: usize): i32;

const scratch = memory.data(64);

function count(to: i32): i32 {
  let sum = 0;
  for (let i = 0; i < to; i++) sum = sum * 31 + i;
  return sum;
}

args_sizes_get(scratch, scratch + 4);
// Of the name, "task", and of the argument, each with a NUL.
const rounds = load<i32>(scratch + 4) - 6;
let sum = 0;
for (let round = 0; round < rounds; round++) {
  sum += count(30_000);
  memory.grow(16);
  sum += count(30_000);
  store<i32>(scratch + 16, sum);
  store<usize>(scratch + 8, scratch + 16);
  store<i32>(scratch + 12, 4);
  fd_write(1, scratch + 8, 1, scratch + 24);
}
store<i32>(scratch, count(50_000));
`;

describe("trace of a WASM program", function () {
  this.timeout(60_000);
  let program: Uint8Array;
  let executor: WasmExecutor;

  before(async () => {
    program = await plainProgram(steps);
    executor = new WasmExecutor();
  });
  after(() => executor.close());

  const run = (rounds: number, changes: Partial<TaskLimits> = {}): Promise<TaskOutcome> => {
    const task: TaskInput = {
      ...{ program, args: ["x".repeat(rounds)], index: 0, input: new Map() },
      limits: { ...limits, ...changes },
    };
    return executor.run(task);
  };
  const samplesOf = ({ trace }: TaskOutcome): WasmSample[] => {
    if (trace?.source !== "wasm") throw new Error("no trace of fuel");
    return trace.samples;
  };

  it("shows memory and output as they were at every interval of fuel, and at the end", async () => {
    const outcome = await run(3);
    const samples = samplesOf(outcome);
    expect(outcome.exit).to.deep.equal({ code: 0 });
    expect(samples.slice(0, -1).map(({ at }) => at)).to.deep.equal(
      Array.from({ length: samples.length - 1 }, (_, place) => (place + 1) * FIRST_FUEL_INTERVAL),
    );
    const last = samples.at(-1)!;
    expect(last).to.deep.equal({
      at: Number(outcome.usage.fuel),
      memory: outcome.usage.peakMemoryBytes,
      output: outcome.stdout.length,
    });
    // Four plateaus of memory and four of output, and what was written is seen to come after what was taken.
    const memory = [...new Set(samples.map((sample) => sample.memory))];
    expect(memory.map((bytes) => (bytes - memory[0]!) / page)).to.deep.equal([0, 16, 32, 48]);
    expect(new Set(samples.map((sample) => sample.output)).size).to.equal(4);
    expect(samples.filter((sample) => sample.memory === memory[1]).map((sample) => sample.output)).to.include(0);
  });

  it("is the same in every run", async () => {
    const [one, other] = [await run(5), await run(5)];
    expect(Buffer.from(encodeTrace(one.trace!)).toString()).to.equal(Buffer.from(encodeTrace(other.trace!)).toString());
  });

  it("sees the same at the same fuel, whatever limit ends it", async () => {
    const whole = samplesOf(await run(5));
    const cut = await run(5, { fuel: 1_500_000n });
    expect(cut.exit).to.deep.equal({ limit: "fuel" });
    const samples = samplesOf(cut);
    expect(samples.at(-1)!.at).to.equal(1_500_000);
    expect(samples.slice(0, -1)).to.deep.equal(whole.slice(0, samples.length - 1));
    expect(samples.length).to.be.above(10);
  });

  it("has a sample where the program may not even begin", async () => {
    const outcome = await run(1, { memoryBytes: 0 });
    expect(outcome.exit).to.deep.equal({ limit: "memory" });
    expect(samplesOf(outcome)).to.deep.equal([{ at: 0, memory: 0, output: 0 }]);
  });

  it("stays small however much fuel is burned, at twice the interval each time it is full", () => {
    const trace = new FuelTrace();
    const state = { memory: page, output: 0 };
    trace.advance(1000 * FIRST_FUEL_INTERVAL, state);
    trace.advance(Number.MAX_SAFE_INTEGER - 1, { memory: 2 * page, output: 5 });
    const ended = trace.end(Number.MAX_SAFE_INTEGER, { memory: 2 * page, output: 5 })!;
    expect(ended.samples.length).to.be.within(MAX_TRACE_SAMPLES / 2 - 1, MAX_TRACE_SAMPLES);
    expect(Math.log2(ended.every)).to.satisfy(Number.isInteger);
    for (const [place, { at }] of ended.samples.slice(0, -1).entries()) expect(at).to.equal((place + 1) * ended.every);
    expect(encodeTrace(ended).length).to.be.above(0);
    expect(trace.end(2 ** 60, state)).to.equal(undefined);
  });

  it("keeps what it saw first when the interval doubles", () => {
    const trace = new FuelTrace();
    trace.advance(300 * FIRST_FUEL_INTERVAL, { memory: page, output: 1 });
    const { samples } = trace.end(1200 * FIRST_FUEL_INTERVAL, { memory: 2 * page, output: 2 })!;
    for (const { at, memory } of samples as WasmSample[]) {
      expect(memory, `at ${at}`).to.equal(at <= 300 * FIRST_FUEL_INTERVAL ? page : 2 * page);
    }
  });
});
