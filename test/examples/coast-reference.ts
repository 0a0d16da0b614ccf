import type { Coast } from "../../examples/coastline/prepare.ts";

const EARTH_RADIUS_KILOMETRES = 6371.0088;

type Vector = [number, number, number];

/**
 * Kilometres from a place to the nearest of all coasts, the slow way: every segment, with angles
 * instead of chords, so that it shares nothing with the module.
 */
export function coastReference({
  stepsAround,
  latitudeOrigin,
  latitudeStep,
  lines,
}: Coast): (longitude: number, latitude: number) => number {
  const arcs = lines.flatMap((line) => {
    const points = line.map(([east, north]) =>
      vector((360 * east) / stepsAround - 180, latitudeOrigin + north * latitudeStep),
    );
    return points.slice(1).map((to, i) => ({ from: points[i]!, to }));
  });
  return (longitude, latitude) => {
    const place = vector(longitude, latitude);
    let nearest = Infinity;
    for (const { from, to } of arcs) nearest = Math.min(nearest, angleToArc(place, from, to));
    return nearest * EARTH_RADIUS_KILOMETRES;
  };
}

function angleToArc(place: Vector, from: Vector, to: Vector): number {
  const atEnds = Math.min(angle(place, from), angle(place, to));
  const normal = cross(from, to);
  if (length(normal) === 0) return atEnds;
  const height = angle(place, normal) - Math.PI / 2;
  // The foot on the great circle is on the arc if going by way of it is no detour.
  const foot = cross(normal, cross(place, normal));
  const detour = angle(from, foot) + angle(foot, to) - angle(from, to);
  return detour < 1e-12 ? Math.min(Math.abs(height), atEnds) : atEnds;
}

function vector(longitude: number, latitude: number): Vector {
  const [x, y] = [(longitude * Math.PI) / 180, (latitude * Math.PI) / 180];
  return [Math.cos(y) * Math.cos(x), Math.cos(y) * Math.sin(x), Math.sin(y)];
}

function cross(a: Vector, b: Vector): Vector {
  return [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
}

function length(a: Vector): number {
  return Math.hypot(...a);
}

function angle(a: Vector, b: Vector): number {
  return Math.atan2(length(cross(a, b)), a[0] * b[0] + a[1] * b[1] + a[2] * b[2]);
}
