import { seedCommitment } from "#sdk/commitment.ts";
import { canDraw, drawPanel, seatsInFirstRound, type PanelRequest, type PanelRound } from "#sdk/draw.ts";
import { absentFine, MAX_ROUNDS, MAX_SEATS } from "#sdk/pricing.ts";
import { entropy, sampledCount, sampledTasks, type Slice } from "#sdk/sampling.ts";
import { BURNED, ESCROW, settle, type EndedPanel } from "#sdk/settlement.ts";
import { batchIdOf, type Batch } from "#sdk/terms.ts";
import { compare, type Comparison } from "../requester/comparison.ts";
import { Dispute, type Accusation } from "./dispute.ts";
import { PHASE, type History, type Move } from "./history.ts";
import { GROUP, TRUE, type Result } from "./strategies.ts";
import { PARAMETERS, type Node, type World } from "./world.ts";

/** When batches are sealed: nobody joins or leaves the pool, so any second does. */
export const SEALED_AT = 1;

/** One member of a panel. */
export interface Member {
  node: Node;
  /** What it says of each task it ran. */
  results: ReadonlyMap<number, Result>;
  /** Whether the requester can read that, and so open it for the member. */
  readable: boolean;
  /** Undefined for the primary. */
  seat?: { round: number; seat: number };
}

/** An assignment whose panel has answered. */
export interface Assignment {
  slice: Slice;
  sampled: number[];
  /** The primary, then who answered. */
  members: Member[];
  /** Everybody that was drawn. */
  drawn: Node[];
  /** Who was drawn in the last round and has not answered, where answers are missing. */
  absent: Node[];
  /** Answers that fill the panel; 0 where nothing is sampled. */
  needed: number;
  /** Not enough answered, and nobody can be drawn any more. */
  exhausted: boolean;
}

/** One batch from its post to its end, by the contracts' rules. */
export class BatchPlay {
  readonly world: World;
  readonly batch: Batch;
  readonly id: string;
  /** What decides who is checked by whom. */
  readonly entropy: string;
  readonly planted: ReadonlySet<number>;
  readonly #slices: { node: Node; slice: Slice; results: Map<number, Result> }[];
  readonly #seed: string;
  readonly #sealHash: string;
  readonly #moves: { phase: number; late: boolean; move: Move }[] = [];
  readonly #recording: boolean;

  /** @param recording Whether to keep what {@link history} tells. */
  constructor(world: World, recording = false) {
    this.world = world;
    this.#recording = recording;
    const { random, options, context, job } = world;
    const sequence = world.sequence++;
    this.#seed = random.bytes32();
    this.#sealHash = random.bytes32();
    this.batch = {
      job,
      sequence,
      count: options.tasks,
      slots: world.pool.length,
      manifest: `0x${"22".repeat(32)}`,
      seedCommitment: seedCommitment(
        { chainId: BigInt(context.chainId), market: context.market, jobId: job, sequence },
        this.#seed,
      ),
    };
    this.id = batchIdOf(context, this.batch);
    this.entropy = entropy(this.#seed, this.#sealHash, this.id);
    this.planted = new Set(random.different(Math.round(options.planted * options.tasks), options.tasks));
    this.#slices = this.#compute();
  }

  /** What was done. */
  get history(): History {
    const ordered = this.#moves.toSorted((a, b) => a.phase - b.phase || Number(b.late) - Number(a.late));
    return {
      seed: this.#seed,
      sequence: this.batch.sequence,
      tasks: this.batch.count,
      slices: this.#slices.map(({ node, slice, results }) => ({
        node: node.index,
        first: slice.first,
        results: [...results.values()],
      })),
      sealHash: this.#sealHash,
      moves: ordered.map(({ move }) => move),
    };
  }

  /** Notes a step down. Where steps of one phase wait for deadlines, the late ones come first. */
  record(phase: number, move: Move): void {
    if (this.#recording) this.#moves.push({ phase, late: "late" in move && move.late, move });
  }

  /** Plays it to the end. */
  play(): void {
    const { world } = this;
    const { counts, options } = world;
    counts.batches += 1;
    counts.tasks += options.tasks;
    counts.planted += this.planted.size;
    if (options.requester === "gone") {
      this.#settleUnrevealed();
      return;
    }
    this.record(PHASE.reveal, { assignment: 0, do: "reveal" });
    const assignments = this.#slices.map(({ node, slice, results }) => this.#check(node, slice, results));
    const undisputed: Assignment[] = [];
    let bondBurned = false;
    for (const assignment of assignments) {
      const accusation = this.#judge(assignment, bondBurned);
      if (!accusation) undisputed.push(assignment);
      else {
        new Dispute(this, assignment, accusation).play();
        if (accusation.matter === "silence") bondBurned = true;
      }
    }
    if (options.requester !== "silent") this.record(PHASE.judged, { assignment: 0, do: "judged" });
    for (const assignment of undisputed) bondBurned = this.#settle(assignment, bondBurned) || bondBurned;
  }

  /** A panel as its settlement sees it, before anybody opens. */
  ended({ slice, sampled, members }: Assignment): EndedPanel {
    const { terms } = this.world;
    return {
      terms,
      parameters: PARAMETERS,
      price: terms.price,
      count: slice.count,
      sampled: sampled.length,
      members: members.map(({ node }) => ({ node: node.address })),
      verdict: "none",
      accused: [],
    };
  }

  /** Takes a fine for a missing part of `tasks` tasks. */
  fine(node: Node, tasks: number): void {
    const amount = absentFine(this.world.terms, tasks);
    this.world.transfer([{ from: node.address, to: BURNED, amount }]);
  }

  /** Fines who was drawn last and is still missed when an assignment ends. */
  fineAbsent({ members, needed, absent, sampled }: Assignment): void {
    if (members.length - 1 >= needed) return;
    for (const node of absent) this.fine(node, sampled.length);
  }

  /** Counts how an assignment ended in which not everybody was paid. */
  count({ members }: Assignment, paid: boolean, guilty: readonly number[]): void {
    const { counts } = this.world;
    const [primary] = members as [Member];
    const lied = !isTrue(primary.results);
    counts.falseAnswersSlashed += guilty.filter((place) => place > 0 && !isTrue(members[place]!.results)).length;
    if (guilty.includes(0) && lied) counts.liesSlashed += 1;
    else if (lied && !paid) counts.liesUnpaid += 1;
    else if (!lied && !paid && primary.node.strategy.delivers === true) counts.falseForfeits += 1;
  }

  // --- Computing -----------------------------------------------------------------------------------------------------

  #compute(): { node: Node; slice: Slice; results: Map<number, Result> }[] {
    const { world } = this;
    const { random, nodes, options } = world;
    const count = options.tasks / options.slices;
    return random.different(options.slices, nodes.length).map((index, assignment) => {
      const node = nodes[index]!;
      const slice = { assignment, first: assignment * count, count };
      const invented = this.#invented(node, slice);
      const own = node.strategy.group === undefined ? inventedBy(node) : GROUP;
      const results = new Map<number, Result>();
      for (let task = slice.first; task < slice.first + count; task += 1) {
        const invents = invented(task);
        results.set(task, invents ? own : TRUE);
        if (!invents) node.computing += world.costOf(task);
      }
      node.claimed += count;
      world.counts.assignments += 1;
      return { node, slice, results };
    });
  }

  #invented(node: Node, slice: Slice): (task: number) => boolean {
    switch (node.strategy.invents) {
      case "none":
        return () => false;
      case "all":
        return () => true;
      case "one": {
        const only = slice.first + this.world.random.below(slice.count);
        return (task) => task === only;
      }
      case "dearest":
        return (task) => task % 10 === 0;
    }
  }

  // --- Checking ------------------------------------------------------------------------------------------------------

  /** Draws panels until one has all its answers and, as far as the requester wants, its quorum. */
  #check(primary: Node, slice: Slice, results: Map<number, Result>): Assignment {
    const { world, entropy } = this;
    const { terms, pool, random, counts } = world;
    // Most single tasks are not, and counting is quicker than drawing none.
    const sampled = sampledCount(entropy, slice, terms.rate) === 0 ? [] : sampledTasks(entropy, slice, terms.rate);
    const assignment: Assignment = {
      slice,
      sampled,
      members: [{ node: primary, results, readable: true }],
      drawn: [],
      absent: [],
      needed: 0,
      exhausted: false,
    };
    const lies = [...results].filter(([, result]) => result !== TRUE);
    if (lies.length > 0) counts.lies += 1;
    else counts.truths += 1;
    if (sampled.length === 0) return assignment;
    if (lies.some(([task]) => sampled.includes(task))) counts.liesChecked += 1;

    const rounds: PanelRound[] = [{ seats: seatsInFirstRound(terms) }];
    const request: PanelRequest = {
      entropy,
      assignment: slice.assignment,
      primary: primary.address,
      rounds,
      sealedAt: SEALED_AT,
      slots: pool.length,
      excluded: terms.excluded,
    };
    for (let escalated = false; ;) {
      const single = terms.adaptive && !escalated;
      const needed = single ? 1 : terms.quorum - 1;
      assignment.needed = needed;
      const round = rounds.length - 1;
      const drawn = drawPanel(pool, request).drawn[round]!.map((address) => world.node(address));
      assignment.drawn.push(...drawn);
      assignment.absent = this.#answer(assignment, round, drawn, needed);
      const answered = assignment.members.length - 1;
      const phase = PHASE.answer + 2 * round + 1;
      if (answered >= needed) {
        if (!single || !this.#wantsAll(assignment) || round === MAX_ROUNDS) return assignment;
        escalated = true;
        rounds.push({ seats: terms.quorum - 1 - answered, blockHash: random.bytes32() });
        this.record(phase, { assignment: slice.assignment, do: "escalate", hash: rounds.at(-1)!.blockHash as string });
        continue;
      }
      const enough = answered >= (single ? 1 : (terms.quorum - 1) / 2);
      if (enough && !this.#wantsAll(assignment)) return assignment;
      if (round === MAX_ROUNDS || !canDraw(pool, request)) {
        assignment.exhausted = !enough;
        return assignment;
      }
      for (const node of assignment.absent) this.fine(node, sampled.length);
      rounds.push({ seats: Math.min(2 * rounds.at(-1)!.seats, MAX_SEATS), blockHash: random.bytes32() });
      this.record(phase, { assignment: slice.assignment, do: "redraw", hash: rounds.at(-1)!.blockHash as string });
    }
  }

  /** Lets the nodes of a round answer until the panel is full; returns who did not. */
  #answer(assignment: Assignment, round: number, drawn: readonly Node[], needed: number): Node[] {
    const absent: Node[] = [];
    for (const [seat, node] of drawn.entries()) {
      const answered = assignment.members.length - 1;
      node.checked += answered < needed ? assignment.sampled.length : 0;
      if (answered >= needed || node.strategy.seat === "silent") {
        absent.push(node);
        continue;
      }
      const [said, readable] = this.#seatResult(assignment, node, round);
      const results = new Map(assignment.sampled.map((task) => [task, said(task)]));
      const { counts } = this.world;
      counts.verifying += assignment.sampled.length;
      if (isTrue(results)) counts.truths += 1;
      else counts.falseAnswers += 1;
      assignment.members.push({ node, results, readable, seat: { round, seat } });
      this.record(PHASE.answer + 2 * round, {
        assignment: assignment.slice.assignment,
        do: "answer",
        round,
        seat,
        node: node.index,
        results: [...results],
      });
    }
    return absent;
  }

  /** What a drawn node says of each task, and whether the requester can read it. */
  #seatResult(assignment: Assignment, node: Node, round: number): [(task: number) => Result, boolean] {
    const { world } = this;
    const { members, drawn, sampled } = assignment;
    const primary = members[0]!;
    const runs = (): [(task: number) => Result, boolean] => {
      for (const task of sampled) node.computing += world.costOf(task);
      return [() => TRUE, true];
    };
    const confirms: [(task: number) => Result, boolean] = [(task) => primary.results.get(task)!, true];
    if (node.strategy.seat === "invents") return [() => inventedBy(node), true];
    const { group } = node.strategy;
    if (group === undefined) return runs();
    const among = primary.node.strategy.group !== undefined;
    if (group === "attacks") {
      if (among) return confirms;
      const begun = members.some((member) => [...member.results.values()].includes(GROUP));
      return round === 0 || begun ? [() => GROUP, true] : runs();
    }
    if (!among) return runs();
    const alone = drawn.every((other) => other.strategy.group !== undefined);
    if (alone || group === "stands by") return confirms;
    return group === "drops" ? runs() : [() => inventedBy(node), false];
  }

  /** Whether the requester wants a full panel. */
  #wantsAll(assignment: Assignment): boolean {
    const { requester } = this.world.options;
    if (requester === "accuser" || requester === "muddler") return true;
    return requester === "honest" && this.#compare(assignment).kind !== "agree";
  }

  /** What an honest requester makes of what it can read; what it planted it knows. */
  #compare({ members, sampled }: Assignment): Comparison {
    const read = members
      .filter(({ readable }) => readable)
      .map(({ node, results, seat }) => ({
        member: seat ?? ("primary" as const),
        node: node.address,
        digests: results,
      }));
    const known = new Map(sampled.filter((task) => this.planted.has(task)).map((task) => [task, TRUE]));
    return compare(read, sampled, this.world.terms.quorum, known);
  }

  // --- Judging -------------------------------------------------------------------------------------------------------

  /** What the requester, or somebody in its absence, does about an assignment. */
  #judge(assignment: Assignment, bondBurned: boolean): Accusation | undefined {
    const { sampled, members, exhausted, slice } = assignment;
    if (exhausted) return undefined;
    const checked = sampled.length > 0;
    const full = checked && members.length >= this.world.terms.quorum;
    switch (this.world.options.requester) {
      case "honest":
        return this.#judgeHonestly(assignment);
      case "accuser":
        return full ? { matter: "exception", verdict: "primary-differs", accused: [0], task: sampled[0]! } : undefined;
      case "muddler":
        return full ? { matter: "exception", verdict: "no-majority", accused: [], task: sampled[0]! } : undefined;
      case "contester":
        return { matter: "work", task: slice.first };
      case "denier":
        return { matter: "delivery", task: 0 };
      case "silent": {
        // What it gets for opening is the pot's, which only the first has.
        if (!checked || bondBurned) return undefined;
        const caller = members.find(({ node }) => node.strategy.group === undefined && !node.asleep)?.node;
        return caller && { matter: "silence", task: sampled[0]!, caller };
      }
      case "gone":
        return undefined;
    }
  }

  #judgeHonestly(assignment: Assignment): Accusation | undefined {
    const { sampled, members, slice } = assignment;
    const primary = members[0]!;
    if (sampled.length > 0) {
      const comparison = this.#compare(assignment);
      // A panel without a quorum of answers that all agree is paid as it is.
      if (comparison.kind === "no-majority" && members.length >= this.world.terms.quorum) {
        return { matter: "exception", verdict: "no-majority", accused: [], task: comparison.witness };
      }
      if (comparison.kind === "differ") {
        const { odd, witness } = comparison;
        const accused = odd.map(({ node }) => members.findIndex((member) => member.node.address === node));
        const verdict = accused.includes(0) ? "primary-differs" : "seat-differs";
        return { matter: "exception", verdict, accused, task: witness };
      }
    }
    for (let task = slice.first; task < slice.first + slice.count; task += 1) {
      if (this.planted.has(task) && primary.results.get(task) !== TRUE) return { matter: "work", task };
    }
    return primary.node.strategy.delivers === true ? undefined : { matter: "delivery", task: 0 };
  }

  // --- The end without a dispute -------------------------------------------------------------------------------------

  /** Returns whether the requester's bond burned. */
  #settle(assignment: Assignment, bondBurned: boolean): boolean {
    const { world } = this;
    const { slice, exhausted } = assignment;
    const forced = world.options.requester === "silent" && !exhausted;
    this.fineAbsent(assignment);
    const outcome = exhausted ? "exhausted" : forced ? "forced" : "paid";
    world.transfer(settle(this.ended(assignment), outcome).transfers);
    if (exhausted) this.count(assignment, false, []);
    if (forced && !bondBurned) world.transfer([{ from: ESCROW, to: BURNED, amount: PARAMETERS.bondFixed }]);
    this.record(PHASE.settle, { assignment: slice.assignment, do: "settle" });
    return forced;
  }

  /** Nobody can tell who would have been checked: all are paid. */
  #settleUnrevealed(): void {
    const { world } = this;
    for (const { node, slice, results } of this.#slices) {
      const members = [{ node, results, readable: true }];
      const assignment = { slice, sampled: [], members, drawn: [], absent: [], needed: 0, exhausted: false };
      if ([...results.values()].some((result) => result !== TRUE)) world.counts.lies += 1;
      world.transfer(settle(this.ended(assignment), "forced").transfers);
      this.record(PHASE.settle, { assignment: slice.assignment, do: "settle" });
    }
    world.transfer([{ from: ESCROW, to: BURNED, amount: PARAMETERS.bondFixed }]);
  }
}

function isTrue(results: ReadonlyMap<number, Result>): boolean {
  return [...results.values()].every((result) => result === TRUE);
}

/** What a node invents by itself: nobody else says the same. */
export function inventedBy({ index }: Pick<Node, "index">): Result {
  return `invented ${index}`;
}
