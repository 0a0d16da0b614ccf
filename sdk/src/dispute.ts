import { ZeroHash } from "ethers";

import { UNDELIVERED } from "./commitment.ts";
import { PRIMARY } from "./context.ts";
import type { SuretyEvent } from "./events.ts";
import type { AnswerRecord, AssignmentRecord, BatchRecord } from "./market-state.ts";
import { juryBond, MAX_TIER } from "./pricing.ts";
import { juryRuling, panelRuling } from "./settlement.ts";
import { isContest, type Matter, type Stage } from "./terms.ts";

/** Who sits in a seat of a jury, and what it did there. */
export interface JurorRecord {
  node: string;
  seat: number;
  /** Whether it has cast a ballot that nobody exposed. */
  cast: boolean;
  /** What it opened: the task's output root, or `DELIVERED` or `UNDELIVERED`. */
  value?: string;
  /** What counts of that: the task's digest; for a `delivery` the value itself. */
  digest?: string;
  /** Somebody knew its ballot while it was secret. */
  exposed?: boolean;
}

/** A jury: who called for it and who sits on it. */
export interface JuryRecord {
  /** 1 or 2. */
  tier: number;
  /** Who called for it. */
  appellant: string;
  /** Found when it was drawn; before that, how many were called. */
  seats: number;
  /** 0 the first draw, 1 that of the seats that stayed empty. */
  call: number;
  /** Block whose hash decides the draw. */
  entropyBlock: number;
  /** End of the casting, seconds. */
  deadline: number;
  /** Whether this call was drawn. */
  convened: boolean;
  /** By seat. */
  jurors: JurorRecord[];
  /** Who lost its seat to the second call. */
  replaced: string[];
}

/** A dispute and everything its events say. */
export interface DisputeRecord {
  matter: Matter;
  /** The challenger, whoever called the panel, or the requester. */
  by: string;
  /** That everything is about; index in the batch. 0 for a `delivery`. */
  task: number;
  /** The accused of a `delivery`; 0, the primary, otherwise. */
  member: number;
  /** Which step is due. */
  stage: Stage;
  /** Juries called so far: 0 … 2. */
  tier: number;
  /** End of the step, seconds; 0 where a ruling is final. */
  deadline: number;
  /** When it began, seconds. */
  at: number;
  /** When the step that is due began, seconds, and in which block: nothing in it is safe before that is final. */
  since: { at: number; block: number };
  /** When something happened in it last, seconds. */
  changedAt: number;
  /** What the accused of a contest gave, hexadecimal: `proofOfEvidence` for a `delivery`, else empty. */
  evidence?: string;
  /** What members committed to, by their numbers. */
  openings: Map<number, { digest: string; block: number }>;
  /** By tier; zero where there was no majority, and for tier 0 of a contest, which has none. */
  rulings: string[];
  /** Tier 1 first. */
  juries: JuryRecord[];
  /** Fines for not opening or not casting in time. */
  missed: { node: string; fined: bigint }[];
  /** What accusing falsely cost the requester, base units. */
  falselyAccused: bigint;
}

/** What becomes of a member: `unpaid` loses its pay and at most a fine, `slashed` of its lock too. */
export type Standing = "paid" | "unpaid" | "slashed";

/** What anybody may do to move a contended assignment on. */
export type DueStep = "rule" | "convene" | "conclude";

/** What an appeal takes. */
export interface AppealTerms {
  /** Of the jury: 1 or 2. */
  tier: number;
  /** Base units; 0 if the appellant's lock in the assignment stands for it. */
  bond: bigint;
  /** Where it is taken from: the requester's available money, or a node's stake. */
  from: "available" | "stake" | "lock";
}

/** Folds an event into the dispute of an assignment; events of other kinds are ignored. */
export function applyDisputeEvent(assignment: AssignmentRecord, event: SuretyEvent): void {
  if (event.name === "Disputed") {
    const { matter, by, task, member, deadline } = event;
    const stage = isContest(matter) ? "answering" : "opening";
    const empty = { openings: new Map(), rulings: [], juries: [], missed: [], falselyAccused: 0n };
    const { timestamp: at } = event;
    const time = { at, since: sinceOf(event), changedAt: at };
    assignment.status = "contended";
    assignment.dispute = { matter, by, task, member, stage, tier: 0, deadline, ...time, ...empty };
    return;
  }
  const { dispute } = assignment;
  if (!dispute) return;
  dispute.changedAt = event.timestamp;
  switch (event.name) {
    case "ContestAnswered":
      dispute.evidence = event.evidence;
      return;
    case "Opened":
      dispute.openings.set(event.member, { digest: event.digest, block: event.blockNumber });
      return;
    case "Ruled":
      // A contest begins with a jury: nobody ruled before.
      while (dispute.rulings.length < event.tier) dispute.rulings.push(ZeroHash);
      dispute.rulings[event.tier] = event.digest;
      dispute.stage = "ruled";
      dispute.deadline = event.deadline;
      dispute.since = sinceOf(event);
      return;
    case "JuryCalled": {
      const { tier, call, appellant, seats, entropyBlock, deadline } = event;
      const before = call === 0 ? undefined : dispute.juries[tier - 1];
      dispute.juries[tier - 1] = before
        ? { ...before, call, entropyBlock, deadline, convened: false }
        : { tier, appellant, seats, call, entropyBlock, deadline, convened: false, jurors: [], replaced: [] };
      dispute.tier = tier;
      dispute.stage = "casting";
      dispute.deadline = deadline;
      dispute.since = sinceOf(event);
      return;
    }
    case "JuryConvened": {
      const jury = dispute.juries[event.tier - 1];
      if (!jury) return;
      jury.convened = true;
      jury.seats = event.seats;
      return;
    }
    case "BallotsClosed":
      dispute.stage = "showing";
      dispute.deadline = event.deadline;
      dispute.since = sinceOf(event);
      return;
    case "Missed":
      dispute.missed.push({ node: event.node, fined: event.fined });
      return;
    case "FalselyAccused":
      dispute.falselyAccused += event.amount;
      return;
    case "JurorSeated":
    case "BallotCast":
    case "BallotOpened":
    case "BallotExposed":
      applyToJury(dispute, event);
      return;
    default:
  }
}

function sinceOf({ timestamp: at, blockNumber: block }: SuretyEvent): DisputeRecord["since"] {
  return { at, block };
}

type JurorEvent = Extract<SuretyEvent, { name: "JurorSeated" | "BallotCast" | "BallotOpened" | "BallotExposed" }>;

function applyToJury(dispute: DisputeRecord, event: JurorEvent): void {
  const jury = dispute.juries[event.tier - 1];
  if (!jury) return;
  const { node, seat } = event;
  const juror = jury.jurors.find((candidate) => candidate.seat === seat);
  if (event.name === "JurorSeated") {
    if (juror) jury.replaced.push(juror.node);
    jury.jurors = [...jury.jurors.filter((other) => other !== juror), { node, seat, cast: false }];
    jury.jurors.sort((a, b) => a.seat - b.seat);
    return;
  }
  if (!juror) return;
  if (event.name === "BallotCast") juror.cast = true;
  if (event.name === "BallotExposed") Object.assign(juror, { cast: false, exposed: true });
  if (event.name === "BallotOpened") Object.assign(juror, { value: event.value, digest: event.digest });
}

/**
 * The members of an assignment's panel by their numbers: 0 the primary, whose round and seat are those of `PRIMARY`,
 * i+1 whoever gave the i-th answer.
 *
 * @returns Nobody before anything was submitted.
 */
export function membersOf({ submission, answers }: AssignmentRecord): AnswerRecord[] {
  if (!submission) return [];
  const { node, root, content, manifest, envelope, block } = submission;
  return [{ node, root, content, manifest, envelope, block, ...PRIMARY }, ...answers];
}

/**
 * Which member of the panel a node is.
 *
 * @param node Address with its checksum.
 * @returns undefined if it is none.
 */
export function memberNumber(assignment: AssignmentRecord, node: string): number | undefined {
  const number = membersOf(assignment).findIndex((member) => member.node === node);
  return number < 0 ? undefined : number;
}

/** Numbers of the members that the requester accuses; nobody where it found no majority, and where it was silent. */
export function accusedOf(assignment: AssignmentRecord): number[] {
  const { dispute, exceptions } = assignment;
  if (dispute && isContest(dispute.matter)) return [dispute.member];
  return exceptions.flatMap(({ accused }) => {
    const number = accused === undefined ? undefined : memberNumber(assignment, accused);
    return number === undefined ? [] : [number];
  });
}

/** The digest that counts: the last ruling that named one; undefined if none did. */
export function effectiveRuling({ rulings }: Pick<DisputeRecord, "rulings">): string | undefined {
  return rulings.findLast((digest) => digest !== ZeroHash);
}

/** The digest that would count if nobody opened, cast or appealed any more. */
export function expectedRuling(
  { terms }: Pick<BatchRecord, "terms">,
  dispute: Pick<DisputeRecord, "stage" | "openings" | "rulings" | "juries">,
): string | undefined {
  const { stage, openings, rulings, juries } = dispute;
  if (stage === "opening")
    return panelRuling(
      [...openings.values()].map(({ digest }) => digest),
      terms.quorum,
    );
  const jury = stage === "showing" ? juries.at(-1) : undefined;
  return (jury && juryRuling(jury.jurors.map(({ digest }) => digest))) ?? effectiveRuling({ rulings });
}

/**
 * What would become of a member if nobody did anything more about the assignment: `paid` where nothing stands against
 * it. Only for assignments that are not settled.
 *
 * @param member Its number.
 */
export function standing(record: Pick<BatchRecord, "terms">, assignment: AssignmentRecord, member: number): Standing {
  const { dispute, exceptions } = assignment;
  const isAccused = accusedOf(assignment).includes(member);
  const noMajority = exceptions.some(({ verdict }) => verdict === "no-majority");
  if (!dispute) return noMajority ? "unpaid" : isAccused ? "slashed" : "paid";
  if (dispute.stage === "answering") return isAccused ? "unpaid" : "paid";

  const ruling = expectedRuling(record, dispute);
  const opened = dispute.openings.get(member)?.digest;
  const differs = ruling !== undefined && opened !== undefined && opened !== ruling;
  switch (dispute.matter) {
    case "exception": {
      if (ruling === undefined) {
        if (isAccused) return "slashed";
        return noMajority || opened === undefined ? "unpaid" : "paid";
      }
      if (differs || (isAccused && opened === undefined)) return "slashed";
      return opened === undefined ? "unpaid" : "paid";
    }
    case "silence":
      if (differs) return "slashed";
      return opened === undefined ? "unpaid" : "paid";
    case "work":
      return differs || (ruling !== undefined && isAccused && opened === undefined) ? "slashed" : "paid";
    case "delivery":
      return isAccused && ruling === UNDELIVERED ? "unpaid" : "paid";
    case "none":
      return "paid";
  }
}

/** Until when an exception can be challenged, seconds; undefined if there is none. */
export function challengeBy(
  { terms }: Pick<BatchRecord, "terms">,
  { exceptions }: Pick<AssignmentRecord, "exceptions">,
): number | undefined {
  const last = exceptions.at(-1);
  return last && last.at + terms.windows.challenge;
}

/** End of the step that a contended assignment is at, seconds; 0 if it can be concluded, undefined if it is not contended. */
export function contendedUntil(record: Pick<BatchRecord, "terms">, assignment: AssignmentRecord): number | undefined {
  if (assignment.status !== "contended") return undefined;
  return assignment.dispute ? assignment.dispute.deadline : challengeBy(record, assignment);
}

/** Whether a member of the panel can challenge the exceptions against the assignment. */
export function canChallenge(record: Pick<BatchRecord, "terms">, assignment: AssignmentRecord, now: number): boolean {
  const deadline = challengeBy(record, assignment);
  return assignment.status === "contended" && !assignment.dispute && deadline !== undefined && now <= deadline;
}

/**
 * Whether a member loses if nobody opens its commitment now: in matter `work` that is the primary only, who opens while
 * the ballots are opened; the others gain nothing by it.
 *
 * @param member Its number.
 */
export function mustOpen(assignment: AssignmentRecord, member: number, now: number): boolean {
  const { dispute } = assignment;
  if (!dispute || assignment.status !== "contended" || now > dispute.deadline) return false;
  if (member >= membersOf(assignment).length || dispute.openings.has(member)) return false;
  if (dispute.stage === "opening") return true;
  return dispute.stage === "showing" && dispute.matter === "work" && member === dispute.member;
}

/**
 * What it takes to appeal against the ruling as it stands. The market refuses also where nobody is left to sit on the
 * jury: `canDrawJuror`.
 *
 * @param appellant Address with its checksum: the requester's, a member's, or that of any node with stake.
 * @returns undefined if nobody can appeal now.
 */
export function appealTerms(
  { terms }: Pick<BatchRecord, "terms">,
  assignment: AssignmentRecord,
  appellant: string,
  now: number,
): AppealTerms | undefined {
  const { dispute, status } = assignment;
  if (status !== "contended" || dispute?.stage !== "ruled") return undefined;
  if (dispute.tier >= MAX_TIER || now > dispute.deadline) return undefined;
  const tier = dispute.tier + 1;
  const bond = juryBond(terms, tier);
  if (appellant === terms.requester) return { tier, bond, from: "available" };
  const member = memberNumber(assignment, appellant);
  if (tier === 1 && member !== undefined) {
    const ruling = effectiveRuling(dispute);
    const opened = dispute.openings.get(member)?.digest;
    const isShown = ruling !== undefined && opened !== undefined;
    const loses = isShown ? opened !== ruling : accusedOf(assignment).includes(member);
    if (loses) return { tier, bond: 0n, from: "lock" };
  }
  return { tier, bond, from: "stake" };
}

/** Whether anybody can appeal against the ruling as it stands; {@link appealTerms} says at what price. */
export function canAppeal(assignment: AssignmentRecord, now: number): boolean {
  const { dispute, status } = assignment;
  return status === "contended" && dispute?.stage === "ruled" && dispute.tier < MAX_TIER && now <= dispute.deadline;
}

/** Whether nobody can challenge, answer or appeal any more. */
export function canBeConcluded(record: Pick<BatchRecord, "terms">, assignment: AssignmentRecord, now: number): boolean {
  const { dispute } = assignment;
  if (assignment.status !== "contended") return false;
  if (!dispute) return now > challengeBy(record, assignment)!;
  return (dispute.stage === "ruled" || dispute.stage === "answering") && now > dispute.deadline;
}

/**
 * What anybody may do now to move a contended assignment on. To `convene` is to tell who sits on a jury: jurors can cast
 * without it, since everybody can compute `jurorsDrawn`, but somebody must before the chain forgets the block's hash.
 *
 * @param at `now` in seconds, and the number of the newest block.
 * @returns undefined if somebody in particular still has time for its part.
 */
export function dueStep(
  record: Pick<BatchRecord, "terms">,
  assignment: AssignmentRecord,
  { now, block }: { now: number; block: number },
): DueStep | undefined {
  const { dispute, status } = assignment;
  if (status !== "contended") return undefined;
  if (canBeConcluded(record, assignment, now)) return "conclude";
  const isLate = dispute !== undefined && now > dispute.deadline;
  const jury = dispute?.juries.at(-1);
  const members = membersOf(assignment).length;
  switch (dispute?.stage) {
    case "opening":
      return isLate || dispute.openings.size === members ? "rule" : undefined;
    case "casting": {
      const { jurors, convened, entropyBlock } = jury!;
      if (isLate) return "rule";
      // A block's hash is known in the block after it.
      if (!convened) return block >= entropyBlock ? "convene" : undefined;
      return jurors.every(({ cast }) => cast) ? "rule" : undefined;
    }
    case "showing": {
      const ballots = jury!.jurors.every(({ cast, digest }) => !cast || digest !== undefined);
      const openings = dispute.matter !== "work" || dispute.openings.size === members;
      return isLate || (ballots && openings) ? "rule" : undefined;
    }
    case "none":
    case "answering":
    case "ruled":
    case undefined:
      return undefined;
  }
}
