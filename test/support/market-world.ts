import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { Wallet } from "ethers";
import * as calls from "#sdk/calls.ts";
import type { ContractCall } from "#sdk/calls.ts";
import { classNamed } from "#sdk/deployment.ts";
import type { Slot } from "#sdk/draw.ts";
import { SuretyError } from "#sdk/errors.ts";
import { drawnFor, type AssignmentRecord, type BatchRecord } from "#sdk/market-state.ts";
import { nodeState } from "#sdk/reads.ts";
import { Witness } from "../../agents/demo/witness.ts";
import { readStatus, type JobStatus } from "../../agents/requester/spool.ts";
import { ActingAgent } from "./acting-agent.ts";
import { errorCode, lastJson, surety } from "./command-line.ts";
import { echoProgram } from "./echo-program.ts";
import { LocalMarket, type LocalMarketOptions } from "./local-market.ts";

/*
 * What a task must pay for a node to claim: by its price a job chooses who works on it. Every node verifies, whatever
 * the price.
 */
/** Nobody works for this. */
export const PRICE_OF_NONE = "0.05";
/** Only node 1 does. */
export const PRICE_OF_ONE = "0.1";
/** Nodes 1 and 2 do. */
export const PRICE_OF_TWO = "0.2";
/** Every node does. */
export const PRICE_OF_ALL = "1";

const TOKEN = 10n ** 18n;
/** A full panel of three and as many to draw from, and two that a job can leave out. */
const NODES = 8;
const NODE_TOKENS = 5_000n * TOKEN;
/** Half of it backs the node's place in the pool. */
const STAKE = "2000";
const REQUESTER_TOKENS = 1_000n * TOKEN;
/** Nodes, and the requesters of all flows. */
const ACCOUNTS = 50;
const BLOCK_TIME = 400;
const POLL_MS = 200;
/** How long what must come may take by default, milliseconds. */
const PATIENCE = 240_000;
/** Windows, seconds: so long that none passes by itself; see {@link MarketWorld.pass}. */
const WINDOWS = { claim: 7_200, submit: 600, reveal: 600, check: 600, judge: 600, challenge: 600 };

/** How a {@link MarketWorld} differs from the one that flows share. */
export interface WorldOptions extends LocalMarketOptions {
  /** Compute nodes. Default 8. */
  nodes?: number;
  /** Class of all of them. Default `wasm`. */
  hostClass?: "wasm" | "container";
  /** Seconds. */
  windows?: typeof WINDOWS;
  /** How long what must come may take, milliseconds. */
  patience?: number;
  /** More of each agent's configuration. */
  settingsOf?: (name: string, market: LocalMarket) => object | Promise<object>;
  /** Done with each agent's home before the agent first starts. */
  prepareHome?: (home: string) => Promise<void>;
}

const actingNode = fileURLToPath(new URL("./acting-node.ts", import.meta.url));
const mainScript = fileURLToPath(new URL("../../agents/cli/main.ts", import.meta.url));

/** A job that differs from the usual one: `sampled`, everything checked, one verifier first, slices of any size. */
export interface JobSettings {
  tasks: number;
  /** Of a task, in tokens: {@link PRICE_OF_ONE} and so on. */
  price: string;
  mode?: "trusted" | "sampled" | "replicated";
  rate?: string;
  checking?: "adaptive" | "fixed";
  maxShare?: string;
  /** Share of the tasks that the requester runs itself. */
  plant?: string;
  /** Mode `trusted`: who may claim. */
  allow?: string[];
}

/** The eight of them, and more where a flow added some. */
type Nodes = [ActingAgent, ActingAgent, ...ActingAgent[]];

/** A requester: an agent, and somebody who submits jobs to it. */
export class ActingRequester extends ActingAgent {
  readonly #world: MarketWorld;

  constructor(world: MarketWorld, identity: Pick<ActingAgent, "name" | "address" | "home" | "config">) {
    super(identity, [mainScript, "requester", "--config", identity.config]);
    this.#world = world;
  }

  /** Writes a job file and what it names; its task number n echoes `task-n`. Returns its path. */
  async writeJob({
    tasks,
    price,
    mode = "sampled",
    rate = "100%",
    checking = "adaptive",
    maxShare = "100%",
    plant,
    allow,
  }: JobSettings): Promise<string> {
    const folder = join(this.home, `job-of-${tasks}`);
    await mkdir(join(folder, "inputs"), { recursive: true });
    await writeFile(join(folder, "echo.wasm"), echoProgram);
    for (let task = 0; task < tasks; task += 1) await writeFile(join(folder, "inputs", `${task}.txt`), `input ${task}`);
    const checked = mode === "sampled" ? { rate, checking } : {};
    const windows = Object.fromEntries(
      Object.entries(this.#world.windows).map(([name, seconds]) => [name, `${seconds}s`]),
    );
    const job = {
      name: "echo",
      module: "./echo.wasm",
      args: ["task-{index}"],
      inputs: "./inputs",
      mode,
      ...checked,
      prices: { task: price },
      limits: { fuel: "1M", memory: "1MiB", seconds: "60s", output: "64KiB", files: 4 },
      windows,
      maxShare,
      ...(plant === undefined ? {} : { plant }),
      ...(allow ? { nodes: { allow } } : {}),
    };
    const path = join(folder, "job.json");
    await writeFile(path, JSON.stringify(job, null, 2));
    return path;
  }

  /** `surety submit`; returns the ticket. */
  async submit(job: JobSettings): Promise<string> {
    const ended = await surety(["submit", await this.writeJob(job), "--config", this.config, "--json"]);
    if (ended.exit !== 0) throw new Error(`submit ended with ${ended.exit}, ${errorCode(ended)}:\n${ended.stderr}`);
    return String(lastJson(ended).ticket);
  }

  status(ticket: string): Promise<JobStatus | undefined> {
    return readStatus(this.home, ticket);
  }

  /** Waits until nothing more will be done for a job. */
  async finished(ticket: string): Promise<JobStatus> {
    return this.#world.until(`the end of job ${ticket}`, async () => {
      const status = await this.status(ticket);
      return status && ["settled", "failed"].includes(status.state) ? status : undefined;
    });
  }

  /** Its batches, oldest first. */
  get batches(): BatchRecord[] {
    return [...this.#world.state.batches.values()].filter(({ terms }) => terms.requester === this.address);
  }

  /** Waits until it has posted this many batches; returns the last of them. */
  async posted(count = 1): Promise<BatchRecord> {
    return this.#world.until(`batch ${count} of ${this.name}`, () => this.batches[count - 1]);
  }
}

/**
 * A market on a local chain of its own, with eight honest compute nodes in processes of their own that have staked and
 * can be drawn. Its clock is the chain's: it goes on as the machine's does, and further when told.
 */
export class MarketWorld {
  readonly market: LocalMarket;
  readonly witness: Witness;
  /** Node 1 first. */
  readonly nodes: Nodes = [] as unknown as Nodes;
  readonly #requesters: ActingRequester[] = [];
  /** Seconds that jobs give each step. */
  readonly windows: typeof WINDOWS;
  readonly #names: Map<string, string>;
  readonly #patience: number;
  readonly #hostClass: Required<WorldOptions>["hostClass"];
  readonly #settingsOf: Required<WorldOptions>["settingsOf"];
  readonly #prepareHome: Required<WorldOptions>["prepareHome"];

  private constructor(
    market: LocalMarket,
    witness: Witness,
    names: Map<string, string>,
    {
      windows = WINDOWS,
      patience = PATIENCE,
      hostClass = "wasm",
      settingsOf = () => ({}),
      prepareHome = () => Promise.resolve(),
    }: WorldOptions,
  ) {
    this.market = market;
    this.witness = witness;
    this.windows = windows;
    this.#names = names;
    this.#patience = patience;
    this.#hostClass = hostClass;
    this.#settingsOf = settingsOf;
    this.#prepareHome = prepareHome;
  }

  static async start(options: WorldOptions = {}): Promise<MarketWorld> {
    const { nodes = NODES } = options;
    const market = await LocalMarket.start({ accounts: ACCOUNTS, blockTime: BLOCK_TIME, ...options });
    const names = new Map([[market.deployer, "deployer"]]);
    const witness = new Witness(market.deployment, market.rpc, names, () => undefined);
    const world = new MarketWorld(market, witness, names, options);
    try {
      for (let place = 0; place < nodes; place += 1) await (await world.addNode()).start();
      await world.until("a place in the pool for every node", () => world.drawable().length === nodes);
    } catch (error) {
      await world.stop();
      throw error;
    }
    return world;
  }

  get state(): Witness["state"] {
    return this.witness.state;
  }

  /** One more node with tokens; it is not started. */
  async addNode(): Promise<ActingAgent> {
    const { deployment } = this.market;
    const place = this.nodes.length;
    const minPrice = [PRICE_OF_ONE, PRICE_OF_TWO][place] ?? PRICE_OF_ALL;
    const settings = { class: classNamed(deployment, this.#hostClass), stake: STAKE, minPrice, maxAssignments: 4 };
    const identity = await this.#newAgent(`node-${place + 1}`, NODE_TOKENS, settings);
    const node = new ActingAgent(identity, [actingNode, identity.config]);
    this.nodes.push(node);
    return node;
  }

  /**
   * A new requester with tokens and no agent running.
   *
   * @param settings What is added to its configuration; it waits 5 seconds for what nobody serves.
   */
  async newRequester(name: string, settings: Record<string, unknown> = {}): Promise<ActingRequester> {
    const identity = await this.#newAgent(name, REQUESTER_TOKENS, { fetchPatience: 5, ...settings });
    const requester = new ActingRequester(this, identity);
    this.#requesters.push(requester);
    return requester;
  }

  /** The node of that address. */
  nodeAt(address: string | undefined): ActingAgent {
    const node = this.nodes.find((one) => one.address === address);
    if (!node) throw new Error(`no node has the address ${address}`);
    return node;
  }

  /** Who can be drawn now, by place in the pool. */
  drawable(): string[] {
    return this.#places().flatMap(({ node, activeFrom }) => (activeFrom <= this.#now ? [node] : []));
  }

  /** How many places in the pool a node has, to be drawn now or soon. */
  placesOf(node: ActingAgent): number {
    return this.#places().filter((place) => place.node === node.address).length;
  }

  #places(): Slot[] {
    const pool = this.state.classes.get(classNamed(this.market.deployment, this.#hostClass));
    return (pool?.slots ?? []).filter((slot) => slot !== undefined);
  }

  /** Who was drawn for each round of an assignment, by round and seat, as far as it is decided. */
  async drawn(record: BatchRecord, assignment: AssignmentRecord): Promise<string[][]> {
    const hashes = new Map<number, string>();
    for (const { entropyBlock } of assignment.rounds) {
      const params = [`0x${entropyBlock.toString(16)}`, false];
      const block = (await this.market.rpc.request("eth_getBlockByNumber", params)) as { hash: string } | null;
      if (block) hashes.set(entropyBlock, block.hash);
    }
    return drawnFor(this.state, record, assignment, hashes);
  }

  /**
   * Makes calls with the key of an agent, one after the other, as its operator could without it.
   *
   * @param agent One that does not run.
   */
  async sendAs(agent: ActingAgent, ...wanted: ContractCall[]): Promise<void> {
    const { key } = JSON.parse(await readFile(agent.config, "utf8")) as { key: { hex: string } };
    await this.market.sendAs(new Wallet(key.hex), wanted);
  }

  /** Brings a requester's own tokens into the market, as its agent would. */
  async fund(requester: ActingRequester, amount: bigint): Promise<void> {
    const { vault, market, token } = this.market.deployment;
    await this.sendAs(
      requester,
      calls.approve(token.address, { spender: vault, amount }),
      calls.deposit(vault, { ledger: market, holder: requester.address, amount }),
    );
  }

  /** Lets the chain's clock run on by so many seconds at once. */
  async pass(seconds: number): Promise<void> {
    await this.market.rpc.request("evm_increaseTime", [seconds]);
    const { height } = this;
    await this.until("the next block", () => this.height > height);
  }

  /** Lets so many blocks be mined. */
  async mine(blocks: number): Promise<void> {
    const { height } = this;
    await this.until(`${blocks} blocks`, () => this.height >= height + blocks);
  }

  /** Number of the newest block. */
  height = 0;
  #now = 0;

  /**
   * Looks at the chain again and again until `condition` gives something.
   *
   * @throws if an agent ended that was not told to, or it takes longer than anything may
   */
  async until<T>(
    what: string,
    condition: () => T | undefined | false | 0 | Promise<T | undefined | false | 0>,
  ): Promise<T> {
    for (const deadline = Date.now() + this.#patience; ; await delay(100)) {
      await this.#catchUp();
      const block = (await this.market.rpc.request("eth_getBlockByNumber", ["latest", false])) as Record<
        string,
        string
      >;
      this.height = Number(block.number);
      this.#now = Number(block.timestamp);
      const found = await condition();
      if (found) return found;
      const failure = [...this.nodes, ...this.#requesters].find((agent) => agent.failure !== undefined)?.failure;
      if (failure !== undefined) throw new Error(`waiting for ${what}: ${failure}`);
      if (Date.now() > deadline) throw new Error(`${what} did not come. ${await this.#lastWords()}`);
    }
  }

  /** What is known stays as it is when blocks are replaced in the middle of a look: the next look tells. */
  async #catchUp(): Promise<void> {
    try {
      await this.witness.catchUp();
    } catch (error) {
      if (!(error instanceof SuretyError) || error.kind !== "retryable") throw error;
    }
  }

  /** Ends what a flow left running, and waits until every node is honest and runs, its stake whole again. */
  async reset(): Promise<void> {
    for (const requester of this.#requesters.splice(0)) await requester.kill();
    for (const node of this.nodes) {
      await node.act("honest");
      await node.start();
    }
    const { registry, market } = this.market.deployment;
    await this.until("every node's stake", async () => {
      const states = await Promise.all(
        this.nodes.map(({ address }) => nodeState(this.market.rpc, registry, market, address)),
      );
      return states.every(({ stake }) => stake === BigInt(STAKE) * TOKEN);
    });
  }

  async stop(): Promise<void> {
    await Promise.all([...this.nodes, ...this.#requesters].map((agent) => agent.kill()));
    await this.market.stop();
  }

  async #lastWords(): Promise<string> {
    const words = await Promise.all([...this.nodes, ...this.#requesters].map((agent) => agent.lastWords()));
    return words.join("\n");
  }

  async #newAgent(name: string, tokens: bigint, settings: object) {
    const account = this.market.account();
    await this.market.give(account.address, tokens);
    const paths = await this.market.agentHome(`${name}-${account.address.slice(2, 8)}`, account, {
      pollMs: POLL_MS,
      drainSeconds: 0,
      ...settings,
      ...(await this.#settingsOf(name, this.market)),
    });
    await this.#prepareHome(paths.home);
    this.#names.set(account.address, name);
    return { name, address: account.address, ...paths };
  }
}

let world: Promise<MarketWorld> | undefined;

/** The world that all flows of this process share, one after the other. */
export function sharedWorld(): Promise<MarketWorld> {
  world ??= MarketWorld.start();
  return world;
}

// Outside of mocha, whoever starts a world stops it.
if (typeof after === "function") {
  after("stop the market of all flows", async function () {
    this.timeout(60_000);
    await (await world)?.stop();
  });
}
