import { getAddress, Interface, isAddress } from "ethers";
import { z } from "zod";

import { MAX_AMOUNT, MAX_DECIMALS, PARTS_PER_MILLION } from "./amount.ts";
import { ExitStatus, SuretyError } from "./errors.ts";
import type { JsonRpc } from "./json-rpc.ts";
import {
  marketInterface,
  registryInterface,
  requestsInterface,
  schemasInterface,
  vaultInterface,
} from "./market-abi.ts";
import * as reads from "./reads.ts";
import { classIdOf, RUNTIMES, type HostClass, type Parameters, type Runtime } from "./terms.ts";

/** What a deployment fixes for good: the market's parameters and the registry's. */
export interface DeploymentParameters extends Parameters {
  /** Least stake to take on anything new, base units. */
  minStake: bigint;
  /** Seconds between joining a pool and being drawn. */
  activationDelay: number;
  /** Seconds that unstaked money and a left slot's backing stay liable. */
  unbondingPeriod: number;
}

/** A class that a deployment knows by name. */
export interface NamedClass {
  /** What job files call it: `wasm`. */
  name: string;
  /** `classIdOf(terms)`. */
  id: string;
  terms: HostClass;
}

/** Where the contracts of one deployment are, and what they were deployed with. */
export interface Deployment {
  /** EIP-155. */
  chainId: number;
  token: { address: string; symbol: string; decimals: number };
  vault: string;
  registry: string;
  market: string;
  /** The market's second part, which leads to the others. Nobody calls it directly. */
  panels: string;
  /** Job schemas of evaluated jobs, and their trees. Missing in older deployments, as is the next. */
  schemas?: string;
  /** Requests for evaluated jobs. */
  requests?: string;
  /** The first block that can hold an event of these contracts. */
  startBlock: number;
  parameters: DeploymentParameters;
  classes: NamedClass[];
}

const count = z.number().int().nonnegative().max(Number.MAX_SAFE_INTEGER);
const seconds = count.max(2 ** 48 - 1);
const address = z
  .string()
  .refine((text) => isAddress(text), "expected an address")
  .transform((text) => getAddress(text));
const bytes32 = z.string().regex(/^0x[0-9a-f]{64}$/, "expected 0x and 64 lower-case hexadecimal digits");
/** JSON has no integers of this size. */
const amount = z
  .string()
  .regex(/^\d{1,30}$/, "expected base units in decimal digits")
  .transform(BigInt)
  .refine((units) => units <= MAX_AMOUNT, "expected at most 2^96 - 1");

const parametersSchema = z.strictObject({
  minWindow: seconds,
  maxWindow: seconds,
  finalDepth: count,
  drawDelay: seconds,
  bondFixed: amount,
  bondShare: count.max(PARTS_PER_MILLION),
  challengeBond: amount,
  minStake: amount,
  activationDelay: seconds,
  unbondingPeriod: seconds,
});

const classSchema = z.strictObject({
  name: z.string().regex(/^[a-z][a-z0-9-]{0,62}$/),
  id: bytes32,
  terms: z.strictObject({
    market: address,
    runtime: z.enum(RUNTIMES.slice(1) as Runtime[]),
    fullSlash: z.boolean(),
    slotStake: amount,
    priceFloor: amount,
    resources: bytes32,
  }),
});

/** The form of a deployment's file; amounts are base units in decimal digits, as text. */
export const deploymentSchema = z.strictObject({
  chainId: count.min(1),
  token: z.strictObject({ address, symbol: z.string().max(64), decimals: count.max(MAX_DECIMALS) }),
  vault: address,
  registry: address,
  market: address,
  panels: address,
  schemas: address.optional(),
  requests: address.optional(),
  startBlock: count,
  parameters: parametersSchema,
  classes: z.array(classSchema).max(100),
});

/**
 * Reads a deployment's file.
 *
 * @param json Its text, or what was parsed of it.
 * @throws `DEPLOYMENT_INVALID` (exit 2), with the place of the first flaw.
 *
 * @example
 * ```ts
 * const deployment = loadDeployment(await readFile("deployment.json", "utf8"));
 * ```
 */
export function loadDeployment(json: unknown): Deployment {
  const parsed = deploymentSchema.safeParse(typeof json === "string" ? parseJson(json) : json);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw invalid(`${issue?.path.join(".") || "the deployment"}: ${issue?.message}`, parsed.error);
  }
  const deployment: Deployment = parsed.data;
  if ((deployment.schemas === undefined) !== (deployment.requests === undefined)) {
    throw invalid("schemas and requests belong together, and one of them is missing");
  }
  for (const { name, id, terms } of deployment.classes) {
    if (classIdOf(terms) !== id) throw invalid(`class ${name} has the id ${classIdOf(terms)}, not ${id}`);
  }
  return deployment;
}

/** A deployment as the text of a file; {@link loadDeployment} is the inverse. */
export function formatDeployment(deployment: Deployment): string {
  const text = JSON.stringify(deployment, (_key, value) => (typeof value === "bigint" ? value.toString() : value), 2);
  return `${text}\n`;
}

/**
 * The class that a job file names.
 *
 * @param nameOrId A name of the deployment's, or an id: 32 bytes, hexadecimal.
 * @returns The id.
 * @throws `CLASS_UNKNOWN` (exit 2)
 */
export function classNamed(deployment: Pick<Deployment, "classes">, nameOrId: string): string {
  if (/^0x[0-9a-fA-F]{64}$/.test(nameOrId)) return nameOrId.toLowerCase();
  const found = deployment.classes.find(({ name }) => name === nameOrId);
  if (found) return found.id;
  const known = deployment.classes.map(({ name }) => name).join(", ");
  throw new SuretyError("CLASS_UNKNOWN", `the deployment has no class ${nameOrId}`, {
    details: { actual: nameOrId, expected: known },
    fix: `Use one of: ${known}; or the id of a class on chain.`,
    exit: ExitStatus.badInput,
  });
}

/**
 * Checks that a node is on the deployment's chain and that the contracts there are the deployment's.
 *
 * @throws `CHAIN_MISMATCH` if the chain is another; `DEPLOYMENT_NOT_FOUND` if an address has no code;
 * `DEPLOYMENT_MISMATCH` if the contracts were deployed with something else; and what the transport throws.
 */
export async function verifyDeployment(
  rpc: JsonRpc,
  deployment: Deployment,
  options: { signal?: AbortSignal } = {},
): Promise<void> {
  const chainId = Number(await rpc.request("eth_chainId", [], options));
  if (chainId !== deployment.chainId) {
    throw new SuretyError(
      "CHAIN_MISMATCH",
      `the node is on chain ${chainId}, the deployment on ${deployment.chainId}`,
      {
        details: { actual: chainId, expected: deployment.chainId },
        fix: "Give the RPC of the deployment's chain, or the deployment of this chain.",
        exit: ExitStatus.badInput,
      },
    );
  }
  const { token, vault, registry, market, panels, schemas, requests, parameters, classes } = deployment;
  const evaluated = schemas !== undefined && requests !== undefined ? { schemas, requests } : undefined;
  const addresses = { token: token.address, vault, registry, market, panels, ...evaluated };
  await Promise.all(
    Object.entries(addresses).map(async ([name, each]) => {
      const code = await rpc.request("eth_getCode", [each, "latest"], options);
      if (typeof code === "string" && code.length > 2) return;
      throw new SuretyError("DEPLOYMENT_NOT_FOUND", `there is no contract at ${each}, where the ${name} should be`, {
        details: { contract: name, address: each, chainId },
        fix: "Deploy the contracts to this chain, or give the right deployment.",
        exit: ExitStatus.badInput,
      });
    }),
  );

  const stored = await reads.parameters(rpc, market, options);
  const facts: Fact[] = [
    ["market.vault", reads.read(rpc, market, marketInterface, "vault", [], options), vault],
    ["market.registry", reads.read(rpc, market, marketInterface, "registry", [], options), registry],
    ["market.panels", reads.read(rpc, market, panelsInterface, "panels", [], options), panels],
    ["registry.vault", reads.read(rpc, registry, registryInterface, "vault", [], options), vault],
    ["vault.token", reads.read(rpc, vault, vaultInterface, "token", [], options), token.address],
    ["token.decimals", reads.decimals(rpc, token.address, options), token.decimals],
    ["minStake", reads.minStake(rpc, registry, options), parameters.minStake],
    ["activationDelay", reads.activationDelay(rpc, registry, options), parameters.activationDelay],
    ["unbondingPeriod", reads.unbondingPeriod(rpc, registry, options), parameters.unbondingPeriod],
    ...Object.entries(stored).map(([name, value]): [string, Promise<unknown>, unknown] => [
      name,
      Promise.resolve(value),
      parameters[name as keyof Parameters],
    ]),
    ...(evaluated ? requestsFacts(rpc, deployment, evaluated, options) : []),
    ...classes.map(({ name, id, terms }): [string, Promise<unknown>, unknown] => [
      `class ${name}`,
      reads.classState(rpc, registry, market, id, options).then(({ runtime }) => runtime),
      terms.runtime,
    ]),
  ];
  const actuals = await Promise.all(facts.map(([, actual]) => actual));
  for (const [index, [name, , expected]] of facts.entries()) {
    if (actuals[index] === expected) continue;
    throw new SuretyError(
      "DEPLOYMENT_MISMATCH",
      `${name} is ${actuals[index]} on chain, ${expected} in the deployment`,
      {
        details: { name, actual: String(actuals[index]), expected: String(expected) },
        fix: "Use the file that the deployment of these contracts wrote.",
        exit: ExitStatus.badInput,
      },
    );
  }
}

/** Something that a contract says, and what it should say. */
type Fact = [name: string, actual: Promise<unknown>, expected: unknown];

function requestsFacts(
  rpc: JsonRpc,
  { vault, parameters }: Deployment,
  { schemas, requests }: { schemas: string; requests: string },
  options: { signal?: AbortSignal },
): Fact[] {
  const ask = (name: string): Promise<unknown> => reads.read(rpc, requests, requestsInterface, name, [], options);
  return [
    ["requests.vault", ask("vault"), vault],
    ["requests.schemas", ask("schemas"), schemas],
    ["requests.minWindow", ask("minWindow").then(Number), parameters.minWindow],
    ["requests.maxWindow", ask("maxWindow").then(Number), parameters.maxWindow],
    // Any answer: only whether it is that contract.
    [
      "schemas.dropInterval",
      reads.read(rpc, schemas, schemasInterface, "dropInterval", [], options).then((value) => Number(value) > 0),
      true,
    ],
  ];
}

/** Not part of a market's interface: users never meet its parts. */
const panelsInterface = new Interface(["function panels() view returns (address)"]);

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw invalid("it is not JSON", cause);
  }
}

function invalid(flaw: string, cause?: unknown): SuretyError {
  return new SuretyError("DEPLOYMENT_INVALID", `the deployment is invalid: ${flaw}`, {
    details: { flaw },
    fix: "Use the file that surety deploy or surety devnet wrote.",
    exit: ExitStatus.badInput,
    cause,
  });
}
