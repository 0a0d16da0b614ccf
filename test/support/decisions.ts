import { PRIMARY } from "#sdk/context.ts";
import { panelStatus } from "#sdk/market-state.ts";
import { compare, type Comparison, type MemberResults } from "../../agents/requester/comparison.ts";
import {
  comparisonKey,
  requesterDuties,
  type RequesterDuty,
  type RequesterFacts,
} from "../../agents/requester/duties.ts";
import { computeDuties, type ComputeDuty, type ComputeFacts } from "../../agents/compute/duties.ts";
import { BATCH_ID, CLASS, PARAMETERS, REQUESTER, SEED, type MarketHistory } from "./market-history.ts";

/** What a node says its results are: the same word for all tasks; `garbage` cannot be read, `unreachable` not fetched. */
export type Saying = string | "garbage" | "unreachable";

/** What comparing the panels says, as the requester's agent tells its duties. */
export function comparisonsOf(history: MarketHistory, says: (node: string) => Saying): Map<string, Comparison> {
  const { record } = history;
  const comparisons = new Map<string, Comparison>();
  for (const assignment of record.assignments) {
    const panel = panelStatus(record, assignment, PARAMETERS);
    if (!panel || assignment.status !== "submitted" || assignment.answers.length === 0) continue;
    const part = (node: string, member: MemberResults["member"]): MemberResults => {
      const said = says(node);
      return { node, member, digests: new Map(said === "garbage" ? [] : panel.tasks.map((task) => [task, said])) };
    };
    const answers = assignment.answers.map(({ node, round, seat }) => part(node, { round, seat }));
    const all = [part(assignment.node, "primary"), ...answers];
    const members = all.filter(({ node }) => says(node) !== "unreachable");
    if (members.length < 2) continue;
    const comparison = compare(members, panel.tasks, record.terms.quorum);
    if (members.length === all.length || comparison.kind === "agree")
      comparisons.set(comparisonKey(BATCH_ID, assignment), comparison);
  }
  return comparisons;
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
    comparisons: comparisonsOf(history, says),
    ...changes,
  });
}

/** What a compute node ought to do now; without patience, so that it is everybody's turn at once. */
export function computeDutiesOf(
  history: MarketHistory,
  me: string,
  changes: Partial<ComputeFacts> = {},
): ComputeDuty[] {
  return computeDuties(history.state, {
    me,
    now: history.now,
    block: history.block,
    parameters: PARAMETERS,
    hashes: history.hashes,
    free: 10,
    freeStake: 1_000_000n,
    policy: { class: CLASS, minPrice: 1n, patience: 0 },
    ...changes,
  });
}

/** Does what a compute node ought to do; throws as the contract would. */
export function performAsNode(history: MarketHistory, me: string, duty: ComputeDuty): void {
  switch (duty.kind) {
    case "work":
      if (duty.round === PRIMARY.round) history.submit(me, duty.assignment);
      else history.answer(me, duty.assignment, duty.round, duty.seat);
      return;
    case "claim":
      history.claim(me, duty.count);
      return;
    case "reclaim":
      history.reclaim(me, duty.assignment);
      return;
    case "capture":
      history.capture();
      return;
    case "expire":
      history.expire(duty.assignment);
      return;
    case "seal":
      history.seal();
      return;
    case "redraw":
      history.redraw(me, duty.assignment);
      return;
    case "settle":
      history.settle(me, duty.assignments);
      return;
  }
}

/** Does what the requester ought to do; throws as the contract would. */
export function performAsRequester(history: MarketHistory, duty: RequesterDuty): void {
  switch (duty.kind) {
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
