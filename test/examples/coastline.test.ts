import { expect } from "chai";
import { PNG } from "pngjs";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { assembleRaster, rasterBytes, rasterDigest } from "../../examples/coastline/assemble.ts";
import { buildModule } from "../../examples/coastline/build.ts";
import { DEMO_LAYOUT, tilesOf, type Layout } from "../../examples/coastline/layout.ts";
import { remotest, renderMap } from "../../examples/coastline/picture.ts";
import { runPlain } from "../../examples/coastline/plain.ts";
import { encodeCoast, prepareTiles, readCoast, type Coast, type Line } from "../../examples/coastline/prepare.ts";
import type { TaskOutcome } from "../../agents/executor/executor.ts";
import { WasmExecutor } from "../../agents/executor/wasm-executor.ts";
import { BareWasi } from "../support/bare-wasi.ts";
import { coastReference } from "./coast-reference.ts";

const KILOMETRES_PER_DEGREE = (6371.0088 * Math.PI) / 180;
/** A tenth of a kilometre is the unit of a raster, so half of that is its rounding. */
const ROUNDING = 0.0501;
const LIMITS = { fuel: 1n << 40n, memoryBytes: 128 * 2 ** 20, seconds: 60, outputBytes: 2 ** 24, files: 4 };

const degrees = (...points: [number, number][]): Line =>
  points.map(([longitude, latitude]) => [Math.round((longitude + 180) * 1e6), Math.round((latitude + 90) * 1e6)]);

/** Lines in millionths of a degree. */
const coastOf = (...lines: Line[]): Coast => ({ stepsAround: 360e6, latitudeOrigin: -90, latitudeStep: 1e-6, lines });

/** A closed line around a rectangle of longitudes and latitudes, a point at every degree. */
const box = (west: number, south: number, east: number, north: number): Line => {
  const wrapped = (longitude: number) => (longitude > 180 ? longitude - 360 : longitude);
  const points: [number, number][] = [];
  for (let x = west; x < east; x++) points.push([wrapped(x), south]);
  for (let y = south; y < north; y++) points.push([wrapped(east), y]);
  for (let x = east; x > west; x--) points.push([wrapped(x), north]);
  for (let y = north; y >= south; y--) points.push([wrapped(west), y]);
  return degrees(...points);
};

/** Whole numbers from 0 to below a bound, the same at every run. */
const randomNumbers = (seed: number) => {
  let state = seed;
  return (below: number): number => (state = (state * 48271) % 2147483647) % below;
};

describe("coastline", () => {
  const executor = new BareWasi();
  let program: Uint8Array;
  let coarse: Coast;
  let fine: Uint8Array;

  before(async function () {
    this.timeout(60_000);
    program = await buildModule();
    coarse = await readCoast("50m");
    fine = encodeCoast(await readCoast("10m"));
  });

  const runTile = (coast: Uint8Array, tile: string): Promise<TaskOutcome> => {
    const input = new Map([
      ["coast.bin", coast],
      ["tile.txt", new TextEncoder().encode(tile)],
    ]);
    return executor.run({ program, args: [], index: 0, input, limits: LIMITS });
  };

  /** The signed distance, in kilometres, at the centre of one pixel of a map with 10 pixels a degree. */
  const distanceAt = async (coast: Uint8Array, longitude: number, latitude: number): Promise<number> => {
    const x = Math.round((longitude + 180) * 10 - 0.5);
    const y = Math.round((90 - latitude) * 10 - 0.5);
    const outcome = await runTile(coast, `x ${x}\ny ${y}\nwidth 1\nheight 1\nmapWidth 3600\nmapHeight 1800\n`);
    expect(outcome.exit, new TextDecoder().decode(outcome.stderr)).to.deep.equal({ code: 0 });
    return Buffer.from(outcome.files.get("tile.bin")!).readInt16LE() / 10;
  };

  describe("module", () => {
    it("is the same at every build", async function () {
      this.timeout(60_000);
      expect(Buffer.from(await buildModule()).equals(program)).to.equal(true);
    });

    it("imports no clock, no randomness and no environment", async () => {
      const imports = WebAssembly.Module.imports(await WebAssembly.compile(program as BufferSource));
      expect(imports.map(({ name }) => name)).to.have.members([
        "fd_close",
        "fd_filestat_get",
        "fd_prestat_dir_name",
        "fd_prestat_get",
        "fd_read",
        "fd_write",
        "path_open",
        "proc_exit",
      ]);
    });

    it("ends with an exit code and a reason on bad inputs", async () => {
      const coast = encodeCoast(coastOf(degrees([0, 0], [1, 0])));
      const tile = "x 0\ny 0\nwidth 1\nheight 1\nmapWidth 2\nmapHeight 2\n";
      const cases: [Uint8Array, string, string][] = [
        [coast.subarray(0, 23), tile, "shorter than its header"],
        [coast.subarray(0, 27), tile, "ends in the middle of a line"],
        [encodeCoast(coastOf()), tile, "no coast in it"],
        [encodeCoast(coastOf(degrees([0, 0]))), tile, "fewer than two points"],
        [coast, tile.replace("width 1", "width 3"), "does not lie in the map"],
        [coast, tile.replace("x 0", "colour 0"), "unknown name"],
        [coast, tile, "farther from any coast"],
      ];
      for (const [bytes, text, reason] of cases) {
        const outcome = await runTile(bytes, text);
        expect(outcome.exit, reason).to.deep.equal({ code: 255 });
        expect(new TextDecoder().decode(outcome.stderr)).to.include(reason);
        expect(outcome.files.size, reason).to.equal(0);
      }
      const outcome = await executor.run({ program, args: [], index: 0, input: new Map(), limits: LIMITS });
      expect(new TextDecoder().decode(outcome.stderr)).to.include("/in/tile.txt: NOENT");
    });
  });

  describe("distance", () => {
    it("is measured to the arc between two points, not to the points", async () => {
      const equator = encodeCoast(coastOf(degrees([-60, 0], [60, 0])));
      expect(await distanceAt(equator, 0.05, 10.05)).to.be.closeTo(10.05 * KILOMETRES_PER_DEGREE, ROUNDING);
      expect(await distanceAt(equator, 75.05, 0.05)).to.be.closeTo(
        Math.hypot(15.05, 0.05) * KILOMETRES_PER_DEGREE,
        0.1,
      );
    });

    it("is the same from both sides of the antimeridian", async () => {
      const antimeridian = encodeCoast(coastOf(degrees([180, -10], [180, 10])));
      const expected = Math.asin(Math.sin((10.05 * Math.PI) / 180) * Math.cos((0.05 * Math.PI) / 180));
      for (const longitude of [169.95, -169.95]) {
        expect(await distanceAt(antimeridian, longitude, 0.05)).to.be.closeTo(expected * 6371.0088, ROUNDING);
      }
    });

    it("goes over the poles", async () => {
      const coast = encodeCoast(coastOf(degrees([0, 80], [0, 79])));
      expect(await distanceAt(coast, 179.95, 84.95)).to.be.closeTo(15.05 * KILOMETRES_PER_DEGREE, ROUNDING);
      expect(await distanceAt(coast, 90.05, 89.95)).to.be.closeTo(10 * KILOMETRES_PER_DEGREE, 0.2);
    });

    it("does not change when world and pixel are turned", async () => {
      const turned = (by: number): Coast => {
        const shift = Math.round((by / 360) * coarse.stepsAround);
        const turn = (line: Line): Line => line.map(([east, north]) => [(east + shift) % coarse.stepsAround, north]);
        return { ...coarse, lines: coarse.lines.map(turn) };
      };
      const here = await distanceAt(encodeCoast(coarse), -30.05, 40.05);
      for (const by of [40, 160, 240]) {
        const longitude = ((-30.05 + by + 540) % 360) - 180;
        expect(await distanceAt(encodeCoast(turned(by)), longitude, 40.05), `by ${by}`).to.equal(here);
      }
    });

    it("equals the distance to every segment tried one by one, at random pixels", async function () {
      this.timeout(60_000);
      const layout: Layout = { width: 360, height: 180, columns: 4, rows: 3 };
      const raster = await runPlain({ executor, program, layout, detail: "50m" });
      const kilometresToCoast = coastReference(coarse);
      const random = randomNumbers(20);
      for (let i = 0; i < 100; i++) {
        const x = random(360);
        const y = random(180);
        const expected = kilometresToCoast(x - 179.5, 89.5 - y);
        expect(Math.abs(raster[y * 360 + x]!) / 10, `pixel ${x}, ${y}`).to.be.closeTo(
          Math.max(expected, 0.1),
          ROUNDING,
        );
      }
    });

    it("equals it for coasts of few, long segments, on a map in one tile", async function () {
      this.timeout(60_000);
      const random = randomNumbers(7);
      for (let world = 0; world < 8; world++) {
        const lines = Array.from({ length: 12 }, () =>
          degrees(
            ...Array.from({ length: 3 + random(30) }, (): [number, number] => [random(361) - 180, random(181) - 90]),
          ),
        );
        const coast = coastOf(...lines);
        const tile = "x 0\ny 0\nwidth 40\nheight 20\nmapWidth 40\nmapHeight 20\n";
        const outcome = await runTile(encodeCoast(coast), tile);
        const view = Buffer.from(outcome.files.get("tile.bin")!);
        const kilometresToCoast = coastReference(coast);
        for (let pixel = 0; pixel < 800; pixel++) {
          const expected = kilometresToCoast((pixel % 40) * 9 - 175.5, 85.5 - Math.floor(pixel / 40) * 9);
          const distance = Math.abs(view.readInt16LE(pixel * 2)) / 10;
          expect(distance, `world ${world}, pixel ${pixel}`).to.be.closeTo(Math.max(expected, 0.1), ROUNDING);
        }
      }
    });

    it("is what the atlases say", async function () {
      this.timeout(60_000);
      // Point Nemo, some 2,690 km from Ducie Island, Motu Nui and Maher Island.
      expect(await distanceAt(fine, -123.35, -48.85)).to.be.within(2_670, 2_705);
      // The North Pole, some 710 km from Greenland's northernmost islands.
      expect(await distanceAt(fine, -30.05, 89.95)).to.be.within(690, 720);
      // Saint Helena, some 1,130 km from Ascension and 1,850 km from Africa: halfway to Ascension.
      expect(await distanceAt(fine, -10.05, -11.95)).to.be.within(540, 680);
      // The Brandenburg Gate is on land, some 150 km from the Szczecin Lagoon or the Baltic.
      expect(await distanceAt(fine, 13.35, 52.55)).to.be.within(-200, -100);
    });
  });

  describe("land", () => {
    it("is told from sea next to a coast, across the antimeridian too", async () => {
      const line = box(170, -5, 190, 5);
      for (const coast of [encodeCoast(coastOf(line)), encodeCoast(coastOf(line.toReversed()))]) {
        for (const longitude of [170.05, 179.95, -179.95, -170.05]) {
          expect(await distanceAt(coast, longitude, 0.05), `at ${longitude}`).to.be.below(0);
        }
        for (const longitude of [169.95, -169.95]) expect(await distanceAt(coast, longitude, 0.05)).to.be.above(0);
        expect(await distanceAt(coast, -179.95, 6.05)).to.be.above(0);
        expect(await distanceAt(coast, 179.95, -6.05)).to.be.above(0);
      }
    });

    it("reaches to the South Pole and not to the North Pole", async () => {
      expect(await distanceAt(fine, 0.05, -89.95)).to.be.below(0);
      expect(await distanceAt(fine, -179.95, -89.95)).to.be.below(0);
      expect(await distanceAt(fine, 179.95, 89.95)).to.be.above(0);
    });

    it("covers 29 % of the Earth, to within one", async function () {
      this.timeout(60_000);
      for (const detail of ["50m", "10m"] as const) {
        const layout: Layout = { width: 360, height: 180, columns: 1, rows: 1 };
        const raster = await runPlain({ executor, program, layout, detail });
        let land = 0;
        let all = 0;
        raster.forEach((value, index) => {
          const area = Math.cos(((89.5 - Math.floor(index / 360)) * Math.PI) / 180);
          all += area;
          if (value < 0) land += area;
        });
        expect(land / all, detail).to.be.within(0.28, 0.3);
      }
    });
  });

  describe("raster", () => {
    it("is the same however the map is cut", async function () {
      this.timeout(60_000);
      const size = { width: 144, height: 72 };
      const digests: string[] = [];
      for (const [columns, rows] of [
        [1, 1],
        [12, 6],
        [3, 8],
      ] as const) {
        digests.push(
          rasterDigest(await runPlain({ executor, program, layout: { ...size, columns, rows }, detail: "50m" })),
        );
      }
      expect(new Set(digests)).to.have.lengthOf(1);
    });

    it("is the same whether the module is metered or not", async function () {
      this.timeout(60_000);
      const layout: Layout = { width: 72, height: 36, columns: 3, rows: 2 };
      const metered = new WasmExecutor();
      try {
        const [one, other] = [metered, executor].map((by) =>
          runPlain({ executor: by, program, layout, detail: "50m" }),
        );
        expect(rasterDigest(await one!)).to.equal(rasterDigest(await other!));
      } finally {
        await metered.close();
      }
    });

    it("refuses a missing tile and one of the wrong size", () => {
      const layout: Layout = { width: 4, height: 2, columns: 2, rows: 1 };
      expect(() => assembleRaster([new Uint8Array(8)], layout)).to.throw(RangeError);
      expect(() => assembleRaster([new Uint8Array(8), new Uint8Array(7)], layout)).to.throw(RangeError);
    });

    it("puts tiles where they belong", () => {
      const layout: Layout = { width: 4, height: 2, columns: 2, rows: 1 };
      const tiles = [Int16Array.of(0, 1, -4, -5), Int16Array.of(2, 3, -6, 700)].map(rasterBytes);
      expect([...assembleRaster(tiles, layout)]).to.deep.equal([0, 1, 2, 3, -4, -5, -6, 700]);
    });

    it("is not cut into tiles of uneven size", () => {
      expect(() => tilesOf({ width: 10, height: 6, columns: 3, rows: 2 })).to.throw(RangeError);
      expect(() => tilesOf({ width: 10, height: 6, columns: 0, rows: 2 })).to.throw(RangeError);
      expect(tilesOf(DEMO_LAYOUT)).to.have.lengthOf(72);
    });
  });

  it("prepares one folder of inputs a task, the coast the same in all", async () => {
    const outFolder = await mkdtemp(join(tmpdir(), "coastline-"));
    try {
      const folders = await prepareTiles({ outFolder, width: 8, height: 4, columns: 2, rows: 2, detail: "50m" });
      expect(await readdir(outFolder)).to.deep.equal(["0000", "0001", "0002", "0003"]);
      expect(await readFile(join(folders[3]!, "tile.txt"), "utf8")).to.equal(
        "index 3\nx 4\ny 2\nwidth 4\nheight 2\nmapWidth 8\nmapHeight 4\n",
      );
      const coasts = await Promise.all(folders.map((folder) => readFile(join(folder, "coast.bin"))));
      for (const coast of coasts) expect(coast.equals(encodeCoast(coarse))).to.equal(true);
    } finally {
      await rm(outFolder, { recursive: true });
    }
  });

  it("draws a map with a legend and knows the remotest places", async function () {
    this.timeout(60_000);
    const layout: Layout = { width: 480, height: 240, columns: 4, rows: 2 };
    const raster = await runPlain({ executor, program, layout });
    const { sea, land } = remotest(raster, layout);
    expect(sea.longitude).to.be.closeTo(-123.4, 1.5);
    expect(sea.latitude).to.be.closeTo(-48.9, 1.5);
    // The Eurasian pole of inaccessibility lies in Dzungaria.
    expect(land.longitude).to.be.closeTo(87, 3);
    expect(land.latitude).to.be.closeTo(46, 3);

    const picture = PNG.sync.read(Buffer.from(renderMap(raster, layout)));
    expect(picture.width).to.be.above(480);
    expect(picture.height).to.be.above(240);
    const margin = (picture.width - 480) / 2;
    const colourAt = (longitude: number, latitude: number) => {
      const x = margin + Math.floor(((longitude + 180) / 360) * 480);
      const y = margin + Math.floor(((90 - latitude) / 180) * 240);
      return [...picture.data.subarray((y * picture.width + x) * 4, (y * picture.width + x) * 4 + 3)] as [
        number,
        number,
        number,
      ];
    };
    const [, , blueAtSea] = colourAt(-140, -45);
    expect(colourAt(-140, -45)[0]).to.be.below(blueAtSea);
    expect(colourAt(25, 20)[0]).to.be.above(colourAt(25, 20)[2]);
  });
});
