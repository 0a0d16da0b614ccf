import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "chai";
import * as marketCalls from "#sdk/calls.ts";
import type { NodeReputation, RequesterReputation } from "#sdk/reputation.ts";
import type { RequestRecord } from "#sdk/request-state.ts";
import { splitReward } from "#sdk/rewards.ts";
import type { ActingAgent } from "../support/acting-agent.ts";
import { lastJson, surety } from "../support/command-line.ts";
import { DEPOSIT, FEE, POT, REWARD, RequestWorld, TOKEN, WINDOW } from "../support/request-world.ts";

/** As the command line prints it: amounts are decimal strings. */
type PrintedNode = Omit<NodeReputation, "earned"> & { earned: { strangers: string; related: string } };
type PrintedRequester = Omit<RequesterReputation, "paid" | "paidToRelated"> & { paid: string; paidToRelated: string };

describe("challenges and reputation of evaluated jobs", () => {
  let world: RequestWorld;

  before(async () => {
    world = await RequestWorld.start("square-root");
  });

  afterEach(() => world.reset());
  // Its agents would take the machine's time from other flows.
  after(() => world.stop());

  /** What the rulings that stand pay workers, in all of these requests. */
  function paysOf(records: readonly RequestRecord[]): Map<string, bigint> {
    const pays = new Map<string, bigint>();
    for (const { rulings } of records) {
      const { order, scores } = rulings.at(-1)!.ruling;
      const amounts = splitReward({ rewardFunction: "by-rank", pot: POT }, scores);
      for (const [place, node] of order.entries()) pays.set(node, (pays.get(node) ?? 0n) + amounts[place]!);
    }
    return pays;
  }

  /** What `surety reputation` says of the job. */
  async function reputation(...options: string[]): Promise<{
    node(address: string): PrintedNode;
    requester(address: string): PrintedRequester;
  }> {
    const { chain, deploymentPath } = world.market;
    const where = ["--rpc", chain.url, "--deployment", deploymentPath];
    const ended = await surety(["reputation", world.schema, ...options, ...where, "--json"]);
    expect(ended.exit, ended.stderr).to.equal(0);
    const { nodes, requesters } = lastJson(ended) as { nodes: PrintedNode[]; requesters: PrintedRequester[] };
    return {
      node: (address) => nodes.find(({ node }) => node === address)!,
      requester: (address) => requesters.find(({ requester }) => requester === address)!,
    };
  }

  /** Waits until all have ended. */
  async function ends(ids: readonly string[]): Promise<RequestRecord[]> {
    const records: RequestRecord[] = [];
    for (const id of ids) records.push(await world.phase(id, "ended"));
    return records;
  }

  const everybody = (): string[] => world.workers.map(({ address }) => address).sort();

  it("a wrong ranking that the parent upholds is overturned by the root, at the cost of both", async () => {
    const { evaluator, parent, root } = world;
    const requester = await world.newRequester({ challenge: "never" });
    for (const liar of [evaluator, parent]) {
      await liar.kill();
      await world.acting(liar, "lying").start();
    }
    const close = await world.openBooks();
    const id = await world.order(requester);
    await world.until("the root's ruling", () => world.state.requests.get(id)?.rulings.length === 3);
    const record = await world.phase(id, "ended", "settleable");
    const [first, second, third] = record.rulings.map(({ ruling }) => ruling);
    expect(record.rulings.map(({ judge }) => judge)).to.deep.equal([evaluator.address, parent.address, root.address]);
    expect(second).to.deep.equal(first);
    expect([...third!.order].sort()).to.deep.equal(everybody());
    const wronged = third!.order[0]!;
    expect(first!.order).to.deep.equal(third!.order.slice(1));
    expect(record.challenges).to.deep.equal([
      { by: wronged, tier: 0 },
      { by: wronged, tier: 1 },
    ]);
    const { outcome } = await world.phase(id, "ended");
    expect(outcome!.outcome).to.equal("ranked");
    await close({
      changes: new Map([
        [requester.address, -POT - REWARD],
        [evaluator.address, -DEPOSIT],
        // Of the worker's first challenge, on which it ruled.
        [parent.address, FEE - DEPOSIT],
        [root.address, FEE],
        // Both fees came back out of the deposits.
        ...paysOf([record]),
      ]),
      burned: 2n * (DEPOSIT - FEE) + REWARD,
    });
  });

  it("challenges without ground change nothing and cost a fee each, however many there are", async () => {
    const { evaluator, parent, root } = world;
    const quarreller = world.workers[0]!;
    await quarreller.kill();
    await world.acting(quarreller, "quarrelling").start();
    const requester = await world.newRequester();
    const close = await world.openBooks();
    // An earlier test may have wronged it, and then it challenged with ground.
    const before = (await reputation()).node(quarreller.address).challenges;
    const ids = [await world.order(requester), await world.order(requester)];
    const tiers = 2;
    const made = ids.length * tiers;
    const records = await ends(ids);
    for (const { rulings, challenges, outcome } of records) {
      expect(rulings.map(({ judge }) => judge)).to.deep.equal([evaluator.address, parent.address, root.address]);
      for (const { ruling } of rulings) expect(ruling).to.deep.equal(rulings[0]!.ruling);
      expect([...rulings[0]!.ruling.order].sort()).to.deep.equal(everybody());
      expect(challenges).to.deep.equal([0, 1].map((tier) => ({ by: quarreller.address, tier })));
      expect(outcome!.outcome).to.equal("ranked");
    }
    const requests = BigInt(ids.length);
    const pays = paysOf(records);
    pays.set(quarreller.address, pays.get(quarreller.address)! - BigInt(made) * FEE);
    await close({
      changes: new Map([
        [requester.address, -requests * (POT + REWARD)],
        [evaluator.address, requests * REWARD],
        [parent.address, requests * FEE],
        [root.address, requests * FEE],
        ...pays,
      ]),
      burned: 0n,
    });
    const { node } = await reputation();
    expect(node(quarreller.address).challenges).to.deep.equal({ made: before.made + made, won: before.won });
  });

  it("a problem without a solution pays the evaluator, returns the pot, and is challenged by nobody", async () => {
    const requester = await world.newRequester();
    const close = await world.openBooks();
    const id = await world.order(requester, { message: { y: -4 } });
    const { rulings } = await world.phase(id, "contestable");
    expect(rulings[0]!.ruling).to.deep.equal({ verdict: "ranking", order: [], scores: [] });
    await world.until("what the workers make of it", async () => {
      const found = await Promise.all(world.workers.map((worker) => ownCheck(worker, id)));
      expect(found).to.not.include(true);
      return found.every((isValid) => isValid === false);
    });
    await world.pass(WINDOW + 1);
    const { challenges, outcome } = await world.phase(id, "ended");
    expect(challenges).to.deep.equal([]);
    expect(outcome!.outcome).to.equal("unsolved");
    await close({
      changes: new Map([
        [requester.address, -REWARD],
        [world.evaluator.address, REWARD],
      ]),
      burned: 0n,
    });
  });

  it("an admin that has its own people ask its own tree is paid, and gains no name by it", async () => {
    const { root, evaluator } = world;
    const puppet = await world.newRequester();
    const { token } = world.market.deployment;
    await root.kill();
    const gift = marketCalls.transfer(token.address, { to: puppet.address, amount: TOKEN });
    expect(await world.sendAs(root, gift)).to.deep.equal([true]);
    const before = await reputation("--transfers");
    const close = await world.openBooks();
    const ids = [await world.order(puppet), await world.order(puppet)];
    for (const id of ids) await world.phase(id, "contestable");
    await world.pass(WINDOW + 1);
    const records = await ends(ids);
    const pays = paysOf(records);
    pays.set(evaluator.address, 2n * REWARD);
    await close({ changes: new Map([[puppet.address, -2n * (POT + REWARD)], ...pays]), burned: 0n });
    const after = await reputation("--transfers");
    const paid = String(2n * (POT + REWARD));
    expect(after.requester(puppet.address)).to.deep.include({ answered: 2, paid, paidToRelated: paid });
    for (const [address, amount] of pays) {
      const [was, is] = [before.node(address), after.node(address)];
      expect(BigInt(is.earned.related) - BigInt(was.earned.related)).to.equal(amount);
      expect(is.earned.strangers).to.equal(was.earned.strangers);
      expect(is).to.deep.include({ rating: was.rating, clients: was.clients, largestClient: was.largestClient });
    }
    // Who does not look at transfers is taken in.
    const blind = await reputation();
    expect(blind.requester(puppet.address)).to.deep.include({ paid, paidToRelated: "0" });
  });
});

/** Whether a worker found its own result, that was left out, valid; undefined if it has not looked yet. */
async function ownCheck(worker: ActingAgent, id: string): Promise<boolean | undefined> {
  const log = await readFile(join(worker.home, "agent.log"), "utf8");
  const lines = log.split("\n").filter((line) => line.includes('"isValid"') && line.includes(id));
  return lines.map((line) => (JSON.parse(line) as { isValid: boolean }).isValid)[0];
}
