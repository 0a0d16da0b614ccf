import { expect } from "chai";
import { Books } from "../support/books.ts";
import { PRICE_OF_NONE, sharedWorld, type MarketWorld } from "../support/market-world.ts";

describe("nothing claimed", () => {
  let world: MarketWorld;

  before(async () => {
    world = await sharedWorld();
  });

  afterEach(() => world.reset());

  it("gives everything back, each time the requester tries again", async () => {
    const requester = await world.newRequester("requester");
    const books = await Books.open(world);
    await requester.start();
    const ticket = await requester.submit({ tasks: 4, price: PRICE_OF_NONE });
    const status = async () => (await requester.status(ticket))!;
    for (let tried = 0; ; tried += 1) {
      await world.until(
        "the next batch, or the end",
        async () => requester.batches.length > tried || (await status()).state === "failed",
      );
      const record = requester.batches[tried];
      if (!record) break;
      await world.pass(record.terms.windows.claim + 1);
      await world.until("the end of the batch", () => record.closed);
      expect(record.assignments).to.have.lengthOf(0);
    }
    const { error, results, money } = await status();
    expect(error?.code).to.equal("JOB_INCOMPLETE");
    expect(results?.map(({ outcome }) => outcome)).to.deep.equal(Array(4).fill("unclaimed"));
    expect(requester.batches.length).to.be.above(1);
    expect(BigInt(money.returned)).to.equal(BigInt(money.escrow) + BigInt(money.bond));
    await books.close();
  });
});
