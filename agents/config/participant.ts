import { isHexString } from "ethers";
import { z } from "zod";
import type { Role } from "#sdk/request-terms.ts";
import { executorSchema, type ExecutorConfig } from "./executor.ts";
import { address } from "./key.ts";
import { tokens, whole } from "./value.ts";

/** Which evaluated jobs to take part in, and as what. */
export interface ParticipantJob {
  /** Id of the schema, 32 bytes, hexadecimal. */
  schema?: string;
  /** Any schema that this account registers, EIP-55; instead of `schema`. */
  registrant?: string;
  /** What to be in it. */
  roles: Role[];
  /** Whom to ask for these roles, EIP-55. Defaults to the schema's registrant. */
  parent?: string;
  /**
   * Least that taking part must pay, tokens in decimals: a worker's equal part of the pot, the evaluator's reward.
   * Defaults to 0.
   */
  minReward: string;
}

/** What a participant in evaluated jobs is told beside what every agent is. */
export interface ParticipantSettings {
  /** At most 256. Defaults to none. */
  jobs: ParticipantJob[];
  /** An admin's: whether to approve those that show what they can do. Defaults to `qualified`. */
  approve: "qualified" | "never";
  /** A worker's: whether to challenge a ranking that leaves out its own valid result. Defaults to `own`. */
  challenge: "own" | "never";
  /** What to keep free in the vault for deposits and fees, tokens in decimals. Defaults to 0. */
  funds: string;
  /** A worker's: requests that it has accepted and not committed to, at most 1,000. Defaults to 8. */
  maxRequests: number;
  /** Disk for inputs and results of requests under way, MiB, 1 to 16,777,216. Defaults to 1024. */
  reserve: number;
  /** How long to keep what belongs to a request after it has ended, days, 0 to 3650. Defaults to 7. */
  keepDays: number;
  /** Programs that run at once, 1 to 256. Defaults to 1. */
  workers: number;
  /** What runs programs. Default: the metered WebAssembly sandbox. */
  executor?: ExecutorConfig;
}

const schemaId = z
  .string()
  .refine((id) => isHexString(id, 32), { error: "expected 0x and 64 hexadecimal digits" })
  .transform((id) => id.toLowerCase());

const job = z
  .strictObject({
    schema: schemaId.optional(),
    registrant: address.optional(),
    roles: z
      .array(z.enum(["admin", "evaluator", "worker"] satisfies Role[]))
      .min(1)
      .max(3)
      .refine((roles) => new Set(roles).size === roles.length, { error: "expected each role once" }),
    parent: address.optional(),
    minReward: tokens.default("0"),
  })
  .refine(({ schema, registrant }) => (schema === undefined) !== (registrant === undefined), {
    error: "expected either schema or registrant",
  });

/** The schema of {@link ParticipantSettings}, to be composed with what every agent is told. */
export const participantShape = {
  jobs: z.array(job).max(256).default([]),
  approve: z.enum(["qualified", "never"]).default("qualified"),
  challenge: z.enum(["own", "never"]).default("own"),
  funds: tokens.default("0"),
  maxRequests: whole(1, 1000).default(8),
  reserve: whole(1, 2 ** 24).default(1024),
  keepDays: whole(0, 3650).default(7),
  workers: whole(1, 256).default(1),
  executor: executorSchema.optional(),
};
