import { getBytes } from "ethers";
import { isPublicKey } from "#sdk/hpke.ts";
import { workersOf, type RequestRecord } from "#sdk/request-state.ts";
import type { Recipients } from "#sdk/sealed-content.ts";

/**
 * Who judges a request, with what is sealed for each: the evaluator, and every judge above it with the key that it had
 * published when the evaluator accepted. So everybody comes to the same list, whatever is published later.
 */
export function evaluatorsOf({ evaluator }: RequestRecord): Recipients {
  if (!evaluator) return new Map();
  return usable([[evaluator.node, evaluator.encryptionKey], ...evaluator.keys]);
}

/** Whom a result of a request is sealed for: its requester, and who judges it. */
export function resultRecipients(record: RequestRecord): Recipients {
  const { requester, encryptionKey } = record.request;
  return usable([[requester, encryptionKey], ...evaluatorsOf(record)]);
}

/** Whom the input of a request is sealed for: who judges it, and its workers. */
export function inputRecipients(record: RequestRecord): Recipients {
  const workers = workersOf(record).map(({ node, encryptionKey }): [string, string] => [node, encryptionKey]);
  return usable([...workers, ...evaluatorsOf(record)]);
}

/** The contracts do not look whether a key is a point of the curve; for what is none nothing can be sealed. */
function usable(recipients: Iterable<[string, string]>): Recipients {
  return new Map([...recipients].filter(([, key]) => isPublicKey(getBytes(key))));
}
