import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { keccak256, toBeHex } from "ethers";
import { addressOf } from "../../test/support/market-history.ts";
import type { EventCursor, RawEvent } from "#sdk/event-store.ts";
import { registryInterface } from "#sdk/market-abi.ts";
import { computeDuties } from "../../agents/compute/duties.ts";
import type { ComputeFacts } from "../../agents/compute/facts.ts";
import { Journal } from "../../agents/journal/journal.ts";
import { createLogger } from "../../agents/logger.ts";
import { MarketFold } from "../../agents/market-fold.ts";
import type { BareLog, History } from "./history.ts";

/*
 * What an agent keeps of a market's past, in a process of its own: a history as of a real chain, so many batches under ids
 * of their own, so many nodes. Run as `follow.ts <home> <history> <nodes> <batches>`; prints a JSON object.
 */

/** What following a market so large takes an agent. */
export interface Followed {
  nodes: number;
  batches: number;
  events: number;
  /** Of JavaScript's objects, after a collection, MiB: of the folded market alone. */
  heap: number;
  /** Of the whole process, MiB. */
  memory: number;
  /** Of the journal's file, MiB. */
  journal: number;
  /** Seconds of folding all events. */
  fold: number;
  /** Seconds of reading them all from the journal and folding them, as an agent does that starts again. */
  restart: number;
  /** Milliseconds of deciding what is to be done about a new block; ten batches are open. */
  decide: number;
}

/** Places that the history has filled. */
const POOL = 16;
const OPEN = 10;
const PAGE = 1_000;
const PATIENCE = 4;
const DECISIONS = 100;

const [home, historyFile, nodesText, batchesText] = process.argv.slice(2) as [string, string, string, string];
const nodes = Number(nodesText);
const batches = Number(batchesText);
const history = JSON.parse(readFileSync(historyFile, "utf8")) as History;
const { market, registry, vault } = history;
const account = addressOf("follower");
const logger = createLogger({ agent: "compute", level: "warn" });
const collect = globalThis.gc as () => void;

const journal = Journal.open({ home });
journal.events.begin({
  chainId: 31337,
  genesisHash: keccak256("0x"),
  addresses: [market, registry, vault],
  startBlock: 0,
});
collect();
const emptyHeap = process.memoryUsage().heapUsed;
const fold = new MarketFold({ market, registry, account }, { logger });
let number = 0;
let time = 1_800_000_000;
let events = 0;
let foldSeconds = 0;

append(0, history.before);
for (let first = 0; first < nodes; first += PAGE) {
  const count = Math.min(PAGE, nodes - first);
  append(
    12,
    Array.from({ length: count }, (_, index) => joined(POOL + first + index)),
  );
}
for (let batch = 0; batch < batches + OPEN; batch += 1) {
  const id = keccak256(toBeHex(batch + 1, 32));
  const blocks = batch < batches ? history.blocks : history.blocks.slice(0, 1);
  let before = 0;
  for (const { after, logs } of blocks) {
    append(
      after - before + 1,
      logs.map((log) => renamed(log, id)),
    );
    before = after;
  }
}
collect();
const heap = (process.memoryUsage().heapUsed - emptyHeap) / 2 ** 20;
const memory = process.memoryUsage.rss() / 2 ** 20;

const decideBegan = performance.now();
let duties = 0;
for (let decision = 0; decision < DECISIONS; decision += 1) duties += computeDuties(fold.state, facts()).length;
const decide = (performance.now() - decideBegan) / DECISIONS;
if (duties === 0 || fold.state.open.length !== OPEN) throw new Error(`${fold.state.open.length} batches are open`);

const restartBegan = performance.now();
const again = new MarketFold({ market, registry, account }, { logger });
let after: EventCursor | undefined;
for (;;) {
  const page = journal.events.events({ after, limit: PAGE });
  again.add(page);
  const last = page.at(-1);
  if (!last) break;
  after = { blockNumber: last.blockNumber, logIndex: last.logIndex };
}
const restart = (performance.now() - restartBegan) / 1000;
if (again.state.batches.size !== fold.state.batches.size) throw new Error("the journal has another past");
journal.close();
const size = statSync(join(home, "journal.sqlite")).size / 2 ** 20;
const followed: Followed = { nodes, batches, events, heap, memory, journal: size, fold: foldSeconds, restart, decide };
console.log(JSON.stringify(followed));

function append(seconds: number, logs: readonly BareLog[]): void {
  number += 1;
  time += seconds;
  const hash = keccak256(toBeHex(number, 32));
  const raw = logs.map((log, logIndex): RawEvent => ({
    ...{ blockNumber: number, blockHash: hash, transactionHash: hash, logIndex, timestamp: time },
    ...log,
  }));
  const parentHash = keccak256(toBeHex(number - 1, 32));
  journal.events.append({ number, hash, parentHash, timestamp: time }, raw, number);
  const began = performance.now();
  fold.add(raw);
  foldSeconds += (performance.now() - began) / 1000;
  events += raw.length;
}

function renamed({ address, topics, data }: BareLog, id: string): BareLog {
  const own = history.batchId.slice(2);
  const replaced = (text: string): string => text.replaceAll(own, id.slice(2));
  return { address, topics: topics.map(replaced), data: replaced(data) };
}

function joined(slot: number): BareLog {
  const values = [history.class, addressOf(`node ${slot}`), slot, time];
  const { topics, data } = registryInterface.encodeEventLog("Joined", values);
  return { address: registry, topics, data };
}

function facts(): ComputeFacts {
  const state = fold.state.batches.values().next().value!;
  return {
    ...{ me: account, now: time, block: number, finalBlock: number, hashes: new Map() },
    ...{ free: 1, freeStake: 10n ** 30n, uncommitted: 10n ** 30n, agrees: () => undefined },
    parameters: {
      ...{ minWindow: 1, maxWindow: 10 ** 9, finalDepth: 12, drawDelay: 60 },
      ...{ bondFixed: 500n, bondShare: 100_000, challengeBond: 7n },
    },
    policy: { class: state.terms.class, minPrice: 0n, patience: PATIENCE },
  };
}
