import { createHardhatRuntimeEnvironment } from "hardhat/hre";
import { freePort } from "./port.ts";

/** An account that exists from the first block on. */
export interface FundedAccount {
  /** 0x and 64 hexadecimal digits. */
  privateKey: string;
  /** Wei. */
  balance: bigint;
}

/** Settings of {@link startChain}. */
export interface ChainOptions {
  /** Port of its JSON-RPC on 127.0.0.1; 0 takes a free one. */
  port: number;
  accounts: readonly FundedAccount[];
  /** Milliseconds from block to block. Defaults to 1000. */
  blockTime?: number;
}

/** A running local chain. */
export interface Chain {
  /** Address of its JSON-RPC, HTTP and WebSocket. */
  readonly url: string;
  readonly chainId: number;
  close(): Promise<void>;
}

/** Chain id of every local chain here; Hardhat's. */
export const LOCAL_CHAIN_ID = 31337;

/**
 * Starts Hardhat's EVM in this process. It mines a block on a clock, empty or not, and only then: entropy comes from
 * blocks not yet mined, so a chain that mined only when asked would stand still.
 *
 * @throws SuretyError `PORT_TAKEN` (exit 5)
 *
 * @example
 * ```ts
 * const chain = await startChain({ port: 0, accounts: [{ privateKey, balance: 10n ** 21n }] });
 * ```
 */
export async function startChain({ port, accounts, blockTime = 1000 }: ChainOptions): Promise<Chain> {
  // Hardhat's server does not tell when it cannot listen.
  const free = await freePort(port);
  const hre = await createHardhatRuntimeEnvironment({
    networks: {
      local: {
        type: "edr-simulated",
        chainType: "l1",
        hardfork: "prague",
        chainId: LOCAL_CHAIN_ID,
        mining: { auto: false, interval: blockTime },
        // Several blocks a second must not run ahead of the clock.
        allowBlocksWithSameTimestamp: blockTime < 1000,
        accounts: accounts.map(({ privateKey, balance }) => ({ privateKey, balance: balance.toString() })),
      },
    },
  });
  const server = await hre.network.createServer("local", "127.0.0.1", free);
  const { address, port: taken } = await server.listen();
  return {
    url: `http://${address}:${taken}`,
    chainId: LOCAL_CHAIN_ID,
    close: async () => server.close(),
  };
}
