import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "chai";
import { parseUnits, Wallet } from "ethers";
import * as calls from "#sdk/calls.ts";
import { classNamed } from "#sdk/deployment.ts";
import * as reads from "#sdk/reads.ts";
import { writeKeystore } from "../../agents/key/keystore.ts";
import type { ActingAgent } from "../support/acting-agent.ts";
import { errorCode, lastJson, surety, type Ended } from "../support/command-line.ts";
import { MarketWorld, PRICE_OF_ALL } from "../support/market-world.ts";
import { expectOutputs } from "../support/outputs.ts";
import { RemoteSigner } from "../support/remote-signer.ts";

const TOKENS = parseUnits("5000", 18);
const TASKS = 3;
const PAY = BigInt(TASKS) * parseUnits(PRICE_OF_ALL, 18);
const DAYS_28 = 28 * 86_400;

describe("a stolen key", () => {
  let world: MarketWorld;
  let remote: RemoteSigner;

  before(async () => {
    world = await MarketWorld.start({ nodes: 0 });
  });

  after(async () => {
    await world?.stop();
    await remote?.stop();
  });

  /** What a node's configuration says beside what it said. */
  async function configure(node: ActingAgent, settings: object): Promise<void> {
    const config = JSON.parse(await readFile(node.config, "utf8")) as object;
    await writeFile(node.config, JSON.stringify({ ...config, ...settings }));
  }

  it("cannot take what a node has at stake and was paid, which its owner takes out to the last unit", async () => {
    const { deployment, chain, rpc } = world.market;
    const { market, registry, vault, token } = deployment;
    const owner = world.market.account();
    const node = await world.addNode();
    const { key } = JSON.parse(await readFile(node.config, "utf8")) as { key: { hex: string } };
    const hot = new Wallet(key.hex);
    // The node has money for gas and nothing else: its tokens are its owner's from the first.
    await world.sendAs(node, calls.transfer(token.address, { to: owner.address, amount: TOKENS }));

    remote = await RemoteSigner.start(hot);
    const signed = { signer: remote.url, address: hot.address };
    await configure(node, { key: signed, owner: owner.address });
    await node.start();
    for (const ledger of [registry, market]) {
      await world.until("the owner's account", () => reads.ownerOf(rpc, vault, ledger, node.address));
      expect(await reads.ownerOf(rpc, vault, ledger, node.address)).to.equal(owner.address);
    }

    const keystore = join(world.market.folder, "owner-key.json");
    await writeKeystore(keystore, { privateKey: owner.privateKey, password: "owner", scryptN: 1024 });
    const ownerConfig = join(world.market.folder, "owner.json");
    const settings = {
      home: join(world.market.folder, "owner-home"),
      rpc: [chain.url],
      deployment: world.market.deploymentPath,
      key: { keystore, password: { env: "OWNER_PASSWORD" } },
      class: classNamed(deployment, "wasm"),
    };
    await writeFile(ownerConfig, JSON.stringify(settings));
    const stake = (...args: string[]): Promise<Ended> =>
      surety(["stake", ...args, "--config", ownerConfig, "--for", node.address, "--json"], {
        env: { OWNER_PASSWORD: "owner" },
      });
    const staked = async (...args: string[]): Promise<Record<string, unknown>> => {
      const ended = await stake(...args);
      expect(ended.exit, ended.stderr).to.equal(0);
      return lastJson(ended);
    };
    await staked("add", "2000");
    await staked("join");
    await world.until("a place in the pool", () => world.drawable().length === 1);

    const requester = await world.newRequester("requester");
    await requester.start();
    const ticket = await requester.submit({
      tasks: TASKS,
      price: PRICE_OF_ALL,
      mode: "trusted",
      allow: [node.address],
    });
    expect((await requester.finished(ticket)).state).to.equal("settled");
    await expectOutputs(requester, ticket, TASKS);
    expect(remote.asked.filter((method) => method === "eth_signTransaction")).to.not.be.empty;
    expect(await staked("show")).to.deep.include({
      node: node.address,
      owner: owner.address,
      stake: parseUnits("2000", 18).toString(),
      available: { market: PAY.toString(), registry: "0" },
    });

    // The owner's money is not taken by a node of somebody else.
    const stranger = await world.addNode();
    expect(
      errorCode(
        await surety(["stake", "add", "1", "--config", ownerConfig, "--for", stranger.address], {
          env: { OWNER_PASSWORD: "owner" },
        }),
      ),
    ).to.equal("OWNER_MISMATCH");
    // Nor does the node work for another owner than its configuration's.
    await node.kill();
    await configure(node, { owner: stranger.address });
    const refused = await surety(["compute", "--config", node.config]);
    expect([errorCode(refused), refused.exit]).to.deep.equal(["OWNER_MISMATCH", 4]);

    // A thief has the key. Nothing of what it can send takes effect, however much gas it gives.
    const thief = new Wallet(key.hex);
    const den = Wallet.createRandom().address;
    const own = { market, class: classNamed(deployment, "wasm") };
    const attempts = [
      calls.withdraw(vault, { ledger: market, amount: PAY, to: thief.address }),
      calls.withdraw(vault, { ledger: market, amount: PAY, to: den }),
      calls.withdrawFor(vault, { ledger: market, holder: thief.address, amount: PAY, to: den }),
      calls.move(vault, { from: market, to: den, amount: PAY }),
      calls.entrust(vault, { ledger: market, holder: thief.address, owner: den }),
      calls.entrust(vault, { ledger: registry, holder: thief.address, owner: den }),
      calls.unstake(registry, { market, amount: 1n }),
      calls.unstakeFor(registry, { market, node: thief.address, amount: 1n }),
      calls.stake(registry, { market: den, amount: 1n }),
      calls.joinPool(registry, { ...own, slot: 1 }),
    ];
    const took = await world.market.sendAs(thief, attempts, 500_000n);
    expect(took).to.deep.equal(attempts.map(() => false));
    // With the node's own configuration it can but pay the owner.
    await configure(node, { key, owner: owner.address });
    const swept = await surety(["stake", "withdraw", "--config", node.config, "--json"]);
    expect(swept.exit, swept.stderr).to.equal(0);
    expect(lastJson(swept)).to.deep.equal({ withdrawn: PAY.toString(), to: [owner.address] });

    await staked("leave", "0");
    await staked("remove", "1000");
    await world.pass(DAYS_28);
    await world.sendAs(node, calls.freeSlot(registry, { ...own, slot: 0 }));
    await staked("remove", "1000");
    await world.pass(DAYS_28);
    expect(await staked("withdraw")).to.deep.equal({
      withdrawn: parseUnits("2000", 18).toString(),
      to: [owner.address],
    });
    expect(await reads.balanceOf(rpc, token.address, owner.address)).to.equal(TOKENS + PAY);
    expect(await reads.balanceOf(rpc, token.address, thief.address)).to.equal(0n);
    expect(await reads.balanceOf(rpc, token.address, den)).to.equal(0n);
  });
});
