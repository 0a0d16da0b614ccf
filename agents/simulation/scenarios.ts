import type { StrategyName } from "./strategies.ts";
import type { WorldOptions } from "./world.ts";

/** One row of the table: a market in which some nodes, or the requester, are not honest. */
export interface Scenario {
  name: string;
  /** Whose gain the row is about: nodes of a strategy, or the requester. */
  about: StrategyName | "requester";
  options: Partial<WorldOptions>;
}

const SHARE = 0.2;

/** The market of the table: 200 tasks in slices of ten, three per cent of them checked, and see {@link DEFAULTS}. */
const nodes = (name: StrategyName, options: Partial<WorldOptions> = {}): Scenario => ({
  name: `${SHARE * 100} % ${name}s`,
  about: name,
  options: { strategies: { [name]: SHARE }, ...options },
});

export const SCENARIOS: readonly Scenario[] = [
  { name: "all honest", about: "honest", options: {} },
  nodes("liar"),
  nodes("one-task liar"),
  nodes("dearest-task liar", { uneven: true }),
  nodes("lazy verifier"),
  nodes("silent verifier"),
  nodes("withholder"),
  nodes("stubborn withholder"),
  nodes("colluder"),
  nodes("wary colluder"),
  nodes("muddling colluder"),
  nodes("attacker"),
  { name: "accuser", about: "requester", options: { requester: "accuser" } },
  { name: "muddler", about: "requester", options: { requester: "muddler" } },
  { name: "contester of work", about: "requester", options: { requester: "contester" } },
  { name: "contester of delivery", about: "requester", options: { requester: "denier" } },
  { name: "silent requester", about: "requester", options: { requester: "silent" } },
  { name: "requester gone", about: "requester", options: { requester: "gone" } },
  {
    name: "a bit of everything",
    about: "honest",
    options: {
      planted: 0.02,
      asleep: 0.1,
      strategies: {
        liar: 0.03,
        "one-task liar": 0.03,
        "lazy verifier": 0.03,
        "silent verifier": 0.03,
        withholder: 0.03,
        colluder: 0.1,
      },
    },
  },
];

/** A parameter that is changed in steps, and whose gain that decides. */
export interface Curve {
  name: string;
  about: StrategyName | "requester";
  /** What it is at each step. */
  steps: readonly number[];
  /** The world of a step. */
  at: (step: number) => Partial<WorldOptions>;
}

/** Curves over the same parameter. */
export interface Sweep {
  title: string;
  parameter: string;
  curves: readonly Curve[];
}

/** Single tasks, where a lie is most tempting: least pay is at risk with it. */
const SINGLE: Partial<WorldOptions> = { tasks: 200, slices: 200 };
const SHARES = [0.1, 0.2, 0.3, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65];
const FACTORS = [0.25, 0.5, 0.75, 1, 1.5, 2, 3];
const SLEEPING = [0, 0.2, 0.4, 0.6, 0.8, 1];

export const SWEEPS = {
  coalition: {
    title: "What lying gains a member of a group",
    parameter: "share of the nodes that belong to the group",
    curves: [
      {
        name: "accomplices stand by a lie",
        about: "colluder",
        steps: SHARES,
        at: (share) => ({ ...SINGLE, strategies: { colluder: share } }),
      },
      {
        name: "accomplices drop a doubted lie",
        about: "wary colluder",
        steps: SHARES,
        at: (share) => ({ ...SINGLE, strategies: { "wary colluder": share } }),
      },
      {
        name: "nobody follows disputes",
        about: "colluder",
        steps: SHARES,
        at: (share) => ({ ...SINGLE, strategies: { colluder: share }, asleep: 1 }),
      },
    ],
  },
  deterrence: {
    title: "What lying gains, by what it is expected to cost",
    parameter: "slash factor: expected slash as a multiple of the price",
    curves: [
      {
        name: "lone liars",
        about: "liar",
        steps: FACTORS,
        at: (factor) => ({ ...SINGLE, strategies: { liar: 0.3 }, slashFactor: factor }),
      },
      {
        name: "a group of 30 %",
        about: "wary colluder",
        steps: FACTORS,
        at: (factor) => ({ ...SINGLE, strategies: { "wary colluder": 0.3 }, slashFactor: factor }),
      },
    ],
  },
  sleep: {
    title: "What false accusations gain a requester",
    parameter: "share of the nodes that do not follow disputes",
    curves: [
      {
        name: "accuses every checked slice of 10",
        about: "requester",
        steps: SLEEPING,
        at: (share) => ({ requester: "accuser", asleep: share }),
      },
      {
        name: "contests every slice of 10",
        about: "requester",
        steps: SLEEPING,
        at: (share) => ({ requester: "contester", asleep: share, tasks: 100, slices: 10 }),
      },
      {
        name: "contests every slice of 100",
        about: "requester",
        steps: SLEEPING,
        at: (share) => ({ requester: "contester", asleep: share, tasks: 500, slices: 5 }),
      },
    ],
  },
} as const satisfies Record<string, Sweep>;

export type SweepName = keyof typeof SWEEPS;
