import { readFile } from "node:fs/promises";
import { z } from "zod";
import { ExitStatus, SuretyError } from "#sdk/errors.ts";

/** How a node of a devnet behaves. */
export type NodeKind = "honest" | "lying" | "lazy";

/** What a participant of a devnet does in evaluated jobs. */
export type ParticipantRole = "evaluator" | "worker";

/** An account of a devnet and what belongs to it. Paths are absolute. */
export interface DevnetAccount {
  address: string;
  /** Its private key. The money is worth nothing. */
  key: string;
  /** Its agent's folder. */
  home: string;
  /** Its agent's configuration. */
  config: string;
}

/** What a devnet writes to `<home>/devnet.json`, for programs. */
export interface DevnetFile {
  version: 1;
  /** Address of the chain's JSON-RPC. */
  rpc: string;
  chainId: number;
  /** Path of the deployment's address book. */
  deployment: string;
  /** Address of the storage gateway. */
  gateway: string;
  /** Bearer token for uploads to it. */
  token: string;
  keys: {
    deployer: { address: string; key: string };
    requester: DevnetAccount;
    nodes: (DevnetAccount & { kind: NodeKind })[];
    /** Registers job schemas, approves who applies for them, and requests: for whoever sits at the console. */
    registrant: DevnetAccount;
    /** Take part in the jobs that the registrant registers. */
    participants: (DevnetAccount & { role: ParticipantRole })[];
  };
  /** Processes: of the devnet itself (chain and gateway), of the requester's agent, of nodes and participants in their order. */
  pids: { devnet: number; requester: number; nodes: number[]; participants: number[] };
}

/** What to call a devnet's accounts: all that were given tokens, so that what they have adds up to all there are. */
export function accountNames({ keys }: DevnetFile): Map<string, string> {
  return new Map([
    [keys.deployer.address, "deployer"],
    [keys.requester.address, "requester"],
    [keys.registrant.address, "registrant"],
    ...keys.nodes.map(({ address, kind }, index): [string, string] => [
      address,
      kind === "honest" ? `node ${index + 1}` : `node ${index + 1} (${kind})`,
    ]),
    ...keys.participants.map(({ address, role }, index): [string, string] => [address, `${role} ${index + 1}`]),
  ]);
}

const account = z.object({ address: z.string(), key: z.string(), home: z.string(), config: z.string() });
const schema = z.object({
  version: z.literal(1),
  rpc: z.string(),
  chainId: z.number(),
  deployment: z.string(),
  gateway: z.string(),
  token: z.string(),
  keys: z.object({
    deployer: z.object({ address: z.string(), key: z.string() }),
    requester: account,
    nodes: z.array(account.extend({ kind: z.enum(["honest", "lying", "lazy"]) })),
    registrant: account,
    participants: z.array(account.extend({ role: z.enum(["evaluator", "worker"]) })),
  }),
  pids: z.object({
    devnet: z.number(),
    requester: z.number(),
    nodes: z.array(z.number()),
    participants: z.array(z.number()),
  }),
});

/**
 * Reads what a devnet wrote.
 *
 * @throws SuretyError `DEVNET_UNREADABLE` (exit 2)
 */
export async function readDevnetFile(path: string): Promise<DevnetFile> {
  try {
    return schema.parse(JSON.parse(await readFile(path, "utf8")));
  } catch (cause) {
    const reason = cause instanceof z.ZodError ? "it is not what a devnet writes" : (cause as Error).message;
    throw new SuretyError("DEVNET_UNREADABLE", `${path} cannot be read: ${reason}`, {
      details: { path },
      fix: "Start one with surety devnet, and name its devnet.json.",
      cause,
      exit: ExitStatus.badInput,
    });
  }
}
