import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createInterface } from "node:readline";
import { expect } from "chai";
import { parseUnits } from "ethers";
import { startSurety } from "../support/command-line.ts";
import { LocalMarket } from "../support/local-market.ts";

describe("agent that tells how it is", function () {
  this.timeout(120_000);
  let market: LocalMarket;
  const children: ChildProcess[] = [];
  /** Names of all metrics that agents told of themselves. */
  const told = new Set<string>();

  before(async () => {
    market = await LocalMarket.start();
  });

  after(async () => {
    for (const child of children) child.kill("SIGKILL");
    await market?.stop();
  });

  /** Starts an agent that listens on a free port, and returns where. */
  async function start(
    agent: "compute" | "participant" | "requester",
    settings: object,
  ): Promise<{ child: ChildProcess; url: string }> {
    const account = market.account();
    await market.give(account.address, parseUnits("3000", 18));
    const monitoring = { listen: "127.0.0.1:0" };
    const { config } = await market.agentHome(agent, account, { ...settings, monitoring });
    const child = startSurety([agent, "--config", config]);
    children.push(child);
    const said: string[] = [];
    child.stderr?.setEncoding("utf8").on("data", (text: string) => said.push(text));
    for await (const line of createInterface({ input: child.stdout as NodeJS.ReadableStream })) {
      said.push(line);
      const { url } = JSON.parse(line) as { url?: string };
      if (url === undefined) continue;
      child.stdout?.resume();
      return { child, url };
    }
    throw new Error(`the ${agent} ended before it listened:\n${said.join("\n")}`);
  }

  async function values(url: string): Promise<Map<string, number>> {
    const lines = (await (await fetch(`${url}/metrics`)).text()).split("\n");
    for (const line of lines) {
      const [, name] = /^# TYPE (surety_\w+)/.exec(line) ?? [];
      if (name !== undefined) told.add(name);
    }
    const samples = lines.filter((line) => line.startsWith("surety_"));
    return new Map(samples.map((line) => [line.slice(0, line.lastIndexOf(" ")), Number(line.split(" ").at(-1))]));
  }

  async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
    const deadline = Date.now() + 60_000;
    while (!(await holds())) {
      if (Date.now() > deadline) throw new Error(`waited a minute for ${what}`);
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  }

  async function checks(url: string): Promise<{ status: number; checks: Record<string, string> }> {
    const response = await fetch(`${url}/readyz`);
    const { checks } = (await response.json()) as { checks: Record<string, string> };
    return { status: response.status, checks };
  }

  it("tells of a compute node its stake, its money and its calls, and ends when asked to", async () => {
    const { child, url } = await start("compute", { class: market.deployment.classes[0]?.id, stake: "2000" });
    await until("the stake", async () => (await values(url)).get('surety_stake_tokens{part="backing"}') === 1000);
    await until("the first head", async () => ((await values(url)).get("surety_head_block") ?? 0) > 0);
    const now = await values(url);
    expect(now.get('surety_stake_tokens{part="total"}')).to.equal(2000);
    expect(now.get('surety_stake_tokens{part="free"}')).to.equal(1000);
    expect(now.get('surety_balance_tokens{place="wallet"}')).to.equal(1000);
    expect(now.get("surety_gas_balance_wei")).to.be.within(9e20, 1e21);
    expect(now.get('surety_calls_total{call="join",outcome="sent"}')).to.equal(1);
    expect(now.get("surety_journal_bytes")).to.be.above(0);
    expect(now.get("surety_disk_free_bytes")).to.be.above(0);
    expect(now.get("surety_draining")).to.equal(0);
    const endpoint = new URL(market.chain.url).host;
    expect(now.get(`surety_rpc_endpoint_good{endpoint="${endpoint}"}`)).to.equal(1);
    expect(await checks(url)).to.deep.equal({
      status: 200,
      checks: { chain: "ok", storage: "ok", executor: "ok", taking: "ok" },
    });
    expect((await fetch(`${url}/healthz`)).status).to.equal(200);

    child.kill("SIGTERM");
    expect((await once(child, "exit"))[0]).to.equal(0);
  });

  it("tells of a participant that it has a part in nothing yet", async () => {
    const { url } = await start("participant", {});
    await until("the first head", async () => (await values(url)).has("surety_head_block"));
    const now = await values(url);
    expect(now.get('surety_balance_tokens{place="wallet"}')).to.equal(3000);
    expect([...now.keys()].filter((name) => name.startsWith("surety_requests"))).to.be.empty;
    expect((await checks(url)).status).to.equal(200);
  });

  it("tells of a requester its batches and its money, and that its storage is gone", async () => {
    const { url } = await start("requester", {});
    await until("the first head", async () => (await values(url)).has("surety_head_block"));
    const now = await values(url);
    expect(now.get('surety_balance_tokens{place="wallet"}')).to.equal(3000);
    expect(now.get('surety_money_tokens{what="locked"}')).to.equal(0);
    expect((await checks(url)).status).to.equal(200);

    await market.gateway.close();
    await until("the loss of the storage", async () => (await checks(url)).status === 503);
    expect((await checks(url)).checks)
      .to.include({ chain: "ok" })
      .and.not.include({ storage: "ok" });
    expect((await fetch(`${url}/healthz`)).status).to.equal(200);
  });

  it("tells nothing that the page for operators does not explain, and all that it does", async () => {
    const page = await readFile(new URL("../../docs/operating.md", import.meta.url), "utf8");
    const rows = page.split("\n").filter((line) => line.startsWith("| `surety_"));
    const explained = rows.flatMap((row) => row.split("|")[1]!.match(/surety_\w+/g) ?? []);
    expect([...told].sort()).to.deep.equal(explained.sort());
  });
});
