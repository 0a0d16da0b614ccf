import { Random } from "surety/random";

/** Rows of numbers, as text: one row a line, commas between. */
export function readRows(csv: Uint8Array): f64[][] {
  const rows: f64[][] = [];
  const lines = String.UTF8.decode(csv.buffer).split("\n");
  for (let i = 0; i < lines.length; i++) {
    if (lines[i].length == 0) continue;
    rows.push(lines[i].split(",").map<f64>((text) => parseFloat(text)));
  }
  return rows;
}

/** One hidden layer: the chance that the answer is yes. */
export class Network {
  private active: f64[] = [];

  /** Of weights in this order: for each hidden neuron its inputs' and its own, then the answer's. */
  constructor(
    public inputs: i32,
    public hidden: i32,
    public weights: f64[],
  ) {
    for (let i = 0; i < hidden; i++) this.active.push(0);
  }

  static size(inputs: i32, hidden: i32): i32 {
    return hidden * (inputs + 2) + 1;
  }

  static begin(inputs: i32, hidden: i32, random: Random): Network {
    const weights: f64[] = [];
    for (let i = Network.size(inputs, hidden); i > 0; i--) weights.push(random.next() - 0.5);
    return new Network(inputs, hidden, weights);
  }

  /** From 0 to 1. */
  answer(row: f64[]): f64 {
    const after = this.hidden * (this.inputs + 1);
    let sum = this.weights[after + this.hidden];
    for (let k = 0; k < this.hidden; k++) {
      const at = k * (this.inputs + 1);
      let inner = this.weights[at + this.inputs];
      for (let i = 0; i < this.inputs; i++) inner += this.weights[at + i] * row[i];
      this.active[k] = Math.tanh(inner);
      sum += this.weights[after + k] * this.active[k];
    }
    return 1.0 / (1.0 + Math.exp(-sum));
  }

  /** One step towards the answer that a row has. */
  learn(row: f64[], rate: f64): void {
    const error = this.answer(row) - row[this.inputs];
    const after = this.hidden * (this.inputs + 1);
    for (let k = 0; k < this.hidden; k++) {
      const at = k * (this.inputs + 1);
      const inner = error * this.weights[after + k] * (1.0 - this.active[k] * this.active[k]);
      this.weights[after + k] -= rate * error * this.active[k];
      for (let i = 0; i < this.inputs; i++) this.weights[at + i] -= rate * inner * row[i];
      this.weights[at + this.inputs] -= rate * inner;
    }
    this.weights[after + this.hidden] -= rate * error;
  }
}
