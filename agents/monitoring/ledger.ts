import type { SuretyEvent } from "#sdk/events.ts";

/** What became of an account's money in a market since its first block, base units. */
export interface LedgerTotals {
  /** Paid to it: for work, and of others' bonds and stake. */
  earned: bigint;
  /** Of what it locked: paid to others. */
  spent: bigint;
  /** Of what it locked: burned. */
  burned: bigint;
  /** Of what it locked: neither spent nor burned nor returned yet. */
  locked: bigint;
  /** Taken from its stake for wrong results. */
  slashed: bigint;
  /** Taken from its stake for what it did not do in time. */
  fined: bigint;
}

/** Folds the events of vault and registry into one account's totals. After a rewind, start a new one. */
export class Ledger {
  readonly totals: LedgerTotals = { earned: 0n, spent: 0n, burned: 0n, locked: 0n, slashed: 0n, fined: 0n };
  readonly #account: string;
  readonly #market: string;
  readonly #registry: string;
  /** What is left of each of its locks, by ledger and id. Those of the registry are its stake. */
  readonly #locks = new Map<string, bigint>();

  constructor({ account, market, registry }: { account: string; market: string; registry: string }) {
    this.#account = account;
    this.#market = market;
    this.#registry = registry;
  }

  /** Folds one event in. */
  apply(event: SuretyEvent): void {
    const { totals } = this;
    switch (event.name) {
      case "Locked": {
        if (event.holder !== this.#account || !this.#isOurs(event.ledger)) return;
        const lock = `${event.ledger}:${event.id}`;
        this.#locks.set(lock, (this.#locks.get(lock) ?? 0n) + event.amount);
        if (event.ledger === this.#market) totals.locked += event.amount;
        return;
      }
      case "Released": {
        const { ledger, id, payments, burned, returned } = event;
        if (!this.#isOurs(ledger)) return;
        const toMe = sumOf(payments.filter(({ to }) => to === this.#account));
        const lock = `${ledger}:${id}`;
        const left = this.#locks.get(lock);
        if (left === undefined) {
          totals.earned += toMe;
          return;
        }
        const gone = sumOf(payments) + burned + returned;
        if (left > gone) this.#locks.set(lock, left - gone);
        else this.#locks.delete(lock);
        if (ledger !== this.#market) return;
        totals.spent += sumOf(payments) - toMe;
        totals.burned += burned;
        totals.locked -= gone;
        return;
      }
      case "Slashed":
        if (event.node === this.#account && event.market === this.#market) totals.slashed += event.amount;
        return;
      case "Fined":
        if (event.node === this.#account && event.market === this.#market) totals.fined += event.taken;
        return;
      default:
      // Moves no money of its own.
    }
  }

  #isOurs(ledger: string): boolean {
    return ledger === this.#market || ledger === this.#registry;
  }
}

function sumOf(payments: readonly { amount: bigint }[]): bigint {
  return payments.reduce((sum, { amount }) => sum + amount, 0n);
}
