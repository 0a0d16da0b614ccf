import { getCreateAddress, toBeHex } from "ethers";
import { funded, type Anvil } from "./anvil.ts";

/** `LOG1` of the whole call data, with its first word as the topic. */
const runtime = "365f5f375f35365fa100";
const creation = `0x69${runtime}5f52600a6016f3`;

/** Deploys the contract that logs what it is called with; mines a block. */
export async function deployLoggingContract(chain: Anvil): Promise<string> {
  const nonce = Number(await chain.send("eth_getTransactionCount", funded.address, "latest"));
  await chain.send("eth_sendTransaction", { from: funded.address, data: creation, gas: "0x30d40" });
  await chain.mine();
  return getCreateAddress({ from: funded.address, nonce });
}

/** Puts a call in the pool that will log `value`; mines nothing. */
export async function emit(chain: Anvil, contract: string, value: number): Promise<void> {
  const call = { from: funded.address, to: contract, data: toBeHex(value, 32), gas: "0x30d40" };
  await chain.send("eth_sendTransaction", call);
}
