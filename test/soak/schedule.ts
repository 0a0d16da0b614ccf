import { Random } from "../support/random.ts";
import { PRICE_OF_ALL, PRICE_OF_ONE, PRICE_OF_TWO, type JobSettings } from "../support/market-world.ts";
import type { Fate } from "./chain.ts";

/** Blocks on a block that make it final in soaks. */
export const FINAL_DEPTH = 8;
/** Compute nodes in soaks: the least that a panel of three and as many to draw from need. */
export const NODES = 6;

/** How far a batch is. */
export const stages = [
  "submitted",
  "posted",
  "claimed",
  "computed",
  "sealed",
  "revealed",
  "checked",
  "judged",
  "closed",
] as const;
export type Stage = (typeof stages)[number];

/** The requester, or a compute node by its place. */
export type Who = "requester" | number;

/** What a provider of the chain does instead of its work. */
export const chainTroubles = [
  "too-many-requests",
  "server-error",
  "unavailable",
  "busy",
  "refuse",
  "hang",
  "half-open",
  "cut-answer",
  "lose-answer",
  "drip",
  "slow",
  "garbage",
] as const;
/** Lies, told by one of two providers. */
export const chainLies = ["stale-head", "drop-logs", "no-receipts", "wrong-chain"] as const;
/** What a gateway does instead of its work. */
export const storageTroubles = [
  "server-error",
  "refuse",
  "hang",
  "half-open",
  "cut-answer",
  "drip",
  "slow",
  "wrong-bytes",
  "not-found",
] as const;

/** One thing that goes wrong; times in milliseconds. */
export type Mishap =
  | { kind: "kill"; who: Who; awayMs: number }
  | { kind: "terminate"; who: Who; awayMs: number }
  | { kind: "freeze"; who: Who; ms: number }
  | { kind: "set-clock"; who: Who; hours: number }
  | { kind: "fill-disk"; who: Who; ms: number }
  | { kind: "chain"; who: Who; trouble: (typeof chainTroubles)[number]; of: "first" | "both"; ms: number }
  | { kind: "chain-lie"; who: Who; lie: (typeof chainLies)[number]; ms: number }
  | { kind: "lost-reply"; who: Who; times: number }
  | { kind: "storage"; who: Who; trouble: (typeof storageTroubles)[number]; ms: number }
  | { kind: "reorganise"; depth: number; fate: Fate }
  | { kind: "raise-fee"; gwei: number }
  | { kind: "forget-pending" }
  | { kind: "freeze-chain"; ms: number }
  | { kind: "use-nonce"; who: Who };

/** When, and what. */
export interface Fault {
  after: Stage;
  delayMs: number;
  mishap: Mishap;
}

/** A whole batch and what goes wrong meanwhile. */
export interface Schedule {
  seed: number;
  /** Its number among those of the seed. */
  index: number;
  job: JobSettings;
  /** A node that gives wrong results, by its place; nobody if left out. */
  liar?: number;
  faults: Fault[];
}

/** Who gets a liar: where more could go wrong than with honest nodes only. */
const LIARS = 0.2;

/** The schedule of that seed and index: always the same. */
export function scheduleOf(seed: number, index: number): Schedule {
  const random = new Random((seed * 1_000_003 + index * 7_919) >>> 0);
  // The first numbers of neighbouring seeds are alike.
  for (let i = 0; i < 4; i += 1) random.word();
  const liar = random.chance(LIARS) ? random.below(NODES) : undefined;
  const faults = Array.from({ length: 2 + random.below(4) }, (): Fault => ({
    after: random.pick(stages),
    delayMs: random.below(1_500),
    mishap: mishap(random),
  }));
  return { seed, index, job: jobOf(random, liar !== undefined), ...(liar === undefined ? {} : { liar }), faults };
}

function jobOf(random: Random, withLiar: boolean): JobSettings {
  // One slice, so that it is known who lied where.
  if (withLiar) return { tasks: 2, price: PRICE_OF_ALL, rate: "100%", checking: random.pick(["adaptive", "fixed"]) };
  const mode = random.pick(["sampled", "sampled", "replicated"] as const);
  return {
    tasks: 2 + random.below(5),
    price: random.pick([PRICE_OF_ONE, PRICE_OF_TWO, PRICE_OF_ALL, PRICE_OF_ALL]),
    mode,
    rate: random.pick(["40%", "100%", "100%"]),
    checking: random.pick(["adaptive", "fixed"]),
    maxShare: random.pick(["34%", "100%"]),
    ...(mode === "sampled" && random.chance(0.25) ? { plant: "50%" } : {}),
  };
}

function mishap(random: Random): Mishap {
  const who: Who = random.chance(0.4) ? "requester" : random.below(NODES);
  const while_ = (): number => 300 + random.below(4_000);
  const roll = random.below(100);
  if (roll < 20) return { kind: "kill", who, awayMs: random.below(3_000) };
  if (roll < 28) return { kind: "terminate", who, awayMs: random.below(3_000) };
  if (roll < 32) return { kind: "fill-disk", who, ms: while_() };
  if (roll < 36) return { kind: "freeze", who, ms: while_() };
  if (roll < 40) return { kind: "set-clock", who, hours: random.pick([-1, 1, -24, 24]) };
  if (roll < 52) {
    const of = random.pick(["first", "both"] as const);
    return { kind: "chain", who, trouble: random.pick(chainTroubles), of, ms: while_() };
  }
  if (roll < 58) return { kind: "chain-lie", who, lie: random.pick(chainLies), ms: while_() };
  if (roll < 63) return { kind: "lost-reply", who, times: 1 + random.below(3) };
  if (roll < 71) return { kind: "storage", who, trouble: random.pick(storageTroubles), ms: while_() };
  if (roll < 87) {
    const depth = 1 + random.below(FINAL_DEPTH);
    return { kind: "reorganise", depth, fate: random.pick(["lost", "pending", "mined"]) };
  }
  if (roll < 90) return { kind: "raise-fee", gwei: random.pick([10, 50]) };
  if (roll < 93) return { kind: "forget-pending" };
  if (roll < 96) return { kind: "freeze-chain", ms: while_() };
  return { kind: "use-nonce", who };
}

/** One line for people: `claimed+300ms kill node-2 (away 1200 ms)`. */
export function describeFault({ after, delayMs, mishap: { kind, ...rest } }: Fault): string {
  const facts = Object.entries(rest).map(([name, value]) => `${name} ${String(value)}`);
  return `${after}+${delayMs}ms ${kind}${facts.length === 0 ? "" : ` (${facts.join(", ")})`}`;
}
