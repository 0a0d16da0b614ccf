import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { Wallet } from "ethers";
import type { ContractCall } from "#sdk/calls.ts";
import { SuretyError } from "#sdk/errors.ts";
import { MemoryEventStore } from "#sdk/event-store.ts";
import { Follower } from "#sdk/follower.ts";
import * as reads from "#sdk/reads.ts";
import { requestPhaseOf, type RequestPhase, type RequestRecord, type RequestState } from "#sdk/request-state.ts";
import type { SchemaProto } from "#sdk/schema-proto.ts";
import { checkParticipantConfig, readParticipantConfig } from "../../agents/config.ts";
import { createLogger } from "../../agents/logger.ts";
import { AgentMetrics } from "../../agents/monitoring/metrics.ts";
import { runParticipant } from "../../agents/participant/agent.ts";
import { RequestAgent } from "../../agents/participant/request-agent.ts";
import { RequestFold } from "../../agents/participant/request-fold.ts";
import { Requesting, type RequestOrder } from "../../agents/participant/requesting.ts";
import { registerPackage } from "../../agents/participant/registering.ts";
import { checkPackage } from "../../agents/schema/check-package.ts";
import { ActingAgent, type AgentIdentity } from "./acting-agent.ts";
import { LocalMarket } from "./local-market.ts";
import { copyExample, type SchemaExample } from "./schema-example.ts";

export const TOKEN = 10n ** 18n;
/** Seconds: so long that none passes by itself; see {@link RequestWorld.pass}. */
export const WINDOW = 600;
export const POT = 60n * TOKEN;
export const REWARD = 5n * TOKEN;
/** What the schema says. */
export const DEPOSIT = 10n * TOKEN;
export const FEE = TOKEN;

const BLOCK_TIME = 250;
const POLL_MS = 200;
const PATIENCE = 600_000;
const TOKENS = 500n * TOKEN;
const WORKERS = 3;

const mainScript = fileURLToPath(new URL("../../agents/cli/main.ts", import.meta.url));
const actingScript = fileURLToPath(new URL("./acting-participant.ts", import.meta.url));
const silent = createLogger({ agent: "participant", level: "silent" });

/** What a participant may do wrong: see acting-participant.ts. */
export type ParticipantAct = "lying" | "quarrelling" | "by-heart";

/** What a requester in this process does beside asking. */
export interface RequesterSettings {
  challenge: "own" | "never";
}

/** A job that the root registered. */
export interface RegisteredJob {
  schema: string;
  proto: SchemaProto;
}

/** A requester that runs in this process. */
export interface OpenRequester {
  address: string;
  requesting: Requesting;
  stop(): Promise<void>;
}

/**
 * A local chain with a job whose tree is: a root, an admin below it, an evaluator below that, and workers below the
 * root; all in processes of their own, and members by showing what they can do.
 */
export class RequestWorld {
  readonly market: LocalMarket;
  /** The first of the jobs. */
  readonly schema: string;
  readonly proto: SchemaProto;
  /** All of them, by the example whose programs they run. */
  readonly jobs: ReadonlyMap<SchemaExample, RegisteredJob>;
  readonly root: ActingAgent;
  readonly parent: ActingAgent;
  readonly evaluator: ActingAgent;
  readonly workers: ActingAgent[];
  readonly #fold: RequestFold;
  readonly #follower: Follower;
  readonly #agents: ActingAgent[];
  readonly #requesters: OpenRequester[] = [];
  readonly #accounts: Set<string>;
  #now = 0;

  private constructor(
    market: LocalMarket,
    jobs: ReadonlyMap<SchemaExample, RegisteredJob>,
    {
      root,
      parent,
      evaluator,
      workers,
    }: Record<"root" | "parent" | "evaluator", ActingAgent> & {
      workers: ActingAgent[];
    },
  ) {
    this.market = market;
    const [{ schema, proto }] = jobs.values() as unknown as [RegisteredJob];
    this.schema = schema;
    this.proto = proto;
    this.jobs = jobs;
    this.root = root;
    this.parent = parent;
    this.evaluator = evaluator;
    this.workers = workers;
    this.#agents = [root, parent, evaluator, ...workers];
    this.#accounts = new Set([market.deployer, ...this.#agents.map(({ address }) => address)]);
    const { chainId, schemas, requests, startBlock, parameters } = market.deployment;
    this.#fold = new RequestFold({ requests: requests!, account: root.address }, { logger: silent });
    this.#follower = new Follower(
      {
        ...{ chainId, startBlock, pollMs: POLL_MS },
        addresses: [schemas!, requests!],
        finalDepth: parameters.finalDepth,
      },
      { rpc: market.rpc, store: new MemoryEventStore() },
    );
  }

  /** @param examples Whose programs run: a job for each. */
  static async start(...examples: [SchemaExample, ...SchemaExample[]]): Promise<RequestWorld> {
    const market = await LocalMarket.start({ accounts: 40, blockTime: BLOCK_TIME, parameters: { dropInterval: 1 } });
    const identify = async (name: string, jobs: (root: string) => object[], root?: string): Promise<AgentIdentity> => {
      const account = market.account();
      await market.give(account.address, TOKENS);
      const settings = { pollMs: POLL_MS, drainSeconds: 0, jobs: jobs(root ?? account.address) };
      return { name, address: account.address, ...(await market.agentHome(name, account, settings)) };
    };
    const root = await identify("root", (registrant) => [{ registrant, roles: ["admin"] }]);
    const { address: registrant } = root;
    const below = (parent: string, ...roles: string[]) => [{ registrant, parent, roles }];
    const parent = await identify("parent", () => below(registrant, "admin"));
    const evaluator = await identify("evaluator", () => below(parent.address, "evaluator"));
    const workers: AgentIdentity[] = [];
    for (let place = 1; place <= WORKERS; place += 1) {
      workers.push(await identify(`worker-${place}`, () => below(registrant, "worker")));
    }
    const jobs = new Map<SchemaExample, RegisteredJob>();
    for (const example of examples) jobs.set(example, await register(root.config, example));
    const participant = (identity: AgentIdentity): ActingAgent =>
      new ActingAgent(identity, [mainScript, "participant", "--config", identity.config]);
    const world = new RequestWorld(market, jobs, {
      root: participant(root),
      parent: participant(parent),
      evaluator: participant(evaluator),
      workers: workers.map(participant),
    });
    try {
      for (const agent of world.#agents) await agent.start();
      const all = world.#agents.length;
      await world.until("everybody's membership", () => {
        const isWhole = ({ schema }: RegisteredJob) => world.state.schemas.get(schema)?.members.size === all;
        return [...jobs.values()].every(isWhole) && world.#agents.every(({ address }) => world.state.keys.has(address));
      });
    } catch (error) {
      await world.stop();
      throw error;
    }
    return world;
  }

  get state(): RequestState {
    return this.#fold.state;
  }

  /** The same account with another program, that does something wrong; neither is started. */
  acting(agent: ActingAgent, act: ParticipantAct): ActingAgent {
    const other = new ActingAgent(agent, [actingScript, agent.config, act]);
    this.#agents.push(other);
    return other;
  }

  /** A requester with tokens, which runs in this process. */
  async newRequester({ challenge }: RequesterSettings = { challenge: "own" }): Promise<OpenRequester> {
    const account = this.market.account();
    await this.market.give(account.address, TOKENS);
    this.#accounts.add(account.address);
    const settings = { pollMs: POLL_MS, drainSeconds: 0, challenge };
    const { config: path } = await this.market.agentHome(`requester-${account.address.slice(2, 8)}`, account, settings);
    const config = await readParticipantConfig(path);
    const ended = new AbortController();
    const opened = Promise.withResolvers<Requesting>();
    const running = runParticipant(checkParticipantConfig(config), {
      signal: ended.signal,
      logger: silent,
      parts: (context) => {
        const requesting = new Requesting(context);
        opened.resolve(requesting);
        return [requesting];
      },
    });
    running.catch(opened.reject);
    const requester: OpenRequester = {
      address: account.address,
      requesting: await opened.promise,
      stop: async () => {
        ended.abort();
        await running;
      },
    };
    this.#requesters.push(requester);
    return requester;
  }

  /** Asks for the square root of 4, or for what is said otherwise; returns the request's id. */
  async order(
    { requesting }: OpenRequester,
    {
      job: { schema, proto } = this,
      message = { y: 4 },
      terms = {},
      ...rest
    }: Partial<Omit<RequestOrder, "message" | "terms">> & {
      job?: RegisteredJob;
      message?: object;
      terms?: Partial<RequestOrder["terms"]>;
    } = {},
  ): Promise<string> {
    // It must have seen the job.
    return this.until("the requester's first look", () =>
      requesting
        .order({
          visibility: "sealed",
          ...rest,
          message: proto.worker.input.fromJson(message),
          terms: {
            ...{ schema, root: this.root.address, rewardFunction: "by-rank" },
            ...{ evaluatorReward: REWARD, workerReward: POT, list: [], evaluators: [], workers: [] },
            ...{ minWorkers: WORKERS, maxWorkers: WORKERS, skipEvaluation: false },
            ...{ acceptWindow: WINDOW, timeLimit: WINDOW, stepWindow: WINDOW, deposit: DEPOSIT, challengeFee: FEE },
            ...terms,
          },
        })
        .catch((error: unknown) => {
          if (error instanceof SuretyError && error.code === "SCHEMA_UNKNOWN") return undefined;
          throw error;
        }),
    );
  }

  /** What is known of a request. */
  record(id: string): RequestRecord {
    return this.state.requests.get(id)!;
  }

  /** Waits until a request is in a phase. */
  phase(id: string, ...phases: RequestPhase[]): Promise<RequestRecord> {
    return this.until(`${phases.join(" or ")} of a request`, () => {
      const record = this.state.requests.get(id);
      return record && phases.includes(requestPhaseOf(record, this.#now)) ? record : undefined;
    });
  }

  /**
   * Makes calls with the key of an agent, one after the other, as its operator could without it.
   *
   * @param agent One that does not run.
   * @returns whether each took effect
   */
  async sendAs(agent: ActingAgent, ...wanted: ContractCall[]): Promise<boolean[]> {
    const { key } = await readParticipantConfig(agent.config);
    return this.market.sendAs(new Wallet((key as { hex: string }).hex), wanted, 500_000n);
  }

  /** Lets the chain's clock run on by so many seconds at once. */
  async pass(seconds: number): Promise<void> {
    const before = this.#now;
    await this.market.rpc.request("evm_increaseTime", [seconds]);
    await this.until("the time", () => this.#now >= before + seconds);
  }

  /** Looks at the chain again and again until `condition` gives something. */
  async until<T>(
    what: string,
    condition: () => T | undefined | false | 0 | Promise<T | undefined | false | 0>,
  ): Promise<T> {
    for (const deadline = Date.now() + PATIENCE; ; await delay(100)) {
      await this.#look();
      const found = await condition();
      if (found) return found;
      const failure = this.#agents.find((agent) => agent.failure !== undefined)?.failure;
      if (failure !== undefined) throw new Error(`waiting for ${what}: ${failure}`);
      if (Date.now() > deadline) {
        const words = await Promise.all(this.#agents.map((agent) => agent.lastWords()));
        throw new Error(`${what} did not come.\n${words.join("\n")}`);
      }
    }
  }

  /** What everybody has, in wallets and free in the vault; what is locked; what was burned. */
  async money(): Promise<{ accounts: Map<string, bigint>; locked: bigint; burned: bigint }> {
    const { vault, token, requests } = this.market.deployment;
    const { rpc } = this.market;
    const at = { blockNumber: Number(await rpc.request("eth_blockNumber", [])) };
    const accounts = new Map<string, bigint>();
    let free = 0n;
    for (const address of this.#accounts) {
      const inVault = await reads.available(rpc, vault, requests!, address, at);
      free += inVault;
      accounts.set(address, inVault + (await reads.balanceOf(rpc, token.address, address, at)));
    }
    const burned = await reads.vaultBurned(rpc, vault, at);
    return { accounts, burned, locked: (await reads.vaultTotal(rpc, vault, at)) - burned - free };
  }

  /**
   * Takes down what everybody has now; what is given back checks what has changed since, to the last unit, and that
   * nothing is locked any more.
   */
  async openBooks(): Promise<(expected: { changes: Map<string, bigint>; burned: bigint }) => Promise<void>> {
    const before = await this.money();
    return async ({ changes, burned }) => {
      const after = await this.money();
      const changed = new Map<string, bigint>();
      for (const [address, has] of after.accounts) {
        const change = has - (before.accounts.get(address) ?? TOKENS);
        if (change !== 0n && address !== this.market.deployer) changed.set(address, change);
      }
      const named = (amounts: Map<string, bigint>): Record<string, bigint> =>
        Object.fromEntries([...amounts].map(([address, amount]) => [this.#name(address), amount]));
      expect(named(changed), "what everybody gained or lost").to.deep.equal(named(changes));
      expect(after.burned - before.burned, "burned").to.equal(burned);
      expect(after.locked, "left locked").to.equal(0n);
    };
  }

  /** Ends what a flow left running, and starts again what it stopped. */
  async reset(): Promise<void> {
    for (const requester of this.#requesters.splice(0)) await requester.stop();
    for (const other of this.#agents.splice(WORKERS + 3)) await other.kill();
    for (const agent of this.#agents) await agent.start();
  }

  async stop(): Promise<void> {
    for (const requester of this.#requesters.splice(0)) await requester.stop();
    await Promise.all(this.#agents.map((agent) => agent.kill()));
    await this.market.stop();
  }

  #name(address: string): string {
    return this.#agents.find((agent) => agent.address === address)?.name ?? `requester ${address}`;
  }

  async #look(): Promise<void> {
    try {
      await this.#follower.sync({
        onEvents: (events) => this.#fold.add(events),
        onRewind: () => this.#fold.restart(),
      });
    } catch (error) {
      if (!(error instanceof SuretyError) || error.kind !== "retryable") throw error;
    }
    const block = (await this.market.rpc.request("eth_getBlockByNumber", ["latest", false])) as { timestamp: string };
    this.#now = Number(block.timestamp);
  }
}

/** Registers a job with the key of its root, which does not run yet. */
async function register(configPath: string, example: SchemaExample): Promise<RegisteredJob> {
  const checked = await checkPackage(await copyExample(example), { executorFor: () => ({ kind: "wasm" }) });
  const config = await readParticipantConfig(configPath);
  const ended = new AbortController();
  const metrics = new AgentMetrics({ agent: "participant", version: "test" });
  const agent = await RequestAgent.open({ config, logger: silent, signal: ended.signal, metrics });
  try {
    const { job } = await registerPackage(agent, checked, { signal: ended.signal });
    return { schema: job, proto: checked.schema.proto };
  } finally {
    ended.abort();
    await agent.close();
  }
}
