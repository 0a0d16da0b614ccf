/** What a task's result is: results are equal if these are. */
export type Result = string;

/** What an honest node gets. */
export const TRUE: Result = "true";
/** What a group of colluders agreed to say. */
export const GROUP: Result = "group";

/** What a node does of its own accord; see {@link STRATEGIES}. */
export interface Strategy {
  name: string;
  /** For the table. */
  about: string;
  /** Which tasks of a slice it claimed it invents instead of computing them: a predicate over the task's index. */
  invents: "none" | "all" | "one" | "dearest";
  /** What it does in a seat of a panel or jury. */
  seat: "runs" | "invents" | "silent";
  /** Whether its outputs can be fetched; `claims` if not, but it insists. */
  delivers: boolean | "claims";
  /** It belongs to the group of colluders, whose members in a seat do this for each other's lies. */
  group?: "stands by" | "drops" | "muddles" | "attacks";
}

/**
 * The strategies that nodes have. Of the group's: all members invent the same results, and a seat drawn for another's lie
 * confirms it as long as nobody else is there to see. Where an honest node is, the seat stands by the lie, drops it and
 * tells the truth, or muddles: gives a third result that nobody can read, so that there is no majority. Attackers compute,
 * and give the false result where the primary is honest.
 */
export const STRATEGIES = {
  honest: { about: "does its work", invents: "none", seat: "runs", delivers: true },
  liar: { about: "invents whole slices", invents: "all", seat: "runs", delivers: true },
  "one-task liar": { about: "invents one task of a slice", invents: "one", seat: "runs", delivers: true },
  "dearest-task liar": { about: "invents the dearest tenth", invents: "dearest", seat: "runs", delivers: true },
  "lazy verifier": { about: "invents what it should check", invents: "none", seat: "invents", delivers: true },
  "silent verifier": { about: "never answers when drawn", invents: "none", seat: "silent", delivers: true },
  withholder: { about: "computes, delivers no output", invents: "none", seat: "runs", delivers: false },
  "stubborn withholder": { about: "the same, and insists", invents: "none", seat: "runs", delivers: "claims" },
  colluder: {
    about: "lies, accomplices stand by it",
    invents: "all",
    seat: "runs",
    delivers: true,
    group: "stands by",
  },
  "wary colluder": { about: "lies, accomplices drop it", invents: "all", seat: "runs", delivers: true, group: "drops" },
  "muddling colluder": {
    about: "lies, accomplices muddle",
    invents: "all",
    seat: "runs",
    delivers: true,
    group: "muddles",
  },
  attacker: { about: "outvotes honest primaries", invents: "none", seat: "runs", delivers: true, group: "attacks" },
} as const satisfies Record<string, Omit<Strategy, "name">>;

export type StrategyName = keyof typeof STRATEGIES;

export function strategyOf(name: StrategyName): Strategy {
  return { name, ...STRATEGIES[name] };
}

/**
 * What requesters do:
 * - `honest`: judges as it sees, opens for who does not, contests what planted tasks and missing outputs show;
 * - `accuser`: has every panel filled and accuses the primary, whatever it said;
 * - `muddler`: has every panel filled and says that there is no majority;
 * - `contester`: contests the work of every assignment;
 * - `denier`: contests every delivery;
 * - `silent`: reveals and then never judges;
 * - `gone`: does not even reveal.
 */
export const REQUESTERS = {
  honest: "judges as it sees",
  accuser: "accuses every checked primary",
  muddler: "denies every majority",
  contester: "contests every work",
  denier: "contests every delivery",
  silent: "never judges",
  gone: "never reveals",
} as const;

export type RequesterName = keyof typeof REQUESTERS;
