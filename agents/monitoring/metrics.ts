import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from "prom-client";
import { systemClock, type Clock } from "#sdk/clock.ts";
import type { Head } from "#sdk/follower.ts";
import type { Executor, TaskExit } from "../executor/executor.ts";
import type { Intent } from "../journal/intent-table.ts";

/** Upper bounds of what a task takes, seconds. */
const TASK_SECONDS = [0.1, 0.3, 1, 3, 10, 30, 60, 120, 300, 600, 1_800, 3_600];
/** Upper bounds of what a request to the chain takes, seconds. */
const REQUEST_SECONDS = [0.01, 0.03, 0.1, 0.3, 1, 3, 10];

/** Which agent is measured. */
export interface MetricsOptions {
  agent: "compute" | "requester" | "participant";
  /** Of this program. */
  version: string;
}

/** What {@link AgentMetrics} work with. */
export interface MetricsDependencies {
  /** Default: the machine's. */
  clock?: Clock;
}

/** What an agent counts, by names that carry units. `docs/operating.md` lists them. */
export class AgentMetrics {
  /** What is told to whoever asks. A part of an agent with metrics of its own registers them here. */
  readonly registry = new Registry();
  readonly #blocks = this.#counter("blocks_followed_total", "Blocks read since the start.");
  readonly #events = this.#counter("events_total", "Events of the contracts read since the start.");
  readonly #reorganisations = this.#counter("reorganisations_total", "Reorganisations of the chain met.");
  readonly #headBlock = this.#gauge("head_block", "Number of the newest block acted on.");
  readonly #finalBlock = this.#gauge("final_block", "Number of the newest block taken for final.");
  readonly #headTime = this.#gauge("head_timestamp_seconds", "Time of the newest block acted on, Unix seconds.");
  readonly #headAge = this.#gauge("head_lag_seconds", "By how much this machine's clock is ahead of the newest block.");
  readonly #finalityLag = this.#gauge("finality_lag_blocks", "Blocks from the newest final one to the newest.");
  readonly #calls = this.#counter(
    "calls_total",
    "Calls by what became of them: sent, bumped, mined, final, reverted, refused, expired.",
    ["call", "outcome"],
  );
  readonly #gasPrice = this.#gauge("gas_price_wei", "Paid per gas by the last transaction that was mined, wei.");
  readonly #gas = this.#counter("gas_spent_wei_total", "Paid for gas in final blocks, wei.", ["call"]);
  readonly #tasks = this.#counter("tasks_total", "Tasks run, by how they ended.", ["outcome"]);
  readonly #taskSeconds = this.#histogram("task_seconds", "How long tasks ran.", TASK_SECONDS);
  readonly #tasksRunning = this.#gauge("tasks_running", "Tasks that are running.");
  readonly #duties = this.#gauge("duties", "What is due now, by kind.", ["kind"]);
  readonly #underWay = this.#gauge("work_under_way", "Pieces of work begun and not finished.");
  readonly #requests = this.#counter("rpc_requests_total", "Requests to the chain: answered, failed.", [
    "endpoint",
    "outcome",
  ]);
  readonly #requestSeconds = this.#histogram("rpc_request_seconds", "How long they took.", REQUEST_SECONDS);
  readonly #errors = this.#counter("errors_total", "Warnings and errors in the log, by their code.", ["code"]);
  readonly #clock: Clock;
  /** How far the calls that are not final have come, by key. */
  readonly #progress = new Map<string, { sent: number; isMined: boolean }>();
  #seen: { timestamp: number } | undefined;
  #askedAt: number;

  constructor({ agent, version }: MetricsOptions, { clock = systemClock }: MetricsDependencies = {}) {
    this.#clock = clock;
    this.#askedAt = clock.now();
    this.#gauge("build_info", "What runs here.", ["agent", "version"]).set({ agent, version }, 1);
  }

  /** Adds what every process tells: memory, CPU, event loop. Once. */
  addProcess(): void {
    collectDefaultMetrics({ register: this.registry });
  }

  /** A gauge whose values are found when it is asked for; one that cannot be found is left out. */
  ask(name: string, help: string, find: () => number | undefined | Promise<number | undefined>): void {
    const gauge: Gauge = new Gauge({
      name: `surety_${name}`,
      help,
      registers: [this.registry],
      collect: async () => {
        const value = await Promise.resolve(find()).catch(() => undefined);
        // Not its `reset`, which would tell 0.
        if (value === undefined) gauge.remove({});
        else gauge.set(value);
      },
    });
  }

  /** As {@link AgentMetrics.ask}, a value for each of a label's values. */
  askEach(
    name: string,
    { help, label }: { help: string; label: string },
    find: () => ReadonlyMap<string, number> | Promise<ReadonlyMap<string, number>>,
  ): void {
    const gauge: Gauge = new Gauge({
      name: `surety_${name}`,
      help,
      labelNames: [label],
      registers: [this.registry],
      collect: async () => {
        const values = await Promise.resolve(find()).catch(() => new Map<string, number>());
        gauge.reset();
        for (const [value, count] of values) gauge.set({ [label]: value }, count);
      },
    });
  }

  /** When the agent asked the chain for something last, milliseconds: one that does not any more is stuck. */
  get askedAt(): number {
    return this.#askedAt;
  }

  /** Whether the agent has acted on a head. */
  get hasActed(): boolean {
    return this.#seen !== undefined;
  }

  /** Something went wrong that is logged. */
  met(code: string): void {
    this.#errors.inc({ code });
  }

  /** The same `fetch`, requests to the chain counted. Of an endpoint only the host is told: the rest may be a key. */
  measuredFetch(through: typeof fetch): typeof fetch {
    return async (input, init) => {
      const endpoint = new URL(input instanceof Request ? input.url : input).host;
      this.#askedAt = this.#clock.now();
      const started = performance.now();
      let outcome = "failed";
      try {
        const response = await through(input, init);
        if (response.ok) outcome = "answered";
        return response;
      } finally {
        this.#requests.inc({ endpoint, outcome });
        this.#requestSeconds.observe((performance.now() - started) / 1000);
      }
    };
  }

  /** A block was read. */
  readBlock(): void {
    this.#blocks.inc();
  }

  /** Events were read from the chain. */
  readEvents(count: number): void {
    this.#events.inc(count);
  }

  /** The chain was reorganised. */
  rewound(): void {
    this.#reorganisations.inc();
  }

  /** The agent has acted on a head. */
  actedOn({ number, timestamp, finalNumber }: Head): void {
    this.#seen = { timestamp };
    this.#headBlock.set(number);
    this.#finalBlock.set(finalNumber);
    this.#headTime.set(timestamp);
    this.#finalityLag.set(number - finalNumber);
  }

  /** What is due, by kind; takes the place of what was due before. */
  due(kinds: Iterable<string>): void {
    this.#duties.reset();
    for (const kind of kinds) this.#duties.inc({ kind });
  }

  /** How many pieces of work were begun and are not submitted. */
  underWay(count: number): void {
    this.#underWay.set(count);
  }

  /** A call has come further; for the sender's `onStep`. */
  stepped({ key, status, attempts, inclusion, failure }: Intent): void {
    const call = kindOf(key);
    const count = (outcome: string): void => this.#calls.inc({ call, outcome });
    const before = this.#progress.get(key) ?? { sent: 0, isMined: false };
    if (status === "sent" && attempts.length > before.sent) count(before.sent === 0 ? "sent" : "bumped");
    if (status === "mined" && !before.isMined) count("mined");
    if (inclusion) this.#gasPrice.set(Number(inclusion.gasPrice));
    if (status === "final") count("final");
    if (status === "failed") {
      if (failure?.code === "DEADLINE_PASSED") count("expired");
      else count(inclusion ? "reverted" : "refused");
    }
    if (status === "final" || status === "failed") {
      this.#progress.delete(key);
      if (inclusion) this.#gas.inc({ call }, Number(inclusion.gasUsed * inclusion.gasPrice));
    } else {
      const sent = status === "planned" ? 0 : status === "signed" ? before.sent : attempts.length;
      this.#progress.set(key, { sent, isMined: status === "mined" });
    }
  }

  /** The same executor, its tasks counted. */
  measured(executor: Executor): Executor {
    return {
      runtime: executor.runtime,
      check: (program, options) => executor.check(program, options),
      close: () => executor.close(),
      run: async (task, options) => {
        this.#tasksRunning.inc();
        const started = performance.now();
        try {
          const outcome = await executor.run(task, options);
          this.#tasks.inc({ outcome: outcomeOf(outcome.exit) });
          this.#taskSeconds.observe((performance.now() - started) / 1000);
          return outcome;
        } catch (error) {
          this.#tasks.inc({ outcome: options?.signal?.aborted ? "stopped" : "error" });
          throw error;
        } finally {
          this.#tasksRunning.dec();
        }
      },
    };
  }

  /** In the text format of Prometheus. */
  async text(): Promise<string> {
    // Grows while nothing happens, so it is told as it is now.
    if (this.#seen) this.#headAge.set(Date.now() / 1000 - this.#seen.timestamp);
    return this.registry.metrics();
  }

  #counter<Label extends string = never>(name: string, help: string, labelNames: Label[] = []): Counter<Label> {
    return new Counter({ name: `surety_${name}`, help, labelNames, registers: [this.registry] });
  }

  #histogram(name: string, help: string, buckets: number[]): Histogram {
    return new Histogram({ name: `surety_${name}`, help, buckets, registers: [this.registry] });
  }

  #gauge<Label extends string = never>(name: string, help: string, labelNames: Label[] = []): Gauge<Label> {
    return new Gauge({ name: `surety_${name}`, help, labelNames, registers: [this.registry] });
  }
}

/** `submit:0x12…:0` is a `submit`, `gap:…` and membership steps keep their own names. */
function kindOf(key: string): string {
  const [first = "", second = ""] = key.split(":");
  return first === "membership" ? second : first;
}

function outcomeOf(exit: TaskExit): string {
  if ("limit" in exit) return `limit-${exit.limit}`;
  if ("trap" in exit) return "trap";
  return exit.code === 0 ? "done" : "failed";
}
