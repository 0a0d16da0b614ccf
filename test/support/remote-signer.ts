import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { Transaction, type TransactionLike, type Wallet } from "ethers";

interface Asked {
  id: number;
  method: string;
  params: Record<string, string>[];
}

/** What a signer makes of what it was asked to sign. */
export type Habit = (transaction: TransactionLike<string>) => TransactionLike<string>;

const honest: Habit = (transaction) => transaction;

/** A program that keeps keys and signs over JSON-RPC, as docs/keys.md asks of one, until it is told to do otherwise. */
export class RemoteSigner {
  readonly url: string;
  /** Methods it was asked for, in order. */
  readonly asked: string[] = [];
  /** Bearer tokens it was shown, in order. */
  readonly tokens: (string | undefined)[] = [];
  /** How it changes what it signs. */
  habit: Habit = honest;
  /** Whose key it uses. Default: the one it was asked for. */
  signsAs: Wallet | undefined;
  /** Answers this to everything; a string as it is, all else as JSON. */
  answer: unknown;
  /** Never answers. */
  isDeaf = false;
  readonly #wallets: readonly Wallet[];
  readonly #server;

  private constructor(server: ReturnType<typeof createServer>, wallets: readonly Wallet[]) {
    this.#server = server;
    this.#wallets = wallets;
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    server.on("request", (request: IncomingMessage, response: ServerResponse) => void this.#serve(request, response));
  }

  static async start(...wallets: Wallet[]): Promise<RemoteSigner> {
    const server = createServer();
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return new RemoteSigner(server, wallets);
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, "close");
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let body = "";
    for await (const chunk of request.setEncoding("utf8")) body += String(chunk);
    const { id, method, params } = JSON.parse(body) as Asked;
    this.asked.push(method);
    this.tokens.push(request.headers.authorization?.replace("Bearer ", ""));
    if (this.isDeaf) return;
    if (this.answer !== undefined) {
      response.end(typeof this.answer === "string" ? this.answer : JSON.stringify(this.answer));
      return;
    }
    const result =
      method === "eth_accounts"
        ? this.#wallets.map(({ address }) => address.toLowerCase())
        : await this.#sign(params[0]!);
    response.setHeader("content-type", "application/json").end(JSON.stringify({ jsonrpc: "2.0", id, result }));
  }

  async #sign(asked: Record<string, string>): Promise<string> {
    const wallet = this.signsAs ?? this.#wallets.find(({ address }) => address === asked.from);
    if (!wallet) throw new Error(`asked to sign for ${asked.from}`);
    const { chainId, nonce, to, value, data, gas, maxFeePerGas, maxPriorityFeePerGas } = asked;
    const transaction = { type: 2, chainId, nonce: Number(nonce), to, value, data, gasLimit: gas };
    const meant = Transaction.from(this.habit({ ...transaction, maxFeePerGas, maxPriorityFeePerGas }));
    return wallet.signTransaction(meant);
  }
}
