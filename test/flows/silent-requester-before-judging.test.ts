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

  it("has its panels compare themselves, pays who was right, and loses the fixed part of its bond", async () => {
    const requester = await world.newRequester("requester");
    const books = await Books.open(world);
    // Each panel has a seat for one of these, so that nothing can be judged while they wait.
    for (const node of world.nodes.slice(2)) await node.act("waiting");
    await requester.start();
    const ticket = await requester.submit({ tasks: 4, price: PRICE_OF_TWO, maxShare: "50%", checking: "fixed" });
    const record = await requester.posted();
    await world.until("the draw", () => record.reveal);
    await requester.kill();
    const [[drawn = []] = []] = await Promise.all(record.assignments.map((one) => world.drawn(record, one)));
    const liar = world.nodes.slice(2).find(({ address }) => drawn.includes(address))!;
    await liar.act("lying");
    for (const node of world.nodes) if (node !== liar) await node.act("honest");
    await world.until("every verifier's answer", () => record.assignments.every(({ answers }) => answers.length === 2));
    await liar.act("honest");

    const { check, judge, challenge } = record.terms.windows;
    await world.pass(check + judge + 1);
    await world.until("every member's opening", () =>
      record.assignments.every(({ dispute }) => dispute?.openings.size === 3),
    );
    expect(record.assignments.map(({ dispute }) => dispute!.matter)).to.deep.equal(["silence", "silence"]);
    await world.until("the rulings", () => record.assignments.every(({ dispute }) => dispute?.stage === "ruled"));
    await world.pass(challenge + 1);

    await books.close(() => ({ silent: true, dishonest: [liar.address] }));
    for (const { answers, outcome } of record.assignments) {
      const isWrong = answers.some(({ node }) => node === liar.address);
      expect(outcome?.outcome).to.equal(isWrong ? "seat-slashed" : "forced");
    }
    expect(record.assignments[0]!.outcome?.outcome).to.equal("seat-slashed");

    await requester.start();
    const status = await requester.finished(ticket);
    expect(status.state).to.equal("settled");
    await expectOutputs(requester, ticket, 4);
  });
});
