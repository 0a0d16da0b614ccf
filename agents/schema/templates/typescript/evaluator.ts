interface Evaluation {
  request: { y: number };
  workers: { workers: { node: string; response: { x: number } | null }[] };
}

export class Evaluator {
  EvaluateRoot({ request: { y }, workers: { workers } }: Evaluation) {
    const judged = workers
      .map(({ node, response }) => ({ node, x: response?.x ?? NaN }))
      .map(({ node, x }) => ({ node, x, loss: Math.abs(y - x * x) }))
      // Who has no answer, or one that is farther off than not trying, is left out.
      .filter(({ x, loss }) => x >= 0 && loss < Math.max(1, y))
      // Sorted by the closest answer.
      .sort((a, b) => a.loss - b.loss);
    return {
      node: judged.map(({ node }) => node),
      score: judged.map(({ loss }) => 1 / (1 + loss)),
      report: judged[0] ? `the best is off by ${judged[0].loss}` : "",
    };
  }
}
