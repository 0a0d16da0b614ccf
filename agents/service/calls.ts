import { once } from "node:events";
import type {
  handleClientStreamingCall,
  handleServerStreamingCall,
  handleUnaryCall,
  Metadata,
  ServerReadableStream,
} from "@grpc/grpc-js";
import { systemClock, type Clock } from "#sdk/clock.ts";
import { ExitStatus, SuretyError } from "#sdk/errors.ts";
import type { Logger } from "../logger.ts";
import { callError } from "./call-error.ts";
import type { Client } from "./clients.ts";
import type { Doorkeeper } from "./token.ts";

/** Longest pause between two messages of an upload, milliseconds. */
const MOST_IDLE_MS = 60_000;

/** What {@link Calls} works with. */
export interface CallsParts {
  door: Doorkeeper;
  logger: Logger;
  /** Aborted, with an error that says so, when calls are to end. */
  stopping: AbortSignal;
  /** Refuses calls that come too early or too late. */
  requireOpen: () => void;
  clock?: Clock;
}

/** A call that was let in. */
export interface Call {
  client: Client;
  /** Aborted when its client or its deadline ends it, or the service stops. */
  signal: AbortSignal;
  /** For calls that go on for long: throws once the client's token is not known any more. */
  admitAgain(): Promise<void>;
}

/** What is common to gRPC's calls of all kinds. */
interface RawCall {
  metadata: Metadata;
  cancelled: boolean;
  getPath(): string;
  on(event: "cancelled", listener: () => void): unknown;
}

/** Makes gRPC's handlers of functions that return promises and throw: whose call it is, how it ends, and what fails. */
export class Calls {
  readonly #parts: CallsParts;
  readonly #clock: Clock;

  constructor(parts: CallsParts) {
    this.#parts = parts;
    this.#clock = parts.clock ?? systemClock;
  }

  unary<Request, Response>(
    work: (request: Request, call: Call) => Response | Promise<Response>,
  ): handleUnaryCall<Request, Response> {
    return (raw, callback) => {
      void this.#admitted(raw, (call) => Promise.resolve(work(raw.request, call))).then(
        (response) => callback(null, response),
        (error: unknown) => callback(callError(error)),
      );
    };
  }

  upload<Request, Response>(
    work: (parts: AsyncIterator<Request>, call: Call) => Promise<Response>,
  ): handleClientStreamingCall<Request, Response> {
    return (raw, callback) => {
      // What breaks the connection comes as `cancelled`, too.
      raw.on("error", () => undefined);
      void this.#admitted(raw, (call) => work(this.#steadily(raw, call.signal), call)).then(
        (response) => callback(null, response),
        (error: unknown) => callback(callError(error)),
      );
    };
  }

  download<Request, Response>(
    work: (request: Request, call: Call) => AsyncIterable<Response>,
  ): handleServerStreamingCall<Request, Response> {
    return (raw) => {
      void this.#admitted(raw, async (call) => {
        for await (const message of work(raw.request, call)) {
          if (!raw.write(message)) await once(raw, "drain", { signal: call.signal });
        }
      }).then(
        () => raw.end(),
        (error: unknown) => raw.emit("error", callError(error)),
      );
    };
  }

  async #admitted<T>(raw: RawCall, work: (call: Call) => Promise<T>): Promise<T> {
    const { door, logger, stopping, requireOpen } = this.#parts;
    const gone = new AbortController();
    const leave = (): void => gone.abort(cancelled());
    raw.on("cancelled", leave);
    let name: string | undefined;
    try {
      const [authorization] = raw.metadata.get("authorization");
      const admit = (): Promise<Client> => door.admit(authorization?.toString());
      const client = await admit();
      name = client.name;
      requireOpen();
      if (raw.cancelled) leave();
      const signal = AbortSignal.any([gone.signal, stopping]);
      return await work({
        client,
        signal,
        admitAgain: async () => {
          await admit();
        },
      });
    } catch (error) {
      const reason = gone.signal.aborted ? gone.signal.reason : stopping.aborted ? stopping.reason : error;
      const about = { call: raw.getPath(), client: name };
      if (!(reason instanceof SuretyError)) logger.error({ ...about, error: reason as unknown }, "a call failed");
      else if (reason.code !== "CALL_CANCELLED") logger.info({ ...about, code: reason.code }, "refused a call");
      throw reason;
    }
  }

  /** The messages of an upload, none of which may let itself be waited for for ever. */
  #steadily<Request>(raw: ServerReadableStream<Request, unknown>, signal: AbortSignal): AsyncIterator<Request> {
    const messages = raw[Symbol.asyncIterator]() as AsyncIterator<Request>;
    return {
      next: async () => {
        const waiting = new AbortController();
        const next = messages.next();
        // Whoever loses the race is of no interest.
        next.catch(() => undefined);
        const tooLong = this.#clock
          .sleep(MOST_IDLE_MS, { signal: AbortSignal.any([signal, waiting.signal]) })
          .then(() => Promise.reject(stalled()));
        tooLong.catch(() => undefined);
        try {
          return await Promise.race([next, tooLong]);
        } catch (error) {
          // A connection that broke.
          signal.throwIfAborted();
          throw error instanceof SuretyError ? error : cancelled();
        } finally {
          waiting.abort();
        }
      },
    };
  }
}

function stalled(): SuretyError {
  return new SuretyError("UPLOAD_STALLED", `nothing came for ${MOST_IDLE_MS / 1000} seconds`, {
    fix: "Submit again with the same idempotency key.",
    kind: "retryable",
    exit: ExitStatus.unavailable,
  });
}

function cancelled(): SuretyError {
  return new SuretyError("CALL_CANCELLED", "the client or its deadline ended the call", {
    kind: "retryable",
    exit: ExitStatus.unavailable,
  });
}
