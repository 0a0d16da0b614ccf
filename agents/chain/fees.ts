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

/** The most to offer; wei per gas. */
export interface FeeCaps {
  /** Base fee and tip together. */
  feeCap: bigint;
  /** The tip. Default: whatever the node advises. */
  tipCap?: bigint;
}

/**
 * The first offer: lasts while the base fee doubles, but never more than the caps. A capped tip begins at a quarter of
 * its cap at most, since a transaction is only replaced by one with a higher tip. Undefined if the cap is too low.
 */
export function offer(market: FeeMarket, { feeCap, tipCap }: FeeCaps): Fees | undefined {
  if (feeCap < market.baseFee) return undefined;
  const tip = tipCap === undefined ? market.tip : smaller(market.tip, tipCap / 4n);
  return capped(2n * market.baseFee + tip, tip, feeCap);
}

/**
 * An offer below the base fee: nobody can take it now, and whoever keeps it can once the base fee has fallen to the cap.
 */
export function standingOffer(market: FeeMarket, { feeCap, tipCap }: FeeCaps): Fees {
  const tip = tipCap === undefined ? market.tip : smaller(market.tip, tipCap / 4n);
  return capped(feeCap, tip, feeCap);
}

/**
 * An offer that nodes accept in place of another: both fees at least an eighth higher (nodes want 10 or 12.5 %), and
 * what the market asks for now if that is more. Undefined if the caps leave no room for it.
 */
export function raise(previous: Fees, market: FeeMarket, { feeCap, tipCap }: FeeCaps): Fees | undefined {
  const maxFeePerGas = eighthMore(previous.maxFeePerGas);
  const advised = tipCap === undefined ? market.tip : smaller(market.tip, tipCap / 4n);
  const tip = larger(eighthMore(previous.maxPriorityFeePerGas), advised);
  if (maxFeePerGas > feeCap || (tipCap !== undefined && tip > tipCap)) return undefined;
  const raised = capped(larger(maxFeePerGas, 2n * market.baseFee + tip), tip, feeCap);
  return raised.maxPriorityFeePerGas < eighthMore(previous.maxPriorityFeePerGas) ? undefined : raised;
}

function smaller(a: bigint, b: bigint): bigint {
  return a < b ? a : b;
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
