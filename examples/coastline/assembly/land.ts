import { Coast } from "./coast";
import { Tile } from "./tile";

/**
 * Which pixels of a tile lie on land: one byte a pixel, row by row, 1 for land.
 *
 * The North Pole is sea. Going south from it along the meridian through the centre of a pixel
 * column, every coast segment crossed turns sea into land or land into sea. Which columns a segment
 * crosses is decided in whole numbers, so that two segments that share a point never both count it,
 * nor both miss it.
 */
export function landMask(tile: Tile, coast: Coast): StaticArray<u8> {
  const width = tile.width;
  const height = tile.height;
  const mask = new StaticArray<u8>(width * height);

  const sines = new StaticArray<f64>(width);
  const cosines = new StaticArray<f64>(width);
  for (let column = 0; column < width; column++) {
    sines[column] = Math.sin(tile.longitude(column));
    cosines[column] = Math.cos(tile.longitude(column));
  }
  // Falls from row to row; comparing tangents saves an arctangent for each crossing.
  const tangents = new StaticArray<f64>(height);
  for (let row = 0; row < height; row++) tangents[row] = Math.tan(tile.latitude(row));

  const around = coast.stepsAround;
  for (let c = 0; c < coast.chunkCount; c++) {
    const chunk = coast.chunk(c);
    for (let i = chunk.first; i < chunk.first + chunk.segments; i++) {
      const west = coast.longitude(i);
      let east = coast.longitude(i + 1);
      if (east - west > around / 2) east -= around;
      else if (west - east > around / 2) east += around;
      let from = firstColumnAt(west, around, tile);
      let to = firstColumnAt(east, around, tile);
      if (from == to) continue;
      if (from > to) {
        const swap = from;
        from = to;
        to = swap;
      }

      const a = coast.point(i);
      const b = coast.point(i + 1);
      const nx = a.y * b.z - a.z * b.y;
      const ny = a.z * b.x - a.x * b.z;
      const nz = a.x * b.y - a.y * b.x;
      // A segment over the antimeridian reaches out of the map on one side and in on the other.
      for (let turn = -1; turn <= 1; turn++) {
        const shift = turn * tile.mapWidth - tile.x;
        const last = min(to + shift, width);
        for (let column = max(from + shift, 0); column < last; column++) {
          const tangent = -(nx * cosines[column] + ny * sines[column]) / nz;
          const row = firstRowBelow(tangent, tangents);
          if (row < height) mask[row * width + column] ^= 1;
        }
      }
    }
  }

  for (let row = 1; row < height; row++) {
    for (let column = 0; column < width; column++) {
      mask[row * width + column] ^= mask[(row - 1) * width + column];
    }
  }
  return mask;
}

/** The first column of the map whose centre lies at or east of a longitude given in steps. */
function firstColumnAt(longitude: i32, around: i32, tile: Tile): i32 {
  const position = 2 * <i64>longitude * <i64>tile.mapWidth - around;
  const divisor = 2 * <i64>around;
  const quotient = position / divisor;
  return <i32>(quotient * divisor < position ? quotient + 1 : quotient);
}

function firstRowBelow(tangent: f64, tangents: StaticArray<f64>): i32 {
  let low = 0;
  let high = tangents.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (tangents[middle] < tangent) high = middle;
    else low = middle + 1;
  }
  return low;
}
