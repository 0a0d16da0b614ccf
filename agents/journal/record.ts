/** JSON in which bigints survive: `12n` is `{"$bigint":"12"}`. */
export function encode(value: unknown): string {
  const json = JSON.stringify(value, (_, part: unknown) =>
    typeof part === "bigint" ? { $bigint: part.toString() } : part,
  );
  if (json === undefined) throw new TypeError("undefined cannot be recorded");
  return json;
}

/** The inverse of {@link encode}. */
export function decode(json: string): unknown {
  return JSON.parse(json, (_, part: unknown) =>
    typeof part === "object" && part !== null && "$bigint" in part ? BigInt(part.$bigint as string) : part,
  );
}
