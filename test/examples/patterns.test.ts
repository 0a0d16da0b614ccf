import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { getAddress } from "ethers";
import { openEmbeddedStorage } from "#sdk/node/index.ts";
import type { EmbeddedStorage } from "#sdk/node/index.ts";
import type { RequestOutcome } from "#sdk/request-terms.ts";
import { splitReward } from "#sdk/rewards.ts";
import type { SchemaProto } from "#sdk/schema-proto.ts";
import { WasmExecutor } from "../../agents/executor/wasm-executor.ts";
import type { RequestAnswer } from "../../agents/participant/request-answer.ts";
import type { RequestOrder } from "../../agents/participant/requesting.ts";
import {
  runEvaluator,
  runWorker,
  type EvaluatorOrder,
  type EvaluatorResult,
  type SchemaRunner,
  type WorkerResult,
} from "../../agents/schema/run-schema.ts";
import { parseSchemaTest, runSchemaTest } from "../../agents/schema/schema-test.ts";
import { readBytes, type SchemaPackage } from "../../agents/schema/package-folder.ts";
import { askHere, type Ask, type Message } from "../../examples/patterns/ask.ts";
import { playLeague, recordsOf } from "../../examples/patterns/league.ts";
import { askOnChain } from "../../examples/patterns/on-chain.ts";
import { trainInParallel, type ParallelTraining } from "../../examples/patterns/parameter-server.ts";
import { asContent, deal, readPenguins } from "../../examples/patterns/penguins.ts";
import { asNumbers, sortInParts } from "../../examples/patterns/sorting.ts";
import { codeOf } from "../support/error-code.ts";
import { readExample, runnerOf, type SchemaExample } from "../support/schema-example.ts";

const node = (index: number): string => getAddress(`0x${index.toString(16).padStart(40, "0")}`);
const seed = new Uint8Array(32).fill(5);
const drawSeed = new Uint8Array(32).fill(6);

describe("the patterns", function () {
  this.timeout(120_000);
  let home: string;
  let storage: EmbeddedStorage;
  const executor = new WasmExecutor({ workers: 2 });
  const folders: string[] = [];

  before(async () => {
    home = await mkdtemp(join(tmpdir(), "surety-patterns-"));
    storage = await openEmbeddedStorage({ folder: home });
  });
  after(async () => {
    await executor.close();
    await storage.close();
    for (const folder of [home, ...folders]) await rm(folder, { recursive: true, force: true });
  });

  /** A pattern's schema, built once, and what tests do with it. */
  function pattern(name: SchemaExample) {
    let schema: SchemaPackage;
    let runner: SchemaRunner;
    before(async () => {
      schema = await readExample(name);
      folders.push(schema.folder);
      runner = runnerOf(schema, executor, storage);
    });

    it("passes its own tests", async () => {
      expect(schema.tests).not.to.be.empty;
      for (const path of schema.tests) {
        const { run, cheats } = await runSchemaTest(
          runner,
          parseSchemaTest(path, await readBytes(schema.folder, path, 2 ** 20)),
        );
        expect(cheats).not.to.be.empty;
        expect(run.evaluation.nodes.filter((ranked) => cheats.includes(ranked))).to.deep.equal([]);
      }
    });

    return {
      runner: () => runner,
      work: (index: number, request: Message): Promise<WorkerResult> => {
        const bytes = runner.schema.proto.worker.input.fromJson(request);
        return runWorker(runner, { request: bytes, node: node(index), seed });
      },
      given: (index: number, reply: Message): EvaluatorOrder["workers"][number] => {
        return { node: node(index), reply: runner.schema.proto.worker.output.fromJson(reply), checkpoints: [] };
      },
      read: ({ reply }: { reply: Uint8Array }): Message => runner.schema.proto.worker.output.toJson(reply) as Message,
      /** Evaluates twice, which must come to the same. */
      judge: async (
        request: Message,
        workers: EvaluatorOrder["workers"],
        testData?: EvaluatorOrder["testData"],
      ): Promise<EvaluatorResult> => {
        const bytes = runner.schema.proto.worker.input.fromJson(request);
        const order = { request: bytes, workers, seed, drawSeed, testData };
        const found = await runEvaluator(runner, order);
        const again = await runEvaluator(runner, { ...order, workers: [...workers].reverse() });
        expect([again.nodes, again.scores, again.report]).to.deep.equal([found.nodes, found.scores, found.report]);
        return found;
      },
    };
  }

  describe("of self-play", () => {
    const { work, given, read, judge, runner } = pattern("self-play");
    const terms = { games: 300, rate: 0.1, curiosity: 0.3, openings: 4 };

    it("ranks who learnt longer first, and leaves out who did not learn or sent no policy", async () => {
      const [long, short, none] = await Promise.all([
        work(1, { ...terms, games: 3000 }),
        work(2, { ...terms, games: 300 }),
        work(3, { ...terms, games: 0 }),
      ]);
      const weight = read(long)["weight"] as number[];
      const illegal = [weight.slice(1), [...weight, 0], weight.with(7, NaN).map(jsonNumber), []];
      const cheats = illegal.map((weight, index) => given(10 + index, { weight }));
      const { nodes, scores } = await judge(terms, [...cheats, none, short, long]);
      expect(nodes).to.deep.equal([node(1), node(2)]);
      expect(scores[0]! > scores[1]!).to.equal(true);
    });

    it("offers every game of the tournament, from which others learn without playing", async () => {
      const request = { ...terms, openings: 20 };
      const players = await Promise.all([1, 2, 3].map((index) => work(index, { ...terms, games: 1500 })));
      const { nodes, report } = await judge(request, players);
      expect(nodes).to.have.length(3);
      const record = recordsOf(report);
      expect(record).to.have.length(3 * 2 * request.openings);
      expect(record.filter((game) => !isGame(game))).to.deep.equal([]);
      const [taught, ignorant] = await Promise.all([
        work(4, { ...terms, games: 0, record: [...record, ...record, ...record, ...record, ...record] }),
        work(5, { ...terms, games: 0 }),
      ]);
      expect((await judge(terms, [taught, ignorant])).nodes).to.deep.equal([node(4)]);
    });

    it("gets stronger season by season", async () => {
      const ask = askHere(runner(), { workers: 3 });
      const seasons = await playLeague({ ask, seasons: 3, terms: { ...terms, games: 800, rate: 0.05 } });
      expect(seasons.map(({ players }) => players)).to.deep.equal([3, 3, 3]);
      const champions = seasons.map(({ weight }, index) => given(1 + index, { weight }));
      const { nodes } = await judge({ ...terms, openings: 20 }, champions);
      expect(nodes[0], "the last champion is the best").to.equal(node(3));
      expect(nodes[2], "the first one is the worst").to.equal(node(1));
    });
  });

  describe("of loss minimisation", () => {
    const { work, given, read, judge } = pattern("loss-minimisation");
    const points = Array.from({ length: 20 }, (_, i) => ({ x: 0.3 * i, y: 0.8 * Math.sin(2.9 * 0.3 * i + 1) }));
    const request = { points, rate: 0.02, steps: 400, starts: 2, fastest: 6 };
    const loss = ({ height, frequency, phase }: Record<string, number>): number =>
      points.reduce((sum, { x, y }) => sum + (height! * Math.sin(frequency! * x + phase!) - y) ** 2, 0) / points.length;

    it("gives all to who came lowest, and nothing to who only says so", async () => {
      const workers = await Promise.all([1, 2, 3, 4, 5, 6].map((index) => work(index, request)));
      const losses = new Map(workers.map((each) => [each.node, loss(read(each) as Record<string, number>)]));
      const expected = [...losses].toSorted(([, a], [, b]) => a - b).map(([each]) => each);
      const best = read(workers.find((each) => each.node === expected[0])!) as Record<string, number>;
      const worst = read(workers.find((each) => each.node === expected.at(-1))!);
      const cheats = [
        { ...worst, loss: best["loss"]! / 2 },
        { ...best, height: best["height"]! + 1e-6 },
        { ...best, frequency: "NaN", loss: "NaN" },
        { height: 0, loss: loss({ height: 0, frequency: 0, phase: 0 }) },
      ];
      const all = [...cheats.map((reply, index) => given(10 + index, reply)), ...workers];
      const { nodes, scores } = await judge(request, all);
      expect(nodes).to.deep.equal(expected);
      const pot = 1_000_001n;
      expect(splitReward({ rewardFunction: "winner-takes-all", pot }, scores)).to.deep.equal([pot, 0n, 0n, 0n, 0n, 0n]);
      const found = [...losses.values()].sort((a, b) => a - b);
      expect(found[0], "somebody finds the deepest hollow").to.be.below(0.001);
      expect(found.at(-1), "somebody is caught in another").to.be.above(0.1);
    });
  });

  describe("of data parallelism", () => {
    const { runner, given, judge, work, read } = pattern("data-parallelism");
    const terms = { rounds: 4, rate: 0.005, passes: 10, reach: 0.5 };
    let shards: number[][][];
    before(async () => {
      shards = deal(await readPenguins(["billLength", "billDepth", "flipperLength", "isMale", "bodyMass"]), 3);
    });
    const train = (ask: Ask): ReturnType<typeof trainInParallel> =>
      trainInParallel({ ask, storage, shards, ...terms } satisfies ParallelTraining);

    it("comes closer round by round, as close as one who has all the data", async () => {
      const history = await train(askHere(runner(), { workers: 2 }));
      const losses = history.map(({ loss }) => loss);
      expect(losses).to.have.length(5);
      for (let round = 1; round < losses.length; round += 1) expect(losses[round]).to.be.below(losses[round - 1]!);
      const [whole] = [await storage.add(asContent(shards.flat()))];
      const alone = await work(1, { shardCid: whole, weight: [0, 0, 0, 0, 0], rate: 0.005, passes: 60, reach: 10 });
      expect(losses.at(-1)).to.be.below(1.05 * lossOf(read(alone)["weight"] as number[], shards.flat()));
    });

    it("is not led astray by who sends poison, nothing new or nothing at all", async () => {
      const honest = await train(askHere(runner(), { workers: 2 }));
      const others = ({ weight }: Message): Message[] => {
        const last = weight as number[];
        return [{ weight: last.map((value) => value - 9) }, { weight: last }, { weight: [] }, {}];
      };
      expect(await train(askHere(runner(), { workers: 2, others }))).to.deep.equal(honest);
    });

    it("leaves out weights that are better and moved too far, or of another length", async () => {
      const shardCid = await storage.add(asContent(shards[0]!));
      const request = { ...terms, rounds: undefined, shardCid, weight: [0, 0, 0, 0, 0] };
      delete request.rounds;
      const wide = await work(1, { ...request, passes: 40, reach: 10 });
      const near = await work(2, request);
      const longer = given(3, { weight: [...(read(near)["weight"] as number[]), 0] });
      expect((await judge(request, [wide, near, longer])).nodes).to.deep.equal([node(2)]);
      expect((await judge({ ...request, reach: 10 }, [wide, near])).nodes, "the control").to.deep.equal([
        node(1),
        node(2),
      ]);
    });
  });

  describe("of a job that is split and merged", () => {
    const parts = pattern("split-sort");
    const whole = pattern("split-merge");
    // Squares modulo a prime: in no order, some of them twice.
    const numbers = Uint32Array.from({ length: 5000 }, (_, i) => (i * i * 7919) % 65_521);

    it("comes to the same as the whole done at once", async () => {
      const sort = askHere(parts.runner(), { workers: 2 });
      const merge = askHere(whole.runner(), { workers: 2 });
      const merged = await sortInParts({ sort, merge, storage, numbers, parts: 4 });
      expect(merged).to.equal(await storage.add(asNumbers(numbers.toSorted())));
      const partCid = await storage.add(asNumbers(numbers));
      expect((await sort({ partCid })).ranked.map(({ reply }) => reply["sortedCid"])).to.deep.equal([merged, merged]);
    });

    it("leaves out parts that do not rise, or are other numbers", async () => {
      const sorted = numbers.toSorted();
      const falling = sorted.toReversed();
      const changed = sorted.with(0, sorted[0]!).with(2500, sorted[2499]!);
      const request = { partCid: await storage.add(asNumbers(numbers)) };
      const wrong = await Promise.all(
        [falling, changed, sorted.slice(1), numbers].map((each) => storage.add(asNumbers(each))),
      );
      const empty = await storage.add(new Map([["other", new Uint8Array(4)]]));
      const odd = await storage.add(new Map([["numbers", new Uint8Array(4 * numbers.length - 1)]]));
      const cheats = [...wrong, empty, odd, ""].map((sortedCid, index) => parts.given(10 + index, { sortedCid }));
      const { nodes } = await parts.judge(request, [...cheats, await parts.work(1, request)]);
      expect(nodes).to.deep.equal([node(1)]);
    });

    it("leaves out a merge of less than all parts", async () => {
      const halves = [numbers.slice(0, 10).sort(), numbers.slice(10, 20).sort()];
      const sortedCid = await Promise.all(halves.map((half) => storage.add(asNumbers(half))));
      const request = { sortedCid };
      const cheat = whole.given(2, { mergedCid: sortedCid[0] });
      const { nodes } = await whole.judge(request, [cheat, await whole.work(1, request)]);
      expect(nodes).to.deep.equal([node(1)]);
    });

    it("hands on from request to request what strangers' replies name", async () => {
      const [sort, merge] = [askHere(parts.runner(), { workers: 1 }), askHere(whole.runner(), { workers: 1 })];
      const here = await openEmbeddedStorage({ folder: join(home, "here") });
      /** A requester whose answers bring along what they name, in a folder, as those of agents do. */
      const onChain = (ask: Ask, schema: SchemaProto, ending: RequestOutcome = "ranked"): Ask => {
        const answers = new Map<string, Message>();
        const order = async ({ message }: RequestOrder): Promise<string> => {
          const request = schema.worker.input.toJson(message) as Message;
          const named = Object.values(request).flat() as string[];
          for (const cid of named) await storage.add(await here.get(cid, { maxBytes: 2 ** 20 }));
          answers.set(`${answers.size}`, (await ask(request)).ranked[0]!.reply);
          return `${answers.size - 1}`;
        };
        const answerTo = async (id: string): Promise<RequestAnswer> => {
          const reply = answers.get(id)! as Record<string, string>;
          const folder = join(home, "results", schema.worker.method, id);
          for (const cid of Object.values(reply)) {
            await mkdir(join(folder, cid), { recursive: true });
            const files = await storage.get(cid, { maxBytes: 2 ** 20 });
            for (const [path, bytes] of files) await writeFile(join(folder, cid, path), bytes);
          }
          const replies = [{ node: node(1), reply, content: Object.values(reply) }];
          return { id, outcome: ending, participated: 1, replies, folder, workers: [], burned: 0n, returned: 0n };
        };
        const { signal } = new AbortController();
        const terms = {} as RequestOrder["terms"];
        return askOnChain({
          ...{ requesting: { order, answerTo }, storage: here, proto: schema, terms },
          ...{ visibility: "open", signal },
        });
      };
      const strangers = {
        sort: onChain(sort, parts.runner().schema.proto),
        merge: onChain(merge, whole.runner().schema.proto),
      };
      const merged = await sortInParts({ ...strangers, storage: here, numbers, parts: 2 });
      expect(await here.get(merged, { maxBytes: 2 ** 20 })).to.deep.equal(asNumbers(numbers.toSorted()));
      const voided = { ...strangers, sort: onChain(sort, parts.runner().schema.proto, "voided") };
      expect(await codeOf(() => sortInParts({ ...voided, storage: here, numbers, parts: 2 }))).to.equal(
        "PART_UNANSWERED",
      );
      await here.close();
    });

    it("says so when nobody gives a part", async () => {
      const nobody: Ask = () => Promise.resolve({ ranked: [], report: "nobody" });
      const order = { sort: nobody, merge: nobody, storage, numbers, parts: 2 };
      expect(await codeOf(() => sortInParts(order))).to.equal("PART_UNANSWERED");
    });
  });

  describe("of training with test data that is revealed afterwards", () => {
    const { work, judge, runner } = pattern("training");
    const terms = { inputs: 4, hidden: 6, rate: 0.03, passes: 30 };
    let training: string;
    let leaked: ReturnType<typeof asContent>;
    let test: ReturnType<typeof asContent>;
    before(async () => {
      const [known, more, rehearsal, kept] = deal(
        await readPenguins(["billLength", "billDepth", "flipperLength", "bodyMass", "isMale"]),
        4,
      );
      training = await storage.add(asContent([...known!, ...more!]));
      leaked = asContent(rehearsal!);
      test = asContent(kept!);
    });

    it("gains nothing for who learnt leaked rows by heart", async () => {
      const request = { ...terms, trainingCid: training };
      const honest = await Promise.all([1, 2, 3].map((index) => work(index, request)));
      const byHeart = await work(9, { ...terms, trainingCid: await storage.add(leaked), passes: 4000, rate: 0.1 });
      const all = [...honest, byHeart];
      const before = await judge(request, all, leaked);
      expect(before.nodes[0], "by the leaked rows it would have won").to.equal(node(9));
      const { nodes, scores } = await judge(request, all, test);
      expect(nodes).to.have.members(honest.map((each) => each.node));
      // Not even a share of what all get that are ranked: it was surer of what is wrong than a coin is.
      const paid = splitReward({ rewardFunction: "by-score", pot: 300n }, scores);
      expect(paid.reduce((sum, each) => sum + each)).to.equal(300n);
    });

    it("goes through with rows that nobody had, and not without", async () => {
      const ask = askHere(runner(), { workers: 2 });
      const { ranked, report } = await ask({ ...terms, trainingCid: training }, { testData: test });
      expect(ranked).to.have.length(2);
      expect(Number(/right in (\d+) of 83/.exec(report)?.[1])).to.be.above(70);
      expect(await codeOf(() => ask({ ...terms, trainingCid: training }))).to.equal("SCHEMA_PROGRAM_FAILED");
    });
  });
});

/** Four in a row on five columns of four places, played again by other means. */
function isGame(moves: string): boolean {
  const columns: string[] = ["", "", "", "", ""];
  for (const [index, move] of [...moves].entries()) {
    const column = Number(move);
    if (hasFour(columns) || columns[column] === undefined || columns[column].length === 4) return false;
    columns[column] += index % 2 === 0 ? "x" : "o";
  }
  return hasFour(columns) || moves.length === 20;
}

function hasFour(columns: readonly string[]): boolean {
  const at = (column: number, row: number): string => columns[column]?.[row] ?? " ";
  for (let column = 0; column < 5; column += 1) {
    for (let row = 0; row < 4; row += 1) {
      for (const [right, up] of [
        [1, 0],
        [0, 1],
        [1, 1],
        [-1, 1],
      ] as const) {
        const line = [0, 1, 2, 3].map((step) => at(column + step * right, row + step * up)).join("");
        if (line === "xxxx" || line === "oooo") return true;
      }
    }
  }
  return false;
}

/** Protobuf's JSON has what is no number as text. */
function jsonNumber(value: number): number | string {
  return Number.isNaN(value) ? "NaN" : value;
}

function lossOf(weight: readonly number[], rows: readonly number[][]): number {
  const errors = rows.map((row) =>
    [...row.slice(0, -1), 1].reduce((sum, value, i) => sum + value * weight[i]!, -row.at(-1)!),
  );
  return errors.reduce((sum, error) => sum + error * error, 0) / rows.length;
}
