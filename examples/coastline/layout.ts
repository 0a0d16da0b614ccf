/** How the map is cut into tiles. Tiles are numbered row by row from the north-west, from 0. */
export type Layout = {
  /** Pixels of the whole map, longitudes -180 to 180 from left to right. A multiple of `columns`. */
  width: number;
  /** Pixels of the whole map, latitudes 90 to -90 from top to bottom. A multiple of `rows`. */
  height: number;
  columns: number;
  rows: number;
};

/** One tile's place in the map, in pixels. */
export type Tile = { index: number; x: number; y: number; width: number; height: number };

/** The demo's map: sixths of a degree, 72 tiles of 30 by 30 degrees. */
export const DEMO_LAYOUT: Layout = { width: 2160, height: 1080, columns: 12, rows: 6 };

/**
 * The tiles of a layout in the order of their numbers.
 *
 * @throws RangeError if a number is not a positive whole one, or the map does not divide evenly
 */
export function tilesOf(layout: Layout): Tile[] {
  for (const [name, value] of Object.entries(layout)) {
    if (!Number.isInteger(value) || value < 1) throw new RangeError(`${name} is ${value}, not a positive whole number`);
  }
  const width = layout.width / layout.columns;
  const height = layout.height / layout.rows;
  if (!Number.isInteger(width) || !Number.isInteger(height)) {
    throw new RangeError(
      `a map of ${layout.width} x ${layout.height} pixels does not divide into ${layout.columns} x ${layout.rows} tiles`,
    );
  }
  return Array.from({ length: layout.columns * layout.rows }, (_, index) => ({
    index,
    x: (index % layout.columns) * width,
    y: Math.floor(index / layout.columns) * height,
    width,
    height,
  }));
}
