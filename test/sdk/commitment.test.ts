import { StandardMerkleTree } from "@openzeppelin/merkle-tree";
import { expect } from "chai";
import { AbiCoder, concat, hexlify, keccak256 } from "ethers";
import fc from "fast-check";

import {
  ballotOf,
  batchNonce,
  commit,
  DELIVERED,
  leaf,
  LEAF_TYPES,
  seedCommitment,
  taskDigest,
  UNDELIVERED,
  verifyOpening,
  type Opening,
} from "#sdk/commitment.ts";
import type { MemberContext } from "#sdk/context.ts";
import type { SuretyError } from "#sdk/errors.ts";
import { code } from "../support/error-code.ts";

const coder = AbiCoder.defaultAbiCoder();
const filled = (byte: number): string => hexlify(new Uint8Array(32).fill(byte));
const address = (byte: number): string => hexlify(new Uint8Array(20).fill(byte));

const CONTEXT: MemberContext = { chainId: 31337n, market: address(0xaa), batchId: filled(1), member: address(0x0b) };

const opening = (task: number): Opening => ({ task, digest: filled(task + 1), salt: filled(200 - task) });

const some32 = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => hexlify(bytes));
const some20 = fc.uint8Array({ minLength: 20, maxLength: 20 }).map((bytes) => hexlify(bytes));
const someContext = fc.record({
  chainId: fc.bigInt({ min: 1n, max: 2n ** 256n - 1n }),
  market: some20,
  batchId: some32,
  member: some20,
});
const someOpening = fc.record({ task: fc.nat(100_000), digest: some32, salt: some32 });

describe("commitment", () => {
  it("refuses to commit to nothing, to a task twice, to malformed values", () => {
    expect(code(() => commit([], CONTEXT))).to.equal("COMMITMENT_EMPTY");
    expect(code(() => commit([opening(1), { ...opening(2), task: 1 }], CONTEXT))).to.equal("COMMITMENT_TASK_DUPLICATE");
    expect(code(() => commit([{ ...opening(1), salt: "0x12" }], CONTEXT))).to.equal("CONTEXT_INVALID");
    expect(code(() => commit([{ ...opening(1), task: -1 }], CONTEXT))).to.equal("CONTEXT_INVALID");
    expect(code(() => commit([{ ...opening(1), task: 1.5 }], CONTEXT))).to.equal("CONTEXT_INVALID");
    expect(code(() => commit([opening(1)], { ...CONTEXT, member: "0x1234" }))).to.equal("CONTEXT_INVALID");
    expect(code(() => commit([opening(1)], CONTEXT).proof(2))).to.equal("COMMITMENT_TASK_UNKNOWN");
  });

  it("does not show a malformed seed in the error", () => {
    const context = { chainId: 1n, market: address(1), jobId: filled(1), sequence: 0n };
    try {
      seedCommitment(context, "0x5ec2e7");
      expect.fail("nothing thrown");
    } catch (error) {
      expect((error as SuretyError).code).to.equal("SECRET_INVALID");
      expect(JSON.stringify(error)).not.to.contain("5ec2e7");
    }
  });

  it("refuses an opening under any other context, or changed", () => {
    const openings = [0, 1, 2, 3, 4].map(opening);
    const { root, proof } = commit(openings, CONTEXT);
    const shown = openings[2]!;
    expect(verifyOpening(root, shown, proof(2), CONTEXT)).to.equal(true);
    for (const changed of [
      { ...CONTEXT, chainId: 1n },
      { ...CONTEXT, market: address(0xab) },
      { ...CONTEXT, batchId: filled(2) },
      { ...CONTEXT, member: address(0x0c) },
    ]) {
      expect(verifyOpening(root, shown, proof(2), changed)).to.equal(false);
    }
    expect(verifyOpening(root, { ...shown, task: 3 }, proof(2), CONTEXT)).to.equal(false);
    expect(verifyOpening(root, { ...shown, digest: filled(9) }, proof(2), CONTEXT)).to.equal(false);
    expect(verifyOpening(root, { ...shown, salt: filled(9) }, proof(2), CONTEXT)).to.equal(false);
    expect(verifyOpening(root, shown, proof(3), CONTEXT)).to.equal(false);
    expect(verifyOpening(root, shown, proof(2).slice(1), CONTEXT)).to.equal(false);
    expect(verifyOpening(root, shown, [], CONTEXT)).to.equal(false);
    expect(verifyOpening(root, shown, ["0x12", "nonsense"], CONTEXT)).to.equal(false);
    expect(verifyOpening("0x", shown, proof(2), CONTEXT)).to.equal(false);
  });

  it("makes the leaf the root of a tree of one", () => {
    const { root, proof } = commit([opening(7)], CONTEXT);
    expect(root).to.equal(leaf(opening(7), CONTEXT));
    expect(proof(7)).to.deep.equal([]);
    expect(verifyOpening(root, opening(7), [], CONTEXT)).to.equal(true);
  });

  it("hashes what abi.encode writes", () => {
    fc.assert(
      fc.property(
        someContext,
        someOpening,
        some32,
        fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
        (context, shown, secret, sequence) => {
          const { chainId, market, batchId, member } = context;
          const nonce = keccak256(coder.encode(["uint256", "address", "bytes32"], [chainId, market, batchId]));
          expect(batchNonce(context)).to.equal(nonce);
          expect(taskDigest(nonce, shown.task, secret)).to.equal(
            keccak256(coder.encode(["bytes32", "uint256", "bytes32"], [nonce, shown.task, secret])),
          );
          const encoded = coder.encode(
            [...LEAF_TYPES],
            [chainId, market, batchId, shown.task, member, shown.digest, shown.salt],
          );
          expect(leaf(shown, context)).to.equal(keccak256(concat([keccak256(encoded)])));
          if (BigInt(secret) === 0n) return;
          expect(seedCommitment({ chainId, market, jobId: batchId, sequence }, secret)).to.equal(
            keccak256(
              coder.encode(
                ["uint256", "address", "bytes32", "uint64", "bytes32"],
                [chainId, market, batchId, sequence, secret],
              ),
            ),
          );
        },
      ),
    );
  });

  it("seals a juror's ballot as abi.encode writes it", () => {
    const someBallot = fc.record({
      assignment: fc.nat(65_535),
      task: fc.nat(2 ** 24 - 1),
      tier: fc.integer({ min: 1, max: 2 }),
    });
    const types = ["uint256", "address", "bytes32", "uint256", "uint256", "uint256", "address", "bytes32", "bytes32"];
    fc.assert(
      fc.property(someContext, someBallot, some32, some32, (context, ballot, value, salt) => {
        const { chainId, market, batchId, member: juror } = context;
        const { assignment, task, tier } = ballot;
        const words = [chainId, market, batchId, assignment, task, tier, juror, value, salt];
        expect(ballotOf({ chainId, market, batchId, juror, ...ballot }, value, salt)).to.equal(
          keccak256(coder.encode(types, words)),
        );
      }),
    );
    const context = { ...CONTEXT, assignment: 2, task: 3, tier: 1, juror: address(0x0b) };
    expect(ballotOf(context, filled(4), filled(5))).to.equal(
      "0x5e4d60448e8485efd250a953781be5431c45fbe303295e569109ddd51689bc1d",
    );
    expect(code(() => ballotOf(context, "0x12", filled(5)))).to.equal("CONTEXT_INVALID");
    expect([DELIVERED, UNDELIVERED].map(BigInt)).to.deep.equal([1n, 2n]);
  });

  it("builds OpenZeppelin's StandardMerkleTree, whatever the order of the openings", () => {
    const openings = fc.uniqueArray(someOpening, { minLength: 1, maxLength: 40, selector: ({ task }) => task });
    fc.assert(
      fc.property(someContext, openings, (context, shown) => {
        const values = shown.map(({ task, digest, salt }) => [
          context.chainId,
          context.market,
          context.batchId,
          task,
          context.member,
          digest,
          salt,
        ]);
        const tree = StandardMerkleTree.of(values, [...LEAF_TYPES]);
        const commitment = commit(shown, context);
        expect(commitment.root).to.equal(tree.root);
        expect(commit(shown.toReversed(), context).root).to.equal(tree.root);
        shown.forEach((one, index) => {
          const proof = commitment.proof(one.task);
          expect(proof).to.deep.equal(tree.getProof(index));
          expect(verifyOpening(tree.root, one, proof, context)).to.equal(true);
        });
      }),
      { numRuns: 30 },
    );
  });
});
