import { once } from "node:events";
import { readFile } from "node:fs/promises";
import {
  ChannelCredentials,
  Client,
  connectivityState,
  Metadata,
  status,
  type CallOptions,
  type ClientReadableStream,
  type MethodDefinition,
  type ServiceError,
} from "@grpc/grpc-js";
import pRetry, { AbortError } from "p-retry";
import { systemClock } from "#sdk/clock.ts";
import { ExitStatus, SuretyError } from "#sdk/errors.ts";
import { isPrivate, servicePlace } from "../config/service.ts";
import { errorOf } from "./call-error.ts";
import { requesterService } from "./definition.ts";
import { hasEnded } from "./job-view.ts";
import type * as messages from "./messages.ts";

/** How long a job may take to be uploaded, checked and stored, milliseconds. */
const SUBMIT_MS = 30 * 60_000;
/** Most bytes of one answer: a job with the outcomes of a hundred thousand tasks. */
const MAX_ANSWER_BYTES = 64 * 2 ** 20;
/** Wait before the second try, milliseconds; it doubles up to {@link LONGEST_WAIT_MS}. */
const FIRST_WAIT_MS = 250;
const LONGEST_WAIT_MS = 5_000;

/** Which service, and who asks. */
export interface ConnectionOptions {
  /** `127.0.0.1:7443`, `compute.example.org:7443`, `unix:/run/surety.sock`. */
  server: string;
  token: string;
  /**
   * PEM file of the authority that the service's certificate is of. Default: in the clear where nobody can listen in, and the
   * authorities that this program knows elsewhere.
   */
  ca?: string;
  /** PEM files that this client shows who it is with, where the service wants that beside the token. */
  cert?: string;
  key?: string;
  /** How often to try again what may pass. Default 8, some 20 seconds; `Infinity` for ever. */
  retries?: number;
  /** How long a connection may take, or a call that answers at once, milliseconds. Default 30000. */
  timeoutMs?: number;
}

/** What goes with a call. */
interface Asked {
  signal: AbortSignal;
}

/**
 * A client's view of a requester's service. Calls that fail for reasons that may pass are tried again; submitting, too, since
 * its key makes that harmless.
 *
 * @example
 * ```ts
 * const service = await ServiceConnection.open({ server: "127.0.0.1:7443", token });
 * const { job } = await service.submit({ idempotencyKey, jobFile, spendingLimit: "" }, files, { signal });
 * for await (const event of service.watch(job.id, { signal })) console.log(event.kind);
 * service.close();
 * ```
 */
export class ServiceConnection {
  readonly #client: Client;
  readonly #metadata = new Metadata();
  readonly #retries: number;
  readonly #timeoutMs: number;

  private constructor(client: Client, { token, retries = 8, timeoutMs = 30_000 }: ConnectionOptions) {
    this.#client = client;
    this.#metadata.set("authorization", `Bearer ${token}`);
    this.#retries = retries;
    this.#timeoutMs = timeoutMs;
  }

  /** @throws SuretyError `SERVER_INVALID`, `TLS_UNREADABLE` (exit 2); nothing is sent yet */
  static async open(options: ConnectionOptions): Promise<ServiceConnection> {
    const { server } = options;
    if (!/^\S+$/.test(server) || (!servicePlace(server) && !server.startsWith("unix:"))) {
      throw new SuretyError("SERVER_INVALID", `${JSON.stringify(server)} is no address of a service`, {
        fix: "Give a host and a port such as 127.0.0.1:7443, or unix: and a path.",
        exit: ExitStatus.badInput,
      });
    }
    const credentials = await credentialsOf(server, options);
    const channel = { "grpc.max_receive_message_length": MAX_ANSWER_BYTES, "grpc.keepalive_time_ms": 60_000 };
    return new ServiceConnection(new Client(server, credentials, channel), options);
  }

  /** @throws SuretyError as the service says, `SERVICE_UNREACHABLE`; so do all others */
  getJob(job: string, asked: Asked): Promise<messages.Job> {
    return this.#ask(requesterService.GetJob, { job }, asked);
  }

  listJobs(page: messages.ListJobsRequest, asked: Asked): Promise<messages.ListJobsResponse> {
    return this.#ask(requesterService.ListJobs, page, asked);
  }

  cancelJob(job: string, asked: Asked): Promise<messages.Job> {
    return this.#ask(requesterService.CancelJob, { job }, asked);
  }

  getBudget(asked: Asked): Promise<messages.Budget> {
    return this.#ask(requesterService.GetBudget, {}, asked);
  }

  /**
   * Hands in a job.
   *
   * @param files Called for each try anew.
   */
  submit(
    header: messages.SubmitJobHeader,
    files: () => AsyncIterable<messages.SubmitJobRequest>,
    { signal }: Asked,
  ): Promise<messages.SubmitJobResponse> {
    return this.#patiently(signal, () => this.#upload(header, files(), signal));
  }

  /** What happened to a job and what happens, until it ends. Connections that break in between are made again. */
  async *watch(job: string, { after = 0, signal }: Asked & { after?: number }): AsyncGenerator<messages.JobEvent> {
    let last = after;
    for (let tries = 0; ;) {
      try {
        for await (const event of this.#stream(requesterService.WatchJob, { job, after: last }, signal)) {
          last = event.sequence;
          tries = 0;
          yield event;
          if (hasEnded(event.job)) return;
        }
        return;
      } catch (error) {
        if (!isPassing(error) || tries >= this.#retries) throw error;
        await pause(tries, signal);
        tries += 1;
      }
    }
  }

  /** Outputs of tasks, of each file first its name and then its content. What was cut off is not tried again. */
  fetchResults(wanted: messages.FetchResultsRequest, { signal }: Asked): AsyncGenerator<messages.FetchResultsResponse> {
    return this.#stream(requesterService.FetchResults, wanted, signal);
  }

  close(): void {
    this.#client.close();
  }

  #ask<Request, Response>(
    method: MethodDefinition<Request, Response>,
    request: Request,
    { signal }: Asked,
  ): Promise<Response> {
    return this.#patiently(signal, () => {
      let cancel = (): void => undefined;
      const answer = new Promise<Response>((resolve, reject) => {
        const call = this.#client.makeUnaryRequest(
          method.path,
          method.requestSerialize,
          method.responseDeserialize,
          request,
          this.#metadata,
          within(this.#timeoutMs),
          (error, response) => (error ? reject(errorOf(error)) : resolve(response as Response)),
        );
        cancel = () => call.cancel();
        signal.addEventListener("abort", cancel, { once: true });
      });
      return answer.finally(() => signal.removeEventListener("abort", cancel));
    });
  }

  async #upload(
    header: messages.SubmitJobHeader,
    files: AsyncIterable<messages.SubmitJobRequest>,
    signal: AbortSignal,
  ): Promise<messages.SubmitJobResponse> {
    await this.#connected(signal);
    const { path, requestSerialize, responseDeserialize } = requesterService.SubmitJob;
    const answered = new AbortController();
    let answer: { response?: messages.SubmitJobResponse; error?: ServiceError } | undefined;
    const call = this.#client.makeClientStreamRequest(
      path,
      requestSerialize,
      responseDeserialize,
      this.#metadata,
      within(SUBMIT_MS),
      (error, response) => {
        answer = error ? { error } : { response: response as messages.SubmitJobResponse };
        answered.abort();
      },
    );
    // What is wrong with the call is in its answer.
    call.on("error", () => undefined);
    const cancel = (): void => call.cancel();
    signal.addEventListener("abort", cancel, { once: true });
    try {
      const over = answered.signal;
      const send = async (message: messages.SubmitJobRequest): Promise<void> => {
        if (!call.write(message)) await once(call, "drain", { signal: over }).catch(() => undefined);
      };
      await send({ part: "header", header });
      for await (const message of files) {
        // It knows enough: that the key was used, or that something is wrong.
        if (over.aborted) break;
        await send(message);
      }
      if (!over.aborted) {
        call.end();
        await new Promise((resolve) => over.addEventListener("abort", resolve, { once: true }));
      }
    } catch (error) {
      call.cancel();
      throw error;
    } finally {
      signal.removeEventListener("abort", cancel);
    }
    if (answer?.response) return answer.response;
    throw errorOf(answer!.error as ServiceError);
  }

  async *#stream<Request, Response>(
    method: MethodDefinition<Request, Response>,
    request: Request,
    signal: AbortSignal,
  ): AsyncGenerator<Response> {
    await this.#connected(signal);
    const call: ClientReadableStream<Response> = this.#client.makeServerStreamRequest(
      method.path,
      method.requestSerialize,
      method.responseDeserialize,
      request,
      this.#metadata,
    );
    const cancel = (): void => call.cancel();
    signal.addEventListener("abort", cancel, { once: true });
    try {
      for await (const message of call) yield message as Response;
    } catch (error) {
      signal.throwIfAborted();
      throw isServiceError(error) ? errorOf(error) : error;
    } finally {
      signal.removeEventListener("abort", cancel);
      call.cancel();
    }
  }

  /**
   * Waits until there is a connection, or there is none to be had. Calls without a deadline of their own would wait for
   * ever for a server that takes connections and says nothing.
   *
   * @throws SuretyError `DEADLINE_EXCEEDED`
   */
  async #connected(signal: AbortSignal): Promise<void> {
    const channel = this.#client.getChannel();
    const { deadline } = within(this.#timeoutMs);
    for (;;) {
      signal.throwIfAborted();
      const state = channel.getConnectivityState(true);
      // A call says best why there is none.
      if (state === connectivityState.READY || state === connectivityState.TRANSIENT_FAILURE) return;
      const change = Promise.withResolvers<void>();
      const onAbort = (): void => change.resolve();
      signal.addEventListener("abort", onAbort, { once: true });
      channel.watchConnectivityState(state, deadline!, (error) => (error ? change.reject(error) : change.resolve()));
      try {
        await change.promise;
      } catch (cause) {
        const details = "no connection in time";
        throw errorOf(
          Object.assign(new Error(details, { cause }), {
            code: status.DEADLINE_EXCEEDED,
            details,
            metadata: new Metadata(),
          }),
        );
      } finally {
        signal.removeEventListener("abort", onAbort);
      }
    }
  }

  #patiently<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    return pRetry(
      async () => {
        try {
          return await work();
        } catch (error) {
          signal.throwIfAborted();
          throw isPassing(error) ? error : new AbortError(error as Error);
        }
      },
      {
        ...{
          retries: this.#retries,
          minTimeout: FIRST_WAIT_MS,
          maxTimeout: LONGEST_WAIT_MS,
          factor: 2,
          randomize: true,
        },
        signal,
      },
    );
  }
}

/**
 * What the service, or the way to it, may get over by itself. Full houses and empty purses may pass, too, but not soon,
 * and who waited for as long as a call may take has waited enough.
 */
function isPassing(error: unknown): boolean {
  if (!(error instanceof SuretyError) || error.code === "DEADLINE_EXCEEDED") return false;
  return error.kind === "retryable" && error.exit === ExitStatus.unavailable;
}

function pause(tries: number, signal: AbortSignal): Promise<void> {
  const wait = Math.min(FIRST_WAIT_MS * 2 ** tries, LONGEST_WAIT_MS);
  return systemClock.sleep(wait, { signal });
}

function isServiceError(error: unknown): error is ServiceError {
  return error instanceof Error && typeof (error as ServiceError).code === "number" && "details" in error;
}

function within(milliseconds: number): CallOptions {
  return { deadline: new Date(Date.now() + milliseconds) };
}

/** In the clear only where nobody else can listen in: the token would travel with it. */
async function credentialsOf(
  server: string,
  { ca, cert, key }: Pick<ConnectionOptions, "ca" | "cert" | "key">,
): Promise<ChannelCredentials> {
  if (ca === undefined && cert === undefined && isPrivate(server)) return ChannelCredentials.createInsecure();
  const read = (path: string | undefined): Promise<Buffer | null> =>
    path === undefined
      ? Promise.resolve(null)
      : readFile(path).catch((cause: unknown) => {
          throw unreadable(`${path} cannot be read: ${(cause as Error).message}`, cause);
        });
  const files = [await read(ca), await read(key), await read(cert)] as const;
  try {
    return ChannelCredentials.createSsl(...files);
  } catch (cause) {
    throw unreadable(`the certificates cannot be used: ${(cause as Error).message}`, cause);
  }
}

function unreadable(message: string, cause: unknown): SuretyError {
  return new SuretyError("TLS_UNREADABLE", message, {
    fix: "Name PEM files: the authority's certificate, and certificate and key of this client together.",
    cause,
    exit: ExitStatus.badInput,
  });
}
