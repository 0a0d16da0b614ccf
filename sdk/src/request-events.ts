import type { RawEvent } from "./event-store.ts";
import { logDecoder, type EventPlace } from "./log-decoder.ts";
import { requestsInterface, schemasInterface } from "./market-abi.ts";
import { REQUEST_ENUMS, type JobRequest, type RequestOutcome, type Ruling, type SchemaTerms } from "./request-terms.ts";

/**
 * What the contracts of evaluated jobs tell, by name. Ids, content ids and commitments are 32 bytes in hexadecimal,
 * addresses have their checksum, times are seconds, amounts base units, roles bits: `ROLES`.
 */
export interface RequestEventArguments {
  /** A schema was registered; `registrant` is its first root. */
  JobRegistered: { schema: string; registrant: string; terms: SchemaTerms };
  /** The `number`-th release of a schema, from 1. */
  Released: { schema: string; number: number; release: string };
  /** `node` asks `parent` to approve it; `qualification` is the content id of what shows that it can, zero for none. */
  Applied: { schema: string; node: string; parent: string; roles: number; qualification: string };
  /** `node` has `roles` now, all of them together. */
  Approved: { schema: string; node: string; parent: string; roles: number };
  /** `parent` takes no responsibility for `node` any more. */
  Dropped: { schema: string; node: string; parent: string };
  /** `node` is the root of a tree of its own. */
  RootStarted: { schema: string; node: string };
  /** What is sealed for `node` is sealed for this key from now on. */
  KeyPublished: { node: string; encryptionKey: string };

  /** A request can be accepted until `acceptWindow` from now. */
  RequestPosted: { id: string; schema: string; requester: string; request: JobRequest; locked: bigint };
  /** `evaluator` evaluates; `path` are its judges, its parent first and the root last. */
  EvaluatorAccepted: { id: string; evaluator: string; path: string[]; encryptionKey: string };
  /** `worker` computes, unless it resigns or is rejected before the start. */
  WorkerAccepted: { id: string; worker: string; encryptionKey: string };
  /** `worker` gave up. */
  WorkerResigned: { id: string; worker: string };
  /** The requester does not want `worker`. */
  WorkerRejected: { id: string; worker: string };
  /** The requester began early: results must be committed to by `submitUntil`. */
  Started: { id: string; submitUntil: number };
  /** `by` made `content` available: keys for participants, sealed for them. */
  Granted: { id: string; by: string; content: string };
  /** `worker` committed to an intermediate state. */
  CheckpointSubmitted: { id: string; worker: string; number: number; commitment: string };
  /** `worker` committed to its result. */
  ResultSubmitted: { id: string; worker: string; commitment: string };
  /** All have committed: they reveal from now on until `revealUntil`. */
  AllSubmitted: { id: string; revealUntil: number };
  /** `worker`'s result has the content id `digest`. */
  ResultRevealed: { id: string; worker: string; digest: string; salt: string };
  /** The test data have the content id `digest`. */
  TestDataRevealed: { id: string; digest: string; salt: string };
  /** All is revealed: the evaluator ranks until `rankUntil`. */
  AllRevealed: { id: string; rankUntil: number };
  /** `judge` ruled, at tier 0 the evaluator. It can be challenged until `deadline`, unless it is the root's. */
  Ruled: { id: string; judge: string; tier: number; ruling: Ruling; report: string; deadline: number };
  /** `by` is content with the evaluator's ranking. */
  ResultAccepted: { id: string; by: string };
  /** `by` disputes the ruling of `tier`; the judge of the next tier must rule until `deadline`. */
  Challenged: { id: string; by: string; tier: number; deadline: number };
  /** A tier was silent: the judge of `tier` must rule until `deadline`. */
  Climbed: { id: string; tier: number; deadline: number };
  /** Nobody can challenge any more; `ruled` is one more than the tier whose ruling stands, 0: none. */
  Finalized: { id: string; ruled: number };
  /** It ended. What was paid says the vault's `Released` with the same id. */
  Settled: { id: string; outcome: RequestOutcome };
}

/** The name of an event of evaluated jobs. */
export type RequestEventName = keyof RequestEventArguments;

/** Any event of evaluated jobs; `name` tells which. */
export type RequestEvent = {
  [Name in RequestEventName]: { name: Name } & RequestEventArguments[Name] & EventPlace;
}[RequestEventName];

const decode = logDecoder([schemasInterface, requestsInterface], REQUEST_ENUMS);

/**
 * Decodes a log of the contracts of evaluated jobs; see {@link logDecoder}.
 *
 * @returns undefined for a log of another kind
 * @throws SuretyError `EVENT_MALFORMED` if it has a signature of ours and does not decode
 */
export function decodeRequestEvent(raw: RawEvent): RequestEvent | undefined {
  return decode(raw) as RequestEvent | undefined;
}
