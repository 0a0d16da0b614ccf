import { expect } from "chai";
import { Books } from "../support/books.ts";
import { PRICE_OF_TWO, sharedWorld, type MarketWorld } from "../support/market-world.ts";
import { expectOutputs } from "../support/outputs.ts";

describe("silent accused", () => {
  let world: MarketWorld;

  before(async () => {
    world = await sharedWorld();
  });

  afterEach(() => world.reset());

  it("loses its pay by not answering a contest, and nothing else", async () => {
    const candidates = world.nodes.slice(0, 2);
    const requester = await world.newRequester("requester");
    const books = await Books.open(world);
    for (const node of candidates) await node.act("garbling");
    await requester.start();
    const ticket = await requester.submit({ tasks: 3, price: PRICE_OF_TWO });
    const first = await requester.posted();
    const assignment = await world.until("the submission", () => first.assignments.find((one) => one.submission));
    const silent = world.nodeAt(assignment.node);
    await silent.kill();
    for (const node of candidates) if (node !== silent) await node.act("honest");

    const dispute = await world.until("the contest", () => assignment.dispute);
    expect(dispute).to.include({ matter: "delivery", member: 0, stage: "answering" });
    // Everybody could go on; nobody may.
    await world.mine(6);
    expect(assignment.status).to.equal("contended");
    await world.pass(first.terms.windows.challenge + 1);

    const status = await requester.finished(ticket);
    expect(status.state).to.equal("settled");
    expect(assignment.outcome).to.include({ outcome: "forfeited", accused: 0n, penalty: 0n });
    expect(dispute).to.include({ stage: "answering", tier: 0 });
    const [again] = requester.batches.slice(1);
    expect(again!.terms.excluded).to.deep.equal([silent.address]);
    await expectOutputs(requester, ticket, 3);
    await books.close();
  });
});
