import { Chunk, Coast, squaredDistance } from "./coast";
import { Tile } from "./tile";

/** Blocks of pixels up to this wide and high are not divided further. */
const SMALLEST_BLOCK = 4;

/**
 * Bounds are loosened by this much, far above rounding errors, so that what is passed over is never
 * the nearest: the result then does not depend on the order of the search, nor on how the map was
 * cut into tiles.
 */
const SLACK: f64 = 1e-9;

/**
 * Chord to the nearest coast for each pixel of a tile, on a sphere of radius 1, squared.
 *
 * Chords through the sphere grow with the arcs over it and obey the triangle inequality without any
 * trigonometry. The tile is quartered again and again. In each block, the centre's distance to some
 * coast point bounds how far the nearest coast of any pixel can be, which leaves fewer and fewer
 * chunks to look through.
 */
export class NearestCoast {
  private rowSines: StaticArray<f64>;
  private rowCosines: StaticArray<f64>;
  private columnSines: StaticArray<f64>;
  private columnCosines: StaticArray<f64>;
  private squaredChords: StaticArray<f64>;
  /** Candidates of the block in work and of the blocks around it, one list after another. */
  private candidates: StaticArray<i32>;
  /** How far each candidate begins from the centre of the block in work. */
  private nearness: StaticArray<f64>;

  constructor(private tile: Tile, private coast: Coast) {
    const width = tile.width;
    const height = tile.height;
    let depth = 2;
    for (let side = max(width, height); side > SMALLEST_BLOCK; side = (side + 1) >> 1) depth++;

    this.rowSines = new StaticArray<f64>(height);
    this.rowCosines = new StaticArray<f64>(height);
    this.columnSines = new StaticArray<f64>(width);
    this.columnCosines = new StaticArray<f64>(width);
    this.squaredChords = new StaticArray<f64>(width * height);
    this.candidates = new StaticArray<i32>(depth * coast.chunkCount);
    this.nearness = new StaticArray<f64>(coast.chunkCount);

    for (let row = 0; row < height; row++) {
      this.rowSines[row] = Math.sin(tile.latitude(row));
      this.rowCosines[row] = Math.cos(tile.latitude(row));
    }
    for (let column = 0; column < width; column++) {
      this.columnSines[column] = Math.sin(tile.longitude(column));
      this.columnCosines[column] = Math.cos(tile.longitude(column));
    }
  }

  compute(): StaticArray<f64> {
    const all = this.coast.chunkCount;
    for (let c = 0; c < all; c++) this.candidates[c] = c;
    this.divide(0, 0, this.tile.width, this.tile.height, 0, all);
    return this.squaredChords;
  }

  /** Computes the block at (x, y), given the candidates of the block around it. */
  private divide(x: i32, y: i32, width: i32, height: i32, from: i32, to: i32): void {
    const end = this.prune(x, y, width, height, from, to);
    if (width <= SMALLEST_BLOCK && height <= SMALLEST_BLOCK) {
      for (let row = y; row < y + height; row++) {
        for (let column = x; column < x + width; column++) {
          this.squaredChords[row * this.tile.width + column] = this.search(column, row, to, end);
        }
      }
      return;
    }
    const left = width > SMALLEST_BLOCK ? width >> 1 : width;
    const top = height > SMALLEST_BLOCK ? height >> 1 : height;
    this.divide(x, y, left, top, to, end);
    if (left < width) this.divide(x + left, y, width - left, top, to, end);
    if (top < height) this.divide(x, y + top, left, height - top, to, end);
    if (left < width && top < height) {
      this.divide(x + left, y + top, width - left, height - top, to, end);
    }
  }

  /** Appends the candidates that may be nearest to some pixel of a block; returns their end. */
  private prune(x: i32, y: i32, width: i32, height: i32, from: i32, to: i32): i32 {
    const tile = this.tile;
    const coast = this.coast;
    const longitude = tile.longitude(<f64>x + <f64>(width - 1) / 2.0);
    const latitude = tile.latitude(<f64>y + <f64>(height - 1) / 2.0);
    const cx = Math.cos(latitude) * Math.cos(longitude);
    const cy = Math.cos(latitude) * Math.sin(longitude);
    const cz = Math.sin(latitude);

    let nearest: f64 = 2;
    for (let k = from; k < to; k++) {
      const chunk = coast.chunk(this.candidates[k]);
      const dx = chunk.x - cx;
      const dy = chunk.y - cy;
      const dz = chunk.z - cz;
      this.nearness[k - from] = Math.sqrt(dx * dx + dy * dy + dz * dz) - chunk.radius;
      const point = Math.sqrt(squaredDistance(coast.point(chunk.first), cx, cy, cz));
      if (point < nearest) nearest = point;
    }

    const limit = nearest + 2.0 * this.blockRadius(x, y, width, height, cx, cy, cz) + SLACK;
    let end = to;
    for (let k = from; k < to; k++) {
      if (this.nearness[k - from] <= limit) this.candidates[end++] = this.candidates[k];
    }
    return end;
  }

  /** Chord from a block's centre to its farthest pixel. */
  private blockRadius(x: i32, y: i32, width: i32, height: i32, cx: f64, cy: f64, cz: f64): f64 {
    // Only within a quarter of the globe to either side is a corner sure to be the farthest.
    if (width * 2 > this.tile.mapWidth) return 2;
    let radius: f64 = 0;
    for (let corner = 0; corner < 4; corner++) {
      const column = corner & 1 ? x + width - 1 : x;
      const row = corner & 2 ? y + height - 1 : y;
      const dx = this.rowCosines[row] * this.columnCosines[column] - cx;
      const dy = this.rowCosines[row] * this.columnSines[column] - cy;
      const dz = this.rowSines[row] - cz;
      radius = max(radius, dx * dx + dy * dy + dz * dz);
    }
    return Math.sqrt(radius);
  }

  private search(column: i32, row: i32, from: i32, to: i32): f64 {
    const coast = this.coast;
    const x = this.rowCosines[row] * this.columnCosines[column];
    const y = this.rowCosines[row] * this.columnSines[column];
    const z = this.rowSines[row];

    let best: f64 = 4;
    for (let k = from; k < to; k++) {
      best = min(best, squaredDistance(coast.point(coast.chunk(this.candidates[k]).first), x, y, z));
    }
    let reach = Math.sqrt(best) + SLACK;
    for (let k = from; k < to; k++) {
      const chunk = coast.chunk(this.candidates[k]);
      const dx = chunk.x - x;
      const dy = chunk.y - y;
      const dz = chunk.z - z;
      const limit = reach + chunk.radius;
      if (dx * dx + dy * dy + dz * dz > limit * limit) continue;
      const found = this.searchChunk(chunk, x, y, z, best);
      if (found < best) {
        best = found;
        reach = Math.sqrt(best) + SLACK;
      }
    }
    return best;
  }

  private searchChunk(chunk: Chunk, x: f64, y: f64, z: f64, bound: f64): f64 {
    const coast = this.coast;
    let best = bound;
    let a = coast.point(chunk.first);
    best = min(best, squaredDistance(a, x, y, z));
    for (let s = 1; s <= chunk.segments; s++) {
      const b = coast.point(chunk.first + s);
      best = min(best, squaredDistance(b, x, y, z));
      // The pixel's foot on the great circle lies on the segment iff the pixel is on b's side of the
      // plane through a across the segment, and on a's side of the one through b.
      const nx = a.y * b.z - a.z * b.y;
      const ny = a.z * b.x - a.x * b.z;
      const nz = a.x * b.y - a.y * b.x;
      const pastA =
        x * (ny * a.z - nz * a.y) + y * (nz * a.x - nx * a.z) + z * (nx * a.y - ny * a.x);
      const beforeB =
        x * (b.y * nz - b.z * ny) + y * (b.z * nx - b.x * nz) + z * (b.x * ny - b.y * nx);
      if (pastA > 0 && beforeB > 0) {
        const height = x * nx + y * ny + z * nz;
        const squaredSine = (height * height) / (nx * nx + ny * ny + nz * nz);
        // 2 - 2 cos, written so that short distances keep their digits.
        best = min(best, (2.0 * squaredSine) / (1.0 + Math.sqrt(max(0.0, 1.0 - squaredSine))));
      }
      a = b;
    }
    return best;
  }
}
