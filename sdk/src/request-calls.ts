import { ZeroHash, type Interface } from "ethers";

import { contractCall, type ContractCall } from "./contract-call.ts";
import { requestsInterface, schemasInterface } from "./market-abi.ts";
import {
  encodeRequest,
  encodeRuling,
  encodeSchemaTerms,
  ROLES,
  type JobRequest,
  type Role,
  type Ruling,
  type SchemaTerms,
} from "./request-terms.ts";

/** What a ruling is given with. */
export interface RulingArguments {
  ruling: Ruling;
  /** Content id of its reasons: 32 bytes, hexadecimal. */
  report: string;
}

// --- Schemas -------------------------------------------------------------------------------------------------------

/** Registers a schema; the caller is its first root. */
export function registerJob(schemas: string, { terms }: { terms: SchemaTerms }): ContractCall {
  return call(schemas, schemasInterface, "registerJob", encodeSchemaTerms(terms));
}

/** Names a new release. */
export function release(schemas: string, { schema, release }: { schema: string; release: string }): ContractCall {
  return call(schemas, schemasInterface, "release", schema, release);
}

/**
 * Asks an admin for roles.
 *
 * @param application.qualification Content id of what shows that the applicant can: 32 bytes, hexadecimal. Defaults to
 *   zero: it shows nothing.
 */
export function applyJob(
  schemas: string,
  {
    schema,
    roles,
    parent,
    qualification = ZeroHash,
  }: { schema: string; roles: number; parent: string; qualification?: string },
): ContractCall {
  return call(schemas, schemasInterface, "applyJob", schema, roles, parent, qualification);
}

/** Gives a node the roles it applied to the caller for. */
export function approveNode(
  schemas: string,
  { schema, node, roles }: { schema: string; node: string; roles: number },
): ContractCall {
  return call(schemas, schemasInterface, "approveNode", schema, node, roles);
}

/** Ends the responsibility for a child. */
export function drop(schemas: string, { schema, node }: { schema: string; node: string }): ContractCall {
  return call(schemas, schemasInterface, "drop", schema, node);
}

/** Makes the caller the root of a tree of its own. */
export function startRoot(schemas: string, { schema }: { schema: string }): ContractCall {
  return call(schemas, schemasInterface, "startRoot", schema);
}

/** Says which key to seal for. */
export function publishKey(schemas: string, { encryptionKey }: { encryptionKey: string }): ContractCall {
  return call(schemas, schemasInterface, "publishKey", encryptionKey);
}

// --- Requests ------------------------------------------------------------------------------------------------------

/** Posts a request and locks its rewards. */
export function requestJob(requests: string, { request }: { request: JobRequest }): ContractCall {
  return call(requests, requestsInterface, "requestJob", encodeRequest(request));
}

/** Accepts as a worker or as the evaluator. */
export function acceptJob(
  requests: string,
  { request, role, encryptionKey }: { request: JobRequest; role: Exclude<Role, "admin">; encryptionKey: string },
): ContractCall {
  return call(requests, requestsInterface, "acceptJob", encodeRequest(request), ROLES[role], encryptionKey);
}

/** Gives up before the start. */
export function resign(requests: string, { id }: { id: string }): ContractCall {
  return call(requests, requestsInterface, "resign", id);
}

/** Refuses a worker before the start. */
export function rejectWorker(
  requests: string,
  { request, worker }: { request: JobRequest; worker: string },
): ContractCall {
  return call(requests, requestsInterface, "rejectWorker", encodeRequest(request), worker);
}

/** Begins before the acceptance window has ended. */
export function start(requests: string, { request }: { request: JobRequest }): ContractCall {
  return call(requests, requestsInterface, "start", encodeRequest(request));
}

/** Ends a request that too few accepted. */
export function cancel(requests: string, { request }: { request: JobRequest }): ContractCall {
  return call(requests, requestsInterface, "cancel", encodeRequest(request));
}

/** Tells where keys for participants are. */
export function grant(requests: string, { request, content }: { request: JobRequest; content: string }): ContractCall {
  return call(requests, requestsInterface, "grant", encodeRequest(request), content);
}

/** Commits to an intermediate state. */
export function submitCheckpoint(
  requests: string,
  { id, number, commitment }: { id: string; number: number; commitment: string },
): ContractCall {
  return call(requests, requestsInterface, "submitCheckpoint", id, number, commitment);
}

/** Commits to a result. */
export function submitResult(requests: string, { id, commitment }: { id: string; commitment: string }): ContractCall {
  return call(requests, requestsInterface, "submitResult", id, commitment);
}

/** Reveals a result. */
export function revealResult(
  requests: string,
  { id, digest, salt }: { id: string; digest: string; salt: string },
): ContractCall {
  return call(requests, requestsInterface, "revealResult", id, digest, salt);
}

/** Reveals the test data. */
export function revealTestData(
  requests: string,
  { request, digest, salt }: { request: JobRequest; digest: string; salt: string },
): ContractCall {
  return call(requests, requestsInterface, "revealTestData", encodeRequest(request), digest, salt);
}

/** Ranks what was revealed. */
export function rank(requests: string, { id, ruling, report }: { id: string } & RulingArguments): ContractCall {
  return call(requests, requestsInterface, "rank", id, encodeRuling(ruling), report);
}

/** Is content with the evaluator's ranking. */
export function acceptResult(requests: string, { request }: { request: JobRequest }): ContractCall {
  return call(requests, requestsInterface, "acceptResult", encodeRequest(request));
}

/** Disputes the ruling that stands. */
export function challenge(
  requests: string,
  { request, path }: { request: JobRequest; path: readonly string[] },
): ContractCall {
  return call(requests, requestsInterface, "challenge", encodeRequest(request), path);
}

/** Rules on a challenge, or in place of a silent evaluator. */
export function reevaluate(
  requests: string,
  { request, path, ruling, report }: { request: JobRequest; path: readonly string[] } & RulingArguments,
): ContractCall {
  return call(requests, requestsInterface, "reevaluate", encodeRequest(request), path, encodeRuling(ruling), report);
}

/** Calls the next judge where one, or the evaluator, was silent. */
export function climb(requests: string, { id }: { id: string }): ContractCall {
  return call(requests, requestsInterface, "climb", id);
}

/** Pays, returns and burns as the final ruling says; `revealed` is empty unless all that revealed share evenly. */
export function settle(
  requests: string,
  {
    request,
    path,
    ruling,
    revealed,
  }: { request: JobRequest; path: readonly string[]; ruling: Ruling; revealed: readonly string[] },
): ContractCall {
  return call(requests, requestsInterface, "settle", encodeRequest(request), path, encodeRuling(ruling), revealed);
}

function call(to: string, contract: Interface, name: string, ...args: unknown[]): ContractCall {
  return contractCall(to, () => contract.encodeFunctionData(name, args));
}
