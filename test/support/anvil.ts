import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { HttpRpc } from "../../agents/chain/rpc.ts";

const platform = process.platform === "win32" ? "win32" : process.platform;
const architecture = process.arch === "x64" ? "amd64" : process.arch;

/** The second account of anvil's default mnemonic and its key: money on a test chain. */
export const funded = {
  address: "0x70997970C51812dc3A010C7d01b50e0d17dc79C8",
  key: "0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d",
};

/** Would go on without whoever started them. */
const running = new Set<ChildProcess>();
process.once("exit", () => running.forEach((child) => child.kill("SIGKILL")));

/** A chain in a process of its own that mines only when told to, and can be made to reorganise. */
export class Anvil {
  readonly url: string;
  readonly port: number;
  readonly rpc: HttpRpc;
  readonly #process: ChildProcess;

  private constructor(port: number, child: ChildProcess) {
    this.port = port;
    this.url = `http://127.0.0.1:${port}`;
    this.rpc = new HttpRpc({ urls: [this.url], retries: 0 });
    this.#process = child;
  }

  static async start({ port = 0, args = [] as string[] } = {}): Promise<Anvil> {
    const packageFile = createRequire(import.meta.url).resolve(
      `@foundry-rs/anvil-${platform}-${architecture}/package.json`,
    );
    const binary = join(dirname(packageFile), "bin", process.platform === "win32" ? "anvil.exe" : "anvil");
    const child = spawn(binary, ["--port", String(port), "--no-mining", "--hardfork", "prague", ...args], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    running.add(child);
    child.once("exit", () => running.delete(child));
    for await (const line of createInterface({ input: child.stdout as NodeJS.ReadableStream })) {
      const listening = /Listening on [^:]+:(\d+)/.exec(line);
      if (listening) {
        child.stdout?.resume();
        return new Anvil(Number(listening[1]), child);
      }
    }
    throw new Error("anvil ended before it listened");
  }

  send(method: string, ...params: unknown[]): Promise<unknown> {
    return this.rpc.request(method, params);
  }

  /** Mines `count` blocks; the first takes what is pending. */
  async mine(count = 1): Promise<void> {
    await this.send("anvil_mine", `0x${count.toString(16)}`);
  }

  async height(): Promise<number> {
    return Number(await this.send("eth_blockNumber"));
  }

  /** Sends its process a signal and waits for nothing. */
  signal(name: NodeJS.Signals): void {
    this.#process.kill(name);
  }

  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const exited = once(this.#process, "exit");
    this.#process.kill(signal);
    await exited;
  }
}
