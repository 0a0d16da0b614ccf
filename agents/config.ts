import { readFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { isHexString } from "ethers";
import { parse as parseYaml } from "yaml";
import { z } from "zod";
import { PARTS_PER_MILLION } from "#sdk/amount.ts";
import { ExitStatus, SuretyError } from "#sdk/errors.ts";
import { address, keySchema, keyWithPaths, type KeySource } from "./config/key.ts";
import { chainSchema, withEndpoints, type ChainConfig } from "./config/chain.ts";
import { executorSchema, type ExecutorConfig } from "./config/executor.ts";
import { participantShape, type ParticipantSettings } from "./config/participant.ts";
import { monitoringSchema, type MonitoringConfig } from "./config/monitoring.ts";
import { serviceSchema, serviceWithPaths, type ServiceConfig } from "./config/service.ts";
import { httpUrl, text, tokens, whole } from "./config/value.ts";

/** Most bytes of a configuration file. */
const MAX_CONFIG_BYTES = 64 * 1024;

/** Where an agent keeps and finds content. */
export type StorageConfig =
  | {
      /** Blocks in the agent's own home, fetched from trustless gateways. */
      kind: "embedded";
      /** Addresses of gateways, in order of preference. */
      gateways: string[];
      /** Gateway that what the agent adds is uploaded to. */
      publishTo?: string;
      /** Bearer token for uploads. */
      token?: string;
    }
  | {
      /** A Kubo (IPFS) node. */
      kind: "kubo";
      /** Address of its RPC. */
      url: string;
    };

/** How much an agent tells; see pino. */
export type LogLevel = "trace" | "debug" | "info" | "warn" | "error" | "silent";

/** A JSON object a line for programs, or lines for people. */
export type LogFormat = "json" | "pretty";

/** What every agent is told. Paths are absolute once read from a file. */
export interface AgentConfig {
  /** The agent's folder: journal, blocks, results. Made if missing. */
  home: string;
  /** HTTP(S) endpoints of the chain, in order of preference. */
  rpc: string[];
  /** Finality, fees and money for gas. `rpc` may stand in it too. */
  chain?: ChainConfig;
  /** The deployment's address book: path of its JSON file, or its content. */
  deployment: string | Record<string, unknown>;
  key: KeySource;
  storage: StorageConfig;
  /** How often to look for new blocks, milliseconds, 50 to 60,000. Defaults to 500. */
  pollMs: number;
  /** Defaults to `info`. */
  logLevel: LogLevel;
  /** Default: `pretty` if standard output is a terminal, else `json`. */
  logFormat?: LogFormat;
  /**
   * How long an agent that was asked to end may take to finish what it has begun, seconds, 0 to 86,400. Defaults to 30.
   * What is not finished by then is left for the next start.
   */
  drainSeconds: number;
  /** Default: it tells nobody. */
  monitoring?: MonitoringConfig;
}

/** What a compute node is told. */
export interface ComputeConfig extends AgentConfig {
  /** Id of the class of hosts it offers, 32 bytes hexadecimal. */
  class: string;
  /** Places in the class's pool to hold, 1 to 1000. Defaults to 1. */
  slots: number;
  /** What to keep at stake, tokens in decimals. */
  stake: string;
  /** Tasks run at once, 1 to 256. Defaults to 1. */
  workers: number;
  /** Assignments worked on at once, 1 to 1000. Defaults to 1. */
  maxAssignments: number;
  /** How long to keep what was delivered after its batch has ended, days, 0 to 3650. Defaults to 7. */
  keepDays: number;
  /** Least price of a task to take it, tokens in decimals. Defaults to 0: whatever the class's floor allows. */
  minPrice: string;
  /** What runs tasks. Default: the metered WebAssembly sandbox. */
  executor?: ExecutorConfig;
  /**
   * Who is to own what the node has at stake and is paid, EIP-55. The node entrusts its accounts to it, once, and leaves
   * stake and places in the pool to it. Default: nobody but the node.
   */
  owner?: string;
}

/** What a participant in evaluated jobs is told. */
export interface ParticipantConfig extends AgentConfig, ParticipantSettings {}

/** What is told to whom a node has entrusted its accounts. */
export type OwnerConfig = Pick<AgentConfig, "home" | "rpc" | "chain" | "deployment" | "key" | "pollMs"> &
  Pick<ComputeConfig, "class">;

/** What a requester is told. */
export interface RequesterConfig extends AgentConfig {
  /** Share of each batch to replace by tasks whose result is known, parts per million, up to a half. Defaults to 0. */
  plantShare: number;
  /** How long to ask for content that nobody serves before it counts as withheld, seconds, 1 to 86,400. Defaults to 60. */
  fetchPatience: number;
  /** Where decrypted outputs go. Defaults to `results` in the home. */
  resultsFolder?: string;
  /** What runs planted tasks and those of disputes. Default: the metered WebAssembly sandbox. */
  executor?: ExecutorConfig;
  /** Default: it serves nobody. */
  service?: ServiceConfig;
}

const storage = z.discriminatedUnion(
  "kind",
  [
    z.strictObject({
      kind: z.literal("embedded"),
      gateways: z.array(httpUrl).default([]),
      publishTo: httpUrl.optional(),
      token: text.optional(),
    }),
    z.strictObject({ kind: z.literal("kubo"), url: httpUrl }),
  ],
  { error: "expected kind: embedded with gateways, or kind: kubo with url" },
);

const classId = z.string().refine((id) => isHexString(id, 32), { error: "expected 0x and 64 hexadecimal digits" });

const agentShape = {
  home: text,
  rpc: z.array(httpUrl).min(1).optional(),
  chain: chainSchema.optional(),
  deployment: z.union([text, z.record(z.string(), z.unknown())], { error: "expected the path of an address book" }),
  key: keySchema,
  storage,
  pollMs: whole(50, 60_000).default(500),
  logLevel: z.enum(["trace", "debug", "info", "warn", "error", "silent"]).default("info"),
  logFormat: z.enum(["json", "pretty"]).optional(),
  drainSeconds: whole(0, 86_400).default(30),
  monitoring: monitoringSchema.optional(),
};

/** The schema of {@link ComputeConfig}. Strict: unknown keys are refused. */
export const computeConfigSchema = z
  .strictObject({
    ...agentShape,
    class: classId,
    slots: whole(1, 1000).default(1),
    stake: tokens,
    workers: whole(1, 256).default(1),
    maxAssignments: whole(1, 1000).default(1),
    keepDays: whole(0, 3650).default(7),
    minPrice: tokens.default("0"),
    executor: executorSchema.optional(),
    owner: address.optional(),
  })
  .transform(withEndpoints);

const { home, rpc, chain, deployment, pollMs } = agentShape;
/** The schema of {@link OwnerConfig}. Strict: unknown keys are refused. */
export const ownerConfigSchema = z
  .strictObject({ home, rpc, chain, deployment, key: keySchema, pollMs, class: classId })
  .transform(withEndpoints);

/** The schema of {@link RequesterConfig}. Strict: unknown keys are refused. */
export const requesterConfigSchema = z
  .strictObject({
    ...agentShape,
    plantShare: whole(0, PARTS_PER_MILLION / 2).default(0),
    fetchPatience: whole(1, 86_400).default(60),
    resultsFolder: text.optional(),
    executor: executorSchema.optional(),
    service: serviceSchema.optional(),
  })
  .transform(withEndpoints);

/** The schema of {@link ParticipantConfig}. Strict: unknown keys are refused. */
export const participantConfigSchema = z.strictObject({ ...agentShape, ...participantShape }).transform(withEndpoints);

/**
 * Reads the configuration of a compute node, YAML or JSON. Relative paths in it count from the file's folder.
 *
 * @throws SuretyError `CONFIG_INVALID` (exit 2) with every problem there is.
 */
export async function readComputeConfig(path: string): Promise<ComputeConfig> {
  return withPaths(check(computeConfigSchema, await readConfigFile(path), path), dirname(resolve(path)));
}

/**
 * Reads the configuration of a node's owner, YAML or JSON. Relative paths in it count from the file's folder.
 *
 * @throws SuretyError `CONFIG_INVALID` (exit 2) with every problem there is.
 */
export async function readOwnerConfig(path: string): Promise<OwnerConfig> {
  return withPaths(check(ownerConfigSchema, await readConfigFile(path), path), dirname(resolve(path)));
}

/**
 * Reads the configuration of a requester, YAML or JSON. Relative paths in it count from the file's folder.
 *
 * @throws SuretyError `CONFIG_INVALID` (exit 2) with every problem there is.
 */
export async function readRequesterConfig(path: string): Promise<RequesterConfig> {
  const folder = dirname(resolve(path));
  const config = withPaths(check(requesterConfigSchema, await readConfigFile(path), path), folder);
  const { resultsFolder, service } = config;
  return {
    ...config,
    ...(resultsFolder === undefined ? {} : { resultsFolder: resolve(folder, resultsFolder) }),
    ...(service ? { service: serviceWithPaths(service, folder) } : {}),
  };
}

/**
 * Reads the configuration of a participant, YAML or JSON. Relative paths in it count from the file's folder.
 *
 * @throws SuretyError `CONFIG_INVALID` (exit 2) with every problem there is.
 */
export async function readParticipantConfig(path: string): Promise<ParticipantConfig> {
  return withPaths(check(participantConfigSchema, await readConfigFile(path), path), dirname(resolve(path)));
}

/**
 * Reads what the configurations of all agents have in common, for commands that only look: a compute node's names what
 * it has at stake, a participant's its jobs, a requester's neither.
 *
 * @throws SuretyError `CONFIG_INVALID` (exit 2) with every problem there is.
 */
export async function readAgentConfig(path: string): Promise<AgentConfig> {
  const content = await readConfigFile(path);
  const names = (key: string): boolean => typeof content === "object" && content !== null && key in content;
  const schema: z.ZodType<AgentConfig> = names("stake")
    ? computeConfigSchema
    : names("jobs")
      ? participantConfigSchema
      : requesterConfigSchema;
  const config: AgentConfig = check(schema, content, path);
  return withPaths(config, dirname(resolve(path)));
}

/**
 * Checks a configuration that was made by a program; paths are left as they are.
 *
 * @throws SuretyError `CONFIG_INVALID` (exit 2) with every problem there is.
 */
export function checkComputeConfig(value: unknown): ComputeConfig {
  return check(computeConfigSchema, value, "the configuration");
}

/** As {@link checkComputeConfig}, for a requester. */
export function checkRequesterConfig(value: unknown): RequesterConfig {
  return check(requesterConfigSchema, value, "the configuration");
}

/** As {@link checkComputeConfig}, for a participant. */
export function checkParticipantConfig(value: unknown): ParticipantConfig {
  return check(participantConfigSchema, value, "the configuration");
}

async function readConfigFile(path: string): Promise<unknown> {
  let content: string;
  try {
    content = await readFile(path, "utf8");
  } catch (cause) {
    throw invalid(path, [`cannot be read: ${(cause as Error).message}`], cause);
  }
  if (Buffer.byteLength(content) > MAX_CONFIG_BYTES) throw invalid(path, [`has more than ${MAX_CONFIG_BYTES} bytes`]);
  try {
    if (path.endsWith(".json")) return JSON.parse(content) as unknown;
    // Scalars as text: to YAML a key or an id without quotes is a number.
    return parseYaml(content, { schema: "failsafe", maxAliasCount: 20 }) as unknown;
  } catch (cause) {
    throw invalid(path, [`is neither YAML nor JSON: ${(cause as Error).message.split("\n")[0]}`], cause);
  }
}

function check<T extends z.ZodType>(schema: T, value: unknown, name: string): z.output<T> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map((issue) => {
    const path = issue.path.map(String).join(".");
    return path === "" ? issue.message : `${path}: ${issue.message}`;
  });
  throw invalid(name, problems, parsed.error);
}

function withPaths<T extends Pick<AgentConfig, "home" | "deployment" | "key">>(config: T, folder: string): T {
  const deployment = typeof config.deployment === "string" ? resolve(folder, config.deployment) : config.deployment;
  return { ...config, home: resolve(folder, config.home), deployment, key: keyWithPaths(config.key, folder) };
}

function invalid(name: string, problems: readonly string[], cause?: unknown): SuretyError {
  return new SuretyError("CONFIG_INVALID", problems.map((problem) => `${name}: ${problem}`).join("\n"), {
    details: { problems: problems.length },
    fix: "Correct the configuration; nothing was done.",
    cause,
    exit: ExitStatus.badInput,
  });
}
