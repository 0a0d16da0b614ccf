import { writeFile } from "node:fs/promises";
import { resolve } from "node:path";
import type { Command } from "commander";
import { formatDeployment } from "#sdk/deployment.ts";
import { ExitStatus, SuretyError } from "#sdk/errors.ts";
import { deploySurety } from "../../../deploy/deploy.ts";
import { readDeployParameters } from "../../../deploy/parameters.ts";
import { HttpRpc } from "../../chain/rpc.ts";
import { readKey, type KeySource } from "../../config.ts";
import { runCommand } from "../run-command.ts";

interface Options {
  rpc: string;
  keyEnv?: string;
  keyFile?: string;
  parameters: string;
  out: string;
  json?: boolean;
}

/** `surety deploy`: the contracts on any chain. */
export function addDeployCommand(program: Command): void {
  program
    .command("deploy")
    .description("Deploy the contracts to a chain and write their address book.")
    .requiredOption("--rpc <url>", "the chain's JSON-RPC")
    .option("--key-env <variable>", "environment variable with the deployer's private key")
    .option("--key-file <file>", "file with the deployer's private key")
    .option("--parameters <name>", "a file of deploy/parameters without its ending, or a path to another", "local")
    .option("--out <file>", "where to write the address book", "surety.json")
    .option("--json", "print one JSON object at the end")
    .addHelpText(
      "after",
      `
The parameters cannot be changed later; deploy/README.md explains them.

Examples:
  $ surety deploy --rpc http://127.0.0.1:8545 --key-env DEPLOYER_KEY
  $ surety deploy --rpc https://… --key-file deployer.key --parameters testnet --out testnet.json`,
    )
    .action((options: Options) =>
      runCommand(options, async ({ signal, say }) => {
        const parameters = await readDeployParameters(options.parameters);
        const deployerKey = await readKey(keySource(options));
        // ethers would wait for ever for a chain that does not answer.
        await new HttpRpc({ urls: [options.rpc], retries: 1 }).request("eth_chainId", [], { signal });
        const deployment = await deploySurety({
          chain: { rpcUrl: options.rpc },
          deployerKey,
          parameters,
          signal,
          onProgress: ({ step, address, gasUsed }) => say(`${step.padEnd(8)} ${address}  ${gasUsed} gas`),
        });
        const path = resolve(options.out);
        await writeFile(path, formatDeployment(deployment));
        return { json: { path, deployment }, text: `address book written to ${path}` };
      }),
    );
}

function keySource({ keyEnv, keyFile }: Options): KeySource {
  if (keyEnv !== undefined && keyFile === undefined) return { env: keyEnv };
  if (keyFile !== undefined && keyEnv === undefined) return { file: keyFile };
  throw new SuretyError("USAGE", "the deployer's key must come from one place", {
    fix: "Give either --key-env or --key-file.",
    exit: ExitStatus.badInput,
  });
}
