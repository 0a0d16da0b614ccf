/**
 * Distance to the nearest coast, for every pixel of one tile of a world map.
 *
 * Reads `/in/tile.txt` and `/in/coast.bin`, writes `/out/tile.bin`: one little-endian signed 16-bit
 * integer a pixel, row by row from the north-west, in tenths of a kilometre along great circles of a
 * sphere; negative on land. Never 0, so that the sign always tells land from sea.
 *
 * Only additions, multiplications, divisions and square roots of 64-bit floats and AssemblyScript's
 * own sine, tangent and arcsine: the same bytes on every machine.
 */
import { Coast } from "./coast";
import { NearestCoast } from "./distance";
import { writeFile } from "./files";
import { landMask } from "./land";
import { Tile } from "./tile";

/** Mean radius of the Earth (IUGG), in tenths of a kilometre. */
const EARTH_RADIUS: f64 = 63710.088;

const tile = Tile.read("/in/tile.txt");
const coast = Coast.read("/in/coast.bin");
const land = landMask(tile, coast);
const squaredChords = new NearestCoast(tile, coast).compute();

const pixels = tile.width * tile.height;
const distances = new StaticArray<i16>(pixels);
let lowest = i32.MAX_VALUE;
let highest = i32.MIN_VALUE;
let seaPixels = 0;
let seaTotal: i64 = 0;
for (let i = 0; i < pixels; i++) {
  const chord = Math.sqrt(unchecked(squaredChords[i]));
  const distance = max(1, <i32>nearest(2.0 * EARTH_RADIUS * Math.asin(min(1.0, chord / 2.0))));
  if (distance > i16.MAX_VALUE) throw new Error("a pixel is farther from any coast than 3,276.7 km");
  const signed = land[i] ? -distance : distance;
  distances[i] = <i16>signed;
  lowest = min(lowest, signed);
  highest = max(highest, signed);
  if (signed > 0) {
    seaPixels++;
    seaTotal += signed;
  }
}
writeFile("/out/tile.bin", changetype<usize>(distances), pixels * 2);

const mean = seaPixels > 0 ? kilometres(<i32>(seaTotal / seaPixels)) + " km" : "none";
process.stdout.write(
  "tile " + tile.index.toString() +
  ": lowest " + kilometres(lowest) + " km, highest " + kilometres(highest) + " km, " +
  seaPixels.toString() + " of " + pixels.toString() + " pixels sea, their mean " + mean + "\n",
);

function kilometres(tenths: i32): string {
  const magnitude = abs(tenths);
  return (tenths < 0 ? "-" : "") + (magnitude / 10).toString() + "." + (magnitude % 10).toString();
}
