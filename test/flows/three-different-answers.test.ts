import { expect } from "chai";
import { Books } from "../support/books.ts";
import { PRICE_OF_ALL, sharedWorld, type MarketWorld } from "../support/market-world.ts";
import { expectOutputs } from "../support/outputs.ts";

describe("three different answers", () => {
  let world: MarketWorld;

  before(async () => {
    world = await sharedWorld();
  });

  afterEach(() => world.reset());

  it("have no majority: the money goes back, nobody is slashed, and the tasks are posted again", async () => {
    const requester = await world.newRequester("requester");
    const books = await Books.open(world);
    // What a lazy node invents is another's never.
    for (const node of world.nodes) await node.act("lazy");
    await requester.start();
    const ticket = await requester.submit({ tasks: 3, price: PRICE_OF_ALL, checking: "fixed" });
    const first = await requester.posted();
    await world.until("the draw", () => first.reveal);
    await requester.kill();
    await world.until("all answers", () => first.assignments[0]?.answers.length === 2);
    // Once they look again they find that they have nothing to object.
    for (const node of world.nodes) await node.act("honest");
    await requester.start();
    await world.until("the verdict", () => first.assignments[0]?.exceptions.length);
    expect(first.assignments[0]!.exceptions.map(({ verdict, accused }) => ({ verdict, accused }))).to.deep.equal([
      { verdict: "no-majority", accused: undefined },
    ]);
    await world.pass(first.terms.windows.challenge + 1);

    const status = await requester.finished(ticket);
    expect(status.state).to.equal("settled");
    await expectOutputs(requester, ticket, 3);
    expect(
      requester.batches.map(({ assignments }) => assignments.map(({ outcome }) => outcome?.outcome)),
    ).to.deep.equal([["no-majority"], ["paid"]]);
    expect(
      world.witness.events.filter((event) => event.name === "Slashed" && event.timestamp >= first.postedAt),
    ).to.have.lengthOf(0);
    const everybody = world.nodes.map(({ address }) => address);
    await books.close((record) => ({ dishonest: record === first ? everybody : [] }));
  });
});
