import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import pino from "pino";
import { contentIdToBytes32 } from "#sdk/content.ts";
import type { MarketState } from "#sdk/market-state.ts";
import { openEmbeddedStorage } from "#sdk/node/embedded-storage.ts";
import { Retention } from "../../agents/compute/retention.ts";
import { Journal } from "../../agents/journal/journal.ts";

const DAY = 86_400;
const keepSeconds = 7 * DAY;

/** A market's state as far as retention looks at it. */
function stateOf(closed: Record<string, { at: number; block: number } | undefined>): MarketState {
  const batches = new Map(Object.entries(closed).map(([id, end]) => [id, { id, closed: end }]));
  return { batches } as unknown as MarketState;
}

describe("Retention", () => {
  let folder: string;
  let journal: Journal;
  let storage: Awaited<ReturnType<typeof openEmbeddedStorage>>;
  let retention: Retention;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "surety-retention-"));
    journal = Journal.open({ home: join(folder, "home") });
    storage = await openEmbeddedStorage({ folder: join(folder, "storage") });
    retention = begin();
  });
  afterEach(async () => {
    journal.close();
    await storage.close();
    await rm(folder, { recursive: true });
  });

  const begin = (): Retention => new Retention({ journal, storage, keepSeconds, logger: pino({ level: "silent" }) });

  /** A result, a manifest and something a juror looked at, of one batch. */
  async function deliver(batch: string): Promise<string[]> {
    const add = (text: string): Promise<string> => storage.add(new Map([["a", new TextEncoder().encode(text)]]));
    const [output, manifest, inspected] = [await add(`o ${batch}`), await add(`m ${batch}`), await add(`i ${batch}`)];
    journal.put("result", `${batch}:0:0:0:0+1:0`, { sealedOutput: output });
    journal.put("commitment", `${batch}:0:0:0:0+1`, { manifest: contentIdToBytes32(manifest) });
    await storage.unpin(inspected);
    await retention.pin(batch, inspected);
    return [output, manifest, inspected];
  }

  const present = (cids: string[]): Promise<boolean[]> => Promise.all(cids.map((cid) => storage.has(cid)));

  it("keeps all of a batch until it has ended for good and for long enough, and then nothing of it", async () => {
    const [mine, other] = [await deliver("0xa"), await deliver("0xab")];
    const fetched = await storage.add(new Map([["input", new Uint8Array(3)]]));
    await storage.unpin(fetched);
    const end = { at: 1_000, block: 50 };
    const late = end.at + keepSeconds;
    const looks: [Parameters<typeof stateOf>[0], { timestamp: number; finalNumber: number }, number][] = [
      [{ "0xa": undefined, "0xab": undefined }, { timestamp: late, finalNumber: 60 }, 0],
      [{ "0xa": end, "0xab": undefined }, { timestamp: late - 1, finalNumber: 60 }, 0],
      [{ "0xa": end, "0xab": undefined }, { timestamp: late, finalNumber: 49 }, 0],
      [{ "0xa": end, "0xab": undefined }, { timestamp: late, finalNumber: 50 }, 3],
    ];
    for (const [closed, moment, released] of looks) {
      expect(await begin().release(stateOf(closed), moment)).to.equal(released);
      expect((await present(mine)).every((there) => there === (released === 0))).to.equal(true);
    }
    expect(await present([...other, fetched])).to.deep.equal([true, true, true, false]);
  });

  it("looks every ten minutes, and lets go once", async () => {
    await deliver("0xa");
    const state = stateOf({ "0xa": { at: 0, block: 1 } });
    const at = (timestamp: number): Promise<number> => retention.release(state, { timestamp, finalNumber: 9 });
    expect(await at(keepSeconds - 1)).to.equal(0);
    expect(await at(keepSeconds + 598)).to.equal(0);
    expect(await at(keepSeconds + 599)).to.equal(3);
    expect(await at(keepSeconds + 5_000)).to.equal(0);
  });
});
