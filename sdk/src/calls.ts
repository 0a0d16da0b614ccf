import type { BytesLike, Interface } from "ethers";

import type { Opening } from "./commitment.ts";
import { contractCall as call, type ContractCall } from "./contract-call.ts";
import { marketInterface, registryInterface, tokenInterface, vaultInterface } from "./market-abi.ts";
import {
  encodeBatch,
  encodeClass,
  encodeException,
  encodeSettlement,
  encodeTerms,
  MATTERS,
  type Batch,
  type Exception,
  type HostClass,
  type Matter,
  type SeatId,
  type Settlement,
  type Submission,
  type Terms,
} from "./terms.ts";

export type { ContractCall } from "./contract-call.ts";

/** What names an open batch to the market, which keeps only hashes. */
export interface BatchArguments {
  terms: Terms;
  batch: Batch;
}

/** What a member publishes with its commitment. */
export interface Publication {
  /** Merkle root of the commitments, 32 bytes, hexadecimal. */
  root: string;
  /** Content id of the encrypted manifest, 32 bytes, hexadecimal. */
  manifest: string;
  /** Sealed for the requester. */
  envelope: BytesLike;
}

// --- Market --------------------------------------------------------------------------------------------------------

/** Posts a batch of `count` tasks. */
export function post(
  market: string,
  { terms, count, manifest, seedCommitment }: { terms: Terms; count: number; manifest: string; seedCommitment: string },
): ContractCall {
  return call(market, () =>
    marketInterface.encodeFunctionData("post", [encodeTerms(terms), count, manifest, seedCommitment]),
  );
}

/** Changes the price of a batch nobody claimed of, once. */
export function rebid(market: string, { terms, batch, price }: BatchArguments & { price: bigint }): ContractCall {
  return call(market, () =>
    marketInterface.encodeFunctionData("rebid", [encodeTerms(terms), encodeBatch(batch), price]),
  );
}

/** Claims the next `count` tasks with the caller's `slot`, at `minPrice` or better. */
export function claim(
  market: string,
  { terms, batch, slot, count, minPrice }: BatchArguments & { slot: number; count: number; minPrice: bigint },
): ContractCall {
  return call(market, () =>
    marketInterface.encodeFunctionData("claim", [encodeTerms(terms), encodeBatch(batch), slot, count, minPrice]),
  );
}

/** Claims the slice of an assignment that is void, or whose deadline has passed. */
export function reclaim(
  market: string,
  { terms, batch, slot, assignment, minPrice }: BatchArguments & { slot: number; assignment: number; minPrice: bigint },
): ContractCall {
  return call(market, () =>
    marketInterface.encodeFunctionData("reclaim", [encodeTerms(terms), encodeBatch(batch), slot, assignment, minPrice]),
  );
}

/** Commits to the results of an assignment. */
export function submit(
  market: string,
  { batchId, assignment, root, manifest, envelope }: Publication & { batchId: string; assignment: number },
): ContractCall {
  return call(market, () =>
    marketInterface.encodeFunctionData("submit", [batchId, assignment, root, manifest, envelope]),
  );
}

/** Voids an assignment whose deadline has passed. */
export function expire(
  market: string,
  { terms, batch, assignment }: BatchArguments & { assignment: number },
): ContractCall {
  return call(market, () =>
    marketInterface.encodeFunctionData("expire", [encodeTerms(terms), encodeBatch(batch), assignment]),
  );
}

/** Seals a batch whose claim window has passed and that has nothing pending. */
export function seal(market: string, { terms, batch }: BatchArguments): ContractCall {
  return call(market, () => marketInterface.encodeFunctionData("seal", [encodeTerms(terms), encodeBatch(batch)]));
}

/** Stores the hash of the entropy block. */
export function capture(market: string, { batchId }: { batchId: string }): ContractCall {
  return call(market, () => marketInterface.encodeFunctionData("capture", [batchId]));
}

/** Shows the seed. */
export function reveal(market: string, { terms, batch, seed }: BatchArguments & { seed: string }): ContractCall {
  return call(market, () =>
    marketInterface.encodeFunctionData("reveal", [encodeTerms(terms), encodeBatch(batch), seed]),
  );
}

/** Answers from a seat of a panel. */
export function answer(
  market: string,
  request: BatchArguments & Publication & { seat: SeatId; submission: Submission },
): ContractCall {
  const { terms, batch, seat, submission, root, manifest, envelope } = request;
  return call(market, () =>
    marketInterface.encodeFunctionData("answer", [
      encodeTerms(terms),
      encodeBatch(batch),
      seat,
      submission,
      root,
      manifest,
      envelope,
    ]),
  );
}

/** Calls for the full quorum. */
export function escalate(
  market: string,
  { terms, batch, assignment, submission }: BatchArguments & { assignment: number; submission: Submission },
): ContractCall {
  return call(market, () =>
    marketInterface.encodeFunctionData("escalate", [encodeTerms(terms), encodeBatch(batch), assignment, submission]),
  );
}

/** Opens another round of a panel where too few answered in time. */
export function redraw(
  market: string,
  { terms, batch, assignment, submission }: BatchArguments & { assignment: number; submission: Submission },
): ContractCall {
  return call(market, () =>
    marketInterface.encodeFunctionData("redraw", [encodeTerms(terms), encodeBatch(batch), assignment, submission]),
  );
}

/** Lists exceptions; `last` ends the judging. */
export function judge(
  market: string,
  { terms, batch, exceptions, last }: BatchArguments & { exceptions: readonly Exception[]; last: boolean },
): ContractCall {
  return call(market, () =>
    marketInterface.encodeFunctionData("judge", [
      encodeTerms(terms),
      encodeBatch(batch),
      exceptions.map(encodeException),
      last,
    ]),
  );
}

/** Settles assignments. */
export function settle(
  market: string,
  { terms, batch, settlements }: BatchArguments & { settlements: readonly Settlement[] },
): ContractCall {
  return call(market, () =>
    marketInterface.encodeFunctionData("settle", [
      encodeTerms(terms),
      encodeBatch(batch),
      settlements.map(encodeSettlement),
    ]),
  );
}

/** Shows the seed and settles, for the requester only. */
export function revealAndSettle(
  market: string,
  { terms, batch, seed, settlements }: BatchArguments & { seed: string; settlements: readonly Settlement[] },
): ContractCall {
  return call(market, () =>
    marketInterface.encodeFunctionData("revealAndSettle", [
      encodeTerms(terms),
      encodeBatch(batch),
      seed,
      settlements.map(encodeSettlement),
    ]),
  );
}

// --- Disputes ------------------------------------------------------------------------------------------------------

/** What every step of a dispute takes. */
export interface DisputeArguments extends BatchArguments {
  /** The whole panel of the assignment: `settlementOf` it. */
  panel: Settlement;
}

/** A juror's ballot, opened. */
export interface OpenedBallot {
  /** Of the jury. */
  seat: number;
  /** The task's output root, or `DELIVERED` or `UNDELIVERED`; 32 bytes, hexadecimal. */
  value: string;
  /** 32 bytes, hexadecimal. */
  salt: string;
}

/** Calls on the panel to open the witness task, by a member, before the exception's challenge window ends. */
export function challenge(market: string, request: DisputeArguments): ContractCall {
  return disputeCall(market, "challenge", request);
}

/** Calls on the panel to open where the requester did not judge. */
export function callPanel(market: string, request: DisputeArguments): ContractCall {
  return disputeCall(market, "callPanel", request);
}

/**
 * Contests the primary's result of `task` (`work`, `member` is 0), or that `member` delivered (`delivery`, `task` is 0).
 */
export function contest(
  market: string,
  request: DisputeArguments & { matter: Matter; task: number; member: number },
): ContractCall {
  const { matter, task, member } = request;
  return disputeCall(market, "contest", request, MATTERS.indexOf(matter), task, member);
}

/** Stands by one's work against a contest. `evidence` is empty but for a delivery, see `deliveryEvidence`. */
export function answerContest(market: string, request: DisputeArguments & { evidence: BytesLike }): ContractCall {
  return disputeCall(market, "answerContest", request, request.evidence);
}

/** Shows what a member committed to for the dispute's task. */
export function open(
  market: string,
  request: DisputeArguments & { member: number; opening: Opening; proof: readonly string[] },
): ContractCall {
  const { member, opening, proof } = request;
  return disputeCall(market, "open", request, member, opening, proof);
}

/** Ends a step whose deadline has passed or in which everybody has done its part. */
export function rule(market: string, request: DisputeArguments): ContractCall {
  return disputeCall(market, "rule", request);
}

/** Calls for the next jury. */
export function appeal(market: string, request: DisputeArguments): ContractCall {
  return disputeCall(market, "appeal", request);
}

/** Draws the jury. */
export function convene(market: string, request: DisputeArguments): ContractCall {
  return disputeCall(market, "convene", request);
}

/** Commits to a juror's result: `ballotOf` it. */
export function castBallot(market: string, request: DisputeArguments & { seat: number; ballot: string }): ContractCall {
  return disputeCall(market, "castBallot", request, request.seat, request.ballot);
}

/** Opens a ballot. */
export function openBallot(market: string, request: DisputeArguments & OpenedBallot): ContractCall {
  return disputeCall(market, "openBallot", request, request.seat, request.value, request.salt);
}

/** Shows another's ballot while it should be secret. */
export function exposeBallot(market: string, request: DisputeArguments & OpenedBallot): ContractCall {
  return disputeCall(market, "exposeBallot", request, request.seat, request.value, request.salt);
}

/** Settles an excepted or disputed assignment once nobody can challenge or appeal any more. */
export function conclude(market: string, request: DisputeArguments): ContractCall {
  return disputeCall(market, "conclude", request);
}

// --- Registry ------------------------------------------------------------------------------------------------------

/** Names a place in the pool of a class. */
export interface SlotArguments {
  market: string;
  /** Id of the class. */
  class: string;
  slot: number;
}

/** Makes a class. */
export function createClass(registry: string, terms: HostClass): ContractCall {
  return call(registry, () => registryInterface.encodeFunctionData("createClass", [encodeClass(terms)]));
}

/** Moves available money in the registry's ledger into the caller's stake in `market`. */
export function stake(registry: string, { market, amount }: { market: string; amount: bigint }): ContractCall {
  return call(registry, () => registryInterface.encodeFunctionData("stake", [market, amount]));
}

/** As {@link stake}, for `node`, by the owner that its account is entrusted to. */
export function stakeFor(
  registry: string,
  { market, node, amount }: { market: string; node: string; amount: bigint },
): ContractCall {
  return call(registry, () => registryInterface.encodeFunctionData("stakeFor", [market, node, amount]));
}

/** Starts taking stake out. */
export function unstake(registry: string, { market, amount }: { market: string; amount: bigint }): ContractCall {
  return call(registry, () => registryInterface.encodeFunctionData("unstake", [market, amount]));
}

/** As {@link unstake}, for `node`, by the owner that its account is entrusted to. */
export function unstakeFor(
  registry: string,
  { market, node, amount }: { market: string; node: string; amount: bigint },
): ContractCall {
  return call(registry, () => registryInterface.encodeFunctionData("unstakeFor", [market, node, amount]));
}

/** Takes what is unbonded to the caller's available money in the registry's ledger. */
export function withdrawStake(registry: string, { market }: { market: string }): ContractCall {
  return call(registry, () => registryInterface.encodeFunctionData("withdrawStake", [market]));
}

/** As {@link withdrawStake}, for `node`, by the owner that its account is entrusted to. */
export function withdrawStakeFor(registry: string, { market, node }: { market: string; node: string }): ContractCall {
  return call(registry, () => registryInterface.encodeFunctionData("withdrawStakeFor", [market, node]));
}

/** Takes a place of a pool: a hole, or the place after the last. */
export function joinPool(registry: string, place: SlotArguments): ContractCall {
  return call(registry, () =>
    registryInterface.encodeFunctionData("joinPool", [place.market, place.class, place.slot]),
  );
}

/** As {@link joinPool}, for `node`, by the owner that its account is entrusted to. */
export function joinPoolFor(registry: string, { node, ...place }: SlotArguments & { node: string }): ContractCall {
  return call(registry, () =>
    registryInterface.encodeFunctionData("joinPoolFor", [place.market, place.class, node, place.slot]),
  );
}

/** Stops serving with a slot; by the node, or the owner that its account is entrusted to. */
export function leavePool(registry: string, place: SlotArguments): ContractCall {
  return call(registry, () =>
    registryInterface.encodeFunctionData("leavePool", [place.market, place.class, place.slot]),
  );
}

/** Frees a slot that was left long enough ago. */
export function freeSlot(registry: string, place: SlotArguments): ContractCall {
  return call(registry, () =>
    registryInterface.encodeFunctionData("freeSlot", [place.market, place.class, place.slot]),
  );
}

/** Makes a node whose losses ate its backing leave a slot. */
export function evict(registry: string, place: SlotArguments): ContractCall {
  return call(registry, () => registryInterface.encodeFunctionData("evict", [place.market, place.class, place.slot]));
}

// --- Vault and token -----------------------------------------------------------------------------------------------

/** Brings `amount` from the caller into `holder`'s account of `ledger`; needs an allowance, see {@link approve}. */
export function deposit(
  vault: string,
  { ledger, holder, amount }: { ledger: string; holder: string; amount: bigint },
): ContractCall {
  return call(vault, () => vaultInterface.encodeFunctionData("deposit", [ledger, holder, amount]));
}

/**
 * Gives `holder`'s account of `ledger` into the hands of `owner`: by the holder the first time, by the owner from then
 * on. There is no way back but another owner.
 */
export function entrust(
  vault: string,
  { ledger, holder, owner }: { ledger: string; holder: string; owner: string },
): ContractCall {
  return call(vault, () => vaultInterface.encodeFunctionData("entrust", [ledger, holder, owner]));
}

/** Sends `amount` of the caller's available money in `ledger` to `to`; if it is entrusted, only to its owner. */
export function withdraw(
  vault: string,
  { ledger, amount, to }: { ledger: string; amount: bigint; to: string },
): ContractCall {
  return call(vault, () => vaultInterface.encodeFunctionData("withdraw", [ledger, amount, to]));
}

/** As {@link withdraw}, out of `holder`'s account, by the owner it is entrusted to. */
export function withdrawFor(
  vault: string,
  { ledger, holder, amount, to }: { ledger: string; holder: string; amount: bigint; to: string },
): ContractCall {
  return call(vault, () => vaultInterface.encodeFunctionData("withdrawFor", [ledger, holder, amount, to]));
}

/** Moves `amount` of the caller's available money between ledgers; not out of an entrusted account. */
export function move(vault: string, { from, to, amount }: { from: string; to: string; amount: bigint }): ContractCall {
  return call(vault, () => vaultInterface.encodeFunctionData("move", [from, to, amount]));
}

/** Sends what was burned out of circulation. */
export function sweepBurned(vault: string): ContractCall {
  return call(vault, () => vaultInterface.encodeFunctionData("sweepBurned"));
}

/** Lets `spender` take up to `amount` of the caller's tokens. */
export function approve(token: string, { spender, amount }: { spender: string; amount: bigint }): ContractCall {
  return call(token, () => tokenInterface.encodeFunctionData("approve", [spender, amount]));
}

/** Sends tokens. */
export function transfer(token: string, { to, amount }: { to: string; amount: bigint }): ContractCall {
  return call(token, () => tokenInterface.encodeFunctionData("transfer", [to, amount]));
}

/** The steps of a dispute begin with the same three arguments. */
function disputeCall(
  market: string,
  name: DisputeFunction,
  { terms, batch, panel }: DisputeArguments,
  ...rest: unknown[]
): ContractCall {
  return call(market, () =>
    (marketInterface as Interface).encodeFunctionData(name, [
      encodeTerms(terms),
      encodeBatch(batch),
      encodeSettlement(panel),
      ...rest,
    ]),
  );
}

type DisputeFunction =
  | "challenge"
  | "callPanel"
  | "contest"
  | "answerContest"
  | "open"
  | "rule"
  | "appeal"
  | "convene"
  | "castBallot"
  | "openBallot"
  | "exposeBallot"
  | "conclude";
