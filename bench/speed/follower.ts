import { mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { getCreateAddress, toBeHex } from "ethers";
import { Follower } from "#sdk/follower.ts";
import { Journal } from "../../agents/journal/journal.ts";
import { Anvil, funded } from "../../test/support/anvil.ts";
import type { MeasureOptions, Size } from "../section.ts";

/** How fast a chain's past is read into a journal, and how late the newest block is acted on. */
export interface FollowerRuns {
  blocks: number;
  events: number;
  /** Seconds of reading everything into a new journal, its file synced at every step. */
  read: number[];
  /** Seconds of asking the same node for the same logs in one piece, and of parsing the answer. */
  plain: number[];
  /** Bytes of the journal's files, for each event. */
  journalBytes: number;
  /** Milliseconds between two looks at the head. */
  pollMs: number;
  /** Milliseconds from a block's being mined to its being acted on, of every block. */
  lag: number[];
}

/** Older blocks than the newest 256 are read in ranges: both ways count. */
const SHAPE: Record<Size, { blocks: number; each: number; live: number }> = {
  quick: { blocks: 100, each: 20, live: 5 },
  whole: { blocks: 1000, each: 50, live: 20 },
};
const FINAL_DEPTH = 12;
const POLL_MS = 500;

/** Logs its first word, and every number from there down to one. */
const runtime = "5f355b8060205fa160019003806002" + "5700";
const creation = `0x70${runtime}5f526011600ff3`;

export async function runFollower({ size, repetitions, signal, say }: MeasureOptions): Promise<FollowerRuns> {
  const { blocks, each, live } = SHAPE[size];
  const chain = await Anvil.start();
  try {
    const contract = await deploy(chain);
    say(`${repetitions} × reading ${blocks * each} events in ${blocks} blocks`);
    for (let block = 0; block < blocks; block += 1) await emit(chain, contract, each);
    const runs: FollowerRuns = {
      ...{ blocks, events: blocks * each, read: [], plain: [], journalBytes: 0 },
      ...{ pollMs: POLL_MS, lag: [] },
    };
    for (let place = 0; place < repetitions; place += 1) {
      const began = performance.now();
      const filter = { fromBlock: "0x0", toBlock: "latest", address: contract };
      const logs = (await chain.send("eth_getLogs", filter)) as unknown[];
      runs.plain.push((performance.now() - began) / 1000);
      if (logs.length !== runs.events) throw new Error(`the chain has ${logs.length} logs`);
      const more = place === repetitions - 1 ? live : 0;
      const { seconds, bytes, lag } = await follow(chain, contract, { events: runs.events, more, signal });
      runs.read.push(seconds);
      runs.journalBytes = bytes / runs.events;
      runs.lag.push(...lag);
    }
    return runs;
  } finally {
    await chain.stop();
  }
}

async function deploy(chain: Anvil): Promise<string> {
  const nonce = Number(await chain.send("eth_getTransactionCount", funded.address, "latest"));
  await chain.send("eth_sendTransaction", { from: funded.address, data: creation, gas: "0x30d40" });
  await chain.mine();
  return getCreateAddress({ from: funded.address, nonce });
}

async function emit(chain: Anvil, to: string, count: number): Promise<void> {
  await chain.send("eth_sendTransaction", { from: funded.address, to, data: toBeHex(count, 32), gas: "0x7a120" });
  await chain.mine();
}

/** Reads everything anew; then waits for so many blocks more. */
async function follow(
  chain: Anvil,
  contract: string,
  { events, more, signal }: { events: number; more: number; signal: AbortSignal },
): Promise<{ seconds: number; bytes: number; lag: number[] }> {
  const home = await mkdtemp(join(tmpdir(), "surety-bench-"));
  const journal = Journal.open({ home });
  const ended = new AbortController();
  try {
    const follower = new Follower(
      { chainId: 31337, addresses: [contract], startBlock: 0, finalDepth: FINAL_DEPTH, pollMs: POLL_MS },
      { rpc: chain.rpc, store: journal.events },
    );
    let seen = 0;
    const heads = new Map<number, number>();
    let head = -1;
    const began = performance.now();
    const following = follower.run({
      signal: AbortSignal.any([signal, ended.signal]),
      onEvents: (all) => void (seen += all.length),
      onHead: ({ number }) => {
        // A look finds all blocks since the last one.
        for (head += 1; head < number; head += 1) heads.set(head, performance.now());
        heads.set(number, performance.now());
      },
    });
    while (heads.size === 0) await Promise.race([delay(1, undefined, { signal }), following]);
    const seconds = (performance.now() - began) / 1000;
    if (seen !== events) throw new Error(`the follower saw ${seen} of ${events} events`);
    const bytes = (await stat(join(home, "journal.sqlite"))).size + (await stat(join(home, "journal.sqlite-wal"))).size;
    const lag = await lagOf(more, chain, contract, { heads, signal });
    ended.abort();
    await following;
    return { seconds, bytes, lag };
  } finally {
    ended.abort();
    journal.close();
    await rm(home, { recursive: true, force: true });
  }
}

/** Milliseconds from each of so many new blocks to its being seen. */
async function lagOf(
  blocks: number,
  chain: Anvil,
  contract: string,
  { heads, signal }: { heads: ReadonlyMap<number, number>; signal: AbortSignal },
): Promise<number[]> {
  const lag: number[] = [];
  for (let block = 0; block < blocks; block += 1) {
    await emit(chain, contract, 20);
    const mined = performance.now();
    const number = await chain.height();
    while (!heads.has(number)) await delay(1, undefined, { signal });
    lag.push(Math.max(0, heads.get(number)! - mined));
    // Out of step with the looks.
    await delay((block * 97) % POLL_MS, undefined, { signal });
  }
  return lag;
}
