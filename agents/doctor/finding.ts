import { SuretyError } from "#sdk/errors.ts";

/** One thing that was looked at. */
export type Finding = {
  /** What was looked at, a word or two: `disk`. */
  about: string;
  /** What was found, with the values. */
  says: string;
} & (
  | { verdict: "ok" }
  | {
      /** `problem`: an agent cannot work here as configured. `warning`: it can, and somebody should look. */
      verdict: "warning" | "problem";
      /** What to do about it. */
      fix: string;
      /** Of the error that an agent would end with or log. */
      code?: string;
    }
);

/** It is as it should be. */
export function ok(about: string, says: string): Finding {
  return { about, says, verdict: "ok" };
}

/** An agent can work, and somebody should look. */
export function warning(about: string, says: string, fix: string): Finding {
  return { about, says, verdict: "warning", fix };
}

/** An agent cannot work here as configured. */
export function problem(about: string, says: string, fix: string, code?: string): Finding {
  return { about, says, verdict: "problem", fix, ...(code === undefined ? {} : { code }) };
}

/** What an error says, for a person who may not know the program. */
export function fromError(about: string, error: unknown, fix: string): Finding & { verdict: "problem" } {
  const known = error instanceof SuretyError ? error : undefined;
  const says = known?.message ?? (error instanceof Error ? error.message : String(error));
  return {
    about,
    says,
    verdict: "problem",
    fix: known?.fix ?? fix,
    ...(known ? { code: known.code } : {}),
  };
}
