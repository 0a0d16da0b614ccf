// Sends one call and follows it to its final block; dies as if by `kill -9` where it is told to.
import { Wallet } from "ethers";
import type { JsonRpc } from "#sdk/json-rpc.ts";
import { HttpRpc } from "../../agents/chain/rpc.ts";
import { Sender } from "../../agents/chain/sender.ts";
import { Journal } from "../../agents/journal/journal.ts";

const { url, home, privateKey, to, data, key, dieAt } = JSON.parse(process.argv[2] as string) as Record<string, string>;

function reach(point: string): void {
  if (point === dieAt) process.kill(process.pid, "SIGKILL");
}

const http = new HttpRpc({ urls: [url as string], retries: 0 });
const rpc: JsonRpc = {
  request: async (method, params, options) => {
    const result = await http.request(method, params, options);
    if (method === "eth_sendRawTransaction") reach("broadcast");
    return result;
  },
};
const signer = new Wallet(privateKey as string);
const journal = Journal.open({
  home: home as string,
  key: { address: signer.address, chain: url as string },
  lockDirectory: home as string,
});
const sender = new Sender(
  { chainId: 31337, finalDepth: 3, pollMs: 15, onStep: (intent) => reach(intent.status) },
  { rpc, journal, signer },
);
await sender.resume();
await sender.submit({ key: key as string, to: to as string, data: data as string });
await sender.wait(key as string, "final");
journal.close();
