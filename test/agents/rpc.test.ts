import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { expect } from "chai";
import { ZeroAddress, ZeroHash } from "ethers";
import { SuretyError } from "#sdk/errors.ts";
import { HttpRpc, RpcError } from "../../agents/chain/rpc.ts";
import { Anvil } from "../support/anvil.ts";

type Answer = (response: ServerResponse, request: { id: number; method: string }) => void;

async function failureOf(promise: Promise<unknown>): Promise<SuretyError> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof SuretyError) return error;
    throw error;
  }
  throw new Error("expected a failure");
}

describe("HttpRpc", () => {
  const servers: Server[] = [];
  const quick = { retries: 1, backoffMs: 1, timeoutMs: 2_000 };

  afterEach(async () => {
    for (const server of servers.splice(0)) {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  });

  /** A node that answers as told; `asked` counts. */
  async function node(answer: Answer): Promise<{ url: string; asked: string[] }> {
    const asked: string[] = [];
    const server = createServer((incoming, response) => {
      let body = "";
      incoming.on("data", (chunk) => (body += chunk));
      incoming.on("end", () => {
        const request = JSON.parse(body);
        asked.push(request.method);
        answer(response, request);
      });
    });
    servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked };
  }

  const results =
    (byMethod: Record<string, unknown>): Answer =>
    (response, { id, method }) =>
      void response.end(JSON.stringify({ jsonrpc: "2.0", id, result: byMethod[method] }));
  const status =
    (code: number): Answer =>
    (response) =>
      void response.writeHead(code).end("<html>no</html>");
  const healthy = results({ eth_blockNumber: "0x7", eth_chainId: "0x1" });

  it("refuses to be made without an HTTP endpoint", () => {
    for (const urls of [[], ["not an address"], ["ftp://127.0.0.1"]]) {
      expect(() => new HttpRpc({ urls }))
        .to.throw(SuretyError)
        .with.property("code", "RPC_URL_INVALID");
    }
  });

  it("says that it reached no endpoint, retryable and with its exit status", async () => {
    const rpc = new HttpRpc({ urls: ["http://127.0.0.1:9"], ...quick });
    expect(await failureOf(rpc.request("eth_blockNumber"))).to.include({
      code: "RPC_UNREACHABLE",
      kind: "retryable",
      exit: 3,
    });
  });

  it("passes a node's refusal on with code and data, and does not ask again", async () => {
    const error = { code: 3, message: "execution reverted", data: "0x1234" };
    const refusing = await node((response, { id }) => void response.end(JSON.stringify({ id, error })));
    const failure = (await failureOf(new HttpRpc({ urls: [refusing.url], ...quick }).request("eth_call"))) as RpcError;
    expect(failure)
      .to.be.instanceOf(RpcError)
      .that.includes({
        ...{ code: "RPC_ERROR", kind: "fatal" },
        ...{ rpcCode: 3, data: "0x1234" },
      });
    expect(refusing.asked).to.have.length(1);
  });

  it("calls it passing that a node does not have a block: a reorganisation may have taken it", async () => {
    const chain = await Anvil.start();
    try {
      const rpc = new HttpRpc({ urls: [chain.url], ...quick });
      const asked: [string, unknown[]][] = [
        ["eth_getBalance", [ZeroAddress, "0x63"]],
        ["eth_getTransactionCount", [ZeroAddress, "0x63"]],
        ["eth_call", [{ to: ZeroAddress }, "0x63"]],
        ["eth_getLogs", [{ blockHash: ZeroHash }]],
      ];
      for (const [method, params] of asked) {
        expect(await failureOf(rpc.request(method, params)), method).to.include({
          code: "RPC_ERROR",
          kind: "retryable",
        });
      }
    } finally {
      await chain.stop("SIGKILL");
    }
  });

  const failures: [string, Answer][] = [
    ["a rate limit", status(429)],
    ["a server error", status(500)],
    [
      "a rate limit in JSON",
      (response, { id }) => void response.end(JSON.stringify({ id, error: { code: -32005, message: "slow down" } })),
    ],
    ["a page that is no JSON", (response) => void response.end("<html>welcome</html>")],
    ["an answer without a result", (response) => void response.end("{}")],
    ["no answer at all", () => undefined],
    ["an answer that breaks off", (response) => void response.write('{"result":', () => response.destroy())],
  ];
  for (const [name, answer] of failures) {
    it(`moves to the next endpoint on ${name}, and stays there`, async () => {
      const failing = await node(answer);
      const good = await node(healthy);
      const rpc = new HttpRpc({ urls: [failing.url, good.url], ...quick, timeoutMs: 200 });
      expect(await rpc.request("eth_blockNumber")).to.equal("0x7");
      expect(await rpc.request("eth_blockNumber")).to.equal("0x7");
      expect([failing.asked.length, good.asked.length]).to.deep.equal([1, 2]);
    });
  }

  it("asks the only endpoint again after a failure", async () => {
    let failed = false;
    const flaky = await node((...args) => {
      const answer = failed ? healthy : status(503);
      failed = true;
      answer(...args);
    });
    expect(await new HttpRpc({ urls: [flaky.url], ...quick }).request("eth_blockNumber")).to.equal("0x7");
  });

  it("never uses an endpoint on another chain", async () => {
    const stranger = await node(results({ eth_blockNumber: "0x9", eth_chainId: "0x5" }));
    const good = await node(healthy);
    const rpc = new HttpRpc({ urls: [stranger.url, good.url], chainId: 1, ...quick });
    expect(await rpc.request("eth_blockNumber")).to.equal("0x7");
    expect(stranger.asked).to.deep.equal(["eth_chainId"]);
    const lost = new HttpRpc({ urls: [stranger.url], chainId: 1, ...quick });
    expect((await failureOf(lost.request("eth_blockNumber"))).code).to.equal("CHAIN_MISMATCH");
  });

  it("stops when told to", async () => {
    const silent = await node(() => undefined);
    const abort = new AbortController();
    const asking = new HttpRpc({ urls: [silent.url], ...quick }).request("eth_blockNumber", [], {
      signal: abort.signal,
    });
    const reason = new Error("enough");
    abort.abort(reason);
    expect(await asking.catch((error: unknown) => error)).to.equal(reason);
  });
});
