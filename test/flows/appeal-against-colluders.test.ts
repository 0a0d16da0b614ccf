import { expect } from "chai";
import { Books } from "../support/books.ts";
import { PRICE_OF_ONE, sharedWorld, type MarketWorld } from "../support/market-world.ts";
import { expectOutputs } from "../support/outputs.ts";

describe("appeal against colluders", () => {
  let world: MarketWorld;

  before(async () => {
    world = await sharedWorld();
  });

  afterEach(() => world.reset());

  it("has a fresh jury decide for the only honest member, and slashes the majority that lied", async () => {
    const [worker, ...others] = world.nodes;
    const requester = await world.newRequester("requester");
    const books = await Books.open(world);
    for (const node of others) await node.act("waiting");
    await requester.start();
    const ticket = await requester.submit({ tasks: 3, price: PRICE_OF_ONE, checking: "fixed" });
    const record = await requester.posted();
    await world.until("the draw", () => record.reveal);
    const [assignment] = record.assignments;
    expect(assignment!.node).to.equal(worker.address);
    const [drawn = []] = await world.drawn(record, assignment!);
    const colluders = drawn.map((address) => world.nodeAt(address));
    for (const node of colluders) await node.act("colluding");
    for (const node of others) if (!colluders.includes(node)) await node.act("honest");

    await world.until("the accusation", () => assignment!.exceptions.length > 0);
    expect(assignment!.exceptions.map(({ verdict, accused }) => ({ verdict, accused }))).to.deep.equal([
      { verdict: "primary-differs", accused: worker.address },
    ]);
    await world.until("the appeal", () => assignment!.dispute?.juries.length);
    const dispute = assignment!.dispute!;
    const lie = dispute.rulings[0];
    expect([dispute.by, dispute.juries[0]!.appellant]).to.deep.equal([worker.address, worker.address]);
    expect(dispute.openings.get(1)!.digest).to.equal(lie);
    expect(dispute.openings.get(2)!.digest).to.equal(lie);

    await world.until("the jury's ruling", () => dispute.stage === "ruled");
    expect(dispute.juries[0]!.jurors.map(({ node }) => node)).to.have.members(
      others.filter((node) => !colluders.includes(node)).map(({ address }) => address),
    );
    expect(dispute.rulings[1]).to.equal(dispute.openings.get(0)!.digest);
    await world.pass(record.terms.windows.challenge + 1);

    await books.close(() => ({ dishonest: colluders.map(({ address }) => address) }));
    expect(assignment!.outcome).to.include({ outcome: "seat-slashed", accused: 6n });
    expect((await requester.finished(ticket)).state).to.equal("settled");
    await expectOutputs(requester, ticket, 3);
  });
});
