import { readFile } from "./files";

/** Segments of one chunk at most: fewer prune better, more cost less to look through. */
const CHUNK_SEGMENTS = 12;

/** A run of neighbouring segments inside a ball, so that all can be passed over at once. */
@unmanaged
export class Chunk {
  /** The ball, in the space around a sphere of radius 1. It holds the segments as arcs. */
  x: f64;
  y: f64;
  z: f64;
  radius: f64;
  /** Segment s of the chunk goes from point `first + s` to point `first + s + 1`. */
  first: i32;
  segments: i32;
}

/** A coast point as a vector of length 1. */
@unmanaged
export class Point {
  x: f64;
  y: f64;
  z: f64;
}

/** Bytes before the first line. */
const HEADER_SIZE = 24;

/**
 * The coast lines of `/in/coast.bin`. Between two points the coast follows the great circle.
 *
 * The points lie on a grid of longitudes and latitudes. The file begins with the number of steps
 * around the Earth from longitude -180 (32 bits, then 32 unused), the latitude of row 0 and the
 * height of a row (64-bit floats, in degrees), all little-endian. The lines follow: their number of
 * points, then for each point the steps east and the rows north from the point before it, the first
 * from the grid's origin. These numbers are LEB128; steps and rows are zigzag-coded (0, -1, 1, -2...).
 */
export class Coast {
  /** How many steps of a point's longitude go around the Earth. */
  stepsAround: i32 = 0;
  points: usize = 0;
  pointCount: i32 = 0;
  chunks: usize = 0;
  chunkCount: i32 = 0;

  private steps: usize = 0;
  private latitudeOrigin: f64 = 0;
  private latitudeStep: f64 = 0;

  static read(path: string): Coast {
    const content = readFile(path);
    if (content.length < HEADER_SIZE) throw new Error(path + ": shorter than its header");
    const coast = new Coast();
    const start = changetype<usize>(content);
    coast.stepsAround = load<i32>(start);
    coast.latitudeOrigin = load<f64>(start, 8);
    coast.latitudeStep = load<f64>(start, 16);
    if (coast.stepsAround < 1) throw new Error(path + ": no steps around the Earth");

    // A first pass only counts, so that memory can be set aside.
    const numbers = new Numbers(start + HEADER_SIZE, start + content.length, path);
    let points = 0;
    let chunks = 0;
    while (numbers.left()) {
      const count = numbers.next();
      if (count < 2) throw new Error(path + ": a line of fewer than two points");
      for (let i = 0; i < 2 * count; i++) numbers.next();
      points += count;
      chunks += (count - 2) / CHUNK_SEGMENTS + 1;
    }
    if (points == 0) throw new Error(path + ": no coast in it");
    coast.points = heap.alloc(<usize>points * offsetof<Point>());
    coast.steps = heap.alloc(<usize>points * 4);
    coast.chunks = heap.alloc(<usize>chunks * offsetof<Chunk>());

    numbers.at = start + HEADER_SIZE;
    while (numbers.left()) coast.addLine(numbers);
    return coast;
  }

  @inline point(index: i32): Point {
    return changetype<Point>(this.points + <usize>index * offsetof<Point>());
  }

  @inline chunk(index: i32): Chunk {
    return changetype<Chunk>(this.chunks + <usize>index * offsetof<Chunk>());
  }

  /** Longitude of a point, in steps from -180 degrees. */
  @inline longitude(index: i32): i32 {
    return load<i32>(this.steps + <usize>index * 4);
  }

  private addLine(numbers: Numbers): void {
    const first = this.pointCount;
    const count = numbers.next();
    let east = 0;
    let north = 0;
    for (let i = first; i < first + count; i++) {
      east += numbers.nextSigned();
      north += numbers.nextSigned();
      store<i32>(this.steps + <usize>i * 4, east);
      const longitude = ((2.0 * <f64>east) / <f64>this.stepsAround - 1.0) * Math.PI;
      const latitude = ((this.latitudeOrigin + <f64>north * this.latitudeStep) / 180.0) * Math.PI;
      const point = this.point(i);
      const across = Math.cos(latitude);
      point.x = across * Math.cos(longitude);
      point.y = across * Math.sin(longitude);
      point.z = Math.sin(latitude);
    }
    this.pointCount = first + count;
    for (let s = 0; s < count - 1; s += CHUNK_SEGMENTS) {
      this.addChunk(first + s, min(CHUNK_SEGMENTS, count - 1 - s));
    }
  }

  private addChunk(first: i32, segments: i32): void {
    const chunk = this.chunk(this.chunkCount++);
    chunk.first = first;
    chunk.segments = segments;

    let x: f64 = 0;
    let y: f64 = 0;
    let z: f64 = 0;
    for (let i = first; i <= first + segments; i++) {
      const point = this.point(i);
      x += point.x;
      y += point.y;
      z += point.z;
    }
    const share = 1.0 / <f64>(segments + 1);
    chunk.x = x *= share;
    chunk.y = y *= share;
    chunk.z = z *= share;

    let reach: f64 = 0;
    let longest: f64 = 0;
    for (let i = first; i <= first + segments; i++) {
      const point = this.point(i);
      reach = max(reach, squaredDistance(point, x, y, z));
      if (i > first) {
        const before = this.point(i - 1);
        longest = max(longest, squaredDistance(before, point.x, point.y, point.z));
      }
    }
    // The ball around the points holds their chords; an arc rises above its chord by the sagitta.
    const sagitta = 1.0 - Math.sqrt(max(0.0, 1.0 - longest / 4.0));
    chunk.radius = Math.sqrt(reach) + sagitta;
  }
}

@inline
export function squaredDistance(point: Point, x: f64, y: f64, z: f64): f64 {
  const dx = point.x - x;
  const dy = point.y - y;
  const dz = point.z - z;
  return dx * dx + dy * dy + dz * dz;
}

/** LEB128 numbers in memory, one after another. */
class Numbers {
  constructor(public at: usize, private end: usize, private path: string) {}

  left(): bool {
    return this.at < this.end;
  }

  next(): i32 {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      if (this.at == this.end) throw new Error(this.path + ": ends in the middle of a line");
      if (shift > 28) throw new Error(this.path + ": a number of more than 32 bits");
      const byte = <i32>load<u8>(this.at++);
      value |= (byte & 127) << shift;
      if (byte < 128) break;
    }
    return value;
  }

  nextSigned(): i32 {
    const value = this.next();
    return (value >>> 1) ^ -(value & 1);
  }
}
