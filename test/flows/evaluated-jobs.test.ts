import { join } from "node:path";
import { expect } from "chai";
import { hexlify } from "ethers";
import { contentIdFromBytes32 } from "#sdk/content.ts";
import { openEmbeddedStorage } from "#sdk/node/index.ts";
import { decodeInput } from "#sdk/request-content.ts";
import * as calls from "#sdk/request-calls.ts";
import { standingRuling, type RequestRecord, type RulingRecord } from "#sdk/request-state.ts";
import { ROLES } from "#sdk/request-terms.ts";
import { splitReward } from "#sdk/rewards.ts";
import { encryptionKeyPair } from "#sdk/seed.ts";
import type { ActingAgent } from "../support/acting-agent.ts";
import { DEPOSIT, FEE, POT, REWARD, RequestWorld, WINDOW, type OpenRequester } from "../support/request-world.ts";

describe("evaluated job", () => {
  let world: RequestWorld;

  before(async () => {
    world = await RequestWorld.start("square-root", "execution");
  });

  afterEach(() => world.reset());
  // Its agents would take the machine's time from other flows.
  after(() => world.stop());

  /** What the ruling that stands pays workers. */
  const paysOf = ({ rulings }: RequestRecord): [string, bigint][] => {
    const { order, scores } = rulings.at(-1)!.ruling;
    const pays = splitReward({ rewardFunction: "by-rank", pot: POT }, scores);
    return order.map((node, place) => [node, pays[place]!]);
  };
  /** What it comes to if a judge overturns the evaluator: its deposit pays the judge, and its reward is burned with the rest. */
  const overturning = (judge: ActingAgent, requester: OpenRequester, record: RequestRecord) => ({
    changes: new Map([
      [requester.address, -POT - REWARD],
      [world.evaluator.address, -DEPOSIT],
      [judge.address, FEE],
      ...paysOf(record),
    ]),
    burned: DEPOSIT - FEE + REWARD,
  });
  const everybody = (): string[] => world.workers.map(({ address }) => address).sort();

  describe("request", () => {
    it("is worked on, ranked and paid by the ranking", async () => {
      const requester = await world.newRequester();
      const close = await world.openBooks();
      const id = await world.order(requester);
      const ruled = await world.phase(id, "contestable");
      const { ruling, judge } = standingRuling(ruled)!;
      expect(judge).to.equal(world.evaluator.address);
      expect([...ruling.order].sort()).to.deep.equal(everybody());
      await world.pass(WINDOW + 1);
      const record = await world.phase(id, "ended");
      expect(record.outcome!.outcome).to.equal("ranked");
      await close({
        changes: new Map([[requester.address, -POT - REWARD], [world.evaluator.address, REWARD], ...paysOf(record)]),
        burned: 0n,
      });
      const answer = await requester.requesting.answerTo(id, { signal: AbortSignal.timeout(60_000) });
      expect(answer.replies.map(({ node }) => node)).to.deep.equal(ruling.order.slice(0, 1));
      expect(answer.report).to.match(/^the best is off by [\d.e-]+$/);
    });

    it("with an open input and without an evaluator pays evenly who the requester trusts", async () => {
      const requester = await world.newRequester();
      const close = await world.openBooks();
      const job = world.jobs.get("execution")!;
      const asked = { darts: "1000" };
      const id = await world.order(requester, {
        ...{ job, message: asked, visibility: "open" },
        terms: {
          ...{ skipEvaluation: true, workers: everybody(), rewardFunction: "even" },
          ...{ evaluatorReward: 0n, deposit: 0n, challengeFee: 0n },
        },
      });
      const record = await world.phase(id, "ended");
      expect(record.outcome!.outcome).to.equal("unevaluated");
      expect([...record.revealed].sort()).to.deep.equal(everybody());
      const stored = await openEmbeddedStorage({
        folder: join(world.market.folder, id),
        gateways: [world.market.gateway.url],
      });
      const input = await stored.get(contentIdFromBytes32(record.request.input), { maxBytes: 1_000 });
      const { message } = await decodeInput(input);
      expect(job.proto.worker.input.toJson(message)).to.deep.equal(asked);
      const share = POT / BigInt(world.workers.length);
      await close({
        changes: new Map([
          [requester.address, -POT],
          ...world.workers.map(({ address }): [string, bigint] => [address, share]),
        ]),
        burned: 0n,
      });
    });

    it("that too few accept costs nobody anything", async () => {
      const requester = await world.newRequester();
      const close = await world.openBooks();
      const more = world.workers.length + 1;
      const id = await world.order(requester, { terms: { minWorkers: more, maxWorkers: more } });
      await world.until("everybody who is there", () => {
        const found = world.state.requests.get(id);
        return found?.evaluator && found.workers.size === world.workers.length;
      });
      await world.pass(WINDOW + 1);
      expect((await world.phase(id, "ended")).outcome!.outcome).to.equal("cancelled");
      await close({ changes: new Map(), burned: 0n });
    });
  });

  describe("attack", () => {
    it("by an evaluator that leaves out the best is overturned at the call of the requester, where workers are gone", async () => {
      const requester = await world.newRequester();
      const close = await world.openBooks();
      const id = await world.order(requester);
      await world.until("the start", () => world.state.requests.get(id)?.started);
      await world.evaluator.kill();
      await world.phase(id, "ranking");
      for (const worker of world.workers) await worker.kill();
      await world.acting(world.evaluator, "lying").start();
      await world.until("the judge's ruling", () => world.record(id).rulings.length === 2);
      await world.pass(WINDOW + 1);
      const record = await world.phase(id, "ended");
      expect(record.challenges).to.deep.equal([{ by: requester.address, tier: 0 }]);
      expect([...record.rulings[1]!.ruling.order].sort()).to.deep.equal(everybody());
      expect(record.outcome!.outcome).to.equal("ranked");
      await close(overturning(world.parent, requester, record));
    });

    it("by an evaluator that leaves out the best is overturned by its parent, at the call of who was left out", async () => {
      const requester = await world.newRequester({ challenge: "never" });
      await world.evaluator.kill();
      await world.acting(world.evaluator, "lying").start();
      const close = await world.openBooks();
      const id = await world.order(requester);
      const record = await world.until("the judge's ruling", () => {
        const found = world.state.requests.get(id);
        return found && found.rulings.length === 2 && found;
      });
      const [first, second] = record.rulings as [RulingRecord, RulingRecord];
      expect(second.judge).to.equal(world.parent.address);
      expect([...second.ruling.order].sort()).to.deep.equal(everybody());
      expect(first.ruling.order).to.deep.equal(second.ruling.order.slice(1));
      expect(record.challenges).to.deep.equal([{ by: second.ruling.order[0], tier: 0 }]);
      await world.pass(WINDOW + 1);
      const { outcome } = await world.phase(id, "ended");
      expect(outcome!.outcome).to.equal("ranked");
      await close(overturning(world.parent, requester, record));
    });

    it("by an evaluator that lies and a parent that is silent ends with the root", async () => {
      const requester = await world.newRequester();
      await world.evaluator.kill();
      await world.acting(world.evaluator, "lying").start();
      const close = await world.openBooks();
      const id = await world.order(requester);
      await world.until("the start", () => world.state.requests.get(id)?.started);
      await world.parent.kill();
      const called = await world.phase(id, "judging");
      expect(called.tier).to.equal(1);
      await world.pass(WINDOW + 1);
      const record = await world.phase(id, "ended");
      expect(record.rulings.map(({ judge }) => judge)).to.deep.equal([world.evaluator.address, world.root.address]);
      expect([...record.rulings[1]!.ruling.order].sort()).to.deep.equal(everybody());
      await close(overturning(world.root, requester, record));
    });

    it("by an evaluator that accepts and is silent costs it its deposit, and its parent ranks", async () => {
      const requester = await world.newRequester();
      const close = await world.openBooks();
      const id = await world.order(requester);
      await world.until("the start", () => world.state.requests.get(id)?.started);
      await world.evaluator.kill();
      await world.phase(id, "ranking");
      await world.pass(WINDOW + 1);
      await world.until("the parent's ruling", () => world.record(id).rulings.length);
      await world.pass(WINDOW + 1);
      const record = await world.phase(id, "ended");
      expect(record.rulings.map(({ judge }) => judge)).to.deep.equal([world.parent.address]);
      await close({
        changes: new Map([
          [requester.address, -POT],
          [world.evaluator.address, -DEPOSIT],
          [world.parent.address, FEE],
          ...paysOf(record),
        ]),
        burned: DEPOSIT - FEE,
      });
    });

    it("by a worker that copies another's commitment, and then its result, gives it nothing", async () => {
      const { requests } = world.market.deployment;
      const thief = world.workers[2]!;
      await thief.kill();
      const requester = await world.newRequester();
      const close = await world.openBooks();
      const id = await world.order(requester);
      const { request } = await world.phase(id, "accepting");
      const encryptionKey = hexlify(encryptionKeyPair(`0x${"01".repeat(32)}`).publicKey);
      const accepted = await world.sendAs(
        thief,
        calls.acceptJob(requests!, { request, role: "worker", encryptionKey }),
      );
      expect(accepted).to.deep.equal([true]);
      const { commitment } = await world.until("somebody's commitment", () =>
        [...world.record(id).workers.values()].find((worker) => worker.commitment !== undefined),
      );
      const copied = calls.submitResult(requests!, { id, commitment: commitment! });
      expect(await world.sendAs(thief, copied)).to.deep.equal([true]);
      await world.until("what the others reveal", () => world.record(id).revealed.length === 2);
      const [victim] = world.record(id).revealed;
      const { digest } = world.record(id).workers.get(victim!)!;
      const opened = calls.revealResult(requests!, { id, digest: digest!, salt: `0x${"00".repeat(32)}` });
      expect(await world.sendAs(thief, opened)).to.deep.equal([false]);
      await world.pass(WINDOW + 1);
      await world.phase(id, "contestable");
      await world.pass(WINDOW + 1);
      const record = await world.phase(id, "ended");
      expect(record.rulings[0]!.ruling.order).to.have.lengthOf(2).and.not.include(thief.address);
      await close({
        changes: new Map([[requester.address, -POT - REWARD], [world.evaluator.address, REWARD], ...paysOf(record)]),
        burned: 0n,
      });
    });

    it("by an admin that drops its evaluator in mid-job takes nothing from what it accepted", async () => {
      const { schemas } = world.market.deployment;
      const { parent, evaluator, schema } = world;
      const requester = await world.newRequester();
      const close = await world.openBooks();
      const id = await world.order(requester);
      await world.until("the start", () => world.state.requests.get(id)?.started);
      await parent.kill();
      const dropped = await world.sendAs(parent, calls.drop(schemas!, { schema, node: evaluator.address }));
      expect(dropped).to.deep.equal([true]);
      await world.phase(id, "contestable");
      await world.pass(WINDOW + 1);
      const record = await world.phase(id, "ended");
      expect(record.outcome!.outcome).to.equal("ranked");
      await close({
        changes: new Map([[requester.address, -POT - REWARD], [evaluator.address, REWARD], ...paysOf(record)]),
        burned: 0n,
      });
      // It gets no more work, until its parent thinks otherwise.
      const next = await world.order(requester, { terms: { acceptWindow: 30 } });
      await world.until("all workers", () => world.record(next)?.workers.size === 3);
      await world.pass(31);
      const unmet = await world.phase(next, "ended");
      expect(unmet.outcome!.outcome).to.equal("cancelled");
      expect(unmet.evaluator).to.equal(undefined);
      await evaluator.kill();
      const roles = ROLES.evaluator;
      const qualification = `0x${"00".repeat(32)}`;
      const applied = calls.applyJob(schemas!, { schema, roles, parent: parent.address, qualification });
      await world.sendAs(evaluator, applied);
      await world.sendAs(parent, calls.approveNode(schemas!, { schema, node: evaluator.address, roles }));
    });
  });

  describe("participants killed at each durable step and restarted", () => {
    it("accept, commit, reveal and rank once", async () => {
      const { evaluator } = world;
      const worker = world.workers[0]!;
      const requester = await world.newRequester();
      for (const agent of [worker, evaluator]) await agent.kill();
      const close = await world.openBooks();
      const sentBefore = await world.market.transactionsOf(worker.address);
      // What is mined and final comes when it comes; each call goes the way of all calls. What a result is sealed under differs each time, and so its name.
      const only = /^(note (?!kept)|planned|sent|broadcast)/;
      const steps = await worker.startDying("participant", only);
      const evaluated = await evaluator.startDying("participant", only);
      const id = await world.order(requester);
      await world.phase(id, "contestable");
      await world.until("the last steps", async () => {
        return (await steps()).some((step) => /^(sent|broadcast) reveal$/.test(step)) && (await evaluated()).length > 0;
      });
      await world.pass(WINDOW + 1);
      const record = await world.phase(id, "ended");
      expect(record.rulings[0]!.ruling.order).to.include(worker.address);
      await close({
        changes: new Map([[requester.address, -POT - REWARD], [evaluator.address, REWARD], ...paysOf(record)]),
        burned: 0n,
      });
      expect(withoutSettling(await steps())).to.deep.equal([
        ...["note reserved", "planned accept-work", "broadcast accept-work"],
        ...["note result", "planned submit", "sent submit", "planned reveal", "broadcast reveal"],
      ]);
      expect(await world.market.transactionsOf(worker.address)).to.be.within(sentBefore + 3, sentBefore + 4);
      expect(await evaluated()).to.include.members(["note ruling", "planned rank"]);
      expect((await evaluated()).filter((step) => step === "planned accept-evaluation")).to.have.lengthOf(1);
    });
  });
});

/** Whoever is first settles. */
function withoutSettling(steps: readonly string[]): string[] {
  return steps.filter((step) => !step.endsWith(" settle"));
}
