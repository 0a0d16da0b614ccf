import type { Command } from "commander";
import { getAddress, isAddress, isHexString } from "ethers";
import { verifyDeployment, type Deployment } from "#sdk/deployment.ts";
import { ExitStatus, SuretyError } from "#sdk/errors.ts";
import type { AgentConfig } from "../../config.ts";
import { addressOf } from "../../key/private-key.ts";
import { disputeReports, type DisputeReport } from "../dispute-report.ts";
import { disputeLine, disputeText } from "../dispute-text.ts";
import { table } from "../job-text.ts";
import { findMarket, withMarketOptions, type MarketChoice } from "../find-market.ts";
import { readMarket } from "../market-view.ts";
import { runCommand, type CommandResult } from "../run-command.ts";

interface Options extends MarketChoice {
  batch?: string;
  /** True without an address. */
  mine?: string | true;
  all?: boolean;
  json?: boolean;
}

/** `surety disputes`: what is accused and disputed in a market, and what follows from it. */
export function addDisputesCommand(program: Command): void {
  withMarketOptions(
    program
      .command("disputes")
      .description("Explain what is accused and disputed in a market: by whom, for how much, until when. Only looks."),
  )
    .option("--batch <id>", "only this batch")
    .option("--mine [address]", "only what concerns this account; without one, that of the configuration")
    .option("--all", "concluded ones too")
    .option("--json", "print one JSON object")
    .addHelpText(
      "after",
      `
--config and --home take a compute node's configuration too.

Examples:
  $ surety disputes
  $ surety disputes --config node.yaml --mine
  $ surety disputes --rpc http://127.0.0.1:8545 --deployment surety.json --all --json`,
    )
    .action((options: Options) => runCommand(options, ({ signal }) => showDisputes(options, signal)));
}

async function showDisputes(options: Options, signal: AbortSignal): Promise<CommandResult> {
  const batch = options.batch?.toLowerCase();
  const shown = batch?.slice(0, 80);
  if (batch !== undefined && !isHexString(batch, 32)) {
    throw usage(`"${shown}" is no batch`, "Give its id: 0x and 64 hexadecimal digits.");
  }
  const { deployment, rpc, config } = await findMarket(options);
  const me = await whoseDisputes(options.mine, config);
  await verifyDeployment(rpc, deployment, { signal });
  const { state, now, block, hashes } = await readMarket(rpc, deployment, signal);
  if (batch !== undefined && !state.batches.has(batch)) {
    throw new SuretyError("BATCH_UNKNOWN", `the market has no batch ${batch}`, {
      details: { batch, market: deployment.market },
      fix: "See surety status for the batch of a job.",
      exit: ExitStatus.badInput,
    });
  }
  const facts = { now, block, parameters: deployment.parameters, hashes, me };
  const disputes = disputeReports(state, facts, { batch, all: options.all, mine: me !== undefined });
  const { market, token } = deployment;
  const head = { number: block, timestamp: now };
  return { json: { market, head, account: me, disputes }, text: listText(disputes, token, options) };
}

function listText(disputes: readonly DisputeReport[], token: Deployment["token"], options: Options): string {
  const open = disputes.filter(({ state }) => state !== "concluded").length;
  const whose = options.mine === undefined ? "" : " that concerns this account";
  if (disputes.length === 0) return `nothing is accused or disputed${whose}`;
  const summary = `${open} open${options.all ? `, ${disputes.length - open} concluded` : ""}`;
  const overview = disputes.length > 1 ? [table(disputes.map(disputeLine)), ""] : [];
  return [...overview, disputes.map((report) => disputeText(report, token)).join("\n\n"), "", summary].join("\n");
}

async function whoseDisputes(
  mine: string | true | undefined,
  config: AgentConfig | undefined,
): Promise<string | undefined> {
  if (mine === undefined) return undefined;
  if (mine === true) {
    if (!config) throw usage("--mine without an address needs a configuration with a key", "Give the address.");
    return addressOf(config.key);
  }
  const shown = mine.slice(0, 80);
  if (!isAddress(mine)) throw usage(`"${shown}" is no address`, "Give 0x and 40 hexadecimal digits.");
  return getAddress(mine);
}

function usage(message: string, fix: string): SuretyError {
  return new SuretyError("USAGE", message, { fix, exit: ExitStatus.badInput });
}
