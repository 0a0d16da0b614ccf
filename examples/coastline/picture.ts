import { PNG } from "pngjs";
import { textStrokes, textWidth } from "./lettering.ts";
import type { Layout } from "./layout.ts";

type Colour = readonly [red: number, green: number, blue: number];

const PAPER: Colour = [250, 247, 241];
const INK: Colour = [52, 58, 70];
const COAST: Colour = [58, 66, 82];
const WHITE: Colour = [255, 255, 255];

/** Colours at distances in kilometres; between them, they are mixed. */
const SEA: [number, Colour][] = [
  [0, [214, 236, 232]],
  [60, [176, 218, 220]],
  [250, [121, 188, 203]],
  [600, [66, 143, 180]],
  [1100, [34, 97, 148]],
  [1700, [22, 62, 112]],
  [2300, [16, 38, 80]],
  [2800, [11, 23, 54]],
];
const LAND: [number, Colour][] = [
  [0, [243, 238, 228]],
  [300, [230, 222, 208]],
  [900, [206, 195, 178]],
  [1600, [176, 163, 145]],
  [2600, [138, 124, 108]],
];

const ISOLINE_STEP = 500;
const KILOMETRES_PER_DEGREE = (6371.0088 * Math.PI) / 180;

/** Where the oceans' remotest place is known to be, and how near a raster's must come to be it. */
const POINT_NEMO = { longitude: -123.4, latitude: -48.9, within: 2 };

/** The pixel of a raster that is farthest from any coast, on one side of it. */
export type Remotest = { column: number; row: number; longitude: number; latitude: number; kilometres: number };

/** Finds the remotest pixels at sea and inland. */
export function remotest(raster: Int16Array, layout: Layout): { sea: Remotest; land: Remotest } {
  let sea = 0;
  let land = 0;
  raster.forEach((value, index) => {
    if (value > raster[sea]!) sea = index;
    if (value < raster[land]!) land = index;
  });
  const at = (index: number): Remotest => {
    const column = index % layout.width;
    const row = Math.floor(index / layout.width);
    return {
      column,
      row,
      longitude: ((column + 0.5) / layout.width - 0.5) * 360,
      latitude: (0.5 - (row + 0.5) / layout.height) * 180,
      kilometres: Math.abs(raster[index]!) / 10,
    };
  };
  return { sea: at(sea), land: at(land) };
}

/**
 * Draws a raster as a map with a legend.
 *
 * @param raster as `assembleRaster` returns it
 * @returns the bytes of a PNG file, somewhat wider and higher than the raster
 */
export function renderMap(raster: Int16Array, layout: Layout): Uint8Array {
  const { width, height } = layout;
  const unit = width / 1440;
  const margin = Math.round(28 * unit);
  const footer = Math.round(92 * unit);
  const canvas = new Canvas(width + 2 * margin, height + margin + footer, PAPER);

  drawMap(canvas, raster, layout, margin);
  canvas.frame(margin, margin, width, height, INK, 0.55 * unit);

  const { sea, land } = remotest(raster, layout);
  drawMarker(
    canvas,
    sea,
    margin,
    unit,
    isPointNemo(sea) ? "POINT NEMO" : "FARTHEST AT SEA",
    WHITE,
    mixAlong(SEA, 0.85 * sea.kilometres),
  );
  drawMarker(canvas, land, margin, unit, "FARTHEST INLAND", INK, mixAlong(LAND, 0.6 * land.kilometres));
  drawLegend(canvas, { left: margin, top: margin + height, width, unit, sea, land });
  return canvas.toPng();
}

function drawMap(canvas: Canvas, raster: Int16Array, layout: Layout, margin: number): void {
  const { width, height } = layout;
  const pixelHeight = (180 / height) * KILOMETRES_PER_DEGREE;
  const lineWidth = width / 1440;
  for (let row = 0; row < height; row++) {
    const cosine = Math.cos((0.5 - (row + 0.5) / height) * Math.PI);
    const pixelWidth = pixelHeight * cosine;
    for (let column = 0; column < width; column++) {
      const kilometresAt = (c: number, r: number) =>
        raster[Math.min(Math.max(r, 0), height - 1) * width + ((c + width) % width)]! / 10;
      const distance = kilometresAt(column, row);
      let colour = distance > 0 ? mixAlong(SEA, distance) : mixAlong(LAND, -distance);

      // How many kilometres the distance changes from pixel to pixel tells how far, in pixels, a
      // given distance runs from here. Along ridges it hardly changes; a floor keeps lines thin.
      const steepness = Math.max(
        Math.hypot(
          (kilometresAt(column + 1, row) - kilometresAt(column - 1, row)) / 2,
          (kilometresAt(column, row + 1) - kilometresAt(column, row - 1)) / 2,
        ),
        0.35 * Math.max(pixelWidth, 0.2 * pixelHeight),
      );
      const toIsoline = Math.abs(distance - Math.round(distance / ISOLINE_STEP) * ISOLINE_STEP);
      if (Math.abs(distance) > ISOLINE_STEP / 2) {
        const line = distance > 0 ? WHITE : INK;
        colour = mix(colour, line, (distance > 0 ? 0.3 : 0.22) * cover(toIsoline / steepness, 0.8 * lineWidth));
      }
      colour = mix(colour, COAST, 0.8 * cover(Math.abs(distance) / steepness, 0.7 * lineWidth));
      canvas.set(margin + column, margin + row, colour);
    }
  }
}

function drawMarker(
  canvas: Canvas,
  place: Remotest,
  margin: number,
  unit: number,
  name: string,
  colour: Colour,
  halo: Colour,
): void {
  const x = margin + place.column + 0.5;
  const y = margin + place.row + 0.5;
  canvas.ring(x, y, 5.5 * unit, 1.3 * unit, colour);
  canvas.ring(x, y, 0.6 * unit, 1.6 * unit, colour);
  const size = 7 * unit;
  const left = x + 13 * unit;
  const lines: [string, number][] = [
    [name, y - size - 2.2 * unit],
    [`${grouped(place.kilometres)} KM`, y + 2.6 * unit],
  ];
  // A wider pen in the colour below takes the lines out from under the letters.
  for (const [text, top] of lines) canvas.text(text, left, top, size, halo, { opacity: 0.75, pen: 3.5 * unit });
  for (const [text, top] of lines) canvas.text(text, left, top, size, colour);
}

type Legend = { left: number; top: number; width: number; unit: number; sea: Remotest; land: Remotest };

function drawLegend(canvas: Canvas, { left, top, width, unit, sea, land }: Legend): void {
  const size = 7.5 * unit;
  const middle = top + 34 * unit;
  canvas.text("DISTANCE TO THE NEAREST COAST", left, middle - 1.5 * unit, 9 * unit, INK);
  canvas.text("GREAT CIRCLES ON A SPHERE. COASTS BY NATURAL EARTH", left, middle + 15 * unit, 6 * unit, INK, {
    opacity: 0.75,
  });

  // One scale for both: inland to the left of the coast, sea to the right.
  const inland = Math.max(ISOLINE_STEP, Math.ceil(land.kilometres / 100) * 100);
  const offshore = Math.max(ISOLINE_STEP, Math.ceil(sea.kilometres / 100) * 100);
  const barLeft = left + 0.42 * width;
  const barWidth = 0.58 * width;
  const barTop = Math.round(middle - 3 * unit);
  const barHeight = Math.round(13 * unit);
  const at = (distance: number) => barLeft + ((distance + inland) / (inland + offshore)) * barWidth;
  for (let x = Math.round(barLeft); x < barLeft + barWidth; x++) {
    const distance = ((x - barLeft) / barWidth) * (inland + offshore) - inland;
    const colour = distance > 0 ? mixAlong(SEA, distance) : mixAlong(LAND, -distance);
    for (let y = barTop; y < barTop + barHeight; y++) canvas.set(x, y, colour);
  }
  canvas.frame(Math.round(barLeft), barTop, Math.round(barWidth), barHeight, INK, 0.55 * unit);
  canvas.text("INLAND", barLeft, barTop - size - 5 * unit, size, INK);
  canvas.text("AT SEA", barLeft + barWidth - textWidth("AT SEA", size), barTop - size - 5 * unit, size, INK);
  const coast = at(0);
  canvas.text("COAST", coast - textWidth("COAST", size) / 2, barTop - size - 5 * unit, size, INK);
  for (let tick = -Math.floor(inland / ISOLINE_STEP); tick <= Math.floor(offshore / ISOLINE_STEP); tick++) {
    const x = at(tick * ISOLINE_STEP);
    const bottom = barTop + barHeight;
    canvas.line([x, tick === 0 ? barTop : bottom], [x, bottom + 4 * unit], 0.9 * unit, INK);
    const label = grouped(Math.abs(tick) * ISOLINE_STEP) + (tick === 0 ? " KM" : "");
    canvas.text(label, x - textWidth(label, size) / 2, bottom + 9 * unit, size, INK);
  }
}

function isPointNemo(place: Remotest): boolean {
  return (
    Math.abs(place.longitude - POINT_NEMO.longitude) < POINT_NEMO.within &&
    Math.abs(place.latitude - POINT_NEMO.latitude) < POINT_NEMO.within
  );
}

function grouped(kilometres: number): string {
  return Math.round(kilometres).toLocaleString("en-US");
}

/** The share of a pixel that a line covers, by the distance of its middle, both in pixels. */
function cover(distance: number, lineWidth: number): number {
  return Math.min(Math.max(lineWidth / 2 + 0.5 - distance, 0), 1);
}

function mixAlong(scale: [number, Colour][], distance: number): Colour {
  const after = scale.findIndex(([mark]) => mark >= distance);
  if (after === 0) return scale[0]![1];
  if (after < 0) return scale.at(-1)![1];
  const [fromMark, from] = scale[after - 1]!;
  const [toMark, to] = scale[after]!;
  return mix(from, to, (distance - fromMark) / (toMark - fromMark));
}

function mix(from: Colour, to: Colour, share: number): Colour {
  return [
    from[0] + (to[0] - from[0]) * share,
    from[1] + (to[1] - from[1]) * share,
    from[2] + (to[2] - from[2]) * share,
  ];
}

/** Opaque pixels, and lines with smooth edges. Positions are in pixels from the upper left. */
class Canvas {
  readonly #png: PNG;

  constructor(width: number, height: number, background: Colour) {
    this.#png = new PNG({ width, height, colorType: 2 });
    for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) this.set(x, y, background);
  }

  set(x: number, y: number, [red, green, blue]: Colour): void {
    const at = (y * this.#png.width + x) * 4;
    this.#png.data.set([Math.round(red), Math.round(green), Math.round(blue), 255], at);
  }

  /** A line with round ends. */
  line(from: readonly [number, number], to: readonly [number, number], width: number, colour: Colour): void {
    const box = {
      left: Math.min(from[0], to[0]) - width,
      right: Math.max(from[0], to[0]) + width,
      top: Math.min(from[1], to[1]) - width,
      bottom: Math.max(from[1], to[1]) + width,
    };
    this.#paint(box, (x, y) => cover(distanceToSegment([x, y], from, to), width), colour);
  }

  ring(cx: number, cy: number, radius: number, width: number, colour: Colour): void {
    const reach = radius + width;
    const box = { left: cx - reach, right: cx + reach, top: cy - reach, bottom: cy + reach };
    this.#paint(box, (x, y) => cover(Math.abs(Math.hypot(x - cx, y - cy) - radius), width), colour);
  }

  frame(x: number, y: number, width: number, height: number, colour: Colour, lineWidth: number): void {
    const corners = [
      [x, y],
      [x + width, y],
      [x + width, y + height],
      [x, y + height],
      [x, y],
    ] as const;
    for (let i = 1; i < corners.length; i++) this.line(corners[i - 1]!, corners[i]!, lineWidth, colour);
  }

  text(text: string, x: number, y: number, size: number, colour: Colour, { opacity = 1, pen = size / 7.5 } = {}): void {
    // Strokes overlap where they join: each pixel takes the most that any of them covers.
    const strokes = textStrokes(text, x, y, size);
    const box = { left: x - pen, right: x + textWidth(text, size) + pen, top: y - pen, bottom: y + 1.2 * size + pen };
    this.#paint(
      box,
      (px, py) => {
        let nearest = Infinity;
        for (const { from, to } of strokes) nearest = Math.min(nearest, distanceToSegment([px, py], from, to));
        return opacity * cover(nearest, pen);
      },
      colour,
    );
  }

  toPng(): Uint8Array {
    return PNG.sync.write(this.#png, { colorType: 2, deflateLevel: 9 });
  }

  #paint(
    box: { left: number; right: number; top: number; bottom: number },
    coverAt: (x: number, y: number) => number,
    colour: Colour,
  ): void {
    const { width, height, data } = this.#png;
    for (let y = Math.max(0, Math.floor(box.top) - 1); y <= Math.min(height - 1, box.bottom + 1); y++) {
      for (let x = Math.max(0, Math.floor(box.left) - 1); x <= Math.min(width - 1, box.right + 1); x++) {
        const share = coverAt(x + 0.5, y + 0.5);
        if (share <= 0) continue;
        const at = (y * width + x) * 4;
        this.set(x, y, mix([data[at]!, data[at + 1]!, data[at + 2]!], colour, share));
      }
    }
  }
}

function distanceToSegment(
  [x, y]: readonly [number, number],
  from: readonly [number, number],
  to: readonly [number, number],
): number {
  const dx = to[0] - from[0];
  const dy = to[1] - from[1];
  const length = dx * dx + dy * dy;
  const share = length === 0 ? 0 : Math.min(Math.max(((x - from[0]) * dx + (y - from[1]) * dy) / length, 0), 1);
  return Math.hypot(x - from[0] - share * dx, y - from[1] - share * dy);
}
