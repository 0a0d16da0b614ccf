import { keccak256, toUtf8Bytes } from "ethers";
import { PRIMARY } from "#sdk/context.ts";
import { membersOf } from "#sdk/dispute.ts";
import { panelStatus, type AssignmentRecord, type BatchRecord } from "#sdk/market-state.ts";
import type { Parameters } from "#sdk/terms.ts";

/** A part in an assignment: of the primary, or of a seat. */
export interface Part {
  batchId: string;
  assignment: number;
  /** That of `PRIMARY` for an assignment of one's own. */
  round: number;
  seat: number;
  /** Indices in the batch. */
  tasks: number[];
}

/** What decides, beside the market's state. */
export interface ComputeFacts {
  /** The node's address. */
  me: string;
  /** Time of the newest block, seconds. */
  now: number;
  /** Number of the newest block. */
  block: number;
  /** Blocks up to this number are final. */
  finalBlock: number;
  parameters: Parameters;
  /** Hashes of entropy blocks by number, as far as known. */
  hashes: ReadonlyMap<number, string>;
  /** How many more assignments the node can take on. */
  free: number;
  /** Stake that backs nothing yet, base units. */
  freeStake: bigint;
  /** Stake that is not committed, base units: that behind places in the pool can back ballots and bonds too. */
  uncommitted: bigint;
  /**
   * Whether the node, running a task of its part again, found what it had committed to; undefined while it has not run
   * it again.
   */
  agrees: (part: Part, task: number) => boolean | undefined;
  policy: ComputePolicy;
}

/** What its operator decided. */
export interface ComputePolicy {
  /** Id of the class it serves. */
  class: string;
  /** Least price of a task, base units. */
  minPrice: bigint;
  /** How long to leave what anybody may do to those it is due from, seconds. */
  patience: number;
}

/** Blocks after which a node makes use of an entropy block that nobody used; every chain tells the hashes of 256. */
export const UNUSED_AFTER = 64;

/**
 * What a member of an assignment's panel ran.
 *
 * @param member Its number.
 * @returns undefined if there is no such member, or nothing was sampled for its seat.
 */
export function partOf(
  record: BatchRecord,
  assignment: AssignmentRecord,
  member: number,
  { parameters }: Pick<ComputeFacts, "parameters">,
): Part | undefined {
  const who = membersOf(assignment)[member];
  if (!who) return undefined;
  const { index, first, count } = assignment;
  const { round, seat } = who;
  const own = Array.from({ length: count }, (_, place) => first + place);
  const tasks = round === PRIMARY.round ? own : panelStatus(record, assignment, parameters)?.tasks;
  return tasks && { batchId: record.id, assignment: index, round, seat, tasks };
}

/**
 * Whether it is this node's turn to do what anybody may do after `from`. Each node waits for another multiple of the
 * patience, so that seldom two pay for the same step.
 */
export function isMyTurn({ me, now, policy }: ComputeFacts, { id }: BatchRecord, from: number, step: string): boolean {
  const place = Number(BigInt(keccak256(toUtf8Bytes(`${me} ${id} ${step}`))) % 4n);
  return now > from + policy.patience * (1 + place);
}
