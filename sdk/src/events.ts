import type { RawEvent } from "./event-store.ts";
import { logDecoder, type EventPlace } from "./log-decoder.ts";
import { marketInterface, registryInterface, vaultInterface } from "./market-abi.ts";
import type { Batch, HostClass, Matter, Outcome, Terms, Verdict } from "./terms.ts";

export type { EventPlace } from "./log-decoder.ts";

/** Which assignment of which batch. */
interface AssignmentRef {
  /** Of the batch. */
  id: string;
  /** Index in the batch. */
  assignment: number;
}

/** Which seat, and whose it is. */
interface SeatRef extends AssignmentRef {
  node: string;
  round: number;
  seat: number;
}

/** Which seat of a jury, and whose it is. */
interface JurorRef extends AssignmentRef {
  node: string;
  /** 1 or 2. */
  tier: number;
  seat: number;
}

/** A credit out of a lock of the vault. */
export interface Payment {
  /** Whose available money grows. */
  to: string;
  /** Base units. */
  amount: bigint;
}

/**
 * What the contracts tell, by name. Ids, roots, seeds and content ids are 32 bytes in hexadecimal, addresses have their
 * checksum, times are seconds, amounts base units.
 */
export interface EventArguments {
  /** Terms used for the first time. */
  JobOpened: { job: string; requester: string; terms: Terms };
  /** A batch can be claimed until the event's time + `windows.claim`. */
  BatchPosted: { id: string; job: string; batch: Batch; escrow: bigint; bond: bigint };
  /** The price of a still unclaimed batch changed. */
  BatchRebid: { id: string; price: bigint };
  /** `node` must submit tasks `first` … `first+count-1` by `deadline`. */
  Claimed: AssignmentRef & { node: string; first: number; count: number; deadline: number };
  /** `node` did not submit in time and was fined. */
  Voided: AssignmentRef & { node: string; fined: bigint };
  /** A node committed to its results. */
  Submitted: AssignmentRef & { node: string; root: string; manifest: string; envelope: string };
  /** Nothing more can be submitted; the hash of block `entropyBlock` decides what is sampled. */
  Sealed: { id: string; entropyBlock: number };
  /** The entropy block's hash was stored. */
  EntropyCaptured: { id: string; entropyHash: string };
  /** The seed is public; `entropy` decides what is sampled and who verifies. */
  Revealed: { id: string; seed: string; entropy: string };
  /** A verifier committed to its results. */
  Answered: SeatRef & { root: string; manifest: string; envelope: string };
  /** A later round of a panel begins; the hash of block `entropyBlock` decides its draw. */
  RoundOpened: AssignmentRef & { round: number; seats: number; entropyBlock: number; escalation: boolean };
  /** The hash that decides a later round's draw was stored. */
  RoundCaptured: AssignmentRef & { round: number; entropyHash: string };
  /** A drawn verifier did not answer in time. */
  Absent: SeatRef & { fined: bigint };
  /** The requester accuses; `accused` is the zero address where there is no majority. */
  Excepted: AssignmentRef & { verdict: Verdict; witness: number; accused: string };
  /** The requester has listed all its exceptions. */
  Judged: { id: string };
  /** The requester was silent: the fixed part of its bond is burned. */
  BondBurned: { id: string; amount: bigint };
  /** A dispute began. `by` is the challenger, whoever called the panel, or the requester. */
  Disputed: AssignmentRef & { matter: Matter; by: string; task: number; member: number; deadline: number };
  /** The accused of a contest stands by its work. `evidence` is empty but for a delivery: see `deliveryEvidence`. */
  ContestAnswered: AssignmentRef & { node: string; evidence: string };
  /** Member `member` committed to `digest` for the dispute's task. */
  Opened: AssignmentRef & { member: number; digest: string };
  /** `digest` is right until appealed; zero if there was no majority. `deadline` 0: it is final. */
  Ruled: AssignmentRef & { tier: number; digest: string; deadline: number };
  /** A jury is called; the hash of block `entropyBlock` decides its draw. `call` 1: for seats that stayed empty. */
  JuryCalled: AssignmentRef & {
    tier: number;
    call: number;
    appellant: string;
    seats: number;
    entropyBlock: number;
    deadline: number;
  };
  /** A call's draw is done: the jury has `seats` in all, fewer than were called if the pool had no more. */
  JuryConvened: AssignmentRef & { tier: number; call: number; seats: number };
  /** `node` sits in `seat` of a jury. */
  JurorSeated: JurorRef;
  /** A juror committed to its result. */
  BallotCast: JurorRef;
  /** Ballots can be opened until `deadline`. */
  BallotsClosed: AssignmentRef & { tier: number; deadline: number };
  /** A juror's result is `digest`, which follows from `value`. */
  BallotOpened: JurorRef & { value: string; digest: string };
  /** Somebody knew a juror's ballot while it was secret: it counts no more, and `reward` of its stake is gone. */
  BallotExposed: JurorRef & { by: string; reward: bigint };
  /** A member did not open, or a juror did not cast or open, in time. */
  Missed: AssignmentRef & { node: string; fined: bigint };
  /** The requester accused falsely: `amount` of its bond is gone. */
  FalselyAccused: AssignmentRef & { amount: bigint };
  /** An assignment ended. `paid` went to its members; `accused` has a bit for each that was slashed: 0 the primary, i+1 the i-th answer. */
  Settled: AssignmentRef & { outcome: Outcome; paid: bigint; accused: bigint; penalty: bigint };
  /** Nothing of the batch is open; what was left went back to the requester. */
  BatchClosed: { id: string };

  /** A new kind of host can be offered. */
  ClassCreated: { class: string; market: string; terms: HostClass };
  /** `node` added `amount` to its stake, which is now `stake`. */
  Staked: { market: string; node: string; amount: bigint; stake: bigint };
  /** `node` took `amount` out of its stake; it can be withdrawn from `availableAt` on. */
  Unstaked: { market: string; node: string; amount: bigint; availableAt: number };
  /** Unbonded stake went back to the node's available money in the registry's ledger. */
  StakeWithdrawn: { market: string; node: string; amount: bigint };
  /** `node` holds `slot` of the class's pool. */
  Joined: { class: string; node: string; slot: number; activeFrom: number };
  /** `node` serves nothing that is sealed from `leftAt` on. */
  Left: { class: string; node: string; slot: number; leftAt: number };
  /** The slot is a hole again and its backing free. */
  SlotFreed: { class: string; node: string; slot: number };
  /** `node` lost `amount` of stake; `rewarded` of it went to members that were right, the rest was burned. */
  Slashed: { market: string; node: string; amount: bigint; rewarded: bigint };
  /** `node` was fined; `taken` is what it had left of `amount`. Burned. */
  Fined: { market: string; node: string; amount: bigint; taken: bigint };

  /** Money arrived in `holder`'s account of `ledger`. */
  Deposited: { ledger: string; holder: string; amount: bigint };
  /** `owner` disposes of `holder`'s account of `ledger` from now on. */
  Entrusted: { ledger: string; holder: string; owner: string };
  /** Money left `holder`'s account of `ledger` to `to`. */
  Withdrawn: { ledger: string; holder: string; to: string; amount: bigint };
  /** `holder` moved its own available money between ledgers. */
  Moved: { from: string; to: string; holder: string; amount: bigint };
  /** `amount` of `holder`'s available money was set aside under `id`. */
  Locked: { ledger: string; id: string; holder: string; amount: bigint };
  /** Money left the lock `id`: to accounts, to the fire, and, if it ended, the remainder to its holder. */
  Released: { ledger: string; id: string; payments: Payment[]; burned: bigint; returned: bigint };
  /** Burned money was sent out of circulation. */
  Swept: { amount: bigint };
}

/** The name of an event of market, registry or vault. */
export type EventName = keyof EventArguments;

/** One event of a given name: its arguments beside its place in the chain. */
export type EventOf<Name extends EventName> = { name: Name } & EventArguments[Name] & EventPlace;

/** Any event of market, registry or vault; `name` tells which. */
export type SuretyEvent = { [Name in EventName]: EventOf<Name> }[EventName];

const decode = logDecoder([marketInterface, registryInterface, vaultInterface]);

/**
 * Decodes a log of market, registry or vault; see {@link logDecoder}.
 *
 * @returns undefined for a log of another kind.
 * @throws `EVENT_MALFORMED` if it has a signature of ours and does not decode.
 *
 * @example
 * ```ts
 * const event = decodeEvent(raw);
 * if (event?.name === "Claimed") console.log(event.node, event.first, event.count);
 * ```
 */
export function decodeEvent(raw: RawEvent): SuretyEvent | undefined {
  return decode(raw) as SuretyEvent | undefined;
}
