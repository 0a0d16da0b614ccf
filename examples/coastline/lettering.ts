/**
 * A small alphabet of strokes: capitals, digits and a little punctuation, drawn with a round pen, so
 * that a picture can be labelled without a font file.
 */

type Point = [x: number, y: number];

/** A glyph's strokes on a grid of which a capital is 6 high; y grows downwards. */
type Glyph = { width: number; strokes: Point[][] };

const line = (...coordinates: number[]): Point[] =>
  Array.from({ length: coordinates.length / 2 }, (_, i) => [coordinates[2 * i]!, coordinates[2 * i + 1]!]);

/** Part of an ellipse; degrees clockwise from the right. */
const arc = (cx: number, cy: number, rx: number, ry: number, from: number, to: number): Point[] => {
  const steps = Math.ceil(Math.abs(to - from) / 10);
  return Array.from({ length: steps + 1 }, (_, i) => {
    const angle = ((from + ((to - from) * i) / steps) * Math.PI) / 180;
    return [cx + rx * Math.cos(angle), cy + ry * Math.sin(angle)];
  });
};

const glyph = (width: number, ...strokes: Point[][]): Glyph => ({ width, strokes });

const ALPHABET: Record<string, Glyph> = {
  " ": glyph(2),
  ",": glyph(0.5, line(0.5, 5.8, 0, 7)),
  ".": glyph(0.2, line(0.1, 5.9, 0.1, 6)),
  "°": glyph(1.6, arc(0.8, 0.8, 0.8, 0.8, 0, 360)),
  "0": glyph(3.6, arc(1.8, 3, 1.8, 3, 0, 360)),
  "1": glyph(1.6, line(0, 1.4, 1.6, 0, 1.6, 6)),
  "2": glyph(3.4, [...arc(1.7, 1.7, 1.6, 1.7, 190, 390), ...line(0, 6, 3.4, 6)]),
  "3": glyph(3.4, arc(1.6, 1.55, 1.5, 1.55, 200, 450), arc(1.6, 4.5, 1.7, 1.5, -90, 160)),
  "4": glyph(3.8, line(2.8, 6, 2.8, 0, 0, 4.3, 3.8, 4.3)),
  "5": glyph(3.4, [...line(3.1, 0, 0.5, 0, 0.2, 2.7), ...arc(1.5, 4.1, 1.8, 1.9, 235, 505)]),
  "6": glyph(3.5, arc(1.75, 4.15, 1.75, 1.85, 0, 360), [...arc(3.6, 4.3, 3.6, 4.8, 182, 244)]),
  "7": glyph(3.4, line(0, 0, 3.4, 0, 1.2, 6)),
  "8": glyph(3.5, arc(1.75, 1.5, 1.5, 1.5, 0, 360), arc(1.75, 4.5, 1.75, 1.5, 0, 360)),
  "9": glyph(3.5, arc(1.75, 1.85, 1.75, 1.85, 0, 360), [...arc(-0.1, 1.7, 3.6, 4.8, 2, 64)]),
  A: glyph(4.4, line(0, 6, 2.2, 0, 4.4, 6), line(0.75, 4, 3.65, 4)),
  B: glyph(
    3.5,
    [...line(0, 0, 1.8, 0), ...arc(1.8, 1.45, 1.45, 1.45, -90, 90), ...line(0, 2.9)],
    [...line(0, 0, 0, 6, 1.9, 6), ...arc(1.9, 4.45, 1.6, 1.55, 90, -90), ...line(0, 2.9)],
  ),
  C: glyph(4.2, arc(2.7, 3, 2.7, 3, 308, 52)),
  D: glyph(4.2, [...line(0, 0, 1.5, 0), ...arc(1.5, 3, 2.7, 3, -90, 90), ...line(0, 6, 0, 0)]),
  E: glyph(3, line(3, 0, 0, 0, 0, 6, 3, 6), line(0, 3, 2.6, 3)),
  F: glyph(3, line(3, 0, 0, 0, 0, 6), line(0, 3, 2.6, 3)),
  G: glyph(4.6, [...arc(2.7, 3, 2.7, 3, 308, 20), ...line(5.2, 3.3, 3, 3.3)]),
  H: glyph(3.9, line(0, 0, 0, 6), line(3.9, 0, 3.9, 6), line(0, 3, 3.9, 3)),
  I: glyph(0.2, line(0.1, 0, 0.1, 6)),
  K: glyph(3.7, line(0, 0, 0, 6), line(3.5, 0, 0, 3.6), line(1.3, 2.4, 3.7, 6)),
  L: glyph(2.9, line(0, 0, 0, 6, 2.9, 6)),
  M: glyph(4.8, line(0, 6, 0, 0, 2.4, 4, 4.8, 0, 4.8, 6)),
  N: glyph(4, line(0, 6, 0, 0, 4, 6, 4, 0)),
  O: glyph(5.2, arc(2.6, 3, 2.6, 3, 0, 360)),
  P: glyph(3.4, [...line(0, 6, 0, 0, 1.8, 0), ...arc(1.8, 1.6, 1.6, 1.6, -90, 90), ...line(0, 3.2)]),
  R: glyph(
    3.6,
    [...line(0, 6, 0, 0, 1.8, 0), ...arc(1.8, 1.6, 1.6, 1.6, -90, 90), ...line(0, 3.2)],
    line(1.7, 3.2, 3.6, 6),
  ),
  S: glyph(3.4, [...arc(1.7, 1.5, 1.5, 1.5, 330, 90), ...arc(1.7, 4.5, 1.7, 1.5, -90, 150)]),
  T: glyph(3.8, line(0, 0, 3.8, 0), line(1.9, 0, 1.9, 6)),
  U: glyph(4, [...line(0, 0, 0, 3.8), ...arc(2, 4, 2, 2, 180, 0), ...line(4, 0)]),
  V: glyph(4.2, line(0, 0, 2.1, 6, 4.2, 0)),
  W: glyph(6, line(0, 0, 1.5, 6, 3, 0.6, 4.5, 6, 6, 0)),
  Y: glyph(4, line(0, 0, 2, 3, 4, 0), line(2, 3, 2, 6)),
};

const CAPITAL_HEIGHT = 6;
const SPACING = 1.5;

/** A stretch of the pen's way, in pixels. */
export type Stroke = { from: Point; to: Point };

/** How wide `text` is, in pixels, with capitals `size` pixels high. */
export function textWidth(text: string, size: number): number {
  const glyphs = [...text].map(glyphOf);
  const width = glyphs.reduce((sum, { width }) => sum + width + SPACING, -SPACING);
  return (width * size) / CAPITAL_HEIGHT;
}

/**
 * The strokes of `text`, with the upper left corner of its first capital at (x, y).
 *
 * @throws RangeError for a character outside the alphabet
 */
export function textStrokes(text: string, x: number, y: number, size: number): Stroke[] {
  const scale = size / CAPITAL_HEIGHT;
  const strokes: Stroke[] = [];
  let left = x;
  for (const { width, strokes: lines } of [...text].map(glyphOf)) {
    for (const points of lines) {
      for (let i = 1; i < points.length; i++) {
        const [from, to] = [points[i - 1]!, points[i]!].map(([px, py]): Point => [left + px * scale, y + py * scale]);
        strokes.push({ from: from!, to: to! });
      }
    }
    left += (width + SPACING) * scale;
  }
  return strokes;
}

function glyphOf(character: string): Glyph {
  const glyph = ALPHABET[character];
  if (!glyph) throw new RangeError(`the alphabet has no "${character}"`);
  return glyph;
}
