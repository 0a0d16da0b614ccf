import { expect } from "chai";
import { Books } from "../support/books.ts";
import { PRICE_OF_ALL, sharedWorld, type MarketWorld } from "../support/market-world.ts";
import { expectOutputs } from "../support/outputs.ts";

describe("trusted nodes", () => {
  let world: MarketWorld;

  before(async () => {
    world = await sharedWorld();
  });

  afterEach(() => world.reset());

  it("alone may claim, and are paid for what they submit, without seed or check", async () => {
    const trusted = world.nodes.slice(3, 5).map(({ address }) => address);
    const requester = await world.newRequester("requester");
    const books = await Books.open(world);
    await requester.start();
    const ticket = await requester.submit({
      tasks: 6,
      price: PRICE_OF_ALL,
      mode: "trusted",
      allow: trusted,
      maxShare: "50%",
    });
    const status = await requester.finished(ticket);
    expect(status.state).to.equal("settled");
    await expectOutputs(requester, ticket, 6);

    const [record] = requester.batches;
    expect(record!.assignments.every(({ node }) => trusted.includes(node))).to.equal(true);
    expect(record!.assignments.map(({ outcome }) => outcome?.outcome)).to.deep.equal(
      record!.assignments.map(() => "paid"),
    );
    expect(record!.reveal).to.equal(undefined);
    await books.close();
  });
});
