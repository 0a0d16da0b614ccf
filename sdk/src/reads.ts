import { ZeroAddress, type Interface, type ParamType } from "ethers";

import { plainObject, plainValue } from "./abi-value.ts";
import type { Slot } from "./draw.ts";
import { ExitStatus, SuretyError } from "./errors.ts";
import type { JsonRpc } from "./json-rpc.ts";
import { marketInterface, registryInterface, schemasInterface, tokenInterface, vaultInterface } from "./market-abi.ts";
import type { Reserve } from "./pricing.ts";
import {
  encodeTerms,
  type Matter,
  type Parameters,
  type Runtime,
  type Stage,
  type Terms,
  type Verdict,
} from "./terms.ts";

/** How a value is read. All reads throw what the transport throws, and `READ_MALFORMED`. */
export interface ReadOptions {
  /** As of this block. Default: the newest. */
  blockNumber?: number;
  signal?: AbortSignal;
}

/** What the market stores of a batch; zeros if it is not open. Times are seconds, 0 before. */
export interface BatchState {
  postedAt: number;
  sealedAt: number;
  revealedAt: number;
  /** Number of the block of the seal. */
  sealBlock: number;
  /** Index of the first task never claimed. */
  next: number;
  /** Tasks not submitted. */
  unsubmitted: number;
  /** Assignments made. */
  slices: number;
  /** Assignments claimed and neither submitted nor void. */
  pending: number;
  /** Assignments neither settled nor void. */
  open: number;
  /** The requester has listed all its exceptions. */
  judged: boolean;
  /** The fixed part of the bond is gone: the requester was silent. */
  bondBurned: boolean;
  /** The price was changed. */
  rebid: boolean;
  /** The entropy block's hash is stored. */
  captured: boolean;
}

/** What the market stores of a panel: zeros unless something went beyond the first draw. */
export interface PanelState {
  /** Rounds after round 0. */
  rounds: number;
  escalated: boolean;
  /** An exception that stands for now: the latest listed. */
  verdict: Verdict;
  /** Which members differ: bit 0 the primary, bit i+1 the i-th answer. */
  accused: bigint;
  /** Sampled task that shows it. */
  witness: number;
  /** When the latest exception was listed, seconds. */
  raisedAt: number;
}

/** What the market stores of a dispute; matter `none` if there is none. */
export interface DisputeState {
  matter: Matter;
  /** Which step is due. */
  stage: Stage;
  /** Juries called so far: 0 … 2. */
  tier: number;
  /** The accused of a `delivery`; 0, the primary, otherwise. */
  member: number;
  /** That everything is about; index in the batch. 0 for a `delivery`. */
  task: number;
  /** End of the step, seconds. */
  deadline: number;
  /** Members that opened: bit i for member i. */
  opened: bigint;
  /** Whether the fixed part of the requester's bond pays the members that opened. */
  pot: boolean;
}

/** What the market stores of a jury. */
export interface JuryState {
  /** Who called for it, and pays it if that changes nothing; the zero address if there is no such jury. */
  appellant: string;
  /** What the appellant put up for it, base units; 0 if its lock in the assignment stands for it. */
  bond: bigint;
  /** Found when it was drawn; before that, how many were called. */
  seats: number;
  /** Whose hash decides the draw. */
  entropyBlock: number;
  /** 0 the first draw, 1 that of the seats that stayed empty. */
  call: number;
  /** Whether this call was drawn. */
  convened: boolean;
  /** By seat. */
  jurors: JurorState[];
}

/** Who sits in a seat of a jury. */
export interface JurorState {
  node: string;
  /** Whether it has cast its ballot. */
  cast: boolean;
  /** Whether it has opened it. */
  shown: boolean;
}

/** What the registry keeps of a class; runtime `none` if there is no such class. */
export interface ClassState {
  runtime: Runtime;
  fullSlash: boolean;
  slotStake: bigint;
  priceFloor: bigint;
  /** Places of the pool, holes included. */
  slots: number;
  /** Different nodes in it. */
  nodes: number;
}

/** A node's stake in one market, base units. */
export interface NodeState {
  /** All of it. */
  stake: bigint;
  /** Behind open assignments and seats. */
  committed: bigint;
  /** Behind pool slots. */
  backing: bigint;
}

/** Stake on its way out. */
export interface Unbonding {
  amount: bigint;
  /** Seconds. */
  availableAt: number;
}

/** Money set aside in the vault. */
export interface Lock {
  /** The zero address if there is no such lock. */
  holder: string;
  amount: bigint;
}

/** What is stored of a schema of evaluated jobs. */
export interface SchemaState {
  /** Who registered it and releases new versions. */
  registrant: string;
  /** Base units; so is the next. */
  minimumDeposit: bigint;
  challengeFee: bigint;
  /** Released so far; 0: there is no such schema. */
  releases: number;
  /** Bits, see `rewardFunctionsIn`. */
  rewardFunctions: number;
  /** Content id of the newest release: 32 bytes, hexadecimal. */
  release: string;
}

/** What a market was deployed with. */
export function parameters(rpc: JsonRpc, market: string, options?: ReadOptions): Promise<Parameters> {
  return read(rpc, market, marketInterface, "parameters", [], options);
}

/** How many batches of a job were posted. */
export function batchesOf(rpc: JsonRpc, market: string, job: string, options?: ReadOptions): Promise<bigint> {
  return read(rpc, market, marketInterface, "batchesOf", [job], options);
}

/** What is stored of a batch. */
export function batchState(rpc: JsonRpc, market: string, batchId: string, options?: ReadOptions): Promise<BatchState> {
  return read(rpc, market, marketInterface, "batchState", [batchId], options);
}

/** E of a revealed batch; the captured block hash before that. */
export function entropyOf(rpc: JsonRpc, market: string, batchId: string, options?: ReadOptions): Promise<string> {
  return read(rpc, market, marketInterface, "entropyOf", [batchId], options);
}

/** What is stored of a panel. */
export function panelState(
  rpc: JsonRpc,
  market: string,
  batchId: string,
  assignment: number,
  options?: ReadOptions,
): Promise<PanelState> {
  return read(rpc, market, marketInterface, "panelState", [batchId, assignment], options);
}

/** What is stored of a dispute. */
export function disputeOf(
  rpc: JsonRpc,
  market: string,
  batchId: string,
  assignment: number,
  options?: ReadOptions,
): Promise<DisputeState> {
  return read(rpc, market, marketInterface, "disputeOf", [batchId, assignment], options);
}

/** The digest that members (tier 0) or a jury (1, 2) agreed on; zero for no majority, or not yet. */
export function rulingOf(
  rpc: JsonRpc,
  market: string,
  ruling: { batchId: string; assignment: number; tier: number },
  options?: ReadOptions,
): Promise<string> {
  const { batchId, assignment, tier } = ruling;
  return read(rpc, market, marketInterface, "rulingOf", [batchId, assignment, tier], options);
}

/** The digest that a member opened; zero before. */
export function openedBy(
  rpc: JsonRpc,
  market: string,
  opening: { batchId: string; assignment: number; member: number },
  options?: ReadOptions,
): Promise<string> {
  const { batchId, assignment, member } = opening;
  return read(rpc, market, marketInterface, "openedBy", [batchId, assignment, member], options);
}

/** A jury and who sits on it. */
export async function juryOf(
  rpc: JsonRpc,
  market: string,
  jury: { batchId: string; assignment: number; tier: number },
  options?: ReadOptions,
): Promise<JuryState> {
  const args = [jury.batchId, jury.assignment, jury.tier];
  // The function's outputs have no names.
  type Outputs = { 0: Omit<JuryState, "jurors">; 1: JurorState[] };
  const { 0: state, 1: jurors } = await read<Outputs>(rpc, market, marketInterface, "juryOf", args, options);
  return { ...state, jurors };
}

/** What backs an exception against an assignment of `count` tasks at `price`. */
export function reserve(
  rpc: JsonRpc,
  market: string,
  { terms, price, count }: { terms: Terms; price: bigint; count: number },
  options?: ReadOptions,
): Promise<Reserve> {
  return read(rpc, market, marketInterface, "reserve", [encodeTerms(terms), price, count], options);
}

/** What the registry keeps of a class. */
export function classState(
  rpc: JsonRpc,
  registry: string,
  market: string,
  classId: string,
  options?: ReadOptions,
): Promise<ClassState> {
  return read(rpc, registry, registryInterface, "classState", [market, classId], options);
}

/** A place of a pool. */
export function slotOf(
  rpc: JsonRpc,
  registry: string,
  place: { market: string; class: string; slot: number },
  options?: ReadOptions,
): Promise<Slot> {
  return read(rpc, registry, registryInterface, "slotOf", [place.market, place.class, place.slot], options);
}

/** A node's stake. */
export function nodeState(
  rpc: JsonRpc,
  registry: string,
  market: string,
  node: string,
  options?: ReadOptions,
): Promise<NodeState> {
  return read(rpc, registry, registryInterface, "nodeState", [market, node], options);
}

/** A node's stake on its way out. */
export function unbondingOf(
  rpc: JsonRpc,
  registry: string,
  market: string,
  node: string,
  options?: ReadOptions,
): Promise<Unbonding> {
  return read(rpc, registry, registryInterface, "unbondingOf", [market, node], options);
}

/** Least stake to take on anything new, base units. */
export function minStake(rpc: JsonRpc, registry: string, options?: ReadOptions): Promise<bigint> {
  return read(rpc, registry, registryInterface, "minStake", [], options);
}

/** Seconds between joining a pool and being drawn. */
export function activationDelay(rpc: JsonRpc, registry: string, options?: ReadOptions): Promise<number> {
  return read(rpc, registry, registryInterface, "activationDelay", [], options);
}

/** Seconds that unstaked money stays liable. */
export function unbondingPeriod(rpc: JsonRpc, registry: string, options?: ReadOptions): Promise<number> {
  return read(rpc, registry, registryInterface, "unbondingPeriod", [], options);
}

/** Money `holder` can withdraw from `ledger`, base units. */
export function available(
  rpc: JsonRpc,
  vault: string,
  ledger: string,
  holder: string,
  options?: ReadOptions,
): Promise<bigint> {
  return read(rpc, vault, vaultInterface, "available", [ledger, holder], options);
}

/** Who disposes of `holder`'s account of `ledger` in its place, EIP-55; undefined if it is not entrusted to anybody. */
export async function ownerOf(
  rpc: JsonRpc,
  vault: string,
  ledger: string,
  holder: string,
  options?: ReadOptions,
): Promise<string | undefined> {
  const owner = await read<string>(rpc, vault, vaultInterface, "ownerOf", [ledger, holder], options);
  return owner === ZeroAddress ? undefined : owner;
}

/** What is set aside under an id: a batch's own, or `stakeLockIdOf` a node. */
export function lockedUnder(
  rpc: JsonRpc,
  vault: string,
  ledger: string,
  id: string,
  options?: ReadOptions,
): Promise<Lock> {
  return read(rpc, vault, vaultInterface, "lockOf", [ledger, id], options);
}

/** What the vault owes, base units: all accounts, locks and what was burned but not swept. */
export function vaultTotal(rpc: JsonRpc, vault: string, options?: ReadOptions): Promise<bigint> {
  return read(rpc, vault, vaultInterface, "total", [], options);
}

/** What was burned and not swept yet, base units. */
export function vaultBurned(rpc: JsonRpc, vault: string, options?: ReadOptions): Promise<bigint> {
  return read(rpc, vault, vaultInterface, "burned", [], options);
}

/** Tokens of an account outside the vault, base units. */
export function balanceOf(rpc: JsonRpc, token: string, account: string, options?: ReadOptions): Promise<bigint> {
  return read(rpc, token, tokenInterface, "balanceOf", [account], options);
}

/** How many of `owner`'s tokens `spender` may take, base units. */
export function allowance(
  rpc: JsonRpc,
  token: string,
  owner: string,
  spender: string,
  options?: ReadOptions,
): Promise<bigint> {
  return read(rpc, token, tokenInterface, "allowance", [owner, spender], options);
}

/** A token's symbol. */
export function symbol(rpc: JsonRpc, token: string, options?: ReadOptions): Promise<string> {
  return read(rpc, token, tokenInterface, "symbol", [], options);
}

/** A token's decimals. */
export function decimals(rpc: JsonRpc, token: string, options?: ReadOptions): Promise<number> {
  return read(rpc, token, tokenInterface, "decimals", [], options);
}

/** What is stored of a schema of evaluated jobs. */
export function schemaState(
  rpc: JsonRpc,
  schemas: string,
  schema: string,
  options?: ReadOptions,
): Promise<SchemaState> {
  return read(rpc, schemas, schemasInterface, "schemaOf", [schema], options);
}

/**
 * Reads a value that nothing above names.
 *
 * @param contract Interface that has the function.
 * @returns The function's only output as plain data, or an object of them if there are several: by name, or by place.
 * @throws `READ_MALFORMED` if the answer does not decode, which is also what an address without code answers.
 */
export async function read<T>(
  rpc: JsonRpc,
  to: string,
  contract: Interface,
  name: string,
  args: readonly unknown[],
  { blockNumber, signal }: ReadOptions = {},
): Promise<T> {
  const data = contract.encodeFunctionData(name, args);
  const block = blockNumber === undefined ? "latest" : `0x${blockNumber.toString(16)}`;
  const answer = await rpc.request("eth_call", [{ to, data }, block], { signal });
  const outputs = contract.getFunction(name)?.outputs ?? [];
  try {
    const values = contract.decodeFunctionResult(name, String(answer));
    return (outputs.length === 1 ? plainValue(outputs[0] as ParamType, values[0]) : plainObject(outputs, values)) as T;
  } catch (cause) {
    throw new SuretyError("READ_MALFORMED", `${name} of ${to} answered ${String(answer).slice(0, 100)}`, {
      details: { to, name, actual: String(answer).slice(0, 100) },
      fix: "Check the address and the chain: there may be no such contract.",
      exit: ExitStatus.unavailable,
      cause,
    });
  }
}
