import { isMap, isPair, isScalar, isSeq, parseDocument, type Node, type Scalar } from "yaml";
import { ExitStatus, SuretyError } from "#sdk/errors.ts";

/** A value as a person types it. */
export type TypedValue = null | boolean | number | string | TypedValue[] | { [key: string]: TypedValue };

/** What is a number in JSON, and stays exact as one. */
const NUMBER = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/;

/**
 * Reads `{job_id: 0xabcd, job_input: {y: 4}, reward: [10, 10]}`: JSON in which quotes may be left out. What is not a
 * number, true, false or null is text; so are hexadecimal numbers and integers too large to be exact.
 *
 * @throws SuretyError `CONSOLE_SYNTAX` (exit 2) with the place
 */
export function readTyped(text: string): TypedValue {
  const document = parseDocument(text, { schema: "failsafe", strict: true, uniqueKeys: true, prettyErrors: true });
  const [error] = [...document.errors, ...document.warnings];
  if (error) throw syntax(error.message.split("\n")[0]!.replace(/ at line \d+, column (\d+):?$/, " at character $1"));
  if (document.contents === null) throw syntax("nothing was written");
  return valueOf(document.contents);
}

function valueOf(node: Node | null): TypedValue {
  if (isScalar(node)) return scalarOf(node);
  if (isSeq(node)) return node.items.map((item) => valueOf(item as Node));
  if (isMap(node)) {
    const entries = node.items.map((pair): [string, TypedValue] => {
      if (!isPair(pair) || !isScalar(pair.key)) throw syntax("a key must be a word");
      const key = String(pair.key.value);
      const value = pair.value as Node | null;
      // YAML takes {y:4} for a key without a value.
      if (value === null || (isScalar(value) && value.value === "" && value.type === "PLAIN")) {
        throw syntax(`"${key}" has no value`, "Write a space after the colon: {y: 4}.");
      }
      return [key, valueOf(value)];
    });
    return Object.fromEntries(entries);
  }
  throw syntax("this is neither a value, a list nor an object");
}

function scalarOf({ type, value }: Scalar): TypedValue {
  const text = String(value ?? "");
  if (type !== "PLAIN") return text;
  if (text === "true" || text === "false") return text === "true";
  if (text === "null" || text === "") return null;
  if (!NUMBER.test(text)) return text;
  const number = Number(text);
  const isExact = Number.isFinite(number) && (!Number.isInteger(number) || Number.isSafeInteger(number));
  return isExact ? number : text;
}

function syntax(what: string, fix = "Write {key: value, list: [1, 2], object: {y: 4}}."): SuretyError {
  return new SuretyError("CONSOLE_SYNTAX", `this cannot be read: ${what}`, { fix, exit: ExitStatus.badInput });
}
