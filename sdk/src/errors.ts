/** Facts that go with a {@link SuretyError}; every value must survive `JSON.stringify` once bigints are strings. */
export type ErrorDetails = Record<string, string | number | bigint | boolean | null | undefined>;

/** How a caller should treat an error: `retryable` may pass by itself, `fatal` will not. */
export type ErrorKind = "retryable" | "fatal";

/** Exit statuses of the command line, by the kind of failure. */
export const ExitStatus = {
  /** Something went wrong that none of the others names. */
  failure: 1,
  /** The command line, a job file or a configuration is wrong: change it and try again. */
  badInput: 2,
  /** The chain, the storage or another service could not be reached or answered nonsense. */
  unavailable: 3,
  /** The contracts refused, or the account has too little money. */
  refused: 4,
  /** Another agent works with this key, home or journal. */
  busy: 5,
} as const;

/** What a {@link SuretyError} takes beside its code and message. */
export interface SuretyErrorOptions {
  /** The values involved: actual, expected, ids. */
  details?: ErrorDetails;
  /** What the reader can do about it, as one sentence. */
  fix?: string;
  /** The error underneath. */
  cause?: unknown;
  /** Defaults to `fatal`. */
  kind?: ErrorKind;
  /** Exit status of a process that ends on it; see {@link ExitStatus}. Defaults to 1. */
  exit?: number;
}

/**
 * Every error this package throws on purpose.
 *
 * @example
 * ```ts
 * throw new SuretyError("JOB_FILE_INVALID", "rate is 3, expected a number between 0 and 1", {
 *   fix: "Write rate: 0.03 for three per cent.",
 *   exit: ExitStatus.badInput,
 * });
 * ```
 */
export class SuretyError extends Error {
  override readonly name: string = "SuretyError";
  /** Stable, in capitals: `JOB_FILE_INVALID`. Part of the public interface. */
  readonly code: string;
  readonly details: ErrorDetails;
  readonly fix: string | undefined;
  readonly kind: ErrorKind;
  readonly exit: number;

  constructor(code: string, message: string, options: SuretyErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.details = options.details ?? {};
    this.fix = options.fix;
    this.kind = options.kind ?? "fatal";
    this.exit = options.exit ?? ExitStatus.failure;
  }

  /** Plain data for logs and `--json` output; bigints become decimal strings. */
  toJSON(): Record<string, unknown> {
    const details = Object.fromEntries(
      Object.entries(this.details).map(([key, value]) => [key, typeof value === "bigint" ? value.toString() : value]),
    );
    return { code: this.code, message: this.message, details, ...(this.fix ? { fix: this.fix } : {}), kind: this.kind };
  }
}
