import { expect } from "chai";
import { ZeroAddress } from "ethers";
import { marketInterface } from "#sdk/market-abi.ts";
import * as reads from "#sdk/reads.ts";
import type { JsonRpc } from "#sdk/json-rpc.ts";
import { codeOf } from "../support/error-code.ts";
import { BATCH_ID, MARKET, nodeAt, TERMS } from "../support/market-history.ts";

/** Answers a call of the market's function with these values, if it was asked with those. */
function answering(name: string, asked: unknown[], answer: unknown[]): JsonRpc {
  return {
    request: (_method: string, [{ to, data }]: [{ to: string; data: string }]) => {
      const { name: actual, args } = marketInterface.parseTransaction({ data })!;
      expect([to, actual]).to.deep.equal([MARKET, name]);
      expect(args.toArray(true).slice(0, asked.length)).to.deep.equal(asked);
      return Promise.resolve(marketInterface.encodeFunctionResult(name as "juryOf", answer as never));
    },
  } as unknown as JsonRpc;
}

describe("reads", () => {
  it("a dispute, its rulings and openings", async () => {
    const stored = [2, 4, 1, 3, 77, 1_000, 5, true];
    const rpc = answering("disputeOf", [BATCH_ID, 6n], [stored]);
    expect(await reads.disputeOf(rpc, MARKET, BATCH_ID, 6)).to.deep.equal({
      matter: "silence",
      stage: "casting",
      tier: 1,
      member: 3,
      task: 77,
      deadline: 1_000,
      opened: 5n,
      pot: true,
    });
    const ruling = answering("rulingOf", [BATCH_ID, 6n, 2n], [BATCH_ID]);
    expect(await reads.rulingOf(ruling, MARKET, { batchId: BATCH_ID, assignment: 6, tier: 2 })).to.equal(BATCH_ID);
    const opening = answering("openedBy", [BATCH_ID, 6n, 1n], [BATCH_ID]);
    expect(await reads.openedBy(opening, MARKET, { batchId: BATCH_ID, assignment: 6, member: 1 })).to.equal(BATCH_ID);
  });

  it("a jury with its jurors", async () => {
    const jurors = [[nodeAt(1), true, false], [ZeroAddress, false, false]]; // prettier-ignore
    const rpc = answering("juryOf", [BATCH_ID, 0n, 1n], [[nodeAt(0), 9n, 7, 12, 1, true], jurors]);
    expect(await reads.juryOf(rpc, MARKET, { batchId: BATCH_ID, assignment: 0, tier: 1 })).to.deep.equal({
      appellant: nodeAt(0),
      bond: 9n,
      seats: 7,
      entropyBlock: 12,
      call: 1,
      convened: true,
      jurors: [
        { node: nodeAt(1), cast: true, shown: false },
        { node: ZeroAddress, cast: false, shown: false },
      ],
    });
  });

  it("a panel's accused, and what backs an exception", async () => {
    const panel = answering("panelState", [BATCH_ID, 0n], [[1, true, 2, 6, 4, 500]]);
    expect(await reads.panelState(panel, MARKET, BATCH_ID, 0)).to.deep.equal({
      rounds: 1,
      escalated: true,
      verdict: "seat-differs",
      accused: 6n,
      witness: 4,
      raisedAt: 500,
    });
    const reserve = answering("reserve", [], [9n, 8n]);
    expect(await reads.reserve(reserve, MARKET, { terms: TERMS, price: 3n, count: 2 })).to.deep.equal({
      amount: 9n,
      beyondBond: 8n,
    });
  });

  it("nothing where nothing answers", async () => {
    const rpc = { request: () => Promise.resolve("0x") } as unknown as JsonRpc;
    expect(await codeOf(() => reads.disputeOf(rpc, MARKET, BATCH_ID, 0))).to.equal("READ_MALFORMED");
  });
});
