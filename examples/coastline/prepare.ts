import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { feature } from "topojson-client";
import type { GeometryCollection, Topology } from "topojson-specification";
import { tilesOf, type Layout } from "./layout.ts";

/**
 * Natural Earth's scales, 1 to 10 or 50 million. At 1 to 110 million, so many islands are missing that
 * parts of the Pacific are farther from any coast than a raster can say.
 */
export type Detail = "10m" | "50m";

/** A line through points of a grid, as [steps east, rows north] of its origin. */
export type Line = [east: number, north: number][];

/** Coast lines on a grid of longitudes and latitudes. */
export type Coast = {
  /** How many steps go around the Earth, starting at longitude -180. */
  stepsAround: number;
  /** Latitude of row 0 and distance of the rows, in degrees. */
  latitudeOrigin: number;
  latitudeStep: number;
  lines: Line[];
};

/**
 * The world's coasts (Natural Earth, from the npm package `world-atlas`), on the grid they come on.
 * Lakes have no coasts but for the Caspian Sea. Edges that only came about when the map was cut along
 * the antimeridian and at the South Pole are left out.
 */
export async function readCoast(detail: Detail): Promise<Coast> {
  const path = fileURLToPath(import.meta.resolve(`world-atlas/land-${detail}.json`));
  const topology = JSON.parse(await readFile(path, "utf8")) as Topology<{ land: GeometryCollection }>;
  const { scale, translate } = topology.transform!;
  const coast: Coast = {
    stepsAround: Math.round(360 / scale[0]),
    latitudeOrigin: translate[1],
    latitudeStep: scale[1],
    lines: [],
  };
  for (const { geometry } of feature(topology, topology.objects.land).features) {
    const polygons =
      geometry.type === "Polygon"
        ? [geometry.coordinates]
        : geometry.type === "MultiPolygon"
          ? geometry.coordinates
          : [];
    for (const ring of polygons.flat()) {
      const points = ring.map(([longitude, latitude]): Line[number] => [
        Math.round((longitude! - translate[0]) / scale[0]),
        Math.round((latitude! - translate[1]) / scale[1]),
      ]);
      coast.lines.push(...withoutCuts(points, coast));
    }
  }
  return coast;
}

function withoutCuts(ring: Line, { stepsAround, latitudeOrigin, latitudeStep }: Coast): Line[] {
  const onAntimeridian = ([east]: Line[number]) => east === 0 || east === stepsAround;
  const atPole = ([, north]: Line[number]) => latitudeOrigin + north * latitudeStep < -89.99;
  const lines: Line[] = [];
  let line: Line = [];
  for (const point of ring) {
    const last = line.at(-1);
    if (last?.[0] === point[0] && last[1] === point[1]) continue;
    if (last && ((onAntimeridian(last) && onAntimeridian(point)) || (atPole(last) && atPole(point)))) {
      lines.push(line);
      line = [];
    }
    line.push(point);
  }
  return [...lines, line].filter(({ length }) => length > 1);
}

/** A coast as the module reads it; `assembly/coast.ts` describes the format. */
export function encodeCoast({ stepsAround, latitudeOrigin, latitudeStep, lines }: Coast): Uint8Array {
  const bytes: number[] = [];
  const number = (value: number) => {
    for (; value > 127; value >>>= 7) bytes.push((value & 127) | 128);
    bytes.push(value);
  };
  const signed = (value: number) => number(((value << 1) ^ (value >> 31)) >>> 0);
  for (const line of lines) {
    number(line.length);
    let before: Line[number] = [0, 0];
    for (const point of line) {
      signed(point[0] - before[0]);
      signed(point[1] - before[1]);
      before = point;
    }
  }
  const header = new DataView(new ArrayBuffer(24));
  header.setUint32(0, stepsAround, true);
  header.setFloat64(8, latitudeOrigin, true);
  header.setFloat64(16, latitudeStep, true);
  return new Uint8Array([...new Uint8Array(header.buffer), ...bytes]);
}

/** The inputs of every task of a layout, by name of the file, in the order of the tiles. */
export async function tileInputs(layout: Layout, detail: Detail = "10m"): Promise<Record<string, Uint8Array>[]> {
  const coast = encodeCoast(await readCoast(detail));
  return tilesOf(layout).map((tile) => {
    const values = { ...tile, mapWidth: layout.width, mapHeight: layout.height };
    const text = Object.entries(values)
      .map(([name, value]) => `${name} ${value}\n`)
      .join("");
    return { "coast.bin": coast, "tile.txt": new TextEncoder().encode(text) };
  });
}

/**
 * Writes one folder of inputs a task: `0000/coast.bin`, `0000/tile.txt`, `0001/...`. The coast is the
 * same file in all of them, which content-addressed storage keeps once.
 *
 * @param options.outFolder created if it is missing
 * @param options.detail how finely the coast is drawn; `10m` knows the islets that matter most
 * @returns the tasks' folders, in the order of the tiles
 * @throws RangeError if the map does not divide into the tiles
 */
export async function prepareTiles(options: Layout & { outFolder: string; detail?: Detail }): Promise<string[]> {
  const { outFolder, detail, ...layout } = options;
  const inputs = await tileInputs(layout, detail);
  const folders: string[] = [];
  for (const [index, files] of inputs.entries()) {
    const folder = join(outFolder, String(index).padStart(4, "0"));
    await mkdir(folder, { recursive: true });
    for (const [name, bytes] of Object.entries(files)) await writeFile(join(folder, name), bytes);
    folders.push(folder);
  }
  return folders;
}
