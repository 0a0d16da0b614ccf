import { expect } from "chai";
import { hexlify } from "ethers";
import { computeContentId, type Directory } from "#sdk/content.ts";
import {
  checkpointCommitment,
  decodeInput,
  decodeResult,
  encodeInput,
  encodeResult,
  inputBytesFile,
  parseInputBytes,
} from "#sdk/request-content.ts";
import { checkpointSalt, resultSalt } from "#sdk/seed.ts";
import { code, codeOf } from "../support/error-code.ts";

const filled = (byte: number): string => hexlify(new Uint8Array(32).fill(byte));
const files: Directory = new Map([["a/b", Uint8Array.of(1)]]);

describe("content of a request", () => {
  it("is read as it was written", async () => {
    const content = new Map([[await computeContentId(files), files]]);
    const input = { message: Uint8Array.of(1, 2), content };
    expect(await decodeInput(encodeInput(input))).to.deep.equal(input);
    const checkpoints = [3, 4].map((byte) => ({ state: Uint8Array.of(byte), salt: filled(byte) }));
    const committed = checkpoints.map(({ state, salt }, number) => {
      return { number, commitment: checkpointCommitment(salt, state) };
    });
    const result = { reply: Uint8Array.of(9), content, checkpoints };
    expect(await decodeResult(encodeResult(result), committed)).to.deep.equal(result);
    const bare = { reply: Uint8Array.of(9), content: new Map(), checkpoints: [] };
    expect(await decodeResult(encodeResult(bare), [])).to.deep.equal(bare);
  });

  it("refuses directories under other content ids, and files that mean nothing", async () => {
    const wrong = encodeInput({ message: Uint8Array.of(), content: new Map([["bafywrong", files]]) });
    expect(await codeOf(() => decodeInput(wrong))).to.equal("REQUEST_INPUT_INVALID");
    const more = new Map([...encodeInput({ message: Uint8Array.of(), content: new Map() }), ["x", Uint8Array.of()]]);
    expect(await codeOf(() => decodeInput(more))).to.equal("REQUEST_INPUT_INVALID");
    expect(await codeOf(() => decodeInput(files))).to.equal("REQUEST_INPUT_INVALID");
    expect(await codeOf(() => decodeResult(files, []))).to.equal("REQUEST_RESULT_INVALID");
  });

  it("refuses checkpoints that are others than those committed to, in another order, or more or fewer", async () => {
    const checkpoints = [3, 4].map((byte) => ({ state: Uint8Array.of(byte), salt: filled(byte) }));
    const [first, second] = checkpoints.map(({ state, salt }) => checkpointCommitment(salt, state)) as [string, string];
    const result = encodeResult({ reply: Uint8Array.of(9), content: new Map(), checkpoints });
    const tried = [
      [first, second].reverse(),
      [first],
      [first, second, second],
      [first, checkpointCommitment(filled(4), Uint8Array.of(5))],
    ].map((commitments) => commitments.map((commitment, number) => ({ number, commitment })));
    tried.push([
      { number: 0, commitment: first },
      { number: 2, commitment: second },
    ]);
    for (const committed of tried) {
      expect(await codeOf(() => decodeResult(result, committed))).to.equal("REQUEST_CHECKPOINTS_WRONG");
    }
  });

  it("says how large it is", () => {
    const [, bytes] = inputBytesFile(new Map([...files, ["c", new Uint8Array(41)]]));
    expect(parseInputBytes(bytes)).to.equal(42);
    for (const text of ["", "-1", "1e3", "1234567890123456"]) {
      expect(code(() => parseInputBytes(new TextEncoder().encode(text)))).to.equal("REQUEST_INPUT_INVALID");
    }
  });

  it("is hidden by salts that differ by secret, request, contract, chain and number", () => {
    const context = { chainId: 1n, requests: `0x${"11".repeat(20)}`, id: filled(1) };
    const salts = [
      resultSalt(filled(7), context),
      resultSalt(filled(8), context),
      resultSalt(filled(7), { ...context, chainId: 2n }),
      resultSalt(filled(7), { ...context, requests: `0x${"12".repeat(20)}` }),
      resultSalt(filled(7), { ...context, id: filled(2) }),
      checkpointSalt(filled(7), context, 0),
      checkpointSalt(filled(7), context, 1),
    ];
    expect(new Set(salts).size).to.equal(salts.length);
    expect(resultSalt(filled(7), context)).to.equal(salts[0]);
  });
});
