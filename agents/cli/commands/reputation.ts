import type { Command } from "commander";
import { isHexString } from "ethers";
import { formatAmount } from "#sdk/amount.ts";
import { verifyDeployment, type Deployment } from "#sdk/deployment.ts";
import { ExitStatus, SuretyError } from "#sdk/errors.ts";
import { reputationOf, type NodeReputation, type Reputation, type RequesterReputation } from "#sdk/reputation.ts";
import { findMarket, withMarketOptions, type MarketChoice } from "../find-market.ts";
import { table } from "../job-text.ts";
import { readRequests } from "../request-view.ts";
import { runCommand, type CommandResult } from "../run-command.ts";

interface Options extends MarketChoice {
  transfers?: boolean;
  json?: boolean;
}

/** `surety reputation`: what those who take part in evaluated jobs are known for. */
export function addReputationCommand(program: Command): void {
  withMarketOptions(
    program
      .command("reputation")
      .argument("[job]", "id of a job schema; default: all of them")
      .description("Say what nodes and requesters of evaluated jobs did, from events alone. Only looks."),
  )
    .option("--transfers", "take accounts that sent each other tokens for one; reads all transfers of the token")
    .option("--json", "print one JSON object")
    .addHelpText(
      "after",
      `
What strangers paid is what counts: numbers of jobs can be had by paying oneself. Who is a member of the same tree, is
each other's delegate, or withdraws to the other is no stranger.

Examples:
  $ surety reputation
  $ surety reputation 0x… --transfers --json
  $ surety reputation --rpc http://127.0.0.1:8545 --deployment surety.json`,
    )
    .action((job: string | undefined, options: Options) =>
      runCommand(options, ({ signal }) => showReputation(job, options, signal)),
    );
}

async function showReputation(job: string | undefined, options: Options, signal: AbortSignal): Promise<CommandResult> {
  const schema = job?.toLowerCase();
  if (schema !== undefined && !isHexString(schema, 32)) {
    throw new SuretyError("USAGE", `"${schema.slice(0, 80)}" is no job`, {
      fix: "Give its id: 0x and 64 hexadecimal digits.",
      exit: ExitStatus.badInput,
    });
  }
  const { deployment, rpc } = await findMarket(options);
  await verifyDeployment(rpc, deployment, { signal });
  const view = await readRequests(rpc, deployment, { transfers: options.transfers === true, signal });
  if (schema !== undefined && !view.state.schemas.has(schema)) {
    throw new SuretyError("SCHEMA_UNKNOWN", `nobody registered a job ${schema}`, {
      details: { schema },
      fix: "Leave the id out to see all that are registered.",
      exit: ExitStatus.badInput,
    });
  }
  const reputation = reputationOf(view.state, { schema, links: view.links });
  const nodes = [...reputation.nodes.values()].sort(byStrangers);
  const requesters = [...reputation.requesters.values()].sort((a, b) => Number(b.paid - a.paid));
  const head = { number: view.block, timestamp: view.now };
  return { json: { head, nodes, requesters }, text: textOf(reputation, nodes, requesters, deployment.token) };
}

function byStrangers(a: NodeReputation, b: NodeReputation): number {
  const difference = b.earned.strangers - a.earned.strangers;
  return difference === 0n ? b.rating - a.rating : difference > 0n ? 1 : -1;
}

function textOf(
  { nodes: all }: Reputation,
  nodes: readonly NodeReputation[],
  requesters: readonly RequesterReputation[],
  { decimals, symbol }: Deployment["token"],
): string {
  if (all.size === 0 && requesters.length === 0) return "nobody has taken part in anything yet";
  const money = (amount: bigint): string => formatAmount(amount, decimals);
  const nodeRows = nodes.map(({ node, worker, evaluator, judge, challenges, ...rest }) => [
    node,
    money(rest.earned.strangers),
    money(rest.earned.related),
    String(rest.clients),
    String(Math.round(rest.rating)),
    `${worker.revealed}/${worker.accepted}`,
    `${worker.ranked}, ${worker.best}`,
    worker.seconds === undefined ? "" : `${worker.seconds} s`,
    `${evaluator.ruled}/${evaluator.called}, ${evaluator.overturned}`,
    `${judge.ruled}/${judge.called}, ${judge.overturned}`,
    `${challenges.won}/${challenges.made}`,
    `${rest.managed}, ${rest.dropped}`,
  ]);
  const nodeHead = [
    "node",
    `${symbol} of strangers`,
    "of related",
    "clients",
    "rating",
    "came back",
    "ranked, best",
    "took",
    "evaluated, overturned",
    "judged, overturned",
    "challenges won",
    "children, dropped",
  ];
  const requesterRows = requesters.map(({ requester, challenges, ...rest }) => [
    requester,
    money(rest.paid),
    money(rest.paidToRelated),
    `${rest.answered}/${rest.ended}`,
    `${rest.cancelled}, ${rest.withheld}`,
    `${challenges.won}/${challenges.made}`,
    String(rest.rejected),
  ]);
  const requesterHead = [
    "requester",
    `${symbol} paid`,
    "to related",
    "answered",
    "unmet, withheld",
    "challenges won",
    "workers refused",
  ];
  const asked = requesterRows.length > 0 ? ["", table([requesterHead, ...requesterRows])] : [];
  return [table([nodeHead, ...nodeRows]), ...asked].join("\n");
}
