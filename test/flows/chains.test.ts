import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { computeAddress, parseEther, type Wallet } from "ethers";
import { classNamed } from "#sdk/deployment.ts";
import { nodeState } from "#sdk/reads.ts";
import { Witness } from "../../agents/demo/witness.ts";
import type { Chain, FundedAccount } from "../../agents/devnet/chain.ts";
import { ActingAgent } from "../support/acting-agent.ts";
import { Anvil } from "../support/anvil.ts";
import { lastJson, surety } from "../support/command-line.ts";
import { echoProgram } from "../support/echo-program.ts";
import { Geth, needGeth } from "../support/geth.ts";
import { LocalMarket } from "../support/local-market.ts";

const TOKEN = 10n ** 18n;
const TASKS = 8;
/** As many as a panel of three must be drawn from. */
const NODES = 6;
const STAKE = "2000";
const mainScript = fileURLToPath(new URL("../../agents/cli/main.ts", import.meta.url));

interface Wanted {
  accounts: readonly FundedAccount[];
}

const addressesOf = (accounts: readonly FundedAccount[]): { address: string; balance: bigint }[] =>
  accounts.map(({ privateKey, balance }) => ({ address: computeAddress(privateKey), balance }));

async function onAnvil({ accounts }: Wanted): Promise<Chain> {
  const anvil = await Anvil.start();
  for (const { address, balance } of addressesOf(accounts)) {
    await anvil.send("anvil_setBalance", address, `0x${balance.toString(16)}`);
  }
  await anvil.send("evm_setIntervalMining", 1);
  return { url: anvil.url, chainId: 31337, close: () => anvil.stop() };
}

async function onGeth({ accounts }: Wanted): Promise<Chain> {
  const geth = await Geth.start({ period: 1 });
  await geth.fund(addressesOf(accounts));
  return { url: geth.url, chainId: Number(await geth.send("eth_chainId")), close: () => geth.stop() };
}

/** A job whose task number n echoes `task-n`; every second task is checked. */
async function writeJob(folder: string): Promise<string> {
  await mkdir(join(folder, "inputs"), { recursive: true });
  await writeFile(join(folder, "echo.wasm"), echoProgram);
  for (let task = 0; task < TASKS; task += 1) await writeFile(join(folder, "inputs", `${task}.txt`), `input ${task}`);
  const job = {
    name: "echo",
    module: "./echo.wasm",
    args: ["task-{index}"],
    inputs: "./inputs",
    mode: "sampled",
    rate: "50%",
    prices: { task: "1" },
    limits: { fuel: "1M", memory: "1MiB", seconds: "60s", output: "64KiB", files: 4 },
    windows: { claim: "120s", submit: "120s", reveal: "120s", check: "120s", judge: "120s", challenge: "5s" },
    maxShare: "25%",
  };
  const path = join(folder, "job.json");
  await writeFile(path, JSON.stringify(job));
  return path;
}

describe("a whole batch on each chain", () => {
  const agents: ActingAgent[] = [];
  let market: LocalMarket | undefined;

  afterEach(async () => {
    await Promise.all(agents.splice(0).map((agent) => agent.kill()));
    await market?.stop();
    market = undefined;
  });

  const chains: [name: string, start: ((wanted: Wanted) => Promise<Chain>) | undefined, needs?: typeof needGeth][] = [
    ["Hardhat's node", undefined],
    ["anvil", onAnvil],
    ["geth", onGeth, needGeth],
  ];
  for (const [name, start, needs] of chains) {
    it(`is computed, checked and paid by six nodes on ${name}, and every token is accounted for`, async function () {
      needs?.(this);
      market = await LocalMarket.start({ accounts: NODES + 1, blockTime: 1000, start });
      const here = market;
      const { deployment, rpc } = here;
      const names = new Map([[market.deployer, "deployer"]]);
      const settings = { class: classNamed(deployment, "wasm"), stake: STAKE, maxAssignments: 4 };
      const enter = async (
        who: string,
        account: Wallet,
        tokens: bigint,
        command: string,
        more: object,
      ): Promise<ActingAgent> => {
        await here.give(account.address, tokens);
        const paths = await here.agentHome(who, account, { pollMs: 300, ...more });
        names.set(account.address, who);
        const agent = new ActingAgent({ name: who, address: account.address, ...paths }, [
          mainScript,
          command,
          "--config",
          paths.config,
        ]);
        agents.push(agent);
        await agent.start();
        return agent;
      };
      const nodes: ActingAgent[] = [];
      for (let place = 1; place <= NODES; place += 1) {
        nodes.push(await enter(`node-${place}`, market.account(), 3_000n * TOKEN, "compute", settings));
      }
      const requester = await enter("requester", market.account(), 1_000n * TOKEN, "requester", {});
      const witness = new Witness(deployment, rpc, names, () => undefined);
      const staked = async (): Promise<boolean> => {
        for (const { address, failure } of nodes) {
          if (failure !== undefined) throw new Error(failure);
          const { stake } = await nodeState(rpc, deployment.registry, deployment.market, address);
          if (stake < BigInt(STAKE) * TOKEN) return false;
        }
        return true;
      };
      while (!(await staked())) await delay(200);
      await witness.catchUp();
      while ((witness.state.classes.get(settings.class)?.slots.length ?? 0) < NODES) {
        await delay(200);
        await witness.catchUp();
      }
      const before = await witness.money();

      const job = await writeJob(join(requester.home, "job"));
      const out = join(requester.home, "out");
      const ended = await surety(["submit", job, "--config", requester.config, "--wait", "--out", out, "--json"]);
      expect(ended.exit, ended.stderr).to.equal(0);
      expect(lastJson(ended)).to.include({ state: "settled" });
      for (let task = 0; task < TASKS; task += 1) {
        expect(await readFile(join(out, String(task), "stdout"), "utf8")).to.equal(`task-${task}\0`);
      }
      await witness.catchUp();
      const after = await witness.money();
      expect(after).to.include({ conserved: true, escrow: 0n, burned: before.burned });
      const worth = (address: string): bigint => {
        const [was, is] = [before.accounts.get(address)!, after.accounts.get(address)!];
        return is.wallet + is.vault + is.stake - was.wallet - was.vault - was.stake;
      };
      const earned = nodes.map(({ address }) => worth(address));
      const total = earned.reduce((sum, each) => sum + each, 0n);
      expect(total).to.equal(-worth(requester.address));
      // Each task is paid once, and each of those that were checked once more.
      expect(total).to.equal(parseEther(String(TASKS + TASKS / 2)));
    });
  }
});
