import type { Followed } from "./growth/follow.ts";
import type { PoolPoint, SizePoint } from "./growth/gas.ts";
import type { Section } from "./section.ts";
import { spreadOf } from "./spread.ts";
import { number, spread, tableOf } from "./table.ts";

/** What becomes dearer as markets grow, and what does not. */
export interface GrowthFigures {
  tasks: SizePoint[];
  pool: PoolPoint[];
  /** Came later: older results lack it. */
  agents?: Followed[];
}

/** Tasks of each batch that agents follow. */
const BATCH_TASKS = 1_000;

export const growth: Section<GrowthFigures> = {
  title: "Growth",

  async measure(options) {
    // Brings Hardhat along, which rendering does without.
    const { growPool, growTasks } = await import("./growth/gas.ts");
    const { growAgents } = await import("./growth/agents.ts");
    return { tasks: await growTasks(options), pool: await growPool(options), agents: await growAgents(options) };
  },

  render({ tasks, pool, agents }) {
    const sizes = tasks.map(({ tasks: count, assignments, runs }) => [
      `${number(count)} tasks, ${assignments} assignments`,
      spread(spreadOf(runs.map(({ gas }) => gas))),
      spread(spreadOf(runs.map(({ gas }) => gas / count))),
      spread(spreadOf(runs.map(({ calldata }) => calldata))),
    ]);
    const pools = pool.map(({ places, nodes, answers }) => [
      `${number(places)} places of ${number(nodes)} nodes`,
      spread(spreadOf(answers)),
    ]);
    return {
      text: [
        "### Gas",
        "",
        "Nothing per task is on chain, so that a batch costs what its assignments do; 3 %, adaptive:",
        "",
        ...tableOf(["batch", "gas", "gas a task", "calldata, bytes"], sizes),
        "",
        "A verifier proves that it was drawn from the whole pool; a draw looks at places in a keyed order and walks on",
        "from those that may not sit. Gas of an answer:",
        "",
        ...tableOf(["pool", "gas of an answer"], pools),
        "",
        ...(agents ? agentsText(agents) : []),
      ],
      plots: {},
      targets: [],
    };
  },
};

function agentsText(agents: readonly Followed[]): string[] {
  const rows = agents.map(({ nodes, batches, events, heap, memory, journal, fold, restart, decide }) => [
    `${number(nodes)} nodes, ${number(batches * BATCH_TASKS)} tasks in ${number(batches)} ${batches === 1 ? "batch" : "batches"}`,
    number(events),
    number(heap),
    number(memory),
    number(journal),
    number((1e6 * fold) / events),
    number(restart),
    number(decide),
  ]);
  return [
    "### Agents",
    "",
    "What a market's past takes an agent: the logs of a real batch of a thousand tasks in ten slices, repeated under other",
    "ids, folded and kept in a journal, with ten more batches open. *Decide* is what a node has to do at every new block.",
    "",
    ...tableOf(
      [
        "market",
        "events",
        "heap, MiB",
        "process, MiB",
        "journal, MiB",
        "folding an event, µs",
        "starting again, s",
        "decide, ms",
      ],
      rows,
    ),
    "",
  ];
}
