import { readFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { isHexString } from "ethers";
import { parse as parseYaml } from "yaml";
import { z } from "zod";
import { parseAmount, PARTS_PER_MILLION } from "#sdk/amount.ts";
import { ExitStatus, SuretyError } from "#sdk/errors.ts";

/** Most bytes of a configuration file. */
const MAX_CONFIG_BYTES = 64 * 1024;

/** Where an agent's private key is. */
export type KeySource =
  | {
      /** Name of an environment variable. */
      env: string;
    }
  | {
      /** A file that only the agent should be able to read. */
      file: string;
    }
  | {
      /** The key itself: for local chains only. */
      hex: string;
    };

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

/** What every agent is told. Paths are absolute once read from a file. */
export interface AgentConfig {
  /** The agent's folder: journal, blocks, results. Made if missing. */
  home: string;
  /** HTTP(S) endpoints of the chain, in order of preference. */
  rpc: string[];
  /** The deployment's address book: path of its JSON file, or its content. */
  deployment: string | Record<string, unknown>;
  key: KeySource;
  storage: StorageConfig;
  /** How often to look for new blocks, milliseconds, 50 to 60,000. Defaults to 500. */
  pollMs: number;
  /** Defaults to `info`. */
  logLevel: LogLevel;
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
  /** Least price of a task to take it, tokens in decimals. Defaults to 0: whatever the class's floor allows. */
  minPrice: string;
}

/** What a requester is told. */
export interface RequesterConfig extends AgentConfig {
  /** Share of each batch to replace by tasks whose result is known, parts per million, up to a half. Defaults to 0. */
  plantShare: number;
  /** How long to ask for content that nobody serves before it counts as withheld, seconds, 1 to 86,400. Defaults to 60. */
  fetchPatience: number;
  /** Where decrypted outputs go. Defaults to `results` in the home. */
  resultsFolder?: string;
}

const text = z.string().min(1).max(4096);
const httpUrl = z.string().refine((url) => URL.canParse(url) && /^https?:/.test(url), {
  error: "expected an address such as http://127.0.0.1:8545",
});

/** YAML and people write numbers either way. */
const whole = (least: number, most: number) =>
  z
    .union([z.number(), z.string().regex(/^\d{1,16}$/)], { error: `expected a whole number from ${least} to ${most}` })
    .transform(Number)
    .pipe(z.int().min(least).max(most));

const tokens = z
  .union([z.string(), z.number()])
  .transform(String)
  .refine((amount) => isAmount(amount), { error: "expected an amount of tokens in decimals, such as 250.5" });

const key = z.union(
  [
    z.strictObject({ env: text }),
    z.strictObject({ file: text }),
    z.strictObject({ hex: text.refine(isKey, { error: "not a key" }) }),
  ],
  // Nothing of the value is shown: it may be the key.
  { error: "expected one of env (a variable), file (a path) and hex (32 bytes, 0x…)" },
);

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

const agentShape = {
  home: text,
  rpc: z.array(httpUrl).min(1),
  deployment: z.union([text, z.record(z.string(), z.unknown())], { error: "expected the path of an address book" }),
  key,
  storage,
  pollMs: whole(50, 60_000).default(500),
  logLevel: z.enum(["trace", "debug", "info", "warn", "error", "silent"]).default("info"),
};

/** The schema of {@link ComputeConfig}. Strict: unknown keys are refused. */
export const computeConfigSchema = z.strictObject({
  ...agentShape,
  class: z.string().refine((id) => isHexString(id, 32), { error: "expected 0x and 64 hexadecimal digits" }),
  slots: whole(1, 1000).default(1),
  stake: tokens,
  workers: whole(1, 256).default(1),
  maxAssignments: whole(1, 1000).default(1),
  minPrice: tokens.default("0"),
});

/** The schema of {@link RequesterConfig}. Strict: unknown keys are refused. */
export const requesterConfigSchema = z.strictObject({
  ...agentShape,
  plantShare: whole(0, PARTS_PER_MILLION / 2).default(0),
  fetchPatience: whole(1, 86_400).default(60),
  resultsFolder: text.optional(),
});

/**
 * Reads the configuration of a compute node, YAML or JSON. Relative paths in it count from the file's folder.
 *
 * @throws SuretyError `CONFIG_INVALID` (exit 2) with every problem there is.
 */
export async function readComputeConfig(path: string): Promise<ComputeConfig> {
  return withPaths(check(computeConfigSchema, await readConfigFile(path), path), dirname(resolve(path)));
}

/**
 * Reads the configuration of a requester, YAML or JSON. Relative paths in it count from the file's folder.
 *
 * @throws SuretyError `CONFIG_INVALID` (exit 2) with every problem there is.
 */
export async function readRequesterConfig(path: string): Promise<RequesterConfig> {
  const folder = dirname(resolve(path));
  const config = withPaths(check(requesterConfigSchema, await readConfigFile(path), path), folder);
  return config.resultsFolder === undefined
    ? config
    : { ...config, resultsFolder: resolve(folder, config.resultsFolder) };
}

/**
 * Reads what the configurations of all agents have in common, for commands that only look: a compute node's names what
 * it has at stake, a requester's does not.
 *
 * @throws SuretyError `CONFIG_INVALID` (exit 2) with every problem there is.
 */
export async function readAgentConfig(path: string): Promise<AgentConfig> {
  const content = await readConfigFile(path);
  const isCompute = typeof content === "object" && content !== null && "stake" in content;
  const config: AgentConfig = check<z.ZodType<AgentConfig>>(
    isCompute ? computeConfigSchema : requesterConfigSchema,
    content,
    path,
  );
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

/**
 * The private key that a configuration points at, `0x` and 64 hexadecimal digits.
 *
 * @param environment Where variables are looked up.
 * @throws SuretyError `KEY_UNREADABLE` (exit 2) if it is not there or no key; its message never shows the value.
 */
export async function readKey(source: KeySource, environment: NodeJS.ProcessEnv = process.env): Promise<string> {
  const place =
    "env" in source ? `the variable ${source.env}` : "file" in source ? `the file ${source.file}` : "the configuration";
  let value: string | undefined;
  let cause: unknown;
  if ("env" in source) value = environment[source.env];
  else if ("hex" in source) value = source.hex;
  else value = await readFile(source.file, "utf8").catch((error: unknown) => void (cause = error));
  const digits = value?.trim().replace(/^0x/i, "").toLowerCase();
  const found = digits === undefined ? undefined : `0x${digits}`;
  if (found !== undefined && isKey(found)) return found;
  const reason = value === undefined ? "cannot be read" : "does not hold a private key";
  throw new SuretyError("KEY_UNREADABLE", `${place} ${reason}`, {
    details: { place },
    fix: "Put a private key there: 0x and 64 hexadecimal digits.",
    cause,
    exit: ExitStatus.badInput,
  });
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

function withPaths<T extends AgentConfig>(config: T, folder: string): T {
  const deployment = typeof config.deployment === "string" ? resolve(folder, config.deployment) : config.deployment;
  const source = "file" in config.key ? { file: resolve(folder, config.key.file) } : config.key;
  return { ...config, home: resolve(folder, config.home), deployment, key: source };
}

function invalid(name: string, problems: readonly string[], cause?: unknown): SuretyError {
  return new SuretyError("CONFIG_INVALID", problems.map((problem) => `${name}: ${problem}`).join("\n"), {
    details: { problems: problems.length },
    fix: "Correct the configuration; nothing was done.",
    cause,
    exit: ExitStatus.badInput,
  });
}

function isKey(value: string): boolean {
  return isHexString(value, 32) && BigInt(value) !== 0n;
}

function isAmount(amount: string): boolean {
  try {
    parseAmount(amount, 18);
    return true;
  } catch {
    return false;
  }
}
