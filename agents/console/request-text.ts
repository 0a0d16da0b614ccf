import { getAddress, isAddress } from "ethers";
import { formatAmount, MAX_AMOUNT, parseAmount } from "#sdk/amount.ts";
import { ExitStatus, SuretyError } from "#sdk/errors.ts";
import { rewardFunctionsIn, type JobRequest, type RewardFunction, type SchemaTerms } from "#sdk/request-terms.ts";
import { MAX_RANKED } from "#sdk/rewards.ts";
import type { RequestOrder } from "../participant/requesting.ts";
import type { TypedValue } from "./flow-text.ts";

/** What `requestJob` takes, in the order in which help lists it. */
export const REQUEST_KEYS = [
  "job_id",
  "job_input",
  "reward",
  "time_limit",
  "evaluator_node",
  "worker_node",
  "skip_evaluation",
  "min_workers",
  "max_workers",
  "accept_window",
  "step_window",
  "deposit",
  "challenge_fee",
  "visibility",
  "test_data",
  "root",
] as const;
type RequestKey = (typeof REQUEST_KEYS)[number];

/** Most workers that take part where nobody says how many. */
const USUAL_WORKERS = 12;
/** Longest time limit of the contracts, seconds. */
const MAX_TIME_LIMIT = 30 * 86_400;

/** Shortest times that everybody can keep on a chain, seconds. */
export interface LeastTimes {
  /** To accept, and for each step after computing. */
  window: number;
  /** To compute. */
  timeLimit: number;
  /** Longest window that the deployment allows. */
  maxWindow: number;
}

/** What reading a request needs to know of the job and the deployment. */
export interface RequestReading {
  decimals: number;
  times: LeastTimes;
  /** The job that `job_id` names, and its root. */
  jobOf(id: string): { id: string; registrant: string; terms: SchemaTerms };
}

/** A request as it was typed. */
export interface TypedRequest {
  terms: RequestOrder["terms"];
  /** In protobuf's JSON. */
  input: TypedValue;
  visibility: RequestOrder["visibility"];
  /** Folder of test data. */
  testData?: string;
  /** What was changed so that the chain can keep it, for people. */
  words: string[];
}

/**
 * Shortest times on a chain: everybody has to see each step final, compute or look, and have a transaction mined.
 *
 * @param blockSeconds From block to block.
 */
export function leastTimes(
  { minWindow, maxWindow, finalDepth }: { minWindow: number; maxWindow: number; finalDepth: number },
  blockSeconds: number,
): LeastTimes {
  const blocks = (count: number): number => Math.ceil(count * blockSeconds);
  return {
    window: Math.min(Math.max(minWindow, blocks(2 * finalDepth + 16)), maxWindow),
    timeLimit: Math.max(minWindow, blocks(4 * finalDepth + 32)),
    maxWindow,
  };
}

/**
 * Reads what follows `requestJob`.
 *
 * @throws SuretyError `CONSOLE_REQUEST_INVALID` (exit 2) naming the key, and what `jobOf` throws
 */
export function readRequest(typed: TypedValue, { decimals, times, jobOf }: RequestReading): TypedRequest {
  const given = new Typed(typed);
  const job = jobOf(given.text("job_id"));
  const words: string[] = [];
  const seconds = (key: RequestKey, least: number, most: number, standard?: number): number => {
    const milliseconds = given.whole(key, { least: 1, most: most * 1000, standard: (standard ?? least) * 1000 });
    const wanted = Math.ceil(milliseconds / 1000);
    if (wanted >= least) return wanted;
    words.push(`${key} is ${least * 1000} ms instead of ${milliseconds}: less is too short for this chain`);
    return least;
  };
  const skipEvaluation = given.flag("skip_evaluation");
  const workers = given.addresses("worker_node");
  const evaluators = given.addresses("evaluator_node");
  if (skipEvaluation && (workers.length === 0 || evaluators.length > 0)) {
    throw invalid("skip_evaluation", "goes with worker_node, whom it trusts, and without evaluator_node");
  }
  const most = workers.length > 0 ? workers.length : MAX_RANKED;
  const maxWorkers = given.whole("max_workers", {
    least: 1,
    most,
    standard: workers.length > 0 ? most : USUAL_WORKERS,
  });
  const minWorkers = given.whole("min_workers", { least: 1, most: maxWorkers, standard: 1 });
  const { challengeFee: leastFee, minimumDeposit } = job.terms;
  const amount = (key: RequestKey, standard: bigint): bigint => given.amount(key, decimals, standard);
  const terms: JobTerms = {
    schema: job.id,
    root: given.has("root") ? given.addresses("root")[0]! : job.registrant,
    ...rewardOf(given.value("reward"), { decimals, skipEvaluation, terms: job.terms }),
    ...{ evaluators, workers, minWorkers, maxWorkers, skipEvaluation },
    acceptWindow: seconds("accept_window", times.window, times.maxWindow),
    timeLimit: seconds("time_limit", times.timeLimit, MAX_TIME_LIMIT),
    stepWindow: seconds("step_window", times.window, times.maxWindow),
    deposit: skipEvaluation ? 0n : amount("deposit", minimumDeposit),
    challengeFee: skipEvaluation ? 0n : amount("challenge_fee", leastFee),
  };
  const visibility = given.has("visibility") ? given.text("visibility") : "sealed";
  if (visibility !== "sealed" && visibility !== "open") {
    throw invalid("visibility", `is ${JSON.stringify(visibility)}, expected sealed or open`);
  }
  return {
    terms,
    input: given.value("job_input"),
    visibility,
    ...(given.has("test_data") ? { testData: given.text("test_data") } : {}),
    words,
  };
}

type JobTerms = RequestOrder["terms"];
type Rewards = Pick<JobRequest, "rewardFunction" | "evaluatorReward" | "workerReward" | "list">;

/** `[evaluator, first, second, …]`, or `{function, evaluator, workers, list}`. */
function rewardOf(
  typed: TypedValue,
  { decimals, skipEvaluation, terms }: { decimals: number; skipEvaluation: boolean; terms: SchemaTerms },
): Rewards {
  const allowed = rewardFunctionsIn(terms.rewardFunctions);
  const require = (wanted: RewardFunction): RewardFunction => {
    if (allowed.includes(wanted)) return wanted;
    throw invalid("reward", `of the function ${wanted} is not allowed by this job: ${allowed.join(", ")}`);
  };
  const units = (value: TypedValue | undefined, what: string): bigint => {
    if (typeof value !== "number" && typeof value !== "string") throw invalid("reward", `has no amount for ${what}`);
    return amountFrom("reward", value, decimals);
  };
  if (Array.isArray(typed)) {
    const [evaluator, ...ranks] = typed.map((value) => units(value, "each place"));
    const pot = ranks.reduce((sum, each) => sum + each, 0n);
    if (evaluator === undefined || ranks.length === 0) {
      throw invalid("reward", "is a list of what the evaluator gets, and then each rank, the best first");
    }
    if (skipEvaluation) {
      if (evaluator !== 0n || ranks.length > 1) {
        throw invalid("reward", "without evaluation is [0, what all workers share evenly]");
      }
      return { rewardFunction: require("even"), evaluatorReward: 0n, workerReward: pot, list: [] };
    }
    const base = { evaluatorReward: evaluator, workerReward: pot };
    if (allowed.includes("list")) return { ...base, rewardFunction: "list", list: ranks };
    // One place that gets all is the same in other words.
    if (ranks.length === 1) return { ...base, rewardFunction: require("winner-takes-all"), list: [] };
    return { ...base, rewardFunction: require("list"), list: ranks };
  }
  if (typeof typed !== "object" || typed === null) {
    throw invalid("reward", "is expected as [evaluator, first, second, …] or {function, evaluator, workers}");
  }
  const { function: name, evaluator, workers, list, ...others } = typed;
  const [stranger] = Object.keys(others);
  if (stranger !== undefined) throw invalid("reward", `has no ${stranger}, only function, evaluator, workers and list`);
  const wanted = String(name ?? "even").replaceAll("_", "-");
  if (!(["even", "winner-takes-all", "by-rank", "by-score", "list"] as string[]).includes(wanted)) {
    throw invalid("reward", `has the function ${JSON.stringify(wanted.slice(0, 40))}, expected ${allowed.join(", ")}`);
  }
  const ranks = wanted === "list" ? (Array.isArray(list) ? list : []).map((each) => units(each, "each rank")) : [];
  const sum = ranks.reduce((total, each) => total + each, 0n);
  return {
    rewardFunction: require(wanted as RewardFunction),
    evaluatorReward: skipEvaluation && evaluator === undefined ? 0n : units(evaluator, "the evaluator"),
    workerReward: workers === undefined && wanted === "list" ? sum : units(workers, "the workers"),
    list: ranks,
  };
}

/** The values of an object, each looked at as what it should be. */
class Typed {
  readonly #values: Record<string, TypedValue>;

  constructor(typed: TypedValue) {
    if (typeof typed !== "object" || typed === null || Array.isArray(typed)) {
      throw invalid("requestJob", "takes {job_id: 0x…, job_input: {…}, reward: [10, 10], time_limit: 3000}");
    }
    for (const key of Object.keys(typed)) {
      if (!(REQUEST_KEYS as readonly string[]).includes(key)) {
        throw invalid(key.slice(0, 40), `is not known; there are ${REQUEST_KEYS.join(", ")}`);
      }
    }
    this.#values = typed;
  }

  has(key: RequestKey): boolean {
    return this.#values[key] !== undefined;
  }

  value(key: RequestKey): TypedValue {
    const value = this.#values[key];
    if (value === undefined) throw invalid(key, "is missing");
    return value;
  }

  text(key: RequestKey): string {
    const value = this.value(key);
    if (typeof value === "string" && value !== "") return value;
    throw invalid(key, `is ${JSON.stringify(value)}, expected text`);
  }

  flag(key: RequestKey): boolean {
    const value = this.#values[key] ?? false;
    if (typeof value === "boolean") return value;
    throw invalid(key, `is ${JSON.stringify(value)}, expected true or false`);
  }

  whole(key: RequestKey, { least, most, standard }: { least: number; most: number; standard: number }): number {
    const value = this.#values[key] ?? Math.min(standard, most);
    if (typeof value === "number" && Number.isSafeInteger(value) && value >= least && value <= most) return value;
    throw invalid(key, `is ${JSON.stringify(value)}, expected a whole number from ${least} to ${most}`);
  }

  amount(key: RequestKey, decimals: number, standard: bigint): bigint {
    const value = this.#values[key];
    return value === undefined ? standard : amountFrom(key, value, decimals);
  }

  addresses(key: RequestKey): string[] {
    const value = this.#values[key] ?? [];
    const list = Array.isArray(value) ? value : [value];
    const found = list.map((each) => {
      if (typeof each === "string" && isAddress(each)) return getAddress(each);
      throw invalid(key, `has ${JSON.stringify(each)}, expected addresses: 0x and 40 hexadecimal digits`);
    });
    if (new Set(found).size < found.length) throw invalid(key, "names one twice");
    return found;
  }
}

function amountFrom(key: string, value: TypedValue, decimals: number): bigint {
  try {
    if (typeof value === "number" || typeof value === "string") return parseAmount(value, decimals);
  } catch (cause) {
    throw invalid(key, `has ${JSON.stringify(value)}, expected tokens in decimals, at most ${most(decimals)}`, cause);
  }
  throw invalid(key, `has ${JSON.stringify(value)}, expected tokens in decimals`);
}

function most(decimals: number): string {
  return formatAmount(MAX_AMOUNT, decimals);
}

function invalid(key: string, what: string, cause?: unknown): SuretyError {
  return new SuretyError("CONSOLE_REQUEST_INVALID", `${key} ${what}`, {
    details: { key },
    fix: "Try: requestJob {job_id: 0x…, job_input: {y: 4}, reward: [10, 10], time_limit: 3000}, or help requestJob.",
    exit: ExitStatus.badInput,
    cause,
  });
}
