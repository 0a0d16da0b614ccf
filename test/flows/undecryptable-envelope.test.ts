import { expect } from "chai";
import { UNDELIVERED } from "#sdk/commitment.ts";
import { effectiveRuling } from "#sdk/dispute.ts";
import { Books } from "../support/books.ts";
import { PRICE_OF_TWO, sharedWorld, type MarketWorld } from "../support/market-world.ts";
import { expectOutputs } from "../support/outputs.ts";

describe("undecryptable envelope", () => {
  let world: MarketWorld;

  before(async () => {
    world = await sharedWorld();
  });

  afterEach(() => world.reset());

  it("is contested: a jury finds that nothing was delivered, its node pays for that, and another does the work", async () => {
    const candidates = world.nodes.slice(0, 2);
    const requester = await world.newRequester("requester");
    const books = await Books.open(world);
    for (const node of candidates) await node.act("garbling");
    await requester.start();
    const ticket = await requester.submit({ tasks: 3, price: PRICE_OF_TWO });
    const first = await requester.posted();
    const assignment = await world.until("the submission", () => first.assignments.find((one) => one.submission));
    const garbler = world.nodeAt(assignment.node);
    for (const node of candidates) if (node !== garbler) await node.act("honest");

    const dispute = await world.until("the contest", () => assignment.dispute);
    expect(dispute).to.include({ matter: "delivery", member: 0, by: requester.address });
    expect(assignment.exceptions).to.deep.equal([]);
    await world.until("the jury's ruling", () => dispute.stage === "ruled");
    expect(dispute.evidence).to.have.lengthOf(2 + 2 * 116);
    expect(effectiveRuling(dispute)).to.equal(UNDELIVERED);
    await world.pass(first.terms.windows.challenge + 1);

    const status = await requester.finished(ticket);
    expect(status.state).to.equal("settled");
    expect(assignment.outcome).to.include({ outcome: "forfeited", accused: 0n });
    const [again] = requester.batches.slice(1);
    expect(again!.terms.excluded).to.deep.equal([garbler.address]);
    expect(again!.assignments.map(({ outcome }) => outcome?.outcome)).to.deep.equal(["paid"]);
    await expectOutputs(requester, ticket, 3);
    await books.close();
    const jurors = dispute.juries.flatMap((jury) => jury.jurors);
    expect(jurors.length).to.be.at.least(4);
    const lost = world.witness.events.filter((event) => event.name === "Slashed" && event.timestamp >= first.postedAt);
    // What it cost and no more: garbage is no proof of a lie.
    const amounts = lost.map((event) => (event.name === "Slashed" ? [event.node, event.amount] : []));
    expect(amounts).to.deep.equal([[garbler.address, BigInt(jurors.length) * first.terms.verifierPrice]]);
  });
});
