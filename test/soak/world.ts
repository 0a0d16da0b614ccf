import { cp, readFile, rename, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { ActingAgent } from "../support/acting-agent.ts";
import type { Act } from "../support/acting-executor.ts";
import { FaultProxy, type Fault as ProxyFault } from "../support/fault-proxy.ts";
import { MarketWorld, type ActingRequester } from "../support/market-world.ts";
import { RestlessChain } from "./chain.ts";
import { SmallDisk } from "./disk.ts";
import { FINAL_DEPTH, NODES, type Mishap, type Who } from "./schedule.ts";

/** Milliseconds from block to block. */
const BLOCK_TIME = 200;
const POLL_MS = 150;
/** Milliseconds; a busy machine takes its time, and a batch that is stuck does not move at all. */
const PATIENCE = 600_000;
/** Seconds: so long that no fault makes anybody late. */
const WINDOW = 6 * 3600;
const HOUR_MS = 3_600_000;
const GWEI = 10n ** 9n;
/** What an agent ends with that could not reach its chain at its start: a supervisor starts it again. */
const UNAVAILABLE = 3;

/** How an agent ends that is asked to: by the signal itself if it had hardly begun. */
export const ENDS = [0, "SIGTERM"] as const;

const setClock = fileURLToPath(new URL("./set-clock.ts", import.meta.url));

/** What stands between an agent and the rest of the world. */
interface Doors {
  chain: [FaultProxy, FaultProxy];
  gateway: FaultProxy;
}

/** A market on a restless chain, with a proxy on each way out of each agent. */
export class SoakWorld {
  readonly market: MarketWorld;
  readonly chain: RestlessChain;
  readonly requester: ActingRequester;
  /** Transactions that others sent with an agent's key, by its address. */
  readonly stolen = new Map<string, string[]>();
  readonly #doors: Map<string, Doors>;
  /** By home; empty where none can be made. */
  readonly #disks: Map<string, SmallDisk>;

  private constructor(
    parts: Pick<SoakWorld, "market" | "chain" | "requester">,
    doors: Map<string, Doors>,
    disks: Map<string, SmallDisk>,
  ) {
    this.market = parts.market;
    this.chain = parts.chain;
    this.requester = parts.requester;
    this.#doors = doors;
    this.#disks = disks;
  }

  static async start(): Promise<SoakWorld> {
    // Inherited by every agent.
    process.env.NODE_OPTIONS = `--disable-warning=ExperimentalWarning --import=${setClock}`;
    process.env.NODE_COMPILE_CACHE ??= join(tmpdir(), "node-compile-cache");
    const doors = new Map<string, Doors>();
    const disks = new Map<string, SmallDisk>();
    let chain: RestlessChain | undefined;
    const market = await MarketWorld.start({
      nodes: NODES,
      blockTime: BLOCK_TIME,
      patience: PATIENCE,
      start: async (options) => (chain = await RestlessChain.start(options)),
      // `drawDelay`: seconds that many blocks take at most, frozen ones included.
      parameters: { finalDepth: FINAL_DEPTH, drawDelay: 60 },
      windows: { claim: WINDOW, submit: WINDOW, reveal: WINDOW, check: WINDOW, judge: WINDOW, challenge: WINDOW },
      settingsOf: async (name, { chain: { url }, gateway }) => {
        const between = {
          chain: [await FaultProxy.start(url), await FaultProxy.start(url)] as [FaultProxy, FaultProxy],
          gateway: await FaultProxy.start(gateway.url),
        };
        doors.set(name, between);
        const address = between.gateway.url;
        const storage = { kind: "embedded", gateways: [address], publishTo: address, token: "test" };
        return { rpc: between.chain.map((door) => door.url), storage, pollMs: POLL_MS };
      },
      prepareHome: async (home) => {
        const disk = await SmallDisk.mount(home);
        if (disk) disks.set(home, disk);
      },
    });
    // No outage here lasts as long as that: what nobody served would be contested.
    const requester = await market.newRequester("requester", { fetchPatience: 60 });
    for (const agent of [...market.nodes, requester]) agent.supervised = [UNAVAILABLE];
    await requester.start();
    return new SoakWorld({ market, chain: chain as RestlessChain, requester }, doors, disks);
  }

  /** Whether agents' disks can be filled here. */
  get hasSmallDisks(): boolean {
    return this.#disks.size > 0;
  }

  get agents(): ActingAgent[] {
    return [...this.market.nodes, this.requester];
  }

  agent(who: Who): ActingAgent {
    return who === "requester" ? this.requester : (this.market.nodes[who] as ActingAgent);
  }

  /** Has something go wrong; resolves when it is over. */
  async inject(mishap: Mishap): Promise<void> {
    switch (mishap.kind) {
      case "kill":
      case "terminate": {
        const agent = this.agent(mishap.who);
        // Frozen, it would not hear that it is asked to end, and nobody would thaw it once it is on its way out.
        await agent.signal("SIGCONT");
        await (mishap.kind === "kill" ? agent.kill() : agent.stop(ENDS));
        await delay(mishap.awayMs);
        return agent.start();
      }
      case "freeze": {
        const agent = this.agent(mishap.who);
        await agent.signal("SIGSTOP");
        await delay(mishap.ms);
        return agent.signal("SIGCONT");
      }
      case "fill-disk": {
        const disk = this.#disks.get(this.agent(mishap.who).home);
        await disk?.fill();
        await delay(mishap.ms);
        return disk?.empty();
      }
      case "set-clock":
        return this.#setClock(mishap.who, mishap.hours * HOUR_MS);
      case "chain": {
        const [first, second] = this.#doorsOf(mishap.who).chain;
        return this.#harm(mishap.of === "both" ? [first, second] : [first], troubles[mishap.trouble], mishap.ms);
      }
      case "chain-lie":
        return this.#lie(mishap);
      case "lost-reply": {
        const { chain } = this.#doorsOf(mishap.who);
        const scope = { methods: ["eth_sendRawTransaction"], times: mishap.times };
        for (const door of chain) door.inject({ kind: "lose-answer" }, scope);
        return;
      }
      case "storage":
        return this.#harm([this.#doorsOf(mishap.who).gateway], storageTrouble(mishap.trouble), mishap.ms);
      case "reorganise":
        return this.chain.reorganise(mishap.depth, mishap.fate);
      case "raise-fee":
        return this.chain.raiseFee(BigInt(mishap.gwei) * GWEI);
      case "forget-pending":
        return this.chain.forgetPending();
      case "freeze-chain":
        return this.chain.freeze(mishap.ms);
      case "use-nonce": {
        const { address, config } = this.agent(mishap.who);
        const { key } = JSON.parse(await readFile(config, "utf8")) as { key: { hex: string } };
        const hash = await this.chain.useNonce(key.hex);
        this.stolen.set(address, [...(this.stolen.get(address) ?? []), hash]);
      }
    }
  }

  /** Tells a compute node how to act. */
  async act(place: number, act: Act): Promise<void> {
    await onceThereIsRoom(async () => (this.agent(place) as ActingAgent).act(act));
  }

  /** Lifts what still goes wrong, and has every agent run. */
  async heal(): Promise<void> {
    for (const { chain, gateway } of this.#doors.values()) for (const door of [...chain, gateway]) door.heal();
    for (const disk of this.#disks.values()) await disk.empty();
    for (const agent of this.agents) {
      await agent.signal("SIGCONT");
      await agent.start();
    }
  }

  /** Copies the agents' homes, with logs and journals, into a folder; returns it. */
  async keep(folder: string): Promise<string> {
    for (const { name, home } of this.agents) await cp(home, join(folder, name), { recursive: true, force: true });
    return folder;
  }

  async stop(): Promise<void> {
    for (const agent of this.agents) {
      await agent.signal("SIGCONT");
      await agent.kill();
    }
    for (const disk of this.#disks.values()) await disk.unmount();
    await this.market.stop();
    for (const { chain, gateway } of this.#doors.values()) {
      await Promise.all([...chain, gateway].map((door) => door.close()));
    }
  }

  #doorsOf(who: Who): Doors {
    return this.#doors.get(who === "requester" ? who : `node-${who + 1}`) as Doors;
  }

  async #harm(doors: FaultProxy[], fault: ProxyFault, milliseconds: number): Promise<void> {
    for (const door of doors) door.inject(fault);
    await delay(milliseconds);
    for (const door of doors) door.heal();
  }

  async #lie({ who, lie, ms }: Extract<Mishap, { kind: "chain-lie" }>): Promise<void> {
    const [first] = this.#doorsOf(who).chain;
    const height = Number(await this.chain.send("eth_blockNumber"));
    switch (lie) {
      case "stale-head":
        return this.#harm([first], { kind: "stale-head", block: height - 2 }, ms);
      case "drop-logs":
        return this.#harm([first], { kind: "drop-logs" }, ms);
      case "no-receipts": {
        const isReceipt = (method: string): boolean => method === "eth_getTransactionReceipt";
        const result: Extract<ProxyFault, { kind: "rewrite" }>["result"] = ({ method }, true_) =>
          isReceipt(method) ? null : true_;
        return this.#harm([first], { kind: "rewrite", result }, ms);
      }
      case "wrong-chain":
        return this.#harm([first], { kind: "wrong-chain", chainId: 1 }, ms);
    }
  }

  async #setClock(who: Who, milliseconds: number): Promise<void> {
    const file = join(this.agent(who).home, "clock");
    await onceThereIsRoom(async () => {
      await writeFile(`${file}.new`, String(milliseconds));
      await rename(`${file}.new`, file);
    });
  }
}

/** What a test writes into an agent's home waits for a disk that is full. */
async function onceThereIsRoom(write: () => Promise<void>): Promise<void> {
  for (;;) {
    try {
      return await write();
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOSPC") throw error;
      await delay(100);
    }
  }
}

const troubles: Record<Extract<Mishap, { kind: "chain" }>["trouble"], ProxyFault> = {
  "too-many-requests": { kind: "status", code: 429, retryAfter: "1" },
  "server-error": { kind: "status", code: 500 },
  unavailable: { kind: "status", code: 503 },
  busy: { kind: "error", code: -32005, message: "limit exceeded" },
  refuse: { kind: "refuse" },
  hang: { kind: "hang" },
  "half-open": { kind: "half-open" },
  "cut-answer": { kind: "cut-answer" },
  "lose-answer": { kind: "lose-answer" },
  drip: { kind: "drip", bytes: 16, pauseMs: 20 },
  slow: { kind: "delay", ms: 700 },
  garbage: { kind: "garbage" },
};

function storageTrouble(trouble: Extract<Mishap, { kind: "storage" }>["trouble"]): ProxyFault {
  // Nothing that a gateway sends would be this: every block is checked against its hash.
  if (trouble === "wrong-bytes") return { kind: "garbage" };
  if (trouble === "not-found") return { kind: "status", code: 404 };
  if (trouble === "drip") return { kind: "drip", bytes: 64, pauseMs: 20 };
  return troubles[trouble];
}
