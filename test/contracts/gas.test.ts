import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { expect } from "chai";

import type { Life } from "./market-fixture.ts";
import { startPanel, type Dispute } from "./dispute-fixture.ts";
import {
  ACTIVATION_DELAY,
  deployCrowd,
  deployMarket,
  ethers,
  Matter,
  networkHelpers,
  NODE_STAKE,
  pass,
  postBatch,
  termsOf,
  Verdict,
  type Deployment,
  type Terms,
} from "./market-fixture.ts";
import { juryPlaces, placesDrawn, sampledCount } from "./reference.ts";

/*
 * What a market's life costs, kept in gas.json. SURETY_UPDATE_GAS=1 writes the file anew; otherwise a figure that moved
 * by more than 1 % fails, so that a change that costs something shows it in its diff.
 *
 * Everybody's transactions are counted after refunds; deposits and registrations are not. The accounts are in use: a
 * node that is paid for the first time pays 17,100 more for its slot, once.
 */

const FILE = new URL("gas.json", import.meta.url);
const TOLERANCE = 0.01;
const RATE = 30_000n;

const measured: Record<string, Record<string, number>> = { steps: {}, disputes: {}, perTask: {}, slopes: {} };
/** The least seen, which is what a step costs when the first place that a draw looks at serves. */
const record = (group: string, name: string, gas: number): void => {
  const figures = measured[group]!;
  figures[name] = Math.min(Math.round(gas), figures[name] ?? Infinity);
};

/** A pool of sixteen: a square, so that no draw has to walk on from a place that is not there. */
async function deployUsed(): Promise<Deployment> {
  const d = await deployMarket();
  const registry = await d.registry.getAddress();
  for (const node of (await ethers.getSigners()).slice(16, 20)) {
    await d.vault.connect(d.admin).deposit(registry, node.address, NODE_STAKE);
    await d.registry.connect(node).stake(d.marketAddress, NODE_STAKE);
    await d.registry.connect(node).joinPool(d.marketAddress, d.wasmClass, d.nodes.length);
    d.nodes.push(node);
  }
  await networkHelpers.time.increase(ACTIVATION_DELAY);
  for (const node of d.nodes) await d.vault.connect(d.admin).deposit(d.marketAddress, node.address, 1n);
  return d;
}

/** Enough for both juries of a dispute. */
async function deployUsedCrowd(): Promise<Deployment> {
  const d = await deployCrowd();
  for (const node of d.nodes) await d.vault.connect(d.admin).deposit(d.marketAddress, node.address, 1n);
  return d;
}

const load = () => networkHelpers.loadFixture(deployUsed);

/**
 * Whether no draw for these assignments, each by the node of its index, looks at its own primary, and where there are
 * ten of them, as many different nodes sit on the panels as one must expect: who comes twice is cheaper the second time.
 */
function drawsAsExpected(entropy: string, assignments: number, seats: number): boolean {
  const drawn = Array.from({ length: assignments }, (_, assignment) => placesDrawn(entropy, assignment, 16n, seats));
  if (drawn.some((places, assignment) => places.includes(assignment))) return false;
  const all = [...new Set(drawn.flat())];
  return assignments < 10 || (all.length === (seats === 1 ? 8 : 12) && all.filter((place) => place >= 10).length === 4);
}

/** Mines the entropy of the newest jury, on a chain where its draw looks at nobody that may not sit on it. */
async function mineFreshJury(dispute: Dispute): Promise<void> {
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

/** 3 %, and a slash that this allows. */
const rare = (d: Deployment, changes: Partial<Terms> = {}) =>
  termsOf(d, { rate: RATE, price: 100n, verifierPrice: 120n, slashAmount: 10_000n, ...changes });

/** Gas of all transactions mined while `work` ran. */
async function gasOf(work: () => Promise<unknown>): Promise<number> {
  const first = (await ethers.provider.getBlockNumber()) + 1;
  await work();
  const last = await ethers.provider.getBlockNumber();
  let gas = 0n;
  for (let number = first; number <= last; number += 1) gas += (await ethers.provider.getBlock(number))!.gasUsed;
  return Number(gas);
}

/** A batch from post to the end, everything agreeing. Returns the gas of it all. */
async function wholeLife(
  d: Deployment,
  terms: Terms,
  count: number,
  assignments: number,
  { known = true, sampled }: { known?: boolean; sampled?: number } = {},
): Promise<number> {
  if (known) {
    const first = await postBatch(d, { terms, count: 1 });
    await pass(first.claimDeadline);
    await first.seal();
  }
  return await gasOf(async () => {
    const life = await postBatch(d, { terms, count });
    const each = count / assignments;
    await life.compute(...d.nodes.slice(0, assignments).map((node): [typeof node, number] => [node, each]));
    await life.mineEntropy(
      (entropy) =>
        (sampled === undefined || sampledCount(entropy, 0, count, terms.rate) === sampled) &&
        drawsAsExpected(entropy, assignments, terms.adaptive ? 1 : Number(terms.quorum) - 1),
    );
    const all = Array.from({ length: assignments }, (_, assignment) => assignment);
    if (sampled === 0) {
      const settlements = all.map((assignment) => life.settlement(assignment));
      await life.as(d.requester).revealAndSettle(life.terms, life.batch, life.seed, settlements);
    } else {
      await life.reveal();
      for (const assignment of all) {
        const drawn = await life.drawn(assignment);
        for (const seat of drawn.keys()) await life.answer(assignment, 0, seat);
      }
      await life.settle(d.requester, ...all);
    }
    expect((await life.state()).postedAt).to.equal(0n);
  });
}

describe("Gas", function () {
  this.timeout(300_000);

  const steps = async (chain: number) => {
    const d = await load();
    await networkHelpers.setPrevRandao(chain);
    let life!: Life;
    const terms = rare(d, { adaptive: true, rate: 250_000n });
    const post = async () => (life = await postBatch(d, { terms, count: 8 }));
    record("steps", "post, job new", await gasOf(post));
    record("steps", "post, job known", await gasOf(post));
    record("steps", "claim", await gasOf(() => life.claim(d.honest, 4)));
    await life.claim(d.lying, 4);
    record("steps", "submit", await gasOf(() => life.submit(0)));
    record("steps", "submit and seal", await gasOf(() => life.submit(1)));
    await life.mineEntropy((entropy) => drawsAsExpected(entropy, 2, 1));
    record("steps", "capture", await gasOf(() => d.market.capture(life.id)));
    record("steps", "reveal, captured", await gasOf(() => life.reveal()));
    record("steps", "answer", await gasOf(() => life.answer(0)));
    record("steps", "escalate", await gasOf(() => life.escalate(0)));
    await life.mineRound();
    record("steps", "answer, later round", await gasOf(() => life.answer(0, 1, 0)));
    const exception = await life.exception(1n);
    record("steps", "judge, one exception", await gasOf(() => life.judge([exception], false)));
    record("steps", "judge, none", await gasOf(() => life.judge([])));
    await pass(await life.checkDeadline(1));
    record("steps", "redraw", await gasOf(() => life.redraw(1)));
    await life.mineRound();
    await life.answer(1, 1, 0);
    record("steps", "settle, paid, more open", await gasOf(() => life.settle(d.requester, 1)));
    await pass(await life.challengeDeadline(0));
    record("steps", "conclude, unchallenged, closing", await gasOf(() => life.conclude(0)));

    const late = await postBatch(d, { terms, count: 8 });
    await late.claim(d.silent, 8);
    await pass(late.claimDeadline);
    record("steps", "expire", await gasOf(() => late.expire(0)));
    record("steps", "seal, closing", await gasOf(() => late.seal()));
    const changed = await postBatch(d, { terms });
    record("steps", "rebid", await gasOf(() => changed.as(d.requester).rebid(terms, changed.batch, 90n)));
  };

  const step = async (name: string, work: () => Promise<unknown>): Promise<void> =>
    record("disputes", name, await gasOf(work));

  const disputes = async (d: Deployment): Promise<void> => {
    const excepted = await startPanel(d, { 0: "x" });
    await excepted.life.judge([await excepted.life.exception(Verdict.PrimaryDiffers)]);
    const begun = await networkHelpers.takeSnapshot();
    await step("challenge, with a bond", () => excepted.challenge(excepted.member(1)));
    await begun.restore();
    await step("challenge, by the accused", () => excepted.challenge());
    for (const member of [0, 1, 2]) await step("open", () => excepted.open(member));
    await step("rule, three openings", () => excepted.rule());
    const uncontested = await networkHelpers.takeSnapshot();
    await excepted.passStep();
    await step("conclude, no jury, closing", () => excepted.life.conclude());
    await uncontested.restore();
    await step("appeal, with a bond", () => excepted.appeal(excepted.member(1)));
    await uncontested.restore();
    await step("appeal, with the lock", () => excepted.appeal(d.honest));
    await mineFreshJury(excepted);
    await step("convene, 7 jurors", () => excepted.convene());
    for (let seat = 0; seat < 7; seat += 1) await step("cast a ballot", () => excepted.vote(seat));
    const cast = await networkHelpers.takeSnapshot();
    const [juror] = await excepted.jurors();
    const ballot = [await excepted.value(""), excepted.saltOf(juror!)] as const;
    await step("expose a ballot", () => excepted.expose(0, ...ballot, excepted.member(1)));
    await cast.restore();
    await step("rule, 7 ballots cast", () => excepted.rule());
    for (let seat = 0; seat < 7; seat += 1) await step("open a ballot", () => excepted.showVote(seat));
    await step("rule, 7 ballots open", () => excepted.rule());
    const ruled = await networkHelpers.takeSnapshot();
    await excepted.passStep();
    await step("conclude, one jury, closing", () => excepted.life.conclude());
    await ruled.restore();
    await excepted.appeal(d.honest);
    await mineFreshJury(excepted);
    await step("convene, 14 jurors", () => excepted.convene());
    for (let seat = 0; seat < 14; seat += 1) await excepted.vote(seat);
    await excepted.rule();
    for (let seat = 0; seat < 14; seat += 1) await excepted.showVote(seat);
    await excepted.rule();
    await step("conclude, two juries, closing", () => excepted.life.conclude());
    await begun.restore();

    await networkHelpers.time.increaseTo((await excepted.life.challengeDeadline()) + 1n);
    await excepted.life.conclude();
    const other = await startPanel(d);
    await step("contest", () => other.contest(Matter.Work));
    const contested = await networkHelpers.takeSnapshot();
    await step("answer a contest", () => other.answerContest(d.honest));
    await contested.restore();
    await other.passStep();
    await step("conclude, contest not answered, closing", () => other.life.conclude());
    // A square of tasks, in whose order nothing has to be passed over.
    const silent = await startPanel(d, {}, { count: 16 });
    await networkHelpers.time.increaseTo((await silent.life.judgeDeadline()) + 1n);
    await step("call the panel", () => silent.callPanel());
  };

  it("of each step", async () => {
    for (let chain = 1; chain <= 12; chain += 1) await steps(chain);
  });

  it("of each step of a dispute, two verifiers and seven jurors", async () => {
    const d = await networkHelpers.loadFixture(deployUsedCrowd);
    for (let chain = 1; chain <= 3; chain += 1) {
      const before = await networkHelpers.takeSnapshot();
      await networkHelpers.setPrevRandao(chain);
      await disputes(d);
      await before.restore();
    }
  });

  for (const assignments of [1, 10]) {
    it(`of settling ${assignments} at once`, async () => {
      const d = await load();
      const terms = rare(d, { adaptive: true });
      const life = await postBatch(d, { terms, count: 100 * assignments });
      const work = d.nodes.slice(0, assignments).map((node): [typeof node, number] => [node, 100]);
      await life.compute(...work);
      await life.mineEntropy((entropy) => drawsAsExpected(entropy, assignments, 1));
      record("steps", `reveal, assignments: ${assignments}`, await gasOf(() => life.reveal()));
      for (const assignment of work.keys()) await life.answer(assignment);
      record("steps", `settle, sampled: ${assignments}`, await gasOf(() => life.settle(d.requester, ...work.keys())));
      const none = await postBatch(d, { terms, count: 2 * assignments });
      await none.compute(...work.map(([node]): [typeof node, number] => [node, 2]));
      await none.mineEntropy((entropy) => sampledCount(entropy, 0, 2 * assignments, RATE) === 0);
      const settlements = [...work.keys()].map((assignment) => none.settlement(assignment));
      record(
        "steps",
        `reveal and settle, unsampled: ${assignments}`,
        await gasOf(() => none.as(d.requester).revealAndSettle(none.terms, none.batch, none.seed, settlements)),
      );
    });
  }

  it("of whole lives, per task", async () => {
    const lives: [string, number, number, Partial<Terms>, { known?: boolean; sampled?: number }][] = [
      ["1 task, unsampled, job known", 1, 1, {}, { sampled: 0 }],
      ["1 task, unsampled, job new", 1, 1, {}, { sampled: 0, known: false }],
      ["10 tasks, 1 assignment, unsampled", 10, 1, {}, { sampled: 0 }],
      ["10 tasks, 1 assignment, sampled", 10, 1, {}, { sampled: 1 }],
      ["100 tasks, 1 assignment, adaptive", 100, 1, {}, {}],
      ["1,000 tasks, 10 assignments, adaptive", 1_000, 10, {}, {}],
      ["1,000 tasks, 10 assignments, q = 3", 1_000, 10, { adaptive: false }, {}],
      ["10,000 tasks, 10 assignments, job new, adaptive", 10_000, 10, {}, { known: false }],
      ["10,000 tasks, 10 assignments, job new, q = 3", 10_000, 10, { adaptive: false }, { known: false }],
    ];
    const total: Record<string, number> = {};
    for (const [name, count, assignments, changes, options] of lives) {
      const d = await load();
      total[name] = await wholeLife(d, rare(d, changes), count, assignments, options);
      record("perTask", name, total[name] / count);
    }
    const one = total["100 tasks, 1 assignment, adaptive"]!;
    const ten = total["1,000 tasks, 10 assignments, adaptive"]!;
    const assignment = (ten - one) / 9;
    record("slopes", "assignment, one seat included", assignment);
    record("slopes", "batch", one - assignment);
    record("slopes", "further seat", (total["1,000 tasks, 10 assignments, q = 3"]! - ten) / 10);
  });

  it("has not moved by more than 1 % from what is committed", () => {
    for (const [group, figures] of Object.entries(measured)) expect(figures, group).to.not.deep.equal({});
    if (process.env["SURETY_UPDATE_GAS"] === "1" || !existsSync(FILE)) {
      writeFileSync(FILE, `${JSON.stringify(measured, null, 2)}\n`);
      return;
    }
    const committed = JSON.parse(readFileSync(FILE, "utf8")) as typeof measured;
    const moved: string[] = [];
    for (const [group, figures] of Object.entries(measured)) {
      expect(Object.keys(figures), group).to.deep.equal(Object.keys(committed[group] ?? {}));
      for (const [name, gas] of Object.entries(figures)) {
        const before = committed[group]![name]!;
        if (Math.abs(gas / before - 1) > TOLERANCE) moved.push(`${group}, ${name}: ${before} -> ${gas}`);
      }
    }
    expect(moved).to.deep.equal([]);
  });
});
