import { getAddress } from "ethers";
import { z } from "zod";

import {
  formatDuration,
  formatSize,
  MAX_AMOUNT,
  parseAmount,
  parseCount,
  parseDuration,
  parseShare,
  parseSize,
} from "./amount.ts";
import { complaint, shown } from "./complaint.ts";
import { SuretyError } from "./errors.ts";
import { MAX_ARGS } from "./job-spec.ts";
import { parseSource } from "./source.ts";

const UINT32_MAX = 2 ** 32 - 1;

/** How one value is written in a job file. */
interface Field<T> {
  description: string;
  /** What is expected, to finish "…, expected". */
  expected: string;
  examples: (string | number)[];
  /** Whether a number is a fitting way to write it, too. */
  numeric?: false;
  parse: (text: string) => T;
}

/**
 * A value written as text or number. Numbers are read from the text they were written as, never through floating
 * point, so that `0.1` is a tenth and a long amount keeps its last digit.
 */
export function field<T>({ description, expected, examples, numeric, parse }: Field<T>) {
  const example = String(examples[0]);
  const error = (issue: { input?: unknown }): string => complaint(issue.input, expected, example);
  const written: z.ZodType<string | number, string | number> =
    numeric === false ? z.string({ error }) : z.union([z.string(), z.number()], { error });
  return written.meta({ description, examples }).transform((value, context): T => {
    try {
      return parse(String(value));
    } catch (error) {
      const known = error instanceof SuretyError ? error.details.expected : undefined;
      context.addIssue({ code: "custom", message: complaint(value, known ? String(known) : expected, example) });
      return z.NEVER;
    }
  });
}

/** One of a few words. */
export function choice<const T extends readonly string[]>(values: T, description: string) {
  const expected = values.length === 1 ? "the only one there is" : `one of ${values.join(", ")}`;
  return z
    .enum(values, { error: (issue) => complaint(issue.input, expected, values[0] ?? "") })
    .meta({ description, examples: [...values] });
}

/** Settings under keys of their own; others are refused. */
export function group<T extends z.ZodRawShape>(shape: T, description: string) {
  const keys = Object.keys(shape).join(", ");
  return z
    .strictObject(shape, {
      error: (issue) =>
        issue.code === "invalid_type"
          ? `${shown(issue.input)} is not a group of settings, expected ${keys}`
          : undefined,
    })
    .meta({ description });
}

/** At most `max` of the same. */
export function list<T extends z.ZodType>(element: T, max: number, description: string, example: string) {
  const expected = `a list of at most ${max}`;
  return z
    .array(element, { error: (issue) => complaint(issue.input, expected, example) })
    .max(max, { error: (issue) => `has ${(issue.input as unknown[]).length} entries, expected ${expected}` })
    .meta({ description });
}

/** Texts, as the words of a command line. */
export const words = (description: string, example: string) =>
  list(z.string({ error: (issue) => complaint(issue.input, "text", example) }), MAX_ARGS, description, example);

/** A share from `least` to `most` parts per million. */
export const share = (description: string, least: number, most: number, examples: (string | number)[]) => {
  const expected = `a share from ${least / 10_000}% to ${most / 10_000}%`;
  return field({ description, expected, examples, parse: (text) => within(parseShare(text), least, most) });
};

/** An amount of tokens, in base units. */
export const amount = (decimals: number, description: string, example: string) =>
  field({
    description,
    expected: "a positive amount of tokens",
    examples: [example],
    parse: (text) => within(parseAmount(text, decimals), 1n, MAX_AMOUNT),
  });

/** How long a step may take, seconds. */
export const windowField = (description: string) =>
  field({
    description,
    expected: "a duration of at least one second",
    examples: ["10m", "30s", 600],
    parse: (text) => within(parseDuration(text), 1, UINT32_MAX),
  });

/** A number from `least` to `most`, in one of the ways of writing numbers. */
export const limit = (
  [least, most]: readonly [least: number, most: number],
  { parse, format }: { parse: (text: string) => number; format: (value: number) => string },
  description: string,
  examples: (string | number)[],
) => {
  const expected = `${format(least)} to ${format(most)}`;
  return field({ description, expected, examples, parse: (text) => within(parse(text), least, most) });
};

/** A count, as {@link limit} has it written. */
export const COUNT = { parse: parseCount, format: String };
/** A size in bytes. */
export const SIZE = { parse: parseSize, format: formatSize };
/** A duration in seconds. */
export const DURATION = { parse: parseDuration, format: formatDuration };

/** Where something is. */
export const source = (description: string, examples: string[], expected: string) =>
  field({ description, expected, examples, numeric: false, parse: parseSource });

/** An address, with the checksum it may have. */
export const address = field({
  description: "Address of a node.",
  expected: "an address",
  examples: ["0x00000000000000000000000000000000000000a1"],
  numeric: false,
  // Throws where the capitals of a checksum are wrong, which is how most mistyped addresses are found.
  parse: (text) => getAddress(/^0x/.test(text) ? text : ""),
});

/** Checks a value by a schema of what is stored, and says what is expected in its own words. */
export function stored<T>(schema: z.ZodType<T>, expected: string, example: string) {
  return (value: unknown, context: z.RefinementCtx): T => {
    const parsed = schema.safeParse(value);
    if (parsed.success) return parsed.data;
    context.addIssue({ code: "custom", message: complaint(value, expected, example) });
    return z.NEVER;
  };
}

/** The value, if it is from `least` to `most`. */
export function within<T extends number | bigint>(value: T, least: T, most: T): T {
  if (value < least || value > most) throw new Error("out of range");
  return value;
}
