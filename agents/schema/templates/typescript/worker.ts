import { randomOf, seed } from "./surety-schema.ts";

export class Worker {
  CalculateRoot({ y }: { y: number }): { x: number } {
    // The same guesses whenever this worker is run again, other ones for every other worker.
    const random = randomOf(seed()!);
    const most = Math.max(1, y);
    let best = { x: 0, loss: y };
    for (let guess = 0; guess < 100; guess++) {
      const x = random() * most;
      const loss = Math.abs(y - x * x);
      if (loss < best.loss) best = { x, loss };
    }
    return { x: best.x };
  }
}
