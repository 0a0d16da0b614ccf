import { resolve } from "node:path";
import { getAddress, isAddress, isHexString } from "ethers";
import { z } from "zod";
import { httpUrl, text, whole } from "./value.ts";

/** Where a word is that must not stand in a configuration. */
export type WordSource =
  | {
      /** Name of an environment variable. */
      env: string;
    }
  | {
      /** A file that only the agent should be able to read. */
      file: string;
    };

/** An account whose key another program keeps; docs/keys.md says what is asked of it. */
export interface SignerSource {
  /** Address of its JSON-RPC, HTTP(S). */
  signer: string;
  /** The account it is to sign for, EIP-55. */
  address: string;
  /** Bearer token for it. Default: none. */
  token?: WordSource;
  /** Milliseconds it may take to answer, 100 to 600,000. Defaults to 10,000. */
  timeoutMs: number;
}

/** Where an agent's private key is. */
export type KeySource =
  | WordSource
  | {
      /** The key itself: for local chains only. */
      hex: string;
    }
  | {
      /** An encrypted key file, Web3 Secret Storage version 3. */
      keystore: string;
      /** What it is encrypted with. */
      password: WordSource;
    }
  | SignerSource;

/** An account's address, made EIP-55. */
export const address = text
  .refine((value) => isAddress(value), { error: "expected an address: 0x and 40 hexadecimal digits" })
  .transform((value) => getAddress(value));

const word = z.union([z.strictObject({ env: text }), z.strictObject({ file: text })], {
  error: "expected env (a variable) or file (a path)",
});

/** The schema of {@link KeySource}. */
export const keySchema = z.union(
  [
    z.strictObject({ env: text }),
    z.strictObject({ file: text }),
    z.strictObject({ hex: text.refine(isPrivateKey, { error: "not a key" }) }),
    z.strictObject({ keystore: text, password: word }),
    z.strictObject({
      signer: httpUrl,
      address,
      token: word.optional(),
      timeoutMs: whole(100, 600_000).default(10_000),
    }),
  ],
  // Nothing of the value is shown: it may be the key.
  {
    error:
      "expected one of env (a variable), file (a path), hex (32 bytes, 0x…), keystore (a path) with password (env or file), " +
      "and signer (an address of HTTP) with address (0x…)",
  },
);

/** Makes a source's paths absolute, counted from `folder`. */
export function keyWithPaths(source: KeySource, folder: string): KeySource {
  if ("keystore" in source)
    return { keystore: resolve(folder, source.keystore), password: wordWithPath(source.password, folder) };
  if ("signer" in source) return source.token ? { ...source, token: wordWithPath(source.token, folder) } : source;
  return "file" in source ? wordWithPath(source, folder) : source;
}

/** Whether a text is a private key: `0x` and 64 hexadecimal digits that are not all zero. */
export function isPrivateKey(value: string): boolean {
  return isHexString(value, 32) && BigInt(value) !== 0n;
}

function wordWithPath(source: WordSource, folder: string): WordSource {
  return "file" in source ? { file: resolve(folder, source.file) } : source;
}
