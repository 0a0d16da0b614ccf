import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type {
  Artifact as IgnitionArtifact,
  ArtifactResolver,
  BuildInfo,
  DeploymentResult,
  EIP1193Provider,
  ExecutionEventListener,
} from "@nomicfoundation/ignition-core";
import type { Deployment } from "#sdk/deployment.ts";
import { ExitStatus, SuretyError } from "#sdk/errors.ts";
import type { JsonRpc } from "#sdk/json-rpc.ts";
import { parseWei } from "#sdk/wei.ts";
import { addressBook } from "./address-book.ts";
import { readArtifact, readBuildInfo } from "./artifact.ts";
import type { Network } from "./network.ts";
import type { DeployParameters } from "./parameters.ts";
import { finishSending, keepSigned } from "./signed-transactions.ts";

/** What {@link deployResumably} takes. */
export interface ResumableDeployment {
  network: Pick<Network, "name" | "chainId" | "confirmations" | "fees">;
  parameters: DeployParameters;
  /** For questions. */
  rpc: JsonRpc;
  /**
   * For what is signed; has one account.
   *
   * @param beforeSending To be waited for with each signed transaction, hex, before it is sent.
   */
  provider: (beforeSending: (raw: string) => Promise<void>) => {
    request(request: { method: string; params?: readonly unknown[] | object }): Promise<unknown>;
  };
  /** Where the journal is kept; the same folder goes on where it stopped. */
  folder: string;
  /** How often to look whether something was mined, milliseconds. Default 1000. */
  pollMs?: number;
  /** Told when a contract is there or a call is made. */
  onProgress?: (step: { name: string; address?: string }) => void;
}

/**
 * Deploys all contracts with Ignition, from the compiled artifacts. Each step is in the folder's journal before it is
 * taken: what was interrupted goes on where it stopped when it is called again, and what is done stays as it is.
 *
 * @returns the address book
 * @throws SuretyError `DEPLOY_JOURNAL_FOREIGN` if the folder belongs to another chain; `DEPLOY_CHANGED` if contracts or
 *   parameters are others than when it was begun; `DEPLOY_INCOMPLETE` if a step failed; `DEPLOY_INTERRUPTED` for what
 *   Ignition itself throws, as when the account's last transactions are too young
 */
export async function deployResumably(request: ResumableDeployment): Promise<Deployment> {
  const { network, parameters, rpc, folder } = request;
  await claimFolder(folder, rpc);
  // Hardhat is there to compile the contracts; agents are installed without it.
  const { deploy } = await import("@nomicfoundation/ignition-core").catch((cause: unknown) => {
    throw new SuretyError("DEPLOY_TOOLS_MISSING", "Ignition, which keeps the journal, is not installed here", {
      fix: "Deploy from a checkout in which npm run build was run, and nothing pruned.",
      cause,
      exit: ExitStatus.badInput,
    });
  });
  const { values, ignitionModule } = await moduleOf(parameters);
  const provider = request.provider((raw) => keepSigned(folder, raw)) as EIP1193Provider;
  await finishSending(folder, { rpc, provider, artifactResolver }).catch((cause: unknown) => {
    throw interrupted(cause);
  });
  const result = await deploy<string, string, never>({
    config: { requiredConfirmations: network.confirmations, blockPollingInterval: request.pollMs ?? 1_000 },
    artifactResolver,
    provider,
    executionEventListener: await listener(request.onProgress),
    deploymentDir: folder,
    ignitionModule: ignitionModule as never,
    deploymentParameters: { [(ignitionModule as { id: string }).id]: values },
    accounts: (await provider.request({ method: "eth_accounts" })) as string[],
    maxFeePerGasLimit: parseWei(network.fees.maxFeePerGas),
  }).catch((cause: unknown) => {
    throw cause instanceof SuretyError ? cause : interrupted(cause);
  });
  const contracts = contractsOf(result as PlainResult, folder);
  const addressOf = (name: string): string => {
    const found = Object.values(contracts).find(({ contractName }) => contractName === name);
    if (!found) throw incomplete(`${name} is not there`, folder);
    return found.address;
  };
  return addressBook(
    rpc,
    {
      token: addressOf("SuretyToken"),
      vault: addressOf("Vault"),
      registry: addressOf("Registry"),
      market: addressOf("Market"),
      panels: addressOf("MarketPanels"),
      schemas: addressOf("Schemas"),
      requests: addressOf("Requests"),
    },
    { chainId: network.chainId, startBlock: await firstBlock(folder), parameters },
  );
}

/** A folder serves one chain: a local one that was started over has the same number and none of the contracts. */
async function claimFolder(folder: string, rpc: JsonRpc): Promise<void> {
  const block = (await rpc.request("eth_getBlockByNumber", ["0x0", false])) as { hash?: string } | null;
  const genesis = block?.hash ?? "none";
  const path = join(folder, "genesis");
  const known = await readFile(path, "utf8").catch(() => undefined);
  if (known === undefined) {
    await mkdir(folder, { recursive: true });
    await writeFile(path, `${genesis}\n`);
  } else if (known.trim() !== genesis) {
    throw new SuretyError("DEPLOY_JOURNAL_FOREIGN", `${folder} belongs to a chain that begins with ${known.trim()}`, {
      details: { folder, actual: genesis, expected: known.trim() },
      fix: "If that chain is gone, remove the folder; else give another with --journal.",
      exit: ExitStatus.badInput,
    });
  }
}

/** The module that takes these parameters, and they as it takes them. */
async function moduleOf({ token, ...values }: DeployParameters) {
  if ("supply" in token) {
    const { default: ignitionModule } = await import("./modules/Surety.ts");
    return { ignitionModule, values: { ...values, tokenSupply: token.supply } };
  }
  const { default: ignitionModule } = await import("./modules/SuretyOnToken.ts");
  return { ignitionModule, values: { ...values, token: token.address } };
}

/** A result with its kind as text: Ignition's own names for them would have to be imported to be compared with. */
type PlainResult = DeploymentResult extends infer Each
  ? Each extends { type: infer Kind extends string }
    ? Omit<Each, "type"> & { type: `${Kind}` }
    : never
  : never;

const artifactResolver: ArtifactResolver = {
  loadArtifact: async (name) => (await readArtifact(name)) as IgnitionArtifact,
  getBuildInfo: async (name) => (await readBuildInfo(name)) as BuildInfo | undefined,
};

/** Ignition wants to be listened to for everything. */
async function listener(onProgress: ResumableDeployment["onProgress"]): Promise<ExecutionEventListener> {
  const { ExecutionEventType } = await import("@nomicfoundation/ignition-core");
  const camel = (name: string): string => name.toLowerCase().replaceAll(/_(.)/g, (_, letter) => letter.toUpperCase());
  const silent = Object.values(ExecutionEventType).map((type) => [camel(type), async () => undefined]);
  const told = async ({ futureId, result }: { futureId: string; result: { type: string; result?: string } }) => {
    if (result.type === "SUCCESS") onProgress?.({ name: futureId.split("#")[1] ?? futureId, address: result.result });
  };
  return {
    ...(Object.fromEntries(silent) as ExecutionEventListener),
    deploymentExecutionStateComplete: told as ExecutionEventListener["deploymentExecutionStateComplete"],
    callExecutionStateComplete: told as ExecutionEventListener["callExecutionStateComplete"],
  };
}

function contractsOf(result: PlainResult, folder: string): Record<string, { contractName: string; address: string }> {
  switch (result.type) {
    case "SUCCESSFUL_DEPLOYMENT":
      return result.contracts;
    case "VALIDATION_ERROR":
      throw incomplete(reasons(result.errors), folder);
    case "RECONCILIATION_ERROR":
    case "PREVIOUS_RUN_ERROR":
      throw new SuretyError(
        "DEPLOY_CHANGED",
        `what was begun in ${folder} cannot be gone on with: ${reasons(result.errors)}`,
        {
          details: { folder },
          fix: "Use the contracts and parameters it was begun with, or begin anew with another --journal.",
          exit: ExitStatus.badInput,
        },
      );
    case "EXECUTION_ERROR": {
      const { failed, held, timedOut } = result;
      const told = [
        ...failed.map(({ futureId, error }) => `${futureId}: ${error}`),
        ...held.map(({ futureId, reason }) => `${futureId}: ${reason}`),
        ...timedOut.map(({ futureId }) => `${futureId} was not mined in time`),
      ];
      throw incomplete(told.join("; "), folder);
    }
  }
}

function reasons(errors: Record<string, string[]>): string {
  return Object.entries(errors)
    .map(([future, each]) => `${future}: ${each.join(", ")}`)
    .join("; ");
}

/** The block of the first transaction in the journal: no event can be older. */
async function firstBlock(folder: string): Promise<number> {
  const lines = (await readFile(join(folder, "journal.jsonl"), "utf8")).split("\n").filter((line) => line !== "");
  const blocks = lines.flatMap((line) => {
    const { receipt } = JSON.parse(line) as { receipt?: { blockNumber?: number } };
    return receipt?.blockNumber === undefined ? [] : [receipt.blockNumber];
  });
  return Math.min(...blocks);
}

function incomplete(reason: string, folder: string): SuretyError {
  return new SuretyError("DEPLOY_INCOMPLETE", `not everything was deployed: ${reason}`, {
    details: { folder },
    fix: "Run the same command again, which goes on where it stopped; deploy/README.md says how to take a failed step back.",
    exit: ExitStatus.refused,
  });
}

function interrupted(cause: unknown): SuretyError {
  const message = cause instanceof Error ? cause.message.split("\n")[0] : String(cause);
  return new SuretyError("DEPLOY_INTERRUPTED", `the deployment stopped: ${message}`, {
    fix: "Run the same command again, which goes on where it stopped.",
    cause,
    kind: "retryable",
    exit: ExitStatus.unavailable,
  });
}
