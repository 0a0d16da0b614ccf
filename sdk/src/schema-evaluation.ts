import { create, type DescField, type DescMessage, type Message } from "@bufbuild/protobuf";
import { getAddress, isAddress } from "ethers";

import { printable } from "./complaint.ts";
import { ExitStatus, SuretyError } from "./errors.ts";
import type { Ruling } from "./request-terms.ts";
import { MAX_SCORE } from "./rewards.ts";
import type { SchemaProto } from "./schema-proto.ts";

/** A score of 1, in the whole numbers that rewards are split by. */
export const SCORE_UNIT = 1_000_000n;
const MAX_REPORT_BYTES = 64 * 1024;

/** What one worker gave. */
export interface WorkerAnswer {
  /** Its address, with checksum. */
  node: string;
  /** Its reply, serialised. */
  reply: Uint8Array;
}

/** What an evaluator found. */
export interface Ranking {
  /** Addresses with checksum, the best first; who is left out gave nothing valid. */
  nodes: string[];
  /** One for each of the nodes, never rising, in units of {@link SCORE_UNIT}; all 0 if the schema has no scores. */
  scores: bigint[];
  /** For people; empty if the schema has none. */
  report: string;
}

/** Where a schema's messages have what the evaluation is made of. */
export interface EvaluationShape {
  /** In what the evaluator takes: the request. */
  request: DescField;
  /** There, too: a message with the list of workers, or the list itself. */
  workers: DescField;
  /** The list, in the message {@link EvaluationShape.workers} if that is none itself. */
  list: DescField;
  /** In each worker: its address, and what it replied. */
  node: DescField;
  response: DescField;
  /** In what the evaluator gives: addresses, and what may be left out of a schema. */
  ranked: DescField;
  score: DescField | undefined;
  report: DescField | undefined;
}

/**
 * Finds in a schema's messages what the evaluation is made of: by types, and the names `node`, `score` and `report`.
 *
 * @throws SuretyError `SCHEMA_MESSAGES_MISMATCH` with what is missing
 */
export function evaluationShape({ worker, evaluator }: Pick<SchemaProto, "worker" | "evaluator">): EvaluationShape {
  const input = evaluator.input.desc;
  const request = only(
    input,
    "one field that is",
    (field) => messageOf(field) === worker.input.desc,
    worker.input.name,
  );
  const isList = (field: DescField): boolean => workerOf(field, worker.output.desc) !== undefined;
  const listed = input.fields.filter(
    (field) => isList(field) || messageOf(field)?.fields.some((inner) => isList(inner)),
  );
  const [workers] = listed;
  const needs = `{ repeated Worker workers = 1; } with message Worker { string node = 1; ${worker.output.name} response = 3; }`;
  if (workers === undefined || listed.length > 1) {
    throw mismatch(`${input.typeName} has ${listed.length} fields with the workers, expected one`, needs);
  }
  const holder = isList(workers) ? input : messageOf(workers)!;
  const list = only(holder, "one list of", isList, worker.output.name);
  const { node, response } = workerOf(list, worker.output.desc)!;
  const output = evaluator.output.desc;
  const ranked = output.fields.find((field) => field.name === "node" && listOf(field, [STRING]));
  if (ranked === undefined) throw mismatch(`${output.typeName} has no list of nodes`, "repeated string node = 1;");
  const score = output.fields.find((field) => field.name === "score");
  if (score && !listOf(score, SCORES)) {
    throw mismatch(`${output.typeName}.score is no list of numbers`, "repeated double score = 2;");
  }
  const report = output.fields.find((field) => field.name === "report");
  if (report && !(report.fieldKind === "scalar" && (report.scalar as number) === STRING)) {
    throw mismatch(`${output.typeName}.report is no text`, "string report = 3;");
  }
  return { request, workers, list, node, response, ranked, score, report };
}

/**
 * What the evaluator of a request is given.
 *
 * @param answers In any order; the evaluator sees them in the order of the addresses.
 * @throws SuretyError `SCHEMA_MESSAGE_INVALID` for a message that is not of the schema; `SCHEMA_MESSAGES_MISMATCH`
 */
export function encodeEvaluation(
  proto: SchemaProto,
  request: Uint8Array,
  answers: readonly WorkerAnswer[],
): Uint8Array {
  const shape = evaluationShape(proto);
  const workers = [...answers]
    .sort((a, b) => (a.node.toLowerCase() < b.node.toLowerCase() ? -1 : 1))
    .map(({ node, reply }) =>
      make(shape.node.parent, [
        [shape.node, getAddress(node)],
        [shape.response, proto.worker.output.read(reply)],
      ]),
    );
  const isDirect = shape.list === shape.workers;
  const held = isDirect ? workers : make(shape.list.parent, [[shape.list, workers]]);
  const message = make(proto.evaluator.input.desc, [
    [shape.request, proto.worker.input.read(request)],
    [shape.workers, held],
  ]);
  return proto.evaluator.input.write(message);
}

/**
 * Reads what an evaluator program gave back, and holds it to what a ranking is.
 *
 * @param nodes Who took part.
 * @throws SuretyError `SCHEMA_MESSAGE_INVALID`; `SCHEMA_RANKING_INVALID` for nodes that took no part or are named
 * twice, or for scores that are not as many, rise, or are no amounts
 */
export function decodeRanking(proto: SchemaProto, result: Uint8Array, nodes: readonly string[]): Ranking {
  const { ranked, score, report } = evaluationShape(proto);
  const message = proto.evaluator.output.read(result) as Message & Record<string, unknown>;
  const known = new Set(nodes.map((node) => getAddress(node)));
  const found: string[] = [];
  for (const node of message[ranked.localName] as string[]) {
    if (!isAddress(node) || !known.has(getAddress(node))) {
      throw invalidRanking(`it ranks ${printable(node.slice(0, 60))}, which took no part`);
    }
    if (!known.delete(getAddress(node)) || found.includes(getAddress(node))) {
      throw invalidRanking(`it ranks ${node} twice`);
    }
    found.push(getAddress(node));
  }
  const text = report ? (message[report.localName] as string) : "";
  if (new TextEncoder().encode(text).length > MAX_REPORT_BYTES) {
    throw invalidRanking(`its report is longer than ${MAX_REPORT_BYTES} bytes`);
  }
  if (score === undefined) return { nodes: found, scores: found.map(() => 0n), report: text };
  const scores = (message[score.localName] as (number | bigint)[]).map(scoreOf);
  if (scores.length !== found.length) {
    throw invalidRanking(`it has ${scores.length} scores for ${found.length} nodes`);
  }
  const rise = scores.findIndex((value, place) => place > 0 && value > scores[place - 1]!);
  if (rise >= 0) throw invalidRanking(`the score at place ${rise + 1} is higher than the one before`);
  return { nodes: found, scores, report: text };
}

/** A ranking as its evaluator puts it on chain. */
export function rulingOf({ nodes, scores }: Pick<Ranking, "nodes" | "scores">): Ruling {
  return { verdict: "ranking", order: nodes, scores };
}

function scoreOf(value: number | bigint): bigint {
  const score = typeof value === "bigint" ? value * SCORE_UNIT : roundedScore(value);
  if (score < 0n || score > MAX_SCORE) throw invalidRanking(`it has a score of ${value}`);
  return score;
}

function roundedScore(value: number): bigint {
  if (!Number.isFinite(value) || value < 0 || value > 2 ** 53) throw invalidRanking(`it has a score of ${value}`);
  // Exact for whole numbers; fractions to a millionth.
  const whole = Math.floor(value);
  return BigInt(whole) * SCORE_UNIT + BigInt(Math.round((value - whole) * Number(SCORE_UNIT)));
}

/** Scalar types by the numbers that protobuf gives them. */
const STRING = 9;
const SCORES = [1, 2, 3, 4, 5, 6, 7, 13, 15, 16, 17, 18];

function messageOf(field: DescField): DescMessage | undefined {
  return field.fieldKind === "message" ? field.message : undefined;
}

function listOf(field: DescField, scalars: readonly number[]): boolean {
  return field.fieldKind === "list" && field.listKind === "scalar" && scalars.includes(field.scalar);
}

/** Of a list of workers, the fields that each has. */
function workerOf(field: DescField, reply: DescMessage): { node: DescField; response: DescField } | undefined {
  if (field.fieldKind !== "list" || field.listKind !== "message") return undefined;
  const { fields } = field.message;
  const node = fields.find((each) => each.name === "node" && each.fieldKind === "scalar");
  const [response, ...more] = fields.filter((each) => messageOf(each) === reply);
  if (node === undefined || response === undefined || more.length > 0) return undefined;
  return (node.scalar as number) === STRING ? { node, response } : undefined;
}

function only(message: DescMessage, what: string, test: (field: DescField) => boolean, type: string): DescField {
  const [found, ...more] = message.fields.filter(test);
  if (found !== undefined && more.length === 0) return found;
  throw mismatch(
    `${message.typeName} has ${found ? more.length + 1 : "no"} field of the type ${type}`,
    `${what} ${type}`,
  );
}

function make(desc: DescMessage, values: readonly (readonly [DescField, unknown])[]): Message {
  return create(desc, Object.fromEntries(values.map(([field, value]) => [field.localName, value])));
}

function mismatch(what: string, expected: string): SuretyError {
  return new SuretyError("SCHEMA_MESSAGES_MISMATCH", `the messages of worker and evaluator do not fit: ${what}`, {
    details: { what, expected },
    fix: `It needs: ${expected}`,
    exit: ExitStatus.badInput,
  });
}

function invalidRanking(what: string): SuretyError {
  return new SuretyError("SCHEMA_RANKING_INVALID", `the evaluator's ranking cannot be used: ${what}`, {
    details: { what },
    fix: "The evaluator names nodes that took part, the best first, with scores that never rise.",
  });
}
