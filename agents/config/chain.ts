import { z } from "zod";
import { ExitStatus, SuretyError } from "#sdk/errors.ts";
import type { FeeCaps } from "../chain/fees.ts";
import { parseWei } from "#sdk/wei.ts";
import { httpUrl, whole } from "./value.ts";

/** From when on a block counts as permanent. */
export type Finality =
  | {
      /** When this many blocks stand on it, 1 to 100,000; at least as many as the market was deployed with. */
      depth: number;
    }
  | {
      /** When the node calls it so: `finalized` by the chain's own votes, or `safe`; of an L2, what the L1 says of it. */
      tag: "finalized" | "safe";
    };

/** The most that an agent offers for a transaction, as text: a number and `gwei` (or `wei`, `ether`), for each gas. */
export interface FeeConfig {
  /** Base fee and tip together. Defaults to 500 gwei. */
  maxFeePerGas: string;
  /** Tip. The first offer takes a quarter at most, as a dearer one must pay a higher tip. Default: no cap of its own. */
  maxPriorityFeePerGas?: string;
}

/** How an agent takes the chain. */
export interface ChainConfig {
  /** Default: the depth that the market was deployed with. */
  finality?: Finality;
  /** With several endpoints: one that lacks what another had so long ago is put aside, seconds, 5 to 3600. Defaults to 30. */
  maxLagSeconds: number;
  fees: FeeConfig;
  /**
   * Money for gas below which nothing new is begun, as text: a number and `ether` (or `gwei`, `wei`). Default: what two
   * million gas cost at the moment.
   */
  gasReserve?: string;
}

const wei = z.string().refine((text) => parseWei(text) !== undefined, {
  error: "expected a number and its unit, such as 50 gwei",
});

const finality = z.union(
  [z.strictObject({ depth: whole(1, 100_000) }), z.strictObject({ tag: z.enum(["finalized", "safe"]) })],
  { error: "expected depth: a number of blocks, or tag: finalized or safe" },
);

const DEFAULT_FEES: FeeConfig = { maxFeePerGas: "500 gwei" };

/** The schema of a {@link ChainConfig}, with the endpoints if they are not beside it. Strict: unknown keys are refused. */
export const chainSchema = z.strictObject({
  rpc: z
    .union([httpUrl, z.array(httpUrl).min(1)], {
      error: "expected an address such as http://127.0.0.1:8545, or a list",
    })
    .transform((urls) => [urls].flat())
    .optional(),
  finality: finality.optional(),
  maxLagSeconds: whole(5, 3_600).default(30),
  fees: z
    .strictObject({ maxFeePerGas: wei.default(DEFAULT_FEES.maxFeePerGas), maxPriorityFeePerGas: wei.optional() })
    .default(DEFAULT_FEES),
  gasReserve: wei.optional(),
});

/** What holds where a configuration says nothing of the chain. */
export const defaultChain: ChainConfig = { maxLagSeconds: 30, fees: DEFAULT_FEES };

/**
 * Finds the endpoints, which may stand in `chain` or, as in older configurations, beside it. For zod's `transform`.
 *
 * @returns the configuration with `rpc` beside `chain`
 */
export function withEndpoints<T extends { rpc?: string[]; chain?: z.output<typeof chainSchema> }>(
  config: T,
  context: z.core.$RefinementCtx,
): Omit<T, "rpc" | "chain"> & { rpc: string[]; chain?: ChainConfig } {
  const { rpc, chain, ...rest } = config;
  const { rpc: inChain, ...others } = chain ?? { rpc: undefined };
  const found = rpc ?? inChain;
  if (found === undefined || (rpc && inChain)) {
    context.addIssue({
      code: "custom",
      path: ["rpc"],
      message: found === undefined ? "expected at least one endpoint of the chain" : "is there twice: once in chain",
      input: found,
    });
    return z.NEVER;
  }
  return { ...rest, rpc: found, ...(chain ? { chain: others as ChainConfig } : {}) };
}

/** The caps that a configuration sets. */
export function feeCaps({ fees }: ChainConfig = defaultChain): FeeCaps {
  const tip = fees.maxPriorityFeePerGas;
  const feeCap = parseWei(fees.maxFeePerGas) as bigint;
  return tip === undefined ? { feeCap } : { feeCap, tipCap: parseWei(tip) as bigint };
}

/** Money for gas below which nothing new is begun, wei; undefined if a configuration leaves it to the agent. */
export function gasReserve({ gasReserve: reserve }: ChainConfig): bigint | undefined {
  return reserve === undefined ? undefined : parseWei(reserve);
}

/**
 * What counts as permanent for an agent of a market.
 *
 * @param marketDepth `finalDepth` of the deployment, blocks.
 * @throws SuretyError `FINALITY_TOO_SHALLOW` (exit 2) if the agent would act on what the market does not take for final
 */
export function finalityFor(marketDepth: number, { finality }: ChainConfig = defaultChain): Finality {
  if (!finality) return { depth: marketDepth };
  if ("depth" in finality && finality.depth < marketDepth) {
    throw new SuretyError(
      "FINALITY_TOO_SHALLOW",
      `a finality of ${finality.depth} blocks is configured, the market waits for ${marketDepth}`,
      {
        details: { actual: finality.depth, expected: marketDepth },
        fix: `Give a depth of ${marketDepth} or more, or leave it out.`,
        exit: ExitStatus.badInput,
      },
    );
  }
  return finality;
}
