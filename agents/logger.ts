import { Writable } from "node:stream";
import { pino, type DestinationStream, type Logger, type LoggerOptions as PinoOptions } from "pino";
import pretty from "pino-pretty";
import type { LogFormat, LogLevel } from "./config.ts";

export type { Logger } from "pino";

/** Names under which secrets travel; whatever stands under them is not logged, at any of three depths. */
const SECRET_NAMES = ["hex", "privateKey", "secret", "seed", "token", "contentKey", "authorization", "password"];

/** How an agent logs. */
export interface LoggerOptions {
  /** Which agent, on every line: `compute` or `requester`. */
  agent: string;
  level: LogLevel;
  /** Defaults to `pretty` if standard output is a terminal, else `json`. */
  format?: LogFormat;
  /** File that lines are added to instead of standard output. */
  file?: string;
  /** Told the code of each error that is logged as a warning or worse. */
  onError?(code: string): void;
}

/**
 * The log of an agent on standard output, or in a file, a JSON object a line. Messages are constants and ids are fields; secrets
 * are cut out.
 *
 * @example
 * ```ts
 * const logger = createLogger({ agent: "compute", level: "info" });
 * logger.info({ batchId }, "claimed a slice");
 * ```
 */
export function createLogger({ agent, level, format, file, onError }: LoggerOptions): Logger {
  const options: PinoOptions = {
    level,
    base: { agent, pid: process.pid },
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
    serializers: { error: plainError, err: plainError },
    redact: {
      paths: SECRET_NAMES.flatMap((name) => [name, `*.${name}`, `*.*.${name}`]),
      censor: "[secret]",
    },
    hooks: {
      logMethod(args, method, number) {
        const { error } = Object(args[0]) as { error?: unknown };
        if (onError && error !== undefined && number >= pino.levels.values["warn"]!) onError(codeOf(error));
        method.apply(this, args);
      },
      // JSON leaves these as they are, and some terminals obey them.
      streamWrite: withoutOrders,
    },
  };
  // Synchronous, so that a killed process has said what it did.
  const place = file === undefined ? { fd: 1 } : { dest: file, mkdir: true };
  const output = forgiving(pino.destination({ ...place, sync: true }));
  const isSeen = file === undefined && process.stdout.isTTY;
  if ((format ?? (isSeen ? "pretty" : "json")) === "json") return pino(options, output);
  const terminal = new Writable({
    decodeStrings: false,
    write: (text: string, _, written) => {
      output.write(withoutOrders(text));
      written();
    },
  });
  const settings = { sync: true, ignore: "pid,agent", translateTime: "SYS:HH:MM:ss", destination: terminal };
  return pino(options, pretty(settings));
}

/** A disk without room for the log must not end the agent: what could not be written is tried again with the next line. */
function forgiving(destination: DestinationStream): DestinationStream {
  return {
    write: (line) => {
      try {
        destination.write(line);
      } catch {
        // Nowhere to say it.
      }
    },
  };
}

/** Text with control characters above ASCII, and those that turn its direction, written as JSON may write any. */
function withoutOrders(text: string): string {
  return text.replaceAll(
    /[\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/** `UNEXPECTED` where nobody gave it a code. */
function codeOf(error: unknown): string {
  const { code } = Object(error) as { code?: unknown };
  return typeof code === "string" ? code : "UNEXPECTED";
}

/** An error with its code, what it was caused by, and bigints as text. */
function plainError(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const { code, details } = error as { code?: string; details?: object };
  return {
    code,
    message: withoutSecrets(error.message),
    details: details && JSON.parse(JSON.stringify(details, (_, value: unknown) => plainDetail(value))),
    stack: error.stack && withoutSecrets(error.stack),
    cause: error.cause === undefined ? undefined : plainError(error.cause),
  };
}

function plainDetail(value: unknown): unknown {
  if (typeof value === "bigint") return String(value);
  return typeof value === "string" ? withoutSecrets(value) : value;
}

/** Addresses of HTTP without the parts that secrets travel in: name and password, and what follows a question mark. */
function withoutSecrets(text: string): string {
  return text.replaceAll(
    /(https?:\/\/)(?:[^\s/?#@"']*@)?([^\s?#"']*)(?:[?#][^\s"']*)?/gi,
    (_, scheme: string, rest: string) => scheme + rest,
  );
}
