import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "chai";
import { sampledCountOf } from "#sdk/market-state.ts";
import { decodeTrace, summariseTrace } from "#sdk/resource-trace.ts";
import type { TaskStatus } from "../../agents/requester/spool.ts";
import { Books } from "../support/books.ts";
import { lastJson, surety } from "../support/command-line.ts";
import { PRICE_OF_ALL, sharedWorld, type MarketWorld } from "../support/market-world.ts";

describe("honest batch", () => {
  let world: MarketWorld;

  before(async () => {
    world = await sharedWorld();
  });

  afterEach(() => world.reset());

  for (const mode of ["sampled", "replicated"] as const) {
    it(`is computed, checked and paid, and its outputs are brought home (${mode})`, async () => {
      const requester = await world.newRequester("requester");
      const books = await Books.open(world);
      await requester.start();
      const job = await requester.writeJob({ tasks: 16, price: PRICE_OF_ALL, mode, rate: "25%", maxShare: "12.5%" });
      const out = join(requester.home, "out");
      const ended = await surety(["submit", job, "--config", requester.config, "--wait", "--out", out, "--json"]);
      expect(ended.exit, ended.stderr).to.equal(0);
      expect(lastJson(ended)).to.include({ state: "settled" });
      for (let task = 0; task < 16; task += 1) {
        expect(await readFile(join(out, String(task), "stdout"), "utf8")).to.equal(`task-${task}\0`);
      }
      const { ticket } = lastJson(ended) as { ticket: string };
      const { results, traces } = lastJson(
        await surety(["results", ticket, "--config", requester.config, "--json"]),
      ) as unknown as { results: TaskStatus[]; traces: string };
      for (const { task, used } of results) {
        expect(summariseTrace(decodeTrace(await readFile(join(traces, `${task}.json`))))).to.deep.equal(used);
        expect(used!.fuel).to.be.above(0);
      }

      await books.close();
      const [record] = requester.batches;
      const { assignments } = record!;
      const sampled = assignments.reduce((sum, assignment) => sum + sampledCountOf(record!, assignment), 0);
      // A quarter of 16 is whole, so that the draw has no choice of how many.
      expect(sampled).to.equal(mode === "sampled" ? 4 : 16);
      expect(assignments.map(({ count }) => count)).to.deep.equal(Array(8).fill(2));
      expect(assignments.map(({ outcome }) => outcome?.outcome)).to.deep.equal(Array(8).fill("paid"));
    });
  }
});
