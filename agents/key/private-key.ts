import { readFile } from "node:fs/promises";
import { computeAddress } from "ethers";
import { ExitStatus, SuretyError } from "#sdk/errors.ts";
import { isPrivateKey, type KeySource, type SignerSource, type WordSource } from "../config/key.ts";
import { keystoreAddress, openKeystore } from "./keystore.ts";

/** Where a key is that this process can hold. */
export type LocalKeySource = Exclude<KeySource, SignerSource>;

/**
 * The private key that a configuration points at, `0x` and 64 hexadecimal digits.
 *
 * @param environment Where variables are looked up.
 * @throws SuretyError `KEY_UNREADABLE` (exit 2) if it is not there or no key; `KEY_PASSWORD_UNREADABLE`,
 *   `KEY_PASSWORD_WRONG`, `KEYSTORE_INVALID` (exit 2). No message shows the value.
 */
export async function readKey(source: LocalKeySource, environment: NodeJS.ProcessEnv = process.env): Promise<string> {
  if ("keystore" in source) {
    const password = await readWord(source.password, "KEY_PASSWORD_UNREADABLE", environment);
    return openKeystore(source.keystore, password);
  }
  const place = "hex" in source ? "the configuration" : placeOf(source);
  const { value, cause } = "hex" in source ? { value: source.hex } : await lookUp(source, environment);
  const digits = value?.trim().replace(/^0x/i, "").toLowerCase();
  const found = digits === undefined ? undefined : `0x${digits}`;
  if (found !== undefined && isPrivateKey(found)) return found;
  const reason = value === undefined ? "cannot be read" : "does not hold a private key";
  throw new SuretyError("KEY_UNREADABLE", `${place} ${reason}`, {
    details: { place },
    fix: "Put a private key there: 0x and 64 hexadecimal digits.",
    cause,
    exit: ExitStatus.badInput,
  });
}

/**
 * The address of the account that a source is about, EIP-55. Asks no signer, and opens no keystore that tells it.
 *
 * @throws SuretyError what {@link readKey} throws
 */
export async function addressOf(source: KeySource, environment: NodeJS.ProcessEnv = process.env): Promise<string> {
  if ("signer" in source) return source.address;
  const told = "keystore" in source ? await keystoreAddress(source.keystore) : undefined;
  return told ?? computeAddress(await readKey(source, environment));
}

/**
 * A password or token, without the line break at its end.
 *
 * @param code Of the error if there is none.
 * @throws SuretyError `code` (exit 2)
 */
export async function readWord(
  source: WordSource,
  code: string,
  environment: NodeJS.ProcessEnv = process.env,
): Promise<string> {
  const { value, cause } = await lookUp(source, environment);
  const word = value?.replace(/\r?\n$/, "");
  if (word) return word;
  throw new SuretyError(code, `${placeOf(source)} ${value === undefined ? "cannot be read" : "is empty"}`, {
    details: { place: placeOf(source) },
    fix: "See that it is there, and that whoever runs this may read it.",
    cause,
    exit: ExitStatus.badInput,
  });
}

function placeOf(source: WordSource): string {
  return "env" in source ? `the variable ${source.env}` : `the file ${source.file}`;
}

async function lookUp(
  source: WordSource,
  environment: NodeJS.ProcessEnv,
): Promise<{ value?: string; cause?: unknown }> {
  if ("env" in source) return { value: environment[source.env] };
  return readFile(source.file, "utf8").then(
    (value) => ({ value }),
    (cause: unknown) => ({ cause }),
  );
}
