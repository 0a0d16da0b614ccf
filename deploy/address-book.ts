import type { Deployment, NamedClass } from "#sdk/deployment.ts";
import type { JsonRpc } from "#sdk/json-rpc.ts";
import * as reads from "#sdk/reads.ts";
import { classIdOf, type HostClass } from "#sdk/terms.ts";
import type { DeployParameters } from "./parameters.ts";

/** Where the contracts are that agents and applications ask for. */
export type Addresses = Pick<Deployment, "vault" | "registry" | "market" | "panels" | "schemas" | "requests"> & {
  token: string;
};

/** The classes that a market is deployed with. */
export type DeployedClassName = "wasm" | "container";

/**
 * The classes `wasm` and `container` of a market. They ask for the same stake and price; in `container` a lone difference
 * never costs everything locked: programs are free to depend on the host there, so that honest ones may differ.
 */
export function deployedClasses(
  market: string,
  { fullSlash, slotStake, priceFloor, resources, containerResources }: DeployParameters,
): (NamedClass & { name: DeployedClassName })[] {
  const common = { market, slotStake, priceFloor };
  const classes: [DeployedClassName, HostClass][] = [
    ["wasm", { ...common, runtime: "wasm", fullSlash, resources }],
    ["container", { ...common, runtime: "container", fullSlash: false, resources: containerResources }],
  ];
  return classes.map(([name, terms]) => ({ name, id: classIdOf(terms), terms }));
}

/** Puts the address book of contracts together that were deployed with `parameters`; asks the chain about the token. */
export async function addressBook(
  rpc: JsonRpc,
  addresses: Addresses,
  { chainId, startBlock, parameters }: { chainId: number; startBlock: number; parameters: DeployParameters },
): Promise<Deployment> {
  const { token, vault, registry, market, panels, schemas, requests } = addresses;
  const { minWindow, maxWindow, finalDepth, drawDelay, bondFixed, bondShare, challengeBond } = parameters;
  const { minStake, activationDelay, unbondingPeriod } = parameters;
  return {
    chainId,
    token: {
      address: token,
      symbol: await reads.symbol(rpc, token),
      decimals: await reads.decimals(rpc, token),
    },
    ...{ vault, registry, market, panels },
    ...(schemas !== undefined && requests !== undefined ? { schemas, requests } : {}),
    startBlock,
    parameters: {
      ...{ minWindow, maxWindow, finalDepth, drawDelay, bondFixed, bondShare, challengeBond },
      ...{ minStake, activationDelay, unbondingPeriod },
    },
    classes: deployedClasses(market, parameters),
  };
}
