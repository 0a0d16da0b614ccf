import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as delay } from "node:timers/promises";
import { inspect } from "node:util";
import { expect } from "chai";
import type { BatchRecord } from "#sdk/market-state.ts";
import type { Intent } from "../../agents/journal/intent-table.ts";
import { decode } from "../../agents/journal/record.ts";
import type { ActingAgent } from "../support/acting-agent.ts";
import { Books } from "../support/books.ts";
import { expectOutputs } from "../support/outputs.ts";
import { describeFault, FINAL_DEPTH, stages, type Fault, type Schedule, type Stage } from "./schedule.ts";
import { ENDS, type SoakWorld } from "./world.ts";

/** Blocks in which an agent that was started again would have done what it finds to do. */
const QUIET_BLOCKS = FINAL_DEPTH + 4;

/** What came of a schedule. */
export interface Report {
  index: number;
  seconds: number;
  /** Those that happened before the batch was over. */
  faults: number;
  batches: number;
  /** When the newest batch was seen to be how far, seconds after the beginning. */
  reached: Partial<Record<Stage | "settled", number>>;
  /** What was lost; undefined if nothing was. */
  problem?: string;
}

/** Runs a batch through a schedule and looks whether anything was lost. */
export async function tryOut(world: SoakWorld, schedule: Schedule): Promise<Report> {
  const started = performance.now();
  const trial = new Trial(world, schedule);
  let problem: string | undefined;
  try {
    await trial.run();
    await trial.check();
  } catch (error) {
    problem = inspect(error);
  }
  const seconds = Math.round((performance.now() - started) / 1000);
  const { happened: faults, reached } = trial;
  return { index: schedule.index, seconds, faults, batches: trial.batches.length, reached, problem };
}

class Trial {
  readonly #world: SoakWorld;
  readonly #schedule: Schedule;
  readonly #waiting: Set<Fault>;
  readonly #going = new Set<Promise<void>>();
  readonly #failures: unknown[] = [];
  #before: ReadonlySet<string> = new Set();
  #books: Books | undefined;
  #ticket = "";
  happened = 0;
  readonly reached: Report["reached"] = {};
  readonly #began = performance.now();

  constructor(world: SoakWorld, schedule: Schedule) {
    this.#world = world;
    this.#schedule = schedule;
    const { faults } = schedule;
    this.#waiting = new Set(faults.filter(({ mishap }) => mishap.kind !== "fill-disk" || world.hasSmallDisks));
  }

  /** Batches of this schedule, oldest first. */
  get batches(): BatchRecord[] {
    return this.#world.requester.batches.filter(({ id }) => !this.#before.has(id));
  }

  async run(): Promise<void> {
    const { market, requester } = this.#world;
    const { job, liar } = this.#schedule;
    this.#books = await Books.open(market);
    this.#before = new Set(requester.batches.map(({ id }) => id));
    for (const place of market.nodes.keys()) await this.#world.act(place, place === liar ? "lying" : "honest");
    this.#ticket = await requester.submit(job);
    const open = await market.until("the end of the job", async () => {
      if (this.#failures.length > 0) throw this.#failures[0];
      this.#beginDue();
      // Whoever lied has been found out: what is posted again is done well.
      if (liar !== undefined && this.batches.length > 1) await this.#world.act(liar, "honest");
      if (this.#isLeftToTime()) await market.pass(market.windows.challenge + 1);
      const status = await requester.status(this.#ticket);
      return status && ["settled", "failed"].includes(status.state) ? status : undefined;
    });
    this.#note("settled");
    await Promise.all(this.#going);
    await this.#world.heal();
    expect(open.state, JSON.stringify(open.error)).to.equal("settled");
  }

  async check(): Promise<void> {
    const { market, requester } = this.#world;
    const { job, liar } = this.#schedule;
    await expectOutputs(requester, this.#ticket, job.tasks);
    const liars = liar === undefined ? [] : [market.nodes[liar]!.address];
    await this.#books?.close((record) => ({ dishonest: record === this.batches[0] ? liars : [] }));
    for (const { assignments } of this.batches) {
      for (const { absent, abandoned } of assignments) expect([...absent, ...abandoned], "fines").to.deep.equal([]);
    }
    if (liars.length === 0) expect(this.batches.length, "batches").to.equal(1);
    await market.until("the end of every transaction", () =>
      this.#world.agents.every((one) => openOf(one).length === 0),
    );
    for (const agent of this.#world.agents) await this.#checkBooksOf(agent);
    await this.#startAgain();
  }

  /** Every transaction of an account is in its agent's journal, once, and in a final block. */
  async #checkBooksOf(agent: ActingAgent): Promise<void> {
    const { market, chain, stolen } = this.#world;
    const sent = await market.market.transactionsOf(agent.address);
    const mined = intentsOf(agent).flatMap(({ inclusion, reverted = [] }) => [inclusion ?? [], reverted].flat());
    // A reorganisation may have lost those for good.
    const elsewhere = await chain.countMined(stolen.get(agent.address) ?? []);
    expect(mined.length + elsewhere, `transactions of ${agent.name}`).to.equal(sent);
  }

  /** A second start finds nothing to do. */
  async #startAgain(): Promise<void> {
    const { market, agents } = this.#world;
    const agent = agents[this.#schedule.index % agents.length] as ActingAgent;
    const before = await market.market.transactionsOf(agent.address);
    await agent.stop(ENDS);
    await agent.start();
    await market.mine(QUIET_BLOCKS);
    expect(await market.market.transactionsOf(agent.address), "transactions after a second start").to.equal(before);
    expect(openOf(agent), "calls after a second start").to.deep.equal([]);
  }

  #beginDue(): void {
    const reached = stages.slice(0, this.#stage() + 1);
    this.#note(reached.at(-1)!);
    for (const fault of this.#waiting) {
      if (!reached.includes(fault.after)) continue;
      this.#waiting.delete(fault);
      this.happened += 1;
      const going = delay(fault.delayMs)
        .then(() => this.#world.inject(fault.mishap))
        .catch((cause: unknown) => void this.#failures.push(new Error(describeFault(fault), { cause })))
        .finally(() => this.#going.delete(going));
      this.#going.add(going);
    }
  }

  #note(stage: Stage | "settled"): void {
    this.reached[stage] ??= Math.round((performance.now() - this.#began) / 100) / 10;
  }

  /** How far the newest batch is. */
  #stage(): number {
    const record = this.batches.at(-1);
    const { assignments = [] } = record ?? {};
    const signs = [
      true,
      record,
      assignments.length > 0,
      assignments.some(({ submission }) => submission),
      record?.seal,
      record?.reveal,
      assignments.some(({ answers }) => answers.length > 0),
      record?.judged,
      record?.closed,
    ];
    return signs.findLastIndex(Boolean);
  }

  /** Whether nobody has anything more to do but to wait for the end of a window. */
  #isLeftToTime(): boolean {
    const record = this.batches.find(({ closed }) => !closed);
    if (!record?.reveal || this.#going.size > 0) return false;
    const { assignments } = record;
    return (
      assignments.some(({ status }) => status === "contended") &&
      assignments.every(
        ({ status, dispute }) =>
          status === "settled" || (status === "contended" && (dispute?.stage ?? "ruled") === "ruled"),
      )
    );
  }
}

/** What an agent's journal says it wanted of the chain. */
function intentsOf({ home }: ActingAgent): Intent[] {
  const database = new DatabaseSync(join(home, "journal.sqlite"), { readOnly: true });
  try {
    expect(database.prepare("PRAGMA quick_check").get(), "the journal's file").to.deep.include({ quick_check: "ok" });
    return database
      .prepare("SELECT json FROM intents ORDER BY id")
      .all()
      .map(({ json }) => decode(String(json)) as Intent);
  } finally {
    database.close();
  }
}

function openOf(agent: ActingAgent): string[] {
  return intentsOf(agent)
    .filter(({ status }) => status !== "final" && status !== "failed")
    .map(({ key, status }) => `${agent.name}: ${key} ${status}`);
}
