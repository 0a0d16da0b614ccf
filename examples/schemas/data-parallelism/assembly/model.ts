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

/** How far the weights are off in a row: they tell its last number from those before, by adding. */
export function errorOf(weights: f64[], row: f64[]): f64 {
  const last = row.length - 1;
  let told = weights[last];
  for (let i = 0; i < last; i++) told += weights[i] * row[i];
  return told - row[last];
}

/** Mean squared error over all rows. */
export function lossOf(weights: f64[], rows: f64[][]): f64 {
  let sum = 0.0;
  for (let i = 0; i < rows.length; i++) {
    const error = errorOf(weights, rows[i]);
    sum += error * error;
  }
  return sum / max<f64>(1.0, rows.length);
}

/** How far two sets of weights are from each other. */
export function distance(one: f64[], other: f64[]): f64 {
  let sum = 0.0;
  for (let i = 0; i < one.length; i++) sum += (one[i] - other[i]) ** 2;
  return Math.sqrt(sum);
}
