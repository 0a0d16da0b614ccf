import { marketInterface, registryInterface } from "#sdk/market-abi.ts";
import type { MarketState } from "#sdk/market-state.ts";
import { ChainAgent, openChainParts, type ChainAgentOptions, type ChainAgentParts } from "./chain-agent.ts";
import { MarketFold } from "./market-fold.ts";

/**
 * An agent of the market: what all agents have, and the market's state as of the newest block.
 *
 * @example
 * ```ts
 * const agent = await MarketAgent.open({ config, logger, signal, metrics });
 * await agent.run(async (head) => { ... });
 * await agent.close();
 * ```
 */
export class MarketAgent extends ChainAgent<MarketFold> {
  readonly ledgers: ReadonlyMap<string, string>;

  private constructor(parts: ChainAgentParts) {
    const { market, registry } = parts.deployment;
    super(parts, new MarketFold({ market, registry, account: parts.address }, { logger: parts.logger }));
    this.ledgers = new Map([
      ["market", market],
      ["registry", registry],
    ]);
  }

  /** @throws SuretyError what {@link openChainParts} throws */
  static async open(options: ChainAgentOptions): Promise<MarketAgent> {
    const parts = await openChainParts(options, ({ market, registry }) => ({
      addresses: [market, registry],
      interfaces: [marketInterface, registryInterface],
    }));
    return new MarketAgent(parts);
  }

  /** The market as of the newest block. Replaced after a reorganisation: do not keep it. */
  get state(): MarketState {
    return this.fold.state;
  }

  /** Whose results: chain and market, as commitments name them. */
  get context(): { chainId: bigint; market: string } {
    return { chainId: BigInt(this.deployment.chainId), market: this.deployment.market };
  }
}
