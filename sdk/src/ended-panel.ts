import { ZeroHash } from "ethers";

import { accusedOf, appealTerms, memberNumber, membersOf, type DisputeRecord, type JuryRecord } from "./dispute.ts";
import { payOf, sampledCountOf, type AssignmentRecord, type BatchRecord } from "./market-state.ts";
import { contestBond, juryBond } from "./pricing.ts";
import { juryRuling, panelRuling, type EndedDispute, type EndedPanel } from "./settlement.ts";
import { isContest, type Parameters } from "./terms.ts";

/**
 * What decides about an assignment's money, out of its events: what `conclude` of the settlement takes. Of one that is
 * still contended, as if nobody did anything more but what anybody may.
 *
 * @example
 * ```ts
 * const { outcome, transfers } = conclude(endedPanelOf(record, assignment, deployment.parameters));
 * ```
 */
export function endedPanelOf(record: BatchRecord, assignment: AssignmentRecord, parameters: Parameters): EndedPanel {
  const { dispute, exceptions } = assignment;
  const ended: EndedDispute | undefined = dispute && {
    matter: dispute.matter as EndedDispute["matter"],
    challenge:
      dispute.matter === "exception"
        ? { by: dispute.by, bond: challengeBondOf(assignment, dispute.by, parameters) }
        : undefined,
    member: dispute.member,
    answered: dispute.stage !== "answering",
    rulings: rulingsIfOver(record, dispute),
    juries: dispute.juries.map((jury) => ({
      appellant: jury.appellant,
      bond: bondOf(record, assignment, dispute, jury, parameters),
      seats: jury.jurors.map(({ node, digest }) => ({ node, shown: digest })),
    })),
    pot: isPot(record, assignment, parameters),
  };
  return {
    terms: record.terms,
    parameters,
    price: record.price,
    count: assignment.count,
    sampled: sampledCountOf(record, assignment),
    members: membersOf(assignment).map(({ node }, member) => ({ node, opened: dispute?.openings.get(member)?.digest })),
    verdict: exceptions.at(-1)?.verdict ?? "none",
    accused: exceptions.length > 0 ? accusedOf(assignment) : [],
    dispute: ended,
  };
}

/** What an appellant put up, base units; a contest puts up the challenge bond and the fine for losing it too. */
function bondOf(
  record: BatchRecord,
  assignment: AssignmentRecord,
  dispute: DisputeRecord,
  { appellant, tier }: JuryRecord,
  parameters: Parameters,
): bigint {
  const { terms } = record;
  const contested = isContest(dispute.matter);
  if (contested && tier === 1) return contestBond(terms, payOf(record, assignment, dispute.member), parameters);
  if (tier > 1 || appellant === terms.requester) return juryBond(terms, tier);
  // As it was when it appealed.
  const then: DisputeRecord = { ...dispute, stage: "ruled", tier: 0, rulings: dispute.rulings.slice(0, 1), juries: [] };
  const before: AssignmentRecord = { ...assignment, status: "contended", dispute: { ...then, deadline: dispute.at } };
  return appealTerms(record, before, appellant, dispute.at)?.bond ?? juryBond(terms, tier);
}

function challengeBondOf(assignment: AssignmentRecord, by: string, { challengeBond }: Parameters): bigint {
  const member = memberNumber(assignment, by);
  return member !== undefined && accusedOf(assignment).includes(member) ? 0n : challengeBond;
}

function rulingsIfOver({ terms }: BatchRecord, dispute: DisputeRecord): (string | undefined)[] {
  const rulings = dispute.rulings.map((digest) => (digest === ZeroHash ? undefined : digest));
  const opened = [...dispute.openings.values()].map(({ digest }) => digest);
  if (dispute.stage === "opening") return [panelRuling(opened, terms.quorum)];
  while (rulings.length <= dispute.tier) rulings.push(undefined);
  const jury = dispute.juries.at(-1);
  if (dispute.stage === "showing" && jury) rulings[dispute.tier] = juryRuling(jury.jurors.map(({ digest }) => digest));
  return rulings;
}

/** The fixed part of a requester's bond is the pot of the first panel that anybody called in a batch, if it was there. */
function isPot({ called, bondBurned }: BatchRecord, { index }: AssignmentRecord, { bondFixed }: Parameters): boolean {
  // A pot that paid anybody burned less.
  return called === index && bondBurned !== bondFixed;
}
