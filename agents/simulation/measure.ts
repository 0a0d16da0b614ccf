import { BatchPlay } from "./batch.ts";
import type { StrategyName } from "./strategies.ts";
import { inC, profitOf, World, type Node, type WorldOptions } from "./world.ts";

/** What a world came to. Money in units of C, the cost of computing the dearest task. */
export interface Measured {
  batches: number;
  tasks: number;
  /** Assignments whose primary lied; of them checked on a lie, slashed, and merely unpaid. */
  lies: { made: number; checked: number; slashed: number; unpaid: number };
  /** False answers from seats of panels, and how many were slashed. */
  falseAnswers: { made: number; slashed: number };
  /** How often somebody told the truth on a panel or jury, and was slashed for it. */
  truths: { told: number; slashed: number };
  /** Honest, delivering primaries that were not paid. */
  falseForfeits: number;
  exceptions: { listed: number; false: number; paidFor: number };
  disputes: number;
  juries: number[];
  /** Tasks that were run again, for each task posted: by verifiers, by jurors, by the requester. */
  extraWork: { verifying: number; judging: number; planted: number };
  /** What a task cost the requester beyond its pay, as a share of the pay. */
  extraMoney: number;
  /** What the requester gained for each task compared with an honest one among honest nodes. */
  requesterGain: number;
  burned: number;
  /** By strategy. */
  nodes: Partial<Record<StrategyName, NodesMeasured>>;
}

/** The nodes of one strategy together. */
export interface NodesMeasured {
  count: number;
  /** Tasks they claimed, and tasks they were drawn to run again. */
  claimed: number;
  checked: number;
  /** For each task they claimed: what they gained, and what honest work would have. */
  profit: number;
  honest: number;
}

/** Plays batches of a world. */
export function measure(options: Partial<WorldOptions>, batches: number): Measured {
  const world = new World(options);
  for (let i = 0; i < batches; i += 1) new BatchPlay(world).play();
  return summary(world);
}

function summary(world: World): Measured {
  const { counts, options, requester, requesterGas } = world;
  const { tasks } = counts;
  const { pay, rate, adaptive, quorum, planted } = options;
  const spent = (-inC(requester) + requesterGas) / tasks;
  const honest = pay * (1 + (rate / 1e6) * (adaptive ? 1 : quorum - 1));
  const byStrategy = Map.groupBy(world.nodes, ({ strategy }) => strategy.name as StrategyName);
  return {
    batches: counts.batches,
    tasks,
    lies: {
      made: counts.lies,
      checked: counts.liesChecked,
      slashed: counts.liesSlashed,
      unpaid: counts.liesUnpaid,
    },
    falseAnswers: { made: counts.falseAnswers, slashed: counts.falseAnswersSlashed },
    truths: { told: counts.truths, slashed: counts.falseSlashes },
    falseForfeits: counts.falseForfeits,
    exceptions: { listed: counts.exceptions, false: counts.falseExceptions, paidFor: counts.lied },
    disputes: counts.disputes,
    juries: counts.juries,
    extraWork: {
      verifying: counts.verifying / tasks,
      judging: counts.judging / tasks,
      planted: counts.planted / tasks,
    },
    // A planted task costs the requester what it costs a node.
    extraMoney: (spent + planted) / pay - 1,
    requesterGain: honest - spent,
    burned: inC(world.burned),
    nodes: Object.fromEntries([...byStrategy].map(([name, nodes]) => [name, ofNodes(world, nodes)])),
  };
}

function ofNodes(world: World, nodes: readonly Node[]): NodesMeasured {
  const { pay, uneven } = world.options;
  const sum = (value: (node: Node) => number): number => nodes.reduce((total, node) => total + value(node), 0);
  const claimed = sum((node) => node.claimed);
  const checked = sum((node) => node.checked);
  const cost = uneven ? 0.325 : 1;
  return {
    count: nodes.length,
    claimed,
    checked,
    profit: sum(profitOf) / claimed,
    honest: ((claimed + checked) * (pay - cost)) / claimed,
  };
}
