import { expect } from "chai";
import { id as keccakOf, ZeroAddress, ZeroHash } from "ethers";

import { at, ethers, now } from "./market-fixture.ts";
import {
  ADMIN,
  ALL_ROLES,
  DROP_INTERVAL,
  EVALUATOR,
  FEE,
  join,
  KEY,
  loadTree,
  MAX_DEPTH,
  schemaTerms,
  WORKER,
  type SchemaTerms,
} from "./request-fixture.ts";

const field = (name: string): string => ethers.encodeBytes32String(name);

describe("Schemas", () => {
  it("refuses an interval between drops of zero", async () => {
    const { schemas } = await loadTree();
    await expect(ethers.deployContract("Schemas", [0n]))
      .to.be.revertedWithCustomError(schemas, "TermOutOfRange")
      .withArgs(field("dropInterval"), 0n, 1n, 2n ** 48n - 1n);
  });

  describe("registerJob", () => {
    it("refuses terms that would leave a challenge without cost or backing", async () => {
      const { schemas, stranger } = await loadTree();
      const cases: [string, Partial<SchemaTerms>][] = [
        ["release", { release: ZeroHash }],
        ["challengeFee", { challengeFee: 0n }],
        ["challengeFee", { challengeFee: 2n ** 96n - 1n, minimumDeposit: 2n ** 96n - 1n }],
        ["minimumDeposit", { minimumDeposit: FEE }],
        ["rewardFunctions", { rewardFunctions: 0n }],
        ["rewardFunctions", { rewardFunctions: 32n }],
      ];
      for (const [name, changes] of cases) {
        const { args } = await refusal(schemas.connect(stranger).registerJob.staticCall(schemaTerms(changes)), schemas);
        expect(args[0], name).to.equal(field(name));
      }
      await schemas.connect(stranger).registerJob(schemaTerms({ minimumDeposit: FEE + 1n, rewardFunctions: 1n }));
    });

    it("makes the caller the root, with all roles, under an id that says what was registered", async () => {
      const { schemas, stranger, root, schema } = await loadTree();
      const terms = schemaTerms({ nonce: 7n });
      const id = await schemas.schemaId(stranger, terms);
      expect(id).not.to.equal(await schemas.schemaId(root, terms));
      expect(id).not.to.equal(await schemas.schemaId(stranger, schemaTerms()));
      const { chainId } = await ethers.provider.getNetwork();
      const coder = ethers.AbiCoder.defaultAbiCoder();
      const form = "(bytes32 release,uint96 minimumDeposit,uint96 challengeFee,uint8 rewardFunctions,uint64 nonce)";
      const types = ["uint256", "address", "address", form];
      const encoded = coder.encode(types, [chainId, await schemas.getAddress(), stranger.address, terms]);
      expect(id).to.equal(ethers.keccak256(encoded));

      const sent = schemas.connect(stranger).registerJob(terms);
      await expect(sent).to.emit(schemas, "JobRegistered").withArgs(id, stranger.address, Object.values(terms));
      await expect(sent).to.emit(schemas, "Released").withArgs(id, 1n, terms.release);
      const stored = await schemas.schemaOf(id);
      expect([...stored]).to.deep.equal([
        ...[stranger.address, terms.minimumDeposit, terms.challengeFee],
        ...[1n, terms.rewardFunctions, terms.release],
      ]);
      expect([...(await schemas.memberOf(id, stranger))]).to.deep.equal([ZeroAddress, ALL_ROLES, 0n, false, 0n]);
      expect(await schemas.pathOf(id, stranger, ALL_ROLES)).to.deep.equal([]);
      await expect(schemas.connect(root).registerJob(schemaTerms()))
        .to.be.revertedWithCustomError(schemas, "SchemaExists")
        .withArgs(schema);
    });
  });

  describe("release", () => {
    it("is the registrant's, numbered, and never empty", async () => {
      const { schemas, schema, root, admin } = await loadTree();
      const next = keccakOf("release 2");
      await expect(schemas.connect(root).release(keccakOf("nothing"), next)).to.be.revertedWithCustomError(
        schemas,
        "UnknownSchema",
      );
      await expect(schemas.connect(admin).release(schema, next))
        .to.be.revertedWithCustomError(schemas, "NotPermitted")
        .withArgs(admin.address, root.address);
      await expect(schemas.connect(root).release(schema, ZeroHash)).to.be.revertedWithCustomError(
        schemas,
        "TermOutOfRange",
      );
      await expect(schemas.connect(root).release(schema, next)).to.emit(schemas, "Released").withArgs(schema, 2n, next);
      expect(await schemas.releaseOf(schema)).to.equal(next);
      expect((await schemas.schemaOf(schema)).releases).to.equal(2n);
    });
  });

  describe("applyJob", () => {
    it("refuses what no admin could approve", async () => {
      const { schemas, schema, stranger, admin, evaluator, root } = await loadTree();
      const as = schemas.connect(stranger);
      await expect(as.applyJob(keccakOf("nothing"), WORKER, admin, ZeroHash)).to.be.revertedWithCustomError(
        schemas,
        "UnknownSchema",
      );
      for (const roles of [0n, 8n]) {
        await expect(as.applyJob(schema, roles, admin, ZeroHash))
          .to.be.revertedWithCustomError(schemas, "TermOutOfRange")
          .withArgs(field("roles"), roles, 1n, ALL_ROLES);
      }
      await expect(as.applyJob(schema, WORKER, evaluator, ZeroHash))
        .to.be.revertedWithCustomError(schemas, "RoleMissing")
        .withArgs(evaluator.address, EVALUATOR, ADMIN);
      await expect(as.applyJob(schema, WORKER, stranger, ZeroHash)).to.be.revertedWithCustomError(
        schemas,
        "RoleMissing",
      );
      await expect(schemas.connect(evaluator).applyJob(schema, WORKER, root, ZeroHash))
        .to.be.revertedWithCustomError(schemas, "HasParent")
        .withArgs(evaluator.address, admin.address);
      await expect(schemas.connect(root).applyJob(schema, WORKER, admin, ZeroHash))
        .to.be.revertedWithCustomError(schemas, "HasParent")
        .withArgs(root.address, ZeroAddress);
    });

    it("keeps the latest application until it is approved", async () => {
      const { schemas, schema, stranger, admin, root } = await loadTree();
      const as = schemas.connect(stranger);
      await as.applyJob(schema, WORKER, root, ZeroHash);
      const shown = keccakOf("what the applicant shows that it can");
      await expect(as.applyJob(schema, WORKER | EVALUATOR, admin, shown))
        .to.emit(schemas, "Applied")
        .withArgs(schema, stranger.address, admin.address, WORKER | EVALUATOR, shown);
      expect([...(await schemas.applicationOf(schema, stranger))]).to.deep.equal([admin.address, WORKER | EVALUATOR]);
      await expect(schemas.connect(root).approveNode(schema, stranger, WORKER))
        .to.be.revertedWithCustomError(schemas, "NotApplied")
        .withArgs(stranger.address, root.address, WORKER);
    });
  });

  describe("approveNode", () => {
    it("gives just the roles that were applied for and named, once", async () => {
      const { schemas, schema, stranger, admin, root } = await loadTree();
      await schemas.connect(stranger).applyJob(schema, WORKER, admin, ZeroHash);
      for (const roles of [0n, ALL_ROLES]) {
        await expect(schemas.connect(admin).approveNode(schema, stranger, roles)).to.be.revertedWithCustomError(
          schemas,
          "NotApplied",
        );
      }
      await expect(schemas.connect(admin).approveNode(schema, stranger, WORKER))
        .to.emit(schemas, "Approved")
        .withArgs(schema, stranger.address, admin.address, WORKER);
      expect([...(await schemas.memberOf(schema, stranger))]).to.deep.equal([admin.address, WORKER, 2n, false, 0n]);
      expect(await schemas.pathOf(schema, stranger, WORKER)).to.deep.equal([admin.address, root.address]);
      await expect(schemas.pathOf(schema, stranger, EVALUATOR))
        .to.be.revertedWithCustomError(schemas, "RoleMissing")
        .withArgs(stranger.address, WORKER, EVALUATOR);
      await expect(schemas.pathOf(schema, keccakOf("nobody").slice(0, 42), 0n)).to.be.revertedWithCustomError(
        schemas,
        "RoleMissing",
      );
      await expect(schemas.connect(admin).approveNode(schema, stranger, WORKER)).to.be.revertedWithCustomError(
        schemas,
        "NotApplied",
      );
    });

    it("adds roles to those held", async () => {
      const { schemas, schema, evaluator, admin } = await loadTree();
      await join({ schemas, schema }, evaluator, admin, WORKER);
      expect((await schemas.memberOf(schema, evaluator)).roles).to.equal(EVALUATOR | WORKER);
      expect((await schemas.memberOf(schema, evaluator)).depth).to.equal(2n);
    });

    it("goes eight steps down and no further", async () => {
      const { schemas, schema, root } = await loadTree();
      const chain = (await ethers.getSigners()).slice(30, 30 + MAX_DEPTH + 1);
      let parent = root;
      for (const node of chain.slice(0, MAX_DEPTH)) {
        await join({ schemas, schema }, node, parent, ALL_ROLES);
        parent = node;
      }
      expect(await schemas.pathOf(schema, parent, WORKER)).to.have.length(MAX_DEPTH);
      const last = chain[MAX_DEPTH]!;
      await schemas.connect(last).applyJob(schema, WORKER, parent, ZeroHash);
      await expect(schemas.connect(parent).approveNode(schema, last, WORKER))
        .to.be.revertedWithCustomError(schemas, "TooDeep")
        .withArgs(9n, 8n);
    });

    it("is not a dropped admin's, though it was applied to before", async () => {
      const { schemas, schema, stranger, admin, root } = await loadTree();
      await schemas.connect(stranger).applyJob(schema, WORKER, admin, ZeroHash);
      await schemas.connect(root).drop(schema, admin);
      await expect(schemas.connect(admin).approveNode(schema, stranger, WORKER))
        .to.be.revertedWithCustomError(schemas, "CutOff")
        .withArgs(stranger.address, admin.address);
    });
  });

  describe("drop", () => {
    it("is the parent's, once", async () => {
      const { schemas, schema, evaluator, admin, root, stranger } = await loadTree();
      await expect(schemas.connect(root).drop(schema, evaluator))
        .to.be.revertedWithCustomError(schemas, "NotPermitted")
        .withArgs(root.address, admin.address);
      await expect(schemas.connect(root).drop(schema, stranger))
        .to.be.revertedWithCustomError(schemas, "NotPermitted")
        .withArgs(root.address, ZeroAddress);
      await expect(schemas.connect(admin).drop(schema, evaluator))
        .to.emit(schemas, "Dropped")
        .withArgs(schema, evaluator.address, admin.address);
      await expect(schemas.connect(admin).drop(schema, evaluator)).to.be.revertedWithCustomError(schemas, "CutOff");
    });

    it("comes once in the interval, to the second", async () => {
      const { schemas, schema, evaluator, rival, admin } = await loadTree();
      await schemas.connect(admin).drop(schema, evaluator);
      const least = (await now()) + DROP_INTERVAL;
      expect((await schemas.memberOf(schema, admin)).droppedAt).to.equal(await now());
      await at(least - 1n);
      await expect(schemas.connect(admin).drop(schema, rival))
        .to.be.revertedWithCustomError(schemas, "DroppedTooSoon")
        .withArgs(least - 1n, least);
      await at(least);
      await schemas.connect(admin).drop(schema, rival);
    });

    it("cuts off all below, until the same parent approves again", async () => {
      const { schemas, schema, evaluator, admin, root } = await loadTree();
      await schemas.connect(root).drop(schema, admin);
      for (const node of [evaluator, admin]) {
        const role = node === admin ? ADMIN : EVALUATOR;
        await expect(schemas.pathOf(schema, node, role))
          .to.be.revertedWithCustomError(schemas, "CutOff")
          .withArgs(node.address, admin.address);
      }
      await join({ schemas, schema }, admin, root, ADMIN);
      expect(await schemas.pathOf(schema, evaluator, EVALUATOR)).to.deep.equal([admin.address, root.address]);
    });
  });

  describe("startRoot", () => {
    it("refuses a member in good standing, and a schema that is none", async () => {
      const { schemas, schema, evaluator, admin, root, stranger } = await loadTree();
      await expect(schemas.connect(evaluator).startRoot(schema))
        .to.be.revertedWithCustomError(schemas, "HasParent")
        .withArgs(evaluator.address, admin.address);
      await expect(schemas.connect(root).startRoot(schema)).to.be.revertedWithCustomError(schemas, "HasParent");
      await expect(schemas.connect(stranger).startRoot(keccakOf("nothing"))).to.be.revertedWithCustomError(
        schemas,
        "UnknownSchema",
      );
    });

    it("gives a dropped admin a tree with all that were below it", async () => {
      const { schemas, schema, evaluator, admin, root, stranger } = await loadTree();
      await schemas.connect(root).drop(schema, admin);
      await expect(schemas.connect(admin).startRoot(schema))
        .to.emit(schemas, "RootStarted")
        .withArgs(schema, admin.address);
      expect(await schemas.pathOf(schema, evaluator, EVALUATOR)).to.deep.equal([admin.address]);
      expect(await schemas.pathOf(schema, admin, ALL_ROLES)).to.deep.equal([]);
      // No way back below anybody, so that no circle can come to be.
      await expect(schemas.connect(admin).applyJob(schema, WORKER, root, ZeroHash)).to.be.revertedWithCustomError(
        schemas,
        "HasParent",
      );
      await join({ schemas, schema }, stranger, admin, WORKER);
      expect((await schemas.memberOf(schema, stranger)).depth).to.equal(1n);
    });

    it("takes back what was applied for, so that nobody approves a root", async () => {
      const { schemas, schema, stranger, admin, evaluator } = await loadTree();
      await schemas.connect(stranger).applyJob(schema, WORKER, admin, ZeroHash);
      await schemas.connect(stranger).startRoot(schema);
      await expect(schemas.connect(admin).approveNode(schema, stranger, WORKER)).to.be.revertedWithCustomError(
        schemas,
        "NotApplied",
      );
      await schemas.connect(evaluator).applyJob(schema, WORKER, admin, ZeroHash);
      await schemas.connect(admin).drop(schema, evaluator);
      await schemas.connect(evaluator).startRoot(schema);
      await expect(schemas.connect(admin).approveNode(schema, evaluator, WORKER)).to.be.revertedWithCustomError(
        schemas,
        "NotApplied",
      );
    });
  });

  describe("publishKey", () => {
    it("tells a compressed point, and nothing else", async () => {
      const { schemas, admin } = await loadTree();
      await expect(schemas.connect(admin).publishKey(KEY))
        .to.emit(schemas, "KeyPublished")
        .withArgs(admin.address, KEY);
      await schemas.connect(admin).publishKey(`0x03${KEY.slice(4)}`);
      for (const key of ["0x", `0x04${KEY.slice(4)}`, `${KEY}00`]) {
        await expect(schemas.connect(admin).publishKey(key))
          .to.be.revertedWithCustomError(schemas, "InvalidKey")
          .withArgs(key);
      }
    });
  });
});

/** The custom error that a call was refused with. */
async function refusal(
  call: Promise<unknown>,
  contract: { interface: { parseError(data: string): { name: string; args: unknown[] } | null } },
): Promise<{ name: string; args: unknown[] }> {
  try {
    await call;
  } catch (error) {
    const data = (error as { data?: string }).data;
    const parsed = data === undefined ? null : contract.interface.parseError(data);
    if (parsed) return parsed;
    throw error;
  }
  throw new Error("the call was not refused");
}
