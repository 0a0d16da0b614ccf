import { expect } from "chai";
import { getAddress, hexlify, keccak256 } from "ethers";
import fc from "fast-check";

import { encodeJson } from "#sdk/canonical-json.ts";
import { batchNonce, commit, taskDigest, verifyOpening } from "#sdk/commitment.ts";
import { contentIdFromBytes32, contentIdToBytes32 } from "#sdk/content.ts";
import type { MemberContext } from "#sdk/context.ts";
import { checkManifest, maxManifestBytes, openManifest, sealManifest, type TaskResult } from "#sdk/result-manifest.ts";
import { MAX_TRACE_BYTES } from "#sdk/resource-trace.ts";
import { sealBytes, sealedFileOverhead } from "#sdk/sealed-file.ts";
import { code } from "../support/error-code.ts";

const filled = (byte: number): string => hexlify(new Uint8Array(32).fill(byte));
const address = (byte: number): string => getAddress(hexlify(new Uint8Array(20).fill(byte)));

const CONTEXT: MemberContext = { chainId: 31337n, market: address(0xaa), batchId: filled(1), member: address(0x0b) };

const result = (task: number): TaskResult => {
  const output = contentIdFromBytes32(filled(task + 1));
  return {
    task,
    digest: taskDigest(batchNonce(CONTEXT), task, contentIdToBytes32(output)),
    salt: filled(100 + task),
    output,
    sealedOutput: contentIdFromBytes32(filled(50 + task)),
    contentKey: filled(150 + task),
    exit: { code: 0, fuel: 1000 + task },
  };
};
const RESULTS = [3, 4, 5].map(result);
const ROOT = commit(RESULTS, CONTEXT).root;

/** Opens what a liar sealed without this package's own checks: any document, under the right key and hash. */
const openForged = (document: unknown): (() => unknown) => {
  const bytes = typeof document === "string" ? new TextEncoder().encode(document) : encodeJson(document);
  const { bytes: sealed, key: manifestKey } = sealBytes(bytes, { associatedData: aadOf(CONTEXT) });
  return () => openManifest({ sealed, manifestKey, manifestHash: keccak256(sealed), context: CONTEXT, count: 3 });
};

/** The associated data as documented: what a liar would use. */
function aadOf(context: MemberContext): Uint8Array {
  const word = context.chainId.toString(16).padStart(64, "0");
  const hex = [word, context.market.slice(2), context.batchId.slice(2), context.member.slice(2)].join("");
  return Uint8Array.from(Buffer.concat([Buffer.from("surety/result-manifest/v1"), Buffer.from(hex, "hex")]));
}

describe("result-manifest", () => {
  const { sealed, manifestKey, manifestHash } = sealManifest(RESULTS, CONTEXT);
  const openable = { sealed, manifestKey, manifestHash, context: CONTEXT, count: 3 };
  const manifest = openManifest(openable);
  const checkable = { manifest, context: CONTEXT, tasks: [5, 4, 3], root: ROOT };

  describe("openManifest", () => {
    it("refuses what the envelope does not name, or its key does not open", () => {
      const changed = sealed.slice();
      changed[40] = changed[40]! ^ 1;
      expect(code(() => openManifest({ ...openable, sealed: changed }))).to.equal("RESULT_MANIFEST_HASH_WRONG");
      const changedToo = { ...openable, sealed: changed, manifestHash: keccak256(changed) };
      expect(code(() => openManifest(changedToo))).to.equal("RESULT_MANIFEST_UNREADABLE");
      expect(code(() => openManifest({ ...openable, manifestKey: new Uint8Array(32) }))).to.equal(
        "RESULT_MANIFEST_UNREADABLE",
      );
      const empty = { ...openable, sealed: new Uint8Array(0), manifestHash: keccak256("0x") };
      expect(code(() => openManifest(empty))).to.equal("RESULT_MANIFEST_UNREADABLE");
    });

    it("refuses a manifest moved to another chain, market, batch or member", () => {
      for (const context of [
        { ...CONTEXT, chainId: 1n },
        { ...CONTEXT, market: address(0xab) },
        { ...CONTEXT, batchId: filled(2) },
        { ...CONTEXT, member: address(0x0c) },
      ]) {
        expect(code(() => openManifest({ ...openable, context }))).to.equal("RESULT_MANIFEST_UNREADABLE");
      }
    });

    it("refuses more bytes than so many tasks can need", () => {
      const huge = new Uint8Array(maxManifestBytes(3) + 1);
      const request = { ...openable, sealed: huge, manifestHash: keccak256(huge) };
      expect(code(() => openManifest(request))).to.equal("RESULT_MANIFEST_TOO_LARGE");
    });

    it("refuses documents that are malformed", () => {
      const [first, second] = [RESULTS[0]!, RESULTS[1]!];
      const good = { version: 1, tasks: RESULTS };
      expect(code(openForged(good))).to.equal("nothing thrown");
      const bad: unknown[] = [
        "",
        "{",
        "[".repeat(1000),
        `${JSON.stringify(good)}\n`,
        { ...good, version: 2 },
        { ...good, more: 1 },
        { version: 1, tasks: [] },
        { version: 1, tasks: [{ ...first, task: -1 }] },
        { version: 1, tasks: [{ ...first, task: 100_000 }] },
        { version: 1, tasks: [{ ...first, task: 0.5 }] },
        { version: 1, tasks: [{ ...first, task: "3" }] },
        { version: 1, tasks: [{ ...first, digest: first.digest.toUpperCase() }] },
        { version: 1, tasks: [{ ...first, salt: "0x00" }] },
        { version: 1, tasks: [{ ...first, output: "../x" }] },
        { version: 1, tasks: [{ ...first, exit: { code: 2 ** 32 } }] },
        { version: 1, tasks: [{ ...first, exit: { code: 0, fuel: -1 } }] },
        { version: 1, tasks: [{ ...first, traceBytes: 0 }] },
        { version: 1, tasks: [{ ...first, traceBytes: MAX_TRACE_BYTES + sealedFileOverhead + 1 }] },
        { version: 1, tasks: [second, first] },
        JSON.stringify(good).replace(`"fuel":1003`, `"fuel":1e400`),
        JSON.stringify(good).replace(`"fuel":1003`, `"fuel":123456789012345678901234567890`),
        JSON.stringify(good).replace(`"task":3`, `"task":3,"task":3`),
      ];
      bad.forEach((document, index) => {
        expect(code(openForged(document)), `document ${index}`).to.equal("RESULT_MANIFEST_INVALID");
      });
    });

    it("refuses a task that appears twice", () => {
      const twice = [RESULTS[0]!, { ...RESULTS[0]!, salt: filled(9) }, RESULTS[1]!];
      expect(code(openForged({ version: 1, tasks: twice }))).to.equal("RESULT_MANIFEST_TASK_DUPLICATE");
      expect(code(() => checkManifest({ ...checkable, manifest: { version: 1, tasks: twice } }))).to.equal(
        "RESULT_MANIFEST_TASK_DUPLICATE",
      );
    });
  });

  describe("sealManifest", () => {
    it("refuses to seal what the requester would refuse to read", () => {
      expect(code(() => sealManifest([], CONTEXT))).to.equal("RESULT_MANIFEST_INVALID");
      expect(code(() => sealManifest([RESULTS[0]!, RESULTS[0]!], CONTEXT))).to.equal("RESULT_MANIFEST_TASK_DUPLICATE");
      expect(code(() => sealManifest([{ ...RESULTS[0]!, output: "x" }], CONTEXT))).to.equal("RESULT_MANIFEST_INVALID");
    });

    it("takes results in any order, and says nothing of them in the clear", () => {
      const shuffled = sealManifest([RESULTS[2]!, RESULTS[0]!, RESULTS[1]!], CONTEXT);
      const opened = openManifest({ ...openable, ...shuffled });
      expect(opened.tasks).to.deep.equal(RESULTS);
      expect(Buffer.from(sealed).includes(RESULTS[0]!.output)).to.equal(false);
    });

    it("names a resource trace where there is one", () => {
      const [first, ...others] = RESULTS;
      const traced = [{ ...first!, traceBytes: 700 }, ...others];
      const opened = openManifest({ ...openable, ...sealManifest(traced, CONTEXT) });
      expect(opened.tasks).to.deep.equal(traced);
      expect(checkManifest({ ...checkable, manifest: opened }).root).to.equal(ROOT);
    });

    it("fits the bound on its size with all values at their longest", () => {
      const longest: TaskResult = {
        ...RESULTS[0]!,
        task: 99_999,
        exit: { code: 2 ** 32 - 1, fuel: Number.MAX_SAFE_INTEGER },
        traceBytes: MAX_TRACE_BYTES + sealedFileOverhead,
      };
      expect(sealManifest([longest], CONTEXT).sealed.length).to.be.lessThan(maxManifestBytes(1));
      expect(JSON.stringify(longest).length + 1).to.be.at.most(640);
    });
  });

  describe("checkManifest", () => {
    it("refuses missing and unasked tasks", () => {
      expect(code(() => checkManifest({ ...checkable, tasks: [3, 4, 5, 6] }))).to.equal("RESULT_MANIFEST_TASK_MISSING");
      expect(code(() => checkManifest({ ...checkable, tasks: [3, 4] }))).to.equal("RESULT_MANIFEST_TASK_UNEXPECTED");
    });

    it("refuses a digest that is not that of the output", () => {
      const lie = [RESULTS[0]!, { ...RESULTS[1]!, digest: filled(9) }, RESULTS[2]!];
      const request = { ...checkable, manifest: { version: 1 as const, tasks: lie }, root: commit(lie, CONTEXT).root };
      expect(code(() => checkManifest(request))).to.equal("RESULT_MANIFEST_DIGEST_WRONG");
    });

    it("refuses openings that do not make the root on chain", () => {
      expect(code(() => checkManifest({ ...checkable, root: filled(9) }))).to.equal("RESULT_MANIFEST_ROOT_WRONG");
      const salted = [RESULTS[0]!, { ...RESULTS[1]!, salt: filled(9) }, RESULTS[2]!];
      const request = { ...checkable, manifest: { version: 1 as const, tasks: salted } };
      expect(code(() => checkManifest(request))).to.equal("RESULT_MANIFEST_ROOT_WRONG");
    });

    it("gives the commitment to prove openings from", () => {
      const commitment = checkManifest(checkable);
      expect(commitment.root).to.equal(ROOT);
      for (const opening of manifest.tasks) {
        expect(verifyOpening(ROOT, opening, commitment.proof(opening.task), CONTEXT)).to.equal(true);
      }
    });
  });

  it("opens and passes whatever honest results were sealed", () => {
    const tasks = fc.uniqueArray(fc.nat(90), { minLength: 1, maxLength: 30 });
    fc.assert(
      fc.property(tasks, (indices) => {
        const results = indices.map(result);
        const request = { ...openable, ...sealManifest(results, CONTEXT), count: results.length };
        const opened = openManifest(request);
        expect(opened.tasks).to.have.deep.members(results);
        const root = commit(results, CONTEXT).root;
        expect(checkManifest({ manifest: opened, context: CONTEXT, tasks: indices, root }).root).to.equal(root);
      }),
      { numRuns: 30 },
    );
  });
});
