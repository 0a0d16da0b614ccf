import { expect } from "chai";
import { Books } from "../support/books.ts";
import { PRICE_OF_TWO, sharedWorld, type MarketWorld } from "../support/market-world.ts";
import { expectOutputs } from "../support/outputs.ts";

describe("requester silent before judging", () => {
  let world: MarketWorld;

  before(async () => {
    world = await sharedWorld();
  });

  afterEach(() => world.reset());

  it("pays workers and verifiers in full and loses the fixed part of its bond", async () => {
    const requester = await world.newRequester("requester");
    const books = await Books.open(world);
    // Each panel has a seat for one of these, so that nothing can be judged while they wait.
    for (const node of world.nodes.slice(2)) await node.act("waiting");
    await requester.start();
    const ticket = await requester.submit({ tasks: 4, price: PRICE_OF_TWO, maxShare: "50%", checking: "fixed" });
    const record = await requester.posted();
    await world.until("the draw", () => record.reveal);
    await requester.kill();
    for (const node of world.nodes) await node.act("honest");
    await world.until("every verifier's answer", () => record.assignments.every(({ answers }) => answers.length === 2));
    await world.pass(record.terms.windows.check + record.terms.windows.judge + 1);

    await books.close(() => ({ silent: true }));
    expect(record.assignments.map(({ outcome }) => outcome?.outcome)).to.deep.equal(["forced", "forced"]);
    expect(record.bondBurned).to.equal(world.market.deployment.parameters.bondFixed);

    await requester.start();
    const status = await requester.finished(ticket);
    expect(status.state).to.equal("settled");
    await expectOutputs(requester, ticket, 4);
  });
});
