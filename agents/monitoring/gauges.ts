import { lstat, opendir, stat, statfs } from "node:fs/promises";
import { join } from "node:path";
import { formatUnits } from "ethers";
import type { AssignmentRecord, BatchRecord } from "#sdk/market-state.ts";
import { phaseOf } from "#sdk/market-state.ts";
import * as reads from "#sdk/reads.ts";
import { requestPhaseOf, type RequestRecord } from "#sdk/request-state.ts";
import type { ChainAgent, ChainFold } from "../chain-agent.ts";
import type { MarketAgent } from "../market-agent.ts";
import type { RequestAgent } from "../participant/request-agent.ts";
import type { AgentMetrics } from "./metrics.ts";

/** Reading accounts off the chain takes no longer, milliseconds; what is not there by then is left out. */
const READ_MS = 3_000;
/** How long the size of the storage stands, milliseconds: it takes a walk through all its files. */
const SIZE_KEPT_MS = 300_000;

/** What there is to measure. */
export interface Measured {
  metrics: AgentMetrics;
  agent: ChainAgent<ChainFold>;
  /** The agent's folder. */
  home: string;
  isDraining(): boolean;
}

/** An agent of the market, to be measured. */
interface MeasuredMarket extends Pick<Measured, "metrics"> {
  agent: MarketAgent;
}

/** Adds what every agent tells: its money, its files, its endpoints, and how it ends. */
export function addAgentGauges({ metrics, agent, home, isDraining }: Measured): void {
  const { deployment, rpc, address } = agent;
  const { vault, token } = deployment;
  const tokens = (units: bigint): number => Number(formatUnits(units, token.decimals));

  metrics.ask("draining", "1 once it was asked to end.", () => (isDraining() ? 1 : 0));
  metrics.ask("gas_balance_wei", "What the account has for gas, wei.", async () =>
    Number(await rpc.request("eth_getBalance", [address, "latest"], { signal: AbortSignal.timeout(READ_MS) })),
  );
  metrics.ask("gas_money_low", "1 while the account has too little for gas to begin anything new.", () =>
    agent.gasMoney.isLow ? 1 : 0,
  );
  metrics.askEach(
    "balance_tokens",
    {
      help: "Tokens of the account: in its wallet; in the market, earned or not locked yet; in the registry, not staked; in requests, as in the market.",
      label: "place",
    },
    async () => {
      const signal = AbortSignal.timeout(READ_MS);
      const inLedgers = [...agent.ledgers].map(
        async ([name, ledger]) => [name, await reads.available(rpc, vault, ledger, address, { signal })] as const,
      );
      const inWallet = await reads.balanceOf(rpc, token.address, address, { signal });
      const places = [["wallet", inWallet] as const, ...(await Promise.all(inLedgers))];
      return new Map(places.map(([place, units]) => [place, tokens(units)]));
    },
  );
  metrics.askEach(
    "money_tokens",
    {
      help: "What became of the account's tokens since the market's first block: earned, spent, burned, slashed, fined; and what is locked now.",
      label: "what",
    },
    () => new Map(Object.entries(agent.totals).map(([what, units]) => [what, tokens(units as bigint)])),
  );
  metrics.askEach(
    "rpc_endpoint_good",
    { help: "1 for endpoints of the chain that are asked, 0 for those put aside.", label: "endpoint" },
    () => new Map(rpc.endpoints.map(({ name, standing }) => [name, standing === "good" ? 1 : 0])),
  );
  metrics.ask("journal_bytes", "Size of the journal.", () => journalBytes(home));
  const storage = keptFor(SIZE_KEPT_MS, () => folderBytes(join(home, "storage")));
  metrics.ask("storage_bytes", "Size of the storage in the home; measured every five minutes.", storage);
  metrics.ask("disk_free_bytes", "Free for the agent on the disk of its home.", async () => {
    const { bavail, bsize } = await statfs(home);
    return bavail * bsize;
  });
}

/** Adds what a compute node tells beside that: its stake, and how its work stands. */
export function addComputeGauges({ metrics, agent }: MeasuredMarket): void {
  const { deployment, rpc, address } = agent;
  const { registry, market, token } = deployment;
  metrics.askEach(
    "stake_tokens",
    {
      help: "The node's stake: total; committed to open work; backing places in the pool; free; and unbonding, which is no part of the total.",
      label: "part",
    },
    async () => {
      const signal = AbortSignal.timeout(READ_MS);
      const [{ stake, committed, backing }, unbonding] = await Promise.all([
        reads.nodeState(rpc, registry, market, address, { signal }),
        reads.unbondingOf(rpc, registry, market, address, { signal }),
      ]);
      const free = stake - committed - backing;
      const parts = { total: stake, committed, backing, free: free > 0n ? free : 0n, unbonding: unbonding.amount };
      return new Map(Object.entries(parts).map(([part, units]) => [part, Number(formatUnits(units, token.decimals))]));
    },
  );
  const mine = (): AssignmentRecord[] =>
    [...agent.state.batches.values()].flatMap(({ assignments }) => assignments.filter(({ node }) => node === address));
  metrics.askEach(
    "assignments",
    { help: "Slices the node claimed since the market's first block, by how they stand.", label: "status" },
    () => countBy(mine(), ({ status }) => status),
  );
  metrics.ask("tasks_claimed", "Tasks in slices that are claimed and not submitted.", () =>
    mine()
      .filter(({ status }) => status === "claimed")
      .reduce((sum, { count }) => sum + count, 0),
  );
  addDisputes(metrics, () =>
    [...agent.state.batches.values()].flatMap(({ assignments }) =>
      assignments.filter((assignment) => hasPart(assignment, address)),
    ),
  );
}

/** Adds what a requester tells beside that: how its batches stand. */
export function addRequesterGauges({ metrics, agent }: MeasuredMarket): void {
  const { address } = agent;
  const mine = (): BatchRecord[] =>
    [...agent.state.batches.values()].filter(({ terms }) => terms.requester === address);
  metrics.askEach(
    "batches",
    { help: "Batches the account posted since the market's first block, by how they stand.", label: "phase" },
    () => countBy(mine(), (record) => phaseOf(record, Date.now() / 1000)),
  );
  addDisputes(metrics, () => mine().flatMap(({ assignments }) => assignments));
}

/** Adds what a participant in evaluated jobs tells beside that: how the requests stand that it has a part in. */
export function addParticipantGauges({
  metrics,
  agent,
}: {
  metrics: AgentMetrics;
  agent: Pick<RequestAgent, "address" | "state">;
}): void {
  const isMine = ({ workers, evaluator, request }: RequestRecord): boolean =>
    workers.has(agent.address) ||
    request.requester === agent.address ||
    evaluator?.node === agent.address ||
    evaluator?.path.includes(agent.address) === true;
  metrics.askEach(
    "requests",
    { help: "Requests for evaluated jobs that the account has a part in, by how they stand.", label: "phase" },
    () =>
      countBy([...agent.state.requests.values()].filter(isMine), (record) => requestPhaseOf(record, Date.now() / 1000)),
  );
}

function addDisputes(metrics: AgentMetrics, assignments: () => AssignmentRecord[]): void {
  metrics.askEach(
    "disputes",
    { help: "Disputes it has a part in, by the step that is due; over ones are settled.", label: "stage" },
    () =>
      countBy(
        assignments().filter(({ dispute }) => dispute !== undefined),
        ({ status, dispute }) => (status === "settled" ? "settled" : dispute!.stage),
      ),
  );
}

/** Whether a node ran, verified or judged a slice. */
function hasPart({ node, answers, dispute }: AssignmentRecord, account: string): boolean {
  const judged = dispute?.juries.some(({ jurors }) => jurors.some((juror) => juror.node === account));
  return node === account || answers.some((answer) => answer.node === account) || judged === true;
}

function countBy<T>(all: readonly T[], nameOf: (one: T) => string): Map<string, number> {
  const counts = new Map<string, number>();
  for (const one of all) counts.set(nameOf(one), (counts.get(nameOf(one)) ?? 0) + 1);
  return counts;
}

async function journalBytes(home: string): Promise<number> {
  const sizes = ["", "-wal", "-shm"].map((end) =>
    stat(join(home, `journal.sqlite${end}`)).then(
      ({ size }) => size,
      () => 0,
    ),
  );
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
}

/** Of all files under a folder; 0 if there is none. */
async function folderBytes(folder: string): Promise<number> {
  let sum = 0;
  try {
    for await (const entry of await opendir(folder, { recursive: true })) {
      if (!entry.isFile()) continue;
      // What is collected meanwhile does not count.
      sum += await lstat(join(entry.parentPath, entry.name)).then(
        ({ size }) => size,
        () => 0,
      );
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
  return sum;
}

function keptFor<T>(milliseconds: number, find: () => Promise<T>): () => Promise<T> {
  let last: { at: number; found: Promise<T> } | undefined;
  return () => {
    const at = performance.now();
    if (!last || at - last.at >= milliseconds) last = { at, found: find() };
    return last.found;
  };
}
