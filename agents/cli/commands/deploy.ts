import { readFile, writeFile } from "node:fs/promises";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import type { Command } from "commander";
import { formatDeployment, loadDeployment, type Deployment } from "#sdk/deployment.ts";
import { ExitStatus, SuretyError } from "#sdk/errors.ts";
import { checkNetwork, type Finding } from "../../../deploy/check.ts";
import { deploySurety } from "../../../deploy/deploy.ts";
import { deployResumably } from "../../../deploy/ignition.ts";
import { readNetwork, type Network } from "../../../deploy/network.ts";
import { readDeployParameters } from "../../../deploy/parameters.ts";
import { HttpRpc } from "../../chain/rpc.ts";
import { signingProvider } from "../../chain/signing-provider.ts";
import { openSigner } from "../../key/agent-key.ts";
import { readKey, type LocalKeySource } from "../../key/private-key.ts";
import { runCommand, type CommandContext, type CommandResult } from "../run-command.ts";

interface Options {
  network?: string;
  rpc?: string;
  keyEnv?: string;
  keyFile?: string;
  keystore?: string;
  passwordEnv?: string;
  parameters?: string;
  out?: string;
  journal?: string;
  check?: boolean;
  json?: boolean;
}

/** `surety deploy`: the contracts on any chain. */
export function addDeployCommand(program: Command): void {
  program
    .command("deploy")
    .description("Deploy the contracts to a chain and write their address book.")
    .option("--network <name>", "a file of deploy/networks without its ending; can be interrupted and gone on with")
    .option("--rpc <url>", "the chain's JSON-RPC; default: the network's environment variable")
    .option("--key-env <variable>", "environment variable with the deployer's private key")
    .option("--key-file <file>", "file with the deployer's private key")
    .option("--keystore <file>", "encrypted file with the deployer's private key; its password: --password-env")
    .option("--password-env <variable>", "environment variable with the password of --keystore")
    .option("--parameters <name>", "a file of deploy/parameters without its ending, or a path; default: the network's")
    .option("--out <file>", "address book; default: the network's name and .json, or surety.json")
    .option("--journal <folder>", "where a network's deployment is recorded; default: deploy/deployments/<name>")
    .option("--check", "send nothing: look whether it would work, or whether what is deployed is what it should be")
    .option("--json", "print one JSON object at the end")
    .addHelpText(
      "after",
      `
The parameters cannot be changed later; deploy/README.md explains them, docs/networks.md the networks.

Examples:
  $ surety deploy --network sepolia --key-env DEPLOYER_KEY --check
  $ surety deploy --network sepolia --key-env DEPLOYER_KEY
  $ surety deploy --rpc http://127.0.0.1:8545 --key-env DEPLOYER_KEY`,
    )
    .action((options: Options) =>
      runCommand(options, async (context) =>
        options.network === undefined
          ? deployAnywhere(options, context)
          : deployToNetwork(await readNetwork(options.network), options, context),
      ),
    );
}

/** To a chain that nothing is known of: at once, and from the start if it fails. */
async function deployAnywhere(options: Options, { signal, say }: CommandContext): Promise<CommandResult> {
  const { rpc: url, parameters: name = "local", out = "surety.json" } = options;
  if (url === undefined || options.check || options.journal !== undefined || options.keystore !== undefined) {
    throw usage("without a network nothing can be checked or gone on with", "Give --network, or --rpc and a key only.");
  }
  const parameters = await readDeployParameters(name);
  const deployerKey = await readKey(keySource(options));
  // ethers would wait for ever for a chain that does not answer.
  await new HttpRpc({ urls: [url], retries: 1 }).request("eth_chainId", [], { signal });
  const deployment = await deploySurety({
    chain: { rpcUrl: url },
    deployerKey,
    parameters,
    signal,
    onProgress: ({ step, address, gasUsed }) => say(`${step.padEnd(15)} ${address}  ${gasUsed} gas`),
  });
  return written(resolve(out), deployment);
}

async function deployToNetwork(network: Network, options: Options, context: CommandContext): Promise<CommandResult> {
  const { signal, say } = context;
  const parametersName = options.parameters ?? network.parameters;
  const parameters = await readDeployParameters(parametersName);
  const rpc = new HttpRpc({ urls: [rpcOf(network, options)], retries: 2 });
  const path = resolve(options.out ?? `${network.name}.json`);
  const hasKey = [options.keyEnv, options.keyFile, options.keystore].some((place) => place !== undefined);
  const key = hasKey || !options.check ? await openSigner(keySource(options), { signal }) : undefined;
  const deployer = key?.signer.address;
  const known = { ...network, parameters: parametersName };
  if (options.check) {
    const deployment = await bookAt(path);
    return report(await checkNetwork({ network: known, parameters, rpc, deployer, deployment, signal }));
  }
  const signer = key!.signer;
  const folder = resolve(
    options.journal ?? fileURLToPath(new URL(`../../../deploy/deployments/${network.name}`, import.meta.url)),
  );
  const findings = await checkNetwork({ network: known, parameters, rpc, signal });
  const found = findings.find(({ verdict }) => verdict === "flaw");
  if (found) {
    throw new SuretyError(found.code, found.text, {
      fix: "Nothing was sent; docs/networks.md says what a chain must be like.",
      exit: ExitStatus.badInput,
    });
  }
  const deployment = await deployResumably({
    network,
    parameters,
    rpc,
    provider: (beforeSending) =>
      signingProvider({ rpc, signer, chainId: network.chainId, signal }, async ({ raw, hash }) => {
        await beforeSending(raw);
        say(`sent     ${hash}`);
      }),
    folder,
    pollMs: Math.min(1_000 * network.blockSeconds, 2_000),
    onProgress: ({ name, address }) => say(`done     ${name} ${address ?? ""}`.trimEnd()),
  });
  return written(path, deployment);
}

async function written(path: string, deployment: Deployment): Promise<CommandResult> {
  await writeFile(path, formatDeployment(deployment));
  return { json: { path, deployment }, text: `address book written to ${path}` };
}

function report(findings: readonly Finding[]): CommandResult {
  const signs = { good: "ok  ", note: "note", flaw: "FLAW" };
  const flaws = findings.filter(({ verdict }) => verdict === "flaw");
  return {
    json: { findings },
    text: findings.map(({ verdict, code, text }) => `${signs[verdict]} ${code}: ${text}`).join("\n"),
    exit: flaws.length === 0 ? 0 : ExitStatus.failure,
  };
}

/** The address book at a path; undefined if there is none yet. */
async function bookAt(path: string): Promise<Deployment | undefined> {
  const text = await readFile(path, "utf8").catch(() => undefined);
  return text === undefined ? undefined : loadDeployment(text);
}

function rpcOf({ rpc, rpcEnv, title }: Network, options: Options): string {
  const url = options.rpc ?? process.env[rpcEnv] ?? rpc;
  if (url !== undefined && url !== "") return url;
  throw usage(`nothing says where ${title} can be reached`, `Set ${rpcEnv}, or give --rpc.`);
}

function keySource({ keyEnv, keyFile, keystore, passwordEnv }: Options): LocalKeySource {
  const places: LocalKeySource[] = [
    ...(keyEnv === undefined ? [] : [{ env: keyEnv }]),
    ...(keyFile === undefined ? [] : [{ file: keyFile }]),
    ...(keystore === undefined ? [] : [{ keystore, password: { env: passwordEnv ?? "" } }]),
  ];
  const [only] = places;
  if (only && places.length === 1 && (keystore === undefined) === (passwordEnv === undefined)) return only;
  throw usage(
    "the deployer's key must come from one place",
    "Give one of --key-env, --key-file, and --keystore with --password-env.",
  );
}

function usage(message: string, fix: string): SuretyError {
  return new SuretyError("USAGE", message, { fix, exit: ExitStatus.badInput });
}
