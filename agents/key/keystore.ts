import { open, readFile } from "node:fs/promises";
import {
  computeAddress,
  decryptKeystoreJson,
  encryptKeystoreJson,
  getAddress,
  isAddress,
  isError,
  isKeystoreJson,
} from "ethers";
import { ExitStatus, SuretyError } from "#sdk/errors.ts";

/** Scrypt's work to open a file, a power of two. The usual one takes about a second and 128 MiB. */
const SCRYPT_N = 2 ** 17;

/**
 * The private key in an encrypted key file (Web3 Secret Storage version 3, as geth, Clef and MetaMask's tools write it).
 *
 * @returns `0x` and 64 hexadecimal digits
 * @throws SuretyError `KEY_UNREADABLE` if the file cannot be read, `KEYSTORE_INVALID` if it is something else,
 *   `KEY_PASSWORD_WRONG` (all exit 2)
 */
export async function openKeystore(path: string, password: string): Promise<string> {
  const json = await readKeystore(path);
  try {
    return (await decryptKeystoreJson(json, password)).privateKey;
  } catch (cause) {
    // The library's message does not hold the password; its stack and its info may.
    if (isError(cause, "INVALID_ARGUMENT") && cause.argument === "password") {
      throw new SuretyError("KEY_PASSWORD_WRONG", `the password does not open ${path}`, {
        details: { keystore: path },
        fix: "Give the password that the file was encrypted with. A line break at the end of a password file is left out.",
        exit: ExitStatus.badInput,
      });
    }
    throw invalid(path);
  }
}

/**
 * The address that an encrypted key file tells without its password, EIP-55; undefined if it tells none. Only whoever
 * opens it knows that it is true.
 *
 * @throws SuretyError `KEY_UNREADABLE`, `KEYSTORE_INVALID` (exit 2)
 */
export async function keystoreAddress(path: string): Promise<string | undefined> {
  const { address } = JSON.parse(await readKeystore(path)) as { address?: unknown };
  if (typeof address !== "string") return undefined;
  const prefixed = address.startsWith("0x") ? address : `0x${address}`;
  return isAddress(prefixed.toLowerCase()) ? getAddress(prefixed.toLowerCase()) : undefined;
}

/**
 * Writes a private key into a new encrypted file that only its owner can read.
 *
 * @param options.scryptN Scrypt's work, a power of two. Default 2^17.
 * @throws SuretyError `KEY_FILE_EXISTS` (exit 2) if there is one already: a key that is overwritten is lost
 */
export async function writeKeystore(
  path: string,
  { privateKey, password, scryptN = SCRYPT_N }: { privateKey: string; password: string; scryptN?: number },
): Promise<void> {
  const account = { address: computeAddress(privateKey), privateKey };
  const json = await encryptKeystoreJson(account, password, { scrypt: { N: scryptN, r: 8, p: 1 } });
  await writeOnce(path, `${json}\n`);
}

/**
 * Writes what only its owner may read into a new file, and sees it on the disk.
 *
 * @throws SuretyError `KEY_FILE_EXISTS` (exit 2), `KEY_UNWRITABLE`
 */
export async function writeOnce(path: string, content: string): Promise<void> {
  try {
    const file = await open(path, "wx", 0o600);
    try {
      await file.writeFile(content);
      await file.sync();
    } finally {
      await file.close();
    }
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "EEXIST") {
      throw new SuretyError("KEY_FILE_EXISTS", `${path} exists already`, {
        details: { path },
        fix: "Give another path; nothing was written.",
        exit: ExitStatus.badInput,
      });
    }
    throw new SuretyError("KEY_UNWRITABLE", `${path} cannot be written: ${(cause as Error).message}`, {
      details: { path },
      fix: "See that its folder is there and can be written to.",
      cause,
    });
  }
}

async function readKeystore(path: string): Promise<string> {
  const json = await readFile(path, "utf8").catch((cause: unknown) => {
    throw new SuretyError("KEY_UNREADABLE", `the file ${path} cannot be read`, {
      details: { keystore: path },
      fix: "Give the path of an encrypted key file; surety key new makes one.",
      cause,
      exit: ExitStatus.badInput,
    });
  });
  if (!isKeystoreJson(json)) throw invalid(path);
  return json;
}

function invalid(path: string): SuretyError {
  return new SuretyError("KEYSTORE_INVALID", `${path} is no encrypted key file of version 3`, {
    details: { keystore: path },
    fix: "Give one that surety key new or another wallet wrote, unchanged.",
    exit: ExitStatus.badInput,
  });
}
