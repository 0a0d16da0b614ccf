/** What a transaction offers, EIP-1559; wei per gas. */
export interface Fees {
  maxFeePerGas: bigint;
  maxPriorityFeePerGas: bigint;
}

/** What the chain asks for at the moment; wei per gas. */
export interface FeeMarket {
  /** The newest block's. */
  baseFee: bigint;
  /** A tip that gets a transaction into the next blocks. */
  tip: bigint;
}

/** The first offer: lasts while the base fee doubles, but never more than the cap. Undefined if the cap is too low. */
export function offer(market: FeeMarket, cap: bigint): Fees | undefined {
  if (cap < market.baseFee) return undefined;
  return capped(2n * market.baseFee + market.tip, market.tip, cap);
}

/**
 * An offer that nodes accept in place of another: both fees at least an eighth higher (nodes want 10 or 12.5 %), and
 * what the market asks for now if that is more. Undefined if the cap leaves no room for it.
 */
export function raise(previous: Fees, market: FeeMarket, cap: bigint): Fees | undefined {
  const maxFeePerGas = eighthMore(previous.maxFeePerGas);
  const tip = larger(eighthMore(previous.maxPriorityFeePerGas), market.tip);
  if (maxFeePerGas > cap) return undefined;
  const raised = capped(larger(maxFeePerGas, 2n * market.baseFee + tip), tip, cap);
  return raised.maxPriorityFeePerGas < eighthMore(previous.maxPriorityFeePerGas) ? undefined : raised;
}

function capped(maxFeePerGas: bigint, tip: bigint, cap: bigint): Fees {
  const fee = maxFeePerGas < cap ? maxFeePerGas : cap;
  return { maxFeePerGas: fee, maxPriorityFeePerGas: tip < fee ? tip : fee };
}

function eighthMore(fee: bigint): bigint {
  return fee + (fee + 7n) / 8n + (fee === 0n ? 1n : 0n);
}

function larger(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}
