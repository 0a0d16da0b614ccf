import { MAX_AMOUNT, PARTS_PER_MILLION } from "./amount.ts";
import { SuretyError } from "./errors.ts";
import { maxSampled } from "./sampling.ts";
import type { Parameters, Terms } from "./terms.ts";

/** Parts per million of a slash that go to the members that were right. */
export const HONEST_SHARE = 100_000;
/** Parts per million of an assignment's price that abandoning it costs. */
export const ABANDON_FINE = 100_000;
/** Parts per million of a seat's pay that not answering in time costs. */
export const ABSENT_FINE = 500_000;
/** Parts per million of the accused's pay that a contest costs which the requester loses. */
export const CONTEST_FINE = 100_000;
/** Parts per million of a member's lock that a difference costs where it is not proof of a lie. */
export const DIFFERENCE_FINE = 100_000;
/** Rounds after round 0 that a panel can have. */
export const MAX_ROUNDS = 4;
/** Juries that a dispute can have; the second is twice the first and final. */
export const MAX_TIER = 2;
/** Most seats in one round. */
export const MAX_SEATS = 32;
/** Greatest quorum. */
export const MAX_QUORUM = 15;
/** Most addresses in a list of nodes. */
export const MAX_LISTED = 64;

/** The contracts' `SLASH_FACTOR`: times the gain of one cheat that the expected slash must reach. */
const SLASH_FACTOR = 2n;
const PPM = BigInt(PARTS_PER_MILLION);

/** What posting a batch locks, base units. */
export interface Quote {
  /** The pay and the verification budget. */
  escrow: bigint;
  /** What the requester loses for silence, and more; returned otherwise. */
  bond: bigint;
}

/**
 * What a batch locks. Twin of `Pricing.quote`.
 *
 * @param count Tasks.
 * @returns escrow = count·price + maxSampled·(quorum-1)·verifierPrice; bond = bondFixed + escrow·bondShare.
 * @throws `AMOUNT_INVALID` if it is more than a contract can hold; `NUMBER_OUT_OF_RANGE`
 */
export function quote(
  terms: Pick<Terms, "mode" | "price" | "verifierPrice" | "rate" | "quorum">,
  count: number,
  parameters: Pick<Parameters, "bondFixed" | "bondShare">,
): Quote {
  let escrow = BigInt(count) * terms.price;
  if (terms.mode !== "trusted") {
    escrow += BigInt(maxSampled(count, terms.rate) * (terms.quorum - 1)) * terms.verifierPrice;
  }
  const bond = parameters.bondFixed + share(escrow, parameters.bondShare);
  const most = escrow > bond ? escrow : bond;
  if (most > MAX_AMOUNT) {
    throw new SuretyError("AMOUNT_INVALID", `${count} tasks lock ${most} base units, expected at most ${MAX_AMOUNT}`, {
      details: { actual: most, expected: MAX_AMOUNT },
      fix: "Post fewer tasks at a time, or pay less for each.",
    });
  }
  return { escrow, bond };
}

/**
 * What a claim of `count` tasks puts at stake, base units: their worth, or the terms' slash if that is more.
 *
 * @param price Of one task: the terms', or what the batch was rebid to.
 */
export function lockOf(terms: Pick<Terms, "slashAmount">, price: bigint, count: number): bigint {
  const worth = BigInt(count) * price;
  return worth > terms.slashAmount ? worth : terms.slashAmount;
}

/** What abandoning an assignment of `count` tasks costs, base units. */
export function abandonFine(price: bigint, count: number): bigint {
  return share(BigInt(count) * price, ABANDON_FINE);
}

/** What a seat is paid for running `sampled` tasks, base units. */
export function seatPay(terms: Pick<Terms, "verifierPrice">, sampled: number): bigint {
  return BigInt(sampled) * terms.verifierPrice;
}

/** What not answering in time from a seat of `sampled` tasks costs, base units. */
export function absentFine(terms: Pick<Terms, "verifierPrice">, sampled: number): bigint {
  return share(seatPay(terms, sampled), ABSENT_FINE);
}

/** How many seats a jury is called with: 2·quorum + 1 the first, twice as many the second. Twin of `Pricing.jurySeats`. */
export function jurySeats(quorum: number, tier: number): number {
  return (2 * quorum + 1) * tier;
}

/** What a dispute with one jury costs, base units: its seats, and the challenge bond. */
export function disputeCost(
  terms: Pick<Terms, "quorum" | "verifierPrice">,
  parameters: Pick<Parameters, "challengeBond">,
): bigint {
  return juryBond(terms, 1) + parameters.challengeBond;
}

/**
 * What a contest locks of the requester's available money, base units: the first jury, the challenge bond for the accused,
 * and a fine for losing. Twin of `Pricing.contestBond`.
 *
 * @param pay Of the accused: `payOf` it.
 */
export function contestBond(
  terms: Pick<Terms, "quorum" | "verifierPrice">,
  pay: bigint,
  parameters: Pick<Parameters, "challengeBond">,
): bigint {
  return disputeCost(terms, parameters) + share(pay, CONTEST_FINE);
}

/** What a jury costs, base units: who appeals puts it up. */
export function juryBond(terms: Pick<Terms, "quorum" | "verifierPrice">, tier: number): bigint {
  return BigInt(jurySeats(terms.quorum, tier)) * terms.verifierPrice;
}

/** What backs the exceptions against one assignment, base units. Returned when the batch closes, unless they were false. */
export interface Reserve {
  /** All of it. */
  amount: bigint;
  /** What is locked of the requester's available money when the first is listed; the batch's bond has the rest. */
  beyondBond: bigint;
}

/**
 * What a requester must have to list an exception against an assignment of `count` tasks: whoever accused falsely
 * loses max(bondFixed, count·price) and pays both juries and the members that opened. Twin of `Pricing.reserve`.
 *
 * @param price Of one task: the terms', or what the batch was rebid to.
 */
export function reserve(
  terms: Pick<Terms, "quorum" | "verifierPrice">,
  price: bigint,
  count: number,
  parameters: Pick<Parameters, "bondFixed" | "bondShare" | "challengeBond">,
): Reserve {
  const worth = BigInt(count) * price;
  const penalty = worth > parameters.bondFixed ? worth : parameters.bondFixed;
  const amount = penalty + juryBond(terms, 1) + juryBond(terms, 2) + parameters.challengeBond;
  return { amount, beyondBond: amount - share(worth, parameters.bondShare) };
}

/** Where a slash goes, base units. */
export interface Slash {
  /** What the accused loses. */
  penalty: bigint;
  /** What each member that was right gets of it. */
  each: bigint;
  /** The rest. */
  burned: bigint;
}

/** What a member has at stake in an assignment: {@link lockOf} for the primary, member 0, `slashAmount` for a seat. */
export function memberLock(terms: Pick<Terms, "slashAmount">, price: bigint, count: number, member: number): bigint {
  return member === 0 ? lockOf(terms, price, count) : terms.slashAmount;
}

/**
 * What a difference costs.
 *
 * @param lock What the accused has at stake in the assignment: {@link lockOf} of a primary, `slashAmount` of a seat.
 * @param right Members that were right.
 */
export function slashOf(terms: Pick<Terms, "fullSlash">, lock: bigint, right: number): Slash {
  if (!terms.fullSlash) {
    const penalty = share(lock, DIFFERENCE_FINE);
    return { penalty, each: 0n, burned: penalty };
  }
  const each = right === 0 ? 0n : share(lock, HONEST_SHARE) / BigInt(right);
  return { penalty: lock, each, burned: lock - each * BigInt(right) };
}

/** What {@link minimumSlash} depends on. */
export interface SlashFactors {
  /** For one task, base units. */
  price: bigint;
  /** For one task run again, base units; a juror's price too. */
  verifierPrice: bigint;
  /** Share of the tasks that is run again, parts per million, above 0. */
  rate: number;
  /** Chance of guessing a task's result, parts per million, below 1,000,000. */
  guess: number;
  /** Members of a full panel. */
  quorum: number;
  /** What a challenge puts at stake, base units; the market says. */
  challengeBond: bigint;
}

/**
 * The least a member that differs must lose for honesty to pay, and for the slash to cover a jury. Twin of
 * `TermsRules.checkPrice`, rounded up.
 *
 * @returns max(2·price / (rate·(1−guess)), ((2·quorum+1)·verifierPrice + challengeBond) / (1−honestShare)), base units.
 * @throws `SLASH_UNDEFINED` if nothing is run again or every result is guessed: no slash deters then.
 */
export function minimumSlash(factors: SlashFactors): bigint {
  const { price, verifierPrice, rate, guess, quorum, challengeBond } = factors;
  const chance = BigInt(rate) * (PPM - BigInt(guess));
  if (chance <= 0n) {
    throw new SuretyError(
      "SLASH_UNDEFINED",
      `no slash deters at a rate of ${rate} and a guess of ${guess} parts per million`,
      {
        details: { rate, guess },
      },
    );
  }
  const deterrent = ceilDivide(SLASH_FACTOR * price * PPM * PPM, chance);
  const juryCost = ceilDivide(
    ((2n * BigInt(quorum) + 1n) * verifierPrice + challengeBond) * PPM,
    PPM - BigInt(HONEST_SHARE),
  );
  return deterrent > juryCost ? deterrent : juryCost;
}

/** How long stake must stay liable at least under these parameters, seconds; a market refuses a registry with less. */
export function leastUnbondingPeriod(parameters: Pick<Parameters, "maxWindow" | "drawDelay">): number {
  // Reveal and the last judging; each round's check and the call for the next; challenge, opening and first appeal; and
  // for each jury two draws, the opening of its ballots, and the next appeal.
  const windows = 2 + 2 * (1 + MAX_ROUNDS) + 3 + 4 * MAX_TIER;
  return parameters.maxWindow * windows + parameters.drawDelay * (MAX_ROUNDS + 2 * MAX_TIER);
}

/** A share of an amount, rounded down as the contracts do. */
export function share(amount: bigint, partsPerMillion: number): bigint {
  return (amount * BigInt(partsPerMillion)) / BigInt(PARTS_PER_MILLION);
}

function ceilDivide(dividend: bigint, divisor: bigint): bigint {
  return (dividend + divisor - 1n) / divisor;
}
