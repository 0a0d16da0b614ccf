import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { toBeHex, toQuantity, Wallet } from "ethers";
import { network } from "hardhat";
import { systemClock } from "#sdk/clock.ts";
import { SuretyError } from "#sdk/errors.ts";
import { fromEip1193, type JsonRpc } from "#sdk/json-rpc.ts";
import { CallReverted } from "../../agents/chain/revert.ts";
import { type Call, Sender, type SenderOptions, type SignerLike } from "../../agents/chain/sender.ts";
import { Journal } from "../../agents/journal/journal.ts";
import { ExternalSigner } from "../../agents/key/external-signer.ts";
import { Anvil, funded } from "../support/anvil.ts";
import { counterInterface, countedTags, deployCounter } from "../support/counter.ts";
import { failureOf } from "../support/error-code.ts";
import { RemoteSigner } from "../support/remote-signer.ts";

const finalDepth = 4;
const ether = 10n ** 18n;

describe("Sender", function () {
  this.timeout(30_000);
  let chain: Anvil;
  let contract: string;
  let folder: string;
  let wallet: Wallet;
  const opened: Journal[] = [];

  before(async () => {
    chain = await Anvil.start();
    contract = await deployCounter(chain.rpc, funded.address, () => chain.mine());
  });
  after(() => chain.stop("SIGKILL"));

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), "surety-sender-"));
    // An account of its own for each test, so that no nonce is inherited.
    wallet = new Wallet(Wallet.createRandom().privateKey);
    await chain.send("anvil_setBalance", wallet.address, toQuantity(10n * ether));
    await chain.send("anvil_dropAllTransactions");
    await chain.send("anvil_setNextBlockBaseFeePerGas", toQuantity(10n ** 9n));
    await chain.mine();
  });
  afterEach(() => {
    for (const journal of opened.splice(0)) journal.close();
    rmSync(folder, { recursive: true });
  });

  function begin({
    rpc = chain.rpc as JsonRpc,
    signer = wallet as SignerLike,
    journal = undefined as Journal | undefined,
    witnesses = undefined as JsonRpc[] | undefined,
    ...options
  }: Partial<SenderOptions> & { rpc?: JsonRpc; signer?: SignerLike; journal?: Journal; witnesses?: JsonRpc[] } = {}) {
    if (!journal) {
      journal = Journal.open({ home: join(folder, String(opened.length)) });
      opened.push(journal);
    }
    const sender = new Sender(
      { chainId: 31337, finalDepth, pollMs: 10, ...options },
      { rpc, journal, signer, witnesses, interfaces: [counterInterface] },
    );
    return { sender, journal };
  }

  let lastTag = 0;
  /** A call that is counted under a tag that no other has. */
  function call(options: Partial<Call> = {}): Call & { tag: number } {
    const tag = ++lastTag;
    const data = counterInterface.encodeFunctionData("add", [tag]);
    return { key: `add:${tag}`, to: contract, data, tag, ...options };
  }

  async function effects({ tag }: { tag: number }): Promise<number> {
    return (await countedTags(chain.rpc, contract)).filter((each) => each === tag).length;
  }

  async function nonce(of = wallet.address): Promise<number> {
    return Number(await chain.send("eth_getTransactionCount", of, "latest"));
  }

  describe("refuses", () => {
    it("what the contract refuses, with the contract's error, and sends nothing", async () => {
      const { sender } = begin();
      const count = Number(
        await chain.send("eth_call", { to: contract, data: counterInterface.encodeFunctionData("count") }, "latest"),
      );
      const wrong = call({ data: counterInterface.encodeFunctionData("addAt", [count + 1]) });
      const failure = (await failureOf(sender.submit(wrong))) as CallReverted;
      expect(failure).to.be.instanceOf(CallReverted);
      expect(failure).to.include({ code: "CALL_REVERTED", exit: 4, errorName: "Stale" });
      expect(failure.args).to.deep.equal({ actual: String(count), expected: String(count + 1) });
      await chain.mine();
      expect(await nonce()).to.equal(0);
      expect(sender.find(wrong.key)?.status).to.equal("failed");
      // Once the contract would take it, the same call can be submitted again.
      await sender.submit(call());
      await chain.mine();
      await sender.submit(wrong);
      await chain.mine();
      await sender.wait(wrong.key, "mined");
    });

    it("another call under the same key", async () => {
      const { sender } = begin();
      const first = call();
      await sender.submit(first);
      expect((await failureOf(sender.submit(call({ key: first.key })))).code).to.equal("INTENT_CONFLICT");
    });

    it("to begin after the deadline", async () => {
      const { sender } = begin();
      const late = call({ deadline: 1 });
      expect((await failureOf(sender.submit(late))).code).to.equal("DEADLINE_PASSED");
      expect(sender.find(late.key)?.attempts).to.deep.equal([]);
    });

    it("what the account cannot pay for, counting what is under way", async () => {
      const { sender } = begin();
      await chain.send("anvil_setBalance", wallet.address, toQuantity(ether / 1_000n));
      const gas = 300_000n;
      await sender.submit(call({ gas }));
      const failure = await failureOf(sender.submit(call({ gas })));
      expect(failure).to.include({ code: "SENDER_UNFUNDED", exit: 4, kind: "retryable" });
      await chain.send("anvil_setBalance", wallet.address, "0x0");
      expect((await failureOf(sender.submit(call({ value: 1n })))).code).to.be.oneOf([
        "SENDER_UNFUNDED",
        "CALL_REVERTED",
      ]);
    });

    it("a node on another chain", async () => {
      expect((await failureOf(begin({ chainId: 1 }).sender.submit(call()))).code).to.equal("CHAIN_MISMATCH");
    });

    it("a signer that signs something else", async () => {
      const signer: SignerLike = {
        address: wallet.address,
        signTransaction: (transaction) => wallet.signTransaction({ ...transaction, nonce: transaction.nonce + 1 }),
      };
      const { sender } = begin({ signer });
      const unsent = call();
      expect((await failureOf(sender.submit(unsent))).code).to.equal("SIGNER_MISMATCH");
      expect(sender.find(unsent.key)?.attempts).to.deep.equal([]);
    });

    it("to wait for what was never submitted", async () => {
      expect((await failureOf(begin().sender.wait("nothing", "final"))).code).to.equal("INTENT_UNKNOWN");
    });
  });

  it("sends a call once, however often it is submitted, and follows it to its final block", async () => {
    const { sender } = begin();
    const once = call();
    const [first, second] = await Promise.all([sender.submit(once), sender.submit(once)]);
    expect(first.status).to.equal("sent");
    expect(second.attempts).to.deep.equal(first.attempts);
    await chain.mine();
    const mined = await sender.wait(once.key, "mined");
    expect(mined.inclusion).to.include({ succeeded: true, blockNumber: await chain.height() });
    await chain.mine(finalDepth - 1);
    await sender.resume();
    expect(sender.find(once.key)?.status).to.equal("mined");
    await chain.mine();
    expect((await sender.wait(once.key, "final")).status).to.equal("final");
    await sender.submit(once);
    await chain.mine();
    expect(await effects(once)).to.equal(1);
  });

  it("sends what could not be signed once the signer is back, and once", async () => {
    const remote = await RemoteSigner.start(wallet);
    try {
      const options = { url: remote.url, address: wallet.address, timeoutMs: 5_000 };
      const { sender } = begin({ signer: await ExternalSigner.open(options) });
      remote.answer = { jsonrpc: "2.0", id: 1, error: { code: -32000, message: "locked" } };
      const waiting = call();
      expect(await failureOf(sender.submit(waiting))).to.include({ code: "SIGNER_REFUSED", kind: "retryable" });
      expect(sender.find(waiting.key)?.attempts).to.deep.equal([]);
      remote.answer = undefined;
      await sender.submit(waiting);
      await chain.mine();
      await sender.wait(waiting.key, "mined");
      expect(await effects(waiting)).to.equal(1);
      expect(await nonce()).to.equal(1);
    } finally {
      await remote.stop();
    }
  });

  it("has several calls under way with consecutive nonces", async () => {
    const { sender } = begin();
    const calls = Array.from({ length: 6 }, () => call());
    const sent = await Promise.all(calls.map((each) => sender.submit(each)));
    expect(sent.map((intent) => intent.nonce)).to.deep.equal([0, 1, 2, 3, 4, 5]);
    await chain.mine();
    for (const each of calls) {
      await sender.wait(each.key, "mined");
      expect(await effects(each)).to.equal(1);
    }
  });

  it("tells why a call failed that reverted only when it was mined", async () => {
    const { sender } = begin();
    const count = Number(
      await chain.send("eth_call", { to: contract, data: counterInterface.encodeFunctionData("count") }, "latest"),
    );
    const data = counterInterface.encodeFunctionData("addAt", [count + 7]);
    const doomed = call({ data, gas: 100_000n });
    await sender.submit(doomed);
    await chain.mine();
    const failure = (await failureOf(sender.wait(doomed.key, "mined"))) as CallReverted;
    expect(failure).to.include({ code: "CALL_REVERTED", errorName: "Stale" });
    expect(sender.find(doomed.key)?.status).to.equal("mined");
    await chain.mine(finalDepth);
    expect((await failureOf(sender.wait(doomed.key, "final"))).code).to.equal("CALL_REVERTED");
    expect(sender.find(doomed.key)?.status).to.equal("failed");
    expect(await nonce()).to.equal(1);
  });

  it("sends again, if asked to, what the contract refused only because a reorganisation put it too early", async () => {
    const { sender } = begin();
    const count = Number(
      await chain.send("eth_call", { to: contract, data: counterInterface.encodeFunctionData("count") }, "latest"),
    );
    const data = counterInterface.encodeFunctionData("addAt", [count + 1]);
    const early = call({ data, gas: 100_000n });
    await sender.submit(early);
    await chain.mine();
    const refused = async (): Promise<string> => (await failureOf(sender.submit(early))).code;
    expect(await refused()).to.equal("CALL_REVERTED");
    // What it needs comes after it. Until its block is final it could still come before.
    await sender.submit(call());
    await chain.mine();
    expect([await refused(), sender.find(early.key)?.nonce]).to.deep.equal(["CALL_REVERTED", 0]);
    await chain.mine(finalDepth);
    await sender.resume();
    expect(sender.find(early.key)?.status).to.equal("failed");
    await sender.submit(early);
    await chain.mine();
    const { nonce: second, reverted, dead } = await sender.wait(early.key, "mined");
    expect([second, reverted?.map(({ succeeded }) => succeeded), dead.map((each) => each.nonce)]).to.deep.equal([
      2,
      [false],
      [0],
    ]);
    await chain.mine(finalDepth);
    await sender.wait(early.key, "final");
    await sender.submit(early);
    await chain.mine();
    expect([await effects({ tag: count + 1 }), await nonce()]).to.deep.equal([1, 3]);
  });

  it("sends the same transaction again when the node dropped it", async () => {
    const { sender } = begin();
    const dropped = call();
    const { attempts } = await sender.submit(dropped);
    await chain.send("anvil_dropTransaction", attempts[0]?.hash);
    await chain.mine();
    expect(await effects(dropped)).to.equal(0);
    await sender.resume();
    await chain.mine();
    const mined = await sender.wait(dropped.key, "mined");
    expect(mined.inclusion?.hash).to.equal(attempts[0]?.hash);
  });

  it("credits no receipt that a reorganisation removed, and sends again", async () => {
    const { sender } = begin();
    const shaken = call();
    await sender.submit(shaken);
    await chain.mine();
    const before = await sender.wait(shaken.key, "mined");
    await chain.send("anvil_reorg", 2, []);
    await chain.send("anvil_dropAllTransactions");
    await sender.resume();
    expect(sender.find(shaken.key)?.status).to.equal("sent");
    expect(sender.find(shaken.key)?.inclusion).to.equal(undefined);
    await chain.mine(2);
    const after = await sender.wait(shaken.key, "mined");
    expect(after.inclusion?.hash).to.equal(before.inclusion?.hash);
    expect(after.inclusion?.blockHash).not.to.equal(before.inclusion?.blockHash);
    expect(await effects(shaken)).to.equal(1);
  });

  it("goes around nonces that were used elsewhere before", async () => {
    const { sender } = begin();
    await transferElsewhere(0, 10n);
    await chain.mine();
    const intent = await sender.submit(call());
    expect(intent.nonce).to.equal(1);
  });

  it("takes another nonce only once a final block shows that its own is lost", async () => {
    const { sender } = begin();
    const robbed = call();
    await sender.submit(robbed);
    await transferElsewhere(0, 100n);
    await chain.mine();
    expect(await nonce()).to.equal(1);
    await sender.resume();
    expect(sender.find(robbed.key)).to.include({ status: "sent", nonce: 0 });
    await chain.mine(finalDepth);
    await sender.resume();
    expect(sender.find(robbed.key)).to.include({ status: "sent", nonce: 1 });
    await chain.mine();
    await sender.wait(robbed.key, "mined");
    expect(await effects(robbed)).to.equal(1);
  });

  it("takes no other nonce while anybody knows that its own was mined, whatever one node withholds", async () => {
    const withholding = (withheld: string[]): JsonRpc & { blamed: string[] } => {
      const blamed: string[] = [];
      return {
        blamed,
        blame: ({ code }) => void blamed.push(code),
        request: (method, params, options) =>
          withheld.includes(method) ? Promise.resolve(null) : chain.rpc.request(method, params, options),
      };
    };
    const receipts = withholding(["eth_getTransactionReceipt"]);
    const everything = withholding(["eth_getTransactionReceipt", "eth_getTransactionByHash"]);
    for (const [rpc, witnesses] of [
      [receipts, undefined],
      [everything, [everything, chain.rpc]],
    ] as const) {
      const { sender, journal } = begin({ rpc, witnesses: witnesses && [...witnesses] });
      const before = await nonce();
      const withheld = call();
      await sender.submit(withheld);
      await chain.mine(finalDepth + 1);
      expect((await failureOf(sender.resume())).code).to.equal("RPC_CONTRADICTION");
      expect(rpc.blamed).to.deep.equal(["RPC_CONTRADICTION"]);
      expect(sender.find(withheld.key)).to.include({ status: "sent", nonce: before });
      const { sender: told } = begin({ journal });
      await told.wait(withheld.key, "final");
      expect([await effects(withheld), await nonce()]).to.deep.equal([1, before + 1]);
    }
  });

  it("fills a nonce that a reorganisation left unused before its own", async () => {
    const { sender } = begin({ bumpAfterBlocks: 2 });
    await transferElsewhere(0, 10n);
    await chain.mine();
    const stuck = call();
    expect((await sender.submit(stuck)).nonce).to.equal(1);
    await chain.send("anvil_dropAllTransactions");
    await chain.send("anvil_reorg", 1, []);
    await chain.send("anvil_dropAllTransactions");
    expect(await nonce()).to.equal(0);
    await sender.resume();
    await chain.mine(2);
    await sender.resume();
    await chain.mine();
    await sender.wait(stuck.key, "mined");
    expect(await nonce()).to.equal(2);
    expect(await effects(stuck)).to.equal(1);
  });

  it("frees the nonce of a call that came too late, for those behind it", async () => {
    const { sender } = begin();
    const { timestamp } = (await chain.send("eth_getBlockByNumber", "latest", false)) as { timestamp: string };
    const late = call({ deadline: Number(timestamp) + 100 });
    const { attempts } = await sender.submit(late);
    await chain.send("anvil_dropTransaction", attempts[0]?.hash);
    await chain.send("evm_increaseTime", 200);
    await chain.mine();
    const next = call();
    await sender.submit(next);
    await sender.resume();
    await chain.mine();
    await sender.wait(next.key, "mined");
    await chain.mine(finalDepth);
    expect((await failureOf(sender.wait(late.key, "final"))).code).to.equal("DEADLINE_PASSED");
    expect([await effects(late), await effects(next)]).to.deep.equal([0, 1]);
  });

  it("does not send twice what was sent when the reply was lost", async () => {
    let lose = true;
    const lossy: JsonRpc = {
      request: async (method, params, options) => {
        const result = await chain.rpc.request(method, params, options);
        if (method !== "eth_sendRawTransaction" || !lose) return result;
        lose = false;
        throw new SuretyError("RPC_UNREACHABLE", "reply lost", { kind: "retryable" });
      },
    };
    const { sender } = begin({ rpc: lossy });
    const lost = call();
    expect((await failureOf(sender.submit(lost))).code).to.equal("RPC_UNREACHABLE");
    const done = new AbortController();
    const running = sender.run({ signal: done.signal });
    while (sender.find(lost.key)?.status !== "sent") await systemClock.sleep(5);
    await chain.mine();
    await sender.wait(lost.key, "mined");
    done.abort();
    await running;
    expect([await effects(lost), await nonce()]).to.deep.equal([1, 1]);
  });

  it("signs nothing while the base fee is above its cap, and goes on when it falls", async () => {
    const told: string[] = [];
    const { sender } = begin({ feeCap: 5_000_000_000n, onTrouble: ({ code }) => void told.push(code) });
    await chain.send("anvil_setNextBlockBaseFeePerGas", toQuantity(50n * 10n ** 9n));
    await chain.mine();
    const patient = call();
    expect((await sender.submit(patient)).status).to.equal("planned");
    await sender.resume();
    expect(told).to.deep.equal(["FEES_ABOVE_CAP"]);
    await chain.send("anvil_setNextBlockBaseFeePerGas", toQuantity(10n ** 9n));
    await chain.mine();
    await sender.resume();
    await chain.mine();
    const { inclusion, attempts } = await sender.wait(patient.key, "mined");
    expect(inclusion?.succeeded).to.equal(true);
    expect(attempts.every((attempt) => attempt.maxFeePerGas <= 5_000_000_000n)).to.equal(true);
  });

  it("offers its cap when the deadline of a call that waits is near, so that a base fee that falls in time is enough", async () => {
    const feeCap = 5_000_000_000n;
    const told: string[] = [];
    const { sender } = begin({ feeCap, onTrouble: ({ code }) => void told.push(code) });
    await chain.send("anvil_setNextBlockBaseFeePerGas", toQuantity(50n * 10n ** 9n));
    await chain.mine();
    const { timestamp } = (await chain.send("eth_getBlockByNumber", "latest", false)) as { timestamp: string };
    const urgent = call({ gas: 100_000n, deadline: Number(timestamp) + 30 });
    expect((await sender.submit(urgent)).attempts.map(({ maxFeePerGas }) => maxFeePerGas)).to.deep.equal([feeCap]);
    expect(told[0]).to.equal("FEES_ABOVE_CAP");
    await chain.send("anvil_setNextBlockBaseFeePerGas", toQuantity(10n ** 9n));
    await chain.mine();
    await sender.resume();
    await chain.mine();
    const { inclusion, attempts } = await sender.wait(urgent.key, "mined");
    expect(inclusion?.succeeded).to.equal(true);
    expect(attempts.every((attempt) => attempt.maxFeePerGas <= feeCap)).to.equal(true);
  });

  it("takes the node's word for what is final if asked to", async () => {
    const { sender } = begin({ finalTag: "finalized" });
    const slow = call();
    await sender.submit(slow);
    await chain.mine();
    await sender.wait(slow.key, "mined");
    await chain.mine(finalDepth);
    await sender.resume();
    expect(sender.find(slow.key)?.status).to.equal("mined");
    await chain.mine(100);
    await sender.resume();
    expect(sender.find(slow.key)?.status).to.equal("final");
  });

  it("raises its offer by an eighth or more until a node that insists on a tenth takes it", async () => {
    const connection = await network.create();
    const rpc = fromEip1193(connection.provider);
    const send = (method: string, ...params: unknown[]): Promise<unknown> => rpc.request(method, params);
    const [from] = (await send("eth_accounts")) as [string];
    const counter = await deployCounter(rpc, from, () => send("evm_mine"));
    await send("hardhat_setBalance", wallet.address, toQuantity(10n * ether));
    await send("evm_setAutomine", false);
    const { sender } = begin({ rpc, bumpAfterBlocks: 2 });
    const { baseFeePerGas } = (await send("eth_getBlockByNumber", "latest", false)) as { baseFeePerGas: string };
    const dear = { ...call(), to: counter };
    const { attempts } = await sender.submit(dear);
    for (let block = 0; block < 4; block += 1) {
      await send("hardhat_setNextBlockBaseFeePerGas", toQuantity(BigInt(baseFeePerGas) * 50n));
      await send("evm_mine");
      await sender.resume();
    }
    await send("evm_mine");
    const mined = await sender.wait(dear.key, "mined");
    expect(mined.attempts.length).to.be.greaterThan(attempts.length);
    mined.attempts.slice(1).forEach((attempt, index) => {
      const before = mined.attempts[index] as (typeof attempts)[0];
      expect(attempt.nonce).to.equal(before.nonce);
      expect(attempt.maxFeePerGas * 8n >= before.maxFeePerGas * 9n).to.equal(true);
      expect(attempt.maxPriorityFeePerGas * 8n >= before.maxPriorityFeePerGas * 9n).to.equal(true);
    });
    expect(await countedTags(rpc, counter)).to.deep.equal([dear.tag]);
    await connection.close();
  });

  for (const dieAt of ["planned", "signed", "broadcast", "sent", "mined", "final"]) {
    it(`takes effect once when killed at: ${dieAt}`, async () => {
      const { tag, ...rest } = call();
      const home = join(folder, "killed");
      const options = { url: chain.url, home, privateKey: wallet.privateKey, ...rest };
      const mining = new AbortController();
      const miner = (async () => {
        for (;;) {
          await chain.mine();
          await systemClock.sleep(30, mining);
        }
      })().catch(() => undefined);
      try {
        expect(await sendingAgent({ ...options, dieAt })).to.equal("SIGKILL");
        expect(await sendingAgent(options)).to.equal(0);
      } finally {
        mining.abort();
        await miner;
      }
      expect([await effects({ tag }), await nonce()]).to.deep.equal([1, 1]);
    });
  }

  /** What the owner does with the same key by other means. */
  async function transferElsewhere(at: number, gwei: bigint): Promise<void> {
    const fee = gwei * 10n ** 9n;
    const raw = await wallet.signTransaction({
      type: 2,
      chainId: 31337,
      nonce: at,
      to: toBeHex(1, 20),
      gasLimit: 21_000n,
      maxFeePerGas: fee,
      maxPriorityFeePerGas: fee,
    });
    await chain.send("eth_sendRawTransaction", raw);
  }
});

/** @returns its exit status, or the signal that ended it */
async function sendingAgent(options: Record<string, unknown>): Promise<number | string> {
  const program = fileURLToPath(new URL("../support/sending-agent.ts", import.meta.url));
  const child = spawn(process.execPath, ["--disable-warning=ExperimentalWarning", program, JSON.stringify(options)], {
    stdio: ["ignore", "ignore", "inherit"],
  });
  const [status, signal] = (await once(child, "exit")) as [number, string | null];
  return signal ?? status;
}
