import type { Dispute } from "../../test/contracts/dispute-fixture.ts";
import {
  ACTIVATION_DELAY,
  deployCrowd,
  deployMarket,
  ethers,
  networkHelpers,
  NODE_STAKE,
  termsOf,
  type Deployment,
  type Terms,
} from "../../test/contracts/market-fixture.ts";
import { juryPlaces, placesDrawn } from "../../test/contracts/reference.ts";

/*
 * Markets in use, on which gas is measured: accounts that were paid before, since a node that is paid for the first time
 * pays 17,100 more for its slot, once. And how to come by a draw that looks at nobody in vain, which costs the same on
 * every chain.
 */

/** Nodes of {@link deployUsed}: a square, so that no draw has to walk on from a place that is not there. */
export const POOL = 16;

/** One task in 33, as most jobs check. */
export const RATE = 30_000n;

/** 3 %, and a slash that this allows; fields of `changes` replace its own. */
export function rareTerms(d: Deployment, changes: Partial<Terms> = {}): Terms {
  return termsOf(d, { rate: RATE, price: 100n, verifierPrice: 120n, slashAmount: 10_000n, ...changes });
}

/** A market whose pool has {@link POOL} places. */
export async function deployUsed(): Promise<Deployment> {
  const d = await deployMarket();
  const registry = await d.registry.getAddress();
  for (const node of (await ethers.getSigners()).slice(4 + d.nodes.length, 4 + POOL)) {
    await d.vault.connect(d.admin).deposit(registry, node.address, NODE_STAKE);
    await d.registry.connect(node).stake(d.marketAddress, NODE_STAKE);
    await d.registry.connect(node).joinPool(d.marketAddress, d.wasmClass, d.nodes.length);
    d.nodes.push(node);
  }
  await networkHelpers.time.increase(ACTIVATION_DELAY);
  return await payAll(d);
}

/** A market with enough nodes for both juries of a dispute. */
export async function deployUsedCrowd(): Promise<Deployment> {
  return await payAll(await deployCrowd());
}

async function payAll(d: Deployment): Promise<Deployment> {
  for (const node of d.nodes) await d.vault.connect(d.admin).deposit(d.marketAddress, node.address, 1n);
  return d;
}

/**
 * Whether no draw for these assignments, each by the node of its index, looks at its own primary, and where there are
 * ten of them, as many different nodes sit on the panels as one must expect: who comes twice is cheaper the second time.
 */
export function drawsAsExpected(entropy: string, assignments: number, seats: number): boolean {
  const drawn = Array.from({ length: assignments }, (_, assignment) =>
    placesDrawn(entropy, assignment, BigInt(POOL), seats),
  );
  if (drawn.some((places, assignment) => places.includes(assignment))) return false;
  const all = [...new Set(drawn.flat())];
  return assignments < 10 || (all.length === (seats === 1 ? 8 : 12) && all.filter((place) => place >= 10).length === 4);
}

/** Mines the entropy of the newest jury, on a chain where its draw looks at nobody that may not sit on it. */
export async function mineFreshJury(dispute: Dispute): Promise<void> {
  const { d, life, members } = dispute;
  const { entropyBlock, seats } = await dispute.jury();
  const { tier } = await dispute.stored();
  const involved = [...members, ...(tier === 2n ? await dispute.jurors(1) : [])];
  for (let chain = 1; chain < 1_000; chain += 1) {
    const before = await networkHelpers.takeSnapshot();
    await networkHelpers.setPrevRandao(chain);
    await networkHelpers.mineUpTo(entropyBlock + 1n);
    const { hash } = (await ethers.provider.getBlock(Number(entropyBlock)))!;
    const places = juryPlaces(await life.entropy(), hash!, 0, Number(2n * tier), life.batch.slots);
    if (places.slice(0, Number(seats)).every((place) => !involved.includes(d.nodes[place]!))) return;
    await before.restore();
  }
  throw new Error("every draw looks at somebody that may not sit");
}
