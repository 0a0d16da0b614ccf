import { access } from "node:fs/promises";
import { join, resolve } from "node:path";
import type { Command } from "commander";
import { ExitStatus, SuretyError } from "#sdk/errors.ts";
import { readRequesterConfig, type RequesterConfig } from "../config.ts";
import { readDevnetFile } from "../devnet/devnet-file.ts";
import { lockHolder, takeLock } from "../journal/lock.ts";

/** Where `surety devnet` puts everything unless told otherwise. */
export const DEFAULT_DEVNET_HOME = ".surety/devnet";

const CONFIG_NAMES = ["config.yaml", "config.yml", "config.json"];

/** Which requester a command is about: one of these, or none for the devnet in {@link DEFAULT_DEVNET_HOME}. */
export interface RequesterChoice {
  /** Its home, with its configuration in it. */
  home?: string;
  /** Its configuration. */
  config?: string;
  /** A devnet's `devnet.json`. */
  devnet?: string;
}

/** Adds the options of {@link RequesterChoice} to a command. */
export function withRequesterOptions(command: Command): Command {
  return command
    .option("--config <file>", "the requester's configuration")
    .option("--home <folder>", "the requester's home, if its configuration lies in it")
    .option("--devnet <file>", `devnet.json of a running devnet (default: ${DEFAULT_DEVNET_HOME}/devnet.json)`);
}

/**
 * The configuration of the requester a command is about.
 *
 * @throws SuretyError `REQUESTER_UNKNOWN` (exit 2) if none or several are named, and what reading it throws
 */
export async function findRequester({ home, config, devnet }: RequesterChoice): Promise<RequesterConfig> {
  const named = [home, config, devnet].filter((choice) => choice !== undefined);
  if (named.length > 1) throw unknown("--config, --home and --devnet name different requesters", "Give one of them.");
  if (config !== undefined) return readRequesterConfig(config);
  if (devnet !== undefined) return ofDevnet(devnet);
  if (home !== undefined) return readRequesterConfig(await findConfig(home));
  const usual = join(DEFAULT_DEVNET_HOME, "devnet.json");
  if (await exists(usual)) return ofDevnet(usual);
  throw unknown(
    "no requester was named, and no devnet runs here",
    "Start one with surety devnet, or give --config, --home or --devnet.",
  );
}

/**
 * The configuration in an agent's home.
 *
 * @throws SuretyError `REQUESTER_UNKNOWN` (exit 2) if there is none
 */
export async function findConfig(home: string): Promise<string> {
  for (const name of CONFIG_NAMES) if (await exists(join(home, name))) return join(home, name);
  throw unknown(`${home} has none of ${CONFIG_NAMES.join(", ")}`, "Name the configuration with --config.");
}

/**
 * Whether an agent works in a home now. To be sure the lock is tried, which an agent that starts in that instant would
 * take for another agent: so only where the process that last had it seems to live.
 */
export function agentRuns(home: string): boolean {
  const lock = join(home, "journal.lock");
  const holder = lockHolder(lock);
  if (holder === undefined || !isAlive(holder)) return false;
  try {
    takeLock(lock, `home ${home}`).release();
    return false;
  } catch (error) {
    if (error instanceof SuretyError && error.code === "JOURNAL_LOCKED") return true;
    throw error;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

async function ofDevnet(path: string): Promise<RequesterConfig> {
  const { keys } = await readDevnetFile(resolve(path));
  return readRequesterConfig(keys.requester.config);
}

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

function unknown(message: string, fix: string): SuretyError {
  return new SuretyError("REQUESTER_UNKNOWN", message, { fix, exit: ExitStatus.badInput });
}
