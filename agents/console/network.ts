import { readFile, stat } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { loadDeployment } from "#sdk/deployment.ts";
import { ExitStatus, SuretyError } from "#sdk/errors.ts";
import { readParticipantConfig, type ParticipantConfig } from "../config.ts";
import { readDevnetFile } from "../devnet/devnet-file.ts";

/** Where devnets are by default: `<this>/<name>`. */
const DEVNETS = ".surety";

/** What a console is connected to. */
export interface ConsoleNetwork {
  /** What the prompt says. */
  name: string;
  /** Whose account, and which market. */
  config: ParticipantConfig;
}

/**
 * Finds what a person names: the folder of a devnet or its `devnet.json`; a participant's configuration; an address
 * book, for which the account comes from the console's own configuration; or the name of one of these here, without its
 * ending, or of a devnet in `.surety`.
 *
 * @param own The configuration that the console was started with.
 * @throws SuretyError `CONSOLE_NETWORK_UNKNOWN` (exit 2), and what reading it throws
 */
export async function findNetwork(named: string, own?: ParticipantConfig): Promise<ConsoleNetwork> {
  const candidates = [named, join(DEVNETS, named), `${named}.yaml`, `${named}.yml`, `${named}.json`];
  for (const candidate of candidates) {
    const kind = await kindOf(candidate);
    if (kind === "none") continue;
    const name = basename(named).replace(/\.(?:json|ya?ml)$/, "");
    if (kind === "folder") {
      if ((await kindOf(join(candidate, "devnet.json"))) === "file")
        return ofDevnet(join(candidate, "devnet.json"), name);
      continue;
    }
    if (basename(candidate) === "devnet.json") return ofDevnet(candidate, basename(resolve(candidate, "..")));
    const book = await asAddressBook(candidate);
    if (book === undefined) return { name, config: forConsole(await readParticipantConfig(candidate)) };
    if (own) return { name, config: { ...forConsole(own), deployment: book } };
    throw new SuretyError("CONSOLE_ACCOUNT_MISSING", `${candidate} is an address book, and says of no account`, {
      fix: "Start the console with --config participant.yaml, whose key, endpoints and storage it is to use.",
      exit: ExitStatus.badInput,
    });
  }
  throw new SuretyError("CONSOLE_NETWORK_UNKNOWN", `there is no network ${JSON.stringify(named.slice(0, 200))} here`, {
    details: { looked: candidates.join(", ") },
    fix: `Name a devnet's folder, a participant's configuration or an address book. surety devnet --home ${DEVNETS}/AIN makes a network to connect AIN to.`,
    exit: ExitStatus.badInput,
  });
}

async function ofDevnet(path: string, name: string): Promise<ConsoleNetwork> {
  const { keys } = await readDevnetFile(resolve(path));
  return { name, config: forConsole(await readParticipantConfig(keys.registrant.config)) };
}

/** Who sits at a console neither works nor evaluates there, and waits for nothing when it ends. */
function forConsole(config: ParticipantConfig): ParticipantConfig {
  return { ...config, drainSeconds: 0 };
}

/** What an address book holds; undefined for another file. */
async function asAddressBook(path: string): Promise<Record<string, unknown> | undefined> {
  if (!path.endsWith(".json")) return undefined;
  const text = await readFile(path, "utf8");
  try {
    const value = JSON.parse(text) as Record<string, unknown>;
    if (!("vault" in value)) return undefined;
    loadDeployment(value);
    return value;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

async function kindOf(path: string): Promise<"file" | "folder" | "none"> {
  try {
    return (await stat(path)).isDirectory() ? "folder" : "file";
  } catch {
    return "none";
  }
}
