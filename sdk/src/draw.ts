import { getAddress, ZeroAddress, type BytesLike } from "ethers";

import { elementAt } from "./permutation.ts";
import { drawKey, juryKey, type JuryDrawId } from "./sampling.ts";

/** Places that one draw looks at, as in the registry. */
export const MAX_PLACES = 256;

/** {@link Slot.leftAt} of a slot that serves. */
export const FOREVER = 2 ** 48 - 1;

/** One place in the pool that verifiers are drawn from. */
export interface Slot {
  /** Who holds it; the zero address for a hole. */
  node: string;
  /** From when on it can be drawn, seconds. */
  activeFrom: number;
  /** Since when it cannot be drawn for what is sealed from then on, seconds; {@link FOREVER} while it serves. */
  leftAt: number;
}

/** The pool by place: an array, or a map that leaves holes out. */
export type Pool = readonly (Slot | undefined)[] | ReadonlyMap<number, Slot>;

/** Which nodes can be drawn for a batch. */
export interface Eligibility {
  /** When the batch was sealed: a slot counts if it was active then and had not left, seconds. */
  sealedAt: number;
  /** The places that count: 0 … slots-1, as frozen when the batch was posted. */
  slots: number;
  /** Nodes the job excludes. */
  excluded: readonly string[];
}

/** What {@link draw} takes. */
export interface DrawRequest extends Eligibility {
  /** Decides the order of the places, 32 bytes: {@link drawKey}. */
  key: BytesLike;
  /** Nodes that cannot be drawn: the panel so far. */
  skip: readonly string[];
  /** How many to draw. */
  count: number;
}

/**
 * Draws nodes uniformly per slot. Twin of `Registry.draw`.
 *
 * @returns In the order drawn; fewer than `count` if the pool, or the bound on places looked at, ends first.
 * @throws `CONTEXT_INVALID`, `NUMBER_OUT_OF_RANGE`
 */
export function draw(pool: Pool, { key, sealedAt, slots, skip, excluded, count }: DrawRequest): string[] {
  const barred = new Set([...skip, ...excluded].map((node) => getAddress(node)));
  const drawn: string[] = [];
  const places = Math.min(slots, MAX_PLACES);
  for (let place = 0; place < places && drawn.length < count; ++place) {
    const slot = slotAt(pool, elementAt(key, place, slots));
    if (!slot || slot.activeFrom > sealedAt || slot.leftAt <= sealedAt) continue;
    const node = getAddress(slot.node);
    if (node === ZeroAddress || barred.has(node)) continue;
    drawn.push(node);
    barred.add(node);
  }
  return drawn;
}

/** A round of a panel. */
export interface PanelRound {
  /** Seats in it. */
  seats: number;
  /** Hash of its entropy block; none in round 0, nor in a round whose entropy was lost, which drew nobody. */
  blockHash?: BytesLike;
}

/** What {@link drawPanel} takes. */
export interface PanelRequest extends Eligibility {
  /** E of the revealed batch. */
  entropy: BytesLike;
  assignment: number;
  /** The node that submitted the assignment. */
  primary: string;
  /** From round 0 on; see {@link seatsInFirstRound}. */
  rounds: readonly PanelRound[];
}

/** Who was drawn. */
export interface Panel {
  /** By round and seat. */
  drawn: string[][];
  /** The primary, then everybody drawn. */
  members: string[];
}

/**
 * Everybody on an assignment's panel. Twin of `Panels.drawnFor` over all rounds.
 *
 * @throws `CONTEXT_INVALID`, `NUMBER_OUT_OF_RANGE`
 *
 * @example
 * ```ts
 * const rounds = [{ seats: seatsInFirstRound(terms) }];
 * drawPanel(pool, { entropy, assignment: 0, primary, rounds, sealedAt, slots: batch.slots, excluded: terms.excluded });
 * ```
 */
export function drawPanel(pool: Pool, request: PanelRequest): Panel {
  const { entropy, assignment, primary, rounds, ...eligibility } = request;
  const members = [getAddress(primary)];
  const drawn = rounds.map(({ seats, blockHash }, round) => {
    if (round !== 0 && blockHash === undefined) return [];
    const key = drawKey({ entropy, blockHash: round === 0 ? undefined : blockHash, assignment, round });
    const nodes = draw(pool, { ...eligibility, key, skip: members, count: seats });
    members.push(...nodes);
    return nodes;
  });
  return { drawn, members };
}

/** How many seats round 0 of a panel has. Twin of `Panels.seatsIn`. */
export function seatsInFirstRound({ adaptive, quorum }: { adaptive: boolean; quorum: number }): number {
  return adaptive ? 1 : quorum - 1;
}

/**
 * Whether anybody is left to draw after the rounds of a panel. Twin of `Panels.canDraw`.
 *
 * @throws `CONTEXT_INVALID`, `NUMBER_OUT_OF_RANGE`
 */
export function canDraw(pool: Pool, request: PanelRequest): boolean {
  const { entropy, assignment, rounds, ...eligibility } = request;
  const { members } = drawPanel(pool, request);
  const key = drawKey({ entropy, assignment, round: rounds.length });
  return draw(pool, { ...eligibility, key, skip: members, count: 1 }).length !== 0;
}

/** What {@link drawJury} takes: nobody is excluded from a jury. */
export interface JuryRequest extends JuryDrawId, Omit<Eligibility, "excluded"> {
  /** Nodes that cannot be drawn: everybody drawn for the panel, or seated on a jury of this dispute before. */
  skip: readonly string[];
  /** How many to draw. */
  count: number;
}

/**
 * Who is drawn for a jury, in the order drawn.
 *
 * @returns Fewer than `count` if the pool, or the bound on places looked at, ends first.
 * @throws `CONTEXT_INVALID`, `NUMBER_OUT_OF_RANGE`
 */
export function drawJury(pool: Pool, { sealedAt, slots, skip, count, ...id }: JuryRequest): string[] {
  return draw(pool, { key: juryKey(id), sealedAt, slots, skip, excluded: [], count });
}

function slotAt(pool: Pool, place: number): Slot | undefined {
  return "get" in pool ? pool.get(place) : pool[place];
}
