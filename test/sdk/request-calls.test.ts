import { expect } from "chai";
import { ZeroAddress, type FunctionFragment, type Interface } from "ethers";

import { requestsInterface, schemasInterface } from "#sdk/market-abi.ts";
import type { ContractCall } from "#sdk/contract-call.ts";
import * as calls from "#sdk/request-calls.ts";
import {
  hasRoles,
  rewardFunctionBits,
  rewardFunctionsIn,
  rolesIn,
  type JobRequest,
  type Ruling,
} from "#sdk/request-terms.ts";
import { codeOf } from "../support/error-code.ts";

const to = "0x0000000000000000000000000000000000000099";
const bytes32 = (n: number): string => `0x${n.toString(16).padStart(64, "0")}`;
const address = (n: number): string => `0x${n.toString().padStart(40, "0")}`;
const key = `0x02${"ab".repeat(32)}`;

const request: JobRequest = {
  requester: address(1),
  delegate: ZeroAddress,
  schema: bytes32(2),
  root: address(3),
  release: bytes32(4),
  nonce: 5n,
  input: bytes32(6),
  testData: bytes32(7),
  rewardFunction: "list",
  evaluatorReward: 8n,
  workerReward: 9n,
  list: [10n, 11n],
  evaluators: [address(12)],
  workers: [address(13), address(14)],
  minWorkers: 15,
  maxWorkers: 16,
  skipEvaluation: true,
  acceptWindow: 17,
  timeLimit: 18,
  stepWindow: 19,
  deposit: 20n,
  challengeFee: 21n,
  encryptionKey: key,
};
const sentRequest = [
  ...[address(1), ZeroAddress, bytes32(2), address(3), bytes32(4), 5n, bytes32(6), bytes32(7), 5n, 8n, 9n],
  ...[[10n, 11n], [address(12)], [address(13), address(14)], 15n, 16n, true, 17n, 18n, 19n, 20n, 21n, key],
];
const ruling: Ruling = { verdict: "ranking", order: [address(1), address(2)], scores: [4n, 3n] };
const sentRuling = [1n, [address(1), address(2)], [4n, 3n]];
const path = [address(8), address(9)];
const terms = { release: bytes32(1), minimumDeposit: 2n, challengeFee: 1n, rewardFunctions: 31, nonce: 3n };

/** Each call, and the values it must carry, as ethers prints them. */
const schemas: Record<string, [ContractCall, unknown[]]> = {
  registerJob: [calls.registerJob(to, { terms }), [[bytes32(1), 2n, 1n, 31n, 3n]]],
  release: [calls.release(to, { schema: bytes32(1), release: bytes32(2) }), [bytes32(1), bytes32(2)]],
  applyJob: [
    calls.applyJob(to, { schema: bytes32(1), roles: 6, parent: address(2), qualification: bytes32(3) }),
    [bytes32(1), 6n, address(2), bytes32(3)],
  ],
  approveNode: [
    calls.approveNode(to, { schema: bytes32(1), node: address(2), roles: 6 }),
    [bytes32(1), address(2), 6n],
  ],
  drop: [calls.drop(to, { schema: bytes32(1), node: address(2) }), [bytes32(1), address(2)]],
  startRoot: [calls.startRoot(to, { schema: bytes32(1) }), [bytes32(1)]],
  publishKey: [calls.publishKey(to, { encryptionKey: key }), [key]],
};
const requests: typeof schemas = {
  requestJob: [calls.requestJob(to, { request }), [sentRequest]],
  acceptJob: [calls.acceptJob(to, { request, role: "worker", encryptionKey: key }), [sentRequest, 4n, key]],
  resign: [calls.resign(to, { id: bytes32(1) }), [bytes32(1)]],
  rejectWorker: [calls.rejectWorker(to, { request, worker: address(2) }), [sentRequest, address(2)]],
  start: [calls.start(to, { request }), [sentRequest]],
  cancel: [calls.cancel(to, { request }), [sentRequest]],
  grant: [calls.grant(to, { request, content: bytes32(2) }), [sentRequest, bytes32(2)]],
  submitCheckpoint: [
    calls.submitCheckpoint(to, { id: bytes32(1), number: 2, commitment: bytes32(3) }),
    [bytes32(1), 2n, bytes32(3)],
  ],
  submitResult: [calls.submitResult(to, { id: bytes32(1), commitment: bytes32(2) }), [bytes32(1), bytes32(2)]],
  revealResult: [
    calls.revealResult(to, { id: bytes32(1), digest: bytes32(2), salt: bytes32(3) }),
    [bytes32(1), bytes32(2), bytes32(3)],
  ],
  revealTestData: [
    calls.revealTestData(to, { request, digest: bytes32(2), salt: bytes32(3) }),
    [sentRequest, bytes32(2), bytes32(3)],
  ],
  rank: [calls.rank(to, { id: bytes32(1), ruling, report: bytes32(2) }), [bytes32(1), sentRuling, bytes32(2)]],
  acceptResult: [calls.acceptResult(to, { request }), [sentRequest]],
  challenge: [calls.challenge(to, { request, path }), [sentRequest, path]],
  reevaluate: [
    calls.reevaluate(to, { request, path, ruling, report: bytes32(2) }),
    [sentRequest, path, sentRuling, bytes32(2)],
  ],
  climb: [calls.climb(to, { id: bytes32(1) }), [bytes32(1)]],
  settle: [calls.settle(to, { request, path, ruling, revealed: path }), [sentRequest, path, sentRuling, path]],
};

function changing(contract: Interface): string[] {
  return contract.fragments
    .filter((each): each is FunctionFragment => each.type === "function" && !(each as FunctionFragment).constant)
    .map(({ name }) => name)
    .sort();
}

describe("calls of evaluated jobs", () => {
  it("cover every function that changes something, and carry every value in its place", () => {
    const all = [[schemas, schemasInterface], [requests, requestsInterface]] as [typeof schemas, Interface][]; // prettier-ignore
    for (const [group, contract] of all) {
      expect(Object.keys(group).sort()).to.deep.equal(changing(contract));
      for (const [name, [call, sent]] of Object.entries(group)) {
        const { to: at, data } = call;
        const parsed = contract.parseTransaction({ data })!;
        expect([at, parsed.name, parsed.args.toArray(true)], name).to.deep.equal([to, name, sent]);
      }
    }
  });

  it("refuse what does not fit", async () => {
    expect(await codeOf(async () => calls.resign(to, { id: "0x12" }))).to.equal("CALL_INVALID");
    const tooMany = { ...request, maxWorkers: 256 };
    expect(await codeOf(async () => calls.start(to, { request: tooMany }))).to.equal("CALL_INVALID");
  });
});

describe("bits of evaluated jobs", () => {
  it("have names", () => {
    expect(rolesIn(5)).to.deep.equal(["admin", "worker"]);
    expect([hasRoles(6, "worker", "evaluator"), hasRoles(6, "admin")]).to.deep.equal([true, false]);
    const functions = ["even", "list"] as const;
    expect(rewardFunctionBits(functions)).to.equal(17);
    expect(rewardFunctionsIn(17)).to.deep.equal(functions);
    expect(rewardFunctionBits(["none"])).to.equal(0);
  });
});
