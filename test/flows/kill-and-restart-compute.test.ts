import { expect } from "chai";
import { nodeState } from "#sdk/reads.ts";
import type { ActingAgent } from "../support/acting-agent.ts";
import { Books } from "../support/books.ts";
import { PRICE_OF_ONE, sharedWorld, type MarketWorld } from "../support/market-world.ts";
import { expectOutputs } from "../support/outputs.ts";

describe("compute node killed at each durable step and restarted", () => {
  let world: MarketWorld;

  before(async () => {
    world = await sharedWorld();
  });

  afterEach(() => world.reset());

  const transactionsOf = (node: ActingAgent): Promise<number> => world.market.transactionsOf(node.address);

  it("claims, runs and submits once", async () => {
    const [worker] = world.nodes;
    await worker.stop();
    const sentBefore = await transactionsOf(worker);
    const requester = await world.newRequester("requester");
    const books = await Books.open(world);
    const steps = await worker.startDying("compute");
    await requester.start();
    const ticket = await requester.submit({ tasks: 2, price: PRICE_OF_ONE });
    const last = ["final submit", "event Claimed", "event Submitted"];
    await world.until("the last steps", async () => {
      const met = new Set(await steps());
      return last.every((step) => met.has(step));
    });
    const status = await requester.finished(ticket);
    expect(status.state).to.equal("settled");
    await expectOutputs(requester, ticket, 2);

    const { finals, others } = partedSteps(await steps());
    expect(others).to.deep.equal([
      ...["planned claim", "signed claim", "broadcast claim", "mined claim"],
      ...["note result", "note result", "note commitment"],
      ...["planned submit", "signed submit", "sent submit", "mined submit"],
    ]);
    expect(finals).to.deep.equal(["final claim", "final submit"]);
    const [record] = requester.batches;
    expect(record?.assignments.map(({ node, count }) => ({ node, count }))).to.deep.equal([
      { node: worker.address, count: 2 },
    ]);
    expect((await transactionsOf(worker)) - sentBefore, "transactions").to.equal(2);
    await books.close();
  });

  it("answers once where it was drawn", async () => {
    const [, ...verifiers] = world.nodes;
    const requester = await world.newRequester("requester");
    const books = await Books.open(world);
    for (const verifier of verifiers) await verifier.act("waiting");
    await requester.start();
    const ticket = await requester.submit({ tasks: 2, price: PRICE_OF_ONE });
    const record = await requester.posted();
    await world.until("the draw", () => record.reveal);
    const [[drawn] = []] = await world.drawn(record, record.assignments[0]!);
    const verifier = world.nodeAt(drawn);
    await verifier.kill();
    await verifier.act("honest");
    const sentBefore = await transactionsOf(verifier);
    const steps = await verifier.startDying("compute");
    await world.until("the last step", async () => (await steps()).includes("final answer"));
    const status = await requester.finished(ticket);
    expect(status.state).to.equal("settled");

    const { finals, others } = partedSteps(await steps());
    expect(others).to.deep.equal([
      ...["note result", "note result", "note commitment"],
      ...["planned answer", "signed answer", "broadcast answer", "mined answer"],
    ]);
    expect(finals).to.deep.equal(["final answer"]);
    expect(record.assignments[0]!.answers.map(({ node }) => node)).to.deep.equal([verifier.address]);
    expect((await transactionsOf(verifier)) - sentBefore, "transactions").to.equal(1);
    await books.close();
  });

  it("challenges, opens and appeals once, and votes once as a juror", async () => {
    const [worker, ...others] = world.nodes;
    const requester = await world.newRequester("requester");
    const books = await Books.open(world);
    for (const node of others) await node.act("waiting");
    await requester.start();
    await requester.submit({ tasks: 2, price: PRICE_OF_ONE, checking: "fixed" });
    const record = await requester.posted();
    await world.until("the draw", () => record.reveal);
    const assignment = record.assignments[0]!;
    const [drawn = []] = await world.drawn(record, assignment);
    const outside = others.filter(({ address }) => !drawn.includes(address));
    const juror = outside[0]!;
    for (const node of [worker, juror]) await node.kill();
    for (const node of others) await node.act(outside.includes(node) ? "honest" : "colluding");
    await world.until("the accusation", () => assignment.exceptions.length);
    // It would open what the members committed to before they do.
    await requester.kill();

    const steps = await worker.startDying("compute", /challenge|open|appeal|check|rerun/);
    const ballots = await juror.startDying("compute", /vote|show|rerun|ballot/);
    const dispute = await world.until("the challenge", () => assignment.dispute);
    await world.until("the jury's ruling", () => dispute.tier === 1 && dispute.stage === "ruled");
    const done = (all: string[], calls: string[]): boolean =>
      calls.every((call) => ["planned", "signed", "mined", "final"].every((step) => all.includes(`${step} ${call}`)));
    await world.until("the last steps", async () => {
      return done(await steps(), ["challenge", "open", "appeal"]) && done(await ballots(), ["vote", "show"]);
    });
    expect(await steps()).to.include.members(["note rerun", "note check"]);
    expect(await ballots()).to.include.members(["note rerun", "note ballot"]);
    await world.pass(record.terms.windows.challenge + 1);
    await books.close(() => ({ dishonest: drawn }));
    expect(dispute.juries[0]!.jurors.filter(({ value }) => value)).to.have.lengthOf(outside.length);
    expect(assignment.outcome).to.include({ outcome: "seat-slashed", accused: 6n });
  });

  it("stakes once and takes one place in the pool", async () => {
    const node = await world.addNode();
    const steps = await node.startDying("compute");
    await world.until(
      "the last step",
      async () => (await steps()).filter((step) => step === "final membership").length === 4,
    );
    for (const step of ["planned", "signed", "mined"]) {
      expect((await steps()).filter((each) => each === `${step} membership`)).to.have.lengthOf(4);
    }
    const { registry, market } = world.market.deployment;
    expect(await nodeState(world.market.rpc, registry, market, node.address)).to.deep.equal({
      stake: 2_000n * 10n ** 18n,
      committed: 0n,
      backing: 1_000n * 10n ** 18n,
    });
    expect(world.placesOf(node)).to.equal(1);
    expect(await transactionsOf(node), "transactions").to.equal(4);
  });
});

/** Final blocks and what happened come when they come. */
function partedSteps(steps: readonly string[]): { finals: string[]; others: string[] } {
  const finals = steps.filter((step) => step.startsWith("final "));
  return { finals, others: steps.filter((step) => !finals.includes(step) && !step.startsWith("event ")) };
}
