import { expect } from "chai";
import { Books } from "../support/books.ts";
import { PRICE_OF_ALL, PRICE_OF_ONE, sharedWorld, type MarketWorld } from "../support/market-world.ts";
import { expectOutputs } from "../support/outputs.ts";

describe("requester killed at each durable step and restarted", () => {
  let world: MarketWorld;

  before(async () => {
    world = await sharedWorld();
  });

  afterEach(() => world.reset());

  it("posts, reveals, escalates, judges and concludes once", async () => {
    const [, ...verifiers] = world.nodes;
    const requester = await world.newRequester("requester");
    const books = await Books.open(world);
    for (const verifier of verifiers) await verifier.act("waiting");
    const steps = await requester.startDying("requester");
    const ticket = await requester.submit({ tasks: 2, price: PRICE_OF_ONE });
    const record = await requester.posted();
    await world.until("the draw", () => record.reveal);
    const assignment = record.assignments[0]!;
    const [[drawn] = []] = await world.drawn(record, assignment);
    const lazy = world.nodeAt(drawn);
    await lazy.act("lazy");
    for (const verifier of verifiers) if (verifier !== lazy) await verifier.act("honest");

    await world.until("the accusation", () => assignment.exceptions.length);
    // Or one of them would conclude while the requester is dead.
    for (const node of world.nodes) await node.kill();
    await world.pass(record.terms.windows.challenge + 1);
    const status = await requester.finished(ticket);
    expect(status.state).to.equal("settled");
    await world.until("the last step", async () => (await steps()).includes("final conclude"));
    await expectOutputs(requester, ticket, 2);

    const calls = ["approve", "deposit", "post", "reveal", "escalate", "judge", "conclude"];
    for (const call of calls) {
      for (const step of ["planned", "signed", "mined", "final"]) expect(await steps()).to.include(`${step} ${call}`);
    }
    expect(await steps()).to.include.members([
      "note job planned 0 posted 0 done 0",
      "rename taken",
      "note job planned 1 posted 0 done 0",
      "note job planned 1 posted 1 done 0",
      "note job planned 1 posted 1 done 1",
      "note job planned 1 posted 1 done 2",
      "note job planned 1 posted 1 done 2 finished",
      "note fetched",
      "rename results/0",
      "rename results/1",
      "rename jobs",
    ]);
    expect(await world.market.transactionsOf(requester.address), "transactions").to.equal(calls.length);
    expect(requester.batches).to.have.lengthOf(1);
    expect(assignment.exceptions.map(({ accused }) => accused)).to.deep.equal([lazy.address]);
    await books.close(() => ({ dishonest: [lazy.address] }));
  });

  it("contests, opens, and concludes a dispute once", async () => {
    const requester = await world.newRequester("requester");
    const books = await Books.open(world);
    for (const node of world.nodes) await node.act("colluding");
    const steps = await requester.startDying("requester", /planted|contest|open|conclude/);
    const ticket = await requester.submit({ tasks: 2, price: PRICE_OF_ALL, plant: "50%" });
    const record = await requester.posted();
    const assignment = await world.until("the verifier's answer", () =>
      record.assignments.find(({ answers }) => answers.length > 0),
    );
    const accomplices = [assignment.node, assignment.answers[0]!.node];
    for (const node of world.nodes) if (!accomplices.includes(node.address)) await node.act("honest");
    const dispute = await world.until("the contest", () => assignment.dispute);
    // What they stood by while they were there their requester shows.
    await world.until("the jury's call", () => dispute.stage === "casting");
    for (const address of accomplices) await world.nodeAt(address).kill();
    await world.until("the ballots", () => dispute.stage !== "casting");
    await world.until("what they committed to", () => dispute.openings.size === 2);
    await world.until("the ruling", () => dispute.stage === "ruled");
    for (const node of world.nodes) await node.kill();
    await world.pass(record.terms.windows.challenge + 1);
    await world.until("the end of the dispute", () => assignment.outcome);
    for (const node of world.nodes) {
      await node.act("honest");
      await node.start();
    }
    const status = await requester.finished(ticket);
    expect(status.state).to.equal("settled");
    await expectOutputs(requester, ticket, 2);
    for (const call of ["contest", "open", "conclude"]) {
      for (const step of ["planned", "signed", "mined", "final"]) expect(await steps()).to.include(`${step} ${call}`);
    }
    expect(await steps()).to.include("note planted");
    expect(assignment.outcome).to.include({ outcome: "primary-slashed", accused: 3n });
    expect(requester.batches).to.have.lengthOf(2);
    await books.close((one) => ({ dishonest: one === record ? accomplices : [] }));
  });
});
