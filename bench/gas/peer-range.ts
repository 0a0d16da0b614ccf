/** Gas per task of the peer's ways as it was measured apart from this, with other orders, prices and parameters. */
export const PEER_RANGES: Readonly<Record<string, readonly [from: number, to: number]>> = {
  "classic, 1 worker, volume 1": [1_620_000, 1_710_000],
  "classic, 3 workers, volume 1": [2_340_000, 2_490_000],
  "Boost, volume 1": [454_000, 510_000],
  "Boost, volume 10": [159_000, 180_000],
};

const TOLERANCE = 0.05;

/** Figures of the peer that lie outside of their range by more than 5 %: then it is not run as others run it. */
export function peerDoubts(peer: Readonly<Record<string, number>>): string[] {
  return Object.entries(PEER_RANGES).flatMap(([name, [from, to]]) => {
    const gas = peer[name];
    const inside = gas !== undefined && gas >= from * (1 - TOLERANCE) && gas <= to * (1 + TOLERANCE);
    return inside ? [] : [`${name}: ${gas ?? "not measured"}, expected ${from} to ${to}`];
  });
}
