import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { MarketState } from "#sdk/market-state.ts";
import type { RequesterConfig } from "../../agents/config.ts";
import { Journal } from "../../agents/journal/journal.ts";
import type { MarketAgent } from "../../agents/market-agent.ts";
import { JobBook } from "../../agents/requester/job-book.ts";
import type { Job } from "../../agents/requester/jobs.ts";
import { MARKET, PARAMETERS } from "../support/market-history.ts";

describe("JobBook", () => {
  let home: string;
  let journal: Journal;
  let book: JobBook;
  let told: string[];
  let last = 0;

  beforeEach(async () => {
    home = await mkdtemp(join(tmpdir(), "surety-job-book-"));
    journal = Journal.open({ home });
    const agent = { journal, state: new MarketState(MARKET), deployment: { parameters: PARAMETERS } };
    told = [];
    const onStatus = ({ state }: { state: string }): void => void told.push(state);
    book = new JobBook({ home } as RequesterConfig, agent as unknown as MarketAgent, onStatus);
  });
  afterEach(async () => {
    journal.close();
    await rm(home, { recursive: true });
  });

  function take(): Job {
    const ticket = `0000000000001-${String(++last).padStart(8, "0")}`;
    const job = { ticket: { ticket, name: "job", count: 2 }, attempts: [], suspicion: {}, done: [] };
    book.save(job as unknown as Job);
    return book.find(ticket) as Job;
  }

  const written = async ({ ticket: { ticket } }: Job): Promise<string> =>
    (JSON.parse(await readFile(join(home, "jobs", `${ticket}.json`), "utf8")) as { state: string }).state;
  const end = (job: Job): void => book.save({ ...job, finished: {} });

  it("writes a status where it changed, and says so once", async () => {
    const job = take();
    const { ticket } = job.ticket;
    await book.report(ticket);
    await book.report(ticket);
    const before = await written(job);
    expect([told.length, book.isReported(ticket)]).to.deep.equal([1, false]);
    end(job);
    await book.report(ticket);
    expect([await written(job), book.isReported(ticket)]).to.deep.equal(["settled", true]);
    expect(told).to.deep.equal([before, "settled"]);
  });

  it("knows that the end is not written that the disk had no room for", async () => {
    const job = take();
    const { ticket } = job.ticket;
    await book.report(ticket);
    end(job);
    await rm(join(home, "jobs"), { recursive: true });
    await writeFile(join(home, "jobs"), "in the way");
    expect(await book.report(ticket).catch(({ code }: { code: string }) => code)).to.be.oneOf(["EEXIST", "ENOTDIR"]);
    expect(book.isReported(ticket)).to.equal(false);
    await rm(join(home, "jobs"));
    await book.report(ticket);
    expect([await written(job), book.isReported(ticket)]).to.deep.equal(["settled", true]);
  });

  it("never writes an older status over a newer one, whoever reports at the same time", async function () {
    this.timeout(60_000);
    for (let round = 0; round < 30; round += 1) {
      const job = take();
      const { ticket } = job.ticket;
      const early = [book.report(ticket), book.report(ticket)];
      end(job);
      await Promise.all([...early, book.report(ticket), book.report(ticket)]);
      expect(await written(job)).to.equal("settled");
    }
  });
});
