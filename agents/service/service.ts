import { chmod, readFile, rm } from "node:fs/promises";
import { createSecureContext } from "node:tls";
import { Server, ServerCredentials, type UntypedServiceImplementation } from "@grpc/grpc-js";
import { HealthImplementation } from "grpc-health-check";
import { ExitStatus, SuretyError } from "#sdk/errors.ts";
import type { RequesterConfig } from "../config.ts";
import { servicePlace, type ServiceConfig, type ServiceTls } from "../config/service.ts";
import type { Logger } from "../logger.ts";
import type { MarketAgent } from "../market-agent.ts";
import type { JobBook } from "../requester/job-book.ts";
import { outputsFolder, type JobStatus } from "../requester/spool.ts";
import { Calls, type Call } from "./calls.ts";
import { ClientLedger, type ClientJob } from "./client-ledger.ts";
import { clientsFile } from "./clients.ts";
import { MAX_MESSAGE_BYTES, REQUESTER_SERVICE, requesterService } from "./definition.ts";
import { Intake } from "./intake.ts";
import { JobEvents } from "./job-events.ts";
import { costOf, eventsBetween, hasEnded, jobView } from "./job-view.ts";
import type * as messages from "./messages.ts";
import { sendOutputs } from "./results.ts";
import { Doorkeeper } from "./token.ts";

/** Jobs in one answer. */
const MOST_LISTED = 100;
/** Jobs that one client may watch at a time. */
const MOST_WATCHES = 64;
/** How long calls may take to end when the service stops, milliseconds. */
const GRACE_MS = 2_000;

/** What {@link RequesterService} works with. */
export interface ServiceParts {
  config: RequesterConfig;
  service: ServiceConfig;
  agent: MarketAgent;
  book: JobBook;
  logger: Logger;
  /** Aborted when nothing new may be begun. */
  draining: AbortSignal;
}

/**
 * The gRPC service of a requester: see `proto/surety/requester/v1/requester.proto`. What clients may spend and what happened
 * to their jobs is in the agent's journal, in the same transactions as the jobs themselves.
 *
 * @example
 * ```ts
 * const service = await RequesterService.open({ config, service: config.service, agent, book, logger, draining });
 * service.ready();
 * await service.close();
 * ```
 */
export class RequesterService {
  readonly #parts: ServiceParts;
  readonly #ledger: ClientLedger;
  readonly #events: JobEvents;
  readonly #intake: Intake;
  readonly #health = new HealthImplementation({ "": "NOT_SERVING", [REQUESTER_SERVICE]: "NOT_SERVING" });
  readonly #stopping = new AbortController();
  readonly #watches = new Map<string, number>();
  #server: Server | undefined;
  #isReady = false;
  /** Where it listens: `127.0.0.1:7443`, `unix:/run/surety.sock`. */
  address = "";

  private constructor(parts: ServiceParts) {
    const { config, service, agent, book, logger } = parts;
    this.#parts = parts;
    this.#ledger = new ClientLedger({ journal: agent.journal });
    this.#events = new JobEvents({ journal: agent.journal });
    this.#intake = new Intake({
      ...{ config, service, agent, book, logger, ledger: this.#ledger },
      onAccepted: (job) => this.#events.append(job.ticket, ["JOB_EVENT_KIND_ACCEPTED"], this.#view(job)),
    });
    parts.draining.addEventListener("abort", () => this.#say("NOT_SERVING"), { once: true });
  }

  /**
   * Begins to listen. Until {@link RequesterService.ready} every call is answered that it comes too early.
   *
   * @throws SuretyError `CLIENTS_INVALID` (exit 2), `TLS_UNREADABLE` (exit 2), `SERVICE_UNLISTENABLE` (exit 3)
   */
  static async open(parts: ServiceParts): Promise<RequesterService> {
    const { config, service, logger } = parts;
    const door = await Doorkeeper.open(clientsFile(config), { logger });
    const opened = new RequesterService(parts);
    await opened.#intake.clean();
    await opened.#listen(door);
    logger.info({ address: opened.address, tls: service.tls !== undefined, clients: door.size }, "serves clients");
    if (door.size === 0) logger.warn("no client may call yet: see surety service token add");
    return opened;
  }

  /** To be called once the market's state is known. */
  ready(): void {
    if (this.#isReady) return;
    this.#isReady = true;
    if (!this.#parts.draining.aborted) this.#say("SERVING");
  }

  /** Whether nothing that was begun is going on, watches and downloads apart. */
  get isIdle(): boolean {
    return this.#intake.isIdle;
  }

  /** Notes how far a job is: what it cost once it has ended, and what has happened since the last time. */
  note(status: JobStatus): void {
    const { ticket } = status;
    if (!this.#ledger.find(ticket)) return;
    if (status.state === "settled" || status.state === "failed") this.#ledger.close(ticket, costOf(status));
    const before = this.#events.newest(ticket)?.job;
    const after = this.#viewOf(status, this.#ledger.find(ticket) as ClientJob);
    const mode = this.#parts.book.find(ticket)?.ticket.terms.mode ?? "sampled";
    if (before) this.#events.append(ticket, eventsBetween(before, after, mode), after);
  }

  /** Ends every call and listens no more. */
  async close(): Promise<void> {
    const server = this.#server;
    if (!server) return;
    this.#say("NOT_SERVING");
    this.#stopping.abort(stops());
    const gone = new Promise<void>((resolve) => server.tryShutdown(() => resolve()));
    const timer = setTimeout(() => server.forceShutdown(), GRACE_MS);
    await gone;
    clearTimeout(timer);
    const place = servicePlace(this.#parts.service.listen);
    if (place?.kind === "socket") await rm(place.path, { force: true });
  }

  async #listen(door: Doorkeeper): Promise<void> {
    const { service, logger } = this.#parts;
    const credentials = await credentialsOf(service.tls);
    const server = new Server({
      "grpc.max_receive_message_length": MAX_MESSAGE_BYTES,
      "grpc.max_send_message_length": -1,
      "grpc.max_concurrent_streams": 256,
      "grpc.keepalive_time_ms": 60_000,
      "grpc.keepalive_timeout_ms": 20_000,
    });
    const requireOpen = (): void => {
      if (!this.#isReady) throw starts();
    };
    const calls = new Calls({ door, logger, stopping: this.#stopping.signal, requireOpen });
    server.addService(requesterService, this.#handlers(calls));
    this.#health.addToServer(server);
    const place = servicePlace(service.listen);
    // A process that was killed leaves its socket behind, and nobody else serves this home: the journal is locked.
    if (place?.kind === "socket") await rm(place.path, { force: true });
    const port = await new Promise<number>((resolve, reject) =>
      server.bindAsync(service.listen, credentials, (error, bound) => {
        if (error) reject(unlistenable(service.listen, error));
        else resolve(bound);
      }),
    );
    if (place?.kind === "socket") await chmod(place.path, 0o600);
    this.#server = server;
    this.address =
      place?.kind === "port" ? `${place.host.includes(":") ? `[${place.host}]` : place.host}:${port}` : service.listen;
  }

  #handlers(calls: Calls): UntypedServiceImplementation {
    const { book } = this.#parts;
    const handlers: { [Name in keyof typeof requesterService & string]?: unknown } = {
      SubmitJob: calls.upload<messages.SubmitJobRequest, messages.SubmitJobResponse>(async (parts, call) => {
        if (this.#parts.draining.aborted) throw stops();
        const { job, repeated } = await this.#intake.submit(call.client, parts, call);
        return { job: this.#view(job), repeated };
      }),
      GetJob: calls.unary<{ job: string }, messages.Job>(({ job }, call) => this.#view(this.#find(job, call))),
      ListJobs: calls.unary<messages.ListJobsRequest, messages.ListJobsResponse>((page, call) =>
        this.#list(page, call),
      ),
      WatchJob: calls.download<messages.WatchJobRequest, messages.JobEvent>((wanted, call) =>
        this.#watch(wanted, call),
      ),
      FetchResults: calls.download<messages.FetchResultsRequest, messages.FetchResultsResponse>((wanted, call) =>
        this.#fetch(wanted, call),
      ),
      CancelJob: calls.unary<{ job: string }, messages.Job>(({ job }, call) => {
        const found = this.#find(job, call);
        if (found.cost === undefined && !book.isCancelled(job)) {
          book.cancel(job);
          this.#events.append(job, ["JOB_EVENT_KIND_CANCEL_REQUESTED"], this.#view(found));
        }
        return this.#view(found);
      }),
      GetBudget: calls.unary<object, messages.Budget>((_, call) => this.#budget(call)),
    };
    return handlers as UntypedServiceImplementation;
  }

  #list({ after, limit }: messages.ListJobsRequest, { client }: Call): messages.ListJobsResponse {
    const most = limit === 0 ? MOST_LISTED : limit;
    if (most > MOST_LISTED || (after !== "" && !/^[0-9]{13}-[0-9a-f]{8}$/.test(after))) {
      throw new SuretyError("PAGE_INVALID", `no such page: ${limit} jobs after ${JSON.stringify(after.slice(0, 60))}`, {
        details: { limit, most: MOST_LISTED },
        fix: `Ask for at most ${MOST_LISTED} jobs, after the id of the last job that was listed.`,
        exit: ExitStatus.badInput,
      });
    }
    const rest = this.#ledger.jobsOf(client.name).filter(({ ticket }) => ticket > after);
    const jobs = rest.slice(0, most).map((job) => ({ ...this.#view(job), tasks: [] }));
    return { jobs, more: rest.length > most };
  }

  async *#watch({ job, after }: messages.WatchJobRequest, call: Call): AsyncGenerator<messages.JobEvent> {
    this.#find(job, call);
    const { name } = call.client;
    const others = this.#watches.get(name) ?? 0;
    if (others >= MOST_WATCHES) {
      throw new SuretyError("TOO_MANY_WATCHES", `${name} watches ${others} jobs, which is the most`, {
        details: { actual: others, most: MOST_WATCHES },
        fix: "End one of the others first.",
        exit: ExitStatus.refused,
        kind: "retryable",
      });
    }
    this.#watches.set(name, others + 1);
    try {
      for (let seen = after; ;) {
        for (const event of this.#events.after(job, seen)) {
          yield event;
          seen = event.sequence;
        }
        const newest = this.#events.newest(job);
        // Also for who asks for what comes after the end.
        if (newest && newest.sequence <= seen && hasEnded(newest.job)) return;
        await this.#events.wait(job, seen, call);
        await call.admitAgain();
      }
    } finally {
      this.#watches.set(name, (this.#watches.get(name) ?? 1) - 1);
    }
  }

  async *#fetch(
    { job, tasks, maxBytes }: messages.FetchResultsRequest,
    call: Call,
  ): AsyncGenerator<messages.FetchResultsResponse> {
    this.#find(job, call);
    const { book, config, service } = this.#parts;
    const { done = [], finished } = book.find(job) ?? {};
    const have = new Set(done.map(({ task }) => task));
    const missing = tasks.filter((task) => !have.has(task));
    if (missing.length > 0 || (tasks.length === 0 && have.size === 0 && !finished)) {
      throw new SuretyError("RESULTS_NOT_READY", `${have.size} tasks have outputs, and not all that were asked for`, {
        details: { missing: missing.slice(0, 10).join(", "), ended: finished !== undefined },
        fix: finished ? "Ask for tasks that have an output." : "Wait until the job has ended.",
        exit: ExitStatus.refused,
        kind: finished ? "fatal" : "retryable",
      });
    }
    const wanted = [...(tasks.length > 0 ? new Set(tasks) : have)].sort((a, b) => a - b);
    const most = maxBytes === 0 ? service.maxResults : Math.min(maxBytes, service.maxResults);
    const folder = outputsFolder(config.home, job, config.resultsFolder);
    yield* sendOutputs(folder, wanted, { maxBytes: most, signal: call.signal });
  }

  #budget({ client }: Call): messages.Budget {
    const allowance = this.#intake.allowanceOf(client);
    const { spent, reserved, available, openJobs } = this.#ledger.use(allowance);
    const { symbol, decimals } = this.#parts.agent.deployment.token;
    return {
      client: client.name,
      period: allowance.per === "day" ? "PERIOD_DAY" : "PERIOD_TOTAL",
      limit: String(allowance.amount),
      spent: String(spent),
      reserved: String(reserved),
      available: String(available),
      openJobs,
      maxJobs: allowance.maxJobs,
      tokenSymbol: symbol,
      tokenDecimals: decimals,
    };
  }

  /** Another client's job is as unknown as one that does not exist. */
  #find(job: string, { client }: Call): ClientJob {
    const found = this.#ledger.find(job);
    if (found?.client === client.name) return found;
    throw new SuretyError("JOB_UNKNOWN", `${client.name} has no job ${JSON.stringify(job.slice(0, 60))}`, {
      details: { job: job.slice(0, 60) },
      fix: "Take the id of one that ListJobs lists.",
      exit: ExitStatus.badInput,
    });
  }

  #view(job: ClientJob): messages.Job {
    return this.#viewOf(this.#parts.book.statusOf(job.ticket), job);
  }

  #viewOf(status: JobStatus, client: ClientJob): messages.Job {
    const { ticket } = status;
    const lastEvent = this.#events.newest(ticket)?.sequence ?? 0;
    return jobView(status, { client, cancelRequested: this.#parts.book.isCancelled(ticket), lastEvent });
  }

  #say(health: "SERVING" | "NOT_SERVING"): void {
    for (const name of ["", REQUESTER_SERVICE]) this.#health.setStatus(name, health);
  }
}

async function credentialsOf(tls: ServiceTls | undefined): Promise<ServerCredentials> {
  if (!tls) return ServerCredentials.createInsecure();
  const read = (path: string): Promise<Buffer> =>
    readFile(path).catch((cause: unknown) => {
      throw new SuretyError("TLS_UNREADABLE", `${path} cannot be read: ${(cause as Error).message}`, {
        details: { path },
        fix: "Name PEM files that the requester may read.",
        cause,
        exit: ExitStatus.badInput,
      });
    });
  const [cert, key] = [await read(tls.cert), await read(tls.key)];
  const authority = tls.clientCa === undefined ? null : await read(tls.clientCa);
  try {
    // Throws where they do not belong together, which gRPC would find out when it listens.
    createSecureContext({ cert, key, ...(authority ? { ca: authority } : {}) });
    return ServerCredentials.createSsl(authority, [{ cert_chain: cert, private_key: key }], authority !== null);
  } catch (cause) {
    throw new SuretyError("TLS_UNREADABLE", `certificate and key cannot be used: ${(cause as Error).message}`, {
      details: { cert: tls.cert, key: tls.key },
      fix: "Give a certificate and its own private key, both PEM.",
      cause,
      exit: ExitStatus.badInput,
    });
  }
}

function unlistenable(listen: string, cause: Error): SuretyError {
  return new SuretyError("SERVICE_UNLISTENABLE", `the service cannot listen at ${listen}: ${cause.message}`, {
    details: { listen },
    fix: "Give it an address of this machine and a port that is free.",
    cause,
    exit: ExitStatus.unavailable,
  });
}

function starts(): SuretyError {
  return new SuretyError("SERVICE_STARTING", "the requester does not know the market's state yet", {
    fix: "Try again in a moment.",
    kind: "retryable",
    exit: ExitStatus.unavailable,
  });
}

function stops(): SuretyError {
  return new SuretyError("SERVICE_STOPPING", "the requester is stopping", {
    fix: "Try again once it is back; nothing is done twice.",
    kind: "retryable",
    exit: ExitStatus.unavailable,
  });
}
