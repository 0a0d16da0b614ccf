import { expect } from "chai";
import { Books } from "../support/books.ts";
import { PRICE_OF_ALL, sharedWorld, type MarketWorld } from "../support/market-world.ts";
import { expectOutputs } from "../support/outputs.ts";

describe("wrong planted task", () => {
  let world: MarketWorld;

  before(async () => {
    world = await sharedWorld();
  });

  afterEach(() => world.reset());

  it("is contested though the whole panel agrees on it: a jury convicts them all, and others do the work", async () => {
    const requester = await world.newRequester("requester");
    const books = await Books.open(world);
    for (const node of world.nodes) await node.act("colluding");
    await requester.start();
    const ticket = await requester.submit({ tasks: 3, price: PRICE_OF_ALL, plant: "40%" });
    const first = await requester.posted();
    const assignment = await world.until("the verifier's answer", () =>
      first.assignments.find(({ answers }) => answers.length > 0),
    );
    const accomplices = [assignment.node, assignment.answers[0]!.node];
    for (const node of world.nodes) if (!accomplices.includes(node.address)) await node.act("honest");

    const dispute = await world.until("the contest", () => assignment.dispute);
    expect(dispute).to.include({ matter: "work", member: 0, by: requester.address });
    await world.until("the jury's ruling", () => dispute.stage === "ruled");
    // They did agree: what they opened is the same, and not what the jury found.
    const [said, ...same] = [...dispute.openings.values()].map(({ digest }) => digest);
    expect(same).to.deep.equal([said]);
    expect(dispute.rulings[1]).to.not.equal(said);
    await world.pass(first.terms.windows.challenge + 1);

    const status = await requester.finished(ticket);
    expect(status.state).to.equal("settled");
    expect(assignment.outcome).to.include({ outcome: "primary-slashed", accused: 3n });
    const [again] = requester.batches.slice(1);
    expect(again!.terms.excluded).to.have.members(accomplices);
    await expectOutputs(requester, ticket, 3);
    await books.close((record) => ({ dishonest: record === first ? accomplices : [] }));
  });
});
