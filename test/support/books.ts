import { expect } from "chai";
import { memberNumber } from "#sdk/dispute.ts";
import { endedPanelOf } from "#sdk/ended-panel.ts";
import { sampledCountOf, type AssignmentRecord, type BatchRecord } from "#sdk/market-state.ts";
import { BURNED, conclude, ESCROW } from "#sdk/settlement.ts";
import type { Outcome, Parameters } from "#sdk/terms.ts";
import type { Holdings, Money } from "../../agents/demo/witness.ts";
import type { MarketWorld } from "./market-world.ts";

/** What a flow knows about a batch that the chain cannot: who lied, and whether the requester was there. */
export interface Truth {
  /** Addresses of those who did not give the program's result; where that is not the same for all assignments, by them. */
  dishonest?: readonly string[] | ((assignment: AssignmentRecord) => readonly string[]);
  /** The requester was silent. */
  silent?: boolean;
}

/** The truth about one assignment. */
type TruthOfOne = Pick<Truth, "silent"> & { dishonest: readonly string[] };

/** What somebody has in all. */
const worth = ({ wallet, vault, stake }: Holdings): bigint => wallet + vault + stake;

/**
 * What everybody had at one moment, to be compared with what they have later: every account's change must be exactly
 * what follows from who did what, worked out here from the protocol's rules and not from amounts that contracts told.
 */
export class Books {
  readonly #world: MarketWorld;
  readonly #before: Money;
  readonly #known: ReadonlySet<string>;

  private constructor(world: MarketWorld, before: Money) {
    this.#world = world;
    this.#before = before;
    this.#known = new Set(world.state.batches.keys());
  }

  static async open(world: MarketWorld): Promise<Books> {
    await world.witness.catchUp();
    return new Books(world, await world.witness.money());
  }

  /** Waits until all batches posted since are closed, and accounts for every token. */
  async close(truthOf: (record: BatchRecord) => Truth = () => ({})): Promise<void> {
    const batches = await this.#world.until("the end of every batch", () => {
      const posted = [...this.#world.state.batches.values()].filter(({ id }) => !this.#known.has(id));
      return posted.length > 0 && posted.every(({ closed }) => closed) && posted;
    });
    const ledger = new Ledger(this.#world.market.deployment.parameters);
    for (const record of batches) ledger.enter(record, truthOf(record));

    const after = await this.#world.witness.money();
    const changes = new Map<string, bigint>();
    for (const [address, held] of after.accounts) {
      const was = this.#before.accounts.get(address);
      const change = worth(held) - (was ? worth(was) : 0n);
      if (change !== 0n) changes.set(address, change);
    }
    const named = (amounts: ReadonlyMap<string, bigint>): Record<string, bigint> =>
      Object.fromEntries(
        [...amounts]
          .filter(([, amount]) => amount !== 0n)
          .map(([address, amount]) => [this.#world.witness.name(address), amount]),
      );
    expect(named(changes), "what everybody gained or lost").to.deep.equal(named(ledger.changes));
    expect(after.burned - this.#before.burned, "burned").to.equal(ledger.burned);
    expect(after.escrow, "left in escrow").to.equal(0n);
    expect(after.conserved, "every token accounted for").to.equal(true);
  }
}

/** How an assignment must have ended. */
export function expectedOutcome(
  record: BatchRecord,
  assignment: AssignmentRecord,
  { dishonest, silent }: TruthOfOne,
): Outcome {
  if (silent) return "forced";
  const sampled = sampledCountOf(record, assignment);
  if (sampled === 0) return "paid";
  const members = [assignment.node, ...assignment.answers.map(({ node }) => node)];
  const liars = members.filter((node) => dishonest.includes(node));
  if (liars.length === 0) return "paid";
  // Each lies in its own way, so that only the honest can be a majority.
  if (members.length - liars.length < (record.terms.quorum + 1) / 2) return "no-majority";
  return liars.includes(assignment.node) ? "primary-slashed" : "seat-slashed";
}

/**
 * The protocol's rules about money, sections 3 and 4 of docs/protocol.md; of disputes the SDK's, which its own tests hold
 * against the contracts.
 */
class Ledger {
  readonly changes = new Map<string, bigint>();
  burned = 0n;
  readonly #parameters: Parameters;

  constructor(parameters: Parameters) {
    this.#parameters = parameters;
  }

  enter(record: BatchRecord, truth: Truth): void {
    const { terms, price } = record;
    // Where the panel was called, the same money pays those that opened.
    const isCalled = record.assignments.some(({ dispute }) => dispute?.matter === "silence");
    if (truth.silent && !isCalled) this.#burn(terms.requester, this.#parameters.bondFixed);
    for (const assignment of record.assignments) {
      const worth = BigInt(assignment.count) * price;
      for (const { node } of assignment.abandoned) this.#burn(node, worth / 10n);
      const seat = BigInt(sampledCountOf(record, assignment)) * terms.verifierPrice;
      for (const { node } of assignment.absent) this.#burn(node, seat / 2n);
      if (!assignment.submission) continue;
      const { dishonest = [], silent } = truth;
      const here = { silent, dishonest: typeof dishonest === "function" ? dishonest(assignment) : dishonest };
      if (assignment.dispute) {
        this.#settleDispute(record, assignment, here);
        continue;
      }
      const outcome = expectedOutcome(record, assignment, here);
      expect(assignment.outcome?.outcome, `outcome of assignment ${assignment.index}`).to.equal(outcome);
      if (outcome === "no-majority") continue;
      this.#share(record, assignment, { ...here, worth, seat });
    }
  }

  #share(
    record: BatchRecord,
    assignment: AssignmentRecord,
    { dishonest, silent, worth, seat }: TruthOfOne & { worth: bigint; seat: bigint },
  ): void {
    const { requester, slashAmount } = record.terms;
    const members = [
      { node: assignment.node, pay: worth, lock: worth > slashAmount ? worth : slashAmount },
      ...assignment.answers.map(({ node }) => ({ node, pay: seat, lock: slashAmount })),
    ];
    const slashed = members.filter(({ node }) => !silent && seat > 0n && dishonest.includes(node));
    const right = members.filter((member) => !slashed.includes(member));
    for (const { node, pay } of right) this.#move(requester, node, pay);
    for (const { node, lock } of slashed) {
      const each = lock / 10n / BigInt(right.length);
      for (const member of right) this.#move(node, member.node, each);
      this.#burn(node, lock - each * BigInt(right.length));
    }
  }

  #settleDispute(record: BatchRecord, assignment: AssignmentRecord, { dishonest }: TruthOfOne): void {
    const { requester, verifierPrice } = record.terms;
    const { outcome, guilty, guiltyJurors, transfers } = conclude(endedPanelOf(record, assignment, this.#parameters));
    expect(assignment.outcome?.outcome, `outcome of assignment ${assignment.index}`).to.equal(outcome);
    const members = [assignment.node, ...assignment.answers.map(({ node }) => node)];
    const slashed = [...guilty.map((member) => members[member]!), ...guiltyJurors];
    expect(dishonest, `nobody honest is slashed for assignment ${assignment.index}`).to.include.members(slashed);
    for (const { from, to, amount } of transfers) {
      const payer = from === ESCROW ? requester : from;
      if (to === BURNED) this.#burn(payer, amount);
      else this.#move(payer, to, amount);
    }
    for (const { node } of assignment.dispute!.missed) {
      if (memberNumber(assignment, node) === undefined) this.#burn(node, verifierPrice / 2n);
    }
  }

  #move(from: string, to: string, amount: bigint): void {
    this.#add(from, -amount);
    this.#add(to, amount);
  }

  #burn(from: string, amount: bigint): void {
    this.#add(from, -amount);
    this.burned += amount;
  }

  #add(address: string, amount: bigint): void {
    this.changes.set(address, (this.changes.get(address) ?? 0n) + amount);
  }
}
