import { expect } from "chai";
import { toQuantity, Wallet } from "ethers";
import type { Clock } from "#sdk/clock.ts";
import type { SuretyError } from "#sdk/errors.ts";
import { MemoryEventStore, type RawEvent } from "#sdk/event-store.ts";
import { Follower } from "#sdk/follower.ts";
import { CrossCheck } from "../../agents/chain/cross-check.ts";
import { HttpRpc, type HttpRpcOptions } from "../../agents/chain/rpc.ts";
import { Anvil, funded } from "../support/anvil.ts";
import { codeOf } from "../support/error-code.ts";
import { FaultProxy, type Fault } from "../support/fault-proxy.ts";
import { deployLoggingContract, emit } from "../support/logging-contract.ts";

/** A clock that stands until it is set, and whose sleeps end at once. */
class SetClock implements Clock {
  time = 1_000_000;
  now = (): number => this.time;
  sleep = async (milliseconds: number): Promise<void> => void (this.time += milliseconds);
}

describe("several endpoints", function () {
  this.timeout(60_000);
  let chain: Anvil;
  const proxies: FaultProxy[] = [];
  const others: Anvil[] = [];

  before(async () => {
    chain = await Anvil.start();
    await chain.mine(20);
  });
  after(() => chain.stop("SIGKILL"));
  afterEach(async () => {
    await Promise.all(proxies.splice(0).map((each) => each.close()));
    await Promise.all(others.splice(0).map((each) => each.stop("SIGKILL")));
  });

  /** As many ways to the same chain, of which each can be harmed, and what was said of them. */
  async function reach(count: number, options: Partial<HttpRpcOptions> = {}, upstreams: Anvil[] = []) {
    const started = await Promise.all(
      Array.from({ length: count }, (_, index) => FaultProxy.start((upstreams[index] ?? chain).url)),
    );
    proxies.push(...started);
    const told: { code: string; endpoint: unknown }[] = [];
    const clock = new SetClock();
    const onTrouble = ({ code, details }: SuretyError): void => void told.push({ code, endpoint: details["endpoint"] });
    const urls = started.map(({ url }) => url);
    const rpc = new HttpRpc(
      { urls, chainId: 31337, timeoutMs: 300, retries: 1, backoffMs: 1, onTrouble, ...options },
      { clock },
    );
    const names = urls.map((url) => new URL(url).host);
    return { rpc, proxies: started, told, clock, names, height: () => rpc.request("eth_blockNumber") };
  }

  const failures: Fault[] = [
    { kind: "status", code: 429 },
    { kind: "status", code: 500 },
    { kind: "hang" },
    { kind: "half-open" },
    { kind: "refuse" },
    { kind: "cut-answer" },
    { kind: "garbage" },
    { kind: "drip", bytes: 1, pauseMs: 50 },
    { kind: "error", code: -32005, message: "daily request count exceeded, request rate limited" },
  ];
  for (const fault of failures) {
    it(`uses another while one answers with: ${fault.kind}${"code" in fault ? ` ${fault.code}` : ""}`, async () => {
      const { proxies, told, names, height } = await reach(2);
      expect(await height()).to.equal(toQuantity(20));
      proxies[0]!.inject(fault);
      expect(await height()).to.equal(toQuantity(20));
      expect(await height()).to.equal(toQuantity(20));
      expect(proxies[0]!.harmed).to.equal(1);
      expect(told).to.deep.equal([{ code: "RPC_UNREACHABLE", endpoint: names[0] }]);
    });
  }

  it("leaves an endpoint alone for as long as it asks, and then comes back to it", async () => {
    const { proxies, clock, rpc, height } = await reach(2);
    proxies[0]!.inject({ kind: "status", code: 429, retryAfter: "120" }, { times: 1 });
    await height();
    proxies[1]!.inject({ kind: "status", code: 500 });
    // Nobody is left: the one is down, the other may not be asked.
    expect(await codeOf(() => height())).to.equal("RPC_UNREACHABLE");
    expect(proxies[0]!.asked).to.have.length(1);
    clock.time += 120_000;
    expect(await height()).to.equal(toQuantity(20));
    expect(rpc.endpoints[0]!.standing).to.equal("good");
  });

  it("waits for the only endpoint if it asks for little time", async () => {
    const { proxies, clock, height } = await reach(1);
    proxies[0]!.inject({ kind: "status", code: 429, retryAfter: "2" }, { times: 1 });
    const before = clock.time;
    expect(await height()).to.equal(toQuantity(20));
    expect(clock.time - before).to.be.greaterThanOrEqual(2_000);
  });

  it("names an endpoint that is on another chain, also one that comes to be, and uses it no more", async () => {
    const { proxies, told, names, height } = await reach(2);
    await height();
    proxies[0]!.inject({ kind: "refuse" }, { times: 1 });
    await height();
    proxies[0]!.inject({ kind: "wrong-chain", chainId: 1 });
    proxies[1]!.inject({ kind: "refuse" }, { times: 1 });
    expect(await height()).to.equal(toQuantity(20));
    expect(told.at(-1)).to.deep.equal({ code: "CHAIN_MISMATCH", endpoint: names[0] });
    expect(proxies[0]!.asked.filter((method) => method === "eth_blockNumber")).to.have.length(2);
  });

  it("asks another when one that was on the right chain says that it is on another", async () => {
    const { rpc, proxies, told, names, height } = await reach(2);
    await height();
    proxies[0]!.inject({ kind: "wrong-chain", chainId: 1 });
    expect(await rpc.request("eth_chainId")).to.equal(toQuantity(31337));
    expect(told).to.deep.equal([{ code: "CHAIN_MISMATCH", endpoint: names[0] }]);
    proxies[1]!.inject({ kind: "wrong-chain", chainId: 1 });
    expect(await codeOf(() => rpc.request("eth_chainId"))).to.equal("CHAIN_MISMATCH");
  });

  it("hands a signed transaction to every endpoint, and is content when one has taken it", async () => {
    const apart = await Anvil.start();
    others.push(apart);
    const { rpc, proxies } = await reach(3, {}, [chain, apart]);
    proxies[2]!.inject({ kind: "refuse" });
    const nonce = Number(await chain.send("eth_getTransactionCount", funded.address, "latest"));
    const signed = await new Wallet(funded.key).signTransaction({
      type: 2,
      ...{ chainId: 31337, nonce, to: funded.address, gasLimit: 21_000n },
      ...{ maxFeePerGas: 10n ** 11n, maxPriorityFeePerGas: 1n },
    });
    const hash = await rpc.request("eth_sendRawTransaction", [signed]);
    for (const each of [chain, apart]) expect(await each.send("eth_getTransactionByHash", hash)).not.to.equal(null);
    await chain.send("anvil_dropTransaction", hash);
  });

  describe("are held against each other", () => {
    const finalDepth = 4;

    it("and one that lacks what another had a while ago is named and put aside", async () => {
      const { rpc, proxies, clock, told, names, height } = await reach(2);
      const check = new CrossCheck({ finalDepth, maxLagMs: 30_000 }, { endpoints: rpc.endpoints, clock });
      proxies[0]!.inject({ kind: "stale-head", block: 15 });
      await check.look();
      clock.time += 29_999;
      await check.look();
      expect(told).to.deep.equal([]);
      expect(await height()).to.equal(toQuantity(15));
      clock.time += 1;
      await check.look();
      expect(told).to.deep.equal([{ code: "RPC_BEHIND", endpoint: names[0] }]);
      expect(await height()).to.equal(toQuantity(20));
      proxies[0]!.heal();
      clock.time += 60_000;
      await check.look();
      expect(rpc.endpoints.map(({ standing }) => standing)).to.deep.equal(["good", "good"]);
    });

    it("and one that is a moment late is not", async () => {
      const { rpc, proxies, clock, told } = await reach(2);
      const check = new CrossCheck({ finalDepth, maxLagMs: 30_000 }, { endpoints: rpc.endpoints, clock });
      for (let block = 12; block < 20; block += 1) {
        const lift = proxies[1]!.inject({ kind: "stale-head", block });
        const ahead = proxies[0]!.inject({ kind: "stale-head", block: block + 1 });
        await check.look();
        lift();
        ahead();
        clock.time += 15_000;
      }
      expect(told).to.deep.equal([]);
    });

    it("and the one that has another block at final depth is named and put aside", async () => {
      const fork = await Anvil.start();
      others.push(fork);
      await fork.mine(20);
      for (const liar of [0, 1, 2]) {
        const upstreams = [chain, chain, chain].toSpliced(liar, 1, fork);
        const { rpc, told, names, clock } = await reach(3, {}, upstreams);
        await new CrossCheck({ finalDepth }, { endpoints: rpc.endpoints, clock }).look();
        expect(told).to.deep.equal([{ code: "RPC_CONTRADICTED", endpoint: names[liar] }]);
        const block = (await rpc.request("eth_getBlockByNumber", ["0xa", false])) as { hash: string };
        expect(block).to.deep.equal(await chain.send("eth_getBlockByNumber", "0xa", false));
      }
    });

    it("and of two that contradict each other the first is believed", async () => {
      const fork = await Anvil.start();
      others.push(fork);
      await fork.mine(20);
      const { rpc, told, names, clock } = await reach(2, {}, [chain, fork]);
      await new CrossCheck({ finalDepth }, { endpoints: rpc.endpoints, clock }).look();
      expect(told).to.deep.equal([{ code: "RPC_CONTRADICTED", endpoint: names[1] }]);
    });

    it("and a difference above the final depth is none", async () => {
      const { rpc, proxies, told, clock } = await reach(3);
      proxies[1]!.inject({
        kind: "rewrite",
        result: (_request, block) =>
          Number((block as { number?: string }).number) > 16
            ? { ...(block as object), hash: `0x${"11".repeat(32)}` }
            : block,
      });
      await new CrossCheck({ finalDepth }, { endpoints: rpc.endpoints, clock }).look();
      expect(told).to.deep.equal([]);
    });

    it("and one that does not answer has no say, nor does the only one", async () => {
      const { rpc, proxies, told, clock, names } = await reach(2);
      proxies[1]!.inject({ kind: "refuse" });
      const check = new CrossCheck({ finalDepth }, { endpoints: rpc.endpoints, clock });
      await check.look();
      expect(told).to.deep.equal([{ code: "RPC_UNREACHABLE", endpoint: names[1] }]);
      const alone = await reach(1);
      await new CrossCheck({ finalDepth }, { endpoints: alone.rpc.endpoints, clock }).look();
      expect(alone.proxies[0]!.asked).to.deep.equal([]);
    });
  });

  describe("feed the follower", () => {
    let contract: string;
    before(async () => {
      contract = await deployLoggingContract(chain);
    });

    /** Follows to the head once, whatever it takes, and returns what was seen. */
    async function follow(rpc: HttpRpc, finalDepth: number) {
      const follower = new Follower(
        { chainId: 31337, addresses: [contract], startBlock: 1, finalDepth, singlyBlocks: 1 },
        { rpc: rpc.endpoints, store: new MemoryEventStore() },
      );
      const events: RawEvent[] = [];
      const troubles: { code: string; endpoint: unknown }[] = [];
      for (let tries = 0; ; tries += 1) {
        try {
          await follower.sync({ onEvents: (some) => void events.push(...some) });
          return { events, troubles };
        } catch (error) {
          const { code, details } = error as SuretyError;
          troubles.push({ code, endpoint: details["endpoint"] });
          if (tries > 5) throw error;
        }
      }
    }

    async function emitted(): Promise<number> {
      for (const value of [1, 2, 3]) {
        await emit(chain, contract, value);
        await chain.mine();
      }
      const logs = await chain.send("eth_getLogs", { address: contract, fromBlock: "0x0", toBlock: "latest" });
      return (logs as unknown[]).length;
    }

    it("which notices logs that the first left out of new blocks, names it and takes the next", async () => {
      const { rpc, proxies, told, names } = await reach(2);
      const count = await emitted();
      proxies[0]!.inject({ kind: "drop-logs" });
      const { events, troubles } = await follow(rpc, 64);
      expect(events).to.have.length(count);
      expect(troubles).to.deep.equal([{ code: "RPC_INCONSISTENT", endpoint: names[0] }]);
      expect(told).to.deep.equal([{ code: "RPC_INCONSISTENT", endpoint: names[0] }]);
      expect(rpc.endpoints[0]!.standing).to.equal("doubted");
    });

    it("which notices logs that either left out of old history", async () => {
      const count = await emitted();
      for (const forgetful of [0, 1]) {
        const { rpc, proxies, told, names } = await reach(2);
        proxies[forgetful]!.inject({ kind: "drop-logs" });
        const { events } = await follow(rpc, 1);
        expect(events).to.have.length(count);
        expect(told).to.deep.equal([{ code: "RPC_INCONSISTENT", endpoint: names[forgetful] }]);
      }
    });

    it("which leaves an endpoint that somebody else found to be wrong", async () => {
      const { rpc, proxies, clock } = await reach(2);
      proxies[0]!.inject({ kind: "stale-head", block: 3 });
      const check = new CrossCheck({ finalDepth: 4 }, { endpoints: rpc.endpoints, clock });
      await check.look();
      clock.time += 30_000;
      await check.look();
      const before = proxies[0]!.asked.length;
      await follow(rpc, 64);
      expect(proxies[0]!.asked).to.have.length(before);
    });

    it("which gives up on a sole endpoint of another chain", async () => {
      const { rpc, proxies } = await reach(1);
      proxies[0]!.inject({ kind: "wrong-chain", chainId: 1 });
      const follower = new Follower(
        { chainId: 31337, addresses: [contract], startBlock: 1, finalDepth: 4 },
        { rpc: rpc.endpoints, store: new MemoryEventStore() },
      );
      const signal = AbortSignal.timeout(20_000);
      expect(await codeOf(() => follower.run({ signal }))).to.equal("CHAIN_MISMATCH");
    });
  });
});
