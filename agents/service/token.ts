import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import { readFile, stat } from "node:fs/promises";
import { ExitStatus, SuretyError } from "#sdk/errors.ts";
import type { Logger } from "../logger.ts";
import { readClients, type Client } from "./clients.ts";

/** Tells people and scanners of leaked secrets what it is. */
const PREFIX = "surety_";
const SHORTEST = 16;

/** A token that nobody can guess: 256 bits of chance. */
export function newToken(): string {
  return `${PREFIX}${randomBytes(32).toString("base64url")}`;
}

/** What a service keeps of a token: its SHA-256, hexadecimal. Enough for a token that nobody can guess. */
export function tokenHash(token: string): string {
  return createHash("sha256").update(token).digest("hex");
}

/**
 * Reads a file that holds a token, and nothing else.
 *
 * @throws SuretyError `TOKEN_UNREADABLE` (exit 2); its message never shows the token
 */
export async function readToken(path: string): Promise<string> {
  let cause: unknown;
  const text = await readFile(path, "utf8").catch((error: unknown) => void (cause = error));
  const token = text?.trim() ?? "";
  if (token.length >= SHORTEST && /^[\x21-\x7e]+$/.test(token)) return token;
  const reason =
    text === undefined ? "cannot be read" : `does not hold a token of ${SHORTEST} or more characters without spaces`;
  throw new SuretyError("TOKEN_UNREADABLE", `the file ${path} ${reason}`, {
    details: { path },
    fix: "Ask the requester's operator for one: surety service token add makes it.",
    cause,
    exit: ExitStatus.badInput,
  });
}

/** Tells clients by their tokens. */
export class Doorkeeper {
  readonly #path: string;
  readonly #logger: Logger;
  #clients: readonly { client: Client; hash: Buffer }[] = [];
  /** What the file was when it was read. */
  #version: string | undefined;

  private constructor(path: string, logger: Logger) {
    this.#path = path;
    this.#logger = logger;
  }

  /**
   * @param path File of the clients, which is read again whenever it has changed.
   * @throws SuretyError `CLIENTS_INVALID` (exit 2)
   */
  static async open(path: string, { logger }: { logger: Logger }): Promise<Doorkeeper> {
    const keeper = new Doorkeeper(path, logger);
    await keeper.#read(await versionOf(path));
    return keeper;
  }

  /** How many may call. */
  get size(): number {
    return this.#clients.length;
  }

  /**
   * Whose call it is, by its `authorization`. It takes as long for a wrong token as for any right one.
   *
   * @throws SuretyError `TOKEN_WRONG`
   */
  async admit(authorization: string | undefined): Promise<Client> {
    await this.#refresh();
    const [, token = ""] = /^Bearer +(\S{1,512})$/i.exec(authorization ?? "") ?? [];
    const hash = Buffer.from(tokenHash(token), "hex");
    let found: Client | undefined;
    for (const known of this.#clients) if (timingSafeEqual(known.hash, hash)) found = known.client;
    if (found) return found;
    const reason = authorization === undefined ? "carries no token" : "carries a token that this service does not know";
    throw new SuretyError("TOKEN_WRONG", `the call ${reason}`, {
      fix: "Send `authorization: Bearer <token>` with the token that the requester's operator gave you.",
      exit: ExitStatus.badInput,
    });
  }

  /** Those that were known last may call while the file cannot be read: half an edit must not lock everybody out. */
  async #refresh(): Promise<void> {
    const version = await versionOf(this.#path);
    if (version === this.#version) return;
    try {
      await this.#read(version);
      this.#logger.info({ clients: this.#clients.length }, "read the clients again");
    } catch (error) {
      this.#version = version;
      this.#logger.error({ error }, "the file of clients is wrong, keeps those it had");
    }
  }

  async #read(version: string | undefined): Promise<void> {
    const clients = await readClients(this.#path);
    this.#clients = clients.map((client) => ({ client, hash: Buffer.from(client.tokenSha256, "hex") }));
    this.#version = version;
  }
}

/** Tells one state of a file from another. */
async function versionOf(path: string): Promise<string> {
  try {
    const { ino, size, mtimeNs } = await stat(path, { bigint: true });
    return `${ino}:${size}:${mtimeNs}`;
  } catch {
    return "none";
  }
}
