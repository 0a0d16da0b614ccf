import { randomBytes } from "node:crypto";
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { Contract, JsonRpcProvider, NonceManager, parseEther, parseUnits, Wallet } from "ethers";
import { deploySurety } from "../../deploy/deploy.ts";
import { readDeployParameters } from "../../deploy/parameters.ts";
import { classNamed, formatDeployment, type Deployment } from "#sdk/deployment.ts";
import { ExitStatus, SuretyError } from "#sdk/errors.ts";
import { tokenInterface } from "#sdk/market-abi.ts";
import { openEmbeddedStorage, startGateway } from "#sdk/node/index.ts";
import * as reads from "#sdk/reads.ts";
import { HttpRpc } from "../chain/rpc.ts";
import type { LogLevel } from "../config.ts";
import type { DockerExecutorConfig } from "../config/executor.ts";
import { takeLock } from "../journal/lock.ts";
import { startChain } from "./chain.ts";
import { startChild, type Child } from "./child.ts";
import type { DevnetAccount, DevnetFile, NodeKind } from "./devnet-file.ts";

/** What each account gets for gas, wei. */
const ETHER = parseEther("1000");
/** Tokens, base units. */
const REQUESTER_TOKENS = parseUnits("100000", 18);
const REGISTRANT_TOKENS = parseUnits("100000", 18);
const NODE_TOKENS = parseUnits("10000", 18);
/** Tokens each node keeps at stake: the class's slot stake and room for several assignments. */
const NODE_STAKE = "5000";
/** How long agents may take to end by themselves, milliseconds. */
const GRACE = 10_000;
/** How long the nodes may take to stake and join, milliseconds. */
const START_TIMEOUT = 120_000;

const mainScript = fileURLToPath(new URL("../cli/main.ts", import.meta.url));
const dishonestScript = fileURLToPath(new URL("./dishonest-node.ts", import.meta.url));

/** Settings of {@link startDevnet}. */
export interface DevnetOptions {
  /** Folder for everything. New, empty, or a devnet's that has ended, of which nothing is kept. */
  home: string;
  /** Port of the chain's JSON-RPC; 0 takes a free one. */
  port: number;
  /** Compute nodes, the dishonest included. None only where there are participants. */
  nodes: number;
  /**
   * Evaluators and workers of evaluated jobs, 1 evaluator in 5, up to 64: they apply for every job that the devnet's
   * registrant registers. Defaults to none.
   */
  participants?: number;
  /** How many of them falsify what they computed. */
  liars: number;
  /** How many of them compute nothing and invent results. */
  lazy: number;
  /** Share of its tasks a dishonest node cheats at, 0 to 1. Defaults to all. */
  cheatShare?: number;
  /** Milliseconds from block to block. Defaults to 1000. */
  blockTime?: number;
  /** A Docker engine that the honest nodes and the requester run tasks with, in class `container`. Default: WASM. */
  executor?: DockerExecutorConfig;
  /** What the agents log. Default: as they do by themselves. */
  logLevel?: LogLevel;
  /** Told what happens, for people; also of agents that end unasked. */
  onProgress?: (line: string) => void;
  /** Ends the start; what was started is stopped. */
  signal?: AbortSignal;
}

/** A running devnet. */
export interface Devnet {
  readonly file: DevnetFile;
  /** Where {@link Devnet.file} was written. */
  readonly path: string;
  /** Its agents as they run now: `requester`, `node-1`, `node-2`, …, `participant-1`, … */
  readonly agents: ReadonlyMap<string, Child>;
  /** Rejects, with `AGENT_ENDED`, when the first agent ends that was not asked to; otherwise stays open. */
  readonly failed: Promise<never>;
  /** Starts an agent again that has ended, with the same home, key and configuration. */
  restart(name: string): Promise<Child>;
  /** Stops agents, gateway and chain. Calling it again does nothing. */
  stop(): Promise<void>;
}

/**
 * Starts a market on this machine: a chain and a storage gateway in this process, contracts, funded accounts, and each
 * agent as a process of its own. Resolves once every node has staked and can be drawn.
 *
 * @throws SuretyError `DEVNET_OPTIONS`, `DEVNET_HOME_IN_USE`, `PORT_TAKEN`, `AGENT_ENDED`, `DEVNET_START_TIMEOUT`, and
 * what deploying throws. Nothing is left running.
 *
 * @example
 * ```ts
 * const devnet = await startDevnet({ home: ".surety/devnet", port: 0, nodes: 6, liars: 1, lazy: 1 });
 * await devnet.stop();
 * ```
 */
export async function startDevnet(options: DevnetOptions): Promise<Devnet> {
  const { nodes, participants = 0, liars, lazy, onProgress = () => {}, signal, cheatShare = 1 } = options;
  checkNumbers(options);
  const home = resolve(options.home);
  const cleanUp = new CleanUp();
  try {
    await mkdir(home, { recursive: true, mode: 0o700 });
    await requireOwnFolder(home);
    const lock = takeLock(join(home, "devnet.lock"), `the devnet in ${home}`);
    cleanUp.add(() => lock.release());
    await emptyFolder(home);

    const deployer = Wallet.createRandom();
    const requester = { wallet: Wallet.createRandom(), name: "requester" };
    const registrant = { wallet: Wallet.createRandom() };
    const evaluators = Math.ceil(participants / 5);
    const crowd = Array.from({ length: participants }, (_, index) => ({
      wallet: Wallet.createRandom(),
      name: `participant-${index + 1}`,
      role: index < evaluators ? ("evaluator" as const) : ("worker" as const),
    }));
    const members = Array.from({ length: nodes }, (_, index) => ({
      wallet: Wallet.createRandom(),
      name: `node-${index + 1}`,
      kind: kindOf(index, { nodes, liars, lazy }),
    }));

    onProgress("starting the chain");
    const chain = await startChain({
      port: options.port,
      blockTime: options.blockTime,
      accounts: [deployer, ...[requester, registrant, ...members, ...crowd].map(({ wallet }) => wallet)].map(
        ({ privateKey }) => ({ privateKey, balance: ETHER }),
      ),
    });
    cleanUp.add(() => chain.close());
    signal?.throwIfAborted();

    onProgress(`deploying the contracts to ${chain.url}`);
    const deployment = await deploySurety({
      chain: { rpcUrl: chain.url },
      deployerKey: deployer.privateKey,
      parameters: await readDeployParameters("local"),
      signal,
    });
    const provider = new JsonRpcProvider(chain.url, chain.chainId, {
      staticNetwork: true,
      pollingInterval: 250,
      cacheTimeout: -1,
    });
    cleanUp.add(() => provider.destroy());
    const { executor } = options;
    const deploymentPath = join(home, "surety.json");
    await writeFile(deploymentPath, formatDeployment(deployment));

    onProgress("starting the storage gateway");
    const storage = await openEmbeddedStorage({ folder: join(home, "storage") });
    const token = randomBytes(24).toString("hex");
    const gateway = await startGateway({ storage, token });
    cleanUp.add(async () => {
      await gateway.close();
      await storage.close();
    });

    onProgress("funding the accounts");
    await fund(provider, deployer.privateKey, deployment.token.address, [
      [requester.wallet.address, REQUESTER_TOKENS],
      [registrant.wallet.address, REGISTRANT_TOKENS],
      ...[...members, ...crowd].map(({ wallet }): [string, bigint] => [wallet.address, NODE_TOKENS]),
    ]);
    signal?.throwIfAborted();

    const common = {
      rpc: [chain.url],
      deployment: deploymentPath,
      storage: { kind: "embedded", gateways: [gateway.url], publishTo: gateway.url, token },
      pollMs: 500,
      // Nothing of it outlives it.
      drainSeconds: 0,
      ...(executor ? { executor } : {}),
      ...(options.logLevel ? { logLevel: options.logLevel } : {}),
    };
    const classId = classNamed(deployment, executor ? "container" : "wasm");
    const agents = new Map<string, Child>();
    const launches = new Map<string, () => Promise<Child>>();
    cleanUp.add(async () => void (await Promise.all([...agents.values()].map((child) => child.stop(GRACE)))));
    const launch = async (name: string): Promise<Child> => {
      const child = await (launches.get(name) as () => Promise<Child>)();
      agents.set(name, child);
      void child.ended.then((how) => cleanUp.begun || onProgress(`${name} ended (${how}); see ${child.log}`));
      return child;
    };

    onProgress(`starting ${nodes} compute nodes and the requester's agent`);
    const nodeAccounts: (DevnetAccount & { kind: NodeKind })[] = [];
    for (const { wallet, name, kind } of members) {
      const account = await writeAgent(join(home, "nodes", name), wallet.address, wallet.privateKey, {
        ...common,
        class: classId,
        stake: NODE_STAKE,
        maxAssignments: 2,
      });
      nodeAccounts.push({ ...account, kind });
      const [script, args] =
        kind === "honest"
          ? [mainScript, ["compute", "--config", account.config]]
          : [dishonestScript, ["--config", account.config, "--kind", kind, "--share", String(cheatShare)]];
      launches.set(name, () => startChild(name, script as string, args as string[], join(account.home, "agent.log")));
      await launch(name);
    }
    const { address: registers, privateKey: registrantKey } = registrant.wallet;
    const registrantAccount = await writeAgent(join(home, "registrant"), registers, registrantKey, {
      ...common,
      jobs: [{ registrant: registers, roles: ["admin"] }],
    });
    if (participants > 0) onProgress(`starting ${participants} participants in evaluated jobs`);
    const participantAccounts: DevnetFile["keys"]["participants"] = [];
    for (const { wallet, name, role } of crowd) {
      const account = await writeAgent(join(home, "participants", name), wallet.address, wallet.privateKey, {
        ...common,
        jobs: [{ registrant: registers, roles: [role] }],
      });
      participantAccounts.push({ ...account, role });
      const args = ["participant", "--config", account.config];
      launches.set(name, () => startChild(name, mainScript, args, join(account.home, "agent.log")));
      await launch(name);
    }
    const { address, privateKey } = requester.wallet;
    const requesterAccount = await writeAgent(join(home, "requester"), address, privateKey, common);
    const requesterArgs = ["requester", "--config", requesterAccount.config];
    launches.set("requester", () =>
      startChild("requester", mainScript, requesterArgs, join(requesterAccount.home, "agent.log")),
    );
    await launch("requester");

    const file: DevnetFile = {
      version: 1,
      rpc: chain.url,
      chainId: chain.chainId,
      deployment: deploymentPath,
      gateway: gateway.url,
      token,
      keys: {
        deployer: { address: deployer.address, key: deployer.privateKey },
        requester: requesterAccount,
        nodes: nodeAccounts,
        registrant: registrantAccount,
        participants: participantAccounts,
      },
      pids: {
        devnet: process.pid,
        requester: (agents.get("requester") as Child).pid,
        nodes: members.map(({ name }) => (agents.get(name) as Child).pid),
        participants: crowd.map(({ name }) => (agents.get(name) as Child).pid),
      },
    };

    const failed = firstToEnd([...agents.values()], () => cleanUp.begun);
    // Once all run, an agent that ends may be part of the game.
    failed.catch(() => {});
    onProgress("waiting until every node has staked and can be drawn");
    const rpc = new HttpRpc({ urls: [chain.url] });
    await Promise.race([failed, allDrawable(rpc, deployment, { classId, nodes: nodeAccounts, signal })]);
    const path = join(home, "devnet.json");
    await writeJson(path, file);
    const restart = async (name: string): Promise<Child> => {
      await agents.get(name)?.stop(GRACE);
      return launch(name);
    };
    return { file, path, agents, failed, restart, stop: () => cleanUp.run() };
  } catch (error) {
    await cleanUp.run();
    throw error;
  }
}

/** What to undo, in the reverse of the order it was done in. */
class CleanUp {
  readonly #steps: (() => void | Promise<void>)[] = [];
  #running: Promise<void> | undefined;

  get begun(): boolean {
    return this.#running !== undefined;
  }

  add(step: () => void | Promise<void>): void {
    this.#steps.push(step);
  }

  run(): Promise<void> {
    this.#running ??= this.#run();
    return this.#running;
  }

  async #run(): Promise<void> {
    const failures: unknown[] = [];
    for (const step of this.#steps.reverse()) {
      try {
        await step();
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw failures[0];
  }
}

function checkNumbers({ nodes, liars, lazy, participants = 0 }: DevnetOptions): void {
  const whole = [nodes, liars, lazy, participants].every((count) => Number.isSafeInteger(count) && count >= 0);
  const some = nodes >= 1 || participants >= 1;
  if (whole && some && nodes <= 64 && participants <= 64 && liars + lazy <= nodes) return;
  const what = `${nodes} nodes of which ${liars} lie and ${lazy} are lazy, and ${participants} participants, cannot be`;
  throw new SuretyError("DEVNET_OPTIONS", what, {
    details: { nodes, liars, lazy, participants },
    fix: "Take 1 to 64 nodes, the liars and the lazy among them; up to 64 participants.",
    exit: ExitStatus.badInput,
  });
}

/** The honest come first. */
function kindOf(index: number, { nodes, liars, lazy }: Pick<DevnetOptions, "nodes" | "liars" | "lazy">): NodeKind {
  if (index >= nodes - lazy) return "lazy";
  return index >= nodes - lazy - liars ? "lying" : "honest";
}

/** What a devnet makes in its home; nothing else there is ever deleted. */
const OWN_NAMES = ["devnet.json", "surety.json", "nodes", "participants", "registrant", "requester", "storage"];
const MARKER = "devnet.lock";

async function requireOwnFolder(home: string): Promise<void> {
  const names = await readdir(home);
  if (names.length === 0 || names.includes(MARKER)) return;
  throw new SuretyError("DEVNET_HOME_IN_USE", `${home} holds something that is no devnet's`, {
    details: { home },
    fix: "Name a new folder with --home.",
    exit: ExitStatus.badInput,
  });
}

async function emptyFolder(home: string): Promise<void> {
  for (const name of OWN_NAMES) await rm(join(home, name), { recursive: true, force: true });
}

async function writeJson(path: string, value: unknown): Promise<void> {
  const text = JSON.stringify(value, (_, inner: unknown) => (typeof inner === "bigint" ? inner.toString() : inner), 2);
  await writeFile(path, `${text}\n`, { mode: 0o600 });
}

async function writeAgent(home: string, address: string, key: string, settings: object): Promise<DevnetAccount> {
  await mkdir(home, { recursive: true });
  await writeFile(join(home, "key"), `${key}\n`, { mode: 0o600 });
  const config = join(home, "config.json");
  await writeJson(config, { home, key: { file: join(home, "key") }, ...settings });
  return { address, key, home, config };
}

async function fund(
  provider: JsonRpcProvider,
  deployerKey: string,
  tokenAddress: string,
  shares: readonly [address: string, amount: bigint][],
): Promise<void> {
  const signer = new NonceManager(new Wallet(deployerKey, provider));
  const token = new Contract(tokenAddress, tokenInterface, signer);
  const transfer = token.getFunction("transfer");
  // All in one block rather than one after the other.
  const sent = [];
  for (const [address, amount] of shares) sent.push(await transfer.send(address, amount));
  for (const transaction of sent) await transaction.wait();
}

async function firstToEnd(children: readonly Child[], isStopping: () => boolean): Promise<never> {
  const first = await Promise.race(children.map(async (child) => ({ child, how: await child.ended })));
  // Asked to.
  if (isStopping()) return new Promise<never>(() => {});
  const { child, how } = first;
  const log = await readFile(child.log, "utf8").catch(() => "");
  const last = log.trim().split("\n").slice(-3).join("\n");
  throw new SuretyError(
    "AGENT_ENDED",
    `${child.name} ended (${how}) without being asked to. Its last words:\n${last}`,
    {
      details: { agent: child.name, how, log: child.log },
      fix: `Read ${child.log}.`,
    },
  );
}

async function allDrawable(
  rpc: HttpRpc,
  { registry, market }: Deployment,
  pool: { classId: string; nodes: readonly DevnetAccount[]; signal?: AbortSignal },
): Promise<void> {
  const { nodes, classId, signal } = pool;
  const deadline = Date.now() + START_TIMEOUT;
  for (;;) {
    const drawable = new Set<string>();
    const { slots } = await reads.classState(rpc, registry, market, classId, { signal });
    const block = (await rpc.request("eth_getBlockByNumber", ["latest", false], { signal })) as { timestamp: string };
    for (let slot = 0; slot < slots; slot += 1) {
      const { node, activeFrom } = await reads.slotOf(rpc, registry, { market, class: classId, slot }, { signal });
      if (activeFrom <= Number(block.timestamp)) drawable.add(node);
    }
    const missing = nodes.filter(({ address }) => !drawable.has(address));
    if (missing.length === 0) return;
    if (Date.now() > deadline) {
      throw new SuretyError(
        "DEVNET_START_TIMEOUT",
        `${missing.length} nodes have not joined within ${START_TIMEOUT / 1000} s`,
        {
          details: { missing: missing.map(({ address }) => address).join(" ") },
          fix: `Read agent.log in ${missing[0]?.home}.`,
        },
      );
    }
    await sleep(300, undefined, { signal });
  }
}
