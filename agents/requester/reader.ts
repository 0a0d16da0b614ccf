import { systemClock } from "#sdk/clock.ts";
import { commit, type Opening } from "#sdk/commitment.ts";
import { membersOf } from "#sdk/dispute.ts";
import { SuretyError } from "#sdk/errors.ts";
import { panelStatus, type AnswerRecord, type AssignmentRecord, type BatchRecord } from "#sdk/market-state.ts";
import type { TaskResult } from "#sdk/result-manifest.ts";
import { readOutput, readResults, readTrace, type MemberPart, type Opener } from "#sdk/results.ts";
import type { EncryptionKeyPair } from "#sdk/seed.ts";
import type { Programs } from "../compute/programs.ts";
import { parseOutputDirectory } from "../executor/outcome.ts";
import type { Logger } from "../logger.ts";
import type { MarketAgent } from "../market-agent.ts";
import { workThrough } from "../work-through.ts";
import { patiently, type Background } from "./background.ts";
import { readingKey, type Reading } from "./duties.ts";
import type { Outputs } from "./outputs.ts";
import type { TaskStatus } from "./spool.ts";

/** What {@link Reader} works with. */
export interface ReaderParts {
  agent: MarketAgent;
  keys: EncryptionKeyPair;
  programs: Programs;
  outputs: Outputs;
  background: Background;
  logger: Logger;
  signal: AbortSignal;
  /** How long to ask for content that nobody serves, seconds. */
  patience: number;
}

/** Whose results, and what is known of them. */
interface Known {
  reading: Reading;
  results?: TaskResult[];
}

/** What a fetched output says of how its task ended, as the journal keeps it. */
type Fetched = Pick<TaskStatus, "output" | "exit">;

/** Errors that say that what was submitted is provably not what it should be. */
const GARBAGE =
  /^(ENVELOPE_.*|RESULT_MANIFEST_.*|OUTPUT_MISMATCH|SEALED_FILE_CORRUPT|CONTENT_(INVALID|PATH_NOT_FOUND|TOO_LARGE))$/;
/** Errors that say that all who were asked answered, and nobody has it. Others may be this machine's own trouble. */
const NOT_SERVED = new Set(["CONTENT_NOT_FOUND", "CONTENT_CORRUPT"]);

/** Pause before results are read again of which this machine could not tell whether they are to be had. */
const AGAIN_MS = 10_000;

/** Outputs of one member that are fetched at once. */
export const OUTPUTS_AT_ONCE = 4;

/** Reads what the members of the requester's batches submitted, and fetches what it is to pay for. */
export class Reader {
  readonly #parts: ReaderParts;
  readonly #known = new Map<string, Known>();
  /** When to read again what could not be told, milliseconds. */
  readonly #again = new Map<string, number>();

  constructor(parts: ReaderParts) {
    this.#parts = parts;
  }

  /**
   * Begins to read what members submitted, each once.
   *
   * @param withOutputs Whether the primaries' outputs are fetched too.
   */
  read(record: BatchRecord, withOutputs: boolean): void {
    for (const assignment of record.assignments) {
      for (const [number, member] of membersOf(assignment).entries()) {
        const part = this.#partOf(record, assignment, member, number);
        if (!part) continue;
        const key = `${record.id}:${readingKey(assignment, member)}`;
        if (this.#known.has(key) || systemClock.now() < (this.#again.get(key) ?? 0)) continue;
        this.#parts.background.run(`read ${key}`, () => this.#inspect(record, part, key, withOutputs && number === 0));
      }
    }
  }

  /** How far reading a batch is, for its duties. */
  readings({ id, assignments }: BatchRecord): Map<string, Reading> {
    const readings = new Map<string, Reading>();
    for (const assignment of assignments) {
      for (const member of membersOf(assignment)) {
        const key = readingKey(assignment, member);
        const known = this.#known.get(`${id}:${key}`);
        if (known) readings.set(key, known.reading);
      }
    }
    return readings;
  }

  /** What a member committed to for a task, and the proof; undefined if its results were not read. */
  opening(
    record: BatchRecord,
    assignment: AssignmentRecord,
    number: number,
    task: number,
  ): { opening: Opening; proof: string[] } | undefined {
    const member = membersOf(assignment)[number];
    const results = member && this.#known.get(`${record.id}:${readingKey(assignment, member)}`)?.results;
    const result = results?.find((one) => one.task === task);
    if (!member || !results || !result) return undefined;
    const { digest, salt } = result;
    const context = { ...this.#parts.agent.context, batchId: record.id, member: member.node };
    return { opening: { task, digest, salt }, proof: commit(results, context).proof(task) };
  }

  /** The primary's results; undefined if they are not to be had. */
  async resultsOf(record: BatchRecord, assignment: AssignmentRecord): Promise<TaskResult[] | undefined> {
    const [member] = membersOf(assignment);
    const part = member && this.#partOf(record, assignment, member, 0);
    if (!member || !part) return undefined;
    const key = `${record.id}:${readingKey(assignment, member)}`;
    if (!this.#known.get(key)?.results) await this.#inspect(record, part, key, false);
    return this.#known.get(key)?.results;
  }

  /**
   * Fetches one output with its trace, unless it was fetched before, and puts it where {@link Outputs.hand} finds it.
   *
   * @throws StorageError, SuretyError what {@link readOutput} throws, `OUTPUT_INVALID`
   */
  async fetch(record: BatchRecord, result: TaskResult, patience = this.#parts.patience): Promise<Fetched> {
    const { agent, outputs, programs, signal } = this.#parts;
    const key = `${record.id}:${result.task}`;
    const known = agent.journal.get("fetched", key) as Fetched | undefined;
    if (known?.output === result.output) return known;
    const { spec } = await patiently(() => programs.order(record, signal), { seconds: patience, signal });
    const maxBytes = spec.limits.output;
    const directory = await patiently(() => readOutput(result, this.#opener, { maxBytes, signal }), {
      seconds: patience,
      signal,
    });
    const { exit } = parseOutputDirectory(directory);
    await outputs.keep(record.id, result.task, directory);
    await this.#keepTrace(record, result);
    const fetched: Fetched = { output: result.output, exit };
    agent.journal.putSoon("fetched", key, fetched);
    return fetched;
  }

  /** Puts down what a node says that a task used, which came with its output. Nothing depends on it. */
  async #keepTrace({ id: batchId }: BatchRecord, result: TaskResult): Promise<void> {
    const { outputs, logger, signal } = this.#parts;
    try {
      const trace = await readTrace(result, this.#opener, { signal });
      if (trace) await outputs.keepTrace(batchId, result.task, trace);
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof SuretyError)) throw error;
      logger.info({ batchId, task: result.task, error }, "a resource trace is not what it should be");
    }
  }

  /** Forgets what it read of a batch that is over. */
  release({ id }: BatchRecord): void {
    for (const key of this.#known.keys()) if (key.startsWith(`${id}:`)) this.#known.delete(key);
  }

  /** Forgets that an output was fetched, for it is not where it was. */
  forget(record: BatchRecord, task: number): void {
    this.#parts.agent.journal.delete("fetched", `${record.id}:${task}`);
  }

  async #inspect(record: BatchRecord, part: MemberPart, key: string, withOutputs: boolean): Promise<void> {
    const { logger, signal, patience } = this.#parts;
    const known: Known = { reading: { delivery: "pending" } };
    try {
      const results = await patiently(() => readResults(record.id, part, this.#opener, { signal }), {
        seconds: patience,
        signal,
      });
      const digests = new Map(results.map(({ task, digest }) => [task, digest]));
      known.results = results;
      known.reading = { delivery: withOutputs ? "pending" : "complete", digests };
      this.#known.set(key, known);
      if (!withOutputs) return;
      await workThrough(results, { atOnce: OUTPUTS_AT_ONCE }, async (result) => {
        try {
          await this.fetch(record, result);
        } catch (error) {
          // What it committed to came, and is nothing that a program leaves behind: a wrong result, not a missing one.
          if (!(error instanceof SuretyError) || error.code !== "OUTPUT_INVALID") throw error;
          known.reading = { ...known.reading, impossible: result.task };
        }
      });
      known.reading = { ...known.reading, delivery: "complete" };
    } catch (error) {
      if (!(error instanceof SuretyError)) throw error;
      const { node, assignment } = part;
      const place = { batchId: record.id, assignment, node };
      if (error.kind === "fatal" && GARBAGE.test(error.code)) {
        logger.warn({ ...place, error }, "a node submitted garbage");
        known.reading = { ...known.reading, delivery: "garbage" };
      } else if (NOT_SERVED.has(error.code)) {
        logger.warn({ ...place, error }, "nobody serves what a node submitted");
        known.reading = { ...known.reading, delivery: "withheld" };
      } else {
        logger.warn({ ...place, error }, "cannot tell whether a node's results are to be had");
        this.#known.delete(key);
        this.#again.set(key, systemClock.now() + AGAIN_MS);
        return;
      }
    }
    this.#known.set(key, known);
  }

  #partOf(
    record: BatchRecord,
    assignment: AssignmentRecord,
    member: AnswerRecord,
    number: number,
  ): MemberPart | undefined {
    const { index, first, count } = assignment;
    const { node, root, manifest, envelope, round, seat } = member;
    const part = { node, root, manifest, envelope, assignment: index };
    if (number === 0) {
      const tasks = Array.from({ length: count }, (_, place) => first + place);
      return { ...part, member: "primary", tasks };
    }
    const panel = panelStatus(record, assignment, this.#parts.agent.deployment.parameters);
    return panel && { ...part, member: { round, seat }, tasks: panel.tasks };
  }

  get #opener(): Opener {
    const { agent, keys } = this.#parts;
    return { storage: agent.storage, context: agent.context, secretKey: keys.secretKey };
  }
}
