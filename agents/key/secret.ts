import { randomBytes } from "node:crypto";
import { access, link, mkdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { ExitStatus, SuretyError } from "#sdk/errors.ts";
import { isPrivateKey } from "../config/key.ts";
import { writeOnce } from "./keystore.ts";

/** In an agent's home; readable for its owner only. */
export const SECRET_FILE = "secret";

/**
 * What an agent's seeds, salts and encryption key derive from, 32 bytes hexadecimal. That is the file `secret` in its
 * home, or, where there is none, its private key, so that who has the key can go on without the home. An agent that does
 * not have its own key gets a file, made at random when it first starts.
 *
 * @param options.privateKey Undefined if another program keeps it.
 * @throws SuretyError `SECRET_INVALID` (exit 2), `SECRET_MISSING` (exit 2) if the home was used with a key that this
 *   agent does not have any more
 */
export async function readSecret(home: string, { privateKey }: { privateKey?: string }): Promise<string> {
  const path = join(home, SECRET_FILE);
  const found = await readSecretFile(path);
  if (found !== undefined) return found;
  if (privateKey !== undefined) return privateKey;
  if (await exists(join(home, "journal.sqlite"))) {
    throw new SuretyError("SECRET_MISSING", `${home} was used with a key that is not at hand any more`, {
      details: { home },
      fix: "Let its open work end with the old key; then give the agent a new home. Or put back the file named secret.",
      exit: ExitStatus.badInput,
    });
  }
  return makeSecret(home, path);
}

/** Two that start at once must end with the same secret, and none may ever read half of one. */
async function makeSecret(home: string, path: string): Promise<string> {
  await mkdir(home, { recursive: true, mode: 0o700 });
  const secret = `0x${randomBytes(32).toString("hex")}`;
  const made = `${path}.${randomBytes(8).toString("hex")}`;
  await writeOnce(made, `${secret}\n`);
  try {
    await link(made, path);
    return secret;
  } catch (error) {
    const other = await readSecretFile(path);
    if (other === undefined) throw error;
    return other;
  } finally {
    await rm(made, { force: true });
  }
}

async function readSecretFile(path: string): Promise<string | undefined> {
  let content: string;
  try {
    content = (await readFile(path, "utf8")).trim();
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw invalid(path, cause);
  }
  if (!isPrivateKey(content)) throw invalid(path);
  return content.toLowerCase();
}

function invalid(path: string, cause?: unknown): SuretyError {
  return new SuretyError("SECRET_INVALID", `${path} does not hold 32 bytes in hexadecimal digits`, {
    details: { path },
    fix: "Put back a copy of it. Without it, what was committed to cannot be opened.",
    cause,
    exit: ExitStatus.badInput,
  });
}

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
