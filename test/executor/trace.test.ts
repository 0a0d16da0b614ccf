import { expect } from "chai";
import { encodeTrace, MAX_TRACE_SAMPLES, summariseTrace, type ContainerSample } from "#sdk/resource-trace.ts";
import type { Cgroup } from "../../agents/executor/cgroup.ts";
import type { Executor, RunningContainer, TaskInput, TaskOutcome } from "../../agents/executor/executor.ts";
import { ContainerSamples, ContainerTrace, runTraced, SAMPLE_MS } from "../../agents/executor/trace.ts";

const look = (at: number, changes: Partial<ContainerSample> = {}): ContainerSample => ({
  ...{ at, cpu: at * 10, memory: 100, read: at, written: at * 2, processes: 1 },
  ...changes,
});

/** A group that says of CPU how often it was read, until it is gone. */
const countingGroup = (gone = Infinity): Cgroup & { closed: number; reads: number } => ({
  version: "cgroup-v2",
  closed: 0,
  reads: 0,
  read() {
    this.reads += 1;
    return this.reads > gone ? undefined : { cpu: this.reads, memory: 5, read: 0, written: 0, processes: 1 };
  },
  close() {
    this.closed += 1;
  },
});

describe("trace of a container", () => {
  it("keeps every look while there is room", () => {
    const samples = new ContainerSamples();
    for (let at = 40; at <= 4000; at += 40) samples.add(look(at));
    expect(samples.all().map(({ at }) => at)).to.deep.equal(
      Array.from({ length: 100 }, (_, place) => (place + 1) * 40),
    );
    expect(samples.looksPerSample).to.equal(1);
  });

  it("leaves out a look that is no later than the last", () => {
    const samples = new ContainerSamples();
    for (const at of [40, 40, 39, 41]) samples.add(look(at));
    expect(samples.all().map(({ at }) => at)).to.deep.equal([40, 41]);
  });

  it("halves its resolution when it is full, again and again, without losing a peak or the end", () => {
    const samples = new ContainerSamples();
    const looks = 5000;
    for (let number = 1; number <= looks; number++)
      samples.add(look(number * 40, number === 777 ? { memory: 9999, processes: 42 } : {}));
    const all = samples.all();
    expect(all.length).to.be.within(MAX_TRACE_SAMPLES / 2 - 1, MAX_TRACE_SAMPLES);
    expect(samples.looksPerSample).to.equal(16);
    expect(all.slice(0, -1).map(({ at }) => at)).to.deep.equal(
      Array.from({ length: all.length - 1 }, (_, place) => (place + 1) * 16 * 40),
    );
    expect(all.at(-1)).to.deep.equal(look(looks * 40));
    expect(all.filter(({ memory }) => memory === 9999).map(({ at, processes }) => [at, processes])).to.deep.equal([
      [784 * 40, 42],
    ]);
    expect(encodeTrace({ version: 1, source: "cgroup-v1", every: 640, samples: all }).length).to.be.above(0);
  });

  it("looks from the start to the end, and closes what it opened", () => {
    const group = countingGroup();
    const clock = { time: 1000, now: () => clock.time };
    const traced = new ContainerTrace({ clock, open: () => group });
    const watch = traced.watch({ pid: 1 });
    clock.time += 25.7;
    watch.ended();
    clock.time += 1000;
    watch.ended();
    traced.stop();
    expect(group.closed).to.equal(1);
    expect(traced.trace).to.deep.equal({
      version: 1,
      source: "cgroup-v2",
      every: SAMPLE_MS,
      samples: [
        { at: 0, cpu: 1, memory: 5, read: 0, written: 0, processes: 1 },
        { at: 25, cpu: 2, memory: 5, read: 0, written: 0, processes: 1 },
      ],
    });
  });

  it("is none where nothing can be seen of the container", () => {
    for (const open of [() => undefined, () => countingGroup(0)]) {
      const traced = new ContainerTrace({ open });
      traced.watch({ pid: 1 }).ended();
      expect(traced.trace).to.equal(undefined);
    }
  });

  describe("runTraced", () => {
    const result = { exit: { code: 0 }, stdout: new Uint8Array(), stderr: new Uint8Array(), files: new Map() };
    const outcome: TaskOutcome = { ...result, usage: { fuel: 0n, peakMemoryBytes: 0, milliseconds: 1 } };
    const task = {} as TaskInput;

    it("puts what was seen of a container into its outcome", async () => {
      const container = { id: "", pid: process.pid, runtime: "runc" } as RunningContainer;
      const executor: Pick<Executor, "run"> = {
        run: async (_, options) => {
          const watch = options!.watch!(container);
          await new Promise((resolve) => setTimeout(resolve, 3 * SAMPLE_MS));
          await watch.ended();
          return outcome;
        },
      };
      const { trace, usage, ...rest } = await runTraced(executor, task);
      // This process' own group, where this machine has any to show.
      const peakMemoryBytes = trace ? summariseTrace(trace).peakMemory : 0;
      expect({ ...rest, usage }).to.deep.equal({ ...outcome, usage: { ...outcome.usage, peakMemoryBytes } });
      if (trace) expect(encodeTrace(trace).length).to.be.above(0);
    });

    it("leaves alone what the executor tells by itself", async () => {
      const trace = { version: 1, source: "wasm", every: 1, samples: [{ at: 1, memory: 1, output: 1 }] } as const;
      const told = { ...outcome, trace: { ...trace, samples: [...trace.samples] } };
      expect(await runTraced({ run: async () => told }, task)).to.deep.equal(told);
      expect(await runTraced({ run: async () => outcome }, task)).to.equal(outcome);
    });
  });
});
