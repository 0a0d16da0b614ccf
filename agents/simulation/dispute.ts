import { DELIVERED, UNDELIVERED } from "#sdk/commitment.ts";
import { drawJury } from "#sdk/draw.ts";
import { contestBond, juryBond, jurySeats, lockOf, MAX_TIER, slashOf } from "#sdk/pricing.ts";
import {
  conclude,
  effectiveRuling,
  juryRuling,
  panelRuling,
  type EndedDispute,
  type SeatedJury,
} from "#sdk/settlement.ts";
import { isContest, type Verdict } from "#sdk/terms.ts";
import { inventedBy, SEALED_AT, type Assignment, type BatchPlay, type Member } from "./batch.ts";
import { chanceOfMajority } from "./chance.ts";
import { JURY_PHASES, PHASE, type Step } from "./history.ts";
import { GROUP, TRUE, type Result } from "./strategies.ts";
import { inC, PARAMETERS, type Node, type World } from "./world.ts";

/** What somebody does about an assignment instead of settling it. Members by number on the panel. */
export type Accusation =
  | { matter: "exception"; verdict: Exclude<Verdict, "none">; accused: number[]; task: number }
  | { matter: "silence"; task: number; caller: Node }
  | { matter: "work" | "delivery"; task: number };

interface Seat {
  node: Node;
  cast?: Result;
}

/** An excepted or disputed assignment, to its end. */
export class Dispute {
  readonly #play: BatchPlay;
  readonly #world: World;
  readonly #assignment: Assignment;
  readonly #accusation: Accusation;
  readonly #index: number;
  /** By member. */
  readonly #opened: (Result | undefined)[];
  readonly #rulings: (Result | undefined)[] = [];
  readonly #juries: { jury: SeatedJury; seats: Seat[] }[] = [];
  #challenge: EndedDispute["challenge"];

  constructor(play: BatchPlay, assignment: Assignment, accusation: Accusation) {
    this.#play = play;
    this.#world = play.world;
    this.#assignment = assignment;
    this.#accusation = accusation;
    this.#index = assignment.slice.assignment;
    this.#opened = assignment.members.map(() => undefined);
  }

  play(): void {
    switch (this.#accusation.matter) {
      case "exception":
        return this.#except(this.#accusation);
      case "silence":
        return this.#callPanel(this.#accusation);
      case "work":
      case "delivery":
        return this.#contest();
    }
  }

  // --- Matters -------------------------------------------------------------------------------------------------------

  #except(accusation: Accusation & { matter: "exception" }): void {
    const { counts } = this.#world;
    const { accused, task, verdict } = accusation;
    const { members } = this.#assignment;
    counts.exceptions += 1;
    const isFalse =
      verdict === "no-majority"
        ? members.filter(({ results }) => results.get(task) === TRUE).length * 2 > this.#world.terms.quorum
        : accused.some((member) => members[member]!.results.get(task) === TRUE);
    if (isFalse) counts.falseExceptions += 1;
    if (accused.length === 0) {
      this.#record(PHASE.except, { do: "except", verdict, witness: task, round: 0, seat: 0 });
    }
    for (const member of accused) {
      const { round, seat } = members[member]!.seat ?? { round: 0, seat: 0 };
      const each = member === 0 ? "primary-differs" : "seat-differs";
      this.#record(PHASE.except, { do: "except", verdict: each, witness: task, round, seat });
    }
    const challenger = members.findIndex((member, place) => this.#challenges(member, place));
    if (challenger === -1) return this.#conclude();
    const { node } = members[challenger]!;
    this.#challenge = { by: node.address, bond: accused.includes(challenger) ? 0n : PARAMETERS.challengeBond };
    this.#record(PHASE.challenge, { do: "challenge", node: node.index });
    this.#spend(node);
    this.#open(PHASE.open);
    this.#rulePanel();
  }

  #callPanel({ caller }: Accusation & { matter: "silence" }): void {
    this.#record(PHASE.challenge, { do: "call-panel", node: caller.index });
    this.#spend(caller);
    this.#open(PHASE.open);
    this.#rulePanel();
  }

  #rulePanel(): void {
    this.#record(PHASE.rule, { do: "rule", late: this.#opened.includes(undefined) });
    this.#rulings.push(panelRuling(this.#opened, this.#world.terms.quorum));
    this.#appeal(PHASE.jury);
    this.#conclude();
  }

  #contest(): void {
    const { matter, task } = this.#accusation;
    const accused = this.#assignment.members[0]!;
    this.#record(PHASE.except, { do: "contest", matter, task, member: 0 });
    this.#spend();
    this.#rulings.push(undefined);
    if (!this.#answers(accused)) return this.#conclude(false);
    const hash = this.#world.random.bytes32();
    this.#record(PHASE.answerContest, { do: "answer-contest", node: accused.node.index, hash });
    this.#spend(accused.node);
    const { terms, options } = this.#world;
    const pay = BigInt(options.tasks / options.slices) * terms.price;
    this.#callJury(undefined, contestBond(terms, pay, PARAMETERS), hash, PHASE.contest);
    this.#appeal(PHASE.contest + JURY_PHASES);
    this.#conclude();
  }

  // --- What members do -----------------------------------------------------------------------------------------------

  /** Whether a member stands by what it said because it is right, and follows what is said about it. */
  #isHonest({ node, results }: Member): boolean {
    const { task, matter } = this.#accusation;
    if (node.asleep) return false;
    return matter === "delivery" ? node.strategy.delivers === true : results.get(task) === TRUE;
  }

  #challenges(member: Member, place: number): boolean {
    const accusation = this.#accusation;
    if (accusation.matter !== "exception") return false;
    const accused = accusation.accused.includes(place);
    // Who was not accused cannot tell whether somebody else was justly.
    if (this.#isHonest(member)) return accused || accusation.verdict === "no-majority";
    return accused && this.#hopes(member, 0n);
  }

  /** Whether the accused of a contest answers. */
  #answers(accused: Member): boolean {
    if (this.#isHonest(accused)) return true;
    if (this.#accusation.matter === "delivery" && accused.node.strategy.delivers === "claims") return true;
    const { terms, options } = this.#world;
    const worth = BigInt(options.tasks / options.slices) * terms.price;
    return this.#hopes(accused, lockOf(terms, terms.price, options.tasks / options.slices), worth);
  }

  /**
   * Whether a colluder expects to gain by fighting: what it would keep, and the group's part of what honest jurors would
   * lose, against what it would lose in addition. Only the last jury decides, and if the group is not the majority there
   * its members vote for the truth and lose nothing.
   */
  #hopes({ node }: Member, loses: bigint, keeps = this.#world.terms.slashAmount): boolean {
    const { terms, options } = this.#world;
    if (node.strategy.group === undefined || node.asleep) return false;
    const chance = this.#chanceOfLastJury;
    const { each } = slashOf(terms, terms.slashAmount, 1);
    const prize = keeps + each * BigInt(jurySeats(terms.quorum, 1));
    const stakes = loses + juryBond(terms, MAX_TIER);
    return chance * inC(prize) - (1 - chance) * inC(stakes) > 4 * options.gas;
  }

  /** Whether the group will take the matter to the last jury. */
  #fights(node: Node): boolean {
    const lie = this.#groupSays();
    const liar = this.#assignment.members.find(({ results }) => results.get(this.#accusation.task) === lie);
    return lie !== undefined && liar !== undefined && node.strategy.group !== undefined && this.#hopes(liar, 0n);
  }

  /** The chance that the group has the majority of the last jury. */
  get #chanceOfLastJury(): number {
    const { terms, groupShare } = this.#world;
    return chanceOfMajority(jurySeats(terms.quorum, MAX_TIER), groupShare);
  }

  /** Members open, and an honest requester does for whom it can read. */
  #open(phase: number): void {
    const { members } = this.#assignment;
    const { terms, options } = this.#world;
    const { task, matter } = this.#accusation;
    for (const [place, member] of members.entries()) {
      const said = member.results.get(task);
      if (said === undefined) continue;
      const same = members.filter(({ results }) => results.get(task) === said).length;
      const accused = matter === "work" && place === 0;
      const itself = !member.node.asleep && (said === TRUE || accused || same * 2 > terms.quorum);
      const requester = options.requester === "honest" && member.readable;
      if (!itself && !requester) continue;
      this.#opened[place] = said;
      this.#record(phase, { do: "open", member: place, task });
      this.#spend(itself ? member.node : undefined);
    }
  }

  // --- Juries --------------------------------------------------------------------------------------------------------

  /** Appeals while somebody does. */
  #appeal(firstPhase: number): void {
    for (let phase = firstPhase; this.#juries.length < MAX_TIER; phase += JURY_PHASES) {
      const appellant = this.#appellant();
      if (!appellant) return;
      const hash = this.#world.random.bytes32();
      this.#record(phase, { do: "appeal", ...(appellant.node ? { node: appellant.node.index } : {}), hash });
      this.#spend(appellant.node);
      this.#callJury(appellant.node, appellant.bond, hash, phase);
    }
  }

  /** Who appeals and with what bond; no node for the requester. */
  #appellant(): { node?: Node; bond: bigint } | undefined {
    const { terms, options } = this.#world;
    const tier = this.#juries.length;
    const ruling = effectiveRuling(this.#rulings, tier);
    const cost = juryBond(terms, tier + 1);
    const right = this.#accusation.matter === "delivery" ? DELIVERED : TRUE;
    for (const [place, member] of this.#assignment.members.entries()) {
      const accused = this.#accusation.matter === "exception" && this.#accusation.accused.includes(place);
      const opened = this.#opened[place];
      const staked = tier === 0 && (ruling !== undefined && opened !== undefined ? opened !== ruling : accused);
      const bond = staked ? 0n : cost;
      if (this.#isHonest(member) ? this.#isWronged(place, ruling, right) : this.#isLost(member, place, ruling)) {
        return { node: member.node, bond };
      }
    }
    // A planted task's result it knows.
    const knows = this.#accusation.matter === "work" && options.requester === "honest";
    return knows && ruling !== TRUE ? { bond: cost } : undefined;
  }

  /** Whether an honest member is worse off than it should be. */
  #isWronged(place: number, ruling: Result | undefined, right: Result): boolean {
    const accusation = this.#accusation;
    if (ruling === right) return false;
    if (isContest(accusation.matter)) return place === 0 && ruling !== undefined;
    if (ruling !== undefined) return true;
    if (accusation.matter === "exception") {
      return accusation.verdict === "no-majority" || accusation.accused.includes(place);
    }
    // Who opened something else will pay for the jury.
    return this.#opened.some((opened) => opened !== undefined && opened !== TRUE);
  }

  /** Whether a colluder is about to lose its lock and thinks that a jury could change that. */
  #isLost(member: Member, place: number, ruling: Result | undefined): boolean {
    const accusation = this.#accusation;
    const opened = this.#opened[place];
    const accused = accusation.matter === "exception" && accusation.accused.includes(place);
    const guilty = ruling === undefined ? accused : opened === undefined ? accused : opened !== ruling;
    const lie = member.results.get(accusation.task) === GROUP;
    return lie && guilty && this.#hopes(member, 0n);
  }

  #callJury(appellant: Node | undefined, bond: bigint, hash: string, phase: number): void {
    const { world, entropy } = this.#play;
    const { terms, pool, counts, random } = world;
    const tier = this.#juries.length + 1;
    const involved = [
      this.#assignment.members[0]!.node,
      ...this.#assignment.drawn,
      ...this.#juries.flatMap(({ seats }) => seats.map(({ node }) => node)),
    ];
    const draw = (call: number, blockHash: string, skip: readonly Node[], count: number): Node[] =>
      drawJury(pool, {
        entropy,
        blockHash,
        assignment: this.#index,
        tier,
        call,
        sealedAt: SEALED_AT,
        slots: pool.length,
        skip: skip.map(({ address }) => address),
        count,
      }).map((address) => world.node(address));

    const seats: Seat[] = draw(0, hash, involved, jurySeats(terms.quorum, tier)).map((node) => ({ node }));
    this.#cast(tier, seats, phase + 1);
    const empty = seats.filter(({ cast }) => cast === undefined);
    if (empty.length > 0) {
      const again = random.bytes32();
      this.#record(phase + 2, { do: "rule", late: true, hash: again });
      for (const { node } of empty) this.#play.fine(node, 1);
      const present = seats.map(({ node }) => node);
      for (const [i, node] of draw(1, again, [...involved, ...present], empty.length).entries()) empty[i]!.node = node;
      this.#cast(tier, seats, phase + 3);
      const missing = seats.filter(({ cast }) => cast === undefined);
      this.#record(phase + 4, { do: "rule", late: missing.length > 0 });
      for (const { node } of missing) this.#play.fine(node, 1);
    } else this.#record(phase + 2, { do: "rule", late: false });

    for (const [seat, { node, cast }] of seats.entries()) {
      if (cast === undefined) continue;
      this.#record(phase + 5, { do: "show", tier, seat, node: node.index, value: cast });
      this.#spend(node);
    }
    const work = this.#accusation.matter === "work";
    if (work && tier === 1) this.#open(phase + 5);
    const complete = !work || this.#opened.every((opened) => opened !== undefined);
    this.#record(phase + 6, { do: "rule", late: !complete });
    this.#rulings.push(juryRuling(seats.map(({ cast }) => cast)));
    counts.juries[tier - 1]! += 1;
    this.#juries.push({
      seats,
      jury: {
        appellant: appellant?.address ?? terms.requester,
        bond,
        seats: seats.map(({ node, cast }) => ({ node: node.address, ...(cast === undefined ? {} : { shown: cast }) })),
      },
    });
  }

  #cast(tier: number, seats: Seat[], phase: number): void {
    const { counts } = this.#world;
    const { task, matter } = this.#accusation;
    const colluders = seats.filter(({ node }) => node.strategy.group !== undefined && !node.asleep).length;
    for (const [seat, each] of seats.entries()) {
      const { node } = each;
      if (each.cast !== undefined || node.asleep || node.strategy.seat === "silent") continue;
      const lie = this.#dares(tier, colluders, seats.length) ? this.#groupSays() : undefined;
      // Whatever it said in the first jury would be held against it in one of the two outcomes of the last.
      if (lie === undefined && tier < MAX_TIER && this.#fights(node)) continue;
      each.cast = this.#vote(node, lie);
      if (each.cast === TRUE && lie === undefined) node.computing += this.#world.costOf(task);
      node.checked += 1;
      if (matter !== "delivery") counts.judging += 1;
      this.#record(phase, { do: "cast", tier, seat, node: node.index, value: each.cast });
      this.#spend(node);
    }
  }

  /** Whether colluders on a jury lie: if they rule, and those of the first jury only if the last is likely to be theirs. */
  #dares(tier: number, colluders: number, seats: number): boolean {
    if (colluders * 2 <= seats) return false;
    return tier === MAX_TIER || this.#chanceOfLastJury * (colluders + 1) > colluders;
  }

  /** What a juror says; `lie` is what its group would say if it belongs to one that has the jury. */
  #vote(node: Node, lie: Result | undefined): Result {
    const { strategy } = node;
    const [primary] = this.#assignment.members as [Member];
    if (strategy.group !== undefined && lie !== undefined) return lie;
    if (this.#accusation.matter === "delivery") {
      return strategy.seat === "invents" || primary.node.strategy.delivers === true ? DELIVERED : UNDELIVERED;
    }
    return strategy.seat === "invents" ? inventedBy(node) : TRUE;
  }

  /** The group's result, if one of it is concerned. */
  #groupSays(): Result | undefined {
    const { task, matter } = this.#accusation;
    if (matter === "delivery") return undefined;
    const concerned = this.#assignment.members.some(({ results }) => results.get(task) === GROUP);
    return concerned ? GROUP : undefined;
  }

  // --- The end -------------------------------------------------------------------------------------------------------

  #conclude(answered = true): void {
    const { counts } = this.#world;
    const accusation = this.#accusation;
    const disputed = accusation.matter !== "exception" || this.#challenge !== undefined;
    if (disputed) counts.disputes += 1;
    this.#record(PHASE.conclude, { do: "conclude" });
    const panel = this.#play.ended(this.#assignment);
    const settled = conclude({
      ...panel,
      members: panel.members.map(({ node }, place) => {
        const opened = this.#opened[place];
        return { node, ...(opened === undefined ? {} : { opened }) };
      }),
      ...(accusation.matter === "exception" ? { verdict: accusation.verdict, accused: accusation.accused } : {}),
      ...(disputed ? { dispute: this.#ended(answered) } : {}),
    });
    this.#play.fineAbsent(this.#assignment);
    this.#world.transfer(settled.transfers);
    if (settled.lied) counts.lied += 1;
    const { members } = this.#assignment;
    const right = accusation.matter === "delivery" ? UNDELIVERED : TRUE;
    const jurors = this.#juries.flatMap(({ seats }) => seats).filter(({ cast }) => cast === right);
    counts.truths += jurors.length;
    counts.falseSlashes +=
      settled.guilty.filter((member) => members[member]!.results.get(accusation.task) === TRUE).length +
      jurors.filter(({ node }) => settled.guiltyJurors.includes(node.address)).length;
    const [primary] = panel.members as [{ node: string }];
    const paid = settled.transfers.some(({ from, to, amount }) => {
      const pay = BigInt(panel.count) * panel.price;
      return from === "escrow" && to === primary.node && amount === pay;
    });
    this.#play.count(this.#assignment, paid, settled.guilty);
  }

  #ended(answered: boolean): EndedDispute {
    const { matter } = this.#accusation;
    return {
      matter,
      ...(this.#challenge ? { challenge: this.#challenge } : {}),
      member: 0,
      answered,
      rulings: this.#rulings,
      juries: this.#juries.map(({ jury }) => jury),
      pot: matter === "silence",
    };
  }

  #record(phase: number, move: Step): void {
    this.#play.record(phase, { assignment: this.#index, ...move });
  }

  /** What a step costs whoever makes it; the requester if nobody is named. */
  #spend(node?: Node): void {
    const { gas } = this.#world.options;
    if (node) node.gas += gas;
    else this.#world.requesterGas += gas;
  }
}
