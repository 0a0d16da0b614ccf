import { expect } from "chai";
import { batchIdOf } from "#sdk/terms.ts";
import { entropy, sampledCount } from "#sdk/sampling.ts";
import { Books } from "../support/books.ts";
import { PRICE_OF_ALL, sharedWorld, type MarketWorld } from "../support/market-world.ts";
import { expectOutputs } from "../support/outputs.ts";

const BATCHES = 5;

describe("single tasks one by one", () => {
  let world: MarketWorld;

  before(async () => {
    world = await sharedWorld();
  });

  afterEach(() => world.reset());

  it("are batches of one job, each with a seed and a chance of being checked of its own", async () => {
    const requester = await world.newRequester("requester");
    const books = await Books.open(world);
    await requester.start();
    const tickets: string[] = [];
    for (let batch = 0; batch < BATCHES; batch += 1)
      tickets.push(await requester.submit({ tasks: 1, price: PRICE_OF_ALL, rate: "50%" }));
    for (const ticket of tickets) {
      expect((await requester.finished(ticket)).state).to.equal("settled");
      await expectOutputs(requester, ticket, 1);
    }

    const { batches } = requester;
    expect(new Set(batches.map(({ batch }) => batch.job)).size).to.equal(1);
    expect(batches.map(({ batch }) => batch.sequence)).to.deep.equal(
      Array.from({ length: BATCHES }, (_, sequence) => BigInt(sequence)),
    );
    expect(new Set(batches.map(({ batch }) => batch.seedCommitment)).size).to.equal(BATCHES);
    const { chainId, market } = world.market.deployment;
    for (const { batch, terms, seal, reveal, assignments } of batches) {
      const params = [`0x${seal!.entropyBlock.toString(16)}`, false];
      const { hash } = (await world.market.rpc.request("eth_getBlockByNumber", params)) as { hash: string };
      const chosen = entropy(reveal!.seed, hash, batchIdOf({ chainId, market }, batch));
      const [assignment] = assignments;
      const checks = sampledCount(chosen, { first: 0, count: 1 }, terms.rate);
      expect(assignment?.answers).to.have.lengthOf(checks);
      expect(assignment?.outcome?.outcome).to.equal("paid");
    }
    await books.close();
  });
});
