import { mkdir, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { keccak256 } from "ethers";
import { formatAmount } from "#sdk/amount.ts";
import { BATCH_MANIFEST_FILE, buildBatchManifest, taskIndex } from "#sdk/batch-manifest.ts";
import * as calls from "#sdk/calls.ts";
import type { ContractCall } from "#sdk/calls.ts";
import { systemClock } from "#sdk/clock.ts";
import { seedCommitment } from "#sdk/commitment.ts";
import { computeContentId, contentIdToBytes32, type Directory } from "#sdk/content.ts";
import { ExitStatus, SuretyError } from "#sdk/errors.ts";
import type { Head } from "#sdk/follower.ts";
import { taskArgs } from "#sdk/job-spec.ts";
import { panelStatus, settlementOf, submissionOf, type AssignmentRecord, type BatchRecord } from "#sdk/market-state.ts";
import { quote } from "#sdk/pricing.ts";
import { allowance, available, balanceOf, batchesOf } from "#sdk/reads.ts";
import type { TaskResult } from "#sdk/result-manifest.ts";
import { batchSeed, encryptionKeyPair, plantedChoice, type EncryptionKeyPair } from "#sdk/seed.ts";
import { Programs, taskLimits } from "../compute/programs.ts";
import type { RequesterConfig } from "../config.ts";
import type { Executor } from "../executor/executor.ts";
import { outputDirectory, parseOutputDirectory } from "../executor/outcome.ts";
import { WasmExecutor } from "../executor/wasm-executor.ts";
import type { Logger } from "../logger.ts";
import { MarketAgent } from "../market-agent.ts";
import { compare, type Comparison, type MemberResults } from "./comparison.ts";
import { comparisonKey, requesterDuties, type RequesterDuty } from "./duties.ts";
import { readOutput, readResults, type MemberPart, type Opener } from "#sdk/results.ts";
import {
  attemptOf,
  CAUGHT,
  isAccepted,
  mostSuspect,
  statusOf,
  suspicionFrom,
  termsOf,
  type Attempt,
  type Job,
} from "./jobs.ts";
import { outputsFolder, readTickets, takeTicket, writeStatus, type JobStatus, type TaskStatus } from "./spool.ts";

/** What a requester works with beside its configuration. */
export interface RequesterDependencies {
  /** Ends the agent; what is open goes on at the next start. */
  signal: AbortSignal;
  logger: Logger;
  /** Told whenever a job's status was written. */
  onStatus?: (status: JobStatus) => void;
  /** What planted tasks are run with. Default: the metered WASM sandbox. */
  executor?: Executor;
}

/** How often what did not come to a result is posted again before the job ends without it. */
const MOST_ATTEMPTS = 4;
/** How often content that cannot be fetched is asked for. */
const FETCH_ATTEMPTS = 8;
/** Wait after the first failed fetch, milliseconds; doubles. */
const FETCH_WAIT_MS = 500;

/** What reading a member's results came to. */
type Inspection =
  | { state: "reading" }
  | { state: "read"; results: TaskResult[] }
  /** What it submitted is provably not what it should be. */
  | { state: "bad"; error: SuretyError }
  /** It could not be fetched. */
  | { state: "unavailable" };

/**
 * Runs a requester until its signal aborts: posts the jobs in its home's inbox, reveals, reads and compares results,
 * escalates, accuses, settles, fetches outputs, and posts again what came to no result.
 *
 * @throws SuretyError what {@link MarketAgent.open} throws, and whatever will not pass by itself
 */
export async function runRequesterAgent(config: RequesterConfig, dependencies: RequesterDependencies): Promise<void> {
  const { signal, logger } = dependencies;
  const executor = dependencies.executor ?? new WasmExecutor({ workers: 1 });
  try {
    const agent = await MarketAgent.open({ config, logger, signal });
    try {
      await new RequesterAgent(config, agent, executor, dependencies).run();
    } finally {
      await agent.close();
    }
  } finally {
    await executor.close();
  }
}

/** See {@link runRequesterAgent}. */
class RequesterAgent {
  readonly #config: RequesterConfig;
  readonly #agent: MarketAgent;
  readonly #executor: Executor;
  readonly #programs: Programs;
  readonly #logger: Logger;
  readonly #signal: AbortSignal;
  readonly #onStatus: (status: JobStatus) => void;
  readonly #keys: EncryptionKeyPair;
  readonly #inspections = new Map<string, Inspection>();
  /** What is under way beside the chain: reading, running planted tasks, fetching outputs. */
  readonly #background = new Map<string, Promise<void>>();
  readonly #written = new Map<string, string>();

  constructor(
    config: RequesterConfig,
    agent: MarketAgent,
    executor: Executor,
    { logger, signal, onStatus }: RequesterDependencies,
  ) {
    this.#config = config;
    this.#agent = agent;
    this.#executor = executor;
    this.#programs = new Programs({ storage: agent.storage, executor });
    this.#logger = logger;
    this.#signal = signal;
    this.#onStatus = onStatus ?? (() => undefined);
    this.#keys = encryptionKeyPair(agent.secret);
  }

  async run(): Promise<void> {
    const { address, deployment } = this.#agent;
    this.#logger.info({ address, market: deployment.market }, "requester starts");
    try {
      await this.#agent.run((head) => this.#act(head));
    } finally {
      await Promise.allSettled(this.#background.values());
    }
    this.#logger.info({ address }, "requester stopped");
  }

  async #act(head: Head): Promise<void> {
    await this.#takeTickets();
    for (const ticket of this.#agent.journal.list("job").keys()) {
      if (this.#signal.aborted) return;
      // Read again for each, since what goes on in the background writes it too.
      const job = this.#agent.journal.get("job", ticket) as Job;
      if (job.finished) {
        // An earlier life may have ended before it could say so.
        if (!this.#written.has(ticket)) await this.#report(ticket);
        continue;
      }
      try {
        await this.#advance(job, head);
      } catch (error) {
        if (this.#signal.aborted || !(error instanceof SuretyError) || error.kind === "retryable") throw error;
        this.#logger.error({ ticket, error }, "a job failed");
        const { code, message, fix } = error;
        this.#save({ ...job, finished: { error: { code, message, ...(fix ? { fix } : {}) } } });
      }
      await this.#report(ticket);
    }
    await this.#tendOrphans(head);
  }

  /**
   * Batches of this account that no job of this home knows: posted by an application with the same key, or by an agent
   * that lost its home. Their seeds derive from the key, so they can still be revealed, judged and settled; their outputs
   * are left to whoever posted them.
   */
  async #tendOrphans(head: Head): Promise<void> {
    const mine = this.#agent.state.open.filter(({ terms }) => terms.requester === this.#agent.address);
    if (mine.length === 0) return;
    const known = new Set<string>();
    for (const job of this.#agent.journal.list("job").values()) {
      for (const { jobId, sequence } of (job as Job).attempts) known.add(`${jobId}:${sequence}`);
    }
    for (const record of mine) {
      const { job, sequence, seedCommitment: committed } = record.batch;
      if (known.has(`${job}:${sequence}`)) continue;
      const derived = seedCommitment({ ...this.#agent.context, jobId: job, sequence }, this.#seedOf(job, sequence));
      // A seed of somebody else's making cannot be revealed; the rest still can be done.
      if (derived !== committed && !record.reveal) continue;
      await this.#tend(record, head);
    }
  }

  async #takeTickets(): Promise<void> {
    const { tickets, flawed } = await readTickets(this.#config.home);
    for (const { file, reason } of flawed) this.#logger.warn({ file, reason }, "a file in the inbox is no ticket");
    for (const ticket of tickets) {
      if (!this.#agent.journal.get("job", ticket.ticket)) {
        this.#save({ ticket, attempts: [], suspicion: {}, done: [] });
        this.#logger.info({ ticket: ticket.ticket, name: ticket.name, tasks: ticket.count }, "took a job");
      }
      await takeTicket(this.#config.home, ticket.ticket);
    }
  }

  /** Does what is due for one job. */
  async #advance(job: Job, head: Head): Promise<void> {
    const attempt = job.attempts.at(-1);
    if (!attempt) {
      const tasks = Array.from({ length: job.ticket.count }, (_, task) => task);
      await this.#post(job, await this.#plan(job, contentIdToBytes32(job.ticket.manifest), tasks));
      return;
    }
    if (!attempt.posted) {
      await this.#post(job, attempt);
      return;
    }
    const record = this.#recordOf(attempt);
    if (!record) return;
    this.#plant(job, attempt, record);
    if (!record.closed) await this.#tend(record, head);
    else if (record.closed.block <= head.finalNumber) this.#collect(job, attempt, record);
  }

  /** Reads what was submitted for a batch, and does what is due on chain. */
  async #tend(record: BatchRecord, head: Head): Promise<void> {
    this.#inspect(record);
    const { state, deployment } = this.#agent;
    const numbers = record.assignments.flatMap(({ rounds }) => rounds.map((round) => round.entropyBlock));
    if (record.seal) numbers.push(record.seal.entropyBlock);
    const duties = requesterDuties(state, record, {
      now: head.timestamp,
      block: head.number,
      finalBlock: head.finalNumber,
      parameters: deployment.parameters,
      hashes: await this.#agent.entropyHashes(numbers, head),
      seedOf: (one) => this.#seedOf(one.batch.job, one.batch.sequence),
      comparisons: this.#comparisons(record),
    });
    for (const duty of duties) await this.#do(duty, record);
  }

  // --- Posting

  /** The next batch of a job, in the journal before anything is sent. */
  async #plan(job: Job, manifest: string, tasks: number[]): Promise<Attempt> {
    const { state, deployment, address, context } = this.#agent;
    const pool = state.classes.get(job.ticket.terms.class);
    if (!pool) {
      throw new SuretyError("CLASS_UNKNOWN", `the market has no class ${job.ticket.terms.class}`, {
        details: { class: job.ticket.terms.class },
        fix: "Use a class of the deployment's address book.",
        exit: ExitStatus.badInput,
      });
    }
    const terms = termsOf(
      job.ticket,
      address,
      this.#keys.publicKey,
      pool,
      deployment.parameters,
      mostSuspect(job.suspicion),
      job.attempts.length > 0,
    );
    const attempt = attemptOf(context, terms, 0n, manifest, tasks);
    attempt.sequence = await batchesOf(this.#agent.rpc, deployment.market, attempt.jobId);
    job.attempts.push(attempt);
    this.#save(job);
    return attempt;
  }

  async #post(job: Job, attempt: Attempt): Promise<void> {
    const { deployment, context } = this.#agent;
    const { terms, jobId, sequence, manifest, tasks } = attempt;
    const place = `${job.ticket.ticket}:${job.attempts.length - 1}`;
    const count = tasks.length;
    const { escrow, bond } = quote(terms, count, deployment.parameters);
    const key = `post:${place}:${sequence}`;
    if (!this.#agent.sender.find(key)) {
      // The sequence is part of what the seed is committed to: another job of these terms, posted since this was
      // planned, would make it worthless. Posting goes one batch at a time, so what is on chain is all there is.
      const actual = await batchesOf(this.#agent.rpc, deployment.market, jobId);
      if (actual !== sequence) {
        attempt.sequence = actual;
        this.#save(job);
        return this.#post(job, attempt);
      }
      await this.#fund(place, escrow + bond);
    }
    const commitment = seedCommitment({ ...context, jobId, sequence }, this.#seedOf(jobId, sequence));
    await this.#agent.sendAndWait({
      key,
      ...calls.post(deployment.market, { terms, count, manifest, seedCommitment: commitment }),
    });
    attempt.posted = true;
    this.#save(job);
    this.#logger.info(
      { ticket: job.ticket.ticket, job: jobId, sequence: String(sequence), tasks: count },
      "posted a batch",
    );
  }

  /** Brings what is missing from the wallet into the vault. */
  async #fund(place: string, needed: bigint): Promise<void> {
    const { deployment, address, rpc } = this.#agent;
    const { vault, market, token } = deployment;
    const inVault = await available(rpc, vault, market, address);
    if (inVault >= needed) return;
    const amount = needed - inVault;
    const owned = await balanceOf(rpc, token.address, address);
    if (owned < amount) {
      const text = (units: bigint): string => `${formatAmount(units, token.decimals)} ${token.symbol}`;
      const has = `${address} has ${text(inVault)} in the vault and ${text(owned)} in its wallet`;
      throw new SuretyError("BALANCE_TOO_LOW", `the batch locks ${text(needed)}; ${has}`, {
        details: { needed, inVault, owned },
        fix: `Send it ${token.symbol}, or ask for fewer tasks.`,
        exit: ExitStatus.refused,
      });
    }
    const allowed = await allowance(rpc, token.address, address, vault);
    if (allowed < amount) {
      const call = calls.approve(token.address, { spender: vault, amount });
      await this.#agent.sendAndWait({ key: `approve:${place}:${amount}`, ...call });
    }
    const call = calls.deposit(vault, { ledger: market, holder: address, amount });
    await this.#agent.sendAndWait({ key: `deposit:${place}:${amount}`, ...call });
  }

  #seedOf(jobId: string, sequence: bigint): string {
    return batchSeed(this.#agent.secret, { ...this.#agent.context, jobId, sequence });
  }

  // --- Reading and comparing

  /** Begins to read what members submitted, each once. */
  #inspect(record: BatchRecord): void {
    for (const assignment of record.assignments) {
      const { submission, index, first, count, answers } = assignment;
      if (!submission) continue;
      const all = Array.from({ length: count }, (_, place) => first + place);
      this.#read(record, { ...submission, member: "primary", assignment: index, tasks: all });
      const panel = panelStatus(record, assignment, this.#agent.deployment.parameters);
      if (!panel) continue;
      for (const answer of answers) {
        const { round, seat } = answer;
        this.#read(record, { ...answer, member: { round, seat }, assignment: index, tasks: panel.tasks });
      }
    }
  }

  #read(record: BatchRecord, part: MemberPart): void {
    const key = inspectionKey(record.id, part);
    if (this.#inspections.has(key)) return;
    this.#inspections.set(key, { state: "reading" });
    this.#inBackground(`read ${key}`, async () => {
      this.#inspections.set(key, await this.#inspectionOf(record.id, part));
    });
  }

  async #inspectionOf(batchId: string, part: MemberPart): Promise<Inspection> {
    const { node, assignment } = part;
    try {
      const results = await this.#patiently(() => readResults(batchId, part, this.#opener, { signal: this.#signal }));
      return { state: "read", results };
    } catch (error) {
      if (!(error instanceof SuretyError)) throw error;
      const bad = error.kind === "fatal" && /^(ENVELOPE|RESULT_MANIFEST)_/.test(error.code);
      this.#logger.warn(
        { batchId, assignment, node, error },
        bad ? "a node submitted garbage" : "results are not to be had",
      );
      return bad ? { state: "bad", error } : { state: "unavailable" };
    }
  }

  get #opener(): Opener {
    const { storage, context } = this.#agent;
    return { storage, context, secretKey: this.#keys.secretKey };
  }

  /** Tries again what may pass, a few times. */
  async #patiently<T>(work: () => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await work();
      } catch (error) {
        this.#signal.throwIfAborted();
        if (!(error instanceof SuretyError) || error.kind === "fatal" || attempt === FETCH_ATTEMPTS) throw error;
        const wait = FETCH_WAIT_MS * 2 ** (attempt - 1);
        // An abort ends the wait; what follows looks at the signal.
        await systemClock.sleep(wait, { signal: this.#signal }).catch(() => undefined);
      }
    }
  }

  /** What comparing each panel says, for panels of which enough has been read. */
  #comparisons(record: BatchRecord): Map<string, Comparison> {
    const comparisons = new Map<string, Comparison>();
    for (const assignment of record.assignments) {
      const panel = panelStatus(record, assignment, this.#agent.deployment.parameters);
      if (!panel || !assignment.submission || assignment.answers.length === 0) continue;
      const members: MemberResults[] = [];
      let missing = 0;
      const add = (member: MemberResults["member"], node: string): void => {
        const inspection = this.#inspections.get(
          inspectionKey(record.id, { assignment: assignment.index, member, node }),
        );
        if (inspection?.state === "read") {
          members.push({
            member,
            node,
            digests: new Map(inspection.results.map(({ task, digest }) => [task, digest])),
          });
        } else if (inspection?.state === "bad") members.push({ member, node, digests: new Map() });
        else missing += inspection?.state === "unavailable" ? 1 : Infinity;
      };
      add("primary", assignment.submission.node);
      for (const { round, seat, node } of assignment.answers) add({ round, seat }, node);
      if (missing === Infinity || members.length < 2) continue;
      const comparison = compare(members, panel.tasks, record.terms.quorum);
      // To be out of reach is no difference: nobody is accused over it.
      if (missing === 0 || comparison.kind === "agree")
        comparisons.set(comparisonKey(record.id, assignment), comparison);
    }
    return comparisons;
  }

  // --- Acting

  async #do(duty: RequesterDuty, record: BatchRecord): Promise<void> {
    const { market } = this.#agent.deployment;
    const { id, terms, batch, assignments } = record;
    const part = (index: number): AssignmentRecord => assignments[index] as AssignmentRecord;
    const send = (key: string, call: ContractCall): Promise<boolean> => this.#agent.sendAndSee({ key, ...call });
    // What concerns one assignment only need not wait for its neighbour's to be mined.
    const sendOn = (key: string, call: ContractCall): Promise<boolean> => this.#agent.send({ key, ...call });
    switch (duty.kind) {
      case "expire": {
        const { assignment } = duty;
        await sendOn(
          `expire:${id}:${assignment}:${part(assignment).deadline}`,
          calls.expire(market, { terms, batch, assignment }),
        );
        return;
      }
      case "seal":
        await send(`seal:${id}`, calls.seal(market, { terms, batch }));
        return;
      case "reveal": {
        const seed = this.#seedOf(batch.job, batch.sequence);
        await send(`reveal:${id}`, calls.reveal(market, { terms, batch, seed }));
        return;
      }
      case "reveal-and-settle": {
        const seed = this.#seedOf(batch.job, batch.sequence);
        const settlements = duty.assignments.map((index) => settlementOf(part(index)));
        await send(`reveal-and-settle:${id}`, calls.revealAndSettle(market, { terms, batch, seed, settlements }));
        return;
      }
      case "escalate": {
        const { assignment } = duty;
        this.#logger.info({ batchId: id, assignment }, "results differ: calls for the full panel");
        await sendOn(
          `escalate:${id}:${assignment}`,
          calls.escalate(market, { terms, batch, assignment, submission: submissionOf(part(assignment)) }),
        );
        return;
      }
      case "redraw": {
        const { assignment } = duty;
        const { rounds } = part(assignment);
        const call = calls.redraw(market, { terms, batch, assignment, submission: submissionOf(part(assignment)) });
        await sendOn(`redraw:${id}:${assignment}:${rounds.length}`, call);
        return;
      }
      case "judge": {
        const exceptions = duty.exceptions.map((exception) => ({
          ...exception,
          submission: submissionOf(part(exception.assignment)),
        }));
        for (const { assignment, verdict, witness } of exceptions) {
          this.#logger.info({ batchId: id, assignment, verdict, witness }, "lists an exception");
        }
        const names = exceptions
          .map(({ assignment, verdict, round, seat }) => `${assignment}.${verdict}.${round}.${seat}`)
          .join(",");
        await send(
          `judge:${id}:${names}:${duty.last ? "last" : "more"}`,
          calls.judge(market, { terms, batch, exceptions, last: duty.last }),
        );
        return;
      }
      case "settle": {
        const settlements = duty.assignments.map((index) => settlementOf(part(index)));
        const call = calls.settle(market, { terms, batch, settlements });
        // After a reorganisation as many answers may be others.
        await send(`settle:${id}:${duty.assignments.join(",")}:${keccak256(call.data)}`, call);
        return;
      }
    }
  }

  // --- Planted tasks

  /** Runs some of the batch's own tasks, chosen secretly, and holds the nodes' results against them. */
  #plant(job: Job, { jobId, sequence, terms, tasks }: Attempt, record: BatchRecord): void {
    const share = Math.max(job.ticket.plantShare, this.#config.plantShare);
    const key = `planted ${record.id}`;
    if (share === 0 || this.#background.has(key) || this.#agent.journal.get("planted", record.id)) return;
    this.#inBackground(key, async () => {
      const chosen = plantedChoice(
        this.#agent.secret,
        { ...this.#agent.context, jobId, sequence },
        tasks.length,
        share,
      );
      const { spec, bytes, manifest } = await this.#patiently(() =>
        this.#programs.of({ batch: record.batch, terms }, this.#signal),
      );
      const answers: { task: number; output: string }[] = [];
      for (const task of chosen) {
        const index = taskIndex(manifest, task);
        const input = await this.#agent.storage.get(manifest.tasks[task]!.input, {
          maxBytes: 2 ** 29,
          signal: this.#signal,
        });
        const run = { program: bytes, args: taskArgs(spec.args, index), index, input, limits: taskLimits(spec) };
        const outcome = await this.#executor.run(run, { signal: this.#signal });
        answers.push({ task, output: await computeContentId(outputDirectory(outcome), { signal: this.#signal }) });
      }
      this.#agent.journal.put("planted", record.id, answers);
      this.#logger.info({ batchId: record.id, tasks: chosen.length }, "knows the answers of planted tasks");
    });
  }

  /** Whether an assignment's results contradict a planted task. */
  #failsPlanted(record: BatchRecord, assignment: AssignmentRecord, results: readonly TaskResult[]): boolean {
    const answers = (this.#agent.journal.get("planted", record.id) ?? []) as { task: number; output: string }[];
    const wrong = answers.find(({ task, output }) =>
      results.some((result) => result.task === task && result.output !== output),
    );
    if (wrong)
      this.#logger.warn(
        { batchId: record.id, assignment: assignment.index, node: assignment.node, task: wrong.task },
        "a planted task was answered wrong",
      );
    return wrong !== undefined;
  }

  // --- Collecting

  /** Once a batch is closed for good: puts its outputs on disk, and posts again what came to nothing. */
  #collect(job: Job, attempt: Attempt, record: BatchRecord): void {
    const { ticket } = job.ticket;
    this.#inBackground(`collect ${ticket}`, async () => {
      const { spec, manifest } = await this.#patiently(() => this.#programs.of(record, this.#signal));
      const suspicion = { ...job.suspicion };
      const add = (node: string, weight: number): void => void (suspicion[node] = (suspicion[node] ?? 0) + weight);
      for (const [node, weight] of Object.entries(suspicionFrom(record))) add(node, weight);
      for (const assignment of record.assignments) {
        if (!isAccepted(assignment)) continue;
        const results = await this.#resultsOf(record, assignment);
        if (!results || this.#failsPlanted(record, assignment, results)) {
          add(assignment.node, CAUGHT);
          continue;
        }
        for (const result of results) {
          const task = attempt.tasks[result.task] as number;
          if (job.done.some((status) => status.task === task)) continue;
          const status = await this.#fetchOutput(ticket, task, assignment, result, spec.limits.output);
          if (status) {
            job.done.push(status);
            this.#save(job);
          } else add(assignment.node, CAUGHT);
        }
      }
      job.suspicion = suspicion;
      const have = new Set(job.done.map(({ task }) => task));
      const missing = attempt.tasks.map((task, place) => ({ task, place })).filter(({ task }) => !have.has(task));
      if (missing.length === 0 || job.attempts.length >= MOST_ATTEMPTS) {
        job.finished = missing.length === 0 ? {} : { error: incomplete(missing.length, job) };
        this.#save(job);
        this.#logger.info({ ticket, done: job.done.length, tasks: job.ticket.count }, "finished a job");
      } else {
        this.#logger.info({ ticket, tasks: missing.length }, "posts again what came to no result");
        const again = missing.map(({ place }) => ({
          input: manifest.tasks[place]!.input,
          index: taskIndex(manifest, place),
        }));
        const cid = await this.#agent.storage.add(new Map([[BATCH_MANIFEST_FILE, buildBatchManifest(again)]]), {
          signal: this.#signal,
        });
        await this.#plan(
          job,
          contentIdToBytes32(cid),
          missing.map(({ task }) => task),
        );
      }
      await this.#report(ticket);
    });
  }

  async #resultsOf(record: BatchRecord, assignment: AssignmentRecord): Promise<TaskResult[] | undefined> {
    const { submission, index, first, count } = assignment;
    if (!submission) return undefined;
    const tasks = Array.from({ length: count }, (_, place) => first + place);
    const part: MemberPart = { ...submission, member: "primary", assignment: index, tasks };
    const known = this.#inspections.get(inspectionKey(record.id, part));
    const inspection = known?.state === "read" ? known : await this.#inspectionOf(record.id, part);
    return inspection.state === "read" ? inspection.results : undefined;
  }

  /** Puts one output on disk, whole or not at all. */
  async #fetchOutput(
    ticket: string,
    task: number,
    { node, outcome }: AssignmentRecord,
    result: TaskResult,
    maxBytes: number,
  ): Promise<TaskStatus | undefined> {
    let directory: Directory;
    try {
      directory = await this.#patiently(() => readOutput(result, this.#opener, { maxBytes, signal: this.#signal }));
      const { exit } = parseOutputDirectory(directory);
      const folder = join(outputsFolder(this.#config.home, ticket, this.#config.resultsFolder), String(task));
      await writeDirectory(folder, directory);
      return { task, outcome: outcome!.outcome, output: result.output, node, exit };
    } catch (error) {
      if (!(error instanceof SuretyError)) throw error;
      this.#logger.warn({ ticket, task, node, error }, "an output is not to be had");
      return undefined;
    }
  }

  // --- Small things

  #recordOf({ jobId, sequence }: Attempt): BatchRecord | undefined {
    for (const record of this.#agent.state.batches.values()) {
      if (record.batch.job === jobId && record.batch.sequence === sequence) return record;
    }
    return undefined;
  }

  #save(job: Job): void {
    this.#agent.journal.put("job", job.ticket.ticket, job);
  }

  /** Writes a job's status where it changed. */
  async #report(ticket: string): Promise<void> {
    const job = this.#agent.journal.get("job", ticket) as Job;
    const status = statusOf(
      job,
      job.attempts.map((attempt) => (attempt.posted ? this.#recordOf(attempt) : undefined)),
    );
    const text = JSON.stringify(status);
    if (this.#written.get(ticket) === text) return;
    await writeStatus(this.#config.home, status);
    this.#written.set(ticket, text);
    this.#onStatus(status);
  }

  /** Does something beside the chain, once at a time; what fails is logged, and tried again when next asked for. */
  #inBackground(key: string, work: () => Promise<void>): void {
    if (this.#background.has(key)) return;
    const running = work()
      .catch((error: unknown) => {
        if (!this.#signal.aborted) this.#logger.error({ error }, "something in the background failed");
      })
      .finally(() => this.#background.delete(key));
    this.#background.set(key, running);
  }
}

function inspectionKey(
  batchId: string,
  { assignment, member, node }: Pick<MemberPart, "assignment" | "member" | "node">,
): string {
  const seat = member === "primary" ? member : `${member.round}.${member.seat}`;
  return `${batchId}:${assignment}:${seat}:${node}`;
}

function incomplete(missing: number, job: Job): { code: string; message: string; fix: string } {
  return {
    code: "JOB_INCOMPLETE",
    message: `${missing} of ${job.ticket.count} tasks came to no result in ${job.attempts.length} batches; they were not paid`,
    fix: "Submit them again, with a higher price or longer windows.",
  };
}

/** Writes a directory beside its place and moves it there, so that a reader sees all of it or nothing. */
async function writeDirectory(folder: string, directory: Directory): Promise<void> {
  const temporary = `${folder}.part`;
  await rm(temporary, { recursive: true, force: true });
  for (const [path, bytes] of directory) {
    const file = join(temporary, path);
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, bytes);
  }
  await rm(folder, { recursive: true, force: true });
  await rename(temporary, folder);
}
