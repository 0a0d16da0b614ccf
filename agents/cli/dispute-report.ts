import { ZeroHash } from "ethers";
import {
  accusedOf,
  appealTerms,
  canChallenge,
  contendedUntil,
  dueStep,
  memberNumber,
  membersOf,
  mustOpen,
  standing,
  type DisputeRecord,
  type DueStep,
  type JuryRecord,
  type Standing,
} from "#sdk/dispute.ts";
import { endedPanelOf } from "#sdk/ended-panel.ts";
import {
  canDrawJuror,
  jurorsDrawn,
  panelStatus,
  payOf,
  type AssignmentRecord,
  type BatchRecord,
  type MarketState,
} from "#sdk/market-state.ts";
import { contestBond, juryBond, memberLock, MAX_TIER, reserve } from "#sdk/pricing.ts";
import { BURNED, conclude, ESCROW, type Settled } from "#sdk/settlement.ts";
import { isContest, type Matter, type Outcome, type Parameters, type Stage, type Verdict } from "#sdk/terms.ts";

/** What a report needs to know beside the market's events. */
export interface ReportFacts {
  /** Of the newest block, seconds. */
  now: number;
  /** Number of the newest block. */
  block: number;
  parameters: Parameters;
  /** Hashes of entropy blocks by number, as far as they are known. */
  hashes: ReadonlyMap<number, string>;
  /** Address with its checksum: whose part in it is told. */
  me?: string;
}

/** Which cases to report. */
export interface ReportChoice {
  /** Only of this batch. */
  batch?: string;
  /** Concluded ones too. */
  all?: boolean;
  /** Only those that {@link ReportFacts.me} has a part in. */
  mine?: boolean;
}

/** What somebody may do, and what follows if nobody does. */
export interface Move {
  /** Function of the contract. */
  call: string;
  /** Who: addresses, or everybody. */
  who: string[] | "anybody";
  /** In words, for what. */
  why: string;
  /** Seconds. */
  until?: number;
  /** What it locks or commits, base units. */
  bond?: bigint;
}

/** One who has money in the matter. Amounts in base units. */
export interface Stake {
  node: string;
  role: string;
  /** Locked or committed behind it. */
  locked: bigint;
  /** What it is to be paid for its work. */
  pay: bigint;
  /** What it would get if nobody did anything more. */
  gets: bigint;
  /** What it would lose of what is locked; a requester's pay for the work is part of it. */
  loses: bigint;
}

/** A jury, as far as it is known. */
export interface JuryReport extends Omit<JuryRecord, "jurors"> {
  jurors: JuryRecord["jurors"];
  /** Who is drawn for the seats and could cast, though nobody told the contract yet. */
  drawn: { node: string; seat: number }[];
}

/** Everything there is to say about one excepted or disputed assignment. */
export interface DisputeReport {
  /** Its id. */
  batch: string;
  assignment: number;
  first: number;
  count: number;
  requester: string;
  /** `excepted`: accused, and nobody challenged yet. */
  state: "excepted" | "disputed" | "concluded";
  matter: Matter;
  stage: Stage;
  /** Juries called so far. */
  tier: number;
  /** What everything is about; undefined for a `delivery`. */
  task?: number;
  /** Who began the dispute. */
  by?: string;
  /** What the requester listed. */
  exceptions: { verdict: Verdict; accused?: string; at: number }[];
  members: {
    member: number;
    node: string;
    role: "primary" | "verifier";
    accused: boolean;
    /** Digest it committed to. */
    opened?: string;
    /** If nobody did anything more; undefined once it is concluded. */
    standing?: Standing;
  }[];
  /** By tier; zero for no majority. */
  rulings: string[];
  juries: JuryReport[];
  /** End of the step, seconds; 0 for a final ruling. */
  until?: number;
  /** By the chain's clock; not above 0 where it is over. */
  secondsLeft?: number;
  moves: Move[];
  /** What anybody may do now. */
  due?: DueStep;
  /** What would come of it if nobody did anything more. */
  expected?: { outcome: Outcome; burned: bigint; lied: boolean };
  stakes: Stake[];
  /** How it ended. */
  outcome?: { outcome: Outcome; paid: bigint; penalty: bigint; slashed: string[]; falselyAccused: bigint };
  /** The part of {@link ReportFacts.me} in it. */
  mine?: { roles: string[]; next: Next };
}

/** What an agent of somebody's key does next: a call, or to wait. */
export interface Next {
  call: string | undefined;
  /** In words. */
  why: string;
  /** Seconds. */
  until?: number;
}

/** Reports every excepted or disputed assignment, the one whose step ends soonest first. */
export function disputeReports(state: MarketState, facts: ReportFacts, choice: ReportChoice = {}): DisputeReport[] {
  const reports: DisputeReport[] = [];
  for (const record of state.batches.values()) {
    if (choice.batch !== undefined && record.id !== choice.batch) continue;
    for (const assignment of record.assignments) {
      const isOver = assignment.status === "settled" && (assignment.dispute ?? assignment.exceptions[0]) !== undefined;
      if (assignment.status !== "contended" && !(isOver && choice.all)) continue;
      const report = reportOf(state, record, assignment, facts);
      if (!choice.mine || report.mine) reports.push(report);
    }
  }
  const endOf = ({ until }: DisputeReport): number => until ?? Infinity;
  return reports.sort((a, b) => endOf(a) - endOf(b));
}

function reportOf(
  state: MarketState,
  record: BatchRecord,
  assignment: AssignmentRecord,
  facts: ReportFacts,
): DisputeReport {
  const { dispute, exceptions, index, first, count, outcome } = assignment;
  const { matter = "none", stage = "none", tier = 0, rulings = [] } = dispute ?? {};
  const isOpen = outcome === undefined;
  const accused = accusedOf(assignment);
  const members = membersOf(assignment);
  const until = contendedUntil(record, assignment);
  const drawn = jurorsDrawn(state, record, assignment, facts.hashes) ?? [];
  const juries = dispute?.juries.map((jury, i) => ({ ...jury, drawn: i === tier - 1 ? drawn : [] })) ?? [];
  const report: DisputeReport = {
    batch: record.id,
    assignment: index,
    first,
    count,
    requester: record.terms.requester,
    state: !isOpen ? "concluded" : dispute ? "disputed" : "excepted",
    matter,
    stage,
    tier,
    task: matter === "delivery" ? undefined : (dispute?.task ?? exceptions[0]?.witness),
    by: dispute?.by,
    exceptions: exceptions.map(({ verdict, accused: node, at }) => ({ verdict, accused: node, at })),
    members: members.map(({ node }, member) => ({
      member,
      node,
      role: member === 0 ? "primary" : "verifier",
      accused: accused.includes(member),
      opened: dispute?.openings.get(member)?.digest,
      standing: isOpen ? standing(record, assignment, member) : undefined,
    })),
    rulings,
    juries,
    until,
    // A final ruling waits for nobody.
    secondsLeft: until === undefined ? undefined : until === 0 ? 0 : until - facts.now,
    moves: [],
    stakes: [],
  };
  if (isOpen) {
    const expected = expectedEnd(record, assignment, facts);
    const burned = sum(expected.transfers.filter(({ to }) => to === BURNED));
    report.moves = movesOf(state, record, assignment, facts, report);
    report.due = dueStep(record, assignment, facts);
    report.expected = { outcome: expected.outcome, burned, lied: expected.lied };
    report.stakes = stakesOf(record, assignment, facts, juries, expected);
  } else {
    const slashed = members.filter((_, member) => (outcome.accused >> BigInt(member)) & 1n).map(({ node }) => node);
    const { paid, penalty } = outcome;
    const falselyAccused = dispute?.falselyAccused ?? 0n;
    report.outcome = { outcome: outcome.outcome, paid, penalty, slashed, falselyAccused };
  }
  const roles = facts.me === undefined ? [] : rolesOf(record, assignment, juries, facts.me);
  if (roles.length > 0) report.mine = { roles, next: nextOf(record, assignment, facts, report) };
  return report;
}

/** What it would end with if nobody did anything more but what anybody may. */
function expectedEnd(record: BatchRecord, assignment: AssignmentRecord, { parameters }: ReportFacts): Settled {
  return conclude(endedPanelOf(record, assignment, parameters));
}

function contestBondOf(
  record: BatchRecord,
  assignment: AssignmentRecord,
  member: number,
  parameters: Parameters,
): bigint {
  return contestBond(record.terms, payOf(record, assignment, member), parameters);
}

function stakesOf(
  record: BatchRecord,
  assignment: AssignmentRecord,
  { parameters }: ReportFacts,
  juries: readonly JuryReport[],
  { transfers }: Settled,
): Stake[] {
  const { terms, price } = record;
  const { count, dispute, exceptions } = assignment;
  const { dispute: ended } = endedPanelOf(record, assignment, parameters);
  const gets = (node: string): bigint => sum(transfers.filter(({ to }) => to === node));
  const loses = (node: string): bigint => sum(transfers.filter(({ from }) => from === node));
  const stakes: Stake[] = membersOf(assignment).map(({ node }, member) => ({
    node,
    role: member === 0 ? "primary" : `verifier ${member}`,
    locked: memberLock(terms, price, count, member),
    pay: payOf(record, assignment, member),
    gets: gets(node),
    loses: loses(node),
  }));
  const contested = dispute !== undefined && isContest(dispute.matter);
  let locked = 0n;
  if (exceptions.length > 0) locked += reserve(terms, price, count, parameters).amount;
  if (contested && dispute) locked += contestBondOf(record, assignment, dispute.member, parameters);
  if (ended?.pot) locked += parameters.bondFixed;
  const own = juries.filter(({ appellant, tier }) => appellant === terms.requester && !(contested && tier === 1));
  for (const { tier } of own) locked += juryBond(terms, tier);
  const spent = sum(transfers.filter(({ from }) => from === ESCROW));
  stakes.unshift({ node: terms.requester, role: "requester", locked, pay: 0n, gets: 0n, loses: spent });
  if (dispute?.matter === "exception") {
    const challenger = stakes.find(({ node }) => node === dispute.by);
    if (challenger) challenger.locked += ended?.challenge?.bond ?? 0n;
  }
  for (const jury of juries) {
    const { appellant, tier } = jury;
    if (appellant !== terms.requester && dispute) {
      const bond = ended?.juries[tier - 1]?.bond ?? 0n;
      const member = stakes.find(({ node }) => node === appellant);
      if (member) member.locked += bond;
      else
        stakes.push({
          node: appellant,
          role: `appellant ${tier}`,
          locked: bond,
          pay: 0n,
          gets: 0n,
          loses: loses(appellant),
        });
    }
    for (const { node, cast } of jury.jurors) {
      const commits = cast ? terms.slashAmount : 0n;
      const role = `juror ${jury.tier}`;
      stakes.push({ node, role, locked: commits, pay: terms.verifierPrice, gets: gets(node), loses: loses(node) });
    }
  }
  return stakes;
}

function sum(transfers: readonly { amount: bigint }[]): bigint {
  return transfers.reduce((total, { amount }) => total + amount, 0n);
}

function movesOf(
  state: MarketState,
  record: BatchRecord,
  assignment: AssignmentRecord,
  { now, parameters, hashes }: ReportFacts,
  { until, members, juries }: DisputeReport,
): Move[] {
  const { terms } = record;
  const { dispute } = assignment;
  const moves: Move[] = [];
  if (!dispute) {
    if (canChallenge(record, assignment, now)) {
      const [accused, others] = [members.filter((each) => each.accused), members.filter((each) => !each.accused)];
      const challenge = { call: "challenge", why: "call on the panel to open the task", until };
      if (accused.length > 0) moves.push({ ...challenge, who: accused.map(({ node }) => node), bond: 0n });
      moves.push({ ...challenge, who: others.map(({ node }) => node), bond: parameters.challengeBond });
      const judgeBy = panelStatus(record, assignment, parameters)?.judgeBy ?? 0;
      if (!record.judged && now <= judgeBy && assignment.exceptions[0]?.verdict !== "no-majority") {
        const why = "accuse another member, on the same task";
        moves.push({ call: "judge", who: judgesOf(record), why, until: judgeBy });
      }
    }
    return moves;
  }
  const isLate = now > dispute.deadline;
  const jury = juries.at(-1);
  switch (dispute.stage) {
    case "answering":
      if (isLate) break;
      moves.push({
        call: "answerContest",
        who: [members[dispute.member]!.node],
        why: "stand by the work, which calls a jury",
        until,
      });
      break;
    case "opening":
      if (!isLate) moves.push(openMove(assignment, members, now, until));
      break;
    case "casting": {
      if (isLate || !jury) break;
      const seated = jury.drawn.length > 0 ? jury.drawn : jury.jurors.filter(({ cast }) => !cast);
      if (seated.length > 0) {
        const why = "run the task and cast a sealed ballot";
        moves.push({ call: "castBallot", who: seated.map(({ node }) => node), why, until, bond: terms.slashAmount });
      }
      if (jury.jurors.some(({ cast }) => cast)) {
        moves.push({ call: "exposeBallot", who: "anybody", why: "show what a juror's sealed ballot says", until });
      }
      break;
    }
    case "showing": {
      if (isLate || !jury) break;
      const sealed = jury.jurors.filter(({ cast, digest }) => cast && digest === undefined);
      if (sealed.length > 0) {
        moves.push({ call: "openBallot", who: sealed.map(({ node }) => node), why: "open their ballots", until });
      }
      if (dispute.matter === "work") moves.push(openMove(assignment, members, now, until));
      break;
    }
    case "ruled": {
      if (isLate || dispute.tier >= MAX_TIER || !canDrawJuror(state, record, assignment, hashes)) break;
      const bond = juryBond(terms, dispute.tier + 1);
      const why = `call jury ${dispute.tier + 1} of ${MAX_TIER}`;
      const free = members.filter(({ node }) => appealTerms(record, assignment, node, now)?.bond === 0n);
      if (free.length > 0) moves.push({ call: "appeal", who: free.map(({ node }) => node), why, until, bond: 0n });
      moves.push({ call: "appeal", who: "anybody", why: `${why}, with stake`, until, bond });
      break;
    }
    case "none":
  }
  return moves.filter(({ who }) => who.length > 0);
}

function openMove(
  assignment: AssignmentRecord,
  members: DisputeReport["members"],
  now: number,
  until: number | undefined,
): Move {
  const who = members.filter(({ member }) => mustOpen(assignment, member, now)).map(({ node }) => node);
  return { call: "open", who, why: "show what they committed to", until };
}

function judgesOf({ terms }: BatchRecord): string[] {
  return BigInt(terms.delegate) === 0n ? [terms.requester] : [terms.requester, terms.delegate];
}

function rolesOf(
  record: BatchRecord,
  assignment: AssignmentRecord,
  juries: readonly JuryReport[],
  me: string,
): string[] {
  const roles: string[] = [];
  const { terms } = record;
  if (me === terms.requester) roles.push("requester");
  if (me === terms.delegate) roles.push("delegate");
  const member = memberNumber(assignment, me);
  if (member !== undefined) roles.push(member === 0 ? "primary" : `verifier ${member}`);
  if (assignment.dispute?.by === me && me !== terms.requester) roles.push("challenger");
  for (const { tier, jurors, drawn, replaced, appellant } of juries) {
    if ([...jurors, ...drawn].some(({ node }) => node === me)) roles.push(`juror of jury ${tier}`);
    else if (replaced.includes(me)) roles.push(`replaced juror of jury ${tier}`);
    if (appellant === me && me !== terms.requester) roles.push(`appellant of jury ${tier}`);
  }
  return roles;
}

/**
 * What the agent of a key does next, as far as anybody can tell: its duties go by the same functions, and by what it
 * finds when it runs the task again.
 */
function nextOf(
  record: BatchRecord,
  assignment: AssignmentRecord,
  { now, me = "" }: ReportFacts,
  { moves, due, until }: DisputeReport,
): Next {
  if (assignment.status !== "contended") return { call: undefined, why: "nothing: it is over" };
  const { dispute } = assignment;
  const can = new Map(
    moves.filter(({ who }) => who === "anybody" || who.includes(me)).map((move) => [move.call, move]),
  );
  const does = (call: string, why: string): Next => ({ call, why, until });
  const named = (call: string): boolean => {
    const who = can.get(call)?.who;
    return who !== undefined && who !== "anybody";
  };

  if (named("open")) return does("open", "show what it committed to: who does not is unpaid, and fined or worse");
  if (named("answerContest")) return does("answerContest", "stand by its work, if it finds the same again");
  if (named("castBallot")) return does("castBallot", "run the task, or look at the delivery, and cast its ballot");
  if (named("openBallot")) return does("openBallot", "open its ballot");
  const member = memberNumber(assignment, me);
  const stands = member === undefined ? "paid" : standing(record, assignment, member);
  const finds = "if it finds the same again and that is worth the bond";
  if (named("challenge") && stands !== "paid") return does("challenge", `call on the panel to open, ${finds}`);
  if (can.has("appeal") && (stands !== "paid" || isOverruled(dispute, me)))
    return does("appeal", `call a jury, ${finds}`);

  const isRequester = record.terms.requester === me;
  if (isRequester && moves.some(({ call }) => call === "open")) {
    return does("open", "show what members committed to, as far as it could read it");
  }
  const hasCast = dispute?.juries.some(({ jurors }) => jurors.some(({ node, cast }) => node === me && cast)) ?? false;
  const movesOn = (isRequester || member !== undefined || hasCast) && !(due === "conclude" && stands === "slashed");
  if (due !== undefined && movesOn) return { call: due, why: "go on, unless somebody else is faster" };
  if (until === undefined || now > until) return { call: undefined, why: "nothing" };
  const why = can.has("appeal") ? "wait for appeals" : "wait until the step is over";
  return { call: undefined, why, until };
}

/** Whether a juror showed another digest than its own jury ruled. */
function isOverruled(dispute: DisputeRecord | undefined, me: string): boolean {
  const ruling = dispute?.rulings[dispute.tier];
  if (dispute?.stage !== "ruled" || dispute.tier === 0 || ruling === undefined || ruling === ZeroHash) return false;
  const own = dispute.juries[dispute.tier - 1]?.jurors.find(({ node }) => node === me);
  return own?.digest !== undefined && own.digest !== ruling;
}
