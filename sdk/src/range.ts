import { SuretyError } from "./errors.ts";

/**
 * Checks a whole number where a wrong one would give a wrong answer instead of none.
 *
 * @param name What it is, for the error.
 * @throws `NUMBER_OUT_OF_RANGE` unless it is a whole number in `least` … `most`.
 */
export function requireWithin(name: string, actual: number, least: number, most: number): void {
  if (Number.isSafeInteger(actual) && actual >= least && actual <= most) return;
  throw new SuretyError(
    "NUMBER_OUT_OF_RANGE",
    `${name} is ${actual}, expected a whole number from ${least} to ${most}`,
    {
      details: { name, actual, least, most },
    },
  );
}
