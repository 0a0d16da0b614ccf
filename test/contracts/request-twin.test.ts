import { AssertionError, expect } from "chai";
import fc from "fast-check";
import { getAddress, id as keccakOf, type Log } from "ethers";
import type { RawEvent } from "#sdk/event-store.ts";
import { decodeRequestEvent } from "#sdk/request-events.ts";
import { requestSettlementOf } from "#sdk/request-settlement.ts";
import {
  pathOf,
  requestPhaseOf,
  RequestState,
  standingRuling,
  workersOf,
  type RequestPhase,
} from "#sdk/request-state.ts";
import {
  encodeRuling,
  REQUEST_STAGES,
  requestIdOf,
  resultCommitment,
  schemaIdOf,
  testDataCommitment,
  WORKER_STATUSES,
} from "#sdk/request-terms.ts";
import { ethers, networkHelpers, now, type Actor } from "./market-fixture.ts";
import {
  deployTree,
  EVALUATOR,
  MAX_DEPTH,
  Phase,
  postRequest,
  rankingOf,
  VOID,
  WITHHELD,
  WORKER,
  type Inquiry,
  type Request,
  type Tree,
} from "./request-fixture.ts";

const PHASES = new Map<bigint, RequestPhase>([
  [Phase.Accepting, "accepting"],
  [Phase.Unmet, "unmet"],
  [Phase.Computing, "computing"],
  [Phase.Revealing, "revealing"],
  [Phase.Ranking, "ranking"],
  [Phase.Overdue, "overdue"],
  [Phase.Contestable, "contestable"],
  [Phase.Judging, "judging"],
  [Phase.Unanswered, "unanswered"],
  [Phase.Settleable, "settleable"],
  [Phase.Ended, "ended"],
]);

const TEST_DATA = { digest: keccakOf("test data"), salt: keccakOf("salt of test data") };

/** What somebody tries; what is refused changes nothing. */
type Move = (inquiry: Inquiry, state: RequestState, who: number) => Promise<unknown>;

const workerAt = ({ t }: Inquiry, who: number): Actor => t.workers[who % t.workers.length]!;
const judgeAt = ({ t }: Inquiry, who: number): Actor => [t.evaluator, t.admin, t.root, t.requester][who % 4]!;

const moves: Record<string, Move> = {
  work: (inquiry, _, who) => inquiry.work(workerAt(inquiry, who)),
  evaluate: (inquiry) => inquiry.evaluate(),
  resign: (inquiry, _, who) => inquiry.as(workerAt(inquiry, who)).resign(inquiry.id),
  reject: (inquiry, _, who) => inquiry.as(inquiry.t.requester).rejectWorker(inquiry.request, workerAt(inquiry, who)),
  start: (inquiry) => inquiry.as(inquiry.t.requester).start(inquiry.request),
  cancel: (inquiry) => inquiry.as(inquiry.t.stranger).cancel(inquiry.request),
  checkpoint: (inquiry, _, who) =>
    inquiry.as(workerAt(inquiry, who)).submitCheckpoint(inquiry.id, who, keccakOf(`state ${who}`)),
  submit: (inquiry, _, who) => inquiry.submit(workerAt(inquiry, who)),
  submitAll: async (inquiry) => {
    for (const worker of inquiry.t.workers) await inquiry.submit(worker).catch(() => undefined);
  },
  reveal: (inquiry, _, who) => inquiry.reveal(workerAt(inquiry, who)),
  testData: (inquiry) =>
    inquiry.as(inquiry.t.requester).revealTestData(inquiry.request, TEST_DATA.digest, TEST_DATA.salt),
  rank: (inquiry, state, who) => inquiry.rank(who % 5 === 0 ? WITHHELD : rankingOf(...revealedOf(inquiry, state))),
  accept: (inquiry, _, who) =>
    inquiry.as(who % 2 === 0 ? inquiry.t.requester : workerAt(inquiry, who)).acceptResult(inquiry.request),
  challenge: (inquiry, _, who) => inquiry.challenge(who % 2 === 0 ? judgeAt(inquiry, who) : workerAt(inquiry, who)),
  reevaluate: (inquiry, state, who) =>
    inquiry.reevaluate(
      judgeAt(inquiry, who),
      who % 3 === 0 ? VOID : rankingOf(...revealedOf(inquiry, state).toReversed()),
    ),
  climb: (inquiry) => inquiry.climb(),
  settle: async (inquiry, state) => {
    const { t, id } = inquiry;
    const { ruling, revealed, ...expected } = requestSettlementOf(state.requests.get(id)!);
    const workers = revealed.map((node) => actorOf(t, node));
    const isDue = (await t.requests.phaseOf(id)) === Phase.Settleable;
    const standing = encodeRuling(ruling) as Parameters<Inquiry["settle"]>[0];
    const settled = await inquiry.settle(standing, workers).catch((error: unknown) => {
      if (isDue) expect.fail(`what the SDK would settle with was refused: ${String(error)}`);
      throw error;
    });
    const { logs } = (await settled.wait())!;
    const vault = await t.vault.getAddress();
    const end = logs
      .flatMap((log) => (log.address === vault ? [t.vault.interface.parseLog(log)!] : []))
      .find(({ name, args }) => name === "Released" && args["id"] === id)!;
    const paid = (end.args["payments"] as [string, bigint][]).map(([node, amount]) => ({ node, amount }));
    const { evaluator } = state.requests.get(id)!;
    const first = expected.evaluator > 0n ? [{ node: evaluator!.node, amount: expected.evaluator }] : [];
    expect(paid).to.deep.equal([...first, ...expected.workers]);
    expect(end.args["burned"]).to.equal(expected.burned);
    const ended = logs.flatMap((log) => (log.address === t.ledger ? [decodeRequestEvent(rawOf(log))!] : []));
    expect(ended).to.satisfy((events: typeof ended) =>
      events.some((event) => event.name === "Settled" && event.outcome === expected.outcome),
    );
  },
};

function revealedOf({ t, id }: Inquiry, state: RequestState): Actor[] {
  const { revealed } = state.requests.get(id)!;
  return revealed.map((node) => actorOf(t, node));
}

function actorOf({ workers }: Tree, node: string): Actor {
  return workers.find(({ address }) => address === node)!;
}

function rawOf({ blockNumber, blockHash, transactionHash, index, address, topics, data }: Log): RawEvent {
  const place = { blockNumber, blockHash, transactionHash, logIndex: index, address: getAddress(address) };
  return { ...place, topics: [...topics], data, timestamp: 0 };
}

async function readState(t: Tree): Promise<RequestState> {
  const address = [t.ledger, await t.schemas.getAddress()] as unknown as string;
  const state = new RequestState();
  for (const log of await ethers.provider.getLogs({ address, fromBlock: 0 })) {
    const { blockNumber, blockHash, transactionHash, index: logIndex, topics, data } = log;
    const { timestamp } = (await ethers.provider.getBlock(blockNumber))!;
    const place = { blockNumber, blockHash, transactionHash, logIndex, address: getAddress(log.address), timestamp };
    const event = decodeRequestEvent({ ...place, topics: [...topics], data });
    expect(event, topics[0]).not.to.equal(undefined);
    state.apply(event!);
  }
  return state;
}

/** Holds the fold of the events against what the contract has stored. */
async function compare({ t, id }: Inquiry, state: RequestState, last: string): Promise<RequestPhase> {
  const record = state.requests.get(id)!;
  const phase = requestPhaseOf(record, Number(await now()));
  expect(phase, last).to.equal(PHASES.get(await t.requests.phaseOf(id)));
  const stored = await t.requests.requestState(id);
  const ended = record.outcome !== undefined;
  expect(record.stage, last).to.equal(REQUEST_STAGES[Number(stored.stage)]);
  if (ended) return phase;
  expect({
    evaluator: record.evaluator?.node ?? ethers.ZeroAddress,
    startAt: BigInt(record.startAt),
    submitUntil: BigInt(record.submitUntil),
    deadline: BigInt(record.deadline),
    tier: BigInt(record.tier),
    ruled: BigInt((standingRuling(record)?.tier ?? -1) + 1),
    workers: BigInt(workersOf(record).length),
    revealed: BigInt(record.revealed.length),
    started: record.started,
    requesterSatisfied: record.requesterSatisfied,
  }).to.deep.equal({
    evaluator: stored.evaluator,
    startAt: stored.startAt,
    submitUntil: stored.submitUntil,
    deadline: stored.deadline,
    tier: stored.tier,
    ruled: stored.ruled,
    workers: stored.workers,
    revealed: stored.revealed,
    started: stored.started,
    requesterSatisfied: stored.requesterSatisfied,
  });
  for (const { address } of t.workers) {
    const { status } = await t.requests.workerOf(id, address);
    expect(record.workers.get(address)?.status ?? "none", last).to.equal(WORKER_STATUSES[Number(status)]);
  }
  return phase;
}

describe("evaluated jobs as the SDK reads them", function () {
  this.timeout(240_000);

  it("stand as the contract says after any moves at any time, and settle as it does", async () => {
    const seen = new Set<string>();
    const step = fc.record({
      move: fc.constantFrom(...Object.keys(moves)),
      who: fc.nat(11),
      wait: fc.constantFrom(0, 0, 0, 1, 299, 301, 601, 3_001),
    });
    /** What leads far, with moves between that anybody may try at any time. */
    const plot = ["work", "evaluate", "work", "start", "submitAll", "reveal", "reveal", "reveal", "reveal", "testData"];
    const ends = ["rank", "challenge", "reevaluate", "challenge", "reevaluate", "climb", "accept", "settle"];
    const quiet = { move: "checkpoint", who: 0, wait: 0 };
    const waitingAt = (waits: Record<number, number>) =>
      Array.from({ length: 18 }, (_, index) => ({ ...quiet, wait: waits[index] ?? 0 }));
    /** Two that between them come through every phase, however slow the machine is. */
    const examples: [boolean, ReturnType<typeof waitingAt>, number[]][] = [
      [false, waitingAt({ 4: 1, 9: 1 }), [0, 0, 1, 0, 0, 0, 1, 2, 3, 0, 1, 1, 1, 1, 2, 0, 0, 0]],
      [false, waitingAt({ 4: 1, 9: 601, 15: 301 }), [0, 0, 1, 0, 0, 0, 1, 2, 3, 0, 1, 1, 1, 1, 2, 0, 0, 0]],
    ];
    await fc.assert(
      fc.asyncProperty(
        fc.boolean(),
        fc.array(step, { minLength: 18, maxLength: 18 }),
        fc.array(fc.nat(11), { minLength: 18, maxLength: 18 }),
        async (hasTestData, noise, actors) => {
          const t = await networkHelpers.loadFixture(deployTree);
          const testData = await t.requests.testDataCommitment(t.requester, TEST_DATA.digest, TEST_DATA.salt);
          const changes: Partial<Request> = hasTestData ? { testData } : {};
          const inquiry = await postRequest(t, changes);
          let state = await readState(t);
          const attempt = async (name: string, who: number): Promise<void> => {
            await moves[name]!(inquiry, state, who).catch((error: unknown) => {
              if (error instanceof AssertionError) throw error;
            });
            state = await readState(t);
            seen.add(await compare(inquiry, state, name));
          };
          for (const [index, name] of [...plot, ...ends].entries()) {
            const { move, who, wait } = noise[index]!;
            await attempt(name, actors[index]!);
            if (index % 3 === 0) await attempt(move, who);
            if (wait === 1 || (index >= plot.length - 4 && wait > 0)) {
              await networkHelpers.time.increase(wait);
              seen.add(await compare(inquiry, state, `${wait} seconds`));
            }
          }
        },
      ),
      { numRuns: 14, seed: 7, examples },
    );
    const wanted = [
      "accepting",
      "computing",
      "revealing",
      "ranking",
      "overdue",
      "contestable",
      "judging",
      "unanswered",
    ];
    expect([...seen]).to.include.members([...wanted, "settleable", "ended"]);
  });

  it("have the contracts' ids and commitments", async () => {
    const t = await networkHelpers.loadFixture(deployTree);
    const { chainId } = await ethers.provider.getNetwork();
    const context = { chainId, requests: t.ledger, schemas: await t.schemas.getAddress() };
    const { id, request } = await postRequest(t, { list: [3n, 2n], rewardFunction: 5n, workerReward: 5n });
    const state = await readState(t);
    const schema = state.schemas.get(t.schema)!;
    expect(schemaIdOf(context, schema.registrant, schema.terms)).to.equal(t.schema);
    expect(requestIdOf(context, state.requests.get(id)!.request)).to.equal(id);
    const worker = t.workers[0]!.address;
    const [digest, salt] = [keccakOf("digest"), keccakOf("salt")];
    expect(resultCommitment(context, { id, worker, digest, salt })).to.equal(
      await t.requests.resultCommitment(id, worker, digest, salt),
    );
    expect(testDataCommitment(context, { requester: request.requester, digest, salt })).to.equal(
      await t.requests.testDataCommitment(request.requester, digest, salt),
    );
  });

  it("know who may do what in the tree, and under whom", async () => {
    const t = await networkHelpers.loadFixture(deployTree);
    const check = async (): Promise<void> => {
      const schema = (await readState(t)).schemas.get(t.schema)!;
      for (const [, { address }] of t.everybody) {
        for (const roles of [WORKER, EVALUATOR, WORKER | EVALUATOR]) {
          const expected = await t.schemas.pathOf(t.schema, address, roles).then(
            (path) => [...path],
            () => undefined,
          );
          expect(pathOf(schema, address, Number(roles)), address).to.deep.equal(expected);
        }
        const { parent, roles } = await t.schemas.applicationOf(t.schema, address);
        const application = schema.applications.get(address);
        expect([application?.parent ?? ethers.ZeroAddress, BigInt(application?.roles ?? 0)]).to.deep.equal([
          parent,
          roles,
        ]);
      }
    };
    await check();
    await t.schemas.connect(t.stranger).applyJob(t.schema, WORKER, t.admin, keccakOf("qualification"));
    await check();
    const { applications } = (await readState(t)).schemas.get(t.schema)!;
    expect(applications.get(t.stranger.address)?.qualification).to.equal(keccakOf("qualification"));
    await t.schemas.connect(t.root).drop(t.schema, t.admin);
    await check();
    await t.schemas.connect(t.admin).startRoot(t.schema);
    await check();
    await t.schemas.connect(t.root).release(t.schema, keccakOf("release 2"));
    const { releases } = (await readState(t)).schemas.get(t.schema)!;
    expect(releases.at(-1)).to.include({ number: 2, release: await t.schemas.releaseOf(t.schema) });
    expect(MAX_DEPTH).to.equal(8);
  });
});
