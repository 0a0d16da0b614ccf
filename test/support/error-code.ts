import { expect } from "chai";
import { SuretyError } from "#sdk/errors.ts";

/** The error that `work` ends with; ending well fails the test, and other errors pass through. */
export async function failureOf(work: Promise<unknown>): Promise<SuretyError> {
  try {
    await work;
  } catch (error) {
    if (error instanceof SuretyError) return error;
    throw error;
  }
  return expect.fail("expected a failure");
}

/** The code of the error that `work` ends with, or `undefined` if it ends well; other errors pass through. */
export async function codeOf(work: () => unknown): Promise<string | undefined> {
  try {
    await work();
  } catch (error) {
    if (error instanceof SuretyError) return error.code;
    throw error;
  }
  return undefined;
}

/** The code of the error that `act` throws, or `nothing thrown`; other errors pass through. */
export function code(act: () => unknown): string {
  try {
    act();
  } catch (error) {
    if (error instanceof SuretyError) return error.code;
    throw error;
  }
  return "nothing thrown";
}
