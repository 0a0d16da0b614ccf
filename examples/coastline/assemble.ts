import { createHash } from "node:crypto";
import { tilesOf, type Layout } from "./layout.ts";

/**
 * Puts the tiles' `/out/tile.bin` together.
 *
 * @param tiles the files' bytes in the order of the tiles
 * @returns one value a pixel, row by row: tenths of a kilometre to the nearest coast, negative on land
 * @throws RangeError if a tile is missing or has not two bytes for each of its pixels
 */
export function assembleRaster(tiles: Uint8Array[], layout: Layout): Int16Array {
  const raster = new Int16Array(layout.width * layout.height);
  for (const tile of tilesOf(layout)) {
    const bytes = tiles[tile.index];
    const expected = tile.width * tile.height * 2;
    if (bytes?.length !== expected) {
      throw new RangeError(`tile ${tile.index} has ${bytes?.length ?? "no"} bytes instead of ${expected}`);
    }
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    for (let row = 0; row < tile.height; row++) {
      const start = (tile.y + row) * layout.width + tile.x;
      for (let column = 0; column < tile.width; column++) {
        raster[start + column] = view.getInt16((row * tile.width + column) * 2, true);
      }
    }
  }
  return raster;
}

/** A raster's bytes in the order that is hashed: little-endian on every machine. */
export function rasterBytes(raster: Int16Array): Uint8Array {
  const bytes = new Uint8Array(raster.length * 2);
  const view = new DataView(bytes.buffer);
  raster.forEach((value, index) => view.setInt16(index * 2, value, true));
  return bytes;
}

/** SHA-256 of {@link rasterBytes}, lower-case hex: equal wherever and in however many tiles it was computed. */
export function rasterDigest(raster: Int16Array): string {
  return createHash("sha256").update(rasterBytes(raster)).digest("hex");
}
