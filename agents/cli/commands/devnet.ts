import { InvalidArgumentError, type Command } from "commander";
import { startDevnet } from "../../devnet/devnet.ts";
import { DEFAULT_DEVNET_HOME } from "../requester-home.ts";
import { runCommand, toJson } from "../run-command.ts";

interface Options {
  home: string;
  port: number;
  nodes: number;
  liars: number;
  lazy: number;
  json?: boolean;
}

/** `surety devnet`: a whole market on this machine, until it is stopped. */
export function addDevnetCommand(program: Command): void {
  program
    .command("devnet")
    .description("Run a whole market on this machine: chain, contracts, storage, funded accounts, agents.")
    .option("--nodes <count>", "compute nodes, the dishonest included", whole, 6)
    .option("--liars <count>", "nodes that falsify what they computed", whole, 0)
    .option("--lazy <count>", "nodes that compute nothing and invent results", whole, 0)
    .option(
      "--home <folder>",
      "folder for everything; what an earlier devnet left in it is deleted",
      DEFAULT_DEVNET_HOME,
    )
    .option("--port <port>", "port of the chain's JSON-RPC; 0 for any that is free", whole, 8545)
    .option("--json", "print one JSON object, the content of devnet.json, once it runs")
    .addHelpText(
      "after",
      `
Stays up until Ctrl-C or SIGTERM. Endpoints and keys are in <home>/devnet.json, each agent's log beside its journal.

Examples:
  $ surety devnet
  $ surety devnet --nodes 8 --liars 1 --lazy 1 --home /tmp/market --port 0`,
    )
    .action((options: Options) =>
      runCommand({ json: false }, async ({ signal }) => {
        const say = (line: string): void => void (options.json || process.stdout.write(`${line}\n`));
        const devnet = await startDevnet({ ...options, onProgress: say, signal });
        try {
          const { file, path } = devnet;
          if (options.json) process.stdout.write(`${toJson(file)}\n`);
          say(`\nThe market runs. Ctrl-C stops it.\n`);
          say(`  chain      ${file.rpc} (chain ${file.chainId})`);
          say(`  storage    ${file.gateway}`);
          say(`  requester  ${file.keys.requester.address}`);
          for (const { address, kind } of file.keys.nodes) say(`  node       ${address}  ${kind}`);
          say(`  written to ${path}\n`);
          say(`Try: surety submit job.yaml --wait --devnet ${path}`);
          await aborted(signal);
        } finally {
          say("stopping");
          await devnet.stop();
        }
        return { json: {} };
      }),
    );
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}

function whole(text: string): number {
  const count = Number(text);
  if (!/^\d{1,5}$/.test(text)) throw new InvalidArgumentError("expected a whole number, 0 or more");
  return count;
}
