import { Request, WorkerReply } from "./messages";

/** Mean squared error of a wave over the request's points. */
export function lossOf(wave: WorkerReply, request: Request): f64 {
  const points = request.points;
  let sum = 0.0;
  for (let i = 0; i < points.length; i++) {
    const error = wave.height * Math.sin(wave.frequency * points[i].x + wave.phase) - points[i].y;
    sum += error * error;
  }
  return sum / max<f64>(1.0, points.length);
}
