import { AbiCoder, keccak256 } from "ethers";

import type { EnumNames } from "./abi-value.ts";
import { requestsInterface, schemasInterface } from "./market-abi.ts";
import type { RequestStruct, RulingStruct } from "./types/interfaces/IRequests.ts";
import type { SchemaTermsStruct } from "./types/interfaces/ISchemas.ts";

/** What the contracts of evaluated jobs number; the first stands for "does not exist". */
export const REWARD_FUNCTIONS = ["none", "even", "winner-takes-all", "by-rank", "by-score", "list"] as const;
export const RULING_VERDICTS = ["none", "ranking", "withheld", "void"] as const;
export const REQUEST_OUTCOMES = [
  "none",
  "ranked",
  "unsolved",
  "voided",
  "withheld",
  "unjudged",
  "unevaluated",
  "unanswered",
  "cancelled",
] as const;
export const REQUEST_STAGES = ["none", "open", "ruled", "called", "final", "ended"] as const;
export const WORKER_STATUSES = [
  "none",
  "accepted",
  "resigned",
  "rejected",
  "submitted",
  "revealed",
  "satisfied",
] as const;

/** The enums of requests, by the name of the field. */
export const REQUEST_ENUMS: EnumNames = {
  rewardFunction: REWARD_FUNCTIONS,
  verdict: RULING_VERDICTS,
  outcome: REQUEST_OUTCOMES,
  stage: REQUEST_STAGES,
  status: WORKER_STATUSES,
};

/**
 * How a pot is shared among those that were ranked:
 * - `even`: the same for all;
 * - `winner-takes-all`: everything for the best;
 * - `by-rank`: in proportion to how many were ranked no better: of three 3, 2 and 1;
 * - `by-score`: in proportion to the scores; evenly if all are 0;
 * - `list`: the amounts that the request lists, best first;
 * - `none`: there is none.
 */
export type RewardFunction = (typeof REWARD_FUNCTIONS)[number];

/**
 * What an evaluator or a judge says:
 * - `ranking`: these results, best first; what is not in it is invalid;
 * - `withheld`: the requester did not make available what the evaluation needs;
 * - `void`: nothing can be said about these results; judges only;
 * - `none`: nothing.
 */
export type RulingVerdict = (typeof RULING_VERDICTS)[number];

/**
 * How a request ended:
 * - `ranked`: the pot was shared as the final ranking says;
 * - `unsolved`: the evaluator found no valid result, and that stood: it is paid, the pot returned;
 * - `voided`: a judge voided it: half of the pot is burned;
 * - `withheld`: the requester held back what the evaluation needs: all that revealed share evenly;
 * - `unjudged`: neither evaluator nor judges said anything: all that revealed share evenly;
 * - `unevaluated`: no evaluation was asked for: all that revealed share evenly;
 * - `unanswered`: nobody revealed a result: everything is returned;
 * - `cancelled`: too few accepted: everything is returned;
 * - `none`: it has not.
 */
export type RequestOutcome = (typeof REQUEST_OUTCOMES)[number];

/** How a worker stands to a request; `satisfied`: it revealed, and accepted the evaluator's ranking. */
export type WorkerStatus = (typeof WORKER_STATUSES)[number];

/** What a node may do in a schema's tree: bits, to be added up. */
export const ROLES = { admin: 1, evaluator: 2, worker: 4 } as const;

/** The name of a role. */
export type Role = keyof typeof ROLES;

/** Whether `roles`, bits, have all of the named. */
export function hasRoles(roles: number, ...wanted: Role[]): boolean {
  return wanted.every((role) => (roles & ROLES[role]) !== 0);
}

/** The names of the roles in `roles`, bits. */
export function rolesIn(roles: number): Role[] {
  return (Object.keys(ROLES) as Role[]).filter((role) => hasRoles(roles, role));
}

/** What a job schema fixes for all requests that use it. Amounts are base units. */
export interface SchemaTerms {
  /** sha2-256 of the first release's manifest: 32 bytes, hexadecimal. */
  release: string;
  /** Least that who ranks puts at stake for a request; more than `challengeFee`. */
  minimumDeposit: bigint;
  /** Least that a challenge costs; at least 1. */
  challengeFee: bigint;
  /** Reward functions that requests may use: bit 0 `even`, bit 1 `winner-takes-all`, and so on. */
  rewardFunctions: number;
  /** Tells schemas of one registrant apart that are the same otherwise. */
  nonce: bigint;
}

/** What is asked of a schema's workers, and what is paid for it. Amounts are base units, windows seconds. */
export interface JobRequest {
  /** Who pays, and the only one who may post. */
  requester: string;
  /** A key that may do for the requester what costs nothing; the zero address for none. */
  delegate: string;
  /** Whose programs run: id of a schema. */
  schema: string;
  /** Whose tree of the schema is trusted: evaluator, judges and workers are members of it. */
  root: string;
  /** The schema's newest release when it was posted: what everybody runs. 32 bytes, hexadecimal. */
  release: string;
  /** Tells requests apart that are the same otherwise. */
  nonce: bigint;
  /** Content id of the input: 32 bytes, hexadecimal. */
  input: string;
  /** What the test data's content id and a salt hash to; zero: there are none. */
  testData: string;
  rewardFunction: RewardFunction;
  /** For the evaluator whose ranking stands; 0 without evaluation. */
  evaluatorReward: bigint;
  /** The pot. */
  workerReward: bigint;
  /** `list` only: what each rank gets. */
  list: readonly bigint[];
  /** Who may evaluate; empty: any evaluator of the tree. */
  evaluators: readonly string[];
  /** Who may work; empty: any worker of the tree. */
  workers: readonly string[];
  /** Fewest that it starts with. */
  minWorkers: number;
  /** Most that may accept, up to 255. */
  maxWorkers: number;
  /** The requester trusts the listed workers: all that reveal a result share the pot evenly. */
  skipEvaluation: boolean;
  /** From posting: it can be accepted. */
  acceptWindow: number;
  /** From the start: results must be committed to. */
  timeLimit: number;
  /** Each step after that: revealing, ranking, challenging, judging. */
  stepWindow: number;
  /** What whoever ranks puts at stake; 0 without evaluation. */
  deposit: bigint;
  /** What a challenge costs: it pays the judge; 0 without evaluation. */
  challengeFee: bigint;
  /** Compressed secp256k1 point that results are sealed for, 33 bytes, hexadecimal. */
  encryptionKey: string;
}

/** A verdict in full. The contract keeps its hash: a judge that upholds a ruling says just the same. */
export interface Ruling {
  verdict: RulingVerdict;
  /** `ranking` only: workers, best first. */
  order: readonly string[];
  /** `ranking` only: one for each of them, none greater than the one before. */
  scores: readonly bigint[];
}

/** The ruling of somebody who says nothing: what settling takes where none stands. */
export const NO_RULING: Ruling = { verdict: "none", order: [], scores: [] };

/** The bits of {@link SchemaTerms.rewardFunctions}. */
export function rewardFunctionBits(functions: Iterable<RewardFunction>): number {
  let bits = 0;
  for (const each of functions) if (each !== "none") bits |= 1 << (REWARD_FUNCTIONS.indexOf(each) - 1);
  return bits;
}

/** The names in {@link SchemaTerms.rewardFunctions}. */
export function rewardFunctionsIn(bits: number): RewardFunction[] {
  return REWARD_FUNCTIONS.filter((_, index) => index > 0 && (bits & (1 << (index - 1))) !== 0);
}

/** Terms as ethers encodes them. */
export function encodeSchemaTerms(terms: SchemaTerms): SchemaTermsStruct {
  return terms;
}

/** A request as ethers encodes it. */
export function encodeRequest(request: JobRequest): RequestStruct {
  return {
    ...request,
    rewardFunction: REWARD_FUNCTIONS.indexOf(request.rewardFunction),
    list: [...request.list],
    evaluators: [...request.evaluators],
    workers: [...request.workers],
  };
}

/** A ruling as ethers encodes it. */
export function encodeRuling(ruling: Ruling): RulingStruct {
  return { verdict: RULING_VERDICTS.indexOf(ruling.verdict), order: [...ruling.order], scores: [...ruling.scores] };
}

/** Where the contracts of evaluated jobs are; what their ids and commitments name. */
export interface RequestContext {
  /** EIP-155 chain id. */
  chainId: number | bigint;
  /** Address of the contract of requests. */
  requests: string;
}

const SCHEMA_TERMS = schemasInterface.getFunction("schemaId").inputs[1]!;
const REQUEST = requestsInterface.getFunction("requestId").inputs[0]!;

/**
 * The id of a schema: a schema is what was registered. Twin of the contract's `schemaId`.
 *
 * @param context.schemas Address of the contract of schemas.
 * @returns 32 bytes, hexadecimal
 * @throws ethers' `INVALID_ARGUMENT` if a value does not fit its type; so do the others
 */
export function schemaIdOf(
  { chainId, schemas }: { chainId: number | bigint; schemas: string },
  registrant: string,
  terms: SchemaTerms,
): string {
  const types = ["uint256", "address", "address", SCHEMA_TERMS];
  return hashOf(types, [chainId, schemas, registrant, encodeSchemaTerms(terms)]);
}

/** The id of a request: a request is what was asked. Twin of the contract's `requestId`. */
export function requestIdOf({ chainId, requests }: RequestContext, request: JobRequest): string {
  return hashOf(["uint256", "address", REQUEST], [chainId, requests, encodeRequest(request)]);
}

/**
 * What a worker commits to before results are revealed. Twin of the contract's `resultCommitment`.
 *
 * @param result `digest`: content id of its result; `salt`: 32 random bytes, without which a result of few possible
 *   values could be guessed.
 */
export function resultCommitment(
  { chainId, requests }: RequestContext,
  { id, worker, digest, salt }: { id: string; worker: string; digest: string; salt: string },
): string {
  const types = ["uint256", "address", "bytes32", "address", "bytes32", "bytes32"];
  return hashOf(types, [chainId, requests, id, worker, digest, salt]);
}

/** What a requester commits to when it posts a request with test data. Twin of the contract's `testDataCommitment`. */
export function testDataCommitment(
  { chainId, requests }: RequestContext,
  { requester, digest, salt }: { requester: string; digest: string; salt: string },
): string {
  return hashOf(["uint256", "address", "address", "bytes32", "bytes32"], [chainId, requests, requester, digest, salt]);
}

function hashOf(types: Parameters<AbiCoder["encode"]>[0], values: readonly unknown[]): string {
  return keccak256(AbiCoder.defaultAbiCoder().encode(types, values));
}
