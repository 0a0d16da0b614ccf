import { readdir, readFile } from "node:fs/promises";
import { z } from "zod";
import { ExitStatus, SuretyError } from "#sdk/errors.ts";
import { parseWei } from "#sdk/wei.ts";

/** A chain that the project knows how to deploy to. */
export interface Network {
  /** As its file is called. */
  name: string;
  /** What people call it. */
  title: string;
  /** EIP-155. */
  chainId: number;
  /** Environment variable with the address of its JSON-RPC. */
  rpcEnv: string;
  /** The address if the variable is not set; only of chains on this machine. */
  rpc?: string;
  /** A file of `deploy/parameters` without its ending. */
  parameters: string;
  /** Seconds from block to block. */
  blockSeconds: number;
  /** Blocks that a deployment waits for after each of its transactions. */
  confirmations: number;
  /** Who orders transactions: many producers in turn, or one, which can choose what a draw comes to. */
  producers: "many" | "one";
  /** What agents there are to be told, as their `chain`. */
  finality: { depth: number } | { tag: "finalized" | "safe" };
  fees: { maxFeePerGas: string; maxPriorityFeePerGas?: string };
  /** Where contracts are looked at, and published to by Hardhat. */
  explorer?: string;
}

const wei = z
  .string()
  .refine((text) => parseWei(text) !== undefined, "expected a number and its unit, such as 50 gwei");
const url = z.string().refine((text) => URL.canParse(text), "expected an address");

const networkSchema = z.strictObject({
  name: z.string().regex(/^[a-z][a-z0-9-]{0,62}$/),
  title: z.string().min(1),
  chainId: z.int().min(1),
  rpcEnv: z.string().regex(/^[A-Z][A-Z0-9_]*$/),
  rpc: url.optional(),
  parameters: z.string().min(1),
  blockSeconds: z.number().positive(),
  confirmations: z.int().min(1).max(1_000),
  producers: z.enum(["many", "one"]),
  finality: z.union([
    z.strictObject({ depth: z.int().min(1).max(100_000) }),
    z.strictObject({ tag: z.enum(["finalized", "safe"]) }),
  ]),
  fees: z.strictObject({ maxFeePerGas: wei, maxPriorityFeePerGas: wei.optional() }),
  explorer: url.optional(),
});

const folder = new URL("./networks/", import.meta.url);

/** Names of all networks there are files for. */
export async function networkNames(): Promise<string[]> {
  const files = await readdir(folder);
  return files.flatMap((file) => (file.endsWith(".json") ? [file.slice(0, -".json".length)] : [])).sort();
}

/**
 * Reads what there is to know about a network.
 *
 * @param name A file of `deploy/networks` without its ending.
 * @throws SuretyError `NETWORK_UNKNOWN`, `NETWORK_INVALID` (exit 2)
 *
 * @example
 * ```ts
 * const { chainId } = await readNetwork("sepolia"); // 11155111
 * ```
 */
export async function readNetwork(name: string): Promise<Network> {
  const names = await networkNames();
  if (!names.includes(name)) {
    throw new SuretyError("NETWORK_UNKNOWN", `there is no network ${name}`, {
      details: { actual: name, expected: names.join(", ") },
      fix: `Take one of ${names.join(", ")}, or add a file to deploy/networks.`,
      exit: ExitStatus.badInput,
    });
  }
  const parsed = networkSchema.safeParse(JSON.parse(await readFile(new URL(`${name}.json`, folder), "utf8")));
  if (parsed.success && parsed.data.name === name) return parsed.data;
  const flaw = parsed.success ? `its name is ${parsed.data.name}` : z.prettifyError(parsed.error);
  throw new SuretyError("NETWORK_INVALID", `deploy/networks/${name}.json: ${flaw}`, {
    details: { network: name },
    fix: "Correct the file; docs/networks.md explains each value.",
    exit: ExitStatus.badInput,
  });
}
