import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";
import { parseEther } from "ethers";
import { HttpRpc } from "../../agents/chain/rpc.ts";

const binary = process.env["GETH_BINARY"] ?? "geth";
const installed = spawnSync(binary, ["version"]).status === 0;
const required = (process.env["SURETY_REQUIRE"] ?? "").split(",").includes("geth");

/** Skips what needs a geth where there is none; fails where `SURETY_REQUIRE` names it. */
export function needGeth(test: { skip(): never }): void {
  if (installed) return;
  if (required) throw new Error(`SURETY_REQUIRE asks for geth, but there is no ${binary}`);
  console.warn("    !! SKIPPED: no `geth` binary here, so nothing was tested against a real geth");
  test.skip();
}

/** geth's development chain in a process of its own: a block each period, with or without transactions. */
export class Geth {
  readonly url: string;
  readonly rpc: HttpRpc;
  readonly #process: ChildProcess;
  readonly #folder: string;

  private constructor(url: string, child: ChildProcess, folder: string) {
    this.url = url;
    this.rpc = new HttpRpc({ urls: [url], retries: 0 });
    this.#process = child;
    this.#folder = folder;
  }

  /**
   * @param period seconds between blocks; with 0 there is a block only where there are transactions
   * @param args more arguments of geth
   */
  static async start({ period = 1, args = [] as string[] } = {}): Promise<Geth> {
    const folder = await mkdtemp(join(tmpdir(), "surety-geth-"));
    const fixed = ["--dev", "--dev.period", String(period), "--datadir", folder, "--ipcdisable", "--nodiscover"];
    const ports = [
      "--port",
      "0",
      "--authrpc.port",
      "0",
      "--http",
      "--http.port",
      "0",
      "--http.api",
      "eth,net,web3,debug,txpool",
    ];
    const child = spawn(binary, [...fixed, ...ports, ...args], { stdio: ["ignore", "ignore", "pipe"] });
    const said: string[] = [];
    for await (const line of createInterface({ input: child.stderr as NodeJS.ReadableStream })) {
      said.push(line);
      const listening = /HTTP server started\s+endpoint=(\S+) auth=false/.exec(line);
      if (!listening) continue;
      child.stderr?.resume();
      return new Geth(`http://${listening[1]}`, child, folder);
    }
    throw new Error(`geth ended before it listened:\n${said.slice(-5).join("\n")}`);
  }

  send(method: string, ...params: unknown[]): Promise<unknown> {
    return this.rpc.request(method, params);
  }

  /** Gives each account its money, from the one that the development chain was begun with. */
  async fund(accounts: readonly { address: string; balance?: bigint }[]): Promise<void> {
    const [rich] = (await this.send("eth_accounts")) as [string];
    const hashes: string[] = [];
    for (const { address, balance = parseEther("1000") } of accounts) {
      const value = `0x${balance.toString(16)}`;
      hashes.push((await this.send("eth_sendTransaction", { from: rich, to: address, value })) as string);
    }
    for (const hash of hashes) while (!(await this.send("eth_getTransactionReceipt", hash))) await delay(100);
  }

  async height(): Promise<number> {
    return Number(await this.send("eth_blockNumber"));
  }

  async stop(): Promise<void> {
    if (this.#process.exitCode === null && this.#process.signalCode === null) {
      const exited = once(this.#process, "exit");
      this.#process.kill("SIGTERM");
      await exited;
    }
    await rm(this.#folder, { recursive: true, force: true });
  }
}
