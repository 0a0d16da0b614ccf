/** The least that is needed to talk to an Ethereum node. */
export interface JsonRpc {
  /**
   * @param method e.g. `eth_getLogs`
   * @param params positional parameters
   * @returns the `result` member of the answer
   * @throws whatever the transport throws, and the node's error with its `code` and `data`
   */
  request(method: string, params?: readonly unknown[], options?: { signal?: AbortSignal }): Promise<unknown>;
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
