import { execFile } from "node:child_process";
import { once } from "node:events";
import { mkdir, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { connect, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { promisify } from "node:util";
import { Client, ChannelCredentials, Metadata, status, type ServiceError } from "@grpc/grpc-js";
import { expect } from "chai";
import { parseUnits } from "ethers";
import { service as healthService } from "grpc-health-check";
import { encryptionKeyPair } from "#sdk/seed.ts";
import { readRequesterConfig } from "../../agents/config.ts";
import { createLogger } from "../../agents/logger.ts";
import { MarketAgent } from "../../agents/market-agent.ts";
import { AgentMetrics } from "../../agents/monitoring/metrics.ts";
import { JobBook } from "../../agents/requester/job-book.ts";
import { Posting } from "../../agents/requester/posting.ts";
import { Purse } from "../../agents/requester/purse.ts";
import { addClient, removeClient } from "../../agents/service/clients.ts";
import { ServiceConnection } from "../../agents/service/connection.ts";
import { requesterService } from "../../agents/service/definition.ts";
import type { JobEvent, SubmitJobHeader, SubmitJobRequest } from "../../agents/service/messages.ts";
import { RequesterService } from "../../agents/service/service.ts";
import { newToken, tokenHash } from "../../agents/service/token.ts";
import { codeOf } from "../support/error-code.ts";
import { LocalMarket } from "../support/local-market.ts";
import { emptyProgram } from "../support/programs.ts";

const TOKEN = 10n ** 18n;
const logger = createLogger({ agent: "requester", level: "silent" });

/** A service over a real socket, of an agent that posts nothing: jobs stay as they were handed in. */
interface Served {
  service: RequesterService;
  agent: MarketAgent;
  book: JobBook;
  home: string;
  clients: string;
  draining: AbortController;
  /** A new client with a budget; its connection. */
  client(name: string, budget?: string, maxJobs?: number): Promise<{ connection: ServiceConnection; token: string }>;
  close(): Promise<void>;
}

describe("a requester's service", function () {
  this.timeout(120_000);
  let market: LocalMarket;
  let number = 0;
  const { signal } = new AbortController();
  const cleanups: (() => Promise<unknown> | void)[] = [];

  before(async () => {
    market = await LocalMarket.start({ accounts: 30 });
  });
  after(() => market?.stop());
  afterEach(async () => {
    for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  });

  async function newHome(settings: object, tokens = "100"): Promise<{ home: string; config: string }> {
    const account = market.account();
    await market.give(account.address, parseUnits(tokens, 18));
    number += 1;
    return market.agentHome(`requester-${number}`, account, settings);
  }

  async function serve({ home, config: path }: { home: string; config: string }): Promise<Served> {
    const config = await readRequesterConfig(path);
    const draining = new AbortController();
    const asked = new AbortController();
    const metrics = new AgentMetrics({ agent: "requester", version: "0.0.0" });
    const agent = await MarketAgent.open({ config, logger, signal: asked.signal, metrics });
    const noted: { by?: RequesterService } = {};
    const book = new JobBook(config, agent, (each) => noted.by?.note(each));
    let isOpen = true;
    const close = async (): Promise<void> => {
      if (!isOpen) return;
      isOpen = false;
      asked.abort();
      await noted.by?.close();
      await agent.close();
    };
    cleanups.push(close);
    const service = await RequesterService.open({
      ...{ config, service: config.service!, agent, book, logger, draining: draining.signal },
    });
    noted.by = service;
    service.ready();
    const clients = join(home, "service-clients.json");
    const { address } = service;
    return {
      ...{ service, agent, book, home, clients, draining, close },
      client: async (name, budget = "50", maxJobs = 16) => {
        const token = newToken();
        await addClient(clients, {
          name,
          tokenSha256: tokenHash(token),
          budget: { amount: budget, per: "total" },
          maxJobs,
        });
        return { token, connection: await dial({ server: address, token }) };
      },
    };
  }

  async function dial(options: Parameters<typeof ServiceConnection.open>[0]): Promise<ServiceConnection> {
    const connection = await ServiceConnection.open({ retries: 0, ...options });
    cleanups.push(() => connection.close());
    return connection;
  }

  const loopback = { service: { listen: "127.0.0.1:0", maxUpload: "1MiB" } };
  const trusted = { mode: "trusted", nodes: { allow: ["0x00000000000000000000000000000000000000a1"] } };
  const job = { module: "program.wasm", inputs: "in", prices: { task: "1" }, ...trusted };

  function header(key: string, changed: object = {}, spendingLimit = ""): SubmitJobHeader {
    return { idempotencyKey: key, jobFile: JSON.stringify({ ...job, ...changed }), spendingLimit };
  }

  async function* files(tasks = 2): AsyncGenerator<SubmitJobRequest> {
    yield { part: "file", file: { path: "program.wasm" } };
    yield { part: "chunk", chunk: emptyProgram };
    for (let task = 0; task < tasks; task += 1) {
      yield { part: "file", file: { path: `in/${task}` } };
      yield { part: "chunk", chunk: Buffer.from(`${task}`) };
    }
  }

  const submit = (connection: ServiceConnection, key: string, changed?: object, limit?: string) =>
    connection.submit(header(key, changed, limit), files, { signal });

  /** Ends a job as the agent does. */
  async function finish({ book }: Served, ticket: string, error?: { code: string; message: string }): Promise<void> {
    book.save({ ...book.find(ticket)!, finished: error ? { error } : {} });
    await book.report(ticket);
  }

  it("takes a job on: in the journal with its budget, to be posted by the agent", async () => {
    const served = await serve(await newHome(loopback));
    const { connection } = await served.client("lab");
    const { job: taken, repeated } = await submit(connection, "one");
    expect(repeated).to.equal(false);
    expect(taken).to.include({ state: "JOB_STATE_QUEUED", idempotencyKey: "one", cost: "", lastEvent: 1 });
    expect(taken.counts.tasks).to.equal(2);
    const kept = served.book.find(taken.id)!;
    expect(kept.attempts).to.deep.equal([]);
    expect(kept.ticket.spendingLimit).to.equal(taken.reserved);
    // Two tasks of one token each, and the bond.
    expect(BigInt(taken.reserved)).to.be.at.least(2n * TOKEN);
    const budget = await connection.getBudget({ signal });
    expect(budget).to.include({ client: "lab", period: "PERIOD_TOTAL", spent: "0", openJobs: 1, tokenDecimals: 18 });
    expect(budget.reserved).to.equal(taken.reserved);
    expect(BigInt(budget.available)).to.equal(50n * TOKEN - BigInt(taken.reserved));
    expect(await readdir(join(served.home, "uploads"))).to.deep.equal([]);
    expect(await connection.getJob(taken.id, { signal })).to.deep.equal(taken);
  });

  it("refuses tokens that it does not know, and those that were revoked, on every call", async () => {
    const served = await serve(await newHome(loopback));
    const { connection } = await served.client("lab");
    const { id } = (await submit(connection, "one")).job;
    const watched: JobEvent[] = [];
    const watching = codeOf(async () => {
      for await (const event of connection.watch(id, { signal })) watched.push(event);
    });
    await until(() => watched.length === 1);
    await removeClient(served.clients, "lab");
    const stranger = await dial({ server: served.service.address, token: newToken() });
    for (const each of [connection, stranger]) {
      expect(await codeOf(() => submit(each, "two"))).to.equal("TOKEN_WRONG");
      expect(await codeOf(() => each.getJob(id, { signal }))).to.equal("TOKEN_WRONG");
      expect(await codeOf(() => each.listJobs({ after: "", limit: 0 }, { signal }))).to.equal("TOKEN_WRONG");
      expect(await codeOf(() => each.cancelJob(id, { signal }))).to.equal("TOKEN_WRONG");
      expect(await codeOf(() => each.getBudget({ signal }))).to.equal("TOKEN_WRONG");
      expect(await codeOf(() => each.watch(id, { signal }).next())).to.equal("TOKEN_WRONG");
      expect(await codeOf(() => fetchAll(each, id))).to.equal("TOKEN_WRONG");
    }
    // What is under way ends at the next thing there is to tell.
    await finish(served, id);
    expect(await watching).to.equal("TOKEN_WRONG");
    expect(watched).to.have.lengthOf(1);
  });

  it("answers a bare call with a status of gRPC and its code in the trailers", async () => {
    const served = await serve(await newHome(loopback));
    const { token } = await served.client("lab");
    const client = new Client(served.service.address, ChannelCredentials.createInsecure());
    cleanups.push(() => client.close());
    const ask = (authorization: string | undefined, id: string): Promise<ServiceError> => {
      const metadata = new Metadata();
      if (authorization !== undefined) metadata.set("authorization", authorization);
      const { path, requestSerialize, responseDeserialize } = requesterService.GetJob;
      return new Promise((resolve) => {
        client.makeUnaryRequest(path, requestSerialize, responseDeserialize, { job: id }, metadata, (error) =>
          resolve(error!),
        );
      });
    };
    const nobody = await ask(undefined, "x");
    expect([nobody.code, nobody.metadata.get("surety-code")]).to.deep.equal([status.UNAUTHENTICATED, ["TOKEN_WRONG"]]);
    const unknown = await ask(`Bearer ${token}`, "x");
    expect([unknown.code, unknown.metadata.get("surety-code")]).to.deep.equal([status.NOT_FOUND, ["JOB_UNKNOWN"]]);
  });

  it("shows a client no other's jobs, and gives keys to each", async () => {
    const served = await serve(await newHome(loopback));
    const { connection: lab } = await served.client("lab");
    const { connection: other } = await served.client("other");
    const { id } = (await submit(lab, "one")).job;
    for (const id2 of [id, "0000000000001-00000000", "../../etc"]) {
      expect(await codeOf(() => other.getJob(id2, { signal }))).to.equal("JOB_UNKNOWN");
      expect(await codeOf(() => other.cancelJob(id2, { signal }))).to.equal("JOB_UNKNOWN");
      expect(await codeOf(() => other.watch(id2, { signal }).next())).to.equal("JOB_UNKNOWN");
      expect(await codeOf(() => fetchAll(other, id2))).to.equal("JOB_UNKNOWN");
    }
    expect((await other.listJobs({ after: "", limit: 0 }, { signal })).jobs).to.deep.equal([]);
    const theirs = await submit(other, "one");
    expect(theirs.repeated).to.equal(false);
    expect(theirs.job.id).not.to.equal(id);
  });

  it("takes a key once, of calls at the same time too, and refuses it for another job", async () => {
    const served = await serve(await newHome(loopback));
    const { connection } = await served.client("lab");
    const answers = await Promise.all([
      submit(connection, "one"),
      submit(connection, "one"),
      submit(connection, "one"),
    ]);
    expect(new Set(answers.map(({ job: { id } }) => id)).size).to.equal(1);
    expect(answers.filter(({ repeated }) => !repeated)).to.have.lengthOf(1);
    const again = await submit(connection, "one");
    expect(again).to.deep.include({ repeated: true });
    expect(await codeOf(() => submit(connection, "one", { name: "other" }))).to.equal("IDEMPOTENCY_KEY_REUSED");
    expect(await codeOf(() => submit(connection, "one", {}, String(40n * TOKEN)))).to.equal("IDEMPOTENCY_KEY_REUSED");
    expect((await connection.listJobs({ after: "", limit: 0 }, { signal })).jobs).to.have.lengthOf(1);
    for (const key of ["", "x".repeat(129), "ü"])
      expect(await codeOf(() => submit(connection, key)), key).to.equal("SUBMISSION_INVALID");
  });

  it("answers a repeated key before the upload is through", async () => {
    const served = await serve(await newHome(loopback));
    const { connection } = await served.client("lab");
    const { id } = (await submit(connection, "one")).job;
    async function* endless(): AsyncGenerator<SubmitJobRequest> {
      yield { part: "file", file: { path: "big" } };
      for (;;) yield { part: "chunk", chunk: Buffer.alloc(64 * 1024) };
    }
    const { job: same, repeated } = await connection.submit(header("one"), endless, { signal });
    expect([same.id, repeated]).to.deep.equal([id, true]);
  });

  it("never lets races go over a budget", async () => {
    const served = await serve(await newHome(loopback, "1000"));
    const { connection } = await served.client("lab");
    const { reserved } = (await submit(connection, "first")).job;
    const each = BigInt(reserved);
    const fitting = Number((50n * TOKEN) / each);
    const wave = (keys: string[]) => Promise.allSettled(keys.map((key) => submit(connection, key)));
    const outcomes: PromiseSettledResult<unknown>[] = [];
    for (let from = 0; from < fitting + 4; from += 4)
      outcomes.push(...(await wave([0, 1, 2, 3].map((offset) => `job-${from + offset}`))));
    const codes = outcomes.flatMap((one) => (one.status === "rejected" ? [(one.reason as { code: string }).code] : []));
    expect(new Set(codes)).to.deep.equal(new Set([fitting > 15 ? "TOO_MANY_JOBS" : "BUDGET_EXHAUSTED"]));
    const budget = await connection.getBudget({ signal });
    expect(BigInt(budget.reserved)).to.equal(each * BigInt(budget.openJobs));
    expect(BigInt(budget.reserved) <= 50n * TOKEN).to.equal(true);
    expect(budget.openJobs).to.equal(Math.min(fitting, 16));
  });

  it("refuses what would be more than the requester itself has, with what waits to be posted", async () => {
    const served = await serve(await newHome(loopback, "30"));
    const { connection } = await served.client("lab", "1000");
    const { reserved } = (await submit(connection, "one", {}, String(20n * TOKEN))).job;
    expect(reserved).to.equal(String(20n * TOKEN));
    expect(await codeOf(() => submit(connection, "two", {}, String(11n * TOKEN)))).to.equal("BALANCE_TOO_LOW");
  });

  it("posts a job again only where that fits under its limit, to the last base unit", async () => {
    const served = await serve(await newHome(loopback));
    const { agent, book } = served;
    void agent.run(async () => {});
    const { connection } = await served.client("lab");
    const { id, reserved } = (await submit(connection, "one")).job;
    const { ticket, ...rest } = book.find(id)!;
    await until(() => agent.state.classes.has(ticket.terms.class));
    const keys = encryptionKeyPair(agent.secret);
    const posting = new Posting({ agent, book, purse: new Purse(agent, agent.deployment.market), keys, logger });
    const affords = (limit: bigint | undefined, tasks: number): boolean =>
      posting.affords({ ticket: { ...ticket, spendingLimit: limit?.toString() }, ...rest }, tasks);
    // What is reserved where the client sets no limit is what a batch of all tasks can cost.
    expect(affords(BigInt(reserved), 2)).to.equal(true);
    expect(affords(BigInt(reserved) - 1n, 2)).to.equal(false);
    expect(affords(BigInt(reserved) - 1n, 1)).to.equal(true);
    expect(affords(BigInt(reserved), 3)).to.equal(false);
    expect(affords(undefined, 1_000)).to.equal(true);
  });

  const refusals: [what: string, changed: object, limit: string, code: string][] = [
    ["a job file that is wrong", { modul: "x" }, "", "JOB_FILE_INVALID"],
    ["a path of this machine", { module: "/etc/passwd" }, "", "JOB_FILE_INVALID"],
    ["a path above the upload", { inputs: "../../storage" }, "", "JOB_FILE_INVALID"],
    ["a module that was not uploaded", { module: "none.wasm" }, "", "MODULE_NOT_FOUND"],
    ["a module that is none", { module: "in/0" }, "", "PROGRAM_NOT_WASM"],
    ["inputs that were not uploaded", { inputs: ["in/0", "in/7"] }, "", "INPUT_NOT_FOUND"],
    ["terms that the market refuses", { windows: { claim: "3d" } }, "", "TERMS_REFUSED"],
    ["more than the client may spend", { prices: { task: "30" } }, "", "BUDGET_EXHAUSTED"],
    ["a limit beyond the budget", {}, String(51n * TOKEN), "BUDGET_EXHAUSTED"],
    ["a limit that the first batch goes over", {}, "1", "SPENDING_LIMIT_TOO_LOW"],
    ["a limit that is no number", {}, "1e18", "SUBMISSION_INVALID"],
  ];
  it("refuses what cannot be posted, and keeps nothing of it", async () => {
    const served = await serve(await newHome(loopback));
    const { connection } = await served.client("lab");
    for (const [what, changed, limit, code] of refusals) {
      const error = await submit(connection, "one", changed, limit).catch((reason: unknown) => reason as Error);
      expect(error, what).to.include({ code });
      expect((error as Error).message, what).not.to.include(served.home);
    }
    const budget = await connection.getBudget({ signal });
    expect(budget).to.include({ spent: "0", reserved: "0", openJobs: 0 });
    expect(await readdir(join(served.home, "uploads"))).to.deep.equal([]);
    expect(served.book.tickets).to.deep.equal([]);
  });

  it("refuses uploads that are too large, and too many at a time", async () => {
    const served = await serve(await newHome(loopback));
    const { connection } = await served.client("lab");
    const { connection: other } = await served.client("other");
    async function* large(): AsyncGenerator<SubmitJobRequest> {
      yield { part: "file", file: { path: "big" } };
      for (let sent = 0; sent < 5; sent += 1) yield { part: "chunk", chunk: Buffer.alloc(256 * 1024) };
    }
    expect(await codeOf(() => connection.submit(header("one"), large, { signal }))).to.equal("UPLOAD_TOO_LARGE");

    const going = new AbortController();
    const reached: Promise<unknown>[] = [];
    const ends: Promise<unknown>[] = [];
    for (let place = 0; place < 4; place += 1) {
      const begun = Promise.withResolvers<void>();
      reached.push(begun.promise);
      const stuck = async function* (): AsyncGenerator<SubmitJobRequest> {
        yield { part: "file", file: { path: "a" } };
        begun.resolve();
        await once(going.signal, "abort").catch(() => undefined);
      };
      ends.push(connection.submit(header(`stuck-${place}`), stuck, { signal: going.signal }).catch(() => undefined));
    }
    await Promise.all(reached);
    await until(async () => (await readdir(join(served.home, "uploads"))).length === 4);
    expect(await codeOf(() => submit(connection, "fifth"))).to.equal("TOO_MANY_UPLOADS");
    await submit(other, "other");
    going.abort();
    await Promise.all(ends);
    await until(async () => (await readdir(join(served.home, "uploads"))).length === 0);
    await submit(connection, "fifth");
  });

  it("cancels what is not posted, once, and tells whoever watches", async () => {
    const served = await serve(await newHome(loopback));
    const { connection } = await served.client("lab");
    const { id } = (await submit(connection, "one")).job;
    for (const _ of [1, 2]) expect(await connection.cancelJob(id, { signal })).to.include({ cancelRequested: true });
    expect(served.book.isCancelled(id)).to.equal(true);
    await finish(served, id, { code: "JOB_CANCELLED", message: "the job was cancelled" });
    const kinds: string[] = [];
    for await (const { kind } of connection.watch(id, { signal })) kinds.push(kind.replace("JOB_EVENT_KIND_", ""));
    expect(kinds).to.deep.equal(["ACCEPTED", "CANCEL_REQUESTED", "JOB_FAILED"]);
    const ended = await connection.cancelJob(id, { signal });
    expect(ended).to.include({ state: "JOB_STATE_FAILED", reserved: "0", cost: "0" });
    expect(ended.error?.code).to.equal("JOB_CANCELLED");
    expect(await connection.getBudget({ signal })).to.include({ spent: "0", reserved: "0", openJobs: 0 });
    expect(await connection.watch(id, { signal, after: 3 }).next()).to.include({ done: true });
  });

  it("has all of it after a restart, and takes no key twice", async () => {
    const place = await newHome(loopback);
    const first = await serve(place);
    const { connection, token } = await first.client("lab");
    const { job: taken } = await submit(connection, "one");
    const watched: JobEvent[] = [];
    const watching = (async () => {
      for await (const event of connection.watch(taken.id, { signal })) watched.push(event);
    })().catch((error: unknown) => error as { code: string });
    await until(() => watched.length === 1);
    await first.close();
    expect(await watching).to.include({ code: "SERVICE_STOPPING" });

    const second = await serve(place);
    const again = await dial({ server: second.service.address, token });
    expect(await again.getJob(taken.id, { signal })).to.deep.equal(taken);
    expect(await submit(again, "one")).to.deep.include({ repeated: true });
    expect(await again.getBudget({ signal })).to.include({ reserved: taken.reserved, openJobs: 1 });
    await finish(second, taken.id);
    await second.book.report(taken.id);
    const rest: string[] = [];
    for await (const event of again.watch(taken.id, { signal, after: 1 })) rest.push(event.kind);
    expect(rest).to.deep.equal(["JOB_EVENT_KIND_JOB_SETTLED"]);
  });

  it("gives out results once there are any, and only so much", async () => {
    const served = await serve(await newHome({ service: { listen: "127.0.0.1:0", maxResults: "1MiB" } }));
    const { connection } = await served.client("lab");
    const { id } = (await submit(connection, "one")).job;
    expect(await codeOf(() => fetchAll(connection, id))).to.equal("RESULTS_NOT_READY");
    const output = join(served.home, "results", id, "1");
    await mkdir(join(output, "out"), { recursive: true });
    await writeFile(join(output, "stdout"), "x".repeat(700_000));
    await writeFile(join(output, "out", "a"), "deep");
    const done = [{ task: 1, outcome: "paid", output: "", node: "", exit: { code: 0 } }];
    served.book.save({ ...served.book.find(id)!, done });
    const sent = await fetchAll(connection, id);
    expect(sent.map(({ about }) => about)).to.deep.equal([
      { task: 1, path: "out/a", size: 4 },
      { task: 1, path: "stdout", size: 700_000 },
    ]);
    expect(sent.map(({ size }) => size)).to.deep.equal([4, 700_000]);
    expect(await codeOf(() => fetchAll(connection, id, [0]))).to.equal("RESULTS_NOT_READY");
    expect(await codeOf(() => fetchAll(connection, id, [1], 1000))).to.equal("RESULTS_TOO_LARGE");
    await writeFile(join(output, "out", "b"), "x".repeat(400_000));
    expect(await codeOf(() => fetchAll(connection, id))).to.equal("RESULTS_TOO_LARGE");
  });

  it("lists a client's jobs page by page", async () => {
    const served = await serve(await newHome(loopback));
    const { connection } = await served.client("lab");
    const ids: string[] = [];
    for (const key of ["one", "two", "three"]) ids.push((await submit(connection, key)).job.id);
    ids.sort();
    const first = await connection.listJobs({ after: "", limit: 2 }, { signal });
    expect([first.jobs.map(({ id }) => id), first.more]).to.deep.equal([ids.slice(0, 2), true]);
    const rest = await connection.listJobs({ after: ids[1]!, limit: 2 }, { signal });
    expect([rest.jobs.map(({ id }) => id), rest.more]).to.deep.equal([ids.slice(2), false]);
    for (const page of [
      { after: "", limit: 101 },
      { after: "x", limit: 0 },
    ])
      expect(await codeOf(() => connection.listJobs(page, { signal }))).to.equal("PAGE_INVALID");
  });

  it("says how it is, takes nothing new while it drains, and answers nothing before it is ready", async () => {
    const served = await serve(await newHome(loopback));
    const { connection } = await served.client("lab");
    const client = new Client(served.service.address, ChannelCredentials.createInsecure());
    cleanups.push(() => client.close());
    const health = (name: string): Promise<unknown> => {
      const { path, requestSerialize, responseDeserialize } = healthService.Check!;
      return new Promise((resolve, reject) => {
        client.makeUnaryRequest(path, requestSerialize, responseDeserialize, { service: name }, (error, answer) =>
          error ? reject(error) : resolve((answer as { status: unknown }).status),
        );
      });
    };
    expect(await health("")).to.equal("SERVING");
    expect(await health("surety.requester.v1.Requester")).to.equal("SERVING");
    const { id } = (await submit(connection, "one")).job;
    served.draining.abort();
    expect(await health("")).to.equal("NOT_SERVING");
    expect(await codeOf(() => submit(connection, "two"))).to.equal("SERVICE_STOPPING");
    expect(await connection.getJob(id, { signal })).to.include({ id });

    const early = await serve(await newHome(loopback));
    const { connection: soon } = await early.client("lab");
    await early.close();
    expect(await codeOf(() => soon.getBudget({ signal }))).to.equal("SERVICE_UNREACHABLE");
  });

  it("listens at a socket that only its user can use, and where a killed one left its own", async () => {
    const socket = join(market.folder, "s.sock");
    const place = await newHome({ service: { listen: `unix:${socket}` } });
    await writeFile(socket, "");
    const served = await serve(place);
    expect((await stat(socket)).mode & 0o077).to.equal(0);
    const { connection } = await served.client("lab");
    await submit(connection, "one");
    await served.close();
    expect(await stat(socket).catch(() => undefined)).to.equal(undefined);
  });

  it("speaks TLS, and with whom its authority knows if told so", async () => {
    const folder = join(market.folder, "tls");
    await mkdir(folder);
    await makeCertificates(folder);
    const pem = (name: string): string => join(folder, `${name}.pem`);
    const tls = { cert: pem("server"), key: pem("server-key") };
    const served = await serve(await newHome({ service: { listen: "127.0.0.1:0", tls } }));
    const { connection: clear, token } = await served.client("lab");
    const server = served.service.address;
    expect(await codeOf(() => clear.getBudget({ signal }))).to.equal("SERVICE_UNREACHABLE");
    const secure = await dial({ server, token, ca: pem("ca") });
    expect((await submit(secure, "one")).repeated).to.equal(false);
    const wary = await dial({ server, token, ca: pem("stranger") });
    expect(await codeOf(() => wary.getBudget({ signal }))).to.equal("SERVICE_UNREACHABLE");

    const mutual = await serve(
      await newHome({ service: { listen: "127.0.0.1:0", tls: { ...tls, clientCa: pem("ca") } } }),
    );
    const { token: second } = await mutual.client("lab");
    const place = { server: mutual.service.address, token: second, ca: pem("ca") };
    expect(await codeOf(async () => (await dial(place)).getBudget({ signal }))).to.equal("SERVICE_UNREACHABLE");
    const known = await dial({ ...place, cert: pem("client"), key: pem("client-key") });
    expect((await known.getBudget({ signal })).client).to.equal("lab");
    expect(await codeOf(() => dial({ ...place, ca: pem("none") }))).to.equal("TLS_UNREADABLE");

    const broken = { listen: "127.0.0.1:0", tls: { cert: pem("server-key"), key: pem("server") } };
    const home = await newHome({ service: broken });
    expect(await codeOf(() => serve(home))).to.equal("TLS_UNREADABLE");
  });

  it("never sends a token in the clear to where others can listen in", async () => {
    const sent: Buffer[] = [];
    const taken: Socket[] = [];
    const listener = createServer((socket) => {
      taken.push(socket);
      socket.on("data", (data) => sent.push(data)).on("error", () => undefined);
    });
    await new Promise<void>((resolve) => listener.listen(0, "0.0.0.0", resolve));
    cleanups.push(() => {
      listener.close();
      for (const socket of taken) socket.destroy();
    });
    const { port } = listener.address() as { port: number };
    const { networkInterfaces } = await import("node:os");
    const own = Object.values(networkInterfaces())
      .flat()
      .find((each) => each && !each.internal && each.family === "IPv4")?.address;
    // Where there is no other address, any name that is not known for loopback will do.
    const connection = await dial({
      server: `${own ?? "127.0.0.1.example"}:${port}`,
      token: "surety_not_in_the_clear",
    });
    await connection.getBudget({ signal: AbortSignal.timeout(3_000) }).catch(() => undefined);
    expect(Buffer.concat(sent).toString("latin1")).not.to.include("surety_not");
    if (own !== undefined) expect(Buffer.concat(sent)[0], "a record of TLS").to.equal(0x16);
    for (const server of ["", "nowhere", "http://127.0.0.1:1", "127.0.0.1:99999"])
      expect(await codeOf(() => dial({ server, token: "t" })), server).to.equal("SERVER_INVALID");
  });

  it("waits for ever for no server that takes connections and says nothing", async () => {
    const taken: Socket[] = [];
    const listener = createServer((socket) => void taken.push(socket.on("error", () => undefined)));
    await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", resolve));
    cleanups.push(() => {
      listener.close();
      for (const socket of taken) socket.destroy();
    });
    const { port } = listener.address() as { port: number };
    const folder = join(market.folder, "silence");
    await mkdir(folder);
    await makeCertificates(folder);
    for (const tls of [{}, { ca: join(folder, "ca.pem") }]) {
      const silent = await dial({ server: `127.0.0.1:${port}`, token: "t", timeoutMs: 300, ...tls });
      const header = { idempotencyKey: "k", jobFile: "", spendingLimit: "" };
      const asked = [
        () => silent.getBudget({ signal }),
        () => silent.watch("job", { signal }).next(),
        () => silent.submit(header, async function* () {}, { signal }),
      ];
      for (const ask of asked) expect(await codeOf(ask)).to.equal("DEADLINE_EXCEEDED");
    }
    expect(taken).not.to.deep.equal([]);
  });

  it("survives garbage on its port", async () => {
    const served = await serve(await newHome(loopback));
    const { connection } = await served.client("lab");
    const port = Number(served.service.address.split(":").at(-1));
    const socket = connect(port, "127.0.0.1").on("error", () => undefined);
    socket.resume().end("GET / HTTP/1.1\r\n\r\n");
    await once(socket, "close");
    expect((await connection.getBudget({ signal })).client).to.equal("lab");
  });

  async function fetchAll(connection: ServiceConnection, id: string, tasks: number[] = [], maxBytes = 0) {
    const found: { about: unknown; size: number }[] = [];
    for await (const message of connection.fetchResults({ job: id, tasks, maxBytes }, { signal })) {
      if (message.part === "file") found.push({ about: { ...message.file }, size: 0 });
      else found.at(-1)!.size += message.chunk.length;
    }
    return found;
  }
});

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  for (const deadline = Date.now() + 30_000; !(await condition());) {
    if (Date.now() > deadline) throw new Error("it did not come");
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** An authority, certificates of it for a server and a client, and an authority that neither knows. */
async function makeCertificates(folder: string): Promise<void> {
  const run = promisify(execFile);
  const openssl = (...args: string[]) => run("openssl", args, { cwd: folder });
  const newKey = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"];
  for (const name of ["ca", "stranger"])
    await openssl(
      "req",
      "-x509",
      ...newKey,
      "-subj",
      `/CN=${name}`,
      "-keyout",
      `${name}-key.pem`,
      "-out",
      `${name}.pem`,
    );
  for (const name of ["server", "client"]) {
    await openssl(
      "req",
      "-new",
      ...newKey.slice(0, 5),
      "-subj",
      `/CN=${name}`,
      "-keyout",
      `${name}-key.pem`,
      "-out",
      `${name}.csr`,
    );
    await writeFile(join(folder, `${name}.ext`), "subjectAltName=IP:127.0.0.1,DNS:localhost\n");
    await openssl(
      ...["x509", "-req", "-in", `${name}.csr`, "-CA", "ca.pem", "-CAkey", "ca-key.pem", "-CAcreateserial"],
      ...["-days", "2", "-extfile", `${name}.ext`, "-out", `${name}.pem`],
    );
  }
  // Made as it should be.
  expect(await readFile(join(folder, "server.pem"), "utf8")).to.include("BEGIN CERTIFICATE");
}
