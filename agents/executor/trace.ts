import { MAX_TRACE_SAMPLES, summariseTrace, type ContainerSample, type ResourceTrace } from "#sdk/resource-trace.ts";
import { systemClock, type Clock } from "#sdk/clock.ts";
import { openCgroup, type Cgroup } from "./cgroup.ts";
import type { Executor, RunOptions, TaskInput, TaskOutcome } from "./executor.ts";

/** Milliseconds from one look at a container to the next: 25 a second. */
export const SAMPLE_MS = 40;

/** Samples of a container, never more than a trace may have: whenever it is full, two neighbours become one. */
export class ContainerSamples {
  #samples: ContainerSample[] = [];
  /** What was seen since the last sample was full. */
  #pending: ContainerSample[] = [];
  #looks = 1;

  /** How many looks make a sample. */
  get looksPerSample(): number {
    return this.#looks;
  }

  /** Takes a look; one that is no later than the last is left out. */
  add(sample: ContainerSample): void {
    const last = this.#pending.at(-1) ?? this.#samples.at(-1);
    if (last !== undefined && sample.at <= last.at) return;
    this.#pending.push(sample);
    if (this.#pending.length < this.#looks) return;
    this.#samples.push(this.#pending.splice(0).reduce(joined));
    // An even number, and with room for what is pending at the end.
    if (this.#samples.length < MAX_TRACE_SAMPLES - 2) return;
    const full = this.#samples;
    this.#samples = full.flatMap((sample, place) => (place % 2 === 1 ? [joined(full[place - 1]!, sample)] : []));
    this.#looks *= 2;
  }

  /** All of them, what is pending included. */
  all(): ContainerSample[] {
    return this.#pending.length === 0 ? this.#samples : [...this.#samples, this.#pending.reduce(joined)];
  }
}

/** Two looks as one: counters as they were later, and the most of what goes up and down. */
function joined(earlier: ContainerSample, later: ContainerSample): ContainerSample {
  return {
    ...later,
    memory: Math.max(earlier.memory, later.memory),
    processes: Math.max(earlier.processes, later.processes),
  };
}

/** What {@link ContainerTrace} may be told. */
export interface ContainerTraceOptions {
  clock?: Pick<Clock, "now">;
  /** Opens the control group of a process. */
  open?: (pid: number) => Cgroup | undefined;
}

/** Watches what a container uses, from {@link ContainerTrace.watch} on until it has ended. */
export class ContainerTrace {
  readonly #clock: Pick<Clock, "now">;
  readonly #open: (pid: number) => Cgroup | undefined;
  readonly #samples = new ContainerSamples();
  #cgroup: Cgroup | undefined;
  #timer: NodeJS.Timeout | undefined;
  #started = 0;
  #source: Cgroup["version"] | undefined;

  constructor({ clock = systemClock, open = openCgroup }: ContainerTraceOptions = {}) {
    this.#clock = clock;
    this.#open = open;
  }

  /** Begins to watch; see {@link RunOptions.watch}. Where nothing can be seen of the container there is no trace. */
  watch({ pid }: { pid: number }): { ended(): void } {
    this.#cgroup = this.#open(pid);
    if (this.#cgroup !== undefined) {
      this.#source = this.#cgroup.version;
      this.#started = this.#clock.now();
      this.#look();
      this.#timer = setInterval(() => this.#look(), SAMPLE_MS);
      this.#timer.unref();
    }
    const ended = (): void => {
      // The counters may outlive the processes for a moment.
      this.#look();
      this.stop();
    };
    return { ended };
  }

  #look(): void {
    const reading = this.#cgroup?.read();
    if (reading !== undefined) this.#samples.add({ at: Math.floor(this.#clock.now() - this.#started), ...reading });
  }

  /** Stops watching; calling it again does nothing. */
  stop(): void {
    clearInterval(this.#timer);
    this.#cgroup?.close();
    this.#cgroup = undefined;
  }

  /** What was seen; undefined if that is nothing. */
  get trace(): ResourceTrace | undefined {
    const samples = this.#samples.all();
    if (this.#source === undefined || samples.length === 0) return undefined;
    return { version: 1, source: this.#source, every: SAMPLE_MS * this.#samples.looksPerSample, samples };
  }
}

/**
 * Runs a task and watches what it uses: a container from outside, where the executor does not tell by itself.
 *
 * @throws what {@link Executor.run} throws
 */
export async function runTraced(
  executor: Pick<Executor, "run">,
  task: TaskInput,
  options: Omit<RunOptions, "watch"> = {},
): Promise<TaskOutcome> {
  const watched = new ContainerTrace();
  try {
    const outcome = await executor.run(task, { ...options, watch: (container) => watched.watch(container) });
    const seen = watched.trace;
    if (outcome.trace !== undefined || seen === undefined) return outcome;
    const { peakMemory } = summariseTrace(seen);
    return { ...outcome, trace: seen, usage: { ...outcome.usage, peakMemoryBytes: peakMemory } };
  } finally {
    watched.stop();
  }
}
