import { Wallet } from "ethers";
import type { SignerLike } from "../chain/sender.ts";
import type { KeySource } from "../config/key.ts";
import { ExternalSigner } from "./external-signer.ts";
import { readKey, readWord } from "./private-key.ts";
import { readSecret } from "./secret.ts";

/** Who signs for an account. */
export interface AccountKey {
  signer: SignerLike;
  /** Undefined if another program keeps it. */
  privateKey?: string;
}

/** What an agent has of its account. */
export interface AgentKey {
  /** EIP-55. */
  address: string;
  signer: SignerLike;
  /** What seeds, salts and the encryption key derive from, 32 bytes hexadecimal; see {@link readSecret}. */
  secret: string;
}

/** What {@link openSigner} works with. */
export interface OpenSignerOptions {
  /** Default: the process's. */
  environment?: NodeJS.ProcessEnv;
  signal?: AbortSignal;
}

/** What {@link openKey} works with. */
export interface OpenKeyOptions extends OpenSignerOptions {
  /** The agent's folder. */
  home: string;
}

/**
 * Opens what a configuration names: reads a key, or sees that the program that keeps it answers.
 *
 * @throws SuretyError what {@link readKey} and {@link ExternalSigner.open} throw, `SIGNER_TOKEN_UNREADABLE` (exit 2)
 */
export async function openSigner(
  source: KeySource,
  { environment, signal }: OpenSignerOptions = {},
): Promise<AccountKey> {
  if (!("signer" in source)) {
    const privateKey = await readKey(source, environment);
    return { signer: new Wallet(privateKey), privateKey };
  }
  const { signer: url, address, timeoutMs } = source;
  const token = source.token && (await readWord(source.token, "SIGNER_TOKEN_UNREADABLE", environment));
  return { signer: await ExternalSigner.open({ url, address, timeoutMs, token }, { signal }) };
}

/**
 * As {@link openSigner}, with what the agent in a home keeps secret.
 *
 * @throws SuretyError what {@link openSigner} and {@link readSecret} throw
 */
export async function openKey(source: KeySource, { home, ...options }: OpenKeyOptions): Promise<AgentKey> {
  const { signer, privateKey } = await openSigner(source, options);
  return { address: signer.address, signer, secret: await readSecret(home, { privateKey }) };
}
