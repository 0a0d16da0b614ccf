import { Metadata, status, type ServiceError } from "@grpc/grpc-js";
import { ExitStatus, SuretyError } from "#sdk/errors.ts";
import { errorMessage } from "./definition.ts";
import type { ErrorMessage } from "./messages.ts";

/** Trailers of a call that failed. */
export const CODE_TRAILER = "surety-code";
export const ERROR_TRAILER = "surety-error-bin";

/** Longest text in a trailer, characters: what servers and clients take of headers together is 8 to 64 KiB. */
const MAX_TEXT = 2_000;

const byCode: Readonly<Record<string, status>> = {
  TOKEN_WRONG: status.UNAUTHENTICATED,
  JOB_UNKNOWN: status.NOT_FOUND,
  BUDGET_EXHAUSTED: status.RESOURCE_EXHAUSTED,
  TOO_MANY_JOBS: status.RESOURCE_EXHAUSTED,
  TOO_MANY_UPLOADS: status.RESOURCE_EXHAUSTED,
  TOO_MANY_WATCHES: status.RESOURCE_EXHAUSTED,
  UPLOAD_TOO_LARGE: status.RESOURCE_EXHAUSTED,
  RESULTS_TOO_LARGE: status.RESOURCE_EXHAUSTED,
  IDEMPOTENCY_KEY_REUSED: status.ALREADY_EXISTS,
  RESULTS_NOT_READY: status.FAILED_PRECONDITION,
  UPLOAD_STALLED: status.DEADLINE_EXCEEDED,
  CALL_CANCELLED: status.CANCELLED,
};

/** The gRPC status of an error's code; what its exit status says where the code has none of its own. */
function statusOf({ code, exit, kind }: SuretyError): status {
  const own = byCode[code];
  if (own !== undefined) return own;
  if (exit === ExitStatus.badInput) return status.INVALID_ARGUMENT;
  if (exit === ExitStatus.refused) return status.FAILED_PRECONDITION;
  return kind === "retryable" || exit === ExitStatus.unavailable ? status.UNAVAILABLE : status.INTERNAL;
}

/** What a client is told of what went wrong: nothing of faults of the service's own, which stand in its log. */
export function messageOf(error: unknown): ErrorMessage {
  if (!(error instanceof SuretyError)) {
    const message = "the service failed; its log says why";
    return { code: "UNEXPECTED", message, fix: "Tell the requester's operator.", details: {}, retryable: false };
  }
  const { code, message, fix = "", details, kind } = error;
  return {
    code,
    message: message.slice(0, MAX_TEXT),
    fix: fix.slice(0, MAX_TEXT),
    details: Object.fromEntries(
      Object.entries(details).flatMap(([name, value]) =>
        value === undefined || value === null ? [] : [[name, String(value).slice(0, 200)]],
      ),
    ),
    retryable: kind === "retryable",
  };
}

/** How a call ends that failed. */
export function callError(error: unknown): ServiceError {
  const message = messageOf(error);
  const metadata = new Metadata();
  metadata.set(CODE_TRAILER, message.code);
  metadata.set(ERROR_TRAILER, errorMessage.serialize(message));
  const code = error instanceof SuretyError ? statusOf(error) : status.INTERNAL;
  const details = message.message.slice(0, 500);
  return Object.assign(new Error(details), { code, details, metadata });
}

/** What a failed call means on the client's side. */
export function errorOf(failure: ServiceError): SuretyError {
  const [bytes] = failure.metadata?.get(ERROR_TRAILER) ?? [];
  if (Buffer.isBuffer(bytes)) {
    const { code, message, fix, details, retryable } = errorMessage.deserialize(bytes);
    return new SuretyError(code, message, {
      details,
      ...(fix === "" ? {} : { fix }),
      kind: retryable ? "retryable" : "fatal",
      exit: exitOf(failure.code),
      cause: failure,
    });
  }
  switch (failure.code) {
    case status.UNAVAILABLE:
      return new SuretyError("SERVICE_UNREACHABLE", `the service cannot be reached: ${failure.details}`, {
        fix: "See that the requester runs, and that address and certificates are right.",
        kind: "retryable",
        exit: ExitStatus.unavailable,
        cause: failure,
      });
    case status.DEADLINE_EXCEEDED:
      return new SuretyError("DEADLINE_EXCEEDED", "the service did not answer in time", {
        fix: "Try again; what was done is not done twice.",
        kind: "retryable",
        exit: ExitStatus.unavailable,
        cause: failure,
      });
    default:
      return new SuretyError("CALL_FAILED", `the call failed: ${status[failure.code]}: ${failure.details}`, {
        details: { status: status[failure.code] ?? failure.code },
        exit: exitOf(failure.code),
        cause: failure,
      });
  }
}

function exitOf(code: status): number {
  switch (code) {
    case status.INVALID_ARGUMENT:
    case status.NOT_FOUND:
    case status.UNAUTHENTICATED:
    case status.ALREADY_EXISTS:
      return ExitStatus.badInput;
    case status.RESOURCE_EXHAUSTED:
    case status.FAILED_PRECONDITION:
      return ExitStatus.refused;
    case status.UNAVAILABLE:
    case status.DEADLINE_EXCEEDED:
      return ExitStatus.unavailable;
    default:
      return ExitStatus.failure;
  }
}
