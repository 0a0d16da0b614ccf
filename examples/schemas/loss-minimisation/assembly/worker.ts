import { Call } from "surety/call";
import { Request, WorkerReply } from "./messages";
import { lossOf } from "./wave";

/** Descends from starts of its own, and keeps where it came lowest. */
export function Minimise(request: Request, call: Call): WorkerReply {
  const random = call.random;
  let best = new WorkerReply();
  best.loss = lossOf(best, request);
  for (let start: u32 = 0; start < request.starts; start++) {
    const wave = new WorkerReply();
    wave.height = 2.0 * random.next();
    wave.frequency = request.fastest * random.next();
    wave.phase = 2.0 * Math.PI * random.next();
    for (let step: u32 = 0; step < request.steps; step++) descend(wave, request);
    wave.loss = lossOf(wave, request);
    if (wave.loss < best.loss) best = wave;
  }
  return best;
}

/** One step: w := w - a dL(w)/dw. */
function descend(wave: WorkerReply, request: Request): void {
  const points = request.points;
  let height = 0.0;
  let frequency = 0.0;
  let phase = 0.0;
  for (let i = 0; i < points.length; i++) {
    const angle = wave.frequency * points[i].x + wave.phase;
    const sine = Math.sin(angle);
    const error = wave.height * sine - points[i].y;
    const turn = error * wave.height * Math.cos(angle);
    height += error * sine;
    frequency += turn * points[i].x;
    phase += turn;
  }
  const rate = (2.0 * request.rate) / max<f64>(1.0, points.length);
  wave.height -= rate * height;
  wave.frequency -= rate * frequency;
  wave.phase -= rate * phase;
}
