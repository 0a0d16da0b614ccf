import type { Command } from "commander";
import { computeAddress, getAddress, isAddress, isHexString } from "ethers";
import { verifyDeployment, type Deployment } from "#sdk/deployment.ts";
import { ExitStatus, SuretyError } from "#sdk/errors.ts";
import { HttpRpc } from "../../chain/rpc.ts";
import { readAgentConfig, readKey, type AgentConfig } from "../../config.ts";
import { readDeployment } from "../../market-agent.ts";
import { disputeReports, type DisputeReport } from "../dispute-report.ts";
import { disputeLine, disputeText } from "../dispute-text.ts";
import { table } from "../job-text.ts";
import { readMarket } from "../market-view.ts";
import { findConfig, findRequester, withRequesterOptions, type RequesterChoice } from "../requester-home.ts";
import { runCommand, type CommandResult } from "../run-command.ts";

interface Options extends RequesterChoice {
  rpc?: string;
  deployment?: string;
  batch?: string;
  /** True without an address. */
  mine?: string | true;
  all?: boolean;
  json?: boolean;
}

/** Which market to look at, and whose configuration names it. */
interface Market {
  deployment: Deployment;
  rpc: HttpRpc;
  config?: AgentConfig;
}

/** `surety disputes`: what is accused and disputed in a market, and what follows from it. */
export function addDisputesCommand(program: Command): void {
  withRequesterOptions(
    program
      .command("disputes")
      .description("Explain what is accused and disputed in a market: by whom, for how much, until when. Only looks."),
  )
    .option("--rpc <url>", "the chain, where no configuration names it; with --deployment")
    .option("--deployment <file>", "the market's address book; with --rpc")
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

async function findMarket(options: Options): Promise<Market> {
  const { rpc: url, deployment: book } = options;
  if ((url === undefined) !== (book === undefined)) throw usage("--rpc and --deployment go together", "Give both.");
  if (url !== undefined && book !== undefined) {
    const deployment = await readDeployment(book);
    return { deployment, rpc: new HttpRpc({ urls: [url], chainId: deployment.chainId, retries: 1 }) };
  }
  const config = await findAgent(options);
  const deployment = await readDeployment(config.deployment);
  return { deployment, rpc: new HttpRpc({ urls: config.rpc, chainId: deployment.chainId, retries: 1 }), config };
}

/** As `findRequester`, where a configuration may be a compute node's. */
async function findAgent({ config, home, devnet }: Options): Promise<AgentConfig> {
  if (config !== undefined && home === undefined && devnet === undefined) return readAgentConfig(config);
  if (home !== undefined && config === undefined && devnet === undefined)
    return readAgentConfig(await findConfig(home));
  return findRequester({ config, home, devnet });
}

async function whoseDisputes(
  mine: string | true | undefined,
  config: AgentConfig | undefined,
): Promise<string | undefined> {
  if (mine === undefined) return undefined;
  if (mine === true) {
    if (!config) throw usage("--mine without an address needs a configuration with a key", "Give the address.");
    return computeAddress(await readKey(config.key));
  }
  const shown = mine.slice(0, 80);
  if (!isAddress(mine)) throw usage(`"${shown}" is no address`, "Give 0x and 40 hexadecimal digits.");
  return getAddress(mine);
}

function usage(message: string, fix: string): SuretyError {
  return new SuretyError("USAGE", message, { fix, exit: ExitStatus.badInput });
}
