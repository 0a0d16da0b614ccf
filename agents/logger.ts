import { pino, type Logger } from "pino";
import pretty from "pino-pretty";
import type { LogLevel } from "./config.ts";

export type { Logger } from "pino";

/** Names under which secrets travel; whatever stands under them is not logged, at any of three depths. */
const SECRET_NAMES = ["hex", "privateKey", "secret", "seed", "token", "contentKey", "authorization", "password"];

/** How an agent logs. */
export interface LoggerOptions {
  /** Which agent, on every line: `compute` or `requester`. */
  agent: string;
  level: LogLevel;
  /** For people rather than programs. Defaults to whether standard output is a terminal. */
  readable?: boolean;
}

/**
 * The log of an agent on standard output, a JSON object a line. Messages are constants and ids are fields; secrets
 * are cut out.
 *
 * @example
 * ```ts
 * const logger = createLogger({ agent: "compute", level: "info" });
 * logger.info({ batchId }, "claimed a slice");
 * ```
 */
export function createLogger({ agent, level, readable = process.stdout.isTTY }: LoggerOptions): Logger {
  const options = {
    level,
    base: { agent, pid: process.pid },
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
    serializers: { error: plainError, err: plainError },
    redact: {
      paths: SECRET_NAMES.flatMap((name) => [name, `*.${name}`, `*.*.${name}`]),
      censor: "[secret]",
    },
  };
  // Synchronous, so that a killed process has said what it did.
  const destination = readable
    ? pretty({ sync: true, ignore: "pid,agent", translateTime: "SYS:HH:MM:ss" })
    : pino.destination({ fd: 1, sync: true });
  return pino(options, destination);
}

/** An error with its code, what it was caused by, and bigints as text. */
function plainError(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const { code, details } = error as { code?: string; details?: object };
  return {
    code,
    message: error.message,
    details:
      details &&
      JSON.parse(JSON.stringify(details, (_, value: unknown) => (typeof value === "bigint" ? String(value) : value))),
    stack: error.stack,
    cause: error.cause === undefined ? undefined : plainError(error.cause),
  };
}
