import { expect } from "chai";
import { ZeroAddress, type FunctionFragment, type Interface } from "ethers";

import * as calls from "#sdk/calls.ts";
import { marketInterface, registryInterface, tokenInterface, vaultInterface } from "#sdk/market-abi.ts";
import type { Batch, HostClass, Submission, Terms } from "#sdk/terms.ts";
import { codeOf } from "../support/error-code.ts";

const to = "0x0000000000000000000000000000000000000099";
const bytes32 = (n: number): string => `0x${n.toString(16).padStart(64, "0")}`;
const address = (n: number): string => `0x${n.toString().padStart(40, "0")}`;

const terms: Terms = {
  requester: address(1),
  delegate: ZeroAddress,
  mode: "replicated",
  adaptive: false,
  fullSlash: true,
  quorum: 5,
  rate: 1_000_000,
  guess: 7,
  maxShare: 200_000,
  minSlice: 3,
  price: 11n,
  verifierPrice: 13n,
  slashAmount: 17n,
  class: bytes32(19),
  spec: bytes32(23),
  encryptionKey: `0x02${"ab".repeat(32)}`,
  windows: { claim: 1, submit: 2, reveal: 3, check: 4, judge: 5, challenge: 6 },
  allowed: [address(2)],
  excluded: [address(3), address(4)],
};
const batch: Batch = {
  job: bytes32(1),
  sequence: 2n,
  count: 3,
  slots: 4,
  manifest: bytes32(5),
  seedCommitment: bytes32(6),
};
const submission: Submission = { node: address(5), first: 6, count: 7, root: bytes32(8), content: bytes32(9) };
const publication = { root: bytes32(31), manifest: bytes32(32), envelope: "0x1234" };
const exception = { assignment: 1, verdict: "seat-differs" as const, witness: 2, round: 3, seat: 4, submission };
const settlement = {
  assignment: 1,
  submission,
  answers: [{ node: address(7), root: bytes32(8), content: bytes32(9) }],
};
const place = { market: address(1), class: bytes32(2), slot: 3 };
const host: HostClass = {
  market: address(1),
  runtime: "container",
  fullSlash: false,
  slotStake: 2n,
  priceFloor: 3n,
  resources: bytes32(4),
};
const open = { terms, batch };
const disputed = { ...open, panel: settlement };
const opening = { task: 1, digest: bytes32(2), salt: bytes32(3) };
const ballot = { seat: 2, value: bytes32(3), salt: bytes32(4) };

/** Each call with the values it must carry, as ethers prints them. */
const market: Record<string, calls.ContractCall> = {
  post: calls.post(to, { terms, count: 1, manifest: bytes32(2), seedCommitment: bytes32(3) }),
  rebid: calls.rebid(to, { ...open, price: 5n }),
  claim: calls.claim(to, { ...open, slot: 1, count: 2, minPrice: 3n }),
  reclaim: calls.reclaim(to, { ...open, slot: 1, assignment: 2, minPrice: 3n }),
  submit: calls.submit(to, { ...publication, batchId: bytes32(1), assignment: 2 }),
  expire: calls.expire(to, { ...open, assignment: 1 }),
  seal: calls.seal(to, open),
  capture: calls.capture(to, { batchId: bytes32(1) }),
  reveal: calls.reveal(to, { ...open, seed: bytes32(1) }),
  answer: calls.answer(to, { ...open, ...publication, seat: { assignment: 1, round: 2, seat: 3 }, submission }),
  escalate: calls.escalate(to, { ...open, assignment: 1, submission }),
  redraw: calls.redraw(to, { ...open, assignment: 1, submission }),
  judge: calls.judge(to, { ...open, exceptions: [exception], last: true }),
  settle: calls.settle(to, { ...open, settlements: [settlement] }),
  revealAndSettle: calls.revealAndSettle(to, { ...open, seed: bytes32(1), settlements: [settlement] }),
  challenge: calls.challenge(to, disputed),
  callPanel: calls.callPanel(to, disputed),
  contest: calls.contest(to, { ...disputed, matter: "delivery", task: 2, member: 3 }),
  answerContest: calls.answerContest(to, { ...disputed, evidence: "0x1234" }),
  open: calls.open(to, { ...disputed, member: 2, opening, proof: [bytes32(5)] }),
  rule: calls.rule(to, disputed),
  appeal: calls.appeal(to, disputed),
  convene: calls.convene(to, disputed),
  castBallot: calls.castBallot(to, { ...disputed, seat: 2, ballot: bytes32(6) }),
  openBallot: calls.openBallot(to, { ...disputed, ...ballot }),
  exposeBallot: calls.exposeBallot(to, { ...disputed, ...ballot }),
  conclude: calls.conclude(to, disputed),
};
const registry: Record<string, calls.ContractCall> = {
  createClass: calls.createClass(to, host),
  stake: calls.stake(to, { market: address(1), amount: 2n }),
  stakeFor: calls.stakeFor(to, { market: address(1), node: address(2), amount: 2n }),
  unstake: calls.unstake(to, { market: address(1), amount: 2n }),
  unstakeFor: calls.unstakeFor(to, { market: address(1), node: address(2), amount: 2n }),
  withdrawStake: calls.withdrawStake(to, { market: address(1) }),
  withdrawStakeFor: calls.withdrawStakeFor(to, { market: address(1), node: address(2) }),
  joinPool: calls.joinPool(to, place),
  joinPoolFor: calls.joinPoolFor(to, { ...place, node: address(2) }),
  leavePool: calls.leavePool(to, place),
  freeSlot: calls.freeSlot(to, place),
  evict: calls.evict(to, place),
};
const vault: Record<string, calls.ContractCall> = {
  deposit: calls.deposit(to, { ledger: address(1), holder: address(2), amount: 3n }),
  withdraw: calls.withdraw(to, { ledger: address(1), amount: 2n, to: address(3) }),
  entrust: calls.entrust(to, { ledger: address(1), holder: address(2), owner: address(3) }),
  withdrawFor: calls.withdrawFor(to, { ledger: address(1), holder: address(2), amount: 2n, to: address(3) }),
  move: calls.move(to, { from: address(1), to: address(2), amount: 3n }),
  sweepBurned: calls.sweepBurned(to),
};

/** What only a market may call. */
const FOR_MARKETS = [
  "commitAssignment",
  "commitSeat",
  "commitBond",
  "release",
  "slash",
  "fine",
  "lock",
  "pledge",
  "close",
];

function changing(contract: Interface): string[] {
  return contract.fragments
    .filter(
      (fragment): fragment is FunctionFragment =>
        fragment.type === "function" && !(fragment as FunctionFragment).constant,
    )
    .map(({ name }) => name)
    .filter((name) => !FOR_MARKETS.includes(name))
    .sort();
}

describe("calls", () => {
  it("cover everything that a person or an agent may do", () => {
    expect(Object.keys(market).sort()).to.deep.equal(changing(marketInterface));
    expect(Object.keys(registry).sort()).to.deep.equal(changing(registryInterface));
    expect(Object.keys(vault).sort()).to.deep.equal(changing(vaultInterface));
  });

  it("call the function of their name at the address given", () => {
    const all = [[market, marketInterface], [registry, registryInterface], [vault, vaultInterface]] as [typeof market, Interface][]; // prettier-ignore
    for (const [group, contract] of all) {
      for (const [name, call] of Object.entries(group)) {
        expect(call.to).to.equal(to);
        expect(contract.parseTransaction({ data: call.data })?.name).to.equal(name);
      }
    }
    expect(
      tokenInterface.parseTransaction(calls.approve(to, { spender: address(1), amount: 2n }))?.args.toArray(),
    ).to.deep.equal([address(1), 2n]);
    expect(tokenInterface.parseTransaction(calls.transfer(to, { to: address(1), amount: 2n }))?.name).to.equal(
      "transfer",
    );
  });

  it("carry every value in its place", () => {
    const sent = (name: keyof typeof market): unknown[] => {
      const { args } = marketInterface.parseTransaction(market[name]!)!;
      return args.toArray(true) as unknown[];
    };
    const sentTerms = [
      terms.requester, terms.delegate, 3n, false, true, 5n, 1_000_000n, 7n, 200_000n, 3n, 11n, 13n, 17n, terms.class, terms.spec,
      terms.encryptionKey, [1n, 2n, 3n, 4n, 5n, 6n], terms.allowed, terms.excluded,
    ]; // prettier-ignore
    const sentBatch = [batch.job, 2n, 3n, 4n, batch.manifest, batch.seedCommitment];
    const sentSubmission = [submission.node, 6n, 7n, submission.root, submission.content];
    const { root, manifest, envelope } = publication;
    expect(sent("post")).to.deep.equal([sentTerms, 1n, bytes32(2), bytes32(3)]);
    expect(sent("claim")).to.deep.equal([sentTerms, sentBatch, 1n, 2n, 3n]);
    expect(sent("reclaim")).to.deep.equal([sentTerms, sentBatch, 1n, 2n, 3n]);
    expect(sent("submit")).to.deep.equal([bytes32(1), 2n, root, manifest, envelope]);
    expect(sent("answer")).to.deep.equal([
      sentTerms,
      sentBatch,
      [1n, 2n, 3n],
      sentSubmission,
      root,
      manifest,
      envelope,
    ]);
    expect(sent("judge")).to.deep.equal([sentTerms, sentBatch, [[1n, 2n, 2n, 3n, 4n, sentSubmission]], true]);
    const sentSettlement = [1n, sentSubmission, [[address(7), bytes32(8), bytes32(9)]]];
    expect(sent("settle")).to.deep.equal([sentTerms, sentBatch, [sentSettlement]]);
    expect(sent("revealAndSettle")).to.deep.equal([sentTerms, sentBatch, bytes32(1), [sentSettlement]]);
    const panel = [sentTerms, sentBatch, sentSettlement];
    for (const name of ["challenge", "callPanel", "rule", "appeal", "convene", "conclude"]) {
      expect(sent(name)).to.deep.equal(panel);
    }
    expect(sent("contest")).to.deep.equal([...panel, 4n, 2n, 3n]);
    expect(sent("answerContest")).to.deep.equal([...panel, "0x1234"]);
    expect(sent("open")).to.deep.equal([...panel, 2n, [1n, bytes32(2), bytes32(3)], [bytes32(5)]]);
    expect(sent("castBallot")).to.deep.equal([...panel, 2n, bytes32(6)]);
    expect(sent("openBallot")).to.deep.equal([...panel, 2n, bytes32(3), bytes32(4)]);
    expect(sent("exposeBallot")).to.deep.equal([...panel, 2n, bytes32(3), bytes32(4)]);
    const created = registryInterface.parseTransaction(registry.createClass!)!.args.toArray(true);
    expect(created).to.deep.equal([[address(1), 2n, false, 2n, 3n, bytes32(4)]]);
  });

  it("refuse values that do not fit their types", async () => {
    expect(await codeOf(() => calls.capture(to, { batchId: "0x12" }))).to.equal("CALL_INVALID");
    expect(await codeOf(() => calls.stake(to, { market: address(1), amount: 2n ** 88n }))).to.equal("CALL_INVALID");
    expect(await codeOf(() => calls.stake(to, { market: "nobody", amount: 1n }))).to.equal("CALL_INVALID");
    expect(await codeOf(() => calls.expire(to, { ...open, assignment: -1 }))).to.equal("CALL_INVALID");
    const mode = "evaluated" as "sampled";
    expect(await codeOf(() => calls.seal(to, { batch, terms: { ...terms, mode } }))).to.equal("CALL_INVALID");
  });
});
