import { randomBytes } from "node:crypto";
import { mkdir, open, readFile, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { z } from "zod";
import { ExitStatus, SuretyError } from "#sdk/errors.ts";
import type { RequesterConfig } from "../config.ts";
import { tokens, whole } from "../config/value.ts";
import { takeLock } from "../journal/lock.ts";

/** Somebody that a requester works for. */
export interface Client {
  /** Names its jobs in the journal, for ever: 1 to 64 letters, digits, dots, hyphens and underscores. */
  name: string;
  /** SHA-256 of its token, 64 hexadecimal digits. */
  tokenSha256: string;
  budget: {
    /** Tokens in decimals. */
    amount: string;
    /** `total`: once and for all. `day`: anew each day, midnight to midnight UTC. */
    per: "total" | "day";
  };
  /** Jobs that may be open at once, 1 to 10,000. */
  maxJobs: number;
}

const MAX_FILE_BYTES = 4 * 2 ** 20;

/** The schema of {@link Client}. */
export const clientSchema = z.strictObject({
  name: z.string().regex(/^[A-Za-z0-9._-]{1,64}$/, {
    error: "expected a name of 1 to 64 letters, digits, dots, hyphens and underscores",
  }),
  tokenSha256: z.string().regex(/^[0-9a-f]{64}$/, { error: "expected 64 hexadecimal digits" }),
  budget: z.strictObject({ amount: tokens, per: z.enum(["total", "day"]).default("total") }),
  maxJobs: whole(1, 10_000).default(16),
});

const fileSchema = z.strictObject({
  clients: z
    .array(clientSchema)
    .refine((clients) => isDistinct(clients.map(({ name }) => name)), { error: "two clients have one name" })
    .refine((clients) => isDistinct(clients.map(({ tokenSha256 }) => tokenSha256)), {
      error: "two clients have one token",
    }),
});

function isDistinct(values: readonly string[]): boolean {
  return new Set(values).size === values.length;
}

/** Where a requester's clients stand. */
export function clientsFile({ home, service }: Pick<RequesterConfig, "home" | "service">): string {
  return service?.clients ?? join(home, "service-clients.json");
}

/**
 * Reads who may call; nobody if there is no such file.
 *
 * @throws SuretyError `CLIENTS_INVALID` (exit 2)
 */
export async function readClients(path: string): Promise<Client[]> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw invalid(path, `cannot be read: ${(cause as Error).message}`, cause);
  }
  if (text.length > MAX_FILE_BYTES) throw invalid(path, `has more than ${MAX_FILE_BYTES} bytes`);
  let content: unknown;
  try {
    content = JSON.parse(text);
  } catch (cause) {
    throw invalid(path, "is no JSON", cause);
  }
  const parsed = fileSchema.safeParse(content);
  if (parsed.success) return parsed.data.clients;
  throw invalid(path, z.prettifyError(parsed.error), parsed.error);
}

/**
 * Lets somebody call.
 *
 * @throws SuretyError `CLIENT_EXISTS` (exit 2), `CLIENTS_INVALID` (exit 2), `JOURNAL_LOCKED` (exit 5) while another process
 * changes the file
 */
export async function addClient(path: string, client: Client): Promise<void> {
  const parsed = clientSchema.safeParse(client);
  if (!parsed.success) throw invalid(path, z.prettifyError(parsed.error), parsed.error);
  await change(path, (clients) => {
    if (clients.some(({ name }) => name === client.name)) {
      throw new SuretyError("CLIENT_EXISTS", `there is a client ${client.name}`, {
        details: { name: client.name },
        fix: "To give it another token, revoke the one it has first; its jobs and what it has spent stay with its name.",
        exit: ExitStatus.badInput,
      });
    }
    return [...clients, parsed.data];
  });
}

/**
 * Lets somebody call no longer. Its jobs go on.
 *
 * @throws SuretyError `CLIENT_UNKNOWN` (exit 2), and as {@link addClient}
 */
export async function removeClient(path: string, name: string): Promise<void> {
  await change(path, (clients) => {
    const others = clients.filter((client) => client.name !== name);
    if (others.length < clients.length) return others;
    throw new SuretyError("CLIENT_UNKNOWN", `there is no client ${JSON.stringify(name.slice(0, 64))}`, {
      fix: "See surety service token list for those there are.",
      exit: ExitStatus.badInput,
    });
  });
}

/** One at a time, whole or not at all. */
async function change(path: string, work: (clients: Client[]) => Client[]): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const lock = takeLock(`${path}.lock`, `the clients in ${path}`);
  const temporary = `${path}.${process.pid}-${randomBytes(4).toString("hex")}.tmp`;
  try {
    const clients = work(await readClients(path));
    const file = await open(temporary, "wx", 0o600);
    try {
      await file.writeFile(`${JSON.stringify({ clients }, null, 2)}\n`);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  } finally {
    lock.release();
  }
}

function invalid(path: string, reason: string, cause?: unknown): SuretyError {
  return new SuretyError("CLIENTS_INVALID", `the clients in ${path}: ${reason}`, {
    details: { path },
    fix: "Correct the file, or write it with surety service token.",
    cause,
    exit: ExitStatus.badInput,
  });
}
