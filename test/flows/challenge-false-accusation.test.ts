import { expect } from "chai";
import * as calls from "#sdk/calls.ts";
import { submissionOf } from "#sdk/market-state.ts";
import { reserve } from "#sdk/pricing.ts";
import type { Verdict } from "#sdk/terms.ts";
import { Books } from "../support/books.ts";
import { PRICE_OF_TWO, sharedWorld, type MarketWorld } from "../support/market-world.ts";
import { expectOutputs } from "../support/outputs.ts";

describe("false accusation", () => {
  let world: MarketWorld;

  before(async () => {
    world = await sharedWorld();
  });

  afterEach(() => world.reset());

  it("is challenged, whether it names a node or says that there is no majority, and costs who made it", async () => {
    const requester = await world.newRequester("requester");
    const books = await Books.open(world);
    for (const node of world.nodes.slice(2)) await node.act("waiting");
    await requester.start();
    const ticket = await requester.submit({ tasks: 4, price: PRICE_OF_TWO, maxShare: "50%", checking: "fixed" });
    const record = await requester.posted();
    await world.until("the draw", () => record.reveal);
    await requester.kill();
    for (const node of world.nodes) await node.act("honest");
    await world.until("every verifier's answer", () => record.assignments.every(({ answers }) => answers.length === 2));

    const { market, parameters } = world.market.deployment;
    const { terms, batch, price } = record;
    const verdicts: Verdict[] = ["primary-differs", "no-majority"];
    const exceptions = record.assignments.map((assignment, place) => ({
      assignment: assignment.index,
      verdict: verdicts[place]!,
      witness: assignment.first,
      round: 0,
      seat: 0,
      submission: submissionOf(assignment),
    }));
    const backing = record.assignments.map(({ count }) => reserve(terms, price, count, parameters));
    await world.fund(
      requester,
      backing.reduce((sum, { beyondBond }) => sum + beyondBond, 0n),
    );
    await world.sendAs(requester, calls.judge(market, { terms, batch, exceptions, last: true }));

    await world.until("the rulings", () => record.assignments.every(({ dispute }) => dispute?.stage === "ruled"));
    const [named, unnamed] = record.assignments.map(({ dispute }) => dispute!);
    expect(named!.by).to.equal(record.assignments[0]!.node);
    for (const { openings, rulings } of [named!, unnamed!]) {
      expect(new Set([...openings.values()].map(({ digest }) => digest))).to.have.property("size", 1);
      expect(openings.size).to.equal(3);
      expect(rulings).to.deep.equal([openings.get(0)!.digest]);
    }
    await world.pass(terms.windows.challenge + 1);
    await books.close();
    expect(record.assignments.map(({ outcome }) => outcome?.outcome)).to.deep.equal(["forced", "forced"]);
    expect([named!, unnamed!].map(({ falselyAccused }) => falselyAccused)).to.deep.equal(
      backing.map(({ amount }) => amount),
    );

    await requester.start();
    expect((await requester.finished(ticket)).state).to.equal("settled");
    await expectOutputs(requester, ticket, 4);
  });
});
