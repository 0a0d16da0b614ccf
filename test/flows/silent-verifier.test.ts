import { expect } from "chai";
import { Books } from "../support/books.ts";
import { PRICE_OF_ONE, sharedWorld, type MarketWorld } from "../support/market-world.ts";
import { expectOutputs } from "../support/outputs.ts";

describe("silent verifier", () => {
  let world: MarketWorld;

  before(async () => {
    world = await sharedWorld();
  });

  afterEach(() => world.reset());

  it("is fined, and others are drawn in its place", async () => {
    const [worker, ...verifiers] = world.nodes;
    const requester = await world.newRequester("requester");
    const books = await Books.open(world);
    for (const verifier of verifiers) await verifier.act("waiting");
    await requester.start();
    const ticket = await requester.submit({ tasks: 3, price: PRICE_OF_ONE });
    const record = await requester.posted();
    await world.until("the draw", () => record.reveal);
    const assignment = record.assignments[0]!;
    const [[drawn] = []] = await world.drawn(record, assignment);
    const silent = world.nodeAt(drawn);
    await silent.kill();
    for (const verifier of verifiers) await verifier.act("honest");
    await world.pass(record.terms.windows.check + 1);

    const status = await requester.finished(ticket);
    expect(status.state).to.equal("settled");
    await expectOutputs(requester, ticket, 3);
    expect(assignment.rounds.map(({ seats, escalation }) => ({ seats, escalation }))).to.deep.equal([
      { seats: 2, escalation: false },
    ]);
    expect(assignment.absent.map(({ node }) => node)).to.deep.equal([silent.address]);
    expect(assignment.answers.map(({ node }) => node)).to.not.include.members([silent.address, worker.address]);
    expect(assignment.outcome?.outcome).to.equal("paid");
    await books.close();
  });
});
