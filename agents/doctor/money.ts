import { formatEther } from "ethers";
import type { Deployment } from "#sdk/deployment.ts";
import type { JsonRpc } from "#sdk/json-rpc.ts";
import { ok, problem, warning, type Finding } from "./finding.ts";

/** Gas of a day's work of one node, roughly: with less money than that it may stop in the middle of something. */
const DAY_OF_GAS = 20_000_000n;

/** Whose money it is and where. */
export interface AccountPlace {
  rpc: JsonRpc;
  deployment: Deployment;
  /** EIP-55. */
  address: string;
}

/** Looks at what an account has to pay for gas. */
export async function examineGas(
  { rpc, address }: Pick<AccountPlace, "rpc" | "address">,
  { signal }: { signal: AbortSignal },
): Promise<Finding> {
  const [balance, gasPrice] = await Promise.all([
    rpc.request("eth_getBalance", [address, "latest"], { signal }).then((answer) => BigInt(answer as string)),
    rpc.request("eth_gasPrice", [], { signal }).then((answer) => BigInt(answer as string)),
  ]);
  const says = `${short(balance)} ether for gas`;
  const day = gasPrice * DAY_OF_GAS;
  const send = `Send ${short(day)} ether or more to ${address}; the chain's gas costs ${short(gasPrice * 1_000_000n)} ether a million now.`;
  if (balance === 0n) return problem("gas", `${address} has nothing to pay for gas`, send, "SENDER_UNFUNDED");
  return balance < day ? warning("gas", `only ${says}`, send) : ok("gas", says);
}

function short(wei: bigint): string {
  return String(Number(Number(formatEther(wei)).toPrecision(3)));
}
