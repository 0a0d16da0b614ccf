import { membersOf } from "#sdk/dispute.ts";
import { panelStatus } from "#sdk/market-state.ts";
import {
  readingKey,
  requesterDuties,
  type Reading,
  type RequesterDuty,
  type RequesterFacts,
} from "../../agents/requester/duties.ts";
import { digestOf, DisputeSteps } from "./dispute-steps.ts";
import { PARAMETERS, REQUESTER, SEED, type MarketHistory } from "./market-history.ts";

/**
 * What a node says its results are: the same word for all tasks, or a word for each, parted by spaces. What it submitted
 * is `garbage`; `unreachable`, so that nobody serves it; or `pending`, still being fetched. After `withheld` and
 * `fetching` the words can be read, and the outputs not, or not yet.
 */
export type Saying = string;

const DELIVERY: Record<string, Reading["delivery"]> = {
  garbage: "garbage",
  unreachable: "withheld",
  pending: "pending",
  withheld: "withheld",
  fetching: "pending",
};

/** What one member said, as the requester's agent tells its duties. */
export function readingOf(said: Saying, tasks: readonly number[]): Reading {
  const [first = "", ...rest] = said.split(" ");
  const delivery = DELIVERY[first] ?? "complete";
  if (["garbage", "unreachable", "pending"].includes(first)) return { delivery };
  const words = delivery === "complete" ? [first, ...rest] : rest;
  const digests = new Map(tasks.map((task, place) => [task, digestOf(words[place] ?? words[0]!)]));
  return { delivery, digests };
}

/** What everybody's results came to, as the requester's agent tells its duties. */
export function readingsOf(history: MarketHistory, says: (node: string) => Saying): Map<string, Reading> {
  const { record } = history;
  const readings = new Map<string, Reading>();
  for (const assignment of record.assignments) {
    const { first, count } = assignment;
    const all = Array.from({ length: count }, (_, place) => first + place);
    const sampled = panelStatus(record, assignment, PARAMETERS)?.tasks ?? all;
    for (const [number, member] of membersOf(assignment).entries()) {
      // Words count from the first sampled task on, also for the primary, which has others too.
      const tasks = number === 0 ? [...new Set([...sampled, ...all])] : sampled;
      readings.set(readingKey(assignment, member), readingOf(says(member.node), tasks));
    }
  }
  return readings;
}

/** What the requester ought to do now; every node says `right` unless told otherwise. */
export function requesterDutiesOf(
  history: MarketHistory,
  says: (node: string) => Saying = () => "right",
  changes: Partial<RequesterFacts> = {},
): RequesterDuty[] {
  return requesterDuties(history.state, history.record, {
    now: history.now,
    block: history.block,
    finalBlock: history.finalBlock,
    parameters: PARAMETERS,
    hashes: history.hashes,
    seedOf: () => SEED,
    readings: readingsOf(history, says),
    known: new Map(),
    isRunning: false,
    budget: 1_000_000n,
    ...changes,
  });
}

/** Does what the requester ought to do; throws as the contract would. Members open what they say. */
export function performAsRequester(
  history: MarketHistory,
  duty: RequesterDuty,
  says: (node: string) => Saying = () => "right",
): void {
  const dispute = (): DisputeSteps => new DisputeSteps(history, "assignment" in duty ? duty.assignment : 0);
  switch (duty.kind) {
    case "contest":
      if (duty.matter === "work") dispute().contestWork(duty.task);
      else dispute().contestDelivery(duty.member);
      return;
    case "open":
      dispute().open(duty.member, says(dispute().members[duty.member]!));
      return;
    case "appeal":
      dispute().appeal(REQUESTER);
      return;
    case "rule":
      dispute().rule();
      return;
    case "convene":
      dispute().convene();
      return;
    case "conclude":
      dispute().conclude();
      return;
    case "short":
      return;
    case "expire":
      history.expire(duty.assignment);
      return;
    case "seal":
      history.seal();
      return;
    case "reveal":
      history.reveal();
      return;
    case "reveal-and-settle":
      history.revealAndSettle(duty.assignments);
      return;
    case "escalate":
      history.escalate(REQUESTER, duty.assignment);
      return;
    case "redraw":
      history.redraw(REQUESTER, duty.assignment);
      return;
    case "judge":
      history.judge(REQUESTER, duty.exceptions, duty.last);
      return;
    case "settle":
      history.settle(REQUESTER, duty.assignments);
      return;
  }
}
