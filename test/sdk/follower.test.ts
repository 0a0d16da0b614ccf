import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { toBeHex } from "ethers";
import { type Clock, systemClock } from "#sdk/clock.ts";
import { SuretyError } from "#sdk/errors.ts";
import { type EventStore, MemoryEventStore, type RawEvent } from "#sdk/event-store.ts";
import { Follower, type FollowerHooks, type FollowerOptions } from "#sdk/follower.ts";
import type { JsonRpc } from "#sdk/json-rpc.ts";
import { HttpRpc } from "../../agents/chain/rpc.ts";
import { Anvil, funded } from "../support/anvil.ts";
import { deployLoggingContract, emit } from "../support/logging-contract.ts";

/** What a consumer ends up believing: events folded in, and out again when the chain takes them back. */
class Witness implements FollowerHooks {
  events: RawEvent[] = [];
  rewinds: number[] = [];
  heads: number[] = [];
  troubles: string[] = [];

  get values(): number[] {
    return this.events.map((event) => Number(event.data));
  }

  onEvents = (events: readonly RawEvent[]): void => void this.events.push(...events);
  onRewind = (number: number): void => {
    this.rewinds.push(number);
    this.events = this.events.filter((event) => event.blockNumber <= number);
  };
  onHead = (head: { number: number }): void => void this.heads.push(head.number);
  onTrouble = (error: SuretyError): void => void this.troubles.push(error.code);
}

async function failureOf(promise: Promise<unknown>): Promise<SuretyError> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof SuretyError) return error;
    throw error;
  }
  throw new Error("expected a failure");
}

/** A clock whose sleeps end at once, after letting others run. */
class HastyClock implements Clock {
  time = 0;
  slept: number[] = [];
  now = (): number => this.time;
  sleep = async (milliseconds: number, options?: { signal?: AbortSignal }): Promise<void> => {
    // Time-outs of requests are real: only pauses are skipped.
    if (milliseconds === requestTimeoutMs) return systemClock.sleep(milliseconds, options);
    this.slept.push(milliseconds);
    this.time += milliseconds;
    await systemClock.sleep(1, options);
  };
}
const requestTimeoutMs = 4_567;

describe("Follower", function () {
  this.timeout(30_000);
  let chain: Anvil;
  let contract: string;
  const open: Anvil[] = [];

  async function start(options?: Parameters<typeof Anvil.start>[0]): Promise<Anvil> {
    const started = await Anvil.start(options);
    open.push(started);
    return started;
  }

  beforeEach(async () => {
    chain = await start();
    contract = await deployLoggingContract(chain);
  });
  afterEach(async () => {
    await Promise.all(open.splice(0).map((each) => each.stop("SIGKILL")));
  });

  function follow(
    options: Partial<FollowerOptions> = {},
    store: EventStore = new MemoryEventStore(),
    rpc?: JsonRpc | JsonRpc[],
  ) {
    const clock = new HastyClock();
    const follower = new Follower(
      { chainId: 31337, addresses: [contract], startBlock: 1, finalDepth: 64, requestTimeoutMs, ...options },
      { rpc: rpc ?? chain.rpc, store, clock },
    );
    return { follower, store, clock };
  }

  async function expectTruth(witness: Witness, follower: Follower): Promise<void> {
    const logs = (await chain.send("eth_getLogs", { address: contract, fromBlock: "0x0", toBlock: "latest" })) as {
      blockHash: string;
      logIndex: string;
    }[];
    expect(witness.events.map((event) => `${event.blockHash}:${event.logIndex}`)).to.deep.equal(
      logs.map((log) => `${log.blockHash}:${Number(log.logIndex)}`),
    );
    expect(follower.head?.number).to.equal(await chain.height());
  }

  describe("refuses", () => {
    it("another chain", async () => {
      const { follower } = follow({ chainId: 1 });
      expect((await failureOf(follower.sync())).code).to.equal("CHAIN_MISMATCH");
    });

    it("a journal that was filled for another contract", async () => {
      const { store, follower } = follow();
      await follower.sync();
      const other = follow({ addresses: ["0x0000000000000000000000000000000000000001"] }, store);
      expect((await failureOf(other.follower.sync())).code).to.equal("JOURNAL_MISMATCH");
    });

    it("a chain that was started over", async () => {
      const { store, follower } = follow();
      await follower.sync();
      const { port } = chain;
      await chain.stop();
      chain = await start({ port, args: ["--timestamp", "1700000000"] });
      await chain.mine(5);
      expect((await failureOf(follow({}, store).follower.sync())).code).to.equal("CHAIN_RESET");
      // The follower that was running must notice as well, not only one that starts.
      const witness = new Witness();
      const signal = AbortSignal.timeout(10_000);
      expect((await failureOf(follower.run({ signal, ...witness }))).code).to.equal("CHAIN_RESET");
    });

    it("a reorganisation deeper than the final depth", async () => {
      await chain.mine(10);
      const { follower } = follow({ finalDepth: 4 });
      await follower.sync();
      const head = follower.head?.number as number;
      expect(follower.isFinal(head - 4)).to.equal(true);
      expect(follower.isFinal(head - 3)).to.equal(false);
      await chain.send("anvil_reorg", 4, []);
      await chain.mine();
      await follower.sync();
      await chain.send("anvil_reorg", 6, []);
      expect((await failureOf(follower.sync())).code).to.equal("CHAIN_RESET");
    });

    it("options that cannot work", () => {
      expect(() => follow({ finalDepth: 0 }))
        .to.throw(SuretyError)
        .with.property("code", "FOLLOWER_OPTIONS");
    });
  });

  it("hands over the logs of its contracts only, in order, with their block's time", async () => {
    const other = await deployLoggingContract(chain);
    for (const value of [1, 2]) await emit(chain, contract, value);
    await emit(chain, other, 99);
    await chain.mine();
    await chain.mine(3);
    await emit(chain, contract, 3);
    await chain.mine();
    const { follower } = follow();
    const witness = new Witness();
    const head = await follower.sync(witness);
    expect(witness.values).to.deep.equal([1, 2, 3]);
    await expectTruth(witness, follower);
    expect(witness.events.at(-1)).to.include({ address: contract, timestamp: head?.timestamp, blockHash: head?.hash });
    expect(witness.heads).to.deep.equal([head?.number]);
    await follower.sync(witness);
    expect(witness.values).to.deep.equal([1, 2, 3]);
    expect(witness.heads).to.deep.equal([head?.number]);
  });

  it("reads old history in ranges and halves them where the node refuses", async () => {
    for (let value = 1; value <= 12; value += 1) {
      await emit(chain, contract, value);
      await chain.mine(5);
    }
    let ranges = 0;
    const stingy: JsonRpc = {
      request: async (method, params) => {
        const filter = params?.[0] as { fromBlock?: string; toBlock?: string };
        if (method === "eth_getLogs" && filter.fromBlock) {
          ranges += 1;
          if (Number(filter.toBlock) - Number(filter.fromBlock) > 9) throw new Error("query returned too many results");
        }
        return chain.rpc.request(method, params);
      },
    };
    const { follower } = follow({ finalDepth: 5, singlyBlocks: 0 }, undefined, stingy);
    const witness = new Witness();
    const done = new AbortController();
    await follower.run({ ...witness, signal: done.signal, onHead: () => done.abort() }).catch((error: unknown) => {
      if (!done.signal.aborted) throw error;
    });
    await expectTruth(witness, follower);
    expect(ranges).to.be.greaterThan(5);
  });

  it("takes back and replaces what reorganisations of depth 1 to 64 removed", async () => {
    for (let value = 0; value < 68; value += 1) {
      await emit(chain, contract, value);
      await chain.mine();
    }
    const { follower } = follow();
    const witness = new Witness();
    await follower.sync(witness);
    for (let depth = 1; depth <= 64; depth += 1) {
      const height = await chain.height();
      // The first replacing block must differ from what was there, or the reorganisation is not as deep as it says.
      const call = { from: funded.address, to: contract, data: toBeHex(1000 + depth, 32), gas: "0x30d40" };
      await chain.send("anvil_reorg", depth, [[call, 0]]);
      await follower.sync(witness);
      expect(witness.rewinds.at(-1), `depth ${depth}`).to.equal(height - depth);
      await expectTruth(witness, follower);
      await emit(chain, contract, 2000 + depth);
      await chain.mine();
      await follower.sync(witness);
      await expectTruth(witness, follower);
    }
    expect(witness.rewinds).to.have.length(64);
  });

  it("waits for a chain that was cut, and rewinds once it has grown differently", async () => {
    const snapshot = await chain.send("evm_snapshot");
    for (const value of [1, 2, 3]) {
      await emit(chain, contract, value);
      await chain.mine();
    }
    const { follower } = follow();
    const witness = new Witness();
    await follower.sync(witness);
    await chain.send("evm_revert", snapshot);
    expect(await failureOf(follower.sync(witness))).to.include({ code: "RPC_BEHIND", kind: "retryable" });
    expect(witness.values).to.deep.equal([1, 2, 3]);
    await chain.send("evm_increaseTime", 100);
    await emit(chain, contract, 4);
    await chain.mine();
    await follower.sync(witness);
    expect(witness.values).to.deep.equal([4]);
    await expectTruth(witness, follower);
  });

  it("notices a reorganisation between two of its requests", async () => {
    await chain.mine(10);
    let reorganise = true;
    const shifting: JsonRpc = {
      request: async (method, params) => {
        const answer = await chain.rpc.request(method, params);
        if (method === "eth_getLogs" && reorganise && (await chain.height()) > 8) {
          reorganise = false;
          await emit(chain, contract, 7);
          await chain.mine();
          await chain.send("anvil_reorg", 5, []);
        }
        return answer;
      },
    };
    const { follower } = follow({}, undefined, shifting);
    const witness = new Witness();
    await follower.sync(witness);
    await follower.sync(witness);
    await expectTruth(witness, follower);
  });

  it("goes on where it was after the node was away", async () => {
    const folder = await mkdtemp(join(tmpdir(), "surety-follower-"));
    const { port } = chain;
    const args = ["--state", join(folder, "state.json"), "--timestamp", "1700000000"];
    await chain.stop();
    chain = await start({ port, args });
    contract = await deployLoggingContract(chain);
    await emit(chain, contract, 1);
    await chain.mine();
    const { follower, clock } = follow();
    const witness = new Witness();
    const done = new AbortController();
    const running = follower.run({ ...witness, signal: done.signal });
    await until(() => witness.values.length === 1);
    await chain.stop();
    await until(() => witness.troubles.length >= 3);
    expect(new Set(witness.troubles)).to.deep.equal(new Set(["RPC_UNREACHABLE"]));
    chain = await start({ port, args });
    await emit(chain, contract, 2);
    await chain.mine();
    await until(() => witness.values.length === 2);
    expect(witness.values).to.deep.equal([1, 2]);
    expect(witness.rewinds).to.deep.equal([]);
    expect(Math.max(...clock.slept)).to.be.greaterThan(1_000);
    done.abort();
    await running;
    await rm(folder, { recursive: true });
  });

  it("moves to the next endpoint when one fails, and keeps off one that is on another chain", async () => {
    const dead = new HttpRpc({ urls: ["http://127.0.0.1:9"], retries: 0 });
    const stranger = await start({ args: ["--chain-id", "7"] });
    const { follower } = follow({}, undefined, [stranger.rpc, dead, chain.rpc]);
    const witness = new Witness();
    const done = new AbortController();
    await follower.run({ ...witness, signal: done.signal, onHead: () => done.abort() });
    expect(witness.troubles).to.deep.equal(["CHAIN_MISMATCH", "RPC_UNREACHABLE"]);
    expect(follower.head?.number).to.equal(await chain.height());
  });

  it("gives up on a request that is never answered", async () => {
    const silent: JsonRpc = { request: () => new Promise(() => undefined) };
    const { follower } = follow({ requestTimeoutMs: 20 }, undefined, silent);
    expect(await failureOf(follower.sync())).to.include({ code: "RPC_UNREACHABLE", kind: "retryable" });
  });

  for (const [which, missing] of [
    ["", ""],
    [" and has no receipts of whole blocks", "eth_getBlockReceipts"],
  ] as const) {
    it(`notices logs that the node left out${which}`, async () => {
      await emit(chain, contract, 1);
      await chain.mine();
      let lying = true;
      const forgetful: JsonRpc = {
        request: async (method, params) => {
          if (method === missing) throw new SuretyError("RPC_ERROR", `Method ${method} is not supported`);
          return method === "eth_getLogs" && lying ? [] : chain.rpc.request(method, params);
        },
      };
      const { follower } = follow({}, undefined, forgetful);
      const witness = new Witness();
      expect((await failureOf(follower.sync(witness))).code).to.equal("RPC_INCONSISTENT");
      lying = false;
      await follower.sync(witness);
      expect(witness.values).to.deep.equal([1]);
    });
  }

  it("notices logs that the node left out of blocks that became final while it was away", async () => {
    const { follower, store } = follow({ finalDepth: 2 });
    const witness = new Witness();
    await follower.sync(witness);
    await emit(chain, contract, 1);
    await chain.mine(20);
    const lying: JsonRpc = {
      request: async (method, params) => (method === "eth_getLogs" ? [] : chain.rpc.request(method, params)),
    };
    const { follower: deceived } = follow({ finalDepth: 2 }, store, lying);
    expect((await failureOf(deceived.sync(witness))).code).to.equal("RPC_INCONSISTENT");
    await follower.sync(witness);
    expect(witness.values).to.deep.equal([1]);
  });

  it("hands over once and in order what a node gives twice and in another order", async () => {
    for (const value of [1, 2, 3]) await emit(chain, contract, value);
    await chain.mine();
    for (const value of [4, 5]) await emit(chain, contract, value);
    await chain.mine(4);
    const muddled: JsonRpc = {
      request: async (method, params) => {
        const answer = await chain.rpc.request(method, params);
        return method === "eth_getLogs" ? [...(answer as object[]).toReversed(), ...(answer as object[])] : answer;
      },
    };
    for (const options of [{}, { finalDepth: 1, singlyBlocks: 0 }]) {
      const { follower } = follow(options, undefined, muddled);
      const witness = new Witness();
      await follower.sync(witness);
      expect(witness.values).to.deep.equal([1, 2, 3, 4, 5]);
    }
  });

  it("takes no log of another block for one of the block that it asked about", async () => {
    await emit(chain, contract, 1);
    await chain.mine();
    const confused: JsonRpc = {
      request: async (method, params) => {
        const answer = await chain.rpc.request(method, params);
        if (method !== "eth_getLogs") return answer;
        return (answer as object[]).map((log) => ({ ...log, blockHash: toBeHex(7, 32) }));
      },
    };
    const { follower, store } = follow({}, undefined, confused);
    expect((await failureOf(follower.sync())).code).to.equal("RPC_MALFORMED");
    expect(await store.events()).to.deep.equal([]);
  });

  it("notices an endpoint whose head stands still", async () => {
    const { follower, clock } = follow({ staleMs: 60_000 });
    await follower.sync();
    clock.time += 60_001;
    expect(await failureOf(follower.sync())).to.include({ code: "RPC_STALE", kind: "retryable" });
  });

  it("rejects answers that make no sense", async () => {
    for (const [method, answer] of [
      ["eth_chainId", null],
      ["eth_getBlockByNumber", { number: "0x1" }],
      ["eth_getLogs", [{ address: "0x12" }]],
      ["eth_getLogs", "none"],
    ] as const) {
      const absurd: JsonRpc = {
        request: async (asked, params) => (asked === method ? answer : chain.rpc.request(asked, params)),
      };
      const { follower } = follow({}, undefined, absurd);
      expect(await failureOf(follower.sync()), method).to.include({ code: "RPC_MALFORMED", kind: "retryable" });
    }
  });

  it("ends on a hook's error, and repeats the call to the next hook", async () => {
    await emit(chain, contract, 1);
    await chain.mine();
    const { follower } = follow();
    const signal = AbortSignal.timeout(10_000);
    const busy = new SuretyError("STORAGE_BUSY", "busy", { kind: "retryable" });
    const failing = follower.run({
      signal,
      onEvents: () => {
        throw busy;
      },
    });
    expect(await failureOf(failing)).to.include({ code: "FOLLOWER_HOOK", cause: busy });
    const witness = new Witness();
    await follower.sync(witness);
    expect(witness.values).to.deep.equal([1]);
  });

  it("takes the node's word for what is final if asked to", async () => {
    await chain.mine(100);
    const { follower } = follow({ finality: "finalized" });
    const head = await follower.sync();
    const finalized = (await chain.send("eth_getBlockByNumber", "finalized", false)) as { number: string };
    expect(head?.finalNumber).to.equal(Number(finalized.number)).and.to.be.greaterThan(0);
  });
});

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await systemClock.sleep(10);
}
