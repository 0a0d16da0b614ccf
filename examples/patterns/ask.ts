import { concat, getAddress, getBytes, keccak256, toBeHex } from "ethers";
import type { Directory } from "#sdk/content.ts";
import { SCORE_UNIT } from "#sdk/schema-evaluation.ts";
import { runSchema, type EvaluatorOrder, type SchemaRunner } from "../../agents/schema/run-schema.ts";

/** A message in protobuf's JSON. */
export type Message = Record<string, unknown>;

/** A worker's reply that the evaluator found valid. */
export interface RankedReply {
  node: string;
  /** Missing where only the ranking is known. */
  score?: number;
  reply: Message;
}

/** What came of a request: the best reply first. */
export interface Answer {
  ranked: RankedReply[];
  report: string;
}

/** What goes with a request. */
export interface AskOptions {
  /** Revealed to the evaluator when all replies are fixed. */
  testData?: Directory;
  signal?: AbortSignal;
}

/**
 * Has a request of one job schema answered, by whomever: what posts several requests one after the other takes this, and
 * works the same with programs on this computer and with strangers on a chain.
 */
export type Ask = (request: Message, options?: AskOptions) => Promise<Answer>;

/** Who answers on this computer. */
export interface LocalWorkers {
  /** How many honest workers run. */
  workers: number;
  /** Replies of others to a request, such as of those that cheat. */
  others?: (request: Message) => Message[];
}

/** Answers requests with a schema's programs on this computer. The same requests in the same order get the same answers. */
export function askHere(runner: SchemaRunner, { workers, others = () => [] }: LocalWorkers): Ask {
  const { proto } = runner.schema;
  let asked = 0;
  return async (message, { testData, signal } = {}) => {
    const request = proto.worker.input.fromJson(message);
    const seed = getBytes(keccak256(concat([toBeHex((asked += 1), 32), request])));
    const given: EvaluatorOrder["workers"] = others(message).map((reply, index) => {
      return { node: nodeOf(1000 + index), reply: proto.worker.output.fromJson(reply), checkpoints: [] };
    });
    const nodes = Array.from({ length: workers }, (_, index) => nodeOf(1 + index));
    const order = { request, nodes, given, seed, drawSeed: getBytes(keccak256(seed)), testData };
    const run = await runSchema(runner, order, { signal });
    const replies = new Map([...run.workers, ...given].map(({ node, reply }) => [node, reply]));
    const { nodes: best, scores, report } = run.evaluation;
    const ranked = best.map((node, place) => ({
      node,
      score: Number(scores[place]) / Number(SCORE_UNIT),
      reply: proto.worker.output.toJson(replies.get(node)!) as Message,
    }));
    return { ranked, report };
  };
}

function nodeOf(index: number): string {
  return getAddress(`0x${index.toString(16).padStart(40, "0")}`);
}
