import { deployUsed, rareTerms } from "../gas/ground.ts";
import { finishLife } from "../gas/lives.ts";
import { ethers, networkHelpers, pass, postBatch } from "../../test/contracts/market-fixture.ts";

/** A log without its place in the chain. */
export interface BareLog {
  address: string;
  topics: string[];
  data: string;
}

/** What happened on a real chain: what came before, and one batch from post to the last payment, a list for each block. */
export interface History {
  market: string;
  registry: string;
  vault: string;
  /** Id of the class. */
  class: string;
  before: BareLog[];
  /** Of the batch: what a copy of it replaces by an id of its own. */
  batchId: string;
  tasks: number;
  /** Seconds from the first of them to each. */
  blocks: { after: number; logs: BareLog[] }[];
}

const TASKS = 1_000;
const ASSIGNMENTS = 10;

/** Plays a batch of a thousand tasks in ten slices, 3 % of them checked, and takes its logs. */
export async function playBatch(seed: number): Promise<History> {
  const d = await networkHelpers.loadFixture(deployUsed);
  await networkHelpers.setPrevRandao(seed);
  const terms = rareTerms(d, { price: 10n, verifierPrice: 12n });
  // Opens the job.
  const first = await postBatch(d, { terms, count: 1 });
  await pass(first.claimDeadline);
  await first.seal();
  const begun = await ethers.provider.getBlockNumber();
  const life = await postBatch(d, { terms, count: TASKS });
  const nodes = d.nodes.slice(0, ASSIGNMENTS);
  await life.compute(...nodes.map((node): [typeof node, number] => [node, TASKS / ASSIGNMENTS]));
  await finishLife(d, life, { terms, count: TASKS, assignments: ASSIGNMENTS, draws: "any" });
  const logs = await ethers.provider.getLogs({ fromBlock: 0, toBlock: "latest" });
  const bare = ({ address, topics, data }: (typeof logs)[number]): BareLog => ({ address, topics: [...topics], data });
  const numbers = [...new Set(logs.map(({ blockNumber }) => blockNumber))].filter((number) => number > begun);
  const started = (await ethers.provider.getBlock(numbers[0]!))!.timestamp;
  const blocks: History["blocks"] = [];
  for (const number of numbers) {
    const { timestamp } = (await ethers.provider.getBlock(number))!;
    const own = logs.filter(({ blockNumber }) => blockNumber === number);
    blocks.push({ after: timestamp - started, logs: own.map(bare) });
  }
  return {
    market: d.marketAddress,
    registry: await d.registry.getAddress(),
    vault: await d.vault.getAddress(),
    class: d.wasmClass,
    before: logs.filter(({ blockNumber }) => blockNumber <= begun).map(bare),
    batchId: life.id,
    tasks: TASKS,
    blocks,
  };
}
