import { expect } from "chai";
import * as fc from "fast-check";
import { membersOf } from "#sdk/dispute.ts";
import { MAX_TIER, quote } from "#sdk/pricing.ts";
import type { Terms } from "#sdk/terms.ts";
import type { ComputeDuty } from "../../agents/compute/duties.ts";
import { statusOf, type Job } from "../../agents/requester/jobs.ts";
import { performAsRequester, requesterDutiesOf, type Saying } from "../support/decisions.ts";
import { MarketHistory, nodeAt, PARAMETERS, Reverted, WINDOWS } from "../support/market-history.ts";
import { computeDutiesOf, performAsNode } from "../support/node-decisions.ts";
import { Random } from "../support/random.ts";

/** What a node is like. */
interface Character {
  /** Claims, and submits what it claimed. */
  works: number;
  /** Answers from its seats. */
  answers: number;
  /** Takes the steps that anybody may take, at the first second. */
  helps: number;
  says: Saying;
  /** Finds again what it said, though nobody else does. */
  believes?: boolean;
}

const honest: Character = { works: 0.8, answers: 0.8, helps: 0.5, says: "right" };
const characters: Character[] = [
  honest,
  honest,
  honest,
  { ...honest, says: "wrong" },
  { ...honest, says: "wrong", believes: true },
  { ...honest, says: "false", believes: true },
  { ...honest, says: "garbage" },
  { ...honest, says: "unreachable" },
  { ...honest, works: 0.1 },
  { ...honest, answers: 0.05 },
  { ...honest, answers: 0, helps: 1 },
];

interface Scenario {
  terms: Partial<Terms>;
  count: number;
  nodes: number;
  seed: number;
}

const scenarios: fc.Arbitrary<Scenario> = fc
  .record({
    mode: fc.constantFrom("replicated" as const, "sampled" as const, "sampled" as const, "trusted" as const),
    adaptive: fc.boolean(),
    quorum: fc.constantFrom(3, 3, 5),
    maxShare: fc.constantFrom(200_000, 500_000, 1_000_000),
    minSlice: fc.integer({ min: 1, max: 3 }),
    rate: fc.constantFrom(50_000, 300_000, 700_000),
    judge: fc.constantFrom(20, 50, 150),
    challenge: fc.constantFrom(20, 70),
    count: fc.integer({ min: 1, max: 8 }),
    nodes: fc.integer({ min: 6, max: 12 }),
    seed: fc.nat(),
  })
  .map(({ mode, adaptive, rate, judge, challenge, count, nodes, seed, ...rest }) => ({
    terms: {
      ...rest,
      mode,
      adaptive: adaptive && mode === "sampled",
      rate: mode === "trusted" ? 0 : mode === "replicated" ? 1_000_000 : rate,
      allowed: mode === "trusted" ? [0, 1, 2].map(nodeAt) : [],
      excluded: mode === "trusted" || nodes % 2 === 0 ? [] : [nodeAt(nodes - 1)],
      windows: { ...WINDOWS, judge, challenge },
    },
    count,
    nodes,
    seed,
  }));

interface Walk extends Scenario {
  history: MarketHistory;
  random: Random;
  says: (node: string) => Saying;
  cast: Character[];
  /** What a node ought to do. */
  dutiesOf: (index: number) => ComputeDuty[];
}

function begin(scenario: Scenario): Walk {
  const random = new Random(scenario.seed);
  const history = new MarketHistory({ ...scenario, fork: scenario.seed }).post();
  const cast = Array.from({ length: scenario.nodes }, () => random.pick(characters));
  const says = (node: string): Saying => cast.find((_, index) => nodeAt(index) === node)!.says;
  const dutiesOf = (index: number): ComputeDuty[] =>
    computeDutiesOf(history, nodeAt(index), {
      agrees: () => cast[index]!.believes ?? says(nodeAt(index)) === "right",
    });
  return { ...scenario, history, random, says, cast, dutiesOf };
}

/** How likely a node of that character does what it ought to. */
function chanceOf(duty: ComputeDuty, { works, answers, helps }: Character): number {
  if (duty.kind === "work") return duty.round < 5 ? answers : works;
  if (duty.kind.endsWith("claim")) return works;
  return ["challenge", "answer-contest", "open", "appeal", "vote", "show"].includes(duty.kind) ? answers : helps;
}

/** Some nodes do some of what they ought to; returns what they did. */
function letNodesAct({ history, random, cast, says, dutiesOf }: Walk): string[] {
  const done: string[] = [];
  for (const [index, character] of cast.entries()) {
    if (history.data.closed) break;
    if (random.chance(0.5)) continue;
    const me = nodeAt(index);
    for (const duty of dutiesOf(index)) {
      if (!random.chance(chanceOf(duty, character))) continue;
      try {
        performAsNode(history, me, duty, says(me));
        done.push(duty.kind);
      } catch (error) {
        // What came before it in the list may have ended the batch.
        if (!(error instanceof Reverted) || !history.data.closed) throw error;
      }
    }
  }
  return done;
}

/** Everything that somebody ought to do now must be accepted, one thing after the other. */
function expectNoDutyReverts({ history, random, cast, says, dutiesOf }: Walk): string[] {
  // What is contended concerns few, so these are looked at more often.
  const contended = history.record.assignments.filter(({ status }) => status === "contended");
  const concerned = contended.flatMap((one) => membersOf(one).map(({ node }) => node));
  const me = concerned.length > 0 && random.chance(0.5) ? random.pick(concerned) : nodeAt(random.below(cast.length));
  const index = cast.findIndex((_, place) => nodeAt(place) === me);
  const asNode = history.copy();
  const computeDuties = dutiesOf(index);
  for (const duty of computeDuties) {
    if (!asNode.data.closed)
      expect(() => performAsNode(asNode, me, duty, says(me)), `${duty.kind} of a node`).not.to.throw();
  }
  const asRequester = history.copy();
  const requesterDuties = requesterDutiesOf(history, says);
  for (const duty of requesterDuties) {
    expect(() => performAsRequester(asRequester, duty), `${duty.kind} of the requester`).not.to.throw();
  }
  return [...computeDuties, ...requesterDuties].map(({ kind }) => kind);
}

function job(count: number): Job {
  const ticket = { ticket: "0000000000000-00000000", name: "walk", count } as Job["ticket"];
  return { ticket, attempts: [], suspicion: {}, done: [] };
}

/** Seconds after which the slowest batch is over: see decision 10. */
function longest({ windows }: Terms): number {
  const { claim, submit, reveal, check, judge, challenge } = windows;
  const { drawDelay } = PARAMETERS;
  // Challenge, opening and appeal; then for each jury two calls, showing and appeal.
  const dispute = 3 * challenge + MAX_TIER * (2 * (drawDelay + check) + 2 * challenge);
  return claim + submit + reveal + 5 * (check + judge) + 4 * drawDelay + dispute;
}

describe("what agents decide", function () {
  this.timeout(60_000);

  it("is never refused by the contract, whatever others did and left undone", () => {
    const met = new Set<string>();
    fc.assert(
      fc.property(scenarios, (scenario) => {
        const walk = begin(scenario);
        const { history, random, says } = walk;
        // The requester too is late, forgets things and vanishes for a while.
        const diligence = random.pick([1, 0.5, 0.1, 0]);
        for (let step = 0; step < 60 && !history.data.closed; ++step) {
          for (const kind of expectNoDutyReverts(walk)) met.add(kind);
          for (const kind of letNodesAct(walk)) met.add(kind);
          if (history.data.closed) break;
          for (const duty of requesterDutiesOf(history, says))
            if (random.chance(diligence)) performAsRequester(history, duty);
          history.wait(random.pick([0, 1, 2, 5, 10, 20, 40]));
        }
      }),
      { seed: 11, numRuns: 80, endOnFailure: true },
    );
    const all = [
      "work",
      "claim",
      "reclaim",
      "capture",
      "expire",
      "seal",
      "redraw",
      "settle",
      "reveal",
      "reveal-and-settle",
      "escalate",
      "judge",
      "contest",
      "answer-contest",
      "challenge",
      "call-panel",
      "open",
      "rule",
      "convene",
      "vote",
      "show",
      "appeal",
      "conclude",
    ];
    expect([...met]).to.have.members(all);
  });

  it("ends every batch in bounded time and costs a requester that follows it no bond, whatever nodes do", () => {
    fc.assert(
      fc.property(scenarios, (scenario) => {
        const walk = begin(scenario);
        const { history, random, says, count } = walk;
        const over = history.now + longest(history.terms) + 60;
        while (!history.data.closed) {
          expect(history.now, "seconds").to.be.below(over);
          // Looking every few seconds, the requester sees every window while it is open.
          for (const duty of requesterDutiesOf(history, says)) performAsRequester(history, duty);
          if (!history.data.closed) letNodesAct(walk);
          history.wait(random.pick([1, 2, 4]));
        }
        const { paid, burned, bondBurned } = history.data;
        expect(bondBurned).to.equal(false);
        const { money } = statusOf(job(count), [history.record], PARAMETERS);
        const { escrow, bond } = quote(history.terms, count, PARAMETERS);
        expect(money.escrow).to.equal(String(escrow));
        const { assignments } = history.record;
        // What backs accusations comes back, on top of what the batch locked.
        const isBacked = assignments.some(({ exceptions, dispute }) => exceptions.length > 0 || dispute);
        expect(BigInt(money.bond) > bond).to.equal(isBacked);
        // The history knows nothing of what juries cost.
        if (!assignments.some(({ dispute }) => dispute)) {
          expect(money).to.include({ paid: String(paid), burned: String(burned) });
        }
        const gone = BigInt(money.paid) + BigInt(money.burned) + BigInt(money.returned);
        expect(gone).to.equal(escrow + BigInt(money.bond));
      }),
      { seed: 12, numRuns: 60, endOnFailure: true },
    );
  });
});
