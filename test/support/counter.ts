import { getCreateAddress, Interface, toQuantity } from "ethers";
import type { JsonRpc } from "#sdk/json-rpc.ts";
import solc from "solc";

const source = `
// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;
contract Counter {
  error Stale(uint256 actual, uint256 expected);
  event Counted(uint256 tag);
  uint256 public count;
  function add(uint256 tag) external { count++; emit Counted(tag); }
  function addAt(uint256 expected) external {
    if (count != expected) revert Stale(count, expected);
    count++;
    emit Counted(expected);
  }
}`;

const compiled = JSON.parse(
  (solc as { compile(input: string): string }).compile(
    JSON.stringify({
      language: "Solidity",
      sources: { "Counter.sol": { content: source } },
      settings: { evmVersion: "prague", outputSelection: { "*": { Counter: ["abi", "evm.bytecode.object"] } } },
    }),
  ),
).contracts["Counter.sol"].Counter;

/** A contract that counts its calls, each with a tag in an event, and refuses some. */
export const counterInterface = new Interface(compiled.abi);

/** Deploys it from an account that the node holds; `mine` must make a block. */
export async function deployCounter(rpc: JsonRpc, from: string, mine: () => Promise<unknown>): Promise<string> {
  const nonce = Number(await rpc.request("eth_getTransactionCount", [from, "latest"]));
  const data = `0x${compiled.evm.bytecode.object}`;
  await rpc.request("eth_sendTransaction", [{ from, data, gas: toQuantity(1_000_000) }]);
  await mine();
  return getCreateAddress({ from, nonce });
}

/** The tags counted so far, oldest first. */
export async function countedTags(rpc: JsonRpc, contract: string): Promise<number[]> {
  const logs = await rpc.request("eth_getLogs", [{ address: contract, fromBlock: "0x0", toBlock: "latest" }]);
  return (logs as { data: string }[]).map((log) => Number(log.data));
}
