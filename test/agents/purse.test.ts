import { expect } from "chai";
import { parseUnits, toQuantity } from "ethers";
import pRetry from "p-retry";
import pino from "pino";
import * as calls from "#sdk/calls.ts";
import { SuretyError } from "#sdk/errors.ts";
import { CallReverted } from "../../agents/chain/revert.ts";
import { readRequesterConfig } from "../../agents/config.ts";
import { MarketAgent } from "../../agents/market-agent.ts";
import { AgentMetrics } from "../../agents/monitoring/metrics.ts";
import { Purse } from "../../agents/requester/purse.ts";
import { RestlessChain } from "../soak/chain.ts";
import { failureOf } from "../support/error-code.ts";
import { LocalMarket } from "../support/local-market.ts";

const FINAL_DEPTH = 12;
/** Blocks that may be mined between asking for the height and reorganising. */
const SLACK = 2;
const amount = parseUnits("70", 18);

describe("purse on a chain that takes back what it had", function () {
  this.timeout(60_000);
  let chain: RestlessChain;
  let market: LocalMarket;
  const asked = new AbortController();
  const agents: MarketAgent[] = [];

  before(async () => {
    market = await LocalMarket.start({
      accounts: 3,
      start: async (options) => (chain = await RestlessChain.start(options)),
      parameters: { finalDepth: FINAL_DEPTH },
    });
  });

  after(async () => {
    asked.abort();
    for (const agent of agents) await agent.close();
    await market?.stop();
  });

  async function open(): Promise<{ agent: MarketAgent; purse: Purse }> {
    const account = market.account();
    await market.give(account.address, parseUnits("100", 18));
    await chain.send("anvil_mine", toQuantity(SLACK + 1));
    const { config: path } = await market.agentHome(`requester-${agents.length}`, account);
    const agent = await MarketAgent.open({
      config: await readRequesterConfig(path),
      logger: pino({ enabled: false }),
      signal: asked.signal,
      metrics: new AgentMetrics({ agent: "requester", version: "0.0.0" }),
    });
    agents.push(agent);
    return { agent, purse: new Purse(agent, agent.deployment.market) };
  }

  /** Just before a call is sent for the first time, removes all blocks from that of another on, for good. */
  function losing(agent: MarketAgent, lost: string, before: string): () => number {
    const submit = agent.sender.submit.bind(agent.sender);
    let times = 0;
    agent.sender.submit = async (call, options) => {
      if (times === 0 && call.key.startsWith(before)) {
        times += 1;
        const { inclusion } = agent.journal.intents.open(agent.address).find(({ key }) => key.startsWith(lost))!;
        const height = Number(await market.rpc.request("eth_blockNumber", []));
        await chain.reorganise(height - inclusion!.blockNumber + 1 + SLACK, "lost");
      }
      return submit(call, options);
    };
    return () => times;
  }

  it("says that a deposit may come yet while its approval is not final, and makes it once it is there again", async () => {
    const { agent, purse } = await open();
    const times = losing(agent, "approve:", "deposit:");
    const failure = await failureOf(purse.provide("job:0", amount));
    expect(failure).to.include({ code: "CALL_REFUSED_YET", kind: "retryable" });
    expect(failure.cause).to.be.instanceOf(CallReverted);
    expect(await purse.funds()).to.deep.equal({ inLedger: 0n, inWallet: parseUnits("100", 18) });

    await purse.provide("job:0", amount);
    expect(await purse.funds()).to.deep.equal({ inLedger: amount, inWallet: parseUnits("30", 18) });
    expect(times()).to.equal(1);
  });

  it("says so of what a deposit was for, and of nothing else", async () => {
    const { agent, purse } = await open();
    const { vault, market: ledger } = agent.deployment;
    await purse.provide("job:0", amount);
    const withdraw = (key: string) => ({ key, ...calls.withdraw(vault, { ledger, to: agent.address, amount }) });
    losing(agent, "deposit:", "take:");
    const follows = agent.sendAndWait(withdraw("take:job:0"), "job:0");
    expect(await failureOf(follows)).to.include({ code: "CALL_REFUSED_YET", kind: "retryable" });
    const other = agent.sendAndWait(withdraw("take:job:1"), "job:1");
    expect(await failureOf(other)).to.be.instanceOf(CallReverted);

    // As agents do, whose journal may have to hear first that what was mined no longer is.
    await pRetry(() => purse.provide("job:0", amount), {
      ...{ retries: 20, factor: 1, minTimeout: 200 },
      shouldRetry: ({ error }) => error instanceof SuretyError && error.kind === "retryable",
    });
    await agent.sendAndWait(withdraw("take:job:0"), "job:0");
    expect(await purse.funds()).to.deep.equal({ inLedger: 0n, inWallet: parseUnits("100", 18) });
  });
});
