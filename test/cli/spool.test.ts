import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import {
  listStatuses,
  newStatus,
  newTicketId,
  outputsFolder,
  putTicket,
  readStatus,
  readTickets,
  takeTicket,
  writeStatus,
  type JobTicket,
} from "../../agents/requester/spool.ts";

function ticketAt(time: number): JobTicket {
  return {
    ticket: newTicketId(time),
    name: "tiles",
    createdAt: new Date(time).toISOString(),
    terms: {
      spec: "bafy",
      mode: "sampled",
      adaptive: true,
      quorum: 3,
      rate: 30_000,
      guess: 0,
      maxShare: 200_000,
      minSlice: 1,
      price: "10000000000000000",
      verifierPrice: "10000000000000000",
      slashAmount: null,
      fullSlash: true,
      class: `0x${"22".repeat(32)}`,
      windows: { claim: 10, submit: 10, reveal: 10, check: 10, judge: 10, challenge: 10 },
      allowed: [],
      excluded: [],
    },
    manifest: "bafy",
    count: 3,
    plantShare: 0,
  };
}

describe("spool", () => {
  let home: string;

  beforeEach(async () => {
    home = await mkdtemp(join(tmpdir(), "surety-spool-"));
  });

  afterEach(() => rm(home, { recursive: true, force: true }));

  it("refuses tickets that would lead out of the home", async () => {
    for (const ticket of ["../../etc/passwd", "", "1795212777524-82798d4g"]) {
      expect(() => outputsFolder(home, ticket))
        .to.throw()
        .with.property("code", "TICKET_INVALID");
      const error: unknown = await readStatus(home, ticket).catch((reason: unknown) => reason);
      expect(error).to.have.property("code", "TICKET_INVALID");
    }
  });

  it("has nothing where nothing was put", async () => {
    expect(await readTickets(home)).to.deep.equal({ tickets: [], flawed: [] });
    expect(await listStatuses(home)).to.deep.equal([]);
    expect(await readStatus(home, newTicketId())).to.equal(undefined);
  });

  it("hands tickets over in the order of their submission, each once", async () => {
    const first = ticketAt(1_000);
    const second = ticketAt(2_000);
    for (const ticket of [second, first, first]) await putTicket(home, ticket);
    expect((await readTickets(home)).tickets).to.deep.equal([first, second]);
    await takeTicket(home, first.ticket);
    // Taken again after a crash in between.
    await takeTicket(home, first.ticket);
    expect((await readTickets(home)).tickets).to.deep.equal([second]);
    expect((await listStatuses(home)).map(({ ticket, state }) => [ticket, state])).to.deep.equal([
      [first.ticket, "queued"],
      [second.ticket, "queued"],
    ]);
  });

  it("sets aside what is no ticket, and hands over the others", async () => {
    const good = ticketAt(1_000);
    await putTicket(home, good);
    await writeFile(join(home, "inbox", "half.json"), '{"ticket": "1');
    await writeFile(join(home, "inbox", "other.json"), "{}");
    const { tickets, flawed } = await readTickets(home);
    expect(tickets).to.deep.equal([good]);
    expect(flawed).to.have.lengthOf(2);
  });

  it("does not take for a ticket what a killed submit left behind", async () => {
    await mkdir(join(home, "inbox"));
    await writeFile(join(home, "inbox", `${newTicketId()}.json.12-ab.tmp`), '{"ticket": "1');
    expect(await readTickets(home)).to.deep.equal({ tickets: [], flawed: [] });
  });

  it("replaces a status whole and leaves nothing beside it", async () => {
    const ticket = ticketAt(1_000);
    for (const state of ["posting", "posted", "settled"] as const)
      await writeStatus(home, { ...newStatus(ticket), state });
    expect(await readStatus(home, ticket.ticket)).to.include({ state: "settled", name: "tiles" });
    expect(await readdir(join(home, "jobs"))).to.deep.equal([`${ticket.ticket}.json`]);
  });
});
