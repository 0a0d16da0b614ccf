import { keccak256 } from "ethers";
import { ExitStatus, SuretyError } from "#sdk/errors.ts";
import type { JsonRpc } from "#sdk/json-rpc.ts";
import { refusalOf } from "./revert.ts";
import type { SignerLike } from "./sender.ts";

/** A provider for programs that leave signing to the node (EIP-1193). */
export interface SigningProvider {
  request(request: { method: string; params?: readonly unknown[] | object }): Promise<unknown>;
}

/** A transaction as `eth_sendTransaction` takes it; quantities are hex. */
interface Wanted {
  to?: string;
  data?: string;
  value?: string;
  gas?: string;
  nonce?: string;
  maxFeePerGas?: string;
  maxPriorityFeePerGas?: string;
}

/**
 * Passes requests on to a node that knows no keys, except for those that need one: it has one account, and signs for it.
 *
 * @param beforeSending Waited for before a signed transaction is sent, so that it can be written down or told.
 */
export function signingProvider(
  { rpc, signer, chainId, signal }: { rpc: JsonRpc; signer: SignerLike; chainId: number; signal?: AbortSignal },
  beforeSending: (transaction: { raw: string; hash: string }) => Promise<void> = async () => undefined,
): SigningProvider {
  const send = async (wanted: Wanted): Promise<unknown> => {
    const { data = "0x", value = "0x0", gas, nonce, maxFeePerGas, maxPriorityFeePerGas } = wanted;
    if (gas === undefined || nonce === undefined || maxFeePerGas === undefined || maxPriorityFeePerGas === undefined) {
      throw new SuretyError("TRANSACTION_INCOMPLETE", "a transaction without gas, nonce or fees was to be signed", {
        fix: "The chain must know EIP-1559 fees.",
        exit: ExitStatus.unavailable,
      });
    }
    const raw = await signer.signTransaction({
      type: 2,
      chainId,
      nonce: Number(nonce),
      // A creation has no receiver.
      to: (wanted.to ?? null) as string,
      data,
      value: BigInt(value),
      gasLimit: BigInt(gas),
      maxFeePerGas: BigInt(maxFeePerGas),
      maxPriorityFeePerGas: BigInt(maxPriorityFeePerGas),
    });
    const hash = keccak256(raw);
    await beforeSending({ raw, hash });
    try {
      await rpc.request("eth_sendRawTransaction", [raw], { signal });
    } catch (error) {
      // The first reply was lost.
      if (refusalOf(error) !== "known") throw error;
    }
    return hash;
  };
  return {
    async request({ method, params = [] }) {
      const list = params as readonly unknown[];
      if (method === "eth_accounts") return [signer.address];
      if (method === "eth_sendTransaction") return send(list[0] as Wanted);
      return rpc.request(method, list, { signal });
    },
  };
}
