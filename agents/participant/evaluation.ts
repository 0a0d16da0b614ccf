import { concat, getBytes, keccak256 } from "ethers";
import type { Directory } from "#sdk/content.ts";
import { SuretyError } from "#sdk/errors.ts";
import type { Head } from "#sdk/follower.ts";
import type { RequestInput } from "#sdk/request-content.ts";
import type { RequestRecord } from "#sdk/request-state.ts";
import type { Ruling } from "#sdk/request-terms.ts";
import { rulingOf, type Ranking } from "#sdk/schema-evaluation.ts";
import type { Executor } from "../executor/executor.ts";
import { contentIds, contentShare, fetchContent } from "../schema/content-fields.ts";
import type { VerifiedRelease } from "../schema/release.ts";
import { runEvaluator, type EvaluatorOrder, type EvaluatorResult, type SchemaRunner } from "../schema/run-schema.ts";
import { workThrough } from "../work-through.ts";
import type { BlockFacts, Blocks } from "./blocks.ts";
import { HeldContent } from "./held-content.ts";
import type { Releases } from "./releases.ts";
import { encodeReport } from "./report.ts";
import type { RequestReader } from "./request-reader.ts";

/** A worker that is not ranked for a reason of its own, or of the network's. */
export interface LeftOut {
  node: string;
  code: string;
  message: string;
  /** It may pass: the result could not be fetched. */
  mayPass: boolean;
}

/** What an evaluation comes to. */
export interface Assessment {
  ruling: Ruling;
  leftOut: LeftOut[];
  /** Something that may pass stood in the way: another try may come to something else. */
  mayPass: boolean;
  /** What to publish as the ruling's reasons. */
  report: Directory;
}

/** What an {@link Evaluation} works with. */
export interface EvaluationDependencies {
  reader: RequestReader;
  releases: Releases;
  executor: Executor;
  blocks: Blocks;
}

/** Codes that say that a program fails on what it is given, and not that something is missing here. */
const OF_PROGRAM: readonly string[] = ["SCHEMA_PROGRAM_FAILED", "SCHEMA_RANKING_INVALID", "SCHEMA_MESSAGE_INVALID"];
/** Codes that say that the requester did not provide what an evaluation needs. */
const OF_REQUESTER: readonly string[] = ["REQUEST_INPUT_INVALID", "REQUEST_INPUT_WITHHELD"];
/** Codes of this machine's storage. */
const OF_MACHINE: readonly string[] = ["STORAGE_REFUSED", "STORAGE_FAILED"];
/** Results that are fetched at once. */
const AT_ONCE = 4;

/** Evaluates requests: as evaluator, as judge, or as whoever wants to know. All come to the same. */
export class Evaluation {
  readonly #reader: RequestReader;
  readonly #releases: Releases;
  readonly #executor: Executor;
  readonly #blocks: Blocks;

  constructor({ reader, releases, executor, blocks }: EvaluationDependencies) {
    this.#reader = reader;
    this.#releases = releases;
    this.#executor = executor;
    this.#blocks = blocks;
  }

  /**
   * The block whose hash the evaluator's seed is drawn from: the one in which the last was revealed, or else the first
   * after the last second of revealing.
   *
   * @returns undefined until it is final
   */
  async drawBlock(
    { revealedBlock, revealUntil, postedBlock }: RequestRecord,
    { finalNumber }: Pick<Head, "finalNumber">,
    signal?: AbortSignal,
  ): Promise<BlockFacts | undefined> {
    if (revealedBlock === undefined) {
      return this.#blocks.firstAfter(revealUntil, { low: postedBlock, high: finalNumber }, { signal });
    }
    return revealedBlock <= finalNumber ? this.#blocks.at(revealedBlock, { signal }) : undefined;
  }

  /**
   * Evaluates what was revealed.
   *
   * @param own.input Of who posted the request and has it; default: what was granted.
   * @returns a ranking, or `withheld` where the requester did not provide what it needs
   * @throws what the executor and the fetching of a release throw
   */
  async assess(
    record: RequestRecord,
    drawn: BlockFacts,
    { signal, input }: { signal?: AbortSignal; input?: RequestInput } = {},
  ): Promise<Assessment> {
    const schema = await this.#releases.of(record.request.release, { signal });
    let given: { input: RequestInput; testData: Directory };
    try {
      given = {
        input: input ?? (await this.#reader.inputForEvaluation(record, signal)),
        testData: await this.#reader.testData(record, signal),
      };
      await this.#checkInput(schema, given.input, signal);
    } catch (error) {
      signal?.throwIfAborted();
      if (!(error instanceof SuretyError)) throw error;
      const mayPass = error.kind === "retryable";
      if (!mayPass && !OF_REQUESTER.includes(error.code)) throw error;
      const ruling: Ruling = { verdict: "withheld", order: [], scores: [] };
      return assessment(record, drawn, { ruling, leftOut: [], mayPass, text: `${error.code}: ${error.message}` });
    }
    const { workers, content, leftOut } = await this.#results(record, schema, signal);
    const held = new HeldContent([...given.input.content, ...content]);
    const order = { ...this.#order(record, given, drawn), workers };
    let ranked: Ranking & { leftOut: LeftOut[] };
    try {
      ranked = await this.#rank({ schema, executor: this.#executor, storage: held }, order, signal);
    } catch (error) {
      if (!isOfProgram(error)) throw error;
      // Nobody can rank these: they share evenly.
      const ruling: Ruling = { verdict: "withheld", order: [], scores: [] };
      return assessment(record, drawn, { ruling, leftOut, mayPass: false, text: `${error.code}: ${error.message}` });
    }
    const all = [...leftOut, ...ranked.leftOut];
    const mayPass = all.some((one) => one.mayPass);
    return assessment(record, drawn, { ruling: rulingOf(ranked), leftOut: all, mayPass, text: ranked.report });
  }

  /**
   * Whether one result, by itself, is valid: what its worker can find out without the others'.
   *
   * @param result With the content that it names.
   * @throws as {@link Evaluation.assess}, and what {@link RequestReader.testData} throws
   */
  async isValidAlone(
    record: RequestRecord,
    drawn: BlockFacts,
    {
      input,
      content,
      ...worker
    }: EvaluatorOrder["workers"][number] & { input: RequestInput; content: Iterable<readonly [string, Directory]> },
    signal?: AbortSignal,
  ): Promise<boolean> {
    const schema = await this.#releases.of(record.request.release, { signal });
    const testData = await this.#reader.testData(record, signal);
    const held = new HeldContent([...input.content, ...content]);
    const order = { ...this.#order(record, { input, testData }, drawn), workers: [worker] };
    const { nodes } = await this.#rank({ schema, executor: this.#executor, storage: held }, order, signal);
    return nodes.includes(worker.node);
  }

  #order(
    { id }: RequestRecord,
    { input, testData }: { input: RequestInput; testData: Directory },
    { hash }: BlockFacts,
  ): Omit<EvaluatorOrder, "workers"> {
    return { request: input.message, testData, seed: getBytes(id), drawSeed: getBytes(keccak256(concat([id, hash]))) };
  }

  /** @throws SuretyError `REQUEST_INPUT_INVALID` */
  async #checkInput(
    { proto }: VerifiedRelease,
    { message, content }: RequestInput,
    signal?: AbortSignal,
  ): Promise<void> {
    const { input } = proto.worker;
    try {
      await fetchContent(new HeldContent(content), contentIds(input, input.check(message)), {
        ...contentShare(2),
        signal,
      });
    } catch (cause) {
      if (!(cause instanceof SuretyError)) throw cause;
      throw new SuretyError("REQUEST_INPUT_INVALID", `the request is none of the schema: ${cause.message}`, { cause });
    }
  }

  async #results(
    record: RequestRecord,
    { proto }: VerifiedRelease,
    signal?: AbortSignal,
  ): Promise<{ workers: EvaluatorOrder["workers"]; content: [string, Directory][]; leftOut: LeftOut[] }> {
    const workers = new Map<string, EvaluatorOrder["workers"][number]>();
    const content: [string, Directory][] = [];
    const leftOut: LeftOut[] = [];
    const { output } = proto.worker;
    await workThrough(record.revealed, { atOnce: AT_ONCE }, async (node) => {
      try {
        const result = await this.#reader.result(record, record.workers.get(node)!, signal);
        // Nothing but what it brings along: another's content may be there or not.
        await fetchContent(new HeldContent(result.content), contentIds(output, output.check(result.reply)), {
          ...contentShare(2 * record.revealed.length),
          signal,
        }).catch((error: unknown) => {
          throw error instanceof SuretyError ? incomplete(error) : error;
        });
        content.push(...result.content);
        const checkpoints = result.checkpoints.map(({ state }) => state);
        workers.set(node, { node, reply: result.reply, checkpoints });
      } catch (error) {
        signal?.throwIfAborted();
        // A stranger's fault costs nobody but itself; one of this machine is no stranger's.
        if (!(error instanceof SuretyError) || OF_MACHINE.includes(error.code)) throw error;
        leftOut.push(left(node, error));
      }
    });
    const inOrder = record.revealed.flatMap((node) => workers.get(node) ?? []);
    return { workers: inOrder, content, leftOut: leftOut.sort((a, b) => (a.node < b.node ? -1 : 1)) };
  }

  /** Ranks; where the program fails over somebody's reply, without those over which it fails even alone. */
  async #rank(
    runner: SchemaRunner,
    order: EvaluatorOrder,
    signal?: AbortSignal,
  ): Promise<Ranking & { leftOut: LeftOut[] }> {
    const nobody = { nodes: [], scores: [], report: "", leftOut: [] };
    if (order.workers.length === 0) return nobody;
    try {
      return told(await runEvaluator(runner, order, { signal }));
    } catch (error) {
      if (!isOfProgram(error)) throw error;
    }
    const leftOut: LeftOut[] = [];
    const workers: EvaluatorOrder["workers"][number][] = [];
    for (const worker of order.workers) {
      try {
        await runEvaluator(runner, { ...order, workers: [worker] }, { signal });
        workers.push(worker);
      } catch (error) {
        if (!isOfProgram(error)) throw error;
        leftOut.push(left(worker.node, error));
      }
    }
    if (workers.length === 0) return { ...nobody, leftOut };
    const ranked = told(await runEvaluator(runner, { ...order, workers }, { signal }));
    return { ...ranked, leftOut: [...leftOut, ...ranked.leftOut] };
  }
}

/** Scores that differ by no more than this share say the same: floating point may differ from host to host. */
const TOLERANCE = 1_000_000n;

/** Whether two rulings say the same: a judge that finds one defensible repeats it. */
export function isEquivalentRuling(one: Ruling, other: Ruling): boolean {
  const isClose = (a: bigint, b: bigint): boolean => {
    const [low, high] = a < b ? [a, b] : [b, a];
    return (high - low) * TOLERANCE <= high;
  };
  return (
    one.verdict === other.verdict &&
    one.order.length === other.order.length &&
    one.order.every((node, place) => node === other.order[place]) &&
    one.scores.every((score, place) => isClose(score, other.scores[place] ?? -1n))
  );
}

function assessment(
  { id, request }: RequestRecord,
  drawn: BlockFacts,
  { text, ...found }: Omit<Assessment, "report"> & { text: string },
): Assessment {
  const { ruling, leftOut } = found;
  const report = encodeReport({
    request: id,
    release: request.release,
    drawBlock: drawn.number,
    verdict: ruling.verdict,
    ranking: [...ruling.order],
    scores: ruling.scores.map(String),
    leftOut: leftOut.map(({ node, code, message }) => ({ node, code, message })),
    report: text,
  });
  return { ...found, report };
}

function told({ nodes, scores, report, leftOut }: EvaluatorResult): Ranking & { leftOut: LeftOut[] } {
  return { nodes, scores, report, leftOut: leftOut.map(({ node, error }) => left(node, error)) };
}

function left(node: string, error: SuretyError): LeftOut {
  return { node, code: error.code, message: error.message, mayPass: error.kind === "retryable" };
}

function isOfProgram(error: unknown): error is SuretyError {
  return error instanceof SuretyError && OF_PROGRAM.includes(error.code);
}

function incomplete(cause: SuretyError): SuretyError {
  return new SuretyError("REQUEST_RESULT_INVALID", `the reply cannot be used: ${cause.message}`, { cause });
}
