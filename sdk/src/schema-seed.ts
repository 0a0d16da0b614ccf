import { sha256 } from "@noble/hashes/sha2.js";
import { concatBytes, utf8ToBytes } from "@noble/hashes/utils.js";
import { getBytes } from "ethers";

import { SuretyError } from "./errors.ts";

const LABEL = utf8ToBytes("surety/schema-seed/v1");

/**
 * The randomness a worker program gets: the same for everybody who runs it again for the same node, different for every
 * node of a request.
 *
 * @param base 32 bytes that belong to the request.
 * @param node The worker's address.
 * @returns 32 bytes
 * @throws SuretyError `SCHEMA_SEED_INVALID` unless the base has 32 bytes and the node 20
 */
export function workerSeed(base: Uint8Array, node: string): Uint8Array {
  const address = getBytes(node);
  if (base.length !== 32 || address.length !== 20) {
    throw new SuretyError(
      "SCHEMA_SEED_INVALID",
      `a seed needs 32 and 20 bytes, not ${base.length} and ${address.length}`,
    );
  }
  return sha256(concatBytes(LABEL, base, address));
}
