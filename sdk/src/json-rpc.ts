import type { SuretyError } from "./errors.ts";

/** The least that is needed to talk to an Ethereum node. */
export interface JsonRpc {
  /** What logs call it; without what an address may hold of keys. */
  readonly name?: string;
  /**
   * @param method e.g. `eth_getLogs`
   * @param params positional parameters
   * @returns the `result` member of the answer
   * @throws whatever the transport throws, and the node's error with its `code` and `data`
   */
  request(method: string, params?: readonly unknown[], options?: { signal?: AbortSignal }): Promise<unknown>;
  /** Told that what it answered cannot be, or is old, so that whoever has a choice asks another for a while. */
  blame?(error: SuretyError): void;
  /** Whether it was blamed a while ago, by anybody: others are to be preferred. */
  readonly isDoubted?: boolean;
}

/**
 * Uses an ethers provider's raw `send`.
 *
 * @example
 * ```ts
 * const rpc = fromEthers(new JsonRpcProvider("http://127.0.0.1:8545"));
 * ```
 */
export function fromEthers(provider: { send(method: string, params: unknown[]): Promise<unknown> }): JsonRpc {
  return { request: (method, params = []) => provider.send(method, [...params]) };
}

/**
 * Uses an EIP-1193 provider: a browser wallet, Hardhat's in-process chain, viem.
 *
 * @example
 * ```ts
 * const rpc = fromEip1193(window.ethereum);
 * ```
 */
export function fromEip1193(provider: {
  request(request: { method: string; params?: unknown[] }): Promise<unknown>;
}): JsonRpc {
  return { request: (method, params = []) => provider.request({ method, params: [...params] }) };
}
