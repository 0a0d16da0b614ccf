import { PRIMARY } from "#sdk/context.ts";
import { computeDuties, type ComputeDuty } from "../../agents/compute/duties.ts";
import type { ComputeFacts } from "../../agents/compute/facts.ts";
import { DisputeSteps } from "./dispute-steps.ts";
import { CLASS, PARAMETERS, type MarketHistory } from "./market-history.ts";

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
    finalBlock: history.finalBlock,
    parameters: PARAMETERS,
    hashes: history.hashes,
    free: 10,
    freeStake: 1_000_000n,
    uncommitted: 1_000_000n,
    agrees: () => true,
    policy: { class: CLASS, minPrice: 1n, patience: 0 },
    ...changes,
  });
}

/**
 * Does what a compute node ought to do; throws as the contract would.
 *
 * @param says What the node's results are, also as a juror.
 */
export function performAsNode(history: MarketHistory, me: string, duty: ComputeDuty, says = "right"): void {
  switch (duty.kind) {
    case "check":
      return;
    case "challenge":
      new DisputeSteps(history, duty.assignment).challenge(me);
      return;
    case "call-panel":
      new DisputeSteps(history, duty.assignment).callPanel(me);
      return;
    case "answer-contest":
      new DisputeSteps(history, duty.assignment).answerContest();
      return;
    case "open":
      new DisputeSteps(history, duty.assignment).open(duty.member, says);
      return;
    case "vote":
      new DisputeSteps(history, duty.assignment).castBallot(duty.seat);
      return;
    case "show":
      new DisputeSteps(history, duty.assignment).openBallot(duty.seat, says);
      return;
    case "appeal":
      new DisputeSteps(history, duty.assignment).appeal(me);
      return;
    case "rule":
      new DisputeSteps(history, duty.assignment).rule();
      return;
    case "convene":
      new DisputeSteps(history, duty.assignment).convene();
      return;
    case "conclude":
      new DisputeSteps(history, duty.assignment).conclude();
      return;
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
