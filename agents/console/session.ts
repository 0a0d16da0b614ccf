import { readdir, readFile, stat } from "node:fs/promises";
import { join, relative, resolve, sep } from "node:path";
import { formatAmount } from "#sdk/amount.ts";
import { systemClock, type Clock } from "#sdk/clock.ts";
import { ExitStatus, SuretyError } from "#sdk/errors.ts";
import type { Head } from "#sdk/follower.ts";
import { available, balanceOf } from "#sdk/reads.ts";
import { pathOf, requestPhaseOf, type SchemaRecord } from "#sdk/request-state.ts";
import { hasRoles, ROLES, type Role } from "#sdk/request-terms.ts";
import type { ParticipantConfig } from "../config.ts";
import { dockerExecutorSchema, type ExecutorConfig } from "../config/executor.ts";
import { createLogger } from "../logger.ts";
import { runParticipant } from "../participant/agent.ts";
import type { ParticipantContext, Part } from "../participant/part.ts";
import { registerPackage, releasePackage, unknownSchema } from "../participant/registering.ts";
import { Requesting, type RequestProgress } from "../participant/requesting.ts";
import { checkPackage, type CheckedPackage } from "../schema/check-package.ts";
import { answerText, progressText } from "./answer-text.ts";
import { readTyped } from "./flow-text.ts";
import { withPackageOf } from "./job-package.ts";
import { findNetwork } from "./network.ts";
import { leastTimes, readRequest } from "./request-text.ts";

/** What a {@link ConsoleSession} works with. */
export interface ConsoleOptions {
  /** The configuration that the console was started with. */
  config?: ParticipantConfig;
  /** Ends the session. */
  signal: AbortSignal;
  /** Prints a line. */
  say: (line: string) => void;
  /** Default: the machine's. */
  clock?: Clock;
}

/** What a session has while it is connected. */
interface Connection {
  name: string;
  context: ParticipantContext;
  requesting: Requesting;
  head: Head;
  /** Seconds from block to block. */
  blockSeconds: number;
  /** Ends it; resolves once nothing goes on. */
  close(): Promise<void>;
  /** Rejects when the agent fails. */
  failed: Promise<never>;
}

/** Blocks by which the time from block to block is measured. */
const MEASURED_BLOCKS = 20;
/** Quiet for so many looks, a tree is taken to be complete; and after so many it is given up. */
const QUIET_LOOKS = 5;
const MAX_LOOKS = 180;
const LOOK_MS = 1_000;

/**
 * What is behind a console: an account on a network, which registers jobs, approves who applies for them, and requests.
 * It knows nothing of terminals.
 *
 * @example
 * ```ts
 * const session = new ConsoleSession({ signal, say: console.log });
 * await session.connect("AIN");
 * const job = await session.register(["my-schema"]);
 * await session.request(`{job_id: ${job}, job_input: {y: 4}, reward: [10, 10], time_limit: 3000}`, { signal });
 * await session.close();
 * ```
 */
export class ConsoleSession {
  readonly #options: ConsoleOptions;
  readonly #clock: Clock;
  #connection: Connection | undefined;
  /** The last job that was named. */
  #lastJob: string | undefined;

  constructor(options: ConsoleOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
  }

  /** Where it is connected to; undefined before. */
  get network(): string | undefined {
    return this.#connection?.name;
  }

  /** Ids of the jobs that are registered where it is connected to, for completion. */
  get jobs(): string[] {
    return [...(this.#connection?.context.agent.state.schemas.keys() ?? [])];
  }

  /**
   * Connects to a network, leaving the one before, and waits until the chain's present is known.
   *
   * @throws SuretyError what {@link findNetwork} and opening an agent throw
   */
  async connect(named: string): Promise<void> {
    const { config: own, signal, say } = this.#options;
    const { name, config } = await findNetwork(named, own);
    await this.close();
    const ended = new AbortController();
    const either = AbortSignal.any([signal, ended.signal]);
    const { promise: opened, resolve: open } = Promise.withResolvers<ParticipantContext>();
    const { promise: first, resolve: see } = Promise.withResolvers<Head>();
    let requesting: Requesting | undefined;
    const parts = (context: ParticipantContext): Part[] => {
      requesting = new Requesting(context, { onProgress: (progress) => this.#tell(progress) });
      open(context);
      return [requesting, heads(see, (head) => this.#see(head))];
    };
    const logger = createLogger({
      agent: "console",
      level: config.logLevel,
      file: join(config.home, "console.log"),
    });
    const running = runParticipant(config, { signal: either, logger, parts });
    const failed = running.then(() => {
      either.throwIfAborted();
      return new Promise<never>(() => {});
    });
    failed.catch(() => {});
    const context = await Promise.race([opened, failed]);
    const head = await Promise.race([first, failed]);
    const close = async (): Promise<void> => {
      ended.abort(new DOMException("the console left the network", "AbortError"));
      await running.catch(() => {});
    };
    const blockSeconds = await secondsPerBlock(context, head);
    this.#connection = { name, context, requesting: requesting!, head, blockSeconds, close, failed };
    const left = this.#connection.requesting.open.length;
    if (left > 0) say(`(${counted(left, "request")} of an earlier session: see requests)`);
  }

  /**
   * Checks a package, publishes it and registers it as a job.
   *
   * @param words A package's folder; or a proto, a worker and an evaluator.
   * @returns the job's id
   */
  async register(words: readonly string[]): Promise<string> {
    const { agent } = this.#connected.context;
    const { say, signal } = this.#options;
    const { job, isNew } = await this.#withPackage(words, (checked) => registerPackage(agent, checked, { signal }));
    this.#lastJob = job;
    // The chain has it; what this process follows of it may be a look behind.
    while (!agent.state.schemas.has(job)) await this.#clock.sleep(LOOK_MS / 4, { signal });
    say(isNew ? `Registration complete. Job ID is ${job}.` : `Registered before. Job ID is ${job}.`);
    return job;
  }

  /** Publishes a package as the newest release of a job. */
  async release(named: string, words: readonly string[]): Promise<void> {
    const { agent } = this.#connected.context;
    const { say, signal } = this.#options;
    const { id } = this.#jobNamed(named);
    const { number } = await this.#withPackage(words, (checked) => releasePackage(agent, id, checked, { signal }));
    say(`Release ${number} of ${id}.`);
  }

  /** Says who takes part in a job. */
  stats(named: string): void {
    const schema = this.#jobNamed(named);
    const { evaluators, workers } = countsOf(schema);
    this.#options.say(`${counted(evaluators, "evaluator")}, ${counted(workers, "worker")} running.`);
  }

  /**
   * Waits until a job has an evaluator and a worker, and as many as are asked for; or, if nobody says how many, nobody
   * new for a while.
   *
   * @throws SuretyError `CONSOLE_NOBODY_CAME` (exit 4) if that takes minutes
   */
  async wait(
    named: string | undefined,
    wanted: { evaluators?: number; workers?: number },
    { signal }: { signal: AbortSignal },
  ): Promise<void> {
    const { id } = this.#jobNamed(named ?? this.#lastJob ?? "");
    const { evaluators: least = 1, workers: most = 1 } = wanted;
    const saysHowMany = wanted.evaluators !== undefined || wanted.workers !== undefined;
    let quiet = 0;
    let before = "";
    for (let look = 0; look < MAX_LOOKS; look += 1) {
      const schema = this.#jobNamed(id);
      const { evaluators, workers } = countsOf(schema);
      const now = [evaluators, workers, schema.applications.size].join();
      quiet = now === before ? quiet + 1 : 0;
      before = now;
      const isEnough = evaluators >= least && workers >= most;
      if (isEnough && (saysHowMany || (quiet >= QUIET_LOOKS && schema.applications.size === 0))) return;
      await Promise.race([this.#clock.sleep(LOOK_MS, { signal }), this.#connected.failed]);
    }
    throw new SuretyError("CONSOLE_NOBODY_CAME", `too few take part in ${id} after ${MAX_LOOKS} seconds`, {
      fix: "See stats; participants take part in jobs that their configuration names: surety participant --help.",
      exit: ExitStatus.refused,
    });
  }

  /**
   * Requests a job, waits until it has ended, and prints what came of it.
   *
   * @param text What follows `requestJob`.
   * @param options.signal Ends the waiting: the request goes on.
   */
  async request(text: string, { signal }: { signal: AbortSignal }): Promise<void> {
    const { context, requesting, blockSeconds, failed } = this.#connected;
    const { say } = this.#options;
    const { deployment } = context.agent;
    const { decimals } = deployment.token;
    const times = leastTimes(deployment.parameters, blockSeconds);
    const { terms, input, words, visibility, testData } = readRequest(readTyped(text), {
      ...{ decimals, times },
      jobOf: (named) => this.#jobNamed(named),
    });
    const release = this.#jobNamed(terms.schema).releases.at(-1)!.release;
    const { proto } = await context.releases.of(release, { signal });
    const message = proto.worker.input.fromJson(input);
    const shown = testData === undefined ? {} : { testData: await readFolder(testData) };
    for (const line of words) say(`(${line})`);
    const id = await requesting.order({ terms, message, visibility, ...shown });
    say(`.. request ${id} ..`);
    const answer = await Promise.race([requesting.answerTo(id, { signal }), failed]);
    for (const line of answerText(answer, decimals)) say(line);
  }

  /** Lists the requests that have not ended. */
  requests(): void {
    const { requesting, context, head } = this.#connected;
    const { say } = this.#options;
    if (requesting.open.length === 0) say("No request is open.");
    for (const { id } of requesting.open) {
      const record = context.agent.state.requests.get(id);
      say(`${id} ${record ? requestPhaseOf(record, head.timestamp) : "not posted yet"}`);
    }
  }

  /** Waits for a request of this account's, and prints what came of it. */
  async result(id: string, { signal }: { signal: AbortSignal }): Promise<void> {
    const { requesting, context, failed } = this.#connected;
    if (!requesting.knows(id)) {
      throw new SuretyError("REQUEST_UNKNOWN", `${id.slice(0, 80)} is no request of this account's`, {
        fix: "requests lists those that are open.",
        exit: ExitStatus.badInput,
      });
    }
    const answer = await Promise.race([requesting.answerTo(id, { signal }), failed]);
    const { decimals } = context.agent.deployment.token;
    for (const line of answerText(answer, decimals)) this.#options.say(line);
  }

  /** Lists the jobs that are registered. */
  listJobs(): void {
    const { agent } = this.#connected.context;
    const { say } = this.#options;
    if (agent.state.schemas.size === 0) say("No job is registered.");
    for (const { id, registrant, releases } of agent.state.schemas.values()) {
      say(`${id} by ${registrant === agent.address ? "you" : registrant}, release ${releases.length}`);
    }
  }

  /** Says whose account it is, and what it has. */
  async account(): Promise<void> {
    const { rpc, address, deployment, context } = this.#connected.context.agent;
    const { token, vault } = deployment;
    const signal = this.#options.signal;
    const [inWallet, inVault] = await Promise.all([
      balanceOf(rpc, token.address, address, { signal }),
      available(rpc, vault, context.requests, address, { signal }),
    ]);
    const text = (units: bigint): string => `${formatAmount(units, token.decimals)} ${token.symbol}`;
    this.#options.say(`${address}: ${text(inWallet)} in its wallet, ${text(inVault)} free for requests`);
  }

  /** Leaves the network; what is open goes on when it is connected to again. */
  async close(): Promise<void> {
    const connection = this.#connection;
    this.#connection = undefined;
    await connection?.close();
  }

  get #connected(): Connection {
    if (this.#connection) return this.#connection;
    throw new SuretyError("CONSOLE_NOT_CONNECTED", "there is no network yet", {
      fix: "connect AIN, for the network of surety devnet --home .surety/AIN; or another.",
      exit: ExitStatus.badInput,
    });
  }

  /** A job by its id, or the beginning of it, or the last one that was registered. */
  #jobNamed(named: string): SchemaRecord {
    const { schemas } = this.#connected.context.agent.state;
    const wanted = named.toLowerCase();
    const exact = schemas.get(wanted);
    if (exact) return exact;
    const found = /^0x[0-9a-f]{4,}$/.test(wanted)
      ? [...schemas.values()].filter(({ id }) => id.startsWith(wanted))
      : [];
    if (found.length === 1) return found[0]!;
    if (found.length === 0) throw unknownSchema(named.slice(0, 80));
    throw new SuretyError("CONSOLE_JOB_AMBIGUOUS", `${found.length} jobs begin with ${named}`, {
      fix: "Write more of its id.",
      exit: ExitStatus.badInput,
    });
  }

  async #withPackage<T>(words: readonly string[], work: (checked: CheckedPackage) => Promise<T>): Promise<T> {
    const { config } = this.#connected.context;
    const { signal, say } = this.#options;
    const [first, worker, evaluator, ...more] = words;
    const check = async (folder: string): Promise<T> => {
      const checked = await checkPackage(resolve(folder), {
        executorFor: (runtime) => executorFor(runtime, config),
        tests: "optional",
        signal,
      });
      if (checked.tested.length === 0) say("(no test data: who applies has nothing to show what it can do)");
      return work(checked);
    };
    if (first !== undefined && worker === undefined) return check(first);
    if (first !== undefined && worker !== undefined && evaluator !== undefined && more.length === 0) {
      return withPackageOf({ proto: first, worker, evaluator }, check);
    }
    throw new SuretyError("CONSOLE_USAGE", "registerJob takes a proto, a worker and an evaluator, or a folder", {
      fix: "registerJob job_schema.proto worker.wasm evaluator.wasm; or registerJob my-schema.",
      exit: ExitStatus.badInput,
    });
  }

  #see(head: Head): void {
    if (this.#connection) this.#connection.head = head;
  }

  #tell(progress: RequestProgress): void {
    if (this.#connection && progress.phase !== "ended") this.#options.say(progressText(progress));
  }
}

/** A part that does nothing but tell of heads. */
function heads(first: (head: Head) => void, each: (head: Head) => void): Part {
  return {
    act: (head) => {
      first(head);
      each(head);
      return Promise.resolve();
    },
    isIdle: true,
    settled: () => Promise.resolve(),
  };
}

async function secondsPerBlock({ agent, signal }: ParticipantContext, { number, timestamp }: Head): Promise<number> {
  const blocks = Math.min(MEASURED_BLOCKS, number);
  if (blocks === 0) return 1;
  const params = [`0x${(number - blocks).toString(16)}`, false];
  const block = (await agent.rpc.request("eth_getBlockByNumber", params, { signal })) as { timestamp: string } | null;
  return block ? Math.max(1, (timestamp - Number(block.timestamp)) / blocks) : 1;
}

/** Members that take part: those whose parents vouch for them up to a root. Roots themselves only judge. */
function countsOf(schema: SchemaRecord): { evaluators: number; workers: number } {
  const count = (role: Role): number =>
    [...schema.members.values()].filter(({ node, parent, roles }) => {
      return parent !== undefined && hasRoles(roles, role) && pathOf(schema, node, ROLES[role]) !== undefined;
    }).length;
  return { evaluators: count("evaluator"), workers: count("worker") };
}

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? "" : "s"}`;
}

function executorFor(runtime: "wasm" | "container", { executor }: ParticipantConfig): ExecutorConfig {
  if (runtime === "wasm") return { kind: "wasm" };
  return executor && executor.kind !== "wasm" ? executor : dockerExecutorSchema.parse({ kind: "docker" });
}

/** A folder's files, by their paths in it. */
async function readFolder(folder: string): Promise<Map<string, Uint8Array>> {
  const files = new Map<string, Uint8Array>();
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    if ((await stat(path)).isFile()) {
      files.set(relative(folder, path).split(sep).join("/"), new Uint8Array(await readFile(path)));
    }
  }
  return files;
}
