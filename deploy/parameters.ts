import { readFile } from "node:fs/promises";
import { isAddress, getAddress } from "ethers";
import { z } from "zod";
import { MAX_AMOUNT, PARTS_PER_MILLION } from "#sdk/amount.ts";
import { ExitStatus, SuretyError } from "#sdk/errors.ts";
import { leastUnbondingPeriod, minimumSlash } from "#sdk/pricing.ts";

/** Seconds up to 2^32-1, as the market keeps them. */
const seconds = z
  .number()
  .int()
  .min(0)
  .max(2 ** 32 - 1);
/** Base units; Ignition writes integers that JSON cannot hold as text that ends in `n`. */
const amount = (bits: bigint) =>
  z
    .string()
    .regex(/^\d{1,30}n$/, 'expected base units as text that ends in n, such as "1000n"')
    .transform((text) => BigInt(text.slice(0, -1)))
    .refine((units) => units > 0n && units < 2n ** bits && units <= MAX_AMOUNT, `expected 1 to 2^${bits} - 1`);

const contentHash = z.string().regex(/^0x[0-9a-f]{64}$/, "expected 0x and 64 lower-case hexadecimal digits");

/** Seconds between two drops by one admin where a parameter file does not say: a day. */
const DROP_INTERVAL = 86_400;

const fields = {
  minWindow: seconds.min(1),
  maxWindow: seconds.min(1),
  finalDepth: z.number().int().min(1).max(128),
  drawDelay: seconds,
  bondFixed: amount(96n),
  bondShare: z.number().int().min(0).max(PARTS_PER_MILLION),
  challengeBond: amount(96n),
  minStake: amount(88n),
  activationDelay: seconds,
  unbondingPeriod: z
    .number()
    .int()
    .min(1)
    .max(2 ** 48 - 1),
  slotStake: amount(80n),
  priceFloor: amount(96n),
  fullSlash: z.boolean(),
  resources: contentHash,
  containerResources: contentHash,
  dropInterval: seconds.min(1).default(DROP_INTERVAL),
};
const address = z
  .string()
  .refine((text) => isAddress(text), "expected an address")
  .transform((text) => getAddress(text));

/** A parameter file: Ignition's own form, by the name of the module that takes it. */
const fileSchema = z.union([
  z.strictObject({ Surety: z.strictObject({ ...fields, tokenSupply: amount(96n) }) }),
  z.strictObject({ SuretyOnToken: z.strictObject({ ...fields, token: address }) }),
]);

/** What a deployment fixes for good. Each value is explained in `deploy/README.md`. */
export interface DeployParameters {
  /** Seconds; so are all below that are not said to be something else. */
  minWindow: number;
  maxWindow: number;
  /** Blocks. */
  finalDepth: number;
  drawDelay: number;
  /** Base units; so are all bigints below. */
  bondFixed: bigint;
  /** Parts per million. */
  bondShare: number;
  challengeBond: bigint;
  minStake: bigint;
  activationDelay: number;
  unbondingPeriod: number;
  /** Of the classes `wasm` and `container`; so is the next. */
  slotStake: bigint;
  priceFloor: bigint;
  /** Of the class `wasm`; so is the next. */
  fullSlash: boolean;
  /** Content id, 32 bytes, hexadecimal. */
  resources: string;
  /** The same of the class `container`. */
  containerResources: string;
  /** Least time between two drops by one admin of a job schema. Default: a day. */
  dropInterval: number;
  /** The token to use: one that is there, or a new one with this supply, minted to the deployer. */
  token: { address: string } | { supply: bigint };
}

/**
 * Reads a parameter file and checks that the values fit each other.
 *
 * @param name A file of `deploy/parameters` without its ending, such as `local`, or a path that ends in `.json`.
 * @throws `DEPLOY_PARAMETERS_INVALID` (exit 2)
 *
 * @example
 * ```ts
 * const parameters = await readDeployParameters("local");
 * ```
 */
export async function readDeployParameters(name: string): Promise<DeployParameters> {
  const file = name.endsWith(".json")
    ? name
    : new URL(`./parameters/${encodeURIComponent(name)}.json`, import.meta.url);
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (cause) {
    throw invalid(`${name} cannot be read`, cause);
  }
  return parseDeployParameters(text);
}

/**
 * The same, of a text that was read already.
 *
 * @throws `DEPLOY_PARAMETERS_INVALID` (exit 2)
 */
export function parseDeployParameters(text: string): DeployParameters {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw invalid("they are not JSON", cause);
  }
  const parsed = fileSchema.safeParse(json);
  if (!parsed.success) throw invalid(z.prettifyError(parsed.error), parsed.error);
  const file = parsed.data;
  if ("Surety" in file) {
    const { tokenSupply, ...parameters } = file.Surety;
    return checked({ ...parameters, token: { supply: tokenSupply } });
  }
  const { token, ...parameters } = file.SuretyOnToken;
  return checked({ ...parameters, token: { address: token } });
}

/** What the contracts refuse, and what they could not know to be useless. */
function checked(parameters: DeployParameters): DeployParameters {
  const { minWindow, maxWindow, unbondingPeriod, slotStake, minStake, priceFloor, challengeBond } = parameters;
  if (minWindow > maxWindow) throw invalid(`minWindow is ${minWindow}, more than maxWindow, ${maxWindow}`);
  const longest = leastUnbondingPeriod(parameters);
  if (unbondingPeriod < longest) {
    throw invalid(`unbondingPeriod is ${unbondingPeriod} s, the longest dispute takes ${longest} s`);
  }
  const least = minimumSlash({
    price: priceFloor,
    verifierPrice: priceFloor,
    rate: 30_000,
    guess: 0,
    quorum: 3,
    challengeBond,
  });
  if (slotStake < least) {
    throw invalid(`slotStake is ${slotStake}, and even the cheapest job at 3 % needs a slash of ${least}`);
  }
  if ("supply" in parameters.token && parameters.token.supply < minStake + slotStake) {
    throw invalid("the token's supply does not make one node");
  }
  return parameters;
}

function invalid(flaw: string, cause?: unknown): SuretyError {
  return new SuretyError("DEPLOY_PARAMETERS_INVALID", `the deployment's parameters are invalid: ${flaw}`, {
    details: { flaw },
    fix: "Start from deploy/parameters/local.json; deploy/README.md explains each value.",
    exit: ExitStatus.badInput,
    cause,
  });
}
