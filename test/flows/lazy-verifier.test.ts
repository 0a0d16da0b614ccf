import { expect } from "chai";
import { Books } from "../support/books.ts";
import { PRICE_OF_ONE, sharedWorld, type MarketWorld } from "../support/market-world.ts";
import { expectOutputs } from "../support/outputs.ts";

describe("lazy verifier", () => {
  let world: MarketWorld;

  before(async () => {
    world = await sharedWorld();
  });

  afterEach(() => world.reset());

  for (const checking of ["fixed", "adaptive"] as const) {
    it(`is slashed, and those it contradicted are paid (${checking} quorum)`, async () => {
      const [worker, ...verifiers] = world.nodes;
      const requester = await world.newRequester("requester");
      const books = await Books.open(world);
      for (const verifier of verifiers) await verifier.act("waiting");
      await requester.start();
      const ticket = await requester.submit({ tasks: 3, price: PRICE_OF_ONE, checking });
      const record = await requester.posted();
      await world.until("the draw", () => record.reveal);
      const [assignment] = record.assignments;
      expect(assignment?.node).to.equal(worker.address);
      const [[drawn] = []] = await world.drawn(record, assignment!);
      const lazy = world.nodeAt(drawn);
      await lazy.act("lazy");
      await world.until("the lazy answer", () => assignment!.answers.length > 0);
      // Once it looks again it finds that it has nothing to object.
      for (const verifier of verifiers) await verifier.act("honest");

      await world.until("the accusation", () => assignment!.exceptions.length > 0);
      expect(assignment!.exceptions.map(({ verdict, accused }) => ({ verdict, accused }))).to.deep.equal([
        { verdict: "seat-differs", accused: lazy.address },
      ]);
      await world.mine(5);
      expect(assignment!.status).to.equal("contended");
      expect(assignment!.dispute).to.equal(undefined);
      await world.pass(record.terms.windows.challenge + 1);

      const status = await requester.finished(ticket);
      expect(status.state).to.equal("settled");
      expect(assignment!.outcome?.outcome).to.equal("seat-slashed");
      expect(assignment!.rounds.map(({ escalation }) => escalation)).to.deep.equal(
        checking === "adaptive" ? [true] : [],
      );
      await expectOutputs(requester, ticket, 3);
      await books.close(() => ({ dishonest: [lazy.address] }));
    });
  }
});
