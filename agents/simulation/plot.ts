/** Curves over one axis, drawn to be read without colour: each has its own dash and mark, and its name in the legend. */
export interface Plot {
  title: string;
  /** One line under the title. */
  subtitle: string;
  x: Axis;
  y: Axis;
  curves: PlotCurve[];
  /** Lines across the plot, such as where something begins to pay. */
  marks?: { at: number; axis: "x" | "y"; label: string }[];
}

export interface Axis {
  label: string;
  from: number;
  to: number;
  ticks: number[];
  format: (value: number) => string;
}

export interface PlotCurve {
  name: string;
  points: { x: number; y: number }[];
  /** A formula: a thin line without marks. */
  formula?: boolean;
}

const WIDTH = 760;
const HEIGHT = 460;
const MARGIN = { left: 72, right: 24, top: 66, bottom: 56 };
const LEGEND_LINE = 20;
/** Okabe and Ito's, which everybody can tell apart. */
const COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00"];
const DASHES = ["", "8 4", "2 4", "10 4 2 4", "", ""];
const FORMULA_DASHES = ["", "6 3", "1 3"];
const INK = "#1f2328";
const FAINT = "#6e7781";

/** A plot as an SVG document. */
export function svgOf({ title, subtitle, x, y, curves, marks = [] }: Plot): string {
  const bottom = HEIGHT - MARGIN.bottom;
  const height = HEIGHT + curves.length * LEGEND_LINE + 14;
  const across = (value: number): number =>
    MARGIN.left + ((value - x.from) / (x.to - x.from)) * (WIDTH - MARGIN.left - MARGIN.right);
  const up = (value: number): number => bottom - ((value - y.from) / (y.to - y.from)) * (bottom - MARGIN.top);
  const parts = [
    text(MARGIN.left, 28, title, { size: 17, weight: 600 }),
    text(MARGIN.left, 48, subtitle, { size: 12.5, colour: FAINT }),
    `<clipPath id="area"><rect x="${MARGIN.left}" y="${MARGIN.top}" width="${WIDTH - MARGIN.left - MARGIN.right}" height="${bottom - MARGIN.top}"/></clipPath>`,
  ];
  for (const tick of y.ticks) {
    const zero = tick === 0 && y.from < 0;
    parts.push(line(MARGIN.left, up(tick), WIDTH - MARGIN.right, up(tick), zero ? INK : "#d8dee4", zero ? 1.2 : 1));
    parts.push(text(MARGIN.left - 10, up(tick) + 4, y.format(tick), { anchor: "end", size: 12 }));
  }
  for (const tick of x.ticks) {
    parts.push(line(across(tick), bottom, across(tick), bottom + 5, INK, 1));
    parts.push(text(across(tick), bottom + 20, x.format(tick), { anchor: "middle", size: 12 }));
  }
  parts.push(text((MARGIN.left + WIDTH - MARGIN.right) / 2, bottom + 42, x.label, { anchor: "middle", size: 13 }));
  const middle = (MARGIN.top + bottom) / 2;
  parts.push(
    `<g transform="rotate(-90 20 ${middle})">${text(20, middle, y.label, { anchor: "middle", size: 13 })}</g>`,
  );
  for (const { at, axis, label } of marks) {
    if (axis === "x") {
      parts.push(line(across(at), MARGIN.top, across(at), bottom, FAINT, 1, "3 3"));
      parts.push(text(across(at) + 6, MARGIN.top + 14, label, { size: 12, colour: FAINT }));
    } else {
      parts.push(line(MARGIN.left, up(at), WIDTH - MARGIN.right, up(at), FAINT, 1, "3 3"));
      parts.push(text(WIDTH - MARGIN.right - 4, up(at) - 6, label, { anchor: "end", size: 12, colour: FAINT }));
    }
  }
  for (const [i, { name, points, formula }] of curves.entries()) {
    const colour = COLOURS[i % COLOURS.length]!;
    const dash = formula === true ? FORMULA_DASHES[i % FORMULA_DASHES.length]! : DASHES[i % DASHES.length]!;
    const path = points.map(
      (point, place) => `${place === 0 ? "M" : "L"}${round(across(point.x))} ${round(up(point.y))}`,
    );
    const stroke = `fill="none" stroke="${colour}" stroke-width="${formula === true ? 1.5 : 2.2}"${dash === "" ? "" : ` stroke-dasharray="${dash}"`}`;
    const dots = formula === true ? [] : points.map((point) => dot(i, across(point.x), up(point.y), colour));
    parts.push(`<path clip-path="url(#area)" d="${path.join("")}" ${stroke}/>${dots.join("")}`);
    const at = HEIGHT + 12 + i * LEGEND_LINE;
    parts.push(`<path d="M${MARGIN.left} ${at}H${MARGIN.left + 40}" ${stroke}/>`);
    if (formula !== true) parts.push(dot(i, MARGIN.left + 20, at, colour));
    parts.push(text(MARGIN.left + 50, at + 4, name, { size: 13 }));
  }
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img" aria-label="${escape(title)}" font-family="system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif">`,
    `<rect width="${WIDTH}" height="${height}" fill="#ffffff"/>`,
    ...parts,
    "</svg>",
    "",
  ].join("\n");
}

/** Circles, squares, triangles, diamonds. */
function dot(i: number, x: number, y: number, colour: string): string {
  const [a, b] = [round(x), round(y)];
  const shapes = [
    `<circle cx="${a}" cy="${b}" r="4" fill="${colour}"/>`,
    `<rect x="${round(x - 3.6)}" y="${round(y - 3.6)}" width="7.2" height="7.2" fill="${colour}"/>`,
    `<path d="M${a} ${round(y - 5)}l5 8.6h-10z" fill="${colour}"/>`,
    `<path d="M${a} ${round(y - 5.2)}l5.2 5.2-5.2 5.2-5.2-5.2z" fill="${colour}"/>`,
  ];
  return shapes[i % shapes.length]!;
}

function line(x1: number, y1: number, x2: number, y2: number, colour: string, width: number, dash = ""): string {
  const dashes = dash === "" ? "" : ` stroke-dasharray="${dash}"`;
  return `<line x1="${round(x1)}" y1="${round(y1)}" x2="${round(x2)}" y2="${round(y2)}" stroke="${colour}" stroke-width="${width}"${dashes}/>`;
}

function text(
  x: number,
  y: number,
  value: string,
  {
    anchor = "start",
    size = 12,
    weight = 400,
    colour = INK,
  }: { anchor?: string; size?: number; weight?: number; colour?: string },
): string {
  return `<text x="${round(x)}" y="${round(y)}" text-anchor="${anchor}" font-size="${size}" font-weight="${weight}" fill="${colour}">${escape(value)}</text>`;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

function escape(value: string): string {
  return value.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;");
}
