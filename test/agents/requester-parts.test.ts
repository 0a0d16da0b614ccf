import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { SuretyError } from "#sdk/errors.ts";
import { decodeTrace, type ResourceTrace } from "#sdk/resource-trace.ts";
import { StorageError } from "#sdk/storage.ts";
import { createLogger } from "../../agents/logger.ts";
import { Background, patiently } from "../../agents/requester/background.ts";
import { Outputs } from "../../agents/requester/outputs.ts";

const TICKET = "0000000000001-00000000";
const BATCH = `0x${"ab".repeat(32)}`;
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

async function codeOf(work: Promise<unknown>): Promise<string> {
  return work.then(
    () => "none",
    (error: unknown) => (error instanceof SuretyError ? error.code : String((error as Error).name)),
  );
}

describe("where a requester keeps outputs", () => {
  let home: string;
  let outputs: Outputs;

  beforeEach(async () => {
    home = await mkdtemp(join(tmpdir(), "surety-outputs-"));
    outputs = new Outputs({ home });
  });

  afterEach(() => rm(home, { recursive: true, force: true }));

  const result = (task: number, file: string): Promise<string> =>
    readFile(join(home, "results", TICKET, String(task), file), "utf8");

  it("is no result before it is handed out, and then under its number in the ticket", async () => {
    await outputs.keep(
      BATCH,
      2,
      new Map([
        ["stdout", bytes("two")],
        ["out/a/b", bytes("deep")],
      ]),
    );
    expect(await readdir(home)).to.deep.equal(["fetched"]);
    expect(await outputs.hand(BATCH, 2, TICKET, 7)).to.equal(true);
    expect(await result(7, "stdout")).to.equal("two");
    expect(await result(7, "out/a/b")).to.equal("deep");
  });

  it("leaves a result alone if nothing was fetched, or it was handed out before", async () => {
    expect(await outputs.hand(BATCH, 2, TICKET, 7)).to.equal(false);
    await outputs.keep(BATCH, 2, new Map([["stdout", bytes("two")]]));
    await outputs.hand(BATCH, 2, TICKET, 7);
    expect(await outputs.hand(BATCH, 2, TICKET, 7)).to.equal(false);
    expect(await result(7, "stdout")).to.equal("two");
  });

  it("replaces all of what an earlier batch left", async () => {
    await outputs.keep(
      BATCH,
      0,
      new Map([
        ["stdout", bytes("old")],
        ["out/old", bytes("old")],
      ]),
    );
    await outputs.hand(BATCH, 0, TICKET, 0);
    await outputs.keep(BATCH, 0, new Map([["out/older", bytes("half")]]));
    await outputs.keep(BATCH, 0, new Map([["stdout", bytes("new")]]));
    await outputs.hand(BATCH, 0, TICKET, 0);
    expect(await readdir(join(home, "results", TICKET, "0"))).to.deep.equal(["stdout"]);
    expect(await result(0, "stdout")).to.equal("new");
  });

  it("keeps traces beside them, and gives one that was handed out before", async () => {
    const trace: ResourceTrace = {
      ...{ version: 1, source: "wasm", every: 10 },
      samples: [{ at: 3, memory: 65_536, output: 1 }],
    };
    await outputs.keep(BATCH, 2, new Map([["stdout", bytes("two")]]));
    expect(await outputs.handTrace(BATCH, 2, TICKET, 7)).to.equal(undefined);
    await outputs.keepTrace(BATCH, 2, trace);
    await outputs.hand(BATCH, 2, TICKET, 7);
    for (let life = 0; life < 2; life += 1) {
      expect(await outputs.handTrace(BATCH, 2, TICKET, 7)).to.deep.equal(trace);
    }
    expect(await readdir(join(home, "results", TICKET, "7"))).to.deep.equal(["stdout"]);
    expect(decodeTrace(await readFile(join(home, "traces", TICKET, "7.json")))).to.deep.equal(trace);
  });

  it("drops what nobody was paid for, of that batch only", async () => {
    const other = `0x${"cd".repeat(32)}`;
    for (const batch of [BATCH, other]) await outputs.keep(batch, 0, new Map([["stdout", bytes("x")]]));
    await outputs.drop(BATCH);
    await outputs.drop(BATCH);
    expect(await readdir(join(home, "fetched"))).to.deep.equal([other]);
  });
});

describe("patience", () => {
  const signal = new AbortController().signal;
  const missing = (): StorageError => new StorageError("CONTENT_NOT_FOUND", "not there");

  it("asks again for what may come, and gives what came", async () => {
    let asked = 0;
    const come = async (): Promise<string> => {
      asked += 1;
      if (asked < 2) throw missing();
      return "here";
    };
    expect(await patiently(come, { seconds: 60, signal })).to.equal("here");
    expect(asked).to.equal(2);
  });

  it("ends with what was wrong last once its time is over", async () => {
    let asked = 0;
    const never = async (): Promise<never> => {
      asked += 1;
      throw missing();
    };
    expect(await codeOf(patiently(never, { seconds: 0, signal }))).to.equal("CONTENT_NOT_FOUND");
    expect(asked).to.equal(1);
  });

  it("asks once for what will not come", async () => {
    let asked = 0;
    const never = async (): Promise<never> => {
      asked += 1;
      throw new SuretyError("ENVELOPE_UNREADABLE", "garbage");
    };
    expect(await codeOf(patiently(never, { seconds: 60, signal }))).to.equal("ENVELOPE_UNREADABLE");
    expect(asked).to.equal(1);
  });

  it("ends when it is told to", async () => {
    const controller = new AbortController();
    const waiting = patiently(
      async () => {
        controller.abort(new DOMException("done", "AbortError"));
        throw missing();
      },
      { seconds: 60, signal: controller.signal },
    );
    expect(await codeOf(waiting)).to.equal("AbortError");
  });
});

describe("what goes on in the background", () => {
  it("goes on once at a time, and may be asked for again after it failed", async () => {
    const { signal } = new AbortController();
    const background = new Background({ logger: createLogger({ agent: "test", level: "silent" }), signal });
    let times = 0;
    const fail = async (): Promise<void> => {
      times += 1;
      await Promise.resolve();
      throw new Error("no");
    };
    background.run("a", fail);
    background.run("a", fail);
    expect(background.has("a")).to.equal(true);
    await background.settled();
    expect(background.has("a")).to.equal(false);
    background.run("a", fail);
    await background.settled();
    expect(times).to.equal(2);
  });
});
