import { expect } from "chai";
import { Books } from "../support/books.ts";
import { PRICE_OF_TWO, sharedWorld, type MarketWorld } from "../support/market-world.ts";
import { expectOutputs } from "../support/outputs.ts";

describe("requester silent before the reveal", () => {
  let world: MarketWorld;

  before(async () => {
    world = await sharedWorld();
  });

  afterEach(() => world.reset());

  it("pays everybody in full and loses the fixed part of its bond", async () => {
    const workers = world.nodes.slice(0, 2);
    const requester = await world.newRequester("requester");
    const books = await Books.open(world);
    for (const worker of workers) await worker.act("waiting");
    await requester.start();
    const ticket = await requester.submit({ tasks: 4, price: PRICE_OF_TWO, maxShare: "50%" });
    const record = await requester.posted();
    await world.until("both halves claimed", () => record.assignments.length === 2);
    await requester.kill();
    for (const worker of workers) await worker.act("honest");
    await world.until("the seal", () => record.seal);
    await world.pass(record.terms.windows.reveal + 1);

    await books.close(() => ({ silent: true }));
    expect(record.reveal).to.equal(undefined);
    expect(record.bondBurned).to.equal(world.market.deployment.parameters.bondFixed);

    // It has paid, so it gets its results.
    await requester.start();
    const status = await requester.finished(ticket);
    expect(status.state).to.equal("settled");
    await expectOutputs(requester, ticket, 4);
  });
});
