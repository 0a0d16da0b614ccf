/**
 * The engine's messages for faults of the program, by the name they have in outcomes. Engines word them differently;
 * the names stay. A call through a table that fails for whatever reason is `indirect-call`.
 */
const kinds: readonly [pattern: RegExp, kind: string][] = [
  [/^unreachable/, "unreachable"],
  [/divide by zero|remainder by zero/, "divide-by-zero"],
  [/divide result unrepresentable/, "integer-overflow"],
  [/float unrepresentable/, "invalid-conversion"],
  [
    /table index is out of bounds|null function or function signature|signature mismatch|table access out of bounds/,
    "indirect-call",
  ],
  [
    /memory access out of bounds|data segment .*out of bounds|table (initializer|or element segment)|out of bounds/,
    "out-of-bounds",
  ],
  [/dereferencing a null pointer/, "null-reference"],
];

/** Kind of trap behind an engine's error, or `undefined` when the error is no fault of the program. */
export function trapKind(error: unknown): string | undefined {
  if (!(error instanceof WebAssembly.RuntimeError)) return undefined;
  return kinds.find(([pattern]) => pattern.test(error.message))?.[1];
}

/** Every kind of trap that an outcome may name; `stack-overflow` comes from the meter. */
export const trapKinds: ReadonlySet<string> = new Set([...kinds.map(([, kind]) => kind), "stack-overflow"]);
