import { UNDELIVERED } from "./commitment.ts";
import {
  absentFine,
  CONTEST_FINE,
  DIFFERENCE_FINE,
  HONEST_SHARE,
  memberLock,
  reserve,
  seatPay,
  share,
} from "./pricing.ts";
import { isContest, type Matter, type Outcome, type Parameters, type Terms, type Verdict } from "./terms.ts";

/** A member of a panel: the primary first, then whoever answered, by round and seat. */
export interface PanelMember {
  /** Address. */
  node: string;
  /** Digest it opened for the dispute's task; left out if it opened nothing. */
  opened?: string;
}

/** A seat of a jury when the dispute ended. */
export interface JurySeat {
  /** Address of whoever sat in it last. */
  node: string;
  /** Digest that its opened ballot stands for, or the vote of a `delivery`; left out if it cast or opened nothing. */
  shown?: string;
}

/** A jury when the dispute ended. */
export interface SeatedJury {
  /** Who called for it. */
  appellant: string;
  /** What it put up, base units; 0 if its lock in the assignment stood for it. */
  bond: bigint;
  /** As many as were found; none if nobody drew it. */
  seats: readonly JurySeat[];
}

/** A dispute when it ended. */
export interface EndedDispute {
  matter: Exclude<Matter, "none">;
  /** Matter `exception`: who challenged, and the bond it put up, base units; 0 for an accused. */
  challenge?: { by: string; bond: bigint };
  /** Number of the accused of a contest; 0, the primary, otherwise. */
  member: number;
  /** Whether the accused of a contest answered in time; true otherwise. */
  answered: boolean;
  /** By tier: what the panel and then each jury agreed on; undefined for no majority. */
  rulings: readonly (string | undefined)[];
  /** The first jury and the second, as far as they were called. */
  juries: readonly SeatedJury[];
  /** Matter `silence`: whether the fixed part of the requester's bond pays the members that opened. */
  pot: boolean;
}

/** Everything that decides what becomes of an assignment's money. */
export interface EndedPanel {
  terms: Pick<Terms, "requester" | "quorum" | "fullSlash" | "verifierPrice" | "slashAmount">;
  parameters: Pick<Parameters, "bondFixed" | "bondShare" | "challengeBond">;
  /** Of one task: the terms', or what the batch was rebid to. */
  price: bigint;
  /** Tasks of the assignment. */
  count: number;
  /** How many of them every seat ran. */
  sampled: number;
  members: readonly PanelMember[];
  /** What the requester listed, if anything. */
  verdict: Verdict;
  /** Numbers of the members that its exceptions accuse. */
  accused: readonly number[];
  dispute?: EndedDispute;
}

/** The batch's lock, as the source of a {@link Transfer}. */
export const ESCROW = "escrow";
/** Where a {@link Transfer} ends that nobody gets. */
export const BURNED = "burned";

/** Money that leaves a lock. */
export interface Transfer {
  /** {@link ESCROW}, or the address of the node whose stake it is taken from. */
  from: string;
  /** An address, or {@link BURNED}. */
  to: string;
  /** Base units, above 0. */
  amount: bigint;
}

/** What becomes of an assignment. */
export interface Settled {
  outcome: Outcome;
  /** Numbers of the members that are slashed. */
  guilty: number[];
  /** Addresses of the jurors that are. */
  guiltyJurors: string[];
  /** Whether the requester accused falsely. */
  lied: boolean;
  /** Everything that is paid, taken and burned; what then is left of the batch's lock is the requester's. */
  transfers: Transfer[];
}

/** The ruling that holds after a tier: the last that found a majority. Twin of `Disputes.effectiveRuling`. */
export function effectiveRuling(rulings: readonly (string | undefined)[], tier: number): string | undefined {
  return rulings.slice(0, tier + 1).findLast((ruling) => ruling !== undefined);
}

/**
 * What a panel says: the digest that a majority of the quorum opened. Twin of what `rule` does in stage `opening`.
 *
 * @param opened By member; undefined for who did not open.
 */
export function panelRuling(opened: readonly (string | undefined)[], quorum: number): string | undefined {
  return majorityOf(opened, (quorum + 1) / 2);
}

/**
 * What a jury says: the digest that more than half of its seats opened. Twin of what `rule` does in stage `showing`.
 *
 * @param shown By seat; undefined for who did not cast or open.
 */
export function juryRuling(shown: readonly (string | undefined)[]): string | undefined {
  return majorityOf(shown, Math.floor(shown.length / 2) + 1);
}

/**
 * What an assignment ends with that is neither excepted nor disputed. Twin of `Market._credit`.
 *
 * @param outcome `exhausted` pays the verifiers only; `forced` and `paid` everybody.
 */
export function settle(panel: EndedPanel, outcome: "paid" | "forced" | "exhausted"): Settled {
  const ledger = new Transfers();
  for (const [member, { node }] of panel.members.entries()) {
    if (member !== 0 || outcome !== "exhausted") ledger.move(ESCROW, node, payOf(panel, member));
  }
  return { outcome, guilty: [], guiltyJurors: [], lied: false, transfers: ledger.all };
}

/**
 * What an excepted or disputed assignment ends with. Twin of `Reckonings.reckon`. Fines of members that did not open are
 * in it as if their stake were enough; those of jurors came before, see {@link absentFine}.
 *
 * @example
 * ```ts
 * const { outcome, transfers } = conclude({ terms, parameters, price, count: 10, sampled: 1, members, verdict, accused });
 * ```
 */
export function conclude(panel: EndedPanel): Settled {
  const judgment = decide(panel);
  const reckoning = new Reckoning(panel, judgment);
  const { terms, dispute } = panel;
  if (dispute) {
    reckoning.payOpeners(dispute);
    for (const [i, jury] of dispute.juries.entries()) reckoning.payJury(dispute, jury, i + 1);
  }
  const { ledger } = reckoning;
  if (judgment.lied) ledger.move(ESCROW, BURNED, reckoning.reserve - reckoning.fromReserve);
  reckoning.collect();
  for (const [member, { node }] of panel.members.entries()) {
    if (!judgment.unpaid.has(member)) ledger.move(ESCROW, node, payOf(panel, member));
    // No requester is to gain by being silent, or by members that sleep when they are called.
    else if (dispute?.matter === "silence" || judgment.missed.has(member)) {
      ledger.move(ESCROW, BURNED, payOf(panel, member));
    }
  }
  for (const member of judgment.missed) ledger.move(nodeOf(panel, member), BURNED, absentFine(terms, panel.sampled));
  return {
    outcome: outcomeOf(panel, judgment),
    guilty: [...judgment.guilty],
    guiltyJurors: reckoning.guiltyJurors,
    lied: judgment.lied,
    transfers: ledger.all,
  };
}

/** Who is guilty, unpaid or missing; twin of `Reckonings._decide`. Members by number. */
interface Judgment {
  ruling: string | undefined;
  byJury: boolean;
  guilty: Set<number>;
  unpaid: Set<number>;
  missed: Set<number>;
  lied: boolean;
}

function decide({ members, verdict, accused, dispute }: EndedPanel): Judgment {
  const noMajority = verdict === "no-majority";
  const judgment: Judgment = {
    ruling: undefined,
    byJury: false,
    guilty: new Set(),
    unpaid: new Set(),
    missed: new Set(),
    lied: false,
  };
  const { guilty, unpaid, missed } = judgment;
  if (dispute && !dispute.answered) {
    unpaid.add(dispute.member);
    return judgment;
  }
  if (dispute) {
    const { matter, rulings, juries } = dispute;
    const ruling = effectiveRuling(rulings, juries.length);
    judgment.ruling = ruling;
    judgment.byJury = rulings.slice(1).some((each) => each !== undefined);
    if (matter === "delivery") {
      if (ruling === UNDELIVERED) unpaid.add(dispute.member);
      return judgment;
    }
    let upheld = false;
    for (const [member, { opened }] of members.entries()) {
      const isAccused = accused.includes(member);
      if (opened === undefined) {
        if (matter === "work") {
          // It said that it stands by its work, and then did not show it.
          if (ruling !== undefined && member === 0) guilty.add(member);
        } else if (!isAccused) missed.add(member);
        else if (matter === "exception" && ruling !== undefined) guilty.add(member);
      } else if (ruling !== undefined) {
        if (opened !== ruling) guilty.add(member);
        else if (isAccused) upheld = true;
      }
    }
    if (matter === "exception" && ruling !== undefined) {
      const first = rulings[0];
      judgment.lied = noMajority ? first === ruling : upheld && (first === undefined || first === ruling);
    }
  }
  for (const member of missed) unpaid.add(member);
  if (judgment.ruling === undefined && (!dispute || dispute.matter === "exception")) {
    // The exception stands.
    for (const member of accused) guilty.add(member);
    if (noMajority) for (const member of members.keys()) unpaid.add(member);
  }
  for (const member of guilty) unpaid.add(member);
  return judgment;
}

function outcomeOf({ verdict, dispute }: EndedPanel, { guilty, unpaid, ruling, lied }: Judgment): Outcome {
  if (guilty.has(0)) return "primary-slashed";
  if (verdict === "no-majority" && ruling === undefined) return "no-majority";
  if (unpaid.has(0)) return "forfeited";
  if (guilty.size > 0) return "seat-slashed";
  return lied || dispute?.matter === "silence" ? "forced" : "paid";
}

/** Wages that a juror pays at most which was outvoted over a delivery; as in `Reckonings`. */
const OUTVOTED_WAGES = 4n;

/** One who pays for having been wrong, out of the lock it has in the matter. */
interface Debtor {
  node: string;
  locked: bigint;
  /** Costs that were charged to it. */
  costs: Payment[];
  spent: bigint;
  /** What disputes may take of the lock. */
  most: bigint;
  /**
   * It pays what it cost and no more, for it is not proved to have lied: it delivered nothing, or was outvoted over a
   * delivery, of which not everybody need see the same.
   */
  costsOnly: boolean;
}

interface Payment {
  to: string;
  amount: bigint;
}

/** The money's side of it; twin of the rest of `Reckonings`. */
class Reckoning {
  readonly ledger = new Transfers();
  readonly guiltyJurors: string[] = [];
  readonly reserve: bigint;
  fromReserve = 0n;
  readonly #panel: EndedPanel;
  readonly #judgment: Judgment;
  readonly #debtors: Debtor[] = [];
  /** Whether any member is a debtor. */
  readonly #anybody: boolean;

  constructor(panel: EndedPanel, judgment: Judgment) {
    this.#panel = panel;
    this.#judgment = judgment;
    const { terms, parameters, price, count, dispute } = panel;
    for (const member of panel.members.keys()) {
      const undelivered =
        dispute?.matter === "delivery" && dispute.member === member && judgment.ruling === UNDELIVERED;
      if (!judgment.guilty.has(member) && !undelivered) continue;
      const locked = memberLock(terms, price, count, member);
      this.#owe(nodeOf(panel, member), locked, undelivered ? locked : undefined);
    }
    this.#anybody = this.#debtors.length !== 0;
    this.reserve = dispute?.matter === "exception" ? reserve(terms, price, count, parameters).amount : 0n;
    for (const { node, shown } of dispute?.juries.flatMap(({ seats }) => seats) ?? []) {
      if (shown === undefined || !judgment.byJury || shown === judgment.ruling) continue;
      if (dispute?.matter === "delivery") {
        this.#owe(node, terms.slashAmount, OUTVOTED_WAGES * terms.verifierPrice);
      } else {
        this.#owe(node, terms.slashAmount);
        this.guiltyJurors.push(node);
      }
    }
  }

  /** @param costs What it pays of what it cost, if that is all it pays. */
  #owe(node: string, locked: bigint, costs?: bigint): void {
    const most = costs ?? locked - share(locked, HONEST_SHARE);
    this.#debtors.push({ node, locked, most, costs: [], spent: 0n, costsOnly: costs !== undefined });
  }

  /** Pays the members that opened for their gas; twin of `Reckonings._payOpeners`. */
  payOpeners(dispute: EndedDispute): void {
    const { members, parameters } = this.#panel;
    if (isContest(dispute.matter)) {
      // A contest that the requester lost pays the accused, who had to answer it, and a fine.
      if (!this.#anybody && dispute.answered) {
        this.ledger.move(ESCROW, nodeOf(this.#panel, dispute.member), parameters.challengeBond);
        this.ledger.move(ESCROW, BURNED, share(payOf(this.#panel, dispute.member), CONTEST_FINE));
      }
      return;
    }
    const entitled = members.filter(({ opened }, member) => opened !== undefined && !this.#judgment.guilty.has(member));
    const openers = BigInt(entitled.length);
    let each = openers === 0n ? 0n : parameters.challengeBond / openers;
    if (dispute.pot && each * openers > parameters.bondFixed) each = parameters.bondFixed / openers;
    const allowances = each === 0n ? [] : entitled.map(({ node }) => ({ to: node, amount: each }));
    const whole = each * BigInt(allowances.length);
    if (dispute.matter === "silence") {
      if (!dispute.pot) return;
      this.#payAll(allowances);
      this.ledger.move(ESCROW, BURNED, parameters.bondFixed - whole);
      return;
    }
    let paid = allowances.length;
    if (this.#judgment.lied) {
      this.#payAll(allowances);
      this.fromReserve += whole;
    } else if (this.#anybody || this.#judgment.ruling !== undefined) {
      const rest = allowances.slice(this.#charge(allowances));
      this.#payAll(rest);
      this.fromReserve += each * BigInt(rest.length);
    } else paid = 0;
    if (dispute.challenge) this.#spendBond(dispute.challenge.by, dispute.challenge.bond, allowances.slice(paid));
  }

  /** Pays the jurors of a tier that did their part; twin of `Reckonings._payJury`. */
  payJury(dispute: EndedDispute, jury: SeatedJury, tier: number): void {
    const { ruling, byJury } = this.#judgment;
    const { verifierPrice } = this.#panel.terms;
    const wages = jury.seats
      .filter(({ shown }) => shown !== undefined && (!byJury || shown === ruling))
      .map(({ node }) => ({ to: node, amount: verifierPrice }));
    const contest = isContest(dispute.matter);
    const lost = contest && tier === 1 ? !this.#anybody : ruling === effectiveRuling(dispute.rulings, tier - 1);
    let paid = 0;
    if (!lost || jury.bond === 0n) {
      paid = this.#charge(wages);
      while (paid < wages.length && this.fromReserve + verifierPrice <= this.reserve) {
        this.#payAll(wages.slice(paid, ++paid));
        this.fromReserve += verifierPrice;
      }
    }
    this.#spendBond(jury.appellant, jury.bond, wages.slice(paid));
  }

  /** Takes what the debtors owe: costs, a share to the members that were right, the rest to the fire. */
  collect(): void {
    const { members, terms } = this.#panel;
    const { ruling, unpaid } = this.#judgment;
    const right = members.filter(
      ({ opened }, member) => !unpaid.has(member) && (ruling === undefined || opened !== undefined),
    );
    for (const { node, locked, costs, spent, costsOnly } of this.#debtors) {
      let penalty = spent;
      let each = 0n;
      if (!costsOnly && terms.fullSlash) {
        penalty = locked;
        if (right.length !== 0) each = share(locked, HONEST_SHARE) / BigInt(right.length);
      } else if (!costsOnly && share(locked, DIFFERENCE_FINE) > penalty) penalty = share(locked, DIFFERENCE_FINE);
      for (const { to, amount } of costs) this.ledger.move(node, to, amount);
      for (const { node: member } of right) this.ledger.move(node, member, each);
      this.ledger.move(node, BURNED, penalty - spent - each * BigInt(right.length));
    }
  }

  /** Charges payments to the debtors while their locks last, none in parts; returns how many. */
  #charge(payments: readonly Payment[]): number {
    let paid = 0;
    // Costs are taken in the debtors' order, so go on with the last that was charged.
    const from = this.#debtors.findLastIndex(({ costs }) => costs.length !== 0);
    for (const debtor of this.#debtors.slice(Math.max(from, 0))) {
      for (let next = payments[paid]; next && debtor.spent + next.amount <= debtor.most; next = payments[paid]) {
        debtor.spent += next.amount;
        debtor.costs.push(next);
        paid += 1;
      }
    }
    return paid;
  }

  /** Pays out of a bond; a requester's lies in the batch's lock. */
  #spendBond(by: string, bond: bigint, payments: readonly Payment[]): void {
    if (bond === 0n) return;
    for (const { to, amount } of payments) {
      this.ledger.move(by === this.#panel.terms.requester ? ESCROW : by, to, amount);
    }
  }

  #payAll(payments: readonly Payment[]): void {
    for (const { to, amount } of payments) this.ledger.move(ESCROW, to, amount);
  }
}

class Transfers {
  readonly all: Transfer[] = [];

  move(from: string, to: string, amount: bigint): void {
    if (amount !== 0n) this.all.push({ from, to, amount });
  }
}

function nodeOf({ members }: EndedPanel, member: number): string {
  const node = members[member]?.node;
  if (node === undefined) throw new RangeError(`the panel has no member ${member}`);
  return node;
}

function payOf({ terms, price, count, sampled }: EndedPanel, member: number): bigint {
  return member === 0 ? BigInt(count) * price : seatPay(terms, sampled);
}

function majorityOf(digests: readonly (string | undefined)[], least: number): string | undefined {
  const groups = Map.groupBy(
    digests.filter((digest) => digest !== undefined),
    (digest) => digest,
  );
  return [...groups.values()].find((group) => group.length >= least)?.[0];
}
