import {
  ContractFactory,
  getCreateAddress,
  isError,
  JsonRpcProvider,
  Wallet,
  type Provider,
  type TransactionReceipt,
  type TransactionRequest,
  type TransactionResponse,
} from "ethers";
import * as calls from "#sdk/calls.ts";
import type { Deployment } from "#sdk/deployment.ts";
import { ExitStatus, SuretyError } from "#sdk/errors.ts";
import type { JsonRpc } from "#sdk/json-rpc.ts";
import { addressBook, deployedClasses, type DeployedClassName } from "./address-book.ts";
import { readArtifact } from "./artifact.ts";
import type { DeployParameters } from "./parameters.ts";

/** What is deployed, in order. */
export type DeployStep =
  | "token"
  | "vault"
  | "registry"
  | "verdicts"
  | "juries"
  | "disputes"
  | "panels"
  | "market"
  | "schemas"
  | "requests"
  | `class ${DeployedClassName}`;

/** What {@link deploySurety} takes. */
export interface DeployRequest {
  /** Address of the chain's JSON-RPC, or a provider that is connected already. */
  chain: { rpcUrl: string } | { provider: Provider };
  /** Key of the account that pays for the gas and, of a new token, gets the supply: 32 bytes, hexadecimal. */
  deployerKey: string;
  parameters: DeployParameters;
  /** Told when a step is mined. */
  onProgress?: (progress: { step: DeployStep; address: string; gasUsed: bigint }) => void;
  signal?: AbortSignal;
}

interface Sent {
  address: string;
  mined: Promise<void>;
}

/**
 * Deploys all contracts and the classes `wasm` and `container` to a chain, from the compiled artifacts and without Hardhat.
 *
 * @throws `ARTIFACTS_MISSING` if the contracts were not compiled; `DEPLOY_REVERTED` if the chain refused one; and what
 * ethers throws for a chain that cannot be reached or an account without money.
 *
 * @example
 * ```ts
 * const parameters = await readDeployParameters("local");
 * const deployment = await deploySurety({ chain: { rpcUrl: "http://127.0.0.1:8545" }, deployerKey, parameters });
 * await writeFile("deployment.json", formatDeployment(deployment));
 * ```
 */
export async function deploySurety(request: DeployRequest): Promise<Deployment> {
  const { chain } = request;
  if ("provider" in chain) return deployWith(chain.provider, request);
  const provider = new JsonRpcProvider(chain.rpcUrl, undefined, {
    polling: true,
    pollingInterval: 200,
    // A remembered transaction count would be one that was used already.
    cacheTimeout: -1,
  });
  try {
    return await deployWith(provider, request);
  } finally {
    provider.destroy();
  }
}

async function deployWith(provider: Provider, request: DeployRequest): Promise<Deployment> {
  const { deployerKey, parameters, onProgress, signal } = request;
  const wallet = new Wallet(deployerKey, provider);
  const chainId = Number((await provider.getNetwork()).chainId);
  const startBlock = await provider.getBlockNumber();
  let nonce = await provider.getTransactionCount(wallet.address, "pending");

  /** Sends without waiting, so that what does not depend on each other gets into one block. */
  const send = async (step: DeployStep, address: string, transaction: TransactionRequest): Promise<Sent> => {
    signal?.throwIfAborted();
    const response = await wallet.sendTransaction({ ...transaction, nonce: nonce++ }).catch(refusal(step));
    const mined = waitFor(response, signal).then(
      ({ gasUsed }) => onProgress?.({ step, address, gasUsed }),
      refusal(step),
    );
    // It is awaited later; until then a failure must not count as unhandled.
    mined.catch(() => {});
    return { address, mined };
  };
  const create = async (step: DeployStep, name: string, args: unknown[]): Promise<Sent> => {
    const { abi, bytecode } = await readArtifact(name);
    const transaction = await new ContractFactory(abi, bytecode).getDeployTransaction(...args);
    return send(step, getCreateAddress({ from: wallet.address, nonce }), transaction);
  };

  const token =
    "address" in parameters.token
      ? { address: parameters.token.address, mined: Promise.resolve() }
      : await create("token", "SuretyToken", [wallet.address, parameters.token.supply]);
  const vault = await create("vault", "Vault", [token.address]);
  const { minStake, activationDelay, unbondingPeriod, minWindow, maxWindow, dropInterval } = parameters;
  const registry = await create("registry", "Registry", [vault.address, minStake, activationDelay, unbondingPeriod]);
  const schemas = await create("schemas", "Schemas", [dropInterval]);
  await Promise.all([token.mined, vault.mined, registry.mined, schemas.mined]);
  const base = [vault.address, registry.address, parameters];
  // Each part hands what it does not know to the one before it here, and checks that one when it is made.
  const verdicts = await create("verdicts", "MarketVerdicts", base);
  await verdicts.mined;
  const juries = await create("juries", "MarketJuries", [...base, verdicts.address]);
  await juries.mined;
  const disputes = await create("disputes", "MarketDisputes", [...base, juries.address]);
  await disputes.mined;
  const panels = await create("panels", "MarketPanels", [...base, disputes.address]);
  await panels.mined;
  const market = await create("market", "Market", [...base, panels.address]);
  const requests = await create("requests", "Requests", [vault.address, schemas.address, minWindow, maxWindow]);
  const created: Sent[] = [];
  for (const { name, terms } of deployedClasses(market.address, parameters)) {
    created.push(await send(`class ${name}`, registry.address, calls.createClass(registry.address, terms)));
  }
  await Promise.all([market, requests, ...created].map(({ mined }) => mined));

  return addressBook(
    callsThrough(provider),
    {
      token: token.address,
      vault: vault.address,
      registry: registry.address,
      market: market.address,
      panels: panels.address,
      schemas: schemas.address,
      requests: requests.address,
    },
    { chainId, startBlock, parameters },
  );
}

/** Calls only: not every provider of ethers has a raw `send`. */
function callsThrough(provider: Provider): JsonRpc {
  return { request: (_method, [transaction] = []) => provider.call(transaction as { to: string; data: string }) };
}

async function waitFor(response: TransactionResponse, signal: AbortSignal | undefined): Promise<TransactionReceipt> {
  const aborted = new Promise<never>((_resolve, reject) => {
    signal?.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
  return (await Promise.race([response.wait(), aborted]))!;
}

/** Names the step that the chain refused; all else passes. */
function refusal(step: DeployStep): (cause: unknown) => never {
  return (cause) => {
    if (!isError(cause, "CALL_EXCEPTION")) throw cause;
    throw new SuretyError("DEPLOY_REVERTED", `the chain refused the ${step}: ${cause.shortMessage}`, {
      details: { step, data: cause.data },
      fix: "Check the parameters against deploy/README.md.",
      exit: ExitStatus.refused,
      cause,
    });
  };
}
