import { id as hashOfText } from "ethers";
import type { ContractCall, DisputeArguments } from "#sdk/calls.ts";
import * as calls from "#sdk/calls.ts";
import {
  ballotOf,
  batchNonce,
  commit,
  DELIVERED,
  taskDigest,
  UNDELIVERED,
  type Commitment,
  type Opening,
} from "#sdk/commitment.ts";
import type { BatchContext } from "#sdk/context.ts";
import { SuretyError } from "#sdk/errors.ts";
import * as reads from "#sdk/reads.ts";
import { classIdOf, contentHash, type Exception, type Settlement, type Submission } from "#sdk/terms.ts";
import { BatchPlay } from "./batch.ts";
import type { ReplayChain } from "./chain.ts";
import type { History, Move } from "./history.ts";
import type { Result } from "./strategies.ts";
import { inC, NODE_STAKE, PARAMETERS, World, type Counts, type WorldOptions } from "./world.ts";

/** As long as a real one. */
const ENVELOPE = `0x${"5a".repeat(165)}`;
const MANIFEST = hashOfText("manifest");
const SALT = hashOfText("salt");

/** What somebody has in the simulation and on the chain, base units, as changes since the beginning. */
export interface Difference {
  whose: string;
  simulated: bigint;
  real: bigint;
}

/** What a replay found. */
export interface Replayed {
  history: History;
  /** What the simulation counted in it. */
  counts: Counts;
  /** Accounts and heaps that were compared. */
  compared: number;
  /** Empty if the twins and the contracts agree to the last unit. */
  differences: Difference[];
}

/**
 * A world of a chain's own market: ids and draws in it are those of the contracts.
 *
 * @param options With few nodes: each of them joins a pool on the chain, should the world be replayed.
 */
export function worldOn(chain: ReplayChain, options: Partial<WorldOptions>): World {
  const { chainId, market } = chain.deployment;
  return new World({ ...options, context: { chainId, market }, classId: classIdOf(hostOf(chain, options)) });
}

function hostOf(chain: ReplayChain, options: Partial<WorldOptions>): ReturnType<ReplayChain["classOf"]> {
  // A pool for each world, so that nobody else's node is in it.
  const named = JSON.stringify(options, (_, value: unknown) => (typeof value === "bigint" ? value.toString() : value));
  return chain.classOf(hashOfText(named));
}

/**
 * Plays one batch of a fresh world and does the same on the real contracts.
 *
 * @throws `REPLAY_REFUSED` if the contracts refuse a step that the simulation took.
 */
export async function replay(chain: ReplayChain, options: Partial<WorldOptions>): Promise<Replayed> {
  const world = worldOn(chain, options);
  const play = new BatchPlay(world, true);
  play.play();
  const { registry, vault, market } = chain.deployment;
  const addresses = world.nodes.map(({ address }) => address);
  await chain.populate(hostOf(chain, options), addresses, world.terms.requester);
  const burnedBefore = await reads.vaultBurned(chain.rpc, vault);

  await new Replay(chain, world, play).run();

  const differences: Difference[] = [];
  let compared = 0;
  const compare = (whose: string, simulated: bigint, real: bigint): void => {
    compared += 1;
    if (simulated !== real) differences.push({ whose, simulated, real });
  };
  for (const { address, index, credit, reward, stake, strategy } of world.nodes) {
    const whose = `node ${index} (${strategy.name})`;
    const state = await reads.nodeState(chain.rpc, registry, market, address);
    compare(`${whose}, market`, credit, await reads.available(chain.rpc, vault, market, address));
    compare(`${whose}, registry`, reward, await reads.available(chain.rpc, vault, registry, address));
    compare(`${whose}, stake`, stake, state.stake - NODE_STAKE);
    compare(`${whose}, committed`, 0n, state.committed);
  }
  const left = await reads.available(chain.rpc, vault, market, world.terms.requester);
  compare("requester", world.requester, left - NODE_STAKE);
  compare("burned", world.burned, (await reads.vaultBurned(chain.rpc, vault)) - burnedBefore);
  compare("the batch's lock", 0n, (await reads.lockedUnder(chain.rpc, vault, market, play.id)).amount);
  return { history: play.history, counts: world.counts, compared, differences };
}

/** Fails if a replay found anything. */
export function requireEqual({ differences }: Replayed, title: string): void {
  if (differences.length === 0) return;
  const lines = differences.map(({ whose, simulated, real }) => `${whose}: ${inC(simulated)}, really ${inC(real)}`);
  throw new SuretyError(
    "REPLAY_DIFFERS",
    `${title} ends differently on the contracts, in units of C:\n${lines.join("\n")}`,
    {
      details: { title, whose: differences.map(({ whose }) => whose).join(", ") },
    },
  );
}

/** What a member committed to. */
interface Committed {
  commitment: Commitment;
  openings: ReadonlyMap<number, Opening>;
}

class Replay {
  readonly #chain: ReplayChain;
  readonly #world: World;
  readonly #play: BatchPlay;
  readonly #context: BatchContext;
  readonly #submissions: Submission[] = [];
  readonly #answers: Settlement["answers"][number][][] = [];
  /** When the last of an assignment's later rounds was called for, seconds. */
  readonly #openedAt = new Map<number, number>();
  /** By assignment and member. */
  readonly #committed: Committed[][] = [];

  constructor(chain: ReplayChain, world: World, play: BatchPlay) {
    this.#chain = chain;
    this.#world = world;
    this.#play = play;
    const { chainId, market } = chain.deployment;
    this.#context = { chainId: BigInt(chainId), market, batchId: play.id };
  }

  async run(): Promise<void> {
    const { history } = this.#play;
    const { terms, nodes } = this.#world;
    const { batch, id } = this.#play;
    const { count, manifest, seedCommitment } = batch;
    await this.#send(terms.requester, calls.post(this.#market, { terms, count, manifest, seedCommitment }));
    for (const [slot, { node, results }] of history.slices.entries()) {
      void slot;
      const { address, index } = nodes[node]!;
      const request = { terms, batch, slot: index, count: results.length, minPrice: 0n };
      await this.#send(address, calls.claim(this.#market, request));
    }
    let sealedIn = 0;
    for (const [assignment, { node, first, results }] of history.slices.entries()) {
      const { address } = nodes[node]!;
      const said = results.map((result, i): [number, Result] => [first + i, result]);
      const { root } = this.#commit(assignment, address, said).commitment;
      const publication = { root, manifest: MANIFEST, envelope: ENVELOPE };
      sealedIn = await this.#send(address, calls.submit(this.#market, { batchId: id, assignment, ...publication }));
      const content = contentHash(MANIFEST, ENVELOPE);
      this.#submissions[assignment] = { node: address, first, count: results.length, root, content };
      this.#answers[assignment] = [];
    }
    await this.#chain.decide(sealedIn + PARAMETERS.finalDepth, history.sealHash);
    for (const move of history.moves) await this.#make(move);
  }

  async #make(move: Move): Promise<void> {
    const { terms, nodes } = this.#world;
    const { batch } = this.#play;
    const { assignment } = move;
    const { requester } = terms;
    const dispute: DisputeArguments = { terms, batch, panel: this.#panel(assignment) };
    const submission = this.#submissions[assignment]!;
    const market = this.#market;
    switch (move.do) {
      case "reveal": {
        await this.#send(requester, calls.reveal(market, { terms, batch, seed: this.#play.history.seed }));
        return;
      }
      case "answer": {
        const { address } = nodes[move.node]!;
        const { root } = this.#commit(assignment, address, move.results).commitment;
        const seat = { assignment, round: move.round, seat: move.seat };
        const publication = { root, manifest: MANIFEST, envelope: ENVELOPE };
        await this.#send(address, calls.answer(market, { terms, batch, seat, submission, ...publication }));
        this.#answers[assignment]!.push({ node: address, root, content: contentHash(MANIFEST, ENVELOPE) });
        return;
      }
      case "escalate":
        return this.#openRound(assignment, calls.escalate(market, { terms, batch, assignment, submission }), move.hash);
      case "redraw":
        await this.#chain.pass(await this.#panelDeadline(assignment));
        return this.#openRound(assignment, calls.redraw(market, { terms, batch, assignment, submission }), move.hash);
      case "except": {
        await this.#untilJudgeable(assignment);
        const { verdict, witness, round, seat } = move;
        const exceptions: Exception[] = [{ assignment, verdict, witness, round, seat, submission }];
        await this.#send(requester, calls.judge(market, { terms, batch, exceptions, last: false }));
        return;
      }
      case "judged":
        await this.#send(requester, calls.judge(market, { terms, batch, exceptions: [], last: true }));
        return;
      case "contest": {
        await this.#untilJudgeable(assignment);
        const { matter, task, member } = move;
        await this.#send(requester, calls.contest(market, { ...dispute, matter, task, member }));
        return;
      }
      case "answer-contest": {
        const call = calls.answerContest(market, { ...dispute, evidence: "0x" });
        return this.#called(nodes[move.node]!.address, call, move.hash);
      }
      case "challenge":
        await this.#send(nodes[move.node]!.address, calls.challenge(market, dispute));
        return;
      case "call-panel":
        await this.#chain.pass((await this.#panelDeadline(assignment)) + terms.windows.judge);
        await this.#send(nodes[move.node]!.address, calls.callPanel(market, dispute));
        return;
      case "open": {
        const { commitment, openings } = this.#committed[assignment]![move.member]!;
        const opening = openings.get(move.task)!;
        const request = { ...dispute, member: move.member, opening, proof: commitment.proof(move.task) };
        await this.#send(this.#chain.deployer, calls.open(market, request));
        return;
      }
      case "rule": {
        if (move.late) await this.#chain.pass((await this.#disputeOf(assignment)).deadline);
        return this.#called(this.#chain.deployer, calls.rule(market, dispute), move.hash);
      }
      case "appeal": {
        const by = move.node === undefined ? requester : nodes[move.node]!.address;
        return this.#called(by, calls.appeal(market, dispute), move.hash);
      }
      case "cast": {
        const juror = nodes[move.node]!.address;
        const { task } = await this.#disputeOf(assignment);
        const context = { ...this.#context, assignment, task, tier: move.tier, juror };
        const ballot = ballotOf(context, valueOf(move.value, task), SALT);
        await this.#send(juror, calls.castBallot(market, { ...dispute, seat: move.seat, ballot }));
        return;
      }
      case "show": {
        const { task } = await this.#disputeOf(assignment);
        const request = { ...dispute, seat: move.seat, value: valueOf(move.value, task), salt: SALT };
        await this.#send(nodes[move.node]!.address, calls.openBallot(market, request));
        return;
      }
      case "conclude": {
        const { matter, deadline } = await this.#disputeOf(assignment);
        const { raisedAt } = await reads.panelState(this.#chain.rpc, market, this.#play.id, assignment);
        await this.#chain.pass(matter === "none" ? raisedAt + terms.windows.challenge : deadline);
        await this.#send(this.#chain.deployer, calls.conclude(market, dispute));
        return;
      }
      case "settle":
        await this.#chain.pass(await this.#settleable(assignment));
        await this.#send(this.#chain.deployer, calls.settle(market, { terms, batch, settlements: [dispute.panel] }));
    }
  }

  get #market(): string {
    return this.#chain.deployment.market;
  }

  async #send(from: string, call: ContractCall): Promise<number> {
    return this.#chain.send(from, call);
  }

  /** Makes a call after which a later block's hash decides who is drawn. */
  async #called(from: string, call: ContractCall, hash: string | undefined): Promise<void> {
    const block = await this.#send(from, call);
    if (hash !== undefined) await this.#chain.decide(block + PARAMETERS.finalDepth, hash);
  }

  async #openRound(assignment: number, call: ContractCall, hash: string): Promise<void> {
    const block = await this.#send(this.#world.terms.requester, call);
    this.#openedAt.set(assignment, await this.#chain.now());
    await this.#chain.decide(block + PARAMETERS.finalDepth, hash);
  }

  #panel(assignment: number): Settlement {
    return { assignment, submission: this.#submissions[assignment]!, answers: this.#answers[assignment]! };
  }

  /** The next member's commitment. */
  #commit(assignment: number, member: string, said: readonly [task: number, Result][]): Committed {
    const nonce = batchNonce(this.#context);
    const openings = new Map(
      said.map(([task, result]) => [
        task,
        { task, digest: taskDigest(nonce, task, valueOf(result, task)), salt: SALT },
      ]),
    );
    const committed = { commitment: commit([...openings.values()], { ...this.#context, member }), openings };
    (this.#committed[assignment] ??= []).push(committed);
    return committed;
  }

  async #disputeOf(assignment: number): Promise<reads.DisputeState> {
    return reads.disputeOf(this.#chain.rpc, this.#market, this.#play.id, assignment);
  }

  /** Until when the last round of a panel may answer, seconds. */
  async #panelDeadline(assignment: number): Promise<number> {
    const { check } = this.#world.terms.windows;
    const opened = this.#openedAt.get(assignment);
    if (opened !== undefined) return opened + PARAMETERS.drawDelay + check;
    return (await reads.batchState(this.#chain.rpc, this.#market, this.#play.id)).revealedAt + check;
  }

  /** A panel short of answers is judged when its time is over. */
  async #untilJudgeable(assignment: number): Promise<void> {
    if (this.#isShort(assignment)) await this.#chain.pass(await this.#panelDeadline(assignment));
  }

  #isShort(assignment: number): boolean {
    const { adaptive, quorum } = this.#world.terms;
    const answered = this.#answers[assignment]!.length;
    return answered < (adaptive ? 1 : quorum - 1) || (answered > 0 && answered < quorum - 1);
  }

  /** From when on anybody may settle an assignment. */
  async #settleable(assignment: number): Promise<number> {
    const { windows } = this.#world.terms;
    const state = await reads.batchState(this.#chain.rpc, this.#market, this.#play.id);
    if (state.revealedAt === 0) return state.sealedAt + windows.reveal;
    const deadline = await this.#panelDeadline(assignment);
    return state.judged ? deadline : deadline + windows.judge + windows.challenge;
  }
}

/** The output root that a result stands for; votes stand for themselves. */
function valueOf(result: Result, task: number): string {
  return result === DELIVERED || result === UNDELIVERED ? result : hashOfText(`${result} of ${task}`);
}
