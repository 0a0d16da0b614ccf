import { once } from "node:events";
import { readFile, writeFile } from "node:fs/promises";
import { createServer, type AddressInfo, type Socket } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { startChild, type Child } from "../../agents/devnet/child.ts";
import type { ActingAgent } from "../support/acting-agent.ts";
import { PRICE_OF_ONE, sharedWorld, type ActingRequester, type MarketWorld } from "../support/market-world.ts";
import { expectOutputs } from "../support/outputs.ts";

const actingNode = fileURLToPath(new URL("../support/acting-node.ts", import.meta.url));

describe("agent asked to end in the middle of its work", () => {
  let world: MarketWorld;
  let worker: ActingAgent;
  let child: Child | undefined;
  let config: string;

  before(async () => {
    world = await sharedWorld();
    worker = world.nodes[0];
    config = await readFile(worker.config, "utf8");
  });

  afterEach(async () => {
    child?.kill("SIGKILL");
    await child?.ended;
    await writeFile(worker.config, config);
    await world.reset();
  });

  /** Node 1 with a slice it has claimed and does not come to an end with. */
  async function stuck(drainSeconds: number): Promise<{ requester: ActingRequester; ticket: string; asked: Child }> {
    await worker.stop();
    await writeFile(worker.config, JSON.stringify({ ...JSON.parse(config), drainSeconds, logLevel: "debug" }));
    await worker.act("waiting");
    child = await startChild(worker.name, actingNode, [worker.config], join(worker.home, "agent.log"));
    const requester = await world.newRequester("requester");
    await requester.start();
    const ticket = await requester.submit({ tasks: 2, price: PRICE_OF_ONE, mode: "trusted", allow: [worker.address] });
    const record = await requester.posted();
    await world.until("the claim", () => record.assignments.length === 1);
    return { requester, ticket, asked: child };
  }

  it("ends at once when asked twice, and goes on where it was at the next start", async () => {
    const { requester, ticket, asked } = await stuck(600);
    asked.kill("SIGTERM");
    await world.until("the drain", () => isDraining(worker, asked));
    asked.kill("SIGTERM");
    expect(await asked.ended).to.equal(130);
    await finishes(requester, ticket);
  });

  it("leaves what takes too long to the next start, with status 0", async () => {
    const { requester, ticket, asked } = await stuck(1);
    asked.kill("SIGTERM");
    expect(await asked.ended).to.equal(0);
    expect(requester.batches[0]!.assignments[0]!.status).to.equal("claimed");
    await finishes(requester, ticket);
  });

  it("finishes what it claimed, claims nothing more, and ends once all is mined", async () => {
    const { requester, asked } = await stuck(600);
    asked.kill("SIGTERM");
    await world.until("the drain", () => isDraining(worker, asked));
    const later = await requester.submit({
      tasks: 3,
      price: PRICE_OF_ONE,
      mode: "trusted",
      allow: [worker.address],
    });
    const declined = await requester.posted(2);
    await world.mine(5);
    await worker.act("honest");
    expect(await asked.ended).to.equal(0);

    const [record] = requester.batches;
    await world.until("the submission", () => record!.assignments[0]!.status === "submitted" || record!.closed);
    expect(declined.assignments).to.deep.equal([]);
    await worker.start();
    expect((await requester.finished(later)).state).to.equal("settled");
  });

  it("ends with status 0 before it has begun, too", async () => {
    await worker.stop();
    // Takes connections, and never says anything.
    const silent = createServer().listen(0, "127.0.0.1");
    try {
      await once(silent, "listening");
      const { port } = silent.address() as AddressInfo;
      await writeFile(worker.config, JSON.stringify({ ...JSON.parse(config), rpc: [`http://127.0.0.1:${port}`] }));
      child = await startChild(worker.name, actingNode, [worker.config], join(worker.home, "agent.log"));
      const [connection] = (await once(silent, "connection")) as [Socket];
      child.kill("SIGTERM");
      expect(await child.ended).to.equal(0);
      connection.destroy();
    } finally {
      silent.close();
    }
  });

  /** Started again, the node does what is left. */
  async function finishes(requester: ActingRequester, ticket: string): Promise<void> {
    await worker.act("honest");
    await worker.start();
    expect((await requester.finished(ticket)).state).to.equal("settled");
    await expectOutputs(requester, ticket, 2);
    expect(requester.batches).to.have.lengthOf(1);
  }
});

async function isDraining(agent: ActingAgent, { pid }: Child): Promise<boolean> {
  const lines = (await readFile(join(agent.home, "agent.log"), "utf8")).trim().split("\n");
  return lines.some((line) => {
    const said = JSON.parse(line) as { pid: number; msg?: string };
    return said.pid === pid && said.msg === "draining";
  });
}
