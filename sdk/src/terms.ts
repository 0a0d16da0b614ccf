import { AbiCoder, keccak256, type BytesLike } from "ethers";

import { marketInterface, registryInterface } from "./market-abi.ts";
import type {
  BatchStruct,
  ExceptionStruct,
  SettlementStruct,
  TermsStruct,
} from "./types/interfaces/IMarket.sol/IMarket.ts";
import type { ClassStruct } from "./types/interfaces/IRegistry.ts";

/** What the contracts number; the first stands for "does not exist". */
export const MODES = ["none", "trusted", "sampled", "replicated"] as const;
export const VERDICTS = ["none", "primary-differs", "seat-differs", "no-majority"] as const;
export const OUTCOMES = [
  "none",
  "paid",
  "primary-slashed",
  "seat-slashed",
  "no-majority",
  "exhausted",
  "forced",
  "forfeited",
] as const;
export const MATTERS = ["none", "exception", "silence", "work", "delivery"] as const;
export const STAGES = ["none", "answering", "opening", "ruled", "casting", "showing"] as const;
export const RUNTIMES = ["none", "wasm", "container", "container-gpu"] as const;

/** What backs a job's results. */
export type Mode = "trusted" | "sampled" | "replicated";

/**
 * What a requester says is wrong with an assignment:
 * - `primary-differs`: the primary's digest is not the others';
 * - `seat-differs`: that of the verifier at `round`, `seat` is not;
 * - `no-majority`: no digest has a majority of the quorum;
 * - `none`: nothing; cannot be listed.
 */
export type Verdict = (typeof VERDICTS)[number];

/**
 * How an assignment ended:
 * - `paid`: the primary and whoever verified are paid;
 * - `primary-slashed`: the primary differed, maybe a verifier too: slashed, unpaid; the others are paid;
 * - `seat-slashed`: one or more verifiers differed: slashed, unpaid; the others are paid;
 * - `no-majority`: returned to the requester, nobody slashed;
 * - `exhausted`: not enough verifiers answered and no more can be drawn: the primary's pay is returned;
 * - `forced`: as `paid`, because the requester was silent or accused falsely;
 * - `forfeited`: the primary did not answer or open when called, or delivered nothing: unpaid, not slashed;
 * - `none`: it has not.
 */
export type Outcome = (typeof OUTCOMES)[number];

/**
 * What a dispute is about:
 * - `exception`: the requester's exception, challenged by a member;
 * - `silence`: the requester did not judge; the members are compared on one sampled task;
 * - `work`: the requester contests the primary's result of any task, sampled or not;
 * - `delivery`: the requester contests that a member's content can be fetched and read;
 * - `none`: there is none.
 */
export type Matter = (typeof MATTERS)[number];

/** Whether the requester brought a matter up by contesting one member, and not by a verdict or by silence. */
export function isContest(matter: Matter): boolean {
  return matter === "work" || matter === "delivery";
}

/**
 * Which step of a dispute is due:
 * - `answering`: the accused of a contest says that it stands by what it did;
 * - `opening`: members open their commitments to the task;
 * - `ruled`: whoever disagrees may appeal; then it can be concluded;
 * - `casting`: jurors run the task and cast sealed ballots;
 * - `showing`: jurors open their ballots; in matter `work` members open too;
 * - `none`: there is no dispute.
 */
export type Stage = (typeof STAGES)[number];

/** What runs a task: metered WebAssembly, a container, or a container with GPU. */
export type Runtime = (typeof RUNTIMES)[number];

/** How long each step may take, seconds. */
export interface JobWindows {
  /** From posting: slices can be claimed. */
  claim: number;
  /** From a claim: its node must submit. */
  submit: number;
  /** From the seal: the seed must be shown. */
  reveal: number;
  /** From the reveal, and from each later round: verifiers must answer. */
  check: number;
  /** After that: exceptions must be listed. */
  judge: number;
  /** From an exception: it can be challenged. */
  challenge: number;
}

/** How long each step may take, seconds. */
export type Windows = JobWindows;

/** What a requester offers, fixed for all batches of the job. Amounts are base units, shares parts per million. */
export interface Terms {
  /** Who pays, and the only one who may post. */
  requester: string;
  /** A key that may judge and escalate for the requester; the zero address for none. */
  delegate: string;
  /** What backs the results. */
  mode: Mode;
  /** One verifier first; the other seats are drawn only where it differs. */
  adaptive: boolean;
  /** A lone difference costs the whole lock, if the class agrees; else pay and a fine. */
  fullSlash: boolean;
  /** Members of a full panel, the primary included: odd, 3 … 15. */
  quorum: number;
  /** Share of the tasks that is run again. */
  rate: number;
  /** Chance of guessing a task's result: 500,000 for yes or no. */
  guess: number;
  /** Most of a batch that one claim may take. */
  maxShare: number;
  /** Fewest tasks that one claim may take, unless fewer are left. */
  minSlice: number;
  /** For one task. */
  price: bigint;
  /** For one task run again; at least `price`. */
  verifierPrice: bigint;
  /** What a member that differs loses at least. */
  slashAmount: bigint;
  /** Id of the kind of host that runs it, 32 bytes, hexadecimal: {@link classIdOf}. */
  class: string;
  /** Content id of the job specification, 32 bytes, hexadecimal. */
  spec: string;
  /** Compressed secp256k1 point that envelopes are sealed for, 33 bytes, hexadecimal. */
  encryptionKey: string;
  windows: Windows;
  /** Mode `trusted`: who may claim. Empty otherwise. */
  allowed: readonly string[];
  /** Nodes that neither claim nor verify: at most a third of the class's. */
  excluded: readonly string[];
}

/** What was posted. Ids and commitments are 32 bytes, hexadecimal. */
export interface Batch {
  /** {@link jobIdOf} */
  job: string;
  /** How many batches of the job came before. */
  sequence: bigint;
  /** Tasks, 1 … 2^24-1. */
  count: number;
  /** Places in the class's pool when it was posted: what verifiers are drawn from. */
  slots: number;
  /** Content id of the list of inputs. */
  manifest: string;
  /** What the requester's secret for this batch hashes to. */
  seedCommitment: string;
}

/** What a node submitted for its assignment. */
export interface Submission {
  /** The primary. */
  node: string;
  /** Index of the assignment's first task in the batch. */
  first: number;
  /** Tasks. */
  count: number;
  /** Merkle root of the commitments, one leaf a task. */
  root: string;
  /** {@link contentHash} */
  content: string;
}

/** What a verifier answered from its seat. */
export interface Answer {
  node: string;
  root: string;
  /** {@link contentHash} */
  content: string;
}

/** Which seat of which panel. */
export interface SeatId {
  /** Index in the batch. */
  assignment: number;
  /** 0 for the first draw; later ones by escalation or redraw. */
  round: number;
  /** Place in the round's draw. */
  seat: number;
}

/** An accusation. It stands if nobody challenges it in time. One for each member that differs. */
export interface Exception {
  /** Index in the batch. */
  assignment: number;
  verdict: Verdict;
  /** The sampled task that shows it: the same in all exceptions of an assignment. */
  witness: number;
  /** Of the seat that differs; 0 otherwise. */
  round: number;
  /** That differs; 0 otherwise. */
  seat: number;
  /** What the primary submitted. */
  submission: Submission;
}

/**
 * The whole panel of an assignment: what settles it, and what every step of a dispute is about. Member 0 is the primary,
 * member i+1 gave the i-th answer.
 */
export interface Settlement {
  /** Index in the batch. */
  assignment: number;
  /** What the primary submitted. */
  submission: Submission;
  /** What the verifiers answered, by round and seat, silent seats left out. */
  answers: readonly Answer[];
}

/** What is fixed when a market is deployed. */
export interface Parameters {
  /** Least length of any window, seconds. */
  minWindow: number;
  /** Greatest length of any window, seconds. */
  maxWindow: number;
  /** Blocks after which the chain does not change its mind. */
  finalDepth: number;
  /** Seconds that `finalDepth` blocks take at most. */
  drawDelay: number;
  /** Part of the requester's bond for each open batch, base units; burned for silence. */
  bondFixed: bigint;
  /** Further part, in proportion to the escrow, parts per million. */
  bondShare: number;
  /** What a challenge puts at stake, base units. */
  challengeBond: bigint;
}

/** A kind of host a node offers, and the risks it accepts by offering it. */
export interface HostClass {
  /** The market whose work it is for. */
  market: string;
  runtime: Runtime;
  /** Whether its nodes accept that a lone difference costs the whole lock. */
  fullSlash: boolean;
  /** Base units that back each slot; the most a job of this class may ask as `slashAmount`. */
  slotStake: bigint;
  /** Least price of a task, base units; at least 1. */
  priceFloor: bigint;
  /** Description of CPU, memory, disk and GPU, as a content id: 32 bytes, hexadecimal. */
  resources: string;
}

/** Where a market is; what its ids name. */
export interface MarketContext {
  /** EIP-155 chain id. */
  chainId: number | bigint;
  /** Address of the market contract. */
  market: string;
}

const TERMS = marketInterface.getFunction("jobId").inputs[0]!;
const BATCH = marketInterface.getFunction("batchId").inputs[0]!;
const CLASS = registryInterface.getFunction("createClass").inputs[0]!;

/**
 * The id of a job: a job is its terms. Twin of the market's `jobId`.
 *
 * @returns keccak256(abi.encode(chainId, market, terms)), hexadecimal.
 * @throws ethers' `INVALID_ARGUMENT` if a value does not fit its type
 */
export function jobIdOf({ chainId, market }: MarketContext, terms: Terms): string {
  return keccak256(
    AbiCoder.defaultAbiCoder().encode(["uint256", "address", TERMS], [chainId, market, encodeTerms(terms)]),
  );
}

/**
 * The id of a batch: a batch is what was posted. Twin of the market's `batchId`.
 *
 * @returns keccak256(abi.encode(chainId, market, batch)), hexadecimal.
 * @throws ethers' `INVALID_ARGUMENT` if a value does not fit its type
 */
export function batchIdOf({ chainId, market }: MarketContext, batch: Batch): string {
  return keccak256(
    AbiCoder.defaultAbiCoder().encode(["uint256", "address", BATCH], [chainId, market, encodeBatch(batch)]),
  );
}

/**
 * The id of a class. Twin of the registry's `createClass`.
 *
 * @returns keccak256(abi.encode(class)), hexadecimal.
 * @throws ethers' `INVALID_ARGUMENT` if a value does not fit its type
 */
export function classIdOf(terms: HostClass): string {
  return keccak256(AbiCoder.defaultAbiCoder().encode([CLASS], [encodeClass(terms)]));
}

/**
 * What the contracts keep of what was published with a submission or an answer.
 *
 * @param manifest Content id of the encrypted manifest, 32 bytes, hexadecimal.
 * @param envelope As submitted.
 * @returns keccak256(abi.encode(manifest, keccak256(envelope))), hexadecimal.
 */
export function contentHash(manifest: string, envelope: BytesLike): string {
  return keccak256(AbiCoder.defaultAbiCoder().encode(["bytes32", "bytes32"], [manifest, keccak256(envelope)]));
}

/**
 * The id under which the vault locks a node's stake. Twin of the registry's lock ids; those of batches are the
 * batches' own.
 */
export function stakeLockIdOf(market: string, node: string): string {
  return keccak256(AbiCoder.defaultAbiCoder().encode(["address", "address"], [market, node]));
}

/** Terms as ethers encodes them. */
export function encodeTerms(terms: Terms): TermsStruct {
  return {
    ...terms,
    mode: MODES.indexOf(terms.mode),
    allowed: [...terms.allowed],
    excluded: [...terms.excluded],
  };
}

/** A batch as ethers encodes it. */
export function encodeBatch(batch: Batch): BatchStruct {
  return batch;
}

/** An exception as ethers encodes it. */
export function encodeException(exception: Exception): ExceptionStruct {
  return { ...exception, verdict: VERDICTS.indexOf(exception.verdict) };
}

/** A settlement as ethers encodes it. */
export function encodeSettlement(settlement: Settlement): SettlementStruct {
  return { ...settlement, answers: [...settlement.answers] };
}

/** A class as ethers encodes it. */
export function encodeClass(terms: HostClass): ClassStruct {
  return { ...terms, runtime: RUNTIMES.indexOf(terms.runtime) };
}
