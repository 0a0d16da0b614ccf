import { readFile, writeFile } from "node:fs/promises";
import { expect } from "chai";
import { systemClock } from "#sdk/clock.ts";
import type { ActingAgent } from "../support/acting-agent.ts";
import { Books } from "../support/books.ts";
import { FaultProxy, type Fault } from "../support/fault-proxy.ts";
import { PRICE_OF_ALL, sharedWorld, type MarketWorld } from "../support/market-world.ts";
import { expectOutputs } from "../support/outputs.ts";

/** One after the other, each while the chain grows by a few blocks. */
const faults: readonly (Fault | "stale-head")[] = [
  { kind: "drop-logs" },
  { kind: "status", code: 429, retryAfter: "1" },
  "stale-head",
  { kind: "lose-answer" },
  { kind: "hang" },
  { kind: "wrong-chain", chainId: 1 },
  { kind: "garbage" },
];
const BLOCKS = 15;

describe("one provider that fails in every way", () => {
  let world: MarketWorld;
  const proxies: FaultProxy[] = [];
  const configs = new Map<ActingAgent, string>();

  before(async () => {
    world = await sharedWorld();
  });

  afterEach(async () => {
    for (const [agent, config] of configs) {
      // It would go on with providers that are no more.
      await agent.kill();
      await writeFile(agent.config, config);
    }
    configs.clear();
    await world.reset();
    await Promise.all(proxies.splice(0).map((proxy) => proxy.close()));
  });

  /** Gives an agent two providers, of which the first can be harmed. */
  async function giveProviders(agent: ActingAgent): Promise<FaultProxy> {
    const first = await FaultProxy.start(world.market.chain.url);
    const second = await FaultProxy.start(world.market.chain.url);
    proxies.push(first, second);
    const config = await readFile(agent.config, "utf8");
    configs.set(agent, config);
    const { rpc: _, ...others } = JSON.parse(config) as Record<string, unknown>;
    const chain = { rpc: [first.url, second.url], maxLagSeconds: 5 };
    await writeFile(agent.config, JSON.stringify({ ...others, chain }));
    return first;
  }

  it("costs nobody anything as long as there is another", async () => {
    const requester = await world.newRequester("requester");
    const [worker] = world.nodes;
    await worker.stop();
    const harmed = [await giveProviders(requester), await giveProviders(worker)];
    const books = await Books.open(world);
    await Promise.all([requester.start(), worker.start()]);
    const height = async (): Promise<number> => Number(await world.market.rpc.request("eth_blockNumber"));
    let isOver = false;
    const harming = (async () => {
      for (let turn = 0; !isOver; turn += 1) {
        const block = await height();
        const next = faults[turn % faults.length]!;
        const lifts = harmed.map((proxy) => proxy.inject(next === "stale-head" ? { kind: next, block } : next));
        while (!isOver && (await height()) < block + BLOCKS) await systemClock.sleep(200);
        lifts.forEach((lift) => lift());
      }
    })();
    try {
      const ticket = await requester.submit({ tasks: 4, price: PRICE_OF_ALL, mode: "replicated" });
      const status = await requester.finished(ticket);
      expect(status.state, JSON.stringify(status)).to.equal("settled");
      await expectOutputs(requester, ticket, 4);
    } finally {
      isOver = true;
      await harming;
    }
    for (const proxy of harmed) expect(proxy.harmed).to.be.above(0);
    await books.close();
  });
});
