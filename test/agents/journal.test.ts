import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { DatabaseSync } from "node:sqlite";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import fc from "fast-check";
import { SuretyError } from "#sdk/errors.ts";
import { type EventStore, MemoryEventStore } from "#sdk/event-store.ts";
import { Follower } from "#sdk/follower.ts";
import type { Intent } from "../../agents/journal/intent-table.ts";
import { Journal } from "../../agents/journal/journal.ts";
import { migrate, migrations } from "../../agents/journal/schema.ts";
import { Anvil } from "../support/anvil.ts";
import { blockOn, eventIn } from "../support/events.ts";
import { deployLoggingContract, emit } from "../support/logging-contract.ts";

const key = { address: "0x70997970C51812dc3A010C7d01b50e0d17dc79C8", chain: "31337:0xabc" };

function codeOf(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    if (error instanceof SuretyError) return error.code;
    throw error;
  }
  return "none";
}

describe("Journal", function () {
  this.timeout(30_000);
  let folder: string;
  let home: string;
  const opened: Journal[] = [];

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "surety-journal-"));
    home = join(folder, "home");
  });
  afterEach(() => {
    for (const journal of opened.splice(0)) journal.close();
    rmSync(folder, { recursive: true });
  });

  function open(options: Partial<Parameters<typeof Journal.open>[0]> = {}): Journal {
    const journal = Journal.open({ home, lockDirectory: folder, ...options });
    opened.push(journal);
    return journal;
  }

  describe("refuses", () => {
    it("a second agent on the same home", () => {
      const first = open();
      expect(() => open())
        .to.throw(SuretyError)
        .that.includes({ code: "JOURNAL_LOCKED", exit: 5 });
      first.close();
      expect(codeOf(() => open())).to.equal("none");
    });

    it("a second agent with the same key on the same chain, but no other", () => {
      open({ key });
      const second = { ...key, address: key.address.toLowerCase() };
      expect(codeOf(() => open({ home: join(folder, "other"), key: second }))).to.equal("JOURNAL_LOCKED");
      expect(codeOf(() => open({ home: join(folder, "other"), key: { ...key, chain: "1:0xdef" } }))).to.equal("none");
    });

    it("a second process, and lets it in once the first was killed", async () => {
      const child = appendingAgent(home);
      await once(child.lines, "line");
      expect(codeOf(() => open({ lockDirectory: join(folder, "elsewhere") }))).to.equal("JOURNAL_LOCKED");
      child.kill();
      await child.ended;
      expect(codeOf(() => open())).to.equal("none");
    });

    it("a journal of a newer program", () => {
      open().close();
      const database = new DatabaseSync(join(home, "journal.sqlite"));
      database.exec(`PRAGMA user_version = ${migrations.length + 1}`);
      database.close();
      expect(codeOf(() => open())).to.equal("JOURNAL_VERSION");
    });

    it("a file that is something else", () => {
      open().close();
      const file = join(home, "journal.sqlite");
      for (const suffix of ["", "-wal", "-shm"]) rmSync(file + suffix, { force: true });
      writeFileSync(file, "not a database at all ".repeat(100));
      expect(codeOf(() => open())).to.equal("JOURNAL_INVALID");
      rmSync(file);
      const database = new DatabaseSync(file);
      database.exec("CREATE TABLE cats (name TEXT)");
      database.close();
      expect(codeOf(() => open())).to.equal("JOURNAL_INVALID");
    });

    it("a home that is a file", () => {
      writeFileSync(home, "");
      expect(codeOf(() => open())).to.equal("JOURNAL_UNWRITABLE");
    });

    it("to write where the disk has no more room, and keeps what was written", async () => {
      const child = appendingAgent(home, 256);
      let acknowledged = 0;
      let code = "";
      child.lines.on("line", (line) => (/^\d/.test(line) ? (acknowledged = Number(line)) : (code = line)));
      await child.ended;
      expect(code).to.equal("JOURNAL_UNWRITABLE");
      expect(open().events.newest()?.number).to.equal(acknowledged).and.to.be.greaterThan(0);
    });

    it("to open where the disk has no room for a new journal", async () => {
      const codes = new Set<string>();
      for (const room of [8, 24, 40]) {
        const child = appendingAgent(join(home, String(room)), room);
        child.lines.on("line", (line) => codes.add(line));
        await child.ended;
      }
      expect([...codes]).to.deep.equal(["JOURNAL_UNWRITABLE"]);
    });

    it("a transaction that waits", () => {
      const journal = open();
      expect(() => journal.transaction(async () => journal.put("note", "a", 1))).to.throw(TypeError);
      expect(journal.get("note", "a")).to.equal(undefined);
    });
  });

  it("migrates an older journal step by step, and keeps what is in it", () => {
    const database = new DatabaseSync(":memory:");
    const steps = ["CREATE TABLE a (x); INSERT INTO a VALUES (1)", "ALTER TABLE a ADD COLUMN y DEFAULT 2"];
    migrate(database, steps.slice(0, 1));
    migrate(database, steps);
    migrate(database, steps);
    expect({ ...database.prepare("SELECT * FROM a").get() }).to.deep.equal({ x: 1, y: 2 });
    expect(() => migrate(database, [...steps, "CREATE TABLE b (x); nonsense"])).to.throw();
    expect(database.prepare("SELECT count(*) AS n FROM sqlite_schema WHERE name = 'b'").get()?.n).to.equal(0);
    expect(codeOf(() => migrate(database, steps.slice(0, 1)))).to.equal("JOURNAL_VERSION");
  });

  it("keeps notes with bigints across a restart, and forgets a transaction that failed", () => {
    const journal = open();
    const note = { price: 12n ** 30n, list: [1n, "1"], nested: { none: null } };
    journal.put("job", "b", note);
    journal.put("job", "a", 1);
    journal.put("batch", "a", 2);
    journal.put("job", "gone", 3);
    journal.delete("job", "gone");
    const failure = new Error("no");
    expect(() =>
      journal.transaction(() => {
        journal.put("job", "a", 99);
        throw failure;
      }),
    ).to.throw(failure);
    journal.close();
    const again = open();
    expect([...again.list("job")]).to.deep.equal([
      ["a", 1],
      ["b", note],
    ]);
  });

  it("notes soon what is in no hurry, and with a transaction what is noted within one", () => {
    const journal = open();
    journal.putSoon("note", "a", 1n);
    journal.putSoon("note", "a", 2n);
    const fail = (): void =>
      journal.transaction(() => {
        journal.putSoon("note", "a", 3n);
        throw new Error("no");
      });
    expect(fail).to.throw("no");
    expect(() => journal.putSoon("note", "b", undefined)).to.throw();
    journal.close();
    expect([...open().list("note")]).to.deep.equal([["a", 2n]]);
  });

  it("keeps intents, one for a purpose and one for a nonce", () => {
    const { intents } = open();
    const intent: Intent = {
      key: "claim:1:0",
      account: key.address,
      to: key.address,
      data: "0x",
      value: 5n,
      status: "planned",
      attempts: [],
      dead: [],
    };
    expect(intents.nextNonce(key.address)).to.equal(0);
    intents.put(intent);
    intents.put({ ...intent, key: "claim:1:1" });
    intents.put({ ...intent, status: "signed", nonce: 7 });
    expect(intents.open(key.address).map((each) => each.key)).to.deep.equal(["claim:1:0", "claim:1:1"]);
    expect(intents.nextNonce(key.address)).to.equal(8);
    expect(() => intents.put({ ...intent, key: "claim:1:1", nonce: 7 })).to.throw();
    intents.put({ ...intent, status: "final", nonce: 7 });
    expect(intents.get(key.address, "claim:1:0")).to.deep.equal({ ...intent, status: "final", nonce: 7 });
    expect(intents.open(key.address)).to.have.length(1);
  });

  it("answers like the store in memory to any history of blocks and reorganisations", () => {
    const histories = fc.array(
      fc.oneof(
        fc.record({ append: fc.integer({ min: 1, max: 4 }), events: fc.integer({ min: 0, max: 3 }) }),
        fc.record({ rewind: fc.integer({ min: 0, max: 6 }) }),
      ),
      { maxLength: 30 },
    );
    const { events: table } = open();
    table.begin({ chainId: 1, genesisHash: "0x", addresses: [], startBlock: 0 });
    fc.assert(
      fc.property(histories, (history) => {
        const memory = new MemoryEventStore();
        const stores: EventStore[] = [memory, table];
        table.rewind(-1);
        history.forEach((move, branch) => {
          const newest = memory.newest()?.number ?? 0;
          if ("rewind" in move) return stores.forEach((store) => store.rewind(newest - move.rewind));
          const block = blockOn(branch, newest + move.append);
          const events = Array.from({ length: move.events }, (_, index) => eventIn(block, index)).reverse();
          for (const store of stores) void store.append(block, [...events, ...events], -1);
          for (const store of stores) expect(codeOf(() => store.append(block, [], -1))).to.equal("JOURNAL_ORDER");
        });
        expect(table.newest()).to.deep.equal(memory.newest());
        expect(table.previous(5)).to.deep.equal(memory.previous(5));
        expect(table.events()).to.deep.equal(memory.events());
        for (const query of [
          { limit: 2 },
          { after: { blockNumber: 4, logIndex: 1 } },
          { after: { blockNumber: 3, logIndex: Infinity }, limit: 3 },
        ]) {
          expect(table.events(query)).to.deep.equal(memory.events(query));
        }
      }),
      { numRuns: 60 },
    );
  });

  it("loses no acknowledged block or note and keeps none in part when killed in the middle of appending", async () => {
    let acknowledged = 0;
    for (let kill = 0; kill < 5; kill += 1) {
      const child = appendingAgent(home);
      child.lines.on("line", (line) => (acknowledged = Number(line)));
      await once(child.lines, "line");
      await new Promise((resolve) => setTimeout(resolve, 7 * kill + 3));
      child.kill();
      await child.ended;
      const journal = open();
      const newest = journal.events.newest()?.number ?? 0;
      expect(newest).to.be.within(acknowledged, acknowledged + 1);
      expect(journal.get("appended", "last")).to.be.within(acknowledged, newest);
      const counts = new Map<number, number>();
      for (const { blockNumber } of journal.events.events())
        counts.set(blockNumber, (counts.get(blockNumber) ?? 0) + 1);
      expect(counts.size).to.equal(newest);
      expect(new Set(counts.values())).to.deep.equal(new Set([20]));
      journal.close();
    }
    expect(acknowledged).to.be.greaterThan(5);
  });

  it("lets a follower go on after a restart, past a reorganisation that it slept through", async () => {
    const chain = await Anvil.start();
    try {
      const contract = await deployLoggingContract(chain);
      const options = { chainId: 31337, addresses: [contract], startBlock: 1, finalDepth: 16 };
      for (const value of [1, 2, 3]) {
        await emit(chain, contract, value);
        await chain.mine();
      }
      const journal = open();
      const first = new Follower(options, { rpc: chain.rpc, store: journal.events });
      const head = await first.sync();
      journal.close();
      await chain.send("anvil_reorg", 2, []);
      await emit(chain, contract, 4);
      await chain.mine();
      const second = new Follower(options, { rpc: chain.rpc, store: open().events });
      const told: string[] = [];
      await second.sync({
        onEvents: (events) => void told.push(...events.map((event) => `log ${Number(event.data)}`)),
        onRewind: (number) => void told.push(`rewind ${number}`),
      });
      const survivors = (
        (await chain.send("eth_getLogs", { address: contract, fromBlock: "0x0" })) as { data: string }[]
      ).map((log) => `log ${Number(log.data)}`);
      expect(told.slice(0, 4)).to.deep.equal(["log 1", "log 2", "log 3", `rewind ${(head?.number as number) - 2}`]);
      expect(["log 1", ...told.slice(4)]).to.deep.equal(survivors);
      expect(survivors).to.include("log 4");
    } finally {
      await chain.stop("SIGKILL");
    }
  });
});

/** Starts it with files limited to so many KiB, if given. */
function appendingAgent(home: string, limit?: number) {
  const program = fileURLToPath(new URL("../support/appending-agent.ts", import.meta.url));
  const command = [process.execPath, "--disable-warning=ExperimentalWarning", program, home];
  const limited = limit === undefined ? command : ["bash", "-c", `ulimit -f ${limit}; exec "$@"`, "bash", ...command];
  const child = spawn(limited[0] as string, limited.slice(1), { stdio: ["ignore", "pipe", "inherit"] });
  return {
    lines: createInterface({ input: child.stdout }),
    kill: () => child.kill("SIGKILL"),
    ended: once(child, "close"),
  };
}
