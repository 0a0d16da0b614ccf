/**
 * Pseudo-random numbers that follow from a seed alone: xoshiro256**, by David Blackman and Sebastiano Vigna. Good for
 * guessing, no secrets.
 */
export class Random {
  private a: u64 = 0;
  private b: u64 = 0;
  private c: u64 = 0;
  private d: u64 = 0;

  /** Of a seed of 32 bytes, such as that of the call. */
  constructor(seed: Uint8Array) {
    if (seed.length != 32) throw new Error("a seed has 32 bytes");
    this.a = load<u64>(seed.dataStart);
    this.b = load<u64>(seed.dataStart, 8);
    this.c = load<u64>(seed.dataStart, 16);
    // Never all zero, where it would stand still.
    this.d = load<u64>(seed.dataStart, 24) | 1;
  }

  /** 64 random bits. */
  bits(): u64 {
    const found = rotl<u64>(this.b * 5, 7) * 9;
    const moved = this.b << 17;
    this.c ^= this.a;
    this.d ^= this.b;
    this.b ^= this.c;
    this.a ^= this.d;
    this.c ^= moved;
    this.d = rotl<u64>(this.d, 45);
    return found;
  }

  /** From 0 to below 1. */
  next(): f64 {
    return <f64>(this.bits() >> 11) / 9007199254740992.0;
  }

  /** A whole number from 0 to below the bound, which is 1 or more. */
  below(bound: u32): u32 {
    return <u32>((<u64>(<u32>(this.bits() >> 32)) * <u64>bound) >> 32);
  }
}
