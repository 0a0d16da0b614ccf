import { expect } from "chai";
import { Books } from "../support/books.ts";
import { PRICE_OF_TWO, sharedWorld, type MarketWorld } from "../support/market-world.ts";
import { expectOutputs } from "../support/outputs.ts";

describe("silent compute node", () => {
  let world: MarketWorld;

  before(async () => {
    world = await sharedWorld();
  });

  afterEach(() => world.reset());

  it("is fined for its slice, which another finishes", async () => {
    const [silent, diligent] = world.nodes;
    const requester = await world.newRequester("requester");
    const books = await Books.open(world);
    await Promise.all([silent.act("waiting"), diligent.act("waiting")]);
    await requester.start();
    const ticket = await requester.submit({ tasks: 4, price: PRICE_OF_TWO, maxShare: "50%" });
    const record = await requester.posted();
    const nodes = (): string[] => record.assignments.map(({ node }) => node);
    await world.until("both halves claimed", () => nodes().length === 2);
    expect(nodes()).to.have.members([silent.address, diligent.address]);

    await silent.kill();
    await diligent.act("honest");
    await world.until("the diligent node's half", () =>
      record.assignments.some(({ status }) => status === "submitted"),
    );
    await world.pass(record.terms.windows.submit + 1);

    await world.until("a second claim of the silent node's half", () =>
      record.assignments.every(({ node }) => node === diligent.address),
    );
    // Alive again, since it may be drawn to check the other's work.
    await silent.act("honest");
    await silent.start();

    const status = await requester.finished(ticket);
    expect(status.state).to.equal("settled");
    await expectOutputs(requester, ticket, 4);
    expect(record.assignments.flatMap(({ abandoned }) => abandoned.map(({ node }) => node))).to.deep.equal([
      silent.address,
    ]);
    expect(nodes()).to.deep.equal([diligent.address, diligent.address]);
    await books.close();
  });
});
