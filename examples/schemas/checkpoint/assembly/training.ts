import { Random } from "surety/random";
import { Request } from "./messages";

/** Where a worker is after a round: what a checkpoint holds. */
export class State {
  round: u32 = 0;
  slope: f64 = 0;
  offset: f64 = 0;

  /** Where a worker begins: not where others do. */
  static start(seed: Uint8Array): State {
    const random = new Random(seed);
    const state = new State();
    state.slope = 4.0 * random.next() - 2.0;
    state.offset = 4.0 * random.next() - 2.0;
    return state;
  }

  /** Null for what is no state. */
  static decode(bytes: Uint8Array | null): State | null {
    if (bytes == null || bytes.length != 20) return null;
    const state = new State();
    state.round = load<u32>(bytes.dataStart);
    state.slope = load<f64>(bytes.dataStart, 4);
    state.offset = load<f64>(bytes.dataStart, 12);
    return state;
  }

  encode(): Uint8Array {
    const bytes = new Uint8Array(20);
    store<u32>(bytes.dataStart, this.round);
    store<f64>(bytes.dataStart, this.slope, 4);
    store<f64>(bytes.dataStart, this.offset, 12);
    return bytes;
  }

  /** To the bit: the same steps from the same state come to the same. */
  equals(other: State): bool {
    return (
      this.round == other.round &&
      reinterpret<u64>(this.slope) == reinterpret<u64>(other.slope) &&
      reinterpret<u64>(this.offset) == reinterpret<u64>(other.offset)
    );
  }
}

/** One round: what worker and evaluator both run. */
export function round(before: State, request: Request, seed: Uint8Array): State {
  const after = new State();
  after.round = before.round + 1;
  // Every round draws from numbers of its own, so that it can be run without those before it.
  const own = seed.slice(0);
  store<u32>(own.dataStart, load<u32>(own.dataStart) ^ after.round);
  const random = new Random(own);
  let slope = before.slope;
  let offset = before.offset;
  const points = request.points;
  for (let step: u32 = 0; step < request.steps && points.length > 0; step++) {
    const point = points[random.below(points.length)];
    const error = slope * point.x + offset - point.y;
    slope -= request.rate * error * point.x;
    offset -= request.rate * error;
  }
  after.slope = slope;
  after.offset = offset;
  return after;
}

/** Mean squared error over all points. */
export function loss(slope: f64, offset: f64, request: Request): f64 {
  let sum = 0.0;
  for (let i = 0; i < request.points.length; i++) {
    const point = request.points[i];
    const error = slope * point.x + offset - point.y;
    sum += error * error;
  }
  return sum / max<f64>(1.0, request.points.length);
}
