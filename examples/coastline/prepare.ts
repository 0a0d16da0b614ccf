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

/** A coast line as [longitude, latitude] in millionths of a degree. */
export type Line = [number, number][];

const MICRODEGREES = 1e6;

/**
 * The world's coasts (Natural Earth, from the npm package `world-atlas`), lakes left out but for the
 * Caspian Sea. Edges that only the cutting of the map along the antimeridian and at the South Pole
 * brought about are left out too.
 */
export async function coastLines(detail: Detail): Promise<Line[]> {
  const path = fileURLToPath(import.meta.resolve(`world-atlas/land-${detail}.json`));
  const topology = JSON.parse(await readFile(path, "utf8")) as Topology<{ land: GeometryCollection }>;
  const lines: Line[] = [];
  for (const { geometry } of feature(topology, topology.objects.land).features) {
    const polygons =
      geometry.type === "Polygon" ? [geometry.coordinates]
      : geometry.type === "MultiPolygon" ? geometry.coordinates
      : [];
    for (const ring of polygons.flat()) lines.push(...openLines(ring as [number, number][]));
  }
  return lines;
}

function openLines(ring: [number, number][]): Line[] {
  const lines: Line[] = [];
  let line: Line = [];
  for (const [longitude, latitude] of ring) {
    const point: Line[number] = [Math.round(longitude * MICRODEGREES), Math.round(latitude * MICRODEGREES)];
    const last = line.at(-1);
    if (last?.[0] === point[0] && last[1] === point[1]) continue;
    if (last && isCut(last, point)) {
      if (line.length > 1) lines.push(line);
      line = [];
    }
    line.push(point);
  }
  if (line.length > 1) lines.push(line);
  return lines;
}

/** Whether the edge between two points runs along the antimeridian or around the South Pole. */
function isCut(a: Line[number], b: Line[number]): boolean {
  const onAntimeridian = (point: Line[number]) => Math.abs(point[0]) >= 179_999_000;
  const atPole = (point: Line[number]) => point[1] <= -89_990_000;
  return (onAntimeridian(a) && onAntimeridian(b)) || (atPole(a) && atPole(b));
}

/**
 * Coast lines as the module reads them: little-endian 32-bit integers, per line the number of its
 * points, then longitude and latitude of each.
 */
export function encodeCoast(lines: Line[]): Uint8Array {
  const words = lines.flatMap((line) => [line.length, ...line.flat()]);
  const bytes = new Uint8Array(words.length * 4);
  const view = new DataView(bytes.buffer);
  words.forEach((word, index) => view.setInt32(index * 4, word, true));
  return bytes;
}

/** The inputs of every task of a layout, by name of the file, in the order of the tiles. */
export async function tileInputs(layout: Layout, detail: Detail = "10m"): Promise<Record<string, Uint8Array>[]> {
  const coast = encodeCoast(await coastLines(detail));
  return tilesOf(layout).map((tile) => {
    const values = { ...tile, mapWidth: layout.width, mapHeight: layout.height };
    const text = Object.entries(values).map(([name, value]) => `${name} ${value}\n`).join("");
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
