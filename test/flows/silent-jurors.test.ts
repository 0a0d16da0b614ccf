import { expect } from "chai";
import * as calls from "#sdk/calls.ts";
import { payOf, settlementOf } from "#sdk/market-state.ts";
import { contestBond } from "#sdk/pricing.ts";
import { Books } from "../support/books.ts";
import { PRICE_OF_ONE, sharedWorld, type MarketWorld } from "../support/market-world.ts";

describe("silent jurors", () => {
  let world: MarketWorld;

  before(async () => {
    world = await sharedWorld();
  });

  afterEach(() => world.reset());

  it("are fined, and the others decide against a requester that contests what is right", async () => {
    const [worker, ...others] = world.nodes;
    const requester = await world.newRequester("requester");
    const books = await Books.open(world);
    for (const node of others) await node.act("waiting");
    await requester.start();
    await requester.submit({ tasks: 3, price: PRICE_OF_ONE, checking: "fixed" });
    const record = await requester.posted();
    await world.until("the draw", () => record.reveal);
    await requester.kill();
    const [assignment] = record.assignments;
    for (const node of others) await node.act("honest");
    await world.until("every verifier's answer", () => assignment!.answers.length === 2);

    const { market, parameters } = world.market.deployment;
    const { terms, batch } = record;
    await world.fund(requester, contestBond(terms, payOf(record, assignment!, 0), parameters));
    const panel = settlementOf(assignment!);
    await world.sendAs(requester, calls.contest(market, { terms, batch, panel, matter: "work", task: 1, member: 0 }));
    const outside = others.filter(({ address }) => !assignment!.answers.some(({ node }) => node === address));
    const silent = outside.slice(0, 2);
    for (const node of silent) await node.kill();

    const dispute = await world.until(
      "the answer",
      () => (assignment!.dispute?.juries.length ?? 0) > 0 && assignment!.dispute,
    );
    const votes = (): number => dispute.juries[0]!.jurors.filter(({ cast }) => cast).length;
    await world.until("every other ballot", () => votes() === outside.length - silent.length);
    const casting = parameters.drawDelay + terms.windows.check;
    await world.pass(casting + 1);
    await world.until("a second call", () => dispute.juries[0]!.call === 1);
    expect(dispute.missed.map(({ node }) => node)).to.have.members(silent.map(({ address }) => address));
    // Nobody is left to take their places.
    await world.pass(casting + 1);
    await world.until("the end of the casting", () => dispute.stage === "showing");
    await world.until("every ballot", () => dispute.juries[0]!.jurors.every(({ cast, value }) => !cast || value));
    await world.until("the primary's opening", () => dispute.openings.size > 0);
    await world.pass(terms.windows.challenge + 1);
    await world.until("the ruling", () => dispute.stage === "ruled");
    expect(dispute.rulings[1]).to.equal(dispute.openings.get(0)!.digest);
    expect(votes()).to.equal(outside.length - silent.length);
    await world.pass(terms.windows.challenge + 1);

    await books.close();
    expect(assignment!.node).to.equal(worker.address);
    expect(assignment!.outcome).to.include({ outcome: "paid", accused: 0n });
    expect(dispute.missed).to.have.lengthOf(4);
  });
});
