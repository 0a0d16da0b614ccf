import { expect } from "chai";
import { Books } from "../support/books.ts";
import { PRICE_OF_ALL, sharedWorld, type MarketWorld } from "../support/market-world.ts";
import { expectOutputs } from "../support/outputs.ts";

describe("challenge without right", () => {
  let world: MarketWorld;

  before(async () => {
    world = await sharedWorld();
  });

  afterEach(() => world.reset());

  it("that there is no majority costs its bond, which goes to those that opened", async () => {
    const requester = await world.newRequester("requester");
    const books = await Books.open(world);
    // Each will swear to what it invented, and no two invent the same.
    for (const node of world.nodes) await node.act("lazy");
    await requester.start();
    const ticket = await requester.submit({ tasks: 3, price: PRICE_OF_ALL, checking: "fixed" });
    const record = await requester.posted();
    await world.until("the challenge", () => record.assignments[0]?.dispute);
    const [assignment] = record.assignments;
    const members = [assignment!.node, ...assignment!.answers.map(({ node }) => node)];
    // Or they would appeal too.
    for (const address of members) await world.nodeAt(address).kill();
    for (const node of world.nodes) await node.act("honest");
    const dispute = assignment!.dispute!;
    expect(members).to.include(dispute.by);
    expect(assignment!.exceptions.map(({ verdict }) => verdict)).to.deep.equal(["no-majority"]);

    // Their requester has all that they would open.
    await world.until("the ruling", () => dispute.stage === "ruled");
    expect(dispute.openings.size).to.equal(3);
    await world.pass(record.terms.windows.challenge + 1);
    await world.until("the end", () => record.closed);
    for (const address of members) await world.nodeAt(address).start();
    expect((await requester.finished(ticket)).state).to.equal("settled");
    await expectOutputs(requester, ticket, 3);
    await books.close((one) => ({ dishonest: one === record ? members : [] }));
    expect(assignment!.outcome).to.include({ outcome: "no-majority", accused: 0n, paid: 0n });
  });
});
