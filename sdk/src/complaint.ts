/** What is wrong with a value, what was expected, and how it could look. */
export function complaint(actual: unknown, expected: string, example: string): string {
  const verb = actual === undefined ? "is missing" : `${shown(actual)} is wrong`;
  return `${verb}, expected ${expected}, for example ${example}`;
}

/** A stranger's value, short and without line breaks or terminal escapes. */
export function shown(value: unknown): string {
  if (Array.isArray(value)) return "a list";
  if (value !== null && typeof value === "object") return "a group of settings";
  return typeof value === "string" ? `"${printable(value.slice(0, 60))}"` : printable(String(value));
}

/** A text without line breaks or terminal escapes. */
export function printable(text: PropertyKey): string {
  return String(text).replace(/\p{C}/gu, "?");
}
