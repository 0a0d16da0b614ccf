import type { Command } from "commander";
import type { Deployment } from "#sdk/deployment.ts";
import { ExitStatus, SuretyError } from "#sdk/errors.ts";
import { HttpRpc } from "../chain/rpc.ts";
import { readDeployment } from "../chain-agent.ts";
import { readAgentConfig, type AgentConfig } from "../config.ts";
import { findConfig, findRequester, withRequesterOptions, type RequesterChoice } from "./requester-home.ts";

/** Which market a command looks at: one that somebody's configuration names, or that of a chain and an address book. */
export interface MarketChoice extends RequesterChoice {
  rpc?: string;
  deployment?: string;
}

/** A market that was found. */
export interface FoundMarket {
  deployment: Deployment;
  rpc: HttpRpc;
  /** Whose configuration names it. */
  config?: AgentConfig;
}

/** Adds the options of {@link MarketChoice} to a command. */
export function withMarketOptions(command: Command): Command {
  return withRequesterOptions(command)
    .option("--rpc <url>", "the chain, where no configuration names it; with --deployment")
    .option("--deployment <file>", "the market's address book; with --rpc");
}

/**
 * The market a command is about.
 *
 * @throws SuretyError `USAGE` (exit 2) for one of `--rpc` and `--deployment` without the other; what reading a
 *   configuration or an address book throws
 */
export async function findMarket(choice: MarketChoice): Promise<FoundMarket> {
  const { rpc: url, deployment: book } = choice;
  if (url !== undefined && book !== undefined) {
    const deployment = await readDeployment(book);
    return { deployment, rpc: new HttpRpc({ urls: [url], chainId: deployment.chainId, retries: 1 }) };
  }
  if (url !== undefined || book !== undefined) {
    throw new SuretyError("USAGE", "--rpc and --deployment go together", {
      fix: "Give both.",
      exit: ExitStatus.badInput,
    });
  }
  const config = await findAgent(choice);
  const deployment = await readDeployment(config.deployment);
  return { deployment, rpc: new HttpRpc({ urls: config.rpc, chainId: deployment.chainId, retries: 1 }), config };
}

/** As `findRequester`, where a configuration may be another agent's. */
async function findAgent({ config, home, devnet }: MarketChoice): Promise<AgentConfig> {
  if (config !== undefined && home === undefined && devnet === undefined) return readAgentConfig(config);
  if (home !== undefined && config === undefined && devnet === undefined)
    return readAgentConfig(await findConfig(home));
  return findRequester({ config, home, devnet });
}
