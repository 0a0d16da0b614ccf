import { randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { startChild, type Child } from "../../agents/devnet/child.ts";
import { setAct, type Act } from "./acting-executor.ts";

/** How long an agent may take to end by itself, milliseconds. */
const GRACE = 20_000;
/** How long a supervisor waits before it starts an agent again, milliseconds. */
const RESTART_MS = 500;
const dyingAgent = fileURLToPath(new URL("./dying-agent.ts", import.meta.url));

/** What kind of agent can be made to die at its steps. */
export type DyingRole = "compute" | "requester" | "participant";

/** Who an agent is and where it keeps what it has. */
export interface AgentIdentity {
  name: string;
  address: string;
  home: string;
  config: string;
}

/** An agent in a process of its own, which a test starts, stops and kills. */
export class ActingAgent {
  readonly name: string;
  readonly address: string;
  readonly home: string;
  readonly config: string;
  readonly #script: string;
  readonly #args: readonly string[];
  #life: Promise<Child> | undefined;
  #failure: string | undefined;
  /** Exit statuses after which it is started again, as by an operator's supervisor. */
  supervised: readonly number[] = [];

  /** @param command Script and arguments that start it. */
  constructor({ name, address, home, config }: AgentIdentity, [script, ...args]: readonly [string, ...string[]]) {
    this.name = name;
    this.address = address;
    this.home = home;
    this.config = config;
    this.#script = script;
    this.#args = args;
  }

  /** How it ended without being told to; undefined if it did not. */
  get failure(): string | undefined {
    return this.#failure;
  }

  /** Starts it, unless it runs. */
  async start(): Promise<void> {
    if (this.#life) return;
    await this.#live(this.#script, this.#args, false);
  }

  /**
   * Starts it as one that dies at each of its durable steps in turn, and is started again each time.
   *
   * @param only Which steps it dies at; default: all.
   * @returns tells at which steps it died, oldest first: what was done, and for what; ids are left out
   */
  async startDying(role: DyingRole, only = /./): Promise<() => Promise<string[]>> {
    if (this.#life) throw new Error(`${this.name} runs already`);
    const file = join(this.home, `steps-${randomUUID()}`);
    await this.#live(dyingAgent, [role, this.config, file, only.source], true);
    return async () => {
      const text = await readFile(file, "utf8").catch(() => "");
      // The first line is no step.
      return text.split("\n").slice(1).filter(Boolean).map(withoutIds);
    };
  }

  /** Sends its process, if there is one, a signal and waits for nothing. */
  async signal(name: NodeJS.Signals): Promise<void> {
    (await this.#life)?.kill(name);
  }

  /** `kill -9`, and waits until it is gone. */
  async kill(): Promise<void> {
    const life = this.#life;
    this.#life = undefined;
    if (!life) return;
    const child = await life;
    try {
      process.kill(child.pid, "SIGKILL");
    } catch (error) {
      // It was faster.
      if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
    }
    await child.ended;
  }

  /**
   * Asks it to end and waits until it has.
   *
   * @throws if it did not end as it should: with one of `expected`
   */
  async stop(expected: readonly (number | NodeJS.Signals)[] = [0]): Promise<void> {
    const life = this.#life;
    this.#life = undefined;
    if (!life) return;
    const child = await life;
    await child.stop(GRACE);
    const how = await child.ended;
    if (!expected.includes(how)) throw new Error(`${this.name} was asked to end and ended with ${how}`);
  }

  /** The end of its log, and before it the last of what it warned of. */
  async lastWords(): Promise<string> {
    const text = await readFile(join(this.home, "agent.log"), "utf8").catch(() => "");
    const lines = text.trim().split("\n");
    const end = lines.slice(-6);
    const warnings = lines.slice(0, -6).filter((line) => /"level":"(warn|error|fatal)"/.test(line));
    return [`${this.name}:`, ...warnings.slice(-12), ...end].join("\n");
  }

  /** How a compute node treats the tasks it begins from now on. */
  act(act: Act): Promise<void> {
    return setAct(this.home, act);
  }

  async #live(script: string, args: readonly string[], mayDie: boolean): Promise<void> {
    this.#failure = undefined;
    const log = join(this.home, "agent.log");
    const life = startChild(this.name, script, args, log);
    this.#life = life;
    const child = await life;
    void child.ended.then(async (how) => {
      // Somebody told it to.
      if (this.#life !== life) return;
      if (mayDie && how === "SIGKILL") return this.#live(script, args, mayDie);
      if (typeof how === "number" && this.supervised.includes(how)) {
        await delay(RESTART_MS);
        // Somebody may have done something with it meanwhile.
        return this.#life === life ? this.#live(script, args, mayDie) : undefined;
      }
      this.#life = undefined;
      this.#failure = `it ended (${how}). ${await this.lastWords()}`;
    });
  }
}

/** `final submit:0x1234…:0` becomes `final submit`, `rename jobs/1795214959623-d6765607.json` `rename jobs`. */
function withoutIds(step: string): string {
  return step
    .replace(/:.*/, "")
    .replace(/ 0x\w+$/, "")
    .replace(/\/\d{13}-[0-9a-f]{8}(\.json)?/, "");
}
