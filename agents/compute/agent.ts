import { keccak256 } from "ethers";
import { parseAmount } from "#sdk/amount.ts";
import * as calls from "#sdk/calls.ts";
import { systemClock } from "#sdk/clock.ts";
import { SuretyError } from "#sdk/errors.ts";
import type { Head } from "#sdk/follower.ts";
import { settlementOf, submissionOf, type AssignmentRecord, type BatchRecord } from "#sdk/market-state.ts";
import { nodeState } from "#sdk/reads.ts";
import type { Call } from "../chain/sender.ts";
import type { ComputeConfig } from "../config.ts";
import type { Drain } from "../drain.ts";
import type { Executor } from "../executor/executor.ts";
import type { Logger } from "../logger.ts";
import { MarketAgent } from "../market-agent.ts";
import { addComputeGauges } from "../monitoring/gauges.ts";
import type { AgentMetrics } from "../monitoring/metrics.ts";
import { runAgent, type AgentDependencies } from "../run-agent.ts";
import { DisputeActions, disputeKey, takesLong } from "./dispute-actions.ts";
import { stakeFor, type DisputeDuty } from "./disputes.ts";
import { computeDuties, type ComputeDuty, type Work } from "./duties.ts";
import { Programs } from "./programs.ts";
import { Membership, mySlot } from "./membership.ts";
import { Retention } from "./retention.ts";
import { isPrimary, Workbench } from "./workbench.ts";

/** What a compute node works with beside its configuration. */
export interface ComputeDependencies extends AgentDependencies {
  /** Runs a task again before anything is staked on its result in a dispute. Default: the same. */
  rechecker?: Executor;
}

/** How long to leave what anybody may do to those it is due from, seconds. */
const PATIENCE = 4;
/** Seconds before a piece of work that failed is tried again; doubles. */
const RETRY_SECONDS = 2;
/** The longest such wait, seconds: what disputes ask for is more urgent. */
const LONGEST_WAIT = { work: 60, dispute: 8 };
/** What no second try makes better. */
const HOPELESS: readonly string[] = ["TASK_TIMED_OUT", "COMMITMENT_LOST"];
/** How long a batch that cannot be run is left alone, milliseconds. */
const UNSUITABLE_MS = 60_000;
const DAY_SECONDS = 86_400;

/**
 * Runs a compute node until its signal aborts: keeps its stake and its places in the pool, claims what pays, runs it,
 * submits, verifies where it was drawn, and takes the steps that its pay waits for.
 *
 * @throws SuretyError what {@link MarketAgent.open} throws, `STAKE_UNAFFORDABLE`, `OWNER_MISMATCH`, and whatever will not
 *   pass by itself
 */
export async function runComputeAgent(config: ComputeConfig, dependencies: ComputeDependencies): Promise<void> {
  const { logger, rechecker } = dependencies;
  await runAgent<MarketAgent>(config, dependencies, {
    ...{ name: "compute", workers: config.workers, open: MarketAgent.open, addGauges: addComputeGauges },
    work: async ({ agent, executor, drain, metrics }) => {
      const executors = { executor, rechecker: rechecker ?? executor };
      await new ComputeAgent(config, agent, executors, { logger, drain, metrics }).run();
    },
  });
}

/** See {@link runComputeAgent}. */
class ComputeAgent {
  readonly #config: ComputeConfig;
  readonly #agent: MarketAgent;
  readonly #logger: Logger;
  readonly #drain: Drain;
  readonly #metrics: AgentMetrics;
  readonly #signal: AbortSignal;
  readonly #membership: Membership;
  readonly #programs: Programs;
  readonly #workbench: Workbench;
  readonly #retention: Retention;
  readonly #disputes: DisputeActions;
  readonly #running = new Map<string, Promise<void>>();
  /** Batches that cannot be run here, and until when not to look again. */
  readonly #unsuitable = new Map<string, number>();
  /** Work that cannot be done here, and will not be tried again in this life. */
  readonly #hopeless = new Set<string>();
  /** Ballots that there was too little stake for, as far as that was told. */
  readonly #told = new Set<string>();
  readonly #minPrice: bigint;
  /** Of the newest block, seconds. */
  #now = 0;

  constructor(
    config: ComputeConfig,
    agent: MarketAgent,
    executors: { executor: Executor; rechecker: Executor },
    { logger, drain, metrics }: { logger: Logger; drain: Drain; metrics: AgentMetrics },
  ) {
    this.#config = config;
    this.#agent = agent;
    this.#logger = logger;
    this.#drain = drain;
    this.#metrics = metrics;
    const signal = drain.ended;
    this.#signal = signal;
    this.#minPrice = parseAmount(config.minPrice, agent.deployment.token.decimals);
    const { journal, storage, context, address, secret } = agent;
    this.#membership = new Membership(config, { agent, logger });
    this.#programs = new Programs({ storage, executor: executors.executor });
    const parts = { journal, storage, ...executors, programs: this.#programs, logger, context, node: address, secret };
    this.#workbench = new Workbench({ ...parts, parallel: config.workers });
    this.#retention = new Retention({ journal, storage, logger, keepSeconds: config.keepDays * DAY_SECONDS });
    this.#disputes = new DisputeActions({
      agent,
      workbench: this.#workbench,
      programs: this.#programs,
      retention: this.#retention,
      logger,
      signal,
    });
  }

  async run(): Promise<void> {
    const { address, deployment } = this.#agent;
    this.#logger.info({ address, market: deployment.market, class: this.#config.class }, "compute node starts");
    try {
      await this.#drain.during(
        () => this.#agent.run((head) => this.#act(head)),
        () => this.#agent.isIdle && this.#running.size === 0,
      );
    } finally {
      await Promise.allSettled(this.#running.values());
    }
    this.#logger.info({ address }, "compute node stopped");
  }

  async #act(head: Head): Promise<void> {
    const canPay = await this.#agent.gasMoney.suffices({ signal: this.#signal });
    const canClaim = canPay && !this.#drain.hasBegun && (await this.#membership.takePart(head));
    const { state, address, deployment } = this.#agent;
    this.#now = head.timestamp;
    const entropyBlocks = state.open.flatMap((record) =>
      record.assignments.flatMap(({ rounds, dispute }) =>
        [...rounds, ...(dispute?.juries ?? [])].map(({ entropyBlock }) => entropyBlock),
      ),
    );
    const stake = await this.#stake();
    const duties = computeDuties(state, {
      me: address,
      now: head.timestamp,
      block: head.number,
      finalBlock: head.finalNumber,
      parameters: deployment.parameters,
      hashes: await this.#agent.entropyHashes(entropyBlocks, head),
      free: canClaim ? this.#config.maxAssignments - this.#openAssignments() : 0,
      ...stake,
      agrees: (part, task) => this.#workbench.checked(part, task),
      policy: { class: this.#config.class, minPrice: this.#minPrice, patience: PATIENCE },
    });
    this.#metrics.due(duties.map(({ kind }) => kind));
    for (const duty of duties) {
      if (this.#signal.aborted) return;
      // What was claimed is due; all else begins after the next start.
      if (this.#drain.hasBegun && !(duty.kind === "work" && isPrimary(duty))) continue;
      if (duty.kind === "work") this.#start(Workbench.key(duty), duty, (record, key) => this.#work(duty, record, key));
      else if (isOfDispute(duty)) await this.#dispute(duty, stake);
      else await this.#do(duty);
    }
    await this.#retention.release(state, head);
  }

  /** Assignments this node has claimed and not submitted. */
  #openAssignments(): number {
    const { state, address } = this.#agent;
    return state.open
      .flatMap((record) => record.assignments)
      .filter(({ node, status }) => node === address && status === "claimed").length;
  }

  async #stake(): Promise<{ freeStake: bigint; uncommitted: bigint }> {
    const { deployment, address, rpc } = this.#agent;
    const { stake, committed, backing } = await nodeState(rpc, deployment.registry, deployment.market, address, {
      signal: this.#signal,
    });
    return { freeStake: stake - committed - backing, uncommitted: stake - committed };
  }

  /** Begins something that takes time, unless it is under way or was given up. */
  #start(key: string, duty: Work | DisputeDuty, step: (record: BatchRecord, key: string) => Promise<void>): void {
    if (this.#running.has(key) || this.#hopeless.has(key)) return;
    const running = this.#pursue(key, duty, step).finally(() => {
      this.#running.delete(key);
      this.#metrics.underWay(this.#running.size);
    });
    this.#running.set(key, running);
    this.#metrics.underWay(this.#running.size);
  }

  /** Does something that takes time, through failures that may pass. Never rejects. */
  async #pursue(
    key: string,
    { kind, batchId, assignment }: Work | DisputeDuty,
    step: (record: BatchRecord, key: string) => Promise<void>,
  ): Promise<void> {
    const longest = kind === "work" ? LONGEST_WAIT.work : LONGEST_WAIT.dispute;
    for (let attempt = 0; ; attempt += 1) {
      const record = this.#agent.state.batches.get(batchId);
      // Settled meanwhile, or gone with a reorganisation.
      if (this.#signal.aborted || !record || record.closed) return;
      try {
        await step(record, key);
        return;
      } catch (error) {
        if (this.#signal.aborted) return;
        this.#logger.warn({ kind, batchId, assignment, error }, "work failed");
        if (error instanceof SuretyError && HOPELESS.includes(error.code)) {
          this.#hopeless.add(key);
          return;
        }
        const wait = Math.min(longest, RETRY_SECONDS * 2 ** attempt) * 1000;
        // An abort ends the wait; what follows looks at the signal.
        await systemClock.sleep(wait, { signal: this.#signal }).catch(() => undefined);
      }
    }
  }

  /** Runs a piece of work and submits it. */
  async #work(work: Work, record: BatchRecord, key: string): Promise<void> {
    const { batchId, assignment, round, seat } = work;
    const ids = { batchId, assignment, ...(isPrimary(work) ? {} : { round, seat }) };
    this.#logger.info({ ...ids, tasks: work.tasks.length }, "works");
    const commitment = await this.#workbench.commit(work, record, this.#signal);
    await this.#agent.send(this.#submission(work, key, record, commitment));
  }

  async #dispute(duty: DisputeDuty, { uncommitted }: { uncommitted: bigint }): Promise<void> {
    const record = this.#agent.state.batches.get(duty.batchId) as BatchRecord;
    const { batchId, assignment } = duty;
    const needed = stakeFor(record, duty);
    const key = disputeKey(duty);
    if (needed > uncommitted) {
      const missing = String(needed - uncommitted);
      if (!this.#told.has(key))
        this.#logger.error({ batchId, assignment, missing }, "too little stake for a ballot: it will be fined");
      this.#told.add(key);
      return;
    }
    if (!takesLong(duty)) return this.#disputes.do(duty, record, this.#now);
    this.#start(key, duty, (current) =>
      // The step may be over by the time of another try.
      current.assignments[assignment]?.status === "contended"
        ? this.#disputes.do(duty, current, this.#now)
        : Promise.resolve(),
    );
  }

  #submission(
    work: Work,
    key: string,
    record: BatchRecord,
    commitment: { root: string; manifest: string; envelope: string },
  ): Call {
    const { market } = this.#agent.deployment;
    const { batchId, assignment, round, seat } = work;
    const { terms, batch } = record;
    if (isPrimary(work)) {
      const call = calls.submit(market, { batchId, assignment, ...commitment });
      return { key: `submit:${key}:${work.deadline}`, ...call, deadline: work.deadline };
    }
    const submission = submissionOf(record.assignments[assignment] as AssignmentRecord);
    return {
      key: `answer:${key}`,
      ...calls.answer(market, { terms, batch, seat: { assignment, round, seat }, submission, ...commitment }),
    };
  }

  async #do(duty: Exclude<ComputeDuty, Work | DisputeDuty>): Promise<void> {
    const { market } = this.#agent.deployment;
    const record = this.#agent.state.batches.get(duty.batchId) as BatchRecord;
    const { terms, batch, assignments } = record;
    const id = duty.batchId;
    switch (duty.kind) {
      case "claim":
      case "reclaim": {
        const slot = mySlot(this.#agent, this.#config.class);
        if (slot === undefined || !(await this.#isSuitable(record))) return;
        const minPrice = this.#minPrice > 0n ? this.#minPrice : record.price;
        if (duty.kind === "claim") {
          const call = calls.claim(market, { terms, batch, slot, count: duty.count, minPrice });
          // The number of slices tells one try from the next: a slice that somebody else was faster with is another.
          await this.#agent.sendAndSee({ key: `claim:${id}:${assignments.length}:${duty.count}`, ...call });
        } else {
          const { assignment } = duty;
          const abandoned = assignments[assignment]?.deadline;
          const call = calls.reclaim(market, { terms, batch, slot, assignment, minPrice });
          await this.#agent.sendAndSee({ key: `reclaim:${id}:${assignment}:${abandoned}`, ...call });
        }
        return;
      }
      case "capture":
        await this.#agent.send({ key: `capture:${id}`, ...calls.capture(market, { batchId: id }) });
        return;
      case "expire": {
        const { assignment } = duty;
        const { deadline } = assignments[assignment] as AssignmentRecord;
        await this.#agent.send({
          key: `expire:${id}:${assignment}:${deadline}`,
          ...calls.expire(market, { terms, batch, assignment }),
        });
        return;
      }
      case "seal":
        await this.#agent.send({ key: `seal:${id}`, ...calls.seal(market, { terms, batch }) });
        return;
      case "redraw": {
        const record = assignments[duty.assignment] as AssignmentRecord;
        const call = calls.redraw(market, {
          terms,
          batch,
          assignment: duty.assignment,
          submission: submissionOf(record),
        });
        await this.#agent.send({ key: `redraw:${id}:${duty.assignment}:${record.rounds.length}`, ...call });
        return;
      }
      case "settle": {
        const chosen = duty.assignments.map((index) => assignments[index] as AssignmentRecord);
        const call = calls.settle(market, { terms, batch, settlements: chosen.map(settlementOf) });
        // After a reorganisation as many answers may be others.
        await this.#agent.send({ key: `settle:${id}:${duty.assignments.join(",")}:${keccak256(call.data)}`, ...call });
        return;
      }
    }
  }

  /** Whether this host can run a batch, as far as it can be told without running it. */
  async #isSuitable(record: BatchRecord): Promise<boolean> {
    const until = this.#unsuitable.get(record.id) ?? 0;
    if (systemClock.now() < until) return false;
    try {
      await this.#programs.of(record, this.#signal);
      return true;
    } catch (error) {
      if (this.#signal.aborted) return false;
      this.#unsuitable.set(record.id, systemClock.now() + UNSUITABLE_MS);
      this.#logger.warn({ batchId: record.id, error }, "leaves a batch alone");
      return false;
    }
  }
}

const OF_DISPUTES: readonly string[] = [
  "check",
  "challenge",
  "call-panel",
  "answer-contest",
  "open",
  "vote",
  "show",
  "appeal",
  "rule",
  "convene",
  "conclude",
] satisfies DisputeDuty["kind"][];

function isOfDispute(duty: Exclude<ComputeDuty, Work>): duty is DisputeDuty {
  return OF_DISPUTES.includes(duty.kind);
}
