import { expect } from "chai";
import fc from "fast-check";
import { getAddress } from "ethers";
import { decodeRanking, encodeEvaluation, evaluationShape, rulingOf, SCORE_UNIT } from "#sdk/schema-evaluation.ts";
import { parseSchemaProto } from "#sdk/schema-proto.ts";
import { workerSeed } from "#sdk/schema-seed.ts";
import { code } from "../support/error-code.ts";
import { everyProto, rootProto, rootSchema } from "../support/schema-proto.ts";

const node = (index: number): string => getAddress(`0x${index.toString(16).padStart(40, "0")}`);

describe("what an evaluator is given", () => {
  const proto = rootSchema();

  it("is the request and every worker's reply, in the order of the addresses", () => {
    const request = proto.worker.input.fromJson({ y: 4 });
    const answers = [3, 1, 2].map((index) => {
      return { node: node(index).toLowerCase(), reply: proto.worker.output.fromJson({ x: index }) };
    });
    const given = encodeEvaluation(proto, request, answers);
    expect(proto.evaluator.input.toJson(given)).to.deep.equal({
      request: { y: 4 },
      workers: { workers: [1, 2, 3].map((index) => ({ node: node(index), response: { x: index } })) },
    });
    expect(encodeEvaluation(proto, request, answers.toReversed())).to.deep.equal(given);
  });

  it("may have the list of workers without a message around it", () => {
    const every = parseSchemaProto(everyProto);
    const empty = new Uint8Array(0);
    const given = encodeEvaluation(every, empty, [{ node: node(1), reply: empty }]);
    expect(every.evaluator.input.toJson(given)).to.deep.equal({
      request: {},
      results: [{ node: node(1), reply: {} }],
    });
  });

  const misfits: [what: string, from: string, to: string][] = [
    ["no request", "Request request = 1;", ""],
    ["two requests", "Request request = 1;", "Request request = 1; Request again = 3;"],
    ["no workers", "Workers workers = 2;", ""],
    ["another reply", "WorkerReply response = 3;", "Request response = 3;"],
    ["no node of a worker", "string node = 1; WorkerReply", "string name = 1; WorkerReply"],
    ["no ranked nodes", "repeated string node = 1;", ""],
    ["a ranking of numbers", "repeated string node = 1;", "repeated uint32 node = 1;"],
    ["scores that are text", "repeated double score", "repeated string score"],
    ["a report that is none", "string report", "bytes report"],
  ];
  for (const [what, from, to] of misfits) {
    it(`is refused for ${what}`, () => {
      expect(code(() => evaluationShape(parseSchemaProto(rootProto.replace(from, to))))).to.equal(
        "SCHEMA_MESSAGES_MISMATCH",
      );
    });
  }
});

describe("a ranking", () => {
  const proto = rootSchema();
  const nodes = [1, 2, 3].map(node);
  const decode = (json: object) => decodeRanking(proto, proto.evaluator.output.fromJson(json), nodes);

  it("has addresses with checksum, scores in millionths and a report", () => {
    const upper = nodes.map((each) => each.toLowerCase());
    expect(decode({ node: [upper[2], upper[0]], score: [2.5, 0.0000014], report: "fine" })).to.deep.equal({
      nodes: [nodes[2], nodes[0]],
      scores: [2_500_000n, 1n],
      report: "fine",
    });
    expect(decode({})).to.deep.equal({ nodes: [], scores: [], report: "" });
  });

  const wrong: [what: string, json: object][] = [
    ["a stranger", { node: [node(4)], score: [1] }],
    ["no address", { node: ["me"], score: [1] }],
    ["one twice", { node: [nodes[0], nodes[0]!.toLowerCase()], score: [1, 1] }],
    ["too few scores", { node: nodes, score: [1, 1] }],
    ["scores for nobody", { score: [1] }],
    ["scores that rise", { node: nodes, score: [1, 2, 2] }],
    ["a negative score", { node: nodes, score: [1, 0, -1] }],
    ["a score that is no number", { node: [nodes[0]], score: ["NaN"] }],
    ["an endless score", { node: [nodes[0]], score: ["Infinity"] }],
    ["a report that is a book", { report: "x".repeat(70_000) }],
  ];
  for (const [what, json] of wrong) {
    it(`is refused with ${what}`, () => expect(code(() => decode(json))).to.equal("SCHEMA_RANKING_INVALID"));
  }

  it("takes whole scores exactly, in every kind of number", () => {
    const whole = parseSchemaProto(rootProto.replace("repeated double score", "repeated uint64 score"));
    const result = whole.evaluator.output.fromJson({ node: [nodes[0]], score: ["18446744073709551615"] });
    expect(decodeRanking(whole, result, nodes).scores).to.deep.equal([(2n ** 64n - 1n) * SCORE_UNIT]);
  });

  it("without scores has none that are more than nothing", () => {
    const plain = parseSchemaProto(rootProto.replace("repeated double score = 2;", ""));
    const ranking = decodeRanking(plain, plain.evaluator.output.fromJson({ node: [nodes[1], nodes[0]] }), nodes);
    expect(rulingOf(ranking)).to.deep.equal({ verdict: "ranking", order: [nodes[1], nodes[0]], scores: [0n, 0n] });
  });

  it("is refused or in order, whatever an evaluator says", () => {
    const said = fc.array(fc.tuple(fc.constantFrom(...nodes, node(9)), fc.double({ min: -1, max: 5 })), {
      maxLength: 5,
    });
    fc.assert(
      fc.property(said, (pairs) => {
        const json = { node: pairs.map(([each]) => each), score: pairs.map(([, score]) => score) };
        let ranking: ReturnType<typeof decode>;
        try {
          ranking = decode(json as object);
        } catch (error) {
          expect((error as { code: string }).code).to.be.oneOf(["SCHEMA_RANKING_INVALID", "SCHEMA_MESSAGE_INVALID"]);
          return;
        }
        expect(new Set(ranking.nodes).size).to.equal(ranking.nodes.length);
        expect(ranking.nodes.every((each) => nodes.includes(each))).to.equal(true);
        const sorted = [...ranking.scores].sort((a, b) => (a < b ? 1 : a > b ? -1 : 0));
        expect(ranking.scores).to.deep.equal(sorted);
      }),
    );
  });
});

describe("a worker's seed", () => {
  it("is the same for the same node and request only", () => {
    const base = new Uint8Array(32).fill(7);
    const seeds = [workerSeed(base, node(1)), workerSeed(base, node(2)), workerSeed(new Uint8Array(32), node(1))];
    expect(new Set(seeds.map((seed) => Buffer.from(seed).toString("hex"))).size).to.equal(3);
    expect(workerSeed(base, node(1).toLowerCase())).to.deep.equal(seeds[0]);
    expect(code(() => workerSeed(new Uint8Array(31), node(1)))).to.equal("SCHEMA_SEED_INVALID");
  });
});
