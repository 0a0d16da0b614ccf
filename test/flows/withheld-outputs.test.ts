import { expect } from "chai";
import { UNDELIVERED } from "#sdk/commitment.ts";
import { effectiveRuling } from "#sdk/dispute.ts";
import { Books } from "../support/books.ts";
import { PRICE_OF_TWO, sharedWorld, type MarketWorld } from "../support/market-world.ts";
import { expectOutputs } from "../support/outputs.ts";

/** Seconds before the end of the casting from which on jurors take what is not served for not delivered. */
const LAST_SECONDS = 120;

describe("withheld outputs", () => {
  let world: MarketWorld;

  before(async () => {
    world = await sharedWorld();
  });

  afterEach(() => world.reset());

  it("are not paid for, though they are right: a jury cannot fetch them either, and another does the work", async () => {
    const candidates = world.nodes.slice(0, 2);
    const requester = await world.newRequester("requester");
    const books = await Books.open(world);
    for (const node of candidates) await node.act("withholding");
    await requester.start();
    const ticket = await requester.submit({ tasks: 3, price: PRICE_OF_TWO });
    const first = await requester.posted();
    const assignment = await world.until("the claim", () => first.assignments[0]);
    const miser = world.nodeAt(assignment.node);
    for (const node of candidates) if (node !== miser) await node.act("honest");

    const dispute = await world.until("the contest", () => assignment.dispute);
    expect(dispute).to.include({ matter: "delivery", member: 0, by: requester.address });
    // It could be read, and all agree.
    expect(assignment.answers).to.have.lengthOf(1);
    expect(assignment.exceptions).to.deep.equal([]);
    await world.until("the call for a jury", () => dispute.stage === "casting");
    const { deadline, since } = dispute;
    await world.mine(4);
    await world.pass(deadline - since.at - LAST_SECONDS + 5);
    await world.until("the jury's ruling", () => dispute.stage === "ruled");
    expect(effectiveRuling(dispute)).to.equal(UNDELIVERED);
    expect(dispute.juries[0]!.call).to.equal(0);
    await world.pass(first.terms.windows.challenge + 1);

    const status = await requester.finished(ticket);
    expect(status.state).to.equal("settled");
    expect(assignment.outcome).to.include({ outcome: "forfeited", accused: 0n });
    expect(status.results?.map(({ node }) => node)).to.not.include(miser.address);
    await expectOutputs(requester, ticket, 3);
    await books.close();
  });
});
