import { randomBytes } from "node:crypto";
import { appendFile, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { status } from "@grpc/grpc-js";
import { expect } from "chai";
import { SuretyError } from "#sdk/errors.ts";
import { parseJobFile } from "#sdk/job-file.ts";
import { readRequesterConfig } from "../../agents/config.ts";
import { Journal } from "../../agents/journal/journal.ts";
import { createLogger } from "../../agents/logger.ts";
import { newStatus, newTicketId } from "../../agents/requester/spool.ts";
import { callError, CODE_TRAILER, errorOf } from "../../agents/service/call-error.ts";
import { ClientLedger, type Allowance } from "../../agents/service/client-ledger.ts";
import { addClient, readClients, removeClient, type Client } from "../../agents/service/clients.ts";
import { JobEvents } from "../../agents/service/job-events.ts";
import { costOf, eventsBetween, jobView } from "../../agents/service/job-view.ts";
import { readLocalJob } from "../../agents/service/local-job.ts";
import type { FetchResultsResponse, Job, SubmitJobRequest } from "../../agents/service/messages.ts";
import { writeResults } from "../../agents/service/received.ts";
import { Doorkeeper, newToken, readToken, tokenHash } from "../../agents/service/token.ts";
import { inUpload, receiveFiles } from "../../agents/service/upload.ts";
import { codeOf } from "../support/error-code.ts";

const DAY_MS = 86_400_000;
const logger = createLogger({ agent: "requester", level: "silent" });

/** A folder for each test. */
function withFolder(): () => string {
  let folder = "";
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "surety-service-"));
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));
  return () => folder;
}

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

async function* stream<T>(...messages: T[]): AsyncGenerator<T> {
  yield* messages;
}

describe("what clients may spend", () => {
  const folder = withFolder();
  let now = 0;
  let journal: Journal;
  const clock = { now: () => now, sleep: () => Promise.resolve() };
  const open = (): ClientLedger => new ClientLedger({ journal, clock });
  const allowance = (changed: Partial<Allowance> = {}): Allowance => ({
    client: "lab",
    amount: 100n,
    per: "total",
    maxJobs: 3,
    ...changed,
  });

  beforeEach(() => {
    now = 20 * DAY_MS;
    journal = Journal.open({ home: folder() });
  });
  afterEach(() => journal.close());

  function accept(ledger: ClientLedger, limit: bigint, { key = newTicketId(), allowed = allowance() } = {}): string {
    const ticket = newTicketId(now);
    ledger.accept({ ticket, client: allowed.client, key, digest: "d", limit }, allowed, () => undefined);
    return ticket;
  }

  it("is reserved when a job is accepted, spent when it ends, and free again beyond that", () => {
    const ledger = open();
    const ticket = accept(ledger, 60n);
    expect(ledger.use(allowance())).to.deep.equal({ spent: 0n, reserved: 60n, available: 40n, openJobs: 1 });
    ledger.close(ticket, 25n);
    expect(ledger.use(allowance())).to.deep.equal({ spent: 25n, reserved: 0n, available: 75n, openJobs: 0 });
  });

  it("is the same after a restart", () => {
    const ledger = open();
    const ended = accept(ledger, 30n, { key: "one" });
    accept(ledger, 50n, { key: "two" });
    ledger.close(ended, 20n);
    const again = open();
    expect(again.use(allowance())).to.deep.equal(ledger.use(allowance()));
    expect(again.findByKey("lab", "one")?.cost).to.equal(20n);
    expect(again.findByKey("lab", "two")?.cost).to.equal(undefined);
  });

  it("refuses what is more than is left, to the last base unit", async () => {
    const ledger = open();
    accept(ledger, 60n);
    expect(await codeOf(() => accept(ledger, 41n))).to.equal("BUDGET_EXHAUSTED");
    accept(ledger, 40n);
    expect(await codeOf(() => accept(ledger, 0n))).to.equal("BUDGET_EXHAUSTED");
    expect(ledger.use(allowance()).available).to.equal(0n);
  });

  it("refuses more open jobs than a client may have", async () => {
    const ledger = open();
    const [first] = [accept(ledger, 1n), accept(ledger, 1n), accept(ledger, 1n)];
    expect(await codeOf(() => accept(ledger, 1n))).to.equal("TOO_MANY_JOBS");
    ledger.close(first, 0n);
    accept(ledger, 1n);
  });

  it("keeps clients apart", () => {
    const ledger = open();
    accept(ledger, 100n);
    accept(ledger, 100n, { allowed: allowance({ client: "other" }) });
    expect(ledger.jobsOf("lab")).to.have.lengthOf(1);
    expect(ledger.findByKey("other", ledger.jobsOf("lab")[0]!.key)).to.equal(undefined);
  });

  it("starts anew each day where the budget is a day's; a job counts on the day it was accepted", () => {
    const ledger = open();
    const daily = allowance({ per: "day" });
    const ticket = accept(ledger, 90n, { allowed: daily });
    now += DAY_MS;
    expect(ledger.use(daily)).to.deep.equal({ spent: 0n, reserved: 0n, available: 100n, openJobs: 1 });
    ledger.close(ticket, 90n);
    expect(ledger.use(daily).spent).to.equal(0n);
    expect(ledger.use(allowance()).spent).to.equal(90n);
  });

  it("takes a job on whole or not at all", () => {
    const ledger = open();
    const job = { ticket: newTicketId(now), client: "lab", key: "key", digest: "d", limit: 5n };
    expect(() =>
      ledger.accept(job, allowance(), () => {
        throw new Error("disk");
      }),
    ).to.throw("disk");
    for (const each of [ledger, open()]) {
      expect(each.find(job.ticket)).to.equal(undefined);
      expect(each.use(allowance()).reserved).to.equal(0n);
    }
  });
});

describe("what a job's client is told", () => {
  const folder = withFolder();
  const TICKET = "0000000000001-00000000";
  const client = { ticket: TICKET, client: "lab", key: "k", digest: "d", limit: 7n, acceptedAt: 5 };

  function view(changed: Partial<Job> & { counted?: Partial<Job["counts"]> } = {}): Job {
    const { counted = {}, ...rest } = changed;
    const status = newStatus({ ticket: TICKET, name: "job", count: 4 });
    const usual = jobView(status, { client, cancelRequested: false, lastEvent: 1 });
    return { ...usual, ...rest, counts: { ...usual.counts, ...counted } };
  }

  const posted = view({ state: "JOB_STATE_POSTED", batchId: "0xb1" });

  it("is every step in its order, of many at once too", () => {
    const end = view({
      state: "JOB_STATE_SETTLED",
      batchId: "0xb1",
      counted: { claimed: 4, submitted: 4, sampled: 2, answered: 2, settled: 4 },
    });
    expect(eventsBetween(view(), posted, "sampled")).to.deep.equal(["JOB_EVENT_KIND_BATCH_POSTED"]);
    expect(eventsBetween(posted, end, "sampled")).to.deep.equal([
      "JOB_EVENT_KIND_TASKS_CLAIMED",
      "JOB_EVENT_KIND_RESULTS_SUBMITTED",
      "JOB_EVENT_KIND_CHECKS_ANSWERED",
      "JOB_EVENT_KIND_TASKS_SETTLED",
      "JOB_EVENT_KIND_JOB_SETTLED",
    ]);
    const judged = { ...end, state: "JOB_STATE_JUDGED" as const };
    expect(eventsBetween(posted, judged, "sampled")).to.include.members([
      "JOB_EVENT_KIND_BATCH_SEALED",
      "JOB_EVENT_KIND_SEED_REVEALED",
      "JOB_EVENT_KIND_BATCH_JUDGED",
    ]);
    expect(eventsBetween(posted, judged, "trusted")).not.to.include("JOB_EVENT_KIND_BATCH_JUDGED");
  });

  it("is nothing where nothing has changed", () => {
    expect(eventsBetween(posted, posted, "sampled")).to.deep.equal([]);
  });

  it("says when blocks went back", () => {
    const submitted = view({ state: "JOB_STATE_SEALED", batchId: "0xb1", counted: { claimed: 4, submitted: 4 } });
    const fewer = view({ state: "JOB_STATE_COMPUTING", batchId: "0xb1", counted: { claimed: 4, submitted: 2 } });
    expect(eventsBetween(submitted, fewer, "sampled")).to.deep.equal(["JOB_EVENT_KIND_REWOUND"]);
  });

  it("says when disputes open and close", () => {
    const disputed = view({ ...posted, counted: { contended: 2, accused: 1 } });
    expect(eventsBetween(posted, disputed, "sampled")).to.deep.equal([
      "JOB_EVENT_KIND_NODE_ACCUSED",
      "JOB_EVENT_KIND_DISPUTE_OPENED",
    ]);
    const over = view({ ...posted, counted: { accused: 1 } });
    expect(eventsBetween(disputed, over, "sampled")).to.deep.equal(["JOB_EVENT_KIND_DISPUTE_CLOSED"]);
  });

  it("reserves until the job ends, and then shows what it cost", () => {
    expect(view()).to.include({ reserved: "7", cost: "" });
    const ended = jobView(newStatus({ ticket: TICKET, name: "job", count: 4 }), {
      client: { ...client, cost: 3n },
      cancelRequested: false,
      lastEvent: 1,
    });
    expect(ended).to.include({ reserved: "0", cost: "3" });
    const money = { escrow: "10", bond: "5", paid: "8", burned: "1", returned: "6" };
    expect(costOf({ money })).to.equal(9n);
  });

  it("is numbered without gaps, over restarts, and waited for", async () => {
    const journal = Journal.open({ home: folder() });
    try {
      const events = new JobEvents({ journal });
      events.append(TICKET, ["JOB_EVENT_KIND_ACCEPTED"], view());
      const waiting = events.wait(TICKET, 1, { signal: new AbortController().signal });
      events.append(TICKET, ["JOB_EVENT_KIND_BATCH_POSTED", "JOB_EVENT_KIND_TASKS_CLAIMED"], posted);
      await waiting;
      const again = new JobEvents({ journal });
      again.append(TICKET, ["JOB_EVENT_KIND_JOB_SETTLED"], view({ state: "JOB_STATE_SETTLED" }));
      expect(again.after(TICKET, 0).map(({ sequence }) => sequence)).to.deep.equal([1, 2, 3, 4]);
      expect(again.after(TICKET, 2).map(({ kind }) => kind)).to.deep.equal([
        "JOB_EVENT_KIND_TASKS_CLAIMED",
        "JOB_EVENT_KIND_JOB_SETTLED",
      ]);
      expect(again.newest(TICKET)?.job).to.include({ state: "JOB_STATE_SETTLED", lastEvent: 4 });
    } finally {
      journal.close();
    }
  });
});

describe("who may call a service", () => {
  const folder = withFolder();
  const client = (name: string, token: string): Client => ({
    name,
    tokenSha256: tokenHash(token),
    budget: { amount: "10", per: "total" },
    maxJobs: 2,
  });
  const bearer = (token: string): string => `Bearer ${token}`;

  it("is known by a token of which only the hash is kept", async () => {
    const path = join(folder(), "clients.json");
    const token = newToken();
    await addClient(path, client("lab", token));
    await addClient(path, client("other", newToken()));
    expect(await readFile(path, "utf8")).not.to.include(token);
    expect((await stat(path)).mode & 0o077).to.equal(0);
    const door = await Doorkeeper.open(path, { logger });
    expect((await door.admit(bearer(token))).name).to.equal("lab");
    for (const wrong of [undefined, "", token, bearer(newToken()), bearer(`${token}x`), "Basic abc", bearer("")])
      expect(await codeOf(() => door.admit(wrong)), String(wrong)).to.equal("TOKEN_WRONG");
  });

  it("is added and revoked while the service runs", async () => {
    const path = join(folder(), "clients.json");
    const door = await Doorkeeper.open(path, { logger });
    const token = newToken();
    expect(await codeOf(() => door.admit(bearer(token)))).to.equal("TOKEN_WRONG");
    await addClient(path, client("lab", token));
    expect((await door.admit(bearer(token))).name).to.equal("lab");
    await removeClient(path, "lab");
    expect(await codeOf(() => door.admit(bearer(token)))).to.equal("TOKEN_WRONG");
    expect(await codeOf(() => removeClient(path, "lab"))).to.equal("CLIENT_UNKNOWN");
    expect((await readdir(folder())).filter((name) => name.endsWith(".tmp"))).to.deep.equal([]);
  });

  it("stays as it was while the file is half written", async () => {
    const path = join(folder(), "clients.json");
    const token = newToken();
    await addClient(path, client("lab", token));
    const door = await Doorkeeper.open(path, { logger });
    await appendFile(path, "{");
    expect((await door.admit(bearer(token))).name).to.equal("lab");
    expect(await codeOf(() => Doorkeeper.open(path, { logger }))).to.equal("CLIENTS_INVALID");
  });

  it("is one of a kind", async () => {
    const path = join(folder(), "clients.json");
    const token = newToken();
    await addClient(path, client("lab", token));
    expect(await codeOf(() => addClient(path, client("lab", newToken())))).to.equal("CLIENT_EXISTS");
    const two = { clients: [client("lab", token), client("other", token)] };
    await writeFile(path, JSON.stringify(two));
    expect(await codeOf(() => readClients(path))).to.equal("CLIENTS_INVALID");
    for (const name of ["", "a/b", "x".repeat(65)])
      expect(await codeOf(() => addClient(join(folder(), "new.json"), client(name, token)))).to.equal(
        "CLIENTS_INVALID",
      );
  });

  it("reads a token from a file and never shows it", async () => {
    const path = join(folder(), "token");
    await writeFile(path, "surety_abcdefghijklmnop\n");
    expect(await readToken(path)).to.equal("surety_abcdefghijklmnop");
    await writeFile(path, "secret word");
    const error = await readToken(path).catch((reason: unknown) => reason as SuretyError);
    expect(error).to.include({ code: "TOKEN_UNREADABLE" });
    expect(String(error)).not.to.include("secret");
    expect(await codeOf(() => readToken(join(folder(), "none")))).to.equal("TOKEN_UNREADABLE");
  });
});

describe("an upload", () => {
  const folder = withFolder();
  const file = (path: string): SubmitJobRequest => ({ part: "file", file: { path } });
  const chunk = (text: string): SubmitJobRequest => ({ part: "chunk", chunk: bytes(text) });

  it("becomes plain files in its folder", async () => {
    const parts = stream(file("a"), chunk("on"), chunk("e"), file("b/c"), file("b/d"), chunk("two"));
    await receiveFiles(parts, folder(), { maxBytes: 6 });
    expect(await readFile(join(folder(), "a"), "utf8")).to.equal("one");
    expect(await readFile(join(folder(), "b", "c"), "utf8")).to.equal("");
    expect(await readFile(join(folder(), "b", "d"), "utf8")).to.equal("two");
  });

  const refusals: [what: string, parts: SubmitJobRequest[], code: string][] = [
    ["more bytes than it may have", [file("a"), chunk("1234567")], "UPLOAD_TOO_LARGE"],
    ["content before any file", [chunk("x")], "UPLOAD_INVALID"],
    [
      "a second header",
      [{ part: "header", header: { idempotencyKey: "k", jobFile: "", spendingLimit: "" } }],
      "UPLOAD_INVALID",
    ],
    ["one file twice", [file("a"), file("a")], "UPLOAD_INVALID"],
    ["a file that is a folder", [file("a/b"), file("a")], "UPLOAD_INVALID"],
    ["a folder that is a file", [file("a"), file("a/b")], "UPLOAD_INVALID"],
    ["a chunk beyond a mebibyte", [file("a"), { part: "chunk", chunk: randomBytes(2 ** 20 + 1) }], "UPLOAD_INVALID"],
    ...["../a", "/a", "a/../../b", "a\\b", "a//b", ".", "", "a\0b"].map(
      (path): [string, SubmitJobRequest[], string] => [
        `the path ${JSON.stringify(path)}`,
        [file(path)],
        "UPLOAD_INVALID",
      ],
    ),
  ];
  for (const [what, parts, code] of refusals) {
    it(`refuses ${what}`, async () => {
      const inner = join(folder(), "inner");
      await mkdir(inner);
      expect(await codeOf(() => receiveFiles(stream(...parts), inner, { maxBytes: 6 }))).to.equal(code);
      expect(await readdir(folder())).to.deep.equal(["inner"]);
    });
  }

  it("is all that a job's paths can name", async () => {
    const job = parseJobFile(
      "module: ./m.wasm\ninputs: [a/b, bafybeiczsscdsbs7ffqz55asqdf3smv6klcw3gofszvwlyarci47bgf354]",
    );
    expect(inUpload(job, "/up")).to.have.property("module").which.deep.equals({ kind: "path", path: "/up/m.wasm" });
    const { inputs } = inUpload(job, "/up");
    expect(inputs.kind === "list" && inputs.sources).to.deep.equal([
      { kind: "path", path: "/up/a/b" },
      { kind: "content", cid: "bafybeiczsscdsbs7ffqz55asqdf3smv6klcw3gofszvwlyarci47bgf354" },
    ]);
    for (const path of ["/etc/passwd", "../x", "a/../../x", "a\\..\\x", "C:/x"]) {
      for (const text of [
        `module: ${path}\ninputs: in`,
        `module: m\ninputs: ${path}`,
        `module: m\ninputs: ["${path}"]`,
      ]) {
        const code = await codeOf(() =>
          inUpload(parseJobFile(text.replaceAll("\\", "\\\\").replaceAll('"', "'")), "/up"),
        );
        expect(code, text).to.equal("JOB_FILE_INVALID");
      }
    }
  });

  it("takes what a job file names and nothing that is hidden or leads elsewhere", async () => {
    const write = async (path: string, content = path): Promise<void> => {
      await mkdir(join(folder(), path, ".."), { recursive: true });
      await writeFile(join(folder(), path), content);
    };
    for (const path of ["m.wasm", "in/2", "in/1/a", "in/1/.part", "in/.git/config", "other"]) await write(path);
    await write("job.yaml", "module: ./m.wasm\ninputs: ./in\n");
    const { files } = await readLocalJob(join(folder(), "job.yaml"), { decimals: 18 });
    expect([...files.keys()].sort()).to.deep.equal(["in/1/.part", "in/1/a", "in/2", "m.wasm"]);

    await symlink("/etc", join(folder(), "in", "3"));
    expect(await codeOf(() => readLocalJob(join(folder(), "job.yaml"), { decimals: 18 }))).to.equal("INPUT_INVALID");
    await rm(join(folder(), "in", "3"));
    await mkdir(join(folder(), "in", "3"));
    expect(await codeOf(() => readLocalJob(join(folder(), "job.yaml"), { decimals: 18 }))).to.equal("INPUT_INVALID");
    await write("job.yaml", "module: ./none.wasm\ninputs: ./in\n");
    expect(await codeOf(() => readLocalJob(join(folder(), "job.yaml"), { decimals: 18 }))).to.equal("INPUT_NOT_FOUND");
  });
});

describe("fetched outputs", () => {
  const folder = withFolder();
  const file = (task: number, path: string, size: number): FetchResultsResponse => ({
    part: "file",
    file: { task, path, size },
  });
  const chunk = (text: string): FetchResultsResponse => ({ part: "chunk", chunk: bytes(text) });

  it("are written task by task", async () => {
    const parts = stream(
      file(0, "exit", 1),
      chunk("0"),
      file(0, "out/a", 0),
      file(3, "stdout", 4),
      chunk("te"),
      chunk("xt"),
    );
    expect(await writeResults(parts, folder())).to.deep.equal([0, 3]);
    expect(await readFile(join(folder(), "3", "stdout"), "utf8")).to.equal("text");
    expect((await readdir(folder())).sort()).to.deep.equal(["0", "3"]);
    expect((await readdir(join(folder(), "0"))).sort()).to.deep.equal(["exit", "out"]);
  });

  const refusals: [what: string, parts: FetchResultsResponse[], code: string][] = [
    ["paths that lead elsewhere", [file(0, "../../x", 0)], "RESULTS_INVALID"],
    ["fewer bytes than there should be", [file(0, "a", 2), chunk("1")], "RESULTS_INVALID"],
    ["content of no file", [chunk("1")], "RESULTS_INVALID"],
    ["a task that comes back", [file(0, "a", 0), file(1, "a", 0), file(0, "b", 0)], "RESULTS_INVALID"],
  ];
  for (const [what, parts, code] of refusals) {
    it(`refuse ${what}`, async () => {
      expect(await codeOf(() => writeResults(stream(...parts), join(folder(), "in")))).to.equal(code);
      expect((await readdir(join(folder(), "in"))).filter((name) => name.startsWith("."))).to.deep.equal([]);
    });
  }
});

describe("what is wrong with a call", () => {
  it("has a status of gRPC and a stable code, and arrives as it was", () => {
    const error = new SuretyError("BUDGET_EXHAUSTED", "too much — «100»", {
      details: { needed: 5n, available: 4n },
      fix: "Ask for more.",
      exit: 4,
    });
    const sent = callError(error);
    expect(sent.code).to.equal(status.RESOURCE_EXHAUSTED);
    expect(sent.metadata.get(CODE_TRAILER)).to.deep.equal(["BUDGET_EXHAUSTED"]);
    const { code, message, fix, kind, exit, details } = errorOf(sent);
    expect({ code, message, fix, kind, exit }).to.deep.equal({
      ...{ code: "BUDGET_EXHAUSTED", message: "too much — «100»", fix: "Ask for more.", kind: "fatal", exit: 4 },
    });
    expect(details).to.deep.equal({ needed: "5", available: "4" });
  });

  it("says nothing of the service's own faults", () => {
    const sent = callError(new Error("ENOENT: /home/requester/secret"));
    expect(sent.code).to.equal(status.INTERNAL);
    expect(errorOf(sent).code).to.equal("UNEXPECTED");
    expect(JSON.stringify(sent) + sent.message + errorOf(sent).message).not.to.include("secret");
  });

  it("fits into what peers take of trailers", () => {
    const sent = callError(
      new SuretyError("JOB_FILE_INVALID", "x".repeat(100_000), { fix: "y".repeat(100_000), exit: 2 }),
    );
    expect(sent.code).to.equal(status.INVALID_ARGUMENT);
    const [binary] = sent.metadata.get("surety-error-bin");
    expect((binary as Buffer).length + sent.details.length).to.be.below(6_000);
  });
});

describe("a service's configuration", () => {
  const folder = withFolder();

  async function read(service: object): Promise<unknown> {
    const path = join(folder(), "requester.json");
    await writeFile(
      path,
      JSON.stringify({
        home: "./home",
        rpc: ["http://127.0.0.1:8545"],
        deployment: "./surety.json",
        key: { env: "KEY" },
        storage: { kind: "embedded" },
        service,
      }),
    );
    return (await readRequesterConfig(path)).service;
  }

  it("listens on loopback in the clear, and elsewhere only with certificates", async () => {
    for (const listen of ["127.0.0.1:7443", "[::1]:0", "localhost:7443", "unix:/run/s.sock"])
      expect(await read({ listen }), listen).to.include({ listen });
    for (const listen of [
      "0.0.0.0:7443",
      ":7443",
      "[::]:7443",
      "192.0.2.1:7443",
      "example.org:7443",
      "127.evil.org:1",
    ]) {
      expect(await codeOf(() => read({ listen })), listen).to.equal("CONFIG_INVALID");
      const tls = { cert: "c.pem", key: "k.pem" };
      expect(await read({ listen, tls }), listen).to.deep.include({
        listen,
        tls: { cert: join(folder(), "c.pem"), key: join(folder(), "k.pem") },
      });
    }
    for (const listen of ["", "7443", "127.0.0.1", "127.0.0.1:70000", "unix:"])
      expect(await codeOf(() => read({ listen })), listen).to.equal("CONFIG_INVALID");
  });

  it("counts paths from its file and has bounds", async () => {
    expect(await read({ listen: "unix:./s.sock", clients: "./c.json", maxUpload: "2MiB" })).to.deep.include({
      listen: `unix:${join(folder(), "s.sock")}`,
      clients: join(folder(), "c.json"),
      maxUpload: 2 ** 21,
      maxResults: 2 ** 30,
    });
    for (const wrong of [{ maxUpload: "1KiB" }, { maxResults: "65GiB" }, { port: 1 }])
      expect(await codeOf(() => read({ listen: "127.0.0.1:0", ...wrong }))).to.equal("CONFIG_INVALID");
  });
});
