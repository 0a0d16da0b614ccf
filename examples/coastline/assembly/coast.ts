import { readFile } from "./files";

/** Segments of one chunk at most: fewer prune better, more cost less to look through. */
const CHUNK_SEGMENTS = 12;

const RADIANS_PER_MICRODEGREE: f64 = Math.PI / 180e6;

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

/**
 * The coast lines of `/in/coast.bin`: little-endian 32-bit integers, per line its number of points,
 * then longitude and latitude of each in millionths of a degree. Between two points the coast
 * follows the great circle.
 */
export class Coast {
  points: usize = 0;
  pointCount: i32 = 0;
  chunks: usize = 0;
  chunkCount: i32 = 0;

  /** Pairs of longitude and latitude as read, by point. */
  private degrees: usize = 0;

  static read(path: string): Coast {
    const content = readFile(path);
    const start = changetype<usize>(content);
    const end = start + content.length;

    let points = 0;
    let chunks = 0;
    for (let at = start; at < end; ) {
      const count = load<i32>(at);
      if (count < 2) throw new Error(path + ": a line of fewer than two points");
      points += count;
      chunks += (count - 2) / CHUNK_SEGMENTS + 1;
      at += 4 + <usize>count * 8;
      if (at > end) throw new Error(path + ": ends in the middle of a line");
    }
    if (points == 0) throw new Error(path + ": no coast in it");

    const coast = new Coast();
    coast.points = heap.alloc(<usize>points * offsetof<Point>());
    coast.degrees = heap.alloc(<usize>points * 8);
    coast.chunks = heap.alloc(<usize>chunks * offsetof<Chunk>());
    for (let at = start; at < end; ) {
      const count = load<i32>(at);
      coast.addLine(at + 4, count);
      at += 4 + <usize>count * 8;
    }
    return coast;
  }

  @inline point(index: i32): Point {
    return changetype<Point>(this.points + <usize>index * offsetof<Point>());
  }

  @inline chunk(index: i32): Chunk {
    return changetype<Chunk>(this.chunks + <usize>index * offsetof<Chunk>());
  }

  /** Longitude of a point in millionths of a degree. */
  @inline longitude(index: i32): i32 {
    return load<i32>(this.degrees + <usize>index * 8);
  }

  private addLine(from: usize, count: i32): void {
    const first = this.pointCount;
    memory.copy(this.degrees + <usize>first * 8, from, <usize>count * 8);
    for (let i = 0; i < count; i++) {
      const longitude = <f64>load<i32>(from + <usize>i * 8) * RADIANS_PER_MICRODEGREE;
      const latitude = <f64>load<i32>(from + <usize>i * 8, 4) * RADIANS_PER_MICRODEGREE;
      const point = this.point(first + i);
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
