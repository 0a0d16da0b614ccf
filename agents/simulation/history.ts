import type { Matter, Verdict } from "#sdk/terms.ts";
import type { Result } from "./strategies.ts";

/**
 * What was done in one batch, in order, so that it can be done again on the real contracts. Nodes by their index in the
 * world; hashes are those of the blocks that decide what comes next.
 */
export interface History {
  /** The requester's secret, 32 bytes. */
  seed: string;
  sequence: bigint;
  tasks: number;
  /** By assignment: who claimed which tasks, and what it says of each. */
  slices: { node: number; first: number; results: Result[] }[];
  /** Of the batch's entropy block. */
  sealHash: string;
  moves: Move[];
}

/** A step after the seal. Many need a deadline to pass; whoever repeats them waits for it. */
export type Move = { assignment: number } & Step;

/** What is done in an assignment; in the whole batch for `reveal` and `judged`. */
export type Step =
  | { do: "reveal" }
  /** From a seat; `results` by sampled task. */
  | { do: "answer"; round: number; seat: number; node: number; results: [task: number, Result][] }
  | { do: "escalate"; hash: string }
  | { do: "redraw"; hash: string }
  | { do: "except"; verdict: Verdict; witness: number; round: number; seat: number }
  /** All is listed; for the whole batch. */
  | { do: "judged" }
  | { do: "contest"; matter: Matter; task: number; member: number }
  | { do: "answer-contest"; node: number; hash: string }
  | { do: "challenge"; node: number }
  | { do: "call-panel"; node: number }
  | { do: "open"; member: number; task: number }
  /** Ends a step; `late` if somebody was missing; `hash` if more jurors are drawn then. */
  | { do: "rule"; late: boolean; hash?: string }
  /** By a node, or by the requester. */
  | { do: "appeal"; node?: number; hash: string }
  | { do: "cast"; tier: number; seat: number; node: number; value: Result }
  | { do: "show"; tier: number; seat: number; node: number; value: Result }
  | { do: "conclude" }
  | { do: "settle" };

/** When a step of one assignment comes relative to those of others. */
export const PHASE = {
  reveal: 1,
  /** Answers of round r at `answer + 2r`, the call for the next one after it. */
  answer: 2,
  except: 20,
  judged: 21,
  answerContest: 22,
  challenge: 23,
  open: 24,
  /** Juries of contests, from {@link JURY_PHASES} on. */
  contest: 30,
  rule: 50,
  /** The first jury of other disputes; the second follows after {@link JURY_PHASES}. */
  jury: 60,
  conclude: 90,
  settle: 91,
} as const;

/** Steps of a jury: called, cast, closed, cast again, closed again, shown, ruled. */
export const JURY_PHASES = 7;
