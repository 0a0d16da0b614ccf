import { InvalidArgumentError, type Command } from "commander";
import { ExitStatus, SuretyError } from "#sdk/errors.ts";
import type * as devnetModule from "../../devnet/devnet.ts";
import { DEFAULT_DEVNET_HOME } from "../requester-home.ts";
import { runCommand, toJson } from "../run-command.ts";

interface Options {
  home: string;
  port: number;
  nodes: number;
  participants: number;
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
    .option("--participants <count>", "evaluators and workers of evaluated jobs, 1 evaluator in 5", whole, 0)
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
  $ surety devnet --participants 15 --nodes 0
  $ surety devnet --nodes 8 --liars 1 --lazy 1 --home /tmp/market --port 0`,
    )
    .action((options: Options) =>
      runCommand({ json: false }, async ({ signal }) => {
        const say = (line: string): void => void (options.json || process.stdout.write(`${line}\n`));
        const { startDevnet } = await loadDevnet();
        const devnet = await startDevnet({ ...options, onProgress: say, signal });
        try {
          const { file, path } = devnet;
          if (options.json) process.stdout.write(`${toJson(file)}\n`);
          say(`\nThe market runs. Ctrl-C stops it.\n`);
          say(`  chain      ${file.rpc} (chain ${file.chainId})`);
          say(`  storage    ${file.gateway}`);
          say(`  requester  ${file.keys.requester.address}`);
          for (const { address, kind } of file.keys.nodes) say(`  node       ${address}  ${kind}`);
          const { registrant, participants } = file.keys;
          say(`  registrant ${registrant.address}`);
          for (const role of ["evaluator", "worker"] as const) {
            const count = participants.filter((each) => each.role === role).length;
            if (count > 0) say(`  ${role}s`.padEnd(12) + ` ${count}`);
          }
          say(`  written to ${path}\n`);
          if (options.nodes > 0) say(`Try: surety submit job.yaml --wait --devnet ${path}`);
          if (options.participants > 0) say(`Try: surety console, and there: connect ${options.home}`);
          await aborted(signal);
        } finally {
          say("stopping");
          await devnet.stop();
        }
        return { json: {} };
      }),
    );
}

/** Only here, as its chain is for development, and where agents run it may not be installed. */
async function loadDevnet(): Promise<typeof devnetModule> {
  try {
    return await import("../../devnet/devnet.ts");
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== "ERR_MODULE_NOT_FOUND") throw cause;
    throw new SuretyError("DEVNET_UNAVAILABLE", "this installation has no chain of its own to run", {
      fix: "Run it from a checkout with all its dependencies: npm run surety -- devnet",
      cause,
      exit: ExitStatus.unavailable,
    });
  }
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
