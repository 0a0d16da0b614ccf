import { describeFault, scheduleOf, type Fault, type Mishap, type Schedule } from "./schedule.ts";
import { PRICE_OF_ALL } from "../support/market-world.ts";
import { tryOut } from "./trial.ts";
import { SoakWorld } from "./world.ts";

const SEED = 4;
const SCHEDULES = 3;

const following = (after: Fault["after"], ...mishaps: Mishap[]): Fault[] =>
  mishaps.map((mishap, place) => ({ after, delayMs: place * 100, mishap }));

/** One kind of trouble, for several agents and at several stages. */
const DRILLS: Record<string, Fault[]> = {
  "full disks": [
    ...following("posted", { kind: "fill-disk", who: 0, ms: 3_000 }, { kind: "fill-disk", who: 4, ms: 2_000 }),
    ...following("claimed", { kind: "fill-disk", who: "requester", ms: 3_000 }),
    ...following(
      "revealed",
      { kind: "fill-disk", who: "requester", ms: 2_000 },
      { kind: "fill-disk", who: 2, ms: 2_000 },
    ),
  ],
  "clocks that are hours off": [
    ...following(
      "submitted",
      { kind: "set-clock", who: "requester", hours: 1 },
      { kind: "set-clock", who: 0, hours: -1 },
    ),
    ...following("posted", { kind: "set-clock", who: 1, hours: 24 }, { kind: "set-clock", who: 2, hours: -24 }),
    ...following("sealed", { kind: "set-clock", who: "requester", hours: -1 }, { kind: "set-clock", who: 0, hours: 0 }),
  ],
  "providers that lie": [
    ...following(
      "posted",
      { kind: "chain-lie", who: "requester", lie: "drop-logs", ms: 3_000 },
      { kind: "chain-lie", who: 0, lie: "stale-head", ms: 2_000 },
      { kind: "chain-lie", who: 1, lie: "wrong-chain", ms: 2_000 },
    ),
    ...following(
      "sealed",
      { kind: "chain-lie", who: "requester", lie: "no-receipts", ms: 2_000 },
      { kind: "chain-lie", who: 2, lie: "drop-logs", ms: 3_000 },
    ),
  ],
  "storage that fails": [
    ...following(
      "submitted",
      { kind: "storage", who: 0, trouble: "half-open", ms: 2_000 },
      { kind: "storage", who: 1, trouble: "wrong-bytes", ms: 2_000 },
      { kind: "storage", who: 2, trouble: "drip", ms: 2_000 },
    ),
    ...following(
      "computed",
      { kind: "storage", who: "requester", trouble: "cut-answer", ms: 2_000 },
      { kind: "storage", who: 3, trouble: "hang", ms: 2_000 },
    ),
  ],
  "a chain that loses blocks and transactions": [
    ...following("posted", { kind: "reorganise", depth: 8, fate: "lost" }, { kind: "forget-pending" }),
    ...following("claimed", { kind: "use-nonce", who: 0 }, { kind: "raise-fee", gwei: 50 }),
    ...following(
      "sealed",
      { kind: "reorganise", depth: 5, fate: "pending" },
      { kind: "lost-reply", who: "requester", times: 2 },
    ),
    ...following("checked", { kind: "reorganise", depth: 3, fate: "mined" }),
  ],
};

describe("a market under faults", function () {
  let world: SoakWorld | undefined;

  after(async () => world?.stop());

  async function expectNothingLost(schedule: Schedule): Promise<void> {
    world ??= await SoakWorld.start();
    const { problem } = await tryOut(world, schedule);
    if (problem === undefined) return;
    // After a failure nothing is as the next one expects it.
    await world.stop();
    world = undefined;
    throw new Error(problem);
  }

  for (const [index, [name, faults]] of Object.entries(DRILLS).entries()) {
    it(`loses nothing to ${name}`, async function () {
      world ??= await SoakWorld.start();
      if (faults.every(({ mishap }) => mishap.kind === "fill-disk") && !world.hasSmallDisks) {
        console.log("      SKIPPED: a disk that can be filled takes a tmpfs, which cannot be mounted here");
        return this.skip();
      }
      const job = { tasks: 4, price: PRICE_OF_ALL, mode: "sampled", checking: "fixed", maxShare: "34%" } as const;
      await expectNothingLost({ seed: 0, index, job, faults });
    });
  }

  for (let index = 0; index < SCHEDULES; index += 1) {
    it(`loses nothing to the random faults of schedule ${index}`, async () => {
      const schedule = scheduleOf(SEED, index);
      for (const fault of schedule.faults) console.log(`      ${describeFault(fault)}`);
      await expectNothingLost(schedule);
    });
  }
});
