import { expect } from "chai";
import { Books } from "../support/books.ts";
import { PRICE_OF_TWO, sharedWorld, type MarketWorld } from "../support/market-world.ts";
import { expectOutputs } from "../support/outputs.ts";

describe("lying compute node", () => {
  let world: MarketWorld;

  before(async () => {
    world = await sharedWorld();
  });

  afterEach(() => world.reset());

  it("is slashed once it could not object any more, and others do its work again", async () => {
    const [liar, honest] = world.nodes;
    const requester = await world.newRequester("requester");
    const books = await Books.open(world);
    await Promise.all([liar.act("waiting"), honest.act("waiting")]);
    await requester.start();
    const ticket = await requester.submit({ tasks: 4, price: PRICE_OF_TWO, maxShare: "50%" });
    const record = await requester.posted();
    await world.until("both halves claimed", () => record.assignments.length === 2);
    await Promise.all([liar.act("lying"), honest.act("honest")]);
    const { windows } = record.terms;
    const own = () => record.assignments.filter(({ node }) => node === liar.address);
    expect(own()).to.have.lengthOf(1);
    await world.until("both halves", () => record.assignments.every(({ submission }) => submission));
    // Once it looks again it finds that it has nothing to object.
    await liar.act("honest");
    await world.until("the accusation", () => own().every(({ exceptions }) => exceptions.length > 0));

    // Everybody could go on; nobody may.
    await world.mine(10);
    const slashes = () =>
      world.witness.events.filter(
        (event) => event.name === "Slashed" && event.node === liar.address && event.timestamp >= record.postedAt,
      );
    expect(slashes()).to.have.lengthOf(0);
    expect(own().map(({ status }) => status)).to.deep.equal(own().map(() => "contended"));

    await world.pass(windows.challenge + 1);
    await world.until("the slash", () => own().every(({ outcome }) => outcome?.outcome === "primary-slashed"));
    const accusedAt = own().flatMap(({ exceptions }) => exceptions.map(({ at }) => at));
    for (const slash of slashes()) expect(slash.timestamp).to.be.above(Math.min(...accusedAt) + windows.challenge);

    const again = await requester.posted(2);
    expect(again.terms.excluded).to.deep.equal([liar.address]);
    const status = await requester.finished(ticket);
    expect(status.state).to.equal("settled");
    expect(status.results?.map(({ node }) => node)).to.deep.equal(Array(4).fill(honest.address));
    await expectOutputs(requester, ticket, 4);
    // Where it checked the other's half, it was honest already.
    await books.close(() => ({ dishonest: ({ node }) => (node === liar.address ? [node] : []) }));
  });
});
