import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { expect } from "chai";
import { computeContentId } from "#sdk/content.ts";
import { SuretyError } from "#sdk/errors.ts";
import { openEmbeddedStorage, type EmbeddedStorage } from "#sdk/node/index.ts";
import { standingRuling, workersOf } from "#sdk/request-state.ts";
import type { RewardFunction } from "#sdk/request-terms.ts";
import { splitReward } from "#sdk/rewards.ts";
import type { RequestOrder } from "../../agents/participant/requesting.ts";
import type { Ask } from "../../examples/patterns/ask.ts";
import { playLeague } from "../../examples/patterns/league.ts";
import { askOnChain } from "../../examples/patterns/on-chain.ts";
import { trainInParallel } from "../../examples/patterns/parameter-server.ts";
import { asContent, deal, readPenguins } from "../../examples/patterns/penguins.ts";
import { DEPOSIT, FEE, POT, RequestWorld, REWARD, WINDOW, type OpenRequester } from "../support/request-world.ts";
import type { SchemaExample } from "../support/schema-example.ts";

const WORKERS = 3;
const SHARDS = 2;
const ROUNDS = 2;
const SEASONS = 2;

describe("patterns of machine learning", () => {
  let world: RequestWorld;
  /** Where requesters take from what their requests name. */
  let storage: EmbeddedStorage;

  before(async () => {
    world = await RequestWorld.start("data-parallelism", "training", "self-play");
    const { url } = world.market.gateway;
    const folder = join(world.market.folder, "named");
    storage = await openEmbeddedStorage({ folder, gateways: [url], publishTo: url, token: "test" });
  });
  afterEach(() => world.reset());
  after(async () => {
    await storage?.close();
    await world?.stop();
  });

  /** Asks in a requester's name; notes the requests that it posts. */
  function asking(
    { requesting }: OpenRequester,
    { example, rewardFunction, ids }: { example: SchemaExample; rewardFunction: RewardFunction; ids: string[] },
  ): Ask {
    const { schema, proto } = world.jobs.get(example)!;
    const order = async (wanted: RequestOrder): Promise<string> => {
      for (;;) {
        try {
          const id = await requesting.order(wanted);
          ids.push(id);
          return id;
        } catch (error) {
          // It must see the job first.
          if (!(error instanceof SuretyError) || error.code !== "SCHEMA_UNKNOWN") throw error;
          await delay(100);
        }
      }
    };
    return askOnChain({
      requesting: { order, answerTo: (id, options) => requesting.answerTo(id, options) },
      ...{ storage, proto, visibility: "sealed", signal: new AbortController().signal },
      terms: {
        ...{ schema, root: world.root.address, rewardFunction, evaluatorReward: REWARD, workerReward: POT },
        ...{ list: [], evaluators: [], workers: [], minWorkers: WORKERS, maxWorkers: WORKERS, skipEvaluation: false },
        ...{ acceptWindow: WINDOW, timeLimit: WINDOW, stepWindow: WINDOW, deposit: DEPOSIT, challengeFee: FEE },
      },
    });
  }

  it("have a requester as parameter server: it asks for every shard, averages the best, and asks again", async () => {
    const requester = await world.newRequester();
    const close = await world.openBooks();
    const ids: string[] = [];
    const ask = asking(requester, { example: "data-parallelism", rewardFunction: "winner-takes-all", ids });
    const rows = await readPenguins(["billLength", "billDepth", "flipperLength", "isMale", "bodyMass"]);
    const terms = { rounds: ROUNDS, rate: 0.005, passes: 10, reach: 0.5 };
    const training = trainInParallel({ ask, storage, shards: deal(rows, SHARDS), ...terms });
    for (let round = 1; round <= ROUNDS; round += 1) {
      await world.until("a round's requests", () => ids.length === round * SHARDS);
      for (const id of ids.slice(-SHARDS)) await world.phase(id, "contestable");
      await world.pass(WINDOW + 1);
    }
    const rounds = await training;

    const losses = rounds.map(({ loss }) => loss);
    expect(losses[1]).to.be.below(losses[0]!);
    expect(losses[2]).to.be.below(losses[1]!);
    expect(rounds.map(({ answered }) => answered)).to.deep.equal([0, SHARDS, SHARDS]);
    const changes = new Map([
      [requester.address, -BigInt(ids.length) * (POT + REWARD)],
      [world.evaluator.address, BigInt(ids.length) * REWARD],
    ]);
    for (const id of ids) {
      const record = await world.phase(id, "ended");
      expect(record.outcome!.outcome).to.equal("ranked");
      const [best] = standingRuling(record)!.ruling.order;
      changes.set(best!, (changes.get(best!) ?? 0n) + POT);
    }
    await close({ changes, burned: 0n });
  });

  it("have policies play a tournament, and the next ones begin with the best and learn from its games", async () => {
    const requester = await world.newRequester();
    const close = await world.openBooks();
    const ids: string[] = [];
    const ask = asking(requester, { example: "self-play", rewardFunction: "by-rank", ids });
    const league = playLeague({
      ask,
      seasons: SEASONS,
      // Of policies that learnt from 300 games one in fifteen does not beat a beginner; from 800, hardly any.
      terms: { games: 800, rate: 0.05, curiosity: 0.3, openings: 4 },
    });
    const changes = new Map([
      [requester.address, -BigInt(SEASONS) * (POT + REWARD)],
      [world.evaluator.address, BigInt(SEASONS) * REWARD],
    ]);
    for (let season = 1; season <= SEASONS; season += 1) {
      await world.until("a season's request", () => ids.length === season);
      await world.phase(ids[season - 1]!, "contestable");
      await world.pass(WINDOW + 1);
      const { outcome, rulings } = await world.phase(ids[season - 1]!, "ended");
      expect(outcome!.outcome).to.equal("ranked");
      const { order, scores } = rulings.at(-1)!.ruling;
      // What they learn, and from which openings they play, is by lot: one may not qualify.
      expect(world.workers.map(({ address }) => address)).to.include.members(order);
      expect(order).to.have.length.above(1);
      const pays = splitReward({ rewardFunction: "by-rank", pot: POT }, scores);
      for (const [place, node] of order.entries()) changes.set(node, (changes.get(node) ?? 0n) + pays[place]!);
    }
    const [first, second] = await league;
    // Games of all against all: each is a line of the evaluator's report, which the second season's request brought.
    expect(first!.record.length).to.be.above(WORKERS);
    expect(second!.record).to.not.deep.equal(first!.record);
    expect(second!.weight).to.not.deep.equal(first!.weight);
    await close({ changes, burned: 0n });
  });

  it("show test data when all have committed, and pay nothing to who learnt leaked rows by heart", async () => {
    const [known, more, leaked, kept] = deal(
      await readPenguins(["billLength", "billDepth", "flipperLength", "bodyMass", "isMale"]),
      4,
    );
    const [cheat] = world.workers;
    await cheat!.kill();
    await writeFile(join(cheat!.home, "leaked.csv"), asContent(leaked!).get("rows.csv")!);
    await world.acting(cheat!, "by-heart").start();
    const requester = await world.newRequester();
    const close = await world.openBooks();
    const ids: string[] = [];
    const ask = asking(requester, { example: "training", rewardFunction: "by-score", ids });
    const trainingCid = await storage.add(asContent([...known!, ...more!]));
    const testData = asContent(kept!);
    const hidden = await computeContentId(testData);
    const answering = ask({ trainingCid, inputs: 4, hidden: 6, rate: 0.03, passes: 30 }, { testData });

    let isShown = false;
    await world.until("test data", async () => {
      const record = world.state.requests.get(ids[0] ?? "");
      // Of an earlier look: whoever saw them then may not commit now.
      if (isShown) expect(workersOf(record!).map(({ status }) => status)).not.to.include("accepted");
      if (isShown) return true;
      isShown = (await world.market.published()).includes(hidden);
      return false;
    });
    const [id] = ids as [string];
    await world.phase(id, "contestable");
    await world.pass(WINDOW + 1);
    const { ranked } = await answering;
    const record = await world.phase(id, "ended");

    const { order, scores } = standingRuling(record)!.ruling;
    const honest = world.workers.slice(1).map(({ address }) => address);
    expect([...order].sort()).to.deep.equal([...honest].sort());
    expect(ranked.map(({ node }) => node)).to.deep.equal(order.slice(0, 1));
    const pays = splitReward({ rewardFunction: "by-score", pot: POT }, scores);
    await close({
      changes: new Map([
        [requester.address, -POT - REWARD],
        [world.evaluator.address, REWARD],
        ...order.map((node, place): [string, bigint] => [node, pays[place]!]),
      ]),
      burned: 0n,
    });
  });
});
