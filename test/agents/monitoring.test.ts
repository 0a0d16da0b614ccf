import { once } from "node:events";
import { createServer, type AddressInfo } from "node:net";
import { expect } from "chai";
import type { EventArguments, SuretyEvent } from "#sdk/events.ts";
import { monitoringSchema } from "../../agents/config/monitoring.ts";
import type { Executor, TaskOutcome, WasmTask } from "../../agents/executor/executor.ts";
import type { Attempt, Intent } from "../../agents/journal/intent-table.ts";
import { Health } from "../../agents/monitoring/health.ts";
import { Ledger } from "../../agents/monitoring/ledger.ts";
import { AgentMetrics } from "../../agents/monitoring/metrics.ts";
import { startMonitoringServer } from "../../agents/monitoring/server.ts";
import { codeOf } from "../support/error-code.ts";

const newMetrics = (): AgentMetrics => new AgentMetrics({ agent: "compute", version: "1.2.3" });

/** Values by name and labels, as in the text: `surety_calls_total{call="submit",outcome="sent"}`. */
async function valuesOf(metrics: AgentMetrics): Promise<Map<string, number>> {
  const lines = (await metrics.text()).split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return new Map(lines.map((line) => [line.slice(0, line.lastIndexOf(" ")), Number(line.split(" ").at(-1))]));
}

describe("metrics of an agent", () => {
  const attempt: Attempt = {
    hash: "0x01",
    raw: "0x02",
    purpose: "call",
    nonce: 0,
    maxFeePerGas: 5n,
    maxPriorityFeePerGas: 1n,
    signedAt: 1,
  };
  const inclusion = {
    hash: "0x01",
    blockNumber: 7,
    blockHash: "0x03",
    succeeded: true,
    gasUsed: 21_000n,
    gasPrice: 3n,
    purpose: "call" as const,
  };
  const intent = (changes: Partial<Intent>): Intent => ({
    key: "submit:0xab:0",
    account: "0x00",
    to: "0x00",
    data: "0x",
    value: 0n,
    status: "planned",
    attempts: [],
    dead: [],
    ...changes,
  });

  it("count a call once for each step it takes, and its gas when nothing can undo it", async () => {
    const metrics = newMetrics();
    const steps: Partial<Intent>[] = [
      { status: "planned" },
      { status: "signed", attempts: [attempt] },
      { status: "sent", attempts: [attempt] },
      { status: "sent", attempts: [attempt] },
      { status: "signed", attempts: [attempt, attempt] },
      { status: "sent", attempts: [attempt, attempt] },
      { status: "mined", attempts: [attempt, attempt], inclusion },
      { status: "mined", attempts: [attempt, attempt], inclusion },
    ];
    for (const step of steps) metrics.stepped(intent(step));
    const before = await valuesOf(metrics);
    expect(before.has('surety_gas_spent_wei_total{call="submit"}')).to.equal(false);
    metrics.stepped(intent({ status: "final", attempts: [attempt, attempt], inclusion }));
    const values = await valuesOf(metrics);
    for (const outcome of ["sent", "bumped", "mined", "final"]) {
      expect(values.get(`surety_calls_total{call="submit",outcome="${outcome}"}`), outcome).to.equal(1);
    }
    expect(values.get('surety_gas_spent_wei_total{call="submit"}')).to.equal(63_000);
    expect(values.get("surety_gas_price_wei")).to.equal(3);
  });

  it("tell a call that was refused from one that reverted and one that came too late", async () => {
    const metrics = newMetrics();
    const failure = { code: "CALL_REVERTED", message: "" };
    metrics.stepped(intent({ status: "failed", failure }));
    metrics.stepped(intent({ key: "claim:1:0", status: "failed", failure, inclusion }));
    metrics.stepped(intent({ key: "settle:1", status: "failed", failure: { code: "DEADLINE_PASSED", message: "" } }));
    const values = await valuesOf(metrics);
    expect(values.get('surety_calls_total{call="submit",outcome="refused"}')).to.equal(1);
    expect(values.get('surety_calls_total{call="claim",outcome="reverted"}')).to.equal(1);
    expect(values.get('surety_gas_spent_wei_total{call="claim"}')).to.equal(63_000);
    expect(values.get('surety_calls_total{call="settle",outcome="expired"}')).to.equal(1);
  });

  it("count tasks by how they ended, also those that an executor let down", async () => {
    const metrics = newMetrics();
    const outcomes = [{ code: 0 }, { code: 3 }, { limit: "fuel" }, { trap: "unreachable" }, undefined];
    const executor = {
      runtime: "wasm",
      run: async (): Promise<TaskOutcome> => {
        const exit = outcomes.shift();
        if (!exit) throw new Error("the machine let it down");
        return { exit } as TaskOutcome;
      },
    } as unknown as Executor;
    const measured = metrics.measured(executor);
    for (let run = 0; run < 5; run += 1) await measured.run({} as WasmTask).catch(() => undefined);
    const values = await valuesOf(metrics);
    for (const outcome of ["done", "failed", "limit-fuel", "trap", "error"]) {
      expect(values.get(`surety_tasks_total{outcome="${outcome}"}`), outcome).to.equal(1);
    }
    expect(values.get("surety_task_seconds_count")).to.equal(4);
    expect(values.get("surety_tasks_running")).to.equal(0);
  });

  it("show of an endpoint its host only", async () => {
    const metrics = newMetrics();
    const answers = [new Response("{}"), new Response("", { status: 503 })];
    const ask = metrics.measuredFetch(() => Promise.resolve(answers.shift() ?? Response.error()));
    await ask("https://user:password@rpc.example/v3/0123456789abcdef?key=secret");
    await ask("https://rpc.example/v3/0123456789abcdef");
    const text = await metrics.text();
    expect(text).not.to.match(/0123456789abcdef|password|secret/);
    const values = await valuesOf(metrics);
    expect(values.get('surety_rpc_requests_total{endpoint="rpc.example",outcome="answered"}')).to.equal(1);
    expect(values.get('surety_rpc_requests_total{endpoint="rpc.example",outcome="failed"}')).to.equal(1);
  });

  it("leave out what cannot be found, and tell the rest", async () => {
    const metrics = newMetrics();
    let fails = true;
    metrics.ask("found_bytes", "Found.", () => 7);
    metrics.ask("lost_bytes", "Lost.", () => (fails ? Promise.reject(new Error("gone")) : 8));
    expect([...(await valuesOf(metrics)).keys()])
      .to.include("surety_found_bytes")
      .and.not.include("surety_lost_bytes");
    fails = false;
    expect((await valuesOf(metrics)).get("surety_lost_bytes")).to.equal(8);
  });

  it("have names that carry their units or say what they count", async () => {
    const metrics = newMetrics();
    metrics.ask("x_bytes", "x", () => 1);
    const families = (await metrics.registry.getMetricsAsJSON()).map(({ name, type }) => ({
      name,
      type: String(type),
    }));
    for (const { name, type } of families) {
      expect(name).to.match(/^surety_[a-z_]+$/);
      if (type === "counter") expect(name).to.match(/_total$/);
      if (type === "histogram") expect(name).to.match(/_(seconds|bytes)$/);
    }
  });
});

describe("ledger of an account", () => {
  const [market, registry, me, other] = ["market", "registry", "me", "other"];
  let ledger: Ledger;
  beforeEach(() => (ledger = new Ledger({ account: me, market, registry })));

  function tell<Name extends keyof EventArguments>(name: Name, args: EventArguments[Name]): void {
    ledger.apply({ name, ...args } as unknown as SuretyEvent);
  }

  it("counts what it locked until it is spent, burned or returned", () => {
    tell("Locked", { ledger: market, id: "1", holder: me, amount: 100n });
    tell("Locked", { ledger: market, id: "1", holder: me, amount: 20n });
    tell("Locked", { ledger: market, id: "2", holder: other, amount: 50n });
    tell("Released", { ledger: market, id: "1", payments: [{ to: other, amount: 30n }], burned: 5n, returned: 0n });
    expect(ledger.totals).to.include({ locked: 85n, spent: 30n, burned: 5n, earned: 0n });
    const payments = [
      { to: other, amount: 10n },
      { to: me, amount: 1n },
    ];
    tell("Released", { ledger: market, id: "1", payments, burned: 0n, returned: 74n });
    expect(ledger.totals).to.include({ locked: 0n, spent: 40n, burned: 5n, earned: 0n });
  });

  it("counts what others' locks pay it, in this market only", () => {
    const payments = [
      { to: me, amount: 7n },
      { to: other, amount: 8n },
    ];
    tell("Released", { ledger: market, id: "2", payments, burned: 0n, returned: 0n });
    tell("Released", { ledger: registry, id: "3", payments, burned: 0n, returned: 0n });
    tell("Released", { ledger: "elsewhere", id: "4", payments, burned: 0n, returned: 0n });
    expect(ledger.totals.earned).to.equal(14n);
  });

  it("takes its own stake, when it comes back, for no income", () => {
    tell("Locked", { ledger: registry, id: "9", holder: me, amount: 100n });
    tell("Released", { ledger: registry, id: "9", payments: [{ to: me, amount: 60n }], burned: 40n, returned: 0n });
    expect(ledger.totals).to.include({ earned: 0n, locked: 0n, spent: 0n, burned: 0n });
  });

  it("counts slashes and fines of its own, and of fines what was there to take", () => {
    tell("Slashed", { market, node: me, amount: 11n, rewarded: 3n });
    tell("Fined", { market, node: me, amount: 5n, taken: 2n });
    tell("Slashed", { market, node: other, amount: 11n, rewarded: 3n });
    tell("Fined", { market: "elsewhere", node: me, amount: 5n, taken: 5n });
    expect(ledger.totals).to.include({ slashed: 11n, fined: 2n });
  });
});

describe("health of an agent", () => {
  const good = (): Promise<void> => Promise.resolve();
  const idle = { lastSign: () => 0, isDraining: () => false };

  it("is lost once its loop stands still for ten minutes", () => {
    let now = 0;
    const health = new Health(
      { ...idle, checks: {} },
      { clock: { now: () => now, sleep: () => Promise.reject(new Error("nobody sleeps here")) } },
    );
    expect(health.live().ok).to.equal(true);
    now = 600_000;
    expect(health.live().ok).to.equal(true);
    now = 601_000;
    expect(health.live()).to.deep.equal({ ok: false, checks: { loop: "stuck for 601 s" } });
  });

  it("is not ready while something fails, and says which, without a word of the message", async () => {
    const bad = (): Promise<void> => Promise.reject(new Error("http://user:password@place"));
    const report = await new Health({ ...idle, checks: { chain: good, storage: bad } }).ready();
    expect(report).to.deep.equal({ ok: false, checks: { chain: "ok", storage: "failed", taking: "ok" } });
  });

  it("is not ready while it drains, though all else is there", async () => {
    const health = new Health({ lastSign: () => 0, isDraining: () => true, checks: { chain: good } });
    expect(await health.ready()).to.deep.equal({ ok: false, checks: { chain: "ok", taking: "draining" } });
  });

  it("does not look again for whoever asks a moment later", async () => {
    let now = 0;
    let looks = 0;
    const clock = { now: () => now, sleep: () => Promise.resolve() };
    const counted = async (): Promise<void> => void (looks += 1);
    const health = new Health({ ...idle, checks: { counted } }, { clock });
    await Promise.all([health.ready(), health.ready()]);
    expect(looks).to.equal(1);
    now = 10_000;
    await health.ready();
    expect(looks).to.equal(2);
  });
});

describe("monitoring server", () => {
  const health = (ok: boolean): Health =>
    new Health({
      lastSign: () => (ok ? performance.timeOrigin + performance.now() : 0),
      isDraining: () => !ok,
      checks: {},
    });

  it("answers what is asked, and nothing else", async () => {
    const server = await startMonitoringServer(
      { listen: "127.0.0.1:0" },
      { metrics: newMetrics(), health: health(true) },
    );
    try {
      const told = await fetch(`${server.url}/metrics`);
      expect(told.headers.get("content-type")).to.match(/^text\/plain; version=0\.0\.4/);
      expect(await told.text()).to.include('surety_build_info{agent="compute",version="1.2.3"} 1');
      expect((await fetch(`${server.url}/healthz`)).status).to.equal(200);
      expect((await fetch(`${server.url}/readyz`)).status).to.equal(200);
      expect((await fetch(`${server.url}/`)).status).to.equal(404);
      expect((await fetch(`${server.url}/metrics`, { method: "POST" })).status).to.equal(405);
    } finally {
      await server.close();
    }
  });

  it("says with its status that the agent is stuck or not ready", async () => {
    const parts = { metrics: newMetrics(), health: health(false) };
    const server = await startMonitoringServer({ listen: "127.0.0.1:0" }, parts);
    try {
      expect((await fetch(`${server.url}/healthz`)).status).to.equal(503);
      expect((await fetch(`${server.url}/readyz`)).status).to.equal(503);
    } finally {
      await server.close();
    }
  });

  it("refuses a port that somebody has", async () => {
    const taken = createServer().listen(0, "127.0.0.1");
    await once(taken, "listening");
    const { port } = taken.address() as AddressInfo;
    const listen = `127.0.0.1:${port}`;
    const starting = (): Promise<unknown> =>
      startMonitoringServer({ listen }, { metrics: newMetrics(), health: health(true) });
    try {
      expect(await codeOf(starting)).to.equal("MONITORING_PORT");
    } finally {
      taken.close();
    }
  });

  it("is configured with an address and a port", () => {
    for (const listen of ["127.0.0.1:9464", "[::1]:9464", ":9464", "localhost:0"]) {
      expect(monitoringSchema.safeParse({ listen }).success, listen).to.equal(true);
    }
    for (const listen of ["9464", "127.0.0.1", "127.0.0.1:70000", "http://127.0.0.1:9464", "::1:9464"]) {
      expect(monitoringSchema.safeParse({ listen }).success, listen).to.equal(false);
    }
  });
});
