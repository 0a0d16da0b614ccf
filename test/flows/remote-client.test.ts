import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "chai";
import { freePort } from "../../agents/devnet/port.ts";
import { ServiceConnection } from "../../agents/service/connection.ts";
import { readLocalJob, uploadOf } from "../../agents/service/local-job.ts";
import type { Budget, JobEvent, SubmitJobResponse } from "../../agents/service/messages.ts";
import { readToken } from "../../agents/service/token.ts";
import { Books } from "../support/books.ts";
import { errorCode, lastJson, surety, type Ended } from "../support/command-line.ts";
import { PRICE_OF_ALL, sharedWorld, type ActingRequester, type MarketWorld } from "../support/market-world.ts";

const TASKS = 2;
const JOB = { tasks: TASKS, price: PRICE_OF_ALL };

describe("clients of a requester's service", () => {
  const { signal } = new AbortController();
  let world: MarketWorld;
  let requester: ActingRequester;
  let server: string;
  const open: ServiceConnection[] = [];

  before(async () => {
    world = await sharedWorld();
  });

  beforeEach(async () => {
    requester = await world.newRequester("requester");
    server = `127.0.0.1:${await freePort(0)}`;
    const config = JSON.parse(await readFile(requester.config, "utf8")) as object;
    await writeFile(requester.config, JSON.stringify({ ...config, service: { listen: server } }));
  });

  afterEach(async () => {
    for (const connection of open.splice(0)) connection.close();
    await world.reset();
  });

  /** The command line, on the requester's side. */
  async function newClient(name: string, budget: string): Promise<string> {
    const file = join(requester.home, `${name}.token`);
    const args = ["add", name, "--budget", budget, "--out", file, "--config", requester.config];
    const ended = await surety(["service", "token", ...args]);
    expect(ended.exit, ended.stderr).to.equal(0);
    return file;
  }

  /** The command line, on a client's side. */
  const remote = (tokenFile: string, ...args: string[]): Promise<Ended> =>
    surety(["remote", ...args, "--server", server, "--token-file", tokenFile, "--json"]);

  /** A connection that outlives the requester. */
  async function connect(tokenFile: string): Promise<ServiceConnection> {
    const connection = await ServiceConnection.open({ server, token: await readToken(tokenFile), retries: 100 });
    open.push(connection);
    return connection;
  }

  /** Waits until the requester knows the market's state. */
  async function ready(tokenFile: string): Promise<void> {
    await (await connect(tokenFile)).getBudget({ signal });
  }

  async function budgetOf(tokenFile: string): Promise<Budget> {
    const ended = await remote(tokenFile, "budget");
    expect(ended.exit, ended.stderr).to.equal(0);
    return lastJson(ended) as unknown as Budget;
  }

  /** What the requester's account has in all. */
  async function worth(): Promise<bigint> {
    await world.witness.catchUp();
    const { accounts } = await world.witness.money();
    const { wallet, vault, stake } = accounts.get(requester.address)!;
    return wallet + vault + stake;
  }

  async function expectOutputsIn(folder: string): Promise<void> {
    for (let task = 0; task < TASKS; task += 1)
      expect(await readFile(join(folder, String(task), "stdout"), "utf8")).to.equal(`task-${task}\0`);
  }

  it("have their jobs run, within their budgets, and see nothing of each other", async () => {
    await requester.start();
    const books = await Books.open(world);
    const before = await worth();
    const job = await requester.writeJob(JOB);
    const lab = await newClient("lab", "500");
    await ready(lab);
    const first = await remote(lab, "submit", job, "--idempotency-key", "one");
    expect(first.exit, first.stderr).to.equal(0);
    const { job: id } = lastJson(first) as { job: string };
    const other = await newClient("other", "400");

    const out = join(requester.home, "fetched-by-other");
    const waiting = remote(other, "submit", job, "--idempotency-key", "one", "--out", out);
    const refusals: [Ended, code: string, exit: number][] = [
      [await remote(other, "submit", job, "--limit", "400.1"), "BUDGET_EXHAUSTED", 4],
      [await remote(other, "status", id), "JOB_UNKNOWN", 2],
      [await remote(other, "cancel", id), "JOB_UNKNOWN", 2],
      [await remote(other, "results", id, "--out", out), "JOB_UNKNOWN", 2],
      [await remote(other, "watch", id), "JOB_UNKNOWN", 2],
    ];
    const wrong = join(requester.home, "wrong.token");
    await writeFile(wrong, `${await readToken(lab)}x\n`);
    refusals.push([await remote(wrong, "status", id), "TOKEN_WRONG", 2]);
    refusals.push([await remote(wrong, "submit", job), "TOKEN_WRONG", 2]);
    for (const [ended, code, exit] of refusals)
      expect([errorCode(ended), ended.exit], ended.stderr).to.deep.equal([code, exit]);

    const theirs = await waiting;
    expect(theirs.exit, theirs.stderr).to.equal(0);
    await expectOutputsIn(out);
    const watched = await remote(lab, "watch", id);
    expect(lastJson(watched), watched.stderr).to.include({ kind: "JOB_EVENT_KIND_JOB_SETTLED" });
    const results = join(requester.home, "fetched-by-lab");
    expect((await remote(lab, "results", id, "--out", results)).exit).to.equal(0);
    await expectOutputsIn(results);

    const costs = [lastJson(await remote(lab, "status", id)), lastJson(theirs)].map((each) =>
      BigInt(String(each.cost)),
    );
    const budgets = [await budgetOf(lab), await budgetOf(other)];
    expect(budgets.map(({ spent }) => BigInt(spent))).to.deep.equal(costs);
    for (const { limit, spent, available, ...rest } of budgets) {
      expect(rest).to.include({ reserved: "0", openJobs: 0 });
      expect(BigInt(spent) + BigInt(available)).to.equal(BigInt(limit));
    }
    await books.close();
    expect(requester.batches).to.have.lengthOf(2);
    // What the clients were charged is what the requester is out of, and nobody else.
    expect(before - (await worth())).to.equal(costs.reduce((sum, cost) => sum + cost, 0n));

    const revoked = await surety(["service", "token", "revoke", "other", "--config", requester.config]);
    expect(revoked.exit, revoked.stderr).to.equal(0);
    expect(errorCode(await remote(other, "budget"))).to.equal("TOKEN_WRONG");
    expect((await remote(lab, "budget")).exit).to.equal(0);
  });

  it("have a job posted and paid once, however often the requester is killed", async () => {
    await requester.start();
    const books = await Books.open(world);
    const before = await worth();
    const tokenFile = await newClient("lab", "500");
    const connection = await connect(tokenFile);
    const { text, files } = await readLocalJob(await requester.writeJob(JOB), { decimals: 18 });
    const submit = (): Promise<SubmitJobResponse> =>
      connection.submit({ idempotencyKey: "one", jobFile: text, spendingLimit: "" }, () => uploadOf(files), { signal });
    const restart = async (): Promise<void> => {
      await requester.kill();
      await requester.start();
    };

    // While it is handed in: in the middle of the upload, of checking and storing, of writing it down.
    const handedIn = submit();
    for (const pause of [20, 200, 500, 1_000]) {
      await new Promise((resolve) => setTimeout(resolve, pause));
      await restart();
    }
    const { job } = await handedIn;
    const again = await submit();
    expect([again.repeated, again.job.id]).to.deep.equal([true, job.id]);

    const events: JobEvent[] = [];
    const watching = (async () => {
      for await (const event of connection.watch(job.id, { signal })) events.push(event);
    })();
    await restart();
    const record = await requester.posted();
    await restart();
    await world.until("the seal", () => record.seal);
    await restart();
    await world.until("the reveal", () => record.reveal);
    await restart();
    await world.until("the end of the batch", () => record.closed);
    await restart();
    await watching;

    expect(events.map(({ sequence }) => sequence)).to.deep.equal(events.map((_, place) => place + 1));
    const kinds = events.map(({ kind }) => kind);
    for (const once of ["ACCEPTED", "BATCH_POSTED", "BATCH_SEALED", "SEED_REVEALED", "BATCH_JUDGED", "JOB_SETTLED"])
      expect(kinds.filter((kind) => kind === `JOB_EVENT_KIND_${once}`).length, once).to.be.at.most(1);
    expect(kinds[0]).to.equal("JOB_EVENT_KIND_ACCEPTED");
    expect(kinds.at(-1)).to.equal("JOB_EVENT_KIND_JOB_SETTLED");
    expect(kinds).not.to.include("JOB_EVENT_KIND_REWOUND");

    const { jobs } = await connection.listJobs({ after: "", limit: 0 }, { signal });
    expect(jobs.map(({ id }) => id)).to.deep.equal([job.id]);
    expect(requester.batches).to.have.lengthOf(1);
    await books.close();
    const [{ cost } = { cost: "none" }] = jobs;
    expect(await connection.getBudget({ signal })).to.include({ spent: cost, reserved: "0", openJobs: 0 });
    expect(String(before - (await worth()))).to.equal(cost);
    const out = join(requester.home, "fetched-by-lab");
    expect((await remote(tokenFile, "results", job.id, "--out", out)).exit).to.equal(0);
    await expectOutputsIn(out);
  });

  it("take back what is not posted yet, and it costs nothing", async () => {
    await requester.start();
    const before = await worth();
    const tokenFile = await newClient("lab", "500");
    const path = await requester.writeJob(JOB);
    await ready(tokenFile);
    // Agents act when there is a new block.
    await world.market.rpc.request("evm_setIntervalMining", [0]);
    let id: string;
    try {
      const submitted = await remote(tokenFile, "submit", path);
      expect(submitted.exit, submitted.stderr).to.equal(0);
      id = String(lastJson(submitted).job);
      expect(lastJson(await remote(tokenFile, "cancel", id))).to.include({ cancelRequested: true });
      await requester.kill();
    } finally {
      await world.market.rpc.request("evm_setIntervalMining", [400]);
    }
    await requester.start();
    const kinds: string[] = [];
    for await (const { kind } of (await connect(tokenFile)).watch(id, { signal })) kinds.push(kind);
    expect(kinds).to.deep.equal([
      "JOB_EVENT_KIND_ACCEPTED",
      "JOB_EVENT_KIND_CANCEL_REQUESTED",
      "JOB_EVENT_KIND_JOB_FAILED",
    ]);
    expect(lastJson(await remote(tokenFile, "status", id)).error).to.deep.include({ code: "JOB_CANCELLED" });
    expect(await budgetOf(tokenFile)).to.include({ spent: "0", reserved: "0", openJobs: 0 });
    expect(await worth()).to.equal(before);
    expect(requester.batches).to.deep.equal([]);
  });
});
