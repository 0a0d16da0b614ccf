import { ExitStatus, SuretyError } from "#sdk/errors.ts";

/** Where the project takes reports of what it did wrong. */
const REPORTS = "the project's issue tracker";

/** What a command gets beside its arguments. */
export interface CommandContext {
  /** Aborted by Ctrl-C, SIGTERM, or the end of the process that started this one with a channel. */
  signal: AbortSignal;
  /** Whether to print one JSON object and nothing else. */
  json: boolean;
  /** Tells a person; silent with `--json`. */
  say(line: string): void;
}

/** What a command ends with. */
export interface CommandResult {
  /** Printed with `--json`; bigints become decimal strings. */
  json: Record<string, unknown>;
  /** Printed without `--json`; nothing if left out. */
  text?: string;
  /** Exit status; 0 if left out. */
  exit?: number;
}

/**
 * Runs a command: gives it a signal, prints what it returns, and turns what it throws into lines and an exit status.
 *
 * Signals abort; the second one ends the process at once.
 */
export async function runCommand(
  options: { json?: boolean },
  work: (context: CommandContext) => Promise<CommandResult>,
): Promise<void> {
  const json = options.json === true;
  const { signal, end } = stopSignal();
  try {
    const result = await work({
      signal,
      json,
      say: (line) => void (json || process.stdout.write(`${printable(line)}\n`)),
    });
    if (json) process.stdout.write(`${toJson(result.json)}\n`);
    else if (result.text !== undefined) process.stdout.write(`${printable(result.text)}\n`);
    process.exitCode = result.exit ?? 0;
  } catch (error) {
    process.exitCode = signal.aborted && error === signal.reason ? 130 : printError(error, json);
  } finally {
    end();
  }
}

/**
 * Prints an error for people on standard error and, with `json`, as `{ "error": … }` on standard output.
 *
 * @returns the exit status
 */
export function printError(error: unknown, json: boolean): number {
  const known = error instanceof SuretyError ? error : unexpected(error);
  process.stderr.write(`${errorLines(known)}\n`);
  if (!(error instanceof SuretyError) && error instanceof Error) process.stderr.write(`${error.stack ?? ""}\n`);
  if (json) process.stdout.write(`${toJson({ error: known.toJSON() })}\n`);
  return known.exit;
}

/** JSON on one line in which bigints are decimal strings. */
export function toJson(value: unknown): string {
  return JSON.stringify(value, (_, inner: unknown) => (typeof inner === "bigint" ? inner.toString() : inner));
}

function errorLines(error: SuretyError): string {
  const [first = "", ...rest] = error.message.split("\n");
  const lines = [`error ${error.code}: ${first}`, ...rest.map((line) => `  ${line}`)];
  if (error.fix) lines.push(`fix: ${error.fix}`);
  return printable(lines.join("\n"));
}

/** What strangers' programs, servers and files say may carry escapes that a terminal obeys. */
function printable(text: string): string {
  return text.replaceAll(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g, "?");
}

function unexpected(error: unknown): SuretyError {
  return new SuretyError("UNEXPECTED", error instanceof Error ? error.message : String(error), {
    fix: `This is a fault of surety itself: please file it with the lines below in ${REPORTS}.`,
    exit: ExitStatus.failure,
    cause: error,
  });
}

function stopSignal(): { signal: AbortSignal; end: () => void } {
  const controller = new AbortController();
  const abort = (): void => {
    if (controller.signal.aborted) process.exit(130);
    controller.abort(new DOMException("stopped", "AbortError"));
  };
  const orphaned = (): void =>
    controller.abort(new DOMException("the process that started this one ended", "AbortError"));
  process.on("SIGINT", abort);
  process.on("SIGTERM", abort);
  process.once("disconnect", orphaned);
  // A channel that is listened to would keep this process alive.
  process.channel?.unref();
  const end = (): void => {
    process.off("SIGINT", abort);
    process.off("SIGTERM", abort);
    process.off("disconnect", orphaned);
  };
  return { signal: controller.signal, end };
}
