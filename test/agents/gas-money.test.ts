import { expect } from "chai";
import { parseEther, toQuantity } from "ethers";
import { pino } from "pino";
import { runComputeAgent } from "../../agents/compute/agent.ts";
import { readComputeConfig, readRequesterConfig } from "../../agents/config.ts";
import { runRequesterAgent } from "../../agents/requester/agent.ts";
import { newTicketId, putTicket, readTickets } from "../../agents/requester/spool.ts";
import { systemClock } from "#sdk/clock.ts";
import { LocalMarket } from "../support/local-market.ts";

describe("an agent with too little money for gas", function () {
  this.timeout(120_000);
  let market: LocalMarket;

  before(async () => {
    market = await LocalMarket.start();
  });
  after(() => market.stop());

  const lines: { msg: string; error?: { code: string } }[] = [];
  const logger = pino({ level: "info" }, { write: (line: string) => void lines.push(JSON.parse(line)) });
  const said = (code: string): boolean => lines.some(({ error }) => error?.code === code);

  async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
    const signal = AbortSignal.timeout(60_000);
    while (!(await condition())) await systemClock.sleep(50, { signal });
  }

  async function setBalance(address: string, ether: string): Promise<void> {
    await market.rpc.request("hardhat_setBalance", [address, toQuantity(parseEther(ether))]);
  }

  it("takes no place in the pool, says so, and does when it was sent some", async () => {
    lines.length = 0;
    const account = market.account();
    await market.give(account.address, parseEther("2000"));
    await setBalance(account.address, "0.001");
    const { config: path } = await market.agentHome("compute", account, {
      class: market.deployment.classes[0]!.id,
      stake: "1500",
      chain: { gasReserve: "0.5 ether" },
    });
    const done = new AbortController();
    const running = runComputeAgent(await readComputeConfig(path), { signal: done.signal, logger });
    await until(() => said("GAS_MONEY_LOW"));
    const { number } = (await market.rpc.request("eth_getBlockByNumber", ["latest", false])) as { number: string };
    await until(async () => Number(await market.rpc.request("eth_blockNumber")) > Number(number) + 5);
    expect(await market.transactionsOf(account.address)).to.equal(0);
    await setBalance(account.address, "1");
    await until(async () => (await market.transactionsOf(account.address)) >= 4);
    done.abort();
    await running;
    expect(lines.filter(({ error }) => error?.code === "GAS_MONEY_LOW")).to.have.length(1);
    expect(lines.some(({ msg }) => msg === "enough money for gas again")).to.equal(true);
  });

  it("takes no job, and does when it was sent some", async () => {
    lines.length = 0;
    const account = market.account();
    await setBalance(account.address, "0.001");
    const { home, config: path } = await market.agentHome("requester", account, {
      chain: { gasReserve: "0.5 ether" },
    });
    const spec = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy";
    const windows = { claim: 60, submit: 60, reveal: 60, check: 60, judge: 60, challenge: 60 };
    await putTicket(home, {
      ticket: newTicketId(),
      name: "job",
      createdAt: new Date().toISOString(),
      terms: {
        ...{ spec, mode: "sampled", adaptive: false, quorum: 3, rate: 30_000, guess: 0, maxShare: 1_000_000 },
        ...{ minSlice: 1, price: "1", verifierPrice: "1", slashAmount: null, fullSlash: true },
        ...{ class: market.deployment.classes[0]!.id, windows, allowed: [], excluded: [] },
      },
      manifest: spec,
      count: 1,
      plantShare: 0,
    });
    const done = new AbortController();
    const running = runRequesterAgent(await readRequesterConfig(path), { signal: done.signal, logger });
    await until(() => said("GAS_MONEY_LOW"));
    const number = Number(await market.rpc.request("eth_blockNumber"));
    await until(async () => Number(await market.rpc.request("eth_blockNumber")) > number + 5);
    expect((await readTickets(home)).tickets).to.have.length(1);
    await setBalance(account.address, "1");
    await until(async () => (await readTickets(home)).tickets.length === 0);
    expect(lines.some(({ msg }) => msg === "took a job")).to.equal(true);
    done.abort();
    await running;
  });
});
