import { Random } from "surety/random";

/** How many of the darts hit the quarter of a circle: the same for the same seed, wherever they are thrown. */
export function hits(darts: u64, seed: Uint8Array): u64 {
  const random = new Random(seed);
  let found: u64 = 0;
  for (let i: u64 = 0; i < darts; i++) {
    const x = random.next();
    const y = random.next();
    if (x * x + y * y < 1.0) found++;
  }
  return found;
}
