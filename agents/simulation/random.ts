/** Numbers that look random and are always the same for a seed: SplitMix32. */
export class Random {
  #state: number;

  /** @param seed A whole number; its lowest 32 bits count. */
  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** 0 … 2^32-1 */
  word(): number {
    this.#state = (this.#state + 0x9e3779b9) >>> 0;
    let z = this.#state;
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    return (z ^ (z >>> 15)) >>> 0;
  }

  /** 0 … n-1; the bias is below n / 2^32. */
  below(n: number): number {
    return this.word() % n;
  }

  /** True with a chance from 0 to 1. */
  chance(chance: number): boolean {
    return this.word() < chance * 2 ** 32;
  }

  pick<Item>(items: readonly Item[]): Item {
    return items[this.below(items.length)]!;
  }

  /** `count` different whole numbers from 0 … n-1, in random order. */
  different(count: number, n: number): number[] {
    const chosen = new Set<number>();
    while (chosen.size < Math.min(count, n)) chosen.add(this.below(n));
    return [...chosen];
  }

  /** 32 bytes, hexadecimal. */
  bytes32(): string {
    return `0x${Array.from({ length: 8 }, () => this.word().toString(16).padStart(8, "0")).join("")}`;
  }
}
